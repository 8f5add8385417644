// Rows of published peaks as descriptions that capacity planning takes.
#pragma once

#include <optional>
#include <string>

#include "sim/strategy.h"
#include "tests/bench/bench_capacity.h"

namespace tidemark::bench {

/// What the tables leave open is set once for each program, from its documents, not for each row.
struct Described {
  const Transformer* model = nullptr;
  Strategy strategy{};
  const char* margin = "megatron";
  double allocator_share = 1;  // of what the row measures: reserved over allocated bytes, or 1
  double device_gib = 0;
  std::string missing{};  // why the row could not be described; then nothing else counts
};

/// Of torchtitan_memory_throughput.csv, torchtune_memory.csv and megatron_bridge_memory.csv. A
/// model, device, layout or word that is not known, and a cell that is empty or no number where one
/// is needed, is named in `missing`; nothing is guessed.
[[nodiscard]] Described torchtitan_row(const test::CsvRow& row);
[[nodiscard]] Described torchtune_row(const test::CsvRow& row);
[[nodiscard]] Described bridge_row(const test::CsvRow& row);

/// Whether a row ran out of memory, and what it measured; no figure: std::nullopt.
struct MeasuredPeak {
  std::optional<double> gib;
  bool ran_out = false;
};
[[nodiscard]] MeasuredPeak measured_peak(const test::CsvRow& row);

}  // namespace tidemark::bench
