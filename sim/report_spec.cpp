#include "sim/report_spec.h"

#include <algorithm>
#include <filesystem>

#include "sim/section.h"
#include "sim/strategy_text.h"
#include "sim/version.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_most_ranks = std::int64_t{1} << 20;

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// All that decides rows.
std::string site_text(const Site& site) {
  const Device& d = site.device;
  std::string out = fmt::format("{} {} {} {} {} {} {} {};", d.memory_bytes, d.bf16_flops_per_s,
                                d.memory_bytes_per_s, d.host_link_bytes_per_s, d.launch_ns,
                                d.efficiency, d.price_per_hour, site.framework);
  if (!site.cluster) return out;
  const Topology& t = site.cluster->topology;
  return out + fmt::format("{} {} {} {} {};", t.node_ranks, t.inside.latency_ns,
                           t.inside.bytes_per_ns, t.between.latency_ns, t.between.bytes_per_ns);
}

class SpecReader {
 public:
  SpecReader(const std::string& text, const std::string& file, const DeviceTable& table)
      : file_(file),
        table_(table),
        material_(text),
        source_(yaml_document(text, file)),
        root_(source_, problems_) {}

  ReportSpec read() {
    spec_.title = root_.text_or("title", "Capacity report");
    spec_.global_batch = root_.integer("global_batch");
    spec_.sequence = root_.integer_or("sequence", 0);
    if (root_.has("global_batch") && spec_.global_batch < 1) {
      root_.expected("global_batch", "a number from 1");
    }
    if (spec_.sequence < 0) root_.expected("sequence", "a number from 1");
    read_models();
    framework_ = root_.text_or("framework", "");
    if (!framework_.empty()) {
      guarded(root_.place("framework"), [&] { static_cast<void>(find_framework(framework_)); });
    }
    for (Section& f : root_.sections("devices")) read_device(f);
    for (Section& f : root_.sections("strategies")) read_strategy(f);
    require_some("devices", spec_.devices.empty());
    require_some("strategies", spec_.strategies.empty());
    for (const std::string& path : root_.unread()) {
      problems_.push_back(source_.place(path) + ": expected no field of this name");
    }
    require_none(problems_);
    for (const ReportDevice& d : spec_.devices) {
      material_ += site_text(d.site);
    }
    spec_.digest = fmt::format("{:016x}", hash_of(k_tool + material_));
    return std::move(spec_);
  }

 private:
  void require_some(const char* name, bool empty) {
    if (empty && !root_.has(name)) root_.expected(name, "a list");
  }

  /// Runs `read`; what it throws becomes a problem of the field.
  template <class Read>
  void guarded(const std::string& place, const Read& read) {
    try {
      read();
    } catch (const InputError& e) {
      problems_.push_back(place + ": " + e.what());
    }
  }

  [[nodiscard]] std::string beside(const std::string& name) const {
    const std::filesystem::path path(name);
    if (path.is_absolute()) return name;
    return (std::filesystem::path(file_).parent_path() / path).string();
  }

  /// A name, or a table with `file` and perhaps `name`.
  void read_models() {
    const Section::Json* list = root_.take("models");
    if (list == nullptr || !list->is_array() || list->empty()) {
      root_.expected("models", "a list of models");
      return;
    }
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string place = source_.place(fmt::format("models[{}]", i));
      if ((*list)[i].is_object()) continue;
      const NamedTransformer* named =
          (*list)[i].is_string() ? find_transformer((*list)[i].get<std::string>()) : nullptr;
      if (named != nullptr) {
        spec_.models.push_back(*named);
      } else {
        problems_.push_back(fmt::format(
            "{}: expected a name (see `tidemark models`) or a table with file, found "
            "{:.40}",
            place, (*list)[i].dump(-1, ' ', true, Section::Json::error_handler_t::replace)));
      }
    }
    for (Section& f : root_.tables("models")) {
      const std::string file = f.text("file");
      const std::string name = f.text_or("name", "");
      if (file.empty()) continue;
      guarded(f.place("file"), [&] {
        Description d = read_description(read_beside(file), file, {});
        if (!d.model) throw InputError("expected a description with a model, found none in it");
        if (!name.empty()) d.model->model.name = name;
        spec_.models.push_back(*d.model);
        note(d);
      });
    }
  }

  void note(const Description& d) {
    for (const std::string& line : d.assumptions) add_once(line);
    if (!d.ignored.empty()) {
      add_once(fmt::format("{}: not read: {}", d.file, fmt::join(d.ignored, ", ")));
    }
  }

  void add_once(const std::string& line) {
    auto& lines = spec_.assumptions;
    if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
  }

  void read_device(Section& f) {
    ReportDevice d;
    const std::string name = f.text("device");
    if (!name.empty()) {
      guarded(f.place("device"), [&] { d.site.device = table_.device(name); });
    }
    const std::string node = f.text_or("node", "");
    guarded(f.place("node"), [&] { d.site.cluster = node_of(table_, name, node); });
    d.site.framework = framework_;
    double& price = d.site.device.price_per_hour;
    price = f.real_or("price_per_hour", price);
    if (price < 0) f.expected("price_per_hour", "a number from 0");
    const Section::Json* ranks = f.take("ranks");
    const Section::Json list = ranks == nullptr    ? Section::Json::array()
                               : ranks->is_array() ? *ranks
                                                   : Section::Json::array({*ranks});
    if (list.empty()) f.expected("ranks", "a number of devices, or a list of such");
    for (const Section::Json& each : list) {
      const bool whole = each.is_number_integer() && each >= 1 && each <= k_most_ranks;
      if (whole) {
        d.ranks = each.get<std::int64_t>();
        spec_.devices.push_back(d);
      } else {
        f.expected("ranks", fmt::format("numbers from 1 to {}", k_most_ranks));
      }
    }
  }

  Kernels kernels_of(Section& f) {
    Kernels k;
    k.attention = f.one_of("attention", k.attention);
    k.fused_gate = f.flag_or("fused_gate", k.fused_gate);
    k.dropout = f.flag_or("dropout", k.dropout);
    k.f8_products = f.flag_or("f8_products", k.f8_products);
    k.loss = f.one_of("loss", k.loss);
    return k;
  }

  /// Lines of `read(problems)` with the place of the field.
  template <class Read>
  auto words(Section& f, const char* name, const Read& read) {
    std::vector<std::string> lines;
    auto value = read(lines);
    for (const std::string& line : lines) problems_.push_back(f.place(name) + ": " + line);
    return value;
  }

  StateRecipe recipe_of(const std::string& place, const std::string& name) {
    StateRecipe recipe;
    guarded(place, [&] { recipe = find_recipe(name); });
    return recipe;
  }

  void read_strategy(Section& f) {
    ReportStrategy out;
    if (f.has("search")) {
      Section search = f.section("search");
      out.name = f.text_or("name", "search");
      out.what = read_search(search);
    } else if (f.has("file")) {
      FixedStrategy fixed;
      fixed.file = f.text("file");
      out.name = f.text_or("name", fixed.file);
      guarded(f.place("file"), [&] {
        fixed.text = read_beside(fixed.file);
        const Description d = read_description(*fixed.text, fixed.file, {});
        if (!d.strategy) throw InputError("expected a description with a strategy, found none");
        note(d);
        add_once(fixed.file + ": as many micro-batches as global_batch of the report asks for");
      });
      out.what = fixed;
    } else {
      out.name = f.text("name");
      out.what = FixedStrategy{.strategy = read_fixed(f), .text = std::nullopt, .file = {}};
    }
    const auto same = [&out](const ReportStrategy& s) { return s.name == out.name; };
    if (std::any_of(spec_.strategies.begin(), spec_.strategies.end(), same)) {
      f.expected("name", "each name once");
    }
    spec_.strategies.push_back(std::move(out));
  }

  Strategy read_fixed(Section& f) {
    Strategy s;
    const std::string layout = f.text_or("layout", "");
    s.layout = words(f, "layout", [&](auto& lines) { return layout_from_text(layout, lines); });
    if (("," + layout).find(",dp=") == std::string::npos) s.layout.data = 0;
    const std::string recompute = f.text_or("recompute", "");
    s.recompute =
        words(f, "recompute", [&](auto& lines) { return recompute_from_text(recompute, lines); });
    s.recipe = recipe_of(f.place("recipe"), f.text_or("recipe", "zero1"));
    s.kernels = kernels_of(f);
    s.kept_on_host = f.flag_or("kept_on_host", false);
    s.schedule = f.one_of("schedule", s.layout.virtual_stages > 1 ? PipelineSchedule::interleaved
                                                                  : PipelineSchedule::one_f_one_b);
    s.batch.micro_batch = f.integer_or("micro_batch", 1);
    if (s.batch.micro_batch < 1 || s.batch.micro_batch > k_most_ranks) {
      f.expected("micro_batch", "a number from 1");
    }
    if (const Section::Json* list = f.take("stage_layers")) {
      for (const Section::Json& n : *list) {
        if (n.is_number_integer()) s.stage_layers.push_back(n.get<std::int64_t>());
      }
      if (s.stage_layers.size() != list->size()) f.expected("stage_layers", "a list of integers");
    }
    return s;
  }

  SearchSpace read_search(Section& f) {
    SearchSpace space;
    space.kernels = kernels_of(f);
    space.recomputes.clear();
    const auto texts = [&f](const char* name, std::vector<std::string> otherwise) {
      const Section::Json* list = f.take(name);
      if (list == nullptr) return otherwise;
      otherwise.clear();
      for (const Section::Json& each : *list) {
        if (each.is_string()) otherwise.push_back(each.get<std::string>());
      }
      if (!list->is_array() || otherwise.size() != list->size() || otherwise.empty()) {
        f.expected(name, "a list of names");
      }
      return otherwise;
    };
    for (const std::string& name : texts("recipes", {"zero1", "zero3"})) {
      space.recipes.push_back(recipe_of(f.place("recipes"), name));
    }
    for (const std::string& name : texts("recomputes", {"none", "attention_core", "full"})) {
      space.recomputes.push_back(
          words(f, "recomputes", [&](auto& lines) { return recompute_from_text(name, lines); }));
    }
    const auto most = [&f](const char* name, std::int64_t otherwise) {
      const Section::Json* json = f.take(name);
      if (json == nullptr) return otherwise;
      if (json->is_number_integer() && *json >= 1 && *json <= 1024) {
        return json->get<std::int64_t>();
      }
      f.expected(name, "a number from 1 to 1024");
      return otherwise;
    };
    space.most_tensor = most("most_tensor", 8);
    space.most_context = most("most_context", 1);
    space.most_virtual_stages = most("most_virtual_stages", 1);
    return space;
  }

  /// Keeps what was read for the digest.
  std::string read_beside(const std::string& name) {
    std::string text = read_file(beside(name));
    material_ += text;
    return text;
  }

  const std::string& file_;
  const DeviceTable& table_;
  std::string material_;  // all that decides the rows
  std::string framework_;
  std::vector<std::string> problems_;
  Document source_;
  Section root_;
  ReportSpec spec_;
};

}  // namespace

ReportSpec read_report_spec(const std::string& text, const std::string& file,
                            const DeviceTable& table) {
  return SpecReader(text, file, table).read();
}

Strategy strategy_for(const ReportSpec& spec, const FixedStrategy& fixed,
                      const NamedTransformer& model, std::int64_t ranks,
                      std::vector<std::string>& lines) {
  const std::int64_t sequence = spec.sequence > 0 ? spec.sequence : model.sequence;
  Strategy s = fixed.strategy;
  if (fixed.text) {
    try {
      s = *read_description(*fixed.text, fixed.file, {.ranks = ranks, .sequence = sequence})
               .strategy;
    } catch (const InputError& e) {
      lines.emplace_back(e.what());
      return s;
    }
  } else {
    Layout& l = s.layout;
    const double others = static_cast<double>(l.tensor) * static_cast<double>(l.pipeline) *
                          static_cast<double>(l.context);
    if (others < 1 || others > static_cast<double>(k_most_ranks)) {
      lines.emplace_back("layout: expected sizes from 1, of at most 2^20 ranks");
      return s;
    }
    const auto model_ranks = static_cast<std::int64_t>(others);
    if (l.data == 0 && ranks % model_ranks == 0) l.data = ranks / model_ranks;
    if (l.data < 1 || l.data > k_most_ranks || l.ranks() != ranks) {
      Layout named = l;
      named.data = std::max<std::int64_t>(l.data, 1);
      lines.push_back(fmt::format("layout: expected sizes whose product is {} ranks, found {}",
                                  ranks, layout_text(named)));
      return s;
    }
  }
  if (!fixed.text || s.batch.sequence == 0) s.batch.sequence = sequence;
  // Of files too: steps of different size are not compared.
  const std::int64_t at_once = s.layout.data * s.batch.micro_batch;
  if (at_once < 1 || spec.global_batch % at_once != 0) {
    lines.push_back(
        fmt::format("micro_batch: expected dp x micro_batch = {} to divide global_batch = {}",
                    at_once, spec.global_batch));
    return s;
  }
  s.batch.micro_batches = spec.global_batch / at_once;
  for (std::string& line : problems(model.model, s)) lines.push_back(std::move(line));
  return s;
}

SearchSpace space_for(const ReportSpec& spec, const SearchSpace& space,
                      const NamedTransformer& model, std::int64_t ranks) {
  SearchSpace out = space;
  out.ranks = ranks;
  out.global_batch = spec.global_batch;
  out.sequence = spec.sequence > 0 ? spec.sequence : model.sequence;
  return out;
}

}  // namespace tidemark
