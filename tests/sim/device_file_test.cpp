// The device table as YAML: what ships, and what a user adds.
#include "../catch.h"
#include "description_file.h"
#include "sim/device.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("device file: every shipped figure has a status and a source") {
  const DeviceTable& table = shipped_devices();
  CHECK(table.devices.size() >= 18);
  for (const Device& d : table.devices) {
    CAPTURE(d.name);
    CHECK_FALSE(d.source.empty());
    for (const auto& [figure, source] : d.figures) {
      CAPTURE(figure);
      CHECK(source.status != "user");
    }
  }
  for (const Cluster& c : table.clusters) {
    CAPTURE(c.name);
    CHECK_NOTHROW(table.device(c.device));
    CHECK(c.topology.inside.bytes_per_ns > c.topology.between.bytes_per_ns);
    CHECK_FALSE(c.inside.source.empty());
    CHECK_FALSE(c.between.source.empty());
  }
  CHECK(table.device("a100-80g").efficiency == 0.869);
  CHECK(table.device("a100-80g").figures.at("efficiency").status == "measured");
}

TEST_CASE("device file: a user's file adds, and replaces by name") {
  DeviceTable table = shipped_devices();
  read_devices(description_file("devices.yaml"), "own.yaml", table);
  CHECK(table.devices.size() == shipped_devices().devices.size() + 1);
  const Device& b200 = table.device("b200-180g");
  CHECK(b200.memory_bytes == std::int64_t{179} << 30);
  CHECK(b200.price_per_hour == 5.5);
  CHECK(b200.figures.at("memory") == FigureSource{"measured", "the driver"});
  CHECK(table.device("own-chip").efficiency == 0.8);
  CHECK(table.cluster("own-node").topology ==
        Topology{.inside = {3000, 200}, .between = {12000, 25}, .node_ranks = 16});
}

TEST_CASE("device file: all that is wrong, each with line and field") {
  DeviceTable table;
  CHECK_THROWS_WITH(
      read_devices("devices:\n  - name: x\n    memory: 80GB\n    bf16_tflops: -1\n"
                   "    efficiency: 1.5\n    colour: red\nnodes:\n  - name: n\n    device: y\n"
                   "    devices: 0\n",
                   "d.yaml", table),
      Catch::Contains("d.yaml: line 3: devices[0].memory: expected a size such as 80GiB") &&
          Catch::Contains("d.yaml: line 4: devices[0].bf16_tflops: expected a number above 0") &&
          Catch::Contains("devices[0].memory_gb_per_s: expected a number, found nothing") &&
          Catch::Contains("devices[0].efficiency: expected a share") &&
          Catch::Contains("d.yaml: line 6: devices[0].colour: expected no field of this name") &&
          Catch::Contains("d.yaml: line 9: nodes[0].device: expected the name of a device") &&
          Catch::Contains("nodes[0].devices: expected a number from 1"));
  CHECK_THROWS_WITH(shipped_devices().cluster("dgx"), Catch::Contains("dgx-h100-80g"));
}
