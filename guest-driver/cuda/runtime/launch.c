// SPDX-License-Identifier: Apache-2.0
/* Kernels: launched, described, configured. */
#include "internal.h"

#include <string.h>

/* ---- The configuration between <<< and >>> ------------------------------------------------ */

#define CONFIGURATIONS_MAX 16

static _Thread_local struct {
	dim3 grid, block;
	size_t shared_bytes;
	void *stream;
} configurations[CONFIGURATIONS_MAX];
static _Thread_local unsigned int configuration_count;

unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, void *stream);
unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, void *stream)
{
	if (configuration_count == CONFIGURATIONS_MAX)
		return (unsigned int)runtime_fail(cudaErrorMissingConfiguration);
	configurations[configuration_count].grid = grid;
	configurations[configuration_count].block = block;
	configurations[configuration_count].shared_bytes = shared_bytes;
	configurations[configuration_count].stream = stream;
	configuration_count++;
	return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes,
				       void *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes,
				       void *stream)
{
	if (!configuration_count)
		return runtime_fail(cudaErrorMissingConfiguration);
	configuration_count--;
	*grid = configurations[configuration_count].grid;
	*block = configurations[configuration_count].block;
	*shared_bytes = configurations[configuration_count].shared_bytes;
	*(void **)stream = configurations[configuration_count].stream;
	return cudaSuccess;
}

/* ---- Launches -------------------------------------------------------------------------------- */

/* The driver has one error for all mistakes; the runtime tells sizes apart. */
static bool sizes_fit(dim3 grid, dim3 block, size_t shared_bytes, CUfunction function)
{
	int threads = 0, shared = 0, dimension[6];
	CUdevice device;

	if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z)
		return false;
	if (cuCtxGetDevice(&device) != CUDA_SUCCESS)
		return true;
	for (int i = 0; i < 6; i++)
		cuDeviceGetAttribute(&dimension[i], (CUdevice_attribute)(
				     CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i), device);
	cuFuncGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function);
	cuFuncGetAttribute(&shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function);
	return block.x <= (unsigned int)dimension[0] && block.y <= (unsigned int)dimension[1] &&
	       block.z <= (unsigned int)dimension[2] && grid.x <= (unsigned int)dimension[3] &&
	       grid.y <= (unsigned int)dimension[4] && grid.z <= (unsigned int)dimension[5] &&
	       (unsigned long long)block.x * block.y * block.z <= (unsigned int)threads &&
	       shared_bytes <= (size_t)shared;
}

static cudaError_t launch_done(CUresult error, dim3 grid, dim3 block, size_t shared_bytes,
			       CUfunction function)
{
	if (error == CUDA_ERROR_INVALID_VALUE && !sizes_fit(grid, block, shared_bytes, function))
		return runtime_fail(cudaErrorInvalidConfiguration);
	return runtime_done(error);
}

static cudaError_t launch(const void *address, dim3 grid, dim3 block, void **parameters,
			  size_t shared_bytes, cudaStream_t stream)
{
	CUfunction function = NULL;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = symbol_function(address, &function);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	if (shared_bytes > UINT32_MAX)
		return runtime_fail(cudaErrorInvalidConfiguration);
	error = cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
			       (unsigned int)shared_bytes, stream, parameters, NULL);
	return launch_done(error, grid, block, shared_bytes, function);
}

cudaError_t cudaLaunchKernel(const void *address, dim3 grid, dim3 block, void **parameters,
			     size_t shared_bytes, cudaStream_t stream)
{
	return launch(address, grid, block, parameters, shared_bytes, stream);
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *address);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *address)
{
	CUresult error = runtime_init();

	if (error == CUDA_SUCCESS)
		error = symbol_kernel(address, kernel);
	return runtime_done(error);
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **parameters,
			       size_t shared_bytes, cudaStream_t stream);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **parameters,
			       size_t shared_bytes, cudaStream_t stream)
{
	return launch(kernel, grid, block, parameters, shared_bytes, stream);
}

cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block,
				    void **parameters, size_t shared_bytes, cudaStream_t stream);
cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block,
				    void **parameters, size_t shared_bytes, cudaStream_t stream)
{
	return launch(kernel, grid, block, parameters, shared_bytes,
		      stream ? stream : cudaStreamPerThread);
}

cudaError_t cudaLaunchCooperativeKernel(const void *address, dim3 grid, dim3 block,
					void **parameters, size_t shared_bytes,
					cudaStream_t stream)
{
	CUfunction function = NULL;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = symbol_function(address, &function);
	if (error == CUDA_SUCCESS)
		error = cuLaunchCooperativeKernel(function, grid.x, grid.y, grid.z, block.x,
						  block.y, block.z, (unsigned int)shared_bytes,
						  stream, parameters);
	return launch_done(error, grid, block, shared_bytes, function);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *from, const void *address,
				void **parameters)
{
	CUfunction function = NULL;
	CUlaunchConfig config;
	CUresult error = runtime_begin();

	if (!from)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = symbol_function(address, &function);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	config = (CUlaunchConfig){
		.gridDimX = from->gridDim.x, .gridDimY = from->gridDim.y,
		.gridDimZ = from->gridDim.z, .blockDimX = from->blockDim.x,
		.blockDimY = from->blockDim.y, .blockDimZ = from->blockDim.z,
		.sharedMemBytes = (unsigned int)from->dynamicSmemBytes, .hStream = from->stream,
		/* The two lists are laid out alike. */
		.attrs = (CUlaunchAttribute *)from->attrs, .numAttrs = from->numAttrs,
	};
	return launch_done(cuLaunchKernelEx(&config, function, parameters, NULL), from->gridDim,
			   from->blockDim, from->dynamicSmemBytes, function);
}

/* ---- Kernels as such ----------------------------------------------------------------------------- */

#define WITH_FUNCTION(call) do { \
		CUfunction function = NULL; \
		CUresult error_ = runtime_begin(); \
		if (error_ == CUDA_SUCCESS) \
			error_ = symbol_function(address, &function); \
		if (error_ == CUDA_SUCCESS) \
			error_ = (call); \
		return runtime_done(error_); \
	} while (0)

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *address)
{
	CUfunction function;
	CUresult error = runtime_begin();
	int shared = 0, constant = 0, local = 0;

	if (!out)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = symbol_function(address, &function);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	memset(out, 0, sizeof(*out));
	cuFuncGetAttribute(&shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function);
	cuFuncGetAttribute(&constant, CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES, function);
	cuFuncGetAttribute(&local, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, function);
	out->sharedSizeBytes = (size_t)shared;
	out->constSizeBytes = (size_t)constant;
	out->localSizeBytes = (size_t)local;
	cuFuncGetAttribute(&out->maxThreadsPerBlock, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
			   function);
	cuFuncGetAttribute(&out->numRegs, CU_FUNC_ATTRIBUTE_NUM_REGS, function);
	cuFuncGetAttribute(&out->ptxVersion, CU_FUNC_ATTRIBUTE_PTX_VERSION, function);
	cuFuncGetAttribute(&out->binaryVersion, CU_FUNC_ATTRIBUTE_BINARY_VERSION, function);
	cuFuncGetAttribute(&out->maxDynamicSharedSizeBytes,
			   CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function);
	cuFuncGetAttribute(&out->preferredShmemCarveout,
			   CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, function);
	return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *address, enum cudaFuncAttribute attribute, int value)
{
	WITH_FUNCTION(cuFuncSetAttribute(function, (CUfunction_attribute)attribute, value));
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, enum cudaFuncAttribute attribute,
					    int value, int device)
{
	DRIVER(cuKernelSetAttribute((CUfunction_attribute)attribute, value, kernel, device));
}

cudaError_t cudaFuncSetCacheConfig(const void *address, enum cudaFuncCache config)
{
	WITH_FUNCTION(cuFuncSetCacheConfig(function, (CUfunc_cache)config));
}

cudaError_t cudaFuncSetSharedMemConfig(const void *address, enum cudaSharedMemConfig config)
{
	WITH_FUNCTION(cuFuncSetSharedMemConfig(function, (CUsharedconfig)config));
}

cudaError_t cudaFuncGetName(const char **name, const void *address)
{
	WITH_FUNCTION(cuFuncGetName(name, function));
}

cudaError_t cudaFuncGetParamInfo(const void *address, size_t index, size_t *offset, size_t *bytes)
{
	WITH_FUNCTION(cuFuncGetParamInfo(function, index, offset, bytes));
}

cudaError_t cudaGetFuncBySymbol(cudaFunction_t *out, const void *address)
{
	CUresult error = runtime_begin();

	return runtime_done(error == CUDA_SUCCESS ? symbol_function(address, out) : error);
}

cudaError_t cudaGetKernel(cudaKernel_t *kernel, const void *address)
{
	CUresult error = runtime_init();

	return runtime_done(error == CUDA_SUCCESS ? symbol_kernel(address, kernel) : error);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *address,
							  int block_threads, size_t dynamic)
{
	WITH_FUNCTION(cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, block_threads,
								  dynamic));
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks,
								   const void *address,
								   int block_threads,
								   size_t dynamic,
								   unsigned int flags)
{
	WITH_FUNCTION(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function,
									   block_threads,
									   dynamic, flags));
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t *dynamic, const void *address,
						      int blocks, int block_threads)
{
	WITH_FUNCTION(cuOccupancyAvailableDynamicSMemPerBlock(dynamic, function, blocks,
							      block_threads));
}

/* ---- Libraries --------------------------------------------------------------------------------------- */

cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code,
				enum cudaJitOption *jit_options, void **jit_values,
				unsigned int jit_count, enum cudaLibraryOption *options,
				void **values, unsigned int count)
{
	DRIVER(cuLibraryLoadData(library, code, (CUjit_option *)jit_options, jit_values, jit_count,
				 (CUlibraryOption *)options, values, count));
}

cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t *library, const char *path,
				    enum cudaJitOption *jit_options, void **jit_values,
				    unsigned int jit_count, enum cudaLibraryOption *options,
				    void **values, unsigned int count)
{
	DRIVER(cuLibraryLoadFromFile(library, path, (CUjit_option *)jit_options, jit_values,
				     jit_count, (CUlibraryOption *)options, values, count));
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
	DRIVER_INIT(cuLibraryUnload(library));
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name)
{
	DRIVER_INIT(cuLibraryGetKernel(kernel, library, name));
}

cudaError_t cudaLibraryGetKernelCount(unsigned int *count, cudaLibrary_t library)
{
	DRIVER_INIT(cuLibraryGetKernelCount(count, library));
}

cudaError_t cudaLibraryEnumerateKernels(cudaKernel_t *kernels, unsigned int count,
					cudaLibrary_t library)
{
	DRIVER_INIT(cuLibraryEnumerateKernels(kernels, count, library));
}

cudaError_t cudaLibraryGetGlobal(void **pointer, size_t *bytes, cudaLibrary_t library,
				 const char *name)
{
	DRIVER(cuLibraryGetGlobal((CUdeviceptr *)pointer, bytes, library, name));
}

cudaError_t cudaLibraryGetManaged(void **pointer, size_t *bytes, cudaLibrary_t library,
				  const char *name)
{
	DRIVER(cuLibraryGetManaged((CUdeviceptr *)pointer, bytes, library, name));
}

cudaError_t cudaLibraryGetUnifiedFunction(void **function, cudaLibrary_t library, const char *name)
{
	DRIVER(cuLibraryGetUnifiedFunction(function, library, name));
}
