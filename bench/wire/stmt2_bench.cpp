// Messages of prepared statements and schemaless requests, one thread: the encoder alone, with values that lie ready.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "wire/bytes.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

namespace penstock::wire {
namespace {

using data::Type;

constexpr std::uint32_t kColumns = 10;
constexpr std::uint32_t kRows = 20'000;  // of a message

/// Bytes of the message for `kRows` rows of ten BIGINT columns and a time, `run` rows a table.
std::size_t encode_columns(Stmt2Encoder& encoder, std::uint32_t run, const std::vector<std::int64_t>& values) {
  encoder.begin(0, kColumns + 1);
  for (std::uint32_t at = 0; at < kRows; at += run) {
    encoder.begin_table("t_0123456789abcdef0123456789abcdef");
    for (std::uint32_t column = 0; column <= kColumns; ++column) {
      const auto out = encoder.fixed_column(column == 0 ? Type::timestamp : Type::bigint, run);
      std::memset(out.state, 0, run);
      std::memcpy(out.values, values.data() + at, run * sizeof values[0]);
    }
  }
  std::size_t bytes = 0;
  for (const auto part : encoder.parts(1, 1)) bytes += part.size();
  return bytes;
}

/// Columns of `run` rows a table: what a record costs beside its values.
void BM_Stmt2_fixed_columns(benchmark::State& state) {
  const auto run = static_cast<std::uint32_t>(state.range(0));
  std::vector<std::int64_t> values(kRows);
  std::iota(values.begin(), values.end(), 1'700'000'000'000);
  Stmt2Encoder encoder;
  encode_columns(encoder, run, values);
  const auto message = encoder.join(1, 1);
  const auto bind = decode_stmt2_bind(message);
  if (!bind || bind->tables.size() != kRows / run || bind->tables.back().columns.back().rows != run ||
      load<std::int64_t>(bind->tables.back().columns.back().buffer.data()) != values[kRows - run])
    return state.SkipWithError("the message is wrong");
  std::size_t bytes = 0;
  for (auto unused : state) bytes += encode_columns(encoder, run, values);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(BM_Stmt2_fixed_columns)->Arg(1)->Arg(10)->Arg(100)->Arg(1'000);

/// A column of texts, 100 rows a table.
void BM_Stmt2_text_column(benchmark::State& state) {
  constexpr std::uint32_t kRun = 100;
  std::mt19937 random(1);
  std::vector<std::string> texts(kRun);
  std::size_t text_bytes = 0;
  for (auto& text : texts) text_bytes += (text = fmt::format("GET /index.html took {} ms", random() % 1000)).size();
  Stmt2Encoder encoder;
  const auto encode = [&] {
    encoder.begin(0, 1);
    for (std::uint32_t at = 0; at < kRows; at += kRun) {
      encoder.begin_table("t");
      const auto out = encoder.variable_column(Type::varchar, kRun, text_bytes);
      std::memset(out.state, 0, kRun);
      auto* data = out.data;
      for (std::uint32_t row = 0; row < kRun; ++row) {
        store(out.lengths + 4 * std::size_t{row}, static_cast<std::int32_t>(texts[row].size()));
        std::memcpy(data, texts[row].data(), texts[row].size());
        data += texts[row].size();
      }
    }
    std::size_t bytes = 0;
    for (const auto part : encoder.parts(1, 1)) bytes += part.size();
    return bytes;
  };
  encode();
  const auto message = encoder.join(1, 1);
  const auto bind = decode_stmt2_bind(message);
  if (!bind || bind->tables.size() != kRows / kRun || bind->tables[0].columns[0].buffer.size() != text_bytes)
    return state.SkipWithError("the message is wrong");
  std::size_t bytes = 0;
  for (auto unused : state) bytes += encode();
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(BM_Stmt2_text_column);

/// Tables of ten tags and one row, as the first rows of new child tables are; tags value by value, and as records that
/// were made before.
void BM_Stmt2_tags(benchmark::State& state, bool records) {
  constexpr std::uint32_t kTables = 1'000;
  constexpr std::uint32_t kTags = 10;
  Buffer made;
  for (std::uint32_t tag = 0; tag < kTags; ++tag) Stmt2Encoder::text_tag_record(made, Type::nchar, "eu-central-1");
  Stmt2Encoder encoder;
  const auto encode = [&] {
    encoder.begin(kTags, 1);
    for (std::uint32_t table = 0; table < kTables; ++table) {
      encoder.begin_table("t_0123456789abcdef0123456789abcdef");
      if (records) encoder.tag_records(made.view());
      else
        for (std::uint32_t tag = 0; tag < kTags; ++tag) encoder.text_tag(Type::nchar, "eu-central-1");
      const auto out = encoder.fixed_column(Type::timestamp, 1);
      *out.state = 0;
      store<std::int64_t>(out.values, 1'700'000'000'000);
    }
    std::size_t bytes = 0;
    for (const auto part : encoder.parts(1, 1)) bytes += part.size();
    return bytes;
  };
  encode();
  const auto message = encoder.join(1, 1);
  const auto bind = decode_stmt2_bind(message);
  if (!bind || bind->tables.size() != kTables || bind->tables.back().tags.size() != kTags ||
      bind->tables.back().tags.back().buffer != "eu-central-1")
    return state.SkipWithError("the message is wrong");
  std::size_t bytes = 0;
  for (auto unused : state) bytes += encode();
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kTables));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK_CAPTURE(BM_Stmt2_tags, values, false);
BENCHMARK_CAPTURE(BM_Stmt2_tags, records, true);

/// The other side: a message of 20,000 rows, 100 a table, taken apart.
void BM_Stmt2_decode(benchmark::State& state) {
  constexpr std::uint32_t kRun = 100;
  std::vector<std::int64_t> values(kRows);
  std::iota(values.begin(), values.end(), 0);
  Stmt2Encoder encoder;
  encode_columns(encoder, kRun, values);
  const auto message = encoder.join(1, 1);
  for (auto unused : state) {
    const auto bind = decode_stmt2_bind(message);
    if (!bind || bind->tables.size() != kRows / kRun) return state.SkipWithError("the message is wrong");
    benchmark::DoNotOptimize(bind->tables.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * message.size()));
}
BENCHMARK(BM_Stmt2_decode);

/// 20,000 lines as the inside of a JSON string: with no quotes, and with many.
void BM_Schemaless_request(benchmark::State& state, const char* field) {
  std::string lines;
  for (int line = 0; line < 20'000; ++line)
    lines += fmt::format("m,host=h_{},region=eu-central-1 {},n={}i 1700000000000000000\n", line % 1000, field, line);
  const SchemalessHead head{1, LineProtocol::line, "ns", 0, {}};
  std::string request;
  if (encode_schemaless(request, head, lines) || request.size() <= lines.size())
    return state.SkipWithError("the request is wrong");
  for (auto unused : state) {
    encode_schemaless(request, head, lines);
    benchmark::DoNotOptimize(request.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * 20'000));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * lines.size()));
}
BENCHMARK_CAPTURE(BM_Schemaless_request, numbers, "f=1.5");
BENCHMARK_CAPTURE(BM_Schemaless_request, texts, "s=\"a \\\"b\\\" c\"");

}  // namespace
}  // namespace penstock::wire
