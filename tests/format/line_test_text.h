#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "data/row_set.h"
#include "format/line_parser.h"
#include "io/chunk.h"
#include "schema/registry.h"

namespace penstock::format {

/// A chunk whose padding ends where its heap block ends, so that AddressSanitizer sees a kernel that reads too far.
/// The padding is hostile: it looks like the text going on.
inline io::Chunk padded_chunk(std::string_view text, std::uint64_t offset = 4096) {
  std::shared_ptr<char[]> memory(new char[text.size() + io::kPadding]);
  std::memcpy(memory.get(), text.data(), text.size());
  for (std::size_t i = 0; i < io::kPadding; ++i) memory[text.size() + i] = "1234567890,f=1 "[i % 15];
  io::Chunk chunk;
  chunk.text = {memory.get(), text.size()};
  chunk.offset = offset;
  chunk.owner = memory;
  return chunk;
}

/// A row as text: child table, time, fields by name with types and values; for comparison.
inline std::string row_text(const schema::Registry& registry, const data::RowSet& rows, const data::Row& row) {
  const auto& child = registry.child(row.child);
  std::string text = child.table->name + "/" + std::string(child.name) + " " + std::to_string(row.time) + " [" +
                     std::to_string(row.offset) + "+" + std::to_string(row.length) + "]";
  const auto& shape = rows.shapes()[row.shape];
  std::map<std::string, std::string> fields;
  for (std::size_t i = 0; i < shape.fields.size(); ++i) {
    const auto& field = shape.fields[i];
    const auto slot = row.slots()[i];
    fields[std::string(field.name) + ":" + std::string(data::type_name(field.type))] =
        data::is_variable(field.type) ? std::string(data::text_of(slot)) : std::to_string(slot);
  }
  for (const auto& [field, value] : fields) text += " " + field + "=" + value;
  return text;
}

inline std::string reject_text(const data::Reject& reject) {
  return "reject " + std::to_string(reject.reason.code) + " [" + std::to_string(reject.offset) + "+" +
         std::to_string(reject.length) + ":" + std::to_string(reject.column) + "] " + reject.reason.text;
}

/// Everything that a parse gave: rows in order, then rejects.
inline std::string all_text(const schema::Registry& registry, data::RowSet& rows) {
  std::string text;
  rows.for_each_row([&](const data::Row& row) { text += row_text(registry, rows, row) + "\n"; });
  for (const auto& reject : rows.rejects()) text += reject_text(reject) + "\n";
  return text;
}

/// A text read by a parser of a format whose record is a line.
template <class Reader, class Options>
struct ParsedLines {
  explicit ParsedLines(std::string_view text, Options options = {}, std::uint64_t offset = 4096)
      : chunk(padded_chunk(text, offset)) {
    Reader parser(registry, std::move(options));
    parser.parse(chunk, rows);
    rows.for_each_row([&](const data::Row& row) {
      all.push_back(row_text(registry, rows, row));
      last = &row;
    });
  }
  schema::Registry registry;
  io::Chunk chunk;
  data::RowSet rows;
  std::vector<std::string> all;
  const data::Row* last = nullptr;
};

/// One line: the code it is refused with (0: it becomes a row) and the column of the fault.
struct LineCase {
  const char* line;
  int code;
  unsigned column = 0;
};

template <class Parsed>
void expect_outcome(const LineCase& expected) {
  Parsed parsed(std::string(expected.line) + "\n");
  if (expected.code == 0) {
    ASSERT_TRUE(parsed.rows.rejects().empty()) << reject_text(parsed.rows.rejects()[0]);
    EXPECT_EQ(parsed.all.size(), 1u);
    return;
  }
  ASSERT_EQ(parsed.rows.rejects().size(), 1u);
  const auto& reject = parsed.rows.rejects()[0];
  EXPECT_EQ(reject.reason.code, expected.code) << reject_text(reject);
  EXPECT_EQ(reject.column, expected.column) << reject_text(reject);
  EXPECT_EQ(reject.offset, 0u);
  EXPECT_EQ(reject.length, std::string_view(expected.line).size());
  EXPECT_FALSE(reject.reason.text.empty());
  EXPECT_TRUE(parsed.all.empty());
}

}  // namespace penstock::format
