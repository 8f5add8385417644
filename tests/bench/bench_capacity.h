// What the parts of bench_capacity share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/sim/csv_rows.h"

namespace tidemark::bench {

using Json = nlohmann::ordered_json;

using Folders = std::vector<std::string>;

/// Rows of name in all folders (plain or .gz, .xz, .zst); those without it have none.
[[nodiscard]] std::vector<test::CsvRow> rows_of(const Folders& folders, const std::string& name);

/// Fills "rows" with an object for each published figure and "max_error_pct"; "valid" is whether
/// all are exact to 0.01 %.
[[nodiscard]] Json formula_oracles(const Folders& folders);

/// Leave-one-out errors of the piecewise linear all-reduce, per group of the table.
[[nodiscard]] Json all_reduce_tables(const Folders& folders);

/// Level A over the strategies of GPT-3 175B on 64 GPUs: rate, share pruned, gap to level B.
[[nodiscard]] Json screening();

/// The fastest strategy of a space as large as Calculon's for GPT-3 175B on 64 ranks: seconds of
/// the search, and whether computing every point finds the same.
[[nodiscard]] Json full_search();

/// Level B and constants against measured peaks.
[[nodiscard]] Json measured_peaks(const Folders& folders);

/// `share` 0.5 = median; by the nearest rank. 0 without values.
[[nodiscard]] double quantile(std::vector<double> values, double share);

}  // namespace tidemark::bench
