// Everything that the window can do from the keyboard: one table for key presses, menu and help.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

class QKeyEvent;

namespace tidemark {

enum class Command : std::uint8_t {
  zoom_in,
  zoom_out,
  pan_left,
  pan_right,
  whole,
  fit_selection,
  next_peak,
  previous_peak,
  next_step,
  previous_step,
  next_change,
  previous_change,
  bookmark,
  next_bookmark,
  previous_bookmark,
  next_grouping,
  toggle_axis,
  toggle_step,
  toggle_every_step,
  filter,
  toggle_theme,
  budget,
  details,
  lifetimes,
  show_table,  // and the next four: the tabs from the left
  show_areas,
  show_difference,
  show_why,
  show_range,
  clear,
  help,
};

struct Binding {
  Command command;
  const char* keys;   // as people read them
  const char* about;  // "Next local peak"
};
/// One row per command, in the order of the help.
[[nodiscard]] std::span<const Binding> bindings();

/// The command of a key press without Ctrl and Alt; none for other keys.
[[nodiscard]] std::optional<Command> command_of(const QKeyEvent& event);

}  // namespace tidemark
