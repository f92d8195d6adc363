#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "standin/fixture.h"

namespace penstock::test {
namespace {

constexpr int kInt = 4;
constexpr int kVarchar = 8;
constexpr int kTimestamp = 9;

/// One bind of the second generation with its memory.
struct Column {
  int type = 0;
  std::string buffer;
  std::vector<std::int32_t> lengths;
  std::string is_null;
  int rows = 0;

  template <class Value>
  Column& add(Value value) {
    buffer.append(reinterpret_cast<const char*>(&value), sizeof value);
    is_null += '\0';
    ++rows;
    return *this;
  }
  Column& text(const std::string& value) {
    buffer += value;
    lengths.push_back(static_cast<std::int32_t>(value.size()));
    is_null += '\0';
    ++rows;
    return *this;
  }
  Column& without(char state, std::size_t slot) {
    buffer.append(slot, '\0');
    if (slot == 0) lengths.push_back(0);
    is_null += state;
    ++rows;
    return *this;
  }
  TAOS_STMT2_BIND bind() {
    return {type, buffer.data(), lengths.empty() ? nullptr : lengths.data(), is_null.data(), rows};
  }
};

Column times(std::initializer_list<std::int64_t> list) {
  Column column{kTimestamp, {}, {}, {}, 0};
  for (const auto time : list) column.add(time);
  return column;
}

Column ints(std::initializer_list<std::int32_t> list) {
  Column column{kInt, {}, {}, {}, 0};
  for (const auto value : list) column.add(value);
  return column;
}

class StandinStatement : public StandinTest {
 protected:
  void SetUp() override {
    StandinTest::SetUp();
    run("create table m (ts timestamp, v int, s varchar(8)) tags (g int, loc nchar(8))");
    run("create table t (ts timestamp, v int, s varchar(8))");
  }
  void TearDown() override {
    if (stmt != nullptr) STANDIN(library, taos_stmt2_close)(stmt);
    StandinTest::TearDown();
  }
  enum class Mode { columns, interlace };
  void open(Mode mode, const char* sql, taos_async_fn done = nullptr, void* param = nullptr) {
    TAOS_STMT2_OPTION option{};
    option.singleStbInsert = option.singleTableBindOnce = mode == Mode::interlace;
    option.asyncExecFn = done;
    option.userdata = param;
    stmt = STANDIN(library, taos_stmt2_init)(taos, &option);
    ASSERT_NE(stmt, nullptr);
    EXPECT_EQ(prepare(sql), 0);
  }
  int prepare(const char* sql) { return STANDIN(library, taos_stmt2_prepare)(stmt, sql, 0); }
  int bind(std::vector<Column> columns, const char* table = nullptr, std::vector<Column> tags = {},
           std::int32_t index = -1) {
    std::vector<TAOS_STMT2_BIND> column_binds;
    std::vector<TAOS_STMT2_BIND> tag_binds;
    for (auto& column : columns) column_binds.push_back(column.bind());
    for (auto& tag : tags) tag_binds.push_back(tag.bind());
    char* name = const_cast<char*>(table);
    TAOS_STMT2_BIND* column_list = column_binds.data();
    TAOS_STMT2_BIND* tag_list = tag_binds.data();
    TAOS_STMT2_BINDV bindv{1, table == nullptr ? nullptr : &name, tags.empty() ? nullptr : &tag_list, &column_list};
    return STANDIN(library, taos_stmt2_bind_param)(stmt, &bindv, index);
  }
  int execute(int* affected = nullptr) { return STANDIN(library, taos_stmt2_exec)(stmt, affected); }
  std::string error() { return STANDIN(library, taos_stmt2_error)(stmt); }

  TAOS_STMT2* stmt = nullptr;
};

TEST_F(StandinStatement, StoresWhatWasBoundAndKeepsNoPointerToIt) {
  open(Mode::columns, "insert into m(tbname, ts, v, s, g, loc) values(?,?,?,?,?,?)");
  Column texts{kVarchar, {}, {}, {}, 0};
  texts.text("one").without(1, 0).text("");
  Column values = ints({1, 2});
  values.without(1, 4);
  Column place{10, {}, {}, {}, 0};
  EXPECT_EQ(bind({times({1, 2, 3}), values, texts}, "c1", {ints({7}), place.text("北")}), 0);
  EXPECT_EQ(bind({times({4}), ints({4}), Column{kVarchar, {}, {}, {}, 0}.text("x")}, "c2",
                 {ints({8}), Column{10, {}, {}, {}, 0}.without(1, 0)}),
            0);
  int affected = 0;
  EXPECT_EQ(execute(&affected), 0);
  EXPECT_EQ(affected, 4);
  EXPECT_EQ(rows("select tbname, ts, v, s, g, loc from m order by ts"),
            "c1 1 1 one 7 北\nc1 2 2 NULL 7 北\nc1 3 NULL  7 北\nc2 4 4 x 8 NULL\n");
  EXPECT_EQ(execute(), code_of(0x022A)) << "nothing bound since";
}

TEST_F(StandinStatement, LeavesOutWhatIsNotGiven) {
  run("insert into t values (1, 10, 'old')");
  open(Mode::columns, "insert into t values(?,?,?)");
  EXPECT_EQ(bind({times({1}), ints({11}), Column{kVarchar, {}, {}, {}, 0}.without(2, 0)}), 0);
  EXPECT_EQ(execute(), 0);
  EXPECT_EQ(rows("select v, s from t"), "11 old\n");
}

TEST_F(StandinStatement, MergesEqualTimesAsItsModeDoes) {
  for (const auto mode : {Mode::columns, Mode::interlace}) {
    open(mode, "insert into m(tbname, ts, v, s, g) values(?,?,?,?,?)");
    const char* const table = mode == Mode::columns ? "a" : "b";
    const auto text = [](const std::string& value) { return Column{kVarchar, {}, {}, {}, 0}.text(value); };
    EXPECT_EQ(bind({times({1}), ints({10}), text("x")}, table, {ints({1})}), 0);
    EXPECT_EQ(
        bind({times({1}), Column{kInt, {}, {}, {}, 0}.without(1, 4), Column{kVarchar, {}, {}, {}, 0}.without(2, 0)},
             table, {ints({2})}),
        0);
    EXPECT_EQ(execute(), 0);
    EXPECT_EQ(STANDIN(library, taos_stmt2_close)(stmt), 0);
  }
  stmt = nullptr;
  EXPECT_EQ(rows("select tbname, v, s, g from m order by tbname"), "a NULL x 2\nb 10 x 1\n");
}

TEST_F(StandinStatement, NormalizesTruthInTheCallersMemory) {
  run("create table b (ts timestamp, v bool)");
  open(Mode::columns, "insert into b values(?,?)");
  auto time = times({1}).buffer;
  char truth = 5;
  char state[] = {0};
  TAOS_STMT2_BIND binds[] = {{kTimestamp, time.data(), nullptr, nullptr, 1}, {1, &truth, nullptr, state, 1}};
  TAOS_STMT2_BIND* list = binds;
  TAOS_STMT2_BINDV bindv{1, nullptr, nullptr, &list};
  EXPECT_EQ(STANDIN(library, taos_stmt2_bind_param)(stmt, &bindv, -1), 0);
  EXPECT_EQ(truth, 1);
  EXPECT_EQ(execute(), 0);
  EXPECT_EQ(rows("select v from b"), "1\n");
}

TEST_F(StandinStatement, TakesColumnAfterColumn) {
  open(Mode::columns, "insert into t(ts, v) values(?,?)");
  EXPECT_EQ(bind({times({1, 2})}, nullptr, {}, 0), 0);
  EXPECT_EQ(bind({ints({5, 6})}, nullptr, {}, 1), 0);
  int affected = 0;
  EXPECT_EQ(execute(&affected), 0);
  EXPECT_EQ(affected, 2);
  EXPECT_EQ(rows("select v from t"), "5\n6\n");
  EXPECT_EQ(bind({ints({5, 6})}, nullptr, {}, 1), code_of(0x0110)) << "out of order";
  EXPECT_EQ(prepare("insert into t(ts, v) values(?,?)"), 0);
  EXPECT_EQ(bind({times({1, 2})}, nullptr, {}, 0), 0);
  EXPECT_EQ(bind({ints({5})}, nullptr, {}, 1), code_of(0x0200)) << "other number of rows";
}

TEST_F(StandinStatement, RefusesSingleColumnsInInterlaceMode) {
  open(Mode::interlace, "insert into t(ts, v) values(?,?)");
  EXPECT_EQ(bind({times({1, 2})}, nullptr, {}, 0), code_of(0x022A));
}

TEST_F(StandinStatement, RemembersAFailureUntilItIsPreparedAgain) {
  open(Mode::columns, "insert into t values(?,?,?)");
  const auto text = [](const std::string& value) { return Column{kVarchar, {}, {}, {}, 0}.text(value); };
  EXPECT_EQ(bind({times({1}), ints({1}), text("a")}), 0);
  EXPECT_EQ(bind({times({2}), ints({2}), text("123456789")}), code_of(0x2653));
  EXPECT_EQ(bind({times({3}), ints({3}), text("c")}), code_of(0x2653));
  EXPECT_EQ(execute(), code_of(0x2653));
  EXPECT_EQ(error(), "Value too long for column/tag");
  EXPECT_EQ(prepare("insert into t values(?,?,?)"), 0);
  EXPECT_EQ(bind({times({3}), ints({3}), text("c")}), 0);
  EXPECT_EQ(execute(), 0);
  EXPECT_EQ(rows("select ts from t"), "3\n") << "what was bound before the failure is lost";
}

TEST_F(StandinStatement, DiesOfAnAlterInInterlaceMode) {
  open(Mode::interlace, "insert into t(ts, v) values(?,?)");
  EXPECT_EQ(bind({times({1}), ints({1})}), 0);
  EXPECT_EQ(execute(), 0);
  run("alter table t add column more int");
  EXPECT_EQ(bind({times({2}), ints({2})}), 0) << "only the execution meets the new schema";
  EXPECT_EQ(execute(), code_of(0x0125));
  EXPECT_EQ(prepare("insert into t(ts, v) values(?,?)"), code_of(0x0125)) << "cannot be saved";
  EXPECT_EQ(STANDIN(library, taos_stmt2_close)(stmt), 0);
  open(Mode::interlace, "insert into t(ts, v) values(?,?)");
  EXPECT_EQ(bind({times({2}), ints({2})}), 0);
  EXPECT_EQ(execute(), 0);
}

TEST_F(StandinStatement, GoesOnWithTheOldSchemaByColumns) {
  open(Mode::columns, "insert into t values(?,?,?)");
  const auto row = [&](std::int64_t time) {
    return bind({times({time}), ints({1}), Column{kVarchar, {}, {}, {}, 0}.text("a")});
  };
  EXPECT_EQ(row(1), 0);
  EXPECT_EQ(execute(), 0);
  run("alter table t add column more int");
  EXPECT_EQ(row(2), 0);
  run("alter table t add column yet_more int");
  EXPECT_EQ(execute(), 0);
  EXPECT_EQ(row(3), 0);
  EXPECT_EQ(execute(), 0);
  EXPECT_EQ(rows("select * from t"), "1 1 a NULL NULL\n2 1 a NULL NULL\n3 1 a NULL NULL\n");
}

/// Codes of asynchronous executions, one after the other.
struct Executions {
  explicit Executions(const Library& from) : library(from) {}
  const Library& library;
  std::promise<int> next;
  int affected = 0;
  static void callback(void* param, TAOS_RES* result, int code) {
    auto& it = *static_cast<Executions*>(param);
    it.affected = STANDIN(it.library, taos_affected_rows)(result);
    it.next.set_value(code);
  }
  int wait() {
    const int code = next.get_future().get();
    next = {};
    return code;
  }
};

TEST_F(StandinStatement, ExecutesLaterAndNeedsACacheResetAfterAnAlter) {
  Executions executions(library);
  const char* const sql = "insert into t(ts, v) values(?,?)";
  open(Mode::interlace, sql, Executions::callback, &executions);
  EXPECT_EQ(bind({times({1, 2}), ints({1, 2})}), 0);
  int untouched = -5;
  EXPECT_EQ(execute(&untouched), 0);
  EXPECT_EQ(executions.wait(), 0);
  EXPECT_EQ(untouched, -5);
  EXPECT_EQ(executions.affected, 2);
  run("alter table t add column more int");
  const auto again = [&] {
    EXPECT_EQ(bind({times({3}), ints({3})}), 0);
    EXPECT_EQ(execute(), 0);
    return executions.wait();
  };
  EXPECT_EQ(again(), code_of(0x061B));
  EXPECT_EQ(prepare(sql), 0);
  EXPECT_EQ(again(), code_of(0x061B)) << "the client still believes its cache";
  run("reset query cache");
  EXPECT_EQ(prepare(sql), 0);
  EXPECT_EQ(again(), 0);
  EXPECT_EQ(rows("select v from t"), "1\n2\n3\n");
}

TEST_F(StandinStatement, BindsOnAnotherThread) {
  open(Mode::columns, "insert into t(ts, v) values(?,?)");
  auto time = times({1});
  auto value = ints({9});
  TAOS_STMT2_BIND binds[] = {time.bind(), value.bind()};
  TAOS_STMT2_BIND* list = binds;
  TAOS_STMT2_BINDV bindv{1, nullptr, nullptr, &list};
  std::promise<int> bound;
  const auto done = [](void* param, TAOS_RES*, int code) { static_cast<std::promise<int>*>(param)->set_value(code); };
  EXPECT_EQ(STANDIN(library, taos_stmt2_bind_param_a)(stmt, &bindv, -1, done, &bound), 0);
  EXPECT_EQ(bound.get_future().get(), 0);
  EXPECT_EQ(execute(), 0);
  EXPECT_EQ(rows("select v from t"), "9\n");
}

TEST_F(StandinStatement, RefusesCallsWhileItBindsElsewhere) {
  open(Mode::columns, "insert into t(ts, v) values(?,?)");
  auto time = times({1});
  auto value = ints({9});
  TAOS_STMT2_BIND binds[] = {time.bind(), value.bind()};
  TAOS_STMT2_BIND* list = binds;
  TAOS_STMT2_BINDV bindv{1, nullptr, nullptr, &list};
  std::promise<int> bound;
  const auto done = [](void* param, TAOS_RES*, int code) { static_cast<std::promise<int>*>(param)->set_value(code); };
  STANDIN(library, penstock_standin_delay)("taos_stmt2_bind_param_a callback", 500);
  EXPECT_EQ(STANDIN(library, taos_stmt2_bind_param_a)(stmt, &bindv, -1, done, &bound), 0);
  EXPECT_EQ(bind({times({2}), ints({2})}), code_of(0x022A));
  EXPECT_EQ(execute(), code_of(0x022A));
  EXPECT_EQ(bound.get_future().get(), 0);
  EXPECT_EQ(execute(), 0) << "that refusal does not stick";
  EXPECT_EQ(rows("select v from t"), "9\n");
}

TEST_F(StandinStatement, KeepsTheResultOfAQuery) {
  run("insert into t values (1, 1, 'a') (2, 2, 'b') (3, 3, 'b')");
  open(Mode::columns, "select v from t where s = ? and v > ?");
  int count = 0;
  EXPECT_EQ(STANDIN(library, taos_stmt2_get_fields)(stmt, &count, nullptr), 0);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(bind({Column{kVarchar, {}, {}, {}, 0}.text("b"), ints({2})}), 0);
  EXPECT_EQ(execute(), 0);
  TAOS_RES* const result = STANDIN(library, taos_stmt2_result)(stmt);
  EXPECT_EQ(rows_of(result), "3\n");
  STANDIN(library, taos_free_result)(result);
  expected_misuses = 1;  // it is the statement's
  EXPECT_EQ(STANDIN(library, taos_field_count)(result), 1);
}

TEST_F(StandinStatement, RefusesTagsThatAreTooLong) {
  open(Mode::columns, "insert into ? using m tags(?,?) values(?,?,?)");
  const auto row = [&](const std::string& place) {
    return bind({times({1}), ints({1}), Column{kVarchar, {}, {}, {}, 0}.text("a")}, "c",
                {ints({1}), Column{10, {}, {}, {}, 0}.text(place)});
  };
  EXPECT_EQ(row("123456789"), code_of(0x2653)) << "characters";
  EXPECT_EQ(prepare("insert into ? using m tags(?,?) values(?,?,?)"), 0);
  EXPECT_EQ(row(std::string(33, 'x')), code_of(0x0200)) << "bytes";
  EXPECT_EQ(error(), "tag length is too big");
}

// --- first generation ---

struct Bind1 {
  std::string buffer;
  std::vector<std::int32_t> lengths;
  std::string is_null;
  TAOS_MULTI_BIND bind{};
};

/// Values of variable length lie `stride` bytes apart.
std::unique_ptr<Bind1> texts(const std::vector<const char*>& list, std::size_t stride) {
  auto made = std::make_unique<Bind1>();
  for (const char* const value : list) {
    std::string slot = value == nullptr ? "" : value;
    made->lengths.push_back(static_cast<std::int32_t>(slot.size()));
    made->is_null += value == nullptr ? '\1' : '\0';
    slot.resize(stride, '?');
    made->buffer += slot;
  }
  made->bind = {
      kVarchar, made->buffer.data(), stride, made->lengths.data(), made->is_null.data(), static_cast<int>(list.size())};
  return made;
}

template <class Value>
std::unique_ptr<Bind1> numbers(int type, std::initializer_list<Value> list) {
  auto made = std::make_unique<Bind1>();
  for (const auto value : list) made->buffer.append(reinterpret_cast<const char*>(&value), sizeof value);
  made->bind = {type, made->buffer.data(), sizeof(Value), nullptr, nullptr, static_cast<int>(list.size())};
  return made;
}

TEST_F(StandinStatement, OfTheFirstGenerationStoresRowsOfManyTables) {
  TAOS_STMT* const first = STANDIN(library, taos_stmt_init)(taos);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(STANDIN(library, taos_stmt_prepare)(first, "insert into ? using m tags(?,?) values(?,?,?)", 0), 0);
  int answer = 0;
  EXPECT_EQ(STANDIN(library, taos_stmt_is_insert)(first, &answer), 0);
  EXPECT_EQ(answer, 1);
  const auto tag = numbers<std::int32_t>(kInt, {7});
  auto place = texts({"here"}, 16);
  place->bind.buffer_type = 10;
  for (const char* const table : {"c1", "c2"}) {
    TAOS_MULTI_BIND tags[] = {tag->bind, place->bind};
    EXPECT_EQ(STANDIN(library, taos_stmt_set_tbname_tags)(first, table, tags), 0);
    const auto time = numbers<std::int64_t>(kTimestamp, {1, 2});
    const auto value = numbers<std::int32_t>(kInt, {10, 20});
    const auto text = texts({"abc", nullptr}, 8);
    TAOS_MULTI_BIND columns[] = {time->bind, value->bind, text->bind};
    EXPECT_EQ(STANDIN(library, taos_stmt_bind_param_batch)(first, columns), 0);
    EXPECT_EQ(STANDIN(library, taos_stmt_add_batch)(first), 0);
  }
  TAOS_FIELD_E* fields = nullptr;
  EXPECT_EQ(STANDIN(library, taos_stmt_get_col_fields)(first, &answer, &fields), 0);
  ASSERT_EQ(answer, 3);
  EXPECT_STREQ(fields[2].name, "s");
  EXPECT_EQ(fields[2].bytes, 10);
  STANDIN(library, taos_stmt_reclaim_fields)(first, fields);
  EXPECT_EQ(STANDIN(library, taos_stmt_get_tag_fields)(first, &answer, &fields), 0);
  ASSERT_EQ(answer, 2);
  EXPECT_EQ(fields[1].bytes, 34);
  STANDIN(library, taos_stmt_reclaim_fields)(first, fields);
  EXPECT_EQ(STANDIN(library, taos_stmt_execute)(first), 0) << STANDIN(library, taos_stmt_errstr)(first);
  EXPECT_EQ(STANDIN(library, taos_stmt_affected_rows)(first), 4);
  EXPECT_EQ(STANDIN(library, taos_stmt_affected_rows_once)(first), 4);
  EXPECT_EQ(STANDIN(library, taos_stmt_close)(first), 0);
  EXPECT_EQ(rows("select tbname, ts, v, s, g, loc from m order by tbname, ts"),
            "c1 1 10 abc 7 here\nc1 2 20 NULL 7 here\nc2 1 10 abc 7 here\nc2 2 20 NULL 7 here\n");
}

TEST_F(StandinStatement, OfTheFirstGenerationTakesRowsAndColumnsAndQueries) {
  TAOS_STMT* const first = STANDIN(library, taos_stmt_init_with_reqid)(taos, 5);
  EXPECT_EQ(STANDIN(library, taos_stmt_prepare)(first, "insert into t values(?,?,?)", 0), 0);
  const auto time = numbers<std::int64_t>(kTimestamp, {1});
  const auto value = numbers<std::int32_t>(kInt, {10});
  const auto text = texts({"abc"}, 8);
  TAOS_MULTI_BIND row[] = {time->bind, value->bind, text->bind};
  EXPECT_EQ(STANDIN(library, taos_stmt_bind_param)(first, row), 0);
  EXPECT_EQ(STANDIN(library, taos_stmt_add_batch)(first), 0);
  const auto later = numbers<std::int64_t>(kTimestamp, {2, 3});
  const auto values = numbers<std::int32_t>(kInt, {20, 30});
  const auto words = texts({"d", "e"}, 4);
  int index = 0;
  for (auto* const column : {later.get(), values.get(), words.get()}) {
    EXPECT_EQ(STANDIN(library, taos_stmt_bind_single_param_batch)(first, &column->bind, index++), 0);
  }
  EXPECT_EQ(STANDIN(library, taos_stmt_add_batch)(first), 0);
  EXPECT_EQ(STANDIN(library, taos_stmt_execute)(first), 0);
  EXPECT_EQ(STANDIN(library, taos_stmt_affected_rows)(first), 3);

  EXPECT_EQ(STANDIN(library, taos_stmt_prepare)(first, "select s from t where v > ?", 0), 0);
  int count = 0;
  EXPECT_EQ(STANDIN(library, taos_stmt_num_params)(first, &count), 0);
  EXPECT_EQ(count, 1);
  const auto limit = numbers<std::int32_t>(kInt, {15});
  TAOS_MULTI_BIND parameter[] = {limit->bind};
  EXPECT_EQ(STANDIN(library, taos_stmt_bind_param)(first, parameter), 0);
  EXPECT_EQ(STANDIN(library, taos_stmt_add_batch)(first), 0);
  EXPECT_EQ(STANDIN(library, taos_stmt_execute)(first), 0) << STANDIN(library, taos_stmt_errstr)(first);
  EXPECT_EQ(rows_of(STANDIN(library, taos_stmt_use_result)(first)), "d\ne\n");
  EXPECT_EQ(STANDIN(library, taos_stmt_close)(first), 0);
}

}  // namespace
}  // namespace penstock::test
