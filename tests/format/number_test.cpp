#include "format/number.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <string>

namespace penstock::format {
namespace {

using data::Type;

// Text in a block that ends with the 32 bytes that the kernels may read.
struct Padded {
  explicit Padded(std::string_view text) : bytes(text) { bytes.append(32, '7'); }
  [[nodiscard]] const char* data() const { return bytes.data(); }
  std::string bytes;
};

TEST(ReadDigits, ReadsEveryLength) {
  std::string digits;
  std::uint64_t expected = 0;
  for (unsigned length = 0; length <= 19; ++length) {
    for (const char stop : {'i', ' ', '\n', ',', '.', '/', ':', '\0', '\xff', '-'}) {
      const Padded text(digits + stop);
      std::uint64_t value = 0;
      unsigned count = 0;
      EXPECT_EQ(read_digits(text.data(), value, count), text.data() + length);
      EXPECT_EQ(count, length);
      EXPECT_EQ(value, expected);
    }
    const auto next = static_cast<unsigned>((length * 7 + 1) % 10);
    digits += static_cast<char>('0' + next);
    expected = expected * 10 + next;
  }
  std::uint64_t value = 0;
  unsigned count = 0;
  read_digits(Padded("12345678901234567890i").data(), value, count);
  EXPECT_EQ(count, 20u);
  read_digits(Padded("9999999999999999999i").data(), value, count);
  EXPECT_EQ(value, 9'999'999'999'999'999'999u);
}

TEST(ReadDigits, AgreesWithTheLibraryOnRandomNumbers) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t number = random() >> (random() % 64) >> 1;
    const Padded text(std::to_string(number) + "i");
    std::uint64_t value = 0;
    unsigned count = 0;
    read_digits(text.data(), value, count);
    ASSERT_EQ(value, number);
  }
}

TEST(ReadPlainDouble, GivesTheNearestDoubleOrNothing) {
  std::mt19937_64 random(11);
  int read = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto whole = random() >> (random() % 64);
    const auto fraction = random() >> (random() % 64);
    std::string text = random() % 4 == 0 ? "-" : "";
    text += std::to_string(whole).substr(0, random() % 12 + 1);
    if (random() % 4 != 0) text += "." + std::to_string(fraction).substr(0, random() % 12);
    const Padded padded(text + " ");
    double value = 0;
    const char* const end = read_plain_double(padded.data(), value);
    if (end == nullptr) continue;
    ++read;
    ASSERT_EQ(static_cast<std::size_t>(end - padded.data()), text.size()) << text;
    const double expected = std::strtod(text.c_str(), nullptr);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(value), std::bit_cast<std::uint64_t>(expected)) << text;
  }
  EXPECT_GT(read, 100'000);
}

struct NumberCase {
  const char* text;
  Type type;  ///< null: refused
  double value = 0;
};

class ParseNumber : public testing::TestWithParam<NumberCase> {};

TEST_P(ParseNumber, FollowsTheServer) {
  const auto& expected = GetParam();
  Number number;
  const char* const wrong = parse_number(expected.text, number);
  ASSERT_EQ(wrong == nullptr, expected.type != Type::null) << expected.text << ": " << (wrong ? wrong : "accepted");
  if (wrong != nullptr) return;
  EXPECT_EQ(number.type, expected.type) << expected.text;
  double value = 0;
  if (number.type == Type::float64) value = std::bit_cast<double>(number.slot);
  else if (number.type == Type::float32) value = std::bit_cast<float>(static_cast<std::uint32_t>(number.slot));
  else if (number.type == Type::ubigint) value = static_cast<double>(number.slot);
  else value = static_cast<double>(static_cast<std::int64_t>(number.slot));
  if (std::isnan(expected.value)) EXPECT_TRUE(std::isnan(value)) << expected.text;
  else EXPECT_EQ(value, expected.value) << expected.text;
  EXPECT_EQ(std::signbit(value), std::signbit(expected.value)) << expected.text;
}

const double kNan = std::nan("");
const double kInf = HUGE_VAL;

INSTANTIATE_TEST_SUITE_P(
    Table, ParseNumber,
    testing::Values(NumberCase{"1", Type::float64, 1}, NumberCase{"-1.5e3", Type::float64, -1500},
                    NumberCase{"+.5", Type::float64, 0.5}, NumberCase{"5.", Type::float64, 5},
                    NumberCase{"-.5f64", Type::float64, -.5}, NumberCase{"0x1F", Type::float64, 31},
                    NumberCase{"0x1.8p3", Type::float64, 12}, NumberCase{"-0", Type::float64, -0.0},
                    NumberCase{"nan", Type::float64, kNan}, NumberCase{"NaN(1)", Type::float64, kNan},
                    NumberCase{"-inf", Type::float64, -kInf}, NumberCase{"+Infinity", Type::float64, kInf},
                    NumberCase{"1e999", Type::float64, kInf}, NumberCase{"1e-999", Type::float64, 0},
                    NumberCase{"inff64", Type::float64, kInf}, NumberCase{"1F64", Type::float64, 1},
                    NumberCase{"\t1", Type::float64, 1}, NumberCase{"1.25f32", Type::float32, 1.25},
                    NumberCase{"nanf32", Type::null}, NumberCase{"3.4028235e38f32", Type::null},
                    NumberCase{"127i8", Type::tinyint, 127}, NumberCase{"126.9i8", Type::tinyint, 126},
                    NumberCase{"127.9i8", Type::null}, NumberCase{"-128i8", Type::tinyint, -128},
                    NumberCase{"-128.5i8", Type::null}, NumberCase{"0xffi8", Type::null},
                    NumberCase{"1I8", Type::tinyint, 1}, NumberCase{"1e4i16", Type::smallint, 10'000},
                    NumberCase{"0x1Fi32", Type::integer, 31}, NumberCase{"1e30i32", Type::null},
                    NumberCase{"infi32", Type::null}, NumberCase{"nani8", Type::null},
                    NumberCase{"1e5i64", Type::bigint, 1}, NumberCase{"1.9i", Type::bigint, 1},
                    NumberCase{"0x1Fi64", Type::bigint, 0}, NumberCase{"nani64", Type::bigint, 0},
                    NumberCase{"007i", Type::bigint, 7}, NumberCase{"9223372036854775808i", Type::null},
                    NumberCase{"-9223372036854775808i", Type::bigint, -0x1p63},
                    NumberCase{"-9223372036854775809i", Type::null}, NumberCase{"99999999999999999999999i", Type::null},
                    NumberCase{"18446744073709551615u", Type::ubigint, 0x1p64},
                    NumberCase{"18446744073709551616u", Type::null}, NumberCase{"-1u64", Type::null},
                    NumberCase{"-0.5u64", Type::null}, NumberCase{"-0u64", Type::ubigint, 0},
                    NumberCase{"0.5u8", Type::utinyint, 0}, NumberCase{"-0.5u8", Type::null},
                    NumberCase{"255.9u8", Type::null}, NumberCase{"65535u16", Type::usmallint, 65535},
                    NumberCase{"4294967295U32", Type::uinteger, 4294967295.0}, NumberCase{"1f", Type::null},
                    NumberCase{"1f16", Type::null}, NumberCase{"1i7", Type::null}, NumberCase{"1i128", Type::null},
                    NumberCase{"1e", Type::null}, NumberCase{"1e+", Type::null}, NumberCase{"1.2.3", Type::null},
                    NumberCase{"--1", Type::null}, NumberCase{"1_000", Type::null}, NumberCase{".", Type::null},
                    NumberCase{"-", Type::null}, NumberCase{"+-1", Type::null}, NumberCase{"null", Type::null},
                    NumberCase{"i8", Type::null}, NumberCase{"1 i", Type::null}, NumberCase{"", Type::null}),
    [](const auto& param) { return fmt::format("case{}", param.index); });

TEST(ParseNumberText, TakesWhatStrtodTakes) {
  // Random short texts over the letters of numbers, compared with the C library itself.
  constexpr std::string_view kLetters = "0123456789..eE+-xXpPnaAiIfFtyY() ";
  std::mt19937 random(3);
  for (int i = 0; i < 300'000; ++i) {
    std::string text;
    for (auto length = random() % 9 + 1; length > 0; --length) text += kLetters[random() % kLetters.size()];
    char* end = nullptr;
    const double expected = std::strtod(text.c_str(), &end);
    Number number;
    const char* const wrong = parse_number(text, number);
    if (end == text.c_str() + text.size()) {
      ASSERT_EQ(wrong, nullptr) << text;
      ASSERT_EQ(number.type, Type::float64) << text;
      ASSERT_EQ(number.slot, data::slot_of(expected)) << text;
    } else if (wrong == nullptr) {
      ASSERT_NE(end, text.c_str()) << text;
      ASSERT_EQ(text.size() - number.suffix_bytes, static_cast<std::size_t>(end - text.c_str())) << text;
    }
  }
}

}  // namespace
}  // namespace penstock::format
