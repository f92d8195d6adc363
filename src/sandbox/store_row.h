#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/catalog.h"

/// Packed rows (see Layout).
namespace penstock::sandbox {

/// Builds packed rows of one layout, one after the other, in a buffer that is used again. Slots not set are
/// "not given". Variable slots must be set in ascending order.
class RowPacker {
 public:
  explicit RowPacker(const Layout& layout) : layout_(layout) {}

  void begin() {
    row_.assign(layout_.head_bytes(), '\0');
    std::memcpy(row_.data(), &layout_.index, sizeof layout_.index);
    for (std::size_t i = 2; i < 2 + layout_.state_bytes; ++i) row_[i] = static_cast<char>(0xAA);  // all "not given"
    next_text_ = 0;
  }
  void set_null(std::size_t slot) { set_state(slot, 1); }
  void set_fixed(std::size_t slot, const void* bytes) {
    set_state(slot, 0);
    const auto& s = layout_.slots[slot];
    std::memcpy(row_.data() + 2 + layout_.state_bytes + s.offset, bytes, s.size);
  }
  void set_text(std::size_t slot, std::string_view text) {
    set_state(slot, 0);
    pad_texts(slot);
    row_.append(text);
    mark_end(slot);
  }
  void set_value(std::size_t slot, const Value& value);
  [[nodiscard]] std::string_view finish() {
    pad_texts(layout_.slots.size());
    return row_;
  }

 private:
  void set_state(std::size_t slot, unsigned state) {
    auto& byte = row_[2 + slot / 4];
    const auto shift = 2 * (slot % 4);
    byte = static_cast<char>((static_cast<unsigned char>(byte) & ~(3u << shift)) | (state << shift));
  }
  void mark_end(std::size_t slot) {
    const auto end = static_cast<std::uint32_t>(row_.size() - layout_.head_bytes());
    std::memcpy(row_.data() + 2 + layout_.state_bytes + layout_.slots[slot].offset, &end, sizeof end);
    next_text_ = slot + 1;
  }
  /// Gives the variable slots before `slot` that have no text the end of the text before.
  void pad_texts(std::size_t slot) {
    for (; next_text_ < slot; ++next_text_) {
      if (data::is_variable(layout_.slots[next_text_].type)) {
        const auto at = next_text_;
        mark_end(at);
        next_text_ = at;
      }
    }
  }

  const Layout& layout_;
  std::string row_;
  std::size_t next_text_ = 0;
};

/// Reads a packed row.
class RowReader {
 public:
  RowReader(const Layout& layout, std::string_view row) : layout_(layout), row_(row) {}
  static std::uint16_t layout_index(std::string_view row) noexcept {
    std::uint16_t index = 0;
    std::memcpy(&index, row.data(), sizeof index);
    return index;
  }
  [[nodiscard]] Value::State state(std::size_t slot) const noexcept {
    return static_cast<Value::State>((static_cast<unsigned char>(row_[2 + slot / 4]) >> (2 * (slot % 4))) & 3);
  }
  [[nodiscard]] const char* fixed(std::size_t slot) const noexcept {
    return row_.data() + 2 + layout_.state_bytes + layout_.slots[slot].offset;
  }
  [[nodiscard]] std::string_view text(std::size_t slot) const noexcept {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    for (std::size_t before = slot; before-- > 0;) {
      if (data::is_variable(layout_.slots[before].type)) {
        std::memcpy(&begin, fixed(before), sizeof begin);
        break;
      }
    }
    std::memcpy(&end, fixed(slot), sizeof end);
    return row_.substr(layout_.head_bytes() + begin, end - begin);
  }

 private:
  const Layout& layout_;
  std::string_view row_;
};

/// The image of a fixed value as Value::bits.
std::uint64_t bits_of(data::Type type, const char* image) noexcept;
/// Lays `newer` over `older`; both belong to the table. The result has the newer one's layout.
std::string merge_rows(const Table& table, std::string_view older, std::string_view newer);

}  // namespace penstock::sandbox
