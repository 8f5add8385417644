#include "sim/strategy_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "traces/error.h"

namespace tidemark {
namespace {

using Json = nlohmann::json;

struct LayoutWord {
  std::string_view name;
  std::int64_t Layout::*size;
};

constexpr std::array<LayoutWord, 8> k_words{{{"tp", &Layout::tensor},
                                             {"pp", &Layout::pipeline},
                                             {"vp", &Layout::virtual_stages},
                                             {"dp", &Layout::data},
                                             {"cp", &Layout::context},
                                             {"ep", &Layout::expert},
                                             {"etp", &Layout::expert_tensor},
                                             {"shard", &Layout::shard}}};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(at, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

/// Reads the fields of one file, and says all that is wrong at the end.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json) {}

  std::int64_t integer(const char* name) {
    if (has(name)) return value(name);
    problems_.push_back(fmt::format("{}: expected an integer, found nothing", name));
    return 0;
  }

  std::int64_t integer_or(std::initializer_list<const char*> names, std::int64_t otherwise) {
    for (const char* name : names) {
      if (has(name)) return value(name);
    }
    return otherwise;
  }

  bool flag_or(const char* name, bool otherwise) {
    if (!has(name)) return otherwise;
    if (json_[name].is_boolean()) return json_[name].get<bool>();
    problems_.push_back(fmt::format("{}: expected true or false, found {}", name, text(name)));
    return otherwise;
  }

  [[nodiscard]] bool has(const char* name) const {
    return json_.contains(name) && !json_[name].is_null();
  }

  void require_none(const std::string& file) const {
    if (problems_.empty()) return;
    throw InputError(fmt::format("{}: {}", file, fmt::join(problems_, "\n" + file + ": ")));
  }

 private:
  std::int64_t value(const char* name) {
    const Json& j = json_[name];
    if (j.is_number_integer() && (!j.is_number_unsigned() || j.get<std::uint64_t>() <= INT64_MAX)) {
      return j.get<std::int64_t>();
    }
    problems_.push_back(fmt::format("{}: expected an integer, found {}", name, text(name)));
    return 0;
  }

  [[nodiscard]] std::string text(const char* name) const {
    const Json& j = json_[name];
    if (j.is_structured()) return j.type_name();  // perhaps too deep to print
    return j.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40);
  }

  const Json& json_;
  std::vector<std::string> problems_;
};

const std::set<std::string>& known_types() {
  static const std::set<std::string> types{"llama",       "mistral",     "mixtral",
                                           "qwen2",       "qwen3",       "qwen3_moe",
                                           "deepseek_v2", "deepseek_v3", "gpt_oss"};
  return types;
}

std::string type_of(const Json& json, const std::string& file) {
  const std::string type =
      json.is_object() && json.contains("model_type") && json["model_type"].is_string()
          ? json["model_type"].get<std::string>()
          : "";
  if (known_types().contains(type)) return type;
  throw InputError(
      InputError::Parts{.file = file,
                        .place = "model_type",
                        .expected = fmt::format("one of {}", fmt::join(known_types(), ", ")),
                        .found = "'" + type.substr(0, 40) + "'"});
}

void read_experts(Fields& f, Transformer& m) {
  Experts& e = m.experts;
  e.count = f.integer_or({"n_routed_experts", "num_local_experts", "num_experts"}, 0);
  if (e.count == 0) return;
  e.per_token = f.integer("num_experts_per_tok");
  e.width = f.integer_or({"moe_intermediate_size"}, m.mlp);
  // Wrong files must not overflow: both factors are checked again by problems().
  const std::int64_t shared = f.integer_or({"n_shared_experts"}, 0);
  if (__builtin_mul_overflow(shared, e.width, &e.shared_width)) e.shared_width = -1;
  e.dense_layers = f.integer_or({"first_k_dense_replace"}, 0);
}

void read_latent(Fields& f, Transformer& m) {
  if (!f.has("kv_lora_rank")) return;
  m.latent.kv_rank = f.integer("kv_lora_rank");
  m.latent.query_rank = f.integer_or({"q_lora_rank"}, 0);
  m.latent.rope_size = f.integer("qk_rope_head_dim");
  m.latent.value_size = f.integer("v_head_dim");
  m.head_size = f.integer("qk_nope_head_dim");
}

}  // namespace

Layout layout_from_text(const std::string& text, std::vector<std::string>& problems) {
  Layout layout;
  std::set<std::string> seen;
  if (text.empty()) return layout;
  for (const std::string& word : split(text, ',')) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (!seen.insert(name).second) {
      problems.push_back(fmt::format("--layout {}: expected once, found again", name));
      continue;
    }
    if (word == "sp") {
      layout.sequence_parallel = true;
      continue;
    }
    const auto* known = std::find_if(k_words.begin(), k_words.end(),
                                     [&name](const LayoutWord& w) { return w.name == name; });
    if (known == k_words.end()) {
      problems.push_back(fmt::format(
          "--layout {}: expected tp, pp, vp, dp, cp, ep, etp, shard with a size, or sp", word));
      continue;
    }
    const std::string number = equals == std::string::npos ? "" : word.substr(equals + 1);
    const char* end = number.data() + number.size();
    const auto read = std::from_chars(number.data(), end, layout.*known->size);
    if (number.empty() || read.ec != std::errc{} || read.ptr != end) {
      problems.push_back(fmt::format("--layout {}: expected a number, found '{}'", name, number));
    }
  }
  return layout;
}

std::string layout_text(const Layout& layout) {
  std::vector<std::string> words;
  for (const LayoutWord& word : k_words) {
    const std::int64_t size = layout.*word.size;
    if (size != Layout{}.*word.size) words.push_back(fmt::format("{}={}", word.name, size));
  }
  if (layout.sequence_parallel) words.emplace_back("sp");
  return fmt::format("{}", fmt::join(words, ","));
}

RecomputeSet recompute_from_text(const std::string& text, std::vector<std::string>& problems) {
  RecomputeSet set;
  if (text.empty() || text == "none") return set;
  for (const std::string& word : split(text, '+')) {
    if (const auto part = parse_enum<Recompute>(word)) {
      set.add(*part);
    } else {
      problems.push_back(fmt::format("--recompute {}: expected none or {}", word,
                                     fmt::join(EnumNames<Recompute>::k_names, "+")));
    }
  }
  return set;
}

NamedTransformer transformer_from_huggingface(const std::string& text, const std::string& file) {
  const Json json = Json::parse(text, nullptr, false);
  const std::string type = type_of(json, file);
  Fields f(json);
  NamedTransformer named;
  Transformer& m = named.model;
  m.name = type;
  m.gated_mlp = true;
  m.layers = f.integer("num_hidden_layers");
  m.hidden = f.integer("hidden_size");
  m.heads = f.integer("num_attention_heads");
  m.kv_heads = f.integer_or({"num_key_value_heads"}, m.heads);
  m.head_size = f.integer_or({"head_dim"}, m.heads > 0 ? m.hidden / m.heads : 0);
  m.mlp = f.integer("intermediate_size");
  m.vocabulary = f.integer("vocab_size");
  m.tied_head = f.flag_or("tie_word_embeddings", false);
  m.biases = f.flag_or("mlp_bias", type == "gpt_oss");
  m.qkv_biases = f.flag_or("attention_bias", type == "qwen2");
  m.qk_norm = type.starts_with("qwen3");
  read_experts(f, m);
  read_latent(f, m);
  named.sequence = f.integer_or({"max_position_embeddings"}, 0);
  named.about = file;
  f.require_none(file);
  return named;
}

}  // namespace tidemark
