#include "sink/stmt_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/log.h"

namespace penstock::sink {
namespace {

using wire::ErrorClass;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostStatements = 64;
constexpr std::size_t kMostInterlaced = 8;
// From here on the standard mode is the faster one.
constexpr double kLongRuns = 100;
constexpr std::int32_t kTableMissing = 0x2603;
constexpr std::int32_t kTableGone = 0x0618;
// These are about the schema and nothing else.
constexpr std::int32_t kSchemaChanged = 0x0125;
constexpr std::int32_t kSchemaOld = 0x061B;
constexpr int kMostSame = 10;
constexpr int kQuickChanges = 5;
// Rows refused in a row by answers that are about requests, not about data: then it is no row's fault.
constexpr unsigned kMostMisused = 16;

}  // namespace

client::Statement& StatementCache::get(const Key& key, const schema::TableVersion& version,
                                       client::Connection& connection) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (found != entries_.end() && found->statement.usable()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().statement;
  }
  if (found != entries_.end()) entries_.erase(found);
  // Statements of older versions of the table are of no more use.
  entries_.remove_if([&](const Entry& e) { return e.key.table == key.table && e.key.version < key.version; });
  const auto interlaced = [](const Entry& e) { return e.key.mode == client::StatementMode::interlace; };
  if (key.mode == client::StatementMode::interlace &&
      static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), interlaced)) >= kMostInterlaced)
    entries_.erase(std::prev(std::find_if(entries_.rbegin(), entries_.rend(), interlaced).base()));
  if (entries_.size() >= kMostStatements) entries_.pop_back();
  entries_.push_front({key, connection.prepare(insert_statement(version, key.addressing), key.mode)});
  return entries_.front().statement;
}

void StatementCache::forget(const data::SuperTableRef* table) {
  entries_.remove_if([&](const Entry& e) { return e.key.table == table; });
}

void StatementCache::forget(const Key& key) {
  entries_.remove_if([&](const Entry& e) { return e.key == key; });
}

StmtWriter::StmtWriter(client::Options target, WriteOptions options, WriteObserver& observer, std::stop_token stop,
                       std::shared_ptr<TargetState> state)
    : options_(options),
      observer_(observer),
      session_(std::move(target), options.retry_for, stop, std::move(state)),
      slot_(session_.state().throttle, stop) {}

void StmtWriter::take_slot() {
  slot_.acquire([this] { session_.keep_alive(); });
}

StatementCache::Key StmtWriter::key_of(const Request& request, int turn) const {
  const auto mode = request.mean_run() < kLongRuns ? client::StatementMode::interlace : client::StatementMode::standard;
  return {request.version->ref, request.version->number, request.addressing, mode, turn};
}

// Statements die with the connection that made them.
void StmtWriter::check_generation() {
  session_.connection();
  if (generation_ == session_.generation()) return;
  if (generation_ != 0) observer_.reconnected();
  statements_.clear();
  generation_ = session_.generation();
}

// Tickets and bound rows belong to the connection that the statements were made on; asking another one for them would
// be a mistake of ours, not a failure of the server.
std::optional<Failure> StmtWriter::lost_connection() const {
  if (session_.is_open() && session_.generation() == generation_) return std::nullopt;
  Failure failure;
  failure.kind = ErrorClass::reconnect;
  failure.text = session_.options().display() + ": the connection was lost";
  return failure;
}

std::optional<Failure> StmtWriter::answer_of(client::Ticket ticket) {
  const auto start = Clock::now();
  auto failure = lost_connection();
  if (failure) return failure;
  try {
    const auto answer = session_.connection().wait(ticket);
    if (!answer.ok()) {
      failure.emplace();
      failure->code = answer.code;
      failure->kind = wire::classify(answer.code, answer.message);
      failure->text = wire::error_text(answer.code, answer.message);
      if (failure->kind == ErrorClass::already_done) failure.reset();
    }
  } catch (const Error& error) {
    failure = failure_of(error);
  }
  observer_.waited(Clock::now() - start);
  return failure;
}

// Builds and binds the request into the statement of that turn. When it fails the statement is gone.
std::optional<Failure> StmtWriter::bind(const Request& request, int turn, Built& built) {
  const auto key = key_of(request, turn);
  std::optional<Failure> failure;
  try {
    check_generation();
    if (options_.ttl_days > 0 && request.addressing != Addressing::existing) failure = create_children(request);
    if (failure) return failure;
    const auto start = Clock::now();
    built = builder_->build(request, encoders_[turn]);
    observer_.built(Clock::now() - start);
    observer_.before_send(request.rows, encoders_[turn].bytes());
    auto& statement = statements_.get(key, *request.version, session_.connection());
    failure = answer_of(session_.connection().send_bind(statement, encoders_[turn]));
  } catch (const Error& error) {
    failure = failure_of(error);
  }
  if (failure) statements_.forget(key);
  return failure;
}

// Executes what was bound into the statement of that turn and waits for it.
std::optional<Failure> StmtWriter::execute(const Request& request, int turn) {
  const auto key = key_of(request, turn);
  auto failure = lost_connection();
  if (failure) return failure;
  try {
    auto& statement = statements_.get(key, *request.version, session_.connection());
    failure = answer_of(session_.connection().send_exec(statement));
  } catch (const Error& error) {
    failure = failure_of(error);
  }
  if (failure) statements_.forget(key);
  return failure;
}

void StmtWriter::acknowledge(const Request& request, const Built& built, std::size_t bytes, Clock::time_point start) {
  for (const Run& run : request.runs) {
    run.child->exists = true;
    for (auto row = run.begin; row < run.end; ++row) window_->note_written(window_->rows()[row]);
  }
  for (const auto part : built.merged_parts) window_->note_merged(part);
  session_.progressed();
  slot_.succeeded();
  misused_ = 0;
  observer_.acknowledged(request.rows, built.merged_parts.size(), built.by_precision, request.runs.size(), bytes,
                         Clock::now() - start);
}

// Waits for a flight; a request that did not get through is delivered by itself before anything else goes on.
void StmtWriter::land(std::optional<Flight>& flight) {
  if (!flight) return;
  Flight landed = std::move(*flight);
  flight.reset();
  if (auto failure = answer_of(landed.exec)) {
    // The next request is bound already: its rows must not be executed behind the back of those of this one.
    statements_.clear();
    deliver(std::move(landed.request), std::move(failure));
  } else {
    slot_.release();
    acknowledge(landed.request, landed.built, landed.bytes, landed.start);
  }
}

void StmtWriter::write(Window& window) {
  session_.go_home();  // nothing is under way
  const auto grouping = Clock::now();
  window.group();
  observer_.built(Clock::now() - grouping);
  window_ = &window;
  builder_.emplace(window, options_.precision);
  WriteOptions limits = options_;
  limits.batch_rows = session_.state().throttle.batch_rows(options_.batch_rows);
  RequestPlanner planner(window, limits);
  std::optional<Flight> flight;
  Request request;
  int turn = 0;
  try {
    while (planner.next(request)) {
      // A second request at a time only while the server takes that many; who waits for leave has none under way.
      if (!flight || !slot_.try_acquire()) {
        land(flight);
        take_slot();
      }
      // The statement of this turn is free: its flight, the one before the last, has landed.
      Flight next{request, {}, key_of(request, turn), 0, 0, Clock::now()};
      auto failure = bind(request, turn, next.built);
      const unsigned deliveries = deliveries_;
      land(flight);
      // When the one before had to be delivered on its own, what was bound here is gone and is bound again, and what
      // this one was told is of a connection that is gone.
      if (deliveries != deliveries_) failure.reset();
      if (!failure && deliveries == deliveries_) failure = lost_connection();
      if (!failure && deliveries == deliveries_) {
        try {
          next.exec =
              session_.connection().send_exec(statements_.get(next.key, *request.version, session_.connection()));
          next.bytes = encoders_[turn].bytes();
          flight.emplace(std::move(next));
        } catch (const Error& error) {
          failure = failure_of(error);
        }
      }
      if (!flight) {
        statements_.forget(next.key);
        deliver(request, std::move(failure));
      }
      turn ^= 1;
      limits.batch_rows = session_.state().throttle.batch_rows(options_.batch_rows);
    }
    land(flight);
    if (!without_ttl_.empty()) set_missing_ttl();
  } catch (...) {
    slot_.release_all();
    window_ = nullptr;
    throw;
  }
  window_ = nullptr;
}

// The slow road of a request: again and again until it is through, refused row by row, or out of time. `failure` is
// what happened to it so far.
void StmtWriter::deliver(Request request, std::optional<Failure> failure) {
  ++deliveries_;
  OldSchema old_schema;
  slot_.release_all();
  for (;;) {
    if (failure) {
      // Who drains waits for nobody, but still tells the rows that the server refuses from the others.
      if (session_.stopping() && (wire::is_transient(failure->kind) || failure->kind == ErrorClass::fatal))
        throw Error(Errc::stopped, "stopped while the target did not take rows: " + failure->text);
      observer_.retried();
      if (wire::wants_less(failure->kind, failure->code)) slot_.pressed(failure->text);
      switch (failure->kind) {
        case ErrorClass::none:
        case ErrorClass::already_done: break;
        case ErrorClass::reconnect:
        case ErrorClass::lost_state:
        case ErrorClass::not_ready:
        case ErrorClass::pressure: {
          const bool unanswered = failure->unanswered;
          session_.recover(*failure);
          // A request without an answer may still be carried out: time for that before it is repeated, so that it does
          // not overtake later ones.
          if (unanswered) session_.sleep(options_.settle);
          if (request.keys > session_.state().throttle.batch_rows(options_.batch_rows)) {
            split(request);
            return;
          }
          break;
        }
        case ErrorClass::stale_schema:
          on_old_schema(request, *failure, old_schema);
          if (!old_schema.is_data) break;
          [[fallthrough]];
        case ErrorClass::data:
        // It speaks of the request as such, but a name or a value may have made it so: halving tells.
        case ErrorClass::usage: halve(request, *failure); return;
        case ErrorClass::fatal:
          throw Error(Errc::server,
                      fmt::format("{}, super table '{}': {} [0x{:04X}]", session_.options().display(),
                                  request.version->ref->name, failure->text, failure->code),
                      failure->code);
      }
    }
    take_slot();
    const auto start = Clock::now();
    Built built;
    failure = bind(request, 0, built);
    const std::size_t bytes = encoders_[0].bytes();
    if (!failure) failure = execute(request, 0);
    slot_.release_all();
    if (!failure) {
      acknowledge(request, built, bytes, start);
      return;
    }
  }
}

// What the server says about a schema may be about an old one, its own or ours: prepared anew, the same rows may go
// through. While others alter the table this may happen again and again; told the same of an unchanged table, it is the
// data.
void StmtWriter::on_old_schema(Request& request, const Failure& failure, OldSchema& history) {
  if (failure.code == kTableMissing || failure.code == kTableGone) {
    // A child table that was there is not any more: make it again.
    for (const Run& run : request.runs) run.child->exists = false;
    if (request.addressing == Addressing::existing) request.addressing = Addressing::creating;
  }
  auto described = renew(request, failure);
  if (!history.described || *history.described != described) {
    history.described = std::move(described);
    history.same = 0;
    if (++history.changed > kQuickChanges) session_.recover(failure);
    return;
  }
  ++history.same;
  const bool only_schema = failure.code == kSchemaChanged || failure.code == kSchemaOld;
  if (!only_schema || history.same > kMostSame) history.is_data = true;
  else std::this_thread::sleep_for(std::chrono::milliseconds(20 * history.same));  // so short that draining waits too
}

// Returns the table's description, to be compared only.
std::string StmtWriter::renew(const Request& request, const Failure& failure) {
  log(LogLevel::debug, fmt::format("super table '{}': {} [0x{:04X}]: preparing anew", request.version->ref->name,
                                   failure.text, failure.code));
  statements_.forget(request.version->ref);
  std::string described;
  try {
    check_generation();
    auto& connection = session_.connection();
    auto rows = connection.query("DESCRIBE " + data::quote_identifier(request.version->ref->name));
    while (rows.next()) described += fmt::format("{}\t{}\t{}\n", rows.text(0), rows.text(1), rows.text(2));
    connection.execute("RESET QUERY CACHE");
  } catch (const Error& error) {
    // The next attempt meets the same trouble and deals with it.
    log(LogLevel::debug, error.what());
  }
  return described;
}

// A refused request may have stored part of its rows; the halves go again whole and in order, which overwrites them
// with themselves.
void StmtWriter::halve(const Request& request, const Failure& failure) {
  if (request.rows == 1) {
    if (failure.kind == ErrorClass::usage && ++misused_ > kMostMisused)
      throw Error(Errc::server,
                  fmt::format("{}, super table '{}': the server refuses every request, not single rows: {} [0x{:04X}]",
                              session_.options().display(), request.version->ref->name, failure.text, failure.code),
                  failure.code);
    const RowRef& ref = window_->rows()[request.runs[0].begin];
    window_->note_rejected(ref);
    observer_.rejected(window_->chunk_of(ref), *ref.row, failure.code, failure.text);
    session_.progressed();
    return;
  }
  split(request);
}

// Sends a request as two.
void StmtWriter::split(const Request& request) {
  Request halves[2];
  for (auto& half : halves) {
    half.version = request.version;
    half.addressing = request.addressing;
  }
  const auto give = [&](Request& half, const Run& run) {
    half.runs.push_back(run);
    half.rows += run.size();
    half.keys += run.keys;
  };
  if (request.runs.size() > 1) {
    const std::size_t middle = request.runs.size() / 2;
    for (std::size_t i = 0; i < request.runs.size(); ++i) give(halves[i >= middle], request.runs[i]);
  } else {
    Run left = request.runs[0];
    Run right = left;
    left.end = right.begin = left.begin + left.size() / 2;
    // Where keys are not joined evenly, a half may have more than this.
    left.keys = std::min(left.size(), (request.keys + 1) / 2);
    right.keys = std::min(right.size(), (request.keys + 1) / 2);
    give(halves[0], left);
    give(halves[1], right);
  }
  for (auto& half : halves) deliver(std::move(half), std::nullopt);
}

}  // namespace penstock::sink
