#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "data/row_set.h"
#include "data/schema.h"
#include "data/types.h"

namespace penstock::data {
namespace {

TEST(SchemalessWidth, IsTheServersTable) {
  struct Case {
    std::size_t length;
    std::uint32_t width;
  };
  for (const auto& c :
       {Case{0, 1}, Case{1, 2}, Case{2, 4}, Case{3, 4}, Case{4, 8}, Case{7, 8}, Case{8, 16}, Case{511, 512},
        Case{512, 1024}, Case{1023, 1024}, Case{1024, 1024}, Case{1025, 1025}, Case{16379, 16379}}) {
    EXPECT_EQ(schemaless_width(Type::varchar, c.length), c.width) << c.length;
    EXPECT_EQ(schemaless_width(Type::nchar, c.length), c.width) << c.length;
  }
  EXPECT_EQ(schemaless_width(Type::nchar, 60'000), 16'379u);
  EXPECT_EQ(schemaless_width(Type::varchar, 60'000), 60'000u);
  EXPECT_EQ(schemaless_width(Type::varchar, 70'000), 65'517u);
}

TEST(Sql, QuotesNamesAndTexts) {
  EXPECT_EQ(quote_identifier("a b"), "`a b`");
  EXPECT_EQ(quote_identifier("a`b"), "`a``b`");
  EXPECT_EQ(quote_identifier(""), "``");
  EXPECT_EQ(quote_text("it's a \\ path"), "'it\\'s a \\\\ path'");
}

TEST(Sql, WritesTypesAndCreateStatements) {
  Column price{"price", Type::decimal64, 8, 10, 2, false};
  Column key{"k", Type::integer, 4, 0, 0, true};
  const SuperTable table{"o`dd.name",
                         {{"_ts", Type::timestamp, 8, 0, 0, false}, key, {"s", Type::varchar, 16, 0, 0, false}, price},
                         {{"t", Type::nchar, 4, 0, 0, false}, {"u", Type::ubigint, 8, 0, 0, false}}};
  EXPECT_EQ(create_statement(table),
            "CREATE STABLE IF NOT EXISTS `o``dd.name` (`_ts` TIMESTAMP, `k` INT PRIMARY KEY, `s` VARCHAR(16), "
            "`price` DECIMAL(10,2)) TAGS (`t` NCHAR(4), `u` BIGINT UNSIGNED)");
  EXPECT_EQ(table.column("s"), 2u);
  EXPECT_EQ(table.column("S"), std::nullopt);
  EXPECT_EQ(table.tag("u"), 1u);
}

TEST(Types, NamesAndSizesGoThereAndBack) {
  for (int number = 1; number <= 21; ++number) {
    const auto type = static_cast<Type>(number);
    if (type == Type::mediumblob || type == Type::decimal64 || type == Type::decimal128) continue;
    EXPECT_EQ(type_from_name(type_name(type)), type) << type_name(type);
    EXPECT_NE(is_variable(type), fixed_size(type) > 0) << type_name(type);
  }
  EXPECT_EQ(type_from_name("int unsigned"), Type::uinteger);
  EXPECT_EQ(type_from_name("Binary"), Type::varchar);
  EXPECT_EQ(type_from_name("no type"), std::nullopt);
  for (const auto precision : {Precision::milliseconds, Precision::microseconds, Precision::nanoseconds})
    EXPECT_EQ(precision_from_name(precision_name(precision)), precision);
  EXPECT_EQ(precision_from_name("s"), std::nullopt);
}

TEST(Types, DeclaredBytesAreTheServersSums) {
  EXPECT_EQ(declared_bytes({"a", Type::varchar, 10, 0, 0, false}), 12u);
  EXPECT_EQ(declared_bytes({"a", Type::nchar, 10, 0, 0, false}), 42u);
  EXPECT_EQ(declared_bytes({"a", Type::geometry, 32, 0, 0, false}), 34u);
  EXPECT_EQ(declared_bytes({"a", Type::bigint, 8, 0, 0, false}), 8u);
  EXPECT_EQ(declared_bytes({"a", Type::decimal128, 16, 0, 0, false}), 16u);
}

TEST(RowSet, KeepsEveryRowAndTextInOrderOverManySlabs) {
  std::mt19937 random(1);
  MemoryBudget budget(1 << 20);
  struct Written {
    std::uint32_t shape;
    std::int64_t time;
    std::string text;
  };
  std::vector<Written> written;
  {
    RowSet rows(&budget);
    std::string name_bytes = "field";
    std::vector<Field> fields;
    for (int f = 0; f < 70; ++f) fields.push_back({rows.add_name(name_bytes + std::to_string(f)), Type::varchar});
    name_bytes = "gone!";
    for (const std::size_t count : {1U, 3U, 70U}) rows.add_shape(nullptr, {fields.data(), count}, false);
    rows.add_shape(nullptr, {fields.data(), 65}, true);
    EXPECT_EQ(rows.shape(3).null_words(), 2u);
    EXPECT_EQ(rows.shape(2).fields[69].name, "field69");
    for (int i = 0; i < 20'000; ++i) {
      const auto shape = static_cast<std::uint32_t>(random() % 4);
      const std::size_t bytes = rows.shape(shape).row_bytes();
      Row* row = rows.begin_row(bytes);
      const bool given_up = random() % 8 == 0;  // a record that turned out bad leaves nothing
      const std::string text(i % 997 == 0 ? 700'000 : random() % 30, static_cast<char>('a' + i % 26));
      row->shape = shape;
      row->time = i;
      row->slots()[0] = rows.add_text(text);
      if (given_up) continue;
      rows.commit_row(bytes);
      written.push_back({shape, i, text});
    }
    EXPECT_EQ(rows.row_count(), written.size());
    EXPECT_EQ(budget.used(), rows.bytes());
    EXPECT_GT(rows.bytes(), 14'000'000u);
    std::size_t at = 0;
    rows.for_each_row([&](Row& row) {
      ASSERT_LT(at, written.size());
      ASSERT_EQ(row.shape, written[at].shape);
      ASSERT_EQ(row.time, written[at].time);
      ASSERT_EQ(text_of(row.slots()[0]), written[at].text);
      ++at;
    });
    EXPECT_EQ(at, written.size());

    // Refused rows keep their place: the walk goes on behind them, again and again.
    at = 0;
    rows.for_each_row([&](Row& row) {
      if (at++ % 3 == 0) rows.refuse(row);
    });
    for (int round = 0; round < 2; ++round) {
      at = 0;
      rows.for_each_row([&](const Row& row) {
        if (at % 3 == 0) ASSERT_EQ(row.shape, kRefusedShape);
        else ASSERT_EQ(text_of(row.slots()[0]), written[at].text);
        ASSERT_EQ(row.time, written[at].time);
        ++at;
      });
      EXPECT_EQ(at, written.size());
    }
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(RowSet, IsEmptyUntilSomethingIsCommitted) {
  RowSet rows;
  rows.for_each_row([](Row&) { FAIL(); });
  rows.add_shape(nullptr, {}, false);
  rows.begin_row(rows.shape(0).row_bytes());
  rows.for_each_row([](Row&) { FAIL(); });
  EXPECT_EQ(rows.add_name(""), "");
}

TEST(Slot, HoldsEveryType) {
  EXPECT_EQ(static_cast<std::int64_t>(slot_of(std::int64_t{-5})), -5);
  EXPECT_EQ(std::bit_cast<double>(slot_of(-0.0)), 0.0);
  EXPECT_TRUE(std::signbit(std::bit_cast<double>(slot_of(-0.0))));
  EXPECT_EQ(slot_of(1.5F), std::bit_cast<std::uint32_t>(1.5F));
}

TEST(Shape, FindsNullsInEveryWord) {
  RowSet rows;
  std::vector<Field> fields(130, {"f", Type::bigint});
  const auto index = rows.add_shape(nullptr, fields, true);
  Row* row = rows.begin_row(rows.shape(index).row_bytes());
  row->shape = index;
  for (std::size_t w = 0; w < 3; ++w) row->slots()[130 + w] = 0;
  for (const std::size_t f : {0U, 63U, 64U, 129U}) row->slots()[130 + f / 64] |= Slot{1} << (f % 64);
  std::vector<std::size_t> nulls;
  for (std::size_t f = 0; f < 130; ++f)
    if (Shape::is_null(*row, 130, f)) nulls.push_back(f);
  EXPECT_EQ(nulls, (std::vector<std::size_t>{0, 63, 64, 129}));
}

}  // namespace
}  // namespace penstock::data
