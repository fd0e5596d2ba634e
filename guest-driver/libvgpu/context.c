// SPDX-License-Identifier: Apache-2.0
/*
 * Contexts: finding a device, opening it, and giving everything back.
 */
#include "internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_FOLDER "/dev"
#define DEVICE_PREFIX "vgpu"
#define UNIX_PREFIX "unix:"

/* ---- Finding the device ------------------------------------------------------------ */

/* The number of a "vgpuN" name, or -1. */
static long device_number(const char *name)
{
	const char *digits = name + strlen(DEVICE_PREFIX);

	if (strncmp(name, DEVICE_PREFIX, strlen(DEVICE_PREFIX)) || !*digits || strlen(digits) > 6)
		return -1;
	for (const char *c = digits; *c; c++)
		if (!isdigit((unsigned char)*c))
			return -1;
	return strtol(digits, NULL, 10);
}

static enum vgpu_result device_default(char *path, size_t path_bytes)
{
	const char *chosen = getenv("VGPU_DEVICE");
	struct dirent *entry;
	long least = -1;
	DIR *folder;

	if (chosen && *chosen) {
		if (strlen(chosen) >= path_bytes)
			return fail(VGPU_ERROR_NO_DEVICE, "VGPU_DEVICE has %zu bytes, the limit is %zu",
				    strlen(chosen), path_bytes - 1);
		memcpy(path, chosen, strlen(chosen) + 1);
		return VGPU_SUCCESS;
	}
	folder = opendir(DEVICE_FOLDER);
	while (folder && (entry = readdir(folder))) {
		long number = device_number(entry->d_name);

		if (number >= 0 && (least < 0 || number < least))
			least = number;
	}
	if (folder)
		closedir(folder);
	if (least < 0)
		return fail(VGPU_ERROR_NO_DEVICE,
			    "there is no /dev/vgpu* and VGPU_DEVICE is not set: load virtio_vgpu.ko in a virtual machine with a vGPU, or set VGPU_DEVICE=unix:PATH to the socket of a vgpu-instance on this host");
	snprintf(path, path_bytes, "%s/%s%ld", DEVICE_FOLDER, DEVICE_PREFIX, least);
	return VGPU_SUCCESS;
}

static enum vgpu_result wait_mode_default(int *mode)
{
	const char *chosen = getenv("VGPU_WAIT");

	*mode = VGPU_WAIT_AUTO;
	if (!chosen || !*chosen || !strcmp(chosen, "auto"))
		return VGPU_SUCCESS;
	if (!strcmp(chosen, "poll"))
		*mode = VGPU_WAIT_POLL;
	else if (!strcmp(chosen, "interrupt"))
		*mode = VGPU_WAIT_INTERRUPT;
	else
		return fail(VGPU_ERROR_INVALID_ARGUMENT,
			    "VGPU_WAIT is \"%s\"; it can be poll, interrupt or auto", chosen);
	return VGPU_SUCCESS;
}

/* ---- Opening and closing --------------------------------------------------------------- */

static void atfork_child(void)
{
	atomic_fetch_add(&fork_generation_now, 1);
}

static void atfork_install(void)
{
	pthread_atfork(NULL, NULL, atfork_child);
}

static enum vgpu_result context_start(struct vgpu *context)
{
	enum vgpu_result result;

	result = control_call(context, VGPU_REQ_GET_CAPABILITIES, NULL, 0, &context->caps,
			      sizeof(context->caps), "capabilities");
	if (result != VGPU_SUCCESS)
		return result;
	/* VGPU-DRV-5: the device may have more than it was asked to put into force. */
	context->caps.capabilities &= context->capabilities;
	if (!context->caps.queued_commands_max || !context->caps.grid_max)
		return fail(VGPU_ERROR_OPEN_FAILED,
			    "%s: limits of zero (queued commands %u, grid %u)", context->path,
			    context->caps.queued_commands_max, context->caps.grid_max);
	if (!context->submit_bytes_max)
		context->submit_bytes_max = VGPU_SUBMIT_BYTES_MAX;
	table_init(&context->modules, OBJECT_MODULE, context->caps.modules_max);
	table_init(&context->functions, OBJECT_FUNCTION, context->caps.functions_max);
	table_init(&context->events, OBJECT_EVENT, context->caps.events_max);
	context->host.region_bytes = context->ops->region_bytes;
	result = streams_init(context);
	if (result == VGPU_SUCCESS)
		result = staging_init(context);
	return result;
}

static void context_free(struct vgpu *context)
{
	pthread_mutex_destroy(&context->failure_lock);
	pthread_mutex_destroy(&context->submit_lock);
	pthread_mutex_destroy(&context->host.lock);
	pthread_rwlock_destroy(&context->table_lock);
	free(context->allocations);
	free(context->pinned);
	free(context);
}

static struct vgpu *context_new(const char *path)
{
	struct vgpu *context = calloc(1, sizeof(*context));

	if (!context)
		return NULL;
	snprintf(context->path, sizeof(context->path), "%s", path);
	context->fork_generation = atomic_load(&fork_generation_now);
	pthread_mutex_init(&context->failure_lock, NULL);
	pthread_mutex_init(&context->submit_lock, NULL);
	pthread_mutex_init(&context->host.lock, NULL);
	pthread_rwlock_init(&context->table_lock, NULL);
	return context;
}

enum vgpu_result vgpu_open(const char *device, vgpu_context **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char path[sizeof(((struct vgpu *)0)->path)];
	enum vgpu_result result;
	struct vgpu *context;
	int mode;

	if (!out)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "context is NULL");
	*out = NULL;
	pthread_once(&once, atfork_install);
	result = wait_mode_default(&mode);
	if (result != VGPU_SUCCESS)
		return result;
	if (device && strlen(device) >= sizeof(path))
		return fail(VGPU_ERROR_NO_DEVICE, "the device's name has %zu bytes, the limit is %zu",
			    strlen(device), sizeof(path) - 1);
	if (device)
		memcpy(path, device, strlen(device) + 1);
	else if ((result = device_default(path, sizeof(path))) != VGPU_SUCCESS)
		return result;
	if (strncmp(path, UNIX_PREFIX, strlen(UNIX_PREFIX)) && path[0] != '/')
		return fail(VGPU_ERROR_NO_DEVICE,
			    "\"%s\" is no device: it must be /dev/vgpuN or unix:PATH", path);
	context = context_new(path);
	if (!context)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a context");
	atomic_store(&context->wait_mode, mode);
	context->ops = path[0] == '/' ? &dev_transport : &user_transport;
	result = context->ops->open(context, path[0] == '/' ? path : path + strlen(UNIX_PREFIX));
	if (result != VGPU_SUCCESS) {
		context_free(context);
		return result;
	}
	result = context_start(context);
	if (result != VGPU_SUCCESS) {
		context->ops->detach(context);
		context->ops->close(context);
		context_free(context);
		return result;
	}
	*out = context;
	return VGPU_SUCCESS;
}

void vgpu_close(vgpu_context *context)
{
	/* The parent's locks may be held for ever in a child, and nothing of it is ours. */
	if (!context || context->fork_generation != atomic_load(&fork_generation_now))
		return;
	if (!context_is_bad(context))
		streams_finish_all(context);
	context->ops->detach(context);
	streams_free(context);
	host_pool_free(context);
	staging_free(context);
	modules_free(context);
	events_free(context);
	context->ops->close(context);
	context_free(context);
}

/* ---- Queries -------------------------------------------------------------------------------- */

enum vgpu_result vgpu_device_info(vgpu_context *context, struct vgpu_device_info *info)
{
	enum vgpu_result result = enter(context);
	const struct vgpu_capabilities_response *caps;

	if (result != VGPU_SUCCESS)
		return result;
	if (!info)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "info is NULL");
	caps = &context->caps;
	*info = (struct vgpu_device_info){
		.memory_bytes = caps->memory_bytes,
		.allocation_bytes_max = caps->segment_bytes_max,
		.pinned_bytes_max = caps->hostmem_bytes_max,
		.capabilities = caps->capabilities,
		.contexts_max = caps->contexts_max,
		.streams_max = context->stream_count - 1,
		.modules_max = caps->modules_max,
		.functions_max = caps->functions_max,
		.events_max = caps->events_max,
		.queued_commands_max = caps->queued_commands_max,
		.grid_max = caps->grid_max,
		.block_max = { caps->block_max_x, caps->block_max_y, caps->block_max_z },
		.block_threads_max = caps->block_threads_max,
		.shared_bytes_max = caps->shared_bytes_max,
		.subgroup_size = caps->subgroup_size,
		.vendor_id = caps->vendor_id,
	};
	memcpy(info->adapter, caps->adapter, sizeof(caps->adapter));
	memcpy(info->path, context->path, sizeof(info->path));
	snprintf(info->transport, sizeof(info->transport), "%s", context->ops->name);
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_statistics(vgpu_context *context, struct vgpu_stats *stats)
{
	struct vgpu_statistics_response response;
	enum vgpu_result result = enter(context);

	if (result != VGPU_SUCCESS)
		return result;
	if (!stats)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "stats is NULL");
	result = control_call(context, VGPU_REQ_STATISTICS, NULL, 0, &response, sizeof(response),
			      "statistics");
	if (result != VGPU_SUCCESS)
		return result;
	*stats = (struct vgpu_stats){
		.gpu_time_ns = response.gpu_time_ns,
		.launches = response.launches,
		.copies = response.copies,
		.bytes_to_device = response.bytes_to_device,
		.bytes_from_device = response.bytes_from_device,
		.commands_rejected = response.commands_rejected,
		.wait_ns = response.wait_ns,
	};
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_set_wait_mode(vgpu_context *context, enum vgpu_wait_mode mode)
{
	if (!context)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the context is NULL");
	if ((int)mode < VGPU_WAIT_AUTO || (int)mode > VGPU_WAIT_INTERRUPT)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the wait mode %d; the highest is %d",
			    (int)mode, VGPU_WAIT_INTERRUPT);
	atomic_store(&context->wait_mode, (int)mode);
	return VGPU_SUCCESS;
}
