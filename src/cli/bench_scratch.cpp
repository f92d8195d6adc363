#include "cli/bench_scratch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "cli/secrets.h"
#include "data/schema.h"
#include "wire/errors.h"

namespace penstock::cli {
namespace {

// Of DDL that has to wait for other DDL: a dropped database is gone a moment later.
constexpr auto kPatience = std::chrono::seconds(30);
constexpr auto kPause = std::chrono::milliseconds(200);

client::Options named(client::Options options, const std::string& database) {
  options.database = database;
  return options;
}

std::string checked_name(const std::string& name) {
  const bool fine = !name.empty() && name.size() <= data::Limits::database_name &&
                    !(name[0] >= '0' && name[0] <= '9') && std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                    });
  if (!fine)
    throw Error(Errc::config, fmt::format("--database {}: a name of at most {} small letters, digits and underscores",
                                          printable(name), data::Limits::database_name));
  return name;
}

}  // namespace

ScratchDatabase::ScratchDatabase(client::Options target, Settings settings)
    : settings_(std::move(settings)),
      without_database_(named(target, "")),
      with_database_(named(std::move(target), checked_name(settings_.name))),
      connection_(client::Connection::open(without_database_)) {
  if (!exists()) return;
  if (!is_marked())
    throw Error(Errc::config,
                fmt::format("{}: the database '{}' exists and was not made by penstock bench: it is left alone; name "
                            "another one with --database",
                            connection_.endpoint(), settings_.name));
  ours_ = true;
}

ScratchDatabase::~ScratchDatabase() {
  if (!ours_ || settings_.keep) return;
  try {
    drop();
  } catch (const Error& error) {
    fmt::print(stderr, "penstock: {}: the scratch database is left: {}; drop it with DROP DATABASE {}\n",
               connection_.endpoint(), without_secrets(error.what()), data::quote_identifier(settings_.name));
  }
}

// Again while the server is busy with other DDL, and over a new connection where this one was lost.
void ScratchDatabase::execute(const std::string& sql) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    try {
      if (!connection_.is_open()) connection_ = client::Connection::open(without_database_);
      connection_.execute(sql);
      return;
    } catch (const client::DatabaseError& error) {
      if (!wire::is_transient(error.error_class()) || std::chrono::steady_clock::now() > end) throw;
    }
    std::this_thread::sleep_for(kPause);
  }
}

bool ScratchDatabase::exists() {
  auto rows = connection_.query("SELECT name FROM information_schema.ins_databases WHERE name = " +
                                data::quote_text(settings_.name));
  bool found = false;
  while (rows.next()) found = true;
  return found;
}

bool ScratchDatabase::is_marked() {
  auto rows = connection_.query(
      fmt::format("SELECT table_name FROM information_schema.ins_tables WHERE db_name = {} AND table_name = {}",
                  data::quote_text(settings_.name), data::quote_text(kMark)));
  bool found = false;
  while (rows.next()) found = true;
  return found;
}

void ScratchDatabase::drop() {
  if (!connection_.is_open()) connection_ = client::Connection::open(without_database_);
  execute("DROP DATABASE IF EXISTS " + data::quote_identifier(settings_.name));
  ours_ = false;
}

TargetTimes ScratchDatabase::renew() {
  if (ours_) drop();
  const auto name = data::quote_identifier(settings_.name);
  auto sql = fmt::format("CREATE DATABASE {} KEEP 36500", name);
  if (settings_.precision) sql += fmt::format(" PRECISION '{}'", data::precision_name(*settings_.precision));
  if (settings_.vgroups > 0) sql += fmt::format(" VGROUPS {}", settings_.vgroups);
  execute(sql);
  ours_ = true;
  execute(fmt::format("CREATE TABLE {}.{} (ts TIMESTAMP, note VARCHAR(16))", name, kMark));
  // Servers and adapters remember tables by their names; those of the dropped database are others.
  execute("RESET QUERY CACHE");
  TargetTimes times;
  times.precision = settings_.precision.value_or(data::Precision::milliseconds);
  return times;
}

std::uint64_t ScratchDatabase::count() {
  std::vector<std::string> tables;
  {
    auto rows = connection_.query("SELECT stable_name FROM information_schema.ins_stables WHERE db_name = " +
                                  data::quote_text(settings_.name));
    while (rows.next()) tables.push_back(rows.text(0));
  }
  std::uint64_t count = 0;
  for (const auto& table : tables) {
    auto rows = connection_.query(fmt::format("SELECT COUNT(*) FROM {}.{}", data::quote_identifier(settings_.name),
                                              data::quote_identifier(table)));
    while (rows.next()) count += static_cast<std::uint64_t>(rows.integer(0));
  }
  return count;
}

}  // namespace penstock::cli
