#include "fake_plugin.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "profiler/cuda/execute_call.h"

namespace tidemark::test {
namespace {

FakePlugin* g_fake = nullptr;
std::mutex g_mutex;  // of all that several devices share
std::map<void*, std::int64_t> g_sizes;
std::int64_t g_now_ns = 0;  // of all devices; each launch and copy takes 1000 or more
thread_local int t_device = 0;

constexpr int k_no_room = 2;
constexpr int k_stuck = 997;
constexpr int k_wrong_device = 998;
constexpr int k_device_gone = 999;

struct Stream {
  int device = 0;
  bool is_late = false;
  std::deque<std::function<bool()>> tasks;
  std::int64_t queued = 0;
  std::int64_t done = 0;
};
std::vector<Stream*> g_streams;

struct Event {
  std::int64_t time_ns = 0;
  Stream* stream = nullptr;
  std::int64_t position = 0;
};

/// Works off what stands before `position`, as far as that is possible now.
bool reach(Stream& stream, std::int64_t position) {
  while (stream.done < position) {
    if (!stream.tasks.front()()) return false;
    stream.tasks.pop_front();
    ++stream.done;
  }
  return true;
}

bool is_gone(int device) {
  return g_fake->fails_at >= 0 && device == g_fake->failing_device &&
         g_fake->launches > g_fake->fails_at;
}

int code_of(const Stream& stream) {
  if (is_gone(stream.device)) return k_device_gone;
  return stream.device == t_device ? 0 : k_wrong_device;
}

/// Without one, that of whatever device the thread has opened.
Stream& stream_of(void* stream) {
  thread_local Stream nameless;
  nameless.device = t_device;
  return stream == nullptr ? nameless : *static_cast<Stream*>(stream);
}
Event& event_of(void* event) {
  return *static_cast<Event*>(event);
}

struct Host {
  template <class Body>
  int each(std::int64_t count, const Body& body) {
    for (std::int64_t i = count; i-- > 0;) body(i);  // backwards: the order must not matter
    return 0;
  }
  template <class Body>
  int teams(std::int64_t count, const Body& body) {
    typename Body::Shared shared;
    std::memset(&shared, 0xFF, sizeof shared);  // what a team has not written is not a number
    for (std::int64_t i = count; i-- > 0;) body(cuda::Team{}, shared, i);
    return 0;
  }
  double* partials() {
    thread_local double parts[cuda::k_partials];
    return parts;
  }
  bool attends(const cuda::AttentionShape&, std::int64_t room_bytes) {
    return g_fake->attends && room_bytes >= 0;
  }
  /// In f32 from what was rounded; the workspace is written to, as a library may.
  int attend(const cuda::AttentionShape& s, const cuda::AttentionOperands& o, void* workspace);
  int product(const cuda::Product& p) {
    if (p.a_sums != nullptr && !g_fake->fuses_sums) return cuda::k_sums_not_fused;
    const auto factor = [&p](const void* from, std::int64_t i) -> double {
      if (!p.is_bf16) return static_cast<const float*>(from)[i];
      return to_float(static_cast<const cuda::BFloat16*>(from)[i]);
    };
    const auto a = [&](std::int64_t i, std::int64_t k) {
      return factor(p.a, p.a_transposed ? k * p.m + i : i * p.k + k);
    };
    for (std::int64_t i = 0; i < p.m; ++i) {
      double row = 0;
      for (std::int64_t k = 0; k < p.k; ++k) row += a(i, k);
      if (p.a_sums != nullptr) p.a_sums[i] = static_cast<float>(row);
      for (std::int64_t j = 0; j < p.n; ++j) {
        double sum = p.bias == nullptr ? 0 : static_cast<double>(p.bias[j]);
        if (p.accumulates) sum += static_cast<double>(p.c[i * p.n + j]);
        for (std::int64_t k = 0; k < p.k; ++k) {
          sum += a(i, k) * factor(p.b, p.b_transposed ? j * p.k + k : k * p.n + j);
        }
        p.c[i * p.n + j] = static_cast<float>(sum);
      }
    }
    return 0;
  }
};

std::vector<float> widened(const void* from, std::int64_t count) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i) {
    out.push_back(to_float(static_cast<const cuda::BFloat16*>(from)[i]));
  }
  return out;
}

int Host::attend(const cuda::AttentionShape& s, const cuda::AttentionOperands& o, void* workspace) {
  ++g_fake->attended;
  std::memset(workspace, 0xFF, 256);
  const std::int64_t count = s.batch * s.tokens * s.channels;
  std::vector<float> qkv = widened(o.qkv, 3 * count);
  std::vector<float> y(static_cast<std::size_t>(count));
  std::vector<float> dqkv(static_cast<std::size_t>(3 * count));
  std::vector<float> dy;
  cuda::Call call;
  if (s.is_backward) {
    y = widened(o.y, count);
    dy = widened(o.dy, count);
    call.kernel = cuda::Kernel::flash_attention_backward;
    void* const pointers[] = {dy.data(), qkv.data(), y.data(), o.log_sum_exp, dqkv.data()};
    std::copy_n(pointers, 5, call.pointers);
    std::fill_n(static_cast<float*>(o.row_sums), s.batch * s.heads * s.tokens, -1.0f);
  } else {
    call.kernel = cuda::Kernel::flash_attention_forward;
    void* const pointers[] = {qkv.data(), y.data(), o.log_sum_exp};
    std::copy_n(pointers, 3, call.pointers);
  }
  const std::int64_t sizes[] = {s.batch, s.tokens, s.channels, s.heads, 0, s.tokens, 0, s.tokens};
  std::copy_n(sizes, 8, call.sizes);
  if (int code = cuda::execute_call(*this, call)) return code;
  const std::vector<float>& result = s.is_backward ? dqkv : y;
  for (std::size_t i = 0; i < result.size(); ++i) {
    store(static_cast<cuda::BFloat16*>(s.is_backward ? o.dqkv : o.y) + i, result[i]);
  }
  return 0;
}

/// The clock of the machine, which the device is never before when it begins something.
std::int64_t real_ns() {
  static const auto begin = std::chrono::steady_clock::now();
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
}

void step() {
  const std::lock_guard lock(g_mutex);
  g_now_ns += 1000;
}

std::int64_t now_ns() {
  const std::lock_guard lock(g_mutex);
  return g_now_ns = std::max(g_now_ns, real_ns());
}

/// A kernel that is not known is so at once, unless the stream is late.
int launch(const cuda::Call* call, void* stream) {
  if (t_device == g_fake->failing_device) ++g_fake->launches;
  const auto code = std::make_shared<int>(0);
  const int issued = put_into_stream(stream, [call = *call, code] {
    Host host;
    *code = cuda::execute_call(host, call);
    step();
    return true;
  });
  return issued != 0 ? issued : *code;
}

int copy(void* to, const void* from, std::size_t bytes, void* stream) {
  return put_into_stream(stream, [=] {
    std::memcpy(to, from, bytes);
    step();
    return true;
  });
}

std::vector<Stream*> streams_of(int device) {
  const std::lock_guard lock(g_mutex);
  std::vector<Stream*> out;
  for (Stream* stream : g_streams) {
    if (stream->device == device) out.push_back(stream);
  }
  return out;
}

/// The other streams of the device go on while somebody waits for one.
int synchronize(void* stream) {
  Stream& mine = stream_of(stream);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!is_gone(mine.device) && !reach(mine, mine.queued)) {
    for (Stream* other : streams_of(mine.device)) reach(*other, other->queued);
    if (std::chrono::steady_clock::now() > give_up) return k_stuck;
    std::this_thread::yield();
  }
  for (std::int64_t end = now_ns(); real_ns() < end;) continue;
  return code_of(mine);
}

int query(void* stream, bool* is_idle) {
  Stream& mine = stream_of(stream);
  if (const int code = code_of(mine); code != 0) return code;
  *is_idle = reach(mine, mine.queued);
  return *is_idle ? synchronize(stream) : 0;
}

int is_reached(void* event, bool* is_reached) {
  const Event& asked = event_of(event);
  *is_reached = asked.stream == nullptr || reach(*asked.stream, asked.position);
  return 0;
}

int allocate(cuda::Memory, std::size_t bytes, void** pointer) {
  const std::lock_guard lock(g_mutex);
  *pointer = std::calloc(bytes, 1);
  g_sizes[*pointer] = static_cast<std::int64_t>(bytes);
  g_fake->live_bytes += static_cast<std::int64_t>(bytes);
  return 0;
}

int release(cuda::Memory, void* pointer) {
  const std::lock_guard lock(g_mutex);
  g_fake->live_bytes -= g_sizes[pointer];
  g_sizes.erase(pointer);
  std::free(pointer);
  return 0;
}

int make_stream(void** stream) {
  const bool is_first = streams_of(t_device).empty();
  using Late = FakePlugin::Late;
  const Late late = g_fake->late;
  auto* const made = new Stream{.device = t_device,
                                .is_late = late == Late::all || (late == Late::first && is_first) ||
                                           (late == Late::others && !is_first)};
  const std::lock_guard lock(g_mutex);
  g_streams.push_back(made);
  ++g_fake->live_handles;
  *stream = made;
  return 0;
}

int drop_stream(void* stream) {
  const std::lock_guard lock(g_mutex);
  std::erase(g_streams, static_cast<Stream*>(stream));
  delete static_cast<Stream*>(stream);
  --g_fake->live_handles;
  return 0;
}

int record(void* event, void* stream) {
  Event& mine = event_of(event);
  mine.stream = static_cast<Stream*>(stream);
  mine.position = stream_of(stream).queued + 1;
  return put_into_stream(stream, [&mine] {
    mine.time_ns = now_ns();
    return true;
  });
}

int wait(void* stream, void* event) {
  return put_into_stream(stream, [mark = event_of(event)] {
    return mark.stream == nullptr || reach(*mark.stream, mark.position);
  });
}

int describe(int device, cuda::DeviceFacts* facts) {
  std::strcpy(facts->name, "fake device");
  facts->id = g_fake->first_id + static_cast<std::uint64_t>(device);
  return 0;
}

int open_device(int device) {
  if (device < 0 || device >= g_fake->devices) return k_wrong_device;
  t_device = device;
  g_fake->opened |= 1 << device;
  return 0;
}

const char* error_text(int code) {
  switch (code) {
    case k_device_gone:
      return "device is gone";
    case k_wrong_device:
      return "a call for another device than the thread has opened";
    case k_stuck:
      return "a stream does not come to its end";
    default:
      return "error";
  }
}

/// A pool that gives whole steps of 2 MiB and rounds to 512 bytes. What is given back is filled
/// with NaN when its stream is there, and freed.
struct Pool {
  std::int64_t most_bytes = 0;
  cuda::PoolCounts counts;
};

int take_from_pool(void* pool, std::size_t bytes, void*, void** pointer) {
  constexpr std::uint64_t k_step_bytes = std::uint64_t{2} << 20;
  Pool& mine = *static_cast<Pool*>(pool);
  const std::uint64_t size = (bytes + 511) / 512 * 512;
  cuda::PoolCounts& counts = mine.counts;
  if (counts.used_bytes + size > static_cast<std::uint64_t>(mine.most_bytes)) return k_no_room;
  counts.used_bytes += size;
  counts.most_used_bytes = std::max(counts.most_used_bytes, counts.used_bytes);
  while (counts.reserved_bytes < counts.used_bytes) counts.reserved_bytes += k_step_bytes;
  counts.most_reserved_bytes = counts.reserved_bytes;
  auto* const block = static_cast<std::byte*>(std::malloc(size + 64));
  std::memcpy(block, &pool, sizeof pool);
  std::memcpy(block + 8, &size, sizeof size);
  g_fake->live_bytes += static_cast<std::int64_t>(size);
  *pointer = block + 64;
  return 0;
}

int give_back_to_pool(void* pointer, void* stream) {
  std::byte* const block = static_cast<std::byte*>(pointer) - 64;
  void* pool = nullptr;
  std::uint64_t size = 0;
  std::memcpy(&pool, block, sizeof pool);
  std::memcpy(&size, block + 8, sizeof size);
  static_cast<Pool*>(pool)->counts.used_bytes -= size;
  g_fake->live_bytes -= static_cast<std::int64_t>(size);
  return put_into_stream(stream, [block, size] {
    std::memset(block, 0xFF, size + 64);
    std::free(block);
    return true;
  });
}

cuda::PoolApi pool_table() {
  cuda::PoolApi api;
  api.make = [](std::size_t most_bytes, void** pool) {
    *pool = new Pool{static_cast<std::int64_t>(most_bytes), {}};
    ++g_fake->live_handles;
    return 0;
  };
  api.allocate = take_from_pool;
  api.release = give_back_to_pool;
  api.count = [](void* pool, cuda::PoolCounts* counts) {
    *counts = static_cast<Pool*>(pool)->counts;
    return 0;
  };
  api.drop = [](void* pool) {
    delete static_cast<Pool*>(pool);
    --g_fake->live_handles;
    return 0;
  };
  api.no_room = k_no_room;
  return api;
}

}  // namespace

int put_into_stream(void* stream, std::function<bool()> task) {
  Stream& mine = stream_of(stream);
  if (const int code = code_of(mine); code != 0) return code;
  mine.tasks.push_back(std::move(task));
  ++mine.queued;
  if (!mine.is_late) reach(mine, mine.queued);
  return 0;
}

FakePlugin::FakePlugin(int device_count) : devices(device_count) {
  g_fake = this;
  t_device = 0;
  api.version = cuda::k_plugin_version;
  api.error_text = error_text;
  api.device_count = [](int* count) {
    *count = g_fake->devices;
    return 0;
  };
  api.describe = describe;
  api.open = open_device;
  api.memory_info = [](std::size_t* free_bytes, std::size_t* total_bytes) {
    *free_bytes = *total_bytes = std::size_t{1} << 30;
    return 0;
  };
  api.allocate = allocate;
  api.release = release;
  api.copy = copy;
  api.make_stream = make_stream;
  api.drop_stream = drop_stream;
  api.synchronize = synchronize;
  api.query = query;
  api.make_event = [](void** event) {
    *event = new Event;
    ++g_fake->live_handles;
    return 0;
  };
  api.drop_event = [](void* event) {
    delete static_cast<Event*>(event);
    --g_fake->live_handles;
    return 0;
  };
  api.record = record;
  api.wait = wait;
  api.is_reached = is_reached;
  api.elapsed_ns = [](void* from, void* to, std::int64_t* ns) {
    *ns = event_of(to).time_ns - event_of(from).time_ns;
    return 0;
  };
  api.launch = launch;
  api.attention = [] { return g_fake->attends ? "a library" : "own kernels (no library)"; };
  api.push_range = [](const char*) {
    ++g_fake->ranges;
    ++g_fake->depth;
  };
  api.pop_range = [] { --g_fake->depth; };
  api.pool = pool_table();
}

FakePlugin::~FakePlugin() {
  for (const Stream* stream : g_streams) delete stream;
  g_streams.clear();
  g_fake = nullptr;
}

}  // namespace tidemark::test
