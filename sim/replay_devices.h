// The devices that a replay gives to an allocator model: one that is watched, and one that does
// what a recording says.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <utility>

#include "sim/allocator_model.h"
#include "traces/trace.h"

namespace tidemark {

/// Memory that was taken from the device, or given back to it.
struct Exchange {
  std::int64_t address = 0;
  std::int64_t bytes = 0;  // > 0
  std::int32_t stream = 0;
  bool given_back = false;
};
using OnExchange = std::function<void(const Exchange&)>;

/// Whose growth is watched.
class WatchedDevice final : public DeviceMemory {
 public:
  WatchedDevice(std::int64_t capacity_bytes, OnExchange on_exchange)
      : plain_(capacity_bytes), on_exchange_(std::move(on_exchange)) {}

  std::int64_t take(std::int64_t bytes, std::int32_t stream) override {
    const std::int64_t address = plain_.take(bytes, stream);
    if (address >= 0) on_exchange_({address, bytes, stream});  // what is refused is no growth
    return address;
  }
  void give_back(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    plain_.give_back(address, bytes, stream);
    on_exchange_({address, bytes, stream, true});
  }
  std::int64_t take_range(std::int64_t bytes, std::int32_t stream) override {
    return plain_.take_range(bytes, stream);
  }
  bool map(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    if (!plain_.map(address, bytes, stream)) return false;
    on_exchange_({address, bytes, stream});
    return true;
  }
  void unmap(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    plain_.unmap(address, bytes, stream);
    on_exchange_({address, bytes, stream, true});
  }
  [[nodiscard]] std::int64_t capacity_bytes() const override { return plain_.capacity_bytes(); }

 private:
  PlainDevice plain_;
  OnExchange on_exchange_;
};

/// The device as it was recorded: it gives the recorded segments in the recorded order, and counts
/// what the model does otherwise.
class RecordedDevice final : public DeviceMemory {
 public:
  explicit RecordedDevice(OnExchange on_exchange) : on_exchange_(std::move(on_exchange)) {}

  std::deque<Event> pending{};  // segment events that stand before the current allocation
  bool refuses = false;         // the recorded request failed
  std::int64_t wrong = 0;

  std::int64_t take(std::int64_t bytes, std::int32_t stream) override {
    const bool given = !pending.empty() && pending.front().kind == EventKind::segment_alloc;
    if (refuses && !given) return -1;
    const std::int64_t address = given ? recorded_or_elsewhere(bytes, stream) : elsewhere(bytes);
    if (!given) ++wrong;
    on_exchange_({address, bytes, stream});
    return address;
  }
  void give_back(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    held_.erase(address);
    expect(EventKind::segment_free, address, bytes);
    on_exchange_({address, bytes, stream, true});
  }
  std::int64_t take_range(std::int64_t bytes, std::int32_t) override {
    if (!pending.empty() && pending.front().address_bytes >= 0 &&
        pending.front().kind == EventKind::segment_map) {
      return pending.front().address_bytes;
    }
    return refuses ? -1 : elsewhere(bytes);
  }
  bool map(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    if (refuses && pending.empty()) return false;
    expect(EventKind::segment_map, address, bytes);
    on_exchange_({address, bytes, stream});
    return true;
  }
  void unmap(std::int64_t address, std::int64_t bytes, std::int32_t stream) override {
    expect(EventKind::segment_unmap, address, bytes);
    on_exchange_({address, bytes, stream, true});
  }
  [[nodiscard]] std::int64_t capacity_bytes() const override { return 0; }

  /// A segment that is held: what overlaps it is not believed.
  void hold(std::int64_t address, std::int64_t bytes) { held_[address] = bytes; }

  /// What the recording did and the model did not.
  void close() {
    wrong += static_cast<std::int64_t>(pending.size());
    pending.clear();
  }

 private:
  Event pop() {
    const Event e = pending.front();
    pending.pop_front();
    return e;
  }
  void expect(EventKind kind, std::int64_t address, std::int64_t bytes) {
    if (pending.empty() || pending.front().kind != kind) {
      ++wrong;
      return;
    }
    const Event e = pop();
    if (e.address_bytes != address || e.size_bytes != bytes) ++wrong;
  }
  /// Address of the segment that the recording gave here, when it is the one that is asked for.
  std::int64_t recorded_or_elsewhere(std::int64_t bytes, std::int32_t stream) {
    const Event e = pop();
    const bool fits = e.size_bytes == bytes && e.stream == stream && e.address_bytes >= 0;
    if (!fits || !is_free(e.address_bytes, bytes)) {
      ++wrong;
      return elsewhere(bytes);
    }
    hold(e.address_bytes, bytes);
    return e.address_bytes;
  }
  std::int64_t elsewhere(std::int64_t bytes) {
    const std::int64_t address = next_;
    next_ += round_up(bytes, k_granule_bytes);
    return address;
  }

  [[nodiscard]] bool is_free(std::int64_t address, std::int64_t bytes) const {
    const auto after = held_.upper_bound(address);
    if (after != held_.end() && after->first - address < bytes) return false;
    if (after == held_.begin()) return true;
    const auto before = std::prev(after);
    return address - before->first >= before->second;
  }

  OnExchange on_exchange_;
  std::map<std::int64_t, std::int64_t> held_;  // size by address
  std::int64_t next_ = std::int64_t{1} << 61;  // beyond every recorded address
};

}  // namespace tidemark
