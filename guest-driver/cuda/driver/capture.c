// SPDX-License-Identifier: Apache-2.0
/*
 * Capture: what is put on a stream becomes nodes of a graph. A stream remembers
 * its last nodes, an event the ones of the stream that recorded it; waiting for
 * such an event joins a stream to the capture.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define EDGES_MAX 256

static _Thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
/* Captures that are not relaxed, begun by this thread; and global ones, by anyone. */
static _Thread_local unsigned int own_captures;
static _Atomic unsigned int global_captures;

/* ---- Ends: the nodes that come next depend on; with the context locked -------------------------- */

static void capture_put(struct capture *capture)
{
	if (capture && !--capture->references)
		free(capture);
}

static CUresult ends_set(struct CUgraphNode_st ***ends, size_t *count,
			 struct CUgraphNode_st *const *from, size_t from_count)
{
	struct CUgraphNode_st **copy = calloc(from_count + 1, sizeof(*copy));

	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (from_count)
		memcpy(copy, from, from_count * sizeof(*copy));
	free(*ends);
	*ends = copy;
	*count = from_count;
	return CUDA_SUCCESS;
}

static CUresult ends_join(struct CUstream_st *stream, const struct CUevent_st *event)
{
	size_t count = stream->capture_end_count;
	struct CUgraphNode_st **all;
	CUresult error;

	all = calloc(count + event->capture_end_count + 1, sizeof(*all));
	if (!all)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (count)
		memcpy(all, stream->capture_ends, count * sizeof(*all));
	for (size_t i = 0; i < event->capture_end_count; i++) {
		bool known = false;

		for (size_t j = 0; j < count; j++)
			known = known || all[j] == event->capture_ends[i];
		if (!known)
			all[count++] = event->capture_ends[i];
	}
	error = ends_set(&stream->capture_ends, &stream->capture_end_count, all, count);
	free(all);
	return error;
}

static CUresult invalidate(struct capture *capture, CUresult error)
{
	if (capture)
		capture->invalid = true;
	return error;
}

void capture_event_forget(struct CUevent_st *event)
{
	if (!event->capture)
		return;
	pthread_mutex_lock(&event->context->lock);
	capture_put(event->capture);
	event->capture = NULL;
	free(event->capture_ends);
	event->capture_ends = NULL;
	event->capture_end_count = 0;
	pthread_mutex_unlock(&event->context->lock);
}

static CUresult add_record(struct CUstream_st *stream, struct CUevent_st *event)
{
	struct capture *before = event->capture;

	stream->capture->references++;
	event->capture = stream->capture;
	capture_put(before);
	return ends_set(&event->capture_ends, &event->capture_end_count, stream->capture_ends,
			stream->capture_end_count);
}

static CUresult add_wait(struct CUstream_st *stream, const struct CUevent_st *event)
{
	if (!event->capture)
		return invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
	if (event->capture->ended)
		return invalidate(stream->capture, CUDA_ERROR_CAPTURED_EVENT);
	if (stream->capture && stream->capture != event->capture) {
		invalidate(event->capture, CUDA_SUCCESS);
		return invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
	}
	if (stream->legacy)
		return invalidate(event->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	if (stream->context != event->context)
		return invalidate(event->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	if (!stream->capture) {
		stream->capture = event->capture;
		stream->capture->references++;
		stream->capture_end_count = 0;
	}
	return ends_join(stream, event);
}

CUresult capture_add(struct CUstream_st *stream, const struct op *op)
{
	struct CUctx_st *context = stream->context;
	struct CUgraphNode_st *node;
	CUresult error;

	pthread_mutex_lock(&context->lock);
	if (stream->capture && stream->capture->invalid)
		error = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (op->kind == OP_RECORD)
		error = add_record(stream, op->event);
	else if (op->kind == OP_WAIT)
		error = add_wait(stream, op->event);
	else {
		error = graph_node_add(stream->capture->graph, op, stream->capture_ends,
				       stream->capture_end_count, &node);
		if (error == CUDA_SUCCESS)
			error = ends_set(&stream->capture_ends, &stream->capture_end_count, &node,
					 1);
		else
			invalidate(stream->capture, error);
	}
	pthread_mutex_unlock(&context->lock);
	return error;
}

/* ---- What a capture forbids ------------------------------------------------------------------------ */

CUresult capture_forbids(struct CUctx_st *context)
{
	bool forbidden = own_captures ||
			 (thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL && global_captures);

	if (!context->captures || thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED || !forbidden)
		return CUDA_SUCCESS;
	pthread_mutex_lock(&context->lock);
	for (struct CUstream_st *s = context->streams; s; s = s->next)
		if (s->capture && s->capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED)
			s->capture->invalid = true;
	pthread_mutex_unlock(&context->lock);
	return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult capture_forbids_stream(struct CUstream_st *stream)
{
	struct CUctx_st *context = stream->context;
	CUresult error = CUDA_SUCCESS;

	if (!context->captures)
		return CUDA_SUCCESS;
	pthread_mutex_lock(&context->lock);
	if (stream->capture)
		error = invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	for (struct CUstream_st *s = context->streams; s && stream->legacy; s = s->next)
		if (s->capture && s->blocking)
			error = invalidate(s->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
	pthread_mutex_unlock(&context->lock);
	return error;
}

/* ---- Begin and end -------------------------------------------------------------------------------------- */

static CUresult begin(CUstream handle, struct CUgraph_st *graph, const CUgraphNode *nodes,
		      size_t count, CUstreamCaptureMode mode)
{
	struct CUstream_st *stream;
	struct capture *capture;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if ((unsigned int)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	if (stream->legacy)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (stream->capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	capture = calloc(1, sizeof(*capture));
	if (!capture)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*capture = (struct capture){ .id = next_id(), .mode = mode, .thread = pthread_self(),
				     .context = stream->context, .origin = stream,
				     .graph = graph, .references = 1, .own_graph = !graph };
	if (!graph)
		error = graph_new(&capture->graph);
	if (error == CUDA_SUCCESS)
		error = ends_set(&stream->capture_ends, &stream->capture_end_count, nodes, count);
	if (error != CUDA_SUCCESS) {
		free(capture);
		return error;
	}
	pthread_mutex_lock(&stream->context->lock);
	stream->capture = capture;
	stream->context->captures++;
	pthread_mutex_unlock(&stream->context->lock);
	if (mode != CU_STREAM_CAPTURE_MODE_RELAXED)
		own_captures++;
	if (mode == CU_STREAM_CAPTURE_MODE_GLOBAL)
		atomic_fetch_add(&global_captures, 1);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode)
{
	return begin(stream, NULL, NULL, 0, mode);
}

EXPORT CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph,
					    const CUgraphNode *dependencies,
					    const CUgraphEdgeData *edges, size_t count,
					    CUstreamCaptureMode mode)
{
	(void)edges;
	if (!object_is(graph, KIND_GRAPH) || (count && !dependencies))
		return CUDA_ERROR_INVALID_VALUE;
	return begin(stream, graph, dependencies, count, mode);
}

/* Whether all that joined streams did is among what the origin's end depends on. */
static bool all_joined(struct capture *capture)
{
	struct CUstream_st *origin = capture->origin;

	graph_mark_ancestors(capture->graph, origin->capture_ends, origin->capture_end_count);
	for (struct CUstream_st *s = capture->context->streams; s; s = s->next) {
		if (s->capture != capture || s == origin)
			continue;
		for (size_t i = 0; i < s->capture_end_count; i++)
			if (!s->capture_ends[i]->mark)
				return false;
	}
	return true;
}

static void end_streams(struct capture *capture)
{
	struct CUctx_st *context = capture->context;

	capture->references++;
	capture->ended = true;
	context->captures--;
	for (struct CUstream_st *s = context->streams; s; s = s->next) {
		if (s->capture != capture)
			continue;
		s->capture = NULL;
		free(s->capture_ends);
		s->capture_ends = NULL;
		s->capture_end_count = 0;
		capture_put(capture);
	}
	if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && own_captures)
		own_captures--;
	if (capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL)
		atomic_fetch_sub(&global_captures, 1);
}

EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph)
{
	struct CUstream_st *stream;
	struct capture *capture;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!graph)
		return CUDA_ERROR_INVALID_VALUE;
	*graph = NULL;
	capture = stream->capture;
	if (!capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
	    !pthread_equal(capture->thread, pthread_self()))
		return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	pthread_mutex_lock(&stream->context->lock);
	if (capture->origin != stream)
		error = CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	else if (capture->invalid)
		error = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (!all_joined(capture))
		error = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	if (error == CUDA_ERROR_STREAM_CAPTURE_UNMATCHED) {
		capture->invalid = true;
		pthread_mutex_unlock(&stream->context->lock);
		return error;
	}
	end_streams(capture);
	if (error == CUDA_SUCCESS)
		*graph = capture->graph;
	else if (capture->own_graph)
		graph_end(capture->graph);
	capture_put(capture);
	pthread_mutex_unlock(&stream->context->lock);
	return error;
}

EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	CUstreamCaptureMode before = thread_mode;

	if (!mode || (unsigned int)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	thread_mode = *mode;
	*mode = before;
	return CUDA_SUCCESS;
}

/* ---- Queries --------------------------------------------------------------------------------------------- */

static CUstreamCaptureStatus status_of(const struct CUstream_st *stream)
{
	if (!stream->capture)
		return CU_STREAM_CAPTURE_STATUS_NONE;
	return stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED :
					  CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

EXPORT CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	*status = status_of(stream);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream, CUstreamCaptureStatus *, cuuint64_t *,
					  CUgraph *, const CUgraphNode **, size_t *);
EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream handle, CUstreamCaptureStatus *status,
					  cuuint64_t *id, CUgraph *graph,
					  const CUgraphNode **dependencies, size_t *count)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	*status = status_of(stream);
	if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	if (id)
		*id = stream->capture->id;
	if (graph)
		*graph = stream->capture->graph;
	if (dependencies)
		*dependencies = stream->capture_ends;
	if (count)
		*count = stream->capture_end_count;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus *status,
				       cuuint64_t *id, CUgraph *graph,
				       const CUgraphNode **dependencies,
				       const CUgraphEdgeData **edges, size_t *count)
{
	static const CUgraphEdgeData none[EDGES_MAX];
	size_t known = 0;
	CUresult error;

	error = cuStreamGetCaptureInfo_v2(handle, status, id, graph, dependencies, &known);
	if (error == CUDA_SUCCESS && edges)
		*edges = none;
	if (error == CUDA_SUCCESS && edges && known > EDGES_MAX)
		error = CUDA_ERROR_NOT_SUPPORTED;
	if (count)
		*count = known;
	return error;
}

EXPORT CUresult cuStreamUpdateCaptureDependencies(CUstream handle, CUgraphNode *dependencies,
						  const CUgraphEdgeData *edges, size_t count,
						  unsigned int flags)
{
	struct CUevent_st joined = { .capture_ends = dependencies, .capture_end_count = count };
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	(void)edges;
	if (error != CUDA_SUCCESS)
		return error;
	if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES || (count && !dependencies))
		return CUDA_ERROR_INVALID_VALUE;
	if (status_of(stream) != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_ERROR_ILLEGAL_STATE;
	for (size_t i = 0; i < count; i++)
		if (!object_is(dependencies[i], KIND_NODE) ||
		    dependencies[i]->graph != stream->capture->graph)
			return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&stream->context->lock);
	if (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES)
		error = ends_set(&stream->capture_ends, &stream->capture_end_count, dependencies,
				 count);
	else
		error = ends_join(stream, &joined);
	pthread_mutex_unlock(&stream->context->lock);
	return error;
}
