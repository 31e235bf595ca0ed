// SPDX-License-Identifier: GPL-2.0
/*
 * Pin: taking, giving, and dropping all that an open file holds.
 */
#include <linux/capability.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "dmabuf.h"
#include "pin.h"

/**
 * struct cm_pinned - pins that one open file holds on one chunk
 * @node:   in &cm_pins.list
 * @dmabuf: the chunk's, with a reference: a pinned chunk stays alive
 * @count:  how often it is pinned
 */
struct cm_pinned {
	struct list_head node;
	struct dma_buf *dmabuf;
	u32 count;
};

/**
 * cm_pins_init() - prepare an open file for pins
 * @pins: the file's
 */
void cm_pins_init(struct cm_pins *pins)
{
	mutex_init(&pins->lock);
	INIT_LIST_HEAD(&pins->list);
}

static struct cm_pinned *pin_find(struct cm_pins *pins, const struct dma_buf *dmabuf)
{
	struct cm_pinned *entry;

	list_for_each_entry(entry, &pins->list, node)
		if (entry->dmabuf == dmabuf)
			return entry;
	return NULL;
}

static struct cm_pinned *pin_find_or_add(struct cm_pins *pins, struct dma_buf *dmabuf)
{
	struct cm_pinned *entry = pin_find(pins, dmabuf);

	if (entry)
		return entry;
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return NULL;
	get_dma_buf(dmabuf);
	entry->dmabuf = dmabuf;
	list_add(&entry->node, &pins->list);
	return entry;
}

static void pin_remove(struct cm_pinned *entry)
{
	list_del(&entry->node);
	dma_buf_put(entry->dmabuf);
	kfree(entry);
}

static int pin_hold(struct cm_pinned *entry, struct cm_pin *req)
{
	struct cm_chunk *chunk = entry->dmabuf->priv;
	int ret = 0;

	down_write(&chunk->lock);
	if (chunk->freed) {
		ret = -ESTALE;
	} else if (chunk->pins == U32_MAX) {
		ret = -EOVERFLOW;
	} else {
		cm_chunk_hold(chunk, &chunk->pins);
		cm_chunk_sync(chunk, false);
		entry->count++;
		req->address = page_to_phys(cm_chunk_page(chunk));
		req->size = cm_chunk_size(chunk);
	}
	up_write(&chunk->lock);
	return ret;
}

static void pin_unhold(struct cm_pinned *entry, u32 count)
{
	struct cm_chunk *chunk = entry->dmabuf->priv;

	down_write(&chunk->lock);
	/* A device that got the address may have written since the last sync. */
	cm_chunk_sync(chunk, true);
	entry->count -= count;
	while (count--)
		cm_chunk_unhold(chunk, &chunk->pins);
	up_write(&chunk->lock);
}

/**
 * cm_pin_take() - pin a chunk once more
 * @pins:   the open file's pins
 * @dmabuf: the chunk's dma-buf
 * @req:    the request; address and size are filled in
 *
 * Return: 0, EPERM without CAP_SYS_RAWIO, ESTALE, EOVERFLOW, or ENOMEM.
 */
int cm_pin_take(struct cm_pins *pins, struct dma_buf *dmabuf,
		struct cm_pin *req)
{
	struct cm_pinned *entry;
	int ret = -ENOMEM;

	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;

	mutex_lock(&pins->lock);
	entry = pin_find_or_add(pins, dmabuf);
	if (entry) {
		ret = pin_hold(entry, req);
		if (!entry->count)
			pin_remove(entry);
	}
	mutex_unlock(&pins->lock);
	return ret;
}

/**
 * cm_pin_give() - undo one cm_pin_take()
 * @pins:   the open file's pins
 * @dmabuf: the chunk's dma-buf
 *
 * Return: 0, ESTALE when the chunk was freed, or ENOENT when the file holds no
 * pin on it.
 */
int cm_pin_give(struct cm_pins *pins, struct dma_buf *dmabuf)
{
	struct cm_chunk *chunk = dmabuf->priv;
	struct cm_pinned *entry;

	mutex_lock(&pins->lock);
	entry = pin_find(pins, dmabuf);
	if (entry) {
		pin_unhold(entry, 1);
		if (!entry->count)
			pin_remove(entry);
	}
	mutex_unlock(&pins->lock);
	if (entry)
		return 0;

	return READ_ONCE(chunk->freed) ? -ESTALE : -ENOENT;
}

/**
 * cm_pins_drop() - give all pins of an open file that is being closed
 * @pins: the file's
 */
void cm_pins_drop(struct cm_pins *pins)
{
	struct cm_pinned *entry, *next;

	list_for_each_entry_safe(entry, next, &pins->list, node) {
		pin_unhold(entry, entry->count);
		pin_remove(entry);
	}
}
