// The block container: round trips, versions, unknown blocks, many blocks.
#include "traces/binary.h"

#include <zlib.h>
#include <zstd.h>

#include "../catch.h"
#include "random_trace.h"
#include "traces/error.h"
#include "traces/fields.h"
#include "traces/file.h"
#include "traces/validate.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

/// A block as FORMAT.md describes it, made without the product's writer.
std::string block(std::string type, std::uint64_t rows, const std::string& payload) {
  std::string stored(ZSTD_compressBound(payload.size()), '\0');
  stored.resize(ZSTD_compress(stored.data(), stored.size(), payload.data(), payload.size(), 1));
  std::string out = type;
  out.resize(16, '\0');
  put<std::uint64_t>(out, rows);
  put<std::uint64_t>(out, payload.size());
  put<std::uint64_t>(out, stored.size());
  put<std::uint32_t>(out, 0);
  const std::string covered = out + stored;
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(covered.data()), static_cast<uInt>(covered.size()));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(crc));
  return out + stored;
}

const std::string k_file_header =
    std::string("\x89TMK\r\n\x1a\n", 8) + std::string("\x01\x00\x00\x00\x04\x03\x02\x01", 8);
const std::string k_no_columns(2, '\0');
const std::string k_end = block("end", 0, "");

}  // namespace

TEST_CASE("random traces come back equal from the binary form") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Trace trace = random_trace(seed);
    REQUIRE(index_fault(trace).empty());
    CAPTURE(seed);
    REQUIRE(from_bytes(to_binary(trace), "x") == trace);
  }
}

TEST_CASE("an empty trace and one with every table filled come back equal") {
  CHECK(from_bytes(to_binary(Trace{}), "x") == Trace{});
  const Trace full = full_trace();
  each_table(full, [](const char* name, const auto& table) {
    CAPTURE(name);
    if constexpr (requires { table.size(); }) CHECK_FALSE(table.empty());
  });
  CHECK(from_bytes(to_binary(full), "x") == full);
}

TEST_CASE("the same trace gives the same bytes") {
  CHECK(to_binary(random_trace(3)) == to_binary(random_trace(3)));
}

TEST_CASE("tables of more rows than a block holds come back equal") {
  const Trace trace = random_trace(4, 2 * static_cast<std::int64_t>(k_events_per_block) + 5);
  REQUIRE(from_bytes(to_binary(trace), "x") == trace);
}

TEST_CASE("a file made by hand from FORMAT.md is read") {
  // One row of `layers`: strings "a" and "linear"; columns name, kind (strings) and parent.
  const std::string payload = std::string("\x02\x01") + "a" + "\x06" + "linear" +
                              "\x03"
                              "\x04"
                              "name"
                              "\x02"
                              "\x01" +
                              std::string(2, '\0') +
                              "\x04"
                              "kind"
                              "\x02"
                              "\x01\x02" +
                              std::string(1, '\0') +
                              "\x06"
                              "parent" +
                              std::string(1, '\0') + "\x01\x01" + std::string(1, '\0');
  const Trace trace = from_binary(k_file_header + block("layers", 1, payload) + k_end);
  CHECK(trace.layers == std::vector<Layer>{{"a", "linear", LayerId{}}});
  CHECK(trace.health == Health{});
}

TEST_CASE("an unknown block is skipped and counted, the rest is read") {
  Trace expected = full_trace();
  std::string bytes = to_binary(full_trace());
  bytes.insert(16, block("hologram", 3, "whatever is in it"));
  expected.health.skipped_blocks = 1;
  CHECK(from_binary(bytes) == expected);
}

TEST_CASE("a newer minor version is read, another major version is refused") {
  std::string bytes = to_binary(full_trace());
  bytes[10] = 9;
  CHECK(from_binary(bytes) == full_trace());
  bytes[8] = 2;
  CHECK_THROWS_WITH(from_binary(bytes),
                    Catch::Contains("format version 1") && Catch::Contains("found version 2"));
}

TEST_CASE("a wrong magic, a wrong byte order and a short header are refused with the place") {
  const std::string good = to_binary(full_trace());
  CHECK_THROWS_WITH(from_bytes("", "f.tmk"), Catch::Contains("f.tmk") && Catch::Contains("empty"));
  CHECK_THROWS_WITH(from_bytes("PNG...", "f.tmk"), Catch::Contains("byte 0"));
  CHECK_THROWS_WITH(from_bytes(good.substr(0, 15), "f.tmk"), Catch::Contains("15 bytes"));
  std::string swapped = good;
  std::swap(swapped[12], swapped[15]);
  CHECK_THROWS_WITH(from_bytes(swapped, "f.tmk"), Catch::Contains("byte 12"));
}

TEST_CASE("blocks of one table are appended: a writer may stream") {
  const Trace full = full_trace();
  Trace first;
  first.layers = {full.layers[0]};
  const std::string whole = to_binary(first);
  const std::string without_end = whole.substr(0, whole.size() - k_end.size());
  const std::string one = std::string("\x01\x01") + "b" +
                          "\x01"
                          "\x04"
                          "name"
                          "\x02"
                          "\x01" +
                          std::string(2, '\0');
  const Trace trace = from_binary(without_end + block("layers", 1, one) + k_end);
  CHECK(trace.layers == std::vector<Layer>{full.layers[0], {"b", "", LayerId{}}});
}

TEST_CASE("bytes behind the end block are no part of the trace") {
  CHECK(from_binary(to_binary(full_trace()) + "rubbish") == full_trace());
}

TEST_CASE("a block that claims rows without bytes, or a size without a source, is damaged") {
  const auto health_of = [](const std::string& b) {
    return from_binary(k_file_header + b + k_end).health;
  };
  CHECK(health_of(block("layers", 1, k_no_columns)).damaged_blocks == 0);  // all defaults
  CHECK(health_of(block("layers", 3, k_no_columns)).damaged_blocks == 1);
  CHECK(health_of(block("layers", std::uint64_t{1} << 60, k_no_columns)).damaged_blocks == 1);
  CHECK(health_of(block("events", UINT64_MAX, k_no_columns)).damaged_blocks == 1);
  CHECK(health_of(block("meta", 2, k_no_columns)).damaged_blocks == 1);
  CHECK(health_of(block("layers", 1, "\x01")).damaged_blocks == 1);
  // 16 MiB of zeros in a few hundred bytes: more rows than any writer puts into a block.
  const std::string zeros(std::size_t{16} << 20, '\0');
  CHECK(health_of(block("layers", zeros.size(), zeros)).damaged_blocks == 1);
}

TEST_CASE("what follows a hole in a table is not taken for other rows") {
  const std::string named = std::string("\x01\x01") + "b" +
                            "\x01"
                            "\x04"
                            "name"
                            "\x02"
                            "\x01" +
                            std::string(2, '\0');
  std::string bad = block("layers", 1, named);
  bad.back() = static_cast<char>(bad.back() ^ 1);
  const Trace trace = from_binary(k_file_header + block("layers", 1, named) + bad +
                                  block("layers", 1, named) + k_end);
  CHECK(trace.layers.size() == 1);
  CHECK(trace.health.damaged_blocks == 2);
}

TEST_CASE("lost events are counted, and counters that would overflow stay at the largest number") {
  Trace trace = full_trace();
  trace.health.dropped_events = INT64_MAX;
  std::string bytes = to_binary(trace);
  const std::size_t at = bytes.find("events");
  REQUIRE(at != std::string::npos);
  bytes[at + 48] = static_cast<char>(bytes[at + 48] ^ 1);
  CHECK(from_binary(bytes).health.dropped_events == INT64_MAX);
  trace.health.dropped_events = 2;
  bytes = to_binary(trace);
  bytes[at + 48] = static_cast<char>(bytes[at + 48] ^ 1);
  const Trace back = from_binary(bytes);
  CHECK(back.health.dropped_events == 5);
  CHECK(back.health.damaged_blocks == 1);
  CHECK(back.events.empty());
}
