// SPDX-License-Identifier: Apache-2.0
/*
 * cuInit() and what is known of devices without a context.
 *
 * A vGPU tells its limits only to a context, so cuInit() opens one per device
 * and keeps it to become the primary context. A device that can't be opened,
 * or can't run PTX, does not exist.
 */
#include "internal.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;
static struct device devices[DEVICES_MAX];
static int device_count;
static _Atomic bool ready;

/* ---- Initialisation ------------------------------------------------------------------ */

static void after_fork(void)
{
	/* Contexts belong to the parent; as with NVIDIA's driver, a child has no CUDA. */
	atomic_store(&ready, false);
	device_count = -1;
}

/* The address of the virtio device behind /dev/vgpuN. */
static void find_bus_id(struct device *device)
{
	char link[300], target[PATH_MAX];
	const char *name = strrchr(device->path, '/');
	unsigned int domain, bus, slot, function;
	char *at;

	snprintf(device->bus_id, sizeof(device->bus_id), "0000:00:%02x.0", device->ordinal & 31);
	if (!name || strncmp(device->path, "/dev/", 5))
		return;
	snprintf(link, sizeof(link), "/sys/class/vgpu%s/device", name);
	if (!realpath(link, target))
		return;
	for (at = strrchr(target, '/'); at; at = strrchr(target, '/')) {
		if (sscanf(at, "/%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4) {
			snprintf(device->bus_id, sizeof(device->bus_id), "%04x:%02x:%02x.%x",
				 domain & 0xffff, bus & 0xff, slot & 31, function & 7);
			return;
		}
		*at = 0;
	}
}

/* The same for the same device at the same place, as far as there is something to tell. */
static void make_uuid(struct device *device)
{
	uint64_t low = 0xcbf29ce484222325u, high = 0x9e3779b97f4a7c15u;
	const char *parts[] = { device->path, device->info.adapter, device->bus_id };

	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		for (const char *c = parts[i]; *c; c++) {
			low = (low ^ (unsigned char)*c) * 0x100000001b3u;
			high = (high ^ low) * 0x100000001b3u;
		}
	}
	memcpy(device->uuid.bytes, &low, 8);
	memcpy(device->uuid.bytes + 8, &high, 8);
}

static CUresult add_device(const char *path)
{
	struct device *device = &devices[device_count];
	enum vgpu_result result;

	memset(device, 0, sizeof(*device));
	result = vgpu_open(path, &device->spare);
	if (result == VGPU_SUCCESS)
		result = vgpu_device_info(device->spare, &device->info);
	if (result != VGPU_SUCCESS) {
		CUresult error = result_of(result, device->spare);

		vgpu_close(device->spare);
		return error;
	}
	if (!(device->info.capabilities & VGPU_DEVICE_PTX)) {
		vgpu_close(device->spare);
		return report(CUDA_ERROR_NO_DEVICE, "%s: the device takes no PTX modules",
			      device->info.path);
	}
	device->ordinal = device_count;
	snprintf(device->path, sizeof(device->path), "%s", path ? path : device->info.path);
	find_bus_id(device);
	make_uuid(device);
	device_count++;
	return CUDA_SUCCESS;
}

/* CUDA_VISIBLE_DEVICES names devices by number; the first one that is not ends the list. */
static void choose_visible(void)
{
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	struct device chosen[DEVICES_MAX];
	bool taken[DEVICES_MAX] = { false };
	int count = 0;

	if (!list)
		return;
	while (*list) {
		char *end;
		long number = strtol(list, &end, 10);

		if (end == list || number < 0 || number >= device_count || taken[number])
			break;
		taken[number] = true;
		chosen[count] = devices[number];
		chosen[count].ordinal = count;
		count++;
		list = *end == ',' ? end + 1 : end;
		if (*end && *end != ',')
			break;
	}
	for (int i = 0; i < device_count; i++)
		if (!taken[i])
			vgpu_close(devices[i].spare);
	memcpy(devices, chosen, sizeof(chosen[0]) * (size_t)count);
	device_count = count;
}

static CUresult find_devices(void)
{
	CUresult error = CUDA_ERROR_NO_DEVICE;
	const char *named = getenv("VGPU_DEVICE");
	glob_t found;

	if (named && *named) {
		error = add_device(named);
	} else if (!glob("/dev/vgpu[0-9]*", 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc && device_count < DEVICES_MAX; i++) {
			CUresult one = add_device(found.gl_pathv[i]);

			if (one == CUDA_SUCCESS || error == CUDA_ERROR_NO_DEVICE)
				error = one;
		}
		globfree(&found);
	} else {
		error = add_device(NULL);
	}
	if (device_count) {
		choose_visible();
		error = device_count ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
	}
	return error;
}

EXPORT CUresult cuInit(unsigned int flags)
{
	CUresult error = CUDA_SUCCESS;

	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&devices_lock);
	if (device_count < 0) {
		error = CUDA_ERROR_NOT_INITIALIZED;
	} else if (!atomic_load(&ready)) {
		static bool watched;

		if (!watched)
			pthread_atfork(NULL, NULL, after_fork);
		watched = true;
		error = find_devices();
		if (error == CUDA_SUCCESS)
			atomic_store(&ready, true);
	}
	pthread_mutex_unlock(&devices_lock);
	return error;
}

CUresult initialised(void)
{
	return atomic_load_explicit(&ready, memory_order_acquire) ? CUDA_SUCCESS :
								   CUDA_ERROR_NOT_INITIALIZED;
}

struct device *device_of(CUdevice number)
{
	return number >= 0 && number < device_count ? &devices[number] : NULL;
}

/* ---- Queries ------------------------------------------------------------------------------ */

#define DEVICE_OR_RETURN(variable, number) \
	struct device *variable = device_of(number); \
	do { \
		if (initialised() != CUDA_SUCCESS) \
			return CUDA_ERROR_NOT_INITIALIZED; \
		if (!(variable)) \
			return CUDA_ERROR_INVALID_DEVICE; \
	} while (0)

EXPORT CUresult cuDriverGetVersion(int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = CUDA_VERSION;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int *count)
{
	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = device_count;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	DEVICE_OR_RETURN(found, ordinal);
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = found->ordinal;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	if (!name || length <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(name, (size_t)length, "para-vgpu (%s)", device->info.adapter);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	if (!uuid)
		return CUDA_ERROR_INVALID_VALUE;
	*uuid = device->uuid;
	return CUDA_SUCCESS;
}

#undef cuDeviceGetUuid
EXPORT CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice number);
EXPORT CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice number)
{
	return cuDeviceGetUuid_v2(uuid, number);
}

EXPORT CUresult cuDeviceGetLuid(char *luid, unsigned int *mask, CUdevice number)
{
	(void)luid;
	(void)mask;
	(void)number;
	return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuDeviceTotalMem(size_t *bytes, CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	*bytes = device->info.memory_bytes;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	if (!value || device_attribute(device, attribute, value))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	if (!major || !minor)
		return CUDA_ERROR_INVALID_VALUE;
	device_attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, major);
	device_attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, minor);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetProperties(CUdevprop *properties, CUdevice number)
{
	const struct vgpu_device_info *info;
	DEVICE_OR_RETURN(device, number);

	if (!properties)
		return CUDA_ERROR_INVALID_VALUE;
	info = &device->info;
	*properties = (CUdevprop){
		.maxThreadsPerBlock = (int)info->block_threads_max,
		.maxThreadsDim = { (int)info->block_max.x, (int)info->block_max.y,
				   (int)info->block_max.z },
		.maxGridSize = { (int)info->grid_max, (int)info->grid_max, (int)info->grid_max },
		.sharedMemPerBlock = (int)info->shared_bytes_max,
		.SIMDWidth = (int)WARP,
	};
	device_attribute(device, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY,
			 &properties->totalConstantMemory);
	device_attribute(device, CU_DEVICE_ATTRIBUTE_MAX_PITCH, &properties->memPitch);
	device_attribute(device, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK,
			 &properties->regsPerBlock);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	if (!id || length < (int)strlen(device->bus_id) + 1)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(id, device->bus_id, strlen(device->bus_id) + 1);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetByPCIBusId(CUdevice *number, const char *id)
{
	unsigned int wanted[4] = { 0 }, have[4] = { 0 };
	int fields;

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!number || !id)
		return CUDA_ERROR_INVALID_VALUE;
	fields = sscanf(id, "%x:%x:%x.%x", &wanted[0], &wanted[1], &wanted[2], &wanted[3]);
	if (fields < 3) {
		wanted[0] = wanted[3] = 0;
		if (sscanf(id, "%x:%x.%x", &wanted[1], &wanted[2], &wanted[3]) < 2)
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (int i = 0; i < device_count; i++) {
		sscanf(devices[i].bus_id, "%x:%x:%x.%x", &have[0], &have[1], &have[2], &have[3]);
		if (!memcmp(wanted, have, sizeof(have))) {
			*number = i;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_DEVICE;
}

EXPORT CUresult cuDeviceGetExecAffinitySupport(int *supported, CUexecAffinityType type,
					       CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	(void)device;
	if (!supported || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		return CUDA_ERROR_INVALID_VALUE;
	*supported = 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceCanAccessPeer(int *can, CUdevice number, CUdevice peer)
{
	DEVICE_OR_RETURN(device, number);
	DEVICE_OR_RETURN(other, peer);
	(void)device;
	(void)other;
	if (!can)
		return CUDA_ERROR_INVALID_VALUE;
	*can = 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attribute,
					CUdevice source, CUdevice target)
{
	DEVICE_OR_RETURN(device, source);
	DEVICE_OR_RETURN(other, target);
	if (!value || device == other || (int)attribute < 1 || (int)attribute > 5)
		return CUDA_ERROR_INVALID_VALUE;
	*value = 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGraphMemTrim(CUdevice number)
{
	DEVICE_OR_RETURN(device, number);
	(void)device;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetGraphMemAttribute(CUdevice number, CUgraphMem_attribute attribute,
					     void *value)
{
	DEVICE_OR_RETURN(device, number);
	(void)device;
	(void)attribute;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	/* Graphs own no memory here: nodes that allocate are refused. */
	*(cuuint64_t *)value = 0;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceSetGraphMemAttribute(CUdevice number, CUgraphMem_attribute attribute,
					     void *value)
{
	DEVICE_OR_RETURN(device, number);
	(void)device;
	return value && (attribute == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH ||
			 attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) ?
		       CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
