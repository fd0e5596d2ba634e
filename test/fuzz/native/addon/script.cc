// SPDX-License-Identifier: Apache-2.0
//
// The addon under libFuzzer: its own objects over the model of Node-API and libuv. An input is a
// script: calls of everything that the addon exports, with arguments that mostly fit, callbacks that
// call again, collections at any allocation, files that shrink under their mappings, and descriptors
// that run out. At the end nothing is left: no value, handle, descriptor or mapping.
//
//   step:      kind u8, then what the kind needs (see Script::Step)
//   argument:  u8 that chooses among what fits its letter (see kCalls), or, from 0xe0 on, anything

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string_view>

#include "model.h"

extern "C" napi_value napi_register_module_v1(napi_env env, napi_value exports);
extern "C" void* __real_mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset);
extern "C" int __real_munmap(void* at, size_t bytes);

namespace {

using model::Kind;
using model::Value;

constexpr size_t kSlots = 12;
constexpr int kStepsMax = 200;
constexpr int kNestingMax = 3;
constexpr uint8_t kWild = 0xe0;
constexpr double kCopyMax = 65536;
constexpr int kDescriptorsMax = 400;

/// What each export and member takes. f descriptor, l list of them, v view, o offset or length,
/// z size of a file, b flag, s name, c callback, w word, e events, i index, t nanoseconds, 0 zero
const std::map<std::string_view, const char*> kCalls = {
    {"listen", "sii"},          {"accept", "f"},           {"connect", "s"},
    {"socketpair", ""},         {"recvmsg", "fvooib"},     {"sendmsg", "fvool"},
    {"shutdown", "f"},          {"isListening", "f"},      {"peerCredentials", "f"},
    {"close", "f"},             {"dup", "f"},              {"setCloexec", "fb"},
    {"setNonblocking", "fb"},   {"fstat", "f"},            {"fstatSize", "f"},
    {"eventfd", "i"},           {"eventfdRead", "f"},      {"signal", "f"},
    {"drain", "f"},             {"memfdCreate", "szb"},    {"ftruncate", "fz"},
    {"addSeals", "fi"},         {"getSeals", "f"},         {"copy", "vovoo"},
    {"nowNs", ""},              {"setPdeathsig", "0"},     {"prctlName", "s"},
    {"pidfdOpen", "i"},         {"pidfdSendSignal", "f0"}, {"setAffinity", "0l"},
    {"getAffinity", "0"},       {"raiseNofile", ""},       {"fence", ""},
    {"Mapping", "fozb"},        {"window", "oo"},          {"unmap", ""},
    {"RingWords", "v"},         {"RingWaiter", ""},        {"expect", "iwo"},
    {"unwatch", "i"},           {"spin", "t"},             {"Poller", ""},
    {"HrTimer", ""},            {"arm", "tc"},             {"spinUntilChanged16", "vowt"},
    {"loadAcquire8", "vo"},     {"loadAcquire16", "vo"},   {"loadAcquire32", "vo"},
    {"loadAcquire64", "vo"},    {"loadAcquireBig64", "vo"}, {"storeRelease8", "vow"},
    {"storeRelease16", "vow"},  {"storeRelease32", "vow"}, {"storeRelease64", "vow"},
    {"exchange32", "vow"},      {"compareExchange32", "voww"}, {"fetchOr8", "vow"},
    {"fetchOr32", "vow"},
};
/// Members of RingWords: the same without the view; and those that two classes have.
const std::map<std::string_view, const char*> kWords = {
    {"load8", "o"},      {"load16", "o"},      {"load32", "o"},
    {"load64", "o"},     {"loadBig64", "o"},   {"store8", "ow"},
    {"store16", "ow"},   {"store32", "ow"},    {"store64", "ow"},
    {"exchange32", "ow"}, {"compareExchange32", "oww"}, {"fetchOr8", "ow"},
    {"fetchOr32", "ow"},
};
const std::set<std::string_view> kGivesDescriptor = {"listen", "accept",      "connect",  "dup",
                                                     "eventfd", "memfdCreate", "pidfdOpen"};

/// Pages that the addon has mapped and not unmapped; those of the guard replace others.
int64_t g_mapped = 0;

class Script {
 public:
  Script(const uint8_t* data, size_t bytes) : input_{data, bytes} {}

  void Run();

 private:
  Value* Wild(int depth);
  Value* Number(double number) { return environment_.Number(number); }
  double Quantity();
  Value* Descriptor(uint8_t choice);
  Value* List(uint8_t choice);
  Value* Argument(char letter, int depth);
  Value* NewFunction();
  std::string Name();
  std::vector<Value*> Arguments(std::string_view name, const char* letters);
  void Restrain(std::string_view name, const char* letters, std::vector<Value*>& arguments);
  void Keep(std::string_view name, Value* result);
  void Own(Value* number);
  void CallExport();
  void CallMember();
  void NewView();
  void Touch();
  void Act();
  void Step();
  void Called(Value* argument);
  void End();
  void CloseAll();

  static Script* running_;

  input input_;
  model::Environment environment_;
  Value* keeper_ = nullptr;   // holds what the slots hold
  Value* calling_ = nullptr;  // holds arguments
  std::vector<std::pair<std::string, Value*>> exports_;
  std::vector<int> descriptors_;
  std::set<int> owned_;  // descriptors that JavaScript got and has not closed
  int first_ = 3;        // lowest descriptor that is not the fuzzer's
  int nesting_ = 0;
  int steps_ = 0;
  bool listened_ = false;
  rlimit limit_{};
};

Script* Script::running_ = nullptr;

double Script::Quantity() {
  static constexpr std::array<double, 20> edges = {
      0,          1,       2,       7,        8,         4095,      4096,       4097,
      65535,      65536,   0x1p30,  0x1p31,   0x1p32,    0x1p46,    0x1p53 - 1, 0x1p53,
      0x1p62,     -1,      0.5,     0x1p1023};
  const uint8_t choice = take_u8(&input_);
  return choice < edges.size() ? edges[choice] : static_cast<double>(take_u64(&input_) >> (choice % 64));
}

/// Anything at all.
Value* Script::Wild(int depth) {
  switch (take_u8(&input_) % 10) {
    case 0:
      return environment_.Make(Kind::undefined);
    case 1:
      return Number(Quantity());
    case 2: {
      Value* value = environment_.Make(Kind::bigint);
      value->big = take_u64(&input_);
      value->negative = (value->big & 7) == 7;
      return value;
    }
    case 3:
      return environment_.String(Name());
    case 4:
      return NewFunction();
    case 5: {
      Value* value = environment_.Make(Kind::array);
      for (int i = take_u8(&input_) % 4; i > 0 && depth < 2; --i) value->elements.push_back(Wild(depth + 1));
      return value;
    }
    case 6:
      return Number(std::numeric_limits<double>::quiet_NaN());
    case 7:
      return environment_.Make(Kind::object);
    default: {
      Value* value = keeper_->elements[take_u8(&input_) % (2 * kSlots)];
      return value != nullptr ? value : environment_.Make(Kind::undefined);
    }
  }
}

std::string Script::Name() {
  const uint8_t choice = take_u8(&input_);
  if (choice < 200) return std::string(1, static_cast<char>('a' + choice % 4));
  std::string name(choice == 255 ? 300 : choice - 200, 'x');
  for (size_t i = 0; i < std::min<size_t>(name.size(), 8); ++i) name[i] = static_cast<char>(take_u8(&input_));
  std::replace(name.begin(), name.end(), '/', '_');
  return name == "." || name == ".." ? "x" : name;
}

Value* Script::Descriptor(uint8_t choice) {
  return Number(descriptors_.empty() ? -1 : descriptors_[choice % descriptors_.size()]);
}

Value* Script::List(uint8_t choice) {
  Value* list = environment_.Make(Kind::array);
  // Once in a while one more than a message carries.
  const int count = choice == 0xdf ? 254 : choice % 9;
  for (int i = 0; i < count; ++i) list->elements.push_back(Descriptor(static_cast<uint8_t>(choice / 9 + i)));
  return list;
}

Value* Script::NewFunction() {
  Value* function = environment_.Make(Kind::function);
  function->number = take_u8(&input_);
  return function;
}

Value* Script::Argument(char letter, int depth) {
  const uint8_t choice = take_u8(&input_);
  if (choice >= kWild) return Wild(depth);
  switch (letter) {
    case 'f':
      return Descriptor(choice);
    case 'l':
      return List(choice);
    case 'v': {
      Value* view = keeper_->elements[choice % kSlots];
      return view != nullptr ? view : environment_.Buffer(choice);
    }
    case 'o':
      return Number(choice < 192 ? choice / 2 * 2 : (choice - 192) * 2048 + take_u8(&input_));
    case 'z':
      return Number(choice < 128 ? choice * 512 : choice);
    case 'b': {
      Value* value = environment_.Make(Kind::boolean);
      value->number = choice & 1;
      return value;
    }
    case 's':
      return environment_.String(Name());
    case 'c':
      return NewFunction();
    case 'w':
      return Number(take_u32(&input_));
    case 't':
      return Number(choice * 4);
    case '0':
      return Number(0);
    default:
      return Number(choice);
  }
}

std::vector<Value*> Script::Arguments(std::string_view name, const char* letters) {
  std::vector<Value*> arguments;
  for (const char* letter = letters; *letter != '\0'; ++letter) {
    arguments.push_back(Argument(*letter, 0));
    calling_->elements.push_back(arguments.back());
  }
  // Now and then one fewer.
  if (!arguments.empty() && take_u8(&input_) >= 0xf8) arguments.pop_back();
  Restrain(name, letters, arguments);
  return arguments;
}

/// Keeps a script from what would end, stop or slow the fuzzer, and not the addon.
void Script::Restrain(std::string_view name, const char* letters, std::vector<Value*>& arguments) {
  // What is neither JavaScript's own nor closed belongs to the fuzzer or to the addon itself.
  const auto own_only = [&](Value* value) {
    if (value->kind != Kind::number || !(value->number >= 0 && value->number < 1e6)) return;
    const int fd = static_cast<int>(value->number);
    if (!owned_.contains(fd) && ::fcntl(fd, F_GETFD) >= 0) value->number = -1;
  };
  for (size_t i = 0; i < arguments.size(); ++i) {
    Value* value = arguments[i];
    if (letters[i] == 'f') {
      arguments[i] = value->kind == Kind::number ? Number(value->number) : value;
      calling_->elements.push_back(arguments[i]);
      own_only(arguments[i]);
    }
    if (letters[i] == 'l') std::for_each(value->elements.begin(), value->elements.end(), own_only);
    if (letters[i] == '0' && value->kind == Kind::number) value->number = 0;
    if ((letters[i] == 't' || name == "arm") && value->kind == Kind::number && value->number > 2000 &&
        value->number <= 1e9)
      value->number = 2000;
    if (name == "copy" && i == 4) {
      if (value->number > kCopyMax && value->number < 0x1p32) value->number = kCopyMax;
      if (value->kind == Kind::bigint && value->big < 0x1p32) value->big %= 65536;
    }
  }
  // What blocks by its own mode would block for ever here.
  if (name == "accept" && !arguments.empty()) {
    const double number = arguments[0]->number;
    const int fd = number >= 0 && number < 1e6 ? static_cast<int>(number) : -1;
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags >= 0) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  }
}

void Script::Own(Value* number) {
  PROMISE(number->kind == Kind::number);
  const int fd = static_cast<int>(number->number);
  if (fd < 0) return;
  const int flags = ::fcntl(fd, F_GETFD);
  PROMISE(flags >= 0 && (flags & FD_CLOEXEC) != 0);
  PROMISE(owned_.insert(fd).second);
  descriptors_.push_back(fd);
}

void Script::Keep(std::string_view name, Value* result) {
  if (kGivesDescriptor.contains(name)) return Own(result);
  if (name == "socketpair") {
    for (Value* each : result->elements) Own(each);
  } else if (name == "recvmsg") {
    for (Value* each : result->properties.at("fds")->elements) Own(each);
  } else if (result->kind == Kind::buffer) {
    keeper_->elements[take_u8(&input_) % kSlots] = result;
  } else if (result->kind == Kind::object) {
    keeper_->elements[kSlots + take_u8(&input_) % kSlots] = result;
  }
}

void Script::CallExport() {
  const auto& [name, function] = exports_[take_u8(&input_) % exports_.size()];
  const auto letters = kCalls.find(name);
  if (letters == kCalls.end()) return;
  if (owned_.size() >= kDescriptorsMax && name != "close") return;
  const std::vector<Value*> arguments = Arguments(name, letters->second);
  if (name == "listen") listened_ = true;
  Value* result = environment_.Call(function, environment_.exports, arguments, true);
  if (result != nullptr) Keep(name, result);
  if (result != nullptr && name == "close") owned_.erase(static_cast<int>(arguments[0]->number));
}

void Script::CallMember() {
  Value* receiver = keeper_->elements[kSlots + take_u8(&input_) % kSlots];
  const uint8_t choice = take_u8(&input_);
  if (receiver == nullptr) return;
  Value* result = nullptr;
  std::string_view name;
  if (receiver->made_by != nullptr) {
    const auto& members = receiver->made_by->members;
    const napi_property_descriptor& member = members[choice % members.size()];
    name = member.utf8name;
    const auto found = kCalls.find(name);
    const char* letters = found != kCalls.end() ? found->second : "";
    if (name == "watch") letters = receiver->made_by->name == "Poller" ? "fec" : "ivow";
    result = environment_.CallMember(receiver, member, Arguments(name, letters));
  } else if (!receiver->properties.empty()) {
    auto property = receiver->properties.begin();
    std::advance(property, choice % receiver->properties.size());
    name = property->first;
    const auto letters = kWords.find(name);
    if (letters == kWords.end() || property->second->callback == nullptr) return;
    result = environment_.Call(property->second, receiver, Arguments("", letters->second), false);
  }
  if (result != nullptr) Keep(name, result);
}

/// An ArrayBuffer, or a view of one that is there.
void Script::NewView() {
  const uint8_t choice = take_u8(&input_);
  Value*& slot = keeper_->elements[take_u8(&input_) % kSlots];
  Value* from = keeper_->elements[choice % kSlots];
  if (choice < 96 || from == nullptr || from->kind != Kind::buffer) {
    slot = environment_.Buffer(choice * (choice & 3));
    return;
  }
  const size_t bytes = from->store.bytes;
  const auto type = static_cast<napi_typedarray_type>(choice % (napi_biguint64_array + 1));
  const bool data_view = choice >= 224;
  constexpr std::array<size_t, 11> sizes = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  const size_t size = data_view ? 1 : sizes[type];
  const size_t offset = bytes == 0 ? 0 : take_u32(&input_) % bytes / size * size;
  const size_t length = take_u32(&input_) % ((bytes - offset) / size + 1);
  slot = environment_.View(from, type, offset, length);
  if (data_view) slot->kind = Kind::dataView;
}

/// Reads memory as JavaScript does: the file below may have shrunk.
void Script::Touch() {
  Value* value = keeper_->elements[take_u8(&input_) % kSlots];
  if (value == nullptr || value->kind != Kind::buffer || value->store.bytes == 0) return;
  const size_t at = (take_u32(&input_) & 0xffff) % value->store.bytes;
  const auto read = [&](size_t index) { return *static_cast<volatile uint8_t*>(value->store.data + index); };
  (void)read(at);
  (void)read(value->store.bytes - 1);
}

void Script::Act() {
  const uint8_t choice = take_u8(&input_);
  switch (choice % 7) {
    case 0:
      if (nesting_ == 0) environment_.Turn();
      break;
    case 1:
      environment_.Collect();
      break;
    case 2:
      Touch();
      break;
    case 3: {
      // No descriptors left, or few.
      rlimit few = limit_;
      few.rlim_cur = static_cast<rlim_t>(first_) + choice / 7;
      ::setrlimit(RLIMIT_NOFILE, choice > 200 ? &limit_ : &few);
      break;
    }
    case 4: {
      // Node closes one that the addon may watch.
      const int fd = descriptors_.empty() ? -1 : descriptors_[take_u8(&input_) % descriptors_.size()];
      if (owned_.erase(fd) > 0) ::close(fd);
      break;
    }
    case 5:
      keeper_->elements[choice / 7 % (2 * kSlots)] = nullptr;
      break;
    default:
      environment_.refuse_external = choice > 200;
      environment_.collect_every = choice / 7;
  }
}

void Script::Step() {
  const uint8_t kind = take_u8(&input_) % 8;
  const size_t calling = calling_->elements.size();
  if (kind < 3) CallExport();
  else if (kind < 5) CallMember();
  else if (kind == 5) NewView();
  else Act();
  calling_->elements.resize(calling);
}

/// A callback does what it likes, throwing included.
void Script::Called(Value* argument) {
  PROMISE(argument == nullptr || argument->kind == Kind::number);
  if (++nesting_ <= kNestingMax) {
    for (int i = take_u8(&input_) % 3; i > 0 && input_.left > 0; --i) Step();
    if (take_u8(&input_) >= 0xf0) {
      Value* error = environment_.Make(Kind::object);
      environment_.pending = error;
      error->properties["message"] = environment_.String("thrown");
    }
  }
  --nesting_;
}

/// Descriptors that are neither JavaScript's nor the fuzzer's are leaked.
void Script::CloseAll() {
  const int last = (descriptors_.empty() ? first_ : *std::max_element(descriptors_.begin(), descriptors_.end())) + 32;
  for (int fd = first_; fd <= last; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) continue;
    PROMISE(owned_.contains(fd));
    ::close(fd);
  }
  if (!listened_) return;
  for (const char* name : {"a", "b", "c", "d"}) ::unlink(name);
}

void Script::End() {
  ::setrlimit(RLIMIT_NOFILE, &limit_);
  environment_.refuse_external = false;
  environment_.TearDown();
  PROMISE(g_mapped == 0);
  CloseAll();
}

void Script::Run() {
  running_ = this;
  ::getrlimit(RLIMIT_NOFILE, &limit_);
  environment_.hook = [](Value*, Value* argument) { running_->Called(argument); };
  keeper_ = environment_.Make(Kind::array);
  keeper_->elements.resize(2 * kSlots);
  calling_ = environment_.Make(Kind::array);
  environment_.roots.push_back(keeper_);
  environment_.roots.push_back(calling_);
  environment_.Invoke(
      [](napi_env env, napi_callback_info) {
        return napi_register_module_v1(env, static_cast<napi_value>(model::g_environment->exports));
      },
      nullptr, nullptr, nullptr, {});
  for (const auto& [name, value] : environment_.exports->properties) {
    if (value->kind == Kind::function) exports_.emplace_back(name, value);
  }
  for (; steps_ < kStepsMax && input_.left > 0; ++steps_) Step();
  End();
  running_ = nullptr;
}

}  // namespace

extern "C" void* __wrap_mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  void* result = __real_mmap(at, bytes, protection, flags, fd, offset);
  if (result != MAP_FAILED && (flags & MAP_FIXED) == 0) g_mapped += static_cast<int64_t>(bytes);
  return result;
}

extern "C" int __wrap_munmap(void* at, size_t bytes) {
  g_mapped -= static_cast<int64_t>(bytes);
  return __real_munmap(at, bytes);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  static const bool moved = [] {
    // What was inherited is not an input's; socket files are made in the folder.
    ::close_range(3, ~0U, 0);
    static char folder[] = "/tmp/vgpu-fuzz-XXXXXX";
    if (::mkdtemp(folder) == nullptr || ::chdir(folder) != 0) return false;
    std::atexit([] { ::rmdir(folder); });
    return true;
  }();
  PROMISE(moved);
  auto script = std::make_unique<Script>(data, bytes);
  script->Run();
  return 0;
}
