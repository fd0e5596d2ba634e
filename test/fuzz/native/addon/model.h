// SPDX-License-Identifier: Apache-2.0
//
// A model of what the addon stands on: Node-API, garbage collector included, and libuv's poll handles.
// It lets libFuzzer run the addon's own objects without Node, with a sanitizer under every buffer, a
// collection wherever the input wants one, and everything counted at the end. It knows only what the
// addon calls; a function that is missing is an error of the linker.

#ifndef FUZZ_ADDON_MODEL_H
#define FUZZ_ADDON_MODEL_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../fuzz.h"

namespace model {

enum class Kind { undefined, boolean, number, bigint, string, object, array, function, buffer, view, dataView };

/// The memory of an ArrayBuffer: its own, or the addon's.
struct Store {
  uint8_t* data = nullptr;
  size_t bytes = 0;
  std::unique_ptr<uint8_t[]> own;
  bool detached = false;
};

struct Finalizer {
  napi_finalize run = nullptr;
  void* data = nullptr;
  void* hint = nullptr;
};

struct Value;

struct Class {
  std::string name;
  napi_callback construct = nullptr;
  void* data = nullptr;
  std::vector<napi_property_descriptor> members;
};

/// What a harness may do when the addon calls a function that it was given.
using Hook = void (*)(Value* function, Value* argument);

struct Value {
  Kind kind = Kind::undefined;
  double number = 0;
  uint64_t big = 0;
  bool negative = false;
  std::string text;
  std::map<std::string, Value*> properties;
  std::vector<Value*> elements;
  Store store;
  Value* buffer = nullptr;  // of a view
  size_t offset = 0;
  size_t length = 0;  // of a view, elements
  napi_typedarray_type type = napi_uint8_array;
  napi_callback callback = nullptr;
  void* data = nullptr;
  const Class* made_by = nullptr;  // of an instance
  Class* makes = nullptr;          // of a constructor
  void* wrapped = nullptr;
  std::vector<Finalizer> finalizers;
  bool marked = false;
};

/// One environment: made for an input, torn down after it.
class Environment {
 public:
  Environment();
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  Value* Make(Kind kind);
  Value* Number(double number);
  Value* String(std::string text);
  Value* Buffer(size_t bytes);
  Value* View(Value* buffer, napi_typedarray_type type, size_t offset, size_t length);
  /// Calls a function, a constructor or a method; null if it threw, which is cleared.
  Value* Call(Value* function, Value* receiver, const std::vector<Value*>& arguments, bool is_new);
  Value* CallMember(Value* receiver, const napi_property_descriptor& member,
                    const std::vector<Value*>& arguments);
  /// Frees what nothing refers to; what is finalized for it runs now, unless native code runs.
  void Collect();
  /// A turn of the event loop.
  void Turn();
  /// Ends everything that lives, as Node does at exit.
  void TearDown();

  std::vector<Value*> roots;  // the harness's own
  Value* exports = nullptr;
  Hook hook = nullptr;
  /// A collection happens at every so-manieth value that is made; 0: never by itself.
  uint32_t collect_every = 0;
  bool refuse_external = false;
  size_t uncaught = 0;
  std::string last_error;  // of the last call that threw

  // For the functions of Node-API.
  Value* Keep(Value* value);
  Value* Invoke(napi_callback callback, void* data, Value* receiver, Value* target,
                const std::vector<Value*>& arguments);
  void Finish();
  /// Whether there is a scope that handles can belong to.
  [[nodiscard]] bool InNative() const { return depth_ > 0 || !scopes.empty(); }

  std::vector<Value*> handles;
  std::vector<size_t> scopes;
  Value* pending = nullptr;
  napi_extended_error_info info{};
  void* instance = nullptr;
  Finalizer instance_end;
  std::vector<napi_async_cleanup_hook_handle> hooks;
  std::vector<napi_ref> references;
  std::vector<std::unique_ptr<Class>> classes;

 private:
  void Mark(Value* value);

  std::vector<Value*> heap_;
  std::vector<Finalizer> due_;
  uint32_t made_ = 0;
  int depth_ = 0;
  bool finishing_ = false;
};

extern Environment* g_environment;

/// Handles that exist now.
size_t LoopHandles();
/// Calls back for each that is ready, and closes those that are closing.
void LoopTurn();
/// Whether a handle keeps the loop alive.
bool LoopAlive();

}  // namespace model

struct napi_value__ : model::Value {};
struct napi_ref__ {
  model::Value* value;
  uint32_t count;
  bool owned_by_wrap;
};
struct napi_async_cleanup_hook_handle__ {
  napi_async_cleanup_hook run;
  void* data;
};
struct napi_callback_info__ {
  model::Value* receiver;
  model::Value* target;
  const std::vector<model::Value*>* arguments;
  void* data;
};

#endif
