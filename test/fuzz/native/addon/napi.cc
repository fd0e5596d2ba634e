// SPDX-License-Identifier: Apache-2.0
//
// Node-API over the model: values, their properties, functions and classes.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "model.h"

using model::Environment;
using model::Kind;
using model::Value;

namespace {

Environment& Of(node_api_basic_env env) {
  auto* environment = reinterpret_cast<Environment*>(const_cast<napi_env>(env));
  PROMISE(environment == model::g_environment);
  return *environment;
}

napi_status Set(napi_env env, napi_status status) {
  Of(env).info.error_code = status;
  return status;
}

/// V8 ends the process at a handle that belongs to no scope.
napi_status Give(napi_env env, Value* value, napi_value* result) {
  PROMISE(Of(env).InNative());
  *result = static_cast<napi_value>(value);
  return Set(env, napi_ok);
}

bool IsObject(const Value* value) {
  return value != nullptr && value->kind >= Kind::object;
}

Value* Unsigned(napi_env env, double number) { return Of(env).Number(number); }

std::string Text(const char* text, size_t length) {
  return length == NAPI_AUTO_LENGTH ? std::string(text) : std::string(text, length);
}

napi_status MakeError(napi_env env, napi_value message, napi_value* result) {
  Value* error = Of(env).Make(Kind::object);
  error->properties["message"] = message;
  return Give(env, error, result);
}

napi_status ThrowText(napi_env env, const char* code, const char* message) {
  Environment& environment = Of(env);
  PROMISE(environment.pending == nullptr);
  Value* error = environment.Make(Kind::object);
  error->properties["message"] = environment.String(message);
  if (code != nullptr) error->properties["code"] = environment.String(code);
  environment.pending = error;
  return Set(env, napi_ok);
}

}  // namespace

extern "C" {

// ---- Making values -----------------------------------------------------------------------------

napi_status napi_get_undefined(napi_env env, napi_value* result) {
  return Give(env, Of(env).Make(Kind::undefined), result);
}

/// Nothing here tells it from undefined.
napi_status napi_get_null(napi_env env, napi_value* result) {
  return napi_get_undefined(env, result);
}

napi_status napi_get_boolean(napi_env env, bool value, napi_value* result) {
  Value* made = Of(env).Make(Kind::boolean);
  made->number = value ? 1 : 0;
  return Give(env, made, result);
}

napi_status napi_create_object(napi_env env, napi_value* result) {
  return Give(env, Of(env).Make(Kind::object), result);
}

napi_status napi_create_array(napi_env env, napi_value* result) {
  return Give(env, Of(env).Make(Kind::array), result);
}

napi_status napi_create_array_with_length(napi_env env, size_t length, napi_value* result) {
  Value* made = Of(env).Make(Kind::array);
  made->elements.resize(length);
  return Give(env, made, result);
}

napi_status napi_create_double(napi_env env, double value, napi_value* result) {
  return Give(env, Unsigned(env, value), result);
}

napi_status napi_create_uint32(napi_env env, uint32_t value, napi_value* result) {
  return Give(env, Unsigned(env, value), result);
}

napi_status napi_create_bigint_uint64(napi_env env, uint64_t value, napi_value* result) {
  Value* made = Of(env).Make(Kind::bigint);
  made->big = value;
  return Give(env, made, result);
}

napi_status napi_create_string_utf8(napi_env env, const char* text, size_t length,
                                    napi_value* result) {
  return Give(env, Of(env).String(Text(text, length)), result);
}

napi_status napi_create_error(napi_env env, napi_value, napi_value message, napi_value* result) {
  return MakeError(env, message, result);
}

napi_status napi_create_type_error(napi_env env, napi_value, napi_value message,
                                   napi_value* result) {
  return MakeError(env, message, result);
}

napi_status napi_create_range_error(napi_env env, napi_value, napi_value message,
                                    napi_value* result) {
  return MakeError(env, message, result);
}

napi_status napi_create_external_arraybuffer(napi_env env, void* data, size_t bytes,
                                             napi_finalize finalize, void* hint,
                                             napi_value* result) {
  if (Of(env).refuse_external) return Set(env, napi_no_external_buffers_allowed);
  Value* made = Of(env).Make(Kind::buffer);
  made->store.data = static_cast<uint8_t*>(data);
  made->store.bytes = bytes;
  made->finalizers.push_back({finalize, data, hint});
  return Give(env, made, result);
}

napi_status napi_create_function(napi_env env, const char*, size_t, napi_callback callback,
                                 void* data, napi_value* result) {
  Value* made = Of(env).Make(Kind::function);
  made->callback = callback;
  made->data = data;
  return Give(env, made, result);
}

napi_status napi_define_class(napi_env env, const char* name, size_t length, napi_callback construct,
                              void* data, size_t count, const napi_property_descriptor* members,
                              napi_value* result) {
  auto made = std::make_unique<model::Class>();
  made->name = Text(name, length);
  made->construct = construct;
  made->data = data;
  made->members.assign(members, members + count);
  Value* constructor = Of(env).Make(Kind::function);
  constructor->makes = made.get();
  Of(env).classes.push_back(std::move(made));
  return Give(env, constructor, result);
}

// ---- Reading values ----------------------------------------------------------------------------

napi_status napi_typeof(napi_env env, napi_value value, napi_valuetype* result) {
  PROMISE(value != nullptr);
  switch (value->kind) {
    case Kind::undefined:
      *result = napi_undefined;
      break;
    case Kind::boolean:
      *result = napi_boolean;
      break;
    case Kind::number:
      *result = napi_number;
      break;
    case Kind::bigint:
      *result = napi_bigint;
      break;
    case Kind::string:
      *result = napi_string;
      break;
    case Kind::function:
      *result = napi_function;
      break;
    default:
      *result = napi_object;
  }
  return Set(env, napi_ok);
}

napi_status napi_get_value_double(napi_env env, napi_value value, double* result) {
  if (value == nullptr) return Set(env, napi_invalid_arg);
  if (value->kind != Kind::number) return Set(env, napi_number_expected);
  *result = value->number;
  return Set(env, napi_ok);
}

napi_status napi_get_value_int64(napi_env env, napi_value value, int64_t* result) {
  if (value->kind != Kind::number) return Set(env, napi_number_expected);
  const bool fits = value->number >= -0x1p63 && value->number < 0x1p63;
  *result = std::isfinite(value->number) && fits ? static_cast<int64_t>(value->number)
            : value->number > 0 && std::isfinite(value->number) ? INT64_MAX
            : std::isfinite(value->number) ? INT64_MIN
                                           : 0;
  return Set(env, napi_ok);
}

/// As ECMAScript's ToUint32: modulo 2^32.
napi_status napi_get_value_uint32(napi_env env, napi_value value, uint32_t* result) {
  if (value == nullptr) return Set(env, napi_invalid_arg);
  if (value->kind != Kind::number) return Set(env, napi_number_expected);
  double number = std::isfinite(value->number) ? std::fmod(std::trunc(value->number), 0x1p32) : 0;
  if (number < 0) number += 0x1p32;
  *result = static_cast<uint32_t>(number);
  return Set(env, napi_ok);
}

napi_status napi_get_value_int32(napi_env env, napi_value value, int32_t* result) {
  uint32_t bits = 0;
  const napi_status status = napi_get_value_uint32(env, value, &bits);
  if (status == napi_ok) *result = static_cast<int32_t>(bits);
  return status;
}

napi_status napi_get_value_bool(napi_env env, napi_value value, bool* result) {
  if (value->kind != Kind::boolean) return Set(env, napi_boolean_expected);
  *result = value->number != 0;
  return Set(env, napi_ok);
}

napi_status napi_get_value_bigint_uint64(napi_env env, napi_value value, uint64_t* result,
                                         bool* lossless) {
  if (value == nullptr) return Set(env, napi_invalid_arg);
  if (value->kind != Kind::bigint) return Set(env, napi_bigint_expected);
  *result = value->big;
  *lossless = !value->negative;
  return Set(env, napi_ok);
}

napi_status napi_get_value_string_utf8(napi_env env, napi_value value, char* into, size_t room,
                                       size_t* result) {
  if (value->kind != Kind::string) return Set(env, napi_string_expected);
  if (into == nullptr) {
    *result = value->text.size();
    return Set(env, napi_ok);
  }
  const size_t bytes = std::min(room - 1, value->text.size());
  std::memcpy(into, value->text.data(), bytes);
  into[bytes] = '\0';
  if (result != nullptr) *result = bytes;
  return Set(env, napi_ok);
}

// ---- Arrays and buffers ------------------------------------------------------------------------

napi_status napi_is_array(napi_env env, napi_value value, bool* result) {
  *result = value->kind == Kind::array;
  return Set(env, napi_ok);
}

napi_status napi_get_array_length(napi_env env, napi_value value, uint32_t* result) {
  if (value->kind != Kind::array) return Set(env, napi_array_expected);
  *result = static_cast<uint32_t>(value->elements.size());
  return Set(env, napi_ok);
}

napi_status napi_get_element(napi_env env, napi_value value, uint32_t index, napi_value* result) {
  PROMISE(value->kind == Kind::array);
  Value* element = index < value->elements.size() ? value->elements[index] : nullptr;
  return Give(env, element != nullptr ? Of(env).Keep(element) : Of(env).Make(Kind::undefined),
              result);
}

napi_status napi_set_element(napi_env env, napi_value value, uint32_t index, napi_value element) {
  PROMISE(value->kind == Kind::array && index < 100000);
  if (index >= value->elements.size()) value->elements.resize(index + 1);
  value->elements[index] = element;
  return Set(env, napi_ok);
}

napi_status napi_is_arraybuffer(napi_env env, napi_value value, bool* result) {
  *result = value->kind == Kind::buffer;
  return Set(env, napi_ok);
}

napi_status napi_is_typedarray(napi_env env, napi_value value, bool* result) {
  *result = value->kind == Kind::view;
  return Set(env, napi_ok);
}

napi_status napi_is_dataview(napi_env env, napi_value value, bool* result) {
  *result = value->kind == Kind::dataView;
  return Set(env, napi_ok);
}

napi_status napi_get_arraybuffer_info(napi_env env, napi_value value, void** data, size_t* bytes) {
  if (value == nullptr || value->kind != Kind::buffer) return Set(env, napi_invalid_arg);
  if (data != nullptr) *data = value->store.data;
  if (bytes != nullptr) *bytes = value->store.bytes;
  return Set(env, napi_ok);
}

/// As Node 20: the view of a detached buffer has no elements and no offset.
napi_status napi_get_typedarray_info(napi_env env, napi_value value, napi_typedarray_type* type,
                                     size_t* length, void** data, napi_value* buffer,
                                     size_t* offset) {
  if (value == nullptr || value->kind != Kind::view) return Set(env, napi_invalid_arg);
  const model::Store& store = value->buffer->store;
  if (type != nullptr) *type = value->type;
  if (length != nullptr) *length = store.detached ? 0 : value->length;
  if (data != nullptr) *data = store.detached ? nullptr : store.data + value->offset;
  if (offset != nullptr) *offset = store.detached ? 0 : value->offset;
  if (buffer != nullptr) return Give(env, Of(env).Keep(value->buffer), buffer);
  return Set(env, napi_ok);
}

napi_status napi_get_dataview_info(napi_env env, napi_value value, size_t* bytes, void** data,
                                   napi_value* buffer, size_t* offset) {
  if (value->kind != Kind::dataView) return Set(env, napi_invalid_arg);
  const model::Store& store = value->buffer->store;
  if (bytes != nullptr) *bytes = store.detached ? 0 : value->length;
  if (data != nullptr) *data = store.detached ? nullptr : store.data + value->offset;
  if (offset != nullptr) *offset = store.detached ? 0 : value->offset;
  if (buffer != nullptr) return Give(env, Of(env).Keep(value->buffer), buffer);
  return Set(env, napi_ok);
}

napi_status napi_detach_arraybuffer(napi_env env, napi_value value) {
  if (value->kind != Kind::buffer) return Set(env, napi_arraybuffer_expected);
  value->store.own.reset();
  value->store.data = nullptr;
  value->store.bytes = 0;
  value->store.detached = true;
  return Set(env, napi_ok);
}

napi_status napi_is_detached_arraybuffer(napi_env env, napi_value value, bool* result) {
  *result = value->kind == Kind::buffer && value->store.detached;
  return Set(env, napi_ok);
}

// ---- Properties --------------------------------------------------------------------------------

napi_status napi_set_named_property(napi_env env, napi_value object, const char* name,
                                    napi_value value) {
  if (!IsObject(object)) return Set(env, napi_object_expected);
  object->properties[name] = value;
  return Set(env, napi_ok);
}

napi_status napi_get_property(napi_env env, napi_value object, napi_value key, napi_value* result) {
  if (!IsObject(object)) return Set(env, napi_object_expected);
  const auto found = object->properties.find(key->text);
  Value* value = found == object->properties.end() ? Of(env).Make(Kind::undefined)
                                                   : Of(env).Keep(found->second);
  return Give(env, value, result);
}

napi_status napi_get_named_property(napi_env env, napi_value object, const char* name,
                                    napi_value* result) {
  Value key;
  key.text = name;
  return napi_get_property(env, object, static_cast<napi_value>(&key), result);
}

napi_status napi_has_property(napi_env env, napi_value object, napi_value key, bool* result) {
  if (!IsObject(object)) return Set(env, napi_object_expected);
  *result = object->properties.contains(key->text);
  return Set(env, napi_ok);
}

napi_status napi_define_properties(napi_env env, napi_value object, size_t count,
                                   const napi_property_descriptor* members) {
  for (size_t i = 0; i < count; ++i) {
    PROMISE(members[i].value != nullptr);
    object->properties[members[i].utf8name] = members[i].value;
  }
  return Set(env, napi_ok);
}

// ---- Calls and errors --------------------------------------------------------------------------

/// As many as there are; `undefined` fills up to what was asked for.
napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t* count,
                             napi_value* arguments, napi_value* receiver, void** data) {
  if (count != nullptr) {
    const size_t there = info->arguments->size();
    for (size_t i = 0; arguments != nullptr && i < *count; ++i) {
      Value* argument =
          i < there ? (*info->arguments)[i] : Of(env).Make(Kind::undefined);
      arguments[i] = static_cast<napi_value>(argument);
    }
    *count = there;
  }
  if (receiver != nullptr) *receiver = static_cast<napi_value>(info->receiver);
  if (data != nullptr) *data = info->data;
  return Set(env, napi_ok);
}

napi_status napi_get_new_target(napi_env env, napi_callback_info info, napi_value* result) {
  *result = static_cast<napi_value>(info->target);
  return Set(env, napi_ok);
}

napi_status napi_make_callback(napi_env env, napi_async_context, napi_value, napi_value function,
                               size_t count, const napi_value* arguments, napi_value* result) {
  Environment& environment = Of(env);
  if (function == nullptr || function->kind != Kind::function)
    return Set(env, napi_invalid_arg);
  if (environment.hook != nullptr) environment.hook(function, count > 0 ? arguments[0] : nullptr);
  if (environment.pending != nullptr) return Set(env, napi_pending_exception);
  return Give(env, environment.Make(Kind::undefined), result);
}

napi_status napi_call_function(napi_env env, napi_value receiver, napi_value function, size_t count,
                               const napi_value* arguments, napi_value* result) {
  napi_value ignored = nullptr;
  return napi_make_callback(env, nullptr, receiver, function, count, arguments,
                            result == nullptr ? &ignored : result);
}

napi_status napi_throw(napi_env env, napi_value error) {
  PROMISE(error != nullptr && Of(env).pending == nullptr);
  Of(env).pending = error;
  return Set(env, napi_ok);
}

napi_status napi_throw_range_error(napi_env env, const char* code, const char* message) {
  return ThrowText(env, code, message);
}

napi_status napi_throw_type_error(napi_env env, const char* code, const char* message) {
  return ThrowText(env, code, message);
}

napi_status napi_is_exception_pending(napi_env env, bool* result) {
  *result = Of(env).pending != nullptr;
  return napi_ok;
}

napi_status napi_get_and_clear_last_exception(napi_env env, napi_value* result) {
  Value* error = Of(env).pending;
  Of(env).pending = nullptr;
  return Give(env, error == nullptr ? Of(env).Make(Kind::undefined) : Of(env).Keep(error), result);
}

napi_status napi_fatal_exception(napi_env env, napi_value error) {
  PROMISE(error != nullptr && Of(env).pending == nullptr);
  ++Of(env).uncaught;
  return Set(env, napi_ok);
}

napi_status napi_get_last_error_info(node_api_basic_env env,
                                     const napi_extended_error_info** result) {
  *result = &Of(env).info;
  return napi_ok;
}

void napi_fatal_error(const char* location, size_t, const char* message, size_t) {
  std::fprintf(stderr, "napi_fatal_error: %s: %s\n", location, message);
  std::abort();
}

void napi_module_register(napi_module*) {}

}  // extern "C"
