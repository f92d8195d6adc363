#include "io/cutter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "io/support.h"

namespace penstock::io {
namespace {

using Kind = Cut::Kind;

struct Taken {
  Kind kind;
  std::string text;
  bool operator==(const Taken&) const = default;
};

void PrintTo(const Taken& taken, std::ostream* out) {
  *out << static_cast<int>(taken.kind) << ":" << ::testing::PrintToString(taken.text);
}

struct Sizes {
  std::size_t chunk;
  std::size_t record;
};

/// Cuts `text`; `step` bytes become visible at a time (0: all at once).
std::vector<Taken> cut_all(const Cutting& cutting, Sizes sizes, std::string_view text, std::size_t step) {
  Cutter cutter(cutting, sizes.chunk, sizes.record);
  std::vector<Taken> taken;
  std::size_t at = 0;
  std::size_t seen = step == 0 ? text.size() : std::min(step, text.size());
  bool last = step == 0;  // a stream learns only by asking again that nothing comes
  for (std::size_t round = 0; round < 10 * text.size() + 100; ++round) {
    const Cut cut = cutter.cut(text.substr(at, seen - at), last);
    if (cut.kind == Kind::end) return taken;
    if (cut.kind == Kind::need_more) {
      EXPECT_FALSE(last);
      last = seen == text.size();
      EXPECT_GT(cut.bytes, seen - at);
      seen = std::min(seen + step, text.size());
      continue;
    }
    EXPECT_GT(cut.bytes, 0u);
    taken.push_back({cut.kind, std::string(text.substr(at, cut.bytes))});
    at += cut.bytes;
  }
  ADD_FAILURE() << "cutting does not come to an end";
  return taken;
}

const Cutting kLines;
const Cutting kCsv{Splitting::csv, {}};

std::string joined(const std::vector<Taken>& taken) {
  std::string text;
  for (const Taken& t : taken) text += t.text;
  return text;
}

/// Ends of records by the definition, one state machine over the whole text.
std::vector<std::size_t> record_ends(const Cutting& cutting, std::string_view text) {
  std::vector<std::size_t> ends;
  simd::CsvState state = simd::CsvState::field_start;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool end =
        cutting.splitting == Splitting::csv ? simd::csv_step(text[i], cutting.marks, state) : text[i] == '\n';
    if (end) ends.push_back(i + 1);
  }
  return ends;
}

TEST(Cutter, GivesTheTextBackInWholeRecordsWhateverTheSizes) {
  std::mt19937 random(7);
  for (const Cutting& cutting : {kLines, kCsv}) {
    for (int round = 0; round < 6; ++round) {
      const std::string text = test::tricky_csv(random, 12) + (round % 2 == 0 ? "last,without,newline" : "");
      const std::vector<std::size_t> ends = record_ends(cutting, text);
      for (std::size_t chunk = 1; chunk <= text.size() + 2; ++chunk) {
        const auto whole = cut_all(cutting, {chunk, 1 << 20}, text, 0);
        EXPECT_EQ(joined(whole), text);
        std::size_t at = 0;
        for (const Taken& t : whole) {
          EXPECT_EQ(t.kind, Kind::records);
          const std::size_t begin = at;
          at += t.text.size();
          EXPECT_TRUE(at == text.size() || std::binary_search(ends.begin(), ends.end(), at)) << chunk << " " << at;
          // As much as fits, and never two records where one is already too long.
          const auto next_end = std::upper_bound(ends.begin(), ends.end(), at);
          if (next_end != ends.end()) {
            EXPECT_GT(*next_end - begin, chunk);
          }
          const auto first_end = std::upper_bound(ends.begin(), ends.end(), begin);
          if (t.text.size() > chunk && first_end != ends.end()) {
            EXPECT_GE(*first_end, at);
          }
        }
        EXPECT_EQ(cut_all(cutting, {chunk, 1 << 20}, text, chunk % 7 + 1), whole) << chunk;
      }
    }
  }
}

TEST(Cutter, CutsTheSameFromAnyWindows) {
  std::mt19937 random(11);
  const std::string_view alphabet = "\"\"\n,ab\\";
  for (int round = 0; round < 400; ++round) {
    std::string text(random() % 200, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    Cutting csv = kCsv;
    if (round % 3 == 0) csv.marks.escape = '\\';
    for (const Cutting& cutting : {kLines, csv}) {
      for (const Sizes sizes : {Sizes{1, 1}, {4, 16}, {16, 16}, {64, 20}, {7, 1000}}) {
        const auto whole = cut_all(cutting, sizes, text, 0);
        EXPECT_EQ(joined(whole), text);
        for (const std::size_t step : {1u, 3u, 50u}) {
          EXPECT_EQ(cut_all(cutting, sizes, text, step), whole)
              << ::testing::PrintToString(text) << " chunk " << sizes.chunk << " record " << sizes.record;
        }
      }
    }
  }
}

// Cuts as a source that can be read anywhere does: by the end of a chunk alone where that tells.
TEST(Cutter, CutsLinesTheSameByTheEndOfAChunk) {
  std::mt19937 random(20261123);
  std::size_t by_end = 0;
  std::size_t not_told = 0;
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const auto lines = random() % 60;
    for (unsigned line = 0; line < lines; ++line) {
      text.append(random() % (random() % 8 == 0 ? 120 : 20), 'x');
      text += '\n';
    }
    if (random() % 3 == 0) text.append(random() % 40, 'y');
    const Sizes sizes{1 + random() % 70, 1 + random() % 100};
    Cutter cutter(kLines, sizes.chunk, sizes.record);
    const std::size_t look = 1 + random() % cutter.chunk_bytes();
    std::vector<Taken> taken;
    for (std::size_t at = 0;;) {
      const std::string_view rest = std::string_view(text).substr(at);
      Cut cut;
      if (rest.size() > cutter.chunk_bytes()) {
        cut = cutter.cut_by_end(rest.substr(0, cutter.chunk_bytes()).substr(cutter.chunk_bytes() - look));
        ++(cut.kind == Kind::need_more ? not_told : by_end);
      }
      if (cut.kind == Kind::need_more) cut = cutter.cut(rest, true);
      if (cut.kind == Kind::end) break;
      taken.push_back({cut.kind, std::string(rest.substr(0, cut.bytes))});
      at += cut.bytes;
    }
    ASSERT_EQ(taken, cut_all(kLines, sizes, text, 0)) << round;
  }
  EXPECT_GT(by_end, 300u);
  EXPECT_GT(not_told, 300u);
  Cutter csv(kCsv, 10, 20);
  EXPECT_EQ(csv.cut_by_end("a\nb").kind, Kind::need_more);  // the newline may stand between quotes
}

TEST(Cutter, CutsARecordBeyondTheLimitIntoPieces) {
  const std::string text = "ab\n" + std::string(25, 'x') + "\ncd\n" + std::string(30, 'y');
  const std::vector<Taken> expected = {{Kind::records, "ab\n"},
                                       {Kind::oversized, std::string(10, 'x')},
                                       {Kind::oversized, std::string(8, 'x')},
                                       {Kind::oversized_end, std::string(7, 'x') + "\n"},
                                       {Kind::records, "cd\n"},
                                       {Kind::oversized, std::string(10, 'y')},
                                       {Kind::oversized, std::string(8, 'y')},
                                       {Kind::oversized, std::string(8, 'y')},
                                       {Kind::oversized_end, std::string(4, 'y')}};
  for (const std::size_t step : {0u, 1u, 5u}) {
    EXPECT_EQ(cut_all(kLines, {8, 10}, text, step), expected);
    EXPECT_EQ(cut_all(kCsv, {8, 10}, text, step), expected);
  }
  // Exactly the limit is no excess; a last piece is never empty.
  EXPECT_EQ(cut_all(kLines, {8, 10}, "123456789\n", 0), (std::vector<Taken>{{Kind::records, "123456789\n"}}));
  EXPECT_EQ(cut_all(kLines, {8, 10}, "1234567890", 1), (std::vector<Taken>{{Kind::records, "1234567890"}}));
  EXPECT_EQ(cut_all(kLines, {9, 9}, "123456789123456789", 1),
            (std::vector<Taken>{{Kind::oversized, "123456789"}, {Kind::oversized_end, "123456789"}}));
}

TEST(Cutter, RejectsOnlyTheLineOfAQuoteWithoutAnEnd) {
  const std::string text = "a,b\nc,\"open\nd,e\nf,g\n";
  const std::vector<Taken> expected = {
      {Kind::records, "a,b\n"}, {Kind::broken_quote, "c,\"open\n"}, {Kind::records, "d,e\nf,g\n"}};
  EXPECT_EQ(cut_all(kCsv, {100, 1000}, text, 0), expected);  // the end of the source
  EXPECT_EQ(cut_all(kCsv, {100, 1000}, text, 1), expected);
  // The limit. The first line of the record goes: any of its quotes may be the wrong one.
  const auto taken = cut_all(kCsv, {10, 30}, "x,\"a\nz\n" + std::string(40, '\n'), 0);
  ASSERT_GE(taken.size(), 2u);
  EXPECT_EQ(taken[0], (Taken{Kind::broken_quote, "x,\"a\n"}));
  EXPECT_EQ(taken[1].kind, Kind::records);
  EXPECT_EQ(taken[1].text.substr(0, 2), "z\n");
}

TEST(Cutter, ReadsAQuotedFieldUpToTheLimit) {
  const std::string text = "a\n\"" + std::string(90, '\n') + "\"\nb\n";
  const std::vector<Taken> expected = {
      {Kind::records, "a\n"}, {Kind::records, text.substr(2, 93)}, {Kind::records, "b\n"}};
  EXPECT_EQ(cut_all(kCsv, {10, 93}, text, 0), expected);
  EXPECT_EQ(cut_all(kCsv, {10, 91}, text, 0)[1].kind, Kind::broken_quote);
}

TEST(Cutter, ComesToAnEndWhereEveryLineHasABrokenQuote) {
  // Each line leaves a quote open whether it starts inside quotes or outside.
  std::string text;
  while (text.size() < 4'000'000) text += ",\"x\"y,\"\n";
  std::size_t lines = 0;
  Cutter cutter(kCsv, 1 << 20, 16 << 20);
  std::string_view rest = text;
  while (lines < 200) {
    const Cut cut = cutter.cut(rest, true);
    ASSERT_EQ(cut.kind, Kind::broken_quote);
    ASSERT_EQ(cut.bytes, 8u);
    rest.remove_prefix(cut.bytes);
    ++lines;
  }
}

TEST(Cutter, FlushesWholeRecordsOfASourceThatPauses) {
  for (const Cutting& cutting : {kLines, kCsv}) {
    Cutter cutter(cutting, 100, 1000);
    const std::string text = "a,1\nb,\"2\"\nc,";
    EXPECT_EQ(cutter.cut(text, false).kind, Kind::need_more);
    EXPECT_EQ(cutter.flush(text), 10u);
    EXPECT_EQ(cutter.flush("c,"), 0u);
    EXPECT_EQ(cutter.flush("c,3\nd"), 4u);
    EXPECT_EQ(cutter.cut("d", true).kind, Kind::records);
    EXPECT_EQ(cutter.cut("", true).kind, Kind::end);
  }
}

const Cutting kJson{Splitting::json, {}};

/// Records of JSON text, each with its place.
std::vector<std::string> json_records(std::string_view text, std::size_t offset = 0) {
  std::vector<std::string> found;
  for (;;) {
    const auto record = simd::next_json_record(text, true);
    if (record.kind == simd::JsonRecord::Kind::none) return found;
    found.push_back(std::to_string(offset + record.begin) +
                    (record.kind == simd::JsonRecord::Kind::object ? " object " : " broken ") +
                    std::string(text.substr(record.begin, record.end - record.begin)));
    text.remove_prefix(record.end);
    offset += record.end;
  }
}

std::string tricky_json(std::mt19937& random, std::size_t pieces) {
  static const std::vector<std::string> kPieces{R"({"m":"a","t":{"x":"]},{"}})",
                                                R"({"m":"b\\"})",
                                                R"({"m":"c,"t":1})",
                                                R"({"m":"d","t":{"x":1})",
                                                R"({"m":"e)",
                                                "\n",
                                                "\r\n",
                                                ",",
                                                "[",
                                                "]",
                                                "][",
                                                " ",
                                                "junk",
                                                "5",
                                                "\"s\"",
                                                "}",
                                                "{"};
  std::string text;
  for (std::size_t i = 0; i < pieces; ++i) text += kPieces[random() % kPieces.size()];
  return text;
}

TEST(Cutter, JsonGivesTheSameRecordsWhereverItCuts) {
  std::mt19937 random(13);
  for (int round = 0; round < 200; ++round) {
    const std::string text = tricky_json(random, 1 + random() % 14);
    const auto expected = json_records(text);
    for (std::size_t chunk = 1; chunk <= text.size() + 2; chunk += 1 + chunk / 4) {
      const auto whole = cut_all(kJson, {chunk, 1 << 20}, text, 0);
      EXPECT_EQ(joined(whole), text);
      std::vector<std::string> got;
      std::size_t at = 0;
      for (const Taken& t : whole) {
        EXPECT_EQ(t.kind, Kind::records);
        for (auto& record : json_records(t.text, at)) got.push_back(std::move(record));
        at += t.text.size();
      }
      ASSERT_EQ(got, expected) << chunk << "\n" << text;
      ASSERT_EQ(cut_all(kJson, {chunk, 1 << 20}, text, chunk % 5 + 1), whole) << chunk << "\n" << text;
      const auto small = cut_all(kJson, {chunk, 20}, text, 0);
      EXPECT_EQ(joined(small), text);
      ASSERT_EQ(cut_all(kJson, {chunk, 20}, text, 3), small) << chunk << "\n" << text;
    }
  }
}

TEST(Cutter, JsonPastTheLimitEndsWhereTheNextObjectStarts) {
  const std::string good = R"({"m":"g"})", huge = R"({"m":")" + std::string(100, 'x') + R"("})";
  for (const std::string between : {",", "\n", "", "][", ",\n "}) {
    const std::string text = good + between + huge + between + good;
    for (std::size_t step = 0; step < 5; ++step) {
      const auto taken = cut_all(kJson, {16, 40}, text, step);
      EXPECT_EQ(joined(taken), text);
      std::string oversized;
      for (const Taken& t : taken)
        if (t.kind != Kind::records) oversized += t.text;
      EXPECT_NE(oversized.find(huge), std::string::npos);
      EXPECT_EQ(oversized.find(good), std::string::npos) << oversized;
      EXPECT_EQ(json_records(taken.front().text).size(), 1u);
      EXPECT_EQ(json_records(taken.back().text).size(), 1u);
    }
  }
}

TEST(Cutter, JsonOfAPausedPipeGivesItsWholeObjects) {
  Cutter cutter(kJson, 1 << 20, 16 << 20);
  EXPECT_EQ(cutter.flush(R"([{"m":1},{"m":2},{"m":)"), 16u);
  EXPECT_EQ(cutter.flush(R"(,{"m":)"), 0u);
  EXPECT_EQ(cutter.flush(",{\"m\":3}\n"), 9u);
}

}  // namespace
}  // namespace penstock::io
