#include "traces/frame_label.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_python(const SnapshotFrame& f) {
  return f.file.ends_with(".py");
}

std::string_view base_name(std::string_view file) {
  return file.substr(file.find_last_of('/') + 1);  // npos + 1 = 0: the whole name
}

std::string place_of(const SnapshotFrame& f) {
  return fmt::format("{}:{}", base_name(f.file), f.line);
}

/// The op of "at::_ops::bmm::call(...)": "bmm"; of "...generated::BmmBackward0::apply(...)":
/// "BmmBackward0"; empty for any other function.
std::string_view op_of(std::string_view function) {
  constexpr std::string_view k_ops = "at::_ops::";
  constexpr std::string_view k_generated = "autograd::generated::";
  for (std::string_view head : {k_ops, k_generated}) {
    const std::size_t at = function.find(head);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = function.substr(at + head.size());
    return rest.substr(0, std::min(rest.find(':'), rest.find('(')));
  }
  return {};
}

bool is_backward(const SnapshotFrame& f) {
  if (!is_python(f)) {
    return contains(f.name, "autograd::Engine") || contains(f.name, "autograd::generated::");
  }
  return f.name == "_engine_run_backward" ||
         (f.name == "backward" &&
          (contains(f.file, "torch/autograd") || f.file.ends_with("torch/_tensor.py")));
}

bool is_optimizer(const SnapshotFrame& f) {
  if (!is_python(f)) return false;
  return contains(f.file, "torch/optim/") || (f.name == "step" && contains(f.file, "optim"));
}

bool is_load(const SnapshotFrame& f) {
  if (!is_python(f)) return false;
  const bool of_module = f.file.ends_with("torch/nn/modules/module.py");
  return (of_module && (f.name == "_apply" || f.name == "convert" || f.name == "to")) ||
         f.name == "load_state_dict" || f.name == "reset_parameters" || f.name == "from_pretrained";
}

bool is_input(const SnapshotFrame& f) {
  if (!is_python(f)) return false;
  return contains(f.file, "torch/utils/data/") || f.name == "get_batch" || f.name == "load_batch" ||
         f.name == "next_batch";
}

bool is_communication(const SnapshotFrame& f) {
  return contains(f.name, "c10d::") || contains(f.file, "torch/distributed/");
}

bool is_workspace(const SnapshotFrame& f) {
  return !is_python(f) && contains(f.name, "Workspace");
}

bool is_layer(const SnapshotFrame& f) {
  return is_python(f) && f.name == "forward";
}

CallSite site_of(const std::vector<SnapshotFrame>& frames) {
  const auto any = [&frames](bool (*test)(const SnapshotFrame&)) {
    return std::ranges::any_of(frames, test);
  };
  if (any(is_workspace)) return CallSite::workspace;
  if (any(is_communication)) return CallSite::communication;
  if (any(is_optimizer)) return CallSite::optimizer;
  if (any(is_backward)) return any(is_layer) ? CallSite::recompute : CallSite::backward;
  if (any(is_load)) return CallSite::load;
  if (any(is_input)) return CallSite::input;
  return any(is_layer) ? CallSite::forward : CallSite::unknown;
}

/// The innermost frame of the user's own Python, else the innermost Python frame.
const SnapshotFrame* python_frame(const std::vector<SnapshotFrame>& frames) {
  const SnapshotFrame* first = nullptr;
  for (const SnapshotFrame& f : frames) {
    if (!is_python(f)) continue;
    if (first == nullptr) first = &f;
    if (!contains(f.file, "site-packages/") && !contains(f.file, "torch/")) return &f;
  }
  return first;
}

std::string name_of_site(const std::vector<SnapshotFrame>& frames) {
  std::string_view op;
  for (const SnapshotFrame& f : frames) {
    if (op = op_of(f.name); !op.empty()) break;
  }
  const SnapshotFrame* python = python_frame(frames);
  if (op.empty() && python != nullptr) op = python->name;
  if (op.empty() && !frames.empty()) op = frames.front().name.substr(0, 60);
  std::string out(op);
  if (python != nullptr) out += (out.empty() ? "" : " ") + place_of(*python);
  return out;
}

}  // namespace

FrameLabel label_of(const std::vector<SnapshotFrame>& frames, bool others_have_frames) {
  if (frames.empty()) {
    if (!others_have_frames) return {CallSite::unknown, "no call stack", {}};
    return {CallSite::backward, "autograd thread", {"backward"}};
  }
  FrameLabel label{site_of(frames), name_of_site(frames), {}};
  if (label.site == CallSite::optimizer) label.layers.emplace_back("optimizer");
  if (label.site == CallSite::backward) label.layers.emplace_back("backward");
  for (auto f = frames.rbegin(); f != frames.rend(); ++f) {
    if (is_layer(*f) && label.layers.size() < 32) label.layers.push_back(place_of(*f));
    if (label.site == CallSite::backward && !is_python(*f)) {
      const std::string_view op = op_of(f->name);
      if (contains(op, "Backward") && label.layers.size() == 1) label.layers.emplace_back(op);
    }
  }
  return label;
}

Category category_of(CallSite made, bool freed, CallSite free_site) {
  const bool freed_later = !freed || free_site != made;
  switch (made) {
    case CallSite::load:
      return freed ? Category::temporary : Category::weight;
    case CallSite::input:
      return Category::input;
    case CallSite::forward:
      return freed && free_site == CallSite::forward ? Category::temporary : Category::activation;
    case CallSite::recompute:
      return Category::recomputed_activation;
    case CallSite::backward:
      return freed_later && free_site != CallSite::recompute ? Category::gradient
                                                             : Category::temporary;
    case CallSite::optimizer:
      return freed ? Category::temporary : Category::optimizer_state;
    case CallSite::communication:
      return Category::communication;
    case CallSite::workspace:
      return Category::workspace;
    case CallSite::unknown:
      break;
  }
  return Category::unknown;
}

}  // namespace tidemark
