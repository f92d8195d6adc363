#include "format/line_plan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "format/line_kernels.h"
#include "format/line_wide.h"

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

// Of the first and the last eight bytes: keys of one table tell themselves apart at one of their ends.
std::size_t key_hash(const char* key, std::size_t bytes) noexcept {
  const std::uint64_t head = load8(key) & mask_of(bytes);
  const std::uint64_t tail = bytes > 8 ? load8(key + bytes - 8) : 0;
  const std::uint64_t mixed = (head ^ (tail + bytes) * 0x9E3779B97F4A7C15) * 0xD6E8FEB86659FD93;
  return static_cast<std::size_t>(mixed >> 40);
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

std::size_t part_slot(std::uint64_t set, std::size_t mask) noexcept {
  return static_cast<std::size_t>((set * 0x9E3779B97F4A7C15) >> 32) & mask;
}

}  // namespace

void LinePlan::signature_of(const data::SuperTableRef& table, const std::vector<LineField>& fields,
                            const std::vector<std::uint16_t>& order, std::string& out) {
  out.assign(reinterpret_cast<const char*>(&table.id), sizeof table.id);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& field = order.empty() ? fields[i] : fields[order[i]];
    out += static_cast<char>(field.value.type);
    out += static_cast<char>(field.key.size());  // at most 64
    out += field.key;
  }
}

LinePlan::LinePlan(data::SuperTableRef* of, const std::vector<LineField>& from,
                   std::vector<std::uint16_t> sorted_fields, std::string_view timestamp_name)
    : table(of), sorted(std::move(sorted_fields)), seen((from.size() + 63) / 64, 0) {
  signature_of(*table, from, {}, signature);
  signature_of(*table, from, sorted, sorted_signature);
  std::size_t spelled = 0;
  for (const auto& field : from) spelled += field.raw.size() + 1;
  spelling.reserve(spelled);                         // it must not move: long_key points into it
  slots_.assign(std::bit_ceil(from.size() * 8), 0);  // sparse: a second probe is a mispredicted branch
  std::size_t at = sizeof table->id;
  for (const auto& field : from) {
    names.push_back({std::string_view(signature).substr(at + 2, field.key.size()), field.value.type});
    at += 2 + field.key.size();

    LineFieldPlan plan;
    plan.type = field.value.type;
    set_kind(plan);
    const auto start = spelling.size();
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

    std::string padded(key);
    padded.append(8, '\0');
    std::size_t slot = key_hash(padded.data(), key.size()) & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<std::uint16_t>(fields.size());
  }
  row_bytes = sizeof(data::Row) + fields.size() * sizeof(data::Slot);
  longest.assign(fields.size(), 0);

  std::vector<std::string_view> all;
  for (const auto& name : names) all.push_back(name.name);
  all.push_back(timestamp_name);
  std::sort(all.begin(), all.end());
  duplicate = std::adjacent_find(all.begin(), all.end()) != all.end();
}

LinePlan::~LinePlan() = default;

std::size_t LinePlan::find(const char* p, std::ptrdiff_t left) const noexcept {
  const char* const stop = find_equals(p);
  if (*stop != '=') return kNone;
  const auto bytes = static_cast<std::size_t>(stop - p) + 1;
  for (std::size_t slot = key_hash(p, bytes) & (slots_.size() - 1); slots_[slot] != 0;
       slot = (slot + 1) & (slots_.size() - 1)) {
    const auto& field = fields[slots_[slot] - std::size_t{1}];
    if (field.key_bytes == bytes && field.matches(p, left)) return slots_[slot] - std::size_t{1};
  }
  return kNone;
}

LinePlan* LinePlan::part(std::uint64_t set) const noexcept {
  if (parts_.empty()) return nullptr;
  const auto mask = parts_.size() - 1;
  for (auto at = part_slot(set, mask); parts_[at].plan != nullptr; at = (at + 1) & mask)
    if (parts_[at].set == set) return parts_[at].plan;
  return nullptr;
}

void LinePlan::put(std::vector<Part>& parts, Part part) noexcept {
  const auto mask = parts.size() - 1;
  auto at = part_slot(part.set, mask);
  while (parts[at].plan != nullptr) at = (at + 1) & mask;
  parts[at] = part;
}

bool LinePlan::add_part(LinePlan& plan, std::size_t& added) {
  if (fields.size() > 64 || plan.fields.size() >= fields.size() || plan.table != table) return false;
  std::uint64_t set = 0;
  std::size_t f = 0;
  for (const auto& name : plan.names) {
    while (f < names.size() && (names[f].name != name.name || names[f].type != name.type)) ++f;
    if (f == names.size()) return false;
    set |= std::uint64_t{1} << f++;
  }
  if (part(set) != nullptr) return true;
  if (part_count_ * 2 >= parts_.size()) {
    std::vector<Part> larger(std::max<std::size_t>(parts_.size() * 2, 8));
    for (const auto& old : parts_)
      if (old.plan != nullptr) put(larger, old);
    parts_ = std::move(larger);
  }
  put(parts_, {set, &plan});
  ++part_count_;
  ++added;
  return true;
}

}  // namespace penstock::format
