#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace penstock::pipeline {

/// A record that is not going to be written, with its place and the reason.
struct RejectedRecord {
  std::uint32_t source = 0;
  std::uint64_t line = 0;    ///< from 1; 0 unknown
  std::uint64_t offset = 0;  ///< in the source, decompressed bytes
  std::uint32_t column = 0;  ///< byte in the record, from 1; 0: the record as a whole
  std::int32_t code = 0;     ///< the server's; 0 none
  bool by_server = false;    ///< refused by the server, not by us
  std::string_view reason;
  std::string_view record;  ///< as it was read, without its line end
  /// Lines that must stand before it in the reject file, without the last line end; empty: none beyond the source's.
  std::string_view head = {};
  bool ends_pieces = false;  ///< the pieces given to put_piece() are its beginning
};

/// The reject files of one source as a journal knows them.
struct RejectFiles {
  std::filesystem::path records;   ///< absolute; beside it "….reasons.jsonl"; empty: none
  std::uint64_t header_bytes = 0;  ///< at the front of `records`, before the first record
  std::uint64_t records_bytes = 0;
  std::uint64_t reasons_bytes = 0;
  /// Not empty: files of these lengths lie beside the two, with this behind their names, and take their place.
  std::string swap;
};

/// A word of a command line as a shell reads it: in single quotes where it must be.
std::string shell_quoted(const std::string& text);

/// Where rejected records go: a file a source in the format of the input, so that it loads again after mending, beside
/// it `….reasons.jsonl` with one JSON object a record, and for CSV `….mapping.toml`, which says how its columns are to
/// be read (a few bad records are no sample to infer that from). Any thread. Files appear with the first reject; an
/// existing file is never touched: the next free number goes into the name ("a.csv.rejects-2.csv").
///
/// A reasons line: {"source","line","offset","column","bytes","reason","code","by","load_with"}; "bytes" is what the
/// record takes in the reject file with its line end, "head_bytes" (where there is any) how much of that stands before
/// the record itself.
class Rejects {
 public:
  struct Source {
    std::string name;       ///< as the user named it
    std::string extension;  ///< of the format: "line", "csv" …
    std::string header;     ///< first line of the reject file (CSV), without line end; may be empty
    std::string load_with;  ///< flags that load the reject file again, but for --mapping
    std::string mapping;    ///< TOML of the mapping that reads it again (CSV); may be empty
  };
  struct Options {
    /// A directory (made when missing; a file a source), or with a single source a file.
    std::filesystem::path path = "penstock-rejects";
    std::uint64_t max_rejects = 1'000'000;
    double max_share = 1.0;    ///< of the rows read, looked at from `share_from_rows` on
    double early_share = 0.5;  ///< more than this of the first `early_rows` stops the load
    std::uint64_t early_rows = 10'000;
    bool discard = false;  ///< count only: `check`
    /// A file system with less free space takes no more rejects; empty: a twentieth of it, 1 to 256 MiB.
    std::optional<std::uint64_t> min_free_bytes;
  };
  /// Finds out now whether files can be made there. Throws Error(Errc::config).
  Rejects(Options options, std::vector<Source> sources);
  ~Rejects();

  /// A source more, while others may have rejects already. Returns its number: 0, 1, 2, … in the order of calls.
  std::uint32_t add_source(Source source);
  /// The header becomes known when the source is opened.
  void describe(std::uint32_t source, std::string header, std::string extension, std::string load_with,
                std::string mapping = {});

  /// Writes the record down. Throws Error(Errc::io) when the file cannot be written, Error(Errc::limit) past the limits
  /// or when the file system gets full (the record is written down all the same).
  void put(const RejectedRecord& rejected, std::uint64_t rows_read) {
    add(rejected);
    check_limits(rows_read);
  }
  /// The two halves of put(), for who has several records that all count. Once the file system is full add() throws
  /// Error(Errc::limit) and does not take the record.
  void add(const RejectedRecord& rejected);
  void check_limits(std::uint64_t rows_read);
  /// A record too long to hold comes in pieces: each but the last through here, then put() with the last one and
  /// ends_pieces.
  void put_piece(std::uint32_t source, std::string_view piece);
  /// The records whose pieces have no end go away again: they were not read to their ends. Throws Error(Errc::io).
  void drop_pieces();
  /// Told of the files of a source before they are made, so that a later run finds them however this one ends. Called
  /// with the books closed: must not call back. Before the first record; may be empty.
  using NewFiles = std::function<void(std::uint32_t source, const RejectFiles& files)>;
  void on_new_files(NewFiles call) { on_new_files_ = std::move(call); }

  struct Durable {
    std::uint32_t source = 0;
    RejectFiles files;
  };
  /// Everything put so far is on disk when this returns, but for what holding_back() tells of. Returns the files that
  /// have changed since the last call. Throws Error(Errc::io).
  std::vector<Durable> sync();
  /// The same, but what has changed is still told by the next sync().
  void make_durable();
  /// An oversized record is on its way to its file, and others of its source wait for its end.
  [[nodiscard]] bool holding_back() const;

  /// Goes on with the files of an earlier run, of which the first `settled` bytes of the source are settled with
  /// `rejected` rejected records: drops what was written for sure or perhaps behind that, takes the others into count()
  /// and groups(). In two steps, between which the caller makes the result of the first one durable; a crash at any
  /// instant costs no record. Files that are gone, or that somebody changed, are left alone, and new ones are made;
  /// the note says so. Before the first record.
  /// @param suffix  differs from that of every other attempt
  struct Restored {
    RejectFiles files;
    std::string note;  ///< for the user; may be empty
  };
  Restored begin_restore(std::uint32_t source, const RejectFiles& files, std::uint64_t settled, std::uint64_t rejected,
                         const std::string& suffix);
  void end_restore(std::uint32_t source, const RejectFiles& files);
  /// Removes the files: all is read again from the start. No record may follow.
  void remove_files() noexcept;

  struct Example {
    std::string place;   ///< "file:line:column"
    std::string record;  ///< shortened, control bytes as \xNN
  };
  struct Group {
    std::string reason;
    std::int32_t code = 0;
    std::uint64_t count = 0;
    std::string first;              ///< "file:line:column"
    std::vector<Example> examples;  ///< of the first records, at most kExamples
    std::size_t order = 0;          ///< 1, 2, … as they appeared
  };
  static constexpr std::size_t kExamples = 3;
  /// Reasons with their counts, most frequent first. Quoted values in reasons are folded.
  [[nodiscard]] std::vector<Group> groups() const;
  [[nodiscard]] std::uint64_t count() const;
  /// Where the records lie, for people; empty when there are none.
  [[nodiscard]] std::string location() const;

 private:
  struct File;
  File& file_of(std::uint32_t source);
  Group& group_of(const RejectedRecord& rejected);
  void write_down(File& file, const RejectedRecord& rejected, std::string& records, std::string& reasons,
                  std::string& head);
  static void end_pieces(File& file);
  static void set_reason_frame(File& file, const std::string& name, const std::string& load_with);
  void check_space(const File& file);
  void refuse_without_space() const;

  mutable std::mutex mutex_;
  Options options_;
  std::vector<Source> sources_;
  std::vector<std::unique_ptr<File>> files_;
  std::unordered_map<std::string, Group> groups_;                  // by code and folded reason
  std::string group_key_;                                          // memory for the key that is looked for
  std::unordered_map<std::uint32_t, std::string> restored_heads_;  // by source, between the steps of a restore
  NewFiles on_new_files_;
  std::uint64_t count_ = 0;
  std::optional<std::uint64_t> short_of_space_;  // bytes that are left
  bool early_over_ = false;                      // the first early_rows were looked at
  bool single_file_ = false;
};

}  // namespace penstock::pipeline
