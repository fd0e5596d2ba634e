// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that loads the GPU in a given way and counts what it got done: the
 * benchmark's measure of shares is this program's own count of finished work,
 * never the scheduler's books.
 *
 *   vgpu-load            requests on stdin, one a line, each with one line of JSON
 *
 *   kernel K groups=G loops=L [skew=1]  make kernel K: G workgroups of L rounds each;
 *                                       skewed: one workgroup in eight has most of the work
 *   time K n=N                          N launches of K, each waited for: {"samples":[ns,...]}
 *   go mix=K,K,... seed=S depth=D [pause=US]  start: launches in an order drawn from the seed, D
 *                                       queued at a time; with a pause, one step of the whole mix,
 *                                       then a random sleep of 0.5 to 1.5 times US microseconds
 *   window FROM TO [latencies=1]        answered once a launch is done after TO, both in ns of
 *                                       CLOCK_MONOTONIC: {"counts":[per kernel],...}
 *   stop                                no more launches; answered when all are done
 *
 * A launch that was under way at an edge of the window counts by the part of
 * it that lies inside, from the end of the launch before it.
 */
#include "libvgpu.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KERNELS_MAX 16
#define MIX_MAX 64
#define DEPTH_MAX 2048
#define LATENCIES_MAX 200000
#define LINE_BYTES 1024
/* Launches that are queued before requests are looked for again. */
#define BURST 16

static const char source[] =
	"@group(0) @binding(0) var<storage, read_write> data: array<u32>;\n"
	"@compute @workgroup_size(64)\n"
	"fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {\n"
	"  var rounds = %uu;\n"
	"  if (%uu == 1u) { rounds = select(rounds / 4u, rounds * 25u / 4u, group.x %% 8u == 5u); }\n"
	"  var x = id.x + 1u;\n"
	"  for (var i = 0u; i < rounds; i++) { x = x * 1664525u + 1013904223u; x ^= x >> 13u; }\n"
	"  data[id.x %% arrayLength(&data)] = x;\n"
	"}\n";

struct kernel {
	vgpu_module module;
	vgpu_function function;
	uint32_t groups;
};

struct launch {
	unsigned int kind;
	uint64_t begin_ns;
	vgpu_event event;
	bool has_event;
};

struct window {
	bool open, latencies;
	uint64_t from_ns, to_ns;
	double counts[KERNELS_MAX];
	unsigned long launches;
};

static struct load {
	vgpu_context *context;
	vgpu_devptr data;
	struct kernel kernels[KERNELS_MAX];
	/* The mix, and a permutation of it that is drawn anew each time it is used up. */
	unsigned int mix[MIX_MAX], mix_count, mix_next;
	uint64_t random;
	unsigned int depth, head, queued;
	unsigned long pause_us;
	bool running, stopping;
	uint64_t last_done_ns;
	struct launch ring[DEPTH_MAX];
	struct window window;
	uint64_t *latencies;
	unsigned long latency_count;
	char error[700];
	char line[LINE_BYTES];
	size_t line_bytes;
} load;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool refuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(load.error, sizeof(load.error), format, arguments);
	va_end(arguments);
	return false;
}

static bool fine(enum vgpu_result result)
{
	if (result == VGPU_SUCCESS)
		return true;
	return refuse("%s: %s", vgpu_error_name(result), vgpu_last_error_text(load.context));
}

static void print_error(void)
{
	fputs("{\"error\":\"", stdout);
	for (const char *c = load.error; *c; c++)
		putchar(*c == '"' || *c == '\\' || (unsigned char)*c < 0x20 ? ' ' : *c);
	fputs("\"}\n", stdout);
	fflush(stdout);
}

static void print_ok(void)
{
	puts("{\"ok\":true}");
	fflush(stdout);
}

/* splitmix64: the same seed gives the same order on every machine. */
static uint64_t random_next(void)
{
	uint64_t z = load.random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ---- Launches -------------------------------------------------------------------------- */

static bool launch_kernel(unsigned int kind)
{
	const struct vgpu_arg arg = vgpu_arg_pointer(load.data);
	const struct kernel *kernel = &load.kernels[kind];

	return fine(vgpu_launch(load.context, kernel->function,
				(struct vgpu_dim3){ kernel->groups, 1, 1 },
				(struct vgpu_dim3){ 64, 1, 1 }, &arg, 1, VGPU_STREAM_DEFAULT));
}

static unsigned int draw(void)
{
	if (load.mix_next == 0) {
		for (unsigned int i = load.mix_count - 1; i > 0; i--) {
			unsigned int j = (unsigned int)(random_next() % (i + 1));
			unsigned int kind = load.mix[i];

			load.mix[i] = load.mix[j];
			load.mix[j] = kind;
		}
	}
	unsigned int kind = load.mix[load.mix_next];

	load.mix_next = (load.mix_next + 1) % load.mix_count;
	return kind;
}

static bool enqueue(void)
{
	struct launch *launch = &load.ring[(load.head + load.queued) % load.depth];

	if (!launch->has_event) {
		if (!fine(vgpu_event_create(load.context, &launch->event)))
			return false;
		launch->has_event = true;
	}
	launch->kind = draw();
	launch->begin_ns = now_ns();
	if (!launch_kernel(launch->kind) ||
	    !fine(vgpu_event_record(load.context, launch->event, VGPU_STREAM_DEFAULT)))
		return false;
	load.queued++;
	return true;
}

static void close_window(void)
{
	struct window *window = &load.window;

	fputs("{\"counts\":[", stdout);
	for (int i = 0; i < KERNELS_MAX; i++)
		printf(i ? ",%.6f" : "%.6f", window->counts[i]);
	printf("],\"launches\":%lu,\"latencies\":[", window->launches);
	for (unsigned long i = 0; i < load.latency_count; i++)
		printf(i ? ",%llu" : "%llu", (unsigned long long)load.latencies[i]);
	puts("]}");
	fflush(stdout);
	window->open = false;
}

static void count(const struct launch *launch, uint64_t done_ns)
{
	struct window *window = &load.window;
	uint64_t begin_ns = launch->begin_ns > load.last_done_ns ? launch->begin_ns :
								   load.last_done_ns;
	uint64_t low_ns, high_ns;

	load.last_done_ns = done_ns;
	if (!window->open)
		return;
	low_ns = begin_ns > window->from_ns ? begin_ns : window->from_ns;
	high_ns = done_ns < window->to_ns ? done_ns : window->to_ns;
	if (high_ns > low_ns && done_ns > begin_ns)
		window->counts[launch->kind] +=
			(double)(high_ns - low_ns) / (double)(done_ns - begin_ns);
	if (done_ns >= window->from_ns && done_ns < window->to_ns) {
		window->launches++;
		if (window->latencies && load.latency_count < LATENCIES_MAX)
			load.latencies[load.latency_count++] = done_ns - launch->begin_ns;
	}
	if (done_ns >= window->to_ns)
		close_window();
}

static bool finish_oldest(void)
{
	struct launch *launch = &load.ring[load.head];

	if (!fine(vgpu_event_synchronize(load.context, launch->event)))
		return false;
	load.head = (load.head + 1) % load.depth;
	load.queued--;
	count(launch, now_ns());
	return true;
}

static bool oldest_done(void)
{
	return vgpu_event_query(load.context, load.ring[load.head].event) == VGPU_SUCCESS;
}

/* A sleep of 0.5 to 1.5 times the pause; a window that ends meanwhile is closed afterwards. */
static void pause_between_steps(void)
{
	uint64_t ns = load.pause_us * 500u +
		      random_next() % (load.pause_us * 1000u + 1);
	struct timespec time = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	nanosleep(&time, NULL);
	if (load.window.open && now_ns() >= load.window.to_ns)
		close_window();
}

/* One turn of the load. */
static bool work(void)
{
	if (load.pause_us > 0) {
		for (unsigned int i = 0; i < load.mix_count; i++)
			if (!enqueue())
				return false;
		while (load.queued > 0)
			if (!finish_oldest())
				return false;
		pause_between_steps();
		return true;
	}
	for (unsigned int i = 0; i < BURST && load.queued < load.depth; i++)
		if (!enqueue())
			return false;
	if (!fine(vgpu_stream_flush(load.context, VGPU_STREAM_DEFAULT)))
		return false;
	/* What is done is counted at once, not only when the queue is full. */
	while (load.queued > 0 && oldest_done())
		if (!finish_oldest())
			return false;
	return load.queued < load.depth || finish_oldest();
}

static bool drain(void)
{
	while (load.queued > 0)
		if (!finish_oldest())
			return false;
	if (load.window.open)
		close_window();
	return true;
}

/* ---- Requests -------------------------------------------------------------------------- */

static const char *value_of(const char *line, const char *key)
{
	size_t bytes = strlen(key);
	const char *at = line;

	while ((at = strstr(at, key))) {
		if (at[bytes] == '=' && at > line && at[-1] == ' ')
			return at + bytes + 1;
		at += bytes;
	}
	return NULL;
}

static unsigned long long number_of(const char *line, const char *key, unsigned long long missing)
{
	const char *value = value_of(line, key);

	return value ? strtoull(value, NULL, 10) : missing;
}

static bool make_kernel(const char *line)
{
	unsigned int index = (unsigned int)strtoul(line + 7, NULL, 10);
	uint32_t groups = (uint32_t)number_of(line, "groups", 0);
	uint32_t loops = (uint32_t)number_of(line, "loops", 0);
	char text[sizeof(source) + 64], log[400] = "";
	struct kernel *kernel;

	if (index >= KERNELS_MAX || groups == 0 || loops == 0)
		return refuse("kernel %u with %u groups of %u loops is out of range", index, groups,
			      loops);
	kernel = &load.kernels[index];
	snprintf(text, sizeof(text), source, loops, (uint32_t)number_of(line, "skew", 0));
	kernel->groups = groups;
	return fine(vgpu_module_load(load.context, text, strlen(text), VGPU_FORMAT_WGSL,
				     &kernel->module, log, sizeof(log))) &&
	       fine(vgpu_function_get(load.context, kernel->module, "main", &kernel->function));
}

static bool time_kernel(const char *line)
{
	unsigned int index = (unsigned int)strtoul(line + 5, NULL, 10);
	unsigned long n = (unsigned long)number_of(line, "n", 1);

	if (index >= KERNELS_MAX || !load.kernels[index].function || load.running)
		return refuse("kernel %u can't be timed now", index);
	for (unsigned long i = 0; i < n && i < LATENCIES_MAX; i++) {
		uint64_t begin_ns = now_ns();

		if (!launch_kernel(index) ||
		    !fine(vgpu_stream_synchronize(load.context, VGPU_STREAM_DEFAULT)))
			return false;
		load.latencies[i] = now_ns() - begin_ns;
	}
	fputs("{\"samples\":[", stdout);
	for (unsigned long i = 0; i < n && i < LATENCIES_MAX; i++)
		printf(i ? ",%llu" : "%llu", (unsigned long long)load.latencies[i]);
	puts("]}");
	fflush(stdout);
	return true;
}

static bool go(const char *line)
{
	const char *mix = value_of(line, "mix");
	unsigned long long depth = number_of(line, "depth", 2);

	load.mix_count = 0;
	load.mix_next = 0;
	while (mix && load.mix_count < MIX_MAX) {
		char *end;
		unsigned long kind = strtoul(mix, &end, 10);

		if (end == mix || kind >= KERNELS_MAX || !load.kernels[kind].function)
			return refuse("the mix names a kernel that is not made: %.100s", mix);
		load.mix[load.mix_count++] = (unsigned int)kind;
		mix = *end == ',' ? end + 1 : NULL;
	}
	load.pause_us = (unsigned long)number_of(line, "pause", 0);
	if (load.mix_count == 0 || depth < 1 || depth > DEPTH_MAX || load.running ||
	    (load.pause_us && load.mix_count > depth))
		return refuse("the load can't start so: %.100s", line);
	load.random = number_of(line, "seed", 1);
	load.depth = (unsigned int)depth;
	load.head = 0;
	load.running = true;
	load.last_done_ns = now_ns();
	return true;
}

static bool open_window(const char *line)
{
	char *end;
	struct window *window = &load.window;

	if (window->open || !load.running)
		return refuse("a window is open already, or nothing runs");
	memset(window, 0, sizeof(*window));
	window->from_ns = strtoull(line + 7, &end, 10);
	window->to_ns = strtoull(end, NULL, 10);
	window->latencies = number_of(line, "latencies", 0) == 1;
	load.latency_count = 0;
	window->open = window->to_ns > window->from_ns;
	return window->open || refuse("the window is empty: %.100s", line);
}

static bool request(const char *line)
{
	if (!strncmp(line, "kernel ", 7)) {
		if (!make_kernel(line))
			return false;
		print_ok();
		return true;
	}
	if (!strncmp(line, "time ", 5))
		return time_kernel(line);
	if (!strncmp(line, "window ", 7))
		return open_window(line);
	if (!strncmp(line, "go ", 3)) {
		if (!go(line))
			return false;
	} else if (!strcmp(line, "stop")) {
		load.running = false;
		if (!drain())
			return false;
	} else {
		return refuse("there is no request \"%.100s\"", line);
	}
	print_ok();
	return true;
}

/* Reads what there is of stdin and does whole lines of it. False at its end. */
static bool read_requests(void)
{
	ssize_t bytes = read(STDIN_FILENO, load.line + load.line_bytes,
			     sizeof(load.line) - 1 - load.line_bytes);
	char *end;

	if (bytes <= 0)
		return bytes < 0 && errno == EINTR;
	load.line_bytes += (size_t)bytes;
	load.line[load.line_bytes] = 0;
	while ((end = strchr(load.line, '\n'))) {
		*end = 0;
		if (!request(load.line))
			print_error();
		load.line_bytes -= (size_t)(end + 1 - load.line);
		memmove(load.line, end + 1, load.line_bytes + 1);
	}
	return load.line_bytes < sizeof(load.line) - 1;
}

int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

	load.latencies = calloc(LATENCIES_MAX, sizeof(*load.latencies));
	if (!load.latencies || !fine(vgpu_open(NULL, &load.context)) ||
	    !fine(vgpu_mem_alloc(load.context, 1 << 20, &load.data))) {
		print_error();
		return 1;
	}
	print_ok();
	for (;;) {
		if (poll(&in, 1, load.running ? 0 : -1) > 0 && !read_requests())
			break;
		if (load.running && !work()) {
			print_error();
			return 1;
		}
	}
	vgpu_close(load.context);
	return 0;
}
