#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_infer.h"
#include "io/chunk.h"

namespace penstock::format {
namespace {

constexpr std::size_t kFirstRecords = 1'000;
constexpr std::size_t kFirstFields = 100'000;

// A file with more columns is refused whatever is kept of it, one with more of which all are kept too.
constexpr std::size_t kMostColumns = std::size_t{1} << 21;
constexpr std::size_t kMostKept = std::size_t{1} << 16;
constexpr std::size_t kFirstColumns = 64;

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Most fields need no decoding but that their quotes are taken off.
bool stands_as_meant(std::string_view& field, bool& quoted, const Dialect& dialect) noexcept {
  if (dialect.escape != '\0') return false;
  if (dialect.quote == '\0' || field.empty()) return true;
  const auto first = field.front();
  if (first != dialect.quote) {
    if (first != ' ' && first != '\t') return true;
    const auto start = field.find_first_not_of(" \t");
    return start == std::string_view::npos || field[start] != dialect.quote;
  }
  if (field.size() < 2 || field.back() != dialect.quote) return false;
  const auto inner = field.substr(1, field.size() - 2);
  if (inner.find(dialect.quote) != std::string_view::npos) return false;
  field = inner;
  quoted = true;
  return true;
}

[[noreturn]] void refuse_long_line(std::size_t bytes) {
  throw Error(Errc::config,
              fmt::format("its first line does not end within {} bytes; is it CSV, and do its quotes match?",
                          format_count(bytes)));
}

std::vector<std::string> names_in(const schema::CsvMapping& mapping) {
  std::vector<std::string> names = mapping.columns;
  for (const auto* const list : {&mapping.tags, &mapping.tags_as_columns, &mapping.drop_tags})
    names.insert(names.end(), list->begin(), list->end());
  for (const auto& [from, to] : mapping.rename) names.push_back(from);
  for (const auto& type : mapping.types) names.push_back(type.name);
  for (const auto* const name :
       {&mapping.timestamp, &mapping.clock, &mapping.table_column, &mapping.child_table_column})
    if (!name->empty()) names.push_back(*name);
  if (const auto plus = mapping.timestamp.find('+'); plus != std::string::npos) {
    names.push_back(mapping.timestamp.substr(0, plus));
    names.push_back(mapping.timestamp.substr(plus + 1));
  }
  const std::string_view pattern = mapping.child_table;
  for (auto at = pattern.find('{'); at != std::string_view::npos; at = pattern.find('{', at + 1))
    names.emplace_back(pattern.substr(at + 1, std::min(pattern.find('}', at), pattern.size()) - at - 1));
  return names;
}

}  // namespace

CsvSample::CsvSample(Dialect dialect, const schema::CsvMapping& mapping)
    : dialect_(std::move(dialect)),
      chosen_(!mapping.columns.empty()),
      left_out_(mapping.ignore.size() + mapping.drop_tags.size() + 4),  // clock, names of tables
      wanted_(names_in(mapping)),
      table_column_name_(mapping.table_column),
      skip_lines_(mapping.skip_lines),
      given_names_(mapping.names),
      nulls_(mapping.nulls.empty() ? schema::default_nulls() : mapping.nulls) {
  plain_starts_.fill(dialect_.escape == '\0');
  for (const char c : {' ', '\t', dialect_.quote}) plain_starts_[static_cast<unsigned char>(c)] = false;
  for (const auto& null : nulls_)
    if (!null.empty()) plain_starts_[static_cast<unsigned char>(null.front())] = false;
}

const TypeSummary& CsvSample::column(std::size_t index) const noexcept {
  static const TypeSummary nothing;
  const auto at = slot(index);
  return at == kNoSlot ? nothing : columns_[at];
}

void CsvSample::check_width() const {
  const auto named = width_ - unnamed_.size();
  const bool too_many = width_ > kMostKept || named > data::Limits::columns + left_out_;
  if (width_ <= kMostColumns && (chosen_ || !too_many)) return;
  throw Error(Errc::config,
              fmt::format("the file has {} columns ('{}', '{}', …), a super table at most {} with its tags; {}",
                          format_count(width_), printable(names_[0], 40), printable(names_[1], 40),
                          format_count(data::Limits::columns),
                          width_ > kMostColumns ? "cut out those to load first: cut -d, -f1-100 FILE | penstock load -"
                                                : "name those to load with --columns"));
}

// Of thousands of columns of which a few are kept, only those are worth looking at.
void CsvSample::choose_columns() {
  if (!chosen_ || width_ <= data::Limits::columns) return;
  slots_.assign(width_, kNoSlot);
  std::uint32_t next = 0;
  const auto take = [&](std::size_t column) {
    if (slots_[column] == kNoSlot) slots_[column] = next++;
  };
  for (std::size_t c = 0; c < kFirstColumns; ++c) take(c);
  for (const auto& name : wanted_)
    if (const auto column = column_by_name(names_, name)) take(*column);
  columns_.resize(next);
}

void CsvSample::set_width(std::size_t columns) {
  width_ = columns;
  for (auto& name : names_) name = std::string(trimmed(name));
  while (names_.size() < width_) names_.push_back(fmt::format("c{}", names_.size() + 1));
  for (std::size_t c = 0; c < names_.size(); ++c) {
    if (!names_[c].empty()) continue;
    names_[c] = fmt::format("c{}", c + 1);
    if (dialect_.header) unnamed_.insert(c);
  }
  check_width();
  columns_.resize(width_);
  choose_columns();
  if (!table_column_name_.empty()) table_column_ = column_by_name(names_, table_column_name_);
}

bool CsvSample::is_null(std::string_view text, bool quoted) const {
  return text.empty() || (!quoted && std::find(nulls_.begin(), nulls_.end(), trimmed(text)) != nulls_.end());
}

void CsvSample::add_record(std::string_view text, std::size_t begin, std::span<const std::uint32_t> ends) {
  // The header again, where files were put together.
  if (!header_.empty() && text.substr(begin, ends.back() - begin) == header_) return;
  const bool keep = first_.size() < kFirstRecords && first_fields_ + ends.size() <= kFirstFields;
  if (keep) first_.emplace_back();
  const auto field_at = [&](std::size_t c) {
    const auto from = c == 0 ? begin : ends[c - 1] + std::size_t{1};
    return text.substr(from, ends[c] - from);
  };
  std::vector<TypeSummary>* table = nullptr;
  if (table_column_ && *table_column_ < ends.size()) {
    const auto value = unquote(field_at(*table_column_), dialect_);
    if (!is_null(value.text, value.quoted)) {
      const auto name = trimmed(value.text);
      auto found = tables_.find(name);
      if (found == tables_.end() && tables_.size() < kMostTables)
        found = tables_.emplace(name, std::vector<TypeSummary>(columns_.size())).first;
      if (found != tables_.end()) table = &found->second;
    }
  }
  const bool padded = ends.back() + io::kPadding <= text.size();
  const bool usual = !keep && table == nullptr && slots_.empty();
  for (std::size_t c = 0; c < ends.size(); ++c) {
    if (usual && c < columns_.size()) [[likely]] {
      if (const auto raw = field_at(c); !raw.empty() && plain_starts_[static_cast<unsigned char>(raw.front())]) {
        columns_[c].add(raw, padded);
        continue;
      }
    }
    const auto at = slot(c);  // none: not looked at, or ragged: more fields than columns; only empty ones are harmless
    if (at == kNoSlot && !keep) continue;
    const auto raw = field_at(c);
    auto value = raw;
    bool quoted = false;
    FieldText decoded;
    if (!stands_as_meant(value, quoted, dialect_)) {
      decoded = unquote(raw, dialect_);
      value = decoded.text;
      quoted = decoded.quoted;
    }
    if (keep) first_.back().emplace_back(value);
    if (at == kNoSlot) continue;
    const bool null = is_null(value, quoted);
    if (null) ++columns_[at].nulls;
    else columns_[at].add(value);
    if (table == nullptr) continue;
    if (null) ++(*table)[at].nulls;
    else (*table)[at].add(value);
  }
  if (keep) first_fields_ += ends.size();
  ++records_;
}

/// Calls visit(text, begin, ends, cut) for each record as cut_record() cuts it: offsets are in the text given to visit,
/// which is the rest of `text` from `begin` on. Until it returns false.
template <class Visit>
void CsvSample::cut_records(std::string_view text, std::size_t begin, Visit&& visit) {
  text.remove_prefix(std::min(begin, text.size()));
  begin = 0;
  // The index reads a block behind its text, so it gets all but the last one. What it cannot finish is cut slowly.
  if (text.size() > 4 * io::kPadding && dialect_.escape == '\0') {
    const auto most = text.size() - io::kPadding;
    index_.start(text.substr(0, most), dialect_);
    while (index_.next()) {
      auto* const ends = index_.ends();
      std::uint32_t first = 0;
      const auto whole = index_.broken().empty() ? index_.record_ends().size() : index_.broken().front().record;
      for (std::size_t r = 0; r < whole; ++r) {
        const auto last = index_.record_ends()[r];
        const std::size_t end = ends[last - 1];
        if (end >= most) break;
        if (end > begin && text[end - 1] == '\r') --ends[last - 1];
        if (!visit(text, begin, std::span<const std::uint32_t>(ends + first, last - first), RecordCut{end, false, 0}))
          return;
        begin = end + 1;
        first = last;
      }
      if (!index_.broken().empty()) break;
    }
  }
  std::vector<std::uint32_t> ends;
  while (begin < text.size()) {
    ends.clear();
    const auto cut = cut_record(text, begin, dialect_, ends);
    if (!visit(text, begin, std::span<const std::uint32_t>(ends), cut)) return;
    begin = cut.end + 1;
  }
}

void CsvSample::add_records(std::string_view records, std::size_t first, bool whole) {
  cut_records(records, first,
              [&](std::string_view text, std::size_t begin, std::span<const std::uint32_t> ends, const RecordCut& cut) {
                if ((cut.open || cut.end >= text.size()) && !whole) return false;
                const bool blank = ends.size() == 1 && ends[0] == begin;
                if (!cut.open && !blank) {
                  if (width_ == 0) set_width(ends.size());
                  add_record(text, begin, ends);
                }
                return true;
              });
}

void CsvSample::add_head(std::string_view text, std::uint64_t offset, bool whole) {
  auto begin = skip_lines(text, skip_lines_ + dialect_.preamble);
  std::size_t width = 0;
  if (dialect_.header) {
    std::vector<std::uint32_t> ends;
    // Blank lines before the header are passed over.
    while (begin < text.size() &&
           (text[begin] == '\n' || (text[begin] == '\r' && begin + 1 < text.size() && text[begin + 1] == '\n')))
      begin += text[begin] == '\n' ? 1 : 2;
    if (begin < text.size()) {
      const auto cut = cut_record(text, begin, dialect_, ends);
      if (cut.end >= text.size() && !whole) refuse_long_line(text.size());
      if (!ends.empty()) header_ = text.substr(begin, ends.back() - begin);
      for (const auto end : ends) {
        names_.push_back(unquote(text.substr(begin, end - begin), dialect_).text);
        begin = end + std::size_t{1};
      }
      // "# time,value": the mark of a comment before the names.
      if (names_.size() > 1 && names_[0].size() > 1 && names_[0].front() == '#')
        names_[0].erase(0, std::max<std::size_t>(1, names_[0].find_first_not_of("# \t")));
      begin = std::min(cut.end + 1, text.size());
    }
    width = names_.size();
  }
  data_begin_ = offset + begin;
  if (!given_names_.empty()) names_ = given_names_;
  if (!dialect_.header && dialect_.columns > 0) {
    width = dialect_.columns;
    std::vector<std::uint32_t> ends;
    // sniff() has not seen the end of a record of megabytes.
    if (width > data::Limits::columns && cut_record(text, begin, dialect_, ends).end >= text.size() && !whole)
      refuse_long_line(text.size());
    width = std::max(width, ends.size());
  }
  width = std::max(width, names_.size());
  if (width > 0) set_width(width);
  add_records(text, begin, whole);
}

void CsvSample::add_middle(std::string_view piece) {
  const auto line_end = piece.find('\n');
  if (line_end == std::string_view::npos) return;
  cut_records(piece, line_end + 1,
              [&](std::string_view text, std::size_t begin, std::span<const std::uint32_t> ends, const RecordCut& cut) {
                if (cut.open || cut.end >= text.size()) return false;
                if (ends.size() == width_) add_record(text, begin, ends);
                return true;
              });
}

void CsvSample::add_chunk(std::string_view text) { add_records(text, 0, true); }

CsvSample CsvSample::empty_copy() const {
  CsvSample copy = *this;
  copy.columns_.assign(columns_.size(), {});
  copy.tables_.clear();
  copy.first_.clear();
  // Whole rows are wanted of the source's start only.
  copy.first_fields_ = kFirstFields + 1;
  copy.records_ = 0;
  return copy;
}

CsvSample CsvSample::of_table(std::string_view value) const {
  CsvSample copy = *this;
  copy.tables_.clear();
  if (const auto found = tables_.find(value); found != tables_.end()) {
    copy.columns_ = found->second;
    copy.one_of_several_ = true;
  }
  return copy;
}

void CsvSample::take_counts(CsvSample&& other) {
  columns_ = std::move(other.columns_);
  tables_ = std::move(other.tables_);
  records_ = other.records_;
}

void CsvSample::merge(const CsvSample& other) {
  const auto add = [](std::vector<TypeSummary>& to, const std::vector<TypeSummary>& from) {
    if (to.empty()) to.resize(from.size());
    for (std::size_t c = 0; c < std::min(to.size(), from.size()); ++c) to[c].merge(from[c]);
  };
  add(columns_, other.columns_);
  for (const auto& [value, columns] : other.tables_) {
    if (tables_.size() < kMostTables || tables_.count(value) > 0) add(tables_[value], columns);
  }
  records_ += other.records_;
}

}  // namespace penstock::format
