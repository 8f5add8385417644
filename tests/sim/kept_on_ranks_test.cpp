// What a block keeps from forward to backward on one rank: the closed form of capacity planning
// against the programs that sharding makes.
#include <algorithm>
#include <set>

#include "../catch.h"
#include "sim/builder.h"
#include "sim/layer_tensors.h"
#include "sim/shard_context.h"
#include "sim/shard_source.h"
#include "sim/shard_tensor.h"
#include "sim/trained_transformer.h"

using namespace tidemark;

namespace {

/// Bytes of the block that forward writes and backward reads. Its output stands for its input,
/// which is as large.
std::int64_t kept_of_block(const Trace& trace, const std::string& block) {
  std::set<BufferId> written, kept;
  for (const Instruction& line : trace.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const Op& op = trace[line.op()];
    for (const Operand& operand : op.operands) {
      if (op.phase == Phase::forward && operand.writes >= 0) written.insert(operand.buffer);
      const bool read = op.phase == Phase::backward && operand.reads >= 0;
      if (read && written.contains(operand.buffer)) kept.insert(operand.buffer);
    }
  }
  std::int64_t bytes = 0;
  for (const BufferId id : kept) {
    if (trace[id].name.starts_with(block + ".")) bytes += trace[id].size_bytes;
  }
  return bytes;
}

/// As many keys and values as queries: the trainer keeps them repeated.
RunConfig config_of(const char* model, AttentionLowering lowering) {
  RunConfig config = default_run(model);
  config.model.llama.kv_heads = config.model.llama.heads;
  config.batch = 4;
  config.sequence = 32;
  config.attention = lowering;
  return config;
}

/// The closed form, in f32 instead of 16 bits, and the statistics of norms that it leaves out.
double expected_bytes(const RunConfig& config, const Layout& layout) {
  const Transformer model = trained_transformer(config)->model;
  const Kernels kernels{.attention = config.attention};
  const auto tokens =
      static_cast<double>(config.batch * config.sequence) / static_cast<double>(layout.context);
  TokenBytes bytes = kept_bytes(layer_tensors(model, true, kernels, config.sequence), {});
  bytes.tensor *= 2;
  bytes.sequence *= 2;
  if (config.attention == AttentionLowering::flash) {
    bytes.tensor -= 4 * static_cast<double>(model.heads);  // its log-sum-exp has 32 bits already
  }
  const double norm_bytes = config.model.family == ModelFamily::gpt2 ? 8 : 4;
  bytes.sequence += 2 * norm_bytes;
  return rank_bytes(bytes, layout, tokens);
}

Trace rank_of(const Trace& source, const Layout& layout) {
  const ShardSource from = shard_source_of(source);
  if (layout.context > 1) {
    return shard_context(source, from,
                         {.name = "context_parallel",
                          .index = 1,
                          .count = static_cast<std::int32_t>(layout.context)});
  }
  return shard_tensor(source, from, 1, static_cast<std::int32_t>(layout.tensor),
                      layout.sequence_parallel);
}

}  // namespace

TEST_CASE("a rank keeps of a block what the closed form says, to the byte") {
  std::set<double> all;
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    for (const auto lowering : {AttentionLowering::composite, AttentionLowering::flash}) {
      const RunConfig config = config_of(model, lowering);
      const Trace source = build_program(config);
      for (const Layout& layout : {Layout{.tensor = 2}, Layout{.tensor = 4},
                                   Layout{.tensor = 2, .sequence_parallel = true},
                                   Layout{.tensor = 4, .sequence_parallel = true},
                                   Layout{.context = 2}, Layout{.context = 4}}) {
        CAPTURE(model, to_string(lowering), layout.tensor, layout.context,
                layout.sequence_parallel);
        const double expected = expected_bytes(config, layout);
        CHECK(static_cast<double>(kept_of_block(rank_of(source, layout), "block1")) == expected);
        all.insert(expected);
      }
    }
  }
  CHECK(all.size() > 12);
}
