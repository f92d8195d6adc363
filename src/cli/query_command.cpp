#include "cli/query_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "cli/exit_status.h"
#include "cli/table_text.h"
#include "cli/target.h"
#include "client/connection.h"

namespace penstock::cli {
namespace {

struct QueryFlags {
  TargetFlags target;
  std::string sql;
  std::string format = "table";
};

int query(const QueryFlags& flags) {
  const auto target = Target::resolve(flags.target);
  if (target->is_null()) throw Error(Errc::config, "--to null: holds nothing that could be queried");
  auto connection = client::Connection::open(target->options());
  auto rows = connection.query(flags.sql);
  const auto format = flags.format == "csv"    ? OutputFormat::csv
                      : flags.format == "json" ? OutputFormat::json_lines
                                               : OutputFormat::table;
  print_result(rows, format, stdout);
  if (std::fflush(stdout) != 0) throw Error(Errc::io, "cannot write the result to standard output");
  return kOk;
}

}  // namespace

void add_query_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand("query", "Run SQL and print a table, CSV or JSON lines");
  const auto flags = std::make_shared<QueryFlags>();
  command->add_option("SQL", flags->sql, "One statement")->required();
  add_target_flags(*command, flags->target, DatabaseFlags::without);
  command->add_option("--format", flags->format, "table, csv or json (an object a line)")
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  command->callback([flags, &status] { status = query(*flags); });
}

}  // namespace penstock::cli
