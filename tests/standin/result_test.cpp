#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "standin/fixture.h"

namespace penstock::test {
namespace {

class StandinResult : public StandinTest {
 protected:
  void make_numbers(int count) {
    run("create table n (ts timestamp, v int, s nchar(10))");
    std::string sql = "insert into n values";
    for (int i = 0; i < count; ++i) {
      sql += " (" + std::to_string(1'700'000'000'000 + i) + "," + (i % 3 == 0 ? "null" : std::to_string(i)) + "," +
             (i % 5 == 0 ? "null" : "'é" + std::to_string(i) + "'") + ")";
    }
    run(sql);
  }
};

/// What a callback was given, as a future.
struct Heard {
  std::promise<std::pair<TAOS_RES*, int>> said;
  static void callback(void* param, TAOS_RES* result, int code) {
    static_cast<Heard*>(param)->said.set_value({result, code});
  }
};

TEST_F(StandinResult, GivesRowsAcrossBlocks) {
  make_numbers(10'000);
  TAOS_RES* const result = STANDIN(library, taos_query)(taos, "select * from n");
  int count = 0;
  for (TAOS_ROW row; (row = STANDIN(library, taos_fetch_row)(result)) != nullptr; ++count) {
    const int* const lengths = STANDIN(library, taos_fetch_lengths)(result);
    ASSERT_EQ(row[1] == nullptr, count % 3 == 0) << count;
    ASSERT_EQ(row[2] == nullptr, count % 5 == 0) << count;
    if (row[2] != nullptr) {
      ASSERT_EQ(std::string(static_cast<const char*>(row[2]), static_cast<std::size_t>(lengths[2])),
                "é" + std::to_string(count));
    }
    ASSERT_EQ(*STANDIN(library, taos_result_block)(result), row);
  }
  EXPECT_EQ(count, 10'000);
  EXPECT_EQ(STANDIN(library, taos_fetch_row)(result), nullptr) << "the end stays the end";
  STANDIN(library, taos_free_result)(result);
}

TEST_F(StandinResult, GivesBlocksOfColumns) {
  make_numbers(5'000);
  TAOS_RES* const result = STANDIN(library, taos_query)(taos, "select * from n");
  int seen = 0;
  int count = 0;
  TAOS_ROW columns = nullptr;
  while (STANDIN(library, taos_fetch_block_s)(result, &count, &columns) == 0 && count > 0) {
    const int* const offsets = STANDIN(library, taos_get_column_data_offset)(result, 2);
    EXPECT_EQ(STANDIN(library, taos_get_column_data_offset)(result, 1), nullptr);
    const auto nulls = std::make_unique<bool[]>(static_cast<std::size_t>(count));
    int rows = count;
    EXPECT_EQ(STANDIN(library, taos_is_null_by_column)(result, 1, nulls.get(), &rows), 0);
    EXPECT_EQ(rows, count);
    for (int r = 0; r < count; ++r, ++seen) {
      ASSERT_EQ(nulls[static_cast<std::size_t>(r)], seen % 3 == 0);
      ASSERT_EQ(STANDIN(library, taos_is_null)(result, r, 2), seen % 5 == 0);
      std::int32_t value = 0;
      std::memcpy(&value, static_cast<const char*>(columns[1]) + 4 * r, sizeof value);
      ASSERT_TRUE(seen % 3 == 0 || value == seen) << seen;
      ASSERT_EQ(offsets[r] < 0, seen % 5 == 0);
      if (offsets[r] < 0) continue;
      const char* const at = static_cast<const char*>(columns[2]) + offsets[r];
      std::uint16_t length = 0;
      std::memcpy(&length, at, sizeof length);
      ASSERT_EQ(std::string(at + 2, length), "é" + std::to_string(seen));
    }
  }
  EXPECT_EQ(seen, 5'000);
  EXPECT_TRUE(STANDIN(library, taos_is_null)(result, 0, 77));
  STANDIN(library, taos_free_result)(result);
}

TEST_F(StandinResult, PrintsRowsWithinTheirSpace) {
  run("create table t (ts timestamp, b bool, f float, d double, s varchar(10), u bigint unsigned, n decimal(10,2))");
  run("insert into t values (1, true, 1.5, -2.25, 'abc', 18446744073709551615, 12.5) (2, null, null, null, null, null, "
      "null)");
  EXPECT_EQ(rows("select * from t"),
            "1 1 1.500000 -2.250000 abc 18446744073709551615 12.50\n2 NULL NULL NULL NULL NULL NULL\n");
  TAOS_RES* const result = STANDIN(library, taos_query)(taos, "select s from t");
  TAOS_FIELD* const fields = STANDIN(library, taos_fetch_fields)(result);
  char text[3] = "??";
  EXPECT_EQ(STANDIN(library, taos_print_row_with_size)(text, 3, STANDIN(library, taos_fetch_row)(result), fields, 1),
            2);
  EXPECT_STREQ(text, "ab");
  STANDIN(library, taos_free_result)(result);
}

TEST_F(StandinResult, AnswersLaterWithCallbacks) {
  make_numbers(6'000);
  Heard answered;
  STANDIN(library, taos_query_a)(taos, "select * from n", Heard::callback, &answered);
  const auto [result, code] = answered.said.get_future().get();
  ASSERT_EQ(code, 0);
  int seen = 0;
  for (;;) {
    Heard fetched;
    STANDIN(library, taos_fetch_raw_block_a)(result, Heard::callback, &fetched);
    const auto [same, rows] = fetched.said.get_future().get();
    EXPECT_EQ(same, result);
    ASSERT_GE(rows, 0);
    if (rows == 0) break;
    EXPECT_NE(STANDIN(library, taos_get_raw_block)(result), nullptr);
    seen += rows;
  }
  EXPECT_EQ(seen, 6'000);
  STANDIN(library, taos_free_result)(result);

  Heard refused;
  STANDIN(library, taos_query_a_with_reqid)(taos, "select * from nope", Heard::callback, &refused, 7);
  const auto [failed, why] = refused.said.get_future().get();
  EXPECT_EQ(why, code_of(0x2603));
  EXPECT_EQ(STANDIN(library, taos_errno)(failed), why);
  EXPECT_STREQ(STANDIN(library, taos_errstr)(failed), "Table does not exist");
  STANDIN(library, taos_free_result)(failed);
}

TEST_F(StandinResult, RefusesToFetchInsideTheCallback) {
  run("create table t (ts timestamp, v int)");
  run("insert into t values (1, 1)");
  struct Inside {
    const Library& library;
    std::promise<TAOS_RES*> done;
    int code = 0;
  } inside{library, {}};
  STANDIN(library, taos_query_a)
  (
      taos, "select * from t",
      [](void* param, TAOS_RES* result, int) {
        auto& it = *static_cast<Inside*>(param);
        int count = 0;
        void* data = nullptr;
        it.code = STANDIN(it.library, taos_fetch_raw_block)(result, &count, &data);
        it.done.set_value(result);
      },
      &inside);
  TAOS_RES* const result = inside.done.get_future().get();
  EXPECT_EQ(inside.code, code_of(0x0200));
  EXPECT_EQ(rows_of(result), "1 1\n") << "behind the callback it works";
  STANDIN(library, taos_free_result)(result);
}

TEST_F(StandinResult, StopsAQuery) {
  make_numbers(5'000);
  TAOS_RES* const result = STANDIN(library, taos_query)(taos, "select * from n");
  EXPECT_NE(STANDIN(library, taos_fetch_row)(result), nullptr);
  STANDIN(library, taos_stop_query)(result);
  int count = 0;
  void* data = nullptr;
  EXPECT_EQ(STANDIN(library, taos_fetch_raw_block)(result, &count, &data), code_of(0x022D));
  STANDIN(library, taos_free_result)(result);
  STANDIN(library, taos_kill_query)(taos);
}

TEST_F(StandinResult, ChecksSqlWithoutRunningIt) {
  run("create table t (ts timestamp, v int)");
  EXPECT_EQ(STANDIN(library, taos_validate_sql)(taos, "select * from t"), 0);
  EXPECT_EQ(STANDIN(library, taos_validate_sql)(taos, "insert into t values (1, 1)"), 0);
  EXPECT_EQ(rows("select count(*) from t"), "0\n");
  EXPECT_EQ(STANDIN(library, taos_validate_sql)(taos, "select * from nope"), code_of(0x2603));
  EXPECT_EQ(STANDIN(library, taos_validate_sql)(taos, "selec 1"), code_of(0x2600));
}

TEST_F(StandinResult, WritesABlockBack) {
  const std::string columns =
      "(ts timestamp, b bool, i int, u bigint unsigned, f float, d double, s varchar(20), n nchar(10), vb "
      "varbinary(8), "
      "d64 decimal(10,4), d128 decimal(30,8))";
  run("create table a " + columns);
  run("create table b " + columns);
  run("create table c (ts timestamp, other int, s varchar(20), i int)");
  run("insert into a values (1,true,-1,18446744073709551615,1.5,2.5,'abc','wörld','\\x00ff',-12.5,1234567.125)"
      "(2,null,null,null,null,null,null,null,null,null,null)");
  TAOS_RES* result = STANDIN(library, taos_query)(taos, "select * from a");
  int count = 0;
  void* data = nullptr;
  ASSERT_EQ(STANDIN(library, taos_fetch_raw_block)(result, &count, &data), 0);
  EXPECT_EQ(STANDIN(library, taos_write_raw_block)(taos, count, static_cast<char*>(data), "b"), 0);
  EXPECT_EQ(STANDIN(library, taos_write_raw_block)(taos, count, static_cast<char*>(data), "nope"), code_of(0x2603));
  STANDIN(library, taos_free_result)(result);
  EXPECT_EQ(rows("select * from b"), rows("select * from a"));

  result = STANDIN(library, taos_query)(taos, "select ts, i, s from a");
  ASSERT_EQ(STANDIN(library, taos_fetch_raw_block)(result, &count, &data), 0);
  EXPECT_EQ(STANDIN(library, taos_write_raw_block_with_fields)(taos, count, static_cast<char*>(data), "c",
                                                               STANDIN(library, taos_fetch_fields)(result), 3),
            0);
  STANDIN(library, taos_free_result)(result);
  EXPECT_EQ(rows("select * from c"), "1 NULL abc -1\n2 NULL NULL NULL\n");
}

TEST_F(StandinResult, ServesThreadsAtOnce) {
  run("create table t0 (ts timestamp, v int)");
  run("create table t1 (ts timestamp, v int)");
  run("create table t2 (ts timestamp, v int)");
  TAOS* const other = connect(port, "d");
  std::vector<std::future<int>> workers;
  for (int w = 0; w < 3; ++w) {
    workers.push_back(std::async(std::launch::async, [&, w] {
      const std::string table = "t" + std::to_string(w);
      EXPECT_EQ(STANDIN(library, taos_query)(nullptr, "select 1"), nullptr);
      int failed = 0;
      for (int i = 0; i < 60; ++i) {
        TAOS* const mine = i % 2 == 0 ? taos : other;
        const auto sql = "insert into " + table + " values (" + std::to_string(i) + "," + std::to_string(i) + ")";
        TAOS_RES* const result = STANDIN(library, taos_query)(mine, sql.c_str());
        failed += STANDIN(library, taos_errno)(result) != 0;
        STANDIN(library, taos_free_result)(result);
      }
      EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x0213)) << "this thread's own last error";
      return failed;
    }));
  }
  for (auto& worker : workers) EXPECT_EQ(worker.get(), 0);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), 0);
  STANDIN(library, taos_close)(other);
  for (const auto* const table : {"t0", "t1", "t2"}) {
    EXPECT_EQ(rows(std::string("select count(*), sum(v) from ") + table), "60 1770\n");
  }
}

TEST_F(StandinResult, TakesLinesInEveryCall) {
  char first[] = "m,host=a v=1 1700000000000";
  char second[] = "m,host=b v=2 1700000000000";
  char* lines[] = {first, second};
  char raw[] = "m,host=c v=3 1700000000000\nm,host=d v=4 1700000000000";
  const int size = static_cast<int>(sizeof raw) - 1;
  char key[] = "name";
  const auto check = [&](TAOS_RES* result, int wanted) {
    ASSERT_NE(result, nullptr);
    EXPECT_EQ(STANDIN(library, taos_errno)(result), 0) << STANDIN(library, taos_errstr)(result);
    EXPECT_EQ(STANDIN(library, taos_affected_rows)(result), wanted);
    STANDIN(library, taos_free_result)(result);
  };
  check(STANDIN(library, taos_schemaless_insert)(taos, lines, 2, 1, 4), 2);
  check(STANDIN(library, taos_schemaless_insert_with_reqid)(taos, lines, 1, 1, 4, 1), 1);
  check(STANDIN(library, taos_schemaless_insert_ttl)(taos, lines, 2, 1, 4, 1), 2);
  check(STANDIN(library, taos_schemaless_insert_ttl_with_reqid)(taos, lines, 2, 1, 4, 1, 1), 2);
  check(STANDIN(library, taos_schemaless_insert_ttl_with_reqid_tbname_key)(taos, lines, 2, 1, 4, 1, 1, key), 2);
  std::int32_t total = 0;
  check(STANDIN(library, taos_schemaless_insert_raw)(taos, raw, size, &total, 1, 4), 2);
  EXPECT_EQ(total, 2);
  check(STANDIN(library, taos_schemaless_insert_raw_with_reqid)(taos, raw, size, nullptr, 1, 4, 1), 2);
  check(STANDIN(library, taos_schemaless_insert_raw_ttl)(taos, raw, size, nullptr, 1, 4, 1), 2);
  check(STANDIN(library, taos_schemaless_insert_raw_ttl_with_reqid)(taos, raw, size, nullptr, 1, 4, 1, 1), 2);
  check(
      STANDIN(library, taos_schemaless_insert_raw_ttl_with_reqid_tbname_key)(taos, raw, size, nullptr, 1, 4, 1, 1, key),
      2);
  EXPECT_EQ(rows("select host, v from m order by host"), "a 1.000000\nb 2.000000\nc 3.000000\nd 4.000000\n");
  EXPECT_EQ(STANDIN(library, taos_schemaless_insert)(taos, nullptr, 2, 1, 4), nullptr);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x0118));
  EXPECT_EQ(STANDIN(library, taos_schemaless_insert_raw)(taos, raw, -1, nullptr, 1, 4), nullptr);
}

}  // namespace
}  // namespace penstock::test
