// SPDX-License-Identifier: Apache-2.0
/*
 * Functions by name, and those that this library does not have: each of them is
 * there, so that programs load, and says that it is not supported.
 */
#include "internal.h"

#include <string.h>

/* Called with any arguments: the convention leaves them to the caller. */
#define UNSUPPORTED(name) \
	EXPORT CUresult name(void); \
	EXPORT CUresult name(void) \
	{ \
		return report(CUDA_ERROR_NOT_SUPPORTED, #name " is not supported"); \
	}
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include "unsupported.inc"
#undef UNSUPPORTED

/* Only addresses are needed, so all are declared alike, under names of their own. */
#define PROC(base, version, symbol, thread_symbol) \
	extern char proc_##symbol __asm__(#symbol); \
	extern char proc_##thread_symbol __asm__(#thread_symbol);
#pragma GCC diagnostic ignored "-Wredundant-decls"
#include "procs.inc"
#undef PROC
#define UNSUPPORTED(name) extern char proc_##name __asm__(#name);
#include "unsupported.inc"
#undef UNSUPPORTED

struct proc {
	const char *name;
	int version;
	char *symbol, *thread_symbol;
};

/* In order of name, then version. */
static const struct proc procs[] = {
#define PROC(base, version, symbol, thread_symbol) \
	{ #base, version, &proc_##symbol, &proc_##thread_symbol },
#include "procs.inc"
#undef PROC
};

static const struct {
	const char *name;
	char *symbol;
} unsupported[] = {
#define UNSUPPORTED(name) { #name, &proc_##name },
#include "unsupported.inc"
#undef UNSUPPORTED
};

/* Without the version that symbols have behind their names. */
static bool same_name(const char *symbol, const char *name)
{
	size_t bytes = strlen(name);

	return !strncmp(symbol, name, bytes) &&
	       (!symbol[bytes] || (symbol[bytes] == '_' && symbol[bytes + 1] == 'v' &&
				   symbol[bytes + 2] >= '2' && symbol[bytes + 2] <= '9'));
}

static CUresult find(const char *name, int version, bool per_thread, void **function,
		     CUdriverProcAddressQueryResult *status)
{
	const struct proc *found = NULL;
	bool known = false;

	for (size_t i = 0; i < ARRAY_COUNT(procs); i++) {
		if (strcmp(procs[i].name, name))
			continue;
		known = true;
		if (procs[i].version <= version)
			found = &procs[i];
	}
	for (size_t i = 0; i < ARRAY_COUNT(unsupported) && !known; i++) {
		if (same_name(unsupported[i].name, name)) {
			*function = unsupported[i].symbol;
			*status = CU_GET_PROC_ADDRESS_SUCCESS;
			return CUDA_SUCCESS;
		}
	}
	*function = NULL;
	if (found)
		*function = per_thread ? found->thread_symbol : found->symbol;
	*status = found ? CU_GET_PROC_ADDRESS_SUCCESS :
			  known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT :
				  CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return found ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

static CUresult look_up(const char *name, void **function, int version, cuuint64_t flags,
			bool per_thread, CUdriverProcAddressQueryResult *status)
{
	const cuuint64_t known = CU_GET_PROC_ADDRESS_LEGACY_STREAM |
				 CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
	CUdriverProcAddressQueryResult unused;

	if (!name || !function || (flags & ~known) || version <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (version > CUDA_VERSION)
		version = CUDA_VERSION;
	if (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
		per_thread = true;
	else if (flags & CU_GET_PROC_ADDRESS_LEGACY_STREAM)
		per_thread = false;
	return find(name, version, per_thread, function, status ? status : &unused);
}

EXPORT CUresult cuGetProcAddress_v2(const char *name, void **function, int version,
				    cuuint64_t flags, CUdriverProcAddressQueryResult *status)
{
	return look_up(name, function, version, flags, false, status);
}

EXPORT CUresult cuGetProcAddress_v2_ptsz(const char *, void **, int, cuuint64_t,
					 CUdriverProcAddressQueryResult *);
EXPORT CUresult cuGetProcAddress_v2_ptsz(const char *name, void **function, int version,
					 cuuint64_t flags, CUdriverProcAddressQueryResult *status)
{
	return look_up(name, function, version, flags, true, status);
}

#undef cuGetProcAddress
EXPORT CUresult cuGetProcAddress(const char *, void **, int, cuuint64_t);
EXPORT CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags)
{
	return look_up(name, function, version, flags, false, NULL);
}
