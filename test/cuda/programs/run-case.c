// SPDX-License-Identifier: Apache-2.0
/*
 * Runs cases of CUDA kernels through libcuda, and with it a whole device. A plan on stdin:
 *
 *   module FILE             loaded with cuModuleLoadData: PTX or a fat binary
 *   buffer BYTES FILE       device memory with the file's contents
 *   launch KERNEL GX GY GZ BX BY BZ SHARED PARAMETERS    hexadecimal, or -
 *   end                     writes each buffer to FILE.out, says "end RESULT", and starts anew
 *
 * Words of 8 bytes whose upper half is 0x5eed << 16 | N, in buffers and parameters, are addresses
 * of buffer N (the lower half is an offset); they are replaced here, where addresses are known.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda.h"

#define BUFFERS 32
/* The most parameters that CUDA allows. */
#define PARAMS_MAX 32764

struct buffer {
	CUdeviceptr address;
	size_t bytes;
	unsigned char *data;
	char file[512];
};

static struct buffer buffers[BUFFERS];
static unsigned int count;
static CUmodule module;
static CUresult failed;
static CUcontext context;
static CUdevice device;

static void keep(CUresult result)
{
	if (failed == CUDA_SUCCESS)
		failed = result;
}

static unsigned char *contents(const char *file, size_t *bytes)
{
	FILE *stream = fopen(file, "rb");
	unsigned char *data = calloc(1, (16 << 20) + 1);

	if (!stream || !data)
		exit(2);
	*bytes = fread(data, 1, 16 << 20, stream);
	fclose(stream);
	return data;
}

static void replace(unsigned char *data, size_t bytes)
{
	for (size_t at = 0; at + 8 <= bytes; at += 8) {
		unsigned long long word;

		memcpy(&word, data + at, 8);
		if (word >> 48 != 0x5eed || (word >> 32 & 0xffff) >= count)
			continue;
		word = buffers[word >> 32 & 0xffff].address + (word & 0xffffffff);
		memcpy(data + at, &word, 8);
	}
}

/* Buffers may hold addresses of buffers that come later, so they are filled together. */
static void fill(void)
{
	for (unsigned int i = 0; i < count; i++) {
		replace(buffers[i].data, buffers[i].bytes);
		keep(cuMemcpyHtoD(buffers[i].address, buffers[i].data, buffers[i].bytes));
	}
}

static void launch(const char *line)
{
	static char text[PARAMS_MAX * 2 + 1];
	static unsigned char params[PARAMS_MAX];
	char kernel[128];
	unsigned int g[3], b[3], shared;
	size_t bytes = 0;
	CUfunction function = NULL;

	if (sscanf(line, "launch %127s %u %u %u %u %u %u %u %65528s", kernel, &g[0], &g[1], &g[2],
		   &b[0], &b[1], &b[2], &shared, text) != 9)
		exit(2);
	for (; text[0] != '-' && text[2 * bytes]; bytes++) {
		const char pair[3] = { text[2 * bytes], text[2 * bytes + 1], 0 };

		params[bytes] = (unsigned char)strtoul(pair, NULL, 16);
	}
	replace(params, bytes);
	keep(cuModuleGetFunction(&function, module, kernel));
	if (failed == CUDA_SUCCESS) {
		void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, params,
				  CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END };

		keep(cuLaunchKernel(function, g[0], g[1], g[2], b[0], b[1], b[2], shared, NULL, NULL,
				    bytes ? extra : NULL));
	}
	keep(cuCtxSynchronize());
}

static void end(void)
{
	const char *name = NULL;

	for (unsigned int i = 0; i < count; i++) {
		char file[520];
		FILE *stream;

		keep(cuMemcpyDtoH(buffers[i].data, buffers[i].address, buffers[i].bytes));
		snprintf(file, sizeof(file), "%s.out", buffers[i].file);
		stream = fopen(file, "wb");
		if (!stream)
			exit(2);
		fwrite(buffers[i].data, 1, buffers[i].bytes, stream);
		fclose(stream);
		free(buffers[i].data);
	}
	cuGetErrorName(failed, &name);
	/* What it made goes with the context, whatever has become of it. */
	cuCtxDestroy(context);
	printf("end %s\n", name ? name : "?");
	fflush(stdout);
	count = 0;
	context = NULL;
	failed = CUDA_SUCCESS;
}

int main(void)
{
	static char line[PARAMS_MAX * 2 + 256];
	int filled = 0;

	if (cuInit(0) != CUDA_SUCCESS || cuDeviceGet(&device, 0) != CUDA_SUCCESS)
		return 3;
	while (fgets(line, sizeof(line), stdin)) {
		char file[512];
		size_t bytes;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "module %511s", file) == 1) {
			unsigned char *image = contents(file, &bytes);

			keep(cuCtxCreate(&context, NULL, 0, device));
			keep(cuModuleLoadData(&module, image));
			free(image);
			filled = 0;
		} else if (sscanf(line, "buffer %zu %511s", &bytes, file) == 2 && count < BUFFERS) {
			struct buffer *b = &buffers[count++];
			size_t had;

			memcpy(b->file, file, sizeof(file));
			b->data = contents(file, &had);
			b->bytes = bytes;
			keep(cuMemAlloc(&b->address, bytes));
		} else if (strncmp(line, "launch ", 7) == 0) {
			if (!filled)
				fill();
			filled = 1;
			launch(line);
		} else if (strcmp(line, "end") == 0) {
			end();
		} else {
			return 2;
		}
	}
	return 0;
}
