// The PyTorch side of bench_trainer: tests/bench/pytorch_step.py --serve as a child process that
// does one step whenever it is asked.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace tidemark {

class PyTorchProcess {
 public:
  /// Starts `command` (program and arguments). Without PyTorch there are no facts().
  explicit PyTorchProcess(const std::vector<std::string>& command);
  ~PyTorchProcess();
  PyTorchProcess(const PyTorchProcess&) = delete;
  PyTorchProcess& operator=(const PyTorchProcess&) = delete;

  /// Version, BLAS, peak_bytes as one JSON line; empty when it did not start.
  [[nodiscard]] const std::string& facts() const { return facts_; }

  /// CPU milliseconds of one step; none when the process is not there.
  std::optional<double> step_ms();

 private:
  std::string line();

  int pid_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
  std::string facts_;
};

}  // namespace tidemark
