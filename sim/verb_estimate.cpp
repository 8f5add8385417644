// `tidemark estimate`, and the lists of what can be named: `models`, `devices`, `methods`.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/breakdown.h"
#include "sim/builder.h"
#include "sim/compare.h"
#include "sim/device.h"
#include "sim/estimate_strategy.h"
#include "sim/exit_code.h"
#include "sim/op_table.h"
#include "sim/placement.h"
#include "sim/rebuild.h"
#include "sim/search.h"
#include "sim/table.h"
#include "sim/torch_accounting.h"
#include "sim/trained_transformer.h"
#include "sim/units.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct EstimateOptions {
  StrategyOptions strategy;
  std::string model;
  std::string device = "h100-80g";
  std::string devices;
  std::string optimizer;
  std::string output;
  std::string accounting;
  std::int64_t batch = 0;
  std::int64_t sequence = 0;
  std::string phase = "training";
  std::int64_t prompt = 0;
  std::int64_t generate = 0;
  std::int64_t eval_every = 0;
  bool json = false;
};

void apply_phase(const EstimateOptions& options, RunConfig& config) {
  const auto phase = parse_enum<RunPhase>(options.phase);
  const bool infers = phase == RunPhase::inference;
  const bool has_tokens = options.prompt != 0 || options.generate != 0;
  const bool trains = options.sequence != 0 || options.eval_every != 0 ||
                      !options.optimizer.empty() || !options.accounting.empty();
  if (!phase || (infers ? trains : has_tokens)) {
    throw InputError(InputError::Parts{
        .place = "--phase",
        .expected = "training, or inference with --prompt and --generate and none of --seq, "
                    "--optimizer, --eval-every and --accounting",
        .found = "'" + options.phase + "'" + (phase ? " with other options" : "")});
  }
  if (infers) set_inference(config, options.prompt, options.generate);
}

/// A trace by its name: a recorded run, or a dry one.
bool is_trace(const std::string& file) {
  return file.find(".tmk") != std::string::npos && std::filesystem::is_regular_file(file);
}

Trace read_run(const std::string& file) {
  Trace trace = read_single(file);
  if (can_rebuild(trace)) return trace;
  throw InputError(InputError::Parts{
      .file = file,
      .expected = "a run of `tidemark profile`, or what `tidemark estimate -o` wrote",
      .found = "a trace without the configuration of its model"});
}

RunConfig config_of(const EstimateOptions& options, const std::optional<Trace>& run) {
  RunConfig config = run ? run_config_from_json(run->meta.config_json) : default_run(options.model);
  if (options.batch != 0) config.batch = options.batch;
  if (options.sequence != 0) config.sequence = options.sequence;
  if (!options.optimizer.empty()) {
    const auto kind = parse_enum<Optimizer>(options.optimizer);
    if (!kind) {
      throw InputError(InputError::Parts{.place = "--optimizer",
                                         .expected = "sgd, momentum, adam or adamw",
                                         .found = "'" + options.optimizer + "'"});
    }
    config.optimizer.kind = *kind;
  }
  if (options.eval_every != 0) config.eval_every = options.eval_every;
  const bool is_as_recorded =
      run && config.phase == RunPhase::inference && options.prompt == 0 && options.generate == 0;
  if (!is_as_recorded) apply_phase(options, config);
  return config;
}

struct Estimate {
  Timeline timeline;
  std::int64_t height_bytes = 0;
  std::int64_t flops = 0;
};

Estimate estimate_of(Trace& trace) {
  Estimate e;
  e.height_bytes = place_all(trace);
  e.timeline = replay(trace);
  for (const Instruction& line : trace.program.body) {
    if (line.kind == InstructionKind::run) e.flops += op_work(trace, trace[line.op()]).flops;
  }
  return e;
}

/// Share of the device's rate that the flops of the program reach; it makes nothing again.
double utilization(const Estimate& e, const Device& device, const RunConfig& config) {
  const double rate = config.precision == Precision::bf16 ? device.bf16_flops_per_s
                      : config.dtype == DType::f64        ? device.f32_flops_per_s / 2
                                                          : device.f32_flops_per_s;
  return static_cast<double>(e.flops) / (static_cast<double>(e.timeline.step_ns) / 1e9 * rate);
}

Json estimate_json(const Estimate& e, const Trace& trace, const Device& device,
                   const RunConfig& config) {
  Json j{{"title", trace.meta.title},
         {"device", device.name},
         {"fits", e.height_bytes <= device.memory_bytes},
         {"device_memory_bytes", device.memory_bytes},
         {"peak_bytes", e.timeline.peak.bytes},
         {"height_bytes", e.height_bytes},
         {"step_ns", e.timeline.step_ns},
         {"step_flops", e.flops},
         {"model_flops_utilization", utilization(e, device, config)},
         {"time_source", "modelled"}};
  if (const CacheFigures cache = cache_figures(trace); cache.bytes > 0) {
    j["run_peak_bytes"] = e.timeline.run_peak.bytes;
    j["cache_bytes"] = cache.bytes;
    j["cache_bytes_per_token"] = cache.bytes_per_token;
  }
  if (e.timeline.eval_peak.change >= 0) {
    j["eval_peak_bytes"] = e.timeline.eval_peak.bytes;
    j["eval_every"] = trace.meta.eval_every;
  }
  for (std::size_t i = 0; i < k_category_count; ++i) {
    j["by_category"][std::string(to_string(static_cast<Category>(i)))] =
        e.timeline.peak.by_category[i];
  }
  return j;
}

void estimate_text(const Estimate& e, const Trace& trace, const Device& device,
                   const RunConfig& config, const std::string& times) {
  const bool fits = e.height_bytes <= device.memory_bytes;
  fmt::print("{} on {}\n\n", trace.meta.title, device.about);
  fmt::print("  {}  the arena needs {} of {}, with addresses planned ahead\n",
             fits ? "FITS     " : "TOO LARGE", format_bytes(e.height_bytes),
             format_bytes(device.memory_bytes));
  fmt::print("  peak       {}\n", format_bytes(e.timeline.peak.bytes));
  if (e.timeline.eval_peak.change >= 0) {
    fmt::print("  eval peak  {}  of an evaluation, after every {} steps\n",
               format_bytes(e.timeline.eval_peak.bytes), trace.meta.eval_every);
  }
  if (const CacheFigures cache = cache_figures(trace); cache.bytes > 0) {
    fmt::print("  run peak   {}  with the prompt\n", format_bytes(e.timeline.run_peak.bytes));
    fmt::print("  cache      {}, {} per token of a sequence\n", format_bytes(cache.bytes),
               format_bytes(cache.bytes_per_token));
  }
  const double step_s = static_cast<double>(e.timeline.step_ns) / 1e9;
  const bool infers = config.phase == RunPhase::inference;
  const auto items = static_cast<double>(
      infers ? config.batch : config.batch * std::max<std::int64_t>(config.sequence, 1));
  fmt::print("  step       {} ({})\n", format_ns(e.timeline.step_ns), times);
  fmt::print("  speed      {:.0f} {}/s, {:.1f} TFLOP/s, MFU {:.1f} %\n\n", items / step_s,
             config.sequence > 0 ? "tokens" : "samples",
             static_cast<double>(e.flops) / step_s / 1e12, 100 * utilization(e, device, config));
  Table table({"category at the peak", ">bytes"});
  for (const Holding& h :
       breakdown(trace, e.timeline, e.timeline.peak.change, {GroupBy::category})) {
    table.add({h.keys[0], format_bytes(h.bytes)});
  }
  fmt::print("{}\n  Not counted: context, libraries and allocator slack outside the arena.\n",
             table.text());
}

/// What PyTorch would keep for backward, by what it is.
int report_saved(const EstimateOptions& options, const RunConfig& config, const Trace& trace) {
  if (config.model.family == ModelFamily::llama) {
    throw InputError(InputError::Parts{.place = "--accounting",
                                       .expected = "a model of another family than llama, of which "
                                                   "PyTorch has no one form",
                                       .found = "'" + options.model + "'"});
  }
  const std::vector<TorchSaved> saved = torch_eager_saved(trace);
  std::map<std::string, std::int64_t> by_kind;
  for (const TorchSaved& s : saved) {
    by_kind[fmt::format("{} {}", to_string(trace[s.op].kind), s.what)] += s.size_bytes;
  }
  if (options.json) {
    fmt::print("{}\n", Json{{"title", trace.meta.title},
                            {"accounting", options.accounting},
                            {"saved_bytes", total_bytes(saved)},
                            {"by_kind", by_kind}}
                           .dump(2));
    return k_exit_done;
  }
  Table table({"saved for backward", ">size", ">bytes"});
  for (const auto& [kind, bytes] : by_kind) {
    table.add({kind, format_bytes(bytes), std::to_string(bytes)});
  }
  table.add({"total", format_bytes(total_bytes(saved)), std::to_string(total_bytes(saved))});
  fmt::print("{}, as PyTorch's autograd saves it\n\n{}", trace.meta.title, table.text());
  return k_exit_done;
}

/// What only a program has is refused for what is only reckoned with.
void require_no_program_options(const EstimateOptions& options) {
  if ((options.optimizer + options.accounting).empty() && options.eval_every == 0 &&
      options.phase == "training") {
    return;
  }
  throw InputError(InputError::Parts{
      .place = "--optimizer, --accounting, --eval-every, --phase",
      .expected = "a model that the trainer runs, without a strategy (the recipe says what an "
                  "optimizer keeps)",
      .found = "'" + options.model + "'"});
}

int estimate_ranks(const EstimateOptions& options, const DescribedModel& model,
                   const DeviceTable& table) {
  require_no_program_options(options);
  StrategyOptions strategy = options.strategy;
  strategy.batch = options.batch;
  strategy.sequence = options.sequence;
  strategy.json = options.json;
  strategy.output = options.output;
  require_other_file(options.output, {options.model, strategy.file});
  Site site;
  site.framework = strategy.framework;
  std::vector<std::string> lines;
  const auto collect = [&lines](const char* flag, const auto& read) {
    try {
      read();
    } catch (const InputError& e) {
      lines.push_back(std::string(flag) + e.what());
    }
  };
  collect("", [&] { static_cast<void>(strategy_of(model, strategy)); });
  collect("--", [&] { site.device = table.device(options.device); });
  collect("--node: ", [&] { site.cluster = node_of(table, options.device, strategy.node); });
  if (!site.framework.empty()) {
    collect("--", [&] { static_cast<void>(find_framework(site.framework)); });
  }
  if (!lines.empty()) throw InputError(fmt::format("{}", fmt::join(lines, "\n")));
  if (strategy.price > 0) site.device.price_per_hour = strategy.price;
  return estimate_strategy(model, strategy, site);
}

/// A decoder of the trainer on many ranks.
DescribedModel decoder_of(const RunConfig& config, const EstimateOptions& options) {
  const std::optional<NamedTransformer> decoder = trained_transformer(config);
  if (decoder) return with_strategy(*decoder, options.strategy);
  std::string names;
  for (const NamedTransformer& named : named_transformers()) names += named.model.name + ", ";
  throw InputError(InputError::Parts{
      .place =
          "--layout, --recipe, --recompute, --schedule, --strategy, --ranks, --rank, --framework, "
          "--node, --price",
      .expected = "a decoder: one of " + names + "gpt2 or llama, or a config.json",
      .found = "'" + options.model + "'"});
}

/// The program on the device: built, or built again from a recorded run.
Trace program_on(const Device& device, const RunConfig& config, const std::optional<Trace>& run) {
  Trace trace = run ? rebuild(*run, config, &device) : build_program(config);
  trace.meta.kind = TraceKind::dry;
  trace.meta.backend = "dry";
  trace.meta.device = device.name;
  trace.meta.device_memory_bytes = device.memory_bytes;
  fill_modelled_times(device, trace);
  return trace;
}

/// A file, or a model that the trainer runs; all others have been found by then.
void require_model(const std::string& name_or_file) {
  const auto same = [&](const BuiltinModel& m) { return m.model.name == name_or_file; };
  if (std::ranges::any_of(builtin_models(), same)) return;
  if (std::filesystem::is_regular_file(name_or_file)) return;
  std::string names;
  for (const BuiltinModel& m : builtin_models()) names += m.model.name + ", ";
  for (const NamedTransformer& t : named_transformers()) names += t.model.name + ", ";
  throw InputError(InputError::Parts{.place = "model",
                                     .expected = "one of " + names + "or a readable file",
                                     .found = "'" + name_or_file + "'"});
}

int estimate(const EstimateOptions& options) {
  const DeviceTable table = device_table(options.devices);
  std::optional<Trace> run;
  if (is_trace(options.model)) {
    run = read_run(options.model);
  } else if (const auto model = described_model(options.model, options.strategy)) {
    return estimate_ranks(options, *model, table);
  } else {
    require_model(options.model);
  }
  const RunConfig config = config_of(options, run);
  if (asks_for_strategy(options.strategy)) {
    return estimate_ranks(options, decoder_of(config, options), table);
  }
  const Device& device = table.device(options.device);
  if (options.accounting == "torch-eager") {
    return report_saved(options, config, build_program(config));
  }
  if (!options.accounting.empty()) {
    throw InputError(InputError::Parts{.place = "--accounting",
                                       .expected = "torch-eager",
                                       .found = "'" + options.accounting + "'"});
  }
  require_other_file(options.output, {options.model});
  Trace trace = program_on(device, config, run);
  const Estimate e = estimate_of(trace);
  if (!options.output.empty()) write_trace(trace, options.output);
  if (options.json) {
    fmt::print("{}\n", estimate_json(e, trace, device, config).dump(2));
  } else {
    estimate_text(e, trace, device, config,
                  run ? fmt::format("that of {}, op by op from {} to {} by the device table",
                                    options.model, modelled_device_of(*run).name, device.name)
                      : "modelled: roofline of the device table");
    if (!options.output.empty()) {
      fmt::print("\n  written to {}\n  Next: tidemark plan {} --budget {}\n", options.output,
                 options.output, device.name);
    }
  }
  return e.height_bytes <= device.memory_bytes ? k_exit_done : k_exit_not_possible;
}

void list_models(bool json) {
  Json rows = Json::array();
  Table table({"model", ">batch", ">sequence", "about"});
  for (const BuiltinModel& m : builtin_models()) {
    rows.push_back(
        {{"name", m.model.name}, {"batch", m.batch}, {"sequence", m.sequence}, {"about", m.about}});
    table.add({m.model.name, std::to_string(m.batch),
               m.sequence > 0 ? std::to_string(m.sequence) : "", m.about});
  }
  Json transformers = Json::array();
  for (const NamedTransformer& t : named_transformers()) {
    transformers.push_back({{"name", t.model.name},
                            {"sequence", t.sequence},
                            {"parameters", parameter_count(t.model)},
                            {"about", t.about}});
    table.add({t.model.name, "", std::to_string(t.sequence), "only to estimate: " + t.about});
  }
  const Json all{{"models", rows}, {"transformers", transformers}};
  fmt::print("{}", json ? all.dump(2) + "\n" : table.text());
}

void list_methods(bool json) {
  Json rows = Json::array();
  Table table({"method", "about"});
  for (const SearchMethod& m : search_methods()) {
    rows.push_back({{"name", m.name}, {"about", m.about}});
    table.add({std::string(m.name), std::string(m.about)});
  }
  fmt::print("{}", json ? Json{{"methods", rows}}.dump(2) + "\n" : table.text());
}

void add_list(CLI::App& app, const char* name, const char* about, void (*list)(bool)) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand(name, about);
  verb->add_flag("--json", *json, "as one JSON object");
  verb->footer(fmt::format("Example: tidemark {}", name));
  verb->callback([json, list] { list(*json); });
}

}  // namespace

void add_estimate(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<EstimateOptions>();
  CLI::App* verb = app.add_subcommand(
      "estimate", "memory and step time of a model on a device, without running it");
  verb->add_option(
          "model", options->model,
          "a built-in or published model; a file: JSON of a model, arguments of Megatron-LM, "
          "TOML of torchtitan, or a recorded run")
      ->required();
  CLI::Option* device = verb->add_option("--device", options->device, "see `tidemark devices`")
                            ->capture_default_str();
  verb->add_option("--devices", options->devices, "YAML with further devices");
  verb->add_option("--batch", options->batch, "samples per step; default of the model")
      ->check(whole_number());
  verb->add_option("--seq", options->sequence, "tokens per sample; default of the model")
      ->check(whole_number());
  verb->add_option("--optimizer", options->optimizer, "sgd, momentum, adam or adamw");
  verb->add_option("--eval-every", options->eval_every,
                   "steps from one evaluation on held-out data to the next; default none")
      ->check(whole_number());
  verb->add_option("--phase", options->phase, "training, or inference with a key-value cache");
  verb->add_option("--prompt", options->prompt, "inference: tokens that are given");
  verb->add_option("--generate", options->generate, "inference: tokens to make, one per step");
  verb->add_option("--accounting", options->accounting,
                   "torch-eager: the bytes that PyTorch saves for backward, instead")
      ->excludes(device);
  verb->add_option("-o,--output", options->output,
                   "also write the dry trace (of many ranks: of one, tensor by tensor)");
  add_strategy_options(*verb, options->strategy);
  verb->add_flag("--json", options->json, "figures as one JSON object");
  verb->footer(
      "Example: tidemark estimate gpt2-124M --batch 8 --device a100-40g\n"
      "         tidemark estimate llama3-70b --layout tp=8,pp=4,dp=2,sp --recipe zero1 --recompute "
      "full\n"
      "         tidemark estimate llama3-8b --strategy ds_config.json --ranks 8 --device h100-80g\n"
      "         tidemark estimate train.toml --ranks 64 --node dgx-h100-80g\n"
      "         tidemark estimate run.tmk --batch 64 --device a100-80g");
  verb->callback([options, &exit_code] { exit_code = estimate(*options); });
}

void add_lists(CLI::App& app, int& exit_code) {
  exit_code = k_exit_done;
  add_list(app, "models", "models that can be named", list_models);
  add_devices(app);
  add_list(app, "methods", "planning methods that can be named", list_methods);
}

}  // namespace tidemark
