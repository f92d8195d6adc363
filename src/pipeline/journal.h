#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/identity.h"
#include "pipeline/ledger.h"
#include "pipeline/rejects.h"

namespace penstock::pipeline {

/// What a journal knows of one source.
struct JournalSource {
  std::string id;              ///< of the caller's choice; unique in the journal
  std::string name;            ///< for people
  std::filesystem::path path;  ///< absolute; empty: standard input
  std::string format;          ///< "line"; empty: not opened yet
  std::string compression;     ///< "none", "gzip"; empty: not opened yet
  io::FileIdentity identity;
  std::int64_t time_base_ns = 0;  ///< time of a record without one at offset 0, since 1970; the others count from it
  std::string extra;              ///< of the caller's; opaque
  /// Of a plain file: io::hash_of_range() of the `tail_bytes` before settled.offset; empty: not known.
  std::string tail_hash;
  std::uint32_t tail_bytes = 0;
  Settled settled;
  RejectFiles rejects;
  std::uint64_t position = 0;  ///< the journal's own: order of the rows
};

/// How a journal's run stands.
enum class JournalState : std::uint8_t {
  running,      ///< at work, or killed: the lock tells which
  interrupted,  ///< ended before its end; it can go on
  finished,
};
/// "running", "interrupted", "finished".
const char* to_string(JournalState state) noexcept;

/// All that stands in a journal beside its sources.
struct JournalHead {
  std::string command;  ///< "load", "tail"
  std::string target;   ///< for people, without secrets
  /// What must not change between a run and the one that goes on: name and value, in an order for people.
  std::vector<std::pair<std::string, std::string>> settings;
  /// What the run remembers for itself: name and value, by name. Unlike settings it may change.
  std::vector<std::pair<std::string, std::string>> memory;
  std::int64_t started_ns = 0;  ///< since 1970, of the first run
  std::int64_t updated_ns = 0;  ///< of the last commit
  std::uint64_t runs = 1;       ///< the first one and each that went on
  JournalState state = JournalState::running;
  int exit_status = -1;  ///< of the last run that ended; -1: none did
  std::string outcome;   ///< in words
};

struct JournalContent {
  JournalHead head;
  std::vector<JournalSource> sources;  ///< in the order in which they were added
};

/// Who holds a journal.
struct JournalHolder {
  bool held = false;
  std::int64_t pid = 0;  ///< 0: unknown
};

/// The file from which a load or tail goes on after a crash: an SQLite database of one file, committed with all its
/// writes on disk (journal_mode TRUNCATE, synchronous FULL: whenever the process or the machine stops, the file holds
/// the last commit or the one before, whole). Beside it "FILE.lock", locked as long as a Journal lives.
///
/// describe(), settle(), remember() and forget() change memory only; commit() makes all of them durable at once. Any
/// thread. What cannot be written is an Error(Errc::io) that says what to do; the changes stay and the next commit()
/// tries them again.
class Journal {
 public:
  /// Opens the file for writing, or makes it (0600). Throws Error(Errc::config) when another process holds it, when it
  /// is no journal, of a later version, a symbolic link, or not one's own; Error(Errc::io) when it cannot be made.
  static std::unique_ptr<Journal> open(const std::filesystem::path& file);
  /// Looks without a lock, also while a run writes it. Throws as open(), and Error(Errc::config) when there is none.
  static JournalContent read(const std::filesystem::path& file);
  static JournalHolder holder(const std::filesystem::path& file);
  ~Journal();

  /// What the file held when it was opened; nullopt: it is new.
  [[nodiscard]] const std::optional<JournalContent>& found() const noexcept { return found_; }
  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

  /// Replaces everything by a run that begins: durable, and at once or not at all. Sources are numbered as in the
  /// ledger: content.sources[i] is source i.
  void begin(JournalContent content);
  /// Keeps everything: the run goes on. sources[i]: the id of source i of the ledger; ids that the journal does not
  /// have yet must be described before the next commit. Writes state "running", one run more.
  void go_on(const std::vector<std::string>& sources);

  /// All of a source but settled, tail and rejects, which stay as they are unless the source is new. Source numbers of
  /// the ledger in any order.
  void describe(std::uint32_t source, const JournalSource& description);
  /// How far a source is settled, and the hash of what stands before that place (see JournalSource).
  void settle(std::uint32_t source, const Settled& settled, std::string tail_hash = {}, std::uint32_t tail_bytes = 0);
  void set_rejects(std::uint32_t source, const RejectFiles& files);
  /// Its row goes away. The number must not be used again.
  void forget(std::uint32_t source);
  void remember(const std::string& name, const std::string& value);
  [[nodiscard]] std::string remembered(const std::string& name) const;
  /// What the next commit makes durable.
  [[nodiscard]] JournalHead head() const;
  [[nodiscard]] JournalSource row_of(std::uint32_t source) const;

  /// Makes all changes durable. Cheap when there are none: writes nothing, unless `force` (which renews updated_ns).
  void commit(bool force = false);
  /// commit() with the state that the run ends in.
  void end(JournalState state, int exit_status, const std::string& outcome);

 private:
  class Database;
  struct Row {
    JournalSource source;
    bool in_use = false;
    bool changed = false;  // is among changed_
  };
  explicit Journal(std::filesystem::path file);
  void lock();
  Row& row(std::uint32_t source);
  void mark(std::uint32_t source);
  template <class Write>
  void write(const Write& call);
  void commit_locked(bool force);

  std::filesystem::path file_;
  int lock_ = -1;
  std::optional<JournalContent> found_;
  mutable std::mutex mutex_;  // guards all below
  std::unique_ptr<Database> database_;
  std::vector<Row> rows_;  // by source number
  std::vector<std::uint32_t> changed_;
  std::vector<std::string> forgotten_;  // ids
  JournalHead head_;
  bool head_changed_ = false;
  std::uint64_t next_position_ = 0;
};

}  // namespace penstock::pipeline
