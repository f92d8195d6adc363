#include "client/connection.h"

#include <gtest/gtest.h>

#include <future>

#include "client/scripted_server.h"
#include "wire/block.h"
#include "wire/bytes.h"
#include "wire/errors.h"
#include "wire/messages.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

namespace penstock::client {
namespace {

using namespace std::chrono_literals;
using data::Type;

Connection open(const ScriptedServer& server, const std::string& rest = {}) {
  return Connection::open(Options::parse(server.dsn(rest)));
}

std::string result_members(std::uint64_t id) {
  return "\"id\":" + std::to_string(id) +
         ",\"is_update\":false,\"affected_rows\":0,\"fields_count\":1,\"fields_names\":[\"v\"],\"fields_types\":[5],"
         "\"fields_lengths\":[8],\"precision\":0,\"fields_precisions\":[0],\"fields_scales\":[0]";
}

// Answers a fetch with the numbers from `first`, `count` of them; 0 ends the result.
void answer_fetch(Peer& peer, const Peer::Message& request, std::uint64_t id, std::uint64_t first, std::uint32_t count,
                  std::size_t frames = 1) {
  wire::BlockWriter writer({{Type::bigint, 8}});
  for (std::uint32_t i = 0; i < count; ++i) writer.add_fixed(0, first + i);
  const auto block = writer.finish(count);
  wire::FetchAnswer answer;
  answer.request_id = request_id(request);
  answer.result_id = id;
  answer.finished = count == 0;
  answer.block = block;
  peer.send(wire::encode_fetch_answer(answer), false, frames);
}

wire::Stmt2Encoder one_row() {
  wire::Stmt2Encoder encoder;
  encoder.begin(0, 1);
  encoder.begin_table("d1");
  const auto time = encoder.fixed_column(Type::timestamp, 1);
  *time.state = 0;
  wire::store(time.values, std::int64_t{1});
  return encoder;
}

// init and prepare of one statement with a table name and a timestamp.
void answer_prepare(Peer& peer, std::uint64_t id) {
  peer.answer(peer.receive(), "stmt2_init", "\"stmt_id\":" + std::to_string(id));
  peer.answer(
      peer.receive(), "stmt2_prepare",
      "\"stmt_id\":" + std::to_string(id) +
          ",\"is_insert\":true,\"fields\":[{\"name\":\"tbname\",\"field_type\":8,\"precision\":0,\"scale\":0,"
          "\"bytes\":271,\"bind_type\":4},{\"name\":\"ts\",\"field_type\":9,\"precision\":2,\"scale\":0,\"bytes\":8,"
          "\"bind_type\":1}],\"fields_count\":2");
}

TEST(Connection, LogsInWithWhatTheOptionsSay) {
  nlohmann::json login;
  std::string head;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.upgrade();
    head = peer.request_head();
    peer.answer(peer.receive(), "version", "\"version\":\"3.3.7.5\"");
    const auto message = peer.receive();
    login = message.json();
    peer.answer(message, "conn", "\"version\":\"3.3.7.5\"");
    peer.wait_for_end();
  });
  {
    auto connection = Connection::open(
        Options::parse("ws://me:p%22%5C%F0%9F%98%80@" + server.endpoint() + "/db?timezone=Asia/Shanghai&app=loader"));
    EXPECT_EQ(connection.server_version(), "3.3.7.5");
    EXPECT_EQ(connection.endpoint(), server.endpoint());
  }
  EXPECT_EQ(server.failures(), std::vector<std::string>{});
  EXPECT_EQ(login["args"]["user"], "me");
  EXPECT_EQ(login["args"]["password"], "p\"\\😀");
  EXPECT_EQ(login["args"]["db"], "db");
  EXPECT_EQ(login["args"]["tz"], "Asia/Shanghai");
  EXPECT_EQ(login["args"]["app"], "loader");
  EXPECT_TRUE(head.starts_with("GET /ws HTTP/1.1\r\n"));
  EXPECT_EQ(head.find("Extensions"), std::string::npos);
}

TEST(Connection, SendsATokenInTheUrlAndDummyCredentials) {
  std::string head;
  nlohmann::json login;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.upgrade();
    head = peer.request_head();
    peer.answer(peer.receive(), "version", "\"version\":\"3.3.7.5\"");
    const auto message = peer.receive();
    login = message.json();
    peer.answer(message, "conn");
    peer.wait_for_end();
  });
  { open(server, "?token=a%26b"); }
  server.failures();
  EXPECT_TRUE(head.starts_with("GET /ws?token=a%26b HTTP/1.1\r\n")) << head;
  EXPECT_EQ(login["args"]["user"], "root");
}

TEST(Connection, ReadsResultsInBlocksWholeFragmentedAndDeflated) {
  for (const bool deflate : {false, true})
    for (const std::size_t frames : {1U, 3U, 40U}) {
      bool negotiated = false;
      ScriptedServer server([&](Peer& peer, std::size_t) {
        peer.upgrade(deflate);
        negotiated = peer.deflates();
        peer.log_in();
        const auto query = peer.receive();
        EXPECT_EQ(wire::decode_query(query.bytes).has_value(), true);
        peer.answer(query, "binary_query", result_members(7));
        answer_fetch(peer, peer.receive(), 7, 0, 3000, frames);
        answer_fetch(peer, peer.receive(), 7, 3000, 1, frames);
        answer_fetch(peer, peer.receive(), 7, 0, 0);
        peer.wait_for_end();
      });
      {
        auto connection = open(server, deflate ? "?compression=true" : "");
        auto rows = connection.query("select v from t");
        ASSERT_EQ(rows.fields().size(), 1U);
        std::uint64_t expected = 0;
        while (rows.next()) ASSERT_EQ(rows.integer(0), expected++);
        EXPECT_EQ(expected, 3001U);
        EXPECT_FALSE(rows.next());
      }
      EXPECT_EQ(server.failures(), std::vector<std::string>{});
      EXPECT_EQ(negotiated, deflate);
    }
}

TEST(Connection, FreesAResultThatIsNotReadToItsEnd) {
  nlohmann::json freed;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    peer.answer(peer.receive(), "binary_query", result_members(9));
    answer_fetch(peer, peer.receive(), 9, 0, 10);
    peer.receive();  // the next fetch is under way already
    freed = peer.receive().json();
    peer.answer(peer.receive(), "binary_query", "\"affected_rows\":4,\"fields_count\":0");
    peer.wait_for_end();
  });
  auto connection = open(server);
  {
    auto rows = connection.query("select v from t");
    EXPECT_TRUE(rows.next());
  }
  EXPECT_EQ(connection.execute("insert into t values(now, 1)"), 4);
  EXPECT_EQ(freed["action"], "free_result");
  EXPECT_EQ(freed["args"]["id"], 9);
}

TEST(Connection, UsesTheOlderActionsWithOlderServers) {
  std::vector<std::string> actions;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in("3.3.1.9");
    for (;;) {
      const auto request = peer.receive();
      const auto action = request.json()["action"].get<std::string>();
      actions.push_back(action);
      if (action == "query") peer.answer(request, action, result_members(5));
      else if (action == "fetch" && actions.size() < 4)
        peer.answer(request, action, "\"id\":5,\"completed\":false,\"lengths\":[8],\"rows\":2");
      else if (action == "fetch")
        peer.answer(request, action, "\"id\":5,\"completed\":true,\"lengths\":null,\"rows\":0");
      else if (action == "fetch_block") {
        wire::BlockWriter writer({{Type::bigint, 8}});
        writer.add_fixed(0, 1);
        writer.add_null(0);
        peer.send(wire::encode_fetch_block_answer({1, 5, writer.finish(2)}), false);
      }
    }
  });
  {
    auto connection = open(server);
    auto rows = connection.query("select \"v\" from t");
    EXPECT_TRUE(rows.next());
    EXPECT_EQ(rows.integer(0), 1U);
    EXPECT_TRUE(rows.next());
    EXPECT_TRUE(rows.is_null(0));
    EXPECT_FALSE(rows.next());
  }
  server.failures();
  EXPECT_EQ(actions, (std::vector<std::string>{"query", "fetch", "fetch_block", "fetch"}));
}

TEST(Connection, MatchesAnswersThatComeInAnotherOrder) {
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    std::vector<Peer::Message> requests;
    for (int i = 0; i < 4; ++i) requests.push_back(peer.receive());
    for (const std::size_t i : {2U, 0U, 3U, 1U})
      peer.answer(requests[i], "binary_query", "\"affected_rows\":" + std::to_string(i));
    peer.wait_for_end();
  });
  auto connection = open(server);
  std::vector<Ticket> tickets;
  for (int i = 0; i < 4; ++i) tickets.push_back(connection.send_execute("insert " + std::to_string(i)));
  for (const std::size_t i : {3U, 1U, 0U, 2U})
    EXPECT_EQ(connection.wait(tickets[i]).affected_rows, static_cast<int>(i));
  EXPECT_THROW(connection.wait(tickets[0]), InterfaceError);  // fetched before
}

TEST(Connection, AnswersPingsWhileItWaitsAndWhenPolled) {
  std::promise<void> idle_ping_sent;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    const auto request = peer.receive();
    peer.ping("");
    EXPECT_EQ(peer.receive_pong(), "");
    peer.answer(request, "binary_query");
    peer.ping("idle");
    idle_ping_sent.set_value();
    EXPECT_EQ(peer.receive_pong(), "idle");
    peer.answer(peer.receive(), "binary_query", "\"affected_rows\":2");
    peer.wait_for_end();
  });
  auto connection = open(server);
  connection.execute("create table t");
  idle_ping_sent.get_future().wait();
  for (int i = 0; i < 200; ++i) {
    connection.poll();
    std::this_thread::yield();
  }
  EXPECT_EQ(connection.execute("insert"), 2);
}

TEST(Connection, TellsWhatWasNotAnsweredInTimeAndGoesOn) {
  std::promise<void> go_on;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    const auto late = peer.receive();
    go_on.get_future().wait();
    peer.answer(late, "binary_query", "\"affected_rows\":1");
    peer.answer(peer.receive(), "binary_query", "\"affected_rows\":2");
    peer.wait_for_end();
  });
  auto connection = open(server);
  const auto ticket = connection.send_execute("insert");
  EXPECT_FALSE(connection.ready(ticket));
  try {
    connection.wait(ticket, 100ms);
    ADD_FAILURE();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::timeout);
    EXPECT_TRUE(error.transient());
    EXPECT_EQ(std::string(error.what()), server.endpoint() + " did not answer 'query' within 0.1 s");
  }
  EXPECT_TRUE(connection.is_open());
  go_on.set_value();
  EXPECT_EQ(connection.execute("insert"), 2);  // the late answer is not taken for this one's
}

TEST(Connection, NoticesALostConnectionAndOpensTheNextEndpoint) {
  const auto drops = [](Peer& peer, std::size_t) {
    peer.log_in();
    peer.receive();
    peer.drop();
  };
  const auto closes = [](Peer& peer, std::size_t) {
    peer.log_in();
    peer.receive();
  };
  const ScriptedServer first(drops);
  const ScriptedServer second(closes);
  auto connection =
      Connection::open(Options::parse("ws://" + first.endpoint() + "," + second.endpoint() + "/?reconnect=false"));
  for (const auto* server : {&first, &second, &first}) {
    EXPECT_EQ(connection.endpoint(), server->endpoint());
    try {
      connection.execute("insert");
      ADD_FAILURE();
    } catch (const ConnectionError& error) {
      EXPECT_EQ(error.code(), Errc::unreachable) << error.what();
      EXPECT_TRUE(error.transient());
      EXPECT_EQ(error.endpoint(), server->endpoint());
    }
    EXPECT_FALSE(connection.is_open());
    EXPECT_THROW(connection.execute("insert"), ConnectionError);
    connection.reopen();
  }
  EXPECT_EQ(connection.endpoint(), second.endpoint());
}

TEST(Connection, ComesBackByItselfWhereThatIsWanted) {
  ScriptedServer server([](Peer& peer, std::size_t index) {
    peer.log_in();
    const auto request = peer.receive();
    if (index == 0) return peer.drop();
    peer.answer(request, "binary_query", "\"affected_rows\":1,\"fields_count\":0");
    peer.wait_for_end();
  });
  auto connection = open(server);
  // What was under way is told: it may have been carried out.
  EXPECT_THROW(connection.execute("insert"), ConnectionError);
  EXPECT_FALSE(connection.is_open());
  EXPECT_EQ(connection.execute("insert"), 1);
  EXPECT_EQ(server.connections(), 2U);
  // Closed on purpose it stays closed.
  connection.close();
  EXPECT_THROW(connection.execute("insert"), ConnectionError);
}

TEST(Connection, MarksRequestsWithTheNumberThatItIsGiven) {
  std::vector<std::uint64_t> ids;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    for (int i = 0; i < 2; ++i) {
      const auto request = peer.receive();
      ids.push_back(wire::read_request_header(request.bytes)->request_id);
      peer.answer(request, "binary_query", "\"affected_rows\":1,\"fields_count\":0");
    }
    peer.wait_for_end();
  });
  auto connection = open(server);
  connection.execute("a", 0xFFFF'0000'0000'0001U);
  connection.execute("b");
  EXPECT_EQ(ids.at(0), 0xFFFF'0000'0000'0001U);
  EXPECT_NE(ids.at(1), ids.at(0));
}

TEST(Connection, GivesUpAPeerThatTakesNothing) {
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    answer_prepare(peer, 1);
    std::promise<void>().get_future().wait_for(3s);  // reads nothing: the socket's buffers fill
  });
  auto connection = open(server, "?request_timeout=300ms");
  auto statement = connection.prepare("insert into ? values(?)");
  wire::Stmt2Encoder encoder;
  encoder.begin(0, 1);
  for (int table = 0; table < 200; ++table) {
    encoder.begin_table("t" + std::to_string(table));
    const auto column = encoder.fixed_column(Type::timestamp, 32767);
    std::memset(column.state, 0, 32767);
    std::memset(column.values, 0, std::size_t{8} * 32767);
  }
  try {
    connection.send_bind(statement, encoder);
    ADD_FAILURE();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::timeout) << error.what();
  }
  EXPECT_FALSE(connection.is_open());
  EXPECT_FALSE(statement.usable());
}

TEST(Connection, GivesUpAPeerThatTalksNonsense) {
  for (const std::string text : {"hello", "[1]", "{\"message\":\"no code\"}"}) {
    ScriptedServer server([&](Peer& peer, std::size_t) {
      peer.log_in();
      peer.receive();
      peer.send_text(text);
      peer.wait_for_end();
    });
    auto connection = open(server);
    try {
      connection.execute("insert");
      ADD_FAILURE() << text;
    } catch (const ConnectionError& error) {
      EXPECT_EQ(error.code(), Errc::protocol) << error.what();
    }
    EXPECT_FALSE(connection.is_open());
  }
}

TEST(Connection, RefusalsAreOfTheClassThatFits) {
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    for (const int code : {9731, 0x0917, 0x0388, 0x7777}) peer.refuse(peer.receive(), "binary_query", code, "words");
    peer.refuse(peer.receive(), "insert", 0x3002, "bad line");
    peer.refuse(peer.receive(), "stmt2_init", 554, "success");
    peer.wait_for_end();
  });
  auto connection = open(server);
  try {
    connection.execute("select");
    ADD_FAILURE();
  } catch (const ProgrammingError& error) {
    EXPECT_EQ(error.server_code(), 9731);
    EXPECT_EQ(error.message(), "words");
    EXPECT_EQ(error.action(), "binary_query");
    EXPECT_EQ(error.endpoint(), server.endpoint());
    EXPECT_GT(error.request_id(), 0U);
    EXPECT_EQ(error.error_class(), wire::ErrorClass::stale_schema);
    EXPECT_NE(std::string(error.what()).find("words (0x2603)"), std::string::npos) << error.what();
  }
  try {
    connection.execute("select");
    ADD_FAILURE();
  } catch (const OperationalError& error) {
    EXPECT_TRUE(error.transient());
  }
  try {
    connection.execute("use nowhere");
    ADD_FAILURE();
  } catch (const DatabaseError& error) {
    EXPECT_EQ(error.code(), Errc::config);
  }
  EXPECT_THROW(connection.execute("select"), DatabaseError);
  EXPECT_THROW(connection.insert_schemaless(wire::LineProtocol::line, "ns", "m f=x"), SchemalessError);
  EXPECT_THROW(connection.prepare("insert"), StatementError);
  EXPECT_TRUE(connection.is_open());
}

TEST(Connection, SendsNoLinesThatAreNotUtf8) {
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    const auto request = peer.receive();
    EXPECT_EQ(request.json()["args"]["data"], "m,t=\"é\" f=1\n\tx");
    peer.answer(request, "insert", "\"affected_rows\":1,\"total_rows\":2");
    peer.wait_for_end();
  });
  auto connection = open(server);
  try {
    connection.insert_schemaless(wire::LineProtocol::line, "ns", "m f=1\nm,t=\xff f=1");
    ADD_FAILURE();
  } catch (const SchemalessError& error) {
    EXPECT_NE(std::string(error.what()).find("byte 10 of 15 is not UTF-8"), std::string::npos) << error.what();
  }
  const auto answer = connection.insert_schemaless(wire::LineProtocol::line, "ns", "m,t=\"é\" f=1\n\tx");
  EXPECT_EQ(answer.affected_rows, 1);
  EXPECT_EQ(answer.total_rows, 2);
}

TEST(Statement, TwoAreUnderWayInTurn) {
  std::vector<std::string> order;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    answer_prepare(peer, 1);
    answer_prepare(peer, 2);
    const auto note = [&](const Peer::Message& message) {
      if (message.text)
        order.push_back(message.json()["action"].get<std::string>() +
                        std::to_string(message.json()["args"]["stmt_id"].get<int>()));
      else order.push_back("bind" + std::to_string(wire::read_request_header(message.bytes)->id));
      return message;
    };
    peer.answer(note(peer.receive()), "stmt2_bind", "\"stmt_id\":1");
    const auto exec = note(peer.receive());
    peer.answer(note(peer.receive()), "stmt2_bind", "\"stmt_id\":2");
    peer.answer(exec, "stmt2_exec", "\"stmt_id\":1,\"affected\":10");
    peer.answer(note(peer.receive()), "stmt2_exec", "\"stmt_id\":2,\"affected\":20");
    peer.answer(note(peer.receive()), "stmt2_close", "\"stmt_id\":1");
    note(peer.receive());
    peer.wait_for_end();
  });
  {
    auto connection = open(server);
    auto first = connection.prepare("insert into ? values(?)");
    auto second = connection.prepare("insert into ? values(?)", StatementMode::interlace);
    ASSERT_EQ(first.fields().size(), 2U);
    EXPECT_EQ(first.fields()[0].bind, StatementField::Bind::table_name);
    EXPECT_EQ(first.fields()[1].type, Type::timestamp);
    EXPECT_EQ(first.fields()[1].precision, 2);
    auto encoder = one_row();
    EXPECT_TRUE(connection.wait(connection.send_bind(first, encoder)).ok());
    EXPECT_TRUE(first.bound());
    const auto exec_first = connection.send_exec(first);
    EXPECT_TRUE(connection.wait(connection.send_bind(second, encoder)).ok());
    EXPECT_EQ(connection.wait(exec_first).affected_rows, 10);
    EXPECT_FALSE(first.bound());
    EXPECT_EQ(connection.wait(connection.send_exec(second)).affected_rows, 20);
    connection.close(first);
    EXPECT_FALSE(first.usable());
  }
  server.failures();
  EXPECT_EQ(order,
            (std::vector<std::string>{"bind1", "stmt2_exec1", "bind2", "stmt2_exec2", "stmt2_close1", "stmt2_close2"}));
}

TEST(Statement, NeverSendsWhatTheServerDiesOf) {
  std::vector<std::string> actions;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    answer_prepare(peer, 1);
    const auto bind = peer.receive();
    peer.refuse(bind, "stmt2_bind", 512, "column type mis-match with buffer type");
    for (;;) actions.push_back(peer.receive().json()["action"]);
  });
  {
    auto connection = open(server);
    auto statement = connection.prepare("insert into ? values(?)");
    EXPECT_THROW(connection.send_exec(statement), InterfaceError);  // nothing bound
    wire::Stmt2Encoder empty;
    empty.begin(0, 1);
    EXPECT_THROW(connection.send_bind(statement, empty), Error);
    auto encoder = one_row();
    const auto ticket = connection.send_bind(statement, encoder);
    EXPECT_THROW(connection.send_bind(statement, encoder), InterfaceError);  // not answered yet
    EXPECT_THROW(connection.send_exec(statement), InterfaceError);
    const auto answer = connection.wait(ticket);
    EXPECT_EQ(answer.code, 512);
    EXPECT_THROW(connection.require(answer), StatementError);
    EXPECT_FALSE(statement.usable());  // the error sticks to it
    EXPECT_THROW(connection.send_exec(statement), InterfaceError);
    EXPECT_THROW(connection.send_bind(statement, encoder), InterfaceError);
  }
  server.failures();
  EXPECT_EQ(actions, std::vector<std::string>{"stmt2_close"});
}

}  // namespace
}  // namespace penstock::client
