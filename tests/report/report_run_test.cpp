// Threads, interruptions and several processes give what one thread gives.
#include "sim/report_run.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "../catch.h"
#include "report_samples.h"
#include "sim/part_log.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;
namespace fs = std::filesystem;

namespace {

std::vector<PartResult> one_by_one(const ReportSpec& spec) {
  std::vector<PartResult> out;
  for (const ReportPart& part : report_parts(spec)) out.push_back(run_part(spec, part));
  return out;
}

/// Ranks of one process, one after the other: what the others send waits for the first.
class PaperGroup : public RankGroup {
 public:
  PaperGroup(int rank, int size, std::string todo, std::vector<std::string>& mail)
      : rank_(rank), size_(size), todo_(std::move(todo)), mail_(mail) {}
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  std::string share(const std::string& text) override { return rank_ == 0 ? text : todo_; }
  void send(const std::string& line) override { mail_.push_back(line); }
  std::optional<std::string> receive() override {
    if (mail_.empty()) return std::nullopt;
    std::string line = mail_.back();
    mail_.pop_back();
    return line;
  }
  void give_up(int) override {}

 private:
  int rank_;
  int size_;
  std::string todo_;
  std::vector<std::string>& mail_;
};

}  // namespace

TEST_CASE("report run: any number of threads and processes, the same results") {
  const ReportSpec spec = spec_of(small_text());
  const std::vector<PartResult> expected = one_by_one(spec);
  SoloGroup solo;
  for (const unsigned threads : {1U, 3U}) {
    CHECK(run_report(spec, {.threads = threads, .log_file = {}, .progress = {}}, solo) == expected);
  }
  std::string all;
  for (std::size_t i = 0; i < expected.size(); ++i) all += std::to_string(i) + " ";
  std::vector<std::string> mail;
  for (const int rank : {2, 1}) {
    PaperGroup group(rank, 3, all, mail);
    CHECK(run_report(spec, {}, group).empty());
  }
  PaperGroup first(0, 3, "", mail);
  CHECK(run_report(spec, {}, first) == expected);
}

TEST_CASE("report run: stopped after any part, it goes on to the same end") {
  const ReportSpec spec = spec_of(small_text());
  const std::vector<PartResult> expected = one_by_one(spec);
  const fs::path file = fs::temp_directory_path() / ("report-run-" + std::to_string(::getpid()));
  for (const std::size_t stop : {std::size_t{0}, std::size_t{5}, expected.size()}) {
    fs::remove(file);
    {
      PartLog log(file, spec.digest, expected.size());
      for (std::size_t i = 0; i < stop; ++i) log.add(to_line(i, expected[i]));
    }
    std::ofstream(file, std::ios::app) << "{\"part\": 4, \"vis";  // torn by a kill
    SoloGroup solo;
    RunProgress last;
    const ReportRunOptions options{.threads = 2,
                                   .log_file = file.string(),
                                   .progress = [&last](const RunProgress& p) { last = p; }};
    CHECK(run_report(spec, options, solo) == expected);
    CHECK(last.parts_done == expected.size());
    CHECK(last.parts_before == stop);
  }
  fs::remove(file);
}

TEST_CASE("report run: progress says rate and what is left") {
  CHECK(progress_text({.parts_done = 30,
                       .parts_before = 10,
                       .parts = 50,
                       .visited = 4'000'000,
                       .seconds = 100}) ==
        "30 of 50 parts, 0.04 million strategies per second, 1:40 left");
  CHECK(progress_text({.parts = 50}) == "0 of 50 parts");
}
