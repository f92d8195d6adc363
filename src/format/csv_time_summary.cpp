#include <algorithm>

#include "format/csv_time_text.h"

namespace penstock::format {
namespace {

/// Epoch values from 1990 to 2100 are taken for times.
constexpr std::uint64_t kPlausibleFirst = 631'152'000;
constexpr std::uint64_t kPlausibleLast = 4'102'444'800;

}  // namespace

void TimeSummary::add(std::string_view text) noexcept {
  text = time_trimmed(text);
  if (text.size() >= 8 && is_time_digit(text[0]) && (text[4] == '-' || text[4] == '/')) {
    CivilTime time;
    if (parse_iso_time(text, time)) add_iso(time);
    return;
  }
  if (text.size() >= 4 && is_time_digit(text[0]) && (text[1] == ':' || text[2] == ':')) {
    clocks += is_clock_time(text);
    return;
  }
  TimeCursor in{text.data(), text.data() + text.size()};
  const bool negative = in.eat('-');
  std::uint64_t value = 0;
  int count = 0;
  for (; !in.done() && is_time_digit(*in.at) && count < 19; ++in.at, ++count)
    value = value * 10 + static_cast<std::uint64_t>(*in.at - '0');
  if (count == 0) return;
  CivilTime fraction;
  if (in.eat('.') && !in.fraction(fraction)) return;
  if (!in.done()) return;
  add_number(negative, value, fraction.nanoseconds);
}

void TimeSummary::add_iso(const CivilTime& time) noexcept {
  ++iso;
  if (!time.date_only) ++with_clock;
  if (time.has_offset) ++with_offset;
  fraction_digits = std::max(fraction_digits, fraction_digits_of(time.nanoseconds));
}

void TimeSummary::add_number(bool negative, std::uint64_t whole, std::uint32_t billionths) noexcept {
  largest = std::max(largest, whole);
  epoch_digits = std::max(epoch_digits, fraction_digits_of(billionths));
  if (negative || whole < kPlausibleFirst) {
    ++other_numbers;
    return;
  }
  std::uint64_t scale = 1;
  for (auto& counter : epoch) {
    if (whole >= kPlausibleFirst * scale && whole <= kPlausibleLast * scale) {
      ++counter;
      return;
    }
    scale *= 1000;
  }
  ++other_numbers;
}

void TimeSummary::merge(const TimeSummary& other) noexcept {
  iso += other.iso;
  with_clock += other.with_clock;
  with_offset += other.with_offset;
  for (std::size_t i = 0; i < 4; ++i) epoch[i] += other.epoch[i];
  clocks += other.clocks;
  other_numbers += other.other_numbers;
  largest = std::max(largest, other.largest);
  fraction_digits = std::max(fraction_digits, other.fraction_digits);
  epoch_digits = std::max(epoch_digits, other.epoch_digits);
}

std::uint8_t TimeSummary::unit_digits() const noexcept {
  const auto* const most = std::max_element(epoch, epoch + 4);
  if (*most > 0) return static_cast<std::uint8_t>((most - epoch) * 3);
  return largest < 100'000'000'000 ? 0 : largest < 100'000'000'000'000 ? 3 : largest < 100'000'000'000'000'000 ? 6 : 9;
}

}  // namespace penstock::format
