// Every test run: the whole corpus and a bounded number of seeded mutations of it. tools/fuzz runs for longer.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "fuzz/mutate.h"

namespace penstock::fuzz {
namespace {

constexpr const char* kDatasets = "datasets/fuzz";

class FuzzTest : public testing::TestWithParam<std::string_view> {
 protected:
  const Entry& entry() { return *find_entry(GetParam()); }
};

TEST_P(FuzzTest, KeepsItsPromisesForTheCorpus) {
  const auto corpus = corpus_of(entry(), kDatasets);
  ASSERT_GE(corpus.size(), 3u) << "datasets/fuzz/" << entry().name;
  for (const auto& [name, input] : corpus) {
    SCOPED_TRACE(name);
    entry().run(input);
  }
}

TEST_P(FuzzTest, KeepsItsPromisesForMutations) {
  std::vector<std::string> inputs;
  for (auto& [name, input] : corpus_of(entry(), kDatasets)) inputs.push_back(std::move(input));
  Mutator mutator(entry(), std::move(inputs), 20'240'613);
  const char* const wish = std::getenv("PENSTOCK_FUZZ_RUNS");
  const int runs = wish != nullptr ? std::atoi(wish) : 1'500;
  for (int i = 0; i < runs; ++i) {
    const auto& input = mutator.next();
    // The input of a run that ends the program is the last line of its output.
    if (std::getenv("PENSTOCK_FUZZ_TRACE") != nullptr)
      std::fprintf(stderr, "%s\n", testing::PrintToString(input).c_str());
    entry().run(input);
  }
}

std::vector<std::string_view> names() {
  std::vector<std::string_view> all;
  for (const auto& entry : entries()) all.push_back(entry.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Entries, FuzzTest, testing::ValuesIn(names()),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace penstock::fuzz
