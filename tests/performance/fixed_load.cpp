#include "performance/fixed_load.h"

#include <stdexcept>

#include "sink/null_writer.h"
#include "support/document_shapes.h"
#include "support/line_shapes.h"
#include "support/loading.h"

namespace penstock::performance {
namespace {

// Several windows a load, so that what a window keeps for the next one shows.
constexpr std::size_t kWindowRows = 40'000;

bench::Shape shape(const std::string& name) {
  if (name == "line_cpu") return bench::cpu(1'000);
  if (name == "line_iot") return bench::iot(true);
  if (name == "line_agent") return bench::agent();
  if (name == "line_strings") return bench::strings();
  if (name == "telnet_cpu") return bench::telnet_cpu(100);
  if (name == "csv_cpu") return bench::csv_cpu();
  if (name == "csv_quoted") return bench::csv_quoted();
  if (name == "json_flat") return bench::json_points(bench::flat_point);
  throw std::invalid_argument("no input is called '" + name + "'");
}

}  // namespace

const std::vector<std::string>& input_names() {
  static const std::vector<std::string> kNames{"line_cpu",   "line_iot", "line_agent", "line_strings",
                                               "telnet_cpu", "csv_cpu",  "csv_quoted", "json_flat"};
  return kNames;
}

std::string input_text(const std::string& name) { return std::string(bench::make(shape(name), 0, kRecords).view()); }

bench::Source input(const std::string& name, std::string text) {
  bench::Text padded{std::move(text), kRecords};
  padded.bytes.append(io::kPadding, '\0');
  if (name == "csv_cpu") return bench::csv_source(std::move(padded), bench::kCsvCpuTags);
  if (name == "csv_quoted") return bench::csv_source(std::move(padded), {"name"});
  if (name.starts_with("telnet")) return bench::telnet_source(std::move(padded));
  if (name.starts_with("json")) return bench::json_source(std::move(padded));
  return bench::line_source(std::move(padded));
}

Loaded load(const bench::Source& source) {
  bench::Loading loading;
  const auto parser = source.parser(loading.registry);
  sink::Window window(loading.registry, 1);
  bench::Observer observer;
  sink::NullWriter writer({}, observer);
  const auto flush = [&] {
    writer.write(window);
    window.clear();
  };
  bench::for_each_chunk(source.text.view(), source.cutting, [&](const io::Chunk& chunk) {
    window.add(bench::Loading::part(loading.take(*parser, chunk)));
    if (window.row_count() >= kWindowRows) flush();
  });
  if (!window.empty()) flush();
  return {observer.rows, observer.merged, observer.bytes};
}

}  // namespace penstock::performance

extern "C" [[gnu::noinline]] void penstock_measured_load(const penstock::bench::Source& source,
                                                         penstock::performance::Loaded& loaded) {
  loaded = penstock::performance::load(source);
}
