// The backend that computes on a GPU. Ops are issued and not waited for: their times are those of
// events of the device, put into the recording when the device is idle.
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "profiler/backend.h"
#include "profiler/cuda/calls.h"
#include "profiler/kernels/execute.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// Losses of one step wait here for the device: one for each micro-batch.
constexpr std::size_t k_most_losses = 4096;

class CudaBackend : public Backend {
 public:
  CudaBackend(const Workplace& place, const Dataset* data, const cuda::PluginApi& api)
      : place_(place), data_(data), api_(api), token_end_(smallest_table(place.trace)) {
    const std::size_t streams = std::max<std::size_t>(place.trace.streams.size(), 1);
    for (std::size_t i = 0; i < streams; ++i) {
      streams_.push_back(nullptr);
      check(api_.make_stream(&streams_.back()));
    }
    void* losses = nullptr;
    check(api_.allocate(cuda::Memory::pinned, k_most_losses * sizeof(float), &losses));
    losses_ = static_cast<float*>(losses);
  }

  ~CudaBackend() override {
    for (void* stream : streams_) api_.synchronize(stream);
    api_.release(cuda::Memory::pinned, losses_);
  }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  void run(OpId id, std::int64_t step) override {
    const Op& op = place_.trace[id];
    const std::size_t row = op.stream.valid() ? op.stream.index() : 0;
    void* const stream = streams_[row];
    begin_timing();
    if (row == 0) place_.recorder.op_begin(id);
    Timed timed{id, row == 0, new_event(), nullptr};
    check(api_.record(timed.begin, stream));
    api_.push_range(range_of(op).c_str());
    issue(op, step, stream);
    api_.pop_range();
    timed.end = new_event();
    check(api_.record(timed.end, stream));
    timed_.push_back(timed);
    if (row == 0) place_.recorder.op_end(id);
  }

  void drain() override {
    for (void* stream : streams_) check(api_.synchronize(stream));
    std::vector<CopySpan> computed;
    std::vector<CopySpan> copied;
    for (const Timed& timed : timed_) {
      const CopySpan span{timed.op, since_base_ns(timed.begin), since_base_ns(timed.end)};
      (timed.on_compute_stream ? computed : copied).push_back(span);
    }
    timed_.clear();
    next_event_ = 0;  // those of the program are kept apart
    place_.recorder.restamp(computed);
    place_.recorder.merge(copied);
  }

  std::optional<double> take_loss() override {
    if (loss_count_ == 0) return std::nullopt;
    double sum = 0;
    for (std::size_t i = 0; i < loss_count_; ++i) sum += static_cast<double>(losses_[i]);
    return sum / static_cast<double>(std::exchange(loss_count_, 0));
  }

  std::optional<std::int64_t> digest(BufferId id) override {
    std::vector<std::byte> content(static_cast<std::size_t>(place_.trace[id].size_bytes));
    check(api_.copy(content.data(), place_.memory.pointer(id), content.size(), streams_[0]));
    check(api_.synchronize(streams_[0]));
    return static_cast<std::int64_t>(XXH3_64bits(content.data(), content.size()));
  }

 private:
  struct Timed {
    OpId op;
    bool on_compute_stream = true;
    void* begin = nullptr;
    void* end = nullptr;
  };

  /// A device that fails in the middle of a run is gone: nothing of the run can go on.
  void check(int code) const {
    if (code != 0) throw InputError(std::string("CUDA device: ") + api_.error_text(code));
  }

  /// Rows of the smallest table that tokens or targets index: an index beyond it, which planned
  /// traces and foreign data may have, would read beyond the table.
  static std::int32_t smallest_table(const Trace& trace) {
    std::int64_t end = std::numeric_limits<std::int32_t>::max();
    for (const Op& op : trace.ops) {
      const bool has_tokens = find_operand(op, "tokens") != nullptr;
      for (const char* role : {"wte", "dwte", "w", "dw"}) {
        const Operand* table = has_tokens ? find_operand(op, role) : nullptr;
        if (table != nullptr) end = std::min(end, row_count(trace[table->buffer]));
      }
      const Operand* logits = find_operand(op, "logits");
      if (logits != nullptr && find_operand(op, "target") != nullptr) {
        end = std::min(end, column_count(trace[logits->buffer]));
      }
    }
    return static_cast<std::int32_t>(end);
  }

  void* new_event() {
    if (next_event_ == events_.size()) {
      events_.push_back(nullptr);
      check(api_.make_event(&events_.back()));
    }
    return events_[next_event_++];
  }

  /// The device was idle when its first event of a section is recorded: then both clocks agree.
  void begin_timing() {
    if (!timed_.empty()) return;
    if (base_ == nullptr) check(api_.make_event(&base_));
    base_ns_ = place_.clock.now_ns();
    check(api_.record(base_, streams_[0]));
  }

  std::int64_t since_base_ns(void* event) const {
    std::int64_t ns = 0;
    check(api_.elapsed_ns(base_, event, &ns));
    return base_ns_ + std::max<std::int64_t>(ns, 0);
  }

  [[nodiscard]] std::string range_of(const Op& op) const {
    const std::string layer = op.layer.valid() ? place_.trace[op.layer].name : op.name;
    return layer + " " + std::string(to_string(op.phase));
  }

  void issue(const Op& op, std::int64_t step, void* stream) {
    switch (op.kind) {
      case OpKind::record_event:
        return check(api_.record(program_event(op), stream));
      case OpKind::wait_event:
        return check(api_.wait(stream, program_event(op)));
      case OpKind::copy:
        return check(api_.copy(
            place_.memory.pointer(op.operands[1].buffer),
            place_.memory.pointer(op.operands[0].buffer),
            static_cast<std::size_t>(place_.trace[op.operands[0].buffer].size_bytes), stream));
      case OpKind::report_loss:
        return report_loss(op, stream);
      default:
        break;
    }
    if (is_made_on_host(op.kind)) return make_on_host(op, step, stream);
    pointers_.clear();
    for (const Operand& o : op.operands) pointers_.push_back(place_.memory.pointer(o.buffer));
    for (const cuda::Call& call : cuda_calls({place_.trace, op, step, pointers_, data_})) {
      check(api_.launch(&call, stream));
    }
  }

  void report_loss(const Op& op, void* stream) {
    if (loss_count_ == k_most_losses) {
      throw InputError({{}, "op '" + op.name + "'", "at most 4096 losses in a step", "more"});
    }
    check(api_.copy(losses_ + loss_count_++, place_.memory.pointer(op.operands[0].buffer),
                    sizeof(float), stream));
  }

  /// Waits for the copies: the values live in memory of this call.
  void make_on_host(const Op& op, std::int64_t step, void* stream) {
    std::vector<std::vector<std::byte>> values;
    pointers_.clear();
    for (const Operand& o : op.operands) {
      values.emplace_back(static_cast<std::size_t>(place_.trace[o.buffer].size_bytes));
      pointers_.push_back(values.back().data());
    }
    execute_kernel({place_.trace, op, step, pointers_, data_});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const BufferId id = op.operands[i].buffer;
      if (place_.trace[id].dtype == DType::i32) require_in_table(op, values[i]);
      check(api_.copy(place_.memory.pointer(id), values[i].data(), values[i].size(), stream));
    }
    check(api_.synchronize(stream));
  }

  void require_in_table(const Op& op, const std::vector<std::byte>& bytes) const {
    for (std::size_t at = 0; at + sizeof(std::int32_t) <= bytes.size(); at += 4) {
      std::int32_t index = 0;
      std::memcpy(&index, bytes.data() + at, sizeof index);
      if (index >= 0 && index < token_end_) continue;
      throw InputError({{},
                        "op '" + op.name + "'",
                        "tokens and classes in [0, " + std::to_string(token_end_) + ")",
                        std::to_string(index)});
    }
  }

  void* program_event(const Op& op) {
    void*& event = program_events_[integer_at(op, "event", 0)];
    if (event == nullptr) check(api_.make_event(&event));
    return event;
  }

  Workplace place_;
  const Dataset* data_;
  const cuda::PluginApi& api_;
  std::int32_t token_end_;
  std::vector<void*> streams_;  // by row of the trace; 0 computes
  std::vector<void*> events_;
  std::size_t next_event_ = 0;
  std::map<std::int64_t, void*> program_events_;
  std::vector<Timed> timed_;  // since the last drain
  void* base_ = nullptr;
  std::int64_t base_ns_ = 0;
  std::vector<std::byte*> pointers_;  // of the op that is issued
  float* losses_ = nullptr;           // pinned
  std::size_t loss_count_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const Workplace& place, const Dataset* data,
                                           const cuda::PluginApi& api) {
  return std::make_unique<CudaBackend>(place, data, api);
}

}  // namespace tidemark
