/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workload of the benchmark suite: buffers, kernels, and the launches of one
 * step, read from a text file so that this client and the native reference run
 * the same thing. One item a line, words separated by one space:
 *
 *   buffer NAME BYTES zero | random SEED | below N SEED   words: 0, floats in
 *                                                         [-0.5, 0.5), or u32 below N
 *   kernel NAME FILE ENTRY             FILE: WGSL, beside the program
 *   uniform NAME WORD...               32-bit words in hexadecimal
 *   launch KERNEL X Y Z ARGUMENT...    NAME, NAME+BYTES (into a buffer), =UNIFORM
 *   result NAME COUNT                  floats that are summed up at the end
 */
#ifndef VGPU_EXAMPLES_BENCH_PROGRAM_H
#define VGPU_EXAMPLES_BENCH_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "libvgpu.h"

struct program;

/* Loads and sets it up; NULL with a text in error if that fails. */
struct program *program_open(vgpu_context *context, const char *path, char *error, size_t bytes);
/* Queues the launches of one step. */
bool program_step(struct program *program, char *error, size_t bytes);
/* Waits, reads the result and sums it up. */
bool program_sum(struct program *program, double *sum, char *error, size_t bytes);
/* Frees what it holds, on the device too. */
void program_close(struct program *program);

#endif
