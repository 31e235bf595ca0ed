/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace: the events cm:*. Places are offsets in the context, in bytes: physical
 * addresses are not for everybody who may trace.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cm

#if !defined(CM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CM_TRACE_H

#include <linux/string.h>
#include <linux/tracepoint.h>

#include <uapi/linux/cm.h>

TRACE_EVENT(cm_alloc,
	TP_PROTO(const char *context, const struct cm_alloc *req, u64 cleared,
		 u64 ns),
	TP_ARGS(context, req, cleared, ns),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, id)
		__field(u64, size)
		__field(u64, alignment)
		__field(u64, cleared)
		__field(u64, ns)
		__field(u32, retries)
		__field(u32, reason)
	),
	TP_fast_assign(
		strscpy(__entry->context, context, CM_NAME_LEN);
		__entry->id = req->id;
		__entry->size = req->size;
		__entry->alignment = req->alignment;
		__entry->cleared = cleared;
		__entry->ns = ns;
		__entry->retries = req->retries;
		__entry->reason = req->reason;
	),
	TP_printk("context=%s id=%llu size=%llu alignment=%llu reason=%u retries=%u cleared=%llu ns=%llu",
		  __entry->context, __entry->id, __entry->size,
		  __entry->alignment, __entry->reason, __entry->retries,
		  __entry->cleared, __entry->ns)
);

TRACE_EVENT(cm_free,
	TP_PROTO(const char *context, u64 id, u64 size),
	TP_ARGS(context, id, size),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, id)
		__field(u64, size)
	),
	TP_fast_assign(
		strscpy(__entry->context, context, CM_NAME_LEN);
		__entry->id = id;
		__entry->size = size;
	),
	TP_printk("context=%s id=%llu size=%llu", __entry->context, __entry->id,
		  __entry->size)
);

TRACE_EVENT(cm_move,
	TP_PROTO(const char *context, u64 id, u64 size, u64 to, int error),
	TP_ARGS(context, id, size, to, error),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, id)
		__field(u64, size)
		__field(u64, to)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->context, context, CM_NAME_LEN);
		__entry->id = id;
		__entry->size = size;
		__entry->to = to;
		__entry->error = error;
	),
	TP_printk("context=%s id=%llu size=%llu to=%llu error=%d",
		  __entry->context, __entry->id, __entry->size, __entry->to,
		  __entry->error)
);

TRACE_EVENT(cm_compact,
	TP_PROTO(const char *context, u64 size, u64 moves, u64 moved,
		 int error),
	TP_ARGS(context, size, moves, moved, error),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, size)
		__field(u64, moves)
		__field(u64, moved)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->context, context, CM_NAME_LEN);
		__entry->size = size;
		__entry->moves = moves;
		__entry->moved = moved;
		__entry->error = error;
	),
	TP_printk("context=%s size=%llu moves=%llu moved=%llu error=%d",
		  __entry->context, __entry->size, __entry->moves,
		  __entry->moved, __entry->error)
);

/* Granules that the system was to leave. */
TRACE_EVENT(cm_migrate,
	TP_PROTO(const char *context, u64 from, u64 size, u64 ns, int error),
	TP_ARGS(context, from, size, ns, error),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, from)
		__field(u64, size)
		__field(u64, ns)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->context, context, CM_NAME_LEN);
		__entry->from = from;
		__entry->size = size;
		__entry->ns = ns;
		__entry->error = error;
	),
	TP_printk("context=%s from=%llu size=%llu error=%d ns=%llu",
		  __entry->context, __entry->from, __entry->size,
		  __entry->error, __entry->ns)
);

/* What of a chunk's place is handed from the CPU to devices, or back. */
TRACE_EVENT(cm_sync,
	TP_PROTO(const char *context, u64 id, u64 from, u64 size,
		 bool for_cpu),
	TP_ARGS(context, id, from, size, for_cpu),
	TP_STRUCT__entry(
		__array(char, context, CM_NAME_LEN)
		__field(u64, id)
		__field(u64, from)
		__field(u64, size)
		__field(u32, for_cpu)
	),
	TP_fast_assign(
		strscpy(__entry->context, context, CM_NAME_LEN);
		__entry->id = id;
		__entry->from = from;
		__entry->size = size;
		__entry->for_cpu = for_cpu;
	),
	TP_printk("context=%s id=%llu from=%llu size=%llu for_cpu=%u",
		  __entry->context, __entry->id, __entry->from, __entry->size,
		  __entry->for_cpu)
);

#endif /* CM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
