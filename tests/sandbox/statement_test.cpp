#include <gtest/gtest.h>

#include <memory>

#include "sandbox/stmt1_session.h"
#include "sandbox/stmt2_session.h"
#include "wire/stmt2.h"

/// The state machines of prepared statements, without a network. What the wire says of them is in the records.
namespace penstock::test {
namespace {

using data::Type;
using sandbox::BoundColumn;
using sandbox::Stmt1Statement;
using sandbox::Stmt2Session;

class Statements : public testing::Test {
 protected:
  Statements() {
    session->execute("create database d keep 36500");
    session->execute("use d");
    session->execute("create table st (ts timestamp, v int, s varchar(8)) tags (g int, l nchar(8))");
    session->execute("create table nt (ts timestamp, v int, s varchar(8))");
  }
  static BoundColumn times(std::initializer_list<std::int64_t> values) {
    BoundColumn column;
    column.type = Type::timestamp;
    for (const auto value : values) column.add_fixed(static_cast<std::uint64_t>(1700000000000 + value));
    return column;
  }
  static BoundColumn numbers(std::initializer_list<std::int32_t> values) {
    BoundColumn column;
    column.type = Type::integer;
    for (const auto value : values) column.add_fixed(static_cast<std::uint32_t>(value));
    return column;
  }
  static BoundColumn texts(std::initializer_list<const char*> values) {
    BoundColumn column;
    column.type = Type::varchar;
    for (const auto* value : values) value == nullptr ? column.add_null() : column.add_text(value);
    return column;
  }
  std::string rows(std::string_view sql) {
    std::string text;
    for (const auto& row : session->execute(sql).rows) {
      for (const auto& cell : row) {
        text += cell.state != sandbox::Value::State::value ? "NULL"
                : cell.text.empty()                        ? std::to_string(static_cast<std::int32_t>(cell.bits))
                                                           : cell.text;
        text += ' ';
      }
      text += '|';
    }
    return text;
  }
  template <class Call>
  static std::int32_t code_of(Call call) {
    try {
      call();
    } catch (const sandbox::RefusalError& error) {
      return error.refusal().code;
    }
    return 0;
  }

  std::unique_ptr<sandbox::Engine> engine = sandbox::Engine::open({});
  std::unique_ptr<sandbox::Session> session = engine->login("root", "taosdata", "");
};

TEST_F(Statements, FirstGenerationBindsColumnByColumn) {
  Stmt1Statement statement;
  EXPECT_TRUE(statement.prepare("insert into nt values(?,?,?)"));
  statement.bind_column(*session, times({0, 1}), 0);
  statement.bind_column(*session, numbers({7, 8}), 1);
  statement.bind_column(*session, texts({"a", nullptr}), 2);
  statement.add_batch();
  EXPECT_EQ(statement.execute(*session), 2);
  statement.bind_column(*session, times({2}), 0);
  EXPECT_EQ(code_of([&] { statement.bind_column(*session, texts({"a"}), 2); }), 0x022A) << "a column is missing";
  EXPECT_EQ(rows("select v, s from nt"), "7 a |8 NULL |");
  EXPECT_EQ(statement.total_affected_rows(), 2);
}

TEST_F(Statements, FirstGenerationTakesDecimalsAsText) {
  session->execute("create table dec (ts timestamp, e decimal(10,2))");
  Stmt1Statement statement;
  statement.prepare("insert into dec values(?,?)");
  BoundColumn column;
  column.type = Type::decimal64;
  column.add_null();
  column.add_text("-1.5");
  column.add_null();
  EXPECT_EQ(code_of([&] { column.add_fixed(1); }), 0x0200) << "text and images do not mix";
  statement.bind(*session, {times({0, 1, 2}), column});
  statement.add_batch();
  EXPECT_EQ(statement.execute(*session), 3);
  EXPECT_EQ(rows("select cast(e as varchar(20)) from dec"), "NULL |-1.50 |NULL |");
}

TEST_F(Statements, FirstGenerationReadsQuotedNames) {
  session->execute("create table `a b` using st tags(1, 'x')");
  Stmt1Statement statement;
  statement.prepare("insert into ? values(?,?,?)");
  EXPECT_EQ(code_of([&] {
              Stmt1Statement other;
              other.prepare("insert into ? values(?,?,?)");
              other.set_table_name(*session, "`no.db`.t");
            }),
            0x0388);
  statement.set_table_name(*session, "d.`a b`");
  EXPECT_EQ(statement.column_fields(*session).size(), 3u);
  statement.bind(*session, {times({0}), numbers({1}), texts({"x"})});
  statement.add_batch();
  EXPECT_EQ(statement.execute(*session), 1);
}

TEST_F(Statements, FirstGenerationKeepsCaseOfNamesAndCountsAll) {
  Stmt1Statement statement;
  statement.prepare("insert into ? using st tags(?, ?) values(?,?,?)");
  for (const auto* name : {"A", "a", "d.B"}) {
    statement.set_table_name(*session, name);
    sandbox::Value tag;
    tag.state = sandbox::Value::State::value;
    tag.bits = 5;
    statement.set_tags(*session, {tag});
    statement.bind(*session, {times({0}), numbers({1}), texts({name})});
    statement.add_batch();
  }
  EXPECT_EQ(statement.execute(*session), 3);
  EXPECT_EQ(rows("select tbname, g, l from st order by tbname"), "A 5 NULL |B 5 NULL |a 5 NULL |");
  statement.set_table_name(*session, "A");
  statement.bind(*session, {times({1}), numbers({1}), texts({"x"})});
  statement.add_batch();
  EXPECT_EQ(statement.execute(*session), 1);
  EXPECT_EQ(statement.total_affected_rows(), 4);
}

TEST_F(Statements, FirstGenerationIsSpoiltByABadBindOnly) {
  Stmt1Statement statement;
  statement.prepare("insert into nt values(?,?,?)");
  EXPECT_EQ(code_of([&] { statement.tag_fields(*session); }), 0x022A) << "look-ups never spoil";
  EXPECT_EQ(code_of([&] { statement.bind(*session, {times({}), numbers({}), texts({})}); }), 0x0236);
  statement.bind(*session, {times({0}), numbers({1}), texts({"a"})});
  EXPECT_EQ(code_of([&] { statement.bind(*session, {times({0}), numbers({1}), texts({"123456789"})}); }), 0x2653);
  EXPECT_EQ(code_of([&] { statement.add_batch(); }), 0x2653);
  EXPECT_EQ(code_of([&] { statement.execute(*session); }), 0x2653);
  EXPECT_EQ(code_of([&] { statement.prepare("insert into nt values(?,?,?)"); }), 0x2653);
  EXPECT_EQ(rows("select count(*) from nt"), "0 |");
}

TEST_F(Statements, FirstGenerationIsParsedAnewAfterAlter) {
  Stmt1Statement statement;
  statement.prepare("insert into nt(ts,v) values(?,?)");
  statement.bind(*session, {times({0}), numbers({1})});
  statement.add_batch();
  session->execute("alter table nt add column more int");
  EXPECT_EQ(code_of([&] { statement.execute(*session); }), 0x0125);
  statement.bind(*session, {times({0}), numbers({1})});
  statement.add_batch();
  EXPECT_EQ(statement.execute(*session), 1);
}

TEST_F(Statements, FirstGenerationAsks) {
  session->execute("insert into nt values (1700000000000, 1, 'a') (1700000000001, 2, 'b')");
  Stmt1Statement statement;
  EXPECT_FALSE(statement.prepare("select v from nt where v > ? and s = ?"));
  EXPECT_EQ(statement.parameter_count(*session), 2u);
  for (int round = 0; round < 2; ++round) {
    statement.bind(*session, {numbers({1}), texts({"b"})});
    statement.add_batch();
    EXPECT_EQ(statement.execute(*session), 0);
    EXPECT_EQ(statement.take_result().rows.size(), 1u);
    EXPECT_EQ(code_of([&] { statement.take_result(); }), 0xFFFF);
  }
  EXPECT_EQ(code_of([&] { statement.bind(*session, {numbers({1})}); }), 0x0236);
}

// --- stmt2_bind_exec ---

/// Rows (table, time, v, s, g) as one message.
std::string bind_exec(std::uint32_t runs, std::initializer_list<std::string_view> tables,
                      Type tag_type = Type::integer) {
  const auto count = static_cast<std::uint32_t>(tables.size());
  wire::Stmt2ExecEncoder encoder;
  encoder.begin(count);
  std::size_t bytes = 0;
  for (const auto table : tables) bytes += table.size();
  const auto names = encoder.variable_field(Type::varchar, bytes);
  std::size_t at = 0;
  std::size_t r = 0;
  for (const auto table : tables) {
    names.state[r] = 0;
    wire::store(names.lengths + 4 * r++, static_cast<std::int32_t>(table.size()));
    std::copy(table.begin(), table.end(), names.data + at);
    at += table.size();
  }
  const auto fixed = [&](Type type, std::size_t size, auto value_of) {
    const auto column = encoder.fixed_field(type);
    for (std::size_t row = 0; row < count; ++row) {
      column.state[row] = 0;
      const std::uint64_t value = value_of(row);
      std::copy_n(reinterpret_cast<const char*>(&value), size, column.values + size * row);
    }
  };
  fixed(Type::timestamp, 8, [](std::size_t row) { return 1700000000000 + row; });
  fixed(Type::integer, 4, [](std::size_t row) { return 10 + row; });
  const auto text = encoder.variable_field(Type::varchar, count);
  for (std::size_t row = 0; row < count; ++row) {
    text.state[row] = 0;
    wire::store(text.lengths + 4 * row, std::int32_t{1});
    text.data[row] = static_cast<char>('a' + row);
  }
  fixed(tag_type, tag_type == Type::integer ? 4 : 8, [](std::size_t row) { return 100 + row; });
  return encoder.join(1, 1, runs);
}

TEST_F(Statements, BindExecStoresRunsOfTables) {
  Stmt2Session statements;
  statements.open(1);
  statements.prepare(*session, 1, "insert into st(tbname,ts,v,s,g) values(?,?,?,?,?)", true);
  EXPECT_EQ(statements.bind_execute(*session, 1, bind_exec(3, {"u1", "u1", "u22", "u1"})), 4);
  EXPECT_EQ(rows("select tbname, v, s, g from st order by tbname, ts"),
            "u1 10 a 100 |u1 11 b 100 |u1 13 d 100 |u22 12 c 102 |");
  EXPECT_EQ(statements.bind_execute(*session, 1, bind_exec(1, {"u3"})), 1) << "the statement stays usable";
}

TEST_F(Statements, BindExecRefusesWhatContradictsTheStatement) {
  const struct {
    const char* why;
    std::string message;
    std::int32_t code;
  } cases[] = {{"other number of runs", bind_exec(2, {"u1", "u1"}), 0x0236},
               {"a table without a name", bind_exec(1, {""}), 0x022B}};
  for (const auto& one : cases) {
    Stmt2Session statements;
    statements.open(1);
    statements.prepare(*session, 1, "insert into st(tbname,ts,v,s,g) values(?,?,?,?,?)", true);
    EXPECT_EQ(code_of([&] { statements.bind_execute(*session, 1, std::string(one.message)); }), one.code) << one.why;
    EXPECT_NE(code_of([&] { statements.bind_execute(*session, 1, bind_exec(1, {"u1"})); }), 0)
        << "spoilt until prepared";
    statements.prepare(*session, 1, "insert into st(tbname,ts,v,s,g) values(?,?,?,?,?)", true);
    EXPECT_EQ(statements.bind_execute(*session, 1, bind_exec(1, {"u1"})), 1);
  }
  Stmt2Session statements;
  statements.open(1);
  EXPECT_EQ(code_of([&] { statements.bind_execute(*session, 1, bind_exec(1, {"u1"})); }), 0x022A) << "not prepared";
  statements.prepare(*session, 1, "insert into st(tbname,ts,v,s) values(?,?,?,?)", true);
  EXPECT_EQ(code_of([&] { statements.bind_execute(*session, 1, bind_exec(1, {"u1"})); }), 0x0236) << "too many fields";
}

TEST_F(Statements, BindExecAsks) {
  session->execute("insert into nt values (1700000000000, 1, 'a') (1700000000001, 2, 'b')");
  Stmt2Session statements;
  statements.open(1);
  statements.prepare(*session, 1, "select v from nt where v > ?", true);
  wire::Stmt2ExecEncoder encoder;
  encoder.begin(1);
  const auto column = encoder.fixed_field(Type::integer);
  column.state[0] = 0;
  wire::store(column.values, std::int32_t{1});
  EXPECT_EQ(statements.bind_execute(*session, 1, encoder.join(1, 1, 1)), 0);
  EXPECT_EQ(statements.take_result(1).rows.size(), 1u);
}

}  // namespace
}  // namespace penstock::test
