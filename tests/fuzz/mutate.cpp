// Driver of a fuzz target without libFuzzer: a bounded, deterministic run of mutations.
//   fuzz_trace_mutate ROUNDS FILE...     exit code 0 when nothing crashed
// Half of the mutants of a binary file get right checksums again, so that the damage reaches what
// lies behind them.
#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "traces/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

class Mutator {
 public:
  std::string operator()(std::string bytes) {
    for (std::size_t i = 1 + below(4); i > 0 && !bytes.empty(); --i) change(bytes);
    if (below(2) == 0) seal(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(engine_);
  }

  void change(std::string& bytes) {
    const std::size_t at = below(bytes.size());
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 2:
        bytes.erase(at, 1 + below(16));
        break;
      case 3:
        bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(64)));
        break;
      case 4:
        if (bytes[at] >= '0' && bytes[at] <= '9') bytes.insert(at, below(2) == 0 ? "-" : "99999");
        break;
      default:
        if (bytes[at] >= '0' && bytes[at] <= '9') bytes[at] = static_cast<char>('0' + below(10));
    }
  }

  /// Right checksums for all blocks of a binary file, as far as their sizes lead to the next.
  static void seal(std::string& bytes) {
    constexpr std::size_t k_crc_at = 44;
    constexpr std::size_t k_header_size = 48;
    for (std::size_t at = 16; bytes.size() - at >= k_header_size && at < bytes.size();) {
      std::uint64_t stored = 0;
      for (std::size_t i = 8; i-- > 0;) {
        stored = stored << 8 | static_cast<std::uint8_t>(bytes[at + 32 + i]);
      }
      if (stored > bytes.size() - at - k_header_size) return;
      const std::string covered =
          bytes.substr(at, k_crc_at) + bytes.substr(at + k_header_size, stored);
      const auto crc = static_cast<std::uint32_t>(crc32(
          0, reinterpret_cast<const Bytef*>(covered.data()), static_cast<uInt>(covered.size())));
      for (std::size_t i = 0; i < 4; ++i) {
        bytes[at + k_crc_at + i] = static_cast<char>(crc >> (8 * i));
      }
      at += k_header_size + stored;
    }
  }

  std::mt19937_64 engine_{20260801};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: fuzz_trace_mutate ROUNDS FILE...\n", stderr);
    return 2;
  }
  const long rounds = std::strtol(argv[1], nullptr, 10);
  Mutator mutate;
  for (int i = 2; i < argc; ++i) {
    const std::string text = tidemark::read_file(argv[i]);
    std::vector<std::string> corpus{text};
    if (text.starts_with('{') && text.find("\"program\"") != std::string::npos) {
      corpus.push_back(tidemark::to_binary(tidemark::from_bytes(text, argv[i])));
    }
    for (const std::string& seed : corpus) {
      for (long round = 0; round < rounds; ++round) {
        const std::string input = mutate(seed);
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
      }
    }
  }
  return 0;
}
