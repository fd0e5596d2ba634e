/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages, from the front end's side.
 */
#ifndef LIBVGPU_VHOST_H
#define LIBVGPU_VHOST_H

#include <stddef.h>
#include <stdint.h>

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_GET_CONFIG = 24,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
};

#define VHOST_F_INDIRECT_DESC (1ULL << 28)
#define VHOST_F_EVENT_IDX (1ULL << 29)
#define VHOST_F_PROTOCOL_FEATURES (1ULL << 30)
#define VHOST_F_VERSION_1 (1ULL << 32)

#define VHOST_P_MQ (1ULL << 0)
#define VHOST_P_REPLY_ACK (1ULL << 3)
#define VHOST_P_CONFIG (1ULL << 9)
#define VHOST_P_CONFIGURE_MEM_SLOTS (1ULL << 15)

struct vhost_vring_state {
	uint32_t index;
	uint32_t value;
};

struct vhost_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vhost_region {
	uint64_t padding;
	uint64_t guest_address;
	uint64_t bytes;
	uint64_t user_address;
	uint64_t mmap_offset;
};

/*
 * All return 0 or a negative errno: -ETIMEDOUT if there is no answer within
 * the time limit, -EPROTO for an answer that is none, -EREMOTEIO if the back
 * end refused, -ECONNRESET if it is gone. One message at a time per socket.
 */
int vhost_connect(const char *path);
/* How long an answer may take: $VGPU_TIMEOUT, else 10 s. */
unsigned int vhost_timeout_s(void);
/* Sends, with a descriptor unless fd is -1, and waits for the acknowledgement. */
int vhost_set(int sock, uint32_t request, const void *payload, uint32_t bytes, int fd);
/* The same without waiting: before REPLY_ACK is negotiated. */
int vhost_send(int sock, uint32_t request, const void *payload, uint32_t bytes, int fd);
int vhost_get_u64(int sock, uint32_t request, uint64_t *value);
int vhost_get_config(int sock, void *into, uint32_t bytes);
/* For messages: "SET_VRING_KICK". */
const char *vhost_name(uint32_t request);

#endif
