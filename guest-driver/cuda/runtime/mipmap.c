// SPDX-License-Identifier: Apache-2.0
/* Mipmapped arrays: the driver's, described by channels. */
#include "internal.h"

static CUmipmappedArray mipmap_of(cudaMipmappedArray_const_t mipmap)
{
	return (CUmipmappedArray)(uintptr_t)mipmap;
}

cudaError_t cudaMallocMipmappedArray(cudaMipmappedArray_t *mipmap,
				     const struct cudaChannelFormatDesc *d,
				     struct cudaExtent extent, unsigned int levels,
				     unsigned int flags)
{
	CUDA_ARRAY3D_DESCRIPTOR wanted = { .Width = extent.width, .Height = extent.height,
					   .Depth = extent.depth, .Flags = flags };
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = mipmap && d ? format_of(d, &wanted.Format, &wanted.NumChannels) :
				      CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		error = cuMipmappedArrayCreate((CUmipmappedArray *)mipmap, &wanted, levels);
	return runtime_done(error);
}

cudaError_t cudaGetMipmappedArrayLevel(cudaArray_t *level, cudaMipmappedArray_const_t mipmap,
				       unsigned int number)
{
	DRIVER(cuMipmappedArrayGetLevel((CUarray *)level, mipmap_of(mipmap), number));
}

cudaError_t cudaFreeMipmappedArray(cudaMipmappedArray_t mipmap)
{
	if (!mipmap)
		DRIVER(CUDA_SUCCESS);
	DRIVER(cuMipmappedArrayDestroy(mipmap_of(mipmap)));
}
