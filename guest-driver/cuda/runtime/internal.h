/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of libcudart share. The runtime is a layer on the driver
 * interface: what it adds is a context that is there without asking, a last
 * error per thread, and kernels and variables by their addresses in the program.
 */
#ifndef LIBCUDART_INTERNAL_H
#define LIBCUDART_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda.h"
#include "cuda_runtime_api.h"

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- state.c ------------------------------------------------------------------ */

/* CUDA is initialised; no context is needed. */
CUresult runtime_init(void);
/* A context is current: the program's own, or the primary one of the thread's device. */
CUresult runtime_begin(void);
/* Remembers an error for cudaGetLastError(). */
cudaError_t runtime_done(CUresult error);
cudaError_t runtime_fail(cudaError_t error);
/* The thread's device. */
int runtime_device(void);

/* The body of a function that is one of the driver interface's, in a context. */
#define DRIVER(call) do { \
		CUresult error_ = runtime_begin(); \
		if (error_ == CUDA_SUCCESS) \
			error_ = (call); \
		return runtime_done(error_); \
	} while (0)
/* The same without one. */
#define DRIVER_INIT(call) do { \
		CUresult error_ = runtime_init(); \
		if (error_ == CUDA_SUCCESS) \
			error_ = (call); \
		return runtime_done(error_); \
	} while (0)

/* ---- register.c ------------------------------------------------------------------ */

/* A kernel by its address in the program, or a handle that is one already. */
CUresult symbol_kernel(const void *address, CUkernel *kernel);
/* The same as a function of the current context; kernels and functions are taken too. */
CUresult symbol_function(const void *address, CUfunction *function);
/* A variable by its address in the program. */
CUresult symbol_variable(const void *address, CUdeviceptr *pointer, size_t *bytes);
/* The address in the program of a kernel of that name, or NULL. */
const void *address_of_kernel(const char *name);
/* A channel's format, and how many there are. */
CUresult format_of(const struct cudaChannelFormatDesc *d, CUarray_format *format,
		   unsigned int *channels);
/*
 * Puts arrays in the place of pointers, where there are any; positions and widths are in
 * elements of the array then.
 */
CUresult sides_of_arrays(const struct cudaArray *source, cudaArray_t target, CUDA_MEMCPY3D *copy);
/* What cudaMemcpyKind says about the two sides; errors: INVALID direction. */
CUresult check_kind(enum cudaMemcpyKind kind);

static inline CUdeviceptr pointer_of(const void *pointer)
{
	return (CUdeviceptr)(uintptr_t)pointer;
}

#endif
