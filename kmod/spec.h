/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Spec: what a context is to be, wherever that is written.
 */
#ifndef CM_SPEC_H
#define CM_SPEC_H

#include <linux/compiler.h>
#include <linux/types.h>

#include <uapi/linux/cm.h>

struct device_node;

/**
 * struct cm_spec - what a context is to be
 * @name:      what it is called
 * @bank:      its bank's node; the reference is the caller's
 * @offset:    bytes from the start of the bank
 * @size:      bytes, 0 for all from @offset on
 * @min_align: bytes
 * @private:   the memory is the context's alone
 */
struct cm_spec {
	char name[CM_NAME_LEN];
	struct device_node *bank;
	u64 offset;
	u64 size;
	u64 min_align;
	bool private;
};

/**
 * struct cm_refusal - why something cannot be made, in a sentence
 * @text: the sentence, NUL-terminated, empty as long as nothing was refused
 */
struct cm_refusal {
	char text[CM_ERROR_LEN];
};

__printf(3, 4)
int cm_refuse(struct cm_refusal *why, int error, const char *format, ...);
int cm_spec_check(const struct cm_spec *spec, struct cm_refusal *why);

#endif /* CM_SPEC_H */
