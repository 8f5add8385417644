// `tidemark devices`: the device table, shipped and of a file.

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/device.h"
#include "sim/table.h"
#include "sim/units.h"
#include "sim/verbs.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

Json device_json(const Device& d) {
  Json j{{"name", d.name},
         {"memory_bytes", d.memory_bytes},
         {"about", d.about},
         {"f32_flops_per_s", d.f32_flops_per_s},
         {"bf16_flops_per_s", d.bf16_flops_per_s},
         {"memory_bytes_per_s", d.memory_bytes_per_s},
         {"host_link_bytes_per_s", d.host_link_bytes_per_s},
         {"launch_ns", d.launch_ns},
         {"efficiency", d.efficiency},
         {"source", d.source}};
  if (d.f8_flops_per_s > 0) j["f8_flops_per_s"] = d.f8_flops_per_s;
  if (d.peer_link_bytes_per_s > 0) j["peer_link_bytes_per_s"] = d.peer_link_bytes_per_s;
  if (d.price_per_hour > 0) j["price_per_hour"] = d.price_per_hour;
  for (const auto& [figure, source] : d.figures) {
    j["figures"][figure] = {{"status", source.status}, {"source", source.source}};
  }
  return j;
}

Json link_json(const Link& link, const FigureSource& source) {
  return {{"latency_ns", link.latency_ns},
          {"bytes_per_s", link.bytes_per_ns * 1e9},
          {"status", source.status},
          {"source", source.source}};
}

void print_json(const DeviceTable& table) {
  Json out{{"devices", Json::array()}, {"nodes", Json::array()}};
  for (const Device& d : table.devices) out["devices"].push_back(device_json(d));
  for (const Cluster& c : table.clusters) {
    out["nodes"].push_back({{"name", c.name},
                            {"about", c.about},
                            {"device", c.device},
                            {"devices", c.topology.node_ranks},
                            {"inside", link_json(c.topology.inside, c.inside)},
                            {"between", link_json(c.topology.between, c.between)}});
  }
  fmt::print("{}\n", out.dump(2));
}

void print_text(const DeviceTable& table) {
  Table devices(
      {"device", ">memory", ">fp32 TFLOP/s", ">bf16", ">GB/s", ">host GB/s", "about", "source"});
  for (const Device& d : table.devices) {
    devices.add({d.name, format_bytes(d.memory_bytes),
                 fmt::format("{:g}", d.f32_flops_per_s / 1e12),
                 fmt::format("{:g}", d.bf16_flops_per_s / 1e12),
                 fmt::format("{:g}", d.memory_bytes_per_s / 1e9),
                 fmt::format("{:g}", d.host_link_bytes_per_s / 1e9), d.about, d.source});
  }
  Table nodes({"node", ">devices", "device", ">GB/s inside", ">between nodes", "about"});
  for (const Cluster& c : table.clusters) {
    const Topology& t = c.topology;
    nodes.add({c.name, std::to_string(t.node_ranks), c.device,
               fmt::format("{:g}", t.inside.bytes_per_ns),
               fmt::format("{:g}", t.between.bytes_per_ns), c.about});
  }
  fmt::print("{}\n{}", devices.text(), nodes.text());
}

}  // namespace

void add_devices(CLI::App& app) {
  struct Options {
    std::string file;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("devices", "devices and nodes that can be named");
  verb->add_option("--devices", options->file, "YAML with further ones");
  verb->add_flag("--json", options->json, "as one JSON object, with the source of each figure");
  verb->footer("Example: tidemark devices --json");
  verb->callback([options] {
    const DeviceTable table = device_table(options->file);
    if (options->json) {
      print_json(table);
    } else {
      print_text(table);
    }
  });
}

}  // namespace tidemark
