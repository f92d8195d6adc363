#include "format/ndjson_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "format/csv_parser.h"
#include "format/line_test_text.h"
#include "io/cutter.h"

namespace penstock::format {
namespace {

struct Parsed {
  std::vector<std::string> rows;     // by line
  std::vector<std::string> rejects;  // "line: reason"
  std::map<std::string, std::uint64_t> extras;
};

/// Plans by `sample` and parses `text` in chunks.
Parsed parse(std::string_view text, const schema::CsvMapping& mapping = {}, std::string_view sample = {},
             std::size_t chunk_bytes = 1 << 20) {
  if (sample.empty()) sample = text;
  auto source = std::make_shared<NdjsonParser::Source>();
  source->columns = ndjson_columns({sample});
  const auto counted = ndjson_sample(source->columns, {sample}, mapping);
  source->plan = std::make_shared<const CsvPlan>(ndjson_plan(make_plan(counted, mapping, "events")));
  source->add_columns = mapping.columns.empty();
  source->extras = std::make_shared<NdjsonExtras>();
  schema::Registry registry;
  NdjsonParser parser(source, std::make_unique<CsvParser>(registry, *source->plan));
  const bool lines = source->columns.layout == NdjsonLayout::lines;
  io::Cutter cutter({lines ? io::Splitting::lines : io::Splitting::json, {}}, chunk_bytes, 1 << 20);
  Parsed parsed;
  for (std::size_t at = 0;;) {
    const auto cut = cutter.cut(text.substr(at), true);
    if (cut.kind == io::Cut::Kind::end) break;
    data::RowSet rows;
    parser.parse(padded_chunk(text.substr(at, cut.bytes), at + 3), rows);
    const auto line_of = [&](std::size_t offset) {
      return 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at + offset), '\n');
    };
    std::map<const data::Row*, const data::Series*> series;
    for (const auto& [known, row] : rows.fresh()) series[row] = known;
    rows.for_each_row([&](const data::Row& row) {
      const auto& shape = rows.shapes()[row.shape];
      std::string line = fmt::format("{}: {} {}", line_of(row.offset), shape.table->name, row.time);
      for (std::size_t f = 0; f < shape.fields.size(); ++f) {
        const auto slot = row.slots()[f];
        const auto& field = shape.fields[f];
        std::string value;
        if (shape.nullable && data::Shape::is_null(row, shape.fields.size(), f)) value = "NULL";
        else if (data::is_variable(field.type)) value = "'" + std::string(data::text_of(slot)) + "'";
        else if (field.type == data::Type::float64) value = fmt::format("{}", std::bit_cast<double>(slot));
        else value = std::to_string(static_cast<std::int64_t>(slot));
        line += fmt::format(" {}:{}={}", field.name, data::type_name(field.type), value);
      }
      for (const auto& tag : series.at(&row)->tags)
        line += fmt::format(" [{}={}]", registry.tag_key_name(tag.key), tag.value());
      EXPECT_EQ(text[at + row.offset], '{');
      parsed.rows.push_back(std::move(line));
    });
    EXPECT_EQ(rows.lines(),
              static_cast<std::uint64_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                                    text.begin() + static_cast<std::ptrdiff_t>(at + cut.bytes), '\n')));
    for (const auto& reject : rows.rejects())
      parsed.rejects.push_back(fmt::format("{}: {}", line_of(reject.offset), reject.reason.text));
    at += cut.bytes;
  }
  parsed.extras = source->extras->take();
  std::sort(parsed.rejects.begin(), parsed.rejects.end());
  return parsed;
}

using Lines = std::vector<std::string>;

TEST(Ndjson, MembersBecomeColumnsByTheirPaths) {
  const auto parsed =
      parse(R"({"time":"2024-01-01T00:00:00Z","host":{"name":"a","up":true},"load":0.5,"n":7,"note":"x \"y\"\n"})"
            "\n"
            R"({"time":"2024-01-01T00:00:01Z","host":{"name":"b","up":false},"load":1,"n":8,"note":"z"})"
            "\r\n");
  EXPECT_EQ(parsed.rows,
            (Lines{"1: events 1704067200000 host.name:VARCHAR='a' host.up:BOOL=1 load:DOUBLE=0.5 n:BIGINT=7 "
                   "note:VARCHAR='x \"y\"\n'",
                   "2: events 1704067201000 host.name:VARCHAR='b' host.up:BOOL=0 load:DOUBLE=1 n:BIGINT=8 "
                   "note:VARCHAR='z'"}));
  EXPECT_EQ(parsed.rejects, Lines{});
}

TEST(Ndjson, NullIsNullAndMissingIsNotGiven) {
  const auto parsed = parse(
      "{\"ts\":1704067200000,\"a\":1,\"b\":\"x\"}\n"
      "{\"ts\":1704067200001,\"a\":null}\n"
      "\n"
      "{\"b\":\"y\",\"ts\":1704067200002}\n"
      "{\"ts\":1704067200003}\n"
      "{\"ts\":1704067200004,\"a\":2,\"b\":null}\n");
  EXPECT_EQ(parsed.rows,
            (Lines{"1: events 1704067200000 a:BIGINT=1 b:VARCHAR='x'", "2: events 1704067200001 a:BIGINT=NULL",
                   "4: events 1704067200002 b:VARCHAR='y'", "6: events 1704067200004 a:BIGINT=2 b:VARCHAR=NULL"}));
  EXPECT_EQ(parsed.rejects, Lines{"5: the object gives no value besides timestamp and tags"});
}

TEST(Ndjson, TheMappingOfCsvCounts) {
  schema::CsvMapping mapping;
  mapping.tags = {"dev.id"};
  mapping.rename = {{"m.temp", "temperature"}};
  mapping.ignore = {"junk"};
  mapping.types = {*schema::column_type_from_text("FLOAT")};
  mapping.types[0].name = "m.temp";
  mapping.constant_tags = {{"site", "berlin"}};
  mapping.timestamp = "m.when";
  const auto parsed = parse(R"({"dev":{"id":17},"m":{"when":1704067200,"temp":"21.5"},"junk":[1,2]})"
                            "\n",
                            mapping);
  ASSERT_EQ(parsed.rows.size(), 1u) << fmt::format("{}", fmt::join(parsed.rejects, "\n"));
  EXPECT_EQ(parsed.rows[0].substr(0, 24), "1: events 1704067200000 ");
  EXPECT_NE(parsed.rows[0].find("temperature:FLOAT="), std::string::npos);
  EXPECT_NE(parsed.rows[0].find("[dev.id=17] [site=berlin]"), std::string::npos) << parsed.rows[0];
  EXPECT_EQ(parsed.rows[0].find("junk"), std::string::npos);
}

TEST(Ndjson, MembersBehindTheSampleBecomeColumns) {
  const std::string sample = "{\"ts\":1704067200000,\"a\":1}\n";
  const std::string text =
      sample +
      "{\"ts\":1704067200001,\"a\":2,\"new\":{\"x\":1.5,\"y\":\"s\"},\"flag\":true,\"none\":null}\n"
      "{\"ts\":1704067200002,\"new\":{\"x\":2},\"list\":[1, {\"z\":2}]}\n";
  const auto parsed = parse(text, {}, sample);
  EXPECT_EQ(parsed.rows, (Lines{"1: events 1704067200000 a:BIGINT=1",
                                "2: events 1704067200001 a:BIGINT=2 new.x:DOUBLE=1.5 new.y:VARCHAR='s' flag:BOOL=1",
                                "3: events 1704067200002 new.x:DOUBLE=2 list:VARCHAR='[1, {\"z\":2}]'"}));
  EXPECT_EQ(parsed.extras,
            (std::map<std::string, std::uint64_t>{{"flag", 1}, {"list", 1}, {"new.x", 2}, {"new.y", 1}}));
  schema::CsvMapping only;
  only.columns = {"ts", "a"};
  const auto left_out = parse(text, only, sample);
  EXPECT_EQ(left_out.rows[1], "2: events 1704067200001 a:BIGINT=2");
  EXPECT_EQ(left_out.extras.size(), 4u);  // counted all the same
}

TEST(Ndjson, ABadRecordCostsOnlyItself) {
  const auto parsed = parse(
      "{\"ts\":1704067200000,\"a\":1}\n"
      "{\"ts\":1704067200001,\"a\":1\n"
      "{\"ts\":1704067200002,\"a\":1} x\n"
      "[1]\n"
      "{\"ts\":1704067200003,\"a\":1,\"a\":2}\n"
      "{\"ts\":1704067200004,\"a\":\"many\"}\n"
      "{\"a\":1}\n"
      "{\"ts\":1704067200005,\"a\":5}\n"
      "{\"ts\":17040672",
      {}, "{\"ts\":1704067200000,\"a\":1}\n");
  EXPECT_EQ(parsed.rows, (Lines{"1: events 1704067200000 a:BIGINT=1", "8: events 1704067200005 a:BIGINT=5"}));
  ASSERT_EQ(parsed.rejects.size(), 7u) << fmt::format("{}", fmt::join(parsed.rejects, "\n"));
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(parsed.rejects[i].front(), static_cast<char>('2' + i));
  EXPECT_EQ(parsed.rejects[6].front(), '9');
}

TEST(Ndjson, ArraysAndObjectsOverSeveralLinesAreReadToo) {
  const Lines expected{"a:BIGINT=1", "a:BIGINT=2", "a:BIGINT=3"};
  for (const std::string text :
       {"[{\"ts\":1704067200000,\"a\":1},{\"ts\":1704067200001,\"a\":2},{\"ts\":1704067200002,\"a\":3}]",
        "{\n\"ts\":1704067200000,\n\"a\":1\n}\n{\"ts\":1704067200001,\n\"a\":2}\n{\"ts\":1704067200002,"
        "\"a\":3}"}) {
    const auto parsed = parse(text);
    ASSERT_EQ(parsed.rows.size(), 3u) << text;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NE(parsed.rows[i].find(expected[i]), std::string::npos);
  }
}

TEST(Ndjson, DamagedTextCostsRecordsAndNothingElse) {
  std::mt19937 random(6);
  std::string good;
  for (int i = 0; i < 30; ++i)
    good += fmt::format("{{\"ts\":{},\"a\":{},\"b\":{{\"c\":[1,{{\"d\":\"x\"}}]}},\"e\":\"\\u0041\"}}\n",
                        1704067200000 + i, i);
  const auto sample = good;
  for (int round = 0; round < 150; ++round) {
    std::string text = good;
    for (int damage = 0; damage <= round % 5; ++damage) {
      static constexpr std::string_view kBytes = "\"{}[],:\\\n x1-.e\0\xFF";
      text[random() % text.size()] = kBytes[random() % kBytes.size()];
    }
    const auto parsed = parse(text, {}, sample, 1 + random() % 4000);
    // A newline in a record makes two of it, one lost joins two.
    EXPECT_GE(parsed.rows.size() + parsed.rejects.size(), 25u) << text;
    EXPECT_LE(parsed.rejects.size(), 10u) << text;
  }
}

TEST(Ndjson, GivesTheSameRowsWhereverTheTextIsCut) {
  std::mt19937 random(4);
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += fmt::format("{{\"ts\":{}", 1704067200000 + i);
    if (random() % 3 != 0) text += fmt::format(",\"a\":{}", random() % 100);
    if (random() % 3 != 0) text += fmt::format(",\"b\":{{\"c\":\"t{}\"}}", random() % 10);
    if (random() % 5 == 0) text += ",\"d\":null";
    if (random() % 7 == 0) text += ",\"late\":true";
    text += random() % 15 == 0 ? "\n" : "}\n";
  }
  const auto sample = text.substr(0, text.find('\n', 300) + 1);
  const auto whole = parse(text, {}, sample);
  EXPECT_GT(whole.rows.size(), 40u);
  for (std::size_t chunk = 1; chunk < text.size(); chunk += 1 + chunk / 8) {
    const auto cut = parse(text, {}, sample, chunk);
    ASSERT_EQ(cut.rows, whole.rows) << chunk;
    ASSERT_EQ(cut.rejects, whole.rejects) << chunk;
  }
}

}  // namespace
}  // namespace penstock::format
