#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "io/follow_support.h"

namespace penstock::io::test {
namespace {

namespace fs = std::filesystem;

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// How one log is written and rotated.
struct Habits {
  bool copy_truncate = false;
  bool dates = false;   ///< app.log-20261122 instead of app.log.1
  int compression = 0;  ///< 0: none, 1: at once, 2: at the next rotation
  std::string (*compress)(std::string_view) = nullptr;
  const char* ending = "";
  enum class Times { kept, seconds, lost };
  Times times = Times::kept;  ///< of change, when a file is copied or compressed
  bool restarts = false;
  bool losing_restarts = false;  ///< the last look is not in the journal
  bool late = false;             ///< written and rotated only after the follower looked for it first
  std::vector<std::string> sources;
};

/// A program that writes numbered lines, and something that rotates its log; both as nasty as they come.
class Writer {
 public:
  Writer(Following& at, std::mt19937& random, Habits habits) : at_(at), random_(random), habits_(std::move(habits)) {
    reopen();
  }
  ~Writer() { ::close(fd_); }

  void write() {
    tick();
    const std::size_t lines = random_() % 8;
    std::string text = std::exchange(rest_, {});
    for (std::size_t i = 0; i < lines; ++i) {
      std::string line = "line " + std::to_string(written++) + " ";
      line.append(random_() % 20 == 0 ? random_() % 3000 : random_() % 40, static_cast<char>('a' + random_() % 26));
      text += line + "\n";
    }
    if (!text.empty() && random_() % 2 == 0) {
      const std::size_t cut = random_() % text.size();
      rest_ = text.substr(cut);
      text.resize(cut);
    }
    put(text);
  }

  void flush() { put(std::exchange(rest_, {})); }

  void rotate() {
    tick();
    if (late_ > 0) reopen();
    if (habits_.copy_truncate) flush();  // else the line goes on in the file with another name
    if (habits_.compression == 2) compress(name(1));
    shift();
    const std::string to = name(1);
    if (habits_.copy_truncate) {
      const auto time = fs::last_write_time(at_.path("app.log"));
      at_.copy("app.log", to);
      if (habits_.times == Habits::Times::kept) fs::last_write_time(at_.path(to), time);
      if (random_() % 2 == 0) tick();
      at_.truncate("app.log");
    } else {
      at_.rename("app.log", to);
      late_ = static_cast<unsigned>(random_() % 3);  // writes that still go to the old file
      if (late_ == 0 || habits_.compression == 1) reopen();
    }
    if (habits_.compression == 1) compress(to);
    ++rotations;
  }

  void late_reopen() {
    if (late_ > 0 && --late_ == 0) reopen();
  }
  void settle() {
    flush();
    if (late_ > 0) reopen();
    late_ = 0;
  }

  /// Files change at times that are nothing to 3 s apart, more rarely minutes: only so is seen what goes by times.
  void tick() {
    constexpr std::int64_t kSteps[] = {0, 1'001, 4'000'003, 700'000'009, 3'000'000'013, 60'000'000'017};
    at_.file_time_ns += kSteps[random_() % (random_() % 8 == 0 ? 6 : 5)];
  }

  std::size_t written = 0;
  std::size_t rotations = 0;

 private:
  void put(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(fd_, text.data(), text.size());
      ASSERT_GT(count, 0);
      text.remove_prefix(static_cast<std::size_t>(count));
      stamp();
    }
  }
  void stamp() const {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const timespec time{static_cast<time_t>(at_.file_time_ns / kSecond), static_cast<long>(at_.file_time_ns % kSecond)};
    const timespec times[2] = {time, time};
    ::futimens(fd_, times);
  }
  void reopen() {
    if (fd_ >= 0) {
      flush();
      ::close(fd_);
    }
    fd_ = ::open(at_.path("app.log").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct stat status {};
    if (::fstat(fd_, &status) == 0 && status.st_size == 0) stamp();
    late_ = 0;
  }
  std::string name(std::size_t age) const {
    if (habits_.dates) return "app.log-" + std::to_string(20260000 + rotations + 1 - age);
    return "app.log." + std::to_string(age);
  }
  void compress(const std::string& which) {
    if (!fs::exists(at_.path(which))) return;
    const std::string path = at_.path(which);
    Following::trace("compress " + which);
    const auto time = fs::last_write_time(path);
    const std::string packed = habits_.compress(slurp(path));
    // As gzip does: the new one grows beside the old one.
    at_.append(which + habits_.ending, packed.substr(0, packed.size() / 2));
    if (random_() % 2 == 0 && at_.follower != nullptr) at_.look();
    at_.append(which + habits_.ending, packed.substr(packed.size() / 2));
    if (random_() % 2 == 0 && at_.follower != nullptr) at_.look();
    if (habits_.times == Habits::Times::seconds) {
      fs::last_write_time(path + habits_.ending, std::chrono::floor<std::chrono::seconds>(time));
    } else if (habits_.times == Habits::Times::kept) {
      fs::last_write_time(path + habits_.ending, time);
    }
    fs::remove(path);
  }
  void shift() {
    if (habits_.dates) return;
    for (const char* ending : {"", habits_.ending}) {
      for (std::size_t age = rotations + 1; age > 0; --age) {
        const std::string from = name(age) + ending;
        if (fs::exists(at_.path(from))) at_.rename(from, name(age + 1) + ending);
        if (*ending == '\0' && *habits_.ending == '\0') continue;
      }
      if (*habits_.ending == '\0') break;
    }
  }

  Following& at_;
  std::mt19937& random_;
  const Habits habits_;
  int fd_ = -1;
  std::string rest_;
  unsigned late_ = 0;
};

/// A journal as a crash leaves it: what was handed out last is not settled.
void fall_behind(std::vector<FollowedFile>& journal, std::map<std::uint32_t, std::string>& settled,
                 std::mt19937& random) {
  for (FollowedFile& file : journal) {
    std::string& text = settled[file.id];
    if (random() % 3 != 0 || text.size() != file.offset) continue;
    const std::size_t end =
        random() % 2 == 0 || text.empty() ? std::string::npos : text.rfind('\n', random() % text.size());
    text.resize(end == std::string::npos ? 0 : end + 1);
    file.finished = file.finished && text.size() == file.offset;
    file.offset = text.size();
  }
}

/// Each line once, and in order within its file; those before `first` not at all.
std::string check(const Following& at, std::size_t written, std::size_t first) {
  std::vector<int> times(written, 0);
  for (const auto& [id, text] : at.texts) {
    std::istringstream lines(text);
    long before = -1;
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("line ", 0) != 0) return "file " + std::to_string(id) + " has '" + line.substr(0, 50) + "'";
      const long number = std::stol(line.substr(5));
      if (number <= before) return "line " + std::to_string(number) + " behind line " + std::to_string(before);
      before = number;
      ++times.at(static_cast<std::size_t>(number));
    }
  }
  std::string wrong;
  for (std::size_t i = 0; i < written; ++i) {
    if (times[i] != (i < first ? 0 : 1))
      wrong += " line " + std::to_string(i) + ": " + std::to_string(times[i]) + " times";
    if (wrong.size() > 300) break;
  }
  return wrong;
}

void live(unsigned seed) {
  std::mt19937 random(seed);
  Habits habits;
  habits.copy_truncate = random() % 2 == 0;
  habits.dates = random() % 3 == 0;
  habits.compression = static_cast<int>(random() % 3);
  constexpr std::pair<std::string (*)(std::string_view), const char*> kFormats[] = {
      {gzip, ".gz"}, {[](std::string_view text) { return zstd(text); }, ".zst"}, {lz4, ".lz4"}};
  if (habits.compression != 0) std::tie(habits.compress, habits.ending) = kFormats[random() % 3];
  habits.restarts = random() % 2 == 0;
  habits.losing_restarts = habits.restarts && random() % 2 == 0;
  constexpr const char* kSources[] = {"app.log", "app.log*", "", "app.*"};
  habits.sources = {kSources[random() % 4]};
  habits.late = random() % 4 == 0;
  constexpr Habits::Times kTimes[] = {Habits::Times::kept, Habits::Times::seconds, Habits::Times::lost};
  habits.times = kTimes[random() % 3];
  const bool behind = habits.losing_restarts && random() % 2 == 0;
  SCOPED_TRACE("seed " + std::to_string(seed) + (habits.copy_truncate ? " copytruncate" : " rename") +
               (habits.dates ? " dates" : "") + " compression " + std::to_string(habits.compression) + habits.ending +
               (behind                   ? " restarts far behind"
                : habits.losing_restarts ? " losing restarts"
                : habits.restarts        ? " restarts"
                                         : "") +
               (habits.late ? " late" : "") +
               (habits.times == Habits::Times::kept   ? " kept times "
                : habits.times == Habits::Times::lost ? " lost times "
                                                      : " seconds ") +
               habits.sources[0]);
  Following at;
  at.options.max_open_files = random() % 2 == 0 ? 128 : 1;
  at.options.chunk_bytes = std::size_t{1} << (6 + random() % 10);
  at.file_time_ns = static_cast<std::int64_t>(::time(nullptr) - 10'000) * 1'000'000'000 + 123'456'789;
  if (habits.late) {
    at.file_time_ns = static_cast<std::int64_t>(::time(nullptr)) * 1'000'000'000;
    at.start(habits.sources);
  }
  Writer writer(at, random, habits);
  std::size_t first = 0;
  if (!habits.late) {  // generations from before the first start are wanted only if they are named
    // Those that were compressed later and have new times cannot be told apart after a restart.
    const bool certain = habits.times == Habits::Times::kept || habits.sources[0] != "app.log";
    for (auto old = certain ? random() % 4 : 0; old > 0; --old) {
      writer.write();
      writer.rotate();
      writer.settle();
      if (habits.sources[0] == "app.log") first = writer.written;
    }
    at.file_time_ns += 3'600'000'000'000;
    for (auto more = random() % 3; more > 0; --more) writer.write();
    at.start(habits.sources);
  } else {
    for (auto more = random() % 8; more > 0; --more) random() % 2 == 0 ? writer.rotate() : writer.write();
    at.look();
  }
  std::vector<FollowedFile> journal = at.follower->files();
  std::map<std::uint32_t, std::string> settled = at.texts;
  const auto keep = [&] {
    journal = at.follower->files();
    settled = at.texts;
    if (behind) fall_behind(journal, settled, random);
  };
  for (int step = 0; step < 60; ++step) {
    const auto dice = static_cast<unsigned>(random() % 100);
    if (dice < 50) {
      writer.write();
    } else if (dice < 60) {
      writer.rotate();
    } else if (dice < 65) {
      writer.late_reopen();
    } else if (dice < 90 || !habits.restarts) {
      at.pass(std::chrono::milliseconds(random() % 300));
      if (random() % 3 == 0) keep();
    } else if (!journal.empty()) {
      if (!habits.losing_restarts) keep();
      do {  // it may be ended again before it has read anything
        at.follower.reset();
        for (auto more = random() % 8; more > 0; --more) random() % 3 == 0 ? writer.rotate() : writer.write();
        at.texts = settled;
        at.options.known = journal;
        at.start(habits.sources);
        if (random() % 2 == 0) keep();
      } while (random() % 2 == 0);
    }
    if (::testing::Test::HasFatalFailure()) return;
  }
  writer.settle();
  at.look();
  at.finish();
  at.finish();
  EXPECT_EQ(check(at, writer.written, first), "");
  if (!at.faults.empty()) ADD_FAILURE() << at.faults.size() << " faults: " << at.faults[0];
  for (const FollowLag& lag : at.follower->lag()) EXPECT_EQ(lag.bytes, 0U) << lag.path;
}

TEST(FollowerProperty, EveryLineComesOnceWhateverRotates) {
  const char* only = std::getenv("PENSTOCK_FOLLOW_SEED");
  if (only != nullptr) return live(static_cast<unsigned>(std::atoi(only)));
  const char* many = std::getenv("PENSTOCK_FOLLOW_SEEDS");
  const char* from = std::getenv("PENSTOCK_FOLLOW_FROM");
  const unsigned seeds = many != nullptr ? static_cast<unsigned>(std::atoi(many)) : 80;
  for (auto seed = static_cast<unsigned>(from != nullptr ? std::atoi(from) : 0); seed < seeds; ++seed) live(seed);
}

}  // namespace
}  // namespace penstock::io::test
