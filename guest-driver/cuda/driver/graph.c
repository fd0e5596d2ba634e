// SPDX-License-Identifier: Apache-2.0
/*
 * Graphs: nodes with dependencies, sorted into a list that runs on one stream.
 * That keeps every dependency; what could run side by side runs one after the
 * other, in the few batches that the stream makes of it.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct CUuserObject_st {
	struct object object;
	CUhostFn destroy;
	void *data;
	unsigned int references;
};

struct user_reference {
	struct user_reference *next;
	struct CUuserObject_st *user;
	unsigned int count;
};

/* ---- Making and ending ---------------------------------------------------------------------- */

CUresult graph_new(struct CUgraph_st **graph)
{
	*graph = object_new(KIND_GRAPH, sizeof(**graph));
	return *graph ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static void node_end(struct CUgraphNode_st *node)
{
	if (node->op.kind == OP_CHILD)
		graph_end(node->op.graph);
	op_release(&node->op);
	free(node->dependencies);
	free(node->pointers);
	object_end(node);
}

static void user_release(struct CUuserObject_st *user, unsigned int count)
{
	user->references -= MIN(count, user->references);
	if (user->references)
		return;
	user->destroy(user->data);
	object_end(user);
}

void graph_end(struct CUgraph_st *graph)
{
	while (graph->nodes) {
		struct CUgraphNode_st *node = graph->nodes;

		graph->nodes = node->next;
		node_end(node);
	}
	while (graph->users) {
		struct user_reference *reference = graph->users;

		graph->users = reference->next;
		user_release(reference->user, reference->count);
		free(reference);
	}
	free(graph->sorted);
	object_end(graph);
}

static void graph_changed(struct CUgraph_st *graph)
{
	free(graph->sorted);
	graph->sorted = NULL;
}

CUresult node_set_op(struct CUgraphNode_st *node, const struct op *op)
{
	struct op copy;
	CUresult error = op_clone(&copy, op);

	if (error != CUDA_SUCCESS)
		return error;
	op_release(&node->op);
	free(node->pointers);
	node->pointers = NULL;
	node->op = copy;
	return CUDA_SUCCESS;
}

CUresult graph_node_add(struct CUgraph_st *graph, const struct op *op,
			struct CUgraphNode_st *const *dependencies, size_t count,
			struct CUgraphNode_st **out)
{
	struct CUgraphNode_st *node, **link;
	CUresult error;

	if (count && !dependencies)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++)
		if (!object_is(dependencies[i], KIND_NODE) || dependencies[i]->graph != graph)
			return CUDA_ERROR_INVALID_VALUE;
	node = object_new(KIND_NODE, sizeof(*node));
	if (!node)
		return CUDA_ERROR_OUT_OF_MEMORY;
	node->graph = graph;
	node->dependencies = calloc(count + 1, sizeof(*node->dependencies));
	error = node->dependencies ? op_clone(&node->op, op) : CUDA_ERROR_OUT_OF_MEMORY;
	if (error != CUDA_SUCCESS) {
		free(node->dependencies);
		object_end(node);
		return error;
	}
	if (count)
		memcpy(node->dependencies, dependencies, count * sizeof(*dependencies));
	node->dependency_count = count;
	for (link = &graph->nodes; *link; link = &(*link)->next)
		;
	*link = node;
	graph->node_count++;
	graph_changed(graph);
	*out = node;
	return CUDA_SUCCESS;
}

CUresult graph_clone(const struct CUgraph_st *graph, struct CUgraph_st **out)
{
	struct CUgraph_st *clone;
	CUresult error = graph_new(&clone);

	for (struct CUgraphNode_st *node = graph->nodes; node && error == CUDA_SUCCESS;
	     node = node->next) {
		struct CUgraphNode_st *copy;
		struct op op = node->op;

		if (op.kind == OP_CHILD)
			error = graph_clone(node->op.graph, &op.graph);
		if (error == CUDA_SUCCESS)
			error = graph_node_add(clone, &op, NULL, 0, &copy);
		if (error != CUDA_SUCCESS)
			break;
		copy->original = node;
		copy->disabled = node->disabled;
	}
	/* Dependencies may name nodes that were added later. */
	for (struct CUgraphNode_st *copy = clone ? clone->nodes : NULL;
	     copy && error == CUDA_SUCCESS; copy = copy->next) {
		const struct CUgraphNode_st *node = copy->original;

		free(copy->dependencies);
		copy->dependencies = calloc(node->dependency_count + 1, sizeof(node));
		if (!copy->dependencies) {
			error = CUDA_ERROR_OUT_OF_MEMORY;
			break;
		}
		for (size_t i = 0; i < node->dependency_count; i++)
			for (struct CUgraphNode_st *c = clone->nodes; c; c = c->next)
				if (c->original == node->dependencies[i])
					copy->dependencies[copy->dependency_count++] = c;
	}
	if (error != CUDA_SUCCESS && clone)
		graph_end(clone);
	*out = error == CUDA_SUCCESS ? clone : NULL;
	return error;
}

/* ---- Order ---------------------------------------------------------------------------------------- */

CUresult graph_sort(struct CUgraph_st *graph)
{
	struct CUgraphNode_st **sorted;
	size_t count = 0, before;

	if (graph->sorted)
		return CUDA_SUCCESS;
	sorted = calloc(graph->node_count + 1, sizeof(*sorted));
	if (!sorted)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (struct CUgraphNode_st *node = graph->nodes; node; node = node->next)
		node->mark = 0;
	/* As a rule nodes are added after what they depend on: one round does. */
	do {
		before = count;
		for (struct CUgraphNode_st *node = graph->nodes; node; node = node->next) {
			bool ready = !node->mark;

			for (size_t i = 0; i < node->dependency_count && ready; i++)
				ready = node->dependencies[i]->mark;
			if (ready) {
				node->mark = 1;
				sorted[count++] = node;
			}
		}
	} while (count > before && count < graph->node_count);
	if (count < graph->node_count) {
		free(sorted);
		return CUDA_ERROR_INVALID_VALUE;
	}
	graph->sorted = sorted;
	return CUDA_SUCCESS;
}

void graph_mark_ancestors(struct CUgraph_st *graph, struct CUgraphNode_st *const *nodes,
			  size_t count)
{
	bool changed = true;

	for (struct CUgraphNode_st *node = graph->nodes; node; node = node->next)
		node->mark = 0;
	for (size_t i = 0; i < count; i++)
		nodes[i]->mark = 1;
	while (changed) {
		changed = false;
		for (struct CUgraphNode_st *node = graph->nodes; node; node = node->next) {
			for (size_t i = 0; i < node->dependency_count && node->mark; i++) {
				changed = changed || !node->dependencies[i]->mark;
				node->dependencies[i]->mark = 1;
			}
		}
	}
}

CUresult graph_run(struct CUgraph_st *graph, struct CUstream_st *stream)
{
	CUresult error = graph_sort(graph);

	for (size_t i = 0; i < graph->node_count && error == CUDA_SUCCESS; i++)
		if (!graph->sorted[i]->disabled)
			error = stream_submit(stream, &graph->sorted[i]->op);
	return error;
}

/* ---- The interface of graphs as such ------------------------------------------------------------------- */

EXPORT CUresult cuGraphCreate(CUgraph *graph, unsigned int flags)
{
	if (!graph || flags)
		return CUDA_ERROR_INVALID_VALUE;
	return graph_new(graph);
}

EXPORT CUresult cuGraphDestroy(CUgraph graph)
{
	if (!object_is(graph, KIND_GRAPH) || graph->child)
		return CUDA_ERROR_INVALID_VALUE;
	graph_end(graph);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphClone(CUgraph *clone, CUgraph graph)
{
	if (!clone || !object_is(graph, KIND_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	return graph_clone(graph, clone);
}

EXPORT CUresult cuGraphNodeFindInClone(CUgraphNode *found, CUgraphNode original, CUgraph clone)
{
	if (!found || !object_is(original, KIND_NODE) || !object_is(clone, KIND_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	for (struct CUgraphNode_st *node = clone->nodes; node; node = node->next) {
		if (node->original == original) {
			*found = node;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType *type)
{
	static const CUgraphNodeType types[] = {
		[OP_EMPTY] = CU_GRAPH_NODE_TYPE_EMPTY, [OP_COPY] = CU_GRAPH_NODE_TYPE_MEMCPY,
		[OP_SET] = CU_GRAPH_NODE_TYPE_MEMSET, [OP_LAUNCH] = CU_GRAPH_NODE_TYPE_KERNEL,
		[OP_HOST] = CU_GRAPH_NODE_TYPE_HOST, [OP_RECORD] = CU_GRAPH_NODE_TYPE_EVENT_RECORD,
		[OP_WAIT] = CU_GRAPH_NODE_TYPE_WAIT_EVENT, [OP_CHILD] = CU_GRAPH_NODE_TYPE_GRAPH,
	};

	if (!object_is(node, KIND_NODE) || !type)
		return CUDA_ERROR_INVALID_VALUE;
	*type = types[node->op.kind];
	return CUDA_SUCCESS;
}

/* count: in: room, out: how many there are, or were written. */
struct list {
	CUgraphNode *nodes, *others;
	size_t room, count;
};

static void list_put(struct list *list, struct CUgraphNode_st *node, struct CUgraphNode_st *other)
{
	if (list->nodes && list->count < list->room)
		list->nodes[list->count] = node;
	if (list->others && list->count < list->room)
		list->others[list->count] = other;
	list->count++;
}

static CUresult list_done(struct list *list, size_t *count, CUgraphEdgeData *edges)
{
	bool written = list->nodes != NULL;

	if (written) {
		for (size_t i = list->count; i < list->room; i++)
			list->nodes[i] = NULL;
		if (edges)
			memset(edges, 0, MIN(list->count, list->room) * sizeof(*edges));
	}
	*count = written ? MIN(list->count, list->room) : list->count;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
	struct list list = { .nodes = nodes, .room = count ? *count : 0 };

	if (!object_is(graph, KIND_GRAPH) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (struct CUgraphNode_st *node = graph->nodes; node; node = node->next)
		list_put(&list, node, NULL);
	return list_done(&list, count, NULL);
}

EXPORT CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
	struct list list = { .nodes = nodes, .room = count ? *count : 0 };

	if (!object_is(graph, KIND_GRAPH) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (struct CUgraphNode_st *node = graph->nodes; node; node = node->next)
		if (!node->dependency_count)
			list_put(&list, node, NULL);
	return list_done(&list, count, NULL);
}

EXPORT CUresult cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to,
				CUgraphEdgeData *edges, size_t *count)
{
	struct list list = { .nodes = from, .others = to, .room = count ? *count : 0 };

	if (!object_is(graph, KIND_GRAPH) || !count || !from != !to)
		return CUDA_ERROR_INVALID_VALUE;
	for (struct CUgraphNode_st *node = graph->nodes; node; node = node->next)
		for (size_t i = 0; i < node->dependency_count; i++)
			list_put(&list, node->dependencies[i], node);
	return list_done(&list, count, edges);
}

EXPORT CUresult cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode *nodes,
					   CUgraphEdgeData *edges, size_t *count)
{
	struct list list = { .nodes = nodes, .room = count ? *count : 0 };

	if (!object_is(node, KIND_NODE) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < node->dependency_count; i++)
		list_put(&list, node->dependencies[i], NULL);
	return list_done(&list, count, edges);
}

EXPORT CUresult cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode *nodes,
					     CUgraphEdgeData *edges, size_t *count)
{
	struct list list = { .nodes = nodes, .room = count ? *count : 0 };

	if (!object_is(node, KIND_NODE) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (struct CUgraphNode_st *other = node->graph->nodes; other; other = other->next)
		for (size_t i = 0; i < other->dependency_count; i++)
			if (other->dependencies[i] == node)
				list_put(&list, other, NULL);
	return list_done(&list, count, edges);
}

static void remove_dependency(struct CUgraphNode_st *node, const struct CUgraphNode_st *on)
{
	size_t kept = 0;

	for (size_t i = 0; i < node->dependency_count; i++)
		if (node->dependencies[i] != on)
			node->dependencies[kept++] = node->dependencies[i];
	node->dependency_count = kept;
}

static bool all_in(struct CUgraph_st *graph, const CUgraphNode *from, const CUgraphNode *to,
		   size_t count)
{
	if (!object_is(graph, KIND_GRAPH) || (count && (!from || !to)))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!object_is(from[i], KIND_NODE) || !object_is(to[i], KIND_NODE) ||
		    from[i]->graph != graph || to[i]->graph != graph)
			return false;
	return true;
}

EXPORT CUresult cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from,
				       const CUgraphNode *to, const CUgraphEdgeData *edges,
				       size_t count)
{
	(void)edges;
	if (!all_in(graph, from, to, count))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++) {
		struct CUgraphNode_st **grown;

		grown = realloc(to[i]->dependencies,
				(to[i]->dependency_count + 2) * sizeof(*grown));
		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		to[i]->dependencies = grown;
		grown[to[i]->dependency_count++] = from[i];
	}
	graph_changed(graph);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode *from,
					  const CUgraphNode *to, const CUgraphEdgeData *edges,
					  size_t count)
{
	(void)edges;
	if (!all_in(graph, from, to, count))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++)
		remove_dependency(to[i], from[i]);
	graph_changed(graph);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroyNode(CUgraphNode node)
{
	struct CUgraphNode_st **link;
	struct CUgraph_st *graph;

	if (!object_is(node, KIND_NODE))
		return CUDA_ERROR_INVALID_VALUE;
	graph = node->graph;
	for (link = &graph->nodes; *link && *link != node; link = &(*link)->next)
		;
	if (*link)
		*link = node->next;
	graph->node_count--;
	for (struct CUgraphNode_st *other = graph->nodes; other; other = other->next)
		remove_dependency(other, node);
	graph_changed(graph);
	node_end(node);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDebugDotPrint(CUgraph graph, const char *path, unsigned int flags)
{
	(void)graph;
	(void)path;
	(void)flags;
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* ---- Objects of the program that graphs keep alive ------------------------------------------------------- */

EXPORT CUresult cuUserObjectCreate(CUuserObject *out, void *data, CUhostFn destroy,
				   unsigned int references, unsigned int flags)
{
	struct CUuserObject_st *user;

	if (!out || !destroy || !references || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	user = object_new(KIND_USER, sizeof(*user));
	if (!user)
		return CUDA_ERROR_OUT_OF_MEMORY;
	user->destroy = destroy;
	user->data = data;
	user->references = references;
	*out = user;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuUserObjectRetain(CUuserObject user, unsigned int count)
{
	if (!object_is(user, KIND_USER) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	user->references += count;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuUserObjectRelease(CUuserObject user, unsigned int count)
{
	if (!object_is(user, KIND_USER) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	user_release(user, count);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject user, unsigned int count,
					unsigned int flags)
{
	struct user_reference *reference;

	if (!object_is(graph, KIND_GRAPH) || !object_is(user, KIND_USER) || !count ||
	    (flags & ~(unsigned int)CU_GRAPH_USER_OBJECT_MOVE))
		return CUDA_ERROR_INVALID_VALUE;
	reference = calloc(1, sizeof(*reference));
	if (!reference)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!(flags & CU_GRAPH_USER_OBJECT_MOVE))
		user->references += count;
	reference->user = user;
	reference->count = count;
	reference->next = graph->users;
	graph->users = reference;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject user, unsigned int count)
{
	if (!object_is(graph, KIND_GRAPH) || !object_is(user, KIND_USER) || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (struct user_reference **link = &graph->users; *link; link = &(*link)->next) {
		struct user_reference *reference = *link;

		if (reference->user != user || reference->count < count)
			continue;
		reference->count -= count;
		if (!reference->count) {
			*link = reference->next;
			free(reference);
		}
		user_release(user, count);
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_INVALID_VALUE;
}
