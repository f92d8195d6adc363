// Parsers of whole texts: every record becomes one row or one reject, wherever the text is cut and whatever the parser
// remembers.

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"
#include "format/csv_infer.h"
#include "format/csv_parser.h"
#include "format/json_parser.h"
#include "format/line_parser.h"
#include "format/line_test_text.h"
#include "format/telnet_parser.h"
#include "fuzz/entry.h"
#include "io/cutter.h"

namespace penstock::fuzz {
namespace {

using format::padded_chunk;

std::int64_t fixed_clock() { return 1'700'000'000'000'000'000; }

// Rows and rejects in one list, in the order of the text, at their places in the whole of it.
struct Records {
  struct One {
    std::uint64_t begin, end;
    std::string text;
  };
  std::vector<One> all;

  void add(const schema::Registry& registry, data::RowSet& rows, const io::Chunk& chunk) {
    rows.for_each_row([&](const data::Row& row) {
      put(chunk, row.offset, row.length, text_of(registry, rows.shapes()[row.shape], row));
    });
    for (const auto& reject : rows.rejects()) {
      FUZZ_PROMISE(!reject.reason.text.empty());
      FUZZ_PROMISE(reject.column <= reject.length + 1);
      put(chunk, reject.offset, reject.length,
          "reject " + std::to_string(reject.reason.code) + " " + reject.reason.text);
    }
  }
  // Child table with its tags' owner, time, and fields in the order of the text.
  static std::string text_of(const schema::Registry& registry, const data::Shape& shape, const data::Row& row) {
    const auto& child = registry.child(row.child);
    std::string text = child.table->name + "/" + std::string(child.name) + " " + std::to_string(row.time);
    for (std::size_t f = 0; f < shape.fields.size(); ++f) {
      const auto& field = shape.fields[f];
      const auto slot = row.slots()[f];
      text += " " + std::string(field.name) + ":" + std::string(data::type_name(field.type)) + "=";
      if (shape.nullable && data::Shape::is_null(row, shape.fields.size(), f)) {
        text += "NULL";
      } else if (data::is_variable(field.type)) {
        const auto value = data::text_of(slot);
        FUZZ_PROMISE(value.size() <= shape.max_length[f]);
        text += value;
      } else if (field.type == data::Type::decimal128) {
        text += std::string(reinterpret_cast<const char*>(slot), 16);
      } else {
        text += std::to_string(slot);
      }
    }
    return text;
  }
  void put(const io::Chunk& chunk, std::uint32_t offset, std::uint32_t length, std::string text) {
    FUZZ_PROMISE(offset <= chunk.text.size() && length <= chunk.text.size() - offset);
    all.push_back({chunk.offset + offset, chunk.offset + offset + length, std::move(text)});
  }
  // In the order of the text; no byte belongs to two records.
  std::string text() {
    std::stable_sort(all.begin(), all.end(), [](const One& a, const One& b) { return a.begin < b.begin; });
    std::string joined;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i > 0 && all[i].begin < all[i - 1].end)
        broken(__FILE__, __LINE__, "records do not overlap", all[i - 1].text + "\n" + all[i].text);
      joined += std::to_string(all[i].begin) + "-" + std::to_string(all[i].end) + " " + all[i].text + "\n";
    }
    return joined;
  }
};

// Parses the pieces one after the other with one parser.
template <class Make>
std::string parse(schema::Registry& registry, std::span<const std::string_view> pieces, const Make& make,
                  std::uint64_t offset, std::size_t* count) {
  const auto parser = make(registry);
  Records records;
  for (const auto piece : pieces) {
    const auto chunk = padded_chunk(piece, offset);
    offset += piece.size();
    data::RowSet rows;
    parser->parse(chunk, rows);
    records.add(registry, rows, chunk);
  }
  if (count != nullptr) *count = records.all.size();
  return records.text();
}

// Lines that are records: not blank, and no comment where there are comments.
std::size_t lines_of(std::string_view text, bool comments, bool at_start) {
  if (at_start && text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::size_t lines = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.ends_with('\r')) one.remove_suffix(1);
    const bool blank = one.find_first_not_of(' ') == std::string_view::npos;
    lines += !blank && !(comments && one.starts_with('#'));
  }
  return lines;
}

template <class Parser, class Options>
void lines_entry(std::string_view input, Options options, bool comments) {
  Steering steering(input);
  const auto how = steering.byte();
  const std::uint64_t offset = how & 1 ? 0 : 4096;
  const auto cut_hint = steering.byte();
  options.clock = fixed_clock;
  // One for all runs: making it takes longer than a parse.
  schema::Registry registry;
  const auto make = [&](schema::Registry& of) { return std::make_unique<Parser>(of, options); };
  const std::string_view whole[] = {input};
  std::size_t count = 0;
  const auto text = parse(registry, whole, make, offset, &count);
  FUZZ_PROMISE(count == lines_of(input, comments, offset == 0));

  // In two pieces, cut behind one of its lines.
  std::size_t cut = input.find('\n', input.size() * cut_hint / 256);
  cut = cut == std::string_view::npos ? input.size() : cut + 1;
  if (cut > 3 || offset != 0) {
    const std::string_view pieces[] = {input.substr(0, cut), input.substr(cut)};
    FUZZ_SAME(parse(registry, pieces, make, offset, nullptr), text);
  }
  // What the parser guesses about a line from those before it changes nothing.
  options.predict = false;
  FUZZ_SAME(parse(registry, whole, make, offset, nullptr), text);
}

schema::NamingRules naming_of(std::uint8_t how) {
  schema::NamingRules naming;
  if (how & 2) naming.dot_to_underscore = false;
  if (how & 4) naming.child_table_tag = "t";
  if (how & 8) naming.child_table_delimiter = "-";
  if (how & 16) naming.table_name_key = "t";
  return naming;
}

}  // namespace

void line(std::string_view input) {
  format::LineOptions options;
  options.naming = naming_of(input.empty() ? 0 : static_cast<std::uint8_t>(input[0]));
  lines_entry<format::LineParser>(input, options, true);
  // As a payload of the server's own call nothing is skipped silently but comments: no crash is all that is asked.
  options.payload_rules = true;
  options.clock = fixed_clock;
  schema::Registry registry;
  format::LineParser parser(registry, options);
  data::RowSet rows;
  parser.parse(padded_chunk(input), rows);
}

void telnet(std::string_view input) {
  format::TelnetOptions options;
  options.naming = naming_of(input.empty() ? 0 : static_cast<std::uint8_t>(input[0]));
  lines_entry<format::TelnetParser>(input, options, false);
  options.payload_rules = true;
  options.clock = fixed_clock;
  schema::Registry registry;
  format::TelnetParser parser(registry, options);
  data::RowSet rows;
  parser.parse(padded_chunk(input), rows);
}

// Cuts a text as a source is cut.
static std::vector<io::Chunk> cut(std::string_view text, const io::Cutting& cutting, std::size_t chunk_bytes,
                                  std::size_t max_record) {
  std::vector<io::Chunk> chunks;
  std::uint64_t offset = 0;
  if (text.starts_with("\xef\xbb\xbf")) {
    text.remove_prefix(3);  // as the reader does
    offset = 3;
  }
  io::Cutter cutter(cutting, chunk_bytes, max_record);
  while (true) {
    const auto found = cutter.cut(text, true);
    if (found.kind == io::Cut::Kind::end) break;
    FUZZ_PROMISE(found.kind != io::Cut::Kind::need_more);
    FUZZ_PROMISE(found.bytes > 0 && found.bytes <= text.size());
    auto chunk = padded_chunk(text.substr(0, found.bytes), offset);
    chunk.oversized = found.kind == io::Cut::Kind::oversized || found.kind == io::Cut::Kind::oversized_end;
    chunk.oversized_end = found.kind == io::Cut::Kind::oversized_end;
    chunk.broken_quote = found.kind == io::Cut::Kind::broken_quote;
    chunks.push_back(std::move(chunk));
    offset += found.bytes;
    text.remove_prefix(found.bytes);
  }
  FUZZ_PROMISE(text.empty());
  return chunks;
}

void json(std::string_view input) {
  Steering steering(input);
  const auto how = steering.byte();
  const auto chunk_bytes = std::size_t{1} + steering.byte();
  format::JsonOptions options;
  options.clock = fixed_clock;
  options.naming = naming_of(how);
  schema::Registry registry;
  const auto run = [&](std::size_t size) {
    format::JsonParser parser(registry, options);
    Records records;
    for (const auto& chunk : cut(input, {io::Splitting::json, {}}, size, 1 << 20)) {
      FUZZ_PROMISE(!chunk.oversized);
      data::RowSet rows;
      parser.parse(chunk, rows);
      records.add(registry, rows, chunk);
    }
    return records.text();
  };
  const auto whole = run(1 << 20);
  FUZZ_SAME(run(chunk_bytes), whole);
  options.predict = false;
  FUZZ_SAME(run(1 << 20), whole);
  options.payload_rules = true;
  format::JsonParser parser(registry, options);
  data::RowSet rows;
  parser.parse(padded_chunk(input), rows);
}

void csv(std::string_view input) {
  Steering steering(input);
  const auto chunk_bytes = std::size_t{1} + steering.byte();
  format::CsvPlan plan;
  try {
    plan = format::infer(input, {}, "table");
  } catch (const Error& error) {
    FUZZ_PROMISE((error.code() == Errc::config || error.code() == Errc::io) && error.what()[0] != '\0');
    return;
  }
  const io::Cutting cutting{io::Splitting::csv, {plan.dialect.delimiter, plan.dialect.quote, plan.dialect.escape}};
  schema::Registry registry;
  const auto run = [&](std::size_t size) {
    format::CsvParser parser(registry, plan, {});
    Records records;
    for (const auto& chunk : cut(input, cutting, size, 1 << 20)) {
      if (chunk.broken_quote) {
        records.put(chunk, 0, static_cast<std::uint32_t>(chunk.text.size()), "broken quote");
        continue;
      }
      data::RowSet rows;
      parser.parse(chunk, rows);
      records.add(registry, rows, chunk);
    }
    return records.text();
  };
  FUZZ_SAME(run(chunk_bytes), run(1 << 20));
}

// However the windows on a source come, it is cut at the same places, and the pieces are the source.
void cutter(std::string_view input) {
  Steering steering(input);
  const auto how = steering.byte();
  const std::size_t chunk_bytes = std::size_t{1} + steering.byte();
  const std::size_t max_record = std::size_t{1} + steering.byte() * 4U;
  const std::size_t step = std::size_t{1} + steering.byte() % 64;
  io::Cutting cutting;
  cutting.splitting = how % 3 == 0 ? io::Splitting::lines : how % 3 == 1 ? io::Splitting::csv : io::Splitting::json;
  cutting.marks = {how & 4 ? ';' : ',', how & 8 ? '\'' : '"', how & 16 ? '\\' : '\0'};
  using Kind = io::Cut::Kind;
  const auto run = [&](std::size_t grow) {
    std::string pieces;
    io::Cutter cut(cutting, chunk_bytes, max_record);
    std::size_t at = 0;
    std::size_t have = std::min(grow, input.size());
    for (;;) {
      const bool last = have == input.size();
      const auto window = input.substr(at, have - at);
      const auto found = cut.cut(window, last);
      if (found.kind == Kind::end) {
        FUZZ_PROMISE(last && window.empty());
        return pieces;
      }
      if (found.kind == Kind::need_more) {
        FUZZ_PROMISE(!last && found.bytes > window.size());
        have = std::min(input.size(), std::max(have + grow, grow == 1 ? have + 1 : at + found.bytes));
        continue;
      }
      FUZZ_PROMISE(found.bytes > 0 && found.bytes <= window.size());
      const auto piece = window.substr(0, found.bytes);
      if (found.kind == Kind::records && cutting.splitting != io::Splitting::json)
        FUZZ_PROMISE(piece.ends_with('\n') || at + found.bytes == input.size());
      FUZZ_PROMISE(cut.in_oversized() == (found.kind == Kind::oversized));
      // Pieces of an oversized record may be as large as the window.
      if (found.kind != Kind::oversized && found.kind != Kind::oversized_end)
        pieces += std::to_string(static_cast<int>(found.kind)) + "@" + std::to_string(at) + "+" +
                  std::to_string(found.bytes) + "\n";
      else if (found.kind == Kind::oversized_end)
        pieces += "oversized until " + std::to_string(at + found.bytes) + "\n";
      at += found.bytes;
    }
  };
  FUZZ_SAME(run(step), run(input.size() + 1));
}

}  // namespace penstock::fuzz
