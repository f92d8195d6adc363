#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/connection.h"
#include "format/parser.h"
#include "sandbox/server.h"
#include "schema/growth.h"
#include "schema/naming.h"
#include "sink/server_catalog.h"
#include "sink/writer.h"
#include "wire/schemaless.h"

/// Loads text into a database of a server as the program does, step by step in one thread.
namespace penstock::conformance {

/// A server for all cases of a test, and databases in it.
class Sandbox {
 public:
  Sandbox() : server_(options()) {}
  [[nodiscard]] client::Options target(const std::string& database = "") const;
  /// A connection without a database.
  [[nodiscard]] client::Connection connect(const std::string& database = "") const {
    return client::Connection::open(target(database));
  }

 private:
  static sandbox::Server::Options options() { return {}; }
  sandbox::Server server_;
};

/// A new database, dropped at the end of the case.
class CaseDatabase {
 public:
  CaseDatabase(client::Connection& connection, std::string name, const std::string& precision,
               const std::string& options);
  ~CaseDatabase();
  CaseDatabase(const CaseDatabase&) = delete;
  CaseDatabase& operator=(const CaseDatabase&) = delete;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// What the command line would find out about it.
  [[nodiscard]] const sink::WriteOptions& write_options() const noexcept { return write_; }
  [[nodiscard]] format::TimeRange range() const noexcept { return range_; }

 private:
  client::Connection& connection_;
  std::string name_;
  sink::WriteOptions write_;
  format::TimeRange range_;
};

/// Changes settings of the server's client (smlChildTableName …) in the adapter's process for the length of a case.
class ChangedSettings {
 public:
  ChangedSettings(client::Connection& connection, const std::map<std::string, std::string>& settings);
  ~ChangedSettings();
  ChangedSettings(const ChangedSettings&) = delete;
  ChangedSettings& operator=(const ChangedSettings&) = delete;

 private:
  client::Connection& connection_;
  const std::map<std::string, std::string>& settings_;
};

struct Loaded {
  struct Rejected {
    int code = 0;
    std::string reason;
    std::string record;
  };
  std::vector<Rejected> rejected;  ///< of all chunks
  std::uint64_t read = 0, written = 0, merged = 0;
  [[nodiscard]] std::string reasons() const;
};

/// One run of the loader into one database; chunks in order.
class Loader : public sink::WriteObserver {
 public:
  enum class Way { stmt, schemaless };
  struct Settings {
    wire::LineProtocol protocol = wire::LineProtocol::line;
    std::string precision;  ///< "ms" …, "none"
    schema::NamingRules naming;
    bool payload_rules = false;
    int ttl_days = 0;  ///< of new child tables
  };
  Loader(Way way, const client::Options& target, const CaseDatabase& database, const Settings& settings);
  ~Loader() override;
  void load(std::string_view text);
  [[nodiscard]] const Loaded& result() const noexcept { return result_; }

  void rejected(const sink::ParsedChunk& chunk, const data::Row& row, std::int32_t code,
                std::string_view reason) override;
  void acknowledged(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                    std::chrono::nanoseconds) override {}
  void retried() override {}
  void reconnected() override {}
  void built(std::chrono::nanoseconds) override {}
  void waited(std::chrono::nanoseconds) override {}
  void before_send(std::uint64_t, std::uint64_t) override {}

 private:
  schema::Registry registry_;
  std::unique_ptr<format::Parser> parser_;
  std::unique_ptr<sink::ServerCatalog> catalog_;
  std::unique_ptr<schema::Growth> growth_;
  std::unique_ptr<sink::Writer> writer_;
  sink::Window window_{registry_, 1};
  std::uint64_t offset_ = 0;
  Loaded result_;
};

}  // namespace penstock::conformance
