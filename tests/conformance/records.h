#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "schema/naming.h"

/// What a real server did with line protocol: conformance/schemaless/line.jsonl, whose README gives the format.
namespace penstock::conformance {

using nlohmann::json;

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
const std::vector<Record>& line_records();
std::filesystem::path record_file();

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

#define PENSTOCK_NEED_LINE_RECORDS()                   \
  if (::penstock::conformance::line_records().empty()) \
  GTEST_SKIP() << "no records at " << ::penstock::conformance::record_file()

}  // namespace penstock::conformance
