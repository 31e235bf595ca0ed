// SPDX-License-Identifier: MIT
// A camera's frames into contiguous chunks, without a copy, and the last of them to stdout:
//     make && ./capture /dev/video0 /dev/cm/shared >frame.raw
// Needs gcc, make and pkgconf (Debian's names). The format is what v4l2-ctl has set; one plane.
#include <err.h>
#include <fcntl.h>
#include <linux/cm.h>
#include <linux/dma-buf.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { CHUNKS = 4, FRAMES = 30, TYPE = V4L2_BUF_TYPE_VIDEO_CAPTURE, MEMORY = V4L2_MEMORY_DMABUF };
#define REQUIRE(success, what) ((success) ? (void)0 : err(1, "%s", what))

static void write_out(const struct v4l2_buffer *frame)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
	void *pixels = mmap(NULL, frame->length, PROT_READ, MAP_SHARED, frame->m.fd, 0);

	REQUIRE(pixels != MAP_FAILED, "mmap");
	REQUIRE(!ioctl(frame->m.fd, DMA_BUF_IOCTL_SYNC, &sync), "DMA_BUF_SYNC_START");
	REQUIRE(fwrite(pixels, frame->bytesused, 1, stdout) == 1 && !fflush(stdout), "stdout");
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
	REQUIRE(!ioctl(frame->m.fd, DMA_BUF_IOCTL_SYNC, &sync), "DMA_BUF_SYNC_END");
}

int main(int argc, char **argv)
{
	struct v4l2_requestbuffers request = { .count = CHUNKS, .type = TYPE, .memory = MEMORY };
	struct v4l2_buffer frame = { .type = TYPE, .memory = MEMORY };
	struct v4l2_format format = { .type = TYPE };
	int camera, context;

	if (argc != 3)
		errx(2, "usage: capture CAMERA CONTEXT >FILE");
	REQUIRE((camera = open(argv[1], O_RDWR)) >= 0, argv[1]);
	REQUIRE((context = open(argv[2], O_RDWR)) >= 0, argv[2]);
	REQUIRE(!ioctl(camera, VIDIOC_G_FMT, &format), "VIDIOC_G_FMT of one plane");
	REQUIRE(!ioctl(camera, VIDIOC_REQBUFS, &request), "VIDIOC_REQBUFS of DMABUF");
	for (; frame.index < request.count; frame.index++) {
		struct cm_alloc chunk = { .size = format.fmt.pix.sizeimage }; /* fresh for each call */

		if (ioctl(context, CM_IOC_ALLOC, &chunk))
			err(1, "chunk of %llu bytes: enum cm_reason %u, %llu free, largest hole %llu",
			    chunk.size, chunk.reason, chunk.free, chunk.largest_hole);
		frame.m.fd = chunk.fd;
		REQUIRE(!ioctl(camera, VIDIOC_QBUF, &frame), "VIDIOC_QBUF");
	}
	REQUIRE(!ioctl(camera, VIDIOC_STREAMON, &frame.type), "VIDIOC_STREAMON");
	REQUIRE(!ioctl(camera, VIDIOC_DQBUF, &frame), "VIDIOC_DQBUF");
	for (int left = FRAMES - 1; left; left--) { /* the driver has filled it: m.fd is whose */
		REQUIRE(!ioctl(camera, VIDIOC_QBUF, &frame), "VIDIOC_QBUF");
		REQUIRE(!ioctl(camera, VIDIOC_DQBUF, &frame), "VIDIOC_DQBUF");
	}
	write_out(&frame);
}
