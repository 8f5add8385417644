// The small report that several tests share.
#pragma once

#include <string>

#include "sim/report_spec.h"
#include "traces/file.h"

namespace tidemark::test {

inline const std::string k_report_folder = TIDEMARK_SOURCE_DIR "/tests/golden/";

inline DeviceTable report_devices() {
  return device_table(k_report_folder + "descriptions/devices.yaml");
}

inline std::string small_text() {
  return read_file(k_report_folder + "reports/small.yaml");
}

inline ReportSpec spec_of(const std::string& text) {
  return read_report_spec(text, k_report_folder + "reports/small.yaml", report_devices());
}

/// `text` with its first `from` replaced.
inline std::string edited(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("not in the text: " + from);
  return text.replace(at, from.size(), to);
}

}  // namespace tidemark::test
