// SPDX-License-Identifier: Apache-2.0
/* See digits.h. */
#include "digits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

#define GLYPH_WIDTH 5
#define GLYPH_HEIGHT 7

/* One bit a pixel, the leftmost is the highest of five. */
static const uint8_t glyphs[OUTPUTS][GLYPH_HEIGHT] = {
	{ 0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e }, { 0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e },
	{ 0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f }, { 0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e },
	{ 0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02 }, { 0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e },
	{ 0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e }, { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08 },
	{ 0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e }, { 0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c },
};

static float glyph_at(uint32_t digit, int x, int y)
{
	if (x < 0 || y < 0 || x >= GLYPH_WIDTH || y >= GLYPH_HEIGHT)
		return 0;
	return glyphs[digit][y] >> (GLYPH_WIDTH - 1 - x) & 1 ? 1.0f : 0.0f;
}

/* Between pixels, in proportion. */
static float glyph_sample(uint32_t digit, float x, float y)
{
	float fx = floorf(x), fy = floorf(y), rx = x - fx, ry = y - fy;
	int ix = (int)fx, iy = (int)fy;

	return (1 - ry) * ((1 - rx) * glyph_at(digit, ix, iy) + rx * glyph_at(digit, ix + 1, iy)) +
	       ry * ((1 - rx) * glyph_at(digit, ix, iy + 1) + rx * glyph_at(digit, ix + 1, iy + 1));
}

static void render(float *image, uint32_t digit, uint64_t *seed)
{
	float scale_x = 1.5f + 0.8f * random_unit(seed);
	float scale_y = 1.5f + 0.5f * random_unit(seed);
	float slant = 0.5f * (random_unit(seed) - 0.5f);
	float shift_x = (float)SIDE / 2 + 4.0f * (random_unit(seed) - 0.5f);
	float shift_y = (float)SIDE / 2 + 3.0f * (random_unit(seed) - 0.5f);
	float ink = 0.7f + 0.3f * random_unit(seed);
	float noise = 0.05f + 0.2f * random_unit(seed);

	for (uint32_t y = 0; y < SIDE; y++) {
		for (uint32_t x = 0; x < SIDE; x++) {
			float v = ((float)y - shift_y) / scale_y;
			float u = ((float)x - shift_x) / scale_x + slant * v;

			image[y * SIDE + x] =
				ink * glyph_sample(digit, u + (GLYPH_WIDTH - 1) * 0.5f,
						   v + (GLYPH_HEIGHT - 1) * 0.5f) +
				noise * random_normal(seed);
		}
	}
}

void digits_render(float *images, uint32_t *labels, size_t count, uint64_t *seed)
{
	for (size_t i = 0; i < count; i++) {
		labels[i] = random_u32(seed) % OUTPUTS;
		render(images + i * INPUTS, labels[i], seed);
	}
}

void digits_first_guess(float *weights, uint64_t *seed)
{
	memset(weights, 0, WEIGHTS * sizeof(*weights));
	for (uint32_t i = 0; i < INPUTS * HIDDEN; i++)
		weights[W1_AT + i] = random_normal(seed) * sqrtf(2.0f / INPUTS);
	for (uint32_t i = 0; i < HIDDEN * OUTPUTS; i++)
		weights[W2_AT + i] = random_normal(seed) * sqrtf(1.0f / HIDDEN);
}

/* Forward for one sample; the loss, and the output's delta. */
static float forward(const float *w, const float *image, uint32_t label, float *hidden,
		     float *delta)
{
	float logits[OUTPUTS], largest = -1e30f, total = 0;

	for (uint32_t h = 0; h < HIDDEN; h++) {
		float sum = w[B1_AT + h];

		for (uint32_t i = 0; i < INPUTS; i++)
			sum += image[i] * w[W1_AT + i * HIDDEN + h];
		hidden[h] = fmaxf(sum, 0);
	}
	for (uint32_t o = 0; o < OUTPUTS; o++) {
		logits[o] = w[B2_AT + o];
		for (uint32_t h = 0; h < HIDDEN; h++)
			logits[o] += hidden[h] * w[W2_AT + h * OUTPUTS + o];
		largest = fmaxf(largest, logits[o]);
	}
	for (uint32_t o = 0; o < OUTPUTS; o++)
		total += expf(logits[o] - largest);
	for (uint32_t o = 0; o < OUTPUTS; o++)
		delta[o] = expf(logits[o] - largest) / total - (o == label ? 1.0f : 0.0f);
	return logf(total) + largest - logits[label];
}

/* Adds one sample's share to the gradient. */
static void backward(struct digits_reference *r, const float *image, const float *hidden,
		     const float *delta)
{
	for (uint32_t h = 0; h < HIDDEN; h++) {
		float back = 0;

		for (uint32_t o = 0; o < OUTPUTS; o++) {
			back += delta[o] * r->weights[W2_AT + h * OUTPUTS + o];
			r->gradient[W2_AT + h * OUTPUTS + o] += delta[o] * hidden[h];
		}
		if (hidden[h] <= 0)
			continue;
		r->gradient[B1_AT + h] += back;
		for (uint32_t i = 0; i < INPUTS; i++)
			r->gradient[W1_AT + i * HIDDEN + h] += back * image[i];
	}
	for (uint32_t o = 0; o < OUTPUTS; o++)
		r->gradient[B2_AT + o] += delta[o];
}

float digits_reference_step(struct digits_reference *r, const float *images,
			    const uint32_t *labels, uint32_t batch, float rate)
{
	float hidden[HIDDEN], delta[OUTPUTS], loss = 0;

	memset(r->gradient, 0, sizeof(r->gradient));
	for (uint32_t s = 0; s < batch; s++) {
		loss += forward(r->weights, images + s * INPUTS, labels[s], hidden, delta);
		for (uint32_t o = 0; o < OUTPUTS; o++)
			delta[o] /= (float)batch;
		backward(r, images + s * INPUTS, hidden, delta);
	}
	for (uint32_t i = 0; i < WEIGHTS; i++) {
		float g = r->gradient[i];

		r->mean[i] = ADAM_MEAN * r->mean[i] + (1 - ADAM_MEAN) * g;
		r->square[i] = ADAM_SQUARE * r->square[i] + (1 - ADAM_SQUARE) * g * g;
		r->weights[i] -= rate * r->mean[i] / (sqrtf(r->square[i]) + 1e-7f);
	}
	return loss / (float)batch;
}
