#include "format/ndjson_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "data/types.h"
#include "simd/bytes.h"
#include "simd/json.h"

namespace penstock::format {
namespace {

constexpr unsigned kMostDepth = 16;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  for (;;) {
    const auto quote = text.find('"');
    to.append(text.substr(0, quote));
    if (quote == std::string_view::npos) break;
    to += "\"\"";
    text.remove_prefix(quote + 1);
  }
  to += '"';
}

bool is_blank(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > '\0' && c <= ' '; });
}

/// Visits the records of a text: visit(begin, length).
template <class Visit>
void for_each_record(std::string_view text, NdjsonLayout layout, Visit&& visit) {
  if (layout == NdjsonLayout::objects) {
    for (std::size_t at = 0;;) {
      const auto record = simd::next_json_record(text.substr(at), true);
      if (record.kind == simd::JsonRecord::Kind::none) return;
      visit(at + record.begin, record.end - record.begin);
      at += record.end;
    }
  }
  for (std::size_t at = 0; at < text.size();) {
    const auto newline = std::min(text.find('\n', at), text.size());
    auto line = text.substr(at, newline - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!is_blank(line)) visit(at, line.size());
    at = newline + 1;
  }
}

// A piece without what it was cut through.
std::string_view whole_records(std::string_view piece, bool first, NdjsonLayout layout) {
  if (!first) {
    const auto newline = piece.find('\n');
    piece.remove_prefix(newline == std::string_view::npos ? piece.size() : newline + 1);
  }
  if (layout == NdjsonLayout::lines) {
    const auto newline = piece.rfind('\n');
    // A text of one line is whole, or far too long to tell anything.
    return first && newline == std::string_view::npos ? piece : piece.substr(0, newline + 1);
  }
  std::size_t end = 0;
  for (;;) {
    const auto record = simd::next_json_record(piece.substr(end), false);
    if (record.kind == simd::JsonRecord::Kind::need_more || record.kind == simd::JsonRecord::Kind::none) break;
    end += record.end;
  }
  return piece.substr(0, end);
}

}  // namespace

NdjsonLayout ndjson_layout(std::string_view head) noexcept {
  const auto start = head.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || head[start] != '{') return NdjsonLayout::objects;
  const auto line = head.substr(start, head.find('\n', start) - start);
  const auto found = simd::json_object_end(line);
  if (found.kind != simd::JsonEnd::Kind::whole) {
    // A broken first line is still a line when the next one starts an object too.
    const auto next = head.find_first_not_of(" \t\r\n", start + line.size());
    return next != std::string_view::npos && head[next] == '{' ? NdjsonLayout::lines : NdjsonLayout::objects;
  }
  return is_blank(line.substr(found.at)) ? NdjsonLayout::lines : NdjsonLayout::objects;
}

bool NdjsonFlattener::read(std::string_view record, std::string& why) {
  const auto stop = reader_.read(record);
  if (stop == JsonReader::kFailed) {
    why = fmt::format("byte {}: {}", reader_.error_at() + 1, reader_.error());
    return false;
  }
  if (reader_.nodes().front().kind != JsonNode::Kind::object) {
    why = "a record is a JSON object";
    return false;
  }
  if (!is_blank(record.substr(stop))) {
    why = fmt::format("byte {}: text stands behind the object", stop + 1);
    return false;
  }
  cells_.clear();
  prefix_.clear();
  paths_.clear();
  places_.clear();
  add(0, 0, 0);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto [offset, cell] = places_[i];
    const auto end = i + 1 < places_.size() ? places_[i + 1].first : paths_.size();
    cells_[cell].path = std::string_view(paths_).substr(offset, end - offset);
  }
  return true;
}

void NdjsonFlattener::add(std::uint32_t object, std::size_t prefix, unsigned depth) {
  const auto& nodes = reader_.nodes();
  for (std::uint32_t at = object + 1; at < nodes[object].next; at = nodes[at].next) {
    const auto& node = nodes[at];
    if (node.kind == JsonNode::Kind::object && node.children > 0 && depth < kMostDepth) {
      prefix_.resize(prefix);
      prefix_ += node.key;
      prefix_ += '.';
      add(at, prefix_.size(), depth + 1);
      continue;
    }
    if (depth > 0) {
      prefix_.resize(prefix);
      places_.emplace_back(paths_.size(), cells_.size());
      paths_ += prefix_;
      paths_ += node.key;
    }
    cells_.push_back({node.key, &node});
  }
}

Dialect NdjsonTranscoder::dialect() {
  Dialect made;
  made.why = {"JSON objects"};
  return made;
}

NdjsonTranscoder::NdjsonTranscoder(const NdjsonColumns& columns)
    : columns_(columns), words_((columns.paths.size() + 63) / 64), row_(columns.paths.size()) {
  for (std::size_t c = 0; c < columns.paths.size(); ++c) index_.emplace(columns.paths[c], c);
}

std::size_t NdjsonTranscoder::column_of(std::string_view path) {
  if (next_ < columns_.paths.size() && columns_.paths[next_] == path) return next_++;
  const auto at = index_.find(path);
  if (at == index_.end()) return kNone;
  next_ = at->second + 1;
  return at->second;
}

void NdjsonTranscoder::put(const JsonNode& node) {
  switch (node.kind) {
    case JsonNode::Kind::null: break;
    case JsonNode::Kind::boolean: csv_ += node.truth ? "true" : "false"; break;
    case JsonNode::Kind::number: csv_.append(node.begin, node.end); break;
    case JsonNode::Kind::string: append_quoted(csv_, node.text); break;
    default: append_quoted(csv_, {node.begin, static_cast<std::size_t>(node.end - node.begin)}); break;
  }
}

void NdjsonTranscoder::transcode(std::string_view text) {
  csv_.clear();
  records_.clear();
  present_.clear();
  extras_.clear();
  bad_.clear();
  for_each_record(text, columns_.layout, [&](std::size_t begin, std::size_t length) { object(text, begin, length); });
}

void NdjsonTranscoder::object(std::string_view text, std::size_t begin, std::size_t length) {
  const auto start = static_cast<std::uint32_t>(begin);
  const auto size = static_cast<std::uint32_t>(length);
  std::string why;
  if (!flattener_.read(text.substr(begin, length), why)) {
    bad_.push_back({start, size, std::move(why)});
    return;
  }
  std::fill(row_.begin(), row_.end(), nullptr);
  const auto first_extra = extras_.size();
  std::size_t known = 0;
  next_ = 0;
  for (const auto& cell : flattener_.cells()) {
    const auto c = column_of(cell.path);
    const bool again = c != kNone ? row_[c] != nullptr
                                  : std::any_of(extras_.begin() + static_cast<std::ptrdiff_t>(first_extra),
                                                extras_.end(), [&](const Extra& e) { return e.path == cell.path; });
    if (again) {
      bad_.push_back({start, size, fmt::format("member '{}' stands twice", printable(cell.path, 60))});
      extras_.resize(first_extra);
      return;
    }
    if (c != kNone) {
      row_[c] = cell.node;
      ++known;
      continue;
    }
    if (cell.node->kind == JsonNode::Kind::null) continue;  // tells nothing about a column
    auto& extra = extras_.emplace_back();
    extra.record = records_.size();
    extra.path = cell.path;
    extra.kind = cell.node->kind;
    extra.truth = cell.node->truth;
    extra.number = cell.node->number;
    extra.text =
        extra.kind == JsonNode::Kind::string ? cell.node->text : std::string_view(cell.node->begin, cell.node->end);
  }
  records_.push_back(
      {start, size, static_cast<std::uint32_t>(csv_.size()), known < row_.size() || extras_.size() > first_extra});
  present_.resize(records_.size() * words_);
  auto* const present = present_.data() + (records_.size() - 1) * words_;
  for (std::size_t c = 0; c < row_.size(); ++c) {
    if (c > 0) csv_ += ',';
    if (row_[c] == nullptr) continue;
    present[c / 64] |= std::uint64_t{1} << (c % 64);
    put(*row_[c]);
  }
  csv_ += '\n';
}

NdjsonColumns ndjson_columns(const std::vector<std::string_view>& pieces) {
  NdjsonColumns columns;
  if (pieces.empty()) return columns;
  columns.layout = ndjson_layout(pieces.front());
  std::unordered_map<std::string, bool> seen;
  NdjsonFlattener flattener;
  std::string why;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto text = whole_records(pieces[i], i == 0, columns.layout);
    for_each_record(text, columns.layout, [&](std::size_t begin, std::size_t length) {
      if (!flattener.read(text.substr(begin, length), why)) return;
      for (const auto& cell : flattener.cells()) {
        if (columns.paths.size() >= data::Limits::columns) return;
        if (cell.node->kind == JsonNode::Kind::null) continue;  // until it has a value somewhere
        if (seen.emplace(cell.path, true).second) columns.paths.emplace_back(cell.path);
      }
    });
  }
  return columns;
}

CsvSample ndjson_sample(const NdjsonColumns& columns, const std::vector<std::string_view>& pieces,
                        const schema::CsvMapping& mapping) {
  std::string csv;
  for (const auto& path : columns.paths) {
    if (!csv.empty()) csv += ',';
    append_quoted(csv, path);
  }
  csv += '\n';
  NdjsonTranscoder transcoder(columns);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    transcoder.transcode(whole_records(pieces[i], i == 0, columns.layout));
    csv += transcoder.csv();
  }
  auto dialect = NdjsonTranscoder::dialect();
  dialect.columns = columns.paths.size();
  CsvSample sample(dialect, ndjson_mapping(mapping));
  sample.add_head(csv, 0, true);
  return sample;
}

schema::CsvMapping ndjson_mapping(schema::CsvMapping mapping) {
  mapping.header = schema::CsvMapping::Header::yes;
  mapping.names.clear();
  mapping.delimiter = ',';
  mapping.quote = '"';
  mapping.escape.reset();
  mapping.skip_lines = 0;
  return mapping;
}

}  // namespace penstock::format
