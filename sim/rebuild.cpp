#include "sim/rebuild.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "sim/builder.h"

namespace tidemark {
namespace {

using OpsByName = std::unordered_map<std::string_view, OpId>;

OpsByName originals_of(const Trace& source) {
  OpsByName ops;
  for (std::size_t row = 0; row < source.ops.size(); ++row) {
    if (source.ops[row].copy == 0) ops.try_emplace(source.ops[row].name, row);
  }
  return ops;
}

/// "block0.qkv.forward@2" is the same op of another micro-batch.
OpId counterpart(const OpsByName& ops, std::string_view name) {
  auto found = ops.find(name);
  if (found == ops.end()) found = ops.find(name.substr(0, name.find('@')));
  return found == ops.end() ? OpId{} : found->second;
}

struct Models {
  const Device& there;  // of the source
  const Device& here;
};

void carry_time(const Trace& source, OpId from, const Models& models, Trace& built, Op& op) {
  const std::int64_t here_ns = modelled_ns(models.here, built, op);
  op.duration_ns = here_ns;
  op.time_source = TimeSource::modelled;
  if (!from.valid() || source[from].kind != op.kind || source[from].duration_ns < 0) return;
  const std::int64_t there_ns = modelled_ns(models.there, source, source[from]);
  if (there_ns == here_ns) {
    op.duration_ns = source[from].duration_ns;
    op.time_source = source[from].time_source;
  } else if (there_ns > 0) {
    const double factor = static_cast<double>(here_ns) / static_cast<double>(there_ns);
    op.duration_ns =
        static_cast<std::int64_t>(static_cast<double>(source[from].duration_ns) * factor + 0.5);
  }
}

}  // namespace

Trace program_of(const Trace& trace) {
  Trace program;
  program.meta = trace.meta;
  program.plan = trace.plan;
  program.layers = trace.layers;
  program.streams = trace.streams;
  program.groups = trace.groups;
  program.buffers = trace.buffers;
  program.ops = trace.ops;
  program.program = trace.program;
  program.decisions = trace.decisions;
  program.steps = trace.steps;
  program.digests = trace.digests;
  program.health = trace.health;
  return program;
}

bool can_rebuild(const Trace& trace) {
  return !trace.meta.config_json.empty();
}

const Device& modelled_device_of(const Trace& trace) {
  return find_device(host_link_of(trace).device);
}

Trace rebuild(const Trace& source, const RunConfig& config, const Device* device) {
  Trace built = build_program(config);
  const OpsByName ops = originals_of(source);
  const Device& there = modelled_device_of(source);
  const Models models{there, device == nullptr ? there : *device};
  for (Op& op : built.ops) carry_time(source, counterpart(ops, op.name), models, built, op);
  built.meta.tool = source.meta.tool;
  built.meta.command = source.meta.command;
  built.meta.backend = source.meta.backend;
  built.meta.device = device == nullptr ? source.meta.device : device->name;
  built.meta.data_digest = source.meta.data_digest;
  built.meta.source = source.meta.source;
  const bool same_run = built.meta.config_json == source.meta.config_json;
  if (same_run && source.buffers.size() >= built.buffers.size()) {
    const auto is_same = [](const Buffer& a, const Buffer& b) { return a.name == b.name; };
    if (std::equal(built.buffers.begin(), built.buffers.end(), source.buffers.begin(), is_same)) {
      built.steps = source.steps;  // digests name buffers by row
      built.digests = source.digests;
    }
  }
  return built;
}

}  // namespace tidemark
