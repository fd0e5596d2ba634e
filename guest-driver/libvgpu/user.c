// SPDX-License-Identifier: Apache-2.0
/*
 * The unix: transport's contexts: their pages, their pinned regions, and the
 * table of operations.
 */
#include "user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Contexts ----------------------------------------------------------------------- */

static enum vgpu_result user_control(struct vgpu *context, void *request, uint32_t request_bytes,
				     void *response, uint32_t response_bytes, uint32_t *written)
{
	return user_request(user_device(context), context->id, request, request_bytes, response,
			    response_bytes, written);
}

/* Finds a place for the context and its pages. */
static enum vgpu_result place_take(struct user_device *device, struct user_context *own)
{
	uint32_t limit = MIN(device->config.contexts_max, USER_CONTEXTS);
	uint32_t place;

	pthread_mutex_lock(&device->contexts_lock);
	for (place = 0; place < limit && device->contexts[place]; place++)
		;
	if (place < limit) {
		device->contexts[place] = own;
		own->place = place;
	}
	pthread_mutex_unlock(&device->contexts_lock);
	if (place == limit)
		return fail(VGPU_ERROR_CONTEXT_LIMIT,
			    "%u contexts are open on unix:%s, the limit is %u", limit,
			    device->path, limit);
	return VGPU_SUCCESS;
}

static void place_leave(struct user_device *device, struct user_context *own)
{
	pthread_mutex_lock(&device->contexts_lock);
	if (device->contexts[own->place] == own)
		device->contexts[own->place] = NULL;
	pthread_mutex_unlock(&device->contexts_lock);
}

static const volatile struct vgpu_timeline_header *timeline_header(const struct vgpu *context)
{
	return (const volatile struct vgpu_timeline_header *)context->timeline;
}

/* Asks for the context once, with session_lock held. */
static enum vgpu_result context_ask(struct vgpu *context)
{
	struct user_context *own = context->transport;
	struct user_device *device = own->device;
	size_t at = PAGES_OFFSET + (size_t)own->place * 2 * PAGE;
	struct vgpu_context_create_request request = {
		.timeline_address = device->area_address + at,
		.arm_address = device->area_address + at + PAGE,
	};
	enum vgpu_result result;

	memset(device->area + at, 0, (size_t)2 * PAGE);
	snprintf(request.name, sizeof(request.name), "%s", program_invocation_short_name);
	context->epoch = device->epoch;
	context->capabilities = device->capabilities;
	result = control_call(context, VGPU_REQ_CONTEXT_CREATE, &request, sizeof(request), NULL, 0,
			      "context creation");
	own->created = result == VGPU_SUCCESS;
	return result;
}

/* How often a context's creation starts the session anew before it gives up. */
#define SESSION_TRIES 8

/* The device does not have the session's state any more: it was replaced, or lost its GPU. */
static bool session_is_over(const struct vgpu *context, enum vgpu_result result)
{
	return result == VGPU_ERROR_NOT_INITIALISED ||
	       (result == VGPU_SUCCESS && timeline_header(context)->epoch != context->epoch);
}

static enum vgpu_result context_create(struct vgpu *context)
{
	struct user_context *own = context->transport;
	struct user_device *device = own->device;
	size_t at = PAGES_OFFSET + (size_t)own->place * 2 * PAGE;
	enum vgpu_result result;

	context->id = own->place;
	context->timeline = device->area + at;
	own->arm = device->area + at + PAGE;
	pthread_mutex_lock(&device->session_lock);
	result = context_ask(context);
	/* It may be replaced again between the two requests. */
	for (int i = 0; i < SESSION_TRIES && session_is_over(context, result); i++) {
		result = user_session_start(device);
		if (result == VGPU_SUCCESS)
			result = context_ask(context);
	}
	pthread_mutex_unlock(&device->session_lock);
	if (result == VGPU_ERROR_NOT_INITIALISED)
		return fail(VGPU_ERROR_DEVICE_LOST,
			    "unix:%s lost its state %d times while a context was created",
			    device->path, SESSION_TRIES + 1);
	if (result != VGPU_SUCCESS)
		return result;
	if (timeline_header(context)->magic != VGPU_TIMELINE_MAGIC)
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "unix:%s began the timeline with 0x%x instead of 0x%x", device->path,
			    timeline_header(context)->magic, VGPU_TIMELINE_MAGIC);
	return VGPU_SUCCESS;
}

static void user_detach(struct vgpu *context)
{
	struct user_context *own = context->transport;

	user_submit_drain(context);
	if (own->created && !atomic_load(&own->device->lost))
		control_call(context, VGPU_REQ_CONTEXT_DESTROY, NULL, 0, NULL, 0,
			     "context destruction");
	own->created = false;
}

static void user_close(struct vgpu *context)
{
	struct user_context *own = context->transport;

	place_leave(own->device, own);
	user_device_put(own->device);
	free(own);
	context->transport = NULL;
}

static enum vgpu_result user_open(struct vgpu *context, const char *path)
{
	struct user_context *own = calloc(1, sizeof(*own));
	enum vgpu_result result;

	if (!own)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a context");
	own->context = context;
	result = user_device_get(path, &own->device);
	if (result != VGPU_SUCCESS) {
		free(own);
		return result;
	}
	context->transport = own;
	context->submit_bytes_max = own->device->config.submit_bytes_max;
	own->next_hostmem = 1;
	result = place_take(own->device, own);
	if (result != VGPU_SUCCESS) {
		user_device_put(own->device);
		free(own);
		return result;
	}
	result = context_create(context);
	if (result != VGPU_SUCCESS) {
		user_detach(context);
		user_close(context);
	}
	return result;
}

static void user_check(struct vgpu *context)
{
	user_alive(user_device(context));
}

/* ---- Pinned memory ---------------------------------------------------------------------- */

/* With the host pool locked: handles of one context are given out one at a time. */
static enum vgpu_result hostmem_register(struct vgpu *context, uint64_t address, uint64_t bytes,
					 uint32_t *hostmem)
{
	struct user_context *own = context->transport;
	struct {
		struct vgpu_hostmem_register_request head;
		struct vgpu_hostmem_entry entry;
	} request = { .head = { .entry_count = 1, .bytes = bytes },
		      .entry = { .address = address, .bytes = bytes } };
	enum vgpu_result result = VGPU_ERROR_HANDLE_EXISTS;

	/* Handles are used in turns; one that still lives is passed over. */
	for (uint32_t i = 1; result == VGPU_ERROR_HANDLE_EXISTS && i < context->caps.hostmems_max;
	     i++) {
		request.head.hostmem = own->next_hostmem;
		own->next_hostmem = own->next_hostmem % (context->caps.hostmems_max - 1) + 1;
		result = control_call(context, VGPU_REQ_HOSTMEM_REGISTER, &request,
				      sizeof(request), NULL, 0, "registration of pinned memory");
	}
	*hostmem = request.head.hostmem;
	return result;
}

static enum vgpu_result user_region_create(struct vgpu *context, uint64_t bytes,
					   struct host_region *region)
{
	struct user_device *device = user_device(context);
	enum vgpu_result result;

	result = user_region_add(device, "vgpu-pinned", bytes, &region->base, &region->fd,
				 &region->address);
	if (result != VGPU_SUCCESS)
		return result;
	result = hostmem_register(context, region->address, bytes, &region->hostmem);
	if (result != VGPU_SUCCESS)
		user_region_remove(device, region->base, region->fd, bytes, region->address);
	return result;
}

static void user_region_destroy(struct vgpu *context, struct host_region *region)
{
	struct vgpu_hostmem_unregister_request request = { .hostmem = region->hostmem };
	struct user_context *own = context->transport;

	/* Destroying the context has ended its registrations. */
	if (own->created && !atomic_load(&own->device->lost))
		control_call(context, VGPU_REQ_HOSTMEM_UNREGISTER, &request, sizeof(request), NULL,
			     0, "end of a registration");
	user_region_remove(own->device, region->base, region->fd, region->bytes, region->address);
}

static enum vgpu_result user_pin(struct vgpu *context, const void *memory, size_t bytes,
				 uint32_t *hostmem)
{
	(void)context;
	*hostmem = 0;
	return fail(VGPU_ERROR_NOT_SUPPORTED,
		    "%zu bytes at %p can't be pinned over unix:; use vgpu_host_alloc()", bytes,
		    memory);
}

static void user_unpin(struct vgpu *context, uint32_t hostmem)
{
	(void)context;
	(void)hostmem;
}

const struct transport_ops user_transport = {
	.name = "unix",
	.region_bytes = 64u << 20,
	.staging_bytes = 16u << 20,
	.poll_average_max_ns = 200000,
	.pins_user_memory = false,
	.open = user_open,
	.detach = user_detach,
	.close = user_close,
	.control = user_control,
	.buffer_get = user_buffer_get,
	.buffer_put = user_buffer_put,
	.submit = user_submit,
	.sleep = user_sleep,
	.check = user_check,
	.region_create = user_region_create,
	.region_destroy = user_region_destroy,
	.pin = user_pin,
	.unpin = user_unpin,
};
