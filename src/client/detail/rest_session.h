#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time_zone.h"
#include "client/detail/http_client.h"
#include "client/detail/rest_answer.h"
#include "client/detail/session.h"

namespace penstock::client::detail {

/// REST: every request is a session of its own on the server. Requests are carried out when they are sent; wait() has
/// their answers at once. `USE name` makes later requests go to that database.
///
/// Schemaless inserts go to the endpoints of InfluxDB and OpenTSDB, which say nothing of rows: both counts of the
/// answer are 0.
class RestSession final : public Session {
 public:
  explicit RestSession(Options options);

  void close() noexcept override;
  [[nodiscard]] bool is_open() const noexcept override { return client_ != nullptr; }

  Ticket send_execute(std::string_view sql, RequestId request_id) override;
  std::unique_ptr<ResultState> query(std::string_view sql, RequestId request_id) override;
  std::string current_database() override;
  Ticket send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text, int ttl_days,
                         std::string_view table_name_key, RequestId request_id) override;
  Answer wait(Ticket ticket, std::chrono::milliseconds timeout) override;
  bool ready(Ticket ticket) override { return answers_.contains(ticket); }
  void poll() override { need_client("poll"); }

 private:
  void connect_to(const Endpoint& endpoint) override;
  void log_in();
  void check_database();
  [[nodiscard]] std::string authorization() const;
  Ticket next_ticket(RequestId wanted, std::string_view action);
  void need_client(std::string_view action) const;
  HttpResponse send(HttpClient::Request request, std::chrono::milliseconds timeout);
  // A result or a refusal; throws for what is neither.
  RestAnswer run(std::string_view sql, Ticket ticket, std::chrono::milliseconds timeout, std::string_view action);
  [[noreturn]] void explain(const HttpResponse& response, const std::string& text, const Place& place);
  void note_use(std::string_view sql);

  const std::shared_ptr<const TimeZone> zone_;
  std::unique_ptr<HttpClient> client_;
  std::string database_;
  std::string login_token_;  ///< of /rest/login
  Ticket last_ticket_ = 0;
  std::unordered_map<Ticket, Answer> answers_;
};

}  // namespace penstock::client::detail
