// SPDX-License-Identifier: MIT
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "v4l2.h"

#define NODES	16
/* The inputs of vivid are a webcam, which has few sizes, a tuner, S-Video and HDMI. */
#define HDMI	3

static int node;
static struct v4l2_format format;

static int open_vivid(void)
{
	struct v4l2_capability known;
	char path[32];
	int fd;

	for (int i = 0; i < NODES; i++) {
		snprintf(path, sizeof(path), "/dev/video%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!ioctl(fd, VIDIOC_QUERYCAP, &known) &&
		    !strcmp((char *)known.driver, "vivid") &&
		    known.device_caps & V4L2_CAP_VIDEO_CAPTURE)
			return fd;
		close(fd);
	}
	errx(1, "no node /dev/video0..%d is a capture node of vivid", NODES - 1);
}

/* Images as small as can be: buffers may be larger, but no smaller than an image. */
void v4l2_open(void)
{
	int input = HDMI;

	node = open_vivid();
	if (ioctl(node, VIDIOC_S_INPUT, &input))
		err(1, "VIDIOC_S_INPUT");
	format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	format.fmt.pix.width = 16;
	format.fmt.pix.height = 16;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	if (ioctl(node, VIDIOC_S_FMT, &format))
		err(1, "VIDIOC_S_FMT");
}

int v4l2_alloc(size_t size)
{
	struct v4l2_create_buffers create = {
		.count = 1, .memory = V4L2_MEMORY_MMAP, .format = format,
	};
	struct v4l2_exportbuffer export = {
		.type = format.type, .flags = O_RDWR | O_CLOEXEC,
	};

	create.format.fmt.pix.sizeimage = size;
	if (ioctl(node, VIDIOC_CREATE_BUFS, &create))
		return -errno;
	export.index = create.index;
	if (ioctl(node, VIDIOC_EXPBUF, &export))
		err(1, "VIDIOC_EXPBUF");
	return export.fd;
}

void v4l2_free(int fd)
{
	struct v4l2_requestbuffers none = { .type = format.type, .memory = V4L2_MEMORY_MMAP };

	close(fd);
	if (ioctl(node, VIDIOC_REQBUFS, &none))
		err(1, "VIDIOC_REQBUFS");
}
