#include "base/pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace penstock {
namespace {

constexpr std::size_t kFromSystem = 128 * 1024;
constexpr std::size_t kHuge = 2 * 1024 * 1024;

char* map(std::size_t bytes) {
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(at);
}

}  // namespace

Pages::Pages(std::size_t bytes) : bytes_(bytes) {
  if (bytes < kFromSystem) {
    data_ = static_cast<char*>(std::calloc(bytes, 1));
    if (data_ == nullptr) throw std::bad_alloc();
    return;
  }
  if (bytes < kHuge) {
    data_ = map(bytes);
    return;
  }
  // A huge page needs its own alignment: what stands over is given back at once.
  bytes_ = (bytes + kHuge - 1) / kHuge * kHuge;
  char* const whole = map(bytes_ + kHuge);
  const std::size_t front = (kHuge - reinterpret_cast<std::uintptr_t>(whole) % kHuge) % kHuge;
  data_ = whole + front;
  if (front > 0) ::munmap(whole, front);
  ::munmap(data_ + bytes_, kHuge - front);
  ::madvise(data_, bytes_, MADV_HUGEPAGE);  // where the system has none, small pages serve
}

Pages::~Pages() {
  if (bytes_ < kFromSystem) std::free(data_);
  else ::munmap(data_, bytes_);
}

void Pages::grow(std::size_t bytes) {
  if (bytes <= bytes_) return;
  if (bytes_ >= kFromSystem) {
    void* const at = ::mremap(data_, bytes_, bytes, MREMAP_MAYMOVE);
    if (at == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<char*>(at);
    bytes_ = bytes;
    return;
  }
  Pages larger(bytes);
  if (bytes_ > 0) std::memcpy(larger.data_, data_, bytes_);
  *this = std::move(larger);
}

void Pages::forget() noexcept {
  if (bytes_ >= kFromSystem) ::madvise(data_, bytes_, MADV_DONTNEED);
}

}  // namespace penstock
