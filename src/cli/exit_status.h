#pragma once

namespace penstock::cli {

/// What the program's exit status means; the highest applies.
enum ExitStatus : int {
  kOk = 0,           ///< all rows written; an empty source
  kRejects = 1,      ///< done, but rows were rejected
  kUsage = 2,        ///< wrong flag or configuration, wrong password, missing database, no file matches
  kStopped = 3,      ///< server unreachable or lost, a source unreadable, too many rejects, disk full
  kDifferences = 4,  ///< --verify found differences
  kInterrupted = 130,
  kTerminated = 143,
};

}  // namespace penstock::cli
