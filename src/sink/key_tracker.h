#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/types.h"
#include "sink/window.h"

namespace penstock::sink {

/// What tells a row from the others of its child table.
struct Key {
  std::int64_t time = 0;     ///< in the database's precision
  std::uint64_t second = 0;  ///< of tables with a composite key: hash_key() of the value of that column
  auto operator<=>(const Key&) const = default;
};

/// Hash of a composite key's value: of a text its bytes, of a number the 64 bits that it is extended to.
std::uint64_t hash_key(std::string_view text) noexcept;
std::uint64_t hash_key(std::uint64_t number) noexcept;

/// Remembers the keys of all rows that the server acknowledged, so that they can be looked for afterwards (--verify).
/// Regular series take next to nothing: runs of equal steps are kept as three numbers. Irregular ones take 2 to 6 bytes
/// a row; past `max_bytes` they go to a file without a name that only this process can read. Beside that a child table
/// takes about 110 bytes.
///
/// add() is called by the lane threads, each with its own number and child tables; everything else from one thread when
/// no lane is at work.
class KeyTracker {
 public:
  struct Options {
    std::uint32_t lanes = 1;
    data::Precision precision = data::Precision::milliseconds;  ///< of the database
    std::size_t max_bytes = std::size_t{64} << 20;              ///< of keys in memory, all lanes together
    std::size_t max_sorted = std::size_t{4} << 20;              ///< keys that are sorted at a time
    std::filesystem::path directory;                            ///< for files; empty: the system's for temporary files
  };
  explicit KeyTracker(Options options);
  ~KeyTracker();
  KeyTracker(const KeyTracker&) = delete;
  KeyTracker& operator=(const KeyTracker&) = delete;

  /// Takes the rows of a window that was written; those that were rejected are passed over. Never throws for want of
  /// space: failure() tells.
  void add(std::uint32_t lane, Window& window);
  /// The same for one row.
  void add(std::uint32_t child, const Key& key, bool composite);

  /// Why keys were lost (a full disk); empty: all are there.
  [[nodiscard]] std::string failure() const;

  /// Calls `visit(child id)` for every child table with rows.
  void for_each_child(const std::function<void(std::uint32_t)>& visit) const;
  /// Rows of a child table, equal keys included.
  [[nodiscard]] std::uint64_t rows(std::uint32_t child) const;
  /// Calls `visit` with the keys of a child table, each once and in ascending order, some at a time. A child table with
  /// more unordered keys than are sorted at a time is gone through several times. Throws Error(Errc::io).
  void for_each_key(std::uint32_t child, const std::function<void(std::span<const Key>)>& visit) const;
  /// Bytes in memory, and in files.
  [[nodiscard]] std::uint64_t memory_bytes() const;
  [[nodiscard]] std::uint64_t file_bytes() const;

 private:
  struct Steps;
  struct Child;
  struct Lane;
  void note(Lane& lane, Child& child, const Key& key, bool composite);
  void spill(Lane& lane);
  Child& child_of(std::uint32_t id);
  [[nodiscard]] const Child* find(std::uint32_t id) const;
  template <class Visit>
  void for_each_run(std::uint32_t id, Visit&& visit) const;
  void sort_range(std::uint32_t id, std::int64_t from, std::int64_t to, std::uint64_t count,
                  const std::function<void(std::span<const Key>)>& visit) const;

  const Options options_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace penstock::sink
