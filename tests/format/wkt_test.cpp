#include "format/wkt.h"

#include <gtest/gtest.h>

#include <random>

namespace penstock::format {
namespace {

std::string hex_of(std::string_view text) {
  std::string wkb = "before";
  if (const char* const wrong = wkt_to_wkb(text, wkb)) {
    EXPECT_EQ(wkb, "before");
    return std::string("! ") + wrong;
  }
  std::string hex;
  for (const char c : wkb.substr(6)) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

const std::string kOneTwo = "000000000000f03f0000000000000040";
const std::string kThreeFour = "00000000000008400000000000001040";

// The first seven are what a TDengine 3.3.7.5 stored.
TEST(Wkt, WritesTheServersBytes) {
  EXPECT_EQ(hex_of("POINT(1 2)"), "0101000000" + kOneTwo);
  EXPECT_EQ(hex_of("point(4.343 89.342)"), "0101000000ac1c5a643b5f1140d9cef753e3555640");
  EXPECT_EQ(hex_of("LINESTRING(1.0 1.0, 2.0 2.0)"),
            "010200000002000000000000000000f03f000000000000f03f00000000000000400000000000000040");
  EXPECT_EQ(
      hex_of("POLYGON((1.0 1.0,3.0 1.0,1.0 3.0,1.0 1.0))"),
      "01030000000100000004000000000000000000f03f000000000000f03f0000000000000840000000000000f03f000000000000f03f0000"
      "000000000840000000000000f03f000000000000f03f");
  EXPECT_EQ(hex_of("POINT EMPTY"), "0101000000000000000000f87f000000000000f87f");
  EXPECT_EQ(hex_of("MULTIPOINT((1 2),(3 4))"), "0104000000020000000101000000" + kOneTwo + "0101000000" + kThreeFour);
  EXPECT_EQ(hex_of("POINT Z(1 2 3)"), "0101000000" + kOneTwo);
}

TEST(Wkt, ReadsTheOtherForms) {
  EXPECT_EQ(hex_of("  POINT ( 1   2 ) "), "0101000000" + kOneTwo);
  EXPECT_EQ(hex_of("POINTZ(1 2 3)"), "0101000000" + kOneTwo);
  EXPECT_EQ(hex_of("POINT ZM (1e0 2.0 3 4)"), "0101000000" + kOneTwo);
  EXPECT_EQ(hex_of("MULTIPOINT(1 2, 3 4)"), hex_of("MULTIPOINT((1 2),(3 4))"));
  EXPECT_EQ(hex_of("LINESTRING EMPTY"), "010200000000000000");
  EXPECT_EQ(hex_of("POLYGON EMPTY"), "010300000000000000");
  EXPECT_EQ(hex_of("MULTILINESTRING((1 2,3 4))"), "010500000001000000010200000002000000" + kOneTwo + kThreeFour);
  EXPECT_EQ(hex_of("MULTIPOLYGON EMPTY"), "010600000000000000");
  EXPECT_EQ(hex_of("GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(1 2,3 4))"),
            "010700000002000000" + hex_of("POINT(1 2)") + hex_of("LINESTRING(1 2,3 4)"));
}

TEST(Wkt, TextOfAnImageReadsBackToIt) {
  for (const char* text :
       {"POINT (1 2)", "POINT EMPTY", "LINESTRING (0.1 -2.5e-300, 3 4)", "LINESTRING EMPTY", "POLYGON EMPTY",
        "POLYGON ((1 1, 3 1, 1 3, 1 1), (1.5 1.5, 2 1.5, 1.5 2, 1.5 1.5))", "MULTIPOINT ((1 2), (3 4))",
        "MULTILINESTRING ((1 2, 3 4), (5 6, 7 8))", "MULTIPOLYGON (((1 1, 3 1, 1 3, 1 1)))",
        "GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (1 2, 3 4))", "GEOMETRYCOLLECTION EMPTY"}) {
    std::string wkb, back;
    ASSERT_EQ(wkt_to_wkb(text, wkb), nullptr) << text;
    ASSERT_TRUE(wkb_to_wkt(wkb, back)) << text;
    EXPECT_EQ(back, text);
    for (std::size_t cut = 0; cut < wkb.size(); ++cut) {
      EXPECT_FALSE(wkb_to_wkt(std::string_view(wkb).substr(0, cut), back)) << text << " cut at " << cut;
      EXPECT_EQ(back, text) << "what was there is left alone";
    }
  }
  std::string wkb, text;
  wkt_to_wkb("POINT(1 0.1)", wkb);
  ASSERT_TRUE(wkb_to_wkt(wkb, text, WktNumbers::six_digits));
  EXPECT_EQ(text, "POINT (1.000000 0.100000)");
}

TEST(Wkt, RefusesWhatIsNoGeometry) {
  for (const char* text :
       {"", "garbage", "POINT", "POINT(1)", "POINT(1 2", "POINT(1 2))", "POINT(1 2 3 4 5)", "POINT(a b)",
        "POINT(nan 1)", "POINT(1 2) x", "POLYGON((1 1,3 1,1 3))", "POLYGON((1 1,3 1,1 1))", "LINESTRING(1 1)",
        "LINESTRING()", "POLYGON(1 1,2 2)", "GEOMETRYCOLLECTION(1 2)", "POINT(1 1e999)"})
    EXPECT_EQ(hex_of(text).substr(0, 1), "!") << text;
}

TEST(Wkt, SurvivesDeepNestingAndNoise) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "GEOMETRYCOLLECTION(";
  EXPECT_EQ(hex_of(deep).substr(0, 1), "!");
  const std::string seed =
      "GEOMETRYCOLLECTION(POINT Z(1 2 3),MULTIPOLYGON(((1 1,2 2,3 3,1 1)),EMPTY),LINESTRING(1 2,3 4))";
  std::mt19937 random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = seed;
    for (auto n = random() % 4 + 1; n > 0; --n) text[random() % text.size()] = "(),. 1eEMPTYZ\0-"[random() % 15];
    text.resize(random() % text.size() + 1);
    std::string wkb;
    wkt_to_wkb(std::string(text), wkb);
  }
}

}  // namespace
}  // namespace penstock::format
