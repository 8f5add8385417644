#include "gui/commands.h"

#include <QKeyEvent>
#include <array>
#include <utility>

namespace tidemark {
namespace {

constexpr std::array<Binding, 31> k_bindings = {{
    {Command::zoom_in, "W, +, Up", "Zoom in"},
    {Command::zoom_out, "S, -, Down", "Zoom out"},
    {Command::pan_left, "A, Left", "Move left"},
    {Command::pan_right, "D, Right", "Move right"},
    {Command::whole, "Home, 0", "Show everything"},
    {Command::fit_selection, "F", "Zoom to the selected range"},
    {Command::next_peak, "N", "Next local peak"},
    {Command::previous_peak, "P", "Previous local peak"},
    {Command::next_step, "]", "Next step"},
    {Command::previous_step, "[", "Previous step"},
    {Command::next_change, ".", "One allocation or free later"},
    {Command::previous_change, ",", "One allocation or free earlier"},
    {Command::bookmark, "M", "Set or remove a bookmark"},
    {Command::next_bookmark, "Page down", "Next bookmark"},
    {Command::previous_bookmark, "Page up", "Previous bookmark"},
    {Command::next_grouping, "G", "Divide by category, layer, module, phase, type or tensor"},
    {Command::toggle_axis, "T", "Axis: time or events"},
    {Command::toggle_step, "O", "Whole run or one steady step"},
    {Command::toggle_every_step, "E", "Every step over the steady one"},
    {Command::filter, "/", "Show only some categories, layers, phases, …"},
    {Command::toggle_theme, "L", "Light, dark or high contrast"},
    {Command::budget, "B", "Set the budget"},
    {Command::details, "Enter", "What is alive at the instant"},
    {Command::lifetimes, "V", "Lives and addresses of single buffers"},
    {Command::show_table, "1", "Table of what is alive"},
    {Command::show_areas, "2", "Areas of what is alive"},
    {Command::show_difference, "3", "Difference to the other runs"},
    {Command::show_why, "4", "Why the selected buffer is alive"},
    {Command::show_range, "5", "About the selected range"},
    {Command::clear, "Esc", "Clear the pin and the selected range"},
    {Command::help, "F1, ?", "This help"},
}};

constexpr std::array<std::pair<int, Command>, 40> k_keys = {{
    {Qt::Key_W, Command::zoom_in},
    {Qt::Key_Plus, Command::zoom_in},
    {Qt::Key_Equal, Command::zoom_in},
    {Qt::Key_Up, Command::zoom_in},
    {Qt::Key_S, Command::zoom_out},
    {Qt::Key_Minus, Command::zoom_out},
    {Qt::Key_Down, Command::zoom_out},
    {Qt::Key_A, Command::pan_left},
    {Qt::Key_Left, Command::pan_left},
    {Qt::Key_D, Command::pan_right},
    {Qt::Key_Right, Command::pan_right},
    {Qt::Key_Home, Command::whole},
    {Qt::Key_0, Command::whole},
    {Qt::Key_F, Command::fit_selection},
    {Qt::Key_N, Command::next_peak},
    {Qt::Key_P, Command::previous_peak},
    {Qt::Key_BracketRight, Command::next_step},
    {Qt::Key_BracketLeft, Command::previous_step},
    {Qt::Key_Period, Command::next_change},
    {Qt::Key_Comma, Command::previous_change},
    {Qt::Key_M, Command::bookmark},
    {Qt::Key_PageDown, Command::next_bookmark},
    {Qt::Key_PageUp, Command::previous_bookmark},
    {Qt::Key_G, Command::next_grouping},
    {Qt::Key_T, Command::toggle_axis},
    {Qt::Key_O, Command::toggle_step},
    {Qt::Key_E, Command::toggle_every_step},
    {Qt::Key_Slash, Command::filter},
    {Qt::Key_L, Command::toggle_theme},
    {Qt::Key_B, Command::budget},
    {Qt::Key_Return, Command::details},
    {Qt::Key_Enter, Command::details},
    {Qt::Key_V, Command::lifetimes},
    {Qt::Key_1, Command::show_table},
    {Qt::Key_2, Command::show_areas},
    {Qt::Key_3, Command::show_difference},
    {Qt::Key_4, Command::show_why},
    {Qt::Key_5, Command::show_range},
    {Qt::Key_Escape, Command::clear},
    {Qt::Key_F1, Command::help},
}};

}  // namespace

std::span<const Binding> bindings() {
  return k_bindings;
}

std::optional<Command> command_of(const QKeyEvent& event) {
  if ((event.modifiers() & (Qt::ControlModifier | Qt::AltModifier)) != 0) return std::nullopt;
  if (event.key() == Qt::Key_Question) return Command::help;
  for (const auto& [key, command] : k_keys) {
    if (event.key() == key) return command;
  }
  return std::nullopt;
}

}  // namespace tidemark
