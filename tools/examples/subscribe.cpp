/// Reads a topic: what is inserted arrives as messages, goes on after a stop at what was committed.

#include <map>

#include "example.h"

using namespace example;

int main(int argc, char** argv) {
  return run(argc, argv, "subscribes to a topic, reads, commits, goes on and seeks", [](auto options) {
    const auto streaming = with_statements(options);
    const std::string topic = "penstock_example_topic";
    with_retries([&] { return client::Connection::open(streaming).execute("DROP TOPIC IF EXISTS " + topic); });
    const Database database(streaming, "penstock_example_subscribe");
    auto connection = database.connect();
    with_retries([&] {
      connection.execute("CREATE STABLE IF NOT EXISTS meters (ts TIMESTAMP, v INT) TAGS (g INT)");
      connection.execute("CREATE TOPIC IF NOT EXISTS " + topic + " AS SELECT ts, v, g FROM meters WHERE v >= 0");
      return 0;
    });
    constexpr int kTables = 4;
    constexpr int kRows = 100;
    const auto insert = [&](int from) {
      for (int table = 0; table < kTables; ++table) {
        std::string sql =
            "INSERT INTO m" + std::to_string(table) + " USING meters TAGS (" + std::to_string(table) + ") VALUES";
        for (int row = from; row < from + kRows; ++row)
          sql += " (" + std::to_string(1'700'000'000'000 + row) + "," + std::to_string(row) + ")";
        with_retries([&] { return connection.execute(sql); });
      }
    };
    insert(0);

    const client::Consumer::Config config{{"group.id", "penstock_example_group"},
                                          {"client.id", "example"},
                                          {"auto.offset.reset", "earliest"},
                                          {"enable.auto.commit", "false"},
                                          {"msg.with.table.name", "true"}};
    // Rows by what they are: after a lost connection messages may come twice.
    std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> seen;
    const auto read = [&](client::Consumer& consumer, std::size_t until) {
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (seen.size() < until && std::chrono::steady_clock::now() < give_up) {
        with_retries([&] {
          auto message = consumer.poll(std::chrono::milliseconds(500));
          if (!message) return 0;
          for (auto& block : message->blocks()) {
            while (block.rows.next())
              seen[{static_cast<std::int64_t>(block.rows.integer(2)), block.rows.timestamp(0).ticks}] =
                  static_cast<std::int64_t>(block.rows.integer(1));
          }
          consumer.commit(*message);
          return 0;
        });
      }
    };
    const auto open = [&] {
      return with_retries([&] {
        auto consumer = client::Consumer::open(streaming, config);
        consumer.subscribe({topic});
        return consumer;
      });
    };
    {
      auto consumer = open();
      read(consumer, kTables * kRows);
      std::cout << seen.size() << " rows read\n";
      check("rows of the first part", seen.size(), std::size_t{kTables * kRows});
      for (const auto& place : consumer.assignment(topic))
        std::cout << "vgroup " << place.vgroup << ": at " << place.offset << " of " << place.begin << " to "
                  << place.end << '\n';
    }
    insert(kRows);
    {
      // Another member of the group goes on behind what was committed.
      seen.clear();
      auto consumer = open();
      read(consumer, kTables * kRows);
      std::int64_t least = kRows;
      for (const auto& [key, value] : seen) least = std::min(least, value);
      std::cout << seen.size() << " rows read after the commit, the first is " << least << '\n';
      check("rows of the second part", seen.size(), std::size_t{kTables * kRows});
      // Once more from the beginning.
      with_retries([&] {
        consumer.seek_to_beginning(topic);
        return 0;
      });
      seen.clear();
      read(consumer, 2 * kTables * kRows);
      check("rows from the beginning", seen.size(), std::size_t{2 * kTables * kRows});
      consumer.unsubscribe();
      consumer.close();
    }
    // A topic can be dropped when its last reader is gone, which the server notices after some seconds.
    with_retries([&] {
      try {
        return connection.execute("DROP TOPIC IF EXISTS " + topic);
      } catch (const client::ClientError&) {
        std::this_thread::sleep_for(std::chrono::seconds(2));
        return connection.execute("DROP TOPIC IF EXISTS " + topic);
      }
    });
  });
}
