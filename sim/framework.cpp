#include "sim/framework.h"

#include "traces/error.h"

namespace tidemark {
namespace {

std::vector<Framework> make_frameworks() {
  const std::string vtrain =
      "fitted to half of the iteration times that vTrain publishes (Megatron-DeepSpeed on A100, "
      "1 to 64 nodes): bench_capacity calibrate";
  const Framework deepspeed{.name = "megatron-deepspeed",
                            .about = "Megatron-DeepSpeed, PyTorch 1.x",
                            .kernels = {.products = 0.978,
                                        .half_inner = 127,
                                        .half_tiles = 187,
                                        .memory = 0.858,
                                        .logit_bytes = 126,
                                        .optimizer_passes = 1.02},
                            .host = {.layer_ns = 3.07e6,
                                     .collectives_ns = {0.24e6, 0.169e6, 1.34e6},
                                     .micro_batch_ns = 3.57e6,
                                     .step_ns = 1.67e6,
                                     .stage_ns = 0.612e6,
                                     .optimizer_layer_ns = 0.077e6,
                                     .hiding = 4.79},
                            .collectives = {.launch_ns = 40'000,
                                            .share = 0.746,
                                            .message_ns = 0.212e6,
                                            .message_share = 0.203},
                            .source = vtrain};
  Framework megatron = deepspeed;
  megatron.name = "megatron";
  megatron.about = "Megatron-LM and Megatron Core";
  megatron.collectives.scatters_messages = true;
  return {megatron, deepspeed};
}

}  // namespace

const std::vector<Framework>& frameworks() {
  static const std::vector<Framework> table = make_frameworks();
  return table;
}

const Framework& find_framework(std::string_view name) {
  std::string names;
  for (const Framework& framework : frameworks()) {
    if (framework.name == name) return framework;
    names += (names.empty() ? "" : ", ") + framework.name;
  }
  throw InputError({.file = {},
                    .place = "framework",
                    .expected = "one of " + names,
                    .found = "'" + std::string(name) + "'"});
}

}  // namespace tidemark
