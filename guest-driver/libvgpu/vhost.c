// SPDX-License-Identifier: Apache-2.0
/*
 * vhost-user messages, from the front end's side: 12-byte header (request,
 * flags, payload bytes) and payload, in native byte order. Every message that
 * changes something asks for an acknowledgement, so that a refusal is seen
 * where it happens.
 */
#include "vhost.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FLAGS_VERSION 0x1u
#define FLAGS_REPLY 0x5u
#define FLAG_NEED_REPLY 0x8u
#define PAYLOAD_MAX 512u
#define TIMEOUT_DEFAULT_S 10u

struct message_header {
	uint32_t request;
	uint32_t flags;
	uint32_t bytes;
};

struct config_payload {
	uint32_t offset;
	uint32_t bytes;
	uint32_t flags;
};

const char *vhost_name(uint32_t request)
{
	switch ((enum vhost_request)request) {
	case VHOST_GET_FEATURES: return "GET_FEATURES";
	case VHOST_SET_FEATURES: return "SET_FEATURES";
	case VHOST_SET_OWNER: return "SET_OWNER";
	case VHOST_SET_VRING_NUM: return "SET_VRING_NUM";
	case VHOST_SET_VRING_ADDR: return "SET_VRING_ADDR";
	case VHOST_SET_VRING_BASE: return "SET_VRING_BASE";
	case VHOST_SET_VRING_KICK: return "SET_VRING_KICK";
	case VHOST_SET_VRING_CALL: return "SET_VRING_CALL";
	case VHOST_GET_PROTOCOL_FEATURES: return "GET_PROTOCOL_FEATURES";
	case VHOST_SET_PROTOCOL_FEATURES: return "SET_PROTOCOL_FEATURES";
	case VHOST_SET_VRING_ENABLE: return "SET_VRING_ENABLE";
	case VHOST_GET_CONFIG: return "GET_CONFIG";
	case VHOST_GET_MAX_MEM_SLOTS: return "GET_MAX_MEM_SLOTS";
	case VHOST_ADD_MEM_REG: return "ADD_MEM_REG";
	case VHOST_REM_MEM_REG: return "REM_MEM_REG";
	}
	return "message";
}

unsigned int vhost_timeout_s(void)
{
	const char *chosen = getenv("VGPU_TIMEOUT");
	long seconds = chosen ? strtol(chosen, NULL, 10) : 0;

	return seconds > 0 && seconds <= 86400 ? (unsigned int)seconds : TIMEOUT_DEFAULT_S;
}

int vhost_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	while (connect(sock, (struct sockaddr *)&address, sizeof(address))) {
		int error = errno;

		if (error == EINTR)
			continue;
		close(sock);
		return -error;
	}
	return sock;
}

static int send_message(int sock, uint32_t request, uint32_t flags, const void *payload,
			uint32_t bytes, int fd)
{
	struct message_header header = { request, FLAGS_VERSION | flags, bytes };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec parts[2] = { { &header, sizeof(header) }, { (void *)payload, bytes } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = bytes ? 2 : 1 };
	ssize_t sent;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
	}
	do
		sent = sendmsg(sock, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	/* A message fits the socket's buffer many times over. */
	return (size_t)sent == sizeof(header) + bytes ? 0 : -EPROTO;
}

int vhost_send(int sock, uint32_t request, const void *payload, uint32_t bytes, int fd)
{
	return send_message(sock, request, 0, payload, bytes, fd);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int receive(int sock, void *into, size_t bytes, int64_t deadline_ms)
{
	uint8_t *at = into;

	while (bytes) {
		struct pollfd ready = { .fd = sock, .events = POLLIN };
		int64_t left_ms = deadline_ms - now_ms();
		ssize_t got;

		if (left_ms <= 0)
			return -ETIMEDOUT;
		if (poll(&ready, 1, (int)left_ms) <= 0)
			continue;
		got = recv(sock, at, bytes, MSG_DONTWAIT);
		if (!got)
			return -ECONNRESET;
		if (got < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return errno == EPIPE ? -ECONNRESET : -errno;
		}
		at += got;
		bytes -= (size_t)got;
	}
	return 0;
}

/* Receives the reply to request: at most PAYLOAD_MAX bytes. */
static int receive_reply(int sock, uint32_t request, void *payload, uint32_t *bytes)
{
	int64_t deadline_ms = now_ms() + (int64_t)vhost_timeout_s() * 1000;
	struct message_header header;
	int error = receive(sock, &header, sizeof(header), deadline_ms);

	if (error)
		return error;
	if (header.request != request || header.flags != FLAGS_REPLY ||
	    header.bytes > PAYLOAD_MAX)
		return -EPROTO;
	*bytes = header.bytes;
	return receive(sock, payload, header.bytes, deadline_ms);
}

int vhost_get_u64(int sock, uint32_t request, uint64_t *value)
{
	uint8_t payload[PAYLOAD_MAX];
	uint32_t bytes = 0;
	int error = vhost_send(sock, request, NULL, 0, -1);

	if (!error)
		error = receive_reply(sock, request, payload, &bytes);
	if (error)
		return error;
	if (bytes != sizeof(*value))
		return -EPROTO;
	memcpy(value, payload, sizeof(*value));
	return 0;
}

int vhost_set(int sock, uint32_t request, const void *payload, uint32_t bytes, int fd)
{
	uint8_t reply[PAYLOAD_MAX];
	uint32_t reply_bytes = 0;
	uint64_t verdict;
	int error = send_message(sock, request, FLAG_NEED_REPLY, payload, bytes, fd);

	if (!error)
		error = receive_reply(sock, request, reply, &reply_bytes);
	if (error)
		return error;
	if (reply_bytes != sizeof(verdict))
		return -EPROTO;
	memcpy(&verdict, reply, sizeof(verdict));
	return verdict ? -EREMOTEIO : 0;
}

int vhost_get_config(int sock, void *into, uint32_t bytes)
{
	uint8_t payload[PAYLOAD_MAX] = { 0 };
	struct config_payload head = { .bytes = bytes };
	uint32_t got = 0;
	int error;

	if (bytes > PAYLOAD_MAX - sizeof(head))
		return -EINVAL;
	memcpy(payload, &head, sizeof(head));
	error = vhost_send(sock, VHOST_GET_CONFIG, payload, (uint32_t)sizeof(head) + bytes, -1);
	if (!error)
		error = receive_reply(sock, VHOST_GET_CONFIG, payload, &got);
	if (error)
		return error;
	if (!got)
		return -EREMOTEIO;
	if (got != sizeof(head) + bytes)
		return -EPROTO;
	memcpy(into, payload + sizeof(head), bytes);
	return 0;
}
