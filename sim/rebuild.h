// What a recorded run would be with another batch, optimizer, precision or device: the program is
// built again from its configuration, and measured times carry over (rule 10 of the architecture).
#pragma once

#include <optional>

#include "sim/config.h"
#include "sim/device.h"
#include "traces/trace.h"

namespace tidemark {

/// The trace without its recording: events, steps' arenas. What planning looks at, cheap to copy.
[[nodiscard]] Trace program_of(const Trace& trace);

/// META carries a configuration from which the program can be built again.
[[nodiscard]] bool can_rebuild(const Trace& trace);

/// The keep-all program of `config`, with the times of `source`: an op that has the name of an op
/// of the source (of a further micro-batch: of the first one) takes
///     time in the source x modelled time here / modelled time there
/// with both models on the device of the source, or here on `device` when one is given. Others are
/// modelled. Measured times stay measured only where nothing is scaled. Losses and digests are
/// expected again only when the configuration is that of the source.
/// `source` may be recorded, measured or planned; only its ops that are no copies count.
/// Throws InputError when the configuration is not possible.
[[nodiscard]] Trace rebuild(const Trace& source, const RunConfig& config,
                            const Device* device = nullptr);

/// The device that the times of `trace` are modelled on: that of META, else one CPU core.
[[nodiscard]] const Device& modelled_device_of(const Trace& trace);

}  // namespace tidemark
