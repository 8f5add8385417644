#include "traces/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <boost/iostreams/device/array.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/lzma.hpp>
#include <boost/iostreams/filtering_stream.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "traces/binary.h"
#include "traces/error.h"
#include "traces/salvage.h"
#include "traces/text.h"
#include "traces/validate.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;
namespace io = boost::iostreams;

std::string last_error() {
  return std::strerror(errno);
}

/// A file descriptor that is closed when it goes out of scope, unless it is a standard stream.
struct Descriptor {
  int fd = -1;
  Descriptor(const std::string& path, int flags)
      : fd(path == "-" ? ((flags & O_WRONLY) != 0 ? STDOUT_FILENO : STDIN_FILENO)
                       : ::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd > STDERR_FILENO) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

[[noreturn]] void unreadable(const std::string& path, const std::string& why) {
  throw InputError(
      InputError::Parts{.file = path, .place = {}, .expected = "a readable file", .found = why});
}

[[noreturn]] void unwritable(const std::string& path, const std::string& why) {
  throw InputError(InputError::Parts{
      .file = path, .place = {}, .expected = "a place that can be written", .found = why});
}

std::string read_raw(const std::string& path, std::int64_t limit_bytes) {
  std::error_code ignored;
  if (path != "-" && fs::is_directory(path, ignored)) unreadable(path, "a directory");
  const Descriptor in(path, O_RDONLY);
  if (in.fd < 0) unreadable(path, last_error());
  std::string out;
  std::string chunk(1 << 20, '\0');
  while (true) {
    const ssize_t got = ::read(in.fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) unreadable(path, last_error());
    if (got == 0) return out;
    out.append(chunk, 0, static_cast<std::size_t>(got));
    if (static_cast<std::int64_t>(out.size()) > limit_bytes) {
      unreadable(path, fmt::format("more than {} bytes", limit_bytes));
    }
  }
}

/// With the library itself: the stream filter takes a cut file for a whole one.
std::string decompress_zstd(const std::string& path, const std::string& raw,
                            std::int64_t limit_bytes) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx);
  std::string out;
  std::string chunk(1 << 20, '\0');
  ZSTD_inBuffer in{raw.data(), raw.size(), 0};
  std::size_t left = 0;  // 0 at the end of a frame
  while (in.pos < in.size || left != 0) {
    const std::size_t before = in.pos;
    ZSTD_outBuffer to{chunk.data(), chunk.size(), 0};
    left = ZSTD_decompressStream(context.get(), &to, &in);
    if (ZSTD_isError(left) != 0U) {
      unreadable(path, fmt::format("damaged compressed data ({})", ZSTD_getErrorName(left)));
    }
    out.append(chunk, 0, to.pos);
    if (static_cast<std::int64_t>(out.size()) > limit_bytes) {
      unreadable(path, fmt::format("more than {} bytes after decompression", limit_bytes));
    }
    if (in.pos == before && to.pos == 0) unreadable(path, "damaged compressed data (cut off)");
  }
  return out;
}

template <class Filter>
std::string decompress(const std::string& path, const std::string& raw, std::int64_t limit_bytes) {
  std::string out;
  try {
    io::filtering_istream in;
    in.push(Filter());
    in.push(io::array_source(raw.data(), raw.size()));
    in.exceptions(std::ios::badbit);
    std::string chunk(1 << 20, '\0');
    while (in.good()) {
      in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
      out.append(chunk, 0, static_cast<std::size_t>(in.gcount()));
      if (static_cast<std::int64_t>(out.size()) > limit_bytes) {
        unreadable(path, fmt::format("more than {} bytes after decompression", limit_bytes));
      }
    }
  } catch (const std::ios_base::failure& e) {
    unreadable(path, fmt::format("damaged compressed data ({})", e.what()));
  }
  return out;
}

bool begins_with(const std::string& text, std::string_view head) {
  return std::string_view(text).substr(0, head.size()) == head;
}

void write_all(int fd, const std::string& content, const std::string& path) {
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t put = ::write(fd, content.data() + done, content.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) unwritable(path, last_error());
    done += static_cast<std::size_t>(put);
  }
}

/// True for a device or a pipe: nothing can be put beside it and renamed. Refuses a directory.
bool written_in_place(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) unwritable(path, "a directory");
  return fs::exists(path, ignored) && !fs::is_regular_file(path, ignored);
}

Trace checked(Trace trace) {
  if (const std::string fault = index_fault(trace); !fault.empty()) throw InputError(fault);
  return trace;
}

}  // namespace

std::string read_file(const std::string& path, std::int64_t limit_bytes) {
  std::string raw = read_raw(path, limit_bytes);
  if (begins_with(raw, "\x1f\x8b")) {
    return decompress<io::gzip_decompressor>(path, raw, limit_bytes);
  }
  if (begins_with(raw, std::string_view("\xfd"
                                        "7zXZ\0",
                                        6))) {
    return decompress<io::lzma_decompressor>(path, raw, limit_bytes);
  }
  if (begins_with(raw, "\x28\xb5\x2f\xfd")) return decompress_zstd(path, raw, limit_bytes);
  return raw;
}

Trace from_bytes(const std::string& bytes, const std::string& file) {
  try {
    if (begins_with(bytes, k_magic)) {
      Trace trace = from_binary(bytes);
      if (!trace.health.complete || trace.health.damaged_blocks > 0) salvage(trace);
      if (!trace.health.complete && trace.buffers.empty() && trace.ranks.empty()) {
        throw InputError(InputError::Parts{
            .expected = "a trace with at least its table of buffers",
            .found = fmt::format("{} bytes cut off, {} blocks damaged, and nothing of use",
                                 trace.health.truncated_bytes, trace.health.damaged_blocks)});
      }
      return checked(std::move(trace));
    }
    const std::size_t first = bytes.find_first_not_of(" \t\r\n");
    if (first != std::string::npos && bytes[first] == '{') return checked(from_text(bytes));
    throw InputError(
        InputError::Parts{.place = "byte 0",
                          .expected = "a tidemark trace (.tmk, or its JSON form)",
                          .found = bytes.empty() ? "an empty file" : "something else"});
  } catch (const InputError& e) {
    throw e.in_file(file);
  }
}

Trace read_trace(const std::string& path) {
  return from_bytes(read_file(path), path);
}

Trace read_single(const std::string& path) {
  Trace trace = read_trace(path);
  if (trace.ranks.empty()) return trace;
  throw InputError(InputError::Parts{
      .file = path,
      .expected = fmt::format("the trace of one rank, such as {}", trace.ranks.front().file),
      .found = fmt::format("an index of {} ranks", trace.ranks.size())});
}

std::vector<Trace> read_ranks(const std::string& path) {
  Trace first = read_trace(path);
  if (first.ranks.empty()) {
    std::vector<Trace> one;
    one.push_back(std::move(first));
    return one;
  }
  std::vector<RankFile> files = first.ranks;
  std::ranges::sort(files, {}, &RankFile::rank);
  std::vector<Trace> out;
  for (const RankFile& file : files) {
    if (file.rank != static_cast<std::int32_t>(out.size())) {
      throw InputError(InputError::Parts{.file = path,
                                         .place = "ranks",
                                         .expected = fmt::format("one file of rank {}", out.size()),
                                         .found = fmt::format("rank {}", file.rank)});
    }
    const fs::path name(file.file);
    if (name.is_absolute() || std::ranges::find(name, fs::path("..")) != name.end()) {
      throw InputError(InputError::Parts{.file = path,
                                         .place = fmt::format("ranks[{}]", file.rank),
                                         .expected = "a file beside the index",
                                         .found = file.file});
    }
    const std::string full = (fs::path(path).parent_path() / name).string();
    out.push_back(read_trace(full));
    if (out.back().meta.rank != file.rank || !out.back().ranks.empty()) {
      throw InputError(InputError::Parts{.file = full,
                                         .place = "meta.rank",
                                         .expected = fmt::format("a trace of rank {}", file.rank),
                                         .found = fmt::format("rank {}", out.back().meta.rank)});
    }
  }
  return out;
}

void write_file(const std::string& path, const std::string& content) {
  if (path == "-") return write_all(STDOUT_FILENO, content, "stdout");
  std::error_code ignored;
  if (written_in_place(path)) {
    const Descriptor out(path, O_WRONLY);  // a device or a pipe is written in place
    if (out.fd < 0) unwritable(path, last_error());
    return write_all(out.fd, content, path);
  }
  const std::string beside = fmt::format("{}.{}.tmp", path, ::getpid());
  try {
    const Descriptor out(beside, O_WRONLY | O_CREAT | O_TRUNC);
    if (out.fd < 0) unwritable(path, last_error());
    write_all(out.fd, content, path);
    fs::rename(beside, path);
  } catch (const fs::filesystem_error& e) {
    fs::remove(beside, ignored);
    unwritable(path, e.code().message());
  } catch (...) {
    fs::remove(beside, ignored);
    throw;
  }
}

void require_writable(const std::string& path) {
  if (path == "-") return;
  std::error_code ignored;
  const bool in_place = written_in_place(path);
  const fs::path folder = fs::path(path).parent_path();
  const std::string target = in_place ? path : folder.empty() ? "." : folder.string();
  if (!in_place && !fs::is_directory(target, ignored)) {
    unwritable(path,
               fs::exists(target, ignored) ? target + " is not a folder" : "no folder " + target);
  }
  if (::access(target.c_str(), W_OK) != 0) unwritable(path, last_error());
}

void require_other_file(const std::string& output, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  if (output == "-" || !fs::is_regular_file(output, ignored)) return;
  for (const std::string& input : inputs) {
    if (input.empty() || input == "-" || !fs::equivalent(output, input, ignored)) continue;
    throw InputError(InputError::Parts{.file = output,
                                       .place = "output",
                                       .expected = "another file than the input",
                                       .found = "the input"});
  }
}

void flush_stdout() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  unwritable("stdout", last_error());
}

void write_trace(const Trace& trace, const std::string& path) {
  write_file(path, path.ends_with(".json") ? to_text(trace) : to_binary(trace));
}

}  // namespace tidemark
