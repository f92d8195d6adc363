#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/row_set.h"
#include "data/schema.h"
#include "data/types.h"

/// Which tables rows belong to: identities that hold over the whole run, found from raw bytes without a lock.
namespace penstock::schema {
struct TableState;  // what the schema stage knows of a super table; schema/growth.h
}

namespace penstock::data {

/// Identity of a super table over the whole run. Address and name are stable.
class SuperTableRef {
 public:
  SuperTableRef(std::uint32_t number, std::string text) : id(number), name(std::move(text)) {}
  const std::uint32_t id;
  const std::string name;
  /// How the source declares the table (CSV: columns and tags with their types), nullptr when the rows tell (line
  /// protocol). Set before the first row of the table is parsed.
  std::unique_ptr<const SuperTable> declared;
  /// Schema stage only.
  schema::TableState* state = nullptr;
};

/// One tag of a series.
struct Tag {
  const char* bytes = nullptr;  ///< VARCHAR, NCHAR …: the text; fixed types: the little-endian image; never freed
  std::uint32_t length = 0;
  std::uint16_t key = 0;  ///< Registry::tag_key()
  Type type = Type::nchar;
  [[nodiscard]] std::string_view value() const noexcept { return {bytes, length}; }
};

/// A child table of the run.
struct ChildTable {
  std::uint32_t id = 0;    ///< dense, from 0, in order of discovery (which depends on the threads: never show it)
  std::uint64_t hash = 0;  ///< of super table and name: decides the lane, the same in every run
  SuperTableRef* table = nullptr;
  std::string_view name;
  /// The tags it is created with: those of the series that the schema stage admitted first. Schema stage writes it
  /// before any row goes to a lane.
  const Series* created_by = nullptr;
  /// Lane thread only: the server is known to have it, so the statement without tags serves.
  bool exists = false;
};

/// One spelling of a child table: the raw bytes of measurement and tags (or of the tag fields of a CSV record). Several
/// spellings may mean one child table (tags in another order, other escapes).
class Series {
 public:
  enum class State : std::uint8_t {
    fresh,     ///< not yet seen by the schema stage: rows must be noted with RowSet::note_fresh()
    admitted,  ///< its tags are in the super table's schema
    refused,   ///< its tags do not fit the super table: every row is refused; rows must be noted
  };
  [[nodiscard]] State state() const noexcept { return state_.load(std::memory_order_acquire); }
  void set_state(State state) noexcept { state_.store(state, std::memory_order_release); }

  // All that a row of a known series needs comes first: one cache line with the state.
  std::string_view raw;  ///< the key
  std::uint64_t hash = 0;
  std::uint32_t child_id = 0;  ///< child->id
  std::uint32_t id = 0;        ///< dense over the run, from 0: an index for what a worker remembers of the series
  ChildTable* child = nullptr;

 private:
  std::atomic<State> state_{State::fresh};

 public:
  std::span<const Tag> tags;  ///< in the order of the text
};

}  // namespace penstock::data

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

/// All series, child tables and super tables of a run. Any thread.
/// find() takes no lock and touches only memory that is never moved; insert() takes a mutex, once per spelling.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// The series with exactly these raw bytes, or nullptr. `hash` = hash_bytes(raw).
  [[nodiscard]] data::Series* find(std::uint64_t hash, std::string_view raw) const noexcept {
    const Index* index = index_.load(std::memory_order_acquire);
    for (std::size_t at = hash & index->mask;; at = (at + 1) & index->mask) {
      const auto packed = index->slots[at].load(std::memory_order_acquire);
      if (packed == 0) return nullptr;
      // The top 16 bits of an address are free on x86-64 and AArch64: they hold bits of the hash, so that a miss
      // in a probe chain seldom touches the series itself.
      if (packed >> 48 != hash >> 48) continue;
      auto* series = reinterpret_cast<data::Series*>(packed & 0x0000FFFFFFFFFFFF);
      if (series->hash == hash && series->raw == raw) return series;
    }
  }

  /// Adds a spelling (or returns the one that another thread added meanwhile), with its child and super table.
  /// Throws Error(Errc::limit) when more child tables than allowed would exist; the registry stays usable.
  data::Series* insert(std::uint64_t hash, std::string_view raw, const NewSeries& found);

  /// The super table of that name, made when it is new.
  data::SuperTableRef* table(std::string_view name);

  /// Number of a tag key, made when it is new; and back. At most 65,535 different keys.
  std::uint16_t tag_key(std::string_view key);
  [[nodiscard]] std::string_view tag_key_name(std::uint16_t key) const;

  [[nodiscard]] std::uint32_t child_count() const noexcept { return child_count_.load(std::memory_order_relaxed); }
  /// By dense id; only ids that a row carries.
  [[nodiscard]] data::ChildTable& child(std::uint32_t id) const noexcept {
    return child_blocks_[id >> kBlockBits].load(std::memory_order_acquire)[id & (kBlockSize - 1)];
  }
  [[nodiscard]] std::uint32_t series_count() const;
  void set_max_children(std::uint32_t most) noexcept { max_children_.store(most, std::memory_order_relaxed); }

 private:
  struct Index {
    explicit Index(std::size_t size) : mask(size - 1), slots(new std::atomic<std::uint64_t>[size]()) {}
    std::size_t mask;
    std::unique_ptr<std::atomic<std::uint64_t>[]> slots;
  };
  static constexpr unsigned kBlockBits = 14;
  static constexpr std::uint32_t kBlockSize = 1u << kBlockBits;
  static constexpr std::uint32_t kMaxBlocks = 1u << 15;

  static void put(Index& index, data::Series* series) noexcept;
  void grow_index();
  char* take(std::size_t bytes, std::size_t align);
  std::string_view keep(std::string_view text);
  data::ChildTable* child_of(data::SuperTableRef* table, std::string_view name);
  void grow_children();
  data::SuperTableRef* table_locked(std::string_view name);
  std::uint16_t tag_key_locked(std::string_view key);

  mutable std::mutex mutex_;  // guards everything below but the atomics
  std::atomic<Index*> index_;
  std::vector<std::unique_ptr<Index>> indexes_;  // replaced ones stay: a reader may still probe them
  std::uint32_t series_count_ = 0;
  std::vector<std::unique_ptr<char[]>> arena_;
  char* arena_at_ = nullptr;
  char* arena_end_ = nullptr;
  // Open addressing by ChildTable::hash, id + 1 in each slot: 4 to 8 bytes a child table where a node container
  // takes 48.
  std::vector<std::uint32_t> child_slots_;
  std::vector<std::unique_ptr<data::ChildTable[]>> child_memory_;
  std::unique_ptr<std::atomic<data::ChildTable*>[]> child_blocks_;
  std::atomic<std::uint32_t> child_count_{0};
  std::atomic<std::uint32_t> max_children_{0xFFFFFFFF};
  std::unordered_map<std::string_view, std::unique_ptr<data::SuperTableRef>> tables_;
  std::unordered_map<std::string_view, std::uint16_t> tag_keys_;
  std::deque<std::string> tag_key_names_;
};

}  // namespace penstock::schema
