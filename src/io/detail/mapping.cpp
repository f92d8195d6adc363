#include "io/detail/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "io/chunk.h"

namespace penstock::io::detail {
namespace {

/// What the signal handler needs to know of one mapping. Lock-free, never freed.
/// A thread that faults in a mapping, or asks for one, holds it, so the slot it finds cannot be given away meanwhile.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};  ///< 0: free
  std::atomic<std::uintptr_t> end{0};    ///< of the whole pages
  std::atomic<bool> damaged{false};
  std::atomic<const Mapping*> mapping{nullptr};
};

constexpr std::size_t kSlots = 1024;
std::array<Slot, kSlots> slots;
std::atomic<std::size_t> used_slots{0};  ///< slots behind this have never been used
std::mutex slots_mutex;                  ///< for taking and freeing slots
struct sigaction previous_action {};
std::size_t page_bytes = 4096;

static_assert(std::atomic<std::uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

Slot* find_slot(std::uintptr_t address) noexcept {
  const std::size_t used = used_slots.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    const std::uintptr_t begin = slots[i].begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address < slots[i].end.load(std::memory_order_acquire)) return &slots[i];
  }
  return nullptr;
}

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    ::signal(signal, SIG_DFL);  // the instruction faults again and ends the process as it would have without us
  }
}

/// Async-signal-safe: atomics and system calls only.
void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Slot* slot = find_slot(address);
  if (slot == nullptr) {
    pass_on(signal, info, context);
    errno = saved_errno;
    return;
  }
  slot->damaged.store(true, std::memory_order_release);
  void* page = reinterpret_cast<void*>(address & ~(static_cast<std::uintptr_t>(page_bytes) - 1));
  if (::mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    ::signal(signal, SIG_DFL);
  }
  errno = saved_errno;
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous_action);
  });
}

std::size_t round_up(std::size_t bytes) { return (bytes + page_bytes - 1) / page_bytes * page_bytes; }

}  // namespace

Mapping::Mapping(std::shared_ptr<const RawFile> file) : file_(std::move(file)), size_(file_->size()) {
  install_handler();
  const std::lock_guard lock(slots_mutex);
  const auto free = std::find_if(slots.begin(), slots.end(), [](const Slot& s) { return s.begin.load() == 0; });
  const auto refuse = [&](const std::string& why) {
    throw Error(Errc::io, "cannot map '" + file_->name() + "' into memory: " + why + "; try without memory mapping");
  };
  if (free == slots.end()) refuse("too many files are mapped at once");
  // Behind the file lies a page of newlines: padding, and a stop for who looks for the end of a line in text whose own
  // newlines turned into zeros because somebody truncated the file meanwhile.
  static_assert(kPadding <= 4096);
  const std::size_t stop_page = round_up(size_);
  reserved_ = stop_page + page_bytes;
  void* region = ::mmap(nullptr, reserved_, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) refuse(errno_text(errno));
  if (::mmap(region, size_, PROT_READ, MAP_PRIVATE | MAP_FIXED, file_->fd(), 0) == MAP_FAILED) {
    const int error_number = errno;
    ::munmap(region, reserved_);
    refuse(errno_text(error_number));
  }
  begin_ = static_cast<char*>(region);
  if (::mprotect(begin_ + stop_page, page_bytes, PROT_READ | PROT_WRITE) != 0) {
    const int error_number = errno;
    ::munmap(region, reserved_);
    refuse(errno_text(error_number));
  }
  std::memset(begin_ + stop_page, '\n', page_bytes);
  ::mprotect(begin_ + stop_page, page_bytes, PROT_READ);
  ::madvise(begin_, size_, MADV_SEQUENTIAL);
  slot_ = static_cast<std::size_t>(free - slots.begin());
  const auto address = reinterpret_cast<std::uintptr_t>(begin_);
  free->damaged.store(false);
  free->mapping.store(this);
  free->end.store(address + round_up(size_));
  free->begin.store(address, std::memory_order_release);
  if (slot_ >= used_slots.load()) used_slots.store(slot_ + 1, std::memory_order_release);
}

Mapping::~Mapping() {
  const std::lock_guard lock(slots_mutex);
  slots[slot_].begin.store(0, std::memory_order_release);
  slots[slot_].mapping.store(nullptr);
  ::munmap(begin_, reserved_);
}

bool Mapping::damaged() const noexcept {
  return slots[slot_].damaged.load(std::memory_order_acquire) || file_->shrunk();
}

void Mapping::fetch(std::size_t offset, std::size_t bytes) const noexcept {
  if (offset >= size_) return;
  const std::size_t first = offset / page_bytes * page_bytes;
  const std::size_t last = std::min(size_, offset + bytes);
  ::madvise(begin_ + first, last - first, MADV_WILLNEED);
}

void Mapping::drop(std::string_view part) const noexcept {
  const auto first = static_cast<std::size_t>(part.data() - begin_);
  const std::size_t from = round_up(first);
  const std::size_t end = first + part.size();
  // The last page of the file has no neighbour that still needs it.
  const std::size_t to = end == size_ ? round_up(end) : end / page_bytes * page_bytes;
  if (to > from) ::madvise(begin_ + from, to - from, MADV_DONTNEED);
}

void Mapping::read(std::size_t offset, char* to, std::size_t bytes) const noexcept {
  std::size_t got = 0;
  if (file_->read_at(offset, to, bytes, got) && got == bytes) return;
  slots[slot_].damaged.store(true, std::memory_order_release);
  std::memset(to + got, 0, bytes - got);
}

std::shared_ptr<const char> Mapping::read_unseen(std::string_view part) {
  const Slot* slot = find_slot(reinterpret_cast<std::uintptr_t>(part.data()));
  const Mapping* mapping = slot == nullptr ? nullptr : slot->mapping.load(std::memory_order_acquire);
  if (mapping == nullptr || mapping->buffers_ == nullptr) return nullptr;
  auto buffer = mapping->buffers_->take_now(part.size());
  char* const to = buffer->data.get();
  mapping->read(static_cast<std::size_t>(part.data() - mapping->begin_), to, part.size());
  return {std::move(buffer), to};
}

bool Mapping::damaged_at(const char* address) noexcept {
  const Slot* slot = find_slot(reinterpret_cast<std::uintptr_t>(address));
  if (slot == nullptr) return false;
  const Mapping* mapping = slot->mapping.load(std::memory_order_acquire);
  return mapping != nullptr && mapping->damaged();
}

}  // namespace penstock::io::detail
