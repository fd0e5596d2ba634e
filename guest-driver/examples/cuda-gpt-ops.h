/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a GPT is made of, an element at a time: cuda-gpt.cu makes kernels of these
 * functions, and cuda-gpt.c loops over them for its reference. Only the matrix
 * product is written twice.
 *
 * Shapes: b sequences of t tokens make r = b·t rows; a row has c channels in h
 * heads; v is the size of the vocabulary. Everything is float32 and row-major.
 */
#ifndef CUDA_GPT_OPS_H
#define CUDA_GPT_OPS_H

#include <math.h>

#ifdef __CUDACC__
#define GPT_FUNCTION static __device__ __forceinline__
#else
#define GPT_FUNCTION static inline
#endif

/* x[r][c] = words[token of r][c] + places[position of r][c] */
GPT_FUNCTION void embed_at(int i, float *x, const int *tokens, const float *words,
			   const float *places, int t, int c)
{
	int row = i / c, channel = i % c;

	x[i] = words[tokens[row] * c + channel] + places[row % t * c + channel];
}

GPT_FUNCTION void layer_norm_at(int row, float *y, float *mean, float *scale, const float *x,
				const float *gain, const float *bias, int c)
{
	const float *in = x + row * c;
	float sum = 0, square = 0, m, s;

	for (int i = 0; i < c; i++)
		sum += in[i];
	m = sum / (float)c;
	for (int i = 0; i < c; i++)
		square += (in[i] - m) * (in[i] - m);
	s = 1.0f / sqrtf(square / (float)c + 1e-5f);
	for (int i = 0; i < c; i++)
		y[row * c + i] = (in[i] - m) * s * gain[i] + bias[i];
	mean[row] = m;
	scale[row] = s;
}

/* Adds to dx, which has the residual path's part already. */
GPT_FUNCTION void layer_norm_back_at(int row, float *dx, const float *dy, const float *x,
				     const float *mean, const float *scale, const float *gain,
				     int c)
{
	float sum = 0, dot = 0;

	for (int i = 0; i < c; i++) {
		float d = dy[row * c + i] * gain[i];

		sum += d;
		dot += d * (x[row * c + i] - mean[row]) * scale[row];
	}
	for (int i = 0; i < c; i++) {
		float n = (x[row * c + i] - mean[row]) * scale[row];
		float d = dy[row * c + i] * gain[i];

		dx[row * c + i] += (d - sum / (float)c - n * dot / (float)c) * scale[row];
	}
}

GPT_FUNCTION void layer_norm_weights_at(int channel, float *dgain, float *dbias, const float *dy,
					const float *x, const float *mean, const float *scale,
					int rows, int c)
{
	float gain = 0, bias = 0;

	for (int row = 0; row < rows; row++) {
		float d = dy[row * c + channel];

		gain += d * (x[row * c + channel] - mean[row]) * scale[row];
		bias += d;
	}
	dgain[channel] += gain;
	dbias[channel] += bias;
}

/* One query of one head: i counts sequences, heads, positions. qkv: [r][3c]. */
GPT_FUNCTION void attend_at(int i, float *y, float *weights, const float *qkv, int t, int c, int h)
{
	int position = i % t, head = i / t % h, sequence = i / t / h, size = c / h;
	const float *q = qkv + (sequence * t + position) * 3 * c + head * size;
	const float *k = qkv + sequence * t * 3 * c + c + head * size;
	const float *v = k + c;
	float *w = weights + (long)i * t, *out = y + (sequence * t + position) * c + head * size;
	float scale = 1.0f / sqrtf((float)size), most = -1e30f, total = 0;

	for (int s = 0; s <= position; s++) {
		float score = 0;

		for (int d = 0; d < size; d++)
			score += q[d] * k[s * 3 * c + d];
		w[s] = score * scale;
		most = fmaxf(most, w[s]);
	}
	for (int s = 0; s <= position; s++) {
		w[s] = expf(w[s] - most);
		total += w[s];
	}
	for (int s = 0; s <= position; s++)
		w[s] /= total;
	for (int d = 0; d < size; d++) {
		float sum = 0;

		for (int s = 0; s <= position; s++)
			sum += w[s] * v[s * 3 * c + d];
		out[d] = sum;
	}
}

/* The gradient of the scores, and of the query. */
GPT_FUNCTION void attend_back_query_at(int i, float *dscores, float *dqkv, const float *dy,
				       const float *weights, const float *qkv, int t, int c, int h)
{
	int position = i % t, head = i / t % h, sequence = i / t / h, size = c / h;
	const float *k = qkv + sequence * t * 3 * c + c + head * size;
	const float *v = k + c;
	const float *w = weights + (long)i * t;
	const float *d_out = dy + (sequence * t + position) * c + head * size;
	float *ds = dscores + (long)i * t;
	float *dq = dqkv + (sequence * t + position) * 3 * c + head * size;
	float scale = 1.0f / sqrtf((float)size), dot = 0;

	for (int s = 0; s <= position; s++) {
		float sum = 0;

		for (int d = 0; d < size; d++)
			sum += d_out[d] * v[s * 3 * c + d];
		ds[s] = sum;
		dot += sum * w[s];
	}
	for (int s = 0; s <= position; s++)
		ds[s] = w[s] * (ds[s] - dot) * scale;
	for (int d = 0; d < size; d++) {
		float sum = 0;

		for (int s = 0; s <= position; s++)
			sum += ds[s] * k[s * 3 * c + d];
		dq[d] = sum;
	}
}

/* The gradients of one key and one value, from all later queries. */
GPT_FUNCTION void attend_back_key_at(int i, float *dqkv, const float *dscores, const float *dy,
				     const float *weights, const float *qkv, int t, int c, int h)
{
	int position = i % t, head = i / t % h, sequence = i / t / h, size = c / h;
	const float *q = qkv + sequence * t * 3 * c + head * size;
	const float *d_out = dy + sequence * t * c + head * size;
	long first = (long)(i - position) * t + position;
	float *dk = dqkv + (sequence * t + position) * 3 * c + c + head * size;
	float *dv = dk + c;

	for (int d = 0; d < size; d++) {
		float key = 0, value = 0;

		for (int s = position; s < t; s++) {
			key += dscores[first + (long)s * t] * q[s * 3 * c + d];
			value += weights[first + (long)s * t] * d_out[s * c + d];
		}
		dk[d] = key;
		dv[d] = value;
	}
}

GPT_FUNCTION void gelu_at(int i, float *y, const float *x)
{
	float v = x[i];

	y[i] = 0.5f * v * (1.0f + tanhf(0.7978845608f * (v + 0.044715f * v * v * v)));
}

GPT_FUNCTION void gelu_back_at(int i, float *dx, const float *dy, const float *x)
{
	float v = x[i], u = tanhf(0.7978845608f * (v + 0.044715f * v * v * v));
	float slope = 0.7978845608f * (1.0f + 3 * 0.044715f * v * v);

	dx[i] = dy[i] * (0.5f * (1.0f + u) + 0.5f * v * (1.0f - u * u) * slope);
}

GPT_FUNCTION void add_at(int i, float *y, const float *a, const float *b)
{
	y[i] = a[i] + b[i];
}

/* The loss of a row and the gradient of its logits, which takes the logits' place. */
GPT_FUNCTION void cross_entropy_at(int row, float *loss, float *logits, const int *targets,
				   int rows, int v)
{
	float *x = logits + row * v;
	float most = x[0], total = 0;

	for (int i = 1; i < v; i++)
		most = fmaxf(most, x[i]);
	for (int i = 0; i < v; i++)
		total += expf(x[i] - most);
	loss[row] = logf(total) + most - x[targets[row]];
	for (int i = 0; i < v; i++) {
		float p = expf(x[i] - most) / total;

		x[i] = (p - (i == targets[row] ? 1.0f : 0.0f)) / (float)rows;
	}
}

GPT_FUNCTION void column_sums_at(int column, float *sums, const float *x, int rows, int columns)
{
	float sum = 0;

	for (int row = 0; row < rows; row++)
		sum += x[row * columns + column];
	sums[column] += sum;
}

/* i counts words and channels. */
GPT_FUNCTION void embed_back_words_at(int i, float *dwords, const float *dx, const int *tokens,
				      int rows, int c)
{
	int word = i / c, channel = i % c;
	float sum = 0;

	for (int row = 0; row < rows; row++)
		if (tokens[row] == word)
			sum += dx[row * c + channel];
	dwords[i] += sum;
}

GPT_FUNCTION void embed_back_places_at(int i, float *dplaces, const float *dx, int b, int t, int c)
{
	float sum = 0;

	for (int sequence = 0; sequence < b; sequence++)
		sum += dx[sequence * t * c + i];
	dplaces[i] += sum;
}

GPT_FUNCTION void adamw_at(int i, float *p, const float *g, float *m, float *v, float rate,
			   float bias1, float bias2, float decay)
{
	m[i] = 0.9f * m[i] + 0.1f * g[i];
	v[i] = 0.99f * v[i] + 0.01f * g[i] * g[i];
	p[i] -= rate * (m[i] / bias1 / (sqrtf(v[i] / bias2) + 1e-8f) + decay * p[i]);
}

#endif
