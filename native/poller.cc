// SPDX-License-Identifier: Apache-2.0
//
// Watching descriptors and sub-millisecond timers, inside Node's event loop.
//
// A Poller owns an epoll descriptor, and libuv watches only that one. libuv aborts the process when
// a descriptor that it watches is closed under it; epoll merely forgets it. What could go wrong:
//
// - a watched descriptor is closed: `close` of this addon unwatches first; one closed elsewhere
//   leaves epoll by itself, or, while a duplicate lives, reports events under a stale key, which
//   then makes the Poller rebuild its epoll set from the watches that it knows;
// - a callback throws: the error becomes an uncaughtException, the other callbacks still run;
// - a callback unwatches or closes: watches are looked up by key for each event;
// - the environment ends (worker exit): a clean-up hook closes the libuv handle, and the loop is
//   run until that has happened.

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "support.h"
#include "uv_abi.h"

namespace vgpu {
namespace {

constexpr int kEventsPerWake = 64;
constexpr int64_t kTimerNsMax = int64_t{1'000'000'000} * 86'400 * 365;

// Bits of the `events` numbers, as PollEvents in src/io/native.ts.
constexpr uint32_t kReadable = 1;
constexpr uint32_t kWritable = 2;
constexpr uint32_t kHangup = 4;
constexpr uint32_t kError = 8;
constexpr uint32_t kEdge = 16;

/// One libuv poll handle on a descriptor that it owns. libuv needs the descriptor and the handle's
/// memory until its close callback, so the object holds itself until then.
class LoopWatch {
 public:
  using Callback = std::function<void()>;

  static std::shared_ptr<LoopWatch> Create(napi_env env, UniqueFd fd, Callback callback) {
    uv_loop_s* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
      throw Napi::Error::New(env, "the environment has no event loop");
    }
    std::shared_ptr<LoopWatch> watch(new LoopWatch(env, std::move(fd), std::move(callback)));
    const int status = uv_poll_init(loop, watch->poll(), watch->fd());
    if (status != 0) throw SystemError(env, -status, "uv_poll_init");
    watch->self_ = watch;
    uv_handle_set_data(watch->handle(), watch.get());
    uv_unref(watch->handle());
    napi_add_async_cleanup_hook(env, OnEnvironmentEnd, watch.get(), &watch->hook_);
    uv_poll_start(watch->poll(), kUvReadable, OnReadable);
    return watch;
  }

  LoopWatch(const LoopWatch&) = delete;
  LoopWatch& operator=(const LoopWatch&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool closing() const { return closing_; }

  /// Whether this watch alone keeps the event loop running.
  void SetReferenced(bool on) {
    if (closing_) return;
    if (on) {
      uv_ref(handle());
    } else {
      uv_unref(handle());
    }
  }

  /// Lets go: no callback comes any more, and the descriptor is closed some time after.
  void Close() {
    if (closing_) return;
    closing_ = true;
    callback_ = nullptr;
    uv_poll_stop(poll());
    uv_close(handle(), OnClosed);
  }

 private:
  LoopWatch(napi_env env, UniqueFd fd, Callback callback)
      : env_(env),
        fd_(std::move(fd)),
        callback_(std::move(callback)),
        storage_(std::make_unique<std::max_align_t[]>(
            uv_handle_size(kUvHandlePoll) / sizeof(std::max_align_t) + 1)) {}

  uv_poll_s* poll() { return reinterpret_cast<uv_poll_s*>(storage_.get()); }
  uv_handle_s* handle() { return reinterpret_cast<uv_handle_s*>(storage_.get()); }

  static LoopWatch* From(const void* handle) {
    return static_cast<LoopWatch*>(uv_handle_get_data(static_cast<const uv_handle_s*>(handle)));
  }

  static void OnReadable(uv_poll_s* poll, int, int) {
    LoopWatch* self = From(poll);
    // A copy: the callback may close this watch, which clears the member while it runs.
    const Callback callback = self->callback_;
    if (!callback) return;
    try {
      callback();
    } catch (const Napi::Error& error) {
      // No C++ exception may pass through libuv.
      const Napi::HandleScope scope(self->env_);
      napi_fatal_exception(self->env_, error.Value());
    }
  }

  static void OnClosed(uv_handle_s* handle) {
    LoopWatch* self = From(handle);
    // Tells an ending environment, which waits for this, that the handle is gone.
    if (self->hook_ != nullptr) napi_remove_async_cleanup_hook(self->hook_);
    // The owner may hold this object for longer, until it is collected itself.
    self->fd_.reset();
    const std::shared_ptr<LoopWatch> last = std::move(self->self_);
  }

  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
    static_cast<LoopWatch*>(data)->Close();
  }

  napi_env env_;
  UniqueFd fd_;
  Callback callback_;
  std::unique_ptr<std::max_align_t[]> storage_;
  std::shared_ptr<LoopWatch> self_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool closing_ = false;
};

/// Calls into JavaScript from the event loop. An exception becomes an uncaughtException; when the
/// environment is being terminated there is none to report.
void CallBack(Napi::Env env, napi_async_context context, napi_value receiver,
              const Napi::Function& function, const napi_value* argument) {
  napi_value result = nullptr;
  const napi_status status = napi_make_callback(env, context, receiver, function,
                                                argument == nullptr ? 0 : 1, argument, &result);
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) return;
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

class Poller;

/// What belongs to one environment: its pollers, so that `close` can unwatch.
struct EnvironmentData {
  std::vector<Poller*> pollers;
};

using EnvironmentHolder = std::shared_ptr<EnvironmentData>;

class Poller : public Napi::ObjectWrap<Poller> {
 public:
  static void Define(Napi::Env env, Napi::Object exports) {
    exports.Set("Poller", DefineClass(env, "Poller",
                                      {
                                          InstanceMethod<&Poller::Watch>("watch"),
                                          InstanceMethod<&Poller::Unwatch>("unwatch"),
                                          InstanceMethod<&Poller::RefLoop>("ref"),
                                          InstanceMethod<&Poller::UnrefLoop>("unref"),
                                          InstanceMethod<&Poller::Close>("close"),
                                          InstanceAccessor<&Poller::GetSize>("size"),
                                      }));
  }

  explicit Poller(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Poller>(info),
        context_(info.Env(), "vgpu.Poller"),
        environment_(*info.Env().GetInstanceData<EnvironmentHolder>()) {
    StartEpoll(info.Env());
    environment_->pollers.push_back(this);
  }

  ~Poller() override {
    std::erase(environment_->pollers, this);
    loop_watch_->Close();
  }

  /// Drops the watch of `fd`, if there is one. An error of epoll means that the descriptor is
  /// closed already, which has removed it there.
  void Forget(int fd) {
    const auto watch = watches_.find(fd);
    if (watch == watches_.end()) return;
    ::epoll_ctl(loop_watch_->fd(), EPOLL_CTL_DEL, fd, nullptr);
    DropKey(watch->second.key);
    watches_.erase(watch);
    UpdateLiveness();
  }

 private:
  struct WatchEntry {
    uint64_t key = 0;
    uint32_t epoll_events = 0;
    Napi::FunctionReference callback;
  };

  void StartEpoll(Napi::Env env) {
    UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.valid()) throw SystemError(env, errno, "epoll_create1");
    loop_watch_ = LoopWatch::Create(env, std::move(epoll), [this] { OnReady(); });
  }

  /// Adds or changes one descriptor in the epoll set; returns an errno or 0.
  int Register(int fd, const WatchEntry& entry) {
    epoll_event event{};
    event.events = entry.epoll_events;
    event.data.u64 = entry.key;
    if (::epoll_ctl(loop_watch_->fd(), EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    if (errno != EEXIST) return errno;
    return ::epoll_ctl(loop_watch_->fd(), EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : errno;
  }

  /// watch(fd, events, callback): replaces an earlier watch of the same descriptor
  Napi::Value Watch(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const int fd = FdArg(info, 0, "fd");
    const int64_t events = IntegerArg(info, 1, "events", 0, kReadable | kWritable | kEdge);
    const Napi::Function callback = FunctionArg(info, 2, "callback");
    if (loop_watch_->closing()) throw Napi::Error::New(env, "the poller is closed");
    WatchEntry entry;
    entry.key = ++last_key_;
    entry.epoll_events = ((events & kReadable) != 0 ? EPOLLIN | EPOLLRDHUP : 0U) |
                         ((events & kWritable) != 0 ? EPOLLOUT : 0U) |
                         ((events & kEdge) != 0 ? static_cast<uint32_t>(EPOLLET) : 0U);
    const int error = Register(fd, entry);
    if (error != 0) throw SystemError(env, error, "epoll_ctl", std::to_string(fd));
    entry.callback = Napi::Persistent(callback);
    const auto earlier = watches_.find(fd);
    if (earlier != watches_.end()) DropKey(earlier->second.key);
    by_key_[entry.key] = fd;
    watches_.insert_or_assign(fd, std::move(entry));
    UpdateLiveness();
    return env.Undefined();
  }

  Napi::Value Unwatch(const Napi::CallbackInfo& info) {
    Forget(FdArg(info, 0, "fd"));
    return info.Env().Undefined();
  }

  Napi::Value RefLoop(const Napi::CallbackInfo& info) {
    referenced_ = true;
    UpdateLiveness();
    return info.Env().Undefined();
  }

  Napi::Value UnrefLoop(const Napi::CallbackInfo& info) {
    referenced_ = false;
    UpdateLiveness();
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    watches_.clear();
    by_key_.clear();
    UpdateLiveness();
    loop_watch_->Close();
    return info.Env().Undefined();
  }

  Napi::Value GetSize(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(watches_.size()));
  }

  void DropKey(uint64_t key) {
    by_key_.erase(key);
    if (dispatching_) dropped_.push_back(key);
  }

  /// A poller with watches is not collected; it keeps the loop alive unless `unref` was called.
  void UpdateLiveness() {
    const bool active = !watches_.empty();
    loop_watch_->SetReferenced(active && referenced_);
    if (active && !held_) Ref();
    if (!active && held_) Unref();
    held_ = active;
  }

  void OnReady() {
    Napi::Env env = Env();
    const Napi::HandleScope scope(env);
    const napi_value self = Value();  // keeps this object alive while its callbacks run
    std::array<epoll_event, kEventsPerWake> events;
    const int count = ::epoll_wait(loop_watch_->fd(), events.data(), kEventsPerWake, 0);
    bool stale = false;
    dispatching_ = true;
    for (int i = 0; i < count; ++i) {
      // Copies: the kernel's structure is packed, its members lie at odd places.
      const uint64_t key = events[static_cast<size_t>(i)].data.u64;
      const uint32_t got = events[static_cast<size_t>(i)].events;
      const auto found = by_key_.find(key);
      if (found != by_key_.end()) {
        Dispatch(env, self, found->second, got);
      } else if (std::find(dropped_.begin(), dropped_.end(), key) == dropped_.end()) {
        // Not unwatched by a callback of this round, so left behind by a close elsewhere.
        stale = true;
      }
    }
    dispatching_ = false;
    dropped_.clear();
    if (stale) Rebuild(env);
  }

  void Dispatch(Napi::Env env, napi_value self, int fd, uint32_t got) {
    const Napi::HandleScope scope(env);
    const uint32_t events = ((got & (EPOLLIN | EPOLLRDHUP)) != 0 ? kReadable : 0U) |
                            ((got & EPOLLOUT) != 0 ? kWritable : 0U) |
                            ((got & (EPOLLHUP | EPOLLRDHUP)) != 0 ? kHangup : 0U) |
                            ((got & EPOLLERR) != 0 ? kError : 0U);
    const Napi::Function callback = watches_.at(fd).callback.Value();
    const napi_value argument = Napi::Number::New(env, events);
    CallBack(env, context_, self, callback, &argument);
  }

  /// Starts a fresh epoll set from the known watches. Needed when an event arrives under a key that
  /// is no longer known: its descriptor was closed but a duplicate lives, so epoll cannot be told
  /// to drop it, and it would report again at once, for ever.
  void Rebuild(Napi::Env env) {
    if (loop_watch_->closing()) return;
    const std::shared_ptr<LoopWatch> old = loop_watch_;
    StartEpoll(env);
    old->Close();
    std::vector<int> gone;
    for (const auto& [fd, entry] : watches_) {
      if (Register(fd, entry) != 0) gone.push_back(fd);
    }
    for (const int fd : gone) Forget(fd);
    UpdateLiveness();
  }

  Napi::AsyncContext context_;
  EnvironmentHolder environment_;
  std::shared_ptr<LoopWatch> loop_watch_;
  std::unordered_map<int, WatchEntry> watches_;
  std::unordered_map<uint64_t, int> by_key_;
  uint64_t last_key_ = 0;
  std::vector<uint64_t> dropped_;  // keys whose events of the current round are to be ignored
  bool dispatching_ = false;
  bool referenced_ = true;
  bool held_ = false;
};

/// A one-shot timer of nanosecond resolution: setTimeout rounds to milliseconds.
class HrTimer : public Napi::ObjectWrap<HrTimer> {
 public:
  static void Define(Napi::Env env, Napi::Object exports) {
    exports.Set("HrTimer", DefineClass(env, "HrTimer",
                                       {
                                           InstanceMethod<&HrTimer::Arm>("arm"),
                                           InstanceMethod<&HrTimer::Disarm>("disarm"),
                                           InstanceMethod<&HrTimer::RefLoop>("ref"),
                                           InstanceMethod<&HrTimer::UnrefLoop>("unref"),
                                           InstanceMethod<&HrTimer::Close>("close"),
                                           InstanceAccessor<&HrTimer::GetArmed>("armed"),
                                       }));
  }

  explicit HrTimer(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<HrTimer>(info), context_(info.Env(), "vgpu.HrTimer") {
    UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!fd.valid()) throw SystemError(info.Env(), errno, "timerfd_create");
    loop_watch_ = LoopWatch::Create(info.Env(), std::move(fd), [this] { OnExpired(); });
  }

  ~HrTimer() override {
    if (loop_watch_ != nullptr) loop_watch_->Close();
  }

 private:
  void SetTime(Napi::Env env, int64_t ns) {
    itimerspec time{};
    time.it_value.tv_sec = ns / 1'000'000'000;
    time.it_value.tv_nsec = ns % 1'000'000'000;
    if (::timerfd_settime(loop_watch_->fd(), 0, &time, nullptr) != 0) {
      throw SystemError(env, errno, "timerfd_settime");
    }
  }

  void UpdateLiveness() {
    const bool armed = !callback_.IsEmpty();
    loop_watch_->SetReferenced(armed && referenced_);
    if (armed && !held_) Ref();
    if (!armed && held_) Unref();
    held_ = armed;
  }

  /// arm(ns, callback): replaces what was armed; 0 fires at the loop's next turn
  Napi::Value Arm(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const int64_t ns = IntegerArg(info, 0, "ns", 0, kTimerNsMax);
    const Napi::Function callback = FunctionArg(info, 1, "callback");
    if (loop_watch_->closing()) throw Napi::Error::New(env, "the timer is closed");
    SetTime(env, ns > 0 ? ns : 1);  // a time of 0 would disarm
    callback_ = Napi::Persistent(callback);
    UpdateLiveness();
    return env.Undefined();
  }

  Napi::Value Disarm(const Napi::CallbackInfo& info) {
    if (!loop_watch_->closing()) SetTime(info.Env(), 0);
    callback_.Reset();
    UpdateLiveness();
    return info.Env().Undefined();
  }

  Napi::Value RefLoop(const Napi::CallbackInfo& info) {
    referenced_ = true;
    UpdateLiveness();
    return info.Env().Undefined();
  }

  Napi::Value UnrefLoop(const Napi::CallbackInfo& info) {
    referenced_ = false;
    UpdateLiveness();
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    callback_.Reset();
    UpdateLiveness();
    loop_watch_->Close();
    return info.Env().Undefined();
  }

  Napi::Value GetArmed(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), !callback_.IsEmpty());
  }

  void OnExpired() {
    uint64_t expirations = 0;
    // Nothing to read: it was disarmed or armed anew after the loop saw it ready.
    if (::read(loop_watch_->fd(), &expirations, sizeof(expirations)) != sizeof(expirations)) return;
    if (callback_.IsEmpty()) return;
    Napi::Env env = Env();
    const Napi::HandleScope scope(env);
    const napi_value self = Value();
    const Napi::Function callback = callback_.Value();
    // Before the call, so that the callback can arm again.
    callback_.Reset();
    UpdateLiveness();
    CallBack(env, context_, self, callback, nullptr);
  }

  Napi::AsyncContext context_;
  std::shared_ptr<LoopWatch> loop_watch_;
  Napi::FunctionReference callback_;
  bool referenced_ = true;
  bool held_ = false;
};

}  // namespace

void ForgetDescriptor(Napi::Env env, int fd) {
  const auto* environment = env.GetInstanceData<EnvironmentHolder>();
  for (Poller* poller : (*environment)->pollers) poller->Forget(fd);
}

void InitPoller(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new EnvironmentHolder(std::make_shared<EnvironmentData>()));
  Poller::Define(env, exports);
  HrTimer::Define(env, exports);
}

}  // namespace vgpu
