#include "format/forward_json.h"

#include <array>

#include "base/hash.h"
#include "simd/bytes.h"
#include "simd/json.h"

namespace penstock::format {

ForwardJsonParser::ForwardJsonParser(schema::Registry& registry) : buckets_(registry) {}

// Of what names the child table; whatever shape the object has.
std::uint64_t ForwardJsonParser::series_hash() const noexcept {
  const auto& nodes = reader_.nodes();
  std::uint64_t hash = 0;
  for (std::uint32_t at = 1; at < nodes.front().next; at = nodes[at].next) {
    const auto& node = nodes[at];
    // A sum: members may stand in any order.
    if (same_letters(node.key, "metric") || same_letters(node.key, "tags"))
      hash += hash_bytes({node.begin, static_cast<std::size_t>(node.end - node.begin)});
  }
  return hash;
}

void ForwardJsonParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (chunk.oversized) return;
  static constexpr std::array<data::Field, 1> kField{{{"json", data::Type::bigint}}};
  const auto shape = rows.add_shape(buckets_.table(), kField);
  const std::size_t bytes = rows.shape(shape).row_bytes();
  const auto text = chunk.text;
  std::size_t at = chunk.offset == 0 && text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (;;) {
    const auto record = simd::next_json_record(text.substr(at), true);
    if (record.kind == simd::JsonRecord::Kind::none) break;
    const auto begin = static_cast<std::uint32_t>(at + record.begin);
    const auto length = static_cast<std::uint32_t>(record.end - record.begin);
    at += record.end;
    if (reader_.read(text.substr(begin, length)) != length) {
      rows.reject({begin, length, 0, {0x0221, "this is no JSON object"}});
      continue;
    }
    data::Row* const row = rows.begin_row(bytes);
    row->child = buckets_.child(series_hash());
    row->shape = shape;
    row->offset = begin;
    row->length = length;
    row->time = 0;
    row->slots()[0] = 0;
    ++rows.shape(shape).rows;
    rows.commit_row(bytes);
  }
  rows.set_lines(simd::count(text, '\n'));
}

}  // namespace penstock::format
