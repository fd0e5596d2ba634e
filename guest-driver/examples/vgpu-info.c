// SPDX-License-Identifier: Apache-2.0
/*
 * Says what the virtual GPU is and what it allows.
 */
#include "common.h"

#include <inttypes.h>
#include <stdio.h>

static const char usage[] =
	"usage: vgpu-info\n"
	"Prints the properties and limits of the virtual GPU that VGPU_DEVICE names (/dev/vgpuN or\n"
	"unix:PATH; by default the first /dev/vgpu*).\n";

static const struct {
	uint64_t bit;
	const char *name;
} capabilities[] = {
	{ VGPU_DEVICE_WGSL, "wgsl" },
	{ VGPU_DEVICE_F16, "f16" },
	{ VGPU_DEVICE_SUBGROUPS, "subgroups" },
	{ VGPU_DEVICE_TIMESTAMPS, "timestamps" },
};

int main(int argc, char **argv)
{
	struct example example = { .name = "vgpu-info" };
	struct vgpu_device_info info;
	struct vgpu_mem_info memory;

	example_arguments(usage, argc, argv, NULL, 0);
	TRY(&example, vgpu_open(NULL, &example.context));
	TRY(&example, vgpu_device_info(example.context, &info));
	TRY(&example, vgpu_mem_info(example.context, &memory));
	printf("device              %s\n", info.path);
	printf("adapter             %s\n", info.adapter);
	printf("vendor              0x%04x\n", info.vendor_id);
	printf("capabilities       ");
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
		if (info.capabilities & capabilities[i].bit)
			printf(" %s", capabilities[i].name);
	printf("\nmemory              %" PRIu64 " MiB, %" PRIu64 " MiB free\n",
	       memory.total_bytes >> 20, memory.free_bytes >> 20);
	printf("largest allocation  %" PRIu64 " MiB\n", info.allocation_bytes_max >> 20);
	printf("pinned memory       %" PRIu64 " MiB\n", info.pinned_bytes_max >> 20);
	printf("grid                %u in each dimension\n", info.grid_max);
	printf("block               %u x %u x %u, %u in all\n", info.block_max.x,
	       info.block_max.y, info.block_max.z, info.block_threads_max);
	printf("workgroup memory    %u bytes\n", info.shared_bytes_max);
	printf("subgroup            %u\n", info.subgroup_size);
	printf("contexts            %u\n", info.contexts_max);
	printf("per context         %u streams, %u events, %u modules, %u functions\n",
	       info.streams_max, info.events_max, info.modules_max, info.functions_max);
	printf("queued commands     %u\n", info.queued_commands_max);
	vgpu_close(example.context);
	return 0;
}
