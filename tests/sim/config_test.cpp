// Run configurations: built-in, from files, from JSON; what is wrong is said with its place.
#include "sim/config.h"

#include <unistd.h>

#include <filesystem>

#include "../catch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

const std::string k_mlp = R"({"model": {"family": "mlp", "widths": [4, 3, 2]}, "batch": 5})";

void refuses(const std::string& json, const std::string& place, const std::string& expected) {
  CAPTURE(json.substr(0, 200));
  CHECK_THROWS_WITH(run_config_from_json(json),
                    Catch::Contains(place) && Catch::Contains(expected));
}

std::string with(const std::string& keys) {
  return k_mlp.substr(0, k_mlp.size() - 1) + ", " + keys + "}";
}

std::string gpt2(const std::string& keys) {
  return R"({"batch": 2, "sequence": 8, "model": {"family": "gpt2", "positions": 8, )" + keys +
         "}}";
}

}  // namespace

TEST_CASE("every built-in model is valid and survives JSON") {
  CHECK(builtin_models().size() >= 10);
  for (const BuiltinModel& m : builtin_models()) {
    CAPTURE(m.model.name);
    const RunConfig config = default_run(m.model.name);
    CHECK_NOTHROW(validate(config));
    CHECK(run_config_from_json(to_json(config)) == config);
    CHECK_FALSE(m.about.empty());
  }
}

TEST_CASE("every field of a configuration survives JSON") {
  RunConfig config = default_run("mlp");
  config.model.mlp.activation = Activation::tanh;
  config.optimizer = {.kind = Optimizer::sgd,
                      .learning_rate = 0.25,
                      .beta1 = 0.5,
                      .beta2 = 0.75,
                      .epsilon = 1e-3,
                      .weight_decay = 0.125};
  config.batch = 7;
  config.seed = INT64_MAX;
  config.dtype = DType::f64;
  config.optimizer.momentum = 0.25;
  config.optimizer.clip_norm = 0.5;
  config.accumulation = 7;
  config.dropout = 0.125;
  CHECK(run_config_from_json(to_json(config)) == config);
  config.dtype = DType::f32;
  config.precision = Precision::bf16;
  CHECK(run_config_from_json(to_json(config)) == config);
  CHECK(title(config) ==
        "mlp, batch 7 in 7 micro-batches, dropout 0.125, sgd, f32 with bf16 products");
}

TEST_CASE("what is left out has its default") {
  const RunConfig config = run_config_from_json(k_mlp);
  CHECK(config.optimizer == OptimizerConfig{});
  CHECK(config.seed == 1);
  CHECK(config.model.mlp.activation == Activation::relu);
  CHECK(title(config) == ", batch 5, adamw, f32");
  CHECK(title(default_run("gpt2-tiny")) == "gpt2-tiny, batch 8, sequence 64, adamw, f32");
}

TEST_CASE("an unknown model is refused with the names that are known") {
  CHECK_THROWS_WITH(default_run("gtp2"),
                    Catch::Contains("mlp-tiny") && Catch::Contains("found 'gtp2'"));
  CHECK_THROWS_AS(default_run(""), InputError);
}

TEST_CASE("broken JSON, other types and unknown keys are refused") {
  refuses("{", "run configuration", "JSON");
  refuses("[]", "run configuration", "a JSON object");
  refuses("{}", "run configuration", "a key 'model'");
  refuses(R"({"model": 3})", "model", "a JSON object");
  refuses(R"({"model": {}})", "model", "a key 'family'");
  refuses(R"({"model": {"family": "rnn"}})", "family",
          "one of mlp, gpt2, lenet, resnet, llama, found 'rnn'");
  refuses(R"({"model": {"family": ""}})", "family",
          "one of mlp, gpt2, lenet, resnet, llama, found ''");
  refuses(with(R"("bacth": 3)"), "run configuration", "'bacth'");
  refuses(with(R"("seed": 1.5)"), "seed", "an integer");
  refuses(with(R"("seed": 9223372036854775808)"), "seed", "an integer of 64 bits");
  refuses(with(R"("seed": "x")"), "seed", "an integer");
  refuses(with(R"("dtype": "f8")"), "dtype", "one of f32");
  refuses(with(R"("dtype": "bf16")"), "--dtype", "f32 or f64");
  refuses(with(R"("precision": "fp8")"), "precision", "one of full, bf16");
  refuses(with(R"("dtype": "f64", "precision": "bf16")"), "--precision bf16", "dtype f32");
  refuses(with(R"("optimizer": {"kind": "lion"})"), "kind", "one of sgd, adamw, momentum, adam");
  refuses(with(R"("optimizer": {"rho": 1, "nesterov": 1})"), "optimizer", "'nesterov', 'rho'");
  refuses(with(R"("optimizer": {"beta1": "x"})"), "beta1", "a number");
  refuses(R"({"model": {"family": "mlp", "widths": 3}})", "widths", "an array of integers");
  refuses(R"({"model": {"family": "mlp", "widths": [3, "x"]}})", "widths", "an array of integers");
}

TEST_CASE("keys of the other family are refused, not ignored") {
  refuses(R"({"model": {"family": "mlp", "widths": [1, 2], "layers": 3}})", "family mlp",
          "'layers'");
  refuses(gpt2(R"("activation": "relu")"), "family gpt2", "'activation'");
}

TEST_CASE("nesting without end is refused and not printed") {
  refuses(std::string(200000, '['), "run configuration", "8 levels");
  refuses(R"({"model": {"family": "mlp", "widths": )" + std::string(200000, '['),
          "run configuration", "8 levels");
}

TEST_CASE("sizes that cannot be trained are refused with their name") {
  const auto small = R"("layers": 1, "heads": 2, "channels": 4, "vocabulary": 9)";
  CHECK_NOTHROW(run_config_from_json(gpt2(small)));
  refuses(with(R"("sequence": 4)"), "--seq", "none for family mlp");
  refuses(R"({"batch": 0, "model": {"family": "mlp", "widths": [1, 2]}})", "--batch", "from 1");
  refuses(R"({"batch": 1, "model": {"family": "mlp", "widths": [4]}})", "model widths", "from 2");
  refuses(R"({"batch": 1, "model": {"family": "mlp", "widths": [4, 0]}})", "widths[1]", "from 1");
  refuses(R"({"batch": 1, "model": {"family": "mlp", "widths": [16777216, 16777216]}})",
          "width x width", "at most");
  refuses(gpt2(R"("layers": 1, "heads": 3, "channels": 4, "vocabulary": 9)"), "model heads",
          "a divisor of channels = 4, found 3");
  refuses(gpt2(R"("layers": 0, "heads": 2, "channels": 4, "vocabulary": 9)"), "model layers", "1");
  refuses(gpt2(R"("layers": 1, "heads": 2, "channels": 4, "vocabulary": 1)"), "vocabulary", "2");
  RunConfig config = default_run("gpt2-124M");
  config.sequence = 1025;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--seq: expected a number from 1 to 1024"));
  config.sequence = 1024;
  config.batch = 1 << 24;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("at most 1099511627776 elements"));
}

TEST_CASE("optimizer figures that cannot work are refused") {
  for (const char* bad :
       {R"({"learning_rate": 0})", R"({"learning_rate": -1})", R"({"learning_rate": 1e9})",
        R"({"beta1": 1})", R"({"beta2": -0.1})", R"({"epsilon": -1})", R"({"weight_decay": -1})"}) {
    CHECK_THROWS_AS(run_config_from_json(with(std::string(R"("optimizer": )") + bad)), InputError);
  }
}

TEST_CASE("a model in a file gets the name of the file, mistakes are said with it") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("tidemark_config_test." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "tidemark_config_test.json").string();
  write_file(path, R"({"family": "mlp", "widths": [4, 2], "batch": 3})");
  const RunConfig config = default_run(path);
  CHECK(config.model.name == "tidemark_config_test");
  CHECK(config.batch == 3);
  write_file(path, R"({"family": "mlp", "widths": [4, 0]})");
  CHECK_THROWS_WITH(default_run(path),
                    Catch::Contains("tidemark_config_test.json: model widths[1]"));
  write_file(path, "{]");
  CHECK_THROWS_WITH(default_run(path), Catch::Contains("tidemark_config_test.json"));
  std::filesystem::remove_all(folder);
}

namespace {

/// What default_run() makes of a file with this text.
RunConfig run_of(const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("tidemark_config_test_hf." + std::to_string(getpid()) + ".json");
  write_file(path.string(), text);
  const RunConfig config = default_run(path.string());
  std::filesystem::remove(path);
  return config;
}

}  // namespace

TEST_CASE("config.json of HuggingFace's GPT-2 gives the built-in shape") {
  const RunConfig config = run_of(R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"],
    "activation_function": "gelu_new", "n_layer": 24, "n_head": 16, "n_embd": 1024,
    "n_positions": 1024, "n_ctx": 1024, "vocab_size": 50257, "n_inner": null, "resid_pdrop": 0.1,
    "layer_norm_epsilon": 1e-05, "task_specific_params": {"text-generation": {}}})");
  CHECK(config.model.gpt2 == default_run("gpt2-350M").model.gpt2);
  CHECK(config.sequence == 1024);
  CHECK(run_of(R"({"model_type": "gpt2"})").model.gpt2 == default_run("gpt2-124M").model.gpt2);
}

TEST_CASE("what of a HuggingFace file we cannot compute is refused by name") {
  CHECK_THROWS_WITH(
      run_of(R"({"model_type": "mistral"})"),
      Catch::Contains("model_type: expected gpt2, llama or mixtral, found 'mistral'"));
  CHECK_THROWS_WITH(run_of(R"({"model_type": 3})"), Catch::Contains("model_type"));
  CHECK_THROWS_WITH(run_of(R"({"model_type": "gpt2", "activation_function": "relu"})"),
                    Catch::Contains("activation_function: expected \"gelu_new\""));
  CHECK_THROWS_WITH(run_of(R"({"model_type": "gpt2", "n_inner": 5})"), Catch::Contains("n_inner"));
  CHECK_THROWS_WITH(run_of(R"({"model_type": "gpt2", "n_head": 7})"), Catch::Contains("divisor"));
  CHECK_THROWS_WITH(run_of(R"({"model_type": "gpt2", "n_layer": "x"})"),
                    Catch::Contains("n_layer"));
  CHECK_THROWS_WITH(run_of(R"({"model_type": "gpt2", "tie_word_embeddings": false})"),
                    Catch::Contains("tie_word_embeddings"));
}

TEST_CASE("image models, micro-batches, dropout and clipping outside their range are refused") {
  RunConfig config = default_run("lenet5");
  config.model.image.height = 11;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("model height: expected a number from 12"));
  config = default_run("resnet20");
  config.model.image.blocks = 0;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("model blocks"));
  config = default_run("resnet20");
  config.dropout = 0.5;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--dropout"));
  config = default_run("mlp");
  config.accumulation = 3;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--accumulate: expected a divisor"));
  config.accumulation = 0;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--accumulate"));
  config = default_run("mlp");
  config.dropout = 1;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--dropout"));
  config = default_run("mlp");
  config.attention = AttentionLowering::flash;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--attention"));
  config = default_run("gpt2-tiny");
  config.attention = AttentionLowering::cudnn;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--attention cudnn: expected --precision"));
  config.precision = Precision::bf16;
  CHECK_NOTHROW(validate(config));
  CHECK(run_config_from_json(to_json(config)) == config);
  config.attention_dropout = 0.1;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--attention cudnn: expected --attention-"));
  config = default_run("mlp");
  config.optimizer.clip_norm = -1;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("--clip"));
}

TEST_CASE("inference, evaluation and attention dropout round-trip, and stay out of other JSON") {
  RunConfig config = default_run("gpt2-tiny");
  for (const char* key : {"phase", "prompt", "generate", "eval_every", "attention_dropout"}) {
    CHECK(to_json(config).find(key) == std::string::npos);
  }
  config.eval_every = 3;
  config.attention_dropout = 0.125;
  CHECK(run_config_from_json(to_json(config)) == config);
  CHECK(title(config).find("eval every 3 steps") != std::string::npos);
  config = default_run("gpt2-tiny");
  set_inference(config, 40, 24);
  CHECK(config.sequence == 64);
  CHECK(run_config_from_json(to_json(config)) == config);
  CHECK(title(config) == "gpt2-tiny, batch 8, inference, prompt 40 + 24 generated, f32");
}

TEST_CASE("inference of what has no cache, or no room in it, is refused") {
  RunConfig config = default_run("gpt2-tiny");
  set_inference(config, 40, 25);
  CHECK_THROWS_AS(validate(config), InputError);
  CHECK_THROWS_AS(set_inference(config, 0, 1), InputError);
  CHECK_THROWS_AS(set_inference(config, 1, 0), InputError);
  set_inference(config, 40, 24);
  CHECK_NOTHROW(validate(config));
  config.sequence = 65;
  CHECK_THROWS_AS(validate(config), InputError);
  config.sequence = 64;
  config.eval_every = 1;
  CHECK_THROWS_AS(validate(config), InputError);
  RunConfig mlp = default_run("mlp-tiny");
  set_inference(mlp, 1, 1);
  CHECK_THROWS_AS(validate(mlp), InputError);
  mlp = default_run("mlp-tiny");
  mlp.attention_dropout = 0.5;
  CHECK_THROWS_AS(validate(mlp), InputError);
}
