#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "pipeline/rejects.h"

namespace penstock::pipeline {

/// The two files of one source, with buffers. What fails names the file and the cause.
struct Rejects::File {
  struct Stream {
    std::filesystem::path path;
    int descriptor = -1;
    std::string buffer;
    std::uint64_t bytes = 0;  ///< in the file, without the buffer
    bool dirty = false;       ///< something was written since the last sync()

    /// A new file. False: there is such a file, or something of that name. Throws Error(Errc::io).
    bool open(const std::filesystem::path& name);
    /// An existing file, cut to `length` and written behind that. Throws Error(Errc::io).
    void reopen(const std::filesystem::path& name, std::uint64_t length);
    /// Everything from `length` on goes away. Throws Error(Errc::io).
    void cut(std::uint64_t length);
    void remove();
    void flush();
    void sync();
    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream();
  };
  Stream records;
  Stream reasons;
  std::uint64_t header_bytes = 0;
  bool one_line = false;     ///< a record takes one line, whatever it was before
  bool changed = false;      ///< since sync() told of it
  std::string head;          ///< that the last record stands behind
  std::string reason_begin;  ///< of a reasons line: the same for all records of the source
  std::string reason_end;
  /// A record too long to hold is being written: what else is rejected waits here until its end.
  bool in_pieces = false;
  std::uint64_t piece_bytes = 0;
  struct Waiting {
    std::string records;
    std::string reasons;
    std::string head;
    [[nodiscard]] bool empty() const noexcept { return reasons.empty(); }
  };
  Waiting waiting;
};

}  // namespace penstock::pipeline
