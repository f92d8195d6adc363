#include "sink/key_tracker.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "sink/request.h"

namespace penstock::sink {
namespace {

constexpr std::uint32_t kNoBlock = 0xFFFFFFFF;
constexpr std::size_t kWorthSpilling = 64;      // bytes of a child table: an entry for fewer would cost as much
constexpr std::size_t kVisitedAtOnce = 16'384;  // keys

// Differences of times may be larger than their type: they wrap, and so does the sum that undoes them.
std::int64_t minus(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t plus(std::int64_t a, std::int64_t b, std::uint64_t times = 1) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b) * times);
}

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}
std::uint64_t take_varint(const char*& at) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*at++);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
}
// Small numbers of either sign become small ones without.
void put_signed(std::string& out, std::int64_t value) {
  put_varint(out, (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}
std::int64_t take_signed(const char*& at) noexcept {
  const auto value = take_varint(at);
  return static_cast<std::int64_t>((value >> 1) ^ (0 - (value & 1)));
}

// Keys first, first + step, …: `count` of them, ascending.
struct KeyRun {
  std::int64_t first = 0;
  std::int64_t step = 0;
  std::uint64_t count = 0;
  std::uint64_t second = 0;
  [[nodiscard]] std::int64_t last() const noexcept { return plus(first, step, count - 1); }
  // How many of them are at most `time`.
  [[nodiscard]] std::uint64_t up_to(std::int64_t time) const noexcept {
    if (time < first) return 0;
    if (count == 1) return 1;
    return std::min(count, static_cast<std::uint64_t>(minus(time, first)) / static_cast<std::uint64_t>(step) + 1);
  }
};

KeyRun ascending(KeyRun run) noexcept {
  if (run.count > 1 && run.step == 0) run.count = 1;
  if (run.count > 1 && run.step < 0) {
    run.first = run.last();
    run.step = minus(0, run.step);
  }
  return run;
}

}  // namespace

std::uint64_t hash_key(std::string_view text) noexcept { return hash_bytes(text); }
std::uint64_t hash_key(std::uint64_t number) noexcept {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  return hash_bytes({bytes, sizeof bytes});
}

// What the next number is told apart from.
struct KeyTracker::Steps {
  std::int64_t last = 0;
  std::int64_t step = 0;
};

// The keys of a child table: blocks in the lane's file, then `bytes`, then the run that is still growing.
struct KeyTracker::Child {
  std::int64_t first = 0;
  std::int64_t step = 0;
  std::uint64_t count = 0;
  std::uint64_t rows = 0;
  Steps steps;
  std::string bytes;
  std::uint32_t block = kNoBlock;  // the last one
  bool composite = false;
};

struct KeyTracker::Lane {
  struct Block {
    std::uint64_t at = 0;
    std::uint32_t bytes = 0;
    std::uint32_t before = kNoBlock;
  };
  std::vector<Child> children;  // [child id / lanes]
  std::vector<Block> blocks;
  std::size_t bytes = 0;  // of all children
  std::size_t max_bytes = 0;
  int file = -1;
  std::uint64_t file_bytes = 0;
  std::string failure;
};

KeyTracker::KeyTracker(Options options) : options_(std::move(options)) {
  for (std::uint32_t i = 0; i < options_.lanes; ++i) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->max_bytes = options_.max_bytes / options_.lanes;
  }
}

KeyTracker::~KeyTracker() {
  for (const auto& lane : lanes_)
    if (lane->file >= 0) ::close(lane->file);
}

KeyTracker::Child& KeyTracker::child_of(std::uint32_t id) {
  auto& children = lanes_[id % options_.lanes]->children;
  const std::size_t at = id / options_.lanes;
  if (at >= children.size()) children.resize(std::max(at + 1, children.size() + children.size() / 2));
  return children[at];
}

const KeyTracker::Child* KeyTracker::find(std::uint32_t id) const {
  const auto& children = lanes_[id % options_.lanes]->children;
  const std::size_t at = id / options_.lanes;
  return at < children.size() ? &children[at] : nullptr;
}

namespace {

template <class Child>
void put_run(Child& child) {
  put_signed(child.bytes, minus(child.first, plus(child.steps.last, child.steps.step)));
  put_varint(child.bytes, child.count);
  if (child.count > 1) {
    put_signed(child.bytes, minus(child.step, child.steps.step));
    child.steps.step = child.step;
  }
  child.steps.last = plus(child.first, child.step, child.count - 1);
}

}  // namespace

void KeyTracker::note(Lane& lane, Child& child, const Key& key, bool composite) {
  ++child.rows;
  if (composite) {
    child.composite = true;
    const auto before = child.bytes.capacity();
    put_signed(child.bytes, minus(key.time, child.steps.last));
    child.steps.last = key.time;
    char second[sizeof key.second];
    std::memcpy(second, &key.second, sizeof second);
    child.bytes.append(second, sizeof second);
    lane.bytes += child.bytes.capacity() - before;
    return;
  }
  if (child.count == 1) {
    child.step = minus(key.time, child.first);
    child.count = 2;
    return;
  }
  if (child.count > 1 && key.time == plus(child.first, child.step, child.count)) {
    ++child.count;
    return;
  }
  if (child.count > 0) {
    const auto before = child.bytes.capacity();
    put_run(child);
    lane.bytes += child.bytes.capacity() - before;
  }
  child.first = key.time;
  child.step = 0;
  child.count = 1;
}

void KeyTracker::add(std::uint32_t child, const Key& key, bool composite) {
  Lane& lane = *lanes_[child % options_.lanes];
  if (!lane.failure.empty()) return;
  note(lane, child_of(child), key, composite);
  if (lane.bytes > lane.max_bytes) spill(lane);
}

void KeyTracker::add(std::uint32_t number, Window& window) {
  Lane& lane = *lanes_[number];
  if (!lane.failure.empty()) return;
  const std::unordered_set<const data::Row*> rejected(window.rejected().begin(), window.rejected().end());
  const auto rows = window.rows();
  std::uint32_t part = 0xFFFFFFFF;
  data::Precision unit = options_.precision;
  for (const TableRuns& table : window.tables()) {
    const auto key_column = table.version->composite_key;
    const bool composite = key_column != schema::kNoSlot;
    const bool is_text = composite && data::is_variable(table.version->columns[key_column].type);
    for (const Run& run : table.runs) {
      Child& child = child_of(run.child->id);
      for (auto i = run.begin; i < run.end; ++i) {
        constexpr std::uint32_t kAhead = 12;
        if (i + kAhead < run.end) __builtin_prefetch(rows[i + kAhead].row);
        const RowRef& ref = rows[i];
        if (ref.part() != part) {
          part = ref.part();
          unit = window.chunk_of(ref).rows.time_unit();
        }
        if (!rejected.empty() && rejected.contains(ref.row)) continue;
        Key key{to_unit(ref.row->time, unit, options_.precision), 0};
        if (composite) {
          const auto slot = ref.shape().slot_of(key_column);
          const bool given =
              slot != schema::kNoSlot &&
              !(ref.shape().nullable && data::Shape::is_null(*ref.row, ref.shape().columns.size(), slot));
          if (given) {
            const auto value = ref.row->slots()[slot];
            key.second = is_text ? hash_key(data::text_of(value)) : hash_key(value);
          }
        }
        note(lane, child, key, composite);
      }
    }
  }
  if (lane.bytes > lane.max_bytes) spill(lane);
}

namespace {

// A file without a name, for this process alone. -1: errno tells why.
int open_nameless(const std::filesystem::path& directory) {
  const auto path = directory.string();
  const int file = ::open(path.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, S_IRUSR | S_IWUSR);
  if (file >= 0) return file;
  std::string name = (directory / "penstock-keys-XXXXXX").string();
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

bool write_all(int file, std::string_view bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return true;
}

}  // namespace

// Moves the keys of the child tables that hold more than a few to the file. Each block stands for itself.
void KeyTracker::spill(Lane& lane) {
  std::error_code no_directory;
  const auto directory =
      options_.directory.empty() ? std::filesystem::temp_directory_path(no_directory) : options_.directory;
  const auto fail = [&] {
    const int error_number = errno;
    lane.failure = "cannot keep the keys of the rows in a file in '" + printable(directory.string(), 400) +
                   "': " + errno_text(error_number) + "; name a directory with room by TMPDIR";
    lane.children.clear();
    lane.blocks.clear();
    lane.bytes = 0;
  };
  if (lane.file < 0) lane.file = open_nameless(directory);
  if (lane.file < 0) return fail();
  std::string gathered;
  const auto flush = [&] {
    if (!write_all(lane.file, gathered, lane.file_bytes)) return false;
    lane.file_bytes += gathered.size();
    gathered.clear();
    return true;
  };
  for (Child& child : lane.children) {
    if (child.bytes.size() < kWorthSpilling) continue;
    lane.blocks.push_back(
        {lane.file_bytes + gathered.size(), static_cast<std::uint32_t>(child.bytes.size()), child.block});
    child.block = static_cast<std::uint32_t>(lane.blocks.size() - 1);
    gathered += child.bytes;
    lane.bytes -= child.bytes.capacity();
    child.bytes.clear();
    child.bytes.shrink_to_fit();
    lane.bytes += child.bytes.capacity();
    child.steps = {};
    constexpr std::size_t kAtOnce = std::size_t{1} << 20;
    if (gathered.size() >= kAtOnce && !flush()) return fail();
  }
  if (!flush()) return fail();
  // Very many child tables with a few keys each: there is nothing to gain by writing them out again and again.
  lane.max_bytes = std::max(lane.max_bytes, lane.bytes * 2);
}

std::string KeyTracker::failure() const {
  for (const auto& lane : lanes_)
    if (!lane->failure.empty()) return lane->failure;
  return {};
}

void KeyTracker::for_each_child(const std::function<void(std::uint32_t)>& visit) const {
  for (std::uint32_t lane = 0; lane < options_.lanes; ++lane) {
    const auto& children = lanes_[lane]->children;
    for (std::size_t at = 0; at < children.size(); ++at)
      if (children[at].rows > 0) visit(static_cast<std::uint32_t>(at) * options_.lanes + lane);
  }
}

std::uint64_t KeyTracker::rows(std::uint32_t child) const {
  const auto* const found = find(child);
  return found == nullptr ? 0 : found->rows;
}

std::uint64_t KeyTracker::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& lane : lanes_)
    bytes += lane->bytes + lane->children.capacity() * sizeof(Child) + lane->blocks.capacity() * sizeof(Lane::Block);
  return bytes;
}

std::uint64_t KeyTracker::file_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& lane : lanes_) bytes += lane->file_bytes;
  return bytes;
}

// Calls `visit(const KeyRun&)` for the runs of a child table in the order in which they came, until it says false.
template <class Visit>
void KeyTracker::for_each_run(std::uint32_t id, Visit&& visit) const {
  const Lane& lane = *lanes_[id % options_.lanes];
  const Child* const child = find(id);
  if (child == nullptr) return;
  const auto decode = [&](const std::string& bytes) {
    Steps steps;
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while (at < end) {
      KeyRun run;
      if (child->composite) {
        run.first = plus(steps.last, take_signed(at));
        run.count = 1;
        std::memcpy(&run.second, at, sizeof run.second);
        at += sizeof run.second;
        steps.last = run.first;
      } else {
        run.first = plus(plus(steps.last, steps.step), take_signed(at));
        run.count = take_varint(at);
        if (run.count > 1) steps.step = run.step = plus(steps.step, take_signed(at));
        steps.last = run.last();
      }
      if (!visit(ascending(run))) return false;
    }
    return true;
  };
  std::vector<std::uint32_t> blocks;
  for (auto block = child->block; block != kNoBlock; block = lane.blocks[block].before) blocks.push_back(block);
  std::string bytes;
  for (auto number = blocks.rbegin(); number != blocks.rend(); ++number) {
    const auto& block = lane.blocks[*number];
    bytes.resize(block.bytes);
    std::size_t got = 0;
    while (got < bytes.size()) {
      const ssize_t count =
          ::pread(lane.file, bytes.data() + got, bytes.size() - got, static_cast<off_t>(block.at + got));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0)
        throw Error(Errc::io, "cannot read the keys of the rows back from their temporary file: " +
                                  (count < 0 ? errno_text(errno) : std::string("it ends early")));
      got += static_cast<std::size_t>(count);
    }
    if (!decode(bytes)) return;
  }
  if (!decode(child->bytes)) return;
  if (child->count > 0) visit(ascending({child->first, child->step, child->count, 0}));
}

void KeyTracker::for_each_key(std::uint32_t child, const std::function<void(std::span<const Key>)>& visit) const {
  bool ordered = true;
  bool any = false;
  KeyRun before;
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::uint64_t count = 0;
  for_each_run(child, [&](const KeyRun& run) {
    ordered &= !any || Key{before.last(), before.second} < Key{run.first, run.second};
    from = any ? std::min(from, run.first) : run.first;
    to = any ? std::max(to, run.last()) : run.last();
    count += run.count;
    before = run;
    any = true;
    return true;
  });
  if (!any) return;
  if (!ordered) return sort_range(child, from, to, count, visit);
  std::vector<Key> keys;
  keys.reserve(kVisitedAtOnce);
  for_each_run(child, [&](const KeyRun& run) {
    for (std::uint64_t i = 0; i < run.count; ++i) {
      keys.push_back({plus(run.first, run.step, i), run.second});
      if (keys.size() < kVisitedAtOnce) continue;
      visit(keys);
      keys.clear();
    }
    return true;
  });
  if (!keys.empty()) visit(keys);
}

// The keys with from <= time <= to, `count` of them with those that are equal.
void KeyTracker::sort_range(std::uint32_t id, std::int64_t from, std::int64_t to, std::uint64_t count,
                            const std::function<void(std::span<const Key>)>& visit) const {
  if (count == 0) return;
  if (count > options_.max_sorted && from < to) {
    const auto middle = plus(from, static_cast<std::int64_t>(static_cast<std::uint64_t>(minus(to, from)) / 2));
    std::uint64_t left = 0;
    for_each_run(id, [&](const KeyRun& run) {
      left += run.up_to(middle) - (run.first < from ? run.up_to(minus(from, 1)) : 0);
      return true;
    });
    sort_range(id, from, middle, left, visit);
    sort_range(id, plus(middle, 1), to, count - left, visit);
    return;
  }
  std::vector<Key> keys;
  for_each_run(id, [&](const KeyRun& run) {
    const std::uint64_t begin = run.first < from ? run.up_to(minus(from, 1)) : 0;
    const std::uint64_t end = run.up_to(to);
    for (auto i = begin; i < end; ++i) keys.push_back({plus(run.first, run.step, i), run.second});
    return true;
  });
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  if (!keys.empty()) visit(keys);
}

}  // namespace penstock::sink
