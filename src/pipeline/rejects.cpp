#include "pipeline/rejects.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "pipeline/rejects_file.h"

namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBuffer = std::size_t{256} << 10;
// What is buffered is still written when there is no more room than this.
constexpr std::uint64_t kLeastFree = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostFree = std::uint64_t{256} << 20;
constexpr std::size_t kExampleBytes = 120;
// Of a file name, so that what is put behind it still fits.
constexpr std::size_t kLongestStem = 180;
constexpr std::size_t kLongestName = 255;

// Reasons quote values; for counting, every quoted value is the same.
void append_folded(std::string& out, std::string_view reason) {
  while (!reason.empty()) {
    const auto open = reason.find('\'');
    if (open == std::string_view::npos) break;
    out += reason.substr(0, open + 1);
    out += "…";
    const auto close = reason.find('\'', open + 1);
    if (close == std::string_view::npos) return;
    out += '\'';
    reason.remove_prefix(close + 1);
  }
  out += reason;
}

// A file name from a source's name: its last part, without what a file system may not like.
std::string file_stem(const std::string& name) {
  std::string stem = name == "-" || name == "standard input" ? "stdin" : fs::path(name).filename().string();
  for (const auto* const suffix : {".gz", ".zst", ".lz4"})
    if (stem.size() > 4 && stem.ends_with(suffix)) stem.resize(stem.size() - std::string_view(suffix).size());
  for (auto& c : stem)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '_';
  if (stem.size() > kLongestStem) stem.resize(kLongestStem);
  return stem.empty() ? "source" : stem;
}

// "a.line", 2: "a-2.line".
fs::path numbered(const fs::path& path, int number) {
  if (number < 2) return path;
  return path.parent_path() / fmt::format("{}-{}{}", path.stem().string(), number, path.extension().string());
}

// A JSON string; bytes that are no UTF-8 become U+FFFD.
void append_json(std::string& out, std::string_view text) {
  const bool sound = is_utf8(text);
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : fmt::format("\\u{:04x}", byte);
    } else if (byte >= 0x80 && !sound) {
      out += "\xEF\xBF\xBD";
    } else {
      out += c;
    }
  }
  out += '"';
}

template <class Number>
void append_number(std::string& out, Number value) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("_-./:+=,@%").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

bool Rejects::File::Stream::open(const fs::path& name) {
  path = name;
  descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0 && errno != EEXIST)
    throw Error(Errc::io, fmt::format("cannot make the reject file '{}': {}; name another place with --rejects",
                                      path.string(), errno_text(errno)));
  bytes = 0;
  dirty = descriptor >= 0;
  return descriptor >= 0;
}

void Rejects::File::Stream::reopen(const fs::path& name, std::uint64_t length) {
  path = name;
  descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  cut(length);
}

void Rejects::File::Stream::cut(std::uint64_t length) {
  if (descriptor < 0 || ::ftruncate(descriptor, static_cast<off_t>(length)) != 0 ||
      ::lseek(descriptor, 0, SEEK_END) != static_cast<off_t>(length))
    throw Error(Errc::io, fmt::format("cannot go on with the reject file '{}': {}; name another place with --rejects",
                                      path.string(), errno_text(errno)));
  bytes = length;
  dirty = true;
}

void Rejects::File::Stream::remove() {
  std::error_code ignored;
  ::close(std::exchange(descriptor, -1));
  fs::remove(path, ignored);
}

void Rejects::File::Stream::flush() {
  std::string_view left = buffer;
  while (!left.empty()) {
    const auto written = ::write(descriptor, left.data(), left.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      const auto why = errno_text(errno);
      buffer.erase(0, buffer.size() - left.size());
      throw Error(Errc::io, fmt::format("cannot write the reject file '{}': {}; its last records are missing. Make "
                                        "room or name another place with --rejects, then load again",
                                        path.string(), why));
    }
    dirty = true;
    bytes += static_cast<std::uint64_t>(written);
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer.clear();
}

void Rejects::File::Stream::sync() {
  if (descriptor < 0) return;
  flush();
  if (!dirty) return;
  // A file system without it (EINVAL) has no better promise to give.
  if (::fsync(descriptor) != 0 && errno != EINVAL)
    throw Error(Errc::io, fmt::format("cannot write the reject file '{}' to disk: {}; its last records may be missing. "
                                      "Name another place with --rejects, then load again",
                                      path.string(), errno_text(errno)));
  dirty = false;
}

Rejects::File::Stream::~Stream() {
  if (descriptor >= 0) ::close(descriptor);
}

Rejects::Rejects(Options options, std::vector<Source> sources)
    : options_(std::move(options)), sources_(std::move(sources)), files_(sources_.size()) {
  if (options_.discard) return;
  std::error_code ignored;
  const fs::path& path = options_.path;
  const auto refuse = [&](const std::string& why) {
    throw Error(Errc::config, fmt::format("--rejects {}: {}", path.string(), why));
  };
  const bool named_folder = path.filename().empty() || fs::is_directory(path, ignored) || !path.has_extension();
  single_file_ = sources_.size() == 1 && !named_folder;
  // Found out before the first row: an existing parent that can be written to.
  fs::path folder = fs::absolute(path, ignored);
  for (const auto& part : folder)
    if (part.native().size() > kLongestName) refuse("a name in it is too long");
  if (single_file_ && fs::exists(path, ignored) && !fs::is_regular_file(path, ignored)) refuse("this is no file");
  if (single_file_ || folder.filename().empty()) folder = folder.parent_path();
  fs::path existing = folder;
  while (!existing.empty() && !fs::exists(existing, ignored) && existing != existing.parent_path())
    existing = existing.parent_path();
  if (!fs::is_directory(existing, ignored)) refuse(fmt::format("'{}' is no directory", existing.string()));
  // Rights alone do not tell: not for root, nor of file systems that take no files.
  std::string probe = (existing / ".penstock-XXXXXX").string();
  const int descriptor = ::mkostemp(probe.data(), O_CLOEXEC);
  if (descriptor < 0) refuse(fmt::format("cannot write to '{}': {}", existing.string(), errno_text(errno)));
  ::close(descriptor);
  ::unlink(probe.c_str());
}

Rejects::~Rejects() {
  for (auto& file : files_) {
    if (!file) continue;
    try {
      if (file->in_pieces) {
        file->records.flush();
        file->records.cut(file->records.bytes - file->piece_bytes);
        end_pieces(*file);
      }
      file->records.flush();
      file->reasons.flush();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): sync() has told it to whoever can act
    }
  }
}

std::uint32_t Rejects::add_source(Source source) {
  const std::lock_guard lock(mutex_);
  sources_.push_back(std::move(source));
  files_.emplace_back();
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

void Rejects::describe(std::uint32_t source, std::string header, std::string extension, std::string load_with,
                       std::string mapping) {
  const std::lock_guard lock(mutex_);
  sources_[source].header = std::move(header);
  sources_[source].extension = std::move(extension);
  sources_[source].load_with = std::move(load_with);
  sources_[source].mapping = std::move(mapping);
}

Rejects::File& Rejects::file_of(std::uint32_t source) {
  auto& file = files_[source];
  const auto& described = sources_[source];
  if (file) {
    if (file->reason_begin.empty()) {  // of an earlier run
      const auto mapping = file->records.path.string() + ".mapping.toml";
      std::error_code ignored;
      const bool mapped = fs::exists(mapping, ignored);
      file->one_line = described.extension == "json";
      set_reason_frame(*file, described.name,
                       described.load_with + (mapped ? " --mapping " + shell_quoted(mapping) : std::string()));
    }
    return *file;
  }
  auto made = std::make_unique<File>();
  fs::path wanted = options_.path;
  if (!single_file_) {
    const std::string stem = file_stem(described.name);
    const auto of_stem = std::count_if(sources_.begin(), sources_.end(),
                                       [&](const Source& other) { return file_stem(other.name) == stem; });
    wanted /= fmt::format("{}.rejects.{}", of_stem > 1 ? fmt::format("{}.{}", stem, source + 1) : stem,
                          described.extension.empty() ? "txt" : described.extension);
  }
  if (const auto parent = wanted.parent_path(); !parent.empty()) {
    std::error_code error;
    fs::create_directories(parent, error);
    if (error)
      throw Error(Errc::io,
                  fmt::format("cannot make the folder '{}' for rejects: {}; name another place with --rejects",
                              parent.string(), error.message()));
  }
  // Records of an earlier load are not overwritten, nor a source, nor what a link leads to: only new files will do.
  for (int number = 1;; ++number) {
    const auto name = numbered(wanted, number);
    std::error_code ignored;
    if (!described.mapping.empty() && fs::exists(name.string() + ".mapping.toml", ignored)) continue;
    if (on_new_files_) {
      const auto taken = [&](const std::string& path) { return fs::exists(fs::symlink_status(path, ignored)); };
      if (taken(name.string()) || taken(name.string() + ".reasons.jsonl")) continue;
      on_new_files_(source, {fs::absolute(name), 0, 0, 0, {}});
    }
    if (!made->records.open(name)) continue;
    if (made->reasons.open(name.string() + ".reasons.jsonl")) break;
    made->records.remove();
  }
  made->one_line = described.extension == "json";
  if (!described.header.empty()) made->records.buffer += described.header + "\n";
  made->header_bytes = made->records.buffer.size();
  std::string load_with = described.load_with;
  if (!described.mapping.empty()) {
    File::Stream mapping;
    if (mapping.open(made->records.path.string() + ".mapping.toml")) {
      mapping.buffer = described.mapping;
      mapping.sync();
      load_with += " --mapping " + shell_quoted(mapping.path.string());
    }
  }
  set_reason_frame(*made, described.name, load_with);
  check_space(*made);
  file = std::move(made);
  return *file;
}

void Rejects::set_reason_frame(File& file, const std::string& name, const std::string& load_with) {
  file.reason_begin = "{\"source\":";
  append_json(file.reason_begin, name);
  file.reason_begin += ",\"line\":";
  file.reason_end = ",\"load_with\":";
  append_json(file.reason_end, load_with);
  file.reason_end += "}\n";
}

void Rejects::check_space(const File& file) {
  struct statvfs info {};
  const auto folder = file.records.path.parent_path();
  if (::statvfs(folder.empty() ? "." : folder.c_str(), &info) != 0) return;
  const std::uint64_t size = static_cast<std::uint64_t>(info.f_blocks) * info.f_frsize;
  const std::uint64_t free = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  const auto least = options_.min_free_bytes.value_or(std::clamp(size / 20, kLeastFree, kMostFree));
  if (free < least) short_of_space_ = free;
}

void Rejects::put_piece(std::uint32_t source, std::string_view piece) {
  if (options_.discard) return;
  const std::lock_guard lock(mutex_);
  auto& file = file_of(source);
  file.in_pieces = true;
  file.piece_bytes += piece.size();
  file.records.buffer += piece;
  file.changed = true;
  if (file.records.buffer.size() >= kBuffer) file.records.flush();
}

Rejects::Group& Rejects::group_of(const RejectedRecord& rejected) {
  group_key_.clear();
  append_number(group_key_, rejected.code);
  group_key_ += ' ';
  const auto begin = group_key_.size();
  append_folded(group_key_, rejected.reason);
  auto& group = groups_[group_key_];
  if (group.count == 0) {
    group.reason = rejected.reason;
    group.code = rejected.code;
    group.order = groups_.size();
  } else if (group.count == 1) {
    // The first example stays as it was; from the second on the kind speaks for all of them.
    group.reason = group_key_.substr(begin);
  }
  if (group.examples.size() < kExamples) {
    const auto& name = sources_[rejected.source].name;
    std::string place = fmt::format("{}:{}", name == "-" ? "standard input" : printable(name, 400), rejected.line);
    if (rejected.column > 0) place += fmt::format(":{}", rejected.column);
    if (group.count == 0) group.first = place;
    group.examples.push_back({std::move(place), printable(rejected.record, kExampleBytes)});
  }
  ++group.count;
  return group;
}

void Rejects::refuse_without_space() const {
  if (short_of_space_)
    throw Error(Errc::limit,
                fmt::format("the file system of the rejects ({}) has only {} left: stopped before they fill "
                            "it. Make room or name another place with --rejects; for fewer rejects look at "
                            "the reasons beside the reject file",
                            options_.path.string(), format_bytes(static_cast<double>(*short_of_space_))));
}

void Rejects::add(const RejectedRecord& rejected) {
  const std::lock_guard lock(mutex_);
  refuse_without_space();
  group_of(rejected);
  if (!options_.discard) {
    File& file = file_of(rejected.source);
    const bool waits = file.in_pieces && !rejected.ends_pieces;
    auto& records = waits ? file.waiting.records : file.records.buffer;
    auto& reasons = waits ? file.waiting.reasons : file.reasons.buffer;
    write_down(file, rejected, records, reasons, waits ? file.waiting.head : file.head);
    if (rejected.ends_pieces && file.in_pieces) {
      end_pieces(file);
    }
    file.changed = true;
    if (!waits && (records.size() >= kBuffer || reasons.size() >= kBuffer)) {
      file.records.flush();
      file.reasons.flush();
      check_space(file);
    }
  }
  ++count_;
}

void Rejects::end_pieces(File& file) {
  file.in_pieces = false;
  file.piece_bytes = 0;
  file.records.buffer += std::exchange(file.waiting.records, {});
  file.reasons.buffer += std::exchange(file.waiting.reasons, {});
  if (!file.waiting.head.empty()) file.head = std::exchange(file.waiting.head, {});
}

void Rejects::drop_pieces() {
  const std::lock_guard lock(mutex_);
  for (auto& file : files_) {
    if (!file || !file->in_pieces) continue;
    file->records.flush();
    file->records.cut(file->records.bytes - file->piece_bytes);
    end_pieces(*file);
    file->changed = true;
  }
}

// `head`: what the record before it stands behind.
void Rejects::write_down(File& file, const RejectedRecord& rejected, std::string& records, std::string& reasons,
                         std::string& head) {
  const auto before = records.size();
  if (!rejected.head.empty() && rejected.head != head) {
    if (!head.empty()) records += '\n';
    records += rejected.head;
    records += '\n';
    head = rejected.head;
  }
  const auto begin = records.size();
  records += rejected.record;
  if (file.one_line)
    std::replace_if(
        records.begin() + static_cast<std::ptrdiff_t>(begin), records.end(),
        [](char c) { return c == '\n' || c == '\r'; }, ' ');
  records += '\n';
  reasons += file.reason_begin;
  append_number(reasons, rejected.line);
  reasons += ",\"offset\":";
  append_number(reasons, rejected.offset);
  reasons += ",\"column\":";
  append_number(reasons, rejected.column);
  reasons += ",\"bytes\":";
  append_number(reasons, records.size() - before + (rejected.ends_pieces ? file.piece_bytes : 0));
  if (begin > before) {
    reasons += ",\"head_bytes\":";
    append_number(reasons, begin - before);
  }
  reasons += ",\"reason\":";
  append_json(reasons, rejected.reason);
  reasons += ",\"code\":";
  append_number(reasons, rejected.code);
  reasons += rejected.by_server ? ",\"by\":\"server\"" : ",\"by\":\"penstock\"";
  reasons += file.reason_end;
}

void Rejects::check_limits(std::uint64_t rows_read) {
  const std::lock_guard lock(mutex_);
  const auto advice = " Look at the reasons" + (options_.discard ? std::string() : " beside the reject file") +
                      ", or raise --max-rejects";
  refuse_without_space();
  if (count_ > options_.max_rejects)
    throw Error(Errc::limit,
                fmt::format("more than {} records were rejected.{}", format_count(options_.max_rejects), advice));
  if (rows_read >= options_.early_rows &&
      static_cast<double>(count_) > options_.max_share * static_cast<double>(rows_read))
    throw Error(Errc::limit,
                fmt::format("more than {:.3g} % of the records were rejected.{}", 100 * options_.max_share, advice));
  // Chunks are larger than a few rows, so the first 10,000 are looked at when at least that many were read.
  if (std::exchange(early_over_, rows_read >= options_.early_rows)) return;
  const auto seen = std::max(rows_read, options_.early_rows);
  if (static_cast<double>(count_) > options_.early_share * static_cast<double>(seen))
    throw Error(Errc::limit, fmt::format("more than half of the first {} records were rejected: is the format right?{}",
                                         format_count(options_.early_rows), advice));
}

std::vector<Rejects::Durable> Rejects::sync() {
  const std::lock_guard lock(mutex_);
  std::vector<Durable> changes;
  for (std::uint32_t source = 0; source < files_.size(); ++source) {
    auto& file = files_[source];
    if (!file || !file->changed) continue;
    file->records.sync();
    file->reasons.sync();
    file->changed = false;
    changes.push_back(
        {source, {fs::absolute(file->records.path), file->header_bytes, file->records.bytes, file->reasons.bytes, {}}});
  }
  return changes;
}

void Rejects::make_durable() {
  const std::lock_guard lock(mutex_);
  for (const auto& file : files_) {
    if (!file || !file->changed) continue;
    file->records.sync();
    file->reasons.sync();
  }
}

bool Rejects::holding_back() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(files_.begin(), files_.end(), [](const auto& file) { return file && !file->waiting.empty(); });
}

void Rejects::remove_files() noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& file : files_) {
    if (!file) continue;
    for (auto* const stream : {&file->records, &file->reasons}) {
      stream->buffer.clear();
      ::unlink(stream->path.c_str());
    }
    ::unlink((file->records.path.string() + ".mapping.toml").c_str());
    file.reset();
  }
}

std::vector<Rejects::Group> Rejects::groups() const {
  const std::lock_guard lock(mutex_);
  std::vector<Group> all;
  for (const auto& [key, group] : groups_) all.push_back(group);
  std::sort(all.begin(), all.end(),
            [](const Group& a, const Group& b) { return std::pair(b.count, a.order) < std::pair(a.count, b.order); });
  return all;
}

std::uint64_t Rejects::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::string Rejects::location() const {
  const std::lock_guard lock(mutex_);
  if (count_ == 0 || options_.discard) return {};
  std::string only;
  std::size_t files = 0;
  for (const auto& file : files_)
    if (file) {
      only = file->records.path.string();
      ++files;
    }
  return files == 1 ? only : options_.path.string();
}

}  // namespace penstock::pipeline
