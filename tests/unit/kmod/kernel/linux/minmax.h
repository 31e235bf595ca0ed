/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: like the kernel's, both sides must have one type and are evaluated once. */
#ifndef HOST_LINUX_MINMAX_H
#define HOST_LINUX_MINMAX_H

#define HOST_CHOOSE(a, op, b) ({						\
	__typeof__(a) a_ = (a);							\
	__typeof__(b) b_ = (b);							\
	_Static_assert(__builtin_types_compatible_p(__typeof__(a), __typeof__(b)), \
		       "min() and max() of different types");			\
	a_ op b_ ? a_ : b_;							\
})

#define min(a, b) HOST_CHOOSE(a, <, b)
#define max(a, b) HOST_CHOOSE(a, >, b)

#endif
