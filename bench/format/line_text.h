#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "data/row_set.h"
#include "schema/registry.h"
#include "support/text.h"

/// Benches of parsers whose record is a line: a text of about 8 MiB is parsed again and again into new row sets. The
/// first pass is checked: every line must become a row, and the same rows as on the general path.
namespace penstock::format {

inline constexpr std::size_t kTextBytes = 8 << 20;

template <class Reader, class Options>
void check(const bench::Text& text, benchmark::State& state) {
  std::uint64_t sums[2] = {};
  for (const bool predict : {false, true}) {
    schema::Registry registry;
    Options options;
    options.predict = predict;
    Reader parser(registry, options);
    for (int pass = 0; pass < 2; ++pass) {
      data::RowSet rows;
      parser.parse(text.chunk(), rows);
      if (rows.row_count() != text.records || !rows.rejects().empty())
        state.SkipWithError("not every line became a row");
      rows.for_each_row([&](const data::Row& row) {
        const auto& shape = rows.shapes()[row.shape];
        auto& sum = sums[predict];
        sum = sum * 31 + static_cast<std::uint64_t>(row.time) + row.child + row.offset + row.length;
        for (std::size_t i = 0; i < shape.fields.size(); ++i)
          sum = sum * 31 + (data::is_variable(shape.fields[i].type)
                                ? std::hash<std::string_view>()(data::text_of(row.slots()[i]))
                                : row.slots()[i]);
      });
    }
  }
  if (sums[0] != sums[1]) state.SkipWithError("prediction changes the rows");
}

template <class Reader, class Options>
void run(benchmark::State& state, const bench::Shape& shape, bool predict = true) {
  const auto text = bench::make(shape, kTextBytes);
  check<Reader, Options>(text, state);
  schema::Registry registry;
  Options options;
  options.predict = predict;
  Reader parser(registry, options);
  const auto chunk = text.chunk();
  for (auto _ : state) {
    data::RowSet rows;
    parser.parse(chunk, rows);
    for (const auto& [series, row] : rows.fresh()) series->set_state(data::Series::State::admitted);
    benchmark::DoNotOptimize(rows.row_count());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.text.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.records));
}

}  // namespace penstock::format
