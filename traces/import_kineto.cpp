#include "traces/import_kineto.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <tuple>
#include <unordered_map>

#include "traces/call_scopes.h"
#include "traces/chrome_events.h"
#include "traces/error.h"
#include "traces/foreign_recording.h"
#include "traces/range_name.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_largest_bytes = std::int64_t{1} << 56;
constexpr std::int64_t k_largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t k_most_devices = 1024;
constexpr std::string_view k_module = "nn.Module: ";

/// What a slice is, by its category. Source of the names: libkineto/src/ActivityType.cpp; the
/// capitalised ones are those of its first versions.
enum class SliceKind : std::uint8_t { other, call, annotation, python, launch, device_op };

SliceKind slice_kind(std::string_view category) {
  struct Name {
    std::string_view text;
    SliceKind kind;
  };
  static constexpr Name k_names[] = {{"cpu_op", SliceKind::call},
                                     {"Operator", SliceKind::call},
                                     {"user_annotation", SliceKind::annotation},
                                     {"python_function", SliceKind::python},
                                     {"cuda_runtime", SliceKind::launch},
                                     {"cuda_driver", SliceKind::launch},
                                     {"Runtime", SliceKind::launch},
                                     {"kernel", SliceKind::device_op},
                                     {"Kernel", SliceKind::device_op},
                                     {"gpu_memcpy", SliceKind::device_op},
                                     {"Memcpy", SliceKind::device_op},
                                     {"gpu_memset", SliceKind::device_op},
                                     {"Memset", SliceKind::device_op}};
  const auto* found = std::ranges::find(k_names, category, &Name::text);
  return found == std::end(k_names) ? SliceKind::other : found->kind;
}

class KinetoImport {
 public:
  void take(ChromeEvent& e) {
    const std::string& phase = e.text("ph");
    if (phase == "i" || phase == "I") return take_instant(e);
    if (phase == "X") return take_slice(e);
    if (phase == "B" || phase == "E") return take_edge(e, phase == "B");
    if (phase == "M" && e.text("name") == "thread_name") take_track_name(e);
  }

  ForeignRecording finish(bool is_whole) {
    for (const auto& [thread, open] : open_) {
      recording_.health.dropped_events += static_cast<std::int64_t>(open.size());
    }
    recording_.health.complete = is_whole;
    label_calls();
    if (!is_own_) recording_.origin_ns = first_ns();
    recording_.ops_follow_allocations = is_own_;
    for (const auto& [name, layer] : own_layers_) {
      recording_.layers[layer.index()] = {name, "layer", {}};
    }
    return std::move(recording_);
  }

 private:
  struct OpenRange {
    std::string name;
    std::string category;
    std::int64_t begin_ns = 0;
  };
  /// An event whose label follows from the calls around it, or from those around its launch.
  struct Unlabelled {
    std::size_t event = 0;
    CallInstant instant;
    std::string name;               // of an op; empty: an allocation
    std::int64_t correlation = -1;  // of an op
    std::size_t events = 1;         // that get the label
  };

  std::int64_t thread_of(const ChromeEvent& e) {
    const auto size = static_cast<std::int64_t>(threads_.size());
    return threads_.try_emplace(e.text("pid") + "/" + e.text("tid"), size).first->second;
  }

  ForeignEvent& add(EventKind kind, std::int64_t time_ns, std::int64_t order) {
    ForeignEvent& event = recording_.events.emplace_back();
    event.kind = kind;
    event.time_ns = time_ns;
    event.order = order;
    return event;
  }

  /// Begin and end of a slice that is known as a whole: before all else at their times, ends before
  /// begins; a slice of no length keeps its place in the file.
  void add_span(EventKind begin, EventKind end, const ChromeEvent& e, std::int64_t begin_ns,
                std::int64_t end_ns) {
    const bool is_empty = begin_ns == end_ns;
    add(begin, begin_ns, is_empty ? e.index : -1);
    add(end, end_ns, is_empty ? e.index : -2);
  }

  std::uint32_t label_row(const ForeignLabel& label) {
    const auto key = std::tuple(label.name, label.layer, label.phase, label.site,
                                label.category ? static_cast<int>(*label.category) : -1);
    const auto [entry, is_new] =
        labels_.try_emplace(key, static_cast<std::uint32_t>(recording_.labels.size()));
    if (is_new) recording_.labels.push_back(label);
    return entry->second;
  }

  void take_instant(const ChromeEvent& e) {
    const std::string& name = e.text("name");
    if (name == "[OutOfMemory]") {
      ForeignEvent& event = add(EventKind::out_of_memory, e.time_ns("ts"), e.index);
      event.size_bytes = e.integer("Bytes", 0, k_largest_bytes);
      event.device = std::max<std::int64_t>(e.integer("Device Id", -1, k_most_devices - 1), 0);
      return;
    }
    if (name == "[memory]") take_memory(e);
  }

  void take_memory(const ChromeEvent& e) {
    const std::int64_t bytes = e.integer("Bytes", -k_largest_bytes, k_largest_bytes);
    if (bytes == 0) return;
    const bool is_alloc = bytes > 0;
    const std::int64_t time_ns = e.time_ns("ts");
    ForeignEvent& event = add(is_alloc ? EventKind::alloc : EventKind::free, time_ns, e.index);
    event.size_bytes = is_alloc ? bytes : -bytes;
    const bool is_host = e.integer("Device Type", 0, 255) == 0;
    event.space = is_host ? SpaceKind::host_pageable : SpaceKind::device;
    event.device = std::max<std::int64_t>(e.integer("Device Id", -1, k_most_devices - 1), 0);
    if (e.argument("Total Allocated") != nullptr) {
      event.total_bytes = e.integer("Total Allocated", 0, k_largest_bytes);
    }
    event.buffer = e.integer_or("Buffer Id", -1);
    event.has_address = event.buffer < 0 || e.argument("Addr") != nullptr;
    if (event.has_address) {
      event.address = static_cast<std::uint64_t>(e.integer("Addr", 0, k_largest));
    }
    if (event.buffer >= 0) return take_own(e, event);
    unlabelled_.push_back({recording_.events.size() - 1, {thread_of(e), time_ns}, {}, -1, 1});
  }

  /// What an export adds: nothing is to be found out. Frees find their block by its number, in the
  /// kind of host memory that its allocation named.
  void take_own(const ChromeEvent& e, ForeignEvent& event) {
    is_own_ = true;
    const auto text = [&e](std::string_view name) {
      const ChromeValue* value = e.argument(name);
      return value == nullptr ? std::string() : value->text;
    };
    const auto key = std::pair(event.device, event.buffer);
    if (event.kind == EventKind::free) {
      const auto space = own_spaces_.find(key);
      if (space != own_spaces_.end()) event.space = space->second;
      return;
    }
    event.requested_bytes = e.integer("Requested Bytes", 0, event.size_bytes);
    const auto space = parse_enum<SpaceKind>(text("Space"));
    const auto category = parse_enum<Category>(text("Category"));
    if (!space || !category) {
      throw InputError(InputError::Parts{
          .place = e.place(),
          .expected = "a 'Space' and a 'Category' beside 'Buffer Id'",
          .found = fmt::format("'{}' and '{}'", text("Space"), text("Category"))});
    }
    event.space = own_spaces_[key] = *space;
    event.label =
        label_row({.name = text("Name"), .layer = own_layer(text("Layer")), .category = *category});
  }

  LayerId own_layer(const std::string& name) {
    if (name.empty()) return {};
    const auto [entry, is_new] = own_layers_.try_emplace(name, recording_.layers.size());
    if (is_new) recording_.layers.emplace_back();
    return entry->second;
  }

  void take_slice(ChromeEvent& e) {
    const SliceKind kind = slice_kind(e.text("cat"));
    const std::string& name = e.text("name");
    if (kind == SliceKind::other) return;
    if (kind == SliceKind::python && !name.starts_with(k_module)) return;
    const std::int64_t begin_ns = e.time_ns("ts");
    const std::int64_t length_ns = e.text("dur").empty() ? 0 : e.time_ns("dur");
    const std::int64_t end_ns = begin_ns + std::min(length_ns, (std::int64_t{1} << 62) - begin_ns);
    if (kind == SliceKind::device_op) return take_device_op(e, begin_ns, end_ns);
    if (kind == SliceKind::launch) {
      if (const std::int64_t c = e.integer_or("correlation", -1); c >= 0) {
        launches_.try_emplace(c, CallInstant{thread_of(e), begin_ns});
      }
      return;
    }
    if (const std::int64_t step = profiler_step(name); step >= 0) {
      if (kind != SliceKind::annotation) return;
      add_span(EventKind::step_begin, EventKind::step_end, e, begin_ns, end_ns);
      for (std::size_t i = recording_.events.size() - 2; i < recording_.events.size(); ++i) {
        recording_.events[i].step = step;
      }
      return;
    }
    add_range(thread_of(e), kind, name, begin_ns, end_ns);
  }

  void add_range(std::int64_t thread, SliceKind kind, const std::string& name,
                 std::int64_t begin_ns, std::int64_t end_ns) {
    const bool is_module = kind == SliceKind::python;
    ranges_.push_back({thread, begin_ns, end_ns,
                       is_module                       ? RangeKind::module
                       : kind == SliceKind::annotation ? RangeKind::annotation
                                                       : RangeKind::op,
                       is_module ? name.substr(k_module.size()) : name});
  }

  void take_device_op(const ChromeEvent& e, std::int64_t begin_ns, std::int64_t end_ns) {
    add_span(EventKind::op_begin, EventKind::op_end, e, begin_ns, end_ns);
    const std::size_t first = recording_.events.size() - 2;
    for (std::size_t i = first; i < first + 2; ++i) {
      recording_.events[i].device =
          std::clamp<std::int64_t>(e.integer_or("device", 0), 0, k_most_devices - 1);
      recording_.events[i].stream = e.integer_or("stream", 0);
    }
    unlabelled_.push_back({first, {}, e.text("name"), e.integer_or("correlation", -1), 2});
  }

  void take_edge(const ChromeEvent& e, bool begins) {
    const std::string& name = e.text("name");
    const std::int64_t time_ns = e.time_ns("ts");
    if (const std::int64_t step = profiler_step(name); step >= 0) {
      add(begins ? EventKind::step_begin : EventKind::step_end, time_ns, e.index).step = step;
      return;
    }
    if (const std::int64_t op = e.integer_or("Op Id", -1); op >= 0) {
      return take_own_op(e, begins, op, time_ns);
    }
    std::vector<OpenRange>& open = open_[thread_of(e)];
    if (begins) {
      open.push_back({name, e.text("cat"), time_ns});
    } else if (open.empty()) {
      ++recording_.health.dropped_events;
    } else {
      const OpenRange range = std::move(open.back());
      open.pop_back();
      const SliceKind kind = slice_kind(range.category);
      const bool is_call = kind == SliceKind::call || kind == SliceKind::annotation;
      if (is_call) add_range(thread_of(e), kind, range.name, range.begin_ns, time_ns);
    }
  }

  void take_own_op(const ChromeEvent& e, bool begins, std::int64_t op, std::int64_t time_ns) {
    if (begins) {
      const ChromeValue* layer = e.argument("Layer");
      const ChromeValue* phase = e.argument("Phase");
      own_ops_[op] = label_row(
          {.name = e.text("name"),
           .layer = own_layer(layer == nullptr ? std::string() : layer->text),
           .phase = parse_enum<Phase>(phase == nullptr ? "" : phase->text).value_or(Phase::other)});
    }
    const auto label = own_ops_.find(op);
    if (label == own_ops_.end()) {
      ++recording_.health.dropped_events;  // its begin
      return;
    }
    ForeignEvent& event = add(begins ? EventKind::op_begin : EventKind::op_end, time_ns, e.index);
    event.label = label->second;
    event.stream = track_of(e);
    event.device = track_process(e);
  }

  static std::int64_t number_or(const std::string& text, std::int64_t fallback) {
    std::int64_t out = fallback;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() ? out : fallback;
  }
  static std::int64_t track_of(const ChromeEvent& e) { return number_or(e.text("tid"), 0); }
  static std::int64_t track_process(const ChromeEvent& e) { return number_or(e.text("pid"), 0); }

  /// An export names the tracks of its streams.
  void take_track_name(const ChromeEvent& e) {
    constexpr std::string_view k_stream = "stream ";
    const ChromeValue* name = e.argument("name");
    if (name == nullptr || !name->text.starts_with(k_stream)) return;
    recording_.streams.push_back({track_of(e), name->text.substr(k_stream.size())});
  }

  /// Finds the calls that were open at each allocation and, for ops of a device, at their launch.
  void label_calls() {
    std::vector<CallInstant> instants;
    for (Unlabelled& u : unlabelled_) {
      if (const auto launch = launches_.find(u.correlation); launch != launches_.end()) {
        u.instant = launch->second;
      } else if (!u.name.empty()) {
        u.instant.thread = -1;  // no thread: nothing is open
      }
      instants.push_back(u.instant);
    }
    CallScopes scopes;
    const std::vector<std::uint32_t> rows = scopes.at(ranges_, instants);
    const auto first_layer = recording_.layers.size();
    for (Layer layer : scopes.layers()) {
      if (layer.parent.valid()) layer.parent = LayerId{layer.parent.index() + first_layer};
      recording_.layers.push_back(std::move(layer));
    }
    for (std::size_t i = 0; i < unlabelled_.size(); ++i) {
      const Unlabelled& u = unlabelled_[i];
      const CallScope& scope = scopes[rows[i]];
      ForeignLabel label{
          .name = u.name, .layer = scope.layer, .phase = scope.phase, .site = scope.site};
      if (scope.layer.valid()) label.layer = LayerId{scope.layer.index() + first_layer};
      if (u.name.empty()) label.name = scope.name.empty() ? "allocation" : scope.name;
      const std::uint32_t row = label_row(label);
      for (std::size_t k = 0; k < u.events; ++k) recording_.events[u.event + k].label = row;
    }
  }

  [[nodiscard]] std::int64_t first_ns() const {
    const auto first = std::ranges::min_element(recording_.events, {}, &ForeignEvent::time_ns);
    return first == recording_.events.end() ? 0 : first->time_ns;
  }

  ForeignRecording recording_;
  std::vector<CallRange> ranges_;
  std::vector<Unlabelled> unlabelled_;
  std::map<std::string, std::int64_t> threads_;
  std::map<std::int64_t, std::vector<OpenRange>> open_;     // by thread
  std::unordered_map<std::int64_t, CallInstant> launches_;  // by correlation
  std::map<std::tuple<std::string, LayerId, Phase, CallSite, int>, std::uint32_t> labels_;
  std::map<std::string, LayerId> own_layers_;
  std::map<std::int64_t, std::uint32_t> own_ops_;                          // label by op
  std::map<std::pair<std::int64_t, std::int64_t>, SpaceKind> own_spaces_;  // by device and buffer
  bool is_own_ = false;
};

}  // namespace

std::vector<ImportedDevice> import_kineto(const std::string& bytes, const std::string& title) {
  KinetoImport import;
  const ChromeFile file =
      read_chrome_events(bytes, [&import](ChromeEvent& event) { import.take(event); });
  return traces_of(import.finish(file.is_whole), title);
}

}  // namespace tidemark
