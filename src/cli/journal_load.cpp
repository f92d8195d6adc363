#include "cli/journal_load.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/flags.h"
#include "cli/journal_files.h"
#include "io/identity.h"

namespace penstock::cli {
namespace {

namespace fs = std::filesystem;
using pipeline::JournalContent;
using pipeline::JournalSource;
using pipeline::JournalState;

constexpr std::uint32_t kTailBytes = 4096;
// How often a pipe is asked for its head again: each time it waits for the reader's linger.
constexpr int kMostPeeks = 100;
// What a compressed byte may become at most (gzip 1,032, and zstd and lz4 where they are no bombs), and a pipe of
// unknown length: times of records without one must not meet those of the next source.
constexpr std::int64_t kMostInflation = 1'100;
constexpr std::int64_t kUnknownLength = std::int64_t{1} << 40;

class Descriptor {
 public:
  explicit Descriptor(const fs::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string id_of(const io::Input& input) {
  if (input.standard_input) return "-";
  std::error_code ignored;
  return fs::absolute(input.path, ignored).lexically_normal().string();
}

// Nanoseconds that the times of a source's records may take, one for each byte.
std::int64_t time_span(const io::Input& input) {
  if (input.standard_input || input.size == 0) return kUnknownLength;
  const auto size = static_cast<std::int64_t>(std::min<std::uint64_t>(input.size, INT64_MAX / 4 / kMostInflation));
  const auto name = input.path.string();
  const bool compressed = name.ends_with(".gz") || name.ends_with(".zst") || name.ends_with(".lz4") ||
                          name.ends_with(".bgz") || name.ends_with(".tgz");
  return compressed ? size * kMostInflation : size;
}

std::string instant_text(const std::optional<pipeline::Instant>& instant) {
  return instant ? fmt::format("{} {}", instant->seconds, instant->nanoseconds) : std::string();
}

std::optional<pipeline::Instant> instant_of(const std::string& text) {
  pipeline::Instant instant;
  const auto* const end = text.data() + text.size();
  const auto [blank, error] = std::from_chars(text.data(), end, instant.seconds);
  if (error != std::errc() || blank == end) return std::nullopt;
  const auto [stop, second] = std::from_chars(blank + 1, end, instant.nanoseconds);
  if (second != std::errc() || stop != end) return std::nullopt;
  return instant;
}

std::string shown(const std::string& value) { return value.empty() ? "not given" : "'" + printable(value, 200) + "'"; }

std::string shown_ms(const std::string& milliseconds) {
  std::int64_t ms = 0;
  std::from_chars(milliseconds.data(), milliseconds.data() + milliseconds.size(), ms);
  return fmt::format("{}.{:03}", local_time(ms * 1'000'000), ms % 1000);
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

std::string remembered(const JournalContent& content, const std::string& name) {
  for (const auto& [known, value] : content.head.memory)
    if (known == name) return value;
  return {};
}

pipeline::SourceRows total_rows(const JournalContent& content) {
  pipeline::SourceRows rows;
  for (const auto& source : content.sources) rows += source.settled.rows;
  return rows;
}

}  // namespace

void add_journal_flags(CLI::App& command, JournalFlags& flags) {
  const auto* const group = "Going on after a stop";
  auto* const file =
      command
          .add_option("--journal", flags.file,
                      "File that says how far the load is (default: one in $XDG_STATE_HOME/penstock, named after it)")
          ->group(group);
  auto* const none = command.add_flag("--no-journal", flags.none, "Keep no journal: the load cannot go on later");
  none->group(group)->excludes(file);
  auto* const resume = command.add_flag("--resume", flags.resume, "Go on where an earlier load of the sources stopped");
  resume->group(group)->excludes(none);
  command
      .add_option("--checkpoint-every", flags.checkpoint_every,
                  "How often the journal is brought up to date: what came later is sent again by --resume")
      ->group(group)
      ->capture_default_str();
  command.add_flag("--again", flags.again, "Load from the start, whatever was loaded before")
      ->group(group)
      ->excludes(resume);
}

std::vector<std::pair<std::string, std::string>> source_settings(const SourceFlags& flags) {
  std::vector<std::pair<std::string, std::string>> all;
  const SourceFlags defaults;
  const auto put = [&](const char* name, const std::string& value, const std::string& otherwise = {}) {
    if (value != otherwise) all.emplace_back(name, value);
  };
  const auto put_list = [&](const char* name, const std::vector<std::string>& values) {
    put(name, joined(values, ","));
  };
  put("--format", flags.format);
  put("--precision", flags.precision);
  put("--max-record", flags.max_record, defaults.max_record);
  put("--coerce", flags.coerce ? "yes" : "");
  put("--since", flags.since);
  put("--until", flags.until);
  put("--limit", flags.limit);
  put("--context-db", flags.context_db);
  put("--table-name-key", flags.table_name_key);
  put("--child-table-tag", flags.child_table_tag);
  put("--child-table-delimiter", flags.child_table_delimiter);
  put("--timestamp-name", flags.timestamp_name, defaults.timestamp_name);
  put("--default-tag-name", flags.default_tag_name, defaults.default_tag_name);
  put("--dot-to-underscore", flags.dot_to_underscore, defaults.dot_to_underscore);
  put_list("--drop-tag", flags.drop_tags);
  put_list("--tag-as-column", flags.tags_as_columns);
  if (!flags.mapping.empty()) {
    std::ifstream file(flags.mapping, std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    put("--mapping", fmt::format("{} with content {}", fs::path(flags.mapping).filename().string(),
                                 io::hash_hex(content.str()).substr(0, 16)));
  }
  put("--table", flags.table);
  put("--table-column", flags.table_column);
  put("--timestamp", flags.timestamp);
  put_list("--tags", flags.tags);
  put_list("--tag", flags.constant_tags);
  put_list("--columns", flags.columns);
  put_list("--ignore", flags.ignore);
  put_list("--rename", flags.rename);
  put_list("--type", flags.types);
  put("--child-table", flags.child_table);
  put("--child-table-column", flags.child_table_column);
  put("--header", flags.header);
  put_list("--names", flags.names);
  put("--delimiter", flags.delimiter);
  put("--quote", flags.quote);
  put("--escape", flags.escape);
  put("--decimal", flags.decimal);
  put("--skip-lines", flags.skip_lines == 0 ? "" : std::to_string(flags.skip_lines));
  put_list("--null", flags.nulls);
  put("--time-format", flags.time_format);
  put("--timezone", flags.timezone);
  put("--dst-gap", flags.dst_gap);
  put("--dst-fold", flags.dst_fold);
  return all;
}

std::string local_time(std::int64_t ns) {
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm local{};
  if (ns <= 0 || ::localtime_r(&seconds, &local) == nullptr) return "?";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

std::string progress_of(const JournalContent& content) {
  std::size_t finished = 0;
  std::uint64_t bytes = 0;
  std::uint64_t all = 0;
  bool known = true;
  std::string places;
  for (const auto& source : content.sources) {
    const auto& settled = source.settled;
    finished += settled.finished;
    all += source.identity.size;
    if (settled.finished) bytes += source.identity.size;
    else bytes += std::min(settled.offset, source.identity.size);
    if (!settled.finished && settled.offset > 0) {
      places += fmt::format("{}byte {} (line {}) of {}", places.empty() ? "" : ", ", format_count(settled.offset),
                            format_count(settled.lines + 1), printable(source.name, 400));
      known = known && source.compression == "none" && source.identity.size > 0;
    }
  }
  std::string text = known && all > 0 ? fmt::format("{} %, ", bytes * 100 / all) : "";
  text += places.empty() ? (finished == 0 ? "the start" : "the start of a source") : places;
  if (content.sources.size() > 1)
    text += fmt::format("; {} of {} sources are finished", finished, content.sources.size());
  return text;
}

std::vector<std::int64_t> record_times(std::span<const io::Input> inputs, std::int64_t start_ns) {
  std::vector<std::int64_t> bases;
  for (const auto& input : inputs) {
    bases.push_back(start_ns);
    if (__builtin_add_overflow(start_ns, time_span(input), &start_ns)) start_ns = bases.back();
  }
  return bases;
}

std::unique_ptr<LoadJournal> LoadJournal::open(Options options, std::span<const io::Input> inputs, bool null_target,
                                               const Say& say) {
  if (options.flags.none) return nullptr;
  if (null_target) {
    if (options.flags.resume) throw Error(Errc::config, "--resume: --to null: keeps no rows to go on behind");
    return nullptr;
  }
  std::unique_ptr<LoadJournal> load(new LoadJournal(std::move(options)));
  load->checkpoint_every_ = duration_flag("--checkpoint-every", load->options_.flags.checkpoint_every);
  const auto& flags = load->options_.flags;
  const bool asked = !flags.file.empty() || flags.resume;
  fs::path file = flags.file;
  try {
    if (file.empty()) {
      file = default_journal("load", load->options_.sources, load->options_.target);
      prepare_state_directory(file.parent_path());
    }
    std::error_code ignored;
    if (flags.resume && !fs::exists(file, ignored))
      throw Error(Errc::config,
                  fmt::format("--resume: there is no journal '{}': nothing of these sources was loaded into "
                              "{}, or with other SOURCE arguments; load without --resume",
                              file.string(), load->options_.target));
    load->journal_ = pipeline::Journal::open(file);
  } catch (const Error& error) {
    // A place without a home, or one that cannot be written to, is no reason not to load; one that others could write
    // to, or a journal that is in use, is.
    const bool nowhere = error.code() == Errc::io || file.empty();
    if (asked || !nowhere) throw;
    say(fmt::format("warning: no journal is kept, so that this load could not go on after a stop: {}", error.what()));
    return nullptr;
  }
  if (flags.resume && !load->journal_->found())
    throw Error(Errc::config,
                fmt::format("--resume: the journal '{}' is empty: no load has begun; load without --resume",
                            load->journal_->file().string()));
  if (const auto& found = load->journal_->found(); found && found->head.command != "load")
    throw Error(Errc::config, fmt::format("the journal '{}' is that of penstock {}: name another file with --journal",
                                          load->journal_->file().string(), found->head.command));
  for (std::size_t i = 0; i < inputs.size(); ++i) load->marks_.push_back(std::make_shared<format::DumpMarks>());
  return load;
}

void LoadJournal::fix_selection(pipeline::Selection& selection) {
  if (!options_.flags.resume) return;
  const auto& found = *journal_->found();
  if (selection.since) selection.since = instant_of(remembered(found, "since"));
  if (selection.until) selection.until = instant_of(remembered(found, "until"));
}

// "--format: 'line' then, 'csv' now".
std::vector<std::string> LoadJournal::differences(const std::string& database_made) const {
  const auto& found = *journal_->found();
  std::vector<std::string> all;
  std::map<std::string, std::string> then(found.head.settings.begin(), found.head.settings.end());
  const auto compare = [&](const std::string& name, const std::string& was, const std::string& is) {
    if (was != is) all.push_back(fmt::format("{}: {} then, {} now", name, shown(was), shown(is)));
  };
  for (const auto& [name, value] : options_.settings) {
    compare(name, then[name], value);
    then.erase(name);
  }
  for (const auto& [name, value] : then) compare(name, value, "");
  const auto made = remembered(found, "database_made");
  if (!made.empty() && !database_made.empty() && made != database_made)
    all.push_back(fmt::format("the database: made on {} then, on {} now, so it is another one", shown_ms(made),
                              shown_ms(database_made)));
  return all;
}

bool LoadJournal::same_sources(std::span<const io::Input> inputs) const {
  const auto& found = journal_->found()->sources;
  if (found.size() != inputs.size()) return false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].standard_input || found[i].id != id_of(inputs[i])) return false;
    const auto now = io::identity_of(inputs[i].path);
    const auto& then = found[i].identity;
    // By its content and its time, wherever it lies now.
    if (!now || now->size != then.size || now->mtime_ns != then.mtime_ns || now->head_hash != then.head_hash)
      return false;
  }
  return true;
}

// Throws where going on could lose or double rows.
void LoadJournal::check_sources(std::span<const io::Input> inputs, const Say& say) {
  const auto& found = *journal_->found();
  const auto refuse = [&](const std::string& why) {
    throw Error(Errc::config, fmt::format("--resume: {}. Load again from the start with --again", why));
  };
  std::map<std::string, const JournalSource*> known;
  for (const auto& source : found.sources) known.emplace(source.id, &source);
  sources_.clear();
  for (const auto& input : inputs) {
    const auto id = id_of(input);
    const auto match = known.find(id);
    if (match == known.end()) {
      say(fmt::format("{} was not among the sources before: it is loaded too", printable(input.name, 400)));
      auto& fresh = sources_.emplace_back();
      fresh.id = id;
      continue;
    }
    const auto& source = sources_.emplace_back(*match->second);
    known.erase(match);
    if (input.standard_input) continue;  // looked at when it is opened
    const auto& settled = source.settled;
    const Descriptor file(input.path);
    const auto now = file.get() < 0 ? std::nullopt : io::identity_of(file.get());
    if (!now || !source.identity.known()) continue;  // what cannot be read is told of when it is opened
    const auto& then = source.identity;
    const bool touched = now->device != then.device || now->inode != then.inode || now->mtime_ns != then.mtime_ns ||
                         now->size != then.size;
    if (settled.finished) {
      if (now->size != then.size || now->head_hash != then.head_hash)
        say(fmt::format(
            "note: {} has changed since it was loaded; it is not read again (--again loads everything again)",
            printable(input.name, 400)));
      continue;
    }
    if (settled.offset == 0) continue;
    if (!io::begins_as(file.get(), then))
      refuse(fmt::format("{} is not the file that was loaded before: its first {} bytes differ",
                         printable(input.name, 400), format_count(then.head_bytes)));
    if (source.compression == "none" || source.compression.empty()) {
      if (now->size < settled.offset)
        refuse(fmt::format("{} has {} bytes, but {} of it were loaded before: it was cut or replaced",
                           printable(input.name, 400), format_count(now->size), format_count(settled.offset)));
      if (!source.tail_hash.empty() && source.tail_bytes <= settled.offset &&
          io::hash_of_range(file.get(), settled.offset - source.tail_bytes, source.tail_bytes) != source.tail_hash)
        refuse(fmt::format("{} is not the file that was loaded before: the {} bytes before byte {} differ",
                           printable(input.name, 400), source.tail_bytes, format_count(settled.offset)));
    }
    if (touched)
      say(fmt::format("note: {} was touched, moved or copied since; its content before byte {} looks the same",
                      printable(input.name, 400), format_count(settled.offset)));
  }
  for (const auto& [id, source] : known)
    if (!source->settled.finished)
      refuse(fmt::format("{} is not among the sources now, and was not loaded to its end", source->name));
}

void LoadJournal::tell_way(const Say& say) const {
  const auto& found = *journal_->found();
  const auto rows = total_rows(found);
  say(fmt::format("goes on at {}; {} rows were written{} before", progress_of(found), format_count(rows.written),
                  rows.rejected > 0 ? fmt::format(" and {} rejected", format_count(rows.rejected)) : ""));
}

LoadJournal::Way LoadJournal::decide(std::span<const io::Input> inputs, const std::string& database_made,
                                     const Say& say) {
  if (std::exchange(decided_, true)) return way_;
  database_made_ = database_made;
  const auto& found = journal_->found();
  if (!found) return way_;
  const auto different = differences(database_made);
  const bool complete = found->head.state == JournalState::finished;
  const auto when = local_time(found->head.updated_ns);
  if (complete && !options_.flags.again && different.empty() && same_sources(inputs)) {
    const auto rows = total_rows(*found);
    say(fmt::format("already loaded on {}: {} rows written{} (journal {}); --again loads it again", when,
                    format_count(rows.written),
                    rows.rejected > 0 ? fmt::format(", {} rejected", format_count(rows.rejected)) : "",
                    journal_->file().string()));
    return way_ = Way::nothing;
  }
  if (options_.flags.resume) {
    if (!different.empty())
      throw Error(Errc::config,
                  fmt::format("--resume: this is not the load that stopped: {}. Use the same flags, or load "
                              "again from the start with --again",
                              joined(different, "; ")));
    if (complete)
      throw Error(Errc::config,
                  fmt::format("--resume: the load came to its end on {}, and its sources have changed since: "
                              "load without --resume",
                              when));
    check_sources(inputs, say);
    tell_way(say);
    return way_ = Way::go_on;
  }
  if (options_.flags.again) return way_;
  if (!complete && different.empty())
    say(fmt::format("note: an earlier load of these sources stopped at {}; this one begins anew (--resume goes on)",
                    progress_of(*found)));
  else if (!different.empty())
    say(fmt::format(
        "note: these sources were loaded {}{} before, with a difference: {}; they are loaded from the start",
        complete ? "on " : "in part, until ", when, joined(different, "; ")));
  else if (std::none_of(inputs.begin(), inputs.end(), [](const auto& input) { return input.standard_input; }))
    say(fmt::format("note: these sources were loaded on {} and have changed since: they are loaded from the start",
                    when));
  return way_;
}

void LoadJournal::start(std::span<const io::Input> inputs, const pipeline::Selection& selection,
                        pipeline::Ledger& ledger, pipeline::Rejects& rejects, const Say& say) {
  const auto describe = [&](const io::Input& input, std::int64_t base) {
    JournalSource source;
    source.id = id_of(input);
    source.name = input.name;
    if (!input.standard_input) {
      source.path = source.id;
      if (auto identity = io::identity_of(input.path)) source.identity = std::move(*identity);
    }
    source.time_base_ns = base;
    return source;
  };
  rows_before_ = {};
  if (way_ == Way::begin) {
    if (time_bases_.empty()) time_bases_ = record_times(inputs, now_ns());
    JournalContent content;
    content.head.command = "load";
    content.head.target = options_.target;
    content.head.settings = options_.settings;
    const auto keep = [&](const char* name, const std::string& value) {
      if (!value.empty()) content.head.memory.emplace_back(name, value);
    };
    keep("database_made", database_made_);
    keep("since", instant_text(selection.since));
    keep("until", instant_text(selection.until));
    keep("csv_ours", decided_again_ ? journal_->remembered("csv_ours") : "");
    keep("csv_restarts", decided_again_ ? journal_->remembered("csv_restarts") : "");
    for (std::size_t i = 0; i < inputs.size(); ++i) content.sources.push_back(describe(inputs[i], time_bases_[i]));
    sources_ = content.sources;
    journal_->begin(std::move(content));
    return;
  }
  std::vector<std::string> ids;
  for (const auto& source : sources_) ids.push_back(source.id);
  journal_->go_on(ids);
  // Sources that are new now come behind all others.
  std::int64_t after = now_ns();
  for (const auto& source : journal_->found()->sources) after = std::max(after, source.time_base_ns + kUnknownLength);
  time_bases_.clear();
  std::vector<pipeline::RejectFiles> files(inputs.size());
  const auto suffix = fmt::format(".resumed{}", journal_->found()->head.runs);
  for (std::uint32_t i = 0; i < inputs.size(); ++i) {
    auto& source = sources_[i];
    if (source.name.empty()) {
      source = describe(inputs[i], after);
      journal_->describe(i, source);
      after += time_span(inputs[i]);
    }
    time_bases_.push_back(source.time_base_ns);
    marks_[i]->take(source.extra);
    ledger.restore(i, source.settled);
    rows_before_ += source.settled.rows;
    auto restored =
        rejects.begin_restore(i, source.rejects, source.settled.offset, source.settled.rows.rejected, suffix);
    if (!restored.note.empty()) say("note: " + restored.note);
    files[i] = std::move(restored.files);
    journal_->set_rejects(i, files[i]);
  }
  journal_->commit(true);
  for (std::uint32_t i = 0; i < inputs.size(); ++i) rejects.end_restore(i, files[i]);
}

void LoadJournal::begin_anew() {
  JournalContent content;
  content.head = journal_->head();
  content.head.exit_status = -1;
  content.head.outcome.clear();
  const std::lock_guard lock(mutex_);
  for (std::uint32_t i = 0; i < sources_.size(); ++i) {
    auto source = journal_->row_of(i);
    source.settled = {};
    source.tail_hash.clear();
    source.tail_bytes = 0;
    source.extra.clear();
    // The files go next; until they are gone the journal knows them as empty.
    source.rejects.header_bytes = source.rejects.records_bytes = source.rejects.reasons_bytes = 0;
    content.sources.push_back(std::move(source));
    marks_[i]->take("");
  }
  journal_->begin(std::move(content));
  way_ = Way::begin;
  decided_again_ = true;
}

void LoadJournal::opened(const io::Input& input, std::uint32_t source, const pipeline::OpenedSource& opened,
                         const std::stop_token& stop) {
  auto& reader = *opened.reader;
  JournalSource described;
  {
    const std::lock_guard lock(mutex_);
    described = sources_[source];
  }
  const auto offset = resumed() ? described.settled.offset : 0;
  auto identity = input.standard_input ? std::nullopt : io::identity_of(input.path);
  if (!identity) {
    // A pipe: known by its head alone.
    std::size_t wanted = offset > 0 ? static_cast<std::size_t>(described.identity.head_bytes) : io::kIdentityBytes;
    auto head = reader.peek(wanted, stop);
    for (int i = 0; offset > 0 && head.size() < wanted && i < kMostPeeks && !stop.stop_requested(); ++i)
      head = reader.peek(wanted, stop);
    identity = io::identity_of_head(head);
    if (offset > 0 && !stop.stop_requested() && identity->head_hash != described.identity.head_hash)
      throw Error(Errc::config,
                  fmt::format("--resume: {} does not begin as it did before (its first {} bytes differ): give "
                              "it the same data from its start, or load with --again",
                              printable(input.name, 400), format_count(wanted)));
  }
  described.format = opened.format;
  described.compression = io::to_string(reader.compression());
  // Of a source that goes on, what it was known by stays: the head of a pipe may come in other pieces.
  if (offset == 0) described.identity = std::move(*identity);
  {
    const std::lock_guard lock(mutex_);
    sources_[source] = described;
  }
  journal_->describe(source, described);
  if (offset > 0) reader.start_at(offset, stop);
}

pipeline::Checkpointer::Options LoadJournal::checkpoints(std::function<void()> on_failure) {
  pipeline::Checkpointer::Options options;
  options.look = [this](std::uint32_t source, const pipeline::Settled& settled) { return look(source, settled); };
  options.on_failure = std::move(on_failure);
  options.every = checkpoint_every_;
  return options;
}

pipeline::Checkpointer::Options::Tail LoadJournal::look(std::uint32_t source, const pipeline::Settled& settled) {
  pipeline::Checkpointer::Options::Tail tail;
  JournalSource described;
  {
    const std::lock_guard lock(mutex_);
    described = sources_[source];
    if (auto marks = marks_[source]->text(); marks != described.extra) {
      sources_[source].extra = described.extra = std::move(marks);
      journal_->describe(source, described);
    }
  }
  if (described.compression != "none" || described.path.empty() || settled.offset == 0) return tail;
  const Descriptor file(described.path);
  if (file.get() < 0) return tail;
  const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(settled.offset, kTailBytes));
  if (auto hash = io::hash_of_range(file.get(), settled.offset - bytes, bytes)) tail = {std::move(*hash), bytes};
  return tail;
}

void LoadJournal::end(bool finished, int status, const std::string& outcome) {
  journal_->end(finished ? JournalState::finished : JournalState::interrupted, status, outcome);
}

}  // namespace penstock::cli
