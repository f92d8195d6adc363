#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "format/csv_parser.h"
#include "io/chunk.h"

/// What the parts of CsvParser share; of no use to others.
namespace penstock::format {

inline std::string_view csv_trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// How the value of a column is read; the first group has a fast path in parse_record().
enum class CsvHow : std::uint8_t { pass, absent, time, joined_time, integers, integer, real, varchar, nchar, other };

/// What becomes of one column, laid out for the loop over the fields.
struct CsvParser::Step {
  CsvHow how = CsvHow::pass;
  data::Type type = data::Type::null;
  std::uint8_t precision = 0;
  std::uint8_t scale = 0;
  bool plain_quotes = false;  // quotes may be taken off where the value between them is plain: no escapes
  std::uint32_t slot = 0;
  std::uint32_t index = 0;  // of the column in the file
  std::uint32_t count = 1;  // integers: neighbouring columns that are read together
  std::uint32_t block = 0;  // integers: index of their ranges
  std::int64_t low = 0;     // integers
  std::int64_t high = 0;
  TimeReader* times = nullptr;
  const CsvColumn* column = nullptr;
};

/// A field without its quotes; views the record or `unquoted_`.
struct CsvParser::Field {
  std::string_view text;
  bool quoted = false;
};

/// A record of a chunk, cut.
struct CsvRecord {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;  ///< without its line end
  const std::uint32_t* ends = nullptr;
  std::size_t count = 0;
  std::optional<std::uint32_t> broken_at;  ///< a quote opens there and does not close
};

/// Visits the records of a chunk in order, but for blank lines and those before plan.data_begin.
template <class Visit>
void for_each_csv_record(CsvIndex& index, const io::Chunk& chunk, const CsvPlan& plan, Visit&& visit) {
  index.start(chunk.text, plan.dialect);
  while (index.next()) {
    auto* const ends = index.ends();
    auto begin = index.window_begin();
    auto broken = index.broken().begin();
    std::uint32_t first = 0;
    for (std::uint32_t r = 0; r < index.record_ends().size(); ++r) {
      const auto last = index.record_ends()[r];
      const auto line_end = ends[last - 1];
      auto end = line_end;
      if (end > begin && chunk.text[end - 1] == '\r') --end;
      ends[last - 1] = end;
      const bool header = chunk.offset + begin < plan.data_begin;
      if (broken != index.broken().end() && broken->record == r) {
        if (!header) visit(CsvRecord{begin, end, ends + first, last - first, broken->at});
        ++broken;
      } else if (!header && end > begin) {
        visit(CsvRecord{begin, end, ends + first, last - first, std::nullopt});
      }
      begin = line_end + 1;
      first = last;
    }
  }
}

}  // namespace penstock::format
