/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The smallest test harness: each case is named on the command line, so that
 * every one is a test of its own to vitest. Without a name the cases are listed.
 */
#ifndef DRIVER_TEST_H
#define DRIVER_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver_test {
	const char *name;
	void (*run)(void);
};

#define CHECK(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__,	\
			__LINE__, #condition);				\
		exit(1);						\
	}								\
} while (0)

#define CHECK_EQ(a, b) do {						\
	long long a_ = (long long)(a), b_ = (long long)(b);		\
									\
	if (a_ != b_) {							\
		fprintf(stderr, "%s:%d: %s is %lld, not %lld\n",	\
			__FILE__, __LINE__, #a, a_, b_);		\
		exit(1);						\
	}								\
} while (0)

static int driver_test_main(const struct driver_test *tests, int argc,
			    char **argv)
{
	for (; tests->name; tests++) {
		if (argc < 2) {
			puts(tests->name);
		} else if (!strcmp(argv[1], tests->name)) {
			tests->run();
			return 0;
		}
	}
	return argc < 2 ? 0 : 2;
}

#endif /* DRIVER_TEST_H */
