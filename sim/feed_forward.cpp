#include "sim/feed_forward.h"

#include "sim/llama_config.h"

namespace tidemark {

FeedForward make_feed_forward(ProgramBuilder& p, const std::string& name, const LlamaConfig& m,
                              const FeedForwardSizes& sizes) {
  constexpr bool k_no_bias = false;
  FeedForward f;
  if (m.experts > 0) {
    f.routing = {.router = make_linear(p, name + ".router", m.channels, m.experts, sizes.deviation,
                                       k_no_bias),
                 .dispatch = p.layer(name + ".dispatch", "dispatch"),
                 .combine = {},
                 .name = name,
                 .experts = m.experts,
                 .choices = m.experts_per_token,
                 .capacity = expert_capacity(m, sizes.tokens),
                 .balance = m.balance_loss / static_cast<double>(sizes.micro_batches)};
  }
  const auto linear = [&](const char* part, std::int64_t inputs, std::int64_t outputs,
                          double deviation) {
    if (m.experts == 0) return make_linear(p, name + part, inputs, outputs, deviation, k_no_bias);
    return make_expert_linear(p, name + part, {m.experts, outputs, inputs}, deviation);
  };
  f.unit.gate_up = linear(".gate_up", m.channels, 2 * m.hidden, sizes.deviation);
  f.unit.swiglu = {.layer = p.layer(name + ".swiglu", "swiglu"), .name = name + ".swiglu"};
  f.unit.down = linear(".down", m.hidden, m.channels, sizes.down_deviation);
  if (m.experts > 0) f.routing.combine = p.layer(name + ".combine", "combine");
  return f;
}

}  // namespace tidemark
