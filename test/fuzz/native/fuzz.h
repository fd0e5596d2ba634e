/* SPDX-License-Identifier: Apache-2.0 */
/* What the native fuzz targets share: bytes of an input, and a promise that does not hold. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMISE(condition)                                                         \
	do {                                                                       \
		if (!(condition)) {                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                   \
		}                                                                  \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

/* Behind the end of an input there are zeros. */
static inline void take(struct input *input, void *into, size_t bytes)
{
	size_t there = bytes < input->left ? bytes : input->left;

	memset(into, 0, bytes);
	memcpy(into, input->at, there);
	input->at += there;
	input->left -= there;
}

static inline uint64_t take_u64(struct input *input)
{
	uint64_t value;

	take(input, &value, sizeof(value));
	return value;
}

static inline uint32_t take_u32(struct input *input)
{
	return (uint32_t)take_u64(input);
}

static inline uint8_t take_u8(struct input *input)
{
	uint8_t value;

	take(input, &value, 1);
	return value;
}

#ifdef __cplusplus
extern "C"
#endif
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
