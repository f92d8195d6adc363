#include "pipeline/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "pipeline/journal_database.h"

namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void refuse(const fs::path& file, const std::string& why, Errc code = Errc::config) {
  throw Error(code, fmt::format("cannot use the journal '{}': {}", file.string(), why));
}

// SQLite is told not to follow links; those of the folders on the way are the user's own business.
fs::path with_real_folder(const fs::path& file) {
  std::error_code error;
  auto folder = file.parent_path();
  if (folder.empty()) folder = ".";
  const auto real = fs::canonical(folder, error);
  if (error) refuse(file, fmt::format("the folder '{}' cannot be entered: {}", folder.string(), error.message()));
  if (file.filename().empty()) refuse(file, "name a file, not a folder");
  return real / file.filename();
}

// Nobody else may put something there that this program would write through, or believe.
void check_file(const fs::path& file) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    refuse(file, errno_text(errno));
  }
  if (S_ISLNK(info.st_mode)) refuse(file, "it is a symbolic link; name the file itself with --journal");
  if (S_ISDIR(info.st_mode)) refuse(file, "it is a folder; name a file with --journal");
  if (!S_ISREG(info.st_mode)) refuse(file, "it is no file");
  if (info.st_uid != ::geteuid())
    refuse(file, fmt::format("it belongs to another user (id {}); name another file with --journal", info.st_uid));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    refuse(file, fmt::format("others may write it: chmod 600 {}", file.string()));
}

fs::path lock_path(const fs::path& file) { return file.string() + ".lock"; }

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::int64_t pid_in(int descriptor) {
  char text[32];
  const auto bytes = ::pread(descriptor, text, sizeof text, 0);
  std::int64_t pid = 0;
  if (bytes > 0) std::from_chars(text, text + bytes, pid);
  return pid;
}

}  // namespace

const char* to_string(JournalState state) noexcept {
  switch (state) {
    case JournalState::running: return "running";
    case JournalState::interrupted: return "interrupted";
    case JournalState::finished: break;
  }
  return "finished";
}

Journal::Journal(fs::path file) : file_(std::move(file)) {}

Journal::~Journal() {
  database_.reset();
  // The file stays: to remove it could take it away under one who has just opened it.
  if (lock_ >= 0) ::close(lock_);
}

void Journal::lock() {
  const auto path = lock_path(file_);
  check_file(path);
  lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_ < 0) refuse(file_, fmt::format("'{}': {}", path.string(), errno_text(errno)), Errc::io);
  auto lock = whole_file(F_WRLCK);
  if (::fcntl(lock_, F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) refuse(file_, "it cannot be locked: " + errno_text(errno), Errc::io);
    const auto pid = pid_in(lock_);
    refuse(file_, fmt::format("another penstock{} is using it; wait for its end, or name another file with --journal",
                              pid > 0 ? fmt::format(" (process {})", pid) : ""));
  }
  const auto text = fmt::format("{}\n", ::getpid());
  // For people only: what cannot be written here is no reason to fail.
  if (::ftruncate(lock_, 0) == 0 && ::pwrite(lock_, text.data(), text.size(), 0) < 0) errno = 0;
}

std::unique_ptr<Journal> Journal::open(const fs::path& file) {
  std::unique_ptr<Journal> journal(new Journal(with_real_folder(file)));
  check_file(journal->file_);
  journal->lock();
  const int made = ::open(journal->file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (made < 0) refuse(journal->file_, errno_text(errno), Errc::io);
  ::close(made);
  journal->database_ = std::make_unique<Database>(journal->file_, Database::Access::write);
  if (!journal->database_->empty()) journal->found_ = journal->database_->content();
  if (journal->found_) journal->head_ = journal->found_->head;
  return journal;
}

JournalContent Journal::read(const fs::path& file) {
  const auto real = with_real_folder(file);
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(real, ignored))) refuse(real, "there is no such file");
  Database database(real, Database::Access::read);
  if (database.empty()) refuse(real, "it is empty: no run has begun");
  return database.content();
}

JournalHolder Journal::holder(const fs::path& file) {
  JournalHolder holder;
  const int descriptor = ::open(lock_path(file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return holder;
  auto lock = whole_file(F_WRLCK);
  if (::fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
    holder.held = true;
    holder.pid = pid_in(descriptor);
  }
  ::close(descriptor);
  return holder;
}

template <class Write>
void Journal::write(const Write& call) {
  try {
    database_->begin();
    call();
    database_->commit();
  } catch (...) {
    database_->rollback();
    throw;
  }
}

void Journal::begin(JournalContent content) {
  const std::lock_guard lock(mutex_);
  content.head.started_ns = content.head.started_ns == 0 ? now_ns() : content.head.started_ns;
  content.head.state = JournalState::running;
  try {
    if (database_->empty()) database_->create();
    else database_->begin();
    database_->clear();
    database_->put_head(content.head);
    database_->put_settings(content.head);
    database_->put_memory(content.head);
    database_->put_updated(now_ns());
    for (std::size_t i = 0; i < content.sources.size(); ++i) {
      content.sources[i].position = i;
      database_->put_source(content.sources[i]);
    }
    database_->commit();
  } catch (...) {
    database_->rollback();
    throw;
  }
  head_ = std::move(content.head);
  head_changed_ = false;
  rows_.clear();
  changed_.clear();
  forgotten_.clear();
  next_position_ = content.sources.size();
  for (auto& source : content.sources) rows_.push_back({std::move(source), true, false});
}

void Journal::go_on(const std::vector<std::string>& sources) {
  const std::lock_guard lock(mutex_);
  if (!found_) throw Error(Errc::config, fmt::format("the journal '{}' holds nothing to go on from", file_.string()));
  head_ = found_->head;
  head_.state = JournalState::running;
  ++head_.runs;
  std::unordered_map<std::string, std::size_t> by_id;
  for (std::size_t i = 0; i < found_->sources.size(); ++i) by_id.emplace(found_->sources[i].id, i);
  next_position_ = found_->sources.empty() ? 0 : found_->sources.back().position + 1;
  rows_.clear();
  rows_.resize(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (const auto known = by_id.find(sources[i]); known != by_id.end())
      rows_[i] = {found_->sources[known->second], true, false};
  head_changed_ = true;
}

Journal::Row& Journal::row(std::uint32_t source) {
  if (source >= rows_.size()) rows_.resize(source + std::size_t{1});
  return rows_[source];
}

void Journal::mark(std::uint32_t source) {
  if (!std::exchange(rows_[source].changed, true)) changed_.push_back(source);
}

void Journal::describe(std::uint32_t source, const JournalSource& description) {
  const std::lock_guard lock(mutex_);
  auto& known = row(source);
  if (!known.in_use) {
    known = {description, true, known.changed};
    known.source.position = next_position_++;
  } else {
    auto kept = std::move(known.source);
    if (kept.id != description.id) forgotten_.push_back(kept.id);
    known.source = description;
    known.source.settled = kept.settled;
    known.source.rejects = std::move(kept.rejects);
    known.source.tail_hash = std::move(kept.tail_hash);
    known.source.tail_bytes = kept.tail_bytes;
    known.source.position = kept.position;
  }
  mark(source);
}

void Journal::settle(std::uint32_t source, const Settled& settled, std::string tail_hash, std::uint32_t tail_bytes) {
  const std::lock_guard lock(mutex_);
  auto& known = row(source).source;
  known.settled = settled;
  known.tail_hash = std::move(tail_hash);
  known.tail_bytes = tail_bytes;
  mark(source);
}

void Journal::set_rejects(std::uint32_t source, const RejectFiles& files) {
  const std::lock_guard lock(mutex_);
  row(source).source.rejects = files;
  mark(source);
}

void Journal::forget(std::uint32_t source) {
  const std::lock_guard lock(mutex_);
  auto& known = row(source);
  if (known.in_use) forgotten_.push_back(std::move(known.source.id));
  known.source = {};
  known.in_use = false;
}

void Journal::remember(const std::string& name, const std::string& value) {
  const std::lock_guard lock(mutex_);
  for (auto& [known, held] : head_.memory) {
    if (known != name) continue;
    head_changed_ = head_changed_ || held != value;
    held = value;
    return;
  }
  head_.memory.emplace_back(name, value);
  head_changed_ = true;
}

std::string Journal::remembered(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto& memory = head_.memory;
  const auto known = std::find_if(memory.begin(), memory.end(), [&](const auto& pair) { return pair.first == name; });
  return known == memory.end() ? std::string() : known->second;
}

JournalHead Journal::head() const {
  const std::lock_guard lock(mutex_);
  return head_;
}

JournalSource Journal::row_of(std::uint32_t source) const {
  const std::lock_guard lock(mutex_);
  return source < rows_.size() ? rows_[source].source : JournalSource{};
}

void Journal::commit_locked(bool force) {
  if (!force && changed_.empty() && forgotten_.empty() && !head_changed_) return;
  write([this] {
    for (const auto& id : forgotten_) database_->remove_source(id);
    for (const auto source : changed_) {
      // What was settled of a source without a description waits for it: a row without an id would be lost anyway.
      const auto& known = rows_[source];
      if (known.in_use) database_->put_source(known.source);
    }
    if (head_changed_) {
      database_->put_head(head_);
      database_->put_memory(head_);
    }
    head_.updated_ns = now_ns();
    database_->put_updated(head_.updated_ns);
  });
  for (const auto source : changed_) rows_[source].changed = false;
  changed_.clear();
  forgotten_.clear();
  head_changed_ = false;
}

void Journal::commit(bool force) {
  const std::lock_guard lock(mutex_);
  commit_locked(force);
}

void Journal::end(JournalState state, int exit_status, const std::string& outcome) {
  const std::lock_guard lock(mutex_);
  head_.state = state;
  head_.exit_status = exit_status;
  head_.outcome = outcome;
  head_changed_ = true;
  commit_locked(true);
}

}  // namespace penstock::pipeline
