#include "sink/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "data/schema.h"
#include "schema/coerce.h"

namespace penstock::sink {
namespace {

using data::Limits;
using data::Slot;
using wire::CellState;

bool is_tbname(std::string_view name) {
  static constexpr std::string_view kName = "tbname";
  return name.size() == kName.size() && std::equal(name.begin(), name.end(), kName.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
         });
}

// The stb(tbname, …) form cannot list a column or tag of that name.
bool needs_using_form(const schema::TableVersion& version) {
  const auto named = [](const data::Column& column) { return is_tbname(column.name); };
  return std::any_of(version.columns.begin(), version.columns.end(), named) ||
         std::any_of(version.tags.begin(), version.tags.end(), named);
}

// A name that begins with a quote is read as quoted text.
bool needs_quotes(const data::TableName& name) {
  return !name.empty() && (name.front() == '\'' || name.front() == '"' || name.front() == '`');
}

std::string names(const std::vector<data::Column>& columns) {
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "" : ",") + data::quote_identifier(column.name);
  return list;
}

std::string marks(std::size_t count) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) list += i == 0 ? "?" : ",?";
  return list;
}

// Bytes of a row in a request when all its columns are given, without texts: value, state, and length of each.
std::size_t fixed_row_bytes(const schema::TableVersion& version) {
  std::size_t bytes = 0;
  for (const auto& column : version.columns)
    bytes += 1 + (data::is_variable(column.type) ? 4 : data::fixed_size(column.type));
  return bytes;
}

bool has_text(const schema::TableVersion& version) {
  return std::any_of(version.columns.begin(), version.columns.end(),
                     [](const data::Column& column) { return data::is_variable(column.type); });
}

std::size_t text_bytes(const RowRef& ref, const schema::TableVersion& version) {
  std::size_t bytes = 0;
  const auto& shape = ref.shape();
  const auto& columns = shape.columns;
  for (std::size_t s = 0; s < columns.size(); ++s)
    if (data::is_variable(version.columns[columns[s]].type) &&
        !(shape.nullable && data::Shape::is_null(*ref.row, columns.size(), s)))
      bytes += data::text_of(ref.row->slots()[s]).size();
  return bytes;
}

}  // namespace

std::string insert_statement(const schema::TableVersion& version, Addressing addressing) {
  const std::string table = data::quote_identifier(version.ref->name);
  if (addressing == Addressing::quoted)
    return fmt::format("INSERT INTO ? USING {} ({}) TAGS ({}) ({}) VALUES ({})", table, names(version.tags),
                       marks(version.tags.size()), names(version.columns), marks(version.columns.size()));
  if (addressing == Addressing::existing)
    return fmt::format("INSERT INTO {} (tbname,{}) VALUES (?,{})", table, names(version.columns),
                       marks(version.columns.size()));
  return fmt::format("INSERT INTO {} (tbname,{},{}) VALUES (?,{})", table, names(version.columns), names(version.tags),
                     marks(version.columns.size() + version.tags.size()));
}

RequestPlanner::RequestPlanner(Window& window, const WriteOptions& options)
    : window_(window), options_(options), noted_times_(window.take_times()), order_(options.precision) {
  const auto parts = window.parts();
  mixed_units_ = std::any_of(parts.begin(), parts.end(), [&](const Part& part) {
    return part.chunk->rows.time_unit() != parts.front().chunk->rows.time_unit();
  });
}

// Sorts what follows in a run: all of it, or in windows of mixed sources the rows up to the next other unit, for a
// table's rows have one unit in a request.
void RequestPlanner::begin_stretch(const TableRuns& table, const Run& run) {
  const auto rows = window_.rows().subspan(run.begin, run.size());
  const auto unit_of = [&](std::uint32_t row) { return window_.chunk_of(rows[row]).rows.time_unit(); };
  const auto unit = unit_of(at_.row);
  at_.stretch = run.size();
  if (mixed_units_) {
    at_.stretch = at_.row + 1;
    while (at_.stretch < run.size() && unit_of(at_.stretch) == unit) ++at_.stretch;
  }
  at_.stretch_begin = at_.row;
  // Times that differ only in the source's unit leave the order to the second key.
  const bool by_second_key = table.version->composite_key != schema::kNoSlot && unit != options_.precision;
  if (mixed_units_ || !run.ordered || by_second_key) {
    const auto length = at_.stretch - at_.row;
    const auto noted = noted_times_.empty() ? noted_times_ : noted_times_.subspan(run.begin + at_.row, length);
    at_.distinct = order_.sort(rows.subspan(at_.row, length), noted, unit, *table.version);
  } else {
    const auto coarser = static_cast<std::uint64_t>(UnitChange(unit, options_.precision).parts());
    at_.distinct = window_.least_gap() >= coarser;
  }
}

// How much of the present stretch still fits into the request; at least one row when the request is empty.
RequestPlanner::Piece RequestPlanner::cut(const TableRuns& table, const Run& run, std::uint32_t keys_left,
                                          std::size_t& bytes_left) const {
  const auto rows = std::span<const RowRef>(window_.rows()).subspan(run.begin + at_.row, at_.stretch - at_.row);
  const auto most = std::min(keys_left, static_cast<std::uint32_t>(Limits::rows_per_table));
  const std::size_t fixed = fixed_row_bytes(*table.version);
  const bool texts = has_text(*table.version);
  const bool joins_any = !run.ordered && !at_.distinct;
  if (!joins_any && !texts) {
    const auto count = static_cast<std::uint32_t>(std::min({rows.size(), std::size_t{most}, bytes_left / fixed}));
    bytes_left -= count * fixed;
    return {count, count};
  }
  const auto times = joins_any ? order_.times().subspan(at_.row - at_.stretch_begin) : std::span<const std::int64_t>();
  Piece piece;
  for (; piece.rows < rows.size(); ++piece.rows) {
    const RowRef& ref = rows[piece.rows];
    const bool joins = joins_any && piece.rows > 0 && times[piece.rows] == times[piece.rows - 1] &&
                       compare_composite(ref, rows[piece.rows - 1], *table.version) == 0;
    if (!joins && piece.keys == most) break;
    const std::size_t bytes = (joins ? 0 : fixed) + (texts ? text_bytes(ref, *table.version) : 0);
    if (bytes > bytes_left) break;
    bytes_left -= bytes;
    piece.keys += !joins;
  }
  return piece;
}

bool RequestPlanner::next(Request& request) {
  request.runs.clear();
  request.rows = 0;
  request.keys = 0;
  std::size_t bytes_left = options_.batch_bytes;
  auto& tables = window_.tables();
  while (at_.table < tables.size()) {
    const TableRuns& table = tables[at_.table];
    if (at_.pass == 0 && at_.run == 0 && at_.row == 0) {
      const bool using_form = needs_using_form(*table.version);
      kind_.resize(table.runs.size());
      for (std::size_t i = 0; i < table.runs.size(); ++i) {
        const auto& child = *table.runs[i].child;
        kind_[i] = using_form || needs_quotes(child.name) ? Addressing::quoted
                   : child.exists                         ? Addressing::existing
                                                          : Addressing::creating;
      }
    }
    static constexpr Addressing kPasses[] = {Addressing::quoted, Addressing::creating, Addressing::existing};
    const Addressing wanted = kPasses[at_.pass];
    while (at_.run < table.runs.size()) {
      if (kind_[at_.run] != wanted) {
        ++at_.run;
        continue;
      }
      const Run& run = table.runs[at_.run];
      // Tags and the table's name take room too; a rough figure is enough.
      const std::size_t head = 64 + (wanted == Addressing::existing ? 0 : 64 * table.version->tags.size());
      if (!request.runs.empty() && (request.keys >= options_.batch_rows || bytes_left <= head)) return true;
      bytes_left -= std::min(head, bytes_left);
      if (at_.row == at_.stretch) begin_stretch(table, run);
      Piece piece = cut(table, run, options_.batch_rows - request.keys, bytes_left);
      if (piece.rows == 0) {
        if (!request.runs.empty()) return true;
        piece = {1, 1};  // one row larger than the limit goes alone
      }
      request.version = table.version;
      request.shape = table.shape;
      request.addressing = wanted;
      const auto begin = run.begin + at_.row;
      request.runs.push_back({run.child, begin, begin + piece.rows, piece.keys, run.ordered, at_.distinct});
      request.rows += piece.rows;
      request.keys += piece.keys;
      at_.row += piece.rows;
      if (run.begin + at_.row < run.end) return true;  // each child table once a request
      ++at_.run;
      at_.row = 0;
      at_.stretch = 0;
    }
    at_.run = 0;
    if (++at_.pass == 3) {
      at_.pass = 0;
      ++at_.table;
    }
    if (!request.runs.empty()) return true;
  }
  return false;
}

Built RequestBuilder::build(const Request& request, wire::Stmt2Encoder& encoder) {
  Built built;
  const bool with_tags = request.addressing != Addressing::existing;
  encoder.begin(static_cast<std::uint32_t>(with_tags ? request.version->tags.size() : 0),
                static_cast<std::uint32_t>(request.version->columns.size()));
  for (const Run& run : request.runs) {
    const auto name = run.child->name.text();
    if (request.addressing == Addressing::quoted && needs_quotes(run.child->name)) {
      name_ = data::quote_identifier(name);
      encoder.begin_table(name_);
    } else {
      encoder.begin_table(name.view());
    }
    if (with_tags) put_tags(request, *run.child, encoder);
    put_run(request, run, encoder, built);
  }
  return built;
}

void RequestBuilder::put_tags(const Request& request, const data::ChildTable& child, wire::Stmt2Encoder& encoder) {
  const auto& version = *request.version;
  const data::Tag* const given = child.created_by->tags.begin();
  const std::size_t count = child.created_by->tags.size();
  for (std::size_t t = 0; t < version.tags.size(); ++t) {
    const auto& column = version.tags[t];
    const auto has_key = [key = version.tag_keys[t]](const data::Tag& tag) { return tag.key == key; };
    // They mostly stand in the order of the table's tags.
    const data::Tag* tag = t < count && has_key(given[t]) ? &given[t] : std::find_if(given, given + count, has_key);
    if (tag == given + count) tag = nullptr;
    if (tag == nullptr) {
      encoder.null_tag(column.type);
      continue;
    }
    // The schema stage has made sure that nothing is lost.
    const auto value = schema::scalar_of(*tag);
    data::Slot bits = 0;
    if (value.type == column.type && data::is_variable(column.type)) encoder.text_tag(column.type, value.text);
    else if (!schema::coerce(value, column, bits, tag_text_)) encoder.null_tag(column.type);
    else if (data::is_variable(column.type)) encoder.text_tag(column.type, tag_text_);
    else encoder.fixed_tag(column.type, bits);
  }
}

namespace {

// The rows of a run lie far apart: they are asked for before it is their turn, also those of the run behind it.
class Ahead {
 public:
  Ahead(std::span<const RowRef> all, const RowRef& first)
      : end_(all.data() + all.size()),
        bytes_(std::min(kMostBytes, sizeof(data::Row) + first.shape().columns.size() * sizeof(Slot))) {}
  // A call of a function that does nothing but this is taken for one without effect.
  [[gnu::always_inline]] inline void fetch(const RowRef* at) const noexcept {
    if (end_ - at <= kRows) return;
    const auto* const row = reinterpret_cast<const char*>(at[kRows].row);
    for (std::size_t line = 0; line < bytes_; line += kLine) __builtin_prefetch(row + line);
    __builtin_prefetch(row + bytes_ - 1);
  }

 private:
  static constexpr std::ptrdiff_t kRows = 32;
  static constexpr std::size_t kLine = 64;
  static constexpr std::size_t kMostBytes = 4 * kLine;  // of longer ones the processor sees what comes next
  const RowRef* end_;
  std::size_t bytes_;
};

}  // namespace

// Fills times_ with what is left of the rows when equal keys, which stand together, are joined. True if any were: then
// groups_ tells which.
bool RequestBuilder::find_groups(std::span<const RowRef> rows, const schema::TableVersion& version, Built& built) {
  times_.resize(rows.size());
  bool rising = true;
  const Ahead ahead(window_.rows(), rows.front());
  UnitChange(unit_, precision_).with([&](auto to_database) {
    std::int64_t last = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      ahead.fetch(&rows[i]);
      const std::int64_t time = to_database(rows[i].row->time);
      rising &= i == 0 || time > last;
      times_[i] = last = time;
    }
  });
  if (rising) return false;
  groups_.clear();
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    if (count > 0 && times_[count - 1] == times_[i] && compare_composite(rows[groups_.back()], rows[i], version) == 0) {
      built.merged_parts.push_back(rows[i].part());
      continue;
    }
    times_[count++] = times_[i];
    groups_.push_back(i);
  }
  groups_.push_back(static_cast<std::uint32_t>(rows.size()));
  times_.resize(count);
  if (count == rows.size()) return false;
  if (data::units_per_second(unit_) > data::units_per_second(precision_)) count_by_precision(rows, built);
  return true;
}

// Rows of a group that differ in the input's own unit were joined only because the database is coarser.
void RequestBuilder::count_by_precision(std::span<const RowRef> rows, Built& built) {
  std::vector<std::int64_t> times;
  for (std::size_t g = 0; g + 1 < groups_.size(); ++g) {
    if (groups_[g + 1] - groups_[g] < 2) continue;
    times.clear();
    for (auto i = groups_[g]; i < groups_[g + 1]; ++i) times.push_back(rows[i].row->time);
    std::sort(times.begin(), times.end());
    built.by_precision += static_cast<std::uint32_t>(std::unique(times.begin(), times.end()) - times.begin() - 1);
  }
}

// Spreads the rows over states_ and slots_, row by row in input order, so that what comes later wins.
void RequestBuilder::stage_rows(std::span<const RowRef> rows, bool joined, std::size_t columns, std::size_t count) {
  states_.assign(columns * count, static_cast<std::uint8_t>(CellState::not_given));
  slots_.resize(columns * count);
  std::uint8_t* const states = states_.data();
  data::Slot* const slots = slots_.data();
  const auto stage = [=](const RowRef& ref, std::size_t at) {
    const std::uint16_t* const given = ref.shape().columns.data();
    const std::size_t fields = ref.shape().columns.size();
    const data::Slot* const from = ref.row->slots();
    for (std::size_t s = 0; s < fields; ++s) {
      const std::size_t cell = given[s] * count + at;
      states[cell] = static_cast<std::uint8_t>(CellState::value);
      slots[cell] = from[s];
    }
    if (!ref.shape().nullable) return;
    for (std::size_t s = 0; s < fields; ++s)
      if (data::Shape::is_null(*ref.row, fields, s))
        states[given[s] * count + at] = static_cast<std::uint8_t>(CellState::null);
  };
  if (!joined) {
    for (std::size_t i = 0; i < count; ++i) stage(rows[i], i);
    return;
  }
  for (std::size_t g = 0; g < count; ++g)
    for (auto i = groups_[g]; i < groups_[g + 1]; ++i) stage(rows[i], g);
}

namespace {

using Pair = Slot __attribute__((vector_size(16)));

// Two slots that lie side by side, of rows that lie anywhere, to where each has its column.
void copy_pair(const char* const* rows, std::size_t count, std::ptrdiff_t offset, char* first, char* second) {
  std::size_t i = 0;
  for (; i + 2 <= count; i += 2) {
    const auto upper = wire::load<Pair>(rows[i] + offset);
    const auto lower = wire::load<Pair>(rows[i + 1] + offset);
    wire::store(first + 8 * i, __builtin_shufflevector(upper, lower, 0, 2));
    wire::store(second + 8 * i, __builtin_shufflevector(upper, lower, 1, 3));
  }
  if (i == count) return;
  wire::store(first + 8 * i, wire::load<Slot>(rows[i] + offset));
  wire::store(second + 8 * i, wire::load<Slot>(rows[i] + offset + 8));
}

template <class T>
void copy_one(const char* const* rows, std::size_t count, std::ptrdiff_t offset, char* to) {
  for (std::size_t i = 0; i < count; ++i)
    wire::store(to + sizeof(T) * i, static_cast<T>(wire::load<Slot>(rows[i] + offset)));
}

template <class T>
void put_cells(const std::uint8_t* states, const data::Slot* slots, std::uint32_t count, wire::FixedColumn out) {
  std::memcpy(out.state, states, count);
  for (std::uint32_t i = 0; i < count; ++i)
    wire::store(out.values + sizeof(T) * i, states[i] == 0 ? static_cast<T>(slots[i]) : T{0});
}

}  // namespace

void RequestBuilder::put_staged(const data::Column& column, std::size_t at, std::uint32_t count,
                                wire::Stmt2Encoder& encoder) {
  static_assert(static_cast<int>(CellState::value) == 0);
  const std::uint8_t* const states = states_.data() + at * count;
  data::Slot* const slots = slots_.data() + at * count;
  if (std::all_of(states, states + count,
                  [](std::uint8_t state) { return state == static_cast<std::uint8_t>(CellState::not_given); })) {
    encoder.absent_column(column.type, count);
    return;
  }
  if (data::is_variable(column.type)) {
    std::size_t bytes = 0;
    for (std::uint32_t i = 0; i < count; ++i)
      if (states[i] == 0) bytes += data::text_of(slots[i]).size();
    const auto out = encoder.variable_column(column.type, count, bytes);
    std::memcpy(out.state, states, count);
    char* data = out.data;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto value = states[i] == 0 ? data::text_of(slots[i]) : std::string_view();
      if (!value.empty()) std::memcpy(data, value.data(), value.size());
      data += value.size();
      wire::store(out.lengths + 4 * std::size_t{i}, static_cast<std::int32_t>(value.size()));
    }
    return;
  }
  if (column.type == data::Type::decimal128) {  // stands behind a pointer
    const auto out = encoder.decimal_column(column.type, count);
    std::memcpy(out.state, states, count);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (states[i] == 0) std::memcpy(out.values + 16 * std::size_t{i}, reinterpret_cast<const char*>(slots[i]), 16);
      else std::memset(out.values + 16 * std::size_t{i}, 0, 16);
    }
    return;
  }
  if (column.type == data::Type::timestamp && unit_ != precision_) {
    for (std::uint32_t i = 0; i < count; ++i)
      if (states[i] == 0) slots[i] = data::slot_of(to_unit(static_cast<std::int64_t>(slots[i]), unit_, precision_));
  }
  const auto out = column.type == data::Type::decimal64 ? encoder.decimal_column(column.type, count)
                                                        : encoder.fixed_column(column.type, count);
  switch (data::fixed_size(column.type)) {
    case 1: put_cells<std::uint8_t>(states, slots, count, out); break;
    case 2: put_cells<std::uint16_t>(states, slots, count, out); break;
    case 4: put_cells<std::uint32_t>(states, slots, count, out); break;
    default: put_cells<std::uint64_t>(states, slots, count, out); break;
  }
}

// Whether each column has all its values in one slot, as they are sent.
bool RequestBuilder::uniform(const Request& request, std::span<const RowRef> rows) const {
  const auto& shape = rows.front().shape();
  if (shape.nullable) return false;
  if (request.shape != &shape &&
      !std::all_of(rows.begin(), rows.end(), [&](const RowRef& ref) { return &ref.shape() == &shape; }))
    return false;
  return std::all_of(shape.columns.begin(), shape.columns.end(), [&](std::uint16_t index) {
    const auto type = request.version->columns[index].type;
    return !data::is_variable(type) && type != data::Type::decimal64 && type != data::Type::decimal128 &&
           !(type == data::Type::timestamp && unit_ != precision_);
  });
}

// The common case by far. Some rows at a time, so that each comes from memory once. `timed`: times_ is filled.
void RequestBuilder::put_uniform(const Request& request, std::span<const RowRef> rows, bool timed,
                                 wire::Stmt2Encoder& encoder) {
  const auto& columns = request.version->columns;
  const auto& shape = rows.front().shape();
  const auto count = static_cast<std::uint32_t>(rows.size());
  std::size_t bytes = 0;
  for (const auto& column : columns) bytes += wire::Stmt2Encoder::fixed_column_bytes(column.type, count);
  encoder.reserve_columns(bytes);
  targets_.clear();
  const auto times = encoder.fixed_column(data::Type::timestamp, count);
  std::memset(times.state, 0, count);
  static_assert(offsetof(data::Row, time) + sizeof(Slot) == sizeof(data::Row), "the time lies before the slots");
  if (timed) std::memcpy(times.values, times_.data(), count * sizeof(std::int64_t));
  else targets_.push_back({times.values, sizeof(std::int64_t), -static_cast<std::ptrdiff_t>(sizeof(Slot))});
  for (std::size_t c = 1; c < columns.size(); ++c) {
    const auto type = columns[c].type;
    const auto slot = shape.slot_of(c);
    if (slot == schema::kNoSlot) {
      encoder.absent_column(type, count);
      continue;
    }
    const auto out = encoder.fixed_column(type, count);
    std::memset(out.state, 0, count);
    targets_.push_back({out.values, data::fixed_size(type), static_cast<std::ptrdiff_t>(slot * sizeof(Slot))});
  }

  constexpr std::uint32_t kAtOnce = 16;
  const char* from[kAtOnce];
  const Ahead ahead(window_.rows(), rows.front());
  for (std::uint32_t at = 0; at < count; at += kAtOnce) {
    const auto some = std::min(kAtOnce, count - at);
    for (std::uint32_t i = 0; i < some; ++i) {
      ahead.fetch(&rows[at + i]);
      from[i] = reinterpret_cast<const char*>(rows[at + i].row->slots());
    }
    for (auto target = targets_.begin(); target != targets_.end(); ++target) {
      char* const to = target->values + at * target->size;
      const auto next = target + 1;
      switch (target->size) {
        case 1: copy_one<std::uint8_t>(from, some, target->offset, to); break;
        case 2: copy_one<std::uint16_t>(from, some, target->offset, to); break;
        case 4: copy_one<std::uint32_t>(from, some, target->offset, to); break;
        default:
          if (next != targets_.end() && next->size == 8 && next->offset == target->offset + 8)
            copy_pair(from, some, target++->offset, to, next->values + at * next->size);
          else copy_one<std::uint64_t>(from, some, target->offset, to);
          break;
      }
    }
  }
  if (timed || unit_ == precision_) return;
  UnitChange(unit_, precision_).with([&](auto to_database) {
    for (char* time = times.values; time != times.values + 8 * std::size_t{count}; time += 8)
      wire::store(time, to_database(wire::load<std::int64_t>(time)));
  });
}

void RequestBuilder::put_run(const Request& request, const Run& run, wire::Stmt2Encoder& encoder, Built& built) {
  const auto& columns = request.version->columns;
  const auto rows = std::span<const RowRef>(window_.rows()).subspan(run.begin, run.size());
  unit_ = window_.chunk_of(rows.front()).rows.time_unit();
  const bool is_uniform = uniform(request, rows);
  if (is_uniform && run.distinct) return put_uniform(request, rows, false, encoder);
  const bool joined = find_groups(rows, *request.version, built);
  if (is_uniform && !joined) return put_uniform(request, rows, true, encoder);
  const auto count = static_cast<std::uint32_t>(times_.size());
  const auto times = encoder.fixed_column(data::Type::timestamp, count);
  std::memset(times.state, 0, count);
  std::memcpy(times.values, times_.data(), count * sizeof(std::int64_t));
  stage_rows(rows, joined, columns.size(), count);
  for (std::size_t c = 1; c < columns.size(); ++c) put_staged(columns[c], c, count, encoder);
}

}  // namespace penstock::sink
