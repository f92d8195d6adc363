#include "schema/series.h"

#include <algorithm>
#include <array>

#include "base/hash.h"

namespace penstock::data {
namespace {

constexpr std::size_t kDigestName = 34;
constexpr char kDigits[] = "0123456789abcdef";

/// Value of a lower-case hexadecimal digit, -1: none.
constexpr auto kDigitValues = [] {
  std::array<signed char, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 16; ++i) values[static_cast<unsigned char>(kDigits[i])] = static_cast<signed char>(i);
  return values;
}();

bool read_digest(std::string_view name, char* digest) noexcept {
  if (name.size() != kDigestName || name[0] != 't' || name[1] != '_') return false;
  int bad = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    const int high = kDigitValues[static_cast<unsigned char>(name[2 + 2 * i])];
    const int low = kDigitValues[static_cast<unsigned char>(name[3 + 2 * i])];
    bad |= high | low;
    digest[i] = static_cast<char>(high * 16 + low);
  }
  return bad >= 0;
}

void write_digest(const char* digest, char* name) noexcept {
  name[0] = 't';
  name[1] = '_';
  for (std::size_t i = 0; i < 16; ++i) {
    const auto byte = static_cast<unsigned char>(digest[i]);
    name[2 + 2 * i] = kDigits[byte >> 4];
    name[3 + 2 * i] = kDigits[byte & 15];
  }
}

}  // namespace

TableName::TableName(std::string_view name) noexcept : is_digest_(read_digest(name, bytes_)) {
  if (is_digest_) return;
  const char* const at = name.data();
  const auto size = static_cast<std::uint32_t>(name.size());
  std::memcpy(bytes_, &at, sizeof at);
  std::memcpy(bytes_ + sizeof at, &size, sizeof size);
}

TableName::Text TableName::text() const noexcept {
  Text text;
  if (is_digest_) {
    text.size_ = kDigestName;
    write_digest(bytes_, text.digits_);
  } else {
    const auto name = plain();
    text.long_ = name.data() == nullptr ? "" : name.data();
    text.size_ = static_cast<std::uint32_t>(name.size());
  }
  return text;
}

std::uint64_t TableName::hash() const noexcept {
  if (!is_digest_) return hash_bytes(plain());
  // Names of this form need not be digests: those that somebody counted up differ in their last bytes only.
  std::uint64_t parts[2];
  std::memcpy(parts, bytes_, sizeof parts);
  const std::uint64_t mixed = parts[1] * 0xC2B2AE3D27D4EB4F;
  return parts[0] ^ mixed ^ mixed >> 32;
}

const Tag* TagList::decode() const {
  struct View {
    std::uint64_t serial = 0;
    const char* lengths = nullptr;
    std::vector<Tag> tags;
  };
  thread_local std::array<View, kViews> views;
  thread_local std::size_t last = 0;
  if (layout_ == nullptr) return nullptr;
  // Addresses come again when a registry is gone, serials do not.
  if (views[last].serial == layout_->serial && views[last].lengths == lengths_) return views[last].tags.data();
  last = (last + 1) % views.size();
  views[last].serial = layout_->serial;
  views[last].lengths = lengths_;
  auto& tags = views[last].tags;
  const auto& parts = layout_->parts;
  tags.resize(parts.size());
  const char* at = lengths_;
  std::size_t in_raw = layout_->tail;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::uint32_t length = static_cast<unsigned char>(*at++);
    if (length == 255) {
      std::memcpy(&length, at, sizeof length);
      at += sizeof length;
    }
    tags[i].length = length;
    if (parts[i].gap != TagLayout::kApart) in_raw += parts[i].gap + length;
  }
  const char* raw = lengths_ - in_raw;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto& tag = tags[i];
    tag.key = parts[i].key;
    tag.type = parts[i].type;
    if (parts[i].gap == TagLayout::kApart) {
      tag.bytes = at;
      at += tag.length;
    } else {
      tag.bytes = raw + parts[i].gap;
      raw = tag.bytes + tag.length;
    }
  }
  return tags.data();
}

}  // namespace penstock::data
