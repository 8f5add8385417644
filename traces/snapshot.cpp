#include "traces/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_largest_address = std::int64_t{1} << 60;
constexpr std::int64_t k_largest_bytes = std::int64_t{1} << 56;
constexpr std::int64_t k_latest_us = std::int64_t{1} << 52;  // in ns below 2^62
constexpr std::size_t k_most_devices = 1024;
constexpr std::size_t k_most_frames = 1024;

[[noreturn]] void fail(std::string place, std::string_view expected, std::string_view found) {
  throw InputError(InputError::Parts{
      .place = std::move(place), .expected = std::string(expected), .found = std::string(found)});
}

/// Checked access to the fields of one dict. The place is made only for an error.
class SnapshotRow {
 public:
  SnapshotRow(const PickleDocument& document, PickleRef dict, std::string_view table,
              std::size_t row)
      : d_(document), dict_(dict), table_(table), row_(row) {
    if (d_.kind(dict) != PickleKind::dict) fail(place(), "a dict", name_of(d_.kind(dict)));
  }

  [[nodiscard]] std::string place() const { return fmt::format("{}[{}]", table_, row_); }

  [[nodiscard]] const PickleRef* optional(std::string_view key) const {
    return d_.find(dict_, key);
  }

  [[nodiscard]] PickleRef required(std::string_view key, PickleKind kind) const {
    const PickleRef* ref = optional(key);
    if (ref == nullptr) fail(place(), fmt::format("a key '{}'", key), "none");
    if (d_.kind(*ref) != kind) {
      fail(place(), fmt::format("'{}' to be {}", key, name_of(kind)), name_of(d_.kind(*ref)));
    }
    return *ref;
  }

  [[nodiscard]] std::int64_t number(std::string_view key, std::int64_t most) const {
    const std::int64_t value = d_.integer(required(key, PickleKind::integer));
    if (value < 0 || value > most) {
      fail(place(), fmt::format("'{}' from 0 to {}", key, most), fmt::format("{}", value));
    }
    return value;
  }

  [[nodiscard]] std::int64_t integer_or(std::string_view key, std::int64_t fallback) const {
    const PickleRef* ref = optional(key);
    return ref != nullptr && d_.kind(*ref) == PickleKind::integer ? d_.integer(*ref) : fallback;
  }

  [[nodiscard]] bool flag(std::string_view key) const {
    const PickleRef* ref = optional(key);
    return ref != nullptr && d_.integer(*ref) != 0;
  }

  [[nodiscard]] std::string_view text_or_nothing(std::string_view key) const {
    const PickleRef* ref = optional(key);
    return ref == nullptr ? std::string_view{} : d_.text(*ref);
  }

  template <NamedEnum E>
  [[nodiscard]] E name(std::string_view key) const {
    const std::string_view found = d_.text(required(key, PickleKind::text));
    const auto value = parse_enum<E>(found);
    if (!value) {
      fail(place(), fmt::format("'{}' out of {}", key, fmt::join(EnumNames<E>::k_names, ", ")),
           fmt::format("'{}'", found.substr(0, 40)));
    }
    return *value;
  }

  [[nodiscard]] SnapshotPool pool() const {
    for (const char* key : {"segment_pool_id", "pool_id"}) {
      const PickleRef* ref = optional(key);
      if (ref == nullptr) continue;
      const std::vector<PickleRef>& pair = d_.items(*ref);
      if (pair.size() == 2) return {d_.integer(pair[0]), d_.integer(pair[1])};
    }
    return {};
  }

  [[nodiscard]] PickleRef frames() const {
    const PickleRef* ref = optional("frames");
    return ref != nullptr && d_.kind(*ref) == PickleKind::list ? *ref : k_no_frames;
  }

 private:
  const PickleDocument& d_;
  PickleRef dict_;
  std::string_view table_;
  std::size_t row_;
};

/// Each row of a table is an object of its own: what is shared would be counted twice, and a short
/// file could name endless rows.
class Seen {
 public:
  explicit Seen(const PickleDocument& document) : seen_(document.rows(), false) {}
  void once(PickleRef ref, std::string_view table, std::size_t row) {
    if (seen_[ref.row]) fail(fmt::format("{}[{}]", table, row), "a row of its own", "a shared one");
    seen_[ref.row] = true;
  }

 private:
  std::vector<bool> seen_;
};

SnapshotEvent event_of(const PickleDocument& d, PickleRef dict, std::size_t row) {
  const SnapshotRow f(d, dict, "device_traces", row);
  SnapshotEvent e;
  e.action = f.name<SnapshotAction>("action");
  const bool is_mark =
      e.action == SnapshotAction::snapshot || e.action == SnapshotAction::user_defined;
  const char* address = e.action == SnapshotAction::oom ? "device_free" : "addr";
  if (!is_mark) {
    e.address = f.number(address, k_largest_address);
    e.size_bytes = f.number("size", k_largest_bytes);
  }
  e.stream = f.integer_or("stream", 0);
  e.time_us = std::clamp<std::int64_t>(f.integer_or("time_us", -1), -1, k_latest_us);
  e.pool = f.pool();
  e.frames = f.frames();
  e.metadata = f.text_or_nothing("user_metadata");
  e.category = f.text_or_nothing("category");
  return e;
}

SnapshotBlock block_of(const PickleDocument& d, PickleRef dict, std::size_t row) {
  const SnapshotRow f(d, dict, "blocks", row);
  SnapshotBlock b;
  b.address = f.integer_or("address", -1);  // absent in old files: blocks are in order
  b.size_bytes = f.number("size", k_largest_bytes);
  b.requested_bytes =
      std::clamp<std::int64_t>(f.integer_or("requested_size", b.size_bytes), 0, b.size_bytes);
  b.state = f.name<BlockState>("state");
  b.frames = f.frames();
  return b;
}

void check_tiling(SnapshotSegment& segment, const std::string& place) {
  std::int64_t at = segment.address;
  for (SnapshotBlock& b : segment.blocks) {
    if (b.address < 0) b.address = at;
  }
  std::ranges::stable_sort(segment.blocks, {}, &SnapshotBlock::address);
  for (const SnapshotBlock& b : segment.blocks) {
    if (b.address != at) {
      fail(place, fmt::format("a block at {}", at), fmt::format("one at {}", b.address));
    }
    at += b.size_bytes;
  }
  if (at != segment.address + segment.total_bytes) {
    fail(place, fmt::format("blocks of {} bytes together", segment.total_bytes),
         fmt::format("{}", at - segment.address));
  }
}

SnapshotSegment segment_of(const PickleDocument& d, PickleRef dict, std::size_t row, Seen& seen) {
  const SnapshotRow f(d, dict, "segments", row);
  SnapshotSegment s;
  s.device = f.number("device", static_cast<std::int64_t>(k_most_devices) - 1);
  s.address = f.number("address", k_largest_address);
  s.total_bytes = f.number("total_size", k_largest_bytes);
  s.allocated_bytes = f.number("allocated_size", k_largest_bytes);
  s.active_bytes = f.number("active_size", k_largest_bytes);
  s.requested_bytes = f.integer_or("requested_size", -1);
  s.stream = f.integer_or("stream", 0);
  s.is_small = f.text_or_nothing("segment_type") == "small";
  s.is_expandable = f.flag("is_expandable");
  s.pool = f.pool();
  const std::vector<PickleRef>& blocks = d.items(f.required("blocks", PickleKind::list));
  s.blocks.reserve(blocks.size());
  std::int64_t at = s.address;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    seen.once(blocks[i], "blocks", i);
    s.blocks.push_back(block_of(d, blocks[i], i));
    if (s.blocks.back().address < 0) s.blocks.back().address = at;
    at = s.blocks.back().address + s.blocks.back().size_bytes;
    if (at > 2 * k_largest_address) fail(f.place(), "addresses below 2^60", "larger ones");
  }
  check_tiling(s, f.place());
  return s;
}

/// The settings that change what the allocator does, as one PYTORCH_CUDA_ALLOC_CONF.
std::string conf_of(const PickleDocument& d, PickleRef root) {
  const PickleRef* settings = d.find(root, "allocator_settings");
  if (settings == nullptr || d.kind(*settings) != PickleKind::dict) return "";
  const SnapshotRow f(d, *settings, "allocator_settings", 0);
  std::vector<std::string> out;
  constexpr std::int64_t k_mib = std::int64_t{1} << 20;
  if (f.flag("expandable_segments")) out.emplace_back("expandable_segments:True");
  if (const std::int64_t bytes = f.integer_or("max_split_size", -1); bytes > 0) {
    out.push_back(fmt::format("max_split_size_mb:{}", bytes / k_mib));
  }
  const PickleRef* threshold = f.optional("garbage_collection_threshold");
  if (threshold != nullptr && d.real(*threshold) > 0 && d.real(*threshold) < 1) {
    out.push_back(fmt::format("garbage_collection_threshold:{}", d.real(*threshold)));
  }
  for (const char* key : {"large_segment_size", "max_non_split_rounding_size"}) {
    const std::int64_t bytes = f.integer_or(key, 20 * k_mib);
    if (bytes > 0 && bytes != 20 * k_mib) {
      const bool is_segment = std::string_view(key).starts_with("large");
      out.push_back(fmt::format("{}:{}",
                                is_segment ? "large_segment_size_mb" : "max_non_split_rounding_mb",
                                bytes / k_mib));
    }
  }
  if (const PickleRef* divisions = f.optional("roundup_power2_divisions")) {
    const std::vector<PickleRef>& pairs = d.items(*divisions);
    std::vector<std::string> parts;
    bool any = false;
    for (std::size_t i = 0; i + 1 < pairs.size() && parts.size() < 16; i += 2) {
      parts.push_back(fmt::format("{}:{}", d.text(pairs[i]), d.integer(pairs[i + 1])));
      any = any || d.integer(pairs[i + 1]) > 0;
    }
    if (any) out.push_back(fmt::format("roundup_power2_divisions:[{}]", fmt::join(parts, ",")));
  }
  return fmt::format("{}", fmt::join(out, ","));
}

void read_annotations(Snapshot& s) {
  const PickleRef* list = s.document.find(s.document.root(), "external_annotations");
  if (list == nullptr) return;
  const std::vector<PickleRef>& rows = s.document.items(*list);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SnapshotRow f(s.document, rows[i], "external_annotations", i);
    const std::string_view stage = f.text_or_nothing("stage");
    if (stage != "START" && stage != "END") continue;
    s.annotations.push_back({stage == "START", f.text_or_nothing("name"), f.integer_or("device", 0),
                             f.integer_or("time_us", 0)});
  }
}

}  // namespace

Snapshot read_snapshot(std::string bytes) {
  Snapshot s{.document = PickleDocument(std::move(bytes)),
             .segments = {},
             .device_events = {},
             .annotations = {},
             .is_export = false,
             .conf = {}};
  const PickleDocument& d = s.document;
  if (d.kind(d.root()) != PickleKind::dict || d.find(d.root(), "segments") == nullptr) {
    fail("pickle", "a memory snapshot of PyTorch: a dict with 'segments' and 'device_traces'",
         d.kind(d.root()) == PickleKind::dict ? "a dict without them" : name_of(d.kind(d.root())));
  }
  const SnapshotRow top(d, d.root(), "snapshot", 0);
  Seen seen(d);
  const std::vector<PickleRef>& segments = d.items(top.required("segments", PickleKind::list));
  for (std::size_t i = 0; i < segments.size(); ++i) {
    seen.once(segments[i], "segments", i);
    s.segments.push_back(segment_of(d, segments[i], i, seen));
  }
  const std::vector<PickleRef>& traces = d.items(top.required("device_traces", PickleKind::list));
  if (traces.size() > k_most_devices) fail("device_traces", "at most 1024 devices", "more");
  for (PickleRef trace : traces) {
    if (d.kind(trace) != PickleKind::list) {
      fail("device_traces", "a list of lists", name_of(d.kind(trace)));
    }
    s.device_events.emplace_back();
    const std::vector<PickleRef>& rows = d.items(trace);
    s.device_events.back().reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      seen.once(rows[i], "device_traces", i);
      s.device_events.back().push_back(event_of(d, rows[i], i));
    }
  }
  read_annotations(s);
  s.conf = conf_of(d, d.root());
  s.is_export = d.find(d.root(), "tidemark") != nullptr;
  return s;
}

std::vector<SnapshotFrame> frames_of(const PickleDocument& document, PickleRef frames) {
  std::vector<SnapshotFrame> out;
  if (frames == k_no_frames) return out;
  for (PickleRef row : document.items(frames)) {
    if (out.size() == k_most_frames || document.kind(row) != PickleKind::dict) break;
    SnapshotFrame frame;
    if (const PickleRef* name = document.find(row, "name")) frame.name = document.text(*name);
    if (const PickleRef* file = document.find(row, "filename")) frame.file = document.text(*file);
    if (const PickleRef* line = document.find(row, "line")) frame.line = document.integer(*line);
    out.push_back(frame);
  }
  return out;
}

}  // namespace tidemark
