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

using data::TagLayout;

constexpr std::size_t kFirstIndex = 1024;
// Slots in use, of four: more would make misses probe long, fewer cost memory.
constexpr std::size_t kFull = 3;
constexpr std::size_t kFirstBlock = 16 * 1024;
constexpr std::size_t kTextBlock = 64 * 1024;
constexpr std::size_t kMostTagKeys = 65'535;
// Input that spells its keys in ever new ways must not fill the memory with layouts.
constexpr std::size_t kMostLayouts = 16'384;
// How far behind the value before it a value is looked for that the parser did not point out in the raw bytes.
constexpr std::size_t kNear = 64;

bool lies_in(std::string_view piece, std::string_view whole) noexcept {
  // std::less orders unrelated pointers too.
  const std::less_equal<> not_after;
  return not_after(whole.data(), piece.data()) && not_after(piece.data() + piece.size(), whole.data() + whole.size());
}

bool stands_at(std::string_view raw, std::size_t at, std::string_view value) noexcept {
  return at <= raw.size() && raw.size() - at >= value.size() &&
         (value.empty() || std::memcmp(raw.data() + at, value.data(), value.size()) == 0);
}

bool same(const TagLayout& a, const TagLayout& b) noexcept {
  return a.tail == b.tail &&
         std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(),
                    [](const auto& x, const auto& y) { return x.key == y.key && x.type == y.type && x.gap == y.gap; });
}

std::uint64_t hash_of(const TagLayout& layout) noexcept {
  std::uint64_t hash = layout.tail;
  for (const auto& part : layout.parts) {
    const auto bits =
        std::uint64_t{part.gap} << 32 | std::uint64_t{part.key} << 8 | static_cast<std::uint8_t>(part.type);
    hash = (hash ^ bits) * 0x9E3779B97F4A7C15;
    hash ^= hash >> 29;
  }
  return hash;
}

/// Whether the values of a series stand in its raw bytes where the layout says, all of them.
bool fits(const TagLayout& layout, std::string_view raw, const std::vector<NewSeries::Tag>& tags) noexcept {
  if (layout.parts.size() != tags.size()) return false;
  std::size_t at = 0;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const auto& part = layout.parts[i];
    const auto& tag = tags[i];
    if (part.gap == TagLayout::kApart || part.type != tag.type || part.name != tag.key ||
        !stands_at(raw, at + part.gap, tag.value))
      return false;
    at += part.gap + tag.value.size();
  }
  return raw.size() - at == layout.tail;
}

// The upper half of a hash decides where a child table is entered; all of its bits come from the name.
std::uint32_t child_hash(const data::SuperTableRef& table, const data::TableName& name) noexcept {
  return static_cast<std::uint32_t>((name.hash() ^ (std::uint64_t{table.id} << 32)) * 0x9E3779B97F4A7C15 >> 32);
}

}  // namespace

struct alignas(64) Registry::Nursery {
  std::mutex mutex;
  char* block = nullptr;
  char* at = nullptr;
  char* end = nullptr;
  std::uint32_t number = 0;  // of the block
  std::size_t next_bytes = kFirstBlock;
  std::size_t pending = 0;               // bytes of the series at `at`, which is not entered yet
  const TagLayout* layout = nullptr;     // of the last series, likely of the next
  data::SuperTableRef* table = nullptr;  // likewise
  [[nodiscard]] std::uint32_t place() const noexcept {
    return number << kUnitBits | static_cast<std::uint32_t>(static_cast<std::size_t>(at - block) / kUnit);
  }
};

Registry::Registry()
    : series_places_(kMaxSeriesBlocks * sizeof(char*)),
      child_places_(kMaxBlocks * sizeof(data::ChildTable*)),
      nurseries_(new Nursery[kNurseries]),
      child_slots_(kFirstIndex * sizeof(std::uint64_t)),
      child_mask_(kFirstIndex - 1) {
  indexes_.push_back(std::make_unique<Index>(kFirstIndex));
  index_.store(indexes_.back().get(), std::memory_order_release);
}

// Series and child tables need no destructor: they own nothing.
Registry::~Registry() {
  static_assert(std::is_trivially_destructible_v<data::Series> && std::is_trivially_destructible_v<data::ChildTable>);
}

void Registry::prefetch(std::uint64_t hash) const noexcept {
  const Index* index = index_.load(std::memory_order_acquire);
  __builtin_prefetch(index->slots() + (static_cast<std::uint32_t>(hash >> 32) & index->mask), 1);
}

data::Series* Registry::insert(std::uint64_t hash, std::string_view raw, const NewSeries& found) {
  // What can be done before the lock is: the section behind it is a few cache misses long.
  Nursery& nursery = own_nursery();
  const std::lock_guard own(nursery.mutex);
  const TagLayout* const layout = layout_of(nursery, raw, found);
  auto* const series = lay_out(nursery, layout, raw, found);
  const data::TableName name(found.child);
  prefetch(hash);

  const std::lock_guard lock(mutex_);
  if (auto* known = find(hash, raw)) return known;
  // Whatever throws must leave no series half made: the limits come first.
  if (nursery.table == nullptr || nursery.table->name != found.table) nursery.table = table_locked(found.table);
  return enter(nursery, hash, nursery.table, name, series);
}

data::Series* Registry::insert(std::uint64_t hash, std::string_view raw, const SimilarSeries& found) {
  Nursery& nursery = own_nursery();
  const std::lock_guard own(nursery.mutex);
  auto* const series = lay_out(nursery, raw, found);
  prefetch(hash);

  const std::lock_guard lock(mutex_);
  if (auto* known = find(hash, raw)) return known;
  return enter(nursery, hash, found.table, found.child, series);
}

// Enters what was laid out at nursery.at; under the mutex.
data::Series* Registry::enter(Nursery& nursery, std::uint64_t hash, data::SuperTableRef* table,
                              const data::TableName& name, data::Series* series) {
  const auto hash32 = static_cast<std::uint32_t>(hash >> 32);
  auto* child = child_of(table, name);
  series->child = child;
  series->child_id = child->id;
  series->id = series_count_;
  if ((std::size_t{series_count_} + 1) * 4 > (index_.load(std::memory_order_relaxed)->mask + 1) * kFull) grow_index();
  put(*index_.load(std::memory_order_relaxed), std::uint64_t{hash32} << 32 | nursery.place());
  ++series_count_;
  nursery.at += nursery.pending;
  return series;
}

Registry::Nursery& Registry::own_nursery() {
  static std::atomic<std::size_t> threads{0};
  thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kNurseries;
  return nurseries_[mine];
}

// Room for a series: lays it out at nursery.at, where it stays invisible and is written over until it is entered.
data::Series* Registry::lay_out(Nursery& nursery, const TagLayout* layout, std::string_view raw,
                                const NewSeries& found) {
  constexpr std::uint32_t kLong = 255;
  std::size_t bytes = sizeof(data::Series) + raw.size() + found.tags.size();
  for (std::size_t i = 0; i < found.tags.size(); ++i) {
    const auto length = found.tags[i].value.size();
    if (length >= kLong) bytes += sizeof(std::uint32_t);
    if (layout->parts[i].gap == TagLayout::kApart) bytes += length;
  }
  make_room(nursery, bytes);
  char* const text = nursery.at + sizeof(data::Series);  // behind the head: a hit compares it next
  std::copy_n(raw.data(), raw.size(), text);
  char* const lengths = text + raw.size();
  char* at = lengths;
  for (const auto& tag : found.tags) {
    const auto length = static_cast<std::uint32_t>(tag.value.size());
    *at++ = static_cast<char>(std::min(length, kLong));
    if (length < kLong) continue;
    std::memcpy(at, &length, sizeof length);
    at += sizeof length;
  }
  for (std::size_t i = 0; i < found.tags.size(); ++i)
    if (layout->parts[i].gap == TagLayout::kApart)
      at = std::copy_n(found.tags[i].value.data(), found.tags[i].value.size(), at);
  auto* series = new (nursery.at) data::Series;
  series->raw = {text, raw.size()};
  series->tags = {layout, lengths};
  return series;
}

data::Series* Registry::lay_out(Nursery& nursery, std::string_view raw, const SimilarSeries& found) {
  constexpr std::uint32_t kLong = 255;
  const auto count = found.layout->parts.size();
  std::size_t bytes = sizeof(data::Series) + raw.size() + count;
  for (std::size_t i = 0; i < count; ++i)
    if (found.lengths[i] >= kLong) bytes += sizeof(std::uint32_t);
  make_room(nursery, bytes);
  char* const text = nursery.at + sizeof(data::Series);
  std::memcpy(text, raw.data(), raw.size());
  char* at = text + raw.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto length = found.lengths[i];
    *at++ = static_cast<char>(std::min(length, kLong));
    if (length < kLong) continue;
    std::memcpy(at, &length, sizeof length);
    at += sizeof length;
  }
  auto* series = new (nursery.at) data::Series;
  series->raw = {text, raw.size()};
  series->tags = {found.layout, text + raw.size()};
  return series;
}

// Sees to it that nursery.at has room for a series.
void Registry::make_room(Nursery& nursery, std::size_t bytes) {
  bytes = (bytes + kUnit - 1) / kUnit * kUnit;
  if (static_cast<std::size_t>(nursery.end - nursery.at) < bytes ||
      static_cast<std::size_t>(nursery.at - nursery.block) >= kUnit << kUnitBits)
    take_block(nursery, bytes);
  nursery.pending = bytes;
}

void Registry::take_block(Nursery& nursery, std::size_t bytes) {
  Pages pages(std::max(nursery.next_bytes, bytes + kUnit));
  nursery.next_bytes = std::min(nursery.next_bytes * 4, kUnit << kUnitBits);
  const std::lock_guard lock(mutex_);
  if (series_block_count_ == kMaxSeriesBlocks)
    throw Error(Errc::limit, "the tags of all series take more than 32 GiB: load the input in parts");
  nursery.number = series_block_count_;
  nursery.block = pages.data();
  nursery.end = pages.data() + pages.size();
  // Place 0 would look like an empty slot.
  nursery.at = pages.data() + (nursery.number == 0 ? kUnit : 0);
  series_blocks()[series_block_count_++] = pages.data();
  series_memory_.push_back(std::move(pages));
}

const TagLayout* Registry::layout_of(Nursery& nursery, std::string_view raw, const NewSeries& found) {
  if (found.tags.empty()) return nullptr;
  const TagLayout* const last = nursery.layout;
  if (last != nullptr && fits(*last, raw, found.tags)) return last;
  TagLayout made;
  std::size_t at = 0;
  for (std::size_t i = 0; i < found.tags.size(); ++i) {
    const auto& tag = found.tags[i];
    auto& part = made.parts.emplace_back();
    part.name = tag.key;
    part.type = tag.type;
    part.gap = TagLayout::kApart;
    std::size_t begin = std::string_view::npos;
    if (last != nullptr && i < last->parts.size() && last->parts[i].gap != TagLayout::kApart &&
        stands_at(raw, at + last->parts[i].gap, tag.value))
      begin = at + last->parts[i].gap;
    else if (lies_in(tag.value, raw) && tag.value.data() >= raw.data() + at)
      begin = static_cast<std::size_t>(tag.value.data() - raw.data());
    else if (!tag.value.empty())
      begin = raw.substr(0, std::min(raw.size(), at + kNear + tag.value.size())).find(tag.value, at);
    if (begin == std::string_view::npos) continue;
    part.gap = static_cast<std::uint32_t>(begin - at);
    at = begin + tag.value.size();
  }
  made.tail = static_cast<std::uint32_t>(at == 0 ? 0 : raw.size() - at);
  return nursery.layout = keep_layout(std::move(made));
}

const TagLayout* Registry::keep_layout(TagLayout&& layout) {
  const std::lock_guard lock(mutex_);
  for (auto& part : layout.parts) {
    part.key = tag_key_locked(part.name);
    part.name = tag_key_names_[part.key];
    if (layouts_.size() >= kMostLayouts) part.gap = TagLayout::kApart;
  }
  if (layouts_.size() >= kMostLayouts) layout.tail = 0;
  const auto hash = hash_of(layout);
  const auto [first, last] = layouts_by_hash_.equal_range(hash);
  for (auto known = first; known != last; ++known)
    if (same(*known->second, layout)) return known->second;
  static std::atomic<std::uint64_t> serials{0};
  layout.serial = serials.fetch_add(1, std::memory_order_relaxed) + 1;
  const auto& kept = layouts_.emplace_back(std::move(layout));
  layouts_by_hash_.emplace(hash, &kept);
  return &kept;
}

void Registry::put(Index& index, std::uint64_t slot) noexcept {
  std::size_t at = (slot >> 32) & index.mask;
  while (index.load(at, std::memory_order_relaxed) != 0) at = (at + 1) & index.mask;
  // Release: a reader that sees the slot sees the series behind it.
  std::atomic_ref(index.slots()[at]).store(slot, std::memory_order_release);
}

void Registry::grow_index() {
  Index& old = *index_.load(std::memory_order_relaxed);
  auto next = std::make_unique<Index>((old.mask + 1) * 2);
  for (std::size_t at = 0; at <= old.mask; ++at)
    if (const auto slot = old.load(at, std::memory_order_relaxed); slot != 0) put(*next, slot);
  // A reader with the old index misses what comes after, and all that was forgotten, calls insert() and is told there.
  index_.store(next.get(), std::memory_order_release);
  old.pages.forget();
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

data::ChildTable* Registry::child_of(data::SuperTableRef* table, const data::TableName& name) {
  const auto hash = child_hash(*table, name);
  const auto* slots = reinterpret_cast<const std::uint64_t*>(child_slots_.data());
  for (std::size_t at = hash & child_mask_; slots[at] != 0; at = (at + 1) & child_mask_) {
    if (slots[at] >> 32 != hash) continue;
    auto& known = child(static_cast<std::uint32_t>(slots[at]) - 1);
    if (known.table == table && known.name == name) return &known;
  }
  const auto id = child_count_.load(std::memory_order_relaxed);
  const auto most = std::min(max_children_.load(std::memory_order_relaxed), kMaxBlocks * kBlockSize);
  if (id >= most)
    throw Error(Errc::limit,
                fmt::format("child table '{}' of '{}' would be the {}; at most {} are allowed: raise "
                            "--max-child-tables if the input really has that many series, or look for a tag whose "
                            "value changes with every row",
                            printable(name.text()), printable(table->name), format_count(std::uint64_t{id} + 1) + "th",
                            format_count(most)));
  if ((std::size_t{id} + 1) * 4 > (child_mask_ + 1) * kFull) grow_children();
  if ((id & (kBlockSize - 1)) == 0) {
    auto& memory = child_memory_.emplace_back(kBlockSize * sizeof(data::ChildTable));
    std::atomic_ref(child_blocks()[id >> kBlockBits])
        .store(reinterpret_cast<data::ChildTable*>(memory.data()), std::memory_order_release);
  }
  auto* made = new (&child(id)) data::ChildTable;
  made->id = id;
  made->table = table;
  made->name = name.is_digest() ? name : data::TableName(keep(name.text()));
  enter_child(std::uint64_t{hash} << 32 | (id + 1));
  child_count_.store(id + 1, std::memory_order_release);
  return made;
}

void Registry::enter_child(std::uint64_t slot) noexcept {
  auto* slots = reinterpret_cast<std::uint64_t*>(child_slots_.data());
  std::size_t at = (slot >> 32) & child_mask_;
  while (slots[at] != 0) at = (at + 1) & child_mask_;
  slots[at] = slot;
}

void Registry::grow_children() {
  const Pages old = std::exchange(child_slots_, Pages((child_mask_ + 1) * 2 * sizeof(std::uint64_t)));
  const auto count = child_mask_ + 1;
  child_mask_ = count * 2 - 1;
  const auto* slots = reinterpret_cast<const std::uint64_t*>(old.data());
  for (std::size_t at = 0; at < count; ++at)
    if (slots[at] != 0) enter_child(slots[at]);
}

std::string_view Registry::keep(std::string_view text) {
  if (static_cast<std::size_t>(text_end_ - text_at_) < text.size()) {
    const std::size_t size = std::max(kTextBlock, text.size());
    texts_.push_back(std::make_unique_for_overwrite<char[]>(size));
    text_at_ = texts_.back().get();
    text_end_ = text_at_ + size;
  }
  char* const at = text_at_;
  text_at_ = std::copy_n(text.data(), text.size(), at);
  return {at, text.size()};
}

}  // namespace penstock::schema
