#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/naming.h"
#include "schema/registry.h"

/// New series that differ from an earlier one in the values of their tags only: most of those of an input. Their keys
/// are compared as text, nothing is looked up, and the registry is told what is their own.
namespace penstock::format {

/// How the raw bytes of a series are spelled.
enum class SeriesSyntax : std::uint8_t {
  line,    ///< m,key=value,key=value
  telnet,  ///< m\nkey=value key=value
  json,    ///< …{"key":"value","key":"value"}
};

/// What such series have in common.
class SeriesKin {
 public:
  /// Whether one can be made of a series that the general path found: with all of its tags, which are texts and stand
  /// in its raw bytes as they are, with a name made by hashing.
  static bool can_be_of(const data::Series& series, SeriesSyntax syntax, const schema::NamingRules& rules);
  /// `hashed_measurement` and `tags` as child_table_name() takes them.
  SeriesKin(const data::Series& series, SeriesSyntax syntax, std::string_view hashed_measurement,
            const std::vector<schema::NewSeries::Tag>& tags, const schema::NamingRules& rules);

  /// Whether these raw bytes are of such a series. Behind them a control byte stands (or, but in JSON, a blank), and 64
  /// bytes can be read. Values with bytes that have a meaning somewhere, that are not ASCII, or that are very long are
  /// left to the general path.
  bool read(std::string_view raw) noexcept;
  /// After read(): what the registry needs.
  [[nodiscard]] schema::SimilarSeries found() { return {table_, layout_, lengths_.data(), names_.of(values_.data())}; }

  [[nodiscard]] data::SuperTableRef* table() const noexcept { return table_; }
  [[nodiscard]] const data::TagLayout& layout() const noexcept { return *layout_; }
  const void* checked = nullptr;  ///< for the owner: what its keys are known to go with

 private:
  struct Key {
    std::uint64_t words[3] = {};
    std::uint64_t mask[3] = {};
    std::string text;  ///< from the value before (or the start) to the value
  };
  data::SuperTableRef* table_;
  const data::TagLayout* layout_;
  schema::SimilarNames names_;
  SeriesSyntax syntax_;
  std::vector<Key> keys_;
  std::string tail_;  // behind the last value
  std::vector<std::string_view> values_;
  std::vector<std::uint32_t> lengths_;
};

/// Those that a parser has met.
class SeriesKins {
 public:
  /// Of which `raw` is one, after SeriesKin::read(); nullptr: none.
  SeriesKin* find(std::string_view raw) noexcept {
    const auto count = kins_.size();
    for (std::size_t tries = 0, at = last_; tries < count; ++tries) {
      if (kins_[at].read(raw)) {
        last_ = at;
        return &kins_[at];
      }
      if (++at == count) at = 0;
    }
    return nullptr;
  }
  /// find(), and enters it; nullptr: none. `hash` as Registry::find() takes it.
  data::Series* enter(schema::Registry& registry, std::uint64_t hash, std::string_view raw) {
    auto* const kin = find(raw);
    return kin == nullptr ? nullptr : registry.insert(hash, raw, kin->found());
  }
  /// Remembers what a series that the general path found has in common with those to come. Arguments as of SeriesKin.
  void note(const data::Series& series, SeriesSyntax syntax, std::string_view hashed_measurement,
            const std::vector<schema::NewSeries::Tag>& tags, const schema::NamingRules& rules);
  void forget_checks() noexcept {
    for (auto& kin : kins_) kin.checked = nullptr;
  }

 private:
  static constexpr std::size_t kMost = 32;
  std::vector<SeriesKin> kins_;
  std::size_t last_ = 0;  // the next series is of the same kin or of the one behind it
  std::size_t oldest_ = 0;
};

}  // namespace penstock::format
