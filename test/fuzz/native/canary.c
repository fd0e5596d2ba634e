// SPDX-License-Identifier: Apache-2.0
/* Has a bug that the fuzzer must find: else it would find nothing anywhere. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	volatile char *copy;

	if (bytes < 4 || memcmp(data, "vgpu", 4))
		return 0;
	copy = malloc(bytes);
	memcpy((char *)copy, data, bytes);
	/* Beyond its end, if the fifth byte says so. */
	if (bytes > 4 && data[4] == 7)
		copy[bytes] = 1;
	free((char *)copy);
	return 0;
}
