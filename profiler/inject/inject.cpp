// libtidemark-inject.so: what the CUDA driver (CUDA_INJECTION64_PATH) and NVTX
// (NVTX_INJECTION64_PATH) load into a program. Nothing of it may throw into them or end the
// program.
//
// Environment, set by `tidemark profile --inject`:
//   TIDEMARK_INJECT_OUTPUT   the trace is written to this name and ".PID"
//   TIDEMARK_INJECT_KERNELS  1: also kernels and copies
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "profiler/inject/nvtx_ranges.h"
#include "profiler/inject/recording.h"

namespace tidemark {
namespace {

std::string command_of_process() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string words{std::istreambuf_iterator<char>(file), {}};
  while (!words.empty() && words.back() == '\0') words.pop_back();
  for (char& c : words) {
    if (c == '\0') c = ' ';
  }
  return words;
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && std::strcmp(value, "1") == 0;
}

/// Never destroyed: threads of the program may still use it while it exits.
InjectedRecording* g_recording = nullptr;

/// The one recording of this process; null when nobody asked for a file.
InjectedRecording* recording() {
  static const bool once = [] {
    const char* output = std::getenv("TIDEMARK_INJECT_OUTPUT");
    if (output == nullptr || *output == '\0') return false;
    RecordingOptions options{.path = fmt::format("{}.{}", output, getpid()),
                             .command = command_of_process()};
    options.session.kernels = is_set("TIDEMARK_INJECT_KERNELS");
    options.session.allocation_source = true;
    g_recording = new InjectedRecording(options);
    std::atexit([] { g_recording->close(); });
    pthread_atfork(nullptr, nullptr, [] { g_recording->abandon(); });
    return true;
  }();
  return once ? g_recording : nullptr;
}

}  // namespace
}  // namespace tidemark

extern "C" {

/// Called by the driver within cuInit. Returns 1 when it worked.
__attribute__((visibility("default"))) int InitializeInjection() {
  using namespace tidemark;
  try {
    InjectedRecording* to = recording();
    if (to == nullptr) return 0;
    std::string why;
    const CuptiApi* cupti = load_cupti(why);
    std::string no_samples;
    if (cupti != nullptr && to->attach(*cupti, load_driver(no_samples), why)) return 1;
    fmt::print(stderr, "tidemark: process {} is not recorded: {}\n", getpid(), why);
  } catch (const std::exception& error) {
    fmt::print(stderr, "tidemark: process {} is not recorded: {}\n", getpid(), error.what());
  }
  return 0;
}

/// Called by NVTX at the first range of a program or library. Returns 1 when ranges are taken.
__attribute__((visibility("default"))) int InitializeInjectionNvtx2(
    tidemark::NvtxExportTable get_export_table) {
  using namespace tidemark;
  try {
    InjectedRecording* to = recording();
    return to != nullptr && take_nvtx_ranges(get_export_table, *to) ? 1 : 0;
  } catch (const std::exception&) {
    return 0;
  }
}
}
