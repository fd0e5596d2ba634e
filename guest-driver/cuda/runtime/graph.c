// SPDX-License-Identifier: Apache-2.0
/*
 * Capture and graphs: the driver interface's, by other names. Kernels are given
 * by their addresses in the program, and given back as such.
 */
#include "internal.h"

CUresult copy_of_parms(const struct cudaMemcpy3DParms *from, CUDA_MEMCPY3D *out);

static CUresult kernel_parameters(const struct cudaKernelNodeParams *from,
				  CUDA_KERNEL_NODE_PARAMS *out)
{
	if (!from)
		return CUDA_ERROR_INVALID_VALUE;
	*out = (CUDA_KERNEL_NODE_PARAMS){
		.gridDimX = from->gridDim.x, .gridDimY = from->gridDim.y,
		.gridDimZ = from->gridDim.z, .blockDimX = from->blockDim.x,
		.blockDimY = from->blockDim.y, .blockDimZ = from->blockDim.z,
		.sharedMemBytes = from->sharedMemBytes, .kernelParams = from->kernelParams,
		.extra = from->extra,
	};
	return symbol_function(from->func, &out->func);
}

cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t *node, cudaGraph_t graph,
				   const cudaGraphNode_t *dependencies, size_t count,
				   const struct cudaKernelNodeParams *parameters)
{
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = kernel_parameters(parameters, &kernel);
	if (error == CUDA_SUCCESS)
		error = cuGraphAddKernelNode(node, graph, dependencies, count, &kernel);
	return runtime_done(error);
}

cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, struct cudaKernelNodeParams *out)
{
	CUDA_KERNEL_NODE_PARAMS kernel;
	const char *name;
	const void *address = NULL;
	CUresult error = runtime_begin();

	if (!out)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = cuGraphKernelNodeGetParams(node, &kernel);
	if (error == CUDA_SUCCESS)
		error = cuFuncGetName(&name, kernel.func);
	if (error != CUDA_SUCCESS)
		return runtime_done(error);
	address = address_of_kernel(name);
	*out = (struct cudaKernelNodeParams){
		.func = address ? (void *)(uintptr_t)address : (void *)kernel.func,
		.gridDim = { kernel.gridDimX, kernel.gridDimY, kernel.gridDimZ },
		.blockDim = { kernel.blockDimX, kernel.blockDimY, kernel.blockDimZ },
		.sharedMemBytes = kernel.sharedMemBytes, .kernelParams = kernel.kernelParams,
	};
	return cudaSuccess;
}

cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node,
					 const struct cudaKernelNodeParams *parameters)
{
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = kernel_parameters(parameters, &kernel);
	if (error == CUDA_SUCCESS)
		error = cuGraphKernelNodeSetParams(node, &kernel);
	return runtime_done(error);
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
					     const struct cudaKernelNodeParams *parameters)
{
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = kernel_parameters(parameters, &kernel);
	if (error == CUDA_SUCCESS)
		error = cuGraphExecKernelNodeSetParams(exec, node, &kernel);
	return runtime_done(error);
}

/* A copy in one dimension as one in three. */
static struct cudaMemcpy3DParms line(void *target, const void *source, size_t bytes,
				     enum cudaMemcpyKind kind)
{
	return (struct cudaMemcpy3DParms){
		.srcPtr = make_cudaPitchedPtr((void *)(uintptr_t)source, bytes, bytes, 1),
		.dstPtr = make_cudaPitchedPtr(target, bytes, bytes, 1),
		.extent = make_cudaExtent(bytes, 1, 1), .kind = kind,
	};
}

cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t *node, cudaGraph_t graph,
				   const cudaGraphNode_t *dependencies, size_t count,
				   const struct cudaMemcpy3DParms *parameters)
{
	CUDA_MEMCPY3D copy;
	CUcontext context = NULL;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = copy_of_parms(parameters, &copy);
	if (error == CUDA_SUCCESS)
		error = cuCtxGetCurrent(&context);
	if (error == CUDA_SUCCESS)
		error = cuGraphAddMemcpyNode(node, graph, dependencies, count, &copy, context);
	return runtime_done(error);
}

cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t *node, cudaGraph_t graph,
				     const cudaGraphNode_t *dependencies, size_t count,
				     void *target, const void *source, size_t bytes,
				     enum cudaMemcpyKind kind)
{
	struct cudaMemcpy3DParms parameters = line(target, source, bytes, kind);

	return cudaGraphAddMemcpyNode(node, graph, dependencies, count, &parameters);
}

cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node,
					 const struct cudaMemcpy3DParms *parameters)
{
	CUDA_MEMCPY3D copy;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = copy_of_parms(parameters, &copy);
	if (error == CUDA_SUCCESS)
		error = cuGraphMemcpyNodeSetParams(node, &copy);
	return runtime_done(error);
}

cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void *target, const void *source,
					   size_t bytes, enum cudaMemcpyKind kind)
{
	struct cudaMemcpy3DParms parameters = line(target, source, bytes, kind);

	return cudaGraphMemcpyNodeSetParams(node, &parameters);
}

cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
					     const struct cudaMemcpy3DParms *parameters)
{
	CUDA_MEMCPY3D copy;
	CUcontext context = NULL;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = copy_of_parms(parameters, &copy);
	if (error == CUDA_SUCCESS)
		error = cuCtxGetCurrent(&context);
	if (error == CUDA_SUCCESS)
		error = cuGraphExecMemcpyNodeSetParams(exec, node, &copy, context);
	return runtime_done(error);
}

cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node,
					       void *target, const void *source, size_t bytes,
					       enum cudaMemcpyKind kind)
{
	struct cudaMemcpy3DParms parameters = line(target, source, bytes, kind);

	return cudaGraphExecMemcpyNodeSetParams(exec, node, &parameters);
}

static CUresult set_parameters(const struct cudaMemsetParams *from, CUDA_MEMSET_NODE_PARAMS *out)
{
	if (!from)
		return CUDA_ERROR_INVALID_VALUE;
	*out = (CUDA_MEMSET_NODE_PARAMS){ pointer_of(from->dst), from->pitch, from->value,
					  from->elementSize, from->width, from->height };
	return CUDA_SUCCESS;
}

cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t *node, cudaGraph_t graph,
				   const cudaGraphNode_t *dependencies, size_t count,
				   const struct cudaMemsetParams *parameters)
{
	CUDA_MEMSET_NODE_PARAMS set;
	CUcontext context = NULL;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = set_parameters(parameters, &set);
	if (error == CUDA_SUCCESS)
		error = cuCtxGetCurrent(&context);
	if (error == CUDA_SUCCESS)
		error = cuGraphAddMemsetNode(node, graph, dependencies, count, &set, context);
	return runtime_done(error);
}

cudaError_t cudaGraphMemsetNodeGetParams(cudaGraphNode_t node, struct cudaMemsetParams *out)
{
	CUDA_MEMSET_NODE_PARAMS set;
	CUresult error = runtime_begin();

	if (!out)
		return runtime_fail(cudaErrorInvalidValue);
	if (error == CUDA_SUCCESS)
		error = cuGraphMemsetNodeGetParams(node, &set);
	if (error == CUDA_SUCCESS)
		*out = (struct cudaMemsetParams){ (void *)(uintptr_t)set.dst, set.pitch, set.value,
						  set.elementSize, set.width, set.height };
	return runtime_done(error);
}

cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node,
					 const struct cudaMemsetParams *parameters)
{
	CUDA_MEMSET_NODE_PARAMS set;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = set_parameters(parameters, &set);
	if (error == CUDA_SUCCESS)
		error = cuGraphMemsetNodeSetParams(node, &set);
	return runtime_done(error);
}

cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
					     const struct cudaMemsetParams *parameters)
{
	CUDA_MEMSET_NODE_PARAMS set;
	CUcontext context = NULL;
	CUresult error = runtime_begin();

	if (error == CUDA_SUCCESS)
		error = set_parameters(parameters, &set);
	if (error == CUDA_SUCCESS)
		error = cuCtxGetCurrent(&context);
	if (error == CUDA_SUCCESS)
		error = cuGraphExecMemsetNodeSetParams(exec, node, &set, context);
	return runtime_done(error);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t a, enum cudaStreamCaptureMode b)
{
	DRIVER(cuStreamBeginCapture(a, (CUstreamCaptureMode)b));
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t a, cudaGraph_t b, const
		cudaGraphNode_t *c, const cudaGraphEdgeData *d, size_t e, enum cudaStreamCaptureMode f)
{
	DRIVER(cuStreamBeginCaptureToGraph(a, b, c, (const CUgraphEdgeData *)d, e,
		(CUstreamCaptureMode)f));
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *a)
{
	DRIVER(cuThreadExchangeStreamCaptureMode((CUstreamCaptureMode *)a));
}

cudaError_t cudaStreamEndCapture(cudaStream_t a, cudaGraph_t *b)
{
	DRIVER(cuStreamEndCapture(a, b));
}

cudaError_t cudaStreamIsCapturing(cudaStream_t a, enum cudaStreamCaptureStatus *b)
{
	DRIVER(cuStreamIsCapturing(a, (CUstreamCaptureStatus *)b));
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t a, enum cudaStreamCaptureStatus *b,
		unsigned long long *c, cudaGraph_t *d, const cudaGraphNode_t **e, const cudaGraphEdgeData
		**f, size_t *g)
{
	DRIVER(cuStreamGetCaptureInfo(a, (CUstreamCaptureStatus *)b, (cuuint64_t *)c, d, e, (const
		CUgraphEdgeData **)f, g));
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t a, cudaGraphNode_t *b, const
		cudaGraphEdgeData *c, size_t d, unsigned int e)
{
	DRIVER(cuStreamUpdateCaptureDependencies(a, b, (const CUgraphEdgeData *)c, d, e));
}

cudaError_t cudaGraphCreate(cudaGraph_t *a, unsigned int b)
{
	DRIVER(cuGraphCreate(a, b));
}

cudaError_t cudaGraphAddHostNode(cudaGraphNode_t *a, cudaGraph_t b, const cudaGraphNode_t
		*c, size_t d, const struct cudaHostNodeParams *e)
{
	DRIVER(cuGraphAddHostNode(a, b, c, d, (const CUDA_HOST_NODE_PARAMS *)e));
}

cudaError_t cudaGraphHostNodeGetParams(cudaGraphNode_t a, struct cudaHostNodeParams *b)
{
	DRIVER(cuGraphHostNodeGetParams(a, (CUDA_HOST_NODE_PARAMS *)b));
}

cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t a, const struct cudaHostNodeParams *b)
{
	DRIVER(cuGraphHostNodeSetParams(a, (const CUDA_HOST_NODE_PARAMS *)b));
}

cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t *a, cudaGraph_t b, const
		cudaGraphNode_t *c, size_t d, cudaGraph_t e)
{
	DRIVER(cuGraphAddChildGraphNode(a, b, c, d, e));
}

cudaError_t cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t a, cudaGraph_t *b)
{
	DRIVER(cuGraphChildGraphNodeGetGraph(a, b));
}

cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t *a, cudaGraph_t b, const cudaGraphNode_t
		*c, size_t d)
{
	DRIVER(cuGraphAddEmptyNode(a, b, c, d));
}

cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t *a, cudaGraph_t b, const
		cudaGraphNode_t *c, size_t d, cudaEvent_t e)
{
	DRIVER(cuGraphAddEventRecordNode(a, b, c, d, e));
}

cudaError_t cudaGraphEventRecordNodeGetEvent(cudaGraphNode_t a, cudaEvent_t *b)
{
	DRIVER(cuGraphEventRecordNodeGetEvent(a, b));
}

cudaError_t cudaGraphEventRecordNodeSetEvent(cudaGraphNode_t a, cudaEvent_t b)
{
	DRIVER(cuGraphEventRecordNodeSetEvent(a, b));
}

cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t *a, cudaGraph_t b, const
		cudaGraphNode_t *c, size_t d, cudaEvent_t e)
{
	DRIVER(cuGraphAddEventWaitNode(a, b, c, d, e));
}

cudaError_t cudaGraphEventWaitNodeGetEvent(cudaGraphNode_t a, cudaEvent_t *b)
{
	DRIVER(cuGraphEventWaitNodeGetEvent(a, b));
}

cudaError_t cudaGraphEventWaitNodeSetEvent(cudaGraphNode_t a, cudaEvent_t b)
{
	DRIVER(cuGraphEventWaitNodeSetEvent(a, b));
}

cudaError_t cudaGraphClone(cudaGraph_t *a, cudaGraph_t b)
{
	DRIVER(cuGraphClone(a, b));
}

cudaError_t cudaGraphNodeFindInClone(cudaGraphNode_t *a, cudaGraphNode_t b, cudaGraph_t c)
{
	DRIVER(cuGraphNodeFindInClone(a, b, c));
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t a, enum cudaGraphNodeType *b)
{
	DRIVER(cuGraphNodeGetType(a, (CUgraphNodeType *)b));
}

cudaError_t cudaGraphGetNodes(cudaGraph_t a, cudaGraphNode_t *b, size_t *c)
{
	DRIVER(cuGraphGetNodes(a, b, c));
}

cudaError_t cudaGraphGetRootNodes(cudaGraph_t a, cudaGraphNode_t *b, size_t *c)
{
	DRIVER(cuGraphGetRootNodes(a, b, c));
}

cudaError_t cudaGraphGetEdges(cudaGraph_t a, cudaGraphNode_t *b, cudaGraphNode_t *c,
		cudaGraphEdgeData *d, size_t *e)
{
	DRIVER(cuGraphGetEdges(a, b, c, (CUgraphEdgeData *)d, e));
}

cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t a, cudaGraphNode_t *b,
		cudaGraphEdgeData *c, size_t *d)
{
	DRIVER(cuGraphNodeGetDependencies(a, b, (CUgraphEdgeData *)c, d));
}

cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t a, cudaGraphNode_t *b,
		cudaGraphEdgeData *c, size_t *d)
{
	DRIVER(cuGraphNodeGetDependentNodes(a, b, (CUgraphEdgeData *)c, d));
}

cudaError_t cudaGraphAddDependencies(cudaGraph_t a, const cudaGraphNode_t *b, const
		cudaGraphNode_t *c, const cudaGraphEdgeData *d, size_t e)
{
	DRIVER(cuGraphAddDependencies(a, b, c, (const CUgraphEdgeData *)d, e));
}

cudaError_t cudaGraphRemoveDependencies(cudaGraph_t a, const cudaGraphNode_t *b, const
		cudaGraphNode_t *c, const cudaGraphEdgeData *d, size_t e)
{
	DRIVER(cuGraphRemoveDependencies(a, b, c, (const CUgraphEdgeData *)d, e));
}

cudaError_t cudaGraphDestroyNode(cudaGraphNode_t a)
{
	DRIVER(cuGraphDestroyNode(a));
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *a, cudaGraph_t b, unsigned long long c)
{
	DRIVER(cuGraphInstantiateWithFlags(a, b, c));
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *a, cudaGraph_t b, unsigned long long c)
{
	DRIVER(cuGraphInstantiateWithFlags(a, b, c));
}

cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t *a, cudaGraph_t b,
		cudaGraphInstantiateParams *c)
{
	DRIVER(cuGraphInstantiateWithParams(a, b, (CUDA_GRAPH_INSTANTIATE_PARAMS *)c));
}

cudaError_t cudaGraphExecGetFlags(cudaGraphExec_t a, unsigned long long *b)
{
	DRIVER(cuGraphExecGetFlags(a, (cuuint64_t *)b));
}

cudaError_t cudaGraphExecHostNodeSetParams(cudaGraphExec_t a, cudaGraphNode_t b, const
		struct cudaHostNodeParams *c)
{
	DRIVER(cuGraphExecHostNodeSetParams(a, b, (const CUDA_HOST_NODE_PARAMS *)c));
}

cudaError_t cudaGraphExecEventRecordNodeSetEvent(cudaGraphExec_t a, cudaGraphNode_t b,
		cudaEvent_t c)
{
	DRIVER(cuGraphExecEventRecordNodeSetEvent(a, b, c));
}

cudaError_t cudaGraphExecEventWaitNodeSetEvent(cudaGraphExec_t a, cudaGraphNode_t b,
		cudaEvent_t c)
{
	DRIVER(cuGraphExecEventWaitNodeSetEvent(a, b, c));
}

cudaError_t cudaGraphNodeSetEnabled(cudaGraphExec_t a, cudaGraphNode_t b, unsigned int c)
{
	DRIVER(cuGraphNodeSetEnabled(a, b, c));
}

cudaError_t cudaGraphNodeGetEnabled(cudaGraphExec_t a, cudaGraphNode_t b, unsigned int *c)
{
	DRIVER(cuGraphNodeGetEnabled(a, b, c));
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t a, cudaGraph_t b,
		cudaGraphExecUpdateResultInfo *c)
{
	DRIVER(cuGraphExecUpdate(a, b, (CUgraphExecUpdateResultInfo *)c));
}

cudaError_t cudaGraphUpload(cudaGraphExec_t a, cudaStream_t b)
{
	DRIVER(cuGraphUpload(a, b));
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t a, cudaStream_t b)
{
	DRIVER(cuGraphLaunch(a, b));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t a)
{
	DRIVER(cuGraphExecDestroy(a));
}

cudaError_t cudaGraphDestroy(cudaGraph_t a)
{
	DRIVER(cuGraphDestroy(a));
}

cudaError_t cudaUserObjectCreate(cudaUserObject_t *a, void *b, cudaHostFn_t c, unsigned int
		d, unsigned int e)
{
	DRIVER(cuUserObjectCreate(a, b, (CUhostFn)c, d, e));
}

cudaError_t cudaUserObjectRetain(cudaUserObject_t a, unsigned int b)
{
	DRIVER(cuUserObjectRetain(a, b));
}

cudaError_t cudaUserObjectRelease(cudaUserObject_t a, unsigned int b)
{
	DRIVER(cuUserObjectRelease(a, b));
}

cudaError_t cudaGraphRetainUserObject(cudaGraph_t a, cudaUserObject_t b, unsigned int c,
		unsigned int d)
{
	DRIVER(cuGraphRetainUserObject(a, b, c, d));
}

cudaError_t cudaGraphReleaseUserObject(cudaGraph_t a, cudaUserObject_t b, unsigned int c)
{
	DRIVER(cuGraphReleaseUserObject(a, b, c));
}
