// The entry that libFuzzer calls, and a plain driver for compilers without libFuzzer:
//   penstock_fuzz --entry=NAME [libFuzzer's own arguments]
//   penstock_fuzz --entry=NAME --seconds=N --seed=N --save=FILE CORPUS
// The input of a broken promise is kept in FILE.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "fuzz/entry.h"

namespace {

const penstock::fuzz::Entry* chosen = nullptr;

std::string_view value_of(std::string_view argument, std::string_view flag) {
  return argument.starts_with(flag) ? argument.substr(flag.size()) : std::string_view();
}

void choose(int count, char** arguments) {
  for (int i = 1; i < count; ++i)
    if (const auto name = value_of(arguments[i], "--entry="); !name.empty()) chosen = penstock::fuzz::find_entry(name);
  if (chosen != nullptr) return;
  std::fprintf(stderr, "--entry= one of:");
  for (const auto& entry : penstock::fuzz::entries())
    std::fprintf(stderr, " %.*s", static_cast<int>(entry.name.size()), entry.name.data());
  std::fprintf(stderr, "\n");
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->run({reinterpret_cast<const char*>(data), size});
  return 0;
}

#if defined(__clang__)

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  choose(*count, *arguments);
  return 0;
}

#else

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "fuzz/mutate.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

const std::string* present = nullptr;
std::string save_to = "crash";

// Only what a signal handler may do.
void save() {
  const int file = open(save_to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0 || present == nullptr) return;
  if (write(file, present->data(), present->size()) < 0) return;
  close(file);
}

void on_abort(int) {
  save();
  std::_Exit(1);
}

}  // namespace

int main(int count, char** arguments) {
  choose(count, arguments);
  double seconds = 10;
  std::uint64_t seed = 1;
  std::string corpus;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (const auto text = value_of(argument, "--seconds="); !text.empty()) seconds = std::atof(text.data());
    else if (const auto number = value_of(argument, "--seed="); !number.empty())
      seed = std::strtoull(number.data(), nullptr, 10);
    else if (const auto file = value_of(argument, "--save="); !file.empty()) save_to = file;
    else if (!argument.starts_with("--")) corpus = argument;
  }
  std::signal(SIGABRT, on_abort);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(save);
  std::vector<std::string> inputs;
  for (auto& [name, input] : penstock::fuzz::corpus_of(*chosen, corpus)) {
    present = &input;
    chosen->run(input);
    inputs.push_back(std::move(input));
  }
  penstock::fuzz::Mutator mutator(*chosen, std::move(inputs), seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::uint64_t runs = 0;
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    present = &mutator.next();
    chosen->run(*present);
  }
  std::printf("%s: %llu runs\n", std::string(chosen->name).c_str(), static_cast<unsigned long long>(runs));
  return 0;
}

#endif
