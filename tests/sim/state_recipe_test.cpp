// Bytes per parameter against the ZeRO paper and the estimators of DeepSpeed.
#include "sim/state_recipe.h"

#include <cmath>
#include <set>

#include "../catch.h"
#include "csv_rows.h"
#include "sim/capacity.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

double per_parameter(const char* recipe, std::int64_t ranks) {
  return bytes_per_parameter(find_recipe(recipe), {.data = ranks, .shard = ranks}).total();
}

}  // namespace

TEST_CASE("ZeRO table 1: 7.5 billion parameters, mixed precision Adam") {
  // Rajbhandari et al. 2019, arXiv 1910.02054, table 1 (GB = 1e9), figures rounded there.
  struct Row {
    std::int64_t ranks;
    double zero1, zero2, zero3;
  };
  for (const Row& row :
       {Row{1, 120, 120, 120}, Row{4, 52.5, 41.3, 30}, Row{16, 35.6, 21.6, 7.5},
        Row{64, 31.4, 16.6, 1.88}, Row{256, 30.4, 15.4, 0.47}, Row{1024, 30.1, 15.1, 0.12}}) {
    CAPTURE(row.ranks);
    CHECK(7.5 * per_parameter("zero1", row.ranks) == Approx(row.zero1).margin(0.051));
    CHECK(7.5 * per_parameter("zero2", row.ranks) == Approx(row.zero2).margin(0.051));
    CHECK(7.5 * per_parameter("zero3", row.ranks) == Approx(row.zero3).margin(0.0051));
  }
}

TEST_CASE("all rows of ZeRO table 1, from the file") {
  const std::string folder = shared_data("capacity");
  if (folder.empty()) {
    WARN("skipped: no shared data (TIDEMARK_SHARED_DATA)");
    return;
  }
  for (const CsvRow& row : csv_rows(read_file(folder + "/zero_tab1_model_states_GB.csv"))) {
    const std::string& name = row["model"];
    const double billions = name == "1T" ? 1000 : std::stod(name);
    CAPTURE(name, row["Nd"]);
    const std::int64_t ranks = row.integer("Nd");
    CHECK(billions * per_parameter("zero1", ranks) ==
          Approx(row.number("ZeRO1_GB")).epsilon(1e-4).margin(5e-4));
    CHECK(billions * per_parameter("zero2", ranks) ==
          Approx(row.number("ZeRO2_GB")).epsilon(1e-4).margin(5e-4));
    CHECK(billions * per_parameter("zero3", ranks) ==
          Approx(row.number("ZeRO3_GB")).epsilon(1e-4).margin(5e-4));
  }
}

TEST_CASE("the examples of DeepSpeed's own estimators") {
  // memory.rst of DeepSpeed, t5-3b on 8 GPUs: 2851 M parameters, largest layer 32 M, both cut off
  // below a million; the page prints GiB as GB.
  const auto at = [](const StateRecipe& recipe, double millions, double largest) {
    const ShardSizes sizes{.data = 8, .shard = 8};
    const UnitBytes unit = unit_bytes(recipe, sizes, largest * 1e6);
    return (bytes_per_parameter(recipe, sizes).total() * millions * 1e6 + unit.gathered +
            unit.gradient) /
           (1 << 30);
  };
  const auto holds = [&at](const StateRecipe& recipe, double printed) {
    CHECK(at(recipe, 2851, 32) < printed + 0.005);
    CHECK(at(recipe, 2852, 33) > printed - 0.005);
  };
  StateRecipe recipe = find_recipe("deepspeed-zero3");
  holds(recipe, 6.10);
  recipe.gradient_sum.on_host = recipe.master.on_host = recipe.moments.on_host = true;
  holds(recipe, 0.79);
  recipe.parameter.on_host = true;
  holds(recipe, 0.12);
  const double gib =
      bytes_per_parameter(find_recipe("deepspeed-zero2"), {.data = 8, .shard = 8}).total() *
      2851.5e6 / (1 << 30);
  CHECK(gib == Approx(15.93).margin(0.01));
}

TEST_CASE("recipes by their bytes on one rank and on very many") {
  struct Row {
    const char* name;
    double one, many;
  };
  for (const Row& row :
       {Row{"ddp", 16, 16}, Row{"zero1", 16, 4}, Row{"zero2", 16, 2}, Row{"zero3", 16, 0},
        Row{"megatron", 18, 18}, Row{"megatron-distributed", 18, 6}, Row{"fsdp2", 16, 0},
        Row{"deepspeed-zero3", 18, 0}, Row{"bf16", 8, 8}, Row{"f32", 16, 16},
        Row{"frozen", 2, 2}}) {
    CAPTURE(row.name);
    CHECK(per_parameter(row.name, 1) == row.one);
    CHECK(per_parameter(row.name, std::int64_t{1} << 50) == Approx(row.many).margin(1e-9));
  }
}

TEST_CASE("a hybrid group decides for `shard`, the whole for `data`") {
  CHECK(bytes_per_parameter(find_recipe("fsdp2"), {.data = 64, .shard = 8}).total() == 2);
  CHECK(bytes_per_parameter(find_recipe("zero1"), {.data = 64, .shard = 8}).total() ==
        4 + 12 / 64.0);
  CHECK(gathers(find_recipe("fsdp2"), {.data = 64, .shard = 8}));
  CHECK_FALSE(gathers(find_recipe("fsdp2"), {.data = 64, .shard = 1}));
  CHECK_FALSE(gathers(find_recipe("zero2"), {.data = 64, .shard = 64}));
}

TEST_CASE("recipes have names of their own and sources, others are refused") {
  std::set<std::string> names;
  for (const StateRecipe& recipe : named_recipes()) {
    CHECK(names.insert(recipe.name).second);
    CHECK_FALSE(recipe.source.empty());
  }
  CHECK_THROWS_WITH(find_recipe("zero4"), Catch::Contains("zero3") && Catch::Contains("'zero4'"));
}
