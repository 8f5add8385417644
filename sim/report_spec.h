// What `tidemark report` is asked: models x devices x strategies, in YAML. docs/report.md has the
// fields.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/description.h"
#include "sim/screening.h"
#include "sim/site.h"

namespace tidemark {

/// So many devices of a kind.
struct ReportDevice {
  Site site;
  std::int64_t ranks = 1;
};

/// One strategy for all models and devices; a layout without dp takes the ranks that are left.
struct FixedStrategy {
  Strategy strategy;                // layout.data 0 = what is left of the ranks
  std::optional<std::string> text;  // of a description; then `strategy` is not used
  std::string file;                 // of the description
};

struct ReportStrategy {
  std::string name;
  /// The search: its ranks, batch and sequence are set for each model and device.
  std::variant<FixedStrategy, SearchSpace> what;
};

struct ReportSpec {
  std::string title;
  std::int64_t global_batch = 0;  // sequences per step
  std::int64_t sequence = 0;      // tokens; 0 = as each model was trained
  std::vector<NamedTransformer> models;
  std::vector<ReportDevice> devices;
  std::vector<ReportStrategy> strategies;
  std::vector<std::string> assumptions;  // of the descriptions; what they ignore is among them
  std::string digest;  // of all that decides the rows: of another spec, other rows
};

/// Files that the spec names are read; relative names start at its own folder. Throws InputError
/// with a line for everything that is wrong.
[[nodiscard]] ReportSpec read_report_spec(const std::string& text, const std::string& file,
                                          const DeviceTable& table);

/// The strategy on these ranks; appends to `problems` what speaks against it.
[[nodiscard]] Strategy strategy_for(const ReportSpec& spec, const FixedStrategy& fixed,
                                    const NamedTransformer& model, std::int64_t ranks,
                                    std::vector<std::string>& problems);

/// The space of a search on these ranks.
[[nodiscard]] SearchSpace space_for(const ReportSpec& spec, const SearchSpace& space,
                                    const NamedTransformer& model, std::int64_t ranks);

}  // namespace tidemark
