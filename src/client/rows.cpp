#include <fmt/format.h>

#include <utility>

#include "client/connection.h"
#include "client/detail/session.h"

namespace penstock::client {
namespace detail {

std::unique_ptr<ResultState> make_result(const std::shared_ptr<Session>& session, JsonAnswer&& answer) {
  auto result = std::make_unique<ResultState>();
  result->session = session;
  result->epoch = session->epoch();
  result->id = answer.id;
  result->affected_rows = answer.affected;
  result->precision = answer.precision == 1   ? data::Precision::microseconds
                      : answer.precision == 2 ? data::Precision::nanoseconds
                                              : data::Precision::milliseconds;
  result->finished = answer.field_count <= 0;
  const auto at = [](const std::vector<std::int32_t>& values, std::size_t i) {
    return i < values.size() ? values[i] : 0;
  };
  for (std::size_t i = 0; i < answer.names.size() && answer.field_count > 0; ++i)
    result->fields.push_back({std::move(answer.names[i]), static_cast<data::Type>(at(answer.types, i)),
                              at(answer.lengths, i), static_cast<std::uint8_t>(at(answer.precisions, i)),
                              static_cast<std::uint8_t>(at(answer.scales, i))});
  return result;
}

ResultState::~ResultState() {
  if (finished || !session || !session->is_open() || session->epoch() != epoch) return;
  try {
    session->send_and_forget("free_result", fmt::format("\"id\":{}", id), false);
  } catch (const Error&) {
    // The connection is gone, and with it the result.
  }
}

namespace {

// The older way: fetch moves to the next block, fetch_block brings it.
void fetch_in_two_steps(ResultState& result) {
  Session& session = *result.session;
  const auto head = session.require(session.send_json("fetch", fmt::format("\"id\":{}", result.id)));
  if (head.json.completed) {
    result.finished = true;
    return;
  }
  result.reply = session.require(session.send_fetch_block(result.id));
}

void fetch(ResultState& result) {
  Session& session = *result.session;
  if (!session.has_binary_query()) return fetch_in_two_steps(result);
  const auto ticket = session.next_ticket();
  const auto request = wire::encode_fetch(ticket, result.id);
  const std::string_view part = request;
  session.send(ticket, "fetch_raw_block", MessageKind::binary, {&part, 1});
  result.reply = session.wait(ticket);
  result.finished = result.reply.json.completed || result.reply.json.code != 0;
  session.require(result.reply.json);
}

}  // namespace
}  // namespace detail

Rows::Rows(std::unique_ptr<detail::ResultState> state) : state_(std::move(state)) {}
Rows::Rows(Rows&&) noexcept = default;
Rows& Rows::operator=(Rows&&) noexcept = default;
Rows::~Rows() = default;

const std::vector<Field>& Rows::fields() const noexcept { return state_->fields; }
data::Precision Rows::precision() const noexcept { return state_->precision; }
std::int64_t Rows::affected_rows() const noexcept { return state_->affected_rows; }

bool Rows::next_block() {
  auto& result = *state_;
  result.block.reset();
  result.row = 0;
  while (!result.finished) {
    if (!result.session->is_open() || result.session->epoch() != result.epoch)
      throw ResultError(Errc::unreachable, "the result was lost with its connection; run the query again",
                        Place{result.session->endpoint(), "fetch", 0});
    detail::fetch(result);
    if (result.finished) break;
    result.block = wire::Block::decode(result.reply.block);
    if (result.block->columns() != result.fields.size())
      throw ResultError(Errc::protocol,
                        fmt::format("{} sent a block of {} columns for a result of {}", result.session->endpoint(),
                                    result.block->columns(), result.fields.size()),
                        Place{result.session->endpoint(), "fetch", 0});
    if (result.block->rows() > 0) return true;
  }
  return false;
}

const wire::Block& Rows::block() const { return state_->block.value(); }

bool Rows::next() {
  auto& result = *state_;
  if (!result.block || result.row >= result.block->rows()) {
    if (!next_block()) return false;
  }
  ++result.row;
  return true;
}

bool Rows::is_null(std::size_t column) const {
  const auto& block = state_->block.value();
  const auto c = static_cast<std::uint32_t>(column);
  if (block.is_null(state_->row - 1, c)) return true;
  // A JSON tag that was never set may come as this text.
  return block.type(c) == data::Type::json && block.bytes(state_->row - 1, c) == "null";
}

std::uint64_t Rows::integer(std::size_t column) const {
  return state_->block.value().integer(state_->row - 1, static_cast<std::uint32_t>(column));
}

double Rows::real(std::size_t column) const {
  return state_->block.value().real(state_->row - 1, static_cast<std::uint32_t>(column));
}

std::string Rows::text(std::size_t column) const {
  return is_null(column) ? std::string()
                         : state_->block.value().text(state_->row - 1, static_cast<std::uint32_t>(column));
}

}  // namespace penstock::client
