// SPDX-License-Identifier: Apache-2.0
/*
 * Textures and surfaces on a device: `cuda-textures CASE PTX-FILE`. Kernels are those of
 * test/cuda/kernels/texture.cu; what must come out is computed here, in double, by the formulas of
 * CUDA's programming guide (weights of linear filtering have 8 bits behind the point). Prints "ok",
 * or what is wrong.
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

#define POINTS 512
#define TEXELS 4096

static unsigned int seed = 12345;
static int random_below(int limit)
{
	seed = seed * 1664525u + 1013904223u;
	return (int)((seed >> 8) % (unsigned int)limit);
}

/* Texels as numbers, and how they are looked up. */
struct image {
	int width, height, depth, channels, dims;
	double texels[TEXELS][4];
	struct cudaTextureDesc modes;
};

static int axis(int i, int n, enum cudaTextureAddressMode mode)
{
	if (i >= 0 && i < n)
		return i;
	if (mode == cudaAddressModeBorder)
		return -1;
	if (mode == cudaAddressModeWrap)
		return ((i % n) + n) % n;
	return i < 0 ? 0 : n - 1;
}

static double texel(const struct image *m, const int at[3], int layer, int channel)
{
	int x = axis(at[0], m->width, m->modes.addressMode[0]);
	int y = m->dims > 1 ? axis(at[1], m->height, m->modes.addressMode[1]) : 0;
	int z = m->dims > 2 ? axis(at[2], m->depth, m->modes.addressMode[2]) : layer;

	if (x < 0 || y < 0 || z < 0)
		return m->modes.borderColor[channel];
	return m->texels[(z * (m->height ? m->height : 1) + y) * m->width + x][channel];
}

static double place(const struct image *m, double u, int k)
{
	int n = k == 0 ? m->width : k == 1 ? m->height : m->depth;

	if (!m->modes.normalizedCoords)
		return u;
	if (m->modes.addressMode[k] == cudaAddressModeWrap)
		u -= floor(u);
	else if (m->modes.addressMode[k] == cudaAddressModeMirror)
		u = fmod(floor(u), 2) == 0 ? u - floor(u) : 1 - (u - floor(u));
	return u * n;
}

static double look_up(const struct image *m, const float *at, int layer, int channel)
{
	int first[3] = { 0 };
	double part[3] = { 0 }, sum = 0;

	for (int k = 0; k < m->dims; k++) {
		double p = place(m, at[k], k);

		if (m->modes.filterMode == cudaFilterModeLinear)
			p -= 0.5;
		first[k] = (int)floor(p);
		part[k] = floor((p - floor(p)) * 256 + 0.5) / 256;
	}
	if (m->modes.filterMode == cudaFilterModePoint)
		return texel(m, first, layer, channel);
	for (int corner = 0; corner < 1 << m->dims; corner++) {
		int i[3];
		double weight = 1;

		for (int k = 0; k < 3; k++) {
			int step = corner >> k & 1;

			i[k] = first[k] + step;
			if (k < m->dims)
				weight *= step ? part[k] : 1 - part[k];
		}
		sum += weight * texel(m, i, layer, channel);
	}
	return sum;
}

/* ---- Devices ----------------------------------------------------------------------------- */

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

static cudaArray_t array_with(const struct image *m, struct cudaChannelFormatDesc format,
			      const void *data, size_t element, unsigned int flags)
{
	struct cudaExtent extent = { (size_t)m->width, (size_t)m->height, (size_t)m->depth };
	struct cudaMemcpy3DParms copy = { .kind = cudaMemcpyHostToDevice, .extent = extent };
	cudaArray_t array;

	OK(cudaMalloc3DArray(&array, &format, extent, flags));
	copy.dstArray = array;
	copy.srcPtr.ptr = (void *)(uintptr_t)data;
	copy.srcPtr.pitch = element * extent.width;
	copy.srcPtr.ysize = extent.height ? extent.height : 1;
	copy.extent.height = copy.srcPtr.ysize;
	copy.extent.depth = extent.depth ? extent.depth : 1;
	OK(cudaMemcpy3D(&copy));
	return array;
}

static cudaTextureObject_t texture_of(cudaArray_t array, const struct cudaTextureDesc *modes)
{
	struct cudaResourceDesc resource = { .resType = cudaResourceTypeArray };
	cudaTextureObject_t texture;

	resource.res.array.array = array;
	OK(cudaCreateTextureObject(&texture, &resource, modes, NULL));
	return texture;
}

/* Coordinates from -1.5 to 2.5 times the size, at places that are exact in binary. */
static float coordinate(const struct image *m, int k)
{
	int n = k == 0 ? m->width : k == 1 ? m->height : m->depth;
	float at = (float)(random_below(4 * n * 32) - 3 * n * 16) / 32 + 1.0f / 64;

	return m->modes.normalizedCoords ? at / (float)n : at;
}

static void compare(const struct image *m, const float *at, int stride, const float *got,
		    int channels, const int *layers, const char *what)
{
	for (int i = 0; i < POINTS; i++) {
		for (int c = 0; c < channels; c++) {
			double want = look_up(m, at + i * stride, layers ? layers[i] : 0, c);
			double have = got[i * channels + c];

			if (fabs(want - have) <= 1e-4 * (1 + fabs(want)))
				continue;
			printf("%s: modes %d %d, filter %d, normalised %d: at %g %g: %g, not %g\n",
			       what, (int)m->modes.addressMode[0], (int)m->modes.addressMode[1],
			       (int)m->modes.filterMode, m->modes.normalizedCoords,
			       (double)at[i * stride], stride > 1 ? (double)at[i * stride + 1] : 0,
			       have, want);
			exit(1);
		}
	}
}

/* All that can be set, one after the other; returns 0 when there is no more. */
static int next_modes(struct cudaTextureDesc *modes, int turn)
{
	static const enum cudaTextureAddressMode plain[] = { cudaAddressModeClamp,
							     cudaAddressModeBorder };

	modes->filterMode = turn & 1 ? cudaFilterModeLinear : cudaFilterModePoint;
	modes->normalizedCoords = turn < 8;
	for (int k = 0; k < 3; k++)
		modes->addressMode[k] = turn < 8 ? (enum cudaTextureAddressMode)((turn / 2 + k) % 4) :
						   plain[(turn / 2 + k) % 2];
	return turn < 12;
}

static struct image *new_image(int dims, int width, int height, int depth, int channels)
{
	struct image *m = calloc(1, sizeof(*m));

	CHECK(m);
	m->dims = dims;
	m->width = width;
	m->height = height;
	m->depth = depth;
	m->channels = channels;
	for (int c = 0; c < 4; c++)
		m->modes.borderColor[c] = 0.25f + (float)c;
	return m;
}

static void lines(void)
{
	struct image *m = new_image(1, 16, 0, 0, 1);
	static float data[16], at[POINTS], got[POINTS];
	struct cudaChannelFormatDesc format = { 32, 0, 0, 0, cudaChannelFormatKindFloat };
	cudaArray_t array;

	for (int i = 0; i < 16; i++)
		m->texels[i][0] = data[i] = (float)random_below(1000) / 10;
	array = array_with(m, format, data, 4, 0);
	for (int turn = 0; next_modes(&m->modes, turn); turn++) {
		cudaTextureObject_t texture = texture_of(array, &m->modes);
		int count = POINTS;
		void *in, *out, *parameters[] = { &texture, &in, &out, &count };

		for (int i = 0; i < POINTS; i++)
			at[i] = coordinate(m, 0);
		in = device(at, sizeof(at));
		out = device(NULL, sizeof(got));
		run("tex_line", POINTS, parameters);
		OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
		compare(m, at, 1, got, 1, NULL, "tex_line");
		OK(cudaDestroyTextureObject(texture));
		GIVES(cudaErrorInvalidValue, cudaDestroyTextureObject(texture));
	}
	OK(cudaFreeArray(array));
}

/* Four channels of every format that is read as a float. */
static void formats(void)
{
	static const struct { int bits; enum cudaChannelFormatKind kind; double scale; } kinds[] = {
		{ 8, cudaChannelFormatKindUnsigned, 255 }, { 8, cudaChannelFormatKindSigned, 127 },
		{ 16, cudaChannelFormatKindUnsigned, 65535 },
		{ 16, cudaChannelFormatKindSigned, 32767 }, { 16, cudaChannelFormatKindFloat, 1 },
		{ 32, cudaChannelFormatKindFloat, 1 },
	};
	static float at[POINTS][2], got[POINTS][4];

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct image *m = new_image(2, 8, 16, 0, 4);
		int bits = kinds[k].bits, count = POINTS;
		struct cudaChannelFormatDesc format = { bits, bits, bits, bits, kinds[k].kind };
		static unsigned char data[8 * 16 * 16];
		cudaArray_t array;

		for (int i = 0; i < 8 * 16 * 4; i++) {
			unsigned char *to = data + i * bits / 8;
			int raw = random_below(1 << (bits > 8 ? 16 : 8));
			float value = (float)raw / 100;

			if (bits == 32) {
				memcpy(to, &value, 4);
				m->texels[i / 4][i % 4] = value;
			} else if (kinds[k].kind == cudaChannelFormatKindFloat) {
				/* Half precision: 1.m times 2 to the e - 15. */
				unsigned short half = (unsigned short)(raw % 0x7c00);
				int e = half >> 10, f = half & 1023;

				memcpy(to, &half, 2);
				m->texels[i / 4][i % 4] = e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
			} else {
				memcpy(to, &raw, (size_t)bits / 8);
				if (kinds[k].kind == cudaChannelFormatKindSigned)
					raw = bits == 8 ? (signed char)raw : (short)raw;
				m->texels[i / 4][i % 4] = fmax(-1, raw / kinds[k].scale);
			}
		}
		array = array_with(m, format, data, (size_t)bits / 2, 0);
		m->modes.readMode = kinds[k].kind == cudaChannelFormatKindFloat ?
					    cudaReadModeElementType : cudaReadModeNormalizedFloat;
		for (int turn = (int)k % 4; next_modes(&m->modes, turn); turn += 4) {
			cudaTextureObject_t texture = texture_of(array, &m->modes);
			void *in, *out, *parameters[] = { &texture, &in, &out, &count };

			for (int i = 0; i < POINTS; i++)
				for (int c = 0; c < 2; c++)
					at[i][c] = coordinate(m, c);
			in = device(at, sizeof(at));
			out = device(NULL, sizeof(got));
			run("tex_plane", POINTS, parameters);
			OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
			compare(m, at[0], 2, got[0], 4, NULL, "tex_plane");
			OK(cudaDestroyTextureObject(texture));
		}
		OK(cudaFreeArray(array));
		free(m);
	}
}

static void spaces(void)
{
	struct image *m = new_image(3, 8, 4, 16, 1);
	static float data[8 * 4 * 16], at[POINTS][4], got[POINTS];
	struct cudaChannelFormatDesc format = { 32, 0, 0, 0, cudaChannelFormatKindFloat };
	cudaArray_t array;

	for (int i = 0; i < 8 * 4 * 16; i++)
		m->texels[i][0] = data[i] = (float)random_below(1000) / 10;
	array = array_with(m, format, data, 4, 0);
	for (int turn = 0; next_modes(&m->modes, turn); turn++) {
		cudaTextureObject_t texture = texture_of(array, &m->modes);
		int count = POINTS;
		void *in, *out, *parameters[] = { &texture, &in, &out, &count };

		for (int i = 0; i < POINTS; i++)
			for (int c = 0; c < 3; c++)
				at[i][c] = coordinate(m, c);
		in = device(at, sizeof(at));
		out = device(NULL, sizeof(got));
		run("tex_space", POINTS, parameters);
		OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
		compare(m, at[0], 4, got, 1, NULL, "tex_space");
		OK(cudaDestroyTextureObject(texture));
	}
}

static void layers(void)
{
	static float data[16 * 8 * 4], at[POINTS][2], got[POINTS];
	static int layer[POINTS];
	struct cudaChannelFormatDesc format = { 32, 0, 0, 0, cudaChannelFormatKindFloat };

	for (int dims = 1; dims <= 2; dims++) {
		struct image *m = new_image(dims, 16, dims > 1 ? 8 : 0, dims > 1 ? 4 : 3, 1);
		cudaArray_t array;

		for (int i = 0; i < 16 * 8 * 4; i++)
			m->texels[i][0] = data[i] = (float)random_below(1000) / 10;
		array = array_with(m, format, data, 4, cudaArrayLayered);
		for (int turn = 0; next_modes(&m->modes, turn); turn += 3) {
			cudaTextureObject_t texture = texture_of(array, &m->modes);
			int count = POINTS;
			float line[POINTS];
			void *in, *out, *parameters[] = { &texture, &in, &out, &count };

			for (int i = 0; i < POINTS; i++) {
				layer[i] = i % (dims > 1 ? 4 : 3);
				line[i] = at[i][0] = coordinate(m, 0);
				at[i][1] = dims > 1 ? coordinate(m, 1) : 0;
			}
			in = dims > 1 ? device(at, sizeof(at)) : device(line, sizeof(line));
			out = device(NULL, sizeof(got));
			run(dims > 1 ? "tex_layers" : "tex_line_layers", POINTS, parameters);
			OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
			compare(m, at[0], 2, got, 1, layer, "layers");
			OK(cudaDestroyTextureObject(texture));
		}
		free(m);
	}
}

/* Which face of the cube a direction meets, and where. */
static int face_of(const float *d, double at[2])
{
	int k = fabs(d[0]) >= fabs(d[1]) && fabs(d[0]) >= fabs(d[2]) ? 0 :
		fabs(d[1]) >= fabs(d[2]) ? 1 : 2;
	int negative = d[k] < 0;
	double s = k == 0 ? (negative ? d[2] : -d[2]) : k == 2 && negative ? -d[0] : d[0];
	double t = k == 1 ? (negative ? -d[2] : d[2]) : -d[1];

	at[0] = (s / fabs(d[k]) + 1) / 2;
	at[1] = (t / fabs(d[k]) + 1) / 2;
	return 2 * k + negative;
}

static void cubes(void)
{
	struct image *m = new_image(2, 8, 8, 6, 1);
	static float data[8 * 8 * 6], at[POINTS][4], got[POINTS], flat[POINTS][2];
	static int layer[POINTS];
	struct cudaChannelFormatDesc format = { 32, 0, 0, 0, cudaChannelFormatKindFloat };
	int count = POINTS;
	cudaTextureObject_t texture;
	void *in, *out, *parameters[] = { &texture, &in, &out, &count };

	for (int i = 0; i < 8 * 8 * 6; i++)
		m->texels[i][0] = data[i] = (float)i;
	m->modes.normalizedCoords = 1;
	m->modes.addressMode[0] = m->modes.addressMode[1] = cudaAddressModeClamp;
	m->modes.filterMode = cudaFilterModeLinear;
	texture = texture_of(array_with(m, format, data, 4, cudaArrayCubemap), &m->modes);
	for (int i = 0; i < POINTS; i++) {
		double place[2];
		int k = i % 3;

		/* The largest is a power of two, so that the quotients are exact. */
		for (int c = 0; c < 3; c++)
			at[i][c] = (float)(random_below(255) - 127) / 32;
		at[i][k] = i & 4 ? -4.0f : 4.0f;
		layer[i] = face_of(at[i], place);
		flat[i][0] = (float)place[0];
		flat[i][1] = (float)place[1];
	}
	in = device(at, sizeof(at));
	out = device(NULL, sizeof(got));
	run("tex_cube", POINTS, parameters);
	OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
	compare(m, flat[0], 2, got, 1, layer, "tex_cube");
}

/* Elements as they are, from rows with gaps and from linear memory; gathered; asked for sizes. */
static void elements(void)
{
	enum { WIDTH = 5, HEIGHT = 4, PITCH = 64 };
	static unsigned char rows[HEIGHT * PITCH], got[POINTS * 16];
	static float at[POINTS][2];
	static int numbers[20 * 4], size[2];
	struct cudaResourceDesc resource = { .resType = cudaResourceTypePitch2D };
	struct cudaTextureDesc modes = { .addressMode = { cudaAddressModeClamp,
							  cudaAddressModeBorder } };
	struct cudaChannelFormatDesc bytes = { 8, 8, 8, 8, cudaChannelFormatKindUnsigned };
	struct cudaChannelFormatDesc shorts = { 16, 16, 0, 0, cudaChannelFormatKindSigned };
	struct cudaChannelFormatDesc ints = { 32, 32, 32, 32, cudaChannelFormatKindSigned };
	int count = POINTS;
	cudaTextureObject_t texture;
	void *in, *out, *parameters[] = { &texture, &in, &out, &count };
	void *asked[] = { &texture, &out };

	for (int i = 0; i < HEIGHT * PITCH; i++)
		rows[i] = (unsigned char)random_below(256);
	for (int i = 0; i < POINTS; i++) {
		at[i][0] = (float)(i % 9 - 2) + 0.5f;
		at[i][1] = (float)(i / 9 % 7 - 1) + 0.5f;
	}
	modes.borderColor[0] = 7;
	in = device(at, sizeof(at));
	out = device(NULL, sizeof(got));
	for (int turn = 0; turn < 2; turn++) {
		size_t element = 4;

		resource.res.pitch2D.devPtr = device(rows, sizeof(rows));
		resource.res.pitch2D.desc = turn ? shorts : bytes;
		resource.res.pitch2D.width = WIDTH;
		resource.res.pitch2D.height = HEIGHT;
		resource.res.pitch2D.pitchInBytes = PITCH;
		OK(cudaCreateTextureObject(&texture, &resource, &modes, NULL));
		run(turn ? "tex_shorts" : "tex_bytes", POINTS, parameters);
		OK(cudaMemcpy(got, out, POINTS * element, cudaMemcpyDeviceToHost));
		for (int i = 0; i < POINTS; i++) {
			int x = i % 9 - 2, y = i / 9 % 7 - 1;
			unsigned char border[4] = { 7, 0, 0, 0 };

			x = x < 0 ? 0 : x >= WIDTH ? WIDTH - 1 : x;
			CHECK(!memcmp(got + 4 * i, y < 0 || y >= HEIGHT ? border :
				      rows + y * PITCH + 4 * x, 4));
		}
	}
	run("tex_query", 1, asked);
	OK(cudaMemcpy(size, out, sizeof(size), cudaMemcpyDeviceToHost));
	CHECK(size[0] == WIDTH && size[1] == HEIGHT);
	modes.filterMode = cudaFilterModeLinear;
	GIVES(cudaErrorInvalidFilterSetting,
	      cudaCreateTextureObject(&texture, &resource, &modes, NULL));
	modes.filterMode = cudaFilterModePoint;

	for (int i = 0; i < 80; i++)
		numbers[i] = i * 1000 - 9;
	resource = (struct cudaResourceDesc){ .resType = cudaResourceTypeLinear };
	resource.res.linear.devPtr = device(numbers, sizeof(numbers));
	resource.res.linear.desc = ints;
	resource.res.linear.sizeInBytes = sizeof(numbers);
	OK(cudaCreateTextureObject(&texture, &resource, &modes, NULL));
	{
		void *fetched[] = { &texture, &out, &count };

		count = 40;
		run("tex_fetch", count, fetched);
		OK(cudaMemcpy(got, out, 40 * 16, cudaMemcpyDeviceToHost));
	}
	for (int i = 0; i < 160; i++) {
		int value, at_number = i - 8;

		memcpy(&value, got + 4 * i, 4);
		CHECK(value == (at_number < 0 || at_number >= 80 ? 0 : numbers[at_number]));
	}
	resource.res.linear.sizeInBytes = 1 << 20;
	GIVES(cudaErrorInvalidValue, cudaCreateTextureObject(&texture, &resource, &modes, NULL));
}

static void gathers(void)
{
	struct image *m = new_image(2, 8, 8, 0, 4);
	static float data[8 * 8 * 4], at[POINTS][2], got[POINTS][4];
	struct cudaChannelFormatDesc format = { 32, 32, 32, 32, cudaChannelFormatKindFloat };
	int count = POINTS;
	cudaTextureObject_t texture;
	void *in, *out, *parameters[] = { &texture, &in, &out, &count };

	for (int i = 0; i < 8 * 8 * 4; i++)
		m->texels[i / 4][i % 4] = data[i] = (float)i;
	m->modes.addressMode[0] = m->modes.addressMode[1] = cudaAddressModeClamp;
	texture = texture_of(array_with(m, format, data, 16, cudaArrayTextureGather), &m->modes);
	for (int i = 0; i < POINTS; i++)
		for (int c = 0; c < 2; c++)
			at[i][c] = coordinate(m, c);
	in = device(at, sizeof(at));
	out = device(NULL, sizeof(got));
	run("tex_gather", POINTS, parameters);
	OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
	for (int i = 0; i < POINTS; i++) {
		int x = (int)floor(at[i][0] - 0.5), y = (int)floor(at[i][1] - 0.5);
		const int around[4][3] = { { x, y + 1 }, { x + 1, y + 1 }, { x + 1, y }, { x, y } };

		for (int c = 0; c < 4; c++)
			CHECK((double)got[i][c] == texel(m, around[c], 0, 1));
	}
}

static cudaSurfaceObject_t surface_of(cudaArray_t array)
{
	struct cudaResourceDesc resource = { .resType = cudaResourceTypeArray };
	cudaSurfaceObject_t surface;

	resource.res.array.array = array;
	OK(cudaCreateSurfaceObject(&surface, &resource));
	return surface;
}

static void surfaces(void)
{
	enum { WIDTH = 20, HEIGHT = 12 };
	static float data[HEIGHT][WIDTH], turned[WIDTH][HEIGHT], quads[2][2][16][4];
	unsigned char few[16], few_after[16];
	short pairs[2][16][2], pairs_after[2][16][2];
	struct image size = { .width = WIDTH, .height = HEIGHT }, other = { .width = HEIGHT, .height = WIDTH };
	struct image line = { .width = 16 }, two = { .width = 16, .height = 2 };
	struct image box = { .width = 16, .height = 2, .depth = 2 };
	struct cudaChannelFormatDesc format = { 32, 0, 0, 0, cudaChannelFormatKindFloat };
	struct cudaChannelFormatDesc byte = { 8, 0, 0, 0, cudaChannelFormatKindUnsigned };
	struct cudaChannelFormatDesc pair = { 16, 16, 0, 0, cudaChannelFormatKindSigned };
	struct cudaChannelFormatDesc quad = { 32, 32, 32, 32, cudaChannelFormatKindFloat };
	struct cudaMemcpy3DParms back = { .kind = cudaMemcpyDeviceToHost };
	int w = WIDTH, h = HEIGHT, n = 16;
	cudaArray_t in, out, plain, bytes, pair_array;
	cudaSurfaceObject_t from, to, third;
	void *turning[] = { &from, &to, &w, &h }, *typed[] = { &from, &to, &third, &n };
	dim3 grid = { 4, 4, 1 }, block = { 8, 8, 1 };
	struct cudaResourceDesc resource = { .resType = cudaResourceTypeArray };
	cudaKernel_t kernel;

	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			data[y][x] = (float)(y * 100 + x);
	in = array_with(&size, format, data, 4, cudaArraySurfaceLoadStore);
	OK(cudaMallocArray(&out, &format, HEIGHT, WIDTH, cudaArraySurfaceLoadStore));
	from = surface_of(in);
	to = surface_of(out);
	/* One row and one column too many: nothing is read, and nothing is written, there. */
	OK(cudaLibraryGetKernel(&kernel, library, "surf_turn"));
	OK(cudaLaunchKernel(kernel, grid, block, turning, 0, NULL));
	OK(cudaMemcpy2DFromArray(turned, sizeof(turned[0]), out, 0, 0, sizeof(turned[0]), WIDTH,
				 cudaMemcpyDeviceToHost));
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			CHECK(turned[x][y] == data[y][x] + 0.5f);
	(void)other;

	for (int i = 0; i < 16; i++) {
		few[i] = (unsigned char)random_below(256);
		for (int y = 0; y < 2; y++)
			for (int c = 0; c < 2; c++)
				pairs[y][i][c] = (short)(random_below(60000) - 30000);
	}
	bytes = array_with(&line, byte, few, 1, cudaArraySurfaceLoadStore);
	pair_array = array_with(&two, pair, pairs, 4, cudaArraySurfaceLoadStore);
	memset(quads, 0, sizeof(quads));
	plain = array_with(&box, quad, quads, 16, cudaArraySurfaceLoadStore);
	from = surface_of(bytes);
	to = surface_of(pair_array);
	third = surface_of(plain);
	run("surf_types", 16, typed);
	OK(cudaMemcpy2DFromArray(few_after, 16, bytes, 0, 0, 16, 1, cudaMemcpyDeviceToHost));
	OK(cudaMemcpy2DFromArray(pairs_after, 64, pair_array, 0, 0, 64, 2, cudaMemcpyDeviceToHost));
	back.srcArray = plain;
	back.dstPtr = (struct cudaPitchedPtr){ quads, 256, 16, 2 };
	back.extent = (struct cudaExtent){ 16, 2, 2 };
	OK(cudaMemcpy3D(&back));
	for (int i = 0; i < 16; i++) {
		CHECK(few_after[i] == (unsigned char)(few[i] + 3));
		CHECK(pairs_after[0][i][0] == pairs[0][i][0]);
		CHECK(pairs_after[1][i][0] == pairs[1][i][1]);
		CHECK(pairs_after[1][i][1] == (short)(pairs[1][i][0] - few[i]));
		CHECK(quads[1][1][i][0] == few[i] && quads[1][1][i][3] == (float)i);
		CHECK(quads[1][1][i][1] == pairs[1][i][0] && quads[1][1][i][2] == pairs[1][i][1]);
		CHECK(quads[1][0][i][0] == (float)i && quads[1][0][i][3] == 1);
		CHECK(quads[0][1][i][3] == 0);
	}

	/* An array that was not made for it; a place outside, which is an error of the kernel. */
	OK(cudaMallocArray(&in, &format, 8, 0, 0));
	resource.res.array.array = in;
	GIVES(cudaErrorInvalidValue, cudaCreateSurfaceObject(&to, &resource));
	OK(cudaMallocArray(&in, &format, 8, 0, cudaArraySurfaceLoadStore));
	from = surface_of(in);
	{
		int x = 7;
		void *trapping[] = { &from, &x };

		run("surf_trap", 1, trapping);
		OK(cudaDeviceSynchronize());
		x = 8;
		run("surf_trap", 1, trapping);
		GIVES(cudaErrorIllegalAddress, cudaDeviceSynchronize());
	}
	OK(cudaDeviceReset());
}

/* Arrays by the driver's calls, and what goes wrong with them. */
static void arrays(void)
{
	CUDA_ARRAY_DESCRIPTOR shape = { 10, 6, CU_AD_FORMAT_UNSIGNED_INT16, 2 }, known;
	CUDA_ARRAY3D_DESCRIPTOR odd = { 10, 6, 0, CU_AD_FORMAT_NV12, 1, 0 };
	static unsigned char data[240], part[60], whole[240];
	CUDA_MEMCPY2D copy = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = part, .srcPitch = 20,
			       .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstXInBytes = 8, .dstY = 2,
			       .WidthInBytes = 20, .Height = 3 };
	CUdeviceptr memory;
	CUarray array, other;

	for (int i = 0; i < 240; i++)
		data[i] = (unsigned char)random_below(256);
	for (int i = 0; i < 60; i++)
		part[i] = (unsigned char)random_below(256);
	OK(cudaMalloc((void **)&memory, 240));
	OK(cuArrayCreate(&array, &shape));
	OK(cuArrayCreate(&other, &shape));
	OK(cuArrayGetDescriptor(&known, array));
	CHECK(known.Width == 10 && known.Height == 6 && known.NumChannels == 2);
	OK(cuMemcpyHtoA(array, 0, data, 240));
	copy.dstArray = array;
	OK(cuMemcpy2D(&copy));
	for (int y = 0; y < 3; y++)
		memcpy(data + (y + 2) * 40 + 8, part + y * 20, 20);
	OK(cuMemcpyAtoA(other, 40, array, 40, 200));
	OK(cuMemcpyAtoD(memory, other, 40, 200));
	OK(cuMemcpyDtoA(other, 0, memory, 40));
	OK(cuMemcpyAtoH(whole, other, 0, 240));
	CHECK(!memcmp(whole, data + 40, 40) && !memcmp(whole + 40, data + 40, 200));
	copy.dstXInBytes = 24;
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&copy));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpyAtoH(whole, other, 8, 240));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuArray3DCreate(&other, &odd));
	odd.Format = CU_AD_FORMAT_FLOAT;
	odd.NumChannels = 3;
	GIVES(CUDA_ERROR_INVALID_VALUE, cuArray3DCreate(&other, &odd));
	odd.NumChannels = 4;
	odd.Width = odd.Height = odd.Depth = 100000;
	GIVES(CUDA_ERROR_OUT_OF_MEMORY, cuArray3DCreate(&other, &odd));
	OK(cuArrayDestroy(array));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(array));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuMemcpyAtoH(whole, array, 0, 4));
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "lines", lines },	  { "formats", formats }, { "spaces", spaces },
	{ "layers", layers },	  { "cubes", cubes },	  { "elements", elements },
	{ "gathers", gathers },	  { "arrays", arrays },	  { "surfaces", surfaces },
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	OK(cudaLibraryLoadFromFile(&library, argv[2], NULL, NULL, 0, NULL, NULL, 0));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!strcmp(cases[i].name, argv[1])) {
			cases[i].run();
			puts("ok");
			return 0;
		}
	}
	return 2;
}
