// Schemas that change while rows are under way: what adapters with old caches answer must cost nothing.

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "base/error.h"
#include "sink/fake_adapter.h"
#include "sink/stmt_writer.h"

namespace penstock::sink {
namespace {

using namespace std::chrono_literals;
using schema::whole;
using schema::words;

constexpr int kStaleCodes[] = {0x2602, 0x2603, 0x2653, 0x263F, 0x0125, 0x061B, 0x0200, 0x0618, 0x0362};

// A database that several loaders change at once.
class World : public schema::Catalog {
 public:
  Found describe(std::string_view name) override {
    const std::lock_guard lock(mutex_);
    return tables_.describe(name);
  }
  bool create(const data::SuperTable& table) override {
    const std::lock_guard lock(mutex_);
    ++version_;
    return tables_.create(table);
  }
  void add(std::string_view table, Part part, const data::Column& column) override {
    const std::lock_guard lock(mutex_);
    const auto found = tables_.describe(table);
    if (found.table.column(column.name) || found.table.tag(column.name)) return;  // somebody was first
    tables_.add(table, part, column);
    ++version_;
  }
  void widen(std::string_view table, Part part, const data::Column& column) override {
    const std::lock_guard lock(mutex_);
    const auto found = tables_.describe(table);
    const auto& columns = part == Part::tag ? found.table.tags : found.table.columns;
    for (const auto& have : columns)
      if (have.name == column.name && have.width >= column.width) return;
    tables_.widen(table, part, column);
    ++version_;
  }
  int version() {
    const std::lock_guard lock(mutex_);
    return version_;
  }
  FakeAdapter::Described described() {
    FakeAdapter::Described rows;
    for (const auto& column : describe("m").table.columns)
      rows.emplace_back(column.name, data::type_name(column.type), static_cast<std::int32_t>(column.width));
    return rows;
  }

 private:
  std::mutex mutex_;
  MemoryCatalog tables_;
  int version_ = 0;
};

data::Column bigint(std::string name) {
  data::Column column;
  column.name = std::move(name);
  column.type = data::Type::bigint;
  column.width = 8;
  return column;
}

WriteOptions quick() {
  WriteOptions options;
  options.batch_rows = 5;
  options.precision = data::Precision::nanoseconds;
  options.retry_for = 20s;
  options.settle = 5ms;
  return options;
}

// One loader with a schema stage of its own.
struct Loader {
  explicit Loader(schema::Catalog& catalog) : growth(catalog, registry, {}) {}

  // Loads one chunk as a window.
  void load(StmtWriter& writer, const std::vector<TestRow>& rows) {
    auto chunk = std::make_shared<ParsedChunk>(nullptr);
    chunk->rows.set_time_unit(data::Precision::nanoseconds);
    schema::RowsBuilder builder(registry, chunk->rows);
    auto text = std::make_shared<std::string>();
    for (const auto& row : rows) {
      const std::string record = row.child + "@" + std::to_string(row.time);
      builder.add(row.table, row.child, row.tags, row.time, row.values, static_cast<std::uint32_t>(text->size()),
                  static_cast<std::uint32_t>(record.size()));
      *text += record + "\n";
      for (const auto& value : row.values)
        expected[row.child][{row.time, ""}][value.name] =
            value.text.empty() ? std::string(reinterpret_cast<const char*>(&value.bits), sizeof(data::Slot))
                               : value.text;
    }
    chunk->chunk.text = *text;
    chunk->chunk.owner = text;
    growth.admit(chunk->rows);
    refused += chunk->rows.rejects().size();
    for (const auto& shape : chunk->rows.shapes())
      if (shape.resolved != nullptr) chunk->versions.assign(1, shape.resolved->table->version);
    window.add(TestRun::part(chunk));
    writer.write(window);
    window.clear();
  }

  schema::Registry registry;
  schema::Growth growth;
  Window window{registry, 1};
  Store expected;
  std::size_t refused = 0;
};

// Rows that bring a column of this round, one of all loaders, and a text that grows.
std::vector<TestRow> round_of(const std::string& who, int round) {
  std::vector<TestRow> rows;
  for (int i = 0; i < 12; ++i) {
    std::vector<schema::Value> values{whole(who + std::to_string(round), i), whole("ours" + std::to_string(round), i)};
    if (i % 3 == 0) values.push_back(words("text", std::string(static_cast<std::size_t>(round * 7 + i + 1), 'x')));
    rows.push_back({who + std::to_string(i % 4), round * 100 + i, std::move(values), "m", {{"t" + who, "x"}}});
  }
  return rows;
}

TEST(OldSchemas, CostNothingWhileSomebodyKeepsAlteringTheTable) {
  World world;
  std::mt19937 random(5);
  int stale = 0;
  FakeAdapter adapter(
      [&](const FakeAdapter::Step& step) -> FakeAdapter::Fate {
        if (step.action == "query" || step.action == "stmt2_init" || random() % 3 != 0) return {};
        // Another loader was here since.
        world.add("m", schema::Catalog::Part::column, bigint("theirs" + std::to_string(stale++)));
        return FakeAdapter::refuse(kStaleCodes[random() % std::size(kStaleCodes)]);
      },
      [&] { return world.described(); });
  Loader loader(world);
  TestObserver observer;
  StmtWriter writer(adapter.options(), quick(), observer, {});
  for (int round = 0; round < 12; ++round) loader.load(writer, round_of("mine", round));
  EXPECT_GT(stale, 30);
  EXPECT_EQ(observer.rejects, std::vector<std::string>{});
  EXPECT_EQ(loader.refused, 0u);
  EXPECT_EQ(observer.written, 12 * 12u);
  EXPECT_EQ(adapter.store, loader.expected);
}

TEST(OldSchemas, AreToldFromGuiltyRowsWhenTheTableStaysTheSame) {
  // The value is really too long, and somebody alters the table now and then: the row goes, the others stay.
  World world;
  int calls = 0;
  FakeAdapter adapter(
      [&](const FakeAdapter::Step& step) -> FakeAdapter::Fate {
        if (step.action != "stmt2_bind" || !step.rows.contains({"mine1", 5})) return {};
        if (++calls < 4) world.add("m", schema::Catalog::Part::column, bigint("theirs" + std::to_string(calls)));
        return FakeAdapter::refuse(0x2653, "Value too long for column/tag");
      },
      [&] { return world.described(); });
  Loader loader(world);
  TestObserver observer;
  StmtWriter writer(adapter.options(), quick(), observer, {});
  loader.load(writer, round_of("mine", 0));
  EXPECT_EQ(observer.rejects, (std::vector<std::string>{"mine1@5"}));
  EXPECT_EQ(observer.written, 11u);
}

TEST(OldSchemas, OfTheAdapterAreWaitedForSomeTime) {
  // 0x0125 and 0x061B never speak of data: one is patient although the table is the same.
  for (const int code : {0x0125, 0x061B}) {
    World world;
    int calls = 0;
    FakeAdapter adapter(
        [&](const FakeAdapter::Step& step) {
          return step.action == "stmt2_exec" && ++calls <= 6 ? FakeAdapter::refuse(code) : FakeAdapter::Fate{};
        },
        [&] { return world.described(); });
    Loader loader(world);
    TestObserver observer;
    StmtWriter writer(adapter.options(), quick(), observer, {});
    loader.load(writer, round_of("mine", 0));
    EXPECT_EQ(observer.rejects.size(), 0u);
    EXPECT_EQ(adapter.store, loader.expected);
  }
}

// Two loaders through two adapters, each of which knows the table as it was when it was told to forget last.
TEST(OldSchemas, OfTwoAdaptersCostTwoLoadersNothing) {
  World world;
  struct Side {
    std::string who;
    std::unique_ptr<FakeAdapter> adapter;
    std::unique_ptr<Loader> loader;
    TestObserver observer;
    std::mt19937 random;
    int cached = 0;
    int prepared = 0;
    int stale = 0;
  };
  Side sides[2];
  for (auto& side : sides) {
    side.who = &side == sides ? "left" : "right";
    side.random.seed(&side == sides ? 1 : 2);
    side.adapter = std::make_unique<FakeAdapter>(
        [&](const FakeAdapter::Step& step) -> FakeAdapter::Fate {
          const int now = world.version();
          if (step.action == "query") {
            if (step.text == "RESET QUERY CACHE") side.cached = now;
            return {};
          }
          if (step.action == "stmt2_prepare") {
            side.prepared = side.cached;
            if (side.cached < now && side.random() % 2 == 0) {
              ++side.stale;
              return FakeAdapter::refuse(side.random() % 2 == 0 ? 0x2602 : 0x263F);
            }
          }
          if ((step.action == "stmt2_bind" || step.action == "stmt2_exec") && side.prepared < now) {
            ++side.stale;
            return FakeAdapter::refuse(kStaleCodes[side.random() % std::size(kStaleCodes)]);
          }
          return {};
        },
        [&] { return world.described(); });
    side.loader = std::make_unique<Loader>(world);
  }
  {
    std::vector<std::jthread> threads;
    for (auto& side : sides)
      threads.emplace_back([&] {
        StmtWriter writer(side.adapter->options(), quick(), side.observer, {});
        for (int round = 0; round < 8; ++round) side.loader->load(writer, round_of(side.who, round));
      });
  }
  const auto table = world.describe("m").table;
  EXPECT_EQ(table.columns.size(), 1 + 3 * 8 + 1u);
  EXPECT_EQ(table.tags.size(), 2u);
  for (auto& side : sides) {
    EXPECT_GT(side.stale, 0);
    EXPECT_EQ(side.observer.rejects, std::vector<std::string>{});
    EXPECT_EQ(side.loader->refused, 0u);
    EXPECT_EQ(side.adapter->store, side.loader->expected) << side.who;
  }
}

class Ttl : public testing::Test {
 protected:
  // Loads two child tables with that TTL; the statements, and what was written.
  std::vector<std::string> statements(FakeAdapter::Decide decide, std::vector<schema::TestTag> tags = {{"t", "it's"}}) {
    std::vector<std::string> queries;
    FakeAdapter adapter(
        [&](const FakeAdapter::Step& step) {
          auto fate = decide ? decide(step) : FakeAdapter::Fate{};
          if (step.action == "query" && fate.kind == FakeAdapter::Fate::Kind::go_on) queries.push_back(step.text);
          return fate;
        },
        [] { return FakeAdapter::Described{}; });
    World world;
    Loader loader(world);
    auto options = quick();
    options.ttl_days = 30;
    TestObserver observer;
    StmtWriter writer(adapter.options(), options, observer, {});
    for (int round = 0; round < 2; ++round)
      loader.load(writer, {{"a", round, {whole("f", 1)}, "m", tags}, {"b`c", round, {whole("f", 1)}, "m", tags}});
    EXPECT_EQ(observer.written + observer.rejects.size(), 4u);
    rejected = observer.rejects;
    return queries;
  }
  std::vector<std::string> rejected;
};

TEST_F(Ttl, IsGivenBySqlBeforeTheFirstRowOnce) {
  EXPECT_EQ(statements({}),
            (std::vector<std::string>{"CREATE TABLE IF NOT EXISTS `a` USING `m` (`t`) TAGS ('it\\'s') TTL 30"
                                      " IF NOT EXISTS `b``c` USING `m` (`t`) TAGS ('it\\'s') TTL 30"}));
  EXPECT_TRUE(rejected.empty());
}

TEST_F(Ttl, SurvivesABusyServer) {
  int calls = 0;
  const auto made = statements([&](const FakeAdapter::Step& step) {
    return step.action == "query" && ++calls == 1 ? FakeAdapter::refuse(0x03D3) : FakeAdapter::Fate{};
  });
  EXPECT_EQ(made.size(), 1u);
  EXPECT_TRUE(rejected.empty());
}

TEST_F(Ttl, IsSetAfterwardsWhereSqlCannotCreateTheTable) {
  const auto made = statements([](const FakeAdapter::Step& step) {
    return step.text.find("USING") != std::string::npos && step.action == "query" &&
                   step.text.find("`a`") != std::string::npos
               ? FakeAdapter::refuse(0x2600, "syntax")
               : FakeAdapter::Fate{};
  });
  ASSERT_EQ(made.size(), 2u);
  EXPECT_TRUE(made[0].starts_with("CREATE TABLE IF NOT EXISTS `b``c`")) << made[0];
  EXPECT_EQ(made[1], "ALTER TABLE `a` TTL 30");
  EXPECT_TRUE(rejected.empty());
}

TEST_F(Ttl, LeavesTagsThatSqlCannotSayToTheStatement) {
  const auto made = statements({}, {{"t", std::string("a\0b", 3)}});
  ASSERT_EQ(made.size(), 4u);
  EXPECT_TRUE(made[0].starts_with("SELECT table_name FROM information_schema.ins_tables")) << made[0];
  EXPECT_EQ(made[2], "ALTER TABLE `a` TTL 30");
  EXPECT_EQ(made[3], "ALTER TABLE `b``c` TTL 30");
}

}  // namespace
}  // namespace penstock::sink
