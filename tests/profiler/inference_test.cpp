// Generation with a key-value cache: against the forward pass of training over the same tokens, and
// the bytes that it needs.
#include <map>

#include "sim/check.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/profiler/op_case.h"
#include "tests/profiler/open_program.h"
#include "tests/profiler/programs.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t k_prompt = 5;
constexpr std::int64_t k_generate = 7;

RunConfig training(DType dtype) {
  RunConfig config = small_gpt2(dtype);
  config.model.gpt2.positions = 40;
  config.model.gpt2.channels = 12;
  config.batch = 3;
  return config;
}

RunConfig inference(DType dtype = DType::f32) {
  RunConfig config = training(dtype);
  set_inference(config, k_prompt, k_generate);
  return config;
}

/// What one generation gave: tokens by sequence, prompt first, and the logits [B,V] that each
/// generated token was chosen by.
struct Generated {
  std::vector<std::string> tokens;
  std::vector<Numbers> logits;
};

Generated generate(const RunConfig& config, const Dataset& data) {
  OpenProgram p(build_program(config), data);
  Generated out;
  out.tokens.resize(static_cast<std::size_t>(config.batch));
  const BufferId next = buffer_named(p.trace(), "input.next");
  const auto add = [&](const Numbers& tokens, std::int64_t each) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      out.tokens[i / static_cast<std::size_t>(each)] += static_cast<char>(tokens[i]);
    }
  };
  const auto look = [&](const Op& op) {
    if (op.kind == OpKind::embedding_forward && op.name.ends_with("@prompt")) {
      add(p.load(op.operands[0].buffer), config.prompt);
    }
    if (op.kind == OpKind::most_likely) out.logits.push_back(p.load(op.operands[0].buffer));
  };
  p.run(p.program().init, 0, look);
  add(p.load(next), 1);
  for (std::int64_t step = 0; step < config.generate; ++step) {
    p.run(p.program().body, step, look);
    add(p.load(next), 1);
  }
  return out;
}

/// Logits of the last token of every sequence, by the forward pass of training.
Numbers full_forward(RunConfig config, const std::vector<std::string>& sequences) {
  config.sequence = static_cast<std::int64_t>(sequences[0].size());
  std::string text;
  for (const std::string& sequence : sequences) text += sequence;
  OpenProgram p(build_program(config), Dataset::text(text + '\0'));
  Numbers last;
  p.run(p.program().init);
  p.run(p.program().body, 0, [&](const Op& op) {
    if (op.kind != OpKind::softmax_cross_entropy_forward) return;
    const Numbers all = p.load(op.operands[0].buffer);
    const auto vocabulary = config.model.gpt2.vocabulary;
    for (std::int64_t b = 1; b <= config.batch; ++b) {
      const auto end = all.begin() + b * config.sequence * vocabulary;
      last.insert(last.end(), end - vocabulary, end);
    }
  });
  return last;
}

std::size_t largest_at(const Numbers& row, std::size_t b, std::size_t count) {
  const auto begin = row.begin() + static_cast<std::ptrdiff_t>(b * count);
  return static_cast<std::size_t>(
      std::max_element(begin, begin + static_cast<std::ptrdiff_t>(count)) - begin);
}

std::int64_t cache_bytes(const Trace& trace) {
  std::int64_t bytes = 0;
  for (const Buffer& b : trace.buffers) {
    if (b.category == Category::kv_cache) bytes += b.size_bytes;
  }
  return bytes;
}

}  // namespace

TEST_CASE("with a cache every token and its logits equal those of a full forward pass") {
  for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 1e-13}, {DType::f32, 1e-6}}) {
    for (const auto lowering : {AttentionLowering::composite, AttentionLowering::flash}) {
      const Generated g = generate(inference(dtype), small_text());
      REQUIRE(g.logits.size() == k_generate + 1);
      CHECK(g.tokens[0] != g.tokens[1]);  // the sequences have prompts of their own
      RunConfig config = training(dtype);
      config.attention = lowering;
      for (std::size_t step = 0; step < g.logits.size(); ++step) {
        CAPTURE(to_string(dtype), step);
        const std::size_t seen = k_prompt + step;
        std::vector<std::string> prefixes;
        for (const std::string& tokens : g.tokens) prefixes.push_back(tokens.substr(0, seen));
        const Numbers expected = full_forward(config, prefixes);
        CHECK(relative_error(g.logits[step], expected) < tolerance);
        for (std::size_t b = 0; b < g.tokens.size(); ++b) {
          const auto vocabulary = static_cast<std::size_t>(config.model.gpt2.vocabulary);
          CHECK(static_cast<std::size_t>(g.tokens[b].at(seen)) ==
                largest_at(expected, b, vocabulary));
        }
      }
    }
  }
}

TEST_CASE("a cache has 2 x layers x batch x tokens x channels numbers, all the run long") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const RunConfig config = inference(dtype);
    const std::int64_t formula =
        2 * 2 * config.batch * (k_prompt + k_generate) * 12 * size_bytes(dtype);
    const Dataset data = small_text();
    const Trace t = run(build_program(config), {.steps = k_generate, .data = &data});
    CHECK(cache_bytes(t) == formula);
    const auto cached = [](const Timeline& timeline) {
      return timeline.peak.by_category[static_cast<std::size_t>(Category::kv_cache)];
    };
    const std::int64_t counted = 4 * round_up(formula / 4, k_granule_bytes);
    CHECK(cached(recorded_timeline(t)) == counted);
    CHECK(cached(replay(t)) == counted);
    CHECK(recorded_timeline(t).peak.bytes == replay(t).peak.bytes);
    CHECK(recorded_timeline(t).run_peak.bytes == replay(t).run_peak.bytes);
    CHECK(t.steps.size() == k_generate);
    CHECK_FALSE(t.steps[0].has_loss);
  }
}

TEST_CASE("built-in models: the cache bytes of a dry run equal the formula, nothing is trained") {
  for (const char* name : {"gpt2-tiny", "gpt-baby", "gpt2-124M", "gpt2-1558M"}) {
    RunConfig config = default_run(name);
    const Gpt2Config& g = config.model.gpt2;
    set_inference(config, g.positions / 2, 8);
    const Trace program = build_program(config);
    CAPTURE(name);
    CHECK(check(program).empty());
    CHECK(cache_bytes(program) == 2 * g.layers * config.batch * config.sequence * g.channels * 4);
    const Trace dry =
        run(program, {.backend = BackendKind::dry, .steps = 8, .device = "h200-141g"});
    const Timeline timeline = recorded_timeline(dry);
    CHECK(timeline.peak.bytes < timeline.run_peak.bytes);  // the prompt is many tokens, a step one
    for (const Buffer& b : program.buffers) {
      CHECK(b.category != Category::gradient);
      CHECK(b.category != Category::optimizer_state);
    }
  }
}

TEST_CASE("a run hands out the tokens that it chose, by sequence, a dry run has none") {
  const RunConfig config = inference();
  const Dataset data = small_text();
  const Generated expected = generate(config, data);
  const RunResult result = execute(build_program(config), {.steps = k_generate, .data = &data});
  REQUIRE(result.tokens.size() == static_cast<std::size_t>(config.batch));
  for (std::size_t i = 0; i < result.tokens.size(); ++i) {
    const std::string text(result.tokens[i].begin(), result.tokens[i].end());
    CHECK(text == expected.tokens[i].substr(k_prompt));
  }
  CHECK(execute(build_program(config), {.backend = BackendKind::dry, .steps = 2}).tokens.empty());
}

TEST_CASE("inference: dry and cpu make the same allocations, and memory and place do not matter") {
  const RunConfig config = inference();
  Trace program = build_program(config);
  const Dataset data = small_text();
  const Trace caching = run(program, {.steps = k_generate, .data = &data, .poison = true});
  const std::int64_t height = place_first_fit(program);
  const RunOptions options{.steps = k_generate, .device_memory_bytes = height, .data = &data};
  const Trace cpu = run(program, options);
  const Trace dry = run(program, {.backend = BackendKind::dry, .steps = k_generate});
  CHECK(memory_events(cpu) == memory_events(dry));
  CHECK(cpu.digests == caching.digests);
  CHECK(cpu.arenas.at(0).high_water_bytes == height);
  const auto digested = [&](Category category) {
    return std::any_of(cpu.digests.begin(), cpu.digests.end(),
                       [&](const Digest& d) { return cpu[d.buffer].category == category; });
  };
  CHECK(digested(Category::kv_cache));
}

TEST_CASE("inference runs out of memory for real when the prompt does not fit") {
  Trace program = build_program(inference());
  const Dataset data = small_text();
  const std::int64_t height = place_first_fit(program);
  const RunResult result =
      execute(program, {.steps = 1, .device_memory_bytes = height - 256, .data = &data});
  REQUIRE(result.shortage.has_value());
  CHECK(result.shortage->capacity_bytes == height - 256);
  CHECK(result.trace.events.back().kind == EventKind::out_of_memory);
}

TEST_CASE("a step more than the cache has room for is refused before anything runs") {
  const Trace program = build_program(inference());
  const Dataset data = small_text();
  for (const BackendKind backend : {BackendKind::cpu, BackendKind::dry}) {
    CHECK_NOTHROW(run(program, {.backend = backend, .steps = k_generate, .data = &data}));
    CHECK_THROWS_AS(run(program, {.backend = backend, .steps = k_generate + 1, .data = &data}),
                    InputError);
  }
}

TEST_CASE("a seed gives inference the weights that it gives training") {
  const Dataset data = small_text();
  RunConfig config = training(DType::f32);
  config.optimizer.learning_rate = 1e-300;  // changes no bit
  config.optimizer.kind = Optimizer::sgd;
  const auto weights = [](const Trace& t) {
    std::map<std::string, std::int64_t> out;
    for (const Digest& d : t.digests) {
      if (d.step == 0 && t[d.buffer].category == Category::weight) out[t[d.buffer].name] = d.hash;
    }
    return out;
  };
  const auto trained = weights(run(build_program(config), {.steps = 1, .data = &data}));
  CHECK(trained.size() == 28);
  CHECK(trained == weights(run(build_program(inference()), {.steps = 1, .data = &data})));
}
