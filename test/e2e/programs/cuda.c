// SPDX-License-Identifier: Apache-2.0
/*
 * CUDA on a real device, one case a run: `cuda CASE PTX-FILE`. Prints "ok", or what is wrong. Built
 * on both of CUDA's interfaces; the kernels are those of cuda-kernels.cu.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda.h"
#include "cuda_runtime_api.h"

#define COUNT 1000

static const char *ptx_path;
static cudaLibrary_t library;
static const dim3 one = { 1, 1, 1 }, many = { 128, 1, 1 };

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

static cudaKernel_t kernel(const char *name)
{
	cudaKernel_t found;

	OK(cudaLibraryGetKernel(&found, library, name));
	return found;
}

static float *numbers(void)
{
	float values[COUNT], *device;

	for (int i = 0; i < COUNT; i++)
		values[i] = (float)i;
	OK(cudaMalloc((void **)&device, sizeof(values)));
	OK(cudaMemcpy(device, values, sizeof(values), cudaMemcpyHostToDevice));
	return device;
}

static void reduce(void)
{
	float *values = numbers(), *total, result = 0, ms = -1;
	int count = COUNT;
	void *parameters[] = { &values, &total, &count };
	cudaEvent_t start, end;

	OK(cudaMalloc((void **)&total, 4));
	OK(cudaEventCreate(&start));
	OK(cudaEventCreate(&end));
	OK(cudaEventRecord(start, NULL));
	OK(cudaLaunchKernel(kernel("sum"), one, many, parameters, 128 * 4, NULL));
	OK(cudaEventRecord(end, NULL));
	OK(cudaMemcpy(&result, total, 4, cudaMemcpyDeviceToHost));
	CHECK(result == 499500);
	OK(cudaEventElapsedTime(&ms, start, end));
	CHECK(ms > 0 && ms < 100000);
}

/* Events in one batch: the GPU tells what is between them apart. */
static void timed_events(void)
{
	float *values = numbers(), factor = 1, few, many_ms, whole;
	int count = COUNT, turn = 0;
	void *parameters[] = { &values, &factor, &count };
	dim3 grid = { 8, 1, 1 };
	cudaEvent_t marks[3];

	for (int i = 0; i < 3; i++)
		OK(cudaEventCreate(&marks[i]));
	OK(cudaLaunchKernel(kernel("scale"), grid, many, parameters, 0, NULL));
	OK(cudaDeviceSynchronize());
	do {
		/* A busy machine may stop the GPU for a while, between any two. */
		CHECK(turn++ < 20);
		OK(cudaEventRecord(marks[0], NULL));
		OK(cudaLaunchKernel(kernel("scale"), grid, many, parameters, 0, NULL));
		OK(cudaEventRecord(marks[1], NULL));
		for (int i = 0; i < 300; i++)
			OK(cudaLaunchKernel(kernel("scale"), grid, many, parameters, 0, NULL));
		OK(cudaEventRecord(marks[2], NULL));
		OK(cudaEventSynchronize(marks[2]));
		OK(cudaEventElapsedTime(&few, marks[0], marks[1]));
		OK(cudaEventElapsedTime(&many_ms, marks[1], marks[2]));
		OK(cudaEventElapsedTime(&whole, marks[0], marks[2]));
		CHECK(few >= 0 && many_ms > 0);
		CHECK(fabsf(few + many_ms - whole) <= 1e-3f + whole * 1e-5f);
	} while (many_ms < 3 * few);
}

static void default_streams(void)
{
	float *values = numbers(), result[2], factor = 3;
	int count = COUNT;
	void *parameters[] = { &values, &factor, &count };
	dim3 grid = { 8, 1, 1 };
	cudaStream_t stream;

	OK(cudaStreamCreate(&stream));
	for (int i = 0; i < 10; i++) {
		OK(cudaLaunchKernel(kernel("scale"), grid, many, parameters, 0, stream));
		factor = 1 / factor;
		OK(cudaLaunchKernel(kernel("scale"), grid, many, parameters, 0, NULL));
		factor = 1 / factor;
	}
	OK(cudaMemsetAsync(values, 0, 4, stream));
	OK(cudaMemcpy(result, values, 8, cudaMemcpyDefault));
	CHECK(result[0] == 0 && fabsf(result[1] - 1) < 1e-5f);
}

static void symbols(void)
{
	int *out, result[4], change = 30;
	void *parameters[] = { &out }, *table;
	dim3 four = { 4, 1, 1 };
	size_t bytes;

	OK(cudaMalloc((void **)&out, sizeof(result)));
	OK(cudaLibraryGetGlobal(&table, &bytes, library, "table"));
	CHECK(bytes == 16);
	OK(cudaMemcpy((char *)table + 8, &change, 4, cudaMemcpyHostToDevice));
	OK(cudaLaunchKernel(kernel("look_up"), one, four, parameters, 0, NULL));
	OK(cudaMemcpy(result, out, sizeof(result), cudaMemcpyDeviceToHost));
	CHECK(result[0] == 1 && result[1] == 2 && result[2] == 30 && result[3] == 4);
}

struct node {
	int value;
	struct node *next;
};

static void managed(void)
{
	struct node *list, *node;
	int *total;
	void *parameters[] = { &list, &total };

	OK(cudaMallocManaged((void **)&total, 4, cudaMemAttachGlobal));
	OK(cudaMallocManaged((void **)&node, 600000, cudaMemAttachGlobal));
	list = &node[30000];
	for (int i = 0; i < 3; i++) {
		/* Scattered, so that several of the library's blocks are touched. */
		node[30000 - i * 10000].value = i + 1;
		node[30000 - i * 10000].next = i < 2 ? &node[30000 - (i + 1) * 10000] : NULL;
	}
	for (int round = 0; round < 2; round++) {
		OK(cudaLaunchKernel(kernel("walk"), one, one, parameters, 0, NULL));
		OK(cudaDeviceSynchronize());
		CHECK(*total == (round ? -16 : 6));
		CHECK(list->next->value == (round ? 2 : -2));
		list->value = -11;
		CHECK(list->next->next->next == NULL);
	}
}

/* As the compiler's code does it, for `__managed__` variables. */
void **__cudaRegisterFatBinary(void *image);
void __cudaRegisterManagedVar(void **handle, void **address, char *device_address,
			      const char *name, int external, size_t bytes, int constant,
			      int global);
char __cudaInitModule(void **handle);

static void managed_variables(void)
{
	static char text[1 << 20];
	int count = 300, other = 5, *tally = NULL;
	float *wide = NULL;
	struct cudaPointerAttributes attributes;
	FILE *file = fopen(ptx_path, "r");
	cudaLibrary_t own;
	cudaKernel_t count_up;
	void **handle, *parameters[] = { &count, &tally };
	dim3 grid = { 3, 1, 1 };
	size_t bytes;

	CHECK(file && fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	handle = __cudaRegisterFatBinary(text);
	__cudaRegisterManagedVar(handle, (void **)&tally, "tally", "tally", 0, 4, 0, 0);
	__cudaRegisterManagedVar(handle, (void **)&wide, "wide", "wide", 0, 400000, 0, 0);
	__cudaInitModule(handle);
	CHECK(tally && wide && *tally == 40 && wide[0] == 0);
	OK(cudaGetSymbolSize(&bytes, wide));
	CHECK(bytes == 400000);
	OK(cudaPointerGetAttributes(&attributes, wide));
	CHECK(attributes.type == cudaMemoryTypeManaged);
	OK(cudaMemcpyToSymbol(tally, &other, 4, 0, cudaMemcpyHostToDevice));
	CHECK(*tally == 5);
	/* A module's memory is not the program's to free. */
	GIVES(cudaErrorInvalidValue, cudaFree(wide));

	/* The library's variables are its own, in pages of their own. */
	OK(cudaLibraryLoadFromFile(&own, ptx_path, NULL, NULL, 0, NULL, NULL, 0));
	OK(cudaLibraryGetManaged((void **)&tally, &bytes, own, "tally"));
	OK(cudaLibraryGetManaged((void **)&wide, &bytes, own, "wide"));
	GIVES(cudaErrorSymbolNotFound, cudaLibraryGetManaged((void **)&file, &bytes, own, "beside"));
	OK(cudaLibraryGetKernel(&count_up, own, "count_up"));
	wide[99999] = 0.5f;
	for (int round = 1; round <= 2; round++) {
		OK(cudaLaunchKernel(count_up, grid, many, parameters, 0, NULL));
		OK(cudaDeviceSynchronize());
		CHECK(*tally == 40 + 7 * round + 300 * round + (round - 1));
		CHECK(wide[299] == 299.5f && wide[300] == 0);
		wide[0] = 3;
	}
	OK(cudaLibraryUnload(own));
}

/* Two texts with names of the same sound, some of them their own. */
static const char link_first[] =
	"//\n.version 8.0\n.target sm_75\n.address_size 64\n"
	".extern .func (.param .b32 r) twice (.param .b32 a);\n"
	".extern .global .align 4 .u32 common;\n"
	".global .align 4 .u32 own = 5;\n"
	".func (.param .b32 r) helper (.param .b32 a)\n"
	"{ .reg .b32 %r<3>; ld.param.u32 %r1, [a]; add.u32 %r2, %r1, 1; st.param.b32 [r], %r2; ret; }\n"
	".visible .entry linked (.param .u64 out)\n"
	"{ .reg .b32 %r<9>; .reg .b64 %rd<3>; ld.param.u64 %rd1, [out]; cvta.to.global.u64 %rd2, %rd1;\n"
	"  ld.global.u32 %r1, [own]; ld.global.u32 %r2, [common]; add.u32 %r3, %r1, %r2;\n"
	"  { .param .b32 a0; .param .b32 r0; st.param.b32 [a0], %r3; call (r0), twice, (a0);\n"
	"    ld.param.b32 %r4, [r0]; }\n"
	"  { .param .b32 a0; .param .b32 r0; st.param.b32 [a0], %r4; call (r0), helper, (a0);\n"
	"    ld.param.b32 %r5, [r0]; }\n"
	"  st.global.u32 [%rd2], %r5; ret; }\n";
static const char link_second[] =
	".version 8.0\n.target sm_75\n.address_size 64\n"
	".visible .global .align 4 .u32 common = 100; /* own */\n"
	".global .align 4 .u32 own = 7000;\n"
	".func (.param .b32 r) helper (.param .b32 a)\n"
	"{ .reg .b32 %r<4>; ld.param.u32 %r1, [a]; ld.global.u32 %r2, [own];\n"
	"  add.u32 %r3, %r1, %r2; st.param.b32 [r], %r3; ret; }\n"
	".visible .func (.param .b32 r) twice (.param .b32 a)\n"
	"{ .reg .b32 %r<5>; ld.param.u32 %r1, [a]; shl.b32 %r2, %r1, 1;\n"
	"  { .param .b32 a0; .param .b32 r0; st.param.b32 [a0], %r2; call (r0), helper, (a0);\n"
	"    ld.param.b32 %r3, [r0]; } st.param.b32 [r], %r3; ret; }\n";

static CUresult add_text(CUlinkState state, const char *text)
{
	return cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)(uintptr_t)text, strlen(text) + 1,
			     "text", 0, NULL, NULL);
}

static void linking(void)
{
	char log[1024] = "";
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)(uintptr_t)sizeof(log) }, *image;
	CUlinkState state;
	CUmodule module;
	CUfunction function;
	CUdeviceptr out;
	void *parameters[] = { &out };
	int result = 0;
	size_t bytes;

	OK(cudaFree(NULL));
	OK(cuLinkCreate(2, options, values, &state));
	OK(add_text(state, link_first));
	OK(add_text(state, link_second));
	OK(cuLinkComplete(state, &image, &bytes));
	OK(cuModuleLoadData(&module, image));
	OK(cuLinkDestroy(state));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuLinkDestroy(state));
	OK(cuModuleGetFunction(&function, module, "linked"));
	OK(cuMemAlloc(&out, 4));
	OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
	OK(cuMemcpyDtoH(&result, out, 4));
	CHECK(result == (5 + 100) * 2 + 7000 + 1);

	OK(cuLinkCreate(2, options, values, &state));
	OK(add_text(state, link_first));
	GIVES(CUDA_ERROR_INVALID_PTX, cuLinkComplete(state, &image, &bytes));
	CHECK(strstr(log, "undefined reference to 'twice'"));
	OK(add_text(state, link_second));
	OK(add_text(state, link_second));
	GIVES(CUDA_ERROR_INVALID_PTX, cuLinkComplete(state, &image, &bytes));
	CHECK(strstr(log, "multiple definition of 'common'"));
	GIVES(CUDA_ERROR_INVALID_PTX, add_text(state, ".version 8.0\n.target sm_75\n!"));
	CHECK(strstr(log, "line 3"));
	GIVES(CUDA_ERROR_NO_BINARY_FOR_GPU,
	      cuLinkAddData(state, CU_JIT_INPUT_CUBIN, log, 100, "a.cubin", 0, NULL, NULL));
	CHECK(strstr(log, "a.cubin"));
	GIVES(CUDA_ERROR_FILE_NOT_FOUND,
	      cuLinkAddFile(state, CU_JIT_INPUT_PTX, "/nowhere.ptx", 0, NULL, NULL));
	OK(cuLinkDestroy(state));
	OK(cuLinkCreate(0, NULL, NULL, &state));
	OK(cuLinkAddFile(state, CU_JIT_INPUT_PTX, ptx_path, 0, NULL, NULL));
	OK(cuLinkComplete(state, &image, &bytes));
	OK(cuModuleLoadData(&module, image));
	OK(cuModuleGetFunction(&function, module, "scale"));
	OK(cuLinkDestroy(state));
}

static void graphs(void)
{
	float *values = numbers(), result, factor = 2;
	int count = COUNT;
	void *parameters[] = { &values, &factor, &count };
	dim3 grid = { 8, 1, 1 };
	cudaStream_t stream;
	cudaGraph_t graph;
	cudaGraphExec_t exec;

	OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
	kernel("scale");
	OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
	OK(cudaLaunchKernel(kernel("scale"), grid, many, parameters, 0, stream));
	factor = 5;
	OK(cudaLaunchKernel(kernel("scale"), grid, many, parameters, 0, stream));
	OK(cudaStreamEndCapture(stream, &graph));
	OK(cudaGraphInstantiate(&exec, graph, 0));
	for (int i = 0; i < 3; i++)
		OK(cudaGraphLaunch(exec, stream));
	OK(cudaStreamSynchronize(stream));
	OK(cudaMemcpy(&result, values + 2, 4, cudaMemcpyDeviceToHost));
	CHECK(result == 2000);
}

static void output(void)
{
	int number = 42;
	void *parameters[] = { &number };
	dim3 two = { 2, 1, 1 };

	OK(cudaLaunchKernel(kernel("speak"), one, two, parameters, 0, NULL));
	OK(cudaDeviceSynchronize());
}

/* A kernel's failure stays until the reset, after which there is a new context. */
static void fails(cudaError_t error, const char *name, void **parameters)
{
	float *values;

	OK(cudaLaunchKernel(kernel(name), one, one, parameters, 0, NULL));
	GIVES(error, cudaDeviceSynchronize());
	GIVES(error, cudaGetLastError());
	GIVES(error, cudaMalloc((void **)&values, 4));
	OK(cudaDeviceReset());
	reduce();
}

static void wild(void)
{
	float *values = numbers();
	long long index = 1ll << 28;
	void *parameters[] = { &values, &index };

	fails(cudaErrorIllegalAddress, "wild", parameters);
}

static void trap(void)
{
	fails(cudaErrorLaunchFailure, "stop", NULL);
}

static void assertion(void)
{
	int value = 2;
	void *parameters[] = { &value };

	fails(cudaErrorAssert, "claim", parameters);
}

/* Mistakes are told at once, and nothing is lost by them. */
static void mistakes(void)
{
	float *values = numbers(), *total = values;
	int count = 1;
	void *parameters[] = { &values, &total, &count };
	dim3 huge = { 100000, 1, 1 };
	cudaKernel_t none = NULL;
	CUmodule module;
	CUdeviceptr pointer;

	GIVES(cudaErrorInvalidConfiguration,
	      cudaLaunchKernel(kernel("sum"), one, huge, parameters, 0, NULL));
	GIVES(cudaErrorInvalidConfiguration,
	      cudaLaunchKernel(kernel("sum"), one, one, parameters, 1 << 24, NULL));
	GIVES(cudaErrorSymbolNotFound, cudaLibraryGetKernel(&none, library, "nothing"));
	GIVES(cudaErrorInvalidValue, cudaMemcpy(values, values + 990, 100, cudaMemcpyDefault));
	GIVES(CUDA_ERROR_INVALID_PTX, cuModuleLoadData(&module, ".version 8.0\n.target sm_75\n!"));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuMemHostGetDevicePointer(&pointer, NULL, 0) ==
		      CUDA_ERROR_INVALID_VALUE ? CUDA_ERROR_NOT_SUPPORTED : 0);
	OK(cudaFree(values));
	GIVES(cudaErrorInvalidValue, cudaFree(values));
	GIVES(cudaErrorInvalidValue, cudaGetLastError());
	reduce();
}

/* A fat binary of nvcc's, cut off at many places: each is refused, and the whole one loads. */
static void cut_off(void)
{
	char path[] = "/tmp/vgpu-cuda-cut-XXXXXX";
	static unsigned char bytes[1 << 20];
	FILE *file = fopen("test/cuda/fatbin/reduce.default.fatbin", "rb");
	int out = mkstemp(path);
	size_t count;
	CUmodule module;

	CHECK(file && out >= 0);
	count = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	CHECK(count > 1000 && count < sizeof(bytes));
	OK(cudaFree(NULL));
	for (size_t kept = 1; kept < count; kept += kept < 200 ? 7 : count / 23) {
		CHECK(!ftruncate(out, 0) && pwrite(out, bytes, kept, 0) == (ssize_t)kept);
		GIVES(CUDA_ERROR_INVALID_IMAGE, cuModuleLoad(&module, path));
	}
	CHECK(pwrite(out, bytes, count, 0) == (ssize_t)count);
	OK(cuModuleLoad(&module, path));
	/* What is inside may be broken too: the device finds it out. */
	memset(bytes + 200, 0xa5, count - 200);
	CHECK(pwrite(out, bytes, count, 0) == (ssize_t)count);
	CHECK(cuModuleLoad(&module, path) != CUDA_SUCCESS);
	close(out);
	unlink(path);
	reduce();
}

/* What is gone, and what was never there. */
static void gone(void)
{
	float *values = numbers(), *other = numbers(), result = 0;
	int count = COUNT;
	void *parameters[] = { &values, &other, &count };
	CUfunction function;
	CUdeviceptr pointer;
	CUmodule module;
	cudaStream_t stream;
	cudaEvent_t event;
	size_t bytes;

	OK(cudaStreamCreate(&stream));
	OK(cudaStreamDestroy(stream));
	GIVES(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
	GIVES(cudaErrorInvalidResourceHandle,
	      cudaLaunchKernel(kernel("sum"), one, many, parameters, 512, stream));
	OK(cudaEventCreate(&event));
	OK(cudaEventDestroy(event));
	GIVES(cudaErrorInvalidResourceHandle, cudaEventRecord(event, NULL));
	OK(cudaFree(other));
	GIVES(cudaErrorInvalidValue, cudaMemcpy(other, values, 4, cudaMemcpyDeviceToDevice));
	GIVES(cudaErrorInvalidValue, cudaMemcpy(&result, other, 4, cudaMemcpyDeviceToHost));
	GIVES(cudaErrorInvalidValue, cudaMemset(other, 0, 4));
	OK(cuModuleLoad(&module, ptx_path));
	GIVES(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&function, module, "nothing"));
	GIVES(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&pointer, &bytes, module, "nothing"));
	OK(cuModuleGetFunction(&function, module, "scale"));
	OK(cuModuleUnload(module));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuModuleGetFunction(&function, module, "scale"));
	GIVES(CUDA_ERROR_INVALID_HANDLE,
	      cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
	GIVES(cudaErrorInvalidDeviceFunction,
	      cudaLaunchKernel((const void *)"nothing", one, one, parameters, 0, NULL));
	GIVES(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&module, "/nowhere.ptx"));
	GIVES(cudaErrorInvalidSymbol, cudaMemcpyToSymbol(&result, &count, 4, 0,
							 cudaMemcpyHostToDevice));
	reduce();
}

/* Calls that no other case makes: boxes, occupancy, launches with attributes, what there is not. */
static void calls(void)
{
	float *values = numbers(), factor = 2, two = 0;
	int count = COUNT, blocks = 0, size = 0, grid_size = 0, can = -1, value = -1;
	static unsigned int box[4][3][2];
	void *parameters[] = { &values, &factor, &count };
	CUlaunchAttribute attribute = { .id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION };
	CUlaunchConfig config = { .gridDimX = 8, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 128,
				  .blockDimY = 1, .blockDimZ = 1, .attrs = &attribute };
	CUDA_MEMCPY3D copy = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcPitch = 16, .srcHeight = 4,
			       .srcXInBytes = 4, .srcY = 1, .dstMemoryType = CU_MEMORYTYPE_HOST,
			       .dstHost = box, .dstPitch = 8, .dstHeight = 3,
			       .WidthInBytes = 8, .Height = 3, .Depth = 4 };
	CUfunction function;
	CUdeviceptr plane;
	void *pinned;

	OK(cudaGetFuncBySymbol(&function, (const void *)kernel("scale")));
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 128, 0));
	CHECK(blocks >= 1 && blocks <= 16);
	OK(cuOccupancyMaxPotentialBlockSize(&grid_size, &size, function, NULL, 0, 0));
	CHECK(size >= 32 && grid_size >= 1);
	OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, (const void *)kernel("scale"), 128,
							 0));
	CHECK(value == blocks);

	OK(cuLaunchKernelEx(&config, function, parameters, NULL));
	attribute.value.clusterDim.x = 2;
	attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1;
	config.numAttrs = 1;
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuLaunchKernelEx(&config, function, parameters, NULL));
	attribute.id = CU_LAUNCH_ATTRIBUTE_PRIORITY;
	OK(cuLaunchKernelEx(&config, function, parameters, NULL));
	OK(cudaMemcpy(&two, values + 1, 4, cudaMemcpyDeviceToHost));
	CHECK(two == 4);

	OK(cuMemAlloc(&plane, 16 * 4 * 4));
	OK(cuMemsetD32(plane, 1, 64));
	OK(cuMemsetD2D32(plane + 4, 16, 7, 2, 16));
	copy.srcDevice = plane;
	OK(cuMemcpy3D(&copy));
	for (int i = 0; i < 24; i++)
		CHECK((&box[0][0][0])[i] == 7);
	OK(cuMemcpyDtoH(&value, plane + 12, 4));
	CHECK(value == 1);
	copy.Depth = 5;
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&copy));

	OK(cuDeviceCanAccessPeer(&can, 0, 0));
	CHECK(can == 0);
	GIVES(cudaErrorInvalidDevice, cudaDeviceEnablePeerAccess(0, 0));
	OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 0));
	CHECK(value == 0);
	OK(cudaMallocHost(&pinned, 4096));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuMemHostGetDevicePointer(&plane, pinned, 0));
	OK(cudaFreeHost(pinned));
	OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 0));
	CHECK(value == 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "reduce", reduce },	      { "default-streams", default_streams },
	{ "timed-events", timed_events },
	{ "symbols", symbols },	      { "managed", managed },
	{ "graphs", graphs },	      { "output", output },
	{ "wild", wild },	      { "trap", trap },
	{ "assertion", assertion },   { "mistakes", mistakes },
	{ "managed-variables", managed_variables },
	{ "linking", linking },	      { "cut-off", cut_off },
	{ "gone", gone },	      { "calls", calls },
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	ptx_path = argv[2];
	OK(cudaLibraryLoadFromFile(&library, ptx_path, NULL, NULL, 0, NULL, NULL, 0));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!strcmp(cases[i].name, argv[1])) {
			cases[i].run();
			puts("ok");
			return 0;
		}
	}
	return 2;
}
