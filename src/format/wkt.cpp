#include "format/wkt.h"

#include <fast_float/fast_float.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

namespace penstock::format {
namespace {

enum Kind : std::uint32_t {
  kPoint = 1,
  kLineString = 2,
  kPolygon = 3,
  kMultiPoint = 4,
  kMultiLineString = 5,
  kMultiPolygon = 6,
  kCollection = 7,
};

// Deeper nesting than anyone means; it keeps the recursion off the end of the stack.
constexpr int kMostDepth = 32;

class Reader {
 public:
  Reader(std::string_view text, std::string& out) : p_(text.data()), end_(p_ + text.size()), out_(out) {}

  const char* run() {
    if (!geometry(0)) return error_;
    skip();
    return p_ == end_ ? nullptr : "text follows the geometry";
  }

 private:
  bool fail(const char* what) {
    if (error_ == nullptr) error_ = what;
    return false;
  }
  void skip() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\t' || *p_ == '\n' || *p_ == '\r')) ++p_;
  }
  bool take(char c) {
    skip();
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  // The next word in upper case; what is longer than any keyword comes back cut.
  std::string_view word() {
    skip();
    std::size_t size = 0;
    for (; p_ < end_ && ((*p_ | 0x20) >= 'a' && (*p_ | 0x20) <= 'z'); ++p_)
      if (size < sizeof word_) word_[size++] = static_cast<char>(*p_ & ~0x20);
    return {word_, size};
  }
  bool take_word(std::string_view wanted) {
    const char* const before = p_;
    if (word() == wanted) return true;
    p_ = before;
    return false;
  }

  template <class T>
  void put(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out_.append(bytes, sizeof value);
  }
  void head(std::uint32_t kind) {
    put<std::uint8_t>(1);
    put(kind);
  }
  // Place of a count that is known only later.
  std::size_t hole() {
    put<std::uint32_t>(0);
    return out_.size() - sizeof(std::uint32_t);
  }
  void fill(std::size_t at, std::uint32_t count) { std::memcpy(out_.data() + at, &count, sizeof count); }

  bool number(double& value) {
    skip();
    const char* from = p_ + (p_ < end_ && *p_ == '+');
    if (from == end_ || !((*from >= '0' && *from <= '9') || *from == '-' || *from == '.'))
      return fail("a coordinate is missing");
    const auto result = fast_float::from_chars(from, end_, value);
    if (result.ptr == from || !std::isfinite(value)) return fail("a coordinate is no number");
    p_ = result.ptr;
    return true;
  }
  bool coordinates(double& x, double& y) {
    if (!number(x) || !number(y)) return false;
    for (int more = 0;; ++more) {
      skip();
      if (p_ == end_ || *p_ == ',' || *p_ == ')') return true;
      double dropped = 0;
      if (more == 2) return fail("a point has more than four coordinates");
      if (!number(dropped)) return false;
    }
  }

  bool points(std::uint32_t least, bool closed) {
    if (!take('(')) return fail("'(' or EMPTY is missing");
    const auto count_at = hole();
    std::uint32_t count = 0;
    double first_x = 0, first_y = 0, x = 0, y = 0;
    do {
      if (!coordinates(x, y)) return false;
      if (count++ == 0) first_x = x, first_y = y;
      put(x);
      put(y);
    } while (take(','));
    if (!take(')')) return fail("')' is missing");
    if (closed && (x != first_x || y != first_y)) return fail("a ring is not closed");
    if (count < least) return fail(closed ? "a ring has fewer than four points" : "a line has fewer than two points");
    fill(count_at, count);
    return true;
  }

  // "(" element {"," element} ")" or EMPTY, with its count.
  template <class Element>
  bool list(Element&& element) {
    const auto count_at = hole();
    if (take_word("EMPTY")) return true;
    if (!take('(')) return fail("'(' or EMPTY is missing");
    std::uint32_t count = 0;
    do {
      if (!element()) return false;
      ++count;
    } while (take(','));
    if (!take(')')) return fail("')' is missing");
    fill(count_at, count);
    return true;
  }

  bool point(bool bare_allowed) {
    head(kPoint);
    double x = std::numeric_limits<double>::quiet_NaN(), y = x;
    if (!take_word("EMPTY")) {
      const bool open = take('(');
      if (!open && !bare_allowed) return fail("'(' or EMPTY is missing");
      if (!coordinates(x, y)) return false;
      if (open && !take(')')) return fail("')' is missing");
    }
    put(x);
    put(y);
    return true;
  }
  bool line() {
    head(kLineString);
    if (take_word("EMPTY")) return hole(), true;
    return points(2, false);
  }
  bool polygon() {
    head(kPolygon);
    return list([&] { return take_word("EMPTY") ? (hole(), true) : points(4, true); });
  }

  bool geometry(int depth) {
    if (depth > kMostDepth) return fail("geometry collections are nested too deeply");
    auto name = word();
    // Z, M, ZM stand behind the name, apart or not.
    const auto cut = [&](std::string_view tail) {
      if (name.size() > tail.size() + 4 && name.substr(name.size() - tail.size()) == tail)
        name.remove_suffix(tail.size());
    };
    cut("ZM");
    cut("Z");
    cut("M");
    char kept[sizeof word_];
    std::memcpy(kept, name.data(), name.size());
    name = {kept, name.size()};
    if (!take_word("ZM") && !take_word("Z")) take_word("M");

    if (name == "POINT") return point(false);
    if (name == "LINESTRING") return line();
    if (name == "POLYGON") return polygon();
    if (name == "MULTIPOINT") return head(kMultiPoint), list([&] { return point(true); });
    if (name == "MULTILINESTRING") return head(kMultiLineString), list([&] { return line(); });
    if (name == "MULTIPOLYGON") return head(kMultiPolygon), list([&] { return polygon(); });
    if (name == "GEOMETRYCOLLECTION") return head(kCollection), list([&] { return geometry(depth + 1); });
    return fail("it begins with no known geometry type");
  }

  const char* p_;
  const char* end_;
  std::string& out_;
  const char* error_ = nullptr;
  char word_[24] = {};
};

constexpr const char* kNames[] = {"POINT",           "LINESTRING",   "POLYGON",           "MULTIPOINT",
                                  "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"};

class Writer {
 public:
  Writer(std::string_view bytes, WktNumbers numbers, std::string& out) : bytes_(bytes), numbers_(numbers), out_(out) {}

  bool run() { return geometry(0, true) && bytes_.empty(); }

 private:
  template <class T>
  bool get(T& value) {
    if (bytes_.size() < sizeof value) return false;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return true;
  }
  bool pair() {
    double x = 0, y = 0;
    if (!get(x) || !get(y)) return false;
    if (numbers_ == WktNumbers::shortest) fmt::format_to(std::back_inserter(out_), "{} {}", x, y);
    else fmt::format_to(std::back_inserter(out_), "{:.6f} {:.6f}", x, y);
    return true;
  }
  bool point() {
    if (bytes_.size() >= 16 && numbers_ == WktNumbers::shortest) {
      double x = 0;
      std::memcpy(&x, bytes_.data(), sizeof x);
      if (std::isnan(x)) {
        out_ += "EMPTY";
        bytes_.remove_prefix(16);
        return true;
      }
    }
    out_ += '(';
    if (!pair()) return false;
    out_ += ')';
    return true;
  }
  template <class Item>
  bool list(Item item) {
    std::uint32_t count = 0;
    if (!get(count) || count > bytes_.size()) return false;
    if (count == 0) {
      out_ += "EMPTY";
      return true;
    }
    out_ += '(';
    for (std::uint32_t i = 0; i < count; ++i) {
      if (i > 0) out_ += ", ";
      if (!item()) return false;
    }
    out_ += ')';
    return true;
  }
  bool points() {
    return list([&] { return pair(); });
  }
  // Inside MULTI… the names of the members are left out.
  bool geometry(int depth, bool named) {
    std::uint8_t order = 0;
    std::uint32_t kind = 0;
    if (depth > kMostDepth || !get(order) || order != 1 || !get(kind)) return false;
    if (kind < kPoint || kind > kCollection) return false;
    if (named) out_.append(kNames[kind - 1]).append(" ");
    switch (kind) {
      case kPoint: return point();
      case kLineString: return points();
      case kPolygon: return list([&] { return points(); });
      default: return list([&] { return geometry(depth + 1, kind == kCollection); });
    }
  }

  std::string_view bytes_;
  WktNumbers numbers_;
  std::string& out_;
};

}  // namespace

bool wkb_to_wkt(std::string_view wkb, std::string& text, WktNumbers numbers) {
  const auto before = text.size();
  if (Writer(wkb, numbers, text).run()) return true;
  text.resize(before);
  return false;
}

const char* wkt_to_wkb(std::string_view text, std::string& wkb) {
  const auto before = wkb.size();
  const char* const error = Reader(text, wkb).run();
  if (error != nullptr) wkb.resize(before);
  return error;
}

}  // namespace penstock::format
