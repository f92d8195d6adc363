#include "format/csv_infer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace penstock::format {
namespace {

using schema::CsvMapping;
using Role = CsvColumn::Role;

std::string described(const CsvPlan& plan) {
  std::string out;
  for (const auto& column : plan.columns) {
    switch (column.role) {
      case Role::ignored: out += "-"; break;
      case Role::timestamp: out += "time " + column.column.name + " " + column.time.text(); break;
      case Role::tag: out += "tag " + column.column.name + " " + data::sql_type(column.column); break;
      case Role::field: out += column.column.name + " " + data::sql_type(column.column); break;
      case Role::child_name: out += "child " + column.column.name; break;
      case Role::clock: out += "clock " + column.column.name; break;
      case Role::table_name: out += "table " + column.column.name; break;
      case Role::absent: out += "absent " + column.column.name; break;
    }
    out += "; ";
  }
  return out + std::string(data::precision_name(plan.time_unit));
}

std::string inferred(std::string_view text, const CsvMapping& mapping = {}, const data::SuperTable* target = nullptr) {
  return described(infer(text, mapping, "t", target));
}

TEST(CsvInfer, FindsTypes) {
  struct Case {
    std::string_view values;  // of one column, joined by blanks
    std::string_view type;
    std::string_view evidence;
  };
  for (const auto& c :
       {Case{"1 2 39", "BIGINT", "BIGINT: 3 of 3 values are integers, e.g. 1"},
        Case{"1 2.5 3", "DOUBLE",
             "DOUBLE: 1 of 3 values are numbers with a point or an exponent, e.g. 2.5, the others integers"},
        Case{"1 NaN", "DOUBLE",
             "DOUBLE: 1 of 2 values are numbers with a point or an exponent, e.g. NaN, the others integers"},
        Case{"true FALSE", "BOOL", "BOOL: 2 of 2 values are true or false, e.g. true"},
        Case{"0 1", "BIGINT", "BIGINT: 2 of 2 values are integers, e.g. 0"},
        Case{"true 1", "BOOL", "BOOL: 2 of 2 values are words for true and false, e.g. true"},
        Case{"true 2", "VARCHAR(8)",
             "VARCHAR: its values are of several kinds or too large for numbers, e.g. true; longest 4 bytes"},
        Case{"Yes no YES", "BOOL", "BOOL: 3 of 3 values are words for true and false, e.g. Yes"},
        Case{"on OFF t F y n", "BOOL", "BOOL: 6 of 6 values are words for true and false, e.g. on"},
        Case{"n n n", "VARCHAR(2)",
             "VARCHAR: its values are of several kinds or too large for numbers, e.g. n; longest 1 bytes"},
        Case{"on off standby", "VARCHAR(8)",
             "VARCHAR: 1 of 3 values are text, e.g. standby, the others numbers, times or booleans; longest 7 bytes"},
        Case{"9007199254740992 0.5", "DOUBLE",
             "DOUBLE: 1 of 2 values are numbers with a point or an exponent, e.g. 0.5, the others integers"},
        Case{"9007199254740993 0.5", "VARCHAR(32)",
             "VARCHAR: 1 of 2 values are integers with more digits than DOUBLE holds; longest 16 bytes"},
        Case{"1000000000000000000000 0.5", "DOUBLE",
             "DOUBLE: 1 of 2 values are numbers with a point or an exponent, e.g. 0.5, the others integers"},
        Case{"\\x00ff \\xAB", "VARBINARY(4)", "VARBINARY: 2 of 2 values are bytes in hexadecimal, e.g. \\x00ff"},
        Case{"\\x00ff \\xA", "VARCHAR(8)",
             "VARCHAR: 1 of 2 values are text, e.g. \\xA, the others numbers, times or booleans; longest 6 bytes"},
        Case{"007 008", "VARCHAR(4)", "VARCHAR: 2 of 2 values are text, e.g. 007, longest 3 bytes"},
        Case{"0.5 -0.5 +1", "DOUBLE",
             "DOUBLE: 2 of 3 values are numbers with a point or an exponent, e.g. 0.5, the others integers"},
        Case{"18446744073709551615 1", "BIGINT UNSIGNED",
             "BIGINT UNSIGNED: 1 of 2 values are integers above the BIGINT range, e.g. 18446744073709551615"},
        Case{"18446744073709551615 -1", "VARCHAR(32)",
             "VARCHAR: its values are of several kinds or too large for numbers, e.g. -1; longest 20 bytes"},
        Case{"123456789012345678901234567890", "VARCHAR(32)",
             "VARCHAR: its values are of several kinds or too large for numbers, e.g. 123456789012345678901234567890; "
             "longest 30 bytes"},
        Case{"NULL NA", "VARCHAR(1)", "VARCHAR: no value in the sample"},
        Case{"abc \xC3\xA4", "NCHAR(4)", "NCHAR: 2 of 2 values are text, e.g. abc, longest 3 characters"},
        Case{"2021-01-01T00:00:00Z 2021-01-02T00:00:00.5Z", "TIMESTAMP",
             "TIMESTAMP: 2 of 2 values are date and time, e.g. 2021-01-01T00:00:00Z"},
        Case{"2021-01-01 2021-01-02", "VARCHAR(16)",
             "VARCHAR: its values are of several kinds or too large for numbers, e.g. 2021-01-01; longest 10 bytes"},
        Case{"1e400 1", "VARCHAR(8)",
             "VARCHAR: 1 of 2 values are text, e.g. 1e400, the others numbers, times or booleans; longest 5 bytes"},
        Case{"- .", "VARCHAR(2)", "VARCHAR: 2 of 2 values are text, e.g. -, longest 1 bytes"},
        Case{"0x1F 1", "VARCHAR(8)",
             "VARCHAR: 1 of 2 values are text, e.g. 0x1F, the others numbers, times or booleans; longest 4 bytes"}}) {
    std::string text = "ts,v\n";
    std::istringstream values{std::string(c.values)};
    int row = 0;
    for (std::string value; values >> value;) text += std::to_string(1609459200 + row++) + "," + value + "\n";
    const auto plan = infer(text, {}, "t");
    EXPECT_EQ(data::sql_type(plan.columns[1].column), c.type) << c.values;
    EXPECT_EQ(plan.columns[1].evidence, c.evidence) << c.values;
  }
}

TEST(CsvInfer, FindsTheTimestamp) {
  struct Case {
    std::string_view text;
    std::string_view plan;
  };
  for (const auto& c :
       {Case{"a,ts\n1,1609459200\n", "a BIGINT; time ts epoch seconds; ms"},
        Case{"a,ts\n1,1609459200.25\n", "a BIGINT; time ts epoch seconds; ms"},
        Case{"a,ts\n1,1609459200123456\n", "a BIGINT; time ts epoch microseconds; us"},
        Case{"a,ts\n1,1609459200123456789\n", "a BIGINT; time ts epoch nanoseconds; ns"},
        Case{"when,a\n2021-01-01 00:00:00.123456,1\n", "time when ISO 8601; a BIGINT; us"},
        Case{"when,a\n2021-01-01 00:00:00.123456700,1\n", "time when ISO 8601; a BIGINT; ns"},
        Case{"when,a\n2021-01-01 00:00:00.000000000,1\n", "time when ISO 8601; a BIGINT; ms"},
        Case{"id,created_at,Timestamp\n1609459200,2021-01-01 00:00:00,2021-01-02 00:00:00\n",
             "id BIGINT; created_at TIMESTAMP; time Timestamp ISO 8601; ms"},
        Case{"day,at\n2021-01-01,2021-01-01 10:00\n", "day VARCHAR(16); time at ISO 8601; ms"},
        Case{"day,a\n2021-01-01,1\n", "time day ISO 8601; a BIGINT; ms"},
        Case{"time,a\n5,1\n6,2\n", "time time epoch seconds; a BIGINT; ms"},
        Case{"a,b\n1,1609459200000\n", "a BIGINT; time b epoch milliseconds; ms"},
        Case{"a,time\n", "a VARCHAR(1); time time ISO 8601; ms"},
        Case{"\"ts\",\"a\"\n\"2021-01-01T00:00:00+01:00\",\"1\"\n", "time ts ISO 8601; a BIGINT; ms"}}) {
    EXPECT_EQ(inferred(c.text), c.plan) << c.text;
  }
  EXPECT_THROW((void)inferred("a,b\n1,2\n3,4\n"), Error);
  try {
    (void)inferred("a,when\n1,02/01/2021 10:00\n");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "no column holds timestamps that can be recognised (a = 1, when = 02/01/2021 10:00); if '02/01/2021 "
                 "10:00' in column 'when' is meant: --timestamp 'when' --time-format '%m/%d/%Y %H:%M' (or %d/%m)");
  }
  // What only one order of day and month can mean needs no word.
  EXPECT_EQ(inferred("a,when\n1,02/01/2021 10:00\n2,02/13/2021 10:00\n"),
            "a BIGINT; time when pattern '%m/%d/%Y %H:%M'; ms");
  EXPECT_EQ(inferred("a,when\n1,02/01/2021 10:00\n2,13/02/2021 10:00\n"),
            "a BIGINT; time when pattern '%d/%m/%Y %H:%M'; ms");
  EXPECT_EQ(inferred("Zeit;a\n01.02.2021 10:00:01;7\n"), "time Zeit pattern '%d.%m.%Y %H:%M:%S'; a BIGINT; ms");
  EXPECT_EQ(inferred("at,a\n\"Feb 1, 2021\",7\n"), "time at pattern '%b %d, %Y'; a BIGINT; ms");
  EXPECT_EQ(inferred("Uhrzeit;Datum;a\n7:05;31.12.2020;1\n"),
            "clock Uhrzeit; time Datum pattern '%d.%m.%Y %H:%M'; a BIGINT; ms");
  EXPECT_THROW((void)inferred("Uhrzeit;Datum;a\n7:05 CET;31.12.2020;1\n"), Error);
  EXPECT_THROW((void)inferred("when,b\n31.12.2023 23:59 CET,2\n"), Error);
  CsvMapping mapping;
  mapping.time_format = "%m/%d/%Y %H:%M";
  EXPECT_EQ(inferred("a,when\n1,02/01/2021 10:00\n", mapping), "a BIGINT; time when pattern '%m/%d/%Y %H:%M'; ms");
}

TEST(CsvInfer, TakesTypesAndTagsFromTheSuperTable) {
  data::SuperTable target;
  target.name = "meters";
  target.columns = {{"ts", data::Type::timestamp, 8, 0, 0, false},
                    {"Current", data::Type::float32, 4, 0, 0, false},
                    {"note", data::Type::varchar, 8, 0, 0, false}};
  target.tags = {{"groupid", data::Type::integer, 4, 0, 0, false}, {"location", data::Type::varchar, 24, 0, 0, false}};
  const std::string_view text = "TS,current,note,GroupId,location,extra\n1609459200000,1,2,3,x,4\n";
  EXPECT_EQ(inferred(text, {}, &target),
            "time ts epoch milliseconds; Current FLOAT; note VARCHAR(8); tag groupid INT; tag location VARCHAR(24); "
            "extra BIGINT; ms");
  EXPECT_EQ(infer(text, {}, "file", &target).table, "meters");
}

TEST(CsvInfer, AppliesTheMapping) {
  CsvMapping mapping;
  mapping.table = "w";
  mapping.tags = {"origin"};
  mapping.ignore = {"#2"};
  mapping.rename = {{"c", "sea"}};
  mapping.types = {{"sea", data::Type::float32, 4, 0, 0, false}};
  mapping.constant_tags = {{"country", "us"}};
  const auto plan = infer("ts,b,c,origin\n1609459200000,1,2,EWR\n", mapping, "t");
  EXPECT_EQ(described(plan), "time ts epoch milliseconds; -; sea FLOAT; tag origin NCHAR(4); ms");
  EXPECT_EQ(
      data::create_statement(plan.super_table()),
      "CREATE STABLE IF NOT EXISTS `w` (`ts` TIMESTAMP, `sea` FLOAT) TAGS (`origin` NCHAR(4), `country` NCHAR(4))");
  mapping = {};
  mapping.columns = {"c", "origin"};
  EXPECT_EQ(inferred("ts,b,c,origin\n1609459200000,1,2,EWR\n", mapping),
            "time ts epoch milliseconds; -; c BIGINT; origin VARCHAR(4); ms");
  mapping = {};
  mapping.tags = {"nope"};
  EXPECT_THROW((void)inferred("ts,a\n1609459200000,1\n", mapping), Error);
  mapping.tags = {"a"};
  EXPECT_THROW((void)inferred("ts,a\n1609459200000,1\n", mapping), Error);  // no value column is left
  mapping = {};
  mapping.child_table = "{a";
  EXPECT_THROW((void)inferred("ts,a,b\n1609459200000,1,2\n", mapping), Error);
}

TEST(CsvInfer, DeclaresATagWhereThereIsNone) {
  EXPECT_EQ(data::create_statement(infer("ts,a\n1609459200000,1\n", {}, "t").super_table()),
            "CREATE STABLE IF NOT EXISTS `t` (`ts` TIMESTAMP, `a` BIGINT) TAGS (`_tag_null` NCHAR(1))");
}

TEST(CsvInfer, GivesEveryColumnANameOfItsOwn) {
  EXPECT_EQ(inferred("ts,a,a,,\"\"\n1609459200000,1,2,3,4\n"),
            "time ts epoch milliseconds; a BIGINT; a_2 BIGINT; c4 BIGINT; c5 BIGINT; ms");
}

TEST(CsvInfer, WarnsWhereRowsWouldOverwriteEachOther) {
  const auto plan = infer("ts,origin,v\n1609459200,EWR,1\n1609459200,JFK,2\n", {}, "t");
  ASSERT_FALSE(plan.notes.empty());
  EXPECT_NE(plan.notes.back().find("1 of the first 2 rows repeat the timestamp"), std::string::npos)
      << plan.notes.back();
  EXPECT_NE(plan.notes.back().find("origin"), std::string::npos);
}

TEST(CsvInfer, SamplesAddUp) {
  const std::string_view head = "ts,a,b\n1609459200,1,x\n1609459201,2,y\n16094592";
  const std::string_view middle = "459201,9,\n1609459202,2.5,\xC3\xA4\n1609459203,NULL,z\n160945";
  CsvMapping mapping;
  CsvSample one(sniff(head), mapping);
  one.add_head(head, 3, false);
  one.add_middle(middle);
  const auto plan = make_plan(one, mapping, "t");
  EXPECT_EQ(described(plan), "time ts epoch seconds; a DOUBLE; b NCHAR(2); ms");
  EXPECT_EQ(plan.data_begin, 10u);
  EXPECT_EQ(one.records(), 4u);
  CsvSample first(sniff(head), mapping);
  first.add_head(head, 3, false);
  CsvSample second(first);
  second.add_middle(middle);
  first.merge(second);
  EXPECT_EQ(described(make_plan(first, mapping, "t")), described(plan));
}

TEST(CsvDialect, IsSniffed) {
  struct Case {
    std::string_view text;
    char delimiter;
    char quote;
    bool header;
    std::size_t columns;
  };
  for (const auto& c :
       {Case{"ts,a\n1,2\n3,4\n", ',', '"', true, 2}, Case{"ts;a\n1;2,5\n3;4,5\n", ';', '"', true, 2},
        Case{"ts\ta b\n1\t2\n3\t4\n", '\t', '"', true, 2}, Case{"ts|a\n1|2\n3|4\n", '|', '"', true, 2},
        Case{"'ts','a'\n'1','x,y'\n'3','z'\n", ',', '\'', true, 2}, Case{"ts,a\n1,it's\n2,don't\n", ',', '"', true, 2},
        Case{"1,2\n3,4\n", ',', '"', false, 2}, Case{"2021-01-01 00:00:00,x\n", ',', '"', false, 2},
        Case{"ts,text\n1,\"a;b;c;d\"\n2,\"e;f;g;h\"\n", ',', '"', true, 2},
        Case{"ts;text\n1;\"a\nb\nc\"\n2;d\n", ';', '"', true, 2}, Case{"x\n1\n2\n", ',', '"', true, 1},
        Case{"", ',', '"', true, 1}, Case{"a,b,c\n", ',', '"', true, 3}}) {
    const auto dialect = sniff(c.text);
    EXPECT_EQ(dialect.delimiter, c.delimiter) << c.text;
    EXPECT_EQ(dialect.quote, c.quote) << c.text;
    EXPECT_EQ(dialect.header, c.header) << c.text;
    EXPECT_EQ(dialect.columns, c.columns) << c.text;
    EXPECT_FALSE(dialect.why.empty());
  }
}

// A sample is sniffed no further than it must, but a header longer than that is not to be cut in a name: the start of
// the last name may stand there already, or look like a value.
TEST(CsvDialect, SeesHeadersLongerThanAMebibyte) {
  constexpr std::size_t kColumns = 200'000;
  std::string names = "time";
  std::string values = "1700000000000";
  for (std::size_t i = 1; i < kColumns; ++i) {
    names += ",c" + std::to_string(i);
    values += ",1";
  }
  ASSERT_GT(names.size(), std::size_t{1} << 20);
  const auto row = values + "\n";
  const std::string header = names + "\n";
  for (const auto& [start, preamble, skipped] :
       {std::tuple{"", 0, 0}, {"# a comment\n# and another\n", 2, 0}, {"sep=,\n", 1, 0}, {"a line\n", 0, 1}}) {
    for (const auto& [rows, what] : {std::pair{row + row, "two rows"}, {row.substr(0, 300'000), "half a row"}}) {
      schema::CsvMapping given;
      given.skip_lines = static_cast<std::uint64_t>(skipped);
      const auto dialect = sniff(start + header + rows, given);
      EXPECT_TRUE(dialect.header) << start << what;
      EXPECT_EQ(dialect.delimiter, ',') << start << what;
      EXPECT_EQ(dialect.columns, kColumns) << start << what;
      EXPECT_EQ(dialect.preamble, static_cast<std::uint64_t>(preamble)) << start << what;
    }
  }
  // Without a header too, and where the first record's end is not in the sample.
  EXPECT_FALSE(sniff(row + row).header);
  EXPECT_EQ(sniff(row + row).columns, kColumns);
  EXPECT_EQ(sniff(names.substr(0, (1 << 20) + 5)).delimiter, ',');
}

std::string counted(const TypeSummary& summary) {
  std::string out;
  for (const auto count : summary.counts) out += std::to_string(count) + " ";
  for (const auto& example : summary.examples) out += "'" + example + "' ";
  const auto& times = summary.times;
  for (const std::uint64_t count : {summary.nulls,
                                    summary.negative,
                                    summary.zero_or_one,
                                    summary.inexact,
                                    summary.comma_decimals,
                                    std::uint64_t{summary.boolean_words},
                                    summary.non_ascii,
                                    summary.bad_utf8,
                                    std::uint64_t{summary.longest_bytes},
                                    std::uint64_t{summary.longest_chars},
                                    std::uint64_t{summary.longest_binary},
                                    times.iso,
                                    times.with_clock,
                                    times.with_offset,
                                    times.epoch[0],
                                    times.epoch[1],
                                    times.epoch[2],
                                    times.epoch[3],
                                    times.clocks,
                                    times.other_numbers,
                                    times.largest,
                                    std::uint64_t{times.fraction_digits},
                                    std::uint64_t{times.epoch_digits}})
    out += std::to_string(count) + " ";
  return out;
}

// add() has shorter ways for the usual values; it must count what the thorough way counts.
TEST(CsvInfer, CountsTheSameByEveryWay) {
  std::mt19937_64 random(11);
  const std::vector<std::string> whole{"0",
                                       "1",
                                       "-0",
                                       "-1",
                                       "007",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "-9223372036854775808",
                                       "-9223372036854775809",
                                       "18446744073709551616",
                                       "9007199254740993",
                                       "9007199254740992",
                                       "-9007199254740993",
                                       "1451606400",
                                       "1451606400000",
                                       "1451606400000000000",
                                       "1451606400.25",
                                       "-1451606400",
                                       "1.",
                                       ".5",
                                       "-.5",
                                       "-",
                                       "+1",
                                       "1e5",
                                       "1.5e",
                                       "3,14",
                                       "2024-03-01",
                                       "2024-03-01T10:00:00Z",
                                       "2024/3/1 7:05:09.120 PM",
                                       "2024-13-01",
                                       "-2024-03-01",
                                       "12:30",
                                       "7:05",
                                       "true",
                                       "TRUE",
                                       "True ",
                                       "false",
                                       "t",
                                       "F",
                                       "y",
                                       "N",
                                       "yes",
                                       "No",
                                       "on",
                                       "Off",
                                       "of",
                                       "nan",
                                       "NaN",
                                       "inf",
                                       "-inf",
                                       "infinity",
                                       "infinite",
                                       "POINT (1 2)",
                                       "point",
                                       "polygon empty",
                                       "\\x0aff",
                                       "\\x",
                                       "Z\xc3\xbcrich",
                                       "a\xff",
                                       "host_1",
                                       "x86",
                                       " a",
                                       "a ",
                                       "",
                                       " ",
                                       "@",
                                       "[",
                                       "`",
                                       "{"};
  constexpr std::string_view kAlphabet = "0123456789019.-+:/Te ,nafotrueysNx\\";
  std::size_t values = 0;
  const auto check = [&](const std::string& value) {
    TypeSummary quick;
    TypeSummary padded;
    TypeSummary thorough;
    quick.add(value);
    padded.add(std::string_view(value + std::string(64, ',')).substr(0, value.size()), true);
    thorough.add_thoroughly(value);
    ASSERT_EQ(counted(quick), counted(thorough)) << value;
    ASSERT_EQ(counted(padded), counted(thorough)) << value;
    ++values;
  };
  for (const auto& value : whole) check(value);
  for (int i = 0; i < 100'000; ++i) {
    std::string value = i % 3 == 0 ? whole[random() % whole.size()] : std::string();
    const auto length = random() % 12;
    for (std::size_t c = 0; c < length; ++c) {
      const char next = kAlphabet[random() % kAlphabet.size()];
      if (i % 3 == 0 && !value.empty() && c % 2 == 0) value[random() % value.size()] = next;
      else value += next;
    }
    check(value);
  }
  EXPECT_GE(values, 100'000u);
}

// Samples are cut 64 bytes at a time; what stands at their end, and quotes of all kinds, must be cut as one by one.
TEST(CsvInfer, CutsSamplesAsRecordsAreCut) {
  std::mt19937_64 random(12);
  constexpr std::string_view kAlphabet = "a,b\"1\n,2\r\n\"\"";
  std::size_t records = 0;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    const auto length = 200 + random() % 2'000;
    const bool quotes = i % 2 == 0;
    while (text.size() < length) {
      const char next = kAlphabet[random() % kAlphabet.size()];
      text += next == '"' && !quotes && random() % 50 > 0 ? 'q' : next;
    }
    Dialect dialect;
    dialect.header = false;
    dialect.columns = 3;
    CsvSample sample(dialect, {});
    const bool whole = i % 3 == 0;
    sample.add_head(text, 0, whole);
    TypeSummary first;
    std::uint64_t counted_records = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      std::vector<std::uint32_t> ends;
      const auto cut = cut_record(text, begin, dialect, ends);
      if ((cut.open || cut.end >= text.size()) && !whole) break;
      if (!cut.open && !(ends.size() == 1 && ends[0] == begin)) {
        ++counted_records;
        const auto field = unquote(std::string_view(text).substr(begin, ends[0] - begin), dialect);
        if (field.text.empty()) ++first.nulls;
        else first.add_thoroughly(field.text);
      }
      begin = cut.end + 1;
    }
    ASSERT_EQ(sample.records(), counted_records) << text;
    ASSERT_EQ(counted(sample.column(0)), counted(first)) << text;
    records += counted_records;
  }
  EXPECT_GT(records, 10'000u);
}

TEST(CsvDialect, CutsRecords) {
  struct Case {
    std::string_view text;
    std::vector<std::string> fields;
    std::size_t end;
    bool open;
  };
  for (const auto& c :
       {Case{"a,b\nc", {"a", "b"}, 3, false}, Case{"a,b\r\nc", {"a", "b"}, 4, false}, Case{"a,b", {"a", "b"}, 3, false},
        Case{"a,\n", {"a", ""}, 2, false}, Case{",\r\n", {"", ""}, 2, false}, Case{"\n", {""}, 0, false},
        Case{"\"a,b\"\n", {"a,b"}, 5, false}, Case{"\"a\nb\",c\n", {"a\nb", "c"}, 7, false},
        Case{"\"a\"\"b\"\n", {"a\"b"}, 6, false}, Case{"\"\",\"\"", {"", ""}, 5, false},
        Case{"a\"b,c\n", {"a\"b", "c"}, 5, false}, Case{"x,\"a\nb", {}, 4, true},
        Case{"\"a\"b\",c\n", {"\"a\"b\"", "c"}, 7, false}}) {
    std::vector<std::uint32_t> ends;
    const auto cut = cut_record(c.text, 0, {}, ends);
    EXPECT_EQ(cut.end, c.end) << c.text;
    EXPECT_EQ(cut.open, c.open) << c.text;
    std::vector<std::string> fields;
    std::size_t begin = 0;
    for (const auto end : ends) {
      fields.push_back(unquote(c.text.substr(begin, end - begin), {}).text);
      begin = end + 1;
    }
    EXPECT_EQ(fields, c.fields) << c.text;
  }
}

}  // namespace
}  // namespace penstock::format
