#include "format/influx_dump.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "format/forward_parser.h"
#include "format/guess.h"
#include "format/line_parser.h"
#include "format/line_test_text.h"

namespace penstock::format {
namespace {

constexpr std::string_view kDump =
    "# DDL\n"
    "CREATE DATABASE water WITH NAME autogen\n"
    "create retention policy \"two weeks\" ON water DURATION 14d REPLICATION 1\n"
    "# DML\n"
    "# CONTEXT-DATABASE:water\n"
    "# CONTEXT-RETENTION-POLICY:autogen\n"
    "# writing tsm data\n"
    "h2o,site=a level=2.1 1566000000000000000\n"
    "h2o,site=a temp=15i 1566000000000000000\n"
    "h2o,site=a broken 1566000000000000000\n";

TEST(InfluxDump, TellsStatementsFromRecords) {
  EXPECT_TRUE(is_dump_statement("CREATE DATABASE water"));
  EXPECT_TRUE(is_dump_statement("create database \"a b\" WITH NAME autogen\r"));
  EXPECT_TRUE(is_dump_statement("CREATE RETENTION POLICY x ON y DURATION 0s REPLICATION 1"));
  EXPECT_FALSE(is_dump_statement("CREATE DATABASE=1 5"));
  EXPECT_FALSE(is_dump_statement("CREATE,t=a DATABASE=1"));
  EXPECT_FALSE(is_dump_statement("CREATE DATABASE"));
  EXPECT_FALSE(is_dump_statement("CREATE TABLE x"));
  EXPECT_FALSE(is_dump_statement("DROP DATABASE x"));
  EXPECT_FALSE(is_dump_statement(""));
}

TEST(InfluxDump, ReadsContextLines) {
  EXPECT_EQ(context_database("# CONTEXT-DATABASE:water"), "water");
  EXPECT_EQ(context_database("# CONTEXT-DATABASE: water \r"), "water");
  EXPECT_EQ(context_database("#CONTEXT-DATABASE:water"), "water");
  EXPECT_EQ(context_database("# context-database: \"a \\\"b\\\" c\""), "a \"b\" c");
  EXPECT_EQ(context_database("# CONTEXT-DATABASE:a b"), "a b");
  EXPECT_EQ(context_database("# CONTEXT-RETENTION-POLICY:autogen"), std::nullopt);
  EXPECT_EQ(context_database("CONTEXT-DATABASE:x"), std::nullopt);
  EXPECT_EQ(context_database(""), std::nullopt);
}

TEST(InfluxDump, ReadsTheHead) {
  const auto head = read_dump_head(kDump);
  EXPECT_EQ(head.created, std::vector<std::string>{"water"});
  EXPECT_EQ(head.context, std::vector<std::string>{"water"});
  EXPECT_TRUE(head.complete);
  const auto many =
      read_dump_head("# DDL\nCREATE DATABASE a\nCREATE DATABASE \"b c\" WITH NAME x\nCREATE DATABASE a\n");
  EXPECT_EQ(many.created, (std::vector<std::string>{"a", "b c"}));
  EXPECT_FALSE(many.complete);
}

int code_of(const std::string& text, const std::string& wanted, std::string& message) {
  try {
    check_dump_head("dump.line", read_dump_head(text), wanted);
  } catch (const Error& error) {
    message = error.what();
    return static_cast<int>(error.code());
  }
  return -1;
}

TEST(InfluxDump, RefusesWhatItsHeadForbids) {
  std::string message;
  EXPECT_EQ(code_of(std::string(kDump), "", message), -1);
  EXPECT_EQ(code_of(std::string(kDump), "water", message), -1);
  EXPECT_EQ(code_of("m f=1 1\n", "water", message), -1);
  EXPECT_EQ(code_of(std::string(kDump), "fire", message), static_cast<int>(Errc::config));
  EXPECT_NE(message.find("'water'"), std::string::npos) << message;
  EXPECT_EQ(code_of("CREATE DATABASE a\nCREATE DATABASE b\n", "", message), static_cast<int>(Errc::config));
  EXPECT_NE(message.find("'a', 'b'"), std::string::npos) << message;
  EXPECT_NE(message.find("--context-db"), std::string::npos) << message;
  EXPECT_EQ(code_of("# CONTEXT-DATABASE:a\nm f=1 1\n# CONTEXT-DATABASE:b\n", "", message),
            static_cast<int>(Errc::config));
  EXPECT_EQ(code_of("CREATE DATABASE a\nCREATE DATABASE b\n", "b", message), -1);
}

TEST(InfluxDump, IsNeitherRowNorReject) {
  schema::Registry registry;
  LineParser parser(registry);
  const auto chunk = padded_chunk(kDump);
  data::RowSet rows;
  parser.parse(chunk, rows);
  EXPECT_EQ(rows.row_count(), 2u);
  ASSERT_EQ(rows.rejects().size(), 1u) << "a broken record stays one";
  ASSERT_EQ(rows.marks().size(), 1u);
  EXPECT_EQ(rows.marks()[0].text, "water");
  EXPECT_EQ(kDump.substr(rows.marks()[0].offset, 10), "# CONTEXT-");
  LineOptions payload;
  payload.payload_rules = true;
  data::RowSet strict;
  LineParser(registry, payload).parse(chunk, strict);
  EXPECT_EQ(strict.rejects().size(), 3u);
  EXPECT_TRUE(strict.marks().empty());
}

TEST(InfluxDump, IsForwardedWithoutItsStatements) {
  schema::Registry registry;
  ForwardParser parser(registry);
  const auto chunk = padded_chunk(kDump);
  data::RowSet rows;
  parser.parse(chunk, rows);
  EXPECT_EQ(rows.row_count(), 3u);
  EXPECT_EQ(rows.marks().size(), 1u);
}

TEST(InfluxDump, IsGuessed) { EXPECT_EQ(guess_format("export", kDump).format, Format::line); }

// The rows that are left, by their value, over chunks cut everywhere.
std::string kept(std::string_view text, std::size_t cut, const std::string& wanted) {
  schema::Registry registry;
  LineParser parser(registry);
  DumpFilter filter("dump.line", wanted);
  std::string all;
  for (const auto piece : {text.substr(0, cut), text.substr(cut)}) {
    const auto chunk = padded_chunk(piece);
    data::RowSet rows;
    parser.parse(chunk, rows);
    filter(chunk, rows);
    rows.for_each_row([&](const data::Row& row) {
      if (row.shape != data::kRefusedShape) all += std::to_string(row.time);
    });
    all += std::string(rows.rejects().size(), 'r');
    all += std::string(rows.left_out(), '-');
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST(DumpFilter, KeepsDatabasesApart) {
  constexpr std::string_view text =
      "m f=1 1\nbad\n# CONTEXT-DATABASE:a\nm f=1 2\nm f=1 3\nbad\n# CONTEXT-DATABASE: b\nm f=1 4\nbad\nbad\n"
      "# CONTEXT-DATABASE:a\n# comment\nm f=1 5\n# CONTEXT-DATABASE:b\nm f=1 6\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    if (cut > 0 && cut < text.size() && text[cut - 1] != '\n') continue;
    EXPECT_EQ(kept(text, cut, "a"), "------235r") << cut;
    EXPECT_EQ(kept(text, cut, "b"), "------46rr") << cut;
    EXPECT_EQ(kept(text, cut, "c"), "----------") << cut;
    EXPECT_THROW(kept(text, cut, ""), Error) << cut;
  }
  EXPECT_EQ(kept("m f=1 1\n# CONTEXT-DATABASE:a\nm f=1 2\n# CONTEXT-DATABASE:a\nm f=1 3\n", 8, ""), "123");
  EXPECT_EQ(kept("m f=1 1\nbad\n", 8, ""), "1r");
  EXPECT_EQ(kept("m f=1 1\nbad\n", 8, "a"), "--");
}

TEST(LineTags, AreLeftOutOrBecomeColumns) {
  LineOptions options;
  options.naming.drop_tags = {"request"};
  options.naming.tags_as_columns = {"pi d"};
  const auto read = [&](std::string_view text, const LineOptions& with, std::vector<std::uint16_t>* codes = nullptr) {
    schema::Registry registry;
    LineParser parser(registry, with);
    const auto chunk = padded_chunk(text);
    data::RowSet rows;
    parser.parse(chunk, rows);
    std::vector<std::string> all;
    rows.for_each_row([&](const data::Row& row) { all.push_back(row_text(registry, rows, row)); });
    if (codes != nullptr)
      for (const auto& reject : rows.rejects()) codes->push_back(reject.reason.code);
    return all;
  };
  const auto plain = read("m\\,x,a=1,b=\\,2 f=1 1\n", {});
  const auto child = plain[0].substr(0, plain[0].find(' '));
  std::vector<std::uint16_t> codes;
  const auto all = read(
      "m\\,x,a=1,request=r1,b=\\,2,pi\\ d=1\\ 7 f=1 1\nm\\,x,request=r2,pi\\ d=18,a=1,b=\\,2 f=2,g=3i 2\n"
      "m\\,x,a=1,b=\\,2 f=1 3\nm\\,x,request=r f=1 4\nm\\,x,a=1,b=\\,2,pi\\ d=1 pi\\ d=2 5\nm\\,x,f=1 f=1 6\n"
      "m\\,x,a=1,b=\\,2 a=1 7\n",
      options, &codes);
  ASSERT_EQ(all.size(), 4u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(all[i].starts_with(child + " ")) << all[i];
  EXPECT_TRUE(all[0].ends_with("f:DOUBLE=4607182418800017408 pi d:NCHAR=1 7")) << all[0];
  EXPECT_TRUE(all[1].ends_with("f:DOUBLE=4611686018427387904 g:BIGINT=3 pi d:NCHAR=18")) << all[1];
  EXPECT_TRUE(all[2].ends_with("] f:DOUBLE=4607182418800017408")) << all[2];
  EXPECT_FALSE(all[3].starts_with(child + " ")) << all[3];
  EXPECT_EQ(codes, (std::vector<std::uint16_t>{0x263C, 0x263C, 0x263C}));
}

}  // namespace
}  // namespace penstock::format
