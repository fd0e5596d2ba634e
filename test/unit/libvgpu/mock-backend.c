// SPDX-License-Identifier: Apache-2.0
/*
 * A tiny vhost-user back end for the tests of libvgpu: the device's side of
 * the wire with the CPU as GPU, so that the library is tested without the real
 * device, and against a device that can be told to misbehave.
 *
 *   mock-backend PATH [--delay-us=N] [--soon-us=N] [--queue-max=N] [--slots=N] [--no-event-idx]
 *                     [--refuse-submit=N] [--garbage] [--version-two] [--ptx-unasked]
 *
 * Environment: MOCK_RECORD=FILE gets every submit request in hexadecimal, one a line.
 *
 * It holds the front end to the rules: reserved fields and padding must be
 * zero, lengths exact; whatever is not makes it exit with status 3.
 *
 * Functions: "add" (a, b, out: pointers; n: u32 by value), "nothing" (no
 * arguments), "big" (one value of 4096 bytes, 20 of them), "fail" (fails the
 * context), "hang" (never completes), "free" (block given by the launch).
 * Modules whose code begins with "bad" do not compile.
 * STATISTICS.wait_ns counts the kicks of the submit queue.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "uapi/virtio_vgpu.h"
#include "ring.h"
#include "vhost.h"

#define MEMORY_BYTES (256u << 20)
#define REGIONS_MAX 64
#define HOSTMEMS_MAX 256
#define CONTEXTS_MAX 8
#define STREAMS 64
#define OBJECTS_MAX 256
#define EVENTS_MAX 4096
#define EPOCH 77u

struct region {
	uint64_t guest_address, user_address, bytes;
	uint8_t *memory;
};

struct hostmem {
	bool used;
	uint64_t address, bytes;
};

struct function {
	bool used;
	char name[32];
};

struct context {
	bool used;
	uint32_t failed;
	uint8_t *timeline, *arm;
	struct vgpu_error_query_response error;
	struct hostmem hostmems[HOSTMEMS_MAX];
	uint32_t module_states[OBJECTS_MAX];
	struct function functions[OBJECTS_MAX];
	uint64_t generations[EVENTS_MAX];
	uint64_t event_times[EVENTS_MAX];
	uint64_t fences[STREAMS];
	bool hung[STREAMS];
	struct vgpu_statistics_response statistics;
	uint64_t allocated, allocations;
};

struct queue {
	uint32_t size;
	uint16_t avail_seen;
	struct ring_desc *desc;
	uint16_t *avail, *used;
	int kick, call;
	bool enabled;
};

static struct region regions[REGIONS_MAX];
static struct context contexts[CONTEXTS_MAX];
static struct queue queues[3];
static uint8_t *memory;
static uint64_t memory_used;
static uint64_t session;
/* How often it was as if replaced between INIT and a context's creation. */
static uint32_t forgotten;
static bool event_idx;
static uint64_t kicks;
static uint64_t clock_ns;
static FILE *record;
static uint32_t submits;

static struct {
	uint32_t delay_us, soon_us, queue_max, slots, refuse_submit, forgets;
	bool no_event_idx, garbage, version_two, ptx_unasked;
} options = { .queue_max = 1024, .slots = 32 };

static void broken(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "mock-backend: the front end broke a rule: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	exit(3);
}

#define RULE(condition) do { if (!(condition)) broken("%s (line %d)", #condition, __LINE__); } while (0)

/* ---- Guest memory --------------------------------------------------------------------- */

static uint8_t *guest(uint64_t address, uint64_t bytes)
{
	for (int i = 0; i < REGIONS_MAX; i++)
		if (regions[i].memory && address >= regions[i].guest_address &&
		    address + bytes <= regions[i].guest_address + regions[i].bytes)
			return regions[i].memory + (address - regions[i].guest_address);
	broken("guest address 0x%llx + %llu is not mapped", (unsigned long long)address,
	       (unsigned long long)bytes);
	return NULL;
}

static uint8_t *user(uint64_t address)
{
	for (int i = 0; i < REGIONS_MAX; i++)
		if (regions[i].memory && address >= regions[i].user_address &&
		    address < regions[i].user_address + regions[i].bytes)
			return regions[i].memory + (address - regions[i].user_address);
	broken("user address 0x%llx is not mapped", (unsigned long long)address);
	return NULL;
}

static uint8_t *device(uint64_t pointer, uint64_t bytes)
{
	uint64_t offset = pointer & 0xffffffff;

	RULE(pointer >> 32 == VGPU_SEGMENT_FIRST && offset + bytes <= memory_used);
	return memory + offset;
}

/* ---- Rings ------------------------------------------------------------------------------ */

static void queue_call(struct queue *queue)
{
	uint64_t one = 1;

	if (write(queue->call, &one, sizeof(one)) < 0)
		return;
}

static void queue_used(struct queue *queue, uint32_t head, uint32_t bytes)
{
	struct ring_used_entry *entries = (void *)(queue->used + 2);
	uint16_t old_idx = queue->used[1];
	uint16_t event;

	entries[old_idx % queue->size] = (struct ring_used_entry){ head, bytes };
	__atomic_store_n(&queue->used[1], (uint16_t)(old_idx + 1), __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&queue->avail[2 + queue->size], __ATOMIC_RELAXED);
	if (event_idx ? ring_need_event(event, (uint16_t)(old_idx + 1), old_idx) :
			!(queue->avail[0] & RING_NO_INTERRUPT))
		queue_call(queue);
}

static bool queue_next(struct queue *queue, uint16_t *head)
{
	uint16_t idx = __atomic_load_n(&queue->avail[1], __ATOMIC_ACQUIRE);

	if (idx == queue->avail_seen)
		return false;
	RULE((uint16_t)(idx - queue->avail_seen) <= queue->size);
	*head = queue->avail[2 + queue->avail_seen % queue->size];
	RULE(*head < queue->size);
	queue->avail_seen++;
	return true;
}

/* Before sleeping: ask for kicks. True: something came meanwhile. */
static bool queue_rest(struct queue *queue)
{
	if (event_idx)
		__atomic_store_n(&queue->used[2 + 4 * queue->size], queue->avail_seen,
				 __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&queue->avail[1], __ATOMIC_ACQUIRE) != queue->avail_seen;
}

static void post_event(uint32_t context_id, enum vgpu_event_type type)
{
	struct queue *queue = &queues[VGPU_QUEUE_EVENT];
	struct vgpu_event_message message = { .type = type, .context = context_id,
					      .epoch = EPOCH };
	uint16_t head;

	if (!queue_next(queue, &head))
		broken("no event buffer is posted");
	/* VGPU-DRV-21. */
	RULE(queue->desc[head].flags == RING_DESC_WRITE && queue->desc[head].bytes >= 32);
	memcpy(guest(queue->desc[head].address, 32), &message, sizeof(message));
	queue_used(queue, head, sizeof(message));
}

/* ---- Contexts ----------------------------------------------------------------------------- */

static void complete(struct context *context, uint32_t stream, uint64_t fence)
{
	struct vgpu_timeline_slot *slot = (void *)(context->timeline + 64 + 32 * stream);
	struct vgpu_arm_slot *arm = (void *)(context->arm + 64 + 32 * stream);
	uint64_t before = slot->fence, armed;

	slot->status = context->failed;
	slot->time_ns = ++clock_ns * 1000;
	__atomic_store_n(&slot->fence, fence, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	armed = __atomic_load_n(&arm->fence, __ATOMIC_RELAXED);
	if (armed > before && armed <= fence)
		post_event((uint32_t)(context - contexts), VGPU_EVENT_TYPE_FENCE);
}

/* Who asks for it is told that a fence will complete soon, and it does so then. */
static void tell_soon(struct context *context, uint32_t stream, uint64_t fence)
{
	struct vgpu_timeline_slot *slot = (void *)(context->timeline + 64 + 32 * stream);
	struct vgpu_arm_slot *arm = (void *)(context->arm + 64 + 32 * stream);
	uint64_t armed;

	usleep(options.soon_us);
	armed = __atomic_load_n(&arm->fence, __ATOMIC_ACQUIRE);
	if (armed > slot->fence && armed <= fence &&
	    __atomic_load_n(&arm->ahead_ns, __ATOMIC_RELAXED))
		post_event((uint32_t)(context - contexts), VGPU_EVENT_TYPE_SOON);
	usleep(options.soon_us);
}

static void context_fail(struct context *context, uint32_t status, uint32_t stream,
			 uint64_t value, uint64_t limit, const char *text)
{
	struct vgpu_timeline_header *header = (void *)context->timeline;

	if (context->failed)
		return;
	context->failed = status;
	context->error = (struct vgpu_error_query_response){ .status = status, .stream = stream,
							     .value = value, .limit = limit };
	snprintf(context->error.text, sizeof(context->error.text), "%s", text);
	header->error_stream = stream;
	__atomic_store_n(&header->context_status, status, __ATOMIC_RELEASE);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void argument_infos(const char *name, struct vgpu_argument_info *infos, uint32_t *count)
{
	*count = 0;
	if (!strcmp(name, "add")) {
		static const char *const names[] = { "a", "b", "result", "n" };

		for (int i = 0; i < 4; i++) {
			infos[i] = (struct vgpu_argument_info){
				.kind = i == 3 ? VGPU_ARGUMENT_KIND_VALUE :
						 VGPU_ARGUMENT_KIND_POINTER,
				.access = i == 3 ? 0 : i == 2 ? 2 : 1, .bytes_min = 4, .align = 4 };
			snprintf(infos[i].name, sizeof(infos[i].name), "%s", names[i]);
		}
		*count = 4;
	} else if (!strcmp(name, "big")) {
		for (int i = 0; i < 20; i++)
			infos[i] = (struct vgpu_argument_info){ .kind = VGPU_ARGUMENT_KIND_VALUE,
								.bytes_min = 4096, .align = 16,
								.name = "block" };
		*count = 20;
	}
}

static void run_add(const uint8_t *arguments, uint32_t grid)
{
	uint64_t pointers[3];
	uint32_t n;

	for (int i = 0; i < 3; i++)
		memcpy(&pointers[i], arguments + 16 * i + 8, 8);
	memcpy(&n, arguments + 48 + 8, 4);
	for (uint32_t i = 0; i < n && i < grid * 64; i++) {
		float a, b;

		memcpy(&a, device(pointers[0] + 4 * i, 4), 4);
		memcpy(&b, device(pointers[1] + 4 * i, 4), 4);
		a += b;
		memcpy(device(pointers[2] + 4 * i, 4), &a, 4);
	}
}

static void check_arguments(const uint8_t *at, const uint8_t *end, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct vgpu_launch_argument argument;

		RULE(at + 8 <= end);
		memcpy(&argument, at, 8);
		RULE(argument.kind <= 1 && argument.bytes && argument.bytes <= 4096);
		RULE(argument.kind == VGPU_ARGUMENT_KIND_VALUE || argument.bytes == 8);
		for (uint32_t b = argument.bytes; b % 8; b++)
			RULE(at[8 + b] == 0);
		at += 8 + ((argument.bytes + 7) & ~7u);
	}
	RULE(at == end);
}

static void run_launch(struct context *context, uint32_t stream, const uint8_t *payload,
		       const uint8_t *end)
{
	struct vgpu_command_launch launch;
	const struct function *function;

	memcpy(&launch, payload, sizeof(launch));
	check_arguments(payload + sizeof(launch), end, launch.argument_count);
	RULE(launch.function < OBJECTS_MAX && context->functions[launch.function].used);
	RULE(launch.grid_x && launch.grid_y && launch.grid_z && !launch.reserved);
	function = &context->functions[launch.function];
	if (!strcmp(function->name, "add"))
		run_add(payload + sizeof(launch), launch.grid_x);
	else if (!strcmp(function->name, "fail"))
		context_fail(context, VGPU_STATUS_LAUNCH_FAILED, stream, 123, 45,
			     "the function \"fail\" failed");
	else if (!strcmp(function->name, "hang"))
		context->hung[stream] = true;
	context->statistics.launches++;
	context->statistics.gpu_time_ns += 1000;
}

static void run_copy_host(struct context *context, uint16_t opcode, const uint8_t *payload)
{
	struct vgpu_command_copy_host copy;
	struct hostmem *hostmem;
	uint8_t *host;

	memcpy(&copy, payload, sizeof(copy));
	RULE(copy.hostmem < HOSTMEMS_MAX && context->hostmems[copy.hostmem].used && !copy.reserved);
	hostmem = &context->hostmems[copy.hostmem];
	RULE(copy.offset + copy.bytes <= hostmem->bytes);
	host = guest(hostmem->address + copy.offset, copy.bytes);
	if (opcode == VGPU_CMD_COPY_TO_DEVICE) {
		memcpy(device(copy.pointer, copy.bytes), host, copy.bytes);
		context->statistics.bytes_to_device += copy.bytes;
	} else {
		memcpy(host, device(copy.pointer, copy.bytes), copy.bytes);
		context->statistics.bytes_from_device += copy.bytes;
	}
	context->statistics.copies++;
}

static void run_fill(struct context *context, const uint8_t *payload)
{
	struct vgpu_command_fill fill;
	uint8_t *at;

	memcpy(&fill, payload, sizeof(fill));
	RULE(fill.width == 1 || fill.width == 2 || fill.width == 4);
	RULE(fill.bytes % fill.width == 0 && fill.pointer % fill.width == 0);
	at = device(fill.pointer, fill.bytes);
	for (uint64_t i = 0; i < fill.bytes; i += fill.width)
		memcpy(at + i, &fill.pattern, fill.width);
	context->statistics.copies++;
}

static void make_object(struct context *context, uint16_t opcode, const uint8_t *payload,
			uint32_t bytes)
{
	if (opcode == VGPU_CMD_MODULE_LOAD) {
		struct vgpu_command_module_load load;

		memcpy(&load, payload, sizeof(load));
		RULE(((load.code_bytes + 7) & ~7u) == bytes - sizeof(load) && !load.flags);
		RULE(load.module < OBJECTS_MAX && !context->module_states[load.module]);
		context->module_states[load.module] =
			memcmp(payload + sizeof(load), "bad", 3) ? VGPU_OBJECT_STATE_READY :
								   VGPU_OBJECT_STATE_FAILED;
	} else {
		struct vgpu_command_function_create create;
		struct function *function;

		memcpy(&create, payload, sizeof(create));
		RULE(((create.name_bytes + 7) & ~7u) == bytes - sizeof(create));
		RULE(create.function < OBJECTS_MAX && !context->functions[create.function].used);
		function = &context->functions[create.function];
		function->used = true;
		snprintf(function->name, sizeof(function->name), "%.*s", (int)create.name_bytes,
			 (const char *)payload + sizeof(create));
	}
}

static void run_event(struct context *context, uint16_t opcode, const uint8_t *payload)
{
	struct vgpu_command_event_record event;

	memcpy(&event, payload, sizeof(event));
	RULE(event.event < EVENTS_MAX && event.generation);
	RULE(!(event.flags & ~(opcode == VGPU_CMD_EVENT_RECORD ? VGPU_EVENT_TIMED : 0)));
	if (opcode == VGPU_CMD_EVENT_RECORD) {
		RULE(event.generation > context->generations[event.event]);
		context->generations[event.event] = event.generation;
		/* Odd times tell the test that the flag came. */
		context->event_times[event.event] = ++clock_ns * 1000 + event.flags;
	} else {
		/* libvgpu sends the record first, so here it has always completed. */
		RULE(event.generation <= context->generations[event.event]);
	}
}

static void run_command(struct context *context, uint32_t stream, const uint8_t *at,
			const struct vgpu_command_header *header)
{
	const uint8_t *payload = at + sizeof(*header);
	uint32_t bytes = header->bytes - (uint32_t)sizeof(*header);

	switch (header->opcode) {
	case VGPU_CMD_MODULE_LOAD:
	case VGPU_CMD_FUNCTION_CREATE:
		make_object(context, header->opcode, payload, bytes);
		break;
	case VGPU_CMD_MODULE_UNLOAD:
		RULE(*(const uint32_t *)payload < OBJECTS_MAX && bytes == 8);
		context->module_states[*(const uint32_t *)payload] = 0;
		break;
	case VGPU_CMD_FUNCTION_DESTROY:
		context->functions[*(const uint32_t *)payload % OBJECTS_MAX].used = false;
		break;
	case VGPU_CMD_COPY_TO_DEVICE:
	case VGPU_CMD_COPY_FROM_DEVICE:
		RULE(bytes == sizeof(struct vgpu_command_copy_host));
		run_copy_host(context, header->opcode, payload);
		break;
	case VGPU_CMD_COPY_DEVICE: {
		struct vgpu_command_copy_device copy;

		memcpy(&copy, payload, sizeof(copy));
		memmove(device(copy.destination, copy.bytes), device(copy.source, copy.bytes),
			copy.bytes);
		break;
	}
	case VGPU_CMD_FILL:
		RULE(bytes == sizeof(struct vgpu_command_fill));
		run_fill(context, payload);
		break;
	case VGPU_CMD_WRITE_INLINE: {
		struct vgpu_command_write_inline head;

		memcpy(&head, payload, sizeof(head));
		RULE(((head.bytes + 7) & ~7u) == bytes - sizeof(head));
		memcpy(device(head.pointer, head.bytes), payload + sizeof(head), head.bytes);
		for (uint32_t b = head.bytes; b % 8; b++)
			RULE(payload[sizeof(head) + b] == 0);
		break;
	}
	case VGPU_CMD_LAUNCH:
		run_launch(context, stream, payload, payload + bytes);
		break;
	case VGPU_CMD_EVENT_RECORD:
	case VGPU_CMD_EVENT_WAIT:
		RULE(bytes == sizeof(struct vgpu_command_event_record));
		run_event(context, header->opcode, payload);
		break;
	default:
		broken("opcode %u", header->opcode);
	}
}

static void record_submit(const uint8_t *request, uint32_t bytes)
{
	if (!record)
		return;
	for (uint32_t i = 0; i < bytes; i++)
		fprintf(record, "%02x", request[i]);
	fprintf(record, "\n");
	fflush(record);
}

static uint32_t run_submit(struct context *context, const uint8_t *request, uint32_t bytes)
{
	struct vgpu_submit_request submit;
	uint32_t at = 40, count = 0;

	memcpy(&submit, request + 16, sizeof(submit));
	RULE(bytes == 40 + submit.command_bytes && submit.stream < STREAMS && !submit.reserved);
	/* VGPU-DRV-19, 20. */
	RULE(submit.fence == context->fences[submit.stream] + 1);
	context->fences[submit.stream] = submit.fence;
	if (options.refuse_submit && ++submits == options.refuse_submit)
		return VGPU_STATUS_MALFORMED;
	record_submit(request, bytes);
	if (options.delay_us)
		usleep(options.delay_us);
	if (options.soon_us)
		tell_soon(context, submit.stream, submit.fence);
	for (; at < bytes; count++) {
		struct vgpu_command_header header;

		memcpy(&header, request + at, sizeof(header));
		RULE(header.bytes >= 8 && header.bytes % 8 == 0 && at + header.bytes <= bytes);
		RULE(!header.flags);
		if (!context->failed && !context->hung[submit.stream])
			run_command(context, submit.stream, request + at, &header);
		at += header.bytes;
	}
	RULE(count == submit.command_count);
	if (!context->hung[submit.stream])
		complete(context, submit.stream, submit.fence);
	return VGPU_STATUS_OK;
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static uint32_t module_query(struct context *context, const uint8_t *payload, uint8_t *out,
			     uint32_t room)
{
	struct vgpu_module_query_request query;
	struct vgpu_module_query_response answer = { 0 };
	static char log[50000];
	uint32_t part = 0;

	if (!log[0]) {
		memset(log, 'x', sizeof(log) - 1);
		memcpy(log, "mock: line 1: bad code ", 23);
		memcpy(log + sizeof(log) - 5, "END", 3);
	}
	memcpy(&query, payload, sizeof(query));
	answer.state = context->module_states[query.module % OBJECTS_MAX];
	if (answer.state == VGPU_OBJECT_STATE_FAILED) {
		answer.status = VGPU_STATUS_MODULE_INVALID;
		answer.log_bytes = (uint32_t)strlen(log);
		part = answer.log_bytes - query.log_offset;
		if (part > room - sizeof(answer))
			part = room - (uint32_t)sizeof(answer);
		memcpy(out + sizeof(answer), log + query.log_offset, part);
	}
	memcpy(out, &answer, sizeof(answer));
	return (uint32_t)sizeof(answer) + part;
}

static uint32_t function_query(struct context *context, const uint8_t *payload, uint8_t *out)
{
	struct vgpu_argument_info infos[64];
	struct vgpu_function_query_response answer = { .state = VGPU_OBJECT_STATE_READY,
						       .block_x = 64, .block_y = 1, .block_z = 1 };
	const char *name = context->functions[*(const uint32_t *)payload % OBJECTS_MAX].name;
	static const char *const known[] = { "add", "nothing", "big", "fail", "hang", "free" };
	bool found = false;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		found |= !strcmp(name, known[i]);
	if (!found) {
		answer.state = VGPU_OBJECT_STATE_FAILED;
		answer.status = VGPU_STATUS_FUNCTION_NOT_FOUND;
	} else {
		argument_infos(name, infos, &answer.argument_count);
	}
	if (!strcmp(name, "free"))
		answer.block_x = 0;
	memcpy(out, &answer, sizeof(answer));
	memcpy(out + sizeof(answer), infos, answer.argument_count * sizeof(infos[0]));
	return (uint32_t)(sizeof(answer) + answer.argument_count * sizeof(infos[0]));
}

static uint32_t memory_request(struct context *context, uint32_t type, const uint8_t *payload,
			       uint8_t *out, uint32_t *out_bytes)
{
	if (type == VGPU_REQ_MEMORY_ALLOC) {
		struct vgpu_memory_alloc_response answer;
		uint64_t bytes = (*(const uint64_t *)payload + 255) & ~255ull;

		if (memory_used + bytes > MEMORY_BYTES)
			return VGPU_STATUS_OUT_OF_MEMORY;
		answer.pointer = (uint64_t)VGPU_SEGMENT_FIRST << 32 | memory_used;
		answer.bytes = bytes;
		memory_used += bytes;
		context->allocated += bytes;
		context->allocations++;
		memcpy(out, &answer, *out_bytes = sizeof(answer));
	} else if (type == VGPU_REQ_MEMORY_FREE) {
		context->allocations--;
	} else {
		struct vgpu_memory_info_response answer = {
			.total_bytes = MEMORY_BYTES, .free_bytes = MEMORY_BYTES - memory_used,
			.context_bytes = context->allocated,
			.allocation_count = context->allocations };

		memcpy(out, &answer, *out_bytes = sizeof(answer));
	}
	return VGPU_STATUS_OK;
}

static uint32_t hostmem_request(struct context *context, uint32_t type, const uint8_t *payload)
{
	if (type == VGPU_REQ_HOSTMEM_REGISTER) {
		struct vgpu_hostmem_register_request head;
		struct vgpu_hostmem_entry entry;

		memcpy(&head, payload, sizeof(head));
		memcpy(&entry, payload + sizeof(head), sizeof(entry));
		RULE(head.entry_count == 1 && head.bytes == entry.bytes);
		RULE(head.hostmem < HOSTMEMS_MAX);
		if (context->hostmems[head.hostmem].used)
			return VGPU_STATUS_HANDLE_EXISTS;
		guest(entry.address, entry.bytes);
		context->hostmems[head.hostmem] =
			(struct hostmem){ true, entry.address, entry.bytes };
	} else {
		uint32_t handle = *(const uint32_t *)payload;

		RULE(handle < HOSTMEMS_MAX && context->hostmems[handle].used);
		context->hostmems[handle].used = false;
	}
	return VGPU_STATUS_OK;
}

static void capabilities(uint8_t *out, uint32_t *out_bytes)
{
	struct vgpu_capabilities_response answer = {
		.capabilities = VGPU_CAP_WGSL | VGPU_CAP_TIMESTAMPS | (options.ptx_unasked ? VGPU_CAP_PTX : 0),
		.memory_bytes = MEMORY_BYTES,
		.segment_bytes_max = MEMORY_BYTES, .hostmem_bytes_max = 1ull << 32,
		.contexts_max = CONTEXTS_MAX, .streams_max = STREAMS, .modules_max = OBJECTS_MAX,
		.functions_max = OBJECTS_MAX, .events_max = EVENTS_MAX,
		.hostmems_max = HOSTMEMS_MAX, .queued_commands_max = options.queue_max,
		.grid_max = 65535, .block_max_x = 256, .block_max_y = 256, .block_max_z = 64,
		.block_threads_max = 256, .shared_bytes_max = 32768, .epoch = EPOCH,
		.adapter = "mock" };

	memcpy(out, &answer, *out_bytes = sizeof(answer));
}

static void context_create(struct context *context, const uint8_t *payload)
{
	struct vgpu_context_create_request create;
	struct vgpu_timeline_header header = { .magic = VGPU_TIMELINE_MAGIC, .epoch = EPOCH };

	RULE(!context->used);
	memcpy(&create, payload, sizeof(create));
	RULE(create.timeline_address % 4096 == 0 && create.arm_address % 4096 == 0);
	memset(context, 0, sizeof(*context));
	context->used = true;
	context->timeline = guest(create.timeline_address, 4096);
	context->arm = guest(create.arm_address, 4096);
	memset(context->timeline, 0, 4096);
	memcpy(context->timeline, &header, sizeof(header));
}

static uint32_t answer_request(const uint8_t *request, uint8_t *out, uint32_t room,
			       uint32_t *out_bytes)
{
	struct vgpu_request_header header;
	const uint8_t *payload = request + sizeof(header);
	struct context *context;

	memcpy(&header, request, sizeof(header));
	/* VGPU-DRV-8. */
	RULE(!header.flags && !header.reserved);
	RULE(header.context < CONTEXTS_MAX);
	context = &contexts[header.context];
	if (header.type == VGPU_REQ_INIT) {
		struct vgpu_init_response answer = { .epoch = EPOCH, .version = VGPU_VERSION,
						     .capabilities = VGPU_CAP_WGSL | VGPU_CAP_TIMESTAMPS };

		/* VGPU-DRV-7. */
		RULE(*(const uint64_t *)payload && !session);
		session = *(const uint64_t *)payload;
		memcpy(out, &answer, *out_bytes = sizeof(answer));
		return VGPU_STATUS_OK;
	}
	/* VGPU-DRV-6. */
	RULE(session);
	if (header.type == VGPU_REQ_GET_CAPABILITIES) {
		capabilities(out, out_bytes);
		return VGPU_STATUS_OK;
	}
	if (header.type == VGPU_REQ_CONTEXT_CREATE) {
		if (forgotten < options.forgets) {
			forgotten++;
			session = 0;
			return VGPU_STATUS_NOT_INITIALISED;
		}
		context_create(context, payload);
		return VGPU_STATUS_OK;
	}
	RULE(context->used);
	switch (header.type) {
	case VGPU_REQ_CONTEXT_DESTROY:
		context->used = false;
		return VGPU_STATUS_OK;
	case VGPU_REQ_HOSTMEM_REGISTER:
	case VGPU_REQ_HOSTMEM_UNREGISTER:
		return hostmem_request(context, header.type, payload);
	case VGPU_REQ_MEMORY_ALLOC:
	case VGPU_REQ_MEMORY_FREE:
	case VGPU_REQ_MEMORY_INFO:
		return memory_request(context, header.type, payload, out, out_bytes);
	case VGPU_REQ_MODULE_QUERY:
		*out_bytes = module_query(context, payload, out, room);
		return VGPU_STATUS_OK;
	case VGPU_REQ_FUNCTION_QUERY:
		*out_bytes = function_query(context, payload, out);
		return VGPU_STATUS_OK;
	case VGPU_REQ_EVENT_QUERY: {
		uint32_t event = *(const uint32_t *)payload % EVENTS_MAX;
		struct vgpu_event_query_response answer = {
			.state = VGPU_OBJECT_STATE_READY,
			.generation = context->generations[event],
			.time_ns = context->event_times[event] };

		memcpy(out, &answer, *out_bytes = sizeof(answer));
		return VGPU_STATUS_OK;
	}
	case VGPU_REQ_ERROR_QUERY:
		memcpy(out, &context->error, *out_bytes = sizeof(context->error));
		return VGPU_STATUS_OK;
	case VGPU_REQ_STATISTICS:
		context->statistics.wait_ns = kicks;
		memcpy(out, &context->statistics, *out_bytes = sizeof(context->statistics));
		return VGPU_STATUS_OK;
	default:
		return VGPU_STATUS_UNKNOWN_COMMAND;
	}
}

/* Commands that wait on the submit queue, the one being served included. */
static void check_queued(const struct queue *queue, uint16_t first)
{
	uint16_t end = __atomic_load_n(&queue->avail[1], __ATOMIC_ACQUIRE);
	uint32_t total[CONTEXTS_MAX] = { 0 };

	for (uint16_t at = first; at != end; at++) {
		const struct ring_desc *desc = &queue->desc[queue->avail[2 + at % queue->size]];
		const uint8_t *request = guest(desc->address, 40);
		uint32_t context = *(const uint32_t *)(request + 8) % CONTEXTS_MAX;

		total[context] += *(const uint32_t *)(request + 20);
		RULE(total[context] <= options.queue_max);
	}
}

/* One chain: a readable descriptor, then a writable one. */
static void serve_chain(struct queue *queue, bool is_submit, uint16_t head)
{
	struct ring_desc in = queue->desc[head];
	struct ring_desc out;
	struct vgpu_response_header header = { 0 };
	uint8_t *request, *response;
	uint32_t bytes = 0;

	RULE(in.flags == RING_DESC_NEXT && in.next < queue->size);
	out = queue->desc[in.next];
	RULE(out.flags == RING_DESC_WRITE && out.bytes >= sizeof(header));
	request = guest(in.address, in.bytes);
	response = guest(out.address, out.bytes);
	RULE(in.bytes >= 16);
	if (is_submit) {
		struct vgpu_request_header *submit = (void *)request;

		RULE(submit->type == VGPU_REQ_SUBMIT && submit->context < CONTEXTS_MAX);
		RULE(contexts[submit->context].used);
		check_queued(queue, (uint16_t)(queue->avail_seen - 1));
		header.status = run_submit(&contexts[submit->context], request, in.bytes);
	} else {
		header.status = answer_request(request, response + sizeof(header),
					       out.bytes - (uint32_t)sizeof(header), &bytes);
	}
	header.payload_bytes = header.status ? 0 : bytes;
	memcpy(response, &header, sizeof(header));
	queue_used(queue, head, (uint32_t)sizeof(header) + header.payload_bytes);
}

static void serve_queues(void)
{
	bool again = true;

	while (again) {
		uint16_t head;

		again = false;
		for (int i = 0; i < 3; i += 2)
			while (queues[i].enabled && queue_next(&queues[i], &head))
				serve_chain(&queues[i], i == VGPU_QUEUE_SUBMIT, head);
		for (int i = 0; i < 3; i += 2)
			again |= queues[i].enabled && queue_rest(&queues[i]);
	}
}

/* ---- vhost-user -------------------------------------------------------------------------------------- */

struct message {
	uint32_t request, flags, bytes;
	uint8_t payload[512];
};

static bool receive_message(int sock, struct message *message, int *fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { message, 12 };
	struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
			       .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	*fd = -1;
	if (recvmsg(sock, &head, MSG_CMSG_CLOEXEC) != 12)
		return false;
	c = CMSG_FIRSTHDR(&head);
	if (c)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	RULE(message->bytes <= sizeof(message->payload));
	return !message->bytes ||
	       recv(sock, message->payload, message->bytes, MSG_WAITALL) == message->bytes;
}

static void reply(int sock, struct message *message, const void *payload, uint32_t bytes)
{
	message->flags = 5;
	message->bytes = bytes;
	memcpy(message->payload, payload, bytes);
	/* Whoever left is seen at the next message. */
	if (send(sock, message, 12 + bytes, MSG_NOSIGNAL) < 0)
		return;
}

static uint64_t add_region(const struct vhost_region *wanted, int fd)
{
	RULE(fd >= 0);
	for (uint32_t i = 0; i < options.slots && i < REGIONS_MAX; i++) {
		if (regions[i].memory)
			continue;
		regions[i] = (struct region){ wanted->guest_address, wanted->user_address,
					      wanted->bytes, NULL };
		regions[i].memory = mmap(NULL, wanted->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
					 fd, (off_t)wanted->mmap_offset);
		close(fd);
		return regions[i].memory == MAP_FAILED;
	}
	return 1;
}

static uint64_t remove_region(const struct vhost_region *wanted)
{
	for (int i = 0; i < REGIONS_MAX; i++) {
		if (!regions[i].memory || regions[i].guest_address != wanted->guest_address)
			continue;
		for (int c = 0; c < CONTEXTS_MAX; c++)
			for (int h = 0; contexts[c].used && h < HOSTMEMS_MAX; h++)
				RULE(!contexts[c].hostmems[h].used ||
				     contexts[c].hostmems[h].address != wanted->guest_address);
		munmap(regions[i].memory, regions[i].bytes);
		regions[i].memory = NULL;
		return 0;
	}
	broken("no region at 0x%llx", (unsigned long long)wanted->guest_address);
	return 1;
}

static uint64_t vring_message(const struct message *message, int fd)
{
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct queue *queue;

	memcpy(&state, message->payload, sizeof(state));
	RULE((state.index & 0xff) < 3);
	queue = &queues[state.index & 0xff];
	switch (message->request) {
	case VHOST_SET_VRING_NUM:
		queue->size = state.value;
		break;
	case VHOST_SET_VRING_ADDR:
		memcpy(&addr, message->payload, sizeof(addr));
		RULE(addr.desc % 16 == 0 && addr.avail % 2 == 0 && addr.used % 4 == 0);
		queue->desc = (void *)user(addr.desc);
		queue->avail = (void *)user(addr.avail);
		queue->used = (void *)user(addr.used);
		break;
	case VHOST_SET_VRING_KICK:
		queue->kick = fd;
		break;
	case VHOST_SET_VRING_CALL:
		queue->call = fd;
		break;
	case VHOST_SET_VRING_ENABLE:
		queue->enabled = state.value;
		break;
	default:
		break;
	}
	return 0;
}

static void config_reply(int sock, struct message *message)
{
	struct vgpu_config config = {
		.magic = options.garbage ? 0x12345678 : VGPU_MAGIC,
		.version = options.version_two ? VGPU_VERSION + 0x10000 : VGPU_VERSION,
		.queue_count = 3, .contexts_max = CONTEXTS_MAX, .streams_max = STREAMS,
		.control_request_bytes_max = VGPU_CONTROL_REQUEST_BYTES_MAX,
		.submit_bytes_max = VGPU_SUBMIT_BYTES_MAX,
		.hostmem_entries_max = VGPU_HOSTMEM_ENTRIES_MAX,
		.capabilities = VGPU_CAP_WGSL | VGPU_CAP_TIMESTAMPS };
	uint8_t payload[12 + sizeof(config)];

	RULE(message->bytes == sizeof(payload));
	memcpy(payload, message->payload, 12);
	memcpy(payload + 12, &config, sizeof(config));
	reply(sock, message, payload, sizeof(payload));
}

static void serve_message(int sock, struct message *message, int fd)
{
	bool need_reply = message->flags & 8;
	uint64_t value = 0;

	switch (message->request) {
	case VHOST_GET_FEATURES:
		value = VHOST_F_VERSION_1 | VHOST_F_PROTOCOL_FEATURES | VHOST_F_INDIRECT_DESC |
			(options.no_event_idx ? 0 : VHOST_F_EVENT_IDX);
		reply(sock, message, &value, 8);
		return;
	case VHOST_GET_PROTOCOL_FEATURES:
		value = VHOST_P_MQ | VHOST_P_REPLY_ACK | VHOST_P_CONFIG |
			VHOST_P_CONFIGURE_MEM_SLOTS;
		reply(sock, message, &value, 8);
		return;
	case VHOST_GET_MAX_MEM_SLOTS:
		value = options.slots;
		reply(sock, message, &value, 8);
		return;
	case VHOST_GET_CONFIG:
		config_reply(sock, message);
		return;
	case VHOST_SET_FEATURES:
		memcpy(&value, message->payload, 8);
		event_idx = value & VHOST_F_EVENT_IDX;
		value = 0;
		break;
	case VHOST_ADD_MEM_REG:
		value = add_region((const void *)message->payload, fd);
		break;
	case VHOST_REM_MEM_REG:
		value = remove_region((const void *)message->payload);
		break;
	case VHOST_SET_PROTOCOL_FEATURES:
	case VHOST_SET_OWNER:
		break;
	default:
		value = vring_message(message, fd);
	}
	if (need_reply)
		reply(sock, message, &value, 8);
}

static void serve(int sock)
{
	for (;;) {
		struct pollfd fds[4] = { { .fd = sock, .events = POLLIN } };
		struct message message;
		int fd;

		for (int i = 0; i < 3; i++)
			fds[1 + i] = (struct pollfd){ .fd = queues[i].kick, .events = POLLIN };
		if (poll(fds, 4, -1) < 0)
			continue;
		for (int i = 0; i < 3; i++) {
			uint64_t count;

			if (fds[1 + i].revents & POLLIN &&
			    read(queues[i].kick, &count, sizeof(count)) == sizeof(count) &&
			    i == VGPU_QUEUE_SUBMIT)
				kicks++;
		}
		serve_queues();
		if (!fds[0].revents)
			continue;
		if (!receive_message(sock, &message, &fd))
			return;
		serve_message(sock, &message, fd);
	}
}

static void reset(void)
{
	for (int i = 0; i < 3; i++) {
		if (queues[i].kick >= 0)
			close(queues[i].kick);
		if (queues[i].call >= 0)
			close(queues[i].call);
		queues[i] = (struct queue){ .kick = -1, .call = -1 };
	}
	for (int i = 0; i < REGIONS_MAX; i++) {
		if (regions[i].memory)
			munmap(regions[i].memory, regions[i].bytes);
		regions[i].memory = NULL;
	}
	memset(contexts, 0, sizeof(contexts));
	session = 0;
	forgotten = 0;
	memory_used = 256;
}

static void parse(int count, char **arguments)
{
	for (int i = 2; i < count; i++) {
		const char *a = arguments[i];

		if (!strncmp(a, "--delay-us=", 11))
			options.delay_us = (uint32_t)atoi(a + 11);
		else if (!strncmp(a, "--soon-us=", 10))
			options.soon_us = (uint32_t)atoi(a + 10);
		else if (!strncmp(a, "--queue-max=", 12))
			options.queue_max = (uint32_t)atoi(a + 12);
		else if (!strncmp(a, "--slots=", 8))
			options.slots = (uint32_t)atoi(a + 8);
		else if (!strncmp(a, "--refuse-submit=", 16))
			options.refuse_submit = (uint32_t)atoi(a + 16);
		else if (!strncmp(a, "--forgets=", 10))
			options.forgets = (uint32_t)atoi(a + 10);
		else if (!strcmp(a, "--no-event-idx"))
			options.no_event_idx = true;
		else if (!strcmp(a, "--version-two"))
			options.version_two = true;
		else if (!strcmp(a, "--ptx-unasked"))
			options.ptx_unasked = true;
		else if (!strcmp(a, "--garbage"))
			options.garbage = true;
		else
			exit(2);
	}
}

int main(int count, char **arguments)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (count < 2 || strlen(arguments[1]) >= sizeof(address.sun_path))
		return 2;
	parse(count, arguments);
	if (getenv("MOCK_RECORD"))
		record = fopen(getenv("MOCK_RECORD"), "w");
	for (int i = 0; i < 3; i++)
		queues[i].kick = queues[i].call = -1;
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	memcpy(address.sun_path, arguments[1], strlen(arguments[1]) + 1);
	if (memory == MAP_FAILED || bind(listener, (void *)&address, sizeof(address)) ||
	    listen(listener, 4))
		return 2;
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int sock = accept(listener, NULL, NULL);

		if (sock < 0)
			continue;
		reset();
		serve(sock);
		close(sock);
	}
}
