// The rows of a report, in parts that can be reckoned anywhere and in any order: one strategy on
// one kind of device, or one recipe and recomputation of a search.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/capacity_walk.h"
#include "sim/report_spec.h"

namespace tidemark {

struct ReportPart {
  std::size_t model = 0;  // into the lists of the spec
  std::size_t device = 0;
  std::size_t strategy = 0;
  std::size_t recipe = 0;  // of a search
  std::size_t recompute = 0;
  bool operator==(const ReportPart&) const = default;
};

/// Model by model, device by device, strategy by strategy; never the same part twice.
[[nodiscard]] std::vector<ReportPart> report_parts(const ReportSpec& spec);

/// One strategy, reckoned by level B.
struct ReportRow {
  Layout layout;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  Batch batch;
  std::string recipe;
  std::string recompute;
  WalkedPeak peak;               // of the rank that needs most
  std::optional<double> step_s;  // none: not known
  bool operator==(const ReportRow&) const = default;
};

struct PartResult {
  std::int64_t visited = 0;  // valid strategies
  std::int64_t refused = 0;  // of these, too large by level A
  /// A fixed strategy: itself. A search: those that fit or may fit of which none is both slower and
  /// larger than another, fastest first; when there is none, the one that needs least by level A.
  std::vector<ReportRow> rows;
  std::string reason;  // why there is no row: what speaks against a fixed strategy
  bool operator==(const PartResult&) const = default;
};

[[nodiscard]] PartResult run_part(const ReportSpec& spec, const ReportPart& part);

/// One line of JSON without a line break; reading it back gives the same value.
[[nodiscard]] std::string to_line(std::size_t index, const PartResult& result);
/// The index and the result. Throws InputError for anything else, or an index of `parts` or more.
[[nodiscard]] std::pair<std::size_t, PartResult> part_from_line(const std::string& line,
                                                                std::size_t parts);

/// The strategy of a row of this part, as it was reckoned.
[[nodiscard]] Strategy strategy_of(const ReportSpec& spec, const ReportPart& part,
                                   const ReportRow& row);

}  // namespace tidemark
