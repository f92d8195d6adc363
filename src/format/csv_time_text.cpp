#include "format/csv_time_text.h"

namespace penstock::format {

int read_half_day(TimeCursor& in) noexcept {
  // "AM", "pm", "a.m."
  const char first = static_cast<char>(in.peek() | 0x20);
  if (first != 'a' && first != 'p') return -1;
  const char* const back = in.at++;
  in.eat('.');
  if ((in.peek() | 0x20) != 'm') {
    in.at = back;
    return -1;
  }
  ++in.at;
  in.eat('.');
  return first == 'p' ? 1 : 0;
}

bool read_clock(TimeCursor& in, ClockTime& clock, CivilTime& time) noexcept {
  if (!in.number(1, 2, clock.hour) || !in.eat(':') || !in.number(2, 2, clock.minute)) return false;
  if (in.eat(':') && !in.number(2, 2, clock.second)) return false;
  if ((in.eat('.') || in.eat(',')) && !in.fraction(time)) return false;
  in.blanks();
  if (const int half = read_half_day(in); half >= 0) {
    if (!apply_half_day(half, clock.hour)) return false;
    in.blanks();
  }
  return true;
}

std::uint8_t fraction_digits_of(std::uint32_t nanoseconds) noexcept {
  if (nanoseconds == 0) return 0;
  std::uint8_t digits = 9;
  while (digits > 0 && nanoseconds % 10 == 0) {
    nanoseconds /= 10;
    --digits;
  }
  return digits;
}

bool parse_iso_time(std::string_view text, CivilTime& time) noexcept {
  text = time_trimmed(text);
  TimeCursor in{text.data(), text.data() + text.size()};
  int year = 0;
  int month = 0;
  int day = 0;
  if (!in.number(4, 4, year)) return false;
  const char separator = in.peek();
  if (separator != '-' && separator != '/') return false;
  ++in.at;
  if (!in.number(1, 2, month) || !in.eat(separator) || !in.number(1, 2, day)) return false;
  time = CivilTime{};
  if (in.done()) {
    time.date_only = true;
    return to_seconds(year, month, day, 0, 0, 0, time.seconds);
  }
  if (!in.eat('T') && !in.eat('t')) {
    if (in.peek() != ' ') return false;
    in.blanks();
  }
  ClockTime clock;
  if (!read_clock(in, clock, time)) return false;
  if (!in.done()) {
    if (!in.offset(time)) return false;
    in.blanks();
    // Go and InfluxDB print "+0000 UTC".
    if (time.offset == 0 && std::string_view(in.at, static_cast<std::size_t>(in.end - in.at)) == "UTC") in.at = in.end;
    if (!in.done()) return false;
  }
  return to_seconds(year, month, day, clock.hour, clock.minute, clock.second, time.seconds);
}

bool is_clock_time(std::string_view text) noexcept {
  text = time_trimmed(text);
  TimeCursor in{text.data(), text.data() + text.size()};
  ClockTime clock;
  CivilTime time;
  return read_clock(in, clock, time) && in.done() &&
         to_seconds(1970, 1, 1, clock.hour, clock.minute, clock.second, time.seconds);
}

}  // namespace penstock::format
