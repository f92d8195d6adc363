#include "client/value.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/text.h"
#include "wire/block.h"

namespace penstock::client {
namespace {

__extension__ using Wide = __int128;

[[noreturn]] void no_decimal(std::string_view text, std::uint8_t digits, std::uint8_t scale, const char* why) {
  throw Error(Errc::config, fmt::format("'{}' cannot be a DECIMAL({},{}): {}", printable(text), digits, scale, why));
}

}  // namespace

std::string Decimal::text() const { return wire::decimal_text(low, high, scale); }

Decimal Decimal::parse(std::string_view text, std::uint8_t digits, std::uint8_t scale) {
  if (digits == 0 || digits > 38 || scale > digits)
    no_decimal(text, digits, scale, "1 to 38 digits, no more behind the point");
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const auto exponent_at = rest.find_first_of("eE");
  int exponent = 0;
  if (exponent_at != std::string_view::npos) {
    auto number = rest.substr(exponent_at + 1);
    if (number.starts_with('+')) number.remove_prefix(1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), exponent);
    if (error != std::errc() || end != number.data() + number.size() || exponent > 1000 || exponent < -1000)
      no_decimal(text, digits, scale, "its exponent is no number from -1000 to 1000");
    rest = rest.substr(0, exponent_at);
  }
  // All digits, and where the point stands among them.
  std::string all;
  std::ptrdiff_t point = -1;
  for (const char c : rest) {
    if (c == '.' && point < 0) point = static_cast<std::ptrdiff_t>(all.size());
    else if (c >= '0' && c <= '9') all += c;
    else no_decimal(text, digits, scale, "it is no number");
  }
  if (all.empty()) no_decimal(text, digits, scale, "it is no number");
  if (point < 0) point = static_cast<std::ptrdiff_t>(all.size());
  const std::ptrdiff_t wanted = point + exponent + scale;  // digits that are kept
  const auto digit = [&](std::ptrdiff_t at) {
    return at >= 0 && at < static_cast<std::ptrdiff_t>(all.size()) ? all[static_cast<std::size_t>(at)] - '0' : 0;
  };
  Wide value = 0;
  int count = 0;
  for (std::ptrdiff_t at = 0; at < wanted; ++at) {
    if (value != 0 || digit(at) != 0) ++count;
    if (count > digits) no_decimal(text, digits, scale, "it has too many digits");
    value = value * 10 + digit(at);
  }
  if (digit(wanted) >= 5) ++value;
  Wide bound = 1;
  for (int i = 0; i < digits; ++i) bound *= 10;
  if (value >= bound) no_decimal(text, digits, scale, "it has too many digits");
  if (negative) value = -value;
  return {static_cast<std::uint64_t>(value), static_cast<std::int64_t>(value >> 64), digits, scale};
}

}  // namespace penstock::client
