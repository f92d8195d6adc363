#include "format/series_kin.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "data/types.h"
#include "format/line_kernels.h"
#include "format/number.h"

namespace penstock::format {
namespace {

// Longer values meet limits that the general path knows.
constexpr std::ptrdiff_t kLongest = 1024;

/// Whether `text`, which stands before a value, ends with its key as the syntax writes it.
bool names_key(std::string_view text, std::string_view key, SeriesSyntax syntax) {
  const auto ends = [&](std::string_view before, std::string_view behind) {
    if (text.size() < before.size() + key.size() + behind.size() || !text.ends_with(behind)) return false;
    const auto at = text.size() - behind.size() - key.size();
    return text.substr(at, key.size()) == key && text.substr(0, at).ends_with(before);
  };
  switch (syntax) {
    case SeriesSyntax::line: return ends(",", "=");
    case SeriesSyntax::telnet: return ends(" ", "=") || ends("\n", "=");
    case SeriesSyntax::json: return ends("\"", "\":\"") || ends("\"", "\": \"");
  }
  return false;
}

}  // namespace

bool SeriesKin::can_be_of(const data::Series& series, SeriesSyntax syntax, const schema::NamingRules& rules) {
  // A super table whose name looks like a hashed one: the general path makes sure that no child table has it.
  constexpr std::size_t kHashedName = 34;
  const auto* const layout = series.tags.layout();
  if (!schema::SimilarNames::apply(rules) || !rules.uses_all_tags() || layout == nullptr ||
      series.child->table->name.size() == kHashedName || !series.child->name.is_digest() ||
      series.raw.find('\\') != std::string_view::npos)
    return false;
  const auto text_type = syntax == SeriesSyntax::json ? data::Type::varchar : data::Type::nchar;
  // The layout may have found a value in another place that looks the same.
  const char* at = series.raw.data();
  const char* const end = at + series.raw.size();
  for (std::size_t i = 0; i < layout->parts.size(); ++i) {
    const auto& part = layout->parts[i];
    if (part.gap == data::TagLayout::kApart || part.type != text_type) return false;
    const auto& tag = series.tags[i];
    if (!names_key({at, static_cast<std::size_t>(tag.bytes - at)}, part.name, syntax)) return false;
    at = tag.bytes + tag.length;
    const bool last = i + 1 == layout->parts.size();
    if (syntax == SeriesSyntax::json ? at == end || *at != '"' : last && at != end) return false;
  }
  return true;
}

SeriesKin::SeriesKin(const data::Series& series, SeriesSyntax syntax, std::string_view hashed_measurement,
                     const std::vector<schema::NewSeries::Tag>& tags, const schema::NamingRules& rules)
    : table_(series.child->table),
      layout_(series.tags.layout()),
      names_(hashed_measurement, tags, rules),
      syntax_(syntax) {
  std::size_t at = 0;
  for (const auto& tag : series.tags) {
    const auto begin = static_cast<std::size_t>(tag.bytes - series.raw.data());
    auto& key = keys_.emplace_back();
    key.text = series.raw.substr(at, begin - at);
    std::memcpy(key.words, key.text.data(), std::min(key.text.size(), sizeof key.words));
    std::memset(key.mask, 0xFF, std::min(key.text.size(), sizeof key.mask));
    at = begin + tag.length;
  }
  tail_ = series.raw.substr(at);
  values_.resize(keys_.size());
  lengths_.resize(keys_.size());
}

bool SeriesKin::read(std::string_view raw) noexcept {
  const char* p = raw.data();
  const char* const stop = p + raw.size();
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const auto& key = keys_[i];
    if ((((load8(p) ^ key.words[0]) & key.mask[0]) | ((load8(p + 8) ^ key.words[1]) & key.mask[1]) |
         ((load8(p + 16) ^ key.words[2]) & key.mask[2])) != 0)
      return false;
    const auto bytes = key.text.size();
    if (bytes > sizeof key.words &&
        (stop - p < static_cast<std::ptrdiff_t>(bytes) || std::memcmp(p, key.text.data(), bytes) != 0))
      return false;
    p += bytes;
    const char* const end = syntax_ == SeriesSyntax::json ? find_plain_string_end(p) : find_plain_end(p);
    if (end == p || end - p > kLongest || end > stop) return false;
    values_[i] = {p, static_cast<std::size_t>(end - p)};
    lengths_[i] = static_cast<std::uint32_t>(end - p);
    p = end;
  }
  return static_cast<std::size_t>(stop - p) == tail_.size() && std::memcmp(p, tail_.data(), tail_.size()) == 0;
}

void SeriesKins::note(const data::Series& series, SeriesSyntax syntax, std::string_view hashed_measurement,
                      const std::vector<schema::NewSeries::Tag>& tags, const schema::NamingRules& rules) {
  if (!SeriesKin::can_be_of(series, syntax, rules)) return;
  SeriesKin kin(series, syntax, hashed_measurement, tags, rules);
  last_ = kins_.size() < kMost ? kins_.size() : std::exchange(oldest_, (oldest_ + 1) % kMost);
  if (last_ == kins_.size()) kins_.push_back(std::move(kin));
  else kins_[last_] = std::move(kin);
}

}  // namespace penstock::format
