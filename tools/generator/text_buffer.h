#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace penstock::generator {

/// Where finished text goes, about a megabyte at a time.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(std::string_view text) = 0;
};

/// A short text that is copied with one fixed-size move: writing past its end is cheaper than asking how long it is.
struct Piece {
  static constexpr std::size_t kCapacity = 63;
  std::array<char, kCapacity> text{};
  std::uint8_t size = 0;

  Piece() = default;
  explicit Piece(std::string_view from) : size(static_cast<std::uint8_t>(std::min(from.size(), kCapacity))) {
    std::copy_n(from.data(), size, text.data());
  }
};

/// A big buffer in front of a sink. Callers ask for room for one record, then append without further checks.
class TextBuffer {
 public:
  static constexpr std::size_t kFlushBytes = 1 << 20;
  /// The longest record, with what fixed-size copies may write behind it.
  static constexpr std::size_t kMaxRecordBytes = 16 << 10;

  explicit TextBuffer(Sink& sink) : sink_(sink), memory_(new char[kFlushBytes + kMaxRecordBytes]), at_(memory_.get()) {}

  /// Makes sure that kMaxRecordBytes fit.
  void begin_record() {
    if (static_cast<std::size_t>(at_ - memory_.get()) >= kFlushBytes) flush();
  }
  void flush() {
    const auto size = static_cast<std::size_t>(at_ - memory_.get());
    if (size == 0) return;
    sink_.write({memory_.get(), size});
    written_ += size;
    at_ = memory_.get();
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return written_ + static_cast<std::uint64_t>(at_ - memory_.get());
  }

  void put(char c) noexcept { *at_++ = c; }
  void put(const Piece& piece) noexcept {
    std::memcpy(at_, piece.text.data(), Piece::kCapacity);
    at_ += piece.size;
  }
  void put(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  [[nodiscard]] char* here() noexcept { return at_; }
  /// Takes back what was put since `place`, a here() of the same record.
  void back_to(char* place) noexcept { at_ = place; }
  void put_number(std::uint64_t value) noexcept { at_ = std::to_chars(at_, at_ + 20, value).ptr; }
  /// `value` in units of 10^-decimals, without trailing zeros behind the point: 5231854 with 5 is "52.31854".
  void put_scaled(std::int32_t value, int decimals) noexcept;

 private:
  Sink& sink_;
  std::unique_ptr<char[]> memory_;  // not a vector: nobody needs the zeros
  char* at_;
  std::uint64_t written_ = 0;
};

inline void TextBuffer::put_scaled(std::int32_t value, int decimals) noexcept {
  if (value < 0) {
    put('-');
    value = -value;
  }
  auto number = static_cast<std::uint32_t>(value);
  if (decimals == 0) {
    if (number < 10) {
      put(static_cast<char>('0' + number));
    } else if (number < 100) {
      put(static_cast<char>('0' + number / 10));
      put(static_cast<char>('0' + number % 10));
    } else {
      put_number(number);
    }
    return;
  }
  std::uint32_t scale = 1;
  for (int i = 0; i < decimals; ++i) scale *= 10;
  put_number(number / scale);
  number %= scale;
  if (number == 0) return;
  put('.');
  while (number != 0) {
    scale /= 10;
    put(static_cast<char>('0' + number / scale));
    number %= scale;
  }
}

}  // namespace penstock::generator
