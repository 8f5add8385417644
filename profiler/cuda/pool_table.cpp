// Of the plug-in: the calls of cudaMallocAsync's pools.
#include <cuda_runtime_api.h>

#include "profiler/cuda/pool_api.h"

namespace tidemark::cuda {
namespace {

int make_pool(std::size_t most_bytes, void** pool) {
  int device = 0;
  if (const cudaError_t code = cudaGetDevice(&device)) return code;
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  properties.maxSize = most_bytes;
  auto* const handle = reinterpret_cast<cudaMemPool_t*>(pool);
  if (const cudaError_t code = cudaMemPoolCreate(handle, &properties)) return code;
  std::uint64_t threshold = UINT64_MAX;
  return cudaMemPoolSetAttribute(*handle, cudaMemPoolAttrReleaseThreshold, &threshold);
}

int count_pool(void* pool, PoolCounts* counts) {
  const struct {
    cudaMemPoolAttr name;
    std::uint64_t* value;
  } all[] = {{cudaMemPoolAttrReservedMemCurrent, &counts->reserved_bytes},
             {cudaMemPoolAttrReservedMemHigh, &counts->most_reserved_bytes},
             {cudaMemPoolAttrUsedMemCurrent, &counts->used_bytes},
             {cudaMemPoolAttrUsedMemHigh, &counts->most_used_bytes}};
  for (const auto& one : all) {
    const cudaError_t code =
        cudaMemPoolGetAttribute(static_cast<cudaMemPool_t>(pool), one.name, one.value);
    if (code != cudaSuccess) return code;
  }
  return cudaSuccess;
}

}  // namespace

PoolApi pool_table() {
  PoolApi api;
  api.make = make_pool;
  api.allocate = [](void* pool, std::size_t bytes, void* stream, void** pointer) -> int {
    const cudaError_t code = cudaMallocFromPoolAsync(
        pointer, bytes, static_cast<cudaMemPool_t>(pool), static_cast<cudaStream_t>(stream));
    if (code == cudaErrorMemoryAllocation) cudaGetLastError();  // an answer, no failure
    return code;
  };
  api.release = [](void* pointer, void* stream) -> int {
    return cudaFreeAsync(pointer, static_cast<cudaStream_t>(stream));
  };
  api.count = count_pool;
  api.drop = [](void* pool) -> int { return cudaMemPoolDestroy(static_cast<cudaMemPool_t>(pool)); };
  api.no_room = cudaErrorMemoryAllocation;
  return api;
}

}  // namespace tidemark::cuda
