// SPDX-License-Identifier: Apache-2.0
/*
 * Memory, copies and sets. The direction that a copy names is checked, and the
 * addresses decide, as they do with one address space for host and device.
 */
#include "internal.h"

#include <stdint.h>

/* ---- Allocating and freeing ---------------------------------------------------------------- */

cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
	CUdeviceptr memory = 0;
	CUresult error = runtime_begin();

	if (!pointer)
		return runtime_fail(cudaErrorInvalidValue);
	/* Nothing is allocated for nothing, and that is no error here. */
	if (error == CUDA_SUCCESS && bytes)
		error = cuMemAlloc(&memory, bytes);
	if (error == CUDA_SUCCESS)
		*pointer = (void *)(uintptr_t)memory;
	return runtime_done(error);
}

cudaError_t cudaFree(void *pointer)
{
	DRIVER(cuMemFree(pointer_of(pointer)));
}

cudaError_t cudaMallocPitch(void **pointer, size_t *pitch, size_t width, size_t height)
{
	CUdeviceptr memory = 0;
	CUresult error = runtime_begin();

	if (!pointer || !pitch)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS && width && height)
		error = cuMemAllocPitch(&memory, pitch, width, height, 4);
	if (error == CUDA_SUCCESS)
		*pointer = (void *)(uintptr_t)memory;
	return runtime_done(error);
}

cudaError_t cudaMalloc3D(struct cudaPitchedPtr *pitched, struct cudaExtent extent)
{
	size_t rows;
	cudaError_t error;

	if (!pitched || __builtin_mul_overflow(extent.height, extent.depth, &rows))
		return runtime_fail(cudaErrorInvalidValue);
	*pitched = make_cudaPitchedPtr(NULL, 0, extent.width, extent.height);
	error = cudaMallocPitch(&pitched->ptr, &pitched->pitch, extent.width, rows);
	return error;
}

cudaError_t cudaMallocManaged(void **pointer, size_t bytes, unsigned int flags)
{
	CUdeviceptr memory;
	CUresult error = runtime_begin();

	if (!pointer)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = cuMemAllocManaged(&memory, bytes, flags);
	if (error == CUDA_SUCCESS)
		*pointer = (void *)(uintptr_t)memory;
	return runtime_done(error);
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes)
{
	return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned int flags)
{
	CUresult error = runtime_begin();

	if (!pointer)
		return runtime_fail(cudaErrorInvalidValue);
	*pointer = NULL;
	if (error == CUDA_SUCCESS && bytes)
		error = cuMemHostAlloc(pointer, bytes, flags);
	return runtime_done(error);
}

cudaError_t cudaFreeHost(void *pointer)
{
	DRIVER(cuMemFreeHost(pointer));
}

cudaError_t cudaHostRegister(void *pointer, size_t bytes, unsigned int flags)
{
	DRIVER(cuMemHostRegister(pointer, bytes, flags));
}

cudaError_t cudaHostUnregister(void *pointer)
{
	DRIVER(cuMemHostUnregister(pointer));
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned int flags)
{
	DRIVER(cuMemHostGetDevicePointer((CUdeviceptr *)device, host, flags));
}

cudaError_t cudaHostGetFlags(unsigned int *flags, void *host)
{
	DRIVER(cuMemHostGetFlags(flags, host));
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
	DRIVER(cuMemGetInfo(free_bytes, total));
}

cudaError_t cudaMallocAsync(void **pointer, size_t bytes, cudaStream_t stream)
{
	DRIVER(cuMemAllocAsync((CUdeviceptr *)pointer, bytes, stream));
}

cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream)
{
	DRIVER(cuMemFreeAsync(pointer_of(pointer), stream));
}

cudaError_t cudaMallocFromPoolAsync(void **pointer, size_t bytes, cudaMemPool_t pool,
				    cudaStream_t stream)
{
	DRIVER(cuMemAllocFromPoolAsync((CUdeviceptr *)pointer, bytes, pool, stream));
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep)
{
	DRIVER(cuMemPoolTrimTo(pool, keep));
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute,
				    void *value)
{
	DRIVER(cuMemPoolSetAttribute(pool, (CUmemPool_attribute)attribute, value));
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute,
				    void *value)
{
	DRIVER(cuMemPoolGetAttribute(pool, (CUmemPool_attribute)attribute, value));
}

cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const struct cudaMemAccessDesc *access,
				 size_t count)
{
	DRIVER(cuMemPoolSetAccess(pool, (const CUmemAccessDesc *)access, count));
}

cudaError_t cudaMemPoolGetAccess(enum cudaMemAccessFlags *flags, cudaMemPool_t pool,
				 struct cudaMemLocation *location)
{
	DRIVER(cuMemPoolGetAccess((CUmemAccess_flags *)flags, pool, (CUmemLocation *)location));
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *properties)
{
	DRIVER(cuMemPoolCreate(pool, (const CUmemPoolProps *)properties));
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
	DRIVER(cuMemPoolDestroy(pool));
}

/* ---- Pointers ------------------------------------------------------------------------------------ */

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *pointer)
{
	unsigned int type = 0, managed = 0;
	int device = -2;
	CUdeviceptr on_device = 0;
	void *on_host = NULL;
	CUpointer_attribute attributes[] = {
		CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
		CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
		CU_POINTER_ATTRIBUTE_HOST_POINTER,
	};
	void *values[] = { &type, &managed, &device, &on_device, &on_host };
	CUresult error = runtime_begin();

	if (!out)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = cuPointerGetAttributes(ARRAY_COUNT(attributes), attributes, values,
					       pointer_of(pointer));
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	*out = (struct cudaPointerAttributes){
		.type = managed ? cudaMemoryTypeManaged :
			type == CU_MEMORYTYPE_DEVICE ? cudaMemoryTypeDevice :
			type == CU_MEMORYTYPE_HOST ? cudaMemoryTypeHost :
						     cudaMemoryTypeUnregistered,
		.device = device,
		.devicePointer = (void *)(uintptr_t)on_device,
		.hostPointer = type ? on_host : (void *)(uintptr_t)pointer,
	};
	return cudaSuccess;
}

cudaError_t cudaMemPrefetchAsync(const void *pointer, size_t bytes,
				 struct cudaMemLocation location, unsigned int flags,
				 cudaStream_t stream)
{
	CUmemLocation where = { (CUmemLocationType)location.type, location.id };

	DRIVER(cuMemPrefetchAsync(pointer_of(pointer), bytes, where, flags, stream));
}

cudaError_t cudaMemAdvise(const void *pointer, size_t bytes, enum cudaMemoryAdvise advice,
			  struct cudaMemLocation location)
{
	CUmemLocation where = { (CUmemLocationType)location.type, location.id };

	DRIVER(cuMemAdvise(pointer_of(pointer), bytes, (CUmem_advise)advice, where));
}

cudaError_t cudaStreamAttachMemAsync(cudaStream_t stream, void *pointer, size_t bytes,
				     unsigned int flags)
{
	DRIVER(cuStreamAttachMemAsync(stream, pointer_of(pointer), bytes, flags));
}

/* ---- Copies ----------------------------------------------------------------------------------------- */

CUresult check_kind(enum cudaMemcpyKind kind)
{
	return (unsigned int)kind <= cudaMemcpyDefault ?
		       CUDA_SUCCESS : (CUresult)cudaErrorInvalidMemcpyDirection;
}

/* One direction is one call of the driver; the rest is found by address. */
static CUresult copy(void *target, const void *source, size_t bytes, enum cudaMemcpyKind kind)
{
	switch (kind) {
	case cudaMemcpyHostToDevice:
		return cuMemcpyHtoD(pointer_of(target), source, bytes);
	case cudaMemcpyDeviceToHost:
		return cuMemcpyDtoH(target, pointer_of(source), bytes);
	case cudaMemcpyDeviceToDevice:
		return cuMemcpyDtoD(pointer_of(target), pointer_of(source), bytes);
	case cudaMemcpyHostToHost:
	case cudaMemcpyDefault:
		return cuMemcpy(pointer_of(target), pointer_of(source), bytes);
	}
	return (CUresult)cudaErrorInvalidMemcpyDirection;
}

static CUresult copy_async(void *target, const void *source, size_t bytes,
			   enum cudaMemcpyKind kind, cudaStream_t stream)
{
	switch (kind) {
	case cudaMemcpyHostToDevice:
		return cuMemcpyHtoDAsync(pointer_of(target), source, bytes, stream);
	case cudaMemcpyDeviceToHost:
		return cuMemcpyDtoHAsync(target, pointer_of(source), bytes, stream);
	case cudaMemcpyDeviceToDevice:
		return cuMemcpyDtoDAsync(pointer_of(target), pointer_of(source), bytes, stream);
	case cudaMemcpyHostToHost:
	case cudaMemcpyDefault:
		return cuMemcpyAsync(pointer_of(target), pointer_of(source), bytes, stream);
	}
	return (CUresult)cudaErrorInvalidMemcpyDirection;
}

cudaError_t cudaMemcpy(void *target, const void *source, size_t bytes, enum cudaMemcpyKind kind)
{
	DRIVER(copy(target, source, bytes, kind));
}

cudaError_t cudaMemcpyAsync(void *target, const void *source, size_t bytes,
			    enum cudaMemcpyKind kind, cudaStream_t stream)
{
	DRIVER(copy_async(target, source, bytes, kind, stream));
}

/* Peers have no access to each other, but a device may be its own peer. */
cudaError_t cudaMemcpyPeer(void *target, int target_device, const void *source, int source_device,
			   size_t bytes)
{
	if (target_device != source_device)
		return runtime_fail(cudaErrorNotSupported);
	DRIVER(cuMemcpyDtoD(pointer_of(target), pointer_of(source), bytes));
}

cudaError_t cudaMemcpyPeerAsync(void *target, int target_device, const void *source,
				int source_device, size_t bytes, cudaStream_t stream)
{
	if (target_device != source_device)
		return runtime_fail(cudaErrorNotSupported);
	DRIVER(cuMemcpyDtoDAsync(pointer_of(target), pointer_of(source), bytes, stream));
}

static CUmemorytype source_type(enum cudaMemcpyKind kind)
{
	return kind == cudaMemcpyHostToDevice ? CU_MEMORYTYPE_HOST :
	       kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ?
						CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_UNIFIED;
}

static CUmemorytype target_type(enum cudaMemcpyKind kind)
{
	return kind == cudaMemcpyDeviceToHost ? CU_MEMORYTYPE_HOST :
	       kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ?
						CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_UNIFIED;
}

/* Both forms of both addresses are filled in: the type says which one counts. */
static CUDA_MEMCPY3D box(void *target, size_t target_pitch, const void *source,
			 size_t source_pitch, struct cudaExtent extent, enum cudaMemcpyKind kind)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = source_type(kind), .srcHost = source,
		.srcDevice = pointer_of(source), .srcPitch = source_pitch,
		.dstMemoryType = target_type(kind), .dstHost = target,
		.dstDevice = pointer_of(target), .dstPitch = target_pitch,
		.WidthInBytes = extent.width, .Height = extent.height, .Depth = extent.depth,
	};
}

static CUresult copy_2d(void *target, size_t target_pitch, const void *source,
			size_t source_pitch, size_t width, size_t height,
			enum cudaMemcpyKind kind, CUDA_MEMCPY3D *copy_out)
{
	if (check_kind(kind) != CUDA_SUCCESS)
		return check_kind(kind);
	if (width > target_pitch || width > source_pitch)
		return (CUresult)cudaErrorInvalidPitchValue;
	*copy_out = box(target, target_pitch, source, source_pitch,
			make_cudaExtent(width, height, 1), kind);
	return CUDA_SUCCESS;
}

cudaError_t cudaMemcpy2D(void *target, size_t target_pitch, const void *source,
			 size_t source_pitch, size_t width, size_t height,
			 enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D wide;
	CUresult error = copy_2d(target, target_pitch, source, source_pitch, width, height, kind,
				 &wide);

	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	DRIVER(cuMemcpy3D(&wide));
}

cudaError_t cudaMemcpy2DAsync(void *target, size_t target_pitch, const void *source,
			      size_t source_pitch, size_t width, size_t height,
			      enum cudaMemcpyKind kind, cudaStream_t stream)
{
	CUDA_MEMCPY3D wide;
	CUresult error = copy_2d(target, target_pitch, source, source_pitch, width, height, kind,
				 &wide);

	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	DRIVER(cuMemcpy3DAsync(&wide, stream));
}

CUresult copy_of_parms(const struct cudaMemcpy3DParms *from, CUDA_MEMCPY3D *out);
CUresult copy_of_parms(const struct cudaMemcpy3DParms *from, CUDA_MEMCPY3D *out)
{
	if (!from)
		return CUDA_ERROR_INVALID_VALUE;
	if (check_kind(from->kind) != CUDA_SUCCESS)
		return check_kind(from->kind);
	*out = box(from->dstPtr.ptr, from->dstPtr.pitch, from->srcPtr.ptr, from->srcPtr.pitch,
		   from->extent, from->kind);
	out->srcHeight = from->srcPtr.ysize;
	out->dstHeight = from->dstPtr.ysize;
	out->srcXInBytes = from->srcPos.x;
	out->srcY = from->srcPos.y;
	out->srcZ = from->srcPos.z;
	out->dstXInBytes = from->dstPos.x;
	out->dstY = from->dstPos.y;
	out->dstZ = from->dstPos.z;
	return sides_of_arrays(from->srcArray, from->dstArray, out);
}

cudaError_t cudaMemcpy3D(const struct cudaMemcpy3DParms *parameters)
{
	CUDA_MEMCPY3D wide;
	CUresult error = copy_of_parms(parameters, &wide);

	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	DRIVER(cuMemcpy3D(&wide));
}

cudaError_t cudaMemcpy3DAsync(const struct cudaMemcpy3DParms *parameters, cudaStream_t stream)
{
	CUDA_MEMCPY3D wide;
	CUresult error = copy_of_parms(parameters, &wide);

	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	DRIVER(cuMemcpy3DAsync(&wide, stream));
}

/* ---- Variables ------------------------------------------------------------------------------------------ */

/* A place in a variable of the program's kernels. */
static CUresult symbol_at(const void *symbol, size_t offset, size_t bytes, void **pointer)
{
	CUdeviceptr base;
	size_t size;
	CUresult error = symbol_variable(symbol, &base, &size);

	if (error != CUDA_SUCCESS)
		return error;
	if (offset > size || bytes > size - offset)
		return CUDA_ERROR_INVALID_VALUE;
	*pointer = (void *)(uintptr_t)(base + offset);
	return CUDA_SUCCESS;
}

#define WITH_SYMBOL(bytes, offset, call) do { \
		void *at = NULL; \
		CUresult error_ = runtime_begin(); \
		if (error_ == CUDA_SUCCESS) \
			error_ = symbol_at(symbol, offset, bytes, &at); \
		if (error_ == CUDA_SUCCESS) \
			error_ = (call); \
		return runtime_done(error_); \
	} while (0)

cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *source, size_t bytes,
			       size_t offset, enum cudaMemcpyKind kind)
{
	WITH_SYMBOL(bytes, offset, copy(at, source, bytes, kind));
}

cudaError_t cudaMemcpyFromSymbol(void *target, const void *symbol, size_t bytes, size_t offset,
				 enum cudaMemcpyKind kind)
{
	WITH_SYMBOL(bytes, offset, copy(target, at, bytes, kind));
}

cudaError_t cudaMemcpyToSymbolAsync(const void *symbol, const void *source, size_t bytes,
				    size_t offset, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	WITH_SYMBOL(bytes, offset, copy_async(at, source, bytes, kind, stream));
}

cudaError_t cudaMemcpyFromSymbolAsync(void *target, const void *symbol, size_t bytes,
				      size_t offset, enum cudaMemcpyKind kind,
				      cudaStream_t stream)
{
	WITH_SYMBOL(bytes, offset, copy_async(target, at, bytes, kind, stream));
}

cudaError_t cudaGetSymbolAddress(void **pointer, const void *symbol)
{
	CUresult error = runtime_begin();

	if (!pointer)
		return runtime_fail(cudaErrorInvalidValue);
	return runtime_done(error == CUDA_SUCCESS ? symbol_at(symbol, 0, 0, pointer) : error);
}

cudaError_t cudaGetSymbolSize(size_t *bytes, const void *symbol)
{
	CUdeviceptr base;
	CUresult error = runtime_begin();

	if (!bytes)
		return runtime_fail(cudaErrorInvalidValue);
	return runtime_done(error == CUDA_SUCCESS ? symbol_variable(symbol, &base, bytes) : error);
}

/* ---- Sets ---------------------------------------------------------------------------------------------------- */

cudaError_t cudaMemset(void *pointer, int value, size_t count)
{
	DRIVER(cuMemsetD8(pointer_of(pointer), (unsigned char)value, count));
}

cudaError_t cudaMemsetAsync(void *pointer, int value, size_t count, cudaStream_t stream)
{
	DRIVER(cuMemsetD8Async(pointer_of(pointer), (unsigned char)value, count, stream));
}

cudaError_t cudaMemset2D(void *pointer, size_t pitch, int value, size_t width, size_t height)
{
	DRIVER(cuMemsetD2D8(pointer_of(pointer), pitch, (unsigned char)value, width, height));
}

cudaError_t cudaMemset2DAsync(void *pointer, size_t pitch, int value, size_t width, size_t height,
			      cudaStream_t stream)
{
	DRIVER(cuMemsetD2D8Async(pointer_of(pointer), pitch, (unsigned char)value, width, height,
				 stream));
}

/* Slice by slice, for there may be rows between them. */
static CUresult set_3d(struct cudaPitchedPtr pitched, int value, struct cudaExtent extent,
		       cudaStream_t stream)
{
	CUresult error = CUDA_SUCCESS;

	for (size_t z = 0; z < extent.depth && error == CUDA_SUCCESS; z++)
		error = cuMemsetD2D8Async(pointer_of(pitched.ptr) +
						  z * pitched.pitch * pitched.ysize,
					  pitched.pitch, (unsigned char)value, extent.width,
					  extent.height, stream);
	return error;
}

cudaError_t cudaMemset3D(struct cudaPitchedPtr pitched, int value, struct cudaExtent extent)
{
	DRIVER(set_3d(pitched, value, extent, NULL));
}

cudaError_t cudaMemset3DAsync(struct cudaPitchedPtr pitched, int value, struct cudaExtent extent,
			      cudaStream_t stream)
{
	DRIVER(set_3d(pitched, value, extent, stream));
}
