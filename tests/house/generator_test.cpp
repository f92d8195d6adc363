#include "generator/generator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"

namespace penstock::generator {
namespace {

using Json = nlohmann::json;

struct TextSink final : Sink {
  void write(std::string_view more) override { text += more; }
  std::string text;
};

struct Output {
  std::string text;
  Truth truth;
  Options options;
  Json stats;
};

Output make(Options options) {
  if (!options.start_ns) options.start_ns = 1'767'225'600'000'000'000;  // 2026-01-01
  complete(options, {});
  TextSink sink;
  Truth truth = generate(options, sink);
  Json stats = Json::parse(truth.to_json(options, *find_shape(options.shape)));
  return {std::move(sink.text), std::move(truth), options, std::move(stats)};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == at) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

// A database in a few lines: what is stored after the good records of a text, told without the generator's own code.
struct Stored {
  using Row = std::map<std::string, double>;
  std::map<std::string, std::map<std::string, std::map<std::int64_t, Row>>> tables;  // table, child table, time
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  std::uint64_t late = 0;

  Row& row(const std::string& table, const std::string& child, std::int64_t time) {
    ++good;
    auto& rows = tables[table][child];
    if (!rows.empty() && rows.rbegin()->first > time) ++late;
    return rows[time];
  }
};

bool to_number(const std::string& text, double& value) {
  char* end = nullptr;
  value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0';
}

bool to_time(const std::string& text, std::int64_t& time) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return false;
  time = std::stoll(text);
  return true;
}

bool tags_are_good(const std::vector<std::string>& tags, std::size_t first) {
  std::set<std::string> keys;
  for (std::size_t i = first; i < tags.size(); ++i) {
    const auto pair = split(tags[i], '=');
    if (pair.size() != 2 || pair[0].empty() || pair[1].empty() || !keys.insert(pair[0]).second) return false;
  }
  return true;
}

bool store_line(const std::string& line, Stored& stored) {
  const auto parts = split(line, ' ');
  if (parts.size() != 3) return false;
  const auto head = split(parts[0], ',');
  std::int64_t time = 0;
  if (head[0].empty() || !tags_are_good(head, 1) || !to_time(parts[2], time)) return false;
  Stored::Row fields;
  for (const auto& field : split(parts[1], ',')) {
    const auto pair = split(field, '=');
    double value = 0;
    if (pair.size() != 2 || pair[1].empty()) return false;
    const bool integer = pair[1].back() == 'i';
    if (!to_number(integer ? pair[1].substr(0, pair[1].size() - 1) : pair[1], value)) return false;
    if (!fields.emplace(pair[0], value).second) return false;
  }
  auto& row = stored.row(head[0], parts[0], time);
  for (const auto& [name, value] : fields) row[name] = value;
  return true;
}

bool store_telnet(const std::string& line, Stored& stored) {
  const auto parts = split(line, ' ');
  double value = 0;
  std::int64_t time = 0;
  if (parts.size() < 4 || parts[1].size() != 10 || !to_time(parts[1], time) || !to_number(parts[2], value))
    return false;
  if (!tags_are_good(parts, 3)) return false;
  stored.row(parts[0], line.substr(line.find(parts[3])), time)["_value"] = value;
  return true;
}

bool store_json(const Json& point, Stored& stored) {
  if (point.size() != 4 || !point.contains("value") || !point["value"].is_number() || point["metric"] == "" ||
      !point["timestamp"].is_number() || point["tags"].empty())
    return false;
  const auto time = point["timestamp"].get<std::int64_t>();
  if (time < 1'000'000'000 || time > 9'999'999'999) return false;
  stored.row(point["metric"].get<std::string>(), point["tags"].dump(), time)["_value"] = point["value"].get<double>();
  return true;
}

bool store_csv(const std::vector<std::string>& header, std::size_t tags, const std::string& table,
               const std::string& line, Stored& stored) {
  const auto cells = split(line, ',');
  std::int64_t time = 0;
  if (cells.size() != header.size() || !to_time(cells[0], time)) return false;
  std::string child;
  for (std::size_t i = 1; i <= tags; ++i) child += cells[i] + ",";
  auto& row = stored.row(table, child, time);
  for (std::size_t i = tags + 1; i < cells.size(); ++i) {
    double value = 0;
    if (to_number(cells[i], value)) row[header[i]] = value;
    else row.erase(header[i]);  // an empty cell is NULL
  }
  return true;
}

Stored store(const Output& output) {
  Stored stored;
  const auto& options = output.options;
  if (options.format == Format::json) {
    for (const auto& point : Json::parse(output.text)) stored.bad += !store_json(point, stored);
    return stored;
  }
  auto lines = lines_of(output.text);
  const std::size_t tags = find_shape(options.shape)->tags.size();
  std::vector<std::string> header;
  if (options.format == Format::csv) {
    header = split(lines.front(), ',');
    lines.erase(lines.begin());
  }
  for (const auto& line : lines) {
    const bool good = options.format == Format::line     ? store_line(line, stored)
                      : options.format == Format::telnet ? store_telnet(line, stored)
                                                         : store_csv(header, tags, options.measurement, line, stored);
    stored.bad += !good;
  }
  return stored;
}

void expect_truth(const Output& output) {
  const Stored stored = store(output);
  const Json& stats = output.stats;
  EXPECT_EQ(stats["good"], stored.good);
  EXPECT_EQ(stats["bad"], stored.bad);
  EXPECT_EQ(stats["records"], stored.good + stored.bad);
  EXPECT_EQ(stats["bytes"], output.text.size());
  EXPECT_EQ(stats["lines"], lines_of(output.text).size());
  std::uint64_t keys = 0;
  std::uint64_t children = 0;
  std::map<std::string, std::map<std::string, std::pair<std::uint64_t, double>>> columns;
  for (const auto& [table, child_tables] : stored.tables) {
    std::uint64_t table_keys = 0;
    for (const auto& [child, rows] : child_tables) {
      table_keys += rows.size();
      for (const auto& [time, row] : rows)
        for (const auto& [name, value] : row) {
          ++columns[table][name].first;
          columns[table][name].second += value;
        }
    }
    EXPECT_EQ(stats["tables"][table]["distinct_keys"], table_keys) << table;
    EXPECT_EQ(stats["tables"][table]["child_tables"], child_tables.size()) << table;
    keys += table_keys;
    children += child_tables.size();
  }
  EXPECT_EQ(stats["distinct_keys"], keys);
  if (!output.options.one_field_per_line) {
    EXPECT_EQ(stats["duplicates"], stored.good - keys);
  }
  EXPECT_EQ(stats["child_tables"], children);
  EXPECT_EQ(stats["tables"].size(), stored.tables.size());
  for (const auto& [table, expected] : columns) {
    EXPECT_EQ(stats["tables"][table]["columns"].size(), expected.size()) << table;
    for (const auto& [name, count_and_sum] : expected) {
      const Json& column = stats["tables"][table]["columns"][name];
      EXPECT_EQ(column["values"], count_and_sum.first) << table << '.' << name;
      EXPECT_NEAR(column["sum"].get<double>(), count_and_sum.second, 1e-6 * (1 + std::abs(count_and_sum.second)))
          << table << '.' << name;
    }
  }
}

struct Case {
  const char* name;
  const char* shape;
  Format format;
  bool one_field = false;
};

class EachFormat : public ::testing::TestWithParam<Case> {
 protected:
  static Options options() {
    Options options;
    options.shape = GetParam().shape;
    options.format = GetParam().format;
    options.one_field_per_line = GetParam().one_field;
    options.hosts = 7;
    options.rows = 5003;
    options.seed = 42;
    return options;
  }
};

TEST_P(EachFormat, TellsTheTruthAboutCleanFiles) {
  const auto output = make(options());
  EXPECT_EQ(output.stats["records"], 5003);
  EXPECT_EQ(output.stats["bad"], 0);
  EXPECT_EQ(output.stats["late"], 0);
  EXPECT_EQ(output.stats["hosts"], 7);
  expect_truth(output);
}

TEST_P(EachFormat, TellsTheTruthAboutDirtyFiles) {
  for (const std::uint64_t seed : {1u, 2u}) {
    auto dirty = options();
    dirty.seed = seed;
    dirty.disorder = 0.05;
    dirty.duplicates = 0.1;
    dirty.bad = 0.07;
    const auto output = make(dirty);
    EXPECT_EQ(output.stats["records"], 5003);
    EXPECT_NEAR(output.stats["bad"].get<double>(), 350, 80);
    EXPECT_NEAR(output.stats["duplicates"].get<double>(), 500, 100);
    EXPECT_GT(output.stats["late"], 100);
    expect_truth(output);
  }
}

TEST_P(EachFormat, HasTheShareOfDisorderThatWasAsked) {
  for (const double share : {0.01, 0.2, 0.5}) {
    auto late = options();
    late.hosts = 3;
    late.rows = 6'000;
    late.disorder = share;
    const auto output = make(late);
    EXPECT_NEAR(output.stats["late"].get<double>(), share * 6'000, 0.15 * share * 6'000 + 20) << share;
    EXPECT_EQ(output.stats["duplicates"], 0);
    expect_truth(output);
    // Telnet and JSON write the fields of a row one by one, a database export goes field by field.
    if (GetParam().format == Format::line && !GetParam().one_field) {
      EXPECT_EQ(output.stats["late"], store(output).late);
    }
  }
}

TEST_P(EachFormat, GivesTheSameBytesForTheSameFlags) {
  auto dirty = options();
  dirty.bad = dirty.duplicates = dirty.disorder = 0.02;
  const auto output = make(dirty);
  EXPECT_EQ(output.text, make(dirty).text);
  dirty.seed = 43;
  EXPECT_NE(output.text, make(dirty).text);
}

TEST_P(EachFormat, SpansTheDuration) {
  auto span = options();
  span.rows = 0;
  span.duration = std::chrono::minutes(20);
  span.disorder = 0.05;
  const auto output = make(span);
  EXPECT_EQ(output.stats["min_time"].get<std::string>().substr(0, 19), "2026-01-01T00:00:00");
  EXPECT_EQ(output.stats["max_time"].get<std::string>().substr(0, 19), "2026-01-01T00:19:50");
  expect_truth(output);
  if (std::string_view(GetParam().shape) == "cpu-only" && !GetParam().one_field) {
    EXPECT_EQ(output.stats["good"], 7 * 120 * (output.stats["tables"].size() == 1 ? 1 : 10));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Generator, EachFormat,
    ::testing::Values(Case{"CpuLine", "cpu-only", Format::line}, Case{"IotLine", "iot", Format::line},
                      Case{"CpuTelnet", "cpu-only", Format::telnet}, Case{"IotTelnet", "iot", Format::telnet},
                      Case{"CpuJson", "cpu-only", Format::json}, Case{"IotJson", "iot", Format::json},
                      Case{"CpuCsv", "cpu-only", Format::csv}, Case{"IotCsv", "iot", Format::csv},
                      Case{"CpuFields", "cpu-only", Format::line, true}, Case{"IotFields", "iot", Format::line, true}),
    [](const auto& test) { return test.param.name; });

TEST(Generator, WritesTheLinesOfTheCpuCase) {
  Options options;
  options.hosts = 2;
  options.rows = 3;
  const auto lines = lines_of(make(options).text);
  ASSERT_EQ(lines.size(), 3u);
  const auto parts = split(lines[0], ' ');
  ASSERT_EQ(parts.size(), 3u);
  std::vector<std::string> keys;
  for (const auto& tag : split(parts[0], ',')) keys.push_back(split(tag, '=')[0]);
  EXPECT_EQ(keys, (std::vector<std::string>{"cpu", "hostname", "region", "datacenter", "rack", "os", "arch", "team",
                                            "service", "service_version", "service_environment"}));
  keys.clear();
  for (const auto& field : split(parts[1], ',')) {
    keys.push_back(split(field, '=')[0]);
    EXPECT_EQ(field.back(), 'i');
  }
  EXPECT_EQ(keys,
            (std::vector<std::string>{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
                                      "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"}));
  EXPECT_EQ(parts[2], "1767225600000000000");
  EXPECT_NEAR(static_cast<double>(lines[0].size()), 345, 15);
  EXPECT_NE(lines[1].find("hostname=host_1,"), std::string::npos);
  EXPECT_EQ(split(lines[2], ' ')[2], "1767225610000000000");
}

TEST(Generator, KeepsTheTagsOfAHost) {
  Options options;
  options.hosts = 50;
  options.rows = 5000;
  std::map<std::string, std::set<std::string>> tags;
  for (const auto& line : lines_of(make(options).text)) {
    const std::string head = line.substr(0, line.find(' '));
    tags[split(head, ',')[1]].insert(head);
    EXPECT_EQ(split(split(head, ',')[3], '=')[1].find(split(split(head, ',')[2], '=')[1]), 0u) << head;
  }
  EXPECT_EQ(tags.size(), 50u);
  for (const auto& [host, heads] : tags) EXPECT_EQ(heads.size(), 1u) << host;
}

TEST(Generator, GoesSeriesBySeriesWithOneFieldPerLine) {
  Options options;
  options.hosts = 2;
  options.rows = 60;
  options.one_field_per_line = true;
  const auto output = make(options);
  const auto lines = lines_of(output.text);
  ASSERT_EQ(lines.size(), 60u);
  EXPECT_EQ(output.stats["distinct_keys"], 8);  // steps that 60 / 20 needs, and one more that is cut
  for (const auto& line : lines) EXPECT_EQ(split(split(line, ' ')[1], ',').size(), 1u) << line;
  EXPECT_EQ(split(lines[0], ' ')[0], split(lines[39], ' ')[0]);
  EXPECT_NE(split(lines[39], ' ')[0], split(lines[40], ' ')[0]);
}

TEST(Generator, EndsNowWithoutAStart) {
  const auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'003));
  for (const auto format : {Format::line, Format::telnet, Format::json, Format::csv}) {
    for (const char* shape : {"cpu-only", "iot"}) {
      Options options;
      options.shape = shape;
      options.format = format;
      options.hosts = 10;
      options.rows = 10'000;
      complete(options, now);
      TextSink sink;
      const Truth truth = generate(options, sink);
      const auto last = *options.start_ns + options.interval.count() * truth.last_step;
      EXPECT_LE(last, 1'800'000'003'000'000'000);
      EXPECT_GT(last, 1'800'000'003'000'000'000 - 10'000 * 10'000'000'000);
    }
  }
}

TEST(Generator, WritesTheTimesThatWereAsked) {
  Options options;
  options.format = Format::csv;
  options.rows = 1;
  options.precision = TimeUnit::ms;
  EXPECT_EQ(split(lines_of(make(options).text)[1], ',')[0], "1767225600000");
  options.time_text = TimeText::rfc3339;
  EXPECT_EQ(split(lines_of(make(options).text)[1], ',')[0], "2026-01-01T00:00:00.000Z");
  options = {};
  options.format = Format::telnet;
  options.rows = 1;
  options.interval = std::chrono::milliseconds(500);
  EXPECT_EQ(split(lines_of(make(options).text)[0], ' ')[1], "1767225600000");
}

TEST(GeneratorOptions, ReadsTimes) {
  const std::int64_t day = 1'767'225'600'000'000'000;
  for (const char* text : {"2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", "2025-12-31 22:30-01:30",
                           "1767225600", "1767225600000", "1767225600000000", "1767225600000000000"})
    EXPECT_EQ(parse_time(text), day) << text;
  EXPECT_EQ(parse_time("2026-01-01T00:00:00.25Z"), day + 250'000'000);
  for (const char* text : {"", "now", "2026", "2026-", "2026-02-30", "2026-01-01T", "2026-01-01T25:00:00",
                           "2026-01-01T00:00:00X", "99999999999999999999", "-5", "2026-01-01T00:00:00+2"})
    EXPECT_NE(parse_time(text).value_or(-1), day) << text;
  EXPECT_FALSE(parse_time("2026-02-30"));
  EXPECT_FALSE(parse_time("99999999999999999999"));
  EXPECT_FALSE(parse_time("now"));
}

TEST(GeneratorOptions, RefusesWhatCannotBe) {
  const auto refused = [](auto change, const char* word) {
    Options options;
    change(options);
    try {
      complete(options, std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000)));
      ADD_FAILURE() << "accepted: " << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  };
  refused([](Options& o) { o.shape = "gpu"; }, "--case");
  refused([](Options& o) { o.measurement = "mem"; }, "--measurement");
  refused([](Options& o) { o.hosts = 0; }, "--hosts");
  refused([](Options& o) { o.disorder = 0.6; }, "--disorder");
  refused([](Options& o) { o.bad = -0.1; }, "--bad");
  refused([](Options& o) { o.bad = 0.5, o.duplicates = 0.5; }, "--duplicates");
  refused([](Options& o) { o.one_field_per_line = true, o.format = Format::csv; }, "--one-field-per-line");
  refused([](Options& o) { o.precision = TimeUnit::ns, o.format = Format::json; }, "--precision");
  refused([](Options& o) { o.precision = TimeUnit::s, o.interval = std::chrono::milliseconds(100); }, "--interval");
  refused([](Options& o) { o.hosts = 1, o.rows = 1'000'000'000; }, "--hosts");
  refused([](Options& o) { o.format = Format::telnet, o.start_ns = 5; }, "--start");
}

}  // namespace
}  // namespace penstock::generator
