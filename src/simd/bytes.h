#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Byte kernels. Each exists as a scalar twin and, on x86-64, as an AVX2 one; which one runs is decided once, before
/// main(), by what the processor can do. All are pure: any thread, no allocation, no throw, and they read only the
/// bytes they are given.
namespace penstock::simd {

/// "Not found".
inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

/// The bytes that give CSV its shape.
struct CsvMarks {
  char delimiter = ',';
  char quote = '"';    ///< no NUL: text without quoting needs no CSV scan
  char escape = '\0';  ///< takes the meaning from the byte behind it, inside and outside quotes; NUL: there is none
};

/// Where a scan of CSV stands between two bytes. A quote opens a quoted field only as the first byte of a field
/// (anywhere else it is text: `5" pipe`); inside, a doubled quote is text; what follows a closing quote up to the
/// delimiter is unquoted text, whatever quotes it has. (RFC 4180, and what Python's csv makes of the rest.)
enum class CsvState : std::uint8_t {
  field_start,        ///< before the first byte of a field; the state at the start of a record
  unquoted,           ///< in an unquoted field
  quoted,             ///< in a quoted field: a newline is text
  quote_in_quoted,    ///< behind a quote inside a quoted field: it was its end unless another quote follows
  escaped,            ///< behind the escape byte, outside quotes
  escaped_in_quotes,  ///< behind the escape byte, inside quotes
};

/// One implementation of all kernels. `data` may be null when `size` is 0.
struct Kernels {
  const char* name;
  std::size_t (*count)(const char* data, std::size_t size, char byte) noexcept;
  std::size_t (*find_last)(const char* data, std::size_t size, char byte) noexcept;
  std::size_t (*find_any)(const char* data, std::size_t size, std::array<char, 4> bytes) noexcept;
  std::size_t (*csv_last_end)(const char* data, std::size_t size, CsvMarks marks, CsvState& state) noexcept;
  std::size_t (*csv_first_end)(const char* data, std::size_t size, CsvMarks marks, CsvState& state) noexcept;
};

extern const Kernels kScalar;
/// Null where the compiler or the processor has no AVX2.
const Kernels* avx2_kernels() noexcept;
/// The kernels that run: the best that the processor has.
const Kernels& active() noexcept;

/// How often `byte` stands in `text`.
inline std::size_t count(std::string_view text, char byte) noexcept {
  return active().count(text.data(), text.size(), byte);
}
/// Index of the last `byte`, or kNone.
inline std::size_t find_last(std::string_view text, char byte) noexcept {
  return active().find_last(text.data(), text.size(), byte);
}
/// Index of the first byte that is one of four (repeat one to look for fewer), or kNone.
inline std::size_t find_any(std::string_view text, std::array<char, 4> bytes) noexcept {
  return active().find_any(text.data(), text.size(), bytes);
}
/// Index of the last newline outside quotes, or kNone. Takes the state before the first byte and leaves the one
/// behind the last, so that a scan can go on with the next bytes.
inline std::size_t csv_last_end(std::string_view text, CsvMarks marks, CsvState& state) noexcept {
  return active().csv_last_end(text.data(), text.size(), marks, state);
}
/// Index of the first newline outside quotes (then `state` is field_start, that behind this newline), or kNone (then
/// `state` is that behind the last byte).
inline std::size_t csv_first_end(std::string_view text, CsvMarks marks, CsvState& state) noexcept {
  return active().csv_first_end(text.data(), text.size(), marks, state);
}

/// Takes the scan over one byte; true when the byte is a newline that ends a record.
constexpr bool csv_step(char byte, CsvMarks marks, CsvState& state) noexcept {
  switch (state) {
    case CsvState::escaped: state = CsvState::unquoted; return false;
    case CsvState::escaped_in_quotes: state = CsvState::quoted; return false;
    case CsvState::quoted:
      if (byte == marks.quote) {
        state = CsvState::quote_in_quoted;
      } else if (byte == marks.escape && marks.escape != '\0') {
        state = CsvState::escaped_in_quotes;
      }
      return false;
    case CsvState::field_start:
    case CsvState::quote_in_quoted:
      if (byte == marks.quote) {
        state = CsvState::quoted;
        return false;
      }
      break;
    case CsvState::unquoted: break;
  }
  if (byte == '\n') {
    state = CsvState::field_start;
    return true;
  }
  if (byte == marks.delimiter) {
    state = CsvState::field_start;
  } else if (byte == marks.escape && marks.escape != '\0') {
    state = CsvState::escaped;
  } else {
    state = CsvState::unquoted;
  }
  return false;
}

}  // namespace penstock::simd
