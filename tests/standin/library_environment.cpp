#include "standin/library_environment.h"

#include <filesystem>

#include "standin/foreign.h"

namespace penstock::test {

std::string library_environment() {
  std::string text =
      "LD_LIBRARY_PATH=" + shell_quoted(std::filesystem::path(PENSTOCK_STANDIN_LIBRARY).parent_path()) + " ";
#if defined(__SANITIZE_ADDRESS__)
  const auto library = [](const std::string& name) { return "$(" PENSTOCK_CXX " -print-file-name=" + name + ")"; };
  text += "LD_PRELOAD=\"" + library("libasan.so") + " " + library("libstdc++.so") + "\" ASAN_OPTIONS=detect_leaks=0 ";
#endif
  return text;
}

}  // namespace penstock::test
