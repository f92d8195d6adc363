#include "simd/bytes.h"

#include <benchmark/benchmark.h>

#include <string>

namespace penstock::simd {
namespace {

/// 1 MiB of CSV rows of about 100 bytes.
std::string rows(std::string_view field) {
  std::string text;
  while (text.size() < (1U << 20)) {
    for (int i = 0; i < 10; ++i) text.append(field).append(i < 9 ? "," : "\n");
  }
  return text;
}

void run(benchmark::State& state, bool fast, std::string_view field, auto&& kernel) {
  const Kernels* kernels = fast ? avx2_kernels() : &kScalar;
  if (kernels == nullptr) return state.SkipWithError("this processor has no AVX2");
  const std::string text = rows(field);
  for (auto unused : state) benchmark::DoNotOptimize(kernel(*kernels, text));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}

std::size_t count_newlines(const Kernels& kernels, const std::string& text) {
  return kernels.count(text.data(), text.size(), '\n');
}
std::size_t csv_scan(const Kernels& kernels, const std::string& text) {
  CsvState state = CsvState::field_start;
  return kernels.csv_last_end(text.data(), text.size(), {}, state);
}

BENCHMARK_CAPTURE(run, count / scalar, false, "123456789", count_newlines);
BENCHMARK_CAPTURE(run, count / avx2, true, "123456789", count_newlines);
BENCHMARK_CAPTURE(run, csv / plain / scalar, false, "123456789", csv_scan);
BENCHMARK_CAPTURE(run, csv / plain / avx2, true, "123456789", csv_scan);
BENCHMARK_CAPTURE(run, csv / quoted / avx2, true, "\"23,\"\"78\"", csv_scan);
BENCHMARK_CAPTURE(run, csv / stray_quotes / avx2, true, "5\" 4\" 3\"", csv_scan);

}  // namespace
}  // namespace penstock::simd
