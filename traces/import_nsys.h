// Exports of NVIDIA's Nsight Systems in SQLite. The contract stands at import_sqlite().
#pragma once

#include <string>
#include <vector>

#include "traces/imported_device.h"
#include "traces/sqlite_database.h"

namespace tidemark {

/// True when the tables are those of such an export.
[[nodiscard]] bool is_nsys(const SqliteDatabase& database);

[[nodiscard]] std::vector<ImportedDevice> import_nsys(const SqliteDatabase& database,
                                                      const std::string& title);

}  // namespace tidemark
