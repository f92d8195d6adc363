#include <simdjson.h>

#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "rivals/measure.h"

/// simdjson alone: `simdjson_walk FILE COLUMN document|blocks [--threads N]` reads every value of an array of points
/// with the on-demand interface and keeps nothing but the sum of a member. `document`: the file as one document.
/// `blocks`: as arrays of about 1 MiB, made beforehand from its lines (a point a line), so that the index that simdjson
/// makes of a document stays in the cache.
namespace penstock::rivals {
namespace {

struct Block {
  std::unique_ptr<char[]> memory;
  std::size_t size = 0;
};

Block block_of(std::string_view text) {
  Block block{std::make_unique<char[]>(text.size() + simdjson::SIMDJSON_PADDING + 2), text.size()};
  std::copy(text.begin(), text.end(), block.memory.get());
  return block;
}

// Lines of "[", points that end in commas but for the last one, "]".
std::vector<Block> blocks_of(std::string_view text) {
  constexpr std::size_t kBlock = std::size_t{1} << 20;
  if (text.substr(0, 2) != "[\n" || text.substr(text.size() - 2) != "]\n")
    throw std::runtime_error("the file is no array with a point a line");
  text = text.substr(2, text.size() - 4);
  std::vector<Block> blocks;
  while (!text.empty()) {
    const auto end = text.size() <= kBlock ? text.size() : text.rfind('\n', kBlock) + 1;
    auto points = text.substr(0, end - 1);
    if (points.back() == ',') points.remove_suffix(1);
    auto block = block_of(" " + std::string(points) + "]");
    block.memory[0] = '[';
    blocks.push_back(std::move(block));
    text.remove_prefix(end);
  }
  return blocks;
}

void walk(simdjson::ondemand::value value, Found& found, std::string_view column, std::size_t& kept);

void walk(simdjson::ondemand::object object, Found& found, std::string_view column, std::size_t& kept) {
  for (auto field : object) {
    const std::string_view key = field.unescaped_key();
    kept += key.size();
    simdjson::ondemand::value value = field.value();
    if (value.type() == simdjson::ondemand::json_type::number) {
      const double number = value.get_double();
      if (key == column) found.sum += number;
      else kept += static_cast<std::size_t>(number);
    } else {
      walk(value, found, column, kept);
    }
  }
}

void walk(simdjson::ondemand::value value, Found& found, std::string_view column, std::size_t& kept) {
  switch (value.type()) {
    case simdjson::ondemand::json_type::object: walk(value.get_object().value(), found, column, kept); break;
    case simdjson::ondemand::json_type::string: kept += std::string_view(value.get_string()).size(); break;
    case simdjson::ondemand::json_type::number: kept += static_cast<std::size_t>(double(value.get_double())); break;
    case simdjson::ondemand::json_type::boolean: kept += bool(value.get_bool()) ? 1 : 0; break;
    default: throw std::runtime_error("a point holds what no point has");
  }
}

Found walk_all(const std::vector<Block>& blocks, std::string_view column,
               std::vector<simdjson::ondemand::parser>& parsers) {
  const auto threads = parsers.size();
  std::vector<Found> founds(threads);
  std::vector<std::size_t> keeps(threads);
  const auto work = [&](std::size_t thread) {
    auto& parser = parsers[thread];
    Found found;
    std::size_t kept = 0;
    for (std::size_t b = thread; b < blocks.size(); b += threads) {
      const auto& block = blocks[b];
      auto document = parser.iterate(block.memory.get(), block.size, block.size + simdjson::SIMDJSON_PADDING);
      for (auto point : document.get_array()) {
        walk(point.get_object().value(), found, column, kept);
        ++found.rows;
      }
    }
    founds[thread] = found;
    keeps[thread] = kept;
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
  }
  Found all;
  for (std::size_t t = 0; t < threads; ++t) {
    all.rows += founds[t].rows;
    all.sum += founds[t].sum;
    if (keeps[t] == 0 && founds[t].rows > 0) throw std::runtime_error("the walk read nothing");
  }
  return all;
}

void measure(const std::string& path, std::string_view column, std::string_view how, unsigned threads) {
  std::vector<Block> blocks;
  {
    const FileText file(path);
    if (how == "blocks") blocks = blocks_of(file.text());
    else blocks.push_back(block_of(file.text()));
  }
  std::vector<simdjson::ondemand::parser> parsers(threads);  // the second walk finds their memory made
  const auto expected = walk_all(blocks, column, parsers);
  const Stopwatch watch;
  const auto found = walk_all(blocks, column, parsers);
  const auto seconds = watch.seconds();
  const auto cpu_seconds = watch.cpu_seconds();
  if (found.rows != expected.rows) throw std::runtime_error("two walks gave other points");
  print(found, seconds, cpu_seconds);
}

}  // namespace
}  // namespace penstock::rivals

int main(int count, char** arguments) {
  try {
    if (count != 4 && count != 6) throw std::runtime_error("simdjson_walk FILE COLUMN document|blocks [--threads N]");
    const auto threads = count == 6 ? static_cast<unsigned>(std::stoul(arguments[5])) : 1;
    penstock::rivals::measure(arguments[1], arguments[2], arguments[3], threads);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "simdjson_walk: " << error.what() << "\n";
    return 1;
  }
}
