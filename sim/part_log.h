// The results of a long report in a file that only grows: one line for each part that is done, in
// the order in which they were done. A process that is killed at any moment leaves whole lines and
// at most one torn one, which is cut off when the file is opened again.
#pragma once

#include <map>
#include <string>

#include "sim/report_parts.h"

namespace tidemark {

class PartLog {
 public:
  /// Opens or makes `path` for the report whose ReportSpec::digest is `digest`. Throws InputError
  /// when the file cannot be written, is locked by another process, is of another report, or is
  /// damaged anywhere but in its last line.
  PartLog(const std::string& path, const std::string& digest, std::size_t parts);
  ~PartLog();
  PartLog(const PartLog&) = delete;
  PartLog& operator=(const PartLog&) = delete;

  /// By index; what was there already and what was added.
  [[nodiscard]] const std::map<std::size_t, PartResult>& done() const { return done_; }

  /// Appends a line of to_line() as one write. A part that is there already is not added again.
  void add(const std::string& line);

 private:
  void read_existing(const std::string& digest);
  void write(const std::string& text);

  std::string path_;
  std::size_t parts_;
  int file_ = -1;
  std::map<std::size_t, PartResult> done_;
};

}  // namespace tidemark
