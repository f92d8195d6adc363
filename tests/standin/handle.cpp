#include "standin/handle.h"

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "standin/controls.h"

namespace penstock::standin {
namespace {

struct Table {
  std::mutex mutex;
  std::unordered_map<std::uintptr_t, std::shared_ptr<Handle>> given_out;
  std::uintptr_t last = 0x7000'0000;
};

Table& table() {
  static Table& instance = *new Table;  // never destroyed: threads of the library may outlive main()
  return instance;
}

std::atomic<std::int64_t> misuses{0};

}  // namespace

void note_misuse() { ++misuses; }

void* give_out(std::shared_ptr<Handle> object) {
  auto& all = table();
  const std::lock_guard lock(all.mutex);
  all.last += 16;  // aligned as an object would be
  all.given_out.emplace(all.last, std::move(object));
  return reinterpret_cast<void*>(all.last);
}

std::shared_ptr<Handle> find_handle(const void* handle) {
  if (handle == nullptr) return nullptr;
  auto& all = table();
  const std::lock_guard lock(all.mutex);
  const auto found = all.given_out.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found != all.given_out.end()) return found->second;
  note_misuse();
  return nullptr;
}

std::shared_ptr<Handle> take_back(const void* handle) {
  if (handle == nullptr) return nullptr;
  auto& all = table();
  const std::lock_guard lock(all.mutex);
  const auto found = all.given_out.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found == all.given_out.end()) {
    note_misuse();
    return nullptr;
  }
  auto object = std::move(found->second);
  all.given_out.erase(found);
  return object;
}

void drop_if_out(const void* handle) {
  std::shared_ptr<Handle> object;
  auto& all = table();
  const std::lock_guard lock(all.mutex);
  const auto found = all.given_out.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found == all.given_out.end()) return;
  object = std::move(found->second);
  all.given_out.erase(found);
}

void for_each_handle(const std::function<void(Handle&)>& visit) {
  std::vector<std::shared_ptr<Handle>> objects;
  {
    auto& all = table();
    const std::lock_guard lock(all.mutex);
    for (const auto& [number, object] : all.given_out) objects.push_back(object);
  }
  for (const auto& object : objects) visit(*object);
}

}  // namespace penstock::standin

extern "C" {

std::int64_t penstock_standin_open_handles() {
  auto& all = penstock::standin::table();
  const std::lock_guard lock(all.mutex);
  return static_cast<std::int64_t>(all.given_out.size());
}

std::int64_t penstock_standin_misuses() { return penstock::standin::misuses; }
}
