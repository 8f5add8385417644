// `tidemark export`: a trace for other people's viewers.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/exit_code.h"
#include "sim/export_chrome.h"
#include "sim/export_csv.h"
#include "sim/export_events.h"
#include "sim/export_perfetto.h"
#include "sim/export_pytorch.h"
#include "sim/export_sqlite.h"
#include "sim/units.h"
#include "sim/verbs.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/gzip.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

struct ExportOptions {
  std::string file;
  std::string format;
  std::string output;
  bool json = false;
  bool quiet = false;
};

/// A form that a trace can be written in.
struct ExportFormat {
  std::string_view name;
  std::vector<std::string_view> endings;  // the first is that of the default name
  std::string_view opened_by;
  std::string (*content)(const Trace&);
  bool knows_host = true;  // false: memory of the host is left out
};

const std::vector<ExportFormat>& formats() {
  static const std::vector<ExportFormat> k_formats{
      {"chrome", {".trace.json", ".json"}, "ui.perfetto.dev or chrome://tracing", &to_chrome},
      {"perfetto", {".pftrace", ".perfetto-trace"}, "ui.perfetto.dev", &to_perfetto},
      {"sqlite", {".sqlite", ".sqlite3", ".db"}, "any client of SQLite", &to_sqlite},
      {"csv", {".csv"}, "any spreadsheet", &events_csv},
      {"pytorch", {".pickle", ".pkl"}, "pytorch.org/memory_viz", &to_snapshot, false},
  };
  return k_formats;
}

std::string format_names() {
  std::string out;
  for (const ExportFormat& f : formats()) out += (out.empty() ? "" : ", ") + std::string(f.name);
  return out;
}

bool takes(const ExportFormat& format, std::string_view file) {
  if (file.ends_with(".gz")) file.remove_suffix(3);
  for (const std::string_view ending : format.endings) {
    if (file.ends_with(ending)) return true;
  }
  return false;
}

/// By its name, else by the end of the output's name.
const ExportFormat& format_of(const ExportOptions& options) {
  for (const ExportFormat& f : formats()) {
    if (options.format.empty() ? takes(f, options.output) : f.name == options.format) return f;
  }
  throw InputError(InputError::Parts{.place = "--format",
                                     .expected = "one of " + format_names(),
                                     .found = options.format.empty()
                                                  ? "none, and no name of an output that tells"
                                                  : "'" + options.format + "'"});
}

/// "run.tmk" gives "run.trace.json".
std::string default_output(const std::string& input, const ExportFormat& format) {
  const std::string named = output_name(input, "x");  // "run.x.tmk"
  return named.substr(0, named.size() - std::string_view(".x.tmk").size()) +
         std::string(format.endings.front());
}

/// "run.csv.gz" gives "run.peaks.csv.gz".
std::string peaks_name(const std::string& output) {
  const std::size_t dot = output.rfind(".csv");
  const std::size_t end = dot == std::string::npos ? output.size() : dot;
  return output.substr(0, end) + ".peaks" + output.substr(end);
}

std::size_t write_output(const std::string& path, std::string content) {
  if (path.ends_with(".gz")) content = gzip(content);
  write_file(path, content);
  return content.size();
}

void export_file(const ExportOptions& options) {
  const ExportFormat& format = format_of(options);
  const std::string output =
      options.output.empty() ? default_output(options.file, format) : options.output;
  if (options.json && output == "-") {
    throw InputError(InputError::Parts{
        .place = "-o", .expected = "a file: --json takes stdout", .found = "'-'"});
  }
  const Trace trace = read_single(options.file);
  require_other_file(output, {options.file});
  require_writable(output);
  Json written = Json::array();
  const auto write = [&](const std::string& path, std::string content) {
    const std::size_t size = write_output(path, std::move(content));
    written.push_back({{"file", path}, {"bytes", size}});
  };
  write(output, format.content(trace));
  if (format.name == "csv" && output != "-") {
    require_other_file(peaks_name(output), {options.file});
    write(peaks_name(output), peaks_csv(trace));
  }
  const std::int64_t host_buffers =
      format.knows_host ? 0 : std::ranges::count_if(trace.buffers, [](const Buffer& b) {
        return b.space.kind != SpaceKind::device && counted_bytes(b) > 0;
      });
  const Peak peak = timeline_of(trace, {SpaceKind::device, trace.meta.rank}).run_peak;
  if (options.json) {
    fmt::print("{}\n", Json{{"format", format.name},
                            {"files", written},
                            {"run_peak_bytes", peak.bytes},
                            {"left_out_host_buffers", host_buffers}}
                           .dump(2));
  }
  if (options.json || options.quiet || output == "-") return;
  for (const Json& file : written) {
    fmt::print("{}: {}\n", file["file"].get<std::string>(),
               format_bytes(file["bytes"].get<std::int64_t>()));
  }
  fmt::print("  run peak {} on the device; open it with {}\n", format_bytes(peak.bytes),
             format.opened_by);
  if (host_buffers > 0) {
    fmt::print("  left out: {} buffers of the host, of which this format knows nothing\n",
               host_buffers);
  }
}

}  // namespace

void add_export(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* verb = app.add_subcommand("export", "write a trace for other people's viewers");
  verb->add_option("trace", options->file, "run.tmk")->required();
  verb->add_option("--format", options->format,
                   format_names() + "; without it the end of the output's name tells");
  verb->add_option("-o,--output", options->output,
                   "file to write, compressed when it ends in .gz; default: named after the trace");
  verb->add_flag("--json", options->json, "figures as one JSON object");
  verb->add_flag("--quiet", options->quiet, "print nothing");
  verb->footer("Example: tidemark export run.tmk --format chrome -o run.trace.json.gz");
  verb->callback([options, &exit_code] {
    export_file(*options);
    exit_code = k_exit_done;
  });
}

}  // namespace tidemark
