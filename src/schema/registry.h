#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/pages.h"
#include "schema/series.h"

/// Which tables rows belong to: identities that hold over the whole run, found from raw bytes without a lock.
namespace penstock::schema {

/// What a parser found out about a spelling on a miss. Views need to live only during Registry::insert().
struct NewSeries {
  std::string_view table;  ///< super table name, unescaped, dots mapped
  std::string child;       ///< child table name
  struct Tag {
    std::string_view key;
    data::Type type = data::Type::nchar;
    std::string_view value;  ///< text, or little-endian image for fixed types
  };
  std::vector<Tag> tags;
};

/// A series with the measurement and the keys of another one, whose values lie in its raw bytes as the layout says:
/// only their lengths and the name are its own.
struct SimilarSeries {
  data::SuperTableRef* table = nullptr;
  const data::TagLayout* layout = nullptr;  ///< TagList::layout() of the other one; no value kept apart
  const std::uint32_t* lengths = nullptr;   ///< of the values; they, the gaps and the tail make up the raw bytes
  data::TableName child;                    ///< a digest
};

/// All series, child tables and super tables of a run. Any thread.
/// find() takes no lock, writes nothing and touches only memory that is never moved; insert() takes a mutex, once per
/// spelling, after the series was laid out in memory of the thread's own.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// The series with exactly these raw bytes, or nullptr. `hash` = hash_bytes(raw).
  [[nodiscard]] data::Series* find(std::uint64_t hash, std::string_view raw) const noexcept {
    const Index* index = index_.load(std::memory_order_acquire);
    const auto wanted = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t at = wanted & index->mask;; at = (at + 1) & index->mask) {
      // The upper half of a slot is of the hash: a miss in a probe chain seldom touches the series itself.
      const auto slot = index->load(at);
      if (slot == 0) return nullptr;
      if (slot >> 32 != wanted) continue;
      auto* series = at_place(static_cast<std::uint32_t>(slot));
      if (series->raw == raw) return series;
    }
  }

  /// Adds a spelling (or returns the one that another thread added meanwhile), with its child and super table.
  /// Throws Error(Errc::limit) when more child tables than allowed would exist; the registry stays usable.
  data::Series* insert(std::uint64_t hash, std::string_view raw, const NewSeries& found);
  data::Series* insert(std::uint64_t hash, std::string_view raw, const SimilarSeries& found);

  /// The super table of that name, made when it is new.
  data::SuperTableRef* table(std::string_view name);

  /// Number of a tag key, made when it is new; and back. At most 65,535 different keys.
  std::uint16_t tag_key(std::string_view key);
  [[nodiscard]] std::string_view tag_key_name(std::uint16_t key) const;

  [[nodiscard]] std::uint32_t child_count() const noexcept { return child_count_.load(std::memory_order_relaxed); }
  /// By dense id; only ids that a row carries.
  [[nodiscard]] data::ChildTable& child(std::uint32_t id) const noexcept {
    const auto block = std::atomic_ref(child_blocks()[id >> kBlockBits]).load(std::memory_order_acquire);
    return block[id & (kBlockSize - 1)];
  }
  [[nodiscard]] std::uint32_t series_count() const;
  void set_max_children(std::uint32_t most) noexcept { max_children_.store(most, std::memory_order_relaxed); }

 private:
  /// Open addressing; a slot holds 32 bits of the hash and the place of a series.
  struct Index {
    explicit Index(std::size_t size) : mask(size - 1), pages(size * sizeof(std::uint64_t)) {}
    [[nodiscard]] std::uint64_t load(std::size_t at,
                                     std::memory_order order = std::memory_order_acquire) const noexcept {
      return std::atomic_ref(slots()[at]).load(order);
    }
    [[nodiscard]] std::uint64_t* slots() const noexcept { return reinterpret_cast<std::uint64_t*>(pages.data()); }
    std::size_t mask;
    Pages pages;
  };
  /// Memory that one thread at a time fills with series, so that a page fault or a long key holds up nobody else.
  struct Nursery;
  static constexpr std::size_t kNurseries = 8;
  static constexpr unsigned kBlockBits = 14;
  static constexpr std::uint32_t kBlockSize = 1u << kBlockBits;
  static constexpr std::uint32_t kMaxBlocks = 1u << 15;
  // A place is the number of a block of series and how many units into it.
  static constexpr std::size_t kUnit = 8;
  static constexpr unsigned kUnitBits = 18;
  static constexpr std::uint32_t kMaxSeriesBlocks = 1u << (32 - kUnitBits);

  [[nodiscard]] data::Series* at_place(std::uint32_t place) const noexcept {
    return reinterpret_cast<data::Series*>(series_blocks()[place >> kUnitBits] +
                                           kUnit * (place & ((1u << kUnitBits) - 1)));
  }
  [[nodiscard]] char** series_blocks() const noexcept { return reinterpret_cast<char**>(series_places_.data()); }
  [[nodiscard]] data::ChildTable** child_blocks() const noexcept {
    return reinterpret_cast<data::ChildTable**>(child_places_.data());
  }

  Nursery& own_nursery();
  void take_block(Nursery& nursery, std::size_t bytes);
  const data::TagLayout* layout_of(Nursery& nursery, std::string_view raw, const NewSeries& found);
  const data::TagLayout* keep_layout(data::TagLayout&& layout);
  data::Series* lay_out(Nursery& nursery, const data::TagLayout* layout, std::string_view raw, const NewSeries& found);
  data::Series* lay_out(Nursery& nursery, std::string_view raw, const SimilarSeries& found);
  void make_room(Nursery& nursery, std::size_t bytes);
  void prefetch(std::uint64_t hash) const noexcept;
  data::Series* enter(Nursery& nursery, std::uint64_t hash, data::SuperTableRef* table, const data::TableName& name,
                      data::Series* series);
  static void put(Index& index, std::uint64_t slot) noexcept;
  void grow_index();
  std::string_view keep(std::string_view text);
  data::ChildTable* child_of(data::SuperTableRef* table, const data::TableName& name);
  void enter_child(std::uint64_t slot) noexcept;
  void grow_children();
  data::SuperTableRef* table_locked(std::string_view name);
  std::uint16_t tag_key_locked(std::string_view key);

  // Read by every row, written by none but those of new series.
  std::atomic<Index*> index_;
  Pages series_places_;  // [kMaxSeriesBlocks] char*: a reader gets to one by a slot that was stored after it
  Pages child_places_;   // [kMaxBlocks] ChildTable*

  alignas(64) mutable std::mutex mutex_;         // guards everything below but the atomics and the insides of nurseries
  std::vector<std::unique_ptr<Index>> indexes_;  // replaced ones stay as zeros: a reader may still probe them
  std::uint32_t series_count_ = 0;
  std::uint32_t series_block_count_ = 0;
  std::vector<Pages> series_memory_;
  std::unique_ptr<Nursery[]> nurseries_;
  std::deque<data::TagLayout> layouts_;
  std::unordered_multimap<std::uint64_t, const data::TagLayout*> layouts_by_hash_;
  // Open addressing: 32 bits of the hash and id + 1 in each slot.
  Pages child_slots_;
  std::size_t child_mask_ = 0;
  std::vector<Pages> child_memory_;
  std::vector<std::unique_ptr<char[]>> texts_;
  char* text_at_ = nullptr;
  char* text_end_ = nullptr;
  std::atomic<std::uint32_t> child_count_{0};
  std::atomic<std::uint32_t> max_children_{0xFFFFFFFF};
  std::unordered_map<std::string_view, std::unique_ptr<data::SuperTableRef>> tables_;
  std::unordered_map<std::string_view, std::uint16_t> tag_keys_;
  std::deque<std::string> tag_key_names_;
};

}  // namespace penstock::schema
