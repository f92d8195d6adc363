#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "client/detail/native_bind.h"
#include "client/detail/native_handles.h"
#include "client/detail/native_worker.h"
#include "client/detail/session.h"
#include "wire/stmt2.h"

namespace penstock::client::detail {

/// A statement of TDengine's library.
struct NativeStatement : StatementState {
  ~NativeStatement() override;
  std::shared_ptr<NativeStatementHandle> handle;
};

/// A connection of TDengine's own client library. Its calls block, so they run on threads of the session: one for
/// binds, one for everything else, in order; thus the rows of one statement are bound while those of another are being
/// executed. A call that takes longer than its caller waits is left behind with its thread, and what it used is freed
/// when it returns.
///
/// The library reconnects by itself, so a code that speaks of the network is an answer like others (thrown as
/// ConnectionError). Only when two answers in a row do, or the connection was killed, is it taken as lost.
class NativeSession final : public Session {
 public:
  explicit NativeSession(Options options) : Session(std::move(options)) {}
  ~NativeSession() override;

  /// Waits half a second for what is under way.
  void close() noexcept override;
  [[nodiscard]] bool is_open() const noexcept override { return connection_ != nullptr && !lost_; }

  Ticket send_execute(std::string_view sql, RequestId request_id) override;
  std::unique_ptr<ResultState> query(std::string_view sql, RequestId request_id) override;
  std::string current_database() override;
  Ticket send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text, int ttl_days,
                         std::string_view table_name_key, RequestId request_id) override;
  std::shared_ptr<StatementState> make_statement(std::string_view sql, StatementMode mode) override;
  Ticket send_bind(const std::shared_ptr<StatementState>& statement, wire::Stmt2Encoder& encoder) override;
  Ticket send_exec(const std::shared_ptr<StatementState>& statement) override;
  std::unique_ptr<ResultState> result(const std::shared_ptr<StatementState>& statement) override;
  void close_statement(StatementState& statement) override;
  Answer wait(Ticket ticket, std::chrono::milliseconds timeout) override;
  bool ready(Ticket ticket) override;
  void poll() override;
  using Session::require;
  void require(const Answer& answer) const override;

  // --- for the results and statements of this session ---

  /// Runs `work` on the session's thread and waits for it; what it puts out is freed there when nobody waits any more.
  /// Throws as wait() and require() do.
  template <class Out>
  std::shared_ptr<Out> call(std::string_view action, std::function<NativeOutcome(Out&)> work,
                            RequestId request_id = 0) {
    auto out = std::make_shared<Out>();
    Work wrapped = [out, work = std::move(work)](Answer&) { return work(*out); };
    const auto ticket = send(*executor_, next_ticket(request_id), action, std::move(wrapped));
    require(wait(ticket, options_.request_timeout));
    return out;
  }
  /// Gives a handle back on the session's thread, so that nobody waits for that.
  template <class Handle>
  void release(std::shared_ptr<Handle> handle) noexcept {
    if (handle && executor_) executor_->post([handle = std::move(handle)]() mutable { handle.reset(); });
  }

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  using Work = std::function<NativeOutcome(Answer&)>;
  enum class Step : std::uint8_t { none, bind, exec };

  /// What the threads tell the session; they may outlive it.
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable_any changed;
  };
  /// Guarded by the mailbox but for `action`.
  struct Request {
    std::string action;
    Answer answer;
    bool started = false;
    bool done = false;
    bool cancelled = false;
    std::optional<wire::Stmt2Encoder> left_behind;  ///< memory that a bind still reads
  };
  struct Pending {
    std::shared_ptr<Request> request;
    NativeWorker* worker = nullptr;
    std::shared_ptr<StatementState> statement;
    Step step = Step::none;
    wire::Stmt2Encoder* encoder = nullptr;  ///< of a bind
    std::shared_ptr<NativeBindArrays> arrays;
    bool forgotten = false;
  };

  void connect_to(const Endpoint& endpoint) override;
  Ticket next_ticket(RequestId wanted);
  Ticket send(NativeWorker& worker, Ticket ticket, std::string_view action, Work work,
              std::shared_ptr<StatementState> statement = nullptr, Step step = Step::none);
  void need_connection(std::string_view action) const;
  void need_matching(const NativeStatement& statement, const NativeBindArrays& arrays) const;
  void collect();
  void take(Ticket ticket, const Pending& pending);
  Answer wait_until(Ticket ticket, Deadline deadline, std::chrono::milliseconds timeout,
                    std::chrono::milliseconds stop_grace);
  void give_up(Pending& pending);
  static void keep_rows(Pending& pending);
  void replace(std::unique_ptr<NativeWorker>& worker);
  std::shared_ptr<NativeBindArrays> free_arrays();

  const NativeLibrary* library_ = nullptr;
  std::shared_ptr<NativeConnection> connection_;
  bool lost_ = false;
  int network_answers_ = 0;  ///< in a row
  std::optional<Deadline> stopped_at_;
  std::unique_ptr<NativeWorker> executor_;
  std::unique_ptr<NativeWorker> binder_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::unordered_map<Ticket, Pending> pending_;
  std::unordered_map<Ticket, Answer> arrived_;
  std::vector<std::shared_ptr<NativeBindArrays>> arrays_;
};

}  // namespace penstock::client::detail
