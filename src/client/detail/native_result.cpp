#include "client/detail/native_result.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "client/detail/native_session.h"
#include "wire/bytes.h"

namespace penstock::client::detail {
namespace {

constexpr std::size_t kBlockHead = 28;

struct Fetched {
  std::string_view block;
  std::string copy;
};

NativeOutcome fetch_block(const NativeResultHandle& handle, Fetched& out) {
  const auto& library = handle.connection->library;
  if (handle.statement && handle.statement->steps != handle.step)
    return {0xFFFF, "the result ended when its statement was bound or executed again: read it before"};
  int rows = 0;
  void* data = nullptr;
  const int code = library.fetch_raw_block(handle.result, &rows, &data);
  if (code != 0) return outcome_of(code, library.error_text(handle.result));
  if (rows <= 0 || data == nullptr) return {};
  const auto* const bytes = static_cast<const char*>(data);
  const auto length = wire::load<std::int32_t>(bytes + 4);
  if (length < static_cast<std::int32_t>(kBlockHead))
    return {0xFFFF, fmt::format("the client library returned a block of {} bytes", length)};
  out.block = {bytes, static_cast<std::size_t>(length)};
  if (handle.statement) out.copy = out.block;
  return {};
}

std::string name_of(const char (&name)[65]) { return std::string(name, ::strnlen(name, sizeof name)); }

}  // namespace

std::int64_t affected_rows(const NativeLibrary& library, native::Res* result) {
  return library.affected_rows64 != nullptr ? library.affected_rows64(result) : library.affected_rows(result);
}

std::vector<Field> fields_of(const NativeLibrary& library, native::Res* result) {
  std::vector<Field> out;
  const int count = library.field_count(result);
  const auto* const extended = library.fields_e == nullptr ? nullptr : library.fields_e(result);
  const auto* const plain = extended != nullptr ? nullptr : library.fields(result);
  if (extended == nullptr && plain == nullptr) return out;
  for (int i = 0; i < count; ++i) {
    if (extended == nullptr) {
      out.push_back({name_of(plain[i].name), static_cast<data::Type>(plain[i].type), plain[i].bytes, 0, 0});
      continue;
    }
    const auto& field = extended[i];
    const auto type = static_cast<data::Type>(field.type);
    const bool decimal =
        type == data::Type::decimal64 || type == data::Type::decimal128;  // for others it means nothing
    out.push_back({name_of(field.name), type, field.bytes, decimal ? field.precision : std::uint8_t{0},
                   decimal ? field.scale : std::uint8_t{0}});
  }
  return out;
}

data::Precision precision_of(const NativeLibrary& library, native::Res* result) {
  const int precision = library.result_precision(result);
  return precision == 1   ? data::Precision::microseconds
         : precision == 2 ? data::Precision::nanoseconds
                          : data::Precision::milliseconds;
}

NativeOutcome take_result(const std::shared_ptr<NativeConnection>& connection, native::Res* result,
                          const std::shared_ptr<NativeStatementHandle>& statement, std::int32_t fallback,
                          NativeAnswer& out) {
  const auto& library = connection->library;
  if (result == nullptr) return last_outcome(library, fallback);
  auto handle = std::make_shared<NativeResultHandle>(connection, result, statement);
  if (const int code = library.error_code(result); code != 0) return outcome_of(code, library.error_text(result));
  if (library.field_count(result) <= 0) {
    out.affected_rows = affected_rows(library, result);
    return {};
  }
  out.fields = fields_of(library, result);
  if (out.fields.empty()) return last_outcome(library, 0x0110);
  out.precision = precision_of(library, result);
  out.handle = std::move(handle);
  return {};
}

NativeResult::NativeResult(std::shared_ptr<NativeSession> owner, NativeAnswer&& answer)
    : owner_(std::move(owner)), handle_(std::move(answer.handle)) {
  session = owner_;
  epoch = owner_->epoch();
  fields = std::move(answer.fields);
  precision = answer.precision;
  affected_rows = answer.affected_rows;
}

NativeResult::~NativeResult() { owner_->release(std::move(handle_)); }

std::string_view NativeResult::fetch() {
  if (!handle_) return {};
  if (!owner_->is_open() || owner_->epoch() != epoch)
    throw ResultError(Errc::unreachable, "the result was lost with its connection; run the query again",
                      Place{owner_->endpoint(), "fetch", 0});
  std::shared_ptr<Fetched> fetched;
  try {
    fetched = owner_->call<Fetched>("fetch", [handle = handle_](Fetched& out) { return fetch_block(*handle, out); });
  } catch (...) {
    owner_->release(std::move(handle_));  // also an error ends the result
    throw;
  }
  if (fetched->block.empty()) {
    owner_->release(std::move(handle_));
    return {};
  }
  if (fetched->copy.empty()) return fetched->block;
  copy_ = std::move(fetched->copy);
  return copy_;
}

}  // namespace penstock::client::detail
