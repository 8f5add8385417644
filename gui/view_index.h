// The arrays of a large run in a file of the user's cache folder, so that it opens at once the next
// time. The file is mapped, not read. It is only a cache: made again whenever it does not fit.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gui/lifetimes.h"
#include "gui/pyramid.h"
#include "gui/run_timeline.h"
#include "traces/mapped.h"

namespace tidemark {

class Run;

class ViewIndex {
 public:
  /// Runs with fewer changes open fast enough without an index.
  static constexpr std::int64_t k_least_changes = 500'000;

  /// Null when there is no whole index at `path` that was stored with this fingerprint by a program
  /// with the same memory layout.
  [[nodiscard]] static std::shared_ptr<const ViewIndex> open(const std::string& path,
                                                             std::uint64_t fingerprint);

  /// `trace` without its events; `kept` gets those that a Run keeps. The arrays lie in this index.
  [[nodiscard]] RunTimeline timeline(const Trace& trace, std::vector<Event>& kept) const;
  [[nodiscard]] AliveIndex::Arrays alive() const;
  [[nodiscard]] Pyramid::Arrays pyramid() const;

 private:
  explicit ViewIndex(const std::string& path) : file_(path) {}

  FileMapping file_;
  std::vector<std::string_view> sections_;
};

/// Writes the index of `run` beside `path`, then renames. False when it cannot be written: then the
/// run opens as it did this time.
bool store_view_index(const Run& run, std::uint64_t fingerprint, const std::string& path);

/// The folder of all indices: $XDG_CACHE_HOME/tidemark or ~/.cache/tidemark; empty when neither is
/// known.
[[nodiscard]] std::string view_index_folder();
[[nodiscard]] std::string view_index_path(const std::string& folder, std::uint64_t fingerprint);

/// Removes the indices that were used longest ago until the others take at most `limit_bytes`.
void trim_view_indices(const std::string& folder, std::int64_t limit_bytes);

}  // namespace tidemark
