#include "schema/series.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/hash.h"
#include "schema/registry.h"

namespace penstock::data {
namespace {

TEST(TableName, KeepsEveryTextAsItIs) {
  const std::string digest = "t_0123456789abcdef0123456789abcdef";
  const std::string upper = "t_0123456789ABCDEF0123456789abcdef";
  for (const auto& text :
       {std::string(), std::string("t_"), digest, upper, digest + "0", "T" + digest.substr(1), "t-" + digest.substr(2),
        digest.substr(0, 33) + "g", digest.substr(0, 33), std::string("t_\0", 3), std::string(1'000, 'x')}) {
    const TableName name(text);
    EXPECT_EQ(name.text().view(), text);
    EXPECT_EQ(std::string(name), text);
    EXPECT_EQ(name.size(), text.size());
    EXPECT_EQ(name.empty(), text.empty());
    EXPECT_EQ(name.is_digest(), text == digest);
    EXPECT_TRUE(name == TableName(std::string_view(text)));
    EXPECT_TRUE(name == std::string_view(text));
    if (text.empty()) continue;
    EXPECT_EQ(name.front(), text.front());
    EXPECT_EQ(name.back(), text.back());
    EXPECT_EQ(name.contains('x'), text.find('x') != std::string::npos);
  }
  EXPECT_FALSE(TableName(digest) == TableName(upper));
  EXPECT_TRUE(TableName().empty());
}

TEST(TableName, HashesCountedNamesApart) {
  std::set<std::uint64_t> hashes;
  for (unsigned i = 0; i < 1'000; ++i) {
    hashes.insert(TableName(fmt::format("t_{:032x}", i)).hash());
    hashes.insert(TableName(fmt::format("t_{:08x}{:024x}", i + 1, 0)).hash());
  }
  EXPECT_EQ(hashes.size(), 2'000u);
}

using schema::NewSeries;
using schema::Registry;

NewSeries series_of(std::vector<NewSeries::Tag> tags, std::string child) {
  NewSeries found;
  found.table = "m";
  found.child = std::move(child);
  found.tags = std::move(tags);
  return found;
}

void expect_tags(const Registry& registry, const Series& series, const std::vector<NewSeries::Tag>& tags) {
  ASSERT_EQ(series.tags.size(), tags.size());
  EXPECT_EQ(series.tags.empty(), tags.empty());
  std::size_t i = 0;
  for (const auto& tag : series.tags) {
    EXPECT_EQ(registry.tag_key_name(tag.key), tags[i].key);
    EXPECT_EQ(tag.type, tags[i].type);
    EXPECT_EQ(tag.value(), tags[i].value);
    EXPECT_EQ(series.tags[i].value(), tags[i].value);
    ++i;
  }
  EXPECT_EQ(i, tags.size());
}

// Keys, types, lengths and places of values of all kinds, in the raw bytes and apart from them.
TEST(TagList, GivesBackWhatWasInserted) {
  std::mt19937 random(7);
  const auto up_to = [&](std::size_t most) { return random() % (most + 1); };
  Registry registry;
  struct Kept {
    std::vector<std::pair<std::string, std::string>> texts;
    std::vector<NewSeries::Tag> tags;
    const Series* series = nullptr;
  };
  std::deque<Kept> all;
  std::set<std::string> seen;
  for (int i = 0; i < 4'000; ++i) {
    auto& kept = all.emplace_back();
    const auto count = up_to(6);
    std::string raw = "m";
    std::vector<std::size_t> places;
    for (std::size_t t = 0; t < count; ++t) {
      const std::size_t length = up_to(40) == 0 ? 250 + up_to(10) : up_to(200) == 0 ? 70'000 : up_to(5);
      kept.texts.emplace_back("k" + std::to_string(t + up_to(1)),
                              std::string(length, static_cast<char>('a' + up_to(2))));
      raw += "," + kept.texts.back().first + std::string(up_to(20) == 0 ? 80 : 1, '=');
      places.push_back(raw.size());
      // An escape in the text: the value does not stand in it.
      const auto& value = kept.texts.back().second;
      raw += up_to(9) == 0 && value.size() > 1 ? "\\" + value.substr(0, 1) + "\\" + value.substr(1) : value;
    }
    if (!seen.insert(raw).second) {
      all.pop_back();
      continue;
    }
    for (std::size_t t = 0; t < count; ++t) {
      const auto& [key, value] = kept.texts[t];
      const auto in_raw = std::string_view(raw).substr(places[t], value.size());
      const bool points = in_raw == value && up_to(3) > 0;
      kept.tags.push_back(
          {key, up_to(9) == 0 ? Type::varchar : Type::nchar, points ? in_raw : std::string_view(value)});
    }
    auto* const series = registry.insert(hash_bytes(raw), raw, series_of(kept.tags, "c" + std::to_string(i)));
    EXPECT_EQ(series->raw, raw);
    for (std::size_t t = 0; t < count; ++t) kept.tags[t].value = kept.texts[t].second;
    kept.series = series;
    expect_tags(registry, *series, kept.tags);
  }
  EXPECT_GT(all.size(), 2'000u);
  for (const auto& kept : all) expect_tags(registry, *kept.series, kept.tags);
}

TEST(TagList, KeepsTheTagsOfTwoSeriesApart) {
  Registry registry;
  const std::string one = "m,a=1,b=22", two = "m,a=333,b=4";
  const auto& first =
      *registry.insert(1ull << 32, one, series_of({{"a", Type::nchar, "1"}, {"b", Type::nchar, "22"}}, "x"));
  const auto& second =
      *registry.insert(2ull << 32, two, series_of({{"a", Type::nchar, "333"}, {"b", Type::nchar, "4"}}, "y"));
  EXPECT_EQ(first.tags.layout(), second.tags.layout());
  std::string seen;
  for (const auto& a : first.tags)
    for (const auto& b : second.tags) seen += fmt::format("{}{} ", a.value(), b.value());
  EXPECT_EQ(seen, "1333 14 22333 224 ");
}

// The same addresses, as likely as not, with other keys.
TEST(TagList, KnowsOneRegistryFromTheNext) {
  for (int round = 0; round < 50; ++round) {
    Registry registry;
    const auto key = "key" + std::to_string(round % 7);
    const auto value = std::string(static_cast<std::size_t>(round % 3 + 1), static_cast<char>('a' + round % 5));
    const auto raw = "m," + key + "=" + value;
    const auto* series = registry.insert(hash_bytes(raw), raw, series_of({{key, Type::nchar, value}}, "c"));
    expect_tags(registry, *series, {{key, Type::nchar, value}});
  }
}

}  // namespace
}  // namespace penstock::data
