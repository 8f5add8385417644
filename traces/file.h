// Reading and writing trace files. FORMAT.md is the specification.
#pragma once

#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// Reads a trace: binary `.tmk`, its JSON text form, or either compressed (.gz, .xz, .zst); "-" is
/// stdin. Damage that leaves something readable is counted in Trace::health. Index rows are checked
/// (every id in range), so that the result is safe to walk.
/// Throws InputError when nothing usable is there. An index of a multi-rank run gives a trace that
/// has only `meta` and `ranks`.
[[nodiscard]] Trace read_trace(const std::string& path);

/// As read_trace; throws InputError for the index of a multi-rank run and names a file of it.
[[nodiscard]] Trace read_single(const std::string& path);

/// One trace, or all ranks of an index, in rank order.
[[nodiscard]] std::vector<Trace> read_ranks(const std::string& path);

/// Writes beside `path`, then renames: an existing file is replaced only when the new one is
/// complete. "-" is stdout. The JSON text form when the name ends in ".json".
/// Throws InputError when the file cannot be written.
void write_trace(const Trace& trace, const std::string& path);

/// Asked before long work whose result goes to `path`: throws InputError when nothing can be
/// written there. Changes nothing.
void require_writable(const std::string& path);

/// Throws InputError when `output` is the same file as one of `inputs` (links followed), which the
/// result would replace. "-", devices and pipes are never the same file; empty names are skipped.
void require_other_file(const std::string& output, const std::vector<std::string>& inputs);

/// Whole-file write with the same promise, for every other output.
void write_file(const std::string& path, const std::string& content);

/// Hands what was printed to the system. Throws InputError when stdout cannot take it: a full disk
/// must not look like success.
void flush_stdout();

/// Content of a file, decompressed when it is .gz, .xz or .zst (told by its first bytes); "-" is
/// stdin. Throws InputError; at most `limit_bytes` after decompression.
[[nodiscard]] std::string read_file(const std::string& path,
                                    std::int64_t limit_bytes = std::int64_t{8} << 30);

/// The two forms in memory. `file` names the source in errors.
[[nodiscard]] std::string to_binary(const Trace& trace);
[[nodiscard]] std::string to_text(const Trace& trace);
[[nodiscard]] Trace from_bytes(const std::string& bytes, const std::string& file);

}  // namespace tidemark
