// Whole runs over small files: oneTBB, and so no program for ThreadSanitizer.

#include "pipeline/run.h"

#include "pipeline/run_fixture.h"

namespace penstock::pipeline {
namespace {

TEST_F(RunTest, GivesTheSameRowsTablesAndRejectsForAnyThreadsLanesAndChunks) {
  const Lines lines(6'000);
  const auto path = file("a.line", lines.text);
  std::optional<Outcome> first;
  std::map<std::size_t, Outcome> by_chunk;
  for (const std::size_t chunk_bytes : {std::size_t{3'000}, std::size_t{40'000}, std::size_t{1} << 20})
    for (const unsigned threads : {1U, 2U, 4U})
      for (const std::uint32_t lanes : {1U, 3U}) {
        for (const bool use_mmap : {true, false}) {
          if (!use_mmap && threads != 2) continue;
          SCOPED_TRACE(
              fmt::format("chunks of {}, {} threads, {} lanes, mmap {}", chunk_bytes, threads, lanes, use_mmap));
          Settings settings;
          settings.chunk_bytes = chunk_bytes;
          settings.threads = threads;
          settings.lanes = lanes;
          settings.use_mmap = use_mmap;
          const auto outcome = load({path}, settings);
          ASSERT_FALSE(outcome.result.error);
          EXPECT_EQ(outcome.sources[0].read, lines.good_lines.size() + lines.bad_lines.size());
          EXPECT_EQ(outcome.sources[0].written, lines.good_lines.size());
          EXPECT_EQ(outcome.sources[0].not_done(), 0u);
          EXPECT_EQ(outcome.sources[0].text_bytes, lines.text.size());
          EXPECT_EQ(outcome.settled[0].offset, lines.text.size());
          EXPECT_EQ(outcome.memory_left, 0u);
          EXPECT_EQ(outcome.rejects.at("a.line.rejects.line"), lines.bad_text);
          EXPECT_EQ(reject_lines(outcome.rejects.at("a.line.rejects.line.reasons.jsonl")), lines.bad_lines);
          if (!first) first = outcome;
          EXPECT_EQ(outcome.children, first->children) << "the rows of each child table, in input order";
          auto [same_chunk, is_new] = by_chunk.try_emplace(chunk_bytes, outcome);
          if (!is_new) {
            EXPECT_EQ(outcome.tables, same_chunk->second.tables);
            EXPECT_EQ(outcome.rejects, same_chunk->second.rejects);
          }
          for (const auto& [name, statement] : outcome.tables)
            EXPECT_EQ(without_widths(statement), without_widths(first->tables.at(name)));
        }
      }
}

TEST_F(RunTest, RejectsLoadAgain) {
  const Lines lines(3'000);
  const auto outcome = load({file("a.line", lines.text)});
  const auto again = load({file("b.line", outcome.rejects.at("a.line.rejects.line"))});
  EXPECT_EQ(again.sources[0].read, lines.bad_lines.size());
}

TEST_F(RunTest, NeedsHardlyAnyMemory) {
  const Lines lines(8'000);
  const auto path = file("a.line", lines.text);
  for (const bool use_mmap : {true, false})
    for (const unsigned threads : {1U, 2U, 4U}) {
      SCOPED_TRACE(fmt::format("mmap {}, {} threads", use_mmap, threads));
      Settings settings;
      settings.chunk_bytes = 16'000;
      settings.memory = 100'000;  // less than one chunk with its rows
      settings.threads = threads;
      settings.use_mmap = use_mmap;
      const auto outcome = load({path}, settings);
      EXPECT_EQ(outcome.sources[0].written, lines.good_lines.size());
      EXPECT_EQ(outcome.memory_left, 0u);
      EXPECT_LT(outcome.peak, 2'000'000u);
    }
}

TEST_F(RunTest, LoadsTheOtherSourcesWhenOneCannotBeRead) {
  const Lines lines(500);
  const auto good = file("a.line", lines.text);
  const auto last = file("c.line", lines.text);
  fs::create_directory(folder_ / "folder.line");
  const auto outcome = load({good, folder_ / "missing.line", folder_ / "folder.line", last});
  EXPECT_FALSE(outcome.result.error);
  EXPECT_EQ(outcome.result.sources[0].error, "");
  EXPECT_NE(outcome.result.sources[1].error.find("missing.line"), std::string::npos) << outcome.result.sources[1].error;
  EXPECT_NE(outcome.result.sources[2].error, "");
  EXPECT_EQ(outcome.result.sources[3].error, "");
  EXPECT_EQ(outcome.sources[0].written, lines.good_lines.size());
  EXPECT_EQ(outcome.sources[1].read, 0u);
  EXPECT_EQ(outcome.sources[3].read, outcome.sources[0].read);
  EXPECT_EQ(reject_lines(outcome.rejects.at("c.line.rejects.line.reasons.jsonl")), lines.bad_lines)
      << "lines are counted a source";
}

TEST_F(RunTest, RejectsARecordThatIsTooLongAsOneRow) {
  const std::string long_line = "m0,host=h1 s=\"" + std::string(50'000, 'x') + "\" 5";
  const std::string text = "m0,host=h1 a=1i 1\n" + long_line + "\nm0,host=h1 a=2i 2\nbroken\n" + long_line;
  Settings settings;
  settings.chunk_bytes = 2'000;
  settings.max_record = 4'000;
  const auto outcome = load({file("a.line", text), file("b.line", "m0,host=h1 a=3i 3\n" + long_line + "\n")}, settings);
  EXPECT_FALSE(outcome.result.error);
  EXPECT_EQ(outcome.sources[0].read, 5u);
  EXPECT_EQ(outcome.sources[0].written, 2u);
  EXPECT_EQ(outcome.sources[0].rejected, 3u);
  EXPECT_EQ(outcome.sources[1].rejected, 1u);
  EXPECT_EQ(outcome.settled[0].offset, text.size());
  EXPECT_EQ(outcome.rejects.at("a.line.rejects.line"), long_line + "\nbroken\n" + long_line + "\n");
  EXPECT_EQ(reject_lines(outcome.rejects.at("a.line.rejects.line.reasons.jsonl")),
            (std::vector<std::uint64_t>{2, 4, 5}));
  EXPECT_EQ(outcome.rejects.at("b.line.rejects.line"), long_line + "\n");
}

TEST_F(RunTest, LoadsCsvWithQuotedNewlinesAndCountsItsLines) {
  std::string text = "ts,name,v\n";
  std::vector<std::uint64_t> bad;
  std::uint64_t line = 1;
  std::uint64_t good = 0;
  for (int i = 0; i < 3'000; ++i) {
    const std::string time = fmt::format("2024-01-01 00:{:02}:{:02}.{:03}", i / 60 % 60, i % 60, i % 1000);
    ++line;
    if (i % 111 == 50) {
      text += fmt::format("no time,x,{}\n", i);
      bad.push_back(line);
    } else if (i % 7 == 3) {
      text += fmt::format("{},\"two\nlines\",{}\n", time, i);
      ++line;
      ++good;
    } else {
      text += fmt::format("{},plain,{}\n", time, i);
      ++good;
    }
  }
  std::optional<Outcome> first;
  for (const std::size_t chunk_bytes : {std::size_t{2'000}, std::size_t{1} << 20}) {
    Settings settings;
    settings.chunk_bytes = chunk_bytes;
    const auto outcome = load({file("a.csv", text)}, settings);
    ASSERT_FALSE(outcome.result.error);
    EXPECT_EQ(outcome.sources[0].written, good);
    EXPECT_EQ(outcome.sources[0].read, good + bad.size());
    EXPECT_EQ(reject_lines(outcome.rejects.at("a.csv.rejects.csv.reasons.jsonl")), bad);
    EXPECT_TRUE(outcome.rejects.at("a.csv.rejects.csv").starts_with("ts,name,v\nno time,x,50\n"));
    if (!first) first = outcome;
    EXPECT_EQ(outcome.children, first->children);
  }
}

TEST_F(RunTest, StopsInTheMiddleWithEveryRowAccountedFor) {
  const Lines lines(6'000);
  const auto path = file("a.line", lines.text);
  const auto whole = load({path});
  Settings settings;
  settings.chunk_bytes = 5'000;
  int chunks = 0;
  settings.look = [&](sink::ParsedChunk&, std::stop_source& stop) {
    if (++chunks == 10) stop.request_stop();
  };
  const auto part = load({path}, settings);
  EXPECT_TRUE(part.result.interrupted);
  EXPECT_FALSE(part.result.error);
  EXPECT_EQ(part.sources[0].not_done(), 0u) << "what was read is still written";
  EXPECT_LT(part.sources[0].written, lines.good_lines.size());
  const auto settled = part.settled[0].offset;
  ASSERT_GT(settled, 0u);
  EXPECT_EQ(lines.text[settled - 1], '\n');
  // Going on behind the settled offset gives the rest, no more and no less.
  const auto rest = load({file("rest.line", lines.text.substr(settled))});
  EXPECT_EQ(part.sources[0].read + rest.sources[0].read, whole.sources[0].read);
  auto both = part.children;
  for (const auto& [child, rows] : rest.children) both[child].insert(both[child].end(), rows.begin(), rows.end());
  std::map<std::string, std::size_t> counts, expected;
  for (const auto& [child, rows] : both) counts[child] = rows.size();
  for (const auto& [child, rows] : whole.children) expected[child] = rows.size();
  // Type conflicts at the cut may be decided by what came before; everything else is the same.
  std::size_t sum = 0, all = 0;
  for (const auto& [child, n] : counts) sum += n;
  for (const auto& [child, n] : expected) all += n;
  EXPECT_EQ(sum, all);
}

TEST_F(RunTest, EndsAtTheRejectLimitAndStillWritesWhatCameBefore) {
  const Lines lines(6'000);
  Settings settings;
  settings.chunk_bytes = 5'000;
  settings.max_rejects = 20;
  const auto outcome = load({file("a.line", lines.text)}, settings);
  ASSERT_TRUE(outcome.result.error);
  EXPECT_FALSE(outcome.result.interrupted);
  try {
    std::rethrow_exception(outcome.result.error);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::limit);
  }
  EXPECT_GT(outcome.sources[0].written, 500u);
  EXPECT_GE(outcome.sources[0].rejected, 21u);
  EXPECT_LT(outcome.settled[0].offset, lines.text.size());
}

TEST_F(RunTest, StopsBeforeMoreChildTablesThanAllowedWithEveryRowInTheBooks) {
  std::string text;
  for (int i = 0; i < 3'000; ++i) text += fmt::format("m,id=r{} v={}i {}\n", i / 2, i, i + 1);
  const auto path = file("a.line", text);
  std::optional<Outcome> first;
  for (const std::size_t chunk_bytes : {std::size_t{2'000}, std::size_t{1} << 20})
    for (const unsigned threads : {1U, 4U}) {
      Settings settings;
      settings.chunk_bytes = chunk_bytes;
      settings.threads = threads;
      settings.max_child_tables = 1'000;
      const auto outcome = load({path}, settings);
      ASSERT_TRUE(outcome.result.error);
      try {
        std::rethrow_exception(outcome.result.error);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::limit);
        EXPECT_NE(std::string(error.what()).find("--max-child-tables"), std::string::npos) << error.what();
      }
      EXPECT_EQ(outcome.children.size(), 1'000u);
      EXPECT_EQ(outcome.sources[0].written, 2'000u) << "all rows before, none behind";
      EXPECT_GT(outcome.sources[0].not_done(), 0u) << "the rest of the chunk is in the books";
      EXPECT_LT(outcome.settled[0].offset, text.size());
      if (!first) first = outcome;
      EXPECT_EQ(outcome.children, first->children);
    }
  Settings enough;
  enough.max_child_tables = 1'500;
  EXPECT_FALSE(load({path}, enough).result.error);
}

TEST_F(RunTest, EndsWhenAWriterFailsAndKeepsTheBooks) {
  const Lines lines(20'000);
  std::atomic<int> windows{0};
  Settings settings;
  settings.chunk_bytes = 5'000;
  settings.before_write = [&] {
    if (++windows == 4) throw Error(Errc::unreachable, "the server is gone");
  };
  const auto outcome = load({file("a.line", lines.text)}, settings);
  ASSERT_TRUE(outcome.result.error);
  EXPECT_FALSE(outcome.result.interrupted) << "nobody asked for a stop";
  const auto& source = outcome.sources[0];
  EXPECT_GT(source.not_done(), 0u);
  EXPECT_GT(source.written, 0u);
  EXPECT_LT(outcome.settled[0].offset, lines.text.size());
}

TEST_F(RunTest, TakesEmptyFilesAndFilesOfNothingButComments) {
  const auto outcome = load({file("a.line", ""), file("b.line", "# nothing\n\n# here\n"), file("c.line", "m f=1 1")});
  EXPECT_FALSE(outcome.result.error);
  EXPECT_EQ(outcome.sources[0].read, 0u);
  EXPECT_EQ(outcome.sources[1].read, 0u);
  EXPECT_EQ(outcome.sources[2].written, 1u);
  EXPECT_EQ(outcome.settled[1].offset, 18u);
  EXPECT_TRUE(outcome.rejects.empty());
}

}  // namespace
}  // namespace penstock::pipeline
