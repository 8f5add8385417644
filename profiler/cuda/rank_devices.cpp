#include "profiler/cuda/rank_devices.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

#include "profiler/cuda/load_plugin.h"
#include "traces/error.h"

namespace tidemark {

RankDevice device_of_thread(const cuda::PluginApi& api, std::int32_t rank, std::int32_t ranks) {
  const std::vector<cuda::DeviceFacts> all = cuda_devices(api);
  if (static_cast<std::size_t>(ranks) > all.size()) {
    throw InputError({{},
                      "--backend cuda",
                      fmt::format("a device for each of {} ranks", ranks),
                      fmt::format("{} (CUDA_VISIBLE_DEVICES may hide others)", all.size())});
  }
  return {rank, all[static_cast<std::size_t>(rank)].name};
}

RankDevice device_of_process(const cuda::PluginApi& api, ProcessCommunicator& ranks) {
  const std::vector<cuda::DeviceFacts> all = cuda_devices(api);
  const std::size_t chosen = static_cast<std::size_t>(ranks.local_rank()) % all.size();
  // A double holds 32 bits exactly, not 64.
  const std::uint64_t id = all[chosen].id;
  const std::array mine{static_cast<double>(id >> 32), static_cast<double>(id & 0xFFFFFFFFU)};
  const std::vector<double> ids = ranks.share(mine);
  std::map<std::pair<double, double>, std::size_t> rank_of;
  for (std::size_t rank = 0; 2 * rank < ids.size(); ++rank) {
    const auto [first, is_new] = rank_of.emplace(std::pair{ids[2 * rank], ids[2 * rank + 1]}, rank);
    if (is_new) continue;
    throw InputError({{},
                      "--backend cuda",
                      fmt::format("a device for each of {} ranks", ranks.ranks()),
                      fmt::format("ranks {} and {} on the same", first->second, rank)});
  }
  return {static_cast<int>(chosen), all[chosen].name};
}

}  // namespace tidemark
