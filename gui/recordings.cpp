#include "gui/recordings.h"

#include <filesystem>
#include <string_view>

#include "traces/binary.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/import_recording.h"

namespace tidemark {
namespace {

constexpr std::string_view k_blank = " \t\r\n";

/// A trace in its text form is JSON too, but has no such key.
bool has_trace_events(std::string_view json) {
  constexpr std::string_view k_key = "\"traceEvents\"";
  for (std::size_t at = json.find(k_key); at != std::string_view::npos;
       at = json.find(k_key, at + 1)) {
    const std::size_t after = json.find_first_not_of(k_blank, at + k_key.size());
    const bool within_text = at > 0 && json[at - 1] == '\\';
    if (!within_text && after != std::string_view::npos && json[after] == ':') return true;
  }
  return false;
}

enum class Form : std::uint8_t { trace, recording, unknown };

Form form_of(std::string_view bytes) {
  if (bytes.starts_with(k_magic.substr(0, 1))) return Form::trace;
  if (bytes.starts_with('\x80') || bytes.starts_with("SQLite format 3")) return Form::recording;
  const std::size_t first = bytes.find_first_not_of(k_blank);
  if (first == std::string_view::npos) return Form::unknown;
  if (bytes[first] == '[') return Form::recording;
  if (bytes[first] != '{') return Form::unknown;
  return has_trace_events(bytes) ? Form::recording : Form::trace;
}

}  // namespace

std::vector<Trace> read_recordings(const std::string& path) {
  std::string bytes = read_file(path);
  std::vector<Trace> traces;
  switch (form_of(bytes)) {
    case Form::trace:
      traces.push_back(from_bytes(bytes, path));
      return traces;
    case Form::unknown:
      throw InputError({.file = path,
                        .place = "byte 0",
                        .expected = "a trace (.tmk, or its JSON form), a memory snapshot of "
                                    "PyTorch, a trace of its profiler or an export of Nsight "
                                    "Systems (SQLite)",
                        .found = bytes.empty() ? "an empty file" : "something else"});
    case Form::recording:
      break;
  }
  try {
    const std::string title = std::filesystem::path(path).filename().string();
    for (ImportedDevice& device : import_recording(std::move(bytes), title)) {
      traces.push_back(std::move(device.trace));
    }
    if (traces.empty()) {
      throw InputError(InputError::Parts{.expected = "memory of at least one device",
                                         .found = "a recording in which nothing is allocated"});
    }
  } catch (const InputError& error) {
    throw error.parts().file.empty() ? error.in_file(path) : error;
  }
  return traces;
}

}  // namespace tidemark
