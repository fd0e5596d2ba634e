// SPDX-License-Identifier: Apache-2.0
/*
 * Pinned host memory: regions that the device can reach, and pieces of them.
 *
 * A region costs a registration with the device and, over unix:, one of few
 * memory slots; so regions are big, grow, and are shared by many allocations.
 * One empty region is kept, for programs that allocate and free in turns.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define HOST_ALIGN 4096u
#define REGION_ALIGN (2u << 20)
#define REGION_GROWTH_MAX (512u << 20)

/* ---- Regions and blocks; with the pool locked -------------------------------- */

static struct host_block *block_fit(struct host_pool *pool, uint64_t bytes)
{
	for (struct host_region *region = pool->regions; region; region = region->next)
		for (struct host_block *block = region->blocks; block; block = block->next)
			if (!block->used && block->bytes >= bytes)
				return block;
	return NULL;
}

static enum vgpu_result region_add(struct vgpu *context, uint64_t bytes)
{
	struct host_pool *pool = &context->host;
	struct host_region *region = calloc(1, sizeof(*region));
	struct host_block *block = calloc(1, sizeof(*block));
	enum vgpu_result result;

	if (!region || !block) {
		free(region);
		free(block);
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a region's bookkeeping");
	}
	bytes = MAX(ALIGN_UP(bytes, (uint64_t)REGION_ALIGN), pool->region_bytes);
	region->fd = -1;
	result = context->ops->region_create(context, bytes, region);
	if (result != VGPU_SUCCESS) {
		free(region);
		free(block);
		return result;
	}
	region->bytes = bytes;
	block->region = region;
	block->bytes = bytes;
	region->blocks = block;
	region->next = pool->regions;
	pool->regions = region;
	if (pool->region_bytes < REGION_GROWTH_MAX && context->ops->region_bytes >= REGION_ALIGN)
		pool->region_bytes *= 2;
	return VGPU_SUCCESS;
}

static void region_remove(struct vgpu *context, struct host_region *region)
{
	struct host_region **link = &context->host.regions;

	while (*link != region)
		link = &(*link)->next;
	*link = region->next;
	context->ops->region_destroy(context, region);
	while (region->blocks) {
		struct host_block *block = region->blocks;

		region->blocks = block->next;
		free(block);
	}
	free(region);
}

static bool region_is_empty(const struct host_region *region)
{
	return !region->blocks->used && !region->blocks->next;
}

/* Joins block with the free one after it. */
static void block_join(struct host_block *block)
{
	struct host_block *after = block->next;

	if (!after || after->used || block->used)
		return;
	block->bytes += after->bytes;
	block->next = after->next;
	if (after->next)
		after->next->previous = block;
	free(after);
}

enum vgpu_result host_block_get(struct vgpu *context, uint64_t bytes, struct host_block **out)
{
	struct host_pool *pool = &context->host;
	struct host_block *block, *rest;
	enum vgpu_result result = VGPU_SUCCESS;

	*out = NULL;
	if (bytes > context->caps.hostmem_bytes_max)
		return fail(VGPU_ERROR_QUOTA, "%llu bytes of pinned memory, the limit is %llu",
			    (unsigned long long)bytes,
			    (unsigned long long)context->caps.hostmem_bytes_max);
	bytes = ALIGN_UP(bytes, (uint64_t)HOST_ALIGN);
	rest = calloc(1, sizeof(*rest));
	if (!rest)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a block's bookkeeping");
	pthread_mutex_lock(&pool->lock);
	block = block_fit(pool, bytes);
	if (!block) {
		result = region_add(context, bytes);
		block = result == VGPU_SUCCESS ? block_fit(pool, bytes) : NULL;
	}
	if (block) {
		block->used = true;
		if (block->bytes > bytes) {
			*rest = (struct host_block){ .previous = block, .next = block->next,
						     .region = block->region,
						     .offset = block->offset + bytes,
						     .bytes = block->bytes - bytes };
			if (rest->next)
				rest->next->previous = rest;
			block->next = rest;
			block->bytes = bytes;
			rest = NULL;
		}
		*out = block;
	}
	pthread_mutex_unlock(&pool->lock);
	free(rest);
	return result;
}

void host_block_put(struct vgpu *context, struct host_block *block)
{
	struct host_pool *pool = &context->host;
	struct host_region *region = block->region;
	bool other_empty = false;

	pthread_mutex_lock(&pool->lock);
	block->used = false;
	block_join(block);
	if (block->previous)
		block_join(block->previous);
	if (region_is_empty(region)) {
		for (struct host_region *r = pool->regions; r; r = r->next)
			other_empty |= r != region && region_is_empty(r);
		if (other_empty || region->bytes > REGION_GROWTH_MAX)
			region_remove(context, region);
	}
	pthread_mutex_unlock(&pool->lock);
}

void host_pool_free(struct vgpu *context)
{
	while (context->host.regions)
		region_remove(context, context->host.regions);
}

/* ---- The table of pinned ranges; with table_lock held ---------------------------- */

/* Index of the first range that begins above address. */
static size_t pinned_above(const struct vgpu *context, uintptr_t address)
{
	size_t low = 0, high = context->pinned_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (context->pinned[middle].base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct pinned_range *pinned_find(struct vgpu *context, const void *memory, size_t bytes)
{
	uintptr_t address = (uintptr_t)memory;

	/* Only borrowed ranges lie within others: look past those. */
	for (size_t above = pinned_above(context, address); above; above--) {
		struct pinned_range *range = &context->pinned[above - 1];
		uintptr_t offset = address - range->base;

		if (offset < range->bytes && bytes <= range->bytes - offset)
			return range;
		if (!range->borrowed)
			break;
	}
	return NULL;
}

static enum vgpu_result pinned_insert(struct vgpu *context, const struct pinned_range *range)
{
	size_t at = pinned_above(context, range->base);

	if (context->pinned_count == context->pinned_capacity) {
		size_t capacity = MAX(context->pinned_capacity * 2, (size_t)16);
		struct pinned_range *grown = realloc(context->pinned, capacity * sizeof(*grown));

		if (!grown)
			return fail(VGPU_ERROR_HOST_MEMORY, "no memory for the table of pinned memory");
		context->pinned = grown;
		context->pinned_capacity = capacity;
	}
	memmove(&context->pinned[at + 1], &context->pinned[at],
		(context->pinned_count - at) * sizeof(*range));
	context->pinned[at] = *range;
	context->pinned_count++;
	return VGPU_SUCCESS;
}

/* Removes the range that begins at memory; registered: which of the two kinds. */
static enum vgpu_result pinned_take(struct vgpu *context, const void *memory, bool registered,
				    struct pinned_range *out)
{
	uintptr_t address = (uintptr_t)memory;
	size_t at = pinned_above(context, address);

	/* A range registered again lies on the one it borrows. */
	while (at > 0 && context->pinned[at - 1].base == address) {
		at--;
		if (!context->pinned[at].block != registered)
			continue;
		*out = context->pinned[at];
		memmove(&context->pinned[at], &context->pinned[at + 1],
			(context->pinned_count - at - 1) * sizeof(*out));
		context->pinned_count--;
		return VGPU_SUCCESS;
	}
	return fail(VGPU_ERROR_INVALID_ARGUMENT, "%p was not given by %s (or was freed)", memory,
		    registered ? "vgpu_host_register()" : "vgpu_host_alloc()");
}

/* ---- The public calls ------------------------------------------------------------- */

enum vgpu_result vgpu_host_alloc(vgpu_context *context, size_t bytes, void **memory)
{
	enum vgpu_result result = enter(context);
	struct pinned_range range = { 0 };

	if (result != VGPU_SUCCESS)
		return result;
	if (!memory)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "memory is NULL");
	*memory = NULL;
	if (!bytes)
		return fail(VGPU_ERROR_SIZE_ZERO, "pinned memory of 0 bytes");
	result = host_block_get(context, bytes, &range.block);
	if (result != VGPU_SUCCESS)
		return result;
	range.base = (uintptr_t)host_block_memory(range.block);
	range.bytes = bytes;
	range.hostmem = range.block->region->hostmem;
	range.offset = range.block->offset;
	pthread_rwlock_wrlock(&context->table_lock);
	result = pinned_insert(context, &range);
	pthread_rwlock_unlock(&context->table_lock);
	if (result != VGPU_SUCCESS) {
		host_block_put(context, range.block);
		return result;
	}
	*memory = (void *)range.base;
	return VGPU_SUCCESS;
}

/* Waits for the context, but lets memory be freed after a failure too. */
static enum vgpu_result settle(struct vgpu *context)
{
	enum vgpu_result result;

	if (!context)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the context is NULL");
	result = enter(context);
	if (result == VGPU_ERROR_FORKED)
		return result;
	if (result == VGPU_SUCCESS)
		streams_finish_all(context);
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_host_free(vgpu_context *context, void *memory)
{
	struct pinned_range range;
	enum vgpu_result result;

	if (!memory)
		return VGPU_SUCCESS;
	result = settle(context);
	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_wrlock(&context->table_lock);
	result = pinned_take(context, memory, false, &range);
	pthread_rwlock_unlock(&context->table_lock);
	if (result == VGPU_SUCCESS)
		host_block_put(context, range.block);
	return result;
}

enum vgpu_result vgpu_host_register(vgpu_context *context, void *memory, size_t bytes)
{
	enum vgpu_result result = enter(context);
	struct pinned_range range = { .base = (uintptr_t)memory, .bytes = bytes };
	struct pinned_range *under;

	if (result != VGPU_SUCCESS)
		return result;
	if (!memory || !bytes)
		return fail(memory ? VGPU_ERROR_SIZE_ZERO : VGPU_ERROR_INVALID_ARGUMENT,
			    "%zu bytes at %p can't be pinned", bytes, memory);
	if (bytes > UINTPTR_MAX - range.base)
		return fail(VGPU_ERROR_OUT_OF_RANGE, "%zu bytes at %p wrap around", bytes, memory);
	pthread_rwlock_wrlock(&context->table_lock);
	under = pinned_find(context, memory, bytes);
	if (under) {
		range.borrowed = true;
		range.hostmem = under->hostmem;
		range.offset = under->offset + (range.base - under->base);
	} else {
		result = context->ops->pin(context, memory, bytes, &range.hostmem);
	}
	if (result == VGPU_SUCCESS) {
		result = pinned_insert(context, &range);
		if (result != VGPU_SUCCESS && !range.borrowed)
			context->ops->unpin(context, range.hostmem);
	}
	pthread_rwlock_unlock(&context->table_lock);
	return result;
}

enum vgpu_result vgpu_host_unregister(vgpu_context *context, void *memory)
{
	enum vgpu_result result = settle(context);
	struct pinned_range range;

	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_wrlock(&context->table_lock);
	result = pinned_take(context, memory, true, &range);
	pthread_rwlock_unlock(&context->table_lock);
	if (result == VGPU_SUCCESS && !range.borrowed)
		context->ops->unpin(context, range.hostmem);
	return result;
}
