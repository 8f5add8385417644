// What a call stack says about an allocation: the layer, the op and the part of the training step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traces/snapshot.h"

namespace tidemark {

/// The part of a program that asked for memory, as far as its call stack tells.
enum class CallSite : std::uint8_t {
  unknown,
  load,           // parameters are made, loaded or moved to the device
  input,          // a data loader
  forward,        // a module's forward
  recompute,      // forward again, called by backward (activation checkpointing)
  backward,       // the autograd engine
  optimizer,      // an optimizer's step
  communication,  // collectives
  workspace,      // scratch of a library
};

struct FrameLabel {
  CallSite site = CallSite::unknown;
  std::string name;                 // "bmm model.py:54"
  std::vector<std::string> layers;  // outermost first: "model.py:245", "model.py:54"
  bool operator==(const FrameLabel&) const = default;
};

/// Reads the call stack, innermost frame first. A stack without any frame, in a recording that has
/// stacks (`others_have_frames`), belongs to a thread without Python: the autograd engine's.
/// Instances of a module cannot be told apart: a layer is named by the lines that call it.
[[nodiscard]] FrameLabel label_of(const std::vector<SnapshotFrame>& frames,
                                  bool others_have_frames);

/// Category of an allocation from its call site and from that of its free (`freed` is false when it
/// outlives the recording); `unknown` where they do not tell.
[[nodiscard]] Category category_of(CallSite made, bool freed, CallSite free_site);

}  // namespace tidemark
