#include "sim/export_chrome.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "sim/export_events.h"

namespace tidemark {
namespace {

/// A JSON string; bytes that are no UTF-8 are replaced.
std::string quoted(const std::string& text) {
  using Json = nlohmann::json;
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Writes one event after the other.
class ChromeWriter {
 public:
  explicit ChromeWriter(const Trace& trace)
      : trace_(trace),
        live_(trace),
        categories_(categories_of(trace)),
        addresses_(trace.buffers.size(), -1),
        memory_track_(std::max<std::size_t>(trace.streams.size(), 1)) {}

  std::string text() && {
    put("{{\"schemaVersion\":1,\"displayTimeUnit\":\"ms\",\"otherData\":{{\"title\":{},"
        "\"tool\":{},\"device\":{}}},\"traceEvents\":[\n",
        quoted(trace_.meta.title), quoted(trace_.meta.tool), quoted(trace_.meta.device));
    names();
    for (const Event& event : events_of(trace_)) take(event);
    if (out_.ends_with(",\n")) out_.resize(out_.size() - 2);
    out_ += "\n]}\n";
    return std::move(out_);
  }

 private:
  /// A trace may say any sizes; no memory has more than 2^56 bytes.
  static std::int64_t plausible(std::int64_t bytes) {
    return std::clamp<std::int64_t>(bytes, 0, std::int64_t{1} << 56);
  }

  void add_reserved(std::int64_t bytes, std::int64_t sign) {
    reserved_bytes_ = plausible(reserved_bytes_ + sign * plausible(bytes));
  }

  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  [[nodiscard]] int process() const { return trace_.meta.rank; }

  void track_name(std::size_t track, const std::string& name) {
    put("{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":{},\"tid\":{},\"args\":{{\"name\":{}}}}},"
        "\n",
        process(), track, quoted(name));
  }

  void names() {
    put("{{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{},\"tid\":0,\"args\":{{\"name\":"
        "\"rank {}\"}}}},\n",
        process(), process());
    for (std::size_t i = 0; i < trace_.streams.size(); ++i) {
      track_name(i, "stream " + trace_.streams[i].name);
    }
    track_name(memory_track_, "memory");
    track_name(memory_track_ + 1, "steps");
  }

  /// What all events have, without the closing brace. `head` is the phase and what goes with it.
  void begin(std::string_view head, std::size_t track, std::int64_t time_ns) {
    put("{{{},\"pid\":{},\"tid\":{},\"ts\":{}.{:03}", head, process(), track, time_ns / 1000,
        time_ns % 1000);
  }

  void take(const Event& event) {
    switch (event.kind) {
      case EventKind::alloc:
      case EventKind::free:
        return memory(event);
      case EventKind::op_begin:
      case EventKind::op_end:
        return op(event);
      case EventKind::step_begin:
      case EventKind::step_end:
        begin(event.kind == EventKind::step_begin ? "\"ph\":\"B\"" : "\"ph\":\"E\"",
              memory_track_ + 1, event.time_ns);
        return put(",\"cat\":\"user_annotation\",\"name\":\"ProfilerStep#{}\"}},\n", event.index);
      case EventKind::out_of_memory:
        begin("\"ph\":\"i\",\"s\":\"t\"", memory_track_, event.time_ns);
        return put(
            ",\"cat\":\"cpu_instant_event\",\"name\":\"[OutOfMemory]\",\"args\":{{\"Bytes\":{},"
            "\"Device Id\":{},\"Device Type\":1}}}},\n",
            plausible(event.size_bytes), process());
      case EventKind::segment_alloc:
      case EventKind::segment_map:
        add_reserved(event.size_bytes, 1);
        return;
      case EventKind::segment_free:
      case EventKind::segment_unmap:
        add_reserved(event.size_bytes, -1);
        return;
      case EventKind::free_requested:
      case EventKind::empty_cache:
      case EventKind::recording_begin:
        return;
    }
  }

  void memory(const Event& event) {
    if (!live_.apply(event)) return;
    const bool is_alloc = event.kind == EventKind::alloc;
    const auto row = static_cast<std::size_t>(event.index);
    const Buffer& b = trace_.buffers[row];
    if (is_alloc) addresses_[row] = event.address_bytes;
    const std::int64_t bytes = counted_bytes(b);
    begin("\"ph\":\"i\",\"s\":\"t\"", memory_track_, event.time_ns);
    put(",\"cat\":\"cpu_instant_event\",\"name\":\"[memory]\",\"args\":{{\"Total Allocated\":{},",
        live_.total(b.space));
    if (reserved_bytes_ > 0 && b.space.kind == SpaceKind::device) {
      put("\"Total Reserved\":{},", reserved_bytes_);
    }
    put("\"Bytes\":{},", is_alloc ? bytes : -bytes);
    if (addresses_[row] >= 0) put("\"Addr\":{},", addresses_[row]);
    put("\"Device Id\":{},\"Device Type\":{},\"Buffer Id\":{}", b.space.rank,
        b.space.kind == SpaceKind::device ? 1 : 0, row);
    if (is_alloc) {
      put(",\"Requested Bytes\":{},\"Space\":\"{}\",\"Category\":\"{}\",\"Name\":{},\"Layer\":{}",
          b.size_bytes, to_string(b.space.kind), to_string(b.category), quoted(b.name),
          quoted(layer_path(trace_, b.layer)));
    }
    out_ += "}},\n";
    counters(b.space, event.time_ns);
  }

  void counters(Space space, std::int64_t time_ns) {
    begin("\"ph\":\"C\"", memory_track_, time_ns);
    put(",\"name\":\"{}, bytes by category\",\"args\":{{", space_name(space));
    std::string_view comma = "";
    for (const Category category : categories_) {
      put("{}\"{}\":{}", comma, to_string(category),
          live_.in(space)[static_cast<std::size_t>(category)]);
      comma = ",";
    }
    out_ += "}},\n";
  }

  void op(const Event& event) {
    const bool begins = event.kind == EventKind::op_begin;
    const auto row = static_cast<std::size_t>(event.index);
    const Op& op = trace_.ops[row];
    begin(begins ? "\"ph\":\"B\"" : "\"ph\":\"E\"", static_cast<std::size_t>(op.stream.value),
          event.time_ns);
    put(",\"cat\":\"op\",\"name\":{},\"args\":{{\"Op Id\":{}", quoted(op.name), row);
    if (begins) {
      put(",\"Kind\":\"{}\",\"Layer\":{},\"Phase\":\"{}\"", to_string(op.kind),
          quoted(layer_path(trace_, op.layer)), to_string(op.phase));
    }
    out_ += "}},\n";
  }

  const Trace& trace_;
  LiveBytes live_;
  std::vector<Category> categories_;
  std::vector<std::int64_t> addresses_;  // by buffer, of its latest alloc
  std::size_t memory_track_;             // behind the tracks of the streams; then that of the steps
  std::int64_t reserved_bytes_ = 0;
  std::string out_;
};

}  // namespace

std::string to_chrome(const Trace& trace) {
  return ChromeWriter(trace).text();
}

}  // namespace tidemark
