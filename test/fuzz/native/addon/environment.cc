// SPDX-License-Identifier: Apache-2.0
//
// The model's values and their life: handles, references, collections, finalizers and the teardown.

#include <algorithm>
#include <utility>

#include "model.h"

namespace model {

Environment* g_environment = nullptr;

Environment::Environment() {
  g_environment = this;
  exports = Make(Kind::object);
  roots.push_back(exports);
}

Environment::~Environment() {
  PROMISE(heap_.empty());
  g_environment = nullptr;
}

/// Handles belong to the innermost scope; outside of native code the harness keeps its own.
Value* Environment::Keep(Value* value) {
  if (value != nullptr && InNative()) handles.push_back(value);
  return value;
}

Value* Environment::Make(Kind kind) {
  auto* value = new napi_value__();
  value->kind = kind;
  heap_.push_back(value);
  Keep(value);
  if (collect_every != 0 && InNative() && ++made_ % collect_every == 0) Collect();
  return value;
}

Value* Environment::Number(double number) {
  Value* value = Make(Kind::number);
  value->number = number;
  return value;
}

Value* Environment::String(std::string text) {
  Value* value = Make(Kind::string);
  value->text = std::move(text);
  return value;
}

Value* Environment::Buffer(size_t bytes) {
  Value* value = Make(Kind::buffer);
  // Of exactly this size, so that the sanitizer sees the first byte outside.
  value->store.own = std::make_unique<uint8_t[]>(bytes);
  value->store.data = value->store.own.get();
  value->store.bytes = bytes;
  return value;
}

Value* Environment::View(Value* buffer, napi_typedarray_type type, size_t offset, size_t length) {
  Value* value = Make(Kind::view);
  value->buffer = buffer;
  value->type = type;
  value->offset = offset;
  value->length = length;
  return value;
}

Value* Environment::Invoke(napi_callback callback, void* data, Value* receiver, Value* target,
                           const std::vector<Value*>& arguments) {
  napi_callback_info__ call{receiver, target, &arguments, data};
  ++depth_;
  const size_t start = handles.size();
  const size_t scopes_before = scopes.size();
  Keep(receiver);
  Keep(target);
  for (Value* argument : arguments) Keep(argument);
  auto* result = static_cast<Value*>(callback(reinterpret_cast<napi_env>(this), &call));
  PROMISE(scopes.size() == scopes_before);
  handles.resize(start);
  --depth_;
  // The result is the caller's, which has a scope of its own if it is native too.
  return Keep(result);
}

Value* Environment::Call(Value* function, Value* receiver, const std::vector<Value*>& arguments,
                         bool is_new) {
  Value* result = nullptr;
  if (function->makes != nullptr) {
    if (!is_new) return nullptr;
    Value* instance = Make(Kind::object);
    instance->made_by = function->makes;
    roots.push_back(instance);
    result = Invoke(function->makes->construct, function->makes->data, instance, function, arguments);
    std::erase(roots, instance);
  } else if (function->callback != nullptr) {
    result = Invoke(function->callback, function->data, receiver, nullptr, arguments);
  } else if (hook != nullptr) {
    hook(function, arguments.empty() ? nullptr : arguments.front());
  }
  if (pending != nullptr) {
    // Every error has a text, and code and number if the system said it.
    const auto text = pending->properties.find("message");
    PROMISE(text != pending->properties.end() && text->second->kind == Kind::string);
    last_error = text->second->text;
    pending = nullptr;
    result = nullptr;
  }
  if (result != nullptr) roots.push_back(result);
  Finish();
  if (result != nullptr) roots.erase(std::find(roots.rbegin(), roots.rend(), result).base() - 1);
  return result;
}

Value* Environment::CallMember(Value* receiver, const napi_property_descriptor& member,
                               const std::vector<Value*>& arguments) {
  Value call;
  call.kind = Kind::function;
  call.callback = member.method != nullptr ? member.method : member.getter;
  call.data = member.data;
  return call.callback == nullptr ? nullptr : Call(&call, receiver, arguments, false);
}

void Environment::Mark(Value* value) {
  if (value == nullptr || value->marked) return;
  value->marked = true;
  Mark(value->buffer);
  for (const auto& [name, each] : value->properties) Mark(each);
  for (Value* each : value->elements) Mark(each);
}

void Environment::Collect() {
  for (Value* value : heap_) value->marked = false;
  for (Value* value : roots) Mark(value);
  for (Value* value : handles) Mark(value);
  for (napi_ref reference : references) {
    if (reference->count > 0) Mark(reference->value);
  }
  Mark(pending);
  for (napi_ref reference : references) {
    if (reference->value != nullptr && !reference->value->marked) reference->value = nullptr;
  }
  std::vector<Value*> kept;
  for (Value* value : heap_) {
    if (value->marked) {
      kept.push_back(value);
      continue;
    }
    due_.insert(due_.end(), value->finalizers.begin(), value->finalizers.end());
    delete static_cast<napi_value__*>(value);
  }
  heap_ = std::move(kept);
  Finish();
}

/// Finalizers run outside of native code, as Node-API 8 has it.
void Environment::Finish() {
  if (InNative() || finishing_) return;
  finishing_ = true;
  while (!due_.empty()) {
    const std::vector<Finalizer> now = std::exchange(due_, {});
    for (const Finalizer& each : now) {
      ++depth_;
      const size_t start = handles.size();
      each.run(reinterpret_cast<napi_env>(this), each.data, each.hint);
      handles.resize(start);
      --depth_;
    }
  }
  finishing_ = false;
}

void Environment::Turn() {
  LoopTurn();
  Finish();
}

void Environment::TearDown() {
  const std::vector<napi_async_cleanup_hook_handle> ending = hooks;
  for (napi_async_cleanup_hook_handle each : ending) {
    if (std::find(hooks.begin(), hooks.end(), each) != hooks.end()) each->run(each, each->data);
  }
  for (int turns = 0; !hooks.empty() && turns < 8; ++turns) LoopTurn();
  PROMISE(hooks.empty());
  roots.clear();
  collect_every = 0;
  for (napi_ref reference : references) reference->count = 0;
  Collect();
  if (instance != nullptr && instance_end.run != nullptr) {
    ++depth_;
    instance_end.run(reinterpret_cast<napi_env>(this), instance, instance_end.hint);
    handles.clear();
    --depth_;
  }
  for (int turns = 0; LoopHandles() > 0 && turns < 8; ++turns) LoopTurn();
  Collect();
  PROMISE(LoopHandles() == 0);
  for (napi_ref reference : references) delete reference;
  references.clear();
  PROMISE(heap_.empty());
}

}  // namespace model
