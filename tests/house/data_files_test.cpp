// What the generator calls good or bad is so for the parsers, and the files of datasets/ are what their README says.

#include <gtest/gtest.h>
#include <zlib.h>

#include <set>
#include <string>

#include "format/csv_parser.h"
#include "format/csv_test_text.h"
#include "format/line_parser.h"
#include "generator/generator.h"

namespace penstock {
namespace {

struct TextSink final : generator::Sink {
  void write(std::string_view more) override { text += more; }
  std::string text;
};

/// Reads a file, compressed by gzip or not; "" when it is not there.
std::string file_text(const char* path) {
  std::string text;
  gzFile file = gzopen(path, "rb");
  if (file == nullptr) return text;
  std::string piece(1 << 16, '\0');
  for (int size = 0; (size = gzread(file, piece.data(), static_cast<unsigned>(piece.size()))) > 0;)
    text.append(piece.data(), static_cast<std::size_t>(size));
  gzclose(file);
  return text;
}

struct Parsed {
  std::uint64_t rows = 0;
  std::uint64_t rejects = 0;
  std::uint64_t keys = 0;
  std::uint64_t child_tables = 0;
  std::string first_reject;
  std::set<std::string> tables;
};

Parsed count(format::Parser& parser, const schema::Registry& registry, const std::string& text) {
  const auto chunk = format::csv_chunk(text);
  data::RowSet rows;
  parser.parse(chunk, rows);
  Parsed parsed;
  std::set<std::pair<std::uint32_t, std::int64_t>> keys;
  rows.for_each_row([&](const data::Row& row) {
    ++parsed.rows;
    keys.emplace(row.child, row.time);
    parsed.tables.insert(registry.child(row.child).table->name);
  });
  parsed.rejects = rows.rejects().size();
  if (parsed.rejects > 0) {
    const auto& reject = rows.rejects()[0];
    parsed.first_reject = reject.reason.text + ": " + std::string(chunk.text.substr(reject.offset, reject.length));
  }
  parsed.keys = keys.size();
  parsed.child_tables = registry.child_count();
  return parsed;
}

Parsed parse_line(const std::string& text) {
  schema::Registry registry;
  format::LineParser parser(registry);
  return count(parser, registry, text);
}

Parsed parse_csv(const std::string& text, const schema::CsvMapping& mapping) {
  schema::Registry registry;
  const auto plan =
      format::infer(std::string_view(text).substr(0, 1 << 20), mapping, "t", nullptr, text.size() <= 1 << 20);
  format::CsvParser parser(registry, plan);
  return count(parser, registry, text);
}

void expect_truth(const generator::Truth& truth, const Parsed& parsed) {
  EXPECT_EQ(parsed.rows, truth.good) << parsed.first_reject;
  EXPECT_EQ(parsed.rejects, truth.bad);
  EXPECT_EQ(parsed.keys, truth.distinct_keys(false));
  std::uint64_t child_tables = 0;
  for (const auto& table : truth.tables) child_tables += table.child_tables;
  EXPECT_EQ(parsed.child_tables, child_tables);
}

generator::Options dirty(const char* shape) {
  generator::Options options;
  options.shape = shape;
  options.hosts = 20;
  options.rows = 4000;
  options.start_ns = 1'767'225'600'000'000'000;
  options.disorder = options.duplicates = 0.02;
  options.bad = 0.05;
  return options;
}

TEST(GeneratedFiles, OfLinesAreGoodAndBadAsTheyClaim) {
  for (const char* shape : {"cpu-only", "iot"})
    for (const bool one_field : {false, true}) {
      SCOPED_TRACE(std::string(shape) + (one_field ? ", one field per line" : ""));
      auto options = dirty(shape);
      options.one_field_per_line = one_field;
      complete(options, {});
      TextSink sink;
      const auto truth = generate(options, sink);
      ASSERT_GT(truth.bad, 100u);
      expect_truth(truth, parse_line(sink.text));
    }
}

TEST(GeneratedFiles, OfCsvAreGoodAndBadAsTheyClaim) {
  for (const char* shape : {"cpu-only", "iot"}) {
    for (const auto time : {generator::TimeText::epoch, generator::TimeText::rfc3339}) {
      SCOPED_TRACE(shape);
      auto options = dirty(shape);
      options.format = generator::Format::csv;
      options.time_text = time;
      options.bad = 0.03;
      complete(options, {});
      TextSink sink;
      const auto truth = generate(options, sink);
      schema::CsvMapping mapping;
      mapping.timestamp = "time";
      for (const auto& tag : generator::find_shape(shape)->tags) mapping.tags.emplace_back(tag.key);
      expect_truth(truth, parse_csv(sink.text, mapping));
    }
  }
}

TEST(Datasets, TelegrafIsReadWithoutALoss) {
  const auto parsed = parse_line(file_text("datasets/telegraf.line.gz"));
  EXPECT_EQ(parsed.rows, 27'129u);
  EXPECT_EQ(parsed.rejects, 0u) << parsed.first_reject;
  EXPECT_EQ(parsed.keys, 23'256u);
  EXPECT_EQ(parsed.child_tables, 36u);
  EXPECT_EQ(parsed.tables.size(), 14u);
}

TEST(Datasets, WeatherIsReadWithoutALoss) {
  schema::CsvMapping mapping;
  mapping.timestamp = "time_hour";
  mapping.tags = {"origin"};
  const auto parsed = parse_csv(file_text("datasets/weather.csv"), mapping);
  EXPECT_EQ(parsed.rows, 26'115u);
  EXPECT_EQ(parsed.rejects, 0u) << parsed.first_reject;
  EXPECT_EQ(parsed.keys, 26'115u);
  EXPECT_EQ(parsed.child_tables, 3u);
}

TEST(Datasets, CollectdHasTheLinesOfItsReadme) {
  const auto text = file_text("datasets/collectd.telnet");
  std::uint64_t lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    EXPECT_EQ(text.compare(at, 4, "put "), 0) << lines;
    at = text.find('\n', at) + 1;
    ASSERT_NE(at, 0u);
  }
  EXPECT_EQ(lines, 16'620u);
}

}  // namespace
}  // namespace penstock
