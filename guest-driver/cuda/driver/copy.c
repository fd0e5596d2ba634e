// SPDX-License-Identifier: Apache-2.0
/*
 * Copies. All are boxes of bytes between two places; the device copies runs of
 * bytes, so boxes become as few runs as they can.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* A strided host copy goes over a packed buffer up to this size. */
#define PACK_BYTES_MAX (64u << 20)

/* ---- Running ------------------------------------------------------------------------------- */

static CUresult run_bytes(struct CUstream_st *stream, const struct op_copy *copy, uint64_t target,
			  uint64_t source, size_t bytes)
{
	vgpu_context *vgpu = stream->context->vgpu;
	enum vgpu_result result;

	if (copy->source_device && copy->target_device) {
		result = vgpu_memcpy_d2d_async(vgpu, target, source, bytes, stream->vgpu);
	} else if (copy->target_device) {
		result = vgpu_memcpy_h2d_async(vgpu, target, (const void *)(uintptr_t)source, bytes,
					       stream->vgpu);
	} else if (copy->source_device) {
		result = vgpu_memcpy_d2h_async(vgpu, (void *)(uintptr_t)target, source, bytes,
					       stream->vgpu);
	} else {
		result = vgpu_stream_synchronize(vgpu, stream->vgpu);
		if (result == VGPU_SUCCESS)
			memmove((void *)(uintptr_t)target, (const void *)(uintptr_t)source, bytes);
	}
	return result_of(result, vgpu);
}

/* A box whose rows, or slices, follow each other without gaps on both sides has fewer of them. */
static void flatten(struct op_copy *copy)
{
	if (copy->height > 1 && copy->source_pitch == copy->width &&
	    copy->target_pitch == copy->width) {
		copy->width *= copy->height;
		copy->height = 1;
	}
	if (copy->depth > 1 && copy->height == 1 && copy->source_slice == copy->width &&
	    copy->target_slice == copy->width) {
		copy->width *= copy->depth;
		copy->depth = 1;
	}
	if (copy->depth > 1 && copy->height == 1) {
		copy->source_pitch = copy->source_slice;
		copy->target_pitch = copy->target_slice;
		copy->height = copy->depth;
		copy->depth = 1;
	}
}

static uint64_t row_at(uint64_t base, size_t pitch, size_t slice, size_t y, size_t z)
{
	return base + (uint64_t)z * slice + (uint64_t)y * pitch;
}

static CUresult run_rows(struct CUstream_st *stream, const struct op_copy *copy)
{
	CUresult error = CUDA_SUCCESS;

	for (size_t z = 0; z < copy->depth && error == CUDA_SUCCESS; z++)
		for (size_t y = 0; y < copy->height && error == CUDA_SUCCESS; y++)
			error = run_bytes(stream, copy,
					  row_at(copy->target, copy->target_pitch,
						 copy->target_slice, y, z),
					  row_at(copy->source, copy->source_pitch,
						 copy->source_slice, y, z),
					  copy->width);
	return error;
}

/*
 * Between host and device, one copy of the device's side with its gaps is much
 * cheaper than a wait per row, as long as there are more bytes than gaps.
 */
static CUresult run_packed(struct CUstream_st *stream, const struct op_copy *copy)
{
	size_t pitch = copy->target_device ? copy->target_pitch : copy->source_pitch;
	size_t span = pitch * (copy->height - 1) + copy->width;
	struct op_copy whole = *copy;
	uint8_t *packed = malloc(span);
	CUresult error;

	if (!packed)
		return run_rows(stream, copy);
	if (copy->source_device) {
		error = run_bytes(stream, &whole, (uintptr_t)packed, copy->source, span);
		if (error == CUDA_SUCCESS)
			error = result_of(vgpu_stream_synchronize(stream->context->vgpu,
								  stream->vgpu),
					  stream->context->vgpu);
		for (size_t y = 0; y < copy->height && error == CUDA_SUCCESS; y++)
			memcpy((uint8_t *)(uintptr_t)copy->target + y * copy->target_pitch,
			       packed + y * pitch, copy->width);
	} else {
		for (size_t y = 0; y < copy->height; y++)
			memcpy(packed + y * pitch,
			       (uint8_t *)(uintptr_t)copy->source + y * copy->source_pitch,
			       copy->width);
		error = run_bytes(stream, &whole, copy->target, (uintptr_t)packed, span);
	}
	free(packed);
	return error;
}

/* The gaps of a device's target keep their bytes, so only reads, or no gaps, can be packed. */
static bool can_pack(const struct op_copy *copy)
{
	size_t span;

	if (copy->depth > 1 || copy->height < 2 || copy->source_device == copy->target_device)
		return false;
	if (copy->target_device)
		return copy->target_pitch == copy->width &&
		       copy->width * copy->height <= PACK_BYTES_MAX;
	span = copy->source_pitch * copy->height;
	return span <= PACK_BYTES_MAX && copy->source_pitch <= 2 * copy->width;
}

static CUresult managed_sides(struct CUstream_st *stream, const struct op_copy *copy)
{
	uint64_t source_bytes = copy->source_slice * (copy->depth - 1) +
				copy->source_pitch * (copy->height - 1) + copy->width;
	uint64_t target_bytes = copy->target_slice * (copy->depth - 1) +
				copy->target_pitch * (copy->height - 1) + copy->width;
	CUresult error = CUDA_SUCCESS;

	if (copy->source_device)
		error = managed_range_to_device(stream, copy->source, source_bytes, false);
	if (error == CUDA_SUCCESS && copy->target_device)
		error = managed_range_to_device(stream, copy->target, target_bytes, true);
	return error;
}

CUresult copy_run(struct CUstream_st *stream, const struct op_copy *given)
{
	struct op_copy copy = *given;

	if (!copy.width || !copy.height || !copy.depth)
		return CUDA_SUCCESS;
	if (atomic_load_explicit(&stream->context->managed_count, memory_order_relaxed)) {
		CUresult error = managed_sides(stream, &copy);

		if (error != CUDA_SUCCESS)
			return error;
		if (copy.source_device)
			copy.source = managed_device_address(copy.source);
		if (copy.target_device)
			copy.target = managed_device_address(copy.target);
	}
	flatten(&copy);
	return can_pack(&copy) ? run_packed(stream, &copy) : run_rows(stream, &copy);
}

static bool side_is_pageable(struct CUctx_st *context, uint64_t address, bool device)
{
	struct region region;

	return !device && !region_find(context, address, &region);
}

bool copy_is_pageable(struct CUctx_st *context, const struct op_copy *copy)
{
	return side_is_pageable(context, copy->source, copy->source_device) ||
	       side_is_pageable(context, copy->target, copy->target_device);
}

/* ---- Checking -------------------------------------------------------------------------------- */

static bool side_fits(struct CUctx_st *context, uint64_t address, bool device, uint64_t bytes)
{
	struct region region;

	if (!device)
		return address != 0;
	if (!region_find(context, address, &region))
		/* A module's variable that was not asked for by name: libvgpu knows. */
		return address_on_device(context, address);
	return bytes <= region.bytes - (address - region.base);
}

CUresult copy_check(struct CUctx_st *context, const struct op_copy *copy)
{
	uint64_t rows = copy->height - 1, slices = copy->depth - 1;

	if (!copy->width || !copy->height || !copy->depth)
		return CUDA_SUCCESS;
	if (copy->height > 1 &&
	    (copy->source_pitch < copy->width || copy->target_pitch < copy->width))
		return CUDA_ERROR_INVALID_VALUE;
	if (!side_fits(context, copy->source, copy->source_device,
		       copy->source_slice * slices + copy->source_pitch * rows + copy->width) ||
	    !side_fits(context, copy->target, copy->target_device,
		       copy->target_slice * slices + copy->target_pitch * rows + copy->width))
		return report(CUDA_ERROR_INVALID_VALUE,
			      "a copy of %zu x %zu x %zu bytes from 0x%llx to 0x%llx: no such memory",
			      copy->width, copy->height, copy->depth,
			      (unsigned long long)copy->source, (unsigned long long)copy->target);
	return CUDA_SUCCESS;
}

/* One side of a copy: where it begins, and the bytes of a row and a slice there. */
struct side {
	uint64_t address;
	bool on_device;
	size_t pitch, slice;
};

/* An array has pitches of its own, and its limits are known. */
static CUresult side_of_array(CUarray handle, const size_t at[3], const CUDA_MEMCPY3D *copy,
			      struct side *side)
{
	struct CUarray_st *array;
	CUresult error = array_of(handle, &array);
	size_t rows;

	if (error != CUDA_SUCCESS)
		return error;
	rows = array->slice / array->row;
	if (at[0] > array->row || copy->WidthInBytes > array->row - at[0] || at[1] > rows ||
	    copy->Height > rows - at[1] || at[2] > array->depth ||
	    copy->Depth > array->depth - at[2])
		return report(CUDA_ERROR_INVALID_VALUE,
			      "a copy of %zu x %zu x %zu bytes at %zu, %zu, %zu of an array of %zu x %zu x %zu",
			      copy->WidthInBytes, copy->Height, copy->Depth, at[0], at[1], at[2],
			      array->row, rows, array->depth);
	*side = (struct side){ array->base, true, array->row, array->slice };
	return CUDA_SUCCESS;
}

static CUresult side_of_memory(struct CUctx_st *context, CUmemorytype type, const void *host,
			   CUdeviceptr device, uint64_t *address, bool *on_device)
{
	switch (type) {
	case CU_MEMORYTYPE_HOST:
		*address = (uintptr_t)host;
		*on_device = false;
		/* Managed memory under its host name. */
		if (atomic_load(&context->managed_count))
			*on_device = address_on_device(context, *address);
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_DEVICE:
		*address = device;
		*on_device = true;
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_UNIFIED:
		*address = device;
		*on_device = address_on_device(context, device);
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_ARRAY:
		break;
	}
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult copy_of_3d(struct CUctx_st *context, const CUDA_MEMCPY3D *from, struct op_copy *to)
{
	const size_t source_at[] = { from->srcXInBytes, from->srcY, from->srcZ };
	const size_t target_at[] = { from->dstXInBytes, from->dstY, from->dstZ };
	struct side source = { .pitch = from->srcPitch ? from->srcPitch : from->WidthInBytes };
	struct side target = { .pitch = from->dstPitch ? from->dstPitch : from->WidthInBytes };
	CUresult error;

	if (from->srcLOD || from->dstLOD)
		return CUDA_ERROR_INVALID_VALUE;
	source.slice = source.pitch * (from->srcHeight ? from->srcHeight : from->Height);
	target.slice = target.pitch * (from->dstHeight ? from->dstHeight : from->Height);
	error = from->srcMemoryType == CU_MEMORYTYPE_ARRAY ?
			side_of_array(from->srcArray, source_at, from, &source) :
			side_of_memory(context, from->srcMemoryType, from->srcHost,
				       from->srcDevice, &source.address, &source.on_device);
	if (error == CUDA_SUCCESS)
		error = from->dstMemoryType == CU_MEMORYTYPE_ARRAY ?
				side_of_array(from->dstArray, target_at, from, &target) :
				side_of_memory(context, from->dstMemoryType, from->dstHost,
					       from->dstDevice, &target.address,
					       &target.on_device);
	if (error != CUDA_SUCCESS)
		return error;
	if (from->Height > 1 && (from->srcXInBytes + from->WidthInBytes > source.pitch ||
				 from->dstXInBytes + from->WidthInBytes > target.pitch))
		return CUDA_ERROR_INVALID_VALUE;
	*to = (struct op_copy){
		.source = row_at(source.address, source.pitch, source.slice, from->srcY,
				 from->srcZ) + from->srcXInBytes,
		.target = row_at(target.address, target.pitch, target.slice, from->dstY,
				 from->dstZ) + from->dstXInBytes,
		.source_device = source.on_device, .target_device = target.on_device,
		.source_pitch = source.pitch, .source_slice = source.slice,
		.target_pitch = target.pitch, .target_slice = target.slice,
		.width = from->WidthInBytes, .height = from->Height, .depth = from->Depth,
	};
	return copy_check(context, to);
}

/* ---- The interface ------------------------------------------------------------------------------ */

/* waits: as the call without "Async" does. */
static CUresult submit_copy(CUstream handle, struct op_copy *copy, bool waits)
{
	struct op op = { .kind = OP_COPY };
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);
	bool wait;

	if (error != CUDA_SUCCESS)
		return error;
	error = copy_check(stream->context, copy);
	if (error == CUDA_SUCCESS && waits)
		error = capture_forbids_stream(stream);
	if (error != CUDA_SUCCESS)
		return error;
	op.copy = *copy;
	error = stream_submit(stream, &op);
	if (error != CUDA_SUCCESS || !waits)
		return error;
	/*
	 * As CUDA: within the device the caller does not wait, from memory that is not
	 * pinned until it may be used again (which it may, libvgpu took a copy).
	 */
	wait = !copy->target_device ||
	       (!copy->source_device &&
		!side_is_pageable(stream->context, copy->source, false));
	return wait ? stream_wait(stream) : CUDA_SUCCESS;
}

static CUresult linear(CUstream stream, uint64_t target, bool target_device, uint64_t source,
		       bool source_device, size_t bytes, bool waits)
{
	struct op_copy copy = { .source = source, .target = target,
				.source_device = source_device, .target_device = target_device,
				.width = bytes, .height = 1, .depth = 1 };

	return submit_copy(stream, &copy, waits);
}

/* The kind of memory is found by address. */
static CUresult linear_by_address(CUstream handle, uint64_t target, uint64_t source, size_t bytes,
				  bool waits)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	return linear(handle, target, address_on_device(stream->context, target), source,
		      address_on_device(stream->context, source), bytes, waits);
}

/* Host addresses may be of managed memory, which is treated as the device's. */
static CUresult linear_host(CUstream handle, uint64_t target, bool target_device, uint64_t source,
			    bool source_device, size_t bytes, bool waits)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (atomic_load_explicit(&stream->context->managed_count, memory_order_relaxed)) {
		target_device = target_device || address_on_device(stream->context, target);
		source_device = source_device || address_on_device(stream->context, source);
	}
	return linear(handle, target, target_device, source, source_device, bytes, waits);
}

EXPORT CUresult cuMemcpy(CUdeviceptr target, CUdeviceptr source, size_t bytes)
{
	return linear_by_address(NULL, target, source, bytes, true);
}

EXPORT CUresult cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, size_t bytes,
			      CUstream stream)
{
	return linear_by_address(stream, target, source, bytes, false);
}

EXPORT CUresult cuMemcpyHtoD(CUdeviceptr target, const void *source, size_t bytes)
{
	return linear_host(NULL, target, true, (uintptr_t)source, false, bytes, true);
}

EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void *source, size_t bytes,
				  CUstream stream)
{
	return linear_host(stream, target, true, (uintptr_t)source, false, bytes, false);
}

EXPORT CUresult cuMemcpyDtoH(void *target, CUdeviceptr source, size_t bytes)
{
	return linear_host(NULL, (uintptr_t)target, false, source, true, bytes, true);
}

EXPORT CUresult cuMemcpyDtoHAsync(void *target, CUdeviceptr source, size_t bytes, CUstream stream)
{
	return linear_host(stream, (uintptr_t)target, false, source, true, bytes, false);
}

EXPORT CUresult cuMemcpyDtoD(CUdeviceptr target, CUdeviceptr source, size_t bytes)
{
	return linear(NULL, target, true, source, true, bytes, true);
}

EXPORT CUresult cuMemcpyDtoDAsync(CUdeviceptr target, CUdeviceptr source, size_t bytes,
				  CUstream stream)
{
	return linear(stream, target, true, source, true, bytes, false);
}

static CUresult copy_3d(const CUDA_MEMCPY3D *from, CUstream handle, bool waits)
{
	struct CUstream_st *stream;
	struct op_copy copy;
	CUresult error = stream_of(handle, &stream);

	if (error == CUDA_SUCCESS)
		error = from ? copy_of_3d(stream->context, from, &copy) : CUDA_ERROR_INVALID_VALUE;
	return error == CUDA_SUCCESS ? submit_copy(handle, &copy, waits) : error;
}

EXPORT CUresult cuMemcpy3D(const CUDA_MEMCPY3D *copy)
{
	return copy_3d(copy, NULL, true);
}

EXPORT CUresult cuMemcpy3DAsync(const CUDA_MEMCPY3D *copy, CUstream stream)
{
	return copy_3d(copy, stream, false);
}

static CUresult copy_2d(const CUDA_MEMCPY2D *from, CUstream stream, bool waits)
{
	CUDA_MEMCPY3D wide;

	if (!from)
		return CUDA_ERROR_INVALID_VALUE;
	wide = (CUDA_MEMCPY3D){
		.srcXInBytes = from->srcXInBytes, .srcY = from->srcY,
		.srcMemoryType = from->srcMemoryType, .srcHost = from->srcHost,
		.srcDevice = from->srcDevice, .srcArray = from->srcArray,
		.srcPitch = from->srcPitch,
		.dstXInBytes = from->dstXInBytes, .dstY = from->dstY,
		.dstMemoryType = from->dstMemoryType, .dstHost = from->dstHost,
		.dstDevice = from->dstDevice, .dstArray = from->dstArray,
		.dstPitch = from->dstPitch,
		.WidthInBytes = from->WidthInBytes, .Height = from->Height, .Depth = 1,
	};
	return copy_3d(&wide, stream, waits);
}

EXPORT CUresult cuMemcpy2D(const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, true);
}

EXPORT CUresult cuMemcpy2DUnaligned(const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, NULL, true);
}

EXPORT CUresult cuMemcpy2DAsync(const CUDA_MEMCPY2D *copy, CUstream stream)
{
	return copy_2d(copy, stream, false);
}

/* Contexts have memory of their own: only copies within one are copies of the device. */
static CUresult peer(CUdeviceptr target, CUcontext target_context, CUdeviceptr source,
		     CUcontext source_context, size_t bytes, CUstream stream, bool waits)
{
	CUresult error = initialised();

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(target_context, KIND_CONTEXT) || !object_is(source_context, KIND_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (target_context != source_context)
		return CUDA_ERROR_NOT_SUPPORTED;
	return linear(stream, target, true, source, true, bytes, waits);
}

EXPORT CUresult cuMemcpyPeer(CUdeviceptr target, CUcontext target_context, CUdeviceptr source,
			     CUcontext source_context, size_t bytes)
{
	return peer(target, target_context, source, source_context, bytes, NULL, true);
}

EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr target, CUcontext target_context,
				  CUdeviceptr source, CUcontext source_context, size_t bytes,
				  CUstream stream)
{
	return peer(target, target_context, source, source_context, bytes, stream, false);
}
