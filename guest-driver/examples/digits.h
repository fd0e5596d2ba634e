/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data and the CPU reference of the digits example.
 */
#ifndef VGPU_EXAMPLES_DIGITS_H
#define VGPU_EXAMPLES_DIGITS_H

#include <stddef.h>
#include <stdint.h>

#define SIDE 16u
#define INPUTS (SIDE * SIDE)
#define HIDDEN 64u
#define OUTPUTS 10u
/* First layer with its bias, then the second: the order in which they lie. */
#define W1_AT 0u
#define B1_AT (INPUTS * HIDDEN)
#define W2_AT (B1_AT + HIDDEN)
#define B2_AT (W2_AT + HIDDEN * OUTPUTS)
#define WEIGHTS (B2_AT + OUTPUTS)

#define ADAM_MEAN 0.9f
#define ADAM_SQUARE 0.999f

/* Draws count digits, each shifted, scaled, slanted and noisy. Values about 0 to 1. */
void digits_render(float *images, uint32_t *labels, size_t count, uint64_t *seed);
/* Fills weights with a first guess. */
void digits_first_guess(float *weights, uint64_t *seed);

/* The network on the CPU, in the same order of operations. */
struct digits_reference {
	float weights[WEIGHTS], gradient[WEIGHTS], mean[WEIGHTS], square[WEIGHTS];
};
/* One step on a batch; the batch's mean loss before it. */
float digits_reference_step(struct digits_reference *reference, const float *images,
			    const uint32_t *labels, uint32_t batch, float rate);

#endif
