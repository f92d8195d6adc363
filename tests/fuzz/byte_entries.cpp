// Bytes from the network and from compressed files.

#include <lz4frame.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <thread>

#include "base/error.h"
#include "fuzz/entry.h"
#include "io/reader.h"
#include "sandbox/net.h"
#include "sandbox/ws_frames.h"
#include "wire/block.h"
#include "wire/messages.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"
#include "wire/tmq.h"

namespace penstock::fuzz {
namespace {

std::string gzip(std::string_view text) {
  z_stream stream{};
  FUZZ_PROMISE(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  FUZZ_PROMISE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string packed(std::string_view text, unsigned how) {
  std::string out;
  switch (how) {
    case 0:
      out.resize(ZSTD_compressBound(text.size()));
      out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
      return out;
    case 1: return gzip(text);
    default:
      out.resize(LZ4F_compressFrameBound(text.size(), nullptr));
      out.resize(LZ4F_compressFrame(out.data(), out.size(), text.data(), text.size(), nullptr));
      return out;
  }
}

// What a reader makes of a file with these bytes; an error after the text that came before it.
struct ReadBack {
  std::string text;
  std::string error;
};
ReadBack read(std::string_view bytes, io::ReadOptions options) {
  static const int file = memfd_create("fuzz", MFD_CLOEXEC);
  FUZZ_PROMISE(file >= 0 && ftruncate(file, 0) == 0);
  FUZZ_PROMISE(pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  ReadBack back;
  try {
    io::Input input;
    input.name = "fuzz";
    input.path = "/proc/self/fd/" + std::to_string(file);
    input.size = bytes.size();
    const auto reader = io::Reader::open(input, options);
    io::Chunk chunk;
    std::uint64_t seen = 0;
    while (reader->next(chunk, {})) {
      // All texts put together are the source; a byte order mark at its start may be left out.
      if (seen == 0 && chunk.offset == 3) seen = 3;
      FUZZ_PROMISE(chunk.offset == seen && !chunk.text.empty());
      seen += chunk.text.size();
      back.text += chunk.text;
    }
  } catch (const Error& error) {
    FUZZ_PROMISE(error.code() == Errc::io && error.what()[0] != '\0');
    back.error = error.what();
  }
  return back;
}

void look_at(const wire::BindRecord& record) {
  std::size_t bytes = 0;
  if (record.rows < 100'000)
    record.for_each([&](std::uint32_t, wire::CellState, std::string_view value) {
      for (const char c : value) bytes += static_cast<unsigned char>(c);
    });
  FUZZ_PROMISE(bytes <= record.buffer.size() * 255);
}

std::string described(const wire::Stmt2Bind& bind) {
  std::string text = std::to_string(bind.request_id) + " " + std::to_string(bind.statement_id) + "\n";
  for (const auto& table : bind.tables) {
    text += table.name;
    for (const auto& tag : table.tags) look_at(tag);
    for (const auto& column : table.columns) look_at(column);
    text += " " + std::to_string(table.tags.size()) + " " + std::to_string(table.columns.size()) + "\n";
  }
  return text;
}

}  // namespace

void reader(std::string_view input) {
  Steering steering(input);
  const auto how = steering.byte();
  io::ReadOptions options;
  options.chunk_bytes = std::size_t{1} + steering.byte();
  options.max_record = std::size_t{64} + steering.byte() * 16U;
  options.use_mmap = (how & 1) == 0;
  options.cutting.splitting = static_cast<io::Splitting>(how / 2 % 3);
  if ((how & 8) == 0) {
    // Any bytes: some are compressed data by accident, most of them damaged.
    const auto back = read(input, options);
    const bool plain = !input.starts_with("\x28\xb5\x2f\xfd") && !input.starts_with("\x1f\x8b") &&
                       !input.starts_with("\x04\x22\x4d\x18") && back.error.empty();
    const auto text = input.starts_with("\xef\xbb\xbf") ? input.substr(3) : input;
    if (plain && (input.size() < 4 || (input.substr(1, 3) != "\x2a\x4d\x18"))) FUZZ_SAME(back.text, std::string(text));
    return;
  }
  // Text that is packed, and then perhaps damaged: what comes out is its beginning.
  const auto damage = steering.byte();
  const auto where = steering.byte();
  const std::string text = "x" + std::string(input);  // no byte order mark, and not empty
  std::string bytes = packed(text, how / 16 % 3);
  if ((damage & 3) == 1) bytes.resize(bytes.size() * where / 256);
  if ((damage & 3) == 2) bytes[bytes.size() * where / 256] ^= static_cast<char>(1 << (damage / 4 % 8));
  if ((damage & 3) == 3) bytes += packed(text, how / 16 % 3);
  const auto back = read(bytes, options);
  if ((damage & 3) == 0) FUZZ_SAME(back.text + back.error, text);
  if ((damage & 3) == 3) FUZZ_SAME(back.text + back.error, text + text);
  // Cut off, and long enough to be recognised: an error, and nothing that was not there.
  if ((damage & 3) == 1 && bytes.size() >= 4) {
    FUZZ_PROMISE(!back.error.empty());
    FUZZ_PROMISE(text.starts_with(back.text));
  }
}

void wire(std::string_view input) {
  Steering steering(input);
  switch (steering.below(8)) {
    case 0:
      if (const auto bind = penstock::wire::decode_stmt2_bind(input); bind.has_value()) described(*bind);
      else FUZZ_PROMISE(!bind.error().message.empty());
      return;
    case 1:
      if (const auto bind = penstock::wire::decode_stmt2_bind_exec(input); bind.has_value()) {
        for (const auto& field : bind->fields) look_at(field);
      } else {
        FUZZ_PROMISE(!bind.error().message.empty());
      }
      return;
    case 2:
      try {
        const auto block = penstock::wire::Block::decode(input);
        if (block.columns() == 0 || std::uint64_t{block.rows()} * block.columns() > 10'000) return;
        for (std::uint32_t row = 0; row < block.rows(); ++row)
          for (std::uint32_t column = 0; column < block.columns(); ++column) {
            if (block.is_null(row, column)) FUZZ_PROMISE(block.text(row, column).empty());
            FUZZ_PROMISE(block.bytes(row, column).size() <= input.size());
          }
      } catch (const Error& error) {
        FUZZ_PROMISE(error.code() == Errc::protocol);
      }
      return;
    case 3:
      penstock::wire::read_request_header(input);
      if (input.size() >= penstock::wire::kRequestHeaderBytes) {
        if (const auto sql = penstock::wire::decode_query(input); sql.has_value())
          FUZZ_PROMISE(sql->data() >= input.data() && sql->data() + sql->size() <= input.data() + input.size());
        penstock::wire::check_fetch(input);
      }
      try {
        penstock::wire::is_fetch_answer(input);
        const auto answer = penstock::wire::decode_fetch_answer(input);
        FUZZ_PROMISE(answer.block.size() <= input.size());
      } catch (const Error& error) {
        FUZZ_PROMISE(error.code() == Errc::protocol);
      }
      try {
        penstock::wire::decode_fetch_block_answer(input);
      } catch (const Error& error) {
        FUZZ_PROMISE(error.code() == Errc::protocol);
      }
      return;
    case 4: {
      const auto bytes = penstock::wire::encode_query(7, input);
      const auto sql = penstock::wire::decode_query(bytes);
      if (!input.empty()) FUZZ_PROMISE(sql.has_value() && *sql == input);
      return;
    }
    case 5: {
      // UCS-4 and back.
      std::string ucs4;
      if (penstock::wire::append_ucs4(ucs4, input)) FUZZ_SAME(penstock::wire::utf8_from_ucs4(ucs4), std::string(input));
      else FUZZ_PROMISE(ucs4.empty());
      penstock::wire::utf8_from_ucs4(input.substr(0, input.size() / 4 * 4));
      return;
    }
    case 6: {
      std::string out;
      const auto bad = penstock::wire::encode_schemaless(out, {}, input);
      FUZZ_PROMISE(bad.has_value() == out.empty());
      if (bad) FUZZ_PROMISE(*bad < input.size());
      return;
    }
    default: {
      // What the encoder writes, the decoder reads.
      penstock::wire::Stmt2Encoder encoder;
      const auto tables = 1 + steering.below(3);
      const auto rows = 1 + steering.below(5);
      encoder.begin(1, 2);
      std::string expected;
      for (std::uint32_t t = 0; t < tables; ++t) {
        const std::string name = "t" + std::to_string(t);
        encoder.begin_table(name);
        const auto part = input.substr(0, std::min<std::size_t>(input.size(), 5));
        encoder.text_tag(data::Type::nchar, part);
        expected += name + "|" + std::string(part) + "|";
        const auto times = encoder.fixed_column(data::Type::timestamp, rows);
        for (std::uint32_t r = 0; r < rows; ++r) {
          times.state[r] = 0;
          penstock::wire::store(times.values + 8 * r, std::int64_t{r});
          expected += std::to_string(r);
        }
        const auto texts = encoder.variable_column(data::Type::varchar, rows, rows * part.size());
        for (std::uint32_t r = 0; r < rows; ++r) {
          texts.state[r] = 0;
          penstock::wire::store(texts.lengths + 4 * r, static_cast<std::int32_t>(part.size()));
          if (!part.empty()) std::memcpy(texts.data + r * part.size(), part.data(), part.size());
          expected += "|" + std::string(part);
        }
      }
      const auto message = encoder.join(1, 2);
      const auto bind = penstock::wire::decode_stmt2_bind(message);
      FUZZ_PROMISE(bind.has_value());
      std::string have;
      for (const auto& table : bind->tables) {
        have += std::string(table.name) + "|";
        table.tags[0].for_each(
            [&](std::uint32_t, penstock::wire::CellState, std::string_view v) { have += std::string(v) + "|"; });
        table.columns[0].for_each([&](std::uint32_t, penstock::wire::CellState, std::string_view v) {
          have += std::to_string(penstock::wire::load<std::int64_t>(v.data()));
        });
        table.columns[1].for_each(
            [&](std::uint32_t, penstock::wire::CellState, std::string_view v) { have += "|" + std::string(v); });
      }
      FUZZ_SAME(have, expected);
      return;
    }
  }
}

// Messages of subscriptions: what is read is written again as it was, and everything else is refused.
void tmq(std::string_view input) {
  Steering steering(input);
  const auto which = steering.below(4);
  const auto within = [&](std::string_view piece) {
    FUZZ_PROMISE(piece.empty() ||
                 (piece.data() >= input.data() && piece.data() + piece.size() <= input.data() + input.size()));
  };
  try {
    if (which == 0) {
      const auto answer = penstock::wire::decode_raw_data_answer(input);
      within(answer.message);
      within(answer.payload);
      const auto bytes = penstock::wire::encode_raw_data_answer(answer);
      const auto again = penstock::wire::decode_raw_data_answer(bytes);
      FUZZ_PROMISE(again.code == answer.code && again.type == answer.type && again.message_id == answer.message_id);
      FUZZ_SAME(std::string(again.payload), std::string(answer.payload));
      FUZZ_SAME(std::string(again.message), std::string(answer.message));
    } else if (which == 1) {
      const auto answer = penstock::wire::decode_raw_answer(input);
      within(answer.payload);
      const auto again = penstock::wire::encode_raw_answer(answer);
      FUZZ_SAME(again, std::string(input.substr(0, again.size())));
    } else if (which == 2) {
      FUZZ_SAME(penstock::wire::encode_message_block_answer(penstock::wire::decode_message_block_answer(input)),
                std::string(input));
    } else {
      const auto payload = penstock::wire::decode_data_payload(input);
      within(payload.head);
      within(payload.tail);
      for (std::size_t b = 0; b < payload.blocks.size(); ++b) {
        within(payload.blocks[b].block);
        within(payload.blocks[b].table);
        for (const auto& column : payload.columns_of(b)) within(column.name);
      }
      // Numbers may be written longer than they need, so the text may shrink; what it means stays.
      const auto bytes = penstock::wire::encode_data_payload(payload);
      const auto again = penstock::wire::decode_data_payload(bytes);
      FUZZ_PROMISE(again.blocks.size() == payload.blocks.size() && again.columns == payload.columns);
      FUZZ_SAME(std::string(again.tail), std::string(payload.tail));
      for (std::size_t b = 0; b < payload.blocks.size(); ++b) {
        FUZZ_SAME(std::string(again.blocks[b].block), std::string(payload.blocks[b].block));
        FUZZ_SAME(std::string(again.blocks[b].table), std::string(payload.blocks[b].table));
        FUZZ_PROMISE(again.blocks[b].rows == payload.blocks[b].rows);
      }
    }
  } catch (const Error& error) {
    FUZZ_PROMISE(error.code() == Errc::protocol && error.what()[0] != '\0');
  }
}

// A client that sends anything; in one piece or byte by byte it is the same to the server.
void websocket(std::string_view input) {
  Steering steering(input);
  const auto how = steering.byte();
  const auto run = [&](bool deflate, std::size_t step) {
    int ends[2];
    FUZZ_PROMISE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    std::string seen;
    {
      sandbox::Socket socket(ends[0]);
      std::thread client([&] {
        for (std::size_t at = 0; at < input.size(); at += step) {
          const auto part = input.substr(at, step);
          if (send(ends[1], part.data(), part.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(part.size())) break;
        }
        shutdown(ends[1], SHUT_WR);
        char sink[256];
        while (recv(ends[1], sink, sizeof sink, 0) > 0) {
        }
      });
      {
        sandbox::WsStream stream(socket, deflate, {});
        while (const auto message = stream.receive())
          seen += (message->binary ? "b" : "t") + std::to_string(message->payload.size()) + message->payload + "\n";
      }
      shutdown(ends[0], SHUT_RDWR);
      client.join();
    }
    close(ends[1]);
    return seen;
  };
  FUZZ_SAME(run(how & 1, input.size() + 1), run(how & 1, 1 + how / 2 % 7));
}

}  // namespace penstock::fuzz
