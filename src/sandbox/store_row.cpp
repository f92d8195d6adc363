#include "sandbox/store_row.h"

namespace penstock::sandbox {

using data::Type;

void RowPacker::set_value(std::size_t slot, const Value& value) {
  if (value.state == Value::State::not_given) return;
  if (value.state == Value::State::null) return set_null(slot);
  const auto& s = layout_.slots[slot];
  if (data::is_variable(s.type)) return set_text(slot, value.text);
  if (s.type == Type::decimal128) {
    char image[16] = {};
    std::memcpy(image, value.text.data(), std::min(value.text.size(), sizeof image));
    return set_fixed(slot, image);
  }
  set_fixed(slot, &value.bits);  // little-endian: the low bytes are the image
}

std::uint64_t bits_of(Type type, const char* image) noexcept {
  const auto load = [&]<class T>(T) {
    T value;
    std::memcpy(&value, image, sizeof value);
    return value;
  };
  switch (type) {
    case Type::boolean:
    case Type::utinyint: return load(std::uint8_t{});
    case Type::tinyint: return static_cast<std::uint64_t>(std::int64_t{load(std::int8_t{})});
    case Type::smallint: return static_cast<std::uint64_t>(std::int64_t{load(std::int16_t{})});
    case Type::usmallint: return load(std::uint16_t{});
    case Type::integer: return static_cast<std::uint64_t>(std::int64_t{load(std::int32_t{})});
    case Type::uinteger:
    case Type::float32: return load(std::uint32_t{});
    default: return load(std::uint64_t{});
  }
}

std::string merge_rows(const Table& table, std::string_view older, std::string_view newer) {
  const Layout& new_layout = *table.layouts[RowReader::layout_index(newer)];
  const Layout& old_layout = *table.layouts[RowReader::layout_index(older)];
  const RowReader new_row(new_layout, newer);
  const RowReader old_row(old_layout, older);
  RowPacker packer(new_layout);
  packer.begin();
  for (std::size_t i = 0; i < new_layout.slots.size(); ++i) {
    const auto& slot = new_layout.slots[i];
    const RowReader* from = &new_row;
    std::size_t at = i;
    if (new_row.state(i) == Value::State::not_given) {
      // Layouts only ever lose or append columns, so the same slot is the likely place.
      std::size_t old = i < old_layout.slots.size() && old_layout.slots[i].column_id == slot.column_id ? i : 0;
      while (old < old_layout.slots.size() && old_layout.slots[old].column_id != slot.column_id) ++old;
      if (old == old_layout.slots.size()) continue;
      from = &old_row;
      at = old;
    }
    switch (from->state(at)) {
      case Value::State::not_given: break;
      case Value::State::null: packer.set_null(i); break;
      case Value::State::value:
        if (data::is_variable(slot.type)) {
          packer.set_text(i, from->text(at));
        } else {
          packer.set_fixed(i, from->fixed(at));
        }
    }
  }
  return std::string(packer.finish());
}

}  // namespace penstock::sandbox
