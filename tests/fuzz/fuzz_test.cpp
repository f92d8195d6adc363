// Every test run: the whole corpus and a bounded number of seeded mutations of it. tools/fuzz runs for longer.

#include <gtest/gtest.h>

#include <algorithm>
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

// The first two bytes of a text's input say where it is cut: here everywhere.
class CutFuzzTest : public FuzzTest {};

TEST_P(CutFuzzTest, KeepsItsPromisesWhereverTheTextIsCut) {
  const auto name = entry().name;
  for (auto [file, input] : corpus_of(entry(), kDatasets)) {
    SCOPED_TRACE(file);
    const std::size_t place = name == "csv" ? 0 : 1;
    if (input.size() <= place) continue;
    const unsigned most = static_cast<unsigned>(std::min<std::size_t>(256, input.size() + 1));
    // Lines are cut at their ends only.
    const unsigned step = name == "line" || name == "telnet" ? 8 : 1;
    for (unsigned at = 0; at < most; at += step) {
      input[place] = static_cast<char>(at);
      entry().run(input);
    }
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

std::string name_of(const testing::TestParamInfo<std::string_view>& instance) { return std::string(instance.param); }

INSTANTIATE_TEST_SUITE_P(Entries, FuzzTest, testing::ValuesIn(names()), name_of);
INSTANTIATE_TEST_SUITE_P(Entries, CutFuzzTest,
                         testing::Values("line", "telnet", "json", "csv", "ndjson", "influx_csv", "cutter", "reader"),
                         name_of);

}  // namespace
}  // namespace penstock::fuzz
