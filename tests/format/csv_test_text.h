#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

#include "data/row_set.h"
#include "format/csv_parser.h"
#include "io/chunk.h"
#include "schema/registry.h"

namespace penstock::format {

/// A chunk in a heap block with exactly the promised padding, which is hostile: it goes on like the text.
inline io::Chunk csv_chunk(std::string_view text, std::uint64_t offset = 0) {
  const std::shared_ptr<char[]> memory(new char[text.size() + io::kPadding]);
  if (!text.empty()) std::memcpy(memory.get(), text.data(), text.size());
  for (std::size_t i = 0; i < io::kPadding; ++i) memory[text.size() + i] = "0\"9\n,7"[i % 6];
  io::Chunk chunk;
  chunk.text = {memory.get(), text.size()};
  chunk.offset = offset;
  chunk.owner = memory;
  return chunk;
}

inline std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

inline std::string double_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

inline std::string slot_text(data::Type type, data::Slot slot) {
  switch (type) {
    case data::Type::boolean: return slot != 0 ? "true" : "false";
    case data::Type::float32: return double_text(std::bit_cast<float>(static_cast<std::uint32_t>(slot)));
    case data::Type::float64: return double_text(std::bit_cast<double>(slot));
    case data::Type::ubigint: return std::to_string(slot);
    case data::Type::decimal128: return hex({reinterpret_cast<const char*>(slot), 16});
    case data::Type::varbinary:
    case data::Type::geometry: return hex(data::text_of(slot));
    default: break;
  }
  if (data::is_variable(type)) return "'" + std::string(data::text_of(slot)) + "'";
  return std::to_string(static_cast<std::int64_t>(slot));
}

/// "child{tag='x'} 1000 a=1 b=null", rows in order, then "reject COLUMN: reason".
inline std::string csv_rows(const schema::Registry& registry, data::RowSet& rows) {
  std::string out;
  const auto admitted_by = [&](const data::Row& row) -> const data::Series* {
    for (const auto& fresh : rows.fresh()) {
      if (fresh.series->child->id == row.child) return fresh.series;
    }
    return nullptr;
  };
  rows.for_each_row([&](const data::Row& row) {
    out += std::string(registry.child(row.child).name);
    if (const auto* series = admitted_by(row); series != nullptr && !series->tags.empty()) {
      out += '{';
      for (const auto& tag : series->tags) {
        if (out.back() != '{') out += ',';
        out += std::string(registry.tag_key_name(tag.key)) + '=';
        out += data::is_variable(tag.type) ? "'" + std::string(tag.value()) + "'" : hex(tag.value());
      }
      out += '}';
    }
    out += ' ' + std::to_string(row.time);
    const auto& shape = rows.shapes()[row.shape];
    for (std::size_t f = 0; f < shape.fields.size(); ++f) {
      const bool null = shape.nullable && data::Shape::is_null(row, shape.fields.size(), f);
      out += ' ' + std::string(shape.fields[f].name) + '=' +
             (null ? "null" : slot_text(shape.fields[f].type, row.slots()[f]));
    }
    out += '\n';
  });
  for (const auto& reject : rows.rejects())
    out += "reject " + std::to_string(reject.column) + ": " + reject.reason.text + '\n';
  return out;
}

/// Infers a plan from the whole text and reads the text with it.
inline std::string read_csv(std::string_view text, const schema::CsvMapping& mapping = {},
                            const data::SuperTable* target = nullptr, CsvOptions options = {}) {
  const auto plan = infer(text, mapping, "t", target);
  schema::Registry registry;
  CsvParser parser(registry, plan, std::move(options));
  data::RowSet rows;
  const auto chunk = csv_chunk(text);
  parser.parse(chunk, rows);
  return csv_rows(registry, rows);
}

/// A text, what the mapping says about it, and the rows that it becomes.
struct CsvCase {
  const char* name;
  std::function<void(schema::CsvMapping&)> map;
  std::string_view text;
  std::string_view rows;
};
inline void PrintTo(const CsvCase& c, std::ostream* out) { *out << c.name; }
inline const std::function<void(schema::CsvMapping&)> kNone;

inline void expect_rows(const CsvCase& c) {
  schema::CsvMapping mapping;
  mapping.child_table = "c";  // short names in the expectations
  if (c.map) c.map(mapping);
  EXPECT_EQ(read_csv(c.text, mapping), c.rows);
}

}  // namespace penstock::format
