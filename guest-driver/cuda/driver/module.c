// SPDX-License-Identifier: Apache-2.0
/*
 * Modules and functions of one context. Functions are looked up on the device
 * once; what a launch needs to know of their parameters is kept here.
 */
#include "internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Hidden variables, by which the device tells what it has. */
#define PRINTF_SYMBOL "__vgpu_printf"
#define MANAGED_SYMBOL "__vgpu_managed"
#define LOG_BYTES 16384u
#define STRINGS_MAX 4096u

/* ---- Loading ------------------------------------------------------------------------------- */

static void module_free(struct CUmod_st *module)
{
	while (module->functions) {
		struct CUfunc_st *function = module->functions;

		module->functions = function->next;
		if (function->kernel)
			function->kernel = NULL;
		free(function->name);
		free(function->offsets);
		free(function->sizes);
		object_end(function);
	}
	for (size_t i = 0; i < module->name_count; i++)
		free(module->names[i]);
	free(module->names);
	formats_free(module);
	object_end(module);
}

static void jit_report(struct jit *jit, const char *log, bool failed, double seconds)
{
	char *to = failed ? jit->error : jit->info;
	size_t room = failed ? jit->error_bytes : jit->info_bytes;
	unsigned int *used = failed ? jit->error_used : jit->info_used;
	size_t bytes = strlen(log);

	if (jit->info_used)
		*jit->info_used = 0;
	if (jit->error_used)
		*jit->error_used = 0;
	if (jit->info && jit->info_bytes)
		jit->info[0] = 0;
	if (jit->error && jit->error_bytes)
		jit->error[0] = 0;
	if (jit->wall_time)
		*jit->wall_time = (float)(seconds * 1000);
	if (!to || !room || !bytes)
		return;
	bytes = MIN(bytes, room - 1);
	memcpy(to, log, bytes);
	to[bytes] = 0;
	if (used)
		*used = (unsigned int)bytes + 1;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * libvgpu reads variables that were asked for by name. Strings that kernels print
 * are variables that nvcc numbers.
 */
static void ask_for_strings(struct CUctx_st *context, const struct CUmod_st *module)
{
	vgpu_devptr pointer;
	uint64_t bytes;
	char name[24] = "$str";

	for (unsigned int i = 1; i < STRINGS_MAX; i++) {
		if (vgpu_module_symbol(context->vgpu, module->vgpu, name, &pointer, &bytes) !=
		    VGPU_SUCCESS)
			return;
		snprintf(name, sizeof(name), "$str$%u", i);
	}
}

CUresult module_load(struct CUctx_st *context, const struct image *image, struct jit *jit,
		     struct CUmod_st **out)
{
	struct CUmod_st *module = object_new(KIND_MODULE, sizeof(*module));
	double began = seconds_now();
	enum vgpu_result result;
	char *log = calloc(1, LOG_BYTES);
	vgpu_devptr managed;
	CUresult error;
	uint64_t bytes;

	if (!module || !log) {
		free(log);
		if (module)
			object_end(module);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	module->context = context;
	result = vgpu_module_load(context->vgpu, image->data, image->bytes, image->format,
				  &module->vgpu, log, LOG_BYTES);
	error = result_of(result, context->vgpu);
	if (jit)
		jit_report(jit, *log || result == VGPU_SUCCESS ? log :
			   vgpu_last_error_text(context->vgpu), result != VGPU_SUCCESS,
			   seconds_now() - began);
	free(log);
	if (error != CUDA_SUCCESS) {
		object_end(module);
		return error;
	}
	result = vgpu_module_symbol(context->vgpu, module->vgpu, PRINTF_SYMBOL,
				    &module->printf_buffer, &bytes);
	if (result != VGPU_SUCCESS)
		module->printf_buffer = 0;
	else
		ask_for_strings(context, module);
	if (vgpu_module_symbol(context->vgpu, module->vgpu, MANAGED_SYMBOL, &managed, &bytes) ==
	    VGPU_SUCCESS) {
		error = managed_adopt(module, managed, bytes);
		if (error != CUDA_SUCCESS) {
			vgpu_module_unload(context->vgpu, module->vgpu);
			module_free(module);
			return error;
		}
	}
	module->name_count = image_names(image, &module->names);
	pthread_mutex_lock(&context->lock);
	module->next = context->modules;
	context->modules = module;
	pthread_mutex_unlock(&context->lock);
	*out = module;
	return CUDA_SUCCESS;
}

/* Variables of the module that were asked for by name are in the table of memory. */
static void forget_globals(struct CUmod_st *module)
{
	struct CUctx_st *context = module->context;

	for (;;) {
		uint64_t base = 0;

		pthread_rwlock_rdlock(&context->regions_lock);
		for (size_t i = 0; i < context->region_count && !base; i++)
			if (context->regions[i]->kind == REGION_GLOBAL &&
			    context->regions[i]->module == module)
				base = context->regions[i]->base;
		pthread_rwlock_unlock(&context->regions_lock);
		if (!base)
			return;
		region_remove(context, base);
	}
}

CUresult module_unload(struct CUmod_st *module)
{
	struct CUctx_st *context = module->context;
	struct CUmod_st **link;
	CUresult error = result_of(vgpu_module_unload(context->vgpu, module->vgpu), context->vgpu);

	pthread_mutex_lock(&context->lock);
	for (link = &context->modules; *link && *link != module; link = &(*link)->next)
		;
	if (*link)
		*link = module->next;
	pthread_mutex_unlock(&context->lock);
	forget_globals(module);
	managed_abandon(module);
	module_free(module);
	return error;
}

static CUresult load(CUmodule *out, const void *data, size_t bytes, struct jit *jit)
{
	struct CUctx_st *context;
	struct image image;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	error = image_of(data, bytes, &image);
	if (error != CUDA_SUCCESS)
		return error;
	error = module_load(context, &image, jit, out);
	image_release(&image);
	return error;
}

EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	return load(module, image, 0, NULL);
}

EXPORT CUresult cuModuleLoadFatBinary(CUmodule *module, const void *image)
{
	return load(module, image, 0, NULL);
}

EXPORT CUresult cuModuleLoad(CUmodule *module, const char *path)
{
	struct CUctx_st *context;
	CUresult error = current_context(&context);
	size_t bytes;
	void *data;

	if (error != CUDA_SUCCESS)
		return error;
	if (!module || !path)
		return CUDA_ERROR_INVALID_VALUE;
	error = file_read(path, &data, &bytes);
	if (error != CUDA_SUCCESS)
		return error;
	error = load(module, data, bytes, NULL);
	free(data);
	return error;
}

/* Options are values in the place of pointers; some are answered there. */
EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int count,
				   CUjit_option *options, void **values)
{
	unsigned int info_used = 0, error_used = 0;
	int info_at = -1, error_at = -1, time_at = -1;
	struct jit jit = { .info_used = &info_used, .error_used = &error_used };
	float milliseconds = 0;
	CUresult error;

	if (count && (!options || !values))
		return CUDA_ERROR_INVALID_VALUE;
	jit.wall_time = &milliseconds;
	for (unsigned int i = 0; i < count; i++) {
		switch (options[i]) {
		case CU_JIT_INFO_LOG_BUFFER:
			jit.info = values[i];
			break;
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			jit.info_bytes = (size_t)(uintptr_t)values[i] & UINT_MAX;
			info_at = (int)i;
			break;
		case CU_JIT_ERROR_LOG_BUFFER:
			jit.error = values[i];
			break;
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
			jit.error_bytes = (size_t)(uintptr_t)values[i] & UINT_MAX;
			error_at = (int)i;
			break;
		case CU_JIT_WALL_TIME:
			time_at = (int)i;
			break;
		default:
			/* The rest steers NVIDIA's compiler; it has no meaning for this one. */
			if ((int)options[i] < 0 || options[i] >= CU_JIT_NUM_OPTIONS)
				return CUDA_ERROR_INVALID_VALUE;
		}
	}
	error = load(module, image, 0, &jit);
	if (info_at >= 0)
		values[info_at] = (void *)(uintptr_t)info_used;
	if (error_at >= 0)
		values[error_at] = (void *)(uintptr_t)error_used;
	if (time_at >= 0)
		memcpy(&values[time_at], &milliseconds, sizeof(milliseconds));
	return error;
}

static CUresult module_of(CUmodule handle, struct CUmod_st **module)
{
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(handle, KIND_MODULE))
		return CUDA_ERROR_INVALID_HANDLE;
	*module = handle;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule handle)
{
	struct CUmod_st *module;
	CUresult error = module_of(handle, &module);

	if (error != CUDA_SUCCESS)
		return error;
	/* A library's modules are the library's. */
	if (module->library)
		return CUDA_ERROR_NOT_PERMITTED;
	error = context_wait(module->context);
	return error == CUDA_SUCCESS ? module_unload(module) : error;
}

EXPORT CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = CU_MODULE_LAZY_LOADING;
	return CUDA_SUCCESS;
}

/* ---- Functions --------------------------------------------------------------------------------- */

static CUresult function_describe(struct CUctx_st *context, struct CUfunc_st *function)
{
	uint32_t count;
	CUresult error = result_of(vgpu_function_info(context->vgpu, function->vgpu,
						      &function->info), context->vgpu);

	if (error != CUDA_SUCCESS)
		return error;
	count = function->info.parameter_count;
	if (function->info.parameter_bytes > PARAMETER_BYTES_MAX)
		return report(CUDA_ERROR_NOT_SUPPORTED, "%s: %u bytes of parameters, the limit is %u",
			      function->name, function->info.parameter_bytes, PARAMETER_BYTES_MAX);
	function->offsets = calloc(count + 1, sizeof(uint32_t));
	function->sizes = calloc(count + 1, sizeof(uint32_t));
	if (!function->offsets || !function->sizes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < count; i++) {
		struct vgpu_parameter parameter;

		error = result_of(vgpu_function_parameter(context->vgpu, function->vgpu, i,
							  &parameter), context->vgpu);
		if (error != CUDA_SUCCESS)
			return error;
		if (parameter.offset > PARAMETER_BYTES_MAX ||
		    parameter.bytes_min > PARAMETER_BYTES_MAX - parameter.offset)
			return report(CUDA_ERROR_NOT_SUPPORTED,
				      "%s: parameters beyond %u bytes", function->name,
				      PARAMETER_BYTES_MAX);
		function->offsets[i] = parameter.offset;
		function->sizes[i] = parameter.bytes_min;
	}
	function->dynamic_shared_max = (int)(context->device->info.shared_bytes_max -
					     MIN(function->info.shared_bytes,
						 context->device->info.shared_bytes_max));
	function->carveout = -1;
	return CUDA_SUCCESS;
}

static struct CUfunc_st *function_named(struct CUmod_st *module, const char *name)
{
	for (struct CUfunc_st *function = module->functions; function; function = function->next)
		if (!strcmp(function->name, name))
			return function;
	return NULL;
}

CUresult module_function(struct CUmod_st *module, const char *name, struct CUfunc_st **out)
{
	struct CUctx_st *context = module->context;
	struct CUfunc_st *function;
	CUresult error;

	pthread_mutex_lock(&context->lock);
	*out = function_named(module, name);
	pthread_mutex_unlock(&context->lock);
	if (*out)
		return CUDA_SUCCESS;
	function = object_new(KIND_FUNCTION, sizeof(*function));
	if (!function)
		return CUDA_ERROR_OUT_OF_MEMORY;
	function->module = module;
	function->name = strdup(name);
	error = function->name ? result_of(vgpu_function_get(context->vgpu, module->vgpu, name,
							     &function->vgpu), context->vgpu) :
				 CUDA_ERROR_OUT_OF_MEMORY;
	if (error == CUDA_SUCCESS)
		error = function_describe(context, function);
	pthread_mutex_lock(&context->lock);
	*out = error == CUDA_SUCCESS ? function_named(module, name) : NULL;
	if (error == CUDA_SUCCESS && !*out) {
		function->next = module->functions;
		module->functions = function;
		*out = function;
		function = NULL;
	}
	pthread_mutex_unlock(&context->lock);
	if (function) {
		free(function->name);
		free(function->offsets);
		free(function->sizes);
		object_end(function);
	}
	return error;
}

EXPORT CUresult cuModuleGetFunction(CUfunction *function, CUmodule handle, const char *name)
{
	struct CUmod_st *module;
	CUresult error = module_of(handle, &module);

	if (error != CUDA_SUCCESS)
		return error;
	if (!function || !name || !*name)
		return CUDA_ERROR_INVALID_VALUE;
	return module_function(module, name, function);
}

EXPORT CUresult cuModuleGetFunctionCount(unsigned int *count, CUmodule handle)
{
	struct CUmod_st *module;
	CUresult error = module_of(handle, &module);

	if (error != CUDA_SUCCESS)
		return error;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	/* A fat binary's names are known to the device only. */
	if (!module->names)
		return CUDA_ERROR_NOT_SUPPORTED;
	*count = (unsigned int)module->name_count;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleEnumerateFunctions(CUfunction *functions, unsigned int count,
					   CUmodule handle)
{
	struct CUmod_st *module;
	CUresult error = module_of(handle, &module);

	if (error != CUDA_SUCCESS)
		return error;
	if (!functions || !count)
		return CUDA_ERROR_INVALID_VALUE;
	if (!module->names)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (unsigned int i = 0; i < count && i < module->name_count && error == CUDA_SUCCESS; i++)
		error = module_function(module, module->names[i], &functions[i]);
	return error;
}

CUresult module_global(struct CUmod_st *module, const char *name, CUdeviceptr *pointer,
		       size_t *bytes)
{
	struct CUctx_st *context = module->context;
	struct region region = { .kind = REGION_GLOBAL, .module = module }, known;
	vgpu_devptr at;
	uint64_t size;
	CUresult error = result_of(vgpu_module_symbol(context->vgpu, module->vgpu, name, &at,
						      &size), context->vgpu);

	if (error != CUDA_SUCCESS)
		return error;
	at = managed_host_address(module, at);
	region.base = at;
	region.bytes = size;
	if (!region_find(context, at, &known))
		error = region_add(context, &region);
	if (pointer)
		*pointer = at;
	if (bytes)
		*bytes = size;
	return error;
}

EXPORT CUresult cuModuleGetGlobal(CUdeviceptr *pointer, size_t *bytes, CUmodule handle,
				  const char *name)
{
	struct CUmod_st *module;
	CUresult error = module_of(handle, &module);

	if (error != CUDA_SUCCESS)
		return error;
	return name ? module_global(module, name, pointer, bytes) : CUDA_ERROR_INVALID_VALUE;
}
