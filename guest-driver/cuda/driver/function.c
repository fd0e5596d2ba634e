// SPDX-License-Identifier: Apache-2.0
/* What a function is asked and told. */
#include "internal.h"

CUresult function_of(CUfunction handle, struct CUfunc_st **function)
{
	struct CUctx_st *context;
	CUresult error;

	if (object_is(handle, KIND_FUNCTION)) {
		*function = handle;
		return CUDA_SUCCESS;
	}
	error = current_context(&context);
	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(handle, KIND_KERNEL))
		return CUDA_ERROR_INVALID_HANDLE;
	return cuKernelGetFunction(function, (CUkernel)(void *)handle);
}

CUresult function_attribute(struct CUfunc_st *function, CUfunction_attribute attribute, int *value)
{
	switch (attribute) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*value = (int)function->info.block_threads_max;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*value = (int)function->info.shared_bytes;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
		*value = 75;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*value = function->dynamic_shared_max;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*value = function->carveout;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
	case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		*value = 0;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

EXPORT CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction handle)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	return value ? function_attribute(function, attribute, value) : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);
	uint32_t limit;

	if (error != CUDA_SUCCESS)
		return error;
	limit = function->module->context->device->info.shared_bytes_max;
	switch (attribute) {
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		if (value < 0 || (uint32_t)value + function->info.shared_bytes > limit)
			return CUDA_ERROR_INVALID_VALUE;
		function->dynamic_shared_max = value;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		if (value < -1 || value > 100)
			return CUDA_ERROR_INVALID_VALUE;
		function->carveout = value;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

EXPORT CUresult cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache config)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	if ((unsigned int)config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	function->cache_config = config;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetSharedMemConfig(CUfunction handle, CUsharedconfig config)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	return (unsigned int)config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ?
		       CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuFuncGetModule(CUmodule *module, CUfunction handle)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	if (!module)
		return CUDA_ERROR_INVALID_VALUE;
	*module = function->module;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetName(const char **name, CUfunction handle)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = function->name;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetParamInfo(CUfunction handle, size_t index, size_t *offset, size_t *bytes)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	if (!offset || index >= function->info.parameter_count)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = function->offsets[index];
	if (bytes)
		*bytes = function->sizes[index];
	return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction handle)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	if (!state)
		return CUDA_ERROR_INVALID_VALUE;
	*state = CU_FUNCTION_LOADING_STATE_LOADED;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncLoad(CUfunction handle)
{
	struct CUfunc_st *function;

	return function_of(handle, &function);
}

/* ---- Occupancy --------------------------------------------------------------------------------- */

/*
 * A multiprocessor, as the attributes describe it, holds one block's limit of
 * threads and of shared memory, and 16 blocks.
 */
static int blocks_at_once(const struct CUfunc_st *function, int block_threads, size_t dynamic)
{
	const struct vgpu_device_info *info = &function->module->context->device->info;
	uint32_t threads = ALIGN_UP((uint32_t)block_threads, WARP);
	size_t shared = function->info.shared_bytes + dynamic;
	uint32_t blocks;

	if ((uint32_t)block_threads > function->info.block_threads_max ||
	    dynamic > (size_t)function->dynamic_shared_max || shared > info->shared_bytes_max)
		return 0;
	blocks = MIN(info->block_threads_max / threads, 16u);
	if (!blocks)
		blocks = 1;
	if (shared)
		blocks = MIN(blocks, (uint32_t)(info->shared_bytes_max / shared));
	return (int)blocks;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks,
								     CUfunction handle,
								     int block_threads,
								     size_t dynamic,
								     unsigned int flags)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error != CUDA_SUCCESS)
		return error;
	if (!blocks || block_threads <= 0 || flags > CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
		return CUDA_ERROR_INVALID_VALUE;
	*blocks = blocks_at_once(function, block_threads, dynamic);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function,
							    int block_threads, size_t dynamic)
{
	return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_threads,
								    dynamic, 0);
}

EXPORT CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, CUfunction handle,
							  CUoccupancyB2DSize dynamic_of,
							  size_t dynamic, int limit,
							  unsigned int flags)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);
	int best = 0, best_block = 0, best_blocks = 0, count = 0, most;

	if (error != CUDA_SUCCESS)
		return error;
	if (!grid || !block || limit < 0 || flags > CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
		return CUDA_ERROR_INVALID_VALUE;
	most = (int)function->info.block_threads_max;
	if (limit && limit < most)
		most = limit;
	/* From the largest down, so that of equal ones the largest block is taken. */
	for (int threads = most; threads > 0;
	     threads = threads % (int)WARP ? threads - threads % (int)WARP : threads - (int)WARP) {
		int blocks = blocks_at_once(function, threads,
					    dynamic_of ? dynamic_of(threads) : dynamic);

		if (blocks * threads > best) {
			best = blocks * threads;
			best_block = threads;
			best_blocks = blocks;
		}
	}
	device_attribute(function->module->context->device,
			 CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &count);
	*block = best_block;
	*grid = best_blocks * count;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction function,
						 CUoccupancyB2DSize dynamic_of, size_t dynamic,
						 int limit)
{
	return cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, function, dynamic_of,
							 dynamic, limit, 0);
}

EXPORT CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamic, CUfunction handle,
							int blocks, int block_threads)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);
	size_t share;

	if (error != CUDA_SUCCESS)
		return error;
	if (!dynamic || blocks <= 0 || block_threads <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	share = function->module->context->device->info.shared_bytes_max / (unsigned int)blocks;
	*dynamic = share > function->info.shared_bytes ? share - function->info.shared_bytes : 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxPotentialClusterSize(int *size, CUfunction handle,
						   const CUlaunchConfig *config)
{
	(void)size;
	(void)handle;
	(void)config;
	return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuOccupancyMaxActiveClusters(int *count, CUfunction handle,
					     const CUlaunchConfig *config)
{
	(void)count;
	(void)handle;
	(void)config;
	return CUDA_ERROR_NOT_SUPPORTED;
}
