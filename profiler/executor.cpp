#include "profiler/executor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>

#include "profiler/backend.h"
#include "profiler/cuda/calls.h"
#include "profiler/cuda/device_pool.h"
#include "profiler/kernels/execute.h"
#include "sim/check.h"
#include "traces/binary.h"
#include "traces/error.h"
#include "traces/stream_writer.h"

namespace tidemark {
namespace {

std::int64_t machine_memory_bytes() {
  return std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
}

/// Enough addresses for any host side, few enough to be reserved.
constexpr std::int64_t k_no_limit_bytes = std::int64_t{1} << 60;

/// Memory of the device or pinned memory, by the plug-in.
MemorySource source_of(const cuda::PluginApi* api, cuda::Memory kind) {
  MemorySource source;
  if (api == nullptr) return source;
  source.take = [api, kind](std::int64_t bytes) {
    void* memory = nullptr;
    const int code = api->allocate(kind, static_cast<std::size_t>(bytes), &memory);
    if (code == 0) return static_cast<std::byte*>(memory);
    throw InputError({.file = {},
                      .place = kind == cuda::Memory::device ? "--device-memory" : "--host-memory",
                      .expected = "a size that the CUDA device can give",
                      .found = std::to_string(bytes) + " bytes: " + api->error_text(code)});
  };
  source.give_back = [api, kind](std::byte* memory) { api->release(kind, memory); };
  return source;
}

/// What the device has left now, without a little that its libraries take later.
std::int64_t free_device_bytes(const cuda::PluginApi& api) {
  constexpr std::size_t k_kept_bytes = std::size_t{256} << 20;
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  if (api.memory_info(&free_bytes, &total_bytes) != 0 || free_bytes < 2 * k_kept_bytes) return 0;
  return static_cast<std::int64_t>((free_bytes - k_kept_bytes) / k_granule_bytes * k_granule_bytes);
}

/// Pinned memory is taken from everybody: as much as all host buffers of the program, no more.
std::int64_t host_buffer_bytes(const Trace& program) {
  std::int64_t bytes = 0;
  for (const Buffer& buffer : program.buffers) {
    if (buffer.space.kind != SpaceKind::device) bytes += counted_bytes(buffer);
  }
  return bytes;
}

MemoryOptions memory_options(const Trace& program, const RunOptions& options) {
  const bool dry = options.backend == BackendKind::dry;
  const bool cuda = options.backend == BackendKind::cuda;
  MemoryOptions memory{.device_bytes = options.device_memory_bytes,
                       .host_bytes = options.host_memory_bytes,
                       .has_memory = !dry,
                       .poison = options.poison};
  if (memory.device_bytes == 0) {
    memory.device_bytes = dry    ? find_device(options.device).memory_bytes
                          : cuda ? free_device_bytes(*options.cuda)
                                 : machine_memory_bytes();
  }
  if (memory.host_bytes == 0) {
    memory.host_bytes = dry    ? k_no_limit_bytes
                        : cuda ? host_buffer_bytes(program)
                               : machine_memory_bytes();
  }
  return memory;
}

/// Every event of the run has its place before the run begins, up to a limit for very long runs.
std::size_t expected_events(const Trace& program, std::int64_t steps) {
  const std::size_t once = program.program.init.size() + program.program.final.size();
  const std::size_t each =
      program.program.body.size() + 2 +
      (evaluates_after(program, program.meta.eval_every - 1)
           ? program.program.eval.size() / static_cast<std::size_t>(program.meta.eval_every)
           : 0);
  constexpr std::size_t k_limit = std::size_t{1} << 24;
  return std::min(2 * (once + each * static_cast<std::size_t>(steps)) + 64, k_limit);
}

/// What is appended to must have room for every step. Positions are linear in the step, so the last
/// step is the one to look at; the checker looks at the first.
void require_room(const Trace& program, std::int64_t steps) {
  for (const Instruction& line : program.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const Op& op = program[line.op()];
    if (op.kind != OpKind::cached_attention_forward || steps < 1) continue;
    const std::int64_t tokens = program[op.operands[0].buffer].shape[1];
    const std::int64_t room = program[op.operands[1].buffer].shape[1];
    const std::int64_t position = integer_at(op, "position", steps - 1);
    if (position >= 0 && position <= room - tokens) continue;
    throw InputError({program.meta.source, "op '" + op.name + "'",
                      "steps that the cache of " + std::to_string(room) + " tokens has room for",
                      std::to_string(steps)});
  }
}

void require_executable(const Trace& program, const RunOptions& options) {
  if (program.meta.level < 2) {
    throw InputError({.file = program.meta.source,
                      .place = "level",
                      .expected = "2 (executable)",
                      .found = std::to_string(program.meta.level)});
  }
  if (options.check) {
    require_legal(program, program.meta.source);
    require_room(program, options.steps);
  }
  if (options.backend == BackendKind::dry) return;
  const bool cuda = options.backend == BackendKind::cuda;
  if (cuda && options.cuda == nullptr) throw std::logic_error("the CUDA backend without plug-in");
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    std::string error = cuda ? cuda_kernel_error(program, op) : kernel_error(program, op);
    if (op.stream.value > 0 && !is_structural(op.kind) && !is_collective(op.kind)) {
      error = "only copies and collectives run on another stream than the first";
    }
    if (is_collective(op.kind) && options.communicator == nullptr) {
      error = "a collective needs all ranks: run their index";
    }
    if (op.kind == OpKind::load_batch && options.data == nullptr) error = "no data were given";
    if (error.empty()) continue;
    throw InputError("op " + std::to_string(i) + " '" + op.name + "': " + error);
  }
}

/// What a run makes and keeps: weights, their parts, optimizer state and caches. Not the padded
/// buffer in which a weight lies, so that padding changes no digest.
std::vector<bool> digested_buffers(const Trace& program) {
  std::vector<bool> out;
  for (const Buffer& buffer : program.buffers) {
    out.push_back(buffer.category == Category::weight ||
                  buffer.category == Category::optimizer_state ||
                  buffer.category == Category::kv_cache);
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Buffer& view = program.buffers[i];
    const bool is_value = out[i] && view.storage.valid() && view.shard.count == 1;
    if (is_value) out[view.storage.index()] = false;
  }
  return out;
}

/// One execution of one program, from init to final.
class Execution {
 public:
  Execution(const Trace& program, const RunOptions& options)
      : program_(program),
        options_(options),
        clock_(options.backend == BackendKind::dry),
        recorder_(clock_, expected_events(program, options.steps), options.record),
        device_source_(source_of(options.cuda, cuda::Memory::device)),
        pinned_source_(source_of(options.cuda, cuda::Memory::pinned)),
        memory_options_(with_sources(memory_options(program, options))),
        memory_(program, memory_options_, recorder_),
        is_digested_(digested_buffers(program)) {
    const Workplace place{program_, memory_, recorder_, clock_};
    switch (options.backend) {
      case BackendKind::dry:
        backend_ = make_dry_backend(place, find_device(options.device));
        break;
      case BackendKind::cpu:
        backend_ = make_cpu_backend(place, options.data, options.threads, options.communicator);
        break;
      case BackendKind::cuda:
        backend_ = make_cuda_backend(place, options.data,
                                     {.api = options.cuda,
                                      .communicator = options.communicator,
                                      .compute_stream = pool_ ? pool_->stream() : nullptr});
        break;
    }
    if (options.stream.empty()) return;
    Trace known = program;
    known.meta = described();
    stream_.emplace(options.stream, known);
  }

  RunResult result() {
    RunResult out;
    try {
      out.cancelled = !run_all();
    } catch (const OutOfMemory& error) {
      stop_others();
      settle();
      out.shortage = error.shortage();
    } catch (const TeamStopped&) {
      settle();
      if (in_step_) recorder_.drop_step();
      out.cancelled = is_cancelled();
      out.stopped = !out.cancelled;
    } catch (const InputError& error) {
      if (options_.communicator == nullptr) throw;
      stop_others();
      settle();
      out.failure = error.what();
    }
    out.trace = program_;
    out.trace.events = recorder_.take_events();
    out.trace.steps = std::move(steps_);
    out.trace.digests = std::move(digests_);
    out.trace.arenas = memory_.records();
    out.trace.meta = described();
    out.trace.health = {};
    out.tokens = backend_->tokens();
    const bool dry = options_.backend == BackendKind::dry;
    set_durations(out.trace, dry ? TimeSource::modelled : TimeSource::measured);
    if (dry) keep_known_times(out.trace);
    return out;
  }

 private:
  /// Nobody shall wait for this rank any more.
  void stop_others() const {
    if (options_.communicator != nullptr) options_.communicator->stop();
  }

  [[nodiscard]] std::int64_t waiting_cpu_ns() const {
    return options_.communicator != nullptr ? options_.communicator->waiting_cpu_ns() : 0;
  }

  [[nodiscard]] bool is_cancelled() const {
    return options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed);
  }

  /// Lets the streams come to rest after a failure, whatever they were doing.
  void settle() {
    try {
      backend_->drain();
    } catch (const TeamStopped&) {
      return;  // known
    } catch (const InputError&) {
      return;  // a device that is gone says so again
    }
  }

  /// False when it was cancelled.
  bool run_all() {
    const bool initialised = run_section(program_.program.init, 0);
    backend_->drain();
    if (!initialised) return false;
    stream();
    for (std::int64_t step = 0; step < options_.steps; ++step) {
      if (!run_step(step)) {
        recorder_.drop_step();
        return false;
      }
    }
    stream();
    const std::int64_t last = std::max<std::int64_t>(options_.steps - 1, 0);
    const bool finished = run_section(program_.program.final, last);
    backend_->drain();
    return finished;
  }

  bool run_step(std::int64_t step) {
    recorder_.step_begin(static_cast<std::int32_t>(step));
    const std::int64_t waiting_begin_ns = waiting_cpu_ns();
    in_step_ = true;
    const bool whole = run_section(program_.program.body, step);
    backend_->drain();
    in_step_ = false;
    if (!whole) return false;
    StepRecord record;
    recorder_.step_end(record);
    record.cpu_ns -= waiting_cpu_ns() - waiting_begin_ns;
    clock_.stop();
    const std::optional<double> loss = backend_->take_loss();
    record.has_loss = loss.has_value();
    record.loss = loss.value_or(0);
    const std::size_t digests_before = digests_.size();
    if (options_.digests) add_digests(record.step);
    steps_.push_back(record);
    if (evaluates_after(program_, step) && !run_eval(steps_.back())) {
      steps_.pop_back();
      digests_.resize(digests_before);
      return false;
    }
    if (stream_ && is_stream_due()) stream();
    if (options_.on_step) options_.on_step(steps_.back());
    clock_.go();
    return true;
  }

  /// The evaluation after a step; its events stand between that step and the next. False when it
  /// was cancelled.
  bool run_eval(StepRecord& record) {
    clock_.go();
    const std::int64_t begin_ns = clock_.now_ns();
    const bool whole = run_section(program_.program.eval, record.step);
    backend_->drain();
    record.eval_wall_ns = clock_.now_ns() - begin_ns;
    clock_.stop();
    const std::optional<double> loss = backend_->take_loss();
    record.has_eval_loss = loss.has_value();
    record.eval_loss = loss.value_or(0);
    return whole;
  }

  /// False when it was cancelled.
  bool run_section(const std::vector<Instruction>& instructions, std::int64_t step) {
    for (const Instruction& line : instructions) {
      if (is_cancelled()) {
        stop_others();
        return false;
      }
      if (line.kind == InstructionKind::alloc) memory_.allocate(line.buffer());
      if (line.kind == InstructionKind::free) memory_.release(line.buffer());
      if (line.kind == InstructionKind::run) backend_->run(line.op(), step);
    }
    return true;
  }

  /// Of what the run has made so far: every weight, optimizer state and cache that is alive, in the
  /// name of its original: a state may wait on the host.
  void add_digests(std::int32_t step) {
    std::vector<BufferId> held(program_.buffers.size());  // by original, where its content is
    for (std::size_t i = 0; i < program_.buffers.size(); ++i) {
      const Buffer& buffer = program_.buffers[i];
      const BufferId id{i};
      if (!is_digested_[i] || !memory_.is_live(id)) continue;
      const bool original = buffer.copy == 0;
      if (original || buffer.origin.valid()) held[original ? i : buffer.origin.index()] = id;
    }
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (!held[i].valid()) continue;
      if (const auto hash = backend_->digest(held[i]))
        digests_.push_back({step, BufferId{i}, *hash});
    }
  }

  /// Small blocks cost more than they hold: a killed run loses the step under way and at most one
  /// block, of at most this age, of finished steps.
  [[nodiscard]] bool is_stream_due() const {
    constexpr std::chrono::milliseconds k_oldest{100};
    return recorder_.events().size() - streamed_.events >= k_events_per_block ||
           std::chrono::steady_clock::now() - streamed_at_ >= k_oldest;
  }

  /// Everything of init and of finished steps that is not in the stream yet.
  void stream() {
    if (!stream_) return;
    stream_->append(std::span(recorder_.events()).subspan(streamed_.events),
                    std::span(steps_).subspan(streamed_.steps),
                    std::span(digests_).subspan(streamed_.digests));
    streamed_ = {recorder_.events().size(), steps_.size(), digests_.size()};
    streamed_at_ = std::chrono::steady_clock::now();
  }

  MemoryOptions with_sources(MemoryOptions options) {
    if (options_.backend != BackendKind::cuda) return options;
    options.device_source = &device_source_;
    options.pinned_source = &pinned_source_;
    if (options_.allocator == MemoryGiver::cuda_async) {
      pool_.emplace(*options_.cuda, options.device_bytes);
      options.device_blocks = &pool_->blocks();
    }
    return options;
  }

  [[nodiscard]] Meta described() const {
    Meta meta = program_.meta;
    const bool dry = options_.backend == BackendKind::dry;
    const bool planned = meta.kind == TraceKind::planned || meta.kind == TraceKind::measured;
    meta.kind = dry ? TraceKind::dry : planned ? TraceKind::measured : TraceKind::recorded;
    const bool cuda = options_.backend == BackendKind::cuda;
    meta.backend = dry ? "dry" : cuda ? "cuda" : "cpu";
    meta.device = dry || cuda ? options_.device : "cpu";
    if (options_.backend == BackendKind::cpu && options_.threads > 1) {
      meta.device += fmt::format(", {} threads", options_.threads);
    }
    if (cuda && has_library_attention()) {
      meta.device += fmt::format(", attention by {}", options_.cuda->attention());
    }
    meta.allocator = memory_.allocator_name();
    meta.device_memory_bytes = memory_options_.device_bytes;
    if (options_.data != nullptr && !dry) meta.data_digest = options_.data->digest();
    return meta;
  }

  /// Attention that a library may make.
  [[nodiscard]] bool has_library_attention() const {
    return std::ranges::any_of(program_.ops,
                               [](const Op& op) { return integer_at(op, "bf16", 0) == 1; });
  }

  /// A time that the program brought along stays what it was, whatever clock a dry run moved.
  void keep_known_times(Trace& trace) const {
    for (std::size_t i = 0; i < trace.ops.size(); ++i) {
      if (program_.ops[i].duration_ns < 0) continue;
      trace.ops[i].duration_ns = program_.ops[i].duration_ns;
      trace.ops[i].time_source = program_.ops[i].time_source;
    }
  }

  const Trace& program_;
  const RunOptions& options_;
  Clock clock_;
  Recorder recorder_;
  MemorySource device_source_;
  MemorySource pinned_source_;
  std::optional<cuda::DevicePool> pool_;
  MemoryOptions memory_options_;
  ProgramMemory memory_;
  std::unique_ptr<Backend> backend_;
  std::vector<StepRecord> steps_;
  std::vector<Digest> digests_;
  std::vector<bool> is_digested_;  // by buffer
  bool in_step_ = false;
  std::optional<StreamWriter> stream_;
  struct {
    std::size_t events = 0;
    std::size_t steps = 0;
    std::size_t digests = 0;
  } streamed_;  // how many of them are in the stream
  std::chrono::steady_clock::time_point streamed_at_;
};

}  // namespace

struct ReadyRun::Body {
  Body(const Trace& program, const RunOptions& options)
      : cuda(options.backend == BackendKind::cuda ? options.cuda : nullptr),
        device(options.cuda_device),
        execution(program, options) {}
  ~Body() {
    if (cuda != nullptr) cuda->open(device);
  }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  const cuda::PluginApi* cuda;
  int device;
  Execution execution;
};

void open_device(const RunOptions& options) {
  if (options.backend != BackendKind::cuda) return;
  const int code = options.cuda->open(options.cuda_device);
  if (code == 0) return;
  throw InputError(
      fmt::format("CUDA device {}: {}", options.cuda_device, options.cuda->error_text(code)));
}

ReadyRun::ReadyRun(const Trace& program, const RunOptions& options) {
  require_executable(program, options);
  open_device(options);
  body_ = std::make_unique<Body>(program, options);
}

ReadyRun::~ReadyRun() = default;

RunResult ReadyRun::result() {
  return body_->execution.result();
}

RunResult execute(const Trace& program, const RunOptions& options) {
  return ReadyRun(program, options).result();
}

Trace run(const Trace& program, const RunOptions& options) {
  RunResult result = execute(program, options);
  if (result.shortage) throw OutOfMemory(*result.shortage);
  return std::move(result.trace);
}

}  // namespace tidemark
