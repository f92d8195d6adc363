#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "format/csv_infer.h"
#include "format/json_reader.h"
#include "schema/mapping.h"

/// JSON objects as records of CSV, so that everything that is known of CSV serves for them too.
namespace penstock::format {

/// How the text of NDJSON is cut.
enum class NdjsonLayout : std::uint8_t {
  lines,    ///< an object a line
  objects,  ///< objects wherever they stand: over several lines, in arrays (io::Splitting::json)
};
/// By the first object of a text: `lines` when it ends on the line on which it starts and no array opens before it.
NdjsonLayout ndjson_layout(std::string_view head) noexcept;

/// The columns of a source of JSON objects: members by their paths ("a.b" for {"a": {"b": …}}).
struct NdjsonColumns {
  std::vector<std::string> paths;  ///< in order of first appearance
  NdjsonLayout layout = NdjsonLayout::lines;
};

/// One value of an object.
struct NdjsonCell {
  std::string_view path;           ///< valid until the next object is read
  const JsonNode* node = nullptr;  ///< no object, unless an empty one or nested too deep
};

/// Flattens objects. Arrays, empty objects, and objects nested more than 16 deep are values: their text.
class NdjsonFlattener {
 public:
  /// False: `why` says what is wrong with the record.
  bool read(std::string_view record, std::string& why);
  [[nodiscard]] const std::vector<NdjsonCell>& cells() const noexcept { return cells_; }

 private:
  void add(std::uint32_t object, std::size_t prefix, unsigned depth);

  JsonReader reader_;
  std::vector<NdjsonCell> cells_;
  std::string prefix_;
  std::string paths_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;  // of nested paths in paths_: offset, cell
};

/// Appends records of CSV for the objects of a text: a field for each known path, in their order. JSON null and a
/// missing member are empty fields, strings stand in quotes, everything else does not.
class NdjsonTranscoder {
 public:
  /// The delimiter, quote and so on of what it writes.
  static Dialect dialect();

  explicit NdjsonTranscoder(const NdjsonColumns& columns);

  struct Record {
    std::uint32_t begin = 0;   ///< of the object in the text
    std::uint32_t length = 0;  ///< of the object
    std::uint32_t csv = 0;     ///< where its record begins
    bool sparse = false;       ///< a path is missing, or there is one that is not known
  };
  struct Extra {
    std::size_t record = 0;  ///< index in records()
    std::string path;
    JsonNode::Kind kind = JsonNode::Kind::null;
    bool truth = false;
    double number = 0;
    std::string text;  ///< of strings decoded, of arrays and objects as it stands
  };
  struct Bad {
    std::uint32_t begin = 0;
    std::uint32_t length = 0;
    std::string why;
  };

  /// Forgets what it has and transcodes the text. Blank lines are passed over.
  void transcode(std::string_view text);
  [[nodiscard]] std::string& csv() noexcept { return csv_; }
  [[nodiscard]] const std::vector<Record>& records() const noexcept { return records_; }
  [[nodiscard]] const std::vector<Extra>& extras() const noexcept { return extras_; }
  [[nodiscard]] const std::vector<Bad>& bad() const noexcept { return bad_; }
  [[nodiscard]] bool given(std::size_t record, std::size_t column) const noexcept {
    return (present_[record * words_ + column / 64] >> (column % 64)) & 1;
  }

 private:
  void object(std::string_view text, std::size_t begin, std::size_t length);
  [[nodiscard]] std::size_t column_of(std::string_view path);
  void put(const JsonNode& node);

  const NdjsonColumns& columns_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::size_t next_ = 0;  // objects repeat the order of their members
  std::size_t words_ = 1;
  NdjsonFlattener flattener_;
  std::vector<const JsonNode*> row_;  // [columns] of the object at hand
  std::string csv_;
  std::vector<Record> records_;
  std::vector<std::uint64_t> present_;
  std::vector<Extra> extras_;
  std::vector<Bad> bad_;
};

/// The paths in pieces of a source in order of first appearance: at most as many as a super table has columns. Objects
/// that are cut off by the end of a piece do not count, nor what stands before the first line end of all pieces but the
/// first.
NdjsonColumns ndjson_columns(const std::vector<std::string_view>& pieces);
/// What the objects of the pieces hold, as make_plan() takes it: columns named by their paths.
CsvSample ndjson_sample(const NdjsonColumns& columns, const std::vector<std::string_view>& pieces,
                        const schema::CsvMapping& mapping);
/// The mapping without what it says of the form of CSV (header, delimiter …), which transcoded text has by itself.
schema::CsvMapping ndjson_mapping(schema::CsvMapping mapping);

}  // namespace penstock::format
