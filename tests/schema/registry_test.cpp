#include "schema/registry.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/hash.h"

namespace penstock::schema {
namespace {

NewSeries series_of(std::string_view table, std::string child) {
  NewSeries found;
  found.table = table;
  found.child = std::move(child);
  return found;
}

TEST(Registry, FindsWhatWasInserted) {
  Registry registry;
  const std::string raw = "cpu,host=a\\ b,region=eu";
  const auto hash = hash_bytes(raw);
  EXPECT_EQ(registry.find(hash, raw), nullptr);
  NewSeries found = series_of("cpu", "t_1");
  const std::string host = "a b";
  found.tags = {{"host", data::Type::nchar, host}, {"region", data::Type::nchar, std::string_view(raw).substr(21)}};
  auto* series = registry.insert(hash, raw, found);
  EXPECT_EQ(registry.find(hash, raw), series);
  EXPECT_EQ(registry.insert(hash, raw, found), series);
  EXPECT_EQ(registry.find(hash, "cpu,host=a"), nullptr) << "a hash alone never decides";

  EXPECT_EQ(series->raw, raw);
  EXPECT_NE(series->raw.data(), raw.data());
  EXPECT_EQ(series->state(), data::Series::State::fresh);
  EXPECT_EQ(series->child->name, "t_1");
  EXPECT_EQ(series->child_id, series->child->id);
  EXPECT_EQ(series->child->table->name, "cpu");
  EXPECT_EQ(&registry.child(series->child_id), series->child);
  ASSERT_EQ(series->tags.size(), 2u);
  EXPECT_EQ(registry.tag_key_name(series->tags[0].key), "host");
  EXPECT_EQ(series->tags[0].value(), "a b");
  EXPECT_EQ(registry.tag_key_name(series->tags[1].key), "region");
  EXPECT_EQ(series->tags[1].value(), "eu");
  EXPECT_EQ(series->tags[1].bytes, series->raw.data() + 21) << "a value that stands in the raw bytes is not copied";
}

TEST(Registry, LetsSpellingsShareAChildTable) {
  Registry registry;
  auto* one = registry.insert(hash_bytes("m,a=1,b=2"), "m,a=1,b=2", series_of("m", "t_x"));
  auto* other = registry.insert(hash_bytes("m,b=2,a=1"), "m,b=2,a=1", series_of("m", "t_x"));
  auto* elsewhere = registry.insert(hash_bytes("n"), "n", series_of("n", "t_x"));
  EXPECT_NE(one, other);
  EXPECT_EQ(one->child, other->child);
  EXPECT_NE(one->child, elsewhere->child) << "the same name in another super table is another table";
  EXPECT_EQ(registry.child_count(), 2u);
  EXPECT_EQ(registry.series_count(), 3u);
}

TEST(Registry, GivesDenseIdsAndSurvivesGrowth) {
  Registry registry;
  constexpr std::uint32_t kSeries = 50'000;
  for (std::uint32_t i = 0; i < kSeries; ++i) {
    const auto raw = fmt::format("m,host=host_{}", i);
    const auto* series = registry.insert(hash_bytes(raw), raw, series_of("m", fmt::format("t_{}", i)));
    ASSERT_EQ(series->child_id, i);
    ASSERT_EQ(series->id, i);
  }
  EXPECT_EQ(registry.child_count(), kSeries);
  for (std::uint32_t i = 0; i < kSeries; ++i) {
    const auto raw = fmt::format("m,host=host_{}", i);
    const auto* series = registry.find(hash_bytes(raw), raw);
    ASSERT_NE(series, nullptr);
    ASSERT_EQ(registry.child(i).name, fmt::format("t_{}", i));
    ASSERT_EQ(series->child, &registry.child(i));
  }
  EXPECT_EQ(registry.find(hash_bytes("m,host=x"), "m,host=x"), nullptr);
}

TEST(Registry, KeepsEqualHashesApart) {
  Registry registry;
  for (int i = 0; i < 100; ++i) {
    const auto raw = fmt::format("m,t={}", i);
    registry.insert(42, raw, series_of("m", raw));
  }
  for (int i = 0; i < 100; ++i) {
    const auto raw = fmt::format("m,t={}", i);
    ASSERT_NE(registry.find(42, raw), nullptr);
    EXPECT_EQ(registry.find(42, raw)->raw, raw);
  }
}

TEST(Registry, NamesTheFlagWhenThereAreTooManyChildTables) {
  Registry registry;
  registry.set_max_children(2);
  registry.insert(1, "a", series_of("m", "a"));
  registry.insert(2, "b", series_of("m", "b"));
  registry.insert(3, "a ", series_of("m", "a"));
  try {
    registry.insert(4, "c", series_of("m", "c"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::limit);
    EXPECT_NE(std::string(error.what()).find("--max-child-tables"), std::string::npos) << error.what();
  }
  EXPECT_EQ(registry.find(4, "c"), nullptr);
  EXPECT_EQ(registry.child_count(), 2u);
  EXPECT_NE(registry.insert(5, "b ", series_of("m", "b")), nullptr);
}

TEST(Registry, KeepsSimilarSeriesAsItKeepsOthers) {
  Registry registry;
  const std::string long_value(300, 'x');
  std::vector<std::string> raws;
  std::vector<data::Series*> made;
  const data::TagLayout* layout = nullptr;
  for (int i = 0; i < 2000; ++i) {
    const auto a = i % 7 == 0 ? long_value + std::to_string(i) : std::to_string(i);
    const auto b = i % 5 == 0 ? std::string(254 + static_cast<std::size_t>(i % 3), 'y') : "b";
    const auto& raw = raws.emplace_back("m,a=" + a + ",b=" + b);
    const auto name = fmt::format("t_{:032x}", i);
    if (layout == nullptr) {
      NewSeries found;
      found.table = "m";
      found.child = name;
      found.tags = {{"a", data::Type::nchar, std::string_view(raw).substr(4, a.size())},
                    {"b", data::Type::nchar, std::string_view(raw).substr(7 + a.size())}};
      made.push_back(registry.insert(hash_bytes(raw), raw, found));
      layout = made.back()->tags.layout();
      continue;
    }
    const std::uint32_t lengths[] = {static_cast<std::uint32_t>(a.size()), static_cast<std::uint32_t>(b.size())};
    const SimilarSeries found{made.front()->child->table, layout, lengths, data::TableName(name)};
    made.push_back(registry.insert(hash_bytes(raw), raw, found));
    EXPECT_EQ(registry.insert(hash_bytes(raw), raw, found), made.back());
  }
  EXPECT_EQ(registry.series_count(), 2000u);
  EXPECT_EQ(registry.child_count(), 2000u);
  for (std::size_t i = 0; i < raws.size(); ++i) {
    const auto* const series = registry.find(hash_bytes(raws[i]), raws[i]);
    ASSERT_EQ(series, made[i]);
    EXPECT_EQ(series->raw, raws[i]);
    EXPECT_EQ(series->child->name, fmt::format("t_{:032x}", i));
    EXPECT_EQ(series->child->table->name, "m");
    ASSERT_EQ(series->tags.size(), 2u);
    EXPECT_EQ("m,a=" + std::string(series->tags[0].value()) + ",b=" + std::string(series->tags[1].value()), raws[i]);
  }
}

TEST(Registry, NumbersTablesAndTagKeysOnce) {
  Registry registry;
  auto* table = registry.table("m");
  EXPECT_EQ(registry.table("m"), table);
  EXPECT_NE(registry.table("M"), table);
  EXPECT_EQ(table->name, "m");
  const auto key = registry.tag_key("host");
  EXPECT_EQ(registry.tag_key("host"), key);
  EXPECT_NE(registry.tag_key("Host"), key);
  EXPECT_EQ(registry.tag_key_name(key), "host");
}

TEST(Registry, RefusesMoreTagKeysThanItCanNumber) {
  Registry registry;
  for (int i = 0; i < 65'535; ++i) registry.tag_key(std::to_string(i));
  EXPECT_THROW(registry.tag_key("one more"), Error);
}

}  // namespace
}  // namespace penstock::schema
