#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// What the programs that tools/compare sets side by side have in common: each reads one file, checks what it read in a
/// pass of its own, times a second one, and prints one line of JSON.
namespace penstock::rivals {

/// What a pass found, to be compared with the other programs.
struct Found {
  std::uint64_t rows = 0;
  double sum = 0;  ///< of the column asked for, over all rows that give it
};

/// Wall and processor time from its making on; the processor time is that of all threads of the process.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }
  [[nodiscard]] double cpu_seconds() const { return cpu_now() - cpu_began_; }

 private:
  static double cpu_now() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  double cpu_began_ = cpu_now();
};

/// The line of JSON that tools/compare reads.
inline void print(const Found& found, double seconds, double cpu_seconds) {
  std::cout << std::setprecision(17) << "{\"rows\": " << found.rows << ", \"sum\": " << found.sum
            << ", \"seconds\": " << seconds << ", \"cpu_seconds\": " << cpu_seconds << "}\n";
}

/// A whole file in memory with `padding` zero bytes behind it.
class FileText {
 public:
  explicit FileText(const std::string& path, std::size_t padding = 64) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (file < 0 || fstat(file, &status) != 0) throw std::runtime_error("cannot read '" + path + "'");
    size_ = static_cast<std::size_t>(status.st_size);
    memory_ = std::make_unique<char[]>(size_ + padding);
    for (std::size_t at = 0; at < size_;) {
      const auto got = read(file, memory_.get() + at, size_ - at);
      if (got <= 0) throw std::runtime_error("cannot read '" + path + "' to its end");
      at += static_cast<std::size_t>(got);
    }
    close(file);
  }
  [[nodiscard]] std::string_view text() const noexcept { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t size_ = 0;
};

/// `text` in as many parts as there are threads, each but the last ending behind a newline.
inline std::vector<std::string_view> parts_of(std::string_view text, unsigned threads) {
  std::vector<std::string_view> parts;
  for (unsigned left = threads; left > 1; --left) {
    const auto end = text.find('\n', text.size() / left);
    if (end == std::string_view::npos) break;
    parts.push_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

}  // namespace penstock::rivals
