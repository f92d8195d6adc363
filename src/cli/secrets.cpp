#include "cli/secrets.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"

namespace penstock::cli {

std::optional<std::string> secret(const char* environment, const std::string& file) {
  if (!file.empty()) {
    std::ifstream in(file);
    std::string line;
    if (!in || !std::getline(in, line))
      throw Error(Errc::config, fmt::format("cannot read a password from '{}'", file));
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }
  const char* const value = std::getenv(environment);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::string ask_secret(const std::string& prompt) {
  std::FILE* const terminal = std::fopen("/dev/tty", "r+");
  if (terminal == nullptr)
    throw Error(Errc::config, "--ask-password needs a terminal; use --password-file or $PENSTOCK_PASSWORD instead");
  termios before{};
  tcgetattr(fileno(terminal), &before);
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
  fmt::print(terminal, "{}: ", prompt);
  std::fflush(terminal);
  std::string line;
  for (int c = std::fgetc(terminal); c != EOF && c != '\n'; c = std::fgetc(terminal)) line += static_cast<char>(c);
  tcsetattr(fileno(terminal), TCSAFLUSH, &before);
  fmt::print(terminal, "\n");
  std::fclose(terminal);
  return line;
}

}  // namespace penstock::cli
