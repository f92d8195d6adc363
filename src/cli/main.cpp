#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/bench_command.h"
#include "cli/check_command.h"
#include "cli/exit_status.h"
#include "cli/load_command.h"
#include "cli/query_command.h"
#include "cli/sandbox_command.h"
#include "cli/secrets.h"
#include "cli/status_command.h"
#include "cli/tail_command.h"
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

// One line a flag where it fits: choices as a|b, the default behind the description, and the names in the environment,
// which follow from the flags', once at the end.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(34); }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";
    std::string type = option->get_type_name();
    if (const auto choices = type.find('{'); choices != std::string::npos && type.ends_with('}')) {
      type = type.substr(choices + 1, type.size() - choices - 2);
      // Between commas, of which one may be a choice itself.
      for (std::size_t i = 1; i + 1 < type.size(); ++i)
        if (type[i] == ',' && type[i - 1] != '|') type[i] = '|';
    }
    return " " + type;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    const auto value = option->get_default_str();
    return option->get_description() + (value.empty() ? "" : fmt::format(" (default: {})", value));
  }
};

void name_environment(CLI::App& command) {
  for (auto* const option : command.get_options()) {
    if (option->get_lnames().empty() || option->get_single_name() == "help") continue;
    option->envname(cli::environment_name(option->get_lnames().front()));
  }
}

// Runs the command that `arguments` (without the program's name) name; those of the file that they name are put in
// where `read_settings` is on.
int run(std::vector<std::string>& arguments, bool read_settings) {
  int status = cli::kOk;
  std::string config;
  CLI::App program{"penstock: text in, columns out, every row accounted for. The bulk loader for TDengine.",
                   "penstock"};
  program.set_version_flag("--version", std::string("penstock ") + cli::kVersion);
  program.require_subcommand(1);
  program.formatter(std::make_shared<HelpFormatter>());
  program.footer("Each command has its own help: penstock load --help");
  cli::add_load_command(program, status);
  cli::add_tail_command(program, status);
  cli::add_check_command(program, status);
  cli::add_query_command(program, status);
  cli::add_status_command(program, status);
  cli::add_bench_command(program, status);
  cli::add_sandbox_command(program, status);
  for (auto* const command : cli::leaf_commands(program)) {
    // Read before the flags are parsed: this option only shows it in the help and takes the name.
    command->add_option("--config", config, "TOML file with any of these flags");
    command->formatter(std::make_shared<HelpFormatter>());
    command->footer("Flags may also stand in the environment: --request-timeout is PENSTOCK_REQUEST_TIMEOUT.");
    name_environment(*command);
  }
  try {
    if (read_settings) arguments = cli::with_settings(program, std::move(arguments));
    // CLI11 takes them from the back.
    program.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; a wrong flag is, and says where help is.
    if (error.get_exit_code() == 0) return program.exit(error);
    fmt::print(stderr, "penstock: {}\n", cli::without_secrets(cli::explain(program, error)));
    fmt::print(stderr, "Try: penstock {}--help\n", cli::chosen_command(program));
    return cli::kUsage;
  } catch (const Error& error) {
    fmt::print(stderr, "penstock: {}\n", cli::without_secrets(error.what()));
    return status_of(error);
  } catch (const std::exception& error) {
    fmt::print(stderr, "penstock: unexpected: {}\n", cli::without_secrets(error.what()));
    return cli::kStopped;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> given(argv + 1, argv + argc);
  cli::hide_secrets(argc, argv);
  auto arguments = given;
  int status = run(arguments, true);
  // A service is told to read its settings again. Wrong ones must not end it: it goes on with those that it had.
  while (status == cli::kReload) {
    auto fresh = given;
    status = run(fresh, true);
    if (status == cli::kReload) arguments = fresh;
    if (status != cli::kUsage) continue;
    log_event(LogLevel::error, "config.refused", "the new configuration is refused; going on with the one before");
    status = run(arguments, false);
  }
  return status;
}
