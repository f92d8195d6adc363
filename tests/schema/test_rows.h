#pragma once

#include <cstring>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "data/row_set.h"
#include "schema/registry.h"

/// Rows for tests without a parser in between.
namespace penstock::schema {

/// A field of a row with its value, or an explicit NULL.
struct Value {
  std::string name;
  data::Type type = data::Type::bigint;
  bool null = false;
  data::Slot bits = 0;
  std::string text;
};

inline Value whole(std::string name, std::int64_t value, data::Type type = data::Type::bigint) {
  return {std::move(name), type, false, data::slot_of(value), {}};
}
inline Value real(std::string name, double value) {
  return {std::move(name), data::Type::float64, false, data::slot_of(value), {}};
}
inline Value words(std::string name, std::string value, data::Type type = data::Type::varchar) {
  return {std::move(name), type, false, 0, std::move(value)};
}
inline Value null_of(std::string name, data::Type type = data::Type::bigint) {
  return {std::move(name), type, true, 0, {}};
}

/// A tag of a child table; NCHAR unless said otherwise.
struct TestTag {
  std::string key;
  std::string value;
  data::Type type = data::Type::nchar;
};

/// Fills a RowSet as parsers do: shapes in order of first appearance, fresh series noted.
class RowsBuilder {
 public:
  RowsBuilder(Registry& registry, data::RowSet& rows) : registry_(registry), rows_(rows) {}

  data::Series* series(const std::string& table, const std::string& child, const std::vector<TestTag>& tags) {
    std::string raw = table + "," + child;
    for (const auto& tag : tags) raw += "," + tag.key + "=" + tag.value;
    const auto hash = hash_bytes(raw);
    if (auto* known = registry_.find(hash, raw)) return known;
    NewSeries made;
    made.table = table;
    made.child = child;
    for (const auto& tag : tags) made.tags.push_back({tag.key, tag.type, tag.value});
    return registry_.insert(hash, raw, made);
  }

  data::Row* add(const std::string& table, const std::string& child, const std::vector<TestTag>& tags,
                 std::int64_t time, const std::vector<Value>& values, std::uint32_t offset = 0,
                 std::uint32_t length = 0) {
    data::Series* const of = series(table, child, tags);
    std::string key = table;
    bool nullable = false;
    std::vector<data::Field> fields;
    for (const auto& value : values) {
      nullable |= value.null;
      key += '\1' + value.name + '\2' + std::to_string(static_cast<int>(value.type));
    }
    key += nullable ? 'n' : 'v';
    auto [at, is_new] = shapes_.try_emplace(key, 0);
    if (is_new) {
      for (const auto& value : values) fields.push_back({rows_.add_name(value.name), value.type});
      at->second = rows_.add_shape(of->child->table, fields, nullable);
    }
    auto& shape = rows_.shape(at->second);
    data::Row* const row = rows_.begin_row(shape.row_bytes());
    row->child = of->child_id;
    row->shape = at->second;
    row->offset = offset;
    row->length = length;
    row->time = time;
    for (std::size_t w = 0; w < shape.null_words(); ++w) row->slots()[values.size() + w] = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto& value = values[i];
      row->slots()[i] = value.bits;
      if (value.null) row->slots()[values.size() + i / 64] |= data::Slot{1} << (i % 64);
      else if (data::is_variable(value.type)) row->slots()[i] = rows_.add_text(value.text);
      if (!value.null)
        shape.max_length[i] = std::max(shape.max_length[i], static_cast<std::uint32_t>(value.text.size()));
    }
    if (of->state() != data::Series::State::admitted) rows_.note_fresh(of, row);
    ++shape.rows;
    rows_.commit_row(shape.row_bytes());
    return row;
  }

 private:
  Registry& registry_;
  data::RowSet& rows_;
  std::map<std::string, std::uint32_t> shapes_;
};

}  // namespace penstock::schema
