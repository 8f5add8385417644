#include "traces/blocks.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <memory>
#include <stdexcept>

#include "traces/binary.h"
#include "traces/error.h"

namespace tidemark {
namespace {

// Block header, 48 bytes, little-endian: type[16] | rows u64 | raw u64 | stored u64 | reserved u32
// | crc u32. The type is the name of the table, padded with zeros. The checksum covers the header
// before it and the stored bytes, so that a damaged header is not taken for another block.
constexpr std::size_t k_type_size = 16;
constexpr std::size_t k_crc_at = 44;
constexpr std::uint32_t k_byte_order = 0x01020304;
// Far above what a writer makes of k_events_per_block rows: what claims more is a lie.
constexpr std::uint64_t k_largest_block = std::uint64_t{1} << 28;
constexpr std::uint64_t k_most_rows = std::uint64_t{1} << 20;

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

template <class T>
T get(std::string_view in, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(in[at + i])) << (8 * i);
  }
  return static_cast<T>(value);
}

std::uint32_t crc_of(std::string_view header, std::string_view stored) {
  uLong crc = crc32_z(0, nullptr, 0);
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(header.data()), header.size());
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(stored.data()), stored.size());
  return static_cast<std::uint32_t>(crc);
}

}  // namespace

std::string file_header() {
  std::string out(k_magic);
  put<std::uint16_t>(out, k_major_version);
  put<std::uint16_t>(out, k_minor_version);
  put<std::uint32_t>(out, k_byte_order);
  return out;
}

void require_file_header(std::string_view bytes) {
  if (bytes.size() < k_file_header_size) {
    throw InputError(InputError::Parts{.place = "byte 0",
                                       .expected = "a trace header of 16 bytes",
                                       .found = fmt::format("{} bytes", bytes.size())});
  }
  if (get<std::uint32_t>(bytes, 12) != k_byte_order) {
    throw InputError(InputError::Parts{.place = "byte 12",
                                       .expected = "the byte order mark 04 03 02 01",
                                       .found = "another; the header is damaged"});
  }
  const auto major = get<std::uint16_t>(bytes, 8);
  if (major != k_major_version) {
    throw InputError(
        InputError::Parts{.place = "byte 8",
                          .expected = fmt::format("format version {}", k_major_version),
                          .found = fmt::format("version {}; a newer tidemark may read it", major)});
  }
}

void put_block(std::string& out, std::string_view type, std::uint64_t rows,
               std::string_view payload, int level) {
  std::string stored(ZSTD_compressBound(payload.size()), '\0');
  // Kept from block to block: a stream makes small ones.
  thread_local const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                                  &ZSTD_freeCCtx);
  const std::size_t size = ZSTD_compressCCtx(context.get(), stored.data(), stored.size(),
                                             payload.data(), payload.size(), level);
  if (ZSTD_isError(size) != 0U) throw std::runtime_error(ZSTD_getErrorName(size));
  stored.resize(size);
  std::string header(type);
  header.resize(k_type_size, '\0');
  put<std::uint64_t>(header, rows);
  put<std::uint64_t>(header, payload.size());
  put<std::uint64_t>(header, stored.size());
  put<std::uint32_t>(header, 0);
  put<std::uint32_t>(header, crc_of(header, stored));
  out += header;
  out += stored;
}

bool find_block(std::string_view bytes, std::size_t at, Block& block) {
  if (at > bytes.size() || bytes.size() - at < k_block_header_size) return false;
  block.type = std::string(bytes.substr(at, k_type_size)).c_str();
  block.rows = get<std::uint64_t>(bytes, at + 16);
  block.raw = get<std::uint64_t>(bytes, at + 24);
  block.stored = get<std::uint64_t>(bytes, at + 32);
  block.begin = at + k_block_header_size;
  return block.stored <= bytes.size() - block.begin;
}

bool is_intact(std::string_view bytes, const Block& block) {
  const std::string_view header =
      bytes.substr(block.begin - k_block_header_size, k_block_header_size);
  return get<std::uint32_t>(header, k_crc_at) ==
         crc_of(header.substr(0, k_crc_at), bytes.substr(block.begin, block.stored));
}

std::string payload_of(std::string_view bytes, const Block& block) {
  if (!is_intact(bytes, block)) throw InputError("checksum");
  const std::string_view stored = bytes.substr(block.begin, block.stored);
  if (block.raw > k_largest_block || block.rows > k_most_rows) throw InputError("size");
  // zstd cannot expand beyond this ratio; a larger claim is a lie and is not allocated.
  constexpr std::uint64_t k_largest_ratio = 1 << 17;
  if (block.raw / k_largest_ratio > block.stored) throw InputError("size");
  std::string payload(block.raw, '\0');
  const std::size_t size =
      ZSTD_decompress(payload.data(), payload.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0U || size != block.raw) throw InputError("compression");
  if (block.rows > block.raw) throw InputError("row count");
  return payload;
}

}  // namespace tidemark
