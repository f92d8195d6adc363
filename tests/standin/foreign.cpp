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

std::filesystem::path beside_the_program(const char* name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

PythonPackages python_packages(const std::string& names) {
  if (run("python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))'").status != 0) return {{}, "no python3"};
  const auto folder = beside_the_program("python-clients");
  if (!std::filesystem::exists(folder)) {
    const auto fresh = folder.string() + ".new";
    std::filesystem::remove_all(fresh);
    const auto install = run("timeout 120 python3 -m pip install --quiet --disable-pip-version-check --target " +
                             shell_quoted(fresh) + " " + names);
    if (install.status != 0) return {{}, names + " cannot be installed: " + install.output};
    std::filesystem::rename(fresh, folder);
  }
  return {folder, {}};
}

}  // namespace penstock::test
