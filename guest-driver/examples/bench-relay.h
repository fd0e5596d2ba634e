/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of a device in a process of its own: a page shared with a bare
 * process that has the GPU, with one word that asks for work and one that says
 * that it is done. No rings, no commands, no checks. That process is
 * bench/native-dawn.ts; the page is a file, and FILE.bell a pipe that it writes a
 * byte into when the client sleeps.
 */
#ifndef VGPU_EXAMPLES_BENCH_RELAY_H
#define VGPU_EXAMPLES_BENCH_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "libvgpu.h"

/* Asks `n` times, waiting as libvgpu does; a sample is the time until it is done, ns. False: errno. */
bool relay_round_trips(const char *path, enum vgpu_wait_mode mode, long n, uint64_t *samples);

#endif
