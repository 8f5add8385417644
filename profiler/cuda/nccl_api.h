// What libtidemark-nccl.so gives to the trainer: one table of functions, so that nothing else links
// NCCL and a test can put its own in. Each function is the one of NCCL that its comment names; the
// communicators do not block: what is not done yet says `in_progress`, and `state` says when it is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemark::cuda {

inline constexpr int k_nccl_plugin_version = 1;
inline constexpr std::size_t k_nccl_id_bytes = 128;

/// Of what is sent; bytes are not added up.
enum class Number : std::int32_t { f32, f64, bytes };

/// Functions return 0 or a code for error_text. Each rank calls from a thread of its own, which has
/// opened the device of the rank.
struct NcclApi {
  int version = 0;
  int in_progress = 0;
  const char* (*error_text)(int code) = nullptr;
  /// What NCCL has to say of its last error, for people; may be null or empty.
  const char* (*last_error)(void* communicator) = nullptr;
  int (*library_version)(int* version) = nullptr;  // ncclGetVersion: 22809 is 2.28.9
  /// Writes k_nccl_id_bytes: what the ranks that are to meet are told by one of them.
  int (*make_id)(void* id) = nullptr;  // ncclGetUniqueId
  int (*join)(const void* id, int rank, int ranks, void** communicator) = nullptr;
  int (*state)(void* communicator, int* code) = nullptr;  // ncclCommGetAsyncError
  int (*all_reduce)(void* x, std::size_t elements, Number number, void* communicator,
                    void* stream) = nullptr;
  /// `elements` of a part: of y here, of x in the next.
  int (*reduce_scatter)(const void* x, void* y, std::size_t elements, Number number,
                        void* communicator, void* stream) = nullptr;
  int (*all_gather)(const void* x, void* y, std::size_t elements, Number number, void* communicator,
                    void* stream) = nullptr;
  /// Between group_begin and group_end. `peer` is a place in the group.
  int (*send)(const void* x, std::size_t bytes, int peer, void* communicator,
              void* stream) = nullptr;
  int (*receive)(void* y, std::size_t bytes, int peer, void* communicator, void* stream) = nullptr;
  int (*group_begin)() = nullptr;
  int (*group_end)() = nullptr;
  int (*finish)(void* communicator) = nullptr;  // ncclCommFinalize; then, once it is done:
  int (*leave)(void* communicator) = nullptr;   // ncclCommDestroy
  /// Ends what is under way on the device and leaves; from any thread.
  int (*abort)(void* communicator) = nullptr;  // ncclCommAbort
};

/// Name of the function that the plug-in exports: const NcclApi* ().
inline constexpr const char* k_nccl_entry = "tidemark_nccl_plugin";

}  // namespace tidemark::cuda
