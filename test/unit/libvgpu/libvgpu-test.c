// SPDX-License-Identifier: Apache-2.0
/*
 * libvgpu-test --list | NAME: runs one test of libvgpu's.
 */
#include "libvgpu-test.h"

#include <signal.h>
#include <sys/wait.h>

static const struct test *const suites[] = { parts_tests, device_tests, threads_tests };

struct mock mock_start(const char *option1, const char *option2, const char *option3)
{
	const char *folder = getenv("TMPDIR");
	char program[4096], device[160], line[16];
	struct mock mock = { 0 };
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 32);
	int ready[2];

	CHECK(length > 0);
	program[length] = 0;
	strcpy(strrchr(program, '/'), "/mock-backend");
	snprintf(mock.path, sizeof(mock.path), "%s/libvgpu-%d-%d.sock", folder ? folder : "/tmp",
		 (int)getpid(), rand());
	unlink(mock.path);
	CHECK(pipe(ready) == 0);
	mock.pid = fork();
	if (!mock.pid) {
		dup2(ready[1], 1);
		close(ready[0]);
		close(ready[1]);
		execl(program, program, mock.path, option1, option2, option3, (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	CHECK(read(ready[0], line, sizeof(line)) > 0);
	close(ready[0]);
	snprintf(device, sizeof(device), "unix:%s", mock.path);
	setenv("VGPU_DEVICE", device, 1);
	return mock;
}

void mock_stop(struct mock *mock)
{
	int status;

	CHECK(waitpid(mock->pid, &status, WNOHANG) == 0);
	kill(mock->pid, SIGKILL);
	waitpid(mock->pid, &status, 0);
	unlink(mock->path);
}

int main(int count, char **arguments)
{
	/* A hang is a failure: end it before the runner loses patience. */
	alarm(60);
	signal(SIGPIPE, SIG_DFL);
	for (size_t s = 0; s < sizeof(suites) / sizeof(suites[0]); s++) {
		for (const struct test *test = suites[s]; test->name; test++) {
			if (count == 2 && !strcmp(arguments[1], "--list")) {
				puts(test->name);
			} else if (count == 2 && !strcmp(arguments[1], test->name)) {
				test->run();
				return 0;
			}
		}
	}
	if (count == 2 && !strcmp(arguments[1], "--list"))
		return 0;
	fprintf(stderr, "usage: libvgpu-test --list | NAME\n");
	return 2;
}
