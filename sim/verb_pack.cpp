// `tidemark pack`: best static addresses, with the lower bound.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/exit_code.h"
#include "sim/pack_csv.h"
#include "sim/pack_trace.h"
#include "sim/run_state.h"
#include "sim/table.h"
#include "sim/units.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct PackOptions {
  std::string file;
  std::string capacity;
  std::string time_limit;
  std::string output;
  PackLimits limits;
  bool json = false;
};

/// What is packed: a CSV problem, or the device buffers of a trace.
struct Source {
  NamedProblem problem;
  Trace trace;
  std::vector<BufferId> buffers;    // of the trace, by block
  std::int64_t reserved_bytes = 0;  // that the allocator of the recording took; 0 = not recorded
};

bool is_csv(const std::string& path) {
  const std::size_t at = path.rfind(".csv");
  return at != std::string::npos && path.find('/', at) == std::string::npos;
}

std::int64_t recorded_reserved_bytes(const Trace& trace) {
  for (const ArenaRecord& arena : trace.arenas) {
    if (arena.space.kind == SpaceKind::device) return arena.high_water_bytes;
  }
  std::int64_t now = 0;
  std::int64_t most = 0;
  for (const Event& e : trace.events) {
    if (e.kind == EventKind::segment_alloc) most = std::max(most, now += e.size_bytes);
    if (e.kind == EventKind::segment_free) now -= e.size_bytes;
  }
  return most;
}

Source read_source(const std::string& path) {
  Source source;
  if (is_csv(path)) {
    source.problem = pack_problem_from_csv(read_file(path), path);
    return source;
  }
  source.trace = read_single(path);
  SpaceProblem problem =
      pack_problem_of(source.trace, Space{SpaceKind::device, source.trace.meta.rank});
  if (problem.blocks.empty()) {
    throw InputError(InputError::Parts{.file = path,
                                       .expected = "buffers on the device, in a program or as "
                                                   "recorded events",
                                       .found = "none"});
  }
  for (const BufferId id : problem.buffers) source.problem.names.push_back(source.trace[id].name);
  source.buffers = std::move(problem.buffers);
  source.problem.blocks = std::move(problem.blocks);
  source.reserved_bytes = recorded_reserved_bytes(source.trace);
  return source;
}

void write_placed(Source& source, const PackResult& result, const std::string& output) {
  if (source.buffers.empty()) {
    write_file(output, packing_to_csv(source.problem, result.packing));
    return;
  }
  for (std::size_t i = 0; i < source.buffers.size(); ++i) {
    source.trace.buffers[source.buffers[i].index()].offset_bytes = result.packing.offset_bytes[i];
  }
  write_trace(source.trace, output);
}

/// Rows of the blocks that live when most bytes live, largest first.
std::vector<std::size_t> holders_of_the_peak(const PackProblem& blocks) {
  const std::int64_t time = pack_peak_time(blocks);
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].begin <= time && time < blocks[i].end && blocks[i].size_bytes > 0) {
      rows.push_back(i);
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [&blocks](std::size_t a, std::size_t b) {
    return blocks[a].size_bytes > blocks[b].size_bytes;
  });
  rows.resize(std::min<std::size_t>(rows.size(), 8));
  return rows;
}

std::string verdict(const PackResult& r, std::int64_t capacity_bytes) {
  if (r.state == PackState::impossible) {
    return fmt::format("does not fit in {} bytes: proven, at least {} bytes are needed",
                       capacity_bytes, r.bound_bytes);
  }
  if (r.state == PackState::unknown && capacity_bytes > 0) {
    return fmt::format("no packing in {} bytes found within {}; not proven impossible",
                       capacity_bytes, r.timed_out ? "the time limit" : "the node limit");
  }
  if (capacity_bytes > 0) return fmt::format("fits in {} bytes", capacity_bytes);
  return r.state == PackState::fits ? "proven to be the least height"
                                    : "not proven to be the least height";
}

Json pack_json(const Source& source, const PackResult& r, std::int64_t capacity_bytes) {
  static constexpr const char* k_states[] = {"fits", "impossible", "unknown"};
  Json j{{"buffers", source.problem.blocks.size()},
         {"height_bytes", r.packing.height_bytes},
         {"bound_bytes", r.bound_bytes},
         {"capacity_bytes", nullptr},
         {"state", k_states[static_cast<std::size_t>(r.state)]},
         {"nodes", r.nodes},
         {"timed_out", r.timed_out},
         {"reserved_bytes", nullptr},
         {"largest_at_peak", Json::array()}};
  if (capacity_bytes > 0) j["capacity_bytes"] = capacity_bytes;
  if (source.reserved_bytes > 0) j["reserved_bytes"] = source.reserved_bytes;
  for (const std::size_t row : holders_of_the_peak(source.problem.blocks)) {
    j["largest_at_peak"].push_back({{"name", source.problem.names[row]},
                                    {"bytes", source.problem.blocks[row].size_bytes},
                                    {"offset_bytes", r.packing.offset_bytes[row]}});
  }
  return j;
}

void print(const Source& source, const PackResult& r, std::int64_t capacity_bytes) {
  const auto height = static_cast<double>(r.packing.height_bytes);
  fmt::print("  {} buffers, height {} ({} bytes), {} against the lower bound {} bytes\n  {}\n",
             source.problem.blocks.size(), format_bytes(r.packing.height_bytes),
             r.packing.height_bytes, format_change(height, static_cast<double>(r.bound_bytes)),
             r.bound_bytes, verdict(r, capacity_bytes));
  if (source.reserved_bytes > 0) {
    fmt::print("  the recording reserved {}; with these addresses {} of it would be free\n",
               format_bytes(source.reserved_bytes),
               format_bytes(source.reserved_bytes - r.packing.height_bytes));
  }
  Table table({"largest where most bytes live", ">bytes", ">offset"});
  for (const std::size_t row : holders_of_the_peak(source.problem.blocks)) {
    table.add({source.problem.names[row], format_bytes(source.problem.blocks[row].size_bytes),
               std::to_string(r.packing.offset_bytes[row])});
  }
  fmt::print("\n{}", table.text());
}

int pack_file(PackOptions& options) {
  if (!options.capacity.empty()) {
    options.limits.capacity_bytes = parse_size(options.capacity, "--capacity");
    if (options.limits.capacity_bytes == 0) throw InputError("--capacity: expected more than 0");
  }
  if (!options.time_limit.empty()) {
    options.limits.seconds =
        static_cast<double>(parse_time_ns(options.time_limit, "--time-limit")) * 1e-9;
  }
  Source source = read_source(options.file);
  require_other_file(options.output, {options.file});
  if (const std::string warning = warning_line(source.trace); !warning.empty()) {
    fmt::print(stderr, "tidemark: {}: {}\n", options.file, warning);
  }
  const PackResult result = pack(source.problem.blocks, options.limits);
  const std::int64_t capacity_bytes = options.limits.capacity_bytes;
  const bool fits = capacity_bytes == 0 || result.packing.height_bytes <= capacity_bytes;
  if (fits && !options.output.empty()) write_placed(source, result, options.output);
  if (options.json) {
    fmt::print("{}\n", pack_json(source, result, capacity_bytes).dump(2));
  } else if (options.output != "-") {
    print(source, result, capacity_bytes);
  }
  const bool told = !options.json && options.output != "-";
  if (!fits && !told) fmt::print(stderr, "tidemark: {}\n", verdict(result, capacity_bytes));
  return fits ? k_exit_done : k_exit_not_possible;
}

}  // namespace

void add_pack(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PackOptions>();
  CLI::App* verb = app.add_subcommand("pack", "best static addresses, with the lower bound");
  verb->add_option("file", options->file,
                   "a trace, or buffers as CSV: id,lower,upper,size[,alignment]")
      ->required();
  verb->add_option("--capacity", options->capacity, "height that is enough: 12GiB; default least");
  verb->add_option("--nodes", options->limits.nodes, "blocks tried at most by the exact search")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 60));
  verb->add_option("--time-limit", options->time_limit, "wall time: 50ms, 10s");
  verb->add_option("-o,--output", options->output, "the placed trace, or the CSV with offsets");
  verb->add_flag("--json", options->json, "figures as one JSON object");
  verb->footer("Example: tidemark pack buffers.csv --capacity 1MiB -o placed.csv");
  verb->callback([options, &exit_code] { exit_code = pack_file(*options); });
}

}  // namespace tidemark
