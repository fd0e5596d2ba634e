// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of libvgpu's parts that need no device: ring, handle table, errors,
 * and opening what is not there.
 */
#include "libvgpu-test.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "internal.h"
#include "ring.h"

static void ring_event_index(void)
{
	/* virtio's own definition: event lies in [old, new). */
	CHECK(ring_need_event(0, 1, 0));
	CHECK(!ring_need_event(1, 1, 0));
	CHECK(!ring_need_event(0xffff, 1, 0));
	CHECK(ring_need_event(5, 9, 5));
	CHECK(ring_need_event(8, 9, 5));
	CHECK(!ring_need_event(4, 9, 5));
	CHECK(!ring_need_event(9, 9, 5));
	/* Around the end of the numbers. */
	CHECK(ring_need_event(0xffff, 0, 0xffff));
	CHECK(ring_need_event(0, 1, 0xfffe));
	CHECK(!ring_need_event(0xfffd, 1, 0xfffe));
}

static void ring_wraps(void)
{
	uint8_t *memory = aligned_alloc(64, 4096);
	struct ring ring;
	struct ring_used_entry entry;

	memset(memory, 0, 4096);
	ring_init(&ring, memory, 8, true);
	CHECK(((uintptr_t)ring.used - (uintptr_t)memory) % 4 == 0);
	CHECK(ring_bytes(8) <= 4096);
	for (uint32_t i = 0; i < 70000; i++) {
		struct ring_used_entry *used = (void *)(ring.used + 2);
		bool asked = i % 3 == 0;

		/* The device asks for a kick at this index, or slept long ago. */
		ring.used[2 + 4 * 8] = asked ? (uint16_t)i : (uint16_t)(i - 5);
		CHECK(ring_publish(&ring, (uint16_t)(i % 8)) == asked);
		CHECK(ring.avail[1] == (uint16_t)(i + 1));
		CHECK(ring.avail[2 + i % 8] == i % 8);
		CHECK(!ring_has_used(&ring));
		CHECK(!ring_interrupt_on(&ring));
		CHECK(ring.avail[2 + 8] == (uint16_t)i);
		used[i % 8] = (struct ring_used_entry){ i % 8, i };
		ring.used[1] = (uint16_t)(i + 1);
		CHECK(ring_interrupt_on(&ring));
		CHECK(ring_take(&ring, &entry) && entry.id == i % 8 && entry.bytes == i);
		CHECK(!ring_take(&ring, &entry));
		ring_interrupt_off(&ring);
		/* No entry of the next 1000 asks for an interrupt. */
		CHECK(!ring_need_event(ring.avail[2 + 8], (uint16_t)(i + 1001), (uint16_t)(i + 1)));
	}
	free(memory);
}

static void handles_are_told_apart(void)
{
	uint64_t first, second, again;
	struct table table, others;
	uint32_t index;
	int a, b;

	table_init(&table, OBJECT_MODULE, 2);
	table_init(&others, OBJECT_EVENT, 100);
	OK(table_add(&table, &a, &first, &index));
	CHECK(index == 0 && first != 0);
	OK(table_add(&table, &b, &second, &index));
	FAILS(VGPU_ERROR_HANDLE_LIMIT, table_add(&table, &b, &again, &index));
	TEXT_HAS("the limit is 2");
	CHECK(table_find(&table, first) == &a && table_find(&table, second) == &b);
	table_remove(&table, first);
	CHECK(!table_find(&table, first));
	TEXT_HAS("destroyed");
	OK(table_add(&table, &b, &again, &index));
	CHECK(index == 0 && again != first);
	CHECK(!table_find(&table, first) && table_find(&table, again) == &b);
	CHECK(!table_find(&others, again));
	TEXT_HAS("is a module, not a event");
	CHECK(!table_find(&table, 0) && !table_find(&table, UINT64_MAX));
	for (int i = 0; i < 100; i++)
		OK(table_add(&others, &a, &first, &index));
	CHECK(index == 99);
	table_free(&table);
	table_free(&others);
}

static void results_have_texts(void)
{
	CHECK(!strcmp(vgpu_error_string(VGPU_SUCCESS), "success"));
	CHECK(!strcmp(vgpu_error_name(VGPU_SUCCESS), "SUCCESS"));
	CHECK(!strcmp(vgpu_error_name(VGPU_ERROR_OUT_OF_RANGE), "OUT_OF_RANGE"));
	CHECK(strstr(vgpu_error_string(VGPU_ERROR_FORKED), "parent"));
	CHECK(!strcmp(vgpu_error_name((enum vgpu_result)999), "UNKNOWN"));
	/* The public values are the wire's. */
	CHECK((int)VGPU_ERROR_MODULE_INVALID == (int)VGPU_STATUS_MODULE_INVALID);
	CHECK((int)VGPU_ERROR_LAUNCH_BLOCK == (int)VGPU_STATUS_LAUNCH_BLOCK);
	CHECK((int)VGPU_ERROR_INTERNAL == (int)VGPU_STATUS_INTERNAL);
	CHECK((int)VGPU_ERROR_QUEUE_FULL == (int)VGPU_STATUS_QUEUE_FULL);
	CHECK((int)VGPU_ERROR_SIZE_ZERO == (int)VGPU_STATUS_SIZE_ZERO);
	CHECK(VGPU_FORMAT_WGSL == VGPU_MODULE_FORMAT_WGSL);
	CHECK(VGPU_DEVICE_TIMESTAMPS == VGPU_CAP_TIMESTAMPS);
}

static void null_context_is_refused(void)
{
	vgpu_devptr pointer;

	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_mem_alloc(NULL, 4, &pointer));
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_synchronize(NULL));
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_open("unix:/nowhere", NULL));
	vgpu_close(NULL);
}

static void no_device_says_what_to_set(void)
{
	vgpu_context *context = (vgpu_context *)1;

	unsetenv("VGPU_DEVICE");
	if (access("/dev/vgpu0", F_OK)) {
		FAILS(VGPU_ERROR_NO_DEVICE, vgpu_open(NULL, &context));
		CHECK(!context);
		TEXT_HAS("VGPU_DEVICE=unix:PATH");
		FAILS(VGPU_ERROR_NO_DEVICE, vgpu_open("/dev/vgpu0", &context));
		TEXT_HAS("virtio_vgpu.ko");
	}
	FAILS(VGPU_ERROR_NO_DEVICE, vgpu_open("unix:/nowhere/vgpu.sock", &context));
	TEXT_HAS("vgpu-instance");
	FAILS(VGPU_ERROR_NO_DEVICE, vgpu_open("tcp:1.2.3.4", &context));
	TEXT_HAS("/dev/vgpuN or unix:PATH");
	FAILS(VGPU_ERROR_OPEN_FAILED, vgpu_open("/dev/null", &context));
	TEXT_HAS("is no vGPU");
	setenv("VGPU_WAIT", "sometimes", 1);
	FAILS(VGPU_ERROR_INVALID_ARGUMENT, vgpu_open("unix:/nowhere", &context));
	TEXT_HAS("poll, interrupt or auto");
}

static void refused_connection(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[64], device[80];
	vgpu_context *context;
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(path, sizeof(path), "/tmp/libvgpu-refused-%d.sock", (int)getpid());
	strcpy(address.sun_path, path);
	CHECK(bind(sock, (void *)&address, sizeof(address)) == 0);
	snprintf(device, sizeof(device), "unix:%s", path);
	FAILS(VGPU_ERROR_OPEN_FAILED, vgpu_open(device, &context));
	TEXT_HAS("Connection refused");
	unlink(path);
	close(sock);
}

const struct test parts_tests[] = {
	{ "ring-event-index", ring_event_index },
	{ "ring-wraps", ring_wraps },
	{ "handles-are-told-apart", handles_are_told_apart },
	{ "results-have-texts", results_have_texts },
	{ "null-context-is-refused", null_context_is_refused },
	{ "no-device-says-what-to-set", no_device_says_what_to_set },
	{ "refused-connection", refused_connection },
	{ NULL, NULL },
};
