// SPDX-License-Identifier: GPL-2.0
/*
 * The character device: open, ioctls, the mapping of the timeline page.
 *
 * Each ioctl copies its argument once, checks the copy, and copies it back
 * only if it carries results.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "vgpu_compat.h"
#include "vgpu_drv.h"

static int vgpu_open(struct inode *inode, struct file *file)
{
	struct vgpu_device *vd = container_of(inode->i_cdev, struct vgpu_device,
					      cdev);
	struct vgpu_context *ctx;
	int err;

	vgpu_device_revive(vd);
	if (!vgpu_usable(vd))
		return -ENODEV;
	err = vgpu_context_create(vd, &ctx);
	if (err)
		return err;
	file->private_data = ctx;
	return nonseekable_open(inode, file);
}

static int vgpu_release(struct inode *inode, struct file *file)
{
	vgpu_context_destroy(file->private_data);
	return 0;
}

static int vgpu_ioctl_info(struct vgpu_context *ctx, void __user *user)
{
	struct vgpu_device *vd = ctx->vd;
	struct vgpu_ioctl_info info = {
		.abi_version = VGPU_IOCTL_ABI_VERSION,
		.context = ctx->id,
		.capabilities = vd->capabilities,
		.device_index = vd->index,
		.epoch = ctx->epoch,
		.pinned_bytes_max = vgpu_pinned_bytes_max(),
	};

	if (!vgpu_context_alive(ctx))
		return -ENODEV;
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

/* Copy the request in, check its header and make it this context's. */
static int vgpu_control_load(struct vgpu_context *ctx, struct vgpu_control *c,
			     const struct vgpu_ioctl_control *arg)
{
	struct vgpu_request_header header;
	u32 context;
	int err;

	err = vgpu_buffer_from_user(&c->request, 0,
				    u64_to_user_ptr(arg->request),
				    arg->request_bytes);
	if (err)
		return err;
	vgpu_buffer_read(&c->request, 0, &header, sizeof(header));
	context = le32_to_cpu(header.context);
	if (header.flags || header.reserved || (context && context != ctx->id))
		return -EINVAL;
	err = vgpu_request_check(le32_to_cpu(header.type));
	if (err)
		return err;
	header.context = cpu_to_le32(ctx->id);
	vgpu_buffer_write(&c->request, 0, &header, sizeof(header));
	return 0;
}

static int vgpu_ioctl_control(struct vgpu_context *ctx,
			      struct vgpu_ioctl_control *arg)
{
	struct vgpu_device *vd = ctx->vd;
	u32 max = vd->config.control_request_bytes_max;
	struct vgpu_control *c;
	u32 status;
	int err;

	if (arg->reserved ||
	    arg->request_bytes < sizeof(struct vgpu_request_header) ||
	    arg->request_bytes > max ||
	    arg->response_bytes < sizeof(struct vgpu_response_header) ||
	    arg->response_bytes > max)
		return -EINVAL;
	if (!vgpu_context_alive(ctx))
		return -ENODEV;
	c = vgpu_control_alloc(vd, 0, 0, arg->request_bytes,
			       arg->response_bytes);
	if (!c)
		return -ENOMEM;
	err = vgpu_control_load(ctx, c, arg);
	if (err)
		goto put;
	err = vgpu_submit_settle(ctx, true);
	if (err)
		goto put;
	err = vgpu_control_send(vd, c, true);
	if (err)
		goto put;
	err = vgpu_control_status(c, &status);
	if (err) {
		atomic64_inc(&vd->stats.device_errors);
		goto put;
	}
	if (status == VGPU_STATUS_NOT_INITIALISED)
		vgpu_session_lost(vd, ctx->session, "a request finds no session");
	arg->response_bytes = c->used;
	atomic64_add(arg->request_bytes + c->used, &vd->stats.copied_bytes);
	err = vgpu_buffer_to_user(&c->response, 0,
				  u64_to_user_ptr(arg->response), c->used);
put:
	vgpu_control_put(c);
	return err;
}

static long vgpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vgpu_context *ctx = file->private_data;
	void __user *user = (void __user *)arg;
	union {
		struct vgpu_ioctl_control control;
		struct vgpu_ioctl_submit submit;
		struct vgpu_ioctl_wait wait;
		struct vgpu_ioctl_pin pin;
		struct vgpu_ioctl_unpin unpin;
	} a;
	size_t bytes = _IOC_SIZE(cmd);
	long ret;

	switch (cmd) {
	case VGPU_IOC_INFO:
		return vgpu_ioctl_info(ctx, user);
	case VGPU_IOC_CONTROL:
	case VGPU_IOC_SUBMIT:
	case VGPU_IOC_WAIT:
	case VGPU_IOC_PIN:
	case VGPU_IOC_UNPIN:
		break;
	default:
		return -ENOTTY;
	}
	if (copy_from_user(&a, user, bytes))
		return -EFAULT;
	switch (cmd) {
	case VGPU_IOC_CONTROL:
		ret = vgpu_ioctl_control(ctx, &a.control);
		break;
	case VGPU_IOC_SUBMIT:
		ret = vgpu_submit(ctx, &a.submit);
		break;
	case VGPU_IOC_WAIT:
		ret = vgpu_fence_wait(ctx, &a.wait);
		break;
	case VGPU_IOC_PIN:
		ret = vgpu_pin(ctx, &a.pin);
		break;
	default:
		return vgpu_unpin(ctx, &a.unpin);
	}
	/* A wait that fails tells its status and the time that is left. */
	if ((!ret || cmd == VGPU_IOC_WAIT) && copy_to_user(user, &a, bytes))
		return -EFAULT;
	return ret;
}

static int vgpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vgpu_context *ctx = file->private_data;

	if (vma->vm_pgoff != VGPU_MMAP_TIMELINE_OFFSET ||
	    vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	/* A private copy would never change. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	/* The mapping keeps the page, the file and so the context. */
	vgpu_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP,
			  VM_MAYWRITE | VM_MAYEXEC);
	return vm_insert_page(vma, vma->vm_start, ctx->timeline);
}

const struct file_operations vgpu_fops = {
	.owner = THIS_MODULE,
	.open = vgpu_open,
	.release = vgpu_release,
	.unlocked_ioctl = vgpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vgpu_mmap,
};
