#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/error.h"
#include "schema/growth_fixture.h"

namespace penstock::schema {
namespace {

TEST_F(GrowthTest, DeclaresColumnsAndTagsInOrderOfFirstAppearance) {
  const auto done = admit({{"a", {{"t2", "x"}, {"t1", "y"}}, {whole("z", 1), real("b", 2)}},
                           {"b", {{"t0", "x"}}, {real("b", 2), words("a", "hello")}}});
  EXPECT_EQ(done.rejects, Rejects{});
  EXPECT_EQ(server(), "_ts TIMESTAMP, z BIGINT, b DOUBLE, a VARCHAR(8), | t2 NCHAR(2), t1 NCHAR(2), t0 NCHAR(2), ");
  EXPECT_EQ(statements_.size(), 1u);
}

TEST_F(GrowthTest, SetsWidthsByTheLongestValueOfTheChunkAndGrowsOnlyWhenTooNarrow) {
  admit({{"a", {{"t", "x"}}, {words("s", "")}}, {"a", {{"t", "x"}}, {words("s", "abcd")}}});
  EXPECT_EQ(server(), "_ts TIMESTAMP, s VARCHAR(8), | t NCHAR(2), ");
  const int changes = catalog_.changes;
  admit({{"a", {{"t", "x"}}, {words("s", "12345678")}}});  // fits exactly: an existing column stays
  EXPECT_EQ(catalog_.changes, changes);
  admit({{"a", {{"t", "x"}}, {words("s", "123456789")}}, {"b", {{"t", "xyz"}}, {words("s", "")}}});
  EXPECT_EQ(server(), "_ts TIMESTAMP, s VARCHAR(16), | t NCHAR(4), ");
  admit({{"a", {{"t", "x"}}, {words("s", std::string(1024, 'x'))}}});
  EXPECT_EQ(server(), "_ts TIMESTAMP, s VARCHAR(1024), | t NCHAR(4), ");
  // Bytes count, also where the declaration counts characters.
  admit({{"a", {{"t", "x"}}, {words("n", "中文", Type::nchar)}}});
  EXPECT_EQ(server(), "_ts TIMESTAMP, s VARCHAR(1024), n NCHAR(8), | t NCHAR(4), ");
}

TEST_F(GrowthTest, WidensAUserMadeColumnButNotOneThatHolds) {
  catalog_.tables["m"] = {"m",
                          {column("_ts", Type::timestamp), column("v4", Type::varchar, 4), column("n4", Type::nchar, 4),
                           column("v8", Type::varchar, 8)},
                          {column("t", Type::nchar, 3)}};
  admit({{"a", {{"t", "abc"}}, {words("v4", "1234"), words("n4", "中文", Type::nchar), words("v8", "123456789012")}}});
  EXPECT_EQ(server(), "_ts TIMESTAMP, v4 VARCHAR(4), n4 NCHAR(8), v8 VARCHAR(16), | t NCHAR(3), ");
}

TEST_F(GrowthTest, GivesTablesWithoutTagsADefaultOneAndAddsRealTagsBehindIt) {
  admit({{"a", {}, {whole("f", 1)}}});
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | _tag_null NCHAR(1), ");
  admit({{"b", {{"t", "x"}}, {whole("f", 1)}}});
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | _tag_null NCHAR(1), t NCHAR(2), ");
}

TEST_F(GrowthTest, RefusesTheSecondOfTwoTypesInAChunkWith3004) {
  const auto done = admit({{"a", {{"t", "x"}}, {whole("f", 1)}},
                           {"a", {{"t", "x"}}, {real("f", 1)}},
                           {"a", {{"t", "x"}}, {whole("f", 2)}}});
  EXPECT_EQ(done.rejects, (Rejects{"1 3004"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | t NCHAR(2), ");
}

TEST_F(GrowthTest, RefusesATypeThatTheServerHasOtherwiseWith3002) {
  admit({{"a", {{"t", "x"}}, {whole("f", 1)}}});
  const int changes = catalog_.changes;
  const auto done = admit({{"a", {{"t", "x"}}, {real("f", 1), whole("fresh", 1)}},
                           {"a", {{"t", "x"}}, {words("f", "1")}},
                           {"a", {{"t", "x"}}, {whole("f", 1, Type::integer)}},
                           {"a", {{"t", "x"}}, {whole("f", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"0 3002", "1 3002", "2 3002"}));
  EXPECT_EQ(catalog_.changes, changes) << "a refused row leaves no column behind";
}

TEST_F(GrowthTest, RefusesATagOfAnotherTypeAndKeepsItsColumnsOut) {
  catalog_.tables["m"] = {
      "m", {column("_ts", Type::timestamp), column("f", Type::bigint)}, {column("t", Type::varchar, 20)}};
  const auto done = admit({{"a", {{"t", "x"}}, {whole("f", 1), whole("fresh", 1)}},
                           {"b", {}, {whole("f", 1)}},
                           {"a", {{"t", "x"}}, {whole("f", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"0 3002", "2 3002"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | t VARCHAR(20), ") << "a refused row leaves no column behind";
  // Refused for good, but counted each time.
  EXPECT_EQ(admit({{"a", {{"t", "x"}}, {whole("f", 1)}}}).rejects, (Rejects{"0 3002"}));
}

TEST_F(GrowthTest, RefusesANameThatIsTagAndColumn) {
  admit({{"a", {{"t", "x"}}, {whole("f", 1)}}});
  const auto done = admit({{"a", {{"t", "x"}}, {whole("t", 1)}}, {"b", {{"f", "x"}}, {whole("f", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"0 263C", "1 263C"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | t NCHAR(2), ");
}

TEST_F(GrowthTest, KeepsWithinTheServersLimits) {
  std::vector<TestTag> many;
  for (int i = 0; i < 129; ++i) many.push_back({"t" + std::to_string(i), "x"});
  auto fits = many;
  fits.pop_back();
  auto done = admit({{"a", many, {whole("f", 1)}}, {"b", fits, {whole("f", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"0 0115"}));
  EXPECT_EQ(catalog_.tables["m"].tags.size(), 128u);

  // 4 n + 2 bytes a tag: 4,095 characters are the most of a single one.
  done = admit({{"c", {{"t", std::string(4096, 'x')}}, {whole("f", 1)}, "wide"},
                {"d", {{"t", std::string(4095, 'x')}}, {whole("f", 1)}, "wide"}});
  EXPECT_EQ(done.rejects, (Rejects{"0 263D"}));

  done = admit({{"e", {}, {words("s", std::string(65517, 'x'))}, "long"},
                {"f", {}, {words("s", std::string(65000, 'x')), words("u", std::string(600, 'x'))}, "long"}});
  EXPECT_EQ(done.rejects, (Rejects{"1 263E"}));

  std::vector<Value> columns;
  for (int i = 0; i < 4095; ++i) columns.push_back(whole("c" + std::to_string(i), i));
  done = admit({{"g", {}, columns, "broad"}});  // with timestamp and default tag 4,097
  EXPECT_EQ(done.rejects, (Rejects{"0 0115"}));
  EXPECT_FALSE(catalog_.tables.contains("broad"));
}

TEST_F(GrowthTest, RefusesTablesThatSchemalessInsertRefuses) {
  catalog_.tables["named"] = {
      "named", {column("ts", Type::timestamp), column("f", Type::bigint)}, {column("t", Type::nchar, 4)}};
  catalog_.tables["keyed"] = {"keyed",
                              {column("_ts", Type::timestamp), column("k", Type::bigint), column("f", Type::bigint)},
                              {column("t", Type::nchar, 4)}};
  catalog_.tables["keyed"].columns[1].composite_key = true;
  catalog_.other_tables["normal"] = Catalog::Kind::other_table;
  catalog_.other_tables["child"] = Catalog::Kind::child_table;
  const auto done = admit({{"a", {{"t", "x"}}, {whole("f", 1)}, "named"},
                           {"b", {{"t", "x"}}, {whole("k", 1), whole("f", 1)}, "keyed"},
                           {"c", {{"t", "x"}}, {whole("f", 1)}, "normal"},
                           {"d", {{"t", "x"}}, {whole("f", 1)}, "good"},
                           {"e", {{"t", "x"}}, {whole("f", 1)}, "child"}});
  EXPECT_EQ(done.rejects, (Rejects{"0 3002", "1 3006", "2 0603", "4 0115"}));
  EXPECT_EQ(catalog_.changes, 1);
}

TEST_F(GrowthTest, TakesDeclaredTablesAsTheSourceDeclaresThem) {
  Column price = column("price", Type::decimal64);
  price.precision = 10;
  price.scale = 2;
  registry_.table("m")->declared = std::make_unique<const data::SuperTable>(data::SuperTable{
      "x",
      {column("when", Type::timestamp), column("s", Type::varchar, 5), price, column("never", Type::bigint)},
      {column("site", Type::varchar, 3), column("n", Type::integer)}});
  const auto done =
      admit({{"a", {{"site", "abc", Type::varchar}}, {words("s", "12345"), whole("price", 5, Type::decimal64)}}});
  EXPECT_EQ(done.rejects, Rejects{});
  EXPECT_EQ(server(), "when TIMESTAMP, s VARCHAR(5), price DECIMAL(10,2), never BIGINT, | site VARCHAR(3), n INT, ");
  admit({{"a", {{"site", "abc", Type::varchar}}, {words("s", "123456")}}});
  EXPECT_EQ(server(), "when TIMESTAMP, s VARCHAR(8), price DECIMAL(10,2), never BIGINT, | site VARCHAR(3), n INT, ");
}

TEST_F(GrowthTest, AddsMissingColumnsOfADeclaredTableAsDeclared) {
  catalog_.tables["m"] = {
      "m", {column("ts", Type::timestamp), column("f", Type::bigint)}, {column("t", Type::nchar, 4)}};
  catalog_.tables["m"].columns[1].composite_key = true;
  Column price = column("price", Type::decimal64);
  price.precision = 10;
  price.scale = 2;
  registry_.table("m")->declared = std::make_unique<const data::SuperTable>(data::SuperTable{
      "m",
      {column("ts", Type::timestamp), column("f", Type::bigint), price, column("s", Type::varchar, 20)},
      {column("t", Type::nchar, 4), column("u", Type::varchar, 30)}});
  const auto done =
      admit({{"a", {{"u", "x", Type::varchar}}, {whole("f", 1), whole("price", 5, Type::decimal64), words("s", "1")}}});
  EXPECT_EQ(done.rejects, Rejects{});
  EXPECT_EQ(server(), "ts TIMESTAMP, f BIGINT, price DECIMAL(10,2), s VARCHAR(20), | t NCHAR(4), u VARCHAR(30), ");
  EXPECT_EQ(growth_.tables().front().version->composite_key, 1u);
}

TEST_F(GrowthTest, BindsOnlyWhatTheInputGivesAndKeepsIndexesOverVersions) {
  catalog_.tables["m"] = {"m",
                          {column("_ts", Type::timestamp), column("unused", Type::json), column("f", Type::bigint),
                           column("g", Type::bigint)},
                          {column("other", Type::integer), column("t", Type::nchar, 4)}};
  admit({{"a", {{"t", "x"}}, {whole("g", 1)}}});
  const auto first = growth_.tables().front().version;
  ASSERT_EQ(first->columns.size(), 2u);
  EXPECT_EQ(first->columns[1].name, "g");
  ASSERT_EQ(first->tags.size(), 1u);
  EXPECT_EQ(first->tags[0].name, "t");

  admit({{"a", {{"t", "x"}}, {whole("g", 1)}}});
  EXPECT_EQ(growth_.tables().front().version, first) << "nothing new: statements stay prepared";

  admit({{"b", {{"t2", "x"}}, {whole("f", 1), whole("h", 1)}}});
  const auto second = growth_.tables().front().version;
  EXPECT_GT(second->number, first->number);
  ASSERT_EQ(second->columns.size(), 4u);
  EXPECT_EQ(second->columns[1].name, "g");
  EXPECT_EQ(second->columns[2].name, "f");
  EXPECT_EQ(second->columns[3].name, "h");
  EXPECT_EQ(second->tags.at(0).name, "t");
  EXPECT_EQ(second->tags.at(1).name, "t2");

  admit({{"c", {{"t", "longer than four"}}, {whole("g", 1)}}});
  EXPECT_GT(growth_.tables().front().version->number, second->number) << "widening makes statements stale too";
}

TEST_F(GrowthTest, BindsATagEvenWhenTheInputGivesNone) {
  catalog_.tables["m"] = {
      "m", {column("_ts", Type::timestamp), column("f", Type::bigint)}, {column("t", Type::integer)}};
  EXPECT_EQ(admit({{"a", {}, {whole("f", 1)}}}).rejects, Rejects{});
  EXPECT_EQ(growth_.tables().front().version->tags.at(0).name, "t");
}

TEST_F(GrowthTest, EndsWhenABoundColumnVanishesInsteadOfMixingColumns) {
  admit({{"a", {{"t", "x"}}, {whole("f", 1), whole("g", 1)}}});
  auto& columns = catalog_.tables["m"].columns;
  columns.erase(columns.begin() + 1);
  EXPECT_THROW(admit({{"a", {{"t", "x"}}, {whole("g", 1), whole("h", 1)}}}), Error);
}

TEST_F(GrowthTest, PlansAgainWhenAnotherLoaderIsFirst) {
  // The table appears between our look and our CREATE, with another column and a narrower one.
  bool once = true;
  catalog_.before_change = [&] {
    if (!std::exchange(once, false)) return;
    catalog_.tables["m"] = {
        "m",
        {column("_ts", Type::timestamp), column("theirs", Type::bigint), column("s", Type::varchar, 2)},
        {column("t", Type::nchar, 1)}};
  };
  const auto done = admit({{"a", {{"t", "xy"}}, {words("s", "hello"), whole("f", 1)}}});
  EXPECT_EQ(done.rejects, Rejects{});
  EXPECT_EQ(server(), "_ts TIMESTAMP, theirs BIGINT, s VARCHAR(8), f BIGINT, | t NCHAR(4), ");
}

TEST_F(GrowthTest, RefusesRowsWhenTheOtherLoaderChoseAnotherType) {
  bool once = true;
  catalog_.before_change = [&] {
    if (!std::exchange(once, false)) return;
    catalog_.tables["m"] = {
        "m", {column("_ts", Type::timestamp), column("f", Type::float64)}, {column("t", Type::nchar, 4)}};
  };
  const auto done = admit({{"a", {{"t", "xy"}}, {whole("f", 1)}}, {"a", {{"t", "xy"}}, {real("f", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"0 3002"}));
}

TEST_F(GrowthTest, AsksForAndMakesSeveralTablesAtOnce) {
  using Names = std::vector<std::string>;
  catalog_.tables["q"] = {
      "q", {column("_ts", Type::timestamp), column("f", Type::bigint)}, {column("t", Type::nchar, 1)}};
  std::vector<std::string> described;
  catalog_.before_describe = [&](const std::string& name) { described.push_back(name); };
  const std::vector<NewRow> rows = {{"a", {{"t", "x"}}, {whole("f", 1)}, "p"},
                                    {"b", {{"t", "xy"}}, {whole("f", 1)}, "q"},
                                    {"c", {{"t", "x"}}, {real("f", 1)}, "r"},
                                    {"d", {{"t", "xyz"}}, {words("s", "y")}, "p"},
                                    {"e", {}, {whole("f", 1)}, "a.b"}};
  EXPECT_EQ(admit(rows).rejects, (Rejects{"4 2617"}));
  EXPECT_EQ(catalog_.asked_together, (std::vector<Names>{{"p", "q", "r"}}));
  EXPECT_EQ(catalog_.made_together, (Names{"p", "r"}));
  EXPECT_EQ(described, (Names{"p", "q", "r", "q"})) << "what this loader made is not asked for again";
  EXPECT_EQ(server("p"), "_ts TIMESTAMP, f BIGINT, s VARCHAR(2), | t NCHAR(4), ");
  EXPECT_EQ(server("q"), "_ts TIMESTAMP, f BIGINT, | t NCHAR(4), ");
  EXPECT_EQ(server("r"), "_ts TIMESTAMP, f DOUBLE, | t NCHAR(2), ");
  EXPECT_EQ(statements_, (Names{"CREATE STABLE IF NOT EXISTS `p` (`_ts` TIMESTAMP, `f` BIGINT, `s` VARCHAR(2)) TAGS "
                                "(`t` NCHAR(4))",
                                "CREATE STABLE IF NOT EXISTS `r` (`_ts` TIMESTAMP, `f` DOUBLE) TAGS (`t` NCHAR(2))",
                                "ALTER STABLE `q` MODIFY TAG `t` NCHAR(4)"}));
  EXPECT_EQ(admit(rows).rejects, (Rejects{"4 2617"}));
  EXPECT_EQ(described.size(), 4u);
}

TEST_F(GrowthTest, PlansAgainForThoseOfSeveralTablesThatOthersMadeOrThatAreRefused) {
  int call = 0;
  catalog_.before_change = [&] {
    switch (++call) {
      case 1:  // another loader was first, with a type and a width of its own
        catalog_.tables["p"] = {
            "p", {column("_ts", Type::timestamp), column("f", Type::float64)}, {column("t", Type::nchar, 1)}};
        return;
      case 2:  // of q
      case 4:  // of p, which is another one by then
        throw ChangeRefused("no room", 0x1234);
      default: return;
    }
  };
  const std::vector<NewRow> rows = {{"a", {{"t", "xy"}}, {whole("f", 1)}, "p"},
                                    {"b", {{"t", "xy"}}, {whole("g", 1)}, "p"},
                                    {"c", {{"t", "x"}}, {whole("f", 1)}, "q"},
                                    {"d", {{"t", "x"}}, {whole("f", 1)}, "r"}};
  EXPECT_EQ(admit(rows).rejects, (Rejects{"0 3002"}));
  EXPECT_EQ(catalog_.made_together, (std::vector<std::string>{"p", "q", "r"}));
  EXPECT_EQ(server("p"), "_ts TIMESTAMP, f DOUBLE, g BIGINT, | t NCHAR(4), ");
  EXPECT_EQ(server("q"), "_ts TIMESTAMP, f BIGINT, | t NCHAR(2), ");
  EXPECT_EQ(server("r"), "_ts TIMESTAMP, f BIGINT, | t NCHAR(2), ");
}

TEST_F(GrowthTest, LooksAgainAfterAQuestionThatFailed) {
  catalog_.before_describe = [](const std::string&) { throw Error(Errc::unreachable, "away"); };
  EXPECT_THROW(admit({{"a", {}, {whole("f", 1)}, "p"}, {"b", {}, {whole("f", 1)}, "q"}}), Error);
  catalog_.before_describe = {};
  catalog_.tables["q"] = {
      "q", {column("_ts", Type::timestamp), column("f", Type::float64)}, {column("t", Type::nchar, 1)}};
  EXPECT_EQ(admit({{"a", {}, {whole("f", 1)}, "p"}, {"b", {}, {whole("f", 1)}, "q"}}).rejects, (Rejects{"1 3002"}));
}

TEST_F(GrowthTest, TwoLoadersAgree) {
  Registry registry;
  Growth other(catalog_, registry, {});
  const auto admit_there = [&](const std::vector<Value>& values) {
    data::RowSet set;
    RowsBuilder(registry, set).add("m", "a", {{"t", "x"}}, 1, values, 0, 1);
    other.admit(set);
    return set.rejects().size();
  };
  for (int round = 0; round < 20; ++round) {
    const std::string mine = "mine" + std::to_string(round);
    const std::string ours = "ours" + std::to_string(round);
    admit({{"a", {{"t", "x"}}, {whole(mine, 1), words(ours, std::string(static_cast<std::size_t>(round), 'x'))}}});
    EXPECT_EQ(admit_there({whole("theirs" + std::to_string(round), 1), words(ours, std::string(50, 'x'))}), 0u);
  }
  const auto& table = catalog_.tables["m"];
  EXPECT_EQ(table.columns.size(), 1 + 3 * 20u);
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(table.columns.at(*table.column("ours" + std::to_string(i))).width, 64u);
  // A value wider than what this loader knew last, narrower than what stands there now: no change needed, none lost.
  EXPECT_EQ(admit({{"a", {{"t", "x"}}, {words("ours3", std::string(60, 'x'))}}}).rejects, Rejects{});
  EXPECT_EQ(text_of(catalog_.tables["m"]).find("ours3 VARCHAR(128)"), std::string::npos);
}

TEST_F(GrowthTest, GivesUpOnATableThatKeepsVanishing) {
  // Another loader makes it and drops it again, each time.
  catalog_.before_change = [&] { catalog_.tables["m"] = {"m", {column("_ts", Type::timestamp)}, {}}; };
  catalog_.before_describe = [&](const std::string& name) { catalog_.tables.erase(name); };
  try {
    admit({{"a", {{"t", "x"}}, {whole("f", 1)}}});
    FAIL() << "the table was never there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::server);
    EXPECT_NE(std::string(error.what()).find("'m'"), std::string::npos);
  }
}

TEST_F(GrowthTest, PassesOnWhatTheCatalogThrows) {
  catalog_.before_change = [] { throw Error(Errc::server, "no rights", 0x0303); };
  EXPECT_THROW(admit({{"a", {{"t", "x"}}, {whole("f", 1)}}}), Error);
}

TEST_F(GrowthTest, RefusesTheRightRowsOfSeveralTables) {
  admit({{"a", {}, {whole("f", 1)}, "p"}, {"b", {}, {whole("f", 1)}, "q"}});
  std::vector<NewRow> rows;
  std::multiset<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    rows.push_back({i % 2 == 0 ? "a" : "b", {}, {i % 3 == 0 ? real("f", 1) : whole("f", 1)}, i % 2 == 0 ? "p" : "q"});
    // Two types in one chunk come before a type that the server has otherwise.
    if (i % 3 == 0) expected.insert(std::to_string(i) + (i % 2 == 0 ? " 3002" : " 3004"));
  }
  const auto got = admit(rows).rejects;
  EXPECT_EQ(std::multiset<std::string>(got.begin(), got.end()), expected);
}

}  // namespace
}  // namespace penstock::schema
