#include "profiler/command_line.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "sim/manual.h"
#include "sim/units.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr const char* k_version = "tidemark-profile 0.1.0";
constexpr std::int64_t k_most_steps = 1'000'000;
constexpr std::int64_t k_most_threads = 1024;

constexpr const char* k_footer =
    "Example: tidemark profile gpt2-tiny --steps 20 --device-memory 64MiB -o run.tmk\n"
    "Exit codes: 0 done, 2 bad input, 3 out of device memory, 70 own bug, 130 cancelled.";

/// Flags as typed; sizes and names are understood later, so that errors are ours.
struct Flags {
  std::string model, model_file, optimizer, dtype, precision, data, backend = "auto",
                                                                    device = "h100-80g";
  std::string device_memory, host_memory, schedule, link_bandwidth, output, allocator = "auto";
  std::int64_t batch = 0, sequence = 0, steps = 5, threads = 1, seed = 1;
  std::string attention, phase = "training";
  std::int64_t eval_every = 0, accumulation = 1, prompt = 0, generate = 0;
  double learning_rate = 0, clip_norm = 0, dropout = 0, attention_dropout = 0;
  bool poison = false, no_digests = false, json = false, quiet = false;
  bool inject = false, kernels = false;  // for help and manual; parse_injection understands them
};

void declare_model(CLI::App& app, Flags& f) {
  app.add_option("MODEL", f.model, "built-in model (tidemark models lists them)");
  app.add_option("--model", f.model_file, "model described in a JSON file");
  app.add_option("--batch", f.batch, "sequences or samples per step");
  app.add_option("--seq", f.sequence, "tokens per sequence (decoders)");
  app.add_option("--optimizer", f.optimizer, "sgd, momentum, adam or adamw");
  app.add_option("--lr", f.learning_rate, "learning rate");
  app.add_option("--clip", f.clip_norm, "scale gradients down to this common norm");
  app.add_option("--accumulate", f.accumulation, "micro-batches per step; divides the batch");
  app.add_option("--dropout", f.dropout, "probability (mlp and decoders)");
  app.add_option("--attention-dropout", f.attention_dropout,
                 "probability, of what a token attends to (decoders)");
  app.add_option("--attention", f.attention,
                 "composite (saves probabilities), flash, or cudnn: flash by cuDNN on a GPU, needs "
                 "--precision bf16");
  app.add_option("--seed", f.seed, "of the initial weights");
  app.add_option("--dtype", f.dtype, "f32 or f64");
  app.add_option("--precision", f.precision,
                 "full, or bf16: linear layers multiply in bf16 and add in f32");
  app.add_option("--phase", f.phase, "training, or inference with a key-value cache (gpt2 models)")
      ->capture_default_str();
  app.add_option("--eval-every", f.eval_every,
                 "steps from one evaluation on held-out data to the next");
  app.add_option("--prompt", f.prompt, "inference: tokens that are given");
  app.add_option("--generate", f.generate, "inference: tokens to make, one per step");
}

void declare_run(CLI::App& app, Flags& f) {
  app.add_option("--schedule", f.schedule, "execute this planned trace, with its own model");
  app.add_option("--steps", f.steps, "training steps")->capture_default_str();
  app.add_option("--threads", f.threads,
                 "cpu: threads that share the work of each op; results do not depend on it")
      ->capture_default_str();
  app.add_option("--data", f.data,
                 "text (decoders), or CSV table, IDX or CIFAR images instead of the default data");
  app.add_option("--backend", f.backend, "auto (cpu), cpu, cuda, or dry (allocate, never compute)")
      ->capture_default_str();
  app.add_option("--device", f.device, "dry: whose memory and speed (tidemark devices lists them)")
      ->capture_default_str();
  app.add_option("--device-memory", f.device_memory, "capacity of the device, e.g. 512MiB");
  app.add_option("--allocator", f.allocator,
                 "auto (places of the plan, else caching), or cuda-async (cuda: the driver's pool)")
      ->capture_default_str();
  app.add_option("--host-memory", f.host_memory, "capacity of the host side");
  app.add_option("--link-bandwidth", f.link_bandwidth,
                 "bytes per second of each copy stream, e.g. 8GiB");
  app.add_flag("--poison", f.poison, "fill fresh and freed memory with NaN");
  app.add_flag("--no-digests", f.no_digests, "do not hash the weights after each step");
  app.add_option("-o,--output", f.output, "trace to write (default MODEL.tmk)");
  app.add_flag("--inject", f.inject,
               "record any CUDA program: profile --inject -- python train.py");
  app.add_flag("--kernels", f.kernels, "--inject: also kernels and copies; slows them down");
  app.add_flag("--json", f.json, "figures as one JSON object on stdout");
  app.add_flag("--quiet", f.quiet, "print errors only");
}

template <class E>
E named(const std::string& flag, const std::string& value) {
  if (const std::optional<E> found = parse_enum<E>(value)) return *found;
  std::string names;
  for (const std::string_view name : EnumNames<E>::k_names) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  throw InputError({{}, flag, "one of " + names, "'" + value + "'"});
}

std::int64_t positive_size(const std::string& flag, const std::string& value) {
  const std::int64_t size = parse_size(value, flag);
  if (size <= 0) throw InputError({{}, flag, "a size above 0", "'" + value + "'"});
  return size;
}

void require_without(const CLI::App& app, const std::string& what,
                     std::initializer_list<const char*> flags) {
  for (const char* flag : flags) {
    if (app.count(flag) > 0)
      throw InputError(std::string(flag) + " and " + what + " exclude each other");
  }
}

/// What is done with the model, and how many tokens at a time.
void apply_phase(const CLI::App& app, const Flags& f, RunConfig& config) {
  if (named<RunPhase>("--phase", f.phase) == RunPhase::training) {
    return require_without(app, "--phase training", {"--prompt", "--generate"});
  }
  require_without(app, "--phase inference",
                  {"--seq", "--steps", "--optimizer", "--lr", "--clip", "--accumulate", "--dropout",
                   "--attention", "--attention-dropout", "--eval-every"});
  set_inference(config, f.prompt, f.generate);
}

RunConfig config_of(const CLI::App& app, const Flags& f) {
  if (!f.model.empty() && !f.model_file.empty()) {
    throw InputError("MODEL and --model FILE exclude each other");
  }
  if (!f.model_file.empty() && !std::filesystem::is_regular_file(f.model_file)) {
    throw InputError({f.model_file, {}, "a model file", "none"});
  }
  RunConfig config = default_run(f.model.empty() ? f.model_file : f.model);
  if (app.count("--batch") > 0) config.batch = f.batch;
  if (app.count("--seq") > 0) config.sequence = f.sequence;
  if (app.count("--optimizer") > 0) {
    config.optimizer.kind = named<Optimizer>("--optimizer", f.optimizer);
  }
  if (app.count("--lr") > 0) config.optimizer.learning_rate = f.learning_rate;
  if (app.count("--clip") > 0) config.optimizer.clip_norm = f.clip_norm;
  if (app.count("--accumulate") > 0) config.accumulation = f.accumulation;
  if (app.count("--dropout") > 0) config.dropout = f.dropout;
  if (app.count("--attention-dropout") > 0) config.attention_dropout = f.attention_dropout;
  if (app.count("--attention") > 0) {
    config.attention = named<AttentionLowering>("--attention", f.attention);
  }
  if (app.count("--eval-every") > 0) {
    if (f.eval_every < 1) {
      throw InputError({{}, "--eval-every", "at least 1", std::to_string(f.eval_every)});
    }
    config.eval_every = f.eval_every;
  }
  if (app.count("--seed") > 0) config.seed = f.seed;
  if (app.count("--dtype") > 0) config.dtype = named<DType>("--dtype", f.dtype);
  if (app.count("--precision") > 0) {
    config.precision = named<Precision>("--precision", f.precision);
  }
  if (!std::isfinite(config.optimizer.learning_rate) || config.optimizer.learning_rate <= 0) {
    throw InputError(
        {{}, "--lr", "a number above 0", std::to_string(config.optimizer.learning_rate)});
  }
  apply_phase(app, f, config);
  validate(config);
  return config;
}

BackendKind backend_of(const std::string& name) {
  if (name == "auto" || name == "cpu") return BackendKind::cpu;
  if (name == "dry") return BackendKind::dry;
  if (name == "cuda") return BackendKind::cuda;
  throw InputError({{}, "--backend", "auto, cpu, cuda or dry", "'" + name + "'"});
}

MemoryGiver allocator_of(const std::string& name, const std::string& backend) {
  if (name == "auto") return MemoryGiver::automatic;
  if (name != "cuda-async")
    throw InputError({{}, "--allocator", "auto or cuda-async", "'" + name + "'"});
  if (backend_of(backend) == BackendKind::cuda) return MemoryGiver::cuda_async;
  throw InputError({{},
                    "--allocator cuda-async",
                    "--backend cuda beside it (for what it would take: tidemark allocator)",
                    "'" + backend + "'"});
}

/// A planned trace brings its own configuration.
void require_free_of_model_flags(const CLI::App& app) {
  require_without(app, "--schedule",
                  {"MODEL", "--model", "--batch", "--seq", "--optimizer", "--lr", "--clip",
                   "--accumulate", "--dropout", "--attention", "--seed", "--dtype", "--precision",
                   "--phase", "--prompt", "--generate", "--eval-every", "--attention-dropout"});
}

RunOptions run_options(const Flags& f, bool device_given) {
  if (f.steps < 1 || f.steps > k_most_steps) {
    throw InputError(
        {{}, "--steps", "1 to " + std::to_string(k_most_steps), std::to_string(f.steps)});
  }
  if (f.threads < 1 || f.threads > k_most_threads) {
    throw InputError(
        {{}, "--threads", "1 to " + std::to_string(k_most_threads), std::to_string(f.threads)});
  }
  RunOptions run;
  run.backend = backend_of(f.backend);
  run.steps = f.steps;
  run.threads = f.threads;
  if (!f.device_memory.empty()) {
    run.device_memory_bytes = positive_size("--device-memory", f.device_memory);
  }
  if (!f.host_memory.empty()) run.host_memory_bytes = positive_size("--host-memory", f.host_memory);
  run.device = find_device(f.device).name;
  if (device_given && run.backend != BackendKind::dry) {
    throw InputError(
        {{}, "--device", "--backend dry beside it: others run on this machine", f.backend});
  }
  if (run.backend == BackendKind::dry && (f.poison || !f.data.empty() || f.threads > 1)) {
    const char* flag = f.poison ? "--poison" : f.data.empty() ? "--threads" : "--data";
    throw InputError(std::string("--backend dry and ") + flag +
                     " exclude each other: a dry run computes no values");
  }
  if (run.backend == BackendKind::cuda && f.poison) {
    throw InputError(
        "--backend cuda and --poison exclude each other: frees run ahead of the device");
  }
  run.allocator = allocator_of(f.allocator, f.backend);
  run.poison = f.poison;
  run.digests = !f.no_digests;
  return run;
}

CommandLine understood(const CLI::App& app, const Flags& f) {
  if (f.kernels) throw InputError({{}, "--kernels", "--inject beside it", "none"});
  CommandLine line;
  line.run = run_options(f, app.count("--device") > 0);
  line.steps_given = app.count("--steps") > 0;
  line.schedule = f.schedule;
  line.model_file = f.model_file;
  line.data = f.data;
  line.json = f.json;
  line.quiet = f.quiet;
  if (!f.link_bandwidth.empty()) {
    line.link_bytes_per_s =
        static_cast<double>(positive_size("--link-bandwidth", f.link_bandwidth));
  }
  if (!f.schedule.empty()) {
    require_free_of_model_flags(app);
    line.output = measured_name(f.schedule);
  } else if (f.model.empty() && f.model_file.empty()) {
    throw InputError("name a model, a --model FILE.json or a --schedule PLANNED.tmk; see --help");
  } else {
    line.config = config_of(app, f);
    if (line.config.phase == RunPhase::inference) line.run.steps = line.config.generate;
    line.output = line.config.model.name + ".tmk";
  }
  if (!f.output.empty()) line.output = f.output;
  return line;
}

}  // namespace

std::string measured_name(const std::string& schedule) {
  if (schedule == "-") return "measured.tmk";
  std::string name = schedule;
  for (const char* ending : {".tmk", ".plan", ".planned"}) {
    if (name.ends_with(ending)) name.resize(name.size() - std::string(ending).size());
  }
  return name + ".measured.tmk";
}

std::optional<CommandLine> parse_command_line(int argc, const char* const* argv) {
  Flags flags;
  CLI::App app("Trains a model in a memory of fixed size and records where every byte goes.",
               "tidemark-profile");
  app.footer(k_footer);
  app.set_version_flag("--version", k_version);
  declare_model(app, flags);
  declare_run(app, flags);
  if (const std::optional<std::string> manual = asked_manual(app, argc, argv)) {
    std::fputs(manual->c_str(), stdout);
    return std::nullopt;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    app.name("profile");  // as it is called; the file's own name is for manual and completion
    std::fputs(app.help("tidemark").c_str(), stdout);
    return std::nullopt;
  } catch (const CLI::CallForVersion&) {
    std::puts(k_version);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw InputError(std::string(error.what()) + "; see tidemark profile --help");
  }
  CommandLine line = understood(app, flags);
  for (int i = 0; i < argc; ++i) line.command += (i > 0 ? " " : "") + std::string(argv[i]);
  return line;
}

}  // namespace tidemark
