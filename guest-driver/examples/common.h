/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the example programs share: arguments, time, a random generator that
 * gives the same numbers everywhere, and the closing line.
 *
 * Each program prints progress, checks the GPU's result against the CPU's, and
 * ends with one line of JSON; its exit status is 0 only if the check passed.
 */
#ifndef VGPU_EXAMPLES_COMMON_H
#define VGPU_EXAMPLES_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvgpu.h"

/* One run of one program. */
struct example {
	const char *name;
	vgpu_context *context;
	double begin_ms;
};

/*
 * Opens the device and says which; ends the process if that fails.
 * usage: printed for --help, and if there are more arguments than limits.
 * limits: the program's numeric arguments, each with a range and a default.
 */
struct example_number {
	const char *name;
	long least, most;
	long *value;
};
void example_arguments(const char *usage, int count, char **arguments,
		       const struct example_number *numbers, int number_count);
void example_open(struct example *example, const char *name);
/* Prints the closing line, closes the device and gives the exit status. */
int example_close(struct example *example, bool ok);

/* Ends the process with the library's text if result is an error. */
void example_check(struct example *example, enum vgpu_result result, const char *what);
#define TRY(example, call) example_check((example), (call), #call)

vgpu_module example_module(struct example *example, const char *code);
vgpu_function example_function(struct example *example, vgpu_module module, const char *name);
vgpu_devptr example_alloc(struct example *example, size_t bytes);
void *example_memory(struct example *example, size_t bytes);

double now_ms(void);
/* xorshift64*: the same numbers on every machine. */
uint32_t random_u32(uint64_t *state);
/* In [0, 1). */
float random_unit(uint64_t *state);
/* Normally distributed, mean 0, deviation 1. */
float random_normal(uint64_t *state);

#endif
