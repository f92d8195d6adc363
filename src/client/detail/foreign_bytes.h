#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::client::detail {

/// Takes texts that are not UTF-8 through a parser that wants UTF-8: bytes that are none become characters that nobody
/// uses, of four bytes, and come back when a piece of the text is taken. Byte 0x80 + n is U+10F000 + 256 x variant + n.
class ForeignBytes {
 public:
  /// Puts `text` into UTF-8.
  void hide(std::string& text);
  /// The bytes of before; in `memory` where they differ. A text that was never hidden is returned as it is.
  std::string_view show(std::string_view text, std::string& memory) const;

 private:
  [[nodiscard]] std::string character(std::uint32_t n) const;

  bool used_ = false;
  std::uint32_t variant_ = 0;
};

}  // namespace penstock::client::detail
