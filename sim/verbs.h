// The sub-commands of `tidemark` that are part of this program. Each adds its options to `app` and
// runs from the callback, which leaves the exit code in `exit_code`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "traces/trace.h"

namespace tidemark {

void add_show(CLI::App& app, int& exit_code);
void add_plan(CLI::App& app, int& exit_code);
void add_diff(CLI::App& app, int& exit_code);
void add_pack(CLI::App& app, int& exit_code);
void add_estimate(CLI::App& app, int& exit_code);
void add_import(CLI::App& app, int& exit_code);
void add_export(CLI::App& app, int& exit_code);
void add_allocator(CLI::App& app, int& exit_code);
void add_lists(CLI::App& app, int& exit_code);  // models, devices, methods
void add_devices(CLI::App& app);
void add_report(CLI::App& app, int& exit_code);

/// What a flag may be, with a refusal that says it: "expected a whole number from 1, found 'abc'".
[[nodiscard]] CLI::Validator whole_number();  // from 1
[[nodiscard]] CLI::Validator above_zero();    // a finite number

/// "run.tmk" with "plan" gives "run.plan.tmk".
[[nodiscard]] std::string output_name(const std::string& input, const std::string& what);

}  // namespace tidemark
