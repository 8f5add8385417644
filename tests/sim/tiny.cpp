#include "tests/sim/tiny.h"

#include <algorithm>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>

#include "sim/graph.h"
#include "sim/plan.h"
#include "sim/program_builder.h"
#include "traces/error.h"

namespace tidemark {
namespace {

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, by);) parts.push_back(part);
  return parts;
}

/// One word of a drawing.
struct Word {
  std::string name, op;
  std::vector<std::string> inputs;
  std::int64_t duration_us = 10;
};

Word parse(std::string text) {
  Word word;
  if (const auto at = text.find('@'); at != std::string::npos) {
    word.duration_us = std::stoll(text.substr(at + 1));
    text.resize(at);
  }
  if (const auto is = text.find('='); is != std::string::npos) {
    word.name = text.substr(0, is);
    text = text.substr(is + 1);
  }
  const auto colon = text.find(':');
  word.op = text.substr(0, colon);
  if (colon != std::string::npos) word.inputs = split(text.substr(colon + 1), ',');
  return word;
}

class Drawing {
 public:
  explicit Drawing(std::int64_t value_bytes)
      : elements_(value_bytes / 4), builder_(BuilderOptions{.seed = 1}) {
    layer_ = builder_.layer("layer", "drawn");
    weight_ = builder_.parameter(layer_, "w", {1, elements_}, 0, 1);
    probe_ = builder_.parameter(layer_, "probe", {1, elements_}, 0, 0);
    builder_.at(layer_, Phase::forward);
  }

  void add(const Word& word) {
    const auto in = [&](std::size_t i) { return values_.at(word.inputs.at(i)); };
    if (word.op == "gelu_backward") builder_.at(layer_, Phase::backward);
    if (word.op == "update") builder_.at(layer_, Phase::optimizer);
    const std::string name = "op_" + (word.name.empty() ? word.op : word.name);
    if (!word.name.empty()) {
      values_[word.name] = builder_.value(word.name, Category::activation, {1, elements_});
    }
    const BufferId out = word.name.empty() ? BufferId{} : values_[word.name];
    if (word.op == "load") {
      const BufferId target = builder_.value("target", Category::input, {1}, DType::i32);
      builder_.run(OpKind::load_batch, name, {{"x", out}, {"target", target}},
                   {per_step("cursor", 0, 1)});
    } else if (word.op == "gelu") {
      builder_.run(OpKind::gelu_forward, name, {{"x", in(0)}, {"y", out}});
    } else if (word.op == "add") {
      builder_.run(OpKind::add, name, {{"a", in(0)}, {"b", in(1)}, {"y", out}});
    } else if (word.op == "scale") {
      builder_.run(OpKind::add, name, {{"a", in(0)}, {"b", weight_.weight}, {"y", out}});
    } else if (word.op == "gelu_backward") {
      builder_.run(OpKind::gelu_backward, name, {{"dy", in(0)}, {"x", in(1)}, {"dx", out}});
    } else if (word.op == "update") {
      builder_.run(OpKind::sgd_update, name, {{"w", weight_.weight}, {"dw", in(0)}},
                   {real("learning_rate", 0.1), real("weight_decay", 0)});
    } else if (word.op == "loss") {
      builder_.run(OpKind::sgd_update, name, {{"w", probe_.weight}, {"dw", in(0)}},
                   {real("learning_rate", 1), real("weight_decay", 0)});
    } else {
      throw std::invalid_argument("unknown op " + word.op);
    }
    durations_ns_.push_back(word.duration_us * 1000);
  }

  Trace finish() {
    Trace trace = builder_.finish();
    const std::size_t first = trace.ops.size() - durations_ns_.size();
    for (std::size_t i = 0; i < durations_ns_.size(); ++i) {
      trace.ops[first + i].duration_ns = durations_ns_[i];
    }
    trace.meta.level = 2;
    trace.meta.title = "drawn";
    return trace;
  }

 private:
  std::int64_t elements_;
  ProgramBuilder builder_;
  LayerId layer_;
  Parameter weight_;
  Parameter probe_;
  std::map<std::string, BufferId> values_;
  std::vector<std::int64_t> durations_ns_;
};

}  // namespace

Trace tiny(const std::string& drawing, std::int64_t value_bytes) {
  Drawing drawn(value_bytes);
  std::istringstream in(drawing);
  for (std::string word; in >> word;) drawn.add(parse(word));
  return drawn.finish();
}

std::string chain_drawing(int depth) {
  std::string text = "v0=load";
  const auto v = [](int i) { return "v" + std::to_string(i); };
  for (int i = 1; i <= depth; ++i) text += " " + v(i) + "=gelu:" + v(i - 1);
  text += " loss:" + v(depth);
  std::string gradient = v(depth);
  for (int i = depth; i > 0; --i) {
    const std::string next = "d" + std::to_string(i);
    text += " " + next + "=gelu_backward:" + gradient + "," + v(i - 1);
    gradient = next;
  }
  return text + " update:" + gradient;
}

namespace {

/// Grows a random program: `open` holds values by width.
class Growth {
 public:
  explicit Growth(std::uint64_t seed) : random_(seed), builder_(BuilderOptions{.seed = 7}) {
    layer_ = builder_.layer("layer", "random");
    for (const std::int64_t width : k_widths) {
      weights_[width] = builder_.parameter(layer_, "w" + std::to_string(width), {width}, 0.1, 0);
      probes_[width] =
          builder_.parameter(layer_, "p" + std::to_string(width), {k_rows, width}, 0, 0).weight;
      shifts_[width] = builder_.parameter(layer_, "b" + std::to_string(width), {width}, 0.1, 0);
    }
    builder_.at(layer_, Phase::forward);
    const BufferId x = value(k_widths[0]);
    const BufferId target = builder_.value("target", Category::input, {k_rows}, DType::i32);
    builder_.run(OpKind::load_batch, "load", {{"x", x}, {"target", target}},
                 {per_step("cursor", 0, 1)});
  }

  Trace grow(int ops) {
    for (int i = 0; i < ops / 2; ++i) forward();
    builder_.at(layer_, Phase::backward);
    const BufferId seen = pick();
    builder_.run(OpKind::sgd_update, "loss", {{"w", probes_[width_[seen]]}, {"dw", seen}},
                 {real("learning_rate", 1), real("weight_decay", 0)});
    for (int i = 0; i < ops / 2; ++i) backward();
    for (const std::int64_t width : k_widths) update(width);
    Trace trace = builder_.finish();
    for (Op& op : trace.ops) op.duration_ns = 1000 + static_cast<std::int64_t>(random_() % 50000);
    trace.meta.level = 2;
    trace.meta.title = "random";
    return trace;
  }

 private:
  static constexpr std::int64_t k_rows = 4;
  static constexpr std::int64_t k_widths[] = {32, 64, 160};

  std::size_t below(std::size_t count) { return static_cast<std::size_t>(random_()) % count; }
  std::string fresh(const char* stem) { return stem + std::to_string(count_++); }

  BufferId value(std::int64_t width) {
    const BufferId id = builder_.value(fresh("v"), Category::activation, {k_rows, width});
    open_.push_back(id);
    width_[id] = width;
    return id;
  }

  /// Mostly recent values, sometimes any.
  BufferId pick() {
    const std::size_t window =
        below(3) == 0 ? open_.size() : std::min<std::size_t>(open_.size(), 4);
    return open_[open_.size() - 1 - below(window)];
  }

  BufferId pick(std::int64_t width) {
    for (int i = 0; i < 20; ++i) {
      if (const BufferId id = pick(); width_[id] == width) return id;
    }
    return {};
  }

  void forward() {
    const BufferId x = pick();
    const std::int64_t width = width_[x];
    switch (below(4)) {
      case 0: {
        const BufferId y = value(k_widths[below(3)]);
        const Parameter w = builder_.parameter(layer_, fresh("m"), {width_[y], width}, 0.1, 0);
        builder_.at(layer_, Phase::forward);
        builder_.run(OpKind::linear_forward, fresh("linear"),
                     {{"x", x}, {"w", w.weight}, {"y", y}});
        break;
      }
      case 1: {
        const BufferId y = value(width);
        const BufferId mean = builder_.value(fresh("mean"), Category::activation, {k_rows});
        const BufferId deviation = builder_.value(fresh("inv"), Category::activation, {k_rows});
        builder_.run(OpKind::layer_norm_forward, fresh("norm"),
                     {{"x", x},
                      {"w", weights_[width].weight},
                      {"b", shifts_[width].weight},
                      {"y", y},
                      {"mean", mean},
                      {"inverse_deviation", deviation}},
                     {real("epsilon", 1e-5)});
        norms_.push_back({x, mean, deviation});
        break;
      }
      case 2: {
        const BufferId other = pick(width);
        if (!other.valid()) break;
        builder_.run(OpKind::add, fresh("add"), {{"a", x}, {"b", other}, {"y", value(width)}});
        break;
      }
      default:
        builder_.run(OpKind::gelu_forward, fresh("gelu"), {{"x", x}, {"y", value(width)}});
    }
  }

  void backward() {
    const BufferId dy = pick();
    const std::int64_t width = width_[dy];
    if (below(12) == 0) return update(width);
    if (!norms_.empty() && below(2) == 0) {
      const Norm norm = norms_[below(norms_.size())];
      const BufferId gradient = pick(width_[norm.x]);
      if (!gradient.valid()) return;
      const Parameter& w = weights_[width_[norm.x]];
      const Parameter& b = shifts_[width_[norm.x]];
      written_.insert({width_[norm.x], true});
      builder_.run(OpKind::layer_norm_backward, fresh("norm_backward"),
                   {{"dy", gradient},
                    {"x", norm.x},
                    {"w", w.weight},
                    {"mean", norm.mean},
                    {"inverse_deviation", norm.deviation},
                    {"dx", value(width_[norm.x])},
                    {"dw", w.gradient},
                    {"db", b.gradient}});
      return;
    }
    const BufferId x = pick(width);
    if (!x.valid()) return;
    builder_.run(OpKind::gelu_backward, fresh("gelu_backward"),
                 {{"dy", dy}, {"x", x}, {"dx", value(width)}});
  }

  void update(std::int64_t width) {
    if (!written_.contains(width)) return;
    builder_.at(layer_, Phase::optimizer);
    builder_.run(OpKind::sgd_update, fresh("update"),
                 {{"w", weights_[width].weight}, {"dw", weights_[width].gradient}},
                 {real("learning_rate", 0.1), real("weight_decay", 0)});
    builder_.at(layer_, Phase::backward);
  }

  struct Norm {
    BufferId x, mean, deviation;
  };

  std::mt19937_64 random_;
  ProgramBuilder builder_;
  LayerId layer_;
  std::map<std::int64_t, Parameter> weights_;
  std::map<std::int64_t, Parameter> shifts_;
  std::map<std::int64_t, BufferId> probes_;
  std::map<std::int64_t, bool> written_;
  std::map<BufferId, std::int64_t> width_;
  std::vector<BufferId> open_;
  std::vector<Norm> norms_;
  int count_ = 0;
};

template <class Rows>
std::size_t row_named(const Rows& rows, const std::string& name) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].name == name) return row;
  }
  throw std::invalid_argument("no row named " + name);
}

bool applies(const Trace& source, const std::vector<Decision>& decisions) {
  try {
    static_cast<void>(apply_plan(source, decisions));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

}  // namespace

Trace random_program(std::uint64_t seed, int ops) {
  return Growth(seed).grow(ops);
}

BufferId buffer_named(const Trace& trace, const std::string& name) {
  return BufferId{row_named(trace.buffers, name)};
}

OpId op_named(const Trace& trace, const std::string& name) {
  return OpId{row_named(trace.ops, name)};
}

std::vector<Decision> random_plan(const Trace& source, std::uint64_t seed, int most) {
  std::mt19937_64 random(seed);
  const Dataflow flow = dataflow_of(source);
  std::vector<Decision> plan;
  for (int i = 0; i < most; ++i) {
    Decision d;
    d.kind = random() % 3 == 0 ? DecisionKind::offload : DecisionKind::recompute;
    d.until = flow.body[random() % flow.body.size()].op;
    const auto& reads = flow.body[static_cast<std::size_t>(flow.position[d.until.index()])].reads;
    if (reads.empty()) continue;
    d.buffer = reads[random() % reads.size()];
    // Now and then an ancestor, so that what is made again is made of what is made again.
    while (random() % 3 == 0 && !flow.producer_of(d.buffer).reads.empty()) {
      const auto& inputs = flow.producer_of(d.buffer).reads;
      d.buffer = inputs[random() % inputs.size()];
    }
    plan.push_back(d);
    if (!applies(source, plan)) plan.pop_back();
  }
  return plan;
}

std::vector<std::vector<Decision>> all_recompute_plans(const Trace& source) {
  const Dataflow flow = dataflow_of(source);
  std::vector<Decision> all;
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const Value& value = flow.values[row];
    for (std::size_t at = 0; value.recomputable && at < flow.body.size(); ++at) {
      const bool later = static_cast<Position>(at) > value.producer + 1;
      if (!later || source[flow.body[at].op].phase == Phase::forward) continue;
      Decision d;
      d.buffer = BufferId{row};
      d.until = flow.body[at].op;
      all.push_back(d);
    }
  }
  if (all.size() > 16) throw std::invalid_argument("too many decisions to try them all");
  std::vector<std::vector<Decision>> plans;
  for (std::uint32_t subset = 0; subset < (1U << all.size()); ++subset) {
    std::vector<Decision> plan;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((subset >> i & 1U) != 0) plan.push_back(all[i]);
    }
    if (applies(source, plan)) plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace tidemark
