// SPDX-License-Identifier: Apache-2.0
/*
 * Handles, results and the log.
 *
 * CUDA has one error for many mistakes, libvgpu a text with value and limit
 * for each. The text goes where CUDA's own log goes: CUDA_LOG_FILE=stderr,
 * stdout or a path.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t objects_lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *free_objects[KIND_END - KIND_CONTEXT];

void *object_new(enum kind kind, size_t bytes)
{
	struct object *object;

	pthread_mutex_lock(&objects_lock);
	object = free_objects[kind - KIND_CONTEXT];
	if (object)
		free_objects[kind - KIND_CONTEXT] = object->next_free;
	pthread_mutex_unlock(&objects_lock);
	if (object)
		memset(object, 0, bytes);
	else
		object = calloc(1, bytes);
	if (object)
		atomic_store(&object->kind, (uint32_t)kind);
	return object;
}

void object_end(void *ended)
{
	struct object *object = ended;
	uint32_t kind = atomic_exchange(&object->kind, KIND_NONE);

	pthread_mutex_lock(&objects_lock);
	object->next_free = free_objects[kind - KIND_CONTEXT];
	free_objects[kind - KIND_CONTEXT] = object;
	pthread_mutex_unlock(&objects_lock);
}

unsigned long long next_id(void)
{
	static _Atomic unsigned long long last;

	return atomic_fetch_add(&last, 1) + 1;
}

static void log_line(CUresult error, const char *text)
{
	const char *where = getenv("CUDA_LOG_FILE");
	const char *name = NULL;
	FILE *file;

	if (!where || !*where)
		return;
	cuGetErrorName(error, &name);
	if (!strcmp(where, "stderr"))
		file = stderr;
	else if (!strcmp(where, "stdout"))
		file = stdout;
	else
		file = fopen(where, "a");
	if (!file)
		return;
	fprintf(file, "[libcuda] %s: %s\n", name ? name : "?", text);
	if (file != stderr && file != stdout)
		fclose(file);
}

CUresult report(CUresult error, const char *format, ...)
{
	char text[1024];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	log_line(error, text);
	return error;
}

static CUresult plain_result(enum vgpu_result result)
{
	switch (result) {
	case VGPU_SUCCESS:
		return CUDA_SUCCESS;
	case VGPU_ERROR_NOT_READY:
		return CUDA_ERROR_NOT_READY;
	case VGPU_ERROR_NOT_SUPPORTED:
		return CUDA_ERROR_NOT_SUPPORTED;
	case VGPU_ERROR_OUT_OF_MEMORY:
	case VGPU_ERROR_ALLOCATION_TOO_LARGE:
	case VGPU_ERROR_QUOTA:
	case VGPU_ERROR_HOST_MEMORY:
	case VGPU_ERROR_HANDLE_LIMIT:
	case VGPU_ERROR_CONTEXT_LIMIT:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case VGPU_ERROR_HANDLE_UNKNOWN:
	case VGPU_ERROR_STREAM_UNKNOWN:
		return CUDA_ERROR_INVALID_HANDLE;
	case VGPU_ERROR_MODULE_INVALID:
		return CUDA_ERROR_INVALID_PTX;
	case VGPU_ERROR_FORMAT_UNKNOWN:
		return CUDA_ERROR_INVALID_IMAGE;
	case VGPU_ERROR_FUNCTION_NOT_FOUND:
	case VGPU_ERROR_SYMBOL_NOT_FOUND:
		return CUDA_ERROR_NOT_FOUND;
	case VGPU_ERROR_NO_DEVICE:
	case VGPU_ERROR_OPEN_FAILED:
		return CUDA_ERROR_NO_DEVICE;
	case VGPU_ERROR_FORKED:
	case VGPU_ERROR_NOT_INITIALISED:
		return CUDA_ERROR_NOT_INITIALIZED;
	case VGPU_ERROR_LAUNCH_FAILED:
	case VGPU_ERROR_TRAP:
	case VGPU_ERROR_CONTEXT_FAILED:
		return CUDA_ERROR_LAUNCH_FAILED;
	case VGPU_ERROR_ILLEGAL_ADDRESS:
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	case VGPU_ERROR_MISALIGNED_ADDRESS:
		return CUDA_ERROR_MISALIGNED_ADDRESS;
	case VGPU_ERROR_ASSERT:
		return CUDA_ERROR_ASSERT;
	case VGPU_ERROR_TIMEOUT:
		return CUDA_ERROR_LAUNCH_TIMEOUT;
	case VGPU_ERROR_DEVICE_LOST:
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	case VGPU_ERROR_SYSTEM:
		return CUDA_ERROR_OPERATING_SYSTEM;
	case VGPU_ERROR_MALFORMED:
	case VGPU_ERROR_UNKNOWN_COMMAND:
	case VGPU_ERROR_RESERVED_NONZERO:
	case VGPU_ERROR_RESPONSE_TOO_SMALL:
	case VGPU_ERROR_INTERNAL:
		return CUDA_ERROR_UNKNOWN;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult result_of(enum vgpu_result result, vgpu_context *context)
{
	CUresult error;

	if (result == VGPU_SUCCESS)
		return CUDA_SUCCESS;
	error = plain_result(result);
	if (result != VGPU_ERROR_NOT_READY)
		log_line(error, vgpu_last_error_text(context));
	return error;
}
