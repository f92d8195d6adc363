#include "format/forward_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/hash.h"
#include "format/influx_dump.h"
#include "format/telnet_parser.h"

namespace penstock::format {

namespace {

// Of measurement and tags as they are written.
std::uint64_t line_hash(const char* at, const char* stop) noexcept {
  const char* blank = at;
  while (blank < stop && *blank == ' ') ++blank;
  while (blank < stop && *blank != ' ') blank += *blank == '\\' && blank + 1 < stop ? 2 : 1;
  return hash_bytes({at, static_cast<std::size_t>(std::min(blank, stop) - at)});
}

// Of metric and tags, which timestamp and value stand between.
std::uint64_t telnet_hash(const char* at, const char* stop) noexcept {
  const auto blanks = [stop](const char*& p) {
    while (p < stop && *p == ' ') ++p;
  };
  const auto word = [stop](const char*& p) {
    while (p < stop && *p != ' ') ++p;
  };
  blanks(at);
  const char* p = at;
  word(p);
  const std::uint64_t metric = hash_bytes({at, static_cast<std::size_t>(p - at)});
  for (int element = 0; element < 2; ++element) {
    blanks(p);
    word(p);
  }
  blanks(p);
  while (stop > p && stop[-1] == ' ') --stop;
  return metric * 0x9E3779B97F4A7C15 ^ hash_bytes({p, static_cast<std::size_t>(stop - p)});
}

}  // namespace

ForwardParser::ForwardParser(schema::Registry& registry, Format format) : format_(format), buckets_(registry) {}

void ForwardParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  const std::array<data::Field, 1> field{{{format_name(format_), data::Type::bigint}}};
  const auto shape = rows.add_shape(buckets_.table(), field);
  const std::size_t bytes = rows.shape(shape).row_bytes();
  const char* const begin = chunk.text.data();
  const char* const end = begin + chunk.text.size();
  std::uint64_t lines = 0;
  const bool marked = chunk.offset == 0 && chunk.text.starts_with("\xEF\xBB\xBF");  // no part of the first name
  for (const char* at = begin + (marked ? 3 : 0); at < end;) {
    const auto* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    const char* stop = newline == nullptr ? end : newline;
    const char* const next = newline == nullptr ? end : newline + 1;
    lines += newline != nullptr;
    if (stop > at && stop[-1] == '\r') --stop;
    bool only_blanks = true;
    for (const char* c = at; c < stop && only_blanks; ++c) only_blanks = *c == ' ';
    const bool line = format_ == Format::line;
    if (line && at < stop && *at == '#')
      note_context(rows, static_cast<std::size_t>(at - begin), {at, static_cast<std::size_t>(stop - at)});
    const auto is_record = [&] {
      return !line || (*at != '#' && !is_dump_statement({at, static_cast<std::size_t>(stop - at)}));
    };
    if (!only_blanks && is_record()) {
      data::Row* row = rows.begin_row(bytes);
      const auto telnet = format_ == Format::telnet;
      const std::size_t skip = telnet ? put_keyword({at, static_cast<std::size_t>(stop - at)}) : 0;
      const auto hash = telnet ? telnet_hash(at + skip, stop) : line_hash(at, stop);
      row->child = buckets_.child(hash);
      row->shape = shape;
      row->offset = static_cast<std::uint32_t>(at - begin);
      row->length = static_cast<std::uint32_t>(stop - at);
      row->time = 0;
      row->slots()[0] = skip;
      ++rows.shape(shape).rows;
      rows.commit_row(bytes);
    }
    at = next;
  }
  rows.set_lines(lines);
}

}  // namespace penstock::format
