/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unix: transport: libvgpu as a vhost-user front end.
 *
 * A connection serves all contexts that the process opens on one path, for a
 * device takes one front end at a time. It owns one shared region with what
 * the rings need; each context adds regions of pinned memory.
 *
 *   0           control ring | event ring | submit ring
 *   REQUEST     control request and response, one at a time
 *   EVENTS      event buffers          RESPONSES   submit responses
 *   PAGES       timeline and arm page of each context
 *   BUFFERS     command buffers, headroom before each
 */
#ifndef LIBVGPU_USER_H
#define LIBVGPU_USER_H

#include "internal.h"
#include "ring.h"
#include "vhost.h"

#define CONTROL_RING 64u
#define EVENT_RING 64u
#define SUBMIT_RING 256u
#define SUBMIT_PAIRS (SUBMIT_RING / 2)
#define USER_CONTEXTS 64u
#define COMMAND_BUFFERS 64u
#define CONTROL_BYTES 65536u

#define PAGE 4096u
#define RING_AREA (4u * PAGE)
#define REQUEST_OFFSET (3u * RING_AREA)
#define RESPONSE_OFFSET (REQUEST_OFFSET + CONTROL_BYTES)
#define EVENTS_OFFSET (RESPONSE_OFFSET + CONTROL_BYTES)
#define RESPONSES_OFFSET (EVENTS_OFFSET + PAGE)
#define PAGES_OFFSET (RESPONSES_OFFSET + 2u * PAGE)
#define BUFFERS_OFFSET (PAGES_OFFSET + 2u * PAGE * USER_CONTEXTS)
#define BUFFER_STRIDE (BATCH_BYTES + PAGE)
#define AREA_BYTES (BUFFERS_OFFSET + BUFFER_STRIDE * COMMAND_BUFFERS)

/* A submit in flight: descriptors 2n (request) and 2n + 1 (response). */
struct submit_pair {
	struct command_buffer *buffer;
	struct user_context *owner;
	uint16_t next_free;
	bool busy;
};

/* A thread that sleeps until a fence; on its stack. */
struct waiter {
	struct waiter *next;
	struct vgpu *context;
	uint32_t stream;
	uint64_t fence;
	/* It was told that its fence is near. */
	bool told;
};

struct user_device {
	struct user_device *next;
	unsigned int references;
	char path[256];
	int sock;
	int kick[VGPU_QUEUE_COUNT];
	int call[VGPU_QUEUE_COUNT];
	/* A sleep ended by it, and it was not read since. Of the one that sleeps on it. */
	bool rung[VGPU_QUEUE_COUNT];
	struct ring rings[VGPU_QUEUE_COUNT];
	struct vgpu_config config;
	/* One context is created at a time: who finds no session begins one. */
	pthread_mutex_t session_lock;
	uint32_t epoch;
	uint64_t capabilities;

	uint8_t *area;
	int area_fd;
	uint64_t area_address;

	/* Memory slots and messages. */
	pthread_mutex_t vhost_lock;
	uint64_t next_address;
	uint64_t slots_free;

	_Atomic bool lost;
	pthread_mutex_t contexts_lock;
	struct user_context *contexts[USER_CONTEXTS];

	pthread_mutex_t control_lock;

	pthread_mutex_t submit_lock;
	struct command_buffer buffers[COMMAND_BUFFERS];
	struct command_buffer *free_buffers;
	struct submit_pair pairs[SUBMIT_PAIRS];
	uint16_t free_pair;
	uint64_t checked_ns;

	pthread_mutex_t wait_lock;
	pthread_cond_t wait_changed;
	bool has_leader;
	struct waiter *waiters;
};

struct user_context {
	struct user_device *device;
	struct vgpu *context;
	uint32_t place;
	volatile uint8_t *arm;
	bool created;
	uint32_t next_hostmem;
	uint32_t submits_in_flight;
	/* Command buffers of its own memory that came back; under submit_lock. */
	struct command_buffer *spare;
};

static inline struct user_device *user_device(const struct vgpu *context)
{
	return ((struct user_context *)context->transport)->device;
}

/* Marks the connection lost and ends it, which wakes every sleeper. */
void user_lose(struct user_device *device, const char *why);
/* Looks whether the socket is still open; true if it is. */
bool user_alive(struct user_device *device);
void user_kick(struct user_device *device, unsigned int queue);
/* Reads what has rung: before the last look that a sleep follows. */
void user_call_take(struct user_device *device, unsigned int queue);
/*
 * Sleeps until the queue's call descriptor or the socket says something.
 * False if the connection is lost.
 */
bool user_sleep_on(struct user_device *device, unsigned int queue);

/* user_device.c */
enum vgpu_result user_device_get(const char *path, struct user_device **device);
void user_device_put(struct user_device *device);
/* INIT: whatever the device held for us is gone afterwards. With session_lock held. */
enum vgpu_result user_session_start(struct user_device *device);
enum vgpu_result user_region_add(struct user_device *device, const char *name, uint64_t bytes,
				 uint8_t **memory, int *fd, uint64_t *address);
void user_region_remove(struct user_device *device, uint8_t *memory, int fd, uint64_t bytes,
			uint64_t address);

/* user_queue.c */
enum vgpu_result user_request(struct user_device *device, uint32_t context_id,
			      const void *request, uint32_t request_bytes, void *response,
			      uint32_t response_bytes, uint32_t *written);
void user_submit_init(struct user_device *device);
enum vgpu_result user_buffer_get(struct vgpu *context, uint32_t bytes,
				 struct command_buffer **buffer);
void user_buffer_put(struct vgpu *context, struct command_buffer *buffer);
enum vgpu_result user_submit(struct vgpu *context, struct command_buffer *buffer,
			     uint32_t stream, uint64_t fence);
/* Waits until the device has acknowledged all of the context's submits. */
void user_submit_drain(struct vgpu *context);

/* user_wait.c */
void user_events_init(struct user_device *device);
enum vgpu_result user_sleep(struct vgpu *context, uint32_t stream, uint64_t fence);

#endif
