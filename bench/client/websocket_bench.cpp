// Sending a request over a WebSocket of this host to a peer that throws it away: framing, masking, deflate and the two
// copies through the kernel. The peer works on a second processor; `cpu` is that of the sender.

#include <benchmark/benchmark.h>

#include <array>
#include <random>
#include <string>
#include <string_view>

#include "client/detail/websocket.h"
#include "client/discarding_peer.h"

namespace penstock::client::detail {
namespace {

/// As stmt2 messages are: integers of eight bytes, small and different, behind runs of equal bytes.
std::string message(std::size_t bytes) {
  std::string out;
  std::mt19937 random(1);
  while (out.size() < bytes) {
    out.append(100, '\0');
    for (int i = 0; i < 100; ++i) {
      out += static_cast<char>(random() % 100);
      out.append(7, '\0');
    }
  }
  out.resize(bytes);
  return out;
}

void BM_WebSocket_send(benchmark::State& state, bool deflate) {
  const auto size = static_cast<std::size_t>(state.range(0));
  const auto bytes = message(size);
  // In parts, as the encoder gives them.
  std::array<std::string_view, 7> parts;
  for (std::size_t i = 0, at = 0; i < parts.size(); ++i) {
    const auto length = i + 1 == parts.size() ? size - at : size / 100 * i;
    parts[i] = std::string_view(bytes).substr(at, length);
    at += length;
  }
  bench::DiscardingPeer peer(deflate);
  Options options;
  options.compression = deflate;
  const auto socket = WebSocket::connect(options, {"127.0.0.1", peer.port()}, "/ws");
  const auto send = [&] { socket->send(MessageKind::binary, parts, Clock::now() + std::chrono::seconds(60)); };
  send();
  if (peer.first_message() != bytes) return state.SkipWithError("the peer got another message");
  const auto before = peer.received();
  for (auto unused : state) send();
  const auto sent = state.iterations();
  socket->close();
  state.SetBytesProcessed(static_cast<std::int64_t>(sent * size));
  // Not all has come when the last send returns: a little less than the truth.
  state.counters["sent_share"] =
      static_cast<double>(peer.received() - before) / (static_cast<double>(sent) * static_cast<double>(size));
}

BENCHMARK_CAPTURE(BM_WebSocket_send, plain, false)->Arg(100'000)->Arg(2 << 20)->UseRealTime();
BENCHMARK_CAPTURE(BM_WebSocket_send, deflate, true)->Arg(100'000)->Arg(2 << 20)->UseRealTime();

}  // namespace
}  // namespace penstock::client::detail
