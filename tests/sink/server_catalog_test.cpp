// The catalog on a server: several tables at once are the same as one after the other.

#include "sink/server_catalog.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "sandbox/server.h"
#include "sink/fake_adapter.h"

namespace penstock::sink {
namespace {

using namespace std::chrono_literals;
using data::Column;
using data::Type;
using schema::Catalog;

class ServerCatalogTest : public testing::Test {
 protected:
  ServerCatalogTest() {
    auto connection = client::Connection::open(target(""));
    connection.execute("CREATE DATABASE d PRECISION 'ns' KEEP 36500");
  }
  [[nodiscard]] client::Options target(const std::string& database) const {
    client::Options options;
    options.endpoints = {{"127.0.0.1", server_.port()}};
    options.database = database;
    return options;
  }
  sandbox::Server server_{sandbox::Server::Options{}};
};

data::SuperTable table_with(std::string name, std::vector<Column> columns, std::vector<Column> tags) {
  data::SuperTable table;
  table.name = std::move(name);
  table.columns = {{.name = "_ts", .type = Type::timestamp, .width = 8}};
  for (auto& column : columns) table.columns.push_back(std::move(column));
  table.tags = std::move(tags);
  return table;
}

Column column(std::string name, Type type, std::uint32_t width = 0, std::uint8_t precision = 0,
              std::uint8_t scale = 0) {
  Column made{.name = std::move(name), .type = type, .width = width, .precision = precision, .scale = scale};
  if (width == 0) made.width = static_cast<std::uint32_t>(data::fixed_size(type));
  return made;
}

TEST_F(ServerCatalogTest, SaysOfSeveralNamesWhatItSaysOfEach) {
  auto connection = client::Connection::open(target("d"));
  connection.execute("CREATE STABLE s1 (ts TIMESTAMP, v INT) TAGS (t NCHAR(4))");
  connection.execute(
      "CREATE STABLE `s'2` (ts TIMESTAMP, k INT PRIMARY KEY, v DECIMAL(10,2)) TAGS (t INT, u VARCHAR(9))");
  connection.execute("CREATE TABLE c USING s1 TAGS ('x')");
  connection.execute("CREATE TABLE n (ts TIMESTAMP, v INT)");
  ServerCatalog catalog(target("d"), 5s, {});
  const std::vector<std::string> names = {"none", "s1", "c", "No`n'e", "s'2", "n", "S1"};
  const auto found = catalog.describe_all(names);
  ASSERT_EQ(found.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto alone = catalog.describe(names[i]);
    EXPECT_EQ(found[i].kind, alone.kind) << names[i];
    EXPECT_EQ(found[i].table, alone.table) << names[i];
  }
  using Kind = Catalog::Kind;
  const Kind kinds[] = {Kind::none,        Kind::super_table, Kind::child_table, Kind::none,
                        Kind::super_table, Kind::other_table, Kind::none};
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(found[i].kind, kinds[i]) << names[i];
}

TEST_F(ServerCatalogTest, SaysOfHundredsOfNamesWhatTheyAre) {
  ServerCatalog catalog(target("d"), 5s, {});
  std::vector<std::string> names;
  std::vector<data::SuperTable> tables;
  for (int i = 0; i < 400; ++i) {
    names.push_back(fmt::format("m{}", i));
    if (i % 3 == 0)
      tables.push_back(table_with(names.back(), {column("f", Type::bigint)}, {column("t", Type::nchar, 8)}));
  }
  std::vector<const data::SuperTable*> wanted;
  for (const auto& table : tables) wanted.push_back(&table);
  EXPECT_EQ(catalog.create_all(wanted), std::vector<bool>(tables.size(), true));
  const auto found = catalog.describe_all(names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_EQ(found[i].kind, i % 3 == 0 ? Catalog::Kind::super_table : Catalog::Kind::none) << i;
    if (i % 3 == 0) {
      ASSERT_EQ(found[i].table, tables[i / 3]);
    }
  }
}

// The schema stage goes on with what it asked for where create() says that it made the table.
TEST_F(ServerCatalogTest, MakesWhatItWasAskedForOrSaysThatItDidNot) {
  const auto all = table_with("all",
                              {column("b", Type::boolean), column("i1", Type::tinyint), column("i2", Type::smallint),
                               column("i4", Type::integer), column("i8", Type::bigint), column("u1", Type::utinyint),
                               column("u2", Type::usmallint), column("u4", Type::uinteger), column("u8", Type::ubigint),
                               column("f", Type::float32), column("d", Type::float64), column("at", Type::timestamp),
                               column("s", Type::varchar, 16), column("n", Type::nchar, 7),
                               column("x", Type::varbinary, 5), column("g", Type::geometry, 100),
                               column("d64", Type::decimal64, 8, 10, 2), column("d128", Type::decimal128, 16, 30, 4)},
                              {column("t", Type::nchar, 8), column("ti", Type::integer), column("tf", Type::float64)});
  const auto other =
      table_with("other", {column("k", Type::integer), column("f", Type::bigint)}, {column("t", Type::nchar, 8)});
  auto wider = other;
  wider.columns.push_back(column("more", Type::bigint));
  ServerCatalog catalog(target("d"), 5s, {});
  const data::SuperTable* const both[] = {&all, &other};
  EXPECT_EQ(catalog.create_all(both), (std::vector<bool>{true, true}));
  EXPECT_EQ(catalog.describe("all").table, all);
  EXPECT_EQ(catalog.describe("other").table, other);
  // Now they exist, whoever made them.
  const data::SuperTable* const again[] = {&all, &wider};
  EXPECT_EQ(catalog.create_all(again), (std::vector<bool>{false, false}));
  EXPECT_FALSE(catalog.create(wider));
  EXPECT_EQ(catalog.describe("other").table, other);
  auto third = other;
  third.name = "third";
  EXPECT_TRUE(catalog.create(third));
  EXPECT_EQ(catalog.describe("third").table, third);
}

TEST_F(ServerCatalogTest, OfLoadersThatMakeTheSameTableOneIsToldThatItDid) {
  constexpr int kLoaders = 4;
  constexpr int kTables = 40;
  std::vector<std::vector<bool>> made(kLoaders);
  {
    std::vector<std::jthread> loaders;
    for (int l = 0; l < kLoaders; ++l)
      loaders.emplace_back([&, l] {
        ServerCatalog catalog(target("d"), 5s, {});
        std::vector<data::SuperTable> tables;
        for (int i = 0; i < kTables; ++i)
          tables.push_back(table_with(fmt::format("m{}", i), {column(fmt::format("of{}", l), Type::bigint)},
                                      {column("t", Type::nchar, 8)}));
        std::vector<const data::SuperTable*> wanted;
        for (const auto& table : tables) wanted.push_back(&table);
        made[static_cast<std::size_t>(l)] = catalog.create_all(wanted);
      });
  }
  ServerCatalog catalog(target("d"), 5s, {});
  for (std::size_t i = 0; i < kTables; ++i) {
    const auto found = catalog.describe(fmt::format("m{}", i)).table;
    int makers = 0;
    for (int l = 0; l < kLoaders; ++l) {
      if (!made[static_cast<std::size_t>(l)][i]) continue;
      ++makers;
      EXPECT_TRUE(found.column(fmt::format("of{}", l))) << i;
    }
    EXPECT_EQ(makers, 1) << i;
  }
}

TEST(ServerCatalogTroubles, OfSeveralStatementsLeaveTheRestToEachByItself) {
  for (const auto& fate : {FakeAdapter::drop_before(), FakeAdapter::drop_after(), FakeAdapter::refuse(0x03D3)}) {
    std::vector<std::string> asked;
    bool once = true;
    FakeAdapter adapter([&](const FakeAdapter::Step& step) {
      if (step.text.find("CREATE STABLE") == std::string::npos) return FakeAdapter::Fate{};
      asked.push_back(step.text);
      return step.text.find("`b`") != std::string::npos && std::exchange(once, false) ? fate : FakeAdapter::Fate{};
    });
    ServerCatalog catalog(adapter.options(), 20s, {});
    std::vector<data::SuperTable> tables;
    for (const char* const name : {"a", "b", "c"})
      tables.push_back(table_with(name, {column("f", Type::bigint)}, {column("t", Type::nchar, 8)}));
    const data::SuperTable* const wanted[] = {&tables[0], &tables[1], &tables[2]};
    const auto made = catalog.create_all(wanted);
    ASSERT_EQ(made.size(), 3u);
    EXPECT_FALSE(made[1]);
    EXPECT_TRUE(catalog.create(tables[1]));
  }
}

}  // namespace
}  // namespace penstock::sink
