// `tidemark import`: other people's recordings become traces.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "sim/exit_code.h"
#include "sim/timeline.h"
#include "sim/units.h"
#include "sim/verbs.h"
#include "sim/version.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/import_recording.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct ImportOptions {
  std::string file;
  std::string output;
  bool json = false;
  bool quiet = false;
};

/// "run.pickle.xz" and "run.pt.trace.json.gz" give "run".
std::string stem_of(const std::string& file) {
  std::string stem = std::filesystem::path(file).filename().string();
  for (const char* ending :
       {".gz", ".xz", ".zst", ".pickle", ".pkl", ".json", ".trace", ".pt", ".sqlite"}) {
    if (stem.ends_with(ending)) stem.resize(stem.size() - std::string_view(ending).size());
  }
  return stem == "-" ? "recording" : stem;
}

Peak peak_of(const Trace& trace) {
  return timeline_of(trace, {SpaceKind::device, trace.meta.rank}).peak;
}

Json summary_json(const ImportedDevice& d, const std::string& file) {
  const Peak peak = peak_of(d.trace);
  return {{"file", file},
          {"title", d.trace.meta.title},
          {"buffers", d.trace.buffers.size()},
          {"events", d.trace.events.size()},
          {"start_bytes", d.start_bytes},
          {"all_bytes", d.all_bytes},
          {"unknown_bytes", d.unknown_bytes},
          {"peak_bytes", peak.bytes},
          {"peak_unknown_bytes", peak.by_category[static_cast<std::size_t>(Category::unknown)]},
          {"unmatched_frees", d.trace.health.unmatched_frees},
          {"dropped_events", d.trace.health.dropped_events}};
}

void print_summary(const ImportedDevice& d, const std::string& file) {
  fmt::print("{}: {}\n  {} buffers, {} events, {} when the recording began\n", file,
             d.trace.meta.title, d.trace.buffers.size(), d.trace.events.size(),
             d.start_bytes > 0 ? format_bytes(d.start_bytes) + " live" : "nothing live");
  const double share = d.all_bytes == 0 ? 0
                                        : 100.0 * static_cast<double>(d.unknown_bytes) /
                                              static_cast<double>(d.all_bytes);
  const Peak peak = peak_of(d.trace);
  const std::int64_t untold = peak.by_category[static_cast<std::size_t>(Category::unknown)];
  fmt::print(
      "  category not told by the call stacks: {:.1f} % of all bytes ever allocated, {:.1f} % of "
      "the peak {}\n",
      share,
      100.0 * static_cast<double>(untold) /
          static_cast<double>(std::max<std::int64_t>(peak.bytes, 1)),
      format_bytes(peak.bytes));
  if (d.trace.health.unmatched_frees > 0) {
    fmt::print("  {} events contradict what is live and were left out\n",
               d.trace.health.unmatched_frees);
  }
  if (d.trace.health.dropped_events > 0) {
    fmt::print("  {} events are missing from the recording\n", d.trace.health.dropped_events);
  }
  if (!d.trace.health.complete) fmt::print("  the recording is cut off\n");
}

/// run.tmk gives run.rank0.tmk, run.rank1.tmk.
std::string rank_name(const std::string& output, std::size_t rank) {
  const std::size_t dot = output.rfind(".tmk");
  const std::size_t end = dot == std::string::npos ? output.size() : dot;
  return fmt::format("{}.rank{}{}", output.substr(0, end), rank, output.substr(end));
}

void import_file(const ImportOptions& options) {
  const std::string output =
      options.output.empty() ? stem_of(options.file) + ".tmk" : options.output;
  std::vector<ImportedDevice> devices;
  try {
    devices = import_recording(read_file(options.file), stem_of(options.file));
  } catch (const InputError& e) {
    throw e.parts().file.empty() ? e.in_file(options.file) : e;
  }
  if (devices.size() > 1 && output == "-") {
    throw InputError(InputError::Parts{
        .place = "-o", .expected = "a file: the recording has several devices", .found = "'-'"});
  }
  if (options.json && output == "-") {
    throw InputError(InputError::Parts{
        .place = "-o", .expected = "a file: --json takes stdout", .found = "'-'"});
  }
  const bool talks = !options.quiet && !options.json && output != "-";
  Json rows = Json::array();
  Trace index;
  index.meta = devices.front().trace.meta;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    devices[i].trace.meta.tool = k_tool;
    const std::string file = devices.size() == 1 ? output : rank_name(output, i);
    require_other_file(file, {options.file});
    write_trace(devices[i].trace, file);
    index.ranks.push_back(
        {static_cast<std::int32_t>(i), std::filesystem::path(file).filename().string()});
    rows.push_back(summary_json(devices[i], file));
    if (talks) print_summary(devices[i], file);
  }
  if (devices.size() > 1) {
    require_other_file(output, {options.file});
    write_trace(index, output);
  }
  if (options.json) fmt::print("{}\n", Json{{"output", output}, {"traces", rows}}.dump(2));
  if (talks) {
    fmt::print("next: tidemark show {0} --by layer; tidemark allocator {0}\n",
               devices.size() == 1 ? output : rank_name(output, 0));
  }
}

}  // namespace

void add_import(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* verb =
      app.add_subcommand("import", "turn a recording of PyTorch or Nsight Systems into a trace");
  verb->add_option("file", options->file,
                   "snapshot.pickle, trace.json or report.sqlite, also .gz, .xz, .zst")
      ->required();
  verb->add_option("-o,--output", options->output, "trace to write; one for each device");
  verb->add_flag("--json", options->json, "figures as one JSON object");
  verb->add_flag("--quiet", options->quiet, "print nothing");
  verb->footer("Example: tidemark import snapshot.pickle -o snapshot.tmk");
  verb->callback([options, &exit_code] {
    import_file(*options);
    exit_code = k_exit_done;
  });
}

}  // namespace tidemark
