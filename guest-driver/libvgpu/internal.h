/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of libvgpu share: the context and its tables, the streams'
 * command buffers, and the seam to the two transports.
 *
 * Locks, in the order in which they may be taken:
 *   context.table_lock   allocations, host memory, modules, functions, events
 *   staging.lock         the bounce buffer's ring
 *   stream.lock          the commands gathered for one stream
 *   context.submit_lock  fences and commands in flight
 *   host_pool.lock       pinned regions
 *   the transport's own
 * No lock but a stream's own is held while a thread waits for a fence, and
 * table_lock for reading.
 */
#ifndef LIBVGPU_INTERNAL_H
#define LIBVGPU_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../include/libvgpu.h"
#include "../include/uapi/virtio_vgpu.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "libvgpu writes the wire's little-endian structures in place"
#endif

/* Commands gathered before they are sent. */
#define BATCH_COMMANDS 64u
#define BATCH_BYTES 65536u
/* Copies to the device up to this go inside the command; less from memory that is pinned anyhow. */
#define INLINE_BYTES_MAX 4096u
#define INLINE_PINNED_BYTES_MAX 256u
/* Submits of one stream that can be in flight; a power of two. */
#define STREAM_SUBMITS_MAX 256u
/* Room that a transport keeps before a command buffer's first command. */
#define BUFFER_HEADROOM 64u
/* Longest error text, NUL included. */
#define TEXT_BYTES 512u
#define NO_TIMEOUT UINT64_MAX

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ALIGN_UP(n, a) (((n) + (a) - 1) & ~((__typeof__(n))(a) - 1))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* ---- Command buffers ------------------------------------------------------ */

struct command_buffer {
	/* Commands; BUFFER_HEADROOM bytes before it belong to the transport. */
	uint8_t *data;
	uint32_t capacity_bytes;
	uint32_t bytes;
	uint32_t count;
	/* The transport's. */
	struct command_buffer *next;
	uint64_t address;
	struct host_block *block;
};

struct stream_state {
	pthread_mutex_t lock;
	struct command_buffer *buffer;
	/* The next command begins a new submit: an event's fence ends here. */
	bool cut;
	_Atomic bool in_use;
	uint32_t index;
	/* Last fence handed out; read without the lock by waiters. */
	_Atomic uint64_t submitted;
	/* Under submit_lock: last fence whose commands are no longer counted. */
	uint64_t retired;
	uint16_t counts[STREAM_SUBMITS_MAX];
};

/* ---- Tables ---------------------------------------------------------------- */

enum object_kind {
	OBJECT_STREAM = 1,
	OBJECT_EVENT = 2,
	OBJECT_MODULE = 3,
	OBJECT_FUNCTION = 4,
};

struct table_entry {
	void *object;
	uint32_t generation;
	uint32_t next_free;
};

/* Handles of one kind: kind << 56 | generation << 32 | index. */
struct table {
	enum object_kind kind;
	struct table_entry *entries;
	uint32_t count;
	uint32_t capacity;
	uint32_t limit;
	uint32_t first_free;
	uint32_t used;
};

struct allocation {
	vgpu_devptr pointer;
	uint64_t bytes;
	/* NULL, or the module whose variable it is: not to be freed by the user. */
	const struct module *module;
};

/* Pinned memory that copies may name. */
struct pinned_range {
	uintptr_t base;
	size_t bytes;
	uint32_t hostmem;
	/* Of base in the registration. */
	uint64_t offset;
	/* vgpu_host_alloc()'s block; NULL: vgpu_host_register(). */
	struct host_block *block;
	/* vgpu_host_register() of memory that was pinned already. */
	bool borrowed;
};

struct module {
	uint32_t wire;
	uint64_t handle;
	/* VGPU_FORMAT_* */
	uint32_t format;
	char *log;
	struct function *functions;
};

struct function {
	uint32_t wire;
	uint64_t handle;
	char *name;
	struct module *module;
	struct function *next;
	/* VGPU_FORMAT_WGSL or VGPU_FORMAT_PTX */
	uint32_t format;
	/* PTX: bytes of the parameter buffer. */
	uint32_t parameter_bytes;
	struct vgpu_function_query_response info;
	struct vgpu_argument_info *arguments;
};

struct event {
	uint32_t wire;
	/* Last generation recorded, 0: never. */
	uint64_t generation;
	/* Where, and the fence that completes with it. */
	uint32_t stream;
	uint64_t fence;
	bool recorded;
	/* Its records ask the GPU for the time. */
	bool timed;
};

/* ---- Pinned host memory ---------------------------------------------------- */

/* A stretch of memory that the device can reach, registered as one. */
struct host_region {
	struct host_region *next;
	uint8_t *base;
	uint64_t bytes;
	uint32_t hostmem;
	struct host_block *blocks;
	/* The transport's. */
	uint64_t address;
	int fd;
};

/* A piece of a region, free or not; the list is in order of offset. */
struct host_block {
	struct host_block *previous, *next;
	struct host_region *region;
	uint64_t offset;
	uint64_t bytes;
	bool used;
};

struct host_pool {
	pthread_mutex_t lock;
	struct host_region *regions;
	uint64_t region_bytes;
};

/* ---- The bounce buffer ------------------------------------------------------ */

struct staging_piece {
	/* Where the ring goes on after it, counted without wrapping. */
	uint64_t end;
	/* Free once stream's fence is reached (0: not known yet), or once released. */
	uint32_t stream;
	uint64_t fence;
	bool released;
};

#define STAGING_PIECES 64u

/* Pieces are handed out and taken back in ring order. */
struct staging {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct host_block *block;
	uint64_t bytes;
	uint64_t head, tail;
	uint32_t piece_head, piece_tail;
	struct staging_piece pieces[STAGING_PIECES];
};

/* ---- Transports --------------------------------------------------------------- */

struct transport_ops {
	const char *name;
	/* Pinned memory is taken from regions of at least this. */
	uint64_t region_bytes;
	uint64_t staging_bytes;
	/*
	 * Waits that last longer on average are slept through. An interrupt costs
	 * a process on the host some microseconds, but a guest some hundred.
	 */
	uint64_t poll_average_max_ns;
	/* Whether pageable memory can be pinned for the time of a copy. */
	bool pins_user_memory;

	/* Fills context: timeline, epoch, id. Sets the error text. */
	enum vgpu_result (*open)(struct vgpu *context, const char *path);
	/* The device no longer touches the context's memory when it returns. */
	void (*detach)(struct vgpu *context);
	void (*close)(struct vgpu *context);
	/* One request and its response; the context id is filled in. */
	enum vgpu_result (*control)(struct vgpu *context, void *request, uint32_t request_bytes,
				    void *response, uint32_t response_bytes, uint32_t *written);
	/* A buffer for at least bytes of commands. */
	enum vgpu_result (*buffer_get)(struct vgpu *context, uint32_t bytes,
				       struct command_buffer **buffer);
	void (*buffer_put)(struct vgpu *context, struct command_buffer *buffer);
	/* Takes the buffer in every case. */
	enum vgpu_result (*submit)(struct vgpu *context, struct command_buffer *buffer,
				   uint32_t stream, uint64_t fence);
	/* Sleeps until the fence is reached, something failed, or for no reason. */
	enum vgpu_result (*sleep)(struct vgpu *context, uint32_t stream, uint64_t fence);
	/* Finds out whether the device is still there; sets context->lost. */
	void (*check)(struct vgpu *context);
	enum vgpu_result (*region_create)(struct vgpu *context, uint64_t bytes,
					  struct host_region *region);
	void (*region_destroy)(struct vgpu *context, struct host_region *region);
	enum vgpu_result (*pin)(struct vgpu *context, const void *memory, size_t bytes,
				uint32_t *hostmem);
	void (*unpin)(struct vgpu *context, uint32_t hostmem);
};

extern const struct transport_ops dev_transport;
extern const struct transport_ops user_transport;

/* ---- The context ---------------------------------------------------------------- */

struct vgpu {
	const struct transport_ops *ops;
	/* struct dev or struct user_context. */
	void *transport;
	char path[256];
	uint32_t id;
	uint32_t epoch;
	unsigned int fork_generation;
	/* struct vgpu_timeline_header, then slots: written by the device. */
	const volatile uint8_t *timeline;
	/* The connection or the device is gone. */
	_Atomic bool lost;

	/* In force: what INIT gave. The transport's to set. */
	uint64_t capabilities;
	struct vgpu_capabilities_response caps;
	uint32_t batch_commands;
	uint32_t submit_bytes_max;
	_Atomic int wait_mode;
	/* VGPU_MEMORY_* of its allocations. */
	_Atomic uint32_t memory_flags;
	_Atomic uint64_t wait_average_ns;

	/* The error that the context failed with. */
	pthread_mutex_t failure_lock;
	enum vgpu_result failure;
	char failure_text[TEXT_BYTES];

	pthread_rwlock_t table_lock;
	struct allocation *allocations;
	size_t allocation_count, allocation_capacity;
	struct pinned_range *pinned;
	size_t pinned_count, pinned_capacity;
	struct table modules, functions, events;
	/* Wire events that were used before, for their generations go on. */
	uint64_t *event_generations;

	pthread_mutex_t submit_lock;
	uint32_t commands_in_flight;
	uint32_t stream_count;
	struct stream_state streams[VGPU_STREAMS_MAX];
	/* For work that must not wait for the user's: loading modules. */
	struct stream_state *service;

	struct host_pool host;
	struct staging staging;
};

/* ---- errors.c ---------------------------------------------------------------------- */

/* Sets the calling thread's error text and returns result. */
enum vgpu_result fail(enum vgpu_result result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
const char *thread_text(void);
void thread_text_set(const char *text);
/* The context has failed or its device is gone: the result, with its text. */
enum vgpu_result context_failure(struct vgpu *context);
/* A response header as a result, with its text. */
enum vgpu_result fail_status(const struct vgpu_response_header *header, const char *what);
/* Marks the device lost; the first reason is kept. */
enum vgpu_result lose(struct vgpu *context, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

extern _Atomic unsigned int fork_generation_now;

static inline uint32_t timeline_status(const struct vgpu *context)
{
	return ((const volatile struct vgpu_timeline_header *)context->timeline)->context_status;
}

static inline uint32_t timeline_epoch(const struct vgpu *context)
{
	return ((const volatile struct vgpu_timeline_header *)context->timeline)->epoch;
}

static inline uint64_t timeline_fence(const struct vgpu *context, uint32_t stream)
{
	const volatile uint8_t *slot = context->timeline + VGPU_TIMELINE_HEADER_BYTES +
				       (size_t)stream * VGPU_TIMELINE_SLOT_BYTES;

	return __atomic_load_n((const volatile uint64_t *)slot, __ATOMIC_ACQUIRE);
}

/* Whether the context can't go on; cheap: three loads. */
static inline bool context_is_bad(struct vgpu *context)
{
	return timeline_status(context) != VGPU_STATUS_OK ||
	       timeline_epoch(context) != context->epoch ||
	       atomic_load_explicit(&context->lost, memory_order_relaxed);
}

/* Opens every public call that needs the device. */
static inline enum vgpu_result enter(struct vgpu *context)
{
	if (unlikely(!context))
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the context is NULL");
	if (unlikely(context->fork_generation !=
		     atomic_load_explicit(&fork_generation_now, memory_order_relaxed)))
		return fail(VGPU_ERROR_FORKED,
			    "%s was opened before fork(); open it again in the child",
			    context->path);
	if (unlikely(context_is_bad(context)))
		return context_failure(context);
	return VGPU_SUCCESS;
}

/* ---- control.c ------------------------------------------------------------------------ */

/* One control request; out gets exactly out_bytes. what names it in errors. */
enum vgpu_result control_call(struct vgpu *context, uint32_t type, const void *payload,
			      uint32_t payload_bytes, void *out, uint32_t out_bytes,
			      const char *what);
/* The same with a response of any length; response includes the header. */
enum vgpu_result control_exchange(struct vgpu *context, uint32_t type, const void *payload,
				  uint32_t payload_bytes, void *response, uint32_t response_bytes,
				  uint32_t *written, const char *what);

/* ---- stream.c --------------------------------------------------------------------------- */

enum vgpu_result streams_init(struct vgpu *context);
void streams_free(struct vgpu *context);
/* NULL with the error text set if there is no such stream. */
struct stream_state *stream_find(struct vgpu *context, vgpu_stream stream);
/* Room for one command of bytes (header included); with the stream locked. */
enum vgpu_result stream_reserve(struct vgpu *context, struct stream_state *stream,
				uint16_t opcode, uint32_t bytes, void **command);
/* After a command is written: sends the batch if it is time. */
enum vgpu_result stream_commit(struct vgpu *context, struct stream_state *stream);
enum vgpu_result stream_flush_locked(struct vgpu *context, struct stream_state *stream);
enum vgpu_result stream_flush(struct vgpu *context, struct stream_state *stream);
/* Fence that completes with the commands gathered so far; with the stream locked. */
static inline uint64_t stream_next_fence(const struct stream_state *stream)
{
	return atomic_load_explicit(&stream->submitted, memory_order_relaxed) +
	       (stream->buffer && stream->buffer->count ? 1 : 0);
}
enum vgpu_result stream_finish(struct vgpu *context, struct stream_state *stream);
enum vgpu_result streams_finish_all(struct vgpu *context);
static inline bool fence_reached(const struct vgpu *context, uint32_t stream, uint64_t fence)
{
	return timeline_fence(context, stream) >= fence;
}

/* ---- wait.c ------------------------------------------------------------------------------ */

enum vgpu_result wait_fence(struct vgpu *context, uint32_t stream, uint64_t fence);
/* Polls for so long. True once the fence is reached or the context can't go on. */
bool poll_fence(struct vgpu *context, uint32_t stream, uint64_t fence, uint64_t begin_ns,
		uint64_t budget_ns);
uint64_t now_ns(void);
/* Lets the other hyperthread, and now and then another thread, go first. */
void spin_pause(unsigned int turn);

/* ---- table.c ------------------------------------------------------------------------------- */

void table_init(struct table *table, enum object_kind kind, uint32_t limit);
void table_free(struct table *table);
enum vgpu_result table_add(struct table *table, void *object, uint64_t *handle, uint32_t *index);
void *table_find(const struct table *table, uint64_t handle);
void table_remove(struct table *table, uint64_t handle);
const char *table_kind_name(enum object_kind kind);

/* ---- memory.c, host.c, staging.c ------------------------------------------------------------ */

/* With table_lock held: whether [pointer, pointer + bytes) is allocated. */
/* A module's variable, which copies may name until allocations_drop(); table_lock held to write. */
enum vgpu_result allocation_lend(struct vgpu *context, vgpu_devptr pointer, uint64_t bytes,
				 const struct module *module);
void allocations_drop(struct vgpu *context, const struct module *module);
enum vgpu_result device_range_check(struct vgpu *context, vgpu_devptr pointer, uint64_t bytes,
				    const char *what);
/* Bytes from pointer to the end of its allocation, 0 if it is in none. */
uint64_t device_range_left(struct vgpu *context, vgpu_devptr pointer);
/* With table_lock held: the pinned range that holds all of the bytes, or NULL. */
struct pinned_range *pinned_find(struct vgpu *context, const void *memory, size_t bytes);

enum vgpu_result host_block_get(struct vgpu *context, uint64_t bytes, struct host_block **block);
void host_block_put(struct vgpu *context, struct host_block *block);
void host_pool_free(struct vgpu *context);
static inline uint8_t *host_block_memory(const struct host_block *block)
{
	return block->region->base + block->offset;
}

enum vgpu_result staging_init(struct vgpu *context);
void staging_free(struct vgpu *context);
enum vgpu_result staged_to_device(struct vgpu *context, struct stream_state *stream,
				  vgpu_devptr destination, const uint8_t *source, size_t bytes);
enum vgpu_result staged_from_device(struct vgpu *context, struct stream_state *stream,
				    uint8_t *destination, vgpu_devptr source, size_t bytes);
struct host_copy {
	uint16_t opcode;
	vgpu_devptr pointer;
	uint32_t hostmem;
	uint64_t offset;
	uint64_t bytes;
};
/*
 * Queues one copy between device memory and a registration; locks the stream.
 * fence: NULL, or out: completes with it.
 */
enum vgpu_result queue_copy_host(struct vgpu *context, struct stream_state *stream,
				 const struct host_copy *copy, uint64_t *fence);

/* ---- launch.c ------------------------------------------------------------------------------ */

/* Most invocations of a block of this function. */
uint32_t function_threads_max(const struct vgpu *context, const struct function *function);

/* ---- module.c, event.c --------------------------------------------------------------------- */

void modules_free(struct vgpu *context);
void events_free(struct vgpu *context);

#endif
