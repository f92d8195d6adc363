#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "schema/growth.h"
#include "schema/test_rows.h"
#include "sink/memory_catalog.h"
#include "sink/request.h"
#include "sink/window.h"
#include "sink/writer.h"

/// What the schema stage makes of rows, for tests of what comes behind it.
namespace penstock::sink {

struct TestRow {
  std::string child;
  std::int64_t time = 0;
  std::vector<schema::Value> values;
  std::string table = "m";
  std::vector<schema::TestTag> tags = {};
};

/// A registry, a schema stage and chunks made from rows. The text of a record is "<child>@<time>#<number>".
class TestRun {
 public:
  explicit TestRun(MemoryBudget* budget = nullptr) : budget_(budget) {}

  std::shared_ptr<ParsedChunk> chunk(const std::vector<TestRow>& rows,
                                     data::Precision unit = data::Precision::nanoseconds) {
    auto made = std::make_shared<ParsedChunk>(budget_);
    auto text = std::make_shared<std::string>();
    made->rows.set_time_unit(unit);
    schema::RowsBuilder builder(registry, made->rows);
    for (const auto& row : rows) {
      const std::string record = row.child + "@" + std::to_string(row.time) + "#" + std::to_string(record_++);
      builder.add(row.table, row.child, row.tags, row.time, row.values, static_cast<std::uint32_t>(text->size()),
                  static_cast<std::uint32_t>(record.size()));
      *text += record + "\n";
    }
    made->rows.set_lines(rows.size());
    made->chunk.seq = seq_++;
    made->chunk.text = *text;
    made->chunk.owner = text;
    growth.admit(made->rows);
    for (const auto& shape : made->rows.shapes()) {
      if (shape.resolved == nullptr) continue;
      const auto& version = shape.resolved->table->version;
      if (std::find(made->versions.begin(), made->versions.end(), version) == made->versions.end())
        made->versions.push_back(version);
    }
    return made;
  }

  static Part part(const std::shared_ptr<ParsedChunk>& chunk, std::uint32_t lane = 0, std::uint32_t lanes = 1) {
    Part made{chunk, {}};
    chunk->rows.for_each_row([&](data::Row& row) {
      if (row.child % lanes == lane) made.rows.push_back(&row);
    });
    return made;
  }

  schema::Registry registry;
  MemoryCatalog catalog;
  schema::Growth growth{catalog, registry, {}};

 private:
  MemoryBudget* budget_;
  std::uint64_t seq_ = 0;
  std::size_t record_ = 0;
};

/// A database as a model: the cells of each row as text ("v:…", "null"); cells not given are missing.
using StoredRow = std::map<std::string, std::string>;
using Store = std::map<std::string, std::map<std::pair<std::int64_t, std::string>, StoredRow>>;

/// Keeps what a writer tells.
class TestObserver : public WriteObserver {
 public:
  void rejected(const ParsedChunk& chunk, const data::Row& row, std::int32_t code, std::string_view reason) override {
    rejects.push_back(std::string(chunk.record(row)));
    codes.push_back(code);
    reasons.emplace_back(reason);
  }
  void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision, std::uint64_t, std::uint64_t,
                    std::chrono::nanoseconds) override {
    written += rows;
    merged_rows += merged;
    merged_by_precision += by_precision;
    ++requests;
  }
  void retried() override { ++retries; }
  void reconnected() override { ++reconnects; }
  void built(std::chrono::nanoseconds) override {}
  void waited(std::chrono::nanoseconds) override {}
  void before_send(std::uint64_t, std::uint64_t) override {}

  std::vector<std::string> rejects;
  std::vector<std::int32_t> codes;
  std::vector<std::string> reasons;
  std::uint64_t written = 0, merged_rows = 0, merged_by_precision = 0, requests = 0, retries = 0, reconnects = 0;
};

}  // namespace penstock::sink
