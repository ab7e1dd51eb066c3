/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * confine.c: see confine.h.
 *
 *	limits -> namespaces -> capabilities -> user -> Landlock -> seccomp
 *
 * Each of these walls stands by itself: what one kernel lacks, or one hole opens,
 * meets the next.
 */
#include "config.h"

#include "backend/worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cap-ng.h>

#include "backend/worker/syscalls.h"
#include "common/bits.h"
#include "common/log.h"

/* Files of 256 layers, each with one for its data, and what the worker has. */
#define MOST_FILES 1024

/* ---- limits ---- */

static void limit(int what, rlim_t most)
{
	const struct rlimit limit = { most, most };

	if (setrlimit(what, &limit))
		log_warn("limit %d: %s", what, strerror(errno));
}

static void lower_limits(const struct confine *c)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, MOST_FILES);
	if (c->address_space)
		limit(RLIMIT_AS, c->address_space);
}

/* ---- namespaces ---- */

/* The current folder, a mount, becomes the root, and what was it is let go of: or,
 * where that is the initial ramfs, which cannot be left, hidden below. */
static int take_as_root(void)
{
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return umount2(".", MNT_DETACH) ? -errno : 0;
	return errno != EINVAL || mount(".", "/", NULL, MS_MOVE, NULL) ||
	       chroot(".") ? -errno : 0;
}

/* An empty file system without room takes the place of all others. */
static int empty_root(void)
{
	int ret;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC |
		  MS_RDONLY, "size=4k,nr_inodes=1,mode=0555") ||
	    chdir("/proc"))
		return -errno;
	ret = take_as_root();
	return ret || chdir("/") == 0 ? ret : -errno;
}

/* Where the kernel, or the unit, gives them. */
static void leave_namespaces(const struct confine *c)
{
	int ret = unshare(CLONE_NEWIPC | (c->network ? 0 : CLONE_NEWNET));

	if (ret)
		log_debug("no network and IPC of its own: %s", strerror(errno));
	ret = unshare(CLONE_NEWNS) ? -errno : 0;
	if (ret == 0 && !c->network)
		ret = empty_root();
	if (ret)
		log_debug("no empty root: %s", strerror(-ret));
}

/* ---- user and capabilities ---- */

static int leave_root(const struct confine *c, struct error *err)
{
	uid_t uid = c->uid;

	capng_clear(CAPNG_SELECT_ALL);
	if (geteuid() == 0 && capng_apply(CAPNG_SELECT_BOUNDS))
		return error_set(err, EPERM, "the bounding set of capabilities "
				 "cannot be emptied");
	if (uid && (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
		    setresuid(uid, uid, uid)))
		return error_set_errno(err, errno, "cannot become user %u",
				       (unsigned int)uid);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return error_set(err, EPERM, "capabilities cannot be given up");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return error_set_errno(err, errno, "prctl");
	return 0;
}

/* ---- Landlock ---- */

/* The rights that each version of it knows, landlock(7). */
static uint64_t rights_known(int version)
{
	uint64_t rights = (1ull << 13) - 1;	/* execute ... make_sym */

	if (version >= 2)
		rights |= 1ull << 13;		/* refer */
	if (version >= 3)
		rights |= 1ull << 14;		/* truncate */
	if (version >= 5)
		rights |= 1ull << 15;		/* ioctl_dev */
	return rights;
}

/* As the kernel has it since version 6; older ones take the first member. */
struct ruleset {
	uint64_t fs, net, scoped;
};

static int allow_reading_all(int ruleset)
{
	struct landlock_path_beneath_attr all = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE |
				  LANDLOCK_ACCESS_FS_READ_DIR,
		.parent_fd = open("/", O_PATH | O_CLOEXEC),
	};
	int ret = 0;

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		    &all, 0))
		ret = -errno;
	close(all.parent_fd);
	return ret;
}

static int restrict_paths(const struct confine *c)
{
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
				   LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset all = { .fs = rights_known(version) };
	size_t size = sizeof(all.fs);
	int fd, ret = 0;

	if (version < 0)
		return -errno;
	if (version >= 4 && !c->network) {
		all.net = 3;			/* bind and connect to TCP */
		size = offsetof(struct ruleset, scoped);
	}
	if (version >= 6 && !c->network) {
		all.scoped = 3;			/* abstract sockets, signals */
		size = sizeof(all);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
	if (fd < 0)
		return -errno;
	if (c->network)
		ret = allow_reading_all(fd);
	if (ret == 0 && syscall(SYS_landlock_restrict_self, fd, 0))
		ret = -errno;
	close(fd);
	return ret;
}

/* ---- system calls ---- */

static int load_filter(scmp_filter_ctx ctx, unsigned int phases)
{
	/* A binary tree; no_new_privs is set; all threads, new and old. */
	int ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);

	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (ret == 0)
		ret = syscalls_allow(ctx, phases);
	return ret ? ret : seccomp_load(ctx);
}

static int restrict_syscalls(unsigned int phases, struct error *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret = ctx ? seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) :
			-ENOMEM;

	if (ret == 0)
		ret = load_filter(ctx, phases);
	seccomp_release(ctx);
	return ret ? error_set_errno(err, -ret, "the list of system calls") : 0;
}

static unsigned int phases_of(const struct confine *c, enum syscall_phase now)
{
	return now | (c->network ? PHASE_NETWORK : 0);
}

/* ---- the sandbox that only looks ---- */

#define MOST_SYSCALLS 512

static struct {
	const struct confine *confine;
	unsigned int phases;		/* atomic: of now */
	int fd;				/* of the kernel's notices */
	unsigned int refused[MOST_SYSCALLS];
} watched;

static void note_refused(const struct seccomp_data *call)
{
	char *name;

	if (call->nr < 0 || call->nr >= MOST_SYSCALLS ||
	    watched.refused[call->nr]++)
		return;
	name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call->nr);
	log_warn("sandbox: %s(%#llx, %#llx, %#llx) would end the worker",
		 name ? name : "a call", call->args[0], call->args[1],
		 call->args[2]);
	free(name);
}

/* A thread that the filter does not hold. */
static void *watch_syscalls(void *arg)
{
	struct seccomp_notif *ask = NULL;
	struct seccomp_notif_resp *answer = NULL;

	if (seccomp_notify_alloc(&ask, &answer))
		return NULL;
	while (__atomic_load_n(&watched.fd, __ATOMIC_ACQUIRE) < 0)
		usleep(1000);
	for (;;) {
		memset(ask, 0, sizeof(*ask));
		if (seccomp_notify_receive(watched.fd, ask))
			continue;
		if (!syscalls_has(__atomic_load_n(&watched.phases,
						  __ATOMIC_ACQUIRE),
				  ask->data.nr))
			note_refused(&ask->data);
		*answer = (struct seccomp_notif_resp){
			.id = ask->id,
			.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE,
		};
		seccomp_notify_respond(watched.fd, answer);
	}
	return NULL;
}

/* Everything that a connected worker may not do is asked about, as the rules can
 * only be added to, and waved through. */
static int watch_only(const struct confine *c, struct error *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_NOTIFY);
	pthread_t thread;
	int ret = ctx ? 0 : -ENOMEM;

	watched.confine = c;
	watched.phases = phases_of(c, PHASE_OPENING);
	watched.fd = -1;
	if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		ret = -errno;
	if (ret == 0)
		ret = -pthread_create(&thread, NULL, watch_syscalls, NULL);
	if (ret == 0)
		ret = load_filter(ctx, phases_of(c, PHASE_CONNECTED));
	if (ret == 0)
		__atomic_store_n(&watched.fd, seccomp_notify_fd(ctx),
				 __ATOMIC_RELEASE);
	/* The context keeps the descriptor open. */
	return ret ? error_set_errno(err, -ret, "watching system calls") : 0;
}

void confine_report(void)
{
	if (!watched.confine)
		return;
	for (int nr = 0; nr < MOST_SYSCALLS; nr++) {
		char *name;

		if (!watched.refused[nr])
			continue;
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		log_warn("sandbox: %s was called %u times", name ? name : "?",
			 watched.refused[nr]);
		free(name);
	}
}

/* ---- all of it ---- */

int confine_but_syscalls(const struct confine *c, struct error *err)
{
	int ret;

	lower_limits(c);
	if (geteuid() == 0)
		leave_namespaces(c);
	ret = leave_root(c, err);
	if (ret)
		return ret;
	ret = restrict_paths(c);
	if (ret)
		log_info("no Landlock: %s", strerror(-ret));
	return 0;
}

/* The sanitizers' runtime makes calls of its own, and opens files to tell what it
 * has found. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

int confine(const struct confine *c, struct error *err)
{
	int ret;

	if (c->sandbox == SANDBOX_OFF || SANITIZED)
		return 0;
	if (c->sandbox == SANDBOX_LOG)
		return watch_only(c, err);
	ret = confine_but_syscalls(c, err);
	return ret ? ret : restrict_syscalls(phases_of(c, PHASE_OPENING), err);
}

int confine_connected(const struct confine *c, struct error *err)
{
	if (c->sandbox == SANDBOX_LOG)
		__atomic_store_n(&watched.phases,
				 phases_of(c, PHASE_CONNECTED),
				 __ATOMIC_RELEASE);
	if (c->sandbox != SANDBOX_ON || SANITIZED)
		return 0;
	return restrict_syscalls(phases_of(c, PHASE_CONNECTED), err);
}
