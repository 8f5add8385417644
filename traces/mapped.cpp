#include "traces/mapped.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "traces/binary.h"
#include "traces/blocks.h"
#include "traces/columns.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::size_t k_end_block_size = k_block_header_size + 9;

[[noreturn]] void unreadable(const std::string& path, const std::string& why) {
  throw InputError(
      InputError::Parts{.file = path, .place = {}, .expected = "a readable file", .found = why});
}

template <RowType Row>
std::vector<Row> rows_of(std::string_view bytes, const Block& block) {
  const std::string payload = payload_of(bytes, block);
  ColumnReader reader(payload);
  std::vector<Row> rows(block.rows);
  reader.all(std::span<Row>(rows));
  reader.finish();
  return rows;
}

bool is_table(const std::string& type) {
  bool known = type == k_live;
  const Trace none;
  each_table(none, [&](const char* name, const auto&) { known = known || type == name; });
  return known;
}

}  // namespace

FileMapping::FileMapping(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) unreadable(path, std::strerror(errno));
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (regular && status.st_size > 0) {
    size_bytes_ = static_cast<std::size_t>(status.st_size);
    void* at = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at != MAP_FAILED) data_ = static_cast<const char*>(at);
  }
  ::close(fd);
  if (!regular) unreadable(path, "not a regular file");
  if (data_ == nullptr && size_bytes_ > 0) unreadable(path, "not enough address space");
}

FileMapping::~FileMapping() {
  // munmap takes the address without const, and does not write to it.
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_bytes_);
}

MappedTrace::MappedTrace(const std::string& path) : path_(path), file_(path) {
  if (!file_.bytes().starts_with(k_magic)) {
    throw InputError(InputError::Parts{.file = path,
                                       .place = "byte 0",
                                       .expected = "an uncompressed binary trace (.tmk)",
                                       .found = "something else"});
  }
  try {
    require_file_header(file_.bytes());
  } catch (const InputError& error) {
    throw error.in_file(path);
  }
  if (!find_index()) rebuild_index();
  for (const IndexRow& row : index_) {
    if (!is_table(row.type)) ++health_.skipped_blocks;
  }
}

bool MappedTrace::find_index() {
  const std::string_view bytes = file_.bytes();
  Block end;
  if (bytes.size() < k_file_header_size + k_end_block_size) return false;
  if (!find_block(bytes, bytes.size() - k_end_block_size, end)) return false;
  if (end.type != k_end || end.end() != bytes.size() || !is_intact(bytes, end)) return false;
  Block index;
  if (!find_block(bytes, static_cast<std::size_t>(end.rows), index)) return false;
  if (index.type != k_index || index.end() != bytes.size() - k_end_block_size) return false;
  try {
    std::vector<IndexRow> rows = rows_of<IndexRow>(bytes, index);
    if (!agrees_with_blocks(rows)) return false;
    index_ = std::move(rows);
  } catch (const std::exception&) {
    return false;  // counted when the blocks are walked
  }
  return true;
}

bool MappedTrace::agrees_with_blocks(const std::vector<IndexRow>& rows) const {
  auto at = static_cast<std::int64_t>(k_file_header_size);
  std::map<std::string, std::int64_t> rows_before;
  Block block;
  for (const IndexRow& row : rows) {
    if (row.at != at || !find_block(file_.bytes(), static_cast<std::size_t>(at), block)) {
      return false;
    }
    std::int64_t& before = rows_before[row.type];
    if (row.type != block.type || row.rows < 0 ||
        static_cast<std::uint64_t>(row.rows) != block.rows || row.first_row != before ||
        row.begin_ns > row.end_ns) {
      return false;
    }
    before += row.rows;
    at = static_cast<std::int64_t>(block.end());
  }
  return find_block(file_.bytes(), static_cast<std::size_t>(at), block) && block.type == k_index;
}

void MappedTrace::rebuild_index() {
  index_rebuilt_ = true;
  health_.complete = false;
  const std::string_view bytes = file_.bytes();
  std::map<std::string, std::int64_t> rows_before;
  std::size_t at = k_file_header_size;
  Block block;
  bool events_end = false;  // behind a damaged block of events
  while (find_block(bytes, at, block)) {
    const bool intact = is_intact(bytes, block);
    IndexRow row{.type = block.type, .at = static_cast<std::int64_t>(at)};
    at = block.end();
    if (intact && block.type == k_end) {
      health_.complete = true;
      return;
    }
    if (intact && block.type == k_index) continue;
    try {
      if (!intact) throw InputError("checksum");
      if (events_end && (block.type == "events" || block.type == k_live)) {
        throw InputError("a block before it is damaged");
      }
      row.rows = static_cast<std::int64_t>(block.rows);
      if (block.type == "events") {
        const std::vector<Event> events = rows_of<Event>(bytes, block);
        if (!events.empty()) {
          row.begin_ns = events.front().time_ns;
          row.end_ns = events.back().time_ns;
        }
      }
      if (block.type == k_live) {
        row.begin_ns = row.end_ns = rows_of<LiveSnapshot>(bytes, block).at(0).time_ns;
      }
    } catch (const std::exception&) {
      ++health_.damaged_blocks;
      // The name of a damaged block is not to be trusted: one that nobody knows was some table.
      if (!is_table(block.type)) events_end = true;
      if (block.type != "events") continue;
      events_end = true;
      health_.dropped_events +=
          static_cast<std::int64_t>(std::min<std::uint64_t>(block.rows, k_events_per_block));
      continue;
    }
    std::int64_t& before = rows_before[row.type];
    row.first_row = before;
    before += row.rows;
    index_.push_back(row);
  }
  health_.truncated_bytes = static_cast<std::int64_t>(bytes.size() - at);
}

std::int64_t MappedTrace::event_count() const {
  std::int64_t count = 0;
  for (const IndexRow& row : index_) count += row.type == "events" ? row.rows : 0;
  return count;
}

std::vector<Event> MappedTrace::events_of(const IndexRow& row) {
  Block block;
  try {
    if (!find_block(file_.bytes(), static_cast<std::size_t>(row.at), block))
      throw InputError("cut");
    return rows_of<Event>(file_.bytes(), block);
  } catch (const std::exception&) {
    drop_events_from(row.at);
    return {};
  }
}

void MappedTrace::drop_events_from(std::int64_t at) {
  std::erase_if(index_, [&](const IndexRow& row) {
    const bool lost = row.at >= at && (row.type == "events" || row.type == k_live);
    if (lost) ++health_.damaged_blocks;
    if (lost && row.type == "events") health_.dropped_events += row.rows;
    return lost;
  });
}

std::vector<Event> MappedTrace::events_between(std::int64_t begin_ns, std::int64_t end_ns) {
  std::vector<Event> out;
  const std::vector<IndexRow> index = index_;  // decoding may shorten it
  for (const IndexRow& row : index) {
    if (row.type != "events" || row.end_ns < begin_ns || row.begin_ns >= end_ns) continue;
    const std::vector<Event> events = events_of(row);
    if (events.empty() && row.rows > 0) break;
    for (const Event& event : events) {
      if (event.time_ns >= begin_ns && event.time_ns < end_ns) out.push_back(event);
    }
  }
  return out;
}

LiveSet MappedTrace::start_before(std::int64_t time_ns, std::int64_t& first_event) {
  first_event = 0;
  for (std::size_t i = index_.size(); i-- > 0;) {
    const IndexRow& row = index_[i];
    if (row.type != k_live || row.begin_ns > time_ns) continue;
    Block block;
    try {
      if (!find_block(file_.bytes(), static_cast<std::size_t>(row.at), block)) break;
      const LiveSnapshot snapshot = rows_of<LiveSnapshot>(file_.bytes(), block).at(0);
      first_event = snapshot.first_event;
      return LiveSet(snapshot);
    } catch (const std::exception&) {
      ++health_.damaged_blocks;  // an earlier one, or the begin of the file, will do
      index_.erase(index_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return {};
}

std::vector<LiveBuffer> MappedTrace::alive_at(std::int64_t time_ns) {
  std::int64_t first_event = 0;
  LiveSet live = start_before(time_ns, first_event);
  const std::vector<IndexRow> index = index_;
  for (const IndexRow& row : index) {
    if (row.type != "events" || row.first_row < first_event || row.begin_ns > time_ns) continue;
    const std::vector<Event> events = events_of(row);
    if (events.empty() && row.rows > 0) break;
    for (const Event& event : events) {
      if (event.time_ns > time_ns) break;
      live.apply(event);
    }
  }
  return live.snapshot().buffers;
}

}  // namespace tidemark
