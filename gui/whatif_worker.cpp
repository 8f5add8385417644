#include "gui/whatif_worker.h"

#include <chrono>
#include <utility>

#include "traces/error.h"

namespace tidemark {
namespace {

QString reason_of(const std::exception& error) {
  const bool bad_input = dynamic_cast<const InputError*>(&error) != nullptr;
  return (bad_input ? QString() : QStringLiteral("own bug: ")) + QString::fromUtf8(error.what());
}

}  // namespace

WhatIfWorker::WhatIfWorker(QObject* parent) : QObject(parent), thread_([this] { work(); }) {}

WhatIfWorker::~WhatIfWorker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    ++newest_;
  }
  changed_.notify_all();
  thread_.join();
}

void WhatIfWorker::open(RunPtr base) {
  {
    const std::lock_guard lock(mutex_);
    opening_ = Opening{.base = std::move(base), .serial = ++newest_open_};
    next_.reset();
    ++newest_;
  }
  changed_.notify_all();
}

void WhatIfWorker::put(Job job) {
  {
    const std::lock_guard lock(mutex_);
    job.serial = ++newest_;
    next_ = std::move(job);
  }
  changed_.notify_all();
}

void WhatIfWorker::ask(const WhatIf& what_if) {
  put({.kind = Job::Kind::question, .what_if = what_if});
}

void WhatIfWorker::ask_front(const WhatIf& what_if, int count) {
  put({.kind = Job::Kind::front, .what_if = what_if, .count = count});
}

void WhatIfWorker::ask_fit(const WhatIf& what_if) {
  put({.kind = Job::Kind::fit, .what_if = what_if});
}

void WhatIfWorker::cancel() {
  {
    const std::lock_guard lock(mutex_);
    next_.reset();
    ++newest_;
  }
  changed_.notify_all();
  emit finished();
}

template <class Tell>
void WhatIfWorker::post(std::uint64_t serial, Tell tell) {
  QMetaObject::invokeMethod(
      this,
      [this, serial, tell = std::move(tell)] {
        if (is_newest(serial)) tell();
      },
      Qt::QueuedConnection);
}

void WhatIfWorker::work() {
  while (true) {
    std::optional<Opening> opening;
    std::optional<Job> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || opening_ || next_; });
      if (stop_) return;
      opening = std::exchange(opening_, std::nullopt);
      if (!opening) job = std::exchange(next_, std::nullopt);
    }
    if (opening) make_ready(*opening);
    if (job) carry_out(*job);
  }
}

void WhatIfWorker::make_ready(const Opening& opening) {
  const auto tell = [this, serial = opening.serial](auto what) {
    QMetaObject::invokeMethod(
        this,
        [this, serial, what = std::move(what)] {
          if (serial == newest_open_) what();
        },
        Qt::QueuedConnection);
  };
  planner_.reset();
  try {
    planner_ = std::make_unique<WhatIfPlanner>(opening.base);
    const auto [least_bytes, most_bytes] = planner_->budget_range();
    const WhatIfFacts facts{.recorded = planner_->recorded_config(),
                            .can_change = planner_->can_change(),
                            .least_bytes = least_bytes,
                            .most_bytes = most_bytes};
    tell([this, facts] { emit opened(facts); });
  } catch (const std::exception& error) {
    tell([this, why = reason_of(error)] { emit refused(why); });
  }
}

KeepGoing WhatIfWorker::going(std::uint64_t serial) {
  using Clock = std::chrono::steady_clock;
  return [this, serial, told = Clock::time_point{}](const WhatIfProgress& progress) mutable {
    constexpr auto k_pause = std::chrono::milliseconds(50);
    if (Clock::now() - told > k_pause) {
      told = Clock::now();
      post(serial, [this, progress] { emit progressed(progress); });
    }
    return is_newest(serial);
  };
}

bool WhatIfWorker::settle(std::uint64_t serial) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(k_settle_ms),
                    [&] { return stop_ || !is_newest(serial); });
  return is_newest(serial);
}

void WhatIfWorker::carry_out(const Job& job) {
  if (!planner_ || !is_newest(job.serial)) return;
  try {
    switch (job.kind) {
      case Job::Kind::question:
        answer(job);
        break;
      case Job::Kind::front: {
        auto results = planner_->front(job.what_if, job.count, going(job.serial));
        post(job.serial, [this, results = std::move(results)] { emit front_found(results); });
        break;
      }
      case Job::Kind::fit:
        fit(job);
        break;
    }
  } catch (const std::exception& error) {
    post(job.serial, [this, why = reason_of(error)] { emit refused(why); });
  }
  post(job.serial, [this] { emit finished(); });
}

void WhatIfWorker::answer(const Job& job) {
  const auto tell = [&](const WhatIfResultPtr& result) {
    if (result) post(job.serial, [this, result] { emit answered(result); });
  };
  const WhatIfResultPtr quick = planner_->quick(job.what_if);
  tell(quick);
  if (!settle(job.serial)) return;
  const WhatIfResultPtr chosen = planner_->choose(job.what_if, going(job.serial));
  if (!chosen) return;
  if (chosen->config != quick->config || (chosen->fits && !quick->fits)) tell(chosen);
  tell(planner_->refine(job.what_if, going(job.serial)));
}

void WhatIfWorker::fit(const Job& job) {
  const WhatIfFacts facts{.recorded = planner_->recorded_config(),
                          .can_change = planner_->can_change()};
  WhatIfResultPtr best;
  WhatIf what_if;
  for (const WhatIf& next : freed(job.what_if, facts)) {
    WhatIfResultPtr result = planner_->choose(next, going(job.serial));
    if (!result) return;
    // One walk may miss what the search finds.
    if (!result->fits) result = planner_->refine(next, going(job.serial));
    if (!is_newest(job.serial)) return;
    if (best && !result->fits && result->needed_bytes() >= best->needed_bytes()) continue;
    best = result;
    what_if = next;
    if (result->fits) break;
  }
  post(job.serial, [this, what_if, best] { emit fitted(what_if, best); });
}

std::vector<WhatIf> freed(const WhatIf& what_if, const WhatIfFacts& facts) {
  std::vector<WhatIf> steps = {what_if};
  const auto then = [&steps](auto change) {
    WhatIf next = steps.back();
    change(next);
    if (next != steps.back()) steps.push_back(std::move(next));
  };
  then([](WhatIf& w) {
    w.recompute = w.offload = Decider::planner;
    w.layers.clear();
  });
  if (!facts.can_change) return steps;
  then([&facts](WhatIf& w) {
    if (facts.recorded.model.is_decoder()) w.attention.by = Decider::planner;
    w.micro_batches.by = Decider::planner;
  });
  then([](WhatIf& w) { w.batch.by = Decider::planner; });
  then([](WhatIf& w) { w.precision.by = w.optimizer.by = Decider::planner; });
  return steps;
}

}  // namespace tidemark
