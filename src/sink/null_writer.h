#pragma once

#include <memory>
#include <vector>

#include "sink/request.h"
#include "sink/writer.h"

namespace penstock::sink {

/// `--to null:`: does everything up to the finished, masked WebSocket frame and discards it at the socket.
class NullWriter : public Writer {
 public:
  NullWriter(WriteOptions options, WriteObserver& observer) : options_(options), observer_(observer) {}
  void write(Window& window) override;

 private:
  void mask(const wire::Stmt2Encoder::Parts& parts);
  WriteOptions options_;
  WriteObserver& observer_;
  wire::Stmt2Encoder encoder_;
  std::vector<char> frame_ = std::vector<char>(64 * 1024);
};

}  // namespace penstock::sink
