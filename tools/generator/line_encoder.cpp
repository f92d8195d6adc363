#include <fmt/format.h>

#include "encoder.h"

namespace penstock::generator {
namespace {

// measurement,tag=value,... field=58i,field=1.5 1451606400000000000
class LineEncoder final : public Encoder {
 public:
  LineEncoder(const Options& options, const Shape& shape) : Encoder(options, shape) {
    make_tag_pieces(",", "=", "", "");
    for (const auto& table : shape.tables) {
      auto& fields = fields_.emplace_back();
      for (const auto& column : table.columns) fields.emplace_back(fmt::format(",{}=", column.name));
    }
  }

  void write(TextBuffer& out, const Row& row, std::uint32_t fields) override {
    const auto& table = table_of(row);
    out.begin_record();
    out.put(table.name);
    put_tags(out, row);
    const auto& pieces = fields_[row.table];
    // The comma of the first field becomes the blank between tags and fields.
    char separator = ' ';
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      if ((fields >> i & 1) == 0) continue;
      put_field(out, pieces[i], separator);
      separator = ',';
      put_value(out, row, i);
      if (table.columns[i].integer) out.put('i');
    }
    out.put(' ');
    out.put(time_text(row.step));
    out.put('\n');
  }

  [[nodiscard]] std::span<const std::string_view> bad_kinds() const override { return kKinds; }

  void write_bad(TextBuffer& out, const Row& row, std::size_t kind) override {
    const auto& table = table_of(row);
    const std::string head = std::string(table.name) + tags_text(out, row);
    const std::string time(time_text(row.step));
    const auto field = table.columns[0].name;
    out.begin_record();
    switch (kind) {
      case 0: out.put(fmt::format("{} {}\n", head, time)); break;
      case 1: out.put(head.substr(0, head.size() / 2) + "\n"); break;
      case 2: out.put(fmt::format("{} {}=12x4 {}\n", head, field, time)); break;
      case 3: out.put(fmt::format("{} {}=1 tomorrow\n", head, field)); break;
      case 4: out.put(fmt::format("{} {}=1 -5\n", head, field)); break;
      case 5: out.put(fmt::format("{} {}= {}\n", head, field, time)); break;
      case 6: out.put(fmt::format("{} {}=1,note=\"left open {}\n", head, field, time)); break;
      case 7: out.put(fmt::format("{} {}=1 {}\n", head.substr(table.name.size()), field, time)); break;
      case 8: out.put(fmt::format("{} {}=1,{}=1 {}\n", head, field, field, time)); break;
      default: out.put(std::string_view("\x01\x02\xff\xfe\x80garbage\x7f\n")); break;
    }
  }

 private:
  static void put_field(TextBuffer& out, const Piece& piece, char separator) {
    char* const at = out.here();
    out.put(piece);
    *at = separator;
  }

  static constexpr std::array<std::string_view, 10> kKinds{
      "no_fields",   "cut_off",          "bad_number",        "text_timestamp",  "negative_timestamp",
      "empty_value", "unbalanced_quote", "empty_measurement", "duplicate_field", "binary"};
  std::vector<std::vector<Piece>> fields_;  // [table][column]: ",name="
};

// time,tag,...,field,...: one measurement a file; what is missing is an empty cell.
class CsvEncoder final : public Encoder {
 public:
  CsvEncoder(const Options& options, const Shape& shape) : Encoder(options, shape) {
    make_tag_pieces(",", "", "", "");
    for (auto& piece : missing_piece_) piece = Piece(",");
  }

  void begin(TextBuffer& out) override {
    out.put(std::string_view("time"));
    for (const auto& tag : shape_.tags) out.put(fmt::format(",{}", tag.key));
    for (const auto& table : shape_.tables)
      if (table.name == options_.measurement)
        for (const auto& column : table.columns) out.put(fmt::format(",{}", column.name));
    out.put('\n');
  }
  [[nodiscard]] std::uint64_t extra_lines() const override { return 1; }

  void write(TextBuffer& out, const Row& row, std::uint32_t fields) override {
    out.begin_record();
    out.put(time_text(row.step));
    put_cells(out, row, fields);
    out.put('\n');
  }

  [[nodiscard]] std::span<const std::string_view> bad_kinds() const override { return kKinds; }

  void write_bad(TextBuffer& out, const Row& row, std::size_t kind) override {
    out.begin_record();
    switch (kind) {
      case 0: out.put(std::string_view("yesterday")); break;
      case 1: break;
      case 2: out.put(std::string_view("2026-13-45T25:61:00Z")); break;
      default: out.put(time_text(row.step)); break;
    }
    put_cells(out, row, row.fields);
    if (kind >= 3) out.put(std::string_view(",one,cell,too,many"));
    out.put('\n');
  }

 private:
  void put_cells(TextBuffer& out, const Row& row, std::uint32_t fields) const {
    put_tags(out, row);
    for (std::size_t i = 0; i < table_of(row).columns.size(); ++i) {
      out.put(',');
      if ((fields >> i & 1) != 0) put_value(out, row, i);
    }
  }

  static constexpr std::array<std::string_view, 4> kKinds{"text_timestamp", "empty_timestamp", "impossible_date",
                                                          "extra_cells"};
};

}  // namespace

std::unique_ptr<Encoder> make_line_encoder(const Options& options, const Shape& shape) {
  return std::make_unique<LineEncoder>(options, shape);
}
std::unique_ptr<Encoder> make_csv_encoder(const Options& options, const Shape& shape) {
  return std::make_unique<CsvEncoder>(options, shape);
}

}  // namespace penstock::generator
