// Small programs that the tests of the profiler run.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "profiler/arena.h"
#include "profiler/dataset.h"
#include "profiler/executor.h"
#include "sim/builder.h"
#include "sim/config.h"
#include "traces/trace.h"

namespace tidemark::test {

/// 3 inputs, 5 and 4 hidden neurons, 3 classes, 4 samples.
inline RunConfig small_mlp(Activation activation = Activation::relu, DType dtype = DType::f32) {
  RunConfig config;
  config.model.name = "small-mlp";
  config.model.family = ModelFamily::mlp;
  config.model.mlp = {.widths = {3, 5, 4, 3}, .activation = activation};
  config.batch = 4;
  config.dtype = dtype;
  return config;
}

/// 2 blocks, 2 heads, 8 channels, 16 tokens in the vocabulary, sequences of 4.
inline RunConfig small_gpt2(DType dtype = DType::f32) {
  RunConfig config;
  config.model.name = "small-gpt2";
  config.model.family = ModelFamily::gpt2;
  config.model.gpt2 = {.layers = 2, .heads = 2, .channels = 8, .vocabulary = 16, .positions = 6};
  config.batch = 2;
  config.sequence = 4;
  config.dtype = dtype;
  return config;
}

/// 2 blocks, 4 heads on 2 of keys and values, 16 channels.
inline RunConfig small_llama(DType dtype = DType::f32) {
  RunConfig config = small_gpt2(dtype);
  config.model.name = "small-llama";
  config.model.family = ModelFamily::llama;
  config.model.llama = {.layers = 2,
                        .heads = 4,
                        .kv_heads = 2,
                        .channels = 16,
                        .hidden = 10,
                        .vocabulary = 16,
                        .positions = 6};
  return config;
}

/// The same with 4 experts, 2 for each token; some have no room for all who choose them.
inline RunConfig small_moe(DType dtype = DType::f32) {
  RunConfig config = small_llama(dtype);
  config.model.name = "small-moe";
  config.model.llama.experts = 4;
  return config;
}

/// LeNet-5 on the smallest image that it takes.
inline RunConfig small_lenet(DType dtype = DType::f32) {
  RunConfig config;
  config.model.name = "small-lenet";
  config.model.family = ModelFamily::lenet;
  config.model.image = {.channels = 1, .height = 12, .width = 12, .classes = 3};
  config.batch = 2;
  config.dtype = dtype;
  return config;
}

/// A residual network of 8 layers with 2 filters.
inline RunConfig small_resnet(DType dtype = DType::f32) {
  RunConfig config;
  config.model.name = "small-resnet";
  config.model.family = ModelFamily::resnet;
  config.model.image = {
      .channels = 2, .height = 8, .width = 8, .classes = 3, .blocks = 1, .filters = 2};
  config.batch = 4;
  config.dtype = dtype;
  return config;
}

/// Linear layers multiply in bf16, what only they read is stored so.
inline RunConfig with_bf16(RunConfig config) {
  config.precision = Precision::bf16;
  return config;
}

/// Micro-batches, dropout, flash attention and clipping.
inline RunConfig with_everything(RunConfig config) {
  config.accumulation = 2;
  config.dropout = 0.25;
  config.attention = AttentionLowering::flash;
  config.optimizer.clip_norm = 0.5;
  return config;
}

/// Images of 8 x 8.
inline Dataset small_images(const ImageConfig& image, int rows = 6) {
  std::string csv;
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < 64; ++i) csv += std::to_string((row * 37 + i * i * 11) % 17) + ",";
    csv += std::to_string(row % 3) + "\n";
  }
  Dataset data = Dataset::table(csv, "images.csv");
  data.resize(image, "images.csv");
  return data;
}

inline Dataset small_table() {
  return Dataset::table("1,0,3,0\n0,2,1,1\n3,1,0,2\n2,2,2,0\n0,0,4,1\n4,1,1,2\n", "small.csv");
}

inline Dataset small_text() {
  std::string text;
  for (int i = 0; i < 100; ++i) text += static_cast<char>(i * i % 16);
  return Dataset::text(text);
}

/// 24 rows: 2 of them are held out from training.
inline Dataset larger_table() {
  std::string csv;
  for (int row = 0; row < 24; ++row) {
    csv += std::to_string(row * 7 % 5) + "," + std::to_string(row * 3 % 4) + "," +
           std::to_string(row % 6) + "," + std::to_string(row % 3) + "\n";
  }
  return Dataset::table(csv, "larger.csv");
}

inline Dataset data_for(const RunConfig& config) {
  if (config.model.family == ModelFamily::mlp) return small_table();
  return config.model.is_decoder() ? small_text() : small_images(config.model.image);
}

/// Gives every buffer the lowest offset that is free when it is allocated; returns the height of
/// the device.
inline std::int64_t place_first_fit(Trace& trace) {
  constexpr std::int64_t k_plenty = std::int64_t{1} << 40;
  Arena device({.space = {}, .capacity_bytes = k_plenty, .has_memory = false});
  Arena host({.space = {}, .capacity_bytes = k_plenty, .has_memory = false});
  for (const auto* section : sections_of(trace.program)) {
    for (const Instruction& line : *section) {
      if (line.kind == InstructionKind::run) continue;
      Buffer& buffer = trace.buffers[line.buffer().index()];
      Arena& arena = buffer.space.kind == SpaceKind::device ? device : host;
      if (line.kind == InstructionKind::free) {
        arena.release(buffer.offset_bytes);
      } else {
        buffer.offset_bytes = arena.allocate_first_fit(buffer.size_bytes);
      }
    }
  }
  return device.high_water_bytes();
}

inline OpId op_named(const Trace& trace, const std::string& name) {
  for (std::size_t i = 0; i < trace.ops.size(); ++i) {
    if (trace.ops[i].name == name) return OpId{i};
  }
  throw std::runtime_error("no op " + name);
}

inline BufferId buffer_named(const Trace& trace, const std::string& name) {
  for (std::size_t i = 0; i < trace.buffers.size(); ++i) {
    if (trace.buffers[i].name == name) return BufferId{i};
  }
  throw std::runtime_error("no buffer " + name);
}

/// Allocations, frees and segments of a run, without their times.
inline std::vector<Event> memory_events(const Trace& trace) {
  std::vector<Event> out;
  for (Event event : trace.events) {
    const bool is_op = event.kind == EventKind::op_begin || event.kind == EventKind::op_end;
    event.time_ns = 0;
    if (!is_op) out.push_back(event);
  }
  return out;
}

inline std::vector<double> losses(const Trace& trace) {
  std::vector<double> out;
  for (const StepRecord& step : trace.steps) out.push_back(step.loss);
  return out;
}

}  // namespace tidemark::test
