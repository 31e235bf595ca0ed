// SPDX-License-Identifier: MIT
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "context.h"
#include "sample.h"

#define LENT		"/sys/class/cm/shared/lent"
#define SIZE		"/sys/class/cm/shared/size"
#define COLD_LIMIT_NS	INT64_C(5000000000)

int context_open(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/cm/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

int context_alloc(int node, size_t size)
{
	struct cm_alloc request = { .size = size };

	return ioctl(node, CM_IOC_ALLOC, &request) ? -errno : request.fd;
}

struct cm_query context_query(int node)
{
	struct cm_query query;

	if (ioctl(node, CM_IOC_QUERY, &query))
		err(1, "CM_IOC_QUERY");
	return query;
}

static long long number_of(const char *path)
{
	FILE *file = fopen(path, "re");
	long long number;

	if (!file)
		err(1, "%s", path);
	if (fscanf(file, "%lld", &number) != 1)
		errx(1, "%s: no number", path);
	fclose(file);
	return number;
}

void context_wait_cold(void)
{
	int64_t until = now_ns() + COLD_LIMIT_NS;

	while (number_of(LENT) != number_of(SIZE)) {
		if (now_ns() > until)
			errx(1, "the shared context did not give its memory back within 5 s");
		usleep(1000);
	}
}
