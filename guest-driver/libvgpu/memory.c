// SPDX-License-Identifier: Apache-2.0
/*
 * Device memory: the table of allocations, copies and fills.
 *
 * The table is what makes ordinary mistakes (a pointer of no allocation, a
 * range past its end) immediate errors that cost nothing, instead of ones that
 * make the whole context fail.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* From here on, pinning the user's pages is cheaper than copying them. */
#define PIN_COPY_BYTES_MIN (256u << 10)
/* Pinned at a time, so that a huge copy does not exhaust the device's limit. */
#define PIN_COPY_BYTES_MAX (64u << 20)

/* ---- The table; with table_lock held -------------------------------------------- */

/* Index of the first allocation that begins above pointer. */
static size_t allocation_above(const struct vgpu *context, vgpu_devptr pointer)
{
	size_t low = 0, high = context->allocation_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (context->allocations[middle].pointer <= pointer)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct allocation *allocation_find(const struct vgpu *context, vgpu_devptr pointer)
{
	size_t above = allocation_above(context, pointer);
	const struct allocation *found;

	if (!above)
		return NULL;
	found = &context->allocations[above - 1];
	return pointer - found->pointer <= found->bytes ? found : NULL;
}

uint64_t device_range_left(struct vgpu *context, vgpu_devptr pointer)
{
	const struct allocation *found = allocation_find(context, pointer);

	return found ? found->bytes - (pointer - found->pointer) : 0;
}

enum vgpu_result device_range_check(struct vgpu *context, vgpu_devptr pointer, uint64_t bytes,
				    const char *what)
{
	const struct allocation *found = allocation_find(context, pointer);

	if (unlikely(!found))
		return fail(VGPU_ERROR_POINTER_INVALID,
			    "%s: the device pointer 0x%llx lies in no allocation", what,
			    (unsigned long long)pointer);
	if (unlikely(bytes > found->bytes - (pointer - found->pointer)))
		return fail(VGPU_ERROR_OUT_OF_RANGE,
			    "%s: %llu bytes at offset %llu of the allocation 0x%llx, which has %llu",
			    what, (unsigned long long)bytes,
			    (unsigned long long)(pointer - found->pointer),
			    (unsigned long long)found->pointer,
			    (unsigned long long)found->bytes);
	return VGPU_SUCCESS;
}

static enum vgpu_result allocation_insert(struct vgpu *context, vgpu_devptr pointer,
					  uint64_t bytes, const struct module *module)
{
	size_t at = allocation_above(context, pointer);

	if (context->allocation_count == context->allocation_capacity) {
		size_t capacity = MAX(context->allocation_capacity * 2, (size_t)64);
		struct allocation *grown = realloc(context->allocations, capacity * sizeof(*grown));

		if (!grown)
			return fail(VGPU_ERROR_HOST_MEMORY, "no memory for the table of allocations");
		context->allocations = grown;
		context->allocation_capacity = capacity;
	}
	memmove(&context->allocations[at + 1], &context->allocations[at],
		(context->allocation_count - at) * sizeof(context->allocations[0]));
	context->allocations[at] = (struct allocation){ .pointer = pointer, .bytes = bytes,
							.module = module };
	context->allocation_count++;
	return VGPU_SUCCESS;
}

enum vgpu_result allocation_lend(struct vgpu *context, vgpu_devptr pointer, uint64_t bytes,
				 const struct module *module)
{
	size_t above = allocation_above(context, pointer);
	const struct allocation *known = above ? &context->allocations[above - 1] : NULL;

	/* Known already, or a part of what is: a variable among the managed ones. */
	if (known && pointer - known->pointer < known->bytes)
		return VGPU_SUCCESS;
	return allocation_insert(context, pointer, bytes, module);
}

void allocations_drop(struct vgpu *context, const struct module *module)
{
	size_t kept = 0;

	for (size_t i = 0; i < context->allocation_count; i++)
		if (context->allocations[i].module != module)
			context->allocations[kept++] = context->allocations[i];
	context->allocation_count = kept;
}

static enum vgpu_result device_free(struct vgpu *context, vgpu_devptr pointer)
{
	struct vgpu_memory_free_request request = { .pointer = pointer };

	return control_call(context, VGPU_REQ_MEMORY_FREE, &request, sizeof(request), NULL, 0,
			    "memory free");
}

enum vgpu_result vgpu_mem_alloc(vgpu_context *context, uint64_t bytes, vgpu_devptr *pointer)
{
	struct vgpu_memory_alloc_request request = { .bytes = bytes };
	struct vgpu_memory_alloc_response response;
	enum vgpu_result result = enter(context);

	if (result != VGPU_SUCCESS)
		return result;
	if (!pointer)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "pointer is NULL");
	*pointer = 0;
	if (!bytes)
		return fail(VGPU_ERROR_SIZE_ZERO, "device memory of 0 bytes");
	if (bytes > context->caps.segment_bytes_max)
		return fail(VGPU_ERROR_ALLOCATION_TOO_LARGE,
			    "an allocation of %llu bytes, the limit is %llu",
			    (unsigned long long)bytes,
			    (unsigned long long)context->caps.segment_bytes_max);
	request.flags = atomic_load_explicit(&context->memory_flags, memory_order_relaxed);
	result = control_call(context, VGPU_REQ_MEMORY_ALLOC, &request, sizeof(request), &response,
			      sizeof(response), "memory allocation");
	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_wrlock(&context->table_lock);
	result = allocation_insert(context, response.pointer, bytes, NULL);
	pthread_rwlock_unlock(&context->table_lock);
	if (result != VGPU_SUCCESS) {
		device_free(context, response.pointer);
		return result;
	}
	*pointer = response.pointer;
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_set_dense(vgpu_context *context)
{
	enum vgpu_result result = enter(context);

	if (result == VGPU_SUCCESS && (context->caps.capabilities & VGPU_CAP_PTX))
		atomic_store(&context->memory_flags, VGPU_MEMORY_DENSE);
	return result;
}

enum vgpu_result vgpu_mem_free(vgpu_context *context, vgpu_devptr pointer)
{
	enum vgpu_result result = enter(context);
	size_t above;

	if (result != VGPU_SUCCESS || !pointer)
		return result;
	pthread_rwlock_rdlock(&context->table_lock);
	above = allocation_above(context, pointer);
	if (!above || context->allocations[above - 1].pointer != pointer ||
	    context->allocations[above - 1].module)
		result = fail(VGPU_ERROR_POINTER_INVALID,
			      "0x%llx was not given by vgpu_mem_alloc() (or was freed)",
			      (unsigned long long)pointer);
	pthread_rwlock_unlock(&context->table_lock);
	if (result == VGPU_SUCCESS)
		result = streams_finish_all(context);
	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_wrlock(&context->table_lock);
	above = allocation_above(context, pointer);
	if (above && context->allocations[above - 1].pointer == pointer) {
		memmove(&context->allocations[above - 1], &context->allocations[above],
			(context->allocation_count - above) * sizeof(context->allocations[0]));
		context->allocation_count--;
	} else {
		result = fail(VGPU_ERROR_POINTER_INVALID, "0x%llx was freed by another thread",
			      (unsigned long long)pointer);
	}
	pthread_rwlock_unlock(&context->table_lock);
	return result == VGPU_SUCCESS ? device_free(context, pointer) : result;
}

enum vgpu_result vgpu_mem_info(vgpu_context *context, struct vgpu_mem_info *info)
{
	struct vgpu_memory_info_response response;
	enum vgpu_result result = enter(context);

	if (result != VGPU_SUCCESS)
		return result;
	if (!info)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "info is NULL");
	result = control_call(context, VGPU_REQ_MEMORY_INFO, NULL, 0, &response, sizeof(response),
			      "memory info");
	if (result != VGPU_SUCCESS)
		return result;
	*info = (struct vgpu_mem_info){ .total_bytes = response.total_bytes,
					.free_bytes = response.free_bytes,
					.context_bytes = response.context_bytes,
					.allocation_count = response.allocation_count };
	return VGPU_SUCCESS;
}

/* ---- Copies ------------------------------------------------------------------------- */

enum vgpu_result queue_copy_host(struct vgpu *context, struct stream_state *stream,
				 const struct host_copy *copy, uint64_t *fence)
{
	struct vgpu_command_copy_host *command;
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, copy->opcode,
				sizeof(struct vgpu_command_header) + sizeof(*command), &room);
	if (result == VGPU_SUCCESS) {
		command = room;
		command->pointer = copy->pointer;
		command->hostmem = copy->hostmem;
		command->reserved = 0;
		command->offset = copy->offset;
		command->bytes = copy->bytes;
		result = stream_commit(context, stream);
		if (fence)
			*fence = stream_next_fence(stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

static enum vgpu_result queue_write_inline(struct vgpu *context, struct stream_state *stream,
					   vgpu_devptr pointer, const void *source,
					   uint32_t bytes)
{
	struct vgpu_command_write_inline *command;
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, VGPU_CMD_WRITE_INLINE,
				(uint32_t)(sizeof(struct vgpu_command_header) +
					   sizeof(*command)) + bytes, &room);
	if (result == VGPU_SUCCESS) {
		command = room;
		command->pointer = pointer;
		command->bytes = bytes;
		command->reserved = 0;
		memcpy(command + 1, source, bytes);
		result = stream_commit(context, stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

/*
 * A copy of pageable memory by pinning it meanwhile: complete on return. False
 * if it can't be pinned (a read-only mapping, a limit): nothing was copied then
 * that a copy through the bounce buffer would not repeat.
 */
static bool copy_by_pinning(struct vgpu *context, struct stream_state *stream, uint16_t opcode,
			    vgpu_devptr pointer, const uint8_t *memory, size_t bytes,
			    enum vgpu_result *result)
{
	while (bytes) {
		size_t part = MIN(bytes, (size_t)PIN_COPY_BYTES_MAX);
		uint32_t hostmem;

		if (context->ops->pin(context, memory, part, &hostmem) != VGPU_SUCCESS)
			return false;
		*result = queue_copy_host(context, stream,
					  &(struct host_copy){ .opcode = opcode,
							       .pointer = pointer,
							       .hostmem = hostmem,
							       .bytes = part }, NULL);
		if (*result == VGPU_SUCCESS)
			*result = stream_finish(context, stream);
		context->ops->unpin(context, hostmem);
		if (*result != VGPU_SUCCESS)
			return true;
		memory += part;
		pointer += part;
		bytes -= part;
	}
	*result = VGPU_SUCCESS;
	return true;
}

static bool pins(const struct vgpu *context, size_t bytes)
{
	return context->ops->pins_user_memory && bytes >= PIN_COPY_BYTES_MIN;
}

/* Looks the pinned range up, checks the device's; true if the copy is queued or refused. */
static bool copy_pinned(struct vgpu *context, struct stream_state *stream, uint16_t opcode,
			vgpu_devptr pointer, const void *memory, size_t bytes,
			enum vgpu_result *result)
{
	struct pinned_range *range;
	bool done = true;

	pthread_rwlock_rdlock(&context->table_lock);
	*result = device_range_check(context, pointer, bytes,
				     opcode == VGPU_CMD_COPY_TO_DEVICE ?
				     "copy to the device" : "copy from the device");
	if (*result == VGPU_SUCCESS) {
		range = pinned_find(context, memory, bytes);
		if (range && (bytes > INLINE_PINNED_BYTES_MAX ||
			      opcode != VGPU_CMD_COPY_TO_DEVICE))
			*result = queue_copy_host(context, stream,
						  &(struct host_copy){
							  .opcode = opcode, .pointer = pointer,
							  .hostmem = range->hostmem,
							  .offset = range->offset +
								    ((uintptr_t)memory -
								     range->base),
							  .bytes = bytes }, NULL);
		else
			done = false;
	}
	pthread_rwlock_unlock(&context->table_lock);
	return done;
}

static enum vgpu_result copy_to_device(struct vgpu *context, vgpu_devptr destination,
				       const void *source, size_t bytes, vgpu_stream handle,
				       bool wait)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	if (!bytes)
		return wait ? stream_finish(context, stream) : VGPU_SUCCESS;
	if (!source)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the source of a copy of %zu bytes is NULL",
			    bytes);
	if (!copy_pinned(context, stream, VGPU_CMD_COPY_TO_DEVICE, destination, source, bytes,
			 &result)) {
		if (bytes <= INLINE_BYTES_MAX)
			result = queue_write_inline(context, stream, destination, source,
						    (uint32_t)bytes);
		else if (!pins(context, bytes) ||
			 !copy_by_pinning(context, stream, VGPU_CMD_COPY_TO_DEVICE, destination,
					  source, bytes, &result))
			result = staged_to_device(context, stream, destination, source, bytes);
	}
	if (result == VGPU_SUCCESS && wait)
		result = stream_finish(context, stream);
	return result;
}

static enum vgpu_result copy_from_device(struct vgpu *context, void *destination,
					 vgpu_devptr source, size_t bytes, vgpu_stream handle,
					 bool wait)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	if (!bytes)
		return wait ? stream_finish(context, stream) : VGPU_SUCCESS;
	if (!destination)
		return fail(VGPU_ERROR_INVALID_ARGUMENT,
			    "the destination of a copy of %zu bytes is NULL", bytes);
	if (!copy_pinned(context, stream, VGPU_CMD_COPY_FROM_DEVICE, source, destination, bytes,
			 &result)) {
		if (!pins(context, bytes) ||
		    !copy_by_pinning(context, stream, VGPU_CMD_COPY_FROM_DEVICE, source,
				     destination, bytes, &result))
			result = staged_from_device(context, stream, destination, source, bytes);
	}
	if (result == VGPU_SUCCESS && wait)
		result = stream_finish(context, stream);
	return result;
}

enum vgpu_result vgpu_memcpy_h2d(vgpu_context *context, vgpu_devptr destination,
				 const void *source, size_t bytes)
{
	return copy_to_device(context, destination, source, bytes, VGPU_STREAM_DEFAULT, true);
}

enum vgpu_result vgpu_memcpy_h2d_async(vgpu_context *context, vgpu_devptr destination,
				       const void *source, size_t bytes, vgpu_stream stream)
{
	return copy_to_device(context, destination, source, bytes, stream, false);
}

enum vgpu_result vgpu_memcpy_d2h(vgpu_context *context, void *destination, vgpu_devptr source,
				 size_t bytes)
{
	return copy_from_device(context, destination, source, bytes, VGPU_STREAM_DEFAULT, true);
}

enum vgpu_result vgpu_memcpy_d2h_async(vgpu_context *context, void *destination,
				       vgpu_devptr source, size_t bytes, vgpu_stream stream)
{
	return copy_from_device(context, destination, source, bytes, stream, false);
}

static enum vgpu_result queue_copy_device(struct vgpu *context, struct stream_state *stream,
					  vgpu_devptr destination, vgpu_devptr source,
					  uint64_t bytes)
{
	struct vgpu_command_copy_device *command;
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, VGPU_CMD_COPY_DEVICE,
				sizeof(struct vgpu_command_header) + sizeof(*command), &room);
	if (result == VGPU_SUCCESS) {
		command = room;
		command->destination = destination;
		command->source = source;
		command->bytes = bytes;
		result = stream_commit(context, stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

enum vgpu_result vgpu_memcpy_d2d_async(vgpu_context *context, vgpu_devptr destination,
				       vgpu_devptr source, uint64_t bytes, vgpu_stream handle)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	if (!bytes)
		return VGPU_SUCCESS;
	pthread_rwlock_rdlock(&context->table_lock);
	result = device_range_check(context, destination, bytes, "destination of a device copy");
	if (result == VGPU_SUCCESS)
		result = device_range_check(context, source, bytes, "source of a device copy");
	if (result == VGPU_SUCCESS)
		result = queue_copy_device(context, stream, destination, source, bytes);
	pthread_rwlock_unlock(&context->table_lock);
	return result;
}

enum vgpu_result vgpu_memcpy_d2d(vgpu_context *context, vgpu_devptr destination,
				 vgpu_devptr source, uint64_t bytes)
{
	enum vgpu_result result = vgpu_memcpy_d2d_async(context, destination, source, bytes,
							VGPU_STREAM_DEFAULT);

	return result == VGPU_SUCCESS ? stream_finish(context, &context->streams[0]) : result;
}
