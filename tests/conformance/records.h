#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "schema/naming.h"
#include "wire/schemaless.h"

/// What a real server did with payloads: conformance/schemaless/*.jsonl, whose README gives the format.
namespace penstock::conformance {

using nlohmann::json;
using wire::LineProtocol;

/// One call, or one statement between calls.
struct Step {
  std::string sql;          ///< not empty: a statement instead of a call
  std::string payload;      ///< the call's bytes
  bool only_array = false;  ///< a call with an array of lines that one text cannot say: an element with a newline …
  int code = 0;             ///< low 16 bits of the answer
  std::int64_t affected = 0;
  std::int64_t total = 0;
  int ttl = 0;
  std::string table_name_key;
};

/// One case.
struct Record {
  LineProtocol protocol = LineProtocol::line;
  std::string name;
  std::string precision;  ///< as given: "ms", "none", "7"
  std::string db_precision;
  std::string db_options;
  std::vector<std::string> setup;
  std::map<std::string, std::string> settings;  ///< of the server's client, where not the default
  std::vector<Step> steps;
  bool array_call = false;
  bool hash_order = false;
  json state;  ///< the members super_tables, child_tables, rows

  [[nodiscard]] bool accepted() const;
  [[nodiscard]] bool single() const { return steps.size() == 1; }
  [[nodiscard]] schema::NamingRules naming(const Step& step) const;
};

/// All cases; empty when there are no records. PENSTOCK_CONFORMANCE names another folder.
const std::vector<Record>& records(LineProtocol protocol);
std::filesystem::path record_file(LineProtocol protocol);

/// "line", "telnet", "json".
const char* protocol_name(LineProtocol protocol);

/// Cases that are different on purpose, with the reason; docs/schemaless-differences.md has the reasons at length. And
/// how many cases agree at least, so that none is lost unseen.
struct Expectations {
  using Cases = std::map<std::string, std::string>;
  Cases as_file;    ///< loaded by parameter binding
  Cases as_action;  ///< sent to the sandbox's schemaless action
  Cases both_ways;  ///< written by parameter binding and by schemaless insert
  std::size_t least_as_file = 0;
  std::size_t least_as_action = 0;
  std::size_t least_both_ways = 0;
};
/// Reasons that several protocols share.
inline constexpr const char* kFileRules =
    "a file is no payload: blank lines, a CR before the line end and a BOM are no data";
inline constexpr const char* kNoVirtualTables = "the sandbox has no virtual tables";

const Expectations& line_expectations();
const Expectations& telnet_expectations();
const Expectations& json_expectations();
const Expectations& expectations(LineProtocol protocol);
/// Those that the tests go through.
const std::vector<LineProtocol>& tested_protocols();

std::string from_hex(std::string_view hex);
std::string to_hex(std::string_view bytes);

/// Counts what agrees and prints the rest.
class Tally {
 public:
  void agree() { ++agree_; }
  /// Not tried, or different on purpose.
  void set_aside(const std::string& why, const std::string& name) { aside_[why].push_back(name); }
  void differ(const std::string& name, const std::string& how) { differ_.emplace_back(name, how); }
  void print(const std::string& title) const;
  [[nodiscard]] std::size_t agreeing() const { return agree_; }
  [[nodiscard]] std::size_t differing() const { return differ_.size(); }

 private:
  std::size_t agree_ = 0;
  std::map<std::string, std::vector<std::string>> aside_;
  std::vector<std::pair<std::string, std::string>> differ_;
};

#define PENSTOCK_NEED_RECORDS(protocol)                   \
  if (::penstock::conformance::records(protocol).empty()) \
  GTEST_SKIP() << "no records at " << ::penstock::conformance::record_file(protocol)

}  // namespace penstock::conformance
