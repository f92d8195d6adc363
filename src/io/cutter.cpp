#include "io/cutter.h"

#include <algorithm>

namespace penstock::io {
namespace {

constexpr std::size_t kLeastQuoteLimit = 64 * 1024;

Cutting normalised(Cutting cutting) {
  if (cutting.splitting == Splitting::csv && cutting.marks.quote == '\0') cutting.splitting = Splitting::lines;
  if (cutting.marks.escape == cutting.marks.quote) cutting.marks.escape = '\0';  // that is doubling
  return cutting;
}

}  // namespace

Cutter::Cutter(const Cutting& cutting, std::size_t chunk_bytes, std::size_t max_record)
    : cutting_(normalised(cutting)),
      chunk_bytes_(std::max<std::size_t>(1, std::min(chunk_bytes, max_record))),
      max_record_(std::max<std::size_t>(1, max_record)),
      quote_limit_(max_record_) {}

Cut Cutter::cut(std::string_view window, bool last) {
  const bool json = cutting_.splitting == Splitting::json;
  if (in_oversized_) return json ? cut_oversized_json(window, last) : cut_oversized(window, last);
  if (window.empty()) return last ? Cut{Cut::Kind::end, 0} : Cut{Cut::Kind::need_more, chunk_bytes_};
  if (json) return cut_json(window, last);
  return cutting_.splitting == Splitting::csv ? cut_csv(window, last) : cut_lines(window, last);
}

void Cutter::reset() {
  scanned_ = 0;
  extending_ = false;
  state_ = simd::CsvState::field_start;
}

Cut Cutter::take_records(std::size_t bytes, std::size_t scanned) {
  extending_ = false;
  scanned_ = scanned;
  good_bytes_ += bytes;
  if (good_bytes_ >= max_record_) quote_limit_ = max_record_;
  return {Cut::Kind::records, bytes};
}

Cut Cutter::take_broken(std::size_t bytes) {
  reset();
  good_bytes_ = 0;
  quote_limit_ = std::min(quote_limit_, std::max(kLeastQuoteLimit, quote_limit_ / 2));
  return {Cut::Kind::broken_quote, bytes};
}

Cut Cutter::start_oversized(std::size_t bytes) {
  reset();
  in_oversized_ = true;
  return {Cut::Kind::oversized, bytes};
}

Cut Cutter::more(std::string_view window, std::size_t least) const {
  return {Cut::Kind::need_more, std::min(std::max(least, window.size() * 2), max_record_ + 1)};
}

Cut Cutter::cut_oversized(std::string_view window, bool last) {
  const std::size_t newline = window.substr(0, chunk_bytes_).find('\n');
  if (newline != std::string_view::npos) {
    in_oversized_ = false;
    return {Cut::Kind::oversized_end, newline + 1};
  }
  // One byte more than a piece: the end of the source must not leave an empty last piece.
  if (window.size() > chunk_bytes_) return {Cut::Kind::oversized, chunk_bytes_};
  if (!last) return {Cut::Kind::need_more, chunk_bytes_ + 1};
  in_oversized_ = false;
  return {Cut::Kind::oversized_end, window.size()};
}

Cut Cutter::cut_lines(std::string_view window, bool last) {
  if (!extending_) {
    if (window.size() < chunk_bytes_ && !last) return {Cut::Kind::need_more, chunk_bytes_};
    // A window of just one chunk is cut as if more came: a stream cannot know yet that it is at its end.
    if (window.size() < chunk_bytes_) return take_records(window.size(), 0);
    const std::size_t newline = simd::find_last(window.substr(0, chunk_bytes_), '\n');
    if (newline != simd::kNone) return take_records(newline + 1, 0);
    extending_ = true;
    scanned_ = chunk_bytes_;
  }
  const std::string_view record = window.substr(0, max_record_);
  const std::size_t newline = record.find('\n', scanned_);
  if (newline != std::string_view::npos) return take_records(newline + 1, 0);
  scanned_ = record.size();
  if (window.size() > max_record_) return start_oversized(max_record_);
  if (last) return take_records(window.size(), 0);
  return more(window, chunk_bytes_);
}

Cut Cutter::cut_by_end(std::string_view end_of_chunk) {
  if (looks_at_all() || in_oversized_ || extending_) return {};
  const std::size_t newline = simd::find_last(end_of_chunk, '\n');
  if (newline == simd::kNone) return {};
  return take_records(chunk_bytes_ - end_of_chunk.size() + newline + 1, 0);
}

Cut Cutter::cut_csv(std::string_view window, bool last) {
  if (extending_) return extend_csv(window, last);
  const std::size_t target = std::min(chunk_bytes_, quote_limit_);
  if (window.size() < target && !last) return {Cut::Kind::need_more, target};
  const std::size_t until = std::max(scanned_, std::min(target, window.size()));
  std::size_t end = simd::csv_last_end(window.substr(scanned_, until - scanned_), cutting_.marks, state_);
  if (window.size() < target && until == window.size() && !open_quote()) {
    reset();
    return take_records(window.size(), 0);
  }
  if (end != simd::kNone) {
    end += scanned_ + 1;
    return take_records(end, until - end);
  }
  scanned_ = until;
  extending_ = true;
  return extend_csv(window, last);
}

Cut Cutter::extend_csv(std::string_view window, bool last) {
  for (const std::size_t limit : {quote_limit_, max_record_}) {
    const std::string_view record = window.substr(0, limit);
    if (scanned_ < record.size()) {
      const std::size_t end = simd::csv_first_end(record.substr(scanned_), cutting_.marks, state_);
      if (end != simd::kNone) {
        const std::size_t bytes = scanned_ + end + 1;
        reset();
        return take_records(bytes, 0);
      }
      scanned_ = record.size();
    }
    const bool passed = window.size() > limit && scanned_ == limit;
    if (passed && open_quote()) {
      const std::size_t newline = record.find('\n');
      if (newline != std::string_view::npos) return take_broken(newline + 1);
    }
    if (passed && limit == max_record_) return start_oversized(max_record_);
  }
  if (!last) return more(window, std::min(chunk_bytes_, quote_limit_) + 1);
  if (!open_quote()) {
    reset();
    return take_records(window.size(), 0);
  }
  return take_broken(std::min(window.find('\n'), window.size() - 1) + 1);
}

Cut Cutter::cut_json(std::string_view window, bool last) {
  using Kind = simd::JsonRecord::Kind;
  if (window.size() < chunk_bytes_ && !last) return {Cut::Kind::need_more, chunk_bytes_};
  // What is decided here is decided by the bytes of one chunk, however many there are.
  const bool all = last && window.size() < chunk_bytes_;
  const std::string_view chunk = window.substr(0, chunk_bytes_);
  std::size_t good = 0;
  for (;;) {
    const auto record = simd::next_json_record(chunk.substr(good), all);
    if (record.kind == Kind::need_more) break;
    good += record.end;
    if (record.kind == Kind::none) return take_records(chunk.size(), 0);
  }
  if (good > 0) return take_records(good, 0);
  const auto record = simd::next_json_record(window.substr(0, max_record_), last && window.size() <= max_record_);
  if (record.kind != Kind::need_more) return take_records(record.end, 0);
  if (window.size() <= max_record_) return more(window, chunk_bytes_ + 1);
  resync_ = {};
  for (const char c : window.substr(0, max_record_)) resync_.starts_here(c);
  return start_oversized(max_record_);
}

Cut Cutter::cut_oversized_json(std::string_view window, bool last) {
  // The byte behind a piece is looked at with it, so that no piece is empty.
  if (window.size() <= chunk_bytes_ && !last) return {Cut::Kind::need_more, chunk_bytes_ + 1};
  for (std::size_t i = 0; i < std::min(window.size(), chunk_bytes_ + 1); ++i) {
    const auto before = resync_;
    if (resync_.starts_here(window[i]) && i > 0) {
      in_oversized_ = false;
      return {Cut::Kind::oversized_end, i};
    }
    if (i == chunk_bytes_) resync_ = before;
  }
  if (window.size() > chunk_bytes_) return {Cut::Kind::oversized, chunk_bytes_};
  in_oversized_ = false;
  return {Cut::Kind::oversized_end, window.size()};
}

std::size_t Cutter::flush(std::string_view window) {
  if (in_oversized_ || scanned_ >= window.size()) return 0;
  if (cutting_.splitting == Splitting::json) {
    std::size_t good = 0;
    for (;;) {
      const auto record = simd::next_json_record(window.substr(good), false);
      if (record.kind == simd::JsonRecord::Kind::need_more) return good;
      good += record.end;
      if (record.kind == simd::JsonRecord::Kind::none) return good;
    }
  }
  const std::string_view fresh = window.substr(scanned_);
  if (cutting_.splitting == Splitting::lines) {
    const std::size_t newline = simd::find_last(fresh, '\n');
    return newline == simd::kNone ? 0 : take_records(scanned_ + newline + 1, 0).bytes;
  }
  const std::size_t end = simd::csv_last_end(fresh, cutting_.marks, state_);
  if (end == simd::kNone) {
    scanned_ = window.size();
    return 0;
  }
  const std::size_t bytes = scanned_ + end + 1;
  return take_records(bytes, window.size() - bytes).bytes;
}

}  // namespace penstock::io
