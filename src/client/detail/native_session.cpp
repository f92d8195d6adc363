#include "client/detail/native_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <utility>

#include "base/text.h"
#include "client/detail/native_result.h"
#include "wire/block.h"
#include "wire/errors.h"
#include "wire/stmt2.h"

namespace penstock::client::detail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kClosing = std::chrono::milliseconds(500);
constexpr auto kConnectGrace = std::chrono::seconds(1);  // after a stop
constexpr std::int32_t kDisconnected = 0x0213;
constexpr std::int32_t kKilled = 0x0215;
constexpr int kMostNetworkAnswers = 2;
constexpr std::int32_t kFailed = 0x0110;  // no reason given

// The engine tells queries apart by these, also those of different connections.
std::uint64_t next_request_id() {
  static std::atomic<std::uint64_t> last{[] {
    std::random_device random;
    return (std::uint64_t{random()} << 24 ^ std::uint64_t{random()}) & 0x007F'FFFF'FFFF'FFFF;
  }()};
  return ++last;
}

bool of_network(const Answer& answer) {
  return !answer.ok() && wire::classify(answer.code, answer.message) == wire::ErrorClass::reconnect;
}

}  // namespace

NativeSession::~NativeSession() { close(); }

void NativeSession::close() noexcept {
  const auto end = Clock::now() + kClosing;
  const auto left = [&] {
    return std::max(std::chrono::milliseconds(0), std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()));
  };
  {
    const std::scoped_lock lock(mailbox_->mutex);
    for (auto& [ticket, pending] : pending_) pending.request->cancelled = true;
  }
  if (binder_) binder_->finish(left());
  release(std::move(connection_));
  if (executor_) executor_->finish(left());
  {
    const std::scoped_lock lock(mailbox_->mutex);
    for (auto& [ticket, pending] : pending_) keep_rows(pending);
  }
  pending_.clear();
  arrived_.clear();
  binder_.reset();
  executor_.reset();
  lost_ = false;
  network_answers_ = 0;
}

void NativeSession::connect_to(const Endpoint& endpoint) {
  if (!options_.token.empty() || !options_.bearer_token.empty() || !options_.totp_code.empty())
    throw InterfaceError(
        Errc::unsupported,
        fmt::format("cannot connect to {}: a token is for ws://, wss:// and REST; natively a user logs "
                    "in with a password",
                    options_.display()),
        Place{endpoint_, "conn", 0});
  library_ = &NativeLibrary::get(options_);
  if (!options_.time_zone.empty())
    library_->need(library_->options_connection, "taos_options_connection", "a time zone");
  executor_ = std::make_unique<NativeWorker>();
  auto patience = std::max(options_.connect_timeout, std::chrono::milliseconds(1));
  // With several endpoints a dead one must not use up the patience of the caller.
  if (options_.endpoints.size() > 1)
    patience = std::max(patience / static_cast<int>(options_.endpoints.size()),
                        std::min(patience, std::chrono::milliseconds(2'000)));
  struct Connected {
    std::shared_ptr<NativeConnection> connection;
    std::string version;
  };
  const auto out = std::make_shared<Connected>();
  const auto ticket =
      send(*executor_, next_ticket(0), "conn",
           [out, &library = *library_, options = options_, endpoint](Answer&) -> NativeOutcome {
             const auto& database = options.database;
             auto* const taos = library.connect(endpoint.host.c_str(), options.user.c_str(), options.password.c_str(),
                                                database.empty() ? nullptr : database.c_str(), endpoint.port);
             if (taos == nullptr) return last_outcome(library, kFailed);
             out->connection = std::make_shared<NativeConnection>(library, taos);
             out->version = printable(version_of_info(library.server_info(taos)), 40);
             if (library.options_connection == nullptr) return {};
             library.options_connection(taos, native::connection_application,
                                        options.application.c_str());  // for SHOW CONNECTIONS only
             if (options.time_zone.empty()) return {};
             const int code = library.options_connection(taos, native::connection_timezone, options.time_zone.c_str());
             return outcome_of(code, library.error_text(nullptr));
           });
  const auto answer = wait_until(ticket, Clock::now() + patience, patience, kConnectGrace);
  if (!answer.ok()) {
    const auto text = printable(wire::error_text(answer.code, answer.message), 300);
    if (of_network(answer))
      throw ConnectionError(Errc::unreachable,
                            fmt::format("cannot connect to {}: {} (0x{:04X}); natively the port is that of the server "
                                        "itself (6030), and this machine must know the names (FQDN) of its nodes",
                                        endpoint_, text, static_cast<unsigned>(answer.code)),
                            Place{endpoint_, "conn", 0}, answer.code, answer.message);
    throw_login_refused(options_, endpoint_, answer.code, answer.message);
  }
  connection_ = std::move(out->connection);
  lost_ = false;
  network_answers_ = 0;
  ++epoch_;
  version_ = std::move(out->version);
  if (version_.empty()) {
    const auto told = query("SELECT server_version()", 0);
    if (const auto block = told->fetch(); !block.empty()) {
      const auto cells = wire::Block::decode(block);
      if (cells.rows() > 0 && cells.columns() > 0) version_ = cells.text(0, 0);
    }
  }
}

void NativeSession::need_connection(std::string_view action) const {
  if (!is_open())
    throw ConnectionError(Errc::unreachable,
                          fmt::format("cannot send '{}': the connection to {} is closed", action, endpoint_),
                          Place{endpoint_, std::string(action), 0});
}

Ticket NativeSession::next_ticket(RequestId wanted) {
  collect();
  if (wanted == 0) return next_request_id();
  if (pending_.contains(wanted) || arrived_.contains(wanted))
    misuse(fmt::format("another request with the id {} is under way", wanted), "request");
  return wanted;
}

Ticket NativeSession::send(NativeWorker& worker, Ticket ticket, std::string_view action, Work work,
                           std::shared_ptr<StatementState> statement, Step step) {
  if (statement) statement->busy = true;
  auto request = std::make_shared<Request>();
  request->action = action;
  pending_[ticket] = {request, &worker, std::move(statement), step, nullptr, nullptr, false};
  worker.post([request = std::move(request), mailbox = mailbox_, work = std::move(work), ticket]() mutable {
    {
      const std::scoped_lock lock(mailbox->mutex);
      request->started = !request->cancelled;
      request->done = request->cancelled;
    }
    if (!request->started) return;  // written by this thread alone
    const auto begin = Clock::now();
    Answer answer;
    NativeOutcome outcome;
    try {
      outcome = work(answer);
    } catch (const std::exception& error) {
      outcome = {0xFFFF, error.what()};
    }
    work = nullptr;  // before the answer: whoever has it may free what this used
    answer.ticket = ticket;
    answer.action = request->action;
    answer.code = outcome.code;
    answer.message = std::move(outcome.text);
    answer.server_time = Clock::now() - begin;
    {
      const std::scoped_lock lock(mailbox->mutex);
      request->answer = std::move(answer);
      request->done = true;
      request->left_behind.reset();
    }
    mailbox->changed.notify_all();
  });
  return ticket;
}

// Moves what is done from the threads to this one.
void NativeSession::collect() {
  std::vector<std::pair<Ticket, Pending>> done;
  {
    const std::scoped_lock lock(mailbox_->mutex);
    for (auto i = pending_.begin(); i != pending_.end();) {
      if (i->second.request->done) {
        done.emplace_back(i->first, std::move(i->second));
        i = pending_.erase(i);
      } else {
        ++i;
      }
    }
  }
  for (const auto& [ticket, pending] : done) take(ticket, pending);
}

void NativeSession::take(Ticket ticket, const Pending& pending) {
  Answer& answer = pending.request->answer;  // the thread has done with it
  if (const auto& statement = pending.statement) {
    statement->busy = false;
    if (!answer.ok() || pending.forgotten) statement->broken = true;
    statement->bound = answer.ok() && pending.step == Step::bind;
  }
  network_answers_ = of_network(answer) ? network_answers_ + 1 : 0;
  if (answer.code == kDisconnected || answer.code == kKilled || network_answers_ >= kMostNetworkAnswers) lost_ = true;
  if (!pending.forgotten) arrived_[ticket] = std::move(answer);
}

Answer NativeSession::wait(Ticket ticket, std::chrono::milliseconds timeout) {
  return wait_until(ticket, Clock::now() + timeout, timeout, options_.stop_grace);
}

Answer NativeSession::wait_until(Ticket ticket, Deadline deadline, std::chrono::milliseconds timeout,
                                 std::chrono::milliseconds stop_grace) {
  collect();
  if (auto found = arrived_.extract(ticket)) return std::move(found.mapped());
  const auto pending = pending_.find(ticket);
  if (pending == pending_.end() || pending->second.forgotten) {
    need_connection("wait");
    misuse("no request with this ticket is under way", "wait");
  }
  const auto request = pending->second.request;
  {
    std::unique_lock lock(mailbox_->mutex);
    const auto done = [&] { return request->done; };
    if (!mailbox_->changed.wait_until(lock, options_.stop, deadline, done) && options_.stop.stop_requested()) {
      if (!stopped_at_) stopped_at_ = Clock::now();
      mailbox_->changed.wait_until(lock, std::min(deadline, *stopped_at_ + stop_grace), done);
    }
  }
  collect();
  if (auto found = arrived_.extract(ticket)) return std::move(found.mapped());
  const std::string& action = request->action;
  give_up(pending->second);
  if (options_.stop.stop_requested() && Clock::now() < deadline)
    throw ConnectionError(Errc::stopped, fmt::format("stopped while {} had not answered '{}' yet", endpoint_, action),
                          Place{endpoint_, action, ticket});
  throw ConnectionError(Errc::timeout,
                        fmt::format("{} did not answer '{}' within {}", endpoint_, action, seconds_text(timeout)),
                        Place{endpoint_, action, ticket});
}

void NativeSession::require(const Answer& answer) const {
  if (of_network(answer))
    throw ConnectionError(
        Errc::unreachable,
        fmt::format("TDengine at {} cannot be reached for '{}': {} (0x{:04X})", endpoint_, answer.action,
                    printable(wire::error_text(answer.code, answer.message), 300), static_cast<unsigned>(answer.code)),
        Place{endpoint_, answer.action, answer.ticket}, answer.code, answer.message);
  Session::require(answer);
}

// Under the mailbox's lock. A bind that is still reading the rows of its encoder gets their memory, and the encoder a
// copy.
void NativeSession::keep_rows(Pending& pending) {
  if (pending.encoder == nullptr) return;
  auto& request = *pending.request;
  auto* const encoder = std::exchange(pending.encoder, nullptr);
  if (request.started && !request.done) request.left_behind.emplace(encoder->leave_to_reader());
}

// Nobody waits for it any more. One that was not begun never will be; a thread that is held up by it is left behind.
void NativeSession::give_up(Pending& pending) {
  bool held_up = false;
  {
    const std::scoped_lock lock(mailbox_->mutex);
    auto& request = *pending.request;
    keep_rows(pending);
    request.cancelled = true;
    held_up = request.started && !request.done;
  }
  if (pending.statement) pending.statement->broken = true;
  pending.forgotten = true;
  if (!held_up) return;
  for (auto* const worker : {&executor_, &binder_})
    if (worker->get() == pending.worker) replace(*worker);
}

void NativeSession::replace(std::unique_ptr<NativeWorker>& worker) {
  auto fresh = std::make_unique<NativeWorker>();
  for (auto& [ticket, other] : pending_)
    if (other.worker == worker.get()) other.worker = fresh.get();
  worker->abandon_to(*fresh);
  worker = std::move(fresh);
}

bool NativeSession::ready(Ticket ticket) {
  if (!arrived_.contains(ticket)) poll();
  return arrived_.contains(ticket);
}

void NativeSession::poll() {
  collect();
  need_connection("poll");
}

}  // namespace penstock::client::detail
