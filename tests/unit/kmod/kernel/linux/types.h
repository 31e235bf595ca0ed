/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: the types that the compiled files use. */
#ifndef HOST_LINUX_TYPES_H
#define HOST_LINUX_TYPES_H

typedef _Bool bool;

typedef int __s32;
typedef unsigned int __u32;
typedef unsigned long long __u64;

typedef __u32 u32;
typedef __u64 u64;

enum { false, true };

#endif
