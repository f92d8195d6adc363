#include "client/detail/rest_answer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "base/error.h"
#include "client/detail/rest_time.h"
#include "client/value.h"
#include "wire/block.h"

namespace penstock::client::detail {
namespace {

std::string body(std::string_view meta, std::string_view data, std::size_t rows) {
  return fmt::format(R"({{"code":0,"column_meta":[{}],"data":[{}],"rows":{}}})", meta, data, rows);
}

// All cells as text, row by row.
std::vector<std::vector<std::string>> read_all(RestAnswer& answer) {
  std::vector<std::vector<std::string>> rows;
  for (;;) {
    const auto bytes = answer.next_block();
    if (bytes.empty()) return rows;
    const auto block = wire::Block::decode(bytes);
    EXPECT_EQ(block.columns(), answer.fields().size());
    for (std::uint32_t r = 0; r < block.rows(); ++r) {
      auto& row = rows.emplace_back();
      for (std::uint32_t c = 0; c < block.columns(); ++c)
        row.push_back(block.is_null(r, c) ? "NULL" : block.text(r, c));
    }
  }
}

std::vector<std::vector<std::string>> read_all(const std::string& text) {
  RestAnswer answer(text);
  EXPECT_EQ(answer.kind(), RestAnswer::Kind::result) << text;
  return read_all(answer);
}

std::string one(std::string_view type, std::string_view cell) {
  return read_all(body(fmt::format(R"(["c","{}",100])", type), fmt::format("[{}]", cell), 1)).at(0).at(0);
}

TEST(RestAnswer, EveryTypeWithItsExtremes) {
  struct Case {
    std::string_view type, cell, text;
  };
  for (const Case& c : std::vector<Case>{
           {"BOOL", "true", "true"},
           {"BOOL", "false", "false"},
           {"TINYINT", "-128", "-128"},
           {"SMALLINT", "32767", "32767"},
           {"INT", "-2147483648", "-2147483648"},
           {"BIGINT", "-9223372036854775808", "-9223372036854775808"},
           {"BIGINT", "9007199254740993", "9007199254740993"},
           {"TINYINT UNSIGNED", "255", "255"},
           {"SMALLINT UNSIGNED", "65535", "65535"},
           {"INT UNSIGNED", "4294967295", "4294967295"},
           {"BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615"},
           {"FLOAT", "0.1", "0.1"},
           {"FLOAT", "3.4028235e+38", "3.4028235e+38"},
           {"FLOAT", "1e-45", "1e-45"},
           {"FLOAT", "16777216", "16777216"},
           {"FLOAT", "-0", "-0"},
           {"DOUBLE", "1.7976931348623157e+308", "1.7976931348623157e+308"},
           {"DOUBLE", "5e-324", "5e-324"},
           {"DOUBLE", "null", "NULL"},  // NaN and infinities
           {"VARCHAR", R"("a\"\\\n\u0001é北😀")", "a\"\\\n\x01é北😀"},
           {"VARCHAR", R"("\ud83d\ude00\ud800x\udc00\u00e9\u4eac\/\b\f\r\t")", "😀\uFFFDx\uFFFDé京/\b\f\r\t"},
           {"VARCHAR", R"("")", ""},
           {"NCHAR", R"("北京")", "北京"},
           {"VARBINARY", R"("00ff10")", std::string_view("\x00\xff\x10", 3)},
           {"VARBINARY", R"("")", ""},
           {"BLOB", R"("CAfe")", "\xca\xfe"},
           {"GEOMETRY", R"("0101")", "\x01\x01"},
           {"JSON", R"({"k":1,"s":"a<b>","n":null,"o":{"x":[1,2]}})", R"({"k":1,"s":"a<b>","n":null,"o":{"x":[1,2]}})"},
           {"JSON", "1.000000000", "1.000000000"},
           {"JSON", R"("text")", R"("text")"},
           {"DECIMAL(10,2)", R"x("-98765.43")x", "-98765.43"},
           {"DECIMAL(18,0)", R"x("999999999999999999")x", "999999999999999999"},
           {"DECIMAL(38,10)", R"x("-1234567890123456789012345678.0123456789")x",
            "-1234567890123456789012345678.0123456789"},
           {"DECIMAL(38,4)", R"x("0.0000")x", "0.0000"},
           {"TIMESTAMP", R"("2023-11-14T22:13:20.000Z")", "1700000000000"},
           {"VARCHAR", "null", "NULL"},
           {"JSON", "null", "NULL"},
           {"DECIMAL(10,2)", "null", "NULL"},
           {"TIMESTAMP", "null", "NULL"},
           {"NULL", "null", "NULL"}}) {
    EXPECT_EQ(one(c.type, c.cell), c.text) << c.type << ' ' << c.cell;
  }
}

TEST(RestAnswer, CellsThatAreNoneOfTheirTypeAreRefused) {
  for (const auto& [type, cell] : std::vector<std::pair<std::string, std::string>>{{"BOOL", "1"},
                                                                                   {"TINYINT", "128"},
                                                                                   {"TINYINT", "1.5"},
                                                                                   {"TINYINT", "\"1\""},
                                                                                   {"BIGINT", "9223372036854775808"},
                                                                                   {"BIGINT UNSIGNED", "-1"},
                                                                                   {"FLOAT", "\"x\""},
                                                                                   {"DOUBLE", "{}"},
                                                                                   {"DOUBLE", "1e"},
                                                                                   {"VARCHAR", "1"},
                                                                                   {"VARBINARY", "\"0\""},
                                                                                   {"VARBINARY", "\"0g\""},
                                                                                   {"DECIMAL(4,2)", "\"x\""},
                                                                                   {"DECIMAL(4,2)", "\"123.45\""},
                                                                                   {"TIMESTAMP", "1700000000000"},
                                                                                   {"TIMESTAMP", "\"2023-11-14\""},
                                                                                   {"INT", "[]"},
                                                                                   {"DOUBLE", "nan"},
                                                                                   {"DOUBLE", "-inf"},
                                                                                   {"VARCHAR", R"("\u12")"},
                                                                                   {"VARCHAR", R"("\x41")"},
                                                                                   {"JSON", "[1}"},
                                                                                   {"JSON", std::string(2'000, '[')},
                                                                                   {"BOOL", "nul"}}) {
    EXPECT_THROW(one(type, cell), Error) << type << ' ' << cell;
  }
}

TEST(RestAnswer, TimesOfEveryForm) {
  const auto ticks = [](std::string_view text, const TimeZone* zone = nullptr) -> std::string {
    const auto time = read_printed_time(text, zone);
    return time ? fmt::format("{} {}", time->ticks, data::precision_name(time->precision)) : "none";
  };
  EXPECT_EQ(ticks("1970-01-01T00:00:00.000Z"), "0 ms");
  EXPECT_EQ(ticks("1969-12-31T23:59:59.999Z"), "-1 ms");
  EXPECT_EQ(ticks("1969-12-31T23:59:59.000Z"), "-1000 ms");
  EXPECT_EQ(ticks("2023-11-15T06:13:20.000001+08:00"), "1700000000000001 us");
  EXPECT_EQ(ticks("2023-11-14T18:43:20.000000001-03:30"), "1700000000000000001 ns");
  EXPECT_EQ(ticks("10000-01-01T00:00:00.000Z"), "253402300800000 ms");
  EXPECT_EQ(ticks("0000-12-31T23:59:59.999Z"), "-62135596800001 ms");
  EXPECT_EQ(ticks("-0001-01-01T00:00:00.000Z"), "-62198755200000 ms");
  EXPECT_EQ(ticks("2262-04-11T23:47:16.854775807Z"), "9223372036854775807 ns");
  EXPECT_EQ(ticks("1677-09-21T00:12:43.145224192Z"), "-9223372036854775808 ns");
  for (const char* wrong :
       {"", "2023", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.00Z", "2023-11-14T22:13:20.0000Z",
        "2023-13-14T22:13:20.000Z", "2023-11-32T22:13:20.000Z", "2023-11-14T24:13:20.000Z", "2023-11-14T22:60:20.000Z",
        "2023-11-14 22:13:20.000Z", "2023-11-14T22:13:20.000", "2023-11-14T22:13:20.000+08",
        "2023-11-14T22:13:20.000+0800", "2023-11-14T22:13:20.000Zx", "2262-04-11T23:47:16.854775808Z",
        "1677-09-21T00:12:43.145224191Z", "999999999999-01-01T00:00:00.000000000Z", "+2023-11-14T22:13:20.000Z"})
    EXPECT_EQ(ticks(wrong), "none") << wrong;
  // Before 1901 Shanghai was 08:05:43 ahead, of which the text says 08:05.
  const auto shanghai = TimeZone::load("Asia/Shanghai");
  EXPECT_EQ(ticks("1900-01-01T08:05:43.000+08:05", shanghai.get()), "-2208988800000 ms");
  EXPECT_EQ(ticks("2023-11-15T06:13:20.000+08:00", shanghai.get()), "1700000000000 ms");
}

TEST(RestAnswer, ThePrecisionIsThatOfTheFirstTime) {
  RestAnswer late(body(R"(["a","INT",4],["t","TIMESTAMP",8])",
                       R"([1,null],[2,"2023-11-14T22:13:20.000000001Z"],[3,"2023-11-14T22:13:20.000000002Z"])", 3));
  EXPECT_EQ(late.precision(), data::Precision::nanoseconds);
  EXPECT_EQ(read_all(late).at(2).at(1), "1700000000000000002");
  RestAnswer never(body(R"(["t","TIMESTAMP",8])", "[null],[null]", 2));
  EXPECT_EQ(never.precision(), data::Precision::milliseconds);
  EXPECT_EQ(read_all(never).size(), 2U);
  RestAnswer two(body(R"(["t","TIMESTAMP",8])", R"(["2023-11-14T22:13:20.000Z"],["2023-11-14T22:13:20.000001Z"])", 2));
  EXPECT_THROW(read_all(two), Error);
}

TEST(RestAnswer, BytesThatAreNotUtf8StayAsTheyAre) {
  const std::string odd = "\xff\xfe\x80 \xc3(\xe5\x8c\xf0\x9f\x98\xed\xa0\x80\xf5";
  // And characters that stand for such bytes within, so that others have to be taken.
  const std::string taken = "\xf4\x8f\x80\x80\xf4\x8f\x81\x81\xf4\x8f\x84\x80";
  const auto answer =
      read_all(body(R"(["a)" + odd + R"(","VARCHAR",20],["j","JSON",4095],["t","TIMESTAMP",8])",
                    "[\"" + odd + taken + "\\n北\",{\"k\":\"" + odd + "\"},\"2023-11-14T22:13:20.000Z\"]", 1));
  EXPECT_EQ(answer.at(0).at(0), odd + taken + "\n北");
  EXPECT_EQ(answer.at(0).at(1), "{\"k\":\"" + odd + "\"}");
  EXPECT_EQ(answer.at(0).at(2), "1700000000000");
  RestAnswer refusal("{\"code\":9728,\"desc\":\"near " + odd + "\",\"timing\":1}");
  EXPECT_EQ(refusal.kind(), RestAnswer::Kind::refusal);
  EXPECT_EQ(refusal.message(), "near " + odd);
}

TEST(RestAnswer, LargeResultsComeInBlocks) {
  std::string data;
  for (int i = 0; i < 10'000; ++i) data += fmt::format("{}[{},\"{}\"]", i == 0 ? "" : ",", i, i % 7);
  RestAnswer answer(body(R"(["v","INT",4],["s","VARCHAR",10])", data, 10'000));
  std::vector<std::uint32_t> blocks;
  std::uint32_t next = 0;
  for (std::string bytes; !(bytes = answer.next_block()).empty();) {
    const auto block = wire::Block::decode(bytes);
    blocks.push_back(block.rows());
    for (std::uint32_t r = 0; r < block.rows(); ++r) ASSERT_EQ(block.integer(r, 0), next++);
  }
  EXPECT_EQ(blocks, (std::vector<std::uint32_t>{4096, 4096, 1808}));
  EXPECT_EQ(answer.next_block(), "");
  // Long cells end a block earlier.
  const std::string cell = "[\"" + std::string(60'000, 'x') + "\"]";
  data = cell;
  for (int i = 1; i < 200; ++i) data += ',' + cell;
  RestAnswer wide(body(R"(["s","VARCHAR",60000])", data, 200));
  const auto first = wire::Block::decode(wide.next_block()).rows();
  EXPECT_LT(first, 100U);
  EXPECT_EQ(first + read_all(wide).size(), 200U);
}

TEST(RestAnswer, TellsWhatItIs) {
  EXPECT_EQ(RestAnswer(R"("memory exceeds threshold")").kind(), RestAnswer::Kind::text);
  EXPECT_EQ(RestAnswer(R"("memory exceeds threshold")").message(), "memory exceeds threshold");
  EXPECT_EQ(RestAnswer(R"({"code":855,"desc":"Authentication failure","timing":1})").code(), 855);
  EXPECT_EQ(RestAnswer(R"({"code":-2147482781,"desc":"x"})").code(), 0x0363);
  for (const char* foreign : {"", "<html>", "404 page not found", "[]", "{}", "null", R"({ "code":"x"})", "17", "{"}) {
    const RestAnswer answer(foreign);
    EXPECT_EQ(answer.kind(), RestAnswer::Kind::foreign) << foreign;
    EXPECT_EQ(answer.body(), foreign);
  }
  RestAnswer update(body(R"(["affected_rows","INT",4])", "[3]", 1));
  EXPECT_EQ(update.affected_rows(), 3);
  RestAnswer other(body(R"(["affected_rows","BIGINT",8])", "[3]", 1));
  EXPECT_EQ(other.affected_rows(), std::nullopt);
  EXPECT_EQ(read_all(other).size(), 1U);
}

const std::string& sample() {
  static const std::string text = body(
      R"x(["ts","TIMESTAMP",8],["v","INT",4],["f","FLOAT",4],["s","VARCHAR",10],["j","JSON",4095],["d","DECIMAL(10,2)",8],["b","VARBINARY",4])x",
      R"(["2023-11-14T22:13:20.000Z",1,0.5,"a\n",{"k":[1,"x"]},"1.50","00ff"],[null,null,null,null,null,null,null])",
      2);
  return text;
}

TEST(RestAnswer, NoPartOfAnAnswerPassesForOne) {
  ASSERT_EQ(read_all(sample()).size(), 2U);
  std::size_t refused = 0, foreign = 0;
  for (std::size_t size = 0; size < sample().size(); ++size) {
    try {
      RestAnswer answer(sample().substr(0, size));
      if (answer.kind() != RestAnswer::Kind::result) {
        ++foreign;
        continue;
      }
      read_all(answer);
      // The last brace says nothing any more.
      EXPECT_EQ(size, sample().size() - 1) << sample().substr(0, size);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::protocol);
      ++refused;
    }
  }
  EXPECT_GT(refused, sample().size() / 3);
  EXPECT_LE(refused + foreign, sample().size());
  for (const auto* wrong :
       {R"({"code":0,"column_meta":[["c","INT",4]],"data":[[1]],"rows":2})",
        R"({"code":0,"column_meta":[["c","INT",4]],"data":[[1],[2]],"rows":1})",
        R"({"code":0,"column_meta":[["c","INT",4]],"data":[[1,2]],"rows":1})",
        R"({"code":0,"column_meta":[["c","INT",4]],"data":[[]],"rows":1})",
        R"({"code":0,"column_meta":[["c","INT",4]],"data":[1],"rows":1})",
        R"({"code":0,"column_meta":[["c","INT",4]],"rows":0})", R"({"code":0,"column_meta":[],"data":[],"rows":0})",
        R"({"code":0,"column_meta":[["c","INT"]],"data":[],"rows":0})",
        R"({"code":0,"column_meta":[["c","ODD",4]],"data":[],"rows":0})",
        R"x({"code":0,"column_meta":[["c","DECIMAL(0,0)",4]],"data":[],"rows":0})x",
        R"x({"code":0,"column_meta":[["c","DECIMAL(4,5)",4]],"data":[],"rows":0})x",
        R"({"code":0,"column_meta":[["c","INT",-4]],"data":[],"rows":0})",
        R"({"code":0,"column_meta":[["c","INT",4]],"data":[]})"})
    EXPECT_THROW(read_all(std::string(wrong)), Error) << wrong;
}

TEST(RestAnswer, DamageIsNoCrash) {
  std::size_t read = 0;
  for (std::size_t at = 0; at < sample().size(); ++at) {
    for (const char c : {'\0', '"', '[', ']', '{', '}', ',', '\\', '\xff', '9', '-'}) {
      auto text = sample();
      text[at] = c;
      try {
        RestAnswer answer(text);
        if (answer.kind() == RestAnswer::Kind::result) read += read_all(answer).size();
      } catch (const Error&) {
        // Said what is wrong.
      }
    }
  }
  EXPECT_GT(read, 100U) << "some damage is in texts";
}

TEST(RestAnswer, RandomDamageIsNoCrash) {
  constexpr std::array<std::string_view, 16> kPieces{"null",
                                                     "\"",
                                                     "[",
                                                     "]",
                                                     "{",
                                                     "}",
                                                     ",",
                                                     ":",
                                                     "\\u0000",
                                                     "\\ud800",
                                                     "\xed\xa0",
                                                     "1e999",
                                                     "-",
                                                     "\"data\":[[",
                                                     "18446744073709551616",
                                                     "\"TIMESTAMP\""};
  std::mt19937_64 random(7);
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  std::size_t results = 0, refused = 0;
  for (int run = 0; run < 20'000; ++run) {
    auto text = sample();
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
      const auto at = below(text.size());
      switch (below(4)) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.insert(at, kPieces[below(kPieces.size())]); break;
        case 2: text.erase(at, 1 + below(8)); break;
        default: text.replace(at, 1 + below(8), kPieces[below(kPieces.size())]);
      }
    }
    try {
      RestAnswer answer(text);
      if (answer.kind() != RestAnswer::Kind::result) continue;
      read_all(answer);
      ++results;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::protocol) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(results, 100U);
  EXPECT_GT(refused, 10'000U);
}

}  // namespace
}  // namespace penstock::client::detail
