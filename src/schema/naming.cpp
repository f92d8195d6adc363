#include "schema/naming.h"

#include <algorithm>
#include <optional>

#include "base/hash.h"
#include "base/md5.h"
#include "data/types.h"

namespace penstock::schema {
namespace {

void map_dots(std::string& name, const NamingRules& rules) {
  if (rules.dot_to_underscore) std::replace(name.begin(), name.end(), '.', '_');
}

std::string table_name(std::string_view text, const NamingRules& rules) {
  std::string name(text.substr(0, data::Limits::table_name));
  map_dots(name, rules);
  return name;
}

unsigned char lower(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 'A' && byte <= 'Z' ? static_cast<unsigned char>(byte + 32) : byte;
}

// ASCII letters count as lower case, other bytes by value; of two keys with one beginning the shorter comes first.
bool key_before(std::string_view a, std::string_view b) noexcept {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i)
    if (lower(a[i]) != lower(b[i])) return lower(a[i]) < lower(b[i]);
  return a.size() < b.size();
}

/// The keys of the last series, for most series of an input have the same: their order is worked out once.
class KeyOrder {
 public:
  /// Calls `visit(",key=", index)` for the tags in the order in which they are hashed.
  template <class Visit>
  void for_each(const std::vector<NewSeries::Tag>& tags, const Visit& visit) {
    const auto same = [](const std::string& key, const NewSeries::Tag& tag) { return key == tag.key; };
    if (!std::equal(keys_.begin(), keys_.end(), tags.begin(), tags.end(), same)) learn(tags);
    for (const auto& [prefix, index] : order_) visit(prefix, index);
  }

 private:
  void learn(const std::vector<NewSeries::Tag>& tags) {
    keys_.clear();
    order_.clear();
    for (std::size_t i = 0; i < tags.size(); ++i) {
      keys_.emplace_back(tags[i].key);
      order_.emplace_back("", i);
    }
    // Stable: keys that differ only in case keep the order of the input.
    std::stable_sort(order_.begin(), order_.end(),
                     [&](const auto& a, const auto& b) { return key_before(keys_[a.second], keys_[b.second]); });
    for (auto& [prefix, index] : order_) prefix = ',' + keys_[index] + '=';
  }
  std::vector<std::string> keys_;
  std::vector<std::pair<std::string, std::size_t>> order_;
};

std::string hashed_name(std::string_view measurement, const std::vector<NewSeries::Tag>& tags,
                        const NamingRules& rules) {
  thread_local std::string image;
  thread_local KeyOrder order;
  image = measurement;
  map_dots(image, rules);
  order.for_each(tags, [&](std::string_view lead, std::size_t i) { image.append(lead).append(tags[i].value); });
  return "t_" + md5_hex(image);
}

std::optional<std::string> joined_name(const std::vector<NewSeries::Tag>& tags, const NamingRules& rules) {
  if (rules.child_table_delimiter.empty() || tags.empty()) return std::nullopt;
  std::string name;
  for (const auto& tag : tags) {
    if (&tag != &tags.front()) name += rules.child_table_delimiter;
    name += tag.value;
    if (name.size() > data::Limits::table_name) return std::nullopt;
  }
  map_dots(name, rules);
  return name;
}

}  // namespace

NamingRules::TagUse NamingRules::use_of(std::string_view key) const noexcept {
  const auto names = [key](const std::vector<std::string>& keys) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  return names(drop_tags) ? TagUse::drop : names(tags_as_columns) ? TagUse::column : TagUse::tag;
}

std::string super_table_name(std::string_view measurement, const NamingRules& rules) {
  // The server takes the name as a C string: a NUL ends it.
  std::string name(measurement.substr(0, measurement.find('\0')));
  map_dots(name, rules);
  return name;
}

std::string child_table_name(std::string_view hashed_measurement, std::vector<NewSeries::Tag>& tags,
                             const NamingRules& rules) {
  const auto with_key = [&](std::string_view key) {
    return std::find_if(tags.begin(), tags.end(), [&](const auto& tag) { return tag.key == key; });
  };
  if (!rules.table_name_key.empty()) {
    // The call's key shuts out the settings even where no tag has it.
    if (const auto tag = with_key(rules.table_name_key); tag != tags.end()) {
      std::string name = table_name(tag->value, rules);
      tags.erase(tag);
      if (!name.empty()) return name;
    }
    return hashed_name(hashed_measurement, tags, rules);
  }
  if (auto name = joined_name(tags, rules)) return *std::move(name);
  if (!rules.child_table_tag.empty()) {
    if (const auto tag = with_key(rules.child_table_tag); tag != tags.end()) {
      std::string name = table_name(tag->value, rules);
      tags.erase(tag);
      if (!name.empty()) return name;
    }
  }
  return hashed_name(hashed_measurement, tags, rules);
}

SimilarNames::SimilarNames(std::string_view hashed_measurement, const std::vector<NewSeries::Tag>& tags,
                           const NamingRules& rules)
    : image_(hashed_measurement) {
  map_dots(image_, rules);
  KeyOrder order;
  order.for_each(tags, [&](std::string_view lead, std::size_t value) {
    parts_.push_back({std::string(parts_.empty() ? image_ : "").append(lead), value});
  });
}

data::TableName SimilarNames::of(const std::string_view* values) {
  if (parts_.empty()) return data::TableName(md5(image_));
  std::size_t size = 0;
  for (const auto& part : parts_) size += part.lead.size() + values[part.value].size();
  image_.resize(size);
  char* at = image_.data();
  for (const auto& part : parts_) {
    at = std::copy_n(part.lead.data(), part.lead.size(), at);
    const auto value = values[part.value];
    at = std::copy_n(value.data(), value.size(), at);
  }
  return data::TableName(md5(image_));
}

}  // namespace penstock::schema
