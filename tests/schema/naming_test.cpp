#include "schema/naming.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <random>
#include <utility>

namespace penstock::schema {
namespace {

using Pairs = std::initializer_list<std::pair<std::string_view, std::string_view>>;

std::vector<NewSeries::Tag> tags_of(Pairs pairs) {
  std::vector<NewSeries::Tag> tags;
  for (const auto& [key, value] : pairs) tags.push_back({key, data::Type::nchar, value});
  return tags;
}

std::string name_of(std::string_view measurement, Pairs pairs, const NamingRules& rules = {}) {
  auto tags = tags_of(pairs);
  return child_table_name(measurement, tags, rules);
}

// Names that a TDengine 3.3.7.5 gave to these series.
TEST(Naming, HashesAsTheServer) {
  EXPECT_EQ(name_of("st", {{"t1", "3"}, {"t2", "4"}, {"t3", "t3"}}), "t_5674733529a38572948e6d500eacb850");
  EXPECT_EQ(name_of("q1", {{"t", "\"quoted\""}}), "t_b8782664b4ad39620c5ad0944768c803");
  EXPECT_EQ(name_of("notag", {}), "t_f6dab02ecd8f1ec55e12d92c17dd2db8");
  EXPECT_EQ(name_of("中文", {{"标签", "值"}}), "t_915d432079f09b96b5aaaab3c7e81eed");
  EXPECT_EQ(name_of("j1", {{"t", "a"}}), "t_6021f6686d4277dd45ce49637145005d");
  EXPECT_EQ(name_of("s7", {{"t", ""}}), "t_09447995c10ef75b611d2818d19f7e7f");
}

TEST(Naming, SortsKeysWithoutRegardToCase) {
  EXPECT_EQ(name_of("o1", {{"b", "2"}, {"a", "1"}, {"C", "3"}}), "t_d48a2de8e0307a83e987a905b501b833");
  EXPECT_EQ(name_of("o2", {{"ab", "1"}, {"a", "2"}, {"abc", "3"}, {"B", "4"}}), "t_b5aa0f3870071223753a454fc0791097");
  EXPECT_EQ(name_of("o3", {{"a_b", "1"}, {"ab", "2"}, {"a-b", "3"}, {"aB", "4"}, {"Z", "5"}, {"_", "6"}, {"a", "7"}}),
            "t_570cb6eac9ffbf493cd48f476376e56d");
}

TEST(Naming, TakesTheMeasurementRawAndTheTagsUnescaped) {
  EXPECT_EQ(name_of("esc\\ a\\,b", {{"k=1", "v 1"}, {"k,2", "v=2\\x"}}), "t_6d7e7f748a5f6525184d5a4c0b1e8632");
}

TEST(Naming, MapsDotsOfTheMeasurementOnly) {
  EXPECT_EQ(name_of("a.b.c", {{"t.1", "x.y"}}), "t_e9a6c9f8526057b833d27b12533a8391");
  EXPECT_EQ(super_table_name("a.b.c", {}), "a_b_c");
  NamingRules plain;
  plain.dot_to_underscore = false;
  EXPECT_EQ(name_of("d.1.x", {{"t.1", "a.b"}}, plain), "t_64f1074756bb1c8d4818ec0bb8006f43");
  EXPECT_EQ(super_table_name("a.b", plain), "a.b");
}

TEST(Naming, EndsASuperTableNameAtANul) {
  EXPECT_EQ(super_table_name(std::string_view("m\0n", 3), {}), "m");
  EXPECT_EQ(super_table_name(std::string_view("\0n", 2), {}), "");
}

TEST(Naming, HashesTypedTagsByTheirImage) {
  const std::string one("\0\0\0\0\0\0\xf0\x3f", 8);
  const std::string one_and_a_half("\0\0\0\0\0\0\xf8\x3f", 8);
  EXPECT_EQ(
      name_of(
          "j2",
          {{"a", one}, {"b", "\x01"}, {"c", "s"}, {"d", std::string_view("\0", 1)}, {"e", one_and_a_half}, {"Z", "q"}}),
      "t_cb001299364afe9d771e48c47e69246e");
}

TEST(Naming, TakesAndRemovesTheChildTableTag) {
  NamingRules rules;
  rules.child_table_tag = "tname";
  auto tags = tags_of({{"tname", "CPU.1 x"}, {"t1", "4"}});
  EXPECT_EQ(child_table_name("m", tags, rules), "CPU_1 x");
  ASSERT_EQ(tags.size(), 1u);
  EXPECT_EQ(tags[0].key, "t1");
  EXPECT_EQ(name_of("k1", {{"Tname", "cpu1"}, {"t1", "4"}}, rules), "t_2d9a7fdacdafa6595bba8d406c671f45");
  EXPECT_EQ(name_of("m", {{"tname", std::string(250, 'c')}}, rules), std::string(192, 'c'));
  // An empty value goes, and the name is that of the rest.
  EXPECT_EQ(name_of("st", {{"t1", "3"}, {"tname", ""}, {"t2", "4"}, {"t3", "t3"}}, rules),
            "t_5674733529a38572948e6d500eacb850");
}

TEST(Naming, LetsTheCallsKeyShutOutTheSettings) {
  NamingRules rules;
  rules.table_name_key = "dev";
  rules.child_table_tag = "tname";
  rules.child_table_delimiter = "-";
  auto tags = tags_of({{"dev", "d1"}, {"tname", "d2"}, {"t1", "4"}});
  EXPECT_EQ(child_table_name("m", tags, rules), "d1");
  EXPECT_EQ(tags.size(), 2u);
  rules.table_name_key = "nope";
  EXPECT_EQ(name_of("m", {{"dev", "d1"}, {"t1", "4"}}, rules), "t_e452cf6dae378507e0bec71e8f5e4c8f");
}

TEST(Naming, JoinsTagValuesUnlessTheyAreTooLong) {
  NamingRules rules;
  rules.child_table_delimiter = "-";
  rules.child_table_tag = "b";
  EXPECT_EQ(name_of("m", {{"b", "x.1"}, {"a", "y"}}, rules), "x_1-y");
  EXPECT_EQ(name_of("m", {{"b", "x"}, {"a", std::string(191, 'y')}}, rules), "x");
  EXPECT_EQ(name_of("m", {{"b", "x"}, {"a", std::string(190, 'y')}}, rules), "x-" + std::string(190, 'y'));
  EXPECT_EQ(name_of("notag", {}, rules), "t_f6dab02ecd8f1ec55e12d92c17dd2db8");
}

TEST(Naming, OfSimilarSeriesIsThatOfEach) {
  std::mt19937 random(3);
  const std::vector<std::string> keys = {"b", "a", "C", "ab", "a.b", "Ab", "_", "键", "aB", "z"};
  for (int round = 0; round < 300; ++round) {
    NamingRules rules;
    rules.dot_to_underscore = round % 2 == 0;
    ASSERT_TRUE(SimilarNames::apply(rules));
    const std::string measurement = round % 3 == 0 ? "m.1" : "cpu";
    std::vector<std::string> values(random() % (keys.size() + 1));
    std::vector<std::string> order = keys;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<NewSeries::Tag> tags;
    for (std::size_t i = 0; i < values.size(); ++i) tags.push_back({order[i], data::Type::nchar, ""});
    SimilarNames names(measurement, tags, rules);
    for (int series = 0; series < 5; ++series) {
      std::vector<std::string_view> views;
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i].assign(random() % 40, static_cast<char>('a' + random() % 26));
        views.push_back(tags[i].value = values[i]);
      }
      const auto expected = child_table_name(measurement, tags, rules);
      EXPECT_EQ(std::string(names.of(views.data())), expected);
      EXPECT_EQ(names.of(views.data()), data::TableName(expected));
    }
  }
  NamingRules other;
  other.child_table_tag = "t";
  EXPECT_FALSE(SimilarNames::apply(other));
  other = {};
  other.child_table_delimiter = "-";
  EXPECT_FALSE(SimilarNames::apply(other));
  other = {};
  other.table_name_key = "t";
  EXPECT_FALSE(SimilarNames::apply(other));
}

}  // namespace
}  // namespace penstock::schema
