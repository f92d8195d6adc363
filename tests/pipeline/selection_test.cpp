// Rows that are not wanted: --since, --until, --limit, and what a source's filter leaves out.

#include "pipeline/run_fixture.h"

namespace penstock::pipeline {
namespace {

TEST(Instant, IsRoundedUpToTheUnit) {
  using data::Precision;
  const Instant instant{5, 1'000'001};
  EXPECT_EQ(instant.rounded_up(Precision::nanoseconds), 5'001'000'001);
  EXPECT_EQ(instant.rounded_up(Precision::microseconds), 5'001'001);
  EXPECT_EQ(instant.rounded_up(Precision::milliseconds), 5'002);
  EXPECT_EQ((Instant{-1, 999'999'999}).rounded_up(Precision::milliseconds), 0);
  EXPECT_EQ((Instant{-2, 500'000'000}).rounded_up(Precision::milliseconds), -1'500);
  // Years that nanoseconds do not reach.
  EXPECT_EQ((Instant{100'000'000'000, 0}).rounded_up(Precision::nanoseconds), INT64_MAX);
  EXPECT_EQ((Instant{-100'000'000'000, 0}).rounded_up(Precision::nanoseconds), INT64_MIN);
  EXPECT_EQ((Instant{100'000'000'000, 0}).rounded_up(Precision::milliseconds), 100'000'000'000'000);
}

TEST_F(RunTest, LeavesOutRowsOutsideTheTimeWindow) {
  const Lines lines(3'000);  // line i has the time i + 1
  const auto path = file("a.line", lines.text);
  const auto whole = load({path});
  for (const std::size_t chunk_bytes : {std::size_t{3'000}, std::size_t{1} << 20}) {
    Settings settings;
    settings.chunk_bytes = chunk_bytes;
    settings.selection.since = Instant{0, 1'001};
    settings.selection.until = Instant{0, 1'101};
    const auto outcome = load({path}, settings);
    ASSERT_FALSE(outcome.result.error);
    EXPECT_EQ(outcome.sources[0].read, whole.sources[0].read);
    EXPECT_EQ(outcome.sources[0].written, 100u);
    EXPECT_EQ(outcome.sources[0].not_done(), 0u);
    EXPECT_EQ(outcome.settled[0].offset, lines.text.size());
    std::size_t seen = 0;
    for (const auto& [child, rows] : outcome.children) seen += rows.size();
    EXPECT_EQ(seen, 100u);
    EXPECT_EQ(outcome.tables.at("m0").find("late"), std::string::npos) << "a column of rows that are left out";
  }
  Settings none;
  none.selection.since = Instant{10, 0};
  const auto outcome = load({path}, none);
  EXPECT_EQ(outcome.sources[0].written, 0u);
  EXPECT_TRUE(outcome.tables.empty()) << "no row, no table";
}

TEST_F(RunTest, MeasuresOnlyTheRowsThatStay) {
  const std::string text =
      "m,t=a s=\"" + std::string(300, 'x') + "\" 1\nm,t=b s=\"short\" 2\nm,t=" + std::string(200, 'y') + " s=\"z\" 3\n";
  Settings settings;
  settings.selection.since = Instant{0, 2};
  settings.selection.until = Instant{0, 3};
  const auto outcome = load({file("a.line", text)}, settings);
  EXPECT_EQ(outcome.tables, load({file("b.line", "m,t=b s=\"short\" 2\n")}).tables);
  EXPECT_EQ(outcome.sources[0].left_out, 2u);
}

TEST_F(RunTest, StopsReadingBehindTheLimit) {
  const Lines lines(6'000);
  const auto path = file("a.line", lines.text);
  const auto other = file("b.line", lines.text);
  for (const std::size_t chunk_bytes : {std::size_t{3'000}, std::size_t{1} << 20})
    for (const unsigned threads : {1U, 4U})
      for (const std::uint64_t limit : {1ULL, 7ULL, 500ULL, 5'000ULL}) {
        SCOPED_TRACE(fmt::format("chunks of {}, {} threads, limit {}", chunk_bytes, threads, limit));
        Settings settings;
        settings.chunk_bytes = chunk_bytes;
        settings.threads = threads;
        settings.selection.limit = limit;
        const auto outcome = load({path, other}, settings);
        ASSERT_FALSE(outcome.result.error);
        EXPECT_FALSE(outcome.result.interrupted);
        const auto& source = outcome.sources[0];
        EXPECT_EQ(source.written + source.rejected, limit);
        EXPECT_EQ(source.not_done(), 0u);
        EXPECT_EQ(source.left_out, source.read - limit);
        EXPECT_EQ(outcome.sources[1].read, 0u);
        // Exactly the first ones: good and bad lines as they follow each other in the file.
        std::vector<std::uint64_t> all = lines.good_lines;
        all.insert(all.end(), lines.bad_lines.begin(), lines.bad_lines.end());
        std::sort(all.begin(), all.end());
        std::vector<std::uint64_t> bad;
        for (const auto line : lines.bad_lines)
          if (line <= all[limit - 1]) bad.push_back(line);
        EXPECT_EQ(source.rejected, bad.size());
        if (!bad.empty()) {
          EXPECT_EQ(reject_lines(outcome.rejects.at("a.line.rejects.line.reasons.jsonl")), bad);
        }
      }
  // The limit counts what the window admits, over all sources.
  Settings settings;
  settings.selection.since = Instant{0, 5'901};
  settings.selection.limit = 150;
  const auto outcome = load({path, other}, settings);
  EXPECT_EQ(outcome.sources[0].written + outcome.sources[0].rejected + outcome.sources[1].written +
                outcome.sources[1].rejected,
            150u);
}

TEST_F(RunTest, ASourcesFilterTakesRowsAndRejectsAway) {
  const Lines lines(2'000);
  const auto path = file("a.line", lines.text);
  const auto whole = load({path});
  for (const std::size_t chunk_bytes : {std::size_t{3'000}, std::size_t{1} << 20}) {
    std::uint64_t next_offset = 0;
    const auto half = lines.text.size() / 2;
    Settings settings;
    settings.chunk_bytes = chunk_bytes;
    settings.threads = 4;
    settings.filter = [&](const io::Chunk& chunk, data::RowSet& rows) {
      EXPECT_EQ(chunk.offset, next_offset) << "in input order";
      next_offset = chunk.offset + chunk.text.size();
      rows.leave_out_rows([&](const data::Row& row) { return chunk.offset + row.offset < half; });
      rows.leave_out_rejects([&](const data::Reject& reject) { return chunk.offset + reject.offset < half; });
    };
    const auto outcome = load({path}, settings);
    const auto rest = load({file("rest.line", lines.text.substr(lines.text.find('\n', half) + 1))});
    EXPECT_EQ(outcome.sources[0].read, whole.sources[0].read);
    EXPECT_EQ(outcome.sources[0].written, rest.sources[0].written);
    EXPECT_EQ(outcome.sources[0].rejected, rest.sources[0].rejected);
    EXPECT_EQ(outcome.sources[0].not_done(), 0u);
    EXPECT_EQ(outcome.children, rest.children);
  }
}

}  // namespace
}  // namespace penstock::pipeline
