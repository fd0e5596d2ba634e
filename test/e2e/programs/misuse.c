/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs get wrong, one case a run: prints the result's name and the error's text as one
 * line of JSON, then shows that the context (or, after a sticky error, a new one) still computes.
 *
 * usage: misuse CASE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvgpu.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static vgpu_context *context;
static vgpu_devptr memory;
static vgpu_function function;
static const uint64_t memory_bytes = 4096;

static const char source[] =
	"@group(0) @binding(0) var<storage, read_write> data: array<u32>;\n"
	"@group(0) @binding(1) var<uniform> value: u32;\n"
	"@compute @workgroup_size(64) fn put(@builtin(global_invocation_id) id: vec3u) {\n"
	"  if (id.x < arrayLength(&data)) { data[id.x] = value + id.x; }\n"
	"}\n";

static void must(enum vgpu_result result, const char *what)
{
	if (result == VGPU_SUCCESS)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, vgpu_error_name(result),
		vgpu_last_error_text(context));
	exit(1);
}
#define MUST(call) must((call), #call)

static void prepare(void)
{
	vgpu_module module;

	MUST(vgpu_open(NULL, &context));
	MUST(vgpu_mem_alloc(context, memory_bytes, &memory));
	MUST(vgpu_module_load(context, source, sizeof(source) - 1, VGPU_FORMAT_WGSL, &module,
			      NULL, 0));
	MUST(vgpu_function_get(context, module, "put", &function));
}

static enum vgpu_result launch(vgpu_devptr pointer, struct vgpu_dim3 grid, struct vgpu_dim3 block,
			       uint32_t arguments)
{
	uint32_t value = 7;
	struct vgpu_arg list[] = { vgpu_arg_pointer(pointer), vgpu_arg_value(&value, 4),
				   vgpu_arg_value(&value, 4) };
	enum vgpu_result result = vgpu_launch(context, function, grid, block, list, arguments,
					      VGPU_STREAM_DEFAULT);

	return result != VGPU_SUCCESS ? result : vgpu_synchronize(context);
}

static const struct vgpu_dim3 one = { 1, 1, 1 }, declared = { 0, 0, 0 };
static char bytes[8192];

static enum vgpu_result copy_out_of_range(void)
{
	return vgpu_memcpy_h2d(context, memory + 4000, bytes, 200);
}

static enum vgpu_result copy_wild(void)
{
	return vgpu_memcpy_d2h(context, bytes, 0x1234000, 16);
}

static enum vgpu_result zero_launch(void)
{
	return launch(memory, (struct vgpu_dim3){ 0, 1, 1 }, declared, 2);
}

static enum vgpu_result huge_launch(void)
{
	return launch(memory, (struct vgpu_dim3){ 1, 1, 4000000000u }, declared, 2);
}

static enum vgpu_result wrong_block(void)
{
	return launch(memory, one, (struct vgpu_dim3){ 65, 1, 1 }, 2);
}

static enum vgpu_result wrong_count(void)
{
	return launch(memory, one, declared, 3);
}

static enum vgpu_result wild_pointer(void)
{
	return launch(memory + memory_bytes, one, declared, 2);
}

static enum vgpu_result unknown_function(void)
{
	function += 99;
	return launch(memory, one, declared, 2);
}

static enum vgpu_result double_free(void)
{
	vgpu_devptr other;

	MUST(vgpu_mem_alloc(context, 64, &other));
	MUST(vgpu_mem_free(context, other));
	return vgpu_mem_free(context, other);
}

static enum vgpu_result out_of_memory(void)
{
	vgpu_devptr pointer;
	enum vgpu_result result;

	do {
		result = vgpu_mem_alloc(context, 16 << 20, &pointer);
	} while (result == VGPU_SUCCESS);
	return result;
}

static enum vgpu_result too_large(void)
{
	vgpu_devptr pointer;

	return vgpu_mem_alloc(context, 1ull << 40, &pointer);
}

static enum vgpu_result compile_error(void)
{
	static const char bad[] = "@compute @workgroup_size(1) fn f() {\n  let x = missing;\n}\n";
	vgpu_module module;

	return vgpu_module_load(context, bad, sizeof(bad) - 1, VGPU_FORMAT_WGSL, &module, NULL, 0);
}

static enum vgpu_result no_such_function(void)
{
	vgpu_module module;
	vgpu_function found;

	MUST(vgpu_module_load(context, source, sizeof(source) - 1, VGPU_FORMAT_WGSL, &module,
			      NULL, 0));
	return vgpu_function_get(context, module, "nothing", &found);
}

static const struct {
	const char *name;
	enum vgpu_result (*run)(void);
} cases[] = {
	{ "copy-out-of-range", copy_out_of_range }, { "copy-wild", copy_wild },
	{ "zero-launch", zero_launch },		    { "huge-launch", huge_launch },
	{ "wrong-block", wrong_block },		    { "wrong-count", wrong_count },
	{ "wild-pointer", wild_pointer },	    { "unknown-function", unknown_function },
	{ "double-free", double_free },		    { "out-of-memory", out_of_memory },
	{ "too-large", too_large },		    { "compile-error", compile_error },
	{ "no-such-function", no_such_function },
};

static void print_json(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", stdout);
		else if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static int still_works(void)
{
	uint32_t words[64];
	vgpu_function own = function;

	if (launch(memory, one, declared, 2) != VGPU_SUCCESS)
		return 0;
	function = own;
	MUST(vgpu_memcpy_d2h(context, words, memory, sizeof(words)));
	for (uint32_t i = 0; i < COUNT(words); i++) {
		if (words[i] != 7 + i)
			return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < COUNT(cases); i++) {
		vgpu_function own;
		enum vgpu_result result;

		if (strcmp(cases[i].name, argv[1]) != 0)
			continue;
		prepare();
		own = function;
		result = cases[i].run();
		printf("{\"result\":\"%s\",\"text\":", vgpu_error_name(result));
		print_json(vgpu_last_error_text(context));
		function = own;
		printf(",\"works\":%s}\n", still_works() ? "true" : "false");
		vgpu_close(context);
		return 0;
	}
	fprintf(stderr, "usage: misuse CASE\n");
	return 2;
}
