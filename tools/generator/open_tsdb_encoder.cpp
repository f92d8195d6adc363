#include <fmt/format.h>

#include "encoder.h"

namespace penstock::generator {
namespace {

// What telnet and JSON share: each field is a data point of the metric "<measurement>.<field>".
class OpenTsdbEncoder : public Encoder {
 public:
  [[nodiscard]] bool record_per_field() const override { return true; }

 protected:
  OpenTsdbEncoder(const Options& options, const Shape& shape, std::string_view before, std::string_view after)
      : Encoder(options, shape) {
    for (const auto& table : shape.tables) {
      auto& metrics = metrics_.emplace_back();
      for (const auto& column : table.columns)
        metrics.emplace_back(fmt::format("{}{}.{}{}", before, table.name, column.name, after));
    }
  }

  std::string metric_text(const Row& row) const {
    return fmt::format("{}.{}", table_of(row).name, table_of(row).columns[0].name);
  }

  std::vector<std::vector<Piece>> metrics_;  // [table][column]
};

// metric 1451606400 58 tag=value ...
class TelnetEncoder final : public OpenTsdbEncoder {
 public:
  TelnetEncoder(const Options& options, const Shape& shape) : OpenTsdbEncoder(options, shape, "", " ") {
    make_tag_pieces(" ", "=", "", "");
  }

  void write(TextBuffer& out, const Row& row, std::uint32_t fields) override {
    const auto& metrics = metrics_[row.table];
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      if ((fields >> i & 1) == 0) continue;
      out.begin_record();
      out.put(metrics[i]);
      out.put(time_text(row.step));
      out.put(' ');
      put_value(out, row, i);
      put_tags(out, row);
      out.put('\n');
    }
  }

  [[nodiscard]] std::span<const std::string_view> bad_kinds() const override { return kKinds; }

  void write_bad(TextBuffer& out, const Row& row, std::size_t kind) override {
    const std::string metric = metric_text(row);
    const std::string tags = tags_text(out, row);
    const std::string time(time_text(row.step));
    out.begin_record();
    switch (kind) {
      case 0: out.put(fmt::format("{} {} 1\n", metric, time)); break;
      case 1: out.put(fmt::format("{} {}\n", metric, time)); break;
      case 2: out.put(fmt::format("{} {} 12x4{}\n", metric, time, tags)); break;
      case 3: out.put(fmt::format("{} tomorrow 1{}\n", metric, tags)); break;
      case 4: out.put(fmt::format("{} {}7 1{}\n", metric, time, tags)); break;
      case 5: out.put(fmt::format("{} {} 1{} empty=\n", metric, time, tags)); break;
      case 6: out.put(fmt::format("{} {} 1{} twice=a=b\n", metric, time, tags)); break;
      case 7: out.put(fmt::format("{} {} 1 same=a same=b\n", metric, time)); break;
      default: out.put(std::string_view("\x01\x02\xff\xfe\x80garbage\x7f\n")); break;
    }
  }

 private:
  static constexpr std::array<std::string_view, 9> kKinds{"no_tags",        "missing_value", "bad_number",
                                                          "text_timestamp", "extra_digit",   "empty_tag_value",
                                                          "double_equals",  "duplicate_tag", "binary"};
};

// [{"metric":"cpu.usage_user","timestamp":1451606400,"value":58,"tags":{...}}, one a line]
class JsonEncoder final : public OpenTsdbEncoder {
 public:
  JsonEncoder(const Options& options, const Shape& shape)
      : OpenTsdbEncoder(options, shape, R"({"metric":")", R"(","timestamp":)") {
    make_tag_pieces(",", "\":", "\"", "\"");
    tag_pieces_[0][0] = Piece(fmt::format("\"{}\":\"{}", shape.tags[0].key, shape.host_prefix));  // without a comma
  }

  void begin(TextBuffer& out) override { out.put(std::string_view("[\n")); }
  void end(TextBuffer& out) override {
    out.begin_record();
    out.put(std::string_view(first_ ? "]\n" : "\n]\n"));
  }
  [[nodiscard]] std::uint64_t extra_lines() const override { return 2; }

  void write(TextBuffer& out, const Row& row, std::uint32_t fields) override {
    const auto& metrics = metrics_[row.table];
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      if ((fields >> i & 1) == 0) continue;
      next(out);
      out.put(metrics[i]);
      out.put(time_text(row.step));
      out.put(std::string_view(R"(,"value":)"));
      put_value(out, row, i);
      out.put(std::string_view(R"(,"tags":{)"));
      put_tags(out, row);
      out.put(std::string_view("}}"));
    }
  }

  [[nodiscard]] std::span<const std::string_view> bad_kinds() const override { return kKinds; }

  void write_bad(TextBuffer& out, const Row& row, std::size_t kind) override {
    const std::string metric = metric_text(row);
    const std::string tags = tags_text(out, row);
    const std::string time(time_text(row.step));
    const auto point = [](std::string_view name, std::string_view when, std::string_view value, std::string_view tag) {
      return fmt::format(R"({{"metric":"{}","timestamp":{},"value":{},"tags":{{{}}}}})", name, when, value, tag);
    };
    next(out);
    switch (kind) {
      case 0: out.put(fmt::format(R"({{"metric":"{}","timestamp":{},"tags":{{{}}}}})", metric, time, tags)); break;
      case 1: out.put(point(metric, time, "null", tags)); break;
      case 2: out.put(point(metric, time, "1,\"extra\":2", tags)); break;
      case 3: out.put(point(metric, "\"tomorrow\"", "1", tags)); break;
      case 4: out.put(point(metric, time + "7", "1", tags)); break;
      case 5: out.put(point(metric, time, "1", "")); break;
      case 6: out.put(point("", time, "1", tags)); break;
      default: out.put(point(metric, time, "[1]", tags)); break;
    }
  }

 private:
  void next(TextBuffer& out) {
    out.begin_record();
    if (!first_) out.put(std::string_view(",\n"));
    first_ = false;
  }

  static constexpr std::array<std::string_view, 8> kKinds{"missing_member", "null_value",  "extra_member",
                                                          "text_timestamp", "extra_digit", "no_tags",
                                                          "empty_metric",   "array_value"};
  bool first_ = true;
};

}  // namespace

std::unique_ptr<Encoder> make_telnet_encoder(const Options& options, const Shape& shape) {
  return std::make_unique<TelnetEncoder>(options, shape);
}
std::unique_ptr<Encoder> make_json_encoder(const Options& options, const Shape& shape) {
  return std::make_unique<JsonEncoder>(options, shape);
}

}  // namespace penstock::generator
