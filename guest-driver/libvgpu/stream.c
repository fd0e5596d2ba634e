// SPDX-License-Identifier: Apache-2.0
/*
 * Streams: commands gathered into batches, sent as submits, counted until
 * their fences complete.
 *
 * A command is sent at once while nothing of its stream is in flight, so that
 * a lone launch starts without delay; behind running work it is held back
 * until BATCH_COMMANDS or BATCH_BYTES have gathered or someone waits, so that
 * a train of launches costs one submit for many.
 *
 * The device refuses more than queued_commands_max commands of a context. The
 * count is kept here, and whoever would exceed it waits for older fences.
 * Waiting can't deadlock on events: vgpu_event_wait() sends the record that it
 * waits for before it queues the wait.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define SUBMIT_HEADER_BYTES \
	(sizeof(struct vgpu_request_header) + sizeof(struct vgpu_submit_request))
#define STREAM_KIND_SHIFT 56
/* Streams that users can't have: the default one is theirs, the last is ours. */
#define SERVICE_STREAMS 1u

enum vgpu_result streams_init(struct vgpu *context)
{
	uint32_t count = MIN(context->caps.streams_max, VGPU_STREAMS_MAX);

	if (count < 2)
		return fail(VGPU_ERROR_OPEN_FAILED, "%s has %u streams, at least 2 are needed",
			    context->path, count);
	context->stream_count = count;
	for (uint32_t i = 0; i < count; i++) {
		context->streams[i].index = i;
		pthread_mutex_init(&context->streams[i].lock, NULL);
	}
	context->streams[0].in_use = true;
	context->service = &context->streams[count - 1];
	context->service->in_use = true;
	context->batch_commands = MIN(BATCH_COMMANDS,
				      MAX(context->caps.queued_commands_max / 2, 1u));
	return VGPU_SUCCESS;
}

void streams_free(struct vgpu *context)
{
	for (uint32_t i = 0; i < context->stream_count; i++) {
		struct stream_state *stream = &context->streams[i];

		if (stream->buffer)
			context->ops->buffer_put(context, stream->buffer);
		stream->buffer = NULL;
		pthread_mutex_destroy(&stream->lock);
	}
	context->stream_count = 0;
}

/* A handle is the kind and the index; 0 is the default stream. */
struct stream_state *stream_find(struct vgpu *context, vgpu_stream handle)
{
	uint64_t kind = handle >> STREAM_KIND_SHIFT;
	uint32_t index = (uint32_t)handle;

	if (likely(handle == VGPU_STREAM_DEFAULT))
		return &context->streams[0];
	if (kind == OBJECT_STREAM && index < context->stream_count &&
	    &context->streams[index] != context->service &&
	    handle == ((uint64_t)OBJECT_STREAM << STREAM_KIND_SHIFT | index) &&
	    context->streams[index].in_use)
		return &context->streams[index];
	if (kind > OBJECT_STREAM && kind <= OBJECT_FUNCTION)
		fail(VGPU_ERROR_HANDLE_UNKNOWN, "the handle 0x%llx is a %s, not a stream",
		     (unsigned long long)handle, table_kind_name((enum object_kind)kind));
	else
		fail(VGPU_ERROR_HANDLE_UNKNOWN, "there is no stream 0x%llx (or it was destroyed)",
		     (unsigned long long)handle);
	return NULL;
}

/* ---- Counting what is in flight; with submit_lock held ---------------------- */

static void stream_reap(struct vgpu *context, struct stream_state *stream)
{
	uint64_t submitted = atomic_load_explicit(&stream->submitted, memory_order_relaxed);
	uint64_t done;

	if (stream->retired == submitted)
		return;
	done = MIN(timeline_fence(context, stream->index), submitted);
	while (stream->retired < done) {
		stream->retired++;
		context->commands_in_flight -= stream->counts[stream->retired % STREAM_SUBMITS_MAX];
	}
}

static bool has_room(struct vgpu *context, struct stream_state *stream, uint32_t count)
{
	uint64_t submitted = atomic_load_explicit(&stream->submitted, memory_order_relaxed);

	return context->commands_in_flight + count <= context->caps.queued_commands_max &&
	       submitted - stream->retired < STREAM_SUBMITS_MAX;
}

/* The fence that is waited for when the queue is full: half of what is ahead. */
static struct stream_state *oldest_work(struct vgpu *context, struct stream_state *own,
					uint64_t *fence)
{
	struct stream_state *stream = own;

	if (atomic_load(&own->submitted) == own->retired) {
		for (uint32_t i = 0; i < context->stream_count; i++) {
			stream = &context->streams[i];
			if (atomic_load(&stream->submitted) != stream->retired)
				break;
		}
	}
	*fence = stream->retired + (atomic_load(&stream->submitted) - stream->retired + 1) / 2;
	return stream;
}

static enum vgpu_result make_room(struct vgpu *context, struct stream_state *stream,
				  uint32_t count)
{
	stream_reap(context, stream);
	while (!has_room(context, stream, count)) {
		struct stream_state *busy;
		enum vgpu_result result;
		uint64_t fence;

		for (uint32_t i = 0; i < context->stream_count; i++)
			stream_reap(context, &context->streams[i]);
		if (has_room(context, stream, count))
			break;
		busy = oldest_work(context, stream, &fence);
		pthread_mutex_unlock(&context->submit_lock);
		result = wait_fence(context, busy->index, fence);
		pthread_mutex_lock(&context->submit_lock);
		if (result != VGPU_SUCCESS)
			return result;
		stream_reap(context, busy);
	}
	return VGPU_SUCCESS;
}

/* ---- Gathering and sending --------------------------------------------------- */

enum vgpu_result stream_flush_locked(struct vgpu *context, struct stream_state *stream)
{
	struct command_buffer *buffer = stream->buffer;
	enum vgpu_result result;
	uint64_t fence;

	stream->cut = false;
	if (!buffer || !buffer->count)
		return VGPU_SUCCESS;
	stream->buffer = NULL;
	pthread_mutex_lock(&context->submit_lock);
	result = make_room(context, stream, buffer->count);
	if (result != VGPU_SUCCESS) {
		pthread_mutex_unlock(&context->submit_lock);
		context->ops->buffer_put(context, buffer);
		return result;
	}
	fence = atomic_load_explicit(&stream->submitted, memory_order_relaxed) + 1;
	stream->counts[fence % STREAM_SUBMITS_MAX] = (uint16_t)buffer->count;
	context->commands_in_flight += buffer->count;
	atomic_store_explicit(&stream->submitted, fence, memory_order_release);
	result = context->ops->submit(context, buffer, stream->index, fence);
	pthread_mutex_unlock(&context->submit_lock);
	return result;
}

enum vgpu_result stream_flush(struct vgpu *context, struct stream_state *stream)
{
	enum vgpu_result result;

	pthread_mutex_lock(&stream->lock);
	result = stream_flush_locked(context, stream);
	pthread_mutex_unlock(&stream->lock);
	return result;
}

enum vgpu_result stream_reserve(struct vgpu *context, struct stream_state *stream,
				uint16_t opcode, uint32_t bytes, void **command)
{
	uint32_t total = ALIGN_UP(bytes, 8u);
	uint64_t limit = context->submit_bytes_max - SUBMIT_HEADER_BYTES;
	struct command_buffer *buffer = stream->buffer;
	struct vgpu_command_header *header;
	enum vgpu_result result;

	if (unlikely(total > limit))
		return fail(VGPU_ERROR_REQUEST_TOO_LARGE,
			    "the command has %u bytes, the limit is %llu", total,
			    (unsigned long long)limit);
	if (buffer && (stream->cut || buffer->bytes + total > buffer->capacity_bytes)) {
		result = stream_flush_locked(context, stream);
		if (result != VGPU_SUCCESS)
			return result;
		buffer = stream->buffer;
	}
	if (unlikely(buffer && total > buffer->capacity_bytes)) {
		context->ops->buffer_put(context, buffer);
		stream->buffer = buffer = NULL;
	}
	if (!buffer) {
		result = context->ops->buffer_get(context, MAX(total, BATCH_BYTES), &buffer);
		if (result != VGPU_SUCCESS)
			return result;
		buffer->bytes = buffer->count = 0;
		stream->buffer = buffer;
	}
	header = (struct vgpu_command_header *)(buffer->data + buffer->bytes);
	/* Padding is zero; what is not padding is written over. */
	memset((uint8_t *)header + total - 8, 0, 8);
	header->opcode = opcode;
	header->flags = 0;
	header->bytes = total;
	buffer->bytes += total;
	buffer->count++;
	*command = header + 1;
	return VGPU_SUCCESS;
}

enum vgpu_result stream_commit(struct vgpu *context, struct stream_state *stream)
{
	struct command_buffer *buffer = stream->buffer;
	uint64_t submitted = atomic_load_explicit(&stream->submitted, memory_order_relaxed);

	if (buffer->count >= context->batch_commands || buffer->bytes >= BATCH_BYTES ||
	    fence_reached(context, stream->index, submitted))
		return stream_flush_locked(context, stream);
	return VGPU_SUCCESS;
}

/* ---- Waiting -------------------------------------------------------------------- */

enum vgpu_result stream_finish(struct vgpu *context, struct stream_state *stream)
{
	enum vgpu_result result;
	uint64_t fence;

	pthread_mutex_lock(&stream->lock);
	result = stream_flush_locked(context, stream);
	fence = atomic_load(&stream->submitted);
	pthread_mutex_unlock(&stream->lock);
	if (result != VGPU_SUCCESS)
		return result;
	return wait_fence(context, stream->index, fence);
}

enum vgpu_result streams_finish_all(struct vgpu *context)
{
	enum vgpu_result result;

	/* All are sent before one is waited for: they may run at the same time. */
	for (uint32_t i = 0; i < context->stream_count; i++) {
		result = stream_flush(context, &context->streams[i]);
		if (result != VGPU_SUCCESS)
			return result;
	}
	for (uint32_t i = 0; i < context->stream_count; i++) {
		result = wait_fence(context, i, atomic_load(&context->streams[i].submitted));
		if (result != VGPU_SUCCESS)
			return result;
	}
	return VGPU_SUCCESS;
}

/* ---- The public calls --------------------------------------------------------------- */

enum vgpu_result vgpu_stream_create(vgpu_context *context, vgpu_stream *handle)
{
	enum vgpu_result result = enter(context);

	if (result != VGPU_SUCCESS)
		return result;
	if (!handle)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "stream is NULL");
	*handle = 0;
	pthread_mutex_lock(&context->submit_lock);
	for (uint32_t i = 1; i < context->stream_count - SERVICE_STREAMS; i++) {
		if (context->streams[i].in_use)
			continue;
		context->streams[i].in_use = true;
		*handle = (uint64_t)OBJECT_STREAM << STREAM_KIND_SHIFT | i;
		break;
	}
	pthread_mutex_unlock(&context->submit_lock);
	if (!*handle)
		return fail(VGPU_ERROR_HANDLE_LIMIT, "%u streams exist, the limit is %u",
			    context->stream_count - SERVICE_STREAMS,
			    context->stream_count - SERVICE_STREAMS);
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_stream_destroy(vgpu_context *context, vgpu_stream handle)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	if (handle == VGPU_STREAM_DEFAULT)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the default stream can't be destroyed");
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	result = stream_finish(context, stream);
	stream->in_use = false;
	return result;
}

enum vgpu_result vgpu_stream_synchronize(vgpu_context *context, vgpu_stream handle)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	return stream_finish(context, stream);
}

enum vgpu_result vgpu_stream_query(vgpu_context *context, vgpu_stream handle)
{
	enum vgpu_result result = vgpu_stream_flush(context, handle);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	if (fence_reached(context, stream->index, atomic_load(&stream->submitted)))
		return context_is_bad(context) ? context_failure(context) : VGPU_SUCCESS;
	context->ops->check(context);
	return context_is_bad(context) ? context_failure(context) : VGPU_ERROR_NOT_READY;
}

enum vgpu_result vgpu_stream_flush(vgpu_context *context, vgpu_stream handle)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	return stream_flush(context, stream);
}

enum vgpu_result vgpu_synchronize(vgpu_context *context)
{
	enum vgpu_result result = enter(context);

	if (result != VGPU_SUCCESS)
		return result;
	return streams_finish_all(context);
}
