// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a target without libFuzzer, for compilers that have none: the inputs
 * that are named, then so many changed copies of them.
 *
 * usage: TARGET COUNT SEED FILE...
 */
#include "fuzz.h"

#define BYTES_MAX 4096u
#define FILES_MAX 64

static uint64_t state;

static uint32_t below(uint32_t limit)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 32) % limit;
}

static size_t change(uint8_t *bytes, size_t length)
{
	static const uint8_t edges[] = { 0, 1, 2, 4, 7, 16, 64, 127, 128, 254, 255 };
	size_t at = length ? below((uint32_t)length) : 0;

	switch (below(6)) {
	case 0:
		if (length)
			bytes[at] ^= (uint8_t)(1u << below(8));
		return length;
	case 1:
		if (length)
			bytes[at] = edges[below(sizeof(edges))];
		return length;
	case 2:
		if (length < BYTES_MAX)
			bytes[length++] = (uint8_t)below(256);
		return length;
	case 3:
		return at;
	case 4:
		if (length >= 8 && at + 8 <= length)
			memset(bytes + at, below(2) ? 0xff : 0, 8);
		return length;
	default:
		for (int i = 0; i < 16 && length < BYTES_MAX; i++)
			bytes[length++] = (uint8_t)below(256);
		return length;
	}
}

int main(int argc, char **argv)
{
	static uint8_t seeds[FILES_MAX][BYTES_MAX], bytes[BYTES_MAX];
	static size_t lengths[FILES_MAX];
	long count = argc > 2 ? atol(argv[1]) : 0;
	int files = argc - 3 < FILES_MAX ? argc - 3 : FILES_MAX;

	if (count < 1 || files < 1)
		return 2;
	state = strtoull(argv[2], NULL, 10) * 2 + 1;
	for (int i = 0; i < files; i++) {
		FILE *file = fopen(argv[3 + i], "rb");

		if (!file)
			return 2;
		lengths[i] = fread(seeds[i], 1, BYTES_MAX, file);
		fclose(file);
		LLVMFuzzerTestOneInput(seeds[i], lengths[i]);
	}
	for (long i = 0; i < count; i++) {
		uint32_t seed = below((uint32_t)files);
		size_t length = lengths[seed];

		memcpy(bytes, seeds[seed], length);
		for (uint32_t changes = 1 + below(6); changes; changes--)
			length = change(bytes, length);
		LLVMFuzzerTestOneInput(bytes, length);
	}
	printf("%ld inputs\n", count);
	return 0;
}
