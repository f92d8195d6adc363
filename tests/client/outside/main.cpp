#include <penstock/client/client.h>

#include <iostream>

/// Usage: outside DSN. Inserts and reads; ends with 0 when that went well.
int main(int, char** argv) {
  try {
    auto connection = penstock::client::Connection::open(argv[1]);
    connection.execute("CREATE DATABASE IF NOT EXISTS outside KEEP 36500");
    connection.execute("CREATE TABLE IF NOT EXISTS outside.t (ts TIMESTAMP, v INT)");
    auto insert = connection.prepare("INSERT INTO outside.t VALUES (?, ?)");
    insert.bind_param({penstock::client::Timestamp{1'700'000'000'000}, std::int64_t{42}});
    insert.execute();
    auto rows = connection.query("SELECT v FROM outside.t");
    return rows.next() && rows.integer(0) == 42 ? 0 : 1;
  } catch (const penstock::client::ClientError& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
