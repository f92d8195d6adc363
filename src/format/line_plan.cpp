#include "format/line_plan.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace penstock::format {
namespace {

using data::Type;

template <class T>
void limits(LineFieldPlan& field, LineKind kind) {
  field.kind = kind;
  field.least = static_cast<std::int64_t>(std::numeric_limits<T>::min());
  field.most = sizeof(T) == 8 ? std::numeric_limits<std::int64_t>::max()
                              : static_cast<std::int64_t>(std::numeric_limits<T>::max());
}

void set_kind(LineFieldPlan& field) {
  switch (field.type) {
    case Type::tinyint: return limits<std::int8_t>(field, LineKind::signed_integer);
    case Type::smallint: return limits<std::int16_t>(field, LineKind::signed_integer);
    case Type::integer: return limits<std::int32_t>(field, LineKind::signed_integer);
    case Type::bigint: return limits<std::int64_t>(field, LineKind::signed_integer);
    case Type::utinyint: return limits<std::uint8_t>(field, LineKind::unsigned_integer);
    case Type::usmallint: return limits<std::uint16_t>(field, LineKind::unsigned_integer);
    case Type::uinteger: return limits<std::uint32_t>(field, LineKind::unsigned_integer);
    case Type::ubigint: return limits<std::uint64_t>(field, LineKind::unsigned_integer);
    case Type::float64: field.kind = LineKind::float64; return;
    case Type::boolean: field.kind = LineKind::boolean; return;
    case Type::varchar: field.kind = LineKind::text; return;
    case Type::nchar: field.kind = LineKind::nchar; return;
    default: field.kind = LineKind::other; return;
  }
}

std::uint64_t mask_of(std::size_t bytes) {
  return bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
}

void set_key(LineFieldPlan& field, std::string_view key) {
  char padded[24] = {};
  std::memcpy(padded, key.data(), std::min(key.size(), sizeof padded));
  for (std::size_t word = 0; word < 3; ++word) {
    const std::size_t at = word * 8;
    field.key[word] = load8(padded + at);
    field.mask[word] = key.size() > at ? mask_of(key.size() - at) : 0;
  }
}

}  // namespace

void LinePlan::signature_of(const data::SuperTableRef& table, const std::vector<LineField>& fields, std::string& out) {
  out.append(reinterpret_cast<const char*>(&table.id), sizeof table.id);
  for (const auto& field : fields) {
    out += static_cast<char>(field.value.type);
    out += static_cast<char>(field.key.size());  // at most 64
    out += field.key;
  }
}

LinePlan::LinePlan(data::SuperTableRef* of, const std::vector<LineField>& from, std::string made_signature,
                   std::string_view timestamp_name)
    : table(of), signature(std::move(made_signature)) {
  std::size_t at = sizeof table->id;
  std::size_t spelled = 0;
  for (const auto& field : from) spelled += field.raw.size() + 2;
  spelling.reserve(spelled);  // it must not move: long_key points into it
  for (const auto& field : from) {
    names.push_back({std::string_view(signature).substr(at + 2, field.key.size()), field.value.type});
    at += 2 + field.key.size();

    LineFieldPlan plan;
    plan.type = field.value.type;
    set_kind(plan);
    const auto start = spelling.size();
    if (!fields.empty()) spelling += ',';
    spelling += field.raw;
    spelling += '=';
    const auto key = std::string_view(spelling).substr(start);
    plan.key_bytes = static_cast<std::uint32_t>(key.size());
    set_key(plan, key);
    if (key.size() > 24) plan.long_key = key.data();
    plan.suffix_bytes = field.value.suffix_bytes;
    if (plan.suffix_bytes > 0) {
      char suffix[4] = {};
      std::memcpy(suffix, field.value.end - plan.suffix_bytes, plan.suffix_bytes);
      plan.suffix = load4(suffix);
      plan.suffix_mask = static_cast<std::uint32_t>(mask_of(plan.suffix_bytes));
    }
    has_text = has_text || data::is_variable(plan.type);
    fields.push_back(plan);
  }
  row_bytes = sizeof(data::Row) + fields.size() * sizeof(data::Slot);
  longest.assign(fields.size(), 0);

  std::vector<std::string_view> sorted;
  for (const auto& name : names) sorted.push_back(name.name);
  sorted.push_back(timestamp_name);
  std::sort(sorted.begin(), sorted.end());
  duplicate = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
}

}  // namespace penstock::format
