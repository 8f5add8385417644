// Puts a level-2 trace together op by op. The models of builder.cpp are written with it; lifetimes
// and versions follow from the order of the ops.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/lifetimes.h"
#include "traces/trace.h"

namespace tidemark {

/// One operand by role; versions are numbered at finish().
using Use = std::pair<std::string, BufferId>;

struct Parameter {
  BufferId weight;
  BufferId gradient;
};

[[nodiscard]] Attribute integer(std::string name, std::int64_t value);
[[nodiscard]] Attribute per_step(std::string name, std::int64_t first, std::int64_t step);
[[nodiscard]] Attribute real(std::string name, double value);

class ProgramBuilder {
 public:
  /// `dtype` of weights, values and states unless said otherwise.
  /// With `bf16_products` every linear op gets the buffer for its rounded factors.
  ProgramBuilder(std::int64_t seed, DType dtype, bool bf16_products = false)
      : seed_(seed), dtype_(dtype), bf16_products_(bf16_products) {
    trace_.streams.push_back({.name = "compute"});
  }

  /// A leaf layer under the open group. `name` is the full path.
  LayerId layer(const std::string& name, const std::string& kind);
  /// Opens a layer that has layers; end_group() closes it.
  void group(const std::string& name, const std::string& kind);
  void end_group();

  /// Layer and phase of what is added next.
  void at(LayerId layer, Phase phase);

  /// What is added to the body from now on belongs to this micro-batch; names of all but the first
  /// end in "@1", "@2", ...
  void micro_batch(std::int32_t index) { micro_batch_ = index; }

  /// A buffer of the step, in the layer of at().
  BufferId value(const std::string& name, Category category, std::vector<std::int64_t> shape);
  BufferId value(const std::string& name, Category category, std::vector<std::int64_t> shape,
                 DType dtype);

  /// A weight with its gradient. Initial values: normal with this deviation, or the constant
  /// `fill` when the deviation is 0.
  Parameter parameter(LayerId layer, const std::string& name, std::vector<std::int64_t> shape,
                      double deviation, double fill);
  /// What forward keeps from step to step beside the weights, with this value at the begin.
  BufferId statistic(LayerId layer, const std::string& name, std::vector<std::int64_t> shape,
                     double fill);
  /// Optimizer state "NAME.suffix" of a weight, zero at the begin.
  BufferId state(BufferId weight, const std::string& suffix);

  /// Appends an op to the body (to init when the phase is init).
  OpId run(OpKind kind, const std::string& name, const std::vector<Use>& uses,
           std::vector<Attribute> attributes = {});

  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }
  /// A number that no later call returns again.
  [[nodiscard]] std::int64_t random_key() const {
    return static_cast<std::int64_t>(trace_.ops.size());
  }
  [[nodiscard]] std::int64_t seed() const { return seed_; }
  [[nodiscard]] const std::string& name_of(BufferId id) const { return trace_[id].name; }
  [[nodiscard]] const std::string& name_of(LayerId id) const { return trace_[id].name; }
  [[nodiscard]] LayerId layer_of(BufferId id) const { return trace_[id].layer; }

  /// The trace with versions, lifetimes and origins. The builder is empty afterwards.
  [[nodiscard]] Trace finish();

 private:
  /// The uses of a linear op and the buffer for its rounded factors.
  std::vector<Use> with_bf16_factors(const std::string& name, std::vector<Use> uses);

  BufferId persistent(LayerId layer, const std::string& name, Category category,
                      std::vector<std::int64_t> shape);

  Trace trace_;
  Schedule schedule_;
  std::vector<Parameter> parameters_;
  LayerId group_;
  LayerId layer_;
  Phase phase_ = Phase::forward;
  std::int32_t micro_batch_ = 0;
  std::int64_t seed_;
  DType dtype_;
  bool bf16_products_;
};

}  // namespace tidemark
