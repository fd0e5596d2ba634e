// SPDX-License-Identifier: Apache-2.0
/*
 * Counts byte values on the GPU, in pieces on two streams that an event
 * orders, and compares the counts with the CPU's.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>

#include "histogram.wgsl.h"

#define BINS 256
#define BLOCK 256u
#define GROUPS 64u

static const char usage[] =
	"usage: histogram [MIB]\n"
	"Counts the byte values in MIB MiB of data (1 to 64, default 8) on the virtual GPU that\n"
	"VGPU_DEVICE names (/dev/vgpuN or unix:PATH) and checks the result.\n";

static void launch(struct example *example, vgpu_function function, vgpu_devptr data,
		   vgpu_devptr bins, size_t words, vgpu_stream stream)
{
	struct { uint32_t words, stride; } parameters = { (uint32_t)words, BLOCK * GROUPS };
	const struct vgpu_arg args[] = {
		vgpu_arg_pointer(data), vgpu_arg_pointer(bins),
		vgpu_arg_value(&parameters, sizeof(parameters)),
	};

	TRY(example, vgpu_launch(example->context, function, (struct vgpu_dim3){ GROUPS, 1, 1 },
				 (struct vgpu_dim3){ 0, 0, 0 }, args, 3, stream));
}

static bool compare(const uint32_t *ours, const uint8_t *data, size_t bytes)
{
	uint32_t expected[BINS] = { 0 };

	for (size_t i = 0; i < bytes; i++)
		expected[data[i]]++;
	for (int i = 0; i < BINS; i++) {
		if (ours[i] != expected[i]) {
			printf("histogram: value %d is counted %u times instead of %u\n", i,
			       ours[i], expected[i]);
			return false;
		}
	}
	printf("histogram: all counts are right\n");
	return true;
}

int main(int argc, char **argv)
{
	long mib = 8;
	const struct example_number numbers[] = { { "MIB", 1, 64, &mib } };
	struct example example;
	vgpu_stream streams[2];
	vgpu_function function;
	vgpu_devptr data, bins;
	uint32_t counts[BINS];
	vgpu_event cleared, first;
	uint64_t seed = 3;
	size_t bytes, half;
	uint8_t *host;
	void *pinned;
	bool ok;

	example_arguments(usage, argc, argv, numbers, 1);
	bytes = (size_t)mib << 20;
	half = bytes / 2;
	example_open(&example, "histogram");
	TRY(&example, vgpu_host_alloc(example.context, bytes, &pinned));
	host = pinned;
	/* A sum of two throws: the counts differ from value to value. */
	for (size_t i = 0; i < bytes; i++) {
		uint32_t r = random_u32(&seed);

		host[i] = (uint8_t)(((r & 255) + (r >> 8 & 255)) / 2);
	}
	data = example_alloc(&example, bytes);
	bins = example_alloc(&example, sizeof(counts));
	function = example_function(&example, example_module(&example, histogram_wgsl), "histogram");
	TRY(&example, vgpu_event_create(example.context, &cleared));
	TRY(&example, vgpu_event_create(example.context, &first));
	for (int i = 0; i < 2; i++)
		TRY(&example, vgpu_stream_create(example.context, &streams[i]));
	printf("histogram: counting %ld MiB on two streams\n", mib);
	TRY(&example, vgpu_memset_d32_async(example.context, bins, 0xffffffff, BINS, streams[0]));
	TRY(&example, vgpu_memset_d32_async(example.context, bins, 0, BINS, streams[0]));
	TRY(&example, vgpu_event_record(example.context, cleared, streams[0]));
	TRY(&example, vgpu_event_wait(example.context, cleared, streams[1]));
	for (int i = 0; i < 2; i++) {
		size_t at = (size_t)i * half;

		TRY(&example, vgpu_memcpy_h2d_async(example.context, data + at, host + at, half,
						    streams[i]));
		launch(&example, function, data + at, bins, half / 4, streams[i]);
	}
	TRY(&example, vgpu_event_record(example.context, first, streams[0]));
	TRY(&example, vgpu_event_wait(example.context, first, streams[1]));
	TRY(&example, vgpu_memcpy_d2h_async(example.context, counts, bins, sizeof(counts),
					    streams[1]));
	TRY(&example, vgpu_synchronize(example.context));
	ok = compare(counts, host, bytes);
	return example_close(&example, ok);
}
