#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/log.h"
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

// Environment twins: --request-timeout is PENSTOCK_REQUEST_TIMEOUT.
void name_environment(CLI::App& command) {
  for (auto* const option : command.get_options()) {
    auto name = option->get_single_name();
    if (option->get_lnames().empty() || name == "help" || name == "version" || name == "config") continue;
    for (auto& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    option->envname("PENSTOCK_" + name);
  }
}

}  // namespace

int main(int argc, char** argv) {
  int status = cli::kOk;
  CLI::App program{"penstock: text in, columns out, every row accounted for. The bulk loader for TDengine.", "penstock"};
  program.set_version_flag("--version", std::string("penstock ") + cli::kVersion);
  program.require_subcommand(1);
  program.get_formatter()->column_width(34);
  program.footer("Each command has its own help: penstock load --help");
  cli::add_load_command(program, status);
  cli::add_check_command(program, status);
  cli::add_query_command(program, status);
  cli::add_sandbox_command(program, status);
  for (auto* const command : program.get_subcommands({})) {
    command->set_config("--config", "", "TOML file with any of these flags");
    command->get_formatter()->column_width(34);
    name_environment(*command);
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; a wrong flag is, and says where help is.
    if (error.get_exit_code() == 0) return program.exit(error);
    fmt::print(stderr, "penstock: {}\n", error.what());
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
