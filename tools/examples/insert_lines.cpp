/// Schemaless insert: line protocol, OpenTSDB telnet and JSON, without a table made before.

#include "example.h"

using namespace example;
using penstock::wire::LineProtocol;

int main(int argc, char** argv) {
  return run(argc, argv, "inserts lines of three protocols and reads what they made", [](auto options) {
    const Database database(options, "penstock_example_lines");
    auto connection = database.connect();

    const auto lines = with_retries([&] {
      return connection.insert_schemaless(LineProtocol::line, "ms",
                                          "weather,station=north,height=12 temperature=21.5,wind=3i32 1700000000000\n"
                                          "weather,station=south,height=90 temperature=24.5,wind=5i32 1700000000000\n"
                                          "weather,station=south,height=90 temperature=25.0 1700000060000\n");
    });
    std::cout << "line protocol: " << lines.affected_rows << " rows\n";
    with_retries([&] {
      return connection.insert_schemaless(LineProtocol::telnet, "",
                                          "load 1700000000 0.75 host=a core=0\nload 1700000000 0.5 host=a core=1\n");
    });
    with_retries([&] {
      return connection.insert_schemaless(
          LineProtocol::json, "",
          R"([{"metric":"flow","timestamp":1700000000,"value":17.5,"tags":{"pipe":"p1","diameter":80}}])");
    });
    // A tag whose value becomes the name of the child table, and rows that the server drops after ten days.
    with_retries([&] {
      return connection.insert_schemaless(LineProtocol::line, "s", "pump,device=pump_7 running=true 1700000000", 10,
                                          "device");
    });

    const auto one = [&](const std::string& sql) { return first_cell(connection, sql); };
    check("stations", one("SELECT COUNT(*) FROM weather WHERE station = 'south'"), "2");
    check("a field that a line lacks", one("SELECT wind FROM weather WHERE temperature = 25.0"), "NULL");
    check("telnet", one("SELECT SUM(_value) FROM load"), "1.25");
    check("JSON", one("SELECT _value FROM flow"), "17.5");
    check("the table that a tag names", one("SELECT running FROM pump_7"), "true");

    // A line that cannot be read is refused with its place; the other lines of the call are not written either.
    try {
      connection.insert_schemaless(LineProtocol::line, "ms", "weather,station=east temperature=warm 1700000000000");
      fail("a bad line was taken");
    } catch (const client::SchemalessError& error) {
      std::cout << "as it should be: " << error.what() << '\n';
    }
  });
}
