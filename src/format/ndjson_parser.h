#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "format/csv_infer.h"
#include "format/ndjson_text.h"
#include "format/parser.h"

namespace penstock::format {

/// Members that objects behind the sample had and the sample had not. Any thread.
class NdjsonExtras {
 public:
  void add(const std::string& path, std::uint64_t objects);
  /// Paths with the number of objects that had them; then forgets them.
  std::map<std::string, std::uint64_t> take();

 private:
  std::mutex mutex_;
  std::map<std::string, std::uint64_t> counts_;
};

/// JSON objects as rows, by a plan for their members (NdjsonColumns, ndjson_sample(), make_plan()). Every value is read
/// as CSV would read it; JSON null is NULL, and a member that is missing is not given: a value that stands in the
/// database stays. Members that the plan does not know become columns: BOOL, DOUBLE, or VARCHAR (arrays and objects
/// as text); with a list of columns in the mapping they are left out. Both are counted.
class NdjsonParser final : public Parser {
 public:
  struct Source {
    NdjsonColumns columns;
    std::shared_ptr<const CsvPlan> plan;
    bool add_columns = true;  ///< for members that the plan does not know
    std::shared_ptr<NdjsonExtras> extras;
  };
  /// `csv` reads records by source->plan.
  NdjsonParser(std::shared_ptr<const Source> source, std::unique_ptr<Parser> csv);
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  void take_rows(data::RowSet& parsed, data::RowSet& rows);
  void take_row(const data::Shape& shape, const data::Row& from, std::size_t record, data::Series* fresh,
                data::RowSet& rows);
  void take_rejects(std::vector<data::Reject>& rejects, data::RowSet& rows) const;
  [[nodiscard]] std::size_t record_at(std::uint32_t csv) const noexcept;
  bool add_extras(std::size_t record, std::string& why);

  std::shared_ptr<const Source> source_;
  std::unique_ptr<Parser> csv_;
  NdjsonTranscoder transcoder_;
  std::unordered_map<std::string, std::size_t> column_of_;  // by name in the super table
  // Of the row at hand.
  struct Value {
    std::string name;  // of an extra member
    data::Field field;
    data::Slot slot = 0;
    bool null = false;
    const std::string* text = nullptr;
  };
  std::vector<Value> values_;
  std::size_t extra_at_ = 0;
  std::unordered_map<std::string, std::uint32_t> shapes_;  // of the chunk, by their fields
};

/// A plan as parsers of transcoded text need it: without header.
CsvPlan ndjson_plan(CsvPlan plan);

}  // namespace penstock::format
