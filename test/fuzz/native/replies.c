// SPDX-License-Identifier: Apache-2.0
/* libvgpu's vhost-user replies: a device that sends any bytes at all and goes away. */
#include "fuzz.h"
#include "vhost.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t config[256], payload[40] = { 0 };
	uint64_t value = 0;
	uint8_t what;
	int ends[2], error;

	if (!bytes || bytes > 4096 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return 0;
	what = data[0];
	if (write(ends[1], data + 1, bytes - 1) != (ssize_t)(bytes - 1))
		abort();
	shutdown(ends[1], SHUT_WR);
	switch (what % 3) {
	case 0:
		error = vhost_get_u64(ends[0], VHOST_GET_FEATURES, &value);
		break;
	case 1:
		error = vhost_set(ends[0], VHOST_SET_VRING_NUM, payload, 8, -1);
		break;
	default:
		error = vhost_get_config(ends[0], config, what);
	}
	/* A reply has 12 bytes at least: nothing shorter is one. */
	PROMISE(error <= 0 && (error || bytes > 12));
	close(ends[0]);
	close(ends[1]);
	return 0;
}
