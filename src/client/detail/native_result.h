#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/detail/native_handles.h"
#include "client/detail/session.h"

namespace penstock::client::detail {

class NativeSession;

/// What a query brought, read on the thread that ran it.
struct NativeAnswer {
  std::shared_ptr<NativeResultHandle> handle;  ///< null: no rows
  std::vector<Field> fields;
  data::Precision precision = data::Precision::milliseconds;
  std::int64_t affected_rows = 0;
};

/// Takes over what a query returned (nullptr: it failed at once with `fallback`, unless the library says why).
/// `statement`: the result is its own.
NativeOutcome take_result(const std::shared_ptr<NativeConnection>& connection, native::Res* result,
                          const std::shared_ptr<NativeStatementHandle>& statement, std::int32_t fallback,
                          NativeAnswer& out);

/// The columns of a result; empty when the library does not tell them.
std::vector<Field> fields_of(const NativeLibrary& library, native::Res* result);
data::Precision precision_of(const NativeLibrary& library, native::Res* result);

/// The number of rows that a statement without a result stored or changed.
std::int64_t affected_rows(const NativeLibrary& library, native::Res* result);

/// A result of which blocks are fetched on the session's thread, where they lie in the library's memory.
class NativeResult final : public ResultState {
 public:
  NativeResult(std::shared_ptr<NativeSession> owner, NativeAnswer&& answer);
  ~NativeResult() override;
  std::string_view fetch() override;

 private:
  const std::shared_ptr<NativeSession> owner_;
  std::shared_ptr<NativeResultHandle> handle_;
  std::string copy_;  // of a statement's block, whose memory ends with the statement's next step
};

}  // namespace penstock::client::detail
