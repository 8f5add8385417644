#include "traces/range_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace tidemark {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view stable_name(std::string_view range) {
  const std::string_view name = trimmed(range.substr(0, range.find(',')));
  return name.empty() ? "range" : name;
}

namespace {

/// A word of a range that names a phase. `begins` false: it may also end a longer word, as in
/// "BlockForward"; true keeps "retrieval" from being an evaluation.
struct PhaseWord {
  std::string_view word;
  Phase phase;
  bool begins;
};

// In this order: "EvalForward" is an evaluation.
constexpr std::array<PhaseWord, 8> k_phase_words{{
    {"optimizer", Phase::optimizer, false},
    {"optim", Phase::optimizer, true},
    {"adam", Phase::optimizer, true},
    {"backward", Phase::backward, false},
    {"eval", Phase::eval, true},
    {"validation", Phase::eval, true},
    {"inference", Phase::inference, true},
    {"forward", Phase::forward, false},
}};

bool has_word(std::string_view name, const PhaseWord& wanted) {
  for (std::size_t at = name.find(wanted.word); at != std::string_view::npos;
       at = name.find(wanted.word, at + 1)) {
    const bool is_letter_before = at > 0 && name[at - 1] >= 'a' && name[at - 1] <= 'z';
    if (!wanted.begins || !is_letter_before) return true;
  }
  return false;
}

}  // namespace

Phase phase_of(std::string_view range, Phase outer) {
  const std::string name = lower(stable_name(range));
  // PyTorch's "autograd::engine::evaluate_function: AddBackward0" does not evaluate a model.
  if (name.starts_with("autograd::")) return Phase::backward;
  for (const PhaseWord& word : k_phase_words) {
    if (has_word(name, word)) return word.phase;
  }
  return outer;
}

std::int32_t step_of(std::string_view range) {
  const std::string name = lower(stable_name(range));
  for (const std::string_view word : {"step", "iteration", "iter", "batch"}) {
    if (!name.starts_with(word)) continue;
    std::string_view rest = std::string_view(name).substr(word.size());
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == ':' || rest.front() == '_' ||
                             rest.front() == '#' || rest.front() == '=')) {
      rest.remove_prefix(1);
    }
    std::int32_t step = -1;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), step);
    if (error == std::errc{} && end == rest.data() + rest.size() && step >= 0) return step;
  }
  return -1;
}

std::int32_t profiler_step(std::string_view range) {
  constexpr std::string_view k_step = "ProfilerStep#";
  if (!range.starts_with(k_step)) return -1;
  range.remove_prefix(k_step.size());
  std::int32_t step = -1;
  const auto [end, error] = std::from_chars(range.data(), range.data() + range.size(), step);
  return error == std::errc{} && end == range.data() + range.size() && step >= 0 ? step : -1;
}

}  // namespace tidemark
