#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "sink/request.h"
#include "sink/test_run.h"

/// Rows that all give the same fields of fixed size, as most inputs have them: they are sent some at a time.
namespace penstock::sink {
namespace {

using data::Precision;
using data::Type;

constexpr Type kTypes[] = {Type::bigint,  Type::float64, Type::boolean, Type::smallint, Type::utinyint, Type::bigint,
                           Type::float32, Type::integer, Type::float64, Type::ubigint,  Type::bigint};

enum class Order { rising, falling, late, equal };

std::vector<std::int64_t> times_of(Order order, int count, std::int64_t step, std::mt19937& random) {
  std::vector<std::int64_t> times;
  for (std::int64_t i = 0; i < count; ++i) times.push_back((i - count / 2) * step - 1);
  if (order == Order::falling) std::reverse(times.begin(), times.end());
  if (order == Order::late)
    for (auto& time : times) time -= random() % 3 == 0 ? step / 2 + static_cast<std::int64_t>(random() % 9) * step : 0;
  if (order == Order::equal)
    for (auto& time : times) time -= random() % 3 == 0 ? step : 0;
  return times;
}

// `gaps`: every second column only.
std::vector<TestRow> rows_of(int child, bool gaps, const std::vector<std::int64_t>& times, std::mt19937& random) {
  std::vector<TestRow> rows;
  for (const auto time : times) {
    TestRow row{"c" + std::to_string(child), time, {}};
    for (std::size_t f = 0; f < std::size(kTypes); ++f) {
      if (gaps && f % 2 == 1) continue;
      const auto size = data::fixed_size(kTypes[f]);
      auto bits = std::uint64_t{random()} << 32 | random();
      if (kTypes[f] == Type::boolean) bits &= 1;
      if (size < 8) bits &= (std::uint64_t{1} << 8 * size) - 1;
      row.values.push_back({"f" + std::to_string(f), kTypes[f], false, bits, {}});
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::int64_t in_milliseconds(std::int64_t time) {
  return time >= 0 ? time / 1'000'000 : -((999'999 - time) / 1'000'000);
}

// [child][time][column], the bytes of each value; "-" where not given.
using Cells = std::map<std::string, std::map<std::int64_t, std::map<std::string, std::string>>>;

void decode(const Request& request, wire::Stmt2Encoder& encoder, Cells& cells) {
  const auto message = encoder.join(1, 2);
  const auto bind = wire::decode_stmt2_bind(message);
  ASSERT_TRUE(bind.has_value());
  for (const auto& table : bind->tables) {
    std::vector<std::int64_t> times;
    table.columns[0].for_each([&](std::uint32_t, wire::CellState state, std::string_view bytes) {
      ASSERT_EQ(state, wire::CellState::value);
      times.push_back(wire::load<std::int64_t>(bytes.data()));
    });
    ASSERT_TRUE(std::adjacent_find(times.begin(), times.end(), std::greater_equal<>()) == times.end());
    for (std::size_t c = 1; c < table.columns.size(); ++c) {
      ASSERT_EQ(table.columns[c].rows, times.size());
      table.columns[c].for_each([&](std::uint32_t row, wire::CellState state, std::string_view bytes) {
        cells[std::string(table.name)][times[row]][request.version->columns[c].name] =
            state == wire::CellState::value ? std::string(bytes) : "-";
      });
    }
  }
}

TEST(UniformRuns, AreSentWithTheValueOfTheLastRowOfEachKey) {
  std::mt19937 random(5);
  std::size_t compared = 0;
  for (const int count : {1, 2, 15, 16, 17, 31, 33, 150})
    for (const auto order : {Order::rising, Order::falling, Order::late, Order::equal})
      // Far enough apart for the database; not far enough; in its own precision.
      for (const std::int64_t step : {5'000'000, 400'000, 1})
        for (const auto precision : {Precision::milliseconds, Precision::nanoseconds}) {
          TestRun run;
          Window window(run.registry, 1);
          if (count > 16) {  // times are noted when the window before had rows that fell
            window.add(TestRun::part(run.chunk(rows_of(9, false, {2, 1}, random))));
            window.group();
            window.clear();
          }
          Cells expected;
          std::size_t total = 0;
          for (int child = 0; child < 3; ++child) {
            const auto rows =
                rows_of(child, child == 0 && count % 2 == 0, times_of(order, count, step, random), random);
            total += rows.size();
            for (const auto& row : rows) {
              auto& cells =
                  expected[row.child][precision == Precision::milliseconds ? in_milliseconds(row.time) : row.time];
              for (std::size_t f = 0; f < std::size(kTypes); ++f) cells["f" + std::to_string(f)] = "-";
              for (const auto& value : row.values)
                cells[value.name] = {reinterpret_cast<const char*>(&value.bits), data::fixed_size(value.type)};
            }
            // Two chunks, so that the rows of a run come from several.
            const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
            window.add(TestRun::part(run.chunk({rows.begin(), middle})));
            window.add(TestRun::part(run.chunk({middle, rows.end()})));
          }
          window.group();
          WriteOptions options;
          options.precision = precision;
          options.batch_rows = 100;
          RequestPlanner planner(window, options);
          RequestBuilder builder(window, precision);
          wire::Stmt2Encoder encoder;
          Request request;
          Cells got;
          std::size_t rows = 0;
          while (planner.next(request)) {
            builder.build(request, encoder);
            rows += request.rows;
            ASSERT_NO_FATAL_FAILURE(decode(request, encoder, got));
          }
          ASSERT_EQ(rows, total);
          ASSERT_EQ(got, expected) << count << " rows, order " << static_cast<int>(order) << ", step " << step;
          for (const auto& [name, stored] : got) compared += stored.size();
        }
  EXPECT_GT(compared, 13'000u);
}

TEST(Window, KnowsHowCloseTheTimesOfAChildTableComeToEachOther) {
  const auto row = [](const char* child, std::int64_t time) { return TestRow{child, time, {schema::whole("f", 1)}}; };
  struct Case {
    std::vector<TestRow> rows;
    std::uint64_t gap;
    bool ordered;
  };
  const Case cases[] = {
      {{row("a", 5)}, UINT64_MAX, true},  // at least
      {{row("a", 5), row("b", 6), row("a", 25), row("b", 16)}, 10, true},
      {{row("a", 5), row("a", 5)}, UINT64_MAX, false},
      {{row("a", 5), row("a", 2), row("a", 9)}, 7, false},
      {{row("a", INT64_MIN), row("a", INT64_MAX)}, UINT64_MAX, true},
      {{row("a", -1), row("a", 0)}, 1, true},
  };
  for (const auto& test : cases) {
    TestRun run;
    Window window(run.registry, 1);
    for (int round = 0; round < 2; ++round) {
      window.add(TestRun::part(run.chunk(test.rows)));
      window.group();
      if (test.gap == UINT64_MAX) EXPECT_GT(window.least_gap(), std::uint64_t{1} << 62);
      else EXPECT_EQ(window.least_gap(), test.gap);
      EXPECT_EQ(window.tables()[0].runs[0].ordered, test.ordered);
      window.clear();
    }
  }
}

}  // namespace
}  // namespace penstock::sink
