// SPDX-License-Identifier: Apache-2.0
/*
 * The names that programs built for per-thread default streams call: the same
 * functions, with the thread's stream in place of a null one.
 */
#include "internal.h"

/* Calls without a stream work on the thread's; what they would wait for, they wait for there. */
static CUstream own(CUstream stream)
{
	return stream ? stream : CU_STREAM_PER_THREAD;
}

EXPORT CUresult cuEventRecord_ptsz(CUevent a, CUstream b);
EXPORT CUresult cuEventRecord_ptsz(CUevent a, CUstream b)
{
	return cuEventRecord(a, own(b));
}

EXPORT CUresult cuEventRecordWithFlags_ptsz(CUevent a, CUstream b, unsigned int c);
EXPORT CUresult cuEventRecordWithFlags_ptsz(CUevent a, CUstream b, unsigned int c)
{
	return cuEventRecordWithFlags(a, own(b), c);
}

EXPORT CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *a, CUgraph b,
		CUDA_GRAPH_INSTANTIATE_PARAMS *c);
EXPORT CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *a, CUgraph b,
		CUDA_GRAPH_INSTANTIATE_PARAMS *c)
{
	return cuGraphInstantiateWithParams(a, b, c);
}

EXPORT CUresult cuGraphLaunch_ptsz(CUgraphExec a, CUstream b);
EXPORT CUresult cuGraphLaunch_ptsz(CUgraphExec a, CUstream b)
{
	return cuGraphLaunch(a, own(b));
}

EXPORT CUresult cuGraphUpload_ptsz(CUgraphExec a, CUstream b);
EXPORT CUresult cuGraphUpload_ptsz(CUgraphExec a, CUstream b)
{
	return cuGraphUpload(a, own(b));
}

EXPORT CUresult cuLaunchCooperativeKernel_ptsz(CUfunction a, unsigned int b, unsigned int c,
		unsigned int d, unsigned int e, unsigned int f, unsigned int g, unsigned int h, CUstream
		i, void **j);
EXPORT CUresult cuLaunchCooperativeKernel_ptsz(CUfunction a, unsigned int b, unsigned int c,
		unsigned int d, unsigned int e, unsigned int f, unsigned int g, unsigned int h, CUstream
		i, void **j)
{
	return cuLaunchCooperativeKernel(a, b, c, d, e, f, g, h, own(i), j);
}

EXPORT CUresult cuLaunchHostFunc_ptsz(CUstream a, CUhostFn b, void *c);
EXPORT CUresult cuLaunchHostFunc_ptsz(CUstream a, CUhostFn b, void *c)
{
	return cuLaunchHostFunc(own(a), b, c);
}

EXPORT CUresult cuLaunchKernel_ptsz(CUfunction a, unsigned int b, unsigned int c, unsigned
		int d, unsigned int e, unsigned int f, unsigned int g, unsigned int h, CUstream i, void
		**j, void **k);
EXPORT CUresult cuLaunchKernel_ptsz(CUfunction a, unsigned int b, unsigned int c, unsigned
		int d, unsigned int e, unsigned int f, unsigned int g, unsigned int h, CUstream i, void
		**j, void **k)
{
	return cuLaunchKernel(a, b, c, d, e, f, g, h, own(i), j, k);
}

EXPORT CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *a, CUfunction b, void **c, void **d);
EXPORT CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *a, CUfunction b, void **c, void **d)
{
	CUlaunchConfig config;

	if (!a)
		return CUDA_ERROR_INVALID_VALUE;
	config = *a;
	config.hStream = own(config.hStream);
	return cuLaunchKernelEx(&config, b, c, d);
}

EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr *a, size_t b, CUstream c);
EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr *a, size_t b, CUstream c)
{
	return cuMemAllocAsync(a, b, own(c));
}

EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *a, size_t b, CUmemoryPool c,
		CUstream d);
EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *a, size_t b, CUmemoryPool c, CUstream d)
{
	return cuMemAllocFromPoolAsync(a, b, c, own(d));
}

EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr a, CUstream b);
EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr a, CUstream b)
{
	return cuMemFreeAsync(a, own(b));
}

EXPORT CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr a, size_t b, CUmemLocation c,
		unsigned int d, CUstream e);
EXPORT CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr a, size_t b, CUmemLocation c,
		unsigned int d, CUstream e)
{
	return cuMemPrefetchAsync_v2(a, b, c, d, own(e));
}

EXPORT CUresult cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D *a, CUstream b);
EXPORT CUresult cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D *a, CUstream b)
{
	return cuMemcpy2DAsync_v2(a, own(b));
}

EXPORT CUresult cuMemcpy3DAsync_v2_ptsz(const CUDA_MEMCPY3D *a, CUstream b);
EXPORT CUresult cuMemcpy3DAsync_v2_ptsz(const CUDA_MEMCPY3D *a, CUstream b)
{
	return cuMemcpy3DAsync_v2(a, own(b));
}

EXPORT CUresult cuMemcpyAsync_ptsz(CUdeviceptr a, CUdeviceptr b, size_t c, CUstream d);
EXPORT CUresult cuMemcpyAsync_ptsz(CUdeviceptr a, CUdeviceptr b, size_t c, CUstream d)
{
	return cuMemcpyAsync(a, b, c, own(d));
}

EXPORT CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr a, CUdeviceptr b, size_t c, CUstream d);
EXPORT CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr a, CUdeviceptr b, size_t c, CUstream d)
{
	return cuMemcpyDtoDAsync_v2(a, b, c, own(d));
}

EXPORT CUresult cuMemcpyDtoHAsync_v2_ptsz(void *a, CUdeviceptr b, size_t c, CUstream d);
EXPORT CUresult cuMemcpyDtoHAsync_v2_ptsz(void *a, CUdeviceptr b, size_t c, CUstream d)
{
	return cuMemcpyDtoHAsync_v2(a, b, c, own(d));
}

EXPORT CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr a, const void *b, size_t c, CUstream d);
EXPORT CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr a, const void *b, size_t c, CUstream d)
{
	return cuMemcpyHtoDAsync_v2(a, b, c, own(d));
}

EXPORT CUresult cuMemcpyPeerAsync_ptsz(CUdeviceptr a, CUcontext b, CUdeviceptr c, CUcontext
		d, size_t e, CUstream f);
EXPORT CUresult cuMemcpyPeerAsync_ptsz(CUdeviceptr a, CUcontext b, CUdeviceptr c, CUcontext
		d, size_t e, CUstream f)
{
	return cuMemcpyPeerAsync(a, b, c, d, e, own(f));
}

EXPORT CUresult cuMemsetD16Async_ptsz(CUdeviceptr a, unsigned short b, size_t c, CUstream d);
EXPORT CUresult cuMemsetD16Async_ptsz(CUdeviceptr a, unsigned short b, size_t c, CUstream d)
{
	return cuMemsetD16Async(a, b, c, own(d));
}

EXPORT CUresult cuMemsetD2D16Async_ptsz(CUdeviceptr a, size_t b, unsigned short c, size_t d,
		size_t e, CUstream f);
EXPORT CUresult cuMemsetD2D16Async_ptsz(CUdeviceptr a, size_t b, unsigned short c, size_t d,
		size_t e, CUstream f)
{
	return cuMemsetD2D16Async(a, b, c, d, e, own(f));
}

EXPORT CUresult cuMemsetD2D32Async_ptsz(CUdeviceptr a, size_t b, unsigned int c, size_t d,
		size_t e, CUstream f);
EXPORT CUresult cuMemsetD2D32Async_ptsz(CUdeviceptr a, size_t b, unsigned int c, size_t d,
		size_t e, CUstream f)
{
	return cuMemsetD2D32Async(a, b, c, d, e, own(f));
}

EXPORT CUresult cuMemsetD2D8Async_ptsz(CUdeviceptr a, size_t b, unsigned char c, size_t d,
		size_t e, CUstream f);
EXPORT CUresult cuMemsetD2D8Async_ptsz(CUdeviceptr a, size_t b, unsigned char c, size_t d,
		size_t e, CUstream f)
{
	return cuMemsetD2D8Async(a, b, c, d, e, own(f));
}

EXPORT CUresult cuMemsetD32Async_ptsz(CUdeviceptr a, unsigned int b, size_t c, CUstream d);
EXPORT CUresult cuMemsetD32Async_ptsz(CUdeviceptr a, unsigned int b, size_t c, CUstream d)
{
	return cuMemsetD32Async(a, b, c, own(d));
}

EXPORT CUresult cuMemsetD8Async_ptsz(CUdeviceptr a, unsigned char b, size_t c, CUstream d);
EXPORT CUresult cuMemsetD8Async_ptsz(CUdeviceptr a, unsigned char b, size_t c, CUstream d)
{
	return cuMemsetD8Async(a, b, c, own(d));
}

EXPORT CUresult cuStreamAddCallback_ptsz(CUstream a, CUstreamCallback b, void *c, unsigned int d);
EXPORT CUresult cuStreamAddCallback_ptsz(CUstream a, CUstreamCallback b, void *c, unsigned int d)
{
	return cuStreamAddCallback(own(a), b, c, d);
}

EXPORT CUresult cuStreamAttachMemAsync_ptsz(CUstream a, CUdeviceptr b, size_t c, unsigned int d);
EXPORT CUresult cuStreamAttachMemAsync_ptsz(CUstream a, CUdeviceptr b, size_t c, unsigned int d)
{
	return cuStreamAttachMemAsync(own(a), b, c, d);
}

EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream a, CUstreamCaptureMode b);
EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream a, CUstreamCaptureMode b)
{
	return cuStreamBeginCapture_v2(own(a), b);
}

EXPORT CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream a, CUgraph b, const CUgraphNode
		*c, const CUgraphEdgeData *d, size_t e, CUstreamCaptureMode f);
EXPORT CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream a, CUgraph b, const CUgraphNode
		*c, const CUgraphEdgeData *d, size_t e, CUstreamCaptureMode f)
{
	return cuStreamBeginCaptureToGraph(own(a), b, c, d, e, f);
}

EXPORT CUresult cuStreamCopyAttributes_ptsz(CUstream a, CUstream b);
EXPORT CUresult cuStreamCopyAttributes_ptsz(CUstream a, CUstream b)
{
	return cuStreamCopyAttributes(own(a), own(b));
}

EXPORT CUresult cuStreamEndCapture_ptsz(CUstream a, CUgraph *b);
EXPORT CUresult cuStreamEndCapture_ptsz(CUstream a, CUgraph *b)
{
	return cuStreamEndCapture(own(a), b);
}

EXPORT CUresult cuStreamGetAttribute_ptsz(CUstream a, CUstreamAttrID b, CUstreamAttrValue *c);
EXPORT CUresult cuStreamGetAttribute_ptsz(CUstream a, CUstreamAttrID b, CUstreamAttrValue *c)
{
	return cuStreamGetAttribute(own(a), b, c);
}

EXPORT CUresult cuStreamGetCaptureInfo_v3_ptsz(CUstream a, CUstreamCaptureStatus *b,
		cuuint64_t *c, CUgraph *d, const CUgraphNode **e, const CUgraphEdgeData **f, size_t *g);
EXPORT CUresult cuStreamGetCaptureInfo_v3_ptsz(CUstream a, CUstreamCaptureStatus *b,
		cuuint64_t *c, CUgraph *d, const CUgraphNode **e, const CUgraphEdgeData **f, size_t *g)
{
	return cuStreamGetCaptureInfo_v3(own(a), b, c, d, e, f, g);
}

EXPORT CUresult cuStreamGetCtx_ptsz(CUstream a, CUcontext *b);
EXPORT CUresult cuStreamGetCtx_ptsz(CUstream a, CUcontext *b)
{
	return cuStreamGetCtx(own(a), b);
}

EXPORT CUresult cuStreamGetDevice_ptsz(CUstream a, CUdevice *b);
EXPORT CUresult cuStreamGetDevice_ptsz(CUstream a, CUdevice *b)
{
	return cuStreamGetDevice(own(a), b);
}

EXPORT CUresult cuStreamGetFlags_ptsz(CUstream a, unsigned int *b);
EXPORT CUresult cuStreamGetFlags_ptsz(CUstream a, unsigned int *b)
{
	return cuStreamGetFlags(own(a), b);
}

EXPORT CUresult cuStreamGetId_ptsz(CUstream a, unsigned long long *b);
EXPORT CUresult cuStreamGetId_ptsz(CUstream a, unsigned long long *b)
{
	return cuStreamGetId(own(a), b);
}

EXPORT CUresult cuStreamGetPriority_ptsz(CUstream a, int *b);
EXPORT CUresult cuStreamGetPriority_ptsz(CUstream a, int *b)
{
	return cuStreamGetPriority(own(a), b);
}

EXPORT CUresult cuStreamIsCapturing_ptsz(CUstream a, CUstreamCaptureStatus *b);
EXPORT CUresult cuStreamIsCapturing_ptsz(CUstream a, CUstreamCaptureStatus *b)
{
	return cuStreamIsCapturing(own(a), b);
}

EXPORT CUresult cuStreamQuery_ptsz(CUstream a);
EXPORT CUresult cuStreamQuery_ptsz(CUstream a)
{
	return cuStreamQuery(own(a));
}

EXPORT CUresult cuStreamSetAttribute_ptsz(CUstream a, CUstreamAttrID b, const
		CUstreamAttrValue *c);
EXPORT CUresult cuStreamSetAttribute_ptsz(CUstream a, CUstreamAttrID b, const
		CUstreamAttrValue *c)
{
	return cuStreamSetAttribute(own(a), b, c);
}

EXPORT CUresult cuStreamSynchronize_ptsz(CUstream a);
EXPORT CUresult cuStreamSynchronize_ptsz(CUstream a)
{
	return cuStreamSynchronize(own(a));
}

EXPORT CUresult cuStreamUpdateCaptureDependencies_v2_ptsz(CUstream a, CUgraphNode *b, const
		CUgraphEdgeData *c, size_t d, unsigned int e);
EXPORT CUresult cuStreamUpdateCaptureDependencies_v2_ptsz(CUstream a, CUgraphNode *b, const
		CUgraphEdgeData *c, size_t d, unsigned int e)
{
	return cuStreamUpdateCaptureDependencies_v2(own(a), b, c, d, e);
}

EXPORT CUresult cuStreamWaitEvent_ptsz(CUstream a, CUevent b, unsigned int c);
EXPORT CUresult cuStreamWaitEvent_ptsz(CUstream a, CUevent b, unsigned int c)
{
	return cuStreamWaitEvent(own(a), b, c);
}

EXPORT CUresult cuMemcpy_ptds(CUdeviceptr a, CUdeviceptr b, size_t c);
EXPORT CUresult cuMemcpy_ptds(CUdeviceptr a, CUdeviceptr b, size_t c)
{
	CUresult error = cuMemcpyAsync(a, b, c, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemcpy2D_v2_ptds(const CUDA_MEMCPY2D *a);
EXPORT CUresult cuMemcpy2D_v2_ptds(const CUDA_MEMCPY2D *a)
{
	CUresult error = cuMemcpy2DAsync_v2(a, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D *a);
EXPORT CUresult cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D *a)
{
	CUresult error = cuMemcpy2DAsync_v2(a, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemcpy3D_v2_ptds(const CUDA_MEMCPY3D *a);
EXPORT CUresult cuMemcpy3D_v2_ptds(const CUDA_MEMCPY3D *a)
{
	CUresult error = cuMemcpy3DAsync_v2(a, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr a, CUdeviceptr b, size_t c);
EXPORT CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr a, CUdeviceptr b, size_t c)
{
	CUresult error = cuMemcpyDtoDAsync_v2(a, b, c, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemcpyDtoH_v2_ptds(void *a, CUdeviceptr b, size_t c);
EXPORT CUresult cuMemcpyDtoH_v2_ptds(void *a, CUdeviceptr b, size_t c)
{
	CUresult error = cuMemcpyDtoHAsync_v2(a, b, c, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr a, const void *b, size_t c);
EXPORT CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr a, const void *b, size_t c)
{
	CUresult error = cuMemcpyHtoDAsync_v2(a, b, c, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemcpyPeer_ptds(CUdeviceptr a, CUcontext b, CUdeviceptr c, CUcontext d,
		size_t e);
EXPORT CUresult cuMemcpyPeer_ptds(CUdeviceptr a, CUcontext b, CUdeviceptr c, CUcontext d,
		size_t e)
{
	CUresult error = cuMemcpyPeerAsync(a, b, c, d, e, CU_STREAM_PER_THREAD);

	return error == CUDA_SUCCESS ? cuStreamSynchronize(CU_STREAM_PER_THREAD) : error;
}

EXPORT CUresult cuMemsetD16_v2_ptds(CUdeviceptr a, unsigned short b, size_t c);
EXPORT CUresult cuMemsetD16_v2_ptds(CUdeviceptr a, unsigned short b, size_t c)
{
	return cuMemsetD16Async(a, b, c, CU_STREAM_PER_THREAD);
}

EXPORT CUresult cuMemsetD2D16_v2_ptds(CUdeviceptr a, size_t b, unsigned short c, size_t d,
		size_t e);
EXPORT CUresult cuMemsetD2D16_v2_ptds(CUdeviceptr a, size_t b, unsigned short c, size_t d,
		size_t e)
{
	return cuMemsetD2D16Async(a, b, c, d, e, CU_STREAM_PER_THREAD);
}

EXPORT CUresult cuMemsetD2D32_v2_ptds(CUdeviceptr a, size_t b, unsigned int c, size_t d,
		size_t e);
EXPORT CUresult cuMemsetD2D32_v2_ptds(CUdeviceptr a, size_t b, unsigned int c, size_t d, size_t e)
{
	return cuMemsetD2D32Async(a, b, c, d, e, CU_STREAM_PER_THREAD);
}

EXPORT CUresult cuMemsetD2D8_v2_ptds(CUdeviceptr a, size_t b, unsigned char c, size_t d,
		size_t e);
EXPORT CUresult cuMemsetD2D8_v2_ptds(CUdeviceptr a, size_t b, unsigned char c, size_t d, size_t e)
{
	return cuMemsetD2D8Async(a, b, c, d, e, CU_STREAM_PER_THREAD);
}

EXPORT CUresult cuMemsetD32_v2_ptds(CUdeviceptr a, unsigned int b, size_t c);
EXPORT CUresult cuMemsetD32_v2_ptds(CUdeviceptr a, unsigned int b, size_t c)
{
	return cuMemsetD32Async(a, b, c, CU_STREAM_PER_THREAD);
}

EXPORT CUresult cuMemsetD8_v2_ptds(CUdeviceptr a, unsigned char b, size_t c);
EXPORT CUresult cuMemsetD8_v2_ptds(CUdeviceptr a, unsigned char b, size_t c)
{
	return cuMemsetD8Async(a, b, c, CU_STREAM_PER_THREAD);
}
