// Commands from a file, for pictures in documents and for tests. One per line, '#' is a comment:
//   key N            press a key by its name (Qt's: N, Home, [, F1, Ctrl+E)
//   zoom 0.2 0.4     show this part of everything there is
//   at peak | 12ms   pin an instant
//   budget 512MiB
//   what-if 60%      open the what-if panel, ask for this budget, wait for the answer
//   theme dark | light | contrast
//   group layer      category, layer, module, phase, type or tensor
//   resize 1600x900
//   open run.tmk | compare planned.tmk
//   tab areas         table, areas, difference, why, range
//   export view.svg   or .csv, .json, .html, .png
//   screenshot out.png
#pragma once

#include <cstdint>
#include <string>

namespace tidemark {

class MainWindow;

/// Throws InputError with file and line for what cannot be carried out.
void run_script(MainWindow& window, const std::string& path);

/// Grabs the window as it is, and says so on stdout. Throws InputError when `path` does not end in
/// .png or cannot be written.
void save_screenshot(MainWindow& window, const std::string& path);

/// Pins the instant that has taken effect at `time_ns` of the run. Throws InputError after its end.
void pin_time(MainWindow& window, std::int64_t time_ns);

}  // namespace tidemark
