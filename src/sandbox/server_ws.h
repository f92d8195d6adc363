#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/engine.h"
#include "sandbox/server_dialogue.h"
#include "sandbox/server_ws_request.h"
#include "sandbox/stmt1_session.h"
#include "sandbox/stmt2_session.h"

namespace penstock::sandbox {

class CannedSource;

/// What the sandbox says it is: clients choose their requests by it.
inline constexpr std::string_view kServerVersion = "3.3.7.5";

/// The dialogue on one connection of `/ws` or of the endpoints before it (`/rest/ws`, `/rest/stmt`,
/// `/rest/schemaless`), which know some of its actions and answer a little differently. Source of actions, member order
/// and texts: taosAdapter 3.3.7.5 as recorded.
class WsDialogue final : public Dialogue {
 public:
  enum class Endpoint : std::uint8_t { ws = 1, rest_ws = 2, rest_stmt = 4, rest_schemaless = 8 };
  struct Options {
    Endpoint endpoint = Endpoint::ws;
    bool bind_exec = false;  ///< stmt2_bind_exec (action 11), which 3.3.7.5 does not know
    /// Stand in for those that `conn` gives, as a gateway that was told a token does.
    std::optional<Credentials> credentials;
    const CannedSource* canned = nullptr;  ///< serves its query; must outlive the dialogue
  };
  /// `engine` must outlive the dialogue.
  WsDialogue(Engine& engine, Options options);
  ~WsDialogue() override;

  std::optional<Reply> handle(WsMessage message) override;

 private:
  struct OpenResult;
  using TextAction = std::string (WsDialogue::*)(WsRequest&, const WsArgs&);
  struct ActionEntry;

  [[nodiscard]] const ActionEntry* find_action(std::string_view name) const;
  std::optional<Reply> handle_text(std::string_view text, WsRequest& request);
  std::optional<Reply> handle_binary(std::string&& message, WsRequest& request);
  [[nodiscard]] bool is_legacy() const { return options_.endpoint != Endpoint::ws; }

  // Each returns the members after the common ones (with a leading comma) or throws RefusalError.
  std::string version(WsRequest&, const WsArgs&);
  std::string connect(WsRequest&, const WsArgs&);
  std::string check_server_status(WsRequest&, const WsArgs&);
  std::string query(WsRequest&, const WsArgs&);
  std::string fetch(WsRequest&, const WsArgs&);
  std::string fetch_block(WsRequest&, const WsArgs&);
  std::string free_result(WsRequest&, const WsArgs&);
  std::string num_fields(WsRequest&, const WsArgs&);
  std::string insert(WsRequest&, const WsArgs&);
  std::string get_current_db(WsRequest&, const WsArgs&);
  std::string get_server_info(WsRequest&, const WsArgs&);
  std::string options_connection(WsRequest&, const WsArgs&);

  // server_ws_statements.cpp
  std::string stmt_init(WsRequest&, const WsArgs&);
  std::string stmt_prepare(WsRequest&, const WsArgs&);
  std::string stmt_set_table_name(WsRequest&, const WsArgs&);
  std::string stmt_set_tags(WsRequest&, const WsArgs&);
  std::string stmt_bind(WsRequest&, const WsArgs&);
  std::string stmt_add_batch(WsRequest&, const WsArgs&);
  std::string stmt_exec(WsRequest&, const WsArgs&);
  std::string stmt_get_tag_fields(WsRequest&, const WsArgs&);
  std::string stmt_get_col_fields(WsRequest&, const WsArgs&);
  std::string stmt_use_result(WsRequest&, const WsArgs&);
  std::string stmt_num_params(WsRequest&, const WsArgs&);
  std::string stmt_get_param(WsRequest&, const WsArgs&);
  std::string stmt_close(WsRequest&, const WsArgs&);
  std::string stmt2_init(WsRequest&, const WsArgs&);
  std::string stmt2_prepare(WsRequest&, const WsArgs&);
  std::string stmt2_exec(WsRequest&, const WsArgs&);
  std::string stmt2_result(WsRequest&, const WsArgs&);
  std::string stmt2_close(WsRequest&, const WsArgs&);
  void stmt_binary_set_tags(std::uint64_t id, std::string_view block);
  void stmt_binary_bind(std::uint64_t id, std::string_view block);
  Stmt1Statement& find_statement(std::uint64_t id);

  std::string run_query(std::string_view sql);
  std::int32_t validate(std::string_view sql);
  std::string fetch_raw_block(std::string_view message, WsRequest& request);
  OpenResult& find_result(std::uint64_t id);
  std::uint64_t keep_result(Answer answer);
  /// The next block of a result, "" at the end; valid until the next call for it.
  static std::string_view next_block(OpenResult& result, std::size_t& rows);

  Engine& engine_;
  const Options options_;
  std::unique_ptr<Session> session_;  ///< null before a successful conn
  std::map<std::uint64_t, OpenResult> results_;
  std::uint64_t last_result_id_ = 0;
  std::uint64_t last_statement_id_ = 0;  ///< of both generations
  std::map<std::uint64_t, Stmt1Statement> first_generation_;
  Stmt2Session statements_;
};

}  // namespace penstock::sandbox
