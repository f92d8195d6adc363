#include "fuzz/mutate.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace penstock::fuzz {

Mutator::Mutator(const Entry& entry, std::vector<std::string> corpus, std::uint64_t seed)
    : entry_(entry), corpus_(std::move(corpus)), random_(seed) {
  auto rest = entry.tokens;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    if (end > 0) tokens_.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (corpus_.empty()) corpus_.emplace_back("\0\0\0", 3);
}

const std::string& Mutator::next() {
  input_ = corpus_[below(corpus_.size())];
  const auto changes = 1 + below(6);
  for (std::size_t i = 0; i < changes; ++i) change(input_);
  if (input_.size() > entry_.most_bytes) input_.resize(entry_.most_bytes);
  return input_;
}

void Mutator::change(std::string& input) {
  const auto at = below(input.size() + 1);
  const auto length = std::min(input.size() - at, 1 + below(16));
  static constexpr std::string_view kOdd("\0\n\r \",=\\\xff\x80{}[]:;#\x7f", 19);
  switch (below(9)) {
    case 0:
      if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
      break;
    case 1: input.insert(at, 1, static_cast<char>(below(256))); break;
    case 2: input.insert(at, 1, kOdd[below(kOdd.size())]); break;
    case 3: input.erase(at, length); break;
    case 4: input.insert(below(input.size() + 1), input.substr(at, length)); break;
    case 5: {
      // A piece of another input.
      const auto& other = corpus_[below(corpus_.size())];
      const auto from = below(other.size() + 1);
      input.insert(at, other.substr(from, 1 + below(64)));
      break;
    }
    case 6:
      if (!tokens_.empty()) input.insert(at, tokens_[below(tokens_.size())]);
      break;
    case 7:
      if (!tokens_.empty()) input.insert(at, "\n");
      break;
    default: {
      // Numbers at the edge.
      static constexpr std::string_view kEdges[] = {"0",
                                                    "-1",
                                                    "127",
                                                    "128",
                                                    "255",
                                                    "65536",
                                                    "2147483648",
                                                    "1e9",
                                                    "nan",
                                                    "1e-400",
                                                    "9223372036854775808",
                                                    "18446744073709551616"};
      input.insert(at, kEdges[below(std::size(kEdges))]);
      break;
    }
  }
}

std::vector<std::pair<std::string, std::string>> corpus_of(const Entry& entry, const std::string& datasets) {
  std::vector<std::pair<std::string, std::string>> files;
  const auto folder = std::filesystem::path(datasets) / entry.name;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(file.path(), std::ios::binary);
    files.emplace_back(file.path().filename().string(), std::string(std::istreambuf_iterator<char>(in), {}));
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace penstock::fuzz
