#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sandbox/server.h"
#include "sandbox/ws_test_client.h"
#include "wire/block.h"
#include "wire/messages.h"

/// Rows that lie ready in the server: every one of them is what canned_source.h says.
namespace penstock::test {
namespace {

using Json = nlohmann::json;

class Canned : public testing::Test {
 protected:
  static sandbox::Server::Options options() {
    sandbox::Server::Options made;
    made.canned_rows = 50'000;
    return made;
  }
  Canned() { client.ask(R"({"action":"conn","args":{"req_id":1,"user":"root","password":"taosdata","db":""}})"); }
  Json query(std::string_view sql) {
    return Json::parse(client.ask(Json{{"action", "query"}, {"args", {{"req_id", 2}, {"sql", sql}}}}.dump()));
  }
  static void check(const wire::Block& block, std::uint64_t first) {
    ASSERT_EQ(block.columns(), 9u);
    for (std::uint32_t n = 0; n < block.rows(); ++n) {
      const std::uint64_t r = first + n;
      const std::uint64_t k = r % 16384;
      ASSERT_EQ(block.integer(n, 0), 1700000000000 + r);
      ASSERT_EQ(block.integer(n, 1), k % 2);
      for (std::uint32_t c = 2; c < 9; ++c) ASSERT_EQ(block.is_null(n, c), k % 16 == 15) << r;
      if (k % 16 == 15) continue;
      ASSERT_EQ(block.integer(n, 2), k);
      ASSERT_EQ(block.integer(n, 3), k * 1000003);
      ASSERT_EQ(block.integer(n, 4), (std::uint64_t{1} << 63) + k);
      ASSERT_EQ(block.real(n, 5), static_cast<double>(k) / 4);
      ASSERT_EQ(block.real(n, 6), static_cast<double>(k) / 8);
      ASSERT_EQ(block.text(n, 7), "text " + std::to_string(k));
      ASSERT_EQ(block.text(n, 8), "\xe6\x96\x87" + std::to_string(k));
    }
  }
  /// Rows of the next block, checked; 0 at the end.
  std::uint64_t fetch(const Json& result, std::uint64_t first) {
    const auto answer = client.ask_binary(wire::encode_fetch(3, result["id"]));
    const auto fetched = wire::decode_fetch_answer(answer);
    EXPECT_EQ(fetched.code, 0);
    if (fetched.finished) return 0;
    const auto block = wire::Block::decode(fetched.block);
    check(block, first);
    return block.rows();
  }

  sandbox::Server server{options()};
  WsTestClient client{server.port()};
};

TEST_F(Canned, BinaryFetchGivesEveryRow) {
  const auto result = query("select * from canned.rows");
  EXPECT_EQ(result["fields_names"], (Json{"ts", "b", "i", "g", "u", "f", "d", "s", "n"}));
  EXPECT_EQ(result["fields_lengths"], (Json{8, 1, 4, 8, 8, 4, 8, 16, 8}));
  std::uint64_t rows = 0;
  while (const auto got = fetch(result, rows)) rows += got;
  EXPECT_EQ(rows, 50'000u);
}

TEST_F(Canned, TextFetchGivesTheSame) {
  const auto result = query("SELECT * FROM canned.rows LIMIT 9000;");
  const Json args = {{"req_id", 4}, {"id", result["id"]}};
  std::uint64_t rows = 0;
  for (;;) {
    const auto moved = Json::parse(client.ask(Json{{"action", "fetch"}, {"args", args}}.dump()));
    if (moved["completed"]) break;
    const auto answer = client.ask(Json{{"action", "fetch_block"}, {"args", args}}.dump());
    const auto block = wire::Block::decode(wire::decode_fetch_block_answer(answer).block);
    EXPECT_EQ(block.rows(), moved["rows"]);
    check(block, rows);
    rows += block.rows();
  }
  EXPECT_EQ(rows, 9000u);
}

TEST_F(Canned, CompressedConnectionsGiveTheSame) {
  WsTestClient packed(server.port(), "/ws", true);
  packed.ask(R"({"action":"conn","args":{"req_id":1,"user":"root","password":"taosdata","db":""}})");
  const auto result =
      Json::parse(packed.ask(R"({"action":"query","args":{"req_id":2,"sql":"select * from canned.rows limit 5000"}})"));
  const auto answer = packed.ask_binary(wire::encode_fetch(3, result["id"]));
  const auto block = wire::Block::decode(wire::decode_fetch_answer(answer).block);
  EXPECT_EQ(block.rows(), 4096u);
  check(block, 0);
}

TEST_F(Canned, ResultsAreReadIndependently) {
  const auto a = query("select * from canned.rows limit 20000");
  const auto b = query("select * from canned.rows limit 20000");
  std::uint64_t rows_a = fetch(a, 0);
  rows_a += fetch(a, rows_a);
  std::uint64_t rows_b = 0;
  while (const auto got = fetch(b, rows_b)) rows_b += got;
  while (const auto got = fetch(a, rows_a)) rows_a += got;
  EXPECT_EQ(rows_a, 20'000u);
  EXPECT_EQ(rows_b, 20'000u);
  EXPECT_EQ(fetch(query("select * from canned.rows limit 0"), 0), 0u);
}

TEST_F(Canned, OtherStatementsAreTheEngines) {
  for (const auto* sql : {"select ts from canned.rows", "select * from canned.rows where ts > 0",
                          "select * from canned.others", "select * from canned.rows limit x"}) {
    EXPECT_NE(query(sql)["code"], 0) << sql;
  }
  sandbox::Server plain({});
  WsTestClient other(plain.port());
  other.ask(R"({"action":"conn","args":{"req_id":1,"user":"root","password":"taosdata","db":""}})");
  const auto answer =
      Json::parse(other.ask(R"({"action":"query","args":{"req_id":2,"sql":"select * from canned.rows"}})"));
  EXPECT_EQ(answer["code"], 0x0388);
}

}  // namespace
}  // namespace penstock::test
