// The backend that computes on a GPU. Ops are issued and not waited for: their times are those of
// events of the device, put into the recording when the device is idle.
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "profiler/backend.h"
#include "profiler/cuda/calls.h"
#include "profiler/cuda/staging.h"
#include "profiler/kernels/execute.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// Losses of one step wait here for the device: one for each micro-batch.
constexpr std::size_t k_most_losses = 4096;

class CudaBackend : public Backend {
 public:
  CudaBackend(const Workplace& place, const Dataset* data, const CudaPlace& cuda)
      : place_(place),
        data_(data),
        api_(*cuda.api),
        communicator_(cuda.communicator),
        owns_compute_stream_(cuda.compute_stream == nullptr),
        token_end_(smallest_table(place.trace)),
        staging_(api_) {
    const std::size_t streams = std::max<std::size_t>(place.trace.streams.size(), 1);
    streams_.push_back(cuda.compute_stream);
    if (owns_compute_stream_) check(api_.make_stream(&streams_[0]));
    while (streams_.size() < streams) {
      streams_.push_back(nullptr);
      check(api_.make_stream(&streams_.back()));
    }
    void* losses = nullptr;
    check(api_.allocate(cuda::Memory::pinned, k_most_losses * sizeof(float), &losses));
    losses_ = static_cast<float*>(losses);
  }

  ~CudaBackend() override {
    for (void* stream : streams_) api_.synchronize(stream);
    for (std::size_t i = owns_compute_stream_ ? 0 : 1; i < streams_.size(); ++i) {
      api_.drop_stream(streams_[i]);
    }
    for (void* event : events_) api_.drop_event(event);
    for (const auto& [number, event] : program_events_) api_.drop_event(event);
    if (base_ != nullptr) api_.drop_event(base_);
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
    for (void* stream : streams_) wait_for(stream);
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
    double sum = 0;
    for (std::size_t i = 0; i < loss_count_; ++i) sum += static_cast<double>(losses_[i]);
    const auto count = static_cast<double>(std::exchange(loss_count_, 0));
    return mean_of_ranks(communicator_, sum, count);
  }

  [[nodiscard]] std::vector<std::vector<std::int32_t>> tokens() const override { return tokens_; }

  std::optional<std::int64_t> digest(BufferId id) override {
    std::vector<std::byte> content(static_cast<std::size_t>(place_.trace[id].size_bytes));
    check(api_.copy(content.data(), place_.memory.pointer(id), content.size(), streams_[0]));
    wait_for(streams_[0]);
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

  /// While the device works. It may wait for others that will not come: then this throws.
  void rest() const {
    if (communicator_ != nullptr) communicator_->require_going();
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }

  void wait_for(void* stream) const {
    if (communicator_ == nullptr) return check(api_.synchronize(stream));
    for (bool is_idle = false; !is_idle;) {
      check(api_.query(stream, &is_idle));
      if (!is_idle) rest();
    }
  }

  /// Rows of the smallest table that tokens or targets index: an index beyond it, which planned
  /// traces and foreign data may have, would read beyond the table.
  static std::int32_t smallest_table(const Trace& trace) {
    std::int64_t end = std::numeric_limits<std::int32_t>::max();
    for (const Op& op : trace.ops) {
      const bool looks_up = find_operand(op, "tokens") != nullptr;
      for (const char* role : {"wte", "dwte", "w", "dw"}) {
        const Operand* table = looks_up ? find_operand(op, role) : nullptr;
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
    if (is_collective(op.kind)) return meet(op, stream);
    if (op.kind == OpKind::load_batch) return load(op, step, stream);
    if (is_made_on_host(op.kind)) return make_on_host(op, step, stream);
    pointers_.clear();
    for (const Operand& o : op.operands) pointers_.push_back(place_.memory.pointer(o.buffer));
    for (const cuda::Call& call : cuda_calls({place_.trace, op, step, pointers_, data_})) {
      check(api_.launch(&call, stream));
    }
    if (op.kind == OpKind::most_likely) keep_tokens(op, stream);
  }

  /// Waits for the copy: the next op may look the tokens up, or choose again.
  void keep_tokens(const Op& op, void* stream) {
    const BufferId id = op.operands[1].buffer;
    const auto sequences = static_cast<std::size_t>(element_count(place_.trace[id]));
    std::vector<std::byte> chosen(sequences * sizeof(std::int32_t));
    check(api_.copy(chosen.data(), place_.memory.pointer(id), chosen.size(), stream));
    check(api_.synchronize(stream));
    require_in_table(op, chosen);
    tokens_.resize(std::max(tokens_.size(), sequences));
    for (std::size_t i = 0; i < sequences; ++i) {
      std::memcpy(&tokens_[i].emplace_back(), chosen.data() + i * sizeof(std::int32_t),
                  sizeof(std::int32_t));
    }
  }

  void report_loss(const Op& op, void* stream) {
    if (loss_count_ == k_most_losses) {
      throw InputError({{}, "op '" + op.name + "'", "at most 4096 losses in a step", "more"});
    }
    check(api_.copy(losses_ + loss_count_++, place_.memory.pointer(op.operands[0].buffer),
                    sizeof(float), stream));
  }

  /// The executor has seen that there is a communicator.
  void meet(const Op& op, void* stream) const {
    CollectiveCall call = collective_call(place_, op);
    call.stream = stream;
    communicator_->run(call);
  }

  /// Goes on while the batch is on its way.
  void load(const Op& op, std::int64_t step, void* stream) {
    std::size_t bytes = 0;
    for (const Operand& o : op.operands) bytes += size_of(o);
    std::byte* const begin = staging_.next(bytes, [this] { rest(); });
    send(op, step, begin, stream);
    staging_.sent(stream);
  }

  /// Waits for the copies: the values, which may be those of all weights, live in memory of this
  /// call.
  void make_on_host(const Op& op, std::int64_t step, void* stream) {
    std::size_t bytes = 0;
    for (const Operand& o : op.operands) bytes += size_of(o);
    std::vector<std::byte> values(bytes);
    send(op, step, values.data(), stream);
    wait_for(stream);
  }

  [[nodiscard]] std::size_t size_of(const Operand& o) const {
    return static_cast<std::size_t>(place_.trace[o.buffer].size_bytes);
  }

  /// The host computes the operands, one behind the other from `begin` on, and they are sent.
  void send(const Op& op, std::int64_t step, std::byte* begin, void* stream) {
    pointers_.clear();
    for (const Operand& o : op.operands) {
      pointers_.push_back(begin);
      begin += size_of(o);
    }
    execute_kernel({place_.trace, op, step, pointers_, data_});
    for (std::size_t i = 0; i < op.operands.size(); ++i) {
      const Operand& o = op.operands[i];
      if (place_.trace[o.buffer].dtype == DType::i32) {
        require_in_table(op, {pointers_[i], size_of(o)});
      }
      check(api_.copy(place_.memory.pointer(o.buffer), pointers_[i], size_of(o), stream));
    }
  }

  void require_in_table(const Op& op, std::span<const std::byte> bytes) const {
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
  Communicator* communicator_;
  bool owns_compute_stream_;
  std::int32_t token_end_;
  cuda::Staging staging_;
  std::vector<void*> streams_;  // by row of the trace; 0 computes
  std::vector<void*> events_;
  std::size_t next_event_ = 0;
  std::map<std::int64_t, void*> program_events_;
  std::vector<Timed> timed_;  // since the last drain
  void* base_ = nullptr;
  std::int64_t base_ns_ = 0;
  std::vector<std::byte*> pointers_;  // of the op that is issued
  std::vector<std::vector<std::int32_t>> tokens_;
  float* losses_ = nullptr;  // pinned
  std::size_t loss_count_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const Workplace& place, const Dataset* data,
                                           const CudaPlace& cuda) {
  return std::make_unique<CudaBackend>(place, data, cuda);
}

}  // namespace tidemark
