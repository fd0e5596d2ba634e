/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ioctl interface of /dev/vgpuN, the character device of virtio_vgpu.ko.
 *
 * One open file is one context of the device: it is created by open(2) and
 * destroyed when the last descriptor of that open file is closed (a child of
 * fork(2) shares it; memory stays pinned in the address space that pinned it).
 * Everything that the kernel must not take on trust (context id, fence
 * numbers, guest addresses) is filled in by the driver; all else is the wire
 * format of virtio_vgpu.h, which the driver passes on without reading it.
 *
 * Every structure has explicit padding; reserved fields and unknown flags
 * must be zero (-EINVAL). Errors that every request can return: -ENODEV once
 * the device is gone or has lost its state, -EFAULT for a bad user address,
 * -ENOTTY for an unknown request.
 */
#ifndef VGPU_IOCTL_H
#define VGPU_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VGPU_IOCTL_ABI_VERSION	1

/* mmap(2): PROT_READ, MAP_SHARED, this offset and length: the timeline page. */
#define VGPU_MMAP_TIMELINE_OFFSET	0
#define VGPU_MMAP_TIMELINE_BYTES	4096

/**
 * struct vgpu_ioctl_info - what this context and its device are
 * @abi_version: out: VGPU_IOCTL_ABI_VERSION
 * @context: out: the context's id on the device (for messages only)
 * @capabilities: out: VGPU_CAP_* bits in force
 * @device_index: out: N of /dev/vgpuN
 * @epoch: out: the device's epoch when this context was created
 * @pinned_bytes_max: out: most bytes that this file may have pinned at a time
 * @reserved: out: zero
 */
struct vgpu_ioctl_info {
	__u32 abi_version;
	__u32 context;
	__u64 capabilities;
	__u32 device_index;
	__u32 epoch;
	__u64 pinned_bytes_max;
	__u64 reserved[2];
};

/**
 * struct vgpu_ioctl_control - one request on the control queue, and its reply
 * @request: address of the request: struct vgpu_request_header, then payload.
 *	flags, context and reserved of the header must be zero or, for context,
 *	may be this context's id; the driver writes the id itself.
 * @response: address of the reply: struct vgpu_response_header, then payload
 * @request_bytes: at least 16, at most the device's control_request_bytes_max
 * @response_bytes: in: capacity, at least 32, at most
 *	control_request_bytes_max; out: bytes that the device wrote
 * @reserved: zero
 *
 * Only requests that user space may make are passed on: GET_CAPABILITIES and
 * MEMORY_ALLOC to STATISTICS. The device has accepted (not executed) all
 * submissions that this context made before. Returns 0 when the device has answered: its
 * verdict is the status in the reply. -EPERM: a request type that is the
 * driver's own. -EINVAL: unknown type, sizes out of bounds, reserved nonzero.
 * -ETIMEDOUT: the device does not answer (it is given up: -ENODEV from then
 * on). -EINTR: a fatal signal.
 */
struct vgpu_ioctl_control {
	__u64 request;
	__u64 response;
	__u32 request_bytes;
	__u32 response_bytes;
	__u64 reserved;
};

/**
 * struct vgpu_ioctl_submit - queue commands on a stream
 * @commands: address of the commands, struct vgpu_command_header each
 * @command_bytes: their bytes, a multiple of 8; header and commands together
 *	at most the device's submit_bytes_max. May be 0 with @command_count 0.
 * @command_count: how many commands
 * @stream: stream number, below streams_max
 * @flags: zero
 * @fence: out: the fence that completes when all these commands have; each
 *	stream's fences are 1, 2, 3 ...
 *
 * Returns as soon as the commands are copied and queued; waits only while the
 * queue is full. What goes wrong later is told by the timeline and by
 * VGPU_IOC_WAIT. -EINVAL: see above. -ENOMEM. -EINTR: a fatal signal while the
 * queue was full; nothing is queued then.
 */
struct vgpu_ioctl_submit {
	__u64 commands;
	__u32 command_bytes;
	__u32 command_count;
	__u32 stream;
	__u32 flags;
	__u64 fence;
};

/* Look once, do not wait: -ETIME if the fence has not completed. */
#define VGPU_WAIT_NO_SLEEP	(1U << 0)
/* Sleep at once instead of polling first. */
#define VGPU_WAIT_NO_POLL	(1U << 1)

/**
 * struct vgpu_ioctl_wait - wait for a fence
 * @stream: stream number
 * @flags: VGPU_WAIT_*
 * @fence: fence that VGPU_IOC_SUBMIT gave; 0 is complete
 * @timeout_ns: in: longest wait, relative; VGPU_WAIT_FOREVER for no limit; out:
 *	what is left of it when a signal ended the wait, so that a restarted
 *	call does not wait longer
 * @status: out: VGPU_STATUS_OK, or what the stream's slot (or the context) has
 *	failed with
 * @reserved: zero
 *
 * Returns 0 when the fence has completed, or never will because the context
 * has failed (@status is then not OK). -ETIME: time is up. -EINTR or a
 * restarted call: a signal. -EINVAL: the fence has not been submitted.
 * -ENODEV: the device is gone or has lost its state.
 */
struct vgpu_ioctl_wait {
	__u32 stream;
	__u32 flags;
	__u64 fence;
	__u64 timeout_ns;
	__u32 status;
	__u32 reserved;
};

/**
 * struct vgpu_ioctl_pin - pin memory of this process for copies by the device
 * @address: first byte, any alignment; writable memory
 * @bytes: nonzero; the registration covers exactly these bytes
 * @flags: zero
 * @hostmem: out: handle for the copy commands and VGPU_IOC_UNPIN
 *
 * The pages are pinned in the calling process's address space and count
 * against pinned_bytes_max of the file as whole pages, once per call.
 * -EFAULT: not mapped, or not writable. -EDQUOT: pinned_bytes_max is reached.
 * -E2BIG: more than hostmem_entries_max separate ranges (pin it in parts, or
 * use huge pages). -ENOSPC: the device has no handle left. -ENOMEM: it
 * accepts no more memory. -EIO: it refuses for another reason. -EINTR: a
 * fatal signal.
 */
struct vgpu_ioctl_pin {
	__u64 address;
	__u64 bytes;
	__u32 flags;
	__u32 hostmem;
};

/**
 * struct vgpu_ioctl_unpin - end a registration
 * @hostmem: handle that VGPU_IOC_PIN gave
 * @reserved: zero
 *
 * Returns once the device has promised to touch the memory no more; commands
 * still queued that name the handle fail. -ENOENT: no such handle in this
 * file.
 */
struct vgpu_ioctl_unpin {
	__u32 hostmem;
	__u32 reserved;
};

#define VGPU_IOC_MAGIC		'V'
#define VGPU_IOC_INFO		_IOR(VGPU_IOC_MAGIC, 0xc0, struct vgpu_ioctl_info)
#define VGPU_IOC_CONTROL	_IOWR(VGPU_IOC_MAGIC, 0xc1, struct vgpu_ioctl_control)
#define VGPU_IOC_SUBMIT		_IOWR(VGPU_IOC_MAGIC, 0xc2, struct vgpu_ioctl_submit)
#define VGPU_IOC_WAIT		_IOWR(VGPU_IOC_MAGIC, 0xc3, struct vgpu_ioctl_wait)
#define VGPU_IOC_PIN		_IOWR(VGPU_IOC_MAGIC, 0xc4, struct vgpu_ioctl_pin)
#define VGPU_IOC_UNPIN		_IOW(VGPU_IOC_MAGIC, 0xc5, struct vgpu_ioctl_unpin)

#if defined(__cplusplus)
#define VGPU_IOCTL_ASSERT_BYTES(type, bytes) \
	static_assert(sizeof(struct type) == (bytes), #type)
#else
#define VGPU_IOCTL_ASSERT_BYTES(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)
#endif

VGPU_IOCTL_ASSERT_BYTES(vgpu_ioctl_info, 48);
VGPU_IOCTL_ASSERT_BYTES(vgpu_ioctl_control, 32);
VGPU_IOCTL_ASSERT_BYTES(vgpu_ioctl_submit, 32);
VGPU_IOCTL_ASSERT_BYTES(vgpu_ioctl_wait, 32);
VGPU_IOCTL_ASSERT_BYTES(vgpu_ioctl_pin, 24);
VGPU_IOCTL_ASSERT_BYTES(vgpu_ioctl_unpin, 8);

#endif /* VGPU_IOCTL_H */
