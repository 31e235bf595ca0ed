/* SPDX-FileCopyrightText: 2026 cm-agent authors
 * SPDX-License-Identifier: MIT
 *
 * The part of the V4L2 ABI that the agent speaks, in cffi's cdef language.
 *
 * The truth is linux/videodev2.h; this file says nothing of its own. Names,
 * values, member order and ioctl arguments are those of that header, and
 * tests/abi compiles every size, offset, constant and ioctl number found here
 * against it for arm, arm64 and x86-64. What is left out is not in use.
 *
 * Layouts differ between 32 and 64 bits (long, pointers and the alignment that
 * comes with them), and the ioctl numbers, which carry the sizes, with them:
 * both belong to the machine that runs the agent, never to the one that
 * generated the binding.
 *
 * struct timeval and struct timespec are the ones of two longs. On 32-bit ARM
 * this selects the kernel's time32 variants of QUERYBUF, QBUF, DQBUF and
 * DQEVENT; compile the check there without -D_TIME_BITS=64.
 */

#define VIDEO_MAX_PLANES			8

/* v4l2_capability.capabilities, .device_caps */
#define V4L2_CAP_VIDEO_CAPTURE			0x00000001
#define V4L2_CAP_VIDEO_CAPTURE_MPLANE		0x00001000
#define V4L2_CAP_VIDEO_M2M_MPLANE		0x00004000
#define V4L2_CAP_VIDEO_M2M			0x00008000
#define V4L2_CAP_STREAMING			0x04000000
#define V4L2_CAP_TIMEPERFRAME			0x1000
#define V4L2_CAP_DEVICE_CAPS			0x80000000

/* v4l2_fmtdesc.flags */
#define V4L2_FMT_FLAG_COMPRESSED		0x0001
#define V4L2_FMT_FLAG_EMULATED			0x0002

/* enum v4l2_buf_type */
#define V4L2_BUF_TYPE_VIDEO_CAPTURE		1
#define V4L2_BUF_TYPE_VIDEO_OUTPUT		2
#define V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE	9
#define V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE	10

/* enum v4l2_field */
#define V4L2_FIELD_NONE				1

/* enum v4l2_memory */
#define V4L2_MEMORY_MMAP			1
#define V4L2_MEMORY_DMABUF			4

/* v4l2_buffer.flags */
#define V4L2_BUF_FLAG_KEYFRAME			0x00000008
#define V4L2_BUF_FLAG_ERROR			0x00000040
#define V4L2_BUF_FLAG_LAST			0x00100000

/* v4l2_event.type, v4l2_event_src_change.changes */
#define V4L2_EVENT_EOS				2
#define V4L2_EVENT_SOURCE_CHANGE		5
#define V4L2_EVENT_SRC_CH_RESOLUTION		0x0001

/* v4l2_encoder_cmd.cmd, v4l2_decoder_cmd.cmd */
#define V4L2_ENC_CMD_START			0
#define V4L2_ENC_CMD_STOP			1
#define V4L2_DEC_CMD_START			0
#define V4L2_DEC_CMD_STOP			1

/* v4l2_selection.target */
#define V4L2_SEL_TGT_CROP			0x0000
#define V4L2_SEL_TGT_COMPOSE			0x0100

/* v4l2_control.id, in linux/v4l2-controls.h */
#define V4L2_CID_MIN_BUFFERS_FOR_CAPTURE	0x00980927
#define V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME 1

/* enum v4l2_ctrl_type */
#define V4L2_CTRL_TYPE_INTEGER			1
#define V4L2_CTRL_TYPE_BOOLEAN			2
#define V4L2_CTRL_TYPE_MENU			3
#define V4L2_CTRL_TYPE_BUTTON			4
#define V4L2_CTRL_TYPE_BITMASK			8
#define V4L2_CTRL_TYPE_INTEGER_MENU		9

/* v4l2_queryctrl.flags, .id */
#define V4L2_CTRL_FLAG_DISABLED			0x0001
#define V4L2_CTRL_FLAG_READ_ONLY		0x0004
#define V4L2_CTRL_FLAG_NEXT_CTRL		0x80000000

/* enum v4l2_colorspace, enum v4l2_quantization */
#define V4L2_COLORSPACE_JPEG			7
#define V4L2_QUANTIZATION_DEFAULT		0
#define V4L2_QUANTIZATION_FULL_RANGE		1

struct v4l2_capability {
	__u8 driver[16];
	__u8 card[32];
	__u8 bus_info[32];
	__u32 version;
	__u32 capabilities;
	__u32 device_caps;
	__u32 reserved[3];
};

struct v4l2_fmtdesc {
	__u32 index;
	__u32 type;
	__u32 flags;
	__u8 description[32];
	__u32 pixelformat;
	__u32 mbus_code;
	__u32 reserved[3];
};

struct v4l2_pix_format {
	__u32 width;
	__u32 height;
	__u32 pixelformat;
	__u32 field;
	__u32 bytesperline;
	__u32 sizeimage;
	__u32 colorspace;
	__u32 priv;
	__u32 flags;
	__u32 ycbcr_enc;
	__u32 quantization;
	__u32 xfer_func;
};

/* Packed in videodev2.h, which moves nothing: every member is aligned. */
struct v4l2_plane_pix_format {
	__u32 sizeimage;
	__u32 bytesperline;
	__u16 reserved[6];
};

/* Packed in videodev2.h, which moves nothing: every member is aligned. */
struct v4l2_pix_format_mplane {
	__u32 width;
	__u32 height;
	__u32 pixelformat;
	__u32 field;
	__u32 colorspace;
	struct v4l2_plane_pix_format plane_fmt[VIDEO_MAX_PLANES];
	__u8 num_planes;
	__u8 flags;
	__u8 ycbcr_enc;
	__u8 quantization;
	__u8 xfer_func;
	__u8 reserved[7];
};

/* Not used, but its pointers align the union in struct v4l2_format. */
struct v4l2_rect {
	__s32 left;
	__s32 top;
	__u32 width;
	__u32 height;
};

struct v4l2_clip {
	struct v4l2_rect c;
	struct v4l2_clip *next;
};

struct v4l2_window {
	struct v4l2_rect w;
	__u32 field;
	__u32 chromakey;
	struct v4l2_clip *clips;
	__u32 clipcount;
	void *bitmap;
	__u8 global_alpha;
};

struct v4l2_format {
	__u32 type;
	union {
		struct v4l2_pix_format pix;
		struct v4l2_pix_format_mplane pix_mp;
		struct v4l2_window win;
		__u8 raw_data[200];
	} fmt;
};

struct v4l2_requestbuffers {
	__u32 count;
	__u32 type;
	__u32 memory;
	__u32 capabilities;
	__u8 flags;
	__u8 reserved[3];
};

struct v4l2_plane {
	__u32 bytesused;
	__u32 length;
	union {
		__u32 mem_offset;
		unsigned long userptr;
		__s32 fd;
	} m;
	__u32 data_offset;
	__u32 reserved[11];
};

struct timeval {
	long tv_sec;
	long tv_usec;
};

struct v4l2_timecode {
	__u32 type;
	__u32 flags;
	__u8 frames;
	__u8 seconds;
	__u8 minutes;
	__u8 hours;
	__u8 userbits[4];
};

struct v4l2_buffer {
	__u32 index;
	__u32 type;
	__u32 bytesused;
	__u32 flags;
	__u32 field;
	struct timeval timestamp;
	struct v4l2_timecode timecode;
	__u32 sequence;
	__u32 memory;
	union {
		__u32 offset;
		unsigned long userptr;
		struct v4l2_plane *planes;
		__s32 fd;
	} m;
	__u32 length;
	__u32 reserved2;
	__s32 request_fd;
};

struct v4l2_exportbuffer {
	__u32 type;
	__u32 index;
	__u32 plane;
	__u32 flags;
	__s32 fd;
	__u32 reserved[11];
};

struct v4l2_fract {
	__u32 numerator;
	__u32 denominator;
};

struct v4l2_captureparm {
	__u32 capability;
	__u32 capturemode;
	struct v4l2_fract timeperframe;
	__u32 extendedmode;
	__u32 readbuffers;
	__u32 reserved[4];
};

struct v4l2_streamparm {
	__u32 type;
	union {
		struct v4l2_captureparm capture;
		__u8 raw_data[200];
	} parm;
};

struct timespec {
	long tv_sec;
	long tv_nsec;
};

struct v4l2_event_src_change {
	__u32 changes;
};

/* Not used, but its value64 aligns the union in struct v4l2_event. */
struct v4l2_event_ctrl {
	__u32 changes;
	__u32 type;
	union {
		__s32 value;
		__s64 value64;
	};
	__u32 flags;
	__s32 minimum;
	__s32 maximum;
	__s32 step;
	__s32 default_value;
};

struct v4l2_event {
	__u32 type;
	union {
		struct v4l2_event_ctrl ctrl;
		struct v4l2_event_src_change src_change;
		__u8 data[64];
	} u;
	__u32 pending;
	__u32 sequence;
	struct timespec timestamp;
	__u32 id;
	__u32 reserved[8];
};

struct v4l2_event_subscription {
	__u32 type;
	__u32 id;
	__u32 flags;
	__u32 reserved[5];
};

struct v4l2_encoder_cmd {
	__u32 cmd;
	__u32 flags;
	union {
		struct {
			__u32 data[8];
		} raw;
	};
};

struct v4l2_decoder_cmd {
	__u32 cmd;
	__u32 flags;
	union {
		struct {
			__u64 pts;
		} stop;
		struct {
			__u32 data[16];
		} raw;
	};
};

struct v4l2_selection {
	__u32 type;
	__u32 target;
	__u32 flags;
	struct v4l2_rect r;
	__u32 reserved[9];
};

struct v4l2_control {
	__u32 id;
	__s32 value;
};

struct v4l2_queryctrl {
	__u32 id;
	__u32 type;
	__u8 name[32];
	__s32 minimum;
	__s32 maximum;
	__s32 step;
	__s32 default_value;
	__u32 flags;
	__u32 reserved[2];
};

/* Packed in videodev2.h, where a __s64 shares the place of the name. */
struct v4l2_querymenu {
	__u32 id;
	__u32 index;
	__u8 name[32];
	__u32 reserved;
};

#define VIDIOC_QUERYCAP		_IOR('V', 0, struct v4l2_capability)
#define VIDIOC_ENUM_FMT		_IOWR('V', 2, struct v4l2_fmtdesc)
#define VIDIOC_G_FMT		_IOWR('V', 4, struct v4l2_format)
#define VIDIOC_S_FMT		_IOWR('V', 5, struct v4l2_format)
#define VIDIOC_REQBUFS		_IOWR('V', 8, struct v4l2_requestbuffers)
#define VIDIOC_QUERYBUF		_IOWR('V', 9, struct v4l2_buffer)
#define VIDIOC_QBUF		_IOWR('V', 15, struct v4l2_buffer)
#define VIDIOC_EXPBUF		_IOWR('V', 16, struct v4l2_exportbuffer)
#define VIDIOC_DQBUF		_IOWR('V', 17, struct v4l2_buffer)
#define VIDIOC_STREAMON		_IOW('V', 18, int)
#define VIDIOC_STREAMOFF	_IOW('V', 19, int)
#define VIDIOC_S_PARM		_IOWR('V', 22, struct v4l2_streamparm)
#define VIDIOC_G_CTRL		_IOWR('V', 27, struct v4l2_control)
#define VIDIOC_S_CTRL		_IOWR('V', 28, struct v4l2_control)
#define VIDIOC_QUERYCTRL	_IOWR('V', 36, struct v4l2_queryctrl)
#define VIDIOC_QUERYMENU	_IOWR('V', 37, struct v4l2_querymenu)
#define VIDIOC_ENCODER_CMD	_IOWR('V', 77, struct v4l2_encoder_cmd)
#define VIDIOC_DQEVENT		_IOR('V', 89, struct v4l2_event)
#define VIDIOC_SUBSCRIBE_EVENT	_IOW('V', 90, struct v4l2_event_subscription)
#define VIDIOC_G_SELECTION	_IOWR('V', 94, struct v4l2_selection)
#define VIDIOC_S_SELECTION	_IOWR('V', 95, struct v4l2_selection)
#define VIDIOC_DECODER_CMD	_IOWR('V', 96, struct v4l2_decoder_cmd)
