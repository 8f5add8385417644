// `tidemark report`: a spec of models, devices and strategies as text, JSON, CSV and one page.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "sim/exit_code.h"
#include "sim/report.h"
#include "sim/report_run.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

struct ReportOptions {
  std::string spec;
  std::string output;
  std::string csv;
  std::string rows;
  std::string devices;
  std::int64_t threads = 0;
  bool json = false;
  bool quiet = false;
};

/// One line that is written over itself, and gone at the end.
void show_progress(const RunProgress& progress) {
  fmt::print(stderr, "\r\033[K{}", progress_text(progress));
  if (progress.parts_done == progress.parts) fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

std::vector<PartResult> run(const ReportOptions& options, const ReportSpec& spec,
                            RankGroup& group) {
  ReportRunOptions run_options{
      .threads = static_cast<unsigned>(options.threads), .log_file = options.rows, .progress = {}};
  if (!options.quiet && ::isatty(STDERR_FILENO) != 0) run_options.progress = show_progress;
  try {
    return run_report(spec, run_options, group);
  } catch (const std::exception& e) {
    if (group.size() > 1) {  // the others wait for this one
      fmt::print(stderr, "tidemark: {}\n", e.what());
      const bool bad_input = dynamic_cast<const InputError*>(&e) != nullptr;
      group.give_up(bad_input ? k_exit_bad_input : k_exit_own_bug);
    }
    throw;
  }
}

int report(const ReportOptions& options) {
  const std::unique_ptr<RankGroup> group = find_group();
  ReportSpec spec;
  try {
    require_other_file(options.output, {options.spec});
    require_other_file(options.csv, {options.spec});
    require_other_file(options.rows, {options.spec});
    spec = read_report_spec(read_file(options.spec), options.spec, device_table(options.devices));
    for (const std::string& file : {options.output, options.csv}) {
      if (!file.empty() && group->rank() == 0) require_writable(file);
    }
  } catch (const InputError&) {
    if (group->rank() == 0) throw;
    return k_exit_bad_input;
  }
  const std::vector<PartResult> results = run(options, spec, *group);
  if (group->rank() != 0) return k_exit_done;
  const Report made = make_report(spec, results);
  if (!options.output.empty()) write_file(options.output, report_html(made));
  if (!options.csv.empty()) write_file(options.csv, report_csv(made));
  if (options.json) {
    fmt::print("{}", report_json(made));
  } else if (options.output != "-" && options.csv != "-") {
    fmt::print("{}", report_text(made));
    for (const std::string& file : {options.output, options.csv}) {
      if (!file.empty()) fmt::print("\n  written to {}", file);
    }
    if (!(options.output + options.csv).empty()) fmt::print("\n");
  }
  for (const ReportDetail& detail : made.details) {
    if (made.entries[detail.entry].verdict != Verdict::too_large) return k_exit_done;
  }
  return k_exit_not_possible;
}

}  // namespace

void add_report(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* verb = app.add_subcommand(
      "report", "capacity of many models, devices and strategies: what fits, what is best");
  verb->add_option("spec", options->spec, "YAML: models, devices, strategies, global_batch")
      ->required();
  verb->add_option("-o,--output", options->output, "the report as one page (HTML)");
  verb->add_option("--csv", options->csv, "all rows as CSV");
  verb->add_option("--rows", options->rows,
                   "keep results here while they are made; a report that was stopped goes on");
  verb->add_option("--devices", options->devices, "YAML with further devices and nodes");
  verb->add_option("--threads", options->threads, "of this process; default: all cores")
      ->check(whole_number());
  verb->add_flag("--json", options->json, "everything as one JSON object");
  verb->add_flag("--quiet", options->quiet, "no progress");
  verb->footer(
      "Example: tidemark report spec.yaml -o report.html --csv rows.csv\n"
      "         mpirun -n 4 tidemark report spec.yaml --rows rows.jsonl -o report.html\n"
      "Exit code 1 when nothing fits.");
  verb->callback([options, &exit_code] { exit_code = report(*options); });
}

}  // namespace tidemark
