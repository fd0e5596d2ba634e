// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs: vgpu/vgpuN/stats (name and value per line) and vgpu/vgpuN/contexts.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "vgpu_drv.h"

static struct dentry *vgpu_debugfs_root;

static void vgpu_stat(struct seq_file *m, const char *name,
		      const atomic64_t *value)
{
	seq_printf(m, "%s %lld\n", name, atomic64_read(value));
}

static int vgpu_stats_show(struct seq_file *m, void *unused)
{
	struct vgpu_device *vd = m->private;
	struct vgpu_stats *s = &vd->stats;
	struct vgpu_context *ctx;
	unsigned long id, flags;
	u64 contexts = 0;

	xa_lock_irqsave(&vd->contexts, flags);
	xa_for_each(&vd->contexts, id, ctx)
		contexts++;
	xa_unlock_irqrestore(&vd->contexts, flags);
	seq_printf(m, "state %s\n", READ_ONCE(vd->broken) ? "broken" :
		   READ_ONCE(vd->lost) ? "lost" :
		   vgpu_usable(vd) ? "ready" : "stopped");
	seq_printf(m, "session %llu\n", READ_ONCE(vd->session));
	seq_printf(m, "epoch %u\n", READ_ONCE(vd->epoch));
	seq_printf(m, "contexts %llu\n", contexts);
	vgpu_stat(m, "pinned_bytes", &s->pinned_bytes);
	vgpu_stat(m, "leaked_bytes", &s->leaked_bytes);
	vgpu_stat(m, "submits", &s->submits);
	vgpu_stat(m, "submit_errors", &s->submit_errors);
	vgpu_stat(m, "submit_stalls", &s->submit_stalls);
	vgpu_stat(m, "kicks", &s->kicks);
	vgpu_stat(m, "copied_bytes", &s->copied_bytes);
	vgpu_stat(m, "controls", &s->controls);
	vgpu_stat(m, "controls_abandoned", &s->controls_abandoned);
	vgpu_stat(m, "waits_done", &s->waits_done);
	vgpu_stat(m, "waits_polled", &s->waits_polled);
	vgpu_stat(m, "waits_slept", &s->waits_slept);
	vgpu_stat(m, "waits_failed", &s->waits_failed);
	vgpu_stat(m, "interrupts_control", &s->interrupts[VGPU_QUEUE_CONTROL]);
	vgpu_stat(m, "interrupts_event", &s->interrupts[VGPU_QUEUE_EVENT]);
	vgpu_stat(m, "interrupts_submit", &s->interrupts[VGPU_QUEUE_SUBMIT]);
	vgpu_stat(m, "events", &s->events);
	vgpu_stat(m, "pings", &s->pings);
	vgpu_stat(m, "event_errors", &s->event_errors);
	vgpu_stat(m, "device_errors", &s->device_errors);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vgpu_stats);

static int vgpu_contexts_show(struct seq_file *m, void *unused)
{
	struct vgpu_device *vd = m->private;
	struct vgpu_context *ctx;
	unsigned long id, flags;

	xa_lock_irqsave(&vd->contexts, flags);
	xa_for_each(&vd->contexts, id, ctx)
		seq_printf(m, "%lu pid %d name %s session %llu pinned_bytes %lld failed %u\n",
			   id, ctx->pid, ctx->name, ctx->session,
			   atomic64_read(&ctx->pinned_bytes),
			   READ_ONCE(ctx->failed));
	xa_unlock_irqrestore(&vd->contexts, flags);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vgpu_contexts);

/**
 * vgpu_debugfs_init - make the driver's directory
 */
void vgpu_debugfs_init(void)
{
	vgpu_debugfs_root = debugfs_create_dir("vgpu", NULL);
}

/**
 * vgpu_debugfs_exit - remove the driver's directory
 */
void vgpu_debugfs_exit(void)
{
	debugfs_remove_recursive(vgpu_debugfs_root);
}

/**
 * vgpu_debugfs_add - make a device's files
 * @vd: the device
 */
void vgpu_debugfs_add(struct vgpu_device *vd)
{
	vd->debugfs = debugfs_create_dir(dev_name(&vd->dev), vgpu_debugfs_root);
	debugfs_create_file("stats", 0444, vd->debugfs, vd, &vgpu_stats_fops);
	debugfs_create_file("contexts", 0444, vd->debugfs, vd,
			    &vgpu_contexts_fops);
}

/**
 * vgpu_debugfs_remove - remove a device's files; no reader is left
 * @vd: the device
 */
void vgpu_debugfs_remove(struct vgpu_device *vd)
{
	debugfs_remove_recursive(vd->debugfs);
	vd->debugfs = NULL;
}
