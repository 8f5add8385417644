// `tidemark allocator`: what an allocator reserves for a trace, where the gap to the live bytes
// comes from, and what other allocators and options would reserve.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/allocator_replay.h"
#include "sim/exit_code.h"
#include "sim/run_state.h"
#include "sim/table.h"
#include "sim/units.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct AllocatorOptions {
  std::string file;
  std::vector<std::string> models;
  std::string conf;
  std::string device_memory;
  int rows = 10;
  bool json = false;
};

/// One line of the table.
struct Outcome {
  std::string name;
  std::string note;
  AllocatorReplay replay;
  bool fits = true;  // in the device memory that was asked about
};

/// `--conf` counts for pytorch; what is not given is as recorded.
struct Request {
  AllocatorConf conf;
  bool as_recorded = true;
  std::int64_t device_bytes = 0;
};

std::vector<AllocatorKind> kinds_of(const AllocatorOptions& options) {
  std::vector<AllocatorKind> out;
  for (const std::string& text : options.models) {
    std::size_t begin = 0;
    while (begin <= text.size()) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      const std::string name = text.substr(begin, end - begin);
      const auto kind = parse_enum<AllocatorKind>(name);
      if (!kind) {
        throw InputError(InputError::Parts{
            .place = "--model",
            .expected =
                fmt::format("names out of {}", fmt::join(EnumNames<AllocatorKind>::k_names, ", ")),
            .found = "'" + name + "'"});
      }
      out.push_back(*kind);
      begin = end + 1;
    }
  }
  return out;
}

bool has_segments(const Trace& trace) {
  return std::ranges::any_of(trace.events, [](const Event& e) {
    return e.kind == EventKind::segment_alloc || e.kind == EventKind::segment_map;
  });
}

bool is_pytorch_recording(const Trace& trace) {
  return trace.meta.allocator.starts_with("pytorch") && has_segments(trace);
}

Outcome outcome_of(const Trace& trace, AllocatorKind kind, const Request& request) {
  Outcome out{.name = std::string(to_string(kind)), .note = {}, .replay = {}};
  if (kind == AllocatorKind::static_plan) {
    const PackResult packed = static_plan(trace);
    out.note = packed.state == PackState::fits
                   ? "addresses planned ahead: proven the least"
                   : "addresses planned ahead; tidemark pack searches longer";
    out.replay.peak_reserved_bytes = packed.packing.height_bytes;
    out.fits = request.device_bytes == 0 || out.replay.peak_reserved_bytes <= request.device_bytes;
    return out;
  }
  ReplayOptions options;
  options.kind = kind;
  options.conf = request.conf;
  options.device_bytes = request.device_bytes;
  if (kind == AllocatorKind::pytorch) {
    const bool recorded =
        is_pytorch_recording(trace) && request.as_recorded && request.device_bytes == 0;
    options.follow_recording = recorded;
    options.explain = true;
    out.note = to_string(request.conf);
    if (out.note.empty()) out.note = "default options";
    if (recorded) out.note += ", as recorded";
  }
  options.sample = true;
  if (kind == AllocatorKind::cuda_async) out.note = "approximate: closed source";
  if (kind == AllocatorKind::ideal) out.note = "live bytes only";
  out.replay = replay_allocator(trace, options);
  out.fits = out.replay.failed == 0;
  return out;
}

Json figures_json(const AllocatorFigures& f) {
  return {{"reserved_bytes", f.reserved_bytes},
          {"active_bytes", f.active_bytes},
          {"allocated_bytes", f.allocated_bytes},
          {"requested_bytes", f.requested_bytes},
          {"rounding_bytes", f.allocated_bytes - f.requested_bytes},
          {"inactive_split_bytes", f.inactive_split_bytes},
          {"cached_bytes", f.cached_bytes}};
}

Json outcome_json(const Trace& trace, const Outcome& o, int rows) {
  const AllocatorReplay& r = o.replay;
  Json j{{"model", o.name},
         {"note", o.note},
         {"fits", o.fits},
         {"peak_reserved_bytes", r.peak_reserved_bytes},
         {"peak_active_bytes", r.peak_active_bytes},
         {"peak_allocated_bytes", r.peak_allocated_bytes},
         {"peak_requested_bytes", r.peak_requested_bytes},
         {"at_peak", figures_json(r.at_peak)},
         {"at_end", figures_json(r.at_end)},
         {"allocations", r.allocations},
         {"failed", r.failed},
         {"segments", r.segments},
         {"wrong_addresses", r.wrong_addresses},
         {"wrong_segments", r.wrong_segments},
         {"released_as_recorded", r.released_as_recorded}};
  j["growths"] = Json::array();
  for (const Growth& g : r.growths) {
    if (j["growths"].size() == static_cast<std::size_t>(rows)) break;
    j["growths"].push_back({{"time_ns", g.time_ns},
                            {"needed_bytes", g.needed_bytes},
                            {"segment_bytes", g.segment_bytes},
                            {"free_bytes", g.free_bytes},
                            {"largest_hole_bytes", g.largest_hole_bytes},
                            {"why", explanation(trace, g)}});
  }
  j["over_time"] = Json::array();
  for (const AllocatorSample& s : r.samples) {
    Json row = figures_json(s.figures);
    row["time_ns"] = s.time_ns;
    row["largest_hole_bytes"] = s.largest_hole_bytes;
    j["over_time"].push_back(std::move(row));
  }
  return j;
}

std::string share(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return "";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

void print_gap(const Outcome& o) {
  const AllocatorFigures& f = o.replay.at_peak;
  fmt::print("\n  At the peak of {}{}:\n", o.name, o.note.empty() ? "" : " (" + o.note + ")");
  Table table({"", ">bytes", ">share"});
  const auto row = [&](const char* name, std::int64_t bytes) {
    table.add({name, format_bytes(bytes), share(bytes, f.reserved_bytes)});
  };
  row("requested by the program", f.requested_bytes);
  row("rounding", f.allocated_bytes - f.requested_bytes);
  row("given back, another stream still uses it", f.active_bytes - f.allocated_bytes);
  row("stuck: free beside blocks in use", f.inactive_split_bytes);
  row("cached: whole free segments", f.cached_bytes);
  row("reserved", f.reserved_bytes);
  fmt::print("{}", table.text());
}

void print_growths(const Trace& trace, const Outcome& o, int rows) {
  if (o.replay.growths.empty()) return;
  fmt::print("\n  Why it grew, {} times (the largest first):\n", o.replay.growths.size());
  std::vector<Growth> all = o.replay.growths;
  std::ranges::stable_sort(all, std::ranges::greater{}, &Growth::segment_bytes);
  for (std::size_t i = 0; i < std::min(all.size(), static_cast<std::size_t>(rows)); ++i) {
    const std::string time = all[i].time_ns > 0 ? format_ns(all[i].time_ns) : "at first";
    fmt::print("    {:>10}  +{}: {}\n", time, format_bytes(all[i].segment_bytes),
               explanation(trace, all[i]));
  }
}

void print_outcomes(const Trace& trace, const std::vector<Outcome>& all,
                    const AllocatorOptions& options) {
  fmt::print("{}\n{}\n\n", trace.meta.title, state_line(trace));
  const Outcome& first = all.front();
  Table table({"model", ">reserved peak", ">live peak", ">against the first", "note"});
  for (const Outcome& o : all) {
    const AllocatorReplay& r = o.replay;
    // What a failed row reserved is no saving: its requests were refused.
    const std::string change =
        o.fits && first.fits ? format_change(static_cast<double>(r.peak_reserved_bytes),
                                             static_cast<double>(first.replay.peak_reserved_bytes))
                             : "";
    const std::string failure =
        r.failed == 0
            ? "does not fit"
            : fmt::format("does not fit: {} of {} requests refused", r.failed, r.allocations);
    table.add({o.name, format_bytes(r.peak_reserved_bytes),
               r.allocations == 0 ? "" : format_bytes(r.peak_active_bytes), change,
               o.fits ? o.note : failure});
  }
  fmt::print("{}", table.text());
  const auto pytorch = std::ranges::find(all, "pytorch", &Outcome::name);
  const Outcome& main = pytorch == all.end() ? all.front() : *pytorch;
  if (main.replay.allocations > 0) print_gap(main);
  print_growths(trace, main, options.rows);
  if (!main.note.ends_with("as recorded")) return;
  fmt::print("\n  Against the recording: {} of {} addresses and {} segments differ.\n",
             main.replay.wrong_addresses, main.replay.allocations, main.replay.wrong_segments);
  if (main.replay.released_as_recorded > 0) {
    fmt::print("  {} segments were given back by a choice that the recording does not explain.\n",
               main.replay.released_as_recorded);
  }
}

/// Without --model and --conf: the recorded allocator and what could be had instead.
std::vector<Outcome> compare(const Trace& trace, const AllocatorOptions& options) {
  Request request{.conf = recorded_conf(trace)};
  const bool has_conf = !options.conf.empty();
  if (has_conf) {
    request.conf = parse_allocator_conf(options.conf, "--conf");
    request.as_recorded = request.conf == recorded_conf(trace);
  }
  if (!options.device_memory.empty()) {
    request.device_bytes = parse_size(options.device_memory, "--device-memory");
  }
  if (request.conf.memory_fraction > 0 && request.device_bytes == 0) {
    throw InputError(InputError::Parts{.place = "--conf: memory_fraction",
                                       .expected = "--device-memory beside it",
                                       .found = "none"});
  }
  std::vector<Outcome> out;
  if (!options.models.empty()) {
    const std::vector<AllocatorKind> kinds = kinds_of(options);
    if (has_conf && std::ranges::find(kinds, AllocatorKind::pytorch) == kinds.end()) {
      throw InputError("--conf is for --model pytorch, which is not among those asked for");
    }
    for (AllocatorKind kind : kinds) out.push_back(outcome_of(trace, kind, request));
    return out;
  }
  out.push_back(outcome_of(trace, AllocatorKind::pytorch, request));
  Request other = request;
  other.as_recorded = false;
  other.conf.expandable_segments = !request.conf.expandable_segments;
  out.push_back(outcome_of(trace, AllocatorKind::pytorch, other));
  for (AllocatorKind kind : {AllocatorKind::bfc, AllocatorKind::cuda_async,
                             AllocatorKind::static_plan, AllocatorKind::ideal}) {
    out.push_back(outcome_of(trace, kind, request));
  }
  return out;
}

bool run(const AllocatorOptions& options) {
  bool fits = true;
  Json ranks = Json::array();
  for (const Trace& trace : read_ranks(options.file)) {
    if (trace.events.empty() && trace.program.body.empty()) {
      throw InputError(InputError::Parts{.file = options.file,
                                         .place = {},
                                         .expected = "a trace with memory events or a program",
                                         .found = "neither"});
    }
    const std::vector<Outcome> all = compare(trace, options);
    for (const Outcome& o : all) fits = fits && o.fits;
    if (!options.json) {
      print_outcomes(trace, all, options);
      continue;
    }
    Json j{{"title", trace.meta.title}, {"models", Json::array()}};
    for (const Outcome& o : all) j["models"].push_back(outcome_json(trace, o, options.rows));
    ranks.push_back(std::move(j));
  }
  if (options.json) {
    fmt::print("{}\n", (ranks.size() == 1 ? ranks[0] : Json{{"ranks", ranks}}).dump(2));
  }
  return fits;
}

}  // namespace

void add_allocator(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AllocatorOptions>();
  CLI::App* verb = app.add_subcommand(
      "allocator", "what an allocator reserves for a trace, why, and what others would");
  verb->add_option("trace", options->file, "trace file (.tmk)")->required();
  verb->add_option("--model", options->models,
                   "pytorch, bfc, cuda-async, ideal, static; several for one table (default all)");
  verb->add_option("--conf", options->conf, "options as in PYTORCH_CUDA_ALLOC_CONF");
  verb->add_option("--device-memory", options->device_memory, "bytes that the device has");
  verb->add_option("--rows", options->rows, "most growths to explain")
      ->check(CLI::Range(0, 1000000));
  verb->add_flag("--json", options->json, "figures as one JSON object");
  verb->footer("Example: tidemark allocator run.tmk --conf expandable_segments:True");
  verb->callback(
      [options, &exit_code] { exit_code = run(*options) ? k_exit_done : k_exit_not_possible; });
}

}  // namespace tidemark
