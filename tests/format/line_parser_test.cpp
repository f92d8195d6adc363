#include "format/line_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/error.h"
#include "format/line_kernels.h"
#include "format/line_test_text.h"

namespace penstock::format {
namespace {

using Parsed = ParsedLines<LineParser, LineOptions>;

TEST(LineParser, GivesTypedRowsWithTheirPlaces) {
  Parsed parsed("cpu,host=a u=58i,v=1.5,w=\"x\" 1626006833639000000\ncpu,host=a u=59i,v=-2,w=\"\" 1626006833639000001");
  EXPECT_EQ(parsed.all,
            (std::vector<std::string>{"cpu/t_630ceacf723a6a06ea68a91ab3ca11ee 1626006833639000000 [0+48] u:BIGINT=58 "
                                      "v:DOUBLE=4609434218613702656 w:VARCHAR=x",
                                      "cpu/t_630ceacf723a6a06ea68a91ab3ca11ee 1626006833639000001 [49+46] u:BIGINT=59 "
                                      "v:DOUBLE=13835058055282163712 w:VARCHAR="}));
  ASSERT_EQ(parsed.rows.shapes().size(), 1u) << "same keys and types share a shape";
  EXPECT_EQ(parsed.rows.shapes()[0].rows, 2u);
  EXPECT_EQ(parsed.rows.shapes()[0].max_length, (std::vector<std::uint32_t>{0, 0, 1}));
  EXPECT_EQ(parsed.rows.lines(), 1u);
  EXPECT_EQ(parsed.rows.time_unit(), data::Precision::nanoseconds);
}

class LineRules : public testing::TestWithParam<LineCase> {};

TEST_P(LineRules, AnswerAsTheServer) { expect_outcome<Parsed>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Table, LineRules,
    testing::Values(LineCase{"m,t=a f=1 1", 0}, LineCase{"m f=1", 0}, LineCase{"m, f=1", 0}, LineCase{"m,t=a, f=1", 0},
                    LineCase{"  m,t=a   f=1   1  ", 0}, LineCase{"m f=1, 1", 0}, LineCase{"m f=1 1 junk", 0},
                    LineCase{"m f=1 1\tx", 0}, LineCase{"m f=1 +1", 0}, LineCase{"m f=1 99999999999999999999", 0},
                    LineCase{"m,t=\"a f=1", 0}, LineCase{"  #x f=1", 0}, LineCase{"m\\ x,t\\=1=a\\,b f\\ g=1", 0},
                    LineCase{"m f=\"a,b c=d\"", 0}, LineCase{"m f=\"\\\\\"", 0}, LineCase{"m f=\xff", 0x0203, 5},
                    LineCase{",t=a f=1", 0x3002, 1}, LineCase{"m,,t=a f=1", 0x3002, 3}, LineCase{"m,t= f=1", 0x3002, 5},
                    LineCase{"m,t f=1", 0x3002, 4}, LineCase{"m,t", 0x021F, 3}, LineCase{"m,=a f=1", 0x021F, 3},
                    LineCase{"m,t=a=b f=1", 0x3002, 6}, LineCase{"m", 0x3002, 2}, LineCase{"m ", 0x3002, 3},
                    LineCase{"m f=", 0x3002, 5}, LineCase{"m f", 0x021F, 3}, LineCase{"m f=1,,g=2", 0x3002, 7},
                    LineCase{"m f=\"a", 0x3002, 5}, LineCase{"m f=\"a\"b\"", 0x3002, 5},
                    LineCase{"m f=\"a\"b", 0x0203, 5}, LineCase{"m f='a'", 0x0203, 5}, LineCase{"m f=tru", 0x0203, 5},
                    LineCase{"m f=1,g=1x 1", 0x0203, 9}, LineCase{"m f=1 abc", 0x0127, 7},
                    LineCase{"m f=1 00", 0x0127, 7}, LineCase{"m f=1 -5", 0x0127, 7}, LineCase{"m f=1 1.5", 0x0127, 7},
                    LineCase{"m,t=a,t=b f=1", 0x263C}, LineCase{"m f=1,f=2", 0x263C}, LineCase{"m,t=a t=1", 0x263C},
                    LineCase{"m _ts=1", 0x263C}, LineCase{"m,_ts=a f=1", 0x263C}, LineCase{"m f=L\"\xff\"", 0x0200, 5},
                    LineCase{"m,t=\xff f=1", 0x0200, 3}, LineCase{"m f=b\"\\x1\"", 0x266A, 5},
                    LineCase{"m f=g\"POINT(1)\"", 0x2803, 5}, LineCase{"m f=l", 0x0203, 5},
                    LineCase{"m f=g", 0x0203, 5}),
    [](const auto& param) { return fmt::format("case{}", param.index); });

TEST(LineParser, RefusesWhatIsTooLongOrTooMany) {
  const auto code = [](const std::string& line) {
    Parsed parsed(line + "\n");
    return parsed.rows.rejects().empty() ? 0 : parsed.rows.rejects()[0].reason.code;
  };
  EXPECT_EQ(code(std::string(192, 'm') + " f=1"), 0);
  EXPECT_EQ(code(std::string(193, 'm') + " f=1"), 0x020A);
  EXPECT_EQ(code(std::string(191, 'm') + "\\  f=1"), 0x020A) << "the server's client crashes on it";
  EXPECT_EQ(code("m " + std::string(64, 'f') + "=1"), 0);
  EXPECT_EQ(code("m " + std::string(65, 'f') + "=1"), 0x021F);
  EXPECT_EQ(code("m," + std::string(65, 't') + "=1 f=1"), 0x021F);
  EXPECT_EQ(code("m,t=" + std::string(16'379, 't') + " f=1"), 0);
  EXPECT_EQ(code("m,t=" + std::string(16'380, 't') + " f=1"), 0x2642);
  EXPECT_EQ(code("m f=\"" + std::string(65'517, 'x') + "\""), 0);
  EXPECT_EQ(code("m f=\"" + std::string(65'518, 'x') + "\""), 0x2642);
  EXPECT_EQ(code("m f=L\"" + std::string(16'380, 'x') + "\""), 0x2642);
  std::string tags = "m", fields = "m ";
  for (int i = 0; i < 128; ++i) tags += fmt::format(",t{}=1", i);
  EXPECT_EQ(code(tags + " f=1"), 0);
  EXPECT_EQ(code(tags + ",u=1 f=1"), 0x2643);
  EXPECT_EQ(code(tags + ",u=1 f=x"), 0x0203) << "the line is read to its end first";
  for (int i = 0; i < 4095; ++i) fields += fmt::format("{}f{}=1", i == 0 ? "" : ",", i);
  EXPECT_EQ(code(fields), 0);
  EXPECT_EQ(code(fields + ",g=1"), 0x2640);
  EXPECT_EQ(code("m,t=1 " + fields.substr(2)), 0x2640);
}

TEST(LineParser, GivesOneShapeToAllOrdersOfTheSameFields) {
  for (const bool predict : {false, true}) {
    LineOptions options;
    options.predict = predict;
    Parsed parsed(
        "m a=1i,bb=\"x\",c=t 1\nm c=f,a=2i,bb=\"yy\" 2\nm bb=\"\",c=t,a=3i 3\nm a=4i,a=5i,c=t 4\nm a=4i,c=t 5\n"
        "m a=1,bb=\"x\",c=t 6\nm c=f,bb=\"z\",a=7i 7\nm c=f,bb=\"z\",a=7i,d=1 7\n",
        options);
    const auto ends = [&](std::size_t row, std::string_view with) {
      EXPECT_TRUE(parsed.all.at(row).ends_with(with)) << parsed.all.at(row);
    };
    ASSERT_EQ(parsed.all.size(), 7u);
    ends(1, " a:BIGINT=2 bb:VARCHAR=yy c:BOOL=0");
    ends(2, " a:BIGINT=3 bb:VARCHAR= c:BOOL=1");
    ends(5, " a:BIGINT=7 bb:VARCHAR=z c:BOOL=0");
    ASSERT_EQ(parsed.rows.shapes().size(), 4u);
    EXPECT_EQ(parsed.rows.shapes()[0].rows, 4u);
    EXPECT_EQ(parsed.rows.shapes()[0].fields[1].name, "bb") << "the order of the first row stays";
    EXPECT_EQ(parsed.rows.shapes()[0].max_length[1], 2u);
    ASSERT_EQ(parsed.rows.rejects().size(), 1u);
    EXPECT_EQ(parsed.rows.rejects()[0].reason.code, 0x263C);
  }
}

TEST(LineParser, SkipsCommentsAndBlankLinesOfFiles) {
  const std::string text = "# a\n\nm f=1 1\r\n   \n\r\n#\nm f=2 2\r\nm f=3\r";
  LineOptions options;
  options.clock = [] { return std::int64_t{77}; };
  Parsed parsed(text, options);
  ASSERT_EQ(parsed.all.size(), 3u);
  EXPECT_TRUE(parsed.rows.rejects().empty());
  EXPECT_NE(parsed.all[0].find(" 1 [5+7]"), std::string::npos) << parsed.all[0];
  EXPECT_NE(parsed.all[2].find(" 77 "), std::string::npos) << parsed.all[2];
  EXPECT_EQ(parsed.rows.lines(), 7u);
}

TEST(LineParser, IsStrictWithPayloads) {
  LineOptions options;
  options.payload_rules = true;
  const auto codes = [&](std::string_view text) {
    Parsed parsed(text, options);
    std::string list = fmt::format("{} rows", parsed.all.size());
    for (const auto& reject : parsed.rows.rejects()) list += fmt::format(" {:04x}", reject.reason.code);
    return list;
  };
  EXPECT_EQ(codes("m f=1 1\n\nm f=2 2\n"), "2 rows 020a");
  EXPECT_EQ(codes("m f=1 1\n"), "1 rows");
  EXPECT_EQ(codes("m f=1 1\n\n"), "1 rows 020a");
  EXPECT_EQ(codes("m f=1\r\n"), "0 rows 0203");
  EXPECT_EQ(codes("m f=1 1\r\nm f=2 2\r\n"), "2 rows");
  EXPECT_EQ(codes("#x\nm f=1"), "1 rows");
  EXPECT_EQ(codes(""), "0 rows");
}

TEST(LineParser, SkipsAByteOrderMarkAtTheStartOfASource) {
  EXPECT_EQ(Parsed("\xEF\xBB\xBFm f=1 1\n", {}, 0).all[0].substr(0, 4), "m/t_");
  EXPECT_EQ(Parsed("\xEF\xBB\xBFm f=1 1", {}, 0).all[0].substr(0, 4), "m/t_");
  EXPECT_NE(Parsed("\xEF\xBB\xBFm f=1 1\n", {}, 8).all[0].substr(0, 4), "m/t_");
  EXPECT_TRUE(Parsed("\xEF\xBB\xBF", {}, 0).all.empty());
}

TEST(LineParser, ConvertsTimes) {
  const auto time = [](TimeUnit unit, const char* stamp) -> std::int64_t {
    LineOptions options;
    options.precision = unit;
    Parsed parsed(fmt::format("m f=1 5\nm f=1 {}\n", stamp), options);  // the second is predicted
    return parsed.all.size() == 2 ? parsed.last->time : -1;
  };
  EXPECT_EQ(time(TimeUnit::nanoseconds, "1626006833639987654"), 1'626'006'833'639'987'654);
  EXPECT_EQ(time(TimeUnit::microseconds, "1626006833639987"), 1'626'006'833'639'987'000);
  EXPECT_EQ(time(TimeUnit::milliseconds, "1626006833639"), 1'626'006'833'639'000'000);
  EXPECT_EQ(time(TimeUnit::seconds, "1626006833"), 1'626'006'833'000'000'000);
  EXPECT_EQ(time(TimeUnit::minutes, "27100113"), 27'100'113 * 60'000'000'000);
  EXPECT_EQ(time(TimeUnit::hours, "451668"), 451'668 * 3'600'000'000'000);
  EXPECT_EQ(time(TimeUnit::milliseconds, "32503680000000"), INT64_MAX);
  EXPECT_EQ(time(TimeUnit::nanoseconds, "9223372036854775808"), INT64_MAX);
  EXPECT_EQ(time(TimeUnit::hours, "9028800"), INT64_MAX);
  EXPECT_EQ(time(TimeUnit::hours, "2562047788015216"), -1);
  EXPECT_EQ(time_unit_from_name("none"), TimeUnit::nanoseconds);
  EXPECT_EQ(time_unit_from_name("7"), std::nullopt);
}

TEST(LineParser, RefusesTimesOutsideTheRange) {
  LineOptions options;
  options.range = {1000, 2000};
  Parsed parsed("m f=1 999\nm f=1 1000\nm f=1 2000\nm f=1 2001\n", options);
  EXPECT_EQ(parsed.all.size(), 2u);
  ASSERT_EQ(parsed.rows.rejects().size(), 2u);
  EXPECT_EQ(parsed.rows.rejects()[1].reason.code, 0x060B);
  EXPECT_EQ(parsed.rows.rejects()[1].offset, 32u);
}

TEST(LineParser, AsksTheClockOncePerRecord) {
  int calls = 0;
  LineOptions options;
  options.clock = [&] { return std::int64_t{1000} + ++calls; };
  Parsed parsed("m f=1\nm f=1 0\nm f=1 \nm f=1\nm f=x\nm f=1 7\nm f=1", options);
  EXPECT_EQ(calls, 5);
  EXPECT_EQ(parsed.all.size(), 6u);
  EXPECT_EQ(parsed.last->time, 1005);
}

TEST(LineParser, NotesRowsOfSeriesThatAreNotAdmitted) {
  schema::Registry registry;
  LineParser parser(registry);
  data::RowSet first, second;
  parser.parse(padded_chunk("m,t=a f=1 1\nm,t=b f=1 1\nm,t=a f=1 2\n"), first);
  ASSERT_EQ(first.fresh().size(), 3u);
  EXPECT_EQ(first.fresh()[2].row->time, 2);
  first.fresh()[0].series->set_state(data::Series::State::admitted);
  parser.parse(padded_chunk("m,t=a f=1 3\nm,t=b f=1 3\n"), second);
  ASSERT_EQ(second.fresh().size(), 1u);
  EXPECT_EQ(second.fresh()[0].series->raw, "m,t=b");
}

TEST(LineParser, LeavesNoSeriesBehindForRefusedLines) {
  Parsed parsed("a,t=1 f=x\nb,t=1 t=1\nc,t=1 f=1,f=1\nd,t=1 f=1 abc\ne,t=\xff f=1\n");
  EXPECT_EQ(parsed.rows.rejects().size(), 5u);
  EXPECT_EQ(parsed.registry.child_count(), 0u);
}

TEST(LineParser, StopsAtTooManyChildTablesWithTheRowsBefore) {
  schema::Registry registry;
  registry.set_max_children(2);
  LineParser parser(registry);
  data::RowSet rows;
  EXPECT_THROW(parser.parse(padded_chunk("m,t=1 f=1 1\nm,t=2 f=1 1\nm,t=3 f=1 1\n"), rows), Error);
  EXPECT_EQ(rows.row_count(), 2u);
  EXPECT_EQ(rows.shapes()[0].rows, 2u);
}

// --- properties ---

/// Lines of many kinds, good and bad, that repeat their series and shapes often enough to be predicted.
std::string mixed_text(unsigned seed, int lines) {
  static const std::vector<std::string> kValues{"1i",
                                                "-5i",
                                                "58i",
                                                "12345678901234567i",
                                                "1i64",
                                                "7u",
                                                "255u8",
                                                "300u8",
                                                "1.5",
                                                "-0",
                                                "3.14159265",
                                                "1e5",
                                                "0x1F",
                                                "nan",
                                                "2f64",
                                                "1.5f32",
                                                "t",
                                                "true",
                                                "False",
                                                "FALSE",
                                                "\"abc\"",
                                                "\"\"",
                                                "L\"数\"",
                                                "l\"x\\\"y\"",
                                                "\"a\\\\b\"",
                                                "\"a, =b\"",
                                                "b\"\\x0102\"",
                                                "g\"POINT(1 2)\"",
                                                "\"\\q\\\"\"",
                                                "9223372036854775807i",
                                                "9223372036854775808i",
                                                "18446744073709551615u",
                                                "0.1",
                                                "123456789.123456789",
                                                "00012i",
                                                "-1u",
                                                "\"x",
                                                "5.",
                                                ".5"};
  static const std::vector<std::string> kSeries{
      "m,host=a,region=eu",      "m,host=b,region=eu", "m,region=eu,host=a",           "n",
      "long\\ name,t\\=x=a\\,b", "m,host=a,",          "k,a_very_long_tag_key_name=1", " m,host=a"};
  static const std::vector<std::string> kTimes{
      " 1626006833639000000",   " 1626006833639000001", "", " ", " 0", " -1", " 12x", "  1626006833639000002 junk",
      " 1626006833639000003\t", " 99999999999999999999"};
  static const std::vector<std::string> kKeys{"f",          "g",   "usage_user", "a_field_key_of_more_than_24_bytes",
                                              "esc\\ aped", "host"};
  std::mt19937 random(seed);
  const auto pick = [&](const auto& from) { return from[random() % from.size()]; };
  std::string text;
  std::vector<std::string> recent;
  for (int i = 0; i < lines; ++i) {
    std::string fields;
    if (!recent.empty() && random() % 4 != 0) {
      fields = pick(recent);
      // Half of them turned round, as agents do that walk a hash table.
      if (const auto comma = fields.find(','); comma != std::string::npos && random() % 2 == 0)
        fields = fields.substr(comma + 1) + "," + fields.substr(0, comma);
    } else {
      for (std::size_t k = 0; k < kKeys.size(); ++k)
        if (random() % 3 != 0)
          fields += (fields.empty() ? "" : ",") + kKeys[k == 5 && random() % 8 != 0 ? 1 : k] + "=" + pick(kValues);
      if (recent.size() < 6) recent.push_back(fields);
      else recent[random() % 6] = fields;
    }
    const auto kind = random() % 40;
    if (kind == 0) text += "# comment";
    else if (kind == 1) text += "  ";
    else text += pick(kSeries) + " " + fields + (random() % 3 ? kTimes[0] : pick(kTimes));
    if (kind == 2) text += '\r';
    text += '\n';
  }
  if (seed % 2 == 0) text.pop_back();
  return text;
}

LineOptions steady_options(bool predict) {
  LineOptions options;
  options.predict = predict;
  options.clock = [] { return std::int64_t{1'700'000'000'000'000'000}; };
  options.range = {0, INT64_MAX};
  return options;
}

TEST(LineParserProperty, PredictionChangesNothing) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const auto text = mixed_text(seed, 400);
    for (const unsigned way : {0u, 1u, 2u, 3u}) {
      auto fast = steady_options(true), slow = steady_options(false);
      fast.payload_rules = slow.payload_rules = way % 2 != 0;
      fast.wide = way / 2 != 0;
      Parsed one(text, fast), other(text, slow);
      ASSERT_EQ(all_text(one.registry, one.rows), all_text(other.registry, other.rows)) << "seed " << seed;
      ASSERT_EQ(one.rows.shapes().size(), other.rows.shapes().size());
      for (std::size_t i = 0; i < one.rows.shapes().size(); ++i) {
        EXPECT_EQ(one.rows.shapes()[i].rows, other.rows.shapes()[i].rows);
        EXPECT_EQ(one.rows.shapes()[i].max_length, other.rows.shapes()[i].max_length);
      }
      EXPECT_GT(one.all.size(), 50u);
      EXPECT_GT(one.rows.rejects().size(), 20u);
    }
  }
}

TEST(LineParserProperty, AnyChunkingGivesTheSameRows) {
  // Without places, which differ from chunk to chunk.
  const auto plain = [](std::string text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const auto open = text.find(" [", at), close = text.find(']', open);
      if (open == std::string::npos) return out + text.substr(at);
      out += text.substr(at, open - at);
      at = close + 1;
    }
    return out;
  };
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto text = mixed_text(seed, 120);
    Parsed whole(text, steady_options(true));
    std::string rows_whole, rejects_whole;
    for (const auto& row : whole.all) rows_whole += plain(row) + "\n";
    for (const auto& reject : whole.rows.rejects()) rejects_whole += plain(reject_text(reject)) + "\n";

    std::mt19937 random(seed);
    schema::Registry registry;
    LineParser parsers[2] = {LineParser(registry, steady_options(true)), LineParser(registry, steady_options(true))};
    std::string rows_cut, rejects_cut;
    std::uint64_t lines = 0;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = at;
      for (auto n = random() % 4 + 1; n > 0 && end < text.size(); --n)
        end = std::min(text.find('\n', end), text.size() - 1) + 1;
      data::RowSet rows;
      const auto chunk = padded_chunk(std::string_view(text).substr(at, end - at));
      parsers[random() % 2].parse(chunk, rows);
      rows.for_each_row([&](const data::Row& row) { rows_cut += plain(row_text(registry, rows, row)) + "\n"; });
      for (const auto& reject : rows.rejects()) rejects_cut += plain(reject_text(reject)) + "\n";
      lines += rows.lines();
      at = end;
    }
    ASSERT_EQ(rows_cut, rows_whole) << "seed " << seed;
    ASSERT_EQ(rejects_cut, rejects_whole) << "seed " << seed;
    EXPECT_EQ(lines, whole.rows.lines());
  }
}

TEST(LineParserProperty, MutatedTextNeverHurtsAndEveryLineIsAccountedFor) {
  static constexpr std::string_view kBytes = " ,=\\\"\n\r#.-+ieELbgtfx01289\0\xff\xe6\t";
  std::mt19937 random(99);
  for (unsigned round = 0; round < 1500; ++round) {
    std::string text = mixed_text(round, 12);
    for (auto n = random() % 12; n > 0; --n) {
      const auto at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = kBytes[random() % kBytes.size()]; break;
        case 1: text.insert(at, 1, kBytes[random() % kBytes.size()]); break;
        case 2: text.erase(at, random() % 9); break;
        default: text.insert(at, text.substr(random() % text.size(), random() % 30)); break;
      }
      if (text.empty()) text = "m";
    }
    if (random() % 3 == 0) text.resize(random() % text.size() + 1);
    Parsed fast(text, steady_options(true)), slow(text, steady_options(false));
    ASSERT_EQ(all_text(fast.registry, fast.rows), all_text(slow.registry, slow.rows)) << text;
    // Rows and rejects cover each line that is neither blank nor a comment, once.
    std::set<std::size_t> starts;
    fast.rows.for_each_row([&](const data::Row& row) { EXPECT_TRUE(starts.insert(row.offset).second); });
    for (const auto& reject : fast.rows.rejects()) EXPECT_TRUE(starts.insert(reject.offset).second);
    std::size_t wanted = 0;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      auto line = std::string_view(text).substr(at, end - at);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.starts_with('#') && line.find_first_not_of(' ') != std::string_view::npos) {
        ++wanted;
        EXPECT_EQ(starts.count(at), 1u) << at << " in " << text;
      }
      at = end + 1;
    }
    ASSERT_EQ(starts.size(), wanted) << text;
  }
}

TEST(LineKernels, AgreeWithTheirScalarTwins) {
  std::mt19937 random(17);
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 131, '\0');
    for (auto& c : text) c = random() % 8 == 0 ? " \n\"\\="[random() % 5] : static_cast<char>(random());
    text += " \"\n";
    const auto chunk = padded_chunk(text);
    for (std::size_t at = 0; at < std::min<std::size_t>(text.size(), 40); ++at) {
      const char* const p = chunk.text.data() + at;
      ASSERT_EQ(find_blank(p), scalar::find_blank(p));
      ASSERT_EQ(find_equals(p), scalar::find_equals(p));
      ASSERT_EQ(find_newline(p), scalar::find_newline(p));
      ASSERT_EQ(find_plain_end(p), scalar::find_plain_end(p));
      ASSERT_EQ(find_plain_string_end(p), scalar::find_plain_string_end(p));
      ASSERT_EQ(find_string_end(p), scalar::find_string_end(p));
    }
  }
}

}  // namespace
}  // namespace penstock::format
