#pragma once

#include <mutex>

#include "schema/catalog.h"
#include "sink/session.h"

namespace penstock::sink {

/// The database on the server, by DESCRIBE and DDL on a connection of its own. Any thread; one call at a time.
class ServerCatalog : public schema::Catalog {
 public:
  /// `state` as for the writers of the target.
  ServerCatalog(client::Options options, std::chrono::milliseconds retry_for, std::stop_token stop,
                std::shared_ptr<TargetState> state = nullptr)
      : session_(std::move(options), retry_for, std::move(stop), std::move(state)) {}

  Found describe(std::string_view name) override;
  std::vector<Found> describe_all(std::span<const std::string> names) override;
  bool create(const data::SuperTable& table) override;
  std::vector<bool> create_all(std::span<const data::SuperTable* const> tables) override;
  void add(std::string_view table, Part part, const data::Column& column) override;
  void widen(std::string_view table, Part part, const data::Column& column) override;

 private:
  template <class Call>
  auto with_retries(Call&& call);
  /// Sends all of them, then waits; the code of each answer, kUnanswered where none came.
  std::vector<std::int32_t> send_all(const std::vector<std::string>& statements);
  /// `harmless`: codes that mean that somebody else was first. False: one of these, or the caller looks again anyway.
  bool run(std::string_view table, const std::string& statement, std::initializer_list<std::int32_t> harmless);

  std::mutex mutex_;
  Session session_;
};

}  // namespace penstock::sink
