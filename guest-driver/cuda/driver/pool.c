// SPDX-License-Identifier: Apache-2.0
/*
 * Memory allocated and freed in stream order, from pools.
 *
 * The device frees memory only when nothing uses it any more, so a pool keeps
 * what was freed: a block goes to the same stream again at once, to others
 * after an event. What exceeds the pool's release threshold is given back when
 * the program waits for the device.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Blocks are multiples of this, so that sizes that differ little fit each other. */
#define BLOCK_BYTES 512u

struct block {
	struct block *next;
	vgpu_devptr at;
	uint64_t bytes;
	/* Where it was freed; the event is set once it was needed elsewhere. */
	struct CUstream_st *stream;
	unsigned long long stream_id;
	vgpu_event freed;
};

struct CUmemPoolHandle_st {
	struct object object;
	struct CUmemPoolHandle_st *next;
	struct CUctx_st *context;
	struct block *free;
	uint64_t threshold, reserved, reserved_high, used, used_high;
	int reuse_event, reuse_opportunistic, reuse_internal;
};

/* ---- Blocks; with the context locked ---------------------------------------------------------- */

static void block_release(struct CUmemPoolHandle_st *pool, struct block *block)
{
	if (block->freed)
		vgpu_event_destroy(pool->context->vgpu, block->freed);
	vgpu_mem_free(pool->context->vgpu, block->at);
	pool->reserved -= block->bytes;
	free(block);
}

static void pool_trim(struct CUmemPoolHandle_st *pool, uint64_t keep)
{
	while (pool->free && pool->reserved > keep) {
		struct block *block = pool->free;

		pool->free = block->next;
		block_release(pool, block);
	}
}

/* A free block of the size; it may be up to an eighth larger. */
static struct block *take_block(struct CUmemPoolHandle_st *pool, struct CUstream_st *stream,
				uint64_t bytes)
{
	struct block **best = NULL;

	for (struct block **link = &pool->free; *link; link = &(*link)->next) {
		struct block *block = *link;
		bool same = block->stream == stream && block->stream_id == stream->id;

		if (block->bytes < bytes || block->bytes > bytes + bytes / 8 + BLOCK_BYTES)
			continue;
		if (same) {
			best = link;
			break;
		}
		if (!best)
			best = link;
	}
	if (!best)
		return NULL;
	struct block *taken = *best;

	*best = taken->next;
	return taken;
}

/* Before another stream uses the block, it waits for where it was freed. */
static CUresult block_wait(struct CUmemPoolHandle_st *pool, struct block *block,
			   struct CUstream_st *stream)
{
	vgpu_context *vgpu = pool->context->vgpu;
	enum vgpu_result result = VGPU_SUCCESS;

	if (block->stream == stream && block->stream_id == stream->id)
		return CUDA_SUCCESS;
	if (block->freed)
		result = vgpu_event_wait(vgpu, block->freed, stream->vgpu);
	return result_of(result, vgpu);
}

/* ---- Pools of a context --------------------------------------------------------------------------- */

static struct CUmemPoolHandle_st *pool_new(struct CUctx_st *context)
{
	struct CUmemPoolHandle_st *pool = object_new(KIND_POOL, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->context = context;
	pool->reuse_event = pool->reuse_opportunistic = pool->reuse_internal = 1;
	pthread_mutex_lock(&context->lock);
	pool->next = context->pools;
	context->pools = pool;
	pthread_mutex_unlock(&context->lock);
	return pool;
}

CUresult pools_init(struct CUctx_st *context)
{
	context->default_pool = context->pool = pool_new(context);
	return context->default_pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static void pool_end(struct CUmemPoolHandle_st *pool)
{
	while (pool->free) {
		struct block *block = pool->free;

		pool->free = block->next;
		block_release(pool, block);
	}
	object_end(pool);
}

void pools_free(struct CUctx_st *context)
{
	while (context->pools) {
		struct CUmemPoolHandle_st *pool = context->pools;

		context->pools = pool->next;
		pool_end(pool);
	}
}

CUresult pools_trim(struct CUctx_st *context, bool everything)
{
	pthread_mutex_lock(&context->lock);
	for (struct CUmemPoolHandle_st *pool = context->pools; pool; pool = pool->next)
		if (pool->free)
			pool_trim(pool, everything ? 0 : pool->threshold);
	pthread_mutex_unlock(&context->lock);
	return CUDA_SUCCESS;
}

/* ---- Allocating and freeing -------------------------------------------------------------------------- */

static CUresult pool_alloc(struct CUmemPoolHandle_st *pool, struct CUstream_st *stream,
			   uint64_t bytes, CUdeviceptr *pointer)
{
	struct CUctx_st *context = pool->context;
	uint64_t rounded = ALIGN_UP(bytes, (uint64_t)BLOCK_BYTES);
	struct region region = { .kind = REGION_POOL, .pool = pool };
	struct block *block;
	CUresult error = CUDA_SUCCESS;
	vgpu_devptr at = 0;

	if (rounded < bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&context->lock);
	block = take_block(pool, stream, rounded);
	if (block) {
		error = block_wait(pool, block, stream);
		at = block->at;
		rounded = block->bytes;
		if (block->freed)
			vgpu_event_destroy(context->vgpu, block->freed);
		free(block);
	}
	pthread_mutex_unlock(&context->lock);
	if (!at)
		error = device_alloc(context, rounded, &at);
	if (error != CUDA_SUCCESS)
		return error;
	region.base = region.allocation = at;
	region.bytes = rounded;
	error = region_add(context, &region);
	if (error != CUDA_SUCCESS)
		return error;
	pthread_mutex_lock(&context->lock);
	if (!block)
		pool->reserved += rounded;
	pool->used += rounded;
	pool->used_high = MAX(pool->used_high, pool->used);
	pool->reserved_high = MAX(pool->reserved_high, pool->reserved);
	pthread_mutex_unlock(&context->lock);
	*pointer = at;
	return CUDA_SUCCESS;
}

CUresult pool_free(struct CUstream_st *stream, const struct region *region)
{
	struct CUmemPoolHandle_st *pool = region->pool;
	struct CUctx_st *context = pool->context;
	struct block *block = calloc(1, sizeof(*block));
	enum vgpu_result result = VGPU_SUCCESS;

	if (!block)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!region_remove(context, region->base)) {
		free(block);
		return CUDA_ERROR_INVALID_VALUE;
	}
	*block = (struct block){ .at = region->base, .bytes = region->bytes, .stream = stream,
				 .stream_id = stream->id };
	pthread_mutex_lock(&context->lock);
	/* An event marks where it was freed, for streams other than this. */
	if (context->streams->next)
		result = vgpu_event_create(context->vgpu, &block->freed);
	if (result == VGPU_SUCCESS && block->freed)
		result = vgpu_event_record(context->vgpu, block->freed, stream->vgpu);
	block->next = pool->free;
	pool->free = block;
	pool->used -= block->bytes;
	pthread_mutex_unlock(&context->lock);
	return result_of(result, context->vgpu);
}

static CUresult alloc_async(CUdeviceptr *pointer, size_t bytes, CUmemoryPool pool,
			    CUstream handle)
{
	struct CUstream_st *stream;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (!pointer || !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	/* As a node of a graph it would have to be the graph's: not supported. */
	if (stream->capture)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (pool && !object_is(pool, KIND_POOL))
		return CUDA_ERROR_INVALID_VALUE;
	if (pool && pool->context != stream->context)
		return CUDA_ERROR_INVALID_VALUE;
	return pool_alloc(pool ? pool : stream->context->pool, stream, bytes, pointer);
}

EXPORT CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t bytes, CUstream stream)
{
	return alloc_async(pointer, bytes, NULL, stream);
}

EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *pointer, size_t bytes, CUmemoryPool pool,
					CUstream stream)
{
	return pool ? alloc_async(pointer, bytes, pool, stream) : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream handle)
{
	struct CUstream_st *stream;
	struct region region;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (stream->capture)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!region_find(stream->context, pointer, &region) || region.base != pointer)
		return CUDA_ERROR_INVALID_VALUE;
	if (region.kind == REGION_DEVICE) {
		/* Allocated without a stream: freed in this one's order by waiting for it. */
		error = stream_wait(stream);
		return error == CUDA_SUCCESS ? cuMemFree(pointer) : error;
	}
	if (region.kind != REGION_POOL)
		return CUDA_ERROR_INVALID_VALUE;
	/* What was put aside may still use it. */
	error = atomic_load(&stream->deferring) ? defer_drain(stream) : CUDA_SUCCESS;
	return error == CUDA_SUCCESS ? pool_free(stream, &region) : error;
}

/* ---- The interface of pools ------------------------------------------------------------------------------ */

static CUresult primary_of(CUdevice number, struct CUctx_st **context)
{
	struct device *device = device_of(number);

	if (initialised() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!device)
		return CUDA_ERROR_INVALID_DEVICE;
	/* Pools belong to contexts here: the current one if it is of the device. */
	if (current_context(context) == CUDA_SUCCESS && (*context)->device == device)
		return CUDA_SUCCESS;
	*context = device->primary;
	return *context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device)
{
	struct CUctx_st *context;
	CUresult error = primary_of(device, &context);

	if (error == CUDA_SUCCESS && !pool)
		error = CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		*pool = context->default_pool;
	return error;
}

EXPORT CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device)
{
	struct CUctx_st *context;
	CUresult error = primary_of(device, &context);

	if (error == CUDA_SUCCESS && !pool)
		error = CUDA_ERROR_INVALID_VALUE;
	if (error == CUDA_SUCCESS)
		*pool = context->pool;
	return error;
}

EXPORT CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool)
{
	struct CUctx_st *context;
	CUresult error = primary_of(device, &context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(pool, KIND_POOL) || pool->context != context)
		return CUDA_ERROR_INVALID_VALUE;
	context->pool = pool;
	return CUDA_SUCCESS;
}

static bool on_device(const CUmemLocation *location, CUmemAllocationType type)
{
	return location && location->type == CU_MEM_LOCATION_TYPE_DEVICE &&
	       type == CU_MEM_ALLOCATION_TYPE_PINNED;
}

EXPORT CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool, CUmemLocation *location,
				       CUmemAllocationType type)
{
	return on_device(location, type) ? cuDeviceGetDefaultMemPool(pool, location->id) :
					   CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location,
				CUmemAllocationType type)
{
	return on_device(location, type) ? cuDeviceGetMemPool(pool, location->id) :
					   CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type,
				CUmemoryPool pool)
{
	return on_device(location, type) ? cuDeviceSetMemPool(location->id, pool) :
					   CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuMemPoolCreate(CUmemoryPool *out, const CUmemPoolProps *properties)
{
	struct CUctx_st *context;
	CUresult error;

	if (!out || !properties)
		return CUDA_ERROR_INVALID_VALUE;
	if (properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    properties->allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE || properties->maxSize)
		return CUDA_ERROR_NOT_SUPPORTED;
	error = primary_of(properties->location.id, &context);
	if (error != CUDA_SUCCESS)
		return error;
	*out = pool_new(context);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
	struct CUmemPoolHandle_st **link;
	struct CUctx_st *context;

	if (!object_is(pool, KIND_POOL))
		return CUDA_ERROR_INVALID_VALUE;
	context = pool->context;
	if (pool == context->default_pool)
		return CUDA_ERROR_INVALID_VALUE;
	if (pool->used)
		return report(CUDA_ERROR_NOT_SUPPORTED, "a pool with %llu bytes in use is not destroyed",
			      (unsigned long long)pool->used);
	pthread_mutex_lock(&context->lock);
	for (link = &context->pools; *link && *link != pool; link = &(*link)->next)
		;
	if (*link)
		*link = pool->next;
	if (context->pool == pool)
		context->pool = context->default_pool;
	pthread_mutex_unlock(&context->lock);
	pool_end(pool);
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
	if (!object_is(pool, KIND_POOL))
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&pool->context->lock);
	pool_trim(pool, keep);
	pthread_mutex_unlock(&pool->context->lock);
	return CUDA_SUCCESS;
}

static int *reuse_flag(struct CUmemPoolHandle_st *pool, CUmemPool_attribute attribute)
{
	switch (attribute) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
		return &pool->reuse_event;
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
		return &pool->reuse_opportunistic;
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		return &pool->reuse_internal;
	default:
		return NULL;
	}
}

static uint64_t *count_of(struct CUmemPoolHandle_st *pool, CUmemPool_attribute attribute)
{
	switch (attribute) {
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		return &pool->threshold;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
		return &pool->reserved;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
		return &pool->reserved_high;
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		return &pool->used;
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		return &pool->used_high;
	default:
		return NULL;
	}
}

EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
				      void *value)
{
	if (!object_is(pool, KIND_POOL) || !value)
		return CUDA_ERROR_INVALID_VALUE;
	if (reuse_flag(pool, attribute))
		*(int *)value = *reuse_flag(pool, attribute);
	else if (count_of(pool, attribute))
		*(cuuint64_t *)value = *count_of(pool, attribute);
	else
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute,
				      void *value)
{
	if (!object_is(pool, KIND_POOL) || !value)
		return CUDA_ERROR_INVALID_VALUE;
	if (reuse_flag(pool, attribute)) {
		*reuse_flag(pool, attribute) = *(int *)value;
		return CUDA_SUCCESS;
	}
	if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
		pool->threshold = *(cuuint64_t *)value;
	else if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH && !*(cuuint64_t *)value)
		pool->reserved_high = pool->reserved;
	else if (attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH && !*(cuuint64_t *)value)
		pool->used_high = pool->used;
	else
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool pool,
				   CUmemLocation *location)
{
	if (!object_is(pool, KIND_POOL) || !flags || !location)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = location->type == CU_MEM_LOCATION_TYPE_DEVICE &&
				 location->id == pool->context->device->ordinal ?
			 CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *access, size_t count)
{
	if (!object_is(pool, KIND_POOL) || !access)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++) {
		bool own = access[i].location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
			   access[i].location.id == pool->context->device->ordinal;

		if (own ? access[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE :
			  access[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE)
			return own ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED;
	}
	return CUDA_SUCCESS;
}
