// The trainer's decoders as capacity planning sees them: parameter for parameter those of the
// program.
#include "sim/trained_transformer.h"

#include "../catch.h"
#include "sim/builder.h"

using namespace tidemark;

TEST_CASE("trained transformer: as many parameters as the program of the model has") {
  int decoders = 0;
  for (const BuiltinModel& builtin : builtin_models()) {
    const RunConfig config = default_run(builtin.model.name);
    CAPTURE(builtin.model.name);
    const std::optional<NamedTransformer> seen = trained_transformer(config);
    CHECK(seen.has_value() == config.model.is_decoder());
    if (!seen) continue;
    ++decoders;
    CHECK(seen->model.name == builtin.model.name);
    CHECK(seen->sequence == builtin.sequence);
    const Trace trace = build_program(config);
    std::int64_t elements = 0;
    for (const Buffer& b : trace.buffers) {
      if (b.category == Category::weight) elements += b.size_bytes / 4;
    }
    CHECK(parameter_count(seen->model) == elements);
  }
  CHECK(decoders >= 3);
}
