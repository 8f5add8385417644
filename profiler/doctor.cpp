#include "profiler/doctor.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "profiler/cuda/load_plugin.h"
#include "profiler/cupti/probe.h"
#include "sim/exit_code.h"
#include "sim/milp.h"
#include "sim/table.h"
#include "sim/units.h"
#include "traces/error.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

DoctorRow cpu_row() {
  const std::int64_t memory = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  return {"cpu backend",
          {true, fmt::format("{} cores, {} of memory", sysconf(_SC_NPROCESSORS_ONLN),
                             format_bytes(memory))}};
}

DoctorRow product_row() {
#ifdef TIDEMARK_WITH_ONEDNN
  return {"matrix products", {true, "oneDNN"}};
#else
  return {"matrix products", {true, "OpenBLAS (faster with oneDNN: libdnnl-dev at build time)"}};
#endif
}

DoctorRow solver_row() {
  if (milp_available()) return {"solver", {true, "CBC"}};
  return {"solver",
          {false, "built without CBC (coinor-libcbc-dev): no proofs of integer programs"}};
}

/// Nanoseconds of one read of the clock that events are stamped with: the median of some runs.
DoctorRow clock_row() {
  constexpr int k_runs = 9;
  constexpr int k_reads = 2000;
  std::array<double, k_runs> ns_per_read{};
  for (double& ns : ns_per_read) {
    const auto begin = std::chrono::steady_clock::now();
    auto last = begin;
    for (int i = 0; i < k_reads; ++i) last = std::chrono::steady_clock::now();
    ns = std::chrono::duration<double, std::nano>(last - begin).count() / k_reads;
  }
  std::nth_element(ns_per_read.begin(), ns_per_read.begin() + k_runs / 2, ns_per_read.end());
  std::string source = "unknown source";
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::getline(file, source);
  // A clock that costs a system call would cost more than the events that it stamps.
  constexpr double k_slow_ns = 200;
  const double ns = ns_per_read[k_runs / 2];
  return {"clock",
          {ns < k_slow_ns, fmt::format("{}, {:.0f} ns per read{}", source, ns,
                                       ns < k_slow_ns ? "" : ": recording will cost")}};
}

/// A file of ours beside this program, or where an installation puts libraries.
std::string beside(const std::string& name) {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& path : {folder / name, folder.parent_path() / "lib" / name}) {
    if (fs::exists(path, error)) return path.string();
  }
  return {};
}

DoctorRow file_row(const std::string& name, const std::string& file, const std::string& without) {
  const bool there = !beside(file).empty();
  return {name, {there, there ? file : without}};
}

/// Devices of one kind are counted: "2 x NVIDIA H100 80GB HBM3".
std::string devices_text(const std::vector<cuda::DeviceFacts>& devices) {
  std::map<std::string, int> count_of;
  for (const cuda::DeviceFacts& device : devices) ++count_of[device.name];
  std::string out;
  for (const auto& [name, count] : count_of) {
    out += (out.empty() ? "" : ", ") + (count > 1 ? fmt::format("{} x ", count) : "") + name;
  }
  return out;
}

DoctorRow cuda_row() {
  std::string why;
  const cuda::PluginApi* api = load_cuda_plugin(why);
  if (api == nullptr) return {"cuda backend", {false, why}};
  return {"cuda backend", {true, devices_text(cuda_devices(*api))}};
}

/// Ranks need NCCL and a device for each.
DoctorRow cuda_ranks_row() {
  std::string why;
  const cuda::NcclApi* nccl = load_nccl_plugin(why);
  if (nccl == nullptr) return {"ranks on gpus", {false, why}};
  int version = 0;
  nccl->library_version(&version);
  const std::string text =
      fmt::format("NCCL {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  const cuda::PluginApi* api = load_cuda_plugin(why);
  if (api == nullptr) return {"ranks on gpus", {false, text + " is there, but " + why}};
  const std::size_t devices = cuda_devices(*api).size();
  if (devices < 2) return {"ranks on gpus", {false, text + " is there, but one device only"}};
  return {"ranks on gpus", {true, fmt::format("{}, up to {} ranks", text, devices)}};
}

DoctorRow attention_row() {
  std::string why;
  const cuda::PluginApi* api = load_cuda_plugin(why);
  if (api == nullptr) return {"cudnn attention", {false, "needs the cuda backend"}};
  const std::string text = api->attention();
  return {"cudnn attention", {text.starts_with("cuDNN"), text}};
}

/// The library has to load, or a program into which it is injected would run unrecorded.
DoctorRow injection_row() {
  const std::string path = beside("libtidemark-inject.so");
  if (path.empty()) {
    return {"injection",
            {false,
             "libtidemark-inject.so is not there: it is built only where the "
             "headers of CUPTI are found"}};
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {"injection", {false, dlerror()}};
  const bool good = dlsym(library, "InitializeInjection") != nullptr;
  dlclose(library);
  const Capability driver = probe_driver();
  if (!good || driver.works) return {"injection", {good, "libtidemark-inject.so"}};
  return {"injection", {false, "the driver would load libtidemark-inject.so, but " + driver.why}};
}

}  // namespace

std::vector<DoctorRow> examine() {
  return {cpu_row(),
          product_row(),
          solver_row(),
          file_row("window", "tidemark-view", "built without Qt 6.4 (qt6-base-dev)"),
          clock_row(),
          {"cuda driver", probe_driver()},
          cuda_row(),
          cuda_ranks_row(),
          attention_row(),
          {"cupti", probe_cupti()},
          injection_row()};
}

std::string doctor_text(const std::vector<DoctorRow>& rows) {
  Table table({"", "", ""});
  for (const DoctorRow& row : rows) {
    table.add({row.name, row.capability.works ? "yes" : "no", row.capability.why});
  }
  return table.text();
}

std::string doctor_json(const std::vector<DoctorRow>& rows) {
  nlohmann::json out;
  out["rows"] = nlohmann::json::array();
  for (const DoctorRow& row : rows) {
    out["rows"].push_back(
        {{"name", row.name}, {"works", row.capability.works}, {"why", row.capability.why}});
  }
  return out.dump(2) + "\n";
}

int doctor(int argc, const char* const* argv) {
  bool json = false;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") {
      std::puts("Says what works on this machine, and why not.\nUsage: tidemark doctor [--json]");
      return k_exit_done;
    }
    if (word != "--json") throw InputError({{}, "doctor", "--json or nothing", "'" + word + "'"});
    json = true;
  }
  const std::vector<DoctorRow> rows = examine();
  fmt::print("{}", json ? doctor_json(rows) : doctor_text(rows));
  return k_exit_done;
}

}  // namespace tidemark
