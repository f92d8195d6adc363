#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::generator {

inline constexpr std::size_t kMaxTags = 10;
inline constexpr std::size_t kMaxColumns = 10;
/// Which tag a row lacks: 0 none, else its position (1 to 3). So a host has at most 4 child tables per table.
inline constexpr std::size_t kTagVariants = 4;

/// Small deterministic generator (splitmix64): same seed, same numbers, on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t operator()() noexcept {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  /// A number of [0, bound), bound >= 1.
  std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>((((*this)() >> 32) * bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

/// One data column. Values are integers in units of 10^-decimals, so that sums are exact.
struct Column {
  std::string_view name;
  int decimals = 0;
  bool integer = false;  ///< written with the suffix `i` in line protocol
  std::int32_t low = 0;
  std::int32_t high = 0;
  std::int32_t step = 0;                ///< of the random walk; 0: the value belongs to the model of the host
  std::array<std::int32_t, 3> fixed{};  ///< by model, where step is 0
};

/// One tag: the values that occur. The first tag of a case has none: it is `prefix` and the number of the host.
struct Tag {
  std::string_view key;
  std::vector<std::string_view> values;
};

struct Table {
  std::string_view name;
  std::vector<Column> columns;
};

using TagPicks = std::array<std::uint8_t, kMaxTags>;

/// The shape of one benchmark of the Time Series Benchmark Suite (TSBS, github.com/timescale/tsbs).
struct Shape {
  std::string_view name;
  std::string_view host_prefix;  ///< "host_": the first tag is host_0, host_1 ...
  std::vector<Tag> tags;
  std::vector<Table> tables;
  bool sparse = false;  ///< fields and tags are missing now and then
};

/// "cpu-only" or "iot"; nullptr for any other name.
const Shape* find_shape(std::string_view name);

/// Which values the tags of a host have; the same for every call with one seed.
TagPicks pick_tags(const Shape& shape, std::uint64_t seed, std::uint32_t host) noexcept;

/// Position of the value of a static column (the model of the truck).
std::size_t model_of(const TagPicks& picks) noexcept;

/// One row of one host before it becomes text.
struct Row {
  std::uint32_t table = 0;
  std::uint32_t host = 0;
  std::uint32_t step = 0;
  std::uint32_t missing_tag = 0;  ///< [0, kTagVariants)
  std::uint32_t fields = 0;       ///< bit per column that is given
  TagPicks tags{};
  std::array<std::int32_t, kMaxColumns> values{};
};

}  // namespace penstock::generator
