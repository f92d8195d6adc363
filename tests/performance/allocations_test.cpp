#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "performance/allocation_counter.h"
#include "performance/fixed_load.h"

// Allocations of a load of fixed inputs must not grow by more than a tenth over expected.json. Not a matter of time or
// of the machine: the counts are the same with every compiler setting.
namespace penstock::performance {
namespace {

constexpr double kMost = 1.10;

nlohmann::json expected() {
  std::ifstream in("tests/performance/expected.json");
  return nlohmann::json::parse(in);
}

class AllocationsOf : public testing::TestWithParam<std::string> {};

TEST_P(AllocationsOf, DoNotGrow) {
  const auto source = input(GetParam(), input_text(GetParam()));
  const auto before = allocations();
  const auto loaded = load(source);
  const auto after = allocations();
  ASSERT_EQ(loaded.rows, kRecords);
  const auto was = expected().at(GetParam());
  EXPECT_EQ(loaded.message_bytes, was.at("message_bytes").get<std::uint64_t>())
      << "the load does other work than when the counts were taken: tools/perf-gate --renew";
  const auto count = after.count - before.count, bytes = after.bytes - before.bytes;
  const char* const what_to_do = "; if that must be, tools/perf-gate --renew takes the new numbers";
  EXPECT_LE(static_cast<double>(count), kMost * was.at("allocations").get<double>())
      << "allocations in a load of " << kRecords << " records" << what_to_do;
  EXPECT_LE(static_cast<double>(bytes), kMost * was.at("allocated_bytes").get<double>())
      << "bytes allocated in a load of " << kRecords << " records" << what_to_do;
}

INSTANTIATE_TEST_SUITE_P(Inputs, AllocationsOf, testing::ValuesIn(input_names()),
                         [](const auto& test) { return test.param; });

TEST(AllocationCounter, SeesEveryForm) {
  struct alignas(64) Wide {
    char bytes[64];
  };
  const auto before = allocations();
  const auto one = std::make_unique<int>(1);
  const auto several = std::make_unique<char[]>(100);
  const auto aligned = std::make_unique<Wide>();
  const std::unique_ptr<int> quiet(new (std::nothrow) int(2));
  const auto after = allocations();
  EXPECT_EQ(after.count - before.count, 4u);
  EXPECT_EQ(after.bytes - before.bytes, sizeof(int) + 100 + sizeof(Wide) + sizeof(int));
}

// Every input is in the file, and the file has no other.
TEST(Expected, IsOfTheInputs) {
  const auto all = expected();
  EXPECT_EQ(all.size(), input_names().size());
  for (const auto& name : input_names())
    for (const auto* const figure : {"message_bytes", "allocations", "allocated_bytes", "instructions"})
      EXPECT_GT(all.at(name).at(figure).get<std::uint64_t>(), 0u) << name << ' ' << figure;
}

}  // namespace
}  // namespace penstock::performance
