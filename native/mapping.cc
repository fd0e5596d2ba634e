// SPDX-License-Identifier: Apache-2.0
//
// Mappings of guest memory and shared pages, seen by JavaScript as external ArrayBuffers
// ("windows") of at most 1 GiB: Node 20 has no larger ones than 4 GiB, so a large region is mapped
// once and looked at through several windows.
//
// Lifetime: a window holds the mapping alive until it is collected, and `unmap()` detaches every
// window before it unmaps, so a stale view has length 0 and can never reach freed memory.

#include "mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <utility>

#include "sigbus.h"

namespace vgpu {
namespace {

constexpr uint64_t kWindowBytesMax = uint64_t{1} << 30;
constexpr uint64_t kRegionBytesMax = uint64_t{1} << 46;
constexpr uint64_t kOffsetMax = uint64_t{1} << 62;
constexpr long kHugetlbfsMagic = 0x958458f6;

std::mutex g_registry_lock;
std::map<const uint8_t*, std::weak_ptr<MapState>> g_registry;  // by data()

size_t PageBytesOf(int fd) {
  struct statfs status {};
  // On hugetlbfs a mapping, and any change of a part of it, is in units of the huge page.
  if (::fstatfs(fd, &status) == 0 && static_cast<long>(status.f_type) == kHugetlbfsMagic) {
    return static_cast<size_t>(status.f_bsize);
  }
  return static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

void MapState::Unmap() {
  if (!mapped_.exchange(false, std::memory_order_acq_rel)) return;
  {
    const std::lock_guard<std::mutex> lock(g_registry_lock);
    g_registry.erase(data());
  }
  last_faults_ = GuardFaults(guard_slot_);
  GuardRemove(guard_slot_);
  // SAFETY: the range is exactly what MapFile mapped; windows are detached or hold this object.
  ::munmap(base_, mapped_bytes_);
  fd_.reset();
}

uint32_t MapState::faults() const { return mapped() ? GuardFaults(guard_slot_) : last_faults_; }

std::shared_ptr<MapState> MapFile(Napi::Env env, int fd, uint64_t offset, uint64_t bytes,
                                  bool readonly) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw SystemError(env, errno, "fstat");
  const uint64_t size = static_cast<uint64_t>(status.st_size);
  if (S_ISREG(status.st_mode) && (size < offset || size - offset < bytes)) {
    throw Napi::RangeError::New(env, "the region of " + std::to_string(bytes) + " bytes at offset " +
                                         std::to_string(offset) + " exceeds the file of " +
                                         std::to_string(size) + " bytes");
  }
  auto state = std::make_shared<MapState>();
  state->fd_ = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!state->fd_.valid()) throw SystemError(env, errno, "fcntl(F_DUPFD_CLOEXEC)");
  const size_t page = PageBytesOf(fd);
  state->skew_ = offset % page;
  state->bytes_ = bytes;
  state->mapped_bytes_ = (state->skew_ + bytes + page - 1) / page * page;
  state->readonly_ = readonly;
  const uint64_t start = offset - state->skew_;
  const int protection = readonly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* base = ::mmap(nullptr, state->mapped_bytes_, protection, MAP_SHARED | MAP_NORESERVE,
                      state->fd_.get(), static_cast<off_t>(start));
  if (base == MAP_FAILED) throw SystemError(env, errno, "mmap");
  state->base_ = static_cast<uint8_t*>(base);
  // A core dump of ours must not hold a guest's memory. It is a matter of size and secrecy only, so
  // a kernel that refuses does not stop us.
  (void)::madvise(base, state->mapped_bytes_, MADV_DONTDUMP);
  state->guard_slot_ =
      GuardAdd({state->base_, state->mapped_bytes_, page, state->fd_.get(), start, readonly});
  if (state->guard_slot_ < 0) {
    ::munmap(base, state->mapped_bytes_);
    throw Napi::RangeError::New(
        env, "there are " + std::to_string(kGuardedRangesMax) + " mappings, the limit");
  }
  state->mapped_.store(true, std::memory_order_release);
  const std::lock_guard<std::mutex> lock(g_registry_lock);
  g_registry[state->data()] = state;
  return state;
}

std::shared_ptr<MapState> FindMapping(const uint8_t* address) {
  // Declared before the lock: should this be the last reference, its destructor takes the lock.
  std::shared_ptr<MapState> state;
  const std::lock_guard<std::mutex> lock(g_registry_lock);
  auto after = g_registry.upper_bound(address);
  if (after == g_registry.begin()) return nullptr;
  state = std::prev(after)->second.lock();
  if (state == nullptr || address >= state->data() + state->bytes()) return nullptr;
  return state;
}

MemoryRef::MemoryRef(const Napi::CallbackInfo& info, size_t index, const char* name)
    : span_(BytesArg(info, index, name)) {
  if (span_.data == nullptr || span_.length == 0) {
    throw Napi::RangeError::New(info.Env(), std::string("argument '") + name +
                                                "' is empty: its buffer is detached or of 0 bytes");
  }
  state_ = FindMapping(span_.data);
  if (state_ == nullptr) {
    Napi::Object buffer = BufferOf(info[index]).As<Napi::Object>();
    buffer_ = std::make_shared<Napi::ObjectReference>(Napi::Persistent(buffer));
  }
}

bool MemoryRef::BufferAttached() const {
  if (buffer_ == nullptr) return false;
  const Napi::HandleScope scope(buffer_->Env());
  bool detached = false;
  return napi_is_detached_arraybuffer(buffer_->Env(), buffer_->Value(), &detached) == napi_ok &&
         !detached;
}

/// The JavaScript class: `new Mapping(fd, offset, bytes, readonly)`.
class Mapping : public Napi::ObjectWrap<Mapping> {
 public:
  static void Define(Napi::Env env, Napi::Object exports) {
    exports.Set("Mapping", DefineClass(env, "Mapping",
                                       {
                                           InstanceMethod<&Mapping::Window>("window"),
                                           InstanceMethod<&Mapping::Unmap>("unmap"),
                                           InstanceAccessor<&Mapping::GetBytes>("bytes"),
                                           InstanceAccessor<&Mapping::GetMapped>("mapped"),
                                           InstanceAccessor<&Mapping::GetPoisoned>("poisoned"),
                                           InstanceAccessor<&Mapping::GetFaults>("faults"),
                                           InstanceAccessor<&Mapping::GetReadonly>("readonly"),
                                       }));
  }

  explicit Mapping(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Mapping>(info) {
    const int fd = FdArg(info, 0, "fd");
    const uint64_t offset = U64Arg(info, 1, "offset", kOffsetMax);
    const uint64_t bytes = U64Arg(info, 2, "bytes", kRegionBytesMax);
    const bool readonly = BoolArg(info, 3, "readonly");
    if (bytes == 0) throw Napi::RangeError::New(info.Env(), "argument 'bytes' is 0");
    state_ = MapFile(info.Env(), fd, offset, bytes, readonly);
  }

 private:
  using WindowKey = std::pair<uint64_t, uint64_t>;

  Napi::Value Window(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!state_->mapped()) throw Napi::Error::New(env, "the mapping is unmapped");
    const uint64_t offset = U64Arg(info, 0, "offset", state_->bytes() - 1);
    const uint64_t left = state_->bytes() - offset;
    const uint64_t length = U64Arg(info, 1, "length", left < kWindowBytesMax ? left : kWindowBytesMax);
    if (length == 0) throw Napi::RangeError::New(env, "argument 'length' is 0");
    const auto found = windows_.find({offset, length});
    if (found != windows_.end()) {
      Napi::Object cached = found->second.Value();
      if (!cached.IsEmpty() && !IsDetached(env, cached)) return cached;
    }
    return NewWindow(env, offset, length);
  }

  Napi::Value NewWindow(Napi::Env env, uint64_t offset, uint64_t length) {
    DropCollectedWindows();
    // SAFETY: [offset, offset + length) is inside the mapping; the finalizer's copy of `state_`
    // keeps it mapped for as long as the buffer is attached.
    auto* hold = new std::shared_ptr<MapState>(state_);
    napi_value buffer = nullptr;
    const napi_status status = napi_create_external_arraybuffer(
        env, state_->data() + offset, length,
        [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<MapState>*>(hint); },
        hold, &buffer);
    if (status != napi_ok) {
      delete hold;
      throw Napi::Error::New(env, "a window of the mapping cannot be created");
    }
    Napi::Object object(env, buffer);
    windows_[{offset, length}] = Napi::Weak(object);
    return object;
  }

  /// Keeps the cache from growing with keys whose windows are long collected.
  void DropCollectedWindows() {
    if (windows_.size() < sweep_at_) return;
    for (auto entry = windows_.begin(); entry != windows_.end();) {
      entry = entry->second.Value().IsEmpty() ? windows_.erase(entry) : std::next(entry);
    }
    sweep_at_ = windows_.size() * 2 + 16;
  }

  static bool IsDetached(napi_env env, napi_value buffer) {
    bool detached = false;
    return napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached;
  }

  Napi::Value Unmap(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!state_->mapped()) return env.Undefined();
    for (auto& [key, reference] : windows_) {
      Napi::Object window = reference.Value();
      if (window.IsEmpty()) continue;
      // ArrayBuffer.prototype.transfer (Node 22) moves the memory into a buffer unknown here.
      if (IsDetached(env, window)) {
        throw Napi::Error::New(env, "a window of the mapping was transferred; it stays mapped");
      }
    }
    for (auto& [key, reference] : windows_) {
      Napi::Object window = reference.Value();
      if (window.IsEmpty()) continue;
      if (napi_detach_arraybuffer(env, window) != napi_ok) {
        throw Napi::Error::New(env, "a window of the mapping cannot be detached");
      }
    }
    windows_.clear();
    state_->Unmap();
    return env.Undefined();
  }

  Napi::Value GetBytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(state_->bytes()));
  }
  Napi::Value GetMapped(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), state_->mapped());
  }
  Napi::Value GetPoisoned(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), state_->faults() > 0);
  }
  Napi::Value GetFaults(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), state_->faults());
  }
  Napi::Value GetReadonly(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), state_->readonly());
  }

  std::shared_ptr<MapState> state_;
  std::map<WindowKey, Napi::ObjectReference> windows_;
  size_t sweep_at_ = 16;
};

void InitMapping(Napi::Env env, Napi::Object exports) { Mapping::Define(env, exports); }

}  // namespace vgpu
