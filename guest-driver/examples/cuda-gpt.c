// SPDX-License-Identifier: Apache-2.0
/*
 * Trains a GPT-style transformer by CUDA: an ordinary program on the driver
 * interface, with kernels that nvcc compiled (cuda-gpt.cu). It knows nothing of
 * vGPUs; in a guest it loads para-vgpu's libcuda. With --reference the same
 * training runs on the CPU beside it, and the losses have to agree.
 *
 * Bytes are the tokens, and the text is this project's licence unless another is
 * named. All parameters lie in one array, so that one launch of AdamW moves all.
 */
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda.h"

#include "LICENSE.h"
#include "cuda-gpt-ops.h"
#include "cuda-gpt.ptx.h"

#define VOCABULARY 128
#define LAYERS_MAX 24
#define THREADS 64
#define TILE 16
#define TEXT_MAX (16 << 20)

static const char usage[] =
	"usage: cuda-gpt [OPTION]...\n"
	"Trains a small GPT on text, by CUDA on the virtual GPU that VGPU_DEVICE names (/dev/vgpuN\n"
	"or unix:PATH).\n"
	"  --steps N      steps of training (default 100)\n"
	"  --layers N     transformer blocks, 1 to 24 (default 4)\n"
	"  --width N      channels, a multiple of the heads (default 192)\n"
	"  --heads N      attention heads (default 4)\n"
	"  --length N     tokens of a sequence, 2 to 1024 (default 64)\n"
	"  --batch N      sequences of a step (default 4)\n"
	"  --rate X       learning rate (default 0.001)\n"
	"  --seed N       of weights and batches (default 1)\n"
	"  --text FILE    instead of the licence's text\n"
	"  --reference    train on the CPU too, and compare the losses of all steps\n"
	"  --help         this text\n";

struct options {
	int steps, layers, width, heads, length, batch, seed;
	float rate;
	bool reference;
	const char *text;
};

/* The parameters of one transformer block, as places in the array of all. */
struct block {
	float *gain1, *bias1, *qkv, *qkv_bias, *out, *out_bias;
	float *gain2, *bias2, *up, *up_bias, *down, *down_bias;
};

struct weights {
	float *words, *places, *gain, *bias;
	struct block blocks[LAYERS_MAX];
};

/* What a block's forward pass leaves for its backward pass. */
struct trace {
	float *in, *norm1, *mean1, *scale1, *qkv, *scores, *mixed, *middle;
	float *norm2, *mean2, *scale2, *up, *bent;
};

struct model {
	struct options o;
	bool on_cpu;
	int rows;
	size_t count;
	float *values, *gradients, *moments1, *moments2;
	struct weights w, d;
	struct trace traces[LAYERS_MAX];
	float *last, *norm, *mean, *scale, *logits, *loss, *branch;
	float *dx, *dnorm, *dwide, *dwide2, *dscores;
	int *tokens, *targets;
};

enum kernel {
	EMBED, LAYER_NORM, LAYER_NORM_BACK, LAYER_NORM_WEIGHTS, ATTEND, ATTEND_BACK_QUERY,
	ATTEND_BACK_KEY, GELU, GELU_BACK, ADD, CROSS_ENTROPY, COLUMN_SUMS, EMBED_BACK_WORDS,
	EMBED_BACK_PLACES, ADAMW, MULTIPLY, KERNELS
};
static const char *const kernel_names[KERNELS] = {
	"embed", "layer_norm", "layer_norm_back", "layer_norm_weights", "attend",
	"attend_back_query", "attend_back_key", "gelu", "gelu_back", "add", "cross_entropy",
	"column_sums", "embed_back_words", "embed_back_places", "adamw", "multiply",
};
static CUfunction kernels[KERNELS];

static void end_failed(void)
{
	printf("{\"program\":\"cuda-gpt\",\"ok\":false}\n");
	exit(1);
}

static void check(CUresult result, const char *what)
{
	const char *name = NULL;

	if (result == CUDA_SUCCESS)
		return;
	cuGetErrorName(result, &name);
	fprintf(stderr, "cuda-gpt: %s (%d)\n  in %s\n", name ? name : "an error", (int)result, what);
	end_failed();
}
#define TRY(call) check((call), #call)

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static unsigned int random_bits(unsigned long long *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)(*seed >> 33);
}

static void *device_pointer(CUdeviceptr address)
{
	return (void *)(uintptr_t)address;
}

static CUdeviceptr device_address(const void *pointer)
{
	return (CUdeviceptr)(uintptr_t)pointer;
}

/* `count` words of zeros, where the model computes. */
static void *allocate(const struct model *m, size_t count)
{
	CUdeviceptr address;
	void *memory;

	if (!m->on_cpu) {
		TRY(cuMemAlloc(&address, count * 4));
		TRY(cuMemsetD32(address, 0, count));
		return device_pointer(address);
	}
	memory = calloc(count, 4);
	if (!memory) {
		fprintf(stderr, "cuda-gpt: no memory for %zu words\n", count);
		end_failed();
	}
	return memory;
}

static void upload(const struct model *m, void *to, const void *from, size_t bytes)
{
	if (m->on_cpu)
		memcpy(to, from, bytes);
	else
		TRY(cuMemcpyHtoD(device_address(to), from, bytes));
}

static void download(const struct model *m, void *to, const void *from, size_t bytes)
{
	if (m->on_cpu)
		memcpy(to, from, bytes);
	else
		TRY(cuMemcpyDtoH(to, device_address(from), bytes));
}

static void launch(enum kernel kernel, int n, void **args)
{
	unsigned int blocks = ((unsigned int)n + THREADS - 1) / THREADS;

	TRY(cuLaunchKernel(kernels[kernel], blocks, 1, 1, THREADS, 1, 1, 0, NULL, args, NULL));
}

/* One operation on `count` elements: a loop of `element` over i here, or a launch there. */
#define RUN(m, kernel, count, element, ...) \
	do { \
		int n_ = (count); \
		if ((m)->on_cpu) { \
			for (int i = 0; i < n_; i++) \
				element; \
		} else { \
			void *args_[] = { &n_, __VA_ARGS__ }; \
			launch(kernel, n_, args_); \
		} \
	} while (0)

struct product {
	float *out;
	const float *a, *b, *bias;
	int m, n, k, turn_a, turn_b, adds;
};

static void multiply_on_cpu(const struct product *p)
{
	for (int row = 0; row < p->m; row++) {
		for (int column = 0; column < p->n; column++) {
			float sum = 0;

			for (int e = 0; e < p->k; e++)
				sum += p->a[p->turn_a ? e * p->m + row : row * p->k + e] *
				       p->b[p->turn_b ? column * p->k + e : e * p->n + column];
			if (p->bias)
				sum += p->bias[column];
			p->out[row * p->n + column] =
				p->adds ? p->out[row * p->n + column] + sum : sum;
		}
	}
}

static void multiply(const struct model *m, struct product p)
{
	void *args[] = { &p.out, &p.a, &p.b, &p.bias, &p.m, &p.n, &p.k,
			 &p.turn_a, &p.turn_b, &p.adds };

	if (m->on_cpu) {
		multiply_on_cpu(&p);
		return;
	}
	TRY(cuLaunchKernel(kernels[MULTIPLY], ((unsigned int)p.n + TILE - 1) / TILE,
			   ((unsigned int)p.m + TILE - 1) / TILE, 1, TILE, TILE, 1, 0, NULL, args,
			   NULL));
}

/* y = x·w + bias, for all rows. */
static void linear(const struct model *m, float *y, const float *x, const float *w,
		   const float *bias, int in, int out)
{
	multiply(m, (struct product){ y, x, w, bias, m->rows, out, in, 0, 0, 0 });
}

static void linear_back(const struct model *m, float *dx, float *dw, float *dbias,
			const float *dy, const float *x, const float *w, int in, int out)
{
	int rows = m->rows;

	multiply(m, (struct product){ dx, dy, w, NULL, rows, in, out, 0, 1, 0 });
	multiply(m, (struct product){ dw, x, dy, NULL, in, out, rows, 1, 0, 1 });
	RUN(m, COLUMN_SUMS, out, column_sums_at(i, dbias, dy, rows, out), &dbias, &dy, &rows);
}

static void norm(const struct model *m, float *y, float *mean, float *scale, const float *x,
		 const float *gain, const float *bias)
{
	int c = m->o.width;

	RUN(m, LAYER_NORM, m->rows, layer_norm_at(i, y, mean, scale, x, gain, bias, c),
	    &y, &mean, &scale, &x, &gain, &bias, &c);
}

static void norm_back(const struct model *m, float *dgain, float *dbias, const float *dy,
		      const float *x, const float *mean, const float *scale, const float *gain)
{
	int c = m->o.width, rows = m->rows;
	float *dx = m->dx;

	RUN(m, LAYER_NORM_BACK, rows, layer_norm_back_at(i, dx, dy, x, mean, scale, gain, c),
	    &dx, &dy, &x, &mean, &scale, &gain, &c);
	RUN(m, LAYER_NORM_WEIGHTS, c,
	    layer_norm_weights_at(i, dgain, dbias, dy, x, mean, scale, rows, c),
	    &dgain, &dbias, &dy, &x, &mean, &scale, &rows, &c);
}

static void add(const struct model *m, float *y, const float *a, const float *b)
{
	RUN(m, ADD, m->rows * m->o.width, add_at(i, y, a, b), &y, &a, &b);
}

static void block_forward(const struct model *m, int layer, float *out)
{
	const struct block *w = &m->w.blocks[layer];
	const struct trace *s = &m->traces[layer];
	int c = m->o.width, t = m->o.length, h = m->o.heads;
	float *mixed = s->mixed, *scores = s->scores, *qkv = s->qkv, *bent = s->bent, *up = s->up;

	norm(m, s->norm1, s->mean1, s->scale1, s->in, w->gain1, w->bias1);
	linear(m, qkv, s->norm1, w->qkv, w->qkv_bias, c, 3 * c);
	RUN(m, ATTEND, m->rows * h, attend_at(i, mixed, scores, qkv, t, c, h),
	    &mixed, &scores, &qkv, &t, &c, &h);
	linear(m, m->branch, mixed, w->out, w->out_bias, c, c);
	add(m, s->middle, s->in, m->branch);
	norm(m, s->norm2, s->mean2, s->scale2, s->middle, w->gain2, w->bias2);
	linear(m, up, s->norm2, w->up, w->up_bias, c, 4 * c);
	RUN(m, GELU, m->rows * 4 * c, gelu_at(i, bent, up), &bent, &up);
	linear(m, m->branch, bent, w->down, w->down_bias, 4 * c, c);
	add(m, out, s->middle, m->branch);
}

/* dx is the gradient of the block's output, and becomes that of its input. */
static void block_back(const struct model *m, int layer)
{
	const struct block *w = &m->w.blocks[layer], *d = &m->d.blocks[layer];
	const struct trace *s = &m->traces[layer];
	int c = m->o.width, t = m->o.length, h = m->o.heads;
	float *dwide = m->dwide, *dwide2 = m->dwide2, *dscores = m->dscores, *dnorm = m->dnorm;
	float *up = s->up, *scores = s->scores, *qkv = s->qkv;

	linear_back(m, dwide, d->down, d->down_bias, m->dx, s->bent, w->down, 4 * c, c);
	RUN(m, GELU_BACK, m->rows * 4 * c, gelu_back_at(i, dwide2, dwide, up),
	    &dwide2, &dwide, &up);
	linear_back(m, dnorm, d->up, d->up_bias, dwide2, s->norm2, w->up, c, 4 * c);
	norm_back(m, d->gain2, d->bias2, dnorm, s->middle, s->mean2, s->scale2, w->gain2);
	linear_back(m, dnorm, d->out, d->out_bias, m->dx, s->mixed, w->out, c, c);
	RUN(m, ATTEND_BACK_QUERY, m->rows * h,
	    attend_back_query_at(i, dscores, dwide, dnorm, scores, qkv, t, c, h),
	    &dscores, &dwide, &dnorm, &scores, &qkv, &t, &c, &h);
	RUN(m, ATTEND_BACK_KEY, m->rows * h,
	    attend_back_key_at(i, dwide, dscores, dnorm, scores, qkv, t, c, h),
	    &dwide, &dscores, &dnorm, &scores, &qkv, &t, &c, &h);
	linear_back(m, dnorm, d->qkv, d->qkv_bias, dwide, s->norm1, w->qkv, c, 3 * c);
	norm_back(m, d->gain1, d->bias1, dnorm, s->in, s->mean1, s->scale1, w->gain1);
}

static void forward_and_back(const struct model *m)
{
	int c = m->o.width, t = m->o.length, rows = m->rows, layers = m->o.layers, v = VOCABULARY;
	int *tokens = m->tokens, *targets = m->targets, b = m->o.batch;
	float *first = m->traces[0].in, *loss = m->loss, *logits = m->logits, *dx = m->dx;
	float *words = m->w.words, *places = m->w.places;
	float *dwords = m->d.words, *dplaces = m->d.places;

	RUN(m, EMBED, rows * c, embed_at(i, first, tokens, words, places, t, c),
	    &first, &tokens, &words, &places, &t, &c);
	for (int layer = 0; layer < layers; layer++)
		block_forward(m, layer, layer + 1 < layers ? m->traces[layer + 1].in : m->last);
	norm(m, m->norm, m->mean, m->scale, m->last, m->w.gain, m->w.bias);
	multiply(m, (struct product){ logits, m->norm, words, NULL, rows, v, c, 0, 1, 0 });
	RUN(m, CROSS_ENTROPY, rows, cross_entropy_at(i, loss, logits, targets, rows, v),
	    &loss, &logits, &targets, &v);

	multiply(m, (struct product){ m->dnorm, logits, words, NULL, rows, c, v, 0, 0, 0 });
	multiply(m, (struct product){ dwords, logits, m->norm, NULL, v, c, rows, 1, 0, 1 });
	if (m->on_cpu)
		memset(dx, 0, (size_t)rows * c * 4);
	else
		TRY(cuMemsetD32(device_address(dx), 0, (size_t)rows * c));
	norm_back(m, m->d.gain, m->d.bias, m->dnorm, m->last, m->mean, m->scale, m->w.gain);
	for (int layer = layers - 1; layer >= 0; layer--)
		block_back(m, layer);
	RUN(m, EMBED_BACK_WORDS, v * c, embed_back_words_at(i, dwords, dx, tokens, rows, c),
	    &dwords, &dx, &tokens, &rows, &c);
	RUN(m, EMBED_BACK_PLACES, t * c, embed_back_places_at(i, dplaces, dx, b, t, c),
	    &dplaces, &dx, &b, &t, &c);
}

/* Gives each parameter its place in an array that begins at `at`; how many there are. */
static size_t place_weights(const struct options *o, struct weights *w, float *at)
{
	float *start = at;
	size_t c = (size_t)o->width;

#define PLACE(name, n) (name = at, at += (n))
	PLACE(w->words, VOCABULARY * c);
	PLACE(w->places, (size_t)o->length * c);
	PLACE(w->gain, c);
	PLACE(w->bias, c);
	for (int layer = 0; layer < o->layers; layer++) {
		struct block *b = &w->blocks[layer];

		PLACE(b->gain1, c);
		PLACE(b->bias1, c);
		PLACE(b->qkv, c * 3 * c);
		PLACE(b->qkv_bias, 3 * c);
		PLACE(b->out, c * c);
		PLACE(b->out_bias, c);
		PLACE(b->gain2, c);
		PLACE(b->bias2, c);
		PLACE(b->up, c * 4 * c);
		PLACE(b->up_bias, 4 * c);
		PLACE(b->down, 4 * c * c);
		PLACE(b->down_bias, c);
	}
#undef PLACE
	return (size_t)(at - start);
}

static void fill(float *at, size_t count, float value)
{
	for (size_t i = 0; i < count; i++)
		at[i] = value;
}

/* The same for every model of these options. */
static void first_weights(const struct model *m, float *values)
{
	unsigned long long seed = (unsigned long long)m->o.seed * 2654435761u + 1;
	size_t c = (size_t)m->o.width;
	struct weights w;

	for (size_t i = 0; i < m->count; i++)
		values[i] = ((float)random_bits(&seed) / 1073741824.0f - 1.0f) * 0.035f;
	place_weights(&m->o, &w, values);
	fill(w.gain, c, 1);
	fill(w.bias, c, 0);
	for (int layer = 0; layer < m->o.layers; layer++) {
		struct block *b = &w.blocks[layer];

		fill(b->gain1, c, 1);
		fill(b->gain2, c, 1);
		fill(b->bias1, c, 0);
		fill(b->bias2, c, 0);
		fill(b->qkv_bias, 3 * c, 0);
		fill(b->out_bias, c, 0);
		fill(b->up_bias, 4 * c, 0);
		fill(b->down_bias, c, 0);
	}
}

static void make_model(struct model *m)
{
	size_t c = (size_t)m->o.width, rows, scores;
	float *values;

	m->rows = m->o.batch * m->o.length;
	rows = (size_t)m->rows;
	scores = rows * (size_t)m->o.heads * (size_t)m->o.length;
	m->count = place_weights(&m->o, &m->w, NULL);
	m->values = allocate(m, m->count);
	m->gradients = allocate(m, m->count);
	m->moments1 = allocate(m, m->count);
	m->moments2 = allocate(m, m->count);
	place_weights(&m->o, &m->w, m->values);
	place_weights(&m->o, &m->d, m->gradients);
	for (int layer = 0; layer < m->o.layers; layer++) {
		m->traces[layer] = (struct trace){
			allocate(m, rows * c), allocate(m, rows * c), allocate(m, rows),
			allocate(m, rows), allocate(m, rows * 3 * c), allocate(m, scores),
			allocate(m, rows * c), allocate(m, rows * c), allocate(m, rows * c),
			allocate(m, rows), allocate(m, rows), allocate(m, rows * 4 * c),
			allocate(m, rows * 4 * c),
		};
	}
	m->last = allocate(m, rows * c);
	m->norm = allocate(m, rows * c);
	m->mean = allocate(m, rows);
	m->scale = allocate(m, rows);
	m->logits = allocate(m, rows * VOCABULARY);
	m->loss = allocate(m, rows);
	m->branch = allocate(m, rows * c);
	m->dx = allocate(m, rows * c);
	m->dnorm = allocate(m, rows * c);
	m->dwide = allocate(m, rows * 4 * c);
	m->dwide2 = allocate(m, rows * 4 * c);
	m->dscores = allocate(m, scores);
	m->tokens = allocate(m, rows);
	m->targets = allocate(m, rows);
	values = calloc(m->count, sizeof(*values));
	if (!values)
		end_failed();
	first_weights(m, values);
	upload(m, m->values, values, m->count * 4);
	free(values);
}

/* One step on the given batch; its mean loss. */
static float train(const struct model *m, const int *tokens, const int *targets, int step)
{
	size_t rows = (size_t)m->rows;
	float *p = m->values, *g = m->gradients, *m1 = m->moments1, *m2 = m->moments2;
	float rate = m->o.rate, decay = 0.01f, sum = 0;
	float bias1 = 1.0f - powf(0.9f, (float)step), bias2 = 1.0f - powf(0.99f, (float)step);
	float *losses = calloc(rows, sizeof(*losses));

	if (!losses)
		end_failed();
	upload(m, m->tokens, tokens, rows * 4);
	upload(m, m->targets, targets, rows * 4);
	if (m->on_cpu)
		memset(g, 0, m->count * 4);
	else
		TRY(cuMemsetD32(device_address(g), 0, m->count));
	forward_and_back(m);
	RUN(m, ADAMW, (int)m->count, adamw_at(i, p, g, m1, m2, rate, bias1, bias2, decay),
	    &p, &g, &m1, &m2, &rate, &bias1, &bias2, &decay);
	download(m, losses, m->loss, rows * 4);
	for (size_t i = 0; i < rows; i++)
		sum += losses[i];
	free(losses);
	return sum / (float)rows;
}

static void open_device(void)
{
	CUdevice device;
	CUcontext context;
	CUmodule module;
	char log[1024] = "", name[128];
	CUjit_option wanted[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)(uintptr_t)sizeof(log) };
	CUresult loaded;

	TRY(cuInit(0));
	TRY(cuDeviceGet(&device, 0));
	TRY(cuDeviceGetName(name, sizeof(name), device));
	TRY(cuDevicePrimaryCtxRetain(&context, device));
	TRY(cuCtxSetCurrent(context));
	loaded = cuModuleLoadDataEx(&module, cuda_gpt_ptx, 2, wanted, values);
	if (loaded != CUDA_SUCCESS)
		fprintf(stderr, "cuda-gpt: %s\n", log);
	check(loaded, "cuModuleLoadDataEx");
	for (int k = 0; k < KERNELS; k++)
		check(cuModuleGetFunction(&kernels[k], module, kernel_names[k]), kernel_names[k]);
	printf("%s\n", name);
}

static char *read_text(const char *path, size_t *bytes)
{
	FILE *file = path ? fopen(path, "rb") : NULL;
	char *text;

	if (!path) {
		*bytes = sizeof(LICENSE) - 1;
		return strdup(LICENSE);
	}
	text = malloc(TEXT_MAX);
	if (!file || !text) {
		fprintf(stderr, "cuda-gpt: %s can't be read\n", path);
		exit(2);
	}
	*bytes = fread(text, 1, TEXT_MAX, file);
	fclose(file);
	return text;
}

static void next_batch(const struct options *o, const char *text, size_t bytes,
		       unsigned long long *seed, int *tokens, int *targets)
{
	size_t choices = bytes - (size_t)o->length;

	for (int b = 0; b < o->batch; b++) {
		size_t start = random_bits(seed) % choices;

		for (int t = 0; t < o->length; t++) {
			tokens[b * o->length + t] = text[start + (size_t)t] & 127;
			targets[b * o->length + t] = text[start + (size_t)t + 1] & 127;
		}
	}
}

static int number(const char *text, const char *option, int least, int most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || !*text || value < least || value > most) {
		fprintf(stderr, "--%s takes a number from %d to %d, not \"%s\"\n%s", option, least,
			most, text, usage);
		exit(2);
	}
	return (int)value;
}

static struct options parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "steps", required_argument, NULL, 's' },  { "layers", required_argument, NULL, 'l' },
		{ "width", required_argument, NULL, 'w' },  { "heads", required_argument, NULL, 'h' },
		{ "length", required_argument, NULL, 't' }, { "batch", required_argument, NULL, 'b' },
		{ "rate", required_argument, NULL, 'r' },   { "seed", required_argument, NULL, 'e' },
		{ "text", required_argument, NULL, 'f' },   { "reference", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, '?' },	    { NULL, 0, NULL, 0 },
	};
	struct options o = { 100, 4, 192, 4, 64, 4, 1, 1e-3f, false, NULL };
	int got, index = 0;

	while ((got = getopt_long(argc, argv, "", known, &index)) != -1) {
		switch (got) {
		case 's': o.steps = number(optarg, "steps", 1, 1000000); break;
		case 'l': o.layers = number(optarg, "layers", 1, LAYERS_MAX); break;
		case 'w': o.width = number(optarg, "width", 1, 4096); break;
		case 'h': o.heads = number(optarg, "heads", 1, 64); break;
		case 't': o.length = number(optarg, "length", 2, 1024); break;
		case 'b': o.batch = number(optarg, "batch", 1, 256); break;
		case 'e': o.seed = number(optarg, "seed", 0, 1000000000); break;
		case 'r': o.rate = strtof(optarg, NULL); break;
		case 'f': o.text = optarg; break;
		case 'c': o.reference = true; break;
		default:
			if (optopt == 0 && index >= 0 && strcmp(argv[optind - 1], "--help") == 0) {
				fputs(usage, stdout);
				exit(0);
			}
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc || o.width % o.heads != 0) {
		fprintf(stderr, "the width (%d) must be a multiple of the heads (%d)\n%s", o.width,
			o.heads, usage);
		exit(2);
	}
	return o;
}

struct progress {
	float first, last, worst;
	double ms;
};

static struct progress train_all(const struct model *gpu, const struct model *cpu,
				 const char *text, size_t bytes)
{
	const struct options *o = &gpu->o;
	unsigned long long seed = (unsigned long long)o->seed + 77;
	int *tokens = calloc((size_t)gpu->rows * 2, sizeof(*tokens));
	int *targets = tokens + gpu->rows, every = o->steps / 20 + 1;
	struct progress p = { 0 };

	if (!tokens)
		end_failed();
	for (int step = 1; step <= o->steps; step++) {
		double start;
		float loss, other = 0;

		next_batch(o, text, bytes, &seed, tokens, targets);
		start = now_ms();
		loss = train(gpu, tokens, targets, step);
		p.ms += now_ms() - start;
		if (cpu) {
			other = train(cpu, tokens, targets, step);
			p.worst = fmaxf(p.worst, fabsf(loss - other));
		}
		if (step == 1)
			p.first = loss;
		p.last = loss;
		if (step % every == 0 || step == 1 || step == o->steps) {
			printf("step %d: loss %.5f", step, (double)loss);
			if (cpu)
				printf(", on the CPU %.5f", (double)other);
			printf("\n");
			fflush(stdout);
		}
	}
	free(tokens);
	return p;
}

int main(int argc, char **argv)
{
	struct model gpu = { .o = parse(argc, argv) }, cpu = { .o = gpu.o, .on_cpu = true };
	struct progress p;
	size_t bytes;
	char *text = read_text(gpu.o.text, &bytes);
	bool ok;

	if (!text || bytes < (size_t)gpu.o.length + 2) {
		fprintf(stderr, "cuda-gpt: the text is too short\n");
		return 2;
	}
	open_device();
	make_model(&gpu);
	if (gpu.o.reference)
		make_model(&cpu);
	printf("%zu parameters, %zu bytes of text\n", gpu.count, bytes);
	p = train_all(&gpu, gpu.o.reference ? &cpu : NULL, text, bytes);
	free(text);
	ok = isfinite(p.last) && (gpu.o.steps < 2 || p.last < p.first) && p.worst <= 0.01f;
	printf("{\"program\":\"cuda-gpt\",\"ok\":%s,\"parameters\":%zu,\"steps\":%d,"
	       "\"first_loss\":%.5f,\"last_loss\":%.5f,\"reference_difference\":%.6f,"
	       "\"ms_per_step\":%.1f}\n",
	       ok ? "true" : "false", gpu.count, gpu.o.steps, (double)p.first, (double)p.last,
	       (double)p.worst, p.ms / gpu.o.steps);
	return ok ? 0 : 1;
}
