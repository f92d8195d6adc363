#include "cli/sandbox_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "cli/exit_status.h"
#include "cli/secrets.h"
#include "cli/signals.h"
#include "sandbox/server.h"

namespace penstock::cli {
namespace {

struct SandboxFlags {
  std::string directory;
  std::string listen = "127.0.0.1:6041";
  std::string user = "root";
  std::string password_file;
  bool log = false;
  std::uint64_t canned_rows = 0;
  bool discard = false;
};

int serve(const SandboxFlags& flags) {
  sandbox::Server::Options options;
  const auto colon = flags.listen.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    options.address = flags.listen.substr(0, colon);
    try {
      port = std::stoi(flags.listen.substr(colon + 1));
    } catch (const std::exception&) {
      port = -1;
    }
  }
  if (port < 0 || port > 65535)
    throw Error(Errc::config, fmt::format("--listen {}: give ADDRESS:PORT, for instance 127.0.0.1:6041", flags.listen));
  if (options.address.size() > 2 && options.address.front() == '[')
    options.address = options.address.substr(1, options.address.size() - 2);
  options.port = static_cast<std::uint16_t>(port);
  if (flags.discard && !flags.directory.empty())
    throw Error(Errc::config, fmt::format("--discard keeps no rows, so DIRECTORY '{}' would hold none: leave one of "
                                          "them out",
                                          flags.directory));
  options.engine.directory = flags.directory;
  options.engine.discard_rows = flags.discard;
  options.engine.user = flags.user;
  options.engine.password = secret("PENSTOCK_SANDBOX_PASSWORD", flags.password_file).value_or("taosdata");
  options.log = flags.log;
  options.canned_rows = flags.canned_rows;
  std::stop_source stop;
  const SignalGuard signals(stop);
  sandbox::Server server(options);
  fmt::print("sandbox listens on {}:{} and {}; stop it with Ctrl-C\n", options.address, server.port(),
             flags.discard             ? "throws all rows away"
             : flags.directory.empty() ? "keeps its data in memory"
                                       : "keeps its data in " + flags.directory);
  fmt::print("It is for first tries and tests, no database for production. A DSN for it: ws://{}:{}/DATABASE\n",
             options.address, server.port());
  std::fflush(stdout);
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait(lock, stop.get_token(), [] { return false; });
  server.stop();
  return kOk;
}

}  // namespace

void add_sandbox_command(CLI::App& program, int& status) {
  auto* const command =
      program.add_subcommand("sandbox", "Serve an embedded stand-in for TDengine, for first tries and tests");
  const auto flags = std::make_shared<SandboxFlags>();
  command->add_option("DIRECTORY", flags->directory, "Where the data is kept (default: in memory)");
  command->add_option("--listen", flags->listen, "Address and port; port 0 takes a free one")->capture_default_str();
  command->add_option("--user", flags->user, "User name")->capture_default_str();
  command->add_option("--password-file", flags->password_file,
                      "File with the password (default: $PENSTOCK_SANDBOX_PASSWORD, or taosdata)");
  command->add_option("--canned-rows", flags->canned_rows,
                      "Serve `select * from canned.rows` with so many rows from memory, for benches of readers");
  command->add_flag("--discard", flags->discard,
                    "Check, count and throw away the rows that are inserted, for benches of writers");
  command->add_flag("--log", flags->log, "A line for each connection and refusal");
  command->callback([flags, &status] { status = serve(*flags); });
}

}  // namespace penstock::cli
