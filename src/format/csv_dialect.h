#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/mapping.h"

/// How a CSV file is cut: delimiter, quotes, header. And the cutting itself, record by record, for samples and for
/// records that the fast index (csv_index.h) does not take.
namespace penstock::format {

/// How the records of a file are written.
struct Dialect {
  char delimiter = ',';
  char quote = '"';    ///< '\0': none
  char escape = '\0';  ///< '\0': none; a quote inside quotes is doubled in any case
  bool header = true;
  std::uint64_t preamble = 0;    ///< lines before the header or the first record that belong to neither
  std::size_t columns = 0;       ///< fields of most records
  bool taos_export = false;      ///< looks like `select … >> file` of the taos shell
  std::vector<std::string> why;  ///< one sentence for each choice
};

/// One record cut into fields. Field i lies between the end of field i - 1 (plus the delimiter) and ends[i].
struct RecordCut {
  std::size_t end = 0;  ///< of the record: its '\n' or the end of the text; where cutting goes on is one behind it
  bool open = false;    ///< a quote has no end: the record ends with the line in which it opens, and has no fields
  std::size_t at = 0;   ///< with open: where the quote stands
};

/// Cuts the record at `begin`. Appends the end of each field to `ends`, as offsets in `text`; a '\r' before the line's
/// end belongs to no field. The rules are those of simd::CsvState, by which sources are cut into chunks: a quote opens
/// only as the first byte of a field, doubled it is text, and what follows the closing one is text up to the delimiter.
RecordCut cut_record(std::string_view text, std::size_t begin, const Dialect& dialect,
                     std::vector<std::uint32_t>& ends);

/// A field without its quotes and escapes.
struct FieldText {
  std::string text;
  bool quoted = false;
  bool broken = false;  ///< text stands behind the closing quote; `text` is then the field as it is
};
/// Blanks around quotes do not count.
FieldText unquote(std::string_view raw, const Dialect& dialect);

/// Finds out how a sample is written. `sample` begins at the start of the file (behind a BOM) and may end anywhere.
/// What the mapping gives is taken from it. Throws Error(Errc::io) when the lines end with CR alone.
Dialect sniff(std::string_view sample, const schema::CsvMapping& given = {});

/// Offset of the first line that is not skipped.
std::size_t skip_lines(std::string_view sample, std::uint64_t lines);

}  // namespace penstock::format
