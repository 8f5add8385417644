// The graphs of attention, given to the real cuDNN for an H200 that is not here: it must take them.
// A plan can be made only where there is a driver.
#include "profiler/cuda/cudnn_attention.h"

#include "../../catch.h"
#include "profiler/cupti/driver.h"
#include "sim/decoder_parts.h"

using namespace tidemark;

namespace {

const std::string k_h200 = R"({"deviceName": "NVIDIA H200", "cudaDeviceId": 0, "deviceVer": 900,
 "multiProcessorCount": 132, "driverVer": 13000, "maxSharedMemoryPerBlockOptin": 232448,
 "totalGlobalMem": 150754934784, "maxGridSize": [2147483647, 65535, 65535],
 "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "smClockRateKHz": 1980000,
 "memClockRateKHz": 3201000, "l2CacheSize": 62914560, "warpSize": 32,
 "maxSharedMemoryPerBlock": 49152, "reservedSharedMemoryPerBlock": 1024,
 "maxRegistersPerSM": 65536, "pciDeviceId": 9013, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024,
 "maxThreadsPerSM": 2048, "isTccDriver": 0, "supportCoopLaunch": 1})";

}  // namespace

TEST_CASE("cudnn attention: an H200 has engines for both graphs") {
  cuda::CudnnAttention attention;
  const std::string error = attention.open(k_h200);
  if (!error.empty()) {
    WARN("SKIP: " << error);
    CHECK(attention.name().empty());
    return;
  }
  CHECK_THAT(attention.name(), Catch::StartsWith("cuDNN 9."));
  const bool has_driver = probe_driver().works;
  for (const bool is_backward : {false, true}) {
    for (const std::int64_t width : {64, 128}) {
      const cuda::AttentionShape shape{2, 200, 4 * width, 4, is_backward};
      std::string why;
      const std::int64_t bytes = attention.workspace_bytes(shape, why);
      CAPTURE(is_backward, width, why);
      if (has_driver) {
        CHECK(bytes >= 0);
        CHECK(bytes <= cudnn_room_bytes({2, 200, 12 * width}, 4, is_backward));
      } else {
        CHECK(bytes == -1);
        CHECK_THAT(why, Catch::Matches("cuDNN offers [1-9][0-9]* engines and can run none here"));
      }
    }
  }
}

TEST_CASE("cudnn attention: a device that is none is refused in words") {
  cuda::CudnnAttention attention;
  const std::string error = attention.open("{}");
  CHECK_FALSE(error.empty());
  CHECK(attention.name().empty());
}
