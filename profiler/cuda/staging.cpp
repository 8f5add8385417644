#include "profiler/cuda/staging.h"

#include <string>

#include "traces/error.h"

namespace tidemark::cuda {

Staging::~Staging() {
  for (const Piece& piece : pieces_) {
    if (piece.event != nullptr) api_.drop_event(piece.event);
    if (piece.memory != nullptr) api_.release(Memory::pinned, piece.memory);
  }
}

std::byte* Staging::next(std::size_t bytes, const std::function<void()>& rest) {
  current_ = (current_ + 1) % pieces_.size();
  Piece& piece = pieces_[current_];
  for (bool is_free = piece.event == nullptr; !is_free;) {
    check(api_.is_reached(piece.event, &is_free));
    if (!is_free) rest();
  }
  if (piece.bytes < bytes) {
    if (piece.memory != nullptr) check(api_.release(Memory::pinned, piece.memory));
    piece.memory = nullptr;
    check(api_.allocate(Memory::pinned, bytes, &piece.memory));
    piece.bytes = bytes;
  }
  return static_cast<std::byte*>(piece.memory);
}

void Staging::sent(void* stream) {
  Piece& piece = pieces_[current_];
  if (piece.event == nullptr) check(api_.make_event(&piece.event));
  check(api_.record(piece.event, stream));
}

void Staging::check(int code) const {
  if (code != 0) throw InputError(std::string("CUDA device: ") + api_.error_text(code));
}

}  // namespace tidemark::cuda
