// SPDX-License-Identifier: Apache-2.0
/*
 * libvgpu's queues over a device that writes whatever it likes, where it likes,
 * into the memory that both share: rings, answers, the timeline. An input is
 * steps of both sides.
 */
#include "fuzz.h"

#include "../../../guest-driver/libvgpu/user_queue.c"
#include "../../../guest-driver/libvgpu/user_wait.c"

#define STEPS_MAX 200
/* What both sides write, but for the contents of command buffers. */
#define SHARED_BYTES (PAGES_OFFSET + 2u * PAGE)

static struct user_device device;
static struct user_context own;
static struct vgpu context;

void user_lose(struct user_device *lost_device, const char *why)
{
	PROMISE(lost_device == &device && why);
	atomic_store(&device.lost, true);
}

bool user_alive(struct user_device *asked)
{
	return !atomic_load(&asked->lost);
}

void user_kick(struct user_device *kicked, unsigned int queue)
{
	PROMISE(kicked == &device && queue < VGPU_QUEUE_COUNT);
}

/* Nothing ever comes while one sleeps: the connection ends. */
bool user_sleep_on(struct user_device *asleep, unsigned int queue)
{
	(void)queue;
	user_lose(asleep, "it sleeps");
	return false;
}

void user_call_take(struct user_device *awake, unsigned int queue)
{
	(void)awake;
	(void)queue;
}

enum vgpu_result host_block_get(struct vgpu *of, uint64_t bytes, struct host_block **block)
{
	(void)of;
	(void)bytes;
	(void)block;
	return VGPU_ERROR_HOST_MEMORY;
}

void host_block_put(struct vgpu *of, struct host_block *block)
{
	(void)of;
	PROMISE(!block);
}

/* A context's failure is asked for at its control queue: here there is no answer. */
enum vgpu_result control_call(struct vgpu *of, uint32_t type, const void *payload,
			      uint32_t payload_bytes, void *out, uint32_t out_bytes,
			      const char *what)
{
	(void)of;
	(void)type;
	(void)payload;
	(void)payload_bytes;
	(void)out;
	(void)out_bytes;
	(void)what;
	return VGPU_ERROR_DEVICE_LOST;
}

static void begin(void)
{
	static const uint16_t sizes[] = { CONTROL_RING, EVENT_RING, SUBMIT_RING };
	uint8_t *area;

	if (!device.area)
		device.area = malloc(AREA_BYTES);
	area = device.area;
	memset(area, 0, SHARED_BYTES);
	memset(&device, 0, sizeof(device));
	device.area = area;
	device.area_address = 0x10000;
	pthread_mutex_init(&device.control_lock, NULL);
	pthread_mutex_init(&device.submit_lock, NULL);
	pthread_mutex_init(&device.wait_lock, NULL);
	for (unsigned int i = 0; i < VGPU_QUEUE_COUNT; i++)
		ring_init(&device.rings[i], area + (size_t)i * RING_AREA, sizes[i], true);
	memset(&own, 0, sizeof(own));
	own = (struct user_context){ .device = &device, .context = &context,
				     .arm = area + PAGES_OFFSET + PAGE };
	memset(&context, 0, sizeof(context));
	context.transport = &own;
	context.timeline = area + PAGES_OFFSET;
	context.stream_count = VGPU_STREAMS_MAX;
	pthread_mutex_init(&context.failure_lock, NULL);
	user_submit_init(&device);
	user_events_init(&device);
}

/* The device puts an entry into a used ring. */
static void use(struct input *in, unsigned int queue)
{
	struct ring *ring = &device.rings[queue];
	struct ring_used_entry *entries = (void *)(ring->used + 2);
	uint32_t id = take_u8(in);

	if (id == 255)
		id = take_u32(in);
	entries[ring->used[1] & (ring->size - 1)] = (struct ring_used_entry){ id, take_u32(in) };
	ring->used[1]++;
}

static void request(struct input *in)
{
	uint8_t answer[300], question[64] = { 0 };
	uint32_t room = take_u32(in) % sizeof(answer), written = 99;
	enum vgpu_result result;

	memset(answer, 0x5a, sizeof(answer));
	result = user_request(&device, 1, question, sizeof(question), answer, room, &written);
	PROMISE(written <= room);
	PROMISE(result == VGPU_SUCCESS || !written);
	for (uint32_t i = room; i < sizeof(answer); i++)
		PROMISE(answer[i] == 0x5a);
}

static void submit(struct input *in)
{
	struct command_buffer *buffer = NULL;

	if (user_buffer_get(&context, 64, &buffer) != VGPU_SUCCESS)
		return;
	PROMISE(buffer >= device.buffers && buffer < device.buffers + COMMAND_BUFFERS);
	PROMISE(buffer->data == device.area + (buffer->address - device.area_address));
	memset(buffer->data, 0, 64);
	buffer->bytes = 64;
	buffer->count = 1;
	user_submit(&context, buffer, take_u8(in) % VGPU_STREAMS_MAX, take_u64(in));
}

/* Each buffer is free or in flight, and never twice. */
static void check(void)
{
	uint8_t seen[COMMAND_BUFFERS] = { 0 };
	uint32_t busy = 0;

	for (struct command_buffer *b = device.free_buffers; b; b = b->next)
		PROMISE(!seen[b - device.buffers]++);
	for (uint32_t i = 0; i < SUBMIT_PAIRS; i++) {
		if (!device.pairs[i].busy)
			continue;
		busy++;
		PROMISE(!seen[device.pairs[i].buffer - device.buffers]++);
	}
	PROMISE(atomic_load(&device.lost) || busy == own.submits_in_flight);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input in = { data, bytes };

	begin();
	for (int steps = 0; in.left && steps < STEPS_MAX; steps++) {
		uint8_t what = take_u8(&in);

		switch (what % 8) {
		case 0:
		case 1:
			use(&in, what / 8 % VGPU_QUEUE_COUNT);
			break;
		case 2: {
			uint32_t at = take_u32(&in) % (SHARED_BYTES - 8);
			uint64_t value = take_u64(&in);

			memcpy(device.area + at, &value, 8);
			break;
		}
		case 3:
			submit(&in);
			break;
		case 4:
			request(&in);
			break;
		case 5:
			pthread_mutex_lock(&device.wait_lock);
			events_take(&device, &context);
			pthread_mutex_unlock(&device.wait_lock);
			break;
		case 6: {
			struct vgpu_response_header header;

			take(&in, &header, sizeof(header));
			memcpy(device.area + RESPONSES_OFFSET +
			       take_u8(&in) % SUBMIT_PAIRS * sizeof(header), &header,
			       sizeof(header));
			break;
		}
		default:
			user_sleep(&context, take_u8(&in) % VGPU_STREAMS_MAX, take_u64(&in));
		}
		check();
	}
	user_submit_drain(&context);
	for (uint32_t i = 0; i < SUBMIT_PAIRS; i++)
		PROMISE(!device.pairs[i].busy);
	return 0;
}
