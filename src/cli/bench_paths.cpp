#include "cli/bench_paths.h"

#include <algorithm>

#include "cli/bench_sql_writer.h"
#include "sink/null_writer.h"
#include "sink/schemaless_writer.h"
#include "sink/stmt_writer.h"
#include "sink/target_state.h"

namespace penstock::cli {

using Kind = BenchPath::Kind;
using client::Transport;

std::string BenchPath::name() const {
  static constexpr const char* kKinds[] = {"null", "stmt", "schemaless", "sql"};
  return (transport == Transport::rest ? "rest-" : "") + std::string(kKinds[static_cast<std::size_t>(kind)]);
}

std::string_view BenchPath::road() const noexcept {
  if (kind == Kind::null) return "";
  return transport == Transport::websocket ? "ws" : transport == Transport::native ? "native" : "rest";
}

std::vector<BenchPath> paths_of(const Target& target, const std::vector<std::string>& wanted) {
  if (target.is_null()) return {{Kind::null, Transport::websocket}};
  std::vector<BenchPath> all;
  const auto own = target.options().transport;
  if (own != Transport::rest) all = {{Kind::stmt, own}, {Kind::schemaless, own}, {Kind::sql, own}};
  if (own != Transport::native) {
    all.push_back({Kind::schemaless, Transport::rest});
    all.push_back({Kind::sql, Transport::rest});
  }
  if (!wanted.empty())
    std::erase_if(all, [&](const BenchPath& path) {
      return std::find(wanted.begin(), wanted.end(), path.name()) == wanted.end();
    });
  return all;
}

std::unique_ptr<sink::Writer> open_path(const BenchPath& path, const client::Options& target,
                                        const std::shared_ptr<sink::TargetState>& state,
                                        const sink::WriteOptions& write, const std::string& precision,
                                        sink::WriteObserver& observer, const std::stop_token& stop) {
  const auto opened = [](auto writer) {
    writer->open();
    return writer;
  };
  switch (path.kind) {
    case Kind::null: return std::make_unique<sink::NullWriter>(write, observer);
    case Kind::stmt: return opened(std::make_unique<sink::StmtWriter>(target, write, observer, stop, state));
    case Kind::schemaless:
      return opened(std::make_unique<sink::SchemalessWriter>(target, write, schemaless_settings(precision, "", 0),
                                                             observer, stop, state));
    case Kind::sql: break;
  }
  return opened(std::make_unique<SqlWriter>(target, write, observer, stop));
}

}  // namespace penstock::cli
