#include "sim/part_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "traces/error.h"

namespace tidemark {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw InputError(fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

std::string head_of(const std::string& digest, std::size_t parts) {
  return fmt::format("{{\"tidemark_report\":1,\"spec\":\"{}\",\"parts\":{}}}\n", digest, parts);
}

std::string content_of(int file, const std::string& path) {
  std::string out;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(file, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, "cannot be read");
    if (got == 0) return out;
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace

PartLog::PartLog(const std::string& path, const std::string& digest, std::size_t parts)
    : path_(path), parts_(parts) {
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) fail(path, "cannot be written");
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    throw InputError(path +
                     ": expected a file of one report, found that another process writes it");
  }
  try {
    read_existing(digest);
  } catch (...) {
    ::close(file_);
    throw;
  }
}

PartLog::~PartLog() {
  if (file_ >= 0) ::close(file_);
}

void PartLog::read_existing(const std::string& digest) {
  const std::string text = content_of(file_, path_);
  const std::string head = head_of(digest, parts_);
  const bool begun = text.size() >= head.size() || !head.starts_with(text);
  if (begun && !text.starts_with(head)) {
    throw InputError(InputError::Parts{
        .file = path_,
        .place = "line 1",
        .expected = "rows of this report (remove the file, or name another)",
        .found = "'" + text.substr(0, std::min<std::size_t>(text.find('\n'), 80)) + "'"});
  }
  std::size_t kept = begun ? head.size() : 0;
  std::int64_t line_number = 2;
  while (kept < text.size() && begun) {
    const std::size_t end = text.find('\n', kept);
    if (end == std::string::npos) break;  // torn
    try {
      const auto [index, result] = part_from_line(text.substr(kept, end - kept), parts_);
      done_.emplace(index, result);
    } catch (const InputError& e) {
      throw InputError(fmt::format("{}: line {}: {}", path_, line_number, e.what()));
    }
    kept = end + 1;
    ++line_number;
  }
  if (::ftruncate(file_, static_cast<off_t>(kept)) != 0) fail(path_, "cannot be cut");
  if (::lseek(file_, 0, SEEK_END) < 0) fail(path_, "cannot be written");
  if (!begun) write(head);
}

void PartLog::write(const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t more = ::write(file_, text.data() + written, text.size() - written);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) fail(path_, "cannot be written");
    written += static_cast<std::size_t>(more);
  }
}

void PartLog::add(const std::string& line) {
  const auto [index, result] = part_from_line(line, parts_);
  if (done_.emplace(index, result).second) write(line + "\n");
}

}  // namespace tidemark
