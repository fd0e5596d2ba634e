// SPDX-License-Identifier: Apache-2.0
/*
 * libvgpu's interface with a small device behind it, in this process: for tests
 * of libcuda and libcudart without a GPU.
 *
 * Work is kept in queues and done as late as the rules allow, the streams with
 * the highest numbers first, so that an order that was not asked for is not kept
 * by chance. Device memory begins at 0x0400000000000000.
 *
 * Kernels, by name, for any module whose text has them as ".entry NAME(":
 *   add(u64 a, u64 b, u64 out, u32 n), scale(u64 data, f32 factor, u32 n),
 *   trap(), print(); a module with "trouble" in its text does not compile.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake-vgpu.h"
#include "libvgpu.h"

#define BASE 0x0400000000000000ull
#define MEMORY_BYTES (64u << 20)
#define STREAMS 8
#define OBJECTS 512
#define TEXT_FORMAT "value %d of %s is %.2f%%\n"

enum what { COPY_IN, COPY_OUT, COPY, FILL, LAUNCH, RECORD, WAIT };

struct work {
	struct work *next;
	enum what what;
	uint64_t target, source, bytes, count;
	uint32_t value, width;
	struct vgpu_dim3 grid, block;
	void *data;
	int kernel;
	uint64_t event, generation;
};

struct stream {
	bool used;
	struct work *first, *last;
};

struct vgpu {
	uint8_t *memory;
	struct {
		uint64_t at, bytes;
		bool used;
	} blocks[OBJECTS];
	uint64_t top;
	struct stream streams[STREAMS];
	struct {
		bool used;
		uint64_t generation, stream, done;
		int64_t time;
	} events[OBJECTS];
	struct {
		bool used;
		char *text;
		uint64_t printf_at, symbol_at;
	} modules[OBJECTS];
	struct {
		uint32_t module;
		int kernel;
	} functions[OBJECTS];
	uint32_t function_count;
	enum vgpu_result failure;
	int64_t clock;
};

volatile struct fake_statistics fake;
static char text[256] = "";

static enum vgpu_result fail(enum vgpu_result result, const char *why)
{
	snprintf(text, sizeof(text), "%s", why);
	return result;
}

/* ---- Doing work ------------------------------------------------------------------------- */

static uint8_t *at(struct vgpu *c, uint64_t pointer)
{
	/* As kernels do where there is one segment: the lower half counts. */
	return c->memory + (uint32_t)pointer;
}

static const char *const kernels[] = { "add", "scale", "trap", "print" };
static const uint32_t parameter_counts[] = { 4, 3, 0, 0 };
static const struct {
	uint32_t offset, bytes;
} parameters[2][4] = { { { 0, 8 }, { 8, 8 }, { 16, 8 }, { 24, 4 } },
		       { { 0, 8 }, { 8, 4 }, { 12, 4 } } };
static const uint32_t parameter_bytes[] = { 28, 16, 0, 0 };

static void print_record(struct vgpu *c, uint64_t buffer)
{
	uint32_t words[4] = { 16 + 24, 0, 0, 24 }, *header = (uint32_t *)at(c, buffer);
	uint64_t format = buffer + 4096, name = buffer + 8192;
	uint8_t *record = at(c, buffer) + 16 + header[0];
	int32_t value = -7;
	double number = 2.5;

	strcpy((char *)at(c, format), TEXT_FORMAT);
	strcpy((char *)at(c, name), "fake");
	words[1] = (uint32_t)format;
	words[2] = (uint32_t)(format >> 32);
	memcpy(record, words, sizeof(words));
	memcpy(record + 16, &value, 4);
	memcpy(record + 24, &name, 8);
	memcpy(record + 32, &number, 8);
	header[0] += 40;
}

static void run_kernel(struct vgpu *c, const struct work *w)
{
	const uint8_t *p = w->data;
	uint64_t pointer[3];
	uint32_t count;
	float factor;

	fake.launches++;
	switch (w->kernel) {
	case 0:
		memcpy(pointer, p, 24);
		memcpy(&count, p + 24, 4);
		for (uint32_t i = 0; i < count; i++)
			((float *)at(c, pointer[2]))[i] = ((float *)at(c, pointer[0]))[i] +
							   ((float *)at(c, pointer[1]))[i];
		break;
	case 1:
		memcpy(pointer, p, 8);
		memcpy(&factor, p + 8, 4);
		memcpy(&count, p + 12, 4);
		for (uint32_t i = 0; i < count; i++)
			((float *)at(c, pointer[0]))[i] *= factor;
		break;
	case 2:
		c->failure = VGPU_ERROR_ILLEGAL_ADDRESS;
		break;
	default:
		print_record(c, w->source);
	}
}

static void run_until(struct vgpu *c, uint64_t stream, uint64_t event, uint64_t generation);

static void run_one(struct vgpu *c, struct work *w)
{
	uint8_t *to = at(c, w->target);

	c->clock += 1000000;
	switch (w->what) {
	case COPY_IN:
		memcpy(to, w->data ? w->data : (void *)(uintptr_t)w->source, w->bytes);
		break;
	case COPY_OUT:
		memcpy((void *)(uintptr_t)w->target, at(c, w->source), w->bytes);
		break;
	case COPY:
		memmove(to, at(c, w->source), w->bytes);
		break;
	case FILL:
		for (uint64_t i = 0; i < w->count; i++)
			memcpy(to + i * w->width, &w->value, w->width);
		break;
	case LAUNCH:
		run_kernel(c, w);
		break;
	case RECORD:
		c->events[w->event].done = w->generation;
		c->events[w->event].time = c->clock;
		break;
	case WAIT:
		if (c->events[w->event].done < w->generation)
			run_until(c, c->events[w->event].stream, w->event, w->generation);
	}
}

/* Runs the stream's work, up to a record of the event (OBJECTS: all). */
static void run_until(struct vgpu *c, uint64_t stream, uint64_t event, uint64_t generation)
{
	struct stream *s = &c->streams[stream];

	while (s->first && !c->failure) {
		struct work *w = s->first;
		bool last = w->what == RECORD && w->event == event && w->generation >= generation;

		s->first = w->next;
		if (!s->first)
			s->last = NULL;
		run_one(c, w);
		free(w->data);
		free(w);
		if (last)
			return;
	}
}

static enum vgpu_result run_all(struct vgpu *c)
{
	for (int s = STREAMS - 1; s >= 0; s--)
		run_until(c, (uint64_t)s, OBJECTS, 0);
	return c->failure;
}

static enum vgpu_result put(struct vgpu *c, uint64_t stream, const struct work *work)
{
	struct stream *s = &c->streams[stream];
	struct work *w;

	if (c->failure)
		return c->failure;
	if (stream >= STREAMS || !s->used)
		return fail(VGPU_ERROR_HANDLE_UNKNOWN, "no such stream");
	w = malloc(sizeof(*w));
	*w = *work;
	w->next = NULL;
	if (s->last)
		s->last->next = w;
	else
		s->first = w;
	s->last = w;
	return VGPU_SUCCESS;
}

/* ---- Context ------------------------------------------------------------------------------- */

enum vgpu_result vgpu_open(const char *device, vgpu_context **context)
{
	struct vgpu *c;

	*context = NULL;
	if (device && strstr(device, "missing"))
		return fail(VGPU_ERROR_NO_DEVICE, "there is no such device");
	c = calloc(1, sizeof(*c));
	c->memory = calloc(1, MEMORY_BYTES);
	c->top = 4096;
	c->streams[0].used = true;
	fake.open++;
	*context = c;
	return VGPU_SUCCESS;
}

void vgpu_close(vgpu_context *c)
{
	if (!c)
		return;
	run_all(c);
	for (int s = 0; s < STREAMS; s++) {
		while (c->streams[s].first) {
			struct work *w = c->streams[s].first;

			c->streams[s].first = w->next;
			free(w->data);
			free(w);
		}
	}
	for (int i = 0; i < OBJECTS; i++)
		free(c->modules[i].text);
	free(c->memory);
	free(c);
	fake.open--;
}

enum vgpu_result vgpu_device_info(vgpu_context *c, struct vgpu_device_info *info)
{
	(void)c;
	*info = (struct vgpu_device_info){
		.adapter = "fake", .path = "unix:/fake", .transport = "unix",
		.memory_bytes = MEMORY_BYTES, .allocation_bytes_max = MEMORY_BYTES,
		.capabilities = VGPU_DEVICE_PTX | VGPU_DEVICE_TIMESTAMPS, .streams_max = STREAMS,
		.events_max = OBJECTS, .modules_max = OBJECTS, .functions_max = OBJECTS,
		.grid_max = 65535, .block_max = { 1024, 1024, 64 }, .block_threads_max = 1024,
		.shared_bytes_max = 32768, .subgroup_size = 8,
	};
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_set_wait_mode(vgpu_context *c, enum vgpu_wait_mode mode)
{
	(void)c;
	(void)mode;
	return VGPU_SUCCESS;
}

const char *vgpu_last_error_text(vgpu_context *c)
{
	(void)c;
	return text;
}

const char *vgpu_error_name(enum vgpu_result result)
{
	(void)result;
	return "FAKE";
}

const char *vgpu_error_string(enum vgpu_result result)
{
	(void)result;
	return "fake";
}

/* ---- Memory ----------------------------------------------------------------------------------- */

enum vgpu_result vgpu_mem_alloc(vgpu_context *c, uint64_t bytes, vgpu_devptr *pointer)
{
	if (c->failure)
		return c->failure;
	for (int i = 0; i < OBJECTS; i++) {
		if (c->blocks[i].used)
			continue;
		if (bytes > MEMORY_BYTES - c->top)
			return fail(VGPU_ERROR_OUT_OF_MEMORY, "the fake's memory is full");
		c->blocks[i].used = true;
		c->blocks[i].at = BASE + c->top;
		c->blocks[i].bytes = bytes;
		*pointer = c->blocks[i].at;
		c->top += (bytes + 255) & ~255ull;
		fake.allocations++;
		return VGPU_SUCCESS;
	}
	return fail(VGPU_ERROR_OUT_OF_MEMORY, "too many blocks");
}

enum vgpu_result vgpu_set_dense(vgpu_context *c)
{
	return c->failure;
}

enum vgpu_result vgpu_mem_free(vgpu_context *c, vgpu_devptr pointer)
{
	run_all(c);
	for (int i = 0; i < OBJECTS; i++) {
		if (c->blocks[i].used && c->blocks[i].at == pointer) {
			c->blocks[i].used = false;
			fake.allocations--;
			return c->failure;
		}
	}
	return pointer ? fail(VGPU_ERROR_POINTER_INVALID, "no such block") : VGPU_SUCCESS;
}

enum vgpu_result vgpu_mem_info(vgpu_context *c, struct vgpu_mem_info *info)
{
	*info = (struct vgpu_mem_info){ .total_bytes = MEMORY_BYTES,
					.free_bytes = MEMORY_BYTES - c->top };
	return c->failure;
}

static struct {
	uint8_t *at;
	size_t bytes;
} pinned[OBJECTS];

static bool is_pinned(const void *memory, size_t bytes)
{
	for (int i = 0; i < OBJECTS; i++)
		if (pinned[i].at && (const uint8_t *)memory >= pinned[i].at &&
		    (const uint8_t *)memory + bytes <= pinned[i].at + pinned[i].bytes)
			return true;
	return false;
}

enum vgpu_result vgpu_host_alloc(vgpu_context *c, size_t bytes, void **memory)
{
	for (int i = 0; i < OBJECTS; i++) {
		if (pinned[i].at)
			continue;
		pinned[i].at = aligned_alloc(4096, (bytes + 4095) & ~4095ull);
		pinned[i].bytes = bytes;
		*memory = pinned[i].at;
		return c->failure;
	}
	return VGPU_ERROR_HOST_MEMORY;
}

enum vgpu_result vgpu_host_free(vgpu_context *c, void *memory)
{
	run_all(c);
	for (int i = 0; i < OBJECTS; i++) {
		if (pinned[i].at == memory) {
			free(pinned[i].at);
			pinned[i].at = NULL;
			return VGPU_SUCCESS;
		}
	}
	return VGPU_ERROR_INVALID_ARGUMENT;
}

enum vgpu_result vgpu_host_register(vgpu_context *c, void *memory, size_t bytes)
{
	(void)c;
	(void)memory;
	(void)bytes;
	return fail(VGPU_ERROR_NOT_SUPPORTED, "only memory of vgpu_host_alloc()");
}

enum vgpu_result vgpu_host_unregister(vgpu_context *c, void *memory)
{
	(void)c;
	(void)memory;
	return VGPU_ERROR_INVALID_ARGUMENT;
}

enum vgpu_result vgpu_memcpy_h2d_async(vgpu_context *c, vgpu_devptr target, const void *source,
				       size_t bytes, vgpu_stream stream)
{
	struct work w = { .what = COPY_IN, .target = target, .source = (uintptr_t)source,
			  .bytes = bytes };

	if (!is_pinned(source, bytes)) {
		w.data = malloc(bytes);
		memcpy(w.data, source, bytes);
	}
	fake.copies++;
	return put(c, stream, &w);
}

enum vgpu_result vgpu_memcpy_d2h_async(vgpu_context *c, void *target, vgpu_devptr source,
				       size_t bytes, vgpu_stream stream)
{
	struct work w = { .what = COPY_OUT, .target = (uintptr_t)target, .source = source,
			  .bytes = bytes };
	enum vgpu_result result = put(c, stream, &w);

	fake.copies++;
	if (result == VGPU_SUCCESS && !is_pinned(target, bytes))
		run_until(c, stream, OBJECTS, 0);
	return result ? result : c->failure;
}

enum vgpu_result vgpu_memcpy_h2d(vgpu_context *c, vgpu_devptr target, const void *source,
				 size_t bytes)
{
	enum vgpu_result result = vgpu_memcpy_h2d_async(c, target, source, bytes, 0);

	run_until(c, 0, OBJECTS, 0);
	return result ? result : c->failure;
}

enum vgpu_result vgpu_memcpy_d2h(vgpu_context *c, void *target, vgpu_devptr source, size_t bytes)
{
	enum vgpu_result result = vgpu_memcpy_d2h_async(c, target, source, bytes, 0);

	run_until(c, 0, OBJECTS, 0);
	return result ? result : c->failure;
}

enum vgpu_result vgpu_memcpy_d2d_async(vgpu_context *c, vgpu_devptr target, vgpu_devptr source,
				       uint64_t bytes, vgpu_stream stream)
{
	struct work w = { .what = COPY, .target = target, .source = source, .bytes = bytes };

	return put(c, stream, &w);
}

static enum vgpu_result fill(vgpu_context *c, vgpu_devptr pointer, uint32_t value, uint32_t width,
			     uint64_t count, vgpu_stream stream)
{
	struct work w = { .what = FILL, .target = pointer, .value = value, .width = width,
			  .count = count };

	return put(c, stream, &w);
}

enum vgpu_result vgpu_memset_d8_async(vgpu_context *c, vgpu_devptr p, uint8_t v, uint64_t n,
				      vgpu_stream s)
{
	return fill(c, p, v, 1, n, s);
}

enum vgpu_result vgpu_memset_d16_async(vgpu_context *c, vgpu_devptr p, uint16_t v, uint64_t n,
				       vgpu_stream s)
{
	return fill(c, p, v, 2, n, s);
}

enum vgpu_result vgpu_memset_d32_async(vgpu_context *c, vgpu_devptr p, uint32_t v, uint64_t n,
				       vgpu_stream s)
{
	return fill(c, p, v, 4, n, s);
}

enum vgpu_result vgpu_memset_d8(vgpu_context *c, vgpu_devptr p, uint8_t v, uint64_t n)
{
	return fill(c, p, v, 1, n, 0);
}

enum vgpu_result vgpu_memset_d32(vgpu_context *c, vgpu_devptr p, uint32_t v, uint64_t n)
{
	return fill(c, p, v, 4, n, 0);
}

/* ---- Modules ----------------------------------------------------------------------------------- */

enum vgpu_result vgpu_module_load(vgpu_context *c, const void *code, size_t bytes, uint32_t format,
				  vgpu_module *module, char *log, size_t log_bytes)
{
	if (log_bytes)
		*log = 0;
	fake.format = format;
	if (c->failure)
		return c->failure;
	for (uint32_t i = 1; i < OBJECTS; i++) {
		if (c->modules[i].used)
			continue;
		free(c->modules[i].text);
		/* Text begins behind the headers of a container and its first entry. */
		c->modules[i].text = format == VGPU_FORMAT_FATBIN ?
					     strndup((const char *)code + 32, bytes - 32) :
					     strndup(code, bytes);
		if (strstr(c->modules[i].text, "trouble")) {
			snprintf(log, log_bytes, "line 3: trouble");
			return fail(VGPU_ERROR_MODULE_INVALID, "line 3: trouble");
		}
		c->modules[i].used = true;
		vgpu_mem_alloc(c, 256, &c->modules[i].symbol_at);
		if (strstr(c->modules[i].text, "print"))
			vgpu_mem_alloc(c, 1 << 20, &c->modules[i].printf_at);
		fake.modules++;
		*module = i;
		return VGPU_SUCCESS;
	}
	return VGPU_ERROR_HANDLE_LIMIT;
}

enum vgpu_result vgpu_module_unload(vgpu_context *c, vgpu_module module)
{
	run_all(c);
	if (module >= OBJECTS || !c->modules[module].used)
		return fail(VGPU_ERROR_HANDLE_UNKNOWN, "no such module");
	c->modules[module].used = false;
	vgpu_mem_free(c, c->modules[module].symbol_at);
	vgpu_mem_free(c, c->modules[module].printf_at);
	c->modules[module].printf_at = 0;
	fake.modules--;
	return c->failure;
}

enum vgpu_result vgpu_module_symbol(vgpu_context *c, vgpu_module module, const char *name,
				    vgpu_devptr *pointer, uint64_t *bytes)
{
	*bytes = 256;
	*pointer = !strcmp(name, "__vgpu_printf") ? c->modules[module].printf_at :
		   !strcmp(name, "table")	  ? c->modules[module].symbol_at : 0;
	return *pointer ? VGPU_SUCCESS : fail(VGPU_ERROR_SYMBOL_NOT_FOUND, "no such symbol");
}

enum vgpu_result vgpu_function_get(vgpu_context *c, vgpu_module module, const char *name,
				   vgpu_function *function)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), ".entry %s(", name);
	for (int k = 0; k < 4; k++) {
		if (strcmp(kernels[k], name) || !strstr(c->modules[module].text, wanted))
			continue;
		c->functions[++c->function_count].module = (uint32_t)module;
		c->functions[c->function_count].kernel = k;
		*function = c->function_count;
		return VGPU_SUCCESS;
	}
	return fail(VGPU_ERROR_FUNCTION_NOT_FOUND, "no such function");
}

enum vgpu_result vgpu_function_info(vgpu_context *c, vgpu_function function,
				    struct vgpu_function_info *info)
{
	int k = c->functions[function].kernel;

	*info = (struct vgpu_function_info){ .parameter_count = parameter_counts[k],
					     .format = VGPU_FORMAT_PTX, .shared_bytes = 1024,
					     .block_threads_max = k == 1 ? 256 : 1024,
					     .parameter_bytes = parameter_bytes[k] };
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_function_parameter(vgpu_context *c, vgpu_function function, uint32_t index,
					 struct vgpu_parameter *parameter)
{
	int k = c->functions[function].kernel;

	*parameter = (struct vgpu_parameter){ .kind = VGPU_ARG_VALUE,
					      .offset = parameters[k][index].offset,
					      .bytes_min = parameters[k][index].bytes };
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_launch_raw(vgpu_context *c, vgpu_function function, struct vgpu_dim3 grid,
				 struct vgpu_dim3 block, uint32_t shared, const void *data,
				 uint32_t bytes, vgpu_stream stream)
{
	int k = c->functions[function].kernel;
	struct work w = { .what = LAUNCH, .grid = grid, .block = block, .kernel = k,
			  .source = c->modules[c->functions[function].module].printf_at };

	(void)shared;
	if (bytes != parameter_bytes[k])
		return fail(VGPU_ERROR_ARGUMENT_COUNT, "another size of the parameters");
	w.data = malloc(bytes + 1);
	memcpy(w.data, data, bytes);
	return put(c, stream, &w);
}

/* ---- Streams and events -------------------------------------------------------------------------- */

enum vgpu_result vgpu_stream_create(vgpu_context *c, vgpu_stream *stream)
{
	for (uint64_t s = 1; s < STREAMS; s++) {
		if (!c->streams[s].used) {
			c->streams[s].used = true;
			*stream = s;
			return c->failure;
		}
	}
	return fail(VGPU_ERROR_HANDLE_LIMIT, "too many streams");
}

enum vgpu_result vgpu_stream_destroy(vgpu_context *c, vgpu_stream stream)
{
	run_until(c, stream, OBJECTS, 0);
	c->streams[stream].used = false;
	return c->failure;
}

enum vgpu_result vgpu_stream_synchronize(vgpu_context *c, vgpu_stream stream)
{
	run_until(c, stream, OBJECTS, 0);
	return c->failure;
}

enum vgpu_result vgpu_stream_query(vgpu_context *c, vgpu_stream stream)
{
	return c->failure ? c->failure :
	       c->streams[stream].first ? VGPU_ERROR_NOT_READY : VGPU_SUCCESS;
}

enum vgpu_result vgpu_synchronize(vgpu_context *c)
{
	return run_all(c);
}

enum vgpu_result vgpu_event_create(vgpu_context *c, vgpu_event *event)
{
	for (uint64_t e = 1; e < OBJECTS; e++) {
		if (!c->events[e].used) {
			c->events[e].used = true;
			*event = e;
			fake.events++;
			return c->failure;
		}
	}
	return VGPU_ERROR_HANDLE_LIMIT;
}

enum vgpu_result vgpu_event_create_timed(vgpu_context *c, vgpu_event *event)
{
	fake.timed_events++;
	return vgpu_event_create(c, event);
}

enum vgpu_result vgpu_event_destroy(vgpu_context *c, vgpu_event event)
{
	c->events[event].used = false;
	fake.events--;
	return c->failure;
}

enum vgpu_result vgpu_event_record(vgpu_context *c, vgpu_event event, vgpu_stream stream)
{
	struct work w = { .what = RECORD, .event = event,
			  .generation = ++c->events[event].generation };

	c->events[event].stream = stream;
	fake.records++;
	return put(c, stream, &w);
}

enum vgpu_result vgpu_event_wait(vgpu_context *c, vgpu_event event, vgpu_stream stream)
{
	struct work w = { .what = WAIT, .event = event,
			  .generation = c->events[event].generation };

	return put(c, stream, &w);
}

enum vgpu_result vgpu_event_synchronize(vgpu_context *c, vgpu_event event)
{
	if (c->events[event].done < c->events[event].generation)
		run_until(c, c->events[event].stream, event, c->events[event].generation);
	return c->failure;
}

enum vgpu_result vgpu_event_query(vgpu_context *c, vgpu_event event)
{
	if (c->failure)
		return c->failure;
	return c->events[event].done < c->events[event].generation ? VGPU_ERROR_NOT_READY :
								     VGPU_SUCCESS;
}

enum vgpu_result vgpu_event_elapsed(vgpu_context *c, vgpu_event start, vgpu_event end, int64_t *ns)
{
	*ns = c->events[end].time - c->events[start].time;
	return c->failure;
}
