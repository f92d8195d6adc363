#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "data/types.h"
#include "format/json_work.h"
#include "simd/bytes.h"

namespace penstock::format {
namespace {

using data::Limits;
using data::Series;
using data::Type;
using Kind = JsonNode::Kind;
using TagUse = schema::NamingRules::TagUse;

// Texts of one writer differ in few ways; beyond that the general path is as good.
constexpr std::size_t kMostForms = 256;
constexpr std::string_view kValueName = "_value";

}  // namespace

void JsonParser::Work::reject(std::size_t begin, std::size_t end, JsonError error) {
  const auto column = error.at == nullptr ? 0 : static_cast<std::uint32_t>(error.at - (text_.data() + begin)) + 1;
  rows_->reject({static_cast<std::uint32_t>(begin),
                 static_cast<std::uint32_t>(end - begin),
                 column,
                 {error.code, std::move(error.text)}});
}

void JsonParser::Work::broken_record(std::size_t begin, std::size_t end) {
  const auto text = text_.substr(begin, end - begin);
  if (text.front() != '{') return reject(begin, end, {0x0221, "this is no JSON object", nullptr});
  if (reader_.read(text) == JsonReader::kFailed)
    return reject(begin, end, {0x0221, reader_.error(), text.data() + reader_.error_at()});
  reject(begin, end, {0x0221, "text stands behind the object", nullptr});
}

void JsonParser::Work::general_record(std::size_t begin, std::size_t end) {
  const auto text = text_.substr(begin, end - begin);
  const auto stop = reader_.read(text);
  JsonError error;
  if (stop == JsonReader::kFailed) error = {0x0221, reader_.error(), text.data() + reader_.error_at()};
  else if (stop != text.size()) error = {0x0221, "the braces of the object do not match", text.data() + stop};
  else if (point(0, begin, end, error)) return;
  reject(begin, end, std::move(error));
}

void JsonParser::Work::parse_payload(std::string_view text) {
  const std::size_t start = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  rows_->set_lines(simd::count(text, '\n'));
  if (reader_.read(text, start) == JsonReader::kFailed)
    return reject(0, text.size(), {0x0221, reader_.error(), text.data() + reader_.error_at()});
  const auto& root = reader_.nodes().front();
  const auto offset = [&](const char* at) { return static_cast<std::size_t>(at - text.data()); };
  const auto refuse = [&](std::uint32_t at, JsonError error) {
    reject(offset(reader_.nodes()[at].begin), offset(reader_.nodes()[at].end), std::move(error));
  };
  JsonError error;
  if (root.kind == Kind::object) {
    if (!point(0, offset(root.begin), offset(root.end), error)) refuse(0, std::move(error));
    return;
  }
  if (root.kind != Kind::array) return refuse(0, {0x0221, "the payload is no object and no array", nullptr});
  if (root.children == 0) return refuse(0, {0x070F, "the array is empty", nullptr});
  for (std::uint32_t at = 1; at < root.next; at = reader_.nodes()[at].next) {
    const auto& node = reader_.nodes()[at];
    if (!point(at, offset(node.begin), offset(node.end), error)) refuse(at, std::exchange(error, {}));
  }
}

/// Makes a row of the object; false: `error` says why not.
bool JsonParser::Work::point(std::uint32_t node, std::size_t begin, std::size_t end, JsonError& error) {
  record_ = begin;
  const auto& nodes = reader_.nodes();
  const auto& root = nodes[node];
  static constexpr std::array<std::string_view, 4> kNames{"metric", "timestamp", "value", "tags"};
  std::array<std::uint32_t, 4> members{};  // 0: missing; the root itself comes before all
  if (root.kind != Kind::object) {
    error = {0x0221, fmt::format("a point is an object, not {}", json_kind_name(root.kind)), root.begin};
    return false;
  }
  for (std::uint32_t at = node + 1; at < root.next; at = nodes[at].next) {
    const auto name = std::find_if(kNames.begin(), kNames.end(),
                                   [&](std::string_view known) { return same_letters(known, nodes[at].key); });
    if (name == kNames.end()) {
      error = {0x0221, fmt::format("member '{}' is none of metric, timestamp, value, tags", shown_json(nodes[at].key)),
               nodes[at].begin};
      return false;
    }
    auto& member = members[static_cast<std::size_t>(name - kNames.begin())];
    if (member != 0) {
      error = {0x0221, fmt::format("member '{}' stands twice", *name), nodes[at].begin};
      return false;
    }
    member = at;
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (members[i] != 0) continue;
    error = {0x0221, fmt::format("member '{}' is missing", kNames[i]), nullptr};
    return false;
  }
  const auto& metric = nodes[members[0]];
  const auto& tags = nodes[members[3]];
  if (metric.kind != Kind::string) {
    error = {0x0221, fmt::format("the metric is {}, not a string", json_kind_name(metric.kind)), metric.begin};
    return false;
  }
  if (metric.text.empty() || metric.text.size() > Limits::table_name) {
    error = {0x020A, metric.text.empty() ? "the metric is empty" : "the metric is longer than 192 bytes", metric.begin};
    return false;
  }
  if (tags.kind != Kind::object || tags.children == 0) {
    error = {0x0221,
             tags.kind != Kind::object ? fmt::format("the tags are {}, not an object", json_kind_name(tags.kind))
                                       : "a point needs a tag",
             tags.begin};
    return false;
  }

  const std::string_view raw_metric(metric.begin, static_cast<std::size_t>(metric.end - metric.begin));
  const std::string_view raw_tags(tags.begin, static_cast<std::size_t>(tags.end - tags.begin));
  Series* series = nullptr;
  if (all_tags_) {
    const auto key = key_of(raw_metric, raw_tags);
    series = registry_.find(hash_bytes(key), key);
  }
  std::int64_t time = 0;
  auto time_kind = JsonTime::digits;
  JsonValue value;
  bool typed = false;
  if (series == nullptr && !read_tags(members[3], error)) return false;
  if (!read_time(members[1], time, time_kind, error) || !read_value(members[2], value, error, typed)) return false;
  if (value.type == Type::nchar && !is_valid_utf8(value.text)) {
    error = {0x0200, "an NCHAR value is not valid UTF-8", nodes[members[2]].begin};
    return false;
  }
  if (time < options_.range.first || time > options_.range.last) {
    error = {0x060B, "the timestamp is outside the time range of the database", nodes[members[1]].begin};
    return false;
  }
  if (series == nullptr) {
    series = make_series(metric.text, error);
    if (series == nullptr) return false;
  }
  auto& memory = memory_of(*series);
  if (memory.table == nullptr) memory.table = &table_of(series->child->table);
  if (!all_tags_) {
    put_columns_row(series, value, time, begin, end);
    return true;
  }
  auto* const row = rows_->begin_row(sizeof(data::Row) + sizeof(data::Slot));
  row->slots()[0] = data::is_variable(value.type) ? rows_->add_text(value.text) : value.slot;
  finish(row, series, value.type, time, begin, end - begin);
  if (options_.predict && !options_.payload_rules) learn(begin, end, members, time_kind, value.type, *series);
  return true;
}

/// Fills `tags_`.
bool JsonParser::Work::read_tags(std::uint32_t node, JsonError& error) {
  const auto& nodes = reader_.nodes();
  tags_.clear();
  for (std::uint32_t at = node + 1; at < nodes[node].next; at = nodes[at].next) {
    const auto key = nodes[at].key;
    if (key.empty() || key.size() > Limits::column_name) {
      error = {0x021F,
               key.empty() ? std::string("a tag has an empty name")
                           : fmt::format("the tag name '{}' is longer than 64 bytes", shown_json(key)),
               nodes[at].begin};
      return false;
    }
    auto& tag = tags_.emplace_back();
    tag.key = key;
    tag.node = &nodes[at];
    bool typed = false;
    if (!read_value(at, tag.value, error, typed)) {
      error.text = fmt::format("tag '{}': {}", shown_json(key), error.text);
      return false;
    }
    if (tag.value.type == Type::nchar && !is_valid_utf8(tag.value.text)) {
      error = {0x0200, fmt::format("tag '{}' is NCHAR and not valid UTF-8", shown_json(key)), nodes[at].begin};
      return false;
    }
    if (!data::is_variable(tag.value.type)) {
      std::memcpy(tag.image.data(), &tag.value.slot, sizeof tag.value.slot);
    }
    tag.use = all_tags_ ? TagUse::tag : options_.naming.use_of(key);
  }
  if (tags_.size() > Limits::tags) {
    error = {0x2643, "there are more than " + std::to_string(Limits::tags) + " tags", nodes[node].begin};
    return false;
  }
  sorted_.clear();
  for (const auto& tag : tags_)
    if (tag.use != TagUse::drop) sorted_.push_back(tag.key);
  sorted_.push_back(kValueName);
  sorted_.push_back(options_.naming.timestamp_name);
  std::sort(sorted_.begin(), sorted_.end());
  if (std::adjacent_find(sorted_.begin(), sorted_.end()) != sorted_.end()) {
    error = {0x263C,
             fmt::format("a name stands twice among the tags, '{}' and the timestamp column '{}'", kValueName,
                         options_.naming.timestamp_name),
             nodes[node].begin};
    return false;
  }
  const auto& naming = options_.naming;
  const bool joined = naming.table_name_key.empty() && !naming.child_table_delimiter.empty();
  const auto& named = !naming.table_name_key.empty() ? naming.table_name_key : naming.child_table_tag;
  for (const auto& tag : tags_) {
    if (tag.use != TagUse::tag || data::is_variable(tag.value.type) || !(joined || tag.key == named)) continue;
    error = {0x0221,
             fmt::format("tag '{}' is no string and cannot be part of the child table's name", shown_json(tag.key)),
             tag.node->begin};
    return false;
  }
  return true;
}

/// The series of the tags in `tags_`, registered.
Series* JsonParser::Work::make_series(std::string_view metric, JsonError& error) {
  found_.tags.clear();
  for (const auto& tag : tags_) {
    if (tag.use != TagUse::tag) continue;
    const bool text = data::is_variable(tag.value.type);
    found_.tags.push_back(
        {tag.key, tag.value.type,
         text ? tag.value.text : std::string_view(tag.image.data(), data::fixed_size(tag.value.type))});
  }
  if (!all_tags_) {
    // The text of the tags that count; names and types make it unambiguous.
    key_.assign("\xFFk");
    const auto add = [&](std::string_view text) {
      const auto size = static_cast<std::uint32_t>(text.size());
      key_.append(reinterpret_cast<const char*>(&size), sizeof size);
      key_ += text;
    };
    add(metric);
    for (const auto& tag : found_.tags) {
      add(tag.key);
      key_ += static_cast<char>(tag.type);
      add(tag.value);
    }
    if (auto* const known = registry_.find(hash_bytes(key_), key_)) return known;
  }
  const std::string table = super_table_name(metric, options_.naming);
  found_.table = table;
  found_.child = child_table_name(metric, found_.tags, options_.naming);
  if (found_.child == table) {
    error = {0x061D, "the child table would have the name of its super table", nullptr};
    return nullptr;
  }
  auto* const series = registry_.insert(hash_bytes(key_), key_, found_);
  if (options_.predict && !options_.payload_rules)
    kins_.note(*series, SeriesSyntax::json, metric, found_.tags, options_.naming);
  return series;
}

/// Keeps a point some of whose tags are columns.
void JsonParser::Work::put_columns_row(Series* series, const JsonValue& value, std::int64_t time, std::size_t begin,
                                       std::size_t end) {
  fields_.assign(1, {kValueName, value.type});
  for (const auto& tag : tags_)
    if (tag.use == TagUse::column) fields_.push_back({tag.key, tag.value.type});
  const auto* const table = series->child->table;
  std::string signature(reinterpret_cast<const char*>(&table), sizeof table);
  for (const auto& field : fields_) {
    signature += static_cast<char>(field.type);
    signature += field.name;
    signature += '\0';
  }
  const auto [known, is_new] = column_shapes_.try_emplace(std::move(signature), 0);
  if (is_new) {
    for (auto& field : fields_) field.name = rows_->add_name(field.name);
    known->second = rows_->add_shape(series->child->table, fields_);
  }
  const auto index = known->second;
  auto& shape = rows_->shape(index);
  auto* const row = rows_->begin_row(shape.row_bytes());
  std::size_t slot = 0;
  const auto put = [&](const JsonValue& given) {
    if (data::is_variable(given.type)) {
      row->slots()[slot] = rows_->add_text(given.text);
      shape.max_length[slot] = std::max(shape.max_length[slot], static_cast<std::uint32_t>(given.text.size()));
    } else {
      row->slots()[slot] = given.slot;
    }
    ++slot;
  };
  put(value);
  for (const auto& tag : tags_)
    if (tag.use == TagUse::column) put(tag.value);
  row->child = series->child_id;
  row->shape = index;
  row->offset = static_cast<std::uint32_t>(begin);
  row->length = static_cast<std::uint32_t>(end - begin);
  row->time = time;
  ++shape.rows;
  if (series->state() != Series::State::admitted) rows_->note_fresh(series, row);
  rows_->commit_row(shape.row_bytes());
}

/// Remembers the text around the values of a point that has become a row.
void JsonParser::Work::learn(std::size_t begin, std::size_t end, const std::array<std::uint32_t, 4>& members,
                             JsonTime time, Type type, Series& series) {
  using Hole = JsonTemplate::Hole;
  const auto& nodes = reader_.nodes();
  struct Span {
    const char* begin;
    const char* end;
    Hole hole;
  };
  std::array<Span, 4> spans{};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto* node = &nodes[members[i]];
    // Of an object with a type only the value itself varies.
    if (node->kind == Kind::object && static_cast<Hole>(i) != Hole::tags)
      for (std::uint32_t at = members[i] + 1; at < nodes[members[i]].next; at = nodes[at].next)
        if (same_letters(nodes[at].key, "value")) node = &nodes[at];
    spans[i] = {node->begin, node->end, static_cast<Hole>(i)};
  }
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  JsonTemplate form;
  const char* from = text_.data() + begin;
  for (std::size_t i = 0; i < 4; ++i) {
    form.literals[i].assign(from, spans[i].begin);
    form.holes[i] = spans[i].hole;
    from = spans[i].end;
  }
  form.literals[4].assign(from, text_.data() + end);
  form.time = time;
  form.type = type;
  auto known = std::find(forms_.begin(), forms_.end(), form);
  if (known == forms_.end()) {
    if (forms_.size() >= kMostForms) return;
    known = forms_.insert(known, std::move(form));
  }
  last_form_ = static_cast<std::uint32_t>(known - forms_.begin());
  memory_of(series).form = last_form_;
}

/// Finds a series by its text: "\xFFj", the metric's length, the metric in its quotes, the tags in their braces. No
/// line of another format starts so: 0xFF is in no UTF-8 text.
std::string_view JsonParser::Work::key_of(std::string_view metric, std::string_view tags) {
  const auto size = static_cast<std::uint32_t>(metric.size());
  key_.reserve(6 + metric.size() + tags.size() + kKeyPadding);
  key_.resize(6 + metric.size() + tags.size());
  char* const to = key_.data();
  std::memcpy(to, "\xFFj", 2);
  std::memcpy(to + 2, &size, sizeof size);
  std::memcpy(to + 6, metric.data(), metric.size());
  std::memcpy(to + 6 + metric.size(), tags.data(), tags.size());
  return key_;
}

JsonParser::Work::Memory& JsonParser::Work::memory_of(const Series& series) {
  if (series.id >= memory_.size())
    memory_.resize(std::max<std::size_t>(series.id + std::size_t{1}, memory_.size() * 2));
  return memory_[series.id];
}

JsonParser::Work::Table& JsonParser::Work::table_of(data::SuperTableRef* ref) {
  auto& table = tables_[ref];
  if (!table) {
    table = std::make_unique<Table>();
    table->ref = ref;
  }
  return *table;
}

}  // namespace penstock::format
