// SPDX-License-Identifier: Apache-2.0
/* The thread's device and last error, and the context that is there without asking. */
#include "internal.h"

#include <pthread.h>
#include <stdatomic.h>

#define DEVICES_MAX 16

static const struct {
	int value;
	const char *name, *text;
} errors[] = {
#define ERROR(value, driver, runtime, text) { value, runtime, text },
#include "../errors.inc"
#undef ERROR
};

static pthread_mutex_t primaries_lock = PTHREAD_MUTEX_INITIALIZER;
static CUcontext primaries[DEVICES_MAX];
static unsigned int device_flags[DEVICES_MAX];
/* Counts resets: what threads remember from before one is void. */
static _Atomic unsigned int resets;

static _Thread_local struct {
	int device;
	bool has_context;
	unsigned int reset;
	cudaError_t last;
} thread;

CUresult runtime_init(void)
{
	static _Atomic bool initialised;
	CUresult error;

	if (atomic_load_explicit(&initialised, memory_order_acquire)) {
		int count;

		/* In a fork()ed child it no longer is. */
		return cuDeviceGetCount(&count);
	}
	error = cuInit(0);
	if (error == CUDA_SUCCESS)
		atomic_store(&initialised, true);
	return error;
}

static CUresult primary_context(int device, CUcontext *context)
{
	CUresult error = CUDA_SUCCESS;

	if (device < 0 || device >= DEVICES_MAX)
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&primaries_lock);
	if (!primaries[device])
		error = cuDevicePrimaryCtxRetain(&primaries[device], device);
	*context = primaries[device];
	pthread_mutex_unlock(&primaries_lock);
	return error;
}

static CUresult take_primary(void)
{
	CUcontext context;
	CUresult error = primary_context(thread.device, &context);

	if (error == CUDA_SUCCESS)
		error = cuCtxSetCurrent(context);
	if (error == CUDA_SUCCESS) {
		thread.has_context = true;
		thread.reset = atomic_load(&resets);
	}
	return error;
}

CUresult runtime_begin(void)
{
	CUcontext current = NULL;
	CUresult error;

	if (thread.has_context && thread.reset == atomic_load_explicit(&resets,
								       memory_order_relaxed)) {
		error = cuCtxGetCurrent(&current);
		if (error != CUDA_SUCCESS || current)
			return error;
	}
	error = runtime_init();
	if (error == CUDA_SUCCESS)
		error = cuCtxGetCurrent(&current);
	if (error != CUDA_SUCCESS)
		return error;
	/* The program's own context, if it is none that a reset has ended. */
	if (current && !thread.has_context) {
		CUdevice device;

		if (cuCtxGetDevice(&device) == CUDA_SUCCESS) {
			thread.device = device;
			return CUDA_SUCCESS;
		}
	}
	return take_primary();
}

int runtime_device(void)
{
	return thread.device;
}

cudaError_t runtime_fail(cudaError_t error)
{
	if (error != cudaSuccess)
		thread.last = error;
	return error;
}

cudaError_t runtime_done(CUresult error)
{
	/* The values are the same; a few have other names. */
	return runtime_fail((cudaError_t)error);
}

/* An error that a kernel caused stays: every later call gives it anyway. */
cudaError_t cudaGetLastError(void)
{
	cudaError_t last = thread.last;

	thread.last = cudaSuccess;
	return last;
}

cudaError_t cudaPeekAtLastError(void)
{
	return thread.last;
}

const char *cudaGetErrorName(cudaError_t error)
{
	for (size_t i = 0; i < ARRAY_COUNT(errors); i++)
		if (errors[i].value == (int)error && errors[i].name)
			return errors[i].name;
	return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
	for (size_t i = 0; i < ARRAY_COUNT(errors); i++)
		if (errors[i].value == (int)error && errors[i].name)
			return errors[i].text;
	return "unrecognized error code";
}

cudaError_t cudaDriverGetVersion(int *version)
{
	return runtime_done(cuDriverGetVersion(version));
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	if (!version)
		return runtime_fail(cudaErrorInvalidValue);
	*version = CUDART_VERSION;
	return cudaSuccess;
}

/* ---- The thread's device -------------------------------------------------------------------- */

cudaError_t cudaSetDevice(int device)
{
	int count;
	CUresult error = runtime_init();

	if (error == CUDA_SUCCESS)
		error = cuDeviceGetCount(&count);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	if (device < 0 || device >= count)
		return runtime_fail(cudaErrorInvalidDevice);
	thread.device = device;
	return runtime_done(take_primary());
}

cudaError_t cudaInitDevice(int device, unsigned int device_flags_, unsigned int flags)
{
	CUcontext context;
	CUresult error = runtime_init();

	if (error == CUDA_SUCCESS && (flags & ~(unsigned int)cudaInitDeviceFlagsAreValid))
		error = CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS && (flags & cudaInitDeviceFlagsAreValid))
		error = cuDevicePrimaryCtxSetFlags(device, device_flags_ &
						   ~(unsigned int)cudaDeviceMapHost);
	if (error == CUDA_SUCCESS)
		error = primary_context(device, &context);
	return runtime_done(error);
}

cudaError_t cudaGetDevice(int *device)
{
	CUdevice current;
	CUresult error = runtime_init();

	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	if (!device)
		return runtime_fail(cudaErrorInvalidValue);
	*device = cuCtxGetDevice(&current) == CUDA_SUCCESS ? current : thread.device;
	return cudaSuccess;
}

cudaError_t cudaSetDeviceFlags(unsigned int flags)
{
	CUresult error = runtime_init();

	if (flags & ~(unsigned int)cudaDeviceMask)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS && thread.device < DEVICES_MAX)
		device_flags[thread.device] = flags;
	if (error == CUDA_SUCCESS)
		error = cuDevicePrimaryCtxSetFlags(thread.device, flags);
	return runtime_done(error);
}

cudaError_t cudaGetDeviceFlags(unsigned int *flags)
{
	int active;
	CUresult error = runtime_init();

	if (!flags)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = cuDevicePrimaryCtxGetState(thread.device, flags, &active);
	return runtime_done(error);
}

cudaError_t cudaSetValidDevices(int *devices, int count)
{
	int all;
	CUresult error = runtime_init();

	if (error == CUDA_SUCCESS)
		error = cuDeviceGetCount(&all);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	if (count < 0 || (count && !devices))
		return runtime_fail(cudaErrorInvalidValue);
	for (int i = 0; i < count; i++)
		if (devices[i] < 0 || devices[i] >= all)
			return runtime_fail(cudaErrorInvalidDevice);
	if (count)
		thread.device = devices[0];
	return cudaSuccess;
}

/* The primary context ends, and all that was in it; the next call makes a new one. */
cudaError_t cudaDeviceReset(void)
{
	int device = thread.device;
	CUresult error = runtime_init();

	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	pthread_mutex_lock(&primaries_lock);
	error = cuDevicePrimaryCtxReset(device);
	primaries[device] = NULL;
	atomic_fetch_add(&resets, 1);
	pthread_mutex_unlock(&primaries_lock);
	cuCtxSetCurrent(NULL);
	return runtime_done(error);
}

cudaError_t cudaDeviceSynchronize(void)
{
	DRIVER(cuCtxSynchronize());
}
