/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace: the events cm:*. Places are offsets in the context, in bytes: physical
 * addresses are nobody's business.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cm

#if !defined(CM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CM_TRACE_H

#include <linux/tracepoint.h>

#include "chunk.h"

TRACE_EVENT(cm_alloc,
	TP_PROTO(struct cm_context *ctx, const struct cm_alloc *req, u64 ns),
	TP_ARGS(ctx, req, ns),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, id)
		__field(u64, size)
		__field(u64, alignment)
		__field(u64, ns)
		__field(u32, retries)
		__field(u32, reason)
	),
	TP_fast_assign(
		strscpy(__entry->context, dev_name(&ctx->dev), CM_NAME_LEN);
		__entry->id = req->id;
		__entry->size = req->size;
		__entry->alignment = req->alignment;
		__entry->ns = ns;
		__entry->retries = req->retries;
		__entry->reason = req->reason;
	),
	TP_printk("context=%s id=%llu size=%llu alignment=%llu reason=%u retries=%u ns=%llu",
		  __entry->context, __entry->id, __entry->size,
		  __entry->alignment, __entry->reason, __entry->retries,
		  __entry->ns)
);

TRACE_EVENT(cm_free,
	TP_PROTO(struct cm_chunk *chunk),
	TP_ARGS(chunk),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, id)
		__field(u64, size)
	),
	TP_fast_assign(
		strscpy(__entry->context, dev_name(&chunk->ctx->dev),
			CM_NAME_LEN);
		__entry->id = chunk->id;
		__entry->size = cm_chunk_size(chunk);
	),
	TP_printk("context=%s id=%llu size=%llu", __entry->context, __entry->id,
		  __entry->size)
);

TRACE_EVENT(cm_move,
	TP_PROTO(struct cm_chunk *chunk, unsigned long to, int error),
	TP_ARGS(chunk, to, error),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, id)
		__field(u64, size)
		__field(u64, to)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->context, dev_name(&chunk->ctx->dev),
			CM_NAME_LEN);
		__entry->id = chunk->id;
		__entry->size = cm_chunk_size(chunk);
		__entry->to = (u64)(to - chunk->ctx->map.start) << PAGE_SHIFT;
		__entry->error = error;
	),
	TP_printk("context=%s id=%llu size=%llu to=%llu error=%d",
		  __entry->context, __entry->id, __entry->size, __entry->to,
		  __entry->error)
);

TRACE_EVENT(cm_compact,
	TP_PROTO(struct cm_context *ctx, u64 size, u64 moves, u64 moved,
		 int error),
	TP_ARGS(ctx, size, moves, moved, error),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, size)
		__field(u64, moves)
		__field(u64, moved)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->context, dev_name(&ctx->dev), CM_NAME_LEN);
		__entry->size = size;
		__entry->moves = moves;
		__entry->moved = moved;
		__entry->error = error;
	),
	TP_printk("context=%s size=%llu moves=%llu moved=%llu error=%d",
		  __entry->context, __entry->size, __entry->moves,
		  __entry->moved, __entry->error)
);

/* A batch of pages that the system was to leave, at most a pageblock. */
TRACE_EVENT(cm_migrate,
	TP_PROTO(struct cm_bank *bank, unsigned long start, unsigned long count,
		 u64 ns, int error),
	TP_ARGS(bank, start, count, ns, error),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, from)
		__field(u64, size)
		__field(u64, ns)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->context,
			dev_name(&container_of(bank, struct cm_context, bank)->dev),
			CM_NAME_LEN);
		__entry->from = (u64)(start - bank->start) << PAGE_SHIFT;
		__entry->size = (u64)count << PAGE_SHIFT;
		__entry->ns = ns;
		__entry->error = error;
	),
	TP_printk("context=%s from=%llu size=%llu error=%d ns=%llu",
		  __entry->context, __entry->from, __entry->size,
		  __entry->error, __entry->ns)
);

#endif /* CM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
