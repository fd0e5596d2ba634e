// SPDX-License-Identifier: Apache-2.0
/*
 * Measures launches and copies over libvgpu, and prints raw samples: the
 * benchmark suite interleaves them with those of its native reference.
 *
 *   vgpu-bench --serve           one request a line on stdin:  run NAME KEY=VALUE…
 *   vgpu-bench NAME --KEY=VALUE…  one request
 *
 * The answer is one line: {"name":…,"samples":[ns, …]} or {"error":…}.
 *
 *   launch_sync   mode=polled|interrupt|auto: an empty launch, and the wait for it
 *   launch_async  a train of empty launches (train=N, 1000) over streams=N (1) by turns, then
 *                 the wait for all; the time per launch
 *   h2d, d2h      bytes=N memory=pinned|pageable mode=…: a copy, waited for;
 *                 depth=N of them are queued, then waited for; the time per copy
 *   program       path=FILE: a workload's step, waited for: see bench-program.h; the answer has
 *                 the sum of its result too, after the same number of steps as the reference
 *   eventfd       a round trip over two eventfds with a process that does nothing else: the floor
 *   relay         path=FILE mode=… depth=N: what a bare process with the GPU takes for the same work,
 *                 asked by one word of a shared page (bench-relay.h); the time of one of N
 *   n=N           samples, for all
 *   stages        of launch_sync, h2d and d2h of depth 1: when each sample began, and when its
 *                 commands were sent, too ("begins", "sents", CLOCK_MONOTONIC)
 */
#include "bench-program.h"
#include "bench-relay.h"
#include "common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRAIN_MAX 1000000
#define STREAMS_MAX 64
#define SAMPLES_MAX 1000000
#define BYTES_MAX (1ull << 30)
#define DEPTH_MAX 64
#define LINE_BYTES 512

static const char usage[] =
	"usage: vgpu-bench --serve | NAME [--KEY=VALUE]...\n"
	"Measures the virtual GPU that VGPU_DEVICE names and prints raw samples in ns as JSON.\n"
	"  launch_sync   --mode=polled|interrupt|auto  an empty launch and the wait for it\n"
	"  launch_async  --train=N --streams=N         1000 empty launches, per launch\n"
	"  h2d, d2h      --bytes=N --pinned|--pageable [--depth=N] [--mode=...]  a copy, waited for\n"
	"  program       --path=FILE  a workload's step, waited for\n"
	"  eventfd       a round trip over two eventfds to a bare process\n"
	"  relay         --path=FILE  a word of a page shared with bench/native-dawn.ts\n"
	"  --stages                                    when samples began and were sent, too\n"
	"  --n=N         samples (default 100)\n"
	"--serve reads lines \"run NAME KEY=VALUE ...\" (memory=pinned|pageable) from stdin.\n";

static const char empty_wgsl[] =
	"@group(0) @binding(0) var<storage, read_write> unused: array<u32>;\n"
	"@compute @workgroup_size(1) fn main() { if (arrayLength(&unused) == 0u) { unused[0] = 1u; } }\n";

struct request {
	char name[32];
	long n;
	unsigned long long bytes;
	/* Copies in flight; launches of a train; streams that they go over. */
	unsigned int depth, train, streams;
	enum vgpu_wait_mode mode;
	bool pageable;
	/* Whether it is said when samples began and were sent. */
	bool stages;
	char path[LINE_BYTES];
};

struct bench {
	vgpu_context *context;
	vgpu_function empty;
	vgpu_devptr small;
	/* Grown as needed. */
	vgpu_devptr device;
	void *pinned, *pageable;
	unsigned long long device_bytes, pinned_bytes, pageable_bytes;
	/* The first is the default stream. */
	vgpu_stream streams[STREAMS_MAX];
	unsigned int stream_count;
	/* The workload that was asked for last. */
	struct program *program;
	char program_path[LINE_BYTES];
	double sum;
	/* When the last sample began, and its commands had been sent. */
	uint64_t begin, sent;
	char error[600];
};

static uint64_t now_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool refuse(struct bench *bench, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static bool refuse(struct bench *bench, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(bench->error, sizeof(bench->error), format, arguments);
	va_end(arguments);
	return false;
}

static bool fine(struct bench *bench, enum vgpu_result result)
{
	if (result == VGPU_SUCCESS)
		return true;
	return refuse(bench, "%s: %s", vgpu_error_name(result),
		      vgpu_last_error_text(bench->context));
}

/* ---- Work ------------------------------------------------------------------------------ */

static bool setup(struct bench *bench)
{
	vgpu_module module;

	return fine(bench, vgpu_open(NULL, &bench->context)) &&
	       fine(bench, vgpu_module_load(bench->context, empty_wgsl, strlen(empty_wgsl),
					    VGPU_FORMAT_WGSL, &module, NULL, 0)) &&
	       fine(bench, vgpu_function_get(bench->context, module, "main", &bench->empty)) &&
	       fine(bench, vgpu_mem_alloc(bench->context, 4096, &bench->small));
}

static bool launch(struct bench *bench, vgpu_stream stream)
{
	const struct vgpu_arg arg = vgpu_arg_pointer(bench->small);

	return fine(bench, vgpu_launch(bench->context, bench->empty, (struct vgpu_dim3){ 1, 1, 1 },
				       (struct vgpu_dim3){ 1, 1, 1 }, &arg, 1, stream));
}

static bool launch_sync(struct bench *bench, uint64_t *sample)
{
	uint64_t begin = now_nanoseconds();

	if (!launch(bench, VGPU_STREAM_DEFAULT))
		return false;
	bench->sent = now_nanoseconds();
	if (!fine(bench, vgpu_stream_synchronize(bench->context, VGPU_STREAM_DEFAULT)))
		return false;
	*sample = now_nanoseconds() - begin;
	bench->begin = begin;
	return true;
}

static bool grow_streams(struct bench *bench, unsigned int count)
{
	if (!bench->stream_count)
		bench->streams[bench->stream_count++] = VGPU_STREAM_DEFAULT;
	for (; bench->stream_count < count; bench->stream_count++)
		if (!fine(bench, vgpu_stream_create(bench->context,
						    &bench->streams[bench->stream_count])))
			return false;
	return true;
}

static bool launch_async(struct bench *bench, const struct request *request, uint64_t *sample)
{
	uint64_t begin = now_nanoseconds();

	for (unsigned int i = 0; i < request->train; i++)
		if (!launch(bench, bench->streams[i % request->streams]))
			return false;
	if (!fine(bench, vgpu_synchronize(bench->context)))
		return false;
	*sample = (now_nanoseconds() - begin) / request->train;
	return true;
}

static bool grow_device(struct bench *bench, unsigned long long bytes)
{
	if (bytes <= bench->device_bytes)
		return true;
	bench->device_bytes = 0;
	if (!fine(bench, vgpu_mem_free(bench->context, bench->device)) ||
	    !fine(bench, vgpu_mem_alloc(bench->context, bytes, &bench->device)))
		return false;
	bench->device_bytes = bytes;
	return true;
}

static bool grow_host(struct bench *bench, unsigned long long bytes, bool pageable)
{
	void **memory = pageable ? &bench->pageable : &bench->pinned;
	unsigned long long *have = pageable ? &bench->pageable_bytes : &bench->pinned_bytes;

	if (bytes <= *have)
		return true;
	*have = 0;
	if (pageable) {
		free(*memory);
		*memory = malloc(bytes);
		if (!*memory)
			return refuse(bench, "no memory for %llu bytes", bytes);
	} else if (!fine(bench, vgpu_host_free(bench->context, *memory)) ||
		   !fine(bench, vgpu_host_alloc(bench->context, bytes, memory))) {
		return false;
	}
	memset(*memory, 0x5a, bytes);
	*have = bytes;
	return true;
}

static bool copy(struct bench *bench, const struct request *request, uint64_t *sample)
{
	char *memory = request->pageable ? bench->pageable : bench->pinned;
	uint64_t begin = now_nanoseconds();
	enum vgpu_result result = VGPU_SUCCESS;
	bool up = request->name[0] == 'h';

	if (request->depth == 1 && !request->stages) {
		result = up ? vgpu_memcpy_h2d(bench->context, bench->device, memory,
					      request->bytes) :
			      vgpu_memcpy_d2h(bench->context, memory, bench->device,
					      request->bytes);
	} else {
		for (unsigned int i = 0; i < request->depth && result == VGPU_SUCCESS; i++) {
			vgpu_devptr device = bench->device + i * request->bytes;
			char *host = memory + i * request->bytes;

			result = up ? vgpu_memcpy_h2d_async(bench->context, device, host,
							    request->bytes, VGPU_STREAM_DEFAULT) :
				      vgpu_memcpy_d2h_async(bench->context, host, device,
							    request->bytes, VGPU_STREAM_DEFAULT);
		}
		bench->sent = now_nanoseconds();
		if (result == VGPU_SUCCESS)
			result = vgpu_stream_synchronize(bench->context, VGPU_STREAM_DEFAULT);
	}
	bench->begin = begin;
	*sample = (now_nanoseconds() - begin) / request->depth;
	return fine(bench, result);
}

/* One program is kept: a round asks for the same one again. */
static bool program_select(struct bench *bench, const char *path)
{
	if (bench->program && !strcmp(bench->program_path, path))
		return true;
	program_close(bench->program);
	bench->program = program_open(bench->context, path, bench->error, sizeof(bench->error));
	snprintf(bench->program_path, sizeof(bench->program_path), "%s", path);
	return bench->program != NULL;
}

static bool program_sample(struct bench *bench, uint64_t *sample)
{
	uint64_t begin = now_nanoseconds();

	if (!program_step(bench->program, bench->error, sizeof(bench->error)) ||
	    !fine(bench, vgpu_stream_synchronize(bench->context, VGPU_STREAM_DEFAULT)))
		return false;
	*sample = now_nanoseconds() - begin;
	return true;
}

/* The child gives every count back until its eventfd says 2 at once. */
static void eventfd_echo(int from, int to)
{
	uint64_t count = 0;

	while (read(from, &count, sizeof(count)) == sizeof(count) && count == 1)
		if (write(to, &count, sizeof(count)) != sizeof(count))
			break;
	_exit(0);
}

static bool eventfd_round_trips(struct bench *bench, long n, uint64_t *samples)
{
	int there = eventfd(0, EFD_CLOEXEC), back = eventfd(0, EFD_CLOEXEC);
	pid_t child = there >= 0 && back >= 0 ? fork() : -1;
	uint64_t one = 1, two = 2;
	bool ok = child >= 0;

	if (child == 0)
		eventfd_echo(there, back);
	for (long i = 0; ok && i < n; i++) {
		uint64_t begin = now_nanoseconds(), count;

		ok = write(there, &one, sizeof(one)) == sizeof(one) &&
		     read(back, &count, sizeof(count)) == sizeof(count);
		samples[i] = now_nanoseconds() - begin;
	}
	if (child > 0) {
		ok = write(there, &two, sizeof(two)) == sizeof(two) && ok;
		waitpid(child, NULL, 0);
	}
	close(there);
	close(back);
	return ok || refuse(bench, "eventfd: %s", strerror(errno));
}

static bool relay(struct bench *bench, const struct request *request, uint64_t *samples)
{
	if (!relay_round_trips(request->path, request->mode, request->n, samples))
		return refuse(bench, "%s: %s", request->path, strerror(errno));
	for (long i = 0; i < request->n; i++)
		samples[i] /= request->depth;
	return true;
}

/* Samples, and with `stages` as many times of begin and of sending after them. */
static bool measure(struct bench *bench, const struct request *request, uint64_t *samples)
{
	bool is_copy = !strcmp(request->name, "h2d") || !strcmp(request->name, "d2h");
	bool is_program = !strcmp(request->name, "program");

	if (!fine(bench, vgpu_set_wait_mode(bench->context, request->mode)))
		return false;
	if (is_copy && (!grow_device(bench, request->bytes * request->depth) ||
			!grow_host(bench, request->bytes * request->depth, request->pageable)))
		return false;
	if (!grow_streams(bench, request->streams))
		return false;
	if (is_program && !program_select(bench, request->path))
		return false;
	if (!strcmp(request->name, "eventfd"))
		return eventfd_round_trips(bench, request->n, samples);
	if (!strcmp(request->name, "relay"))
		return relay(bench, request, samples);
	for (long i = 0; i < request->n; i++) {
		bool ok;

		if (is_copy)
			ok = copy(bench, request, &samples[i]);
		else if (is_program)
			ok = program_sample(bench, &samples[i]);
		else if (!strcmp(request->name, "launch_sync"))
			ok = launch_sync(bench, &samples[i]);
		else if (!strcmp(request->name, "launch_async"))
			ok = launch_async(bench, request, &samples[i]);
		else
			ok = refuse(bench, "there is no benchmark \"%s\"", request->name);
		if (!ok)
			return false;
		if (request->stages) {
			samples[request->n + i] = bench->begin;
			samples[2 * request->n + i] = bench->sent;
		}
	}
	return !is_program ||
	       program_sum(bench->program, &bench->sum, bench->error, sizeof(bench->error));
}

/* ---- Requests ------------------------------------------------------------------------------ */

static bool parse_number(const char *text, unsigned long long most, unsigned long long *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && end != text && !*end && *text != '-' && *value >= 1 && *value <= most;
}

/* KEY=VALUE, or a bare "pinned" or "pageable". */
static bool parse_word(struct bench *bench, struct request *request, const char *word)
{
	unsigned long long number;

	if (!strcmp(word, "pinned") || !strcmp(word, "memory=pinned"))
		request->pageable = false;
	else if (!strcmp(word, "pageable") || !strcmp(word, "memory=pageable"))
		request->pageable = true;
	else if (!strcmp(word, "stages"))
		request->stages = true;
	else if (!strcmp(word, "mode=polled"))
		request->mode = VGPU_WAIT_POLL;
	else if (!strcmp(word, "mode=interrupt"))
		request->mode = VGPU_WAIT_INTERRUPT;
	else if (!strcmp(word, "mode=auto"))
		request->mode = VGPU_WAIT_AUTO;
	else if (!strncmp(word, "n=", 2) && parse_number(word + 2, SAMPLES_MAX, &number))
		request->n = (long)number;
	else if (!strncmp(word, "bytes=", 6) && parse_number(word + 6, BYTES_MAX, &number))
		request->bytes = number;
	else if (!strncmp(word, "depth=", 6) && parse_number(word + 6, DEPTH_MAX, &number))
		request->depth = (unsigned int)number;
	else if (!strncmp(word, "train=", 6) && parse_number(word + 6, TRAIN_MAX, &number))
		request->train = (unsigned int)number;
	else if (!strncmp(word, "streams=", 8) && parse_number(word + 8, STREAMS_MAX, &number))
		request->streams = (unsigned int)number;
	else if (!strncmp(word, "path=", 5) && strlen(word) < sizeof(request->path))
		snprintf(request->path, sizeof(request->path), "%s", word + 5);
	else
		return refuse(bench, "the word %.100s has no meaning or is out of range", word);
	return true;
}

static struct request request_new(const char *name)
{
	struct request request = { .n = 100, .bytes = 4096, .depth = 1,
				   .train = 1000, .streams = 1,
				   .mode = VGPU_WAIT_AUTO };

	snprintf(request.name, sizeof(request.name), "%s", name);
	return request;
}

/* Prints a JSON string. */
static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			putchar(' ');
		else
			putchar(*text);
	}
	putchar('"');
}

static void print_times(const char *name, const uint64_t *times, long n)
{
	printf("\"%s\":[", name);
	for (long i = 0; i < n; i++)
		printf(i ? ",%llu" : "%llu", (unsigned long long)times[i]);
	putchar(']');
}

static bool answer(struct bench *bench, const struct request *request, bool parsed)
{
	uint64_t *samples = parsed ? calloc((size_t)request->n * 3, sizeof(*samples)) : NULL;
	bool ok = parsed && samples && measure(bench, request, samples);

	if (ok) {
		printf("{\"name\":\"%s\",", request->name);
		print_times("samples", samples, request->n);
		if (request->stages) {
			putchar(',');
			print_times("begins", samples + request->n, request->n);
			putchar(',');
			print_times("sents", samples + 2 * request->n, request->n);
		}
		if (!strcmp(request->name, "program"))
			printf(",\"sum\":%.9g", bench->sum);
		printf("}\n");
	} else {
		printf("{\"error\":");
		print_string(bench->error[0] ? bench->error : "no memory");
		printf("}\n");
	}
	fflush(stdout);
	free(samples);
	bench->error[0] = 0;
	return ok;
}

static bool serve_line(struct bench *bench, char *line)
{
	char *save, *word = strtok_r(line, " \t\r\n", &save);
	struct request request;
	bool ok;

	if (!word)
		return true;
	ok = !strcmp(word, "run") && (word = strtok_r(NULL, " \t\r\n", &save)) != NULL;
	if (!ok)
		refuse(bench, "expected: run NAME KEY=VALUE...");
	request = request_new(ok ? word : "");
	while (ok && (word = strtok_r(NULL, " \t\r\n", &save)))
		ok = parse_word(bench, &request, word);
	return answer(bench, &request, ok);
}

int main(int argc, char **argv)
{
	struct bench bench = { 0 };
	struct request request;
	char line[LINE_BYTES];
	bool ok = true;

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		fputs(usage, argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	if (!setup(&bench)) {
		printf("{\"error\":");
		print_string(bench.error);
		printf("}\n");
		return 1;
	}
	if (!strcmp(argv[1], "--serve")) {
		while (fgets(line, sizeof(line), stdin))
			serve_line(&bench, line);
	} else {
		request = request_new(argv[1]);
		for (int i = 2; ok && i < argc; i++)
			ok = strncmp(argv[i], "--", 2) ?
			     refuse(&bench, "the argument %.100s has no meaning", argv[i]) :
			     parse_word(&bench, &request, argv[i] + 2);
		ok = answer(&bench, &request, ok);
	}
	free(bench.pageable);
	program_close(bench.program);
	vgpu_close(bench.context);
	return ok ? 0 : 1;
}
