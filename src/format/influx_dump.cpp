#include "format/influx_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"

namespace penstock::format {
namespace {

constexpr std::string_view kContext = "CONTEXT-DATABASE:";

std::string_view trimmed(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool same_letters(std::string_view text, std::string_view upper) noexcept {
  return text.size() == upper.size() && std::equal(text.begin(), text.end(), upper.begin(), [](char a, char b) {
           return (a >= 'a' && a <= 'z' ? a - 32 : a) == b;
         });
}

std::string_view next_word(std::string_view& text) noexcept {
  text = trimmed(text);
  const auto end = std::min(text.find(' '), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

// An identifier at the start of the text: bare up to a blank, or between double quotes with \" and \\ inside.
std::string identifier(std::string_view text, bool whole) {
  text = trimmed(text);
  if (text.empty() || text.front() != '"') return std::string(whole ? text : text.substr(0, text.find(' ')));
  std::string name;
  for (std::size_t i = 1; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    name += text[i];
  }
  return name;
}

void add_once(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "'" : ", '") + printable(name) + "'";
  return text;
}

}  // namespace

bool is_dump_statement(std::string_view line) noexcept {
  if (line.find('=') != std::string_view::npos) return false;
  if (!same_letters(next_word(line), "CREATE")) return false;
  const auto what = next_word(line);
  if (same_letters(what, "DATABASE")) return !trimmed(line).empty();
  return same_letters(what, "RETENTION") && same_letters(next_word(line), "POLICY") && !trimmed(line).empty();
}

std::optional<std::string> context_database(std::string_view line) {
  if (!line.starts_with('#')) return std::nullopt;
  line = trimmed(line.substr(1));
  if (line.size() < kContext.size() || !same_letters(line.substr(0, kContext.size()), kContext)) return std::nullopt;
  return identifier(line.substr(kContext.size()), true);
}

DumpHead read_dump_head(std::string_view head) {
  DumpHead found;
  while (!head.empty()) {
    const auto end = head.find('\n');
    const auto line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 1);
    if (auto database = context_database(line)) {
      add_once(found.context, *std::move(database));
      found.complete = true;
    } else if (line.starts_with('#')) {
      found.complete = found.complete || trimmed(line.substr(1)) == "DML";
    } else if (is_dump_statement(line)) {
      auto rest = line;
      next_word(rest);
      if (same_letters(next_word(rest), "DATABASE")) add_once(found.created, identifier(rest, false));
    } else if (!trimmed(line).empty()) {
      found.complete = true;
    }
  }
  return found;
}

void note_context(data::RowSet& rows, std::size_t offset, std::string_view line) {
  if (const auto database = context_database(line))
    rows.note_mark({static_cast<std::uint32_t>(offset), rows.add_name(*database)});
}

void DumpMarks::add(std::uint64_t offset, std::string_view database) {
  const std::lock_guard lock(mutex_);
  if (marks_.empty() || marks_.back().second != database) marks_.emplace_back(offset, database);
}

std::optional<std::string> DumpMarks::before(std::uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  std::optional<std::string> found;
  for (const auto& [at, database] : marks_)
    if (at < offset) found = database;
  return found;
}

std::string DumpMarks::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [at, database] : marks_) out += fmt::format("{} {}\n", at, database);
  return out;
}

void DumpMarks::take(std::string_view text) {
  const std::lock_guard lock(mutex_);
  marks_.clear();
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::uint64_t at = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), at);
    const auto digits = static_cast<std::size_t>(end - line.data());
    if (error != std::errc() || digits == line.size() || line[digits] != ' ')
      throw Error(Errc::config, fmt::format("'{}' is no mark of a dump", printable(line)));
    marks_.emplace_back(at, line.substr(digits + 1));
  }
}

void DumpFilter::operator()(const io::Chunk& chunk, data::RowSet& rows) {
  const auto marks = rows.marks();
  if (marks_) {
    if (!std::exchange(begun_, true) && chunk.offset > 0) current_ = marks_->before(chunk.offset);
    for (const auto& mark : marks) marks_->add(chunk.offset + mark.offset, mark.text);
  }
  if (wanted_.empty()) {
    for (const auto& mark : marks) {
      if (current_ && *current_ != mark.text)
        throw Error(Errc::limit,
                    fmt::format("'{}' holds more than one database: after '{}' come lines of '{}'. They would end in "
                                "one database; choose with --context-db NAME, one load for each",
                                source_, printable(*current_), printable(mark.text)));
      current_ = mark.text;
    }
    return;
  }
  if (marks.empty() && current_ == wanted_) return;
  // Records between marks, by a cursor that follows the order of the text.
  std::size_t next = 0;
  bool keep = current_ == wanted_;
  const auto unwanted_at = [&](std::uint32_t offset) {
    for (; next < marks.size() && marks[next].offset <= offset; ++next) keep = marks[next].text == wanted_;
    return !keep;
  };
  rows.leave_out_rows([&](const data::Row& row) { return unwanted_at(row.offset); });
  next = 0;
  keep = current_ == wanted_;
  rows.leave_out_rejects([&](const data::Reject& reject) { return unwanted_at(reject.offset); });
  if (!marks.empty()) current_ = marks.back().text;
}

void check_dump_head(const std::string& source, const DumpHead& head, const std::string& wanted) {
  auto all = head.created;
  for (const auto& name : head.context) add_once(all, name);
  if (wanted.empty() && all.size() > 1)
    throw Error(Errc::config, fmt::format("'{}' is a dump of {} databases, {}: they would end in one. Choose with "
                                          "--context-db NAME, one load for each",
                                          source, all.size(), listed(all)));
  const bool known = std::find(all.begin(), all.end(), wanted) != all.end();
  if (!wanted.empty() && !known && head.complete && !head.created.empty())
    throw Error(Errc::config, fmt::format("--context-db {}: the dump '{}' has no such database, but {}",
                                          printable(wanted), source, listed(all)));
}

}  // namespace penstock::format
