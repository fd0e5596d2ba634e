// SPDX-License-Identifier: Apache-2.0
/*
 * Contexts: made, ended, current, and waited for.
 *
 * Each is a context of libvgpu, so its errors are its own. An error found while
 * kernels run makes the libvgpu context fail, which is CUDA's sticky error: all
 * later calls return it until the context is destroyed or reset.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define STACK_MAX 64
#define PRINTF_BYTES (1u << 20)

static _Thread_local struct {
	struct CUctx_st *contexts[STACK_MAX];
	/* A context that was destroyed may have left its place to another one. */
	unsigned long long ids[STACK_MAX];
	int depth;
} stack;

/* ---- Current ----------------------------------------------------------------------------- */

static CUresult stack_set(struct CUctx_st *context)
{
	if (!stack.depth)
		stack.depth = 1;
	stack.contexts[stack.depth - 1] = context;
	stack.ids[stack.depth - 1] = context ? context->id : 0;
	return CUDA_SUCCESS;
}

static struct CUctx_st *stack_top(void)
{
	return stack.depth ? stack.contexts[stack.depth - 1] : NULL;
}

CUresult current_context(struct CUctx_st **context)
{
	struct CUctx_st *top = stack_top();

	if (unlikely(initialised() != CUDA_SUCCESS))
		return CUDA_ERROR_NOT_INITIALIZED;
	if (unlikely(!top))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (unlikely(!object_is(top, KIND_CONTEXT) || top->id != stack.ids[stack.depth - 1]))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*context = top;
	return CUDA_SUCCESS;
}

struct CUctx_st *enter_context(struct CUctx_st *context)
{
	struct CUctx_st *before = stack_top();

	stack_set(context);
	return before;
}

void leave_context(struct CUctx_st *before)
{
	stack_set(object_is(before, KIND_CONTEXT) ? before : NULL);
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context)
{
	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (context && !object_is(context, KIND_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!context && stack.depth) {
		stack.depth--;
		return CUDA_SUCCESS;
	}
	return context ? stack_set(context) : CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCurrent(CUcontext *context)
{
	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	*context = stack_top();
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent(CUcontext context)
{
	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!object_is(context, KIND_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (stack.depth == STACK_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	stack.depth++;
	return stack_set(context);
}

EXPORT CUresult cuCtxPopCurrent(CUcontext *context)
{
	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!stack_top())
		return CUDA_ERROR_INVALID_CONTEXT;
	if (context)
		*context = stack_top();
	stack.depth--;
	return CUDA_SUCCESS;
}

/* ---- Making and ending ----------------------------------------------------------------------- */

/*
 * The device keeps the memory of contexts that run PTX together, which makes
 * their kernels faster; the first module tells it, so that one comes before any
 * memory. It stays until the context is closed. If it fails, so will others.
 */
static void announce_ptx(vgpu_context *vgpu)
{
	static const char empty[] = ".version 6.0\n.target sm_75\n.address_size 64\n";
	vgpu_module module;

	vgpu_module_load(vgpu, empty, sizeof(empty) - 1, VGPU_FORMAT_PTX, &module, NULL, 0);
}

static CUresult context_new(struct device *device, vgpu_context *vgpu, unsigned int flags,
			    struct CUctx_st **out)
{
	struct CUctx_st *context = object_new(KIND_CONTEXT, sizeof(*context));
	CUresult error;

	if (!context)
		return CUDA_ERROR_OUT_OF_MEMORY;
	context->device = device;
	context->vgpu = vgpu;
	context->flags = flags;
	context->id = next_id();
	context->limits[CU_LIMIT_STACK_SIZE] = 1024;
	context->limits[CU_LIMIT_PRINTF_FIFO_SIZE] = PRINTF_BYTES;
	pthread_mutex_init(&context->lock, NULL);
	pthread_rwlock_init(&context->regions_lock, NULL);
	if ((flags & CU_CTX_SCHED_MASK) == CU_CTX_SCHED_SPIN)
		vgpu_set_wait_mode(vgpu, VGPU_WAIT_POLL);
	else if ((flags & CU_CTX_SCHED_MASK) == CU_CTX_SCHED_BLOCKING_SYNC)
		vgpu_set_wait_mode(vgpu, VGPU_WAIT_INTERRUPT);
	announce_ptx(vgpu);
	error = streams_init(context);
	if (error == CUDA_SUCCESS)
		error = pools_init(context);
	if (error != CUDA_SUCCESS) {
		object_end(context);
		return error;
	}
	*out = context;
	return CUDA_SUCCESS;
}

/* Ends the context and all that is in it, and closes it. */
static void context_end(struct CUctx_st *context)
{
	defer_drain_all(context);
	if (vgpu_synchronize(context->vgpu) == VGPU_SUCCESS)
		printf_flush(context);
	libraries_forget(context);
	while (context->modules) {
		struct CUmod_st *module = context->modules;

		module_unload(module);
	}
	textures_forget(context);
	managed_forget(context);
	pools_free(context);
	streams_free(context);
	for (size_t i = 0; i < context->region_count; i++)
		free(context->regions[i]);
	free(context->regions);
	pthread_mutex_destroy(&context->lock);
	pthread_rwlock_destroy(&context->regions_lock);
	vgpu_close(context->vgpu);
	object_end(context);
}

#define FLAGS_KNOWN (CU_CTX_SCHED_MASK | CU_CTX_MAP_HOST | CU_CTX_LMEM_RESIZE_TO_MAX | \
		     CU_CTX_COREDUMP_ENABLE | CU_CTX_USER_COREDUMP_ENABLE | CU_CTX_SYNC_MEMOPS)

EXPORT CUresult cuCtxCreate(CUcontext *out, CUctxCreateParams *parameters, unsigned int flags,
			    CUdevice number)
{
	struct device *device = device_of(number);
	struct CUctx_st *context;
	vgpu_context *vgpu;
	CUresult error;

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!out || (flags & ~FLAGS_KNOWN))
		return CUDA_ERROR_INVALID_VALUE;
	if (parameters && parameters->numExecAffinityParams)
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	if (parameters && parameters->cigParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	error = result_of(vgpu_open(device->path, &vgpu), NULL);
	if (error != CUDA_SUCCESS)
		return error;
	error = context_new(device, vgpu, flags, &context);
	if (error != CUDA_SUCCESS) {
		vgpu_close(vgpu);
		return error;
	}
	error = cuCtxPushCurrent(context);
	if (error != CUDA_SUCCESS) {
		context_end(context);
		return error;
	}
	*out = context;
	return CUDA_SUCCESS;
}

#undef cuCtxCreate
EXPORT CUresult cuCtxCreate(CUcontext *out, unsigned int flags, CUdevice number);
EXPORT CUresult cuCtxCreate(CUcontext *out, unsigned int flags, CUdevice number)
{
	return cuCtxCreate_v4(out, NULL, flags, number);
}

EXPORT CUresult cuCtxCreate_v2(CUcontext *out, unsigned int flags, CUdevice number);
EXPORT CUresult cuCtxCreate_v2(CUcontext *out, unsigned int flags, CUdevice number)
{
	return cuCtxCreate_v4(out, NULL, flags, number);
}

EXPORT CUresult cuCtxCreate_v3(CUcontext *out, CUexecAffinityParam *affinities, int count,
			       unsigned int flags, CUdevice number);
EXPORT CUresult cuCtxCreate_v3(CUcontext *out, CUexecAffinityParam *affinities, int count,
			       unsigned int flags, CUdevice number)
{
	CUctxCreateParams parameters = { affinities, count, NULL };

	return cuCtxCreate_v4(out, &parameters, flags, number);
}

EXPORT CUresult cuCtxDestroy(CUcontext context)
{
	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!object_is(context, KIND_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (context->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (stack_top() == context)
		stack.depth--;
	context_end(context);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxAttach(CUcontext *context, unsigned int flags)
{
	(void)context;
	(void)flags;
	return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuCtxDetach(CUcontext context)
{
	return cuCtxDestroy(context);
}

/* ---- Primary contexts -------------------------------------------------------------------------- */

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice number)
{
	struct device *device = device_of(number);
	CUresult error = CUDA_SUCCESS;

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&devices_lock);
	if (!device->primary) {
		if (!device->spare)
			error = result_of(vgpu_open(device->path, &device->spare), NULL);
		if (error == CUDA_SUCCESS)
			error = context_new(device, device->spare, device->primary_flags,
					    &device->primary);
		if (error == CUDA_SUCCESS) {
			device->primary->primary = true;
			device->spare = NULL;
		}
	}
	if (error == CUDA_SUCCESS) {
		device->primary_references++;
		*out = device->primary;
	}
	pthread_mutex_unlock(&devices_lock);
	return error;
}

EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice number)
{
	struct device *device = device_of(number);
	struct CUctx_st *ended = NULL;

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&devices_lock);
	if (!device->primary_references) {
		pthread_mutex_unlock(&devices_lock);
		return CUDA_ERROR_INVALID_CONTEXT;
	}
	if (!--device->primary_references) {
		ended = device->primary;
		device->primary = NULL;
	}
	pthread_mutex_unlock(&devices_lock);
	if (ended)
		context_end(ended);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice number)
{
	struct device *device = device_of(number);
	struct CUctx_st *ended;

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&devices_lock);
	ended = device->primary;
	device->primary = NULL;
	device->primary_references = 0;
	pthread_mutex_unlock(&devices_lock);
	if (ended)
		context_end(ended);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxSetFlags(CUdevice number, unsigned int flags)
{
	struct device *device = device_of(number);

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags & ~FLAGS_KNOWN)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&devices_lock);
	device->primary_flags = flags;
	if (device->primary)
		device->primary->flags = flags;
	pthread_mutex_unlock(&devices_lock);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice number, unsigned int *flags, int *active)
{
	struct device *device = device_of(number);

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!flags || !active)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&devices_lock);
	*flags = device->primary_flags;
	*active = device->primary != NULL;
	pthread_mutex_unlock(&devices_lock);
	return CUDA_SUCCESS;
}

#undef cuDevicePrimaryCtxRelease
#undef cuDevicePrimaryCtxReset
#undef cuDevicePrimaryCtxSetFlags
#undef cuCtxDestroy
#undef cuCtxPushCurrent
#undef cuCtxPopCurrent
#define SAME(name, parameters, arguments) \
	EXPORT CUresult name parameters; \
	EXPORT CUresult name parameters \
	{ \
		return name##_v2 arguments; \
	}
SAME(cuDevicePrimaryCtxRelease, (CUdevice device), (device))
SAME(cuDevicePrimaryCtxReset, (CUdevice device), (device))
SAME(cuDevicePrimaryCtxSetFlags, (CUdevice device, unsigned int flags), (device, flags))
SAME(cuCtxDestroy, (CUcontext context), (context))
SAME(cuCtxPushCurrent, (CUcontext context), (context))
SAME(cuCtxPopCurrent, (CUcontext *context), (context))

/* ---- Waiting -------------------------------------------------------------------------------------- */

CUresult synchronised(struct CUctx_st *context)
{
	CUresult error = CUDA_SUCCESS;

	if (atomic_load_explicit(&context->printed, memory_order_relaxed))
		error = printf_flush(context);
	return error == CUDA_SUCCESS ? pools_trim(context, false) : error;
}

CUresult context_wait(struct CUctx_st *context)
{
	CUresult error = defer_drain_all(context);

	if (error == CUDA_SUCCESS)
		error = result_of(vgpu_synchronize(context->vgpu), context->vgpu);
	if (error != CUDA_SUCCESS)
		return error;
	return synchronised(context);
}

EXPORT CUresult cuCtxSynchronize(void)
{
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (error == CUDA_SUCCESS)
		error = capture_forbids(context);
	return error == CUDA_SUCCESS ? context_wait(context) : error;
}

EXPORT CUresult cuCtxSynchronize_v2(CUcontext context)
{
	CUresult error;

	if (!context)
		return cuCtxSynchronize();
	if (!object_is(context, KIND_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	error = capture_forbids(context);
	return error == CUDA_SUCCESS ? context_wait(context) : error;
}
