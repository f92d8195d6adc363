#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

/// Recorded conversations with a real server (conformance/wire).
namespace penstock::records {

struct Line {
  nlohmann::json json;
  std::string bytes;  ///< of a message: its text or its hex decoded

  [[nodiscard]] std::string str(const char* member) const { return json.value(member, std::string()); }
  [[nodiscard]] bool sent() const { return str("dir") == "c2s"; }
  [[nodiscard]] bool received() const { return str("dir") == "s2c"; }
};

inline std::string from_hex(std::string_view hex) {
  std::string out;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return out;
}

inline std::filesystem::path folder() {
  const char* const given = std::getenv("PENSTOCK_CONFORMANCE");
  return std::filesystem::path(given != nullptr ? given : "../shared/conformance") / "wire";
}

/// Lines of a file without the folder and ending; empty when there are no records.
inline std::vector<Line> read(const std::string& name) {
  std::vector<Line> lines;
  std::ifstream in(folder() / (name + ".jsonl"));
  for (std::string text; std::getline(in, text);) {
    Line line{nlohmann::json::parse(text), {}};
    line.bytes = line.json.contains("hex") ? from_hex(line.str("hex")) : line.str("text");
    lines.push_back(std::move(line));
  }
  return lines;
}

#define PENSTOCK_NEED_RECORDS(lines) \
  if ((lines).empty()) GTEST_SKIP() << "no recorded conversations at " << ::penstock::records::folder()

}  // namespace penstock::records
