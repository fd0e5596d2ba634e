// SPDX-License-Identifier: Apache-2.0
/* The runtime interface, with what the compiler would put into a program. */
#include "cuda-test.h"

#include <stdint.h>

#include "cuda_runtime_api.h"

void **__cudaRegisterFatBinary(void *);
void __cudaRegisterFatBinaryEnd(void **);
void __cudaUnregisterFatBinary(void **);
void __cudaRegisterFunction(void **, const char *, char *, const char *, int, uint3 *, uint3 *,
			    dim3 *, dim3 *, int *);
void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int);
unsigned int __cudaPushCallConfiguration(dim3, dim3, size_t, void *);
cudaError_t __cudaPopCallConfiguration(dim3 *, dim3 *, size_t *, void *);
cudaError_t __cudaGetKernel(cudaKernel_t *, const void *);
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void **, size_t, cudaStream_t);

static const dim3 one = { 1, 1, 1 };

static struct {
	uint32_t magic;
	uint16_t version, header;
	uint64_t bytes;
	uint16_t kind, entry_version;
	uint32_t entry_header;
	uint64_t entry_bytes;
	char text[64];
} container = { 0xba55ed50u, 1, 16, 80, 1, 1, 16, 64, ".entry scale(\n.entry trap(\n" };
static struct {
	uint32_t magic, version;
	void *container, *more;
} wrapper = { 0x466243b1u, 1, &container, NULL };
/* What stands for kernels and variables in the program. */
static char scale_stub[8], trap_stub[8], missing_stub[8], table_shadow[256];
static void **handle;

static void register_all(void)
{
	handle = __cudaRegisterFatBinary(&wrapper);
	__cudaRegisterFunction(handle, scale_stub, scale_stub, "scale", -1, NULL, NULL, NULL, NULL,
			       NULL);
	__cudaRegisterFunction(handle, trap_stub, trap_stub, "trap", -1, NULL, NULL, NULL, NULL,
			       NULL);
	__cudaRegisterFunction(handle, missing_stub, missing_stub, "missing", -1, NULL, NULL, NULL,
			       NULL, NULL);
	__cudaRegisterVar(handle, table_shadow, table_shadow, "table", 0, sizeof(table_shadow), 0,
			  0);
	__cudaRegisterFatBinaryEnd(handle);
}

/* scale<<<grid, block>>>(data, factor, n), as compiled. */
static cudaError_t call_scale(dim3 grid, dim3 block, void *data, float factor, unsigned int n)
{
	void *parameters[] = { &data, &factor, &n };
	size_t shared;
	cudaStream_t stream;
	cudaKernel_t kernel;

	CHECK(!__cudaPushCallConfiguration(grid, block, 0, NULL));
	OK(__cudaPopCallConfiguration(&grid, &block, &shared, &stream));
	OK(__cudaGetKernel(&kernel, scale_stub));
	return __cudaLaunchKernel(kernel, grid, block, parameters, shared, stream);
}

static void program(void)
{
	float data[4] = { 1, 2, 3, 4 };
	struct cudaFuncAttributes attributes;
	struct cudaPointerAttributes where;
	const char *name;
	void *device;

	register_all();
	CHECK(fake.open == 0);
	OK(cudaMalloc(&device, sizeof(data)));
	OK(cudaMemcpy(device, data, sizeof(data), cudaMemcpyHostToDevice));
	OK(call_scale(one, one, device, 10, 4));
	OK(cudaMemcpy(data, device, sizeof(data), cudaMemcpyDefault));
	CHECK(data[3] == 40);
	OK(cudaFuncGetAttributes(&attributes, scale_stub));
	CHECK(attributes.maxThreadsPerBlock == 256 && attributes.sharedSizeBytes == 1024);
	OK(cudaFuncGetName(&name, scale_stub));
	CHECK(!strcmp(name, "scale"));
	OK(cudaPointerGetAttributes(&where, device));
	CHECK(where.type == cudaMemoryTypeDevice && where.device == 0);
	OK(cudaPointerGetAttributes(&where, data));
	CHECK(where.type == cudaMemoryTypeUnregistered);
	OK(cudaFree(device));
	GIVES(cudaErrorInvalidValue, cudaFree(device));
	GIVES(cudaErrorInvalidValue, cudaPeekAtLastError());
	GIVES(cudaErrorInvalidValue, cudaGetLastError());
	OK(cudaGetLastError());
	OK(cudaMalloc(&device, 0));
	CHECK(!device);
	__cudaUnregisterFatBinary(handle);
}

static void mistakes(void)
{
	dim3 huge = { 1025, 1, 1 }, none = { 0, 1, 1 };
	char data[8];
	void *device;

	register_all();
	OK(cudaMalloc(&device, 64));
	GIVES(cudaErrorInvalidConfiguration, call_scale(one, huge, device, 1, 1));
	GIVES(cudaErrorInvalidConfiguration, call_scale(none, one, device, 1, 1));
	GIVES(cudaErrorInvalidConfiguration, cudaGetLastError());
	GIVES(cudaErrorInvalidDeviceFunction,
	      cudaLaunchKernel(missing_stub, one, one, NULL, 0, NULL));
	GIVES(cudaErrorInvalidDeviceFunction, cudaLaunchKernel(data, one, one, NULL, 0, NULL));
	GIVES(cudaErrorInvalidMemcpyDirection,
	      cudaMemcpy(device, data, 8, (enum cudaMemcpyKind)7));
	GIVES(cudaErrorInvalidPitchValue,
	      cudaMemcpy2D(device, 4, data, 8, 8, 1, cudaMemcpyHostToDevice));
	GIVES(cudaErrorInvalidSymbol,
	      cudaMemcpyToSymbol(scale_stub, data, 4, 0, cudaMemcpyHostToDevice));
	GIVES(cudaErrorInvalidDevice, cudaSetDevice(5));
	CHECK(!strcmp(cudaGetErrorName(cudaErrorInvalidSymbol), "cudaErrorInvalidSymbol"));
	CHECK(!strcmp(cudaGetErrorString(cudaSuccess), "no error"));
	GIVES(cudaErrorInvalidDevice, cudaGetLastError());
	/* It was a mistake, not a failure: work goes on. */
	OK(cudaDeviceSynchronize());
}

static void symbols(void)
{
	unsigned int values[2] = { 11, 22 }, back = 0;
	void *pointer;
	size_t bytes;

	register_all();
	OK(cudaMemcpyToSymbol(table_shadow, values, 8, 16, cudaMemcpyHostToDevice));
	OK(cudaMemcpyFromSymbol(&back, table_shadow, 4, 20, cudaMemcpyDeviceToHost));
	CHECK(back == 22);
	OK(cudaGetSymbolSize(&bytes, table_shadow));
	CHECK(bytes == 256);
	OK(cudaGetSymbolAddress(&pointer, table_shadow));
	OK(cudaMemcpy(&back, (char *)pointer + 16, 4, cudaMemcpyDeviceToHost));
	CHECK(back == 11);
	GIVES(cudaErrorInvalidValue,
	      cudaMemcpyToSymbol(table_shadow, values, 8, 252, cudaMemcpyHostToDevice));
}

static void reset(void)
{
	float data[2] = { 1, 1 };
	void *device;

	register_all();
	OK(cudaMalloc(&device, 8));
	OK(cudaLaunchKernel(trap_stub, one, one, NULL, 0, NULL));
	GIVES(cudaErrorIllegalAddress, cudaDeviceSynchronize());
	OK(cudaGetLastError() != cudaErrorIllegalAddress);
	GIVES(cudaErrorIllegalAddress, cudaMalloc(&device, 8));
	OK(cudaDeviceReset());
	OK(cudaMalloc(&device, 8));
	OK(cudaMemcpy(device, data, 8, cudaMemcpyHostToDevice));
	OK(call_scale(one, one, device, 3, 2));
	OK(cudaMemcpy(data, device, 8, cudaMemcpyDeviceToHost));
	CHECK(data[1] == 3);
}

static void properties(void)
{
	struct cudaDeviceProp have;
	int count;

	OK(cudaGetDeviceCount(&count));
	OK(cudaGetDeviceProperties(&have, 0));
	CHECK(count == 1 && have.warpSize == 32 && have.major == 7 && have.minor == 5);
	CHECK(have.maxThreadsDim[2] == 64 && have.sharedMemPerBlock == 32768);
	CHECK(have.totalGlobalMem == 64u << 20 && !have.canMapHostMemory && have.managedMemory);
	GIVES(cudaErrorInvalidDevice, cudaGetDeviceProperties(&have, 1));
	setenv("VGPU_DEVICE", "unix:/missing", 1);
}

static void no_device(void)
{
	int count = 7;

	setenv("VGPU_DEVICE", "unix:/missing", 1);
	GIVES(cudaErrorNoDevice, cudaGetDeviceCount(&count));
	CHECK(count == 0);
	GIVES(cudaErrorNoDevice, cudaGetLastError());
}

const struct test runtime_tests[] = {
	{ "runtime-program", program },
	{ "runtime-mistakes", mistakes },
	{ "runtime-symbols", symbols },
	{ "runtime-reset", reset },
	{ "runtime-properties", properties },
	{ "runtime-no-device", no_device },
	{ NULL, NULL },
};
