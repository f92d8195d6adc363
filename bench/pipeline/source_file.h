#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string_view>

#include "pipeline/run.h"
#include "support/sources.h"

namespace penstock::pipeline {

/// The file of one shape, so that it is in the page cache; gone with the object. One at a time.
class File {
 public:
  explicit File(std::string_view text)
      : path_(std::filesystem::temp_directory_path() / fmt::format("penstock-bench-pipeline-{}", ::getpid())) {
    std::ofstream(path_, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  }
  ~File() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// Opens an input as the source says. Source and registry must outlive what is opened.
inline OpenedSource open_source(const bench::Source& source, const io::Input& input, MemoryBudget& budget,
                                schema::Registry& registry) {
  io::ReadOptions read;
  read.budget = &budget;
  read.cutting = source.cutting;
  OpenedSource opened;
  opened.reader = io::Reader::open(input, read);
  opened.parsers = std::make_shared<ParserPool>([&] { return source.parser(registry); });
  opened.format = opened.reject_extension = source.format;
  opened.cutting = source.cutting;
  return opened;
}

}  // namespace penstock::pipeline
