#include "format/csv_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "base/error.h"
#include "csv_test_text.h"
#include "schema/naming.h"

namespace penstock::format {
namespace {

using schema::CsvMapping;

using Case = CsvCase;

class CsvRows : public testing::TestWithParam<Case> {};

TEST_P(CsvRows, AreRead) { expect_rows(GetParam()); }

std::function<void(CsvMapping&)> typed(std::vector<std::pair<std::string, std::string>> types) {
  return [types](CsvMapping& mapping) {
    for (const auto& [name, type] : types) {
      auto column = schema::column_type_from_text(type).value();
      column.name = name;
      mapping.types.push_back(column);
    }
  };
}

INSTANTIATE_TEST_SUITE_P(
    Csv, CsvRows,
    testing::Values(
        Case{"plain", kNone, "ts,a,b,c\n1609459200000,1,2.5,x\n1609459201000,-2,3,y z\n",
             "c 1609459200000 a=1 b=2.5 c='x'\nc 1609459201000 a=-2 b=3 c='y z'\n"},
        Case{"crlf", kNone, "ts,a,c\r\n1609459200000,1,x\r\n1609459201000,2,y\r\n",
             "c 1609459200000 a=1 c='x'\nc 1609459201000 a=2 c='y'\n"},
        Case{"no newline at the end", kNone, "ts,a\n1609459200000,1\n1609459201000,23",
             "c 1609459200000 a=1\nc 1609459201000 a=23\n"},
        Case{"no newline behind a double", kNone, "ts,a\n1609459200000,1.5\n1609459201000,2.5",
             "c 1609459200000 a=1.5\nc 1609459201000 a=2.5\n"},
        Case{"no newline behind a quote", kNone, "ts,a\n1609459200000,x\n1609459201000,\"y\"",
             "c 1609459200000 a='x'\nc 1609459201000 a='y'\n"},
        Case{"empty file", kNone, "", ""}, Case{"only newlines", kNone, "\n\r\n\n", ""},
        Case{"only a header", kNone, "ts,a,b\n", ""}, Case{"header without newline", kNone, "ts,a,b", ""},
        Case{"blank lines are skipped", kNone, "ts,a\n\n1609459200000,1\n\r\n\n1609459201000,2\n\n",
             "c 1609459200000 a=1\nc 1609459201000 a=2\n"},
        Case{"no header", kNone, "1609459200000,1,x\n1609459201000,2,y\n",
             "c 1609459200000 c2=1 c3='x'\nc 1609459201000 c2=2 c3='y'\n"},
        Case{"quotes", kNone, "ts,s\n1609459200000,\"a,b\"\n1609459201000,\"say \"\"hi\"\"\"\n1609459202000,\"\"\n",
             "c 1609459200000 s='a,b'\nc 1609459201000 s='say \"hi\"'\nc 1609459202000 s=''\n"},
        Case{"newline in quotes", kNone, "ts,s,n\n1609459200000,\"a\nb\r\nc\",1\n1609459201000,d,2\n",
             "c 1609459200000 s='a\nb\r\nc' n=1\nc 1609459201000 s='d' n=2\n"},
        Case{"quotes inside unquoted text are text", kNone,
             "ts,s,n\n1609459200000,5\" pipe,1\n1609459201000,a \"b, 2\n",
             "c 1609459200000 s='5\" pipe' n=1\nc 1609459201000 s='a \"b' n=2\n"},
        Case{"blanks around quotes do not count", kNone, "ts,s,n\n1609459200000, \"a\" ,1\n1609459201000, b ,2\n",
             "c 1609459200000 s='a' n=1\nc 1609459201000 s=' b ' n=2\n"},
        Case{"text behind a closing quote", kNone,
             "ts,s,n\n1609459200000,x,1\n1609459201000,\"a\"b,2\n1609459202000,y,3\n",
             "c 1609459200000 s='x' n=1\nc 1609459202000 s='y' n=3\n"
             "reject 15: text stands behind the closing quote of field '\"a\"b' (a quote inside quotes is doubled)\n"},
        Case{"open quote costs one line", kNone,
             "ts,s\n1609459200000,x\n1609459201000,\"open\n1609459202000,y\n1609459203000,z",
             "c 1609459200000 s='x'\nc 1609459202000 s='y'\nc 1609459203000 s='z'\n"
             "reject 15: a quote opens a field here and is not closed; --quote '' reads quotes as text\n"},
        Case{"null spellings", kNone,
             "ts,i,d,s\n1609459200000,1,1.5,x\n1609459201000,,,\n1609459202000,NULL,NA,\\N\n1609459203000,null,nan,N/"
             "A\n",
             "c 1609459200000 i=1 d=1.5 s='x'\nc 1609459201000 i=null d=null s=null\nc 1609459202000 i=null d=null "
             "s=null\n"
             "c 1609459203000 i=null d=nan s=null\n"},
        Case{"quoted null is text", typed({{"i", "INT"}}),
             "ts,i,s\n1609459200000,1,x\n1609459201000,\"NULL\",\"NULL\"\n1609459202000,\"2\",\" y\"\n",
             "c 1609459200000 i=1 s='x'\nc 1609459201000 i=null s='NULL'\nc 1609459202000 i=2 s=' y'\n"},
        Case{"numeric null", [](CsvMapping& m) { m.nulls = {"-999"}; },
             "ts,i,d\n1609459200000,1,2.5\n1609459201000,-999,-999\n1609459202000,-998,-999.0\n",
             "c 1609459200000 i=1 d=2.5\nc 1609459201000 i=null d=null\nc 1609459202000 i=-998 d=-999\n"},
        Case{"padded numbers", kNone,
             "ts,i,d\n1609459200000,   1,  2.5\n  1609459201000 , 22 , 3 \n1609459202000,   ,\t\n",
             "c 1609459200000 i=1 d=2.5\nc 1609459201000 i=22 d=3\nc 1609459202000 i=null d=null\n"},
        Case{"short rows give less", kNone,
             "ts,a,b,s\n1609459200000,1,2,x\n1609459201000,3\n1609459202000,4,\n1609459203000\n",
             "c 1609459200000 a=1 b=2 s='x'\nc 1609459201000 a=3\nc 1609459202000 a=4 b=null\n"
             "reject 14: the record has 1 of 4 fields and gives no value\n"},
        Case{"short before the timestamp", kNone, "a,ts,b\n1,1609459200000,2\n3\n",
             "c 1609459200000 a=1 b=2\n"
             "reject 2: the record has 1 of 3 fields and ends before the timestamp 'ts'\n"},
        Case{"too many fields", kNone,
             "ts,a\n1609459200000,1\n1609459201000,2,\n1609459202000,3, ,\n1609459203000,4,5\n",
             "c 1609459200000 a=1\nc 1609459201000 a=2\nc 1609459202000 a=3\n"
             "reject 17: the record has 3 fields, the file 2 columns, and field 3 holds '5' (is a delimiter inside a "
             "value without quotes?)\n"},
        Case{"timestamps that are none", kNone,
             "ts,a\n2021-01-01 00:00:00,1\n,2\nNULL,3\nnever,4\n2021-02-30 00:00:00,5\n\"2021-01-01 00:00:01\",6\n",
             "c 1609459200000 a=1\nc 1609459201000 a=6\n"
             "reject 1: the timestamp 'ts' is empty\nreject 1: the timestamp 'ts' is NULL\n"
             "reject 1: 'never' in column 'ts' is no time (ISO 8601 is expected); --time-format tells another form\n"
             "reject 1: '2021-02-30 00:00:00' in column 'ts' is no time (ISO 8601 is expected); --time-format tells "
             "another form\n"},
        Case{"a value that does not fit", typed({{"i", "TINYINT"}, {"d", "DOUBLE"}}),
             "ts,i,d\n1609459200000,127,1\n1609459201000,128,1\n1609459202000,1,x1\n1609459203000,1.5,1\n",
             "c 1609459200000 i=127 d=1\n"
             "reject 15: '128' in column 'i' does not fit TINYINT (-128 to 127); a wider type takes it (--type 'i=…')\n"
             "reject 17: 'x1' in column 'd' is no DOUBLE; --null 'x1' reads it as NULL, --type 'd=VARCHAR' the column "
             "as text\n"
             "reject 15: '1.5' in column 'i' does not fit TINYINT (-128 to 127); a wider type takes it (--type "
             "'i=…')\n"},
        Case{"integers written as doubles", typed({{"i", "BIGINT"}}),
             "ts,i\n1609459200000,1.0\n1609459201000,2.\n1609459202000,-3.000\n",
             "c 1609459200000 i=1\nc 1609459201000 i=2\nc 1609459202000 i=-3\n"},
        Case{
            "integer limits", typed({{"b", "BIGINT"}, {"u", "BIGINT UNSIGNED"}}),
            "ts,b,u\n1609459200000,9223372036854775807,18446744073709551615\n1609459201000,-9223372036854775808,"
            "0\n1609459202000,9223372036854775808,1\n1609459203000,1,-1\n1609459204000,00000000000000000000007,+5\n",
            "c 1609459200000 b=9223372036854775807 u=18446744073709551615\nc 1609459201000 b=-9223372036854775808 u=0\n"
            "c 1609459204000 b=7 u=5\n"
            "reject 15: '9223372036854775808' in column 'b' does not fit BIGINT (-9223372036854775808 to "
            "9223372036854775807); a wider type takes it (--type 'b=…')\n"
            "reject 17: '-1' in column 'u' does not fit BIGINT UNSIGNED (0 to 18446744073709551615); a wider type "
            "takes it (--type 'u=…')\n"},
        Case{"every other type",
             typed({{"o", "BOOL"},
                    {"f", "FLOAT"},
                    {"e", "DECIMAL(10,2)"},
                    {"h", "DECIMAL(38,4)"},
                    {"v", "VARBINARY(20)"},
                    {"g", "GEOMETRY(100)"},
                    {"n", "NCHAR(10)"},
                    {"z", "TIMESTAMP"},
                    {"w", "SMALLINT UNSIGNED"}}),
             "ts,o,f,e,h,v,g,n,z,w\n"
             "1609459200000,Yes,0.1,-12.3,1.5,\\x00ff,POINT(1 2),gr\xC3\xBC\xC3\x9F,2021-01-01T00:00:00Z,65535\n"
             "1609459200001,off,1e3,1.50e1,-0.0001,abc,\"LINESTRING(0 0, 1 1)\",x,1609459200,0\n",
             "c 1609459200000 o=true f=0.10000000149011612 e=-1230 h=983a0000000000000000000000000000 v=00ff "
             "g=0101000000000000000000f03f0000000000000040 n='gr\xC3\xBC\xC3\x9F' z=1609459200000 w=65535\n"
             "reject 67: '1609459200' in column 'z' is no time (ISO 8601 is expected); --time-format tells another "
             "form\n"},
        Case{"decimals keep every digit", typed({{"e", "DECIMAL(6,2)"}}),
             "ts,e\n1609459200000,1234.56\n1609459201000,12345.6\n1609459202000,1.234\n1609459203000,1.2300\n",
             "c 1609459200000 e=123456\nc 1609459203000 e=123\n"
             "reject 15: '12345.6' in column 'e' does not fit DECIMAL(6,2); a wider type takes it (--type 'e=…')\n"
             "reject 15: '1.234' in column 'e' does not fit DECIMAL(6,2); a wider type takes it (--type 'e=…')\n"},
        Case{"nchar is UTF-8", typed({{"s", "NCHAR(10)"}}),
             "ts,s\n1609459200000,\xC3\xA4\n1609459201000,\xE4\n1609459202000,aaaaaaaaaaaaaaaa\xE4\n",
             "c 1609459200000 s='\xC3\xA4'\n"
             "reject 15: '\\xe4' in column 's' is not UTF-8; convert the file first (iconv), or take it as bytes with "
             "--type 's=VARCHAR'\n"
             "reject 15: 'aaaaaaaaaaaaaaaa\\xe4' in column 's' is not UTF-8; convert the file first (iconv), or take "
             "it as bytes with --type 's=VARCHAR'\n"},
        Case{"tags",
             [](CsvMapping& m) {
               m.tags = {"site", "id"};
               m.child_table = "{site}_{id}";
             },
             "ts,site,id,v\n1609459200000,berlin,1,2\n1609459201000,\"berlin\",1,3\n1609459202000,paris,2.5,4\n",
             "berlin_1{site='berlin',id='1'} 1609459200000 v=2\nberlin_1{site='berlin',id='1'} 1609459201000 v=3\n"
             "paris_2_5{site='paris',id='2.5'} 1609459202000 v=4\n"},
        Case{"tags with types",
             [](CsvMapping& m) {
               m.tags = {"site", "id"};
               m.child_table = "{site}";
               typed({{"id", "INT"}, {"site", "VARCHAR(20)"}})(m);
             },
             "ts,site,id,v\n1609459200000,a,258,2\n1609459201000,b,,3\n1609459202000,c,x,4\n",
             "a{site='a',id=02010000} 1609459200000 v=2\nb{site='b'} 1609459201000 v=3\n"
             "reject 17: 'x' in column 'id' is no INT; --null 'x' reads it as NULL, --type 'id=VARCHAR' the column as "
             "text\n"},
        Case{"empty tags are not given",
             [](CsvMapping& m) {
               m.tags = {"site", "id"};
               m.constant_tags = {{"country", "de"}};
             },
             "ts,site,id,v\n1609459200000,a,,2\n1609459201000,NULL,x,3\n",
             "c{site='a',country='de'} 1609459200000 v=2\nc{site='a',country='de'} 1609459201000 v=3\n"},
        Case{"child table by column",
             [](CsvMapping& m) {
               m.child_table.clear();
               m.child_table_column = "name";
               m.tags = {"loc"};
             },
             "name,ts,v,loc\nd.1,1609459200000,1,x\n,1609459201000,2,x\n\"d 2\",1609459202000,3,y\n",
             "d_1{loc='x'} 1609459200000 v=1\nd 2{loc='y'} 1609459202000 v=3\nreject 1: column 'name' names the child "
             "table and is NULL or empty\n"},
        Case{"tbname names the child table", [](CsvMapping& m) { m.child_table.clear(); },
             "tbname,ts,v\r\nd1,1609459200000,1\r\nd2,1609459200000,2\r\n",
             "d1 1609459200000 v=1\nd2 1609459200000 v=2\n"},
        Case{"ignored and renamed",
             [](CsvMapping& m) {
               m.ignore = {"b"};
               m.rename = {{"a", "alpha"}};
             },
             "ts,a,b,c\n1609459200000,1,oops,3\n", "c 1609459200000 alpha=1 c=3\n"},
        Case{"semicolons", kNone, "ts;a;b\n1609459200000;1;x,y\n1609459201000;2;z\n",
             "c 1609459200000 a=1 b='x,y'\nc 1609459201000 a=2 b='z'\n"},
        Case{"tabs", kNone, "ts\ta\tb\n1609459200000\t1\tx y\n1609459201000\t\t\n1609459202000\t2\t z\n",
             "c 1609459200000 a=1 b='x y'\nc 1609459201000 a=null b=null\nc 1609459202000 a=2 b=' z'\n"},
        Case{"escapes", [](CsvMapping& m) { m.escape = '\\'; },
             "ts,s,n\n1609459200000,\"a\\\"b,\",1\n1609459201000,c\\,d,2\n1609459202000,\\N,3\n",
             "c 1609459200000 s='a\"b,' n=1\nc 1609459201000 s='c,d' n=2\nc 1609459202000 s=null n=3\n"},
        Case{"quotes are text", [](CsvMapping& m) { m.quote = '\0'; },
             "ts,s,n\n1609459200000,\"a,1\n1609459201000,b\",2\n",
             "c 1609459200000 s='\"a' n=1\nc 1609459201000 s='b\"' n=2\n"},
        Case{"skipped lines", [](CsvMapping& m) { m.skip_lines = 2; }, "made by, a logger\n\"\nts,a\n1609459200000,1\n",
             "c 1609459200000 a=1\n"},
        Case{"microseconds", kNone,
             "ts,a\n2021-01-01 00:00:00.000001,1\n2021-01-01T00:00:00.5Z,2\n2021-01-01 00:00:00.1234567,3\n",
             "c 1609459200000001000 a=1\nc 1609459200500000000 a=2\nc 1609459200123456700 a=3\n"},
        Case{"too fine for the given precision", [](CsvMapping& m) { m.precision = data::Precision::milliseconds; },
             "ts,a\n2021-01-01 00:00:00.123,1\n2021-01-01 00:00:00.1234,2\n2021-01-01 00:00:00.123000,3\n",
             "c 1609459200123 a=1\nc 1609459200123 a=3\nreject 1: time '2021-01-01 00:00:00.1234' in column 'ts' is "
             "finer than ms; read it with --precision us or ns\n"},
        Case{"gap and fold", [](CsvMapping& m) { m.timezone = "Europe/Berlin"; },
             "ts,a\n2021-03-28 01:59:59,1\n2021-03-28 02:30:00,2\n2021-03-28 03:00:00,3\n2021-10-31 "
             "02:30:00,4\n2021-10-31 02:30:00+01:00,5\n",
             "c 1616893199000 a=1\nc 1616893200000 a=3\nc 1635640200000 a=4\nc 1635643800000 a=5\n"
             "reject 1: local time '2021-03-28 02:30:00' in column 'ts' does not exist in Europe/Berlin: daylight "
             "saving skips it; --dst-gap shift moves it on\n"}),
    [](const auto& test) {
      std::string name = test.param.name;
      for (auto& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
      }
      return name;
    });

/// A dirty file: quotes, newlines in quotes, ragged rows, nulls, bad values.
std::string dirty_csv(std::uint64_t seed, int rows) {
  std::mt19937_64 random(seed);
  std::string text = "ts,site,i,d,s\n";
  for (int r = 0; r < rows; ++r) {
    text += random() % 20 == 0 ? "oops" : std::to_string(1609459200000 + r);
    text += ",s" + std::to_string(random() % 3);
    text += random() % 15 == 0 ? ",x" : "," + std::to_string(static_cast<std::int64_t>(random() % 2000) - 1000);
    text += random() % 9 == 0 ? "," : "," + std::to_string(static_cast<double>(random() % 100'000) / 64);
    switch (random() % 7) {
      case 0: text += ",\"a\nb,\"\"c\"\"\r\n\""; break;
      case 1: text += ",6\" pipe"; break;
      case 2: text += ",NULL"; break;
      case 3: break;  // a short row
      case 4: text += ",x,y"; break;
      default: text += ",text " + std::to_string(r);
    }
    text += random() % 3 == 0 ? "\r\n" : "\n";
    if (random() % 25 == 0) text += "\n";
  }
  return text;
}

CsvMapping dirty_mapping() {
  CsvMapping mapping;
  mapping.tags = {"site"};
  mapping.child_table = "{site}";
  for (const auto& [name, type] : {std::pair{"i", "INT"}, std::pair{"d", "DOUBLE"}, std::pair{"s", "NCHAR(100)"}}) {
    auto column = schema::column_type_from_text(type).value();
    column.name = name;
    mapping.types.push_back(column);
  }
  return mapping;
}

/// Rows and rejects with places in the file, whatever the chunks.
std::vector<std::string> rows_of(const CsvPlan& plan, schema::Registry& registry, CsvParser& parser,
                                 std::string_view text, std::size_t offset) {
  data::RowSet rows;
  const auto chunk = csv_chunk(text, offset);
  parser.parse(chunk, rows);
  EXPECT_EQ(rows.lines(), static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')));
  EXPECT_EQ(rows.time_unit(), plan.time_unit);
  std::vector<std::pair<std::size_t, std::string>> found;
  rows.for_each_row([&](const data::Row& row) {
    auto line = std::string(registry.child(row.child).name) + " " + std::to_string(row.time) + " " +
                std::string(text.substr(row.offset, row.length));
    const auto& shape = rows.shapes()[row.shape];
    for (std::size_t f = 0; f < shape.fields.size(); ++f) {
      const bool null = shape.nullable && data::Shape::is_null(row, shape.fields.size(), f);
      line += " " + std::string(shape.fields[f].name) + "=" +
              (null ? "null" : slot_text(shape.fields[f].type, row.slots()[f]));
      if (!null && data::is_variable(shape.fields[f].type)) {
        EXPECT_LE(data::text_of(row.slots()[f]).size(), shape.max_length[f]);
      }
    }
    found.emplace_back(offset + row.offset, line);
  });
  for (const auto& reject : rows.rejects())
    found.emplace_back(offset + reject.offset, "reject " + std::to_string(reject.column) + " " + reject.reason.text +
                                                   " " + std::string(text.substr(reject.offset, reject.length)));
  std::sort(found.begin(), found.end());
  std::vector<std::string> lines;
  for (const auto& [at, line] : found) lines.push_back(std::to_string(at) + ": " + line);
  return lines;
}

TEST(CsvParser, GivesTheSameRowsHoweverTheFileIsCut) {
  const auto text = dirty_csv(11, 300);
  const auto plan = infer(text, dirty_mapping(), "t");
  schema::Registry registry;
  CsvParser parser(registry, plan);
  const auto whole = rows_of(plan, registry, parser, text, 0);
  EXPECT_GT(whole.size(), 250u);
  // The places where a source may be cut: ends of records.
  std::vector<std::size_t> cuts;
  std::vector<std::uint32_t> ends;
  for (std::size_t begin = 0; begin < text.size(); ends.clear()) {
    begin = cut_record(text, begin, plan.dialect, ends).end + 1;
    if (begin < text.size()) cuts.push_back(begin);
  }
  for (const auto cut : cuts) {
    auto lines = rows_of(plan, registry, parser, std::string_view(text).substr(0, cut), 0);
    for (auto& line : rows_of(plan, registry, parser, std::string_view(text).substr(cut), cut))
      lines.push_back(std::move(line));
    ASSERT_EQ(lines, whole) << "cut at " << cut;
  }
}

TEST(CsvParser, SurvivesAnything) {
  std::mt19937_64 random(17);
  const auto seed_text = dirty_csv(23, 12);
  const auto plan = infer(seed_text, dirty_mapping(), "t");
  schema::Registry registry;
  CsvParser parser(registry, plan);
  for (int i = 0; i < 4000; ++i) {
    auto text = seed_text.substr(random() % 60, random() % seed_text.size());
    for (auto k = random() % 12; k > 0 && !text.empty(); --k) {
      const auto at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = "\",\n\r-+.e019 \\N\x00\xC3\xFF"[random() % 18]; break;
        case 1: text.erase(at, 1 + random() % 3); break;
        default: text.insert(at, 1 + random() % 3, "\",\n9"[random() % 4]);
      }
    }
    const auto lines = rows_of(plan, registry, parser, text, 4096);
    // Every record that is not blank is accounted for.
    std::size_t records = 0;
    std::vector<std::uint32_t> ends;
    for (std::size_t begin = 0; begin < text.size(); ends.clear()) {
      const auto cut = cut_record(text, begin, plan.dialect, ends);
      const bool blank = ends.size() == 1 && ends[0] == begin && !cut.open;
      // The header, where it comes again, is no record.
      const bool header = !cut.open && text.substr(begin, ends.back() - begin) == plan.header;
      if (!blank && !header) ++records;
      begin = cut.end + 1;
    }
    ASSERT_EQ(lines.size(), records) << text;
    // And any text can be looked at without a plan.
    try {
      (void)infer(text, {}, "x");
    } catch (const Error&) {
    }
  }
}

TEST(CsvParser, ReadsFourThousandColumns) {
  std::string header = "ts";
  std::string row = "1609459200000";
  for (int c = 0; c < 4000; ++c) {
    header += ",c" + std::to_string(c);
    row += c % 3 == 0 ? "," : "," + std::to_string(c);
  }
  const auto text = header + "\n" + row + "\n" + row + "\n";
  const auto plan = infer(text, {}, "wide");
  schema::Registry registry;
  CsvParser parser(registry, plan);
  data::RowSet rows;
  const auto chunk = csv_chunk(text);
  parser.parse(chunk, rows);
  EXPECT_TRUE(rows.rejects().empty());
  ASSERT_EQ(rows.row_count(), 2u);
  rows.for_each_row([&](const data::Row& r) {
    const auto& shape = rows.shapes()[r.shape];
    ASSERT_EQ(shape.fields.size(), 4000u);
    for (std::size_t c = 0; c < 4000; ++c) {
      ASSERT_EQ(data::Shape::is_null(r, 4000, c), c % 3 == 0) << c;
      if (c % 3 != 0) {
        ASSERT_EQ(r.slots()[c], c);
      }
    }
  });
}

TEST(CsvParser, NamesChildTablesAsSchemalessWould) {
  CsvMapping mapping;
  mapping.tags = {"host", "dc"};
  std::vector<schema::NewSeries::Tag> tags{{"host", data::Type::nchar, "h,1"}, {"dc", data::Type::nchar, "x"}};
  const auto name = schema::child_table_name("t", tags, {});
  EXPECT_EQ(read_csv("ts,host,dc,v\n1609459200000,\"h,1\",x,1\n", mapping),
            name + "{host='h,1',dc='x'} 1609459200000 v=1\n");
}

TEST(CsvParser, KeepsSeriesOfDifferentFilesApart) {
  // The same bytes under other tag names, or in another place, are other child tables of one registry.
  CsvMapping mapping;
  mapping.tags = {"a", "b"};
  const std::string_view one = "ts,a,b,v\n1609459200000,x,,1\n1609459200000,,x,1\n";
  const std::string_view two = "ts,b,a,v\n1609459200000,x,,1\n1609459200000,,x,1\n";
  schema::Registry registry;
  std::vector<std::uint32_t> children;
  for (const auto text : {one, two}) {
    const auto plan = infer(text, mapping, "t");
    CsvParser parser(registry, plan);
    data::RowSet rows;
    const auto chunk = csv_chunk(text);
    parser.parse(chunk, rows);
    rows.for_each_row([&](const data::Row& row) { children.push_back(row.child); });
  }
  ASSERT_EQ(children.size(), 4u);
  EXPECT_EQ(children[0], children[3]);  // a=x
  EXPECT_EQ(children[1], children[2]);  // b=x
  EXPECT_NE(children[0], children[1]);
}

TEST(CsvParser, RejectsRowsOutsideTheTimeRange) {
  const std::string_view text = "ts,v\n1609459200000,1\n1609459201000,2\n1609459202000,3\n";
  const auto plan = infer(text, {}, "t");
  schema::Registry registry;
  CsvParser parser(registry, plan, {{1609459201000, 1609459201999}, {}});
  data::RowSet rows;
  const auto chunk = csv_chunk(text);
  parser.parse(chunk, rows);
  EXPECT_EQ(rows.row_count(), 1u);
  ASSERT_EQ(rows.rejects().size(), 2u);
  EXPECT_EQ(rows.rejects()[0].reason.code, 0x060B);
  EXPECT_EQ(rows.rejects()[0].reason.text, "timestamp '1609459200000' is outside the time range of the database");
  EXPECT_EQ(rows.rejects()[0].offset, 5u);
}

}  // namespace
}  // namespace penstock::format
