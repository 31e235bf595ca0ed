/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pin: while it is held, a chunk's physical address is fixed and known.
 */
#ifndef CM_PIN_H
#define CM_PIN_H

#include <linux/list.h>
#include <linux/mutex.h>

struct cm_pin;
struct dma_buf;

/**
 * struct cm_pins - pins taken through one open file
 * @list: of &struct cm_pinned, one for each chunk
 */
struct cm_pins {
	/** @lock: protects @list; taken before &cm_chunk.lock */
	struct mutex lock;
	struct list_head list;
};

void cm_pins_init(struct cm_pins *pins);
void cm_pins_drop(struct cm_pins *pins);
int cm_pin_take(struct cm_pins *pins, struct dma_buf *dmabuf,
		struct cm_pin *req);
int cm_pin_give(struct cm_pins *pins, struct dma_buf *dmabuf);

#endif /* CM_PIN_H */
