#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "sandbox/server.h"
#include "sandbox/server_ws.h"
#include "sandbox/stmt1_decode.h"
#include "sandbox/ws_test_client.h"
#include "wire/block.h"
#include "wire/stmt2.h"

/// Seeded random damage to what clients send: every message is answered or left without an answer as the protocol has
/// it, nothing crashes, and the dialogue goes on.
namespace penstock::test {
namespace {

using data::Type;
using Json = nlohmann::json;

std::string damaged(std::string message, std::mt19937_64& random, std::size_t from) {
  switch (random() % 4) {
    case 0: message.resize(random() % (message.size() + 1)); break;
    case 1: message.append(random() % 64, static_cast<char>(random())); break;
    default: break;
  }
  const auto changes = random() % 4;
  for (std::uint64_t i = 0; i < changes && message.size() > from; ++i) {
    auto& byte = message[from + random() % (message.size() - from)];
    constexpr unsigned char kOdd[] = {0, 1, 0x7f, 0x80, 0xff};
    byte = static_cast<char>(random() % 2 == 0 ? kOdd[random() % std::size(kOdd)] : random() % 256);
  }
  return message;
}

std::string block_of_every_type() {
  wire::BlockWriter writer({{Type::timestamp, 8},
                            {Type::integer, 4},
                            {Type::varchar, 22},
                            {Type::nchar, 42},
                            {Type::float64, 8},
                            {Type::varbinary, 22},
                            {Type::boolean, 1}});
  for (std::uint64_t r = 0; r < 3; ++r) {
    writer.add_fixed(0, 1700000000000 + r);
    r == 1 ? writer.add_null(1) : writer.add_fixed(1, r);
    r == 1 ? writer.add_null(2) : writer.add_text(2, "abc");
    r == 1 ? writer.add_null(3) : writer.add_text(3, "\xe4\xb8\xad\xe6\x96\x87");
    writer.add_fixed(4, 0);
    writer.add_text(5, "\xff\x01");
    writer.add_fixed(6, 1);
  }
  return writer.finish(3);
}

class Damage : public testing::Test {
 protected:
  Damage() {
    sandbox::WsDialogue::Options options;
    options.bind_exec = true;
    dialogue = std::make_unique<sandbox::WsDialogue>(*engine, options);
    const Json super = {{"sql",
                         "create table st (ts timestamp, i int, s varchar(20), n nchar(10), d double, "
                         "vb varbinary(20), b bool) tags (g int, l nchar(8))"}};
    for (const auto& made :
         {request("conn", {{"user", "root"}, {"password", "taosdata"}, {"db", ""}}),
          request("query", {{"sql", "create database dmg keep 36500"}}), request("query", {{"sql", "use dmg"}}),
          request("query", super), request("init", Json::object()),
          request("stmt2_init", {{"single_stb_insert", true}, {"single_table_bind_once", false}})}) {
      EXPECT_NE(text(made).find("\"code\":0"), std::string::npos) << made;
    }
  }
  static std::string request(std::string_view action, Json args) {
    args["req_id"] = 1;
    return Json{{"action", action}, {"args", std::move(args)}}.dump();
  }
  std::string of_statement(std::string_view action, Json args = Json::object()) {
    args["stmt_id"] = statement;
    return text(request(action, std::move(args)));
  }
  std::string text(std::string message) { return answer({false, std::move(message)}); }
  std::string answer(sandbox::WsMessage message) {
    const auto reply = dialogue->handle(std::move(message));
    return reply ? reply->payload : std::string();
  }
  void prepare_first_generation() {
    of_statement("close");
    statement = Json::parse(text(request("init", Json::object())))["stmt_id"];
    of_statement("prepare", {{"sql", "insert into ? using st tags(?,?) values(?,?,?,?,?,?,?)"}});
    EXPECT_NE(of_statement("set_table_name", {{"name", "c1"}}).find("\"code\":0"), std::string::npos);
  }
  /// Codes of the answers, for the record and to see that the damage reaches deep.
  void count(const std::string& reply) {
    const auto at = reply.find("\"code\":");
    ++codes[at == std::string::npos ? std::string("none") : reply.substr(at + 7, reply.find(',', at) - at - 7)];
  }
  void show(const char* what) const {
    std::cout << what << ":";
    for (const auto& [code, times] : codes) std::cout << ' ' << code << " x" << times;
    std::cout << '\n';
  }

  std::unique_ptr<sandbox::Engine> engine = sandbox::Engine::open({});
  std::unique_ptr<sandbox::WsDialogue> dialogue;
  std::uint64_t statement = 1;
  std::map<std::string, int> codes;
};

TEST_F(Damage, BinaryBindsOfTheFirstGeneration) {
  std::mt19937_64 random(7);
  const std::string block = block_of_every_type();
  for (int round = 0; round < 3000; ++round) {
    prepare_first_generation();
    std::string message(24, '\0');
    wire::store<std::uint64_t>(message.data(), 9);
    wire::store<std::uint64_t>(message.data() + 8, statement);
    wire::store<std::uint64_t>(message.data() + 16, 1 + random() % 2);
    count(answer({true, damaged(message + block, random, 24)}));
    // Out of order too: what was refused must not be stored by what comes behind it.
    if (round % 3 != 0) count(of_statement("add_batch"));
    count(of_statement("exec"));
  }
  show("binary binds");
  EXPECT_GT(codes["0"], 100);
  EXPECT_GT(codes["65535"], 100);
  EXPECT_EQ(codes["none"], 0);
}

TEST_F(Damage, JsonBindsOfTheFirstGeneration) {
  std::mt19937_64 random(8);
  constexpr std::string_view kValues[] = {"1",
                                          "-1",
                                          "1.5",
                                          "null",
                                          "true",
                                          "\"abc\"",
                                          "\"00ff\"",
                                          "\"0g\"",
                                          "[]",
                                          "[[]]",
                                          "{}",
                                          "1e30",
                                          "1e308",
                                          "18446744073709551615",
                                          "\"2023-11-14T22:13:20Z\"",
                                          "\"2023-11-14T22:13:20.5+08:00\"",
                                          "1700000000000",
                                          "\"\"",
                                          "\"2023-99-99T99:99:99Z\""};
  const auto value = [&] { return std::string(kValues[random() % std::size(kValues)]); };
  for (int round = 0; round < 3000; ++round) {
    prepare_first_generation();
    const bool tags = random() % 4 == 0;
    const auto rows = random() % 3;
    std::string list;
    for (std::uint64_t c = 0, n = random() % 2 == 0 ? (tags ? 2 : 7) : random() % 10; c < n; ++c) {
      std::string column = tags ? value() : std::string();
      if (!tags) {
        for (std::uint64_t r = 0; r < rows + (random() % 40 == 0 ? 1 : 0); ++r) {
          const bool plain = random() % 2 == 0;
          constexpr std::string_view kFit[] = {"1700000000000", "1", "\"a\"", "\"b\"", "2.5", "\"ff\"", "true"};
          column += (r == 0 ? "" : ",") + (plain || random() % 4 != 0 ? std::string(kFit[c % 7]) : value());
        }
        column = "[" + column + "]";
      }
      list += (c == 0 ? "" : ",") + column;
    }
    // The list as text: dumping it would repair what is wrong with it.
    count(text(std::string(R"({"action":")") + (tags ? "set_tags" : "bind") + R"(","args":{"req_id":2,"stmt_id":)" +
               std::to_string(statement) + (tags ? R"(,"tags":[)" : R"(,"columns":[)") + list + "]}}"));
    // Out of order too: what was refused must not be stored by what comes behind it.
    if (round % 3 != 0) count(of_statement("add_batch"));
    count(of_statement("exec"));
  }
  show("JSON binds");
  EXPECT_GT(codes["0"], 100);
  EXPECT_GT(codes["65535"], 100);
  EXPECT_EQ(codes["none"], 0);
}

TEST_F(Damage, BindExec) {
  std::mt19937_64 random(9);
  wire::Stmt2ExecEncoder encoder;
  encoder.begin(3);
  const auto fill = [](wire::VariableColumn column, std::string_view cell) {
    for (std::size_t r = 0; r < 3; ++r) {
      column.state[r] = 0;
      wire::store(column.lengths + 4 * r, static_cast<std::int32_t>(cell.size()));
      std::copy(cell.begin(), cell.end(), column.data + r * cell.size());
    }
  };
  const auto fixed = [](wire::FixedColumn column, std::uint64_t base) {
    for (std::size_t r = 0; r < 3; ++r) {
      column.state[r] = 0;
      wire::store(column.values + 8 * r, base + r);
    }
  };
  fill(encoder.variable_field(Type::varchar, 6), "c2");
  fixed(encoder.fixed_field(Type::timestamp), 1700000000000);
  encoder.uniform_field(Type::integer, wire::CellState::null);
  fill(encoder.variable_field(Type::varchar, 9), "abc");
  const std::string good = encoder.join(4, 2, 1);
  int stored = 0;
  for (int round = 0; round < 3000; ++round) {
    if (round % 5 == 0) {
      statement = 2;
      of_statement("stmt2_prepare", {{"sql", "insert into st(tbname,ts,i,s) values(?,?,?,?)"}, {"get_fields", true}});
      text(request("query", {{"sql", "create table if not exists c2 using st tags(1,'x')"}}));
    }
    const auto reply = answer({true, round % 5 == 0 ? good : damaged(good, random, 24)});
    count(reply);
    stored += round % 5 == 0 && reply.find("\"affected\":3") != std::string::npos ? 1 : 0;
  }
  show("bind and execute");
  EXPECT_EQ(stored, 600) << "a damaged message must not spoil a statement that is prepared again";
  EXPECT_GT(codes["65535"], 100);
}

/// The endpoints before /ws know a part of the actions; whatever comes, they answer or keep silent, and go on.
TEST_F(Damage, OlderEndpoints) {
  using Endpoint = sandbox::WsDialogue::Endpoint;
  std::mt19937_64 random(12);
  const std::string login = request("conn", {{"user", "root"}, {"password", "taosdata"}, {"db", "dmg"}});
  const std::string requests[] = {
      login,
      request("query", {{"sql", "select * from st"}}),
      request("fetch", {{"id", 1}}),
      request("fetch_block", {{"id", 1}}),
      request("insert", {{"protocol", 1}, {"precision", "ms"}, {"data", "m,t=a f=1i64 1626006833639"}}),
      request("init", Json::object()),
      request("prepare", {{"stmt_id", 1}, {"sql", "insert into st values(?,?,?)"}}),
      request("bind", {{"stmt_id", 1}, {"columns", {{1}, {2}, {"x"}}}}),
      request("close", {{"stmt_id", 1}}),
      request("version", Json::object())};
  int silent = 0;
  int answered = 0;
  for (const auto endpoint : {Endpoint::rest_ws, Endpoint::rest_stmt, Endpoint::rest_schemaless}) {
    sandbox::WsDialogue::Options options;
    options.endpoint = endpoint;
    for (int round = 0; round < 40; ++round) {
      sandbox::WsDialogue old(*engine, options);
      if (round % 4 != 0) {
        EXPECT_TRUE(old.handle({false, login}).has_value());
      }
      for (int i = 0; i < 30; ++i) {
        const bool binary = random() % 5 == 0;
        std::string message = requests[random() % std::size(requests)];
        if (binary) {
          message.assign(24, '\0');
          wire::store<std::uint64_t>(message.data() + 16, random() % 12);
          message += block_of_every_type();
        }
        if (random() % 3 != 0) message = damaged(message, random, 0);
        ++(old.handle({binary, message}) ? answered : silent);
      }
    }
  }
  EXPECT_GT(silent, 100);
  EXPECT_GT(answered, 100);
}

/// Whatever the bytes are, the decoders give columns as long as the block says, or refuse.
TEST(DamagedBlocks, DecodeOrAreRefused) {
  std::mt19937_64 random(10);
  const std::string block = block_of_every_type();
  int decoded = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::string bytes = damaged(block, random, 0);
    try {
      const auto columns = sandbox::columns_from_block(bytes);
      ++decoded;
      for (const auto& column : columns) {
        ASSERT_EQ(column.rows(), columns.front().rows());
        for (std::size_t r = 0; r < std::min<std::size_t>(column.rows(), 10); ++r) static_cast<void>(column.value(r));
      }
    } catch (const sandbox::RefusalError& error) {
      ASSERT_FALSE(error.refusal().message.empty());
    }
    EXPECT_LE(sandbox::block_bytes(bytes), bytes.size());
  }
  EXPECT_GT(decoded, 1000);
  EXPECT_LT(decoded, 20'000);
}

}  // namespace
}  // namespace penstock::test
