/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/*
 * Included in front of a source file: a long has 32 bits, as on a 32-bit board, though pointers
 * stay those of this machine. linux/types.h has to come first, for its long long.
 */
#define long int
