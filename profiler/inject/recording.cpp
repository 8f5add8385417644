#include "profiler/inject/recording.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "sim/units.h"

namespace tidemark {
namespace {

constexpr std::chrono::milliseconds k_turn{100};
/// A program that catches the error and asks again would fill the terminal.
constexpr int k_most_dumps = 5;
constexpr std::size_t k_dump_rows = 20;

thread_local ScopeStack t_ranges;

std::int64_t now_ns() {
  return static_cast<std::int64_t>(session_clock_ns());
}

}  // namespace

InjectedRecording::InjectedRecording(const RecordingOptions& options)
    : options_(options), origin_ns_(now_ns()), ledger_(origin_ns_, names_) {}

InjectedRecording::~InjectedRecording() {
  close();
  session_.reset();
}

Meta InjectedRecording::meta() const {
  Meta out;
  out.title = options_.command;
  out.tool = "tidemark 0.1.0";
  out.command = options_.command;
  out.backend = "cuda";
  out.allocator = "cuda driver";
  std::array<char, 256> name{};
  std::size_t memory_bytes = 0;
  if (driver_ != nullptr && driver_->device_name(name.data(), 255, 0) == 0 &&
      driver_->device_memory(&memory_bytes, 0) == 0) {
    out.device = name.data();
    out.device_memory_bytes = static_cast<std::int64_t>(memory_bytes);
  }
  return out;
}

bool InjectedRecording::attach(const CuptiApi& cupti, const DriverApi* driver, std::string& why) {
  driver_ = driver;
  session_ = CuptiSession::start(
      cupti, options_.session, [this](const AllocationCall& call) { on_refused(call); },
      [this](void* context, bool made) {
        const std::lock_guard lock(side_mutex_);
        std::erase(contexts_, context);
        if (made) contexts_.push_back(context);
      },
      why);
  if (session_ != nullptr && options_.own_thread) thread_ = std::thread([this] { work(); });
  return session_ != nullptr;
}

int InjectedRecording::push(std::string_view range) {
  if (abandoned_) return 0;
  const Scope& scope = t_ranges.push(names_, range);
  if (session_ != nullptr) session_->push_scope(pack(scope));
  if (const std::int32_t step = step_of(range); step >= 0) {
    const std::lock_guard lock(side_mutex_);
    steps_.push_back({now_ns(), step, true});
  }
  return static_cast<int>(t_ranges.depth()) - 1;
}

int InjectedRecording::pop() {
  if (abandoned_ || t_ranges.depth() == 0) return 0;
  const Scope closed = t_ranges.pop();
  if (session_ != nullptr) session_->pop_scope();
  if (closed.step >= 0 && closed.step != t_ranges.top().step) {
    const std::lock_guard lock(side_mutex_);
    steps_.push_back({now_ns(), closed.step, false});
  }
  return static_cast<int>(t_ranges.depth());
}

/// On the thread whose allocation was refused, inside of the driver: the dump is the writer's.
void InjectedRecording::on_refused(const AllocationCall& call) {
  {
    const std::lock_guard lock(side_mutex_);
    refused_.push_back({now_ns(), call.call, call.size_bytes, t_ranges.top()});
  }
  const std::lock_guard lock(wake_mutex_);
  hurry_ = true;
  wake_.notify_all();
}

void InjectedRecording::dump_live(const RefusedAllocation& refused) {
  if (++dumps_ > k_most_dumps) return;
  const std::vector<Layer> layers = names_.rows_from(0);
  const LayerId layer = refused.scope.layer;
  fmt::print(
      stderr,
      "tidemark: out of memory: {} was refused {} in {} (phase {}); live at that moment:\n{}",
      refused.call, format_bytes(refused.size_bytes),
      layer.valid() && layer.index() < layers.size() ? layers[layer.index()].name : "(no range)",
      to_string(refused.scope.phase), ledger_.live_table(k_dump_rows));
}

void InjectedRecording::sample(RecordBatch& batch) {
  if (driver_ == nullptr) return;
  std::vector<void*> contexts;
  {
    const std::lock_guard lock(side_mutex_);
    contexts = contexts_;
  }
  std::vector<int> seen;
  for (void* context : contexts) {
    if (driver_->push_context(context) != 0) continue;
    int device = 0;
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    if (driver_->context_device(&device) == 0 && std::ranges::find(seen, device) == seen.end() &&
        driver_->memory_info(&free_bytes, &total_bytes) == 0) {
      seen.push_back(device);
      batch.samples.push_back({now_ns(), device, static_cast<std::int64_t>(free_bytes),
                               static_cast<std::int64_t>(total_bytes)});
    }
    void* popped = nullptr;
    driver_->pop_context(&popped);
  }
}

/// What is complete at one turn is written at the next: buffers of other threads may still hold
/// older records.
void InjectedRecording::pump_once(bool all) {
  if (closed_) return;
  const std::int64_t begin_ns = now_ns();
  RecordBatch batch = session_ == nullptr ? RecordBatch{} : session_->collect(all);
  std::vector<RefusedAllocation> refused;
  {
    const std::lock_guard lock(side_mutex_);
    batch.steps = std::exchange(steps_, {});
    refused = batch.refused = std::exchange(refused_, {});
  }
  if (session_ != nullptr && !all) sample(batch);
  ledger_.add(std::move(batch));
  if (session_ != nullptr) {
    ledger_.set_cost(session_->device_cost_bytes(), session_->host_cost_bytes());
  }
  const bool everything = all || !refused.empty();
  const Trace part =
      ledger_.take(everything ? std::numeric_limits<std::int64_t>::max() : previous_ns_);
  previous_ns_ = begin_ns;
  for (const RefusedAllocation& r : refused) dump_live(r);
  if (writer_ == nullptr) writer_ = std::make_unique<StreamWriter>(options_.path, Trace{});
  writer_->append_rows(part);
}

void InjectedRecording::close_once(bool) {
  if (closed_) return;
  pump_once(true);
  closed_ = true;
  Trace end;
  end.meta = meta();
  end.arenas = ledger_.arenas();
  end.health = ledger_.health();
  const bool cut_off = session_ != nullptr && session_->is_cut_off();
  end.health.complete = !cut_off && end.health.dropped_events == 0;
  writer_->finish(end);
}

void InjectedRecording::guarded(const char* what, void (InjectedRecording::*step)(bool), bool all) {
  if (abandoned_) return;
  const std::lock_guard lock(pump_mutex_);
  try {
    (this->*step)(all);
  } catch (const std::exception& error) {
    if (!told_) fmt::print(stderr, "tidemark: {}: {}\n", what, error.what());
    told_ = true;
    closed_ = true;
  }
}

void InjectedRecording::pump(bool all) {
  guarded("the recording stops here", &InjectedRecording::pump_once, all);
}

void InjectedRecording::work() {
  std::unique_lock lock(wake_mutex_);
  while (!closing_) {
    wake_.wait_for(lock, k_turn, [this] { return closing_ || hurry_; });
    hurry_ = false;
    if (closing_) break;
    lock.unlock();
    pump(false);
    lock.lock();
  }
}

void InjectedRecording::close() {
  if (abandoned_) {
    if (thread_.joinable()) thread_.detach();  // it runs in the parent only
    return;
  }
  {
    const std::lock_guard lock(wake_mutex_);
    closing_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  guarded("the recording was not closed", &InjectedRecording::close_once, true);
}

}  // namespace tidemark
