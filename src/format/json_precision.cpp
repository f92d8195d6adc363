#include <algorithm>

#include "format/json_parser.h"
#include "format/json_reader.h"
#include "simd/json.h"

namespace penstock::format {

data::Precision json_precision(std::string_view head) {
  auto precision = data::Precision::milliseconds;
  JsonReader reader;
  while (!head.empty()) {
    const auto record = simd::next_json_record(head, false);
    if (record.kind == simd::JsonRecord::Kind::none || record.kind == simd::JsonRecord::Kind::need_more) break;
    const auto text = head.substr(record.begin, record.end - record.begin);
    head.remove_prefix(record.end);
    if (reader.read(text) == JsonReader::kFailed || reader.nodes().front().kind != JsonNode::Kind::object) continue;
    const auto& nodes = reader.nodes();
    for (std::uint32_t at = 1; at < nodes.front().next; at = nodes[at].next) {
      if (!same_letters(nodes[at].key, "timestamp")) continue;
      for (std::uint32_t child = at + 1; child < nodes[at].next; child = nodes[child].next) {
        if (!same_letters(nodes[child].key, "type")) continue;
        if (same_letters(nodes[child].text, "us")) precision = std::max(precision, data::Precision::microseconds);
        if (same_letters(nodes[child].text, "ns")) return data::Precision::nanoseconds;
      }
    }
  }
  return precision;
}

}  // namespace penstock::format
