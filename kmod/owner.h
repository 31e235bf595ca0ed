/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Owner: whose a chunk is, and whose quota it uses.
 */
#ifndef CM_OWNER_H
#define CM_OWNER_H

#include <linux/sched.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct file;

/**
 * struct cm_owner - a user, and a process of theirs
 * @uid:     the user
 * @account: the user whose quota is used
 * @exceeds: the process may have more than that
 * @pid:     the process, in the initial pid namespace; 0 when only the user
 *           matters
 * @comm:    its name
 */
struct cm_owner {
	kuid_t uid;
	kuid_t account;
	bool exceeds;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

void cm_owner_of_file(struct cm_owner *owner, const struct file *file);
void cm_owner_of_caller(struct cm_owner *owner, const struct cm_owner *opener);
int cm_owner_of_process(struct cm_owner *owner, pid_t number);

#endif /* CM_OWNER_H */
