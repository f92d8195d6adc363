#include "sink/request.h"

#include <fmt/format.h>

#include <algorithm>
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
bool needs_quotes(std::string_view name) {
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
  const auto& columns = ref.shape->columns;
  for (std::size_t s = 0; s < columns.size(); ++s)
    if (data::is_variable(version.columns[columns[s]].type) &&
        !(ref.shape->nullable && data::Shape::is_null(*ref.row, columns.size(), s)))
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

RequestPlanner::RequestPlanner(Window& window, const WriteOptions& options) : window_(window), options_(options) {
  const auto parts = window.parts();
  mixed_units_ = std::any_of(parts.begin(), parts.end(), [&](const Part& part) {
    return part.chunk->rows.time_unit() != parts.front().chunk->rows.time_unit();
  });
}

// Rows of a run from `begin` on that still fit into the request; at least one when the request is empty.
std::uint32_t RequestPlanner::piece(const TableRuns& table, std::uint32_t begin, std::uint32_t end,
                                    std::uint32_t rows_left, std::size_t& bytes_left) const {
  auto most = std::min({end - begin, rows_left, static_cast<std::uint32_t>(Limits::rows_per_table)});
  if (mixed_units_) {
    const auto unit_of = [&](std::uint32_t row) { return window_.chunk_of(window_.rows()[row]).rows.time_unit(); };
    std::uint32_t same = 1;
    while (same < most && unit_of(begin + same) == unit_of(begin)) ++same;
    most = std::min(most, same);
  }
  const std::size_t fixed = fixed_row_bytes(*table.version);
  std::uint32_t rows = 0;
  if (!has_text(*table.version)) {
    rows = static_cast<std::uint32_t>(std::min<std::size_t>(most, bytes_left / fixed));
    bytes_left -= rows * fixed;
    return rows;
  }
  while (rows < most) {
    const std::size_t bytes = fixed + text_bytes(window_.rows()[begin + rows], *table.version);
    if (bytes > bytes_left) break;
    bytes_left -= bytes;
    ++rows;
  }
  return rows;
}

bool RequestPlanner::next(Request& request) {
  request.runs.clear();
  request.rows = 0;
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
      if (!request.runs.empty() && (request.rows >= options_.batch_rows || bytes_left <= head)) return true;
      bytes_left -= std::min(head, bytes_left);
      std::uint32_t rows = piece(table, run.begin + at_.row, run.end, options_.batch_rows - request.rows, bytes_left);
      if (rows == 0) {
        if (!request.runs.empty()) return true;
        rows = 1;  // one row larger than the limit goes alone
      }
      request.version = table.version;
      request.addressing = wanted;
      request.runs.push_back({run.child, run.begin + at_.row, run.begin + at_.row + rows});
      request.rows += rows;
      at_.row += rows;
      if (run.begin + at_.row < run.end) return true;  // each child table once a request
      ++at_.run;
      at_.row = 0;
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

std::int64_t to_unit(std::int64_t time, data::Precision from, data::Precision to) noexcept {
  if (from == to) return time;
  const std::int64_t have = data::units_per_second(from);
  const std::int64_t want = data::units_per_second(to);
  if (want > have) return time * (want / have);
  const std::int64_t factor = have / want;
  return time / factor - (time % factor < 0 ? 1 : 0);
}

Built RequestBuilder::build(const Request& request, wire::Stmt2Encoder& encoder) {
  Built built;
  const bool with_tags = request.addressing != Addressing::existing;
  encoder.begin(static_cast<std::uint32_t>(with_tags ? request.version->tags.size() : 0),
                static_cast<std::uint32_t>(request.version->columns.size()));
  for (const Run& run : request.runs) {
    if (request.addressing == Addressing::quoted && needs_quotes(run.child->name)) {
      name_ = data::quote_identifier(run.child->name);
      encoder.begin_table(name_);
    } else {
      encoder.begin_table(run.child->name);
    }
    if (with_tags) put_tags(request, *run.child, encoder);
    put_run(request, run, encoder, built);
  }
  return built;
}

void RequestBuilder::put_tags(const Request& request, const data::ChildTable& child, wire::Stmt2Encoder& encoder) {
  const auto& version = *request.version;
  for (std::size_t t = 0; t < version.tags.size(); ++t) {
    const auto& column = version.tags[t];
    const data::Tag* tag = nullptr;
    for (const auto& candidate : child.created_by->tags)
      if (candidate.key == version.tag_keys[t]) tag = &candidate;
    if (tag == nullptr) {
      encoder.null_tag(column.type);
      continue;
    }
    // The schema stage has made sure that nothing is lost.
    data::Slot bits = 0;
    if (!schema::coerce(schema::scalar_of(*tag), column, bits, tag_text_)) encoder.null_tag(column.type);
    else if (data::is_variable(column.type)) encoder.text_tag(column.type, tag_text_);
    else encoder.fixed_tag(column.type, bits);
  }
}

RequestBuilder::Cell RequestBuilder::cell_of(const RowRef& ref, std::size_t column) const noexcept {
  const auto slot = ref.shape->slot_of(column);
  if (slot == schema::kNoSlot) return {CellState::not_given, 0};
  if (ref.shape->nullable && data::Shape::is_null(*ref.row, ref.shape->columns.size(), slot))
    return {CellState::null, 0};
  return {CellState::value, ref.row->slots()[slot]};
}

bool RequestBuilder::in_order(const Run& run) {
  const auto rows = window_.rows().subspan(run.begin, run.size());
  times_.resize(rows.size());
  bool ordered = true;
  // The rows of a run lie far apart: fetched ahead here, they are in the cache when the columns are read.
  constexpr std::size_t kAhead = 12;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + kAhead < rows.size()) {
      const auto* const ahead = reinterpret_cast<const char*>(rows[i + kAhead].row);
      __builtin_prefetch(ahead);
      __builtin_prefetch(ahead + 64);
    }
    times_[i] = to_database(rows[i].row->time);
    ordered &= i == 0 || times_[i] > times_[i - 1];
  }
  return ordered;
}

void RequestBuilder::sort_and_join(const Request& request, const Run& run, Built& built) {
  const auto rows = window_.rows().subspan(run.begin, run.size());
  sorted_.assign(rows.begin(), rows.end());
  const auto key_column = request.version->composite_key;
  const auto compare_key = [&](const RowRef& a, const RowRef& b) {
    if (key_column == schema::kNoSlot) return 0;
    const Cell left = cell_of(a, key_column);
    const Cell right = cell_of(b, key_column);
    if (left.state != CellState::value || right.state != CellState::value)
      return static_cast<int>(left.state) - static_cast<int>(right.state);
    if (data::is_variable(request.version->columns[key_column].type))
      return data::text_of(left.slot).compare(data::text_of(right.slot));
    return left.slot < right.slot ? -1 : left.slot > right.slot ? 1 : 0;
  };
  std::stable_sort(sorted_.begin(), sorted_.end(), [&](const RowRef& a, const RowRef& b) {
    const auto left = to_database(a.row->time);
    const auto right = to_database(b.row->time);
    return left != right ? left < right : compare_key(a, b) < 0;
  });
  groups_.clear();
  times_.clear();
  for (std::uint32_t i = 0; i < sorted_.size(); ++i) {
    const auto time = to_database(sorted_[i].row->time);
    if (!times_.empty() && times_.back() == time && compare_key(sorted_[groups_.back()], sorted_[i]) == 0) {
      built.merged_parts.push_back(sorted_[i].part);
      continue;
    }
    times_.push_back(time);
    groups_.push_back(i);
  }
  groups_.push_back(static_cast<std::uint32_t>(sorted_.size()));
  if (data::units_per_second(unit_) <= data::units_per_second(precision_)) return;
  // Rows of a group that differ in the input's own unit were joined only because the database is coarser.
  std::vector<std::int64_t> times;
  for (std::size_t g = 0; g + 1 < groups_.size(); ++g) {
    if (groups_[g + 1] - groups_[g] < 2) continue;
    times.clear();
    for (auto i = groups_[g]; i < groups_[g + 1]; ++i) times.push_back(sorted_[i].row->time);
    std::sort(times.begin(), times.end());
    built.by_precision += static_cast<std::uint32_t>(std::unique(times.begin(), times.end()) - times.begin() - 1);
  }
}

template <class CellAt>
void RequestBuilder::put_column(const data::Column& column, std::uint32_t rows, const CellAt& cell_at,
                                wire::Stmt2Encoder& encoder) {
  bool any_value = false;
  bool any_null = false;
  std::size_t bytes = 0;
  // DECIMAL128 stands behind a pointer; the others of a fixed size in the slot itself.
  const bool decimal = column.type == data::Type::decimal64 || column.type == data::Type::decimal128;
  const std::size_t size = data::fixed_size(column.type);
  for (std::uint32_t i = 0; i < rows; ++i) {
    const Cell cell = cell_at(i);
    any_null |= cell.state == CellState::null;
    if (cell.state != CellState::value) continue;
    any_value = true;
    if (size == 0) bytes += data::text_of(cell.slot).size();
  }
  if (!any_value && !any_null) {
    encoder.absent_column(column.type, rows);
    return;
  }
  if (size == 0) {
    const auto out = encoder.variable_column(column.type, rows, bytes);
    char* data = out.data;
    for (std::uint32_t i = 0; i < rows; ++i) {
      const Cell cell = cell_at(i);
      out.state[i] = static_cast<std::uint8_t>(cell.state);
      const auto value = cell.state == CellState::value ? data::text_of(cell.slot) : std::string_view();
      if (!value.empty()) std::memcpy(data, value.data(), value.size());
      data += value.size();
      wire::store(out.lengths + 4 * std::size_t{i}, static_cast<std::int32_t>(value.size()));
    }
    return;
  }
  const auto out = decimal ? encoder.decimal_column(column.type, rows) : encoder.fixed_column(column.type, rows);
  for (std::uint32_t i = 0; i < rows; ++i) {
    Cell cell = cell_at(i);
    out.state[i] = static_cast<std::uint8_t>(cell.state);
    char* const slot = out.values + size * i;
    if (cell.state != CellState::value) {
      std::memset(slot, 0, size);
      continue;
    }
    if (column.type == data::Type::timestamp)
      cell.slot = data::slot_of(to_database(static_cast<std::int64_t>(cell.slot)));
    if (column.type == data::Type::decimal128) std::memcpy(slot, reinterpret_cast<const char*>(cell.slot), size);
    else std::memcpy(slot, &cell.slot, size);
  }
}

namespace {

// The common case by far: all rows of a run give the column from the same slot.
template <class T>
void put_fixed(const RowRef* rows, std::uint32_t count, std::uint16_t slot, wire::FixedColumn out) {
  std::memset(out.state, 0, count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto value = static_cast<T>(rows[i].row->slots()[slot]);
    std::memcpy(out.values + sizeof(T) * i, &value, sizeof(T));
  }
}

}  // namespace

void RequestBuilder::put_run(const Request& request, const Run& run, wire::Stmt2Encoder& encoder, Built& built) {
  const auto& columns = request.version->columns;
  unit_ = window_.chunk_of(window_.rows()[run.begin]).rows.time_unit();
  const bool joined = !in_order(run);
  if (joined) sort_and_join(request, run, built);
  const auto count = static_cast<std::uint32_t>(times_.size());
  const auto times = encoder.fixed_column(data::Type::timestamp, count);
  std::memset(times.state, 0, count);
  std::memcpy(times.values, times_.data(), count * sizeof(std::int64_t));

  if (joined) {
    const auto merged_cell = [&](std::uint32_t row, std::size_t column) {
      for (auto at = groups_[row + 1]; at-- > groups_[row];) {
        const Cell cell = cell_of(sorted_[at], column);
        if (cell.state != CellState::not_given) return cell;
      }
      return Cell{CellState::not_given, 0};
    };
    for (std::size_t c = 1; c < columns.size(); ++c)
      put_column(
          columns[c], count, [&](std::uint32_t row) { return merged_cell(row, c); }, encoder);
    return;
  }
  const RowRef* const rows = window_.rows().data() + run.begin;
  const auto* const shape = rows[0].shape;
  const bool uniform =
      !shape->nullable && std::all_of(rows, rows + count, [&](const RowRef& ref) { return ref.shape == shape; });
  for (std::size_t c = 1; c < columns.size(); ++c) {
    const auto& column = columns[c];
    // Times come in the rows' unit.
    if (uniform && !(column.type == data::Type::timestamp && unit_ != precision_)) {
      const auto slot = shape->slot_of(c);
      if (slot == schema::kNoSlot) {
        encoder.absent_column(column.type, count);
        continue;
      }
      switch (column.type == data::Type::decimal64 ? 0 : data::fixed_size(column.type)) {
        case 1: put_fixed<std::uint8_t>(rows, count, slot, encoder.fixed_column(column.type, count)); continue;
        case 2: put_fixed<std::uint16_t>(rows, count, slot, encoder.fixed_column(column.type, count)); continue;
        case 4: put_fixed<std::uint32_t>(rows, count, slot, encoder.fixed_column(column.type, count)); continue;
        case 8: put_fixed<std::uint64_t>(rows, count, slot, encoder.fixed_column(column.type, count)); continue;
        default: break;
      }
    }
    put_column(
        column, count, [&](std::uint32_t row) { return cell_of(rows[row], c); }, encoder);
  }
}

}  // namespace penstock::sink
