// SPDX-License-Identifier: Apache-2.0
//
// Node-API over the model: what lives longer than a call.

#include <algorithm>

#include "model.h"

using model::Environment;
using model::Value;

namespace {

Environment& Of(node_api_basic_env env) {
  return *reinterpret_cast<Environment*>(const_cast<napi_env>(env));
}

bool IsKnown(Environment& environment, napi_ref reference) {
  const auto& all = environment.references;
  return std::find(all.begin(), all.end(), reference) != all.end();
}

}  // namespace

extern "C" {

// ---- Scopes ------------------------------------------------------------------------------------

/// A scope is known by its place in the stack, plus one.
napi_status napi_open_handle_scope(napi_env env, napi_handle_scope* result) {
  Of(env).scopes.push_back(Of(env).handles.size());
  *result = reinterpret_cast<napi_handle_scope>(Of(env).scopes.size());
  return napi_ok;
}

napi_status napi_close_handle_scope(napi_env env, napi_handle_scope scope) {
  Environment& environment = Of(env);
  PROMISE(environment.scopes.size() == reinterpret_cast<size_t>(scope));
  environment.handles.resize(environment.scopes.back());
  environment.scopes.pop_back();
  return napi_ok;
}

napi_status napi_open_escapable_handle_scope(napi_env env, napi_escapable_handle_scope* result) {
  return napi_open_handle_scope(env, reinterpret_cast<napi_handle_scope*>(result));
}

napi_status napi_close_escapable_handle_scope(napi_env env, napi_escapable_handle_scope scope) {
  return napi_close_handle_scope(env, reinterpret_cast<napi_handle_scope>(scope));
}

/// The handle goes to the scope outside.
napi_status napi_escape_handle(napi_env env, napi_escapable_handle_scope, napi_value value,
                               napi_value* result) {
  Environment& environment = Of(env);
  auto& handles = environment.handles;
  handles.insert(handles.begin() + static_cast<std::ptrdiff_t>(environment.scopes.back()), value);
  ++environment.scopes.back();
  *result = value;
  return napi_ok;
}

// ---- References --------------------------------------------------------------------------------

napi_status napi_create_reference(napi_env env, napi_value value, uint32_t count,
                                  napi_ref* result) {
  if (value == nullptr || value->kind < model::Kind::object) return napi_object_expected;
  *result = new napi_ref__{value, count, false};
  Of(env).references.push_back(*result);
  return napi_ok;
}

napi_status napi_delete_reference(node_api_basic_env env, napi_ref reference) {
  PROMISE(IsKnown(Of(env), reference));
  std::erase(Of(env).references, reference);
  delete reference;
  return napi_ok;
}

napi_status napi_reference_ref(napi_env env, napi_ref reference, uint32_t* result) {
  PROMISE(IsKnown(Of(env), reference));
  if (reference->value != nullptr) ++reference->count;
  if (result != nullptr) *result = reference->count;
  return napi_ok;
}

napi_status napi_reference_unref(napi_env env, napi_ref reference, uint32_t* result) {
  PROMISE(IsKnown(Of(env), reference));
  if (reference->count == 0) return napi_generic_failure;
  --reference->count;
  if (result != nullptr) *result = reference->count;
  return napi_ok;
}

napi_status napi_get_reference_value(napi_env env, napi_ref reference, napi_value* result) {
  PROMISE(IsKnown(Of(env), reference));
  PROMISE(Of(env).InNative());
  *result = static_cast<napi_value>(Of(env).Keep(reference->value));
  return napi_ok;
}

// ---- Native data of values ---------------------------------------------------------------------

napi_status napi_wrap(napi_env env, napi_value object, void* data, napi_finalize finalize,
                      void* hint, napi_ref* result) {
  PROMISE(object->wrapped == nullptr);
  object->wrapped = data;
  object->finalizers.push_back({finalize, data, hint});
  return result == nullptr ? napi_ok : napi_create_reference(env, object, 0, result);
}

napi_status napi_unwrap(napi_env, napi_value object, void** result) {
  if (object->wrapped == nullptr) return napi_invalid_arg;
  *result = object->wrapped;
  return napi_ok;
}

napi_status napi_remove_wrap(napi_env, napi_value object, void** result) {
  if (object->wrapped == nullptr) return napi_invalid_arg;
  if (result != nullptr) *result = object->wrapped;
  std::erase_if(object->finalizers,
                [&](const model::Finalizer& each) { return each.data == object->wrapped; });
  object->wrapped = nullptr;
  return napi_ok;
}

napi_status napi_add_finalizer(napi_env env, napi_value object, void* data, napi_finalize finalize,
                               void* hint, napi_ref* result) {
  object->finalizers.push_back({finalize, data, hint});
  return result == nullptr ? napi_ok : napi_create_reference(env, object, 0, result);
}

// ---- The environment ---------------------------------------------------------------------------

napi_status napi_set_instance_data(node_api_basic_env env, void* data, napi_finalize finalize,
                                   void* hint) {
  Of(env).instance = data;
  Of(env).instance_end = {finalize, data, hint};
  return napi_ok;
}

napi_status napi_get_instance_data(node_api_basic_env env, void** result) {
  *result = Of(env).instance;
  return napi_ok;
}

napi_status napi_add_async_cleanup_hook(node_api_basic_env env, napi_async_cleanup_hook hook,
                                        void* data, napi_async_cleanup_hook_handle* result) {
  auto* handle = new napi_async_cleanup_hook_handle__{hook, data};
  Of(env).hooks.push_back(handle);
  if (result != nullptr) *result = handle;
  return napi_ok;
}

napi_status napi_remove_async_cleanup_hook(napi_async_cleanup_hook_handle handle) {
  auto& hooks = model::g_environment->hooks;
  PROMISE(std::find(hooks.begin(), hooks.end(), handle) != hooks.end());
  std::erase(hooks, handle);
  delete handle;
  return napi_ok;
}

napi_status napi_async_init(napi_env, napi_value, napi_value, napi_async_context* result) {
  *result = reinterpret_cast<napi_async_context>(new int(0));
  return napi_ok;
}

napi_status napi_async_destroy(napi_env, napi_async_context context) {
  delete reinterpret_cast<int*>(context);
  return napi_ok;
}

napi_status napi_close_callback_scope(napi_env, napi_callback_scope) { return napi_ok; }

}  // extern "C"
