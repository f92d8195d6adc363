#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

/// Little-endian loads and stores at any alignment, and a byte buffer that does not fill what it grows by.
namespace penstock::wire {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian and so are all loads here");

template <class T>
T load(const char* at) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void store(char* at, T value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(at, &value, sizeof value);
}

/// std::to_underlying of C++23.
template <class Enum>
constexpr std::underlying_type_t<Enum> number(Enum value) noexcept {
  return static_cast<std::underlying_type_t<Enum>>(value);
}

template <class T>
void append(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Bytes at the end of which callers reserve room and fill it in place. Keeps its memory over clear(). One thread.
class Buffer {
 public:
  /// Room for `bytes` more, to be filled by the caller; valid until the next grow().
  char* grow(std::size_t bytes) {
    if (capacity_ - size_ < bytes) [[unlikely]]
      enlarge(bytes);
    char* const at = memory_.get() + size_;
    size_ += bytes;
    return at;
  }
  template <class T>
  void put(T value) {
    store(grow(sizeof value), value);
  }
  void put_bytes(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(grow(bytes.size()), bytes.data(), bytes.size());
  }
  /// Gives back the last `bytes` of what was grown.
  void shrink(std::size_t bytes) noexcept { size_ -= bytes; }
  void clear() noexcept { size_ = 0; }
  /// Memory that clear() keeps.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] char* data() noexcept { return memory_.get(); }
  [[nodiscard]] std::string_view view() const noexcept { return {memory_.get(), size_}; }

 private:
  void enlarge(std::size_t bytes) {
    const std::size_t capacity = std::max({capacity_ * 2, size_ + bytes, std::size_t{4096}});
    auto memory = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(memory.get(), memory_.get(), size_);
    memory_ = std::move(memory);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> memory_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace penstock::wire
