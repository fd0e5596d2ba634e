// SPDX-License-Identifier: Apache-2.0
/*
 * The table of memory: what an address is of. libvgpu has one of its own for
 * checking ranges; this one knows kinds, flags and owners, and host memory.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Index of the first region that begins above the address; with the lock held. */
static size_t region_above(const struct CUctx_st *context, uint64_t address)
{
	size_t low = 0, high = context->region_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (context->regions[middle]->base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

CUresult region_add(struct CUctx_st *context, const struct region *region)
{
	struct region *copy = malloc(sizeof(*copy));
	size_t at;

	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*copy = *region;
	copy->id = next_id();
	pthread_rwlock_wrlock(&context->regions_lock);
	at = region_above(context, region->base);
	if (context->region_count == context->region_capacity) {
		size_t capacity = MAX(context->region_capacity * 2, (size_t)64);
		struct region **grown = realloc(context->regions, capacity * sizeof(*grown));

		if (!grown) {
			pthread_rwlock_unlock(&context->regions_lock);
			free(copy);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		context->regions = grown;
		context->region_capacity = capacity;
	}
	memmove(&context->regions[at + 1], &context->regions[at],
		(context->region_count - at) * sizeof(context->regions[0]));
	context->regions[at] = copy;
	context->region_count++;
	pthread_rwlock_unlock(&context->regions_lock);
	return CUDA_SUCCESS;
}

bool region_find(struct CUctx_st *context, uint64_t address, struct region *out)
{
	bool found = false;
	size_t above;

	pthread_rwlock_rdlock(&context->regions_lock);
	above = region_above(context, address);
	if (above) {
		const struct region *region = context->regions[above - 1];

		found = address - region->base < region->bytes;
		if (found)
			*out = *region;
	}
	pthread_rwlock_unlock(&context->regions_lock);
	return found;
}

bool region_remove(struct CUctx_st *context, uint64_t base)
{
	bool found = false;
	size_t above;

	pthread_rwlock_wrlock(&context->regions_lock);
	above = region_above(context, base);
	if (above && context->regions[above - 1]->base == base) {
		found = true;
		free(context->regions[above - 1]);
		context->region_count--;
		memmove(&context->regions[above - 1], &context->regions[above],
			(context->region_count - (above - 1)) * sizeof(context->regions[0]));
	}
	pthread_rwlock_unlock(&context->regions_lock);
	return found;
}

/* No address of the host is as high: so wild device pointers are told from those too. */
#define DEVICE_ADDRESS_FIRST (1ull << 58)

bool address_on_device(struct CUctx_st *context, uint64_t address)
{
	struct region region;

	if (region_find(context, address, &region))
		return region_on_device(&region);
	return address >= DEVICE_ADDRESS_FIRST;
}

CUresult device_alloc(struct CUctx_st *context, uint64_t bytes, vgpu_devptr *pointer)
{
	enum vgpu_result result = vgpu_mem_alloc(context->vgpu, bytes, pointer);

	if (result != VGPU_ERROR_OUT_OF_MEMORY && result != VGPU_ERROR_QUOTA)
		return result_of(result, context->vgpu);
	pools_trim(context, true);
	return result_of(vgpu_mem_alloc(context->vgpu, bytes, pointer), context->vgpu);
}
