#include "format/guess.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock::format {
namespace {

std::string guessed(std::string_view name, std::string_view head) {
  const auto guess = guess_format(name, head);
  EXPECT_EQ(guess.format.has_value(), !guess.why.empty());
  return guess.format ? std::string(format_name(*guess.format)) : "none";
}

TEST(Guess, TellsPointsOfOpenTsdbFromOtherObjects) {
  const std::string point = R"({"metric":"m","timestamp":1626006833,"value":1,"tags":{"t":"a"}})";
  const std::string event = R"({"ts":"2024-01-01T00:00:00Z","metric":"cpu","host":{"name":"a"},"load":0.5})";
  for (const std::string& text :
       {point, point + "\n" + point, "[" + point + "]", "[\n  " + point + ",\n", point + point, "\xEF\xBB\xBF" + point,
        " \n\t\n" + point, "{\"metric\":\"broken\n" + point,
        std::string(R"({"Tags":{"t":"a"},"Value":1,"metric":"m","timestamp":5})"),
        std::string("{\n \"metric\": \"m\",\n \"times")})
    EXPECT_EQ(guessed("x", text), "json") << text;
  for (const std::string& text : {event, event + "\n" + event, "[" + event + "," + event + "]", "\r\n  " + event,
                                  std::string("{\"half"), "{\"broken\n" + event})
    EXPECT_EQ(guessed("x", text), "ndjson") << text;
  EXPECT_EQ(guessed("x", "[]"), "json");
}

TEST(Guess, LooksAtTheNameWhereTheTextIsSilent) {
  EXPECT_EQ(guessed("a.json.gz", ""), "json");
  EXPECT_EQ(guessed("a.ndjson", ""), "ndjson");
  EXPECT_EQ(guessed("a.jsonl.zst", ""), "ndjson");
  EXPECT_EQ(guessed("a.lp", ""), "line");
  EXPECT_EQ(guessed("a.csv", ""), "csv");
  EXPECT_EQ(guessed("a", ""), "none");
  EXPECT_EQ(guessed("a.json", "m,t=a f=1 1626006833000000000\n"), "line");
}

TEST(Guess, TakesBracketsAtTheStartOfOtherFormatsForWhatTheyAre) {
  EXPECT_EQ(guessed("x", "[m],t=a f=1 1626006833000000000\n"), "line");
  EXPECT_EQ(guessed("x", "[m] 1626006833 1 host=a\n"), "telnet");
}

}  // namespace
}  // namespace penstock::format
