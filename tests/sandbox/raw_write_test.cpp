#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "sandbox/server_ws.h"
#include "sandbox/ws_test_client.h"
#include "wire/block.h"
#include "wire/bytes.h"
#include "wire/messages.h"
#include "wire/tmq.h"

/// Blocks written back as they were read (binary actions 3, 4, 5).
namespace penstock::test {
namespace {

using data::Type;
using Json = nlohmann::json;

class RawWrite : public testing::Test {
 protected:
  RawWrite() {
    dialogue = std::make_unique<sandbox::WsDialogue>(*engine, sandbox::WsDialogue::Options{});
    ask(Json{{"action", "conn"}, {"args", {{"req_id", 1}, {"user", "root"}, {"password", "taosdata"}, {"db", ""}}}}
            .dump());
    query("create database d keep 36500");
  }
  std::string ask(std::string message, bool binary = false) {
    auto reply = dialogue->handle({binary, std::move(message)});
    return reply ? reply->payload.append(reply->tail) : std::string();
  }
  Json query(std::string_view sql) {
    return Json::parse(ask(Json{{"action", "query"}, {"args", {{"req_id", 2}, {"sql", sql}}}}.dump()));
  }
  /// Cells of the first block, rows between '|'.
  std::string rows(std::string_view sql) {
    const auto id = query(sql)["id"].get<std::uint64_t>();
    const auto answer = ask(wire::encode_fetch(3, id), true);
    const auto fetched = wire::decode_fetch_answer(answer);
    if (fetched.finished) return "";
    const auto block = wire::Block::decode(fetched.block);
    std::string text;
    for (std::uint32_t r = 0; r < block.rows(); ++r) {
      for (std::uint32_t c = 0; c < block.columns(); ++c) {
        text += (c == 0 ? "" : ",") + (block.is_null(r, c) ? std::string("NULL") : block.text(r, c));
      }
      text += '|';
    }
    return text;
  }
  static std::string message(std::uint64_t action, std::string_view rest) {
    std::string out;
    wire::append<std::uint64_t>(out, 33);
    wire::append<std::uint64_t>(out, 1);
    wire::append<std::uint64_t>(out, action);
    return out.append(rest);
  }
  static std::string block_message(std::uint64_t action, std::int32_t rows, std::string_view table,
                                   std::string_view block, std::string_view fields = {}) {
    std::string rest;
    wire::append<std::int32_t>(rest, rows);
    wire::append<std::uint16_t>(rest, static_cast<std::uint16_t>(table.size()));
    return message(action, rest.append(table).append(block).append(fields));
  }
  int code_of(std::string bytes) { return Json::parse(ask(std::move(bytes), true))["code"]; }

  std::unique_ptr<sandbox::Engine> engine = sandbox::Engine::open({});
  std::unique_ptr<sandbox::WsDialogue> dialogue;
};

// The message of section 9 of the facts, which a real server took.
TEST_F(RawWrite, TakesTheRecordedMessage) {
  query("use d");
  query("create table c1 (ts timestamp, v int)");
  const auto answer = Json::parse(ask(
      from_hex(
          "210000000000000001000000000000000400000000000000010000000200633101000000"
          "3d0000000100000002000000000000800000000000000000090800000004040000000800000004000000000068e5cf8b010000000700"
          "000000"),
      true));
  EXPECT_EQ(answer["code"], 0) << answer;
  EXPECT_EQ(answer["action"], "write_raw_block");
  EXPECT_EQ(answer["req_id"], 33);
  EXPECT_EQ(rows("select * from c1"), "1700000000000,7|");
}

TEST_F(RawWrite, RefusesAsTheRealServer) {
  wire::BlockWriter writer({{Type::timestamp, 8}, {Type::integer, 4}});
  writer.add_fixed(0, 1700000000000);
  writer.add_fixed(1, 1);
  const auto block = writer.finish(1);
  EXPECT_EQ(code_of(block_message(4, 1, "c1", block)), 0x2616) << "no database";
  query("use d");
  EXPECT_EQ(code_of(block_message(4, 1, "c1", block)), 0x2603) << "no table";
  query("create table c1 (ts timestamp, v int)");
  EXPECT_EQ(code_of(block_message(4, 2, "c1", block)), 0x0118) << "another number of rows";
  EXPECT_EQ(code_of(block_message(4, 1, "c1", block.substr(0, 40))), 0x0118);
  EXPECT_EQ(code_of(block_message(5, 1, "c1", block)), 0x0118) << "no fields";
  EXPECT_EQ(code_of(block_message(4, 1, "d.c1", block)), 0);
}

// What select gives of every kind of column goes into another table by name, in another order of columns.
TEST_F(RawWrite, FieldsNameTheColumns) {
  query("use d");
  query("create table a (ts timestamp, b bool, n nchar(8), s varchar(8), g bigint, d double, e decimal(20,3))");
  query(
      "insert into a values (1700000000000, true, '\xe4\xb8\xad', 'x', -5, 2.5, 1.5) (1700000000001, null, null, null, "
      "null, null, null)");
  query(
      "create table z (ts timestamp, e decimal(20,3), d double, more int, g bigint, s varchar(8), n nchar(8), b bool)");
  const auto asked = query("select * from a");
  const auto answer = ask(wire::encode_fetch(3, asked["id"]), true);
  const auto fetched = wire::decode_fetch_answer(answer);
  std::string fields;
  for (std::size_t c = 0; c < asked["fields_names"].size(); ++c) {
    std::string record = asked["fields_names"][c];
    record.resize(65);
    record += static_cast<char>(asked["fields_types"][c].get<int>());
    record.resize(68);
    wire::append<std::int32_t>(record, asked["fields_lengths"][c]);
    fields += record;
  }
  EXPECT_EQ(code_of(block_message(5, 2, "z", fetched.block, fields)), 0);
  EXPECT_EQ(rows("select ts, b, n, s, g, d, e from z order by ts"), rows("select * from a order by ts"));
  EXPECT_EQ(rows("select more from z"), "NULL|NULL|");
}

TEST_F(RawWrite, PayloadOfASubscription) {
  query("use d");
  query("create table st (ts timestamp, v int, s varchar(8)) tags (g int)");
  query("create table c1 using st tags (1)");
  wire::BlockWriter writer({{Type::timestamp, 8}, {Type::varchar, 10}});
  writer.add_fixed(0, 1700000000000);
  writer.add_text(1, "abc");
  const auto block = writer.finish(1, 2);
  const std::string head = wire::message_head(1, 2);
  wire::DataPayload payload;
  payload.head = head;
  payload.with_tables = true;
  payload.blocks.push_back({1, 0, block, 1, 0, 2, "c1"});
  payload.columns = {{Type::timestamp, 1, 8, 1, "ts"}, {Type::varchar, 1, 10, 3, "s"}};
  const auto bytes = wire::encode_data_payload(payload);
  const auto raw = [&](std::uint16_t type) {
    std::string rest;
    wire::append<std::uint32_t>(rest, static_cast<std::uint32_t>(bytes.size()));
    wire::append<std::uint16_t>(rest, type);
    return message(3, rest + bytes);
  };
  EXPECT_EQ(code_of(raw(2)), 0);
  EXPECT_EQ(rows("select * from c1"), "1700000000000,NULL,abc|");
  EXPECT_EQ(code_of(raw(531)), 0x0100);
  std::mt19937_64 random(3);
  for (int round = 0; round < 3000; ++round) {
    auto damaged = raw(2);
    for (int i = 0; i < 3; ++i) damaged[24 + random() % (damaged.size() - 24)] = static_cast<char>(random());
    if (round % 3 == 0) damaged.resize(24 + random() % (damaged.size() - 24));
    EXPECT_TRUE(Json::accept(ask(damaged, true)));
  }
  for (int round = 0; round < 3000; ++round) {
    auto damaged = block_message(4 + random() % 2, 1, "c1", block, std::string(144, 's'));
    for (int i = 0; i < 3; ++i) damaged[24 + random() % (damaged.size() - 24)] = static_cast<char>(random());
    if (round % 3 == 0) damaged.resize(24 + random() % (damaged.size() - 24));
    EXPECT_TRUE(Json::accept(ask(damaged, true)));
  }
}

}  // namespace
}  // namespace penstock::test
