// SPDX-License-Identifier: GPL-2.0
/*
 * What the device can reach: contexts with their pages, and pinned user memory.
 *
 * Memory is given back to the kernel only on the device's word: the reply to
 * HOSTMEM_UNREGISTER, to CONTEXT_DESTROY, or to the INIT of a later session.
 * Without it the pages stay as they are, for ever, and are counted. A caller
 * that is killed while it waits for a reply leaves the object to the release
 * of the file, which does wait.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vgpu_drv.h"

/* One page of page pointers. */
#define VGPU_PIN_BATCH	(PAGE_SIZE / sizeof(struct page *))

enum vgpu_hostmem_state {
	VGPU_HOSTMEM_BUSY,	/* being registered or unregistered, or left over */
	VGPU_HOSTMEM_READY,
};

/**
 * struct vgpu_hostmem - pinned and registered memory
 * @handle: key in context->hostmems, and the device's handle
 * @state: under xa_lock of context->hostmems
 * @mapped: ranges that have a DMA mapping; vd->unmap_lock
 * @range_count: ranges
 * @ranges: whole pages
 * @offset: first byte registered, in the first page
 * @bytes: bytes registered
 * @pinned_bytes: bytes pinned: whole pages
 */
struct vgpu_hostmem {
	u32 handle;
	enum vgpu_hostmem_state state;
	u32 mapped;
	u32 range_count;
	struct vgpu_range *ranges;
	u64 offset;
	u64 bytes;
	u64 pinned_bytes;
};

/**
 * vgpu_pinned_bytes_max - most memory that one file may pin
 *
 * Return: bytes.
 */
u64 vgpu_pinned_bytes_max(void)
{
	u64 mib = READ_ONCE(vgpu_pinned_mib_max);

	return mib ? mib << 20 : (u64)totalram_pages() * PAGE_SIZE / 2;
}

/* -- pages --------------------------------------------------------------- */

static void vgpu_hostmem_unpin(struct vgpu_hostmem *hm)
{
	u32 i;

	/* The device may have written any of them. */
	for (i = 0; i < hm->range_count; i++) {
		const struct vgpu_range *range = &hm->ranges[i];

		unpin_user_page_range_dirty_lock(pfn_to_page(PHYS_PFN(range->address)),
						 range->bytes >> PAGE_SHIFT,
						 true);
		cond_resched();
	}
	hm->range_count = 0;
}

/* Pin and append up to one batch. Return: pages, or a negative error. */
static long vgpu_hostmem_pin_batch(struct vgpu_hostmem *hm, u64 address,
				   u64 pages, u32 count_max, u64 range_max,
				   struct page **batch)
{
	int want = min_t(u64, pages, VGPU_PIN_BATCH);
	int got = pin_user_pages_fast(address, want, FOLL_WRITE | FOLL_LONGTERM,
				      batch);
	int i;

	if (got <= 0)
		return got ? got : -EFAULT;
	for (i = 0; i < got; i++) {
		if (!vgpu_ranges_add(hm->ranges, &hm->range_count, count_max,
				     range_max, page_to_phys(batch[i]),
				     PAGE_SIZE))
			continue;
		unpin_user_pages(batch + i, got - i);
		return -E2BIG;
	}
	return got;
}

static int vgpu_hostmem_pin(struct vgpu_hostmem *hm, u64 address, u64 pages,
			    u32 count_max, u64 range_max)
{
	struct page **batch = (struct page **)__get_free_page(GFP_KERNEL);
	long got = 0;

	if (!batch)
		return -ENOMEM;
	address &= PAGE_MASK;
	while (pages) {
		if (fatal_signal_pending(current)) {
			got = -EINTR;
			break;
		}
		got = vgpu_hostmem_pin_batch(hm, address, pages, count_max,
					     range_max, batch);
		if (got < 0)
			break;
		address += (u64)got * PAGE_SIZE;
		pages -= got;
		cond_resched();
	}
	free_page((unsigned long)batch);
	return got < 0 ? got : 0;
}

/* Most lists are much shorter than the worst case they were allocated for. */
static void vgpu_hostmem_shrink(struct vgpu_hostmem *hm)
{
	struct vgpu_range *ranges;

	ranges = kvmalloc_array(hm->range_count, sizeof(*ranges),
				GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return;
	memcpy(ranges, hm->ranges, hm->range_count * sizeof(*ranges));
	kvfree(hm->ranges);
	hm->ranges = ranges;
}

static struct vgpu_hostmem *vgpu_hostmem_new(struct vgpu_device *vd,
					     u64 address, u64 bytes, u64 pages)
{
	struct vgpu_hostmem *hm = kzalloc(sizeof(*hm), GFP_KERNEL_ACCOUNT);
	u32 count_max = min_t(u64, pages, vd->entries_max);
	u64 range_max = U64_MAX;
	int err;

	if (!hm)
		return ERR_PTR(-ENOMEM);
	if (vd->dma_dev)
		range_max = round_down(dma_max_mapping_size(vd->dma_dev),
				       PAGE_SIZE);
	hm->offset = address & ~PAGE_MASK;
	hm->bytes = bytes;
	hm->pinned_bytes = pages * PAGE_SIZE;
	hm->ranges = kvmalloc_array(count_max, sizeof(*hm->ranges),
				    GFP_KERNEL_ACCOUNT);
	err = hm->ranges ? 0 : -ENOMEM;
	if (!err)
		err = vgpu_hostmem_pin(hm, address, pages, count_max, range_max);
	if (err) {
		if (err == -E2BIG)
			dev_warn_ratelimited(&vd->dev,
					     "%llu bytes at %#llx lie in more than %u separate ranges\n",
					     bytes, address, vd->entries_max);
		vgpu_hostmem_unpin(hm);
		kvfree(hm->ranges);
		kfree(hm);
		return ERR_PTR(err);
	}
	vgpu_hostmem_shrink(hm);
	return hm;
}

/* -- DMA addresses ------------------------------------------------------- */

/* With vd->unmap_lock held. */
static void vgpu_hostmem_unmap(struct vgpu_device *vd, struct vgpu_hostmem *hm)
{
	while (hm->mapped) {
		const struct vgpu_range *range = &hm->ranges[--hm->mapped];

		dma_unmap_page(vd->dma_dev, range->dma, range->bytes,
			       DMA_BIDIRECTIONAL);
	}
}

/* Inside vgpu_enter(): remove() has not undone the mappings yet. */
static int vgpu_hostmem_map(struct vgpu_device *vd, struct vgpu_hostmem *hm)
{
	if (!vd->dma_dev)
		return 0;
	while (hm->mapped < hm->range_count) {
		struct vgpu_range *range = &hm->ranges[hm->mapped];
		struct page *page = pfn_to_page(PHYS_PFN(range->address));
		dma_addr_t dma = dma_map_page(vd->dma_dev, page, 0,
					      range->bytes, DMA_BIDIRECTIONAL);

		if (dma_mapping_error(vd->dma_dev, dma))
			return -ENOMEM;
		range->dma = dma;
		hm->mapped++;
	}
	return 0;
}

/* With vd->unmap_lock held. */
static void vgpu_context_unmap(struct vgpu_context *ctx)
{
	struct device *dev = ctx->vd->dma_dev;
	struct vgpu_hostmem *hm;
	unsigned long handle;

	xa_for_each(&ctx->hostmems, handle, hm)
		vgpu_hostmem_unmap(ctx->vd, hm);
	if (!ctx->mapped)
		return;
	dma_unmap_page(dev, ctx->timeline_dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
	dma_unmap_page(dev, ctx->arm_dma, PAGE_SIZE, DMA_TO_DEVICE);
	ctx->mapped = false;
}

/* Inside vgpu_enter(). */
static int vgpu_context_map(struct vgpu_context *ctx)
{
	struct device *dev = ctx->vd->dma_dev;

	ctx->timeline_dma = page_to_phys(ctx->timeline);
	ctx->arm_dma = page_to_phys(ctx->arm);
	if (!dev)
		return 0;
	ctx->timeline_dma = dma_map_page(dev, ctx->timeline, 0, PAGE_SIZE,
					 DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, ctx->timeline_dma))
		return -ENOMEM;
	ctx->arm_dma = dma_map_page(dev, ctx->arm, 0, PAGE_SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, ctx->arm_dma)) {
		dma_unmap_page(dev, ctx->timeline_dma, PAGE_SIZE,
			       DMA_BIDIRECTIONAL);
		return -ENOMEM;
	}
	ctx->mapped = true;
	return 0;
}

/**
 * vgpu_contexts_unmap - undo the DMA mappings before the device goes
 * @vd: the device, stopped
 *
 * Only of sessions that the device has confirmed to be over.
 */
void vgpu_contexts_unmap(struct vgpu_device *vd)
{
	struct vgpu_context *ctx;
	unsigned long id;

	mutex_lock(&vd->unmap_lock);
	xa_for_each(&vd->contexts, id, ctx)
		if (ctx->session <= vd->session_quiet)
			vgpu_context_unmap(ctx);
	mutex_unlock(&vd->unmap_lock);
}

/* -- VGPU_IOC_PIN, VGPU_IOC_UNPIN ---------------------------------------- */

static int vgpu_charge(struct vgpu_context *ctx, u64 bytes)
{
	u64 max = vgpu_pinned_bytes_max();

	if (bytes > max)
		return -EDQUOT;
	if ((u64)atomic64_add_return(bytes, &ctx->pinned_bytes) > max) {
		atomic64_sub(bytes, &ctx->pinned_bytes);
		return -EDQUOT;
	}
	atomic64_add(bytes, &ctx->vd->stats.pinned_bytes);
	return 0;
}

static void vgpu_uncharge(struct vgpu_context *ctx, u64 bytes)
{
	atomic64_sub(bytes, &ctx->pinned_bytes);
	atomic64_sub(bytes, &ctx->vd->stats.pinned_bytes);
}

/* The device does not know @hm, or not any more: nothing of it is left. */
static void vgpu_hostmem_forget(struct vgpu_context *ctx,
				struct vgpu_hostmem *hm)
{
	struct vgpu_device *vd = ctx->vd;

	mutex_lock(&vd->unmap_lock);
	if (hm->handle)
		xa_erase(&ctx->hostmems, hm->handle);
	vgpu_hostmem_unmap(vd, hm);
	mutex_unlock(&vd->unmap_lock);
	vgpu_hostmem_unpin(hm);
	vgpu_uncharge(ctx, hm->pinned_bytes);
	kvfree(hm->ranges);
	kfree(hm);
}

/* Give @hm a handle and device addresses. */
static int vgpu_hostmem_attach(struct vgpu_context *ctx, struct vgpu_hostmem *hm)
{
	struct vgpu_device *vd = ctx->vd;
	u32 handle;
	int cookie;
	int err;

	if (vd->hostmems_max < 2)
		return -ENOSPC;
	if (!vgpu_enter(vd, &cookie))
		return -ENODEV;
	err = vgpu_hostmem_map(vd, hm);
	if (!err)
		err = xa_alloc(&ctx->hostmems, &handle, hm,
			       XA_LIMIT(1, vd->hostmems_max - 1),
			       GFP_KERNEL_ACCOUNT);
	if (!err)
		hm->handle = handle;
	vgpu_exit(vd, cookie);
	return err == -EBUSY ? -ENOSPC : err;
}

static struct vgpu_control *vgpu_hostmem_request(struct vgpu_context *ctx,
						 struct vgpu_hostmem *hm)
{
	struct vgpu_hostmem_register_request request = {
		.hostmem = cpu_to_le32(hm->handle),
		.entry_count = cpu_to_le32(hm->range_count),
		.bytes = cpu_to_le64(hm->bytes),
	};
	size_t at = sizeof(struct vgpu_request_header);
	u64 skip = hm->offset, left = hm->bytes;
	struct vgpu_control *c;
	u32 i;

	c = vgpu_control_alloc(ctx->vd, VGPU_REQ_HOSTMEM_REGISTER, ctx->id,
			       at + sizeof(request) + (size_t)hm->range_count *
			       sizeof(struct vgpu_hostmem_entry),
			       sizeof(struct vgpu_response_header));
	if (!c)
		return NULL;
	vgpu_buffer_write(&c->request, at, &request, sizeof(request));
	at += sizeof(request);
	for (i = 0; i < hm->range_count; i++) {
		struct vgpu_hostmem_entry entry;
		u64 address, bytes;

		vgpu_ranges_entry(&hm->ranges[i], &skip, &left, &address,
				  &bytes);
		entry.address = cpu_to_le64(address);
		entry.bytes = cpu_to_le64(bytes);
		vgpu_buffer_write(&c->request, at, &entry, sizeof(entry));
		at += sizeof(entry);
	}
	return c;
}

/*
 * Return: 0, or a negative error number; *unknown says that the device may have
 * the registration all the same.
 */
static int vgpu_hostmem_register(struct vgpu_context *ctx,
				 struct vgpu_hostmem *hm, bool *unknown)
{
	struct vgpu_control *c;
	u32 status;
	int err;

	*unknown = false;
	if (!vgpu_context_alive(ctx))
		return -ENODEV;
	c = vgpu_hostmem_request(ctx, hm);
	if (!c)
		return -ENOMEM;
	err = vgpu_control_send(ctx->vd, c, true);
	if (!err) {
		err = vgpu_control_status(c, &status);
		*unknown = err;
		if (!err)
			err = vgpu_status_errno(status);
		if (!*unknown && status == VGPU_STATUS_NOT_INITIALISED)
			vgpu_session_lost(ctx->vd, ctx->session,
					  "a registration finds no session");
	} else {
		*unknown = err != -ENOMEM;
	}
	vgpu_control_put(c);
	return err;
}

/**
 * vgpu_pin - VGPU_IOC_PIN
 * @ctx: the context
 * @arg: the ioctl's argument; @arg->hostmem is filled in
 *
 * Return: 0 or a negative error number, see vgpu_ioctl.h.
 */
int vgpu_pin(struct vgpu_context *ctx, struct vgpu_ioctl_pin *arg)
{
	struct vgpu_hostmem *hm;
	bool unknown;
	u64 pages;
	int err;

	if (arg->flags ||
	    vgpu_span_pages(arg->address, arg->bytes, PAGE_SIZE, &pages))
		return -EINVAL;
	if (!access_ok(u64_to_user_ptr(arg->address), arg->bytes))
		return -EFAULT;
	if (!vgpu_context_alive(ctx))
		return -ENODEV;
	err = vgpu_charge(ctx, pages * PAGE_SIZE);
	if (err)
		return err;
	hm = vgpu_hostmem_new(ctx->vd, arg->address, arg->bytes, pages);
	if (IS_ERR(hm)) {
		vgpu_uncharge(ctx, pages * PAGE_SIZE);
		return PTR_ERR(hm);
	}
	err = vgpu_hostmem_attach(ctx, hm);
	if (err) {
		vgpu_hostmem_forget(ctx, hm);
		return err;
	}
	err = vgpu_hostmem_register(ctx, hm, &unknown);
	if (err) {
		/* If unknown, the pages wait for the release of the file. */
		if (!unknown)
			vgpu_hostmem_forget(ctx, hm);
		return err;
	}
	arg->hostmem = hm->handle;
	xa_lock(&ctx->hostmems);
	hm->state = VGPU_HOSTMEM_READY;
	xa_unlock(&ctx->hostmems);
	return 0;
}

/**
 * vgpu_unpin - VGPU_IOC_UNPIN
 * @ctx: the context
 * @arg: the ioctl's argument
 *
 * Return: 0 or a negative error number, see vgpu_ioctl.h.
 */
int vgpu_unpin(struct vgpu_context *ctx, const struct vgpu_ioctl_unpin *arg)
{
	struct vgpu_hostmem_unregister_request request = {
		.hostmem = cpu_to_le32(arg->hostmem),
	};
	struct vgpu_hostmem *hm;
	u32 status;
	int err;

	if (arg->reserved)
		return -EINVAL;
	if (!vgpu_context_alive(ctx))
		return -ENODEV;
	xa_lock(&ctx->hostmems);
	hm = xa_load(&ctx->hostmems, arg->hostmem);
	if (hm && hm->state == VGPU_HOSTMEM_READY)
		hm->state = VGPU_HOSTMEM_BUSY;
	else
		hm = NULL;
	xa_unlock(&ctx->hostmems);
	if (!hm)
		return -ENOENT;
	err = vgpu_submit_settle(ctx, true);
	if (!err)
		err = vgpu_control_simple(ctx->vd, VGPU_REQ_HOSTMEM_UNREGISTER,
					  ctx->id, &request, sizeof(request),
					  NULL, 0, true, &status);
	if (!err)
		err = vgpu_status_errno(status);
	/* Otherwise the pages wait for the release of the file. */
	if (!err)
		vgpu_hostmem_forget(ctx, hm);
	return err;
}

/* -- contexts ------------------------------------------------------------ */

/* How often a context's creation starts the session anew before it gives up. */
#define VGPU_SESSION_TRIES 8

/* Make the device let go of @ctx. Return: whether it has said so. */
static bool vgpu_context_quiet(struct vgpu_context *ctx)
{
	struct vgpu_device *vd = ctx->vd;
	u32 status;
	int err;

	if (ctx->session <= READ_ONCE(vd->session_quiet))
		return true;
	if (!READ_ONCE(vd->lost)) {
		err = vgpu_control_simple(vd, VGPU_REQ_CONTEXT_DESTROY, ctx->id,
					  NULL, 0, NULL, 0, false, &status);
		if (!err && (status == VGPU_STATUS_OK ||
			     status == VGPU_STATUS_CONTEXT_UNKNOWN))
			return true;
		if (!err && status == VGPU_STATUS_NOT_INITIALISED)
			vgpu_session_lost(vd, ctx->session,
					  "the end of a context finds no session");
	}
	/* A device without its state confirms the end of a session, too. */
	if (READ_ONCE(vd->lost))
		vgpu_session_renew(vd);
	return ctx->session <= READ_ONCE(vd->session_quiet);
}

static void vgpu_leak(struct vgpu_device *vd, u64 bytes)
{
	atomic64_add(bytes, &vd->stats.leaked_bytes);
}

static void vgpu_context_free(struct vgpu_context *ctx, bool quiet)
{
	struct vgpu_device *vd = ctx->vd;
	struct vgpu_hostmem *hm;
	unsigned long handle;

	xa_for_each(&ctx->hostmems, handle, hm) {
		if (quiet)
			vgpu_hostmem_unpin(hm);
		else
			vgpu_leak(vd, hm->pinned_bytes);
		vgpu_uncharge(ctx, hm->pinned_bytes);
		kvfree(hm->ranges);
		kfree(hm);
	}
	xa_destroy(&ctx->hostmems);
	if (quiet) {
		if (ctx->timeline)
			__free_page(ctx->timeline);
		if (ctx->arm)
			__free_page(ctx->arm);
	} else {
		vgpu_leak(vd, 2 * PAGE_SIZE);
	}
	put_device(&vd->dev);
	kfree(ctx);
}

static struct vgpu_context *vgpu_context_new(struct vgpu_device *vd)
{
	struct vgpu_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);

	if (!ctx)
		return NULL;
	get_device(&vd->dev);
	ctx->vd = vd;
	ctx->serial = atomic64_inc_return(&vd->serial);
	xa_init_flags(&ctx->hostmems, XA_FLAGS_ALLOC1);
	vgpu_fence_init(ctx);
	ctx->pid = task_tgid_nr(current);
	get_task_comm(ctx->name, current->group_leader);
	ctx->timeline = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	ctx->arm = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ctx->timeline || !ctx->arm) {
		vgpu_context_free(ctx, true);
		return NULL;
	}
	return ctx;
}

/* An id, and addresses for the pages. */
static int vgpu_context_attach(struct vgpu_context *ctx)
{
	struct vgpu_device *vd = ctx->vd;
	int cookie;
	int err;

	if (!vgpu_enter(vd, &cookie))
		return -ENODEV;
	err = vgpu_context_map(ctx);
	if (!err)
		err = xa_alloc_irq(&vd->contexts, &ctx->id, ctx,
				   XA_LIMIT(0, vd->config.contexts_max - 1),
				   GFP_KERNEL);
	vgpu_exit(vd, cookie);
	return err;
}

static void vgpu_context_detach(struct vgpu_context *ctx, bool attached,
				bool quiet)
{
	struct vgpu_device *vd = ctx->vd;

	mutex_lock(&vd->unmap_lock);
	if (attached)
		xa_erase_irq(&vd->contexts, ctx->id);
	if (quiet)
		vgpu_context_unmap(ctx);
	mutex_unlock(&vd->unmap_lock);
}

/*
 * With vd->session_lock held: CONTEXT_CREATE. Return: 0, or a negative error
 * number; *quiet says that the device surely does not have the context.
 */
static int vgpu_context_announce(struct vgpu_context *ctx, bool *quiet)
{
	struct vgpu_device *vd = ctx->vd;
	struct vgpu_context_create_request request = {
		.timeline_address = cpu_to_le64(ctx->timeline_dma),
		.arm_address = cpu_to_le64(ctx->arm_dma),
	};
	u32 status;
	int err, try;

	strscpy_pad(request.name, ctx->name, sizeof(request.name));
	/*
	 * A device that was replaced since asks for a new session, and may be
	 * replaced again before it has the context.
	 */
	for (try = 0; try <= VGPU_SESSION_TRIES; try++) {
		*quiet = true;
		err = vgpu_session_ensure(vd);
		if (err)
			return err;
		ctx->epoch = vd->epoch;
		ctx->session = vd->session;
		/* Not killable: without the reply there is no way on. */
		err = vgpu_control_simple(vd, VGPU_REQ_CONTEXT_CREATE, ctx->id,
					  &request, sizeof(request), NULL, 0,
					  false, &status);
		*quiet = !err || err == -ENOMEM;
		if (err)
			return err;
		if (status != VGPU_STATUS_NOT_INITIALISED)
			break;
		vgpu_session_lost(vd, ctx->session,
				  "a new context finds no session");
		status = VGPU_STATUS_DEVICE_LOST;
	}
	return vgpu_status_errno(status);
}

/**
 * vgpu_context_create - make a context for a file that is being opened
 * @vd: the device
 * @out: out: the context
 *
 * Return: 0, or a negative error number: -EBUSY if the device has no context
 * left.
 */
int vgpu_context_create(struct vgpu_device *vd, struct vgpu_context **out)
{
	struct vgpu_context *ctx = vgpu_context_new(vd);
	bool attached = false;
	bool quiet = true;
	int err;

	if (!ctx)
		return -ENOMEM;
	err = vgpu_context_attach(ctx);
	if (err)
		goto free;
	attached = true;
	err = mutex_lock_killable(&vd->session_lock);
	if (err)
		goto free;
	err = vgpu_context_announce(ctx, &quiet);
	mutex_unlock(&vd->session_lock);
	if (!err) {
		*out = ctx;
		return 0;
	}
	if (!quiet)
		quiet = vgpu_context_quiet(ctx);
free:
	vgpu_context_detach(ctx, attached, quiet);
	vgpu_context_free(ctx, quiet);
	return err;
}

/**
 * vgpu_context_destroy - the last user of a file is gone
 * @ctx: the context; freed
 */
void vgpu_context_destroy(struct vgpu_context *ctx)
{
	bool quiet;

	/* The id must not be used again while a submission with it is queued. */
	vgpu_submit_settle(ctx, false);
	quiet = vgpu_context_quiet(ctx);
	vgpu_context_detach(ctx, true, quiet);
	vgpu_context_free(ctx, quiet);
}
