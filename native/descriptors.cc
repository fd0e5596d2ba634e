// SPDX-License-Identifier: Apache-2.0
//
// Descriptors in general, eventfds and memfds. Kick and call descriptors come from another process
// and may be eventfds or sockets; `signal` and `drain` serve both and never block on one that the
// other side left in blocking mode.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "support.h"

namespace vgpu {
namespace {

/// A peer that keeps sending must not keep us reading.
constexpr int kDrainRoundsMax = 16;
constexpr uint64_t kOffsetMax = (uint64_t{1} << 62);

/// Asks without waiting what `fd` is ready for: a foreign descriptor may be in blocking mode.
/// Hang-up and error are reported too. Throws EBADF for a descriptor that is not open.
short ReadyNow(Napi::Env env, int fd, short events, const char* caller) {
  pollfd entry{fd, events, 0};
  while (::poll(&entry, 1, 0) < 0) {
    if (errno != EINTR) throw SystemError(env, errno, "poll");
  }
  if ((entry.revents & POLLNVAL) != 0) throw SystemError(env, EBADF, caller);
  return entry.revents;
}

Napi::Value Close(const Napi::CallbackInfo& info) {
  const int fd = FdArg(info, 0, "fd");
  ForgetDescriptor(info.Env(), fd);
  if (::close(fd) != 0 && errno != EINTR) throw SystemError(info.Env(), errno, "close");
  return info.Env().Undefined();
}

Napi::Value Dup(const Napi::CallbackInfo& info) {
  const int copy = ::fcntl(FdArg(info, 0, "fd"), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw SystemError(info.Env(), errno, "fcntl(F_DUPFD_CLOEXEC)");
  return Napi::Number::New(info.Env(), copy);
}

void ChangeFlag(const Napi::CallbackInfo& info, int get, int set, int flag) {
  const int fd = FdArg(info, 0, "fd");
  const bool on = BoolArg(info, 1, "on");
  const int flags = ::fcntl(fd, get);
  if (flags < 0 || ::fcntl(fd, set, on ? flags | flag : flags & ~flag) < 0) {
    throw SystemError(info.Env(), errno, "fcntl");
  }
}

Napi::Value SetCloexec(const Napi::CallbackInfo& info) {
  ChangeFlag(info, F_GETFD, F_SETFD, FD_CLOEXEC);
  return info.Env().Undefined();
}

Napi::Value SetNonblocking(const Napi::CallbackInfo& info) {
  ChangeFlag(info, F_GETFL, F_SETFL, O_NONBLOCK);
  return info.Env().Undefined();
}

/// fstat(fd) → {size, kind}: what kind of thing a peer passed, before it is used as one.
Napi::Value Stat(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  struct stat status {};
  if (::fstat(FdArg(info, 0, "fd"), &status) != 0) throw SystemError(env, errno, "fstat");
  const char* kind = S_ISREG(status.st_mode)    ? "file"
                     : S_ISSOCK(status.st_mode) ? "socket"
                     : S_ISFIFO(status.st_mode) ? "pipe"
                     : S_ISCHR(status.st_mode)  ? "char"
                     : S_ISDIR(status.st_mode)  ? "directory"
                     : (status.st_mode & S_IFMT) == 0 ? "anonymous"
                                                      : "other";
  Napi::Object result = Napi::Object::New(env);
  result.Set("size", Napi::Number::New(env, static_cast<double>(status.st_size)));
  result.Set("kind", Napi::String::New(env, kind));
  return result;
}

Napi::Value FstatSize(const Napi::CallbackInfo& info) {
  struct stat status {};
  if (::fstat(FdArg(info, 0, "fd"), &status) != 0) throw SystemError(info.Env(), errno, "fstat");
  return Napi::Number::New(info.Env(), static_cast<double>(status.st_size));
}

Napi::Value EventFd(const Napi::CallbackInfo& info) {
  const uint64_t initial = U64Arg(info, 0, "initial", UINT32_MAX);
  const int fd = ::eventfd(static_cast<unsigned>(initial), EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw SystemError(info.Env(), errno, "eventfd");
  return Napi::Number::New(info.Env(), fd);
}

/// eventfdRead(fd) → the counter, or -1 when it is zero. Counts above 2^53 lose low bits.
Napi::Value EventFdRead(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArg(info, 0, "fd");
  uint64_t count = 0;
  for (;;) {
    if ((ReadyNow(env, fd, POLLIN, "eventfdRead") & POLLIN) == 0) {
      return Napi::Number::New(env, -1);
    }
    const ssize_t got = ::read(fd, &count, sizeof(count));
    if (got == sizeof(count)) return Napi::Number::New(env, static_cast<double>(count));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return Napi::Number::New(env, -1);
    throw SystemError(env, got < 0 ? errno : EINVAL, "read");
  }
}

/// Adds one to an eventfd, or sends eight bytes on a socket or pipe. Returns false when the other
/// side is gone; a full counter or socket is success, since a wake-up is pending there anyway.
bool SignalOnce(Napi::Env env, int fd) {
  const uint64_t one = 1;
  for (;;) {
    const short ready = ReadyNow(env, fd, POLLOUT, "signal");
    // A socket whose peer is gone is writable and hung up: writing would only tell it again.
    if ((ready & (POLLHUP | POLLERR)) != 0) return false;
    if ((ready & POLLOUT) == 0) return true;
    const ssize_t sent = ::write(fd, &one, sizeof(one));
    if (sent >= 0) return true;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return true;
    if (errno == EPIPE || errno == ECONNRESET) return false;
    throw SystemError(env, errno, "write");
  }
}

Napi::Value Signal(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), SignalOnce(info.Env(), FdArg(info, 0, "fd")));
}

/// Reads and discards what is pending. Returns the bytes read, or -1 when the other side is gone.
Napi::Value Drain(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArg(info, 0, "fd");
  alignas(8) std::array<uint8_t, 1024> scrap;
  double total = 0;
  for (int round = 0; round < kDrainRoundsMax; ++round) {
    const short ready = ReadyNow(env, fd, POLLIN, "drain");
    if ((ready & (POLLIN | POLLHUP | POLLERR)) == 0) break;
    const ssize_t got = ::read(fd, scrap.data(), scrap.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0 && errno != ECONNRESET) throw SystemError(env, errno, "read");
    if (got <= 0) return Napi::Number::New(env, total > 0 ? total : -1);
    total += static_cast<double>(got);
    if (static_cast<size_t>(got) < scrap.size()) break;
  }
  return Napi::Number::New(env, total);
}

Napi::Value MemfdCreate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string name = StringArg(info, 0, "name", 200);
  const uint64_t bytes = U64Arg(info, 1, "bytes", kOffsetMax);
  const bool sealable = BoolArg(info, 2, "sealable");
  UniqueFd fd(static_cast<int>(
      ::memfd_create(name.c_str(), MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0U))));
  if (!fd.valid()) throw SystemError(env, errno, "memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    throw SystemError(env, errno, "ftruncate");
  }
  return Napi::Number::New(env, fd.release());
}

Napi::Value Ftruncate(const Napi::CallbackInfo& info) {
  const int fd = FdArg(info, 0, "fd");
  const uint64_t bytes = U64Arg(info, 1, "bytes", kOffsetMax);
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    throw SystemError(info.Env(), errno, "ftruncate");
  }
  return info.Env().Undefined();
}

Napi::Value AddSeals(const Napi::CallbackInfo& info) {
  const int fd = FdArg(info, 0, "fd");
  const int seals = static_cast<int>(IntegerArg(info, 1, "seals", 0, 0xffff));
  if (::fcntl(fd, F_ADD_SEALS, seals) != 0) {
    throw SystemError(info.Env(), errno, "fcntl(F_ADD_SEALS)");
  }
  return info.Env().Undefined();
}

Napi::Value GetSeals(const Napi::CallbackInfo& info) {
  const int seals = ::fcntl(FdArg(info, 0, "fd"), F_GET_SEALS);
  if (seals < 0) throw SystemError(info.Env(), errno, "fcntl(F_GET_SEALS)");
  return Napi::Number::New(info.Env(), seals);
}

}  // namespace

void InitDescriptors(Napi::Env env, Napi::Object exports) {
  Export<Close>(exports, "close");
  Export<Dup>(exports, "dup");
  Export<SetCloexec>(exports, "setCloexec");
  Export<SetNonblocking>(exports, "setNonblocking");
  Export<Stat>(exports, "fstat");
  Export<FstatSize>(exports, "fstatSize");
  Export<EventFd>(exports, "eventfd");
  Export<EventFdRead>(exports, "eventfdRead");
  Export<Signal>(exports, "signal");
  Export<Drain>(exports, "drain");
  Export<MemfdCreate>(exports, "memfdCreate");
  Export<Ftruncate>(exports, "ftruncate");
  Export<AddSeals>(exports, "addSeals");
  Export<GetSeals>(exports, "getSeals");
  Napi::Object seals = Napi::Object::New(env);
  seals.Set("seal", Napi::Number::New(env, F_SEAL_SEAL));
  seals.Set("shrink", Napi::Number::New(env, F_SEAL_SHRINK));
  seals.Set("grow", Napi::Number::New(env, F_SEAL_GROW));
  seals.Set("write", Napi::Number::New(env, F_SEAL_WRITE));
#ifdef F_SEAL_FUTURE_WRITE
  seals.Set("futureWrite", Napi::Number::New(env, F_SEAL_FUTURE_WRITE));
#else
  seals.Set("futureWrite", Napi::Number::New(env, 0x10));
#endif
  exports.Set("seals", seals);
}

}  // namespace vgpu
