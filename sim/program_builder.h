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
[[nodiscard]] Attribute text(std::string name, std::string_view value);

struct BuilderOptions {
  std::int64_t seed = 1;
  DType dtype = DType::f32;    // of weights, values and states unless said otherwise
  bool bf16_products = false;  // linear ops multiply rounded factors, and get room to round them in
  bool gradients = true;       // every weight has one
};

/// One way through the model: the section that its ops go to, the phase that forward is in it, and
/// how the names of its ops and values end.
struct Pass {
  enum class Section : std::uint8_t { init, body, eval };
  Section section = Section::body;
  Phase forward = Phase::forward;
  std::int32_t micro_batch = 0;
  std::string ending{};
};

class ProgramBuilder {
 public:
  explicit ProgramBuilder(const BuilderOptions& options) : options_(options) {
    trace_.streams.push_back({.name = "compute"});
  }

  /// A leaf layer under the open group. `name` is the full path.
  LayerId layer(const std::string& name, const std::string& kind);
  /// Opens a layer that has layers; end_group() closes it.
  void group(const std::string& name, const std::string& kind);
  void end_group();

  /// What is added from now on belongs to this pass.
  void begin(Pass pass) { pass_ = std::move(pass); }
  /// The training pass of a micro-batch; names of all but the first end in "@1", "@2", ...
  void micro_batch(std::int32_t index);
  /// False where nothing is learnt: no dropout, no statistics.
  [[nodiscard]] bool trains() const { return pass_.forward == Phase::forward; }

  /// Layer and phase of what is added next; `forward` is what the pass says.
  void at(LayerId layer, Phase phase);

  /// A buffer of the step, in the layer of at().
  BufferId value(const std::string& name, Category category, std::vector<std::int64_t> shape);
  BufferId value(const std::string& name, Category category, std::vector<std::int64_t> shape,
                 DType dtype);

  /// What a value is stored as of which only products are made.
  [[nodiscard]] DType factor_type() const {
    return options_.bf16_products ? DType::bf16 : options_.dtype;
  }

  /// The gradient that both backward ops of a linear layer multiply by, for them to round once: dy
  /// itself where it is a factor already, else a buffer that backward_weight fills as bf16_dy.
  BufferId factor_of(const std::string& name, BufferId dy);

  /// A buffer that lives from step to step. The caller writes it in init.
  BufferId persistent(LayerId layer, const std::string& name, Category category,
                      std::vector<std::int64_t> shape, DType dtype);
  /// The same of the usual type, with this value at the begin.
  BufferId persistent(LayerId layer, const std::string& name, Category category,
                      std::vector<std::int64_t> shape, double fill);

  /// A weight with its gradient. Initial values: normal with this deviation, or the constant
  /// `fill` when the deviation is 0.
  Parameter parameter(LayerId layer, const std::string& name, std::vector<std::int64_t> shape,
                      double deviation, double fill);
  /// Optimizer state "NAME.suffix" of a weight, zero at the begin.
  BufferId state(BufferId weight, const std::string& suffix);

  /// Appends an op to the section of the pass (to init when the phase is init).
  OpId run(OpKind kind, const std::string& name, const std::vector<Use>& uses,
           std::vector<Attribute> attributes = {});

  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }
  /// A number that no later call returns again.
  [[nodiscard]] std::int64_t random_key() const {
    return static_cast<std::int64_t>(trace_.ops.size());
  }
  [[nodiscard]] std::int64_t seed() const { return options_.seed; }
  [[nodiscard]] const std::vector<std::int64_t>& shape_of(BufferId id) const {
    return trace_[id].shape;
  }
  [[nodiscard]] DType type_of(BufferId id) const { return trace_[id].dtype; }
  [[nodiscard]] const std::string& name_of(BufferId id) const { return trace_[id].name; }
  [[nodiscard]] const std::string& name_of(LayerId id) const { return trace_[id].name; }
  [[nodiscard]] LayerId layer_of(BufferId id) const { return trace_[id].layer; }

  /// The trace with versions, lifetimes and origins. The builder is empty afterwards.
  [[nodiscard]] Trace finish();

 private:
  /// The uses of a linear op and the buffer for those factors that it has to round, if any.
  std::vector<Use> with_bf16_factors(const std::string& name, std::vector<Use> uses);

  /// Where the next op goes.
  std::vector<OpId>& section();

  Trace trace_;
  OpOrder schedule_;
  std::vector<Parameter> parameters_;
  LayerId group_;
  LayerId layer_;
  Phase phase_ = Phase::forward;
  BuilderOptions options_;
  Pass pass_;
};

}  // namespace tidemark
