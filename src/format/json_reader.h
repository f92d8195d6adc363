#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// JSON as the server's own reader takes it, which is not quite what the standard says.
namespace penstock::format {

/// A value of a JSON text; the children of arrays and objects follow it, each with its own.
struct JsonNode {
  enum class Kind : std::uint8_t { null, boolean, number, string, array, object };
  Kind kind = Kind::null;
  bool truth = false;          ///< boolean
  std::uint32_t children = 0;  ///< array, object
  std::uint32_t next = 0;      ///< index one past the value and what it holds
  double number = 0;
  std::string_view text;        ///< string: decoded, up to its first NUL
  std::string_view key;         ///< member of an object: its name, decoded, up to its first NUL
  const char* begin = nullptr;  ///< in the text
  const char* end = nullptr;
};

/// Reads JSON into a flat list of nodes, kept from call to call so that reading allocates nothing in the long run.
///
/// As cJSON, which the server's client uses: strings hold any bytes (line ends, control bytes, no UTF-8 either) and end
/// at their first NUL, a bad \u escape counting as one; a lone surrogate is an error. Numbers may begin with zeros or
/// end in a point, and overflow to infinity; one of more than 63 characters is an error. Every control byte between
/// values is a blank. Nested at most 1000 deep.
class JsonReader {
 public:
  /// Reads the value that begins at text[at] or behind blanks there. Returns the offset behind it, or kFailed; then
  /// error_at() and error() say where and what. Views are valid while the text is, until the next call.
  std::size_t read(std::string_view text, std::size_t at = 0);
  static constexpr std::size_t kFailed = static_cast<std::size_t>(-1);

  [[nodiscard]] const std::vector<JsonNode>& nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::size_t error_at() const noexcept { return error_at_; }
  [[nodiscard]] const char* error() const noexcept { return error_; }

 private:
  bool value(unsigned depth);
  bool container(bool object, unsigned depth);
  bool string(std::string_view& text);
  bool escape(const char*& p);
  bool literal(std::string_view word);
  bool fail(const char* why) { return fail(at_, why); }
  bool fail(const char* at, const char* why);
  void skip_blanks() noexcept;

  std::vector<JsonNode> nodes_;
  std::string decoded_;  // strings with escapes; never grows while it is viewed
  const char* begin_ = nullptr;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::size_t error_at_ = 0;
  const char* error_ = "";
};

/// Reads the number at `p` as cJSON does. Returns where it ends, nullptr when there is none.
const char* read_json_number(const char* p, const char* end, double& value) noexcept;

/// As strcasecmp() == 0 in the "C" locale.
bool same_letters(std::string_view a, std::string_view b) noexcept;

}  // namespace penstock::format
