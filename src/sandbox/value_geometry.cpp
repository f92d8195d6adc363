#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "sandbox/value.h"

/// Well-known text and binary (OGC 06-103r4), two dimensions.
namespace penstock::sandbox {
namespace {

constexpr int kDeepest = 32;  // of nested collections

enum Kind : std::uint32_t { point = 1, line, polygon, multi_point, multi_line, multi_polygon, collection };

struct KindName {
  std::string_view name;
  Kind kind;
};
constexpr KindName kNames[] = {{"POINT", point},
                               {"LINESTRING", line},
                               {"POLYGON", polygon},
                               {"MULTIPOINT", multi_point},
                               {"MULTILINESTRING", multi_line},
                               {"MULTIPOLYGON", multi_polygon},
                               {"GEOMETRYCOLLECTION", collection}};

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}

  bool geometry(std::string& out, int depth = 0) {
    if (depth > kDeepest) return false;
    std::string word;
    blanks();
    while (at_ < text_.size() && std::isalpha(static_cast<unsigned char>(text_[at_])) != 0) {
      word += static_cast<char>(std::toupper(static_cast<unsigned char>(text_[at_++])));
    }
    for (const auto& [name, kind] : kNames) {
      if (name == word) {
        put(out, std::uint8_t{1});
        put(out, static_cast<std::uint32_t>(kind));
        return body(kind, out, depth);
      }
    }
    return false;
  }
  bool done() {
    blanks();
    return at_ == text_.size();
  }

 private:
  void blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool take(char c) {
    blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool empty() {
    blanks();
    if (text_.size() - at_ < 5) return false;
    for (std::size_t i = 0; i < 5; ++i) {
      if (std::toupper(static_cast<unsigned char>(text_[at_ + i])) != "EMPTY"[i]) return false;
    }
    at_ += 5;
    return true;
  }
  bool number(std::string& out) {
    blanks();
    const std::string rest(text_.substr(at_, 64));
    char* end = nullptr;
    const double value = std::strtod(rest.c_str(), &end);
    if (end == rest.c_str() || !std::isfinite(value)) return false;
    at_ += static_cast<std::size_t>(end - rest.c_str());
    put(out, value);
    return true;
  }
  bool pair(std::string& out) { return number(out) && number(out); }

  template <class Item>
  bool list(std::string& out, Item item) {
    std::string items;
    std::uint32_t count = 0;
    if (empty()) {
      put(out, count);
      return true;
    }
    if (!take('(')) return false;
    do {
      if (!item(items)) return false;
      ++count;
    } while (take(','));
    if (!take(')')) return false;
    put(out, count);
    out += items;
    return true;
  }
  bool points(std::string& out) {
    return list(out, [&](std::string& to) { return pair(to); });
  }
  bool rings(std::string& out) {
    return list(out, [&](std::string& to) { return points(to); });
  }
  static void head(std::string& out, Kind kind) {
    put(out, std::uint8_t{1});
    put(out, static_cast<std::uint32_t>(kind));
  }

  bool body(Kind kind, std::string& out, int depth) {
    switch (kind) {
      case point:
        if (empty()) {
          put(out, std::nan(""));
          put(out, std::nan(""));
          return true;
        }
        return take('(') && pair(out) && take(')');
      case line: return points(out);
      case polygon: return rings(out);
      case multi_point:
        return list(out, [&](std::string& to) {
          head(to, point);
          const bool wrapped = take('(');
          return pair(to) && (!wrapped || take(')'));
        });
      case multi_line:
        return list(out, [&](std::string& to) {
          head(to, line);
          return points(to);
        });
      case multi_polygon:
        return list(out, [&](std::string& to) {
          head(to, polygon);
          return rings(to);
        });
      case collection: return list(out, [&](std::string& to) { return geometry(to, depth + 1); });
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class BinaryReader {
 public:
  explicit BinaryReader(std::string_view bytes) : bytes_(bytes) {}

  bool geometry(std::string& out, int depth = 0, bool named = true) {
    std::uint8_t order = 0;
    std::uint32_t kind = 0;
    if (depth > kDeepest || !get(order) || order != 1 || !get(kind)) return false;
    for (const auto& [name, number] : kNames) {
      if (number == kind) {
        if (named) out += fmt::format("{} ", name);
        return body(number, out, depth);
      }
    }
    return false;
  }

 private:
  template <class T>
  bool get(T& value) {
    if (bytes_.size() < sizeof value) return false;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return true;
  }
  bool pair(std::string& out) {
    double x = 0, y = 0;
    if (!get(x) || !get(y)) return false;
    out += fmt::format("{:.6f} {:.6f}", x, y);
    return true;
  }
  template <class Item>
  bool list(std::string& out, Item item) {
    std::uint32_t count = 0;
    if (!get(count) || count > bytes_.size()) return false;
    if (count == 0) {
      out += "EMPTY";
      return true;
    }
    out += '(';
    for (std::uint32_t i = 0; i < count; ++i) {
      if (i > 0) out += ", ";
      if (!item()) return false;
    }
    out += ')';
    return true;
  }
  bool points(std::string& out) {
    return list(out, [&] { return pair(out); });
  }
  bool body(Kind kind, std::string& out, int depth) {
    switch (kind) {
      case point:
        out += '(';
        if (!pair(out)) return false;
        out += ')';
        return true;
      case line: return points(out);
      case polygon: return list(out, [&] { return points(out); });
      default: return list(out, [&] { return geometry(out, depth + 1, kind == collection); });
    }
  }
  std::string_view bytes_;
};

}  // namespace

std::optional<std::string> wkt_to_wkb(std::string_view text) {
  std::string out;
  TextReader reader(text);
  if (!reader.geometry(out) || !reader.done()) return std::nullopt;
  return out;
}

std::string wkb_to_wkt(std::string_view wkb) {
  std::string out;
  if (!BinaryReader(wkb).geometry(out)) return {};
  return out;
}

}  // namespace penstock::sandbox
