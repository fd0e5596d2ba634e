// SPDX-License-Identifier: Apache-2.0
/* The driver interface, without graphs. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

#include "cuda-test.h"

#define COUNT 256u
#define BYTES (COUNT * sizeof(float))

static void before_init(void)
{
	int count;
	CUcontext context;
	CUdeviceptr pointer;

	GIVES(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount(&count));
	GIVES(CUDA_ERROR_NOT_INITIALIZED, cuCtxGetCurrent(&context));
	GIVES(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&pointer, 4));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuInit(1));
	setenv("VGPU_DEVICE", "unix:/missing", 1);
	GIVES(CUDA_ERROR_NO_DEVICE, cuInit(0));
	setenv("VGPU_DEVICE", "unix:/fake", 1);
	OK(cuInit(0));
	OK(cuDeviceGetCount(&count));
	CHECK(count == 1);
	GIVES(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&pointer, 4));
}

static void in_a_child(void)
{
	int status, count;

	make_context();
	if (!fork()) {
		CUdeviceptr pointer;

		GIVES(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&pointer, 4));
		GIVES(CUDA_ERROR_NOT_INITIALIZED, cuInit(0));
		_exit(0);
	}
	wait(&status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	OK(cuDeviceGetCount(&count));
}

static void devices(void)
{
	char name[64], bus[16];
	CUdevice device = 9;
	int value;

	OK(cuInit(0));
	OK(cuDeviceGet(&device, 0));
	GIVES(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&device, 1));
	OK(cuDeviceGetName(name, sizeof(name), device));
	CHECK(strstr(name, "fake"));
	OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, device));
	CHECK(value == 1024);
	OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, device));
	CHECK(value == 32768);
	OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, device));
	CHECK(value == 0);
	OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, device));
	CHECK(value == 0);
	GIVES(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX,
							      device));
	OK(cuDeviceGetPCIBusId(bus, sizeof(bus), device));
	OK(cuDeviceGetByPCIBusId(&device, bus));
	CHECK(device == 0);
}

static void contexts(void)
{
	CUcontext first, second, current, popped;
	unsigned int flags;
	int active;

	OK(cuInit(0));
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	CHECK(!active);
	OK(cuCtxCreate(&first, NULL, 0, 0));
	OK(cuCtxCreate(&second, NULL, CU_CTX_SCHED_SPIN, 0));
	OK(cuCtxGetCurrent(&current));
	CHECK(current == second && first != second);
	OK(cuCtxPopCurrent(&popped));
	CHECK(popped == second);
	OK(cuCtxGetCurrent(&current));
	CHECK(current == first);
	OK(cuCtxDestroy(second));
	GIVES(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(second));
	GIVES(CUDA_ERROR_INVALID_CONTEXT, cuCtxPushCurrent(second));
	OK(cuCtxDestroy(first));
	OK(cuCtxGetCurrent(&current));
	CHECK(!current);
	CHECK(fake.open == 1);
	OK(cuDevicePrimaryCtxRetain(&first, 0));
	OK(cuDevicePrimaryCtxRetain(&second, 0));
	CHECK(first == second && fake.open == 1);
	OK(cuDevicePrimaryCtxRelease(0));
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	CHECK(active);
	OK(cuDevicePrimaryCtxRelease(0));
	GIVES(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease(0));
	CHECK(fake.open == 0);
}

static void modules(void)
{
	char log[64] = "?";
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)(uintptr_t)sizeof(log) };
	CUmodule module;
	CUfunction function;
	CUdeviceptr pointer;
	unsigned int count;
	size_t bytes;

	make_context();
	GIVES(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&module, "trouble here", 2, options,
							 values));
	CHECK(!strcmp(log, "line 3: trouble") && (uintptr_t)values[1] == sizeof("line 3: trouble"));
	GIVES(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&module, "\177ELF\2\1\1"));
	GIVES(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&module, "/nowhere/at/all.ptx"));
	OK(cuModuleLoadData(&module, ptx));
	CHECK(fake.format == 2);
	OK(cuModuleGetFunctionCount(&count, module));
	CHECK(count == 3);
	OK(cuModuleGetFunction(&function, module, "add"));
	GIVES(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&function, module, "hidden"));
	OK(cuModuleGetGlobal(&pointer, &bytes, module, "table"));
	CHECK(pointer && bytes == 256);
	GIVES(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&pointer, &bytes, module, "chair"));
	OK(cuModuleUnload(module));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(module));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL,
							NULL));
	CHECK(fake.modules == 1);
}

/* A container with machine code and PTX; what is sent has the PTX alone. */
static void fat_binaries(void)
{
	struct {
		uint32_t magic;
		uint16_t version, header;
		uint64_t bytes;
		struct {
			uint16_t kind, version;
			uint32_t header;
			uint64_t bytes;
			uint8_t data[16];
		} entries[2];
	} box = { 0xba55ed50u, 1, 16, sizeof(box.entries),
		  { { 2, 1, 16, 16, "machine code" }, { 1, 1, 16, 16, ".entry add(" } } };
	CUmodule module;
	CUfunction function;

	make_context();
	OK(cuModuleLoadFatBinary(&module, &box));
	CHECK(fake.format == 3);
	box.entries[1].bytes = 1000;
	GIVES(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadFatBinary(&module, &box));
	box.entries[1].bytes = UINT64_MAX - 15;
	GIVES(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadFatBinary(&module, &box));
	box.entries[1].bytes = 16;
	box.entries[1].kind = 2;
	GIVES(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadFatBinary(&module, &box));
	box.entries[0].header = 4;
	GIVES(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadFatBinary(&module, &box));
	(void)function;
}

static void memory(void)
{
	CUdeviceptr pointer, base;
	size_t pitch, bytes, free_bytes;
	char data[64];
	void *host;
	unsigned int flags;

	make_context();
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(&pointer, 0));
	GIVES(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&pointer, 1ull << 40));
	OK(cuMemAlloc(&pointer, 100));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(pointer + 60, data, 64));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(data, 0x1234, 4));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(pointer + 2, 1, 1));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(pointer, 1, 101));
	OK(cuMemGetAddressRange(&base, &bytes, pointer + 50));
	CHECK(base == pointer && bytes == 100);
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemFree(pointer + 4));
	OK(cuMemFree(pointer));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemFree(pointer));
	OK(cuMemFree(0));
	OK(cuMemAllocPitch(&pointer, &pitch, 100, 10, 4));
	CHECK(pitch == 512);
	OK(cuMemFree(pointer));
	OK(cuMemGetInfo(&free_bytes, &bytes));
	CHECK(bytes == 64u << 20);
	OK(cuMemHostAlloc(&host, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuMemHostGetDevicePointer(&pointer, host, 0));
	OK(cuMemHostGetFlags(&flags, host));
	CHECK(flags == CU_MEMHOSTALLOC_DEVICEMAP);
	OK(cuMemFreeHost(host));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(host));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuMemHostRegister(data, sizeof(data), 0));
}

static void boxes(void)
{
	uint8_t from[8 * 10], to[8 * 10] = { 0 };
	CUDA_MEMCPY2D in = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = from, .srcPitch = 10,
			     .srcXInBytes = 2, .srcY = 1,
			     .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstPitch = 512,
			     .WidthInBytes = 5, .Height = 4 };
	CUDA_MEMCPY2D out = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcPitch = 512,
			      .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = to, .dstPitch = 10,
			      .dstXInBytes = 2, .dstY = 1, .WidthInBytes = 5, .Height = 4 };

	make_context();
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i + 1);
	OK(cuMemAlloc(&in.dstDevice, 512 * 4));
	out.srcDevice = in.dstDevice;
	OK(cuMemcpy2D(&in));
	OK(cuMemcpy2D(&out));
	for (size_t y = 0; y < 8; y++)
		for (size_t x = 0; x < 10; x++) {
			bool inside = y >= 1 && y < 5 && x >= 2 && x < 7;

			CHECK(to[y * 10 + x] == (inside ? from[y * 10 + x] : 0));
		}
	in.Height = 5;
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&in));
	in.Height = 2;
	in.dstPitch = 4;
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&in));
	in.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuMemcpy2D(&in));
}

static void launches(void)
{
	CUfunction add, scale;
	CUdeviceptr a, b, out;
	unsigned int n = COUNT;
	float data[COUNT], result[COUNT];
	void *parameters[] = { &a, &b, &out, &n };
	struct {
		CUdeviceptr a, b, out;
		unsigned int n;
	} packed;
	size_t bytes = sizeof(packed), offset;
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE,
			  &bytes, CU_LAUNCH_PARAM_END };

	make_context();
	add = get_function("add");
	scale = get_function("scale");
	OK(cuMemAlloc(&a, BYTES));
	OK(cuMemAlloc(&b, BYTES));
	OK(cuMemAlloc(&out, BYTES));
	for (unsigned int i = 0; i < COUNT; i++)
		data[i] = (float)i;
	OK(cuMemcpyHtoD(a, data, BYTES));
	OK(cuMemcpyHtoD(b, data, BYTES));
	OK(cuLaunchKernel(add, 1, 1, 1, 256, 1, 1, 0, NULL, parameters, NULL));
	OK(cuMemcpyDtoH(result, out, BYTES));
	CHECK(result[100] == 200);
	packed.a = out;
	packed.b = out;
	packed.out = out;
	packed.n = n;
	OK(cuLaunchKernel(add, 1, 1, 1, 256, 1, 1, 0, NULL, NULL, extra));
	OK(cuMemcpyDtoH(result, out, BYTES));
	CHECK(result[100] == 400);
	bytes = 20;
	GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(add, 0, 1, 1, 1, 1, 1, 0, NULL, parameters,
						       NULL));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(add, 1, 1, 1, 1024, 2, 1, 0, NULL, parameters,
						       NULL));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(scale, 1, 1, 1, 257, 1, 1, 0, NULL,
						       parameters, NULL));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 32000, NULL, parameters,
						       NULL));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuLaunchCooperativeKernel(add, 2, 1, 1, 1, 1, 1, 0, NULL,
								  parameters));
	OK(cuFuncGetParamInfo(add, 3, &offset, &bytes));
	CHECK(offset == 24 && bytes == 4);
	GIVES(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(add, 4, &offset, &bytes));
	CHECK(fake.launches == 2);
}

/* Without the order of default streams, the fake device does these in another order. */
static void default_stream(void)
{
	CUdeviceptr pointer;
	CUstream blocking, other;
	unsigned int value;
	int records;

	make_context();
	OK(cuMemAlloc(&pointer, 4));
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	/* Blocking, then legacy. */
	OK(cuMemsetD32Async(pointer, 1, 1, blocking));
	OK(cuMemsetD32(pointer, 2, 1));
	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoH(&value, pointer, 4));
	CHECK(value == 2);
	/* Legacy, then blocking. */
	OK(cuMemsetD32(pointer, 3, 1));
	OK(cuMemsetD32Async(pointer, 4, 1, blocking));
	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoH(&value, pointer, 4));
	CHECK(value == 4);
	/* Waiting for the legacy stream waits for the blocking one. */
	OK(cuMemsetD32Async(pointer, 5, 1, blocking));
	OK(cuStreamSynchronize(NULL));
	GIVES(CUDA_SUCCESS, cuStreamQuery(blocking));
	/* The other stream is free of all this: the fake does it first. */
	OK(cuMemsetD32(pointer, 6, 1));
	OK(cuMemsetD32Async(pointer, 7, 1, other));
	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoH(&value, pointer, 4));
	CHECK(value == 6);
	/* Work of one kind alone costs no events. */
	records = fake.records;
	for (int i = 0; i < 10; i++)
		OK(cuMemsetD32Async(pointer, 8, 1, blocking));
	CHECK(fake.records <= records + 1);
	OK(cuStreamDestroy(blocking));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(blocking));
}

static void *per_thread(void *argument)
{
	CUdeviceptr pointer = *(CUdeviceptr *)argument;

	make_context();
	OK(cuMemsetD32Async(pointer, 9, 1, CU_STREAM_PER_THREAD));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	return NULL;
}

static void thread_streams(void)
{
	unsigned long long legacy, own;
	CUdeviceptr pointer;
	pthread_t thread;
	unsigned int value;

	make_context();
	OK(cuMemAlloc(&pointer, 4));
	OK(cuStreamGetId(NULL, &legacy));
	OK(cuStreamGetId(CU_STREAM_PER_THREAD, &own));
	CHECK(legacy != own);
	pthread_create(&thread, NULL, per_thread, &pointer);
	pthread_join(thread, NULL);
	OK(cuMemcpyDtoH(&value, pointer, 4));
	CHECK(value == 9);
}

static void many_streams(void)
{
	CUstream streams[20];
	CUdeviceptr pointer;
	unsigned int value;

	make_context();
	OK(cuMemAlloc(&pointer, 80));
	for (unsigned int i = 0; i < 20; i++) {
		OK(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
		OK(cuMemsetD32Async(pointer + i * 4, i, 1, streams[i]));
	}
	for (unsigned int i = 0; i < 20; i++) {
		OK(cuStreamSynchronize(streams[i]));
		OK(cuMemcpyDtoH(&value, pointer + i * 4, 4));
		CHECK(value == i);
		OK(cuStreamDestroy(streams[i]));
	}
	OK(cuStreamCreate(&streams[0], 0));
}

static void events(void)
{
	CUevent start, end, untimed;
	CUstream one, two;
	CUdeviceptr pointer;
	int timed = fake.timed_events;
	unsigned int value;
	float ms = -1;

	make_context();
	OK(cuMemAlloc(&pointer, 4));
	OK(cuEventCreate(&start, 0));
	OK(cuEventCreate(&end, 0));
	OK(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	OK(cuStreamCreate(&one, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&two, CU_STREAM_NON_BLOCKING));
	OK(cuEventQuery(start));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, start, end));
	OK(cuEventRecord(start, one));
	OK(cuMemsetD32Async(pointer, 1, 1, one));
	OK(cuEventRecord(end, one));
	GIVES(CUDA_ERROR_NOT_READY, cuEventQuery(end));
	GIVES(CUDA_ERROR_NOT_READY, cuEventElapsedTime(&ms, start, end));
	OK(cuStreamWaitEvent(two, end, 0));
	OK(cuMemsetD32Async(pointer, 2, 1, two));
	OK(cuStreamSynchronize(two));
	OK(cuMemcpyDtoH(&value, pointer, 4));
	CHECK(value == 2);
	OK(cuEventElapsedTime(&ms, start, end));
	CHECK(fabsf(ms - 2.0f) < 1e-6f);
	OK(cuEventRecord(untimed, one));
	OK(cuEventSynchronize(untimed));
	/* start and end, and nothing that no program asks the time of. */
	CHECK(fake.timed_events == timed + 2);
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, start, untimed));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, cuEventCreate(&start, CU_EVENT_INTERPROCESS));
	OK(cuEventDestroy(end));
	GIVES(CUDA_ERROR_INVALID_HANDLE, cuEventQuery(end));
}

static _Atomic int turn;
static unsigned int *seen;

static void host_function(void *data)
{
	/* The copy before it is done, the set after it is not. */
	CHECK(*seen == 1);
	usleep(20000);
	atomic_store(&turn, *(int *)data);
}

static void callback(CUstream stream, CUresult status, void *data)
{
	(void)stream;
	CHECK(status == CUDA_SUCCESS && atomic_load(&turn) == 1);
	atomic_store(&turn, *(int *)data);
}

static void host_functions(void)
{
	static int first = 1, second = 2;
	CUdeviceptr pointer;
	CUstream stream;
	CUevent event;

	make_context();
	OK(cuMemAlloc(&pointer, 4));
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&event, 0));
	OK(cuMemAllocHost((void **)&seen, 4));
	OK(cuMemsetD32Async(pointer, 1, 1, stream));
	OK(cuMemcpyDtoHAsync(seen, pointer, 4, stream));
	OK(cuLaunchHostFunc(stream, host_function, &first));
	OK(cuMemsetD32Async(pointer, 5, 1, stream));
	OK(cuMemcpyDtoHAsync(seen, pointer, 4, stream));
	OK(cuStreamAddCallback(stream, callback, &second, 0));
	OK(cuEventRecord(event, stream));
	GIVES(CUDA_ERROR_NOT_READY, cuEventQuery(event));
	GIVES(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
	OK(cuStreamSynchronize(stream));
	CHECK(*seen == 5 && atomic_load(&turn) == 2);
	OK(cuEventQuery(event));
}

static void sticky_errors(void)
{
	CUcontext context = make_context(), second;
	CUfunction trap = get_function("trap");
	CUdeviceptr pointer;
	unsigned int value;

	OK(cuMemAlloc(&pointer, 4));
	OK(cuLaunchKernel(trap, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
	GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoH(&value, pointer, 4));
	GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemAlloc(&pointer, 4));
	GIVES(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamQuery(NULL));
	/* Another context goes on, and after a reset so does this one. */
	OK(cuCtxCreate(&second, NULL, 0, 0));
	OK(cuMemAlloc(&pointer, 4));
	OK(cuCtxDestroy(second));
	OK(cuDevicePrimaryCtxReset(0));
	GIVES(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemAlloc(&pointer, 4));
	OK(cuDevicePrimaryCtxRetain(&context, 0));
	OK(cuCtxSetCurrent(context));
	OK(cuMemAlloc(&pointer, 4));
}

static void stream_ordered_memory(void)
{
	CUdeviceptr first, second, third;
	CUstream one, two;
	CUmemoryPool pool;
	cuuint64_t keep = UINT64_MAX, reserved, used;
	int before;

	make_context();
	OK(cuStreamCreate(&one, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&two, CU_STREAM_NON_BLOCKING));
	OK(cuDeviceGetDefaultMemPool(&pool, 0));
	before = fake.allocations;
	OK(cuMemAllocAsync(&first, 1000, one));
	OK(cuMemFreeAsync(first, one));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(first, one));
	/* The same stream has it again at once. */
	OK(cuMemAllocAsync(&second, 1000, one));
	CHECK(second == first && fake.allocations == before + 1);
	OK(cuMemFreeAsync(second, one));
	OK(cuMemAllocAsync(&third, 1000, two));
	CHECK(third == first);
	OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
	CHECK(used >= 1000);
	OK(cuMemFreeAsync(third, two));
	/* What is free goes back when the program waits, unless the threshold keeps it. */
	OK(cuCtxSynchronize());
	CHECK(fake.allocations == before);
	OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
	OK(cuMemAllocAsync(&first, 4000, one));
	OK(cuMemFreeAsync(first, one));
	OK(cuCtxSynchronize());
	CHECK(fake.allocations == before + 1);
	OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
	CHECK(reserved >= 4000);
	OK(cuMemPoolTrimTo(pool, 0));
	CHECK(fake.allocations == before);
}

static void managed(void)
{
	CUdeviceptr pointer, other;
	CUfunction scale;
	unsigned int n = 100000;
	float factor = 2;
	volatile float *data;
	void *parameters[] = { &pointer, &factor, &n };
	unsigned int is_managed;
	int copies;

	make_context();
	scale = get_function("scale");
	OK(cuMemAllocManaged(&pointer, n * 4, CU_MEM_ATTACH_GLOBAL));
	data = (volatile float *)(uintptr_t)pointer;
	OK(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, pointer));
	CHECK(is_managed);
	for (unsigned int i = 0; i < n; i++)
		data[i] = (float)i;
	for (int round = 0; round < 3; round++) {
		OK(cuLaunchKernel(scale, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
		OK(cuCtxSynchronize());
		/* One block is touched: only that one is copied. */
		copies = fake.copies;
		CHECK(data[3] == 3 * factor);
		CHECK(fake.copies == copies + 1);
		CHECK(data[90000] == 90000 * factor);
		for (unsigned int i = 0; i < n; i++)
			data[i] = (float)i;
	}
	/* Copies and sets by the device's name for it. */
	OK(cuMemAlloc(&other, 8));
	data[0] = 42;
	OK(cuMemcpyDtoD(other, pointer, 4));
	OK(cuMemsetD32(pointer + 4, 0x40000000, 1));
	CHECK(data[0] == 42 && data[1] == 2.0f);
	OK(cuMemcpyDtoH(&factor, other, 4));
	CHECK(factor == 42);
	OK(cuMemFree(pointer));
}

static void output(void)
{
	static const char printing[] = ".entry print(";
	CUmodule module;
	CUfunction function;
	char line[200] = "";
	int pipes[2];

	make_context();
	OK(cuModuleLoadData(&module, printing));
	OK(cuModuleGetFunction(&function, module, "print"));
	OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	fflush(stdout);
	CHECK(!pipe(pipes));
	dup2(pipes[1], 1);
	OK(cuCtxSynchronize());
	OK(cuCtxSynchronize());
	fflush(stdout);
	CHECK(read(pipes[0], line, sizeof(line) - 1) > 0);
	CHECK(!strcmp(line, "value -7 of fake is 2.50%\nvalue -7 of fake is 2.50%\n"));
}

static void procs(void)
{
	CUdriverProcAddressQueryResult status;
	void *function;

	OK(cuGetProcAddress("cuMemAlloc", &function, 12000, 0, &status));
	CHECK(function == (void *)cuMemAlloc_v2 && status == CU_GET_PROC_ADDRESS_SUCCESS);
	OK(cuGetProcAddress("cuEventElapsedTime", &function, 12000, 0, &status));
	CHECK(function != (void *)cuEventElapsedTime_v2);
	OK(cuGetProcAddress("cuEventElapsedTime", &function, 13000, 0, &status));
	CHECK(function == (void *)cuEventElapsedTime_v2);
	GIVES(CUDA_ERROR_NOT_FOUND, cuGetProcAddress("cuGraphLaunch", &function, 5000, 0, &status));
	CHECK(status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT && !function);
	GIVES(CUDA_ERROR_NOT_FOUND, cuGetProcAddress("cuNothing", &function, 13000, 0, &status));
	CHECK(status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	/* What is not supported is there, and says so. */
	OK(cuGetProcAddress("cuMemCreate", &function, 13000, 0, &status));
	GIVES(CUDA_ERROR_NOT_SUPPORTED, ((CUresult(*)(void *, size_t, void *, long))function)(
						NULL, 1, NULL, 0));
	OK(cuGetProcAddress("cuStreamSynchronize", &function, 13000,
			    CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
	CHECK(function != (void *)cuStreamSynchronize);
}

static void error_texts(void)
{
	const char *text = "?";

	OK(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
	CHECK(!strcmp(text, "CUDA_ERROR_ILLEGAL_ADDRESS"));
	OK(cuGetErrorString(CUDA_SUCCESS, &text));
	CHECK(!strcmp(text, "no error"));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuGetErrorName((CUresult)12345, &text));
	CHECK(!text);
}

const struct test driver_tests[] = {
	{ "before-init", before_init },
	{ "in-a-child", in_a_child },
	{ "devices", devices },
	{ "contexts", contexts },
	{ "modules", modules },
	{ "fat-binaries", fat_binaries },
	{ "memory", memory },
	{ "boxes", boxes },
	{ "launches", launches },
	{ "default-stream", default_stream },
	{ "thread-streams", thread_streams },
	{ "many-streams", many_streams },
	{ "events", events },
	{ "host-functions", host_functions },
	{ "sticky-errors", sticky_errors },
	{ "stream-ordered-memory", stream_ordered_memory },
	{ "managed", managed },
	{ "output", output },
	{ "procs", procs },
	{ "error-texts", error_texts },
	{ NULL, NULL },
};
