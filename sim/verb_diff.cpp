// `tidemark diff`: recorded against planned, planned against measured, run against run.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/compare.h"
#include "sim/exit_code.h"
#include "sim/run_state.h"
#include "sim/table.h"
#include "sim/units.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct DiffOptions {
  std::vector<std::string> files;
  std::string gate;
  bool json = false;
};

/// "peak+2%": the largest growth of the peak that is accepted, as a ratio.
double gate_ratio(const std::string& gate) {
  double percent = 0;
  char end = 0;
  if (std::sscanf(gate.c_str(), "peak+%lf%c", &percent, &end) == 2 && end == '%' && percent >= 0 &&
      gate.back() == '%') {
    return 1 + percent / 100;
  }
  throw InputError(InputError::Parts{
      .place = "--gate", .expected = "peak+N%, as in peak+2%", .found = "'" + gate + "'"});
}

Json figures_json(const RunFigures& f) {
  Json j{{"peak_bytes", nullptr},
         {"is_final", f.is_final},
         {"run_peak_bytes", f.run_peak_bytes},
         {"eval_peak_bytes", nullptr},
         {"reserved_bytes", f.reserved_bytes},
         {"host_peak_bytes", f.host_peak_bytes},
         {"step_ns", f.step_ns},
         {"time_source", to_string(f.step_source)},
         {"compute_ns", f.compute_ns},
         {"recomputed_ops", f.recomputed_ops},
         {"copied_bytes", f.copied_bytes}};
  if (f.has_peak) j["peak_bytes"] = f.peak_bytes;
  if (f.eval_peak_bytes > 0) j["eval_peak_bytes"] = f.eval_peak_bytes;
  for (std::size_t i = 0; i < k_category_count; ++i) {
    j["by_category"][std::string(to_string(static_cast<Category>(i)))] = f.by_category[i];
  }
  return j;
}

Json diff_json(const Comparison& c) {
  Json j{{"a", figures_json(c.a)},
         {"b", figures_json(c.b)},
         {"peak_error_bytes", c.peak_error_bytes},
         {"reserved_error_bytes", c.reserved_error_bytes},
         {"step_time_error_pct", c.step_time_error_pct},
         {"compute_time_error_pct", c.compute_time_error_pct},
         {"bitwise_equal", nullptr},
         {"compared_steps", c.compared_steps},
         {"compared_digests", c.compared_digests},
         {"loss_difference", c.loss_difference},
         {"first_difference", c.first_difference}};
  if (c.bitwise_equal) j["bitwise_equal"] = *c.bitwise_equal;
  for (const LayerDifference& l : c.layers) {
    j["layers"].push_back({{"layer", l.layer}, {"a_bytes", l.a_bytes}, {"b_bytes", l.b_bytes}});
  }
  return j;
}

/// With its sign, whichever it is.
std::string difference_text(const std::string& text, std::int64_t a, std::int64_t b) {
  return a == b ? "=" : (a < b ? "+" : "") + text;
}

void add_bytes(Table& table, const std::string& what, std::int64_t a, std::int64_t b) {
  if (a == 0 && b == 0) return;
  table.add({what, format_bytes(a), format_bytes(b), difference_text(format_bytes(b - a), a, b),
             a == b ? "" : format_change(static_cast<double>(b), static_cast<double>(a))});
}

/// Where 0 is no size: `zero` says what it means.
void add_known_bytes(Table& table, const std::string& what, std::int64_t a, std::int64_t b,
                     const std::string& zero = "not known") {
  if ((a == 0) == (b == 0)) return add_bytes(table, what, a, b);
  const auto text = [&zero](std::int64_t bytes) { return bytes == 0 ? zero : format_bytes(bytes); };
  table.add({what, text(a), text(b), "", ""});
}

void add_time(Table& table, const std::string& what, std::int64_t a_ns, std::int64_t b_ns) {
  if ((a_ns == 0) != (b_ns == 0)) {
    const auto text = [](std::int64_t ns) { return ns == 0 ? "not known" : format_ns(ns); };
    return table.add({what, text(a_ns), text(b_ns), "", ""});
  }
  table.add({what, format_ns(a_ns), format_ns(b_ns),
             difference_text(format_ns(b_ns - a_ns), a_ns, b_ns),
             format_change(static_cast<double>(b_ns), static_cast<double>(a_ns))});
}

void print_figures(const Comparison& c, const std::string& a, const std::string& b) {
  Table table({"", ">" + a, ">" + b, ">difference", ">"});
  add_known_bytes(table, "peak", c.a.peak_bytes, c.b.peak_bytes);
  add_known_bytes(table, "run peak", c.a.run_peak_bytes, c.b.run_peak_bytes);
  add_known_bytes(table, "eval peak", c.a.eval_peak_bytes, c.b.eval_peak_bytes, "none");
  add_known_bytes(table, "reserved", c.a.reserved_bytes, c.b.reserved_bytes);
  add_bytes(table, "host peak", c.a.host_peak_bytes, c.b.host_peak_bytes);
  for (std::size_t i = 0; i < k_category_count && c.a.has_peak && c.b.has_peak; ++i) {
    add_bytes(table, "  " + std::string(to_string(static_cast<Category>(i))), c.a.by_category[i],
              c.b.by_category[i]);
  }
  add_time(table, "step", c.a.step_ns, c.b.step_ns);
  // CPU time where steps were timed; the ops of a replay are wall time, which is another thing.
  const bool one_replayed = c.a.is_timed != c.b.is_timed;
  const auto cpu_ns = [one_replayed](const RunFigures& f) {
    return one_replayed && !f.is_timed ? 0 : f.compute_ns;
  };
  add_time(table, "  compute thread", cpu_ns(c.a), cpu_ns(c.b));
  fmt::print("{}", table.text());
  const std::string from = step_origin(c.a);
  const std::string to = step_origin(c.b);
  if (c.a.step_ns > 0 || c.b.step_ns > 0) {
    fmt::print("  step times: {}\n", from == to ? from : from + " against " + to);
  }
  for (const auto& [figures, file] : {std::pair{c.a, a}, std::pair{c.b, b}}) {
    const std::string load = load_warning(figures);
    if (!load.empty()) fmt::print("  note: {}: {}\n", file, load);
  }
}

void print_layers(const Comparison& c, const std::string& a, const std::string& b) {
  if (c.layers.empty() || !c.a.has_peak || !c.b.has_peak) return;
  Table table({"layer at the peak", ">" + a, ">" + b, ">difference"});
  for (std::size_t i = 0; i < std::min<std::size_t>(c.layers.size(), 8); ++i) {
    const LayerDifference& l = c.layers[i];
    table.add({l.layer, format_bytes(l.a_bytes), format_bytes(l.b_bytes),
               difference_text(format_bytes(l.b_bytes - l.a_bytes), l.a_bytes, l.b_bytes)});
  }
  fmt::print("\n{}", table.text());
}

bool has_results(const Trace& trace) {
  return !trace.digests.empty() && std::ranges::any_of(trace.steps, &StepRecord::has_loss);
}

void print_results(const Comparison& c, bool both_have_results) {
  if (!c.bitwise_equal) {
    fmt::print("\n  results: not compared, {}\n",
               both_have_results ? "no step has weights of the same names in both: other models?"
                                 : "one side has no losses or digests");
  } else if (*c.bitwise_equal) {
    fmt::print(
        "\n  results: bitwise equal ({} losses, {} digests of weights and optimizer state)\n",
        c.compared_steps, c.compared_digests);
  } else {
    fmt::print("\n  results: DIFFERENT, first at {}; losses at most {:.1e} of their size apart\n",
               c.first_difference, c.loss_difference);
  }
}

void warn(const Trace& trace, const std::string& file) {
  const std::string warning = warning_line(trace);
  if (!warning.empty()) fmt::print(stderr, "tidemark: {}: {}\n", file, warning);
}

/// Why the second run does not pass; empty when it does. What is not known does not pass.
std::string gate_refusal(const Comparison& c, double gate) {
  for (const RunFigures* f : {&c.a, &c.b}) {
    const char* which = f == &c.a ? "of the first trace " : "";
    if (!f->has_peak)
      return fmt::format("the peak {}is not known: it does not pass the gate", which);
    if (!f->is_final) {
      return fmt::format("the run {}is not whole: its peak does not pass the gate", which);
    }
  }
  const bool grown =
      static_cast<double>(c.b.peak_bytes) > gate * static_cast<double>(c.a.peak_bytes);
  return grown ? "the peak exceeds the gate" : "";
}

/// A run of one rank is compared with every rank of another; runs of several rank by rank.
void require_comparable(const DiffOptions& options, std::size_t file, std::size_t a_ranks,
                        std::size_t b_ranks) {
  if (a_ranks == b_ranks || a_ranks == 1 || b_ranks == 1) return;
  throw InputError(InputError::Parts{.file = options.files[file],
                                     .place = "ranks",
                                     .expected = fmt::format("{}, or 1", a_ranks),
                                     .found = std::to_string(b_ranks)});
}

/// Prints, or appends to `json`; returns the exit code.
int diff_traces(const Trace& a, const Trace& b, const std::string& b_file,
                const DiffOptions& options, Json& json) {
  const Comparison c = compare(a, b);
  if (options.json) {
    json.push_back(diff_json(c));
  } else {
    print_figures(c, options.files[0], b_file);
    print_layers(c, options.files[0], b_file);
    print_results(c, has_results(a) && has_results(b));
  }
  int exit_code = c.bitwise_equal == false ? k_exit_not_possible : k_exit_done;
  const double gate = options.gate.empty() ? 0 : gate_ratio(options.gate);
  const std::string refusal = gate > 0 ? gate_refusal(c, gate) : "";
  if (!refusal.empty()) {
    fmt::print(stderr, "tidemark: {}: {} {}\n", b_file, refusal, options.gate);
    exit_code = k_exit_not_possible;
  }
  return exit_code;
}

int diff(const DiffOptions& options) {
  if (!options.gate.empty()) static_cast<void>(gate_ratio(options.gate));  // refused before work
  const std::vector<Trace> a = read_ranks(options.files[0]);
  for (const Trace& rank : a) warn(rank, options.files[0]);
  int exit_code = k_exit_done;
  Json all = Json::array();
  for (std::size_t i = 1; i < options.files.size(); ++i) {
    const std::vector<Trace> b = read_ranks(options.files[i]);
    for (const Trace& rank : b) warn(rank, options.files[i]);
    require_comparable(options, i, a.size(), b.size());
    const std::size_t count = std::max(a.size(), b.size());
    Json ranks = Json::array();
    for (std::size_t rank = 0; rank < count; ++rank) {
      if (count > 1 && !options.json) fmt::print("{}rank {}\n", rank > 0 ? "\n" : "", rank);
      const int code = diff_traces(a[a.size() == 1 ? 0 : rank], b[b.size() == 1 ? 0 : rank],
                                   options.files[i], options, ranks);
      exit_code = std::max(exit_code, code);
    }
    if (options.json) all.push_back(count == 1 ? ranks[0] : Json{{"ranks", ranks}});
  }
  if (options.json) fmt::print("{}\n", (all.size() == 1 ? all[0] : Json{{"runs", all}}).dump(2));
  return exit_code;
}

}  // namespace

void add_diff(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* verb = app.add_subcommand("diff", "run against run, planned against measured");
  verb->add_option("traces", options->files, "two or more traces; all are compared with the first")
      ->required()
      ->expected(2, 1000);
  verb->add_option("--gate", options->gate,
                   "exit 1 when a peak exceeds that of the first: peak+2%");
  verb->add_flag("--json", options->json, "figures as one JSON object");
  verb->footer(
      "Example: tidemark diff planned.tmk measured.tmk\n"
      "Exit code 1 when results (losses, weights) that both have differ, or the gate refuses.");
  verb->callback([options, &exit_code] { exit_code = diff(*options); });
}

}  // namespace tidemark
