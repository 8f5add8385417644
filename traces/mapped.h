// A trace file that is not read as a whole: mapped into memory, blocks decoded when asked for. The
// events of any span of time, and what is live at any instant, cost a few blocks whatever the size
// of the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/live_set.h"
#include "traces/trace.h"

namespace tidemark {

/// A file mapped for reading; empty files map to an empty view. Throws InputError.
class FileMapping {
 public:
  explicit FileMapping(const std::string& path);
  ~FileMapping();
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;
  [[nodiscard]] std::string_view bytes() const { return {data_, size_bytes_}; }

 private:
  const char* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

/// Binary, uncompressed traces only. The file must not change while it is open.
class MappedTrace {
 public:
  /// Finds the index, or makes it again from the block headers and the events. Throws InputError
  /// when the file is no binary trace of this major version.
  explicit MappedTrace(const std::string& path);

  [[nodiscard]] const std::vector<IndexRow>& index() const { return index_; }
  [[nodiscard]] bool index_rebuilt() const { return index_rebuilt_; }

  /// Events that can be read: those before the first damaged block of events that was met.
  [[nodiscard]] std::int64_t event_count() const;

  /// Events with begin_ns <= time_ns < end_ns, in recording order.
  [[nodiscard]] std::vector<Event> events_between(std::int64_t begin_ns, std::int64_t end_ns);

  /// What is live behind the last event with time_ns <= `time_ns`, ascending by buffer.
  [[nodiscard]] std::vector<LiveBuffer> alive_at(std::int64_t time_ns);

  /// What was lost so far: of the whole file what its headers tell, of the blocks what was met when
  /// they were decoded. complete is false when the file has no end.
  [[nodiscard]] const Health& health() const { return health_; }

 private:
  bool find_index();
  void rebuild_index();
  [[nodiscard]] bool agrees_with_blocks(const std::vector<IndexRow>& rows) const;
  [[nodiscard]] std::vector<Event> events_of(const IndexRow& row);
  void drop_events_from(std::int64_t at);
  [[nodiscard]] LiveSet start_before(std::int64_t time_ns, std::int64_t& first_event);

  std::string path_;
  FileMapping file_;
  std::vector<IndexRow> index_;
  bool index_rebuilt_ = false;
  Health health_;
};

}  // namespace tidemark
