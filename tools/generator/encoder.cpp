#include "encoder.h"

#include <fmt/format.h>

namespace penstock::generator {

std::unique_ptr<Encoder> Encoder::make(const Options& options, const Shape& shape) {
  switch (options.format) {
    case Format::line: return make_line_encoder(options, shape);
    case Format::telnet: return make_telnet_encoder(options, shape);
    case Format::json: return make_json_encoder(options, shape);
    case Format::csv: return make_csv_encoder(options, shape);
  }
  return nullptr;
}

Encoder::Encoder(const Options& options, const Shape& shape)
    : options_(options), shape_(shape), missing_piece_(shape.tags.size()) {}

std::string_view Encoder::time_text(std::uint32_t step) {
  if (step == time_step_) return time_;  // hosts share their times, so nearly always
  time_step_ = step;
  const std::int64_t time_ns = *options_.start_ns + options_.interval.count() * step;
  time_ = options_.time_text == TimeText::rfc3339
              ? rfc3339(time_ns, *options_.precision)
              : std::to_string(time_ns / static_cast<std::int64_t>(*options_.precision));
  return time_;
}

void Encoder::make_tag_pieces(std::string_view separator, std::string_view equals, std::string_view before,
                              std::string_view after) {
  const auto piece = [&](const Tag& tag, std::string_view value) {
    return equals.empty()
               ? fmt::format("{}{}{}", separator, before, value)
               : fmt::format("{}{}{}{}{}{}", separator, before == "\"" ? "\"" : "", tag.key, equals, before, value);
  };
  after_host_ = Piece(after);
  for (const auto& tag : shape_.tags) {
    auto& pieces = tag_pieces_.emplace_back();
    if (tag.values.empty()) pieces.emplace_back(piece(tag, shape_.host_prefix));
    for (const auto value : tag.values) pieces.emplace_back(piece(tag, value) + std::string(after));
  }
}

void Encoder::put_tags(TextBuffer& out, const Row& row) const {
  out.put(tag_pieces_[0][0]);
  out.put_number(row.host);
  out.put(after_host_);
  for (std::size_t i = 1; i < tag_pieces_.size(); ++i)
    out.put(i == row.missing_tag ? missing_piece_[i] : tag_pieces_[i][row.tags[i]]);
}

std::string Encoder::tags_text(TextBuffer& out, const Row& row) const {
  out.begin_record();
  char* const from = out.here();
  put_tags(out, row);
  std::string text(from, out.here());
  out.back_to(from);
  return text;
}

}  // namespace penstock::generator
