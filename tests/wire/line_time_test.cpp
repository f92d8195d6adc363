#include "wire/line_time.h"

#include <gtest/gtest.h>

namespace penstock::wire {
namespace {

using Kind = LineTime::Kind;

struct Case {
  const char* name;
  LineProtocol protocol;
  std::string_view record;
  Kind kind;
  std::string_view stamped = {};  // with "<T>" where the time belongs; of `given` empty
};

class LineTimes : public testing::TestWithParam<Case> {};

TEST_P(LineTimes, AreFoundAsTheServerReadsThem) {
  const auto& c = GetParam();
  const auto found = find_line_time(c.protocol, c.record);
  ASSERT_EQ(static_cast<int>(found.kind), static_cast<int>(c.kind)) << c.record;
  if (c.kind == Kind::given) return;
  ASSERT_LE(found.begin, found.end);
  ASSERT_LE(found.end, c.record.size());
  std::string stamped(c.record.substr(0, found.begin));
  stamped += "<T>";
  stamped += c.record.substr(found.end);
  EXPECT_EQ(stamped, c.stamped);
}

constexpr auto kLine = LineProtocol::line;
constexpr auto kTelnet = LineProtocol::telnet;
constexpr auto kJson = LineProtocol::json;

INSTANTIATE_TEST_SUITE_P(
    All, LineTimes,
    testing::Values(Case{"given", kLine, "m,t=1 f=1 1626006833639000000", Kind::given},
                    Case{"missing", kLine, "m,t=1 f=1", Kind::absent, "m,t=1 f=1<T>"},
                    Case{"missing_behind_blanks", kLine, " m  f=1,g=2   ", Kind::absent, " m  f=1,g=2<T>   "},
                    Case{"zero", kLine, "m f=1 0", Kind::now, "m f=1 <T>"},
                    Case{"zero_and_more", kLine, "m f=1 0 junk", Kind::now, "m f=1 <T> junk"},
                    Case{"zero_and_tab", kLine, "m f=1 0\tjunk", Kind::now, "m f=1 <T>\tjunk"},
                    Case{"two_zeros_are_an_error", kLine, "m f=1 00", Kind::given},
                    Case{"minus_zero_is_an_error", kLine, "m f=1 -0", Kind::given},
                    Case{"blank_in_quotes", kLine, R"(m f="a 0 b")", Kind::absent, R"(m f="a 0 b"<T>)"},
                    Case{"comma_and_equals_in_quotes", kLine, R"(m f="a, b=c d",g=1 5)", Kind::given},
                    Case{"quote_in_quotes", kLine, R"(m f="a\" 1 b")", Kind::absent, R"(m f="a\" 1 b"<T>)"},
                    Case{"backslash_before_the_quote", kLine, R"(m f="a\\" 1)", Kind::given},
                    Case{"escaped_blank_in_measurement", kLine, R"(a\ b f=1)", Kind::absent, R"(a\ b f=1<T>)"},
                    Case{"two_backslashes_escape_nothing", kLine, R"(a\\ f=1 5)", Kind::given},
                    Case{"escaped_blank_in_tag_and_field_key", kLine, R"(m,a\ b=c\ d e\ f=1)", Kind::absent,
                         R"(m,a\ b=c\ d e\ f=1<T>)"},
                    Case{"escaped_equals_in_field_key", kLine, R"(m a\="b=1 0)", Kind::now, R"(m a\="b=1 <T>)"},
                    Case{"comma_behind_the_fields", kLine, "m f=1, 5", Kind::given},
                    Case{"comma_behind_the_fields_and_no_time", kLine, "m f=1, ", Kind::absent, "m f=1,<T> "},
                    Case{"no_fields", kLine, "m,t=1", Kind::given}, Case{"nothing", kLine, "", Kind::given},
                    Case{"blanks", kLine, "   ", Kind::given},
                    Case{"open_quote", kLine, R"(m f="a 1)", Kind::absent, R"(m f="a 1<T>)"},
                    Case{"field_that_looks_like_a_tag", kLine, "m t=1 f=1", Kind::given},
                    Case{"telnet", kTelnet, "m 1479496100 1 t=a", Kind::given},
                    Case{"telnet_zero", kTelnet, "  m  0 1 t=a", Kind::now, "  m  <T> 1 t=a"},
                    Case{"telnet_ten_zeros_are_a_second", kTelnet, "m 0000000000 1 t=a", Kind::given},
                    Case{"telnet_short", kTelnet, "m", Kind::given},
                    Case{"json", kJson, R"({"metric":"m","timestamp":1479496100,"value":1,"tags":{"t":"a"}})",
                         Kind::given},
                    Case{"json_zero", kJson, R"({"metric":"m","timestamp": 0 ,"value":1,"tags":{"t":"a"}})", Kind::now,
                         R"({"metric":"m","timestamp": <T> ,"value":1,"tags":{"t":"a"}})"},
                    Case{"json_any_case", kJson, R"({"TimeStamp":0.7})", Kind::now, R"({"TimeStamp":<T>})"},
                    Case{"json_object", kJson, R"({"timestamp":{"type":"s","value":0},"value":1})", Kind::now,
                         R"({"timestamp":<T>,"value":1})"},
                    Case{"json_object_given", kJson, R"({"timestamp":{"value":5,"type":"s"},"value":0})", Kind::given},
                    Case{"json_inside_others", kJson,
                         R"({"tags":{"timestamp":0},"x":[{"timestamp":0}],"timestamp":1479496100})", Kind::given},
                    Case{"json_in_text", kJson, R"({"metric":"\"timestamp\":0,","timestamp":1479496100})", Kind::given},
                    Case{"json_one_is_not_zero", kJson, R"({"timestamp":1})", Kind::given},
                    Case{"json_text_is_an_error", kJson, R"({"timestamp":"0"})", Kind::given},
                    Case{"json_cut", kJson, R"({"timestamp":)", Kind::given},
                    Case{"json_open_text", kJson, R"({"timest)", Kind::given},
                    Case{"json_none", kJson, "{}", Kind::given}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(LineTimes, NeverLeaveTheRecord) {
  constexpr std::string_view kBytes = "m, =\\\"0f{}[]:t\t";
  std::uint32_t state = 1;
  std::string text;
  for (int i = 0; i < 20'000; ++i) {
    text.clear();
    const auto length = (state = state * 1664525 + 1013904223) >> 24 & 31;
    for (std::uint32_t k = 0; k < length; ++k)
      text += kBytes[((state = state * 1664525 + 1013904223) >> 16) % kBytes.size()];
    for (const auto protocol : {kLine, kTelnet, kJson}) {
      const auto found = find_line_time(protocol, text);
      ASSERT_LE(found.begin, found.end) << text;
      ASSERT_LE(found.end, text.size()) << text;
    }
  }
}

}  // namespace
}  // namespace penstock::wire
