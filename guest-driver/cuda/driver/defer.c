// SPDX-License-Identifier: Apache-2.0
/*
 * Functions of the program on streams, and the work behind them.
 *
 * The device knows no such thing as a function of the program, so the work that
 * comes after one is kept here until it has returned: a thread per stream,
 * which ends when there is nothing left, takes the ops in order.
 */
#include "internal.h"

#include <stdlib.h>

struct deferred {
	struct deferred *next;
	struct op op;
};

static void run_host(struct CUstream_st *stream, const struct op_host *host)
{
	CUresult status = result_of(vgpu_stream_synchronize(stream->context->vgpu, stream->vgpu),
				    stream->context->vgpu);

	if (status == CUDA_SUCCESS)
		status = synchronised(stream->context);
	/* After an error, callbacks are told of it, and host functions are left out. */
	if (host->callback)
		host->callback(host->callback_stream, status, host->data);
	else if (status == CUDA_SUCCESS)
		host->function(host->data);
}

static void run_deferred(struct CUstream_st *stream, struct op *op)
{
	CUresult error = CUDA_SUCCESS;

	if (op->kind == OP_HOST) {
		run_host(stream, &op->host);
	} else {
		if (op->kind == OP_WAIT)
			event_settle(op->event);
		error = op_run(stream, op);
		if (op->kind == OP_RECORD)
			atomic_fetch_sub(&op->event->pending, 1);
	}
	op_release(op);
	pthread_mutex_lock(&stream->defer_lock);
	if (stream->deferred_error == CUDA_SUCCESS)
		stream->deferred_error = error;
	pthread_mutex_unlock(&stream->defer_lock);
}

static void *worker(void *argument)
{
	struct CUstream_st *stream = argument;
	struct CUctx_st *context = stream->context;

	enter_context(context);
	pthread_mutex_lock(&stream->defer_lock);
	while (stream->deferred_first) {
		struct deferred *item = stream->deferred_first;

		pthread_mutex_unlock(&stream->defer_lock);
		run_deferred(stream, &item->op);
		pthread_mutex_lock(&stream->defer_lock);
		stream->deferred_first = item->next;
		free(item);
	}
	stream->deferred_last = NULL;
	atomic_store(&stream->deferring, false);
	atomic_fetch_sub(&context->deferred_streams, 1);
	pthread_cond_broadcast(&stream->defer_changed);
	pthread_mutex_unlock(&stream->defer_lock);
	return NULL;
}

static CUresult worker_start(struct CUstream_st *stream)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int failed;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	atomic_store(&stream->deferring, true);
	atomic_fetch_add(&stream->context->deferred_streams, 1);
	failed = pthread_create(&thread, &attributes, worker, stream);
	pthread_attr_destroy(&attributes);
	if (!failed)
		return CUDA_SUCCESS;
	atomic_store(&stream->deferring, false);
	atomic_fetch_sub(&stream->context->deferred_streams, 1);
	return CUDA_ERROR_OPERATING_SYSTEM;
}

CUresult defer_push(struct CUstream_st *stream, const struct op *op)
{
	struct deferred *item = calloc(1, sizeof(*item));
	CUresult error;

	if (!item)
		return CUDA_ERROR_OUT_OF_MEMORY;
	error = op_clone(&item->op, op);
	if (error != CUDA_SUCCESS) {
		free(item);
		return error;
	}
	if (op->kind == OP_RECORD)
		atomic_fetch_add(&op->event->pending, 1);
	pthread_mutex_lock(&stream->defer_lock);
	if (stream->deferred_last)
		stream->deferred_last->next = item;
	else
		stream->deferred_first = item;
	stream->deferred_last = item;
	if (!atomic_load(&stream->deferring)) {
		error = worker_start(stream);
		if (error != CUDA_SUCCESS) {
			stream->deferred_first = stream->deferred_last = NULL;
			op_release(&item->op);
			free(item);
		}
	}
	pthread_mutex_unlock(&stream->defer_lock);
	return error;
}

CUresult defer_drain(struct CUstream_st *stream)
{
	CUresult error;

	pthread_mutex_lock(&stream->defer_lock);
	while (atomic_load(&stream->deferring))
		pthread_cond_wait(&stream->defer_changed, &stream->defer_lock);
	error = stream->deferred_error;
	stream->deferred_error = CUDA_SUCCESS;
	pthread_mutex_unlock(&stream->defer_lock);
	return error;
}

CUresult defer_drain_all(struct CUctx_st *context)
{
	CUresult error = CUDA_SUCCESS;

	if (!atomic_load_explicit(&context->deferred_streams, memory_order_acquire))
		return CUDA_SUCCESS;
	for (struct CUstream_st *s = context->streams; s; s = s->next) {
		CUresult one = defer_drain(s);

		error = error == CUDA_SUCCESS ? one : error;
	}
	return error;
}

/* ---- The interface ------------------------------------------------------------------------- */

EXPORT CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void *data)
{
	struct op op = { .kind = OP_HOST, .host = { .function = function, .data = data } };
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	return function ? stream_submit(stream, &op) : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback callback, void *data,
				    unsigned int flags)
{
	struct op op = { .kind = OP_HOST, .host = { .callback = callback, .data = data,
						    .callback_stream = handle } };
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!callback || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (stream->capture)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return stream_submit(stream, &op);
}
