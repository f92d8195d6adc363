#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/check_command.h"
#include "cli/exit_status.h"
#include "cli/load_command.h"
#include "cli/query_command.h"
#include "cli/sandbox_command.h"
#include "cli/version.h"

namespace {

using namespace penstock;

int status_of(const Error& error) {
  switch (error.code()) {
    case Errc::config:
    case Errc::auth:
    case Errc::unsupported: return cli::kUsage;
    default: return cli::kStopped;
  }
}

void name_environment(CLI::App& command) {
  for (auto* const option : command.get_options()) {
    if (option->get_lnames().empty() || option->get_single_name() == "help") continue;
    option->envname(cli::environment_name(option->get_lnames().front()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  int status = cli::kOk;
  std::string config;
  CLI::App program{"penstock: text in, columns out, every row accounted for. The bulk loader for TDengine.",
                   "penstock"};
  program.set_version_flag("--version", std::string("penstock ") + cli::kVersion);
  program.require_subcommand(1);
  program.get_formatter()->column_width(34);
  program.footer("Each command has its own help: penstock load --help");
  cli::add_load_command(program, status);
  cli::add_check_command(program, status);
  cli::add_query_command(program, status);
  cli::add_sandbox_command(program, status);
  for (auto* const command : program.get_subcommands({})) {
    // Read before the flags are parsed: this option only shows it in the help and takes the name.
    command->add_option("--config", config, "TOML file with any of these flags");
    command->get_formatter()->column_width(34);
    name_environment(*command);
  }
  try {
    auto arguments = cli::with_settings(program, {argv + 1, argv + argc});
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    program.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; a wrong flag is, and says where help is.
    if (error.get_exit_code() == 0) return program.exit(error);
    fmt::print(stderr, "penstock: {}\n", cli::explain(program, error));
    const auto chosen = program.get_subcommands();
    fmt::print(stderr, "Try: penstock {}--help\n", chosen.empty() ? "" : chosen.front()->get_name() + " ");
    return cli::kUsage;
  } catch (const Error& error) {
    fmt::print(stderr, "penstock: {}\n", error.what());
    return status_of(error);
  } catch (const std::exception& error) {
    fmt::print(stderr, "penstock: unexpected: {}\n", error.what());
    return cli::kStopped;
  }
  return status;
}
