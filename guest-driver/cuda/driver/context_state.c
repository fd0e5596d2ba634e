// SPDX-License-Identifier: Apache-2.0
/* What a context is asked and told: device, flags, limits, preferences, peers. */
#include "internal.h"

#define CONTEXT_OR_RETURN(variable) \
	struct CUctx_st *variable = NULL; \
	do { \
		CUresult state = current_context(&variable); \
		if (state != CUDA_SUCCESS) \
			return state; \
	} while (0)

EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
	CONTEXT_OR_RETURN(context);
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = context->device->ordinal;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext context)
{
	if (!context)
		return cuCtxGetDevice(device);
	if (!object_is(context, KIND_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = context->device->ordinal;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetFlags(unsigned int *flags)
{
	CONTEXT_OR_RETURN(context);
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = context->flags;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetFlags(unsigned int flags)
{
	CONTEXT_OR_RETURN(context);
	if (flags & ~(unsigned int)CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	context->flags = flags;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetId(CUcontext handle, unsigned long long *id)
{
	struct CUctx_st *context = handle;

	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	if (!handle) {
		CUresult error = current_context(&context);

		if (error != CUDA_SUCCESS)
			return error;
	}
	if (!object_is(context, KIND_CONTEXT))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*id = context->id;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetApiVersion(CUcontext handle, unsigned int *version)
{
	if (handle && !object_is(handle, KIND_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = 3020;
	return CUDA_SUCCESS;
}

static bool limit_known(CUlimit limit)
{
	return limit == CU_LIMIT_STACK_SIZE || limit == CU_LIMIT_PRINTF_FIFO_SIZE;
}

EXPORT CUresult cuCtxGetLimit(size_t *value, CUlimit limit)
{
	CONTEXT_OR_RETURN(context);
	if (!value || (unsigned int)limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*value = context->limits[limit];
	return CUDA_SUCCESS;
}

/*
 * Local memory is laid out when a kernel is compiled, and the buffer of output
 * has one size: the stack's limit is kept, the buffer's stays what it is.
 */
EXPORT CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
	CONTEXT_OR_RETURN(context);
	if ((unsigned int)limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	if (limit == CU_LIMIT_STACK_SIZE)
		context->limits[limit] = ALIGN_UP(value, (size_t)16);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCacheConfig(CUfunc_cache *config)
{
	CONTEXT_OR_RETURN(context);
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	*config = context->cache_config;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCacheConfig(CUfunc_cache config)
{
	CONTEXT_OR_RETURN(context);
	if ((unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	context->cache_config = config;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetSharedMemConfig(CUsharedconfig *config)
{
	CONTEXT_OR_RETURN(context);
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	*config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetSharedMemConfig(CUsharedconfig config)
{
	CONTEXT_OR_RETURN(context);
	if ((unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
		return CUDA_ERROR_INVALID_VALUE;
	context->shared_config = config;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	CONTEXT_OR_RETURN(context);
	(void)context;
	/* Streams of one context have no priorities among each other. */
	if (least)
		*least = 0;
	if (greatest)
		*greatest = 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxResetPersistingL2Cache(void)
{
	CONTEXT_OR_RETURN(context);
	(void)context;
	return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuCtxGetExecAffinity(CUexecAffinityParam *parameter, CUexecAffinityType type)
{
	CONTEXT_OR_RETURN(context);
	(void)context;
	(void)parameter;
	(void)type;
	return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}

EXPORT CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags)
{
	CONTEXT_OR_RETURN(context);
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!object_is(peer, KIND_CONTEXT) || peer == context)
		return CUDA_ERROR_INVALID_CONTEXT;
	return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
}

EXPORT CUresult cuCtxDisablePeerAccess(CUcontext peer)
{
	CONTEXT_OR_RETURN(context);
	if (!object_is(peer, KIND_CONTEXT) || peer == context)
		return CUDA_ERROR_INVALID_CONTEXT;
	return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}

/* They tell a profiler when to look; there is none. */
EXPORT CUresult cuProfilerStart(void)
{
	CONTEXT_OR_RETURN(context);
	(void)context;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuProfilerStop(void)
{
	CONTEXT_OR_RETURN(context);
	(void)context;
	return CUDA_SUCCESS;
}
