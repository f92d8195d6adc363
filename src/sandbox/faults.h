#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::sandbox {

/// What goes wrong with which requests, for tests of clients.
struct FaultRule {
  enum class Kind {
    drop,              ///< end the TCP connection without a close frame or an answer
    silence,           ///< no answer; the connection stays
    refuse,            ///< answer with `code` and `text` in the endpoint's shape
    delay,             ///< carry out, and answer after `wait`
    wrong_request_id,  ///< carry out, and answer with another req_id
    damage,            ///< carry out, and answer with some bytes changed
    truncate,          ///< carry out, and answer with a whole message of half the bytes
    cut_off,           ///< carry out, send half of the answer, and end the connection
  };
  enum class When { before, after };  ///< the request is carried out, for drop, silence and refuse

  Kind kind = Kind::drop;
  When when = When::before;
  /// Path of the endpoint, "/ws", "/rest/sql" …: what is below it too; empty: any.
  std::string endpoint;
  /// Of a WebSocket the action's name ("query", "stmt2_exec") or the number of a binary one ("6", "9"), "connect" for
  /// the upgrade; of HTTP the method. Empty: any but "connect".
  std::string action;
  std::string contains;     ///< only requests whose message or body has these bytes; empty: any
  std::uint64_t first = 1;  ///< which of the matching requests is the first to suffer, counted from 1 when it was set
  std::uint64_t times = 1;  ///< how many from it on; 0: all
  std::int32_t code = 0x0118;
  /// Of a refusal over HTTP; 0: 200 below /rest, 500 for the endpoints that write, 503 for an upgrade.
  int http_status = 0;
  std::string http_body;  ///< of a refusal over HTTP, word for word; empty: the endpoint's shape with code and text
  std::string text = "refused by the test";
  std::chrono::milliseconds wait{0};
};

/// The rules of a server. Any thread; rules count over all connections, in the order in which requests begin. The first
/// rule that matches and is due decides; later ones count the request nevertheless.
class Faults {
 public:
  explicit Faults(std::vector<FaultRule> rules = {});

  /// Replaces all rules and begins to count anew.
  void set(std::vector<FaultRule> rules);
  void add(FaultRule rule);
  void clear() { set({}); }
  /// How many requests suffered since the start or the last set().
  [[nodiscard]] std::uint64_t applied() const;

  // --- the server's side ---

  /// The rule that a request falls under. `message`: JSON or binary of a WebSocket, or an HTTP body.
  std::optional<FaultRule> on_message(std::string_view endpoint, bool binary, std::string_view message);
  std::optional<FaultRule> on_http(std::string_view path, std::string_view method, std::string_view body);
  std::optional<FaultRule> on_connect(std::string_view endpoint);

  /// Waits for `duration`, or until the server stops (false).
  bool wait(std::chrono::milliseconds duration);
  /// Ends all waits, for good.
  void stop();

 private:
  struct Counted {
    FaultRule rule;
    std::uint64_t seen = 0;
  };
  std::optional<FaultRule> match(std::string_view endpoint, std::string_view action, std::string_view number,
                                 std::string_view message);
  [[nodiscard]] bool idle() const;

  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::vector<Counted> rules_;
  std::uint64_t applied_ = 0;
};

/// The answer of a WebSocket endpoint that refuses `message`.
struct FaultAnswer {
  bool binary = false;
  std::string payload;
};
FaultAnswer fault_refusal(const FaultRule& rule, bool binary, std::string_view message);
/// The id of a request; 0 when it has none. Of a JSON answer.
std::uint64_t fault_request_id(bool binary, std::string_view message);
std::uint64_t fault_answered_id(std::string_view answer);
/// What wrong_request_id, damage and truncate (others: nothing) make of an answer. The same bytes are damaged in the
/// same way each time.
std::string fault_spoil(FaultRule::Kind kind, bool binary, std::string answer);
/// Body of an HTTP refusal in the endpoint's shape. `status` is set to what goes with it.
std::string fault_http_body(const FaultRule& rule, std::string_view path, int& status);

}  // namespace penstock::sandbox
