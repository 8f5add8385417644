// The backend that computes: kernels on the calling thread and its pool, one thread per copy
// stream.
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "profiler/backend.h"
#include "profiler/copy_stream.h"
#include "profiler/kernels/execute.h"
#include "profiler/thread_pool.h"
#include "traces/error.h"

namespace tidemark {
namespace {

class CpuBackend : public Backend {
 public:
  CpuBackend(const Workplace& place, const Dataset* data, std::int64_t threads,
             Communicator* communicator)
      : place_(place), data_(data), pool_(threads), communicator_(communicator) {
    for (std::size_t i = 1; i < place_.trace.streams.size(); ++i) {
      const Stream& stream = place_.trace.streams[i];
      copy_streams_.push_back(std::make_unique<CopyStream>(
          place_.clock, LinkSpeed{stream.link_bytes_per_s, stream.latency_ns}));
    }
  }

  /// One stream may wait for another: all must be idle before the first is destroyed.
  ~CpuBackend() override { wait_for_all(); }
  CpuBackend(const CpuBackend&) = delete;
  CpuBackend& operator=(const CpuBackend&) = delete;

  void run(OpId id, std::int64_t step) override {
    const Op& op = place_.trace[id];
    if (op.stream.value > 0) return enqueue(id, op);
    resolve(op);
    place_.recorder.op_begin(id);
    compute(op, step);
    place_.recorder.op_end(id);
  }

  void drain() override {
    wait_for_all();
    std::vector<CopySpan> all;
    for (const auto& stream : copy_streams_) {
      const std::vector<CopySpan> spans = stream->take_spans();
      all.insert(all.end(), spans.begin(), spans.end());
    }
    place_.recorder.merge(all);
    for (const auto& stream : copy_streams_) stream->rethrow_failure();
  }

  std::optional<double> take_loss() override {
    const double sum = std::exchange(loss_sum_, 0);
    return mean_of_ranks(communicator_, sum, std::exchange(losses_, 0));
  }

  [[nodiscard]] std::vector<std::vector<std::int32_t>> tokens() const override { return tokens_; }

  std::optional<std::int64_t> digest(BufferId id) override {
    const auto bytes = static_cast<std::size_t>(place_.trace[id].size_bytes);
    return static_cast<std::int64_t>(XXH3_64bits(place_.memory.pointer(id), bytes));
  }

 private:
  void wait_for_all() const {
    for (const auto& stream : copy_streams_) stream->drain();
  }

  void resolve(const Op& op) {
    pointers_.clear();
    for (const Operand& operand : op.operands) {
      pointers_.push_back(place_.memory.pointer(operand.buffer));
    }
  }

  /// An op of the compute stream.
  void compute(const Op& op, std::int64_t step) {
    const KernelCall call{place_.trace, op, step, pointers_, data_, &pool_};
    switch (op.kind) {
      case OpKind::record_event:
        events_[event_of(op)] = {};
        return;
      case OpKind::wait_event:
        if (const QueueMark mark = mark_of(op); mark.stream != nullptr) {
          mark.stream->wait_until_done(mark.position);
          mark.stream->rethrow_failure();
        }
        return;
      case OpKind::copy:
        std::memcpy(pointers_[1], pointers_[0], copied_bytes(op));
        return;
      case OpKind::report_loss:
        loss_sum_ += reported_loss(call);
        ++losses_;
        return;
      default:
        break;
    }
    // The executor has seen that there is a communicator.
    if (is_collective(op.kind)) return communicator_->run(collective_call(place_, op));
    try {
      execute_kernel(call);
    } catch (const InputError& error) {
      throw InputError("op '" + op.name + "': " + error.what());
    }
    if (op.kind == OpKind::most_likely) keep_tokens(call);
  }

  void keep_tokens(const KernelCall& call) {
    const auto* chosen = call.pointer<const std::int32_t>("tokens");
    const auto sequences = static_cast<std::size_t>(call.elements("tokens"));
    tokens_.resize(std::max(tokens_.size(), sequences));
    for (std::size_t i = 0; i < sequences; ++i) tokens_[i].push_back(chosen[i]);
  }

  /// An op of a copy stream: done later, in order, by its thread.
  void enqueue(OpId id, const Op& op) {
    CopyStream& stream = *copy_streams_[op.stream.index() - 1];
    CopyTask task{.op = id};
    if (op.kind == OpKind::copy) {
      task.from = place_.memory.pointer(op.operands[0].buffer);
      task.to = place_.memory.pointer(op.operands[1].buffer);
      task.size_bytes = static_cast<std::int64_t>(copied_bytes(op));
    }
    if (op.kind == OpKind::wait_event) task.wait_for = mark_of(op);
    if (is_collective(op.kind)) {
      task.work = [this, call = collective_call(place_, op)] { communicator_->run(call); };
    }
    stream.enqueue(task);
    if (op.kind == OpKind::record_event) events_[event_of(op)] = stream.mark();
  }

  [[nodiscard]] std::size_t copied_bytes(const Op& op) const {
    return static_cast<std::size_t>(place_.trace[op.operands[0].buffer].size_bytes);
  }
  static std::int64_t event_of(const Op& op) { return integer_at(op, "event", 0); }

  /// Where the event was last recorded. The checker has seen that it was.
  [[nodiscard]] QueueMark mark_of(const Op& op) const {
    const auto event = events_.find(event_of(op));
    return event == events_.end() ? QueueMark{} : event->second;
  }

  Workplace place_;
  const Dataset* data_;
  ThreadPool pool_;
  std::vector<std::unique_ptr<CopyStream>> copy_streams_;  // streams 1, 2, ...
  std::map<std::int64_t, QueueMark> events_;
  std::vector<std::byte*> pointers_;  // of the op that runs
  std::vector<std::vector<std::int32_t>> tokens_;
  Communicator* communicator_;
  double loss_sum_ = 0;
  double losses_ = 0;  // how many; a whole number
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const Workplace& place, const Dataset* data,
                                          std::int64_t threads, Communicator* communicator) {
  return std::make_unique<CpuBackend>(place, data, threads, communicator);
}

}  // namespace tidemark
