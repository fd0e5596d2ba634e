// SPDX-License-Identifier: Apache-2.0
/*
 * Managed memory: one address for host and device, as on GPUs without
 * concurrent access.
 *
 * A device address is a segment's number and an offset. Numbers are so high that
 * no host memory can lie there; but the kernels of a context with one segment,
 * which is the rule, look at the offset alone. So the host's side is mapped where
 * the lower half of the address is the same, and that is the address which the
 * program, and its kernels, have. Where the full address matters (copies, and
 * kernels' parameters, for contexts with several segments) it is put in.
 *
 * The memory is divided into blocks, each of which is the host's, the device's, or the same on
 * both. A kernel takes all of the host's blocks to the device; the host takes
 * them back one by one, when a page that is not its own is touched: page
 * protection tells, and the handler of SIGSEGV copies. A second mapping of the
 * same memory, always open, is what is copied from and to.
 *
 * Variables of modules that are declared so have pages of their own (the device sees to that), and
 * are treated in the same way.
 *
 * The kernel of the operating system does not wait for such a handler: a buffer
 * for read() or write() must be the host's already (EFAULT otherwise).
 */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define BLOCK_BYTES (256u << 10)

enum block_state { STATE_HOST = 0, STATE_DEVICE = 1, STATE_BOTH = 2 };

struct managed {
	struct managed *next;
	struct CUctx_st *context;
	/* As the program knows it; where it is on the device. */
	uint64_t base, bytes;
	vgpu_devptr device, allocation;
	/* Always readable and writable. */
	uint8_t *shadow;
	size_t block_count;
	uint8_t *states;
	/* CU_MEM_ATTACH_*; with SINGLE, the stream. */
	unsigned int attached;
	struct CUstream_st *stream;
};

/* Recursive: a handler may run in a thread that is inside, never in one that waits for it. */
static pthread_mutex_t managed_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct managed *all_managed;
static struct sigaction previous_action;

static size_t block_bytes(const struct managed *m, size_t block)
{
	return MIN((uint64_t)BLOCK_BYTES, m->bytes - (uint64_t)block * BLOCK_BYTES);
}

static void protect(const struct managed *m, size_t block, int protection)
{
	mprotect((void *)(uintptr_t)(m->base + (uint64_t)block * BLOCK_BYTES),
		 ALIGN_UP(block_bytes(m, block), (size_t)PAGE_BYTES), protection);
}

/* ---- The host's side ------------------------------------------------------------------------- */

static bool block_to_host(struct managed *m, size_t block, bool writes)
{
	uint64_t offset = (uint64_t)block * BLOCK_BYTES;

	if (m->states[block] == STATE_DEVICE) {
		/* Work that may still change it comes first. */
		if (vgpu_synchronize(m->context->vgpu) != VGPU_SUCCESS ||
		    vgpu_memcpy_d2h(m->context->vgpu, m->shadow + offset, m->device + offset,
				    block_bytes(m, block)) != VGPU_SUCCESS)
			return false;
		m->states[block] = STATE_BOTH;
	}
	if (writes)
		m->states[block] = STATE_HOST;
	protect(m, block, m->states[block] == STATE_HOST ? PROT_READ | PROT_WRITE : PROT_READ);
	return true;
}

static struct managed *managed_at(uint64_t address)
{
	for (struct managed *m = all_managed; m; m = m->next)
		if (address - m->base < m->bytes)
			return m;
	return NULL;
}

static bool is_write(const void *context)
{
#if defined(__x86_64__)
	return ((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2;
#else
	(void)context;
	return true;
#endif
}

static void call_previous(int number, siginfo_t *info, void *context)
{
	if (previous_action.sa_flags & SA_SIGINFO) {
		previous_action.sa_sigaction(number, info, context);
	} else if (previous_action.sa_handler == SIG_DFL) {
		/* The instruction runs again and fails again, this time for good. */
		signal(number, SIG_DFL);
	} else if (previous_action.sa_handler != SIG_IGN) {
		previous_action.sa_handler(number);
	}
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	uint64_t address = (uintptr_t)info->si_addr;
	int saved = errno;
	bool done = false;
	struct managed *m;

	pthread_mutex_lock(&managed_lock);
	m = managed_at(address);
	if (m) {
		size_t block = (size_t)((address - m->base) / BLOCK_BYTES);

		done = m->states[block] != STATE_HOST ?
			       block_to_host(m, block, is_write(context)) : true;
	}
	pthread_mutex_unlock(&managed_lock);
	errno = saved;
	if (!done)
		call_previous(number, info, context);
}

static CUresult install_handler(void)
{
	static bool installed;
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

	if (installed)
		return CUDA_SUCCESS;
	action.sa_sigaction = on_fault;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGSEGV, &action, &previous_action))
		return CUDA_ERROR_OPERATING_SYSTEM;
	installed = true;
	return CUDA_SUCCESS;
}

/* ---- The device's side -------------------------------------------------------------------------- */

/* writes: the device may change the block. */
static CUresult block_to_device(struct managed *m, struct CUstream_st *stream, size_t block,
				bool writes)
{
	uint64_t offset = (uint64_t)block * BLOCK_BYTES;
	enum vgpu_result result = VGPU_SUCCESS;

	if (m->states[block] == STATE_HOST) {
		/* First closed, then copied: what is written meanwhile must not be lost. */
		protect(m, block, PROT_READ);
		result = vgpu_memcpy_h2d_async(m->context->vgpu, m->device + offset,
					       m->shadow + offset, block_bytes(m, block),
					       stream->vgpu);
		if (result != VGPU_SUCCESS)
			return result_of(result, m->context->vgpu);
		m->states[block] = STATE_BOTH;
	}
	if (writes && m->states[block] == STATE_BOTH) {
		protect(m, block, PROT_NONE);
		m->states[block] = STATE_DEVICE;
	}
	return CUDA_SUCCESS;
}

CUresult managed_to_device(struct CUstream_st *stream)
{
	CUresult error = CUDA_SUCCESS;

	pthread_mutex_lock(&managed_lock);
	for (struct managed *m = all_managed; m && error == CUDA_SUCCESS; m = m->next) {
		if (m->context != stream->context || m->attached == CU_MEM_ATTACH_HOST ||
		    (m->attached == CU_MEM_ATTACH_SINGLE && m->stream != stream))
			continue;
		for (size_t block = 0; block < m->block_count && error == CUDA_SUCCESS; block++)
			if (m->states[block] != STATE_DEVICE)
				error = block_to_device(m, stream, block, true);
	}
	pthread_mutex_unlock(&managed_lock);
	return error;
}

CUresult managed_range_to_device(struct CUstream_st *stream, uint64_t address, uint64_t bytes,
				 bool writes)
{
	CUresult error = CUDA_SUCCESS;
	struct managed *m;

	pthread_mutex_lock(&managed_lock);
	m = managed_at(address);
	if (m && bytes) {
		size_t first = (size_t)((address - m->base) / BLOCK_BYTES);
		size_t last = (size_t)((address - m->base + bytes - 1) / BLOCK_BYTES);

		for (size_t block = first; block <= last && block < m->block_count &&
					   error == CUDA_SUCCESS; block++)
			error = block_to_device(m, stream, block, writes);
	}
	pthread_mutex_unlock(&managed_lock);
	return error;
}

static uint64_t device_address(uint64_t address)
{
	const struct managed *m = managed_at(address);

	return m ? m->device + (address - m->base) : address;
}

uint64_t managed_device_address(uint64_t address)
{
	uint64_t device;

	pthread_mutex_lock(&managed_lock);
	device = device_address(address);
	pthread_mutex_unlock(&managed_lock);
	return device;
}

/* Pointers among a kernel's parameters; what else looks like one is none of its addresses. */
void managed_translate(void *parameters, uint32_t bytes)
{
	pthread_mutex_lock(&managed_lock);
	for (uint32_t at = 0; at + 8 <= bytes; at += 8) {
		uint64_t value;

		memcpy(&value, (uint8_t *)parameters + at, 8);
		value = device_address(value);
		memcpy((uint8_t *)parameters + at, &value, 8);
	}
	pthread_mutex_unlock(&managed_lock);
}

/* ---- Allocating and freeing ------------------------------------------------------------------------ */

/* Maps the file where the lower half of the address is the device's; 4 TiB is out of the way. */
static bool map_alike(struct managed *m, size_t mapped, int file)
{
	for (uint64_t upper = 0x400; upper < 0x4000; upper++) {
		void *wanted = (void *)(uintptr_t)(upper << 32 | (uint32_t)m->device);
		void *got = mmap(wanted, mapped, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);

		if (got == wanted) {
			m->base = (uintptr_t)got;
			return true;
		}
		if (got != MAP_FAILED)
			munmap(got, mapped);
	}
	return false;
}

static CUresult map_both(struct managed *m)
{
	size_t mapped = ALIGN_UP((size_t)m->bytes, (size_t)PAGE_BYTES);
	int file = memfd_create("cuda-managed", MFD_CLOEXEC);
	bool alike = false;

	if (file < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	m->shadow = MAP_FAILED;
	if (!ftruncate(file, (off_t)mapped)) {
		m->shadow = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		alike = m->shadow != MAP_FAILED && map_alike(m, mapped, file);
	}
	close(file);
	if (alike)
		return CUDA_SUCCESS;
	if (m->shadow != MAP_FAILED)
		munmap(m->shadow, mapped);
	return report(CUDA_ERROR_OUT_OF_MEMORY,
		      "managed memory: no address of the host fits the device's 0x%llx",
		      (unsigned long long)m->device);
}

static void unmap_both(struct managed *m)
{
	size_t mapped = ALIGN_UP((size_t)m->bytes, (size_t)PAGE_BYTES);

	munmap((void *)(uintptr_t)m->base, mapped);
	munmap(m->shadow, mapped);
}

static CUresult enlist(struct managed *m)
{
	struct region region = { .base = m->base, .bytes = m->bytes, .kind = REGION_MANAGED,
				 .allocation = m->allocation, .managed = m };
	CUresult error = install_handler();

	if (error == CUDA_SUCCESS)
		error = region_add(m->context, &region);
	if (error != CUDA_SUCCESS)
		return error;
	pthread_mutex_lock(&managed_lock);
	m->next = all_managed;
	all_managed = m;
	pthread_mutex_unlock(&managed_lock);
	atomic_fetch_add(&m->context->managed_count, 1);
	return CUDA_SUCCESS;
}

CUresult managed_alloc(struct CUctx_st *context, size_t bytes, unsigned int flags,
		       CUdeviceptr *pointer)
{
	struct managed *m = calloc(1, sizeof(*m));
	CUresult error = CUDA_ERROR_OUT_OF_MEMORY;

	if (!m || bytes > SIZE_MAX - 2 * PAGE_BYTES)
		goto failed;
	m->context = context;
	m->bytes = bytes;
	m->attached = flags;
	m->block_count = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	m->states = calloc(m->block_count, 1);
	if (!m->states)
		goto failed;
	/* Room to begin at a page, and to own the last one. */
	error = device_alloc(context, ALIGN_UP(bytes, (size_t)PAGE_BYTES) + PAGE_BYTES,
			     &m->allocation);
	if (error != CUDA_SUCCESS)
		goto failed;
	m->device = ALIGN_UP(m->allocation, (uint64_t)PAGE_BYTES);
	error = map_both(m);
	if (error != CUDA_SUCCESS)
		goto failed;
	error = enlist(m);
	if (error != CUDA_SUCCESS) {
		unmap_both(m);
		goto failed;
	}
	*pointer = m->base;
	return CUDA_SUCCESS;
failed:
	if (m && m->allocation)
		vgpu_mem_free(context->vgpu, m->allocation);
	if (m)
		free(m->states);
	free(m);
	return error;
}

/* The device has the initial values: the host fetches what it touches. */
CUresult managed_adopt(struct CUmod_st *module, vgpu_devptr device, uint64_t bytes)
{
	struct managed *m = calloc(1, sizeof(*m));
	CUresult error = CUDA_ERROR_OUT_OF_MEMORY;

	if (!m || bytes > SIZE_MAX / 2)
		goto failed;
	m->context = module->context;
	m->device = device;
	m->bytes = bytes;
	m->attached = CU_MEM_ATTACH_GLOBAL;
	m->block_count = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	m->states = malloc(m->block_count);
	if (!m->states)
		goto failed;
	memset(m->states, STATE_DEVICE, m->block_count);
	error = map_both(m);
	if (error != CUDA_SUCCESS)
		goto failed;
	for (size_t block = 0; block < m->block_count; block++)
		protect(m, block, PROT_NONE);
	error = enlist(m);
	if (error != CUDA_SUCCESS) {
		unmap_both(m);
		goto failed;
	}
	module->managed = m;
	return CUDA_SUCCESS;
failed:
	if (m)
		free(m->states);
	free(m);
	return error;
}

uint64_t managed_host_address(const struct CUmod_st *module, uint64_t device)
{
	const struct managed *m = module->managed;

	return m && device - m->device < m->bytes ? m->base + (device - m->device) : device;
}

static void delist(struct managed *m)
{
	pthread_mutex_lock(&managed_lock);
	for (struct managed **link = &all_managed; *link; link = &(*link)->next) {
		if (*link == m) {
			*link = m->next;
			break;
		}
	}
	pthread_mutex_unlock(&managed_lock);
	atomic_fetch_sub(&m->context->managed_count, 1);
	unmap_both(m);
	free(m->states);
	free(m);
}

void managed_abandon(struct CUmod_st *module)
{
	struct managed *m = module->managed;

	if (!m)
		return;
	module->managed = NULL;
	region_remove(m->context, m->base);
	delist(m);
}

CUresult managed_free(struct CUctx_st *context, const struct region *region)
{
	CUresult error;

	/* A module's variables. */
	if (!region->allocation)
		return CUDA_ERROR_INVALID_VALUE;
	error = context_wait(context);
	if (error == CUDA_SUCCESS)
		error = result_of(vgpu_mem_free(context->vgpu, region->allocation),
				  context->vgpu);
	if (error == CUDA_SUCCESS) {
		region_remove(context, region->base);
		delist(region->managed);
	}
	return error;
}

void managed_forget(struct CUctx_st *context)
{
	for (;;) {
		struct managed *m;

		pthread_mutex_lock(&managed_lock);
		for (m = all_managed; m && m->context != context; m = m->next)
			;
		pthread_mutex_unlock(&managed_lock);
		if (!m)
			return;
		delist(m);
	}
}

/* ---- The interface ------------------------------------------------------------------------------------- */

EXPORT CUresult cuStreamAttachMemAsync(CUstream handle, CUdeviceptr pointer, size_t bytes,
				       unsigned int flags)
{
	struct CUstream_st *stream;
	struct region region;
	CUresult error = stream_of(handle, &stream);

	if (error != CUDA_SUCCESS)
		return error;
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
	    flags != CU_MEM_ATTACH_SINGLE)
		return CUDA_ERROR_INVALID_VALUE;
	if (!region_find(stream->context, pointer, &region) || region.kind != REGION_MANAGED ||
	    (bytes && bytes != region.bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags == CU_MEM_ATTACH_SINGLE && stream->legacy)
		return CUDA_ERROR_INVALID_VALUE;
	/* It takes effect in the stream's order: after the work that is there. */
	error = stream_wait(stream);
	pthread_mutex_lock(&managed_lock);
	region.managed->attached = flags;
	region.managed->stream = stream;
	pthread_mutex_unlock(&managed_lock);
	return error;
}

/* Prefetching needs concurrent access, which the device's attribute denies; so do hints. */
EXPORT CUresult cuMemPrefetchAsync_v2(CUdeviceptr pointer, size_t bytes, CUmemLocation location,
				      unsigned int flags, CUstream stream)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);

	(void)stream;
	(void)location;
	if (error != CUDA_SUCCESS)
		return error;
	if (!bytes || flags || !region_find(context, pointer, &region) ||
	    region.kind != REGION_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_ERROR_INVALID_DEVICE;
}

EXPORT CUresult cuMemAdvise(CUdeviceptr pointer, size_t bytes, CUmem_advise advice,
			    CUmemLocation location)
{
	struct CUctx_st *context;
	struct region region;
	CUresult error = current_context(&context);

	(void)location;
	if (error != CUDA_SUCCESS)
		return error;
	if (!bytes || !region_find(context, pointer, &region) || region.kind != REGION_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		/* A block that is only read is on both sides anyway. */
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_DEVICE;
	}
}

EXPORT CUresult cuMemRangeGetAttribute(void *data, size_t bytes, CUmem_range_attribute attribute,
				       CUdeviceptr pointer, size_t count)
{
	(void)data;
	(void)bytes;
	(void)attribute;
	(void)pointer;
	(void)count;
	return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuMemRangeGetAttributes(void **data, size_t *sizes,
					CUmem_range_attribute *attributes, size_t count,
					CUdeviceptr pointer, size_t bytes)
{
	(void)data;
	(void)sizes;
	(void)attributes;
	(void)count;
	(void)pointer;
	(void)bytes;
	return CUDA_ERROR_NOT_SUPPORTED;
}
