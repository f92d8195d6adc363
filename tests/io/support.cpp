#include "io/support.h"

#include <lz4frame.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "base/error.h"

namespace penstock::io::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "penstock-io-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  root_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

std::string TemporaryDirectory::path(std::string_view name) const { return (root_ / name).string(); }

std::string TemporaryDirectory::write(std::string_view name, std::string_view text) const {
  const std::filesystem::path file = root_ / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  return file.string();
}

Input input_of(const std::string& path) { return {path, path, false, 0}; }

std::string zstd(std::string_view text, bool checksum) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return out;
}

std::string lz4(std::string_view text) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  preferences.frameInfo.blockChecksumFlag = LZ4F_blockChecksumEnabled;
  std::string out(LZ4F_compressFrameBound(text.size(), &preferences), '\0');
  out.resize(LZ4F_compressFrame(out.data(), out.size(), text.data(), text.size(), &preferences));
  return out;
}

std::string Outcome::text() const {
  std::string all;
  for (const Piece& piece : chunks) all += piece.text;
  return all;
}

Outcome read_all(Reader& reader) {
  Outcome outcome;
  try {
    Chunk chunk;
    while (reader.next(chunk, {})) {
      // Reading the padding must be legal: ASan or the kernel would object.
      unsigned sum = 0;
      for (std::size_t i = 0; i < kPadding; ++i) {
        sum += static_cast<unsigned char>(*(chunk.text.data() + chunk.text.size() + i));
      }
      outcome.chunks.push_back({std::string(chunk.text), chunk.offset, chunk.oversized, chunk.oversized_end,
                                chunk.broken_quote || sum > 1'000'000});
    }
  } catch (const Error& error) {
    outcome.error = error.what();
    if (error.code() != Errc::io) outcome.error += " (wrong kind of error)";
  }
  return outcome;
}

Outcome read_all(const std::string& path, const ReadOptions& options) {
  try {
    const auto reader = Reader::open(input_of(path), options);
    return read_all(*reader);
  } catch (const Error& error) {
    return {{}, error.what()};
  }
}

std::string numbered_lines(std::size_t bytes) {
  std::string text;
  std::size_t line = 0;
  while (text.size() < bytes) {
    text += "cpu,host=h" + std::to_string(line % 97) + " usage=" + std::to_string(line * 7919 % 10007) + "i " +
            std::to_string(1'700'000'000 + line) + "\n";
    ++line;
  }
  return text;
}

std::string tricky_csv(std::mt19937& random, std::size_t rows) {
  const std::string_view fields[] = {
      "plain",    "",         "\"quoted\"", "\"with, comma\"", "\"two\nlines\"",     "5\" x", "\"a \"\"b\"\"\"", "\"\"",
      "\"x\"y\"", "\"\n\n\"", "12.5",       "\"\r\n\"",        "\"long \n, \"\"\n\""};
  std::string text;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t count = random() % 6 + 1;
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) text += ',';
      text += fields[random() % std::size(fields)];
    }
    text += random() % 3 == 0 ? "\r\n" : "\n";
  }
  return text;
}

}  // namespace penstock::io::test
