#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace penstock {

/// Zeroed memory for what grows to many megabytes and is read in no order: from 128 KiB on straight from the system, so
/// that only what is touched takes memory, from 2 MiB on in huge pages where the system has them.
class Pages {
 public:
  Pages() = default;
  /// Throws std::bad_alloc.
  explicit Pages(std::size_t bytes);
  Pages(Pages&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages();

  [[nodiscard]] char* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_; }

  /// Makes it larger; what is there stays as it is, perhaps at another address. No copy once it is large.
  void grow(std::size_t bytes);

  /// Gives large memory back to the system; who still reads it, in any thread, finds either what was there or zeros.
  void forget() noexcept;

 private:
  char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Array by numbers that are handed out one after the other: grows without a copy, and what is beyond the last one in
/// use takes no memory, however far ahead it grows. Elements are zeros at first.
template <class T>
class GrowingArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return begin()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept {
    return reinterpret_cast<const T*>(pages_.data())[i];
  }
  [[nodiscard]] T* begin() noexcept { return reinterpret_cast<T*>(pages_.data()); }
  [[nodiscard]] T* end() noexcept { return begin() + size_; }
  /// Never smaller.
  void resize(std::size_t size) {
    if (size * sizeof(T) > pages_.size()) pages_.grow(size * sizeof(T));
    if (size > size_) size_ = size;
  }

 private:
  Pages pages_;
  std::size_t size_ = 0;
};

}  // namespace penstock
