// SPDX-License-Identifier: Apache-2.0
/* Sets: device memory filled with a value, in one or two dimensions. */
#include "internal.h"

static CUresult fill(struct CUstream_st *stream, uint64_t target, const struct op_set *set,
		     size_t count)
{
	vgpu_context *vgpu = stream->context->vgpu;
	enum vgpu_result result;

	if (set->element == 1)
		result = vgpu_memset_d8_async(vgpu, target, (uint8_t)set->value, count,
					      stream->vgpu);
	else if (set->element == 2)
		result = vgpu_memset_d16_async(vgpu, target, (uint16_t)set->value, count,
					       stream->vgpu);
	else
		result = vgpu_memset_d32_async(vgpu, target, set->value, count, stream->vgpu);
	return result_of(result, vgpu);
}

CUresult set_run(struct CUstream_st *stream, const struct op_set *set)
{
	uint64_t row = (uint64_t)set->width * set->element, target = set->target;
	CUresult error = CUDA_SUCCESS;

	if (!set->width || !set->height)
		return CUDA_SUCCESS;
	if (atomic_load_explicit(&stream->context->managed_count, memory_order_relaxed)) {
		error = managed_range_to_device(stream, target,
						set->pitch * (set->height - 1) + row, true);
		target = managed_device_address(target);
	}
	if (error == CUDA_SUCCESS && (set->height == 1 || set->pitch == row))
		return fill(stream, target, set, set->width * set->height);
	for (size_t y = 0; y < set->height && error == CUDA_SUCCESS; y++)
		error = fill(stream, target + y * set->pitch, set, set->width);
	return error;
}

CUresult set_check(struct CUctx_st *context, const struct op_set *set)
{
	uint64_t bytes = set->pitch * (set->height - 1) + (uint64_t)set->width * set->element;
	struct region region;

	if (!set->width || !set->height)
		return CUDA_SUCCESS;
	if (set->element != 1 && set->element != 2 && set->element != 4)
		return CUDA_ERROR_INVALID_VALUE;
	if (set->target % set->element || (set->height > 1 && set->pitch % set->element) ||
	    (set->height > 1 && set->pitch < (uint64_t)set->width * set->element))
		return CUDA_ERROR_INVALID_VALUE;
	if (region_find(context, set->target, &region)) {
		if (!region_on_device(&region) ||
		    bytes > region.bytes - (set->target - region.base))
			return report(CUDA_ERROR_INVALID_VALUE,
				      "a set of %llu bytes at 0x%llx: the memory ends before",
				      (unsigned long long)bytes, (unsigned long long)set->target);
		return CUDA_SUCCESS;
	}
	return address_on_device(context, set->target) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult submit_set(CUstream handle, CUdeviceptr target, size_t pitch, uint32_t value,
			   uint32_t element, size_t width, size_t height)
{
	struct op op = { .kind = OP_SET, .set = { .target = target, .pitch = pitch, .value = value,
						  .element = element, .width = width,
						  .height = height } };
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error == CUDA_SUCCESS)
		error = set_check(stream->context, &op.set);
	return error == CUDA_SUCCESS ? stream_submit(stream, &op) : error;
}

/* Calls without a stream do not wait either: the memory is the device's. */
#define SETS(bits, type) \
	EXPORT CUresult cuMemsetD##bits##_v2(CUdeviceptr target, type value, size_t count) \
	{ \
		return submit_set(NULL, target, 0, value, bits / 8, count, 1); \
	} \
	EXPORT CUresult cuMemsetD##bits##Async(CUdeviceptr target, type value, size_t count, \
					       CUstream stream) \
	{ \
		return submit_set(stream, target, 0, value, bits / 8, count, 1); \
	} \
	EXPORT CUresult cuMemsetD2D##bits##_v2(CUdeviceptr target, size_t pitch, type value, \
					       size_t width, size_t height) \
	{ \
		return submit_set(NULL, target, pitch, value, bits / 8, width, height); \
	} \
	EXPORT CUresult cuMemsetD2D##bits##Async(CUdeviceptr target, size_t pitch, type value, \
						 size_t width, size_t height, CUstream stream) \
	{ \
		return submit_set(stream, target, pitch, value, bits / 8, width, height); \
	}
SETS(8, unsigned char)
SETS(16, unsigned short)
SETS(32, unsigned int)
