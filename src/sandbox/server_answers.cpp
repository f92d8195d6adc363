#include "sandbox/server_answers.h"

namespace penstock::sandbox {

bool needs_answer(FaultRule::Kind kind) noexcept {
  return kind != FaultRule::Kind::drop && kind != FaultRule::Kind::silence && kind != FaultRule::Kind::refuse;
}

bool WsAnswers::send(Dialogue::Reply reply, const FaultRule* fault) {
  if (fault != nullptr) {
    switch (fault->kind) {
      case FaultRule::Kind::drop: socket_.shut_down(); return false;
      case FaultRule::Kind::silence: return true;
      case FaultRule::Kind::cut_off:
        stream_.send_half(reply.binary, reply.payload.append(reply.tail));
        socket_.shut_down();
        return false;
      case FaultRule::Kind::refuse: break;  // the answer is the refusal
      case FaultRule::Kind::delay:
        if (!faults_.wait(fault->wait)) return false;
        break;
      case FaultRule::Kind::wrong_request_id:
      case FaultRule::Kind::damage:
      case FaultRule::Kind::truncate:
        reply.payload = fault_spoil(fault->kind, reply.binary, reply.payload.append(reply.tail));
        reply.tail = {};
        break;
    }
  }
  return reply.binary ? stream_.send_binary(reply.payload, reply.tail) : stream_.send_text(reply.payload);
}

bool WsAnswers::answer(WsMessage message, const Handle& handle) {
  const auto fault = faults_.on_message(endpoint_, message.binary, message.payload);
  if (!fault) {
    auto reply = handle(std::move(message));
    return !reply || send(std::move(*reply), nullptr);
  }
  std::optional<Dialogue::Reply> refusal;
  if (fault->kind == FaultRule::Kind::refuse) {
    auto made = fault_refusal(*fault, message.binary, message.payload);
    refusal = Dialogue::Reply{made.binary, std::move(made.payload), {}};
  }
  const bool carried_out = fault->when == FaultRule::When::after || needs_answer(fault->kind);
  if (!carried_out) return send(std::move(refusal).value_or(Dialogue::Reply{}), &*fault);
  const auto id = fault_request_id(message.binary, message.payload);
  {
    // Before it is carried out: what answers out of turn may be quick.
    const std::lock_guard lock(mutex_);
    FaultRule rule = *fault;
    if (rule.kind == FaultRule::Kind::refuse) rule.kind = FaultRule::Kind::silence;  // the refusal comes from here
    later_.insert_or_assign(id, std::move(rule));
  }
  auto reply = handle(std::move(message));
  if (reply) {
    const std::lock_guard lock(mutex_);
    later_.erase(id);
  }
  if (refusal) reply = std::move(refusal);
  return !reply || send(std::move(*reply), &*fault);
}

void WsAnswers::send_later(const Dialogue::Reply& reply) {
  std::optional<FaultRule> fault;
  {
    const std::lock_guard lock(mutex_);
    if (!later_.empty()) {
      if (auto found = later_.extract(fault_answered_id(reply.payload))) fault = std::move(found.mapped());
    }
  }
  send(reply, fault ? &*fault : nullptr);
}

}  // namespace penstock::sandbox
