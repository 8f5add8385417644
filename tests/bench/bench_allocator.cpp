// How exactly and how fast PyTorch's allocator is modelled, on memory snapshots of others.
//   bench_allocator DIR|FILES... [--json]
// For each device: the replay with the recorded segment addresses (every address, every segment and
// the final layout must be the recorded ones), the replay with made-up addresses (the bytes must be
// the same), and the speed of the model alone. Exit code 1 when anything differs, 2 for bad input.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "sim/allocator_replay.h"
#include "sim/pytorch_allocator.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/import_snapshot.h"
#include "traces/snapshot.h"

namespace tidemark {
namespace {

struct Row {
  std::string name;
  double seconds = 0;  // CPU time of the replay with recorded addresses
  std::int64_t events = 0;
  std::int64_t allocations = 0;
  std::int64_t reserved_error_bytes = 0;  // the largest of peak and end, either replay
  std::int64_t active_error_bytes = 0;
  std::int64_t wrong_addresses = 0;
  std::int64_t wrong_segments = 0;  // with blocks of the final layout
  std::int64_t unmatched_frees = 0;
  std::int64_t released_as_recorded = 0;
  std::int64_t reserved_peak_bytes = 0;
  std::int64_t active_peak_bytes = 0;
  double pairs_per_s = 0;
  double replay_events_per_s = 0;
  [[nodiscard]] bool valid() const {
    return reserved_error_bytes == 0 && active_error_bytes == 0 && wrong_addresses == 0 &&
           wrong_segments == 0 && unmatched_frees == 0;
  }
};

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Peaks and ends from the recorded events alone, without any model.
struct Recorded {
  std::int64_t reserved_peak = 0, reserved = 0;
  std::int64_t active_peak = 0, active = 0;
};

Recorded recorded_of(const Trace& trace) {
  Recorded r;
  std::vector<std::int64_t> held(trace.buffers.size(), 0);
  bool recording = std::ranges::find(trace.events, EventKind::recording_begin, &Event::kind) ==
                   trace.events.end();
  for (const Event& e : trace.events) {
    const auto row = static_cast<std::size_t>(std::max(e.index, 0));
    if (e.kind == EventKind::recording_begin) recording = true;
    if (e.kind == EventKind::segment_alloc || e.kind == EventKind::segment_map) {
      r.reserved += e.size_bytes;
    } else if (e.kind == EventKind::segment_free || e.kind == EventKind::segment_unmap) {
      r.reserved -= e.size_bytes;
    } else if (e.kind == EventKind::alloc) {
      held[row] = e.size_bytes;
      r.active += e.size_bytes;
    } else if (e.kind == EventKind::free) {
      r.active -= held[row];
    }
    if (!recording) continue;
    r.reserved_peak = std::max(r.reserved_peak, r.reserved);
    r.active_peak = std::max(r.active_peak, r.active);
  }
  return r;
}

/// Blocks of the final layout that are not where the snapshot has them.
std::int64_t wrong_blocks(const Snapshot& snapshot, std::int64_t device,
                          const std::vector<AllocatorSegment>& model) {
  using Block = std::tuple<std::int64_t, std::int64_t, BlockState>;
  std::vector<Block> expected;
  for (const SnapshotSegment& s : snapshot.segments) {
    if (s.device != device) continue;
    for (const SnapshotBlock& b : s.blocks) expected.emplace_back(b.address, b.size_bytes, b.state);
  }
  std::vector<Block> found;
  for (const AllocatorSegment& s : model) {
    for (const AllocatorBlock& b : s.blocks) {
      const BlockState in_use =
          b.is_pending ? BlockState::active_pending_free : BlockState::active_allocated;
      found.emplace_back(b.address, b.size_bytes, b.handle < 0 ? BlockState::inactive : in_use);
    }
  }
  std::ranges::sort(expected);
  std::ranges::sort(found);
  std::vector<Block> both;
  std::ranges::set_intersection(expected, found, std::back_inserter(both));
  return static_cast<std::int64_t>(std::max(expected.size(), found.size()) - both.size());
}

/// Allocations and frees of one lap: what lives at the begin first, and everything freed at the
/// end, so that a lap can follow a lap.
struct Lap {
  struct Op {
    std::int32_t buffer = 0;
    bool is_alloc = false;
    AllocatorRequest request;
  };
  std::vector<Op> ops;
  std::int64_t pairs = 0;
};

Lap lap_of(const Trace& trace) {
  Lap lap;
  std::vector<bool> live(trace.buffers.size(), false);
  for (const Event& e : allocator_events(trace, 1)) {
    if (e.kind != EventKind::alloc && e.kind != EventKind::free) continue;
    const auto row = static_cast<std::size_t>(e.index);
    const bool is_alloc = e.kind == EventKind::alloc;
    if (live[row] == is_alloc) continue;
    live[row] = is_alloc;
    lap.ops.push_back({e.index, is_alloc, {trace.buffers[row].size_bytes, e.stream, e.pool / 2}});
    lap.pairs += is_alloc ? 1 : 0;
  }
  for (std::size_t row = 0; row < live.size(); ++row) {
    if (live[row]) lap.ops.push_back({static_cast<std::int32_t>(row), false, {}});
  }
  return lap;
}

/// Allocations with their frees per second of CPU time: the best of several, after one lap that
/// takes the segments.
double pairs_per_second(const Trace& trace, const AllocatorConf& conf) {
  const Lap lap = lap_of(trace);
  if (lap.pairs == 0) return 0;
  PlainDevice device;
  PyTorchAllocator model(conf, device);
  std::vector<BlockHandle> handles(trace.buffers.size(), k_no_block);
  const auto run = [&] {
    for (const Lap::Op& op : lap.ops) {
      BlockHandle& handle = handles[static_cast<std::size_t>(op.buffer)];
      if (op.is_alloc) {
        handle = model.allocate(op.request);
      } else {
        model.free(handle);
      }
    }
  };
  run();
  const std::int64_t laps = std::max<std::int64_t>(1, 400'000 / lap.pairs);
  double best = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const double begin = cpu_seconds();
    for (std::int64_t i = 0; i < laps; ++i) run();
    const double seconds = std::max(cpu_seconds() - begin, 1e-9);
    best = std::max(best, static_cast<double>(lap.pairs * laps) / seconds);
  }
  return best;
}

std::int64_t largest_error(std::initializer_list<std::int64_t> differences) {
  std::int64_t out = 0;
  for (const std::int64_t d : differences) out = std::max(out, d < 0 ? -d : d);
  return out;
}

Row measure(const Snapshot& snapshot, const ImportedDevice& device, const std::string& name) {
  const Trace& trace = device.trace;
  Row row{.name = fmt::format("{} device {}", name, device.device)};
  row.events = static_cast<std::int64_t>(trace.events.size());
  ReplayOptions options;
  options.conf = recorded_conf(trace);
  options.follow_recording = true;
  const double begin = cpu_seconds();
  const AllocatorReplay followed = replay_allocator(trace, options);
  row.seconds = cpu_seconds() - begin;
  row.replay_events_per_s = static_cast<double>(row.events) / std::max(row.seconds, 1e-9);
  options.follow_recording = false;
  options.restore_start = true;
  const AllocatorReplay free = replay_allocator(trace, options);
  const Recorded recorded = recorded_of(trace);
  row.allocations = followed.allocations;
  row.wrong_addresses = followed.wrong_addresses;
  row.wrong_segments =
      followed.wrong_segments + wrong_blocks(snapshot, device.device, followed.final_segments);
  row.released_as_recorded = followed.released_as_recorded;
  row.unmatched_frees = trace.health.unmatched_frees;
  row.reserved_peak_bytes = recorded.reserved_peak;
  row.active_peak_bytes = recorded.active_peak;
  row.reserved_error_bytes =
      largest_error({followed.at_end.reserved_bytes - device.end_reserved_bytes,
                     free.at_end.reserved_bytes - device.end_reserved_bytes,
                     followed.peak_reserved_bytes - recorded.reserved_peak,
                     free.peak_reserved_bytes - recorded.reserved_peak,
                     recorded.reserved - device.end_reserved_bytes});
  row.active_error_bytes =
      largest_error({followed.at_end.active_bytes - device.end_active_bytes,
                     free.at_end.active_bytes - device.end_active_bytes,
                     followed.at_end.allocated_bytes - device.end_allocated_bytes,
                     followed.peak_active_bytes - recorded.active_peak,
                     free.peak_active_bytes - recorded.active_peak});
  row.pairs_per_s = pairs_per_second(trace, options.conf);
  return row;
}

nlohmann::ordered_json to_json(const Row& r) {
  return {{"name", r.name},
          {"seconds", r.seconds},
          {"events", r.events},
          {"allocations", r.allocations},
          {"reserved_error_bytes", r.reserved_error_bytes},
          {"active_error_bytes", r.active_error_bytes},
          {"wrong_addresses", r.wrong_addresses},
          {"wrong_segments", r.wrong_segments},
          {"unmatched_frees", r.unmatched_frees},
          {"released_as_recorded", r.released_as_recorded},
          {"reserved_peak_bytes", r.reserved_peak_bytes},
          {"active_peak_bytes", r.active_peak_bytes},
          {"events_per_s", r.pairs_per_s},
          {"replay_events_per_s", r.replay_events_per_s},
          {"valid", r.valid()}};
}

std::vector<std::string> files_of(const std::vector<std::string>& arguments) {
  std::vector<std::string> files;
  for (const std::string& argument : arguments) {
    if (!std::filesystem::is_directory(argument)) {
      files.push_back(argument);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argument)) {
      const std::string path = entry.path().string();
      if (path.find(".pickle") != std::string::npos || path.find(".pkl") != std::string::npos) {
        files.push_back(path);
      }
    }
  }
  std::ranges::sort(files);
  return files;
}

int bench(const std::vector<std::string>& arguments, bool as_json) {
  const std::vector<std::string> files = files_of(arguments);
  if (files.empty()) throw InputError("bench_allocator: no snapshot (.pickle) in the arguments");
  std::vector<Row> rows;
  for (const std::string& file : files) {
    try {
      const std::string bytes = read_file(file);
      const std::string name = std::filesystem::path(file).filename().string();
      const Snapshot snapshot = read_snapshot(bytes);
      for (const ImportedDevice& device : import_snapshot(bytes, name)) {
        rows.push_back(measure(snapshot, device, name));
      }
    } catch (const InputError& e) {
      throw e.in_file(file);
    }
  }
  nlohmann::ordered_json json{{"rows", nlohmann::ordered_json::array()}};
  bool valid = true;
  for (const Row& r : rows) {
    valid = valid && r.valid();
    json["rows"].push_back(to_json(r));
    if (as_json) continue;
    fmt::print(
        "{:<52} {:6} allocs  reserved error {} B  active error {} B  wrong addresses {}  "
        "wrong segments {}  {:5.1f} M alloc+free/s  {}\n",
        r.name, r.allocations, r.reserved_error_bytes, r.active_error_bytes, r.wrong_addresses,
        r.wrong_segments, r.pairs_per_s * 1e-6, r.valid() ? "ok" : "WRONG");
  }
  json["valid"] = valid;
  if (as_json) fmt::print("{}\n", json.dump(2));
  return valid ? 0 : 1;
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool as_json = std::erase(arguments, "--json") > 0;
  try {
    return tidemark::bench(arguments, as_json);
  } catch (const tidemark::InputError& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
