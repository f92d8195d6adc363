#include "schema/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <new>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"

namespace penstock::schema {
namespace {

constexpr std::size_t kFirstIndex = 1024;
constexpr std::size_t kArenaBlock = 256 * 1024;
constexpr std::size_t kMostTagKeys = 65'535;

// Parts of a child table's identity: both names, kept apart by mixing their hashes.
std::uint64_t child_hash(std::string_view table, std::string_view name) noexcept {
  const std::uint64_t mixed = hash_bytes(table) * 0x9E3779B97F4A7C15ull;
  return hash_bytes(name) ^ (mixed >> 32 | mixed << 32);
}

bool lies_in(std::string_view piece, std::string_view whole) noexcept {
  // std::less orders unrelated pointers too.
  const std::less_equal<> not_after;
  return not_after(whole.data(), piece.data()) && not_after(piece.data() + piece.size(), whole.data() + whole.size());
}

}  // namespace

Registry::Registry() : child_slots_(kFirstIndex, 0), child_blocks_(new std::atomic<data::ChildTable*>[kMaxBlocks]()) {
  indexes_.push_back(std::make_unique<Index>(kFirstIndex));
  index_.store(indexes_.back().get(), std::memory_order_release);
}

// Series, tags and texts in the arena need no destructor: they own nothing.
Registry::~Registry() { static_assert(std::is_trivially_destructible_v<data::Series>); }

data::Series* Registry::insert(std::uint64_t hash, std::string_view raw, const NewSeries& found) {
  const std::lock_guard lock(mutex_);
  if (auto* known = find(hash, raw)) return known;

  // The limits first: whatever throws must leave no series half made.
  for (const auto& tag : found.tags) tag_key_locked(tag.key);
  auto* table = table_locked(found.table);
  auto* child = child_of(table, found.child);
  auto* keys = reinterpret_cast<data::Tag*>(take(found.tags.size() * sizeof(data::Tag), alignof(data::Tag)));
  auto* memory = take(sizeof(data::Series) + raw.size(), alignof(data::Series));
  auto* series = new (memory) data::Series;
  char* text = memory + sizeof(data::Series);  // beside the head: a hit compares it next
  std::copy_n(raw.data(), raw.size(), text);
  for (std::size_t i = 0; i < found.tags.size(); ++i) {
    const auto& from = found.tags[i];
    auto* tag = new (keys + i) data::Tag;
    tag->key = tag_key_locked(from.key);
    tag->type = from.type;
    tag->length = static_cast<std::uint32_t>(from.value.size());
    tag->bytes = lies_in(from.value, raw) ? text + (from.value.data() - raw.data()) : keep(from.value).data();
  }
  series->raw = {text, raw.size()};
  series->hash = hash;
  series->child = child;
  series->child_id = child->id;
  series->id = series_count_;
  series->tags = {keys, found.tags.size()};
  if ((std::size_t{series_count_} + 1) * 2 > index_.load(std::memory_order_relaxed)->mask + 1) grow_index();
  put(*index_.load(std::memory_order_relaxed), series);
  ++series_count_;
  return series;
}

void Registry::put(Index& index, data::Series* series) noexcept {
  const auto packed = (series->hash >> 48 << 48) | reinterpret_cast<std::uint64_t>(series);
  std::size_t at = series->hash & index.mask;
  while (index.slots[at].load(std::memory_order_relaxed) != 0) at = (at + 1) & index.mask;
  // Release: a reader that sees the slot sees the series behind it.
  index.slots[at].store(packed, std::memory_order_release);
}

void Registry::grow_index() {
  const Index& old = *index_.load(std::memory_order_relaxed);
  auto next = std::make_unique<Index>((old.mask + 1) * 2);
  for (std::size_t at = 0; at <= old.mask; ++at)
    if (const auto packed = old.slots[at].load(std::memory_order_relaxed); packed != 0)
      put(*next, reinterpret_cast<data::Series*>(packed & 0x0000FFFFFFFFFFFF));
  // A reader with the old index misses what comes after, calls insert() and is told there.
  index_.store(next.get(), std::memory_order_release);
  indexes_.push_back(std::move(next));
}

data::SuperTableRef* Registry::table(std::string_view name) {
  const std::lock_guard lock(mutex_);
  return table_locked(name);
}

data::SuperTableRef* Registry::table_locked(std::string_view name) {
  if (const auto at = tables_.find(name); at != tables_.end()) return at->second.get();
  auto made = std::make_unique<data::SuperTableRef>(static_cast<std::uint32_t>(tables_.size()), std::string(name));
  auto* table = made.get();
  tables_.emplace(std::string_view(table->name), std::move(made));
  return table;
}

std::uint16_t Registry::tag_key(std::string_view key) {
  const std::lock_guard lock(mutex_);
  return tag_key_locked(key);
}

std::uint16_t Registry::tag_key_locked(std::string_view key) {
  if (const auto at = tag_keys_.find(key); at != tag_keys_.end()) return at->second;
  if (tag_key_names_.size() >= kMostTagKeys)
    throw Error(Errc::limit, fmt::format("tag key '{}' would be the {}th different one; the input seems to hold values "
                                         "where keys belong: check the format and the mapping",
                                         printable(key), kMostTagKeys + 1));
  const auto number = static_cast<std::uint16_t>(tag_key_names_.size());
  tag_keys_.emplace(std::string_view(tag_key_names_.emplace_back(key)), number);
  return number;
}

std::string_view Registry::tag_key_name(std::uint16_t key) const {
  const std::lock_guard lock(mutex_);
  return tag_key_names_.at(key);
}

std::uint32_t Registry::series_count() const {
  const std::lock_guard lock(mutex_);
  return series_count_;
}

data::ChildTable* Registry::child_of(data::SuperTableRef* table, std::string_view name) {
  const auto hash = child_hash(table->name, name);
  std::size_t mask = child_slots_.size() - 1;
  std::size_t at = hash & mask;
  for (; child_slots_[at] != 0; at = (at + 1) & mask) {
    auto& known = child(child_slots_[at] - 1);
    if (known.hash == hash && known.table == table && known.name == name) return &known;
  }
  const auto id = child_count_.load(std::memory_order_relaxed);
  const auto most = std::min(max_children_.load(std::memory_order_relaxed), kMaxBlocks * kBlockSize);
  if (id >= most)
    throw Error(Errc::limit,
                fmt::format("child table '{}' of '{}' would be the {}; at most {} are allowed: raise "
                            "--max-child-tables if the input really has that many series, or look for a tag whose "
                            "value changes with every row",
                            printable(name), printable(table->name), format_count(std::uint64_t{id} + 1) + "th",
                            format_count(most)));
  if ((std::size_t{id} + 1) * 4 > child_slots_.size() * 3) {
    grow_children();
    mask = child_slots_.size() - 1;
    for (at = hash & mask; child_slots_[at] != 0;) at = (at + 1) & mask;
  }
  if ((id & (kBlockSize - 1)) == 0) {
    child_memory_.push_back(std::make_unique<data::ChildTable[]>(kBlockSize));
    child_blocks_[id >> kBlockBits].store(child_memory_.back().get(), std::memory_order_release);
  }
  auto& made = child(id);
  made.id = id;
  made.hash = hash;
  made.table = table;
  made.name = keep(name);
  child_slots_[at] = id + 1;
  child_count_.store(id + 1, std::memory_order_release);
  return &made;
}

void Registry::grow_children() {
  std::vector<std::uint32_t> next(child_slots_.size() * 2, 0);
  const std::size_t mask = next.size() - 1;
  for (const auto slot : child_slots_) {
    if (slot == 0) continue;
    std::size_t at = child(slot - 1).hash & mask;
    while (next[at] != 0) at = (at + 1) & mask;
    next[at] = slot;
  }
  child_slots_ = std::move(next);
}

char* Registry::take(std::size_t bytes, std::size_t align) {
  const auto misfit = reinterpret_cast<std::uintptr_t>(arena_at_) & (align - 1);
  const std::size_t pad = misfit == 0 ? 0 : align - misfit;
  if (static_cast<std::size_t>(arena_end_ - arena_at_) < bytes + pad) {
    const std::size_t size = std::max(kArenaBlock, bytes);
    arena_.push_back(std::make_unique_for_overwrite<char[]>(size));
    arena_at_ = arena_.back().get();  // aligned for any type
    arena_end_ = arena_at_ + size;
    return take(bytes, align);
  }
  char* const at = arena_at_ + pad;
  arena_at_ = at + bytes;
  return at;
}

std::string_view Registry::keep(std::string_view text) {
  char* const at = take(text.size(), 1);
  std::copy_n(text.data(), text.size(), at);
  return {at, text.size()};
}

}  // namespace penstock::schema
