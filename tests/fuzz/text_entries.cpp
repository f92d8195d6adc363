// Parsers of whole texts: every record becomes one row or one reject, wherever the text is cut and whatever the parser
// remembers.

#include <algorithm>
#include <string>

#include "format/influx_dump.h"
#include "format/line_parser.h"
#include "format/telnet_parser.h"
#include "fuzz/entry.h"
#include "fuzz/records.h"
#include "io/cutter.h"

namespace penstock::fuzz {
namespace {

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

// Lines that are records: not blank, and neither comment nor statement of a dump where there are such.
std::size_t lines_of(std::string_view text, bool comments, bool at_start) {
  if (at_start && text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::size_t lines = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.ends_with('\r')) one.remove_suffix(1);
    const bool blank = one.find_first_not_of(' ') == std::string_view::npos;
    lines += !blank && !(comments && (one.starts_with('#') || format::is_dump_statement(one)));
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
  auto& registry = shared_registry(how);
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

}  // namespace

void line(std::string_view input) {
  format::LineOptions options;
  const auto how = input.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(input[0]);
  options.naming = naming_of(how);
  lines_entry<format::LineParser>(input, options, true);
  // As a payload of the server's own call nothing is skipped silently but comments: no crash is all that is asked.
  options.payload_rules = true;
  options.clock = fixed_clock;
  format::LineParser parser(shared_registry(how), options);
  data::RowSet rows;
  parser.parse(padded_chunk(input), rows);
}

void telnet(std::string_view input) {
  format::TelnetOptions options;
  const auto how = input.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(input[0]);
  options.naming = naming_of(how);
  lines_entry<format::TelnetParser>(input, options, false);
  options.payload_rules = true;
  options.clock = fixed_clock;
  format::TelnetParser parser(shared_registry(how), options);
  data::RowSet rows;
  parser.parse(padded_chunk(input), rows);
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
