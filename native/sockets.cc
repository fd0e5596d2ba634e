// SPDX-License-Identifier: Apache-2.0
//
// Unix stream sockets with descriptor passing. All calls are non-blocking. A received descriptor is
// owned by a UniqueFd until the result object exists, so that no path out of recvmsg leaks one, and
// the control buffer has room for exactly `maxFds`: the kernel itself closes what does not fit.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <vector>

#include "support.h"

namespace vgpu {
namespace {

/// The kernel's own limit of descriptors in one message (SCM_MAX_FD).
constexpr size_t kMaxFdsPerMessage = 253;
/// 2 s: whoever holds the lock only looks at a path, but may not run for a while on a busy machine.
constexpr int kLockAttempts = 500;
constexpr useconds_t kLockPauseUs = 4000;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::string PathArg(const Napi::CallbackInfo& info, size_t index) {
  return StringArg(info, index, "path", sizeof(sockaddr_un::sun_path) - 1);
}

UniqueFd NewSocket(Napi::Env env, int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd.valid()) throw SystemError(env, errno, "socket");
  return fd;
}

/// Tells whether a process accepts connections at `path`; a full backlog counts as alive.
bool HasLiveListener(Napi::Env env, const std::string& path) {
  UniqueFd probe = NewSocket(env, SOCK_NONBLOCK);
  const sockaddr_un address = AddressOf(path);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return true;
  }
  return errno != ECONNREFUSED && errno != ENOENT;
}

/// Serialises starters at one folder: without it two of them could both find the socket stale and
/// the second would remove the first one's. A folder that stays locked is not waited for for long.
UniqueFd LockFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  UniqueFd lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int attempt = 0; lock.valid() && attempt < kLockAttempts; ++attempt) {
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) break;
    ::usleep(kLockPauseUs);
  }
  return lock;
}

void RemoveStaleSocket(Napi::Env env, const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    throw SystemError(env, errno, "lstat", "'" + path + "'");
  }
  // Only a socket is ever removed: a mistyped option must not cost the operator a file.
  if (!S_ISSOCK(status.st_mode)) {
    throw SystemError(env, EADDRINUSE, "listen", "'" + path + "': the path exists and is no socket");
  }
  if (HasLiveListener(env, path)) {
    throw SystemError(env, EADDRINUSE, "listen", "'" + path + "': another process listens there");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw SystemError(env, errno, "unlink", "'" + path + "'");
  }
}

Napi::Value Listen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = PathArg(info, 0);
  const int backlog = static_cast<int>(IntegerArg(info, 1, "backlog", 1, 65535));
  const mode_t mode = static_cast<mode_t>(IntegerArg(info, 2, "mode", 0, 0777));

  const UniqueFd lock = LockFolderOf(path);
  RemoveStaleSocket(env, path);
  UniqueFd fd = NewSocket(env, SOCK_NONBLOCK);
  // bind() creates the file with the socket inode's mode (less the umask), so that it is never
  // more open than asked for, not even between bind() and chmod().
  if (::fchmod(fd.get(), mode) != 0) throw SystemError(env, errno, "fchmod");
  const sockaddr_un address = AddressOf(path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw SystemError(env, errno, "bind", "'" + path + "'");
  }
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), backlog) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    throw SystemError(env, error, "listen", "'" + path + "'");
  }
  return Napi::Number::New(env, fd.release());
}

Napi::Value Accept(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArg(info, 0, "fd");
  for (;;) {
    const int peer = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer >= 0) return Napi::Number::New(env, peer);
    if (errno == EINTR) continue;
    // A peer that gave up between connect and accept is not the listener's error.
    if (errno == EAGAIN || errno == ECONNABORTED) return Napi::Number::New(env, -1);
    throw SystemError(env, errno, "accept");
  }
}

Napi::Value Connect(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = PathArg(info, 0);
  UniqueFd fd = NewSocket(env, SOCK_NONBLOCK);
  const sockaddr_un address = AddressOf(path);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw SystemError(env, errno, "connect", "'" + path + "'");
  }
  return Napi::Number::New(env, fd.release());
}

Napi::Value SocketPair(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::array<int, 2> fds{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) != 0) {
    throw SystemError(env, errno, "socketpair");
  }
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(0U, Napi::Number::New(env, fds[0]));
  result.Set(1U, Napi::Number::New(env, fds[1]));
  return result;
}

/// Takes the descriptors out of a received message into owners.
std::vector<UniqueFd> TakeDescriptors(msghdr* message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

/// recvmsg(fd, buffer, offset, length, maxFds, peek) → {bytes, fds, truncated}
Napi::Value RecvMsg(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArg(info, 0, "fd");
  const ByteSpan buffer = BytesArg(info, 1, "buffer");
  const uint64_t offset = U64Arg(info, 2, "offset", buffer.length);
  const uint64_t length = U64Arg(info, 3, "length", buffer.length - offset);
  const size_t max_fds = U64Arg(info, 4, "maxFds", kMaxFdsPerMessage);
  const bool peek = BoolArg(info, 5, "peek");

  iovec part{buffer.data + offset, length};
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMaxFdsPerMessage * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = max_fds == 0 ? nullptr : control.data();
  message.msg_controllen = max_fds == 0 ? 0 : CMSG_LEN(max_fds * sizeof(int));
  ssize_t bytes = 0;
  do {
    bytes = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0));
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0 && errno != EAGAIN) throw SystemError(env, errno, "recvmsg");

  std::vector<UniqueFd> fds;
  if (bytes >= 0) fds = TakeDescriptors(&message);
  Napi::Object result = Napi::Object::New(env);
  Napi::Array list = Napi::Array::New(env, fds.size());
  for (size_t i = 0; i < fds.size(); ++i) {
    list.Set(static_cast<uint32_t>(i), Napi::Number::New(env, fds[i].get()));
  }
  result.Set("bytes", Napi::Number::New(env, static_cast<double>(bytes)));
  result.Set("fds", list);
  result.Set("truncated",
             Napi::Boolean::New(env, bytes >= 0 && (message.msg_flags & MSG_CTRUNC) != 0));
  for (UniqueFd& received : fds) (void)received.release();
  return result;
}

/// sendmsg(fd, buffer, offset, length, fds) → bytes sent, or -1 when the socket is full
Napi::Value SendMsg(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArg(info, 0, "fd");
  const ByteSpan buffer = BytesArg(info, 1, "buffer");
  const uint64_t offset = U64Arg(info, 2, "offset", buffer.length);
  const uint64_t length = U64Arg(info, 3, "length", buffer.length - offset);
  if (!info[4].IsArray()) throw Napi::TypeError::New(env, "argument 'fds' must be an array");
  Napi::Array list = info[4].As<Napi::Array>();
  const uint32_t count = list.Length();
  if (count > kMaxFdsPerMessage) {
    throw Napi::RangeError::New(env, "argument 'fds' has " + std::to_string(count) +
                                         " descriptors; one message carries at most 253");
  }

  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMaxFdsPerMessage * sizeof(int))> control{};
  iovec part{buffer.data + offset, length};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (uint32_t i = 0; i < count; ++i) {
      Napi::Value item = list.Get(i);
      if (!item.IsNumber()) throw Napi::TypeError::New(env, "argument 'fds' must hold integers");
      const int passed = item.As<Napi::Number>().Int32Value();
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &passed, sizeof(int));
    }
  }
  for (;;) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return Napi::Number::New(env, static_cast<double>(sent));
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Napi::Number::New(env, -1);
    throw SystemError(env, errno, "sendmsg");
  }
}

Napi::Value Shutdown(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArg(info, 0, "fd");
  if (::shutdown(fd, SHUT_RDWR) != 0 && errno != ENOTCONN) {
    throw SystemError(env, errno, "shutdown");
  }
  return env.Undefined();
}

/// Whether a passed socket listens (a daemon is handed either a connection or a listener).
Napi::Value IsListening(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int listening = 0;
  socklen_t size = sizeof(listening);
  if (::getsockopt(FdArg(info, 0, "fd"), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) {
    throw SystemError(env, errno, "getsockopt");
  }
  return Napi::Boolean::New(env, listening != 0);
}

Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArg(info, 0, "fd");
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    throw SystemError(env, errno, "getsockopt");
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, credentials.pid));
  result.Set("uid", Napi::Number::New(env, credentials.uid));
  result.Set("gid", Napi::Number::New(env, credentials.gid));
  return result;
}

}  // namespace

void InitSockets(Napi::Env, Napi::Object exports) {
  Export<Listen>(exports, "listen");
  Export<Accept>(exports, "accept");
  Export<Connect>(exports, "connect");
  Export<SocketPair>(exports, "socketpair");
  Export<RecvMsg>(exports, "recvmsg");
  Export<SendMsg>(exports, "sendmsg");
  Export<Shutdown>(exports, "shutdown");
  Export<IsListening>(exports, "isListening");
  Export<PeerCredentials>(exports, "peerCredentials");
}

}  // namespace vgpu
