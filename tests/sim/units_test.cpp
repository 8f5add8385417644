// Sizes and times as people write and read them.
#include "sim/units.h"

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

TEST_CASE("sizes are read with binary units, with or without a space") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("4096") == 4096);
  CHECK(parse_size("12B") == 12);
  CHECK(parse_size("1.5KiB") == 1536);
  CHECK(parse_size("512 MiB") == 512LL << 20);
  CHECK(parse_size("6GiB") == 6LL << 30);
  CHECK(parse_size("2TiB") == 2LL << 40);
}

TEST_CASE("sizes that are none are refused with the flag and the text") {
  for (const char* bad : {"", " ", "GiB", "6GB", "6gib", "6 GiB x", "-1", "-1GiB", "1e400", "nan",
                          "inf", "0x10", "9999999999TiB", "1,5GiB", "1.5.2GiB", "6GiB "}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH(parse_size(bad, "--budget"),
                      Catch::Contains("--budget") && Catch::Contains("'" + std::string(bad) + "'"));
  }
}

TEST_CASE("bytes are printed in the largest binary unit") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1.00 KiB");
  CHECK(format_bytes(1536) == "1.50 KiB");
  CHECK(format_bytes(43411046) == "41.40 MiB");
  CHECK(format_bytes(200LL << 20) == "200.0 MiB");
  CHECK(format_bytes(-(3LL << 30)) == "-3.00 GiB");
  CHECK(format_bytes(5000LL << 40) == "5000.0 TiB");
}

TEST_CASE("times are printed in the largest unit") {
  CHECK(format_ns(850) == "850 ns");
  CHECK(format_ns(1500) == "1.5 us");
  CHECK(format_ns(12'300'000) == "12.30 ms");
  CHECK(format_ns(2'100'000'000) == "2.10 s");
  CHECK(format_ns(-5) == "-5 ns");
}

TEST_CASE("a change has a sign, and none against nothing") {
  CHECK(format_change(103.4, 100) == "+3.4 %");
  CHECK(format_change(50, 100) == "-50.0 %");
  CHECK(format_change(1, 0) == "n/a");
}
