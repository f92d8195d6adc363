#include "cli/target.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "base/backoff.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/flags.h"
#include "cli/preflight.h"
#include "cli/secrets.h"
#include "client/connection.h"
#include "data/schema.h"
#include "sandbox/server.h"
#include "sink/schemaless_writer.h"
#include "sink/server_catalog.h"
#include "sink/stmt_writer.h"
#include "sink/target_state.h"

namespace penstock::cli {
namespace {

constexpr const char* kSandbox = "sandbox:";
constexpr const char* kSandboxDatabase = "penstock";
constexpr std::int64_t kNsPerMinute = 60'000'000'000;
// Of a Retry-After.
constexpr auto kLongestAsked = std::chrono::minutes(5);

// Latest time a database takes: the start of 2970, or what nanoseconds can say (the start of 2262).
constexpr std::int64_t kLastNanosecond = 9'214'646'400'000'000'000;

bool is_no_server(const std::string& to) { return to.find("://") == std::string::npos; }

// "36500", "365d", "10y": only what CREATE DATABASE takes, so that nothing else can get into the statement.
std::string checked_keep(const std::string& keep) {
  const bool fine = !keep.empty() && std::all_of(keep.begin(), keep.end(), [](char c) {
    return (c >= '0' && c <= '9') || c == 'd' || c == 'h' || c == 'm' || c == ',';
  });
  if (!fine) throw Error(Errc::config, fmt::format("--keep {}: give a number of days, or 365d, 8760h", keep));
  return keep;
}

// Flags win over what the address says.
void take_tls_flags(const TargetFlags& flags, client::Options& options) {
  using Verify = client::Options::Verify;
  const auto take = [&](const char* flag, const std::string& given, std::string& into) {
    if (given.empty()) return;
    if (!options.tls)
      throw Error(Errc::config,
                  fmt::format("{} {}: the target is reached without TLS; write wss:// instead of ws://", flag, given));
    into = given;
  };
  std::string verify;
  take("--tls-verify", flags.tls_verify, verify);
  take("--tls-ca", flags.tls_ca, options.ca_file);
  take("--tls-cert", flags.tls_cert, options.certificate_file);
  take("--tls-key", flags.tls_key, options.key_file);
  if (!verify.empty()) options.verify = verify == "none" ? Verify::none : verify == "ca" ? Verify::ca : Verify::full;
  if (options.certificate_file.empty() != options.key_file.empty())
    throw Error(Errc::config, fmt::format("{}: --tls-cert and --tls-key must be given together",
                                          options.key_file.empty() ? "--tls-cert " + options.certificate_file
                                                                   : "--tls-key " + options.key_file));
}

void wait_a_little(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

void add_target_flags(CLI::App& command, TargetFlags& flags, DatabaseFlags database) {
  const auto* const group = "Target";
  command
      .add_option("--to", flags.to,
                  database == DatabaseFlags::with
                      ? "ws://[user[:password]@]host[:port]/database (taos://: natively), sandbox:DIRECTORY, or null:"
                      : "ws://[user[:password]@]host[:port]/database (taos://: natively), or sandbox:DIRECTORY")
      ->group(group);
  command.add_option("--password-file", flags.password_file, "File with the password (default: $PENSTOCK_PASSWORD)")
      ->group(group);
  command.add_flag("--ask-password", flags.ask_password, "Ask for the password on the terminal")->group(group);
  command.add_flag("--wait", flags.wait, "Wait until the server can be reached")->group(group);
  command.add_option("--request-timeout", flags.request_timeout, "Longest time a request may take")
      ->group(group)
      ->capture_default_str();
  command
      .add_option("--tls-verify", flags.tls_verify, "Of the server's certificate: full (default), ca (any host), none")
      ->group(group)
      ->check(CLI::IsMember({"full", "ca", "none"}));
  command.add_option("--tls-ca", flags.tls_ca, "PEM file of authorities (default: the system's)")->group(group);
  command.add_option("--tls-cert", flags.tls_cert, "PEM file with this client's certificate")->group(group);
  command.add_option("--tls-key", flags.tls_key, "PEM file with its key, without a password")->group(group);
  if (database == DatabaseFlags::without) return;
  command.add_flag("--create-database", flags.create_database, "Make the database if it is missing")->group(group);
  command.add_option("--db-precision", flags.db_precision, "Of a new database: ms, us, ns (default: the input's)")
      ->group(group)
      ->check(CLI::IsMember({"ms", "us", "ns"}));
  command.add_option("--keep", flags.keep, "Of a new database: days that rows are kept")
      ->group(group)
      ->capture_default_str();
  command.add_option("--vgroups", flags.vgroups, "Of a new database: vgroups (default: the server's)")->group(group);
}

Target::~Target() = default;

std::unique_ptr<Target> Target::resolve(const TargetFlags& flags) {
  std::unique_ptr<Target> target(new Target);
  target->flags_ = flags;
  std::string to = flags.to;
  if (to.empty()) {
    const char* const cloud = std::getenv("TDENGINE_CLOUD_URL");
    const char* const token = std::getenv("TDENGINE_CLOUD_TOKEN");
    if (cloud == nullptr || token == nullptr)
      throw Error(Errc::config,
                  "--to is missing: name the target, for instance --to ws://localhost:6041/mydb, "
                  "--to sandbox:DIRECTORY or --to null:");
    to = std::string(cloud);
    if (const auto scheme = to.find("://"); scheme != std::string::npos) to = to.substr(scheme + 3);
    to = "wss://" + to + (to.find('?') == std::string::npos ? "?" : "&") + "token=" + token;
  }
  if (to == "null:") {
    target->null_ = true;
    return target;
  }
  if (to.starts_with(kSandbox)) {
    target->sandbox_ = true;
    std::string directory = to.substr(std::string_view(kSandbox).size());
    std::string database = kSandboxDatabase;
    if (const auto query = directory.find("?db="); query != std::string::npos) {
      database = directory.substr(query + 4);
      directory.resize(query);
    }
    if (directory.empty())
      throw Error(Errc::config, "--to sandbox: needs a directory for its data, for instance sandbox:./sandbox");
    sandbox::Server::Options server;
    server.engine.directory = directory;
    target->server_ = std::make_unique<sandbox::Server>(server);
    target->options_.endpoints = {{"127.0.0.1", target->server_->port()}};
    target->options_.database = database;
  } else {
    if (is_no_server(to))
      throw Error(Errc::config, fmt::format("--to {}: this is no target; write ws://host:6041/database, "
                                            "sandbox:DIRECTORY or null:",
                                            redact(to)));
    target->options_ = client::Options::parse(to);
    auto& options = target->options_;
    if (!options.has_password) {
      if (const auto given = secret("PENSTOCK_PASSWORD", flags.password_file)) options.password = *given;
      else if (flags.ask_password) options.password = ask_secret("Password of " + options.user);
    }
  }
  take_tls_flags(flags, target->options_);
  // The address may say it too; a flag wins.
  if (flags.request_timeout != TargetFlags().request_timeout || target->sandbox_)
    target->options_.request_timeout = duration_flag("--request-timeout", flags.request_timeout);
  target->state_ = std::make_shared<sink::TargetState>(target->options_);
  return target;
}

std::string Target::display() const {
  if (null_) return "null:";
  if (sandbox_) return redact(flags_.to);
  return options_.display();
}

std::string Target::durable_name() const {
  if (!sandbox_) return display();
  const auto directory = flags_.to.substr(std::string_view(kSandbox).size());
  std::error_code ignored;
  return kSandbox + std::filesystem::absolute(directory, ignored).lexically_normal().string();
}

std::optional<data::Precision> Target::wanted_precision() const {
  return data::precision_from_name(flags_.db_precision);
}

client::Connection Target::connect_without_database(const std::stop_token& stop, const Say& say) {
  if (options_.database.empty())
    throw Error(Errc::config,
                fmt::format("--to {}: name the database behind the host, for instance {}mydb", redact(flags_.to),
                            redact(flags_.to) + (flags_.to.ends_with('/') ? "" : "/")));
  options_.stop = stop;
  client::Options without_database = options_;
  without_database.database.clear();
  Backoff backoff;
  for (bool told = false;;) {
    try {
      return client::Connection::open(without_database);
    } catch (const Error& error) {
      const bool may_come = error.code() == Errc::unreachable || error.code() == Errc::timeout;
      if (!flags_.wait || !may_come || stop.stop_requested()) throw;
      if (!std::exchange(told, true)) say(fmt::format("waiting for the server: {}", error.what()));
      auto pause = backoff.next();
      if (const auto* const refused = dynamic_cast<const client::ClientError*>(&error);
          refused && refused->retry_after())
        pause = std::max(pause, std::min<std::chrono::milliseconds>(*refused->retry_after(), kLongestAsked));
      wait_a_little(pause, stop);
    }
  }
}

Target::Database Target::prepare_database(const std::function<data::Precision()>& needed, const std::stop_token& stop,
                                          const Say& say) {
  if (options_.transport == client::Transport::rest)
    throw Error(Errc::unsupported,
                fmt::format("--to {}: REST cannot bind rows; load over ws:// (port 6041) or natively over taos:// "
                            "(port 6030)",
                            redact(flags_.to)));
  auto connection = connect_without_database(stop, say);
  const std::string name = options_.database;
  const auto look = [&]() -> std::optional<Database> {
    auto rows =
        connection.query("SELECT `precision`, `keep`, create_time FROM information_schema.ins_databases WHERE name = " +
                         data::quote_text(name));
    std::optional<Database> found;
    while (rows.next()) {
      found.emplace();
      found->precision = data::precision_from_name(rows.text(0)).value_or(data::Precision::milliseconds);
      if (!rows.is_null(2)) found->made = std::to_string(rows.integer(2));
      if (const auto keep = keep_minutes(rows.text(1)); keep > 0) {
        const auto now =
            std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
                .count();
        // KEEP may be longer than nanoseconds can count.
        found->first_ns = keep > (INT64_MAX / kNsPerMinute) ? INT64_MIN : now - keep * kNsPerMinute;
      }
      if (found->precision == data::Precision::nanoseconds) found->last_ns = kLastNanosecond;
    }
    return found;
  };
  auto database = look();
  if (!database) {
    if (!makes_database())
      throw Error(Errc::config, fmt::format("database '{}' does not exist on {}; make it with --create-database "
                                            "(--db-precision, --keep, --vgroups), or with SQL",
                                            name, connection.endpoint()));
    const auto precision = wanted_precision() ? *wanted_precision() : needed();
    std::string sql =
        fmt::format("CREATE DATABASE IF NOT EXISTS {} PRECISION '{}' KEEP {}", data::quote_identifier(name),
                    data::precision_name(precision), checked_keep(flags_.keep));
    if (flags_.vgroups > 0) sql += fmt::format(" VGROUPS {}", flags_.vgroups);
    say(sql);
    connection.execute(sql);
    database = look();
    if (!database)
      throw Error(Errc::server,
                  fmt::format("{}: the database '{}' was made, but it cannot be seen; does user '{}' have "
                              "rights on it?",
                              connection.endpoint(), name, options_.user));
  }
  return *database;
}

std::unique_ptr<schema::Catalog> Target::open_catalog(std::chrono::milliseconds retry_for, std::stop_token stop) {
  return std::make_unique<sink::ServerCatalog>(options_, retry_for, std::move(stop), state_);
}

std::unique_ptr<sink::Writer> Target::open_writer(const WriterSettings& settings, const sink::WriteOptions& options,
                                                  sink::WriteObserver& observer, std::stop_token stop) {
  if (settings.schemaless) {
    auto writer = std::make_unique<sink::SchemalessWriter>(options_, options, *settings.schemaless, observer,
                                                           std::move(stop), state_);
    writer->open();
    return writer;
  }
  auto writer = std::make_unique<sink::StmtWriter>(options_, options, observer, std::move(stop), state_);
  writer->open();
  return writer;
}

sink::SchemalessWriter::Settings schemaless_settings(const std::string& precision, const std::string& table_name_key,
                                                     int ttl_days) {
  sink::SchemalessWriter::Settings settings;
  settings.precision = precision.empty() ? "ns" : precision == "us" ? "u" : precision;
  settings.table_name_key = table_name_key;
  settings.ttl_days = ttl_days;
  return settings;
}

}  // namespace penstock::cli
