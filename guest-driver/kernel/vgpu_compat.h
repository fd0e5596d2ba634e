/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interfaces of the kernel that changed since 6.1, each in its newest form.
 * The only file that asks for the kernel's version.
 */
#ifndef VGPU_COMPAT_H
#define VGPU_COMPAT_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/version.h>
#include <linux/virtio_config.h>

/* The device that class->devnode() is given became const in 6.2. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define VGPU_DEVNODE_CONST
#else
#define VGPU_DEVNODE_CONST	const
#endif

static inline void vgpu_vm_flags_mod(struct vm_area_struct *vma,
				     unsigned long set, unsigned long clear)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#else
	vm_flags_mod(vma, set, clear);
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
	bool ctx;
};
#endif

#define VGPU_VQS_MAX	4

static inline int vgpu_find_vqs(struct virtio_device *vdev, unsigned int count,
				struct virtqueue **vqs,
				struct virtqueue_info *info)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	vq_callback_t *callbacks[VGPU_VQS_MAX];
	const char *names[VGPU_VQS_MAX];
	unsigned int i;

	if (count > VGPU_VQS_MAX)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		callbacks[i] = info[i].callback;
		names[i] = info[i].name;
	}
	return virtio_find_vqs(vdev, count, vqs, callbacks, names, NULL);
#else
	return virtio_find_vqs(vdev, count, vqs, info, NULL);
#endif
}

#endif /* VGPU_COMPAT_H */
