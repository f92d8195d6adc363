#include "schema/mapping.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace penstock::schema {
namespace {

TEST(CsvMapping, ReadsEveryKey) {
  const auto mapping = csv_mapping_from_toml(R"toml(
table = "weather"
timestamp = ["time_hour", "clock"]
tags = ["origin", "site"]
tags_as_columns = ["site"]
drop_tags = ["year"]
table_column = ""
decimal = ","
columns = ["temp"]
ignore = ["year"]
child_table = "{origin}_{site}"
header = false
names = ["time_hour", "temp"]
delimiter = ";"
quote = ""
escape = "\\"
skip_lines = 3
nulls = ["-", ""]
time_format = "%d.%m.%Y"
precision = "us"
timezone = "Europe/Berlin"
dst_gap = "shift"
dst_fold = "second"
[rename]
zz = "z"
aa = "a"
[types]
temp = "double"
name = "VARCHAR(20)"
price = "decimal(20, 4)"
n = "int unsigned"
[constant_tags]
country = "de"
)toml",
                                             "m.toml");
  EXPECT_EQ(mapping.table, "weather");
  EXPECT_EQ(mapping.timestamp, "time_hour");
  EXPECT_EQ(mapping.clock, "clock");
  EXPECT_EQ(mapping.tags_as_columns, std::vector<std::string>{"site"});
  EXPECT_EQ(mapping.drop_tags, std::vector<std::string>{"year"});
  EXPECT_EQ(mapping.decimal, ',');
  EXPECT_EQ(mapping.tags, (std::vector<std::string>{"origin", "site"}));
  EXPECT_EQ(mapping.header, CsvMapping::Header::no);
  EXPECT_EQ(mapping.delimiter, ';');
  EXPECT_EQ(mapping.quote, '\0');
  EXPECT_EQ(mapping.escape, '\\');
  EXPECT_EQ(mapping.skip_lines, 3u);
  EXPECT_EQ(mapping.precision, data::Precision::microseconds);
  EXPECT_EQ(mapping.dst_gap, CsvMapping::DstGap::shift);
  EXPECT_EQ(mapping.dst_fold, CsvMapping::DstFold::second);
  // In the order of the text.
  EXPECT_EQ(mapping.rename, (CsvMapping::Pairs{{"zz", "z"}, {"aa", "a"}}));
  ASSERT_EQ(mapping.types.size(), 4u);
  EXPECT_EQ(mapping.types[1].width, 20u);
  EXPECT_EQ(mapping.types[2].type, data::Type::decimal128);
  EXPECT_EQ(mapping.types[2].scale, 4);
  EXPECT_EQ(mapping.types[3].type, data::Type::uinteger);
}

CsvMapping full() {
  CsvMapping mapping;
  mapping.table = "a \"b\" \\ c";
  mapping.timestamp = "t";
  mapping.clock = "h";
  mapping.tags = {"x", "y\tz"};
  mapping.tags_as_columns = {"x"};
  mapping.drop_tags = {"s", "y\tz"};
  mapping.decimal = ',';
  mapping.columns = {"a"};
  mapping.ignore = {"q"};
  mapping.rename = {{"z", "1"}, {"a", "2"}, {"m.n", "\xC3\xA4"}};
  mapping.types = {{"v", data::Type::varchar, 12, 0, 0, false},
                   {"d", data::Type::decimal64, 8, 10, 2, false},
                   {"n", data::Type::nchar, 0, 0, 0, false}};
  mapping.constant_tags = {{"s", "b"}, {"c", "\x01"}};
  mapping.child_table_column = "tb";
  mapping.header = CsvMapping::Header::yes;
  mapping.names = {"a", "b"};
  mapping.delimiter = '\t';
  mapping.quote = '\'';
  mapping.escape = '\\';
  mapping.skip_lines = 7;
  mapping.nulls = {"", "\\N"};
  mapping.time_format = "%Y";
  mapping.precision = data::Precision::nanoseconds;
  mapping.timezone = "UTC";
  mapping.dst_gap = CsvMapping::DstGap::shift;
  mapping.dst_fold = CsvMapping::DstFold::reject;
  return mapping;
}

TEST(CsvMapping, SurvivesWritingAndReading) {
  auto tables = full();
  tables.table.clear();
  tables.table_column = "kind";
  for (const auto& mapping : {CsvMapping{}, full(), tables}) {
    const auto toml = to_toml(mapping);
    EXPECT_EQ(csv_mapping_from_toml(toml, "x"), mapping) << toml;
  }
  EXPECT_EQ(to_toml(CsvMapping{}), "");
}

TEST(CsvMapping, RefusesWithPlaceAndReason) {
  struct Case {
    std::string_view toml;
    std::string_view message;
  };
  for (const auto& c :
       {Case{"tabel = \"x\"", "m:1: tabel is no key of a CSV mapping; known are child_table, child_table_column,"},
        Case{"\ntypes.temp = \"DUBLE\"", "m:2: types.temp is 'DUBLE', which is no TDengine type"},
        Case{"types.temp = \"VARCHAR(x)\"", "m:1: types.temp is 'VARCHAR(x)', which is no TDengine type"},
        Case{"types = 3", "m:1: types must be a table of name = \"text\""},
        Case{"tags = \"a\"", "m:1: tags must be a list of texts such as [\"a\", \"b\"]"},
        Case{"tags = [1]", "m:1: tags must be a text in quotes"},
        Case{"delimiter = \"ab\"", "m:1: delimiter must be one ASCII character, or \"\" for none"},
        Case{"precision = \"s\"", "m:1: precision must be \"ms\", \"us\" or \"ns\""},
        Case{"dst_gap = \"maybe\"", "m:1: dst_gap is 'maybe', but must be one of reject, shift"},
        Case{"skip_lines = -1", "m:1: skip_lines must be a number of lines, 0 or more"},
        Case{"header = 1", "m:1: header must be true, false or \"auto\""}, Case{"a = [", "m:1: this is no TOML: "},
        Case{"tags = [\"a\"]\nignore = [\"a\"]", "mapping: column 'a' is a tag and ignored; name it in one of both"},
        Case{"tags = [\"a\", \"a\"]", "mapping: tag 'a' is named twice"},
        Case{"tags = [\"a\"]\ntimestamp = \"a\"", "mapping: column 'a' cannot be the timestamp and a tag"},
        Case{"delimiter = \"\"", "mapping: the delimiter must be one character, no line end"},
        Case{"delimiter = \"'\"\nquote = \"'\"", "mapping: delimiter, quote and escape must differ"},
        Case{"child_table = \"{a}\"\nchild_table_column = \"b\"",
             "mapping: child_table (a template) and child_table_column exclude each other"}}) {
    try {
      (void)csv_mapping_from_toml(c.toml, "m");
      ADD_FAILURE() << "accepted: " << c.toml;
    } catch (const Error& error) {
      EXPECT_EQ(std::string_view(error.what()).substr(0, c.message.size()), c.message) << c.toml;
      EXPECT_EQ(error.code(), Errc::config);
    }
  }
}

TEST(CsvMapping, ReadsTypes) {
  struct Case {
    std::string_view text;
    std::string_view sql;  // empty: refused
  };
  for (const auto& c : {Case{"varchar(5)", "VARCHAR(5)"},
                        Case{"BINARY( 7 )", "VARCHAR(7)"},
                        Case{"nchar(16379)", "NCHAR(16379)"},
                        Case{"nchar(16380)", ""},
                        Case{"varchar(65517)", "VARCHAR(65517)"},
                        Case{"varchar(65518)", ""},
                        Case{"varchar(0)", ""},
                        Case{"varchar(", ""},
                        Case{"varchar(5", ""},
                        Case{"varchar(5)x", ""},
                        Case{"int(5)", ""},
                        Case{"DECIMAL(18,2)", "DECIMAL(18,2)"},
                        Case{"DECIMAL(38,38)", "DECIMAL(38,38)"},
                        Case{"DECIMAL(39,1)", ""},
                        Case{"DECIMAL(3,4)", ""},
                        Case{"DECIMAL", ""},
                        Case{"bigint  unsigned", "BIGINT UNSIGNED"},
                        Case{"timestamp", "TIMESTAMP"},
                        Case{"", ""},
                        Case{"()", ""}}) {
    const auto column = column_type_from_text(c.text);
    EXPECT_EQ(column ? data::sql_type(*column) : "", c.sql) << c.text;
  }
}

TEST(CsvMapping, NamesTablesAfterFiles) {
  EXPECT_EQ(table_name_of_file("a/b.c/weather.csv.zst"), "weather");
  EXPECT_EQ(table_name_of_file("weather"), "weather");
  EXPECT_EQ(table_name_of_file("my data.2013.csv"), "my data_2013");
  EXPECT_EQ(table_name_of_file(".csv"), "_csv");
  EXPECT_EQ(table_name_of_file("-"), "-");
  EXPECT_EQ(table_name_of_file(""), "csv");
  EXPECT_EQ(legal_table_name("a`b\nc"), "a_b_c");
  // Cut at a character boundary.
  EXPECT_EQ(legal_table_name(std::string(191, 'x') + "\xC3\xA4"), std::string(191, 'x'));
  EXPECT_EQ(legal_column_name(std::string(80, 'y')).size(), 64u);
}

}  // namespace
}  // namespace penstock::schema
