// The device table as YAML; the shipped one is part of the program.
#include <algorithm>
#include <cmath>
#include <optional>

#include "sim/device.h"
#include "sim/section.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {

extern const char* const k_devices_yaml;  // devices_yaml.cpp, made from devices.yaml

namespace {

constexpr double k_tera = 1e12;
constexpr double k_giga = 1e9;
constexpr double k_most = 1e9;  // of any figure in the unit of its field

void check_status(Section& f) {
  const std::string status = f.text_or("status", "user");
  for (const char* known : {"read", "measured", "memory", "assumed", "user"}) {
    if (status == known) return;
  }
  f.expected("status", "read, measured, memory, assumed or user");
}

FigureSource source_of(Section& f) {
  check_status(f);
  return {.status = f.text_or("status", "user"), .source = f.text_or("source", "")};
}

/// A number, or a table with `value`; its source is kept when it has one of its own.
class Figures {
 public:
  Figures(Section& section, Device& device) : section_(section), device_(device) {}

  /// In the unit of the field; 0, and a problem unless `otherwise` is given, when it is absent.
  double number(const char* name, std::optional<double> otherwise = std::nullopt) {
    if (!section_.has(name)) {
      if (!otherwise) section_.expected(name, "a number");
      return otherwise.value_or(0);
    }
    const Section::Json* json = section_.take(name);
    double value = 0;
    if (json->is_object()) {
      Section figure = table(name);
      value = figure.real_or("value", 0);
    } else {
      value = section_.real_or(name, 0);
    }
    if (value > 0 && value <= k_most) return value;
    section_.expected(name, "a number above 0 and at most 1e9");
    return 0;
  }

  std::int64_t size(const char* name) {
    const Section::Json* json = section_.take(name);
    std::string text;
    if (json == nullptr) {
      section_.expected(name, "a size");
    } else if (json->is_object()) {
      text = table(name).text("value");
    } else {
      text = section_.text(name);
    }
    if (text.empty()) return 0;
    try {
      const std::int64_t bytes = parse_size(text, section_.place(name));
      if (bytes > 0) return bytes;
    } catch (const InputError&) {
      // Said below, with the place.
    }
    section_.expected(name, "a size such as 80GiB");
    return 0;
  }

 private:
  Section table(const char* name) {
    Section figure = section_.section(name);
    device_.figures[name] = source_of(figure);
    return figure;
  }

  Section& section_;
  Device& device_;
};

Device device_of(Section& f) {
  Device d;
  d.name = f.text("name");
  d.about = f.text_or("about", d.name);
  const FigureSource source = source_of(f);
  d.source = source.source.empty() ? source.status : source.source + " (" + source.status + ")";
  Figures figures(f, d);
  d.memory_bytes = figures.size("memory");
  d.bf16_flops_per_s = figures.number("bf16_tflops") * k_tera;
  d.f32_flops_per_s = figures.number("f32_tflops", d.bf16_flops_per_s / k_tera / 2) * k_tera;
  d.f8_flops_per_s = figures.number("f8_tflops", 0) * k_tera;
  d.memory_bytes_per_s = figures.number("memory_gb_per_s") * k_giga;
  d.host_link_bytes_per_s = figures.number("host_link_gb_per_s", 31) * k_giga;
  d.peer_link_bytes_per_s = figures.number("peer_link_gb_per_s", 0) * k_giga;
  d.launch_ns = std::llround(figures.number("launch_us", 5) * 1000);
  d.efficiency = figures.number("efficiency", 0.8);
  d.price_per_hour = figures.number("price_per_hour", 0);
  if (d.efficiency > 1) f.expected("efficiency", "a share of at most 1");
  return d;
}

Link link_of(Section f) {
  const double latency_us = f.real_or("latency_us", -1);
  const double rate = f.real_or("gb_per_s", 0);
  if (latency_us < 0 || latency_us > k_most) f.expected("latency_us", "a number from 0");
  if (!(rate > 0 && rate <= k_most)) f.expected("gb_per_s", "a number above 0");
  return {.latency_ns = latency_us * 1000, .bytes_per_ns = rate};
}

Cluster cluster_of(Section& f, const DeviceTable& table) {
  Cluster c;
  c.name = f.text("name");
  c.about = f.text_or("about", c.name);
  c.device = f.text("device");
  const auto known = [&c](const Device& d) { return d.name == c.device; };
  if (!c.device.empty() && std::none_of(table.devices.begin(), table.devices.end(), known)) {
    f.expected("device", "the name of a device (see `tidemark devices`)");
  }
  c.topology.node_ranks = f.integer("devices");
  if (c.topology.node_ranks < 1 || c.topology.node_ranks > (1 << 20)) {
    f.expected("devices", "a number from 1");
  }
  Section inside = f.section("inside");
  Section between = f.section("between");
  c.topology.inside = link_of(inside);
  c.topology.between = link_of(between);
  c.inside = source_of(inside);
  c.between = source_of(between);
  return c;
}

template <class Named>
void put(std::vector<Named>& list, Named value) {
  const auto at = std::find_if(list.begin(), list.end(),
                               [&value](const Named& n) { return n.name == value.name; });
  if (at == list.end()) {
    list.push_back(std::move(value));
  } else {
    *at = std::move(value);
  }
}

template <class Named>
const Named& find(const std::vector<Named>& list, const char* place, std::string_view name) {
  std::string names;
  for (const Named& each : list) {
    if (each.name == name) return each;
    names += (names.empty() ? "" : ", ") + each.name;
  }
  throw InputError(InputError::Parts{
      .place = place, .expected = "one of " + names, .found = "'" + std::string(name) + "'"});
}

DeviceTable make_shipped() {
  DeviceTable table;
  read_devices(k_devices_yaml, "devices.yaml", table);
  return table;
}

}  // namespace

void read_devices(const std::string& text, const std::string& file, DeviceTable& table) {
  const Document source = yaml_document(text, file);
  std::vector<std::string> problems;
  Section root(source, problems);
  std::vector<std::string> names;
  const auto once = [&](Section& f, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      f.expected("name", "each name once");
    }
    names.push_back(name);
  };
  for (Section& f : root.sections("devices")) {
    Device device = device_of(f);
    once(f, device.name);
    put(table.devices, std::move(device));
  }
  for (Section& f : root.sections("nodes")) {
    Cluster cluster = cluster_of(f, table);
    once(f, cluster.name);
    put(table.clusters, std::move(cluster));
  }
  for (const std::string& path : root.unread()) {
    problems.push_back(source.place(path) + ": expected no field of this name");
  }
  require_none(problems);
}

const DeviceTable& shipped_devices() {
  static const DeviceTable table = make_shipped();
  return table;
}

DeviceTable device_table(const std::string& file) {
  DeviceTable table = shipped_devices();
  if (!file.empty()) read_devices(read_file(file), file, table);
  return table;
}

const Device& DeviceTable::device(std::string_view name) const {
  return find(devices, "device", name);
}

const Cluster& DeviceTable::cluster(std::string_view name) const {
  return find(clusters, "node", name);
}

}  // namespace tidemark
