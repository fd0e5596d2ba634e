// SPDX-License-Identifier: Apache-2.0
/* Device memory and pinned host memory: allocated, freed, described. */
#include "internal.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

/* Rows of pitched memory begin at multiples of this. */
#define PITCH_BYTES 512u

static CUresult allocating_context(struct CUctx_st **context)
{
	CUresult error = current_context(context);

	return error == CUDA_SUCCESS ? capture_forbids(*context) : error;
}

/* ---- Device memory ------------------------------------------------------------------------ */

EXPORT CUresult cuMemAlloc(CUdeviceptr *pointer, size_t bytes)
{
	struct region region = { .kind = REGION_DEVICE, .bytes = bytes };
	struct CUctx_st *context;
	CUresult error = allocating_context(&context);
	vgpu_devptr memory;

	if (error != CUDA_SUCCESS)
		return error;
	if (!pointer || !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	error = device_alloc(context, bytes, &memory);
	if (error != CUDA_SUCCESS)
		return error;
	region.base = region.allocation = memory;
	error = region_add(context, &region);
	if (error != CUDA_SUCCESS) {
		vgpu_mem_free(context->vgpu, memory);
		return error;
	}
	*pointer = memory;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAllocPitch(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height,
				unsigned int element_bytes)
{
	CUresult error = initialised();
	size_t row;

	if (error != CUDA_SUCCESS)
		return error;
	if (!pointer || !pitch || !width || !height ||
	    (element_bytes != 4 && element_bytes != 8 && element_bytes != 16))
		return CUDA_ERROR_INVALID_VALUE;
	if (width > INT_MAX || height > SIZE_MAX / ALIGN_UP(width, (size_t)PITCH_BYTES))
		return CUDA_ERROR_INVALID_VALUE;
	row = ALIGN_UP(width, (size_t)PITCH_BYTES);
	error = cuMemAlloc(pointer, row * height);
	if (error == CUDA_SUCCESS)
		*pitch = row;
	return error;
}

EXPORT CUresult cuMemFree(CUdeviceptr pointer)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = allocating_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!pointer)
		return CUDA_SUCCESS;
	if (!region_find(context, pointer, &region) || region.base != pointer)
		return CUDA_ERROR_INVALID_VALUE;
	switch (region.kind) {
	case REGION_DEVICE:
		break;
	case REGION_POOL:
		error = context_wait(context);
		return error == CUDA_SUCCESS ? pool_free(context->legacy, &region) : error;
	case REGION_MANAGED:
		return managed_free(context, &region);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	error = defer_drain_all(context);
	if (error == CUDA_SUCCESS)
		error = result_of(vgpu_mem_free(context->vgpu, pointer), context->vgpu);
	/* A wait was hidden in that: what kernels printed is due. */
	if (error == CUDA_SUCCESS) {
		region_remove(context, pointer);
		error = synchronised(context);
	}
	return error;
}

EXPORT CUresult cuMemGetInfo(size_t *free_bytes, size_t *total)
{
	struct vgpu_mem_info info;
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	error = result_of(vgpu_mem_info(context->vgpu, &info), context->vgpu);
	if (error != CUDA_SUCCESS)
		return error;
	if (free_bytes)
		*free_bytes = info.free_bytes;
	if (total)
		*total = info.total_bytes;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemGetAddressRange(CUdeviceptr *base, size_t *bytes, CUdeviceptr pointer)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!region_find(context, pointer, &region) || !region_on_device(&region))
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = region.base;
	if (bytes)
		*bytes = region.bytes;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAllocManaged(CUdeviceptr *pointer, size_t bytes, unsigned int flags)
{
	struct CUctx_st *context;
	CUresult error = allocating_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!pointer || !bytes ||
	    (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	return managed_alloc(context, bytes, flags, pointer);
}

/* ---- Pinned host memory ----------------------------------------------------------------------- */

EXPORT CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned int flags)
{
	const unsigned int known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP |
				   CU_MEMHOSTALLOC_WRITECOMBINED;
	struct region region = { .kind = REGION_HOST, .bytes = bytes, .flags = flags };
	struct CUctx_st *context;
	CUresult error = allocating_context(&context);
	void *memory;

	if (error != CUDA_SUCCESS)
		return error;
	if (!pointer || !bytes || (flags & ~known))
		return CUDA_ERROR_INVALID_VALUE;
	/*
	 * Kernels can't reach host memory. The memory is given even where the flag asks
	 * for that, for many programs only ask; the device pointer is what is refused.
	 */
	error = result_of(vgpu_host_alloc(context->vgpu, bytes, &memory), context->vgpu);
	if (error != CUDA_SUCCESS)
		return error;
	region.base = (uintptr_t)memory;
	error = region_add(context, &region);
	if (error != CUDA_SUCCESS) {
		vgpu_host_free(context->vgpu, memory);
		return error;
	}
	*pointer = memory;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAllocHost(void **pointer, size_t bytes)
{
	return cuMemHostAlloc(pointer, bytes, 0);
}

EXPORT CUresult cuMemFreeHost(void *memory)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = allocating_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!memory)
		return CUDA_SUCCESS;
	if (!region_find(context, (uintptr_t)memory, &region) ||
	    region.base != (uintptr_t)memory || region.kind != REGION_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	error = defer_drain_all(context);
	region_remove(context, region.base);
	if (error == CUDA_SUCCESS)
		error = result_of(vgpu_host_free(context->vgpu, memory), context->vgpu);
	return error;
}

EXPORT CUresult cuMemHostRegister(void *memory, size_t bytes, unsigned int flags)
{
	const unsigned int known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
				   CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY;
	struct region region = { .base = (uintptr_t)memory, .bytes = bytes, .flags = flags,
				 .kind = REGION_REGISTERED };
	struct CUctx_st *context;
	struct region other;
	CUresult error = allocating_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!memory || !bytes || (flags & ~known))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & (CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (region_find(context, region.base, &other) ||
	    region_find(context, region.base + bytes - 1, &other))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	error = result_of(vgpu_host_register(context->vgpu, memory, bytes), context->vgpu);
	if (error != CUDA_SUCCESS)
		return error;
	error = region_add(context, &region);
	if (error != CUDA_SUCCESS)
		vgpu_host_unregister(context->vgpu, memory);
	return error;
}

EXPORT CUresult cuMemHostUnregister(void *memory)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = allocating_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!memory)
		return CUDA_ERROR_INVALID_VALUE;
	if (!region_find(context, (uintptr_t)memory, &region) ||
	    region.base != (uintptr_t)memory || region.kind != REGION_REGISTERED)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	error = defer_drain_all(context);
	region_remove(context, region.base);
	if (error == CUDA_SUCCESS)
		error = result_of(vgpu_host_unregister(context->vgpu, memory), context->vgpu);
	return error;
}

/* Truthfully refused: WebGPU gives kernels no way to host memory. */
EXPORT CUresult cuMemHostGetDevicePointer(CUdeviceptr *pointer, void *memory, unsigned int flags)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!pointer || flags)
		return CUDA_ERROR_INVALID_VALUE;
	*pointer = 0;
	if (!region_find(context, (uintptr_t)memory, &region) || region_on_device(&region))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuMemHostGetFlags(unsigned int *flags, void *memory)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!flags || !region_find(context, (uintptr_t)memory, &region) ||
	    region_on_device(&region))
		return CUDA_ERROR_INVALID_VALUE;
	*flags = region.flags;
	return CUDA_SUCCESS;
}

/* ---- Pointers -------------------------------------------------------------------------------------- */

/* Attributes of an address that is in no table: an ordinary one of the host. */
static CUresult unknown_attribute(void *data, CUpointer_attribute attribute)
{
	(void)data;
	(void)attribute;
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult region_attribute(struct CUctx_st *context, const struct region *region,
				 CUdeviceptr pointer, CUpointer_attribute attribute, void *data)
{
	bool device = region_on_device(region);

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		*(CUcontext *)data = context;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned int *)data = device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		*(CUdeviceptr *)data = device ? pointer : 0;
		return device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (device && region->kind != REGION_MANAGED)
			return CUDA_ERROR_INVALID_VALUE;
		*(void **)data = (void *)(uintptr_t)pointer;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*(int *)data = region->sync_memops;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		*(unsigned long long *)data = region->id;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*(unsigned int *)data = region->kind == REGION_MANAGED;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = context->device->ordinal;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*(bool *)data = false;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*(CUdeviceptr *)data = region->base;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*(size_t *)data = region->bytes;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(bool *)data = true;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		*(unsigned long long *)data = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		*(unsigned int *)data = 3;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		*(CUmemoryPool *)data = region->pool;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

EXPORT CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute,
				      CUdeviceptr pointer)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	if (!region_find(context, pointer, &region))
		return unknown_attribute(data, attribute);
	return region_attribute(context, &region, pointer, attribute, data);
}

/* Bytes that an attribute has, for those that are not known. */
static size_t attribute_bytes(CUpointer_attribute attribute)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		return sizeof(int);
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		return sizeof(bool);
	default:
		return sizeof(void *);
	}
}

/* Unlike the call for one, it succeeds for any pointer and gives zeros. */
EXPORT CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes,
				       void **data, CUdeviceptr pointer)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);
	bool known;

	if (error != CUDA_SUCCESS)
		return error;
	if (!count || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	known = region_find(context, pointer, &region);
	for (unsigned int i = 0; i < count; i++) {
		if (!data[i])
			return CUDA_ERROR_INVALID_VALUE;
		if (known && region_attribute(context, &region, pointer, attributes[i], data[i]) ==
				     CUDA_SUCCESS)
			continue;
		memset(data[i], 0, attribute_bytes(attributes[i]));
		if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
			*(int *)data[i] = CU_DEVICE_INVALID;
	}
	return CUDA_SUCCESS;
}

EXPORT CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
				      CUdeviceptr pointer)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS ||
	    !region_find(context, pointer, &region))
		return CUDA_ERROR_INVALID_VALUE;
	/* Copies that return before they are done are the only ones it would change. */
	return *(const int *)value ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}
