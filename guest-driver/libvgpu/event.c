// SPDX-License-Identifier: Apache-2.0
/*
 * Events: points in a stream that others wait for.
 *
 * A record closes its batch, so that a fence of the stream completes exactly
 * with it: waiting for an event from the host is waiting for that fence, and
 * costs no request. The device's event objects are never destroyed but used
 * again with a higher generation, so that a wait that is still queued on
 * another stream never finds its event gone.
 */
#include "internal.h"

#include <stdlib.h>

static enum vgpu_result generations_grow(struct vgpu *context)
{
	uint64_t *grown;

	grown = realloc(context->event_generations,
			MAX(context->events.capacity, 1u) * sizeof(*grown));
	if (!grown)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for events");
	context->event_generations = grown;
	return VGPU_SUCCESS;
}

static enum vgpu_result event_create(vgpu_context *context, bool timed, vgpu_event *handle)
{
	enum vgpu_result result = enter(context);
	struct event *event;
	uint32_t known;

	if (result != VGPU_SUCCESS)
		return result;
	if (!handle)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "event is NULL");
	*handle = 0;
	event = calloc(1, sizeof(*event));
	if (!event)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for an event");
	event->timed = timed && (context->caps.capabilities & VGPU_CAP_TIMESTAMPS);
	pthread_rwlock_wrlock(&context->table_lock);
	known = context->events.count;
	result = table_add(&context->events, event, handle, &event->wire);
	if (result == VGPU_SUCCESS) {
		result = generations_grow(context);
		if (result != VGPU_SUCCESS)
			table_remove(&context->events, *handle);
		else if (event->wire >= known)
			context->event_generations[event->wire] = 0;
	}
	pthread_rwlock_unlock(&context->table_lock);
	if (result != VGPU_SUCCESS) {
		*handle = 0;
		free(event);
	}
	return result;
}

enum vgpu_result vgpu_event_create(vgpu_context *context, vgpu_event *handle)
{
	return event_create(context, false, handle);
}

enum vgpu_result vgpu_event_create_timed(vgpu_context *context, vgpu_event *handle)
{
	return event_create(context, true, handle);
}

enum vgpu_result vgpu_event_destroy(vgpu_context *context, vgpu_event handle)
{
	enum vgpu_result result = enter(context);
	struct event *event;

	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_wrlock(&context->table_lock);
	event = table_find(&context->events, handle);
	if (event)
		table_remove(&context->events, handle);
	pthread_rwlock_unlock(&context->table_lock);
	free(event);
	return event ? VGPU_SUCCESS : VGPU_ERROR_HANDLE_UNKNOWN;
}

static enum vgpu_result queue_record(struct vgpu *context, struct stream_state *stream,
				     struct event *event)
{
	struct vgpu_command_event_record *command;
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, VGPU_CMD_EVENT_RECORD,
				sizeof(struct vgpu_command_header) + sizeof(*command), &room);
	if (result == VGPU_SUCCESS) {
		command = room;
		command->event = event->wire;
		command->flags = event->timed ? VGPU_EVENT_TIMED : 0;
		command->generation = ++context->event_generations[event->wire];
		event->generation = command->generation;
		event->stream = stream->index;
		event->recorded = true;
		stream->cut = true;
		result = stream_commit(context, stream);
		event->fence = stream_next_fence(stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

enum vgpu_result vgpu_event_record(vgpu_context *context, vgpu_event handle,
				   vgpu_stream stream_handle)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;
	struct event *event;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, stream_handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	pthread_rwlock_wrlock(&context->table_lock);
	event = table_find(&context->events, handle);
	result = event ? queue_record(context, stream, event) : VGPU_ERROR_HANDLE_UNKNOWN;
	pthread_rwlock_unlock(&context->table_lock);
	return result;
}

/* A copy of the event, for use without the lock. */
static enum vgpu_result event_get(struct vgpu *context, vgpu_event handle, struct event *copy)
{
	struct event *event;

	pthread_rwlock_rdlock(&context->table_lock);
	event = table_find(&context->events, handle);
	if (event)
		*copy = *event;
	pthread_rwlock_unlock(&context->table_lock);
	return event ? VGPU_SUCCESS : VGPU_ERROR_HANDLE_UNKNOWN;
}

/* Sends the record if it is still held back. */
static enum vgpu_result event_send(struct vgpu *context, const struct event *event)
{
	struct stream_state *stream = &context->streams[event->stream];

	if (atomic_load(&stream->submitted) >= event->fence)
		return VGPU_SUCCESS;
	return stream_flush(context, stream);
}

static enum vgpu_result queue_wait(struct vgpu *context, struct stream_state *stream,
				   const struct event *event)
{
	struct vgpu_command_event_wait *command;
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, VGPU_CMD_EVENT_WAIT,
				sizeof(struct vgpu_command_header) + sizeof(*command), &room);
	if (result == VGPU_SUCCESS) {
		command = room;
		command->event = event->wire;
		command->reserved = 0;
		command->generation = event->generation;
		result = stream_commit(context, stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

enum vgpu_result vgpu_event_wait(vgpu_context *context, vgpu_event handle,
				 vgpu_stream stream_handle)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;
	struct event event;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, stream_handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	result = event_get(context, handle, &event);
	if (result != VGPU_SUCCESS || !event.recorded || event.stream == stream->index)
		return result;
	result = event_send(context, &event);
	if (result != VGPU_SUCCESS || fence_reached(context, event.stream, event.fence))
		return result;
	return queue_wait(context, stream, &event);
}

enum vgpu_result vgpu_event_synchronize(vgpu_context *context, vgpu_event handle)
{
	enum vgpu_result result = enter(context);
	struct event event;

	if (result == VGPU_SUCCESS)
		result = event_get(context, handle, &event);
	if (result != VGPU_SUCCESS || !event.recorded)
		return result;
	/* Who waits sends nothing meanwhile: what is held back would leave the GPU idle. */
	if (!fence_reached(context, event.stream, event.fence))
		result = stream_flush(context, &context->streams[event.stream]);
	return result == VGPU_SUCCESS ? wait_fence(context, event.stream, event.fence) : result;
}

enum vgpu_result vgpu_event_query(vgpu_context *context, vgpu_event handle)
{
	enum vgpu_result result = enter(context);
	struct event event;

	if (result == VGPU_SUCCESS)
		result = event_get(context, handle, &event);
	if (result != VGPU_SUCCESS || !event.recorded)
		return result;
	result = event_send(context, &event);
	if (result != VGPU_SUCCESS)
		return result;
	if (fence_reached(context, event.stream, event.fence))
		return context_is_bad(context) ? context_failure(context) : VGPU_SUCCESS;
	context->ops->check(context);
	return context_is_bad(context) ? context_failure(context) : VGPU_ERROR_NOT_READY;
}

static enum vgpu_result event_time(struct vgpu *context, vgpu_event handle, uint64_t *time_ns)
{
	struct vgpu_event_query_request request = { 0 };
	struct vgpu_event_query_response response;
	enum vgpu_result result;
	struct event event;

	result = event_get(context, handle, &event);
	if (result != VGPU_SUCCESS)
		return result;
	if (!event.recorded)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the event 0x%llx was never recorded",
			    (unsigned long long)handle);
	result = vgpu_event_synchronize(context, handle);
	if (result != VGPU_SUCCESS)
		return result;
	request.event = event.wire;
	result = control_call(context, VGPU_REQ_EVENT_QUERY, &request, sizeof(request), &response,
			      sizeof(response), "event query");
	*time_ns = result == VGPU_SUCCESS ? response.time_ns : 0;
	return result;
}

enum vgpu_result vgpu_event_elapsed(vgpu_context *context, vgpu_event start, vgpu_event end,
				    int64_t *ns)
{
	enum vgpu_result result = enter(context);
	uint64_t start_ns = 0, end_ns = 0;

	if (result != VGPU_SUCCESS)
		return result;
	if (!ns)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "ns is NULL");
	result = event_time(context, start, &start_ns);
	if (result == VGPU_SUCCESS)
		result = event_time(context, end, &end_ns);
	if (result == VGPU_SUCCESS)
		*ns = (int64_t)(end_ns - start_ns);
	return result;
}

void events_free(struct vgpu *context)
{
	for (uint32_t i = 0; i < context->events.count; i++)
		free(context->events.entries[i].object);
	table_free(&context->events);
	free(context->event_generations);
	context->event_generations = NULL;
}
