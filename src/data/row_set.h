#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/memory_budget.h"
#include "data/types.h"

/// What a parser makes of one chunk of text. Rows are row-major, so that a window can hold millions of them by pointer
/// and still read a whole row from one or two cache lines when it builds the columns of a child table's run.
namespace penstock::data {

class SuperTableRef;  // identity of a super table over the whole run; schema/registry.h
class Series;         // one spelling of a child table; schema/registry.h

/// Value of one field of one row: eight bytes.
/// - BOOL: 0 or 1; signed integers: sign-extended int64; unsigned: zero-extended; TIMESTAMP: int64
/// - FLOAT: the bits of the float, zero-extended; DOUBLE: the bits of the double; DECIMAL64: int64
/// - variable length: a pointer to a Text in the RowSet's memory (see text()).
/// - DECIMAL128: a pointer to 16 bytes
using Slot = std::uint64_t;

/// A value of variable length as it lies in a RowSet: u32 length, then the bytes (unescaped, UTF-8 for NCHAR).
inline std::string_view text_of(Slot slot) noexcept {
  const auto* at = reinterpret_cast<const char*>(slot);
  std::uint32_t length = 0;
  std::memcpy(&length, at, sizeof length);
  return {at + sizeof length, length};
}
inline Slot slot_of(std::int64_t value) noexcept { return static_cast<Slot>(value); }
inline Slot slot_of(double value) noexcept { return std::bit_cast<Slot>(value); }
inline Slot slot_of(float value) noexcept { return std::bit_cast<std::uint32_t>(value); }

/// Head of a row; the slots of its shape follow directly (and its null words when the shape has them).
struct Row {
  std::uint32_t child = 0;   ///< dense id of the child table over the whole run
  std::uint32_t shape = 0;   ///< index into RowSet::shapes()
  std::uint32_t offset = 0;  ///< of the record in the chunk's text
  std::uint32_t length = 0;  ///< of the record, without its line end
  std::int64_t time = 0;     ///< in RowSet::time_unit()

  [[nodiscard]] const Slot* slots() const noexcept { return reinterpret_cast<const Slot*>(this + 1); }
  [[nodiscard]] Slot* slots() noexcept { return reinterpret_cast<Slot*>(this + 1); }
};
static_assert(sizeof(Row) == 24);

/// Marks a row that the schema stage refused after parsing; lanes pass over it.
inline constexpr std::uint32_t kRefusedShape = 0xFFFFFFFF;

/// Name and type of one field, as the rows of a shape give it.
struct Field {
  std::string_view name;  ///< unescaped, in the RowSet's memory
  Type type = Type::null;
};

struct ResolvedShape;  // columns of the super table behind the fields; schema/growth.h

/// The fields of some rows of a chunk in the order of their slots: rows that give the same fields in the same order
/// share it. A row stores only the fields that it gives: what is not in the shape is "not given", never NULL.
struct Shape {
  SuperTableRef* table = nullptr;
  std::vector<Field> fields;
  /// Longest value in bytes of each field over the rows committed so far; 0 for fixed types.
  std::vector<std::uint32_t> max_length;
  /// With nullable set, ceil(fields / 64) words follow the slots of each row: bit f of word f / 64 set = explicit NULL.
  bool nullable = false;
  std::uint32_t rows = 0;  ///< rows committed with this shape
  /// Filled by the schema stage before the rows go to lanes; nullptr: the rows of this shape were refused.
  const ResolvedShape* resolved = nullptr;

  [[nodiscard]] std::size_t null_words() const noexcept { return nullable ? (fields.size() + 63) / 64 : 0; }
  [[nodiscard]] std::size_t row_bytes() const noexcept {
    return sizeof(Row) + (fields.size() + null_words()) * sizeof(Slot);
  }
  [[nodiscard]] static bool is_null(const Row& row, std::size_t fields, std::size_t field) noexcept {
    return (row.slots()[fields + field / 64] >> (field % 64)) & 1;
  }
};

/// Why a record was refused. `code` is what the server's schemaless insert answers to the same record (low 16 bits),
/// 0 where the server has no opinion (CSV, our own limits).
struct Reason {
  std::uint16_t code = 0;
  std::string text;  ///< one sentence without the place: "tag value is empty"
};

/// A record that a parser or the schema stage refused.
struct Reject {
  std::uint32_t offset = 0;  ///< in the chunk's text
  std::uint32_t length = 0;  ///< of the record without its line end
  std::uint32_t column = 0;  ///< byte in the record where it went wrong, from 1; 0: the record as a whole
  Reason reason;
  std::uint32_t line = 0;  ///< in the chunk, from 1; 0: not counted; filled by the pipeline
};

/// A place in the text that no row tells of, but that says what the rows behind it are: chunks are parsed in any order,
/// so parsers note it and the serial stage judges.
struct Mark {
  enum class Kind : std::uint8_t {
    database,  ///< rows of this database follow ("# CONTEXT-DATABASE: x" of a dump)
    head,      ///< the lines that describe the rows that follow: a reject file needs them too (annotated CSV)
  };
  std::uint32_t offset = 0;  ///< in the chunk's text
  std::string_view text;     ///< in the RowSet's memory (add_name())
  Kind kind = Kind::database;
};

/// The rows of one chunk. Filled by one worker, then handed on; immutable once the schema stage is done with it.
/// Its memory comes in slabs charged to the budget, given back when the set is destroyed.
class RowSet {
 public:
  explicit RowSet(MemoryBudget* budget = nullptr) : budget_(budget) {}
  RowSet(const RowSet&) = delete;
  RowSet& operator=(const RowSet&) = delete;
  ~RowSet();

  // --- building: one worker ---

  void set_time_unit(Precision unit) noexcept { time_unit_ = unit; }
  /// Index of a new shape. `nullable` as in Shape.
  std::uint32_t add_shape(SuperTableRef* table, std::span<const Field> fields, bool nullable = false);
  [[nodiscard]] Shape& shape(std::uint32_t index) noexcept { return shapes_[index]; }

  /// Memory for a row of up to `bytes`; valid until commit_row() or the next begin_row(). Not counted until committed.
  Row* begin_row(std::size_t bytes) {
    if (static_cast<std::size_t>(row_end_ - row_at_) < bytes) [[unlikely]]
      new_row_slab(bytes);
    return reinterpret_cast<Row*>(row_at_);
  }
  /// Keeps the row begun last. `row->shape` must be set; `bytes` is shapes()[row->shape].row_bytes().
  void commit_row(std::size_t bytes) noexcept {
    row_at_ += bytes;
    ++row_count_;
  }

  /// Memory for a text of up to `most` bytes, to be filled from the returned pointer plus four; nothing is kept until
  /// commit_text(). Several texts may be open at once only if they are committed in order.
  char* begin_text(std::size_t most) {
    if (static_cast<std::size_t>(text_end_ - text_at_) < most + sizeof(std::uint32_t)) [[unlikely]]
      new_text_slab(most);
    return text_at_ + sizeof(std::uint32_t);
  }
  Slot commit_text(std::uint32_t length) noexcept {
    std::memcpy(text_at_, &length, sizeof length);
    const auto slot = reinterpret_cast<Slot>(text_at_);
    text_at_ += sizeof length + length;
    return slot;
  }
  Slot add_text(std::string_view text) {
    std::memcpy(begin_text(text.size()), text.data(), text.size());
    return commit_text(static_cast<std::uint32_t>(text.size()));
  }
  /// Keeps a name for as long as the set lives.
  std::string_view add_name(std::string_view name);

  /// Tells that a row uses a series that the schema stage has not admitted yet (Series::state()). Call before
  /// commit_row() of that row, once per such row.
  void note_fresh(Series* series, Row* row) { fresh_.push_back({series, row}); }

  void reject(Reject&& reject) { rejects_.push_back(std::move(reject)); }

  /// In the order of the text.
  void note_mark(Mark mark) { marks_.push_back(mark); }

  /// Line ends in the chunk's text, for line numbers; records that are neither row nor reject (comments, blank lines).
  void set_lines(std::uint64_t lines) noexcept { lines_ = lines; }

  // --- reading ---

  struct Fresh {
    Series* series;
    Row* row;
  };
  [[nodiscard]] Precision time_unit() const noexcept { return time_unit_; }
  [[nodiscard]] std::vector<Shape>& shapes() noexcept { return shapes_; }
  [[nodiscard]] const std::vector<Shape>& shapes() const noexcept { return shapes_; }
  [[nodiscard]] std::size_t row_count() const noexcept { return row_count_; }
  [[nodiscard]] std::span<Fresh> fresh() noexcept { return fresh_; }
  [[nodiscard]] std::vector<Reject>& rejects() noexcept { return rejects_; }
  [[nodiscard]] std::span<const Mark> marks() const noexcept { return marks_; }
  /// The lines that describe the record at `offset`, without the last line end; empty where records need none.
  [[nodiscard]] std::string_view head_of(std::uint32_t offset) const noexcept {
    std::string_view head;
    for (const auto& mark : marks_) {
      if (mark.offset > offset) break;
      if (mark.kind == Mark::Kind::head) head = mark.text;
    }
    return head;
  }
  /// Records that leave_out_rows() and leave_out_rejects() took away.
  [[nodiscard]] std::size_t left_out() const noexcept { return left_out_rows_ + left_out_rejects_; }
  /// All records, also rejected and left out ones; before the schema stage, which rejects rows that are counted here.
  [[nodiscard]] std::size_t record_count() const noexcept { return row_count_ + rejects_.size() + left_out_rejects_; }
  [[nodiscard]] std::uint64_t lines() const noexcept { return lines_; }
  /// Memory taken, as charged to the budget.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Charges memory that others hold for as long as this set lives.
  void charge(std::size_t bytes) noexcept {
    bytes_ += bytes;
    if (budget_ != nullptr) budget_->charge(bytes);
  }

  /// Calls `visit(Row&)` for every committed row in input order.
  template <class Visit>
  void for_each_row(Visit&& visit) {
    seal_row_slab();
    for (const auto& slab : row_slabs_) {
      for (char* at = slab.begin; at < slab.used;) {
        Row& row = *reinterpret_cast<Row*>(at);
        // The stride survives a refusal: refuse() keeps the shape's size in the row's place (see refuse()).
        at += row.shape == kRefusedShape ? static_cast<std::size_t>(row.slots()[0]) : shapes_[row.shape].row_bytes();
        visit(row);
      }
    }
  }

  /// Takes a committed row out: lanes pass over it. Needs a shape of at least one field, which every row has.
  void refuse(Row& row) noexcept {
    const auto bytes = shapes_[row.shape].row_bytes();
    row.shape = kRefusedShape;
    row.slots()[0] = bytes;
  }

  /// Takes the rows out for which `out(const Row&)` holds, as if they were not in the input: no reject tells of them,
  /// and their shapes count and measure only the rows that stay, so that they make no table, column or width. Before
  /// the schema stage. Returns how many.
  template <class Out>
  std::size_t leave_out_rows(Out&& out) {
    std::vector<char> touched;
    std::size_t count = 0;
    for_each_row([&](Row& row) {
      if (row.shape == kRefusedShape || !out(static_cast<const Row&>(row))) return;
      touched.resize(shapes_.size());
      touched[row.shape] = 1;
      --shapes_[row.shape].rows;
      refuse(row);
      ++count;
    });
    if (count > 0) measure_again(touched);
    left_out_rows_ += count;
    return count;
  }
  /// The same for rejects of the parser.
  template <class Out>
  std::size_t leave_out_rejects(Out&& out) {
    const auto count = std::erase_if(rejects_, std::forward<Out>(out));
    left_out_rejects_ += count;
    return count;
  }

 private:
  // Of the pool when it has the pool's size, else of the heap.
  class Slab {
   public:
    explicit Slab(std::size_t least);
    Slab(Slab&& other) noexcept
        : begin(other.begin), used(other.used), size(other.size), memory_(std::exchange(other.memory_, nullptr)) {}
    Slab& operator=(Slab&&) = delete;
    ~Slab();
    char* begin;
    char* used;
    std::size_t size;

   private:
    char* memory_;
  };
  void new_row_slab(std::size_t bytes);
  void new_text_slab(std::size_t bytes);
  void seal_row_slab() noexcept {
    if (!row_slabs_.empty()) row_slabs_.back().used = row_at_;
  }
  Slab make_slab(std::size_t least);
  void measure_again(std::span<const char> touched);

  MemoryBudget* budget_;
  std::size_t bytes_ = 0;
  Precision time_unit_ = Precision::nanoseconds;
  std::vector<Shape> shapes_;
  std::vector<Slab> row_slabs_;
  std::vector<Slab> text_slabs_;
  char* row_at_ = nullptr;
  char* row_end_ = nullptr;
  char* text_at_ = nullptr;
  char* text_end_ = nullptr;
  std::size_t row_count_ = 0;
  std::vector<Fresh> fresh_;
  std::vector<Reject> rejects_;
  std::vector<Mark> marks_;
  std::size_t left_out_rows_ = 0;
  std::size_t left_out_rejects_ = 0;
  std::uint64_t lines_ = 0;
};

}  // namespace penstock::data
