#include "sim/export_perfetto.h"

#include <fmt/format.h>

#include <map>

#include "sim/export_events.h"
#include "sim/protobuf_writer.h"

namespace tidemark {
namespace {

// Field numbers. Source: protos/perfetto/trace/trace_packet.proto and, in its folder track_event,
// track_descriptor.proto, counter_descriptor.proto, process_descriptor.proto, track_event.proto,
// debug_annotation.proto (github.com/google/perfetto).
namespace trace_field {
constexpr std::uint32_t k_packet = 1;
}
namespace packet_field {
constexpr std::uint32_t k_timestamp = 8;
constexpr std::uint32_t k_sequence_id = 10;
constexpr std::uint32_t k_track_event = 11;
constexpr std::uint32_t k_sequence_flags = 13;
constexpr std::uint32_t k_track_descriptor = 60;
}  // namespace packet_field
namespace track_field {
constexpr std::uint32_t k_uuid = 1;
constexpr std::uint32_t k_name = 2;
constexpr std::uint32_t k_process = 3;
constexpr std::uint32_t k_parent_uuid = 5;
constexpr std::uint32_t k_counter = 8;
}  // namespace track_field
namespace event_field {
constexpr std::uint32_t k_annotation = 4;
constexpr std::uint32_t k_type = 9;
constexpr std::uint32_t k_track_uuid = 11;
constexpr std::uint32_t k_category = 22;
constexpr std::uint32_t k_name = 23;
constexpr std::uint32_t k_counter_value = 30;
constexpr std::uint32_t k_flow = 47;
constexpr std::uint32_t k_last_flow = 48;
}  // namespace event_field
constexpr std::uint32_t k_counter_unit = 3;
constexpr std::uint32_t k_process_pid = 1;
constexpr std::uint32_t k_process_name = 6;
constexpr std::uint32_t k_annotation_name = 10;
constexpr std::uint32_t k_annotation_integer = 4;
constexpr std::uint32_t k_annotation_text = 6;

enum class EventType : std::uint64_t { slice_begin = 1, slice_end = 2, instant = 3, counter = 4 };
constexpr std::uint64_t k_unit_size_bytes = 3;
constexpr std::uint64_t k_incremental_state_cleared = 1;
constexpr std::uint64_t k_one_sequence = 1;

constexpr std::uint64_t k_process_track = 1;
constexpr std::uint64_t k_memory_track = 2;
constexpr std::uint64_t k_step_track = 3;
constexpr std::uint64_t k_first_stream_track = 16;

class PerfettoWriter {
 public:
  explicit PerfettoWriter(const Trace& trace)
      : trace_(trace),
        live_(trace),
        categories_(categories_of(trace)),
        flows_(trace.buffers.size()) {}

  std::string text() && {
    tracks();
    for (const Event& e : events_of(trace_)) take(e);
    return std::move(out_);
  }

 private:
  void packet(ProtobufMessage& packet) {
    packet.varint(packet_field::k_sequence_id, k_one_sequence);
    out_ += ProtobufMessage().message(trace_field::k_packet, packet).bytes();
  }

  void track(std::uint64_t uuid, const std::string& name, bool is_counter) {
    ProtobufMessage descriptor;
    descriptor.varint(track_field::k_uuid, uuid)
        .text(track_field::k_name, name)
        .varint(track_field::k_parent_uuid, k_process_track);
    if (is_counter) {
      descriptor.message(track_field::k_counter,
                         ProtobufMessage().varint(k_counter_unit, k_unit_size_bytes));
    }
    ProtobufMessage p;
    p.message(packet_field::k_track_descriptor, descriptor);
    packet(p);
  }

  void tracks() {
    ProtobufMessage process;
    process.varint(k_process_pid, static_cast<std::uint64_t>(trace_.meta.rank) + 1)
        .text(k_process_name, fmt::format("rank {}: {}", trace_.meta.rank, trace_.meta.title));
    ProtobufMessage first;
    first.message(packet_field::k_track_descriptor,
                  ProtobufMessage()
                      .varint(track_field::k_uuid, k_process_track)
                      .message(track_field::k_process, process));
    first.varint(packet_field::k_sequence_flags, k_incremental_state_cleared);
    packet(first);
    track(k_memory_track, "allocations and frees", false);
    track(k_step_track, "steps", false);
    std::uint64_t uuid = k_first_stream_track;
    for (const Stream& s : trace_.streams) track(uuid++, "stream " + s.name, false);
    for (const Space space : live_.spaces()) {
      counter_tracks_[space] = uuid;
      for (const Category c : categories_) {
        track(uuid++, fmt::format("{} {}", space_name(space), to_string(c)), true);
      }
      track(uuid++, space_name(space) + " all", true);
    }
  }

  void put(std::int64_t time_ns, const ProtobufMessage& event) {
    ProtobufMessage p;
    p.varint(packet_field::k_timestamp, static_cast<std::uint64_t>(time_ns))
        .message(packet_field::k_track_event, event);
    packet(p);
  }

  static ProtobufMessage event_of(EventType type, std::uint64_t track) {
    ProtobufMessage event;
    event.varint(event_field::k_type, static_cast<std::uint64_t>(type))
        .varint(event_field::k_track_uuid, track);
    return event;
  }

  static void annotate(ProtobufMessage& event, std::string_view name, const std::string& value) {
    event.message(event_field::k_annotation,
                  ProtobufMessage().text(k_annotation_name, name).text(k_annotation_text, value));
  }
  static void annotate(ProtobufMessage& event, std::string_view name, std::int64_t value) {
    event.message(event_field::k_annotation,
                  ProtobufMessage()
                      .text(k_annotation_name, name)
                      .varint(k_annotation_integer, static_cast<std::uint64_t>(value)));
  }

  void take(const Event& e) {
    switch (e.kind) {
      case EventKind::alloc:
      case EventKind::free:
        return memory(e);
      case EventKind::op_begin:
      case EventKind::op_end:
        return op(e);
      case EventKind::step_begin: {
        ProtobufMessage event = event_of(EventType::slice_begin, k_step_track);
        event.text(event_field::k_name, fmt::format("step {}", e.index));
        return put(e.time_ns, event);
      }
      case EventKind::step_end:
        return put(e.time_ns, event_of(EventType::slice_end, k_step_track));
      case EventKind::out_of_memory: {
        ProtobufMessage event = event_of(EventType::instant, k_memory_track);
        event.text(event_field::k_name, "out of memory");
        annotate(event, "bytes", e.size_bytes);
        return put(e.time_ns, event);
      }
      default:
        return;
    }
  }

  void memory(const Event& e) {
    if (!live_.apply(e)) return;
    const bool is_alloc = e.kind == EventKind::alloc;
    const auto row = static_cast<std::size_t>(e.index);
    const Buffer& b = trace_.buffers[row];
    ProtobufMessage event = event_of(EventType::instant, k_memory_track);
    event.text(event_field::k_name, fmt::format("{} {}", is_alloc ? "alloc" : "free", b.name))
        .text(event_field::k_category, to_string(b.category));
    annotate(event, "bytes", counted_bytes(b));
    annotate(event, "requested bytes", b.size_bytes);
    annotate(event, "memory", space_name(b.space));
    annotate(event, "layer", layer_path(trace_, b.layer));
    if (is_alloc) flows_[row] = ++flow_count_;
    event.fixed64(is_alloc ? event_field::k_flow : event_field::k_last_flow, flows_[row]);
    put(e.time_ns, event);
    std::uint64_t track = counter_tracks_[b.space];
    for (const Category c : categories_) {
      if (c == b.category) {
        counter(e.time_ns, track, live_.in(b.space)[static_cast<std::size_t>(c)]);
      }
      ++track;
    }
    counter(e.time_ns, track, live_.total(b.space));
  }

  void counter(std::int64_t time_ns, std::uint64_t track, std::int64_t bytes) {
    ProtobufMessage event = event_of(EventType::counter, track);
    event.varint(event_field::k_counter_value, static_cast<std::uint64_t>(bytes));
    put(time_ns, event);
  }

  void op(const Event& e) {
    const Op& op = trace_.ops[static_cast<std::size_t>(e.index)];
    const bool begins = e.kind == EventKind::op_begin;
    ProtobufMessage event =
        event_of(begins ? EventType::slice_begin : EventType::slice_end,
                 k_first_stream_track + static_cast<std::uint64_t>(op.stream.value));
    if (begins) {
      event.text(event_field::k_name, op.name).text(event_field::k_category, to_string(op.phase));
      annotate(event, "layer", layer_path(trace_, op.layer));
      annotate(event, "kind", std::string(to_string(op.kind)));
    }
    put(e.time_ns, event);
  }

  const Trace& trace_;
  LiveBytes live_;
  std::vector<Category> categories_;
  std::vector<std::uint64_t> flows_;               // by buffer, of its latest alloc
  std::map<Space, std::uint64_t> counter_tracks_;  // the first of each memory
  std::uint64_t flow_count_ = 0;
  std::string out_;
};

}  // namespace

std::string to_perfetto(const Trace& trace) {
  return PerfettoWriter(trace).text();
}

}  // namespace tidemark
