#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "sandbox/engine.h"
#include "sandbox/value.h"

namespace penstock::sandbox {
namespace {

using data::Type;

constexpr std::int64_t kTime = 1'700'000'000'000;

/// A directory of this test's own, gone afterwards.
class Directory {
 public:
  Directory()
      : path_(std::filesystem::temp_directory_path() /
              fmt::format("penstock-sandbox-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(path_);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::unique_ptr<Engine> engine_in(const std::filesystem::path& directory = {}) {
  Engine::Options options;
  options.directory = directory;
  return Engine::open(options);
}
std::unique_ptr<Session> login(Engine& engine, std::string_view database = {}) {
  return engine.login("root", "taosdata", database);
}

/// Cells as text, columns by blanks, rows by " / "; NULL is "-".
std::string table_of(Session& session, std::string_view sql) {
  const auto answer = session.execute(sql);
  std::string out;
  for (const auto& row : answer.rows) {
    if (!out.empty()) out += " / ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto& f = answer.fields[i];
      const auto d = datum_of(row[i], {f.type, f.length, f.precision, f.scale});
      out += (i > 0 ? " " : "") + (d.null ? std::string("-") : to_text(d));
    }
  }
  return out;
}

int code_of(Session& session, std::string_view sql) {
  try {
    session.execute(sql);
    return 0;
  } catch (const RefusalError& e) {
    return e.refusal().code;
  }
}

/// Columns of a bind message, kept alive.
struct Columns {
  template <class T>
  Columns& fixed(Type type, const std::vector<T>& values, std::vector<std::uint8_t> states = {}) {
    std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    return add(type, values.size(), std::move(states), "", std::move(bytes));
  }
  Columns& texts(Type type, const std::vector<std::string>& values, std::vector<std::uint8_t> states = {}) {
    std::string bytes, lengths;
    for (const auto& v : values) {
      const auto length = static_cast<std::int32_t>(v.size());
      lengths.append(reinterpret_cast<const char*>(&length), sizeof length);
      bytes += v;
    }
    return add(type, values.size(), std::move(states), std::move(lengths), std::move(bytes));
  }
  ColumnarTable table(std::string_view name) {
    ColumnarTable t;
    t.name = name;
    for (auto& k : kept) {
      t.columns.push_back({k.type, static_cast<std::int32_t>(k.states.size()), k.states.data(),
                           k.lengths.empty() ? nullptr : k.lengths.data(), k.bytes});
    }
    return t;
  }

 private:
  struct Kept {
    Type type;
    std::vector<std::uint8_t> states;
    std::string lengths, bytes;
  };
  Columns& add(Type type, std::size_t rows, std::vector<std::uint8_t> states, std::string lengths, std::string bytes) {
    states.resize(rows);
    kept.push_back({type, std::move(states), std::move(lengths), std::move(bytes)});
    return *this;
  }
  std::vector<Kept> kept;
};

TEST(Store, KeepsEverythingWhenItIsOpenedAgain) {
  const Directory directory;
  const std::string statements[] = {
      "create database `Meß werte` precision 'us' keep 36500 vgroups 3",
      "use `Meß werte`",
      "create stable m (ts timestamp, v int, s varchar(8)) tags (g int, loc nchar(8)) comment 'c'",
      "insert into a using m tags(1,'北') values(1700000000000000,1,'x')(1700000001000000,null,'')",
      "create table b using m tags(null,null) ttl 7",
      "alter table m add column w double",
      "alter table m drop column s",
      "insert into a(ts,w) values(1700000000000000,2.5)",
      "alter table m add tag t varchar(4)",
      "alter table a set tag t='tag'",
      "create table n (ts timestamp, k int primary key, v decimal(20,4))",
      "insert into n values(1700000000000000,2,1.5)(1700000000000000,1,-0.0001)"};
  const std::string queries[] = {"select tbname,* from m order by ts",
                                 "select * from n",
                                 "select count(*) from m",
                                 "show create database `Meß werte`",
                                 "show create stable m",
                                 "show create table b",
                                 "select * from information_schema.ins_tags order by table_name, tag_name",
                                 "describe n"};
  std::vector<std::string> before;
  {
    const auto engine = engine_in(directory.path());
    const auto session = login(*engine);
    for (const auto& sql : statements) session->execute(sql);
    for (const auto& sql : queries) before.push_back(table_of(*session, sql));
  }
  EXPECT_EQ(before[0], "a 1700000000000000 1 2.500000 1 北 tag / a 1700000001000000 - - 1 北 tag");
  EXPECT_EQ(before[1], "1700000000000000 1 -0.0001 / 1700000000000000 2 1.5000");
  for (int round = 0; round < 2; ++round) {
    const auto engine = engine_in(directory.path());
    const auto session = login(*engine, "Meß werte");
    for (std::size_t i = 0; i < std::size(queries); ++i) EXPECT_EQ(table_of(*session, queries[i]), before[i]);
  }
  {
    const auto engine = engine_in(directory.path());
    login(*engine)->execute("drop database `Meß werte`");
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Store, LetsManySessionsWriteAtOnce) {
  const Directory directory;
  const auto engine = engine_in(directory.path());
  const auto session = login(*engine);
  session->execute("create database d");
  session->execute("create stable d.m (ts timestamp, v int) tags (g int)");
  constexpr int kThreads = 4;
  constexpr int kStatements = 50;
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto own = login(*engine, "d");
      for (int i = 0; i < kStatements; ++i) {
        // Every thread writes to a table of its own, and to one that all make and share.
        own->execute(
            fmt::format("insert into own{0} using m tags({0}) values({1},{2}) shared using m tags(9) values({3},{2})",
                        t, now + i, i, now + t * kStatements + i));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(table_of(*session, "select count(*) from d.m"), std::to_string(2 * kThreads * kStatements));
  EXPECT_EQ(table_of(*session, "select count(*), sum(v) from d.shared"),
            fmt::format("{} {}", kThreads * kStatements, kThreads * kStatements * (kStatements - 1) / 2));
}

TEST(Store, MergesBoundRowsWithEqualKeysAndStoredOnes) {
  const auto engine = engine_in();
  const auto session = login(*engine);
  session->execute("create database d keep 36500");
  session->execute("use d");
  session->execute("create table n (ts timestamp, a int, s varchar(4))");
  session->execute(fmt::format("insert into n values({},1,'old')", kTime));
  const auto statement = session->prepare("insert into n values(?,?,?)");
  Columns columns;
  columns.fixed<std::int64_t>(Type::timestamp, {kTime + 1, kTime, kTime + 1, kTime})
      .fixed<std::int32_t>(Type::integer, {5, 7, 0, 0}, {0, 0, 1, 2})
      .texts(Type::varchar, {"x", "", "", "neu"}, {0, 2, 2, 0});
  const std::vector<ColumnarTable> tables = {columns.table("")};
  session->check_columns(*statement, tables);
  EXPECT_EQ(session->insert_columns(*statement, tables), 2);
  EXPECT_EQ(table_of(*session, "select * from n"), fmt::format("{} 7 neu / {} - x", kTime, kTime + 1));
  EXPECT_EQ(table_of(*session, "select count(*) from n"), "2");
}

TEST(Store, BindsChildTablesWithTags) {
  const auto engine = engine_in();
  const auto session = login(*engine);
  session->execute("create database d keep 36500");
  session->execute("use d");
  session->execute("create table m (ts timestamp, v bigint, n nchar(3)) tags (g int, loc varchar(8))");
  const auto statement = session->prepare("insert into ? using m tags(?,?) values(?,?,?)");
  ASSERT_EQ(session->fields(*statement).size(), 6u);
  EXPECT_EQ(session->fields(*statement)[0].bind, PreparedField::Bind::table_name);
  EXPECT_EQ(session->fields(*statement)[5].stored_bytes, 14);
  Columns columns;
  columns.fixed<std::int64_t>(Type::timestamp, {kTime, kTime + 1})
      .fixed<std::int64_t>(Type::bigint, {-1, 2})
      .texts(Type::nchar, {"北北北", "abc"});
  auto one = columns.table("Ä b");
  one.tags = {present(4), present(0, "here")};
  auto two = columns.table("`q`");
  EXPECT_EQ(session->insert_columns(*statement, std::vector{one, two}), 4);
  EXPECT_EQ(table_of(*session, "select tbname, g, loc, sum(v) from m group by tbname, g, loc order by tbname"),
            "q - - 1 / Ä b 4 here 1");
  auto wide = Columns()
                  .fixed<std::int64_t>(Type::timestamp, {kTime})
                  .fixed<std::int64_t>(Type::bigint, {1})
                  .texts(Type::nchar, {"北北北北"});
  const auto refused = [&](const ColumnarTable& table) {
    try {
      session->check_columns(*statement, std::vector{table});
      return 0;
    } catch (const RefusalError& e) {
      return static_cast<int>(e.refusal().code);
    }
  };
  EXPECT_EQ(refused(wide.table("q")), 0x2653);
  EXPECT_EQ(refused(columns.table("")), 0x022B);
  EXPECT_EQ(refused(columns.table("m")), 0x061D);
  EXPECT_EQ(refused(columns.table("nodb.x")), 0x0388);
  auto wrong = columns.table("q");
  wrong.columns[1].type = Type::integer;
  EXPECT_EQ(refused(wrong), 0x0200);
  auto cut = columns.table("q");
  cut.columns[1].data.remove_suffix(1);
  EXPECT_EQ(refused(cut), 0x0200);
  session->execute("alter table m add column x int");
  EXPECT_EQ(refused(columns.table("q")), 0x0125);
}

TEST(Store, RefusesWholeStatementOutsideOfKeep) {
  const auto engine = engine_in();
  const auto session = login(*engine);
  session->execute("create database d keep 100");
  session->execute("use d");
  session->execute("create table m (ts timestamp, v int) tags (g int)");
  EXPECT_EQ(code_of(*session, "insert into a using m tags(1) values(now,1) b using m tags(2) values(now-101d,2)"),
            0x060B);
  EXPECT_EQ(table_of(*session, "show tables"), "");
  EXPECT_EQ(code_of(*session, "insert into a using m tags(1) values(now-99d,1)(now+1000d,2)"), 0);
  EXPECT_EQ(code_of(*session, "insert into a values(31556995200001,1)"), 0x060B);
  EXPECT_EQ(table_of(*session, "select count(*) from m"), "2");
  EXPECT_EQ(code_of(*session, "alter database d keep 36500"), 0);
  EXPECT_EQ(code_of(*session, "insert into a values(now-101d,1)"), 0);
}

TEST(Store, TakesLinesAsSchemalessInsertDoes) {
  const auto engine = engine_in();
  const auto session = login(*engine);
  session->execute("create database d keep 36500");
  session->execute("use d");
  std::int32_t lines = 0;
  const auto insert = [&](std::string_view text) {
    try {
      return static_cast<std::int64_t>(session->insert_schemaless(1, 4, text, 0, "name", lines));
    } catch (const RefusalError& e) {
      return static_cast<std::int64_t>(-e.refusal().code);
    }
  };
  EXPECT_EQ(insert("m,name=a,t=x v=1i32,s=\"abc\" 1626006833639\nm,name=a,t=x v=2i32 1626006833639\n"
                   "# no line\nm,name=b w=L\"北\" 1626006833640"),
            2);
  EXPECT_EQ(lines, 3);
  EXPECT_EQ(table_of(*session, "select tbname,* from m order by tbname"),
            "a 1626006833639 2 abc - x / b 1626006833640 - - 北 -");
  EXPECT_EQ(insert("m,name=a,t=x v=1 1626006833641\nm,name=c v=1i32 1626006833641"), -0x3002);
  EXPECT_EQ(insert("m,name=a v=1i32 1626006833641\nm,,"), -0x3002);
  EXPECT_EQ(table_of(*session, "select count(*) from m"), "2");
}

TEST(SqlText, NeverCrashesOnMutatedStatements) {
  const std::vector<std::string> seeds = {
      "select tbname, count(*), sum(v)/2 from d.m where ts>='2023-01-01' and g in (1,2) or not s like 'a%' group by "
      "tbname "
      "having count(*)>1 order by 2 desc limit 3,4",
      "insert into a using m (g) tags(1) (ts,v) values(now+1s,-5)(1700000000000,'x\\'y') n values(now,null,\"q\")",
      "create stable if not exists x (ts timestamp, a decimal(10,2), b varchar(10) primary key) tags (j json) comment "
      "'c'",
      "alter table m modify column s varchar(100)",
      "create database e precision 'us' keep 10,20d,30d vgroups 2",
      "select cast(v as varchar(5)), case v when 1 then 'a' else null end, t->'k' from (select * from m) x",
      "show create table `m`",
      "delete from m where ts between 1 and 2",
      "drop table if exists a, b",
      "describe m",
      "select concat(s, substr(s, -1, 2)), round(v*1e300, 9) from n"};
  const auto engine = engine_in();
  const auto session = login(*engine);
  const auto make = [&] {
    session->execute("create database if not exists d keep 36500");
    session->execute("use d");
    session->execute("create stable if not exists m (ts timestamp, v int, s varchar(8)) tags (g int)");
    session->execute("create table if not exists n (ts timestamp, v int, s varchar(8))");
  };
  make();
  std::mt19937 random(20231114);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const std::string_view bits = "()',\"`;?*-+.\\ 0x9e$\n\xC3\x01";
  std::size_t answered = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string sql = seeds[below(seeds.size())];
    for (auto changes = below(4) + 1; changes > 0; --changes) {
      const auto at = below(sql.size() + 1);
      switch (below(4)) {
        case 0: sql.insert(at, 1, bits[below(bits.size())]); break;
        case 1: sql.erase(at, below(8)); break;
        case 2: sql.insert(at, seeds[below(seeds.size())].substr(0, below(30))); break;
        default:
          if (at < sql.size()) sql[at] = bits[below(bits.size())];
      }
      if (sql.empty()) sql = ";";
    }
    try {
      session->execute(sql);
      ++answered;
    } catch (const RefusalError& e) {
      ASSERT_NE(e.refusal().code, 0) << sql;
      ASSERT_FALSE(e.refusal().message.empty()) << sql;
    }
    try {
      session->prepare(sql);
    } catch (const RefusalError&) {
    }
    if (i % 500 == 0) make();
  }
  EXPECT_GT(answered, 100u);
}

/// Not a limit but a figure: PENSTOCK_SANDBOX_ROWS=10000000 tells how fast bulk inserts and queries over them are.
TEST(Store, StoresBulk) {
  const char* const set = std::getenv("PENSTOCK_SANDBOX_ROWS");
  const std::size_t wanted = set != nullptr ? std::strtoull(set, nullptr, 10) : 20'000;
  const Directory directory;
  const auto engine = engine_in(directory.path());
  const auto session = login(*engine);
  session->execute("create database d keep 36500");
  session->execute("use d");
  std::string columns = "ts timestamp";
  for (int i = 0; i < 10; ++i) columns += fmt::format(", c{} bigint", i);
  session->execute(fmt::format("create stable m ({}) tags (g int)", columns));
  const auto statement = session->prepare("insert into ? using m tags(?) values(?,?,?,?,?,?,?,?,?,?,?)");
  constexpr std::size_t kTables = 1000;
  constexpr std::size_t kPerTable = 20;
  std::size_t rows = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t round = 0; rows < wanted; ++round) {
    std::vector<std::int64_t> times;
    for (std::size_t r = 0; r < kPerTable; ++r)
      times.push_back(kTime + static_cast<std::int64_t>(round * kPerTable + r));
    Columns bound;
    bound.fixed<std::int64_t>(Type::timestamp, times);
    for (int c = 0; c < 10; ++c) bound.fixed<std::int64_t>(Type::bigint, times);
    std::vector<std::string> names;
    for (std::size_t t = 0; t < kTables; ++t) names.push_back(fmt::format("t{}", t));
    std::vector<ColumnarTable> tables;
    for (std::size_t t = 0; t < kTables; ++t) {
      tables.push_back(bound.table(names[t]));
      tables.back().tags = {present(t)};
    }
    const auto affected = session->insert_columns(*statement, tables);
    ASSERT_EQ(affected, static_cast<std::int64_t>(kTables * kPerTable));
    rows += kTables * kPerTable;
  }
  const auto seconds = [](auto from) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
  };
  const double inserting = seconds(begin);
  EXPECT_EQ(table_of(*session, "select count(*) from m"), std::to_string(rows));
  const auto counted = std::chrono::steady_clock::now();
  EXPECT_EQ(table_of(*session, "select count(c3) from m"), std::to_string(rows));
  const double scanning = seconds(counted);
  if (set != nullptr) {
    fmt::print("{} rows of 10 columns: {:.0f} rows/s in, scanned at {:.0f} rows/s\n", rows,
               static_cast<double>(rows) / inserting, static_cast<double>(rows) / scanning);
  }
}

}  // namespace
}  // namespace penstock::sandbox
