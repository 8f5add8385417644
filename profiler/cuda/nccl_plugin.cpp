// libtidemark-nccl.so: the only part that links NCCL.
#include <nccl.h>

#include <cstring>

#include "profiler/cuda/nccl_api.h"

namespace tidemark::cuda {
namespace {

static_assert(sizeof(ncclUniqueId) == k_nccl_id_bytes);

ncclComm_t comm_of(void* communicator) {
  return static_cast<ncclComm_t>(communicator);
}
cudaStream_t stream_of(void* stream) {
  return static_cast<cudaStream_t>(stream);
}
ncclDataType_t type_of(Number number) {
  return number == Number::f32 ? ncclFloat32 : number == Number::f64 ? ncclFloat64 : ncclInt8;
}

int make_id(void* id) {
  ncclUniqueId made{};
  const ncclResult_t code = ncclGetUniqueId(&made);
  std::memcpy(id, &made, sizeof made);
  return code;
}

int join(const void* id, int rank, int ranks, void** communicator) {
  ncclUniqueId known{};
  std::memcpy(&known, id, sizeof known);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return ncclCommInitRankConfig(reinterpret_cast<ncclComm_t*>(communicator), ranks, known, rank,
                                &config);
}

int state(void* communicator, int* code) {
  ncclResult_t now = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(comm_of(communicator), &now);
  *code = now;
  return asked;
}

int all_reduce(void* x, std::size_t elements, Number number, void* communicator, void* stream) {
  return ncclAllReduce(x, x, elements, type_of(number), ncclSum, comm_of(communicator),
                       stream_of(stream));
}

int reduce_scatter(const void* x, void* y, std::size_t elements, Number number, void* communicator,
                   void* stream) {
  return ncclReduceScatter(x, y, elements, type_of(number), ncclSum, comm_of(communicator),
                           stream_of(stream));
}

int all_gather(const void* x, void* y, std::size_t elements, Number number, void* communicator,
               void* stream) {
  return ncclAllGather(x, y, elements, type_of(number), comm_of(communicator), stream_of(stream));
}

int send(const void* x, std::size_t bytes, int peer, void* communicator, void* stream) {
  return ncclSend(x, bytes, ncclInt8, peer, comm_of(communicator), stream_of(stream));
}

int receive(void* y, std::size_t bytes, int peer, void* communicator, void* stream) {
  return ncclRecv(y, bytes, ncclInt8, peer, comm_of(communicator), stream_of(stream));
}

NcclApi make_table() {
  NcclApi api;
  api.version = k_nccl_plugin_version;
  api.in_progress = ncclInProgress;
  api.error_text = [](int code) { return ncclGetErrorString(static_cast<ncclResult_t>(code)); };
  api.last_error = [](void* communicator) { return ncclGetLastError(comm_of(communicator)); };
  api.library_version = [](int* version) -> int { return ncclGetVersion(version); };
  api.make_id = make_id;
  api.join = join;
  api.state = state;
  api.all_reduce = all_reduce;
  api.reduce_scatter = reduce_scatter;
  api.all_gather = all_gather;
  api.send = send;
  api.receive = receive;
  api.group_begin = []() -> int { return ncclGroupStart(); };
  api.group_end = []() -> int { return ncclGroupEnd(); };
  api.finish = [](void* communicator) -> int { return ncclCommFinalize(comm_of(communicator)); };
  api.leave = [](void* communicator) -> int { return ncclCommDestroy(comm_of(communicator)); };
  api.abort = [](void* communicator) -> int { return ncclCommAbort(comm_of(communicator)); };
  return api;
}

}  // namespace
}  // namespace tidemark::cuda

extern "C" __attribute__((visibility("default"))) const tidemark::cuda::NcclApi*
tidemark_nccl_plugin() {
  static const tidemark::cuda::NcclApi api = tidemark::cuda::make_table();
  return &api;
}
