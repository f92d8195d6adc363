#include "io/input.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace penstock::io {
namespace {

namespace fs = std::filesystem;

std::string in_quotes(const std::string& name) { return std::string("'").append(printable(name, 400)).append("'"); }

/// What glob() could not look into; it calls back without a context.
thread_local std::string unlisted_directory;
thread_local int unlisted_error = 0;

int note_unlisted(const char* directory, int error_number) {
  unlisted_directory = directory;
  unlisted_error = error_number;
  return error_number == EACCES ? 1 : 0;
}

class Expansion {
 public:
  void add_source(const std::string& source) {
    if (source.empty()) throw Error(Errc::config, "a source is empty; give a file, a pattern, a directory or '-'");
    if (source == "-") {
      if (!std::exchange(standard_input_, true)) inputs_.push_back({"standard input", {}, true, 0});
      return;
    }
    struct stat status {};
    if (::stat(source.c_str(), &status) == 0) {
      add_existing(source, status);
      return;
    }
    const int error_number = errno;
    if (error_number == ENOENT || error_number == ENOTDIR) {
      if (source.find_first_of("*?[{~") == std::string::npos) {
        throw Error(Errc::config, "no such file: " + in_quotes(source) + "; check the path (relative paths start at " +
                                      in_quotes(working_directory()) + ")");
      }
      add_pattern(source);
      return;
    }
    add_file(source, 0);  // exists perhaps, but may not be looked at: opening it says why
  }

  std::vector<Input> take() { return std::move(inputs_); }

 private:
  static std::string working_directory() {
    std::error_code ignored;
    return fs::current_path(ignored).string();
  }

  void add_pattern(const std::string& pattern) {
    glob_t matches{};
    unlisted_directory.clear();
    const int code = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE | GLOB_NOSORT, note_unlisted, &matches);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < matches.gl_pathc; ++i) names.emplace_back(matches.gl_pathv[i]);
    ::globfree(&matches);
    if (code == GLOB_ABORTED) {
      throw Error(Errc::config, "cannot list " + in_quotes(unlisted_directory) + " for the pattern " +
                                    in_quotes(pattern) + ": " + errno_text(unlisted_error) +
                                    "; make it readable or name the files");
    }
    if (names.empty()) {
      throw Error(Errc::config, "no file matches " + in_quotes(pattern) +
                                    "; check the pattern (relative paths start at " + in_quotes(working_directory()) +
                                    ")");
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      struct stat status {};
      if (::stat(name.c_str(), &status) == 0) {
        add_existing(name, status);
      } else {
        add_file(name, 0);
      }
    }
  }

  void add_existing(const std::string& name, const struct stat& status) {
    if (!S_ISDIR(status.st_mode)) {
      add_file(name, S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0);
      return;
    }
    found_in_directory_ = false;
    std::vector<std::pair<dev_t, ino_t>> above;
    add_directory(name, status, above);
    if (!found_in_directory_) {
      throw Error(Errc::config, "the directory " + in_quotes(name) +
                                    " holds no file (hidden ones do not count); name the files or another directory");
    }
  }

  void add_directory(const std::string& name, const struct stat& status, std::vector<std::pair<dev_t, ino_t>>& above) {
    const std::pair<dev_t, ino_t> self{status.st_dev, status.st_ino};
    if (std::find(above.begin(), above.end(), self) != above.end()) return;  // a link back up
    above.push_back(self);
    std::error_code failure;
    std::vector<std::string> names;
    for (fs::directory_iterator entry(name, failure), end; !failure && entry != end; entry.increment(failure)) {
      const std::string file = entry->path().filename().string();
      if (!file.starts_with('.')) names.push_back(file);
    }
    if (failure) add_file(name, 0);  // opening it says that it cannot be listed; its neighbours are loaded
    std::sort(names.begin(), names.end());
    for (const std::string& file : names) add_entry((fs::path(name) / file).string(), above);
    above.pop_back();
  }

  void add_entry(const std::string& name, std::vector<std::pair<dev_t, ino_t>>& above) {
    struct stat status {};
    if (::stat(name.c_str(), &status) != 0) {
      add_file(name, 0);
    } else if (S_ISDIR(status.st_mode)) {
      add_directory(name, status, above);
    } else if (S_ISREG(status.st_mode)) {
      add_file(name, static_cast<std::uint64_t>(status.st_size));
    } else {
      log(LogLevel::warning, in_quotes(name) + " is left out: it is no regular file; name it itself to read from it");
    }
  }

  void add_file(const std::string& name, std::uint64_t size) {
    found_in_directory_ = true;
    std::error_code failure;
    fs::path canonical = fs::weakly_canonical(name, failure);
    if (failure) canonical = fs::path(name).lexically_normal();
    if (seen_.insert(canonical.string()).second) inputs_.push_back({name, name, false, size});
  }

  std::vector<Input> inputs_;
  std::set<std::string> seen_;
  bool standard_input_ = false;
  bool found_in_directory_ = false;
};

}  // namespace

std::vector<Input> expand_inputs(std::span<const std::string> sources) {
  Expansion expansion;
  for (const std::string& source : sources) expansion.add_source(source);
  return expansion.take();
}

}  // namespace penstock::io
