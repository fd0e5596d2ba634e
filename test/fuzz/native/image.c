// SPDX-License-Identifier: Apache-2.0
/* libcuda's module images: fat binaries and PTX of any bytes, in memory of just their size. */
#include "fuzz.h"
#include "../../../guest-driver/cuda/driver/image.c"

CUresult report(CUresult error, const char *format, ...)
{
	(void)format;
	return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct image image = { 0 };
	uint8_t *copy;
	char **names;
	size_t count;

	/* Without a length, an image is the program's own promise. */
	if (!bytes)
		return 0;
	copy = malloc(bytes);
	memcpy(copy, data, bytes);
	if (image_of(copy, bytes, &image) == CUDA_SUCCESS) {
		PROMISE(image.bytes <= bytes);
		count = image_names(&image, &names);
		for (size_t i = 0; i < count; i++)
			free(names[i]);
		free(names);
		image_release(&image);
	}
	free(copy);
	return 0;
}
