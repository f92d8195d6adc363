// Result blocks and frames, one thread.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "wire/block.h"
#include "wire/bytes.h"
#include "wire/frame.h"

namespace penstock::wire {
namespace {

using data::Type;

constexpr std::uint32_t kRows = 4096;

/// As a server sends it: times, integers, floats, a VARCHAR and an NCHAR; every 16th cell NULL.
std::string a_block(std::uint64_t& sum, std::uint64_t& text_bytes) {
  BlockWriter writer({{Type::timestamp, 8},
                      {Type::bigint, 8},
                      {Type::integer, 4},
                      {Type::float64, 8},
                      {Type::boolean, 1},
                      {Type::varchar, 34},
                      {Type::nchar, 66}});
  for (std::uint32_t row = 0; row < kRows; ++row) {
    writer.add_fixed(0, 1'700'000'000'000 + row);
    if (row % 16 == 15) {
      for (std::uint32_t c = 1; c < 7; ++c) writer.add_null(c);
      continue;
    }
    writer.add_fixed(1, row * std::uint64_t{1'000'003});
    sum += row * std::uint64_t{1'000'003};
    writer.add_fixed(2, row);
    writer.add_fixed(3, std::bit_cast<std::uint64_t>(row / 8.0));
    writer.add_fixed(4, row & 1);
    const auto text = fmt::format("text {}", row), wide = fmt::format("文字 {}", row);
    text_bytes += text.size() + wide.size();
    writer.add_text(5, text);
    writer.add_text(6, wide);
  }
  return writer.finish(kRows);
}

void BM_Block_decode(benchmark::State& state) {
  std::uint64_t sum = 0, text_bytes = 0;
  const auto bytes = a_block(sum, text_bytes);
  if (Block::decode(bytes).rows() != kRows) return state.SkipWithError("rows are missing");
  for (auto unused : state) benchmark::DoNotOptimize(Block::decode(bytes).rows());
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}

/// Decoding and one column of integers.
void BM_Block_column(benchmark::State& state) {
  std::uint64_t sum = 0, text_bytes = 0;
  const auto bytes = a_block(sum, text_bytes);
  for (auto unused : state) {
    const auto block = Block::decode(bytes);
    std::uint64_t found = 0;
    const auto values = block.column<std::uint64_t>(1);
    for (std::uint32_t row = 0; row < kRows; ++row)
      if (!block.is_null(row, 1)) found += values[row];
    if (found != sum) return state.SkipWithError("the sum is wrong");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}

/// Every cell, NCHAR as UTF-8.
void BM_Block_cells(benchmark::State& state) {
  std::uint64_t sum = 0, text_bytes = 0;
  const auto bytes = a_block(sum, text_bytes);
  for (auto unused : state) {
    const auto block = Block::decode(bytes);
    std::uint64_t found = 0, texts = 0;
    double real = 0;
    for (std::uint32_t row = 0; row < kRows; ++row) {
      found += block.integer(row, 1);
      benchmark::DoNotOptimize(block.integer(row, 0) + block.integer(row, 2) + block.integer(row, 4));
      real += block.real(row, 3);
      texts += block.bytes(row, 5).size() + block.text(row, 6).size();
    }
    if (found != sum || texts != text_bytes || real == 0) return state.SkipWithError("the cells are wrong");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}

void BM_Block_write(benchmark::State& state) {
  std::uint64_t sum = 0, text_bytes = 0;
  const auto expected = a_block(sum, text_bytes);
  for (auto unused : state)
    if (a_block(sum, text_bytes).size() != expected.size()) return state.SkipWithError("the block is wrong");
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * expected.size()));
}

/// A masked frame of a message of 2 MiB in seven parts, as requests are.
void BM_Frame_masked(benchmark::State& state) {
  constexpr std::uint32_t kMask = 0x9E3779B9;
  std::string message(2 << 20, '\0');
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<char>(i * 31 >> 3);
  std::array<std::string_view, 7> parts;
  for (std::size_t i = 0, at = 0; i < parts.size(); ++i) {
    const auto size = i + 1 == parts.size() ? message.size() - at : 58 + 1001 * i;
    parts[i] = std::string_view(message).substr(at, size);
    at += size;
  }
  Buffer frame;
  append_masked_frame(frame, parts, kMask);
  const auto made = frame.view();
  const auto head = made.size() - message.size();
  for (std::size_t i = 0; i < message.size(); ++i) {
    // The mask goes out in network order.
    const auto key = made[head - 4 + i % 4];
    if ((made[head + i] ^ key) != message[i]) return state.SkipWithError("the frame is wrong");
  }
  for (auto unused : state) {
    frame.clear();
    append_masked_frame(frame, parts, kMask);
    benchmark::DoNotOptimize(frame.view().data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * message.size()));
}

BENCHMARK(BM_Block_decode);
BENCHMARK(BM_Block_column);
BENCHMARK(BM_Block_cells);
BENCHMARK(BM_Block_write);
BENCHMARK(BM_Frame_masked);

}  // namespace
}  // namespace penstock::wire
