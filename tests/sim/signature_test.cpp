// What the planner answers for the recorded samples, as one file of numbers: every change of a peak
// or of a plan shows as a changed line of tests/golden/signature.txt, and the commit says why.
#include <xxhash.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "sim/milp.h"
#include "sim/plan.h"
#include "sim/search.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;

namespace {

constexpr std::int64_t k_nodes = 60;  // enough for every part of every method to run

std::string digest_of(const std::string& text) {
  std::ostringstream hex;
  hex << std::hex << XXH3_64bits(text.data(), text.size());
  return hex.str();
}

/// The answer of one method; "refused" when it cannot be asked (a body too large for the exact
/// one).
std::string answer(const Trace& source, std::string_view method, std::int64_t budget_bytes) {
  SearchRequest request;
  request.budget_bytes = budget_bytes;
  request.method = method;
  request.nodes = k_nodes;
  request.link_bytes_per_s = 512.0 * (1 << 20);
  SearchResult result;
  try {
    result = search(source, request);
  } catch (const InputError&) {
    return "refused";
  }
  std::ostringstream line;
  if (!result.feasible) {
    line << "none bound " << result.infeasible.bound_bytes;
    return line.str();
  }
  const Timeline timeline = replay(result.planned);
  line << timeline.peak.bytes << " bytes " << timeline.step_ns << " ns plan "
       << digest_of(print_plan(source, result.planned.decisions));
  return line.str();
}

/// Lines "SAMPLE METHOD BUDGET ANSWER", and one hash over all of them at the end.
std::string signature() {
  std::ostringstream lines;
  for (const std::string sample : {"mlp", "gpt2-tiny"}) {
    const Trace source =
        read_trace(std::string(TIDEMARK_SOURCE_DIR) + "/traces/samples/" + sample + ".tmk");
    const Timeline whole = replay(source);
    lines << sample << " recorded 100% " << whole.peak.bytes << " bytes " << whole.step_ns
          << " ns\n";
    for (const int percent : {95, 60}) {
      for (const SearchMethod& method : search_methods()) {
        lines << sample << ' ' << method.name << ' ' << percent << "% "
              << answer(source, method.name, whole.peak.bytes * percent / 100) << '\n';
      }
    }
  }
  return lines.str() + "all " + digest_of(lines.str()) + "\n";
}

}  // namespace

TEST_CASE("signature: peaks and plans of the samples are those of tests/golden/signature.txt") {
  if (!milp_available()) {
    WARN("skipped: the signature is that of a build with a solver");
    return;
  }
  const std::string path = std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/signature.txt";
  const std::string now = signature();
  if (std::getenv("TIDEMARK_WRITE_SIGNATURE") != nullptr) {
    write_file(path, now);
    return;
  }
  INFO("changed on purpose? TIDEMARK_WRITE_SIGNATURE=1 " TIDEMARK_BIN_DIR
       "/../tests/bin/unit_signature writes it anew; the commit says why");
  const std::string golden = read_file(path);
  std::istringstream expected(golden);
  std::istringstream found(now);
  std::string a;
  std::string b;
  while (std::getline(expected, a) && std::getline(found, b)) CHECK(b == a);
  CHECK(now.size() == golden.size());
}
