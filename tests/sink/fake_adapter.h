#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "client/dsn.h"
#include "client/scripted_server.h"
#include "sink/test_run.h"
#include "wire/block.h"
#include "wire/messages.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

namespace penstock::sink {

/// A server's end that understands prepared inserts and schemaless lines, stores what they bring, and fails as told.
class FakeAdapter {
 public:
  /// What becomes of a request.
  struct Fate {
    enum class Kind { go_on, refuse, drop_before, drop_after, silent, half_answer, nonsense } kind = Kind::go_on;
    int code = 0;
    std::string message = "because";
  };
  static Fate refuse(int code, std::string message = "because") {
    return {Fate::Kind::refuse, code, std::move(message)};
  }
  static Fate drop_before() { return {Fate::Kind::drop_before, 0, {}}; }
  static Fate drop_after() { return {Fate::Kind::drop_after, 0, {}}; }
  static Fate silent() { return {Fate::Kind::silent, 0, {}}; }

  /// One request as the fate sees it.
  struct Step {
    std::string action;      ///< "stmt2_init" "stmt2_prepare" "stmt2_bind" "stmt2_exec" "query" "insert"
    std::size_t number = 0;  ///< over all connections
    std::string text;        ///< SQL or lines
    std::set<std::pair<std::string, std::int64_t>> rows;  ///< bind and exec: child table and time
  };
  using Decide = std::function<Fate(const Step&)>;
  /// Names, types and lengths of a table's columns, for DESCRIBE.
  using Described = std::vector<std::tuple<std::string, std::string, std::int32_t>>;
  using Describe = std::function<Described()>;

  /// How a connection begins.
  struct Greeting {
    enum class Kind { go_on, drop, silent, silent_login, unavailable, refuse_login } kind = Kind::go_on;
    int code = 0;
    std::string text = {};  ///< of a refusal; of `unavailable` the Retry-After
  };
  /// For each connection by its number, from 0.
  using Greet = std::function<Greeting(std::size_t)>;

  /// `database`: another adapter, of which this one is a twin in front of the same database.
  explicit FakeAdapter(Decide decide = {}, Describe describe = {}, Greet greet = {}, FakeAdapter* database = nullptr)
      : decide_(std::move(decide)),
        describe_(std::move(describe)),
        greet_(std::move(greet)),
        database_(database == nullptr ? this : database),
        server_([this](client::Peer& peer, std::size_t index) {
          if (welcome(peer, index)) serve(peer);
        }) {}

  [[nodiscard]] client::Options options() const {
    auto options = client::Options::parse(server_.dsn("/db"));
    options.request_timeout = std::chrono::milliseconds(300);
    return options;
  }
  [[nodiscard]] std::size_t connections() const { return server_.connections(); }
  client::ScriptedServer& server() { return server_; }

  // Read these when the writer is done.
  std::mutex mutex;
  Store store;
  std::vector<std::string> lines;                           ///< schemaless, as applied
  std::vector<std::pair<std::string, std::int64_t>> order;  ///< rows as executed, resent ones again
  std::map<std::string, int> counts;                        ///< requests by action
  std::vector<std::string> prepared;
  std::vector<std::string> precisions;  ///< of schemaless requests, as applied

 private:
  struct Bound {
    std::vector<std::string> columns;
    std::string message;
  };

  bool decided(client::Peer& peer, const client::Peer::Message& message, Step& step, bool& drop) {
    Fate fate;
    {
      const std::lock_guard lock(mutex);
      step.number = steps_++;
      ++counts[step.action];
      if (decide_) fate = decide_(step);
    }
    drop = fate.kind == Fate::Kind::drop_after;
    switch (fate.kind) {
      case Fate::Kind::refuse: peer.refuse(message, step.action, fate.code, fate.message); return false;
      case Fate::Kind::drop_before: peer.drop(); return false;
      case Fate::Kind::silent: return false;
      case Fate::Kind::half_answer:
        peer.write(std::string("\x81\x7E\x10\x00{\"code\":0,", 14));
        peer.drop();
        return false;
      case Fate::Kind::nonsense: peer.send_text("what?"); return false;
      default: return true;
    }
  }

  static std::vector<std::string> columns_of(const std::string& sql) {
    std::vector<std::string> names;
    for (std::size_t at = sql.find("(tbname,"); (at = sql.find('`', at)) != std::string::npos;) {
      const auto end = sql.find('`', at + 1);
      names.push_back(sql.substr(at + 1, end - at - 1));
      at = end + 1;
    }
    return names;  // columns, then tags
  }

  // All rows in the first block; the next fetch finds the end.
  void send_described(client::Peer& peer, const client::Peer::Message& message, std::uint64_t id) {
    wire::BlockWriter writer(
        {{data::Type::varchar, 66}, {data::Type::varchar, 22}, {data::Type::integer, 4}, {data::Type::varchar, 18}});
    const auto rows = std::exchange(described_, {});
    for (const auto& [name, type, length] : rows) {
      writer.add_text(0, name);
      writer.add_text(1, type);
      writer.add_fixed(2, static_cast<std::uint64_t>(length));
      writer.add_text(3, "");
    }
    const auto block = writer.finish(static_cast<std::uint32_t>(rows.size()));
    wire::FetchAnswer answer;
    answer.request_id = client::request_id(message);
    answer.result_id = id;
    answer.finished = rows.empty();
    answer.block = block;
    peer.send(wire::encode_fetch_answer(answer), false);
  }

  static void rows_of(const std::string& message, Step& step) {
    const auto bind = wire::decode_stmt2_bind(message);
    if (!bind.has_value()) throw std::runtime_error("a bind message that the adapter refuses: " + bind.error().message);
    for (const auto& table : bind->tables)
      table.columns[0].for_each([&](std::uint32_t, wire::CellState, std::string_view bytes) {
        step.rows.emplace(std::string(table.name), wire::load<std::int64_t>(bytes.data()));
      });
  }

  void apply(const Bound& bound) {
    const auto bind = wire::decode_stmt2_bind(bound.message);
    const std::lock_guard lock(database_->mutex);
    auto& rows_of_all = database_->store;
    for (const auto& table : bind->tables) {
      const std::string child(table.name);
      std::vector<std::int64_t> times;
      table.columns[0].for_each([&](std::uint32_t, wire::CellState, std::string_view bytes) {
        times.push_back(wire::load<std::int64_t>(bytes.data()));
        database_->order.emplace_back(child, times.back());
      });
      for (std::size_t c = 1; c < table.columns.size(); ++c)
        table.columns[c].for_each([&](std::uint32_t row, wire::CellState state, std::string_view bytes) {
          if (state != wire::CellState::not_given)
            rows_of_all[child][{times[row], ""}][bound.columns.at(c)] =
                state == wire::CellState::null ? "null" : std::string(bytes);
        });
    }
  }

  bool welcome(client::Peer& peer, std::size_t index) {
    Greeting greeting;
    {
      const std::lock_guard lock(mutex);
      if (greet_) greeting = greet_(index);
    }
    using Kind = Greeting::Kind;
    if (greeting.kind == Kind::go_on) {
      peer.log_in();
      return true;
    }
    if (greeting.kind == Kind::drop) peer.drop();
    if (greeting.kind == Kind::silent) {
      for (;;) peer.read_some();
    }
    if (greeting.kind == Kind::unavailable) {
      peer.read_head();
      peer.write("HTTP/1.1 503 Service Unavailable\r\nRetry-After: " + greeting.text + "\r\nContent-Length: 0\r\n\r\n");
      return false;
    }
    peer.upgrade();
    peer.answer(peer.receive(), "version", "\"version\":\"3.3.7.5\"");
    const auto login = peer.receive();
    if (greeting.kind == Kind::refuse_login) peer.refuse(login, "conn", greeting.code, greeting.text);
    peer.wait_for_end();
    return false;
  }

  void serve(client::Peer& peer) {
    std::map<std::uint64_t, Bound> statements;
    for (std::uint64_t next_id = 1;;) {
      const auto message = peer.receive();
      Step step;
      bool drop = false;
      if (!message.text) {
        const auto header = wire::read_request_header(message.bytes);
        if (header->action == static_cast<std::uint64_t>(wire::Action::stmt2_bind)) {
          step.action = "stmt2_bind";
          rows_of(message.bytes, step);
          if (!decided(peer, message, step, drop)) continue;
          statements.at(header->id).message = message.bytes;
          if (drop) peer.drop();
          peer.answer(message, step.action, "\"stmt_id\":" + std::to_string(header->id));
        } else if (header->action == static_cast<std::uint64_t>(wire::Action::fetch_raw_block)) {
          send_described(peer, message, header->id);
        } else {
          step.action = "query";
          step.text = *wire::decode_query(message.bytes);
          if (!decided(peer, message, step, drop)) continue;
          if (drop) peer.drop();
          if (describe_ && step.text.starts_with("DESCRIBE")) {
            described_ = describe_();
            peer.answer(
                message, "binary_query",
                "\"id\":9,\"is_update\":false,\"affected_rows\":0,\"fields_count\":4,\"fields_names\":[\"field\","
                "\"type\",\"length\",\"note\"],\"fields_types\":[8,8,4,8],\"fields_lengths\":[64,20,4,16],"
                "\"precision\":0,\"fields_precisions\":[0,0,0,0],\"fields_scales\":[0,0,0,0]");
            continue;
          }
          peer.answer(message, "binary_query", "\"is_update\":true,\"affected_rows\":0");
        }
        continue;
      }
      const auto json = message.json();
      step.action = json["action"];
      const auto& args = json["args"];
      const std::uint64_t id = args.value("stmt_id", std::uint64_t{0});
      if (step.action == "stmt2_close") {
        statements.erase(id);
        peer.answer(message, step.action, "\"stmt_id\":" + std::to_string(id));
        continue;
      }
      if (step.action == "stmt2_prepare") step.text = args["sql"];
      if (step.action == "insert") step.text = args["data"];
      if (step.action == "stmt2_exec") rows_of(statements.at(id).message, step);
      if (!decided(peer, message, step, drop)) continue;
      std::string members = "\"stmt_id\":" + std::to_string(id);
      if (step.action == "stmt2_init") {
        members = "\"stmt_id\":" + std::to_string(next_id);
        statements[next_id++];
      } else if (step.action == "stmt2_prepare") {
        statements.at(id).columns = columns_of(step.text);
        const std::lock_guard lock(mutex);
        prepared.push_back(step.text);
        members += ",\"is_insert\":true,\"fields\":[],\"fields_count\":0";
      } else if (step.action == "stmt2_exec") {
        apply(statements.at(id));
        members += ",\"affected\":1";
      } else if (step.action == "insert") {
        const std::lock_guard lock(mutex);
        lines.push_back(step.text);
        precisions.push_back(args.value("precision", ""));
        members = "\"affected_rows\":1,\"total_rows\":1";
      } else {
        throw std::runtime_error("unknown action " + step.action);
      }
      if (drop) peer.drop();
      peer.answer(message, step.action, members);
    }
  }

  Decide decide_;
  Describe describe_;
  Greet greet_;
  FakeAdapter* const database_;
  std::size_t steps_ = 0;
  Described described_;
  client::ScriptedServer server_;
};

}  // namespace penstock::sink
