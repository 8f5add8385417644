// PYTORCH_CUDA_ALLOC_CONF: what it reads, and one clear line for the rest.
#include "sim/allocator_conf.h"

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

std::string fault(const std::string& text) {
  try {
    (void)parse_allocator_conf(text, "--conf");
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("allocator conf: every option") {
  const AllocatorConf conf = parse_allocator_conf(
      "max_split_size_mb:128, expandable_segments:True,garbage_collection_threshold:0.8,"
      "roundup_power2_divisions:[4:2,16:4,>:8],large_segment_size_mb:32,memory_fraction:0.5",
      "--conf");
  CHECK(conf.max_split_bytes == std::int64_t{128} << 20);
  CHECK(conf.expandable_segments);
  CHECK(conf.garbage_collection_threshold == 0.8);
  CHECK(conf.roundup_divisions ==
        std::array<std::int64_t, 16>{2, 2, 2, 0, 4, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8});
  CHECK(conf.large_segment_bytes == std::int64_t{32} << 20);
  CHECK(parse_allocator_conf(to_string(conf), "again") == conf);
  CHECK(to_string(AllocatorConf{}).empty());
  CHECK(parse_allocator_conf("", "--conf") == AllocatorConf{});
}

TEST_CASE("allocator conf: what it does not know is said in one line") {
  CHECK(fault("max_split_size_mb:1") ==
        "--conf: max_split_size_mb: expected a whole number from 20 to 16777216, found '1'");
  CHECK(fault("expandable_segments:yes") ==
        "--conf: expandable_segments: expected True or False, found 'yes'");
  CHECK(fault("speed:fast").find("expected options out of max_split_size_mb") != std::string::npos);
  CHECK(fault("nonsense").find("option:value pairs") != std::string::npos);
  CHECK(fault("roundup_power2_divisions:3").find("a power of two") != std::string::npos);
  CHECK(fault("roundup_power2_divisions:[4:2").find("a list that ends with ]") !=
        std::string::npos);
  CHECK(fault("garbage_collection_threshold:1.5").find("a share") != std::string::npos);
}
