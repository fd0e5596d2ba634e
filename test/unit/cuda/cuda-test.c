// SPDX-License-Identifier: Apache-2.0
/* usage: cuda-test NAME; cuda-test lists the names. */
#include "cuda-test.h"

const char ptx[] = "// add\n.version 8.0\n.target sm_75\n.address_size 64\n"
		   ".visible .entry add(\n)\n{ ret; }\n/* .entry hidden( */\n"
		   ".visible .entry scale(\n)\n{ ret; }\n.visible .entry trap(\n)\n{ ret; }\n";

CUcontext make_context(void)
{
	CUcontext context;

	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&context, 0));
	OK(cuCtxSetCurrent(context));
	return context;
}

CUfunction get_function(const char *name)
{
	static CUmodule module;
	CUfunction function;

	if (!module)
		OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&function, module, name));
	return function;
}

int main(int count, char **arguments)
{
	const struct test *const lists[] = { driver_tests, graph_tests, runtime_tests };

	setenv("VGPU_DEVICE", "unix:/fake", 0);
	for (size_t i = 0; i < 3; i++) {
		for (const struct test *test = lists[i]; test->name; test++) {
			if (count < 2) {
				puts(test->name);
			} else if (!strcmp(arguments[1], test->name)) {
				test->run();
				return 0;
			}
		}
	}
	return count < 2 ? 0 : 2;
}
