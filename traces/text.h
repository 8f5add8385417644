// The JSON text form of a trace: the same tables and fields as the binary form, for people, golden
// files and hand-written programs. FORMAT.md, section "Text form".
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// One row per line; fields that have their default are left out.
[[nodiscard]] std::string to_text(const Trace& trace);

/// Throws InputError that names the table, the row and the field. Unknown tables and fields are
/// errors: what people write by hand must not be ignored in silence.
[[nodiscard]] Trace from_text(const std::string& text);

}  // namespace tidemark
