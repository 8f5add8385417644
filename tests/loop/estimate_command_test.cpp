// `tidemark estimate` of many ranks as a user calls it: words, files of others, recorded runs; and
// the same answer as `tidemark report`.
#include <cmath>
#include <nlohmann/json.hpp>

#include "command.h"
#include "tests/paths.h"

using namespace tidemark_call;
using Json = nlohmann::json;

namespace {

const std::string k_descriptions = TIDEMARK_SOURCE_DIR "/tests/golden/descriptions/";

Json figures(const Folder& folder, const std::string& arguments) {
  const Result r = call(folder, "estimate " + arguments + " --json");
  INFO(arguments << "\n" << r.error);
  REQUIRE(r.code <= 1);
  return Json::parse(r.out);
}

/// The only row of a report of one strategy.
Json report_row(const Folder& folder, const std::string& spec) {
  write(folder / "spec.yaml", spec);
  const Result r = call(folder, "report spec.yaml --json");
  INFO(spec << "\n" << r.out << r.error);
  REQUIRE(r.code <= 1);
  const Json rows = Json::parse(r.out)["rows"];
  REQUIRE(rows.size() == 1);
  return rows[0];
}

void require_same(const Json& estimated, const Json& row) {
  for (const char* field : {"layout", "schedule", "recipe", "recompute", "sequence", "micro_batch",
                            "micro_batches", "peak_bytes", "expected_bytes", "low_bytes",
                            "high_bytes", "fits", "verdict", "fits_probability"}) {
    CAPTURE(field);
    CHECK(estimated.at(field) == row.at(field));
  }
  REQUIRE(estimated.contains("step_ns") == row.contains("step_s"));
  if (!row.contains("step_s")) return;
  CHECK(std::abs(estimated["step_ns"].get<double>() - 1e9 * row["step_s"].get<double>()) <= 1);
  CHECK(std::abs(estimated["step_high_ns"].get<double>() -
                 1e9 * row["step_high_s"].get<double>()) <= 1);
}

}  // namespace

TEST_CASE("estimate says what each pipeline rank of a transformer needs") {
  const Folder folder;
  const Result zero3 = call(
      folder, "estimate llama3-8b --layout tp=8,pp=2,dp=4,sp --recipe zero3 --batch 16 --json");
  REQUIRE(zero3.code == 0);
  const Json j = Json::parse(zero3.out);
  CHECK(j["ranks"] == 64);
  CHECK(j["layout"] == "tp=8,pp=2,dp=4,sp");
  CHECK(j["parameters"] == 8'030'261'248);
  REQUIRE(j["pipeline_ranks"].size() == 2);
  for (const Json& rank : j["pipeline_ranks"]) {
    CHECK(rank["peak_bytes"].get<std::int64_t>() <= j["peak_bytes"].get<std::int64_t>());
    // 16 bytes for each of half the model, over 8 x 4 ranks, but norms only over 4.
    CHECK(rank["states_bytes"].get<double>() < 16 * 8.05e9 / 64);
    CHECK(rank["states_bytes"].get<double>() > 16 * 8.02e9 / 64);
  }
  double parts_ns = 0;
  for (const Json& part : j["step_parts_ns"]) parts_ns += part.get<double>();
  CHECK(std::abs(parts_ns - j["step_ns"].get<double>()) < 20);
  CHECK(j["verdict"] == "fits");
  CHECK(j["expected_bytes"].get<double>() > j["peak_bytes"].get<double>());
  CHECK(j["model_flops_utilization"].get<double>() < 1);
  const Result whole = call(folder, "estimate llama3-70b --recipe ddp");
  CHECK(whole.code == 1);
  CHECK(whole.out.find("TOO LARGE") != std::string::npos);
  std::ofstream(folder / "config.json") << R"({"model_type": "llama", "num_hidden_layers": 2,
    "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100})";
  CHECK(call(folder, "estimate config.json --seq 128").code == 0);
  require_refused(folder, "estimate config.json", "batch.sequence: expected");
  const Result refused = call(folder, "estimate llama3-8b --layout tp=3 --recipe zero9");
  CHECK(refused.code == 2);
  CHECK(refused.error.find("--recipe") != std::string::npos);
  CHECK(refused.error.find("\nmodel.heads: ") != std::string::npos);
  require_refused(folder, "estimate llama3-8b --layout dp=4 --batch 6", "--batch");
  require_refused(folder, "estimate llama3-8b --optimizer sgd", "--optimizer");
  require_refused(folder, "estimate lenet5 --layout tp=2", "llama3-8b");
  require_refused(folder, "estimate gpt2-124M --layout tp=2", "model.vocabulary");
  require_refused(folder,
                  "estimate gpt2-124M --layout dp=2 --phase inference --prompt 4 --generate 4",
                  "--phase");
  require_refused(folder, "estimate llama3-8b --ranks 6 --layout tp=4", "6 ranks");
  require_refused(folder, "estimate llama3-8b --node dgx-a100-80g", "--node: expected a node of");
  require_refused(folder, "estimate llama3-8b --framework none", "megatron-deepspeed");
}

TEST_CASE("estimate and report say the same of the same configuration") {
  const Folder folder;
  struct Case {
    const char *model, *device, *ranks, *words, *spec, *site;
  };
  for (const Case& c :
       {Case{"llama3-70b", "h100-80g", "64", "--layout tp=8,pp=4,dp=2,sp --recompute full",
             "layout: \"tp=8,pp=4,sp\", recipe: zero1, recompute: full", ""},
        Case{"llama3-8b", "a100-40g", "16", "--recipe fsdp2", "recipe: fsdp2", ""},
        Case{"llama3-8b", "a100-80g", "16", "--recipe zero3 --node vtrain-a100-80g",
             "recipe: zero3", ", node: vtrain-a100-80g"},
        Case{"llama3.2-3b", "a10-24g", "1", "--recipe bf16 --recompute full",
             "recipe: bf16, recompute: full", ""},
        Case{"llama3-8b", "a10-24g", "8", "--recipe zero3", "recipe: zero3", ""}}) {
    CAPTURE(c.words);
    const std::string model = c.model;
    const std::string device = c.device;
    const Json estimated = figures(
        folder, model + " --device " + device + " --ranks " + c.ranks + " --batch 64 " + c.words);
    require_same(
        estimated,
        report_row(folder, "global_batch: 64\nmodels: [" + model +
                               "]\ndevices: [{device: " + device + c.site + ", ranks: " + c.ranks +
                               "}]\nstrategies: [{name: one, " + c.spec + "}]\n"));
  }
}

TEST_CASE("estimate takes the files that people have, and says what report says of them") {
  const Folder folder;
  for (const char* name : {"deepspeed.json", "torchtitan.toml", "megatron.args"}) {
    fs::copy_file(k_descriptions + name, folder / name);
  }
  const auto spec = [](const std::string& model, const std::string& file, int ranks) {
    return "global_batch: 64\nsequence: 2048\nmodels: [" + model +
           "]\ndevices: [{device: a100-80g, ranks: " + std::to_string(ranks) +
           "}]\nstrategies: [{file: " + file + "}]\n";
  };
  const std::string site = " --device a100-80g --ranks 8";
  const Json deepspeed = figures(folder, "llama3-8b --strategy deepspeed.json --seq 2048" + site);
  CHECK(deepspeed["recipe"] == "deepspeed-zero3");
  require_same(deepspeed, report_row(folder, spec("llama3-8b", "deepspeed.json", 8)));
  const Json titan = figures(folder, "torchtitan.toml --device a100-80g --ranks 16");
  CHECK(titan["model"] == "llama3-70b");
  CHECK(titan["sequence"] == 8192);
  CHECK(titan.contains("model_flops_utilization"));
  // The report has one batch and sequence for all of its strategies.
  require_same(
      figures(folder, "torchtitan.toml --device a100-80g --ranks 16 --seq 2048 --batch 64"),
      report_row(folder, spec("llama3-70b", "torchtitan.toml", 16)));
  const Json megatron = figures(folder, "megatron.args");
  CHECK(megatron["pipeline_ranks"].size() == 8);
  CHECK(megatron["assumptions"].size() > 4);
  CHECK(figures(folder, "megatron.args --batch 128")["micro_batches"] == 128);
  require_refused(folder, "estimate deepspeed.json", "tidemark estimate MODEL --strategy FILE");
  require_refused(folder, "estimate torchtitan.toml --layout tp=2",
                  "--layout: expected none beside");
  require_refused(folder, "estimate llama3-8b --strategy none.json", "none.json");
  require_refused(folder, "estimate megatron.args --ranks 128", "128 ranks");
  write(folder / "words.txt", "nothing that is known\n");
  require_refused(folder, "estimate words.txt", "words.txt: --num-layers");
}

TEST_CASE("estimate of a recorded run: its program on another device, batch, or many ranks") {
  const Folder folder;
  record(folder);
  const Json there = figures(folder, "run.tmk --device a100-80g");
  const Json built = figures(folder, "gpt2-tiny --device a100-80g");
  for (const char* field : {"peak_bytes", "height_bytes", "step_flops"}) {
    CHECK(there.at(field) == built.at(field));
  }
  CHECK(there["step_ns"].get<double>() > 0);
  CHECK(there["step_ns"] != built["step_ns"]);  // as measured, not as modelled
  const Json larger = figures(folder, "run.tmk --device a100-80g --batch 32");
  CHECK(larger["peak_bytes"] == figures(folder, "gpt2-tiny --batch 32")["peak_bytes"]);
  CHECK(larger["step_ns"].get<double>() > there["step_ns"].get<double>());
  const Json ranks = figures(folder, "run.tmk --ranks 4 --device a100-80g");
  CHECK(ranks["layout"] == "dp=4");
  CHECK(ranks["model"] == "gpt2-tiny");
  require_refused(folder, "estimate run.tmk -o run.tmk", "run.tmk");
  write(folder / "broken.tmk", "no trace");
  require_refused(folder, "estimate broken.tmk", "broken.tmk");
}

TEST_CASE("estimate writes a rank of a strategy as a trace, tensor by tensor") {
  const Folder folder;
  const std::string words = "llama3-8b --ranks 8 --layout pp=2 --batch 16 --schedule zero_bubble ";
  const Json e = figures(folder, words + "-o rank.tmk --rank 1");
  CHECK(e["traced_rank"] == 1);
  const double peak_bytes = e["pipeline_ranks"][1]["peak_bytes"].get<double>();
  CHECK(e["replayed_reserved_bytes"].get<double>() >= peak_bytes);
  const Result shown = call(folder, "show rank.tmk --json");
  REQUIRE(shown.code == 0);
  const double traced_bytes = Json::parse(shown.out)["peak_bytes"].get<double>();
  CHECK(std::abs(traced_bytes / peak_bytes - 1) < 1e-4);
  CHECK(call(folder, "allocator rank.tmk").code == 0);
  CHECK(call(folder, "pack rank.tmk -o packed.tmk").code <= 1);
  require_refused(folder, "estimate " + words + "-o rank.tmk --rank 2", "--rank");
  require_refused(folder, "estimate " + words + "--rank 1", "--rank: expected --output");
  require_refused(folder, "estimate " + words + "-o none/rank.tmk", "none/rank.tmk");
}
