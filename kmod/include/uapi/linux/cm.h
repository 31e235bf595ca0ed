/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Contiguous memory for user space: the ABI of /dev/cm/<context>.
 *
 * This header is the one truth of the ABI: the Python binding is generated
 * from it, and the tests compare both with a C compiler for arm, arm64 and
 * x86-64.
 *
 * Rules that hold for every call:
 *
 * - 0 is success; otherwise -1 with errno set.
 * - Structures grow at the end. The size travels in the ioctl number: a caller
 *   built against an older header is served, one built against a newer header
 *   is served as long as the part unknown to the kernel is zero (E2BIG if it
 *   is not). A structure shorter than its first version is EINVAL.
 * - Every unknown flag and every reserved byte that is not zero is EINVAL, and
 *   so is every output of a structure that is also read which is not zero on
 *   input: fill a fresh structure for each call.
 * - Unknown calls are ENOTTY. An unreadable pointer is EFAULT. In both cases,
 *   as in every failure, nothing was allocated, freed or pinned.
 * - A file descriptor that is not open is EBADF, one that is not a dma-buf is
 *   EINVAL, one of a dma-buf that is not a chunk of this context is EXDEV, and
 *   one of a chunk that was freed by CM_IOC_FREE is ESTALE.
 * - Sizes, alignments and offsets are in bytes, times in nanoseconds.
 */
#ifndef _UAPI_LINUX_CM_H
#define _UAPI_LINUX_CM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Not in use by any driver listed in the kernel's ioctl-number.rst. */
#define CM_IOC_MAGIC		0xC4

#define CM_NAME_LEN		32
#define CM_VERSION_LEN		16
#define CM_COMM_LEN		16
#define CM_BANK_NAME_LEN	64
#define CM_ERROR_LEN		256

/* Features, for programs: a bit is set when the kernel side can do it. */
#define CM_FEATURE_COMPACT	(1 << 0) /* CM_IOC_COMPACT; allocations do it, too */
#define CM_FEATURE_LAYOUT	(1 << 1) /* CM_IOC_LAYOUT */
#define CM_FEATURE_QUOTA	(1 << 2) /* CM_IOC_QUOTA */
#define CM_FEATURE_CONTROL	(1 << 3) /* CM_IOC_CREATE and CM_IOC_DESTROY */
#define CM_FEATURE_OWNER	(1 << 4) /* cm_alloc.owner_pid */
#define CM_FEATURE_USERS	(1 << 5) /* CM_IOC_USERS */
#define CM_FEATURE_DMA_HEAP	(1 << 6) /* DMA_HEAP_IOCTL_ALLOC */

/* Context flags, in cm_query.flags. */
#define CM_CONTEXT_PRIVATE	(1 << 0)

/**
 * struct cm_query - what a context is and how full it is at this instant
 * @features:      out: feature bits, for programs
 * @size:          out: bytes of the context
 * @free:          out: bytes that no chunk occupies
 * @largest_hole:  out: bytes of the largest free range
 * @pinned:        out: bytes of chunks that are pinned or mapped by a driver
 * @draining:      out: bytes of chunks that were freed while somebody (an
 *                 O_DIRECT transfer, say) still held their pages; they become
 *                 free when the last page is let go
 * @min_alignment: out: every chunk is aligned to at least this many bytes
 * @chunks:        out: number of live chunks
 * @page_size:     out: the kernel's page size in bytes
 * @flags:         out: CM_CONTEXT_*
 * @name:          out: name of the context, NUL-terminated
 * @version:       out: version of the module, for humans, NUL-terminated
 */
struct cm_query {
	__u64 features;
	__u64 size;
	__u64 free;
	__u64 largest_hole;
	__u64 pinned;
	__u64 draining;
	__u64 min_alignment;
	__u64 chunks;
	__u32 page_size;
	__u32 flags;
	char name[CM_NAME_LEN];
	char version[CM_VERSION_LEN];
};

/**
 * enum cm_reason - why an allocation failed
 * @CM_REASON_NONE:        it did not fail
 * @CM_REASON_FULL:        fewer bytes are free than were asked for (ENOMEM)
 * @CM_REASON_FRAGMENTED:  enough bytes are free, but no aligned hole is large
 *                         enough, and chunks that must not move leave no way
 *                         to make one (ENOMEM)
 * @CM_REASON_BUSY:        holes are large enough, but pages in every one of
 *                         them are in use by the system and would not leave
 *                         (EBUSY)
 * @CM_REASON_DEADLINE:    the deadline passed first (ETIMEDOUT)
 * @CM_REASON_INTERRUPTED: a fatal signal arrived (EINTR)
 * @CM_REASON_NO_MEMORY:   the system had no memory for bookkeeping, or nowhere
 *                         to move the pages in the way (ENOMEM), or its table
 *                         of open files is full (ENFILE)
 * @CM_REASON_INVALID:     the structure is wrong (EINVAL): a size of 0, an alignment
 *                         that is no power of two, a flag, or an output that is not
 *                         zero, as after a call that used the same structure; or
 *                         nothing could be allocated for who asks: see &struct
 *                         cm_alloc (EPERM, ESRCH, EMFILE, ENODEV)
 * @CM_REASON_QUOTA:       the user would have more bytes than their quota (EDQUOT)
 * @CM_REASON_CHUNKS:      the user would have more chunks than their quota, or
 *                         the context more than it may have (EDQUOT)
 * @CM_REASON_COUNT:       number of reasons, not a reason
 */
enum cm_reason {
	CM_REASON_NONE,
	CM_REASON_FULL,
	CM_REASON_FRAGMENTED,
	CM_REASON_BUSY,
	CM_REASON_DEADLINE,
	CM_REASON_INTERRUPTED,
	CM_REASON_NO_MEMORY,
	CM_REASON_INVALID,
	CM_REASON_QUOTA,
	CM_REASON_CHUNKS,
	CM_REASON_COUNT,
};

/* Room for reasons to come, so that struct cm_stats keeps its layout. */
#define CM_REASON_MAX		16

/**
 * struct cm_alloc - allocate one chunk
 * @size:         in: bytes, at least 1; out: rounded up to whole pages
 * @alignment:    in: bytes, a power of two, or 0 for the context's minimum;
 *                out: the alignment that was used, at least a page
 * @deadline_ns:  in: give up this long after the call, 0 for 10 seconds, at
 *                most an hour
 * @flags:        in: must be 0
 * @fd:           in: must be 0; out: dma-buf file descriptor, O_CLOEXEC and
 *                O_RDWR, owned by the caller; -1 on failure. Closing the last
 *                descriptor (and mapping) of the chunk frees it.
 * @id:           out: number of the chunk, never used again while the module
 *                is loaded
 * @free:         out: free bytes of the context after the call
 * @largest_hole: out: largest hole of the context after the call
 * @retries:      out: places that were tried and were busy
 * @reason:       out: enum cm_reason
 * @quota:        out: bytes that the owner may have in this context,
 *                CM_QUOTA_NONE for no limit
 * @used:         out: bytes that the owner had before the call, if there is a
 *                quota
 * @max_chunks:   out: chunks that the owner may have in this context
 * @chunks:       out: chunks that the owner had before the call; with @reason
 *                CHUNKS and fewer than @max_chunks, the context has too many
 * @owner_pid:    in: process on whose behalf it is allocated, in the caller's pid
 *                namespace, or 0 for the caller
 * @reserved:     must be 0
 *
 * The memory is zero, and cached. Map it with MAP_SHARED, and enclose what the
 * CPU does with it in DMA_BUF_IOCTL_SYNC.
 *
 * Fill a fresh structure for each call, also to try again what failed: the structure
 * is written back on failures, too, and EINVAL with the reason INVALID is what a
 * second call with it returns, whatever the first one failed with. For failures see
 * enum cm_reason; besides there are, with the reason INVALID, EMFILE when the process
 * has no free file descriptor, ENODEV when the context is gone, and EPERM and ESRCH
 * for @owner_pid.
 *
 * The chunk belongs to the user who opened the node. Its memory is charged to
 * no memory control group: the quota is what limits it.
 *
 * With @owner_pid the chunk belongs to the effective user of that process, who may
 * free it through a node they have opened; the descriptor is the caller's, to be
 * passed on. It needs CAP_SYS_RESOURCE (EPERM, whether or not there is such a
 * process), which does not exceed the other's quota: only a process that has it
 * itself does. ESRCH when no process that lives has this number in the caller's pid
 * namespace: that of a thread is a process' only if it is the first one's. A number
 * is used again once its process is gone, so a caller that has a pidfd looks at it
 * after the call: if the process has not ended, the chunk is its (no kernel from
 * 5.10 to 6.12 exports what a module needs to read a pidfd). And a process becomes
 * another user's when it executes a setuid program: a caller that knows it as some
 * user's compares &cm_info.uid, too.
 *
 * A long-term pin of its pages through a mapping (V4L2_MEMORY_USERPTR, io_uring's
 * registered buffers) is not supported: the kernel tries to move them out of the
 * bank first, which never succeeds. It goes on until the process is killed; Linux
 * 5.10 ignores even that for io_uring, and the chunk's memory is lost until the
 * next boot. Use the dma-buf instead.
 */
struct cm_alloc {
	__u64 size;
	__u64 alignment;
	__u64 deadline_ns;
	__u32 flags;
	__s32 fd;
	__u64 id;
	__u64 free;
	__u64 largest_hole;
	__u32 retries;
	__u32 reason;
	__u64 quota;
	__u64 used;
	__u32 max_chunks;
	__u32 chunks;
	__s32 owner_pid;
	__u32 reserved;
};

/**
 * struct cm_free - give a chunk's memory back now
 * @fd:    in: descriptor of the chunk; it stays open and becomes stale
 * @flags: in: must be 0
 *
 * For the chunk's owner, the user who opened the node that it is from or on whose
 * behalf it was allocated, and CAP_SYS_ADMIN (EPERM); it is the credentials of who
 * opened the node used for this call that count. Mappings of the chunk raise SIGBUS
 * from now on. EBUSY, and nothing changes, while the chunk is pinned, a driver has
 * imported it, or a device has not finished with it (by a fence that is left; who
 * has a descriptor can leave one, see DMA_BUF_IOCTL_IMPORT_SYNC_FILE).
 */
struct cm_free {
	__s32 fd;
	__u32 flags;
};

/**
 * struct cm_pin - fix a chunk's place and learn its physical address
 * @fd:      in: descriptor of the chunk
 * @flags:   in: must be 0
 * @address: in: must be 0; out: physical address of the first byte
 * @size:    in: must be 0; out: bytes from there on that are the chunk's
 *
 * Needs CAP_SYS_RAWIO (EPERM). While devices may have the chunk, what others
 * write to it at the moment of a DMA_BUF_SYNC_START may be lost. Pins nest, keep
 * the chunk alive, belong to the open file that took them and go when it is
 * closed.
 */
struct cm_pin {
	__s32 fd;
	__u32 flags;
	__u64 address;
	__u64 size;
};

/**
 * struct cm_unpin - undo one CM_IOC_PIN of the same open file
 * @fd:    in: descriptor of the chunk
 * @flags: in: must be 0
 *
 * Devices that got the address must have finished with it: what they wrote by
 * then is what the CPU sees, wherever the chunk moves, and what they write later
 * may be in somebody else's memory. ENOENT when this open file
 * holds no pin on the chunk.
 */
struct cm_unpin {
	__s32 fd;
	__u32 flags;
};

/**
 * struct cm_info - what is known of a chunk
 * @fd:        in: descriptor of the chunk
 * @flags:     in: must be 0
 * @id:        out: number of the chunk
 * @size:      out: bytes
 * @alignment: out: bytes
 * @pins:      out: pins held by open files
 * @imports:   out: drivers attached to the dma-buf
 * @maps:      out: DMA and kernel mappings held by drivers
 * @uid:       out: the owner: user who opened the node that the chunk is from, or
 *             on whose behalf it was allocated, as seen from the caller's user
 *             namespace
 * @pid:       out: process that asked for it, or on whose behalf somebody did, in
 *             the initial pid namespace
 * @reserved:  must be 0
 * @comm:      out: name of that process, NUL-terminated
 * @name:      out: what DMA_BUF_SET_NAME said, or empty, NUL-terminated
 */
struct cm_info {
	__s32 fd;
	__u32 flags;
	__u64 id;
	__u64 size;
	__u64 alignment;
	__u32 pins;
	__u32 imports;
	__u32 maps;
	__u32 uid;
	__u32 pid;
	__u32 reserved;
	char comm[CM_COMM_LEN];
	char name[CM_NAME_LEN];
};

/* What an attestation found, in cm_attest.found. */
#define CM_ATTEST_BOUNCED	(1 << 0) /* out of reach of @dma_bits, see there */
#define CM_ATTEST_IN_BANK	(1 << 1) /* every byte lies in one bank */
#define CM_ATTEST_ADDRESSES	(1 << 2) /* the addresses were filled in */

/* More runs than this are counted, but not stored. */
#define CM_ATTEST_MAX_RUNS	(1 << 20)

/**
 * struct cm_run - a physically contiguous part of a dma-buf
 * @offset:  out: where it begins in the dma-buf
 * @length:  out: bytes
 * @address: out: physical address; 0 without CAP_SYS_RAWIO
 */
struct cm_run {
	__u64 offset;
	__u64 length;
	__u64 address;
};

/**
 * struct cm_attest - where the bytes of any dma-buf lie
 * @fd:            in: descriptor of any dma-buf, of this module or not
 * @flags:         in: must be 0
 * @dma_bits:      in: width of the DMA mask to test with, 1 ... 64. When a
 *                 byte lies beyond it, a device with that mask and no IOMMU
 *                 would be given a bounce buffer or refused: BOUNCED
 * @runs_capacity: in: number of struct cm_run at @runs; of these, at most
 *                 CM_ATTEST_MAX_RUNS are used
 * @runs:          in: user pointer to struct cm_run[], or 0 with capacity 0
 * @run_count:     out: runs that there are, which may be more than were stored
 * @found:         out: CM_ATTEST_*
 * @size:          out: bytes of the dma-buf
 * @longest_run:   out: bytes of the longest run
 * @context:       out: context whose bank holds every byte, or empty
 *
 * The dma-buf is attached and mapped for reading by a device, so a driver
 * that does not let others import its buffers makes this fail with its own
 * error. The buffer is not changed. All who may ask learn from @dma_bits how
 * many bits the highest address has, and no more without CAP_SYS_RAWIO. Of a chunk,
 * the module knows the place itself, and imports nothing.
 */
struct cm_attest {
	__s32 fd;
	__u32 flags;
	__u32 dma_bits;
	__u32 runs_capacity;
	__u64 runs;
	__u32 run_count;
	__u32 found;
	__u64 size;
	__u64 longest_run;
	char context[CM_NAME_LEN];
};

/* cm_pattern.flags */
#define CM_PATTERN_FILL		(1 << 0) /* write the pattern, then check it */

/* cm_pattern.found */
#define CM_PATTERN_LINEAR	(1 << 0) /* see @found */

/* The pattern: every 64-bit word, in native byte order, is the seed plus the
 * number of the CM_PATTERN_CELL-byte cell that it lies in, modulo 2^64.
 */
#define CM_PATTERN_CELL		4096

/**
 * struct cm_pattern - fill or check a dma-buf through the kernel's mapping
 * @fd:       in: descriptor of any dma-buf that can be mapped by the kernel
 * @flags:    in: CM_PATTERN_FILL or 0
 * @seed:     in: value of the first cell
 * @matched:  out: bytes from the start that hold the pattern; the size of the
 *            dma-buf when all of them do
 * @size:     out: bytes of the dma-buf
 * @expected: out: the word that should be at @matched, 0 when all is well
 * @actual:   out: the word that is there, 0 when all is well
 * @found:    out: CM_PATTERN_LINEAR when the kernel used its linear mapping,
 *            which walks physical addresses from the first byte on: those
 *            who see the same bytes see contiguous memory
 * @reserved: must be 0
 *
 * EACCES when the descriptor is not open for reading, or, for
 * CM_PATTERN_FILL, for writing; EOPNOTSUPP when the dma-buf is not ordinary memory.
 */
struct cm_pattern {
	__s32 fd;
	__u32 flags;
	__u64 seed;
	__u64 matched;
	__u64 size;
	__u64 expected;
	__u64 actual;
	__u32 found;
	__u32 reserved;
};

/*
 * Latency histograms: one per size class. Class i holds requests of up to
 * 64 KiB << (2 * i), the last class everything above. Bucket j counts
 * allocations that took up to 2^(17 + j) ns (131 us ... 8.6 s) and more than
 * the bucket before allows; the last bucket counts all that took longer.
 */
#define CM_SIZE_CLASSES		6
#define CM_SIZE_CLASS_SHIFT	16
#define CM_LATENCY_BUCKETS	18
#define CM_LATENCY_SHIFT	17

/**
 * struct cm_latency - how long allocations of one size class took
 * @sum_ns:  out: nanoseconds spent in all of them
 * @buckets: out: number of allocations, not cumulative
 *
 * Successful allocations only.
 */
struct cm_latency {
	__u64 sum_ns;
	__u64 buckets[CM_LATENCY_BUCKETS];
};

/**
 * struct cm_stats - what a context has done since it was made, and does now
 * @attempts:  out: allocations asked for
 * @successes: out: allocations granted
 * @failures:  out: allocations refused, by enum cm_reason
 * @frees:     out: chunks whose memory is free again
 * @retries:   out: places that were busy: their pages would not leave
 * @latency:   out: histograms, by size class
 * @moves:       out: chunks that were moved to make room
 * @moved_bytes: out: bytes that were copied for that
 * @held:        out: bytes that were taken from the system, or are a private
 *               context's, and that no chunk occupies at this instant
 * @lent:        out: bytes of the context that the system uses at this instant
 */
struct cm_stats {
	__u64 attempts;
	__u64 successes;
	__u64 failures[CM_REASON_MAX];
	__u64 frees;
	__u64 retries;
	struct cm_latency latency[CM_SIZE_CLASSES];
	__u64 moves;
	__u64 moved_bytes;
	__u64 held;
	__u64 lent;
};

/**
 * struct cm_compact - move chunks so that a large hole comes up
 * @size:         in: bytes the hole must have, 0 for as many as possible
 * @alignment:    in: bytes that a chunk placed there can be aligned to, as in
 *                &struct cm_alloc
 * @deadline_ns:  in: give up this long after the call, 0 for 10 seconds
 * @flags:        in: must be 0
 * @reason:       out: enum cm_reason
 * @moves:        out: chunks that were moved
 * @moved_bytes:  out: bytes that were copied for that
 * @free:         out: free bytes of the context after the call
 * @largest_hole: out: largest hole of the context after the call
 *
 * An allocation that finds no hole does the same; this is for those who cannot
 * wait then. A chunk stays where it is while it is pinned, mapped by a driver,
 * mapped more than 64 times by user space, or while somebody (an O_DIRECT
 * transfer, say) holds its pages. Allocations that wait come before its next
 * move. Descriptors, mappings and contents do not change. Errors are those of
 * CM_IOC_ALLOC, and what was moved until then stays moved; the structure is
 * written back.
 */
struct cm_compact {
	__u64 size;
	__u64 alignment;
	__u64 deadline_ns;
	__u32 flags;
	__u32 reason;
	__u64 moves;
	__u64 moved_bytes;
	__u64 free;
	__u64 largest_hole;
};

/* cm_layout_entry.state */
#define CM_CHUNK_FIXED		(1 << 0) /* pinned, or mapped: see cm_compact */
#define CM_CHUNK_DRAINING	(1 << 1) /* freed, while somebody holds pages */
#define CM_CHUNK_OFFSET		(1 << 2) /* the offset was filled in */
#define CM_CHUNK_HIDDEN		(1 << 3) /* whose it is was not filled in */

/* More entries than this are counted, but not stored. */
#define CM_LAYOUT_MAX_ENTRIES	(1 << 16)

/**
 * struct cm_layout_entry - a chunk and where it lies
 * @offset:    out: bytes from the start of the context; 0 without
 *             CAP_SYS_RAWIO, since anybody can read where the bank is
 * @size:      out: bytes
 * @alignment: out: bytes; wherever the chunk is moved, it keeps it
 * @id:        out: number of the chunk
 * @state:     out: CM_CHUNK_*
 * @pins:      out: pins held by open files
 * @imports:   out: drivers attached to the dma-buf
 * @maps:      out: DMA and kernel mappings held by drivers
 * @uid:       out: the owner, as in &struct cm_info
 * @pid:       out: process that asked for it, or on whose behalf somebody did, in
 *             the initial pid namespace
 * @comm:      out: name of that process, NUL-terminated
 * @name:      out: what DMA_BUF_SET_NAME said, or empty, NUL-terminated
 */
struct cm_layout_entry {
	__u64 offset;
	__u64 size;
	__u64 alignment;
	__u64 id;
	__u32 state;
	__u32 pins;
	__u32 imports;
	__u32 maps;
	__u32 uid;
	__u32 pid;
	char comm[CM_COMM_LEN];
	char name[CM_NAME_LEN];
};

/**
 * struct cm_layout - which chunk lies where
 * @entries:  in: user pointer to struct cm_layout_entry[], or 0 with capacity 0
 * @capacity: in: number of entries there; of these, at most
 *            CM_LAYOUT_MAX_ENTRIES are used
 * @count:    in: must be 0; out: chunks that there are, which may be more than
 *            were stored
 * @flags:    in: must be 0
 * @reserved: must be 0
 *
 * Entries are ordered by offset, also where that is 0. What is between them is
 * free, or on its way to be, or to be a chunk. Of chunks of others, @pid, @comm
 * and @name are left out (CM_CHUNK_HIDDEN) unless the caller has CAP_SYS_ADMIN.
 */
struct cm_layout {
	__u64 entries;
	__u32 capacity;
	__u32 count;
	__u32 flags;
	__u32 reserved;
};

/* More entries than this are counted, but not stored. */
#define CM_USERS_MAX_ENTRIES	(1 << 16)

/**
 * struct cm_user - what a user may have of a context, and has
 * @bytes:       out: bytes that the user has, on their way back included
 * @quota_bytes: out: bytes that the user may have, CM_QUOTA_NONE for no limit
 * @uid:         out: the user, as seen from the caller's user namespace
 * @chunks:      out: chunks that the user has, likewise
 * @max_chunks:  out: chunks that the user may have, CM_QUOTA_NO_CHUNKS for no limit
 *               but that of the context
 * @reserved:    out: 0
 */
struct cm_user {
	__u64 bytes;
	__u64 quota_bytes;
	__u32 uid;
	__u32 chunks;
	__u32 max_chunks;
	__u32 reserved;
};

/**
 * struct cm_users - who has how much of a context
 * @entries:  in: user pointer to struct cm_user[], or 0 with capacity 0
 * @capacity: in: number of entries there; of these, at most
 *            CM_USERS_MAX_ENTRIES are used
 * @count:    in: must be 0; out: users that there are, who may be more than were
 *            stored
 * @flags:    in: must be 0
 * @reserved: must be 0
 *
 * With CAP_SYS_ADMIN, every user who has chunks or a quota of their own, in no
 * order; a quota of no limit is none. Others see one entry: that of the user who
 * opened the node, whatever they have. All users of a user namespace count as the
 * one who made it. ENOMEM.
 */
struct cm_users {
	__u64 entries;
	__u32 capacity;
	__u32 count;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct cm_create - make a context over a part of a bank
 * @name:          in: what the context will be called: 1 to 31 of a-z, 0-9, -
 *                 and _, NUL-terminated
 * @bank:          in: name of the bank's node below /reserved-memory, with its
 *                 unit address ("camera@70000000"), NUL-terminated
 * @offset:        in: bytes from the start of the bank
 * @size:          in: bytes, 0 for all from @offset on
 * @min_alignment: in: every chunk will be aligned to at least this many bytes,
 *                 0 for a page
 * @flags:         in: CM_CONTEXT_PRIVATE or 0
 * @reserved:      must be 0
 * @error:         out: why it was refused, a sentence, NUL-terminated; must be
 *                 empty
 *
 * On /dev/cm/control, whose calls need CAP_SYS_ADMIN (EPERM). ENOENT when
 * there is no such bank, EEXIST when there is such a context, EBUSY when a part
 * of the range belongs to another one or to a driver or, for a private context,
 * would not leave; EINVAL for what cannot be: parts of a reusable bank begin and
 * end at multiples of 2 MiB, or of a pageblock where that is less; ENOSPC when
 * there are 64 contexts already; EINTR when a fatal signal is pending; ENOMEM
 * when the kernel has no memory for it. The structure is written back on
 * failure, too.
 */
struct cm_create {
	char name[CM_NAME_LEN];
	char bank[CM_BANK_NAME_LEN];
	__u64 offset;
	__u64 size;
	__u64 min_alignment;
	__u32 flags;
	__u32 reserved;
	char error[CM_ERROR_LEN];
};

/**
 * struct cm_destroy - remove a context, wherever it came from
 * @name: in: its name, NUL-terminated
 *
 * On /dev/cm/control. ENOENT when there is none, EBUSY while it has chunks or
 * memory of one is on its way back. Those who have its node open find it empty.
 * A context of the device tree is back when the module is loaded again.
 */
struct cm_destroy {
	char name[CM_NAME_LEN];
};

#define CM_QUOTA_NONE		0xffffffffffffffffULL
#define CM_QUOTA_NO_CHUNKS	0xffffffffU
#define CM_QUOTA_ANYBODY	0xffffffffU

/**
 * struct cm_quota - how much of a context a user may have
 * @name:     in: name of the context, NUL-terminated
 * @bytes:    in, or out of CM_IOC_GET_QUOTA: bytes that the user may have,
 *            CM_QUOTA_NONE for no limit
 * @uid:      in: the user, or CM_QUOTA_ANYBODY for each one without a quota of
 *            their own
 * @flags:    in: must be 0
 * @chunks:   in, or out of CM_IOC_GET_QUOTA: chunks that the user may have,
 *            CM_QUOTA_NO_CHUNKS for no limit but that of the context
 * @reserved: must be 0
 *
 * On /dev/cm/control. Quotas go with the context. CAP_SYS_RESOURCE exceeds them.
 * All users of a user namespace count as the one who made it. ENOENT when there
 * is no such context, ENOMEM.
 */
struct cm_quota {
	char name[CM_NAME_LEN];
	__u64 bytes;
	__u32 uid;
	__u32 flags;
	__u32 chunks;
	__u32 reserved;
};

/**
 * struct cm_get_quota - how much of a context a user may have, and has
 * @quota:       in: @name, @uid and @flags; out: what applies to the user
 * @used:        out: bytes that the user has, on their way back included
 * @used_chunks: out: chunks that the user has, likewise
 * @reserved:    must be 0
 *
 * On /dev/cm/control. ENOENT when there is no such context.
 */
struct cm_get_quota {
	struct cm_quota quota;
	__u64 used;
	__u32 used_chunks;
	__u32 reserved;
};

#define CM_IOC_QUERY	_IOR(CM_IOC_MAGIC, 0x00, struct cm_query)
#define CM_IOC_ALLOC	_IOWR(CM_IOC_MAGIC, 0x01, struct cm_alloc)
#define CM_IOC_FREE	_IOW(CM_IOC_MAGIC, 0x02, struct cm_free)
#define CM_IOC_PIN	_IOWR(CM_IOC_MAGIC, 0x03, struct cm_pin)
#define CM_IOC_UNPIN	_IOW(CM_IOC_MAGIC, 0x04, struct cm_unpin)
#define CM_IOC_INFO	_IOWR(CM_IOC_MAGIC, 0x05, struct cm_info)
#define CM_IOC_ATTEST	_IOWR(CM_IOC_MAGIC, 0x06, struct cm_attest)
#define CM_IOC_PATTERN	_IOWR(CM_IOC_MAGIC, 0x07, struct cm_pattern)
#define CM_IOC_STATS	_IOR(CM_IOC_MAGIC, 0x08, struct cm_stats)
#define CM_IOC_COMPACT	_IOWR(CM_IOC_MAGIC, 0x09, struct cm_compact)
#define CM_IOC_LAYOUT	_IOWR(CM_IOC_MAGIC, 0x0A, struct cm_layout)
#define CM_IOC_USERS	_IOWR(CM_IOC_MAGIC, 0x0B, struct cm_users)

/*
 * A context's node also serves DMA_HEAP_IOCTL_ALLOC (linux/dma-heap.h), so that
 * programs that know dma-heaps alone allocate from it, under a link such as
 * /dev/dma_heap/cm-<context>. It does what CM_IOC_ALLOC does with no alignment
 * and no deadline of its own: owner, quota and statistics apply. The descriptor
 * has the access mode and O_CLOEXEC as in fd_flags. Sizes go by the rules of
 * dma-heaps, not by those above: what a longer structure has at its end is
 * neither read nor written, and what a shorter one lacks is taken as zero. Errors:
 *
 * EINVAL   len is 0, or becomes 0 when it is rounded up to whole pages; fd or
 *          heap_flags is not 0; fd_flags has more than O_CLOEXEC and O_ACCMODE;
 *          the structure ends before fd does
 * EFAULT   the pointer cannot be read, or not be written back to
 * ENOMEM   FULL, FRAGMENTED, BUSY, DEADLINE, NO_MEMORY of enum cm_reason, as
 *          heaps have one error for all of them; the statistics and the trace
 *          event cm_alloc tell which
 * EDQUOT   QUOTA, CHUNKS: no heap of the kernel's has quotas
 * EINTR    a fatal signal arrived
 * EMFILE   the process has no free descriptor
 * ENFILE   the system's table of open files is full
 * ENODEV   the context is gone
 */

/* The calls of /dev/cm/control, which belongs to root. */
#define CM_IOC_CREATE	_IOWR(CM_IOC_MAGIC, 0x20, struct cm_create)
#define CM_IOC_DESTROY	_IOW(CM_IOC_MAGIC, 0x21, struct cm_destroy)
#define CM_IOC_QUOTA	_IOW(CM_IOC_MAGIC, 0x22, struct cm_quota)
#define CM_IOC_GET_QUOTA _IOWR(CM_IOC_MAGIC, 0x23, struct cm_get_quota)

#endif /* _UAPI_LINUX_CM_H */
