#include "cli/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "cli/table_text.h"
#include "data/schema.h"

namespace penstock::cli {
namespace {

using data::quote_identifier;
using data::quote_text;
using Level = Finding::Level;

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr unsigned kDefaultVgroups = 2;
constexpr std::int64_t kManyChildTables = 1'000'000;

// Runs a query for every row; false when the server does not answer it (rights, an older version).
template <class Take>
bool ask(client::Connection& connection, const std::string& sql, Take&& take) {
  try {
    auto rows = connection.query(sql);
    while (rows.next()) take(rows);
    return true;
  } catch (const Error& error) {
    if (error.code() == Errc::unreachable || error.code() == Errc::timeout) throw;
    return false;
  }
}

// A column of `SELECT *` by name: columns come and go from version to version.
std::optional<std::size_t> column_of(const client::Rows& rows, std::string_view name) {
  const auto& fields = rows.fields();
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.name == name; });
  if (found == fields.end()) return std::nullopt;
  return static_cast<std::size_t>(found - fields.begin());
}

std::string date_text(const pipeline::Instant& instant) {
  return time_text(instant.rounded_up(data::Precision::milliseconds), data::Precision::milliseconds);
}

class Judge {
 public:
  Judge(const TargetView& target, const DataView& data, const LoadIntent& intent, pipeline::Instant now)
      : target_(target), data_(data), intent_(intent), now_(now) {}

  std::vector<Finding> all() {
    version();
    licence();
    rights();
    database();
    vnodes();
    if (target_.database) {
      precision(*target_.database);
      keep(*target_.database);
    }
    for (const auto& table : data_.tables) super_table(table);
    child_tables();
    return std::move(findings_);
  }

 private:
  void add(Level level, std::string subject, std::string text, std::string mend = {}) {
    findings_.push_back({level, std::move(subject), std::move(text), std::move(mend)});
  }

  // A load gets by with what concerns some of its rows: they are rejected, the others written. Whether it is all of
  // them a sample cannot tell.
  Level rejects_only(bool some) const { return some && data_.sample ? Level::warning : Level::failure; }

  void version() {
    if (target_.version.empty()) return add(Level::unknown, "version", "the server does not tell its version");
    if (target_.version[0] >= '0' && target_.version[0] < '3')
      return add(Level::failure, "version",
                 fmt::format("{} is TDengine {}; penstock speaks to version 3", target_.endpoint, target_.version));
    add(Level::ok, "version", fmt::format("TDengine {} at {}", target_.version, target_.endpoint));
  }

  void licence() {
    if (target_.licence_expired.value_or(false))
      add(Level::failure, "licence", "the server's licence has expired: it takes no rows", "SHOW GRANTS");
  }

  void rights() {
    const auto grant =
        fmt::format("GRANT ALL ON {}.* TO {}", quote_identifier(target_.database_name), quote_identifier(target_.user));
    if (!target_.account)
      return add(Level::unknown, "rights", fmt::format("the server does not tell what user '{}' may do", target_.user));
    if (!target_.account->enabled)
      return add(Level::failure, "rights", fmt::format("user '{}' is disabled", target_.user),
                 fmt::format("ALTER USER {} ENABLE 1", quote_identifier(target_.user)));
    if (target_.account->super) return add(Level::ok, "rights", fmt::format("'{}' may do everything", target_.user));
    if (!target_.privileges)
      return add(
          Level::unknown, "rights",
          fmt::format("the server does not tell what user '{}' may do in '{}'", target_.user, target_.database_name));
    const auto& has = *target_.privileges;
    const bool writes =
        std::any_of(has.begin(), has.end(), [](const auto& right) { return right == "write" || right == "all"; });
    if (writes)
      return add(Level::ok, "rights", fmt::format("'{}' may write to '{}'", target_.user, target_.database_name));
    // Who made a database may write to it without a grant, and nothing tells who did.
    if (target_.account->creates_databases)
      return add(
          Level::warning, "rights",
          fmt::format("'{}' may write to '{}' only if it made the database", target_.user, target_.database_name),
          grant);
    add(Level::failure, "rights",
        fmt::format("user '{}' may not create tables in '{}' or write to it", target_.user, target_.database_name),
        grant);
  }

  void database() {
    if (target_.database) return;
    const auto precision = data_.precision.value_or(data::Precision::milliseconds);
    const auto sql = fmt::format("CREATE DATABASE {} PRECISION '{}' KEEP {}", quote_identifier(target_.database_name),
                                 data::precision_name(precision), intent_.keep);
    if (intent_.create_database) return add(Level::ok, "database", "does not exist; the load makes it: " + sql);
    add(Level::failure, "database", fmt::format("'{}' does not exist, or cannot be seen", target_.database_name),
        sql + "  (or load with --create-database)");
  }

  void vnodes() {
    if (!target_.free_vnodes) return add(Level::unknown, "vnodes", "the server does not tell how many are free");
    const auto free = *target_.free_vnodes;
    const auto needed =
        target_.database ? 0 : static_cast<std::int64_t>(intent_.vgroups > 0 ? intent_.vgroups : kDefaultVgroups);
    if (free >= needed) return add(Level::ok, "vnodes", fmt::format("{} free", free));
    add(Level::failure, "vnodes", fmt::format("{} free, but a new database takes {}", free, needed),
        "ALTER ALL DNODES 'supportVnodes' '64'  (or DROP DATABASE what is not needed)");
  }

  void precision(const TargetView::Database& database) {
    const auto keeps = data::precision_name(database.precision);
    if (!data_.precision || *data_.precision <= database.precision)
      return add(Level::ok, "precision", fmt::format("the database keeps {}", keeps));
    add(intent_.allow_precision_loss ? Level::warning : Level::failure, "precision",
        fmt::format("the timestamps of '{}' are in {}, the database keeps {}: rows would be joined",
                    data_.finest_source, data::precision_name(*data_.precision), keeps),
        fmt::format("CREATE DATABASE … PRECISION '{}' for a new one (it cannot be altered), --precision if the "
                    "timestamps are coarser, or --allow-precision-loss",
                    data::precision_name(*data_.precision)));
  }

  void keep(const TargetView::Database& database) {
    if (database.keep_minutes <= 0)
      return add(Level::unknown, "keep", "the server does not tell how long rows are kept");
    const auto days = database.keep_minutes / 1440;
    if (data_.too_old == 0)
      return add(Level::ok, "keep",
                 fmt::format("{} days, which holds all rows", format_count(static_cast<std::uint64_t>(days))));
    const auto age = data_.first ? (now_.seconds - data_.first->seconds) / kSecondsPerDay + 2 : 36'500;
    // Of a sample it is not known whether all rows are too old.
    const bool none = data_.too_old == data_.rows && !data_.sample;
    add(none ? Level::failure : Level::warning, "keep",
        fmt::format("{} of {} rows{} are older than the {} days that the database keeps (the first is of {}); they are "
                    "rejected",
                    format_count(data_.too_old), format_count(data_.rows), data_.sample ? " of the sample" : "",
                    format_count(static_cast<std::uint64_t>(days)), data_.first ? date_text(*data_.first) : "?"),
        fmt::format("ALTER DATABASE {} KEEP {}", quote_identifier(target_.database_name),
                    std::clamp<std::int64_t>(age, days + 1, 365'000)));
  }

  void super_table(const TableFinding& table) {
    const auto subject = "table " + table.name;
    if (!table.refused.empty())
      return add(rejects_only(!table.is_virtual), subject, table.refused,
                 "load into another super table or database, or rename the one that is there");
    if (table.misfits > 0)
      return add(
          Level::warning, subject,
          fmt::format("{} rows{} do not fit the types or limits of its columns and tags; they are rejected",
                      format_count(table.misfits), data_.sample ? " of the sample" : ""),
          "the rejects say which and why; --coerce converts what loses nothing, or load into another super table");
    if (!table.exists) return add(Level::ok, subject, "new; the load creates it");
    if (table.changes.empty()) return add(Level::ok, subject, "exists and takes all columns and tags as it is");
    add(Level::ok, subject, fmt::format("exists; the load runs: {}", fmt::join(table.changes, "; ")));
  }

  void child_tables() {
    std::uint64_t there = 0;
    for (const auto& [name, count] : target_.child_tables) there += count;
    const auto text = fmt::format("{} in the {}; the super tables have {} already", format_count(data_.child_tables),
                                  data_.sample ? "sample" : "data", format_count(there));
    if (data_.child_tables > intent_.max_child_tables)
      return add(rejects_only(true), "children", text, fmt::format("--max-child-tables {}", data_.child_tables));
    if (static_cast<std::int64_t>(data_.child_tables) > kManyChildTables)
      return add(Level::warning, "children", text + "; so many take the server long to create");
    add(Level::ok, "children", text);
  }

  const TargetView& target_;
  const DataView& data_;
  const LoadIntent& intent_;
  const pipeline::Instant now_;
  std::vector<Finding> findings_;
};

}  // namespace

const char* level_name(Finding::Level level) noexcept {
  switch (level) {
    case Level::ok: return "ok";
    case Level::unknown: return "unknown";
    case Level::warning: return "warn";
    case Level::failure: return "fail";
  }
  return "";
}

std::int64_t keep_minutes(std::string_view text) {
  std::int64_t most = 0;
  while (!text.empty()) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) break;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with('d')) value *= 1440;
    else if (text.starts_with('h')) value *= 60;
    most = std::max(most, value);
    const auto comma = text.find(',');
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return most;
}

TargetView look_at_target(client::Connection& connection, const std::string& database) {
  TargetView view;
  view.endpoint = connection.endpoint();
  view.version = connection.server_version();
  const auto& options = connection.options();
  // A token stands for a user that nobody tells.
  view.user = options.token.empty() && options.bearer_token.empty() ? options.user : "";
  view.database_name = database;
  ask(connection,
      "SELECT `precision`, `keep` FROM information_schema.ins_databases WHERE name = " + quote_text(database),
      [&](client::Rows& rows) {
        view.database.emplace();
        view.database->precision = data::precision_from_name(rows.text(0)).value_or(data::Precision::milliseconds);
        view.database->keep_minutes = keep_minutes(rows.text(1));
      });
  if (!view.user.empty()) {
    ask(connection, "SELECT * FROM information_schema.ins_users WHERE name = " + quote_text(view.user),
        [&](client::Rows& rows) {
          const auto flag = [&](const char* name, bool otherwise) {
            const auto column = column_of(rows, name);
            return column ? rows.integer(*column) != 0 : otherwise;
          };
          view.account = TargetView::User{flag("super", false), flag("enable", true), flag("createdb", false)};
        });
    std::vector<std::string> has;
    const bool told = ask(connection,
                          "SELECT privilege, db_name FROM information_schema.ins_user_privileges WHERE user_name = " +
                              quote_text(view.user),
                          [&](client::Rows& rows) {
                            const auto where = rows.text(1);
                            if (where == database || where == "all" || where == "*" || where.empty())
                              has.push_back(rows.text(0));
                          });
    if (told) view.privileges = std::move(has);
  }
  std::int64_t free = 0;
  bool any = false;
  ask(connection, "SELECT vnodes, support_vnodes FROM information_schema.ins_dnodes", [&](client::Rows& rows) {
    free += static_cast<std::int64_t>(rows.integer(1)) - static_cast<std::int64_t>(rows.integer(0));
    any = true;
  });
  if (any) view.free_vnodes = free;
  ask(connection, "SHOW GRANTS", [&](client::Rows& rows) {
    if (const auto column = column_of(rows, "expired")) view.licence_expired = rows.text(*column).starts_with("true");
  });
  if (view.database)
    ask(connection,
        "SELECT stable_name, COUNT(*) FROM information_schema.ins_tables WHERE db_name = " + quote_text(database) +
            " AND type = 'CHILD_TABLE' GROUP BY stable_name",
        [&](client::Rows& rows) { view.child_tables[rows.text(0)] = rows.integer(1); });
  return view;
}

std::vector<Finding> judge(const TargetView& target, const DataView& data, const LoadIntent& intent,
                           pipeline::Instant now) {
  return Judge(target, data, intent, now).all();
}

std::string to_text(const std::vector<Finding>& findings) {
  std::string out;
  for (const auto& finding : findings) {
    out += fmt::format("  {:<8}{:<11}{}\n", level_name(finding.level), finding.subject, finding.text);
    if (!finding.mend.empty()) out += fmt::format("{:21}mend: {}\n", "", finding.mend);
  }
  return out;
}

}  // namespace penstock::cli
