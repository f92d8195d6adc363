#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/row_set.h"
#include "data/types.h"

/// The grammar of line protocol by TDengine's rules, element by element: what the hot loop of LineParser does not
/// recognise at a glance. Nothing here needs padding.
namespace penstock::format {

/// Why a line is refused. `text` empty: it is not.
struct LineError {
  std::uint16_t code = 0;
  std::string text;
  const char* at = nullptr;  ///< in the line
};

/// True when the blank, comma or '=' at `p` is text: exactly one backslash stands before it. (Two or more leave it a
/// delimiter, whatever their number: that is the server's rule.)
inline bool is_escaped(const char* line, const char* p) noexcept {
  return p > line && p[-1] == '\\' && !(p - 1 > line && p[-2] == '\\');
}

/// A field value as cut out of the line, with its type.
struct LineValue {
  const char* begin = nullptr;
  const char* end = nullptr;
  bool escapes = false;  ///< holds \" or \\ that the content loses
  data::Type type = data::Type::null;
  data::Slot slot = 0;            ///< fixed types
  std::string_view content;       ///< variable types: between the quotes, still escaped
  bool image = false;             ///< the value is in LineScanner::images() at image_at, image_bytes long
  std::size_t image_at = 0;       ///< WKB of a geometry, bytes of a hexadecimal VARBINARY
  std::uint32_t bytes = 0;        ///< variable types: length of the value
  std::uint8_t suffix_bytes = 0;  ///< numbers: length of the type suffix

  /// Writes the value: `bytes` bytes from `out` on.
  void write(char* out, const std::string& images) const noexcept;
};

struct LineField {
  std::string_view key;  ///< unescaped
  std::string_view raw;  ///< as in the text
  LineValue value;
};

struct LineTag {
  std::string_view key;    ///< unescaped
  std::string_view value;  ///< unescaped
  const char* at = nullptr;
};

/// Takes one line apart. Reused from line to line; views live until the next start().
class LineScanner {
 public:
  /// A new line, without its line end.
  void start(const char* begin, const char* end);

  /// Past the blanks at the start.
  [[nodiscard]] const char* first() const noexcept { return first_; }
  /// End of measurement and tags: the first live blank, or the end of the line.
  [[nodiscard]] const char* series_end() const noexcept { return series_end_; }

  /// Measurement and tags.
  bool scan_series(LineError& error);
  /// The fields; call for every line. Leaves after_fields() at the blank or the end behind them.
  bool scan_fields(LineError& error);
  /// One value from `p` on, up to a live comma or blank or `end`. Returns where it ends, or nullptr.
  const char* scan_value(const char* p, const char* end, LineValue& value, LineError& error);
  /// A value that was cut out elsewhere and knows no escapes (telnet); not empty. Needs no start(); what it adds to
  /// images() is the caller's to clear.
  bool read_value(std::string_view text, LineValue& value, LineError& error);

  [[nodiscard]] std::string_view measurement() const noexcept { return measurement_; }          ///< unescaped
  [[nodiscard]] std::string_view raw_measurement() const noexcept { return raw_measurement_; }  ///< with its escapes
  [[nodiscard]] std::vector<LineTag>& tags() noexcept { return tags_; }
  [[nodiscard]] std::vector<LineField>& fields() noexcept { return fields_; }
  /// As many as stand in the line; tags() and fields() stop one past the server's limits.
  [[nodiscard]] std::size_t tag_count() const noexcept { return tag_count_; }
  [[nodiscard]] std::size_t field_count() const noexcept { return field_count_; }
  [[nodiscard]] const char* after_fields() const noexcept { return after_fields_; }
  [[nodiscard]] std::string& images() noexcept { return images_; }

 private:
  bool scan_key(const char*& p, std::string_view& raw, std::string_view& key, LineError& error);
  bool parse_value(LineValue& value, LineError& error);
  bool parse_quoted(LineValue& value, LineError& error, std::size_t prefix);
  std::string_view unescape(std::string_view raw, std::string_view escapable);

  const char* line_ = nullptr;
  const char* end_ = nullptr;
  const char* first_ = nullptr;
  const char* series_end_ = nullptr;
  const char* after_fields_ = nullptr;
  std::string_view measurement_;
  std::string_view raw_measurement_;
  std::vector<LineTag> tags_;
  std::vector<LineField> fields_;
  std::size_t tag_count_ = 0;
  std::size_t field_count_ = 0;
  std::string names_;  // unescaped keys and tag values; never longer than the line, so it does not move
  std::string images_;
};

}  // namespace penstock::format
