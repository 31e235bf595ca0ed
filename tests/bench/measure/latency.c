// SPDX-License-Identifier: MIT
/* How long an allocation takes: each peer in turn, so that what the host does meets all alike. */
#include <unistd.h>

#include "context.h"
#include "sample.h"
#include "scene.h"

/* The module clears at most 100 MiB a second, and rests before it begins. */
#define CLEAR_REST_US		50000
#define CLEAR_MIB_US		30000

void scene_latency(const struct scene *scene)
{
	for (int round = 0; round < scene->rounds; round++)
		for (int i = 0; i < scene->count; i++)
			peer_sample("latency", scene->peers[(round + i) % scene->count],
				    scene->size);
}

static void sample_cleared(const struct peer *peer, size_t size, size_t before)
{
	usleep(CLEAR_REST_US + before * CLEAR_MIB_US / MIB);
	peer_sample("cleared", peer, size);
}

/* From memory that was cleared in the background; beside a page of the same. */
void scene_cleared(const struct scene *scene)
{
	const size_t page = 4 * KIB;

	for (int round = 0; round < scene->rounds; round++) {
		sample_cleared(scene->peers[0], scene->size, page);
		sample_cleared(scene->peers[0], page, scene->size);
	}
}

/* What the host takes from a computation of about a millisecond that allocates nothing. */
void scene_noise(const struct scene *scene)
{
	for (int round = 0; round < scene->rounds; round++) {
		int64_t begin = now_ns();

		for (volatile int i = 0; i < 200000; i++)
			;
		sample_add("noise", "computing", 0, now_ns() - begin, 0);
	}
}
