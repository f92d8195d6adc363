#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::client::detail {

/// Takes a JSON text (RFC 8259) apart from its front, piece by piece: for texts of any length, whose values keep the
/// bytes that they came with, UTF-8 or not. What it hands out is checked as far as it was looked at; it never reads
/// beyond the text. View: the text must outlive it.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  /// The next character that is no white space, '\0' at the end.
  char peek() noexcept;
  /// Takes that character if it is this one.
  bool take(char c) noexcept;
  [[nodiscard]] bool at_end() noexcept { return peek() == '\0' && at_ == text_.size(); }

  /// A string without its quotes, escapes resolved (a half of a surrogate pair becomes U+FFFD); a view of the text, or
  /// of `memory` where it had escapes. nullopt when there is none.
  std::optional<std::string_view> string(std::string& memory);
  /// A number, true, false or null, not looked at any further; empty when there is none.
  std::string_view scalar() noexcept;
  /// Any value as it stands, brackets balanced; empty when there is none. At most 1000 brackets deep.
  std::string_view raw();

 private:
  bool skip_string() noexcept;

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace penstock::client::detail
