#include "io/follow_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>

namespace penstock::io::test {

namespace fs = std::filesystem;

Following::Following() : now_(std::chrono::steady_clock::now()) {
  options.inotify = false;
  options.gather = std::chrono::milliseconds(0);
}

void Following::append(std::string_view name, std::string_view text) const {
  std::ofstream(path(name), std::ios::binary | std::ios::app)
      .write(text.data(), static_cast<std::streamsize>(text.size()));
  stamp(name);
}
void Following::stamp(std::string_view name) const {
  if (file_time_ns == 0) return;
  const timespec time{static_cast<time_t>(file_time_ns / 1'000'000'000),
                      static_cast<long>(file_time_ns % 1'000'000'000)};
  const timespec times[2] = {time, time};
  ::utimensat(AT_FDCWD, path(name).c_str(), times, 0);
}
void Following::trace(const std::string& text) {
  static const bool wanted = std::getenv("PENSTOCK_FOLLOW_TRACE") != nullptr;
  if (wanted) std::cerr << text << '\n';
}
void Following::rename(std::string_view from, std::string_view to) const {
  trace("rename " + std::string(from) + " " + std::string(to));
  fs::rename(path(from), path(to));
}
void Following::copy(std::string_view from, std::string_view to) const {
  trace("copy " + std::string(from) + " " + std::string(to));
  fs::copy_file(path(from), path(to));
  stamp(to);
}
void Following::remove(std::string_view name) const { fs::remove(path(name)); }
void Following::truncate(std::string_view name, std::size_t bytes) const {
  fs::resize_file(path(name), bytes);
  stamp(name);
}

FollowOptions Following::made(const std::vector<std::string>& sources) {
  FollowOptions now = options;
  for (const std::string& source : sources) now.sources.push_back(path(source));
  now.clock = [this] { return now_; };
  now.event = [this](const FollowEvent& event) {
    told.push_back(event);
    trace(std::string(to_string(event.code)) + " " + (event.id ? std::to_string(*event.id) : "-") + ": " + event.text);
  };
  return now;
}

std::string Following::slurp(std::string_view name) const {
  std::ifstream file(path(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Following::start(const std::vector<std::string>& sources) {
  trace("start");
  follower = std::make_unique<Follower>(made(sources));
  next_seq = 0;
}

void Following::restart(const std::vector<std::string>& sources) {
  std::vector<FollowedFile> known = follower->files();
  follower.reset();
  options.known = std::move(known);
  start(sources);
}

void Following::look() {
  trace("look");
  Chunk chunk;
  follower->look_again();
  while (follower->next(chunk, {}, now_) == Follower::Next::chunk) {
    if (chunk.seq != next_seq++) faults.push_back("wrong number");
    std::string& text = texts[chunk.source];
    if (chunk.offset != text.size() && text.size() < chunk.offset) text.resize(chunk.offset, '?');
    if (chunk.offset != text.size()) faults.push_back("handed out twice: " + std::string(chunk.text.substr(0, 60)));
    unsigned sum = 0;
    for (std::size_t i = 0; i < kPadding; ++i)
      sum += static_cast<unsigned char>(chunk.text.data()[chunk.text.size() + i]);
    if (sum > 1'000'000) faults.push_back("padding");
    text += chunk.text;
    if (chunk.oversized) oversized += chunk.text.size();
    trace("chunk of " + std::to_string(chunk.source) + " at " + std::to_string(chunk.offset) + ": " +
          std::string(chunk.text.substr(0, 12)));
    all += chunk.text;
    if (follower->describe(chunk.source).offset != chunk.offset + chunk.text.size()) faults.push_back("offset");
  }
}

void Following::pass(std::chrono::milliseconds time) {
  now_ += time;
  look();
}

void Following::finish() {
  look();
  pass(options.finish_after + std::chrono::milliseconds(1));
  look();
}

std::string Following::take() { return std::exchange(all, {}); }

std::string Following::events() {
  std::string codes;
  for (const FollowEvent& event : told) {
    if (!codes.empty()) codes += ' ';
    codes += to_string(event.code);
  }
  told.clear();
  return codes;
}

}  // namespace penstock::io::test
