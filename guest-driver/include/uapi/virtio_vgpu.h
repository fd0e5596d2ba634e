/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-vgpu: the wire format between the guest driver and the device.
 * Generated from spec/vgpu.json by "npm run generate"; do not edit.
 * All integers are little-endian; all structures are naturally aligned.
 */
#ifndef _UAPI_LINUX_VIRTIO_VGPU_H
#define _UAPI_LINUX_VIRTIO_VGPU_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif

#ifdef __cplusplus
#define VGPU_STATIC_ASSERT(condition) static_assert(condition, #condition)
#else
#define VGPU_STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#endif

/* Experimental virtio device id (configurable on both sides). */
#define VGPU_VIRTIO_ID 38
/* 'VGPU', first word of config space. */
#define VGPU_MAGIC 0x55504756
/* 'VTLN', first word of a timeline page. */
#define VGPU_TIMELINE_MAGIC 0x4e4c5456
/* major << 16 | minor. */
#define VGPU_VERSION 0x10001
/* Requests that are answered at once. */
#define VGPU_QUEUE_CONTROL 0
/* Device-to-driver notifications. */
#define VGPU_QUEUE_EVENT 1
/* Command buffers. */
#define VGPU_QUEUE_SUBMIT 2
/* Number of virtqueues. */
#define VGPU_QUEUE_COUNT 3
/* Largest ring size the device accepts. */
#define VGPU_QUEUE_SIZE_MAX 1024
/* Config space; bytes after the structure read as zero. */
#define VGPU_CONFIG_SPACE_BYTES 256
/* Timeline and arm pages, page-aligned. */
#define VGPU_TIMELINE_PAGE_BYTES 4096
/* Header before the slots of a timeline or arm page. */
#define VGPU_TIMELINE_HEADER_BYTES 64
/* One slot per stream. */
#define VGPU_TIMELINE_SLOT_BYTES 32
/* Streams 0 to 63 exist in every context. */
#define VGPU_STREAMS_MAX 64
/*
 * First segment number (upper half of a device pointer): above every user
 * address.
 */
#define VGPU_SEGMENT_FIRST 0x4000000
/* Alignment and granularity of device memory allocations, bytes. */
#define VGPU_ALLOCATION_ALIGN 256
/* Largest control request. */
#define VGPU_CONTROL_REQUEST_BYTES_MAX 1048576
/* Largest submit request, header included. */
#define VGPU_SUBMIT_BYTES_MAX 4194304
/*
 * Most ranges of one host-memory registration: as many as fit in the largest
 * control request.
 */
#define VGPU_HOSTMEM_ENTRIES_MAX 65534
/* Most arguments of one launch. */
#define VGPU_LAUNCH_ARGUMENTS_MAX 64
/* Most bytes of one by-value argument. */
#define VGPU_LAUNCH_VALUE_BYTES_MAX 32768
/* Longest function name, bytes of UTF-8. */
#define VGPU_NAME_BYTES_MAX 1024
/* Error text in an error record, NUL-padded UTF-8. */
#define VGPU_ERROR_TEXT_BYTES 224
/*
 * MODULE_LOAD flag: kernels of this module detect accesses outside of the
 * memory of their context. PTX and FATBIN only.
 */
#define VGPU_MODULE_CHECKED 1
/*
 * MEMORY_ALLOC flag: the context is going to run kernels in PTX, which are
 * fastest if its memory is in few segments. Holds from then on.
 */
#define VGPU_MEMORY_DENSE 1
/*
 * EVENT_RECORD flag: the time of this record is going to be asked for, as fine
 * as the device can tell it.
 */
#define VGPU_EVENT_TIMED 1
/* No time limit. */
#define VGPU_WAIT_FOREVER 0xffffffffffffffffULL

/* Capability bits. */
/* Modules in WGSL. */
#define VGPU_CAP_WGSL (1ULL << 0)
/* The adapter has shader-f16. */
#define VGPU_CAP_F16 (1ULL << 1)
/* The adapter has subgroups. */
#define VGPU_CAP_SUBGROUPS (1ULL << 2)
/* GPU time is measured by GPU timestamps. */
#define VGPU_CAP_TIMESTAMPS (1ULL << 3)
/* Modules in PTX and fat binaries; MODULE_SYMBOL. */
#define VGPU_CAP_PTX (1ULL << 4)

/**
 * enum vgpu_status - Result of a request, a command or a context. Stable for
 * good.
 * @VGPU_STATUS_OK: success
 * @VGPU_STATUS_MALFORMED: the request is malformed
 * @VGPU_STATUS_UNKNOWN_COMMAND: the command is unknown
 * @VGPU_STATUS_RESERVED_NONZERO: a reserved field or an unknown flag is not
 * zero
 * @VGPU_STATUS_RESPONSE_TOO_SMALL: the response buffer is too small
 * @VGPU_STATUS_REQUEST_TOO_LARGE: the request is larger than the limit
 * @VGPU_STATUS_NOT_INITIALISED: INIT has not been received
 * @VGPU_STATUS_NOT_SUPPORTED: the device does not support this
 * @VGPU_STATUS_CONTEXT_UNKNOWN: the context does not exist
 * @VGPU_STATUS_CONTEXT_EXISTS: the context exists already
 * @VGPU_STATUS_CONTEXT_LIMIT: too many contexts
 * @VGPU_STATUS_CONTEXT_FAILED: the context has failed earlier
 * @VGPU_STATUS_HANDLE_UNKNOWN: the handle does not exist
 * @VGPU_STATUS_HANDLE_EXISTS: the handle exists already
 * @VGPU_STATUS_HANDLE_LIMIT: the handle is above the limit or too many exist
 * @VGPU_STATUS_STREAM_UNKNOWN: the stream number is above the limit
 * @VGPU_STATUS_FENCE_ORDER: the fence is not above the stream's last one
 * @VGPU_STATUS_QUEUE_FULL: the context has too many commands queued
 * @VGPU_STATUS_GUEST_ADDRESS: a guest address is not mapped as a whole
 * @VGPU_STATUS_OUT_OF_RANGE: the range lies outside the allocation or
 * registration
 * @VGPU_STATUS_POINTER_INVALID: the device pointer belongs to no allocation
 * @VGPU_STATUS_MISALIGNED: the value is not aligned as required
 * @VGPU_STATUS_OUT_OF_MEMORY: the device memory limit is reached
 * @VGPU_STATUS_ALLOCATION_TOO_LARGE: the allocation is larger than a segment
 * @VGPU_STATUS_QUOTA: a quota is reached
 * @VGPU_STATUS_SIZE_ZERO: a size is zero
 * @VGPU_STATUS_MODULE_INVALID: the module does not compile
 * @VGPU_STATUS_FORMAT_UNKNOWN: the module format is unknown
 * @VGPU_STATUS_FUNCTION_NOT_FOUND: the module has no such entry point
 * @VGPU_STATUS_ARGUMENT_COUNT: the number of launch arguments is wrong
 * @VGPU_STATUS_ARGUMENT_KIND: a launch argument is of the wrong kind or size
 * @VGPU_STATUS_ARGUMENT_ALIAS: launch arguments overlap in a way that can't be
 * bound
 * @VGPU_STATUS_LAUNCH_SIZE: the launch is larger than the limit
 * @VGPU_STATUS_LAUNCH_BLOCK: the block size is not the function's
 * @VGPU_STATUS_LAUNCH_FAILED: the launch failed
 * @VGPU_STATUS_ILLEGAL_ADDRESS: a kernel accessed an address outside of its
 * memory
 * @VGPU_STATUS_TRAP: a kernel executed a trap
 * @VGPU_STATUS_ASSERT: an assertion failed in a kernel
 * @VGPU_STATUS_MISALIGNED_ADDRESS: a kernel accessed an address that is not
 * aligned to the access
 * @VGPU_STATUS_SYMBOL_NOT_FOUND: the module has no such variable
 * @VGPU_STATUS_TIMEOUT: the watchdog stopped the command
 * @VGPU_STATUS_DEVICE_LOST: the device lost its state
 * @VGPU_STATUS_INTERNAL: the device has an internal error
 */
enum vgpu_status {
	VGPU_STATUS_OK = 0,
	VGPU_STATUS_MALFORMED = 1,
	VGPU_STATUS_UNKNOWN_COMMAND = 2,
	VGPU_STATUS_RESERVED_NONZERO = 3,
	VGPU_STATUS_RESPONSE_TOO_SMALL = 4,
	VGPU_STATUS_REQUEST_TOO_LARGE = 5,
	VGPU_STATUS_NOT_INITIALISED = 6,
	VGPU_STATUS_NOT_SUPPORTED = 7,
	VGPU_STATUS_CONTEXT_UNKNOWN = 16,
	VGPU_STATUS_CONTEXT_EXISTS = 17,
	VGPU_STATUS_CONTEXT_LIMIT = 18,
	VGPU_STATUS_CONTEXT_FAILED = 19,
	VGPU_STATUS_HANDLE_UNKNOWN = 20,
	VGPU_STATUS_HANDLE_EXISTS = 21,
	VGPU_STATUS_HANDLE_LIMIT = 22,
	VGPU_STATUS_STREAM_UNKNOWN = 23,
	VGPU_STATUS_FENCE_ORDER = 24,
	VGPU_STATUS_QUEUE_FULL = 25,
	VGPU_STATUS_GUEST_ADDRESS = 32,
	VGPU_STATUS_OUT_OF_RANGE = 33,
	VGPU_STATUS_POINTER_INVALID = 34,
	VGPU_STATUS_MISALIGNED = 35,
	VGPU_STATUS_OUT_OF_MEMORY = 36,
	VGPU_STATUS_ALLOCATION_TOO_LARGE = 37,
	VGPU_STATUS_QUOTA = 38,
	VGPU_STATUS_SIZE_ZERO = 39,
	VGPU_STATUS_MODULE_INVALID = 48,
	VGPU_STATUS_FORMAT_UNKNOWN = 49,
	VGPU_STATUS_FUNCTION_NOT_FOUND = 50,
	VGPU_STATUS_ARGUMENT_COUNT = 51,
	VGPU_STATUS_ARGUMENT_KIND = 52,
	VGPU_STATUS_ARGUMENT_ALIAS = 53,
	VGPU_STATUS_LAUNCH_SIZE = 54,
	VGPU_STATUS_LAUNCH_BLOCK = 55,
	VGPU_STATUS_LAUNCH_FAILED = 56,
	VGPU_STATUS_ILLEGAL_ADDRESS = 57,
	VGPU_STATUS_TRAP = 58,
	VGPU_STATUS_ASSERT = 59,
	VGPU_STATUS_MISALIGNED_ADDRESS = 60,
	VGPU_STATUS_SYMBOL_NOT_FOUND = 61,
	VGPU_STATUS_TIMEOUT = 64,
	VGPU_STATUS_DEVICE_LOST = 65,
	VGPU_STATUS_INTERNAL = 66,
};

/**
 * enum vgpu_module_format - Format of a module's code.
 * @VGPU_MODULE_FORMAT_WGSL: WGSL source, UTF-8
 * @VGPU_MODULE_FORMAT_PTX: PTX source, UTF-8; NUL bytes at its end are ignored
 * @VGPU_MODULE_FORMAT_FATBIN: fat binary container, magic 0xba55ed50, with PTX
 * in it
 */
enum vgpu_module_format {
	VGPU_MODULE_FORMAT_WGSL = 1,
	VGPU_MODULE_FORMAT_PTX = 2,
	VGPU_MODULE_FORMAT_FATBIN = 3,
};

/**
 * enum vgpu_argument_kind - Kind of a launch argument.
 * @VGPU_ARGUMENT_KIND_POINTER: device pointer, 8 bytes
 * @VGPU_ARGUMENT_KIND_VALUE: bytes passed by value
 */
enum vgpu_argument_kind {
	VGPU_ARGUMENT_KIND_POINTER = 0,
	VGPU_ARGUMENT_KIND_VALUE = 1,
};

/**
 * enum vgpu_argument_access - How a function uses a pointer argument.
 * @VGPU_ARGUMENT_ACCESS_NONE: by value
 * @VGPU_ARGUMENT_ACCESS_READ: reads
 * @VGPU_ARGUMENT_ACCESS_READ_WRITE: reads and writes
 */
enum vgpu_argument_access {
	VGPU_ARGUMENT_ACCESS_NONE = 0,
	VGPU_ARGUMENT_ACCESS_READ = 1,
	VGPU_ARGUMENT_ACCESS_READ_WRITE = 2,
};

/**
 * enum vgpu_object_state - State of a module, function or event.
 * @VGPU_OBJECT_STATE_ABSENT: does not exist
 * @VGPU_OBJECT_STATE_PENDING: not ready yet
 * @VGPU_OBJECT_STATE_READY: ready, or recorded
 * @VGPU_OBJECT_STATE_FAILED: failed
 */
enum vgpu_object_state {
	VGPU_OBJECT_STATE_ABSENT = 0,
	VGPU_OBJECT_STATE_PENDING = 1,
	VGPU_OBJECT_STATE_READY = 2,
	VGPU_OBJECT_STATE_FAILED = 3,
};

/**
 * enum vgpu_event_type - Type of an event-queue message.
 * @VGPU_EVENT_TYPE_FENCE: an armed fence has completed in this context
 * @VGPU_EVENT_TYPE_EPOCH: the device lost its state
 * @VGPU_EVENT_TYPE_SOON: an armed fence of this context is expected to complete
 * soon
 */
enum vgpu_event_type {
	VGPU_EVENT_TYPE_FENCE = 1,
	VGPU_EVENT_TYPE_EPOCH = 2,
	VGPU_EVENT_TYPE_SOON = 3,
};

/**
 * enum vgpu_request - Types of requests.
 * @VGPU_REQ_INIT: control queue, scope driver
 * @VGPU_REQ_GET_CAPABILITIES: control queue, scope any
 * @VGPU_REQ_CONTEXT_CREATE: control queue, scope driver
 * @VGPU_REQ_CONTEXT_DESTROY: control queue, scope driver
 * @VGPU_REQ_HOSTMEM_REGISTER: control queue, scope driver
 * @VGPU_REQ_HOSTMEM_UNREGISTER: control queue, scope driver
 * @VGPU_REQ_MEMORY_ALLOC: control queue, scope context
 * @VGPU_REQ_MEMORY_FREE: control queue, scope context
 * @VGPU_REQ_MEMORY_INFO: control queue, scope context
 * @VGPU_REQ_MODULE_QUERY: control queue, scope context
 * @VGPU_REQ_FUNCTION_QUERY: control queue, scope context
 * @VGPU_REQ_EVENT_QUERY: control queue, scope context
 * @VGPU_REQ_ERROR_QUERY: control queue, scope context
 * @VGPU_REQ_STATISTICS: control queue, scope context
 * @VGPU_REQ_MODULE_SYMBOL: control queue, scope context
 * @VGPU_REQ_SUBMIT: submit queue, scope context
 */
enum vgpu_request {
	VGPU_REQ_INIT = 1,
	VGPU_REQ_GET_CAPABILITIES = 2,
	VGPU_REQ_CONTEXT_CREATE = 3,
	VGPU_REQ_CONTEXT_DESTROY = 4,
	VGPU_REQ_HOSTMEM_REGISTER = 5,
	VGPU_REQ_HOSTMEM_UNREGISTER = 6,
	VGPU_REQ_MEMORY_ALLOC = 16,
	VGPU_REQ_MEMORY_FREE = 17,
	VGPU_REQ_MEMORY_INFO = 18,
	VGPU_REQ_MODULE_QUERY = 19,
	VGPU_REQ_FUNCTION_QUERY = 20,
	VGPU_REQ_EVENT_QUERY = 21,
	VGPU_REQ_ERROR_QUERY = 22,
	VGPU_REQ_STATISTICS = 23,
	VGPU_REQ_MODULE_SYMBOL = 24,
	VGPU_REQ_SUBMIT = 32,
};

/**
 * enum vgpu_command - Opcodes of commands.
 * @VGPU_CMD_NOP: no payload
 * @VGPU_CMD_MODULE_LOAD: struct vgpu_command_module_load
 * @VGPU_CMD_MODULE_UNLOAD: struct vgpu_command_module_unload
 * @VGPU_CMD_FUNCTION_CREATE: struct vgpu_command_function_create
 * @VGPU_CMD_FUNCTION_DESTROY: struct vgpu_command_function_destroy
 * @VGPU_CMD_COPY_TO_DEVICE: struct vgpu_command_copy_host
 * @VGPU_CMD_COPY_FROM_DEVICE: struct vgpu_command_copy_host
 * @VGPU_CMD_COPY_DEVICE: struct vgpu_command_copy_device
 * @VGPU_CMD_FILL: struct vgpu_command_fill
 * @VGPU_CMD_WRITE_INLINE: struct vgpu_command_write_inline
 * @VGPU_CMD_LAUNCH: struct vgpu_command_launch
 * @VGPU_CMD_EVENT_RECORD: struct vgpu_command_event_record
 * @VGPU_CMD_EVENT_WAIT: struct vgpu_command_event_wait
 * @VGPU_CMD_EVENT_DESTROY: struct vgpu_command_event_destroy
 */
enum vgpu_command {
	VGPU_CMD_NOP = 1,
	VGPU_CMD_MODULE_LOAD = 2,
	VGPU_CMD_MODULE_UNLOAD = 3,
	VGPU_CMD_FUNCTION_CREATE = 4,
	VGPU_CMD_FUNCTION_DESTROY = 5,
	VGPU_CMD_COPY_TO_DEVICE = 6,
	VGPU_CMD_COPY_FROM_DEVICE = 7,
	VGPU_CMD_COPY_DEVICE = 8,
	VGPU_CMD_FILL = 9,
	VGPU_CMD_WRITE_INLINE = 10,
	VGPU_CMD_LAUNCH = 11,
	VGPU_CMD_EVENT_RECORD = 12,
	VGPU_CMD_EVENT_WAIT = 13,
	VGPU_CMD_EVENT_DESTROY = 14,
};

/* Bit n is set if control request type n may come from a user process. */
#define VGPU_REQ_USER_MASK 0x1ff0004ULL

/**
 * struct vgpu_config - Config space; read at initialisation only.
 * @magic: VGPU_MAGIC.
 * @version: VGPU_VERSION.
 * @queue_count: 3.
 * @contexts_max: Most contexts at a time; context ids are below it.
 * @streams_max: Streams of a context.
 * @control_request_bytes_max: Largest control request.
 * @submit_bytes_max: Largest submit request, header included.
 * @hostmem_entries_max: Most ranges of one registration.
 * @capabilities: Capability bits.
 * @reserved: Zero.
 */
struct vgpu_config {
	__le32 magic;
	__le32 version;
	__le32 queue_count;
	__le32 contexts_max;
	__le32 streams_max;
	__le32 control_request_bytes_max;
	__le32 submit_bytes_max;
	__le32 hostmem_entries_max;
	__le64 capabilities;
	__u8 reserved[24];
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_config) == 64);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, magic) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, version) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, queue_count) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, contexts_max) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, streams_max) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, control_request_bytes_max) == 20);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, submit_bytes_max) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, hostmem_entries_max) == 28);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, capabilities) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_config, reserved) == 40);

/**
 * struct vgpu_request_header - Opens every control and submit request.
 * @type: Request type.
 * @flags: Zero.
 * @context: Context id, 0 for requests without one.
 * @reserved: Zero.
 */
struct vgpu_request_header {
	__le32 type;
	__le32 flags;
	__le32 context;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_request_header) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_request_header, type) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_request_header, flags) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_request_header, context) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_request_header, reserved) == 12);

/**
 * struct vgpu_response_header - Opens every response.
 * @status: Result.
 * @payload_bytes: Bytes that follow this header.
 * @value: The offending value, where there is one.
 * @limit: The limit it was held against, where there is one.
 * @subject: The handle, argument index or byte offset concerned.
 * @reserved: Zero.
 */
struct vgpu_response_header {
	__le32 status;
	__le32 payload_bytes;
	__le64 value;
	__le64 limit;
	__le32 subject;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_response_header) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_response_header, status) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_response_header, payload_bytes) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_response_header, value) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_response_header, limit) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_response_header, subject) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_response_header, reserved) == 28);

/**
 * struct vgpu_init_request - INIT payload.
 * @session: Random, nonzero; a new one drops all that the old one held.
 * @capabilities: Capabilities that the driver knows.
 */
struct vgpu_init_request {
	__le64 session;
	__le64 capabilities;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_init_request) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_init_request, session) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_init_request, capabilities) == 8);

/**
 * struct vgpu_init_response - INIT result.
 * @epoch: Device epoch, nonzero.
 * @version: Device version.
 * @capabilities: Capabilities in force.
 */
struct vgpu_init_response {
	__le32 epoch;
	__le32 version;
	__le64 capabilities;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_init_response) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_init_response, epoch) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_init_response, version) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_init_response, capabilities) == 8);

/**
 * struct vgpu_capabilities_response - GET_CAPABILITIES result: limits and the
 * adapter.
 * @capabilities: Capability bits.
 * @memory_bytes: Device memory of this vGPU.
 * @segment_bytes_max: Largest single allocation.
 * @hostmem_bytes_max: Most registered host memory.
 * @contexts_max: Most contexts.
 * @streams_max: Streams per context.
 * @modules_max: Module handles are below it.
 * @functions_max: Function handles are below it.
 * @events_max: Event handles are below it.
 * @hostmems_max: Host-memory handles are below it.
 * @queued_commands_max: Most commands queued per context.
 * @grid_max: Largest grid dimension, workgroups.
 * @block_max_x: Largest block x.
 * @block_max_y: Largest block y.
 * @block_max_z: Largest block z.
 * @block_threads_max: Most invocations per workgroup.
 * @shared_bytes_max: Workgroup memory.
 * @subgroup_size: 0 if unknown.
 * @epoch: Device epoch.
 * @vendor_id: Adapter's PCI vendor id, 0 if unknown.
 * @reserved: Zero.
 * @adapter: Adapter name, NUL-padded UTF-8.
 */
struct vgpu_capabilities_response {
	__le64 capabilities;
	__le64 memory_bytes;
	__le64 segment_bytes_max;
	__le64 hostmem_bytes_max;
	__le32 contexts_max;
	__le32 streams_max;
	__le32 modules_max;
	__le32 functions_max;
	__le32 events_max;
	__le32 hostmems_max;
	__le32 queued_commands_max;
	__le32 grid_max;
	__le32 block_max_x;
	__le32 block_max_y;
	__le32 block_max_z;
	__le32 block_threads_max;
	__le32 shared_bytes_max;
	__le32 subgroup_size;
	__le32 epoch;
	__le32 vendor_id;
	__u8 reserved[32];
	char adapter[128];
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_capabilities_response) == 256);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, capabilities) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, memory_bytes) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, segment_bytes_max) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, hostmem_bytes_max) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, contexts_max) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, streams_max) == 36);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, modules_max) == 40);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, functions_max) == 44);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, events_max) == 48);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, hostmems_max) == 52);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, queued_commands_max) == 56);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, grid_max) == 60);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, block_max_x) == 64);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, block_max_y) == 68);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, block_max_z) == 72);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, block_threads_max) == 76);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, shared_bytes_max) == 80);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, subgroup_size) == 84);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, epoch) == 88);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, vendor_id) == 92);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, reserved) == 96);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_capabilities_response, adapter) == 128);

/**
 * struct vgpu_context_create_request - CONTEXT_CREATE payload; the id is in the
 * header.
 * @timeline_address: Guest address of the timeline page: written by the device.
 * @arm_address: Guest address of the arm page: written by the driver.
 * @name: Process name, NUL-padded.
 */
struct vgpu_context_create_request {
	__le64 timeline_address;
	__le64 arm_address;
	char name[32];
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_context_create_request) == 48);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_context_create_request, timeline_address) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_context_create_request, arm_address) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_context_create_request, name) == 16);

/**
 * struct vgpu_hostmem_register_request - HOSTMEM_REGISTER payload, followed by
 * entries. Offsets into the registration run over the entries in order.
 * @hostmem: Handle chosen by the driver.
 * @entry_count: Entries that follow.
 * @bytes: Sum of the entries' bytes.
 */
struct vgpu_hostmem_register_request {
	__le32 hostmem;
	__le32 entry_count;
	__le64 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_hostmem_register_request) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_hostmem_register_request, hostmem) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_hostmem_register_request, entry_count) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_hostmem_register_request, bytes) == 8);

/**
 * struct vgpu_hostmem_entry - One range of guest memory.
 * @address: Guest physical address, any alignment.
 * @bytes: Nonzero.
 */
struct vgpu_hostmem_entry {
	__le64 address;
	__le64 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_hostmem_entry) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_hostmem_entry, address) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_hostmem_entry, bytes) == 8);

/**
 * struct vgpu_hostmem_unregister_request - HOSTMEM_UNREGISTER payload. After
 * the reply the device does not touch the memory.
 * @hostmem: Handle.
 * @reserved: Zero.
 */
struct vgpu_hostmem_unregister_request {
	__le32 hostmem;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_hostmem_unregister_request) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_hostmem_unregister_request, hostmem) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_hostmem_unregister_request, reserved) == 4);

/**
 * struct vgpu_memory_alloc_request - MEMORY_ALLOC payload.
 * @bytes: Nonzero.
 * @flags: VGPU_MEMORY_DENSE, or zero.
 */
struct vgpu_memory_alloc_request {
	__le64 bytes;
	__le64 flags;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_memory_alloc_request) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_alloc_request, bytes) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_alloc_request, flags) == 8);

/**
 * struct vgpu_memory_alloc_response - MEMORY_ALLOC result; the memory reads as
 * zero.
 * @pointer: Device pointer, 256-byte aligned.
 * @bytes: Bytes it takes of the vGPU's memory.
 */
struct vgpu_memory_alloc_response {
	__le64 pointer;
	__le64 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_memory_alloc_response) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_alloc_response, pointer) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_alloc_response, bytes) == 8);

/**
 * struct vgpu_memory_free_request - MEMORY_FREE payload.
 * @pointer: As MEMORY_ALLOC gave it.
 */
struct vgpu_memory_free_request {
	__le64 pointer;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_memory_free_request) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_free_request, pointer) == 0);

/**
 * struct vgpu_memory_info_response - MEMORY_INFO result.
 * @total_bytes: Limit of this vGPU.
 * @free_bytes: Not allocated, over all contexts.
 * @context_bytes: Allocated by this context.
 * @allocation_count: Allocations of this context.
 */
struct vgpu_memory_info_response {
	__le64 total_bytes;
	__le64 free_bytes;
	__le64 context_bytes;
	__le64 allocation_count;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_memory_info_response) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_info_response, total_bytes) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_info_response, free_bytes) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_info_response, context_bytes) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_memory_info_response, allocation_count) == 24);

/**
 * struct vgpu_module_query_request - MODULE_QUERY payload.
 * @module: Handle.
 * @log_offset: Where in the log to begin.
 */
struct vgpu_module_query_request {
	__le32 module;
	__le32 log_offset;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_module_query_request) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_query_request, module) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_query_request, log_offset) == 4);

/**
 * struct vgpu_module_query_response - MODULE_QUERY result, followed by as much
 * of the log as fits.
 * @state: State.
 * @status: Why it failed.
 * @log_bytes: Length of the whole log.
 * @function_count: Entry points.
 */
struct vgpu_module_query_response {
	__le32 state;
	__le32 status;
	__le32 log_bytes;
	__le32 function_count;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_module_query_response) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_query_response, state) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_query_response, status) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_query_response, log_bytes) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_query_response, function_count) == 12);

/**
 * struct vgpu_function_query_request - FUNCTION_QUERY payload.
 * @function: Handle.
 * @reserved: Zero.
 */
struct vgpu_function_query_request {
	__le32 function;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_function_query_request) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_request, function) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_request, reserved) == 4);

/**
 * struct vgpu_function_query_response - FUNCTION_QUERY result, followed by
 * argument_info entries.
 * @state: State.
 * @status: Why it failed.
 * @argument_count: Arguments, in order of (group, binding).
 * @block_x: Declared block, 0 = given by the launch.
 * @block_y: See block_x.
 * @block_z: See block_x.
 * @shared_bytes: Static workgroup memory, 0 if unknown.
 * @block_threads_max: Most invocations of a block of this function, 0 if only
 * the device's limit holds.
 */
struct vgpu_function_query_response {
	__le32 state;
	__le32 status;
	__le32 argument_count;
	__le32 block_x;
	__le32 block_y;
	__le32 block_z;
	__le32 shared_bytes;
	__le32 block_threads_max;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_function_query_response) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, state) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, status) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, argument_count) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, block_x) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, block_y) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, block_z) == 20);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, shared_bytes) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_function_query_response, block_threads_max) == 28);

/**
 * struct vgpu_module_symbol_request - MODULE_SYMBOL payload, followed by the
 * name.
 * @module: Handle.
 * @name_bytes: Bytes of the name.
 */
struct vgpu_module_symbol_request {
	__le32 module;
	__le32 name_bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_module_symbol_request) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_symbol_request, module) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_symbol_request, name_bytes) == 4);

/**
 * struct vgpu_module_symbol_response - MODULE_SYMBOL result: a variable of a
 * module, in the context's memory from load to unload.
 * @pointer: Device pointer.
 * @bytes: Its size.
 */
struct vgpu_module_symbol_response {
	__le64 pointer;
	__le64 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_module_symbol_response) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_symbol_response, pointer) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_module_symbol_response, bytes) == 8);

/**
 * struct vgpu_argument_info - One argument of a function.
 * @kind: Kind.
 * @access: Access.
 * @bytes_min: Least bytes behind a pointer; exact bytes of a value.
 * @align: Required alignment of the pointer, or of the value in the parameter
 * buffer, bytes.
 * @name: Name, cut, NUL-padded.
 * @offset: PTX: offset in the parameter buffer. WGSL: zero.
 */
struct vgpu_argument_info {
	__le32 kind;
	__le32 access;
	__le32 bytes_min;
	__le32 align;
	char name[44];
	__le32 offset;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_argument_info) == 64);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_argument_info, kind) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_argument_info, access) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_argument_info, bytes_min) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_argument_info, align) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_argument_info, name) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_argument_info, offset) == 60);

/**
 * struct vgpu_event_query_request - EVENT_QUERY payload.
 * @event: Handle.
 * @reserved: Zero.
 */
struct vgpu_event_query_request {
	__le32 event;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_event_query_request) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_query_request, event) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_query_request, reserved) == 4);

/**
 * struct vgpu_event_query_response - EVENT_QUERY result.
 * @state: READY once the last queued record has completed.
 * @reserved: Zero.
 * @generation: Last completed record.
 * @time_ns: When what was before it was done, device clock; only differences
 * mean something.
 */
struct vgpu_event_query_response {
	__le32 state;
	__le32 reserved;
	__le64 generation;
	__le64 time_ns;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_event_query_response) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_query_response, state) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_query_response, reserved) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_query_response, generation) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_query_response, time_ns) == 16);

/**
 * struct vgpu_error_query_response - ERROR_QUERY result: the error that made
 * the context fail.
 * @status: OK if there is none.
 * @stream: Where it happened.
 * @fence: Fence of the submit in which it happened.
 * @value: Offending value.
 * @limit: Limit.
 * @text: What happened, NUL-padded UTF-8.
 */
struct vgpu_error_query_response {
	__le32 status;
	__le32 stream;
	__le64 fence;
	__le64 value;
	__le64 limit;
	char text[224];
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_error_query_response) == 256);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_error_query_response, status) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_error_query_response, stream) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_error_query_response, fence) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_error_query_response, value) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_error_query_response, limit) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_error_query_response, text) == 32);

/**
 * struct vgpu_statistics_response - STATISTICS result, of this context since
 * its creation.
 * @gpu_time_ns: GPU time used.
 * @launches: Launches completed.
 * @copies: Copies and fills completed.
 * @bytes_to_device: Bytes copied to the device.
 * @bytes_from_device: Bytes copied from the device.
 * @commands_rejected: Requests and commands that failed.
 * @wait_ns: Time runnable work waited for the GPU.
 * @reserved: Zero.
 */
struct vgpu_statistics_response {
	__le64 gpu_time_ns;
	__le64 launches;
	__le64 copies;
	__le64 bytes_to_device;
	__le64 bytes_from_device;
	__le64 commands_rejected;
	__le64 wait_ns;
	__le64 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_statistics_response) == 64);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, gpu_time_ns) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, launches) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, copies) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, bytes_to_device) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, bytes_from_device) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, commands_rejected) == 40);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, wait_ns) == 48);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_statistics_response, reserved) == 56);

/**
 * struct vgpu_submit_request - SUBMIT payload, followed by commands.
 * @stream: Stream number.
 * @command_count: Commands that follow; may be 0.
 * @fence: Above the stream's last one; written to the timeline when all have
 * completed.
 * @command_bytes: Bytes of the commands, a multiple of 8.
 * @reserved: Zero.
 */
struct vgpu_submit_request {
	__le32 stream;
	__le32 command_count;
	__le64 fence;
	__le32 command_bytes;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_submit_request) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_submit_request, stream) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_submit_request, command_count) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_submit_request, fence) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_submit_request, command_bytes) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_submit_request, reserved) == 20);

/**
 * struct vgpu_command_header - Opens every command; commands are 8-byte aligned
 * in the buffer.
 * @opcode: Command.
 * @flags: Zero.
 * @bytes: Whole command, header and padding included; a multiple of 8.
 */
struct vgpu_command_header {
	__le16 opcode;
	__le16 flags;
	__le32 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_header) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_header, opcode) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_header, flags) == 2);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_header, bytes) == 4);

/**
 * struct vgpu_command_module_load - MODULE_LOAD, followed by the code. A
 * compile error does not fail the context: MODULE_QUERY tells.
 * @module: Handle chosen by the guest.
 * @format: Format.
 * @code_bytes: Bytes of code.
 * @flags: VGPU_MODULE_CHECKED, or zero.
 */
struct vgpu_command_module_load {
	__le32 module;
	__le32 format;
	__le32 code_bytes;
	__le32 flags;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_module_load) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_module_load, module) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_module_load, format) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_module_load, code_bytes) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_module_load, flags) == 12);

/**
 * struct vgpu_command_module_unload - MODULE_UNLOAD: its functions go with it.
 * @module: Handle.
 * @reserved: Zero.
 */
struct vgpu_command_module_unload {
	__le32 module;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_module_unload) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_module_unload, module) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_module_unload, reserved) == 4);

/**
 * struct vgpu_command_function_create - FUNCTION_CREATE, followed by the name.
 * A failed look-up does not fail the context: FUNCTION_QUERY tells.
 * @function: Handle chosen by the guest.
 * @module: Module.
 * @name_bytes: Bytes of the name.
 * @reserved: Zero.
 */
struct vgpu_command_function_create {
	__le32 function;
	__le32 module;
	__le32 name_bytes;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_function_create) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_function_create, function) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_function_create, module) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_function_create, name_bytes) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_function_create, reserved) == 12);

/**
 * struct vgpu_command_function_destroy - FUNCTION_DESTROY.
 * @function: Handle.
 * @reserved: Zero.
 */
struct vgpu_command_function_destroy {
	__le32 function;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_function_destroy) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_function_destroy, function) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_function_destroy, reserved) == 4);

/**
 * struct vgpu_command_copy_host - COPY_TO_DEVICE and COPY_FROM_DEVICE; any
 * alignment and size.
 * @pointer: Device pointer.
 * @hostmem: Host-memory handle.
 * @reserved: Zero.
 * @offset: Offset into the registration.
 * @bytes: May be 0.
 */
struct vgpu_command_copy_host {
	__le64 pointer;
	__le32 hostmem;
	__le32 reserved;
	__le64 offset;
	__le64 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_copy_host) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_host, pointer) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_host, hostmem) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_host, reserved) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_host, offset) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_host, bytes) == 24);

/**
 * struct vgpu_command_copy_device - COPY_DEVICE; ranges may overlap, as
 * memmove.
 * @destination: Device pointer.
 * @source: Device pointer.
 * @bytes: May be 0.
 */
struct vgpu_command_copy_device {
	__le64 destination;
	__le64 source;
	__le64 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_copy_device) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_device, destination) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_device, source) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_copy_device, bytes) == 16);

/**
 * struct vgpu_command_fill - FILL.
 * @pointer: Device pointer, aligned to width.
 * @bytes: A multiple of width; may be 0.
 * @pattern: Low width bytes are repeated.
 * @width: 1, 2 or 4.
 */
struct vgpu_command_fill {
	__le64 pointer;
	__le64 bytes;
	__le32 pattern;
	__le32 width;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_fill) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_fill, pointer) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_fill, bytes) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_fill, pattern) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_fill, width) == 20);

/**
 * struct vgpu_command_write_inline - WRITE_INLINE, followed by the bytes.
 * @pointer: Device pointer.
 * @bytes: Bytes that follow.
 * @reserved: Zero.
 */
struct vgpu_command_write_inline {
	__le64 pointer;
	__le32 bytes;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_write_inline) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_write_inline, pointer) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_write_inline, bytes) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_write_inline, reserved) == 12);

/**
 * struct vgpu_command_launch - LAUNCH, followed by arguments.
 * @function: Handle.
 * @argument_count: Arguments that follow.
 * @grid_x: Workgroups, nonzero.
 * @grid_y: See grid_x.
 * @grid_z: See grid_x.
 * @block_x: Invocations; the declared ones, or all three 0 to take those.
 * @block_y: See block_x.
 * @block_z: See block_x.
 * @shared_bytes: Dynamic workgroup memory, bytes; 0 for WGSL.
 * @reserved: Zero.
 */
struct vgpu_command_launch {
	__le32 function;
	__le32 argument_count;
	__le32 grid_x;
	__le32 grid_y;
	__le32 grid_z;
	__le32 block_x;
	__le32 block_y;
	__le32 block_z;
	__le32 shared_bytes;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_launch) == 40);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, function) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, argument_count) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, grid_x) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, grid_y) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, grid_z) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, block_x) == 20);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, block_y) == 24);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, block_z) == 28);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, shared_bytes) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_launch, reserved) == 36);

/**
 * struct vgpu_launch_argument - Opens one argument; the payload follows, padded
 * to 8 bytes.
 * @kind: Kind.
 * @bytes: Payload bytes before padding: 8 for a pointer.
 */
struct vgpu_launch_argument {
	__le32 kind;
	__le32 bytes;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_launch_argument) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_launch_argument, kind) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_launch_argument, bytes) == 4);

/**
 * struct vgpu_command_event_record - EVENT_RECORD; the event exists from its
 * first record on.
 * @event: Handle chosen by the guest.
 * @flags: VGPU_EVENT_TIMED, or zero.
 * @generation: Above the event's last one.
 */
struct vgpu_command_event_record {
	__le32 event;
	__le32 flags;
	__le64 generation;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_event_record) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_record, event) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_record, flags) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_record, generation) == 8);

/**
 * struct vgpu_command_event_wait - EVENT_WAIT: the stream goes on once the
 * event has completed this generation.
 * @event: Handle.
 * @reserved: Zero.
 * @generation: Generation to wait for.
 */
struct vgpu_command_event_wait {
	__le32 event;
	__le32 reserved;
	__le64 generation;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_event_wait) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_wait, event) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_wait, reserved) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_wait, generation) == 8);

/**
 * struct vgpu_command_event_destroy - EVENT_DESTROY.
 * @event: Handle.
 * @reserved: Zero.
 */
struct vgpu_command_event_destroy {
	__le32 event;
	__le32 reserved;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_command_event_destroy) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_destroy, event) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_command_event_destroy, reserved) == 4);

/**
 * struct vgpu_event_message - Event-queue message.
 * @type: Type.
 * @context: Context.
 * @epoch: Device epoch.
 * @reserved: Zero.
 * @value: Zero.
 * @reserved2: Zero.
 */
struct vgpu_event_message {
	__le32 type;
	__le32 context;
	__le32 epoch;
	__le32 reserved;
	__le64 value;
	__le64 reserved2;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_event_message) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_message, type) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_message, context) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_message, epoch) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_message, reserved) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_message, value) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_event_message, reserved2) == 24);

/**
 * struct vgpu_timeline_header - Head of a timeline page, written by the device.
 * @magic: VGPU_TIMELINE_MAGIC.
 * @epoch: Changes when the device lost its state.
 * @context_status: Not OK once the context has failed.
 * @error_stream: Where.
 * @reserved: Zero.
 */
struct vgpu_timeline_header {
	__le32 magic;
	__le32 epoch;
	__le32 context_status;
	__le32 error_stream;
	__u8 reserved[48];
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_timeline_header) == 64);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_header, magic) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_header, epoch) == 4);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_header, context_status) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_header, error_stream) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_header, reserved) == 16);

/**
 * struct vgpu_timeline_slot - Slot of a stream, written by the device: status
 * before fence.
 * @fence: Last completed fence.
 * @status: Not OK from the first failed fence on.
 * @reserved: Zero.
 * @time_ns: When it completed, device clock.
 * @reserved2: Zero.
 */
struct vgpu_timeline_slot {
	__le64 fence;
	__le32 status;
	__le32 reserved;
	__le64 time_ns;
	__le64 reserved2;
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_timeline_slot) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_slot, fence) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_slot, status) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_slot, reserved) == 12);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_slot, time_ns) == 16);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_timeline_slot, reserved2) == 24);

/**
 * struct vgpu_arm_slot - Slot of a stream in the arm page, written by the
 * driver.
 * @fence: Interrupt once when the completed fence reaches this; 0 = never.
 * Written, then a full barrier, then the timeline is read again.
 * @ahead_ns: How long before the fence is expected to complete the driver would
 * like a message SOON; 0 = never. Written before the fence.
 * @reserved: Zero.
 */
struct vgpu_arm_slot {
	__le64 fence;
	__le32 ahead_ns;
	__u8 reserved[20];
};

VGPU_STATIC_ASSERT(sizeof(struct vgpu_arm_slot) == 32);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_arm_slot, fence) == 0);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_arm_slot, ahead_ns) == 8);
VGPU_STATIC_ASSERT(offsetof(struct vgpu_arm_slot, reserved) == 12);

#endif /* _UAPI_LINUX_VIRTIO_VGPU_H */
