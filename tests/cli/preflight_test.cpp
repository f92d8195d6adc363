// What the look at a target makes of the server's answers and the data; moments, cut records, found mappings.

#include "cli/preflight.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "base/error.h"
#include "cli/cutting.h"
#include "cli/found_mapping.h"
#include "cli/instant.h"

namespace penstock::cli {
namespace {

using Level = Finding::Level;
using pipeline::Instant;

constexpr Instant kNow{1'700'000'000, 0};

// A server and data where everything is in order.
TargetView sound_target() {
  TargetView target;
  target.endpoint = "h:6041";
  target.version = "3.3.7.5";
  target.user = "root";
  target.database_name = "db";
  target.database = TargetView::Database{data::Precision::nanoseconds, 3650 * 1440};
  target.account = TargetView::User{true, true, true};
  target.privileges.emplace();
  target.free_vnodes = 10;
  target.licence_expired = false;
  return target;
}

DataView sound_data() {
  DataView data;
  data.precision = data::Precision::nanoseconds;
  data.finest_source = "a.line";
  data.first = Instant{1'690'000'000, 0};
  data.last = Instant{1'699'000'000, 0};
  data.rows = 100;
  data.child_tables = 7;
  data.tables = {{"m", true, false, "", 0, {}}};
  return data;
}

Finding find(const std::vector<Finding>& findings, const std::string& subject) {
  for (const auto& finding : findings)
    if (finding.subject == subject) return finding;
  ADD_FAILURE() << "nothing about " << subject;
  return {};
}

TEST(Preflight, FindsNothingWrongWhereAllIsInOrder) {
  const auto findings = judge(sound_target(), sound_data(), {}, kNow);
  for (const auto& finding : findings) {
    EXPECT_EQ(finding.level, Level::ok) << finding.subject << ": " << finding.text;
    EXPECT_EQ(finding.mend, "");
  }
  EXPECT_GE(findings.size(), 7u);
}

TEST(Preflight, SaysUnknownWhereTheServerGivesNoAnswer) {
  TargetView silent;
  silent.database_name = "db";
  silent.database = TargetView::Database{};
  auto data = sound_data();
  data.precision.reset();
  for (const auto* const subject : {"version", "rights", "vnodes", "keep"})
    EXPECT_EQ(find(judge(silent, data, {}, kNow), subject).level, Level::unknown) << subject;
}

struct Case {
  const char* name;
  const char* subject;
  Level level;
  const char* text;  // part of it
  const char* mend;  // part of it
  std::function<void(TargetView&, DataView&, LoadIntent&)> change;
};

TEST(Preflight, JudgesEachThing) {
  const std::vector<Case> cases{
      {"old server", "version", Level::failure, "2.6.0.1", "",
       [](auto& target, auto&, auto&) { target.version = "2.6.0.1"; }},
      {"licence", "licence", Level::failure, "expired", "SHOW GRANTS",
       [](auto& target, auto&, auto&) { target.licence_expired = true; }},
      {"disabled", "rights", Level::failure, "disabled", "ALTER USER `root` ENABLE 1",
       [](auto& target, auto&, auto&) { target.account->enabled = false; }},
      {"no rights", "rights", Level::failure, "may not create tables", "GRANT ALL ON `db`.* TO `root`",
       [](auto& target, auto&, auto&) {
         target.account = TargetView::User{false, true, false};
       }},
      {"reader", "rights", Level::failure, "may not create tables", "GRANT ALL",
       [](auto& target, auto&, auto&) {
         target.account = TargetView::User{false, true, false};
         target.privileges = {"read"};
       }},
      {"writer", "rights", Level::ok, "may write", "",
       [](auto& target, auto&, auto&) {
         target.account = TargetView::User{false, true, false};
         target.privileges = {"read", "write"};
       }},
      {"perhaps the owner", "rights", Level::warning, "only if it made", "GRANT ALL",
       [](auto& target, auto&, auto&) {
         target.account = TargetView::User{false, true, true};
       }},
      {"rights untold", "rights", Level::unknown, "does not tell", "",
       [](auto& target, auto&, auto&) {
         target.account = TargetView::User{false, true, false};
         target.privileges.reset();
       }},
      {"no database", "database", Level::failure, "does not exist", "CREATE DATABASE `db` PRECISION 'ns' KEEP 36500",
       [](auto& target, auto&, auto&) { target.database.reset(); }},
      {"database is made", "database", Level::ok, "CREATE DATABASE `db`", "",
       [](auto& target, auto&, auto& intent) {
         target.database.reset();
         intent.create_database = true;
       }},
      {"no vnode", "vnodes", Level::failure, "1 free", "supportVnodes",
       [](auto& target, auto&, auto&) {
         target.database.reset();
         target.free_vnodes = 1;
       }},
      {"no vnode needed", "vnodes", Level::ok, "0 free", "",
       [](auto& target, auto&, auto&) { target.free_vnodes = 0; }},
      {"too fine", "precision", Level::failure, "'a.line' are in ns", "PRECISION 'ns'",
       [](auto& target, auto&, auto&) { target.database->precision = data::Precision::milliseconds; }},
      {"too fine, accepted", "precision", Level::warning, "ns", "",
       [](auto& target, auto&, auto& intent) {
         target.database->precision = data::Precision::milliseconds;
         intent.allow_precision_loss = true;
       }},
      {"coarser data", "precision", Level::ok, "keeps ns", "",
       [](auto&, auto& data, auto&) { data.precision = data::Precision::milliseconds; }},
      {"some too old", "keep", Level::warning, "40 of 100 rows", "ALTER DATABASE `db` KEEP",
       [](auto&, auto& data, auto&) { data.too_old = 40; }},
      {"all too old", "keep", Level::failure, "100 of 100 rows", "ALTER DATABASE `db` KEEP 117",
       [](auto& target, auto& data, auto&) {
         target.database->keep_minutes = 1440;
         data.too_old = 100;
       }},
      {"a sample that is too old", "keep", Level::warning, "of the sample", "KEEP",
       [](auto&, auto& data, auto&) {
         data.sample = true;
         data.too_old = 100;
       }},
      {"new table", "table m", Level::ok, "new", "", [](auto&, auto& data, auto&) { data.tables[0].exists = false; }},
      {"changed table", "table m", Level::ok, "ALTER STABLE `m` ADD", "",
       [](auto&, auto& data, auto&) { data.tables[0].changes = {"ALTER STABLE `m` ADD COLUMN `x` INT"}; }},
      {"other types", "table m", Level::warning, "3 rows do not fit", "--coerce",
       [](auto&, auto& data, auto&) { data.tables[0].misfits = 3; }},
      {"no super table", "table m", Level::failure, "normal table", "rename",
       [](auto&, auto& data, auto&) { data.tables[0].refused = "'m' exists and is a normal table"; }},
      {"no super table, in a sample", "table m", Level::warning, "normal table", "rename",
       [](auto&, auto& data, auto&) {
         data.sample = true;
         data.tables[0].refused = "'m' exists and is a normal table";
       }},
      {"virtual, in a sample", "table m", Level::failure, "virtual", "rename",
       [](auto&, auto& data, auto&) {
         data.sample = true;
         data.tables[0].is_virtual = true;
         data.tables[0].refused = "'m' is a virtual super table";
       }},
      {"many children", "children", Level::failure, "1,500,000", "--max-child-tables 1500000",
       [](auto&, auto& data, auto&) { data.child_tables = 1'500'000; }},
      {"many children, meant", "children", Level::warning, "1,500,000", "",
       [](auto&, auto& data, auto& intent) {
         data.child_tables = 1'500'000;
         intent.max_child_tables = 2'000'000;
       }},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    auto target = sound_target();
    auto data = sound_data();
    LoadIntent intent;
    one.change(target, data, intent);
    const auto finding = find(judge(target, data, intent, kNow), one.subject);
    EXPECT_EQ(level_name(finding.level), std::string(level_name(one.level))) << finding.text;
    EXPECT_NE(finding.text.find(one.text), std::string::npos) << finding.text;
    EXPECT_NE(finding.mend.find(one.mend), std::string::npos) << finding.mend;
    EXPECT_NE(to_text({finding}).find(finding.text), std::string::npos);
  }
}

TEST(Preflight, ReadsKeep) {
  EXPECT_EQ(keep_minutes("3650d,3650d,3650d"), 3650 * 1440);
  EXPECT_EQ(keep_minutes("5256000m,1d,2h"), 5'256'000);
  EXPECT_EQ(keep_minutes("48h"), 48 * 60);
  EXPECT_EQ(keep_minutes(""), 0);
  EXPECT_EQ(keep_minutes("forever"), 0);
}

TEST(InstantFlag, ReadsEveryForm) {
  const Instant now{1'000'000, 250'000'000};
  const auto read = [&](const std::string& text, const std::string& zone = "") {
    return instant_flag("--since", text, zone, now);
  };
  EXPECT_EQ(read("now"), now);
  EXPECT_EQ(read("-1d"), (Instant{1'000'000 - 86'400, 250'000'000}));
  EXPECT_EQ(read("-500ms"), (Instant{999'999, 750'000'000}));
  EXPECT_EQ(read("1700000000s"), (Instant{1'700'000'000, 0}));
  EXPECT_EQ(read("1700000000123ms"), (Instant{1'700'000'000, 123'000'000}));
  EXPECT_EQ(read("1700000000123456us"), (Instant{1'700'000'000, 123'456'000}));
  EXPECT_EQ(read("1700000000123456789ns"), (Instant{1'700'000'000, 123'456'789}));
  EXPECT_EQ(read("-1500ms").seconds, 999'998) << "relative, not 1969";
  EXPECT_EQ(read("2023-11-14T22:13:20Z"), (Instant{1'700'000'000, 0}));
  EXPECT_EQ(read("2023-11-14 23:13:20.5+01:00"), (Instant{1'700'000'000, 500'000'000}));
  EXPECT_EQ(read("2023-11-14"), (Instant{1'699'920'000, 0}));
  EXPECT_EQ(read("2023-11-14T23:13:20", "+01:00"), (Instant{1'700'000'000, 0}));
  EXPECT_EQ(read("2023-11-14T22:13:20Z", "+01:00"), (Instant{1'700'000'000, 0}));
  for (const auto* const wrong : {"", "yesterday", "1700000000", "17x", "2023-13-01", "-7 days"}) {
    try {
      read(wrong);
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_TRUE(std::string(error.what()).starts_with("--since ")) << error.what();
    }
  }
}

std::string cut(format::Format format, std::string_view record, const std::vector<std::string>& names = {}) {
  std::string out;
  for (const auto& piece : cut_record(format, record, {}, names)) {
    out += fmt::format("{}:{}={};", piece.column, piece.what, piece.text);
    EXPECT_EQ(record.substr(piece.column - 1, piece.text.size()), piece.text) << "the column is where it stands";
  }
  return out;
}

TEST(Cutting, ShowsWhereThingsStand) {
  using format::Format;
  EXPECT_EQ(cut(Format::line, R"(m\ x,t=a\,b,u=c f=1i,s="a, b=\"c" 5)"),
            R"(1:measurement=m\ x;8:tag t=a\,b;15:tag u=c;19:field f=1i;24:field s="a, b=\"c";35:timestamp=5;)");
  EXPECT_EQ(cut(Format::line, "m"), "1:measurement=m;");
  EXPECT_EQ(cut(Format::line, "m f"), "1:measurement=m;3:field without '='=f;");
  EXPECT_EQ(cut(Format::line, "m s=\"open"), "1:measurement=m;5:field s=\"open;");
  EXPECT_EQ(cut(Format::telnet, "put  cpu 1700000000 4.5 host=a dc="),
            "1:command=put;6:metric=cpu;10:timestamp=1700000000;21:value=4.5;30:tag host=a;35:tag dc=;");
  EXPECT_EQ(cut(Format::csv, "1,\"a,b\",c,d", {"ts", "x", "y"}),
            "1:column ts=1;3:column x=\"a,b\";9:column y=c;11:one too many=d;");
  EXPECT_EQ(cut(Format::csv, "1", {"ts", "x"}), "1:column ts=1;2:column x (not given)=;");
  EXPECT_EQ(cut(Format::json, R"({"metric": "m", "tags": {"a": 1, "b": [true, null]}, "x")"),
            R"(12:member metric="m";31:member tags.a=1;40:member tags.b.0=true;46:member tags.b.1=null;)");
}

TEST(Cutting, NeverFails) {
  std::mt19937 random(7);
  const std::string alphabet = "m=,\\\" \n{}[]:1aL\t";
  for (int i = 0; i < 20'000; ++i) {
    std::string record(random() % 24, ' ');
    for (auto& c : record) c = alphabet[random() % alphabet.size()];
    for (const auto format : {format::Format::line, format::Format::telnet, format::Format::csv, format::Format::json,
                              format::Format::ndjson})
      cut(format, record, {"a", "b"});
  }
}

TEST(FoundMapping, MakesTheSamePlanAgain) {
  const std::vector<std::pair<std::string, schema::CsvMapping>> files = [] {
    std::vector<std::pair<std::string, schema::CsvMapping>> all;
    all.push_back({"time,host,usage,note\n2024-01-01 00:00:00.5,h1,1.5,\"a, b\"\n2024-01-01 00:00:01,h2,NA,x\n", {}});
    all.push_back({"1700000000123;a;5\n1700000000124;b;6\n", {}});
    schema::CsvMapping tags;
    tags.tags = {"host", "rack"};
    tags.ignore = {"note"};
    tags.constant_tags = {{"site", "berlin"}};
    tags.rename = {{"v", "value"}};
    all.push_back({"when|host|rack|v|note\n01.02.2024 10:00|h|1|2|z\n", tags});
    all.back().second.time_format = "%d.%m.%Y %H:%M";
    schema::CsvMapping named;
    named.child_table_column = "id";
    all.push_back({"ts,id,v,v\n2024-01-01T00:00:00Z,d1,true,7\n2024-01-01T00:00:00.123456789Z,d2,false,8\n", named});
    return all;
  }();
  for (const auto& [text, given] : files) {
    SCOPED_TRACE(text);
    const auto plan = format::infer(text, given, "table");
    const auto mapping = found_mapping(plan, given, format::Format::csv);
    const auto again = schema::csv_mapping_from_toml(schema::to_toml(mapping), "test");
    EXPECT_EQ(again, mapping) << schema::to_toml(mapping);
    // Also of one record, which is no sample to infer from.
    const auto header = plan.dialect.header ? text.substr(0, text.find('\n') + 1) : std::string();
    const auto records = text.substr(header.size());
    for (const auto& other : {text, header + records.substr(0, records.find('\n') + 1)}) {
      const auto same = format::infer(other, again, "elsewhere");
      EXPECT_EQ(same.super_table(), plan.super_table());
      EXPECT_EQ(same.time_unit, plan.time_unit);
      EXPECT_EQ(same.dialect.header, plan.dialect.header);
      EXPECT_EQ(same.dialect.delimiter, plan.dialect.delimiter);
      ASSERT_EQ(same.columns.size(), plan.columns.size());
      for (std::size_t i = 0; i < plan.columns.size(); ++i) EXPECT_EQ(same.columns[i].role, plan.columns[i].role) << i;
    }
  }
}

}  // namespace
}  // namespace penstock::cli
