// SPDX-License-Identifier: Apache-2.0
/*
 * Arrays: memory that programs see through copies, textures and surfaces alone.
 * Here it is device memory with its elements row by row.
 */
#include "internal.h"

#include <stdlib.h>

#define SIZE_LIMIT ((size_t)INT32_MAX)
#define FLAGS_KNOWN (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | \
		     CUDA_ARRAY3D_TEXTURE_GATHER)

size_t format_bytes(CUarray_format format)
{
	switch (format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return 1;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2;
	case CU_AD_FORMAT_UNSIGNED_INT32:
	case CU_AD_FORMAT_SIGNED_INT32:
	case CU_AD_FORMAT_FLOAT:
		return 4;
	default:
		return 0;
	}
}

CUresult array_of(CUarray handle, struct CUarray_st **array)
{
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(handle, KIND_ARRAY) || handle->context != context ||
	    handle->context_id != context->id)
		return CUDA_ERROR_INVALID_HANDLE;
	*array = handle;
	return CUDA_SUCCESS;
}

static CUresult check_shape(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	bool layered = d->Flags & CUDA_ARRAY3D_LAYERED, cube = d->Flags & CUDA_ARRAY3D_CUBEMAP;

	if (d->Flags & ~(unsigned int)FLAGS_KNOWN)
		return report(CUDA_ERROR_NOT_SUPPORTED, "an array with flags 0x%x", d->Flags);
	if (!format_bytes(d->Format))
		return report(CUDA_ERROR_NOT_SUPPORTED, "an array of format 0x%x", d->Format);
	if (d->NumChannels != 1 && d->NumChannels != 2 && d->NumChannels != 4)
		return CUDA_ERROR_INVALID_VALUE;
	if (!d->Width || d->Width > SIZE_LIMIT / 16 || d->Height > SIZE_LIMIT ||
	    d->Depth > SIZE_LIMIT)
		return CUDA_ERROR_INVALID_VALUE;
	if (cube && (d->Width != d->Height || !d->Depth || d->Depth % 6 ||
		     (!layered && d->Depth != 6)))
		return CUDA_ERROR_INVALID_VALUE;
	if (layered && !d->Depth)
		return CUDA_ERROR_INVALID_VALUE;
	if (!layered && d->Depth && !d->Height)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuArray3DCreate(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	struct region region = { .kind = REGION_ARRAY };
	struct CUctx_st *context;
	struct CUarray_st *array;
	unsigned __int128 bytes;
	CUresult error = current_context(&context);

	if (error == CUDA_SUCCESS)
		error = out && d ? check_shape(d) : CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		error = capture_forbids(context);
	if (error != CUDA_SUCCESS)
		return error;
	array = object_new(KIND_ARRAY, sizeof(*array));
	if (!array)
		return CUDA_ERROR_OUT_OF_MEMORY;
	array->context = context;
	array->context_id = context->id;
	array->desc = *d;
	array->element = format_bytes(d->Format) * d->NumChannels;
	array->row = array->element * d->Width;
	array->slice = array->row * MAX(d->Height, (size_t)1);
	array->depth = MAX(d->Depth, (size_t)1);
	bytes = (unsigned __int128)array->slice * array->depth;
	error = bytes > SIZE_LIMIT ? CUDA_ERROR_OUT_OF_MEMORY :
				     device_alloc(context, (uint64_t)bytes, &array->base);
	region.base = array->base;
	region.bytes = (uint64_t)bytes;
	if (error == CUDA_SUCCESS) {
		error = region_add(context, &region);
		if (error != CUDA_SUCCESS)
			vgpu_mem_free(context->vgpu, array->base);
	}
	if (error != CUDA_SUCCESS) {
		object_end(array);
		return error;
	}
	*out = array;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuArrayCreate(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *d)
{
	CUDA_ARRAY3D_DESCRIPTOR wide;

	if (!d)
		return CUDA_ERROR_INVALID_VALUE;
	wide = (CUDA_ARRAY3D_DESCRIPTOR){ .Width = d->Width, .Height = d->Height,
					  .Format = d->Format, .NumChannels = d->NumChannels };
	return cuArray3DCreate(array, &wide);
}

EXPORT CUresult cuArray3DGetDescriptor(CUDA_ARRAY3D_DESCRIPTOR *d, CUarray handle)
{
	struct CUarray_st *array;
	CUresult error = array_of(handle, &array);

	if (error == CUDA_SUCCESS && !d)
		error = CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		*d = array->desc;
	return error;
}

EXPORT CUresult cuArrayGetDescriptor(CUDA_ARRAY_DESCRIPTOR *d, CUarray handle)
{
	struct CUarray_st *array;
	CUresult error = array_of(handle, &array);

	if (error == CUDA_SUCCESS && !d)
		error = CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		*d = (CUDA_ARRAY_DESCRIPTOR){ array->desc.Width, array->desc.Height,
					      array->desc.Format, array->desc.NumChannels };
	return error;
}

EXPORT CUresult cuArrayDestroy(CUarray handle)
{
	struct CUarray_st *array;
	CUresult error = array_of(handle, &array);

	if (error == CUDA_SUCCESS && array->mipmap)
		error = report(CUDA_ERROR_INVALID_VALUE, "an array that is a level of another");
	if (error == CUDA_SUCCESS)
		error = defer_drain_all(array->context);
	if (error == CUDA_SUCCESS)
		error = result_of(vgpu_mem_free(array->context->vgpu, array->base),
				  array->context->vgpu);
	if (error != CUDA_SUCCESS)
		return error;
	region_remove(array->context, array->base);
	error = synchronised(array->context);
	object_end(array);
	return error;
}

/* ---- Copies by an offset in bytes; the others are those of copy.c ------------------------- */

static CUresult place(CUarray handle, size_t offset, size_t bytes, CUdeviceptr *at)
{
	struct CUarray_st *array;
	CUresult error = array_of(handle, &array);
	size_t all;

	if (error != CUDA_SUCCESS)
		return error;
	all = array->slice * array->depth;
	if (offset > all || bytes > all - offset)
		return report(CUDA_ERROR_INVALID_VALUE,
			      "a copy of %zu bytes at %zu of an array of %zu", bytes, offset, all);
	*at = array->base + offset;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyDtoA(CUarray target, size_t offset, CUdeviceptr source, size_t bytes)
{
	CUdeviceptr at = 0;
	CUresult error = place(target, offset, bytes, &at);

	return error == CUDA_SUCCESS ? cuMemcpyDtoD(at, source, bytes) : error;
}

EXPORT CUresult cuMemcpyAtoD(CUdeviceptr target, CUarray source, size_t offset, size_t bytes)
{
	CUdeviceptr at = 0;
	CUresult error = place(source, offset, bytes, &at);

	return error == CUDA_SUCCESS ? cuMemcpyDtoD(target, at, bytes) : error;
}

EXPORT CUresult cuMemcpyHtoA(CUarray target, size_t offset, const void *source, size_t bytes)
{
	CUdeviceptr at = 0;
	CUresult error = place(target, offset, bytes, &at);

	return error == CUDA_SUCCESS ? cuMemcpyHtoD(at, source, bytes) : error;
}

EXPORT CUresult cuMemcpyAtoH(void *target, CUarray source, size_t offset, size_t bytes)
{
	CUdeviceptr at = 0;
	CUresult error = place(source, offset, bytes, &at);

	return error == CUDA_SUCCESS ? cuMemcpyDtoH(target, at, bytes) : error;
}

EXPORT CUresult cuMemcpyAtoA(CUarray target, size_t target_offset, CUarray source,
			     size_t source_offset, size_t bytes)
{
	CUdeviceptr to = 0, from = 0;
	CUresult error = place(target, target_offset, bytes, &to);

	if (error == CUDA_SUCCESS)
		error = place(source, source_offset, bytes, &from);
	return error == CUDA_SUCCESS ? cuMemcpyDtoD(to, from, bytes) : error;
}

EXPORT CUresult cuMemcpyHtoAAsync(CUarray target, size_t offset, const void *source, size_t bytes,
				  CUstream stream)
{
	CUdeviceptr at = 0;
	CUresult error = place(target, offset, bytes, &at);

	return error == CUDA_SUCCESS ? cuMemcpyHtoDAsync(at, source, bytes, stream) : error;
}

EXPORT CUresult cuMemcpyAtoHAsync(void *target, CUarray source, size_t offset, size_t bytes,
				  CUstream stream)
{
	CUdeviceptr at = 0;
	CUresult error = place(source, offset, bytes, &at);

	return error == CUDA_SUCCESS ? cuMemcpyDtoHAsync(target, at, bytes, stream) : error;
}

/* ---- The same on the thread's own stream --------------------------------------------------- */

#define ON_OWN_STREAM(name, form, parameters, ...) \
	EXPORT CUresult name##_v2_##form parameters; \
	EXPORT CUresult name##_v2_##form parameters \
	{ \
		return __VA_ARGS__; \
	}

CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr target, CUdeviceptr source, size_t bytes);
CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr target, const void *source, size_t bytes);
CUresult cuMemcpyDtoH_v2_ptds(void *target, CUdeviceptr source, size_t bytes);

static CUresult to_array_ptds(CUarray array, size_t offset, const void *host, CUdeviceptr device,
			      size_t bytes)
{
	CUdeviceptr at = 0;
	CUresult error = place(array, offset, bytes, &at);

	if (error != CUDA_SUCCESS)
		return error;
	return host ? cuMemcpyHtoD_v2_ptds(at, host, bytes) : cuMemcpyDtoD_v2_ptds(at, device, bytes);
}

static CUresult from_array_ptds(CUarray array, size_t offset, void *host, CUdeviceptr device,
				size_t bytes)
{
	CUdeviceptr at = 0;
	CUresult error = place(array, offset, bytes, &at);

	if (error != CUDA_SUCCESS)
		return error;
	return host ? cuMemcpyDtoH_v2_ptds(host, at, bytes) : cuMemcpyDtoD_v2_ptds(device, at, bytes);
}

static CUresult between_ptds(CUarray target, size_t offset, CUarray source, size_t from,
			     size_t bytes)
{
	CUdeviceptr at = 0;
	CUresult error = place(source, from, bytes, &at);

	return error == CUDA_SUCCESS ? to_array_ptds(target, offset, NULL, at, bytes) : error;
}

ON_OWN_STREAM(cuMemcpyDtoA, ptds, (CUarray a, size_t b, CUdeviceptr c, size_t d),
	      to_array_ptds(a, b, NULL, c, d))
ON_OWN_STREAM(cuMemcpyAtoD, ptds, (CUdeviceptr a, CUarray b, size_t c, size_t d),
	      from_array_ptds(b, c, NULL, a, d))
ON_OWN_STREAM(cuMemcpyHtoA, ptds, (CUarray a, size_t b, const void *c, size_t d),
	      c ? to_array_ptds(a, b, c, 0, d) : CUDA_ERROR_INVALID_VALUE)
ON_OWN_STREAM(cuMemcpyAtoH, ptds, (void *a, CUarray b, size_t c, size_t d),
	      a ? from_array_ptds(b, c, a, 0, d) : CUDA_ERROR_INVALID_VALUE)
ON_OWN_STREAM(cuMemcpyAtoA, ptds, (CUarray a, size_t b, CUarray c, size_t d, size_t e),
	      between_ptds(a, b, c, d, e))
ON_OWN_STREAM(cuMemcpyHtoAAsync, ptsz,
	      (CUarray a, size_t b, const void *c, size_t d, CUstream e),
	      cuMemcpyHtoAAsync(a, b, c, d, e ? e : CU_STREAM_PER_THREAD))
ON_OWN_STREAM(cuMemcpyAtoHAsync, ptsz, (void *a, CUarray b, size_t c, size_t d, CUstream e),
	      cuMemcpyAtoHAsync(a, b, c, d, e ? e : CU_STREAM_PER_THREAD))
