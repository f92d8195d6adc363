#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// What CSV asks of vector instructions: where fields end, and integers of several fields at once.
namespace penstock::format {

/// Bit i of each word: byte i of a block of 64 is that character.
struct CsvMasks {
  std::uint64_t delimiters = 0;
  std::uint64_t newlines = 0;
  std::uint64_t quotes = 0;
};

/// Neighbouring fields that integers() reads at once, at most.
inline constexpr unsigned kCsvLanes = 8;

/// Least and largest integer that each of some neighbouring columns takes.
struct CsvIntegerRanges {
  std::int64_t low[kCsvLanes];
  std::int64_t high[kCsvLanes];
};

/// One implementation of all kernels; all are pure, and their answers are those of the scalar one.
struct CsvKernels {
  const char* name;
  /// Masks of `blocks` blocks of 64 bytes.
  void (*masks)(const char* text, std::size_t blocks, char delimiter, char quote, CsvMasks* masks) noexcept;
  /// Offsets of the bits that are set in `blocks` words, in order; bit 0 of the first word is `base`. Up to 64 entries
  /// behind the last one are written too.
  void (*positions)(const std::uint64_t* words, std::size_t blocks, std::uint32_t base, std::uint32_t* out) noexcept;
  /// Field i < count <= kCsvLanes is text[ends[i - 1] + 1, ends[i]); ends[-1] to ends[7] and eight bytes from the start
  /// of each field are readable. Those that are [-]digits, of one to eight characters and in their range, go to
  /// values[i], and bit i of the result is set; of the others nothing is written.
  std::uint32_t (*integers)(const char* text, const std::uint32_t* ends, unsigned count, const CsvIntegerRanges& ranges,
                            std::uint64_t* values) noexcept;
};

/// The best that the processor has; one of all_csv_kernels(), chosen once.
const CsvKernels& csv_kernels() noexcept;
/// All that this processor can run, the scalar one first; for tests.
std::vector<const CsvKernels*> all_csv_kernels();

}  // namespace penstock::format
