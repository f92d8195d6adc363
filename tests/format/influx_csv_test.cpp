#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "format/guess.h"
#include "format/influx_csv_parser.h"
#include "format/line_parser.h"
#include "format/line_test_text.h"

namespace penstock::format {
namespace {

// What the server's own tools write: CRLF, two tables with annotations of their own, a third that is pivoted.
constexpr std::string_view kExport =
    "#group,false,false,true,true,false,false,true,true,true,true\r\n"
    "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339Nano,double,string,string,string,"
    "string\r\n"
    "#default,_result,,,,,,,,,\r\n"
    ",result,table,_start,_stop,_time,_value,_field,_measurement,host,region\r\n"
    ",,0,2023-11-14T00:00:00Z,2023-11-15T00:00:00Z,2023-11-14T22:13:20Z,1.5,usage user,cpu load,a,eu\r\n"
    ",,0,2023-11-14T00:00:00Z,2023-11-15T00:00:00Z,2023-11-14T22:13:20.000000001Z,NaN,usage user,cpu load,a,eu\r\n"
    ",,1,2023-11-14T00:00:00Z,2023-11-15T00:00:00Z,2023-11-14T22:13:21Z,,usage user,cpu load,b,\r\n"
    "\r\n"
    "#group,false,false,false,false,true,true\r\n"
    "#datatype,string,long,dateTime:RFC3339,string,string,string\r\n"
    "#default,_result,,,,,\r\n"
    ",result,table,_time,_value,_field,_measurement\r\n"
    ",,2,2023-11-14T22:13:20Z,\"two\r\n#datatype,lines \"\"x\"\"\",text,log\r\n"
    ",,2,2023-11-14T22:13:21Z,\"\",text,log\r\n"
    "\r\n"
    "#datatype,string,long,dateTime:RFC3339,long,unsignedLong,boolean,base64Binary,string,string,string\r\n"
    "#group,false,false,false,false,false,false,false,false,true,true\r\n"
    "#default,_result,,,,,,,,,none\r\n"
    ",result,table,_time,i,u,b,raw,note,_measurement,site\r\n"
    ",,3,2023-11-14T23:13:20+01:00,-5,18446744073709551615,true,QUI=,hi,m,\r\n"
    ",,3,2023-11-14T22:13:21Z,,7,,,,m,x\r\n"
    ",,3,2023-11-14T22:13:22Z,,,,,,m,x\r\n"
    ",,3,2023-11-14T22:13:22Z,1.5,,,,,m,x\r\n"
    ",,3,yesterday,1,,,,,m,x\r\n"
    ",,3,2023-11-14T22:13:22Z,1,,,,m,x\r\n";

struct Parsed {
  std::vector<std::string> rows;
  std::vector<std::string> rejects;
};

Parsed parse(std::string_view text, const std::vector<std::size_t>& cuts = {}, InfluxCsvOptions options = {}) {
  schema::Registry registry;
  const auto outline = std::make_shared<InfluxCsvOutline>();
  std::vector<io::Chunk> chunks;
  std::size_t begin = 0;
  auto ends = cuts;
  ends.push_back(text.size());
  for (const auto end : ends) {
    chunks.push_back(padded_chunk(text.substr(begin, end - begin), begin));
    outline->see(chunks.back());
    begin = end;
  }
  // The chunks in any order: here from the last.
  std::vector<Parsed> parts;
  InfluxCsvParser parser(registry, outline, std::move(options));
  for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
    data::RowSet rows;
    parser.parse(*chunk, rows);
    auto& part = parts.emplace_back();
    rows.for_each_row([&](const data::Row& row) {
      const auto& shape = rows.shapes()[row.shape];
      const auto& child = registry.child(row.child);
      std::string shown = child.table->name + "/" + std::string(child.name).substr(0, 6) + " " +
                          std::to_string(row.time - 1'700'000'000'000'000'000);
      for (std::size_t i = 0; i < shape.fields.size(); ++i) {
        const auto& field = shape.fields[i];
        const auto slot = row.slots()[i];
        shown += fmt::format(" {}:{}=", field.name, data::type_name(field.type));
        if (shape.nullable && data::Shape::is_null(row, shape.fields.size(), i)) shown += "NULL";
        else if (data::is_variable(field.type)) shown += data::text_of(slot);
        else if (field.type == data::Type::float64) shown += fmt::format("{}", std::bit_cast<double>(slot));
        else if (field.type == data::Type::bigint) shown += fmt::format("{}", static_cast<std::int64_t>(slot));
        else shown += fmt::format("{}", slot);
      }
      part.rows.push_back(shown);
    });
    for (const auto& reject : rows.rejects())
      part.rejects.push_back(fmt::format("{:04x} {} {}", reject.reason.code, reject.column, reject.reason.text));
  }
  Parsed all;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    all.rows.insert(all.rows.end(), part->rows.begin(), part->rows.end());
    all.rejects.insert(all.rejects.end(), part->rejects.begin(), part->rejects.end());
  }
  return all;
}

// The child table that line protocol makes.
std::string child_of_line(const std::string& line) {
  schema::Registry registry;
  LineParser parser(registry);
  const auto chunk = padded_chunk(line);
  data::RowSet rows;
  parser.parse(chunk, rows);
  EXPECT_EQ(rows.row_count(), 1u) << line;
  const auto& child = registry.child(0);
  return child.table->name + "/" + std::string(child.name).substr(0, 6);
}

TEST(InfluxCsv, BecomesWhatLineProtocolWouldBecome) {
  const auto parsed = parse(kExport);
  const auto cpu_a = child_of_line("cpu\\ load,host=a,region=eu f=1 1\n");
  const auto cpu_b = child_of_line("cpu\\ load,host=b f=1 1\n");
  const auto log = child_of_line("log f=1 1\n");
  const auto m_none = child_of_line("m,site=none f=1 1\n");
  const auto m_x = child_of_line("m,site=x f=1 1\n");
  EXPECT_EQ(parsed.rows, (std::vector<std::string>{
                             cpu_a + " 0 usage user:DOUBLE=1.5",
                             cpu_a + " 1 usage user:DOUBLE=nan",
                             cpu_b + " 1000000000 usage user:DOUBLE=NULL",
                             log + " 0 text:VARCHAR=two\r\n#datatype,lines \"x\"",
                             log + " 1000000000 text:VARCHAR=",
                             m_none + " 0 i:BIGINT=-5 u:BIGINT UNSIGNED=18446744073709551615 b:BOOL=1 "
                                      "raw:VARBINARY=AB note:VARCHAR=hi",
                             m_x + " 1000000000 u:BIGINT UNSIGNED=7",
                             m_x + " 2000000000 i:BIGINT=NULL",
                         }));
  EXPECT_EQ(parsed.rejects,
            (std::vector<std::string>{
                "0203 26 value '1.5' is no long",
                "0127 5 the time 'yesterday' is not in RFC 3339, or outside of what nanoseconds can say",
                "0000 0 the row has 10 fields, its table's header 11",
            }));
}

TEST(InfluxCsv, IsTheSameForAnyCut) {
  const auto whole = parse(kExport);
  std::vector<std::size_t> ends;
  for (const char* p = kExport.data(); p < kExport.data() + kExport.size();) {
    p = influx_csv_record_end(p, kExport.data() + kExport.size());
    ends.push_back(static_cast<std::size_t>(++p - kExport.data()));
  }
  EXPECT_EQ(ends.size(), 25u);
  for (std::size_t a = 0; a + 1 < ends.size(); ++a)
    for (std::size_t b = a; b + 1 < ends.size(); ++b) {
      const auto cuts = a == b ? std::vector{ends[a]} : std::vector{ends[a], ends[b]};
      const auto parsed = parse(kExport, cuts);
      ASSERT_EQ(parsed.rows, whole.rows) << a << " " << b;
      ASSERT_EQ(parsed.rejects, whole.rejects) << a << " " << b;
    }
}

TEST(InfluxCsv, TellsWhatCannotBePlaced) {
  const auto one = [](std::string_view text) {
    const auto parsed = parse(text);
    EXPECT_EQ(parsed.rejects.size() + parsed.rows.size(), 1u);
    return parsed.rejects.empty() ? "row" : parsed.rejects[0];
  };
  EXPECT_EQ(one("#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,failed to parse,897\n"),
            "0000 2 InfluxDB reported an error instead of rows: failed to parse");
  EXPECT_EQ(one("#datatype,string,long,double,string,string\n,result,table,_value,_field,_measurement\n,,0,1,f,m\n"),
            "0000 0 the table has no column _time");
  EXPECT_EQ(one("#group,false\n,_time,_value,_field,_measurement\n,2023-11-14T22:13:22Z,1,f,m\n"),
            "0000 0 the #datatype of the column '_value' is missing or unknown");
  EXPECT_EQ(one("#datatype,dateTime:RFC3339,cube,string,string\n,_time,_value,_field,_measurement\n"
                ",2023-11-14T22:13:22Z,1,f,m\n"),
            "0000 0 the #datatype of the column '_value' is missing or unknown");
  EXPECT_EQ(one("#datatype,dateTime:RFC3339,long,string,string\n,_time,_value,_field,t\n,2023-11-14T22:13:22Z,1,t,m\n"),
            "020a 0 the measurement is empty or longer than 192 bytes");
  EXPECT_EQ(one("#datatype,dateTime:RFC3339,long,string,string,string\n,_time,_value,_field,_measurement,t\n"
                ",2023-11-14T22:13:22Z,1,t,m,x\n"),
            "263c 0 a name stands twice among tags, fields and the timestamp column");
}

TEST(InfluxCsv, ReadsTheFormOfTheWriteCommand) {
  const auto parsed = parse(
      "#datatype measurement,tag,double,long,dateTime:RFC3339\nm,host,used,free,time\n"
      "mem,host1,64.23,5,2023-11-14T22:13:20Z\nmem,host2,72.01,,2023-11-14T22:13:20Z\n");
  EXPECT_TRUE(parsed.rejects.empty()) << parsed.rejects[0];
  EXPECT_EQ(parsed.rows,
            (std::vector<std::string>{child_of_line("mem,host=host1 f=1 1\n") + " 0 used:DOUBLE=64.23 free:BIGINT=5",
                                      child_of_line("mem,host=host2 f=1 1\n") + " 0 used:DOUBLE=72.01"}));
}

TEST(InfluxCsv, TakesTheTableNameAndTheTagRules) {
  InfluxCsvOptions options;
  options.table = "t.able";
  options.naming.drop_tags = {"a"};
  options.naming.tags_as_columns = {"b"};
  const auto parsed = parse(
      "#datatype,dateTime:RFC3339,long,string,string,string,string\n,_time,_value,_field,a,b,c\n"
      ",2023-11-14T22:13:20Z,1,f,1,2,3\n",
      {}, options);
  EXPECT_EQ(parsed.rows, std::vector<std::string>{child_of_line("t.able,c=3 f=1 1\n") + " 0 f:BIGINT=1 b:NCHAR=2"});
}

TEST(InfluxCsv, IsGuessed) {
  EXPECT_EQ(guess_format("x.csv", kExport).format, Format::influx_csv);
  EXPECT_EQ(guess_format("x", "\xEF\xBB\xBF\r\n#default,_result\r\n").format, Format::influx_csv);
  EXPECT_EQ(guess_format("x.csv", "# a comment\n#data,b\na,b\n1,2\n").format, Format::csv);
  EXPECT_EQ(guess_format("x.line", "# a comment\nm f=1 1\n").format, Format::line);
  EXPECT_EQ(influx_csv_precision(kExport), data::Precision::nanoseconds);
  EXPECT_EQ(influx_csv_precision("#datatype,dateTime:RFC3339\n,_time\n,2023-11-14T22:13:20.120000Z\n"),
            data::Precision::milliseconds);
}

TEST(InfluxCsv, ReadsTimes) {
  const auto time = [](std::string_view text) {
    std::int64_t ns = 0;
    unsigned digits = 0;
    return read_influx_time(text, ns, digits) ? ns : -1;
  };
  EXPECT_EQ(time("2023-11-14T22:13:20Z"), 1'700'000'000'000'000'000);
  EXPECT_EQ(time("2023-11-14T22:13:20.5Z"), 1'700'000'000'500'000'000);
  EXPECT_EQ(time("2023-11-14T22:13:20.1234567899Z"), 1'700'000'000'123'456'789);
  EXPECT_EQ(time("2023-11-14T17:13:20-05:00"), 1'700'000'000'000'000'000);
  EXPECT_EQ(time("1700000000000000000"), 1'700'000'000'000'000'000);
  EXPECT_EQ(time("1969-12-31T23:59:58Z"), -2'000'000'000);
  for (const auto* wrong :
       {"", "2023-11-14", "2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "2023-02-30T22:13:20Z",
        "2023-11-14T22:13:20.Z", "2023-11-14T24:13:20Z", "3023-11-14T22:13:20Z", "12x", "now", "2023-11-14T22:13:20Zx"})
    EXPECT_EQ(time(wrong), -1) << wrong;
}

// Whatever stands in a file, each record is a row, a reject, or a part of a head.
TEST(InfluxCsv, SurvivesAnything) {
  std::string text(kExport);
  unsigned state = 1;
  for (int round = 0; round < 500; ++round) {
    state = state * 1'103'515'245 + 12'345;
    auto broken = text;
    for (int edits = 0; edits < 3; ++edits) {
      state = state * 1'103'515'245 + 12'345;
      const auto at = state / 7 % broken.size();
      switch (state / 65'536 % 4) {
        case 0: broken[at] = "\",\n#\r0"[state / 131 % 6]; break;
        case 1: broken.erase(at, state / 31 % 40); break;
        case 2: broken.insert(at, "\n#datatype,long"); break;
        default: broken.insert(at, 1, '"'); break;
      }
    }
    const auto parsed = parse(broken);
    ASSERT_LE(parsed.rows.size() + parsed.rejects.size(), 60u);
  }
}

}  // namespace
}  // namespace penstock::format
