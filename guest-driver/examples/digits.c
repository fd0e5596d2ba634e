// SPDX-License-Identifier: Apache-2.0
/*
 * Trains a perceptron with one hidden layer to read drawn digits, on the GPU,
 * until it reads more than 95 % of digits that it was not trained with.
 *
 * The CPU trains the same network for the first steps: their losses must
 * agree. All weights lie in one allocation, so that the layers are pointers
 * into its middle, as a CUDA programmer would have it.
 */
#include "digits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "digits.wgsl.h"

#define BATCH 100u
#define TRAIN 6000u
#define HELD_OUT 1000u
#define CHECKED_STEPS 5u
#define RATE 0.002f
#define TARGET 0.95
#define LOSS_ERROR_MAX 2e-3

static const char usage[] =
	"usage: digits [EPOCHS]\n"
	"Trains a two-layer perceptron on drawn, noisy digits until it reads more than 95 % of held-out\n"
	"ones, for at most EPOCHS passes (1 to 200, default 30), on the virtual GPU that VGPU_DEVICE\n"
	"names (/dev/vgpuN or unix:PATH). The first steps are checked against the CPU.\n";

struct parameters {
	uint32_t batch, first, inputs, hidden, outputs, count;
	float rate;
	uint32_t pad;
};

struct network {
	struct example example;
	vgpu_function forward_hidden, forward_output, backward_hidden, gradient_hidden,
		gradient_output, adam;
	vgpu_devptr images, labels, weights, activation, delta_out, delta_hidden, losses, correct,
		gradient, mean, square;
};

struct data {
	float *images;
	uint32_t *labels;
};

static void network_build(struct network *n)
{
	struct example *e = &n->example;
	vgpu_module module = example_module(e, digits_wgsl);

	n->forward_hidden = example_function(e, module, "forward_hidden");
	n->forward_output = example_function(e, module, "forward_output");
	n->backward_hidden = example_function(e, module, "backward_hidden");
	n->gradient_hidden = example_function(e, module, "gradient_hidden");
	n->gradient_output = example_function(e, module, "gradient_output");
	n->adam = example_function(e, module, "adam");
	n->images = example_alloc(e, (TRAIN + HELD_OUT) * INPUTS * sizeof(float));
	n->labels = example_alloc(e, (TRAIN + HELD_OUT) * sizeof(uint32_t));
	n->weights = example_alloc(e, WEIGHTS * sizeof(float));
	n->activation = example_alloc(e, BATCH * HIDDEN * sizeof(float));
	n->delta_out = example_alloc(e, BATCH * OUTPUTS * sizeof(float));
	n->delta_hidden = example_alloc(e, BATCH * HIDDEN * sizeof(float));
	n->losses = example_alloc(e, BATCH * sizeof(float));
	n->correct = example_alloc(e, BATCH * sizeof(uint32_t));
	n->gradient = example_alloc(e, WEIGHTS * sizeof(float));
	n->mean = example_alloc(e, WEIGHTS * sizeof(float));
	n->square = example_alloc(e, WEIGHTS * sizeof(float));
}

static void launch(struct network *n, vgpu_function function, uint32_t columns, uint32_t block,
		   uint32_t rows, const struct vgpu_arg *args, uint32_t count)
{
	struct vgpu_dim3 grid = { (columns + block - 1) / block, rows, 1 };

	TRY(&n->example, vgpu_launch(n->example.context, function, grid,
				     (struct vgpu_dim3){ block, 1, 1 }, args, count,
				     VGPU_STREAM_DEFAULT));
}

static struct vgpu_arg layer(const struct network *n, uint32_t at)
{
	return vgpu_arg_pointer(n->weights + at * sizeof(float));
}

static void forward(struct network *n, const struct parameters *p)
{
	const struct vgpu_arg value = vgpu_arg_value(p, sizeof(*p));
	const struct vgpu_arg hidden[] = { value, vgpu_arg_pointer(n->images), layer(n, W1_AT),
					   layer(n, B1_AT), vgpu_arg_pointer(n->activation) };
	const struct vgpu_arg output[] = { value, vgpu_arg_pointer(n->labels), layer(n, W2_AT),
					   layer(n, B2_AT), vgpu_arg_pointer(n->activation),
					   vgpu_arg_pointer(n->delta_out),
					   vgpu_arg_pointer(n->losses),
					   vgpu_arg_pointer(n->correct) };

	launch(n, n->forward_hidden, HIDDEN, 64, p->batch, hidden, 5);
	launch(n, n->forward_output, p->batch, 64, 1, output, 8);
}

static void backward(struct network *n, const struct parameters *p)
{
	const struct vgpu_arg value = vgpu_arg_value(p, sizeof(*p));
	const struct vgpu_arg hidden[] = { value, layer(n, W2_AT), vgpu_arg_pointer(n->activation),
					   vgpu_arg_pointer(n->delta_out),
					   vgpu_arg_pointer(n->delta_hidden) };
	const struct vgpu_arg first[] = { value, vgpu_arg_pointer(n->images),
					  vgpu_arg_pointer(n->delta_hidden),
					  vgpu_arg_pointer(n->gradient) };
	const struct vgpu_arg second[] = { value, vgpu_arg_pointer(n->activation),
					   vgpu_arg_pointer(n->delta_out),
					   vgpu_arg_pointer(n->gradient) };
	const struct vgpu_arg update[] = { value, vgpu_arg_pointer(n->gradient), layer(n, 0),
					   vgpu_arg_pointer(n->mean),
					   vgpu_arg_pointer(n->square) };

	launch(n, n->backward_hidden, HIDDEN, 64, p->batch, hidden, 5);
	launch(n, n->gradient_hidden, HIDDEN, 64, INPUTS + 1, first, 4);
	launch(n, n->gradient_output, OUTPUTS, 16, HIDDEN + 1, second, 4);
	launch(n, n->adam, WEIGHTS, 64, 1, update, 5);
}

static struct parameters parameters(uint32_t first, uint32_t step)
{
	/* Adam's correction of its means for the first steps. */
	float correction = sqrtf(1 - powf(ADAM_SQUARE, (float)step)) /
			   (1 - powf(ADAM_MEAN, (float)step));

	return (struct parameters){ .batch = BATCH, .first = first, .inputs = INPUTS,
				    .hidden = HIDDEN, .outputs = OUTPUTS, .count = WEIGHTS,
				    .rate = step ? RATE * correction : 0 };
}

static float batch_loss(struct network *n)
{
	float losses[BATCH], sum = 0;

	TRY(&n->example, vgpu_memcpy_d2h(n->example.context, losses, n->losses, sizeof(losses)));
	for (uint32_t i = 0; i < BATCH; i++)
		sum += losses[i];
	return sum / BATCH;
}

static double held_out_accuracy(struct network *n)
{
	uint32_t correct[BATCH], right = 0;

	for (uint32_t at = 0; at < HELD_OUT; at += BATCH) {
		struct parameters p = parameters(TRAIN + at, 0);

		forward(n, &p);
		TRY(&n->example, vgpu_memcpy_d2h(n->example.context, correct, n->correct,
						 sizeof(correct)));
		for (uint32_t i = 0; i < BATCH; i++)
			right += correct[i];
	}
	return (double)right / HELD_OUT;
}

/* The first steps, on both. */
static bool check_first_steps(struct network *n, const struct data *data, const float *guess,
			      uint32_t *step)
{
	struct digits_reference *reference = calloc(1, sizeof(*reference));
	bool ok = reference != NULL;

	if (reference)
		memcpy(reference->weights, guess, sizeof(reference->weights));
	for (uint32_t i = 0; ok && i < CHECKED_STEPS; i++) {
		struct parameters p = parameters(i * BATCH, ++*step);
		float expected, loss;

		forward(n, &p);
		backward(n, &p);
		loss = batch_loss(n);
		expected = digits_reference_step(reference, data->images + p.first * INPUTS,
						 data->labels + p.first, BATCH, p.rate);
		ok = fabsf(loss - expected) <= LOSS_ERROR_MAX * (1 + expected);
		printf("digits: step %u, loss %.5f, on the CPU %.5f%s\n", *step, loss, expected,
		       ok ? "" : ": too far apart");
	}
	free(reference);
	return ok;
}

static bool train(struct network *n, long epochs, uint32_t *step)
{
	double accuracy = 0;

	for (long epoch = 1; epoch <= epochs && accuracy <= TARGET; epoch++) {
		for (uint32_t at = 0; at < TRAIN; at += BATCH) {
			struct parameters p = parameters(at, ++*step);

			forward(n, &p);
			backward(n, &p);
		}
		float loss = batch_loss(n);

		accuracy = held_out_accuracy(n);
		printf("digits: epoch %ld, loss %.4f, accuracy %.1f %%\n", epoch, loss,
		       100 * accuracy);
	}
	if (accuracy <= TARGET)
		printf("digits: the accuracy is %.1f %%, it should be above %.0f %%\n",
		       100 * accuracy, 100 * TARGET);
	return accuracy > TARGET;
}

static void upload(struct network *n, const struct data *data, const float *guess)
{
	vgpu_context *context = n->example.context;

	TRY(&n->example, vgpu_memcpy_h2d(context, n->images, data->images,
					 (TRAIN + HELD_OUT) * INPUTS * sizeof(float)));
	TRY(&n->example, vgpu_memcpy_h2d(context, n->labels, data->labels,
					 (TRAIN + HELD_OUT) * sizeof(uint32_t)));
	TRY(&n->example, vgpu_memcpy_h2d(context, n->weights, guess, WEIGHTS * sizeof(float)));
	TRY(&n->example, vgpu_memset_d32(context, n->mean, 0, WEIGHTS));
	TRY(&n->example, vgpu_memset_d32(context, n->square, 0, WEIGHTS));
}

int main(int argc, char **argv)
{
	long epochs = 30;
	const struct example_number numbers[] = { { "EPOCHS", 1, 200, &epochs } };
	struct network network = { 0 };
	uint32_t step = 0;
	uint64_t seed = 4;
	struct data data;
	float *guess;
	bool ok;

	example_arguments(usage, argc, argv, numbers, 1);
	example_open(&network.example, "digits");
	data.images = example_memory(&network.example,
				     (TRAIN + HELD_OUT) * INPUTS * sizeof(float));
	data.labels = example_memory(&network.example, (TRAIN + HELD_OUT) * sizeof(uint32_t));
	guess = example_memory(&network.example, WEIGHTS * sizeof(float));
	digits_render(data.images, data.labels, TRAIN + HELD_OUT, &seed);
	digits_first_guess(guess, &seed);
	printf("digits: %u digits are drawn, %u to train with\n", TRAIN + HELD_OUT, TRAIN);
	network_build(&network);
	upload(&network, &data, guess);
	ok = check_first_steps(&network, &data, guess, &step);
	ok = ok && train(&network, epochs, &step);
	free(data.images);
	free(data.labels);
	free(guess);
	return example_close(&network.example, ok);
}
