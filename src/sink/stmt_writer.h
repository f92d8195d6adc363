#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sink/request.h"
#include "sink/session.h"
#include "sink/writer.h"

namespace penstock::sink {

/// The prepared statements of a connection, the least recently used closed first: at most 64, of them at most 8 in
/// interlace mode (each of those costs the server a thread). Two of a kind, so that one can be bound while the other
/// executes. One thread.
class StatementCache {
 public:
  struct Key {
    const data::SuperTableRef* table = nullptr;
    std::uint32_t version = 0;
    Addressing addressing = Addressing::creating;
    client::StatementMode mode = client::StatementMode::standard;
    int turn = 0;  ///< 0 or 1
    bool operator==(const Key&) const = default;
  };
  /// The statement for a key, prepared if need be. Throws what Connection::prepare() throws.
  client::Statement& get(const Key& key, const schema::TableVersion& version, client::Connection& connection);
  /// Closes all statements of a table: its schema changed.
  void forget(const data::SuperTableRef* table);
  void forget(const Key& key);
  /// Drops everything: the connection is gone.
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    Key key;
    client::Statement statement;
  };
  std::list<Entry> entries_;  // most recently used first
};

/// Writes windows by parameter binding. Each request is bound while the one before it executes; a request that fails is
/// repeated, or halved until the guilty rows are alone. Writers of one target share its `state`.
class StmtWriter : public Writer {
 public:
  StmtWriter(client::Options target, WriteOptions options, WriteObserver& observer, std::stop_token stop,
             std::shared_ptr<TargetState> state = nullptr);
  /// Connects. Throws what client::Connection::open() throws.
  void open() { session_.connection(); }
  void write(Window& window) override;
  void idle() override {
    session_.keep_alive();
    session_.go_home();
  }

 private:
  // A request whose exec is under way.
  struct Flight {
    Request request;
    Built built;
    StatementCache::Key key;
    client::Ticket exec = 0;
    std::size_t bytes = 0;
    std::chrono::steady_clock::time_point start;
  };
  // What a request was told about its schema so far.
  struct OldSchema {
    std::optional<std::string> described;  // the table, when it was told so last
    int same = 0;                          // times in a row that the table had not changed meanwhile
    int changed = 0;
    bool is_data = false;  // it is not the schema
  };
  StatementCache::Key key_of(const Request& request, int turn) const;
  void check_generation();
  std::optional<Failure> bind(const Request& request, int turn, Built& built);
  std::optional<Failure> execute(const Request& request, int turn);
  [[nodiscard]] std::optional<Failure> lost_connection() const;
  std::optional<Failure> answer_of(client::Ticket ticket);
  void acknowledge(const Request& request, const Built& built, std::size_t bytes,
                   std::chrono::steady_clock::time_point start);
  void deliver(Request request, std::optional<Failure> failure);
  void split(const Request& request);
  void halve(const Request& request, const Failure& failure);
  void take_slot();
  void on_old_schema(Request& request, const Failure& failure, OldSchema& history);
  std::string renew(const Request& request, const Failure& failure);
  std::optional<Failure> create_children(const Request& request);
  bool create_tables(const schema::TableVersion& version, std::span<data::ChildTable* const> children);
  void set_missing_ttl();
  void land(std::optional<Flight>& flight);

  WriteOptions options_;
  WriteObserver& observer_;
  Session session_;
  Throttle::Slot slot_;
  StatementCache statements_;
  unsigned generation_ = 0;
  unsigned deliveries_ = 0;                     // requests that took the slow road
  unsigned misused_ = 0;                        // rows refused in a row for what seems to be no fault of theirs
  std::vector<data::ChildTable*> without_ttl_;  // SQL could not create them, a statement may have
  wire::Stmt2Encoder encoders_[2];
  Window* window_ = nullptr;  // of the present write()
  std::optional<RequestBuilder> builder_;
};

}  // namespace penstock::sink
