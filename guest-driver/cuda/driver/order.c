// SPDX-License-Identifier: Apache-2.0
/*
 * The way of all work: stream_submit(), and the order that the legacy default
 * stream keeps with blocking streams.
 *
 * The rule: work of the legacy stream begins after all earlier work of blocking
 * streams, and their later work begins after it. Counting what was put where
 * makes that free for programs that use one of the two kinds only; others pay
 * an event when they change sides.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static CUresult order_event(struct CUstream_st *stream)
{
	if (stream->order_event)
		return CUDA_SUCCESS;
	return result_of(vgpu_event_create(stream->context->vgpu, &stream->order_event),
			 stream->context->vgpu);
}

/* Stream "later" goes on after what "earlier" has now. */
static CUresult order_after(struct CUstream_st *later, struct CUstream_st *earlier)
{
	vgpu_context *vgpu = later->context->vgpu;
	enum vgpu_result result;
	CUresult error;

	if (later->vgpu == earlier->vgpu)
		return CUDA_SUCCESS;
	error = order_event(earlier);
	if (error != CUDA_SUCCESS)
		return error;
	result = vgpu_event_record(vgpu, earlier->order_event, earlier->vgpu);
	if (result == VGPU_SUCCESS)
		result = vgpu_event_wait(vgpu, earlier->order_event, later->vgpu);
	return result_of(result, vgpu);
}

CUresult order_before(struct CUstream_st *stream)
{
	struct CUctx_st *context = stream->context;
	CUresult error = CUDA_SUCCESS;

	if (stream->legacy) {
		for (struct CUstream_st *s = context->streams; s; s = s->next) {
			if (s == stream || !s->blocking || s->seen_by_legacy == s->count)
				continue;
			if (s->capture)
				return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
			error = order_after(stream, s);
			if (error != CUDA_SUCCESS)
				return error;
			s->seen_by_legacy = s->count;
		}
		return CUDA_SUCCESS;
	}
	if (!stream->blocking || context->legacy_count <= context->legacy_done ||
	    stream->legacy_seen == context->legacy_count)
		return CUDA_SUCCESS;
	error = order_after(stream, context->legacy);
	if (error == CUDA_SUCCESS)
		stream->legacy_seen = context->legacy_count;
	return error;
}

/* The stream is done up to count, and with it what it waited for. */
void order_synchronised(struct CUstream_st *stream, uint64_t count, uint64_t legacy_count)
{
	struct CUctx_st *context = stream->context;

	pthread_mutex_lock(&context->lock);
	context->legacy_done = MAX(context->legacy_done, legacy_count);
	if (!stream->legacy && stream->seen_by_legacy < count && stream->count == count)
		stream->seen_by_legacy = count;
	pthread_mutex_unlock(&context->lock);
}

static CUresult order_and_count(struct CUstream_st *stream)
{
	struct CUctx_st *context = stream->context;
	CUresult error;

	pthread_mutex_lock(&context->lock);
	error = order_before(stream);
	stream->count++;
	if (stream->legacy)
		context->legacy_count++;
	pthread_mutex_unlock(&context->lock);
	return error;
}

CUresult op_run(struct CUstream_st *stream, const struct op *op)
{
	switch (op->kind) {
	case OP_EMPTY:
		return CUDA_SUCCESS;
	case OP_COPY:
		return copy_run(stream, &op->copy);
	case OP_SET:
		return set_run(stream, &op->set);
	case OP_LAUNCH:
		return launch_run(stream, &op->launch);
	case OP_RECORD:
		return event_record_run(stream, op->event);
	case OP_WAIT:
		return event_wait_run(stream, op->event);
	case OP_CHILD:
		return graph_run(op->graph, stream);
	case OP_HOST:
		break;
	}
	return CUDA_ERROR_UNKNOWN;
}

/* Work put aside holds up what must come after it. */
static CUresult keep_deferred_order(struct CUstream_st *stream, const struct op *op, bool *aside)
{
	struct CUctx_st *context = stream->context;
	CUresult error = CUDA_SUCCESS;

	*aside = op->kind == OP_HOST || atomic_load(&stream->deferring) ||
		 (op->kind == OP_WAIT && atomic_load(&op->event->pending));
	if (!atomic_load_explicit(&context->deferred_streams, memory_order_acquire))
		return CUDA_SUCCESS;
	/* Between default streams and others, the caller waits: seldom, and simple. */
	if (stream->legacy && !*aside) {
		for (struct CUstream_st *s = context->streams; s && error == CUDA_SUCCESS; s = s->next)
			if (s != stream && s->blocking)
				error = defer_drain(s);
	} else if (stream->blocking && !stream->legacy && atomic_load(&context->legacy->deferring)) {
		error = defer_drain(context->legacy);
	}
	/* Memory that is not pinned can't wait: the caller may change it at once. */
	if (error == CUDA_SUCCESS && *aside && op->kind == OP_COPY &&
	    copy_is_pageable(context, &op->copy)) {
		error = defer_drain(stream);
		*aside = false;
	}
	return error;
}

CUresult stream_submit(struct CUstream_st *stream, const struct op *op)
{
	CUresult error;
	bool aside;

	if (unlikely(stream->capture != NULL))
		return capture_add(stream, op);
	if (unlikely(stream->legacy && stream->context->captures)) {
		error = capture_forbids_stream(stream);
		if (error != CUDA_SUCCESS)
			return error;
	}
	if (op->kind == OP_CHILD)
		return graph_run(op->graph, stream);
	error = keep_deferred_order(stream, op, &aside);
	if (error == CUDA_SUCCESS)
		error = order_and_count(stream);
	if (unlikely(error != CUDA_SUCCESS))
		return error;
	return aside ? defer_push(stream, op) : op_run(stream, op);
}

CUresult op_clone(struct op *to, const struct op *from)
{
	*to = *from;
	if (from->kind == OP_LAUNCH && from->launch.parameter_bytes) {
		void *copy = malloc(from->launch.parameter_bytes);

		if (!copy)
			return CUDA_ERROR_OUT_OF_MEMORY;
		memcpy(copy, from->launch.parameters, from->launch.parameter_bytes);
		to->launch.parameters = copy;
	}
	return CUDA_SUCCESS;
}

void op_release(struct op *op)
{
	if (op->kind == OP_LAUNCH && op->launch.parameter_bytes) {
		free((void *)(uintptr_t)op->launch.parameters);
		op->launch.parameters = NULL;
		op->launch.parameter_bytes = 0;
	}
}
