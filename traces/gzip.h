// Compressed outputs for other programs, which know gzip.
#pragma once

#include <string>

namespace tidemark {

/// `content` as one gzip member (RFC 1952) without name and time, so that the same content gives
/// the same bytes. read_file() decompresses.
[[nodiscard]] std::string gzip(const std::string& content);

}  // namespace tidemark
