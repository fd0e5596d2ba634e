// SPDX-License-Identifier: Apache-2.0
/*
 * The bounce buffer: copies of memory that the device can't reach.
 *
 * One pinned block is handed out as a ring of pieces. A copy to the device
 * fills a piece, queues its copy and goes on: the piece is free once its fence
 * is reached. A copy from the device keeps several pieces in flight and empties
 * them in turn, so that the device and this thread work at the same time.
 *
 * A thread that holds pieces never waits for others' (it would be waiting for
 * threads that wait for it); it empties its own first.
 */
#include "internal.h"

#include <string.h>

#define PARTS_PER_RING 4u
#define PARTS_HELD_MAX 3u
/* Pieces from here on are sent at once, to overlap with filling the next. */
#define SEND_BYTES_MIN (64u << 10)
#define PIECE_ALIGN 256u

enum vgpu_result staging_init(struct vgpu *context)
{
	pthread_mutex_init(&context->staging.lock, NULL);
	pthread_cond_init(&context->staging.changed, NULL);
	return VGPU_SUCCESS;
}

void staging_free(struct vgpu *context)
{
	/* The block goes with its region. */
	pthread_mutex_destroy(&context->staging.lock);
	pthread_cond_destroy(&context->staging.changed);
}

static struct staging_piece *piece_at(struct staging *staging, uint32_t number)
{
	return &staging->pieces[number % STAGING_PIECES];
}

static void staging_reclaim(struct vgpu *context)
{
	struct staging *staging = &context->staging;

	while (staging->piece_tail != staging->piece_head) {
		struct staging_piece *piece = piece_at(staging, staging->piece_tail);

		if (!piece->released &&
		    (!piece->fence || !fence_reached(context, piece->stream, piece->fence)))
			break;
		staging->tail = piece->end;
		staging->piece_tail++;
	}
}

/* Room for bytes in one stretch; with the lock held. */
static bool staging_fit(struct staging *staging, uint32_t bytes, uint32_t *number,
			uint64_t *offset)
{
	uint64_t at = staging->head % staging->bytes;
	uint64_t begin = staging->head;
	struct staging_piece *piece;

	if (staging->piece_head - staging->piece_tail == STAGING_PIECES)
		return false;
	if (at + bytes > staging->bytes)
		begin += staging->bytes - at;
	if (begin + bytes - staging->tail > staging->bytes)
		return false;
	piece = piece_at(staging, staging->piece_head);
	*piece = (struct staging_piece){ .end = begin + bytes };
	*number = staging->piece_head++;
	*offset = begin % staging->bytes;
	staging->head = begin + bytes;
	return true;
}

/* Waits until the oldest piece is free; takes and gives up the lock meanwhile. */
static enum vgpu_result staging_wait(struct vgpu *context)
{
	struct staging *staging = &context->staging;
	struct staging_piece oldest = *piece_at(staging, staging->piece_tail);
	struct stream_state *stream = &context->streams[oldest.stream];
	enum vgpu_result result = VGPU_SUCCESS;

	if (!oldest.fence) {
		pthread_cond_wait(&staging->changed, &staging->lock);
		return VGPU_SUCCESS;
	}
	pthread_mutex_unlock(&staging->lock);
	if (atomic_load(&stream->submitted) < oldest.fence)
		result = stream_flush(context, stream);
	if (result == VGPU_SUCCESS)
		result = wait_fence(context, oldest.stream, oldest.fence);
	pthread_mutex_lock(&staging->lock);
	return result;
}

/* *memory stays NULL if there is no room and wait is false. */
static enum vgpu_result staging_get(struct vgpu *context, uint32_t bytes, bool wait,
				    uint32_t *number, uint64_t *offset, uint8_t **memory)
{
	struct staging *staging = &context->staging;
	enum vgpu_result result = VGPU_SUCCESS;

	*memory = NULL;
	bytes = ALIGN_UP(bytes, PIECE_ALIGN);
	pthread_mutex_lock(&staging->lock);
	if (!staging->block) {
		result = host_block_get(context, context->ops->staging_bytes, &staging->block);
		staging->bytes = context->ops->staging_bytes;
	}
	while (result == VGPU_SUCCESS) {
		staging_reclaim(context);
		if (staging_fit(staging, bytes, number, offset)) {
			*memory = host_block_memory(staging->block) + *offset;
			*offset += staging->block->offset;
			break;
		}
		if (!wait)
			break;
		result = staging_wait(context);
	}
	pthread_mutex_unlock(&staging->lock);
	return result;
}

/* The piece is free from fence on; fence 0: now. */
static void staging_put(struct vgpu *context, uint32_t number, uint32_t stream, uint64_t fence)
{
	struct staging *staging = &context->staging;
	struct staging_piece *piece;

	pthread_mutex_lock(&staging->lock);
	piece = piece_at(staging, number);
	piece->stream = stream;
	piece->fence = fence;
	piece->released = !fence;
	pthread_cond_broadcast(&staging->changed);
	pthread_mutex_unlock(&staging->lock);
}

static uint32_t part_bytes(const struct vgpu *context, size_t bytes)
{
	return (uint32_t)MIN(bytes, (size_t)(context->ops->staging_bytes / PARTS_PER_RING));
}

/* Queues the copy of one piece and sends it if it is large. */
static enum vgpu_result piece_copy(struct vgpu *context, struct stream_state *stream,
				   uint16_t opcode, vgpu_devptr pointer, uint64_t offset,
				   uint32_t bytes, uint64_t *fence)
{
	struct host_copy copy = { .opcode = opcode, .pointer = pointer,
				  .hostmem = context->staging.block->region->hostmem,
				  .offset = offset, .bytes = bytes };
	enum vgpu_result result = queue_copy_host(context, stream, &copy, fence);

	if (result == VGPU_SUCCESS && bytes >= SEND_BYTES_MIN)
		result = stream_flush(context, stream);
	return result;
}

enum vgpu_result staged_to_device(struct vgpu *context, struct stream_state *stream,
				  vgpu_devptr destination, const uint8_t *source, size_t bytes)
{
	while (bytes) {
		uint32_t part = part_bytes(context, bytes);
		enum vgpu_result result;
		uint64_t offset, fence = 0;
		uint32_t number;
		uint8_t *memory;

		result = staging_get(context, part, true, &number, &offset, &memory);
		if (result != VGPU_SUCCESS)
			return result;
		memcpy(memory, source, part);
		result = piece_copy(context, stream, VGPU_CMD_COPY_TO_DEVICE, destination, offset,
				    part, &fence);
		staging_put(context, number, stream->index, result == VGPU_SUCCESS ? fence : 0);
		if (result != VGPU_SUCCESS)
			return result;
		destination += part;
		source += part;
		bytes -= part;
	}
	return VGPU_SUCCESS;
}

struct held_part {
	uint32_t number;
	uint32_t bytes;
	uint64_t fence;
	uint8_t *memory;
};

/* Asks for the next part. *memory of it is NULL if there was no room. */
static enum vgpu_result part_fetch(struct vgpu *context, struct stream_state *stream,
				   vgpu_devptr source, size_t bytes, bool wait,
				   struct held_part *part)
{
	enum vgpu_result result;
	uint64_t offset;

	part->bytes = part_bytes(context, bytes);
	part->fence = 0;
	result = staging_get(context, part->bytes, wait, &part->number, &offset, &part->memory);
	if (result != VGPU_SUCCESS || !part->memory)
		return result;
	result = piece_copy(context, stream, VGPU_CMD_COPY_FROM_DEVICE, source, offset,
			    part->bytes, &part->fence);
	if (result != VGPU_SUCCESS)
		staging_put(context, part->number, stream->index, part->fence);
	return result;
}

enum vgpu_result staged_from_device(struct vgpu *context, struct stream_state *stream,
				    uint8_t *destination, vgpu_devptr source, size_t bytes)
{
	struct held_part held[PARTS_HELD_MAX];
	uint32_t first = 0, count = 0;
	enum vgpu_result result = VGPU_SUCCESS;

	while (result == VGPU_SUCCESS && (bytes || count)) {
		struct held_part *part = &held[(first + count) % PARTS_HELD_MAX];

		if (bytes && count < PARTS_HELD_MAX) {
			result = part_fetch(context, stream, source, bytes, !count, part);
			if (result != VGPU_SUCCESS)
				break;
			if (part->memory) {
				count++;
				source += part->bytes;
				bytes -= part->bytes;
				continue;
			}
		}
		part = &held[first];
		result = stream_flush(context, stream);
		if (result == VGPU_SUCCESS)
			result = wait_fence(context, stream->index, part->fence);
		if (result != VGPU_SUCCESS)
			break;
		memcpy(destination, part->memory, part->bytes);
		destination += part->bytes;
		staging_put(context, part->number, stream->index, 0);
		first = (first + 1) % PARTS_HELD_MAX;
		count--;
	}
	/* After an error the device may still write: the pieces wait for it. */
	for (; count; count--, first = (first + 1) % PARTS_HELD_MAX)
		staging_put(context, held[first].number, stream->index, held[first].fence);
	return result;
}
