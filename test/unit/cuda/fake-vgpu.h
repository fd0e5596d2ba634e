/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake device counts. */
#ifndef FAKE_VGPU_H
#define FAKE_VGPU_H

struct fake_statistics {
	int open, allocations, modules, events, timed_events, copies, launches, records;
	/* Of the module that was loaded last. */
	unsigned int format;
};

/* Changed by handlers of signals too. */
extern volatile struct fake_statistics fake;

#endif
