#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "schema/coerce.h"
#include "schema/growth.h"
#include "schema/test_rows.h"

namespace penstock::schema {

using data::Column;
using data::Type;

/// A database whose schema others may change between any two calls.
class TestCatalog : public Catalog {
 public:
  Found describe(std::string_view name) override {
    if (before_describe) before_describe(std::string(name));
    const bool is_virtual = virtual_tables.contains(std::string(name));
    if (const auto other = other_tables.find(std::string(name)); other != other_tables.end())
      return {other->second, {}, false};
    const auto found = tables.find(std::string(name));
    if (found == tables.end()) return {};
    Found answer{Kind::super_table, found->second};
    answer.is_virtual = is_virtual;
    return answer;
  }
  bool create(const data::SuperTable& table) override {
    if (before_change) before_change();
    ++changes;
    return tables.emplace(table.name, table).second;
  }
  std::vector<Found> describe_all(std::span<const std::string> names) override {
    asked_together.emplace_back(names.begin(), names.end());
    return Catalog::describe_all(names);
  }
  std::vector<bool> create_all(std::span<const data::SuperTable* const> wanted) override {
    std::vector<bool> made;
    for (const auto* const table : wanted) {
      made_together.push_back(table->name);
      try {
        made.push_back(create(*table));
      } catch (const ChangeRefused&) {
        made.push_back(false);
      }
    }
    return made;
  }
  void add(std::string_view table, Part part, const Column& column) override {
    if (before_change) before_change();
    ++changes;
    auto& of = tables.at(std::string(table));
    if (of.column(column.name) || of.tag(column.name)) return;  // somebody was first
    (part == Part::tag ? of.tags : of.columns).push_back(column);
  }
  void widen(std::string_view table, Part part, const Column& column) override {
    if (before_change) before_change();
    ++changes;
    auto& of = tables.at(std::string(table));
    for (auto& have : part == Part::tag ? of.tags : of.columns)
      if (have.name == column.name) have.width = std::max(have.width, column.width);
  }

  std::map<std::string, data::SuperTable> tables;
  std::map<std::string, Kind> other_tables;
  std::set<std::string> virtual_tables;
  std::function<void(const std::string&)> before_describe;
  std::function<void()> before_change;
  int changes = 0;
  std::vector<std::vector<std::string>> asked_together;
  std::vector<std::string> made_together;
};

inline Column column(std::string name, Type type, std::uint32_t width = 0) {
  Column made;
  made.name = std::move(name);
  made.type = type;
  made.width = width > 0 ? width : static_cast<std::uint32_t>(data::fixed_size(type));
  return made;
}

inline std::string text_of(const data::SuperTable& table) {
  std::string text;
  for (const auto& c : table.columns) text += c.name + " " + data::sql_type(c) + ", ";
  text += "| ";
  for (const auto& c : table.tags) text += c.name + " " + data::sql_type(c) + ", ";
  return text;
}

class GrowthTest : public testing::Test {
 protected:
  struct Admitted {
    std::vector<std::string> rejects;  // "offset code"
    std::vector<std::string> reasons;
    std::vector<std::string> values;  // "offset field=value" of the rows admitted
    std::size_t rows = 0;
  };
  struct NewRow {
    std::string child;
    std::vector<TestTag> tags;
    std::vector<Value> values;
    std::string table = "m";
  };
  // One chunk; the offset of a record is its number.
  Admitted admit(const std::vector<NewRow>& rows, Growth* with = nullptr) {
    data::RowSet set;
    RowsBuilder builder(registry_, set);
    std::uint32_t offset = 0;
    for (const auto& row : rows) builder.add(row.table, row.child, row.tags, 1, row.values, offset++, 1);
    (with != nullptr ? *with : growth_).admit(set);
    Admitted admitted;
    for (const auto& reject : set.rejects()) {
      EXPECT_FALSE(reject.reason.text.empty());
      char text[32];
      std::snprintf(text, sizeof text, "%u %04X", reject.offset, reject.reason.code);
      admitted.rejects.emplace_back(text);
      admitted.reasons.push_back(reject.reason.text);
    }
    set.for_each_row([&](data::Row& row) {
      if (row.shape == data::kRefusedShape) return;
      ++admitted.rows;
      // What lanes rely on: every field finds its column, by name and type.
      const auto& shape = set.shapes()[row.shape];
      ASSERT_NE(shape.resolved, nullptr);
      const auto& version = *shape.resolved->table->version;
      for (std::size_t f = 0; f < shape.fields.size(); ++f) {
        const auto& bound = version.columns.at(shape.resolved->columns[f]);
        EXPECT_EQ(bound.name, shape.fields[f].name);
        EXPECT_EQ(bound.type, shape.fields[f].type);
        EXPECT_EQ(shape.resolved->slot_of(shape.resolved->columns[f]), f);
        const bool is_null = shape.nullable && data::Shape::is_null(row, shape.fields.size(), f);
        std::string value = "NULL";
        if (!is_null && bound.type != Type::decimal128) value = shown(scalar_of(bound.type, row.slots()[f]));
        admitted.values.push_back(std::to_string(row.offset) + " " + bound.name + "=" + value);
        if (data::is_variable(bound.type)) {
          EXPECT_GE(bound.width, shape.max_length[f]);
        }
      }
      EXPECT_FALSE(version.tags.empty());
    });
    EXPECT_EQ(admitted.rows + admitted.rejects.size(), rows.size());
    return admitted;
  }
  std::string server(const std::string& table = "m") { return text_of(catalog_.tables[table]); }

  TestCatalog catalog_;
  Registry registry_;
  std::vector<std::string> statements_;
  Growth growth_{catalog_, registry_, {.on_change = [this](const std::string& s) { statements_.push_back(s); }}};
};

using Rejects = std::vector<std::string>;

}  // namespace penstock::schema
