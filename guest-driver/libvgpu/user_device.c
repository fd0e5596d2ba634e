// SPDX-License-Identifier: Apache-2.0
/*
 * Connections of the unix: transport: the vhost-user handshake, the rings, the
 * shared memory, and one connection for all contexts on one path.
 */
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESS_FIRST (1ULL << 32)
#define ADDRESS_ALIGN (2ULL << 20)
#define FEATURES_NEEDED (VHOST_F_PROTOCOL_FEATURES | VHOST_F_VERSION_1)
#define FEATURES_WANTED (FEATURES_NEEDED | VHOST_F_EVENT_IDX | VHOST_F_INDIRECT_DESC)
#define PROTOCOL_NEEDED \
	(VHOST_P_MQ | VHOST_P_REPLY_ACK | VHOST_P_CONFIG | VHOST_P_CONFIGURE_MEM_SLOTS)
#define CAPABILITIES_KNOWN \
	(VGPU_CAP_WGSL | VGPU_CAP_F16 | VGPU_CAP_SUBGROUPS | VGPU_CAP_TIMESTAMPS | VGPU_CAP_PTX)

static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;
static struct user_device *devices;

/* ---- Losing the connection ----------------------------------------------------------- */

void user_lose(struct user_device *device, const char *why)
{
	if (atomic_exchange(&device->lost, true))
		return;
	pthread_mutex_lock(&device->contexts_lock);
	for (uint32_t i = 0; i < USER_CONTEXTS; i++)
		if (device->contexts[i])
			lose(device->contexts[i]->context, "the connection to unix:%s is lost: %s",
			     device->path, why);
	pthread_mutex_unlock(&device->contexts_lock);
	/* Whoever sleeps has the socket among what wakes it. */
	shutdown(device->sock, SHUT_RDWR);
}

bool user_alive(struct user_device *device)
{
	struct pollfd sock = { .fd = device->sock, .events = POLLRDHUP };

	if (atomic_load_explicit(&device->lost, memory_order_relaxed))
		return false;
	if (poll(&sock, 1, 0) > 0 && sock.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) {
		user_lose(device, "the device's process closed it");
		return false;
	}
	return true;
}

void user_kick(struct user_device *device, unsigned int queue)
{
	uint64_t one = 1;

	/* A full counter means that a kick is pending already. */
	if (write(device->kick[queue], &one, sizeof(one)) < 0)
		return;
}

void user_call_take(struct user_device *device, unsigned int queue)
{
	uint64_t count;

	if (!device->rung[queue])
		return;
	device->rung[queue] = false;
	/* What counts is that it rings no more. */
	if (read(device->call[queue], &count, sizeof(count)) < 0)
		return;
}

bool user_sleep_on(struct user_device *device, unsigned int queue)
{
	struct pollfd fds[2] = {
		{ .fd = device->call[queue], .events = POLLIN },
		{ .fd = device->sock, .events = POLLRDHUP },
	};

	if (atomic_load(&device->lost))
		return false;
	if (poll(fds, 2, -1) < 0)
		return true;
	if (fds[1].revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) {
		user_lose(device, "the device's process closed it");
		return false;
	}
	if (fds[0].revents & POLLIN)
		device->rung[queue] = true;
	return true;
}

/* ---- Shared memory -------------------------------------------------------------------- */

static enum vgpu_result vhost_error(const struct user_device *device, uint32_t request, int error)
{
	const char *name = vhost_name(request);

	switch (error) {
	case -ETIMEDOUT:
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "unix:%s does not answer %s within %u s (VGPU_TIMEOUT); a device serves one program at a time: is another one using it?",
			    device->path, name, vhost_timeout_s());
	case -EREMOTEIO:
		return fail(VGPU_ERROR_OPEN_FAILED, "unix:%s refuses %s", device->path, name);
	case -EPROTO:
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "unix:%s gives no vhost-user answer to %s: is it a vgpu-instance's socket?",
			    device->path, name);
	default:
		return fail(VGPU_ERROR_OPEN_FAILED, "unix:%s: %s: %s", device->path, name,
			    strerror(-error));
	}
}

enum vgpu_result user_region_add(struct user_device *device, const char *name, uint64_t bytes,
				 uint8_t **memory, int *fd_out, uint64_t *address)
{
	struct vhost_region region = { .bytes = bytes };
	enum vgpu_result result = VGPU_SUCCESS;
	uint8_t *mapped;
	int error, fd;

	fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)bytes)) {
		result = fail(VGPU_ERROR_HOST_MEMORY, "no shared memory of %llu bytes: %s",
			      (unsigned long long)bytes, strerror(errno));
		if (fd >= 0)
			close(fd);
		return result;
	}
	mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED) {
		close(fd);
		return fail(VGPU_ERROR_HOST_MEMORY, "%llu bytes of shared memory can't be mapped: %s",
			    (unsigned long long)bytes, strerror(errno));
	}
	pthread_mutex_lock(&device->vhost_lock);
	region.guest_address = device->next_address;
	region.user_address = (uintptr_t)mapped;
	if (!device->slots_free) {
		result = fail(VGPU_ERROR_HOST_MEMORY,
			      "all memory slots of unix:%s are in use: allocate pinned memory in larger pieces",
			      device->path);
	} else {
		error = vhost_set(device->sock, VHOST_ADD_MEM_REG, &region, sizeof(region), fd);
		if (error)
			result = vhost_error(device, VHOST_ADD_MEM_REG, error);
	}
	if (result == VGPU_SUCCESS) {
		device->slots_free--;
		device->next_address += ALIGN_UP(bytes, ADDRESS_ALIGN);
	}
	pthread_mutex_unlock(&device->vhost_lock);
	if (result != VGPU_SUCCESS) {
		munmap(mapped, bytes);
		close(fd);
		return result;
	}
	*memory = mapped;
	*fd_out = fd;
	*address = region.guest_address;
	return VGPU_SUCCESS;
}

void user_region_remove(struct user_device *device, uint8_t *memory, int fd, uint64_t bytes,
			uint64_t address)
{
	struct vhost_region region = { .guest_address = address, .bytes = bytes,
				       .user_address = (uintptr_t)memory };

	if (!atomic_load(&device->lost)) {
		pthread_mutex_lock(&device->vhost_lock);
		if (!vhost_set(device->sock, VHOST_REM_MEM_REG, &region, sizeof(region), -1))
			device->slots_free++;
		pthread_mutex_unlock(&device->vhost_lock);
	}
	munmap(memory, bytes);
	close(fd);
}

/* ---- The handshake ----------------------------------------------------------------------- */

static enum vgpu_result negotiate(struct user_device *device)
{
	uint64_t features = 0, protocol = 0, slots = 0;
	int error;

	error = vhost_get_u64(device->sock, VHOST_GET_FEATURES, &features);
	if (error)
		return vhost_error(device, VHOST_GET_FEATURES, error);
	if ((features & FEATURES_NEEDED) != FEATURES_NEEDED)
		return fail(VGPU_ERROR_OPEN_FAILED, "unix:%s offers features 0x%llx, 0x%llx needed",
			    device->path, (unsigned long long)features,
			    (unsigned long long)FEATURES_NEEDED);
	error = vhost_get_u64(device->sock, VHOST_GET_PROTOCOL_FEATURES, &protocol);
	if (error)
		return vhost_error(device, VHOST_GET_PROTOCOL_FEATURES, error);
	if ((protocol & PROTOCOL_NEEDED) != PROTOCOL_NEEDED)
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "unix:%s offers protocol features 0x%llx, 0x%llx needed", device->path,
			    (unsigned long long)protocol, (unsigned long long)PROTOCOL_NEEDED);
	protocol = PROTOCOL_NEEDED;
	error = vhost_send(device->sock, VHOST_SET_PROTOCOL_FEATURES, &protocol, sizeof(protocol),
			   -1);
	if (error)
		return vhost_error(device, VHOST_SET_PROTOCOL_FEATURES, error);
	error = vhost_set(device->sock, VHOST_SET_OWNER, NULL, 0, -1);
	if (error)
		return vhost_error(device, VHOST_SET_OWNER, error);
	error = vhost_get_u64(device->sock, VHOST_GET_MAX_MEM_SLOTS, &slots);
	if (error)
		return vhost_error(device, VHOST_GET_MAX_MEM_SLOTS, error);
	device->slots_free = slots;
	features &= FEATURES_WANTED;
	error = vhost_set(device->sock, VHOST_SET_FEATURES, &features, sizeof(features), -1);
	if (error)
		return vhost_error(device, VHOST_SET_FEATURES, error);
	for (unsigned int i = 0; i < VGPU_QUEUE_COUNT; i++)
		device->rings[i].event_idx = features & VHOST_F_EVENT_IDX;
	return VGPU_SUCCESS;
}

static enum vgpu_result read_config(struct user_device *device)
{
	struct vgpu_config *config = &device->config;
	int error = vhost_get_config(device->sock, config, sizeof(*config));

	if (error)
		return vhost_error(device, VHOST_GET_CONFIG, error);
	if (config->magic != VGPU_MAGIC)
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "unix:%s is no vGPU: its config space begins with 0x%x instead of 0x%x",
			    device->path, config->magic, VGPU_MAGIC);
	if (config->version >> 16 != VGPU_VERSION >> 16)
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "unix:%s speaks version %u.%u, this library %u.%u", device->path,
			    config->version >> 16, config->version & 0xffff, VGPU_VERSION >> 16,
			    VGPU_VERSION & 0xffff);
	if (config->queue_count < VGPU_QUEUE_COUNT || !config->contexts_max)
		return fail(VGPU_ERROR_OPEN_FAILED, "unix:%s has %u queues and %u contexts",
			    device->path, config->queue_count, config->contexts_max);
	return VGPU_SUCCESS;
}

static enum vgpu_result start_ring(struct user_device *device, unsigned int queue, uint16_t size)
{
	struct ring *ring = &device->rings[queue];
	uint8_t *memory = device->area + (size_t)queue * RING_AREA;
	struct vhost_vring_state state = { .index = queue, .value = size };
	struct vhost_vring_addr addr = { .index = queue };
	uint64_t index = queue;
	uint32_t request;
	int error;

	_Static_assert(16u * SUBMIT_RING + 2u * SUBMIT_RING + 8u * SUBMIT_RING + 128 < RING_AREA,
		       "a ring fits its area");
	ring_init(ring, memory, size, ring->event_idx);
	addr.desc = (uintptr_t)ring->desc;
	addr.avail = (uintptr_t)ring->avail;
	addr.used = (uintptr_t)ring->used;
	error = vhost_set(device->sock, request = VHOST_SET_VRING_NUM, &state, sizeof(state), -1);
	state.value = 0;
	if (!error)
		error = vhost_set(device->sock, request = VHOST_SET_VRING_BASE, &state,
				  sizeof(state), -1);
	if (!error)
		error = vhost_set(device->sock, request = VHOST_SET_VRING_ADDR, &addr,
				  sizeof(addr), -1);
	if (!error)
		error = vhost_set(device->sock, request = VHOST_SET_VRING_CALL, &index,
				  sizeof(index), device->call[queue]);
	if (!error)
		error = vhost_set(device->sock, request = VHOST_SET_VRING_KICK, &index,
				  sizeof(index), device->kick[queue]);
	state.value = 1;
	if (!error)
		error = vhost_set(device->sock, request = VHOST_SET_VRING_ENABLE, &state,
				  sizeof(state), -1);
	return error ? vhost_error(device, request, error) : VGPU_SUCCESS;
}

enum vgpu_result user_session_start(struct user_device *device)
{
	struct {
		struct vgpu_request_header header;
		struct vgpu_init_request init;
	} request = { .header.type = VGPU_REQ_INIT,
		      .init.capabilities = CAPABILITIES_KNOWN };
	struct {
		struct vgpu_response_header header;
		struct vgpu_init_response init;
	} response = { 0 };
	enum vgpu_result result;
	uint32_t written;

	while (!request.init.session)
		if (getrandom(&request.init.session, sizeof(request.init.session), 0) < 0)
			return fail(VGPU_ERROR_SYSTEM, "no random session id: %s",
				    strerror(errno));
	result = user_request(device, 0, &request, sizeof(request), &response, sizeof(response),
			      &written);
	if (result != VGPU_SUCCESS)
		return result;
	if (written < sizeof(response.header))
		return fail(VGPU_ERROR_OPEN_FAILED, "unix:%s: INIT is answered with %u bytes",
			    device->path, written);
	if (response.header.status != VGPU_STATUS_OK)
		return fail_status(&response.header, "INIT");
	if (written < sizeof(response))
		return fail(VGPU_ERROR_OPEN_FAILED, "unix:%s: INIT is answered with %u bytes",
			    device->path, written);
	device->epoch = response.init.epoch;
	device->capabilities = response.init.capabilities;
	return VGPU_SUCCESS;
}

static enum vgpu_result device_connect(struct user_device *device)
{
	static const uint16_t sizes[VGPU_QUEUE_COUNT] = { CONTROL_RING, EVENT_RING, SUBMIT_RING };
	enum vgpu_result result;

	device->sock = vhost_connect(device->path);
	if (device->sock < 0) {
		int error = -device->sock;

		return fail(error == ENOENT ? VGPU_ERROR_NO_DEVICE : VGPU_ERROR_OPEN_FAILED,
			    "unix:%s can't be reached: %s%s", device->path, strerror(error),
			    error == ENOENT || error == ECONNREFUSED ?
			    "; start vgpu-instance --socket-path=PATH (or vgpud) first" : "");
	}
	result = negotiate(device);
	if (result == VGPU_SUCCESS)
		result = read_config(device);
	if (result == VGPU_SUCCESS)
		result = user_region_add(device, "vgpu-rings", AREA_BYTES, &device->area,
					 &device->area_fd, &device->area_address);
	for (unsigned int i = 0; result == VGPU_SUCCESS && i < VGPU_QUEUE_COUNT; i++) {
		device->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		device->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (device->kick[i] < 0 || device->call[i] < 0)
			return fail(VGPU_ERROR_SYSTEM, "no eventfd: %s", strerror(errno));
		result = start_ring(device, i, sizes[i]);
	}
	if (result != VGPU_SUCCESS)
		return result;
	ring_interrupt_off(&device->rings[VGPU_QUEUE_CONTROL]);
	user_submit_init(device);
	user_events_init(device);
	return user_session_start(device);
}

/* ---- One connection per path ------------------------------------------------------------- */

static void device_free(struct user_device *device)
{
	for (unsigned int i = 0; i < VGPU_QUEUE_COUNT; i++) {
		if (device->kick[i] >= 0)
			close(device->kick[i]);
		if (device->call[i] >= 0)
			close(device->call[i]);
	}
	if (device->sock >= 0)
		close(device->sock);
	if (device->area)
		munmap(device->area, AREA_BYTES);
	if (device->area_fd >= 0)
		close(device->area_fd);
	pthread_mutex_destroy(&device->vhost_lock);
	pthread_mutex_destroy(&device->session_lock);
	pthread_mutex_destroy(&device->contexts_lock);
	pthread_mutex_destroy(&device->control_lock);
	pthread_mutex_destroy(&device->submit_lock);
	pthread_mutex_destroy(&device->wait_lock);
	pthread_cond_destroy(&device->wait_changed);
	free(device);
}

static struct user_device *device_new(const char *path)
{
	struct user_device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	snprintf(device->path, sizeof(device->path), "%s", path);
	device->references = 1;
	device->sock = device->area_fd = -1;
	device->next_address = ADDRESS_FIRST;
	for (unsigned int i = 0; i < VGPU_QUEUE_COUNT; i++)
		device->kick[i] = device->call[i] = -1;
	pthread_mutex_init(&device->vhost_lock, NULL);
	pthread_mutex_init(&device->session_lock, NULL);
	pthread_mutex_init(&device->contexts_lock, NULL);
	pthread_mutex_init(&device->control_lock, NULL);
	pthread_mutex_init(&device->submit_lock, NULL);
	pthread_mutex_init(&device->wait_lock, NULL);
	pthread_cond_init(&device->wait_changed, NULL);
	return device;
}

static void atfork_prepare(void)
{
	pthread_mutex_lock(&devices_lock);
}

static void atfork_parent(void)
{
	pthread_mutex_unlock(&devices_lock);
}

/* A child that kept the socket would keep the parent's session alive. */
static void atfork_child(void)
{
	for (struct user_device *device = devices; device; device = device->next) {
		if (device->sock >= 0)
			close(device->sock);
		device->sock = -1;
		atomic_store(&device->lost, true);
	}
	pthread_mutex_unlock(&devices_lock);
}

static void atfork_install(void)
{
	pthread_atfork(atfork_prepare, atfork_parent, atfork_child);
}

enum vgpu_result user_device_get(const char *path, struct user_device **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	enum vgpu_result result = VGPU_SUCCESS;
	struct user_device *device;

	pthread_once(&once, atfork_install);
	pthread_mutex_lock(&devices_lock);
	for (device = devices; device; device = device->next)
		if (!strcmp(device->path, path) && !atomic_load(&device->lost))
			break;
	if (device && !user_alive(device))
		device = NULL;
	if (device) {
		device->references++;
	} else if (!(device = device_new(path))) {
		result = fail(VGPU_ERROR_HOST_MEMORY, "no memory for a connection");
	} else {
		result = device_connect(device);
		if (result == VGPU_SUCCESS) {
			device->next = devices;
			devices = device;
		} else {
			device_free(device);
		}
	}
	pthread_mutex_unlock(&devices_lock);
	*out = result == VGPU_SUCCESS ? device : NULL;
	return result;
}

void user_device_put(struct user_device *device)
{
	struct user_device **link = &devices;

	pthread_mutex_lock(&devices_lock);
	if (--device->references) {
		device = NULL;
	} else {
		while (*link && *link != device)
			link = &(*link)->next;
		if (*link)
			*link = device->next;
	}
	pthread_mutex_unlock(&devices_lock);
	if (device)
		device_free(device);
}
