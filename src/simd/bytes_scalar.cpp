#include <cstring>

#include "simd/bytes.h"

namespace penstock::simd {
namespace {

std::size_t count_scalar(const char* data, std::size_t size, char byte) noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i < size; ++i) found += data[i] == byte ? 1 : 0;
  return found;
}

std::size_t find_last_scalar(const char* data, std::size_t size, char byte) noexcept {
  for (std::size_t i = size; i > 0; --i) {
    if (data[i - 1] == byte) return i - 1;
  }
  return kNone;
}

std::size_t find_any_scalar(const char* data, std::size_t size, std::array<char, 4> bytes) noexcept {
  for (std::size_t i = 0; i < size; ++i) {
    const char c = data[i];
    if (c == bytes[0] || c == bytes[1] || c == bytes[2] || c == bytes[3]) return i;
  }
  return kNone;
}

std::size_t csv_last_end_scalar(const char* data, std::size_t size, CsvMarks marks, CsvState& state) noexcept {
  std::size_t last = kNone;
  CsvState now = state;
  for (std::size_t i = 0; i < size; ++i) {
    if (csv_step(data[i], marks, now)) last = i;
  }
  state = now;
  return last;
}

std::size_t csv_first_end_scalar(const char* data, std::size_t size, CsvMarks marks, CsvState& state) noexcept {
  CsvState now = state;
  std::size_t first = kNone;
  for (std::size_t i = 0; i < size; ++i) {
    if (csv_step(data[i], marks, now)) {
      first = i;
      break;
    }
  }
  state = now;
  return first;
}

}  // namespace

constinit const Kernels kScalar{"scalar",        count_scalar,        find_last_scalar,
                                find_any_scalar, csv_last_end_scalar, csv_first_end_scalar};

}  // namespace penstock::simd
