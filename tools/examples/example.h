#pragma once

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <penstock/client/client.h>

/// What the examples share: a main() around their work, and what a program does when a connection is lost under it.
namespace example {

using namespace penstock;

/// The REST interface has no prepared statements and no subscriptions; the adapter that serves it has them over
/// WebSocket, on the same port.
inline client::Options with_statements(client::Options options) {
  if (options.transport == client::Transport::rest) {
    std::cout << "note: REST has no statements, going over WebSocket\n";
    options.transport = client::Transport::websocket;
  }
  return options;
}

/// Runs `work` again when it fails for a reason that may pass: a lost connection, a server that restarts. Right for
/// work that may be done twice, as inserts of rows that say their own timestamp.
template <class Work>
auto with_retries(Work&& work) {
  for (int attempt = 1;; ++attempt) {
    try {
      return work();
    } catch (const client::ClientError& error) {
      if (!error.transient() || attempt == 10) throw;
      std::cerr << "again: " << error.what() << '\n';
      std::this_thread::sleep_for(std::chrono::milliseconds(200 * attempt));
    }
  }
}

/// The first row of a query as text; asked again when the connection is lost while it comes. Empty: no row.
inline std::vector<std::string> first_row(client::Connection& connection, const std::string& sql) {
  return with_retries([&] {
    auto rows = connection.query(sql);
    std::vector<std::string> cells;
    if (!rows.next()) return cells;
    for (std::size_t column = 0; column < rows.fields().size(); ++column) cells.push_back(rows.display(column));
    return cells;
  });
}

/// Its first cell.
inline std::string first_cell(client::Connection& connection, const std::string& sql) {
  const auto row = first_row(connection, sql);
  return row.empty() ? "no row" : row.front();
}

/// Says what is not as it should be; the example ends with status 1 then.
inline bool all_well = true;
inline void fail(std::string_view what) {
  std::cerr << what << '\n';
  all_well = false;
}
template <class A, class B>
void check(std::string_view what, const A& got, const B& wanted) {
  if (got == wanted) return;
  std::cerr << what << ": wanted " << wanted << ", got " << got << '\n';
  all_well = false;
}

/// Calls `work(options)` with the DSN of the command line.
template <class Work>
int run(int argc, char** argv, const char* what, Work&& work) {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " DSN\n"
              << what << "\nDSN: ws://, taos:// or http://[user[:password]@]host[:port]\n";
    return 2;
  }
  try {
    work(client::Options::parse(argv[1]));
    std::cout << (all_well ? "all well\n" : "not as it should be\n");
    return all_well ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}

/// A database of this example's own, made anew and dropped at the end. The connection stands in it.
class Database {
 public:
  Database(client::Options options, std::string name) : options_(std::move(options)), name_(std::move(name)) {
    options_.database.clear();
    with_retries([&] {
      auto connection = client::Connection::open(options_);
      connection.execute("DROP DATABASE IF EXISTS " + name_);
      connection.execute("CREATE DATABASE " + name_ + " PRECISION 'ms' KEEP 36500");
      return 0;
    });
  }
  ~Database() {
    try {
      with_retries([&] { return client::Connection::open(options_).execute("DROP DATABASE IF EXISTS " + name_); });
    } catch (const std::exception& error) {
      std::cerr << "the database " << name_ << " stays: " << error.what() << '\n';
    }
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[nodiscard]] client::Options options() const {
    auto inside = options_;
    inside.database = name_;
    return inside;
  }
  [[nodiscard]] client::Connection connect() const {
    return with_retries([&] { return client::Connection::open(options()); });
  }

 private:
  client::Options options_;
  std::string name_;
};

}  // namespace example
