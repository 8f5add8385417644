// `tidemark doctor`: what works on this machine, and why not.
#pragma once

#include <string>
#include <vector>

#include "profiler/cupti/driver.h"

namespace tidemark {

/// One thing that the programs can or cannot do here.
struct DoctorRow {
  std::string name;  // "cuda driver"
  Capability capability;
  bool operator==(const DoctorRow&) const = default;
};

/// Looks at the machine and at the programs beside this one. Changes nothing.
[[nodiscard]] std::vector<DoctorRow> examine();

[[nodiscard]] std::string doctor_text(const std::vector<DoctorRow>& rows);
/// One object: `rows` of `name`, `works`, `why`.
[[nodiscard]] std::string doctor_json(const std::vector<DoctorRow>& rows);

/// The verb; `argv[1]` is "doctor". Throws InputError for anything else than --json. Returns 0:
/// that something does not work is the answer, not an error.
int doctor(int argc, const char* const* argv);

}  // namespace tidemark
