// SPDX-License-Identifier: Apache-2.0
/*
 * Results, their texts, and how a context fails.
 *
 * A text belongs to the thread that made the call, so that threads do not
 * overwrite each other's. A context's failure is fetched from the device once,
 * when it is first seen, and kept: the device may be gone later.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text_buffer[TEXT_BYTES];

_Atomic unsigned int fork_generation_now;

enum vgpu_result fail(enum vgpu_result result, const char *format, ...)
{
	/* A text may quote the one it replaces. */
	char fresh[TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(fresh, sizeof(fresh), format, arguments);
	va_end(arguments);
	memcpy(text_buffer, fresh, sizeof(fresh));
	return result;
}

const char *thread_text(void)
{
	return text_buffer;
}

void thread_text_set(const char *text)
{
	snprintf(text_buffer, sizeof(text_buffer), "%s", text);
}

enum vgpu_result fail_status(const struct vgpu_response_header *header, const char *what)
{
	enum vgpu_result result = (enum vgpu_result)header->status;
	const char *why = vgpu_error_string(result);

	if (header->value || header->limit)
		return fail(result, "%s: %s (value %llu, limit %llu)", what, why,
			    (unsigned long long)header->value,
			    (unsigned long long)header->limit);
	return fail(result, "%s: %s", what, why);
}

enum vgpu_result lose(struct vgpu *context, const char *format, ...)
{
	char why[TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	pthread_mutex_lock(&context->failure_lock);
	if (context->failure == VGPU_SUCCESS) {
		context->failure = VGPU_ERROR_DEVICE_LOST;
		snprintf(context->failure_text, sizeof(context->failure_text), "%s", why);
	}
	atomic_store(&context->lost, true);
	pthread_mutex_unlock(&context->failure_lock);
	return context_failure(context);
}

/* Asks the device what went wrong. failure_lock is not held. */
static void failure_fetch(struct vgpu *context, enum vgpu_result *result, char *text)
{
	uint32_t status = timeline_status(context);
	struct vgpu_error_query_response record;
	enum vgpu_result asked;

	if (timeline_epoch(context) != context->epoch) {
		/* What failed first is what matters; nobody can be asked for more. */
		if (status != VGPU_STATUS_OK && status != VGPU_STATUS_DEVICE_LOST) {
			*result = (enum vgpu_result)status;
			snprintf(text, TEXT_BYTES, "the context failed: %s; then %s lost its state",
				 vgpu_error_string(*result), context->path);
			return;
		}
		*result = VGPU_ERROR_DEVICE_LOST;
		snprintf(text, TEXT_BYTES, "%s lost its state and was started anew",
			 context->path);
		return;
	}
	*result = (enum vgpu_result)status;
	snprintf(text, TEXT_BYTES, "the context failed: %s", vgpu_error_string(*result));
	asked = control_call(context, VGPU_REQ_ERROR_QUERY, NULL, 0, &record, sizeof(record),
			     "error query");
	if (asked == VGPU_SUCCESS && record.status != VGPU_STATUS_OK) {
		*result = (enum vgpu_result)record.status;
		snprintf(text, TEXT_BYTES, "%.*s (%s; stream %u, value %llu, limit %llu)",
			 (int)sizeof(record.text), record.text,
			 vgpu_error_string((enum vgpu_result)record.status), record.stream,
			 (unsigned long long)record.value, (unsigned long long)record.limit);
	}
}

enum vgpu_result context_failure(struct vgpu *context)
{
	enum vgpu_result result = VGPU_ERROR_DEVICE_LOST;
	char text[TEXT_BYTES];
	bool known;

	pthread_mutex_lock(&context->failure_lock);
	known = context->failure != VGPU_SUCCESS;
	pthread_mutex_unlock(&context->failure_lock);
	if (!known) {
		if (atomic_load(&context->lost)) {
			snprintf(text, sizeof(text), "the connection to %s is lost",
				 context->path);
		} else {
			failure_fetch(context, &result, text);
		}
	}
	pthread_mutex_lock(&context->failure_lock);
	if (context->failure == VGPU_SUCCESS) {
		context->failure = result;
		memcpy(context->failure_text, text, sizeof(text));
	}
	result = context->failure;
	thread_text_set(context->failure_text);
	pthread_mutex_unlock(&context->failure_lock);
	return result;
}

struct result_text {
	int value;
	const char *name;
	const char *text;
};

static const struct result_text texts[] = {
#define VGPU_STATUS_STRING(value, name, text) { value, name, text },
#include "status_strings.inc"
#undef VGPU_STATUS_STRING
	{ VGPU_ERROR_INVALID_ARGUMENT, "INVALID_ARGUMENT", "an argument has no meaning" },
	{ VGPU_ERROR_NO_DEVICE, "NO_DEVICE", "there is no virtual GPU" },
	{ VGPU_ERROR_OPEN_FAILED, "OPEN_FAILED", "the device can't be used" },
	{ VGPU_ERROR_NOT_READY, "NOT_READY", "the work has not finished" },
	{ VGPU_ERROR_FORKED, "FORKED", "the context belongs to the parent process" },
	{ VGPU_ERROR_HOST_MEMORY, "HOST_MEMORY", "host memory can't be had or pinned" },
	{ VGPU_ERROR_SYSTEM, "SYSTEM", "a system call failed" },
};

static const struct result_text *result_find(enum vgpu_result result)
{
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		if (texts[i].value == (int)result)
			return &texts[i];
	return NULL;
}

const char *vgpu_error_string(enum vgpu_result result)
{
	const struct result_text *found = result_find(result);

	return found ? found->text : "unknown error";
}

const char *vgpu_error_name(enum vgpu_result result)
{
	const struct result_text *found = result_find(result);

	return found ? (result == VGPU_SUCCESS ? "SUCCESS" : found->name) : "UNKNOWN";
}

const char *vgpu_last_error_text(vgpu_context *context)
{
	if (!text_buffer[0] && context) {
		pthread_mutex_lock(&context->failure_lock);
		if (context->failure != VGPU_SUCCESS)
			thread_text_set(context->failure_text);
		pthread_mutex_unlock(&context->failure_lock);
	}
	return text_buffer;
}
