#include "pipeline/rejects.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace penstock::pipeline {
namespace {

// Reasons quote values; for counting, every quoted value is the same.
std::string folded(std::string_view reason) {
  std::string out;
  bool quoted = false;
  for (const char c : reason) {
    if (c == '\'') {
      out += quoted ? "…'" : "'";
      quoted = !quoted;
    } else if (!quoted) {
      out += c;
    }
  }
  return out;
}

// A file name from a source's name: its last part, without what a file system may not like.
std::string file_stem(const std::string& name) {
  std::string stem = name == "-" ? "stdin" : std::filesystem::path(name).filename().string();
  for (const auto* const suffix : {".gz", ".zst", ".lz4"})
    if (stem.size() > 4 && stem.ends_with(suffix)) stem.resize(stem.size() - std::string_view(suffix).size());
  return stem.empty() ? "source" : stem;
}

}  // namespace

// One append-only file with a buffer; what fails names the file and the cause.
struct Rejects::File {
  struct Stream {
    std::filesystem::path path;
    int descriptor = -1;
    std::string buffer;

    void open() {
      descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
      if (descriptor < 0)
        throw Error(Errc::io, fmt::format("cannot make the reject file '{}': {}", path.string(), errno_text(errno)));
    }
    void append(std::string_view bytes) {
      buffer += bytes;
      if (buffer.size() >= 256 * 1024) flush();
    }
    void flush() {
      std::string_view left = buffer;
      while (!left.empty()) {
        const auto written = ::write(descriptor, left.data(), left.size());
        if (written < 0) {
          if (errno == EINTR) continue;
          throw Error(Errc::io, fmt::format("cannot write the reject file '{}': {}; make room or name another place "
                                            "with --rejects",
                                            path.string(), errno_text(errno)));
        }
        left.remove_prefix(static_cast<std::size_t>(written));
      }
      buffer.clear();
    }
    void sync() {
      if (descriptor < 0) return;
      flush();
      ::fsync(descriptor);
    }
    ~Stream() {
      if (descriptor >= 0) ::close(descriptor);
    }
  };
  Stream records;
  Stream reasons;
};

Rejects::Rejects(Options options, std::vector<Source> sources)
    : options_(std::move(options)), sources_(std::move(sources)), files_(sources_.size()) {
  if (options_.discard) return;
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path& path = options_.path;
  const bool named_folder = path.filename().empty() || fs::is_directory(path, ignored) || !path.has_extension();
  single_file_ = sources_.size() == 1 && !named_folder;
  // Found out before the first row: an existing parent that can be written to.
  fs::path folder = fs::absolute(path, ignored);
  if (single_file_ || folder.filename().empty()) folder = folder.parent_path();
  fs::path existing = folder;
  while (!existing.empty() && !fs::exists(existing, ignored) && existing != existing.parent_path())
    existing = existing.parent_path();
  if (!fs::is_directory(existing, ignored))
    throw Error(Errc::config, fmt::format("--rejects {}: '{}' is no directory", path.string(), existing.string()));
  if (::access(existing.c_str(), W_OK | X_OK) != 0)
    throw Error(Errc::config, fmt::format("--rejects {}: cannot write to '{}': {}", path.string(), existing.string(),
                                          errno_text(errno)));
}

Rejects::~Rejects() {
  for (auto& file : files_) {
    if (!file) continue;
    try {
      file->records.flush();
      file->reasons.flush();
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): sync() has told it to whoever can act
    }
  }
}

void Rejects::describe(std::uint32_t source, std::string header, std::string extension, std::string load_with) {
  const std::lock_guard lock(mutex_);
  sources_[source].header = std::move(header);
  sources_[source].extension = std::move(extension);
  sources_[source].load_with = std::move(load_with);
}

Rejects::File& Rejects::file_of(std::uint32_t source) {
  auto& file = files_[source];
  if (file) return *file;
  namespace fs = std::filesystem;
  auto made = std::make_unique<File>();
  if (single_file_) {
    made->records.path = options_.path;
  } else {
    fs::create_directories(options_.path);
    const auto path_of = [&](const std::string& stem) {
      return options_.path / fmt::format("{}.rejects.{}", stem, sources_[source].extension);
    };
    const std::string stem = file_stem(sources_[source].name);
    const auto sources_of_stem = std::count_if(sources_.begin(), sources_.end(),
                                               [&](const Source& other) { return file_stem(other.name) == stem; });
    made->records.path = path_of(sources_of_stem > 1 ? fmt::format("{}.{}", stem, source + 1) : stem);
    // "a.line.2" may be a source of its own.
    const auto taken = [&](const fs::path& path) {
      return std::any_of(files_.begin(), files_.end(),
                         [&](const auto& other) { return other && other->records.path == path; });
    };
    for (int i = 1; taken(made->records.path); ++i)
      made->records.path = path_of(fmt::format("{}.{}-{}", stem, source + 1, i));
  }
  made->reasons.path = made->records.path.string() + ".reasons.jsonl";
  if (const auto parent = made->records.path.parent_path(); !parent.empty()) fs::create_directories(parent);
  for (const auto& input : sources_) {
    std::error_code ignored;
    for (const auto* const path : {&made->records.path, &made->reasons.path})
      if (fs::equivalent(input.name, *path, ignored))
        throw Error(Errc::config,
                    fmt::format("rejected records would overwrite the source '{}'; name another place with "
                                "--rejects",
                                input.name));
  }
  made->records.open();
  made->reasons.open();
  if (!sources_[source].header.empty()) made->records.append(sources_[source].header + "\n");
  file = std::move(made);
  return *file;
}

void Rejects::put_piece(std::uint32_t source, std::string_view piece) {
  if (options_.discard) return;
  const std::lock_guard lock(mutex_);
  file_of(source).records.append(piece);
}

void Rejects::add(const RejectedRecord& rejected) {
  const std::lock_guard lock(mutex_);
  const auto& source = sources_[rejected.source];
  ++count_;
  std::string kind = folded(rejected.reason);
  auto& group = groups_[{rejected.code, kind}];
  if (group.count++ == 0) {
    group.reason = rejected.reason;
    group.code = rejected.code;
    group.first = fmt::format("{}:{}", source.name == "-" ? "standard input" : source.name, rejected.line);
    if (rejected.column > 0) group.first += fmt::format(":{}", rejected.column);
  }
  // The first example stays as it was; from the second on the kind speaks for all of them.
  if (group.count == 2) group.reason = std::move(kind);
  if (!options_.discard) {
    File& file = file_of(rejected.source);
    file.records.append(rejected.record);
    file.records.append("\n");
    nlohmann::ordered_json reason{{"source", source.name},
                                  {"line", rejected.line},
                                  {"offset", rejected.offset},
                                  {"column", rejected.column},
                                  {"reason", rejected.reason},
                                  {"code", rejected.code},
                                  {"by", rejected.by_server ? "server" : "penstock"},
                                  {"load_with", source.load_with}};
    file.reasons.append(reason.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    file.reasons.append("\n");
  }
}

void Rejects::check_limits(std::uint64_t rows_read) {
  const std::lock_guard lock(mutex_);
  const auto advice = " Look at the reasons" + (options_.discard ? std::string() : " beside the reject file") +
                      ", or raise --max-rejects";
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

void Rejects::sync() {
  const std::lock_guard lock(mutex_);
  for (auto& file : files_) {
    if (!file) continue;
    file->records.sync();
    file->reasons.sync();
  }
}

std::vector<Rejects::Group> Rejects::groups() const {
  const std::lock_guard lock(mutex_);
  std::vector<Group> all;
  for (const auto& [key, group] : groups_) all.push_back(group);
  std::stable_sort(all.begin(), all.end(), [](const Group& a, const Group& b) { return a.count > b.count; });
  return all;
}

std::uint64_t Rejects::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::string Rejects::location() const {
  const std::lock_guard lock(mutex_);
  if (count_ == 0 || options_.discard) return {};
  if (single_file_) return options_.path.string();
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
