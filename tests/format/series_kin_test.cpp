// New series that are like others: the short way must find what the general path finds.

#include "format/series_kin.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/error.h"
#include "format/json_parser.h"
#include "format/line_options.h"
#include "format/telnet_parser.h"

namespace penstock::format {
namespace {

/// What became known of the series of a text: raw bytes, names, tags.
std::multiset<std::string> series_of(const schema::Registry& registry, data::RowSet& rows) {
  std::multiset<std::string> all;
  for (const auto& [series, row] : rows.fresh()) {
    std::string text =
        fmt::format("{} -> {}/{}", series->raw, series->child->table->name, std::string(series->child->name));
    EXPECT_EQ(series->child_id, series->child->id);
    for (const auto& tag : series->tags)
      text += fmt::format(" {}={}:{}", registry.tag_key_name(tag.key), data::type_name(tag.type), tag.value());
    all.insert(std::move(text));
  }
  return all;
}

/// Lines whose series are new most of the time; now and then something is wrong with one, or unusual.
std::string new_series_text(unsigned seed, int lines) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
  // Measurement and keys; keys in and out of order, dots, long ones, none.
  static const std::vector<std::vector<std::string>> kKinds = {
      {"cpu", "hostname", "region", "os"},
      {"a.b", "Zone", "a", "B", "a_key_that_is_longer_than_twenty_four_bytes"},
      {"mem", "host"},
      {"a_measurement_that_is_longer_than_twenty_four_bytes", "t"},
      {"esc\\ aped", "k\\,ey"},
      {"数", "键"},
      {"t_0123456789abcdef0123456789abcdef", "t"},
      {"none"}};
  static const std::vector<std::string> kOdd = {"a\\ b",
                                                "a\\=b",
                                                "ü",
                                                "\"q\"",
                                                "a=b",
                                                "",
                                                "\xff",
                                                std::string("\0", 1),
                                                "a\tb",
                                                std::string(300, 'x'),
                                                std::string(1500, 'y')};
  static const std::vector<std::string> kFields = {"f=1i,g=2.5 1626006833639000000",
                                                   "f=17i,g=-0.25 1626006833639000001",
                                                   "g=2.5,f=1i 1626006833639000000",
                                                   "f=5i 1626006833639000002",
                                                   "f=1i,g=2.5",
                                                   "f=1i,g=2.5  1626006833639000003 junk",
                                                   "f=123456789012345678i,g=1e5 1626006833639000004"};
  static const std::vector<std::string> kBad = {
      "f=x 1", "f=1i abc", "f=1i,f=2i 1", "f=1i -5", "", "f=1i,host=2i 1", "f=1i,hostname=1i,t=2i 5"};
  std::string text;
  for (int i = 0; i < lines; ++i) {
    const auto& kind = kKinds[below(4) != 0 ? below(3) : below(static_cast<unsigned>(kKinds.size()))];
    text += kind[0];
    for (std::size_t k = 1; k < kind.size(); ++k) {
      if (below(60) == 0) continue;
      text += "," + kind[k] + "=";
      text += below(50) == 0 ? kOdd[below(static_cast<unsigned>(kOdd.size()))]
                             : fmt::format("{}{}", k == 1 ? "host_" : "v", below(k == 1 ? 500 : 5));
    }
    text += ' ';
    text += below(12) == 0 ? kBad[below(static_cast<unsigned>(kBad.size()))]
                           : kFields[below(3) != 0 ? below(2) : below(static_cast<unsigned>(kFields.size()))];
    if (below(80) == 0) text += '\r';
    text += '\n';
  }
  return text;
}

TEST(SeriesKin, IsMadeOfTheOrdinarySeriesOfEachFormat) {
  struct Case {
    SeriesSyntax syntax;
    const char* text;
    const char* similar;  // raw
    const char* other;    // raw
  };
  const std::string json("\xFFj\3\0\0\0\"m\"", 9);
  const std::string similar = json + R"({"host":"b","rack":"17"})", other = json + R"({"host":"b","rack":"17" })";
  for (const auto& [syntax, text, like, unlike] :
       {Case{SeriesSyntax::line, "m,host=a,rack=2 f=1 5\n", "m,host=b,rack=17", "m,host=b,rack=1\\ 7"},
        Case{SeriesSyntax::telnet, "m 1626006833 1 host=a rack=2\n", "m\nhost=b rack=17", "m\nhost=b  rack=17"},
        Case{SeriesSyntax::json, R"({"metric":"m","timestamp":1626006833,"value":1,"tags":{"host":"a","rack":"2"}})",
             nullptr, nullptr}}) {
    schema::Registry registry;
    data::RowSet rows;
    const auto chunk = padded_chunk(text);
    if (syntax == SeriesSyntax::line) LineParser(registry).parse(chunk, rows);
    if (syntax == SeriesSyntax::telnet) TelnetParser(registry).parse(chunk, rows);
    if (syntax == SeriesSyntax::json) JsonParser(registry).parse(chunk, rows);
    ASSERT_EQ(rows.fresh().size(), 1u);
    const auto& series = *rows.fresh()[0].series;
    ASSERT_TRUE(SeriesKin::can_be_of(series, syntax, {})) << text;
    std::vector<schema::NewSeries::Tag> tags;
    for (const auto& tag : series.tags) tags.push_back({registry.tag_key_name(tag.key), tag.type, tag.value()});
    SeriesKin kin(series, syntax, "m", tags, {});
    const auto read = [&](std::string raw) {
      raw += '\n';
      const auto padded = padded_chunk(raw);
      return kin.read(padded.text.substr(0, raw.size() - 1));
    };
    const std::string good = like == nullptr ? similar : like;
    EXPECT_FALSE(read(unlike == nullptr ? other : unlike));
    EXPECT_FALSE(read(good.substr(0, good.size() - 3)));
    const auto padded = padded_chunk(good + "\n");
    ASSERT_TRUE(kin.read(padded.text.substr(0, good.size()))) << text;
    const auto found = kin.found();
    EXPECT_EQ(found.table, series.child->table);
    EXPECT_EQ(found.layout, series.tags.layout());
    EXPECT_EQ(found.lengths[0], 1u);
    EXPECT_EQ(found.lengths[1], 2u);
    tags[0].value = "b";
    tags[1].value = "17";
    EXPECT_EQ(found.child, std::string_view(schema::child_table_name("m", tags, {})));
  }
}

TEST(SeriesKin, FindsWhatTheGeneralPathFinds) {
  std::size_t fresh = 0;
  for (unsigned seed = 0; seed < 80; ++seed) {
    const auto text = new_series_text(seed, 300);
    for (const bool wide : {false, true}) {
      auto fast = options_of(true, wide), slow = options_of(false, false);
      fast.payload_rules = slow.payload_rules = seed % 2 != 0;
      ParsedLine one(text, fast), other(text, slow);
      ASSERT_EQ(all_text(one.registry, one.rows), all_text(other.registry, other.rows)) << "seed " << seed;
      ASSERT_EQ(series_of(one.registry, one.rows), series_of(other.registry, other.rows)) << "seed " << seed;
      EXPECT_EQ(one.registry.child_count(), other.registry.child_count());
      EXPECT_EQ(one.registry.series_count(), other.registry.series_count());
      fresh += one.rows.fresh().size();
      EXPECT_GT(one.rows.rejects().size(), 10u);
    }
  }
  EXPECT_GT(fresh, 80u * 2 * 150);
}

TEST(SeriesKin, FollowsTheRulesOfNames) {
  std::vector<schema::NamingRules> all(7);
  all[0].dot_to_underscore = false;
  all[1].child_table_tag = "hostname";
  all[2].child_table_delimiter = "-";
  all[3].table_name_key = "os";
  all[4].drop_tags = {"region"};
  all[5].tags_as_columns = {"os"};
  all[6].timestamp_name = "g";
  for (const auto& rules : all)
    for (unsigned seed = 100; seed < 110; ++seed) {
      const auto text = new_series_text(seed, 200);
      auto fast = options_of(true, true), slow = options_of(false, false);
      fast.naming = slow.naming = rules;
      ParsedLine one(text, fast), other(text, slow);
      ASSERT_EQ(all_text(one.registry, one.rows), all_text(other.registry, other.rows)) << "seed " << seed;
      ASSERT_EQ(series_of(one.registry, one.rows), series_of(other.registry, other.rows)) << "seed " << seed;
    }
}

/// Points of new series of a few kinds in another syntax; now and then something is wrong with one, or unusual.
/// `point` writes one of metric, value and tags.
template <class Point>
std::string new_points(unsigned seed, int count, const std::vector<std::string>& odd, const Point& point) {
  std::mt19937 random(seed);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  static const std::vector<std::vector<std::string>> kKinds = {
      {"cpu.user", "hostname", "region"},
      {"cpu.system", "hostname", "region"},
      {"m", "a"},
      {"m", "b", "a"},
      {"a_metric_of_more_than_twenty_four_bytes", "Zone", "a_key_of_more_than_twenty_four_bytes", "b"}};
  std::string text;
  for (int i = 0; i < count; ++i) {
    const auto& kind = kKinds[below(kKinds.size())];
    std::vector<std::pair<std::string, std::string>> tags;
    for (std::size_t k = 1; k < kind.size(); ++k)
      tags.emplace_back(kind[k], below(40) == 0  ? odd[below(odd.size())]
                                 : below(8) == 0 ? kind[k]  // the value looks like its key
                                                 : fmt::format("{}{}", "ab"[below(2)], below(k == 1 ? 300 : 3)));
    text += point(kind[0], below(20) == 0 ? "x" : below(2) == 0 ? "17" : "2.5", tags);
  }
  return text;
}

template <class Parser, class Options>
void expect_same(const std::string& text, const Options& fast, const Options& slow, std::size_t& fresh) {
  ParsedLines<Parser, Options> one(text, fast), other(text, slow);
  ASSERT_EQ(all_text(one.registry, one.rows), all_text(other.registry, other.rows));
  ASSERT_EQ(series_of(one.registry, one.rows), series_of(other.registry, other.rows));
  EXPECT_EQ(one.registry.series_count(), other.registry.series_count());
  EXPECT_FALSE(one.rows.rejects().empty());
  fresh += one.rows.fresh().size();
}

TEST(SeriesKin, FindsWhatTheGeneralPathFindsInTelnet) {
  std::size_t fresh = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const auto text =
        new_points(seed, 300, {"a\\b", "a,b", "ü", "a=b", "", "\xff", std::string(300, 'x'), std::string(1500, 'y')},
                   [&](const auto& metric, const auto& value, const auto& tags) {
                     std::string line = (seed % 3 == 0 ? "put " : "") + metric + " 1626006833 " + value;
                     for (const auto& [key, tag] : tags)
                       line += (tag.size() == 2 && seed % 5 == 0 ? "  " : " ") + key + "=" + tag;
                     return line + "\n";
                   });
    TelnetOptions fast, slow;
    slow.predict = false;
    fast.range = slow.range = {0, INT64_MAX};
    expect_same<TelnetParser>(text, fast, slow, fresh);
  }
  EXPECT_GT(fresh, 60u * 100);
}

TEST(SeriesKin, FindsWhatTheGeneralPathFindsInJson) {
  std::size_t fresh = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const auto text = new_points(
        seed, 300, {"a\\\\b", "a b", "a,b", "ü", "\\u0041", "", "\xff", std::string(300, 'x'), std::string(1500, 'y')},
        [&](const auto& metric, const auto& value, const auto& tags) {
          std::string line =
              "{\"metric\":\"" + metric + "\",\"timestamp\":1626006833,\"value\":" + value + ",\"tags\":{";
          bool first = true;
          for (const auto& [key, tag] : tags) {
            line += std::exchange(first, false) ? "" : seed % 3 == 0 ? ", " : ",";
            const bool number = tag.size() == 2 && seed % 5 == 0;
            line += "\"" + key + (seed % 3 == 0 ? "\": " : "\":") + (number ? "7" : "\"" + tag + "\"");
          }
          return line + "}}\n";
        });
    JsonOptions fast, slow;
    slow.predict = false;
    fast.range = slow.range = {0, INT64_MAX};
    expect_same<JsonParser>(text, fast, slow, fresh);
  }
  EXPECT_GT(fresh, 60u * 100);
}

TEST(SeriesKin, GoesOnFromChunkToChunkAndWithMoreKindsThanItKeeps) {
  std::mt19937 random(5);
  schema::Registry fast_registry, slow_registry;
  LineParser fast(fast_registry, options_of(true, true)), slow(slow_registry, options_of(false, false));
  for (int chunk = 0; chunk < 30; ++chunk) {
    std::string text;
    for (int i = 0; i < 100; ++i)
      text += fmt::format("m{},k{}=v{},z=w{} f=1i 5\n", random() % 20, random() % 5, random() % 100000, random() % 3);
    if (chunk % 2 == 0) text.pop_back();
    const auto bytes = padded_chunk(text);
    data::RowSet one, other;
    fast.parse(bytes, one);
    slow.parse(bytes, other);
    ASSERT_EQ(all_text(fast_registry, one), all_text(slow_registry, other));
    ASSERT_EQ(series_of(fast_registry, one), series_of(slow_registry, other));
  }
  EXPECT_EQ(fast_registry.series_count(), slow_registry.series_count());
}

TEST(SeriesKin, LeavesNoSeriesBehindForRefusedLines) {
  for (const bool wide : {false, true}) {
    ParsedLine parsed(
        "m,t=1 f=1i 1626006833639000000\n"
        "m,t=2 f=x 1626006833639000000\n"
        "m,t=3 f=1i abc\n"
        "m,t=4 f=1i,f=1i 1626006833639000000\n"
        "m,t=5 f=1i,t=1i 1626006833639000000\n"
        "m,t=6 f=1i -1\n"
        "m,t=7 f=1i 1626006833639000000\n",
        options_of(true, wide));
    EXPECT_EQ(parsed.rows.rejects().size(), 5u);
    EXPECT_EQ(parsed.registry.child_count(), 2u);
  }
}

TEST(SeriesKin, StopsAtTooManyChildTablesWithTheRowsBefore) {
  schema::Registry registry;
  registry.set_max_children(3);
  LineParser parser(registry, options_of(true, true));
  data::RowSet rows;
  EXPECT_THROW(parser.parse(padded_chunk("m,t=1 f=1 1\nm,t=2 f=1 1\nm,t=3 f=1 1\nm,t=4 f=1 1\n"), rows), Error);
  EXPECT_EQ(rows.row_count(), 3u);
  EXPECT_EQ(rows.shapes()[0].rows, 3u);
  EXPECT_EQ(registry.series_count(), 3u);
}

}  // namespace
}  // namespace penstock::format
