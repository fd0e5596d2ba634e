// SPDX-License-Identifier: Apache-2.0
/*
 * The transport over /dev/vgpuN: everything is one ioctl of the guest driver,
 * which owns the rings, the context id and the fence numbers. The timeline page
 * is mapped, so that finished work is seen without a system call.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../include/uapi/vgpu_ioctl.h"

/* Command buffers kept for reuse. */
#define BUFFERS_KEPT 16u

struct dev {
	struct dev *next;
	int fd;
	pthread_mutex_t lock;
	struct command_buffer *free_buffers;
	uint32_t free_count;
};

static pthread_mutex_t devs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dev *devs;

/* ---- fork(): a child that kept the descriptor would keep the parent's context alive ---- */

static void atfork_prepare(void)
{
	pthread_mutex_lock(&devs_lock);
}

static void atfork_parent(void)
{
	pthread_mutex_unlock(&devs_lock);
}

static void atfork_child(void)
{
	for (struct dev *dev = devs; dev; dev = dev->next)
		close(dev->fd);
	devs = NULL;
	pthread_mutex_unlock(&devs_lock);
}

static void atfork_install(void)
{
	pthread_atfork(atfork_prepare, atfork_parent, atfork_child);
}

static void dev_list(struct dev *dev)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, atfork_install);
	pthread_mutex_lock(&devs_lock);
	dev->next = devs;
	devs = dev;
	pthread_mutex_unlock(&devs_lock);
}

static void dev_unlist(struct dev *dev)
{
	struct dev **link = &devs;

	pthread_mutex_lock(&devs_lock);
	while (*link && *link != dev)
		link = &(*link)->next;
	if (*link)
		*link = dev->next;
	close(dev->fd);
	pthread_mutex_unlock(&devs_lock);
}

static int dev_ioctl(const struct vgpu *context, unsigned long request, void *argument)
{
	const struct dev *dev = context->transport;
	int result;

	do
		result = ioctl(dev->fd, request, argument);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}

static enum vgpu_result dev_error(struct vgpu *context, int error, const char *what)
{
	if (error == -ENODEV)
		return lose(context, "%s: %s is gone or lost its state", what, context->path);
	return fail(VGPU_ERROR_SYSTEM, "%s: %s: %s", context->path, what, strerror(-error));
}

/* ---- Opening ------------------------------------------------------------------------ */

static enum vgpu_result dev_open_error(const char *path, int error)
{
	if (error == ENOENT)
		return fail(VGPU_ERROR_NO_DEVICE,
			    "there is no %s: is virtio_vgpu.ko loaded, and does the virtual machine have a vGPU?",
			    path);
	if (error == EACCES || error == EPERM)
		return fail(VGPU_ERROR_OPEN_FAILED, "no permission to open %s for writing", path);
	return fail(VGPU_ERROR_OPEN_FAILED, "%s can't be opened: %s", path, strerror(error));
}

static enum vgpu_result dev_start(struct vgpu *context)
{
	const struct dev *dev = context->transport;
	struct vgpu_ioctl_info info = { 0 };
	const struct vgpu_timeline_header *header;
	void *timeline;
	int error;

	error = dev_ioctl(context, VGPU_IOC_INFO, &info);
	if (error)
		return fail(VGPU_ERROR_OPEN_FAILED, "%s is no vGPU: %s", context->path,
			    strerror(-error));
	if (info.abi_version != VGPU_IOCTL_ABI_VERSION)
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "%s has version %u of the interface, this library has %u",
			    context->path, info.abi_version, VGPU_IOCTL_ABI_VERSION);
	context->id = info.context;
	context->epoch = info.epoch;
	context->capabilities = info.capabilities;
	timeline = mmap(NULL, VGPU_MMAP_TIMELINE_BYTES, PROT_READ, MAP_SHARED, dev->fd,
			VGPU_MMAP_TIMELINE_OFFSET);
	if (timeline == MAP_FAILED)
		return fail(VGPU_ERROR_OPEN_FAILED, "the timeline of %s can't be mapped: %s",
			    context->path, strerror(errno));
	context->timeline = timeline;
	header = timeline;
	if (header->magic != VGPU_TIMELINE_MAGIC)
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "the timeline of %s begins with 0x%x instead of 0x%x", context->path,
			    header->magic, VGPU_TIMELINE_MAGIC);
	return VGPU_SUCCESS;
}

static void dev_close(struct vgpu *context)
{
	struct dev *dev = context->transport;

	if (context->timeline)
		munmap((void *)(uintptr_t)context->timeline, VGPU_MMAP_TIMELINE_BYTES);
	dev_unlist(dev);
	while (dev->free_buffers) {
		struct command_buffer *buffer = dev->free_buffers;

		dev->free_buffers = buffer->next;
		free(buffer);
	}
	pthread_mutex_destroy(&dev->lock);
	free(dev);
	context->transport = NULL;
}

static enum vgpu_result dev_open(struct vgpu *context, const char *path)
{
	struct dev *dev = calloc(1, sizeof(*dev));
	enum vgpu_result result;

	if (!dev)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a connection");
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0) {
		int error = errno;

		free(dev);
		return dev_open_error(path, error);
	}
	pthread_mutex_init(&dev->lock, NULL);
	dev_list(dev);
	context->transport = dev;
	result = dev_start(context);
	if (result != VGPU_SUCCESS)
		dev_close(context);
	return result;
}

/* close(2) of the last descriptor ends the context; nothing to do before. */
static void dev_detach(struct vgpu *context)
{
	(void)context;
}

/* ---- Requests and commands --------------------------------------------------------------- */

static enum vgpu_result dev_control(struct vgpu *context, void *request, uint32_t request_bytes,
				    void *response, uint32_t response_bytes, uint32_t *written)
{
	struct vgpu_ioctl_control control = {
		.request = (uintptr_t)request, .response = (uintptr_t)response,
		.request_bytes = request_bytes, .response_bytes = response_bytes,
	};
	int error = dev_ioctl(context, VGPU_IOC_CONTROL, &control);

	*written = error ? 0 : control.response_bytes;
	return error ? dev_error(context, error, "control request") : VGPU_SUCCESS;
}

static enum vgpu_result dev_buffer_get(struct vgpu *context, uint32_t bytes,
				       struct command_buffer **out)
{
	struct dev *dev = context->transport;
	struct command_buffer *buffer = NULL;
	uint32_t capacity = MAX(bytes, BATCH_BYTES);

	pthread_mutex_lock(&dev->lock);
	if (capacity == BATCH_BYTES && dev->free_buffers) {
		buffer = dev->free_buffers;
		dev->free_buffers = buffer->next;
		dev->free_count--;
	}
	pthread_mutex_unlock(&dev->lock);
	if (!buffer) {
		size_t head = ALIGN_UP(sizeof(*buffer), (size_t)16);

		buffer = calloc(1, head + capacity);
		if (!buffer)
			return fail(VGPU_ERROR_HOST_MEMORY, "no memory for %u bytes of commands",
				    capacity);
		buffer->data = (uint8_t *)buffer + head;
		buffer->capacity_bytes = capacity;
	}
	*out = buffer;
	return VGPU_SUCCESS;
}

static void dev_buffer_put(struct vgpu *context, struct command_buffer *buffer)
{
	struct dev *dev = context->transport;

	pthread_mutex_lock(&dev->lock);
	if (buffer->capacity_bytes == BATCH_BYTES && dev->free_count < BUFFERS_KEPT) {
		buffer->next = dev->free_buffers;
		dev->free_buffers = buffer;
		dev->free_count++;
		buffer = NULL;
	}
	pthread_mutex_unlock(&dev->lock);
	free(buffer);
}

static enum vgpu_result dev_submit(struct vgpu *context, struct command_buffer *buffer,
				   uint32_t stream, uint64_t fence)
{
	struct vgpu_ioctl_submit submit = {
		.commands = (uintptr_t)buffer->data, .command_bytes = buffer->bytes,
		.command_count = buffer->count, .stream = stream,
	};
	int error = dev_ioctl(context, VGPU_IOC_SUBMIT, &submit);

	dev_buffer_put(context, buffer);
	if (error == -ENODEV)
		return dev_error(context, error, "submit");
	/* A fence was counted that will never come: the context can't go on. */
	if (error)
		return lose(context, "%s refuses a submit: %s", context->path, strerror(-error));
	if (submit.fence != fence)
		return lose(context, "%s gave fence %llu of stream %u, %llu was expected",
			    context->path, (unsigned long long)submit.fence, stream,
			    (unsigned long long)fence);
	return VGPU_SUCCESS;
}

static enum vgpu_result dev_sleep(struct vgpu *context, uint32_t stream, uint64_t fence)
{
	struct vgpu_ioctl_wait wait = {
		.stream = stream, .flags = VGPU_WAIT_NO_POLL, .fence = fence,
		.timeout_ns = VGPU_WAIT_FOREVER,
	};
	int error = dev_ioctl(context, VGPU_IOC_WAIT, &wait);

	if (error)
		return dev_error(context, error, "wait");
	/* A failed context's fence may never come. */
	if (wait.status != VGPU_STATUS_OK && !context_is_bad(context))
		return fail((enum vgpu_result)wait.status, "stream %u: %s", stream,
			    vgpu_error_string((enum vgpu_result)wait.status));
	return VGPU_SUCCESS;
}

static void dev_check(struct vgpu *context)
{
	struct vgpu_ioctl_wait wait = { .flags = VGPU_WAIT_NO_SLEEP };

	if (dev_ioctl(context, VGPU_IOC_WAIT, &wait) == -ENODEV)
		dev_error(context, -ENODEV, "wait");
}

/* ---- Pinned memory --------------------------------------------------------------------------- */

static enum vgpu_result dev_pin(struct vgpu *context, const void *memory, size_t bytes,
				uint32_t *hostmem)
{
	struct vgpu_ioctl_pin pin = { .address = (uintptr_t)memory, .bytes = bytes };
	int error = dev_ioctl(context, VGPU_IOC_PIN, &pin);

	*hostmem = pin.hostmem;
	if (error == -ENODEV)
		return dev_error(context, error, "pin");
	if (error)
		return fail(VGPU_ERROR_HOST_MEMORY, "%zu bytes at %p can't be pinned: %s", bytes,
			    memory, error == -EDQUOT ? "the limit of pinned memory is reached" :
						       strerror(-error));
	return VGPU_SUCCESS;
}

static void dev_unpin(struct vgpu *context, uint32_t hostmem)
{
	struct vgpu_ioctl_unpin unpin = { .hostmem = hostmem };

	dev_ioctl(context, VGPU_IOC_UNPIN, &unpin);
}

static enum vgpu_result dev_region_create(struct vgpu *context, uint64_t bytes,
					  struct host_region *region)
{
	enum vgpu_result result;
	void *memory;

	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return fail(VGPU_ERROR_HOST_MEMORY, "no %llu bytes of memory: %s",
			    (unsigned long long)bytes, strerror(errno));
	/* Huge pages make few ranges; a child must not share pinned pages. */
	madvise(memory, bytes, MADV_HUGEPAGE);
	madvise(memory, bytes, MADV_DONTFORK);
	result = dev_pin(context, memory, bytes, &region->hostmem);
	if (result != VGPU_SUCCESS) {
		munmap(memory, bytes);
		return result;
	}
	region->base = memory;
	return VGPU_SUCCESS;
}

static void dev_region_destroy(struct vgpu *context, struct host_region *region)
{
	dev_unpin(context, region->hostmem);
	munmap(region->base, region->bytes);
}

const struct transport_ops dev_transport = {
	.name = "dev",
	.region_bytes = 1u << 20,
	.staging_bytes = 2u << 20,
	.poll_average_max_ns = 2000000,
	.pins_user_memory = true,
	.open = dev_open,
	.detach = dev_detach,
	.close = dev_close,
	.control = dev_control,
	.buffer_get = dev_buffer_get,
	.buffer_put = dev_buffer_put,
	.submit = dev_submit,
	.sleep = dev_sleep,
	.check = dev_check,
	.region_create = dev_region_create,
	.region_destroy = dev_region_destroy,
	.pin = dev_pin,
	.unpin = dev_unpin,
};
