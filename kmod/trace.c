// SPDX-License-Identifier: GPL-2.0
/*
 * Trace: where the events are made.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
