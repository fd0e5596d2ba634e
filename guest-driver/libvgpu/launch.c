// SPDX-License-Identifier: Apache-2.0
/*
 * Launches: checked against what the function declares, then written straight
 * into the stream's command buffer. This is the hot path: no allocation, no
 * system call unless the batch is sent.
 */
#include "internal.h"

#include <string.h>

static enum vgpu_result check_grid(const struct vgpu *context, struct vgpu_dim3 grid)
{
	uint32_t limit = context->caps.grid_max;

	if (unlikely(!grid.x || !grid.y || !grid.z))
		return fail(VGPU_ERROR_LAUNCH_SIZE,
			    "a grid of %u x %u x %u workgroups; each must be at least 1", grid.x,
			    grid.y, grid.z);
	if (unlikely(grid.x > limit || grid.y > limit || grid.z > limit))
		return fail(VGPU_ERROR_LAUNCH_SIZE,
			    "a grid of %u x %u x %u workgroups; the limit of each is %u", grid.x,
			    grid.y, grid.z, limit);
	return VGPU_SUCCESS;
}

uint32_t function_threads_max(const struct vgpu *context, const struct function *function)
{
	uint32_t limit = context->caps.block_threads_max;
	uint32_t own = function->info.block_threads_max;

	return own && own < limit ? own : limit;
}

static bool block_dimension_fits(uint32_t given, uint32_t declared)
{
	return declared ? given == declared : given != 0;
}

static enum vgpu_result check_block(const struct vgpu *context, const struct function *function,
				    struct vgpu_dim3 block)
{
	const struct vgpu_function_query_response *info = &function->info;
	const struct vgpu_capabilities_response *caps = &context->caps;
	const uint32_t threads_max = function_threads_max(context, function);
	uint64_t threads = (uint64_t)block.x * block.y;

	if (!block.x && !block.y && !block.z && info->block_x && info->block_y && info->block_z)
		return VGPU_SUCCESS;
	if (unlikely(!block_dimension_fits(block.x, info->block_x) ||
		     !block_dimension_fits(block.y, info->block_y) ||
		     !block_dimension_fits(block.z, info->block_z)))
		return fail(VGPU_ERROR_LAUNCH_BLOCK,
			    "a block of %u x %u x %u for \"%s\", which declares %u x %u x %u (0: the launch gives it)",
			    block.x, block.y, block.z, function->name, info->block_x,
			    info->block_y, info->block_z);
	/* Without overflow: threads is below 2^64 before the last factor. */
	if (unlikely(block.x > caps->block_max_x || block.y > caps->block_max_y ||
		     block.z > caps->block_max_z || threads > threads_max ||
		     threads * block.z > threads_max))
		return fail(VGPU_ERROR_LAUNCH_BLOCK,
			    "a block of %u x %u x %u for \"%s\"; the limit is %u x %u x %u and %u in all",
			    block.x, block.y, block.z, function->name, caps->block_max_x,
			    caps->block_max_y, caps->block_max_z, threads_max);
	return VGPU_SUCCESS;
}

static enum vgpu_result check_pointer(struct vgpu *context, const struct function *function,
				      uint32_t index, vgpu_devptr pointer)
{
	const struct vgpu_argument_info *wanted = &function->arguments[index];
	uint64_t left = device_range_left(context, pointer);

	if (unlikely(!left))
		return fail(VGPU_ERROR_POINTER_INVALID,
			    "argument %u (\"%.44s\") of \"%s\": 0x%llx lies in no allocation", index,
			    wanted->name, function->name, (unsigned long long)pointer);
	if (unlikely(left < wanted->bytes_min))
		return fail(VGPU_ERROR_OUT_OF_RANGE,
			    "argument %u (\"%.44s\") of \"%s\": %llu bytes to the end of the allocation, at least %u needed",
			    index, wanted->name, function->name, (unsigned long long)left,
			    wanted->bytes_min);
	if (unlikely(wanted->align > 1 && pointer % wanted->align))
		return fail(VGPU_ERROR_MISALIGNED,
			    "argument %u (\"%.44s\") of \"%s\": 0x%llx is not a multiple of %u", index,
			    wanted->name, function->name, (unsigned long long)pointer,
			    wanted->align);
	return VGPU_SUCCESS;
}

/* Checks all arguments; bytes gets what they need in the command. */
static enum vgpu_result check_arguments(struct vgpu *context, const struct function *function,
					const struct vgpu_arg *args, uint32_t count,
					uint32_t *bytes)
{
	if (unlikely(count != function->info.argument_count))
		return fail(VGPU_ERROR_ARGUMENT_COUNT, "%u arguments for \"%s\", which has %u",
			    count, function->name, function->info.argument_count);
	if (unlikely(count && !args))
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "args is NULL, arg_count %u", count);
	*bytes = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct vgpu_argument_info *wanted = &function->arguments[i];
		enum vgpu_result result;

		if (args[i].kind == VGPU_ARG_POINTER) {
			result = check_pointer(context, function, i, args[i].pointer);
			if (result != VGPU_SUCCESS)
				return result;
			*bytes += sizeof(struct vgpu_launch_argument) + 8;
			continue;
		}
		if (unlikely(args[i].kind != VGPU_ARG_VALUE ||
			     wanted->kind != VGPU_ARGUMENT_KIND_VALUE))
			return fail(VGPU_ERROR_ARGUMENT_KIND,
				    "argument %u (\"%.44s\") of \"%s\" is a %s, not of kind %u", i,
				    wanted->name, function->name,
				    wanted->kind == VGPU_ARGUMENT_KIND_VALUE ? "value" : "pointer",
				    args[i].kind);
		if (unlikely(args[i].bytes != wanted->bytes_min || !args[i].value))
			return fail(VGPU_ERROR_ARGUMENT_KIND,
				    "argument %u (\"%.44s\") of \"%s\": %u bytes%s, the variable has %u",
				    i, wanted->name, function->name, args[i].bytes,
				    args[i].value ? "" : " at NULL", wanted->bytes_min);
		if (unlikely(args[i].bytes > VGPU_LAUNCH_VALUE_BYTES_MAX))
			return fail(VGPU_ERROR_ARGUMENT_KIND,
				    "argument %u of \"%s\": %u bytes by value, the limit is %u; pass a pointer",
				    i, function->name, args[i].bytes,
				    VGPU_LAUNCH_VALUE_BYTES_MAX);
		*bytes += (uint32_t)sizeof(struct vgpu_launch_argument) +
			  ALIGN_UP(args[i].bytes, 8u);
	}
	return VGPU_SUCCESS;
}

static void write_arguments(uint8_t *to, const struct vgpu_arg *args, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct vgpu_launch_argument *head = (struct vgpu_launch_argument *)to;

		to += sizeof(*head);
		head->kind = args[i].kind;
		if (args[i].kind == VGPU_ARG_POINTER) {
			head->bytes = 8;
			memcpy(to, &args[i].pointer, 8);
			to += 8;
		} else {
			uint32_t padded = ALIGN_UP(args[i].bytes, 8u);

			head->bytes = args[i].bytes;
			memset(to + padded - 8, 0, 8);
			memcpy(to, args[i].value, args[i].bytes);
			to += padded;
		}
	}
}

static enum vgpu_result queue_launch(struct vgpu *context, struct stream_state *stream,
				     const struct vgpu_command_launch *launch,
				     const struct vgpu_arg *args, uint32_t bytes)
{
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, VGPU_CMD_LAUNCH,
				(uint32_t)(sizeof(struct vgpu_command_header) +
					   sizeof(*launch)) + bytes, &room);
	if (likely(result == VGPU_SUCCESS)) {
		memcpy(room, launch, sizeof(*launch));
		write_arguments((uint8_t *)room + sizeof(*launch), args, launch->argument_count);
		result = stream_commit(context, stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}

/* ---- PTX: one buffer of parameters ---------------------------------------------------- */

/* Puts arguments where the function's parameters lie. packed has room for all of them. */
static enum vgpu_result pack_parameters(const struct function *function,
					const struct vgpu_arg *args, uint32_t count,
					uint8_t *packed)
{
	if (unlikely(count != function->info.argument_count))
		return fail(VGPU_ERROR_ARGUMENT_COUNT, "%u arguments for \"%s\", which has %u",
			    count, function->name, function->info.argument_count);
	if (unlikely(count && !args))
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "args is NULL, arg_count %u", count);
	memset(packed, 0, function->parameter_bytes);
	for (uint32_t i = 0; i < count; i++) {
		const struct vgpu_argument_info *wanted = &function->arguments[i];
		bool pointer = args[i].kind == VGPU_ARG_POINTER;
		uint32_t bytes = pointer ? 8 : args[i].bytes;
		const void *value = pointer ? &args[i].pointer : args[i].value;

		if (unlikely(!pointer && args[i].kind != VGPU_ARG_VALUE))
			return fail(VGPU_ERROR_ARGUMENT_KIND, "argument %u of \"%s\" is of kind %u",
				    i, function->name, args[i].kind);
		if (unlikely(bytes != wanted->bytes_min || !value))
			return fail(VGPU_ERROR_ARGUMENT_KIND,
				    "argument %u of \"%s\": %u bytes%s, the parameter has %u", i,
				    function->name, bytes, value ? "" : " at NULL",
				    wanted->bytes_min);
		memcpy(packed + wanted->offset, value, bytes);
	}
	return VGPU_SUCCESS;
}

/* Queues a launch with the parameter buffer as its one argument; table_lock held. */
static enum vgpu_result queue_packed(struct vgpu *context, struct stream_state *stream,
				     const struct function *function,
				     struct vgpu_command_launch *launch, const void *parameters)
{
	const uint32_t bytes = function->parameter_bytes;
	const struct vgpu_arg arg = vgpu_arg_value(parameters, bytes);

	launch->function = function->wire;
	launch->argument_count = bytes ? 1 : 0;
	return queue_launch(context, stream, launch, &arg,
			    bytes ? (uint32_t)sizeof(struct vgpu_launch_argument) +
					    ALIGN_UP(bytes, 8u) : 0);
}

static enum vgpu_result launch_packed(struct vgpu *context, struct stream_state *stream,
				      const struct function *function,
				      struct vgpu_command_launch *launch,
				      const struct vgpu_arg *args)
{
	uint8_t packed[VGPU_LAUNCH_VALUE_BYTES_MAX];
	enum vgpu_result result;

	result = pack_parameters(function, args, launch->argument_count, packed);
	if (result != VGPU_SUCCESS)
		return result;
	return queue_packed(context, stream, function, launch, packed);
}

enum vgpu_result vgpu_launch_raw(vgpu_context *context, vgpu_function handle,
				 struct vgpu_dim3 grid, struct vgpu_dim3 block,
				 uint32_t shared_bytes, const void *parameters, uint32_t bytes,
				 vgpu_stream stream_handle)
{
	enum vgpu_result result = enter(context);
	struct vgpu_command_launch launch = {
		.grid_x = grid.x, .grid_y = grid.y, .grid_z = grid.z,
		.block_x = block.x, .block_y = block.y, .block_z = block.z,
		.shared_bytes = shared_bytes,
	};
	struct stream_state *stream;
	struct function *function;

	if (unlikely(result != VGPU_SUCCESS))
		return result;
	stream = stream_find(context, stream_handle);
	if (unlikely(!stream))
		return VGPU_ERROR_HANDLE_UNKNOWN;
	result = check_grid(context, grid);
	if (unlikely(result != VGPU_SUCCESS))
		return result;
	pthread_rwlock_rdlock(&context->table_lock);
	function = table_find(&context->functions, handle);
	if (unlikely(!function))
		result = VGPU_ERROR_HANDLE_UNKNOWN;
	else if (unlikely(function->format != VGPU_FORMAT_PTX))
		result = fail(VGPU_ERROR_NOT_SUPPORTED,
			      "\"%s\" is in WGSL, it has no parameter buffer", function->name);
	else if (unlikely(bytes != function->parameter_bytes || (bytes && !parameters)))
		result = fail(VGPU_ERROR_ARGUMENT_COUNT,
			      "%u bytes of parameters%s for \"%s\", which has %u", bytes,
			      bytes && !parameters ? " at NULL" : "", function->name,
			      function->parameter_bytes);
	if (result == VGPU_SUCCESS)
		result = check_block(context, function, block);
	if (result == VGPU_SUCCESS && function->info.shared_bytes + (uint64_t)shared_bytes >
					      context->caps.shared_bytes_max)
		result = fail(VGPU_ERROR_LAUNCH_SIZE,
			      "%u bytes of dynamic workgroup memory for \"%s\", which has %u of its own; the limit is %u",
			      shared_bytes, function->name, function->info.shared_bytes,
			      context->caps.shared_bytes_max);
	if (result == VGPU_SUCCESS)
		result = queue_packed(context, stream, function, &launch, parameters);
	pthread_rwlock_unlock(&context->table_lock);
	return result;
}

enum vgpu_result vgpu_launch(vgpu_context *context, vgpu_function handle, struct vgpu_dim3 grid,
			     struct vgpu_dim3 block, const struct vgpu_arg *args,
			     uint32_t arg_count, vgpu_stream stream_handle)
{
	enum vgpu_result result = enter(context);
	struct vgpu_command_launch launch = {
		.argument_count = arg_count,
		.grid_x = grid.x, .grid_y = grid.y, .grid_z = grid.z,
		.block_x = block.x, .block_y = block.y, .block_z = block.z,
	};
	struct stream_state *stream;
	struct function *function;
	uint32_t bytes = 0;

	if (unlikely(result != VGPU_SUCCESS))
		return result;
	stream = stream_find(context, stream_handle);
	if (unlikely(!stream))
		return VGPU_ERROR_HANDLE_UNKNOWN;
	result = check_grid(context, grid);
	if (unlikely(result != VGPU_SUCCESS))
		return result;
	pthread_rwlock_rdlock(&context->table_lock);
	function = table_find(&context->functions, handle);
	if (unlikely(!function))
		result = VGPU_ERROR_HANDLE_UNKNOWN;
	if (result == VGPU_SUCCESS)
		result = check_block(context, function, block);
	if (result == VGPU_SUCCESS && function->format == VGPU_FORMAT_PTX) {
		result = launch_packed(context, stream, function, &launch, args);
		pthread_rwlock_unlock(&context->table_lock);
		return result;
	}
	if (result == VGPU_SUCCESS)
		result = check_arguments(context, function, args, arg_count, &bytes);
	if (result == VGPU_SUCCESS) {
		launch.function = function->wire;
		result = queue_launch(context, stream, &launch, args, bytes);
	}
	pthread_rwlock_unlock(&context->table_lock);
	return result;
}
