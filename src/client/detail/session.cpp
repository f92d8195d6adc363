#include "client/detail/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "client/detail/native_session.h"
#include "client/detail/rest_session.h"
#include "client/detail/statement_batch.h"
#include "client/detail/statement_sql.h"
#include "client/detail/ws_session.h"

namespace penstock::client::detail {

std::string_view ResultState::time_zone() const {
  return session ? std::string_view(session->options().time_zone) : std::string_view();
}

StatementState::StatementState() = default;
StatementState::~StatementState() = default;

bool StatementState::usable() const noexcept {
  const auto owner = session.lock();
  return !broken && !closed && owner && owner->is_open() && owner->epoch() == epoch;
}

std::shared_ptr<Session> Session::make(Options options) {
  switch (options.transport) {
    case Transport::native: return std::make_shared<NativeSession>(std::move(options));
    case Transport::rest: return std::make_shared<RestSession>(std::move(options));
    case Transport::websocket: break;
  }
  return std::make_shared<WsSession>(std::move(options));
}

void Session::open(std::size_t first) {
  close();
  ended_ = false;
  const std::size_t count = options_.endpoints.size();
  std::string others;
  for (std::size_t i = 0; i < count; ++i) {
    current_ = (first + i) % count;
    endpoint_ = options_.endpoints[current_].text();
    try {
      return connect_to(options_.endpoints[current_]);
    } catch (const InterfaceError&) {  // of this side, whatever the endpoint
      close();
      throw;
    } catch (const ClientError& error) {
      close();
      const bool final = error.code() == Errc::auth || error.code() == Errc::config;
      if (final || count == 1) throw;
      if (i + 1 == count)
        throw ConnectionError(error.code(), others + error.what(), Place{error.endpoint(), error.action(), 0},
                              error.server_code(), error.message());
      others += std::string(error.what()) + "; and ";
    }
  }
}

void Session::revive() {
  if (!options_.reconnect || ended_ || epoch_ == 0) return;
  if (is_open()) {
    try {
      poll();  // a server that went away since the last request is noticed here, before one is lost
    } catch (const ConnectionError&) {
      // It is closed now.
    }
  }
  if (!is_open()) reopen();
}

void Session::require(const Answer& answer) const {
  if (!answer.ok()) throw_server_error(answer.code, answer.message, Place{endpoint_, answer.action, answer.ticket});
}

Answer Session::require(Ticket ticket) {
  auto answer = wait(ticket, options_.request_timeout);
  require(answer);
  return answer;
}

void Session::misuse(const std::string& what, std::string_view action) const {
  throw InterfaceError(Errc::unsupported, fmt::format("{} was not sent to {}: {}", action, endpoint_, what),
                       Place{endpoint_, std::string(action), 0});
}

void Session::unsupported(std::string_view what) const {
  throw InterfaceError(
      Errc::unsupported,
      fmt::format("{}: this transport has no {}; connect by ws:// or taos://", options_.display(), what),
      Place{endpoint_, std::string(what), 0});
}

void Session::need_usable(const StatementState& statement, std::string_view action) const {
  if (!statement.usable())
    misuse("the statement cannot be used any more after a failed step or a lost connection: prepare a new one", action);
  if (statement.busy) misuse("another step of the statement has not been answered yet", action);
}

Ticket Session::send_action(std::string_view, std::string_view) { unsupported("actions of the WebSocket interface"); }
std::shared_ptr<StatementState> Session::prepare(std::string_view sql, StatementMode mode) {
  auto state = make_statement(sql, mode);
  const auto lacks_scale = [](const StatementField& field) {
    return (field.type == data::Type::decimal64 || field.type == data::Type::decimal128) && field.precision == 0;
  };
  if (std::none_of(state->fields.begin(), state->fields.end(), lacks_scale)) return state;
  const auto asked = target_query(sql);
  if (asked.empty()) return state;
  std::unique_ptr<ResultState> table;
  try {
    table = query(asked, 0);
  } catch (const DatabaseError&) {
    return state;  // who may write need not be allowed to read; a DECIMAL that is bound says so then
  }
  for (auto& field : state->fields) {
    if (!lacks_scale(field)) continue;
    for (const auto& column : table->fields) {
      if (column.name != field.name) continue;
      field.precision = column.precision;
      field.scale = column.scale;
    }
  }
  return state;
}
std::shared_ptr<StatementState> Session::make_statement(std::string_view, StatementMode) {
  unsupported("prepared statements");
}
Ticket Session::send_bind(const std::shared_ptr<StatementState>&, wire::Stmt2Encoder&) {
  unsupported("prepared statements");
}
Ticket Session::send_exec(const std::shared_ptr<StatementState>&) { unsupported("prepared statements"); }
Ticket Session::send_bind_exec(const std::shared_ptr<StatementState>&, wire::Stmt2ExecEncoder&, std::uint32_t) {
  unsupported("combined bind and execute");
}
std::unique_ptr<ResultState> Session::result(const std::shared_ptr<StatementState>&) {
  unsupported("prepared statements");
}
void Session::close_statement(StatementState&) {}

std::string seconds_text(std::chrono::milliseconds duration) {
  return fmt::format("{:g} s", std::chrono::duration<double>(duration).count());
}

void throw_login_refused(const Options& options, const std::string& endpoint, std::int32_t code,
                         const std::string& message) {
  const Place place{endpoint, "conn", 0};
  if (code == 0x0388)
    throw ConnectionError(Errc::config,
                          fmt::format("the database '{}' does not exist on {}", printable(options.database), endpoint),
                          place, code, message);
  if (code == 0x0351 || code == 0x0357)
    throw ConnectionError(Errc::auth,
                          fmt::format("{} refused the login of user '{}': wrong user or password", endpoint,
                                      printable(options.token.empty() ? options.user : "(token)")),
                          place, code, message);
  if (message.find("whitelist") != std::string::npos)
    throw ConnectionError(Errc::auth,
                          fmt::format("{} does not accept logins from this address: {}", endpoint, printable(message)),
                          place, code, message);
  throw_server_error(code, message, place);
}

}  // namespace penstock::client::detail
