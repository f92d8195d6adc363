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

struct Case {
  const char* name;
  std::function<void(CsvMapping&)> map;
  std::string_view text;
  std::string_view rows;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class CsvRows : public testing::TestWithParam<Case> {};

TEST_P(CsvRows, AreRead) {
  CsvMapping mapping;
  mapping.child_table = "c";  // short names in the expectations
  if (GetParam().map) GetParam().map(mapping);
  EXPECT_EQ(read_csv(GetParam().text, mapping), GetParam().rows);
}

const std::function<void(CsvMapping&)> kNone;
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
        Case{"empty file", kNone, "", ""},
        Case{"only newlines", kNone, "\n\r\n\n", ""},
        Case{"only a header", kNone, "ts,a,b\n", ""},
        Case{"header without newline", kNone, "ts,a,b", ""},
        Case{"blank lines are skipped", kNone, "ts,a\n\n1609459200000,1\n\r\n\n1609459201000,2\n\n",
             "c 1609459200000 a=1\nc 1609459201000 a=2\n"},
        Case{"no header", kNone, "1609459200000,1,x\n1609459201000,2,y\n",
             "c 1609459200000 c2=1 c3='x'\nc 1609459201000 c2=2 c3='y'\n"},
        Case{"quotes", kNone, "ts,s\n1609459200000,\"a,b\"\n1609459201000,\"say \"\"hi\"\"\"\n1609459202000,\"\"\n",
             "c 1609459200000 s='a,b'\nc 1609459201000 s='say \"hi\"'\nc 1609459202000 s=''\n"},
        Case{"newline in quotes", kNone, "ts,s,n\n1609459200000,\"a\nb\r\nc\",1\n1609459201000,d,2\n",
             "c 1609459200000 s='a\nb\r\nc' n=1\nc 1609459201000 s='d' n=2\n"},
        Case{"quotes inside unquoted text are text", kNone, "ts,s,n\n1609459200000,5\" pipe,1\n1609459201000,a \"b, 2\n",
             "c 1609459200000 s='5\" pipe' n=1\nc 1609459201000 s='a \"b' n=2\n"},
        Case{"blanks around quotes do not count", kNone, "ts,s,n\n1609459200000, \"a\" ,1\n1609459201000, b ,2\n",
             "c 1609459200000 s='a' n=1\nc 1609459201000 s=' b ' n=2\n"},
        Case{"text behind a closing quote", kNone, "ts,s,n\n1609459200000,x,1\n1609459201000,\"a\"b,2\n1609459202000,y,3\n",
             "c 1609459200000 s='x' n=1\nc 1609459202000 s='y' n=3\n"
             "reject 15: text stands behind the closing quote of field '\"a\"b' (a quote inside quotes is doubled)\n"},
        Case{"open quote costs one line", kNone, "ts,s\n1609459200000,x\n1609459201000,\"open\n1609459202000,y\n1609459203000,z",
             "c 1609459200000 s='x'\nc 1609459202000 s='y'\nc 1609459203000 s='z'\n"
             "reject 15: a quote opens a field here and is not closed; --quote '' reads quotes as text\n"},
        Case{"null spellings", kNone, "ts,i,d,s\n1609459200000,1,1.5,x\n1609459201000,,,\n1609459202000,NULL,NA,\\N\n1609459203000,null,nan,N/A\n",
             "c 1609459200000 i=1 d=1.5 s='x'\nc 1609459201000 i=null d=null s=null\nc 1609459202000 i=null d=null s=null\n"
             "c 1609459203000 i=null d=nan s=null\n"},
        Case{"quoted null is text", typed({{"i", "INT"}}), "ts,i,s\n1609459200000,1,x\n1609459201000,\"NULL\",\"NULL\"\n1609459202000,\"2\",\" y\"\n",
             "c 1609459200000 i=1 s='x'\nc 1609459201000 i=null s='NULL'\nc 1609459202000 i=2 s=' y'\n"},
        Case{"numeric null", [](CsvMapping& m) { m.nulls = {"-999"}; }, "ts,i,d\n1609459200000,1,2.5\n1609459201000,-999,-999\n1609459202000,-998,-999.0\n",
             "c 1609459200000 i=1 d=2.5\nc 1609459201000 i=null d=null\nc 1609459202000 i=-998 d=-999\n"},
        Case{"padded numbers", kNone, "ts,i,d\n1609459200000,   1,  2.5\n  1609459201000 , 22 , 3 \n1609459202000,   ,\t\n",
             "c 1609459200000 i=1 d=2.5\nc 1609459201000 i=22 d=3\nc 1609459202000 i=null d=null\n"},
        Case{"short rows give less", kNone, "ts,a,b,s\n1609459200000,1,2,x\n1609459201000,3\n1609459202000,4,\n1609459203000\n",
             "c 1609459200000 a=1 b=2 s='x'\nc 1609459201000 a=3\nc 1609459202000 a=4 b=null\n"
             "reject 14: the record has 1 of 4 fields and gives no value\n"},
        Case{"short before the timestamp", kNone, "a,ts,b\n1,1609459200000,2\n3\n", "c 1609459200000 a=1 b=2\n"
             "reject 2: the record has 1 of 3 fields and ends before the timestamp 'ts'\n"},
        Case{"too many fields", kNone, "ts,a\n1609459200000,1\n1609459201000,2,\n1609459202000,3, ,\n1609459203000,4,5\n",
             "c 1609459200000 a=1\nc 1609459201000 a=2\nc 1609459202000 a=3\n"
             "reject 17: the record has 3 fields, the file 2 columns, and field 3 holds '5' (is a delimiter inside a value without quotes?)\n"},
        Case{"timestamps that are none", kNone, "ts,a\n2021-01-01 00:00:00,1\n,2\nNULL,3\nnever,4\n2021-02-30 00:00:00,5\n\"2021-01-01 00:00:01\",6\n",
             "c 1609459200000 a=1\nc 1609459201000 a=6\n"
             "reject 1: the timestamp 'ts' is empty\nreject 1: the timestamp 'ts' is NULL\n"
             "reject 1: 'never' in column 'ts' is no time (ISO 8601 is expected); --time-format tells another form\n"
             "reject 1: '2021-02-30 00:00:00' in column 'ts' is no time (ISO 8601 is expected); --time-format tells another form\n"},
        Case{"a value that does not fit", typed({{"i", "TINYINT"}, {"d", "DOUBLE"}}), "ts,i,d\n1609459200000,127,1\n1609459201000,128,1\n1609459202000,1,x1\n1609459203000,1.5,1\n",
             "c 1609459200000 i=127 d=1\n"
             "reject 15: '128' in column 'i' does not fit TINYINT (-128 to 127); a wider type takes it (--type 'i=…')\n"
             "reject 17: 'x1' in column 'd' is no DOUBLE; --null 'x1' reads it as NULL, --type 'd=VARCHAR' the column as text\n"
             "reject 15: '1.5' in column 'i' does not fit TINYINT (-128 to 127); a wider type takes it (--type 'i=…')\n"},
        Case{"integers written as doubles", typed({{"i", "BIGINT"}}), "ts,i\n1609459200000,1.0\n1609459201000,2.\n1609459202000,-3.000\n",
             "c 1609459200000 i=1\nc 1609459201000 i=2\nc 1609459202000 i=-3\n"},
        Case{"integer limits", typed({{"b", "BIGINT"}, {"u", "BIGINT UNSIGNED"}}),
             "ts,b,u\n1609459200000,9223372036854775807,18446744073709551615\n1609459201000,-9223372036854775808,0\n1609459202000,9223372036854775808,1\n1609459203000,1,-1\n1609459204000,00000000000000000000007,+5\n",
             "c 1609459200000 b=9223372036854775807 u=18446744073709551615\nc 1609459201000 b=-9223372036854775808 u=0\n"
             "c 1609459204000 b=7 u=5\n"
             "reject 15: '9223372036854775808' in column 'b' does not fit BIGINT (-9223372036854775808 to 9223372036854775807); a wider type takes it (--type 'b=…')\n"
             "reject 17: '-1' in column 'u' does not fit BIGINT UNSIGNED (0 to 18446744073709551615); a wider type takes it (--type 'u=…')\n"},
        Case{"every other type",
             typed({{"o", "BOOL"}, {"f", "FLOAT"}, {"e", "DECIMAL(10,2)"}, {"h", "DECIMAL(38,4)"}, {"v", "VARBINARY(20)"}, {"g", "GEOMETRY(100)"}, {"n", "NCHAR(10)"}, {"z", "TIMESTAMP"}, {"w", "SMALLINT UNSIGNED"}}),
             "ts,o,f,e,h,v,g,n,z,w\n"
             "1609459200000,Yes,0.1,-12.3,1.5,\\x00ff,POINT(1 2),gr\xC3\xBC\xC3\x9F,2021-01-01T00:00:00Z,65535\n"
             "1609459200001,off,1e3,1.50e1,-0.0001,abc,\"LINESTRING(0 0, 1 1)\",x,1609459200,0\n",
             "c 1609459200000 o=true f=0.10000000149011612 e=-1230 h=983a0000000000000000000000000000 v=00ff "
             "g=0101000000000000000000f03f0000000000000040 n='gr\xC3\xBC\xC3\x9F' z=1609459200000 w=65535\n"
             "reject 67: '1609459200' in column 'z' is no time (ISO 8601 is expected); --time-format tells another form\n"},
        Case{"decimals keep every digit", typed({{"e", "DECIMAL(6,2)"}}), "ts,e\n1609459200000,1234.56\n1609459201000,12345.6\n1609459202000,1.234\n1609459203000,1.2300\n",
             "c 1609459200000 e=123456\nc 1609459203000 e=123\n"
             "reject 15: '12345.6' in column 'e' does not fit DECIMAL(6,2); a wider type takes it (--type 'e=…')\n"
             "reject 15: '1.234' in column 'e' does not fit DECIMAL(6,2); a wider type takes it (--type 'e=…')\n"},
        Case{"nchar is UTF-8", typed({{"s", "NCHAR(10)"}}), "ts,s\n1609459200000,\xC3\xA4\n1609459201000,\xE4\n1609459202000,aaaaaaaaaaaaaaaa\xE4\n",
             "c 1609459200000 s='\xC3\xA4'\n"
             "reject 15: '\\xe4' in column 's' is not UTF-8; convert the file first (iconv), or take it as bytes with --type 's=VARCHAR'\n"
             "reject 15: 'aaaaaaaaaaaaaaaa\\xe4' in column 's' is not UTF-8; convert the file first (iconv), or take it as bytes with --type 's=VARCHAR'\n"},
        Case{"tags", [](CsvMapping& m) { m.tags = {"site", "id"}; m.child_table = "{site}_{id}"; },
             "ts,site,id,v\n1609459200000,berlin,1,2\n1609459201000,\"berlin\",1,3\n1609459202000,paris,2.5,4\n",
             "berlin_1{site='berlin',id='1'} 1609459200000 v=2\nberlin_1{site='berlin',id='1'} 1609459201000 v=3\n"
             "paris_2_5{site='paris',id='2.5'} 1609459202000 v=4\n"},
        Case{"tags with types", [](CsvMapping& m) { m.tags = {"site", "id"}; m.child_table = "{site}"; typed({{"id", "INT"}, {"site", "VARCHAR(20)"}})(m); },
             "ts,site,id,v\n1609459200000,a,258,2\n1609459201000,b,,3\n1609459202000,c,x,4\n",
             "a{site='a',id=02010000} 1609459200000 v=2\nb{site='b'} 1609459201000 v=3\n"
             "reject 17: 'x' in column 'id' is no INT; --null 'x' reads it as NULL, --type 'id=VARCHAR' the column as text\n"},
        Case{"empty tags are not given", [](CsvMapping& m) { m.tags = {"site", "id"}; m.constant_tags = {{"country", "de"}}; },
             "ts,site,id,v\n1609459200000,a,,2\n1609459201000,NULL,x,3\n", "c{site='a',country='de'} 1609459200000 v=2\nc{site='a',country='de'} 1609459201000 v=3\n"},
        Case{"child table by column", [](CsvMapping& m) { m.child_table.clear(); m.child_table_column = "name"; m.tags = {"loc"}; },
             "name,ts,v,loc\nd.1,1609459200000,1,x\n,1609459201000,2,x\n\"d 2\",1609459202000,3,y\n",
             "d_1{loc='x'} 1609459200000 v=1\nd 2{loc='y'} 1609459202000 v=3\nreject 1: column 'name' names the child table and is NULL or empty\n"},
        Case{"tbname names the child table", [](CsvMapping& m) { m.child_table.clear(); }, "tbname,ts,v\r\nd1,1609459200000,1\r\nd2,1609459200000,2\r\n",
             "d1 1609459200000 v=1\nd2 1609459200000 v=2\n"},
        Case{"ignored and renamed", [](CsvMapping& m) { m.ignore = {"b"}; m.rename = {{"a", "alpha"}}; }, "ts,a,b,c\n1609459200000,1,oops,3\n", "c 1609459200000 alpha=1 c=3\n"},
        Case{"semicolons", kNone, "ts;a;b\n1609459200000;1;x,y\n1609459201000;2;z\n", "c 1609459200000 a=1 b='x,y'\nc 1609459201000 a=2 b='z'\n"},
        Case{"tabs", kNone, "ts\ta\tb\n1609459200000\t1\tx y\n1609459201000\t\t\n1609459202000\t2\t z\n", "c 1609459200000 a=1 b='x y'\nc 1609459201000 a=null b=null\nc 1609459202000 a=2 b=' z'\n"},
        Case{"escapes", [](CsvMapping& m) { m.escape = '\\'; }, "ts,s,n\n1609459200000,\"a\\\"b,\",1\n1609459201000,c\\,d,2\n1609459202000,\\N,3\n", "c 1609459200000 s='a\"b,' n=1\nc 1609459201000 s='c,d' n=2\nc 1609459202000 s=null n=3\n"},
        Case{"quotes are text", [](CsvMapping& m) { m.quote = '\0'; }, "ts,s,n\n1609459200000,\"a,1\n1609459201000,b\",2\n", "c 1609459200000 s='\"a' n=1\nc 1609459201000 s='b\"' n=2\n"},
        Case{"skipped lines", [](CsvMapping& m) { m.skip_lines = 2; }, "made by, a logger\n\"\nts,a\n1609459200000,1\n", "c 1609459200000 a=1\n"},
        Case{"microseconds", kNone, "ts,a\n2021-01-01 00:00:00.000001,1\n2021-01-01T00:00:00.5Z,2\n2021-01-01 00:00:00.1234567,3\n",
             "c 1609459200000001000 a=1\nc 1609459200500000000 a=2\nc 1609459200123456700 a=3\n"},
        Case{"too fine for the given precision", [](CsvMapping& m) { m.precision = data::Precision::milliseconds; }, "ts,a\n2021-01-01 00:00:00.123,1\n2021-01-01 00:00:00.1234,2\n2021-01-01 00:00:00.123000,3\n",
             "c 1609459200123 a=1\nc 1609459200123 a=3\nreject 1: time '2021-01-01 00:00:00.1234' in column 'ts' is finer than ms; read it with --precision us or ns\n"},
        Case{"gap and fold", [](CsvMapping& m) { m.timezone = "Europe/Berlin"; }, "ts,a\n2021-03-28 01:59:59,1\n2021-03-28 02:30:00,2\n2021-03-28 03:00:00,3\n2021-10-31 02:30:00,4\n2021-10-31 02:30:00+01:00,5\n",
             "c 1616893199000 a=1\nc 1616893200000 a=3\nc 1635640200000 a=4\nc 1635643800000 a=5\n"
             "reject 1: local time '2021-03-28 02:30:00' in column 'ts' does not exist in Europe/Berlin: daylight saving skips it; --dst-gap shift moves it on\n"}),
    [](const auto& test) {
      std::string name = test.param.name;
      for (auto& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
      }
      return name;
    });

}  // namespace
}  // namespace penstock::format
