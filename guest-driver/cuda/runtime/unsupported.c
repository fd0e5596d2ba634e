// SPDX-License-Identifier: Apache-2.0
/*
 * Functions that this library does not have: each is there, so that programs
 * load, and says that it is not supported.
 */
#include "internal.h"

#define UNSUPPORTED(name) \
	cudaError_t name(void); \
	cudaError_t name(void) \
	{ \
		return runtime_fail(cudaErrorNotSupported); \
	}
#include "unsupported.inc"
