#include "sink/verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/log.h"
#include "data/schema.h"

namespace penstock::sink {
namespace {

using data::quote_identifier;

constexpr std::int32_t kTableMissing = 0x2603;
constexpr std::int32_t kTableGone = 0x0618;
constexpr std::int32_t kSuperTableMissing = 0x0362;

/// Where a child table of that name stands in a list. There may be millions.
struct HashName {
  std::size_t operator()(const data::TableName& name) const noexcept { return name.hash(); }
};
using Places = std::unordered_map<data::TableName, std::size_t, HashName>;

bool says_missing(const Error& error) {
  const auto code = error.server_code();
  return code == kTableMissing || code == kTableGone || code == kSuperTableMissing;
}

// The keys on the server in ascending order, from a result ordered by time. Rows of one time are put in the order of
// the second part of their keys.
class ServerKeys {
 public:
  ServerKeys(client::Rows& rows, const Verifier::Table& table) : rows_(rows), table_(table) { advance(); }
  [[nodiscard]] const std::optional<Key>& now() const noexcept { return now_; }
  void advance() {
    if (table_.second_column.empty()) {
      now_ = next_row();
      return;
    }
    if (at_ == group_.size()) fill();
    now_ = at_ < group_.size() ? std::optional<Key>(group_[at_++]) : std::nullopt;
  }

 private:
  std::optional<Key> next_row() {
    if (!rows_.next()) return std::nullopt;
    Key key{static_cast<std::int64_t>(rows_.integer(0)), 0};
    if (!table_.second_column.empty())
      key.second = table_.is_text ? hash_key(rows_.text(1)) : hash_key(rows_.integer(1));
    return key;
  }
  void fill() {
    group_.clear();
    at_ = 0;
    auto key = ahead_ ? std::exchange(ahead_, std::nullopt) : next_row();
    while (key && (group_.empty() || group_.back().time == key->time)) {
      group_.push_back(*key);
      key = next_row();
    }
    ahead_ = key;
    std::sort(group_.begin(), group_.end());
  }

  client::Rows& rows_;
  const Verifier::Table& table_;
  std::optional<Key> now_;
  std::optional<Key> ahead_;
  std::vector<Key> group_;
  std::size_t at_ = 0;
};

}  // namespace

std::string time_text(std::int64_t time, data::Precision unit) {
  const std::int64_t per_second = data::units_per_second(unit);
  std::int64_t seconds = time / per_second;
  std::int64_t rest = time % per_second;
  if (rest < 0) {
    rest += per_second;
    --seconds;
  }
  std::tm parts{};
  const std::time_t clock = seconds;
  if (::gmtime_r(&clock, &parts) == nullptr) return std::to_string(time);
  const int digits = unit == data::Precision::milliseconds ? 3 : unit == data::Precision::microseconds ? 6 : 9;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:0{}}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, rest, digits);
}

template <class Call>
void Verifier::with_retries(Call&& call) {
  for (;;) {
    if (session_.stopping()) throw Error(Errc::stopped, "stopped while verifying");
    try {
      call(session_.connection());
      session_.progressed();
      return;
    } catch (const Error& error) {
      const Failure failure = failure_of(error);
      if (!wire::is_transient(failure.kind)) throw;
      session_.recover(failure);
    }
  }
}

VerifyOutcome Verifier::run(std::span<const Table> tables) {
  const auto start = std::chrono::steady_clock::now();
  outcome_ = {};
  if (const auto why = keys_.failure(); !why.empty()) throw Error(Errc::io, why);
  std::map<const data::SuperTableRef*, std::vector<Expected>> by_table;
  keys_.for_each_child([&](std::uint32_t id) {
    if (session_.stopping()) throw Error(Errc::stopped, "stopped while verifying");
    Expected expected;
    expected.child = id;
    keys_.for_each_key(id, [&](std::span<const Key> keys) {
      if (expected.keys == 0) expected.first = keys.front().time;
      expected.last = keys.back().time;
      expected.keys += keys.size();
    });
    outcome_.keys += expected.keys;
    outcome_.repeated += keys_.rows(id) - expected.keys;
    ++outcome_.child_tables;
    by_table[registry_.child(id).table].push_back(expected);
  });
  for (const Table& table : tables) {
    const auto found = by_table.find(table.ref);
    if (found == by_table.end()) continue;
    ++outcome_.super_tables;
    compare_table(table, found->second);
  }
  outcome_.elapsed = std::chrono::steady_clock::now() - start;
  return outcome_;
}

void Verifier::compare_table(const Table& table, std::vector<Expected>& children) {
  std::int64_t first = INT64_MAX;
  std::int64_t last = INT64_MIN;
  Places places;
  places.reserve(children.size());
  for (std::size_t i = 0; i < children.size(); ++i) {
    first = std::min(first, children[i].first);
    last = std::max(last, children[i].last);
    places.emplace(registry_.child(children[i].child).name, i);
  }
  const auto time = quote_identifier(table.time_column);
  const auto counts = fmt::format(
      "SELECT tbname, COUNT(*), FIRST({0}), LAST({0}) FROM {1} WHERE {0} >= {2} AND {0} <= {3} PARTITION BY tbname",
      time, quote_identifier(table.ref->name), first, last);
  // Numbers alone prove it where nobody else can have written; elsewhere rows of others could stand for lost ones.
  std::vector<char> fine(children.size());
  with_retries([&](client::Connection& connection) {
    std::fill(fine.begin(), fine.end(), char{0});
    try {
      auto rows = connection.query(counts);
      while (rows.next()) {
        const auto place = places.find(data::TableName(rows.text(0)));
        if (place == places.end()) continue;
        const Expected& expected = children[place->second];
        fine[place->second] = table.only_ours && rows.integer(1) == expected.keys &&
                              static_cast<std::int64_t>(rows.integer(2)) == expected.first &&
                              static_cast<std::int64_t>(rows.integer(3)) == expected.last;
      }
    } catch (const Error& error) {
      if (!says_missing(error)) throw;  // the super table is gone: all of its rows are missing
    }
  });
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < children.size(); ++i)
    if (fine[i] == 0) open.push_back(i);
  outcome_.compared_by_key += open.size();
  // What a cluster has acknowledged may take a moment to be seen by queries. All differences wait together.
  const auto deadline = std::chrono::steady_clock::now() + options_.patience;
  auto wait = std::chrono::milliseconds(200);
  std::vector<VerifyDifference> differences;
  std::uint64_t missing = 0;
  std::uint64_t unexpected = 0;
  for (;;) {
    std::vector<std::size_t> still;
    differences.clear();
    missing = unexpected = 0;
    for (const auto i : open) {
      auto difference = compare_keys(table, children[i]);
      if (is_fine(table, difference)) {
        outcome_.others += table.only_ours ? 0 : difference.unexpected;
        continue;
      }
      still.push_back(i);
      missing += difference.missing;
      unexpected += difference.unexpected;
      if (differences.size() < kVerifyListed) differences.push_back(std::move(difference));
    }
    open = std::move(still);
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (open.empty() || left <= std::chrono::milliseconds(0)) break;
    session_.sleep(std::min(wait, std::max(left, std::chrono::milliseconds(1))));
    wait *= 2;
  }
  outcome_.different += open.size();
  outcome_.missing += missing;
  (table.only_ours ? outcome_.doubtful : outcome_.others) += unexpected;
  for (auto& difference : differences)
    if (outcome_.differences.size() < kVerifyListed) outcome_.differences.push_back(std::move(difference));
}

VerifyDifference Verifier::compare_keys(const Table& table, const Expected& expected) {
  const auto& child = registry_.child(expected.child);
  const auto time = quote_identifier(table.time_column);
  const auto query = fmt::format("SELECT {0}{1} FROM {2} WHERE {0} >= {3} AND {0} <= {4} ORDER BY {0}", time,
                                 table.second_column.empty() ? "" : ", " + quote_identifier(table.second_column),
                                 quote_identifier(child.name.text()), expected.first, expected.last);
  VerifyDifference difference;
  with_retries([&](client::Connection& connection) {
    difference = {};
    difference.super_table = table.ref->name;
    difference.child_table = std::string(child.name);
    difference.expected = expected.keys;
    const auto list = [&](std::vector<std::string>& to, const Key& key) {
      if (to.size() < options_.listed_keys) to.push_back(time_text(key.time, options_.precision));
    };
    const auto missing = [&](const Key& key) {
      ++difference.missing;
      list(difference.first_missing, key);
    };
    std::optional<client::Rows> rows;
    try {
      rows.emplace(connection.query(query));
    } catch (const Error& error) {
      if (!says_missing(error)) throw;
    }
    if (!rows) {
      keys_.for_each_key(expected.child,
                         [&](std::span<const Key> keys) { std::for_each(keys.begin(), keys.end(), missing); });
      return;
    }
    ServerKeys server(*rows, table);
    const auto unexpected = [&] {
      ++difference.found;
      ++difference.unexpected;
      list(difference.first_unexpected, *server.now());
      server.advance();
    };
    keys_.for_each_key(expected.child, [&](std::span<const Key> keys) {
      for (const Key& key : keys) {
        while (server.now() && *server.now() < key) unexpected();
        if (server.now() && *server.now() == key) {
          ++difference.found;
          server.advance();
        } else {
          missing(key);
        }
      }
    });
    while (server.now()) unexpected();
  });
  return difference;
}

}  // namespace penstock::sink
