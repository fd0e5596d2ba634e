// SPDX-License-Identifier: Apache-2.0
/*
 * What kernels printed. A module whose kernels print has a buffer of records in
 * device memory; when the program waits for the device, the records are
 * fetched, formatted here and written to stdout, and the buffer begins anew.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 16u
#define RECORD_HEADER_BYTES 16u
#define BUFFER_BYTES_MAX (1u << 20)
#define TEXT_BYTES_MAX 4096u

struct format {
	struct format *next;
	vgpu_devptr at;
	char *text;
};

void formats_free(struct CUmod_st *module)
{
	while (module->formats) {
		struct format *format = module->formats;

		module->formats = format->next;
		free(format->text);
		free(format);
	}
}

/* A string in device memory: read in parts that stay within its allocation. */
static char *fetch_text(struct CUctx_st *context, vgpu_devptr at)
{
	char *text = calloc(1, TEXT_BYTES_MAX + 1);
	size_t have = 0, part = 256;

	while (text && have < TEXT_BYTES_MAX) {
		size_t bytes = MIN(part, TEXT_BYTES_MAX - have);

		if (vgpu_memcpy_d2h(context->vgpu, text + have, at + have, bytes) == VGPU_SUCCESS) {
			have += bytes;
			if (memchr(text, 0, have))
				break;
		} else if (part > 1) {
			part /= 2;
		} else {
			break;
		}
	}
	return text;
}

static const char *format_at(struct CUmod_st *module, vgpu_devptr at)
{
	struct format *format;

	for (format = module->formats; format; format = format->next)
		if (format->at == at)
			return format->text;
	format = calloc(1, sizeof(*format));
	if (!format)
		return "";
	format->at = at;
	format->text = fetch_text(module->context, at);
	format->next = module->formats;
	module->formats = format;
	return format->text ? format->text : "";
}

struct arguments {
	const uint8_t *data;
	uint32_t bytes, used;
};

/* The next argument: 4 or 8 bytes, aligned to its size; zero past the end. */
static uint64_t take(struct arguments *arguments, uint32_t bytes)
{
	uint32_t at = ALIGN_UP(arguments->used, bytes);
	uint64_t value = 0;

	if (at <= arguments->bytes && bytes <= arguments->bytes - at)
		memcpy(&value, arguments->data + at, bytes);
	arguments->used = at + bytes;
	return value;
}

/* One conversion, from '%' on; returns what follows it. */
static const char *print_one(struct CUmod_st *module, const char *from,
			     struct arguments *arguments)
{
	char spec[64];
	size_t bytes = 0;
	bool wide = false;
	double number;
	char *text;

	spec[bytes++] = *from++;
	while (*from && strchr("-+ #0123456789.*'", *from) && bytes < 40) {
		if (*from == '*')
			bytes += (size_t)snprintf(spec + bytes, 12, "%d",
						  (int)take(arguments, 4));
		else
			spec[bytes++] = *from;
		from++;
	}
	while (*from && strchr("hlLqjzt", *from)) {
		wide = wide || *from != 'h';
		from++;
	}
	if (!*from)
		return from;
	if (strchr("di", *from)) {
		snprintf(spec + bytes, 8, "ll%c", *from);
		/* The format is the kernel's, checked above to be one conversion. */
		printf(spec, wide ? (long long)take(arguments, 8) :
				    (long long)(int32_t)take(arguments, 4));
	} else if (strchr("ouxX", *from)) {
		snprintf(spec + bytes, 8, "ll%c", *from);
		printf(spec, (unsigned long long)take(arguments, wide ? 8 : 4));
	} else if (strchr("fFeEgGaA", *from)) {
		uint64_t bits = take(arguments, 8);

		memcpy(&number, &bits, 8);
		snprintf(spec + bytes, 4, "%c", *from);
		printf(spec, number);
	} else if (*from == 'c') {
		snprintf(spec + bytes, 4, "c");
		printf(spec, (int)take(arguments, 4));
	} else if (*from == 'p') {
		snprintf(spec + bytes, 4, "p");
		printf(spec, (void *)(uintptr_t)take(arguments, 8));
	} else if (*from == 's') {
		text = fetch_text(module->context, take(arguments, 8));
		snprintf(spec + bytes, 4, "s");
		printf(spec, text ? text : "");
		free(text);
	} else {
		/* As CUDA: what is no conversion is printed as it is. */
		putchar('%');
		if (*from != '%')
			putchar(*from);
	}
	return from + 1;
}

static void print_record(struct CUmod_st *module, const char *format, struct arguments *arguments)
{
	while (*format) {
		const char *next = strchrnul(format, '%');

		fwrite(format, 1, (size_t)(next - format), stdout);
		format = *next ? print_one(module, next, arguments) : next;
	}
}

static void print_records(struct CUmod_st *module, const uint8_t *data, uint32_t bytes)
{
	uint32_t at = 0;

	while (at + RECORD_HEADER_BYTES <= bytes) {
		struct arguments arguments = { .data = data + at + RECORD_HEADER_BYTES };
		uint32_t words[4];

		memcpy(words, data + at, sizeof(words));
		/* The kernel may write what it likes there. */
		if (words[0] < RECORD_HEADER_BYTES || words[0] > bytes - at ||
		    words[3] > words[0] - RECORD_HEADER_BYTES)
			break;
		arguments.bytes = words[3];
		print_record(module, format_at(module, (uint64_t)words[2] << 32 | words[1]),
			     &arguments);
		at += ALIGN_UP(words[0], 8u);
	}
	fflush(stdout);
}

static CUresult flush_module(struct CUmod_st *module)
{
	vgpu_context *vgpu = module->context->vgpu;
	uint32_t header[4], bytes;
	enum vgpu_result result;
	uint8_t *data;

	result = vgpu_memcpy_d2h(vgpu, header, module->printf_buffer, sizeof(header));
	if (result != VGPU_SUCCESS || !header[0])
		return result_of(result, vgpu);
	/* Past the end, records were dropped, but counted. */
	bytes = MIN(header[0], BUFFER_BYTES_MAX - HEADER_BYTES);
	data = malloc(bytes);
	if (!data)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = vgpu_memcpy_d2h(vgpu, data, module->printf_buffer + HEADER_BYTES, bytes);
	if (result == VGPU_SUCCESS)
		result = vgpu_memset_d8(vgpu, module->printf_buffer + HEADER_BYTES, 0, bytes);
	if (result == VGPU_SUCCESS)
		result = vgpu_memset_d32(vgpu, module->printf_buffer, 0, 1);
	if (result == VGPU_SUCCESS)
		print_records(module, data, bytes);
	free(data);
	return result_of(result, vgpu);
}

CUresult printf_flush(struct CUctx_st *context)
{
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	CUresult error = CUDA_SUCCESS;

	if (!atomic_load(&context->printed))
		return CUDA_SUCCESS;
	pthread_mutex_lock(&one_at_a_time);
	if (atomic_exchange(&context->printed, false))
		for (struct CUmod_st *m = context->modules; m && error == CUDA_SUCCESS; m = m->next)
			if (m->printf_buffer)
				error = flush_module(m);
	pthread_mutex_unlock(&one_at_a_time);
	return error;
}
