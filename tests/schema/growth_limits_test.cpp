// Rows beyond the server's limits, and changes that the server refuses: they cost only the rows that need them.

#include "schema/growth_fixture.h"

namespace penstock::schema {
namespace {

using GrowthLimits = GrowthTest;

TEST_F(GrowthLimits, AdmitsTheRowsBesideOneThatIsTooLong) {
  // All of one shape: the longest value must not speak for the others.
  const auto done = admit({{"a", {}, {words("s", "short"), words("u", std::string(2000, 'x'))}},
                           {"a", {}, {words("s", std::string(65000, 'x')), words("u", "x")}},
                           {"a", {}, {words("s", std::string(60000, 'x')), words("u", "x")}},
                           {"a", {}, {words("s", "y"), words("u", "y")}}});
  EXPECT_EQ(done.rejects, (Rejects{"1 263E"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, s VARCHAR(60000), u VARCHAR(2000), | _tag_null NCHAR(1), ");
  // And the next chunk, with the table as it stands.
  EXPECT_EQ(admit({{"a", {}, {words("s", std::string(65000, 'x'))}}, {"a", {}, {words("s", "z")}}}).rejects,
            (Rejects{"0 263E"}));
}

TEST_F(GrowthLimits, GivesRoomInInputOrder) {
  // The two shapes want the same room; the row that comes first gets it.
  const auto done = admit({{"a", {}, {words("s", "1")}},
                           {"a", {}, {words("u", std::string(40000, 'x'))}},
                           {"a", {}, {words("s", std::string(40000, 'x'))}},
                           {"a", {}, {words("s", std::string(20000, 'x'))}}});
  EXPECT_EQ(done.rejects, (Rejects{"2 263E"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, s VARCHAR(20000), u VARCHAR(40000), | _tag_null NCHAR(1), ");
}

TEST_F(GrowthLimits, CountsColumnsInInputOrder) {
  const auto numbered = [](const char* prefix, int count) {
    std::vector<Value> fields;
    for (int i = 0; i < count; ++i) fields.push_back(whole(prefix + std::to_string(i), i));
    return fields;
  };
  const auto done = admit({{"a", {}, numbered("a", 3000)},
                           {"b", {}, numbered("b", 2000)},
                           {"c", {{"t", "x"}}, numbered("c", 1000)},
                           {"d", {}, numbered("b", 10)},
                           {"e", {}, numbered("b", 200)}});
  EXPECT_EQ(done.rejects, (Rejects{"1 0115", "4 0115"}));
  EXPECT_EQ(catalog_.tables["m"].columns.size(), 1 + 3000 + 1000 + 10u);
}

TEST_F(GrowthLimits, RefusesTagsBeyondTheirRoomOneByOne) {
  const auto done = admit({{"a", {{"t", std::string(3000, 'x')}}, {whole("f", 1)}},
                           {"b", {{"u", std::string(2000, 'x')}}, {whole("f", 1)}},
                           {"c", {{"u", std::string(1000, 'x')}}, {whole("f", 1)}},
                           {"d", {{"t", "y"}}, {whole("f", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"1 263D"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | t NCHAR(3000), u NCHAR(1024), ");
}

TEST_F(GrowthLimits, LeavesNoColumnOfARowWhoseTagsAreRefused) {
  std::vector<Value> many;
  for (int i = 0; i < 4090; ++i) many.push_back(whole("c" + std::to_string(i), i));
  const std::vector<TestTag> tags{{"t1", "x"}, {"t2", "x"}, {"t3", "x"}, {"t4", "x"}, {"t5", "x"}};
  const auto done =
      admit({{"a", tags, many}, {"b", tags, {whole("late", 1), whole("later", 1)}}, {"c", tags, {whole("c1", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"1 0115"}));
  EXPECT_EQ(catalog_.tables["m"].columns.size(), 4091u);
}

TEST_F(GrowthLimits, RefusesNamesThatAreTooLong) {
  const auto done = admit({{"a", {}, {whole(std::string(65, 'f'), 1)}},
                           {"b", {{std::string(65, 't'), "x"}}, {whole("f", 1)}},
                           {std::string(193, 'c'), {}, {whole("f", 1)}},
                           {"d", {}, {whole("f", 1)}, std::string(193, 'm')},
                           {"e", {{std::string(64, 't'), "x"}}, {whole(std::string(64, 'f'), 1)}},
                           {std::string(192, 'c'), {}, {whole("f", 1)}},
                           {"g", {}, {whole("f", 1)}, std::string(192, 'm')}});
  EXPECT_EQ(done.rejects, (Rejects{"0 021F", "1 021F", "2 020A", "3 020A"}));
}

TEST_F(GrowthLimits, RefusesOnlyTheRowsThatNeedAChangeWhichTheServerRefuses) {
  admit({{"a", {}, {whole("f", 1), words("s", "abc")}}});
  catalog_.before_change = [] { throw ChangeRefused("the server refuses ALTER STABLE: because", 0x1234); };
  const auto done = admit({{"a", {}, {whole("f", 1), words("s", "abc")}},
                           {"a", {}, {whole("f", 1), words("s", "abcdef")}},
                           {"a", {}, {whole("f", 1), whole("g", 1)}},
                           {"b", {{"t", "x"}}, {whole("f", 1)}},
                           {"c", {}, {whole("f", 1)}}});
  EXPECT_EQ(done.rejects, (Rejects{"1 1234", "2 1234", "3 1234"}));
  for (const auto& reason : done.reasons) EXPECT_EQ(reason, "the server refuses ALTER STABLE: because");
  // The next chunk asks again.
  catalog_.before_change = {};
  EXPECT_EQ(admit({{"a", {}, {whole("f", 1), whole("g", 1)}}}).rejects, Rejects{});
}

TEST_F(GrowthLimits, RefusesAllRowsOfATableThatTheServerDoesNotCreate) {
  catalog_.before_change = [] { throw ChangeRefused("no room", 0x1234); };
  EXPECT_EQ(admit({{"a", {}, {whole("f", 1)}}, {"b", {{"t", "x"}}, {words("s", "1")}}}).rejects,
            (Rejects{"0 1234", "1 1234"}));
  catalog_.before_change = {};
  EXPECT_EQ(admit({{"a", {}, {whole("f", 1)}}}).rejects, Rejects{});
}

TEST_F(GrowthLimits, TakesARefusedChangeForALostRaceWhenTheTableIsAnotherOneNow) {
  admit({{"a", {}, {whole("f", 1)}}});
  bool once = true;
  catalog_.before_change = [&] {
    if (!std::exchange(once, false)) return;
    catalog_.tables["m"].columns.push_back(column("g", Type::bigint));
    throw ChangeRefused("conflict", 0x1234);
  };
  EXPECT_EQ(admit({{"a", {}, {whole("f", 1), whole("g", 1), whole("h", 1)}}}).rejects, Rejects{});
  EXPECT_EQ(catalog_.tables["m"].columns.size(), 4u);
}

TEST_F(GrowthLimits, RefusesVirtualSuperTables) {
  catalog_.tables["m"] = {
      "m", {column("_ts", Type::timestamp), column("f", Type::bigint)}, {column("t", Type::nchar, 4)}};
  catalog_.virtual_tables.insert("m");
  const auto done = admit({{"a", {{"t", "x"}}, {whole("f", 1)}}, {"b", {{"t", "x"}}, {whole("f", 1)}, "other"}});
  EXPECT_EQ(done.rejects, (Rejects{"0 6205"}));
  EXPECT_NE(done.reasons.at(0).find("virtual"), std::string::npos);
}

TEST_F(GrowthLimits, WritesBesideABlobColumnButNotIntoIt) {
  catalog_.tables["m"] = {
      "m",
      {column("_ts", Type::timestamp), column("b", Type::blob, 4'194'304), column("f", Type::bigint)},
      {column("t", Type::nchar, 4)}};
  const auto done =
      admit({{"a", {{"t", "x"}}, {whole("f", 1)}}, {"a", {{"t", "x"}}, {whole("f", 1), words("b", "x")}}});
  EXPECT_EQ(done.rejects, (Rejects{"1 3002"}));
  EXPECT_EQ(growth_.tables().front().version->columns.size(), 2u) << "the BLOB is not bound";
}

}  // namespace
}  // namespace penstock::schema
