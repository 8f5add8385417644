// Keeps the books of what the driver hands out: records of CUPTI in, rows of a trace out.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "profiler/cupti/reconcile.h"
#include "profiler/cupti/records.h"
#include "profiler/cupti/scope_names.h"
#include "traces/trace.h"

namespace tidemark {

/// Records may be added in any order; rows come out in the order of time. A trace of level 0 with
/// one buffer per allocation, in the layer of the range around the call. Behind each allocation
/// stands one op of its range, begun and ended at once: it carries the phase.
///
/// At each sample of cuMemGetInfo what no record explains is held by one buffer of category
/// framework, slack of memory pools by one of allocator_slack, so that the categories of a device
/// add up to what the device says is in use, within k_level_step_bytes.
class DeviceLedger {
 public:
  /// A held level that changes by less than this keeps its buffer.
  static constexpr std::int64_t k_level_step_bytes = std::int64_t{1} << 20;

  /// Times of the trace count from `origin_ns` of the session's clock. `names` outlives the ledger.
  DeviceLedger(std::int64_t origin_ns, const ScopeNames& names);

  void add(RecordBatch batch);

  /// What the recording itself takes on device 0 and on the host, from now on.
  void set_cost(std::int64_t device_bytes, std::int64_t host_bytes);

  /// Rows of all that happened before `until_ns` (of the session's clock) and was not taken yet, to
  /// be appended to the trace. A record that comes later than its time was taken gets the time of
  /// its neighbour; `late` counts those.
  [[nodiscard]] Trace take(std::int64_t until_ns);

  [[nodiscard]] const Health& health() const { return health_; }
  [[nodiscard]] std::int64_t late() const { return late_; }
  [[nodiscard]] std::int64_t allocations() const { return allocations_; }

  /// Per device at the sample at which most was in use, in the order of devices.
  [[nodiscard]] std::vector<Reconciliation> reconciliations() const;
  /// The same figures as the trace keeps them: capacity, most in use, most live at once.
  [[nodiscard]] std::vector<ArenaRecord> arenas() const;

  /// What is live by layer and source, largest first, at most `rows` lines and one for the rest.
  [[nodiscard]] std::string live_table(std::size_t rows) const;

 private:
  struct SpanEdge {
    SpanRecord span;
    bool is_begin = true;
  };
  using What =
      std::variant<StepMark, MemoryRecord, PoolRecord, RefusedAllocation, DeviceSample, SpanEdge>;
  struct Pending {
    std::int64_t time_ns = 0;
    std::uint32_t correlation = 0;
    What what;
  };
  struct Block {
    BufferId buffer;
    std::int64_t size_bytes = 0;
    std::int32_t device = 0;
    bool on_device = true;
    LayerId layer;
    std::string name;
  };
  struct Pool {
    std::int32_t device = 0;
    std::int64_t slack_bytes = 0;
  };
  struct DeviceState {
    std::int64_t live_bytes = 0;
    std::int64_t peak_live_bytes = 0;
    Reconciliation fullest;
  };
  struct OpKey {
    std::string name;
    std::int32_t stream = 0;
    std::int32_t layer = -1;
    Phase phase = Phase::other;
    auto operator<=>(const OpKey&) const = default;
  };
  using LevelKey = std::pair<Space, Category>;

  void apply(const StepMark& mark);
  void apply(const MemoryRecord& record);
  void apply(const PoolRecord& record);
  void apply(const RefusedAllocation& refused);
  void apply(const DeviceSample& sample);
  void apply(const SpanEdge& edge);

  void event(EventKind kind, std::int32_t index, std::int64_t address = -1, std::int64_t size = 0);
  BufferId new_buffer(const std::string& name, LayerId layer, Category category, Space space,
                      std::int64_t size_bytes);
  OpId op_of(const OpKey& key);
  std::int32_t stream_of(std::int32_t device, std::uint32_t stream, SpanKind kind);
  void release(std::map<std::uint64_t, Block>::iterator block);
  /// Lets one buffer stand for a quantity that is measured, not allocated.
  void hold(const LevelKey& key, const std::string& name, std::int64_t bytes);
  [[nodiscard]] Scope scope_of(std::uint32_t correlation) const;
  [[nodiscard]] std::int64_t slack_bytes(std::int32_t device) const;

  std::int64_t origin_ns_;
  const ScopeNames& names_;
  std::vector<Pending> pending_;
  std::unordered_map<std::uint32_t, std::pair<std::uint64_t, std::int64_t>>
      scopes_;  // scope, batch
  std::int64_t batches_ = 0;
  Trace rows_;  // since the last take
  std::size_t layers_ = 0;
  std::size_t streams_ = 0;
  std::size_t buffers_ = 0;  // rows given away before rows_
  std::size_t ops_ = 0;
  std::map<OpKey, OpId> op_rows_;
  std::map<std::pair<std::int32_t, std::int64_t>, std::int32_t> stream_rows_;
  std::map<std::uint64_t, Block> live_;  // by address: unique in the process
  std::map<std::uint64_t, Pool> pools_;
  std::map<std::int32_t, DeviceState> devices_;
  std::map<LevelKey, std::pair<BufferId, std::int64_t>> levels_;
  std::int64_t profiler_bytes_ = 0;
  std::int64_t now_ns_ = 0;
  std::int64_t taken_ns_ = 0;
  std::int32_t step_ = -1;
  std::int64_t late_ = 0;
  std::int64_t allocations_ = 0;
  Health health_;
};

}  // namespace tidemark
