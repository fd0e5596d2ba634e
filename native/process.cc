// SPDX-License-Identifier: Apache-2.0
//
// Process-level calls that Node does not offer: death signal, pidfds, affinity and cores, names, limits,
// and the monotonic clock that all parts share.

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "support.h"

namespace vgpu {
namespace {

/// Called on hot paths, hence without the C++ wrapper.
napi_value NowNsValue(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(NowNs()), &result);
  return result;
}

Napi::Value SetPdeathsig(const Napi::CallbackInfo& info) {
  const int64_t number = IntegerArg(info, 0, "signal", 0, 64);
  if (::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(number), 0, 0, 0) != 0) {
    throw SystemError(info.Env(), errno, "prctl(PR_SET_PDEATHSIG)");
  }
  return info.Env().Undefined();
}

Napi::Value PrctlName(const Napi::CallbackInfo& info) {
  const std::string name = StringArg(info, 0, "name", 15);
  if (::prctl(PR_SET_NAME, name.c_str(), 0, 0, 0) != 0) {
    throw SystemError(info.Env(), errno, "prctl(PR_SET_NAME)");
  }
  return info.Env().Undefined();
}

Napi::Value PidfdOpen(const Napi::CallbackInfo& info) {
  const int64_t pid = IntegerArg(info, 0, "pid", 1, INT_MAX);
  // A pidfd is close-on-exec by itself.
  const long fd = ::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0U);
  if (fd < 0) throw SystemError(info.Env(), errno, "pidfd_open", std::to_string(pid));
  return Napi::Number::New(info.Env(), static_cast<double>(fd));
}

Napi::Value PidfdSendSignal(const Napi::CallbackInfo& info) {
  const int fd = FdArg(info, 0, "pidfd");
  const int64_t number = IntegerArg(info, 1, "signal", 0, 64);
  if (::syscall(SYS_pidfd_send_signal, fd, static_cast<int>(number), nullptr, 0U) == 0) {
    return Napi::Boolean::New(info.Env(), true);
  }
  if (errno == ESRCH) return Napi::Boolean::New(info.Env(), false);
  throw SystemError(info.Env(), errno, "pidfd_send_signal");
}

Napi::Value SetAffinity(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int64_t pid = IntegerArg(info, 0, "pid", 0, INT_MAX);
  if (!info[1].IsArray()) throw Napi::TypeError::New(env, "argument 'cpus' must be an array");
  Napi::Array cpus = info[1].As<Napi::Array>();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (uint32_t i = 0; i < cpus.Length(); ++i) {
    Napi::Value item = cpus.Get(i);
    const int64_t cpu = item.IsNumber() ? item.As<Napi::Number>().Int64Value() : -1;
    if (cpu < 0 || cpu >= CPU_SETSIZE) {
      throw Napi::RangeError::New(env, "argument 'cpus' must hold integers from 0 to " +
                                           std::to_string(CPU_SETSIZE - 1));
    }
    CPU_SET(static_cast<size_t>(cpu), &set);
  }
  if (::sched_setaffinity(static_cast<pid_t>(pid), sizeof(set), &set) != 0) {
    throw SystemError(env, errno, "sched_setaffinity");
  }
  return env.Undefined();
}

Napi::Value GetAffinity(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int64_t pid = IntegerArg(info, 0, "pid", 0, INT_MAX);
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(static_cast<pid_t>(pid), sizeof(set), &set) != 0) {
    throw SystemError(env, errno, "sched_getaffinity");
  }
  Napi::Array cpus = Napi::Array::New(env);
  uint32_t count = 0;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.Set(count++, Napi::Number::New(env, static_cast<double>(cpu)));
  }
  return cpus;
}

/// How often the calling thread has lost its core to another one.
Napi::Value InvoluntarySwitches(const Napi::CallbackInfo& info) {
  rusage usage{};
  if (::getrusage(RUSAGE_THREAD, &usage) != 0) throw SystemError(info.Env(), errno, "getrusage");
  return Napi::Number::New(info.Env(), static_cast<double>(usage.ru_nivcsw));
}

/// The core that the calling thread runs on; it may be another one by now.
Napi::Value CurrentCpu(const Napi::CallbackInfo& info) {
  const int cpu = ::sched_getcpu();
  if (cpu < 0) throw SystemError(info.Env(), errno, "sched_getcpu");
  return Napi::Number::New(info.Env(), cpu);
}

/// As in linux/sched/types.h, which some headers of libc do not get along with.
struct SchedAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};
constexpr uint64_t kResetOnFork = 0x01;

/// Asks for a slice of this length, ns, for the calling thread alone: one with a short slice gets a
/// core that is busy with a long one's work as soon as it wakes (Linux 6.12; older ones ignore it).
/// Threads and processes that are created later have the usual one, unless the thread has a negative
/// nice value, which they would not inherit either then. False where the thread is not scheduled by
/// slices, or the system does not let it choose.
Napi::Value SetSliceNs(const Napi::CallbackInfo& info) {
  const int64_t slice = IntegerArg(info, 0, "sliceNs", 100'000, 100'000'000);
  SchedAttributes now{};
  bool set = ::syscall(SYS_sched_getattr, 0, &now, sizeof now, 0U) == 0 &&
             now.policy == SCHED_OTHER;
  if (set) {
    now.size = sizeof now;
    if (now.nice >= 0) now.flags |= kResetOnFork;
    now.runtime = static_cast<uint64_t>(slice);
    set = ::syscall(SYS_sched_setattr, 0, &now, 0U) == 0;
  }
  return Napi::Boolean::New(info.Env(), set);
}

/// Makes a thread of this process (0: the calling one) one of batch work, with the longest slice, or an
/// ordinary one again. False where the thread is neither, is gone, or the system refuses.
Napi::Value SetBatch(const Napi::CallbackInfo& info) {
  const int64_t thread = IntegerArg(info, 0, "thread", 0, INT_MAX);
  const bool batch = BoolArg(info, 1, "batch");
  constexpr uint64_t kLongestSlice = 100'000'000;
  SchedAttributes now{};
  // An id whose thread has ended may be another process's by now.
  const bool ours = thread == 0 || ::syscall(SYS_tgkill, ::getpid(), thread, 0) == 0;
  bool set = ours && ::syscall(SYS_sched_getattr, thread, &now, sizeof now, 0U) == 0 &&
             now.policy == (batch ? SCHED_OTHER : SCHED_BATCH);
  if (set) {
    now.size = sizeof now;
    now.policy = batch ? SCHED_BATCH : SCHED_OTHER;
    now.runtime = batch ? kLongestSlice : 0;
    set = ::syscall(SYS_sched_setattr, thread, &now, 0U) == 0;
  }
  return Napi::Boolean::New(info.Env(), set);
}

/// Raises the soft limit of open descriptors to the hard one; returns the limit now in force.
Napi::Value RaiseNofile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw SystemError(env, errno, "getrlimit");
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) throw SystemError(env, errno, "setrlimit");
  }
  return Napi::Number::New(env, static_cast<double>(limit.rlim_cur));
}

}  // namespace

void InitProcess(Napi::Env, Napi::Object exports) {
  ExportRaw(exports, "nowNs", NowNsValue);
  Export<SetPdeathsig>(exports, "setPdeathsig");
  Export<PrctlName>(exports, "prctlName");
  Export<PidfdOpen>(exports, "pidfdOpen");
  Export<PidfdSendSignal>(exports, "pidfdSendSignal");
  Export<SetAffinity>(exports, "setAffinity");
  Export<GetAffinity>(exports, "getAffinity");
  Export<InvoluntarySwitches>(exports, "involuntarySwitches");
  Export<CurrentCpu>(exports, "currentCpu");
  Export<SetSliceNs>(exports, "setSliceNs");
  Export<SetBatch>(exports, "setBatch");
  Export<RaiseNofile>(exports, "raiseNofile");
}

}  // namespace vgpu
