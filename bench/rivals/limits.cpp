#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "rivals/measure.h"
#include "simd/bytes.h"

/// What the machine allows: `limits FILE memcpy|newlines [--threads N]`. memcpy copies the file from memory to memory
/// that was touched before; newlines counts its lines with the widest instructions that the kernels of simd/ use.
/// Rows are lines; there is no column to add up.
namespace penstock::rivals {
namespace {

template <class Work>
void on_parts(const std::vector<std::string_view>& parts, Work&& work) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < parts.size(); ++i) threads.emplace_back([&, i] { work(i); });
  work(0);
}

std::uint64_t plain_count(std::string_view text) {
  std::uint64_t lines = 0;
  for (const char byte : text) lines += byte == '\n' ? 1 : 0;
  return lines;
}

void measure(const std::string& path, std::string_view what, unsigned threads) {
  const FileText file(path);
  const auto parts = parts_of(file.text(), threads);
  const auto expected = plain_count(file.text());
  if (what == "memcpy") {
    std::string copy(file.text().size(), 'x');
    const Stopwatch watch;
    on_parts(parts, [&](std::size_t i) {
      std::memcpy(copy.data() + (parts[i].data() - file.text().data()), parts[i].data(), parts[i].size());
    });
    const auto seconds = watch.seconds();
    const auto cpu_seconds = watch.cpu_seconds();
    if (copy != file.text()) throw std::runtime_error("the copy is another text");
    print({expected, 0}, seconds, cpu_seconds);
    return;
  }
  if (what != "newlines") throw std::runtime_error("measures memcpy or newlines");
  std::vector<std::uint64_t> counts(parts.size());
  const Stopwatch watch;
  on_parts(parts, [&](std::size_t i) { counts[i] = simd::count(parts[i], '\n'); });
  const auto seconds = watch.seconds();
  const auto cpu_seconds = watch.cpu_seconds();
  std::uint64_t lines = 0;
  for (const auto count : counts) lines += count;
  if (lines != expected) throw std::runtime_error("the kernel miscounts");
  print({lines, 0}, seconds, cpu_seconds);
}

}  // namespace
}  // namespace penstock::rivals

int main(int count, char** arguments) {
  try {
    if (count != 3 && count != 5) throw std::runtime_error("limits FILE memcpy|newlines [--threads N]");
    const auto threads = count == 5 ? static_cast<unsigned>(std::stoul(arguments[4])) : 1;
    penstock::rivals::measure(arguments[1], arguments[2], threads);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "limits: " << error.what() << "\n";
    return 1;
  }
}
