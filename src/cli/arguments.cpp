#include "cli/arguments.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace penstock::cli {
namespace {

std::size_t edits(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (from[i - 1] != to[j - 1] ? 1 : 0)});
      corner = above;
    }
  }
  return row.back();
}

// "; did you mean --to?" when one of the names is near enough.
std::string suggestion(std::string_view wrong, const std::vector<std::string>& names, std::string_view prefix) {
  const std::string* best = nullptr;
  std::size_t least = 3 + wrong.size() / 8;
  for (const auto& name : names) {
    const auto distance = edits(wrong, name);
    if (distance < std::min(least, name.size())) {
      least = distance;
      best = &name;
    }
  }
  return best == nullptr ? std::string() : fmt::format("; did you mean {}{}?", prefix, *best);
}

std::vector<std::string> flag_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* const option : command.get_options())
    if (!option->get_lnames().empty()) names.push_back(option->get_lnames().front());
  return names;
}

std::vector<std::string> command_names(const CLI::App& program) {
  std::vector<std::string> names;
  for (const auto* const command : program.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

// The command that `arguments` name from `at` on, with the place behind it: `bench parse` is one of `bench`.
const CLI::App& command_at(const CLI::App& program, const std::vector<std::string>& arguments, std::size_t& at) {
  const auto* command = program.get_subcommand(arguments[at++]);
  const auto names = command_names(*command);
  if (at < arguments.size() && std::find(names.begin(), names.end(), arguments[at]) != names.end())
    command = command->get_subcommand(arguments[at++]);
  return *command;
}

// "bench parse"
std::string full_name(const CLI::App& command) {
  const auto* const parent = command.get_parent();
  return (parent != nullptr && parent->get_parent() != nullptr ? parent->get_name() + " " : "") + command.get_name();
}

bool has_flag(const CLI::App& command, const std::string& name) {
  const auto names = flag_names(command);
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_given(const CLI::App& command, const std::string& name, const std::vector<std::string>& arguments) {
  if (std::getenv(environment_name(name).c_str()) != nullptr) return true;
  const auto& short_names = command.get_option("--" + name)->get_snames();
  return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
    return argument == "--" + name || argument.starts_with("--" + name + "=") ||
           std::any_of(short_names.begin(), short_names.end(), [&](const auto& s) { return argument == "-" + s; });
  });
}

std::optional<std::string> config_file(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (arguments[i] == "--config" && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].starts_with("--config=")) return arguments[i].substr(9);
  }
  const char* const named = std::getenv("PENSTOCK_CONFIG");
  return named != nullptr && *named != '\0' ? std::optional<std::string>(named) : std::nullopt;
}

std::vector<const CLI::App*> leaves(const CLI::App& program) {
  std::vector<const CLI::App*> found;
  for (const auto* const command : program.get_subcommands([](const CLI::App*) { return true; })) {
    const auto parts = command->get_subcommands([](const CLI::App*) { return true; });
    if (parts.empty()) found.push_back(command);
    else found.insert(found.end(), parts.begin(), parts.end());
  }
  return found;
}

// One TOML file's settings as flags of one command.
class ConfigFile {
 public:
  ConfigFile(const CLI::App& program, const CLI::App& command, const std::string& path,
             const std::vector<std::string>& arguments)
      : program_(program), command_(command), path_(path), arguments_(arguments) {}

  std::vector<std::string> flags() {
    toml::table root;
    try {
      root = toml::parse_file(path_);
    } catch (const toml::parse_error& error) {
      const auto& begin = error.source().begin;
      if (begin.line == 0) throw Error(Errc::config, fmt::format("--config {}: {}", path_, error.description()));
      throw Error(Errc::config,
                  fmt::format("--config {}:{}:{}: {}", path_, begin.line, begin.column, error.description()));
    }
    take_tables(root, program_);
    return std::move(flags_);
  }

 private:
  [[noreturn]] void refuse(const toml::node& node, const std::string& what) const {
    throw Error(Errc::config, fmt::format("--config {}:{}: {}", path_, node.source().begin.line, what));
  }

  // Settings of one command stand in a table with its name: [load], [bench.parse].
  void take_tables(const toml::table& table, const CLI::App& parent) {
    const auto commands = command_names(parent);
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const bool is_command = std::find(commands.begin(), commands.end(), name) != commands.end();
      if (!is_command || !node.is_table()) {
        take(name, node, true);
        continue;
      }
      const auto* const command = parent.get_subcommand(name);
      if (command == &command_) take_table(*node.as_table());
      else if (command == command_.get_parent()) take_tables(*node.as_table(), *command);
    }
  }

  void take_table(const toml::table& table) {
    for (const auto& [key, node] : table) take(std::string(key.str()), node, false);
  }

  void take(std::string name, const toml::node& node, bool for_all) {
    std::replace(name.begin(), name.end(), '_', '-');
    if (name == "config" || name == "help" || !has_flag(command_, name)) {
      const auto others = leaves(program_);
      const bool elsewhere =
          name != "config" && name != "help" &&
          std::any_of(others.begin(), others.end(), [&](const auto* other) { return has_flag(*other, name); });
      if (for_all && elsewhere) return;
      refuse(node, fmt::format("'{}' is no flag of {}{}", name, full_name(command_),
                               suggestion(name, flag_names(command_), "")));
    }
    if (is_given(command_, name, arguments_)) return;
    if (const auto* const list = node.as_array())
      for (const auto& one : *list) put(name, one);
    else put(name, node);
  }

  void put(const std::string& name, const toml::node& node) {
    std::string text;
    if (const auto* const value = node.as_string()) text = value->get();
    else if (const auto* const number = node.as_integer()) text = std::to_string(number->get());
    else if (const auto* const real = node.as_floating_point()) text = fmt::format("{}", real->get());
    else if (const auto* const truth = node.as_boolean()) text = truth->get() ? "true" : "false";
    else refuse(node, fmt::format("'{}' takes a text, a number, true, false, or a list of them", name));
    flags_.push_back(fmt::format("--{}={}", name, text));
  }

  const CLI::App& program_;
  const CLI::App& command_;
  const std::string& path_;
  const std::vector<std::string>& arguments_;
  std::vector<std::string> flags_;
};

// The command that the arguments named, as far as they were understood.
const CLI::App& chosen(const CLI::App& program) {
  const CLI::App* command = &program;
  for (auto parts = command->get_subcommands(); !parts.empty(); parts = command->get_subcommands())
    command = parts.front();
  return *command;
}

}  // namespace

std::string environment_name(const std::string& flag) {
  std::string name = "PENSTOCK_";
  for (const char c : flag) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::vector<std::string> with_settings(const CLI::App& program, std::vector<std::string> arguments) {
  const auto at = std::find_if(arguments.begin(), arguments.end(),
                               [](const std::string& argument) { return !argument.starts_with('-'); });
  if (at == arguments.end()) return arguments;
  const auto names = command_names(program);
  if (std::find(names.begin(), names.end(), *at) == names.end())
    throw Error(Errc::config, fmt::format("there is no command '{}'{} (commands: {}); try: penstock --help",
                                          printable(redact(*at)), suggestion(*at, names, ""), fmt::join(names, ", ")));
  const auto path = config_file(arguments);
  if (!path) return arguments;
  auto behind = static_cast<std::size_t>(at - arguments.begin());
  const auto& command = command_at(program, arguments, behind);
  auto flags = ConfigFile(program, command, *path, arguments).flags();
  arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(behind), std::make_move_iterator(flags.begin()),
                   std::make_move_iterator(flags.end()));
  return arguments;
}

std::vector<CLI::App*> leaf_commands(CLI::App& program) {
  std::vector<CLI::App*> found;
  for (auto* const command : program.get_subcommands([](CLI::App*) { return true; })) {
    const auto parts = command->get_subcommands([](CLI::App*) { return true; });
    if (parts.empty()) found.push_back(command);
    else found.insert(found.end(), parts.begin(), parts.end());
  }
  return found;
}

std::string chosen_command(const CLI::App& program) {
  const auto& command = chosen(program);
  return &command == &program ? "" : full_name(command) + " ";
}

std::string explain(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& command = chosen(program);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    for (const auto& extra : command.remaining()) {
      if (!extra.starts_with("--") || extra.size() < 4) continue;
      const auto name = extra.substr(2, extra.find('=') - 2);
      return fmt::format("--{} is no flag of {}{}", printable(name), full_name(command),
                         suggestion(name, flag_names(command), "--"));
    }
  }
  return redact(error.what());
}

}  // namespace penstock::cli
