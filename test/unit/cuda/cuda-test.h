/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the tests of libcuda and libcudart: each test is a function; a
 * failed CHECK ends the process with status 1 and says where. The runner gives
 * each test a process of its own.
 */
#ifndef CUDA_TEST_H
#define CUDA_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda.h"
#include "fake-vgpu.h"

struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test driver_tests[], graph_tests[], runtime_tests[];

#define CHECK(condition) do { \
	if (!(condition)) { \
		fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
		fflush(stderr); \
		_exit(1); \
	} } while (0)
#define GIVES(error, call) do { \
	int got_ = (int)(call); \
	if (got_ != (int)(error)) { \
		fprintf(stderr, "%s:%d: %s gives %d, not %d\n", __FILE__, __LINE__, #call, got_, \
			(int)(error)); \
		fflush(stderr); \
		_exit(1); \
	} } while (0)
#define OK(call) GIVES(0, call)

/* PTX for the fake device, and a context with a module of it. */
extern const char ptx[];
CUcontext make_context(void);
CUfunction get_function(const char *name);

#endif
