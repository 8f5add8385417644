#include "sim/run_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/units.h"

namespace tidemark {

bool is_whole(const Health& h) {
  return h == Health{};
}

std::string health_line(const Health& h) {
  if (is_whole(h)) return "complete";
  std::string text;
  const auto say = [&text](std::int64_t count, const char* one, const char* several) {
    if (count == 0) return;
    text += text.empty() ? "" : ", ";
    text += fmt::format(fmt::runtime(count == 1 ? one : several), count);
  };
  say(h.dropped_events, "{} event dropped", "{} events dropped");
  say(h.unmatched_frees, "{} free unmatched", "{} frees unmatched");
  say(h.damaged_blocks, "{} block damaged", "{} blocks damaged");
  say(h.skipped_blocks, "{} block of unknown type", "{} blocks of unknown type");
  // The unreadable end of the file: how much was never written nobody knows.
  say(h.truncated_bytes, "the file ends early, its last byte is unreadable",
      "the file ends early, its last {} bytes are unreadable");
  if (text.empty()) text = "the recording was not closed in order";
  return "NOT COMPLETE: " + text;
}

const Event* ending_shortage(const Trace& trace) {
  const auto decides = [](const Event& e) {
    return e.kind == EventKind::out_of_memory || e.kind == EventKind::alloc;
  };
  const auto last = std::find_if(trace.events.rbegin(), trace.events.rend(), decides);
  if (last == trace.events.rend() || last->kind != EventKind::out_of_memory) return nullptr;
  return &*last;
}

std::string shortage_line(const Trace& trace) {
  const Event* e = ending_shortage(trace);
  if (e == nullptr) return {};
  const bool named = e->index >= 0 && static_cast<std::size_t>(e->index) < trace.buffers.size();
  return fmt::format(
      "ended OUT OF MEMORY: {}{} did not fit", format_bytes(e->size_bytes),
      named ? " for '" + trace.buffers[static_cast<std::size_t>(e->index)].name + "'" : "");
}

bool was_cancelled(const Trace& trace) {
  const std::vector<Instruction>& final = trace.program.final;
  const bool ran = trace.meta.kind != TraceKind::planned && !trace.events.empty();
  const bool can_tell = ran && !final.empty() && final.back().kind == InstructionKind::free;
  if (!can_tell || !is_whole(trace.health) || ending_shortage(trace) != nullptr) return false;
  const auto concerns = [&final](const Event& e) {
    return (e.kind == EventKind::alloc || e.kind == EventKind::free) &&
           e.index == final.back().index;
  };
  const auto last = std::find_if(trace.events.rbegin(), trace.events.rend(), concerns);
  return last == trace.events.rend() || last->kind == EventKind::alloc;
}

std::string state_line(const Trace& trace) {
  static constexpr const char* k_levels[] = {"memory events", "dataflow and times", "executable"};
  const int level = std::clamp(trace.meta.level, 0, 2);
  std::string out =
      fmt::format("{}, level {} ({})", to_string(trace.meta.kind), level, k_levels[level]);
  if (!trace.meta.backend.empty()) out += ", backend " + trace.meta.backend;
  if (!trace.meta.allocator.empty()) out += ", allocator " + trace.meta.allocator;
  const std::string shortage = shortage_line(trace);
  if (was_cancelled(trace)) out += fmt::format(", CANCELLED after {} steps", trace.steps.size());
  if (shortage.empty()) return out + ", " + health_line(trace.health);
  if (!is_whole(trace.health)) out += ", " + health_line(trace.health);
  return out + ", " + shortage;
}

std::string warning_line(const Trace& trace) {
  std::string out = is_whole(trace.health) ? "" : health_line(trace.health);
  const std::string shortage = shortage_line(trace);
  if (!out.empty() && !shortage.empty()) out += "; ";
  if (trace.steps.empty() && was_cancelled(trace)) return "CANCELLED before a step was done";
  return out + shortage;
}

std::string peak_scope(const Trace& trace, const Timeline& timeline) {
  if (timeline.peak.change < 0) return "not known";
  const bool has_step =
      trace.events.empty() || std::ranges::any_of(trace.events, [](const Event& e) {
        return e.kind == EventKind::step_end;
      });
  if (has_step) return "of one steady step";
  if (was_cancelled(trace)) return "so far: the run was cancelled before a step was done";
  return ending_shortage(trace) == nullptr
             ? "of the recording"
             : "so far: the run ended out of memory before a step was done";
}

}  // namespace tidemark
