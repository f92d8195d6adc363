#include "simd/json.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace penstock::simd {
namespace {

using Kind = JsonRecord::Kind;

/// Ends exactly where its allocation ends: ASan sees a read past it.
struct Placed {
  explicit Placed(std::string_view text) : bytes(new char[text.size()]), size(text.size()) {
    std::memcpy(bytes.get(), text.data(), size);
  }
  [[nodiscard]] std::string_view text() const { return {bytes.get(), size}; }
  std::unique_ptr<char[]> bytes;
  std::size_t size;
};

std::string padded_with_members(std::string_view tail, std::size_t before) {
  return R"({"a":")" + std::string(before, 'x') + R"(",)" + std::string(tail);
}

/// All records of a text: "o:" objects, "b:" broken ones.
std::vector<std::string> records(std::string_view text) {
  std::vector<std::string> found;
  for (;;) {
    const auto record = next_json_record(text, true);
    if (record.kind == Kind::none) return found;
    found.push_back((record.kind == Kind::object ? "o:" : "b:") +
                    std::string(text.substr(record.begin, record.end - record.begin)));
    EXPECT_GT(record.end, record.begin);
    text.remove_prefix(record.end);
  }
}

TEST(JsonEnds, TwinsAgreeOnHostileText) {
  const auto avx2 = json_object_end_avx2();
  if (avx2 == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  std::mt19937 random(3);
  // Likely pieces and single hostile bytes: runs of backslashes, quotes and braces across block borders.
  const std::vector<std::string> pieces{"{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"",
                                        "\\",
                                        ",",
                                        ":",
                                        "a",
                                        "\n",
                                        " ",
                                        "\\\\",
                                        "\\\"",
                                        "\"a\"",
                                        "\"k\":",
                                        "{\"k\":",
                                        "xxxxxxxxxxxxxxxxxxxxxxxx",
                                        std::string(1, '\0'),
                                        "\x80"};
  std::size_t whole = 0, broken = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = "{";
    const std::size_t size = random() % 200;
    while (text.size() < size) text += pieces[random() % pieces.size()];
    const Placed placed(text);
    const auto expected = json_object_end_scalar(placed.text());
    ASSERT_EQ(avx2(placed.text()), expected) << text;
    whole += expected.kind == JsonEnd::Kind::whole;
    broken += expected.kind == JsonEnd::Kind::broken;
  }
  EXPECT_GT(whole, 1000u);
  EXPECT_GT(broken, 1000u);
}

TEST(JsonEnds, FollowStringsEscapesAndBracesAtAnyPlaceOfABlock) {
  for (const auto end : {&json_object_end_scalar, json_object_end_avx2()}) {
    if (end == nullptr) continue;
    for (std::size_t before = 0; before < 140; ++before) {
      const auto text = padded_with_members(R"("b":"}\\\"{","c":{"d":[{"e":1},{"f":2}]}})", before);
      EXPECT_EQ(end(text + "trailing}"), (JsonEnd{JsonEnd::Kind::whole, text.size()})) << before;
      for (std::size_t cut = 1; cut < text.size(); ++cut)
        EXPECT_EQ(end(std::string_view(text).substr(0, cut)).kind, JsonEnd::Kind::open) << before << " " << cut;
      const auto lost_quote = padded_with_members(R"("b":"x,"c":1})", before);
      EXPECT_EQ(end(lost_quote), (JsonEnd{JsonEnd::Kind::broken, lost_quote.size() - 5})) << before;
      const auto lost_brace = padded_with_members("\"b\":{\"c\":1},\n {\"d\":1}", before);
      EXPECT_EQ(end(lost_brace), (JsonEnd{JsonEnd::Kind::broken, lost_brace.size() - 7})) << before;
    }
  }
}

TEST(JsonEnds, DepthIsBounded) {
  for (const auto end : {&json_object_end_scalar, json_object_end_avx2()}) {
    if (end == nullptr) continue;
    for (const std::size_t depth : {kMostJsonDepth, kMostJsonDepth + 1}) {
      std::string text;
      for (std::size_t i = 0; i < depth; ++i) text += R"({"a":)";
      text += "1" + std::string(depth, '}');
      if (depth == kMostJsonDepth) EXPECT_EQ(end(text), (JsonEnd{JsonEnd::Kind::whole, text.size()}));
      else EXPECT_EQ(end(text), (JsonEnd{JsonEnd::Kind::broken, (depth - 1) * 5}));
    }
  }
  // Half objects, each of which could hold all that follow: seconds, not hours.
  std::string half;
  while (half.size() < 60'000) half += "{\"a\":\n";
  EXPECT_EQ(records(half).size(), half.size() / 6);
}

TEST(JsonRecords, AreFoundInEveryLayoutOfAFile) {
  const std::string a = R"({"m":"a","t":{"x":"]},{"}})", b = R"({"m":"b\\"})";
  const std::vector<std::string> both{"o:" + a, "o:" + b};
  for (const std::string& text :
       {"[" + a + "," + b + "]", a + b, a + "\n" + b + "\n", a + "\r\n" + b + "\r\n", "[" + a + "][" + b + "]",
        "[" + a + "]\n[" + b + "]\n", "[\n  " + a + ",\n  " + b + ",\n]\n", a + "," + b, " \t\n" + a + " " + b,
        "[" + a + "\n," + b})
    EXPECT_EQ(records(text), both) << text;
  for (const char* const text : {"", " ", "[]", "[ ]\n[]", ",,"}) EXPECT_TRUE(records(text).empty()) << text;
}

TEST(JsonRecords, ABrokenOneEndsWhereTheNextSeemsToStart) {
  const std::string good = R"({"m":"g","t":{"x":"y"}})";
  const std::vector<std::string> bad{
      R"({"m":"b,"t":{"x":"y"}})",      // a quote lost
      R"({"m":b","t":{"x":"y"}})",      // an opening quote lost
      R"({"m":"b","t":{"x":"y"})",      // a brace lost
      R"({"m":"b","t":{"x":"y)",        // half a record
      R"({"m":"b","t":)",               //
      R"({"m)",                         //
      R"(half a line of "something")",  //
      R"(})",
  };
  for (const auto& text : bad) {
    const std::vector<std::string> expected{"o:" + good, "b:" + text, "o:" + good, "o:" + good};
    EXPECT_EQ(records(good + "\n" + text + "\n" + good + "\n" + good + "\n"), expected) << text;
    // At the end there is nothing behind that could mend it.
    EXPECT_EQ(records(good + "\n" + text).back(), "b:" + text) << text;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const std::vector<std::string> expected{"o:" + good, "b:" + bad[i], "o:" + good, "o:" + good};
    EXPECT_EQ(records("[" + good + "," + bad[i] + "," + good + "," + good + "]"), expected) << bad[i];
  }
  EXPECT_EQ(records("[" + good + R"(,5,null,"a,b",)" + good + "]"),
            (std::vector<std::string>{"o:" + good, "b:5", "b:null", "b:\"a,b\"", "o:" + good}));
}

TEST(JsonRecords, ADecisionOnceMadeStands) {
  std::mt19937 random(5);
  const std::vector<std::string> pieces{
      R"({"m":"a","t":{"x":1}})", R"({"m":"a)", "\n", ",", "[", "]", "}", "{", "\"", " ", "x", ":", R"("k":)", "\\"};
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    while (text.size() < 60) text += pieces[random() % pieces.size()];
    const auto all = next_json_record(text, true);
    for (std::size_t size = 0; size < text.size(); ++size) {
      const auto early = next_json_record(std::string_view(text).substr(0, size), false);
      if (early.kind == Kind::need_more || early.kind == Kind::none) continue;
      ASSERT_EQ(early.kind, all.kind) << text << " " << size;
      ASSERT_EQ(early.begin, all.begin) << text << " " << size;
      ASSERT_EQ(early.end, all.end) << text << " " << size;
    }
  }
}

}  // namespace
}  // namespace penstock::simd
