// SPDX-License-Identifier: Apache-2.0
/*
 * Events. libvgpu's event is made at the first record, so that events which
 * only ever mark places in captures cost the device nothing.
 */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

static CUresult event_of(CUevent handle, struct CUevent_st **event)
{
	CUresult error = initialised();

	if (error != CUDA_SUCCESS)
		return error;
	if (!object_is(handle, KIND_EVENT))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!object_is(handle->context, KIND_CONTEXT))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*event = handle;
	return CUDA_SUCCESS;
}

CUresult event_record_run(struct CUstream_st *stream, struct CUevent_st *event)
{
	vgpu_context *vgpu = stream->context->vgpu;
	enum vgpu_result result = VGPU_SUCCESS;

	if (!event->vgpu)
		result = event->flags & CU_EVENT_DISABLE_TIMING ?
			 vgpu_event_create(vgpu, &event->vgpu) :
			 vgpu_event_create_timed(vgpu, &event->vgpu);
	if (result == VGPU_SUCCESS)
		result = vgpu_event_record(vgpu, event->vgpu, stream->vgpu);
	if (result == VGPU_SUCCESS)
		event->recorded = true;
	return result_of(result, vgpu);
}

CUresult event_wait_run(struct CUstream_st *stream, struct CUevent_st *event)
{
	vgpu_context *vgpu = stream->context->vgpu;

	if (!event->recorded)
		return CUDA_SUCCESS;
	if (event->context != stream->context)
		/* The device orders streams of one context only: across, this thread waits. */
		return result_of(vgpu_event_synchronize(event->context->vgpu, event->vgpu),
				 event->context->vgpu);
	return result_of(vgpu_event_wait(vgpu, event->vgpu, stream->vgpu), vgpu);
}

void event_settle(struct CUevent_st *event)
{
	struct timespec pause = { .tv_nsec = 50000 };

	while (atomic_load(&event->pending))
		nanosleep(&pause, NULL);
}

EXPORT CUresult cuEventCreate(CUevent *out, unsigned int flags)
{
	const unsigned int known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING |
				   CU_EVENT_INTERPROCESS;
	struct CUctx_st *context;
	struct CUevent_st *event;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!out || (flags & ~known))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_EVENT_INTERPROCESS)
		return CUDA_ERROR_NOT_SUPPORTED;
	event = object_new(KIND_EVENT, sizeof(*event));
	if (!event)
		return CUDA_ERROR_OUT_OF_MEMORY;
	event->context = context;
	event->flags = flags;
	*out = event;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy(CUevent handle)
{
	struct CUevent_st *event;
	CUresult error = event_of(handle, &event);

	if (error == CUDA_ERROR_CONTEXT_IS_DESTROYED) {
		free(handle->capture_ends);
		object_end(handle);
		return CUDA_SUCCESS;
	}
	if (error != CUDA_SUCCESS)
		return error;
	event_settle(event);
	if (event->vgpu)
		error = result_of(vgpu_event_destroy(event->context->vgpu, event->vgpu),
				  event->context->vgpu);
	capture_event_forget(event);
	object_end(event);
	return error;
}

EXPORT CUresult cuEventRecordWithFlags(CUevent handle, CUstream stream_handle, unsigned int flags)
{
	struct op op = { .kind = OP_RECORD };
	struct CUstream_st *stream;
	CUresult error = stream_of(stream_handle, &stream);

	if (error == CUDA_SUCCESS)
		error = event_of(handle, &op.event);
	if (error != CUDA_SUCCESS)
		return error;
	if (flags & ~(unsigned int)CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	if (op.event->context != stream->context)
		return CUDA_ERROR_INVALID_HANDLE;
	if (stream->capture && flags == CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!stream->capture)
		capture_event_forget(op.event);
	return stream_submit(stream, &op);
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream stream)
{
	return cuEventRecordWithFlags(event, stream, 0);
}

EXPORT CUresult cuStreamWaitEvent(CUstream stream_handle, CUevent handle, unsigned int flags)
{
	struct op op = { .kind = OP_WAIT };
	struct CUstream_st *stream;
	CUresult error = stream_of(stream_handle, &stream);

	if (error == CUDA_SUCCESS)
		error = event_of(handle, &op.event);
	if (error != CUDA_SUCCESS)
		return error;
	if (flags & ~(unsigned int)CU_EVENT_WAIT_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	if (op.event->capture && !stream->capture)
		return capture_add(stream, &op);
	return stream_submit(stream, &op);
}

EXPORT CUresult cuEventQuery(CUevent handle)
{
	struct CUevent_st *event;
	CUresult error = event_of(handle, &event);

	if (error != CUDA_SUCCESS)
		return error;
	if (event->capture)
		return CUDA_ERROR_CAPTURED_EVENT;
	if (atomic_load(&event->pending))
		return CUDA_ERROR_NOT_READY;
	if (!event->recorded)
		return CUDA_SUCCESS;
	return result_of(vgpu_event_query(event->context->vgpu, event->vgpu),
			 event->context->vgpu);
}

EXPORT CUresult cuEventSynchronize(CUevent handle)
{
	struct CUevent_st *event;
	CUresult error = event_of(handle, &event);

	if (error != CUDA_SUCCESS)
		return error;
	if (event->capture)
		return CUDA_ERROR_CAPTURED_EVENT;
	event_settle(event);
	if (!event->recorded)
		return CUDA_SUCCESS;
	error = result_of(vgpu_event_synchronize(event->context->vgpu, event->vgpu),
			  event->context->vgpu);
	return error == CUDA_SUCCESS ? synchronised(event->context) : error;
}

EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start_handle, CUevent end_handle)
{
	struct CUevent_st *start, *end;
	CUresult error = event_of(start_handle, &start);
	int64_t ns;

	if (error == CUDA_SUCCESS)
		error = event_of(end_handle, &end);
	if (error != CUDA_SUCCESS)
		return error;
	if (!milliseconds)
		return CUDA_ERROR_INVALID_VALUE;
	if (start->context != end->context || !start->recorded || !end->recorded ||
	    ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING))
		return CUDA_ERROR_INVALID_HANDLE;
	error = cuEventQuery(start);
	if (error == CUDA_SUCCESS)
		error = cuEventQuery(end);
	if (error != CUDA_SUCCESS)
		return error;
	error = result_of(vgpu_event_elapsed(start->context->vgpu, start->vgpu, end->vgpu, &ns),
			  start->context->vgpu);
	if (error == CUDA_SUCCESS)
		*milliseconds = (float)((double)ns / 1e6);
	return error;
}

EXPORT CUresult cuCtxRecordEvent(CUcontext context, CUevent event)
{
	(void)context;
	(void)event;
	return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuCtxWaitEvent(CUcontext context, CUevent event)
{
	(void)context;
	(void)event;
	return CUDA_ERROR_NOT_SUPPORTED;
}

#undef cuEventDestroy
EXPORT CUresult cuEventDestroy(CUevent event);
EXPORT CUresult cuEventDestroy(CUevent event)
{
	return cuEventDestroy_v2(event);
}

#undef cuEventElapsedTime
EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end);
EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end)
{
	return cuEventElapsedTime_v2(milliseconds, start, end);
}
