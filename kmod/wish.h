/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Wish: what a context is to be, whoever asks for it.
 */
#ifndef CM_WISH_H
#define CM_WISH_H

#include <linux/types.h>

#include <uapi/linux/cm.h>

struct device;
struct device_node;

/**
 * struct cm_wish - what is asked for
 * @name:      what the context will be called
 * @bank:      its bank's node, with a reference
 * @offset:    bytes from the start of the bank
 * @size:      bytes, 0 for all from @offset on
 * @min_align: bytes
 * @private:   it has its memory for itself
 * @result:    set by the probe for who registered the device: 0 or an error
 */
struct cm_wish {
	char name[CM_NAME_LEN];
	struct device_node *bank;
	u64 offset;
	u64 size;
	u64 min_align;
	bool private;
	int result;
};

int cm_wish_read(struct cm_wish *wish, struct device *dev);
int cm_wish_check(const struct cm_wish *wish, struct device *dev);
int cm_wish_grant(struct cm_wish *wish);
int cm_wish_revoke(const char *name);

#endif /* CM_WISH_H */
