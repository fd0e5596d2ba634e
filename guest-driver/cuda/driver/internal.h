/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of libcuda share.
 *
 * A CUDA context is a context of libvgpu; streams, events, modules and memory
 * are libvgpu's, with what CUDA adds on top: the order that default streams
 * keep, functions of the program that streams call, capture and graphs, memory
 * that is freed in stream order, managed memory, output of kernels.
 *
 * All work goes through stream_submit() as a struct op, which is run at once,
 * recorded into a graph (capture), or put aside until a function of the program
 * has returned (defer.c). Graphs are lists of the same struct.
 *
 * Locks, in the order in which they may be taken:
 *   devices_lock      devices and their primary contexts
 *   context.lock      streams, order between them, modules, pools, capture
 *   context.regions_lock   the table of memory
 *   stream.defer_lock      work put aside
 * None is held while a thread waits for the device, but context.lock where the
 * order of streams needs it.
 */
#ifndef LIBCUDA_INTERNAL_H
#define LIBCUDA_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda.h"
#include "libvgpu.h"

#define EXPORT __attribute__((visibility("default")))
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ALIGN_UP(n, a) (((n) + (a) - 1) & ~((__typeof__(n))(a) - 1))
#define unlikely(x) __builtin_expect(!!(x), 0)

#define DEVICES_MAX 16
#define WARP 32u
/* Parameters of a kernel, bytes: CUDA's limit since 12.1; the device takes a little more. */
#define PARAMETER_BYTES_MAX 32764u
#define PAGE_BYTES 4096u

/* ---- objects.c: handles --------------------------------------------------------- */

/*
 * What a handle points to begins with this. The memory of an ended object is
 * only ever used for another of its kind, so a stale handle is seen as such, or
 * as a newer object, and never as something else.
 */
enum kind {
	KIND_NONE = 0,
	KIND_CONTEXT = 0x43545831,
	KIND_MODULE,
	KIND_FUNCTION,
	KIND_LIBRARY,
	KIND_KERNEL,
	KIND_STREAM,
	KIND_EVENT,
	KIND_POOL,
	KIND_GRAPH,
	KIND_NODE,
	KIND_EXEC,
	KIND_USER,
	KIND_ARRAY,
	KIND_LINK,
	KIND_MIPMAP,
	KIND_END,
};

struct object {
	_Atomic uint32_t kind;
	struct object *next_free;
};

void *object_new(enum kind kind, size_t bytes);
void object_end(void *object);
/* Whether a handle is a live object of that kind. */
static inline bool object_is(const void *handle, enum kind kind)
{
	return (uintptr_t)handle > PAGE_BYTES && !((uintptr_t)handle & 7) &&
	       atomic_load_explicit(&((struct object *)handle)->kind, memory_order_relaxed) ==
		       (uint32_t)kind;
}

/* libvgpu's result as CUDA's; errors are written to the log. */
CUresult result_of(enum vgpu_result result, vgpu_context *context);
/* Logs the text and returns the error. */
CUresult report(CUresult error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- init.c: devices --------------------------------------------------------------- */

struct device {
	int ordinal;
	char path[256];
	struct vgpu_device_info info;
	/* Opened by cuInit(), waits to become the primary context. */
	vgpu_context *spare;
	struct CUctx_st *primary;
	unsigned int primary_references;
	unsigned int primary_flags;
	CUuuid uuid;
	char bus_id[16];
};

extern pthread_mutex_t devices_lock;
/* NOT_INITIALIZED until cuInit() has succeeded (and in a fork()ed child). */
CUresult initialised(void);
/* NULL if there is no such device. */
struct device *device_of(CUdevice number);
int device_attribute(const struct device *device, CUdevice_attribute attribute, int *value);

/* ---- context.c --------------------------------------------------------------------------- */

struct CUctx_st {
	struct object object;
	struct device *device;
	vgpu_context *vgpu;
	bool primary;
	unsigned int flags;
	unsigned long long id;
	CUfunc_cache cache_config;
	CUsharedconfig shared_config;
	size_t limits[CU_LIMIT_MAX];

	pthread_mutex_t lock;
	/* All streams; the legacy default stream is one of them. */
	struct CUstream_st *streams;
	struct CUstream_st *legacy;
	unsigned int vgpu_streams;
	/* Work ever put on the legacy stream, and how much of it is known to be done. */
	uint64_t legacy_count, legacy_done;
	/* How many streams have work put aside. */
	_Atomic unsigned int deferred_streams;
	/* Captures that forbid calls (global and thread-local ones). */
	unsigned int captures;
	struct CUmod_st *modules;
	/* Whether a kernel that prints was launched since output was last fetched. */
	_Atomic bool printed;

	pthread_rwlock_t regions_lock;
	struct region **regions;
	size_t region_count, region_capacity;
	struct CUmemPoolHandle_st *default_pool, *pool, *pools;
	_Atomic unsigned int managed_count;
	/* Texture and surface objects. */
	struct texture *textures;
};

/* The calling thread's context; errors: NOT_INITIALIZED, INVALID_CONTEXT. */
CUresult current_context(struct CUctx_st **context);
/* Makes the context current for the time of a call; give the result to leave_context(). */
struct CUctx_st *enter_context(struct CUctx_st *context);
void leave_context(struct CUctx_st *before);
/* After a successful wait of any kind: output of kernels, memory to give back. */
CUresult synchronised(struct CUctx_st *context);
CUresult context_wait(struct CUctx_st *context);
/* A number that no other context, stream, graph or buffer has. */
unsigned long long next_id(void);

/* ---- regions.c: the table of memory -------------------------------------------------------- */

enum region_kind {
	REGION_DEVICE,
	REGION_POOL,
	REGION_MANAGED,
	REGION_GLOBAL,
	REGION_ARRAY,
	REGION_HOST,
	REGION_REGISTERED,
};

/* A stretch of device or pinned host memory. */
struct region {
	uint64_t base, bytes;
	enum region_kind kind;
	unsigned int flags;
	unsigned long long id;
	bool sync_memops;
	/* As libvgpu gave it, where that is not base. */
	vgpu_devptr allocation;
	struct CUmemPoolHandle_st *pool;
	struct managed *managed;
	struct CUmod_st *module;
};

static inline bool region_on_device(const struct region *region)
{
	return region->kind <= REGION_ARRAY;
}
CUresult region_add(struct CUctx_st *context, const struct region *region);
/* A copy of the region that holds the address; false if there is none. */
bool region_find(struct CUctx_st *context, uint64_t address, struct region *out);
bool region_remove(struct CUctx_st *context, uint64_t base);
/* Whether the address is one of device memory. */
bool address_on_device(struct CUctx_st *context, uint64_t address);
/* Device memory of at least bytes, tried again after pools gave theirs back. */
CUresult device_alloc(struct CUctx_st *context, uint64_t bytes, vgpu_devptr *pointer);

/* ---- Work ------------------------------------------------------------------------------------ */

enum op_kind { OP_EMPTY, OP_COPY, OP_SET, OP_LAUNCH, OP_HOST, OP_RECORD, OP_WAIT, OP_CHILD };

/* A box of bytes; pitches are bytes from row to row and from slice to slice. */
struct op_copy {
	uint64_t source, target;
	bool source_device, target_device;
	size_t source_pitch, source_slice, target_pitch, target_slice;
	size_t width, height, depth;
};

struct op_set {
	uint64_t target;
	size_t pitch;
	uint32_t value, element;
	/* Elements of a row; rows. */
	size_t width, height;
};

struct op_launch {
	struct CUfunc_st *function;
	struct vgpu_dim3 grid, block;
	uint32_t shared_bytes;
	uint32_t parameter_bytes;
	/* Packed; belongs to the op in graphs and in work put aside. */
	const void *parameters;
};

struct op_host {
	CUhostFn function;
	CUstreamCallback callback;
	CUstream callback_stream;
	void *data;
};

struct op {
	enum op_kind kind;
	union {
		struct op_copy copy;
		struct op_set set;
		struct op_launch launch;
		struct op_host host;
		struct CUevent_st *event;
		struct CUgraph_st *graph;
	};
};

/* Deep copies and their end. */
CUresult op_clone(struct op *to, const struct op *from);
void op_release(struct op *op);
/* Runs, records or puts aside; see the head of this file. */
CUresult stream_submit(struct CUstream_st *stream, const struct op *op);
/* Runs now, on libvgpu's stream, without keeping the order of default streams. */
CUresult op_run(struct CUstream_st *stream, const struct op *op);
CUresult copy_check(struct CUctx_st *context, const struct op_copy *copy);
CUresult copy_run(struct CUstream_st *stream, const struct op_copy *copy);
/* Whether the copy reads or writes host memory that is not pinned. */
bool copy_is_pageable(struct CUctx_st *context, const struct op_copy *copy);
CUresult set_run(struct CUstream_st *stream, const struct op_set *set);
CUresult set_check(struct CUctx_st *context, const struct op_set *set);
CUresult launch_run(struct CUstream_st *stream, const struct op_launch *launch);
/* Fills launch from its sizes and the parameters, which it packs into the room given. */
CUresult launch_prepare(CUfunction handle, struct op_launch *launch, void **parameters,
			void **extra, uint8_t *packed);
/* From a 3D description; checks it. */
CUresult copy_of_3d(struct CUctx_st *context, const CUDA_MEMCPY3D *from, struct op_copy *to);

/* ---- stream.c, order.c, defer.c ----------------------------------------------------------------- */

struct CUstream_st {
	struct object object;
	struct CUctx_st *context;
	struct CUstream_st *next;
	vgpu_stream vgpu;
	bool legacy, per_thread, blocking;
	/* Other streams use the same stream of libvgpu, for want of more. */
	bool shared;
	pthread_t owner;
	unsigned int flags;
	int priority;
	unsigned long long id;
	CUsynchronizationPolicy sync_policy;

	/* Work ever put on it, and how much of it the legacy stream has waited for. */
	uint64_t count, seen_by_legacy;
	/* How much of the legacy stream's work it has waited for. */
	uint64_t legacy_seen;
	/* Marks its end for the legacy stream, or the reverse. */
	vgpu_event order_event;

	struct capture *capture;
	struct CUgraphNode_st **capture_ends;
	size_t capture_end_count;

	pthread_mutex_t defer_lock;
	pthread_cond_t defer_changed;
	struct deferred *deferred_first, *deferred_last;
	_Atomic bool deferring;
	CUresult deferred_error;
};

/* NULL, CU_STREAM_LEGACY and CU_STREAM_PER_THREAD become what they stand for. */
CUresult stream_of(CUstream handle, struct CUstream_st **stream);
CUresult streams_init(struct CUctx_st *context);
void streams_free(struct CUctx_st *context);
/* Waits for the stream, what was put aside included. */
CUresult stream_wait(struct CUstream_st *stream);
/* order.c: what default streams wait for before an op of the stream. */
CUresult order_before(struct CUstream_st *stream);
void order_synchronised(struct CUstream_st *stream, uint64_t count, uint64_t legacy_count);
void order_all_synchronised(struct CUctx_st *context);
/* defer.c */
CUresult defer_push(struct CUstream_st *stream, const struct op *op);
/* Waits until nothing is put aside. */
CUresult defer_drain(struct CUstream_st *stream);
CUresult defer_drain_all(struct CUctx_st *context);

/* ---- event.c ---------------------------------------------------------------------------------------- */

struct CUevent_st {
	struct object object;
	struct CUctx_st *context;
	vgpu_event vgpu;
	unsigned int flags;
	bool recorded;
	/* Records that were put aside and not run yet. */
	_Atomic unsigned int pending;
	/* The capture that it was last recorded in, and what was before it there. */
	struct capture *capture;
	struct CUgraphNode_st **capture_ends;
	size_t capture_end_count;
};

CUresult event_record_run(struct CUstream_st *stream, struct CUevent_st *event);
CUresult event_wait_run(struct CUstream_st *stream, struct CUevent_st *event);
/* Waits until records that were put aside have run. */
void event_settle(struct CUevent_st *event);

/* ---- module.c, library.c, printf.c --------------------------------------------------------------------- */

struct image {
	const void *data;
	size_t bytes;
	uint32_t format;
	/* To be freed: a container without what the device has no use for. */
	void *owned;
};

struct CUmod_st {
	struct object object;
	struct CUctx_st *context;
	struct CUmod_st *next;
	vgpu_module vgpu;
	struct CUfunc_st *functions;
	struct CUlib_st *library;
	/* Names of the kernels where the PTX was at hand, else NULL. */
	char **names;
	size_t name_count;
	/* The buffer of output, 0 if the module does not print. */
	vgpu_devptr printf_buffer;
	/* Format strings that were fetched. */
	struct format *formats;
	/* Its variables in managed memory, if it has any. */
	struct managed *managed;
};

struct CUfunc_st {
	struct object object;
	struct CUmod_st *module;
	struct CUfunc_st *next;
	struct CUkern_st *kernel;
	char *name;
	vgpu_function vgpu;
	struct vgpu_function_info info;
	uint32_t *offsets, *sizes;
	int dynamic_shared_max;
	int carveout;
	CUfunc_cache cache_config;
};

/* Finds the PTX in an image; errors: INVALID_IMAGE, NO_BINARY_FOR_GPU. bytes 0: unknown. */
CUresult image_of(const void *data, size_t bytes, struct image *image);
void image_release(struct image *image);
CUresult file_read(const char *path, void **data, size_t *bytes);
struct jit {
	char *info, *error;
	size_t info_bytes, error_bytes;
	unsigned int *info_used, *error_used;
	float *wall_time;
};
CUresult module_load(struct CUctx_st *context, const struct image *image, struct jit *jit,
		     struct CUmod_st **module);
CUresult module_unload(struct CUmod_st *module);
CUresult module_function(struct CUmod_st *module, const char *name, struct CUfunc_st **function);
CUresult module_global(struct CUmod_st *module, const char *name, CUdeviceptr *pointer,
		       size_t *bytes);
/* A function handle, or a kernel's where a function is wanted. */
CUresult function_of(CUfunction handle, struct CUfunc_st **function);
/* The image's kernel names, if it has text; the array and the strings are malloc()ed. */
size_t image_names(const struct image *image, char ***names);
CUresult function_attribute(struct CUfunc_st *function, CUfunction_attribute attribute,
			    int *value);
void libraries_forget(struct CUctx_st *context);
/* printf.c: fetches and writes what kernels printed. */
CUresult printf_flush(struct CUctx_st *context);
void formats_free(struct CUmod_st *module);

/* ---- array.c, mipmap.c, texture.c ----------------------------------------------------------------------------------- */

/* Elements lie row by row in device memory, without gaps. */
struct CUarray_st {
	struct object object;
	struct CUctx_st *context;
	unsigned long long context_id;
	CUDA_ARRAY3D_DESCRIPTOR desc;
	vgpu_devptr base;
	/* Of an element, a row, a slice or layer; slices, or layers. */
	size_t element, row, slice, depth;
	/* Of which it is a level, or NULL. */
	CUmipmappedArray mipmap;
};

/* An array of the current context. */
CUresult array_of(CUarray handle, struct CUarray_st **array);
/* Bytes of a channel, 0 if the format is not supported. */
size_t format_bytes(CUarray_format format);
/* Of a mipmapped array: 2 to it exceeds every size. */
#define LEVELS_MAX 32
/* Of a mipmapped array of the current context: its levels' arrays. */
CUresult mipmap_levels(CUmipmappedArray handle, const CUarray **level, unsigned int *levels);
void textures_forget(struct CUctx_st *context);

/* ---- pool.c, managed.c ----------------------------------------------------------------------------------- */

CUresult pools_init(struct CUctx_st *context);
void pools_free(struct CUctx_st *context);
/* Gives back what pools keep beyond their thresholds; all of it if everything. */
CUresult pools_trim(struct CUctx_st *context, bool everything);
/* Whether the region belonged to a pool and was freed. */
CUresult pool_free(struct CUstream_st *stream, const struct region *region);

CUresult managed_alloc(struct CUctx_st *context, size_t bytes, unsigned int flags,
		       CUdeviceptr *pointer);
CUresult managed_free(struct CUctx_st *context, const struct region *region);
/* Maps a module's variables in managed memory; the pages are the module's. */
CUresult managed_adopt(struct CUmod_st *module, vgpu_devptr device, uint64_t bytes);
void managed_abandon(struct CUmod_st *module);
/* The program's address of a place in a module's variables; others stay. */
uint64_t managed_host_address(const struct CUmod_st *module, uint64_t device);
/* Before a kernel: what the host changed goes to the device. */
CUresult managed_to_device(struct CUstream_st *stream);
/* Before a copy or a set that touches the range. */
CUresult managed_range_to_device(struct CUstream_st *stream, uint64_t address, uint64_t bytes,
				 bool writes);
void managed_forget(struct CUctx_st *context);
/* Where on the device an address of managed memory is; others stay. */
uint64_t managed_device_address(uint64_t address);
void managed_translate(void *parameters, uint32_t bytes);

/* ---- capture.c, graph.c ------------------------------------------------------------------------------------- */

struct CUgraphNode_st {
	struct object object;
	struct CUgraph_st *graph;
	struct CUgraphNode_st *next;
	struct op op;
	struct CUgraphNode_st **dependencies;
	size_t dependency_count;
	/* The node that this one was copied from. */
	struct CUgraphNode_st *original;
	bool disabled;
	/* Of a kernel: where its parameters are, as cuLaunchKernel() wants them. */
	void **pointers;
	/* Used while sorting and searching. */
	size_t mark;
};

struct CUgraph_st {
	struct object object;
	struct CUgraphNode_st *nodes;
	size_t node_count;
	/* A child graph belongs to its node. */
	bool child;
	struct user_reference *users;
	/* In the order in which they may run; NULL when that has to be found anew. */
	struct CUgraphNode_st **sorted;
};

struct capture {
	unsigned long long id;
	CUstreamCaptureMode mode;
	pthread_t thread;
	struct CUctx_st *context;
	struct CUstream_st *origin;
	struct CUgraph_st *graph;
	bool invalid, ended, own_graph;
	/* Streams and events that name it. */
	unsigned int references;
};

/* Adds a node for the op, joins and forks; the stream may be about to join. */
CUresult capture_add(struct CUstream_st *stream, const struct op *op);
/* STREAM_CAPTURE_UNSUPPORTED if a capture forbids a call that waits or allocates. */
CUresult capture_forbids(struct CUctx_st *context);
/* The same for waiting for, or working on, one stream. */
CUresult capture_forbids_stream(struct CUstream_st *stream);
void capture_event_forget(struct CUevent_st *event);
CUresult graph_new(struct CUgraph_st **graph);
void graph_end(struct CUgraph_st *graph);
CUresult graph_clone(const struct CUgraph_st *graph, struct CUgraph_st **clone);
/* The op's parameters are copied; a child graph becomes the node's. */
CUresult graph_node_add(struct CUgraph_st *graph, const struct op *op,
			struct CUgraphNode_st *const *dependencies, size_t count,
			struct CUgraphNode_st **node);
/* Finds the order; INVALID_VALUE if there is a circle. */
CUresult graph_sort(struct CUgraph_st *graph);
CUresult graph_run(struct CUgraph_st *graph, struct CUstream_st *stream);
/* Marks all that the nodes depend on, and themselves, with 1, others with 0. */
void graph_mark_ancestors(struct CUgraph_st *graph, struct CUgraphNode_st *const *nodes,
			  size_t count);
/* A node's op from the interface's structures, and back. */
CUresult op_of_kernel_node(const CUDA_KERNEL_NODE_PARAMS *parameters, struct op *op,
			   uint8_t *packed);
CUresult node_set_op(struct CUgraphNode_st *node, const struct op *op);

#endif
