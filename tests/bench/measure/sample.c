// SPDX-License-Identifier: MIT
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "sample.h"

#define MOST	(1 << 16)

static struct {
	const char *name;
	const char *peer;
	size_t size;
	int64_t value;
	int error;
} samples[MOST];

static int count;

void samples_prepare(void)
{
	memset(samples, 0xff, sizeof(samples));
}

void sample_add(const char *name, const char *peer, size_t size, int64_t value, int error)
{
	if (count == MOST)
		errx(1, "more than %d samples", MOST);
	samples[count].name = name;
	samples[count].peer = peer;
	samples[count].size = size;
	samples[count].value = value;
	samples[count++].error = error;
}

void samples_print(void)
{
	printf("name,peer,size,value,errno\n");
	for (int i = 0; i < count; i++)
		printf("%s,%s,%zu,%lld,%d\n", samples[i].name, samples[i].peer, samples[i].size,
		       (long long)samples[i].value, samples[i].error);
	if (fflush(stdout))
		err(1, "stdout");
}
