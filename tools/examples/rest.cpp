/// The REST interface: for programs that may not keep a connection. Host and credentials come from the DSN, whatever
/// its scheme.

#include "example.h"

using namespace example;

int main(int argc, char** argv) {
  return run(argc, argv, "writes and reads over REST", [](auto options) {
    if (options.transport == client::Transport::native) {
      for (auto& endpoint : options.endpoints) endpoint.port = 6041;  // of the adapter, not of the database
    }
    options.transport = client::Transport::rest;
    const Database database(options, "penstock_example_rest");
    // Each request is a session of its own: the database of the options goes with every one of them.
    auto connection = database.connect();
    std::cout << "TDengine " << connection.server_version() << " at " << connection.endpoint() << '\n';
    with_retries([&] {
      return connection.execute("CREATE STABLE IF NOT EXISTS w (ts TIMESTAMP, t DOUBLE) TAGS (place NCHAR(20))");
    });
    check("rows written", with_retries([&] {
            return connection.execute(
                "INSERT INTO w1 USING w TAGS ('Köln') VALUES (1700000000000, 1.5) (1700000001000, NULL)");
          }),
          2);
    const auto seen = with_retries([&] {
      std::string text;
      auto rows = connection.query("SELECT ts, t, place FROM w ORDER BY ts", 42);  // marked so in the server's logs
      for (const auto row : rows) text += row->display(0) + " " + row->display(1) + " " + row->display(2) + "\n";
      return text;
    });
    std::cout << seen;
    check("rows", seen, "2023-11-14T22:13:20.000Z 1.5 Köln\n2023-11-14T22:13:21.000Z NULL Köln\n");

    with_retries([&] {
      return connection.insert_schemaless(wire::LineProtocol::line, "s", "rain,place=Bonn mm=0.5 1700000000");
    });
    check("a line over the InfluxDB interface", first_cell(connection, "SELECT mm FROM rain"), "0.5");

    try {
      connection.prepare("INSERT INTO w1 VALUES (?, ?)");
      fail("a statement was made over REST");
    } catch (const client::InterfaceError& error) {
      std::cout << "as it should be: " << error.what() << '\n';
    }
  });
}
