/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: one where a request goes to the device and one where its reply
 * is taken, so that the difference is the device's share of the time.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vgpu

#if !defined(VGPU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VGPU_TRACE_H

#include <linux/tracepoint.h>

#include "vgpu_drv.h"

TRACE_EVENT(vgpu_control_queue,
	TP_PROTO(const struct vgpu_device *vd, const void *request, u32 type,
		 u32 context, size_t bytes),
	TP_ARGS(vd, request, type, context, bytes),
	TP_STRUCT__entry(
		__field(int, device)
		__field(const void *, request)
		__field(u32, type)
		__field(u32, context)
		__field(size_t, bytes)
	),
	TP_fast_assign(
		__entry->device = vd->index;
		__entry->request = request;
		__entry->type = type;
		__entry->context = context;
		__entry->bytes = bytes;
	),
	TP_printk("vgpu%d request=%p type=%u context=%u bytes=%zu",
		  __entry->device, __entry->request, __entry->type,
		  __entry->context, __entry->bytes)
);

TRACE_EVENT(vgpu_control_response,
	TP_PROTO(const struct vgpu_device *vd, const void *request, u32 used,
		 int error),
	TP_ARGS(vd, request, used, error),
	TP_STRUCT__entry(
		__field(int, device)
		__field(const void *, request)
		__field(u32, used)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->device = vd->index;
		__entry->request = request;
		__entry->used = used;
		__entry->error = error;
	),
	TP_printk("vgpu%d request=%p used=%u error=%d", __entry->device,
		  __entry->request, __entry->used, __entry->error)
);

TRACE_EVENT(vgpu_submit_queue,
	TP_PROTO(const struct vgpu_context *ctx, u32 stream, u64 fence,
		 u32 commands, u32 bytes),
	TP_ARGS(ctx, stream, fence, commands, bytes),
	TP_STRUCT__entry(
		__field(int, device)
		__field(u32, context)
		__field(u32, stream)
		__field(u64, fence)
		__field(u32, commands)
		__field(u32, bytes)
	),
	TP_fast_assign(
		__entry->device = ctx->vd->index;
		__entry->context = ctx->id;
		__entry->stream = stream;
		__entry->fence = fence;
		__entry->commands = commands;
		__entry->bytes = bytes;
	),
	TP_printk("vgpu%d context=%u stream=%u fence=%llu commands=%u bytes=%u",
		  __entry->device, __entry->context, __entry->stream,
		  __entry->fence, __entry->commands, __entry->bytes)
);

TRACE_EVENT(vgpu_submit_response,
	TP_PROTO(const struct vgpu_device *vd, u32 context, u32 status),
	TP_ARGS(vd, context, status),
	TP_STRUCT__entry(
		__field(int, device)
		__field(u32, context)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->device = vd->index;
		__entry->context = context;
		__entry->status = status;
	),
	TP_printk("vgpu%d context=%u status=%u", __entry->device,
		  __entry->context, __entry->status)
);

DECLARE_EVENT_CLASS(vgpu_wait,
	TP_PROTO(const struct vgpu_context *ctx, u32 stream, u64 fence, int ret),
	TP_ARGS(ctx, stream, fence, ret),
	TP_STRUCT__entry(
		__field(int, device)
		__field(u32, context)
		__field(u32, stream)
		__field(u64, fence)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->device = ctx->vd->index;
		__entry->context = ctx->id;
		__entry->stream = stream;
		__entry->fence = fence;
		__entry->ret = ret;
	),
	TP_printk("vgpu%d context=%u stream=%u fence=%llu ret=%d",
		  __entry->device, __entry->context, __entry->stream,
		  __entry->fence, __entry->ret)
);

DEFINE_EVENT(vgpu_wait, vgpu_wait_begin,
	TP_PROTO(const struct vgpu_context *ctx, u32 stream, u64 fence, int ret),
	TP_ARGS(ctx, stream, fence, ret)
);

DEFINE_EVENT(vgpu_wait, vgpu_wait_end,
	TP_PROTO(const struct vgpu_context *ctx, u32 stream, u64 fence, int ret),
	TP_ARGS(ctx, stream, fence, ret)
);

TRACE_EVENT(vgpu_event,
	TP_PROTO(const struct vgpu_device *vd, u32 type, u32 context,
		 u32 epoch),
	TP_ARGS(vd, type, context, epoch),
	TP_STRUCT__entry(
		__field(int, device)
		__field(u32, type)
		__field(u32, context)
		__field(u32, epoch)
	),
	TP_fast_assign(
		__entry->device = vd->index;
		__entry->type = type;
		__entry->context = context;
		__entry->epoch = epoch;
	),
	TP_printk("vgpu%d type=%u context=%u epoch=%#x", __entry->device,
		  __entry->type, __entry->context, __entry->epoch)
);

#endif /* VGPU_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vgpu_trace
#include <trace/define_trace.h>
