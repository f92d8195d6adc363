// Workers that share a registry; a program of its own, so that it can run under ThreadSanitizer.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <thread>

#include "format/line_test_text.h"

namespace penstock::format {
namespace {

TEST(LineParserThreads, GiveTheRowsOfOneParser) {
  constexpr int kThreads = 4, kChunks = 64, kLines = 100;
  std::vector<std::string> chunks(kChunks);
  for (int c = 0; c < kChunks; ++c)
    for (int i = 0; i < kLines; ++i)
      chunks[static_cast<std::size_t>(c)] +=
          fmt::format("cpu,host=h{},r=\\ x u={}i,s=\"a{}\" {}\n", (c * kLines + i * 7) % 1500, i, c, c * 1000 + i + 1);
  const auto texts = [](const schema::Registry& registry, data::RowSet& rows, std::multiset<std::string>& out) {
    rows.for_each_row([&](const data::Row& row) { out.insert(row_text(registry, rows, row)); });
  };

  schema::Registry alone;
  std::multiset<std::string> expected;
  LineParser one(alone);
  for (const auto& chunk : chunks) {
    data::RowSet rows;
    one.parse(padded_chunk(chunk), rows);
    texts(alone, rows, expected);
  }

  schema::Registry shared;
  std::vector<std::multiset<std::string>> got(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        LineParser parser(shared);
        for (int c = t; c < kChunks; c += kThreads) {
          data::RowSet rows;
          parser.parse(padded_chunk(chunks[static_cast<std::size_t>(c)]), rows);
          for (const auto& [series, row] : rows.fresh()) series->set_state(data::Series::State::admitted);
          texts(shared, rows, got[static_cast<std::size_t>(t)]);
        }
      });
  }
  std::multiset<std::string> all;
  for (auto& some : got) all.merge(some);
  std::vector<std::string> differ;
  std::set_symmetric_difference(all.begin(), all.end(), expected.begin(), expected.end(), std::back_inserter(differ));
  EXPECT_EQ(differ, std::vector<std::string>{});
  EXPECT_EQ(shared.child_count(), alone.child_count());
}

}  // namespace
}  // namespace penstock::format
