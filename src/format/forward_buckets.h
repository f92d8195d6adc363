#pragma once

#include <cstdint>
#include <string>

#include "base/hash.h"
#include "schema/registry.h"

namespace penstock::format {

/// Stand-ins for the child tables of records that are forwarded unread: only their ids count, for they decide the lane.
/// All parsers of a run share them through its registry.
class ForwardBuckets {
 public:
  explicit ForwardBuckets(schema::Registry& registry) : table_(registry.table("lines")) {
    for (std::uint32_t i = 0; i < kBuckets; ++i) {
      schema::NewSeries bucket;
      bucket.table = table_->name;
      bucket.child = "bucket " + std::to_string(i);
      const auto* const series = registry.insert(hash_bytes(bucket.child), bucket.child, bucket);
      if (i == 0) first_ = series->child->id;
    }
  }
  [[nodiscard]] data::SuperTableRef* table() const noexcept { return table_; }
  /// Equal hashes, equal children.
  [[nodiscard]] std::uint32_t child(std::uint64_t hash) const noexcept {
    return first_ + static_cast<std::uint32_t>(hash % kBuckets);
  }

 private:
  static constexpr std::uint32_t kBuckets = 256;
  data::SuperTableRef* table_;
  std::uint32_t first_ = 0;
};

}  // namespace penstock::format
