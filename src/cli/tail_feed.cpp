#include "cli/tail_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "format/payload.h"

namespace penstock::cli {
namespace {

// What is asked for of a file to tell its format: this many lines, for a header alone shows no types.
constexpr std::ptrdiff_t kLinesToTell = 2;
constexpr std::size_t kHead = std::size_t{64} << 10;
// How often the journal is freed of files whose content is gone.
constexpr auto kSweep = std::chrono::minutes(10);

LogLevel level_of(io::FollowCode code) {
  switch (code) {
    case io::FollowCode::vanished:
    case io::FollowCode::given_up: return LogLevel::error;
    case io::FollowCode::unreadable:
    case io::FollowCode::polling: return LogLevel::warning;
    default: return LogLevel::info;
  }
}

// What the follower knows of a file beyond what a journal has a place for.
std::string to_extra(const io::FollowedFile& file, const std::string& arrivals) {
  return nlohmann::json{
      {"place", file.place},         {"head_hash", file.head_hash},   {"tail_offset", file.tail_offset},
      {"tail_hash", file.tail_hash}, {"compressed", file.compressed}, {"arrivals", arrivals}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

io::FollowedFile to_file(const pipeline::JournalSource& source) {
  io::FollowedFile file;
  std::from_chars(source.id.data(), source.id.data() + source.id.size(), file.id);
  file.path = source.path;
  file.device = source.identity.device;
  file.inode = source.identity.inode;
  file.head_bytes = source.identity.head_bytes;
  file.size = source.identity.size;
  file.mtime_ns = source.identity.mtime_ns;
  file.offset = source.settled.offset;
  file.finished = source.settled.finished;
  const auto extra = nlohmann::json::parse(source.extra, nullptr, false);
  if (!extra.is_object()) return file;
  file.place = extra.value("place", source.path.string());
  file.head_hash = extra.value("head_hash", std::uint64_t{0});
  file.tail_offset = extra.value("tail_offset", std::uint64_t{0});
  file.tail_hash = extra.value("tail_hash", std::uint64_t{0});
  file.compressed = extra.value("compressed", false);
  return file;
}

}  // namespace

TailFeed::TailFeed(io::FollowOptions options, const std::vector<pipeline::JournalSource>& known, SourceOpener& opener,
                   Books books)
    : opener_(opener), books_(books), next_sweep_(std::chrono::steady_clock::now() + kSweep) {
  for (const auto& source : known) {
    options.known.push_back(to_file(source));
    add(options.known.back().id, options.known.back().path, source.settled);
    files_.back().format = source.format;
    const auto extra = nlohmann::json::parse(source.extra, nullptr, false);
    if (extra.is_object())
      books_.arrivals.restore(static_cast<std::uint32_t>(files_.size() - 1), extra.value("arrivals", std::string()));
  }
  options.prepare = [this](const io::FollowedFile& file, const std::string& path) { return prepare(file, path); };
  options.event = [this](const io::FollowEvent& event) { on_event(event); };
  follower_ = std::make_unique<io::Follower>(std::move(options));
  // Where they begin is written down before their first row: a crash must not make them files that nobody knows.
  for (const auto& file : follower_->files()) describe(source_of(file));
  forget_what_is_gone();
}

// With the lock held, or before the follower lives.
std::uint32_t TailFeed::add(std::uint32_t id, const std::string& path, const pipeline::Settled& begin) {
  const auto source = books_.ledger.add_source(begin);
  books_.rejects.add_source({path, "", "", "", ""});
  files_.push_back({id, path, "", {}, false, begin.offset});
  by_id_[id] = source;
  return source;
}

std::uint32_t TailFeed::source_of(const io::FollowedFile& file) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_id_.find(file.id); found != by_id_.end()) return found->second;
  pipeline::Settled begin;
  begin.offset = file.offset;
  return add(file.id, file.path, begin);
}

// A line may be half written, and a CSV's header says nothing of the types below it.
bool TailFeed::enough_to_tell(const io::FollowedFile& file, const io::Input& input) const {
  if (file.finished) return true;
  io::ReadOptions read;
  read.use_mmap = false;
  const auto reader = io::Reader::open(input, read);
  const auto head = reader->peek(kHead);
  const auto lines = std::count(head.begin(), head.end(), '\n');
  return head.size() == kHead || lines >= kLinesToTell || (lines > 0 && opener_.format_is_given());
}

std::optional<io::Cutting> TailFeed::prepare(const io::FollowedFile& file, const std::string& open_path) {
  const io::Input input{file.path, open_path, false, file.size};
  try {
    if (!enough_to_tell(file, input)) return std::nullopt;
    const auto source = source_of(file);
    pipeline::OpenedSource opened = opener_.open(input, source);
    for (const auto& note : opener_.take_notes()) log_event(LogLevel::info, "source.note", note);
    books_.rejects.describe(source, opened.reject_header, opened.reject_extension, opened.load_with,
                            opened.reject_mapping);
    const std::lock_guard lock(mutex_);
    auto& mine = files_[source];
    mine.format = opened.format;
    mine.reading.parsers = std::move(opened.parsers);
    mine.reading.filter =
        opened.filter ? std::make_shared<const pipeline::RowFilter>(std::move(opened.filter)) : nullptr;
    any_taken_ = true;
    return opened.cutting;
  } catch (const Error& error) {
    // What is wrong with the file is the follower's to tell. Flags that fit no file end the run; once they have fitted
    // one, a file that they do not fit must not end the service for the others.
    if (error.code() == Errc::io) throw;
    if (any_taken_) throw Error(Errc::io, error.what());
    refused_ = std::current_exception();
    return std::nullopt;
  }
}

void TailFeed::on_event(const io::FollowEvent& event) {
  log_event(level_of(event.code), fmt::format("file.{}", io::to_string(event.code)), event.text,
            {{"path", event.path}, {"bytes", static_cast<std::int64_t>(event.bytes)}});
  // While the follower is being made all its files are new to the books.
  if (!event.id || !follower_) return;
  const auto file = follower_->describe(*event.id);
  const auto source = source_of(file);
  {
    const std::lock_guard lock(mutex_);
    files_[source].path = file.path;
  }
  if (event.code == io::FollowCode::finished) books_.ledger.finish(source, handed_out_);
  if (event.code == io::FollowCode::found) unknown_to_journal_ = true;
  describe(source);
}

bool TailFeed::next(io::Chunk& chunk, Reading& reading, const std::stop_token& stop) {
  if (const auto now = std::chrono::steady_clock::now(); now >= next_sweep_) {
    next_sweep_ = now + kSweep;
    forget_what_is_gone();
  }
  const auto outcome = follower_->next(chunk, stop);
  if (refused_) std::rethrow_exception(std::exchange(refused_, nullptr));
  if (outcome != io::Follower::Next::chunk) return false;
  // Before a row of a file is sent, the file is known: after a crash it is looked for under whatever name it has then.
  if (std::exchange(unknown_to_journal_, false) && books_.journal != nullptr) books_.journal->commit();
  chunk.source = source_of(follower_->describe(chunk.source));
  chunk.seq = handed_out_++;
  books_.arrivals.note_read(chunk.source, chunk.offset, chunk.offset + chunk.text.size(), format::system_time());
  const std::lock_guard lock(mutex_);
  reading = files_[chunk.source].reading;
  return true;
}

std::string TailFeed::name_of(std::uint32_t source) const {
  const std::lock_guard lock(mutex_);
  return files_[source].path;
}

void TailFeed::describe(std::uint32_t source) {
  if (books_.journal == nullptr || !follower_) return;
  const std::lock_guard in_order(describing_);
  pipeline::JournalSource row;
  std::uint32_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (files_[source].forgotten) return;
    id = files_[source].id;
    row.format = files_[source].format;
  }
  const auto file = follower_->describe(id);
  std::error_code ignored;
  row.id = std::to_string(id);
  row.name = file.path;
  row.path = std::filesystem::absolute(file.path, ignored);
  row.identity.device = file.device;
  row.identity.inode = file.inode;
  row.identity.size = file.size;
  row.identity.mtime_ns = file.mtime_ns;
  row.identity.head_bytes = file.head_bytes;
  row.identity.head_hash = fmt::format("{:016x}", file.head_hash);
  row.settled = books_.ledger.settled(source);
  row.extra = to_extra(file, books_.arrivals.state(source));
  books_.journal->describe(source, row);
}

void TailFeed::describe_at(std::uint32_t source, std::uint64_t offset) {
  // Only what an earlier checkpoint has made durable is never read again.
  std::uint64_t durable = 0;
  {
    const std::lock_guard lock(mutex_);
    durable = std::exchange(files_[source].durable, offset);
  }
  books_.arrivals.forget_before(source, durable);
  describe(source);
}

void TailFeed::forget_what_is_gone() {
  std::unordered_set<std::uint32_t> there;
  for (const auto& file : follower_->files()) there.insert(file.id);
  const auto rows = books_.ledger.sources();
  std::vector<std::uint32_t> gone;
  {
    const std::lock_guard lock(mutex_);
    for (std::uint32_t source = 0; source < std::min(files_.size(), rows.size()); ++source) {
      auto& file = files_[source];
      if (file.forgotten || there.contains(file.id)) continue;
      // Rows of it may still be under way.
      if (rows[source].not_done() > 0) continue;
      file.forgotten = true;
      file.reading = {};
      gone.push_back(source);
    }
  }
  if (books_.journal == nullptr) return;
  for (const auto source : gone) books_.journal->forget(source);
}

std::vector<report::Gauges::Source> TailFeed::lag() const {
  std::vector<report::Gauges::Source> sources;
  for (auto& lag : follower_->lag()) sources.push_back({std::move(lag.path), lag.bytes});
  return sources;
}

}  // namespace penstock::cli
