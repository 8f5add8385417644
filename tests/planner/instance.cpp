#include "tests/planner/instance.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

using nlohmann::json;

json parse_file(const std::string& path) {
  try {
    return json::parse(read_file(path));
  } catch (const json::exception& error) {
    throw InputError(
        InputError::Parts{.file = path, .place = {}, .expected = "JSON", .found = error.what()});
  }
}

std::int64_t integer_or(const json& object, const char* key, std::int64_t fallback) {
  const auto entry = object.find(key);
  return entry == object.end() || !entry->is_number() ? fallback : entry->get<std::int64_t>();
}

void read_known(const json& known, Instance& instance) {
  instance.best_by_solver = instance.best_known = integer_or(known, "solution_cost", -1);
  for (const json& entry : known.value("solution_recompute", json::array())) {
    const auto stage = entry.at(0).get<Position>();
    const auto op = entry.at(1).get<Position>();
    if (op < stage) instance.solver_schedule.emplace_back(stage, op);
  }
}

void read_object(const json& object, Instance& instance) {
  for (const json& node : object.at("nodes")) {
    instance.graph.costs.push_back(node.at("cost").get<std::int64_t>());
    instance.graph.sizes.push_back(node.at("mem_kb").get<std::int64_t>());
  }
  for (const json& edge : object.at("edges")) {
    instance.graph.edges.emplace_back(edge.at(0).get<std::int32_t>(),
                                      edge.at(1).get<std::int32_t>());
  }
  instance.budget = object.at("avail_kb").get<std::int64_t>();
  if (object.contains("known")) read_known(object["known"], instance);
}

void read_list(const json& list, Instance& instance) {
  for (const json& node : list) {
    const auto id = node.at("id").get<std::int32_t>();
    instance.graph.costs.push_back(node.at("cost").get<std::int64_t>());
    instance.graph.sizes.push_back(node.at("mem").get<std::int64_t>());
    for (const json& input : node.at("deps")) {
      instance.graph.edges.emplace_back(input.get<std::int32_t>(), id);
    }
  }
}

}  // namespace

Instance read_checkmate(const std::string& path) {
  const json content = parse_file(path);
  Instance instance;
  std::filesystem::path name = std::filesystem::path(path).filename();
  while (name.has_extension()) name = name.stem();
  instance.name = name.string();
  try {
    content.is_array() ? read_list(content, instance) : read_object(content, instance);
    static_cast<void>(dataflow_of(instance.graph));  // finds what is wrong with the graph
  } catch (const json::exception& error) {
    throw InputError(InputError::Parts{
        .file = path, .place = {}, .expected = "a Checkmate instance", .found = error.what()});
  } catch (const InputError& error) {
    throw error.in_file(path);
  }
  return instance;
}

std::vector<Instance> read_checkmate_folder(const std::string& folder) {
  std::vector<std::string> files;
  json known = json::object();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (file == "best_known.json") {
      known = parse_file(entry.path().string());
    } else if (file.ends_with(".json") || file.ends_with(".json.gz")) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<Instance> instances;
  for (const std::string& file : files) {
    Instance instance = read_checkmate(file);
    const json entry = known.value(instance.name, json::object());
    instance.best_by_solver = integer_or(entry, "gurobi_24h_best", instance.best_by_solver);
    instance.best_known = integer_or(entry, "best_known", instance.best_known);
    instances.push_back(std::move(instance));
  }
  return instances;
}

}  // namespace tidemark
