// SPDX-License-Identifier: Apache-2.0
/*
 * Images of modules: PTX text, and fat binaries with PTX among their entries.
 *
 * The device finds, decompresses and compiles the PTX; here a fat binary only
 * loses its machine code, which the device has no use for and which may be
 * larger than a module may be.
 */
#include "internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRAPPER_MAGIC 0x466243b1u
#define CONTAINER_MAGIC 0xba55ed50u
#define ENTRY_PTX 1u
/* Files beyond this are not modules. */
#define FILE_BYTES_MAX (1u << 30)

struct wrapper {
	uint32_t magic, version;
	const void *container;
	void *more;
};

struct container {
	uint32_t magic;
	uint16_t version, header_bytes;
	uint64_t bytes;
};

/* The beginning of an entry. */
struct entry {
	uint16_t kind, version;
	uint32_t header_bytes;
	uint64_t bytes;
};

static CUresult image_of_container(const uint8_t *data, size_t limit, struct image *image)
{
	size_t total, kept = 0, at;
	struct container head;
	uint8_t *copy;

	if (limit && limit < sizeof(head))
		return CUDA_ERROR_INVALID_IMAGE;
	/* Nothing in an image has to be aligned. */
	memcpy(&head, data, sizeof(head));
	if (head.header_bytes < sizeof(head) || head.bytes > FILE_BYTES_MAX)
		return CUDA_ERROR_INVALID_IMAGE;
	total = head.header_bytes + (size_t)head.bytes;
	if (limit && total > limit)
		return CUDA_ERROR_INVALID_IMAGE;
	copy = malloc(total);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(copy, data, head.header_bytes);
	kept = head.header_bytes;
	for (at = head.header_bytes; at + sizeof(struct entry) <= total;) {
		struct entry entry;
		uint64_t bytes;

		memcpy(&entry, data + at, sizeof(entry));
		bytes = entry.header_bytes + entry.bytes;
		if (entry.header_bytes < sizeof(entry) || entry.bytes > total ||
		    bytes > total - at) {
			free(copy);
			return CUDA_ERROR_INVALID_IMAGE;
		}
		if (entry.kind == ENTRY_PTX) {
			memcpy(copy + kept, data + at, bytes);
			kept += bytes;
		}
		at += bytes;
	}
	if (kept == head.header_bytes) {
		free(copy);
		return report(CUDA_ERROR_NO_BINARY_FOR_GPU,
			      "the fat binary has no PTX; build with -gencode arch=compute_75,code=compute_75 or the like");
	}
	((struct container *)copy)->bytes = kept - head.header_bytes;
	*image = (struct image){ copy, kept, VGPU_FORMAT_FATBIN, copy };
	return CUDA_SUCCESS;
}

CUresult image_of(const void *data, size_t bytes, struct image *image)
{
	uint32_t magic;

	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes && bytes < 4)
		return CUDA_ERROR_INVALID_IMAGE;
	/* Text may be shorter than a number, but not without its end. */
	if (!bytes && memchr(data, 0, 4))
		return CUDA_ERROR_INVALID_IMAGE;
	memcpy(&magic, data, 4);
	if (magic == WRAPPER_MAGIC && !bytes)
		return image_of(((const struct wrapper *)data)->container, 0, image);
	if (magic == CONTAINER_MAGIC)
		return image_of_container(data, bytes, image);
	if (!memcmp(data, "\177ELF", 4))
		return report(CUDA_ERROR_NO_BINARY_FOR_GPU,
			      "the image is machine code for an NVIDIA GPU; PTX is needed");
	*image = (struct image){ data, bytes ? bytes : strlen(data), VGPU_FORMAT_PTX, NULL };
	return CUDA_SUCCESS;
}

void image_release(struct image *image)
{
	free(image->owned);
	image->owned = NULL;
}

CUresult file_read(const char *path, void **data, size_t *bytes)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	CUresult error = CUDA_ERROR_FILE_NOT_FOUND;
	struct stat state;
	size_t have = 0;
	char *memory = NULL;

	if (file < 0)
		return report(error, "%s: %s", path, strerror(errno));
	if (!fstat(file, &state) && S_ISREG(state.st_mode) && state.st_size > 0 &&
	    state.st_size <= FILE_BYTES_MAX) {
		*bytes = (size_t)state.st_size;
		memory = malloc(*bytes + 1);
		error = memory ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	while (memory && have < *bytes) {
		ssize_t part = read(file, memory + have, *bytes - have);

		if (part <= 0) {
			error = CUDA_ERROR_FILE_NOT_FOUND;
			break;
		}
		have += (size_t)part;
	}
	close(file);
	if (error != CUDA_SUCCESS) {
		free(memory);
		return report(error, "%s can't be read as a module", path);
	}
	memory[*bytes] = 0;
	*data = memory;
	return CUDA_SUCCESS;
}

static bool word_at(const char *text, const char *end, const char *word)
{
	size_t bytes = strlen(word);

	return (size_t)(end - text) > bytes && !memcmp(text, word, bytes) &&
	       isspace((unsigned char)text[bytes]);
}

/* Skips a comment that begins here; NULL if none does. */
static const char *after_comment(const char *at, const char *end)
{
	if (end - at < 2 || at[0] != '/')
		return NULL;
	if (at[1] == '/') {
		const char *line = memchr(at, '\n', (size_t)(end - at));

		return line ? line : end;
	}
	if (at[1] != '*')
		return NULL;
	for (at += 2; end - at >= 2; at++)
		if (at[0] == '*' && at[1] == '/')
			return at + 2;
	return end;
}

size_t image_names(const struct image *image, char ***names)
{
	const char *at = image->data, *end = at + image->bytes;
	size_t count = 0, capacity = 0;
	char **list = NULL;

	*names = NULL;
	if (image->format != VGPU_FORMAT_PTX)
		return 0;
	while (at < end) {
		const char *skip = after_comment(at, end), *name;

		if (skip) {
			at = skip;
			continue;
		}
		if (*at != '.' || !word_at(at, end, ".entry")) {
			at++;
			continue;
		}
		for (at += 6; at < end && isspace((unsigned char)*at); at++)
			;
		for (name = at; at < end && (isalnum((unsigned char)*at) || strchr("_$%", *at));
		     at++)
			;
		if (count == capacity) {
			char **grown = realloc(list, (capacity * 2 + 8) * sizeof(*list));

			if (!grown)
				break;
			list = grown;
			capacity = capacity * 2 + 8;
		}
		list[count] = strndup(name, (size_t)(at - name));
		if (!list[count])
			break;
		count++;
	}
	*names = list;
	return count;
}
