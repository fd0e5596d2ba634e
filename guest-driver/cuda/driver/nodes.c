// SPDX-License-Identifier: Apache-2.0
/* Nodes of each kind: added, asked for their parameters, and given others. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static CUresult add(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies, size_t count,
		    const struct op *op)
{
	if (!out || !object_is(graph, KIND_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	return graph_node_add(graph, op, dependencies, count, out);
}

static bool node_is(CUgraphNode node, enum op_kind kind)
{
	return object_is(node, KIND_NODE) && node->op.kind == kind;
}

/* ---- Kernels --------------------------------------------------------------------------------- */

CUresult op_of_kernel_node(const CUDA_KERNEL_NODE_PARAMS *from, struct op *op, uint8_t *packed)
{
	CUfunction function;

	if (!from)
		return CUDA_ERROR_INVALID_VALUE;
	function = from->func ? from->func : (CUfunction)(void *)from->kern;
	*op = (struct op){ .kind = OP_LAUNCH, .launch = {
		.grid = { from->gridDimX, from->gridDimY, from->gridDimZ },
		.block = { from->blockDimX, from->blockDimY, from->blockDimZ },
		.shared_bytes = from->sharedMemBytes } };
	return launch_prepare(function, &op->launch, from->kernelParams, from->extra, packed);
}

EXPORT CUresult cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph,
				     const CUgraphNode *dependencies, size_t count,
				     const CUDA_KERNEL_NODE_PARAMS *parameters)
{
	uint8_t packed[PARAMETER_BYTES_MAX] __attribute__((aligned(16)));
	struct op op;
	CUresult error = op_of_kernel_node(parameters, &op, packed);

	return error == CUDA_SUCCESS ? add(node, graph, dependencies, count, &op) : error;
}

EXPORT CUresult cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *out)
{
	const struct op_launch *launch;
	const struct CUfunc_st *function;

	if (!node_is(node, OP_LAUNCH) || !out)
		return CUDA_ERROR_INVALID_VALUE;
	launch = &node->op.launch;
	function = launch->function;
	if (!node->pointers) {
		node->pointers = calloc(function->info.parameter_count + 1, sizeof(void *));
		if (!node->pointers)
			return CUDA_ERROR_OUT_OF_MEMORY;
		for (uint32_t i = 0; i < function->info.parameter_count; i++)
			node->pointers[i] = (uint8_t *)(uintptr_t)launch->parameters +
					    function->offsets[i];
	}
	*out = (CUDA_KERNEL_NODE_PARAMS){
		.func = launch->function,
		.gridDimX = launch->grid.x, .gridDimY = launch->grid.y, .gridDimZ = launch->grid.z,
		.blockDimX = launch->block.x, .blockDimY = launch->block.y,
		.blockDimZ = launch->block.z,
		.sharedMemBytes = launch->shared_bytes,
		.kernelParams = node->pointers,
	};
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphKernelNodeSetParams(CUgraphNode node,
					   const CUDA_KERNEL_NODE_PARAMS *parameters)
{
	uint8_t packed[PARAMETER_BYTES_MAX] __attribute__((aligned(16)));
	struct op op;
	CUresult error;

	if (!node_is(node, OP_LAUNCH))
		return CUDA_ERROR_INVALID_VALUE;
	error = op_of_kernel_node(parameters, &op, packed);
	return error == CUDA_SUCCESS ? node_set_op(node, &op) : error;
}

/* ---- Copies and sets ----------------------------------------------------------------------------- */

static CUresult op_of_copy(const CUDA_MEMCPY3D *from, CUcontext handle, struct op *op)
{
	struct CUctx_st *context = handle;
	CUresult error = CUDA_SUCCESS;

	if (!from)
		return CUDA_ERROR_INVALID_VALUE;
	if (!object_is(handle, KIND_CONTEXT))
		error = current_context(&context);
	op->kind = OP_COPY;
	return error == CUDA_SUCCESS ? copy_of_3d(context, from, &op->copy) : error;
}

EXPORT CUresult cuGraphAddMemcpyNode(CUgraphNode *node, CUgraph graph,
				     const CUgraphNode *dependencies, size_t count,
				     const CUDA_MEMCPY3D *copy, CUcontext context)
{
	struct op op;
	CUresult error = op_of_copy(copy, context, &op);

	return error == CUDA_SUCCESS ? add(node, graph, dependencies, count, &op) : error;
}

EXPORT CUresult cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D *out)
{
	const struct op_copy *copy;

	if (!node_is(node, OP_COPY) || !out)
		return CUDA_ERROR_INVALID_VALUE;
	copy = &node->op.copy;
	*out = (CUDA_MEMCPY3D){
		.srcMemoryType = copy->source_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST,
		.srcPitch = copy->source_pitch,
		.srcHeight = copy->source_pitch ? copy->source_slice / copy->source_pitch : 0,
		.dstMemoryType = copy->target_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST,
		.dstPitch = copy->target_pitch,
		.dstHeight = copy->target_pitch ? copy->target_slice / copy->target_pitch : 0,
		.WidthInBytes = copy->width, .Height = copy->height, .Depth = copy->depth,
	};
	if (copy->source_device)
		out->srcDevice = copy->source;
	else
		out->srcHost = (const void *)(uintptr_t)copy->source;
	if (copy->target_device)
		out->dstDevice = copy->target;
	else
		out->dstHost = (void *)(uintptr_t)copy->target;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D *copy)
{
	struct op op;
	CUresult error;

	if (!node_is(node, OP_COPY))
		return CUDA_ERROR_INVALID_VALUE;
	error = op_of_copy(copy, NULL, &op);
	return error == CUDA_SUCCESS ? node_set_op(node, &op) : error;
}

static CUresult op_of_set(const CUDA_MEMSET_NODE_PARAMS *from, CUcontext handle, struct op *op)
{
	struct CUctx_st *context = handle;
	CUresult error = CUDA_SUCCESS;

	if (!from || (from->elementSize != 1 && from->elementSize != 2 && from->elementSize != 4))
		return CUDA_ERROR_INVALID_VALUE;
	if (!object_is(handle, KIND_CONTEXT))
		error = current_context(&context);
	*op = (struct op){ .kind = OP_SET, .set = {
		.target = from->dst, .pitch = from->pitch, .value = from->value,
		.element = from->elementSize, .width = from->width, .height = from->height } };
	return error == CUDA_SUCCESS ? set_check(context, &op->set) : error;
}

EXPORT CUresult cuGraphAddMemsetNode(CUgraphNode *node, CUgraph graph,
				     const CUgraphNode *dependencies, size_t count,
				     const CUDA_MEMSET_NODE_PARAMS *set, CUcontext context)
{
	struct op op;
	CUresult error = op_of_set(set, context, &op);

	return error == CUDA_SUCCESS ? add(node, graph, dependencies, count, &op) : error;
}

EXPORT CUresult cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *out)
{
	const struct op_set *set;

	if (!node_is(node, OP_SET) || !out)
		return CUDA_ERROR_INVALID_VALUE;
	set = &node->op.set;
	*out = (CUDA_MEMSET_NODE_PARAMS){ .dst = set->target, .pitch = set->pitch,
					  .value = set->value, .elementSize = set->element,
					  .width = set->width, .height = set->height };
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *set)
{
	struct op op;
	CUresult error;

	if (!node_is(node, OP_SET))
		return CUDA_ERROR_INVALID_VALUE;
	error = op_of_set(set, NULL, &op);
	return error == CUDA_SUCCESS ? node_set_op(node, &op) : error;
}

/* ---- Functions of the program, events, children, nothing ------------------------------------------- */

static CUresult op_of_host(const CUDA_HOST_NODE_PARAMS *from, struct op *op)
{
	if (!from || !from->fn)
		return CUDA_ERROR_INVALID_VALUE;
	*op = (struct op){ .kind = OP_HOST,
			   .host = { .function = from->fn, .data = from->userData } };
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphAddHostNode(CUgraphNode *node, CUgraph graph,
				   const CUgraphNode *dependencies, size_t count,
				   const CUDA_HOST_NODE_PARAMS *host)
{
	struct op op;
	CUresult error = op_of_host(host, &op);

	return error == CUDA_SUCCESS ? add(node, graph, dependencies, count, &op) : error;
}

EXPORT CUresult cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS *out)
{
	if (!node_is(node, OP_HOST) || !out)
		return CUDA_ERROR_INVALID_VALUE;
	out->fn = node->op.host.function;
	out->userData = node->op.host.data;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS *host)
{
	struct op op;
	CUresult error = node_is(node, OP_HOST) ? op_of_host(host, &op) : CUDA_ERROR_INVALID_VALUE;

	return error == CUDA_SUCCESS ? node_set_op(node, &op) : error;
}

static CUresult add_event(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
			  size_t count, CUevent event, enum op_kind kind)
{
	struct op op = { .kind = kind, .event = event };

	if (!object_is(event, KIND_EVENT))
		return CUDA_ERROR_INVALID_VALUE;
	return add(node, graph, dependencies, count, &op);
}

static CUresult get_event(CUgraphNode node, CUevent *event, enum op_kind kind)
{
	if (!node_is(node, kind) || !event)
		return CUDA_ERROR_INVALID_VALUE;
	*event = node->op.event;
	return CUDA_SUCCESS;
}

static CUresult set_event(CUgraphNode node, CUevent event, enum op_kind kind)
{
	if (!node_is(node, kind) || !object_is(event, KIND_EVENT))
		return CUDA_ERROR_INVALID_VALUE;
	node->op.event = event;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphAddEventRecordNode(CUgraphNode *node, CUgraph graph,
					  const CUgraphNode *dependencies, size_t count,
					  CUevent event)
{
	return add_event(node, graph, dependencies, count, event, OP_RECORD);
}

EXPORT CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent *event)
{
	return get_event(node, event, OP_RECORD);
}

EXPORT CUresult cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event)
{
	return set_event(node, event, OP_RECORD);
}

EXPORT CUresult cuGraphAddEventWaitNode(CUgraphNode *node, CUgraph graph,
					const CUgraphNode *dependencies, size_t count,
					CUevent event)
{
	return add_event(node, graph, dependencies, count, event, OP_WAIT);
}

EXPORT CUresult cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent *event)
{
	return get_event(node, event, OP_WAIT);
}

EXPORT CUresult cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event)
{
	return set_event(node, event, OP_WAIT);
}

EXPORT CUresult cuGraphAddEmptyNode(CUgraphNode *node, CUgraph graph,
				    const CUgraphNode *dependencies, size_t count)
{
	struct op op = { .kind = OP_EMPTY };

	return add(node, graph, dependencies, count, &op);
}

EXPORT CUresult cuGraphAddChildGraphNode(CUgraphNode *node, CUgraph graph,
					 const CUgraphNode *dependencies, size_t count,
					 CUgraph child)
{
	struct op op = { .kind = OP_CHILD };
	CUresult error;

	if (!object_is(child, KIND_GRAPH) || child == graph)
		return CUDA_ERROR_INVALID_VALUE;
	error = graph_clone(child, &op.graph);
	if (error != CUDA_SUCCESS)
		return error;
	op.graph->child = true;
	error = add(node, graph, dependencies, count, &op);
	if (error != CUDA_SUCCESS)
		graph_end(op.graph);
	return error;
}

EXPORT CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph *graph)
{
	if (!node_is(node, OP_CHILD) || !graph)
		return CUDA_ERROR_INVALID_VALUE;
	*graph = node->op.graph;
	return CUDA_SUCCESS;
}

/* ---- Executable graphs: a copy that is sorted, and may be changed node by node ------------------------ */

struct CUgraphExec_st {
	struct object object;
	struct CUgraph_st *graph;
	cuuint64_t flags;
};

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph graph,
					    unsigned long long flags)
{
	struct CUgraphExec_st *exec;
	struct CUgraph_st *copy;
	CUresult error;

	if (!out || !object_is(graph, KIND_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH)
		return CUDA_ERROR_NOT_SUPPORTED;
	error = graph_clone(graph, &copy);
	if (error != CUDA_SUCCESS)
		return error;
	error = graph_sort(copy);
	if (error != CUDA_SUCCESS) {
		graph_end(copy);
		return error;
	}
	exec = object_new(KIND_EXEC, sizeof(*exec));
	if (!exec) {
		graph_end(copy);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	exec->graph = copy;
	exec->flags = flags;
	*out = exec;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec *exec, CUgraph graph,
					     CUDA_GRAPH_INSTANTIATE_PARAMS *parameters)
{
	CUresult error;

	if (!parameters)
		return CUDA_ERROR_INVALID_VALUE;
	error = cuGraphInstantiateWithFlags(exec, graph, parameters->flags);
	parameters->hErrNode_out = NULL;
	parameters->result_out = error == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS :
							 CUDA_GRAPH_INSTANTIATE_ERROR;
	return error;
}

/* The two older forms, with room for a log. */
#undef cuGraphInstantiate
EXPORT CUresult cuGraphInstantiate(CUgraphExec *, CUgraph, CUgraphNode *, char *, size_t);
EXPORT CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node,
				   char *log, size_t bytes)
{
	if (error_node)
		*error_node = NULL;
	if (log && bytes)
		*log = 0;
	return cuGraphInstantiateWithFlags(exec, graph, 0);
}

EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec *, CUgraph, CUgraphNode *, char *, size_t);
EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node,
				      char *log, size_t bytes)
{
	return cuGraphInstantiate(exec, graph, error_node, log, bytes);
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec)
{
	if (!object_is(exec, KIND_EXEC))
		return CUDA_ERROR_INVALID_VALUE;
	graph_end(exec->graph);
	object_end(exec);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphExecGetFlags(CUgraphExec exec, cuuint64_t *flags)
{
	if (!object_is(exec, KIND_EXEC) || !flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = exec->flags;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphUpload(CUgraphExec exec, CUstream handle)
{
	struct CUstream_st *stream;

	return object_is(exec, KIND_EXEC) ? stream_of(handle, &stream) : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream handle)
{
	struct op op = { .kind = OP_CHILD };
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(exec, KIND_EXEC))
		return CUDA_ERROR_INVALID_VALUE;
	op.graph = exec->graph;
	if (!stream->capture)
		return stream_submit(stream, &op);
	error = graph_clone(exec->graph, &op.graph);
	if (error == CUDA_SUCCESS) {
		op.graph->child = true;
		error = stream_submit(stream, &op);
		if (error != CUDA_SUCCESS)
			graph_end(op.graph);
	}
	return error;
}

/* The executable graph's copy of a node of the kind. */
static struct CUgraphNode_st *exec_node(CUgraphExec exec, CUgraphNode node)
{
	if (!object_is(exec, KIND_EXEC) || !object_is(node, KIND_NODE))
		return NULL;
	for (struct CUgraphNode_st *copy = exec->graph->nodes; copy; copy = copy->next)
		if (copy->original == node)
			return copy;
	return NULL;
}

EXPORT CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
					       const CUDA_KERNEL_NODE_PARAMS *parameters)
{
	return cuGraphKernelNodeSetParams(exec_node(exec, node), parameters);
}

EXPORT CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node,
					       const CUDA_MEMCPY3D *copy, CUcontext context)
{
	struct CUgraphNode_st *found = exec_node(exec, node);
	struct op op;
	CUresult error;

	if (!node_is(found, OP_COPY))
		return CUDA_ERROR_INVALID_VALUE;
	error = op_of_copy(copy, context, &op);
	return error == CUDA_SUCCESS ? node_set_op(found, &op) : error;
}

EXPORT CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node,
					       const CUDA_MEMSET_NODE_PARAMS *set,
					       CUcontext context)
{
	struct CUgraphNode_st *found = exec_node(exec, node);
	struct op op;
	CUresult error;

	if (!node_is(found, OP_SET))
		return CUDA_ERROR_INVALID_VALUE;
	error = op_of_set(set, context, &op);
	return error == CUDA_SUCCESS ? node_set_op(found, &op) : error;
}

EXPORT CUresult cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
					     const CUDA_HOST_NODE_PARAMS *host)
{
	return cuGraphHostNodeSetParams(exec_node(exec, node), host);
}

EXPORT CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec, CUgraphNode node,
						   CUevent event)
{
	return set_event(exec_node(exec, node), event, OP_RECORD);
}

EXPORT CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec exec, CUgraphNode node,
						 CUevent event)
{
	return set_event(exec_node(exec, node), event, OP_WAIT);
}

EXPORT CUresult cuGraphNodeSetEnabled(CUgraphExec exec, CUgraphNode node, unsigned int enabled)
{
	struct CUgraphNode_st *found = exec_node(exec, node);

	if (!node_is(found, OP_LAUNCH) && !node_is(found, OP_COPY) && !node_is(found, OP_SET))
		return CUDA_ERROR_INVALID_VALUE;
	found->disabled = !enabled;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphNodeGetEnabled(CUgraphExec exec, CUgraphNode node, unsigned int *enabled)
{
	struct CUgraphNode_st *found = exec_node(exec, node);

	if (!found || !enabled)
		return CUDA_ERROR_INVALID_VALUE;
	*enabled = !found->disabled;
	return CUDA_SUCCESS;
}

/* Whether two graphs have the same shape, which is what an update may keep. */
static CUgraphExecUpdateResult compare(const struct CUgraph_st *have, const struct CUgraph_st *want,
				       CUgraphNode *differs)
{
	const struct CUgraphNode_st *a = have->nodes;
	struct CUgraphNode_st *b = want->nodes;

	for (; a && b; a = a->next, b = b->next) {
		*differs = b;
		if (a->op.kind != b->op.kind)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
		if (a->dependency_count != b->dependency_count)
			return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
	}
	*differs = b;
	return a || b ? CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED : CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

EXPORT CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph,
				  CUgraphExecUpdateResultInfo *info)
{
	struct CUgraph_st *copy;
	CUgraphNode differs = NULL;
	CUgraphExecUpdateResult result;
	CUresult error;

	if (!object_is(exec, KIND_EXEC) || !object_is(graph, KIND_GRAPH) || !info)
		return CUDA_ERROR_INVALID_VALUE;
	result = compare(exec->graph, graph, &differs);
	*info = (CUgraphExecUpdateResultInfo){ .result = result, .errorNode =
		result == CU_GRAPH_EXEC_UPDATE_SUCCESS ? NULL : differs };
	if (result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
		return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
	error = graph_clone(graph, &copy);
	if (error == CUDA_SUCCESS)
		error = graph_sort(copy);
	if (error != CUDA_SUCCESS)
		return error;
	graph_end(exec->graph);
	exec->graph = copy;
	return CUDA_SUCCESS;
}
