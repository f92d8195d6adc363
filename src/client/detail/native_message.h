#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/detail/consumer_backend.h"
#include "client/detail/native_tmq_link.h"

namespace penstock::client::detail {

/// A message in the library's memory. Its rows are copied when they are first asked for.
struct NativeMessage final : MessageState {
  NativeMessage(const std::shared_ptr<NativeTmqLink>& owner, native::Res* handle)
      : link(owner), result(handle), zone(owner->options().time_zone) {}
  ~NativeMessage() override;

  std::vector<Message::Block> blocks() override;
  std::string json() override;
  Message::Raw raw() override;
  /// Throws TmqError when the consumer is gone.
  [[nodiscard]] std::shared_ptr<NativeTmqLink> need_link(std::string_view action) const;

  const std::weak_ptr<NativeTmqLink> link;
  native::Res* const result;
  const std::string zone;

  /// A block with all that its Rows need.
  struct Part {
    std::string table;
    std::vector<Field> fields;
    data::Precision precision = data::Precision::milliseconds;
    std::shared_ptr<const std::string> bytes;
  };

 private:
  std::optional<std::vector<Part>> parts_;
};

}  // namespace penstock::client::detail
