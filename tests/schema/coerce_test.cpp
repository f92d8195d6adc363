#include "schema/coerce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "schema/test_rows.h"

namespace penstock::schema {
namespace {

using data::Slot;
using data::Type;

data::Column column(Type type, std::uint8_t precision = 0, std::uint8_t scale = 0) {
  data::Column made;
  made.name = "c";
  made.type = type;
  made.precision = precision;
  made.scale = scale;
  return made;
}

Scalar whole_of(std::int64_t value, Type type = Type::bigint) { return {type, data::slot_of(value), {}}; }
Scalar real_of(double value) { return {Type::float64, data::slot_of(value), {}}; }
Scalar single_of(float value) { return {Type::float32, data::slot_of(value), {}}; }
Scalar text_of(std::string_view text, Type type = Type::varchar) { return {type, 0, text}; }

// What becomes of a value, for people: "-" when something would be lost.
std::string made(const Scalar& value, const data::Column& to) {
  Slot bits = 0;
  std::string text;
  if (!coerce(value, to, bits, text)) return "-";
  if (to.type == Type::decimal64) return "d" + std::to_string(static_cast<std::int64_t>(bits));
  if (to.type == Type::decimal128) {
    std::int64_t low = 0;
    std::memcpy(&low, text.data(), sizeof low);
    EXPECT_EQ(text.size(), 16u);
    return "D" + std::to_string(low);
  }
  if (data::is_variable(to.type)) return "'" + text + "'";
  return shown({to.type, bits, {}});
}
std::string made(const Scalar& value, Type to) { return made(value, column(to)); }

TEST(Coerce, PutsIntegersIntoOtherIntegersWhenTheyFit) {
  EXPECT_EQ(made(whole_of(127), Type::tinyint), "127");
  EXPECT_EQ(made(whole_of(128), Type::tinyint), "-");
  EXPECT_EQ(made(whole_of(-128), Type::tinyint), "-128");
  EXPECT_EQ(made(whole_of(-129), Type::tinyint), "-");
  EXPECT_EQ(made(whole_of(255), Type::utinyint), "255");
  EXPECT_EQ(made(whole_of(-1), Type::utinyint), "-");
  EXPECT_EQ(made(whole_of(-1), Type::ubigint), "-");
  EXPECT_EQ(made(whole_of(INT32_MIN), Type::integer), "-2147483648");
  EXPECT_EQ(made(whole_of(INT32_MAX + 1LL), Type::integer), "-");
  EXPECT_EQ(made({Type::ubigint, UINT64_MAX, {}}, Type::bigint), "-");
  EXPECT_EQ(made({Type::ubigint, INT64_MAX, {}}, Type::bigint), "9223372036854775807");
  EXPECT_EQ(made(whole_of(-5, Type::tinyint), Type::bigint), "-5");
}

TEST(Coerce, PutsTruthIntoIntegersAndBackOnlyAsZeroAndOne) {
  EXPECT_EQ(made(whole_of(1, Type::boolean), Type::bigint), "1");
  EXPECT_EQ(made(whole_of(0, Type::boolean), Type::utinyint), "0");
  EXPECT_EQ(made(whole_of(1), Type::boolean), "true");
  EXPECT_EQ(made(whole_of(2), Type::boolean), "-");
  EXPECT_EQ(made(whole_of(1, Type::boolean), Type::float64), "-");
  EXPECT_EQ(made(real_of(1), Type::boolean), "-");
  EXPECT_EQ(made(whole_of(1, Type::boolean), Type::varchar), "'true'");
  EXPECT_EQ(made(text_of("false"), Type::boolean), "false");
  EXPECT_EQ(made(text_of("True"), Type::boolean), "-");
  EXPECT_EQ(made(text_of("t"), Type::boolean), "-");
}

TEST(Coerce, PutsIntegersIntoFloatsWithinTheirMantissaAndBackWhenIntegral) {
  EXPECT_EQ(made(whole_of(1LL << 53), Type::float64), "9007199254740992");
  EXPECT_EQ(made(whole_of((1LL << 53) + 1), Type::float64), "-");
  EXPECT_EQ(made(whole_of(-(1LL << 53)), Type::float64), "-9007199254740992");
  EXPECT_EQ(made(whole_of(1 << 24), Type::float32), "16777216");
  EXPECT_EQ(made(whole_of((1 << 24) + 1), Type::float32), "-");
  EXPECT_EQ(made(real_of(3), Type::integer), "3");
  EXPECT_EQ(made(real_of(3.5), Type::integer), "-");
  EXPECT_EQ(made(real_of(-0.0), Type::integer), "0");
  EXPECT_EQ(made(real_of(1e19), Type::ubigint), "10000000000000000000");
  EXPECT_EQ(made(real_of(1e19), Type::bigint), "-");
  EXPECT_EQ(made(real_of(0x1p64), Type::ubigint), "-");
  EXPECT_EQ(made(real_of(std::nan("")), Type::bigint), "-");
  EXPECT_EQ(made(real_of(HUGE_VAL), Type::bigint), "-");
  EXPECT_EQ(made(single_of(7), Type::tinyint), "7");
}

TEST(Coerce, NarrowsFloatsOnlyWhenExact) {
  EXPECT_EQ(made(real_of(1.5), Type::float32), "1.5");
  EXPECT_EQ(made(real_of(0.1), Type::float32), "-");
  EXPECT_EQ(made(real_of(1e300), Type::float32), "-");
  EXPECT_EQ(made(real_of(HUGE_VAL), Type::float32), "inf");
  EXPECT_EQ(made(real_of(std::nan("")), Type::float32), "nan");
  EXPECT_EQ(made(single_of(0.1F), Type::float64), "0.10000000149011612");
}

TEST(Coerce, WritesNumbersAsTheShortestTextThatReadsBack) {
  EXPECT_EQ(made(whole_of(-42), Type::varchar), "'-42'");
  EXPECT_EQ(made({Type::ubigint, UINT64_MAX, {}}, Type::nchar), "'18446744073709551615'");
  EXPECT_EQ(made(real_of(0.1), Type::varchar), "'0.1'");
  EXPECT_EQ(made(single_of(0.1F), Type::varchar), "'0.1'");
  EXPECT_EQ(made(real_of(1), Type::varchar), "'1'");
}

TEST(Coerce, ReadsTextsOnlyWhenTheyAreExactlyThatNumber) {
  EXPECT_EQ(made(text_of("17"), Type::bigint), "17");
  EXPECT_EQ(made(text_of("-17", Type::nchar), Type::tinyint), "-17");
  EXPECT_EQ(made(text_of("17.0"), Type::bigint), "17");
  EXPECT_EQ(made(text_of("1e3"), Type::bigint), "1000");
  EXPECT_EQ(made(text_of("18446744073709551615"), Type::ubigint), "18446744073709551615");
  EXPECT_EQ(made(text_of("18446744073709551616"), Type::ubigint), "-");
  EXPECT_EQ(made(text_of("0"), Type::bigint), "0");
  EXPECT_EQ(made(text_of("0.000"), Type::float64), "0");
  EXPECT_EQ(made(text_of("1.50"), Type::float64), "1.5");
  EXPECT_EQ(made(text_of("-0.1"), Type::float64), "-0.1");
  EXPECT_EQ(made(text_of("0.1"), Type::float32), "0.1");
  EXPECT_EQ(made(text_of("0.1000000000000000055511151231257827"), Type::float64), "-");
  EXPECT_EQ(made(text_of("1e400"), Type::float64), "-");
  for (const char* const name : {"", "-", "007", "00", "+7", " 7", "7 ", "7.", ".7", "1e", "1e+", "0x10", "nan", "inf",
                                 "7a", "1_000", "--7", "1e99999999999"}) {
    EXPECT_EQ(made(text_of(name), Type::bigint), "-") << name;
    EXPECT_EQ(made(text_of(name), Type::float64), "-") << name;
  }
}

TEST(Coerce, KeepsEveryDigitInDecimals) {
  const auto small = column(Type::decimal64, 10, 2);
  EXPECT_EQ(made(whole_of(12), small), "d1200");
  EXPECT_EQ(made(text_of("12.34"), small), "d1234");
  EXPECT_EQ(made(text_of("12.345"), small), "-");
  EXPECT_EQ(made(text_of("-12.340"), small), "d-1234");
  EXPECT_EQ(made(real_of(0.25), small), "d25");
  EXPECT_EQ(made(real_of(0.125), small), "-");
  EXPECT_EQ(made(whole_of(99'999'999), small), "d9999999900");
  EXPECT_EQ(made(whole_of(100'000'000), small), "-");
  EXPECT_EQ(made(real_of(HUGE_VAL), small), "-");
  EXPECT_EQ(made(text_of("-1.5"), column(Type::decimal128, 38, 4)), "D-15000");
}

TEST(Coerce, TurnsTextsIntoEachOtherWhenTheyAreUtf8) {
  EXPECT_EQ(made(text_of("中"), Type::nchar), "'中'");
  EXPECT_EQ(made(text_of("\xff"), Type::nchar), "-");
  EXPECT_EQ(made(text_of("中", Type::nchar), Type::varchar), "'中'");
  EXPECT_EQ(made(text_of("abc"), Type::varbinary), "'abc'");
  EXPECT_EQ(made(text_of("abc", Type::varbinary), Type::varchar), "-");
}

TEST(Coerce, LeavesTimesAndShapesAlone) {
  for (const auto to : {Type::timestamp, Type::geometry, Type::blob, Type::json})
    for (const auto from : {Type::bigint, Type::float64, Type::varchar, Type::boolean}) {
      EXPECT_FALSE(may_coerce(from, to));
      EXPECT_FALSE(may_coerce(to, from));
    }
}

// Whatever is converted comes back the same: nothing was lost.
TEST(Coerce, ComesBackTheSame) {
  std::mt19937_64 random(7);
  const Type types[] = {Type::boolean,   Type::tinyint,  Type::smallint, Type::integer, Type::bigint,  Type::utinyint,
                        Type::usmallint, Type::uinteger, Type::ubigint,  Type::float32, Type::float64, Type::varchar};
  int converted = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Type from = types[random() % std::size(types)];
    const Type to = types[random() % std::size(types)];
    Slot bits = random() >> (random() % 64);
    std::string text;
    if (from == Type::varchar) text = std::to_string(static_cast<std::int64_t>(bits) >> (random() % 64));
    else if (from == Type::boolean) bits &= 1;
    else if (from == Type::float64 && random() % 2 == 0) bits = data::slot_of(static_cast<double>(bits % 1000) / 8);
    else if (from == Type::float32) bits = data::slot_of(static_cast<float>(bits % 1000) / 8);
    // Slots hold integers with their sign.
    if (from != Type::varchar && from != Type::float64 && from != Type::float32 && from != Type::boolean) {
      const auto size = 8 * data::fixed_size(from);
      const bool is_signed = from <= Type::bigint;
      bits = is_signed ? static_cast<Slot>(static_cast<std::int64_t>(bits << (64 - size)) >> (64 - size))
                       : bits << (64 - size) >> (64 - size);
    }
    const Scalar value{from, bits, text};
    Slot there_bits = 0;
    std::string there_text;
    if (!coerce(value, column(to), there_bits, there_text)) continue;
    ++converted;
    Slot back_bits = 0;
    std::string back_text;
    ASSERT_TRUE(coerce({to, there_bits, there_text}, column(from), back_bits, back_text)) << shown(value);
    if (from == Type::varchar) {
      EXPECT_EQ(back_text, text);
    } else if (!(from == Type::float64 && std::bit_cast<double>(bits) == 0)) {  // -0 becomes 0
      EXPECT_EQ(back_bits, bits) << shown(value);
    }
  }
  EXPECT_GT(converted, 4'000);
}

TEST(Coerce, ReadsTagsWithTheirSign) {
  const std::int8_t image = -3;
  data::Tag tag;
  tag.bytes = reinterpret_cast<const char*>(&image);
  tag.length = 1;
  tag.type = Type::tinyint;
  EXPECT_EQ(made(scalar_of(tag), Type::bigint), "-3");
}

TEST(Coerce, ShowsValuesShort) {
  EXPECT_EQ(shown(text_of("abc")), "'abc'");
  EXPECT_EQ(shown(text_of(std::string(39, 'a') + "中" + "b")), "'" + std::string(39, 'a') + "'…");
  EXPECT_EQ(shown(text_of("\xff\xfe")), "2 bytes");
}

}  // namespace
}  // namespace penstock::schema
