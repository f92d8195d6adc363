// OpenTSDB JSON to rows, one thread, one text of about 8 MiB parsed again and again into new row sets.
// The first pass is checked: every point must become a row, and the same rows as on the general path. "limit" is a walk
// over the same text with simdjson's on-demand interface that reads every value and keeps nothing. "objects" are JSON
// objects by a plan as CSV has it.

#include "format/json_parser.h"

#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <string>
#include <utility>

#include "format/csv_parser.h"
#include "format/ndjson_parser.h"
#include "io/cutter.h"
#include "support/document_shapes.h"

namespace penstock::format {
namespace {

constexpr std::size_t kTextBytes = 8 << 20;
using bench::Text;

std::uint64_t digest(data::RowSet& rows) {
  std::uint64_t sum = 0;
  rows.for_each_row([&](const data::Row& row) {
    sum = sum * 1099511628211u + (static_cast<std::uint64_t>(row.time) ^ row.child ^ row.slots()[0] ^ row.offset);
  });
  return sum;
}

void points(benchmark::State& state, const Text& text, bool predict) {
  schema::Registry registry;
  JsonOptions options;
  options.predict = predict;
  JsonParser parser(registry, options);
  {
    options.predict = false;
    JsonParser general(registry, options);
    data::RowSet rows, again, expected;
    parser.parse(text.chunk(), rows);
    parser.parse(text.chunk(), again);
    general.parse(text.chunk(), expected);
    if (rows.row_count() != text.records || !rows.rejects().empty() || digest(rows) != digest(expected) ||
        digest(again) != digest(expected))
      return state.SkipWithError("the rows are wrong");
    for (const auto& [series, row] : rows.fresh()) series->set_state(data::Series::State::admitted);
  }
  for (auto _ : state) {
    data::RowSet rows;
    parser.parse(text.chunk(), rows);
    benchmark::DoNotOptimize(rows.row_count());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.chunk().text.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.records));
}

// JSON objects with a plan.
void objects(benchmark::State& state, const Text& text) {
  schema::CsvMapping mapping;
  mapping.tags = {"dev.id", "dev.room"};
  const auto chunk = text.chunk();
  const auto head = chunk.text.substr(0, 1 << 16);
  auto source = std::make_shared<NdjsonParser::Source>();
  source->columns = ndjson_columns({head});
  source->plan = std::make_shared<const CsvPlan>(
      ndjson_plan(make_plan(ndjson_sample(source->columns, {head}, mapping), mapping, "events")));
  source->extras = std::make_shared<NdjsonExtras>();
  schema::Registry registry;
  NdjsonParser parser(source, std::make_unique<CsvParser>(registry, *source->plan));
  for (auto _ : state) {
    data::RowSet rows;
    parser.parse(chunk, rows);
    if (rows.row_count() != text.records) return state.SkipWithError("the rows are wrong");
    for (const auto& [series, row] : rows.fresh()) series->set_state(data::Series::State::admitted);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.text.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.records));
}

void limit(benchmark::State& state, const Text& text) {
  simdjson::ondemand::parser parser;
  const auto chunk = text.chunk();
  const auto walk = [&](auto&& self, simdjson::ondemand::value value) -> std::size_t {
    std::size_t found = 0;
    switch (value.type()) {
      case simdjson::ondemand::json_type::object:
        for (auto field : value.get_object()) {
          found += std::string_view(field.unescaped_key()).size();
          found += self(self, field.value());
        }
        break;
      case simdjson::ondemand::json_type::string: found += std::string_view(value.get_string()).size(); break;
      case simdjson::ondemand::json_type::number: found += static_cast<std::size_t>(double(value.get_double())); break;
      default: found += bool(value.get_bool()); break;
    }
    return found;
  };
  for (auto _ : state) {
    auto document = parser.iterate(chunk.text.data(), chunk.text.size(), chunk.text.size() + io::kPadding);
    std::size_t count = 0, sum = 0;
    for (auto point : document.get_array()) {
      sum += walk(walk, point.value());
      ++count;
    }
    if (count != text.records) return state.SkipWithError("the walk is wrong");
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.text.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.records));
}

void cutting(benchmark::State& state, const Text& text) {
  const auto chunk = text.chunk();
  for (auto _ : state) {
    io::Cutter cutter({io::Splitting::json, {}}, 1 << 20, 16 << 20);
    for (std::size_t at = 0;;) {
      const auto cut = cutter.cut(chunk.text.substr(at), true);
      if (cut.kind == io::Cut::Kind::end) break;
      at += cut.bytes;
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.text.size()));
}

Text points_text(bench::JsonPoint* point, std::string between = ",", bool shuffled = false) {
  return bench::make(bench::json_points(point, std::move(between), shuffled), kTextBytes);
}

const Text kFlat = points_text(bench::flat_point);
const Text kShuffled = points_text(bench::flat_point, ",", true);
const Text kLines = points_text(bench::flat_point, ",\n");
const Text kNested = points_text(bench::nested_point);
const Text kPretty = bench::make(bench::json_pretty(), kTextBytes);
const Text kEvents = bench::make(bench::json_events(false), kTextBytes);
const Text kSparseEvents = bench::make(bench::json_events(true), kTextBytes);

BENCHMARK_CAPTURE(points, flat, kFlat, true);
BENCHMARK_CAPTURE(points, flat_shuffled, kShuffled, true);
BENCHMARK_CAPTURE(points, flat_lines, kLines, true);
BENCHMARK_CAPTURE(points, nested, kNested, true);
BENCHMARK_CAPTURE(points, pretty, kPretty, true);
BENCHMARK_CAPTURE(points, flat_general, kFlat, false);
BENCHMARK_CAPTURE(points, nested_general, kNested, false);
BENCHMARK_CAPTURE(objects, full, kEvents);
BENCHMARK_CAPTURE(objects, sparse, kSparseEvents);
BENCHMARK_CAPTURE(limit, flat, kFlat);
BENCHMARK_CAPTURE(limit, nested, kNested);
BENCHMARK_CAPTURE(limit, pretty, kPretty);
BENCHMARK_CAPTURE(cutting, flat, kFlat);
BENCHMARK_CAPTURE(cutting, nested, kNested);

}  // namespace
}  // namespace penstock::format
