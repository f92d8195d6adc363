#include "sink/request.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "sink/test_run.h"
#include "wire/stmt2.h"

namespace penstock::sink {
namespace {

using data::Precision;
using data::Type;
using schema::null_of;
using schema::real;
using schema::TestTag;
using schema::Value;
using schema::whole;
using schema::words;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    text += digits;
  }
  return text;
}

std::string cell_text(const Value& value) {
  if (value.null) return "null";
  if (data::is_variable(value.type)) return "v:" + hex(value.text);
  return "v:" + hex({reinterpret_cast<const char*>(&value.bits), data::fixed_size(value.type)});
}

std::int64_t convert(std::int64_t time, Precision from, Precision to) {
  const auto have = data::units_per_second(from);
  const auto want = data::units_per_second(to);
  if (want >= have) return time * (want / have);
  const auto factor = have / want;
  return time >= 0 ? time / factor : -((-time + factor - 1) / factor);
}

// What one decoded request does to the model, with checks of what every request must keep.
struct Applied {
  std::uint32_t rows = 0;
  std::size_t bytes = 0;
};
Applied apply(const Request& request, wire::Stmt2Encoder& encoder, Store& store, const std::string& key_column = {}) {
  const std::string message = encoder.join(1, 2);
  const auto bind = wire::decode_stmt2_bind(message);
  EXPECT_TRUE(bind.has_value()) << (bind.has_value() ? "" : bind.error().message);
  Applied done;
  if (!bind.has_value()) return done;
  done.bytes = message.size();
  const auto& version = *request.version;
  std::set<std::string> children;
  for (const auto& table : bind->tables) {
    EXPECT_TRUE(children.insert(std::string(table.name)).second) << table.name << " twice in one request";
    EXPECT_EQ(table.columns.size(), version.columns.size());
    EXPECT_EQ(table.tags.size(), request.addressing == Addressing::existing ? 0 : version.tags.size());
    const auto rows = table.columns[0].rows;
    EXPECT_LE(rows, 32'767u);
    done.rows += rows;
    std::vector<std::int64_t> times;
    std::vector<std::string> keys(rows);
    table.columns[0].for_each([&](std::uint32_t, wire::CellState state, std::string_view bytes) {
      EXPECT_EQ(state, wire::CellState::value);
      times.push_back(wire::load<std::int64_t>(bytes.data()));
    });
    for (std::size_t c = 1; c < table.columns.size(); ++c) {
      EXPECT_EQ(table.columns[c].rows, rows);
      EXPECT_EQ(table.columns[c].type, static_cast<int>(version.columns[c].type));
      if (version.columns[c].name == key_column)
        table.columns[c].for_each(
            [&](std::uint32_t row, wire::CellState, std::string_view bytes) { keys[row] = hex(bytes); });
    }
    std::set<std::pair<std::int64_t, std::string>> seen;
    for (std::uint32_t row = 0; row < rows; ++row) {
      EXPECT_TRUE(seen.insert({times[row], keys[row]}).second) << "a key twice in one request";
      if (row > 0) {
        EXPECT_LE(times[row - 1], times[row]);
      }
      store[std::string(table.name)][{times[row], keys[row]}];
    }
    for (std::size_t c = 1; c < table.columns.size(); ++c)
      table.columns[c].for_each([&](std::uint32_t row, wire::CellState state, std::string_view bytes) {
        if (state == wire::CellState::not_given) return;
        store[std::string(table.name)][{times[row], keys[row]}][version.columns[c].name] =
            state == wire::CellState::null ? "null" : "v:" + hex(bytes);
      });
  }
  return done;
}

// Row by row in input order, as if each were inserted alone.
void apply_naively(const std::vector<TestRow>& rows, Precision unit, Precision database, Store& store,
                   const std::string& key_column = {}) {
  for (const auto& row : rows) {
    std::string key;
    for (const auto& value : row.values)
      if (value.name == key_column) key = cell_text(value).substr(2);
    auto& stored = store[row.child][{convert(row.time, unit, database), key}];
    for (const auto& value : row.values) stored[value.name] = cell_text(value);
  }
}

std::vector<TestRow> random_rows(std::mt19937& random, int count, int children, std::int64_t times) {
  const auto below = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); };
  std::vector<TestRow> rows;
  for (int i = 0; i < count; ++i) {
    TestRow row;
    const int child = below(children);
    row.child = "c" + std::to_string(child);
    row.table = child % 3 == 0 ? "m" : "n";
    row.tags = {{"t", row.child}};
    row.time = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(times)) - times / 2;
    const auto maybe = [&](Value value, int one_in) {
      if (below(one_in) != 0) return;
      if (below(4) == 0) value = null_of(value.name, value.type);
      row.values.push_back(std::move(value));
    };
    row.values.push_back(whole("i", i));
    maybe(real("d", i * 0.5), 2);
    maybe(words("s", std::string(static_cast<std::size_t>(below(40)), 'x') + std::to_string(i)), 2);
    maybe(words("n", below(3) == 0 ? "" : "中" + std::to_string(i), Type::nchar), 3);
    maybe(whole("b", i % 2, Type::boolean), 3);
    maybe(whole("y", -i % 100, Type::tinyint), 4);
    maybe(whole("k", -i % 1000, Type::smallint), 4);
    maybe({"f", Type::float32, false, data::slot_of(static_cast<float>(i)), {}}, 4);
    rows.push_back(std::move(row));
  }
  return rows;
}

TEST(Window, GroupsByChildTableAndKeepsTheOrderOfEach) {
  std::mt19937 random(1);
  for (const std::uint32_t lanes : {1U, 3U}) {
    TestRun run;
    std::multiset<std::string> expected, got;
    std::map<std::string, std::vector<std::size_t>> order;
    std::vector<std::vector<Part>> parts(lanes);
    std::vector<Window> windows(lanes, Window(run.registry, lanes));
    for (int round = 0; round < 3; ++round) {  // a window is used again
      expected.clear(), got.clear(), order.clear();
      for (int c = 0; c < 20; ++c) {
        const auto rows = random_rows(random, static_cast<int>(random() % 30), 17, 1000);
        const auto chunk = run.chunk(rows);
        chunk->rows.for_each_row([&](data::Row& row) { expected.insert(std::string(chunk->record(row))); });
        for (std::uint32_t lane = 0; lane < lanes; ++lane) windows[lane].add(TestRun::part(chunk, lane, lanes));
      }
      for (auto& window : windows) {
        window.group();
        std::size_t in_runs = 0;
        for (const auto& table : window.tables())
          for (const auto& of_child : table.runs) {
            EXPECT_EQ(of_child.child->table, table.version->ref);
            std::size_t last = 0;
            for (auto i = of_child.begin; i < of_child.end; ++i) {
              const auto& ref = window.rows()[i];
              const std::string record(window.chunk_of(ref).record(*ref.row));
              EXPECT_TRUE(record.starts_with(std::string(of_child.child->name) + "@"));
              const auto number = std::stoul(record.substr(record.find('#') + 1));
              EXPECT_TRUE(i == of_child.begin || number > last);
              last = number;
              got.insert(record);
              ++in_runs;
            }
          }
        EXPECT_EQ(in_runs, window.row_count());
        window.clear();
        EXPECT_TRUE(window.empty());
        EXPECT_EQ(window.row_count() + window.child_count() + window.bytes(), 0u);
      }
      EXPECT_EQ(got, expected);
    }
  }
}

TEST(Window, PassesOverRowsThatTheSchemaStageRefused) {
  TestRun run;
  run.chunk({{"a", 1, {whole("f", 1)}}});
  const auto chunk = run.chunk({{"a", 2, {whole("f", 1)}}, {"a", 3, {real("f", 1)}}, {"a", 4, {whole("f", 1)}}});
  ASSERT_EQ(chunk->rows.rejects().size(), 1u);
  const auto falling = run.chunk({{"a", 2, {whole("f", 1)}}, {"a", 1, {whole("f", 1)}}});
  Window window(run.registry, 1);
  for (const bool noted : {false, true}) {
    window.add(TestRun::part(chunk));
    window.group();
    ASSERT_EQ(window.rows().size(), 2u);
    EXPECT_EQ(window.rows()[1].row->time, 4);
    const auto times = window.take_times();
    EXPECT_EQ(std::vector(times.begin(), times.end()),
              noted ? std::vector<std::int64_t>({2, 4}) : std::vector<std::int64_t>());
    EXPECT_TRUE(window.take_times().empty());
    window.clear();
    window.add(TestRun::part(falling));
    window.group();
    window.clear();
  }
}

TEST(RequestBuilder, WritesWhatRowByRowInsertionWouldStore) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const auto database = static_cast<Precision>(round % 3);
    WriteOptions options;
    options.precision = database;
    options.batch_rows = round % 4 == 0 ? 7 : 20'000;
    options.batch_bytes = round % 5 == 0 ? 700 : 1 << 20;
    TestRun run;
    Window window(run.registry, 1);
    Store expected, got;
    std::size_t total = 0;
    if (round % 3 == 0) {  // a window whose rows had to be sorted: the next one notes the times
      window.add(TestRun::part(
          run.chunk({{"c0", 2, {whole("i", 0)}, "m", {{"t", "c0"}}}, {"c0", 1, {whole("i", 0)}, "m", {{"t", "c0"}}}})));
      window.group();
      window.clear();
    }
    const std::int64_t times = round % 2 == 0 ? 100 : 5'000'000;  // many equal keys, or equal by precision only
    for (int c = 0; c < 5; ++c) {
      const auto rows = random_rows(random, 40, 6, times);
      total += rows.size();
      apply_naively(rows, Precision::nanoseconds, database, expected);
      window.add(TestRun::part(run.chunk(rows)));
    }
    window.group();
    RequestPlanner planner(window, options);
    RequestBuilder builder(window, database);
    wire::Stmt2Encoder encoder;
    Request request;
    std::size_t rows = 0, merged = 0, bound = 0;
    while (planner.next(request)) {
      EXPECT_LE(request.keys, options.batch_rows);
      const auto built = builder.build(request, encoder);
      const auto applied = apply(request, encoder, got);
      EXPECT_EQ(applied.rows + built.merged_parts.size(), request.rows);
      EXPECT_LE(applied.rows, request.keys);
      EXPECT_LE(built.by_precision, built.merged_parts.size());
      EXPECT_TRUE(request.rows == 1 || applied.bytes < options.batch_bytes + 300) << applied.bytes;
      rows += request.rows;
      merged += built.merged_parts.size();
      bound += applied.rows;
      for (const auto& of_child : request.runs) of_child.child->exists = round % 2 == 0;
    }
    EXPECT_EQ(rows, total);
    EXPECT_EQ(bound + merged, total);
    ASSERT_EQ(got, expected) << "round " << round;
  }
}

TEST(RequestBuilder, JoinsByTheCompositeKeyToo) {
  std::mt19937 random(3);
  for (const bool text_key : {false, true}) {
    TestRun run;
    data::SuperTable table{"m", {}, {}};
    table.columns.resize(3);
    table.columns[0] = {"_ts", Type::timestamp, 8, 0, 0, false};
    table.columns[1] = {"k", text_key ? Type::varchar : Type::bigint, text_key ? 20u : 8u, 0, 0, true};
    table.columns[2] = {"v", Type::bigint, 8, 0, 0, false};
    table.tags.push_back({"t", Type::nchar, 8, 0, 0, false});
    run.catalog.create(table);
    run.registry.table("m")->declared = std::make_unique<const data::SuperTable>(table);
    std::vector<TestRow> rows;
    for (int i = 0; i < 200; ++i) {
      const auto key = static_cast<std::int64_t>(random() % 5) - 2;
      rows.push_back({"a",
                      static_cast<std::int64_t>(random() % 10),
                      {text_key ? words("k", std::to_string(key)) : whole("k", key)}});
      if (i % 3 > 0) rows.back().values.push_back(i % 5 == 0 ? null_of("v") : whole("v", i));
    }
    Store expected, got;
    apply_naively(rows, Precision::nanoseconds, Precision::nanoseconds, expected, "k");
    Window window(run.registry, 1);
    window.add(TestRun::part(run.chunk(rows)));
    window.group();
    WriteOptions options;
    options.precision = Precision::nanoseconds;
    RequestPlanner planner(window, options);
    RequestBuilder builder(window, options.precision);
    wire::Stmt2Encoder encoder;
    Request request;
    ASSERT_TRUE(planner.next(request));
    const auto built = builder.build(request, encoder);
    apply(request, encoder, got, "k");
    EXPECT_EQ(got, expected);
    EXPECT_EQ(built.merged_parts.size(), 200 - expected["a"].size());
    EXPECT_EQ(built.by_precision, 0u);
  }
}

TEST(RequestBuilder, CountsWhatOnlyTheDatabasesPrecisionJoined) {
  TestRun run;
  Window window(run.registry, 1);
  // 1 ms holds three rows with two different times; -1 ns belongs to the millisecond before 0.
  window.add(TestRun::part(run.chunk({{"a", 1'000'000, {whole("f", 1)}},
                                      {"a", 1'999'999, {whole("f", 2)}},
                                      {"a", 1'000'000, {whole("f", 3)}},
                                      {"a", -1, {whole("f", 4)}},
                                      {"a", 0, {whole("f", 5)}}})));
  window.group();
  WriteOptions options;
  options.precision = Precision::milliseconds;
  RequestPlanner planner(window, options);
  RequestBuilder builder(window, options.precision);
  wire::Stmt2Encoder encoder;
  Request request;
  ASSERT_TRUE(planner.next(request));
  const auto built = builder.build(request, encoder);
  EXPECT_EQ(built.merged_parts.size(), 2u);
  EXPECT_EQ(built.by_precision, 1u);
  Store got;
  apply(request, encoder, got);
  EXPECT_EQ(got["a"].size(), 3u);
  EXPECT_EQ((got["a"][{1, ""}]["f"]), cell_text(whole("f", 3)));
  EXPECT_EQ((got["a"][{-1, ""}]["f"]), cell_text(whole("f", 4)));
}

TEST(RequestBuilder, ConvertsEachRowFromTheUnitOfItsOwnSource) {
  TestRun run;
  Window window(run.registry, 1);
  Store expected, got;
  for (const auto unit : {Precision::milliseconds, Precision::nanoseconds, Precision::microseconds}) {
    std::vector<TestRow> rows;
    const auto second = data::units_per_second(unit);
    for (int i = 1; i < 5; ++i)
      rows.push_back(
          {"a", i * second + static_cast<int>(unit), {whole("u" + std::to_string(static_cast<int>(unit)), i)}});
    apply_naively(rows, unit, Precision::microseconds, expected);
    window.add(TestRun::part(run.chunk(rows, unit)));
  }
  window.group();
  WriteOptions options;
  options.precision = Precision::microseconds;
  RequestPlanner planner(window, options);
  RequestBuilder builder(window, options.precision);
  wire::Stmt2Encoder encoder;
  Request request;
  while (planner.next(request)) {
    builder.build(request, encoder);
    apply(request, encoder, got);
  }
  EXPECT_EQ(got, expected);
}

TEST(RequestBuilder, BindsTagsByNameAndMissingOnesAsNull) {
  TestRun run;
  Window window(run.registry, 1);
  window.add(TestRun::part(run.chunk({{"a", 1, {whole("f", 1)}, "m", {{"x", "1"}, {"y", "two"}}},
                                      {"b", 1, {whole("f", 1)}, "m", {{"z", "中"}}},
                                      {"c", 1, {whole("f", 1)}, "m", {{"y", "3"}, {"x", ""}}}})));
  window.group();
  WriteOptions options;
  RequestPlanner planner(window, options);
  RequestBuilder builder(window, Precision::nanoseconds);
  wire::Stmt2Encoder encoder;
  Request request;
  ASSERT_TRUE(planner.next(request));
  EXPECT_EQ(request.addressing, Addressing::creating);
  builder.build(request, encoder);
  const auto message = encoder.join(1, 2);
  const auto bind = wire::decode_stmt2_bind(message);
  ASSERT_TRUE(bind.has_value());
  std::string text;
  for (const auto& table : bind->tables) {
    text += std::string(table.name) + ":";
    for (std::size_t t = 0; t < table.tags.size(); ++t)
      table.tags[t].for_each([&](std::uint32_t, wire::CellState state, std::string_view bytes) {
        text +=
            " " + request.version->tags[t].name + "=" + (state == wire::CellState::null ? "NULL" : std::string(bytes));
      });
    text += "\n";
  }
  EXPECT_EQ(text, "a: x=1 y=two z=NULL\nb: x=NULL y=NULL z=中\nc: x= y=3 z=NULL\n");
}

TEST(RequestPlanner, SendsUnknownChildTablesFirstAndTheRestWithoutTags) {
  TestRun run;
  Window window(run.registry, 1);
  std::vector<TestRow> rows;
  for (int i = 0; i < 10; ++i) rows.push_back({"c" + std::to_string(i), 1, {whole("f", 1)}, "m", {{"t", "x"}}});
  rows.push_back({"'quoted", 1, {whole("f", 1)}, "m", {{"t", "x"}}});
  rows.push_back({"`q`", 1, {whole("f", 1)}, "m", {{"t", "x"}}});
  rows.push_back({"other", 1, {whole("f", 1), whole("TBname", 1)}, "odd", {{"t", "x"}}});
  window.add(TestRun::part(run.chunk(rows)));
  window.group();
  for (auto& table : window.tables())
    for (auto& of_child : table.runs) of_child.child->exists = of_child.child->name.back() % 2 == 0;
  WriteOptions options;
  RequestPlanner planner(window, options);
  RequestBuilder builder(window, Precision::nanoseconds);
  wire::Stmt2Encoder encoder;
  Request request;
  std::string text;
  while (planner.next(request)) {
    builder.build(request, encoder);
    const auto message = encoder.join(1, 2);
    const auto bind = wire::decode_stmt2_bind(message);
    ASSERT_TRUE(bind.has_value());
    text += insert_statement(*request.version, request.addressing) + " <-";
    for (const auto& table : bind->tables) text += " " + std::string(table.name);
    text += "\n";
  }
  EXPECT_EQ(text,
            "INSERT INTO ? USING `m` (`t`) TAGS (?) (`_ts`,`f`) VALUES (?,?) <- `'quoted` ```q```\n"
            "INSERT INTO `m` (tbname,`_ts`,`f`,`t`) VALUES (?,?,?,?) <- c1 c3 c5 c7 c9\n"
            "INSERT INTO `m` (tbname,`_ts`,`f`) VALUES (?,?,?) <- c0 c2 c4 c6 c8\n"
            "INSERT INTO ? USING `odd` (`t`) TAGS (?) (`_ts`,`f`,`TBname`) VALUES (?,?,?) <- other\n");
}

TEST(RequestPlanner, KeepsEveryLimitAndTheOrderOfEachChild) {
  TestRun run;
  std::vector<TestRow> rows;
  for (int i = 0; i < 70'000; ++i) rows.push_back({i % 50 == 0 ? "b" : "a", i, {whole("f", i)}});
  rows.push_back({"long", 1, {words("s", std::string(50'000, 'x'))}, "texts"});
  rows.push_back({"long", 2, {words("s", "short")}, "texts"});
  rows.push_back({"long", 3, {words("s", std::string(60'000, 'x'))}, "texts"});
  const auto chunk = run.chunk(rows);
  struct Case {
    std::uint32_t rows;
    std::size_t bytes;
  };
  for (const auto limit :
       {Case{100'000, 1 << 30}, Case{1'000, 1 << 30}, Case{100'000, 10'000}, Case{1, 1 << 20}, Case{100'000, 1}}) {
    if (limit.bytes == 1 && limit.rows > 1) continue;
    Window window(run.registry, 1);
    window.add(TestRun::part(chunk));
    window.group();
    WriteOptions options;
    options.batch_rows = limit.rows;
    options.batch_bytes = limit.bytes;
    RequestPlanner planner(window, options);
    Request request;
    std::map<const data::ChildTable*, std::uint32_t> next;
    std::uint64_t total = 0;
    while (planner.next(request)) {
      ASSERT_FALSE(request.runs.empty());
      ASSERT_LE(request.rows, limit.rows);
      std::uint32_t sum = 0;
      std::set<const data::ChildTable*> children;
      for (const auto& piece : request.runs) {
        ASSERT_TRUE(children.insert(piece.child).second);
        ASSERT_LE(piece.size(), 32'767u);
        ASSERT_GT(piece.size(), 0u);
        if (const auto known = next.find(piece.child); known != next.end()) {
          ASSERT_EQ(known->second, piece.begin);
        }
        next[piece.child] = piece.end;
        sum += piece.size();
      }
      ASSERT_EQ(sum, request.rows);
      total += sum;
    }
    EXPECT_EQ(total, rows.size());
  }
}

// As databases export: all of a field, then all of the next. More rows than a request holds, but not more keys.
TEST(RequestPlanner, FieldsOfARowThatCameFarApartAreJoinedInOneRequest) {
  constexpr std::int64_t kTimes = 3'000;
  constexpr int kFields = 10;
  TestRun run;
  std::vector<TestRow> rows;
  for (int f = 0; f < kFields; ++f)
    for (std::int64_t t = 0; t < kTimes; ++t)
      rows.push_back({"a", t, {whole("f" + std::to_string(f), t * kFields + f)}});
  Window window(run.registry, 1);
  window.add(TestRun::part(run.chunk(rows)));
  window.group();
  WriteOptions options;
  options.precision = Precision::nanoseconds;
  options.batch_rows = kTimes;
  RequestPlanner planner(window, options);
  RequestBuilder builder(window, options.precision);
  wire::Stmt2Encoder encoder;
  Request request;
  ASSERT_TRUE(planner.next(request));
  EXPECT_EQ(request.rows, kTimes * kFields);
  EXPECT_EQ(request.keys, kTimes);
  const auto built = builder.build(request, encoder);
  EXPECT_EQ(built.merged_parts.size(), static_cast<std::size_t>(kTimes * (kFields - 1)));
  Store got;
  EXPECT_EQ(apply(request, encoder, got).rows, static_cast<std::size_t>(kTimes));
  for (std::int64_t t = 0; t < kTimes; t += 499)
    for (int f = 0; f < kFields; ++f)
      EXPECT_EQ((got["a"][{t, ""}]["f" + std::to_string(f)]), cell_text(whole("f", t * kFields + f)));
  EXPECT_FALSE(planner.next(request));
}

TEST(MemoryCatalog, IsAnEmptyDatabase) {
  MemoryCatalog catalog;
  EXPECT_EQ(catalog.describe("m").kind, schema::Catalog::Kind::none);
  catalog.create({"m", {{"_ts", Type::timestamp, 8, 0, 0, false}}, {{"t", Type::nchar, 2, 0, 0, false}}});
  catalog.add("m", schema::Catalog::Part::column, {"s", Type::varchar, 4, 0, 0, false});
  catalog.widen("m", schema::Catalog::Part::column, {"s", Type::varchar, 8, 0, 0, false});
  catalog.widen("m", schema::Catalog::Part::tag, {"t", Type::nchar, 4, 0, 0, false});
  const auto found = catalog.describe("m");
  ASSERT_EQ(found.kind, schema::Catalog::Kind::super_table);
  EXPECT_EQ(found.table.columns.at(1).width, 8u);
  EXPECT_EQ(found.table.tags.at(0).width, 4u);
}

}  // namespace
}  // namespace penstock::sink
