// Time and peak of one training step beside PyTorch and beside the bare matrix products: one
// thread, CPU time, the steps of the two interleaved (ours, PyTorch's, ours, ...).
//   bench_trainer [MODEL ...] [--steps N] [--python PROGRAM] [--bf16] [--threads N]
//                 [--same-attention] [--kinds] [--gate] [--json]
// --threads above 1: both sides have so many, and times are wall times. --gate: exit code 1, too,
// when a row misses its target (`missed`). A PyTorch that has flash attention uses it; beside
// composite rows only with --same-attention it does not, and only then are their bytes judged.
// PROGRAM runs tests/bench/pytorch_step.py; without PyTorch its columns are absent. --bf16: both
// sides multiply in bf16, and ours is set beside our own f32. --kinds: where the time of our step
// goes. Exit code 1 when a result is not valid.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "profiler/executor.h"
#include "profiler/kernels/gemm.h"
#include "sim/builder.h"
#include "sim/compare.h"
#include "tests/bench/gemm_floor.h"
#include "tests/bench/pytorch_process.h"

#ifndef TIDEMARK_PYTORCH_STEP
#error "the build names pytorch_step.py"
#endif

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct Request {
  std::vector<std::string> models;
  std::string python = "/usr/bin/python3";
  std::vector<std::string> python_flags;
  std::int64_t steps = 0;  // 0: by model
  std::int64_t threads = 1;
  bool gate = false;
  bool bf16 = false;
  bool same_attention = false;
  bool kinds = false;
  bool json = false;
};

struct Contender {
  RunConfig config;
  std::int64_t steps;
  double speedup;  // over PyTorch 1.13 that is asked for; of a newer one: not slower
};

RunConfig named(const std::string& model, std::int64_t batch, std::int64_t sequence) {
  RunConfig config = default_run(model);
  config.batch = batch;
  config.sequence = sequence;
  // Both sides have the positions that they use: of GPT-2 124M at 64 tokens 123.7 M parameters.
  config.model.gpt2.positions = sequence;
  return config;
}

RunConfig mlp(const std::string& name, std::vector<std::int64_t> widths, std::int64_t batch) {
  RunConfig config;
  config.model.name = name;
  config.model.mlp.widths = std::move(widths);
  config.batch = batch;
  return config;
}

/// The runs that others have published figures for; the shapes are part of the name.
std::vector<Contender> contenders() {
  const auto with_flash = [](RunConfig config) {
    config.attention = AttentionLowering::flash;
    config.model.name += "-flash";
    return config;
  };
  std::vector<Contender> all{
      {mlp("mlp-784-b64", {784, 512, 256, 10}, 64), 200, 1.29},
      {mlp("mlp-wide-b256", {784, 2048, 2048, 2048, 2048, 10}, 256), 12, 1.19},
      {named("lenet5", 64, 0), 100, 1.15},
      {named("resnet20", 32, 0), 12, 0.99},
      {named("gpt-small", 12, 64), 30, 1.3},
      {with_flash(named("gpt-small", 12, 64)), 30, 1.3},
      {named("gpt-baby", 4, 256), 8, 1.17},
      {with_flash(named("gpt-baby", 4, 256)), 8, 1.17},
      {named("gpt2-124M", 4, 64), 5, 1.4}};
  all.back().config.model.name = "gpt2-124M-b4-t64";
  return all;
}

struct Table {
  std::int64_t inputs, classes;
};

Table table_of(const ModelConfig& model) {
  if (model.family == ModelFamily::mlp) return {model.mlp.widths.front(), model.mlp.widths.back()};
  const ImageConfig& m = model.image;
  return {m.channels * m.height * m.width, m.classes};
}

/// Values do not matter for the time, only that they train.
Dataset data_of(const RunConfig& config) {
  if (config.model.family == ModelFamily::gpt2) return find_dataset(config, "");
  const Table table = table_of(config.model);
  std::string csv;
  std::uint32_t state = 1;
  const auto next = [&state] { return (state = state * 1664525U + 1013904223U) >> 16; };
  for (std::int64_t row = 0; row < config.batch; ++row) {
    for (std::int64_t i = 0; i < table.inputs; ++i) csv += std::to_string(next() % 17) + ",";
    csv += std::to_string(next() % static_cast<std::uint32_t>(table.classes)) + "\n";
  }
  return Dataset::table(csv, "made");
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

std::string config_file(const RunConfig& config) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            fmt::format("bench_trainer.{}.{}.json", config.model.name, ::getpid()))
                               .string();
  std::ofstream(path) << to_json(config);
  return path;
}

/// The shortest time of each op: on a busy machine the others hold what the op did not do.
std::map<std::int32_t, std::int64_t> shortest_ns(const Trace& trace) {
  std::map<std::int32_t, std::int64_t> shortest;
  std::int64_t begin_ns = 0;
  for (const Event& event : trace.events) {
    if (event.kind == EventKind::op_begin) begin_ns = event.time_ns;
    if (event.kind != EventKind::op_end) continue;
    const std::int64_t spent_ns = event.time_ns - begin_ns;
    const auto [op, is_new] = shortest.emplace(event.index, spent_ns);
    op->second = std::min(op->second, spent_ns);
  }
  return shortest;
}

/// Milliseconds of one step by kind of op, in order of time.
Json times_by_kind(const Trace& trace) {
  const std::map<std::int32_t, std::int64_t> shortest = shortest_ns(trace);
  std::map<std::string, double> by_kind;
  for (const Instruction& line : trace.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const Op& op = trace[line.op()];
    by_kind[std::string(to_string(op.kind))] +=
        static_cast<double>(shortest.at(line.op().value)) * 1e-6;
  }
  std::vector<std::pair<std::string, double>> rows(by_kind.begin(), by_kind.end());
  std::ranges::sort(rows, std::greater{}, &std::pair<std::string, double>::second);
  Json out = Json::object();
  for (const auto& [kind, ms] : rows) out[kind] = ms;
  return out;
}

bool has_bf16_products() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

/// What a row does not reach: beside PyTorch "time" (of one thread in f32) and, where both sides
/// save the same of attention, "bytes"; where the CPU multiplies bf16, "bf16": 0.65 of our step in
/// f32.
std::vector<std::string> missed(const Json& row, const Contender& contender,
                                const Request& request) {
  std::vector<std::string> out;
  constexpr double k_bf16_ratio = 0.65;
  const bool is_gpt = contender.config.model.family == ModelFamily::gpt2;
  if (is_gpt && request.bf16 && has_bf16_products() && row["f32_ratio"] > k_bf16_ratio) {
    out.emplace_back("bf16");
  }
  if (!row.contains("pytorch")) return out;
  const bool old = row["pytorch"]["version"].get<std::string>().starts_with("1.");
  const double wish = old ? contender.speedup : 1.0;
  const bool timed = request.threads == 1 && !request.bf16;
  if (timed && row["speedup_median"].get<double>() < wish) out.emplace_back("time");
  const bool equal =
      !is_gpt || row["pytorch"]["attention"] == to_string(contender.config.attention);
  if (equal && row["peak_bytes"] > row["pytorch_peak_bytes"]) out.emplace_back("bytes");
  return out;
}

/// The shortest step in f32 and in bf16, by turns.
std::pair<double, double> both_precisions_ms(RunConfig config, const Dataset& data,
                                             const Request& request, std::int64_t steps) {
  std::map<Precision, double> best;
  for (int round = 0; round < 3; ++round) {
    for (const Precision precision : {Precision::full, Precision::bf16}) {
      config.precision = precision;
      RunOptions options;
      options.steps = 1 + steps;
      options.threads = request.threads;
      options.data = &data;
      options.digests = false;
      for (const StepRecord& step : run(build_program(config), options).steps) {
        const std::int64_t spent_ns = request.threads > 1 ? step.wall_ns : step.cpu_ns;
        const double ms = static_cast<double>(spent_ns) * 1e-6;
        if (step.step > 0)
          best[precision] = best.contains(precision) ? std::min(best[precision], ms) : ms;
      }
    }
  }
  return {best[Precision::full], best[Precision::bf16]};
}

/// Our steps, each followed by one of PyTorch's, without the first pair: caches are cold then.
Json measure(const Contender& contender, const Request& request) {
  RunConfig config = contender.config;
  if (request.bf16) config.precision = Precision::bf16;
  const std::string file = config_file(config);
  std::vector<std::string> command{request.python, TIDEMARK_PYTORCH_STEP, file, "--serve"};
  command.insert(command.end(), request.python_flags.begin(), request.python_flags.end());
  if (request.bf16) command.emplace_back("--bf16");
  command.insert(command.end(), {"--threads", std::to_string(request.threads)});
  const bool composite = config.attention == AttentionLowering::composite;
  if (config.model.family == ModelFamily::gpt2 && composite && request.same_attention) {
    command.emplace_back("--composite");
  }
  PyTorchProcess pytorch(command);
  const Dataset data = data_of(config);
  std::vector<double> ours, theirs, ratios;
  bool finite = true;
  RunOptions options;
  options.steps = 1 + (request.steps > 0 ? request.steps : contender.steps);
  options.data = &data;
  options.digests = false;
  options.threads = request.threads;
  options.on_step = [&](const StepRecord& step) {
    finite = finite && std::isfinite(step.loss);
    const std::optional<double> other = pytorch.step_ms();
    if (step.step == 0) return;
    const std::int64_t spent_ns = request.threads > 1 ? step.wall_ns : step.cpu_ns;
    ours.push_back(static_cast<double>(spent_ns) * 1e-6);
    if (!other) return;
    theirs.push_back(*other);
    ratios.push_back(*other / ours.back());
  };
  const Trace trace = run(build_program(config), options);
  std::filesystem::remove(file);
  const double best = *std::ranges::min_element(ours);
  Json row{{"name", config.model.name},
           {"seconds", best * 1e-3},
           {"step_ms", best},
           {"step_median_ms", median(ours)},
           {"gemm_floor_ms", gemm_floor_ms(trace)},
           {"peak_bytes", figures_of(trace).peak_bytes},
           {"valid", finite && figures_of(trace).peak_bytes > 0}};
  if (request.bf16) {
    const auto [full_ms, bf16_ms] = both_precisions_ms(config, data, request, options.steps - 1);
    row["f32_step_ms"] = full_ms;
    row["f32_ratio"] = bf16_ms / full_ms;
  }
  if (!theirs.empty()) {
    row["pytorch_step_ms"] = *std::ranges::min_element(theirs);
    row["pytorch_median_ms"] = median(theirs);
    row["speedup_median"] = median(ratios);
    row["pytorch_peak_bytes"] = Json::parse(pytorch.facts()).at("peak_bytes");
    row["pytorch"] = Json::parse(pytorch.facts());
  }
  row["missed"] = missed(row, contender, request);
  if (request.kinds) row["kinds_ms"] = times_by_kind(trace);
  return row;
}

constexpr double k_mib = 1 << 20;

void print(const Json& row) {
  const auto number = [&row](const char* key, double unit, int digits) -> std::string {
    if (!row.contains(key)) return "-";
    return fmt::format("{:.{}f}", row[key].get<double>() / unit, digits);
  };
  fmt::print("{:<18} {:>9} {:>10} {:>9} {:>7} {:>10} {:>12}\n", row["name"].get<std::string>(),
             number("step_ms", 1, 2), number("pytorch_step_ms", 1, 2),
             number("gemm_floor_ms", 1, 2), number("speedup_median", 1, 2),
             number("peak_bytes", k_mib, 1), number("pytorch_peak_bytes", k_mib, 1));
  if (row.contains("f32_ratio")) {
    fmt::print("    {} of our step in f32, {} ms; the CPU {} bf16\n", number("f32_ratio", 1, 3),
               number("f32_step_ms", 1, 2), has_bf16_products() ? "multiplies" : "only emulates");
  }
  for (const Json& what : row.value("missed", Json::array())) {
    fmt::print("    missed: {}\n", what.get<std::string>());
  }
  if (!row.contains("kinds_ms")) return;
  for (const auto& [kind, ms] : row["kinds_ms"].items()) {
    fmt::print("    {:<32} {:9.3f}\n", kind, ms.get<double>());
  }
}

int bench(const Request& request) {
  Json rows = Json::array();
  bool valid = true;
  bool reached = true;
  if (!request.json) {
    fmt::print("{}\n{:<18} {:>9} {:>10} {:>9} {:>7} {:>10} {:>12}\n", kernels::matrix_library(),
               "model", "step ms", "PyTorch ms", "floor ms", "median", "peak MiB", "PyTorch MiB");
  }
  std::size_t found = 0;
  for (const Contender& contender : contenders()) {
    const std::string& name = contender.config.model.name;
    const bool wanted =
        request.models.empty() || std::ranges::find(request.models, name) != request.models.end();
    if (!wanted) continue;
    ++found;
    rows.push_back(measure(contender, request));
    valid = valid && rows.back()["valid"].get<bool>();
    reached = reached && rows.back().value("missed", Json::array()).empty();
    if (!request.json) print(rows.back());
  }
  if (request.json) {
    fmt::print("{}\n", Json{{"library", kernels::matrix_library()}, {"rows", rows}}.dump(2));
  } else if (!rows.empty() && rows[0].contains("pytorch")) {
    const Json& pytorch = rows[0]["pytorch"];
    fmt::print("PyTorch {} with {}\n", pytorch["version"].get<std::string>(),
               pytorch["blas"].get<std::string>());
  }
  valid = valid && found >= std::max<std::size_t>(request.models.size(), 1);
  return valid && (reached || !request.gate) ? 0 : 1;
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  tidemark::Request request;
  CLI::App app("Time and peak of one training step beside PyTorch.");
  app.add_option("MODEL", request.models, "rows to measure (default all)");
  app.add_option("--steps", request.steps, "steps of each side (default by model)");
  app.add_option("--python", request.python, "Python that has PyTorch")->capture_default_str();
  app.add_option("--python-flag", request.python_flags, "handed to pytorch_step.py: --composite");
  app.add_option("--threads", request.threads, "of both sides; above 1 times are wall times")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_flag("--gate", request.gate, "exit 1 when a row misses its target");
  app.add_flag("--bf16", request.bf16, "--precision bf16 here, autocast there");
  app.add_flag("--same-attention", request.same_attention,
               "composite attention there too where we have it (default: its fastest)");
  app.add_flag("--kinds", request.kinds, "where the time of our step goes");
  app.add_flag("--json", request.json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return tidemark::bench(request);
}
