// Traces made up for tests of the window: random ones for properties, one that looks like training
// for pictures.
#pragma once

#include <cstdint>
#include <random>

#include "gui/view_state.h"

namespace tidemark::test {

/// Events of a run as they are recorded, written one after the other.
class Sketch {
 public:
  Sketch() { trace.streams.push_back({.name = "compute"}); }

  BufferId buffer(const std::string& name, LayerId layer, Category category, std::int64_t bytes);
  LayerId layer(const std::string& name);
  OpId op(const std::string& name, LayerId layer, Phase phase);
  void operand(OpId op, BufferId buffer);

  void alloc(BufferId buffer) { event(EventKind::alloc, buffer.value); }
  void free(BufferId buffer) { event(EventKind::free, buffer.value); }
  void run(OpId op, std::int64_t duration_ns);
  void begin_step(std::int32_t step) { event(EventKind::step_begin, step); }
  void end_step(std::int32_t step) { event(EventKind::step_end, step); }
  void wait(std::int64_t duration_ns) { now_ns_ += duration_ns; }

  Trace trace;

 private:
  void event(EventKind kind, std::int32_t index);
  std::int64_t now_ns_ = 0;
};

struct RandomSpec {
  std::uint32_t seed = 1;
  std::int64_t change_count = 1000;
  std::int64_t most_pause_ns = 20;  // between changes; often 0
};
/// At least one position of `within`.
[[nodiscard]] ViewRange random_range(std::mt19937& random, ViewRange within);

/// Buffers of all categories come and go at random; some never go.
[[nodiscard]] Trace random_trace(const RandomSpec& spec);

struct TrainingSpec {
  int layer_count = 12;
  int step_count = 3;
  bool recompute = false;  // as a plan would have it: drops activations of every other layer
  std::int64_t unit_bytes = std::int64_t{1} << 20;
};
/// Weights, optimizer states, and steps of forward, backward and optimizer.
[[nodiscard]] Trace training_trace(const TrainingSpec& spec);

/// The run of a recorded trace.
[[nodiscard]] RunPtr run_of(Trace trace);

/// That shows all of the run.
[[nodiscard]] ViewState state_of(RunPtr run);

}  // namespace tidemark::test
