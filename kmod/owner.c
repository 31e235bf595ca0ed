// SPDX-License-Identifier: GPL-2.0
/*
 * Owner: whose a chunk is, and whose quota it uses.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "compat.h"
#include "owner.h"
#include "quota.h"

static void owner_read_user(struct cm_owner *owner, const struct cred *cred)
{
	*owner = (struct cm_owner){
		.uid = cred->euid,
		.account = cm_quota_account(cred),
	};
}

/*
 * As capable(CAP_SYS_RESOURCE) is of the caller, but that security modules are
 * not asked: has_capability() reads the credentials anew, which may be another
 * user's by then.
 */
static bool owner_is_capable(const struct cred *cred)
{
	return cred->user_ns == &init_user_ns &&
	       cap_raised(cred->cap_effective, CAP_SYS_RESOURCE);
}

/* @leader: of the process' threads */
static void owner_read_process(struct cm_owner *owner,
			       struct task_struct *leader)
{
	owner->pid = task_tgid_nr(leader);
	get_task_comm(owner->comm, leader);
}

/**
 * cm_owner_of_file() - the user who opened a node
 * @owner: filled in, but for the process
 * @file:  the open file
 */
void cm_owner_of_file(struct cm_owner *owner, const struct file *file)
{
	owner_read_user(owner, file->f_cred);
}

/**
 * cm_owner_of_caller() - the owner of what the caller allocates for themselves
 * @owner:  filled in
 * @opener: the user who opened the node, who need not be the caller's
 */
void cm_owner_of_caller(struct cm_owner *owner, const struct cm_owner *opener)
{
	*owner = *opener;
	owner->exceeds = capable(CAP_SYS_RESOURCE);
	owner_read_process(owner, current->group_leader);
}

/**
 * cm_owner_of_process() - the owner of what is allocated on behalf of a process
 * @owner:  filled in
 * @number: of the process, in the caller's pid namespace
 *
 * A capability of the caller does not exceed the quota of the process.
 *
 * Return: 0; EPERM, whatever @number is, without CAP_SYS_RESOURCE; ESRCH when no
 * process that lives has this number, which may be that of another thread than
 * its first one.
 */
int cm_owner_of_process(struct cm_owner *owner, pid_t number)
{
	struct task_struct *leader;
	const struct cred *cred;
	struct pid *pid;
	int ret = -ESRCH;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	pid = find_get_pid(number);
	leader = get_pid_task(pid, PIDTYPE_TGID);
	put_pid(pid);
	if (!leader)
		return -ESRCH;
	/* Its first thread may have ended before the others. */
	if (atomic_read(&leader->signal->live)) {
		cred = get_task_cred(leader);
		owner_read_user(owner, cred);
		owner->exceeds = owner_is_capable(cred);
		put_cred(cred);
		owner_read_process(owner, leader);
		ret = 0;
	}
	put_task_struct(leader);
	return ret;
}
