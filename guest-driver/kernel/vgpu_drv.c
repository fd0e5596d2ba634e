// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-vgpu: life of the module, of a device, and of its session.
 *
 * A session begins with INIT and a random number. All that the device holds
 * for this driver belongs to it, and the next INIT ends it: that is how remove
 * and freeze make the device let go of memory (resets do not reach every back
 * end), and how a device that has lost its state is put to use again. Contexts
 * of an older session are dead; only their release is left.
 */
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "vgpu_compat.h"
#include "vgpu_drv.h"

#define CREATE_TRACE_POINTS
#include "vgpu_trace.h"

#define VGPU_MINORS	256
/* Context ids are indices of an array in the device: sanity, not a limit. */
#define VGPU_CONTEXTS_MAX	65536u
#define VGPU_CAPABILITIES_KNOWN	(VGPU_CAP_WGSL | VGPU_CAP_F16 | \
				 VGPU_CAP_SUBGROUPS | VGPU_CAP_TIMESTAMPS | VGPU_CAP_PTX)

static unsigned int vgpu_device_id = VGPU_VIRTIO_ID;
module_param_named(device_id, vgpu_device_id, uint, 0444);
MODULE_PARM_DESC(device_id, "virtio device id to drive (default 38)");

unsigned int vgpu_poll_us = 50;
module_param_named(poll_us, vgpu_poll_us, uint, 0644);
MODULE_PARM_DESC(poll_us, "longest poll before sleeping, microseconds (default 50, 0 = never)");

static unsigned int vgpu_timeout_s = 30;
module_param_named(timeout_s, vgpu_timeout_s, uint, 0644);
MODULE_PARM_DESC(timeout_s, "seconds after which an unanswered request condemns the device (default 30)");

unsigned int vgpu_pinned_mib_max;
module_param_named(pinned_mib_max, vgpu_pinned_mib_max, uint, 0644);
MODULE_PARM_DESC(pinned_mib_max, "most memory that one open file may pin, MiB (default 0 = half of the memory)");

static dev_t vgpu_devt;
static DEFINE_IDA(vgpu_minors);

/* -- state --------------------------------------------------------------- */

/**
 * vgpu_enter - begin to use the virtqueues
 * @vd: the device
 * @cookie: out: for vgpu_exit()
 *
 * Return: false, with nothing to undo, if there are none any more.
 */
bool vgpu_enter(struct vgpu_device *vd, int *cookie)
{
	*cookie = srcu_read_lock(&vd->srcu);
	if (!READ_ONCE(vd->stopped)) {
		/* Sparse knows no conditional locks. */
		__release(&vd->srcu);
		return true;
	}
	srcu_read_unlock(&vd->srcu, *cookie);
	return false;
}

/**
 * vgpu_exit - end what vgpu_enter() began
 * @vd: the device
 * @cookie: from vgpu_enter()
 */
void vgpu_exit(struct vgpu_device *vd, int cookie)
{
	__acquire(&vd->srcu);
	srcu_read_unlock(&vd->srcu, cookie);
}

/**
 * vgpu_usable - may processes use the device?
 * @vd: the device
 *
 * Return: false if every call is to fail with -ENODEV.
 */
bool vgpu_usable(const struct vgpu_device *vd)
{
	return !READ_ONCE(vd->closing) && !READ_ONCE(vd->broken) &&
	       !READ_ONCE(vd->stopped);
}

/**
 * vgpu_timeout_jiffies - how long a request may stay unanswered
 *
 * Return: jiffies.
 */
long vgpu_timeout_jiffies(void)
{
	return clamp(READ_ONCE(vgpu_timeout_s), 1u, 3600u) * (long)HZ;
}

static void vgpu_wake_everyone(struct vgpu_device *vd)
{
	unsigned int i;

	for (i = 0; i < VGPU_QUEUE_COUNT; i++)
		vgpu_queue_wake(&vd->queues[i]);
	vgpu_contexts_wake(vd);
}

/**
 * vgpu_device_break - give the device up
 * @vd: the device
 * @why: for the log
 */
void vgpu_device_break(struct vgpu_device *vd, const char *why)
{
	if (xchg(&vd->broken, true))
		return;
	dev_err(&vd->dev, "given up: %s\n", why);
	vgpu_wake_everyone(vd);
}

/**
 * vgpu_device_revive - take a device back that answers after all
 * @vd: the device
 *
 * One that was given up because it took too long (the host slept, say) is
 * lost no more once it has returned all that it had. What it knows of the old
 * session is void then.
 */
void vgpu_device_revive(struct vgpu_device *vd)
{
	if (!READ_ONCE(vd->broken))
		return;
	mutex_lock(&vd->session_lock);
	if (vd->broken && vgpu_queues_idle(vd)) {
		dev_info(&vd->dev, "answers again\n");
		vgpu_session_lost(vd, vd->session, "it was given up");
		/* Whoever sees the device whole sees the session lost. */
		smp_store_release(&vd->broken, false);
	}
	mutex_unlock(&vd->session_lock);
}

/* -- session ------------------------------------------------------------- */

/**
 * vgpu_session_lost - the device does not have the session's state any more
 * @vd: the device
 * @session: the session that this was learnt from
 * @why: for the log
 *
 * Any calling context, without the lock of @vd->contexts.
 */
void vgpu_session_lost(struct vgpu_device *vd, u64 session, const char *why)
{
	unsigned long flags;
	bool news;

	spin_lock_irqsave(&vd->state_lock, flags);
	news = !vd->lost && vd->session == session;
	if (news)
		WRITE_ONCE(vd->lost, true);
	spin_unlock_irqrestore(&vd->state_lock, flags);
	if (!news)
		return;
	dev_warn(&vd->dev, "session %llu is lost: %s\n", session, why);
	vgpu_contexts_wake(vd);
}

static int vgpu_session_request(struct vgpu_device *vd,
				struct vgpu_init_response *response)
{
	struct vgpu_init_request request = {
		/* Zero means no session. */
		.session = cpu_to_le64(get_random_u64() | 1),
		.capabilities = cpu_to_le64(VGPU_CAPABILITIES_KNOWN),
	};
	u32 status;
	int err;

	err = vgpu_control_simple(vd, VGPU_REQ_INIT, 0, &request,
				  sizeof(request), response, sizeof(*response),
				  false, &status);
	if (err)
		return err;
	if (status != VGPU_STATUS_OK) {
		dev_err(&vd->dev, "INIT is refused with status %u\n", status);
		return -EIO;
	}
	if (!response->epoch ||
	    le32_to_cpu(response->version) >> 16 != VGPU_VERSION >> 16) {
		dev_err(&vd->dev, "INIT gives epoch %u, version %#x, not %#x\n",
			le32_to_cpu(response->epoch),
			le32_to_cpu(response->version), VGPU_VERSION);
		return -EPROTO;
	}
	return 0;
}

static int vgpu_session_limits(struct vgpu_device *vd)
{
	struct vgpu_capabilities_response caps;
	u32 status;
	int err;

	err = vgpu_control_simple(vd, VGPU_REQ_GET_CAPABILITIES, 0, NULL, 0,
				  &caps, sizeof(caps), false, &status);
	if (!err && status != VGPU_STATUS_OK)
		err = -EIO;
	if (!err)
		vd->hostmems_max = le32_to_cpu(caps.hostmems_max);
	return err;
}

/* With vd->session_lock held: end the session there is, begin another. */
static int vgpu_session_start(struct vgpu_device *vd)
{
	struct vgpu_init_response response;
	int err = vgpu_session_request(vd, &response);

	if (err)
		return err;
	spin_lock_irq(&vd->state_lock);
	WRITE_ONCE(vd->session_quiet, vd->session);
	WRITE_ONCE(vd->session, vd->session + 1);
	WRITE_ONCE(vd->epoch, le32_to_cpu(response.epoch));
	vd->capabilities = le64_to_cpu(response.capabilities);
	WRITE_ONCE(vd->lost, false);
	spin_unlock_irq(&vd->state_lock);
	/* Waiters of the old session see that it is over. */
	vgpu_contexts_wake(vd);
	return vgpu_session_limits(vd);
}

/**
 * vgpu_session_ensure - begin a new session if the old one is lost
 * @vd: the device; vd->session_lock is held
 *
 * Return: 0 or a negative error number.
 */
int vgpu_session_ensure(struct vgpu_device *vd)
{
	if (!vgpu_usable(vd))
		return -ENODEV;
	if (!READ_ONCE(vd->lost))
		return 0;
	return vgpu_session_start(vd);
}

/**
 * vgpu_session_renew - the same for who does not hold vd->session_lock
 * @vd: the device
 *
 * Return: 0 or a negative error number.
 */
int vgpu_session_renew(struct vgpu_device *vd)
{
	int err;

	mutex_lock(&vd->session_lock);
	err = vgpu_session_ensure(vd);
	mutex_unlock(&vd->session_lock);
	return err;
}

/* -- is it still there? -------------------------------------------------- */

static void vgpu_ping_work(struct work_struct *work)
{
	struct vgpu_device *vd = container_of(work, struct vgpu_device, ping);
	struct vgpu_capabilities_response caps;
	u64 session = READ_ONCE(vd->session);
	u32 status;
	int err;

	atomic64_inc(&vd->stats.pings);
	/* No answer in time condemns the device; that is all it takes. */
	err = vgpu_control_simple(vd, VGPU_REQ_GET_CAPABILITIES, 0, NULL, 0,
				  &caps, sizeof(caps), false, &status);
	if (!err && status == VGPU_STATUS_NOT_INITIALISED)
		vgpu_session_lost(vd, session, "a ping finds no session");
}

/**
 * vgpu_device_ping - make sure that the device answers requests, in background
 * @vd: the device
 *
 * A fence may take any time, a control request may not. Who sleeps for a fence
 * calls this once in a while, or a device that died would never be noticed.
 */
void vgpu_device_ping(struct vgpu_device *vd)
{
	int cookie;

	/* Once the device is stopped, the work is not to be queued again. */
	if (!vgpu_enter(vd, &cookie))
		return;
	schedule_work(&vd->ping);
	vgpu_exit(vd, cookie);
}

/* -- start and stop ------------------------------------------------------ */

static void vgpu_device_stop(struct vgpu_device *vd)
{
	struct vgpu_init_response response;

	WRITE_ONCE(vd->closing, true);
	vgpu_wake_everyone(vd);
	mutex_lock(&vd->session_lock);
	/* After the reply the device does not touch the old session's memory. */
	if (!vd->broken && !vgpu_session_request(vd, &response))
		WRITE_ONCE(vd->session_quiet, vd->session);
	mutex_unlock(&vd->session_lock);
	WRITE_ONCE(vd->stopped, true);
	vgpu_wake_everyone(vd);
	synchronize_srcu(&vd->srcu);
	vgpu_queues_stop(vd);
	cancel_work_sync(&vd->ping);
	vgpu_contexts_unmap(vd);
}

static int vgpu_device_start(struct vgpu_device *vd)
{
	int err = vgpu_queues_start(vd);

	if (err)
		return err;
	virtio_device_ready(vd->vdev);
	WRITE_ONCE(vd->stopped, false);
	vgpu_queues_fill(vd);
	mutex_lock(&vd->session_lock);
	err = vgpu_session_start(vd);
	mutex_unlock(&vd->session_lock);
	if (err) {
		vgpu_device_stop(vd);
		return err;
	}
	WRITE_ONCE(vd->closing, false);
	return 0;
}

static int vgpu_config_read(struct vgpu_device *vd)
{
	struct virtio_device *vdev = vd->vdev;
	u32 magic, version, queues, contexts, streams, control, submit, entries;

	virtio_cread_le(vdev, struct vgpu_config, magic, &magic);
	virtio_cread_le(vdev, struct vgpu_config, version, &version);
	virtio_cread_le(vdev, struct vgpu_config, queue_count, &queues);
	virtio_cread_le(vdev, struct vgpu_config, contexts_max, &contexts);
	virtio_cread_le(vdev, struct vgpu_config, streams_max, &streams);
	virtio_cread_le(vdev, struct vgpu_config, control_request_bytes_max,
			&control);
	virtio_cread_le(vdev, struct vgpu_config, submit_bytes_max, &submit);
	virtio_cread_le(vdev, struct vgpu_config, hostmem_entries_max, &entries);
	if (magic != VGPU_MAGIC) {
		dev_err(&vdev->dev, "no vgpu: the magic is %#x, not %#x\n",
			magic, VGPU_MAGIC);
		return -ENODEV;
	}
	if (version >> 16 != VGPU_VERSION >> 16 || queues < VGPU_QUEUE_COUNT) {
		dev_err(&vdev->dev, "version %#x with %u queues is not supported, %#x is\n",
			version, queues, VGPU_VERSION);
		return -ENODEV;
	}
	vd->config.contexts_max = min(contexts, VGPU_CONTEXTS_MAX);
	vd->config.streams_max = min_t(u32, streams, VGPU_STREAMS_MAX);
	vd->config.control_request_bytes_max =
		min_t(u32, control, VGPU_CONTROL_REQUEST_BYTES_MAX);
	vd->config.submit_bytes_max = min_t(u32, submit, VGPU_SUBMIT_BYTES_MAX);
	vd->config.hostmem_entries_max =
		min_t(u32, entries, VGPU_HOSTMEM_ENTRIES_MAX);
	vd->entries_max = vgpu_entries_max(vd->config.hostmem_entries_max,
					   vd->config.control_request_bytes_max);
	if (!contexts || !streams || !vd->entries_max ||
	    vgpu_submit_check(0, 0, submit)) {
		dev_err(&vdev->dev, "impossible limits: %u contexts, %u streams, requests of %u and %u bytes, %u entries\n",
			contexts, streams, control, submit, entries);
		return -ENODEV;
	}
	return 0;
}

/* -- device -------------------------------------------------------------- */

static char *vgpu_devnode(VGPU_DEVNODE_CONST struct device *dev, umode_t *mode)
{
	/* Contexts are kept apart by the device: every user may have one. */
	if (mode)
		*mode = 0666;
	return NULL;
}

static struct class vgpu_class = {
	.name = "vgpu",
	.devnode = vgpu_devnode,
};

static void vgpu_device_release(struct device *dev)
{
	struct vgpu_device *vd = container_of(dev, struct vgpu_device, dev);

	ida_free(&vgpu_minors, vd->index);
	xa_destroy(&vd->contexts);
	cleanup_srcu_struct(&vd->srcu);
	kfree(vd);
}

static struct vgpu_device *vgpu_device_new(struct virtio_device *vdev)
{
	struct vgpu_device *vd = kzalloc(sizeof(*vd), GFP_KERNEL);
	unsigned int i;
	int err;

	if (!vd)
		return ERR_PTR(-ENOMEM);
	err = init_srcu_struct(&vd->srcu);
	if (err)
		goto free;
	err = ida_alloc_max(&vgpu_minors, VGPU_MINORS - 1, GFP_KERNEL);
	if (err < 0)
		goto srcu;
	vd->index = err;
	vd->vdev = vdev;
	vd->stopped = true;
	vd->closing = true;
	for (i = 0; i < VGPU_QUEUE_COUNT; i++) {
		spin_lock_init(&vd->queues[i].lock);
		init_waitqueue_head(&vd->queues[i].wait);
	}
	spin_lock_init(&vd->state_lock);
	mutex_init(&vd->session_lock);
	mutex_init(&vd->unmap_lock);
	INIT_WORK(&vd->ping, vgpu_ping_work);
	xa_init_flags(&vd->contexts, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_IRQ);
	if (!virtio_has_dma_quirk(vdev))
		vd->dma_dev = vdev->dev.parent;
	device_initialize(&vd->dev);
	vd->dev.class = &vgpu_class;
	vd->dev.parent = &vdev->dev;
	vd->dev.devt = MKDEV(MAJOR(vgpu_devt), MINOR(vgpu_devt) + vd->index);
	vd->dev.release = vgpu_device_release;
	cdev_init(&vd->cdev, &vgpu_fops);
	vd->cdev.owner = THIS_MODULE;
	err = dev_set_name(&vd->dev, "vgpu%d", vd->index);
	if (err) {
		put_device(&vd->dev);
		return ERR_PTR(err);
	}
	return vd;
srcu:
	cleanup_srcu_struct(&vd->srcu);
free:
	kfree(vd);
	return ERR_PTR(err);
}

static int vgpu_validate(struct virtio_device *vdev)
{
	if (virtio_has_feature(vdev, VIRTIO_F_VERSION_1))
		return 0;
	dev_err(&vdev->dev, "the device does not offer VIRTIO_F_VERSION_1\n");
	return -EINVAL;
}

static int vgpu_probe(struct virtio_device *vdev)
{
	struct vgpu_device *vd = vgpu_device_new(vdev);
	int err;

	if (IS_ERR(vd))
		return PTR_ERR(vd);
	vdev->priv = vd;
	err = vgpu_config_read(vd);
	if (err)
		goto put;
	err = vgpu_device_start(vd);
	if (err)
		goto put;
	err = cdev_device_add(&vd->cdev, &vd->dev);
	if (err)
		goto stop;
	vgpu_debugfs_add(vd);
	dev_info(&vd->dev, "%u contexts, capabilities %#llx, epoch %#x\n",
		 vd->config.contexts_max, vd->capabilities, vd->epoch);
	return 0;
stop:
	vgpu_device_stop(vd);
put:
	vdev->priv = NULL;
	put_device(&vd->dev);
	return err;
}

static void vgpu_remove(struct virtio_device *vdev)
{
	struct vgpu_device *vd = vdev->priv;

	vgpu_debugfs_remove(vd);
	cdev_device_del(&vd->cdev, &vd->dev);
	vgpu_device_stop(vd);
	vdev->priv = NULL;
	/* Open files keep the rest until they are closed. */
	put_device(&vd->dev);
}

#ifdef CONFIG_PM_SLEEP
/* What contexts hold on the device does not survive: they are lost. */
static int vgpu_freeze(struct virtio_device *vdev)
{
	vgpu_device_stop(vdev->priv);
	return 0;
}

static int vgpu_restore(struct virtio_device *vdev)
{
	return vgpu_device_start(vdev->priv);
}
#endif

/* -- module -------------------------------------------------------------- */

/* The first entry becomes what the module parameter says. */
static struct virtio_device_id vgpu_ids[] = {
	{ VGPU_VIRTIO_ID, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct virtio_driver vgpu_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = vgpu_ids,
	.validate = vgpu_validate,
	.probe = vgpu_probe,
	.remove = vgpu_remove,
#ifdef CONFIG_PM_SLEEP
	.freeze = vgpu_freeze,
	.restore = vgpu_restore,
#endif
};

static int __init vgpu_init(void)
{
	int err;

	if (!vgpu_device_id) {
		pr_err("device_id=0 is no device id\n");
		return -EINVAL;
	}
	vgpu_ids[0].device = vgpu_device_id;
	err = class_register(&vgpu_class);
	if (err)
		return err;
	err = alloc_chrdev_region(&vgpu_devt, 0, VGPU_MINORS, "vgpu");
	if (err)
		goto class;
	vgpu_debugfs_init();
	err = register_virtio_driver(&vgpu_driver);
	if (err)
		goto chrdev;
	return 0;
chrdev:
	vgpu_debugfs_exit();
	unregister_chrdev_region(vgpu_devt, VGPU_MINORS);
class:
	class_unregister(&vgpu_class);
	return err;
}

static void __exit vgpu_exit_module(void)
{
	unregister_virtio_driver(&vgpu_driver);
	vgpu_debugfs_exit();
	unregister_chrdev_region(vgpu_devt, VGPU_MINORS);
	class_unregister(&vgpu_class);
	ida_destroy(&vgpu_minors);
}

module_init(vgpu_init);
module_exit(vgpu_exit_module);

MODULE_DEVICE_TABLE(virtio, vgpu_ids);
MODULE_DESCRIPTION("Para-virtual GPU (virtio-vgpu)");
MODULE_LICENSE("GPL");
