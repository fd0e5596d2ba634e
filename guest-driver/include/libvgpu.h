/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvgpu: the client library of para-vgpu's virtual GPU.
 *
 * One API over two ways to the device, chosen at vgpu_open():
 *   /dev/vgpuN   the guest driver of a virtual machine
 *   unix:PATH    a vgpu-instance on this host: the library itself is the
 *                vhost-user front end, over shared memory of its own
 *
 * Model. An open device is a *context*: its memory, modules, streams and
 * events, and its errors, are its own. Work is put on *streams*. The work of
 * one stream runs in order; different streams run independently, and only
 * events order them. Calls named *_async, vgpu_launch() and
 * vgpu_event_record() queue work and return; it may be held back in a batch
 * until the stream is synchronised, queried, waited for by another stream, or
 * enough has gathered. Calls without a stream argument that touch device
 * memory work on the default stream (VGPU_STREAM_DEFAULT) and wait for it.
 *
 * Errors. Every call returns an enum vgpu_result. Mistakes that the library
 * sees itself (a range outside its allocation, a wrong number of arguments, an
 * unknown handle, an oversized launch) are returned at once, nothing is
 * queued, and the context goes on. An error found while work is executed makes
 * the *context* fail: from then on every call that needs the device returns
 * that error, as in CUDA; only vgpu_close() and the calls that free host
 * memory still do their work. vgpu_last_error_text() names the value, the
 * limit and the object.
 *
 * Threads. Every function may be called from any thread at any time, except
 * that vgpu_close() must be the last call on its context. Work that several
 * threads put on one stream is ordered as their calls returned.
 *
 * fork(). A context belongs to the process that opened it: in a child every
 * call returns VGPU_ERROR_FORKED. The child may open contexts of its own.
 *
 * Units. Sizes and offsets are bytes, times nanoseconds unless a name says
 * otherwise; grids are counted in workgroups, blocks in invocations.
 *
 * Environment: VGPU_DEVICE (which device vgpu_open(NULL, ...) takes),
 * VGPU_WAIT=poll|interrupt|auto (how waiting is done, see enum
 * vgpu_wait_mode), VGPU_TIMEOUT (over unix:, seconds that the device may take
 * to answer while it is opened; default 10: it serves one program at a time,
 * so this is also how long to queue for it).
 */
#ifndef LIBVGPU_H
#define LIBVGPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VGPU_API __attribute__((visibility("default")))
#else
#define VGPU_API
#endif

/** Version of this interface: major << 16 | minor. */
#define LIBVGPU_VERSION 0x00000001

/**
 * enum vgpu_result - what became of a call
 *
 * Values below 1000 are the device's status codes (spec: enum status); those
 * from 1000 on are the library's own.
 */
enum vgpu_result {
	VGPU_SUCCESS = 0,
	VGPU_ERROR_MALFORMED = 1,
	VGPU_ERROR_UNKNOWN_COMMAND = 2,
	VGPU_ERROR_RESERVED_NONZERO = 3,
	VGPU_ERROR_RESPONSE_TOO_SMALL = 4,
	VGPU_ERROR_REQUEST_TOO_LARGE = 5,
	VGPU_ERROR_NOT_INITIALISED = 6,
	/** Neither the device nor this transport can do that. */
	VGPU_ERROR_NOT_SUPPORTED = 7,
	VGPU_ERROR_CONTEXT_UNKNOWN = 16,
	VGPU_ERROR_CONTEXT_EXISTS = 17,
	/** The device has no room for another context. */
	VGPU_ERROR_CONTEXT_LIMIT = 18,
	VGPU_ERROR_CONTEXT_FAILED = 19,
	/** The handle was never given out, is of another kind, or was destroyed. */
	VGPU_ERROR_HANDLE_UNKNOWN = 20,
	VGPU_ERROR_HANDLE_EXISTS = 21,
	/** Too many objects of this kind. */
	VGPU_ERROR_HANDLE_LIMIT = 22,
	VGPU_ERROR_STREAM_UNKNOWN = 23,
	VGPU_ERROR_FENCE_ORDER = 24,
	VGPU_ERROR_QUEUE_FULL = 25,
	VGPU_ERROR_GUEST_ADDRESS = 32,
	/** The range reaches outside the allocation that it begins in. */
	VGPU_ERROR_OUT_OF_RANGE = 33,
	/** The device pointer lies in no allocation. */
	VGPU_ERROR_POINTER_INVALID = 34,
	VGPU_ERROR_MISALIGNED = 35,
	/** The vGPU's memory limit is reached. */
	VGPU_ERROR_OUT_OF_MEMORY = 36,
	/** The allocation is larger than vgpu_device_info.allocation_bytes_max. */
	VGPU_ERROR_ALLOCATION_TOO_LARGE = 37,
	VGPU_ERROR_QUOTA = 38,
	VGPU_ERROR_SIZE_ZERO = 39,
	/** The module does not compile; vgpu_module_load() gives the log. */
	VGPU_ERROR_MODULE_INVALID = 48,
	VGPU_ERROR_FORMAT_UNKNOWN = 49,
	/** The module has no entry point of that name. */
	VGPU_ERROR_FUNCTION_NOT_FOUND = 50,
	VGPU_ERROR_ARGUMENT_COUNT = 51,
	/** A launch argument is of the wrong kind or size. */
	VGPU_ERROR_ARGUMENT_KIND = 52,
	VGPU_ERROR_ARGUMENT_ALIAS = 53,
	/** A grid dimension is zero or above the limit. */
	VGPU_ERROR_LAUNCH_SIZE = 54,
	/** The block is not the function's, or above the limit. */
	VGPU_ERROR_LAUNCH_BLOCK = 55,
	VGPU_ERROR_LAUNCH_FAILED = 56,
	/** A kernel of a checked module accessed an address outside of its memory; sticks. */
	VGPU_ERROR_ILLEGAL_ADDRESS = 57,
	/** A kernel executed a trap; sticks. */
	VGPU_ERROR_TRAP = 58,
	/** An assertion failed in a kernel; sticks. */
	VGPU_ERROR_ASSERT = 59,
	/** A kernel of a checked module accessed a misaligned address; sticks. */
	VGPU_ERROR_MISALIGNED_ADDRESS = 60,
	/** The module has no variable of that name. */
	VGPU_ERROR_SYMBOL_NOT_FOUND = 61,
	/** The device's watchdog stopped a command. */
	VGPU_ERROR_TIMEOUT = 64,
	/** The device lost its state, or its process is gone. */
	VGPU_ERROR_DEVICE_LOST = 65,
	VGPU_ERROR_INTERNAL = 66,

	/** A null pointer or a value that has no meaning. */
	VGPU_ERROR_INVALID_ARGUMENT = 1000,
	/** There is no device: the text says what to set. */
	VGPU_ERROR_NO_DEVICE = 1001,
	/** The device is there but can't be used: the text says why. */
	VGPU_ERROR_OPEN_FAILED = 1002,
	/** Queries only: the work has not finished. No error text. */
	VGPU_ERROR_NOT_READY = 1003,
	/** The context was opened by the parent of this process. */
	VGPU_ERROR_FORKED = 1004,
	/** Host memory can't be had or pinned. */
	VGPU_ERROR_HOST_MEMORY = 1005,
	/** A system call failed: the text says which and why. */
	VGPU_ERROR_SYSTEM = 1006,
};

/** A context: one open device. */
typedef struct vgpu vgpu_context;
/** An address in device memory. May be added to, stored and passed on; 0 is never valid. */
typedef uint64_t vgpu_devptr;
/** Handles. 0 is no object, except that stream 0 is the default stream. */
typedef uint64_t vgpu_stream;
typedef uint64_t vgpu_event;
typedef uint64_t vgpu_module;
typedef uint64_t vgpu_function;

/** The stream that exists in every context. */
#define VGPU_STREAM_DEFAULT ((vgpu_stream)0)
/** Module format: WGSL source, UTF-8. */
#define VGPU_FORMAT_WGSL 1u
/** Module format: PTX source, UTF-8; NUL bytes at its end are ignored. */
#define VGPU_FORMAT_PTX 2u
/** Module format: a fat binary container (magic 0xba55ed50) with PTX in it. */
#define VGPU_FORMAT_FATBIN 3u

/**
 * Flag of vgpu_module_load_flags(): the module's kernels detect accesses to
 * addresses outside of the context's memory, at some cost, and make the context
 * fail with ILLEGAL_ADDRESS or MISALIGNED_ADDRESS. PTX and FATBIN only.
 */
#define VGPU_MODULE_LOAD_CHECKED 1u

/**
 * enum vgpu_wait_mode - how a thread waits for the device
 * @VGPU_WAIT_AUTO: poll for a while that adapts to how long waits last, then sleep
 * @VGPU_WAIT_POLL: poll until done: least latency, a busy core
 * @VGPU_WAIT_INTERRUPT: sleep at once until the device notifies; it may do so shortly before,
 *	and the rest is polled then, for 0.1 ms at most
 */
enum vgpu_wait_mode {
	VGPU_WAIT_AUTO = 0,
	VGPU_WAIT_POLL = 1,
	VGPU_WAIT_INTERRUPT = 2,
};

/** Number of workgroups, or of invocations of one, in each dimension. */
struct vgpu_dim3 {
	uint32_t x, y, z;
};

/** What vgpu_device_info() tells. Limits are those of this vGPU. */
struct vgpu_device_info {
	/** The GPU's name, NUL-terminated UTF-8. */
	char adapter[129];
	/** How the device is reached: "/dev/vgpu0", "unix:/run/…"; cut if longer. */
	char path[256];
	/** "dev" or "unix". */
	char transport[8];
	/** Device memory of this vGPU, bytes. */
	uint64_t memory_bytes;
	/** Largest single allocation, bytes. */
	uint64_t allocation_bytes_max;
	/** Most pinned host memory, bytes. */
	uint64_t pinned_bytes_max;
	/** Capability bits: VGPU_DEVICE_* below. */
	uint64_t capabilities;
	uint32_t contexts_max;
	/** Streams that can exist at a time, the default stream included. */
	uint32_t streams_max;
	uint32_t modules_max;
	uint32_t functions_max;
	uint32_t events_max;
	/** Most commands in flight; more make the caller wait, never fail. */
	uint32_t queued_commands_max;
	/** Largest grid dimension, workgroups. */
	uint32_t grid_max;
	/** Largest block, invocations per dimension. */
	struct vgpu_dim3 block_max;
	/** Most invocations of a block. */
	uint32_t block_threads_max;
	/** Workgroup memory of a block, bytes. */
	uint32_t shared_bytes_max;
	/** Invocations per subgroup, 0 if unknown. */
	uint32_t subgroup_size;
	/** PCI vendor of the GPU, 0 if unknown. */
	uint32_t vendor_id;
};

/** Modules in WGSL. */
#define VGPU_DEVICE_WGSL (1ULL << 0)
/** The GPU has 16-bit floats in shaders. */
#define VGPU_DEVICE_F16 (1ULL << 1)
/** The GPU has subgroup operations. */
#define VGPU_DEVICE_SUBGROUPS (1ULL << 2)
/** GPU time is measured by the GPU. */
#define VGPU_DEVICE_TIMESTAMPS (1ULL << 3)
/** Modules in PTX and fat binaries; vgpu_module_symbol(), vgpu_launch_raw(). */
#define VGPU_DEVICE_PTX (1ULL << 4)

/** What vgpu_mem_info() tells, bytes. */
struct vgpu_mem_info {
	/** Limit of this vGPU. */
	uint64_t total_bytes;
	/** Not allocated by any of its contexts. */
	uint64_t free_bytes;
	/** Allocated by this context. */
	uint64_t context_bytes;
	/** Allocations of this context. */
	uint64_t allocation_count;
};

/** What vgpu_statistics() tells: this context since it was opened. */
struct vgpu_stats {
	/** GPU time used, ns. */
	uint64_t gpu_time_ns;
	uint64_t launches;
	/** Copies and fills. */
	uint64_t copies;
	uint64_t bytes_to_device;
	uint64_t bytes_from_device;
	/** Requests and commands that failed. */
	uint64_t commands_rejected;
	/** Time that work was ready and waited for the GPU, ns. */
	uint64_t wait_ns;
};

/** enum vgpu_arg_kind - what a launch argument is */
enum vgpu_arg_kind {
	/** A device pointer: binds to a storage buffer variable. */
	VGPU_ARG_POINTER = 0,
	/** Bytes: bind to a uniform variable of exactly that size. */
	VGPU_ARG_VALUE = 1,
};

/** One launch argument. Order: that of the function's (group, binding). */
struct vgpu_arg {
	/** enum vgpu_arg_kind */
	uint32_t kind;
	/** VALUE: bytes at @value. POINTER: ignored. */
	uint32_t bytes;
	union {
		/** POINTER */
		vgpu_devptr pointer;
		/** VALUE; read before vgpu_launch() returns. */
		const void *value;
	};
};

/** Launch argument: the device pointer @p. */
static inline struct vgpu_arg vgpu_arg_pointer(vgpu_devptr p)
{
	struct vgpu_arg arg;

	arg.kind = VGPU_ARG_POINTER;
	arg.bytes = 8;
	arg.pointer = p;
	return arg;
}

/** Launch argument: the @bytes bytes at @value. */
static inline struct vgpu_arg vgpu_arg_value(const void *value, uint32_t bytes)
{
	struct vgpu_arg arg;

	arg.kind = VGPU_ARG_VALUE;
	arg.bytes = bytes;
	arg.value = value;
	return arg;
}

/** One parameter of a function, as vgpu_function_parameter() tells. */
struct vgpu_parameter {
	/** enum vgpu_arg_kind that it takes by nature (a VALUE takes a POINTER too). */
	uint32_t kind;
	/** POINTER: 1 if the function writes there. */
	uint32_t writes;
	/** POINTER: least bytes behind it. VALUE: exact bytes. */
	uint32_t bytes_min;
	/** POINTER: required alignment, bytes. PTX: that in the parameter buffer. */
	uint32_t align;
	/** Its name in the source, cut, NUL-terminated. */
	char name[49];
	/** PTX: where it lies in the parameter buffer of vgpu_launch_raw(). WGSL: 0. */
	uint32_t offset;
};

/** What vgpu_function_info() tells. */
struct vgpu_function_info {
	uint32_t parameter_count;
	/** Declared block; a 0 is given by the launch. */
	struct vgpu_dim3 block;
	/** Static workgroup memory, bytes, 0 if unknown. */
	uint32_t shared_bytes;
	/** VGPU_FORMAT_WGSL or VGPU_FORMAT_PTX (for modules of either PTX format). */
	uint32_t format;
	/** Most invocations of a block: the smaller of the device's limit and the function's. */
	uint32_t block_threads_max;
	/** PTX: bytes of the parameter buffer. WGSL: 0. */
	uint32_t parameter_bytes;
};

/* ---- Context ------------------------------------------------------------ */

/**
 * vgpu_open() - open a device: a new context
 * @device: "/dev/vgpuN", "unix:PATH", or NULL: $VGPU_DEVICE, else the first
 *	/dev/vgpu*
 * @context: out: the context, NULL on error
 *
 * Contexts that one process opens on one unix: path share a connection.
 * Errors: NO_DEVICE, OPEN_FAILED, CONTEXT_LIMIT, DEVICE_LOST;
 * vgpu_last_error_text(NULL) says more.
 */
VGPU_API enum vgpu_result vgpu_open(const char *device, vgpu_context **context);

/**
 * vgpu_close() - end a context, and free all that belongs to it
 * @context: may be NULL
 *
 * Queued work is finished first if the context has not failed. Memory of
 * vgpu_host_alloc() goes too.
 */
VGPU_API void vgpu_close(vgpu_context *context);

/** vgpu_device_info() - limits and the name of the GPU. */
VGPU_API enum vgpu_result vgpu_device_info(vgpu_context *context, struct vgpu_device_info *info);

/** vgpu_statistics() - what the context has used, as the device counts it. */
VGPU_API enum vgpu_result vgpu_statistics(vgpu_context *context, struct vgpu_stats *stats);

/**
 * vgpu_wait_mode() - choose how this context waits (enum vgpu_wait_mode).
 * The default is $VGPU_WAIT, else AUTO.
 */
VGPU_API enum vgpu_result vgpu_set_wait_mode(vgpu_context *context, enum vgpu_wait_mode mode);

/** vgpu_error_string() - a short text for a result. Never NULL; static. */
VGPU_API const char *vgpu_error_string(enum vgpu_result result);

/** vgpu_error_name() - its name without prefix, as "OUT_OF_RANGE". Never NULL; static. */
VGPU_API const char *vgpu_error_name(enum vgpu_result result);

/**
 * vgpu_last_error_text() - the last error in full, with value and limit
 * @context: NULL or the context concerned
 *
 * The text of the calling thread's last failed call; if that was on another
 * context and this one has failed, the error that @context failed with.
 * "" if there is none. Valid until the thread's next call.
 */
VGPU_API const char *vgpu_last_error_text(vgpu_context *context);

/* ---- Memory ------------------------------------------------------------- */

/**
 * vgpu_mem_alloc() - allocate device memory; it reads as zero
 * @bytes: nonzero
 * @pointer: out: 256-byte aligned
 *
 * Errors: SIZE_ZERO, ALLOCATION_TOO_LARGE, OUT_OF_MEMORY, QUOTA.
 */
VGPU_API enum vgpu_result vgpu_mem_alloc(vgpu_context *context, uint64_t bytes,
					 vgpu_devptr *pointer);

/**
 * vgpu_set_dense() - say that the context is going to run kernels in PTX
 *
 * From now on its device memory is kept in as few pieces as possible, which such
 * kernels are fastest with, and nothing lies at offset 0 of a piece, which is
 * where their null pointers lead. Loading a module in PTX does the same, but is
 * too late for what was allocated before. Nothing happens if the device takes
 * no modules in PTX.
 */
VGPU_API enum vgpu_result vgpu_set_dense(vgpu_context *context);

/**
 * vgpu_mem_free() - free device memory
 * @pointer: as vgpu_mem_alloc() gave it, or 0 (nothing happens)
 *
 * Waits for all queued work of the context first. Errors: POINTER_INVALID.
 */
VGPU_API enum vgpu_result vgpu_mem_free(vgpu_context *context, vgpu_devptr pointer);

/** vgpu_mem_info() - how much device memory there is. */
VGPU_API enum vgpu_result vgpu_mem_info(vgpu_context *context, struct vgpu_mem_info *info);

/**
 * vgpu_host_alloc() - allocate pinned host memory, which the device copies
 * from and to without a copy in between
 * @bytes: nonzero
 * @memory: out: page-aligned; its contents are undefined
 *
 * Errors: SIZE_ZERO, HOST_MEMORY, QUOTA.
 */
VGPU_API enum vgpu_result vgpu_host_alloc(vgpu_context *context, size_t bytes, void **memory);

/**
 * vgpu_host_free() - free pinned host memory
 * @memory: as vgpu_host_alloc() gave it, or NULL
 *
 * Waits for all queued work of the context first. Errors: INVALID_ARGUMENT.
 */
VGPU_API enum vgpu_result vgpu_host_free(vgpu_context *context, void *memory);

/**
 * vgpu_host_register() - pin memory that exists
 * @memory: any alignment; writable; must stay mapped until unregistered
 * @bytes: nonzero
 *
 * Errors: HOST_MEMORY; NOT_SUPPORTED over unix:, where the device sees only
 * memory of vgpu_host_alloc() (registering such memory succeeds).
 */
VGPU_API enum vgpu_result vgpu_host_register(vgpu_context *context, void *memory, size_t bytes);

/**
 * vgpu_host_unregister() - end vgpu_host_register()
 * @memory: the same address. Waits for all queued work of the context first.
 */
VGPU_API enum vgpu_result vgpu_host_unregister(vgpu_context *context, void *memory);

/**
 * vgpu_memcpy_h2d() - copy host memory to device memory; any alignment, size
 *
 * Waits for the default stream: on return the bytes are in place.
 * Errors: POINTER_INVALID, OUT_OF_RANGE.
 */
VGPU_API enum vgpu_result vgpu_memcpy_h2d(vgpu_context *context, vgpu_devptr destination,
					  const void *source, size_t bytes);

/** vgpu_memcpy_d2h() - copy device memory to host memory; see vgpu_memcpy_h2d(). */
VGPU_API enum vgpu_result vgpu_memcpy_d2h(vgpu_context *context, void *destination,
					  vgpu_devptr source, size_t bytes);

/** vgpu_memcpy_d2d() - copy within device memory, as memmove; see vgpu_memcpy_h2d(). */
VGPU_API enum vgpu_result vgpu_memcpy_d2d(vgpu_context *context, vgpu_devptr destination,
					  vgpu_devptr source, uint64_t bytes);

/**
 * vgpu_memcpy_h2d_async() - the same, queued on a stream
 *
 * If all of the source is pinned (vgpu_host_alloc(), vgpu_host_register()), it
 * must not be changed until the stream is past this copy. Other memory is
 * copied before the call returns and may be reused at once.
 */
VGPU_API enum vgpu_result vgpu_memcpy_h2d_async(vgpu_context *context, vgpu_devptr destination,
						const void *source, size_t bytes,
						vgpu_stream stream);

/**
 * vgpu_memcpy_d2h_async() - the same, queued on a stream
 *
 * If the destination is not pinned as a whole, the call waits for the copy.
 */
VGPU_API enum vgpu_result vgpu_memcpy_d2h_async(vgpu_context *context, void *destination,
						vgpu_devptr source, size_t bytes,
						vgpu_stream stream);

/** vgpu_memcpy_d2d_async() - the same, queued on a stream. */
VGPU_API enum vgpu_result vgpu_memcpy_d2d_async(vgpu_context *context, vgpu_devptr destination,
						vgpu_devptr source, uint64_t bytes,
						vgpu_stream stream);

/**
 * vgpu_memset_d8() - fill device memory with a value
 * @pointer: aligned to the value's size
 * @count: values, not bytes
 *
 * Waits for the default stream. Errors: MISALIGNED, POINTER_INVALID, OUT_OF_RANGE.
 */
VGPU_API enum vgpu_result vgpu_memset_d8(vgpu_context *context, vgpu_devptr pointer,
					 uint8_t value, uint64_t count);
/** vgpu_memset_d16() - see vgpu_memset_d8(). */
VGPU_API enum vgpu_result vgpu_memset_d16(vgpu_context *context, vgpu_devptr pointer,
					  uint16_t value, uint64_t count);
/** vgpu_memset_d32() - see vgpu_memset_d8(). */
VGPU_API enum vgpu_result vgpu_memset_d32(vgpu_context *context, vgpu_devptr pointer,
					  uint32_t value, uint64_t count);
/** vgpu_memset_d8_async() - the same, queued on a stream. */
VGPU_API enum vgpu_result vgpu_memset_d8_async(vgpu_context *context, vgpu_devptr pointer,
					       uint8_t value, uint64_t count, vgpu_stream stream);
/** vgpu_memset_d16_async() - the same, queued on a stream. */
VGPU_API enum vgpu_result vgpu_memset_d16_async(vgpu_context *context, vgpu_devptr pointer,
						uint16_t value, uint64_t count,
						vgpu_stream stream);
/** vgpu_memset_d32_async() - the same, queued on a stream. */
VGPU_API enum vgpu_result vgpu_memset_d32_async(vgpu_context *context, vgpu_devptr pointer,
						uint32_t value, uint64_t count,
						vgpu_stream stream);

/* ---- Modules and launches ------------------------------------------------ */

/**
 * vgpu_module_load() - compile a module; waits for the result
 * @code: @bytes bytes in @format (VGPU_FORMAT_*); need not be NUL-terminated
 * @module: out: 0 on error
 * @log: NULL, or out: the compiler's messages, NUL-terminated, cut to
 *	@log_bytes; "" if there are none. vgpu_last_error_text() has their
 *	beginning too.
 *
 * With VGPU_CHECKED=1 in the environment, modules in PTX and fat binaries are
 * loaded with VGPU_MODULE_LOAD_CHECKED.
 *
 * Errors: MODULE_INVALID, FORMAT_UNKNOWN, REQUEST_TOO_LARGE, HANDLE_LIMIT,
 * OUT_OF_MEMORY (for a module's variables). None of them makes the context fail.
 */
VGPU_API enum vgpu_result vgpu_module_load(vgpu_context *context, const void *code, size_t bytes,
					   uint32_t format, vgpu_module *module, char *log,
					   size_t log_bytes);

/**
 * vgpu_module_load_flags() - the same, and the environment decides nothing
 * @flags: VGPU_MODULE_LOAD_*
 */
VGPU_API enum vgpu_result vgpu_module_load_flags(vgpu_context *context, const void *code,
						 size_t bytes, uint32_t format, uint32_t flags,
						 vgpu_module *module, char *log,
						 size_t log_bytes);

/**
 * vgpu_module_symbol() - find a variable of a module (PTX: .global, .const)
 * @name: NUL-terminated, as in the PTX
 * @pointer: out: where it lies in device memory until the module is unloaded.
 *	Copies and fills take it; vgpu_mem_free() does not.
 * @bytes: NULL, or out: its size
 *
 * Asking again for the same name gives the same pointer.
 * Errors: SYMBOL_NOT_FOUND, HANDLE_UNKNOWN.
 */
VGPU_API enum vgpu_result vgpu_module_symbol(vgpu_context *context, vgpu_module module,
					     const char *name, vgpu_devptr *pointer,
					     uint64_t *bytes);

/**
 * vgpu_module_log() - the compiler's messages of a loaded module (warnings)
 * @log: out: NUL-terminated, cut to @log_bytes
 */
VGPU_API enum vgpu_result vgpu_module_log(vgpu_context *context, vgpu_module module, char *log,
					  size_t log_bytes);

/**
 * vgpu_module_unload() - unload a module; its functions go with it
 *
 * Waits for all queued work of the context first. Errors: HANDLE_UNKNOWN.
 */
VGPU_API enum vgpu_result vgpu_module_unload(vgpu_context *context, vgpu_module module);

/**
 * vgpu_function_get() - find an entry point of a module; waits for the result
 * @name: NUL-terminated
 * @function: out: valid until the module is unloaded; 0 on error. Asking again for
 *	the same name gives the same handle.
 *
 * Errors: FUNCTION_NOT_FOUND, HANDLE_UNKNOWN, HANDLE_LIMIT.
 */
VGPU_API enum vgpu_result vgpu_function_get(vgpu_context *context, vgpu_module module,
					    const char *name, vgpu_function *function);

/** vgpu_function_info() - what a function declares. */
VGPU_API enum vgpu_result vgpu_function_info(vgpu_context *context, vgpu_function function,
					     struct vgpu_function_info *info);

/** vgpu_function_parameter() - parameter @index, below info.parameter_count. */
VGPU_API enum vgpu_result vgpu_function_parameter(vgpu_context *context, vgpu_function function,
						  uint32_t index, struct vgpu_parameter *parameter);

/**
 * vgpu_launch() - queue a launch
 * @grid: workgroups, each 1 to grid_max
 * @block: the declared block, or {0,0,0} to take it
 * @args: @arg_count arguments in order of (group, binding); copied
 *
 * Errors: LAUNCH_SIZE, LAUNCH_BLOCK, ARGUMENT_COUNT, ARGUMENT_KIND,
 * POINTER_INVALID, OUT_OF_RANGE, MISALIGNED, HANDLE_UNKNOWN.
 */
VGPU_API enum vgpu_result vgpu_launch(vgpu_context *context, vgpu_function function,
				      struct vgpu_dim3 grid, struct vgpu_dim3 block,
				      const struct vgpu_arg *args, uint32_t arg_count,
				      vgpu_stream stream);

/**
 * vgpu_launch_raw() - queue a launch of a PTX function
 * @block: invocations, each at least 1; {0,0,0} if the function declares its block
 * @shared_bytes: dynamic workgroup memory
 * @parameters: the parameter buffer: each parameter at its vgpu_parameter.offset; copied
 * @bytes: vgpu_function_info.parameter_bytes
 *
 * vgpu_launch() takes PTX functions too (with no dynamic workgroup memory) and
 * puts the arguments in their places. What pointers in the buffer point to is
 * not checked: see VGPU_MODULE_LOAD_CHECKED.
 *
 * Errors: LAUNCH_SIZE, LAUNCH_BLOCK, ARGUMENT_COUNT (another size of the buffer),
 * HANDLE_UNKNOWN, NOT_SUPPORTED (a function in WGSL).
 */
VGPU_API enum vgpu_result vgpu_launch_raw(vgpu_context *context, vgpu_function function,
					  struct vgpu_dim3 grid, struct vgpu_dim3 block,
					  uint32_t shared_bytes, const void *parameters,
					  uint32_t bytes, vgpu_stream stream);

/* ---- Streams and events --------------------------------------------------- */

/** vgpu_stream_create() - a new stream. Errors: HANDLE_LIMIT. */
VGPU_API enum vgpu_result vgpu_stream_create(vgpu_context *context, vgpu_stream *stream);

/** vgpu_stream_destroy() - wait for the stream, then end it. */
VGPU_API enum vgpu_result vgpu_stream_destroy(vgpu_context *context, vgpu_stream stream);

/** vgpu_stream_synchronize() - wait until all work of the stream is done. */
VGPU_API enum vgpu_result vgpu_stream_synchronize(vgpu_context *context, vgpu_stream stream);

/** vgpu_stream_query() - SUCCESS if all work is done, NOT_READY if not. Sends held-back work. */
VGPU_API enum vgpu_result vgpu_stream_query(vgpu_context *context, vgpu_stream stream);

/** vgpu_stream_flush() - send held-back work now; does not wait for it. */
VGPU_API enum vgpu_result vgpu_stream_flush(vgpu_context *context, vgpu_stream stream);

/** vgpu_synchronize() - wait until all work of all streams is done. */
VGPU_API enum vgpu_result vgpu_synchronize(vgpu_context *context);

/** vgpu_event_create() - a new event. Errors: HANDLE_LIMIT. */
VGPU_API enum vgpu_result vgpu_event_create(vgpu_context *context, vgpu_event *event);

/**
 * vgpu_event_create_timed() - a new event for measuring with vgpu_event_elapsed()
 *
 * Its records are timed by the GPU where it has timestamps, single operations
 * apart; each costs the GPU some time. Times of other events are as fine as the
 * batches in which the device runs what it gets. Errors: HANDLE_LIMIT.
 */
VGPU_API enum vgpu_result vgpu_event_create_timed(vgpu_context *context, vgpu_event *event);

/** vgpu_event_destroy() - end an event; waits already queued still hold. */
VGPU_API enum vgpu_result vgpu_event_destroy(vgpu_context *context, vgpu_event event);

/** vgpu_event_record() - the event completes when the stream's work so far has. */
VGPU_API enum vgpu_result vgpu_event_record(vgpu_context *context, vgpu_event event,
					    vgpu_stream stream);

/**
 * vgpu_event_wait() - the stream goes on once the event has completed
 *
 * The last record before this call counts. An event that was never recorded
 * holds nothing up.
 */
VGPU_API enum vgpu_result vgpu_event_wait(vgpu_context *context, vgpu_event event,
					  vgpu_stream stream);

/** vgpu_event_synchronize() - this thread waits until the event has completed. */
VGPU_API enum vgpu_result vgpu_event_synchronize(vgpu_context *context, vgpu_event event);

/** vgpu_event_query() - SUCCESS if it has completed or was never recorded, else NOT_READY. */
VGPU_API enum vgpu_result vgpu_event_query(vgpu_context *context, vgpu_event event);

/**
 * vgpu_event_elapsed() - device time between two completed events
 * @ns: out: nanoseconds from @start to @end; negative if @end was first
 *
 * Waits for both. Errors: INVALID_ARGUMENT if one was never recorded.
 */
VGPU_API enum vgpu_result vgpu_event_elapsed(vgpu_context *context, vgpu_event start,
					     vgpu_event end, int64_t *ns);

#ifdef __cplusplus
}
#endif

#endif /* LIBVGPU_H */
