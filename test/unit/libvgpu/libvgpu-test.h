/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of libvgpu's C tests: each test is a function; a failed CHECK ends
 * the process with status 1 and says where. The runner gives each test a
 * process of its own.
 */
#ifndef LIBVGPU_TEST_H
#define LIBVGPU_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "libvgpu.h"

struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test parts_tests[], device_tests[], threads_tests[];

#define CHECK(condition) do { \
	if (!(condition)) { \
		fprintf(stderr, "%s:%d: CHECK(%s) failed; last error: %s\n", __FILE__, __LINE__, \
			#condition, vgpu_last_error_text(NULL)); \
		fflush(stderr); \
		_exit(1); \
	} } while (0)
#define OK(call) CHECK((call) == VGPU_SUCCESS)
#define FAILS(result, call) CHECK((call) == (result))
#define TEXT_HAS(part) CHECK(strstr(vgpu_last_error_text(NULL), part))

/* Starts mock-backend with up to three options; its socket becomes VGPU_DEVICE. */
struct mock {
	pid_t pid;
	char path[128];
};
struct mock mock_start(const char *option1, const char *option2, const char *option3);
/* Checks that it found no fault with us, and ends it. */
void mock_stop(struct mock *mock);
vgpu_context *open_default(void);
/* The module with the mock's functions. */
vgpu_module load_module(vgpu_context *context);
vgpu_function get_function(vgpu_context *context, const char *name);
double now_seconds(void);

#endif
