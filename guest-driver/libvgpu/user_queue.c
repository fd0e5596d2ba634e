// SPDX-License-Identifier: Apache-2.0
/*
 * Control and submit queue of the unix: transport.
 *
 * Control requests go one at a time and are waited for. Submits are answered
 * too, but nobody waits: the answers are collected when the next submit comes
 * along, with interrupts off; what matters comes on the timeline.
 */
#include "user.h"

#include <stdlib.h>
#include <string.h>

#define POLL_BEFORE_SLEEP_NS 100000u
#define CHECK_INTERVAL_NS 1000000u
#define SUBMIT_HEAD \
	(sizeof(struct vgpu_request_header) + sizeof(struct vgpu_submit_request))
#define NO_PAIR UINT16_MAX

_Static_assert(SUBMIT_HEAD <= BUFFER_HEADROOM, "the headers fit the headroom");
_Static_assert(sizeof(struct vgpu_response_header) * SUBMIT_PAIRS <= 2 * PAGE, "responses fit");

/* Polls, then sleeps, until the queue has something used. False if lost. */
static bool queue_wait(struct user_device *device, unsigned int queue)
{
	struct ring *ring = &device->rings[queue];
	uint64_t begin_ns = now_ns();
	bool alive = true;

	for (unsigned int turn = 0; !ring_has_used(ring); turn++) {
		spin_pause(turn);
		if (turn % 64 == 63 && now_ns() - begin_ns > POLL_BEFORE_SLEEP_NS)
			break;
	}
	while (alive && !ring_has_used(ring)) {
		user_call_take(device, queue);
		if (!ring_interrupt_on(ring))
			alive = user_sleep_on(device, queue);
	}
	ring_interrupt_off(ring);
	return ring_has_used(ring);
}

/* ---- Control ---------------------------------------------------------------------------- */

static void control_describe(struct user_device *device, uint32_t request_bytes,
			     uint32_t response_bytes)
{
	struct ring_desc *desc = device->rings[VGPU_QUEUE_CONTROL].desc;

	desc[0] = (struct ring_desc){ .address = device->area_address + REQUEST_OFFSET,
				      .bytes = request_bytes, .flags = RING_DESC_NEXT, .next = 1 };
	desc[1] = (struct ring_desc){ .address = device->area_address + RESPONSE_OFFSET,
				      .bytes = response_bytes, .flags = RING_DESC_WRITE };
}

enum vgpu_result user_request(struct user_device *device, uint32_t context_id,
			      const void *request, uint32_t request_bytes, void *response,
			      uint32_t response_bytes, uint32_t *written)
{
	struct ring *ring = &device->rings[VGPU_QUEUE_CONTROL];
	struct vgpu_request_header *header = (void *)(device->area + REQUEST_OFFSET);
	struct ring_used_entry entry = { .id = UINT32_MAX };
	enum vgpu_result result = VGPU_SUCCESS;

	*written = 0;
	response_bytes = MIN(response_bytes, CONTROL_BYTES);
	if (request_bytes > CONTROL_BYTES)
		return fail(VGPU_ERROR_REQUEST_TOO_LARGE, "a request of %u bytes, the limit is %u",
			    request_bytes, CONTROL_BYTES);
	pthread_mutex_lock(&device->control_lock);
	if (!user_alive(device)) {
		pthread_mutex_unlock(&device->control_lock);
		return fail(VGPU_ERROR_DEVICE_LOST, "the connection to unix:%s is lost",
			    device->path);
	}
	memcpy(header, request, request_bytes);
	header->context = context_id;
	control_describe(device, request_bytes, response_bytes);
	if (ring_publish(ring, 0))
		user_kick(device, VGPU_QUEUE_CONTROL);
	if (!queue_wait(device, VGPU_QUEUE_CONTROL)) {
		result = fail(VGPU_ERROR_DEVICE_LOST, "the connection to unix:%s is lost",
			      device->path);
	} else if (!ring_take(ring, &entry) || entry.id != 0 || entry.bytes > response_bytes) {
		user_lose(device, "it answered a control request that was not asked");
		result = fail(VGPU_ERROR_DEVICE_LOST,
			      "unix:%s answered request %u with %u bytes, at most %u expected",
			      device->path, entry.id, entry.bytes, response_bytes);
	} else {
		memcpy(response, device->area + RESPONSE_OFFSET, entry.bytes);
		*written = entry.bytes;
	}
	pthread_mutex_unlock(&device->control_lock);
	return result;
}

/* ---- Submits; static functions with submit_lock held -------------------------------------- */

void user_submit_init(struct user_device *device)
{
	struct ring_desc *desc = device->rings[VGPU_QUEUE_SUBMIT].desc;

	for (uint16_t i = 0; i < SUBMIT_PAIRS; i++) {
		device->pairs[i].next_free = i + 1u < SUBMIT_PAIRS ? (uint16_t)(i + 1) : NO_PAIR;
		desc[2 * i] = (struct ring_desc){ .flags = RING_DESC_NEXT,
						  .next = (uint16_t)(2 * i + 1) };
		desc[2 * i + 1] = (struct ring_desc){
			.address = device->area_address + RESPONSES_OFFSET +
				   i * sizeof(struct vgpu_response_header),
			.bytes = sizeof(struct vgpu_response_header), .flags = RING_DESC_WRITE };
	}
	device->free_pair = 0;
	for (uint32_t i = 0; i < COMMAND_BUFFERS; i++) {
		struct command_buffer *buffer = &device->buffers[i];
		uint64_t at = BUFFERS_OFFSET + (uint64_t)i * BUFFER_STRIDE + BUFFER_HEADROOM;

		buffer->data = device->area + at;
		buffer->address = device->area_address + at;
		buffer->capacity_bytes = BATCH_BYTES;
		buffer->next = device->free_buffers;
		device->free_buffers = buffer;
	}
	ring_interrupt_off(&device->rings[VGPU_QUEUE_SUBMIT]);
}

/* A shared buffer goes back at once; one of a context's own memory is its to free. */
static void buffer_release(struct user_device *device, struct user_context *owner,
			   struct command_buffer *buffer)
{
	struct command_buffer **list = buffer->block ? &owner->spare : &device->free_buffers;

	buffer->next = *list;
	*list = buffer;
}

/* Unlocks, and frees what has come back meanwhile. */
static void submit_unlock(struct vgpu *context)
{
	struct user_context *own = context->transport;
	struct command_buffer *spare = own->spare;

	own->spare = NULL;
	pthread_mutex_unlock(&own->device->submit_lock);
	while (spare) {
		struct command_buffer *next = spare->next;

		host_block_put(context, spare->block);
		free(spare);
		spare = next;
	}
}

/* A refused submit fails the context, should the timeline not say so. */
static void refused(struct user_context *owner, const struct vgpu_response_header *response)
{
	struct vgpu *context = owner->context;

	if (timeline_status(context) != VGPU_STATUS_OK)
		return;
	pthread_mutex_lock(&context->failure_lock);
	if (context->failure == VGPU_SUCCESS) {
		context->failure = (enum vgpu_result)response->status;
		fail(context->failure, "the device refused a submit: %s (value %llu, limit %llu)",
		     vgpu_error_string(context->failure), (unsigned long long)response->value,
		     (unsigned long long)response->limit);
		memcpy(context->failure_text, thread_text(), TEXT_BYTES);
	}
	atomic_store(&context->lost, true);
	pthread_mutex_unlock(&context->failure_lock);
}

/* Collects the answers that are there. False if the device broke the rules. */
static bool submit_collect(struct user_device *device)
{
	const struct vgpu_response_header *responses =
		(const void *)(device->area + RESPONSES_OFFSET);
	struct ring *ring = &device->rings[VGPU_QUEUE_SUBMIT];
	struct ring_used_entry entry;

	while (ring_take(ring, &entry)) {
		struct submit_pair *pair = &device->pairs[entry.id / 2 % SUBMIT_PAIRS];
		struct vgpu_response_header response = responses[entry.id / 2 % SUBMIT_PAIRS];

		if (entry.id >= SUBMIT_RING || entry.id % 2 || !pair->busy) {
			user_lose(device, "it answered a submit that was not made");
			return false;
		}
		if (entry.bytes < sizeof(response))
			response = (struct vgpu_response_header){ .status = VGPU_STATUS_INTERNAL };
		if (unlikely(response.status != VGPU_STATUS_OK))
			refused(pair->owner, &response);
		pair->owner->submits_in_flight--;
		buffer_release(device, pair->owner, pair->buffer);
		pair->busy = false;
		pair->next_free = device->free_pair;
		device->free_pair = (uint16_t)(entry.id / 2);
	}
	ring_interrupt_off(ring);
	return true;
}

static enum vgpu_result lost(struct user_device *device)
{
	return fail(VGPU_ERROR_DEVICE_LOST, "the connection to unix:%s is lost", device->path);
}

/* A buffer of the context's own pinned memory: large, or none is free. */
static enum vgpu_result buffer_own(struct vgpu *context, uint32_t bytes,
				   struct command_buffer **out)
{
	struct command_buffer *buffer = calloc(1, sizeof(*buffer));
	enum vgpu_result result;

	if (!buffer)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a command buffer");
	result = host_block_get(context, (uint64_t)bytes + BUFFER_HEADROOM, &buffer->block);
	if (result != VGPU_SUCCESS) {
		free(buffer);
		return result;
	}
	buffer->data = host_block_memory(buffer->block) + BUFFER_HEADROOM;
	buffer->address = buffer->block->region->address + buffer->block->offset +
			  BUFFER_HEADROOM;
	buffer->capacity_bytes = bytes;
	*out = buffer;
	return VGPU_SUCCESS;
}

enum vgpu_result user_buffer_get(struct vgpu *context, uint32_t bytes,
				 struct command_buffer **out)
{
	struct user_device *device = user_device(context);
	struct command_buffer *buffer;

	if (bytes > BATCH_BYTES)
		return buffer_own(context, bytes, out);
	pthread_mutex_lock(&device->submit_lock);
	if (!device->free_buffers)
		submit_collect(device);
	buffer = device->free_buffers;
	if (buffer)
		device->free_buffers = buffer->next;
	submit_unlock(context);
	if (!buffer)
		return buffer_own(context, bytes, out);
	*out = buffer;
	return VGPU_SUCCESS;
}

void user_buffer_put(struct vgpu *context, struct command_buffer *buffer)
{
	struct user_context *own = context->transport;

	pthread_mutex_lock(&own->device->submit_lock);
	buffer_release(own->device, own, buffer);
	submit_unlock(context);
}

/* Takes a descriptor pair, waiting for one if need be. */
static bool pair_take(struct user_device *device, uint16_t *pair)
{
	bool fine = submit_collect(device);

	while (fine && device->free_pair == NO_PAIR)
		fine = queue_wait(device, VGPU_QUEUE_SUBMIT) && submit_collect(device);
	if (!fine)
		return false;
	*pair = device->free_pair;
	device->free_pair = device->pairs[*pair].next_free;
	return true;
}

static void write_submit_head(const struct vgpu *context, struct command_buffer *buffer,
			      uint32_t stream, uint64_t fence)
{
	struct vgpu_request_header *header = (void *)(buffer->data - SUBMIT_HEAD);
	struct vgpu_submit_request *submit = (void *)(header + 1);

	*header = (struct vgpu_request_header){ .type = VGPU_REQ_SUBMIT, .context = context->id };
	*submit = (struct vgpu_submit_request){ .stream = stream, .command_count = buffer->count,
						.fence = fence, .command_bytes = buffer->bytes };
}

enum vgpu_result user_submit(struct vgpu *context, struct command_buffer *buffer,
			     uint32_t stream, uint64_t fence)
{
	struct user_context *own = context->transport;
	struct user_device *device = own->device;
	struct ring *ring = &device->rings[VGPU_QUEUE_SUBMIT];
	uint64_t now = now_ns();
	uint16_t pair;

	pthread_mutex_lock(&device->submit_lock);
	if (now - device->checked_ns > CHECK_INTERVAL_NS) {
		device->checked_ns = now;
		user_alive(device);
	}
	if (atomic_load(&device->lost) || !pair_take(device, &pair)) {
		buffer_release(device, own, buffer);
		submit_unlock(context);
		return lost(device);
	}
	write_submit_head(context, buffer, stream, fence);
	device->pairs[pair].buffer = buffer;
	device->pairs[pair].owner = own;
	device->pairs[pair].busy = true;
	own->submits_in_flight++;
	ring->desc[2 * pair].address = buffer->address - SUBMIT_HEAD;
	ring->desc[2 * pair].bytes = (uint32_t)SUBMIT_HEAD + buffer->bytes;
	if (ring_publish(ring, (uint16_t)(2 * pair)))
		user_kick(device, VGPU_QUEUE_SUBMIT);
	submit_unlock(context);
	return VGPU_SUCCESS;
}

void user_submit_drain(struct vgpu *context)
{
	struct user_context *own = context->transport;
	struct user_device *device = own->device;
	bool fine = !atomic_load(&device->lost);

	pthread_mutex_lock(&device->submit_lock);
	while (fine && own->submits_in_flight) {
		fine = submit_collect(device);
		if (fine && own->submits_in_flight)
			fine = queue_wait(device, VGPU_QUEUE_SUBMIT);
	}
	/* Lost: nothing comes back any more, but nobody may find the owner there. */
	for (uint32_t i = 0; i < SUBMIT_PAIRS; i++) {
		struct submit_pair *pair = &device->pairs[i];

		if (!pair->busy || pair->owner != own)
			continue;
		pair->busy = false;
		buffer_release(device, own, pair->buffer);
	}
	submit_unlock(context);
}
