// bench_planner checkmate DIR [--seconds N] [--budget B] [--json]
#pragma once

#include <string>
#include <vector>

/// Plans every instance of a folder and prints a table; 1 when a result is not valid.
int bench_checkmate(const std::vector<std::string>& arguments);
