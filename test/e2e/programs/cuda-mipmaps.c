// SPDX-License-Identifier: Apache-2.0
/*
 * Mipmapped arrays, sRGB and formatted surface accesses on a device: `cuda-mipmaps PTX-FILE`, with the
 * PTX of test/cuda/kernels/mipmap.cu. What must come out is computed here. Prints "ok", or what is wrong.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda.h"
#include "cuda_runtime_api.h"

static cudaLibrary_t library;

static void wrong(const char *what, int line)
{
	printf("line %d: %s\n", line, what);
	exit(1);
}
#define CHECK(condition) do { if (!(condition)) wrong(#condition, __LINE__); } while (0)
#define GIVES(error, call) do { \
	int got_ = (int)(call); \
	if (got_ != (int)(error)) { \
		printf("line %d: %s gives %d (%s)\n", __LINE__, #call, got_, \
		       cudaGetErrorName((cudaError_t)got_)); \
		exit(1); \
	} } while (0)
#define OK(call) GIVES(0, call)

#define POINTS 256
#define SIZE 16
#define LEVELS 5

static const struct cudaChannelFormatDesc one_float = { 32, 0, 0, 0, cudaChannelFormatKindFloat };
static const struct cudaChannelFormatDesc four_bytes = { 8, 8, 8, 8,
							 cudaChannelFormatKindUnsigned };

static void run(const char *name, int count, void **parameters)
{
	dim3 grid = { ((unsigned int)count + 63) / 64, 1, 1 }, block = { 64, 1, 1 };
	cudaKernel_t kernel;

	OK(cudaLibraryGetKernel(&kernel, library, name));
	OK(cudaLaunchKernel(kernel, grid, block, parameters, 0, NULL));
}

static void *device(const void *data, size_t bytes)
{
	void *made;

	OK(cudaMalloc(&made, bytes));
	if (data)
		OK(cudaMemcpy(made, data, bytes, cudaMemcpyHostToDevice));
	else
		OK(cudaMemset(made, 0xee, bytes));
	return made;
}

static cudaTextureObject_t texture_of(cudaMipmappedArray_t mipmap,
				      const struct cudaTextureDesc *modes)
{
	struct cudaResourceDesc resource = { .resType = cudaResourceTypeMipmappedArray }, known;
	struct cudaTextureDesc back;
	cudaTextureObject_t texture;

	resource.res.mipmap.mipmap = mipmap;
	OK(cudaCreateTextureObject(&texture, &resource, modes, NULL));
	OK(cudaGetTextureObjectResourceDesc(&known, texture));
	CHECK(known.resType == cudaResourceTypeMipmappedArray && known.res.mipmap.mipmap == mipmap);
	OK(cudaGetTextureObjectTextureDesc(&back, texture));
	CHECK(back.mipmapFilterMode == modes->mipmapFilterMode && back.sRGB == modes->sRGB);
	CHECK(back.mipmapLevelBias == modes->mipmapLevelBias &&
	      back.maxMipmapLevelClamp == modes->maxMipmapLevelClamp);
	return texture;
}

/* Each texel says its level and where it is. */
static float texel(int level, int x, int y)
{
	return (float)(1000 * level + 16 * y + x);
}

static void fill(cudaMipmappedArray_t mipmap)
{
	for (int level = 0; level < LEVELS; level++) {
		int size = SIZE >> level;
		float data[SIZE * SIZE];
		struct cudaExtent extent;
		cudaArray_t array;
		unsigned int flags;

		for (int i = 0; i < size * size; i++)
			data[i] = texel(level, i % size, i / size);
		OK(cudaGetMipmappedArrayLevel(&array, mipmap, (unsigned int)level));
		OK(cudaArrayGetInfo(NULL, &extent, &flags, array));
		CHECK(extent.width == (size_t)size && extent.height == (size_t)size);
		CHECK(extent.depth == 0 && flags == cudaArraySurfaceLoadStore);
		OK(cudaMemcpy2DToArray(array, 0, 0, data, (size_t)size * 4, (size_t)size * 4,
				       (size_t)size, cudaMemcpyHostToDevice));
		GIVES(cudaErrorInvalidValue, cudaFreeArray(array));
	}
}

/* Point sampling within a level; between levels as the modes say. */
static void compare(const struct cudaTextureDesc *modes, const float (*at)[2], const float *lod,
		    const float *got)
{
	for (int i = 0; i < POINTS; i++) {
		double given = fmin(fmax((double)(lod[i] + modes->mipmapLevelBias),
					 (double)modes->minMipmapLevelClamp),
				    (double)modes->maxMipmapLevelClamp);
		double level = fmin(fmax(given, 0), LEVELS - 1), part, want = 0;

		if (modes->mipmapFilterMode == cudaFilterModePoint)
			level = floor(level + 0.5);
		part = floor((level - floor(level)) * 256 + 0.5) / 256;
		for (int step = 0; step < 2; step++) {
			int l = (int)level + step;
			double weight = step ? part : 1 - part;

			if (weight > 0)
				want += weight * (double)texel(l, (int)(at[i][0] * (float)(SIZE >> l)),
							       (int)(at[i][1] * (float)(SIZE >> l)));
		}
		if (fabs(want - (double)got[4 * i]) > 1e-3 * (1 + want)) {
			printf("at %g %g, level %g: %g, not %g\n", (double)at[i][0],
			       (double)at[i][1], (double)lod[i], (double)got[4 * i], want);
			exit(1);
		}
	}
}

static void levels(void)
{
	static float at[POINTS][2], lod[POINTS], got[POINTS][4];
	struct cudaTextureDesc modes = { .addressMode = { cudaAddressModeClamp, cudaAddressModeClamp },
					 .normalizedCoords = 1 };
	struct cudaExtent extent = { SIZE, SIZE, 0 };
	cudaMipmappedArray_t mipmap, other;
	struct cudaResourceDesc resource = { .resType = cudaResourceTypeMipmappedArray };
	cudaTextureObject_t texture;
	cudaArray_t array;
	int count = POINTS, known[3];
	void *in, *by, *out, *parameters[] = { &texture, &in, &by, &out, &count };
	void *asked[] = { &texture, &out };

	/* More levels than there can be are as many as there can be. */
	OK(cudaMallocMipmappedArray(&mipmap, &one_float, extent, 99, cudaArraySurfaceLoadStore));
	fill(mipmap);
	GIVES(cudaErrorInvalidValue, cudaGetMipmappedArrayLevel(&array, mipmap, LEVELS));
	for (int i = 0; i < POINTS; i++) {
		at[i][0] = (float)(i * 37 % 64) / 64 + 0.001f;
		at[i][1] = (float)(i * 11 % 64) / 64 + 0.001f;
		lod[i] = (float)(i % 29) / 4 - 1.3f;
	}
	in = device(at, sizeof(at));
	by = device(lod, sizeof(lod));
	out = device(NULL, sizeof(got));
	for (int turn = 0; turn < 4; turn++) {
		modes.mipmapFilterMode = turn & 1 ? cudaFilterModeLinear : cudaFilterModePoint;
		modes.mipmapLevelBias = turn > 1 ? 0.7f : 0;
		modes.minMipmapLevelClamp = turn > 1 ? 1.25f : 0;
		modes.maxMipmapLevelClamp = turn > 1 ? 3.5f : 100;
		texture = texture_of(mipmap, &modes);
		run("mip_plane", POINTS, parameters);
		OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
		compare(&modes, (const float (*)[2])at, lod, got[0]);
		run("mip_query", 1, asked);
		OK(cudaMemcpy(known, out, sizeof(known), cudaMemcpyDeviceToHost));
		CHECK(known[0] == LEVELS && known[1] == SIZE / 2 && known[2] == SIZE / 4);
		OK(cudaDestroyTextureObject(texture));
	}
	/* A place in texels says nothing where levels have different sizes. */
	modes.normalizedCoords = 0;
	resource.res.mipmap.mipmap = mipmap;
	GIVES(cudaErrorInvalidValue, cudaCreateTextureObject(&texture, &resource, &modes, NULL));
	OK(cudaFreeMipmappedArray(mipmap));
	GIVES(cudaErrorInvalidResourceHandle, cudaFreeMipmappedArray(mipmap));
	GIVES(cudaErrorInvalidResourceHandle, cudaGetMipmappedArrayLevel(&array, mipmap, 0));
	OK(cudaFreeMipmappedArray(NULL));
	/* What has been made of one that does not fit is given back: else there is no room. */
	extent = (struct cudaExtent){ 16000, 0, 0 };
	for (int i = 0; i < 3000; i++) {
		OK(cudaMallocMipmappedArray(&other, &one_float, extent, 14, 0));
		OK(cudaFreeMipmappedArray(other));
	}
	extent = (struct cudaExtent){ 100000, 100000, 0 };
	GIVES(cudaErrorMemoryAllocation, cudaMallocMipmappedArray(&other, &one_float, extent, 3, 0));
	GIVES(cudaErrorInvalidValue, cudaMallocMipmappedArray(NULL, &one_float, extent, 3, 0));
}

/* Bytes become light; the last channel, and what is read as it is, does not. */
static void colours(void)
{
	static unsigned char data[256][4];
	static float at[256][2], got[256][4];
	struct cudaTextureDesc modes = { .readMode = cudaReadModeNormalizedFloat, .sRGB = 1,
					 .addressMode = { cudaAddressModeClamp, cudaAddressModeClamp },
					 .normalizedCoords = 1 };
	struct cudaExtent extent = { 256, 1, 0 };
	cudaMipmappedArray_t mipmap;
	cudaTextureObject_t texture;
	cudaArray_t array;
	int count = 256;
	void *in, *out, *parameters[] = { &texture, &in, &out, &count };

	for (int i = 0; i < 256; i++) {
		memset(data[i], i, 4);
		at[i][0] = ((float)i + 0.5f) / 256;
		at[i][1] = 0.5f;
	}
	OK(cudaMallocMipmappedArray(&mipmap, &four_bytes, extent, 1, 0));
	OK(cudaGetMipmappedArrayLevel(&array, mipmap, 0));
	OK(cudaMemcpy2DToArray(array, 0, 0, data, sizeof(data), sizeof(data), 1,
			       cudaMemcpyHostToDevice));
	in = device(at, sizeof(at));
	out = device(NULL, sizeof(got));
	for (modes.sRGB = 0; modes.sRGB < 2; modes.sRGB++) {
		texture = texture_of(mipmap, &modes);
		run("mip_base", 256, parameters);
		OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
		for (int i = 0; i < 256; i++) {
			double x = i / 255.0;
			double light = x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);

			for (int c = 0; c < 4; c++)
				CHECK(fabs((double)got[i][c] - (modes.sRGB && c < 3 ? light : x)) < 1e-5);
		}
	}
}

static void surfaces(void)
{
	enum { COUNT = 40, WIDTH = 32 };
	struct cudaChannelFormatDesc bytes = { 8, 8, 8, 8, cudaChannelFormatKindSigned };
	struct cudaChannelFormatDesc halves = { 16, 16, 0, 0, cudaChannelFormatKindFloat };
	struct cudaChannelFormatDesc words = { 32, 0, 0, 0, cudaChannelFormatKindSigned };
	struct cudaResourceDesc resource = { .resType = cudaResourceTypeArray };
	signed char after[WIDTH][4];
	unsigned short pairs[2][WIDTH][2];
	int sums[5] = { 5, 1000, 7, 0, 99 }, n = COUNT;
	cudaArray_t one, two, three;
	cudaSurfaceObject_t first, second;
	void *formatted[] = { &first, &second, &n }, *summing[] = { &first, &n };

	OK(cudaMallocArray(&one, &bytes, WIDTH, 0, cudaArraySurfaceLoadStore));
	OK(cudaMallocArray(&two, &halves, WIDTH, 2, cudaArraySurfaceLoadStore));
	OK(cudaMallocArray(&three, &words, 5, 0, cudaArraySurfaceLoadStore));
	resource.res.array.array = one;
	OK(cudaCreateSurfaceObject(&first, &resource));
	resource.res.array.array = two;
	OK(cudaCreateSurfaceObject(&second, &resource));
	run("surf_formatted", COUNT, formatted);
	OK(cudaMemcpy2DFromArray(after, sizeof(after), one, 0, 0, sizeof(after), 1,
				 cudaMemcpyDeviceToHost));
	OK(cudaMemcpy2DFromArray(pairs, sizeof(pairs[0]), two, 0, 0, sizeof(pairs[0]), 2,
				 cudaMemcpyDeviceToHost));
	for (int i = 0; i < WIDTH; i++) {
		CHECK(after[i][0] == (i * 5 - 20 > 127 ? 127 : i * 5 - 20) && after[i][1] == i);
		CHECK(after[i][2] == 127 && after[i][3] == -1);
	}
	/* 1 and 4 halves: 0.25, -1 and 1, -4. */
	CHECK(pairs[1][1][0] == 0x3400 && pairs[1][1][1] == 0xbc00);
	CHECK(pairs[1][4][0] == 0x3c00 && pairs[1][4][1] == 0xc400);

	resource.res.array.array = three;
	OK(cudaMemcpy2DToArray(three, 0, 0, sums, sizeof(sums), sizeof(sums), 1,
			       cudaMemcpyHostToDevice));
	OK(cudaCreateSurfaceObject(&first, &resource));
	run("surf_sums", COUNT, summing);
	OK(cudaMemcpy2DFromArray(sums, sizeof(sums), three, 0, 0, sizeof(sums), 1,
				 cudaMemcpyDeviceToHost));
	CHECK(sums[0] == 5 + COUNT * (COUNT - 1) / 2 && sums[1] == 10 - COUNT + 1);
	CHECK(sums[2] == COUNT - 1 && sums[3] == -1 && sums[4] == (99 & ~63));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	OK(cudaLibraryLoadFromFile(&library, argv[1], NULL, NULL, 0, NULL, NULL, 0));
	levels();
	colours();
	surfaces();
	puts("ok");
	return 0;
}
