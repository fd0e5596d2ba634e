// SPDX-License-Identifier: Apache-2.0
/*
 * Texture and surface objects. A handle is the address of a description in device
 * memory, which kernels read: src/kernel/ptx/helpers-texture.ts has its layout and
 * samples by it. What CUDA says of modes is settled here, so that they need not know it.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Of a level; the levels' descriptions follow each other. */
#define WORDS 20

enum word {
	WORD_BASE = 0, WORD_WIDTH = 2, WORD_HEIGHT, WORD_DEPTH, WORD_ROW, WORD_SLICE, WORD_FORMAT,
	WORD_MODES, WORD_BORDER, WORD_LEVELS = 13, WORD_BIAS, WORD_LEAST, WORD_MOST,
};

#define MODE_LINEAR (1u << 8)
#define MODE_NORMALISED (1u << 9)
#define MODE_VALUES (1u << 10)
#define MODE_SRGB (1u << 11)
#define LEVELS_LINEAR (1u << 8)
#define KIND_SIGNED 1u
#define KIND_FLOAT 2u

struct texture {
	struct texture *next;
	vgpu_devptr handle;
	bool surface;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC texture;
};

static uint32_t kind_of(CUarray_format format)
{
	if (format == CU_AD_FORMAT_HALF || format == CU_AD_FORMAT_FLOAT)
		return KIND_FLOAT;
	return format >= CU_AD_FORMAT_SIGNED_INT8 ? KIND_SIGNED : 0;
}

static CUresult set_format(uint32_t *words, CUarray_format format, unsigned int channels)
{
	size_t bytes = format_bytes(format);

	if (!bytes)
		return report(CUDA_ERROR_NOT_SUPPORTED, "a texture of format 0x%x", format);
	if (channels != 1 && channels != 2 && channels != 4)
		return CUDA_ERROR_INVALID_VALUE;
	words[WORD_FORMAT] = (uint32_t)bytes * 8 | channels << 8 | kind_of(format) << 12;
	return CUDA_SUCCESS;
}

static void set_size(uint32_t *words, CUdeviceptr base, size_t width, size_t height, size_t depth,
		     size_t row, size_t slice)
{
	base = managed_device_address(base);
	words[WORD_BASE] = (uint32_t)base;
	words[WORD_BASE + 1] = (uint32_t)(base >> 32);
	words[WORD_WIDTH] = (uint32_t)width;
	words[WORD_HEIGHT] = (uint32_t)height;
	words[WORD_DEPTH] = (uint32_t)depth;
	words[WORD_ROW] = (uint32_t)row;
	words[WORD_SLICE] = (uint32_t)slice;
}

/* Whether the context has so many bytes there. */
static bool has_memory(struct CUctx_st *context, CUdeviceptr base, uint64_t bytes)
{
	struct region region;

	return region_find(context, base, &region) && region_on_device(&region) &&
	       bytes <= region.bytes - (base - region.base);
}

static CUresult describe_array(const struct CUarray_st *array, uint32_t *words)
{
	set_size(words, array->base, array->desc.Width, array->desc.Height, array->desc.Depth,
		 array->row, array->slice);
	return set_format(words, array->desc.Format, array->desc.NumChannels);
}

static CUresult describe_levels(CUmipmappedArray mipmap, uint32_t *words, unsigned int *levels)
{
	const CUarray *level;
	CUresult error = mipmap_levels(mipmap, &level, levels);

	for (unsigned int i = 0; error == CUDA_SUCCESS && i < *levels; i++)
		error = describe_array(level[i], words + (size_t)i * WORDS);
	return error;
}

/* Where the elements are, what they are, and how large. */
static CUresult describe(struct CUctx_st *context, const CUDA_RESOURCE_DESC *from,
			 uint32_t *words, unsigned int *levels)
{
	struct CUarray_st *array;
	size_t bytes, width, height, pitch;
	CUresult error;

	*levels = 1;
	if (from->flags)
		return CUDA_ERROR_INVALID_VALUE;
	switch (from->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		error = array_of(from->res.array.hArray, &array);
		return error == CUDA_SUCCESS ? describe_array(array, words) : error;
	case CU_RESOURCE_TYPE_LINEAR:
		bytes = format_bytes(from->res.linear.format) * from->res.linear.numChannels;
		width = bytes ? from->res.linear.sizeInBytes / bytes : 0;
		if (width > INT32_MAX || !has_memory(context, from->res.linear.devPtr,
						     from->res.linear.sizeInBytes))
			return CUDA_ERROR_INVALID_VALUE;
		set_size(words, from->res.linear.devPtr, width, 0, 0, 0, 0);
		return set_format(words, from->res.linear.format, from->res.linear.numChannels);
	case CU_RESOURCE_TYPE_PITCH2D:
		bytes = format_bytes(from->res.pitch2D.format) * from->res.pitch2D.numChannels;
		width = from->res.pitch2D.width;
		height = from->res.pitch2D.height;
		pitch = from->res.pitch2D.pitchInBytes;
		if (!width || !height || width > INT32_MAX / 16 || height > INT32_MAX ||
		    pitch > INT32_MAX || (bytes && pitch < width * bytes) ||
		    !has_memory(context, from->res.pitch2D.devPtr,
				(uint64_t)pitch * (height - 1) + width * bytes))
			return CUDA_ERROR_INVALID_VALUE;
		set_size(words, from->res.pitch2D.devPtr, width, height, 0, pitch, 0);
		return set_format(words, from->res.pitch2D.format, from->res.pitch2D.numChannels);
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return describe_levels(from->res.mipmap.hMipmappedArray, words, levels);
	}
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult check_modes(const CUDA_TEXTURE_DESC *t)
{
	for (int i = 0; i < 3; i++)
		if ((unsigned int)t->addressMode[i] > CU_TR_ADDRESS_MODE_BORDER)
			return CUDA_ERROR_INVALID_VALUE;
	if ((unsigned int)t->filterMode > CU_TR_FILTER_MODE_LINEAR ||
	    (unsigned int)t->mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR)
		return CUDA_ERROR_INVALID_VALUE;
	if (t->flags & CU_TRSF_SEAMLESS_CUBEMAP)
		return report(CUDA_ERROR_NOT_SUPPORTED,
			      "a texture with flags 0x%x: seamless cube maps are not supported",
			      t->flags);
	return CUDA_SUCCESS;
}

/* How a level is chosen; the same for all of them, because kernels read it from the first. */
static void set_levels(uint32_t *words, unsigned int levels, const CUDA_TEXTURE_DESC *t)
{
	words[WORD_LEVELS] = (levels - 1) |
		(t->mipmapFilterMode == CU_TR_FILTER_MODE_LINEAR ? LEVELS_LINEAR : 0);
	memcpy(&words[WORD_BIAS], &t->mipmapLevelBias, 4);
	memcpy(&words[WORD_LEAST], &t->minMipmapLevelClamp, 4);
	memcpy(&words[WORD_MOST], &t->maxMipmapLevelClamp, 4);
}

/* How elements are found and returned. */
static CUresult set_modes(uint32_t *words, CUresourcetype type, const CUDA_TEXTURE_DESC *t)
{
	uint32_t bits = words[WORD_FORMAT] & 255, kind = words[WORD_FORMAT] >> 12, modes = 0;
	bool normalised = t->flags & CU_TRSF_NORMALIZED_COORDINATES;
	bool values = kind != KIND_FLOAT && bits < 32 && !(t->flags & CU_TRSF_READ_AS_INTEGER);
	CUresult error = check_modes(t);

	if (error != CUDA_SUCCESS)
		return error;
	/* Levels have different sizes, so a place in texels means nothing. */
	if (type == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY && !normalised)
		return CUDA_ERROR_INVALID_VALUE;
	if (values)
		modes |= MODE_VALUES;
	if (t->flags & CU_TRSF_SRGB)
		modes |= MODE_SRGB;
	for (int i = 0; i < 4; i++) {
		float color = t->borderColor[i];
		int32_t whole = (int32_t)MAX(-2147483648.0, MIN(2147483520.0, (double)color));

		memcpy(&words[WORD_BORDER + i],
		       values || kind == KIND_FLOAT ? (void *)&color : (void *)&whole, 4);
	}
	/* Linear memory is only fetched from; what lies outside is 0. */
	if (type == CU_RESOURCE_TYPE_LINEAR) {
		memset(&words[WORD_BORDER], 0, 16);
		words[WORD_MODES] = modes | CU_TR_ADDRESS_MODE_BORDER * 0x15u;
		return CUDA_SUCCESS;
	}
	for (int i = 0; i < 3; i++) {
		CUaddress_mode mode = t->addressMode[i];

		/* Repeating needs to know what the whole is. */
		if (!normalised && mode != CU_TR_ADDRESS_MODE_BORDER)
			mode = CU_TR_ADDRESS_MODE_CLAMP;
		modes |= (uint32_t)mode << (2 * i);
	}
	if (t->filterMode == CU_TR_FILTER_MODE_LINEAR)
		modes |= MODE_LINEAR;
	words[WORD_MODES] = modes | (normalised ? MODE_NORMALISED : 0);
	return CUDA_SUCCESS;
}

static CUresult create(unsigned long long *out, const CUDA_RESOURCE_DESC *resource,
		       const CUDA_TEXTURE_DESC *modes)
{
	uint32_t words[WORDS * LEVELS_MAX] = { 0 };
	struct CUctx_st *context;
	unsigned int levels = 1;
	struct texture *made;
	size_t bytes;
	CUresult error = current_context(&context);

	if (error == CUDA_SUCCESS && (!out || !resource))
		error = CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		error = describe(context, resource, words, &levels);
	for (unsigned int i = 0; error == CUDA_SUCCESS && modes && i < levels; i++) {
		error = set_modes(words + (size_t)i * WORDS, resource->resType, modes);
		set_levels(words + (size_t)i * WORDS, levels, modes);
	}
	if (error == CUDA_SUCCESS)
		error = capture_forbids(context);
	if (error != CUDA_SUCCESS)
		return error;
	made = calloc(1, sizeof(*made));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	made->surface = !modes;
	made->resource = *resource;
	if (modes)
		made->texture = *modes;
	bytes = levels * WORDS * sizeof(words[0]);
	error = device_alloc(context, bytes, &made->handle);
	if (error == CUDA_SUCCESS)
		error = result_of(vgpu_memcpy_h2d(context->vgpu, made->handle, words, bytes),
				  context->vgpu);
	if (error != CUDA_SUCCESS) {
		if (made->handle)
			vgpu_mem_free(context->vgpu, made->handle);
		free(made);
		return error;
	}
	pthread_mutex_lock(&context->lock);
	made->next = context->textures;
	context->textures = made;
	pthread_mutex_unlock(&context->lock);
	*out = made->handle;
	return CUDA_SUCCESS;
}

static CUresult destroy(unsigned long long handle, bool surface)
{
	struct CUctx_st *context;
	struct texture **link, *found;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	error = defer_drain_all(context);
	if (error != CUDA_SUCCESS)
		return error;
	pthread_mutex_lock(&context->lock);
	for (link = &context->textures; *link; link = &(*link)->next)
		if ((*link)->handle == handle && (*link)->surface == surface)
			break;
	found = *link;
	if (found)
		*link = found->next;
	pthread_mutex_unlock(&context->lock);
	if (!found)
		return CUDA_ERROR_INVALID_VALUE;
	error = result_of(vgpu_mem_free(context->vgpu, found->handle), context->vgpu);
	free(found);
	return error == CUDA_SUCCESS ? synchronised(context) : error;
}

static CUresult find(unsigned long long handle, bool surface, CUDA_RESOURCE_DESC *resource,
		     CUDA_TEXTURE_DESC *modes)
{
	CUresult error = CUDA_ERROR_INVALID_VALUE;
	struct CUctx_st *context;
	CUresult current = current_context(&context);

	if (current != CUDA_SUCCESS)
		return current;
	pthread_mutex_lock(&context->lock);
	for (struct texture *t = context->textures; t; t = t->next) {
		if (t->handle != handle || t->surface != surface || (!resource && !modes))
			continue;
		if (resource)
			*resource = t->resource;
		if (modes)
			*modes = t->texture;
		error = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&context->lock);
	return error;
}

/* The context's memory goes with it. */
void textures_forget(struct CUctx_st *context)
{
	while (context->textures) {
		struct texture *next = context->textures->next;

		free(context->textures);
		context->textures = next;
	}
}

/* ---- The interface ------------------------------------------------------------------------- */

EXPORT CUresult cuTexObjectCreate(CUtexObject *texture, const CUDA_RESOURCE_DESC *resource,
				  const CUDA_TEXTURE_DESC *modes,
				  const CUDA_RESOURCE_VIEW_DESC *view)
{
	if (!modes)
		return CUDA_ERROR_INVALID_VALUE;
	if (view && view->format)
		return report(CUDA_ERROR_NOT_SUPPORTED, "a texture with a view of its resource");
	return create(texture, resource, modes);
}

EXPORT CUresult cuTexObjectDestroy(CUtexObject texture)
{
	return destroy(texture, false);
}

EXPORT CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUtexObject texture)
{
	return find(texture, false, resource, NULL);
}

EXPORT CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *modes, CUtexObject texture)
{
	return find(texture, false, NULL, modes);
}

/* No texture has a view. */
EXPORT CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *view, CUtexObject texture);
EXPORT CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *view, CUtexObject texture)
{
	(void)view;
	(void)texture;
	return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuSurfObjectCreate(CUsurfObject *surface, const CUDA_RESOURCE_DESC *resource)
{
	struct CUarray_st *array;
	CUresult error;

	if (!resource || resource->resType != CU_RESOURCE_TYPE_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	error = array_of(resource->res.array.hArray, &array);
	if (error != CUDA_SUCCESS)
		return error;
	if (!(array->desc.Flags & CUDA_ARRAY3D_SURFACE_LDST))
		return report(CUDA_ERROR_INVALID_VALUE,
			      "a surface of an array without CUDA_ARRAY3D_SURFACE_LDST");
	return create(surface, resource, NULL);
}

EXPORT CUresult cuSurfObjectDestroy(CUsurfObject surface)
{
	return destroy(surface, true);
}

EXPORT CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUsurfObject surface)
{
	return find(surface, true, resource, NULL);
}
