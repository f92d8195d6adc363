// Files in the page cache through the whole pipeline to `null:`, with one thread and lane and with two of each. Each
// run is checked: every record must be written, or joined with another one where a line has only one field.

#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <string>

#include "pipeline/null_load.h"
#include "pipeline/source_file.h"
#include "support/document_shapes.h"
#include "support/line_shapes.h"
#include "support/sources.h"

namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;
using bench::Shape;
using bench::Source;

constexpr std::size_t kFileBytes = std::size_t{96} << 20;
constexpr std::size_t kMemory = std::size_t{1} << 30;

Done load(const Source& source, const fs::path& path, unsigned width) {
  return load_to_null({"bench", path, false, 0}, kMemory, width,
                      [&](const io::Input& input, MemoryBudget& budget, schema::Registry& registry) {
                        return open_source(source, input, budget, registry);
                      });
}

/// `width`: parsing threads and lanes. Bytes are those of the file.
void BM_Pipeline(benchmark::State& state, const Source& (*make)()) {
  const auto& source = make();
  const auto width = static_cast<unsigned>(state.range(0));
  const File file(source.text.view());
  const auto records = source.text.records;
  Done last = load(source, file.path(), width);
  if (last.read != records || last.written != records || last.rejected != 0)
    return state.SkipWithError("not every record was written");
  for (auto unused : state) last = load(source, file.path(), width);
  if (last.written != records) return state.SkipWithError("not every record was written");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * source.text.view().size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * records));
  state.counters["rows_a_run"] = static_cast<double>(last.written) / static_cast<double>(last.runs);
  state.counters["joined"] = static_cast<double>(last.merged);
  state.counters["sent_bytes_a_row"] = static_cast<double>(last.request_bytes) / static_cast<double>(last.written);
  state.counters["parse_seconds"] = last.parse_seconds;
}

/// Keeps the last one made: benches of one shape follow one another, and all at once would take gigabytes.
const Source& kept(std::string_view name, const std::function<Source()>& make) {
  static std::string held;
  static std::unique_ptr<Source> source;
  if (held != name) {
    source.reset();
    source = std::make_unique<Source>(make());
    held = name;
  }
  return *source;
}

#define PENSTOCK_SHAPE(name, expression)           \
  const Source& name() {                           \
    return kept(#name, [] { return expression; }); \
  }                                                \
  BENCHMARK_CAPTURE(BM_Pipeline, name, name)       \
      ->Arg(1)                                     \
      ->Arg(2)                                     \
      ->MeasureProcessCPUTime()                    \
      ->UseRealTime()                              \
      ->Unit(benchmark::kMillisecond)

Source lines(const Shape& shape) { return bench::line_source(bench::make(shape, kFileBytes)); }
Source points(bench::JsonPoint* point) {
  return bench::json_source(bench::make(bench::json_points(point), kFileBytes));
}
Source csv(const Shape& shape, std::vector<std::string> tags) {
  return bench::csv_source(bench::make(shape, kFileBytes), std::move(tags));
}

PENSTOCK_SHAPE(line_cpu_1k, lines(bench::cpu(1'000)));
PENSTOCK_SHAPE(line_cpu_100k, lines(bench::cpu(100'000)));
PENSTOCK_SHAPE(line_cpu_disordered, lines(bench::cpu_disordered(1'000)));
PENSTOCK_SHAPE(line_cpu_newest_first, lines(bench::cpu_newest_first(1'000)));
PENSTOCK_SHAPE(line_cpu_fields, lines(bench::cpu_fields(1'000)));
PENSTOCK_SHAPE(line_iot, lines(bench::iot(false)));
PENSTOCK_SHAPE(line_iot_gaps, lines(bench::iot(true)));
PENSTOCK_SHAPE(line_agent, lines(bench::agent()));
PENSTOCK_SHAPE(line_short, lines(bench::short_lines()));
PENSTOCK_SHAPE(line_wide, lines(bench::wide()));
PENSTOCK_SHAPE(line_strings, lines(bench::strings()));
PENSTOCK_SHAPE(line_long_floats, lines(bench::long_floats()));
PENSTOCK_SHAPE(telnet_cpu, bench::telnet_source(bench::make(bench::telnet_cpu(1'000), kFileBytes)));
PENSTOCK_SHAPE(csv_cpu, csv(bench::csv_cpu(), bench::kCsvCpuTags));
PENSTOCK_SHAPE(csv_doubles, csv(bench::csv_doubles(), {"sensor"}));
PENSTOCK_SHAPE(csv_quoted, csv(bench::csv_quoted(), {"name"}));
PENSTOCK_SHAPE(csv_wide, csv(bench::csv_wide(), {"machine"}));
PENSTOCK_SHAPE(json_flat, points(bench::flat_point));
PENSTOCK_SHAPE(json_nested, points(bench::nested_point));

}  // namespace
}  // namespace penstock::pipeline
