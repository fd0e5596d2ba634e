// SPDX-License-Identifier: Apache-2.0
/*
 * What the compiler puts into programs: fat binaries, kernels and variables are
 * registered by code that runs before main(), and loaded when first used.
 */
#include "internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A variable in managed memory: where the program keeps its address. */
struct managed {
	struct managed *next;
	void **address;
	const char *name;
};

struct fatbin {
	struct fatbin *next;
	void *image;
	CUlibrary library;
	CUresult error;
	bool loaded;
	struct managed *managed;
};

struct entry {
	const void *address;
	struct fatbin *fatbin;
	const char *name;
	CUkernel kernel;
	size_t bytes;
	bool variable;
};

/* Open addressing; never more than half full. */
static struct entry *entries;
static size_t entry_count, entry_capacity;
static struct fatbin *fatbins;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

/* ---- The table; with the lock held -------------------------------------------------------- */

static size_t slot_of(const void *address)
{
	return (size_t)(((uint64_t)(uintptr_t)address * 0x9e3779b97f4a7c15u) >> 20) &
	       (entry_capacity - 1);
}

static struct entry *find(const void *address)
{
	if (!entry_capacity || !address)
		return NULL;
	for (size_t i = slot_of(address);; i = (i + 1) & (entry_capacity - 1)) {
		if (entries[i].address == address)
			return &entries[i];
		if (!entries[i].address)
			return NULL;
	}
}

static void insert(const struct entry *entry)
{
	size_t i = slot_of(entry->address);

	while (entries[i].address && entries[i].address != entry->address)
		i = (i + 1) & (entry_capacity - 1);
	entry_count += !entries[i].address;
	entries[i] = *entry;
}

static void grow(void)
{
	struct entry *old = entries;
	size_t old_capacity = entry_capacity;

	entry_capacity = old_capacity ? old_capacity * 2 : 256;
	entries = calloc(entry_capacity, sizeof(*entries));
	if (!entries)
		abort();
	entry_count = 0;
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].address)
			insert(&old[i]);
	free(old);
}

static void add(const struct entry *entry)
{
	pthread_rwlock_wrlock(&lock);
	if ((entry_count + 1) * 2 > entry_capacity)
		grow();
	insert(entry);
	pthread_rwlock_unlock(&lock);
}

static void remove_all(const struct fatbin *fatbin)
{
	struct entry *old = entries;
	size_t old_capacity = entry_capacity;

	if (!old_capacity)
		return;
	entries = calloc(entry_capacity, sizeof(*entries));
	if (!entries)
		abort();
	entry_count = 0;
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].address && old[i].fatbin != fatbin)
			insert(&old[i]);
	free(old);
}

/* ---- What the compiler calls ------------------------------------------------------------------ */

void **__cudaRegisterFatBinary(void *image);
void **__cudaRegisterFatBinary(void *image)
{
	struct fatbin *fatbin = calloc(1, sizeof(*fatbin));

	if (!fatbin)
		abort();
	fatbin->image = image;
	pthread_rwlock_wrlock(&lock);
	fatbin->next = fatbins;
	fatbins = fatbin;
	pthread_rwlock_unlock(&lock);
	return (void **)fatbin;
}

void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaRegisterFatBinaryEnd(void **handle)
{
	(void)handle;
}

void __cudaUnregisterFatBinary(void **handle);
void __cudaUnregisterFatBinary(void **handle)
{
	struct fatbin *fatbin = (struct fatbin *)handle, **link;

	pthread_rwlock_wrlock(&lock);
	for (link = &fatbins; *link && *link != fatbin; link = &(*link)->next)
		;
	if (*link)
		*link = fatbin->next;
	remove_all(fatbin);
	pthread_rwlock_unlock(&lock);
	/* The library stays loaded: this runs when the program, or a shared object, ends. */
	while (fatbin->managed) {
		struct managed *next = fatbin->managed->next;

		free(fatbin->managed);
		fatbin->managed = next;
	}
	free(fatbin);
}

void __cudaRegisterFunction(void **handle, const char *address, char *device_address,
			    const char *name, int thread_limit, uint3 *tid, uint3 *bid,
			    dim3 *block, dim3 *grid, int *warp_size);
void __cudaRegisterFunction(void **handle, const char *address, char *device_address,
			    const char *name, int thread_limit, uint3 *tid, uint3 *bid,
			    dim3 *block, dim3 *grid, int *warp_size)
{
	struct entry entry = { .address = address, .fatbin = (struct fatbin *)handle,
			       .name = name };

	(void)device_address;
	(void)thread_limit;
	(void)tid;
	(void)bid;
	(void)block;
	(void)grid;
	(void)warp_size;
	add(&entry);
}

void __cudaRegisterVar(void **handle, char *address, char *device_address, const char *name,
		       int external, size_t bytes, int constant, int global);
void __cudaRegisterVar(void **handle, char *address, char *device_address, const char *name,
		       int external, size_t bytes, int constant, int global)
{
	struct entry entry = { .address = address, .fatbin = (struct fatbin *)handle,
			       .name = name, .bytes = bytes, .variable = true };

	(void)device_address;
	(void)external;
	(void)constant;
	(void)global;
	add(&entry);
}

/* The program reads the address after it has called __cudaInitModule(). */
void __cudaRegisterManagedVar(void **handle, void **address, char *device_address,
			      const char *name, int external, size_t bytes, int constant,
			      int global);
void __cudaRegisterManagedVar(void **handle, void **address, char *device_address,
			      const char *name, int external, size_t bytes, int constant,
			      int global)
{
	struct fatbin *fatbin = (struct fatbin *)handle;
	struct managed *managed = calloc(1, sizeof(*managed));

	(void)device_address;
	(void)external;
	(void)bytes;
	(void)constant;
	(void)global;
	if (!managed)
		abort();
	managed->address = address;
	managed->name = name;
	managed->next = fatbin->managed;
	fatbin->managed = managed;
}

static CUresult fatbin_library(struct fatbin *fatbin, CUlibrary *library);

/* Variables are loaded, and known by the addresses that the program sees. */
static CUresult init_managed(struct fatbin *fatbin)
{
	CUlibrary library;
	CUresult error = fatbin_library(fatbin, &library);

	for (struct managed *m = fatbin->managed; m && error == CUDA_SUCCESS; m = m->next) {
		struct entry entry = { .fatbin = fatbin, .name = m->name, .variable = true };
		CUdeviceptr at;

		error = cuLibraryGetManaged(&at, &entry.bytes, library, m->name);
		if (error != CUDA_SUCCESS)
			break;
		entry.address = (const void *)(uintptr_t)at;
		add(&entry);
		*m->address = (void *)(uintptr_t)at;
	}
	return error;
}

/*
 * Before the first use of a managed variable by the program. There is no way to
 * report an error but the last one; the addresses are NULL then.
 */
char __cudaInitModule(void **handle);
char __cudaInitModule(void **handle)
{
	struct fatbin *fatbin = (struct fatbin *)handle;
	CUresult error;

	if (!fatbin->managed)
		return 1;
	error = runtime_begin();
	if (error == CUDA_SUCCESS)
		error = init_managed(fatbin);
	if (error != CUDA_SUCCESS)
		runtime_done(error);
	return 1;
}

/* ---- Looking up ------------------------------------------------------------------------------------ */

static CUresult fatbin_library(struct fatbin *fatbin, CUlibrary *library)
{
	static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&loading);
	if (!fatbin->loaded) {
		fatbin->error = cuLibraryLoadData(&fatbin->library, fatbin->image, NULL, NULL, 0,
						  NULL, NULL, 0);
		/* Want of a device or of memory may pass. */
		fatbin->loaded = fatbin->error != CUDA_ERROR_OUT_OF_MEMORY &&
				 fatbin->error != CUDA_ERROR_NOT_INITIALIZED;
	}
	*library = fatbin->library;
	pthread_mutex_unlock(&loading);
	return fatbin->error;
}

CUresult symbol_kernel(const void *address, CUkernel *kernel)
{
	struct entry *entry;
	const char *name;
	CUlibrary library;
	CUresult error = CUDA_SUCCESS;

	pthread_rwlock_rdlock(&lock);
	entry = find(address);
	*kernel = entry ? entry->kernel : NULL;
	if (entry && !*kernel && !entry->variable) {
		error = fatbin_library(entry->fatbin, &library);
		if (error == CUDA_SUCCESS)
			error = cuLibraryGetKernel(kernel, library, entry->name);
		if (error == CUDA_SUCCESS)
			__atomic_store_n(&entry->kernel, *kernel, __ATOMIC_RELEASE);
	}
	pthread_rwlock_unlock(&lock);
	if (*kernel || error != CUDA_SUCCESS)
		return error;
	/* A handle of cudaGetKernel() or cudaLibraryGetKernel() will do as well. */
	if (!address || cuKernelGetName(&name, (CUkernel)(uintptr_t)address) != CUDA_SUCCESS)
		return (CUresult)cudaErrorInvalidDeviceFunction;
	*kernel = (CUkernel)(uintptr_t)address;
	return CUDA_SUCCESS;
}

CUresult symbol_function(const void *address, CUfunction *function)
{
	CUkernel kernel;
	CUresult error = symbol_kernel(address, &kernel);

	if (error == CUDA_SUCCESS)
		error = cuKernelGetFunction(function, kernel);
	else if (error == (CUresult)cudaErrorInvalidDeviceFunction && address) {
		CUmodule module;

		/* Graphs give functions back. */
		if (cuFuncGetModule(&module, (CUfunction)(uintptr_t)address) == CUDA_SUCCESS) {
			*function = (CUfunction)(uintptr_t)address;
			error = CUDA_SUCCESS;
		}
	}
	if (error == CUDA_ERROR_NOT_FOUND)
		error = (CUresult)cudaErrorInvalidDeviceFunction;
	return error;
}

CUresult symbol_variable(const void *address, CUdeviceptr *pointer, size_t *bytes)
{
	struct entry *entry, copy = { 0 };
	CUlibrary library;
	CUresult error;

	pthread_rwlock_rdlock(&lock);
	entry = find(address);
	if (entry)
		copy = *entry;
	pthread_rwlock_unlock(&lock);
	if (!entry || !copy.variable)
		return (CUresult)cudaErrorInvalidSymbol;
	error = fatbin_library(copy.fatbin, &library);
	if (error == CUDA_SUCCESS)
		error = cuLibraryGetGlobal(pointer, bytes, library, copy.name);
	return error == CUDA_ERROR_NOT_FOUND ? (CUresult)cudaErrorInvalidSymbol : error;
}

const void *address_of_kernel(const char *name)
{
	const void *found = NULL;

	pthread_rwlock_rdlock(&lock);
	for (size_t i = 0; i < entry_capacity && !found; i++)
		if (entries[i].address && !entries[i].variable && !strcmp(entries[i].name, name))
			found = entries[i].address;
	pthread_rwlock_unlock(&lock);
	return found;
}
