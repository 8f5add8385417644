// The planner, measured. A table, or with --json one object with `rows`; exit 1 when a result is
// not valid.
//   bench_planner                 built-in models, budgets and methods
//   bench_planner checkmate DIR [--seconds N | --cpu-seconds N | --nodes N] [--budget B]
//                                 solved instances of Checkmate; on a busy machine 20 CPU seconds
//                                 = 10 s on 2 cores, and N moves are the same work on any machine
//   bench_planner graphs DIR...   PipeDream and dnn-partitioning graphs: every method at 30 to 90 %
//   bench_planner scale           a transformer of 10,000 ops: first plan, good plan, sweep
//   bench_planner joint           recompute and offload together against either alone
#include <cstdio>
#include <exception>

#include "tests/bench/bench_checkmate.h"
#include "tests/bench/bench_rows.h"

using namespace tidemark::bench;

int main(int count, char** arguments) {
  std::vector<std::string> words;
  bool json = false;
  for (int i = 1; i < count; ++i) {
    const std::string word = arguments[i];
    word == "--json" ? static_cast<void>(json = true) : words.push_back(word);
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a long run shows where it is
  const std::string mode = words.empty() ? "models" : words.front();
  if (!words.empty()) words.erase(words.begin());
  try {
    if (mode == "checkmate") return bench_checkmate({arguments + 2, arguments + count});
    Outcome outcome;
    if (mode == "models") {
      outcome = models(json);
    } else if (mode == "graphs" && !words.empty()) {
      outcome = graphs(json, words);
    } else if (mode == "scale") {
      outcome = scale(json);
    } else if (mode == "joint") {
      outcome = joint(json);
    } else {
      std::fputs(
          "usage: bench_planner [models | checkmate DIR | graphs DIR... | scale | joint] "
          "[--json]\n",
          stderr);
      return 2;
    }
    if (json) std::puts(Json{{"rows", outcome.rows}}.dump(2).c_str());
    return outcome.valid ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_planner: %s\n", error.what());
    return 2;
  }
}
