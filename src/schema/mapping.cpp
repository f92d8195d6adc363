#include "schema/mapping.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/text.h"

namespace penstock::schema {
namespace {

using Header = CsvMapping::Header;

[[noreturn]] void fail(const std::string& what) { throw Error(Errc::config, what); }

/// One TOML document being read: knows its name for messages and which node is at fault.
class Reader {
 public:
  Reader(const toml::table& root, std::string_view where) : root_(root), where_(where) {}

  [[noreturn]] void refuse(const toml::node& node, std::string_view path, std::string_view what) const {
    fail(fmt::format("{}:{}: {} {}", where_, node.source().begin.line, path, what));
  }
  void text(std::string_view key, std::string& into) {
    if (const auto* node = take(key)) into = as_text(*node, key);
  }
  void texts(std::string_view key, std::vector<std::string>& into) {
    const auto* node = take(key);
    if (node == nullptr) return;
    const auto* list = node->as_array();
    if (list == nullptr) refuse(*node, key, "must be a list of texts such as [\"a\", \"b\"]");
    into.clear();
    for (const auto& item : *list) into.push_back(as_text(item, key));
  }
  void pairs(std::string_view key, CsvMapping::Pairs& into) {
    each(key, [&](std::string_view name, const toml::node& node) {
      into.emplace_back(name, as_text(node, fmt::format("{}.{}", key, name)));
    });
  }
  void character(std::string_view key, std::optional<char>& into) {
    const auto* node = take(key);
    if (node == nullptr) return;
    const auto value = as_text(*node, key);
    if (value.size() > 1) refuse(*node, key, "must be one ASCII character, or \"\" for none");
    into = value.empty() ? '\0' : value[0];
  }
  /// Calls visit(name, node) for the members of a table in the order of the text, which toml++ does not keep.
  void each(std::string_view key, const std::function<void(std::string_view, const toml::node&)>& visit) {
    const auto* node = take(key);
    if (node == nullptr) return;
    const auto* table = node->as_table();
    if (table == nullptr) refuse(*node, key, "must be a table of name = \"text\"");
    std::vector<std::pair<std::string_view, const toml::node*>> members;
    for (const auto& [name, member] : *table) members.emplace_back(name.str(), &member);
    std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
      const auto& x = a.second->source().begin;
      const auto& y = b.second->source().begin;
      return std::pair(x.line, x.column) < std::pair(y.line, y.column);
    });
    for (const auto& [name, member] : members) visit(name, *member);
  }
  const toml::node* take(std::string_view key) {
    known_.insert(std::string(key));
    return root_.get(key);
  }
  std::string as_text(const toml::node& node, std::string_view path) const {
    const auto value = node.value_exact<std::string>();
    if (!value) refuse(node, path, "must be a text in quotes");
    return *value;
  }
  void refuse_unknown() const {
    for (const auto& [name, node] : root_) {
      if (known_.count(std::string(name.str())) == 0)
        refuse(node, name.str(), fmt::format("is no key of a CSV mapping; known are {}", fmt::join(known_, ", ")));
    }
  }

 private:
  const toml::table& root_;
  std::string_view where_;
  std::set<std::string> known_;
};

template <class Value>
using Names = std::array<std::pair<std::string_view, Value>, 3>;
constexpr Names<CsvMapping::DstGap> kGaps{{{"reject", CsvMapping::DstGap::reject},
                                           {"shift", CsvMapping::DstGap::shift},
                                           {"reject", CsvMapping::DstGap::reject}}};
constexpr Names<CsvMapping::DstFold> kFolds{{{"first", CsvMapping::DstFold::first},
                                             {"second", CsvMapping::DstFold::second},
                                             {"reject", CsvMapping::DstFold::reject}}};

template <class Value>
void choice(Reader& in, std::string_view key, const Names<Value>& names, Value& into) {
  const auto* node = in.take(key);
  if (node == nullptr) return;
  const auto text = in.as_text(*node, key);
  for (const auto& [name, value] : names) {
    if (name == text) {
      into = value;
      return;
    }
  }
  std::set<std::string_view> known;
  for (const auto& [name, value] : names) known.insert(name);
  in.refuse(*node, key, fmt::format("is '{}', but must be one of {}", printable(text), fmt::join(known, ", ")));
}

template <class Value>
std::string_view name_of(const Names<Value>& names, Value value) {
  for (const auto& [name, candidate] : names) {
    if (candidate == value) return name;
  }
  return names[0].first;
}

void read_header(Reader& in, Header& into) {
  const auto* node = in.take("header");
  if (node == nullptr) return;
  if (const auto flag = node->value_exact<bool>()) {
    into = *flag ? Header::yes : Header::no;
    return;
  }
  const auto text = node->value_exact<std::string>().value_or("");
  if (text != "auto" && text != "yes" && text != "no") in.refuse(*node, "header", "must be true, false or \"auto\"");
  into = text == "auto" ? Header::automatic : text == "yes" ? Header::yes : Header::no;
}

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::vector<std::string> parts;
  for (const auto& text : texts) parts.push_back(toml_text(text));
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

std::string type_text(const data::Column& column) {
  if (data::is_variable(column.type) && column.width == 0) return std::string(data::type_name(column.type));
  return data::sql_type(column);
}

void write_pairs(std::string& out, std::string_view key, const CsvMapping::Pairs& pairs) {
  if (pairs.empty()) return;
  out += fmt::format("\n[{}]\n", key);
  for (const auto& [from, to] : pairs) out += fmt::format("{} = {}\n", toml_text(from), toml_text(to));
}

std::string legal_name(std::string_view text, std::size_t most, bool dots) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F || c == '`' || (dots && c == '.') ? '_' : c;
  }
  if (out.size() > most) {
    // Not through the middle of a character.
    while (most > 0 && (static_cast<unsigned char>(out[most]) & 0xC0) == 0x80) --most;
    out.resize(most);
  }
  return out;
}

bool number(std::string_view& text, std::uint32_t& value) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return true;
}

}  // namespace

const std::vector<std::string>& default_nulls() {
  static const std::vector<std::string> kNulls{"NULL", "null", "Null", "NA", "N/A", "\\N"};
  return kNulls;
}

void validate(const CsvMapping& mapping) {
  const auto contains = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  std::set<std::string> tags;
  for (const auto& tag : mapping.tags) {
    if (!tags.insert(tag).second) fail(fmt::format("mapping: tag '{}' is named twice", printable(tag)));
    if (contains(mapping.ignore, tag))
      fail(fmt::format("mapping: column '{}' is a tag and ignored; name it in one of both", printable(tag)));
    if (tag == mapping.timestamp)
      fail(fmt::format("mapping: column '{}' cannot be the timestamp and a tag", printable(tag)));
  }
  for (const auto& [name, value] : mapping.constant_tags) {
    if (name.empty()) fail("mapping: a constant tag has no name; write name=value");
    if (!tags.insert(name).second)
      fail(fmt::format("mapping: tag '{}' is named twice (constant and from a column, or twice)", printable(name)));
  }
  if (!mapping.clock.empty()) {
    if (mapping.timestamp.empty())
      fail(fmt::format("mapping: '{}' holds the time of day; name the column with the date too",
                       printable(mapping.clock)));
    if (mapping.clock == mapping.timestamp)
      fail(fmt::format("mapping: column '{}' cannot hold both the date and the time of day; name it alone",
                       printable(mapping.clock)));
    if (contains(mapping.ignore, mapping.clock) || contains(mapping.tags, mapping.clock))
      fail(fmt::format("mapping: column '{}' is a part of the timestamp and cannot be a tag or ignored",
                       printable(mapping.clock)));
  }
  for (const auto& tag : mapping.drop_tags) {
    if (contains(mapping.tags_as_columns, tag))
      fail(fmt::format("mapping: tag '{}' is dropped and made a column; name it in one of both", printable(tag)));
  }
  if (!mapping.table_column.empty() && mapping.table_column == mapping.timestamp)
    fail("mapping: the timestamp cannot name the super tables");
  if (!mapping.table_column.empty() && !mapping.table.empty())
    fail("mapping: table (one super table) and table_column (a column that names them) exclude each other");
  if (!mapping.timestamp.empty() && contains(mapping.ignore, mapping.timestamp))
    fail(fmt::format("mapping: the timestamp column '{}' is ignored", printable(mapping.timestamp)));
  if (!mapping.child_table.empty() && !mapping.child_table_column.empty())
    fail("mapping: child_table (a template) and child_table_column exclude each other");
  if (mapping.table.size() > data::Limits::table_name)
    fail(fmt::format("mapping: table name of {} bytes; at most {} are allowed", mapping.table.size(),
                     data::Limits::table_name));
  std::set<std::string> typed;
  for (const auto& column : mapping.types) {
    if (!typed.insert(column.name).second)
      fail(fmt::format("mapping: column '{}' has two types", printable(column.name)));
  }
  std::set<std::string> renamed;
  for (const auto& [from, to] : mapping.rename) {
    if (to.empty()) fail(fmt::format("mapping: column '{}' is renamed to nothing", printable(from)));
    if (!renamed.insert(from).second) fail(fmt::format("mapping: column '{}' is renamed twice", printable(from)));
  }
  const auto delimiter = mapping.delimiter.value_or(',');
  if (delimiter == '\0' || delimiter == '\n' || delimiter == '\r')
    fail("mapping: the delimiter must be one character, no line end");
  const auto quote = mapping.quote.value_or('\0');
  const auto escape = mapping.escape.value_or('\0');
  if (quote == '\n' || quote == '\r' || escape == '\n' || escape == '\r')
    fail("mapping: quote and escape cannot be line ends");
  if ((mapping.delimiter && mapping.quote && delimiter == quote) || (escape != '\0' && escape == delimiter))
    fail("mapping: delimiter, quote and escape must differ");
  if (mapping.decimal && *mapping.decimal != ',' && *mapping.decimal != '.')
    fail("mapping: decimal is the sign between units and tenths: \",\" or \".\"");
  if (mapping.decimal == ',' && mapping.delimiter == ',')
    fail("mapping: a comma cannot be both the delimiter and the decimal sign");
  if (mapping.time_format.empty()) fail("mapping: time_format is empty; \"auto\" finds it");
}

CsvMapping csv_mapping_from_toml(std::string_view toml, std::string_view where) {
  toml::table root;
  try {
    root = toml::parse(toml);
  } catch (const toml::parse_error& error) {
    fail(fmt::format("{}:{}: this is no TOML: {}", where, error.source().begin.line, error.description()));
  }
  CsvMapping mapping;
  Reader in(root, where);
  in.text("table", mapping.table);
  if (const auto* node = in.take("timestamp")) {
    // One column, or the two that hold date and time of day.
    if (const auto* list = node->as_array(); list != nullptr) {
      if (list->size() != 2) in.refuse(*node, "timestamp", "must be a column, or two: [\"date\", \"time\"]");
      mapping.timestamp = in.as_text(*list->get(0), "timestamp");
      mapping.clock = in.as_text(*list->get(1), "timestamp");
    } else {
      mapping.timestamp = in.as_text(*node, "timestamp");
    }
  }
  in.texts("tags", mapping.tags);
  in.texts("columns", mapping.columns);
  in.texts("ignore", mapping.ignore);
  in.texts("tags_as_columns", mapping.tags_as_columns);
  in.texts("drop_tags", mapping.drop_tags);
  in.text("table_column", mapping.table_column);
  in.pairs("rename", mapping.rename);
  in.each("types", [&](std::string_view name, const toml::node& node) {
    const auto path = fmt::format("types.{}", name);
    const auto text = in.as_text(node, path);
    auto column = column_type_from_text(text);
    if (!column) in.refuse(node, path, fmt::format("is '{}', which is no TDengine type", printable(text)));
    column->name = name;
    mapping.types.push_back(std::move(*column));
  });
  in.pairs("constant_tags", mapping.constant_tags);
  in.text("child_table", mapping.child_table);
  in.text("child_table_column", mapping.child_table_column);
  read_header(in, mapping.header);
  in.texts("names", mapping.names);
  in.character("delimiter", mapping.delimiter);
  in.character("quote", mapping.quote);
  in.character("escape", mapping.escape);
  in.character("decimal", mapping.decimal);
  if (const auto* node = in.take("skip_lines")) {
    const auto lines = node->value_exact<std::int64_t>();
    if (!lines || *lines < 0) in.refuse(*node, "skip_lines", "must be a number of lines, 0 or more");
    mapping.skip_lines = static_cast<std::uint64_t>(*lines);
  }
  in.texts("nulls", mapping.nulls);
  in.text("time_format", mapping.time_format);
  if (const auto* node = in.take("precision")) {
    const auto text = in.as_text(*node, "precision");
    mapping.precision = data::precision_from_name(text);
    if (!mapping.precision) in.refuse(*node, "precision", "must be \"ms\", \"us\" or \"ns\"");
  }
  in.text("timezone", mapping.timezone);
  choice(in, "dst_gap", kGaps, mapping.dst_gap);
  choice(in, "dst_fold", kFolds, mapping.dst_fold);
  in.refuse_unknown();
  validate(mapping);
  return mapping;
}

CsvMapping load_csv_mapping(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(Errc::io, fmt::format("cannot read the mapping '{}': {}", path.string(), errno_text(errno)));
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) throw Error(Errc::io, fmt::format("cannot read the mapping '{}'", path.string()));
  return csv_mapping_from_toml(text.str(), path.string());
}

std::string to_toml(const CsvMapping& mapping) {
  std::string out;
  const auto text = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) out += fmt::format("{} = {}\n", key, toml_text(value));
  };
  const auto texts = [&](std::string_view key, const std::vector<std::string>& value) {
    if (!value.empty()) out += fmt::format("{} = {}\n", key, toml_list(value));
  };
  const auto character = [&](std::string_view key, std::optional<char> value) {
    if (value) out += fmt::format("{} = {}\n", key, toml_text(*value == '\0' ? std::string() : std::string(1, *value)));
  };
  text("table", mapping.table);
  if (mapping.clock.empty()) text("timestamp", mapping.timestamp);
  else out += fmt::format("timestamp = {}\n", toml_list({mapping.timestamp, mapping.clock}));
  texts("tags", mapping.tags);
  texts("columns", mapping.columns);
  texts("ignore", mapping.ignore);
  texts("tags_as_columns", mapping.tags_as_columns);
  texts("drop_tags", mapping.drop_tags);
  text("table_column", mapping.table_column);
  text("child_table", mapping.child_table);
  text("child_table_column", mapping.child_table_column);
  if (mapping.header != Header::automatic) out += fmt::format("header = {}\n", mapping.header == Header::yes);
  texts("names", mapping.names);
  character("delimiter", mapping.delimiter);
  character("quote", mapping.quote);
  character("escape", mapping.escape);
  character("decimal", mapping.decimal);
  if (mapping.skip_lines != 0) out += fmt::format("skip_lines = {}\n", mapping.skip_lines);
  texts("nulls", mapping.nulls);
  if (mapping.time_format != "auto") text("time_format", mapping.time_format);
  if (mapping.precision) out += fmt::format("precision = \"{}\"\n", data::precision_name(*mapping.precision));
  text("timezone", mapping.timezone);
  if (mapping.dst_gap != CsvMapping::DstGap::reject)
    out += fmt::format("dst_gap = \"{}\"\n", name_of(kGaps, mapping.dst_gap));
  if (mapping.dst_fold != CsvMapping::DstFold::first)
    out += fmt::format("dst_fold = \"{}\"\n", name_of(kFolds, mapping.dst_fold));
  write_pairs(out, "rename", mapping.rename);
  if (!mapping.types.empty()) {
    out += "\n[types]\n";
    for (const auto& column : mapping.types)
      out += fmt::format("{} = {}\n", toml_text(column.name), toml_text(type_text(column)));
  }
  write_pairs(out, "constant_tags", mapping.constant_tags);
  return out;
}

std::optional<data::Column> column_type_from_text(std::string_view text) {
  std::array<std::uint32_t, 2> numbers{};
  std::size_t count = 0;
  const auto open = text.find('(');
  auto name = text.substr(0, open);
  if (open != std::string_view::npos) {
    auto rest = text.substr(open + 1);
    while (count < 2) {
      if (!number(rest, numbers[count++]) || rest.empty()) return std::nullopt;
      if (rest.front() == ')') break;
      if (rest.front() != ',') return std::nullopt;
      rest.remove_prefix(1);
    }
    if (rest.empty() || rest.front() != ')') return std::nullopt;
    rest.remove_prefix(1);
    if (rest.find_first_not_of(" \t") != std::string_view::npos) return std::nullopt;
  }
  const auto type = data::type_from_name(name);
  if (!type) return std::nullopt;
  data::Column column;
  column.type = *type;
  if (*type == data::Type::decimal128 || *type == data::Type::decimal64) {
    // DECIMAL alone has no digits behind the point in SQL; the loader would lose them, so both numbers must be said.
    if (count == 0 || numbers[0] == 0 || numbers[0] > 38 || numbers[1] > numbers[0]) return std::nullopt;
    column.precision = static_cast<std::uint8_t>(numbers[0]);
    column.scale = static_cast<std::uint8_t>(numbers[1]);
    column.type = numbers[0] <= 18 ? data::Type::decimal64 : data::Type::decimal128;
    column.width = static_cast<std::uint32_t>(data::fixed_size(column.type));
    return column;
  }
  if (count == 2 || (count == 1 && (!data::is_variable(*type) || numbers[0] == 0))) return std::nullopt;
  if (numbers[0] > data::Limits::varchar || (*type == data::Type::nchar && numbers[0] > data::Limits::nchar))
    return std::nullopt;
  column.width = count == 1 ? numbers[0] : static_cast<std::uint32_t>(data::fixed_size(*type));
  return column;
}

std::string legal_table_name(std::string_view text) {
  auto name = legal_name(text, data::Limits::table_name, true);
  return name.empty() ? "csv" : name;
}

std::string legal_column_name(std::string_view text) { return legal_name(text, data::Limits::column_name, false); }

std::string table_name_of_file(std::string_view path) {
  const auto slash = path.rfind('/');
  auto name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const auto strip = [&](std::initializer_list<std::string_view> suffixes) {
    for (const auto suffix : suffixes) {
      if (name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix) {
        name.remove_suffix(suffix.size());
        return;
      }
    }
  };
  strip({".zst", ".gz", ".lz4"});
  strip({".csv", ".tsv", ".txt", ".dat", ".CSV", ".TSV", ".TXT", ".ndjson", ".jsonl", ".json"});
  return legal_table_name(name);
}

}  // namespace penstock::schema
