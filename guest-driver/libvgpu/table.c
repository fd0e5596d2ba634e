// SPDX-License-Identifier: Apache-2.0
/*
 * Handles. A handle carries its kind and a generation, so that one of another
 * kind, or of an object that was destroyed, is told from a valid one instead
 * of reaching whatever took its place.
 *
 *   63      56 55              32 31               0
 *   |  kind   |    generation    |      index       |
 */
#include "internal.h"

#include <stdlib.h>

#define GENERATION_MASK 0xffffffu
#define NO_ENTRY UINT32_MAX

void table_init(struct table *table, enum object_kind kind, uint32_t limit)
{
	*table = (struct table){ .kind = kind, .limit = limit, .first_free = NO_ENTRY };
}

void table_free(struct table *table)
{
	free(table->entries);
	table->entries = NULL;
	table->count = table->capacity = 0;
}

const char *table_kind_name(enum object_kind kind)
{
	switch (kind) {
	case OBJECT_STREAM:
		return "stream";
	case OBJECT_EVENT:
		return "event";
	case OBJECT_MODULE:
		return "module";
	case OBJECT_FUNCTION:
		return "function";
	}
	return "object";
}

static enum vgpu_result table_grow(struct table *table)
{
	uint32_t capacity = table->capacity ? table->capacity * 2 : 16;
	struct table_entry *entries;

	if (table->count >= table->limit)
		return fail(VGPU_ERROR_HANDLE_LIMIT, "%u %ss exist, the limit is %u", table->used,
			    table_kind_name(table->kind), table->limit);
	capacity = MIN(capacity, table->limit);
	entries = realloc(table->entries, capacity * sizeof(*entries));
	if (!entries)
		return fail(VGPU_ERROR_HOST_MEMORY, "no memory for %u %s handles", capacity,
			    table_kind_name(table->kind));
	table->entries = entries;
	table->capacity = capacity;
	return VGPU_SUCCESS;
}

enum vgpu_result table_add(struct table *table, void *object, uint64_t *handle, uint32_t *index)
{
	struct table_entry *entry;
	uint32_t at = table->first_free;

	if (at != NO_ENTRY) {
		entry = &table->entries[at];
		table->first_free = entry->next_free;
	} else {
		if (table->count == table->capacity || table->count >= table->limit) {
			enum vgpu_result result = table_grow(table);

			if (result != VGPU_SUCCESS)
				return result;
		}
		at = table->count++;
		entry = &table->entries[at];
		entry->generation = 1;
	}
	entry->object = object;
	entry->next_free = NO_ENTRY;
	table->used++;
	*index = at;
	*handle = (uint64_t)table->kind << 56 | (uint64_t)entry->generation << 32 | at;
	return VGPU_SUCCESS;
}

static struct table_entry *entry_find(const struct table *table, uint64_t handle)
{
	uint32_t at = (uint32_t)handle;
	uint32_t generation = (uint32_t)(handle >> 32) & GENERATION_MASK;

	if (handle >> 56 != (uint64_t)table->kind || at >= table->count)
		return NULL;
	if (!table->entries[at].object || table->entries[at].generation != generation)
		return NULL;
	return &table->entries[at];
}

void *table_find(const struct table *table, uint64_t handle)
{
	struct table_entry *entry = entry_find(table, handle);
	uint64_t kind = handle >> 56;

	if (likely(entry))
		return entry->object;
	if (kind != (uint64_t)table->kind && kind >= OBJECT_STREAM && kind <= OBJECT_FUNCTION)
		fail(VGPU_ERROR_HANDLE_UNKNOWN, "the handle 0x%llx is a %s, not a %s",
		     (unsigned long long)handle, table_kind_name((enum object_kind)kind),
		     table_kind_name(table->kind));
	else
		fail(VGPU_ERROR_HANDLE_UNKNOWN, "there is no %s 0x%llx (or it was destroyed)",
		     table_kind_name(table->kind), (unsigned long long)handle);
	return NULL;
}

void table_remove(struct table *table, uint64_t handle)
{
	struct table_entry *entry = entry_find(table, handle);

	if (!entry)
		return;
	entry->object = NULL;
	entry->generation = (entry->generation + 1) & GENERATION_MASK;
	if (!entry->generation)
		entry->generation = 1;
	entry->next_free = table->first_free;
	table->first_free = (uint32_t)handle;
	table->used--;
}
