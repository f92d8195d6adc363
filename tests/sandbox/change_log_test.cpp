#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sandbox/store.h"
#include "sandbox/subscription_log.h"
#include "wire/bytes.h"

namespace penstock::sandbox {
namespace {

/// A database of one super table with one child, without SQL.
class ChangeLogTest : public testing::Test {
 protected:
  ChangeLogTest() {
    database_.vgroups = {2, 3};
    Table table;
    table.name = "m";
    table.columns.resize(2);
    table.columns[0].column = {"ts", data::Type::timestamp, 0, 0, 0, false};
    table.columns[1].column = {"v", data::Type::integer, 0, 0, 0, false};
    Child child;
    child.name = "c";
    child.table = &database_.add_table(std::move(table));
    child_ = &database_.add_child(std::move(child));
  }
  void put(std::int64_t time, std::int64_t key) {
    database_.store->put(*child_->table, child_->id, time, {key, {}, false}, "r");
    ++child_->rows;
  }
  void begin_log(ChangeLog::Limits limits) {
    database_.changes = std::make_unique<ChangeLog>(database_, signal_, limits);
  }
  /// Times of the rows at an offset.
  std::vector<std::int64_t> times(std::int64_t offset) {
    std::vector<std::int64_t> list;
    const auto& change = database_.changes->at(database_, vgroup_, offset);
    for (const auto& rows : change.rows) {
      EXPECT_EQ(change.kind, Change::Kind::rows);
      for (std::string_view rest = rows.packed; !rest.empty();) {
        list.push_back(wire::load<std::int64_t>(rest.data()));
        rest.remove_prefix(12 + wire::load<std::uint32_t>(rest.data() + 8));
      }
      EXPECT_EQ(list.size(), rows.count);
    }
    return list;
  }

  Database database_{"d", std::make_unique<Store>(std::filesystem::path())};
  std::shared_ptr<ChangeSignal> signal_ = std::make_shared<ChangeSignal>();
  Child* child_ = nullptr;
  const std::size_t vgroup_ = vgroup_of("c", 2);
};

TEST_F(ChangeLogTest, DropsTheOldestBeyondItsLimit) {
  begin_log({.rows_at_start = 10, .bytes = 20'000});
  const auto before = database_.changes->end(vgroup_);
  for (int i = 0; i < 1000; ++i) {
    ChangeScope scope(database_);
    scope.row(*child_, i, std::string(100, 'x'));
    scope.commit();
  }
  EXPECT_EQ(database_.changes->end(vgroup_), before + 1000);
  EXPECT_GT(database_.changes->begin(vgroup_), before);
  std::size_t bytes = 0;
  for (auto at = database_.changes->begin(vgroup_); at < database_.changes->end(vgroup_); ++at)
    bytes += database_.changes->at(database_, vgroup_, at).bytes();
  EXPECT_LE(bytes, 20'000U);
  EXPECT_GT(bytes, 10'000U);
  EXPECT_EQ(signal_->generation(), 1000U);
}

TEST_F(ChangeLogTest, TakesRowsOver) {
  for (int i = 0; i < 10'000; ++i) put(i, 0);
  begin_log({});
  std::vector<std::int64_t> all;
  // Begin, the super table, the child, three parts.
  EXPECT_EQ(database_.changes->end(vgroup_), 6);
  EXPECT_EQ(database_.changes->end(1 - vgroup_), 2);
  for (std::int64_t at = 3; at < 6; ++at) {
    const auto part = times(at);
    all.insert(all.end(), part.begin(), part.end());
  }
  ASSERT_EQ(all.size(), 10'000U);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

TEST_F(ChangeLogTest, LeavesManyRowsInTheStore) {
  // Up to seven rows a time, as composite keys give them.
  std::size_t stored = 0;
  std::vector<std::int64_t> wanted;
  for (int i = 0; stored < 30'000; ++i) {
    for (int k = 0; k < 1 + i % 7; ++k, ++stored) {
      put(i * 10, k);
      wanted.push_back(i * 10);
    }
  }
  std::mt19937 random(20'240'613);
  for (int round = 0; round < 4; ++round) {
    begin_log({.rows_at_start = 10});
    EXPECT_EQ(database_.changes->at(database_, vgroup_, 2).created.size(), 1U);
    const auto end = database_.changes->end(vgroup_);
    EXPECT_EQ(end, 3 + (static_cast<std::int64_t>(stored) + 4095) / 4096);
    // Rows behind those that were there are not of the stock.
    put(wanted.back() + 1 + round, 0);
    // Any order of seeks before all is read gives the same parts.
    for (int i = 0; i < round; ++i) times(3 + static_cast<std::int64_t>(random()) % (end - 3));
    std::vector<std::int64_t> all;
    for (std::int64_t at = 3; at < end; ++at) {
      const auto part = times(at);
      EXPECT_TRUE(all.empty() || part.empty() || part.front() > all.back());
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(all, wanted);
    database_.store->erase_rows(child_->id, wanted.back() + 1, INT64_MAX);
  }
  // Deleted rows are gone, whatever part they were in; the rest stays.
  begin_log({.rows_at_start = 10});
  times(3);
  database_.store->erase_rows(child_->id, 0, wanted[20'000] - 1);
  std::vector<std::int64_t> left(std::find(wanted.begin(), wanted.end(), wanted[20'000]), wanted.end());
  std::vector<std::int64_t> all;
  for (std::int64_t at = 4; at < database_.changes->end(vgroup_); ++at) {
    const auto part = times(at);
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_EQ(all, left);
  database_.drop(*child_);
  EXPECT_TRUE(times(4).empty());
  EXPECT_TRUE(database_.changes->at(database_, vgroup_, 2).created.empty());
}

}  // namespace
}  // namespace penstock::sandbox
