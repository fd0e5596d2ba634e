// SPDX-License-Identifier: Apache-2.0
//
// For a software GPU, whose memory is this process's: finds the mapping that a driver makes for a
// buffer, and copies between it and a guest's memory, with a second thread if it is much.
//
// A driver does not tell where a buffer is. But its mappings have a name (that of their file), and one
// that was not there before something was done, and is there after it, belongs to that. Whether the
// bytes are the buffer's is for the caller to prove, see src/gpu/dawn/host-memory.ts.

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "support.h"

namespace vgpu {
namespace {

constexpr size_t kNameBytesMax = 255;
/// A mapping may be larger than what is in it by the driver's rounding.
constexpr uint64_t kRoundingMax = 64 * 1024;
constexpr uint64_t kViewBytesMax = uint64_t{1} << 32;

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

bool ReadMaps(std::string* text) {
  const UniqueFd fd(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return false;
  text->clear();
  for (size_t used = 0;;) {
    if (text->size() - used < 64 * 1024) text->resize(used + 256 * 1024);
    const ssize_t got = ::read(fd.get(), text->data() + used, text->size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      text->clear();
      return false;
    }
    if (got == 0) {
      text->resize(used);
      return true;
    }
    used += static_cast<size_t>(got);
  }
}

/// The shared writable mappings of files of this name, in order; neighbours are one range.
std::vector<Range> RangesOf(const std::string& maps, const std::string& name) {
  std::vector<Range> ranges;
  for (size_t at = 0; at < maps.size();) {
    const size_t line_end = std::min(maps.find('\n', at), maps.size());
    const std::string_view line(maps.data() + at, line_end - at);
    at = line_end + 1;
    if (line.find(name) == std::string_view::npos) continue;
    Range range;
    char access[5] = {};
    int path = 0;
    if (std::sscanf(std::string(line).c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n",
                    &range.begin, &range.end, access, &path) < 3) {
      continue;
    }
    if (path <= 0 || line.substr(static_cast<size_t>(path)) != name) continue;
    if (std::strcmp(access, "rw-s") != 0) continue;
    if (!ranges.empty() && ranges.back().end == range.begin) {
      ranges.back().end = range.end;
    } else {
      ranges.push_back(range);
    }
  }
  return ranges;
}

/// What is in `now` and not in `before`, both in order.
std::vector<Range> Difference(const std::vector<Range>& now, const std::vector<Range>& before) {
  std::vector<Range> fresh;
  for (Range rest : now) {
    for (const Range& old : before) {
      if (old.end <= rest.begin || old.begin >= rest.end) continue;
      if (old.begin > rest.begin) fresh.push_back({rest.begin, old.begin});
      rest.begin = std::min(old.end, rest.end);
    }
    if (rest.begin < rest.end) fresh.push_back(rest);
  }
  return fresh;
}

/// The JavaScript class: `new FileMappings(name)`.
class FileMappings : public Napi::ObjectWrap<FileMappings> {
 public:
  static void Define(Napi::Env env, Napi::Object exports) {
    exports.Set("FileMappings", DefineClass(env, "FileMappings",
                                            {
                                                InstanceMethod<&FileMappings::Look>("look"),
                                                InstanceMethod<&FileMappings::Appeared>("appeared"),
                                                InstanceMethod<&FileMappings::Release>("release"),
                                            }));
  }

  explicit FileMappings(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<FileMappings>(info), name_(StringArg(info, 0, "name", kNameBytesMax)) {}

 private:
  /// Notes which mappings there are. False where the system does not tell.
  Napi::Value Look(const Napi::CallbackInfo& info) {
    std::string maps;
    known_ = ReadMaps(&maps);
    ranges_ = RangesOf(maps, name_);
    return Napi::Boolean::New(info.Env(), known_);
  }

  /// The one mapping for `bytes` that was not there at the last look; null if it is not exactly one.
  Napi::Value Appeared(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const uint64_t bytes = U64Arg(info, 0, "bytes", kViewBytesMax);
    if (bytes == 0) throw Napi::RangeError::New(env, "argument 'bytes' is 0");
    std::string maps;
    if (!known_ || !ReadMaps(&maps)) return env.Null();
    const std::vector<Range> fresh = Difference(RangesOf(maps, name_), ranges_);
    if (fresh.size() != 1) return env.Null();
    const uint64_t mapped = fresh[0].end - fresh[0].begin;
    if (mapped < bytes || mapped - bytes >= kRoundingMax) return env.Null();
    napi_value buffer = nullptr;
    // SAFETY: the range is mapped now. It stays so until the driver frees it, before which release()
    // takes it out of JavaScript's hands.
    const napi_status status = napi_create_external_arraybuffer(
        env, reinterpret_cast<void*>(fresh[0].begin), bytes, [](napi_env, void*, void*) {}, nullptr,
        &buffer);
    if (status != napi_ok) return env.Null();
    return {env, buffer};
  }

  /// Takes the memory out of the buffer's hands: its length is 0 then.
  Napi::Value Release(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (napi_detach_arraybuffer(env, info[0]) != napi_ok) {
      throw Napi::TypeError::New(env, "argument 'buffer' is no ArrayBuffer that can be released");
    }
    return env.Undefined();
  }

  const std::string name_;
  bool known_ = false;
  std::vector<Range> ranges_;
};

// ---- Copies by two threads ---------------------------------------------------------------------

/// One core alone has about half of the memory's bandwidth.
class CopyTeam {
 public:
  /// Copies; the ranges do not overlap. Returns when all is copied.
  void Copy(uint8_t* to, const uint8_t* from, size_t bytes) {
    const std::unique_lock<std::mutex> one(one_at_a_time_, std::try_to_lock);
    if (!one.owns_lock() || !Start() || !LeaveThisCore()) {
      std::memcpy(to, from, bytes);
      return;
    }
    to_ = to;
    from_ = from;
    bytes_ = bytes;
    in_train_.store(std::chrono::steady_clock::now() - done_ < kPause);
    left_.store(static_cast<int64_t>(bytes));
    if (asleep_.load()) {
      { const std::lock_guard<std::mutex> lock(lock_); }
      wake_.notify_one();
    }
    Work();
    // Who helps has its last part to do; who comes now finds nothing left.
    while (helping_.load()) ::sched_yield();
    done_ = std::chrono::steady_clock::now();
  }

 private:
  static constexpr int64_t kPartBytes = 256 * 1024;
  /// Copies that follow each other within so long are a train.
  static constexpr std::chrono::microseconds kPause{8};
  static constexpr std::chrono::microseconds kAwake{20};

  bool Start() {
    if (started_ || failed_) return started_;
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    // A fault in guest memory is repaired on the thread that has it.
    ::sigdelset(&all, SIGBUS);
    ::sigdelset(&all, SIGSEGV);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      std::thread helper(&CopyTeam::Help, this);
      thread_ = helper.native_handle();
      helper.detach();
      started_ = true;
    } catch (const std::system_error&) {
      failed_ = true;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started_;
  }

  /// The kernel may wake the thread where it is woken from, and there it would wait until we are done.
  /// False if there is no other core for it.
  bool LeaveThisCore() {
    const int core = ::sched_getcpu();
    if (core < 0 || core == avoided_) return core >= 0;
    cpu_set_t others;
    if (::sched_getaffinity(0, sizeof others, &others) != 0) return false;
    CPU_CLR(static_cast<size_t>(core), &others);
    if (CPU_COUNT(&others) == 0) return false;
    if (::pthread_setaffinity_np(thread_, sizeof others, &others) != 0) return false;
    avoided_ = core;
    return true;
  }

  void Work() {
    for (;;) {
      // What is left when this is taken, so that who finds nothing looks at no other member.
      const int64_t left = left_.fetch_sub(kPartBytes);
      if (left <= 0) return;
      const size_t at = bytes_ - static_cast<size_t>(left);
      std::memcpy(to_ + at, from_ + at, std::min(static_cast<size_t>(left), size_t{kPartBytes}));
    }
  }

  [[noreturn]] void Help() {
    ::pthread_setname_np(::pthread_self(), "vgpu-copy");
    for (;;) {
      Await();
      helping_.store(true);
      Work();
      helping_.store(false);
    }
  }

  /// Until there are parts to be taken. A wake-up costs as much as copying some hundred KiB: so in a train
  /// of copies it looks for the next one before it sleeps.
  void Await() {
    const auto until = std::chrono::steady_clock::now() + kAwake;
    while (left_.load() <= 0) {
      if (in_train_.load() && std::chrono::steady_clock::now() < until) {
        ::sched_yield();
        continue;
      }
      std::unique_lock<std::mutex> lock(lock_);
      asleep_.store(true);
      wake_.wait(lock, [this] { return left_.load() > 0; });
      asleep_.store(false);
      return;
    }
  }

  std::mutex one_at_a_time_;
  bool started_ = false;
  bool failed_ = false;
  pthread_t thread_{};
  int avoided_ = -1;
  uint8_t* to_ = nullptr;
  const uint8_t* from_ = nullptr;
  size_t bytes_ = 0;
  /// Bytes of the copy that nobody has taken yet; none, or less, when it is done.
  std::atomic<int64_t> left_{0};
  /// The other thread may be at a part.
  std::atomic<bool> helping_{false};
  std::atomic<bool> asleep_{false};
  std::chrono::steady_clock::time_point done_;
  std::atomic<bool> in_train_{false};
  std::mutex lock_;
  std::condition_variable wake_;
};

/// Outlives the addon: its thread never ends.
CopyTeam& Team() {
  static auto* team = new CopyTeam();
  return *team;
}

/// copyByTwo(to, from): as many bytes as `from` has, to the beginning of `to`; they do not overlap.
Napi::Value CopyByTwo(const Napi::CallbackInfo& info) {
  const ByteSpan to = BytesArg(info, 0, "to");
  const ByteSpan from = BytesArg(info, 1, "from");
  if (from.length > to.length) {
    throw Napi::RangeError::New(info.Env(), "argument 'from' has " + std::to_string(from.length) +
                                                " bytes, 'to' " + std::to_string(to.length));
  }
  if (from.data < to.data + from.length && to.data < from.data + from.length) {
    throw Napi::RangeError::New(info.Env(), "arguments 'to' and 'from' overlap");
  }
  Team().Copy(to.data, from.data, from.length);
  return info.Env().Undefined();
}

}  // namespace

void InitGpuMemory(Napi::Env env, Napi::Object exports) {
  FileMappings::Define(env, exports);
  Export<CopyByTwo>(exports, "copyByTwo");
}

}  // namespace vgpu
