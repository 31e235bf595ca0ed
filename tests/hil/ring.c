// SPDX-License-Identifier: MIT
/*
 * For test_direct_io.py: `cm-ring read|write DISK BUFFER SIZE` has io_uring move SIZE bytes between
 * the start of a disk and a buffer, both inherited descriptors, in pieces that are all in flight
 * at once. (liburing is not on the board, and these are all of its calls that are needed.)
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECES 16

struct ring {
	int fd;
	struct io_uring_params params;
	char *submissions;
	char *completions;
	struct io_uring_sqe *entries;
};

static void *map(size_t size, int fd, off_t offset)
{
	void *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (place == MAP_FAILED)
		err(1, "mmap of %zu bytes", size);
	return place;
}

static void open_ring(struct ring *ring)
{
	struct io_uring_params *p = &ring->params;

	ring->fd = syscall(SYS_io_uring_setup, PIECES, p);
	if (ring->fd < 0)
		err(1, "io_uring_setup");
	ring->submissions = map(p->sq_off.array + p->sq_entries * sizeof(uint32_t), ring->fd,
				IORING_OFF_SQ_RING);
	ring->completions = map(p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
				ring->fd, IORING_OFF_CQ_RING);
	ring->entries = map(p->sq_entries * sizeof(*ring->entries), ring->fd, IORING_OFF_SQES);
}

static void put(struct ring *ring, const struct io_uring_sqe *entry, uint32_t number)
{
	uint32_t *slots = (uint32_t *)(ring->submissions + ring->params.sq_off.array);

	ring->entries[number] = *entry;
	slots[number] = number;
	__atomic_store_n((uint32_t *)(ring->submissions + ring->params.sq_off.tail), number + 1,
			 __ATOMIC_RELEASE);
}

static uint32_t completed(const struct ring *ring)
{
	return __atomic_load_n((uint32_t *)(ring->completions + ring->params.cq_off.tail),
			       __ATOMIC_ACQUIRE);
}

static void submit(const struct ring *ring)
{
	long submitted = syscall(SYS_io_uring_enter, ring->fd, PIECES, 0, 0, NULL, 0);

	if (submitted != PIECES)
		err(1, "io_uring_enter: %ld of %d were submitted", submitted, PIECES);
	while (completed(ring) < PIECES)
		if (syscall(SYS_io_uring_enter, ring->fd, 0, PIECES, IORING_ENTER_GETEVENTS, NULL,
			    0) < 0 && errno != EINTR)
			err(1, "io_uring_enter");
}

static void check(const struct ring *ring, int32_t wanted)
{
	const struct io_uring_cqe *done =
		(const struct io_uring_cqe *)(ring->completions + ring->params.cq_off.cqes);
	int i;

	for (i = 0; i < PIECES; i++) {
		if (done[i].res < 0)
			errx(1, "piece %d: %s", (int)done[i].user_data, strerror(-done[i].res));
		if (done[i].res != wanted)
			errx(1, "piece %d: %d bytes of %d", (int)done[i].user_data, done[i].res, wanted);
	}
}

int main(int argc, char **argv)
{
	struct ring ring = { 0 };
	size_t size, piece;
	char *buffer;
	int i;

	if (argc != 5)
		errx(2, "usage: cm-ring read|write DISK BUFFER SIZE");
	size = strtoul(argv[4], NULL, 10);
	piece = size / PIECES;
	buffer = map(size, atoi(argv[3]), 0);
	open_ring(&ring);
	for (i = 0; i < PIECES; i++) {
		const struct io_uring_sqe entry = {
			.opcode = strcmp(argv[1], "read") ? IORING_OP_WRITE : IORING_OP_READ,
			.fd = atoi(argv[2]),
			.off = i * piece,
			.addr = (uintptr_t)(buffer + i * piece),
			.len = piece,
			.user_data = i,
		};

		put(&ring, &entry, i);
	}
	submit(&ring);
	check(&ring, piece);
	return 0;
}
