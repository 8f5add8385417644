// Messages of Protocol Buffers, written by hand: the few forms that an export needs.
// Source: protobuf.dev, "Encoding".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark {

/// Fields of one message, in the order of the calls; `field` is the number in the .proto file.
class ProtobufMessage {
 public:
  /// uint32, uint64, int64, enum, bool.
  ProtobufMessage& varint(std::uint32_t field, std::uint64_t value) {
    tag(field, 0);
    raw_varint(value);
    return *this;
  }
  ProtobufMessage& fixed64(std::uint32_t field, std::uint64_t value) {
    tag(field, 1);
    for (int i = 0; i < 8; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xFF);
    return *this;
  }
  /// string, bytes, or an embedded message.
  ProtobufMessage& text(std::uint32_t field, std::string_view value) {
    tag(field, 2);
    raw_varint(value.size());
    bytes_ += value;
    return *this;
  }
  ProtobufMessage& message(std::uint32_t field, const ProtobufMessage& value) {
    return text(field, value.bytes_);
  }

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void tag(std::uint32_t field, std::uint32_t wire_type) { raw_varint(field << 3 | wire_type); }
  void raw_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace tidemark
