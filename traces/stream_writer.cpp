#include "traces/stream_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "traces/binary.h"
#include "traces/error.h"

namespace tidemark {
namespace {

[[noreturn]] void unwritable(const std::string& path) {
  throw InputError(InputError::Parts{.file = path,
                                     .place = {},
                                     .expected = "a place that can be written",
                                     .found = std::strerror(errno)});
}

/// Tables that tell what happened, not what will be done.
bool is_outcome(std::string_view table) {
  return table == "events" || table == "steps" || table == "digests" || table == "arenas" ||
         table == "health";
}

}  // namespace

StreamWriter::StreamWriter(std::string path, const Trace& program)
    : path_(std::move(path)), blocks_(k_events_per_block, BlockWriter::Use::stream) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) unwritable(path_);
  each_table(program, [this](const char* name, const auto& table) {
    if (!is_outcome(name)) blocks_.table(name, table);
  });
  flush();
}

StreamWriter::~StreamWriter() {
  ::close(fd_);
}

void StreamWriter::append(std::span<const Event> events, std::span<const StepRecord> steps,
                          std::span<const Digest> digests) {
  blocks_.table("events", events);
  blocks_.table("steps", steps);
  blocks_.table("digests", digests);
  flush();
}

void StreamWriter::append_rows(const Trace& part) {
  each_table(part, [this](const char* name, const auto& table) {
    if constexpr (requires { table.empty(); }) blocks_.table(name, table);
  });
  flush();
}

void StreamWriter::finish(const Trace& end) {
  blocks_.table("meta", end.meta);
  blocks_.table("arenas", end.arenas);
  blocks_.table("health", end.health);
  blocks_.finish();
  flush();
}

void StreamWriter::flush() {
  const std::string bytes = blocks_.take();
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) unwritable(path_);
    done += static_cast<std::size_t>(put);
  }
}

}  // namespace tidemark
