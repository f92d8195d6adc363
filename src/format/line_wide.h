#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "format/line_plan.h"

/// Rows of numbers read with AVX2: delimiters are found 64 bytes at a time, keys are compared in one word, and a value
/// is converted from its end backwards without a branch on its length. LineParser works without it too.
namespace penstock::format {

enum class LineWideKind : std::uint8_t { integer, narrow_integer, floating };

/// A predicted field as the wide reader compares and converts it.
struct alignas(32) LineWideField {
  char key[32] = {};        ///< the delimiter before the key, the key, '='
  char key_mask[32] = {};   ///< ones where `key` has bytes
  char zero[16] = {};       ///< of the 16 bytes that end with the value: '0' each, the suffix as it is
  char most_over[16] = {};  ///< by how much they may lie above `zero`: 9, in the suffix 0
  char align[16] = {};      ///< integers: shuffles the digits to the end, over the suffix
  std::int64_t least = 0;   ///< narrow integers
  std::int64_t most = 0;
  std::size_t key_bytes = 0;    ///< used bytes of `key`
  std::size_t least_bytes = 0;  ///< of the value without its sign
  std::size_t more_bytes = 0;   ///< up to so many above that
  /// Whether the delimiters known so far are to be used for the next field: 64 bytes seldom hold three.
  std::uint64_t keep_cuts = 0;
  LineWideKind kind = LineWideKind::integer;
};

/// What the wide reader knows of a plan.
struct LineWidePlan {
  std::vector<LineWideField> fields;
  std::uint32_t rows = 0;    ///< that were read
  std::uint32_t failed = 0;  ///< rows that were something else
};

/// True when the processor has what the wide reader needs.
bool has_wide_lines() noexcept;
/// nullptr where the fields cannot be read so.
std::unique_ptr<LineWidePlan> make_wide_plan(const LinePlan& plan);

}  // namespace penstock::format
