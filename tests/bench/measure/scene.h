/* SPDX-License-Identifier: MIT */
/* Scenes: what is measured. Each is given rounds, a size, and the peers to take in turn. */
#ifndef BENCH_SCENE_H
#define BENCH_SCENE_H

#include <stddef.h>

#include "peer.h"

struct scene {
	int rounds;
	size_t size;
	int count;
	const struct peer *peers[16];
};

typedef void scene_run(const struct scene *scene);

scene_run scene_latency, scene_cleared, scene_rate, scene_touch, scene_sync, scene_background,
	scene_full, scene_load, scene_pair, scene_noise;

#endif
