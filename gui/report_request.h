// Capacity reports asked for in the window: what is ticked as a spec of `tidemark report`, and its
// answer as rows of a table. No widget.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/report.h"

namespace tidemark {

struct ReportRequest {
  std::int64_t global_batch = 128;  // sequences per step, over all replicas
  std::int64_t sequence = 0;        // tokens; 0 = as each model was trained
  std::vector<std::string> models;  // of named_transformers()
  std::vector<std::string> devices;
  std::vector<std::int64_t> ranks = {8, 64};  // of each device
  std::vector<std::string> strategies;        // of offered_strategies()
};

/// A strategy that can be ticked.
struct OfferedStrategy {
  std::string name;
  std::string about;
  std::string yaml;  // one entry of a spec
};
[[nodiscard]] const std::vector<OfferedStrategy>& offered_strategies();

/// The spec as docs/report.md has it. What is missing is missing there too: reading it says so.
[[nodiscard]] std::string spec_of(const ReportRequest& request);

/// "8, 64" or "8 64". Throws InputError unless numbers from 1 on.
[[nodiscard]] std::vector<std::int64_t> parse_ranks(const std::string& text);

/// One cell of a report. Figures are those of its best row: of that which needs least when none
/// fits. -1 = not known, or not possible.
struct ReportLine {
  std::string model;
  std::string devices;
  std::string strategy;
  CellVerdict verdict = CellVerdict::not_possible;
  double needs_bytes = -1;       // expected, of the rank that needs most
  double fits_probability = -1;  // that this rank fits its device
  double step_s = -1;
  double price = -1;  // per million tokens
  std::string best;   // the layout, or why there is none
  bool operator==(const ReportLine&) const = default;
};
/// In the order of the report.
[[nodiscard]] std::vector<ReportLine> report_lines(const Report& report);

/// "12 of 16 fit; the fastest step of llama3-8b is 1.2 s"
[[nodiscard]] std::string summary_of(const Report& report);

/// As page (.html), rows (.csv), everything (.json) or text (.txt), by the end of `path`. Throws
/// InputError for another, and when it cannot be written.
void save_report(const Report& report, const std::string& path);

}  // namespace tidemark
