// SPDX-License-Identifier: Apache-2.0
/* Arrays, textures and surfaces: the driver's, described by channels. */
#include "internal.h"

#include <string.h>

static CUarray array_of(const struct cudaArray *array)
{
	return (CUarray)(uintptr_t)array;
}

/* ---- Formats ------------------------------------------------------------------------------ */

struct cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w,
						   enum cudaChannelFormatKind f)
{
	return (struct cudaChannelFormatDesc){ x, y, z, w, f };
}

/* Channels have one size, and follow each other. */
CUresult format_of(const struct cudaChannelFormatDesc *d, CUarray_format *format,
		   unsigned int *channels)
{
	const int bits[] = { d->x, d->y, d->z, d->w };
	unsigned int size = d->x == 8 ? 0 : d->x == 16 ? 1 : d->x == 32 ? 2 : 3;

	*channels = 0;
	while (*channels < 4 && bits[*channels])
		if (bits[(*channels)++] != d->x)
			return (CUresult)cudaErrorInvalidChannelDescriptor;
	for (unsigned int i = *channels; i < 4; i++)
		if (bits[i])
			return (CUresult)cudaErrorInvalidChannelDescriptor;
	if (!*channels || *channels == 3 || size > 2)
		return (CUresult)cudaErrorInvalidChannelDescriptor;
	switch (d->f) {
	case cudaChannelFormatKindUnsigned:
		*format = (CUarray_format)(CU_AD_FORMAT_UNSIGNED_INT8 + size);
		return CUDA_SUCCESS;
	case cudaChannelFormatKindSigned:
		*format = (CUarray_format)(CU_AD_FORMAT_SIGNED_INT8 + size);
		return CUDA_SUCCESS;
	case cudaChannelFormatKindFloat:
		if (size == 0)
			break;
		*format = size == 1 ? CU_AD_FORMAT_HALF : CU_AD_FORMAT_FLOAT;
		return CUDA_SUCCESS;
	default:
		break;
	}
	return (CUresult)cudaErrorInvalidChannelDescriptor;
}

static int bits_of(CUarray_format format)
{
	switch (format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return 8;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 16;
	default:
		return 32;
	}
}

static struct cudaChannelFormatDesc channels_of(CUarray_format format, unsigned int channels)
{
	int bits = bits_of(format);

	return (struct cudaChannelFormatDesc){
		bits, channels > 1 ? bits : 0, channels > 2 ? bits : 0, channels > 3 ? bits : 0,
		format == CU_AD_FORMAT_HALF || format == CU_AD_FORMAT_FLOAT ?
			cudaChannelFormatKindFloat :
		format >= CU_AD_FORMAT_SIGNED_INT8 ? cudaChannelFormatKindSigned :
						     cudaChannelFormatKindUnsigned,
	};
}

/* ---- Arrays -------------------------------------------------------------------------------- */

static CUresult array_create(cudaArray_t *array, const struct cudaChannelFormatDesc *d,
			     struct cudaExtent extent, unsigned int flags)
{
	CUDA_ARRAY3D_DESCRIPTOR wanted = { .Width = extent.width, .Height = extent.height,
					   .Depth = extent.depth, .Flags = flags };
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = array && d ? format_of(d, &wanted.Format, &wanted.NumChannels) :
				     CUDA_ERROR_INVALID_VALUE;
	return error == CUDA_SUCCESS ? cuArray3DCreate((CUarray *)array, &wanted) : error;
}

cudaError_t cudaMallocArray(cudaArray_t *array, const struct cudaChannelFormatDesc *d,
			    size_t width, size_t height, unsigned int flags)
{
	return runtime_done(array_create(array, d, make_cudaExtent(width, height, 0), flags));
}

cudaError_t cudaMalloc3DArray(cudaArray_t *array, const struct cudaChannelFormatDesc *d,
			      struct cudaExtent extent, unsigned int flags)
{
	return runtime_done(array_create(array, d, extent, flags));
}

cudaError_t cudaFreeArray(cudaArray_t array)
{
	if (!array)
		DRIVER(CUDA_SUCCESS);
	DRIVER(cuArrayDestroy(array_of(array)));
}

cudaError_t cudaArrayGetInfo(struct cudaChannelFormatDesc *d, struct cudaExtent *extent,
			     unsigned int *flags, cudaArray_t array)
{
	CUDA_ARRAY3D_DESCRIPTOR known;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = cuArray3DGetDescriptor(&known, array_of(array));
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	if (d)
		*d = channels_of(known.Format, known.NumChannels);
	if (extent)
		*extent = make_cudaExtent(known.Width, known.Height, known.Depth);
	if (flags)
		*flags = known.Flags;
	return cudaSuccess;
}

cudaError_t cudaGetChannelDesc(struct cudaChannelFormatDesc *d, const struct cudaArray *array)
{
	if (!d)
		return runtime_fail(cudaErrorInvalidValue);
	return cudaArrayGetInfo(d, NULL, NULL, (cudaArray_t)(uintptr_t)array);
}

/* ---- Copies -------------------------------------------------------------------------------- */

CUresult sides_of_arrays(const struct cudaArray *source, cudaArray_t target, CUDA_MEMCPY3D *copy)
{
	CUDA_ARRAY3D_DESCRIPTOR known;
	CUresult error;
	size_t element;

	if (!source && !target)
		return CUDA_SUCCESS;
	error = cuArray3DGetDescriptor(&known, array_of(source ? source : target));
	if (error != CUDA_SUCCESS)
		return error;
	element = (size_t)bits_of(known.Format) / 8 * known.NumChannels;
	copy->WidthInBytes *= element;
	if (source) {
		copy->srcMemoryType = CU_MEMORYTYPE_ARRAY;
		copy->srcArray = array_of(source);
		copy->srcXInBytes *= element;
	}
	if (target) {
		copy->dstMemoryType = CU_MEMORYTYPE_ARRAY;
		copy->dstArray = array_of(target);
		copy->dstXInBytes *= element;
	}
	return CUDA_SUCCESS;
}

/* A plane of bytes between an array and memory, or two arrays. */
struct plane {
	const struct cudaArray *source, *target;
	size_t source_x, source_y, target_x, target_y;
	const void *from;
	void *to;
	size_t pitch, width, height;
};

static CUmemorytype memory_type(enum cudaMemcpyKind kind, enum cudaMemcpyKind host)
{
	return kind == host ? CU_MEMORYTYPE_HOST :
	       kind == cudaMemcpyDeviceToDevice ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_UNIFIED;
}

static CUresult copy_plane(const struct plane *p, enum cudaMemcpyKind kind, bool waits,
			   cudaStream_t stream)
{
	CUDA_MEMCPY3D copy = {
		.srcXInBytes = p->source_x, .srcY = p->source_y, .srcHost = p->from,
		.srcDevice = pointer_of(p->from), .srcArray = array_of(p->source),
		.srcPitch = p->pitch, .dstXInBytes = p->target_x, .dstY = p->target_y,
		.dstHost = p->to, .dstDevice = pointer_of(p->to), .dstArray = array_of(p->target),
		.dstPitch = p->pitch, .WidthInBytes = p->width, .Height = p->height, .Depth = 1,
	};
	CUresult error = check_kind(kind);

	if (error != CUDA_SUCCESS)
		return error;
	copy.srcMemoryType = p->source ? CU_MEMORYTYPE_ARRAY :
					 memory_type(kind, cudaMemcpyHostToDevice);
	copy.dstMemoryType = p->target ? CU_MEMORYTYPE_ARRAY :
					 memory_type(kind, cudaMemcpyDeviceToHost);
	if ((p->source && kind == cudaMemcpyHostToDevice) ||
	    (p->target && kind == cudaMemcpyDeviceToHost) || kind == cudaMemcpyHostToHost)
		return (CUresult)cudaErrorInvalidMemcpyDirection;
	if (!(p->source && p->target) && p->width > p->pitch)
		return (CUresult)cudaErrorInvalidPitchValue;
	if (!stream && waits)
		return cuMemcpy3D(&copy);
	error = cuMemcpy3DAsync(&copy, stream);
	return error == CUDA_SUCCESS && waits ? cuStreamSynchronize(stream) : error;
}

static CUresult row_bytes(const struct cudaArray *array, size_t *row)
{
	CUDA_ARRAY3D_DESCRIPTOR known;
	CUresult error = cuArray3DGetDescriptor(&known, array_of(array));

	*row = error == CUDA_SUCCESS ?
		       (size_t)bits_of(known.Format) / 8 * known.NumChannels * known.Width : 1;
	return error;
}

/* Bytes that go on in the next row where one ends: p->width of them. */
static CUresult copy_span(struct plane *p, enum cudaMemcpyKind kind, bool waits,
			  cudaStream_t stream)
{
	size_t left = p->width, source_row = SIZE_MAX, target_row = SIZE_MAX;
	CUresult error = CUDA_SUCCESS;

	if (p->source)
		error = row_bytes(p->source, &source_row);
	if (p->target && error == CUDA_SUCCESS)
		error = row_bytes(p->target, &target_row);
	while (left && error == CUDA_SUCCESS) {
		size_t room = target_row - p->target_x;

		if (p->source_x >= source_row || p->target_x >= target_row)
			return CUDA_ERROR_INVALID_VALUE;
		if (source_row - p->source_x < room)
			room = source_row - p->source_x;
		p->width = left < room ? left : room;
		p->height = !p->source_x && !p->target_x && !(p->source && p->target) ?
				    left / p->width : 1;
		p->pitch = p->width;
		error = copy_plane(p, kind, waits, stream);
		left -= p->width * p->height;
		if (p->source) {
			p->source_x = (p->source_x + p->width) % source_row;
			p->source_y += p->source_x ? 0 : p->height;
		} else {
			p->from = (const char *)p->from + p->width * p->height;
		}
		if (p->target) {
			p->target_x = (p->target_x + p->width) % target_row;
			p->target_y += p->target_x ? 0 : p->height;
		} else {
			p->to = (char *)p->to + p->width * p->height;
		}
	}
	return error;
}

/* Each form with the streams that it has: the legacy one, one that is given, the thread's own. */
#define FORMS(name, parameters, asynchronous, call, async_name, async_own) \
	cudaError_t name parameters; \
	cudaError_t name parameters { DRIVER(call(true, NULL)); } \
	cudaError_t name##_ptds parameters; \
	cudaError_t name##_ptds parameters { DRIVER(call(true, CU_STREAM_PER_THREAD)); } \
	cudaError_t async_name asynchronous; \
	cudaError_t async_name asynchronous { DRIVER(call(false, stream)); } \
	cudaError_t async_own asynchronous; \
	cudaError_t async_own asynchronous \
	{ \
		DRIVER(call(false, stream ? stream : CU_STREAM_PER_THREAD)); \
	}

#define TO_ARRAY(waits, on) \
	copy_plane(&(struct plane){ .target = target, .target_x = x, .target_y = y, .from = source, \
				    .pitch = pitch, .width = width, .height = height }, \
		   kind, waits, on)
FORMS(cudaMemcpy2DToArray,
      (cudaArray_t target, size_t x, size_t y, const void *source, size_t pitch, size_t width,
       size_t height, enum cudaMemcpyKind kind),
      (cudaArray_t target, size_t x, size_t y, const void *source, size_t pitch, size_t width,
       size_t height, enum cudaMemcpyKind kind, cudaStream_t stream),
      TO_ARRAY, cudaMemcpy2DToArrayAsync, cudaMemcpy2DToArrayAsync_ptsz)

#define FROM_ARRAY(waits, on) \
	copy_plane(&(struct plane){ .source = source, .source_x = x, .source_y = y, .to = target, \
				    .pitch = pitch, .width = width, .height = height }, \
		   kind, waits, on)
FORMS(cudaMemcpy2DFromArray,
      (void *target, size_t pitch, const struct cudaArray *source, size_t x, size_t y,
       size_t width, size_t height, enum cudaMemcpyKind kind),
      (void *target, size_t pitch, const struct cudaArray *source, size_t x, size_t y,
       size_t width, size_t height, enum cudaMemcpyKind kind, cudaStream_t stream),
      FROM_ARRAY, cudaMemcpy2DFromArrayAsync, cudaMemcpy2DFromArrayAsync_ptsz)

#define ROW_TO_ARRAY(waits, on) \
	copy_span(&(struct plane){ .target = target, .target_x = x, .target_y = y, .from = source, \
				   .width = bytes }, \
		  kind, waits, on)
FORMS(cudaMemcpyToArray,
      (cudaArray_t target, size_t x, size_t y, const void *source, size_t bytes,
       enum cudaMemcpyKind kind),
      (cudaArray_t target, size_t x, size_t y, const void *source, size_t bytes,
       enum cudaMemcpyKind kind, cudaStream_t stream),
      ROW_TO_ARRAY, cudaMemcpyToArrayAsync, cudaMemcpyToArrayAsync_ptsz)

#define ROW_FROM_ARRAY(waits, on) \
	copy_span(&(struct plane){ .source = source, .source_x = x, .source_y = y, .to = target, \
				   .width = bytes }, \
		  kind, waits, on)
FORMS(cudaMemcpyFromArray,
      (void *target, const struct cudaArray *source, size_t x, size_t y, size_t bytes,
       enum cudaMemcpyKind kind),
      (void *target, const struct cudaArray *source, size_t x, size_t y, size_t bytes,
       enum cudaMemcpyKind kind, cudaStream_t stream),
      ROW_FROM_ARRAY, cudaMemcpyFromArrayAsync, cudaMemcpyFromArrayAsync_ptsz)

#define BETWEEN(name, parameters, copy, bytes, rows) \
	cudaError_t name parameters; \
	cudaError_t name parameters \
	{ \
		DRIVER(copy(&(struct plane){ source, target, sx, sy, tx, ty, NULL, NULL, 0, \
						   bytes, rows }, kind, true, NULL)); \
	} \
	cudaError_t name##_ptds parameters; \
	cudaError_t name##_ptds parameters \
	{ \
		DRIVER(copy(&(struct plane){ source, target, sx, sy, tx, ty, NULL, NULL, 0, \
						   bytes, rows }, kind, true, CU_STREAM_PER_THREAD)); \
	}
BETWEEN(cudaMemcpy2DArrayToArray,
	(cudaArray_t target, size_t tx, size_t ty, const struct cudaArray *source, size_t sx,
	 size_t sy, size_t width, size_t height, enum cudaMemcpyKind kind), copy_plane, width, height)
BETWEEN(cudaMemcpyArrayToArray,
	(cudaArray_t target, size_t tx, size_t ty, const struct cudaArray *source, size_t sx,
	 size_t sy, size_t count, enum cudaMemcpyKind kind), copy_span, count, 1)

/* ---- Objects -------------------------------------------------------------------------------- */

static CUresult resource_of(const struct cudaResourceDesc *from, CUDA_RESOURCE_DESC *to)
{
	memset(to, 0, sizeof(*to));
	to->resType = (CUresourcetype)from->resType;
	switch (from->resType) {
	case cudaResourceTypeArray:
		to->res.array.hArray = array_of(from->res.array.array);
		return CUDA_SUCCESS;
	case cudaResourceTypeMipmappedArray:
		to->res.mipmap.hMipmappedArray = (CUmipmappedArray)from->res.mipmap.mipmap;
		return CUDA_SUCCESS;
	case cudaResourceTypeLinear:
		to->res.linear.devPtr = pointer_of(from->res.linear.devPtr);
		to->res.linear.sizeInBytes = from->res.linear.sizeInBytes;
		return format_of(&from->res.linear.desc, &to->res.linear.format,
				 &to->res.linear.numChannels);
	case cudaResourceTypePitch2D:
		to->res.pitch2D.devPtr = pointer_of(from->res.pitch2D.devPtr);
		to->res.pitch2D.width = from->res.pitch2D.width;
		to->res.pitch2D.height = from->res.pitch2D.height;
		to->res.pitch2D.pitchInBytes = from->res.pitch2D.pitchInBytes;
		return format_of(&from->res.pitch2D.desc, &to->res.pitch2D.format,
				 &to->res.pitch2D.numChannels);
	}
	return CUDA_ERROR_INVALID_VALUE;
}

static void resource_back(const CUDA_RESOURCE_DESC *from, struct cudaResourceDesc *to)
{
	memset(to, 0, sizeof(*to));
	to->resType = (enum cudaResourceType)from->resType;
	if (from->resType == CU_RESOURCE_TYPE_ARRAY) {
		to->res.array.array = (cudaArray_t)from->res.array.hArray;
	} else if (from->resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY) {
		to->res.mipmap.mipmap = (cudaMipmappedArray_t)from->res.mipmap.hMipmappedArray;
	} else if (from->resType == CU_RESOURCE_TYPE_LINEAR) {
		to->res.linear.devPtr = (void *)(uintptr_t)from->res.linear.devPtr;
		to->res.linear.sizeInBytes = from->res.linear.sizeInBytes;
		to->res.linear.desc = channels_of(from->res.linear.format,
						  from->res.linear.numChannels);
	} else {
		to->res.pitch2D.devPtr = (void *)(uintptr_t)from->res.pitch2D.devPtr;
		to->res.pitch2D.width = from->res.pitch2D.width;
		to->res.pitch2D.height = from->res.pitch2D.height;
		to->res.pitch2D.pitchInBytes = from->res.pitch2D.pitchInBytes;
		to->res.pitch2D.desc = channels_of(from->res.pitch2D.format,
						   from->res.pitch2D.numChannels);
	}
}

static CUDA_TEXTURE_DESC modes_of(const struct cudaTextureDesc *from)
{
	CUDA_TEXTURE_DESC to = { .filterMode = (CUfilter_mode)from->filterMode,
				 .maxAnisotropy = from->maxAnisotropy,
				 .mipmapFilterMode = (CUfilter_mode)from->mipmapFilterMode,
				 .mipmapLevelBias = from->mipmapLevelBias,
				 .minMipmapLevelClamp = from->minMipmapLevelClamp,
				 .maxMipmapLevelClamp = from->maxMipmapLevelClamp };

	for (int i = 0; i < 3; i++)
		to.addressMode[i] = (CUaddress_mode)from->addressMode[i];
	memcpy(to.borderColor, from->borderColor, sizeof(to.borderColor));
	if (from->readMode == cudaReadModeElementType)
		to.flags |= CU_TRSF_READ_AS_INTEGER;
	if (from->normalizedCoords)
		to.flags |= CU_TRSF_NORMALIZED_COORDINATES;
	if (from->sRGB)
		to.flags |= CU_TRSF_SRGB;
	if (from->disableTrilinearOptimization)
		to.flags |= CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION;
	if (from->seamlessCubemap)
		to.flags |= CU_TRSF_SEAMLESS_CUBEMAP;
	return to;
}

/* What the driver lets pass in silence is a mistake to the runtime. */
static CUresult check_modes(const CUDA_RESOURCE_DESC *resource, const struct cudaTextureDesc *modes)
{
	CUDA_ARRAY3D_DESCRIPTOR known = { 0 };
	CUarray_format format;
	CUarray array;

	if (resource->resType == CU_RESOURCE_TYPE_LINEAR)
		return CUDA_SUCCESS;
	format = resource->res.pitch2D.format;
	array = resource->res.array.hArray;
	if (resource->resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY) {
		CUresult error = cuMipmappedArrayGetLevel(&array,
							  resource->res.mipmap.hMipmappedArray, 0);

		if (error != CUDA_SUCCESS)
			return error;
	}
	if (resource->resType != CU_RESOURCE_TYPE_PITCH2D) {
		CUresult error = cuArray3DGetDescriptor(&known, array);

		if (error != CUDA_SUCCESS)
			return error;
		format = known.Format;
	}
	if (modes->filterMode == cudaFilterModeLinear && format != CU_AD_FORMAT_FLOAT &&
	    format != CU_AD_FORMAT_HALF &&
	    (modes->readMode == cudaReadModeElementType || bits_of(format) == 32))
		return (CUresult)cudaErrorInvalidFilterSetting;
	return CUDA_SUCCESS;
}

static CUresult texture_create(cudaTextureObject_t *texture, const struct cudaResourceDesc *from,
			       const struct cudaTextureDesc *modes,
			       const struct cudaResourceViewDesc *view)
{
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC wanted;
	CUresult error;

	if (!texture || !from || !modes)
		return CUDA_ERROR_INVALID_VALUE;
	error = resource_of(from, &resource);
	if (error == CUDA_SUCCESS)
		error = check_modes(&resource, modes);
	if (error != CUDA_SUCCESS)
		return error;
	wanted = modes_of(modes);
	return cuTexObjectCreate(texture, &resource, &wanted, (const void *)view);
}

cudaError_t cudaCreateTextureObject(cudaTextureObject_t *texture,
				    const struct cudaResourceDesc *resource,
				    const struct cudaTextureDesc *modes,
				    const struct cudaResourceViewDesc *view)
{
	DRIVER(texture_create(texture, resource, modes, view));
}

cudaError_t cudaDestroyTextureObject(cudaTextureObject_t texture)
{
	DRIVER(cuTexObjectDestroy(texture));
}

cudaError_t cudaGetTextureObjectResourceDesc(struct cudaResourceDesc *resource,
					     cudaTextureObject_t texture)
{
	CUDA_RESOURCE_DESC known;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = cuTexObjectGetResourceDesc(resource ? &known : NULL, texture);
	if (error == CUDA_SUCCESS)
		resource_back(&known, resource);
	return runtime_done(error);
}

cudaError_t cudaGetTextureObjectTextureDesc(struct cudaTextureDesc *modes,
					    cudaTextureObject_t texture)
{
	CUDA_TEXTURE_DESC known;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = cuTexObjectGetTextureDesc(modes ? &known : NULL, texture);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	*modes = (struct cudaTextureDesc){
		.filterMode = (enum cudaTextureFilterMode)known.filterMode,
		.readMode = known.flags & CU_TRSF_READ_AS_INTEGER ? cudaReadModeElementType :
								    cudaReadModeNormalizedFloat,
		.normalizedCoords = !!(known.flags & CU_TRSF_NORMALIZED_COORDINATES),
		.maxAnisotropy = known.maxAnisotropy,
		.sRGB = !!(known.flags & CU_TRSF_SRGB),
		.mipmapFilterMode = (enum cudaTextureFilterMode)known.mipmapFilterMode,
		.mipmapLevelBias = known.mipmapLevelBias,
		.minMipmapLevelClamp = known.minMipmapLevelClamp,
		.maxMipmapLevelClamp = known.maxMipmapLevelClamp,
	};
	for (int i = 0; i < 3; i++)
		modes->addressMode[i] = (enum cudaTextureAddressMode)known.addressMode[i];
	memcpy(modes->borderColor, known.borderColor, sizeof(modes->borderColor));
	return cudaSuccess;
}

cudaError_t cudaGetTextureObjectResourceViewDesc(struct cudaResourceViewDesc *view,
						 cudaTextureObject_t texture);
cudaError_t cudaGetTextureObjectResourceViewDesc(struct cudaResourceViewDesc *view,
						 cudaTextureObject_t texture)
{
	(void)view;
	(void)texture;
	return runtime_fail(cudaErrorInvalidValue);
}

static CUresult surface_create(cudaSurfaceObject_t *surface, const struct cudaResourceDesc *from)
{
	CUDA_RESOURCE_DESC resource;
	CUresult error = surface && from ? resource_of(from, &resource) :
					   CUDA_ERROR_INVALID_VALUE;

	return error == CUDA_SUCCESS ? cuSurfObjectCreate(surface, &resource) : error;
}

cudaError_t cudaCreateSurfaceObject(cudaSurfaceObject_t *surface,
				    const struct cudaResourceDesc *resource)
{
	DRIVER(surface_create(surface, resource));
}

cudaError_t cudaDestroySurfaceObject(cudaSurfaceObject_t surface)
{
	DRIVER(cuSurfObjectDestroy(surface));
}

cudaError_t cudaGetSurfaceObjectResourceDesc(struct cudaResourceDesc *resource,
					     cudaSurfaceObject_t surface)
{
	CUDA_RESOURCE_DESC known;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = cuSurfObjectGetResourceDesc(resource ? &known : NULL, surface);
	if (error == CUDA_SUCCESS)
		resource_back(&known, resource);
	return runtime_done(error);
}
