#include "sandbox/replay_tally.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace penstock::test {
namespace {

constexpr std::size_t kShownBytes = 1'600;
constexpr std::size_t kShownDifferences = 3;

}  // namespace

std::optional<std::vector<nlohmann::json>> wire_record(const std::string& name) {
  const char* root = std::getenv("PENSTOCK_CONFORMANCE");
  std::ifstream in(std::filesystem::path(root != nullptr ? root : "../shared/conformance") / "wire" /
                   (name + ".jsonl"));
  if (!in) return std::nullopt;
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

void ReplayTally::differ(std::string_view recorded, std::string_view got) {
  std::string text = note_.substr(0, 100) + "\n  asked    " + asked_ + "\n  recorded ";
  text += recorded.substr(0, kShownBytes);
  text += "\n  sandbox  ";
  text += got.substr(0, kShownBytes);
  differences_.push_back(std::move(text));
}

void ReplayTally::report(const std::string& name, int floor) const {
  const int agree = same_ + same_code_;
  std::cout << name << ": " << agree << " of " << total_;
  if (same_code_ > 0) std::cout << " (" << same_code_ << " of them by code only)";
  std::cout << '\n';
  const bool all = std::getenv("PENSTOCK_REPLAY_ALL") != nullptr;
  const std::size_t shown = all ? differences_.size() : std::min(differences_.size(), kShownDifferences);
  for (std::size_t i = 0; i < shown; ++i) std::cout << "- " << differences_[i] << '\n';
  if (shown < differences_.size()) std::cout << "… (PENSTOCK_REPLAY_ALL=1 shows all)\n";
  testing::Test::RecordProperty("agree", agree);
  testing::Test::RecordProperty("recorded", total_);
  EXPECT_GE(agree, floor);
}

}  // namespace penstock::test
