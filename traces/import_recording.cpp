#include "traces/import_recording.h"

#include "traces/error.h"
#include "traces/import_kineto.h"
#include "traces/import_snapshot.h"
#include "traces/import_sqlite.h"

namespace tidemark {

std::vector<ImportedDevice> import_recording(std::string bytes, const std::string& title) {
  if (bytes.starts_with('\x80')) return import_snapshot(std::move(bytes), title);
  if (bytes.starts_with(std::string_view("SQLite format 3\0", 16))) {
    return import_sqlite(bytes, title);
  }
  const std::size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (bytes[first] == '{' || bytes[first] == '[')) {
    return import_kineto(bytes, title);
  }
  throw InputError(InputError::Parts{
      .place = "byte 0",
      .expected =
          "a memory snapshot of PyTorch (a pickle), a trace of its profiler (JSON) or an export of "
          "Nsight Systems (SQLite)",
      .found = bytes.empty() ? "an empty file" : "something else"});
}

}  // namespace tidemark
