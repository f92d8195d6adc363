// OpenTSDB JSON to rows, one thread, one text of about 8 MiB parsed again and again into new row sets.
// The first pass is checked: every point must become a row, and the same rows as on the general path. "limit" is a walk
// over the same text with simdjson's on-demand interface that reads every value and keeps nothing. "objects" are JSON
// objects by a plan as CSV has it.

#include "format/json_parser.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "format/csv_parser.h"
#include "format/ndjson_parser.h"
#include "io/cutter.h"
#include "simd/json.h"

namespace penstock::format {
namespace {

constexpr std::size_t kTextBytes = 8 << 20;
constexpr std::int64_t kStart = 1'767'225'600'000;

struct Text {
  std::string bytes;
  std::size_t points = 0;
  [[nodiscard]] io::Chunk chunk() const {
    io::Chunk chunk;
    chunk.offset = 1;
    chunk.text = std::string_view(bytes).substr(0, bytes.size() - io::kPadding);
    return chunk;
  }
};

Text make(std::string_view between, const std::function<std::string(std::size_t point)>& point) {
  Text text;
  text.bytes = "[";
  while (text.bytes.size() < kTextBytes) {
    if (text.points > 0) text.bytes += between;
    text.bytes += point(text.points++);
  }
  text.bytes += "]";
  text.bytes.append(io::kPadding, '\0');
  return text;
}

constexpr const char* kMetrics[] = {"sys.cpu.user", "sys.cpu.system", "sys.mem.used", "sys.net.in", "sys.net.out"};
constexpr const char* kRegions[] = {"eu-central-1", "us-west-2", "ap-southeast-1"};

std::string flat_point(std::size_t series, std::size_t step, std::mt19937& random) {
  const std::size_t host = series / 5;
  return fmt::format(
      R"({{"metric":"{}","timestamp":{},"value":{}.{},"tags":{{"host":"host_{}","region":"{}","dc":"{}a","rack":"{}"}}}})",
      kMetrics[series % 5], kStart + static_cast<std::int64_t>(step) * 10'000, random() % 100, random() % 10, host,
      kRegions[host % 3], kRegions[host % 3], host % 100);
}

std::string nested_point(std::size_t series, std::size_t step, std::mt19937& random) {
  const std::size_t host = series / 5;
  return fmt::format(
      R"({{"metric":"{}","timestamp":{{"value":{},"type":"ms"}},"value":{{"value":{}.{},"type":"float"}},)"
      R"("tags":{{"host":{{"value":"host_{}","type":"nchar"}},"rack":{{"value":{},"type":"int"}},"hot":true}}}})",
      kMetrics[series % 5], kStart + static_cast<std::int64_t>(step) * 10'000, random() % 100, random() % 10, host,
      host % 100);
}

// All series once a time step, in the same order or in another one each time.
Text series_text(std::string_view between, bool shuffled,
                 std::string (*point)(std::size_t, std::size_t, std::mt19937&)) {
  constexpr std::size_t kSeries = 5000;
  std::mt19937 random(1);
  std::vector<std::size_t> order(kSeries);
  for (std::size_t i = 0; i < kSeries; ++i) order[i] = i;
  return make(between, [&](std::size_t at) {
    if (shuffled && at % kSeries == 0) std::shuffle(order.begin(), order.end(), random);
    return point(order[at % kSeries], at / kSeries, random);
  });
}

Text pretty() {
  std::mt19937 random(3);
  return make(",\n", [&](std::size_t at) {
    return fmt::format(
        "  {{\n    \"metric\": \"{}\",\n    \"timestamp\": {},\n    \"value\": {},\n    \"tags\": {{\n      \"host\": "
        "\"host_{}\"\n    }}\n  }}",
        kMetrics[at % 5], kStart + static_cast<std::int64_t>(at / 500) * 1000, random() % 1000, at / 5 % 100);
  });
}

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
    if (rows.row_count() != text.points || !rows.rejects().empty() || digest(rows) != digest(expected) ||
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
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.points));
}

// JSON objects with a plan, as events have it: nested members, a string, numbers; one in ten lacks one.
Text events(bool sparse) {
  std::mt19937 random(5);
  Text text;
  while (text.bytes.size() < kTextBytes) {
    text.bytes +=
        fmt::format(R"({{"ts":{},"dev":{{"id":"d{}","room":"r{}"}},"temp":{}.{},"hum":{},"note":"all is well")",
                    kStart + static_cast<std::int64_t>(text.points / 50), text.points % 50, text.points % 7,
                    random() % 40, random() % 100, random() % 100);
    text.bytes += sparse && text.points % 10 == 0 ? "}\n"
                                                  : R"(,"ok":true})"
                                                    "\n";
    ++text.points;
  }
  text.bytes.append(io::kPadding, '\0');
  return text;
}

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
    if (rows.row_count() != text.points) return state.SkipWithError("the rows are wrong");
    for (const auto& [series, row] : rows.fresh()) series->set_state(data::Series::State::admitted);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.text.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.points));
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
    if (count != text.points) return state.SkipWithError("the walk is wrong");
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.text.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.points));
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

const Text kFlat = series_text(",", false, flat_point);
const Text kShuffled = series_text(",", true, flat_point);
const Text kLines = series_text(",\n", false, flat_point);
const Text kNested = series_text(",", false, nested_point);
const Text kPretty = pretty();
const Text kEvents = events(false);
const Text kSparseEvents = events(true);

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
