// SPDX-License-Identifier: Apache-2.0
/*
 * Linking: several texts of PTX become one. What one text declares as external another defines, so
 * the declarations go; what a text keeps to itself gets a name of its own where two have the same.
 * The result is PTX again, which cuModuleLoadData() takes as it would take machine code.
 *
 * A text is cut into the statements of its outermost level. Variables come first in the result,
 * for PTX wants them declared before they are used.
 */
#include "internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS_MAX 1024
#define MERGED_MAX ((size_t)64 << 20)

enum sort { SORT_HEAD, SORT_VARIABLE, SORT_FUNCTION, SORT_OTHER };

/* A statement of the outermost level. */
struct statement {
	const char *text;
	size_t bytes;
	enum sort sort;
	bool external, visible, body;
	const char *name;
	size_t name_bytes;
};

struct input {
	char *text, *label;
	size_t bytes;
	bool container;
	struct statement *statements;
	size_t count, capacity;
};

struct CUlinkState_st {
	struct object object;
	struct input inputs[INPUTS_MAX];
	size_t count;
	char *merged;
	size_t merged_bytes;
	struct jit jit;
	unsigned int info_used, error_used;
	/* Where the program wants the time, or NULL. */
	void **wall_time;
	float milliseconds;
};

/* ---- Cutting ------------------------------------------------------------------------------- */

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.';
}

/* After white space and comments. */
static const char *skip_blank(const char *at, const char *end)
{
	for (;;) {
		while (at < end && isspace((unsigned char)*at))
			at++;
		if (end - at < 2 || at[0] != '/' || (at[1] != '/' && at[1] != '*'))
			return at;
		if (at[1] == '/') {
			while (at < end && *at != '\n')
				at++;
			continue;
		}
		for (at += 2; at < end && (end - at < 2 || at[0] != '*' || at[1] != '/'); at++)
			;
		at = end - at < 2 ? end : at + 2;
	}
}

/* After one word, string or other character. */
static const char *after_token(const char *at, const char *end)
{
	if (*at == '"') {
		for (at++; at < end && *at != '"'; at++)
			at += *at == '\\' && at + 1 < end;
		return at < end ? at + 1 : end;
	}
	if (!is_word(*at))
		return at + 1;
	while (at < end && is_word(*at))
		at++;
	return at;
}

static bool token_is(const char *at, const char *after, const char *word)
{
	return (size_t)(after - at) == strlen(word) && !memcmp(at, word, (size_t)(after - at));
}

/* The directives that end with their line. */
static bool is_line(const char *at, const char *after)
{
	static const char *const words[] = { ".version", ".target", ".address_size", ".file",
					     ".loc", ".pragma" };

	for (size_t i = 0; i < ARRAY_COUNT(words); i++)
		if (token_is(at, after, words[i]))
			return true;
	return false;
}

static void classify(struct statement *s, const char *at, const char *after)
{
	if (token_is(at, after, ".extern"))
		s->external = true;
	else if (token_is(at, after, ".visible") || token_is(at, after, ".weak") ||
		 token_is(at, after, ".common"))
		s->visible = true;
	else if (token_is(at, after, ".global") || token_is(at, after, ".const") ||
		 token_is(at, after, ".shared"))
		s->sort = SORT_VARIABLE;
	else if (token_is(at, after, ".func") || token_is(at, after, ".entry"))
		s->sort = SORT_FUNCTION;
	if (token_is(at, after, ".entry"))
		s->visible = true;
}

/* One statement from `at`; where it ends. A name is the first word without a dot, outside of (). */
static const char *cut(struct statement *s, const char *at, const char *end)
{
	int round = 0, curly = 0;
	bool attribute = false;

	*s = (struct statement){ .text = at, .sort = SORT_OTHER };
	if (is_line(at, after_token(at, end))) {
		if (*at == '.' && (token_is(at, after_token(at, end), ".version") ||
				   token_is(at, after_token(at, end), ".target") ||
				   token_is(at, after_token(at, end), ".address_size")))
			s->sort = SORT_HEAD;
		while (at < end && *at != '\n')
			at++;
		return at;
	}
	while (at < end) {
		const char *after = after_token(at, end);

		if (!curly && !round && *at == '.') {
			classify(s, at, after);
			attribute = token_is(at, after, ".align") ||
				    token_is(at, after, ".maxntid");
		} else if (!curly && !round && is_word(*at) && !s->name &&
			   !isdigit((unsigned char)*at) && !attribute) {
			s->name = at;
			s->name_bytes = (size_t)(after - at);
		} else if (isdigit((unsigned char)*at)) {
			attribute = false;
		}
		round += *at == '(' ? 1 : *at == ')' ? -1 : 0;
		curly += *at == '{' ? 1 : *at == '}' ? -1 : 0;
		s->body |= *at == '{' && s->sort == SORT_FUNCTION;
		if (!curly && (*at == ';' || (*at == '}' && s->body)))
			return after;
		at = skip_blank(after, end);
	}
	return end;
}

static CUresult cut_all(struct input *input)
{
	const char *end = input->text + input->bytes, *at = skip_blank(input->text, end);

	while (at < end) {
		struct statement *s;

		if (input->count == input->capacity) {
			size_t wanted = input->capacity * 2 + 64;
			struct statement *grown = realloc(input->statements,
							  wanted * sizeof(*grown));

			if (!grown)
				return CUDA_ERROR_OUT_OF_MEMORY;
			input->statements = grown;
			input->capacity = wanted;
		}
		s = &input->statements[input->count++];
		at = cut(s, at, end);
		s->bytes = (size_t)(at - s->text);
		at = skip_blank(at, end);
	}
	return CUDA_SUCCESS;
}

/* ---- Names --------------------------------------------------------------------------------- */

static bool same_name(const struct statement *a, const struct statement *b)
{
	return a->name && b->name && a->name_bytes == b->name_bytes &&
	       !memcmp(a->name, b->name, a->name_bytes);
}

static bool defines(const struct statement *s)
{
	return !s->external && (s->sort == SORT_VARIABLE || (s->sort == SORT_FUNCTION && s->body));
}

/* What the compiler knows by itself. */
static bool is_builtin(const struct statement *s)
{
	static const char *const names[] = { "vprintf", "__assertfail", "malloc", "free" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		if (token_is(s->name, s->name + s->name_bytes, names[i]))
			return true;
	return s->name_bytes > 4 && !memcmp(s->name, "cuda", 4);
}

static const struct statement *definition_of(const struct CUlinkState_st *link,
					     const struct statement *wanted)
{
	for (size_t i = 0; i < link->count; i++)
		for (size_t k = 0; k < link->inputs[i].count; k++) {
			const struct statement *s = &link->inputs[i].statements[k];

			if (s->visible && defines(s) && same_name(s, wanted))
				return s;
		}
	return NULL;
}

/* Whether another text has something of that name too. */
static bool clashes(const struct CUlinkState_st *link, size_t own, const struct statement *wanted)
{
	for (size_t i = 0; i < link->count; i++)
		for (size_t k = 0; i != own && k < link->inputs[i].count; k++)
			if (same_name(&link->inputs[i].statements[k], wanted))
				return true;
	return false;
}

static CUresult say(struct CUlinkState_st *link, CUresult error, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (link->jit.error && link->jit.error_bytes) {
		size_t bytes = MIN(strlen(text), link->jit.error_bytes - 1);

		memcpy(link->jit.error, text, bytes);
		link->jit.error[bytes] = 0;
	}
	return report(error, "%s", text);
}

static CUresult check_names(struct CUlinkState_st *link)
{
	for (size_t i = 0; i < link->count; i++) {
		for (size_t k = 0; k < link->inputs[i].count; k++) {
			const struct statement *s = &link->inputs[i].statements[k], *known;

			if (!s->name || s->sort == SORT_OTHER || s->sort == SORT_HEAD)
				continue;
			known = definition_of(link, s);
			if (s->external && !known && !is_builtin(s) &&
			    !memmem(s->text, s->bytes, ".shared", 7))
				return say(link, CUDA_ERROR_INVALID_PTX,
					   "%s: undefined reference to '%.*s'",
					   link->inputs[i].label, (int)s->name_bytes, s->name);
			if (s->visible && defines(s) && known != s &&
			    !memmem(s->text, MIN(s->bytes, (size_t)64), ".weak", 5))
				return say(link, CUDA_ERROR_INVALID_PTX,
					   "%s: multiple definition of '%.*s'",
					   link->inputs[i].label, (int)s->name_bytes, s->name);
		}
	}
	return CUDA_SUCCESS;
}

/* ---- Putting together ----------------------------------------------------------------------- */

struct output {
	char *text;
	size_t bytes, capacity;
	bool failed;
};

static void put(struct output *out, const char *text, size_t bytes)
{
	if (out->bytes + bytes + 1 > out->capacity) {
		size_t wanted = (out->bytes + bytes + 1) * 2;
		char *grown = wanted > 2 * MERGED_MAX ? NULL : realloc(out->text, wanted);

		out->failed |= !grown;
		if (!grown)
			return;
		out->text = grown;
		out->capacity = wanted;
	}
	memcpy(out->text + out->bytes, text, bytes);
	out->bytes += bytes;
	out->text[out->bytes] = 0;
}

/* The statement, with a text's own names made different from those of others. */
static void put_renamed(struct output *out, const struct CUlinkState_st *link, size_t own,
			const struct statement *s, const bool *renamed)
{
	const struct input *input = &link->inputs[own];
	const char *at = s->text, *end = s->text + s->bytes;
	char suffix[32];

	snprintf(suffix, sizeof(suffix), "$link%zu", own);
	while (at < end) {
		const char *next = skip_blank(at, end);

		put(out, at, (size_t)(next - at));
		if (next == end)
			break;
		at = next;
		next = after_token(at, end);
		put(out, at, (size_t)(next - at));
		for (size_t k = 0; is_word(*at) && k < input->count; k++) {
			const struct statement *other = &input->statements[k];

			if (renamed[k] && other->name_bytes == (size_t)(next - at) &&
			    !memcmp(other->name, at, other->name_bytes)) {
				put(out, suffix, strlen(suffix));
				break;
			}
		}
		at = next;
	}
	put(out, "\n", 1);
}

/* Whether the statement has to be in the result at this turn. */
static bool belongs(const struct CUlinkState_st *link, size_t own, const struct statement *s,
		    enum sort sort)
{
	const struct statement *known = s->name ? definition_of(link, s) : NULL;

	if (s->sort == SORT_HEAD)
		return sort == SORT_HEAD && own == 0;
	if (s->sort == SORT_OTHER)
		return sort == SORT_OTHER && own == 0;
	if (s->sort != sort)
		return false;
	if (s->external && known)
		return false;
	if (s->external)
		for (size_t i = 0; i < own; i++)
			for (size_t k = 0; k < link->inputs[i].count; k++)
				if (link->inputs[i].statements[k].external &&
				    same_name(&link->inputs[i].statements[k], s))
					return false;
	/* Of several weak definitions the first holds. */
	return !(s->visible && known && known != s && defines(s));
}

static CUresult merge(struct CUlinkState_st *link)
{
	static const enum sort order[] = { SORT_HEAD, SORT_OTHER, SORT_VARIABLE, SORT_FUNCTION };
	struct output out = { 0 };

	for (size_t turn = 0; turn < ARRAY_COUNT(order); turn++) {
		for (size_t i = 0; i < link->count; i++) {
			struct input *input = &link->inputs[i];
			bool *renamed = calloc(input->count + 1, 1);

			if (!renamed) {
				free(out.text);
				return CUDA_ERROR_OUT_OF_MEMORY;
			}
			for (size_t k = 0; k < input->count; k++) {
				const struct statement *s = &input->statements[k];

				renamed[k] = s->name && !s->visible && !s->external &&
					     (s->sort == SORT_VARIABLE ||
					      s->sort == SORT_FUNCTION) && clashes(link, i, s);
			}
			for (size_t k = 0; k < input->count; k++)
				if (belongs(link, i, &input->statements[k], order[turn]))
					put_renamed(&out, link, i, &input->statements[k], renamed);
			free(renamed);
		}
	}
	if (out.failed || !out.text) {
		free(out.text);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	link->merged = out.text;
	link->merged_bytes = out.bytes + 1;
	return CUDA_SUCCESS;
}

/* ---- The interface ------------------------------------------------------------------------- */

/* The compiler is on the device: a module that is loaded and unloaded tells what is wrong. */
static CUresult try_out(struct CUlinkState_st *link, const void *data, size_t bytes)
{
	struct CUctx_st *context;
	struct CUmod_st *module;
	struct image image;
	CUresult error = current_context(&context);

	if (error == CUDA_SUCCESS)
		error = image_of(data, bytes, &image);
	if (error != CUDA_SUCCESS)
		return error;
	error = module_load(context, &image, &link->jit, &module);
	image_release(&image);
	return error == CUDA_SUCCESS ? module_unload(module) : error;
}

static CUresult link_of(CUlinkState handle)
{
	CUresult error = initialised();

	if (error != CUDA_SUCCESS)
		return error;
	return object_is(handle, KIND_LINK) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

EXPORT CUresult cuLinkCreate(unsigned int count, CUjit_option *options, void **values,
			     CUlinkState *out)
{
	struct CUctx_st *context;
	struct CUlinkState_st *link;
	CUresult error = current_context(&context);

	if (error != CUDA_SUCCESS)
		return error;
	if (!out || (count && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	link = object_new(KIND_LINK, sizeof(*link));
	if (!link)
		return CUDA_ERROR_OUT_OF_MEMORY;
	link->jit.info_used = &link->info_used;
	link->jit.error_used = &link->error_used;
	link->jit.wall_time = &link->milliseconds;
	for (unsigned int i = 0; i < count; i++) {
		size_t number = (size_t)(uintptr_t)values[i] & UINT32_MAX;

		if (options[i] == CU_JIT_INFO_LOG_BUFFER)
			link->jit.info = values[i];
		else if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
			link->jit.info_bytes = number;
		else if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
			link->jit.error = values[i];
		else if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
			link->jit.error_bytes = number;
		else if (options[i] == CU_JIT_WALL_TIME)
			link->wall_time = &values[i];
	}
	*out = link;
	return CUDA_SUCCESS;
}

static CUresult add(struct CUlinkState_st *link, const void *data, size_t bytes, bool container,
		    const char *label)
{
	struct input *input = &link->inputs[link->count];
	CUresult error;

	if (link->count == INPUTS_MAX)
		return say(link, CUDA_ERROR_OUT_OF_MEMORY, "more than %u inputs", INPUTS_MAX);
	error = try_out(link, data, bytes);
	if (error != CUDA_SUCCESS)
		return error;
	input->text = malloc(bytes + 1);
	input->label = strdup(label ? label : "input");
	input->container = container;
	/* The end of a string may be counted, or not. */
	input->bytes = container ? bytes : strnlen(data, bytes);
	if (!input->text || !input->label) {
		free(input->text);
		free(input->label);
		*input = (struct input){ 0 };
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	memcpy(input->text, data, input->bytes);
	input->text[input->bytes] = 0;
	link->count++;
	return container ? CUDA_SUCCESS : cut_all(input);
}

EXPORT CUresult cuLinkAddData(CUlinkState link, CUjitInputType type, void *data, size_t bytes,
			      const char *name, unsigned int count, CUjit_option *options,
			      void **values)
{
	CUresult error = link_of(link);

	if (error != CUDA_SUCCESS)
		return error;
	if (link->merged)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!data || !bytes || (count && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	switch (type) {
	case CU_JIT_INPUT_PTX:
	case CU_JIT_INPUT_FATBINARY:
		return add(link, data, bytes, type == CU_JIT_INPUT_FATBINARY, name);
	case CU_JIT_INPUT_CUBIN:
	case CU_JIT_INPUT_OBJECT:
	case CU_JIT_INPUT_LIBRARY:
		return say(link, CUDA_ERROR_NO_BINARY_FOR_GPU,
			   "%s: machine code for an NVIDIA GPU can't be linked; PTX is needed",
			   name ? name : "input");
	case CU_JIT_INPUT_NVVM:
		return say(link, CUDA_ERROR_NOT_SUPPORTED, "%s: NVVM can't be linked; PTX is needed",
			   name ? name : "input");
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

EXPORT CUresult cuLinkAddFile(CUlinkState link, CUjitInputType type, const char *path,
			      unsigned int count, CUjit_option *options, void **values)
{
	CUresult error = link_of(link);
	size_t bytes;
	void *data;

	if (error != CUDA_SUCCESS)
		return error;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	error = file_read(path, &data, &bytes);
	if (error != CUDA_SUCCESS)
		return error;
	error = cuLinkAddData(link, type, data, bytes, path, count, options, values);
	free(data);
	return error;
}

EXPORT CUresult cuLinkComplete(CUlinkState link, void **image, size_t *bytes)
{
	CUresult error = link_of(link);

	if (error != CUDA_SUCCESS)
		return error;
	if (!image || link->merged)
		return CUDA_ERROR_INVALID_VALUE;
	if (!link->count)
		return say(link, CUDA_ERROR_INVALID_VALUE, "nothing was added");
	for (size_t i = 0; i < link->count && link->count > 1; i++)
		if (link->inputs[i].container)
			return say(link, CUDA_ERROR_NOT_SUPPORTED,
				   "%s: a fat binary can only be linked alone; PTX is needed",
				   link->inputs[i].label);
	if (link->inputs[0].container) {
		link->merged = malloc(link->inputs[0].bytes);
		link->merged_bytes = link->inputs[0].bytes;
		error = link->merged ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
		if (link->merged)
			memcpy(link->merged, link->inputs[0].text, link->merged_bytes);
	} else {
		error = check_names(link);
		if (error == CUDA_SUCCESS)
			error = merge(link);
		if (error == CUDA_SUCCESS)
			error = try_out(link, link->merged, link->merged_bytes);
	}
	if (link->wall_time)
		memcpy(link->wall_time, &link->milliseconds, sizeof(link->milliseconds));
	if (error != CUDA_SUCCESS)
		return error;
	*image = link->merged;
	if (bytes)
		*bytes = link->merged_bytes;
	return CUDA_SUCCESS;
}

EXPORT CUresult cuLinkDestroy(CUlinkState link)
{
	CUresult error = link_of(link);

	if (error != CUDA_SUCCESS)
		return error;
	for (size_t i = 0; i < link->count; i++) {
		free(link->inputs[i].text);
		free(link->inputs[i].label);
		free(link->inputs[i].statements);
	}
	free(link->merged);
	object_end(link);
	return CUDA_SUCCESS;
}
