// SPDX-License-Identifier: Apache-2.0
/*
 * Fills of device memory with 8-, 16- and 32-bit values.
 */
#include "internal.h"

static enum vgpu_result queue_fill(struct vgpu *context, struct stream_state *stream,
				   vgpu_devptr pointer, uint32_t pattern, uint32_t width,
				   uint64_t bytes)
{
	struct vgpu_command_fill *command;
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, VGPU_CMD_FILL,
				sizeof(struct vgpu_command_header) + sizeof(*command), &room);
	if (result == VGPU_SUCCESS) {
		command = room;
		command->pointer = pointer;
		command->bytes = bytes;
		command->pattern = pattern;
		command->width = width;
		result = stream_commit(context, stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

static enum vgpu_result fill(struct vgpu *context, vgpu_devptr pointer, uint32_t pattern,
			     uint32_t width, uint64_t count, vgpu_stream handle, bool wait)
{
	enum vgpu_result result = enter(context);
	struct stream_state *stream;

	if (result != VGPU_SUCCESS)
		return result;
	stream = stream_find(context, handle);
	if (!stream)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	if (pointer % width)
		return fail(VGPU_ERROR_MISALIGNED,
			    "a fill with %u-byte values at 0x%llx, which is not a multiple of %u",
			    width, (unsigned long long)pointer, width);
	if (count > UINT64_MAX / width)
		return fail(VGPU_ERROR_OUT_OF_RANGE, "a fill of %llu values of %u bytes",
			    (unsigned long long)count, width);
	if (count) {
		pthread_rwlock_rdlock(&context->table_lock);
		result = device_range_check(context, pointer, count * width, "fill");
		if (result == VGPU_SUCCESS)
			result = queue_fill(context, stream, pointer, pattern, width,
					    count * width);
		pthread_rwlock_unlock(&context->table_lock);
	}
	if (result == VGPU_SUCCESS && wait)
		result = stream_finish(context, stream);
	return result;
}

enum vgpu_result vgpu_memset_d8(vgpu_context *context, vgpu_devptr pointer, uint8_t value,
				uint64_t count)
{
	return fill(context, pointer, value, 1, count, VGPU_STREAM_DEFAULT, true);
}

enum vgpu_result vgpu_memset_d16(vgpu_context *context, vgpu_devptr pointer, uint16_t value,
				 uint64_t count)
{
	return fill(context, pointer, value, 2, count, VGPU_STREAM_DEFAULT, true);
}

enum vgpu_result vgpu_memset_d32(vgpu_context *context, vgpu_devptr pointer, uint32_t value,
				 uint64_t count)
{
	return fill(context, pointer, value, 4, count, VGPU_STREAM_DEFAULT, true);
}

enum vgpu_result vgpu_memset_d8_async(vgpu_context *context, vgpu_devptr pointer, uint8_t value,
				      uint64_t count, vgpu_stream stream)
{
	return fill(context, pointer, value, 1, count, stream, false);
}

enum vgpu_result vgpu_memset_d16_async(vgpu_context *context, vgpu_devptr pointer,
				       uint16_t value, uint64_t count, vgpu_stream stream)
{
	return fill(context, pointer, value, 2, count, stream, false);
}

enum vgpu_result vgpu_memset_d32_async(vgpu_context *context, vgpu_devptr pointer,
				       uint32_t value, uint64_t count, vgpu_stream stream)
{
	return fill(context, pointer, value, 4, count, stream, false);
}
