// A capacity report: which strategies fit, which is best, what they trade, what could be changed.
#pragma once

#include <string>
#include <vector>

#include "sim/report_changes.h"
#include "sim/report_parts.h"

namespace tidemark {

/// As Verdict, or not possible at all.
enum class CellVerdict : std::uint8_t { fits, may_fit, too_large, not_possible };

template <>
struct EnumNames<CellVerdict> {
  static constexpr std::string_view k_type = "verdict";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"fits", "may_fit", "too_large", "not_possible"});
};

/// A row and where it comes from.
struct ReportEntry {
  ReportPart part;
  ReportRow row;
  MemoryDemand demand;  // of the rank that needs most
  Verdict verdict = Verdict::too_large;
  double fits_probability = 0;
  double usable_bytes = 0;  // of one device, for tensors
  /// No other row of the model is better in memory, time and price at once and as sure to fit.
  bool on_front = false;
  /// Per million tokens; none without times or prices.
  std::optional<double> price;
  bool operator==(const ReportEntry&) const = default;
};

/// One model on one kind of device with one strategy or search.
struct ReportCell {
  std::size_t model = 0;
  std::size_t device = 0;
  std::size_t strategy = 0;
  CellVerdict verdict = CellVerdict::not_possible;
  std::int64_t visited = 0;
  std::int64_t refused = 0;  // by level A
  std::optional<std::size_t>
      best;            // entry; of those that fit, may fit, or the one that needs least
  std::string reason;  // when not possible
  bool operator==(const ReportCell&) const = default;
};

/// The best strategy of one model on one kind of device, in detail.
struct ReportDetail {
  std::size_t entry = 0;
  std::vector<WalkedPeak> ranks;  // of its pipeline
  std::vector<Change> changes;
  bool operator==(const ReportDetail&) const = default;
};

struct Report {
  ReportSpec spec;
  bool has_times = false;             // then best = fastest, else = least memory
  std::vector<ReportCell> cells;      // model by model, device by device, strategy by strategy
  std::vector<ReportEntry> entries;   // in the order of the parts
  std::vector<ReportDetail> details;  // model by model, device by device
  std::vector<std::string> assumptions;
};

/// `results` of all parts, in their order.
[[nodiscard]] Report make_report(const ReportSpec& spec, const std::vector<PartResult>& results);

/// "8 x h100-80g"
[[nodiscard]] std::string device_text(const ReportDevice& device);
/// "tp=8,dp=2, recompute full, 4 x 1 sequences"
[[nodiscard]] std::string strategy_label(const ReportRow& row);

/// "fits", "may fit", "too large"
[[nodiscard]] std::string verdict_text(Verdict verdict);
/// "55.2 to 70.4 GiB": 90 % of what the rank that needs most may need.
[[nodiscard]] std::string need_range_text(const MemoryDemand& demand);
/// "3.90 to 5.07 s", the same of a step; "" when its time is not known.
[[nodiscard]] std::string step_range_text(const ReportRow& row);

/// "+7.4 %"; "0.0 %" for what rounds to nothing.
[[nodiscard]] std::string percent_text(double percent);

/// For people, for spreadsheets, for programs, and for a browser.
[[nodiscard]] std::string report_text(const Report& report);
[[nodiscard]] std::string report_csv(const Report& report);
[[nodiscard]] std::string report_json(const Report& report);
[[nodiscard]] std::string report_html(const Report& report);

}  // namespace tidemark
