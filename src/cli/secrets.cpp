#include "cli/secrets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace penstock::cli {

std::optional<std::string> secret(const char* environment, const std::string& file) {
  if (!file.empty()) {
    errno = 0;
    std::ifstream in(file);
    std::string line;
    if (!in) throw Error(Errc::config, fmt::format("cannot read the password file '{}': {}", file, errno_text(errno)));
    if (!std::getline(in, line))
      throw Error(Errc::config,
                  fmt::format("cannot read a password from '{}': its first line is empty or missing", file));
    struct stat status {};
    if (stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0)
      log(LogLevel::warning, fmt::format("the password file '{}' can be read by {}: chmod 600 it", file,
                                         (status.st_mode & S_IROTH) != 0 ? "everybody" : "its group"));
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }
  const char* const value = std::getenv(environment);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

namespace {

// Replaces [begin, end) of an argument.
void blot(char* argument, std::size_t begin, std::size_t end) { std::fill(argument + begin, argument + end, '*'); }

// What may hold a secret of `scheme://user:password@hosts/database?name=value&…`: a password may have unescaped '/',
// '?' and '@' in it by mistake, so everything up to the last '@' counts. Only what a reader needs to tell processes
// apart stays of the options.
void hide_address(char* argument, std::string_view text, std::size_t start) {
  const auto at = text.rfind('@');
  if (at != std::string_view::npos && at >= start) {
    const auto colon = text.find(':', start);
    if (colon < at) blot(argument, colon + 1, at);
  }
}

bool same_letters(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
         });
}

// Values of options that are no secret; names may be percent-encoded, so what is unknown is hidden.
bool is_harmless(std::string_view name) {
  for (const std::string_view known : {"tls_verify", "tls_ca", "tls_cert", "tls_key", "timezone", "app", "compression",
                                       "connect_timeout", "request_timeout", "db"})
    if (same_letters(name, known)) return true;
  return false;
}

void hide_options(char* argument, std::string_view text) {
  const auto query = text.find('?');
  for (auto at = query; at != std::string_view::npos;) {
    const auto begin = at + 1;
    at = text.find('&', begin);
    const auto end = at == std::string_view::npos ? text.size() : at;
    const auto equals = text.find('=', begin);
    if (equals < end && !is_harmless(text.substr(begin, equals - begin))) blot(argument, equals + 1, end);
  }
}

}  // namespace

void hide_secrets(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string text(argv[i]);  // as it was: positions stay the same
    const auto scheme = text.find("://");
    if (scheme == std::string::npos) continue;
    hide_options(argv[i], text);
    hide_address(argv[i], text, scheme + 3);
  }
}

std::string without_secrets(std::string_view message) {
  const auto separator = message.find("://");
  if (separator == std::string_view::npos) return std::string(message);
  auto begin = separator;
  while (begin > 0 && (std::isalnum(static_cast<unsigned char>(message[begin - 1])) || message[begin - 1] == '+'))
    --begin;
  // A password may hold blanks and quotes: the last '@' decides.
  const auto at = message.rfind('@');
  auto end = message.find_first_of(" '\n", at == std::string_view::npos || at < separator ? separator : at);
  if (end == std::string_view::npos) end = message.size();
  return std::string(message.substr(0, begin)) + redact(message.substr(begin, end - begin)) +
         without_secrets(message.substr(end));
}

std::string write_private(const std::string& path, std::string_view content) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return errno_text(errno);
  std::string failure;
  while (!content.empty() && failure.empty()) {
    const auto written = write(file, content.data(), content.size());
    if (written >= 0) content.remove_prefix(static_cast<std::size_t>(written));
    else if (errno != EINTR) failure = errno_text(errno);
  }
  if (close(file) != 0 && failure.empty()) failure = errno_text(errno);
  return failure;
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
