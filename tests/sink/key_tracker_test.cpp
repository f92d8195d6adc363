#include "sink/key_tracker.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "sink/test_run.h"

namespace penstock::sink {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000;

std::vector<Key> keys_of(const KeyTracker& tracker, std::uint32_t child) {
  std::vector<Key> keys;
  tracker.for_each_key(child, [&](std::span<const Key> some) { keys.insert(keys.end(), some.begin(), some.end()); });
  return keys;
}

// A series of each kind that data comes in.
std::vector<Key> series(int kind, std::mt19937_64& random, std::size_t count) {
  std::vector<Key> keys;
  std::int64_t time = kNow;
  for (std::size_t i = 0; i < count; ++i) {
    Key key;
    switch (kind) {
      case 0: time += 10'000; break;                                                   // regular
      case 1: time += 1 + static_cast<std::int64_t>(random() % 20'000); break;         // irregular
      case 2: time -= 500; break;                                                      // from new to old
      case 3: time = kNow + static_cast<std::int64_t>(random() % (count * 3)); break;  // anyhow, with repetitions
      case 4: break;                                                                   // all the same
      case 5: time += random() % 50 == 0 ? 86'400'000 : 1'000; break;                  // with gaps
      case 6: time = static_cast<std::int64_t>(random()) / 4; break;                   // all over the range
      case 7: time += i % 100 == 99 ? -50'000 : 1'000; break;                          // overlapping pieces
      default:
        time -= static_cast<std::int64_t>(random() % 3) - 1;
        key.second = random() % 4;
        break;  // composite
    }
    key.time = time;
    keys.push_back(key);
  }
  return keys;
}
constexpr int kComposite = 8;
constexpr int kKinds = 9;

struct Limits {
  std::size_t bytes;
  std::size_t sorted;
};

TEST(KeyTracker, GivesEachKeyOnceInOrder) {
  std::mt19937_64 random(7);
  for (const Limits limits : {Limits{std::size_t{64} << 20, std::size_t{1} << 20}, Limits{2'000, 300}}) {
    KeyTracker::Options options;
    options.lanes = 3;
    options.max_bytes = limits.bytes;
    options.max_sorted = limits.sorted;
    KeyTracker tracker(options);
    std::map<std::uint32_t, std::set<Key>> expected;
    std::map<std::uint32_t, std::uint64_t> rows;
    std::map<std::uint32_t, std::vector<Key>> left;
    for (std::uint32_t child = 0; child < 3 * kKinds; ++child)
      left[child * 5] = series(static_cast<int>(child) % kKinds, random, 1 + random() % 5'000);
    // The child tables take turns, a few rows at a time.
    while (!left.empty()) {
      for (auto child = left.begin(); child != left.end();) {
        auto& keys = child->second;
        const auto count = std::min<std::size_t>(keys.size(), 1 + random() % 200);
        for (std::size_t i = 0; i < count; ++i) {
          tracker.add(child->first, keys[i], child->first / 5 % kKinds == kComposite);
          expected[child->first].insert(keys[i]);
          ++rows[child->first];
        }
        keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count));
        child = keys.empty() ? left.erase(child) : std::next(child);
      }
    }
    EXPECT_EQ(tracker.failure(), "");
    EXPECT_EQ(tracker.file_bytes() > 0, limits.bytes < 10'000);
    std::set<std::uint32_t> seen;
    tracker.for_each_child([&](std::uint32_t child) {
      EXPECT_TRUE(seen.insert(child).second);
      const auto& wanted = expected.at(child);
      EXPECT_EQ(tracker.rows(child), rows.at(child));
      EXPECT_EQ(keys_of(tracker, child), std::vector<Key>(wanted.begin(), wanted.end())) << "child " << child;
    });
    EXPECT_EQ(seen.size(), expected.size());
    EXPECT_TRUE(keys_of(tracker, 1).empty());
  }
}

TEST(KeyTracker, RegularSeriesTakeNextToNothing) {
  const auto bytes_of = [](int kind, std::int64_t unit, std::size_t count) {
    std::mt19937_64 random(3);
    KeyTracker tracker({});
    for (auto key : series(kind, random, count)) tracker.add(0, {key.time * unit, 0}, false);
    return tracker.memory_bytes();
  };
  EXPECT_LT(bytes_of(0, 1, 1'000'000), 1'000U);
  EXPECT_LT(bytes_of(2, 1'000'000, 1'000'000), 1'000U);
  // At most twice what is in use: buffers grow by doubling.
  EXPECT_LT(bytes_of(1, 1, 100'000), 2 * 100'000 * 4U);
  EXPECT_LT(bytes_of(1, 1'000'000, 100'000), 2 * 100'000 * 7U);
}

TEST(KeyTracker, KeepsNoFileThatOthersSee) {
  const auto directory = std::filesystem::temp_directory_path() / ("penstock-keys-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  {
    KeyTracker::Options options;
    options.max_bytes = 1'000;
    options.directory = directory;
    KeyTracker tracker(options);
    std::mt19937_64 random(5);
    for (const auto& key : series(1, random, 10'000)) tracker.add(0, key, false);
    EXPECT_GT(tracker.file_bytes(), 10'000U);
    EXPECT_TRUE(std::filesystem::is_empty(directory));
    EXPECT_EQ(keys_of(tracker, 0).size(), 10'000U);
  }
  std::filesystem::remove_all(directory);
}

TEST(KeyTracker, SaysWhenItHasNoRoom) {
  KeyTracker::Options options;
  options.max_bytes = 1'000;
  options.directory = "/nowhere/at/all";
  KeyTracker tracker(options);
  std::mt19937_64 random(5);
  for (const auto& key : series(1, random, 10'000)) tracker.add(0, key, false);
  const auto why = tracker.failure();
  for (const char* const part : {"/nowhere/at/all", "no such file", "TMPDIR"})
    EXPECT_NE(why.find(part), std::string::npos) << why;
}

TEST(KeyTracker, TakesTheRowsOfAWindowInThePrecisionOfTheDatabase) {
  TestRun run;
  KeyTracker::Options options;
  options.precision = data::Precision::milliseconds;
  KeyTracker tracker(options);
  const auto in_ns = run.chunk({{"a", -1, {schema::whole("v", 1)}},
                                {"a", 1'999'999, {schema::whole("v", 2)}},
                                {"b", 5'000'000, {schema::whole("v", 3)}},
                                {"a", 1'000'000, {schema::whole("v", 4)}}});
  const auto in_s =
      run.chunk({{"a", 1, {schema::whole("v", 5)}}, {"b", 2, {schema::whole("v", 6)}}}, data::Precision::milliseconds);
  Window window(run.registry, 1);
  window.add(TestRun::part(in_ns));
  window.add(TestRun::part(in_s));
  window.group();
  // The row of b at 2 ms is refused.
  for (const auto& ref : window.rows())
    if (run.registry.child(ref.row->child).name == "b" && ref.part() == 1) window.note_rejected(ref);
  tracker.add(0, window);
  std::map<std::string, std::vector<Key>> keys;
  tracker.for_each_child(
      [&](std::uint32_t child) { keys[std::string(run.registry.child(child).name)] = keys_of(tracker, child); });
  EXPECT_EQ(keys, (std::map<std::string, std::vector<Key>>{{"a", {{-1, 0}, {1, 0}}}, {"b", {{5, 0}}}}));
  std::uint64_t rows = 0;
  tracker.for_each_child([&](std::uint32_t child) { rows += tracker.rows(child); });
  EXPECT_EQ(rows, 5U);
}

}  // namespace
}  // namespace penstock::sink
