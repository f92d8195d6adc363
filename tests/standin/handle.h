#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace penstock::standin {

/// What a client holds by an opaque pointer. The pointer is a number that is never used again, not an address: a wrong,
/// closed or invented one is told from a good one without looking at memory.
class Handle {
 public:
  virtual ~Handle() = default;
};

/// Gives the object out. Any thread.
void* give_out(std::shared_ptr<Handle> object);
/// Takes it back; nullptr (and a misuse) when it was not out. NULL is no misuse.
std::shared_ptr<Handle> take_back(const void* handle);
/// As take_back(), of one that its holder may have given back before.
void drop_if_out(const void* handle);
/// nullptr (and a misuse) when it is not out. NULL is no misuse.
std::shared_ptr<Handle> find_handle(const void* handle);
void note_misuse();
void for_each_handle(const std::function<void(Handle&)>& visit);

/// nullptr also for handles of another kind.
template <class Kind>
std::shared_ptr<Kind> find(const void* handle) {
  auto found = find_handle(handle);
  if (!found) return nullptr;
  auto kind = std::dynamic_pointer_cast<Kind>(std::move(found));
  if (!kind) note_misuse();
  return kind;
}

/// Takes it back if it is of that kind.
template <class Kind>
std::shared_ptr<Kind> take(const void* handle) {
  if (!find<Kind>(handle)) return nullptr;
  return std::dynamic_pointer_cast<Kind>(take_back(handle));
}

}  // namespace penstock::standin
