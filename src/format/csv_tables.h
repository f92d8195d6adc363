#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/csv_index.h"
#include "format/csv_parser.h"

/// CSV files whose rows belong to several super tables, named by a column.
namespace penstock::format {

/// The plans of the super tables of one file, made when a table is first met. Any thread.
class CsvTables {
 public:
  /// Makes the plan of the table that `value` names, and declares the table. Called once a value, under a lock. Throws
  /// Error.
  using Make = std::function<std::shared_ptr<const CsvPlan>(const std::string& value)>;
  explicit CsvTables(Make make) : make_(std::move(make)) {}

  std::shared_ptr<const CsvPlan> plan(std::string_view value);
  /// All that were made so far, in the order of their values.
  [[nodiscard]] std::vector<std::shared_ptr<const CsvPlan>> plans() const;

 private:
  Make make_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const CsvPlan>, std::less<>> plans_;
};

/// CSV records as rows of the super tables that one of their fields names. As CsvParser otherwise; rows in which the
/// field is NULL or empty are rejected.
class CsvTablesParser final : public Parser {
 public:
  /// `whole` is the plan of the file: what CsvTables makes must agree with it in all but columns and types. Registry,
  /// plan and tables outlive the parser.
  CsvTablesParser(schema::Registry& registry, const CsvPlan& whole, CsvTables& tables, CsvOptions options);
  /// Throws what CsvParser::parse() and CsvTables::Make throw.
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  struct Table {
    std::shared_ptr<const CsvPlan> plan;
    std::unique_ptr<CsvParser> parser;
    std::uint64_t chunk = 0;  // it has begun
  };
  CsvParser* parser_of(std::string_view raw);

  schema::Registry& registry_;
  const CsvPlan& whole_;
  CsvTables& tables_;
  const CsvOptions options_;
  CsvParser unnamed_;  // for records that belong to no table
  CsvIndex index_;
  std::map<std::string, Table, std::less<>> parsers_;  // by the field as it stands
  std::uint64_t chunk_number_ = 0;
  const io::Chunk* chunk_ = nullptr;
  data::RowSet* rows_ = nullptr;
};

}  // namespace penstock::format
