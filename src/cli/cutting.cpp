#include "cli/cutting.h"

#include <algorithm>

#include "base/text.h"

namespace penstock::cli {
namespace {

constexpr std::size_t kMostPieces = 5'000;

class Cutter {
 public:
  explicit Cutter(std::string_view record) : record_(record) {}

  std::vector<Piece> line() {
    const auto key_end = until(0, ", ");
    add(0, key_end, "measurement");
    auto at = key_end;
    while (at < record_.size() && record_[at] == ',') at = pair(at + 1, "tag", ", ", false);
    at = blanks(at);
    if (at < record_.size()) at = pair(at, "field", ", ", true);
    while (at < record_.size() && record_[at] == ',') at = pair(at + 1, "field", ", ", true);
    at = blanks(at);
    if (at < record_.size()) add(at, record_.size(), "timestamp");
    return std::move(pieces_);
  }

  std::vector<Piece> telnet() {
    static constexpr const char* kWords[] = {"metric", "timestamp", "value"};
    std::size_t word = 0;
    for (auto at = blanks(0); at < record_.size(); at = blanks(at)) {
      const auto end = std::min(record_.find(' ', at), record_.size());
      const auto text = record_.substr(at, end - at);
      if (word == 0 && text == "put" && pieces_.empty()) {
        add(at, end, "command");
      } else if (word < 3) {
        add(at, end, kWords[word++]);
      } else {
        pair(at, "tag", " ", false);
      }
      at = end;
    }
    return std::move(pieces_);
  }

  std::vector<Piece> csv(const format::Dialect& dialect, const std::vector<std::string>& names) {
    std::vector<std::uint32_t> ends;
    const auto cut = format::cut_record(record_, 0, dialect, ends);
    if (cut.open) {
      add(cut.at, record_.size(), "a quote that does not close");
      return std::move(pieces_);
    }
    std::size_t begin = 0;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      add(begin, ends[i],
          i < names.size() ? "column " + printable(names[i], 60)
          : names.empty()  ? "field " + std::to_string(i + 1)
                           : "one too many");
      begin = ends[i] + 1;
    }
    for (std::size_t i = ends.size(); i < names.size(); ++i)
      add(record_.size(), record_.size(), "column " + printable(names[i], 60) + " (not given)");
    return std::move(pieces_);
  }

  std::vector<Piece> json() {
    std::size_t at = 0;
    value(at, "", 0);
    return std::move(pieces_);
  }

 private:
  void add(std::size_t begin, std::size_t end, std::string what) {
    if (pieces_.size() >= kMostPieces) return;
    begin = std::min(begin, record_.size());
    end = std::clamp(end, begin, record_.size());
    pieces_.push_back({static_cast<std::uint32_t>(begin + 1), std::move(what), record_.substr(begin, end - begin)});
  }
  [[nodiscard]] std::size_t blanks(std::size_t at) const {
    while (at < record_.size() && record_[at] == ' ') ++at;
    return at;
  }
  // The first of `stops` that no backslash precedes.
  [[nodiscard]] std::size_t until(std::size_t at, std::string_view stops) const {
    for (; at < record_.size(); ++at) {
      if (record_[at] == '\\') ++at;
      else if (stops.find(record_[at]) != std::string_view::npos) break;
    }
    return std::min(at, record_.size());
  }
  // key=value; returns where it ends.
  std::size_t pair(std::size_t begin, const char* what, std::string_view stops, bool quotes) {
    const auto equals = until(begin, std::string("=") + std::string(stops));
    std::size_t end = equals;
    if (equals < record_.size() && record_[equals] == '=') {
      end = equals + 1;
      if (quotes && (record_.substr(end).starts_with('"') || record_.substr(end).starts_with("L\""))) {
        end = record_.find('"', end) + 1;
        while (end < record_.size() && record_[end] != '"') end += record_[end] == '\\' ? 2 : 1;
      }
      end = until(std::min(end, record_.size()), stops);
      add(equals + 1, end, fmt_name(what, record_.substr(begin, equals - begin)));
    } else {
      add(begin, end, std::string(what) + " without '='");
    }
    return end;
  }
  static std::string fmt_name(const char* what, std::string_view name) {
    return std::string(what) + " " + printable(name, 60);
  }

  void skip_space(std::size_t& at) const {
    while (at < record_.size() && std::string_view(" \t\r\n").find(record_[at]) != std::string_view::npos) ++at;
  }
  std::string_view quoted(std::size_t& at) const {
    const auto begin = at++;
    while (at < record_.size() && record_[at] != '"') at += record_[at] == '\\' ? 2 : 1;
    at = std::min(at + 1, record_.size());
    return record_.substr(begin, at - begin);
  }
  void value(std::size_t& at, const std::string& path, int depth) {
    skip_space(at);
    if (at >= record_.size() || depth > 64) return;
    const auto begin = at;
    if (record_[at] == '{' || record_[at] == '[') {
      const char close = record_[at] == '{' ? '}' : ']';
      std::size_t index = 0;
      ++at;
      for (;;) {
        skip_space(at);
        if (at >= record_.size()) return;
        if (record_[at] == close) {
          ++at;
          return;
        }
        if (record_[at] == ',') {
          ++at;
          continue;
        }
        std::string name = std::to_string(index++);
        if (close == '}' && record_[at] == '"') {
          auto key = quoted(at);
          key.remove_prefix(1);
          if (key.ends_with('"')) key.remove_suffix(1);
          name = printable(key, 60);
          skip_space(at);
          if (at < record_.size() && record_[at] == ':') ++at;
        }
        const auto before = at;
        value(at, path.empty() ? name : path + "." + name, depth + 1);
        if (at == before) ++at;  // what cannot be read is passed over
      }
    }
    if (record_[at] == '"') quoted(at);
    else
      while (at < record_.size() && std::string_view(",]} \t\r\n").find(record_[at]) == std::string_view::npos) ++at;
    add(begin, at, path.empty() ? "value" : "member " + path);
  }

  std::string_view record_;
  std::vector<Piece> pieces_;
};

}  // namespace

std::vector<Piece> cut_record(format::Format format, std::string_view record, const format::Dialect& dialect,
                              const std::vector<std::string>& names) {
  switch (format) {
    case format::Format::line: return Cutter(record).line();
    case format::Format::telnet: return Cutter(record).telnet();
    case format::Format::csv:
    case format::Format::influx_csv: return Cutter(record).csv(dialect, names);
    default: return Cutter(record).json();
  }
}

}  // namespace penstock::cli
