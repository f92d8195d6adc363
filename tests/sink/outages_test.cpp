#include <gtest/gtest.h>

#include <array>
#include <random>
#include <thread>

#include "base/error.h"
#include "sink/fake_adapter.h"
#include "sink/schemaless_writer.h"
#include "sink/server_catalog.h"
#include "sink/stmt_writer.h"

// Writers and the catalog in front of servers that hang, fall, refuse and come back.
namespace penstock::sink {
namespace {

using namespace std::chrono_literals;
using schema::whole;
using Clock = std::chrono::steady_clock;
using Fate = FakeAdapter::Fate;
using Greeting = FakeAdapter::Greeting;
using Kind = Fate::Kind;
using Hello = Greeting::Kind;

WriteOptions quick() {
  WriteOptions options;
  options.batch_rows = 4;
  options.precision = data::Precision::nanoseconds;
  options.retry_for = 20s;
  options.settle = 5ms;
  return options;
}

client::Options options_of(std::initializer_list<const FakeAdapter*> adapters) {
  auto options = (*adapters.begin())->options();
  options.endpoints.clear();
  for (const auto* const adapter : adapters) options.endpoints.push_back(adapter->options().endpoints.front());
  options.handshake_timeout = 300ms;
  options.connect_timeout = 300ms;
  return options;
}

std::uint64_t sum(const Window& window, std::uint32_t Window::Outcome::*member) {
  std::uint64_t all = 0;
  for (const auto& outcome : window.outcomes()) all += outcome.*member;
  return all;
}

// Chunks of a few child tables whose keys come twice, with rising values: the last one must win.
class Load {
 public:
  explicit Load(std::string prefix = "c") : window(run.registry, 1), prefix_(std::move(prefix)) {}
  void fill(int chunks = 2) {
    window.clear();
    for (int c = 0; c < chunks; ++c) {
      std::vector<TestRow> rows;
      for (int i = 0; i < 12; ++i) {
        rows.push_back({prefix_ + std::to_string(i % 3), time_ + i / 3 + c, {whole("f", value_++)}, "m", {{"t", "x"}}});
        ++total;
      }
      window.add(TestRun::part(run.chunk(rows)));
      for (const auto& row : rows)
        expected[row.child][{row.time, ""}]["f"] =
            std::string(reinterpret_cast<const char*>(&row.values[0].bits), sizeof(data::Slot));
    }
    time_ += 100;
  }
  TestRun run;
  Window window;
  Store expected;
  std::uint64_t total = 0;

 private:
  std::string prefix_;
  std::int64_t value_ = 0;
  std::int64_t time_ = 0;
};

// The whole error of a load that must not go on; rows that it rejected are a failure.
template <class Writer>
std::string error_of(Writer& writer, Load& load, const TestObserver& observer) {
  try {
    writer.write(load.window);
  } catch (const Error& error) {
    EXPECT_EQ(observer.rejects.size(), 0u) << "a row is not to blame";
    EXPECT_EQ(sum(load.window, &Window::Outcome::written), observer.written);
    EXPECT_EQ(error.code(), Errc::server) << "not a matter of flags: rows were written";
    return error.what();
  }
  ADD_FAILURE() << "went on";
  return {};
}

TEST(Outages, AnswersThatBreakOffOrMakeNoSenseCostNothing) {
  for (const auto kind : {Kind::half_answer, Kind::nonsense})
    for (const char* const action : {"stmt2_init", "stmt2_prepare", "stmt2_bind", "stmt2_exec", "insert"}) {
      SCOPED_TRACE(action);
      int calls = 0;
      FakeAdapter adapter([&](const FakeAdapter::Step& step) {
        return step.action == action && ++calls == 2 ? Fate{kind, 0, {}} : Fate{};
      });
      Load load;
      load.fill();
      TestObserver observer;
      if (std::string_view(action) == "insert") {
        SchemalessWriter writer(options_of({&adapter}), quick(), {}, observer, {});
        writer.write(load.window);
        EXPECT_EQ(observer.reconnects, 1u);
      } else {
        StmtWriter writer(options_of({&adapter}), quick(), observer, {});
        writer.write(load.window);
        EXPECT_EQ(adapter.store, load.expected);
      }
      EXPECT_EQ(sum(load.window, &Window::Outcome::written), load.total);
      EXPECT_EQ(observer.rejects, std::vector<std::string>{});
      EXPECT_GE(calls, 3);
    }
}

TEST(Outages, EveryWayToBeginAConnectionBadlyIsWaitedOut) {
  for (const auto& bad :
       {Greeting{Hello::drop}, Greeting{Hello::silent}, Greeting{Hello::silent_login},
        Greeting{Hello::unavailable, 0, "0"}, Greeting{Hello::refuse_login, 0x0130, "starting"},
        Greeting{Hello::refuse_login, 0x7777, "never heard of"}, Greeting{Hello::refuse_login, 0xFFFF, "odd"}}) {
    SCOPED_TRACE(static_cast<int>(bad.kind));
    int calls = 0;
    FakeAdapter adapter(
        [&](const FakeAdapter::Step& step) {
          return step.action == "stmt2_exec" && ++calls == 2 ? FakeAdapter::drop_after() : Fate{};
        },
        {}, [&](std::size_t index) { return index == 1 || index == 2 ? bad : Greeting{}; });
    Load load;
    load.fill();
    TestObserver observer;
    StmtWriter writer(options_of({&adapter}), quick(), observer, {});
    writer.write(load.window);
    EXPECT_EQ(adapter.store, load.expected);
    EXPECT_EQ(sum(load.window, &Window::Outcome::written), load.total);
    EXPECT_EQ(observer.rejects, std::vector<std::string>{}) << "what a login is told is not about rows";
    EXPECT_GE(adapter.connections(), 4u);
  }
}

TEST(Outages, RetryAfterIsObeyed) {
  int calls = 0;
  std::vector<Clock::time_point> begun;
  FakeAdapter adapter(
      [&](const FakeAdapter::Step& step) {
        return step.action == "stmt2_exec" && ++calls == 2 ? FakeAdapter::drop_before() : Fate{};
      },
      {},
      [&](std::size_t) {
        begun.push_back(Clock::now());
        return begun.size() == 2 ? Greeting{Hello::unavailable, 0, "1"} : Greeting{};
      });
  Load load;
  load.fill();
  TestObserver observer;
  StmtWriter writer(options_of({&adapter}), quick(), observer, {});
  writer.write(load.window);
  ASSERT_GE(begun.size(), 3u);
  EXPECT_GE(begun[2] - begun[1], 950ms) << "nobody asks before; clocks and threads blur it a little";
  EXPECT_EQ(begun.size(), 3u) << "once away, once asked for patience, once welcome; "
                              << std::chrono::duration<double>(begun.back() - begun[2]).count();
  EXPECT_EQ(adapter.store, load.expected);
}

TEST(Outages, ALaterLoginThatIsRefusedEndsTheLoadWithAClearText) {
  struct Case {
    int code;
    const char* text;
    const char* said;
  };
  for (const auto& c :
       {Case{0x0357, "auth failure", "wrong user or password"},
        Case{0x0388, "no such database", "the database 'db' does not exist"}, Case{0x0303, "no right", "no right"}}) {
    for (const bool schemaless : {false, true}) {
      int calls = 0;
      FakeAdapter adapter(
          [&](const FakeAdapter::Step& step) {
            return (step.action == "stmt2_exec" || step.action == "insert") && ++calls == 2 ? FakeAdapter::drop_before()
                                                                                            : Fate{};
          },
          {},
          [&](std::size_t index) {
            return index > 0 ? Greeting{Hello::refuse_login, c.code, c.text} : Greeting{};
          });
      Load load;
      load.fill();
      TestObserver observer;
      std::string what;
      if (schemaless) {
        SchemalessWriter writer(options_of({&adapter}), quick(), {}, observer, {});
        what = error_of(writer, load, observer);
      } else {
        StmtWriter writer(options_of({&adapter}), quick(), observer, {});
        what = error_of(writer, load, observer);
      }
      for (const auto* const part : {c.said, "127.0.0.1", "was let in before"})
        EXPECT_NE(what.find(part), std::string::npos) << what;
      EXPECT_EQ(what.find("taosdata"), std::string::npos) << what;
    }
  }
}

TEST(Outages, AnotherEndpointTakesOverAtOnceAndHomeIsComeBackTo) {
  std::atomic<bool> away{false};
  FakeAdapter first([&](const FakeAdapter::Step&) { return away ? FakeAdapter::drop_before() : Fate{}; }, {},
                    [&](std::size_t) { return away ? Greeting{Hello::drop} : Greeting{}; });
  FakeAdapter second({}, {}, {}, &first);
  const auto options = options_of({&first, &second});
  const auto state = std::make_shared<TargetState>(options);
  TestObserver observer;
  StmtWriter writer(options, quick(), observer, {}, state);
  Load load;
  const auto write = [&] {
    load.fill();
    writer.write(load.window);
  };
  write();
  EXPECT_EQ(second.connections(), 0u);
  away = true;
  write();
  EXPECT_EQ(second.connections(), 1u);
  EXPECT_EQ(state->endpoints.healthy(), 1u);
  away = false;
  const auto before = first.connections();
  const auto until = Clock::now() + 30s;
  while (state->endpoints.healthy() < 2 && Clock::now() < until) write();
  EXPECT_GT(first.connections(), before);
  int execs = first.counts["stmt2_exec"];
  write();
  EXPECT_GT(first.counts["stmt2_exec"], execs) << "the lane is at home again";
  EXPECT_EQ(second.connections(), 1u);
  EXPECT_EQ(first.store, load.expected);
  EXPECT_EQ(observer.written, load.total);
  EXPECT_EQ(observer.rejects.size(), 0u);
}

// Three lanes and three adapters in front of one database, that fall, hang, refuse and return as a seed says.
TEST(Outages, NothingIsLostOrDoubledWhateverDies) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    std::mutex mutex;
    std::mt19937 random(seed);
    std::array<int, 3> bad{};  // requests and connections that an adapter will spoil yet
    const auto chance = [&](unsigned of) { return random() % of == 0; };
    const auto decide = [&](std::size_t who) {
      return [&, who](const FakeAdapter::Step& step) -> Fate {
        const std::lock_guard lock(mutex);
        if (bad[who] == 0 && chance(25)) bad[who] = 1 + static_cast<int>(random() % 6);
        if (bad[who] == 0) return {};
        --bad[who];
        switch (random() % 8) {
          case 0: return FakeAdapter::drop_before();
          case 1: return FakeAdapter::drop_after();
          case 2: return {Kind::half_answer, 0, {}};
          case 3: return {Kind::nonsense, 0, {}};
          case 4: return step.action == "stmt2_bind" ? FakeAdapter::silent() : Fate{};
          case 5: return FakeAdapter::refuse(0x0102, "out of memory");
          case 6: return FakeAdapter::refuse(0x090C, "not the leader");
          default: return FakeAdapter::refuse(0xFFFF, "stmt2 is nil");
        }
      };
    };
    const auto greet = [&](std::size_t who) {
      return [&, who](std::size_t) -> Greeting {
        const std::lock_guard lock(mutex);
        if (bad[who] == 0) return {};
        --bad[who];
        switch (random() % 4) {
          case 0: return {Hello::drop};
          case 1: return {Hello::unavailable, 0, "0"};
          case 2: return {Hello::refuse_login, 0x000B, "engine away"};
          default: return {Hello::silent_login};
        }
      };
    };
    FakeAdapter a(decide(0), {}, greet(0));
    FakeAdapter b(decide(1), {}, greet(1), &a);
    FakeAdapter c(decide(2), {}, greet(2), &a);
    auto options = options_of({&a, &b, &c});
    options.request_timeout = 150ms;
    options.handshake_timeout = options.connect_timeout = 150ms;
    const auto state = std::make_shared<TargetState>(options);
    std::array<Load, 3> loads{Load("x"), Load("y"), Load("z")};
    std::array<TestObserver, 3> observers;
    {
      std::vector<std::jthread> lanes;
      for (std::size_t lane = 0; lane < loads.size(); ++lane)
        lanes.emplace_back([&, lane] {
          try {
            StmtWriter writer(options, quick(), observers[lane], {}, state);
            for (int window = 0; window < 6; ++window) {
              loads[lane].fill();
              writer.write(loads[lane].window);
            }
          } catch (const std::exception& error) {
            ADD_FAILURE() << "seed " << seed << ", lane " << lane << ": " << error.what();
          }
        });
    }
    Store expected;
    for (std::size_t lane = 0; lane < loads.size(); ++lane) {
      expected.insert(loads[lane].expected.begin(), loads[lane].expected.end());
      EXPECT_EQ(observers[lane].written, loads[lane].total);
      EXPECT_EQ(observers[lane].rejects, std::vector<std::string>{});
    }
    EXPECT_EQ(a.store, expected);
  }
}

TEST(Outages, RetryTimeIsThatOfTheWholeTarget) {
  for (const bool others_progress : {true, false}) {
    std::shared_ptr<TargetState> state;
    const auto until = Clock::now() + 900ms;
    FakeAdapter adapter([&](const FakeAdapter::Step& step) {
      if (step.action != "stmt2_exec" || Clock::now() > until) return Fate{};
      if (others_progress) state->progressed();
      return FakeAdapter::refuse(0x0503, "vnode moved");
    });
    const auto options = options_of({&adapter});
    state = std::make_shared<TargetState>(options);
    auto limits = quick();
    limits.retry_for = 450ms;
    Load load;
    load.fill();
    TestObserver observer;
    StmtWriter writer(options, limits, observer, {}, state);
    if (others_progress) {
      writer.write(load.window);
      EXPECT_EQ(adapter.store, load.expected);
    } else {
      try {
        writer.write(load.window);
        ADD_FAILURE() << "went on";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::unreachable);
        for (const auto* const part : {"--retry-for", "vnode moved", "127.0.0.1", "no progress for"})
          EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      }
    }
  }
}

TEST(Outages, AStopEndsEveryWait) {
  enum class Where { answer, endpoint, busy };
  for (const auto where : {Where::answer, Where::endpoint, Where::busy}) {
    std::stop_source stop;
    FakeAdapter adapter(
        [&](const FakeAdapter::Step& step) {
          if (step.action != "stmt2_exec") return Fate{};
          stop.request_stop();
          if (where == Where::answer) return FakeAdapter::silent();
          return where == Where::busy ? FakeAdapter::refuse(0x0917, "stalled") : FakeAdapter::drop_before();
        },
        {},
        [&](std::size_t index) {
          return index > 0 ? Greeting{Hello::unavailable, 0, "100"} : Greeting{};
        });
    auto options = options_of({&adapter});
    options.request_timeout = 100s;
    options.stop_grace = 50ms;
    Load load;
    load.fill();
    TestObserver observer;
    StmtWriter writer(options, quick(), observer, stop.get_token());
    const auto begin = Clock::now();
    try {
      writer.write(load.window);
      ADD_FAILURE() << "went on";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::stopped) << error.what();
    }
    EXPECT_LT(Clock::now() - begin, 20s);
  }
}

// --- what is repeated must not double anything ---

TEST(Repetition, OfCreateAndAlterTakesTheirOwnTracksForDone) {
  struct Case {
    const char* word;
    int code;
  };
  for (const auto& c : {Case{"CREATE STABLE", 0x0360}, Case{"CREATE STABLE", 0x0603}, Case{" ADD COLUMN ", 0x036B},
                        Case{" ADD TAG ", 0x0369}, Case{" MODIFY COLUMN ", 0x264B}}) {
    SCOPED_TRACE(c.word);
    int calls = 0;
    FakeAdapter adapter([&](const FakeAdapter::Step& step) {
      if (step.text.find(c.word) == std::string::npos) return Fate{};
      return ++calls == 1 ? FakeAdapter::drop_after() : FakeAdapter::refuse(c.code, "it is there");
    });
    ServerCatalog catalog(options_of({&adapter}), 20s, {});
    data::SuperTable table;
    table.name = "m";
    table.columns = {{.name = "_ts", .type = data::Type::timestamp}, {.name = "f", .type = data::Type::bigint}};
    table.tags = {{.name = "t", .type = data::Type::nchar, .width = 8}};
    catalog.create(table);
    catalog.add("m", schema::Catalog::Part::column, {.name = "g", .type = data::Type::bigint});
    catalog.add("m", schema::Catalog::Part::tag, {.name = "u", .type = data::Type::nchar, .width = 8});
    catalog.widen("m", schema::Catalog::Part::column, {.name = "h", .type = data::Type::varchar, .width = 16});
    EXPECT_EQ(calls, 2);
  }
}

TEST(Repetition, OfALineWithoutATimeBringsTheSameTimeAgain) {
  for (const auto& fate : {FakeAdapter::drop_after(), FakeAdapter::drop_before(), FakeAdapter::silent(),
                           FakeAdapter::refuse(0x0917, "stalled")}) {
    int calls = 0;
    std::vector<std::string> sent;
    FakeAdapter adapter([&](const FakeAdapter::Step& step) {
      if (step.action != "insert") return Fate{};
      sent.push_back(step.text);
      return ++calls == 1 ? fate : Fate{};
    });
    TestRun run;
    Window window(run.registry, 1);
    // The record of a test row is its child table's name and more.
    window.add(TestRun::part(run.chunk({{"m,t=a f=1", 1, {whole("f", 0)}}, {"m,t=b f=1 0 x", 2, {whole("f", 0)}}})));
    TestObserver observer;
    SchemalessWriter::Settings settings;
    settings.precision = "ms";
    SchemalessWriter writer(options_of({&adapter}), quick(), settings, observer, {});
    writer.write(window);
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(sent[0], sent[1]) << "the same rows, which overwrite themselves";
    const auto first = sent[0].substr(0, sent[0].find('\n'));
    const auto second = sent[0].substr(first.size() + 1);
    EXPECT_TRUE(first.starts_with("m,t=a f=1@1#0 ")) << first;
    EXPECT_TRUE(second.starts_with("m,t=b f=1 ")) << second;
    const auto t1 = std::stoll(first.substr(14)), t2 = std::stoll(second.substr(10));
    EXPECT_GT(t1, 1'600'000'000'000'000'000);
    EXPECT_GT(t2, t1) << "each its own";
    EXPECT_EQ(adapter.precisions.back(), "ns") << "whatever the precision of lines that give a time";
    EXPECT_EQ(observer.written, 2u);
  }
}

TEST(Repetition, KeepsTimesThatAreGivenAndTheirPrecision) {
  FakeAdapter adapter;
  TestRun run;
  Window window(run.registry, 1);
  window.add(TestRun::part(run.chunk(
      {{"m f=1 1", 1, {whole("f", 0)}}, {"m f=2", 2, {whole("f", 0)}}, {"m f=3 1626006833639 ", 3, {whole("f", 0)}}})));
  TestObserver observer;
  SchemalessWriter::Settings settings;
  settings.precision = "ms";
  SchemalessWriter writer(options_of({&adapter}), quick(), settings, observer, {});
  writer.write(window);
  ASSERT_EQ(adapter.lines.size(), 3u) << "in order, those without a time by themselves";
  EXPECT_EQ(adapter.precisions, (std::vector<std::string>{"ms", "ns", "ms"}));
  EXPECT_EQ(adapter.lines[0], "m f=1 1@1#0");
  EXPECT_EQ(adapter.lines[2], "m f=3 1626006833639 @3#2");
}

TEST(Repetition, OfJsonWithTheTimeZeroBringsTheSameTimeAgain) {
  int calls = 0;
  std::vector<std::string> sent;
  FakeAdapter adapter([&](const FakeAdapter::Step& step) {
    if (step.action != "insert") return Fate{};
    sent.push_back(step.text);
    return ++calls == 1 ? FakeAdapter::drop_after() : Fate{};
  });
  TestRun run;
  Window window(run.registry, 1);
  window.add(TestRun::part(run.chunk({{R"({"timestamp":0,"x":1})", 1, {whole("f", 0)}}})));
  TestObserver observer;
  SchemalessWriter::Settings settings;
  settings.protocol = wire::LineProtocol::json;
  SchemalessWriter writer(options_of({&adapter}), quick(), settings, observer, {});
  writer.write(window);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0], sent[1]);
  EXPECT_TRUE(sent[0].starts_with(R"([{"timestamp":{"value":1)")) << sent[0];
  EXPECT_NE(sent[0].find(R"(,"type":"us"},"x":1})"), std::string::npos) << sent[0];
}

TEST(Repetition, OfTelnetWithTheTimeZeroIsAvoided) {
  FakeAdapter adapter;
  TestRun run;
  Window window(run.registry, 1);
  window.add(TestRun::part(run.chunk({{"m 0 1 t=a", 1, {whole("f", 0)}}, {"m 1626006833 1 t=a", 2, {whole("f", 0)}}})));
  TestObserver observer;
  SchemalessWriter::Settings settings;
  settings.protocol = wire::LineProtocol::telnet;
  SchemalessWriter writer(options_of({&adapter}), quick(), settings, observer, {});
  writer.write(window);
  EXPECT_EQ(observer.rejects, (std::vector<std::string>{"m 0 1 t=a@1#0"}));
  EXPECT_NE(observer.reasons.at(0).find("--write stmt"), std::string::npos);
  EXPECT_EQ(adapter.lines, (std::vector<std::string>{"m 1626006833 1 t=a@2#1"}));
  EXPECT_EQ(sum(window, &Window::Outcome::rejected), 1u);
}

}  // namespace
}  // namespace penstock::sink
