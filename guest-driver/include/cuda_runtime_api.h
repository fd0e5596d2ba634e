/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA's runtime interface, as para-vgpu's libcudart.so.13 provides it.
 *
 * Names, values, layouts and symbols are those of CUDA 13. Programs built by
 * nvcc use NVIDIA's own headers and run on this library as they are; this header
 * is for building host programs in C or C++ where there is no toolkit, with
 * kernels from PTX files (cudaLibraryLoadFromFile()). It declares what the
 * library can do; every other function of the runtime is in the library too and
 * returns cudaErrorNotSupported. docs/CUDA.md says what is supported and how far.
 */
#ifndef __CUDA_RUNTIME_API_H__
#define __CUDA_RUNTIME_API_H__

#include <stddef.h>

#define CUDART_VERSION 13000
#define CUDARTAPI
#define CUDART_CB

/* Programs with a default stream per thread call symbols of their own. */
#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
#define cudaEventRecord cudaEventRecord_ptsz
#define cudaEventRecordWithFlags cudaEventRecordWithFlags_ptsz
#define cudaFreeAsync cudaFreeAsync_ptsz
#define cudaGetDriverEntryPoint cudaGetDriverEntryPoint_ptsz
#define cudaGetDriverEntryPointByVersion cudaGetDriverEntryPointByVersion_ptsz
#define cudaGraphInstantiateWithParams cudaGraphInstantiateWithParams_ptsz
#define cudaGraphLaunch cudaGraphLaunch_ptsz
#define cudaGraphUpload cudaGraphUpload_ptsz
#define cudaLaunchCooperativeKernel cudaLaunchCooperativeKernel_ptsz
#define cudaLaunchHostFunc cudaLaunchHostFunc_ptsz
#define cudaLaunchKernel cudaLaunchKernel_ptsz
#define cudaLaunchKernelExC cudaLaunchKernelExC_ptsz
#define cudaMallocAsync cudaMallocAsync_ptsz
#define cudaMallocFromPoolAsync cudaMallocFromPoolAsync_ptsz
#define cudaMemPrefetchAsync cudaMemPrefetchAsync_ptsz
#define cudaMemcpy cudaMemcpy_ptds
#define cudaMemcpy2D cudaMemcpy2D_ptds
#define cudaMemcpy2DAsync cudaMemcpy2DAsync_ptsz
#define cudaMemcpy3D cudaMemcpy3D_ptds
#define cudaMemcpy3DAsync cudaMemcpy3DAsync_ptsz
#define cudaMemcpyAsync cudaMemcpyAsync_ptsz
#define cudaMemcpyFromSymbol cudaMemcpyFromSymbol_ptds
#define cudaMemcpyFromSymbolAsync cudaMemcpyFromSymbolAsync_ptsz
#define cudaMemcpyToSymbol cudaMemcpyToSymbol_ptds
#define cudaMemcpyToSymbolAsync cudaMemcpyToSymbolAsync_ptsz
#define cudaMemset cudaMemset_ptds
#define cudaMemset2D cudaMemset2D_ptds
#define cudaMemset2DAsync cudaMemset2DAsync_ptsz
#define cudaMemset3D cudaMemset3D_ptds
#define cudaMemset3DAsync cudaMemset3DAsync_ptsz
#define cudaMemsetAsync cudaMemsetAsync_ptsz
#define cudaStreamAddCallback cudaStreamAddCallback_ptsz
#define cudaStreamAttachMemAsync cudaStreamAttachMemAsync_ptsz
#define cudaStreamBeginCapture cudaStreamBeginCapture_ptsz
#define cudaStreamBeginCaptureToGraph cudaStreamBeginCaptureToGraph_ptsz
#define cudaStreamCopyAttributes cudaStreamCopyAttributes_ptsz
#define cudaStreamEndCapture cudaStreamEndCapture_ptsz
#define cudaStreamGetAttribute cudaStreamGetAttribute_ptsz
#define cudaStreamGetCaptureInfo cudaStreamGetCaptureInfo_ptsz
#define cudaStreamGetDevice cudaStreamGetDevice_ptsz
#define cudaStreamGetFlags cudaStreamGetFlags_ptsz
#define cudaStreamGetId cudaStreamGetId_ptsz
#define cudaStreamGetPriority cudaStreamGetPriority_ptsz
#define cudaStreamIsCapturing cudaStreamIsCapturing_ptsz
#define cudaStreamQuery cudaStreamQuery_ptsz
#define cudaStreamSetAttribute cudaStreamSetAttribute_ptsz
#define cudaStreamSynchronize cudaStreamSynchronize_ptsz
#define cudaStreamUpdateCaptureDependencies cudaStreamUpdateCaptureDependencies_ptsz
#define cudaStreamWaitEvent cudaStreamWaitEvent_ptsz
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns; cudaError_t. */
enum cudaError {
	cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2,
	cudaErrorInitializationError = 3, cudaErrorCudartUnloading = 4, cudaErrorProfilerDisabled = 5,
	cudaErrorProfilerNotInitialized = 6, cudaErrorProfilerAlreadyStarted = 7,
	cudaErrorProfilerAlreadyStopped = 8, cudaErrorInvalidConfiguration = 9,
	cudaErrorInvalidPitchValue = 12, cudaErrorInvalidSymbol = 13,
	cudaErrorInvalidHostPointer = 16, cudaErrorInvalidDevicePointer = 17,
	cudaErrorInvalidTexture = 18, cudaErrorInvalidTextureBinding = 19,
	cudaErrorInvalidChannelDescriptor = 20, cudaErrorInvalidMemcpyDirection = 21,
	cudaErrorAddressOfConstant = 22, cudaErrorTextureFetchFailed = 23,
	cudaErrorTextureNotBound = 24, cudaErrorSynchronizationError = 25,
	cudaErrorInvalidFilterSetting = 26, cudaErrorInvalidNormSetting = 27,
	cudaErrorMixedDeviceExecution = 28, cudaErrorNotYetImplemented = 31,
	cudaErrorMemoryValueTooLarge = 32, cudaErrorStubLibrary = 34,
	cudaErrorInsufficientDriver = 35, cudaErrorCallRequiresNewerDriver = 36,
	cudaErrorInvalidSurface = 37, cudaErrorDuplicateVariableName = 43,
	cudaErrorDuplicateTextureName = 44, cudaErrorDuplicateSurfaceName = 45,
	cudaErrorDevicesUnavailable = 46, cudaErrorIncompatibleDriverContext = 49,
	cudaErrorMissingConfiguration = 52, cudaErrorPriorLaunchFailure = 53,
	cudaErrorLaunchMaxDepthExceeded = 65, cudaErrorLaunchFileScopedTex = 66,
	cudaErrorLaunchFileScopedSurf = 67, cudaErrorSyncDepthExceeded = 68,
	cudaErrorLaunchPendingCountExceeded = 69, cudaErrorInvalidDeviceFunction = 98,
	cudaErrorNoDevice = 100, cudaErrorInvalidDevice = 101, cudaErrorDeviceNotLicensed = 102,
	cudaErrorSoftwareValidityNotEstablished = 103, cudaErrorStartupFailure = 127,
	cudaErrorInvalidKernelImage = 200, cudaErrorDeviceUninitialized = 201,
	cudaErrorMapBufferObjectFailed = 205, cudaErrorUnmapBufferObjectFailed = 206,
	cudaErrorArrayIsMapped = 207, cudaErrorAlreadyMapped = 208,
	cudaErrorNoKernelImageForDevice = 209, cudaErrorAlreadyAcquired = 210,
	cudaErrorNotMapped = 211, cudaErrorNotMappedAsArray = 212, cudaErrorNotMappedAsPointer = 213,
	cudaErrorECCUncorrectable = 214, cudaErrorUnsupportedLimit = 215,
	cudaErrorDeviceAlreadyInUse = 216, cudaErrorPeerAccessUnsupported = 217,
	cudaErrorInvalidPtx = 218, cudaErrorInvalidGraphicsContext = 219,
	cudaErrorNvlinkUncorrectable = 220, cudaErrorJitCompilerNotFound = 221,
	cudaErrorUnsupportedPtxVersion = 222, cudaErrorJitCompilationDisabled = 223,
	cudaErrorUnsupportedExecAffinity = 224, cudaErrorUnsupportedDevSideSync = 225,
	cudaErrorContained = 226, cudaErrorInvalidSource = 300, cudaErrorFileNotFound = 301,
	cudaErrorSharedObjectSymbolNotFound = 302, cudaErrorSharedObjectInitFailed = 303,
	cudaErrorOperatingSystem = 304, cudaErrorInvalidResourceHandle = 400,
	cudaErrorIllegalState = 401, cudaErrorLossyQuery = 402, cudaErrorSymbolNotFound = 500,
	cudaErrorNotReady = 600, cudaErrorIllegalAddress = 700, cudaErrorLaunchOutOfResources = 701,
	cudaErrorLaunchTimeout = 702, cudaErrorLaunchIncompatibleTexturing = 703,
	cudaErrorPeerAccessAlreadyEnabled = 704, cudaErrorPeerAccessNotEnabled = 705,
	cudaErrorSetOnActiveProcess = 708, cudaErrorContextIsDestroyed = 709, cudaErrorAssert = 710,
	cudaErrorTooManyPeers = 711, cudaErrorHostMemoryAlreadyRegistered = 712,
	cudaErrorHostMemoryNotRegistered = 713, cudaErrorHardwareStackError = 714,
	cudaErrorIllegalInstruction = 715, cudaErrorMisalignedAddress = 716,
	cudaErrorInvalidAddressSpace = 717, cudaErrorInvalidPc = 718, cudaErrorLaunchFailure = 719,
	cudaErrorCooperativeLaunchTooLarge = 720, cudaErrorTensorMemoryLeak = 721,
	cudaErrorNotPermitted = 800, cudaErrorNotSupported = 801, cudaErrorSystemNotReady = 802,
	cudaErrorSystemDriverMismatch = 803, cudaErrorCompatNotSupportedOnDevice = 804,
	cudaErrorMpsConnectionFailed = 805, cudaErrorMpsRpcFailure = 806,
	cudaErrorMpsServerNotReady = 807, cudaErrorMpsMaxClientsReached = 808,
	cudaErrorMpsMaxConnectionsReached = 809, cudaErrorMpsClientTerminated = 810,
	cudaErrorCdpNotSupported = 811, cudaErrorCdpVersionMismatch = 812,
	cudaErrorStreamCaptureUnsupported = 900, cudaErrorStreamCaptureInvalidated = 901,
	cudaErrorStreamCaptureMerge = 902, cudaErrorStreamCaptureUnmatched = 903,
	cudaErrorStreamCaptureUnjoined = 904, cudaErrorStreamCaptureIsolation = 905,
	cudaErrorStreamCaptureImplicit = 906, cudaErrorCapturedEvent = 907,
	cudaErrorStreamCaptureWrongThread = 908, cudaErrorTimeout = 909,
	cudaErrorGraphExecUpdateFailure = 910, cudaErrorExternalDevice = 911,
	cudaErrorInvalidClusterSize = 912, cudaErrorFunctionNotLoaded = 913,
	cudaErrorInvalidResourceType = 914, cudaErrorInvalidResourceConfiguration = 915,
	cudaErrorUnknown = 999, cudaErrorApiFailureBase = 10000,
};

/* Directions of copies; by address with cudaMemcpyDefault. */
enum cudaMemcpyKind {
	cudaMemcpyHostToHost = 0, cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2,
	cudaMemcpyDeviceToDevice = 3, cudaMemcpyDefault = 4,
};

/* What a pointer points to. */
enum cudaMemoryType {
	cudaMemoryTypeUnregistered = 0, cudaMemoryTypeHost = 1, cudaMemoryTypeDevice = 2,
	cudaMemoryTypeManaged = 3,
};

/* Attributes of a device. */
enum cudaDeviceAttr {
	cudaDevAttrMaxThreadsPerBlock = 1, cudaDevAttrMaxBlockDimX = 2, cudaDevAttrMaxBlockDimY = 3,
	cudaDevAttrMaxBlockDimZ = 4, cudaDevAttrMaxGridDimX = 5, cudaDevAttrMaxGridDimY = 6,
	cudaDevAttrMaxGridDimZ = 7, cudaDevAttrMaxSharedMemoryPerBlock = 8,
	cudaDevAttrTotalConstantMemory = 9, cudaDevAttrWarpSize = 10, cudaDevAttrMaxPitch = 11,
	cudaDevAttrMaxRegistersPerBlock = 12, cudaDevAttrClockRate = 13,
	cudaDevAttrTextureAlignment = 14, cudaDevAttrGpuOverlap = 15,
	cudaDevAttrMultiProcessorCount = 16, cudaDevAttrKernelExecTimeout = 17,
	cudaDevAttrIntegrated = 18, cudaDevAttrCanMapHostMemory = 19, cudaDevAttrComputeMode = 20,
	cudaDevAttrMaxTexture1DWidth = 21, cudaDevAttrMaxTexture2DWidth = 22,
	cudaDevAttrMaxTexture2DHeight = 23, cudaDevAttrMaxTexture3DWidth = 24,
	cudaDevAttrMaxTexture3DHeight = 25, cudaDevAttrMaxTexture3DDepth = 26,
	cudaDevAttrMaxTexture2DLayeredWidth = 27, cudaDevAttrMaxTexture2DLayeredHeight = 28,
	cudaDevAttrMaxTexture2DLayeredLayers = 29, cudaDevAttrSurfaceAlignment = 30,
	cudaDevAttrConcurrentKernels = 31, cudaDevAttrEccEnabled = 32, cudaDevAttrPciBusId = 33,
	cudaDevAttrPciDeviceId = 34, cudaDevAttrTccDriver = 35, cudaDevAttrMemoryClockRate = 36,
	cudaDevAttrGlobalMemoryBusWidth = 37, cudaDevAttrL2CacheSize = 38,
	cudaDevAttrMaxThreadsPerMultiProcessor = 39, cudaDevAttrAsyncEngineCount = 40,
	cudaDevAttrUnifiedAddressing = 41, cudaDevAttrMaxTexture1DLayeredWidth = 42,
	cudaDevAttrMaxTexture1DLayeredLayers = 43, cudaDevAttrMaxTexture2DGatherWidth = 45,
	cudaDevAttrMaxTexture2DGatherHeight = 46, cudaDevAttrMaxTexture3DWidthAlt = 47,
	cudaDevAttrMaxTexture3DHeightAlt = 48, cudaDevAttrMaxTexture3DDepthAlt = 49,
	cudaDevAttrPciDomainId = 50, cudaDevAttrTexturePitchAlignment = 51,
	cudaDevAttrMaxTextureCubemapWidth = 52, cudaDevAttrMaxTextureCubemapLayeredWidth = 53,
	cudaDevAttrMaxTextureCubemapLayeredLayers = 54, cudaDevAttrMaxSurface1DWidth = 55,
	cudaDevAttrMaxSurface2DWidth = 56, cudaDevAttrMaxSurface2DHeight = 57,
	cudaDevAttrMaxSurface3DWidth = 58, cudaDevAttrMaxSurface3DHeight = 59,
	cudaDevAttrMaxSurface3DDepth = 60, cudaDevAttrMaxSurface1DLayeredWidth = 61,
	cudaDevAttrMaxSurface1DLayeredLayers = 62, cudaDevAttrMaxSurface2DLayeredWidth = 63,
	cudaDevAttrMaxSurface2DLayeredHeight = 64, cudaDevAttrMaxSurface2DLayeredLayers = 65,
	cudaDevAttrMaxSurfaceCubemapWidth = 66, cudaDevAttrMaxSurfaceCubemapLayeredWidth = 67,
	cudaDevAttrMaxSurfaceCubemapLayeredLayers = 68, cudaDevAttrMaxTexture1DLinearWidth = 69,
	cudaDevAttrMaxTexture2DLinearWidth = 70, cudaDevAttrMaxTexture2DLinearHeight = 71,
	cudaDevAttrMaxTexture2DLinearPitch = 72, cudaDevAttrMaxTexture2DMipmappedWidth = 73,
	cudaDevAttrMaxTexture2DMipmappedHeight = 74, cudaDevAttrComputeCapabilityMajor = 75,
	cudaDevAttrComputeCapabilityMinor = 76, cudaDevAttrMaxTexture1DMipmappedWidth = 77,
	cudaDevAttrStreamPrioritiesSupported = 78, cudaDevAttrGlobalL1CacheSupported = 79,
	cudaDevAttrLocalL1CacheSupported = 80, cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
	cudaDevAttrMaxRegistersPerMultiprocessor = 82, cudaDevAttrManagedMemory = 83,
	cudaDevAttrIsMultiGpuBoard = 84, cudaDevAttrMultiGpuBoardGroupID = 85,
	cudaDevAttrHostNativeAtomicSupported = 86, cudaDevAttrSingleToDoublePrecisionPerfRatio = 87,
	cudaDevAttrPageableMemoryAccess = 88, cudaDevAttrConcurrentManagedAccess = 89,
	cudaDevAttrComputePreemptionSupported = 90, cudaDevAttrCanUseHostPointerForRegisteredMem = 91,
	cudaDevAttrReserved92 = 92, cudaDevAttrReserved93 = 93, cudaDevAttrReserved94 = 94,
	cudaDevAttrCooperativeLaunch = 95, cudaDevAttrReserved96 = 96,
	cudaDevAttrMaxSharedMemoryPerBlockOptin = 97, cudaDevAttrCanFlushRemoteWrites = 98,
	cudaDevAttrHostRegisterSupported = 99,
	cudaDevAttrPageableMemoryAccessUsesHostPageTables = 100,
	cudaDevAttrDirectManagedMemAccessFromHost = 101, cudaDevAttrMaxBlocksPerMultiprocessor = 106,
	cudaDevAttrMaxPersistingL2CacheSize = 108, cudaDevAttrMaxAccessPolicyWindowSize = 109,
	cudaDevAttrReservedSharedMemoryPerBlock = 111, cudaDevAttrSparseCudaArraySupported = 112,
	cudaDevAttrHostRegisterReadOnlySupported = 113,
	cudaDevAttrTimelineSemaphoreInteropSupported = 114, cudaDevAttrMemoryPoolsSupported = 115,
	cudaDevAttrGPUDirectRDMASupported = 116, cudaDevAttrGPUDirectRDMAFlushWritesOptions = 117,
	cudaDevAttrGPUDirectRDMAWritesOrdering = 118, cudaDevAttrMemoryPoolSupportedHandleTypes = 119,
	cudaDevAttrClusterLaunch = 120, cudaDevAttrDeferredMappingCudaArraySupported = 121,
	cudaDevAttrReserved122 = 122, cudaDevAttrReserved123 = 123, cudaDevAttrReserved124 = 124,
	cudaDevAttrIpcEventSupport = 125, cudaDevAttrMemSyncDomainCount = 126,
	cudaDevAttrReserved127 = 127, cudaDevAttrReserved128 = 128, cudaDevAttrReserved129 = 129,
	cudaDevAttrNumaConfig = 130, cudaDevAttrNumaId = 131, cudaDevAttrReserved132 = 132,
	cudaDevAttrMpsEnabled = 133, cudaDevAttrHostNumaId = 134, cudaDevAttrD3D12CigSupported = 135,
	cudaDevAttrVulkanCigSupported = 138, cudaDevAttrGpuPciDeviceId = 139,
	cudaDevAttrGpuPciSubsystemId = 140, cudaDevAttrReserved141 = 141,
	cudaDevAttrHostNumaMemoryPoolsSupported = 142, cudaDevAttrHostNumaMultinodeIpcSupported = 143,
	cudaDevAttrHostMemoryPoolsSupported = 144, cudaDevAttrReserved145 = 145,
	cudaDevAttrOnlyPartialHostNativeAtomicSupported = 147, cudaDevAttrMax = 148,
};

/* Limits. */
enum cudaLimit {
	cudaLimitStackSize = 0, cudaLimitPrintfFifoSize = 1, cudaLimitMallocHeapSize = 2,
	cudaLimitDevRuntimeSyncDepth = 3, cudaLimitDevRuntimePendingLaunchCount = 4,
	cudaLimitMaxL2FetchGranularity = 5, cudaLimitPersistingL2CacheSize = 6,
};

/* Attributes of a kernel that can be set. */
enum cudaFuncAttribute {
	cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
	cudaFuncAttributePreferredSharedMemoryCarveout = 9, cudaFuncAttributeClusterDimMustBeSet = 10,
	cudaFuncAttributeRequiredClusterWidth = 11, cudaFuncAttributeRequiredClusterHeight = 12,
	cudaFuncAttributeRequiredClusterDepth = 13,
	cudaFuncAttributeNonPortableClusterSizeAllowed = 14,
	cudaFuncAttributeClusterSchedulingPolicyPreference = 15, cudaFuncAttributeMax = 16,
};

/* Preference between cache and shared memory; a hint. */
enum cudaFuncCache {
	cudaFuncCachePreferNone = 0, cudaFuncCachePreferShared = 1, cudaFuncCachePreferL1 = 2,
	cudaFuncCachePreferEqual = 3,
};

/* Width of shared memory's banks; a hint. */
enum cudaSharedMemConfig {
	cudaSharedMemBankSizeDefault = 0, cudaSharedMemBankSizeFourByte = 1,
	cudaSharedMemBankSizeEightByte = 2,
};

/* Preferred share of shared memory; a hint. */
enum cudaSharedCarveout {
	cudaSharedmemCarveoutDefault = (-1), cudaSharedmemCarveoutMaxShared = 100,
	cudaSharedmemCarveoutMaxL1 = 0,
};

/* Who may use a device. */
enum cudaComputeMode {
	cudaComputeModeDefault = 0, cudaComputeModeExclusive = 1, cudaComputeModeProhibited = 2,
	cudaComputeModeExclusiveProcess = 3,
};

/* Advice about managed memory. */
enum cudaMemoryAdvise {
	cudaMemAdviseSetReadMostly = 1, cudaMemAdviseUnsetReadMostly = 2,
	cudaMemAdviseSetPreferredLocation = 3, cudaMemAdviseUnsetPreferredLocation = 4,
	cudaMemAdviseSetAccessedBy = 5, cudaMemAdviseUnsetAccessedBy = 6,
};

/* How lasting data in the cache is. */
enum cudaAccessProperty {
	cudaAccessPropertyNormal = 0, cudaAccessPropertyStreaming = 1,
	cudaAccessPropertyPersisting = 2,
};

/* How a thread waits. */
enum cudaSynchronizationPolicy {
	cudaSyncPolicyAuto = 1, cudaSyncPolicySpin = 2, cudaSyncPolicyYield = 3,
	cudaSyncPolicyBlockingSync = 4,
};

/* How clusters are placed (no clusters here). */
enum cudaClusterSchedulingPolicy {
	cudaClusterSchedulingPolicyDefault = 0, cudaClusterSchedulingPolicySpread = 1,
	cudaClusterSchedulingPolicyLoadBalancing = 2,
};

/* Memory domains of launches. */
enum cudaLaunchMemSyncDomain {
	cudaLaunchMemSyncDomainDefault = 0, cudaLaunchMemSyncDomainRemote = 1,
};

/* Attributes of launches and streams. */
enum cudaLaunchAttributeID {
	cudaLaunchAttributeIgnore = 0, cudaLaunchAttributeAccessPolicyWindow = 1,
	cudaLaunchAttributeCooperative = 2, cudaLaunchAttributeSynchronizationPolicy = 3,
	cudaLaunchAttributeClusterDimension = 4,
	cudaLaunchAttributeClusterSchedulingPolicyPreference = 5,
	cudaLaunchAttributeProgrammaticStreamSerialization = 6,
	cudaLaunchAttributeProgrammaticEvent = 7, cudaLaunchAttributePriority = 8,
	cudaLaunchAttributeMemSyncDomainMap = 9, cudaLaunchAttributeMemSyncDomain = 10,
	cudaLaunchAttributePreferredClusterDimension = 11,
	cudaLaunchAttributeLaunchCompletionEvent = 12,
	cudaLaunchAttributeDeviceUpdatableKernelNode = 13,
	cudaLaunchAttributePreferredSharedMemoryCarveout = 14,
	cudaLaunchAttributeNvlinkUtilCentricScheduling = 16,
};

/* Whether a stream is being captured. */
enum cudaStreamCaptureStatus {
	cudaStreamCaptureStatusNone = 0, cudaStreamCaptureStatusActive = 1,
	cudaStreamCaptureStatusInvalidated = 2,
};

/* What a capture forbids meanwhile. */
enum cudaStreamCaptureMode {
	cudaStreamCaptureModeGlobal = 0, cudaStreamCaptureModeThreadLocal = 1,
	cudaStreamCaptureModeRelaxed = 2,
};

/* How dependencies of a capture are changed. */
enum cudaStreamUpdateCaptureDependenciesFlags {
	cudaStreamAddCaptureDependencies = 0, cudaStreamSetCaptureDependencies = 1,
};

/* Flags of user objects. */
enum cudaUserObjectFlags {
	cudaUserObjectNoDestructorSync = 1,
};

/* Flags of handing user objects to graphs. */
enum cudaUserObjectRetainFlags {
	cudaGraphUserObjectMove = 1,
};

/* What two devices can do together. */
enum cudaDeviceP2PAttr {
	cudaDevP2PAttrPerformanceRank = 1, cudaDevP2PAttrAccessSupported = 2,
	cudaDevP2PAttrNativeAtomicSupported = 3, cudaDevP2PAttrCudaArrayAccessSupported = 4,
	cudaDevP2PAttrOnlyPartialNativeAtomicSupported = 5,
};

/* Attributes of a memory pool. */
enum cudaMemPoolAttr {
	cudaMemPoolReuseFollowEventDependencies = 1, cudaMemPoolReuseAllowOpportunistic = 2,
	cudaMemPoolReuseAllowInternalDependencies = 3, cudaMemPoolAttrReleaseThreshold = 4,
	cudaMemPoolAttrReservedMemCurrent = 5, cudaMemPoolAttrReservedMemHigh = 6,
	cudaMemPoolAttrUsedMemCurrent = 7, cudaMemPoolAttrUsedMemHigh = 8,
};

/* Where memory is. */
enum cudaMemLocationType {
	cudaMemLocationTypeInvalid = 0, cudaMemLocationTypeNone = 0, cudaMemLocationTypeDevice = 1,
	cudaMemLocationTypeHost = 2, cudaMemLocationTypeHostNuma = 3,
	cudaMemLocationTypeHostNumaCurrent = 4,
};

/* Access to memory. */
enum cudaMemAccessFlags {
	cudaMemAccessFlagsProtNone = 0, cudaMemAccessFlagsProtRead = 1,
	cudaMemAccessFlagsProtReadWrite = 3,
};

/* How memory is allocated. */
enum cudaMemAllocationType {
	cudaMemAllocationTypeInvalid = 0, cudaMemAllocationTypePinned = 1,
	cudaMemAllocationTypeManaged = 2, cudaMemAllocationTypeMax = 0x7fffffff,
};

/* Handles by which memory is shared. */
enum cudaMemAllocationHandleType {
	cudaMemHandleTypeNone = 0, cudaMemHandleTypePosixFileDescriptor = 1,
	cudaMemHandleTypeWin32 = 2, cudaMemHandleTypeWin32Kmt = 4, cudaMemHandleTypeFabric = 8,
};

/* Memory of graphs. */
enum cudaGraphMemAttributeType {
	cudaGraphMemAttrUsedMemCurrent = 0, cudaGraphMemAttrUsedMemHigh = 1,
	cudaGraphMemAttrReservedMemCurrent = 2, cudaGraphMemAttrReservedMemHigh = 3,
};

/* Options of loading a module. */
enum cudaJitOption {
	cudaJitMaxRegisters = 0, cudaJitThreadsPerBlock = 1, cudaJitWallTime = 2,
	cudaJitInfoLogBuffer = 3, cudaJitInfoLogBufferSizeBytes = 4, cudaJitErrorLogBuffer = 5,
	cudaJitErrorLogBufferSizeBytes = 6, cudaJitOptimizationLevel = 7,
	cudaJitFallbackStrategy = 10, cudaJitGenerateDebugInfo = 11, cudaJitLogVerbose = 12,
	cudaJitGenerateLineInfo = 13, cudaJitCacheMode = 14, cudaJitPositionIndependentCode = 30,
	cudaJitMinCtaPerSm = 31, cudaJitMaxThreadsPerBlock = 32, cudaJitOverrideDirectiveValues = 33,
};

/* Options of loading a library. */
enum cudaLibraryOption {
	cudaLibraryHostUniversalFunctionAndDataTable = 0, cudaLibraryBinaryIsPreserved = 1,
};

/* Kinds of graph nodes. */
enum cudaGraphNodeType {
	cudaGraphNodeTypeKernel = 0, cudaGraphNodeTypeMemcpy = 1, cudaGraphNodeTypeMemset = 2,
	cudaGraphNodeTypeHost = 3, cudaGraphNodeTypeGraph = 4, cudaGraphNodeTypeEmpty = 5,
	cudaGraphNodeTypeWaitEvent = 6, cudaGraphNodeTypeEventRecord = 7,
	cudaGraphNodeTypeExtSemaphoreSignal = 8, cudaGraphNodeTypeExtSemaphoreWait = 9,
	cudaGraphNodeTypeMemAlloc = 10, cudaGraphNodeTypeMemFree = 11,
	cudaGraphNodeTypeConditional = 13, cudaGraphNodeTypeCount = 14,
};

/* Why a graph was not instantiated. */
enum cudaGraphInstantiateResult {
	cudaGraphInstantiateSuccess = 0, cudaGraphInstantiateError = 1,
	cudaGraphInstantiateInvalidStructure = 2, cudaGraphInstantiateNodeOperationNotSupported = 3,
	cudaGraphInstantiateMultipleDevicesNotSupported = 4,
	cudaGraphInstantiateConditionalHandleUnused = 5,
};

/* Flags of instantiating a graph. */
enum cudaGraphInstantiateFlags {
	cudaGraphInstantiateFlagAutoFreeOnLaunch = 1, cudaGraphInstantiateFlagUpload = 2,
	cudaGraphInstantiateFlagDeviceLaunch = 4, cudaGraphInstantiateFlagUseNodePriority = 8,
};

/* Why an executable graph was not updated. */
enum cudaGraphExecUpdateResult {
	cudaGraphExecUpdateSuccess = 0, cudaGraphExecUpdateError = 1,
	cudaGraphExecUpdateErrorTopologyChanged = 2, cudaGraphExecUpdateErrorNodeTypeChanged = 3,
	cudaGraphExecUpdateErrorFunctionChanged = 4, cudaGraphExecUpdateErrorParametersChanged = 5,
	cudaGraphExecUpdateErrorNotSupported = 6,
	cudaGraphExecUpdateErrorUnsupportedFunctionChange = 7,
	cudaGraphExecUpdateErrorAttributesChanged = 8,
};

/* Flags of cudaGetDriverEntryPoint. */
enum cudaGetDriverEntryPointFlags {
	cudaEnableDefault = 0, cudaEnableLegacyStream = 1, cudaEnablePerThreadDefaultStream = 2,
};

/* What cudaGetDriverEntryPoint found. */
enum cudaDriverEntryPointQueryResult {
	cudaDriverEntryPointSuccess = 0, cudaDriverEntryPointSymbolNotFound = 1,
	cudaDriverEntryPointVersionNotSufficent = 2,
};

typedef enum cudaError cudaError_t;
typedef enum cudaLaunchAttributeID cudaLaunchAttributeID;
typedef enum cudaGraphInstantiateResult cudaGraphInstantiateResult;
typedef enum cudaSynchronizationPolicy cudaSynchronizationPolicy;

#define cudaHostAllocDefault 0x00
#define cudaHostAllocPortable 0x01
#define cudaHostAllocMapped 0x02
#define cudaHostAllocWriteCombined 0x04
#define cudaHostRegisterDefault 0x00
#define cudaHostRegisterPortable 0x01
#define cudaHostRegisterMapped 0x02
#define cudaHostRegisterIoMemory 0x04
#define cudaHostRegisterReadOnly 0x08
#define cudaStreamDefault 0x00
#define cudaStreamNonBlocking 0x01
#define cudaStreamLegacy ((cudaStream_t)0x1)
#define cudaStreamPerThread ((cudaStream_t)0x2)
#define cudaEventDefault 0x00
#define cudaEventBlockingSync 0x01
#define cudaEventDisableTiming 0x02
#define cudaEventInterprocess 0x04
#define cudaEventRecordDefault 0x00
#define cudaEventRecordExternal 0x01
#define cudaEventWaitDefault 0x00
#define cudaEventWaitExternal 0x01
#define cudaDeviceScheduleAuto 0x00
#define cudaDeviceScheduleSpin 0x01
#define cudaDeviceScheduleYield 0x02
#define cudaDeviceScheduleBlockingSync 0x04
#define cudaDeviceScheduleMask 0x07
#define cudaDeviceMapHost 0x08
#define cudaDeviceLmemResizeToMax 0x10
#define cudaDeviceSyncMemops 0x80
#define cudaDeviceMask 0xff
#define cudaMemAttachGlobal 0x01
#define cudaMemAttachHost 0x02
#define cudaMemAttachSingle 0x04
#define cudaOccupancyDefault 0x00
#define cudaOccupancyDisableCachingOverride 0x01
#define cudaInitDeviceFlagsAreValid 0x01
#define cudaCpuDeviceId ((int)-1)
#define cudaInvalidDeviceId ((int)-2)

/* Handles: the same objects as the driver interface's. */
typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUfunc_st *cudaFunction_t;
typedef struct CUkern_st *cudaKernel_t;
typedef struct CUlib_st *cudaLibrary_t;
typedef struct CUmemPoolHandle_st *cudaMemPool_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphNode_st *cudaGraphNode_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
typedef struct CUgraphDeviceUpdatableNode_st *cudaGraphDeviceNode_t;
typedef struct CUuserObject_st *cudaUserObject_t;
typedef struct cudaArray *cudaArray_t;

#ifndef CU_UUID_HAS_BEEN_DEFINED
#define CU_UUID_HAS_BEEN_DEFINED
typedef struct CUuuid_st {
	char bytes[16];
} CUuuid;
#endif
typedef CUuuid cudaUUID_t;

typedef void(CUDART_CB *cudaHostFn_t)(void *data);
typedef void(CUDART_CB *cudaStreamCallback_t)(cudaStream_t stream, cudaError_t status, void *data);

/* ---- Structures */

typedef struct uint3 {
	unsigned int x, y, z;
} uint3;

/* Blocks of a grid, or threads of a block; in C++ what is left out is 1. */
typedef struct dim3 {
	unsigned int x, y, z;
#ifdef __cplusplus
	dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1) : x(vx), y(vy), z(vz) {}
#endif
} dim3;

struct cudaDeviceProp {
	char name[256];
	cudaUUID_t uuid;
	char luid[8];
	unsigned int luidDeviceNodeMask;
	size_t totalGlobalMem, sharedMemPerBlock;
	int regsPerBlock, warpSize;
	size_t memPitch;
	int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
	size_t totalConstMem;
	int major, minor;
	size_t textureAlignment, texturePitchAlignment;
	int multiProcessorCount, integrated, canMapHostMemory, maxTexture1D, maxTexture1DMipmap;
	int maxTexture2D[2], maxTexture2DMipmap[2], maxTexture2DLinear[3], maxTexture2DGather[2];
	int maxTexture3D[3], maxTexture3DAlt[3], maxTextureCubemap, maxTexture1DLayered[2];
	int maxTexture2DLayered[3], maxTextureCubemapLayered[2], maxSurface1D, maxSurface2D[2];
	int maxSurface3D[3], maxSurface1DLayered[2], maxSurface2DLayered[3], maxSurfaceCubemap;
	int maxSurfaceCubemapLayered[2];
	size_t surfaceAlignment;
	int concurrentKernels, ECCEnabled, pciBusID, pciDeviceID, pciDomainID, tccDriver;
	int asyncEngineCount, unifiedAddressing, memoryBusWidth, l2CacheSize;
	int persistingL2CacheMaxSize, maxThreadsPerMultiProcessor, streamPrioritiesSupported;
	int globalL1CacheSupported, localL1CacheSupported;
	size_t sharedMemPerMultiprocessor;
	int regsPerMultiprocessor, managedMemory, isMultiGpuBoard, multiGpuBoardGroupID;
	int hostNativeAtomicSupported, pageableMemoryAccess, concurrentManagedAccess;
	int computePreemptionSupported, canUseHostPointerForRegisteredMem, cooperativeLaunch;
	size_t sharedMemPerBlockOptin;
	int pageableMemoryAccessUsesHostPageTables, directManagedMemAccessFromHost;
	int maxBlocksPerMultiProcessor, accessPolicyMaxWindowSize;
	size_t reservedSharedMemPerBlock;
	int hostRegisterSupported, sparseCudaArraySupported, hostRegisterReadOnlySupported;
	int timelineSemaphoreInteropSupported, memoryPoolsSupported, gpuDirectRDMASupported;
	unsigned int gpuDirectRDMAFlushWritesOptions;
	int gpuDirectRDMAWritesOrdering;
	unsigned int memoryPoolSupportedHandleTypes;
	int deferredMappingCudaArraySupported, ipcEventSupported, clusterLaunch;
	int unifiedFunctionPointers, deviceNumaConfig, deviceNumaId, mpsEnabled, hostNumaId;
	unsigned int gpuPciDeviceID, gpuPciSubsystemID;
	int hostNumaMultinodeIpcSupported, reserved[56];
};

struct cudaFuncAttributes {
	size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
	int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, cacheModeCA;
	int maxDynamicSharedSizeBytes, preferredShmemCarveout;
	int clusterDimMustBeSet, requiredClusterWidth, requiredClusterHeight, requiredClusterDepth;
	int clusterSchedulingPolicyPreference, nonPortableClusterSizeAllowed;
	int reserved[16];
};

struct cudaPointerAttributes {
	enum cudaMemoryType type;
	int device;
	void *devicePointer, *hostPointer;
	long reserved[8];
};

struct cudaPitchedPtr {
	void *ptr;
	size_t pitch, xsize, ysize;
};

struct cudaExtent {
	size_t width, height, depth;
};

struct cudaPos {
	size_t x, y, z;
};

enum cudaChannelFormatKind {
	cudaChannelFormatKindSigned = 0, cudaChannelFormatKindUnsigned = 1,
	cudaChannelFormatKindFloat = 2, cudaChannelFormatKindNone = 3,
};

/* Bits of each channel. */
struct cudaChannelFormatDesc {
	int x, y, z, w;
	enum cudaChannelFormatKind f;
};

typedef struct cudaMipmappedArray *cudaMipmappedArray_t;
typedef const struct cudaMipmappedArray *cudaMipmappedArray_const_t;
typedef unsigned long long cudaTextureObject_t;
typedef unsigned long long cudaSurfaceObject_t;

#define cudaArrayDefault 0x00
#define cudaArrayLayered 0x01
#define cudaArraySurfaceLoadStore 0x02
#define cudaArrayCubemap 0x04
#define cudaArrayTextureGather 0x08

enum cudaResourceType {
	cudaResourceTypeArray = 0, cudaResourceTypeMipmappedArray = 1, cudaResourceTypeLinear = 2,
	cudaResourceTypePitch2D = 3,
};
enum cudaTextureAddressMode {
	cudaAddressModeWrap = 0, cudaAddressModeClamp = 1, cudaAddressModeMirror = 2,
	cudaAddressModeBorder = 3,
};
enum cudaTextureFilterMode { cudaFilterModePoint = 0, cudaFilterModeLinear = 1 };
enum cudaTextureReadMode { cudaReadModeElementType = 0, cudaReadModeNormalizedFloat = 1 };

struct cudaResourceDesc {
	enum cudaResourceType resType;
	union {
		struct { cudaArray_t array; } array;
		struct { cudaMipmappedArray_t mipmap; } mipmap;
		struct {
			void *devPtr;
			struct cudaChannelFormatDesc desc;
			size_t sizeInBytes;
		} linear;
		struct {
			void *devPtr;
			struct cudaChannelFormatDesc desc;
			size_t width, height, pitchInBytes;
		} pitch2D;
		struct { int reserved[32]; } reserved;
	} res;
	unsigned int flags;
};

struct cudaTextureDesc {
	enum cudaTextureAddressMode addressMode[3];
	enum cudaTextureFilterMode filterMode;
	enum cudaTextureReadMode readMode;
	int sRGB;
	float borderColor[4];
	int normalizedCoords;
	unsigned int maxAnisotropy;
	enum cudaTextureFilterMode mipmapFilterMode;
	float mipmapLevelBias, minMipmapLevelClamp, maxMipmapLevelClamp;
	int disableTrilinearOptimization, seamlessCubemap;
};

/* Views are not supported. */
struct cudaResourceViewDesc {
	unsigned int format;
	size_t width, height, depth;
	unsigned int firstMipmapLevel, lastMipmapLevel, firstLayer, lastLayer, reserved[16];
};

struct cudaMemcpy3DParms {
	cudaArray_t srcArray;
	struct cudaPos srcPos;
	struct cudaPitchedPtr srcPtr;
	cudaArray_t dstArray;
	struct cudaPos dstPos;
	struct cudaPitchedPtr dstPtr;
	struct cudaExtent extent;
	enum cudaMemcpyKind kind;
};

struct cudaMemLocation {
	enum cudaMemLocationType type;
	int id;
};

struct cudaMemAccessDesc {
	struct cudaMemLocation location;
	enum cudaMemAccessFlags flags;
};

struct cudaMemPoolProps {
	enum cudaMemAllocationType allocType;
	enum cudaMemAllocationHandleType handleTypes;
	struct cudaMemLocation location;
	void *win32SecurityAttributes;
	size_t maxSize;
	unsigned short usage;
	unsigned char reserved[54];
};

struct cudaAccessPolicyWindow {
	void *base_ptr;
	size_t num_bytes;
	float hitRatio;
	enum cudaAccessProperty hitProp, missProp;
};

typedef struct cudaLaunchMemSyncDomainMap_st {
	unsigned char default_, remote;
} cudaLaunchMemSyncDomainMap;

typedef union cudaLaunchAttributeValue {
	char pad[64];
	struct cudaAccessPolicyWindow accessPolicyWindow;
	int cooperative;
	enum cudaSynchronizationPolicy syncPolicy;
	struct {
		unsigned int x, y, z;
	} clusterDim;
	enum cudaClusterSchedulingPolicy clusterSchedulingPolicyPreference;
	int programmaticStreamSerializationAllowed;
	struct {
		cudaEvent_t event;
		int flags, triggerAtBlockStart;
	} programmaticEvent;
	int priority;
	cudaLaunchMemSyncDomainMap memSyncDomainMap;
	enum cudaLaunchMemSyncDomain memSyncDomain;
	unsigned int sharedMemCarveout;
} cudaLaunchAttributeValue;

typedef struct cudaLaunchAttribute_st {
	cudaLaunchAttributeID id;
	char pad[8 - sizeof(cudaLaunchAttributeID)];
	cudaLaunchAttributeValue val;
} cudaLaunchAttribute;

typedef struct cudaLaunchConfig_st {
	dim3 gridDim, blockDim;
	size_t dynamicSmemBytes;
	cudaStream_t stream;
	cudaLaunchAttribute *attrs;
	unsigned int numAttrs;
} cudaLaunchConfig_t;

struct cudaKernelNodeParams {
	void *func;
	dim3 gridDim, blockDim;
	unsigned int sharedMemBytes;
	void **kernelParams, **extra;
};

struct cudaMemsetParams {
	void *dst;
	size_t pitch;
	unsigned int value, elementSize;
	size_t width, height;
};

struct cudaHostNodeParams {
	cudaHostFn_t fn;
	void *userData;
};

typedef struct cudaGraphEdgeData_st {
	unsigned char from_port, to_port, type, reserved[5];
} cudaGraphEdgeData;

typedef struct cudaGraphInstantiateParams_st {
	unsigned long long flags;
	cudaStream_t uploadStream;
	cudaGraphNode_t errNode_out;
	cudaGraphInstantiateResult result_out;
} cudaGraphInstantiateParams;

typedef struct cudaGraphExecUpdateResultInfo_st {
	enum cudaGraphExecUpdateResult result;
	cudaGraphNode_t errorNode, errorFromNode;
} cudaGraphExecUpdateResultInfo;

/* ---- Errors and versions */
cudaError_t CUDARTAPI cudaGetLastError(void);
cudaError_t CUDARTAPI cudaPeekAtLastError(void);
const char *CUDARTAPI cudaGetErrorName(cudaError_t);
const char *CUDARTAPI cudaGetErrorString(cudaError_t);
cudaError_t CUDARTAPI cudaDriverGetVersion(int *);
cudaError_t CUDARTAPI cudaRuntimeGetVersion(int *);
cudaError_t CUDARTAPI cudaGetDriverEntryPoint(const char *, void **, unsigned long long,
		enum cudaDriverEntryPointQueryResult *);
cudaError_t CUDARTAPI cudaGetDriverEntryPointByVersion(const char *, void **, unsigned int,
		unsigned long long, enum cudaDriverEntryPointQueryResult *);

/* ---- Devices */
cudaError_t CUDARTAPI cudaGetDeviceCount(int *);
cudaError_t CUDARTAPI cudaGetDeviceProperties(struct cudaDeviceProp *, int);
cudaError_t CUDARTAPI cudaDeviceGetAttribute(int *, enum cudaDeviceAttr, int);
cudaError_t CUDARTAPI cudaChooseDevice(int *, const struct cudaDeviceProp *);
cudaError_t CUDARTAPI cudaInitDevice(int, unsigned int, unsigned int);
cudaError_t CUDARTAPI cudaSetDevice(int);
cudaError_t CUDARTAPI cudaGetDevice(int *);
cudaError_t CUDARTAPI cudaSetValidDevices(int *, int);
cudaError_t CUDARTAPI cudaSetDeviceFlags(unsigned int);
cudaError_t CUDARTAPI cudaGetDeviceFlags(unsigned int *);
cudaError_t CUDARTAPI cudaDeviceReset(void);
cudaError_t CUDARTAPI cudaDeviceSynchronize(void);
cudaError_t CUDARTAPI cudaDeviceSetLimit(enum cudaLimit, size_t);
cudaError_t CUDARTAPI cudaDeviceGetLimit(size_t *, enum cudaLimit);
cudaError_t CUDARTAPI cudaDeviceGetCacheConfig(enum cudaFuncCache *);
cudaError_t CUDARTAPI cudaDeviceSetCacheConfig(enum cudaFuncCache);
cudaError_t CUDARTAPI cudaDeviceGetSharedMemConfig(enum cudaSharedMemConfig *);
cudaError_t CUDARTAPI cudaDeviceSetSharedMemConfig(enum cudaSharedMemConfig);
cudaError_t CUDARTAPI cudaDeviceGetStreamPriorityRange(int *, int *);
cudaError_t CUDARTAPI cudaDeviceGetByPCIBusId(int *, const char *);
cudaError_t CUDARTAPI cudaDeviceGetPCIBusId(char *, int, int);
cudaError_t CUDARTAPI cudaDeviceGetDefaultMemPool(cudaMemPool_t *, int);
cudaError_t CUDARTAPI cudaDeviceSetMemPool(int, cudaMemPool_t);
cudaError_t CUDARTAPI cudaDeviceGetMemPool(cudaMemPool_t *, int);
cudaError_t CUDARTAPI cudaDeviceGetP2PAttribute(int *, enum cudaDeviceP2PAttr, int, int);
cudaError_t CUDARTAPI cudaDeviceCanAccessPeer(int *, int, int);
cudaError_t CUDARTAPI cudaDeviceEnablePeerAccess(int, unsigned int);
cudaError_t CUDARTAPI cudaDeviceDisablePeerAccess(int);
cudaError_t CUDARTAPI cudaCtxResetPersistingL2Cache(void);
cudaError_t CUDARTAPI cudaDeviceGraphMemTrim(int);
cudaError_t CUDARTAPI cudaDeviceGetGraphMemAttribute(int, enum cudaGraphMemAttributeType, void *);
cudaError_t CUDARTAPI cudaDeviceSetGraphMemAttribute(int, enum cudaGraphMemAttributeType, void *);

/* ---- Streams and events */
cudaError_t CUDARTAPI cudaStreamCreate(cudaStream_t *);
cudaError_t CUDARTAPI cudaStreamCreateWithFlags(cudaStream_t *, unsigned int);
cudaError_t CUDARTAPI cudaStreamCreateWithPriority(cudaStream_t *, unsigned int, int);
cudaError_t CUDARTAPI cudaStreamGetPriority(cudaStream_t, int *);
cudaError_t CUDARTAPI cudaStreamGetFlags(cudaStream_t, unsigned int *);
cudaError_t CUDARTAPI cudaStreamGetId(cudaStream_t, unsigned long long *);
cudaError_t CUDARTAPI cudaStreamGetDevice(cudaStream_t, int *);
cudaError_t CUDARTAPI cudaStreamCopyAttributes(cudaStream_t, cudaStream_t);
cudaError_t CUDARTAPI cudaStreamGetAttribute(cudaStream_t, cudaLaunchAttributeID,
		cudaLaunchAttributeValue *);
cudaError_t CUDARTAPI cudaStreamSetAttribute(cudaStream_t, cudaLaunchAttributeID, const
		cudaLaunchAttributeValue *);
cudaError_t CUDARTAPI cudaStreamDestroy(cudaStream_t);
cudaError_t CUDARTAPI cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned int);
cudaError_t CUDARTAPI cudaStreamAddCallback(cudaStream_t, cudaStreamCallback_t, void *,
		unsigned int);
cudaError_t CUDARTAPI cudaStreamSynchronize(cudaStream_t);
cudaError_t CUDARTAPI cudaStreamQuery(cudaStream_t);
cudaError_t CUDARTAPI cudaStreamAttachMemAsync(cudaStream_t, void *, size_t, unsigned int);
cudaError_t CUDARTAPI cudaEventCreate(cudaEvent_t *);
cudaError_t CUDARTAPI cudaEventCreateWithFlags(cudaEvent_t *, unsigned int);
cudaError_t CUDARTAPI cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t CUDARTAPI cudaEventRecordWithFlags(cudaEvent_t, cudaStream_t, unsigned int);
cudaError_t CUDARTAPI cudaEventQuery(cudaEvent_t);
cudaError_t CUDARTAPI cudaEventSynchronize(cudaEvent_t);
cudaError_t CUDARTAPI cudaEventDestroy(cudaEvent_t);
cudaError_t CUDARTAPI cudaEventElapsedTime(float *, cudaEvent_t, cudaEvent_t);
cudaError_t CUDARTAPI cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t, void *);

/* ---- Kernels */
cudaError_t CUDARTAPI cudaLaunchKernel(const void *, dim3, dim3, void **, size_t, cudaStream_t);
cudaError_t CUDARTAPI cudaLaunchKernelExC(const cudaLaunchConfig_t *, const void *, void **);
cudaError_t CUDARTAPI cudaLaunchCooperativeKernel(const void *, dim3, dim3, void **, size_t,
		cudaStream_t);
cudaError_t CUDARTAPI cudaFuncSetCacheConfig(const void *, enum cudaFuncCache);
cudaError_t CUDARTAPI cudaFuncGetAttributes(struct cudaFuncAttributes *, const void *);
cudaError_t CUDARTAPI cudaFuncSetAttribute(const void *, enum cudaFuncAttribute, int);
cudaError_t CUDARTAPI cudaFuncGetName(const char **, const void *);
cudaError_t CUDARTAPI cudaFuncGetParamInfo(const void *, size_t, size_t *, size_t *);
cudaError_t CUDARTAPI cudaFuncSetSharedMemConfig(const void *, enum cudaSharedMemConfig);
cudaError_t CUDARTAPI cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *, const void *,
		int, size_t);
cudaError_t CUDARTAPI cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *, const
		void *, int, size_t, unsigned int);
cudaError_t CUDARTAPI cudaOccupancyAvailableDynamicSMemPerBlock(size_t *, const void *, int, int);
cudaError_t CUDARTAPI cudaGetFuncBySymbol(cudaFunction_t *, const void *);
cudaError_t CUDARTAPI cudaGetKernel(cudaKernel_t *, const void *);
cudaError_t CUDARTAPI cudaLibraryLoadData(cudaLibrary_t *, const void *, enum cudaJitOption
		*, void **, unsigned int, enum cudaLibraryOption *, void **, unsigned int);
cudaError_t CUDARTAPI cudaLibraryLoadFromFile(cudaLibrary_t *, const char *, enum
		cudaJitOption *, void **, unsigned int, enum cudaLibraryOption *, void **, unsigned int);
cudaError_t CUDARTAPI cudaLibraryUnload(cudaLibrary_t);
cudaError_t CUDARTAPI cudaLibraryGetKernel(cudaKernel_t *, cudaLibrary_t, const char *);
cudaError_t CUDARTAPI cudaLibraryGetGlobal(void **, size_t *, cudaLibrary_t, const char *);
cudaError_t CUDARTAPI cudaLibraryGetManaged(void **, size_t *, cudaLibrary_t, const char *);
cudaError_t CUDARTAPI cudaLibraryGetUnifiedFunction(void **, cudaLibrary_t, const char *);
cudaError_t CUDARTAPI cudaLibraryGetKernelCount(unsigned int *, cudaLibrary_t);
cudaError_t CUDARTAPI cudaLibraryEnumerateKernels(cudaKernel_t *, unsigned int, cudaLibrary_t);
cudaError_t CUDARTAPI cudaKernelSetAttributeForDevice(cudaKernel_t, enum cudaFuncAttribute,
		int, int);

/* ---- Memory */
cudaError_t CUDARTAPI cudaMalloc(void **, size_t);
cudaError_t CUDARTAPI cudaMallocHost(void **, size_t);
cudaError_t CUDARTAPI cudaMallocPitch(void **, size_t *, size_t, size_t);
cudaError_t CUDARTAPI cudaMalloc3D(struct cudaPitchedPtr *, struct cudaExtent);
cudaError_t CUDARTAPI cudaMallocManaged(void **, size_t, unsigned int);
cudaError_t CUDARTAPI cudaFree(void *);
cudaError_t CUDARTAPI cudaFreeHost(void *);
cudaError_t CUDARTAPI cudaHostAlloc(void **, size_t, unsigned int);
cudaError_t CUDARTAPI cudaHostRegister(void *, size_t, unsigned int);
cudaError_t CUDARTAPI cudaHostUnregister(void *);
cudaError_t CUDARTAPI cudaHostGetDevicePointer(void **, void *, unsigned int);
cudaError_t CUDARTAPI cudaHostGetFlags(unsigned int *, void *);
cudaError_t CUDARTAPI cudaMemGetInfo(size_t *, size_t *);
cudaError_t CUDARTAPI cudaPointerGetAttributes(struct cudaPointerAttributes *, const void *);
cudaError_t CUDARTAPI cudaMemPrefetchAsync(const void *, size_t, struct cudaMemLocation,
		unsigned int, cudaStream_t);
cudaError_t CUDARTAPI cudaMemAdvise(const void *, size_t, enum cudaMemoryAdvise, struct
		cudaMemLocation);
cudaError_t CUDARTAPI cudaGetSymbolAddress(void **, const void *);
cudaError_t CUDARTAPI cudaGetSymbolSize(size_t *, const void *);
cudaError_t CUDARTAPI cudaMallocAsync(void **, size_t, cudaStream_t);
cudaError_t CUDARTAPI cudaFreeAsync(void *, cudaStream_t);
cudaError_t CUDARTAPI cudaMallocFromPoolAsync(void **, size_t, cudaMemPool_t, cudaStream_t);
cudaError_t CUDARTAPI cudaMemPoolTrimTo(cudaMemPool_t, size_t);
cudaError_t CUDARTAPI cudaMemPoolSetAttribute(cudaMemPool_t, enum cudaMemPoolAttr, void *);
cudaError_t CUDARTAPI cudaMemPoolGetAttribute(cudaMemPool_t, enum cudaMemPoolAttr, void *);
cudaError_t CUDARTAPI cudaMemPoolSetAccess(cudaMemPool_t, const struct cudaMemAccessDesc *,
		size_t);
cudaError_t CUDARTAPI cudaMemPoolGetAccess(enum cudaMemAccessFlags *, cudaMemPool_t, struct
		cudaMemLocation *);
cudaError_t CUDARTAPI cudaMemPoolCreate(cudaMemPool_t *, const struct cudaMemPoolProps *);
cudaError_t CUDARTAPI cudaMemPoolDestroy(cudaMemPool_t);

/* ---- Copies and sets */
cudaError_t CUDARTAPI cudaMemcpy(void *, const void *, size_t, enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaMemcpyAsync(void *, const void *, size_t, enum cudaMemcpyKind,
		cudaStream_t);
cudaError_t CUDARTAPI cudaMemcpy2D(void *, size_t, const void *, size_t, size_t, size_t,
		enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaMemcpy2DAsync(void *, size_t, const void *, size_t, size_t,
		size_t, enum cudaMemcpyKind, cudaStream_t);
cudaError_t CUDARTAPI cudaMemcpy3D(const struct cudaMemcpy3DParms *);
struct cudaChannelFormatDesc CUDARTAPI cudaCreateChannelDesc(int, int, int, int,
							     enum cudaChannelFormatKind);
cudaError_t CUDARTAPI cudaMallocArray(cudaArray_t *, const struct cudaChannelFormatDesc *, size_t,
				      size_t, unsigned int);
cudaError_t CUDARTAPI cudaMalloc3DArray(cudaArray_t *, const struct cudaChannelFormatDesc *,
					struct cudaExtent, unsigned int);
cudaError_t CUDARTAPI cudaFreeArray(cudaArray_t);
cudaError_t CUDARTAPI cudaMallocMipmappedArray(cudaMipmappedArray_t *,
					       const struct cudaChannelFormatDesc *,
					       struct cudaExtent, unsigned int levels,
					       unsigned int flags);
cudaError_t CUDARTAPI cudaGetMipmappedArrayLevel(cudaArray_t *, cudaMipmappedArray_const_t,
						 unsigned int level);
cudaError_t CUDARTAPI cudaFreeMipmappedArray(cudaMipmappedArray_t);
cudaError_t CUDARTAPI cudaArrayGetInfo(struct cudaChannelFormatDesc *, struct cudaExtent *,
				       unsigned int *, cudaArray_t);
cudaError_t CUDARTAPI cudaGetChannelDesc(struct cudaChannelFormatDesc *, const struct cudaArray *);
cudaError_t CUDARTAPI cudaMemcpy2DToArray(cudaArray_t, size_t, size_t, const void *, size_t,
					  size_t, size_t, enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaMemcpy2DFromArray(void *, size_t, const struct cudaArray *, size_t,
					    size_t, size_t, size_t, enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaMemcpy2DArrayToArray(cudaArray_t, size_t, size_t,
					       const struct cudaArray *, size_t, size_t, size_t,
					       size_t, enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaMemcpy2DToArrayAsync(cudaArray_t, size_t, size_t, const void *, size_t,
					       size_t, size_t, enum cudaMemcpyKind, cudaStream_t);
cudaError_t CUDARTAPI cudaMemcpy2DFromArrayAsync(void *, size_t, const struct cudaArray *, size_t,
						 size_t, size_t, size_t, enum cudaMemcpyKind,
						 cudaStream_t);
cudaError_t CUDARTAPI cudaCreateTextureObject(cudaTextureObject_t *,
					      const struct cudaResourceDesc *,
					      const struct cudaTextureDesc *,
					      const struct cudaResourceViewDesc *);
cudaError_t CUDARTAPI cudaDestroyTextureObject(cudaTextureObject_t);
cudaError_t CUDARTAPI cudaGetTextureObjectResourceDesc(struct cudaResourceDesc *,
						       cudaTextureObject_t);
cudaError_t CUDARTAPI cudaGetTextureObjectTextureDesc(struct cudaTextureDesc *,
						      cudaTextureObject_t);
cudaError_t CUDARTAPI cudaCreateSurfaceObject(cudaSurfaceObject_t *,
					      const struct cudaResourceDesc *);
cudaError_t CUDARTAPI cudaDestroySurfaceObject(cudaSurfaceObject_t);
cudaError_t CUDARTAPI cudaGetSurfaceObjectResourceDesc(struct cudaResourceDesc *,
						       cudaSurfaceObject_t);
cudaError_t CUDARTAPI cudaMemcpy3DAsync(const struct cudaMemcpy3DParms *, cudaStream_t);
cudaError_t CUDARTAPI cudaMemcpyPeer(void *, int, const void *, int, size_t);
cudaError_t CUDARTAPI cudaMemcpyPeerAsync(void *, int, const void *, int, size_t, cudaStream_t);
cudaError_t CUDARTAPI cudaMemcpyToSymbol(const void *, const void *, size_t, size_t, enum
		cudaMemcpyKind);
cudaError_t CUDARTAPI cudaMemcpyFromSymbol(void *, const void *, size_t, size_t, enum
		cudaMemcpyKind);
cudaError_t CUDARTAPI cudaMemcpyToSymbolAsync(const void *, const void *, size_t, size_t,
		enum cudaMemcpyKind, cudaStream_t);
cudaError_t CUDARTAPI cudaMemcpyFromSymbolAsync(void *, const void *, size_t, size_t, enum
		cudaMemcpyKind, cudaStream_t);
cudaError_t CUDARTAPI cudaMemset(void *, int, size_t);
cudaError_t CUDARTAPI cudaMemsetAsync(void *, int, size_t, cudaStream_t);
cudaError_t CUDARTAPI cudaMemset2D(void *, size_t, int, size_t, size_t);
cudaError_t CUDARTAPI cudaMemset2DAsync(void *, size_t, int, size_t, size_t, cudaStream_t);
cudaError_t CUDARTAPI cudaMemset3D(struct cudaPitchedPtr, int, struct cudaExtent);
cudaError_t CUDARTAPI cudaMemset3DAsync(struct cudaPitchedPtr, int, struct cudaExtent,
		cudaStream_t);

/* ---- Capture and graphs */
cudaError_t CUDARTAPI cudaStreamBeginCapture(cudaStream_t, enum cudaStreamCaptureMode);
cudaError_t CUDARTAPI cudaStreamBeginCaptureToGraph(cudaStream_t, cudaGraph_t, const
		cudaGraphNode_t *, const cudaGraphEdgeData *, size_t, enum cudaStreamCaptureMode);
cudaError_t CUDARTAPI cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *);
cudaError_t CUDARTAPI cudaStreamEndCapture(cudaStream_t, cudaGraph_t *);
cudaError_t CUDARTAPI cudaStreamIsCapturing(cudaStream_t, enum cudaStreamCaptureStatus *);
cudaError_t CUDARTAPI cudaStreamGetCaptureInfo(cudaStream_t, enum cudaStreamCaptureStatus *,
		unsigned long long *, cudaGraph_t *, const cudaGraphNode_t **, const cudaGraphEdgeData **,
		size_t *);
cudaError_t CUDARTAPI cudaStreamUpdateCaptureDependencies(cudaStream_t, cudaGraphNode_t *,
		const cudaGraphEdgeData *, size_t, unsigned int);
cudaError_t CUDARTAPI cudaGraphCreate(cudaGraph_t *, unsigned int);
cudaError_t CUDARTAPI cudaGraphAddKernelNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, const struct cudaKernelNodeParams *);
cudaError_t CUDARTAPI cudaGraphKernelNodeGetParams(cudaGraphNode_t, struct
		cudaKernelNodeParams *);
cudaError_t CUDARTAPI cudaGraphKernelNodeSetParams(cudaGraphNode_t, const struct
		cudaKernelNodeParams *);
cudaError_t CUDARTAPI cudaGraphAddMemcpyNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, const struct cudaMemcpy3DParms *);
cudaError_t CUDARTAPI cudaGraphAddMemcpyNode1D(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, void *, const void *, size_t, enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaGraphMemcpyNodeSetParams(cudaGraphNode_t, const struct
		cudaMemcpy3DParms *);
cudaError_t CUDARTAPI cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t, void *, const void *,
		size_t, enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaGraphAddMemsetNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, const struct cudaMemsetParams *);
cudaError_t CUDARTAPI cudaGraphMemsetNodeGetParams(cudaGraphNode_t, struct cudaMemsetParams *);
cudaError_t CUDARTAPI cudaGraphMemsetNodeSetParams(cudaGraphNode_t, const struct
		cudaMemsetParams *);
cudaError_t CUDARTAPI cudaGraphAddHostNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, const struct cudaHostNodeParams *);
cudaError_t CUDARTAPI cudaGraphHostNodeGetParams(cudaGraphNode_t, struct cudaHostNodeParams *);
cudaError_t CUDARTAPI cudaGraphHostNodeSetParams(cudaGraphNode_t, const struct
		cudaHostNodeParams *);
cudaError_t CUDARTAPI cudaGraphAddChildGraphNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, cudaGraph_t);
cudaError_t CUDARTAPI cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t, cudaGraph_t *);
cudaError_t CUDARTAPI cudaGraphAddEmptyNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t);
cudaError_t CUDARTAPI cudaGraphAddEventRecordNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, cudaEvent_t);
cudaError_t CUDARTAPI cudaGraphEventRecordNodeGetEvent(cudaGraphNode_t, cudaEvent_t *);
cudaError_t CUDARTAPI cudaGraphEventRecordNodeSetEvent(cudaGraphNode_t, cudaEvent_t);
cudaError_t CUDARTAPI cudaGraphAddEventWaitNode(cudaGraphNode_t *, cudaGraph_t, const
		cudaGraphNode_t *, size_t, cudaEvent_t);
cudaError_t CUDARTAPI cudaGraphEventWaitNodeGetEvent(cudaGraphNode_t, cudaEvent_t *);
cudaError_t CUDARTAPI cudaGraphEventWaitNodeSetEvent(cudaGraphNode_t, cudaEvent_t);
cudaError_t CUDARTAPI cudaGraphClone(cudaGraph_t *, cudaGraph_t);
cudaError_t CUDARTAPI cudaGraphNodeFindInClone(cudaGraphNode_t *, cudaGraphNode_t, cudaGraph_t);
cudaError_t CUDARTAPI cudaGraphNodeGetType(cudaGraphNode_t, enum cudaGraphNodeType *);
cudaError_t CUDARTAPI cudaGraphGetNodes(cudaGraph_t, cudaGraphNode_t *, size_t *);
cudaError_t CUDARTAPI cudaGraphGetRootNodes(cudaGraph_t, cudaGraphNode_t *, size_t *);
cudaError_t CUDARTAPI cudaGraphGetEdges(cudaGraph_t, cudaGraphNode_t *, cudaGraphNode_t *,
		cudaGraphEdgeData *, size_t *);
cudaError_t CUDARTAPI cudaGraphNodeGetDependencies(cudaGraphNode_t, cudaGraphNode_t *,
		cudaGraphEdgeData *, size_t *);
cudaError_t CUDARTAPI cudaGraphNodeGetDependentNodes(cudaGraphNode_t, cudaGraphNode_t *,
		cudaGraphEdgeData *, size_t *);
cudaError_t CUDARTAPI cudaGraphAddDependencies(cudaGraph_t, const cudaGraphNode_t *, const
		cudaGraphNode_t *, const cudaGraphEdgeData *, size_t);
cudaError_t CUDARTAPI cudaGraphRemoveDependencies(cudaGraph_t, const cudaGraphNode_t *,
		const cudaGraphNode_t *, const cudaGraphEdgeData *, size_t);
cudaError_t CUDARTAPI cudaGraphDestroyNode(cudaGraphNode_t);
cudaError_t CUDARTAPI cudaGraphInstantiate(cudaGraphExec_t *, cudaGraph_t, unsigned long long);
cudaError_t CUDARTAPI cudaGraphInstantiateWithFlags(cudaGraphExec_t *, cudaGraph_t, unsigned
		long long);
cudaError_t CUDARTAPI cudaGraphInstantiateWithParams(cudaGraphExec_t *, cudaGraph_t,
		cudaGraphInstantiateParams *);
cudaError_t CUDARTAPI cudaGraphExecGetFlags(cudaGraphExec_t, unsigned long long *);
cudaError_t CUDARTAPI cudaGraphExecKernelNodeSetParams(cudaGraphExec_t, cudaGraphNode_t,
		const struct cudaKernelNodeParams *);
cudaError_t CUDARTAPI cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t, cudaGraphNode_t,
		const struct cudaMemcpy3DParms *);
cudaError_t CUDARTAPI cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t, cudaGraphNode_t,
		void *, const void *, size_t, enum cudaMemcpyKind);
cudaError_t CUDARTAPI cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t, cudaGraphNode_t,
		const struct cudaMemsetParams *);
cudaError_t CUDARTAPI cudaGraphExecHostNodeSetParams(cudaGraphExec_t, cudaGraphNode_t, const
		struct cudaHostNodeParams *);
cudaError_t CUDARTAPI cudaGraphExecEventRecordNodeSetEvent(cudaGraphExec_t, cudaGraphNode_t,
		cudaEvent_t);
cudaError_t CUDARTAPI cudaGraphExecEventWaitNodeSetEvent(cudaGraphExec_t, cudaGraphNode_t,
		cudaEvent_t);
cudaError_t CUDARTAPI cudaGraphNodeSetEnabled(cudaGraphExec_t, cudaGraphNode_t, unsigned int);
cudaError_t CUDARTAPI cudaGraphNodeGetEnabled(cudaGraphExec_t, cudaGraphNode_t, unsigned int *);
cudaError_t CUDARTAPI cudaGraphExecUpdate(cudaGraphExec_t, cudaGraph_t,
		cudaGraphExecUpdateResultInfo *);
cudaError_t CUDARTAPI cudaGraphUpload(cudaGraphExec_t, cudaStream_t);
cudaError_t CUDARTAPI cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t CUDARTAPI cudaGraphExecDestroy(cudaGraphExec_t);
cudaError_t CUDARTAPI cudaGraphDestroy(cudaGraph_t);
cudaError_t CUDARTAPI cudaUserObjectCreate(cudaUserObject_t *, void *, cudaHostFn_t,
		unsigned int, unsigned int);
cudaError_t CUDARTAPI cudaUserObjectRetain(cudaUserObject_t, unsigned int);
cudaError_t CUDARTAPI cudaUserObjectRelease(cudaUserObject_t, unsigned int);
cudaError_t CUDARTAPI cudaGraphRetainUserObject(cudaGraph_t, cudaUserObject_t, unsigned int,
		unsigned int);
cudaError_t CUDARTAPI cudaGraphReleaseUserObject(cudaGraph_t, cudaUserObject_t, unsigned int);

#ifdef __cplusplus
}
#endif

/* Shorthands. */
static inline struct cudaExtent make_cudaExtent(size_t width, size_t height, size_t depth)
{
	struct cudaExtent extent;

	extent.width = width;
	extent.height = height;
	extent.depth = depth;
	return extent;
}

static inline struct cudaPos make_cudaPos(size_t x, size_t y, size_t z)
{
	struct cudaPos position;

	position.x = x;
	position.y = y;
	position.z = z;
	return position;
}

static inline struct cudaPitchedPtr make_cudaPitchedPtr(void *pointer, size_t pitch, size_t width,
							size_t height)
{
	struct cudaPitchedPtr pitched;

	pitched.ptr = pointer;
	pitched.pitch = pitch;
	pitched.xsize = width;
	pitched.ysize = height;
	return pitched;
}

#endif /* __CUDA_RUNTIME_API_H__ */
