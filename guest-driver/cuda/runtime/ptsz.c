// SPDX-License-Identifier: Apache-2.0
/*
 * The names that programs built for per-thread default streams call: the same
 * functions, with the thread's stream in place of a null one.
 */
#include "internal.h"

static cudaStream_t own(cudaStream_t stream)
{
	return stream ? stream : cudaStreamPerThread;
}

cudaError_t cudaEventRecordWithFlags_ptsz(cudaEvent_t a, cudaStream_t b, unsigned int c);
cudaError_t cudaEventRecordWithFlags_ptsz(cudaEvent_t a, cudaStream_t b, unsigned int c)
{
	return cudaEventRecordWithFlags(a, own(b), c);
}

cudaError_t cudaEventRecord_ptsz(cudaEvent_t a, cudaStream_t b);
cudaError_t cudaEventRecord_ptsz(cudaEvent_t a, cudaStream_t b)
{
	return cudaEventRecord(a, own(b));
}

cudaError_t cudaFreeAsync_ptsz(void *a, cudaStream_t b);
cudaError_t cudaFreeAsync_ptsz(void *a, cudaStream_t b)
{
	return cudaFreeAsync(a, own(b));
}

cudaError_t cudaGetDriverEntryPointByVersion_ptsz(const char *a, void **b, unsigned int c,
		unsigned long long d, enum cudaDriverEntryPointQueryResult *e);
cudaError_t cudaGetDriverEntryPointByVersion_ptsz(const char *a, void **b, unsigned int c,
		unsigned long long d, enum cudaDriverEntryPointQueryResult *e)
{
	return cudaGetDriverEntryPointByVersion(a, b, c, d | cudaEnablePerThreadDefaultStream, e);
}

cudaError_t cudaGetDriverEntryPoint_ptsz(const char *a, void **b, unsigned long long c, enum
		cudaDriverEntryPointQueryResult *d);
cudaError_t cudaGetDriverEntryPoint_ptsz(const char *a, void **b, unsigned long long c, enum
		cudaDriverEntryPointQueryResult *d)
{
	return cudaGetDriverEntryPoint(a, b, c | cudaEnablePerThreadDefaultStream, d);
}

cudaError_t cudaGraphInstantiateWithParams_ptsz(cudaGraphExec_t *a, cudaGraph_t b,
		cudaGraphInstantiateParams *c);
cudaError_t cudaGraphInstantiateWithParams_ptsz(cudaGraphExec_t *a, cudaGraph_t b,
		cudaGraphInstantiateParams *c)
{
	return cudaGraphInstantiateWithParams(a, b, c);
}

cudaError_t cudaGraphLaunch_ptsz(cudaGraphExec_t a, cudaStream_t b);
cudaError_t cudaGraphLaunch_ptsz(cudaGraphExec_t a, cudaStream_t b)
{
	return cudaGraphLaunch(a, own(b));
}

cudaError_t cudaGraphUpload_ptsz(cudaGraphExec_t a, cudaStream_t b);
cudaError_t cudaGraphUpload_ptsz(cudaGraphExec_t a, cudaStream_t b)
{
	return cudaGraphUpload(a, own(b));
}

cudaError_t cudaLaunchCooperativeKernel_ptsz(const void *a, dim3 b, dim3 c, void **d, size_t
		e, cudaStream_t f);
cudaError_t cudaLaunchCooperativeKernel_ptsz(const void *a, dim3 b, dim3 c, void **d, size_t
		e, cudaStream_t f)
{
	return cudaLaunchCooperativeKernel(a, b, c, d, e, own(f));
}

cudaError_t cudaLaunchHostFunc_ptsz(cudaStream_t a, cudaHostFn_t b, void *c);
cudaError_t cudaLaunchHostFunc_ptsz(cudaStream_t a, cudaHostFn_t b, void *c)
{
	return cudaLaunchHostFunc(own(a), b, c);
}

cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t *a, const void *b, void **c);
cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t *a, const void *b, void **c)
{
	cudaLaunchConfig_t config;

	if (!a)
		return runtime_fail(cudaErrorInvalidValue);
	config = *a;
	config.stream = own(config.stream);
	return cudaLaunchKernelExC(&config, b, c);
}

cudaError_t cudaLaunchKernel_ptsz(const void *a, dim3 b, dim3 c, void **d, size_t e,
		cudaStream_t f);
cudaError_t cudaLaunchKernel_ptsz(const void *a, dim3 b, dim3 c, void **d, size_t e,
		cudaStream_t f)
{
	return cudaLaunchKernel(a, b, c, d, e, own(f));
}

cudaError_t cudaMallocAsync_ptsz(void **a, size_t b, cudaStream_t c);
cudaError_t cudaMallocAsync_ptsz(void **a, size_t b, cudaStream_t c)
{
	return cudaMallocAsync(a, b, own(c));
}

cudaError_t cudaMallocFromPoolAsync_ptsz(void **a, size_t b, cudaMemPool_t c, cudaStream_t d);
cudaError_t cudaMallocFromPoolAsync_ptsz(void **a, size_t b, cudaMemPool_t c, cudaStream_t d)
{
	return cudaMallocFromPoolAsync(a, b, c, own(d));
}

cudaError_t cudaMemPrefetchAsync_ptsz(const void *a, size_t b, struct cudaMemLocation c,
		unsigned int d, cudaStream_t e);
cudaError_t cudaMemPrefetchAsync_ptsz(const void *a, size_t b, struct cudaMemLocation c,
		unsigned int d, cudaStream_t e)
{
	return cudaMemPrefetchAsync(a, b, c, d, own(e));
}

cudaError_t cudaMemcpy2DAsync_ptsz(void *a, size_t b, const void *c, size_t d, size_t e,
		size_t f, enum cudaMemcpyKind g, cudaStream_t h);
cudaError_t cudaMemcpy2DAsync_ptsz(void *a, size_t b, const void *c, size_t d, size_t e,
		size_t f, enum cudaMemcpyKind g, cudaStream_t h)
{
	return cudaMemcpy2DAsync(a, b, c, d, e, f, g, own(h));
}

cudaError_t cudaMemcpy2D_ptds(void *a, size_t b, const void *c, size_t d, size_t e, size_t
		f, enum cudaMemcpyKind g);
cudaError_t cudaMemcpy2D_ptds(void *a, size_t b, const void *c, size_t d, size_t e, size_t
		f, enum cudaMemcpyKind g)
{
	cudaError_t error = cudaMemcpy2DAsync(a, b, c, d, e, f, g, cudaStreamPerThread);

	return error == cudaSuccess ? cudaStreamSynchronize(cudaStreamPerThread) : error;
}

cudaError_t cudaMemcpy3DAsync_ptsz(const struct cudaMemcpy3DParms *a, cudaStream_t b);
cudaError_t cudaMemcpy3DAsync_ptsz(const struct cudaMemcpy3DParms *a, cudaStream_t b)
{
	return cudaMemcpy3DAsync(a, own(b));
}

cudaError_t cudaMemcpy3D_ptds(const struct cudaMemcpy3DParms *a);
cudaError_t cudaMemcpy3D_ptds(const struct cudaMemcpy3DParms *a)
{
	cudaError_t error = cudaMemcpy3DAsync(a, cudaStreamPerThread);

	return error == cudaSuccess ? cudaStreamSynchronize(cudaStreamPerThread) : error;
}

cudaError_t cudaMemcpyAsync_ptsz(void *a, const void *b, size_t c, enum cudaMemcpyKind d,
		cudaStream_t e);
cudaError_t cudaMemcpyAsync_ptsz(void *a, const void *b, size_t c, enum cudaMemcpyKind d,
		cudaStream_t e)
{
	return cudaMemcpyAsync(a, b, c, d, own(e));
}

cudaError_t cudaMemcpyFromSymbolAsync_ptsz(void *a, const void *b, size_t c, size_t d, enum
		cudaMemcpyKind e, cudaStream_t f);
cudaError_t cudaMemcpyFromSymbolAsync_ptsz(void *a, const void *b, size_t c, size_t d, enum
		cudaMemcpyKind e, cudaStream_t f)
{
	return cudaMemcpyFromSymbolAsync(a, b, c, d, e, own(f));
}

cudaError_t cudaMemcpyFromSymbol_ptds(void *a, const void *b, size_t c, size_t d, enum
		cudaMemcpyKind e);
cudaError_t cudaMemcpyFromSymbol_ptds(void *a, const void *b, size_t c, size_t d, enum
		cudaMemcpyKind e)
{
	cudaError_t error = cudaMemcpyFromSymbolAsync(a, b, c, d, e, cudaStreamPerThread);

	return error == cudaSuccess ? cudaStreamSynchronize(cudaStreamPerThread) : error;
}

cudaError_t cudaMemcpyToSymbolAsync_ptsz(const void *a, const void *b, size_t c, size_t d,
		enum cudaMemcpyKind e, cudaStream_t f);
cudaError_t cudaMemcpyToSymbolAsync_ptsz(const void *a, const void *b, size_t c, size_t d,
		enum cudaMemcpyKind e, cudaStream_t f)
{
	return cudaMemcpyToSymbolAsync(a, b, c, d, e, own(f));
}

cudaError_t cudaMemcpyToSymbol_ptds(const void *a, const void *b, size_t c, size_t d, enum
		cudaMemcpyKind e);
cudaError_t cudaMemcpyToSymbol_ptds(const void *a, const void *b, size_t c, size_t d, enum
		cudaMemcpyKind e)
{
	cudaError_t error = cudaMemcpyToSymbolAsync(a, b, c, d, e, cudaStreamPerThread);

	return error == cudaSuccess ? cudaStreamSynchronize(cudaStreamPerThread) : error;
}

cudaError_t cudaMemcpy_ptds(void *a, const void *b, size_t c, enum cudaMemcpyKind d);
cudaError_t cudaMemcpy_ptds(void *a, const void *b, size_t c, enum cudaMemcpyKind d)
{
	cudaError_t error = cudaMemcpyAsync(a, b, c, d, cudaStreamPerThread);

	return error == cudaSuccess ? cudaStreamSynchronize(cudaStreamPerThread) : error;
}

cudaError_t cudaMemset2DAsync_ptsz(void *a, size_t b, int c, size_t d, size_t e, cudaStream_t f);
cudaError_t cudaMemset2DAsync_ptsz(void *a, size_t b, int c, size_t d, size_t e, cudaStream_t f)
{
	return cudaMemset2DAsync(a, b, c, d, e, own(f));
}

cudaError_t cudaMemset2D_ptds(void *a, size_t b, int c, size_t d, size_t e);
cudaError_t cudaMemset2D_ptds(void *a, size_t b, int c, size_t d, size_t e)
{
	return cudaMemset2DAsync(a, b, c, d, e, cudaStreamPerThread);
}

cudaError_t cudaMemset3DAsync_ptsz(struct cudaPitchedPtr a, int b, struct cudaExtent c,
		cudaStream_t d);
cudaError_t cudaMemset3DAsync_ptsz(struct cudaPitchedPtr a, int b, struct cudaExtent c,
		cudaStream_t d)
{
	return cudaMemset3DAsync(a, b, c, own(d));
}

cudaError_t cudaMemset3D_ptds(struct cudaPitchedPtr a, int b, struct cudaExtent c);
cudaError_t cudaMemset3D_ptds(struct cudaPitchedPtr a, int b, struct cudaExtent c)
{
	return cudaMemset3DAsync(a, b, c, cudaStreamPerThread);
}

cudaError_t cudaMemsetAsync_ptsz(void *a, int b, size_t c, cudaStream_t d);
cudaError_t cudaMemsetAsync_ptsz(void *a, int b, size_t c, cudaStream_t d)
{
	return cudaMemsetAsync(a, b, c, own(d));
}

cudaError_t cudaMemset_ptds(void *a, int b, size_t c);
cudaError_t cudaMemset_ptds(void *a, int b, size_t c)
{
	return cudaMemsetAsync(a, b, c, cudaStreamPerThread);
}

cudaError_t cudaStreamAddCallback_ptsz(cudaStream_t a, cudaStreamCallback_t b, void *c,
		unsigned int d);
cudaError_t cudaStreamAddCallback_ptsz(cudaStream_t a, cudaStreamCallback_t b, void *c,
		unsigned int d)
{
	return cudaStreamAddCallback(own(a), b, c, d);
}

cudaError_t cudaStreamAttachMemAsync_ptsz(cudaStream_t a, void *b, size_t c, unsigned int d);
cudaError_t cudaStreamAttachMemAsync_ptsz(cudaStream_t a, void *b, size_t c, unsigned int d)
{
	return cudaStreamAttachMemAsync(own(a), b, c, d);
}

cudaError_t cudaStreamBeginCaptureToGraph_ptsz(cudaStream_t a, cudaGraph_t b, const
		cudaGraphNode_t *c, const cudaGraphEdgeData *d, size_t e, enum cudaStreamCaptureMode f);
cudaError_t cudaStreamBeginCaptureToGraph_ptsz(cudaStream_t a, cudaGraph_t b, const
		cudaGraphNode_t *c, const cudaGraphEdgeData *d, size_t e, enum cudaStreamCaptureMode f)
{
	return cudaStreamBeginCaptureToGraph(own(a), b, c, d, e, f);
}

cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t a, enum cudaStreamCaptureMode b);
cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t a, enum cudaStreamCaptureMode b)
{
	return cudaStreamBeginCapture(own(a), b);
}

cudaError_t cudaStreamCopyAttributes_ptsz(cudaStream_t a, cudaStream_t b);
cudaError_t cudaStreamCopyAttributes_ptsz(cudaStream_t a, cudaStream_t b)
{
	return cudaStreamCopyAttributes(own(a), own(b));
}

cudaError_t cudaStreamEndCapture_ptsz(cudaStream_t a, cudaGraph_t *b);
cudaError_t cudaStreamEndCapture_ptsz(cudaStream_t a, cudaGraph_t *b)
{
	return cudaStreamEndCapture(own(a), b);
}

cudaError_t cudaStreamGetAttribute_ptsz(cudaStream_t a, cudaLaunchAttributeID b,
		cudaLaunchAttributeValue *c);
cudaError_t cudaStreamGetAttribute_ptsz(cudaStream_t a, cudaLaunchAttributeID b,
		cudaLaunchAttributeValue *c)
{
	return cudaStreamGetAttribute(own(a), b, c);
}

cudaError_t cudaStreamGetCaptureInfo_ptsz(cudaStream_t a, enum cudaStreamCaptureStatus *b,
		unsigned long long *c, cudaGraph_t *d, const cudaGraphNode_t **e, const cudaGraphEdgeData
		**f, size_t *g);
cudaError_t cudaStreamGetCaptureInfo_ptsz(cudaStream_t a, enum cudaStreamCaptureStatus *b,
		unsigned long long *c, cudaGraph_t *d, const cudaGraphNode_t **e, const cudaGraphEdgeData
		**f, size_t *g)
{
	return cudaStreamGetCaptureInfo(own(a), b, c, d, e, f, g);
}

cudaError_t cudaStreamGetDevice_ptsz(cudaStream_t a, int *b);
cudaError_t cudaStreamGetDevice_ptsz(cudaStream_t a, int *b)
{
	return cudaStreamGetDevice(own(a), b);
}

cudaError_t cudaStreamGetFlags_ptsz(cudaStream_t a, unsigned int *b);
cudaError_t cudaStreamGetFlags_ptsz(cudaStream_t a, unsigned int *b)
{
	return cudaStreamGetFlags(own(a), b);
}

cudaError_t cudaStreamGetId_ptsz(cudaStream_t a, unsigned long long *b);
cudaError_t cudaStreamGetId_ptsz(cudaStream_t a, unsigned long long *b)
{
	return cudaStreamGetId(own(a), b);
}

cudaError_t cudaStreamGetPriority_ptsz(cudaStream_t a, int *b);
cudaError_t cudaStreamGetPriority_ptsz(cudaStream_t a, int *b)
{
	return cudaStreamGetPriority(own(a), b);
}

cudaError_t cudaStreamIsCapturing_ptsz(cudaStream_t a, enum cudaStreamCaptureStatus *b);
cudaError_t cudaStreamIsCapturing_ptsz(cudaStream_t a, enum cudaStreamCaptureStatus *b)
{
	return cudaStreamIsCapturing(own(a), b);
}

cudaError_t cudaStreamQuery_ptsz(cudaStream_t a);
cudaError_t cudaStreamQuery_ptsz(cudaStream_t a)
{
	return cudaStreamQuery(own(a));
}

cudaError_t cudaStreamSetAttribute_ptsz(cudaStream_t a, cudaLaunchAttributeID b, const
		cudaLaunchAttributeValue *c);
cudaError_t cudaStreamSetAttribute_ptsz(cudaStream_t a, cudaLaunchAttributeID b, const
		cudaLaunchAttributeValue *c)
{
	return cudaStreamSetAttribute(own(a), b, c);
}

cudaError_t cudaStreamSynchronize_ptsz(cudaStream_t a);
cudaError_t cudaStreamSynchronize_ptsz(cudaStream_t a)
{
	return cudaStreamSynchronize(own(a));
}

cudaError_t cudaStreamUpdateCaptureDependencies_ptsz(cudaStream_t a, cudaGraphNode_t *b,
		const cudaGraphEdgeData *c, size_t d, unsigned int e);
cudaError_t cudaStreamUpdateCaptureDependencies_ptsz(cudaStream_t a, cudaGraphNode_t *b,
		const cudaGraphEdgeData *c, size_t d, unsigned int e)
{
	return cudaStreamUpdateCaptureDependencies(own(a), b, c, d, e);
}

cudaError_t cudaStreamWaitEvent_ptsz(cudaStream_t a, cudaEvent_t b, unsigned int c);
cudaError_t cudaStreamWaitEvent_ptsz(cudaStream_t a, cudaEvent_t b, unsigned int c)
{
	return cudaStreamWaitEvent(own(a), b, c);
}
