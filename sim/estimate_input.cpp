#include "sim/estimate_input.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "sim/description.h"
#include "sim/strategy_text.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

Description read_strategy_file(const std::string& file, const StrategyOptions& o,
                               std::int64_t sequence) {
  const DescriptionContext context{.ranks = o.ranks,
                                   .sequence = o.sequence > 0 ? o.sequence : sequence};
  return read_description(read_file(file), file, context);
}

void note(const Description& d, std::vector<std::string>& notes) {
  notes.insert(notes.end(), d.assumptions.begin(), d.assumptions.end());
  if (d.ignored.empty()) return;
  notes.push_back(fmt::format("{}: not read: {}", d.file, fmt::join(d.ignored, ", ")));
}

/// What is no number or name of a device but changes what a file says.
void require_no_words(const StrategyOptions& o, const std::string& file,
                      std::vector<std::string>& lines) {
  for (const auto& [name, word] : {std::pair{"--layout", o.layout},
                                   {"--recipe", o.recipe},
                                   {"--recompute", o.recompute},
                                   {"--schedule", o.schedule}}) {
    if (word.empty()) continue;
    lines.push_back(fmt::format("{}: expected none beside {}, found '{}'", name, file, word));
  }
}

void take_batch(const StrategyOptions& o, Strategy& s, std::vector<std::string>& lines) {
  Batch& b = s.batch;
  const std::int64_t data = std::max<std::int64_t>(1, s.layout.data);
  const std::int64_t total = o.batch > 0 ? o.batch : b.micro_batch * b.micro_batches * data;
  if (o.micro_batch > 0) b.micro_batch = o.micro_batch;
  const std::int64_t at_once = data * b.micro_batch;
  b.micro_batches = std::max<std::int64_t>(1, total / at_once);
  if (total % at_once == 0) return;
  lines.push_back(fmt::format("--batch: expected a multiple of dp x micro-batch = {}, found {}",
                              at_once, total));
}

/// The ranks that the layout leaves are replicas.
void take_ranks(const StrategyOptions& o, Layout& l, std::vector<std::string>& lines) {
  if (o.ranks == 0 || l.tensor < 1 || l.pipeline < 1 || l.context < 1) return;
  const bool has_data = ("," + o.layout).find(",dp=") != std::string::npos;
  const double model_ranks = static_cast<double>(l.tensor) * static_cast<double>(l.pipeline) *
                             static_cast<double>(l.context);
  if (!has_data && model_ranks <= static_cast<double>(o.ranks)) {
    const std::int64_t others = l.tensor * l.pipeline * l.context;
    if (o.ranks % others == 0) l.data = o.ranks / others;
  }
  if (model_ranks * static_cast<double>(l.data) == static_cast<double>(o.ranks)) return;
  lines.push_back(fmt::format("--layout: expected sizes whose product is {} ranks, found {}",
                              o.ranks, o.layout.empty() ? "none" : o.layout));
}

Strategy strategy_from_words(const NamedTransformer& model, const StrategyOptions& o,
                             std::vector<std::string>& lines) {
  Strategy s;
  s.layout = layout_from_text(o.layout, lines);
  take_ranks(o, s.layout, lines);
  s.recompute = recompute_from_text(o.recompute, lines);
  try {
    s.recipe = find_recipe(o.recipe.empty() ? "zero1" : o.recipe);
  } catch (const InputError& e) {
    lines.emplace_back(fmt::format("--recipe: {}", e.what()));
  }
  if (s.layout.virtual_stages > 1) s.schedule = PipelineSchedule::interleaved;
  if (const auto schedule = parse_enum<PipelineSchedule>(o.schedule)) {
    s.schedule = *schedule;
  } else if (!o.schedule.empty()) {
    lines.push_back(fmt::format("--schedule: expected one of {}, found '{}'",
                                fmt::join(EnumNames<PipelineSchedule>::k_names, ", "), o.schedule));
  }
  s.batch = {.sequence = o.sequence > 0 ? o.sequence : model.sequence,
             .micro_batches = s.layout.pipeline};
  if (o.micro_batch > 0) s.batch.micro_batch = o.micro_batch;
  if (o.batch > 0) take_batch(o, s, lines);
  return s;
}

bool is_json(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos && text[first] == '{';
}

}  // namespace

void add_strategy_options(CLI::App& verb, StrategyOptions& o) {
  verb.add_option("--layout", o.layout,
                  "of a transformer on many ranks: tp=8,pp=2,vp=1,dp=4,cp=1,ep=1,etp=1,shard=8,sp");
  verb.add_option("--recipe", o.recipe,
                  "what each parameter costs: zero1, zero3, megatron-distributed, fsdp2, ...");
  verb.add_option("--recompute", o.recompute, "full, or parts: attention_core+norms");
  verb.add_option("--schedule", o.schedule,
                  "of the pipeline: gpipe, one_f_one_b, interleaved (with vp) or zero_bubble");
  verb.add_option("--strategy", o.file,
                  "all of that from a file of DeepSpeed, Megatron-LM or torchtitan");
  verb.add_option("--ranks", o.ranks, "devices; those that the layout leaves are replicas")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 24));
  verb.add_option("--micro-batch", o.micro_batch, "sequences per rank at a time")
      ->check(CLI::PositiveNumber);
  verb.add_option("--framework", o.framework,
                  "whose measured constants time follows: megatron, megatron-deepspeed");
  verb.add_option("--rank", o.rank, "pipeline rank of --output; default the one that needs most")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--node", o.node, "what joins the devices; see `tidemark devices`");
  verb.add_option("--price", o.price, "of one device for an hour, in any currency")
      ->check(CLI::PositiveNumber);
}

bool asks_for_strategy(const StrategyOptions& o) {
  return !(o.layout + o.recipe + o.recompute + o.schedule + o.file + o.framework + o.node)
              .empty() ||
         o.ranks != 0 || o.micro_batch != 0 || o.price != 0 || o.rank >= 0;
}

DescribedModel with_strategy(NamedTransformer model, const StrategyOptions& o) {
  DescribedModel out{.model = std::move(model)};
  if (o.file.empty()) return out;
  Description d = read_strategy_file(o.file, o, out.model.sequence);
  if (!d.strategy) {
    throw InputError(InputError::Parts{
        .file = o.file, .expected = "a description with a strategy", .found = "only a model"});
  }
  out.strategy = std::move(d.strategy);
  out.file = o.file;
  note(d, out.notes);
  return out;
}

std::optional<DescribedModel> described_model(const std::string& name_or_file,
                                              const StrategyOptions& o) {
  if (const NamedTransformer* named = find_transformer(name_or_file)) {
    return with_strategy(*named, o);
  }
  if (!std::filesystem::is_regular_file(name_or_file)) return std::nullopt;
  const std::string text = read_file(name_or_file);
  if (is_json(text)) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    const bool trained = json.is_object() && json.contains("model_type")
                             ? json["model_type"] == "gpt2"
                             : json.is_object() && json.contains("family");
    if (trained || json.is_discarded()) return std::nullopt;
  }
  Description d = read_strategy_file(name_or_file, o, 0);
  if (!d.model) {
    throw InputError(InputError::Parts{
        .file = name_or_file,
        .expected = "a model, and this file beside it: tidemark estimate MODEL --strategy FILE",
        .found = fmt::format("a {} file, which has none", to_string(d.format))});
  }
  DescribedModel out = with_strategy(*d.model, o);
  note(d, out.notes);
  if (o.file.empty()) {
    out.strategy = std::move(d.strategy);
    out.file = name_or_file;
  }
  return out;
}

Strategy strategy_of(const DescribedModel& described, const StrategyOptions& o) {
  std::vector<std::string> lines;
  Strategy s;
  if (described.strategy) {
    s = *described.strategy;
    require_no_words(o, described.file, lines);
    if (o.sequence > 0) s.batch.sequence = o.sequence;
    if (s.batch.sequence == 0) s.batch.sequence = described.model.sequence;
    if (o.batch > 0 || o.micro_batch > 0) take_batch(o, s, lines);
  } else {
    s = strategy_from_words(described.model, o, lines);
  }
  for (std::string& line : problems(described.model.model, s)) lines.push_back(std::move(line));
  if (!lines.empty()) throw InputError(fmt::format("{}", fmt::join(lines, "\n")));
  return s;
}

}  // namespace tidemark
