// SPDX-License-Identifier: Apache-2.0
/*
 * Mipmapped arrays: an ordinary array for each level, each half as large as that before.
 * Layers and faces stay as many as they are.
 */
#include "internal.h"

struct CUmipmappedArray_st {
	struct object object;
	struct CUctx_st *context;
	unsigned long long context_id;
	unsigned int levels;
	CUarray level[LEVELS_MAX];
};

static CUresult mipmap_of(CUmipmappedArray handle, struct CUmipmappedArray_st **mipmap)
{
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(handle, KIND_MIPMAP) || handle->context != context ||
	    handle->context_id != context->id)
		return CUDA_ERROR_INVALID_HANDLE;
	*mipmap = handle;
	return CUDA_SUCCESS;
}

CUresult mipmap_levels(CUmipmappedArray handle, const CUarray **level, unsigned int *levels)
{
	struct CUmipmappedArray_st *mipmap;
	CUresult error = mipmap_of(handle, &mipmap);

	if (error != CUDA_SUCCESS)
		return error;
	*level = mipmap->level;
	*levels = mipmap->levels;
	return CUDA_SUCCESS;
}

static bool has_layers(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	return d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
}

/* Down to a single element. */
static unsigned int levels_of(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	size_t longest = MAX(d->Width, d->Height);
	unsigned int levels = 1;

	if (!has_layers(d))
		longest = MAX(longest, d->Depth);
	while (longest >>= 1)
		levels++;
	return levels;
}

static size_t halved(size_t size)
{
	return size > 1 ? size / 2 : size;
}

static CUresult destroy_levels(struct CUmipmappedArray_st *mipmap)
{
	CUresult error = CUDA_SUCCESS;

	while (mipmap->levels && error == CUDA_SUCCESS) {
		mipmap->level[mipmap->levels - 1]->mipmap = NULL;
		error = cuArrayDestroy(mipmap->level[mipmap->levels - 1]);
		if (error == CUDA_SUCCESS)
			mipmap->levels--;
	}
	return error;
}

EXPORT CUresult cuMipmappedArrayCreate(CUmipmappedArray *out, const CUDA_ARRAY3D_DESCRIPTOR *d,
				       unsigned int levels)
{
	struct CUmipmappedArray_st *mipmap;
	CUDA_ARRAY3D_DESCRIPTOR shape;
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (error == CUDA_SUCCESS && (!out || !d))
		error = CUDA_ERROR_INVALID_VALUE;
	if (error != CUDA_SUCCESS)
		return error;
	mipmap = object_new(KIND_MIPMAP, sizeof(*mipmap));
	if (!mipmap)
		return CUDA_ERROR_OUT_OF_MEMORY;
	mipmap->context = context;
	mipmap->context_id = context->id;
	shape = *d;
	/* Too many, or none, are as many as there can be, or one: so CUDA has it. */
	levels = MIN(MAX(levels, 1u), MIN(levels_of(d), (unsigned int)LEVELS_MAX));
	while (mipmap->levels < levels && error == CUDA_SUCCESS) {
		error = cuArray3DCreate(&mipmap->level[mipmap->levels], &shape);
		if (error != CUDA_SUCCESS)
			break;
		mipmap->level[mipmap->levels++]->mipmap = mipmap;
		shape.Width = halved(shape.Width);
		shape.Height = halved(shape.Height);
		if (!has_layers(d))
			shape.Depth = halved(shape.Depth);
	}
	if (error != CUDA_SUCCESS) {
		destroy_levels(mipmap);
		object_end(mipmap);
		return error;
	}
	*out = mipmap;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMipmappedArrayGetLevel(CUarray *level, CUmipmappedArray handle,
					 unsigned int number)
{
	struct CUmipmappedArray_st *mipmap;
	CUresult error = mipmap_of(handle, &mipmap);

	if (error != CUDA_SUCCESS)
		return error;
	if (!level || number >= mipmap->levels)
		return report(CUDA_ERROR_INVALID_VALUE, "level %u of a mipmapped array with %u",
			      number, mipmap->levels);
	*level = mipmap->level[number];
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray handle)
{
	struct CUmipmappedArray_st *mipmap;
	CUresult error = mipmap_of(handle, &mipmap);

	if (error == CUDA_SUCCESS)
		error = destroy_levels(mipmap);
	if (error == CUDA_SUCCESS)
		object_end(mipmap);
	return error;
}
