#include "standin/foreign.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>

namespace penstock::test {

Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> buffer{};
  std::size_t count = 0;
  while ((count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0) outcome.output.append(buffer.data(), count);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

std::string shell_quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

std::string library_environment() {
  std::string text =
      "LD_LIBRARY_PATH=" + shell_quoted(std::filesystem::path(PENSTOCK_STANDIN_LIBRARY).parent_path()) + " ";
#if defined(__SANITIZE_ADDRESS__)
  const auto library = [](const std::string& name) { return "$(" PENSTOCK_CXX " -print-file-name=" + name + ")"; };
  text += "LD_PRELOAD=\"" + library("libasan.so") + " " + library("libstdc++.so") + "\" ASAN_OPTIONS=detect_leaks=0 ";
#endif
  return text;
}

std::filesystem::path beside_the_program(const char* name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

}  // namespace penstock::test
