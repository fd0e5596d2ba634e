// SPDX-License-Identifier: Apache-2.0
/*
 * Libraries and kernels: modules that belong to no context. A library keeps its
 * image, and is loaded into a context when a kernel is first used there.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct loaded {
	struct loaded *next;
	struct CUctx_st *context;
	unsigned long long context_id;
	struct CUmod_st *module;
};

struct CUkern_st {
	struct object object;
	struct CUkern_st *next;
	struct CUlib_st *library;
	char *name;
	/* Its function in the context that asked last. */
	struct CUfunc_st *last;
	unsigned long long last_context;
};

struct CUlib_st {
	struct object object;
	struct CUlib_st *next;
	struct image image;
	void *copy;
	struct loaded *loaded;
	struct CUkern_st *kernels;
	char **names;
	size_t name_count;
	pthread_mutex_t lock;
};

static pthread_mutex_t libraries_lock = PTHREAD_MUTEX_INITIALIZER;
static struct CUlib_st *libraries;

/* The library's module in the context; loads it. */
static CUresult library_module(struct CUlib_st *library, struct CUctx_st *context,
			       struct CUmod_st **module)
{
	struct loaded *entry;
	CUresult error = CUDA_SUCCESS;

	pthread_mutex_lock(&library->lock);
	for (entry = library->loaded; entry; entry = entry->next)
		if (entry->context == context && entry->context_id == context->id)
			break;
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		error = entry ? module_load(context, &library->image, NULL, &entry->module) :
				CUDA_ERROR_OUT_OF_MEMORY;
		if (error == CUDA_SUCCESS) {
			entry->module->library = library;
			entry->context = context;
			entry->context_id = context->id;
			entry->next = library->loaded;
			library->loaded = entry;
		} else {
			free(entry);
			entry = NULL;
		}
	}
	pthread_mutex_unlock(&library->lock);
	if (entry)
		*module = entry->module;
	return error;
}

/* A context ends: its modules go with it, so libraries must not remember them. */
void libraries_forget(struct CUctx_st *context)
{
	pthread_mutex_lock(&libraries_lock);
	for (struct CUlib_st *library = libraries; library; library = library->next) {
		pthread_mutex_lock(&library->lock);
		for (struct loaded **link = &library->loaded; *link;) {
			struct loaded *entry = *link;

			if (entry->context == context) {
				*link = entry->next;
				free(entry);
			} else {
				link = &entry->next;
			}
		}
		pthread_mutex_unlock(&library->lock);
	}
	pthread_mutex_unlock(&libraries_lock);
}

static CUresult library_load(CUlibrary *out, const void *data, size_t bytes)
{
	struct CUlib_st *library;
	struct image image;
	CUresult error = initialised();

	if (error == CUDA_SUCCESS && !out)
		error = CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		error = image_of(data, bytes, &image);
	if (error != CUDA_SUCCESS)
		return error;
	library = object_new(KIND_LIBRARY, sizeof(*library));
	if (library && !image.owned) {
		library->copy = malloc(image.bytes);
		if (library->copy) {
			memcpy(library->copy, image.data, image.bytes);
			image.data = library->copy;
		}
	}
	if (!library || (!image.owned && !library->copy)) {
		image_release(&image);
		if (library)
			object_end(library);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	library->image = image;
	library->name_count = image_names(&image, &library->names);
	pthread_mutex_init(&library->lock, NULL);
	pthread_mutex_lock(&libraries_lock);
	library->next = libraries;
	libraries = library;
	pthread_mutex_unlock(&libraries_lock);
	*out = library;
	return CUDA_SUCCESS;
}

/* Options steer NVIDIA's compiler; libraries are always loaded when first used. */
EXPORT CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jit_options,
				  void **jit_values, unsigned int jit_count,
				  CUlibraryOption *options, void **values, unsigned int count)
{
	(void)jit_options;
	(void)jit_values;
	(void)options;
	(void)values;
	if ((jit_count && (!jit_options || !jit_values)) || (count && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	return library_load(library, code, 0);
}

EXPORT CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *path,
				      CUjit_option *jit_options, void **jit_values,
				      unsigned int jit_count, CUlibraryOption *options,
				      void **values, unsigned int count)
{
	size_t bytes;
	void *data;
	CUresult error;

	if (!path || (jit_count && (!jit_options || !jit_values)) ||
	    (count && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	error = file_read(path, &data, &bytes);
	if (error != CUDA_SUCCESS)
		return error;
	error = library_load(library, data, bytes);
	free(data);
	return error;
}

EXPORT CUresult cuLibraryUnload(CUlibrary library)
{
	struct CUlib_st **link;
	CUresult error = initialised();

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(library, KIND_LIBRARY))
		return CUDA_ERROR_INVALID_HANDLE;
	pthread_mutex_lock(&libraries_lock);
	for (link = &libraries; *link && *link != library; link = &(*link)->next)
		;
	if (*link)
		*link = library->next;
	pthread_mutex_unlock(&libraries_lock);
	while (library->loaded) {
		struct loaded *entry = library->loaded;

		library->loaded = entry->next;
		if (object_is(entry->context, KIND_CONTEXT) &&
		    entry->context->id == entry->context_id) {
			context_wait(entry->context);
			module_unload(entry->module);
		}
		free(entry);
	}
	while (library->kernels) {
		struct CUkern_st *kernel = library->kernels;

		library->kernels = kernel->next;
		free(kernel->name);
		object_end(kernel);
	}
	for (size_t i = 0; i < library->name_count; i++)
		free(library->names[i]);
	free(library->names);
	image_release(&library->image);
	free(library->copy);
	pthread_mutex_destroy(&library->lock);
	object_end(library);
	return CUDA_SUCCESS;
}

static bool name_known(const struct CUlib_st *library, const char *name)
{
	for (size_t i = 0; i < library->name_count; i++)
		if (!strcmp(library->names[i], name))
			return true;
	return !library->names;
}

EXPORT CUresult cuLibraryGetKernel(CUkernel *out, CUlibrary library, const char *name)
{
	struct CUkern_st *kernel;
	CUresult error = initialised();

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(library, KIND_LIBRARY))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!out || !name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!name_known(library, name))
		return CUDA_ERROR_NOT_FOUND;
	pthread_mutex_lock(&library->lock);
	for (kernel = library->kernels; kernel; kernel = kernel->next)
		if (!strcmp(kernel->name, name))
			break;
	if (!kernel) {
		kernel = object_new(KIND_KERNEL, sizeof(*kernel));
		if (kernel) {
			kernel->name = strdup(name);
			kernel->library = library;
			kernel->next = library->kernels;
			library->kernels = kernel;
		}
	}
	pthread_mutex_unlock(&library->lock);
	if (!kernel || !kernel->name)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = kernel;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryGetKernelCount(unsigned int *count, CUlibrary library)
{
	if (!object_is(library, KIND_LIBRARY))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	if (!library->names)
		return CUDA_ERROR_NOT_SUPPORTED;
	*count = (unsigned int)library->name_count;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int count, CUlibrary library)
{
	CUresult error = CUDA_SUCCESS;

	if (!object_is(library, KIND_LIBRARY))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!kernels || !count)
		return CUDA_ERROR_INVALID_VALUE;
	if (!library->names)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (unsigned int i = 0; i < count && i < library->name_count && error == CUDA_SUCCESS; i++)
		error = cuLibraryGetKernel(&kernels[i], library, library->names[i]);
	return error;
}

static CUresult current_module(CUlibrary library, struct CUmod_st **module)
{
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(library, KIND_LIBRARY))
		return CUDA_ERROR_INVALID_HANDLE;
	return library_module(library, context, module);
}

EXPORT CUresult cuLibraryGetModule(CUmodule *module, CUlibrary library)
{
	return module ? current_module(library, module) : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuLibraryGetGlobal(CUdeviceptr *pointer, size_t *bytes, CUlibrary library,
				   const char *name)
{
	struct CUmod_st *module;
	CUresult error = name ? current_module(library, &module) : CUDA_ERROR_INVALID_VALUE;

	return error == CUDA_SUCCESS ? module_global(module, name, pointer, bytes) : error;
}

/* A variable of the current context's module: contexts have memory of their own. */
EXPORT CUresult cuLibraryGetManaged(CUdeviceptr *pointer, size_t *bytes, CUlibrary library,
				    const char *name)
{
	struct CUmod_st *module;
	struct region region;
	CUdeviceptr at;
	CUresult error = name ? current_module(library, &module) : CUDA_ERROR_INVALID_VALUE;

	if (error == CUDA_SUCCESS)
		error = module_global(module, name, &at, bytes);
	if (error != CUDA_SUCCESS)
		return error;
	if (!region_find(module->context, at, &region) || region.kind != REGION_MANAGED)
		return CUDA_ERROR_NOT_FOUND;
	if (pointer)
		*pointer = at;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLibraryGetUnifiedFunction(void **function, CUlibrary library, const char *name)
{
	(void)function;
	(void)library;
	(void)name;
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* ---- Kernels ---------------------------------------------------------------------------------- */

EXPORT CUresult cuKernelGetFunction(CUfunction *function, CUkernel kernel)
{
	struct CUctx_st *context;
	struct CUmod_st *module;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(kernel, KIND_KERNEL))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!function)
		return CUDA_ERROR_INVALID_VALUE;
	if (kernel->last_context == context->id && object_is(kernel->last, KIND_FUNCTION)) {
		*function = kernel->last;
		return CUDA_SUCCESS;
	}
	error = library_module(kernel->library, context, &module);
	if (error == CUDA_SUCCESS)
		error = module_function(module, kernel->name, function);
	if (error == CUDA_SUCCESS) {
		kernel->last = *function;
		kernel->last_context = context->id;
	}
	return error;
}

EXPORT CUresult cuKernelGetLibrary(CUlibrary *library, CUkernel kernel)
{
	if (!object_is(kernel, KIND_KERNEL))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!library)
		return CUDA_ERROR_INVALID_VALUE;
	*library = kernel->library;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuKernelGetName(const char **name, CUkernel kernel)
{
	if (!object_is(kernel, KIND_KERNEL))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = kernel->name;
	return CUDA_SUCCESS;
}

/* The kernel's function where the device's primary context is, or the current one of that device. */
static CUresult function_on(CUkernel kernel, CUdevice number, struct CUfunc_st **function)
{
	struct device *device = device_of(number);
	struct CUctx_st *context, *before;
	CUresult error;

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!object_is(kernel, KIND_KERNEL))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	if (current_context(&context) == CUDA_SUCCESS && context->device == device)
		return cuKernelGetFunction(function, kernel);
	if (!device->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	before = enter_context(device->primary);
	error = cuKernelGetFunction(function, kernel);
	leave_context(before);
	return error;
}

EXPORT CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel kernel,
				     CUdevice device)
{
	struct CUfunc_st *function;
	CUresult error = function_on(kernel, device, &function);

	if (error != CUDA_SUCCESS)
		return error;
	return value ? function_attribute(function, attribute, value) : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel,
				     CUdevice device)
{
	struct CUfunc_st *function;
	CUresult error = function_on(kernel, device, &function);

	return error == CUDA_SUCCESS ? cuFuncSetAttribute(function, attribute, value) : error;
}

EXPORT CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice device)
{
	struct CUfunc_st *function;
	CUresult error = function_on(kernel, device, &function);

	return error == CUDA_SUCCESS ? cuFuncSetCacheConfig(function, config) : error;
}

EXPORT CUresult cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t *offset, size_t *bytes)
{
	struct CUfunc_st *function;
	CUresult error = cuKernelGetFunction(&function, kernel);

	return error == CUDA_SUCCESS ? cuFuncGetParamInfo(function, index, offset, bytes) : error;
}
