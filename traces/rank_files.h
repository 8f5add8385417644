// The files of a run on several ranks: one per rank and an index (FORMAT.md, section 11).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// "run.tmk" and 2 give "run.rank0.tmk" and "run.rank1.tmk".
[[nodiscard]] std::vector<std::string> rank_files(const std::string& index, std::size_t ranks);

/// The index of files that are there: `meta` is that of any rank. Throws InputError when it cannot
/// be written.
void write_index(const Meta& meta, const std::string& index, std::size_t ranks);

/// Each trace to its file, then the index: an index that is there names files that are whole.
/// `ranks` are in rank order. Throws InputError when something cannot be written, or when `index`
/// is no name beside which files can stand ("-").
void write_ranks(std::span<const Trace> ranks, const std::string& index);

}  // namespace tidemark
