// What a run prints: for people, and as JSON for scripts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profiler/out_of_memory.h"
#include "traces/trace.h"

namespace tidemark {

/// The figures of one recorded run.
struct RunSummary {
  std::int64_t peak_bytes = 0;        // of a steady step on the device
  CategoryBytes by_category{};        // at that peak; sums to it
  std::int64_t high_water_bytes = 0;  // of the device arena
  std::int64_t capacity_bytes = 0;
  std::int64_t step_ns = 0;  // median of the steady steps, by the run's own clock
  std::int64_t steps = 0;
  bool has_loss = false;
  double first_loss = 0;
  double last_loss = 0;
  std::int64_t eval_peak_bytes = 0;   // of an evaluation; 0 = there was none
  std::vector<double> eval_losses{};  // in order
};

[[nodiscard]] RunSummary summarise(const Trace& trace);

/// What inference made: by sequence, its tokens in order.
struct Generated {
  std::vector<std::vector<std::int32_t>> tokens{};
  bool is_text = false;  // the tokens are bytes
};

/// One line per sequence, the first 8: quoted text with what is not printable escaped as in C, or
/// numbers. Empty without sequences.
[[nodiscard]] std::string generated_text(const Generated& generated);

/// A table of the peak by category, arena, time and loss, and the next command to try.
[[nodiscard]] std::string summary_text(const Trace& trace, const std::string& output);
/// The same figures; `generated` adds `tokens` by sequence, and `texts` (escaped) where they are.
[[nodiscard]] std::string summary_json(const Trace& trace, const std::string& output,
                                       const Generated& generated = {});

/// What was asked for, what was in the way, and the command that would help.
[[nodiscard]] std::string shortage_text(const Trace& trace, const MemoryShortage& shortage,
                                        const std::string& output);
[[nodiscard]] std::string shortage_json(const Trace& trace, const MemoryShortage& shortage,
                                        const std::string& output);

/// As parse_size reads it back exactly: "512MiB", or plain bytes.
[[nodiscard]] std::string exact_size(std::int64_t bytes);

}  // namespace tidemark
