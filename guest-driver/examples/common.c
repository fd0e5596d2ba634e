// SPDX-License-Identifier: Apache-2.0
/* See common.h. */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

uint32_t random_u32(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1dull) >> 32);
}

float random_unit(uint64_t *state)
{
	return (float)(random_u32(state) >> 8) / 16777216.0f;
}

float random_normal(uint64_t *state)
{
	float radius = sqrtf(-2.0f * logf(1.0f - random_unit(state)));

	return radius * cosf(6.2831853f * random_unit(state));
}

void example_arguments(const char *usage, int count, char **arguments,
		       const struct example_number *numbers, int number_count)
{
	for (int i = 1; i < count; i++) {
		const struct example_number *number = &numbers[i - 1];
		char *end;

		if (!strcmp(arguments[i], "--help") || !strcmp(arguments[i], "-h")) {
			printf("%s", usage);
			exit(0);
		}
		if (i > number_count) {
			fprintf(stderr, "too many arguments: \"%s\"\n%s", arguments[i], usage);
			exit(2);
		}
		*number->value = strtol(arguments[i], &end, 10);
		if (*end || end == arguments[i] || *number->value < number->least ||
		    *number->value > number->most) {
			fprintf(stderr, "%s is \"%s\"; it must be a number from %ld to %ld\n",
				number->name, arguments[i], number->least, number->most);
			exit(2);
		}
	}
}

static void end_failed(const char *name)
{
	printf("{\"program\":\"%s\",\"ok\":false}\n", name);
	fflush(stdout);
	exit(1);
}

void example_check(struct example *example, enum vgpu_result result, const char *what)
{
	if (result == VGPU_SUCCESS)
		return;
	fprintf(stderr, "%s: %s: %s\n  in %s\n", example->name, vgpu_error_name(result),
		vgpu_last_error_text(example->context), what);
	end_failed(example->name);
}

void example_open(struct example *example, const char *name)
{
	struct vgpu_device_info info;

	/* Progress is seen as it comes, also through a pipe. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	example->name = name;
	example->context = NULL;
	example->begin_ms = now_ms();
	TRY(example, vgpu_open(NULL, &example->context));
	TRY(example, vgpu_device_info(example->context, &info));
	printf("%s: %s (%s)\n", name, info.adapter, info.path);
}

int example_close(struct example *example, bool ok)
{
	struct vgpu_stats stats = { 0 };

	TRY(example, vgpu_statistics(example->context, &stats));
	vgpu_close(example->context);
	printf("{\"program\":\"%s\",\"ok\":%s,\"ms\":%.3f,\"gpu_ms\":%.3f}\n", example->name,
	       ok ? "true" : "false", now_ms() - example->begin_ms,
	       (double)stats.gpu_time_ns / 1e6);
	return ok ? 0 : 1;
}

vgpu_module example_module(struct example *example, const char *code)
{
	vgpu_module module;

	TRY(example, vgpu_module_load(example->context, code, strlen(code), VGPU_FORMAT_WGSL,
				      &module, NULL, 0));
	return module;
}

vgpu_function example_function(struct example *example, vgpu_module module, const char *name)
{
	vgpu_function function;

	TRY(example, vgpu_function_get(example->context, module, name, &function));
	return function;
}

vgpu_devptr example_alloc(struct example *example, size_t bytes)
{
	vgpu_devptr pointer;

	TRY(example, vgpu_mem_alloc(example->context, bytes, &pointer));
	return pointer;
}

void *example_memory(struct example *example, size_t bytes)
{
	void *memory = malloc(bytes);

	if (!memory) {
		fprintf(stderr, "%s: no memory for %zu bytes\n", example->name, bytes);
		end_failed(example->name);
	}
	return memory;
}
