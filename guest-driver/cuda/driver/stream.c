// SPDX-License-Identifier: Apache-2.0
/*
 * Streams.
 *
 * libvgpu's default stream serves as CUDA's legacy default stream; its order
 * with the other streams, which libvgpu does not keep, is order.c's. A context
 * can have more CUDA streams than the device has: further ones share, which
 * costs concurrency but keeps every promise.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Streams of libvgpu that are left to others: the default one, and its own. */
#define STREAMS_RESERVED 2u

static struct CUstream_st *stream_new(struct CUctx_st *context)
{
	struct CUstream_st *stream = object_new(KIND_STREAM, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->context = context;
	stream->id = next_id();
	stream->blocking = true;
	pthread_mutex_init(&stream->defer_lock, NULL);
	pthread_cond_init(&stream->defer_changed, NULL);
	return stream;
}

static void stream_free(struct CUstream_st *stream)
{
	if (stream->order_event)
		vgpu_event_destroy(stream->context->vgpu, stream->order_event);
	free(stream->capture_ends);
	pthread_mutex_destroy(&stream->defer_lock);
	pthread_cond_destroy(&stream->defer_changed);
	object_end(stream);
}

/* One of the existing streams of libvgpu, for want of a new one. */
static vgpu_stream borrow_stream(struct CUctx_st *context)
{
	static _Atomic unsigned int turn;
	unsigned int wanted = atomic_fetch_add(&turn, 1), count = 0;

	for (struct CUstream_st *s = context->streams; s; s = s->next)
		count += !s->legacy && !s->shared;
	if (!count)
		return VGPU_STREAM_DEFAULT;
	wanted %= count;
	for (struct CUstream_st *s = context->streams; s; s = s->next)
		if (!s->legacy && !s->shared && !wanted--)
			return s->vgpu;
	return VGPU_STREAM_DEFAULT;
}

/* With the context locked. */
static CUresult stream_open(struct CUctx_st *context, unsigned int flags, struct CUstream_st **out)
{
	struct CUstream_st *stream = stream_new(context);
	enum vgpu_result result = VGPU_ERROR_HANDLE_LIMIT;

	if (!stream)
		return CUDA_ERROR_OUT_OF_MEMORY;
	stream->flags = flags;
	stream->blocking = !(flags & CU_STREAM_NON_BLOCKING);
	if (context->vgpu_streams + STREAMS_RESERVED < context->device->info.streams_max)
		result = vgpu_stream_create(context->vgpu, &stream->vgpu);
	if (result == VGPU_SUCCESS) {
		context->vgpu_streams++;
	} else if (result == VGPU_ERROR_HANDLE_LIMIT) {
		stream->vgpu = borrow_stream(context);
		stream->shared = true;
	} else {
		stream_free(stream);
		return result_of(result, context->vgpu);
	}
	stream->next = context->streams;
	context->streams = stream;
	*out = stream;
	return CUDA_SUCCESS;
}

CUresult streams_init(struct CUctx_st *context)
{
	struct CUstream_st *stream = stream_new(context);

	if (!stream)
		return CUDA_ERROR_OUT_OF_MEMORY;
	stream->legacy = true;
	stream->vgpu = VGPU_STREAM_DEFAULT;
	context->streams = context->legacy = stream;
	return CUDA_SUCCESS;
}

void streams_free(struct CUctx_st *context)
{
	while (context->streams) {
		struct CUstream_st *stream = context->streams;

		context->streams = stream->next;
		stream_free(stream);
	}
}

/* The calling thread's own default stream in this context. */
static CUresult thread_stream(struct CUctx_st *context, struct CUstream_st **out)
{
	/* The last one found: streams_free() ends it, and then its kind or context differs. */
	static _Thread_local struct CUstream_st *last;
	static _Thread_local unsigned long long last_id;
	pthread_t self = pthread_self();
	CUresult error = CUDA_SUCCESS;

	if (last && object_is(last, KIND_STREAM) && last->context == context &&
	    last->id == last_id) {
		*out = last;
		return CUDA_SUCCESS;
	}
	pthread_mutex_lock(&context->lock);
	*out = NULL;
	for (struct CUstream_st *s = context->streams; s; s = s->next)
		if (s->per_thread && pthread_equal(s->owner, self))
			*out = s;
	if (!*out) {
		error = stream_open(context, CU_STREAM_DEFAULT, out);
		if (error == CUDA_SUCCESS) {
			(*out)->per_thread = true;
			(*out)->owner = self;
		}
	}
	pthread_mutex_unlock(&context->lock);
	if (error == CUDA_SUCCESS) {
		last = *out;
		last_id = last->id;
	}
	return error;
}

CUresult stream_of(CUstream handle, struct CUstream_st **stream)
{
	struct CUctx_st *context;
	CUresult error = current_context(&context);

	if (unlikely(error != CUDA_SUCCESS))
		return error;
	if (!handle || handle == CU_STREAM_LEGACY) {
		*stream = context->legacy;
		return CUDA_SUCCESS;
	}
	if (handle == CU_STREAM_PER_THREAD)
		return thread_stream(context, stream);
	if (unlikely(!object_is(handle, KIND_STREAM)))
		return CUDA_ERROR_INVALID_HANDLE;
	/* A stream works in its own context, whichever is current. */
	*stream = handle;
	return CUDA_SUCCESS;
}

CUresult stream_wait(struct CUstream_st *stream)
{
	struct CUctx_st *context = stream->context;
	CUresult error = CUDA_SUCCESS;
	uint64_t count, legacy_count;

	if (atomic_load_explicit(&context->deferred_streams, memory_order_acquire))
		error = stream->legacy ? defer_drain_all(context) : defer_drain(stream);
	if (error != CUDA_SUCCESS)
		return error;
	pthread_mutex_lock(&context->lock);
	/* Waiting for the legacy stream is waiting for what it would wait for. */
	if (stream->legacy)
		error = order_before(stream);
	count = stream->count;
	legacy_count = stream->legacy ? context->legacy_count : stream->legacy_seen;
	pthread_mutex_unlock(&context->lock);
	if (error != CUDA_SUCCESS)
		return error;
	error = result_of(vgpu_stream_synchronize(context->vgpu, stream->vgpu), context->vgpu);
	if (error != CUDA_SUCCESS)
		return error;
	order_synchronised(stream, count, legacy_count);
	return synchronised(context);
}

/* ---- The interface ------------------------------------------------------------------------ */

EXPORT CUresult cuStreamCreateWithPriority(CUstream *out, unsigned int flags, int priority)
{
	struct CUctx_st *context;
	struct CUstream_st *stream;
	CUresult error = current_context(&context);

	/* All priorities are one: a context's streams share its turn on the GPU. */
	(void)priority;
	if (error != CUDA_SUCCESS)
		return error;
	if (!out || (flags & ~(unsigned int)CU_STREAM_NON_BLOCKING))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&context->lock);
	error = stream_open(context, flags, &stream);
	pthread_mutex_unlock(&context->lock);
	if (error == CUDA_SUCCESS)
		*out = stream;
	return error;
}

EXPORT CUresult cuStreamCreate(CUstream *out, unsigned int flags)
{
	return cuStreamCreateWithPriority(out, flags, 0);
}

static bool vgpu_stream_in_use(const struct CUctx_st *context, vgpu_stream vgpu)
{
	for (const struct CUstream_st *s = context->streams; s; s = s->next)
		if (s->vgpu == vgpu)
			return true;
	return false;
}

EXPORT CUresult cuStreamDestroy(CUstream handle)
{
	struct CUstream_st *stream = handle, **link;
	struct CUctx_st *context;
	CUresult error = initialised();

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(handle, KIND_STREAM) || stream->legacy || stream->per_thread)
		return CUDA_ERROR_INVALID_HANDLE;
	if (stream->capture)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	context = stream->context;
	/* Work that is left is finished, as CUDA says; here the caller waits for it. */
	defer_drain(stream);
	pthread_mutex_lock(&context->lock);
	for (link = &context->streams; *link && *link != stream; link = &(*link)->next)
		;
	if (*link)
		*link = stream->next;
	if (!vgpu_stream_in_use(context, stream->vgpu) && stream->vgpu != VGPU_STREAM_DEFAULT) {
		context->vgpu_streams--;
		error = result_of(vgpu_stream_destroy(context->vgpu, stream->vgpu), context->vgpu);
	} else {
		/* Others share it: the first of them stands for it from now on. */
		for (struct CUstream_st *s = context->streams; s && !stream->shared; s = s->next) {
			if (s->vgpu == stream->vgpu) {
				s->shared = false;
				break;
			}
		}
	}
	pthread_mutex_unlock(&context->lock);
	stream_free(stream);
	return error;
}

EXPORT CUresult cuStreamSynchronize(CUstream handle)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error == CUDA_SUCCESS)
		error = capture_forbids_stream(stream);
	return error == CUDA_SUCCESS ? stream_wait(stream) : error;
}

EXPORT CUresult cuStreamQuery(CUstream handle)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error == CUDA_SUCCESS)
		error = capture_forbids_stream(stream);
	if (error != CUDA_SUCCESS)
		return error;
	if (atomic_load(&stream->deferring))
		return CUDA_ERROR_NOT_READY;
	if (stream->legacy) {
		pthread_mutex_lock(&stream->context->lock);
		error = order_before(stream);
		pthread_mutex_unlock(&stream->context->lock);
		if (error != CUDA_SUCCESS)
			return error;
	}
	return result_of(vgpu_stream_query(stream->context->vgpu, stream->vgpu),
			 stream->context->vgpu);
}

EXPORT CUresult cuStreamGetPriority(CUstream handle, int *priority)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!priority)
		return CUDA_ERROR_INVALID_VALUE;
	*priority = stream->priority;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetFlags(CUstream handle, unsigned int *flags)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = stream->flags;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetId(CUstream handle, unsigned long long *id)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = stream->id;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCtx(CUstream handle, CUcontext *context)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	*context = stream->context;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetDevice(CUstream handle, CUdevice *device)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = stream->context->device->ordinal;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamCopyAttributes(CUstream target, CUstream source)
{
	struct CUstream_st *to, *from;
	CUresult error = stream_of(target, &to);

	if (error == CUDA_SUCCESS)
		error = stream_of(source, &from);
	if (error == CUDA_SUCCESS)
		to->sync_policy = from->sync_policy;
	return error;
}

EXPORT CUresult cuStreamGetAttribute(CUstream handle, CUstreamAttrID attribute,
				     CUstreamAttrValue *value)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	memset(value, 0, sizeof(*value));
	switch (attribute) {
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		value->syncPolicy = stream->sync_policy ? stream->sync_policy : CU_SYNC_POLICY_AUTO;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		value->priority = stream->priority;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

EXPORT CUresult cuStreamSetAttribute(CUstream handle, CUstreamAttrID attribute,
				     const CUstreamAttrValue *value)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	switch (attribute) {
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		stream->sync_policy = value->syncPolicy;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		/* Out of range is clamped, and the range is 0. */
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

#undef cuStreamDestroy
EXPORT CUresult cuStreamDestroy(CUstream stream);
EXPORT CUresult cuStreamDestroy(CUstream stream)
{
	return cuStreamDestroy_v2(stream);
}
