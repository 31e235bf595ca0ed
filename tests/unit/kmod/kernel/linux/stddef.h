/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: what points nowhere. */
#ifndef HOST_LINUX_STDDEF_H
#define HOST_LINUX_STDDEF_H

#define NULL ((void *)0)

#endif
