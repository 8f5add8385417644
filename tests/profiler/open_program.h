// A program that a test runs line by line on the CPU and looks into while it runs.
#pragma once

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "profiler/backend.h"
#include "tests/profiler/op_case.h"

namespace tidemark::test {

class OpenProgram {
 public:
  OpenProgram(Trace trace, Dataset data)
      : trace_(std::move(trace)),
        data_(std::move(data)),
        memory_(trace_, {.device_bytes = 64 << 20, .host_bytes = 0, .poison = true}, recorder_),
        backend_(make_cpu_backend({trace_, memory_, recorder_, clock_}, &data_)) {}

  /// Runs a section; `look` sees each op just before it runs.
  template <class Look>
  void run(const std::vector<Instruction>& section, std::int64_t step, Look look) {
    for (const Instruction& line : section) {
      if (line.kind == InstructionKind::alloc) memory_.allocate(line.buffer());
      if (line.kind == InstructionKind::free) memory_.release(line.buffer());
      if (line.kind != InstructionKind::run) continue;
      look(trace_[line.op()]);
      backend_->run(line.op(), step);
    }
  }
  void run(const std::vector<Instruction>& section, std::int64_t step = 0) {
    run(section, step, [](const Op&) {});
  }

  /// Content of a live buffer of f64, f32 or i32.
  [[nodiscard]] Numbers load(BufferId id) const {
    Numbers out;
    for (std::int64_t i = 0; i < element_count(trace_[id]); ++i) {
      out.push_back(trace_[id].dtype == DType::f64   ? at<double>(id, i)
                    : trace_[id].dtype == DType::f32 ? at<float>(id, i)
                                                     : at<std::int32_t>(id, i));
    }
    return out;
  }
  /// The same of f64 or f32.
  void store(BufferId id, const Numbers& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (trace_[id].dtype == DType::f64) set(id, i, values[i]);
      if (trace_[id].dtype == DType::f32) set(id, i, static_cast<float>(values[i]));
    }
  }

  [[nodiscard]] double take_loss() { return backend_->take_loss().value(); }
  [[nodiscard]] const Program& program() const { return trace_.program; }
  [[nodiscard]] const Trace& trace() const { return trace_; }

 private:
  template <class T>
  [[nodiscard]] double at(BufferId id, std::int64_t i) const {
    T value;
    std::memcpy(&value, memory_.pointer(id) + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
    return static_cast<double>(value);
  }
  template <class T>
  void set(BufferId id, std::size_t i, T value) {
    std::memcpy(memory_.pointer(id) + i * sizeof(T), &value, sizeof(T));
  }

  Trace trace_;
  Dataset data_;
  Clock clock_{false};
  Recorder recorder_{clock_, 1024};
  ProgramMemory memory_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace tidemark::test
