// A trace as an SQLite database, for questions in SQL.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// The content of a database file with the tables tidemark, layers, streams, buffers, ops, events,
/// live (bytes by memory and category behind each change) and peaks; docs/import-export.md
/// describes the columns. import_sqlite() reads layers, streams, buffers, ops by name and events
/// back as they were. Left out: operands, the program, plans. Throws InputError in a build without
/// SQLite.
[[nodiscard]] std::string to_sqlite(const Trace& trace);

}  // namespace tidemark
