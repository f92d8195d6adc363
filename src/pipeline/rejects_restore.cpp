#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "pipeline/rejects.h"
#include "pipeline/rejects_file.h"

// Going on with the reject files of an earlier run.
namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReasons = ".reasons.jsonl";
// Of a record, for the examples in the report.
constexpr std::size_t kExampleBytes = 256;
constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

fs::path with(const fs::path& path, const std::string& suffix) { return path.string() + suffix; }

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool holds(std::uint64_t bytes) const {
    struct stat info {};
    return fd_ >= 0 && ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) &&
           static_cast<std::uint64_t>(info.st_size) >= bytes;
  }

 private:
  int fd_;
};

bool read_at(int fd, std::uint64_t offset, char* to, std::size_t bytes) {
  while (bytes > 0) {
    const auto got = ::pread(fd, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

// A file that is written beside the one it will replace.
class Copy {
 public:
  Copy(const fs::path& path) : path_(path), file_((::unlink(path.c_str()), path), O_WRONLY | O_CREAT | O_EXCL) {
    if (file_.get() < 0) fail();
  }
  void put(std::string_view text) {
    bytes_ += text.size();
    while (!text.empty()) {
      const auto written = ::write(file_.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail();
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void put_range(int from, std::uint64_t offset, std::uint64_t bytes) {
    std::string piece;
    while (bytes > 0) {
      piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kCopyBytes)));
      if (!read_at(from, offset, piece.data(), piece.size())) fail();
      put(piece);
      offset += piece.size();
      bytes -= piece.size();
    }
  }
  void sync() {
    if (::fsync(file_.get()) != 0 && errno != EINVAL) fail();
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  [[noreturn]] void fail() const {
    throw Error(Errc::io, fmt::format("cannot write '{}', which is to replace a reject file: {}; make room, then go on "
                                      "with --resume",
                                      path_.string(), errno_text(errno)));
  }
  fs::path path_;
  Descriptor file_;
  std::uint64_t bytes_ = 0;
};

// One line of reasons, and where its record is in the file of records.
struct Entry {
  std::uint64_t line_begin = 0, line_end = 0;
  std::uint64_t record_begin = 0, head_end = 0, record_end = 0;
  std::uint64_t line = 0, offset = 0;
  std::uint32_t column = 0;
  std::int32_t code = 0;
  bool by_server = false;
  std::string reason;
};

// nullopt: the two files do not belong together, somebody changed them.
std::optional<std::vector<Entry>> read_entries(const RejectFiles& files, int records, const std::string& reasons) {
  std::vector<Entry> entries;
  std::uint64_t at = files.header_bytes;
  for (std::size_t begin = 0; begin < reasons.size();) {
    const auto end = reasons.find('\n', begin);
    if (end == std::string::npos) return std::nullopt;
    const auto parsed = nlohmann::json::parse(reasons.begin() + static_cast<std::ptrdiff_t>(begin),
                                              reasons.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!parsed.is_object() || !parsed.contains("bytes")) return std::nullopt;
    Entry entry;
    try {
      entry.line_begin = begin;
      entry.line_end = end + 1;
      entry.line = parsed.at("line");
      entry.offset = parsed.at("offset");
      entry.column = parsed.at("column");
      entry.code = parsed.at("code");
      entry.by_server = parsed.at("by") == "server";
      entry.reason = parsed.at("reason");
      entry.record_begin = at;
      entry.head_end = at + parsed.value("head_bytes", std::uint64_t{0});
      entry.record_end = at + parsed.at("bytes").get<std::uint64_t>();
    } catch (const nlohmann::json::exception&) {
      return std::nullopt;
    }
    at = entry.record_end;
    begin = end + 1;
    char last = 0;
    if (entry.head_end >= at || at > files.records_bytes || !read_at(records, at - 1, &last, 1) || last != '\n')
      return std::nullopt;
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

Rejects::Restored Rejects::begin_restore(std::uint32_t source, const RejectFiles& files, std::uint64_t settled,
                                         std::uint64_t rejected, const std::string& suffix) {
  const std::lock_guard lock(mutex_);
  Restored restored;
  std::uint64_t kept = 0;
  const auto count_lost = [&] {
    if (kept >= rejected) return;
    const auto lost = rejected - kept;
    auto& group = groups_["lost"];
    if (group.count == 0) {
      group.reason = "rejected by an earlier run, whose reject file is gone or was changed since";
      group.first = sources_[source].name;
      group.order = groups_.size();
    }
    group.count += lost;
    count_ += lost;
  };
  if (files.records.empty() || options_.discard) {
    count_lost();
    return restored;
  }
  const auto reasons_path = with(files.records, kReasons);
  if (!files.swap.empty()) {
    // The run that wrote the copies ended before they were in their places.
    for (const auto& path : {files.records, reasons_path})
      if (const auto copy = with(path, files.swap); ::access(copy.c_str(), F_OK) == 0)
        ::rename(copy.c_str(), path.c_str());
  }
  if (files.reasons_bytes == 0) {
    // All is read again from the start, as when a load of CSV begins anew: what was written since goes.
    for (const auto& path : {files.records, reasons_path, with(files.records, ".mapping.toml")}) ::unlink(path.c_str());
    count_lost();
    return restored;
  }
  const Descriptor records(files.records, O_RDONLY);
  const Descriptor reasons(reasons_path, O_RDONLY);
  std::optional<std::vector<Entry>> entries;
  std::string text;
  if (records.holds(files.records_bytes) && reasons.holds(files.reasons_bytes)) {
    text.resize(files.reasons_bytes);
    if (read_at(reasons.get(), 0, text.data(), text.size())) entries = read_entries(files, records.get(), text);
  }
  if (!entries) {
    if (rejected > 0)
      restored.note = fmt::format("the reject file '{}' is gone or was changed since: new rejects go to another file",
                                  files.records.string());
    count_lost();
    return restored;
  }
  std::string example;
  bool dropped = false;
  for (const auto& entry : *entries) {
    if (entry.offset >= settled) {
      dropped = true;
      continue;
    }
    example.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(entry.record_end - 1 - entry.head_end, kExampleBytes)));
    if (!read_at(records.get(), entry.head_end, example.data(), example.size())) example.clear();
    RejectedRecord record;
    record.source = source;
    record.line = entry.line;
    record.column = entry.column;
    record.code = entry.code;
    record.reason = entry.reason;
    record.record = example;
    group_of(record);
    ++count_;
    ++kept;
  }
  count_lost();
  restored.files = files;
  restored.files.swap.clear();
  // What is behind the last record is a piece of one that was not read to its end.
  restored.files.records_bytes = entries->empty() ? files.header_bytes : entries->back().record_end;
  std::string head;  // that the last kept record stands behind
  const auto head_of = [&](const Entry& entry) {
    std::string own(entry.head_end - entry.record_begin, '\0');
    if (!read_at(records.get(), entry.record_begin, own.data(), own.size())) own.clear();
    if (own.starts_with('\n')) own.erase(0, 1);
    return own;
  };
  if (!dropped) {
    for (const auto& entry : *entries)
      if (entry.head_end > entry.record_begin) head = head_of(entry);
  } else if (kept == 0) {
    restored.files = {};
    for (const auto& path : {files.records, reasons_path, with(files.records, ".mapping.toml")}) ::unlink(path.c_str());
  } else {
    Copy new_records(with(files.records, suffix));
    Copy new_reasons(with(reasons_path, suffix));
    new_records.put_range(records.get(), 0, files.header_bytes);
    std::string standing;  // head in the old file, also of dropped records
    for (const auto& entry : *entries) {
      if (entry.head_end > entry.record_begin) standing = head_of(entry);
      if (entry.offset >= settled) continue;
      std::string_view line = std::string_view(text).substr(entry.line_begin, entry.line_end - entry.line_begin);
      const auto before = new_records.bytes();
      if (standing != head) {
        if (!head.empty()) new_records.put("\n");
        new_records.put(standing);
        head = standing;
      }
      const auto head_bytes = new_records.bytes() - before;
      new_records.put_range(records.get(), entry.head_end, entry.record_end - entry.head_end);
      if (head_bytes == entry.head_end - entry.record_begin) {
        new_reasons.put(line);
        continue;
      }
      auto changed = nlohmann::ordered_json::parse(line);
      changed["bytes"] = new_records.bytes() - before;
      if (head_bytes > 0) changed["head_bytes"] = head_bytes;
      else changed.erase("head_bytes");
      new_reasons.put(changed.dump() + "\n");
    }
    new_records.sync();
    new_reasons.sync();
    restored.files.records_bytes = new_records.bytes();
    restored.files.reasons_bytes = new_reasons.bytes();
    restored.files.swap = suffix;
  }
  if (head.ends_with('\n')) head.pop_back();
  restored_heads_[source] = head;
  return restored;
}

void Rejects::end_restore(std::uint32_t source, const RejectFiles& files) {
  if (files.records.empty() || options_.discard) return;
  const std::lock_guard lock(mutex_);
  auto file = std::make_unique<File>();
  const auto take = [&](const fs::path& path, std::uint64_t bytes, File::Stream& stream) {
    if (const auto copy = with(path, files.swap); !files.swap.empty() && ::rename(copy.c_str(), path.c_str()) != 0)
      throw Error(Errc::io, fmt::format("cannot replace the reject file '{}': {}; go on with --resume", path.string(),
                                        errno_text(errno)));
    stream.reopen(path, bytes);
  };
  take(files.records, files.records_bytes, file->records);
  take(with(files.records, kReasons), files.reasons_bytes, file->reasons);
  file->header_bytes = files.header_bytes;
  file->head = restored_heads_[source];
  file->changed = true;
  files_[source] = std::move(file);
}

}  // namespace penstock::pipeline
