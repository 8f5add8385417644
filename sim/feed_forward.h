// What stands behind attention in a Llama block: a gated unit, or experts of which every token uses
// some. B batch, T tokens, C channels, F hidden, E experts, K of them per token, S slots of an
// expert.
#pragma once

#include <string>

#include "sim/config.h"
#include "sim/model_parts.h"
#include "sim/program_builder.h"

namespace tidemark {

/// Linear layers are the only readers of y and dx.
struct Swiglu {
  LayerId layer;
  std::string name;
  BufferId x{};

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    Shape shape = p.shape_of(x);
    shape.back() /= 2;
    const BufferId y = p.value(name + ".y", Category::activation, shape, p.factor_type());
    p.run(OpKind::swiglu_forward, name + ".forward", {{"x", x}, {"y", y}});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, p.shape_of(x), p.factor_type());
    p.run(OpKind::swiglu_backward, name + ".backward", {{"dy", dy}, {"x", x}, {"dx", dx}});
    return dx;
  }
};

/// One unit on [B,T,C], or one per expert on [E,S,C].
struct GatedUnit {
  Linear gate_up;
  Swiglu swiglu;
  Linear down;

  BufferId forward(ProgramBuilder& p, BufferId x) {
    return down.forward(p, swiglu.forward(p, gate_up.forward(p, x)));
  }
  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    return gate_up.backward(p, swiglu.backward(p, down.backward(p, dy)));
  }
};

/// [B,T,C] to the slots of the experts [E,S,C], and what they make back to [B,T,C].
struct Routing {
  Linear router;
  LayerId dispatch, combine;
  std::string name;  // of the block
  std::int64_t experts = 0, choices = 0, capacity = 0;
  double balance = 0;  // share of the load-balancing loss in that of the step
  BufferId logits{}, gates{}, slots{}, outputs{};

  BufferId forward(ProgramBuilder& p, BufferId x) {
    logits = router.forward(p, x);
    Shape shape = p.shape_of(x);
    const Shape slots_shape{experts, capacity, shape.back()};
    shape.back() = choices;
    gates = p.value(router.name + ".gates", Category::activation, shape);
    slots = p.value(router.name + ".slots", Category::activation, shape, DType::i32);
    p.run(OpKind::route_forward, router.name + ".route",
          {{"logits", logits}, {"gates", gates}, {"slots", slots}},
          {integer("capacity", capacity)});
    p.at(dispatch, Phase::forward);
    const BufferId y =
        p.value(name + ".dispatch.y", Category::activation, slots_shape, p.type_of(x));
    p.run(OpKind::dispatch_forward, name + ".dispatch.forward",
          {{"x", x}, {"slots", slots}, {"y", y}});
    return y;
  }

  BufferId combine_forward(ProgramBuilder& p, BufferId x) {
    outputs = x;
    p.at(combine, Phase::forward);
    Shape shape = p.shape_of(slots);
    shape.back() = p.shape_of(x).back();
    const BufferId y = p.value(name + ".combine.y", Category::activation, shape);
    p.run(OpKind::combine_forward, name + ".combine.forward",
          {{"x", x}, {"slots", slots}, {"gates", gates}, {"y", y}});
    return y;
  }

  /// Gradients of the experts' outputs, and of the gates.
  struct Slopes {
    BufferId dx, dgates;
  };
  Slopes combine_backward(ProgramBuilder& p, BufferId dy) const {
    p.at(combine, Phase::backward);
    const Slopes slopes{p.value(name + ".combine.dx", Category::temporary, p.shape_of(outputs)),
                        p.value(name + ".combine.dgates", Category::temporary, p.shape_of(gates))};
    p.run(OpKind::combine_backward, name + ".combine.backward",
          {{"dy", dy},
           {"x", outputs},
           {"slots", slots},
           {"gates", gates},
           {"dx", slopes.dx},
           {"dgates", slopes.dgates}});
    return slopes;
  }

  /// `dy` is the gradient of what the experts were given.
  BufferId backward(ProgramBuilder& p, BufferId dy, BufferId dgates) const {
    p.at(router.layer, Phase::backward);
    Shape shape = p.shape_of(gates);
    shape.back() = experts;
    const BufferId dlogits = p.value(router.name + ".dlogits", Category::temporary, shape);
    p.run(OpKind::route_backward, router.name + ".route_backward",
          {{"dgates", dgates}, {"gates", gates}, {"slots", slots}, {"dlogits", dlogits}},
          {integer("capacity", capacity)});
    if (balance > 0) {
      p.run(OpKind::balance_backward, router.name + ".balance",
            {{"logits", logits}, {"slots", slots}, {"dlogits", dlogits}},
            {integer("capacity", capacity), real("scale", balance)});
    }
    const BufferId of_router = router.backward(p, dlogits);
    p.at(dispatch, Phase::backward);
    const BufferId dx = p.value(name + ".dispatch.dx", Category::temporary, p.shape_of(of_router));
    p.run(OpKind::dispatch_backward, name + ".dispatch.backward",
          {{"dy", dy}, {"slots", slots}, {"residual", of_router}, {"dx", dx}});
    return dx;
  }
};

struct FeedForward {
  Routing routing;  // of experts, when there are any
  GatedUnit unit;

  BufferId forward(ProgramBuilder& p, BufferId x) {
    if (routing.experts == 0) return unit.forward(p, x);
    return routing.combine_forward(p, unit.forward(p, routing.forward(p, x)));
  }
  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    if (routing.experts == 0) return unit.backward(p, dy);
    const Routing::Slopes slopes = routing.combine_backward(p, dy);
    return routing.backward(p, unit.backward(p, slopes.dx), slopes.dgates);
  }
};

/// Layers "NAME.gate_up", "NAME.swiglu" and "NAME.down" under the open group, and with experts
/// "NAME.router", "NAME.dispatch" and "NAME.combine" around them. `tokens`: of a micro-batch, of
/// which a step has as many as `micro_batches`; deviations of initial weights, of `down` its own.
struct FeedForwardSizes {
  std::int64_t tokens = 0;
  std::int64_t micro_batches = 1;
  double deviation = 0, down_deviation = 0;
};
FeedForward make_feed_forward(ProgramBuilder& p, const std::string& name, const LlamaConfig& m,
                              const FeedForwardSizes& sizes);

}  // namespace tidemark
