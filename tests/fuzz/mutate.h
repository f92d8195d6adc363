#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/entry.h"

namespace penstock::fuzz {

/// Inputs made of others, the same for the same seed everywhere. One thread.
class Mutator {
 public:
  Mutator(const Entry& entry, std::vector<std::string> corpus, std::uint64_t seed);
  /// The next input; valid until the next call.
  const std::string& next();

 private:
  void change(std::string& input);
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }

  const Entry& entry_;
  std::vector<std::string> corpus_;  // never empty
  std::vector<std::string_view> tokens_;
  std::mt19937_64 random_;
  std::string input_;
};

/// The files of datasets/fuzz/<entry>, by name.
std::vector<std::pair<std::string, std::string>> corpus_of(const Entry& entry, const std::string& datasets);

}  // namespace penstock::fuzz
