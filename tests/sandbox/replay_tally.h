#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What replays of recorded conversations share: the records, and the count of answers that agree.
namespace penstock::test {

/// The lines of a record in PENSTOCK_CONFORMANCE's folder `wire`, by its name there without ".jsonl".
std::optional<std::vector<nlohmann::json>> wire_record(const std::string& name);

/// A replay is one, and says with each difference what was asked.
class ReplayTally {
 public:
  /// Prints the counts and some differences (PENSTOCK_REPLAY_ALL=1: all), and fails below `floor` answers that agree.
  void report(const std::string& name, int floor) const;
  [[nodiscard]] int total() const { return total_; }

 protected:
  void differ(std::string_view recorded, std::string_view got);

  int same_ = 0;
  int same_code_ = 0;  ///< an error with the same code and another text, or with more members
  int total_ = 0;
  std::string note_;   ///< of the record, about what follows
  std::string asked_;  ///< the last request

 private:
  std::vector<std::string> differences_;
};

}  // namespace penstock::test
