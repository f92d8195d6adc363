#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/engine.h"
#include "sandbox/stmt2_session.h"
#include "sandbox/ws_frames.h"

namespace penstock::sandbox {

/// What the sandbox says it is: clients choose their requests by it.
inline constexpr std::string_view kServerVersion = "3.3.7.5";

/// The dialogue on one `/ws` connection: messages in, answers out, no sockets. One thread at a time.
/// Source of actions, member order and texts: taosAdapter 3.3.7.5 as recorded.
class WsDialogue {
 public:
  struct Reply {
    bool binary = false;
    std::string payload;
  };
  /// `engine` must outlive the dialogue.
  explicit WsDialogue(Engine& engine);
  ~WsDialogue();

  /// The answer to a message; nullopt where the server stays silent (free_result). Never throws for what a client can
  /// send: whatever goes wrong is answered as an error.
  std::optional<Reply> handle(WsMessage message);

 private:
  struct Request;
  struct Args;
  struct OpenResult;
  using TextAction = std::string (WsDialogue::*)(Request&, const Args&);
  struct ActionEntry;

  static const ActionEntry* find_action(std::string_view name);
  std::optional<Reply> handle_text(std::string_view text, Request& request);
  std::optional<Reply> handle_binary(std::string&& message, Request& request);

  // Each returns the members after the common ones (with a leading comma) or throws RefusalError.
  std::string version(Request&, const Args&);
  std::string connect(Request&, const Args&);
  std::string check_server_status(Request&, const Args&);
  std::string query(Request&, const Args&);
  std::string fetch(Request&, const Args&);
  std::string fetch_block(Request&, const Args&);
  std::string free_result(Request&, const Args&);
  std::string num_fields(Request&, const Args&);
  std::string insert(Request&, const Args&);
  std::string get_current_db(Request&, const Args&);
  std::string get_server_info(Request&, const Args&);
  std::string options_connection(Request&, const Args&);
  std::string stmt2_init(Request&, const Args&);
  std::string stmt2_prepare(Request&, const Args&);
  std::string stmt2_exec(Request&, const Args&);
  std::string stmt2_result(Request&, const Args&);
  std::string stmt2_close(Request&, const Args&);
  std::string unsupported(Request&, const Args&);

  std::string run_query(std::string_view sql);
  std::int32_t validate(std::string_view sql);
  std::string fetch_raw_block(std::string_view message, Request& request);
  OpenResult& find_result(std::uint64_t id);
  std::uint64_t keep_result(Answer answer);

  Engine& engine_;
  std::unique_ptr<Session> session_;  ///< null before a successful conn
  std::map<std::uint64_t, OpenResult> results_;
  std::uint64_t last_result_id_ = 0;
  Stmt2Session statements_;
};

}  // namespace penstock::sandbox
