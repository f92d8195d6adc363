#include "client/detail/native_tmq_link.h"

#include <fmt/format.h>

#include <array>

#include "base/text.h"
#include "wire/errors.h"

namespace penstock::client::detail {
namespace {

constexpr std::int32_t kFailed = 0x0110;
constexpr auto kClosing = std::chrono::milliseconds(500);

// Properties that say where and as whom, and what is given besides the plan's.
std::vector<std::pair<std::string, std::string>> settings_of(const Endpoint& endpoint, const ConsumerPlan& plan) {
  const auto& options = plan.options;
  std::vector<std::pair<std::string, std::string>> out{{"td.connect.ip", endpoint.host},
                                                       {"td.connect.port", std::to_string(endpoint.port)},
                                                       {"td.connect.user", options.user},
                                                       {"td.connect.pass", options.password}};
  if (!options.database.empty()) out.emplace_back("td.connect.db", options.database);
  out.emplace_back("enable.auto.commit", plan.auto_commit ? "true" : "false");
  out.emplace_back("auto.commit.interval.ms", std::to_string(plan.commit_interval.count()));
  for (const auto& [property, value] : plan.properties)
    if (property != "enable.auto.commit" && property != "auto.commit.interval.ms") out.emplace_back(property, value);
  return out;
}

}  // namespace

NativeTmq::~NativeTmq() { close(); }

std::int32_t NativeTmq::close() {
  if (tmq == nullptr) return 0;
  for (auto* const message : messages) library.free_result(message);
  messages.clear();
  return library.tmq_close(std::exchange(tmq, nullptr));
}

NativeTmqLink::~NativeTmqLink() {
  worker_.post([tmq = std::move(tmq_)]() mutable { tmq.reset(); });
  worker_.finish(kClosing);
}

void NativeTmqLink::open(const Endpoint& endpoint, const ConsumerPlan& plan, std::chrono::milliseconds patience) {
  endpoint_ = endpoint.text();
  struct Conf {
    const NativeLibrary& library;
    native::TmqConf* conf;
    ~Conf() { library.tmq_conf_destroy(conf); }
  };
  auto conf = std::make_shared<Conf>(Conf{library_, nullptr});
  conf->conf = library_.tmq_conf_new();
  for (const auto& [property, value] : settings_of(endpoint, plan)) {
    const int taken = library_.tmq_conf_set(conf->conf, property.c_str(), value.c_str());
    // Without it each change of a table is a message of its own.
    if (taken == native::conf_ok || (taken == native::conf_unknown && property == "msg.enable.batchmeta")) continue;
    const bool secret = property == "td.connect.pass";
    throw TmqError(Errc::config,
                   fmt::format("TDengine's client library {} {} the property {} of a consumer{}", library_.version(),
                               taken == native::conf_unknown ? "does not know" : "does not take the value of", property,
                               secret ? std::string() : fmt::format(": '{}'", printable(value))),
                   Place{endpoint_, "subscribe", 0});
  }
  struct Opened {
    std::shared_ptr<NativeTmq> tmq;
  };
  const auto call = std::make_shared<NativeCall<Opened>>();
  worker_.post([call, conf = std::move(conf)] {
    std::array<char, 512> text{};
    auto* const tmq = conf->library.tmq_consumer_new(conf->conf, text.data(), static_cast<int>(text.size()) - 1);
    NativeOutcome outcome;
    if (tmq == nullptr) {
      outcome = last_outcome(conf->library, kFailed);
      if (text[0] != '\0') outcome.text = text.data();
    }
    const std::scoped_lock lock(call->mutex);
    if (tmq != nullptr) call->out.tmq = std::make_shared<NativeTmq>(conf->library, tmq);
    call->outcome = std::move(outcome);
    call->done = true;
    call->changed.notify_all();
  });
  if (!wait(*call, std::chrono::steady_clock::now() + patience)) no_answer("subscribe", patience);
  require(call->outcome, "conn");
  tmq_ = std::move(call->out.tmq);
}

void NativeTmqLink::post(std::function<void(NativeTmq&)> work) noexcept {
  if (tmq_) worker_.post([tmq = tmq_, work = std::move(work)] { work(*tmq); });
}

void NativeTmqLink::require(const NativeOutcome& outcome, std::string_view action) {
  if (outcome.code == 0) return;
  const Place place{endpoint_, std::string(action), 0};
  if (wire::classify(outcome.code, outcome.text) == wire::ErrorClass::reconnect) {
    // Whether the library has moved on behind a message is not known: what was not committed must come again.
    lost_ = true;
    throw ConnectionError(
        Errc::unreachable,
        fmt::format("TDengine at {} cannot be reached for '{}' of a consumer: {} (0x{:04X})", endpoint_, action,
                    printable(wire::error_text(outcome.code, outcome.text), 300), static_cast<unsigned>(outcome.code)),
        place, outcome.code, outcome.text);
  }
  // The server knows this consumer no more: the next call joins the group anew.
  if (outcome.code == 0x4001 || outcome.code == 0x4002 || outcome.code == 0x4017 || outcome.code == 0x03E6)
    lost_ = true;
  throw_tmq_error(outcome.code, outcome.text, place);
}

void NativeTmqLink::no_answer(std::string_view action, std::chrono::milliseconds patience) {
  lost_ = true;  // the thread hangs in the library
  const Place place{endpoint_, std::string(action), 0};
  if (options_.stop.stop_requested())
    throw ConnectionError(Errc::stopped, fmt::format("stopped while {} had not answered '{}' yet", endpoint_, action),
                          place);
  throw ConnectionError(Errc::timeout,
                        fmt::format("{} did not answer '{}' within {:g} s", endpoint_, action,
                                    std::chrono::duration<double>(patience).count()),
                        place);
}

}  // namespace penstock::client::detail
