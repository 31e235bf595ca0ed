// SPDX-License-Identifier: MIT
/*
 * For test_display.py: `cm-display CARD WIDTH HEIGHT BUFFER` has a display show a dma-buf, an
 * inherited descriptor, until the standard input ends. It prints "shown" once it is.
 * (These are all the calls of libdrm that are needed.)
 */
#include <drm/drm.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_mode.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MOST 8

struct output {
	uint32_t connector;
	uint32_t crtc;
	struct drm_mode_modeinfo mode;
};

static void call(int card, unsigned long request, void *argument, const char *what)
{
	while (ioctl(card, request, argument))
		if (errno != EINTR && errno != EAGAIN)
			err(1, "%s", what);
}

static void find_mode(int card, struct output *output, uint32_t width, uint32_t height)
{
	struct drm_mode_modeinfo modes[MOST] = { 0 };
	struct drm_mode_get_connector got = { .connector_id = output->connector };
	uint32_t i;

	/* The first call has the driver look for modes. */
	call(card, DRM_IOCTL_MODE_GETCONNECTOR, &got, "GETCONNECTOR");
	got = (struct drm_mode_get_connector){
		.connector_id = output->connector,
		.modes_ptr = (uintptr_t)modes,
		.count_modes = MOST,
	};
	call(card, DRM_IOCTL_MODE_GETCONNECTOR, &got, "GETCONNECTOR");
	for (i = 0; i < got.count_modes && i < MOST; i++)
		if (modes[i].hdisplay == width && modes[i].vdisplay == height) {
			output->mode = modes[i];
			return;
		}
	errx(1, "none of %u modes has %ux%u pixels", got.count_modes, width, height);
}

static void find_output(int card, struct output *output, uint32_t width, uint32_t height)
{
	uint32_t connectors[MOST], crtcs[MOST];
	struct drm_mode_card_res got = {
		.connector_id_ptr = (uintptr_t)connectors,
		.count_connectors = MOST,
		.crtc_id_ptr = (uintptr_t)crtcs,
		.count_crtcs = MOST,
	};

	call(card, DRM_IOCTL_MODE_GETRESOURCES, &got, "GETRESOURCES");
	if (!got.count_connectors || !got.count_crtcs)
		errx(1, "%u connectors and %u CRTCs", got.count_connectors, got.count_crtcs);
	output->connector = connectors[0];
	output->crtc = crtcs[0];
	find_mode(card, output, width, height);
}

static uint32_t import(int card, int buffer, uint32_t width, uint32_t height)
{
	struct drm_prime_handle handle = { .fd = buffer };
	struct drm_mode_fb_cmd2 fb = {
		.width = width,
		.height = height,
		.pixel_format = DRM_FORMAT_XRGB8888,
		.pitches = { width * 4 },
	};

	call(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &handle, "PRIME_FD_TO_HANDLE");
	fb.handles[0] = handle.handle;
	call(card, DRM_IOCTL_MODE_ADDFB2, &fb, "ADDFB2");
	return fb.fb_id;
}

int main(int argc, char **argv)
{
	struct drm_mode_crtc set = { .mode_valid = 1, .count_connectors = 1 };
	struct output output = { 0 };
	uint32_t width, height;
	char end;
	int card;

	if (argc != 5)
		errx(2, "usage: cm-display CARD WIDTH HEIGHT BUFFER");
	width = atoi(argv[2]);
	height = atoi(argv[3]);
	card = open(argv[1], O_RDWR | O_CLOEXEC);
	if (card < 0)
		err(1, "%s", argv[1]);
	find_output(card, &output, width, height);
	set.fb_id = import(card, atoi(argv[4]), width, height);
	set.crtc_id = output.crtc;
	set.mode = output.mode;
	set.set_connectors_ptr = (uintptr_t)&output.connector;
	call(card, DRM_IOCTL_MODE_SETCRTC, &set, "SETCRTC");
	puts("shown");
	fflush(stdout);
	return read(STDIN_FILENO, &end, 1) < 0;
}
