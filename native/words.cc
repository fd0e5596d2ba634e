// SPDX-License-Identifier: Apache-2.0
//
// Ordered access to words that another process reads or writes: ring indices, timeline fences,
// G-VMCS pages. JavaScript promises no order for memory that is not a SharedArrayBuffer, so these
// go through the addon. Two forms:
//
// - functions on (view, byteOffset), for occasional use;
// - RingWords, bound once to a view: no look-up of the typed array on each call. For ring loops.
//
// RingWaiter spins natively on up to 64 words, for short waits at sub-microsecond latency.
//
// SAFETY (whole file): every access is checked against the bound view's length and alignment, and
// views of unmapped memory are detached (length 0). The memory may belong to a hostile guest: any
// value may be read, and a page that vanishes is repaired by the SIGBUS guard.

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <array>
#include <cstring>
#include <memory>
#include <type_traits>

#include "mapping.h"
#include "support.h"

namespace vgpu {
namespace {

constexpr double kSpinNsMax = 1e9;
constexpr uint32_t kWaiterWordsMax = 64;
/// Reads of the clock cost about 20 ns; so many polls pass between two of them.
constexpr uint32_t kPollsPerClockRead = 16;
constexpr uint64_t kYieldEveryNs = 3000;

inline void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <typename T>
T LoadAcquire(const uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_ACQUIRE);
}

napi_value ThrowRange(napi_env env, const char* message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return nullptr;
}

napi_value ThrowType(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return nullptr;
}

template <typename T>
napi_value ToValue(napi_env env, T value) {
  napi_value result = nullptr;
  if constexpr (sizeof(T) == 8) {
    napi_create_double(env, static_cast<double>(value), &result);
  } else {
    napi_create_uint32(env, value, &result);
  }
  return result;
}

/// Reads an operand: exact for 8 to 32 bits; 64-bit ones take a safe integer or a BigInt.
template <typename T>
bool FromValue(napi_env env, napi_value value, T* out) {
  if constexpr (sizeof(T) == 8) {
    double number = 0;
    if (napi_get_value_double(env, value, &number) == napi_ok) {
      if (!(number >= 0 && number <= static_cast<double>(kMaxSafeInteger))) return false;
      *out = static_cast<T>(number);
      return true;
    }
    bool lossless = false;
    uint64_t wide = 0;
    if (napi_get_value_bigint_uint64(env, value, &wide, &lossless) != napi_ok || !lossless) {
      return false;
    }
    *out = wide;
    return true;
  } else {
    uint32_t number = 0;
    if (napi_get_value_uint32(env, value, &number) != napi_ok) return false;
    *out = static_cast<T>(number);
    return true;
  }
}

// ---- The operations, once for both forms -------------------------------------------------------

template <typename T>
struct Load {
  using Word = T;
  static constexpr size_t kOperands = 0;
  static constexpr bool kWrites = false;
  static napi_value Run(napi_env env, uint8_t* at, const napi_value*) {
    return ToValue(env, LoadAcquire<T>(at));
  }
};

struct LoadBig {
  using Word = uint64_t;
  static constexpr size_t kOperands = 0;
  static constexpr bool kWrites = false;
  static napi_value Run(napi_env env, uint8_t* at, const napi_value*) {
    napi_value result = nullptr;
    napi_create_bigint_uint64(env, LoadAcquire<uint64_t>(at), &result);
    return result;
  }
};

template <typename T>
struct Store {
  using Word = T;
  static constexpr size_t kOperands = 1;
  static constexpr bool kWrites = true;
  static napi_value Run(napi_env env, uint8_t* at, const napi_value* operands) {
    T value = 0;
    if (!FromValue(env, operands[0], &value)) return ThrowType(env, "the value is no such word");
    __atomic_store_n(reinterpret_cast<T*>(at), value, __ATOMIC_RELEASE);
    return nullptr;
  }
};

template <typename T>
struct Exchange {
  using Word = T;
  static constexpr size_t kOperands = 1;
  static constexpr bool kWrites = true;
  static napi_value Run(napi_env env, uint8_t* at, const napi_value* operands) {
    T value = 0;
    if (!FromValue(env, operands[0], &value)) return ThrowType(env, "the value is no such word");
    return ToValue(env, __atomic_exchange_n(reinterpret_cast<T*>(at), value, __ATOMIC_SEQ_CST));
  }
};

template <typename T>
struct FetchOr {
  using Word = T;
  static constexpr size_t kOperands = 1;
  static constexpr bool kWrites = true;
  static napi_value Run(napi_env env, uint8_t* at, const napi_value* operands) {
    T bits = 0;
    if (!FromValue(env, operands[0], &bits)) return ThrowType(env, "the bits are no such word");
    const T before = __atomic_fetch_or(reinterpret_cast<T*>(at), bits, __ATOMIC_SEQ_CST);
    return ToValue<uint32_t>(env, before);
  }
};

template <typename T>
struct CompareExchange {
  using Word = T;
  static constexpr size_t kOperands = 2;
  static constexpr bool kWrites = true;
  static napi_value Run(napi_env env, uint8_t* at, const napi_value* operands) {
    T expected = 0;
    T value = 0;
    if (!FromValue(env, operands[0], &expected) || !FromValue(env, operands[1], &value)) {
      return ThrowType(env, "the value is no such word");
    }
    __atomic_compare_exchange_n(reinterpret_cast<T*>(at), &expected, value, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return ToValue(env, expected);
  }
};

/// Resolves a word in `span`; null with a pending exception when it is outside or misaligned.
template <typename T>
uint8_t* WordAt(napi_env env, ByteSpan span, napi_value offset_value) {
  int64_t offset = -1;
  if (napi_get_value_int64(env, offset_value, &offset) != napi_ok) {
    ThrowType(env, "argument 'byteOffset' must be an integer");
    return nullptr;
  }
  if (offset < 0 || span.length < sizeof(T) ||
      static_cast<uint64_t>(offset) > span.length - sizeof(T)) {
    ThrowRange(env, "argument 'byteOffset' is outside the view");
    return nullptr;
  }
  uint8_t* at = span.data + offset;
  if (reinterpret_cast<uintptr_t>(at) % sizeof(T) != 0) {
    ThrowRange(env, "argument 'byteOffset' is not aligned to the word");
    return nullptr;
  }
  return at;
}

// ---- Functions on (view, byteOffset, …) --------------------------------------------------------

size_t ElementBytes(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    default:
      return 8;
  }
}

bool SpanOf(napi_env env, napi_value view, ByteSpan* span) {
  napi_typedarray_type type{};
  size_t elements = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, view, &type, &elements, &data, nullptr, nullptr) == napi_ok) {
    *span = {static_cast<uint8_t*>(data), elements * ElementBytes(type)};
    return true;
  }
  if (napi_get_arraybuffer_info(env, view, &data, &span->length) == napi_ok) {
    span->data = static_cast<uint8_t*>(data);
    return true;
  }
  ThrowType(env, "argument 'view' must be an ArrayBuffer or a typed array");
  return false;
}

bool IsReadonly(const uint8_t* at) {
  const std::shared_ptr<MapState> state = FindMapping(at);
  return state != nullptr && state->readonly();
}

template <typename Operation>
napi_value OnView(napi_env env, napi_callback_info info) {
  constexpr size_t kArguments = 2 + Operation::kOperands;
  size_t count = kArguments;
  std::array<napi_value, kArguments> arguments{};
  napi_get_cb_info(env, info, &count, arguments.data(), nullptr, nullptr);
  ByteSpan span;
  if (!SpanOf(env, arguments[0], &span)) return nullptr;
  uint8_t* at = WordAt<typename Operation::Word>(env, span, arguments[1]);
  if (at == nullptr) return nullptr;
  if (Operation::kWrites && IsReadonly(at)) {
    return ThrowType(env, "the mapping of this view is read-only");
  }
  return Operation::Run(env, at, arguments.data() + 2);
}

napi_value Fence(napi_env, napi_callback_info) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return nullptr;
}

Napi::Value Copy(const Napi::CallbackInfo& info) {
  const ByteSpan to = BytesArg(info, 0, "to");
  const uint64_t to_offset = U64Arg(info, 1, "toOffset", to.length);
  const ByteSpan from = BytesArg(info, 2, "from");
  const uint64_t from_offset = U64Arg(info, 3, "fromOffset", from.length);
  const uint64_t room =
      to.length - to_offset < from.length - from_offset ? to.length - to_offset
                                                        : from.length - from_offset;
  const uint64_t bytes = U64Arg(info, 4, "bytes", room);
  if (bytes > 0 && IsReadonly(to.data)) {
    throw Napi::TypeError::New(info.Env(), "the mapping of argument 'to' is read-only");
  }
  if (bytes > 0) std::memmove(to.data + to_offset, from.data + from_offset, bytes);
  return info.Env().Undefined();
}

// ---- RingWords ---------------------------------------------------------------------------------

/// Words at fixed offsets of one bound view. To JavaScript it is an object of functions, each with
/// this as its data: measured at half the time of methods, which unwrap their receiver on each call.
class RingWords {
 public:
  explicit RingWords(const Napi::CallbackInfo& info)
      : memory_(info, 0, "view"), span_{memory_.data(), memory_.length()} {}

  template <typename Operation>
  static napi_value Call(napi_env env, napi_callback_info info) {
    constexpr size_t kArguments = 1 + Operation::kOperands;
    size_t count = kArguments;
    std::array<napi_value, kArguments> arguments{};
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, arguments.data(), nullptr, &data);
    const auto* words = static_cast<const RingWords*>(data);
    if (!words->memory_.Alive()) return ThrowRange(env, "the memory of these words is unmapped");
    if (Operation::kWrites && words->memory_.readonly()) {
      return ThrowType(env, "the mapping of these words is read-only");
    }
    uint8_t* at = WordAt<typename Operation::Word>(env, words->span_, arguments[0]);
    if (at == nullptr) return nullptr;
    return Operation::Run(env, at, arguments.data() + 1);
  }

 private:
  MemoryRef memory_;
  ByteSpan span_;
};

/// Adds one operation. The function may outlive the object that carries it, so each one shares the
/// ownership of the words.
template <typename Operation>
void AddOperation(Napi::Object target, const std::shared_ptr<RingWords>& words, const char* name) {
  napi_env env = target.Env();
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, RingWords::Call<Operation>, words.get(),
                       &function);
  auto* share = new std::shared_ptr<RingWords>(words);
  napi_add_finalizer(
      env, function, share,
      [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<RingWords>*>(data); },
      nullptr, nullptr);
  target.Set(name, Napi::Value(env, function));
}

/// Called with `new`: the object that it returns stands in for the new one.
Napi::Value BindWords(const Napi::CallbackInfo& info) {
  const auto words = std::make_shared<RingWords>(info);
  Napi::Object result = Napi::Object::New(info.Env());
  AddOperation<Load<uint8_t>>(result, words, "load8");
  AddOperation<Load<uint16_t>>(result, words, "load16");
  AddOperation<Load<uint32_t>>(result, words, "load32");
  AddOperation<Load<uint64_t>>(result, words, "load64");
  AddOperation<LoadBig>(result, words, "loadBig64");
  AddOperation<Store<uint8_t>>(result, words, "store8");
  AddOperation<Store<uint16_t>>(result, words, "store16");
  AddOperation<Store<uint32_t>>(result, words, "store32");
  AddOperation<Store<uint64_t>>(result, words, "store64");
  AddOperation<Exchange<uint32_t>>(result, words, "exchange32");
  AddOperation<CompareExchange<uint32_t>>(result, words, "compareExchange32");
  AddOperation<FetchOr<uint8_t>>(result, words, "fetchOr8");
  AddOperation<FetchOr<uint32_t>>(result, words, "fetchOr32");
  return result;
}

// ---- Waiting -----------------------------------------------------------------------------------

/// Polls until `changed()` returns an index ≥ 0 or `max_ns` have passed (then -1). It yields the
/// core now and then, and at least once: the one that is to change the word may be waiting for it.
template <typename Changed>
int32_t SpinFor(double max_ns, Changed changed) {
  int32_t index = changed();
  if (index >= 0 || max_ns <= 0) return index;
  uint64_t now = NowNs();
  const uint64_t deadline = now + static_cast<uint64_t>(max_ns);
  uint64_t yield_at = std::min(now + kYieldEveryNs, deadline);
  for (;;) {
    for (uint32_t poll = 0; poll < kPollsPerClockRead; ++poll) {
      CpuRelax();
      index = changed();
      if (index >= 0) return index;
    }
    now = NowNs();
    if (now >= yield_at) {
      ::sched_yield();
      index = changed();
      if (index >= 0) return index;
      now = NowNs();
      yield_at = std::min(now + kYieldEveryNs, deadline);
    }
    if (now >= deadline) return -1;
  }
}

/// spinUntilChanged16(view, byteOffset, expected, maxNs) → whether the word differs
napi_value SpinUntilChanged16(napi_env env, napi_callback_info info) {
  size_t count = 4;
  std::array<napi_value, 4> arguments{};
  napi_get_cb_info(env, info, &count, arguments.data(), nullptr, nullptr);
  ByteSpan span;
  if (!SpanOf(env, arguments[0], &span)) return nullptr;
  const uint8_t* at = WordAt<uint16_t>(env, span, arguments[1]);
  if (at == nullptr) return nullptr;
  uint16_t expected = 0;
  double max_ns = 0;
  if (!FromValue(env, arguments[2], &expected) ||
      napi_get_value_double(env, arguments[3], &max_ns) != napi_ok) {
    return ThrowType(env, "arguments 'expected' and 'maxNs' must be numbers");
  }
  if (!(max_ns >= 0 && max_ns <= kSpinNsMax)) {
    return ThrowRange(env, "argument 'maxNs' is outside 0 to 1000000000");
  }
  const int32_t index =
      SpinFor(max_ns, [&] { return LoadAcquire<uint16_t>(at) != expected ? 0 : -1; });
  napi_value result = nullptr;
  napi_get_boolean(env, index >= 0, &result);
  return result;
}

/// Watches up to 64 words of 16 bits; see RingWaiter in src/io/native.ts.
class RingWaiter : public Napi::ObjectWrap<RingWaiter> {
 public:
  static void Define(Napi::Env env, Napi::Object exports) {
    exports.Set("RingWaiter", DefineClass(env, "RingWaiter",
                                          {
                                              InstanceMethod<&RingWaiter::Watch>("watch"),
                                              InstanceMethod<&RingWaiter::Expect>("expect"),
                                              InstanceMethod<&RingWaiter::Unwatch>("unwatch"),
                                              InstanceMethod<&RingWaiter::Spin>("spin"),
                                          }));
  }

  explicit RingWaiter(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RingWaiter>(info) {}

 private:
  struct Entry {
    MemoryRef memory;
    const uint8_t* at = nullptr;
    uint16_t expected = 0;
  };

  static uint32_t IndexArg(const Napi::CallbackInfo& info) {
    return static_cast<uint32_t>(IntegerArg(info, 0, "index", 0, kWaiterWordsMax - 1));
  }

  /// The word at an offset that was checked against the view's length.
  static const uint8_t* WordOf(const Napi::CallbackInfo& info, const Entry& entry,
                               uint64_t offset) {
    const uint8_t* at = entry.memory.data() + offset;
    if (reinterpret_cast<uintptr_t>(at) % 2 != 0) {
      throw Napi::RangeError::New(info.Env(), "argument 'byteOffset' is not aligned to 2");
    }
    return at;
  }

  /// watch(index, view, byteOffset, expected)
  Napi::Value Watch(const Napi::CallbackInfo& info) {
    const uint32_t index = IndexArg(info);
    Entry entry;
    entry.memory = MemoryRef(info, 1, "view");
    const uint64_t length = entry.memory.length();
    if (length < 2) throw Napi::RangeError::New(info.Env(), "argument 'view' has under 2 bytes");
    entry.at = WordOf(info, entry, U64Arg(info, 2, "byteOffset", length - 2));
    entry.expected = static_cast<uint16_t>(IntegerArg(info, 3, "expected", 0, 0xffff));
    entries_[index] = std::move(entry);
    if (index >= used_) used_ = index + 1;
    return info.Env().Undefined();
  }

  /// expect(index, value, byteOffset?): what is compared with what from now on
  Napi::Value Expect(const Napi::CallbackInfo& info) {
    Entry& entry = entries_[IndexArg(info)];
    const auto expected = static_cast<uint16_t>(IntegerArg(info, 1, "value", 0, 0xffff));
    if (info.Length() > 2 && entry.at != nullptr) {
      // SAFETY: a watched view has at least 2 bytes, see Watch.
      const uint64_t last = entry.memory.length() - 2;
      entry.at = WordOf(info, entry, U64Arg(info, 2, "byteOffset", last));
    }
    entry.expected = expected;
    return info.Env().Undefined();
  }

  Napi::Value Unwatch(const Napi::CallbackInfo& info) {
    entries_[IndexArg(info)] = Entry{};
    while (used_ > 0 && entries_[used_ - 1].at == nullptr) --used_;
    return info.Env().Undefined();
  }

  /// spin(maxNs) → the least index whose word differs from what it expects, or -1
  Napi::Value Spin(const Napi::CallbackInfo& info) {
    const double max_ns = static_cast<double>(
        IntegerArg(info, 0, "maxNs", 0, static_cast<int64_t>(kSpinNsMax)));
    std::array<const Entry*, kWaiterWordsMax> live{};
    uint32_t count = 0;
    for (uint32_t index = 0; index < used_; ++index) {
      const Entry& entry = entries_[index];
      // Nothing can unmap or detach while this thread spins, so once before the loop is enough.
      if (entry.at != nullptr && entry.memory.Alive()) live[count++] = &entry;
    }
    if (count == 0) return Napi::Number::New(info.Env(), -1);
    const int32_t hit = SpinFor(max_ns, [&]() -> int32_t {
      for (uint32_t i = 0; i < count; ++i) {
        if (LoadAcquire<uint16_t>(live[i]->at) != live[i]->expected) return static_cast<int32_t>(i);
      }
      return -1;
    });
    const int32_t index =
        hit < 0 ? -1 : static_cast<int32_t>(live[static_cast<size_t>(hit)] - entries_.data());
    return Napi::Number::New(info.Env(), index);
  }

  std::array<Entry, kWaiterWordsMax> entries_;
  uint32_t used_ = 0;
};

}  // namespace

void InitWords(Napi::Env env, Napi::Object exports) {
  ExportRaw(exports, "loadAcquire8", OnView<Load<uint8_t>>);
  ExportRaw(exports, "loadAcquire16", OnView<Load<uint16_t>>);
  ExportRaw(exports, "loadAcquire32", OnView<Load<uint32_t>>);
  ExportRaw(exports, "loadAcquire64", OnView<Load<uint64_t>>);
  ExportRaw(exports, "loadAcquireBig64", OnView<LoadBig>);
  ExportRaw(exports, "storeRelease8", OnView<Store<uint8_t>>);
  ExportRaw(exports, "storeRelease16", OnView<Store<uint16_t>>);
  ExportRaw(exports, "storeRelease32", OnView<Store<uint32_t>>);
  ExportRaw(exports, "storeRelease64", OnView<Store<uint64_t>>);
  ExportRaw(exports, "exchange32", OnView<Exchange<uint32_t>>);
  ExportRaw(exports, "compareExchange32", OnView<CompareExchange<uint32_t>>);
  ExportRaw(exports, "fetchOr8", OnView<FetchOr<uint8_t>>);
  ExportRaw(exports, "fetchOr32", OnView<FetchOr<uint32_t>>);
  ExportRaw(exports, "fence", Fence);
  ExportRaw(exports, "spinUntilChanged16", SpinUntilChanged16);
  Export<Copy>(exports, "copy");
  Export<BindWords>(exports, "RingWords");
  RingWaiter::Define(env, exports);
}

}  // namespace vgpu
