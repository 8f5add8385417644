// What `tidemark plan` says about the answer of a search, as text and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "sim/search.h"

namespace tidemark {

/// What was asked.
struct PlanQuestion {
  const Trace& source;
  const SearchRequest& request;
  std::string file;         // of the source
  std::string link_source;  // of request.link_bytes_per_s, in words
};

[[nodiscard]] nlohmann::ordered_json result_json(const SearchResult& result,
                                                 const SearchRequest& request);
/// The op and the buffers that set the planned peak.
[[nodiscard]] nlohmann::ordered_json peak_json(const Trace& planned);

void print_found(const Trace& planned, const PlanQuestion& asked);
/// Why there is no plan, and what to do next.
void print_not_found(const SearchResult& result, const PlanQuestion& asked);

/// " --data FILE" when the recording named its data: the planned run needs the same. The recorded
/// command is words with spaces between them, so that a name ends where the next option begins.
[[nodiscard]] std::string data_argument(const Trace& source);

}  // namespace tidemark
