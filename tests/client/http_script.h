#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "client/scripted_server.h"

/// The server's end of REST, for scripts.
namespace penstock::client {

struct HttpRequest {
  std::string method, path;
  std::map<std::string, std::string> query;  // still encoded
  std::string head, body;

  [[nodiscard]] std::string header(const std::string& name) const {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

// The path of a request's target, and what follows it, still encoded.
inline std::pair<std::string, std::map<std::string, std::string>> split_target(const std::string& target) {
  std::map<std::string, std::string> query;
  const auto mark = std::min(target.find('?'), target.size());
  for (std::size_t at = mark + 1; at < target.size();) {
    const auto end = std::min(target.find('&', at), target.size());
    const auto option = target.substr(at, end - at);
    const auto equals = std::min(option.find('='), option.size());
    query[option.substr(0, equals)] = option.substr(std::min(equals + 1, option.size()));
    at = end + 1;
  }
  return {target.substr(0, mark), query};
}

inline HttpRequest take(Peer& peer) {
  HttpRequest request;
  request.head = peer.read_head();
  request.body = peer.read_body();
  const auto space = request.head.find(' ');
  request.method = request.head.substr(0, space);
  std::tie(request.path, request.query) =
      split_target(request.head.substr(space + 1, request.head.find(' ', space + 1) - space - 1));
  return request;
}

inline constexpr std::string_view kJson = "application/json; charset=utf-8";

/// `more`: further header lines, each with its end.
inline void reply(Peer& peer, int status, std::string_view body, std::string_view type = kJson,
                  std::string_view more = {}) {
  peer.write(fmt::format("HTTP/1.1 {} Some Reason\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\r\n{}", status, type,
                         body.size(), more, body));
}

inline void reply_chunked(Peer& peer, std::string_view body, std::size_t piece = 7) {
  std::string out = fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", kJson);
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size())))
    out += fmt::format("{:x}\r\n{}\r\n", std::min(piece, body.size()), body.substr(0, piece));
  peer.write(out + "0\r\n\r\n");
}

inline std::string result(std::string_view meta, std::string_view data, std::size_t rows) {
  return fmt::format(R"({{"code":0,"column_meta":[{}],"data":[{}],"rows":{}}})", meta, data, rows);
}

// Answers what a connection asks when it is made; true when it was that.
inline bool answer_login(Peer& peer, const HttpRequest& request) {
  if (request.body == "select server_version()") {
    reply_chunked(peer, result(R"x(["server_version()","VARCHAR",7])x", R"(["3.3.7.5"])", 1));
    return true;
  }
  if (request.body == "select database()") {
    constexpr std::string_view kPath = "/rest/sql/";
    const bool known = request.path.starts_with(kPath) && request.path.find("nope") == std::string::npos;
    reply(peer, 200,
          result(R"x(["database()","VARCHAR",8])x",
                 known ? fmt::format("[\"{}\"]", request.path.substr(kPath.size())) : "[null]", 1));
    return true;
  }
  return false;
}

inline std::string rest_dsn(const ScriptedServer& server, const std::string& rest = {}) {
  return "http://" + server.endpoint() + rest;
}

#define EXPECT_NO_FAILURES(server) EXPECT_EQ((server).failures(), std::vector<std::string>{})

}  // namespace penstock::client
