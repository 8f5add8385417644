// A build without SQLite.
#include "sim/export_sqlite.h"
#include "traces/error.h"

namespace tidemark {

std::string to_sqlite(const Trace&) {
  throw InputError(InputError::Parts{
      .place = "--format",
      .expected = "a form that this build writes (for SQLite build with libsqlite3-dev)",
      .found = "sqlite"});
}

}  // namespace tidemark
