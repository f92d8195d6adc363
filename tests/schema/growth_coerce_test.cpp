// --coerce: values whose type differs from their column's.

#include "schema/growth_fixture.h"

namespace penstock::schema {
namespace {

class GrowthCoerce : public GrowthTest {
 protected:
  Growth coercing_{catalog_, registry_, {.coerce = true}};
};

using Values = std::vector<std::string>;

TEST_F(GrowthCoerce, ConvertsWhatLosesNothingAndNamesBothTypesOfTheRest) {
  catalog_.tables["m"] = {"m",
                          {column("_ts", Type::timestamp), column("i", Type::integer), column("s", Type::varchar, 4)},
                          {column("t", Type::nchar, 4)}};
  const auto done = admit({{"a", {{"t", "x"}}, {real("i", 7), whole("s", 123456)}},
                           {"a", {{"t", "x"}}, {real("i", 7.5), whole("s", 1)}},
                           {"a", {{"t", "x"}}, {whole("i", 8)}},
                           {"a", {{"t", "x"}}, {words("i", "9")}},
                           {"a", {{"t", "x"}}, {words("i", "nine")}}},
                          &coercing_);
  EXPECT_EQ(done.rejects, (Rejects{"1 3002", "4 3002"}));
  EXPECT_EQ(
      done.reasons.at(0),
      "field 'i' is DOUBLE here, but column 'i' of super table 'm' is INT, and 7.5 cannot be converted without loss");
  EXPECT_EQ(done.values, (Values{"0 i=7", "0 s='123456'", "2 i=8", "3 i=9"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, i INT, s VARCHAR(8), | t NCHAR(4), ");
}

TEST_F(GrowthCoerce, LetsTheFirstOfTwoTypesWinInAChunkAndInALoad) {
  const auto done =
      admit({{"a", {}, {whole("f", 1)}}, {"a", {}, {real("f", 2)}}, {"a", {}, {real("f", 2.5)}}}, &coercing_);
  EXPECT_EQ(done.rejects, (Rejects{"2 3002"}));
  EXPECT_EQ(done.values, (Values{"0 f=1", "1 f=2"}));
  EXPECT_EQ(admit({{"a", {}, {words("f", "3")}}}, &coercing_).values, (Values{"0 f=3"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | _tag_null NCHAR(1), ");
}

TEST_F(GrowthCoerce, WidensTextsToWhatNumbersBecome) {
  admit({{"a", {}, {words("s", "x")}}}, &coercing_);
  const auto done = admit({{"a", {}, {real("s", 0.1)}}, {"a", {}, {whole("s", 1'000'000'000)}}}, &coercing_);
  EXPECT_EQ(done.values, (Values{"0 s='0.1'", "1 s='1000000000'"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, s VARCHAR(16), | _tag_null NCHAR(1), ");
}

TEST_F(GrowthCoerce, KeepsNullsAndOtherFields) {
  admit({{"a", {}, {whole("f", 1), words("s", "x")}}}, &coercing_);
  const auto done = admit(
      {{"a", {}, {null_of("f", Type::float64), whole("s", 5)}}, {"a", {}, {real("f", 4), null_of("s")}}}, &coercing_);
  EXPECT_EQ(done.values, (Values{"0 f=NULL", "0 s='5'", "1 f=4", "1 s=NULL"}));
}

TEST_F(GrowthCoerce, DeclaresNothingForRowsThatCannotBeConverted) {
  admit({{"a", {}, {whole("f", 1)}}}, &coercing_);
  const auto done = admit({{"a", {}, {real("f", 1.5), whole("fresh", 1)}}}, &coercing_);
  EXPECT_EQ(done.rejects, (Rejects{"0 3002"}));
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | _tag_null NCHAR(1), ");
}

TEST_F(GrowthCoerce, ConvertsTags) {
  catalog_.tables["m"] = {"m",
                          {column("_ts", Type::timestamp), column("f", Type::bigint)},
                          {column("n", Type::integer), column("v", Type::varchar, 2)}};
  const auto done = admit({{"a", {{"n", "12"}, {"v", "abc"}}, {whole("f", 1)}},
                           {"b", {{"n", "twelve"}, {"v", "a"}}, {whole("f", 1)}},
                           {"c", {{"n", "13"}}, {whole("f", 1)}}},
                          &coercing_);
  EXPECT_EQ(done.rejects, (Rejects{"1 3002"}));
  EXPECT_EQ(done.reasons.at(0),
            "tag 'n' is NCHAR here, but in super table 'm' it is INT, and 'twelve' cannot be converted without loss");
  EXPECT_EQ(server(), "_ts TIMESTAMP, f BIGINT, | n INT, v VARCHAR(4), ");
}

TEST_F(GrowthCoerce, NeverTurnsAnIntegerIntoATime) {
  catalog_.tables["m"] = {
      "m", {column("_ts", Type::timestamp), column("at", Type::timestamp)}, {column("t", Type::nchar, 4)}};
  EXPECT_EQ(admit({{"a", {}, {whole("at", 1)}}}, &coercing_).rejects, (Rejects{"0 3002"}));
}

TEST_F(GrowthCoerce, AdvisesTheFlagOnlyWhereItMayHelp) {
  catalog_.tables["m"] = {"m",
                          {column("_ts", Type::timestamp), column("at", Type::timestamp), column("f", Type::float64)},
                          {column("t", Type::nchar, 4)}};
  const auto done = admit({{"a", {}, {whole("at", 1)}}, {"a", {}, {whole("f", 1)}}});
  ASSERT_EQ(done.reasons.size(), 2u);
  EXPECT_EQ(done.reasons[0].find("--coerce"), std::string::npos);
  EXPECT_NE(done.reasons[1].find("--coerce"), std::string::npos);
}

TEST_F(GrowthCoerce, ConvertsRowsOfDeclaredTablesAlways) {
  catalog_.tables["m"] = {
      "m", {column("ts", Type::timestamp), column("f", Type::float64)}, {column("t", Type::nchar, 4)}};
  registry_.table("m")->declared = std::make_unique<const data::SuperTable>(
      data::SuperTable{"m", {column("ts", Type::timestamp), column("f", Type::bigint)}, {column("t", Type::nchar, 4)}});
  EXPECT_EQ(admit({{"a", {}, {whole("f", 3)}}}).values, (Values{"0 f=3"}));
}

TEST_F(GrowthCoerce, ConvertsAlsoWhereALimitIsMet) {
  admit({{"a", {}, {whole("f", 1)}}}, &coercing_);
  const auto done = admit({{"a", {}, {words("s", std::string(65'517, 'x')), whole("f", 1)}},
                           {"a", {}, {real("f", 2)}},
                           {"a", {}, {words("s", "x"), real("f", 3)}},
                           {"a", {}, {words("s", "x"), real("f", 3.5)}}},
                          &coercing_);
  EXPECT_EQ(done.rejects, (Rejects{"0 263E", "3 3002"}));
  EXPECT_EQ(done.values, (Values{"1 f=2", "2 s='x'", "2 f=3"}));
}

TEST_F(GrowthCoerce, PlansAgainWhenAnotherLoaderChoseAnotherType) {
  bool once = true;
  catalog_.before_change = [&] {
    if (!std::exchange(once, false)) return;
    catalog_.tables["m"] = {
        "m", {column("_ts", Type::timestamp), column("f", Type::float64)}, {column("t", Type::nchar, 4)}};
  };
  EXPECT_EQ(admit({{"a", {{"t", "xy"}}, {whole("f", 1)}}}, &coercing_).values, (Values{"0 f=1"}));
}

}  // namespace
}  // namespace penstock::schema
