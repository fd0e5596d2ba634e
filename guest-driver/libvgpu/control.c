// SPDX-License-Identifier: Apache-2.0
/*
 * Control requests: asked and answered at once, on either transport.
 */
#include "internal.h"

#include <string.h>

/* Requests with more than this (none of user space's) would need the heap. */
#define CONTROL_PAYLOAD_MAX (64u + VGPU_NAME_BYTES_MAX)

enum vgpu_result control_exchange(struct vgpu *context, uint32_t type, const void *payload,
				  uint32_t payload_bytes, void *response, uint32_t response_bytes,
				  uint32_t *written, const char *what)
{
	_Alignas(8) uint8_t request[sizeof(struct vgpu_request_header) + CONTROL_PAYLOAD_MAX];
	struct vgpu_request_header *header = (struct vgpu_request_header *)request;
	const struct vgpu_response_header *answer = response;
	enum vgpu_result result;

	if (payload_bytes > CONTROL_PAYLOAD_MAX)
		return fail(VGPU_ERROR_INTERNAL, "%s: a payload of %u bytes, limit %u", what,
			    payload_bytes, CONTROL_PAYLOAD_MAX);
	memset(header, 0, sizeof(*header));
	header->type = type;
	if (payload_bytes)
		memcpy(request + sizeof(*header), payload, payload_bytes);
	result = context->ops->control(context, request,
				       (uint32_t)sizeof(*header) + payload_bytes, response,
				       response_bytes, written);
	if (result != VGPU_SUCCESS)
		return result;
	if (*written < sizeof(*answer))
		return fail(VGPU_ERROR_INTERNAL, "%s: an answer of %u bytes, at least %zu expected",
			    what, *written, sizeof(*answer));
	/* It was replaced while it had the request; a new context finds out by this, too. */
	if (answer->status == VGPU_STATUS_NOT_INITIALISED && type != VGPU_REQ_CONTEXT_CREATE)
		return lose(context, "%s: %s lost its state and was started anew", what,
			    context->path);
	if (answer->status != VGPU_STATUS_OK)
		return fail_status(answer, what);
	/* VGPU-DRV-11: what the device says is held against what it wrote. */
	if (answer->payload_bytes > *written - sizeof(*answer))
		return fail(VGPU_ERROR_INTERNAL,
			    "%s: an answer of %u bytes says that its payload has %u", what,
			    *written, answer->payload_bytes);
	*written = (uint32_t)sizeof(*answer) + answer->payload_bytes;
	return VGPU_SUCCESS;
}

enum vgpu_result control_call(struct vgpu *context, uint32_t type, const void *payload,
			      uint32_t payload_bytes, void *out, uint32_t out_bytes,
			      const char *what)
{
	_Alignas(8) uint8_t response[sizeof(struct vgpu_response_header) + 256];
	uint32_t written = 0;
	enum vgpu_result result;

	_Static_assert(sizeof(struct vgpu_capabilities_response) <= 256, "fits");
	_Static_assert(sizeof(struct vgpu_error_query_response) <= 256, "fits");
	result = control_exchange(context, type, payload, payload_bytes, response,
				  (uint32_t)sizeof(struct vgpu_response_header) + out_bytes,
				  &written, what);
	if (result != VGPU_SUCCESS)
		return result;
	if (written < sizeof(struct vgpu_response_header) + out_bytes)
		return fail(VGPU_ERROR_INTERNAL, "%s: an answer of %u bytes, %zu expected", what,
			    written, sizeof(struct vgpu_response_header) + out_bytes);
	if (out_bytes)
		memcpy(out, response + sizeof(struct vgpu_response_header), out_bytes);
	return VGPU_SUCCESS;
}
