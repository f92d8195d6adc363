#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/md5.h"
#include "data/row_set.h"
#include "data/schema.h"
#include "data/types.h"

namespace penstock::schema {
struct TableState;  // what the schema stage knows of a super table; schema/growth.h
}

/// Super tables, child tables and series of a run. There may be many millions of the last two: what each of them takes
/// is counted in bytes.
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

/// What the series with the same keys in the same order have in common: where the values stand in their raw bytes.
struct TagLayout {
  struct Part {
    std::string_view name;  ///< of the key
    std::uint32_t gap = 0;  ///< bytes between the value before (or the start of the raw bytes) and this one, or kApart
    std::uint16_t key = 0;
    Type type = Type::nchar;
  };
  static constexpr std::uint32_t kApart = 0xFFFFFFFF;  ///< not in the raw bytes: kept behind the lengths
  std::vector<Part> parts;
  std::uint64_t serial = 0;  ///< no other layout of the process has it
  std::uint32_t tail = 0;    ///< bytes of the raw text behind the last value in it
};

/// The tags of a series, in the order of the text. A series keeps only the lengths of its values: a byte each, in place
/// of 16. What begin() and [] lead to is worked out when they are called, in memory of the calling thread, and stays
/// until it has looked at the tags of kViews other series.
class TagList {
 public:
  static constexpr std::size_t kViews = 4;
  TagList() = default;
  TagList(const TagLayout* layout, const char* lengths) : layout_(layout), lengths_(lengths) {}
  [[nodiscard]] std::size_t size() const noexcept { return layout_ == nullptr ? 0 : layout_->parts.size(); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] const Tag* begin() const { return decode(); }
  [[nodiscard]] const Tag* end() const { return decode() + size(); }
  [[nodiscard]] const Tag& operator[](std::size_t i) const { return decode()[i]; }
  [[nodiscard]] const TagLayout* layout() const noexcept { return layout_; }
  /// Whether value i has at most most[i] bytes, for all of them.
  [[nodiscard]] bool within(const std::vector<std::uint32_t>& most) const noexcept {
    const char* at = lengths_;
    for (const auto limit : most) {
      std::uint32_t length = static_cast<unsigned char>(*at++);
      if (length == 255) [[unlikely]] {
        std::memcpy(&length, at, sizeof length);
        at += sizeof length;
      }
      if (length > limit) return false;
    }
    return true;
  }

 private:
  const Tag* decode() const;

  const TagLayout* layout_ = nullptr;
  const char* lengths_ = nullptr;  // where the raw bytes end: u8 each, 255 before a u32; then the values kept apart
};

/// Name of a child table: 17 bytes, for nearly all names are "t_" and 32 hexadecimal digits of an MD5.
class TableName {
 public:
  TableName() = default;
  /// Points to `name` unless it is of that form: `name` must live as long.
  explicit TableName(std::string_view name) noexcept;
  /// "t_" and the digits of `digest`.
  explicit TableName(const Md5& digest) noexcept : is_digest_(true) {
    std::memcpy(bytes_, digest.data(), sizeof bytes_);
  }

  /// The name as text. Views of it live as long as it does.
  class Text {
   public:
    operator std::string_view() const noexcept { return view(); }
    [[nodiscard]] std::string_view view() const noexcept { return {long_ == nullptr ? digits_ : long_, size_}; }

   private:
    friend class TableName;
    const char* long_ = nullptr;
    std::uint32_t size_ = 0;
    char digits_[34];
  };
  [[nodiscard]] Text text() const noexcept;
  explicit operator std::string() const { return std::string(text().view()); }

  [[nodiscard]] bool is_digest() const noexcept { return is_digest_; }
  [[nodiscard]] std::size_t size() const noexcept { return is_digest_ ? sizeof(Text::digits_) : plain().size(); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] char front() const noexcept { return is_digest_ ? 't' : plain().front(); }
  [[nodiscard]] char back() const noexcept { return text().view().back(); }
  [[nodiscard]] bool contains(char c) const noexcept { return text().view().find(c) != std::string_view::npos; }
  /// A hash of the name; good in the upper half.
  [[nodiscard]] std::uint64_t hash() const noexcept;
  friend bool operator==(const TableName& a, const TableName& b) noexcept {
    if (a.is_digest_ != b.is_digest_) return false;
    return a.is_digest_ ? std::memcmp(a.bytes_, b.bytes_, sizeof a.bytes_) == 0 : a.plain() == b.plain();
  }
  friend bool operator==(const TableName& a, std::string_view b) noexcept { return a.text().view() == b; }

 private:
  [[nodiscard]] std::string_view plain() const noexcept {
    const char* at = nullptr;
    std::uint32_t size = 0;
    std::memcpy(&at, bytes_, sizeof at);
    std::memcpy(&size, bytes_ + sizeof at, sizeof size);
    return {at, size};
  }
  char bytes_[16] = {};  // the digest, or address and u32 length
  bool is_digest_ = false;
};

/// A child table of the run: 40 bytes.
struct ChildTable {
  SuperTableRef* table = nullptr;
  /// The tags it is created with: those of the series that the schema stage admitted first. Schema stage writes it
  /// before any row goes to a lane.
  const Series* created_by = nullptr;
  std::uint32_t id = 0;  ///< dense, from 0, in order of discovery (which depends on the threads: never show it)
  TableName name;
  /// Lane thread only: the server is known to have it, so the statement without tags serves.
  bool exists = false;
};

/// One spelling of a child table: the raw bytes of measurement and tags (or of the tag fields of a CSV record). Several
/// spellings may mean one child table (tags in another order, other escapes). The raw bytes lie directly behind it, and
/// the lengths of the tags' values behind them.
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
  ChildTable* child = nullptr;
  std::uint32_t child_id = 0;  ///< child->id
  std::uint32_t id = 0;        ///< dense over the run, from 0: an index for what a worker remembers of the series

 private:
  std::atomic<State> state_{State::fresh};

 public:
  TagList tags;  ///< in the order of the text
};
static_assert(sizeof(ChildTable) == 40 && sizeof(Series) == 56);

}  // namespace penstock::data
