// A build without SQLite.
#include "traces/error.h"
#include "traces/import_sqlite.h"

namespace tidemark {

std::vector<ImportedDevice> import_sqlite(const std::string&, const std::string&) {
  throw InputError(InputError::Parts{
      .place = "byte 0",
      .expected = "a form that this build reads (for SQLite build with libsqlite3-dev)",
      .found = "an SQLite database"});
}

}  // namespace tidemark
