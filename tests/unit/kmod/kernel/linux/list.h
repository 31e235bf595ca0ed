/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/*
 * Host stand-in: circular doubly linked lists. Macros only, so that the preprocessed header is
 * nothing but declarations, which cffi can read.
 */
#ifndef HOST_LINUX_LIST_H
#define HOST_LINUX_LIST_H

struct list_head {
	struct list_head *next;
	struct list_head *prev;
};

#define list_entry(node, type, member) \
	((type *)((char *)(node) - __builtin_offsetof(type, member)))

#define INIT_LIST_HEAD(head) ((head)->next = (head)->prev = (head))

#define list_add(added, behind) do {			\
	struct list_head *added_ = (added);		\
	struct list_head *before_ = (behind);		\
	added_->prev = before_;				\
	added_->next = before_->next;			\
	before_->next->prev = added_;			\
	before_->next = added_;				\
} while (0)

#define list_empty(head) ((head)->next == (head))

#define list_del_init(removed) do {			\
	struct list_head *removed_ = (removed);		\
	removed_->prev->next = removed_->next;		\
	removed_->next->prev = removed_->prev;		\
	INIT_LIST_HEAD(removed_);			\
} while (0)

#endif
