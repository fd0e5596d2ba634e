// SPDX-License-Identifier: Apache-2.0
/*
 * Bodies under gravity, by CUDA: an ordinary program on the runtime interface,
 * with kernels that nvcc compiled (cuda-nbody.cu). It knows nothing of vGPUs; in
 * a guest it loads para-vgpu's libcudart and libcuda. A step of the first bodies
 * is checked against the CPU, and the momentum of all at the end.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda_runtime_api.h"

#include "cuda-nbody.ptx.h"

#define TILE 128u
#define SOFTENING 0.01f
#define CHECKED 64u

static const char usage[] =
	"usage: cuda-nbody [COUNT [STEPS]]\n"
	"Moves COUNT bodies (128 to 65536, a multiple of 128, default 2048) for STEPS steps (1 to\n"
	"10000, default 20) by CUDA on the virtual GPU that VGPU_DEVICE names (/dev/vgpuN or\n"
	"unix:PATH) and checks the result.\n";

struct body {
	float x, y, z, mass;
};

static void end_failed(void)
{
	printf("{\"program\":\"cuda-nbody\",\"ok\":false}\n");
	exit(1);
}

static void check(cudaError_t error, const char *what)
{
	if (error == cudaSuccess)
		return;
	fprintf(stderr, "cuda-nbody: %s: %s\n  in %s\n", cudaGetErrorName(error),
		cudaGetErrorString(error), what);
	end_failed();
}
#define TRY(call) check((call), #call)

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static float random_unit(unsigned long long *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (float)(*seed >> 40) / 16777216.0f;
}

static unsigned int number(const char *text, unsigned int least, unsigned int most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !*text || value < least || value > most) {
		fprintf(stderr, "\"%s\" must be a number from %u to %u\n%s", text, least, most,
			usage);
		exit(2);
	}
	return (unsigned int)value;
}

/* Largest difference of velocities after the first step, relative to the largest velocity. */
static float first_step_error(const struct body *bodies, const struct body *velocities,
			      unsigned int count, float step)
{
	float worst = 0, largest = 0;

	for (unsigned int i = 0; i < CHECKED; i++) {
		double a[3] = { 0, 0, 0 };
		const float *got = &velocities[i].x;

		for (unsigned int j = 0; j < count; j++) {
			double d[3] = { (double)bodies[j].x - bodies[i].x,
					(double)bodies[j].y - bodies[i].y,
					(double)bodies[j].z - bodies[i].z };
			double square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + SOFTENING;
			double pull = bodies[j].mass / (square * sqrt(square));

			for (int k = 0; k < 3; k++)
				a[k] += d[k] * pull;
		}
		for (int k = 0; k < 3; k++) {
			worst = fmaxf(worst, fabsf(got[k] - (float)(a[k] * step)));
			largest = fmaxf(largest, fabsf(got[k]));
		}
	}
	return worst / largest;
}

/* What all bodies together do: nothing, whatever they do to each other. */
static float drift(const struct body *bodies, const struct body *velocities, unsigned int count)
{
	double sum[3] = { 0, 0, 0 }, all = 0;

	for (unsigned int i = 0; i < count; i++) {
		const float *v = &velocities[i].x;

		for (int k = 0; k < 3; k++) {
			sum[k] += (double)bodies[i].mass * v[k];
			all += (double)bodies[i].mass * fabs(v[k]);
		}
	}
	return (float)((fabs(sum[0]) + fabs(sum[1]) + fabs(sum[2])) / all);
}

struct simulation {
	unsigned int count, steps;
	float step;
	struct body *bodies, *velocities;
	void *device_bodies, *device_velocities;
	cudaKernel_t accelerate, move;
	cudaStream_t stream;
};

static void prepare(struct simulation *s)
{
	size_t bytes = s->count * sizeof(struct body);
	unsigned long long seed = 7;
	cudaLibrary_t library;

	TRY(cudaLibraryLoadData(&library, cuda_nbody_ptx, NULL, NULL, 0, NULL, NULL, 0));
	TRY(cudaLibraryGetKernel(&s->accelerate, library, "accelerate"));
	TRY(cudaLibraryGetKernel(&s->move, library, "move"));
	TRY(cudaStreamCreate(&s->stream));
	TRY(cudaMallocHost((void **)&s->bodies, bytes));
	TRY(cudaMallocHost((void **)&s->velocities, bytes));
	TRY(cudaMalloc(&s->device_bodies, bytes));
	TRY(cudaMalloc(&s->device_velocities, bytes));
	for (unsigned int i = 0; i < s->count; i++) {
		s->bodies[i].x = random_unit(&seed) - 0.5f;
		s->bodies[i].y = random_unit(&seed) - 0.5f;
		s->bodies[i].z = random_unit(&seed) - 0.5f;
		s->bodies[i].mass = (0.5f + random_unit(&seed)) / (float)s->count;
	}
	TRY(cudaMemcpyAsync(s->device_bodies, s->bodies, bytes, cudaMemcpyHostToDevice,
			    s->stream));
	TRY(cudaMemsetAsync(s->device_velocities, 0, bytes, s->stream));
}

static void run_step(struct simulation *s)
{
	void *forces[] = { &s->device_bodies, &s->device_velocities, &s->count, &s->step };
	dim3 grid = { s->count / TILE, 1, 1 }, block = { TILE, 1, 1 };

	TRY(cudaLaunchKernel(s->accelerate, grid, block, forces, 0, s->stream));
	TRY(cudaLaunchKernel(s->move, grid, block, forces, 0, s->stream));
}

int main(int argc, char **argv)
{
	struct simulation s = { .count = 2048, .steps = 20, .step = 0.001f };
	double began = now_ms();
	struct cudaDeviceProp device;
	cudaEvent_t start, end;
	float ms, error, moved;
	size_t bytes;
	int ok;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 3 || (argc > 1 && argv[1][0] == '-')) {
		fputs(usage, argc > 1 && !strcmp(argv[1], "--help") ? stdout : stderr);
		return argc > 1 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	if (argc > 1)
		s.count = number(argv[1], TILE, 65536) / TILE * TILE;
	if (argc > 2)
		s.steps = number(argv[2], 1, 10000);
	bytes = s.count * sizeof(struct body);
	TRY(cudaGetDeviceProperties(&device, 0));
	printf("cuda-nbody: %s, compute capability %d.%d\n", device.name, device.major,
	       device.minor);
	prepare(&s);
	TRY(cudaEventCreate(&start));
	TRY(cudaEventCreate(&end));
	TRY(cudaEventRecord(start, s.stream));
	run_step(&s);
	TRY(cudaMemcpyAsync(s.velocities, s.device_velocities, bytes, cudaMemcpyDeviceToHost,
			    s.stream));
	for (unsigned int i = 1; i < s.steps; i++)
		run_step(&s);
	TRY(cudaEventRecord(end, s.stream));
	TRY(cudaStreamSynchronize(s.stream));
	TRY(cudaEventElapsedTime(&ms, start, end));
	error = first_step_error(s.bodies, s.velocities, s.count, s.step);
	TRY(cudaMemcpy(s.velocities, s.device_velocities, bytes, cudaMemcpyDeviceToHost));
	moved = drift(s.bodies, s.velocities, s.count);
	ok = error < 1e-4f && moved < 1e-4f;
	printf("cuda-nbody: %u bodies, %u steps: the first step is off by %.1e, the momentum by %.1e\n",
	       s.count, s.steps, (double)error, (double)moved);
	printf("{\"program\":\"cuda-nbody\",\"ok\":%s,\"ms\":%.3f,\"gpu_ms\":%.3f}\n",
	       ok ? "true" : "false", now_ms() - began, (double)ms);
	return ok ? 0 : 1;
}
