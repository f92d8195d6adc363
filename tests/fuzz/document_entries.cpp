// Parsers of texts whose records are more than lines: JSON and CSV. Wherever the source is cut between its records, the
// rows and rejects are the same.

#include <memory>
#include <string>

#include "base/error.h"
#include "format/csv_infer.h"
#include "format/csv_parser.h"
#include "format/influx_csv_parser.h"
#include "format/influx_csv_tables.h"
#include "format/json_parser.h"
#include "format/ndjson_parser.h"
#include "format/ndjson_text.h"
#include "fuzz/entry.h"
#include "fuzz/records.h"

namespace penstock::fuzz {

void json(std::string_view input) {
  Steering steering(input);
  const auto how = steering.byte();
  const auto chunk_bytes = std::size_t{1} + steering.byte();
  format::JsonOptions options;
  options.clock = fixed_clock;
  options.naming = naming_of(how);
  auto& registry = shared_registry(how);
  const auto run = [&](std::size_t size) {
    format::JsonParser parser(registry, options);
    Records records;
    for (const auto& chunk : cut(input, {io::Splitting::json, {}}, size, 1 << 20)) {
      FUZZ_PROMISE(!chunk.oversized);
      data::RowSet rows;
      parser.parse(chunk, rows);
      records.add(registry, rows, chunk);
    }
    return records.text();
  };
  const auto whole = run(1 << 20);
  FUZZ_SAME(run(chunk_bytes), whole);
  options.predict = false;
  FUZZ_SAME(run(1 << 20), whole);
  options.payload_rules = true;
  format::JsonParser parser(registry, options);
  data::RowSet rows;
  parser.parse(padded_chunk(input), rows);
}

void csv(std::string_view input) {
  Steering steering(input);
  const auto chunk_bytes = std::size_t{1} + steering.byte();
  format::CsvPlan plan;
  try {
    plan = format::infer(input, {}, "table");
  } catch (const Error& error) {
    FUZZ_PROMISE((error.code() == Errc::config || error.code() == Errc::io) && error.what()[0] != '\0');
    return;
  }
  const io::Cutting cutting{io::Splitting::csv, {plan.dialect.delimiter, plan.dialect.quote, plan.dialect.escape}};
  schema::Registry registry;
  const auto run = [&](std::size_t size) {
    format::CsvParser parser(registry, plan, {});
    Records records;
    for (const auto& chunk : cut(input, cutting, size, 1 << 20)) {
      if (chunk.broken_quote) {
        records.put(chunk, 0, static_cast<std::uint32_t>(chunk.text.size()), "broken quote");
        continue;
      }
      data::RowSet rows;
      parser.parse(chunk, rows);
      records.add(registry, rows, chunk);
    }
    return records.text();
  };
  FUZZ_SAME(run(chunk_bytes), run(1 << 20));
}

void influx_csv(std::string_view input) {
  Steering steering(input);
  const auto how = steering.byte();
  const auto chunk_bytes = std::size_t{1} + steering.byte();
  format::InfluxCsvOptions options;
  options.naming = naming_of(how);
  options.table = "table";
  const io::Cutting cutting{io::Splitting::csv, {',', '"', '\0'}};
  schema::Registry registry;
  const auto run = [&](std::size_t size) {
    const auto outline = std::make_shared<format::InfluxCsvOutline>();
    const auto chunks = cut(input, cutting, size, 1 << 20);
    for (const auto& chunk : chunks) outline->see(chunk);
    format::InfluxCsvParser parser(registry, outline, options);
    std::vector<Records> of_chunks(chunks.size());
    // In another order than that of the source, as threads may.
    for (std::size_t i = chunks.size(); i-- > 0;) {
      const auto& chunk = chunks[i];
      if (chunk.broken_quote) {
        of_chunks[i].put(chunk, 0, static_cast<std::uint32_t>(chunk.text.size()), "broken quote");
        continue;
      }
      data::RowSet rows;
      parser.parse(chunk, rows);
      of_chunks[i].add(registry, rows, chunk);
    }
    Records records;
    for (auto& some : of_chunks) records.all.insert(records.all.end(), some.all.begin(), some.all.end());
    return records.text();
  };
  FUZZ_SAME(run(chunk_bytes), run(1 << 20));
}

void ndjson(std::string_view input) {
  Steering steering(input);
  const auto sample_share = steering.byte();
  const auto chunk_bytes = std::size_t{1} + steering.byte();
  // What comes behind the sample may have other members and types.
  const auto sample = input.substr(0, input.size() * (sample_share + 1) / 256);
  auto source = std::make_shared<format::NdjsonParser::Source>();
  source->columns = format::ndjson_columns({sample});
  source->extras = std::make_shared<format::NdjsonExtras>();
  try {
    const auto counted = format::ndjson_sample(source->columns, {sample}, {});
    source->plan =
        std::make_shared<const format::CsvPlan>(format::ndjson_plan(format::make_plan(counted, {}, "table")));
  } catch (const Error& error) {
    FUZZ_PROMISE((error.code() == Errc::config || error.code() == Errc::io) && error.what()[0] != '\0');
    return;
  }
  const bool lines = source->columns.layout == format::NdjsonLayout::lines;
  schema::Registry registry;
  const auto run = [&](std::size_t size) {
    format::NdjsonParser parser(source, std::make_unique<format::CsvParser>(registry, *source->plan));
    Records records;
    for (const auto& chunk : cut(input, {lines ? io::Splitting::lines : io::Splitting::json, {}}, size, 1 << 20)) {
      data::RowSet rows;
      parser.parse(chunk, rows);
      records.add(registry, rows, chunk);
    }
    return records.text();
  };
  FUZZ_SAME(run(chunk_bytes), run(1 << 20));
}

}  // namespace penstock::fuzz
