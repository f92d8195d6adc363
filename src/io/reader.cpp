#include "io/reader.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "io/detail/byte_source.h"
#include "io/detail/mapping.h"
#include "io/detail/readers.h"

namespace penstock::io {
namespace detail {

std::size_t skip_byte_order_mark(std::string_view first, const std::string& name) {
  const auto refuse = [&](const char* encoding) {
    throw Error(Errc::io, "cannot read '" + printable(name, 400) + "': it is " + encoding +
                              " text; convert it: iconv -f " + encoding + " -t UTF-8 FILE | penstock load -");
  };
  using namespace std::string_view_literals;
  if (first.starts_with("\xef\xbb\xbf"sv)) return 3;
  if (first.starts_with("\xff\xfe\0\0"sv) || first.starts_with("\0\0\xfe\xff"sv)) refuse("UTF-32");
  if (first.starts_with("\xff\xfe"sv) || first.starts_with("\xfe\xff"sv)) refuse("UTF-16");
  return 0;
}

}  // namespace detail

const char* to_string(Compression compression) noexcept {
  switch (compression) {
    case Compression::zstd: return "zstd";
    case Compression::gzip: return "gzip";
    case Compression::lz4: return "lz4";
    case Compression::none: break;
  }
  return "none";
}

std::unique_ptr<Reader> Reader::open(const Input& input, const ReadOptions& options) {
  auto file = std::make_shared<detail::RawFile>(input);
  if (options.use_mmap && file->regular() && !input.standard_input && file->size() > 0) {
    char first[8];
    std::size_t got = 0;
    if (file->read_at(0, first, sizeof first, got) &&
        detail::guess_compression({first, got}, file->name()) == Compression::none) {
      try {
        return detail::make_mapped_reader(file, options);
      } catch (const Error& why) {
        log(LogLevel::info, std::string(why.what()) + " (done)");
      }
    }
  }
  return detail::make_stream_reader(std::move(file), options);
}

bool damaged(const Chunk& chunk) noexcept { return detail::Mapping::damaged_at(chunk.text.data()); }

Chunk for_one_pass(Chunk& chunk) {
  auto [bytes, begin] = std::exchange(chunk.read, {});
  if (bytes == nullptr) {
    bytes = detail::Mapping::read_unseen(chunk.text);
    begin = chunk.text.data();
  }
  Chunk pass = chunk;
  if (bytes != nullptr) {
    pass.text = {bytes.get() + (chunk.text.data() - begin), chunk.text.size()};
    pass.owner = std::move(bytes);
  }
  return pass;
}

}  // namespace penstock::io
