#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/row_set.h"
#include "format/line_test_text.h"
#include "fuzz/entry.h"
#include "io/cutter.h"
#include "schema/naming.h"
#include "schema/registry.h"

namespace penstock::fuzz {

using format::padded_chunk;

inline std::int64_t fixed_clock() { return 1'700'000'000'000'000'000; }

/// Rows and rejects in one list, in the order of the text, at their places in the whole of it.
struct Records {
  struct One {
    std::uint64_t begin, end;
    std::string text;
  };
  std::vector<One> all;

  void add(const schema::Registry& registry, data::RowSet& rows, const io::Chunk& chunk) {
    rows.for_each_row([&](const data::Row& row) {
      put(chunk, row.offset, row.length, text_of(registry, rows.shapes()[row.shape], row));
    });
    for (const auto& reject : rows.rejects()) {
      FUZZ_PROMISE(!reject.reason.text.empty());
      FUZZ_PROMISE(reject.column <= reject.length + 1);
      put(chunk, reject.offset, reject.length,
          "reject " + std::to_string(reject.reason.code) + " " + reject.reason.text);
    }
  }
  // Child table with its tags' owner, time, and fields in the order of the text.
  static std::string text_of(const schema::Registry& registry, const data::Shape& shape, const data::Row& row) {
    const auto& child = registry.child(row.child);
    std::string text = child.table->name + "/" + std::string(child.name) + " " + std::to_string(row.time);
    for (std::size_t f = 0; f < shape.fields.size(); ++f) {
      const auto& field = shape.fields[f];
      const auto slot = row.slots()[f];
      text += " " + std::string(field.name) + ":" + std::string(data::type_name(field.type)) + "=";
      if (shape.nullable && data::Shape::is_null(row, shape.fields.size(), f)) {
        text += "NULL";
      } else if (data::is_variable(field.type)) {
        const auto value = data::text_of(slot);
        FUZZ_PROMISE(value.size() <= shape.max_length[f]);
        text += value;
      } else if (field.type == data::Type::decimal128) {
        text += std::string(reinterpret_cast<const char*>(slot), 16);
      } else {
        text += std::to_string(slot);
      }
    }
    return text;
  }
  void put(const io::Chunk& chunk, std::uint32_t offset, std::uint32_t length, std::string text) {
    FUZZ_PROMISE(offset <= chunk.text.size() && length <= chunk.text.size() - offset);
    all.push_back({chunk.offset + offset, chunk.offset + offset + length, std::move(text)});
  }
  // In the order of the text; no byte belongs to two records.
  std::string text() {
    std::stable_sort(all.begin(), all.end(), [](const One& a, const One& b) { return a.begin < b.begin; });
    std::string joined;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i > 0 && all[i].begin < all[i - 1].end)
        broken(__FILE__, __LINE__, "records do not overlap", all[i - 1].text + "\n" + all[i].text);
      joined += std::to_string(all[i].begin) + "-" + std::to_string(all[i].end) + " " + all[i].text + "\n";
    }
    return joined;
  }
};

inline schema::NamingRules naming_of(std::uint8_t how) {
  schema::NamingRules naming;
  if (how & 2) naming.dot_to_underscore = false;
  if (how & 4) naming.child_table_tag = "t";
  if (how & 8) naming.child_table_delimiter = "-";
  if (how & 16) naming.table_name_key = "t";
  return naming;
}

/// A registry for texts with these naming rules: making one takes longer than a parse. Made anew now and then.
inline schema::Registry& shared_registry(std::uint8_t how) {
  struct Shared {
    std::unique_ptr<schema::Registry> registry;
    unsigned uses = 0;
  };
  static std::array<Shared, 32> all;
  Shared& shared = all[how % all.size()];
  if (shared.uses++ % 500 == 0) shared.registry = std::make_unique<schema::Registry>();
  return *shared.registry;
}

/// Cuts a text as a source is cut.
inline std::vector<io::Chunk> cut(std::string_view text, const io::Cutting& cutting, std::size_t chunk_bytes,
                                  std::size_t max_record) {
  std::vector<io::Chunk> chunks;
  std::uint64_t offset = 0;
  if (text.starts_with("\xef\xbb\xbf")) {
    text.remove_prefix(3);  // as the reader does
    offset = 3;
  }
  io::Cutter cutter(cutting, chunk_bytes, max_record);
  while (true) {
    const auto found = cutter.cut(text, true);
    if (found.kind == io::Cut::Kind::end) break;
    FUZZ_PROMISE(found.kind != io::Cut::Kind::need_more);
    FUZZ_PROMISE(found.bytes > 0 && found.bytes <= text.size());
    auto chunk = padded_chunk(text.substr(0, found.bytes), offset);
    chunk.oversized = found.kind == io::Cut::Kind::oversized || found.kind == io::Cut::Kind::oversized_end;
    chunk.oversized_end = found.kind == io::Cut::Kind::oversized_end;
    chunk.broken_quote = found.kind == io::Cut::Kind::broken_quote;
    chunks.push_back(std::move(chunk));
    offset += found.bytes;
    text.remove_prefix(found.bytes);
  }
  FUZZ_PROMISE(text.empty());
  return chunks;
}

}  // namespace penstock::fuzz
