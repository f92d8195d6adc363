#include "standin/replay.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

/// Every call that was recorded of the real library, made again on the stand-in: each answer must be the same.
namespace penstock::test {
namespace {

std::filesystem::path records(const std::string& name) {
  const char* const root = std::getenv("PENSTOCK_CONFORMANCE");
  return std::filesystem::path(root != nullptr ? root : "../shared/conformance") / "capi" / (name + ".jsonl");
}

std::vector<Json> read(const std::string& name) {
  std::vector<Json> lines;
  std::ifstream in(records(name));
  for (std::string text; std::getline(in, text);) lines.push_back(Json::parse(text));
  return lines;
}

/// Bytes between members, which the real library leaves as they are, to zero.
std::string without_padding(const std::string& hex, std::size_t field_size) {
  auto bytes = from_hex(hex);
  for (std::size_t at = 0; at + field_size <= bytes.size(); at += field_size) {
    if (field_size == sizeof(TAOS_FIELD)) bytes[at + 66] = bytes[at + 67] = '\0';
    for (std::size_t i = 73; field_size == sizeof(TAOS_FIELD_ALL) && i < 76; ++i) bytes[at + i] = '\0';
  }
  return to_hex(bytes.data(), bytes.size());
}

Json comparable(Json answer) {
  const auto api = answer.value("api", "");
  if (answer.contains("fields_hex")) {
    answer["fields_hex"] = without_padding(answer["fields_hex"].get<std::string>(),
                                           api == "taos_query" ? sizeof(TAOS_FIELD) : sizeof(TAOS_FIELD_ALL));
  }
  if (api == "taos_get_server_info") answer.erase("value");
  // What is wrong with a line is told in penstock's own words.
  if (api.starts_with("taos_schemaless")) answer.erase("errstr");
  return answer;
}

class Recorded : public testing::TestWithParam<const char*> {
 protected:
  Library library{PENSTOCK_STANDIN_LIBRARY};
};

TEST_P(Recorded, CallsAnswerAsTheRealLibrary) {
  const auto lines = read(GetParam());
  if (lines.empty()) GTEST_SKIP() << "no records at " << records(GetParam());
  auto replay = std::make_unique<Replay>(library);
  replay->connect();
  const auto misuses = STANDIN(library, penstock_standin_misuses)();
  int calls = 0;
  int same = 0;
  for (const auto& record : lines) {
    if (record.contains("note")) {
      // Of these each case was a process of its own, with these tables.
      if (!record["note"].get<std::string>().starts_with("error case")) continue;
      replay = std::make_unique<Replay>(library);
      replay->connect();
      replay->execute("create database cases keep 36500");
      replay->execute("use cases");
      replay->execute("create table m (ts timestamp, v int, s varchar(8)) tags (g int, loc nchar(8))");
      replay->execute("create table nt (ts timestamp, v int, s varchar(8))");
      continue;
    }
    const auto wanted = comparable(record);
    const auto got = comparable(replay->run(record));
    ++calls;
    if (wanted == got) ++same;
    else ADD_FAILURE() << "recorded " << wanted.dump().substr(0, 2000) << "\n     got " << got.dump().substr(0, 2000);
  }
  std::cout << GetParam() << ": " << same << " of " << calls << " calls answered as recorded\n";
  replay.reset();
  EXPECT_EQ(STANDIN(library, penstock_standin_open_handles)(), 0);
  EXPECT_EQ(STANDIN(library, penstock_standin_misuses)(), misuses);
}

INSTANTIATE_TEST_SUITE_P(Files, Recorded, testing::Values("blocks", "errors", "stmt2", "stmt2_errors", "schemaless"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace penstock::test
