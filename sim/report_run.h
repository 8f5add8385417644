// All parts of a report on all cores, and on all processes of a group.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sim/report_parts.h"

namespace tidemark {

/// Processes that work on one report; the first collects. One process: SoloGroup. MPI: a plug-in
/// beside the program, libtidemark-mpi.so.
class RankGroup {
 public:
  virtual ~RankGroup() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// The same text for all: that of rank 0. Called once by each.
  virtual std::string share(const std::string& text) = 0;
  /// To rank 0, in order.
  virtual void send(const std::string& line) = 0;
  /// On rank 0: a line that some rank sent, if there is one.
  virtual std::optional<std::string> receive() = 0;
  /// Ends all processes of the group; returns when there is only this one.
  virtual void give_up(int exit_code) = 0;
};

class SoloGroup : public RankGroup {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  std::string share(const std::string& text) override { return text; }
  void send(const std::string&) override {}
  std::optional<std::string> receive() override { return std::nullopt; }
  void give_up(int) override {}
};

/// The group that this process was started in: by mpirun or srun when the environment says so, else
/// one process. Throws InputError when there are several and the plug-in is not there: each of them
/// would do all of the work.
[[nodiscard]] std::unique_ptr<RankGroup> find_group();

struct RunProgress {
  std::size_t parts_done = 0;
  std::size_t parts_before = 0;  // of these, done when this run began
  std::size_t parts = 0;
  std::int64_t visited = 0;  // since this run began
  double seconds = 0;        // likewise
};

struct ReportRunOptions {
  unsigned threads = 0;                              // of this process; 0 = as many as it may use
  std::string log_file;                              // "" = none
  std::function<void(const RunProgress&)> progress;  // on rank 0, a few times per second
};

/// The result of every part, in the order of report_parts(): the same whatever the threads,
/// processes and interruptions. Empty on other ranks than 0. Throws InputError for the log file.
[[nodiscard]] std::vector<PartResult> run_report(const ReportSpec& spec,
                                                 const ReportRunOptions& options, RankGroup& group);

/// "120 of 360 parts, 1.24 million strategies per second, 0:35 left"
[[nodiscard]] std::string progress_text(const RunProgress& progress);

}  // namespace tidemark
