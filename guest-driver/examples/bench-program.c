// SPDX-License-Identifier: Apache-2.0
/* See bench-program.h: the text format, and why there is one. */
#include "bench-program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 32
#define ITEMS_MAX 32
#define LAUNCHES_MAX 4096
#define ARGUMENTS_MAX 16
#define UNIFORM_WORDS_MAX 16
#define LINE_BYTES 512
#define SOURCE_BYTES_MAX (1 << 20)

struct buffer {
	char name[NAME_BYTES];
	vgpu_devptr pointer;
	unsigned long long bytes;
};

struct kernel {
	char name[NAME_BYTES];
	vgpu_module module;
	vgpu_function function;
};

struct uniform {
	char name[NAME_BYTES];
	uint32_t words[UNIFORM_WORDS_MAX];
	uint32_t count;
};

struct launch {
	vgpu_function function;
	struct vgpu_dim3 grid;
	struct vgpu_arg arguments[ARGUMENTS_MAX];
	uint32_t count;
};

struct program {
	vgpu_context *context;
	char folder[LINE_BYTES];
	char *error;
	size_t error_bytes;
	struct buffer buffers[ITEMS_MAX];
	struct kernel kernels[ITEMS_MAX];
	struct uniform uniforms[ITEMS_MAX];
	struct launch *launches;
	unsigned int buffer_count, kernel_count, uniform_count, launch_count;
	const struct buffer *result;
	unsigned long result_count;
};

static bool refuse(struct program *program, const char *what, const char *subject)
{
	snprintf(program->error, program->error_bytes, "%s: %.200s", what, subject);
	return false;
}

static bool fine(struct program *program, enum vgpu_result result, const char *what)
{
	if (result == VGPU_SUCCESS)
		return true;
	snprintf(program->error, program->error_bytes, "%s: %s: %s", what, vgpu_error_name(result),
		 vgpu_last_error_text(program->context));
	return false;
}

static bool name_copy(char *to, const char *from)
{
	size_t length = strlen(from);

	if (length >= NAME_BYTES)
		return false;
	memcpy(to, from, length + 1);
	return true;
}

/* The entry of that name in an array of structs that begin with their names. */
static void *look_up(void *array, unsigned int count, size_t stride, const char *name)
{
	for (unsigned int i = 0; i < count; i++)
		if (!strcmp((char *)array + i * stride, name))
			return (char *)array + i * stride;
	return NULL;
}

/* ---- Items --------------------------------------------------------------------------------- */

static uint32_t random_next(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/* The same words as in the native reference. */
static void fill(uint32_t *words, size_t count, const char *kind, uint32_t first, uint32_t second)
{
	uint32_t state = !strcmp(kind, "below") ? second : first;

	for (size_t i = 0; i < count; i++) {
		if (!strcmp(kind, "zero")) {
			words[i] = 0;
		} else if (!strcmp(kind, "below")) {
			words[i] = random_next(&state) % first;
		} else {
			float value = (float)(random_next(&state) >> 8) * 0x1p-24f - 0.5f;

			memcpy(&words[i], &value, sizeof(value));
		}
	}
}

static bool add_buffer(struct program *program, char **words, int count)
{
	struct buffer *buffer = &program->buffers[program->buffer_count];
	uint32_t first = count > 4 ? (uint32_t)strtoul(words[4], NULL, 10) : 0;
	uint32_t second = count > 5 ? (uint32_t)strtoul(words[5], NULL, 10) : 0;
	uint32_t *data;
	bool ok;

	if (count < 4 || program->buffer_count == ITEMS_MAX || !name_copy(buffer->name, words[1]) ||
	    (!strcmp(words[3], "below") && !first))
		return refuse(program, "the buffer is not understood", words[count > 1]);
	buffer->bytes = strtoull(words[2], NULL, 10) & ~3ull;
	data = malloc(buffer->bytes);
	if (!data)
		return refuse(program, "no memory for the buffer", buffer->name);
	fill(data, buffer->bytes / 4, words[3], first, second);
	ok = fine(program, vgpu_mem_alloc(program->context, buffer->bytes, &buffer->pointer),
		  buffer->name) &&
	     fine(program,
		  vgpu_memcpy_h2d(program->context, buffer->pointer, data, buffer->bytes),
		  buffer->name);
	free(data);
	program->buffer_count += buffer->pointer != 0;
	return ok;
}

static char *read_source(struct program *program, const char *name)
{
	char path[2 * LINE_BYTES], *text = NULL;
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", program->folder, name);
	file = fopen(path, "r");
	if (file)
		text = malloc(SOURCE_BYTES_MAX);
	if (text) {
		length = fread(text, 1, SOURCE_BYTES_MAX - 1, file);
		text[length] = 0;
	}
	if (file)
		fclose(file);
	if (!text)
		refuse(program, "the kernel's source can't be read", path);
	return text;
}

static bool add_kernel(struct program *program, char **words, int count)
{
	struct kernel *kernel = &program->kernels[program->kernel_count];
	char *source;
	bool ok;

	if (count != 4 || program->kernel_count == ITEMS_MAX || !name_copy(kernel->name, words[1]))
		return refuse(program, "the kernel is not understood", words[count > 1]);
	source = read_source(program, words[2]);
	ok = source &&
	     fine(program,
		  vgpu_module_load(program->context, source, strlen(source), VGPU_FORMAT_WGSL,
				   &kernel->module, NULL, 0),
		  words[2]);
	free(source);
	if (!ok)
		return false;
	program->kernel_count++;
	return fine(program,
		    vgpu_function_get(program->context, kernel->module, words[3],
				      &kernel->function),
		    words[3]);
}

static bool add_uniform(struct program *program, char **words, int count)
{
	struct uniform *uniform = &program->uniforms[program->uniform_count];

	if (count < 3 || count - 2 > UNIFORM_WORDS_MAX || program->uniform_count == ITEMS_MAX ||
	    !name_copy(uniform->name, words[1]))
		return refuse(program, "the uniform is not understood", words[count > 1]);
	for (int i = 2; i < count; i++)
		uniform->words[uniform->count++] = (uint32_t)strtoul(words[i], NULL, 16);
	program->uniform_count++;
	return true;
}

static bool argument(struct program *program, char *word, struct vgpu_arg *out)
{
	const struct uniform *uniform;
	const struct buffer *buffer;
	char *plus = strchr(word, '+');

	if (*word == '=') {
		uniform = look_up(program->uniforms, program->uniform_count,
				  sizeof(struct uniform), word + 1);
		if (!uniform)
			return refuse(program, "there is no uniform", word + 1);
		*out = vgpu_arg_value(uniform->words, 4 * uniform->count);
		return true;
	}
	if (plus)
		*plus++ = 0;
	buffer = look_up(program->buffers, program->buffer_count, sizeof(struct buffer), word);
	if (!buffer)
		return refuse(program, "there is no buffer", word);
	*out = vgpu_arg_pointer(buffer->pointer + (plus ? strtoull(plus, NULL, 10) : 0));
	return true;
}

static bool add_launch(struct program *program, char **words, int count)
{
	struct launch *launch = &program->launches[program->launch_count];
	const struct kernel *kernel;

	if (count < 5 || count - 5 > ARGUMENTS_MAX || program->launch_count == LAUNCHES_MAX)
		return refuse(program, "the launch is not understood", words[count > 1]);
	kernel = look_up(program->kernels, program->kernel_count, sizeof(*kernel), words[1]);
	if (!kernel)
		return refuse(program, "there is no kernel", words[1]);
	launch->function = kernel->function;
	launch->grid.x = (uint32_t)strtoul(words[2], NULL, 10);
	launch->grid.y = (uint32_t)strtoul(words[3], NULL, 10);
	launch->grid.z = (uint32_t)strtoul(words[4], NULL, 10);
	for (int i = 5; i < count; i++)
		if (!argument(program, words[i], &launch->arguments[launch->count++]))
			return false;
	program->launch_count++;
	return true;
}

static bool add_result(struct program *program, char **words, int count)
{
	program->result = count == 3 ? look_up(program->buffers, program->buffer_count,
					       sizeof(struct buffer), words[1]) :
				       NULL;
	if (!program->result)
		return refuse(program, "the result is not understood", words[count > 1]);
	program->result_count = strtoul(words[2], NULL, 10);
	if (program->result_count > program->result->bytes / 4)
		return refuse(program, "the result is longer than the buffer", words[1]);
	return true;
}

static bool add_line(struct program *program, char *line)
{
	static const struct {
		const char *verb;
		bool (*add)(struct program *program, char **words, int count);
	} verbs[] = { { "buffer", add_buffer },
		      { "kernel", add_kernel },
		      { "uniform", add_uniform },
		      { "launch", add_launch },
		      { "result", add_result } };
	char *words[5 + ARGUMENTS_MAX + 1], *save;
	int count = 0;

	for (char *word = strtok_r(line, " \n", &save);
	     word && count < (int)(sizeof(words) / sizeof(*words));
	     word = strtok_r(NULL, " \n", &save))
		words[count++] = word;
	if (!count)
		return true;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(words[0], verbs[i].verb))
			return verbs[i].add(program, words, count);
	return refuse(program, "the word has no meaning", words[0]);
}

/* ---- The whole ----------------------------------------------------------------------------- */

struct program *program_open(vgpu_context *context, const char *path, char *error, size_t bytes)
{
	struct program *program = calloc(1, sizeof(*program));
	FILE *file = fopen(path, "r");
	char line[LINE_BYTES], *slash;
	bool ok;

	if (!program || !file) {
		snprintf(error, bytes, "%.300s: %s", path, strerror(errno));
		if (file)
			fclose(file);
		free(program);
		return NULL;
	}
	program->context = context;
	program->error = error;
	program->error_bytes = bytes;
	snprintf(program->folder, sizeof(program->folder), "%s", path);
	slash = strrchr(program->folder, '/');
	if (slash)
		*slash = 0;
	else
		strcpy(program->folder, ".");
	program->launches = calloc(LAUNCHES_MAX, sizeof(*program->launches));
	ok = program->launches != NULL;
	while (ok && fgets(line, sizeof(line), file))
		ok = add_line(program, line);
	fclose(file);
	if (ok && !program->result)
		ok = refuse(program, "the program has no result", path);
	if (ok)
		return program;
	program_close(program);
	return NULL;
}

bool program_step(struct program *program, char *error, size_t bytes)
{
	program->error = error;
	program->error_bytes = bytes;
	for (unsigned int i = 0; i < program->launch_count; i++) {
		const struct launch *launch = &program->launches[i];

		if (!fine(program,
			  vgpu_launch(program->context, launch->function, launch->grid,
				      (struct vgpu_dim3){ 0, 0, 0 }, launch->arguments,
				      launch->count, VGPU_STREAM_DEFAULT),
			  "launch"))
			return false;
	}
	return true;
}

bool program_sum(struct program *program, double *sum, char *error, size_t bytes)
{
	float *data = malloc(program->result_count * sizeof(*data));
	bool ok;

	program->error = error;
	program->error_bytes = bytes;
	ok = data && fine(program,
			  vgpu_memcpy_d2h(program->context, data, program->result->pointer,
					  program->result_count * sizeof(*data)),
			  "result");
	*sum = 0;
	for (unsigned long i = 0; ok && i < program->result_count; i++)
		*sum += data[i] < 0 ? -data[i] : data[i];
	free(data);
	return ok;
}

void program_close(struct program *program)
{
	if (!program)
		return;
	for (unsigned int i = 0; i < program->buffer_count; i++)
		vgpu_mem_free(program->context, program->buffers[i].pointer);
	for (unsigned int i = 0; i < program->kernel_count; i++)
		vgpu_module_unload(program->context, program->kernels[i].module);
	free(program->launches);
	free(program);
}
