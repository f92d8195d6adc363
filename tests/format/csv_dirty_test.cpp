#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <random>

#include "base/error.h"
#include "csv_test_text.h"
#include "format/csv_tables.h"

namespace penstock::format {
namespace {

using schema::CsvMapping;

using Case = CsvCase;

class DirtyCsv : public testing::TestWithParam<Case> {};

TEST_P(DirtyCsv, LosesNothing) { expect_rows(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Csv, DirtyCsv,
    testing::Values(
        Case{"numbers to the right of their field", kNone, "ts,a,b\n1609459200000,  1,   2.5\n1609459201000, -3,\t4\n",
             "c 1609459200000 a=1 b=2.5\nc 1609459201000 a=-3 b=4\n"},
        Case{"a field of blanks is NULL", kNone, "ts,a,b\n1609459200000,   ,2.5\n1609459201000,1,  \n",
             "c 1609459200000 a=null b=2.5\nc 1609459201000 a=1 b=null\n"},
        Case{"blanks between fields", [](CsvMapping& m) { m.delimiter = ' '; }, "ts a b\n1609459200000 1 2.5\n",
             "c 1609459200000 a=1 b=2.5\n"},
        Case{"decimal comma", kNone, "ts;a;b\n1609459200000;1,5;7\n1609459201000;-1.234.567,25;8\n1609459202000;3;9\n",
             "c 1609459200000 a=1.5 b=7\nc 1609459201000 a=-1234567.25 b=8\nc 1609459202000 a=3 b=9\n"},
        Case{"thousands are no decimals", kNone, "ts,a\n1609459200000,\"1,234,567\"\n1609459201000,\"12\"\n",
             "c 1609459200000 a='1,234,567'\nc 1609459201000 a='12'\n"},
        Case{"decimal comma and decimal point: text", kNone, "ts;a\n1609459200000;1,5\n1609459201000;2.5\n",
             "c 1609459200000 a='1,5'\nc 1609459201000 a='2.5'\n"},
        Case{"excel's first line", kNone, "sep=;\nts;a\n1609459200000;1\n", "c 1609459200000 a=1\n"},
        Case{"comments before the header", kNone, "# one\n# two, three\nts,a\n1609459200000,1\n",
             "c 1609459200000 a=1\n"},
        Case{"a header that is a comment", kNone, "#ts,a\n1609459200000,1\n", "c 1609459200000 a=1\n"},
        Case{"prose before the header", kNone,
             "Weather station\nof Berlin\nts;a;b\n1609459200000;1;2\n1609459201000;3;4\n",
             "c 1609459200000 a=1 b=2\nc 1609459201000 a=3 b=4\n"},
        Case{"the header again", kNone, "ts,a\r\n1609459200000,1\nts,a\n1609459201000,2\r\nts,a\r\n",
             "c 1609459200000 a=1\nc 1609459201000 a=2\n"},
        Case{"mixed line ends", kNone, "ts,a\r\n1609459200000,x\n1609459201000,y\r\n1609459202000,z",
             "c 1609459200000 a='x'\nc 1609459201000 a='y'\nc 1609459202000 a='z'\n"},
        Case{"trailing delimiters", kNone, "ts,a,\n1609459200000,1,\n1609459201000,2\n1609459202000,3,,\n",
             "c 1609459200000 a=1\nc 1609459201000 a=2\nc 1609459202000 a=3\n"},
        Case{"zero bytes", kNone, std::string_view("ts,a\n1609459200000,x\0y\n", 22),
             std::string_view("c 1609459200000 a='x\0y'\n", 24)},
        Case{"date and time", kNone,
             "date,time,a\n2021-01-01,00:00:01,1\n2021-01-01,12:30,2\n,12:30,3\n2021-01-01,,4\n",
             "c 1609459201000 a=1\nc 1609504200000 a=2\nreject 1: the timestamp 'date' is empty\n"
             "reject 1: the timestamp 'time' is empty\n"},
        Case{"date and time with a fraction", kNone, "Datum,Zeit,a\n2021-01-01,00:00:01.000001,1\n",
             "c 1609459201000001 a=1\n"},
        Case{"date and time by a pattern", [](CsvMapping& m) { m.time_format = "%d/%m/%y %I:%M %p"; },
             "a,my time,my date\n1,1:05 pm,31/12/20\n", "c 1609419900000 a=1\n"},
        Case{"date and hour", [](CsvMapping& m) { m.timestamp = "d+h"; }, "d,h,a\n2021-01-01,3,1\n2021-01-01,x,1\n",
             "c 1609470000000 a=1\nreject 1: '2021-01-01,x' in column 'd' is no time (ISO 8601 is expected); "
             "--time-format "
             "tells another form\n"},
        Case{"a column with a plus in its name", [](CsvMapping& m) { m.timestamp = "d+h"; },
             "d+h,a\n2021-01-01 03:00,1\n", "c 1609470000000 a=1\n"},
        Case{"words for true and false", kNone,
             "ts,a,b\n1609459200000,Yes,on\n1609459201000,no,OFF\n1609459202000,NULL,on\n",
             "c 1609459200000 a=true b=true\nc 1609459201000 a=false b=false\nc 1609459202000 a=null b=true\n"}));

struct Shell {
  std::string_view text;
  bool is;
};

TEST(CsvDialect, KnowsExportsOfTheTaosShell) {
  for (const auto& c : {Shell{"ts,v\r\n\"2023-11-14 22:13:20.123\",1\r\n", true},
                        Shell{"v,ts,s\r\n     1.50,\"2023-11-14 22:13:20.123456\",\"x\"\r\nNULL,NULL,NULL\r\n", true},
                        Shell{"ts,g\r\n\"2023-11-14 22:13:20.123456789\",POINT (1 2)\r\n", true},
                        Shell{"ts,v\n\"2023-11-14 22:13:20.123\",1\n", false},
                        Shell{"\"ts\",v\r\n\"2023-11-14 22:13:20.123\",1\r\n", false},
                        Shell{"ts,v\r\n2023-11-14 22:13:20.123,1\r\n", false},
                        Shell{"ts,v\r\n\"2023-11-14 22:13:20.123\",bare text\r\n", false},
                        Shell{"ts;v\r\n\"2023-11-14 22:13:20.123\";1\r\n", false},
                        Shell{"ts,v\r\n\"2023-11-14T22:13:20.123Z\",1\r\n", false}, Shell{"", false}})
    EXPECT_EQ(sniff(c.text).taos_export, c.is) << c.text;
  EXPECT_THROW((void)sniff("ts,a\r1,2\r"), Error);
}

TEST(CsvDialect, ReadsExportsInTheZoneOfThisMachine) {
  const char* const before = std::getenv("TZ");
  const std::string saved = before == nullptr ? "" : before;
  ::setenv("TZ", "Asia/Tokyo", 1);
  const std::string_view text = "ts,v\r\n\"1970-01-01 09:00:01.000\",1\r\n";
  EXPECT_EQ(infer(text, {}, "t").zone->name(), "Asia/Tokyo");
  EXPECT_NE(read_csv(text).find(" 1000 v=1\n"), std::string::npos) << read_csv(text);
  CsvMapping mapping;
  mapping.timezone = "UTC";
  EXPECT_NE(read_csv(text, mapping).find(" 32401000 v=1\n"), std::string::npos);
  ::setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
  EXPECT_EQ(TimeZone::load("local")->offset_at(1'700'000'000), -5 * 3600);
  EXPECT_EQ(TimeZone::load("local")->offset_at(1'690'000'000), -4 * 3600);
  ::setenv("TZ", "", 1);
  EXPECT_EQ(TimeZone::load("local")->offset_at(1'690'000'000), 0);
  if (before == nullptr) ::unsetenv("TZ");
  else ::setenv("TZ", saved.c_str(), 1);
}

TEST(CsvTimeFormat, SuggestsAForm) {
  for (const auto& [text, form] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"31.12.2020 14:05", "%d.%m.%Y %H:%M"},
           {"31.12.2020", "%d.%m.%Y"},
           {"12/31/2020 2:05 PM", "%m/%d/%Y %I:%M %p"},
           {"31/12/2020 14:05:01", "%d/%m/%Y %H:%M:%S"},
           {"31-Dec-2020 14:05:01.5", "%d-%b-%Y %H:%M:%S.%f"},
           {"Dec 31, 2020 14:05", "%b %d, %Y %H:%M"},
           {"20201231 140501", "%Y%m%d %H%M%S"},
           {"2020-12-31 14:05:01 CET", "%Y-%m-%d %H:%M:%S CET"},
           {"word", ""},
           {"", ""}})
    EXPECT_EQ(suggested_time_format(text), form) << text;
  for (const auto* const bad : {"%H:%M", "%Y", "%m/%d", "%Y-%m", "%Y-%m-%d %I:%M", "%Q", "x", "100%"})
    EXPECT_THROW((void)TimeFormat::parse(bad), Error) << bad;
  for (const auto* const good : {"%F", "%F %T", "%s", "%Y %j", "%d %b %y", "%D", "%e.%m.%Y %R"})
    EXPECT_NO_THROW((void)TimeFormat::parse(good)) << good;
}

TEST(CsvParser, TellsOfContradictions) {
  const std::string_view head = "ts,i,d,b,t,s,n,\n1609459200000,1,2.5,true,2021-01-01T00:00:00Z,x,,\n";
  const auto plan = infer(head, {}, "t", nullptr, true);
  struct Value {
    std::string_view record;
    std::string_view column;  // of the contradiction; empty: a row
  };
  for (const auto& c :
       {Value{"1609459200000,2,2,false,2021-01-01T00:00:00Z,3,,", ""}, Value{"1609459200000,2.5,2.5,true,,x,,", "i"},
        Value{"1609459200000,word,2.5,true,,x,,", "i"}, Value{"1609459200000,18446744073709551615,2.5,true,,x,,", "i"},
        Value{"1609459200000,1,word,true,,x,,", "d"}, Value{"1609459200000,1,1,maybe,,x,,", "b"},
        Value{"1609459200000,1,1,true,noon,x,,", "t"}, Value{"1609459200000,1,1,true,,x,,late", "c8"},
        Value{"1609459200000,1,1,true,,x,,NULL", ""}, Value{"never,1,1,true,,x,,", "-"}}) {
    schema::Registry registry;
    CsvOptions options;
    for (const bool contradictions : {true, false}) {
      options.contradictions = contradictions;
      CsvParser parser(registry, plan, options);
      data::RowSet rows;
      const auto chunk = csv_chunk(std::string(c.record) + "\n", head.size());
      std::string column;
      try {
        parser.parse(chunk, rows);
      } catch (const Contradiction& found) {
        column = found.column;
        EXPECT_EQ(found.table, "t");
        EXPECT_FALSE(found.value.empty());
      }
      const bool bad = !c.column.empty();
      EXPECT_EQ(column, contradictions && c.column != "-" ? c.column : "") << c.record;
      if (column.empty()) {
        EXPECT_EQ(rows.row_count(), bad ? 0u : 1u) << c.record;
        EXPECT_EQ(rows.rejects().size(), bad ? 1u : 0u) << c.record;
      }
    }
  }
}

TEST(CsvTables, SendsRowsToTheirSuperTables) {
  const std::string_view text =
      "ts,kind,host,a,b\n1609459200000,x,h,1,\n1609459201000,\"y\",h,,two\n1609459202000,x,g,2,\n1609459203000,,h,3,\n"
      "1609459204000,z,h,4,four\n1609459205000\n1609459206000,y,\"open\n";
  CsvMapping mapping;
  mapping.table_column = "kind";
  mapping.tags = {"host"};
  mapping.child_table = "{kind}_{host}";
  // The last but two lines name a table that the sample has not seen.
  const auto sampled = text.substr(0, text.find("1609459204000"));
  CsvSample sample(sniff(sampled, mapping), mapping);
  sample.add_head(sampled);
  const auto whole = make_plan(sample, mapping, "t");
  ASSERT_EQ(sample.tables().size(), 2u);
  CsvTables tables([&](const std::string& value) {
    return std::make_shared<const CsvPlan>(make_table_plan(whole, sample, mapping, value));
  });
  const auto declared = [&](std::string_view value) {
    return data::create_statement(tables.plan(value)->super_table());
  };
  EXPECT_EQ(declared("x"), "CREATE STABLE IF NOT EXISTS `x` (`ts` TIMESTAMP, `a` BIGINT) TAGS (`host` NCHAR(2))");
  EXPECT_EQ(declared("y"), "CREATE STABLE IF NOT EXISTS `y` (`ts` TIMESTAMP, `b` VARCHAR(4)) TAGS (`host` NCHAR(2))");
  EXPECT_EQ(declared("z"),
            "CREATE STABLE IF NOT EXISTS `z` (`ts` TIMESTAMP, `a` BIGINT, `b` VARCHAR(4)) TAGS (`host` NCHAR(2))");
  schema::Registry registry;
  CsvTablesParser parser(registry, whole, tables, {});
  for (int again = 0; again < 2; ++again) {
    data::RowSet rows;
    const auto chunk = csv_chunk(text);
    parser.parse(chunk, rows);
    EXPECT_EQ(csv_rows(registry, rows),
              "x_h{host='h'} 1609459200000 a=1\ny_h{host='h'} 1609459201000 b='two'\nx_g{host='g'} 1609459202000 a=2\n"
              "z_h{host='h'} 1609459204000 a=4 b='four'\n"
              "reject 15: column 'kind' names the super table and is NULL or empty\n"
              "reject 14: column 'kind' names the super table and is missing\n"
              "reject 17: a quote opens a field here and is not closed; --quote '' reads quotes as text\n");
    EXPECT_EQ(rows.lines(), 8u);
  }
}

// Any pieces of any text: never a crash, and every line is a row, a reject, or nothing for a reason.
TEST(CsvTables, SurvivesAnything) {
  std::mt19937_64 random(11);
  constexpr std::string_view kPieces[] = {
      ",",   "\n", "\"", "a",    "1609459200000", "x",        "\r\n",       ";",     "'",  "\\",
      "1.5", " ",  "#",  "sep=", "NULL",          "\xC3\xA4", "2021-01-01", "12:30", "\0", "true"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    if (round % 2 == 0) text = "ts,kind,a\n1609459200000,x,1\n";
    for (std::uint64_t i = random() % 60; i > 0; --i) text += kPieces[random() % std::size(kPieces)];
    CsvMapping mapping;
    if (round % 4 == 0) mapping.table_column = "#2";
    try {
      CsvSample sample(sniff(text, mapping), mapping);
      sample.add_head(text);
      const auto whole = make_plan(sample, mapping, "t");
      if (whole.columns.empty() || !whole.table_column) {
        (void)read_csv(text, mapping);
        continue;
      }
      CsvTables tables([&](const std::string& value) {
        return std::make_shared<const CsvPlan>(make_table_plan(whole, sample, mapping, value));
      });
      schema::Registry registry;
      CsvTablesParser parser(registry, whole, tables, {});
      data::RowSet rows;
      const auto chunk = csv_chunk(text);
      parser.parse(chunk, rows);
      (void)csv_rows(registry, rows);
    } catch (const Error& error) {
      EXPECT_STRNE(error.what(), "");
    }
  }
}

}  // namespace
}  // namespace penstock::format
