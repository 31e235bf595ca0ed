// SPDX-License-Identifier: MIT
/*
 * Measures allocations beside their peers, on a board: see ../README.md.
 *
 * cm-measure SCENE ROUNDS SIZE [PEER...]; samples are CSV on stdout.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "scene.h"

static const struct {
	const char *name;
	scene_run *run;
} scenes[] = {
	{ "latency", scene_latency },
	{ "cleared", scene_cleared },
	{ "rate", scene_rate },
	{ "touch", scene_touch },
	{ "sync", scene_sync },
	{ "background", scene_background },
	{ "full", scene_full },
	{ "load", scene_load },
	{ "pair", scene_pair },
	{ "noise", scene_noise },
};

int main(int argc, char **argv)
{
	const int most = sizeof(((struct scene *)0)->peers) / sizeof(struct peer *);
	struct scene scene = { 0 };

	if (argc < 4 || argc - 4 > most)
		errx(2, "usage: cm-measure SCENE ROUNDS SIZE [PEER...]");
	scene.rounds = atoi(argv[2]);
	scene.size = strtoull(argv[3], NULL, 0);
	for (int i = 4; i < argc; i++)
		scene.peers[scene.count++] = peer_find(argv[i]);
	samples_prepare();
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++) {
		if (strcmp(scenes[i].name, argv[1]))
			continue;
		scenes[i].run(&scene);
		samples_print();
		return 0;
	}
	errx(2, "no scene %s", argv[1]);
}
