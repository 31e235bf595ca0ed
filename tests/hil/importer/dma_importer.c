// SPDX-License-Identifier: GPL-2.0
/*
 * dma_importer: a driver that imports dma-bufs for a DMA engine, and has it copy
 * from one to the other. For tests/hil/test_importer.py.
 *
 * Each open file has a channel of its own, and slots; a slot has an attachment,
 * which may be mapped. Closing the file, or a killed process, undoes all of it.
 * A dynamic importer only attaches: it knows nothing of moves.
 */
#include <linux/dma-buf.h>
#include <linux/dmaengine.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#define IMPORTER_SLOTS		8
/* Engines have limits of their own for one descriptor. */
#define IMPORTER_PIECE		SZ_256K

/*
 * @slot: which one, or from which one
 * @fd:   of ATTACH: the dma-buf's
 * @to:   of COPY: to which slot; of ATTACH: not 0 for a dynamic importer
 * @offset: of COPY: in the slot; of MAP: set to the address at which the engine
 *	    finds the buffer
 */
struct importer_request {
	__u32 slot;
	__s32 fd;
	__u32 to;
	__u32 reserved;
	__u64 offset;
	__u64 to_offset;
	__u64 size;
};

#define IMPORTER_ATTACH	_IOWR('I', 0, struct importer_request)
#define IMPORTER_MAP	_IOWR('I', 1, struct importer_request)
#define IMPORTER_UNMAP	_IOWR('I', 2, struct importer_request)
#define IMPORTER_DETACH	_IOWR('I', 3, struct importer_request)
#define IMPORTER_COPY	_IOWR('I', 4, struct importer_request)

struct importer_slot {
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *table;
	bool dynamic;
};

/* @runaway: the engine could not be stopped, and may write to what is mapped */
struct importer {
	struct mutex lock;
	struct dma_chan *channel;
	bool runaway;
	struct importer_slot slots[IMPORTER_SLOTS];
};

/* Until 6.1 both are called without the lock. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define dma_buf_map_attachment_unlocked dma_buf_map_attachment
#define dma_buf_unmap_attachment_unlocked dma_buf_unmap_attachment
#endif

static void importer_move_notify(struct dma_buf_attachment *attach)
{
}

static const struct dma_buf_attach_ops importer_dynamic = {
	.move_notify = importer_move_notify,
};

static int importer_unmap(struct importer_slot *slot)
{
	if (!slot->table)
		return -EINVAL;
	dma_buf_unmap_attachment_unlocked(slot->attach, slot->table, DMA_BIDIRECTIONAL);
	slot->table = NULL;
	return 0;
}

static int importer_detach(struct importer_slot *slot)
{
	if (!slot->attach || slot->table)
		return -EINVAL;
	dma_buf_detach(slot->dmabuf, slot->attach);
	dma_buf_put(slot->dmabuf);
	*slot = (struct importer_slot){ 0 };
	return 0;
}

static int importer_attach(struct importer *importer, struct importer_slot *slot,
			   const struct importer_request *req)
{
	struct device *dev = importer->channel->device->dev;
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;

	if (slot->attach)
		return -EBUSY;
	dmabuf = dma_buf_get(req->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	attach = dma_buf_dynamic_attach(dmabuf, dev, req->to ? &importer_dynamic : NULL, NULL);
	if (IS_ERR(attach)) {
		dma_buf_put(dmabuf);
		return PTR_ERR(attach);
	}
	slot->dmabuf = dmabuf;
	slot->attach = attach;
	slot->dynamic = req->to;
	return 0;
}

static int importer_map(struct importer_slot *slot, struct importer_request *req)
{
	struct sg_table *table;

	if (!slot->attach || slot->table || slot->dynamic)
		return -EINVAL;
	table = dma_buf_map_attachment_unlocked(slot->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(table))
		return PTR_ERR(table);
	slot->table = table;
	req->offset = sg_dma_address(table->sgl);
	return 0;
}

/* Where the engine finds an offset, if all of the buffer is in one piece for it. */
static int importer_address(const struct importer_slot *slot, u64 offset, u64 size,
			    dma_addr_t *address)
{
	dma_addr_t next = 0;
	struct scatterlist *sg;
	u64 length = 0;
	int i;

	if (!slot->table)
		return -EINVAL;
	for_each_sgtable_dma_sg(slot->table, sg, i) {
		if (i && sg_dma_address(sg) != next)
			return -EIO;
		next = sg_dma_address(sg) + sg_dma_len(sg);
		length += sg_dma_len(sg);
	}
	if (offset > length || size > length - offset)
		return -EINVAL;
	*address = sg_dma_address(slot->table->sgl) + offset;
	return 0;
}

static int importer_copy_piece(struct dma_chan *channel, dma_addr_t to, dma_addr_t from, size_t size)
{
	struct dma_async_tx_descriptor *tx;
	dma_cookie_t cookie;

	tx = dmaengine_prep_dma_memcpy(channel, to, from, size, DMA_PREP_INTERRUPT | DMA_CTRL_ACK);
	if (!tx)
		return -ENOMEM;
	cookie = dmaengine_submit(tx);
	if (dma_submit_error(cookie))
		return -EIO;
	return dma_sync_wait(channel, cookie) == DMA_COMPLETE ? 0 : -ETIMEDOUT;
}

static int importer_copy(struct importer *importer, const struct importer_request *req)
{
	dma_addr_t from, to;
	u64 done;
	int ret;

	if (req->to >= IMPORTER_SLOTS)
		return -EINVAL;
	ret = importer_address(&importer->slots[req->slot], req->offset, req->size, &from);
	if (!ret)
		ret = importer_address(&importer->slots[req->to], req->to_offset, req->size, &to);
	for (done = 0; !ret && done < req->size; done += IMPORTER_PIECE)
		ret = importer_copy_piece(importer->channel, to + done, from + done,
					  min_t(u64, req->size - done, IMPORTER_PIECE));
	if (ret && dmaengine_terminate_sync(importer->channel))
		importer->runaway = true;
	return ret;
}

static int importer_do(struct importer *importer, unsigned int number, struct importer_request *req)
{
	struct importer_slot *slot = &importer->slots[req->slot];

	if (importer->runaway)
		return -EIO;
	switch (number) {
	case IMPORTER_ATTACH:
		return importer_attach(importer, slot, req);
	case IMPORTER_MAP:
		return importer_map(slot, req);
	case IMPORTER_UNMAP:
		return importer_unmap(slot);
	case IMPORTER_DETACH:
		return importer_detach(slot);
	case IMPORTER_COPY:
		return importer_copy(importer, req);
	default:
		return -ENOTTY;
	}
}

static long importer_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	struct importer *importer = file->private_data;
	struct importer_request req;
	int ret;

	if (copy_from_user(&req, (void __user *)argument, sizeof(req)))
		return -EFAULT;
	if (req.slot >= IMPORTER_SLOTS)
		return -EINVAL;
	mutex_lock(&importer->lock);
	ret = importer_do(importer, number, &req);
	mutex_unlock(&importer->lock);
	if (!ret && copy_to_user((void __user *)argument, &req, sizeof(req)))
		return -EFAULT;
	return ret;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = kzalloc(sizeof(*importer), GFP_KERNEL);
	dma_cap_mask_t mask;

	if (!importer)
		return -ENOMEM;
	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	importer->channel = dma_request_chan_by_mask(&mask);
	if (IS_ERR(importer->channel)) {
		kfree(importer);
		return -ENODEV;
	}
	mutex_init(&importer->lock);
	file->private_data = importer;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *importer = file->private_data;
	int i;

	if (importer->runaway) {
		pr_err("dma_importer: an engine would not stop: what it has stays as it is\n");
		return 0;
	}
	for (i = 0; i < IMPORTER_SLOTS; i++) {
		importer_unmap(&importer->slots[i]);
		importer_detach(&importer->slots[i]);
	}
	dma_release_channel(importer->channel);
	kfree(importer);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dma_importer",
	.fops = &importer_fops,
};
module_misc_device(importer_device);

MODULE_DESCRIPTION("Imports dma-bufs for a DMA engine, for the tests of cm");
MODULE_LICENSE("GPL");
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS(DMA_BUF);
#else
MODULE_IMPORT_NS("DMA_BUF");
#endif
