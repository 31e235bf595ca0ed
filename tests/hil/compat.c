// SPDX-License-Identifier: MIT
/*
 * Calls made by a program of 32 bits, for test_compat.py.
 *
 * Reads calls from stdin, makes each one, and writes to stdout what came of it. It knows no
 * structure of cm.h: the test says where in the argument a pointer goes. Argument and array end
 * flush with the end of accessible memory, so a kernel that goes too far says EFAULT.
 */
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM		(4 * page)
#define NOWHERE		UINT32_MAX

/* What comes before an argument; perform() in test_compat.py writes it. */
struct call {
	uint32_t fd;
	uint32_t number;
	uint32_t length;	/* of the argument */
	uint32_t pointer;	/* where in it the array's address goes, or NOWHERE */
	uint32_t room;		/* bytes of the array */
	uint32_t beyond;	/* bytes of the argument that lie behind the end of memory */
	uint32_t protection;	/* of what lies there */
	uint32_t place;		/* the argument's address instead, or NOWHERE */
};

static size_t page;

static char *new_memory(void)
{
	char *start = mmap(NULL, ROOM + 2 * page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		err(1, "mmap");
	return start + ROOM;
}

static void protect(char *end, int how)
{
	if (mprotect(end, 2 * page, how))
		err(1, "mprotect");
}

static void take(void *data, size_t length)
{
	if (fread(data, 1, length, stdin) != length)
		errx(1, "a call ends early");
}

static void give(const void *data, size_t length)
{
	if (fwrite(data, 1, length, stdout) != length)
		err(1, "stdout");
}

static void make(const struct call *call, char *end, char *array_end)
{
	char *argument = end - call->length + call->beyond;
	char *array = array_end - call->room;
	uint64_t pointer = (uintptr_t)array;
	void *address = argument;
	uint32_t error;

	protect(end, PROT_READ | PROT_WRITE);
	take(argument, call->length);
	memset(array, 0, call->room);
	if (call->pointer != NOWHERE)
		memcpy(argument + call->pointer, &pointer, sizeof(pointer));
	if (call->place != NOWHERE)
		address = (void *)(uintptr_t)call->place;
	protect(end, call->protection);

	error = ioctl(call->fd, call->number, address) < 0 ? errno : 0;
	give(&error, sizeof(error));
	give(argument, call->length - call->beyond);
	give(array, call->room);
	fflush(stdout);
}

int main(void)
{
	uint32_t pointer_size = sizeof(void *);
	char *end, *array_end;
	struct call call;

	page = sysconf(_SC_PAGESIZE);
	end = new_memory();
	array_end = new_memory();
	give(&pointer_size, sizeof(pointer_size));
	fflush(stdout);
	protect(array_end, PROT_NONE);
	while (fread(&call, sizeof(call), 1, stdin))
		make(&call, end, array_end);
	return 0;
}
