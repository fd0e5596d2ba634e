// SPDX-License-Identifier: Apache-2.0
/* Capture and graphs. */
#include "cuda-test.h"

static CUdeviceptr memory;
static CUstream stream, side;
static CUevent fork_event, join_event;

static void prepare(void)
{
	make_context();
	OK(cuMemAlloc(&memory, 64));
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&fork_event, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&join_event, CU_EVENT_DISABLE_TIMING));
}

static unsigned int word(unsigned int index)
{
	unsigned int value;

	OK(cuMemcpyDtoH(&value, memory + index * 4, 4));
	return value;
}

static void replay(void)
{
	CUgraph graph;
	CUgraphExec exec;
	CUstreamCaptureStatus status;
	size_t count = 0;

	prepare();
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(cuStreamIsCapturing(stream, &status));
	CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
	OK(cuMemsetD32Async(memory, 1, 4, stream));
	OK(cuMemcpyDtoDAsync(memory + 16, memory, 8, stream));
	OK(cuStreamEndCapture(stream, &graph));
	OK(cuGraphGetNodes(graph, NULL, &count));
	CHECK(count == 2);
	CHECK(word(0) == 0);
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	OK(cuGraphLaunch(exec, stream));
	OK(cuStreamSynchronize(stream));
	CHECK(word(3) == 1 && word(4) == 1 && word(6) == 0);
	OK(cuMemsetD32(memory, 0, 8));
	OK(cuCtxSynchronize());
	OK(cuGraphLaunch(exec, stream));
	OK(cuStreamSynchronize(stream));
	CHECK(word(5) == 1);
	OK(cuGraphExecDestroy(exec));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, stream));
}

static void fork_and_join(void)
{
	CUgraph graph;
	CUgraphExec exec;
	CUgraphNode from[8], to[8];
	size_t edges = 8;

	prepare();
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	OK(cuMemsetD32Async(memory, 7, 1, stream));
	OK(cuEventRecord(fork_event, stream));
	OK(cuStreamWaitEvent(side, fork_event, 0));
	OK(cuMemcpyDtoDAsync(memory + 4, memory, 4, side));
	OK(cuMemcpyDtoDAsync(memory + 8, memory, 4, stream));
	OK(cuEventRecord(join_event, side));
	GIVES(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(join_event));
	OK(cuStreamWaitEvent(stream, join_event, 0));
	OK(cuMemcpyDtoDAsync(memory + 12, memory + 4, 8, stream));
	OK(cuStreamEndCapture(stream, &graph));
	OK(cuGraphGetEdges(graph, from, to, NULL, &edges));
	CHECK(edges == 4);
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphLaunch(exec, NULL));
	CHECK(word(1) == 7 && word(2) == 7 && word(3) == 7 && word(4) == 7);
}

static void unjoined(void)
{
	CUgraph graph;

	prepare();
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuEventRecord(fork_event, stream));
	OK(cuStreamWaitEvent(side, fork_event, 0));
	OK(cuMemsetD32Async(memory, 7, 1, side));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture(stream, &graph));
	CHECK(!graph);
	/* Both streams are free again. */
	OK(cuMemsetD32Async(memory, 8, 1, side));
	OK(cuStreamSynchronize(side));
	CHECK(word(0) == 8);
	GIVES(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(stream, &graph));
}

static void forbidden(void)
{
	CUgraph graph;
	CUdeviceptr pointer;
	CUstream blocking;

	prepare();
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(stream));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuMemsetD32Async(memory, 1, 1, stream));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemAlloc(&pointer, 4));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemAlloc(&pointer, 4));
	OK(cuStreamEndCapture(stream, &graph));
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	OK(cuStreamBeginCapture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemsetD32(memory, 1, 1));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(blocking, &graph));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
	      cuStreamBeginCapture(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL));
	/* An event of before, which is no part of the capture. */
	OK(cuEventRecord(fork_event, side));
	OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, cuStreamWaitEvent(stream, fork_event, 0));
	GIVES(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
}

static int calls;

static void count_call(void *data)
{
	calls += *(int *)data;
}

static void nodes(void)
{
	static int one = 1;
	float factor = 3, *three[1];
	unsigned int n = 2;
	void *parameters[] = { &memory, &factor, &n };
	CUDA_KERNEL_NODE_PARAMS kernel = { .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
					   .blockDimX = 1, .blockDimY = 1, .blockDimZ = 1,
					   .kernelParams = parameters }, back;
	CUDA_MEMSET_NODE_PARAMS set = { .value = 0x3f800000, .elementSize = 4, .width = 2,
					.height = 1 };
	CUDA_HOST_NODE_PARAMS host = { count_call, &one };
	CUgraphNode set_node, kernel_node, host_node;
	CUgraph graph;
	CUgraphExec exec;
	CUgraphNodeType type;
	float result;

	prepare();
	kernel.func = get_function("scale");
	set.dst = memory;
	OK(cuGraphCreate(&graph, 0));
	/* Added in the wrong order, put right by a dependency. */
	OK(cuGraphAddKernelNode(&kernel_node, graph, NULL, 0, &kernel));
	OK(cuGraphAddMemsetNode(&set_node, graph, NULL, 0, &set, NULL));
	OK(cuGraphAddHostNode(&host_node, graph, &kernel_node, 1, &host));
	OK(cuGraphAddDependencies(graph, &set_node, &kernel_node, NULL, 1));
	OK(cuGraphNodeGetType(kernel_node, &type));
	CHECK(type == CU_GRAPH_NODE_TYPE_KERNEL);
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphLaunch(exec, stream));
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(&result, memory + 4, 4));
	CHECK(result == 3 && calls == 1);
	OK(cuGraphKernelNodeGetParams(kernel_node, &back));
	three[0] = back.kernelParams[1];
	CHECK(*three[0] == 3 && back.func == kernel.func);
	factor = 5;
	OK(cuGraphExecKernelNodeSetParams(exec, kernel_node, &kernel));
	OK(cuGraphLaunch(exec, stream));
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(&result, memory, 4));
	CHECK(result == 5 && calls == 2);
	OK(cuGraphNodeSetEnabled(exec, set_node, 0));
	OK(cuGraphLaunch(exec, stream));
	OK(cuStreamSynchronize(stream));
	OK(cuMemcpyDtoH(&result, memory, 4));
	CHECK(result == 25);
	/* A circle can't run. */
	OK(cuGraphAddDependencies(graph, &host_node, &set_node, NULL, 1));
	GIVES(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiate(&exec, graph, 0));
}

static void children(void)
{
	CUDA_MEMSET_NODE_PARAMS set = { .value = 9, .elementSize = 4, .width = 1, .height = 1 };
	CUgraph inner, outer;
	CUgraphNode node, child, found;
	CUgraphExec exec;
	CUgraphExecUpdateResultInfo info;

	prepare();
	set.dst = memory;
	OK(cuGraphCreate(&inner, 0));
	OK(cuGraphCreate(&outer, 0));
	OK(cuGraphAddMemsetNode(&node, inner, NULL, 0, &set, NULL));
	OK(cuGraphAddChildGraphNode(&child, outer, NULL, 0, inner));
	OK(cuGraphDestroy(inner));
	OK(cuGraphInstantiate(&exec, outer, 0));
	OK(cuGraphLaunch(exec, stream));
	OK(cuStreamSynchronize(stream));
	CHECK(word(0) == 9);
	OK(cuGraphClone(&inner, outer));
	OK(cuGraphNodeFindInClone(&found, child, inner));
	OK(cuGraphExecUpdate(exec, inner, &info));
	OK(cuGraphAddEmptyNode(&node, inner, NULL, 0));
	GIVES(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate(exec, inner, &info));
	CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
}

const struct test graph_tests[] = {
	{ "graph-replay", replay },
	{ "graph-fork-and-join", fork_and_join },
	{ "graph-unjoined", unjoined },
	{ "graph-forbidden", forbidden },
	{ "graph-nodes", nodes },
	{ "graph-children", children },
	{ NULL, NULL },
};
