// The trace model: what was allocated, by which op, in which layer, category and phase; and, at
// level 2, a program that the reference trainer can execute. FORMAT.md is the specification.
//
// All intervals are half-open [begin, end). Bytes, nanoseconds and counts are int64.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "traces/enums.h"
#include "traces/ids.h"

namespace tidemark {

/// Every buffer is rounded up to this many bytes when it is counted or placed.
inline constexpr std::int64_t k_granule_bytes = 256;

[[nodiscard]] constexpr std::int64_t round_up(std::int64_t bytes, std::int64_t to_bytes) {
  return (bytes + to_bytes - 1) / to_bytes * to_bytes;
}

/// A memory that has its own budget: the device of one rank, or a kind of host memory.
struct Space {
  SpaceKind kind = SpaceKind::device;
  std::int32_t rank = 0;
  friend auto operator<=>(const Space&, const Space&) = default;
};

/// A node of the layer tree. Leaves own ops and buffers; `parent` is a row before this one.
struct Layer {
  std::string name;  // full path, "block0.attention"
  std::string kind;  // "linear", "layer_norm", ...
  LayerId parent;
  bool operator==(const Layer&) const = default;
};

/// An in-order queue. Stream 0 is the compute stream that also issues allocations and frees.
struct Stream {
  std::string name;
  StreamKind kind = StreamKind::compute;
  double link_bytes_per_s = 0;  // copy streams: declared bandwidth; 0 = not declared
  std::int64_t latency_ns = 0;  // copy streams: time added to each copy
  bool operator==(const Stream&) const = default;
};

/// Ranks that issue the same sequence of collectives.
struct Group {
  std::string name;
  std::vector<std::int32_t> ranks;  // ascending
  bool operator==(const Group&) const = default;
};

/// Which part of a whole a sharded buffer holds. `count` 1 means not sharded.
struct Shard {
  GroupId group;
  std::int32_t index = 0;
  std::int32_t count = 1;
  std::int32_t dimension = 0;      // the dimension of the unsharded shape that is split
  std::int64_t padding_bytes = 0;  // bytes of size_bytes that hold no data, so that parts are equal
  bool operator==(const Shard&) const = default;
};

struct Buffer {
  std::string name;  // "block0.attention.probabilities"
  LayerId layer;
  Category category = Category::unknown;
  Space space;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::int64_t size_bytes = 0;  // exact, before rounding to k_granule_bytes
  std::int64_t alignment_bytes = k_granule_bytes;
  BufferId storage;                       // the buffer whose bytes this view shares; none = own
  std::int64_t storage_offset_bytes = 0;  // of the view in its storage
  Shard shard;
  std::int64_t offset_bytes = -1;  // placement in its space; -1 = not placed
  BufferId origin;                 // row in the source trace; the join key of diff
  std::int32_t copy = 0;           // 0 = the original
  DecisionId decision;             // the decision that added this buffer
  bool operator==(const Buffer&) const = default;
};

/// One use of a value = (buffer, version). `reads` and `writes` are versions, -1 = does not.
/// An operand with both is read-modify-write and writes = reads + 1.
struct Operand {
  std::string role;  // "x", "w", "dy", ... as the op table names it
  BufferId buffer;
  std::int32_t reads = -1;
  std::int32_t writes = -1;
  bool operator==(const Operand&) const = default;
};

/// A kernel attribute. An integer attribute at step s (0-based) is `integer + per_step * s`.
struct Attribute {
  std::string name;
  std::int64_t integer = 0;
  std::int64_t per_step = 0;
  double real = 0;
  std::string text;
  bool operator==(const Attribute&) const = default;
};

struct Op {
  std::string name;  // "block0.attention.forward"
  OpKind kind = OpKind::foreign;
  LayerId layer;
  Phase phase = Phase::other;
  StreamId stream{0};
  std::int32_t micro_batch = 0;
  std::vector<Operand> operands;  // in the order of the op table
  std::vector<Attribute> attributes;
  std::int64_t duration_ns = -1;  // of one execution; median over the steady steps when measured
  TimeSource time_source = TimeSource::none;
  OpId origin;            // row in the source trace
  std::int32_t copy = 0;  // 0 = the original
  DecisionId decision;    // the decision that added this op
  bool operator==(const Op&) const = default;
};

/// One line of a program, in issue order. Allocations and frees take effect here, at issue, never
/// at asynchronous completion.
struct Instruction {
  InstructionKind kind = InstructionKind::run;
  std::int32_t index = -1;  // BufferId for alloc and free, OpId for run
  [[nodiscard]] BufferId buffer() const { return BufferId{static_cast<std::size_t>(index)}; }
  [[nodiscard]] OpId op() const { return OpId{static_cast<std::size_t>(index)}; }
  bool operator==(const Instruction&) const = default;
};

/// init once, body once per step, eval after every meta.eval_every-th step, final once. Live-in and
/// live-out of the body and of eval are equal; eval changes nothing of what it finds.
struct Program {
  std::vector<Instruction> init;
  std::vector<Instruction> body;
  std::vector<Instruction> final;
  std::vector<Instruction> eval{};
  bool operator==(const Program&) const = default;
};

/// One decision of a plan: `buffer` is absent from the device after its last use before op `until`
/// and is there again for `until`, made anew or fetched from the host. Ids are rows of the source.
struct Decision {
  DecisionKind kind = DecisionKind::recompute;
  BufferId buffer;
  OpId until;
  OpId release_before;  // offload: the device copy is freed before this op (after its wait)
  OpId fetch_before;    // offload: the fetch is issued before this op
  std::string reason;   // one line for people
  bool operator==(const Decision&) const = default;
};

/// Pools of an allocator: 0 large and 1 small blocks of the default pools; 2 and 3 those of the
/// first private pool (a CUDA graph), and so on. For `alloc` only the private pool is meant.
inline constexpr std::int32_t k_small_pool = 1;

/// What happened, in recording order. Step s spans [step_begin, step_end); before the first
/// step_begin is init, after the last step_end is final.
struct Event {
  EventKind kind = EventKind::alloc;
  std::int64_t time_ns = 0;         // since the start of the recording
  std::int32_t index = -1;          // buffer, op or step by kind; -1 where there is none
  std::int64_t address_bytes = -1;  // alloc, segment_*: offset in the space
  std::int64_t size_bytes =
      0;  // alloc: bytes that the allocator set aside; segment_*, out_of_memory: bytes
  std::int32_t stream = 0;  // alloc, segment_*: row of the stream that they serve
  std::int32_t pool = 0;    // alloc, segment_*: of the allocator, k_small_pool and 2 * private pool
  bool operator==(const Event&) const = default;
};

struct StepRecord {
  std::int32_t step = 0;
  std::int64_t wall_ns = 0;
  std::int64_t cpu_ns = 0;  // of the compute thread, without waiting for other ranks
  double loss = 0;          // bit-exact; compared as bits
  bool has_loss = false;
  double eval_loss = 0;  // of the evaluation after this step; bit-exact
  bool has_eval_loss = false;
  std::int64_t eval_wall_ns = 0;  // of that evaluation; not part of wall_ns
  bool operator==(const StepRecord&) const = default;
};

/// Hash (XXH3, 64 bit) of a parameter or an optimizer state after a step.
struct Digest {
  std::int32_t step = 0;
  BufferId buffer;
  std::int64_t hash = 0;  // the 64 bits
  bool operator==(const Digest&) const = default;
};

/// What an arena counted by itself while the program ran.
struct ArenaRecord {
  Space space;
  std::int64_t capacity_bytes = 0;
  // Highest end of any block, from the arena's begin; cuda-async: most that the pool reserved.
  std::int64_t high_water_bytes = 0;
  std::int64_t peak_live_bytes = 0;  // most bytes live at once, rounded to k_granule_bytes
  std::int64_t most_used_bytes = 0;  // cuda-async: most that the pool had given out; else 0
  bool operator==(const ArenaRecord&) const = default;
};

/// One file of a multi-rank run, as listed by its index.
struct RankFile {
  std::int32_t rank = 0;
  std::string file;  // relative to the index
  bool operator==(const RankFile&) const = default;
};

/// Proof beside a plan. All -1 when absent.
struct PlanRecord {
  std::string method;
  std::int64_t budget_bytes = -1;        // asked for
  std::int64_t height_bytes = -1;        // of the placement on the device
  std::int64_t peak_bytes = -1;          // live, of one steady step
  std::int64_t step_ns = -1;             // predicted
  std::int64_t keep_all_step_ns = -1;    // predicted for the source, same clock
  std::int64_t bound_step_ns = -1;       // no plan within budget_bytes is faster
  std::int64_t bound_budget_bytes = -1;  // no plan of this program fits in less
  bool operator==(const PlanRecord&) const = default;
};

/// Everything that was lost or damaged, counted. All zero = complete.
struct Health {
  std::int64_t dropped_events = 0;
  std::int64_t unmatched_frees = 0;
  std::int64_t damaged_blocks = 0;
  std::int64_t skipped_blocks = 0;  // of a type that this version does not know
  std::int64_t truncated_bytes = 0;
  bool complete = true;  // the run was closed in order (also after Ctrl-C), not cut off
  bool operator==(const Health&) const = default;
};

struct Meta {
  TraceKind kind = TraceKind::recorded;
  std::int32_t level = 0;   // 0 memory events; 1 with dataflow and times; 2 executable
  std::string title;        // "gpt2-tiny batch 4 sequence 32 adamw"
  std::string config_json;  // the run configuration (sim/config.h): rebuilds the program
  std::string tool;         // "tidemark 0.1.0"
  std::string command;
  std::string backend;    // "cpu", "dry", "cuda"; empty when it never ran
  std::string allocator;  // "caching", "static"
  std::string device;
  std::int64_t device_memory_bytes = 0;
  std::int32_t rank = 0;
  std::int32_t rank_count = 1;
  std::string data_digest;
  std::string source;           // planned, measured: the trace that it came from
  std::int64_t eval_every = 0;  // steps from one evaluation to the next; 0 = there is none
  bool operator==(const Meta&) const = default;
};

/// Immutable once read. A planned trace is a Trace: it carries a program, the decisions that made
/// it, a placement and, in `steps` and `digests`, what its execution is expected to give.
struct Trace {
  Meta meta;
  PlanRecord plan;
  std::vector<RankFile> ranks;  // only in the index of a multi-rank run
  std::vector<Layer> layers;
  std::vector<Stream> streams;
  std::vector<Group> groups;
  std::vector<Buffer> buffers;
  std::vector<Op> ops;
  Program program;
  std::vector<Decision> decisions;
  std::vector<Event> events;
  std::vector<StepRecord> steps;
  std::vector<Digest> digests;
  std::vector<ArenaRecord> arenas;
  Health health;

  [[nodiscard]] const Layer& operator[](LayerId id) const { return layers[id.index()]; }
  [[nodiscard]] const Stream& operator[](StreamId id) const { return streams[id.index()]; }
  [[nodiscard]] const Buffer& operator[](BufferId id) const { return buffers[id.index()]; }
  [[nodiscard]] const Op& operator[](OpId id) const { return ops[id.index()]; }

  bool operator==(const Trace&) const = default;
};

/// True when the section eval runs after step `step` (0-based).
[[nodiscard]] inline bool evaluates_after(const Trace& trace, std::int64_t step) {
  const std::int64_t every = trace.meta.eval_every;
  return !trace.program.eval.empty() && every > 0 && (step + 1) % every == 0;
}

/// The sections of a program in the order of a run.
[[nodiscard]] inline std::array<const std::vector<Instruction>*, 4> sections_of(
    const Program& program) {
  return {&program.init, &program.body, &program.eval, &program.final};
}

/// The buffer that owns the bytes of `id`: itself, or what it is a view of.
[[nodiscard]] inline BufferId storage_of(const Trace& trace, BufferId id) {
  const BufferId parent = trace[id].storage;
  return parent.valid() ? parent : id;
}

/// Bytes that an owning buffer counts for: rounded up; a view counts for none.
[[nodiscard]] inline std::int64_t counted_bytes(const Buffer& buffer) {
  return buffer.storage.valid() ? 0 : round_up(buffer.size_bytes, k_granule_bytes);
}

[[nodiscard]] inline const Operand* find_operand(const Op& op, std::string_view role) {
  for (const Operand& operand : op.operands) {
    if (operand.role == role) return &operand;
  }
  return nullptr;
}

[[nodiscard]] inline const Attribute* find_attribute(const Op& op, std::string_view name) {
  for (const Attribute& attribute : op.attributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

/// Value of an integer attribute at a step, modulo 2^64; `fallback` when the op has no such
/// attribute.
[[nodiscard]] inline std::int64_t integer_at(const Op& op, std::string_view name, std::int64_t step,
                                             std::int64_t fallback = 0) {
  const Attribute* a = find_attribute(op, name);
  if (a == nullptr) return fallback;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a->integer) +
                                   static_cast<std::uint64_t>(a->per_step) *
                                       static_cast<std::uint64_t>(step));
}

[[nodiscard]] inline double real_of(const Op& op, std::string_view name, double fallback = 0) {
  const Attribute* a = find_attribute(op, name);
  return a == nullptr ? fallback : a->real;
}

}  // namespace tidemark
