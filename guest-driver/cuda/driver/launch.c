// SPDX-License-Identifier: Apache-2.0
/*
 * Launches: parameters packed into the kernel's buffer, sizes checked as CUDA
 * checks them, attributes of the launch accepted where they are hints and
 * refused where they would change what the kernel may do.
 */
#include "internal.h"

#include <string.h>

static CUresult queue(struct CUstream_st *stream, const struct op_launch *launch,
		      const void *parameters)
{
	vgpu_context *vgpu = stream->context->vgpu;

	return result_of(vgpu_launch_raw(vgpu, launch->function->vgpu, launch->grid,
					 launch->block, launch->shared_bytes, parameters,
					 launch->parameter_bytes, stream->vgpu), vgpu);
}

/* With managed memory about: it goes to the device, and pointers to it are put right. */
static CUresult queue_managed(struct CUstream_st *stream, const struct op_launch *launch)
{
	uint8_t parameters[PARAMETER_BYTES_MAX] __attribute__((aligned(16)));
	CUresult error = managed_to_device(stream);

	if (error != CUDA_SUCCESS)
		return error;
	memcpy(parameters, launch->parameters, launch->parameter_bytes);
	managed_translate(parameters, launch->parameter_bytes);
	return queue(stream, launch, parameters);
}

CUresult launch_run(struct CUstream_st *stream, const struct op_launch *launch)
{
	struct CUctx_st *context = stream->context;

	if (unlikely(!object_is(launch->function, KIND_FUNCTION)))
		return CUDA_ERROR_INVALID_HANDLE;
	if (launch->function->module->printf_buffer)
		atomic_store_explicit(&context->printed, true, memory_order_relaxed);
	if (atomic_load_explicit(&context->managed_count, memory_order_relaxed))
		return queue_managed(stream, launch);
	return queue(stream, launch, launch->parameters);
}

/* The buffer of "extra": a list of names and values. */
static CUresult unpack_extra(void **extra, const struct CUfunc_st *function, uint8_t *packed)
{
	const void *buffer = NULL;
	size_t bytes = 0;

	while (*extra != CU_LAUNCH_PARAM_END) {
		if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer = extra[1];
		else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE)
			bytes = extra[1] ? *(const size_t *)extra[1] : 0;
		else
			return CUDA_ERROR_INVALID_VALUE;
		extra += 2;
	}
	if (!buffer || bytes > PARAMETER_BYTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	/* The end may lack padding, or have more of it. */
	if (bytes < function->info.parameter_bytes) {
		uint32_t last = function->info.parameter_count;

		if (!last || bytes < function->offsets[last - 1] + function->sizes[last - 1])
			return report(CUDA_ERROR_INVALID_VALUE,
				      "%s: a parameter buffer of %zu bytes, %u needed",
				      function->name, bytes, function->info.parameter_bytes);
	}
	memcpy(packed, buffer, MIN(bytes, (size_t)function->info.parameter_bytes));
	return CUDA_SUCCESS;
}

static CUresult pack(const struct CUfunc_st *function, void **parameters, void **extra,
		     uint8_t *packed)
{
	if (parameters && extra)
		return CUDA_ERROR_INVALID_VALUE;
	if (!function->info.parameter_count)
		return CUDA_SUCCESS;
	if (extra)
		return unpack_extra(extra, function, packed);
	if (!parameters)
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < function->info.parameter_count; i++) {
		if (!parameters[i])
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(packed + function->offsets[i], parameters[i], function->sizes[i]);
	}
	return CUDA_SUCCESS;
}

static CUresult check_sizes(const struct CUfunc_st *function, const struct op_launch *launch)
{
	const struct vgpu_device_info *info = &function->module->context->device->info;
	struct vgpu_dim3 grid = launch->grid, block = launch->block;
	uint64_t threads = (uint64_t)block.x * block.y;

	if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z)
		return report(CUDA_ERROR_INVALID_VALUE, "%s: a size of 0 in a grid of %u x %u x %u blocks of %u x %u x %u",
			      function->name, grid.x, grid.y, grid.z, block.x, block.y, block.z);
	if (grid.x > info->grid_max || grid.y > info->grid_max || grid.z > info->grid_max ||
	    block.x > info->block_max.x || block.y > info->block_max.y ||
	    block.z > info->block_max.z || threads > info->block_threads_max ||
	    threads * block.z > info->block_threads_max)
		return report(CUDA_ERROR_INVALID_VALUE,
			      "%s: a grid of %u x %u x %u blocks of %u x %u x %u is beyond the limits: grid %u each, block %u x %u x %u, %u threads",
			      function->name, grid.x, grid.y, grid.z, block.x, block.y, block.z,
			      info->grid_max, info->block_max.x, info->block_max.y,
			      info->block_max.z, info->block_threads_max);
	if (threads * block.z > function->info.block_threads_max)
		return report(CUDA_ERROR_INVALID_VALUE,
			      "%s: a block of %llu threads, the kernel is built for at most %u",
			      function->name, (unsigned long long)(threads * block.z),
			      function->info.block_threads_max);
	if (launch->shared_bytes > (uint32_t)function->dynamic_shared_max)
		return report(CUDA_ERROR_INVALID_VALUE,
			      "%s: %u bytes of dynamic shared memory, %d are left", function->name,
			      launch->shared_bytes, function->dynamic_shared_max);
	return CUDA_SUCCESS;
}

/* Sizes checked, parameters packed into room for PARAMETER_BYTES_MAX bytes. */
CUresult launch_prepare(CUfunction handle, struct op_launch *launch, void **parameters,
			void **extra, uint8_t *packed)
{
	struct CUfunc_st *function;
	CUresult error = function_of(handle, &function);

	if (error == CUDA_SUCCESS)
		error = check_sizes(function, launch);
	if (unlikely(error != CUDA_SUCCESS))
		return error;
	memset(packed, 0, function->info.parameter_bytes);
	launch->function = function;
	launch->parameters = packed;
	launch->parameter_bytes = function->info.parameter_bytes;
	return pack(function, parameters, extra, packed);
}

static CUresult launch(CUfunction handle, struct op_launch *launch, CUstream stream_handle,
		       void **parameters, void **extra)
{
	uint8_t packed[PARAMETER_BYTES_MAX] __attribute__((aligned(16)));
	struct op op = { .kind = OP_LAUNCH };
	struct CUstream_st *stream;
	CUresult error = stream_of(stream_handle, &stream);

	if (error == CUDA_SUCCESS)
		error = launch_prepare(handle, launch, parameters, extra, packed);
	if (unlikely(error != CUDA_SUCCESS))
		return error;
	if (unlikely(launch->function->module->context != stream->context))
		return CUDA_ERROR_INVALID_HANDLE;
	op.launch = *launch;
	return stream_submit(stream, &op);
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
			       unsigned int grid_z, unsigned int block_x, unsigned int block_y,
			       unsigned int block_z, unsigned int shared_bytes, CUstream stream,
			       void **parameters, void **extra)
{
	struct op_launch sizes = { .grid = { grid_x, grid_y, grid_z },
				   .block = { block_x, block_y, block_z },
				   .shared_bytes = shared_bytes };

	return launch(function, &sizes, stream, parameters, extra);
}

/* A whole grid that can wait for itself can't be promised by WebGPU. */
EXPORT CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned int grid_x,
					  unsigned int grid_y, unsigned int grid_z,
					  unsigned int block_x, unsigned int block_y,
					  unsigned int block_z, unsigned int shared_bytes,
					  CUstream stream, void **parameters)
{
	/* One block has nobody to wait for. */
	if (grid_x == 1 && grid_y == 1 && grid_z == 1)
		return cuLaunchKernel(function, 1, 1, 1, block_x, block_y, block_z, shared_bytes,
				      stream, parameters, NULL);
	return report(CUDA_ERROR_NOT_SUPPORTED,
		      "a cooperative launch of more than one block: the grid can't wait for itself");
}

static CUresult check_attribute(const CUlaunchAttribute *attribute)
{
	const CUlaunchAttributeValue *value = &attribute->value;

	switch (attribute->id) {
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	/* It allows to begin early; beginning in order is allowed too. */
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
		return value->cooperative ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
		return value->clusterDim.x * value->clusterDim.y * value->clusterDim.z > 1 ?
			       CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function,
				 void **parameters, void **extra)
{
	struct op_launch sizes;

	if (!config || (config->numAttrs && !config->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	sizes = (struct op_launch){
		.grid = { config->gridDimX, config->gridDimY, config->gridDimZ },
		.block = { config->blockDimX, config->blockDimY, config->blockDimZ },
		.shared_bytes = config->sharedMemBytes,
	};
	for (unsigned int i = 0; i < config->numAttrs; i++) {
		CUresult error = check_attribute(&config->attrs[i]);
		bool alone = sizes.grid.x == 1 && sizes.grid.y == 1 && sizes.grid.z == 1;

		if (error != CUDA_SUCCESS &&
		    !(alone && config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE))
			return error;
	}
	return launch(function, &sizes, config->hStream, parameters, extra);
}
