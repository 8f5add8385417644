// The backend that computes nothing: it moves a virtual clock, so any model takes milliseconds.
#include <algorithm>
#include <map>
#include <vector>

#include "profiler/backend.h"
#include "profiler/copy_stream.h"

namespace tidemark {
namespace {

class DryBackend : public Backend {
 public:
  DryBackend(const Workplace& place, const Device& device)
      : place_(place), ready_ns_(std::max<std::size_t>(place.trace.streams.size(), 1), 0) {
    for (const Op& op : place.trace.ops) durations_ns_.push_back(duration_ns(device, op));
  }

  void run(OpId id, std::int64_t) override {
    const Op& op = place_.trace[id];
    const std::size_t stream = op.stream.valid() ? op.stream.index() : 0;
    if (stream == 0) place_.recorder.op_begin(id);
    // Nothing starts before it is issued.
    const std::int64_t begin_ns = std::max(ready_ns_[stream], place_.clock.now_ns());
    std::int64_t end_ns = begin_ns + durations_ns_[id.index()];
    if (op.kind == OpKind::wait_event) {
      end_ns = std::max(end_ns, recorded_ns_[integer_at(op, "event", 0)]);
    }
    if (op.kind == OpKind::record_event) recorded_ns_[integer_at(op, "event", 0)] = end_ns;
    ready_ns_[stream] = end_ns;
    if (stream != 0) return spans_.push_back({id, begin_ns, end_ns});
    place_.clock.advance_to(end_ns);
    place_.recorder.op_end(id);
  }

  void drain() override {
    place_.clock.advance_to(*std::max_element(ready_ns_.begin(), ready_ns_.end()));
    place_.recorder.merge(spans_);
    spans_.clear();
  }

  std::optional<double> take_loss() override { return std::nullopt; }
  std::optional<std::int64_t> digest(BufferId) override { return std::nullopt; }

 private:
  [[nodiscard]] std::int64_t duration_ns(const Device& device, const Op& op) const {
    // How long a wait takes is a matter of what it waits for.
    if (op.kind == OpKind::wait_event || op.kind == OpKind::record_event) return 0;
    if (op.duration_ns >= 0) return op.duration_ns;
    const Stream& stream = place_.trace[op.stream.valid() ? op.stream : StreamId{0}];
    if (op.kind == OpKind::copy && stream.link_bytes_per_s > 0) {
      return transfer_ns({stream.link_bytes_per_s, stream.latency_ns},
                         place_.trace[op.operands[0].buffer].size_bytes);
    }
    return modelled_ns(device, place_.trace, op);
  }

  Workplace place_;
  std::vector<std::int64_t> durations_ns_;            // per op
  std::vector<std::int64_t> ready_ns_;                // per stream: its last op is done
  std::map<std::int64_t, std::int64_t> recorded_ns_;  // per event
  std::vector<CopySpan> spans_;
};

}  // namespace

std::unique_ptr<Backend> make_dry_backend(const Workplace& place, const Device& device) {
  return std::make_unique<DryBackend>(place, device);
}

}  // namespace tidemark
