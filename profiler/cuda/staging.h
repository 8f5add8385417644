// Where values of the host wait for their way to the device, while the host makes the next.
#pragma once

#include <array>
#include <cstddef>
#include <functional>

#include "profiler/cuda/plugin_api.h"

namespace tidemark::cuda {

/// Two pieces of pinned memory, used in turn: one is written while the other is still being read.
/// For the thread that has opened the device.
class Staging {
 public:
  explicit Staging(const PluginApi& api) : api_(api) {}
  /// The streams to which anything was sent are idle.
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// The next piece, of at least `bytes`. Until what was in it is on the device, `rest` is called.
  /// Throws InputError, and what `rest` throws.
  std::byte* next(std::size_t bytes, const std::function<void()>& rest);

  /// The copies from the piece stand in `stream`.
  void sent(void* stream);

 private:
  struct Piece {
    void* memory = nullptr;
    std::size_t bytes = 0;
    void* event = nullptr;  // behind the copies
  };

  void check(int code) const;

  const PluginApi& api_;
  std::array<Piece, 2> pieces_{};
  std::size_t current_ = 0;
};

}  // namespace tidemark::cuda
