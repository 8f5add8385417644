// The blocks of a `.tmk` file: framing, checksum, compression. FORMAT.md, section 2, is the
// specification.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark {

inline constexpr std::size_t k_block_header_size = 48;
inline constexpr std::size_t k_file_header_size = 16;
inline constexpr std::string_view k_end = "end";
inline constexpr std::string_view k_live = "live";
inline constexpr std::string_view k_index = "index";

/// A block as its header describes it.
struct Block {
  std::string type;
  std::uint64_t rows = 0;
  std::uint64_t raw = 0;     // bytes of the payload
  std::uint64_t stored = 0;  // bytes in the file
  std::size_t begin = 0;     // of the stored bytes in the file
  [[nodiscard]] std::size_t end() const { return begin + static_cast<std::size_t>(stored); }
};

/// The 16 bytes that every file begins with.
[[nodiscard]] std::string file_header();

/// Throws InputError when `bytes` do not begin with a file header that this version reads.
void require_file_header(std::string_view bytes);

/// How hard the payload is compressed: a file is kept, a stream is there until the run ends.
/// Levels of zstd; the second takes a fifth of the time of the first for a third more bytes.
inline constexpr int k_level_of_files = 3;
inline constexpr int k_level_of_streams = -7;

void put_block(std::string& out, std::string_view type, std::uint64_t rows,
               std::string_view payload, int level = k_level_of_files);

/// The block whose header is at `at`; false when the file ends before the block does. Reads the
/// header only.
[[nodiscard]] bool find_block(std::string_view bytes, std::size_t at, Block& block);

/// The checksum holds.
[[nodiscard]] bool is_intact(std::string_view bytes, const Block& block);

/// The payload of a block; throws InputError when the checksum or a size is wrong.
[[nodiscard]] std::string payload_of(std::string_view bytes, const Block& block);

}  // namespace tidemark
