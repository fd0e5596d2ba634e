// SPDX-License-Identifier: Apache-2.0
/* Streams, events and functions of the program: the driver interface's, by other names. */
#include "internal.h"

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
	DRIVER(cuStreamCreate(stream, CU_STREAM_DEFAULT));
}

cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long *id)
{
	DRIVER(cuStreamGetId(stream, id));
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
	DRIVER(cuEventCreate(event, CU_EVENT_DEFAULT));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *a, unsigned int b)
{
	DRIVER(cuStreamCreate(a, b));
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *a, unsigned int b, int c)
{
	DRIVER(cuStreamCreateWithPriority(a, b, c));
}

cudaError_t cudaStreamGetPriority(cudaStream_t a, int *b)
{
	DRIVER(cuStreamGetPriority(a, b));
}

cudaError_t cudaStreamGetFlags(cudaStream_t a, unsigned int *b)
{
	DRIVER(cuStreamGetFlags(a, b));
}

cudaError_t cudaStreamGetDevice(cudaStream_t a, int *b)
{
	DRIVER(cuStreamGetDevice(a, b));
}

cudaError_t cudaStreamCopyAttributes(cudaStream_t a, cudaStream_t b)
{
	DRIVER(cuStreamCopyAttributes(a, b));
}

cudaError_t cudaStreamGetAttribute(cudaStream_t a, cudaLaunchAttributeID b,
		cudaLaunchAttributeValue *c)
{
	DRIVER(cuStreamGetAttribute(a, (CUlaunchAttributeID)b, (CUlaunchAttributeValue *)c));
}

cudaError_t cudaStreamSetAttribute(cudaStream_t a, cudaLaunchAttributeID b, const
		cudaLaunchAttributeValue *c)
{
	DRIVER(cuStreamSetAttribute(a, (CUlaunchAttributeID)b, (const CUlaunchAttributeValue *)c));
}

cudaError_t cudaStreamDestroy(cudaStream_t a)
{
	DRIVER(cuStreamDestroy(a));
}

cudaError_t cudaStreamWaitEvent(cudaStream_t a, cudaEvent_t b, unsigned int c)
{
	DRIVER(cuStreamWaitEvent(a, b, c));
}

cudaError_t cudaStreamAddCallback(cudaStream_t a, cudaStreamCallback_t b, void *c, unsigned int d)
{
	DRIVER(cuStreamAddCallback(a, (CUstreamCallback)b, c, d));
}

cudaError_t cudaStreamSynchronize(cudaStream_t a)
{
	DRIVER(cuStreamSynchronize(a));
}

cudaError_t cudaStreamQuery(cudaStream_t a)
{
	DRIVER(cuStreamQuery(a));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *a, unsigned int b)
{
	DRIVER(cuEventCreate(a, b));
}

cudaError_t cudaEventRecord(cudaEvent_t a, cudaStream_t b)
{
	DRIVER(cuEventRecord(a, b));
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t a, cudaStream_t b, unsigned int c)
{
	DRIVER(cuEventRecordWithFlags(a, b, c));
}

cudaError_t cudaEventQuery(cudaEvent_t a)
{
	DRIVER(cuEventQuery(a));
}

cudaError_t cudaEventSynchronize(cudaEvent_t a)
{
	DRIVER(cuEventSynchronize(a));
}

cudaError_t cudaEventDestroy(cudaEvent_t a)
{
	DRIVER(cuEventDestroy(a));
}

cudaError_t cudaEventElapsedTime(float *a, cudaEvent_t b, cudaEvent_t c)
{
	DRIVER(cuEventElapsedTime(a, b, c));
}

cudaError_t cudaLaunchHostFunc(cudaStream_t a, cudaHostFn_t b, void *c)
{
	DRIVER(cuLaunchHostFunc(a, (CUhostFn)b, c));
}
