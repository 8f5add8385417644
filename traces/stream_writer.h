// A trace file that grows while the run is going, for the case that the run is killed.
#pragma once

#include <span>
#include <string>

#include "traces/block_writer.h"
#include "traces/trace.h"

namespace tidemark {

/// Every append is one write(2) of whole blocks, so that what was appended is in the file whatever
/// then happens to the process (not: to the machine). There is no buffer behind it: a killed run
/// loses what was not yet appended. For one thread. Throws InputError when the file cannot be
/// written.
class StreamWriter {
 public:
  /// Creates or truncates `path` and writes what is known before the run: all tables of `program`
  /// but `events`, `steps`, `digests`, `arenas` and `health`, which tell what happened.
  StreamWriter(std::string path, const Trace& program);
  ~StreamWriter();
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  void append(std::span<const Event> events, std::span<const StepRecord> steps = {},
              std::span<const Digest> digests = {});

  /// For a program that is not known before it ends: appends every row of the tables of `part`;
  /// their ids count on from the rows written before. Single rows (meta, plan, health) are left
  /// out.
  void append_rows(const Trace& part);

  /// Closes the file in order, with meta, arenas and health of `end`. Nothing may follow.
  void finish(const Trace& end);

 private:
  void flush();

  std::string path_;
  int fd_ = -1;
  BlockWriter blocks_;
};

}  // namespace tidemark
