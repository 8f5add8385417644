// `tidemark plan`: the cheapest plan that fits a budget, with its bound and its reasons.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "sim/allocator_conf.h"
#include "sim/budget.h"
#include "sim/compare.h"
#include "sim/device.h"
#include "sim/exit_code.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/plan_report.h"
#include "sim/reserved_search.h"
#include "sim/run_state.h"
#include "sim/search.h"
#include "sim/table.h"
#include "sim/units.h"
#include "sim/verb_plan_advice.h"
#include "sim/verb_plan_ranks.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

volatile std::sig_atomic_t g_stop = 0;
void on_interrupt(int) {
  g_stop = 1;
}

struct PlanOptions {
  std::string file;
  std::string budget;
  std::string allow = "recompute,offload";
  std::string sweep;
  std::string apply;
  std::string link;
  std::string allocator;
  std::string conf;
  std::string output;
  RankWords spread;
  SearchRequest request;
  std::string link_source;  // of request.link_bytes_per_s, in words
  bool print_plan = false;
  bool json = false;
  bool quiet = false;
};

void set_allowed(const std::string& allow, SearchRequest& request) {
  request.allow_recompute = request.allow_offload = false;
  std::size_t begin = 0;
  while (begin <= allow.size()) {
    const std::size_t end = std::min(allow.find(',', begin), allow.size());
    const std::string name = allow.substr(begin, end - begin);
    if (name == "recompute") {
      request.allow_recompute = true;
    } else if (name == "offload") {
      request.allow_offload = true;
    } else {
      throw InputError(InputError::Parts{.place = "--allow",
                                         .expected = "recompute, offload, or both with a comma",
                                         .found = "'" + name + "'"});
    }
    begin = end + 1;
  }
}

/// The host link of the device that the trace was made on; of one CPU core when it is not known.
void set_link(PlanOptions& options, const Trace& source) {
  const HostLink link = host_link_of(source);
  options.request.link_bytes_per_s = options.link.empty()
                                         ? link.bytes_per_s
                                         : static_cast<double>(parse_size(options.link, "--link"));
  options.link_source = !options.link.empty()
                            ? "--link"
                            : fmt::format("assumed: {}; --link to change it", link.device);
  options.request.link_latency_ns = link.latency_ns;
}

Trace read_source(const std::string& file) {
  Trace source = read_single(file);
  if (const std::string warning = warning_line(source); !warning.empty()) {
    fmt::print(stderr, "tidemark: {}: {}\n", file, warning);
  }
  fill_modelled_times(find_device("laptop-core"), source);
  return source;
}

bool is_executable(const Trace& trace) {
  return trace.meta.level >= 2 && !trace.program.body.empty();
}

/// Of a trace without a program: nothing that would have to run.
int advise(const PlanOptions& options, const Trace& source) {
  const bool runs = !options.sweep.empty() || !options.apply.empty() || options.spread.any() ||
                    !options.allocator.empty() || !options.output.empty() || options.print_plan;
  if (runs || source.events.empty()) {
    throw InputError(InputError::Parts{
        .file = options.file,
        .expected = "an executable trace (level 2), which recompute and offload need; of others "
                    "there is advice: plan TRACE, or plan TRACE --budget SIZE",
        .found = fmt::format("level {}", source.meta.level)});
  }
  const std::int64_t budget_bytes = options.budget.empty() ? 0 : budget_of(options.budget, source);
  return advise_checkpoints(
      source, {.file = options.file, .budget_bytes = budget_bytes, .json = options.json});
}

/// "4GiB..12GiB:20"; the ends may be shares of the peak.
int sweep_budgets(const PlanOptions& options, const Trace& source) {
  const std::size_t dots = options.sweep.find("..");
  const std::size_t colon = options.sweep.rfind(':');
  int count = 0;
  if (dots == std::string::npos || colon == std::string::npos || colon < dots ||
      std::sscanf(options.sweep.c_str() + colon, ":%d", &count) != 1 || count < 1 || count > 1000) {
    throw InputError(InputError::Parts{.place = "--sweep",
                                       .expected = "FROM..TO:COUNT, as in 4GiB..12GiB:20",
                                       .found = "'" + options.sweep + "'"});
  }
  std::int64_t from = budget_of(options.sweep.substr(0, dots), source);
  std::int64_t to = budget_of(options.sweep.substr(dots + 2, colon - dots - 2), source);
  Json rows = Json::array();
  Table table({">budget", ">height", ">step", ">overhead", ">bound", "method"});
  bool any = false;
  // Always from the smallest: each plan helps the next, so the way must not matter.
  const bool falls = count > 1 && from > to;
  if (falls) std::swap(from, to);
  std::vector<SearchResult> results = sweep(source, options.request, from, to, count);
  if (falls) std::ranges::reverse(results);
  for (const SearchResult& r : results) {
    SearchRequest request = options.request;
    request.budget_bytes = r.budget_bytes;
    rows.push_back(result_json(r, request));
    any = any || r.feasible;
    if (!r.feasible) {
      const char* why = r.out_of_time ? "out of time" : "no plan";
      table.add({format_bytes(r.budget_bytes), "", why, "", "", ""});
      continue;
    }
    const PlanRecord& p = r.planned.plan;
    table.add(
        {format_bytes(p.budget_bytes), format_bytes(p.height_bytes), format_ns(p.step_ns),
         format_change(static_cast<double>(p.step_ns), static_cast<double>(p.keep_all_step_ns)),
         format_ns(p.bound_step_ns), p.method});
  }
  if (options.json) {
    fmt::print("{}\n", Json{{"rows", rows}}.dump(2));
  } else {
    fmt::print("{}", table.text());
  }
  if (g_stop != 0) return k_exit_cancelled;
  return any ? k_exit_done : k_exit_not_possible;
}

/// `--apply`: decisions from a file instead of a search.
int apply_file(const PlanOptions& options, const Trace& source) {
  Trace planned =
      apply_plan(source, parse_plan(source, read_file(options.apply, 1 << 26), options.apply));
  planned.plan.method = "applied";
  planned.plan.height_bytes = place_all(planned);
  const Timeline timeline = replay(planned, {SpaceKind::device, planned.meta.rank});
  planned.plan.peak_bytes = timeline.peak.bytes;
  planned.plan.step_ns = timeline.step_ns;
  planned.plan.keep_all_step_ns = replay(source).step_ns;
  write_trace(planned, options.output);
  fmt::print("  {} decisions, peak {}, fits in {}, step {}\n  written to {}\n",
             planned.decisions.size(), format_bytes(timeline.peak.bytes),
             format_bytes(planned.plan.height_bytes), format_ns(timeline.step_ns), options.output);
  return k_exit_done;
}

std::string progress_line(const SearchProgress& progress) {
  if (progress.best_step_ns < 0) return fmt::format("  {} tried, no plan yet", progress.tried);
  if (progress.bound_step_ns < 0) {
    return fmt::format("  {} tried, best {}", progress.tried, format_ns(progress.best_step_ns));
  }
  return fmt::format("  {} tried, best {}, bound {}, gap {}", progress.tried,
                     format_ns(progress.best_step_ns), format_ns(progress.bound_step_ns),
                     format_change(static_cast<double>(progress.best_step_ns),
                                   static_cast<double>(progress.bound_step_ns)));
}

bool is_watched(bool quiet) {
  return ::isatty(STDERR_FILENO) != 0 && !quiet;
}

void watch(SearchRequest& request, bool quiet) {
  std::signal(SIGINT, on_interrupt);
  const bool terminal = is_watched(quiet);
  request.progress = [terminal](const SearchProgress& progress) {
    if (terminal) fmt::print(stderr, "\r{:<78}", progress_line(progress));
    return g_stop == 0;
  };
}

void print_reserved(const PlanOptions& options, const char* what, std::int64_t bytes) {
  if (bytes <= 0) return;
  fmt::print("  {} {} in the {} allocator\n", what, format_bytes(bytes), options.allocator);
}

/// With --allocator the budget bounds what the allocator reserves; else reserved_bytes is left.
SearchResult find_plan(const PlanOptions& options, const Trace& source,
                       std::int64_t& reserved_bytes) {
  if (options.allocator.empty()) return search(source, options.request);
  const auto kind = parse_enum<AllocatorKind>(options.allocator);
  if (!kind) {
    throw InputError(InputError::Parts{.place = "--allocator",
                                       .expected = "pytorch, bfc, cuda-async, ideal or static",
                                       .found = "'" + options.allocator + "'"});
  }
  ReservedResult found =
      search_reserved(source, options.request, *kind, parse_allocator_conf(options.conf, "--conf"));
  reserved_bytes = found.search.feasible ? found.reserved_bytes : found.least_reserved_bytes;
  if (!found.search.feasible) found.search.infeasible.smallest_found_bytes = 0;
  return std::move(found.search);
}

/// `--shard`, `--layout`: with a budget, of each rank, the ranks are planned too.
int plan_shards(PlanOptions& options, const Trace& source) {
  if (!options.budget.empty()) options.request.budget_bytes = budget_of(options.budget, source);
  return plan_ranks(source, {.words = options.spread,
                             .file = options.file,
                             .output = options.output,
                             .has_budget = !options.budget.empty(),
                             .request = options.request,
                             .json = options.json,
                             .shows_progress = is_watched(options.quiet)});
}

int plan(PlanOptions& options) {
  const Trace source = read_source(options.file);
  if (!is_executable(source)) return advise(options, source);
  if (options.output.empty()) options.output = output_name(options.file, "plan");
  require_other_file(options.output, {options.file, options.apply});
  if (options.print_plan && options.budget.empty() && options.apply.empty()) {
    fmt::print("{}", print_plan(source, source.decisions));
    return k_exit_done;
  }
  if (!options.apply.empty()) return apply_file(options, source);
  set_allowed(options.allow, options.request);
  set_link(options, source);
  watch(options.request, options.quiet);
  if (options.spread.any() || options.spread.of_pipeline() || options.spread.of_states())
    return plan_shards(options, source);
  if (!options.sweep.empty()) return sweep_budgets(options, source);
  if (options.budget.empty()) {
    throw InputError(InputError::Parts{.place = "plan",
                                       .expected = "--budget, --sweep, --apply or --print-plan",
                                       .found = "none of them"});
  }
  options.request.budget_bytes = budget_of(options.budget, source);
  const PlanQuestion asked{source, options.request, options.file, options.link_source};
  std::int64_t reserved_bytes = -1;
  SearchResult result = find_plan(options, source, reserved_bytes);
  if (is_watched(options.quiet)) fmt::print(stderr, "\r{:60}\r", "");
  if (g_stop != 0 && !result.feasible) {
    if (!options.quiet) fmt::print(stderr, "cancelled before a plan was found\n");
    if (options.json) fmt::print("{}\n", result_json(result, options.request).dump(2));
    return k_exit_cancelled;
  }
  if (result.feasible) {
    result.planned.meta.source = options.file;
    write_trace(result.planned, options.output);
  }
  if (options.json) {
    Json j = result_json(result, options.request);
    j["link_bytes_per_s"] = options.request.link_bytes_per_s;
    j["cancelled"] = g_stop != 0;
    if (reserved_bytes >= 0) j["reserved_bytes"] = reserved_bytes;
    if (result.feasible) j["peak"] = peak_json(result.planned);
    fmt::print("{}\n", j.dump(2));
  } else if (options.print_plan && result.feasible) {
    fmt::print("{}", print_plan(source, result.planned.decisions));
  } else if (result.feasible) {
    if (g_stop != 0) fmt::print("  Cancelled: this is the best plan so far.\n");
    print_found(result.planned, asked);
    print_reserved(options, "reserves ", reserved_bytes);
    fmt::print("\n  written to {}\n  Next: tidemark profile --schedule {}{} --device-memory {}\n",
               options.output, options.output, data_argument(source),
               result.planned.plan.height_bytes);
  } else {
    print_not_found(result, asked);
    print_reserved(options, "least reserved by a plan", reserved_bytes);
  }
  if (g_stop != 0) return k_exit_cancelled;
  return result.feasible ? k_exit_done : k_exit_not_possible;
}

/// Returns those that ask for ranks.
std::vector<CLI::Option*> add_ranks(CLI::App& verb, RankWords& words) {
  CLI::Option* layout = verb.add_option(
      "--layout", words.layout,
      "spread a step over a mesh of ranks, in the words of estimate: tp (heads and hidden units of "
      "a decoder), sp (beside it, the tokens of what is between them), cp (tokens of every "
      "sequence), pp and vp (its layers, chunks of them), dp (micro-batches), ep (experts, over "
      "neighbours of dp x cp), shard (ranks that share states, where not all do): "
      "tp=2,sp,pp=2,dp=2; --shard says what dp x cp ranks share");
  CLI::Option* shard = verb.add_option(
      "--shard", words.shard,
      "spread a step over --ranks: its micro-batches (data; and states with zero1, zero2, zero3), "
      "the heads and hidden units of a decoder (tensor), or its layers (pipeline); auto beside "
      "--budget: the fastest of all layouts; none: one rank does it all, for comparison");
  verb.add_option("--ranks", words.ranks, "how many; divides what is spread")
      ->check(CLI::Range(1, 1024))
      ->needs(shard)
      ->excludes(layout);
  verb.add_option("--pipeline", words.schedule,
                  "schedule of a pipeline: one_f_one_b, gpipe, interleaved or zero_bubble");
  verb.add_option("--chunks", words.chunks, "stages of each rank of it, interleaved")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--stage-layers", words.stage_layers,
                  "layers of each stage: 3,3,2; default: even in time");
  verb.add_option("--bucket", words.bucket,
                  "gather weights and sum gradients of dp ranks together: block (all of a block of "
                  "the model, as FSDP's units), or up to a size (25MiB, as DDP's buckets)");
  verb.add_flag(
      "--keep-gathered", words.keep_gathered,
      "zero3: weights that forward gathered stay for backward (reshard_after_forward off)");
  verb.add_option("--prefetch", words.prefetch,
                  "collectives of dp ranks run beside the computation, and weights are gathered so "
                  "many buckets early (0: where they are needed)")
      ->check(CLI::Range(0, 1024));
  return {layout, shard};
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PlanOptions>();
  SearchRequest& request = options->request;
  std::string methods;
  for (const SearchMethod& m : search_methods())
    methods += (methods.empty() ? "" : ", ") + std::string(m.name);
  CLI::App* verb = app.add_subcommand("plan", "the cheapest plan that fits a budget");
  verb->add_option("trace", options->file,
                   "a trace (.tmk); one that cannot be executed gets advice: what to checkpoint")
      ->required();
  CLI::Option* budget = verb->add_option("--budget", options->budget,
                                         "device memory: 6GiB, 60% of the peak, or a device");
  verb->add_option("--allow", options->allow, "recompute, offload or both")->capture_default_str();
  verb->add_option("--method", request.method, "one of " + methods)->capture_default_str();
  verb->add_option("--nodes", request.nodes, "plans tried at most; default by the size of the step")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  verb->add_option("--seed", request.seed, "of the search");
  verb->add_option("--time-limit", request.time_limit_s,
                   "seconds; makes the result not reproducible")
      ->check(above_zero());
  verb->add_option("--link", options->link,
                   "host link in bytes per second and direction: 12GiB; default that of the "
                   "trace's device, else of laptop-core");
  CLI::Option* allocator =
      verb->add_option("--allocator", options->allocator,
                       "the budget bounds what this allocator reserves: pytorch, bfc, cuda-async, "
                       "ideal or static");
  verb->add_option("--conf", options->conf, "its options, as in PYTORCH_CUDA_ALLOC_CONF")
      ->needs(allocator);
  CLI::Option* many =
      verb->add_option("--sweep", options->sweep, "many budgets: 4GiB..12GiB:20; writes no trace");
  CLI::Option* apply =
      verb->add_option("--apply", options->apply, "carry out the decisions of a plan in text form");
  const std::vector<CLI::Option*> spread = add_ranks(*verb, options->spread);
  CLI::Option* output =
      verb->add_option("-o,--output", options->output,
                       "the planned trace; default beside the input: run.tmk gives run.plan.tmk");
  CLI::Option* print =
      verb->add_flag("--print-plan", options->print_plan, "print the decisions in text form");
  many->excludes(budget)->excludes(apply)->excludes(output)->excludes(print);
  apply->excludes(budget);
  allocator->excludes(many)->excludes(apply);
  for (CLI::Option* one : spread) {
    one->excludes(many)->excludes(apply)->excludes(print)->excludes(allocator);
  }
  verb->add_flag("--json", options->json, "figures as one JSON object");
  verb->add_flag("--quiet", options->quiet, "no progress");
  verb->footer("Example: tidemark plan run.tmk --budget 60% -o planned.tmk");
  verb->callback([options, &exit_code] { exit_code = plan(*options); });
}

}  // namespace tidemark
