#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/target.h"
#include "client/dsn.h"
#include "sink/writer.h"

namespace penstock::cli {

/// A way into a target.
struct BenchPath {
  enum class Kind : std::uint8_t { null, stmt, schemaless, sql };
  Kind kind = Kind::stmt;
  client::Transport transport = client::Transport::websocket;
  /// As --paths names it: stmt, schemaless, sql, rest-schemaless, rest-sql; null.
  [[nodiscard]] std::string name() const;
  /// "ws", "native", "rest", "".
  [[nodiscard]] std::string_view road() const noexcept;
  /// The server reads the lines: the loader's parsers do not.
  [[nodiscard]] bool forwards() const noexcept { return kind == Kind::schemaless; }
};

/// The names that --paths takes.
inline constexpr const char* kBenchPaths[] = {"stmt", "schemaless", "sql", "rest-schemaless", "rest-sql"};

/// The ways that a target has, of those that `wanted` names (empty: all). Over WebSocket those of the adapter's REST
/// interface are among them, at the same port.
std::vector<BenchPath> paths_of(const Target& target, const std::vector<std::string>& wanted);

/// Connects over the path into the database that `target` names. `precision` of the lines, for schemaless, as
/// --precision has it. Throws Error.
std::unique_ptr<sink::Writer> open_path(const BenchPath& path, const client::Options& target,
                                        const std::shared_ptr<sink::TargetState>& state,
                                        const sink::WriteOptions& write, const std::string& precision,
                                        sink::WriteObserver& observer, const std::stop_token& stop);

}  // namespace penstock::cli
