// SPDX-License-Identifier: Apache-2.0
/* Names and meanings of errors. */
#include "internal.h"

static const struct {
	CUresult value;
	const char *name, *text;
} errors[] = {
#define ERROR(value, driver, runtime, text) { (CUresult)(value), driver, text },
#include "../errors.inc"
#undef ERROR
};

static CUresult find(CUresult error, size_t *at)
{
	for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
		if (errors[i].value == error && errors[i].name) {
			*at = i;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGetErrorName(CUresult error, const char **name)
{
	size_t at;

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = NULL;
	if (find(error, &at) != CUDA_SUCCESS)
		return CUDA_ERROR_INVALID_VALUE;
	*name = errors[at].name;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorString(CUresult error, const char **text)
{
	size_t at;

	if (!text)
		return CUDA_ERROR_INVALID_VALUE;
	*text = NULL;
	if (find(error, &at) != CUDA_SUCCESS)
		return CUDA_ERROR_INVALID_VALUE;
	*text = errors[at].text;
	return CUDA_SUCCESS;
}
