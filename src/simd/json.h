#pragma once

#include <cstddef>
#include <string_view>

/// Finding where JSON objects end without reading them. As for bytes.h: a scalar twin and an AVX2 one, chosen before
/// main(); pure, any thread; they read only the bytes they are given.
namespace penstock::simd {

/// No reader that counts takes JSON that is nested deeper.
inline constexpr std::size_t kMostJsonDepth = 1000;

/// Where the object at the front of a text ends.
struct JsonEnd {
  enum class Kind {
    whole,   ///< `at` is one past its closing brace
    broken,  ///< at `at` stands what cannot stand there: braces or quotes are out of step from some point before it
    open,    ///< the text ends before the object does
  };
  Kind kind = Kind::open;
  std::size_t at = 0;
  bool operator==(const JsonEnd&) const = default;
};

/// Looks for the end of the object that begins with text[0] == '{', by strings (with their escapes) and braces alone.
/// Broken are: a closing quote that is not followed by a blank, ',', ':', '}' or ']'; an opening brace inside the
/// object, outside of brackets, that does not follow a ':'; braces nested more than 1000 deep. The first two are what a
/// lost quote or brace leads to, sooner or later; the third bounds the time that half objects take, one behind the
/// other. Everything else about the syntax is the reader's business.
JsonEnd json_object_end(std::string_view text) noexcept;

/// The twins, for tests; avx2 is null where the compiler or the processor has none.
JsonEnd json_object_end_scalar(std::string_view text) noexcept;
using JsonObjectEnd = JsonEnd (*)(std::string_view) noexcept;
JsonObjectEnd json_object_end_avx2() noexcept;

/// A record of a text that consists of JSON objects: one array over many lines or on one, an array a line, an object a
/// line, objects back to back. Blanks, commas and brackets between objects are separators and of no account.
struct JsonRecord {
  enum class Kind {
    none,       ///< nothing but separators to the end of the text
    object,     ///< text[begin, end) is an object by its braces and strings
    broken,     ///< text[begin, end) is none: something else between objects, or an object out of step, up to where the
                ///< next one seems to start
    need_more,  ///< where the record that starts at `begin` ends cannot be said yet; only when not `last`
  };
  Kind kind = Kind::none;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The first record of the text, which starts outside of any object. `last`: the input ends with the text. What it says
/// does not change when more text comes behind, except need_more and none.
JsonRecord next_json_record(std::string_view text, bool last) noexcept;

/// Looks for the next place where an object seems to start, in text of which nothing is known: behind "}," or "}", or
/// at the start of a line. To be fed byte by byte.
class JsonResync {
 public:
  /// True when an object seems to start at this byte.
  bool starts_here(char byte) noexcept;

 private:
  char before_ = '\0';          // the last byte that is no blank and no '['
  char before_that_ = '\0';     // and the one before it
  bool new_line_ = false;       // only blanks and brackets since a newline
  bool at_line_start_ = false;  // right behind a newline
};

}  // namespace penstock::simd
