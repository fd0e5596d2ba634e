// SPDX-License-Identifier: Apache-2.0
/*
 * Modules, functions and launches.
 *
 * Loading and looking up go over a stream of the library's own, so that they
 * do not wait for the user's work; their outcome is asked for at once, which
 * also brings what a function's arguments must be. With that, a launch is
 * checked here before it is queued.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A log longer than this is cut. */
#define LOG_BYTES_MAX (1u << 20)
#define LOG_PART_BYTES 16384u
/* How much of a compile log goes into the error text. */
#define LOG_TEXT_BYTES 400

/* ---- Modules ------------------------------------------------------------------------ */

/* Queues a command with trailing bytes on the service stream and waits for it. */
static enum vgpu_result service_command(struct vgpu *context, uint16_t opcode,
					const void *payload, uint32_t payload_bytes,
					const void *trailing, size_t trailing_bytes)
{
	struct stream_state *stream = context->service;
	enum vgpu_result result;
	void *room;

	pthread_mutex_lock(&stream->lock);
	result = stream_reserve(context, stream, opcode,
				(uint32_t)(sizeof(struct vgpu_command_header) + payload_bytes +
					   trailing_bytes), &room);
	if (result == VGPU_SUCCESS) {
		memcpy(room, payload, payload_bytes);
		if (trailing_bytes)
			memcpy((uint8_t *)room + payload_bytes, trailing, trailing_bytes);
	}
	pthread_mutex_unlock(&stream->lock);
	return result == VGPU_SUCCESS ? stream_finish(context, stream) : result;
}

/* Compiling goes on behind the fence: asks until there is an outcome. */
static void pending_pause(unsigned int turn)
{
	struct timespec pause = { .tv_nsec = 20000 };

	while (turn-- && pause.tv_nsec < 2000000)
		pause.tv_nsec *= 2;
	nanosleep(&pause, NULL);
}

/* Fetches a module's state and all of its log (NULL if there is none). */
static enum vgpu_result module_query_once(struct vgpu *context, uint32_t wire,
				     struct vgpu_module_query_response *state, char **log)
{
	struct vgpu_module_query_request request = { .module = wire };
	struct vgpu_response_header *header = malloc(LOG_PART_BYTES);
	const size_t head = sizeof(*header) + sizeof(*state);
	uint32_t have = 0, total = 0, written = 0;
	enum vgpu_result result;

	*log = NULL;
	if (!header)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a module's log");
	do {
		uint32_t part;

		request.log_offset = have;
		result = control_exchange(context, VGPU_REQ_MODULE_QUERY, &request,
					  sizeof(request), header, LOG_PART_BYTES, &written,
					  "module query");
		if (result != VGPU_SUCCESS)
			break;
		if (written < head) {
			result = fail(VGPU_ERROR_INTERNAL, "module query: an answer of %u bytes",
				      written);
			break;
		}
		memcpy(state, header + 1, sizeof(*state));
		if (!*log) {
			total = MIN(state->log_bytes, LOG_BYTES_MAX);
			*log = total ? calloc(1, (size_t)total + 1) : NULL;
		}
		if (!*log)
			break;
		part = MIN((uint32_t)(written - head), total - have);
		memcpy(*log + have, (uint8_t *)header + head, part);
		have += part;
		if (!part)
			break;
	} while (have < total);
	free(header);
	if (result != VGPU_SUCCESS) {
		free(*log);
		*log = NULL;
	}
	return result;
}

static enum vgpu_result module_query(struct vgpu *context, uint32_t wire,
				     struct vgpu_module_query_response *state, char **log)
{
	for (unsigned int turn = 0;; turn++) {
		enum vgpu_result result = module_query_once(context, wire, state, log);

		if (result != VGPU_SUCCESS || state->state != VGPU_OBJECT_STATE_PENDING)
			return result;
		free(*log);
		*log = NULL;
		if (context_is_bad(context))
			return context_failure(context);
		pending_pause(turn);
	}
}

static void log_copy(const char *log, char *out, size_t out_bytes)
{
	if (out && out_bytes)
		snprintf(out, out_bytes, "%s", log ? log : "");
}

static void module_forget(struct vgpu *context, struct module *module)
{
	pthread_rwlock_wrlock(&context->table_lock);
	table_remove(&context->modules, module->handle);
	while (module->functions) {
		struct function *function = module->functions;

		module->functions = function->next;
		table_remove(&context->functions, function->handle);
		free(function->arguments);
		free(function->name);
		free(function);
	}
	allocations_drop(context, module);
	pthread_rwlock_unlock(&context->table_lock);
	free(module->log);
	free(module);
}

static enum vgpu_result module_unload(struct vgpu *context, uint32_t wire)
{
	struct vgpu_command_module_unload command = { .module = wire };

	return service_command(context, VGPU_CMD_MODULE_UNLOAD, &command, sizeof(command), NULL, 0);
}

static enum vgpu_result module_add(struct vgpu *context, struct module **out)
{
	struct module *module = calloc(1, sizeof(*module));
	enum vgpu_result result;

	if (!module)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a module");
	pthread_rwlock_wrlock(&context->table_lock);
	result = table_add(&context->modules, module, &module->handle, &module->wire);
	pthread_rwlock_unlock(&context->table_lock);
	if (result != VGPU_SUCCESS) {
		free(module);
		return result;
	}
	*out = module;
	return VGPU_SUCCESS;
}

static enum vgpu_result module_compile(struct vgpu *context, struct module *module,
				       const void *code, uint32_t bytes, uint32_t flags)
{
	struct vgpu_command_module_load command = { .module = module->wire,
						    .format = module->format,
						    .code_bytes = bytes, .flags = flags };
	struct vgpu_module_query_response state;
	enum vgpu_result result;

	result = service_command(context, VGPU_CMD_MODULE_LOAD, &command, sizeof(command), code,
				 bytes);
	if (result != VGPU_SUCCESS)
		return result;
	result = module_query(context, module->wire, &state, &module->log);
	if (result != VGPU_SUCCESS || state.state == VGPU_OBJECT_STATE_READY)
		return result;
	result = state.status ? (enum vgpu_result)state.status : VGPU_ERROR_MODULE_INVALID;
	module_unload(context, module->wire);
	if (module->log)
		return fail(result, "the module does not compile: %.*s", LOG_TEXT_BYTES,
			    module->log);
	return fail(result, "the module was not loaded: %s", vgpu_error_string(result));
}

/* Whether this device takes the format. */
static enum vgpu_result check_format(const struct vgpu *context, uint32_t format, uint32_t flags)
{
	if (format < VGPU_FORMAT_WGSL || format > VGPU_FORMAT_FATBIN)
		return fail(VGPU_ERROR_FORMAT_UNKNOWN,
			    "the module format %u; known are %u (WGSL), %u (PTX), %u (fat binary)",
			    format, VGPU_FORMAT_WGSL, VGPU_FORMAT_PTX, VGPU_FORMAT_FATBIN);
	if (format != VGPU_FORMAT_WGSL && !(context->caps.capabilities & VGPU_CAP_PTX))
		return fail(VGPU_ERROR_NOT_SUPPORTED, "the device takes no modules in PTX");
	if (flags & ~(format == VGPU_FORMAT_WGSL ? 0 : VGPU_MODULE_LOAD_CHECKED))
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "the flags 0x%x for module format %u",
			    flags, format);
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_module_load(vgpu_context *context, const void *code, size_t bytes,
				  uint32_t format, vgpu_module *handle, char *log,
				  size_t log_bytes)
{
	const char *checked = format == VGPU_FORMAT_WGSL ? NULL : getenv("VGPU_CHECKED");

	return vgpu_module_load_flags(context, code, bytes, format,
				      checked && !strcmp(checked, "1") ?
					      VGPU_MODULE_LOAD_CHECKED : 0,
				      handle, log, log_bytes);
}

enum vgpu_result vgpu_module_load_flags(vgpu_context *context, const void *code, size_t bytes,
					uint32_t format, uint32_t flags, vgpu_module *handle,
					char *log, size_t log_bytes)
{
	enum vgpu_result result = enter(context);
	struct module *module = NULL;

	log_copy(NULL, log, log_bytes);
	if (handle)
		*handle = 0;
	if (result != VGPU_SUCCESS)
		return result;
	if (!code || !handle)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "%s is NULL", code ? "module" : "code");
	if (!bytes)
		return fail(VGPU_ERROR_SIZE_ZERO, "a module of 0 bytes");
	if (bytes > context->submit_bytes_max)
		return fail(VGPU_ERROR_REQUEST_TOO_LARGE, "a module of %zu bytes, the limit is %u",
			    bytes, context->submit_bytes_max);
	result = check_format(context, format, flags);
	if (result == VGPU_SUCCESS)
		result = module_add(context, &module);
	if (result != VGPU_SUCCESS)
		return result;
	module->format = format;
	result = module_compile(context, module, code, (uint32_t)bytes, flags);
	log_copy(module->log, log, log_bytes);
	if (result != VGPU_SUCCESS) {
		module_forget(context, module);
		return result;
	}
	*handle = module->handle;
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_module_log(vgpu_context *context, vgpu_module handle, char *log,
				 size_t log_bytes)
{
	enum vgpu_result result = enter(context);
	struct module *module;

	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_rdlock(&context->table_lock);
	module = table_find(&context->modules, handle);
	if (module)
		log_copy(module->log, log, log_bytes);
	pthread_rwlock_unlock(&context->table_lock);
	return module ? VGPU_SUCCESS : VGPU_ERROR_HANDLE_UNKNOWN;
}

enum vgpu_result vgpu_module_unload(vgpu_context *context, vgpu_module handle)
{
	enum vgpu_result result = enter(context);
	struct module *module;
	uint32_t wire = 0;

	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_rdlock(&context->table_lock);
	module = table_find(&context->modules, handle);
	if (module)
		wire = module->wire;
	pthread_rwlock_unlock(&context->table_lock);
	if (!module)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	result = streams_finish_all(context);
	if (result == VGPU_SUCCESS)
		result = module_unload(context, wire);
	if (result == VGPU_SUCCESS)
		module_forget(context, module);
	return result;
}

/*
 * The variable is entered into the table of allocations, so that copies may
 * name it, with its module as owner: it goes when the module does.
 */
enum vgpu_result vgpu_module_symbol(vgpu_context *context, vgpu_module handle, const char *name,
				    vgpu_devptr *pointer, uint64_t *bytes)
{
	enum vgpu_result result = enter(context);
	struct vgpu_module_symbol_response found;
	struct {
		struct vgpu_module_symbol_request head;
		char name[VGPU_NAME_BYTES_MAX];
	} request = { .head = { 0 } };
	struct module *module;
	size_t length;

	if (pointer)
		*pointer = 0;
	if (result != VGPU_SUCCESS)
		return result;
	if (!name || !pointer)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "%s is NULL", name ? "pointer" : "name");
	length = strlen(name);
	if (!length || length > VGPU_NAME_BYTES_MAX)
		return fail(VGPU_ERROR_SYMBOL_NOT_FOUND,
			    "a variable's name of %zu bytes, the limit is %u", length,
			    VGPU_NAME_BYTES_MAX);
	pthread_rwlock_rdlock(&context->table_lock);
	module = table_find(&context->modules, handle);
	if (module)
		request.head.module = module->wire;
	pthread_rwlock_unlock(&context->table_lock);
	if (!module)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	request.head.name_bytes = (uint32_t)length;
	memcpy(request.name, name, length);
	result = control_call(context, VGPU_REQ_MODULE_SYMBOL, &request,
			      (uint32_t)(sizeof(request.head) + length), &found, sizeof(found),
			      "module symbol");
	if (result != VGPU_SUCCESS)
		return result;
	pthread_rwlock_wrlock(&context->table_lock);
	module = table_find(&context->modules, handle);
	result = module ? allocation_lend(context, found.pointer, found.bytes, module) :
			  VGPU_ERROR_HANDLE_UNKNOWN;
	pthread_rwlock_unlock(&context->table_lock);
	if (result != VGPU_SUCCESS)
		return result;
	*pointer = found.pointer;
	if (bytes)
		*bytes = found.bytes;
	return VGPU_SUCCESS;
}

/* ---- Functions ------------------------------------------------------------------------- */

static void function_free(struct function *function)
{
	free(function->arguments);
	free(function->name);
	free(function);
}

static struct function *function_named(struct module *module, const char *name)
{
	for (struct function *function = module->functions; function; function = function->next)
		if (!strcmp(function->name, name))
			return function;
	return NULL;
}

/* Asks with room for `room` arguments; 0 to ask how many there are. */
static enum vgpu_result function_query_room(struct vgpu *context, struct function *function,
					    uint32_t room)
{
	struct vgpu_function_query_request request = { .function = function->wire };
	const size_t head = sizeof(struct vgpu_response_header) + sizeof(function->info);
	const size_t bytes = head + (size_t)room * sizeof(*function->arguments);
	struct vgpu_response_header *header = calloc(1, bytes);
	struct vgpu_argument_info *arguments = calloc((size_t)room + 1, sizeof(*arguments));
	enum vgpu_result result = VGPU_SUCCESS;
	uint32_t written = 0;

	free(function->arguments);
	function->arguments = arguments;
	if (!header || !arguments)
		result = fail(VGPU_ERROR_HOST_MEMORY, "no memory for a function's arguments");
	if (result == VGPU_SUCCESS)
		result = control_exchange(context, VGPU_REQ_FUNCTION_QUERY, &request,
					  sizeof(request), header, (uint32_t)bytes, &written,
					  "function query");
	if (result == VGPU_SUCCESS && written < head)
		result = fail(VGPU_ERROR_INTERNAL, "function query: an answer of %u bytes",
			      written);
	if (result == VGPU_SUCCESS) {
		memcpy(&function->info, header + 1, sizeof(function->info));
		if (function->info.state == VGPU_OBJECT_STATE_READY &&
		    function->info.argument_count <= room &&
		    written < head + function->info.argument_count * sizeof(*arguments))
			result = fail(VGPU_ERROR_INTERNAL,
				      "function query: %u arguments in an answer of %u bytes",
				      function->info.argument_count, written);
		else
			memcpy(arguments, (uint8_t *)header + head, written - head);
	}
	free(header);
	return result;
}

/* Most functions have few arguments; PTX has as many as fit into a parameter buffer. */
static enum vgpu_result function_query_once(struct vgpu *context, struct function *function)
{
	const uint32_t limit = function->format == VGPU_FORMAT_WGSL ? VGPU_LAUNCH_ARGUMENTS_MAX :
								      VGPU_LAUNCH_VALUE_BYTES_MAX;
	enum vgpu_result result = function_query_room(context, function, VGPU_LAUNCH_ARGUMENTS_MAX);
	uint32_t count = function->info.argument_count;

	if (result != VGPU_SUCCESS || function->info.state != VGPU_OBJECT_STATE_READY)
		return result;
	if (count > limit)
		return fail(VGPU_ERROR_INTERNAL, "function query: %u arguments, the limit is %u",
			    count, limit);
	if (count > VGPU_LAUNCH_ARGUMENTS_MAX)
		result = function_query_room(context, function, count);
	if (result == VGPU_SUCCESS && function->info.argument_count != count)
		result = fail(VGPU_ERROR_INTERNAL, "function query: %u arguments, %u before",
			      function->info.argument_count, count);
	return result;
}

/* The device is not trusted: what a launch writes into the buffer lies within it. */
static enum vgpu_result parameters_check(struct function *function)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < function->info.argument_count; i++) {
		const struct vgpu_argument_info *a = &function->arguments[i];

		if ((uint64_t)a->offset + a->bytes_min > VGPU_LAUNCH_VALUE_BYTES_MAX)
			return fail(VGPU_ERROR_INTERNAL,
				    "function query: parameter %u is %u bytes at %u", i,
				    a->bytes_min, a->offset);
		end = MAX(end, (uint64_t)a->offset + a->bytes_min);
	}
	function->parameter_bytes = (uint32_t)end;
	return VGPU_SUCCESS;
}

static enum vgpu_result function_query(struct vgpu *context, struct function *function)
{
	for (unsigned int turn = 0;; turn++) {
		enum vgpu_result result = function_query_once(context, function);

		if (result != VGPU_SUCCESS ||
		    function->info.state != VGPU_OBJECT_STATE_PENDING)
			return result;
		if (context_is_bad(context))
			return context_failure(context);
		pending_pause(turn);
	}
}

/*
 * Why a function can't be had. What a kernel in PTX lacks is a line of its module's log:
 * "line 41: kernel NAME: ...".
 */
static enum vgpu_result function_refused(struct vgpu *context, const struct function *function,
					 uint32_t module_wire, enum vgpu_result result)
{
	struct vgpu_module_query_response state;
	char wanted[VGPU_NAME_BYTES_MAX + 16];
	const char *found = NULL, *start;
	char *log = NULL;

	snprintf(wanted, sizeof(wanted), "kernel %s: ", function->name);
	if (result == VGPU_ERROR_NOT_SUPPORTED && function->format == VGPU_FORMAT_PTX &&
	    module_query_once(context, module_wire, &state, &log) == VGPU_SUCCESS && log)
		found = strstr(log, wanted);
	if (found) {
		for (start = found; start > log && start[-1] != '\n'; start--)
			;
		fail(result, "the function \"%.100s\": %.*s", function->name,
		     (int)MIN(strcspn(start, "\n"), (size_t)LOG_TEXT_BYTES), start);
	} else {
		fail(result, "the function \"%s\": %s", function->name,
		     vgpu_error_string(result));
	}
	free(log);
	return result;
}

/* Creates the function on the device and learns about it. */
static enum vgpu_result function_create(struct vgpu *context, struct function *function,
					uint32_t module_wire)
{
	size_t name_bytes = strlen(function->name);
	struct vgpu_command_function_create create = { .function = function->wire,
						       .module = module_wire,
						       .name_bytes = (uint32_t)name_bytes };
	struct vgpu_command_function_destroy destroy = { .function = function->wire };
	enum vgpu_result result;

	result = service_command(context, VGPU_CMD_FUNCTION_CREATE, &create, sizeof(create),
				 function->name, name_bytes);
	if (result == VGPU_SUCCESS)
		result = function_query(context, function);
	if (result == VGPU_SUCCESS && function->info.state == VGPU_OBJECT_STATE_READY &&
	    function->format == VGPU_FORMAT_PTX)
		return parameters_check(function);
	if (result != VGPU_SUCCESS || function->info.state == VGPU_OBJECT_STATE_READY)
		return result;
	result = function->info.status ? (enum vgpu_result)function->info.status :
					 VGPU_ERROR_FUNCTION_NOT_FOUND;
	service_command(context, VGPU_CMD_FUNCTION_DESTROY, &destroy, sizeof(destroy), NULL, 0);
	return function_refused(context, function, module_wire, result);
}

static enum vgpu_result function_new(struct vgpu *context, const char *name,
				     struct function **out)
{
	struct function *function = calloc(1, sizeof(*function));
	enum vgpu_result result;

	if (function)
		function->name = strdup(name);
	if (!function || !function->name) {
		free(function);
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for a function");
	}
	pthread_rwlock_wrlock(&context->table_lock);
	result = table_add(&context->functions, function, &function->handle, &function->wire);
	pthread_rwlock_unlock(&context->table_lock);
	if (result != VGPU_SUCCESS) {
		function_free(function);
		return result;
	}
	*out = function;
	return VGPU_SUCCESS;
}

enum vgpu_result vgpu_function_get(vgpu_context *context, vgpu_module module_handle,
				   const char *name, vgpu_function *handle)
{
	enum vgpu_result result = enter(context);
	struct function *function = NULL;
	struct module *module;
	uint32_t wire = 0, format = VGPU_FORMAT_WGSL;

	if (handle)
		*handle = 0;
	if (result != VGPU_SUCCESS)
		return result;
	if (!name || !handle)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "%s is NULL", name ? "function" : "name");
	if (!*name || strlen(name) > VGPU_NAME_BYTES_MAX)
		return fail(VGPU_ERROR_FUNCTION_NOT_FOUND,
			    "a function name of %zu bytes, the limit is %u", strlen(name),
			    VGPU_NAME_BYTES_MAX);
	pthread_rwlock_rdlock(&context->table_lock);
	module = table_find(&context->modules, module_handle);
	if (module) {
		wire = module->wire;
		format = module->format == VGPU_FORMAT_WGSL ? VGPU_FORMAT_WGSL : VGPU_FORMAT_PTX;
		function = function_named(module, name);
		*handle = function ? function->handle : 0;
	}
	pthread_rwlock_unlock(&context->table_lock);
	if (!module)
		return VGPU_ERROR_HANDLE_UNKNOWN;
	if (function)
		return VGPU_SUCCESS;
	/* Two threads that ask for one name at a time both create it: harmless. */
	result = function_new(context, name, &function);
	if (result != VGPU_SUCCESS)
		return result;
	function->format = format;
	result = function_create(context, function, wire);
	pthread_rwlock_wrlock(&context->table_lock);
	if (result == VGPU_SUCCESS && !(module = table_find(&context->modules, module_handle)))
		result = VGPU_ERROR_HANDLE_UNKNOWN;
	if (result == VGPU_SUCCESS) {
		function->module = module;
		function->next = module->functions;
		module->functions = function;
		*handle = function->handle;
	} else {
		table_remove(&context->functions, function->handle);
		function_free(function);
	}
	pthread_rwlock_unlock(&context->table_lock);
	return result;
}

enum vgpu_result vgpu_function_info(vgpu_context *context, vgpu_function handle,
				    struct vgpu_function_info *info)
{
	enum vgpu_result result = enter(context);
	struct function *function;

	if (result != VGPU_SUCCESS)
		return result;
	if (!info)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "info is NULL");
	pthread_rwlock_rdlock(&context->table_lock);
	function = table_find(&context->functions, handle);
	if (function)
		*info = (struct vgpu_function_info){
			.parameter_count = function->info.argument_count,
			.block = { function->info.block_x, function->info.block_y,
				   function->info.block_z },
			.shared_bytes = function->info.shared_bytes,
			.format = function->format,
			.block_threads_max = function_threads_max(context, function),
			.parameter_bytes = function->parameter_bytes,
		};
	pthread_rwlock_unlock(&context->table_lock);
	return function ? VGPU_SUCCESS : VGPU_ERROR_HANDLE_UNKNOWN;
}

enum vgpu_result vgpu_function_parameter(vgpu_context *context, vgpu_function handle,
					 uint32_t index, struct vgpu_parameter *parameter)
{
	enum vgpu_result result = enter(context);
	struct function *function;

	if (result != VGPU_SUCCESS)
		return result;
	if (!parameter)
		return fail(VGPU_ERROR_INVALID_ARGUMENT, "parameter is NULL");
	pthread_rwlock_rdlock(&context->table_lock);
	function = table_find(&context->functions, handle);
	if (!function) {
		result = VGPU_ERROR_HANDLE_UNKNOWN;
	} else if (index >= function->info.argument_count) {
		result = fail(VGPU_ERROR_INVALID_ARGUMENT, "parameter %u of \"%s\", which has %u",
			      index, function->name, function->info.argument_count);
	} else {
		const struct vgpu_argument_info *a = &function->arguments[index];

		*parameter = (struct vgpu_parameter){
			.kind = a->kind,
			.writes = a->access == VGPU_ARGUMENT_ACCESS_READ_WRITE,
			.bytes_min = a->bytes_min,
			.align = a->align,
			.offset = a->offset,
		};
		memcpy(parameter->name, a->name, sizeof(a->name));
	}
	pthread_rwlock_unlock(&context->table_lock);
	return result;
}

void modules_free(struct vgpu *context)
{
	for (uint32_t i = 0; i < context->functions.count; i++)
		if (context->functions.entries[i].object)
			function_free(context->functions.entries[i].object);
	for (uint32_t i = 0; i < context->modules.count; i++) {
		struct module *module = context->modules.entries[i].object;

		if (module)
			free(module->log);
		free(module);
	}
	table_free(&context->functions);
	table_free(&context->modules);
}
