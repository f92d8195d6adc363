#include "shape.h"

namespace penstock::generator {
namespace {

struct Region {
  std::string_view name;
  std::string_view zones;
};
constexpr std::array kRegions{
    Region{"us-east-1", "abce"},    Region{"us-west-1", "ab"},      Region{"us-west-2", "abc"},
    Region{"eu-west-1", "abc"},     Region{"eu-central-1", "ab"},   Region{"ap-southeast-1", "ab"},
    Region{"ap-southeast-2", "ab"}, Region{"ap-northeast-1", "ac"}, Region{"sa-east-1", "abc"},
};

// Texts of numbers and datacenters, kept for the life of the program so that tags can be views.
std::string_view keep(std::string text) {
  static std::vector<std::vector<char>> kept;
  const auto& stored = kept.emplace_back(text.begin(), text.end());
  return {stored.data(), stored.size()};
}

std::vector<std::string_view> numbers(int count) {
  std::vector<std::string_view> out;
  for (int i = 0; i < count; ++i) out.push_back(keep(std::to_string(i)));
  return out;
}

Shape cpu_only() {
  Shape shape;
  shape.name = "cpu-only";
  shape.host_prefix = "host_";
  std::vector<std::string_view> regions;
  std::vector<std::string_view> datacenters;
  for (const auto& region : kRegions) {
    regions.push_back(region.name);
    for (const char zone : region.zones) datacenters.push_back(keep(std::string(region.name) + zone));
  }
  shape.tags = {{"hostname", {}},
                {"region", regions},
                {"datacenter", datacenters},
                {"rack", numbers(100)},
                {"os", {"Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"}},
                {"arch", {"x64", "x86"}},
                {"team", {"SF", "NYC", "LON", "CHI"}},
                {"service", numbers(20)},
                {"service_version", numbers(2)},
                {"service_environment", {"production", "staging", "test"}}};
  Table cpu{"cpu", {}};
  for (const auto name : {"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq",
                          "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"})
    cpu.columns.push_back({name, 0, true, 0, 100, 1, {}});
  shape.tables = {cpu};
  return shape;
}

Shape iot() {
  Shape shape;
  shape.name = "iot";
  shape.host_prefix = "truck_";
  shape.sparse = true;
  shape.tags = {{"name", {}},
                {"fleet", {"East", "West", "North", "South"}},
                {"driver", {"Derek", "Rodney", "Albert", "Andy", "Seth", "Trish"}},
                {"model", {"F-150", "G-2000", "H-2"}},
                {"device_version", {"v1.0", "v1.5", "v2.0", "v2.3"}}};
  const Column load_capacity{"load_capacity", 0, false, 0, 5000, 0, {2000, 5000, 1500}};
  const Column fuel_capacity{"fuel_capacity", 0, false, 0, 300, 0, {200, 300, 150}};
  const Column consumption{"nominal_fuel_consumption", 0, false, 0, 19, 0, {15, 19, 12}};
  shape.tables = {{"readings",
                   {load_capacity,
                    fuel_capacity,
                    consumption,
                    {"latitude", 5, false, -9000000, 9000000, 500, {}},
                    {"longitude", 5, false, -18000000, 18000000, 500, {}},
                    {"elevation", 0, false, 0, 500, 3, {}},
                    {"velocity", 0, false, 0, 100, 3, {}},
                    {"heading", 0, false, 0, 360, 7, {}},
                    {"grade", 0, false, 0, 100, 2, {}},
                    {"fuel_consumption", 1, false, 0, 500, 9, {}}}},
                  {"diagnostics",
                   {load_capacity,
                    fuel_capacity,
                    consumption,
                    {"fuel_state", 1, false, 0, 10, 1, {}},
                    {"current_load", 0, false, 0, 5000, 37, {}},
                    {"status", 0, true, 0, 5, 1, {}}}}};
  return shape;
}

}  // namespace

const Shape* find_shape(std::string_view name) {
  static const std::array shapes{cpu_only(), iot()};
  for (const auto& shape : shapes)
    if (shape.name == name) return &shape;
  return nullptr;
}

TagPicks pick_tags(const Shape& shape, std::uint64_t seed, std::uint32_t host) noexcept {
  Random random(seed ^ (0xA0761D6478BD642Fu * (host + 1ull)));
  const std::uint64_t low = random();
  const std::uint64_t high = random();
  TagPicks picks{};
  for (std::size_t i = 1; i < shape.tags.size() && i < kMaxTags; ++i) {
    const std::uint64_t byte = ((i < 6 ? low : high) >> (8 * (i < 6 ? i : i - 6))) & 0xFF;
    picks[i] = static_cast<std::uint8_t>((byte * shape.tags[i].values.size()) >> 8);
  }
  if (!shape.sparse) {  // a datacenter belongs to its region
    std::size_t first = 0;
    for (std::size_t region = 0; region < picks[1]; ++region) first += kRegions[region].zones.size();
    const std::size_t zones = kRegions[picks[1]].zones.size();
    picks[2] = static_cast<std::uint8_t>(first + (((high >> 56) * zones) >> 8));
  }
  return picks;
}

std::size_t model_of(const TagPicks& picks) noexcept { return picks[3] % 3u; }

}  // namespace penstock::generator
