#include "format/telnet_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "format/line_test_text.h"

namespace penstock::format {
namespace {

using Parsed = ParsedLines<TelnetParser, TelnetOptions>;

TEST(TelnetParser, GivesTypedRowsWithTheirPlaces) {
  Parsed parsed(
      "sys.if.bytes.out 1626006833 1.5 host=web01 interface=eth0\n"
      "sys.if.bytes.out 1626006834123 2 host=web01 interface=eth0\nm 1626006833 \"a\\\"b\" t=x");
  EXPECT_EQ(parsed.all,
            (std::vector<std::string>{
                "sys_if_bytes_out/t_f67972b49aa8adf8bca5d0d54f0d850d 1626006833000000000 [0+57] "
                "_value:DOUBLE=4609434218613702656",
                "sys_if_bytes_out/t_f67972b49aa8adf8bca5d0d54f0d850d 1626006834123000000 [58+58] "
                "_value:DOUBLE=4611686018427387904",
                "m/t_1ce2bedb5cede152d56f10d3b5e3ec66 1626006833000000000 [117+23] _value:VARCHAR=a\\\"b"}));
  ASSERT_EQ(parsed.rows.shapes().size(), 2u);
  EXPECT_EQ(parsed.rows.shapes()[0].rows, 2u);
  EXPECT_EQ(parsed.rows.shapes()[1].max_length, (std::vector<std::uint32_t>{4}));
  EXPECT_EQ(parsed.rows.lines(), 2u);
  EXPECT_EQ(parsed.rows.time_unit(), data::Precision::nanoseconds);
}

class TelnetRules : public testing::TestWithParam<LineCase> {};

TEST_P(TelnetRules, AnswerAsTheServer) { expect_outcome<Parsed>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Table, TelnetRules,
    testing::Values(LineCase{"m 1626006833 1 t=a", 0}, LineCase{"  m   1626006833   1   t=a   u=b  ", 0},
                    LineCase{"put m 1626006833 1 t=a", 0}, LineCase{"put 1626006833 1.5 t=a", 0},
                    LineCase{"put 123 1626006833 1 t=a", 0}, LineCase{"put  m  1626006833 1 t=a", 0},
                    LineCase{"#m 1626006833 1 t=a", 0}, LineCase{"m 0000000001 1 t=a", 0}, LineCase{"m 0 1 t=a", 0},
                    LineCase{"m +162600683 1 t=a", 0}, LineCase{"m 1626006833 1i8 t=\"a\"", 0},
                    LineCase{"m 1626006833 b\"\\x41\" t=a,b", 0}, LineCase{"m 1626006833 nan t=a", 0},
                    LineCase{"version", 0x020A, 1}, LineCase{"stats", 0x020A, 1}, LineCase{"help ", 0x3002, 6},
                    LineCase{"m 1626006833", 0x3002, 3}, LineCase{"m 1626006833 1", 0x0203, 14},
                    LineCase{"m 1626006833 1 ", 0x0203, 16}, LineCase{"m 1626006833 t=a", 0x0203, 14},
                    LineCase{"PUT m 1626006833 1 t=a", 0x0127, 5}, LineCase{"m 5 1 t=a", 0x0127, 3},
                    LineCase{"m -162600683 1 t=a", 0x0127, 3}, LineCase{"m 1626006833.63 1 t=a", 0x0127, 3},
                    LineCase{"m 16260068336390 1 t=a", 0x0127, 3}, LineCase{"m 1626006833 oops t=a", 0x0203, 14},
                    LineCase{"m 1626006833 \"a b\" t=a", 0x0203, 14}, LineCase{"m 1626006833 300i8 t=a", 0x0203, 14},
                    LineCase{"m 1626006833 b\"\\x4\" t=a", 0x0203, 14}, LineCase{"m 1626006833 1 t", 0x021F, 16},
                    LineCase{"m 1626006833 1 =a", 0x021F, 16}, LineCase{"m 1626006833 1 t = a", 0x3002, 16},
                    LineCase{"m 1626006833 1 t=a=b", 0x3002, 19}, LineCase{"m 1626006833 1 t= u=a", 0x0203, 18},
                    LineCase{"m 1626006833 1 t=a t=b", 0x263C, 2}, LineCase{"m 1626006833 1 _value=b", 0x263C, 2},
                    LineCase{"m 1626006833 1 _ts=b", 0x263C, 2}, LineCase{"m 1626006833 1 t=\xff", 0x0200, 16},
                    LineCase{"m 1626006833 L\"\xff\" t=a", 0x0200, 14}),
    [](const auto& tested) { return fmt::format("case{}", tested.index); });

TEST(TelnetParser, RefusesWhatIsTooLongOrTooMany) {
  const auto code = [](const std::string& line) {
    Parsed parsed(line + "\n");
    return parsed.rows.rejects().empty() ? 0 : parsed.rows.rejects()[0].reason.code;
  };
  EXPECT_EQ(code(std::string(192, 'm') + " 1626006833 1 t=a"), 0);
  EXPECT_EQ(code(std::string(193, 'm') + " 1626006833 1 t=a"), 0x020A);
  EXPECT_EQ(code("m 1626006833 1 " + std::string(64, 't') + "=1"), 0);
  EXPECT_EQ(code("m 1626006833 1 " + std::string(65, 't') + "=1"), 0x021F);
  EXPECT_EQ(code("m 1626006833 1 t=" + std::string(4'095, 't')), 0);
  EXPECT_EQ(code("m 1626006833 1 t=" + std::string(4'096, 't')), 0x2642);
  EXPECT_EQ(code("m 1626006833 \"" + std::string(65'517, 't') + "\" t=1"), 0);
  EXPECT_EQ(code("m 1626006833 \"" + std::string(65'518, 't') + "\" t=1"), 0x0203);
  std::string tags = "m 1626006833 1";
  for (int i = 0; i < 128; ++i) tags += fmt::format(" t{}=1", i);
  EXPECT_EQ(code(tags), 0);
  EXPECT_EQ(code(tags + " u=1"), 0x2643);
}

TEST(TelnetParser, SaturatesTimesAndKeepsToTheRange) {
  const auto time = [](std::string_view stamp) {
    Parsed parsed(fmt::format("m {0} 1 t=a\nm {0} 1 t=a\n", stamp));  // the second is predicted
    EXPECT_EQ(parsed.all.size(), 2u);
    std::set<std::int64_t> times;
    parsed.rows.for_each_row([&](const data::Row& row) { times.insert(row.time); });
    return times.size() == 1 ? *times.begin() : -1;
  };
  EXPECT_EQ(time("1626006833"), 1'626'006'833'000'000'000);
  EXPECT_EQ(time("1626006833639"), 1'626'006'833'639'000'000);
  EXPECT_EQ(time("0000000000"), 0);
  EXPECT_EQ(time("9999999999"), INT64_MAX);
  EXPECT_EQ(time("9999999999999"), INT64_MAX);
  TelnetOptions options;
  options.range = {1'000'000'000'000'000'000, INT64_MAX - 1};
  options.clock = [] { return std::int64_t{1'500'000'000'000'000'000}; };
  Parsed parsed("m 0 1 t=a\nm 0000000005 1 t=a\nm 9999999999 1 t=a\nm 0000000005 1 t=b\n", options);
  ASSERT_EQ(parsed.all.size(), 1u);
  EXPECT_NE(parsed.all[0].find(" 1500000000000000000 "), std::string::npos);
  ASSERT_EQ(parsed.rows.rejects().size(), 3u);
  for (const auto& reject : parsed.rows.rejects()) EXPECT_EQ(reject.reason.code, 0x060B);
  EXPECT_EQ(parsed.registry.child_count(), 1u) << "a record that is refused leaves no child table behind";
}

TEST(TelnetParser, PassesOverWhatFilesHaveBesideRecords) {
  const std::string text =
      "\xEF\xBB\xBFput m 1626006833 1 t=a  u=b\r\n\r\n   \nm 1626006834 2 t=a u=b\r\nput m 0 3 t=a  u=b\r";
  Parsed parsed(text, {}, 0);
  EXPECT_EQ(parsed.all.size(), 3u);
  EXPECT_TRUE(parsed.rows.rejects().empty());
  EXPECT_EQ(parsed.registry.child_count(), 1u);
  EXPECT_EQ(parsed.rows.lines(), 4u);
  EXPECT_NE(parsed.all[0].find(" [3+27] "), std::string::npos) << parsed.all[0];
  TelnetOptions strict;
  strict.payload_rules = true;
  Parsed payload("m 1626006833 1 t=a\r\n\nput m 1626006833 1 t=a\nm 1626006833 1 t=a\r\n", strict);
  EXPECT_EQ(payload.all.size(), 2u);
  ASSERT_EQ(payload.rows.rejects().size(), 2u);
  EXPECT_EQ(payload.rows.rejects()[0].reason.code, 0x020A);
  EXPECT_EQ(payload.rows.rejects()[1].reason.code, 0x0127);
}

TEST(TelnetParser, FindsTheKeywordPut) {
  EXPECT_EQ(put_keyword("put m 1 2 t=a"), 4u);
  EXPECT_EQ(put_keyword("put   m 1 2 t=a"), 6u);
  EXPECT_EQ(put_keyword("put 1626006833 1.5 t=a"), 0u);
  EXPECT_EQ(put_keyword("put 1626006833 1626006834 1.5 t=a"), 4u) << "a metric made of digits";
  EXPECT_EQ(put_keyword("puts 1 2 t=a"), 0u);
  EXPECT_EQ(put_keyword("put"), 3u);
  EXPECT_EQ(put_keyword(""), 0u);
}

TEST(TelnetParser, KeepsMetricAndTagsApart) {
  Parsed parsed("a 1626006833 1 bc=1\nab 1626006833 2 c=1\na 1626006833 1 bc=1\nab 1626006833 2 c=1\n");
  ASSERT_EQ(parsed.all.size(), 4u);
  EXPECT_EQ(parsed.registry.child_count(), 2u);
  EXPECT_EQ(parsed.all[0].substr(0, 2), "a/");
  EXPECT_EQ(parsed.all[1].substr(0, 3), "ab/");
  EXPECT_EQ(parsed.all[3].substr(0, 3), "ab/");
}

TEST(TelnetParser, LeavesTagsOutOrMakesColumnsOfThem) {
  TelnetOptions options;
  options.naming.drop_tags = {"request"};
  options.naming.tags_as_columns = {"pid"};
  Parsed parsed(
      "m 1626006833 1 host=a request=r1 pid=17\nm 1626006834 2 request=r2 host=a pid=18\nm 1626006835 3 host=a\n"
      "m 1626006835 3 request=only\nm 1626006835 3 host=a pid=1 pid=2\n",
      options);
  const Parsed plain("m 1626006833 1 host=a\n");
  const auto child = plain.all[0].substr(0, plain.all[0].find(' '));
  ASSERT_EQ(parsed.all.size(), 4u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(parsed.all[static_cast<std::size_t>(i)].starts_with(child + " "));
  EXPECT_TRUE(parsed.all[1].ends_with(" _value:DOUBLE=4611686018427387904 pid:NCHAR=18")) << parsed.all[1];
  EXPECT_TRUE(parsed.all[2].ends_with("+21] _value:DOUBLE=4613937818241073152")) << parsed.all[2];
  EXPECT_FALSE(parsed.all[3].starts_with(child)) << "no tag is left: a child table of its own";
  ASSERT_EQ(parsed.rows.rejects().size(), 1u);
  EXPECT_EQ(parsed.rows.rejects()[0].reason.code, 0x263C);
  EXPECT_EQ(parsed.rows.shapes()[0].max_length, (std::vector<std::uint32_t>{0, 2}));
}

// Records as they come, with their errors.
std::string random_text(unsigned seed, std::size_t lines) {
  std::mt19937 random(seed);
  static constexpr const char* kPieces[] = {"m",
                                            "cpu.load",
                                            "put ",
                                            " ",
                                            "  ",
                                            "1626006833",
                                            "1626006833639",
                                            "0",
                                            "1.5",
                                            "-7",
                                            "1e5",
                                            "12i32",
                                            "true",
                                            "\"text\"",
                                            "L\"ä\"",
                                            "t=a",
                                            "u=b",
                                            "=",
                                            "t=",
                                            "=a",
                                            "\r",
                                            "#",
                                            "\\",
                                            "\"",
                                            "1626006833 1 t=a",
                                            "nan",
                                            "\t",
                                            "b\"\\x41\""};
  std::string text;
  for (std::size_t i = 0; i < lines; ++i) {
    if (random() % 3 == 0) {
      for (unsigned pieces = random() % 8; pieces > 0; --pieces) text += kPieces[random() % std::size(kPieces)];
    } else {
      const auto blank = random() % 8 == 0 ? "  " : " ";
      text += fmt::format("{}metric.{}{}{}{}{}{}host=h{}{}dc=d{}", random() % 4 == 0 ? "put " : "", random() % 5, blank,
                          random() % 2 == 0 ? 1'626'006'833 : 1'626'006'833'639, blank, kPieces[8 + random() % 7],
                          blank, random() % 9, blank, random() % 2);
      if (random() % 16 == 0) text += kPieces[random() % std::size(kPieces)];
    }
    if (random() % 10 == 0) text += '\r';
    text += '\n';
  }
  return text;
}

TEST(TelnetParser, PredictsWithoutChangingAnything) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const auto text = random_text(seed, 400);
    std::string all[2];
    for (const bool predict : {false, true}) {
      schema::Registry registry;
      TelnetOptions options;
      options.predict = predict;
      options.clock = [] { return std::int64_t{77}; };
      options.payload_rules = seed % 2 == 0;
      TelnetParser parser(registry, options);
      for (int pass = 0; pass < 2; ++pass) {
        const auto chunk = padded_chunk(text);
        data::RowSet rows;
        parser.parse(chunk, rows);
        all[predict] += all_text(registry, rows);
      }
    }
    ASSERT_EQ(all[0], all[1]) << "seed " << seed;
  }
}

TEST(TelnetParser, CountsEveryRecordOfAnyCut) {
  const auto text = random_text(7, 30);
  const auto reading = [&](std::size_t cut) {
    schema::Registry registry;
    TelnetOptions options;
    options.clock = [] { return std::int64_t{77}; };
    TelnetParser parser(registry, options);
    std::vector<std::string> all;
    for (const auto piece : {std::string_view(text).substr(0, cut), std::string_view(text).substr(cut)}) {
      const auto chunk = padded_chunk(piece);
      data::RowSet rows;
      parser.parse(chunk, rows);
      rows.for_each_row([&](const data::Row& row) {
        auto shown = row_text(registry, rows, row);
        all.push_back(shown.substr(0, shown.find('[')) + shown.substr(shown.find(']')));
      });
      for (const auto& reject : rows.rejects()) all.push_back(std::to_string(reject.reason.code));
    }
    std::sort(all.begin(), all.end());
    return all;
  };
  const auto whole = reading(0);
  EXPECT_GT(whole.size(), 20u);
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    if (text[cut - 1] != '\n') continue;
    EXPECT_EQ(reading(cut), whole) << cut;
  }
}

TEST(TelnetParser, SharesARegistryBetweenThreads) {
  schema::Registry registry;
  std::vector<std::thread> threads;
  std::atomic<std::size_t> rows_read{0};
  for (unsigned worker = 0; worker < 3; ++worker)
    threads.emplace_back([&, worker] {
      TelnetParser parser(registry, {});
      for (int pass = 0; pass < 5; ++pass) {
        std::string text;
        for (unsigned i = 0; i < 300; ++i)
          text += fmt::format("metric.{} 1626006833 {} host=h{}\n", (i + worker) % 7, i, (i * 13 + worker) % 50);
        const auto chunk = padded_chunk(text);
        data::RowSet rows;
        parser.parse(chunk, rows);
        rows_read += rows.row_count();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(rows_read, 3u * 5 * 300);
  EXPECT_EQ(registry.child_count(), 350u);
}

}  // namespace
}  // namespace penstock::format
