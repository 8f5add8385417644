#include "traces/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace tidemark {
namespace {

constexpr int k_gzip_window_bits = 15 + 16;  // zlib.h, deflateInit2: 16 asks for a gzip header
constexpr int k_memory_level = 8;            // zlib's default

struct Deflate {
  z_stream stream{};
  Deflate() {
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, k_gzip_window_bits, k_memory_level,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::runtime_error("zlib: deflateInit2 failed");
    }
  }
  ~Deflate() { deflateEnd(&stream); }
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
};

}  // namespace

std::string gzip(const std::string& content) {
  Deflate deflate_;
  z_stream& z = deflate_.stream;
  std::string out;
  std::string chunk(1 << 18, '\0');
  std::size_t done = 0;
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    const std::size_t count =
        std::min<std::size_t>(content.size() - done, std::numeric_limits<uInt>::max() / 2);
    // zlib's pointer is not const, but deflate only reads.
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data() + done));
    z.avail_in = static_cast<uInt>(count);
    const bool is_last = done + count == content.size();
    do {
      z.next_out = reinterpret_cast<Bytef*>(chunk.data());
      z.avail_out = static_cast<uInt>(chunk.size());
      state = deflate(&z, is_last ? Z_FINISH : Z_NO_FLUSH);
      out.append(chunk, 0, chunk.size() - z.avail_out);
    } while (z.avail_out == 0);
    done += count;
  }
  return out;
}

}  // namespace tidemark
