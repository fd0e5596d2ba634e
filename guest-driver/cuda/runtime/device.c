// SPDX-License-Identifier: Apache-2.0
/* Devices: counted, described, limited. */
#include "internal.h"

#include <string.h>

cudaError_t cudaGetDeviceCount(int *count)
{
	CUresult error = runtime_init();

	if (!count)
		return runtime_fail(cudaErrorInvalidValue);
	*count = 0;
	return runtime_done(error == CUDA_SUCCESS ? cuDeviceGetCount(count) : error);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
	DRIVER_INIT(cuDeviceGetAttribute(value, (CUdevice_attribute)attribute, device));
}

/* Fields that are attributes, by their places. */
static const struct {
	size_t offset;
	CUdevice_attribute attribute;
} int_fields[] = {
#define FIELD(field, attribute) \
	{ offsetof(struct cudaDeviceProp, field), CU_DEVICE_ATTRIBUTE_##attribute }
	FIELD(regsPerBlock, MAX_REGISTERS_PER_BLOCK),
	FIELD(warpSize, WARP_SIZE),
	FIELD(maxThreadsPerBlock, MAX_THREADS_PER_BLOCK),
	FIELD(maxThreadsDim[0], MAX_BLOCK_DIM_X),
	FIELD(maxThreadsDim[1], MAX_BLOCK_DIM_Y),
	FIELD(maxThreadsDim[2], MAX_BLOCK_DIM_Z),
	FIELD(maxGridSize[0], MAX_GRID_DIM_X),
	FIELD(maxGridSize[1], MAX_GRID_DIM_Y),
	FIELD(maxGridSize[2], MAX_GRID_DIM_Z),
	FIELD(major, COMPUTE_CAPABILITY_MAJOR),
	FIELD(minor, COMPUTE_CAPABILITY_MINOR),
	FIELD(multiProcessorCount, MULTIPROCESSOR_COUNT),
	FIELD(integrated, INTEGRATED),
	FIELD(canMapHostMemory, CAN_MAP_HOST_MEMORY),
	FIELD(concurrentKernels, CONCURRENT_KERNELS),
	FIELD(ECCEnabled, ECC_ENABLED),
	FIELD(pciBusID, PCI_BUS_ID),
	FIELD(pciDeviceID, PCI_DEVICE_ID),
	FIELD(pciDomainID, PCI_DOMAIN_ID),
	FIELD(asyncEngineCount, ASYNC_ENGINE_COUNT),
	FIELD(unifiedAddressing, UNIFIED_ADDRESSING),
	FIELD(memoryBusWidth, GLOBAL_MEMORY_BUS_WIDTH),
	FIELD(l2CacheSize, L2_CACHE_SIZE),
	FIELD(maxThreadsPerMultiProcessor, MAX_THREADS_PER_MULTIPROCESSOR),
	FIELD(streamPrioritiesSupported, STREAM_PRIORITIES_SUPPORTED),
	FIELD(globalL1CacheSupported, GLOBAL_L1_CACHE_SUPPORTED),
	FIELD(localL1CacheSupported, LOCAL_L1_CACHE_SUPPORTED),
	FIELD(regsPerMultiprocessor, MAX_REGISTERS_PER_MULTIPROCESSOR),
	FIELD(managedMemory, MANAGED_MEMORY),
	FIELD(hostNativeAtomicSupported, HOST_NATIVE_ATOMIC_SUPPORTED),
	FIELD(pageableMemoryAccess, PAGEABLE_MEMORY_ACCESS),
	FIELD(concurrentManagedAccess, CONCURRENT_MANAGED_ACCESS),
	FIELD(computePreemptionSupported, COMPUTE_PREEMPTION_SUPPORTED),
	FIELD(cooperativeLaunch, COOPERATIVE_LAUNCH),
	FIELD(maxBlocksPerMultiProcessor, MAX_BLOCKS_PER_MULTIPROCESSOR),
	FIELD(hostRegisterSupported, HOST_REGISTER_SUPPORTED),
	FIELD(memoryPoolsSupported, MEMORY_POOLS_SUPPORTED),
	FIELD(clusterLaunch, CLUSTER_LAUNCH),
	FIELD(hostNumaId, HOST_NUMA_ID),
	FIELD(deviceNumaId, NUMA_ID),
#undef FIELD
}, size_fields[] = {
#define FIELD(field, attribute) \
	{ offsetof(struct cudaDeviceProp, field), CU_DEVICE_ATTRIBUTE_##attribute }
	FIELD(sharedMemPerBlock, MAX_SHARED_MEMORY_PER_BLOCK),
	FIELD(sharedMemPerBlockOptin, MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
	FIELD(sharedMemPerMultiprocessor, MAX_SHARED_MEMORY_PER_MULTIPROCESSOR),
	FIELD(memPitch, MAX_PITCH),
	FIELD(totalConstMem, TOTAL_CONSTANT_MEMORY),
	FIELD(textureAlignment, TEXTURE_ALIGNMENT),
	FIELD(texturePitchAlignment, TEXTURE_PITCH_ALIGNMENT),
	FIELD(surfaceAlignment, SURFACE_ALIGNMENT),
#undef FIELD
};

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
	CUresult error = runtime_init();
	int value;

	if (!properties)
		return runtime_fail(cudaErrorInvalidValue);
	memset(properties, 0, sizeof(*properties));
	if (error == CUDA_SUCCESS)
		error = cuDeviceGetName(properties->name, sizeof(properties->name), device);
	if (error == CUDA_SUCCESS)
		error = cuDeviceTotalMem(&properties->totalGlobalMem, device);
	if (error == CUDA_SUCCESS)
		error = cuDeviceGetUuid(&properties->uuid, device);
	for (size_t i = 0; i < ARRAY_COUNT(int_fields) && error == CUDA_SUCCESS; i++) {
		error = cuDeviceGetAttribute(&value, int_fields[i].attribute, device);
		memcpy((char *)properties + int_fields[i].offset, &value, sizeof(value));
	}
	for (size_t i = 0; i < ARRAY_COUNT(size_fields) && error == CUDA_SUCCESS; i++) {
		size_t wide;

		error = cuDeviceGetAttribute(&value, size_fields[i].attribute, device);
		wide = (size_t)value;
		memcpy((char *)properties + size_fields[i].offset, &wide, sizeof(wide));
	}
	return runtime_done(error);
}

cudaError_t cudaChooseDevice(int *device, const struct cudaDeviceProp *wanted)
{
	int count;
	CUresult error = runtime_init();

	if (!device || !wanted)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = cuDeviceGetCount(&count);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	*device = 0;
	for (int i = count - 1; i >= 0; i--) {
		struct cudaDeviceProp have;

		if (cudaGetDeviceProperties(&have, i) == cudaSuccess &&
		    have.major >= wanted->major && have.totalGlobalMem >= wanted->totalGlobalMem)
			*device = i;
	}
	return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int length, int device)
{
	DRIVER_INIT(cuDeviceGetPCIBusId(id, length, device));
}

cudaError_t cudaDeviceGetByPCIBusId(int *device, const char *id)
{
	DRIVER_INIT(cuDeviceGetByPCIBusId(device, id));
}

cudaError_t cudaDeviceGetP2PAttribute(int *value, enum cudaDeviceP2PAttr attribute, int source,
				      int target)
{
	DRIVER_INIT(cuDeviceGetP2PAttribute(value, (CUdevice_P2PAttribute)attribute, source,
					    target));
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
	DRIVER_INIT(cuDeviceCanAccessPeer(can, device, peer));
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
	int count;
	CUresult error = runtime_init();

	if (error == CUDA_SUCCESS)
		error = cuDeviceGetCount(&count);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	if (peer < 0 || peer >= count || peer == runtime_device())
		return runtime_fail(cudaErrorInvalidDevice);
	return runtime_fail(flags ? cudaErrorInvalidValue : cudaErrorPeerAccessUnsupported);
}

cudaError_t cudaDeviceDisablePeerAccess(int peer)
{
	int count;
	CUresult error = runtime_init();

	if (error == CUDA_SUCCESS)
		error = cuDeviceGetCount(&count);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	return runtime_fail(peer < 0 || peer >= count ? cudaErrorInvalidDevice :
							cudaErrorPeerAccessNotEnabled);
}

cudaError_t cudaDeviceSetLimit(enum cudaLimit limit, size_t value)
{
	DRIVER(cuCtxSetLimit((CUlimit)limit, value));
}

cudaError_t cudaDeviceGetLimit(size_t *value, enum cudaLimit limit)
{
	DRIVER(cuCtxGetLimit(value, (CUlimit)limit));
}

cudaError_t cudaDeviceGetCacheConfig(enum cudaFuncCache *config)
{
	DRIVER(cuCtxGetCacheConfig((CUfunc_cache *)config));
}

cudaError_t cudaDeviceSetCacheConfig(enum cudaFuncCache config)
{
	DRIVER(cuCtxSetCacheConfig((CUfunc_cache)config));
}

cudaError_t cudaDeviceGetSharedMemConfig(enum cudaSharedMemConfig *config)
{
	DRIVER(cuCtxGetSharedMemConfig((CUsharedconfig *)config));
}

cudaError_t cudaDeviceSetSharedMemConfig(enum cudaSharedMemConfig config)
{
	DRIVER(cuCtxSetSharedMemConfig((CUsharedconfig)config));
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
	DRIVER(cuCtxGetStreamPriorityRange(least, greatest));
}

cudaError_t cudaCtxResetPersistingL2Cache(void)
{
	DRIVER(cuCtxResetPersistingL2Cache());
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
	DRIVER(cuDeviceGetDefaultMemPool(pool, device));
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *pool, int device)
{
	DRIVER(cuDeviceGetMemPool(pool, device));
}

cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool)
{
	DRIVER(cuDeviceSetMemPool(device, pool));
}

cudaError_t cudaDeviceGraphMemTrim(int device)
{
	DRIVER_INIT(cuDeviceGraphMemTrim(device));
}

cudaError_t cudaDeviceGetGraphMemAttribute(int device, enum cudaGraphMemAttributeType attribute,
					   void *value)
{
	DRIVER_INIT(cuDeviceGetGraphMemAttribute(device, (CUgraphMem_attribute)attribute, value));
}

cudaError_t cudaDeviceSetGraphMemAttribute(int device, enum cudaGraphMemAttributeType attribute,
					   void *value)
{
	DRIVER_INIT(cuDeviceSetGraphMemAttribute(device, (CUgraphMem_attribute)attribute, value));
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function,
					     unsigned int version, unsigned long long flags,
					     enum cudaDriverEntryPointQueryResult *status)
{
	CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SUCCESS;
	CUresult error = cuGetProcAddress(name, function, (int)version, flags, &found);

	/* What is not found is told by the status, where there is room for it. */
	if (status) {
		*status = (enum cudaDriverEntryPointQueryResult)found;
		if (error == CUDA_ERROR_NOT_FOUND)
			error = CUDA_SUCCESS;
	}
	return runtime_done(error);
}

cudaError_t cudaGetDriverEntryPoint(const char *name, void **function, unsigned long long flags,
				    enum cudaDriverEntryPointQueryResult *status)
{
	return cudaGetDriverEntryPointByVersion(name, function, CUDART_VERSION, flags, status);
}

/* They tell a profiler when to look; there is none. */
cudaError_t cudaProfilerStart(void);
cudaError_t cudaProfilerStart(void)
{
	return runtime_done(cuProfilerStart());
}

cudaError_t cudaProfilerStop(void);
cudaError_t cudaProfilerStop(void)
{
	return runtime_done(cuProfilerStop());
}
