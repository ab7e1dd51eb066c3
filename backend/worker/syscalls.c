/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syscalls.c: see syscalls.h.
 *
 * Arguments are only judged where that does not cost a request anything: the
 * kernel keeps a bitmap of calls that are allowed whatever their arguments, and
 * runs the filter for the others. ioctl(2) is on the way of a request, once or
 * twice a batch, and judged all the same: what it can do to a device is endless.
 */
#include "backend/worker/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <xen/grant_table.h>
#include <xen/xen.h>

#include <xen/evtchn.h>
#include <xen/gntdev.h>

#include "common/bits.h"

#define OPENING PHASE_OPENING
#define CONNECTED PHASE_CONNECTED
#define BOTH (PHASE_OPENING | PHASE_CONNECTED)
#define NETWORK PHASE_NETWORK

/* ---- whatever their arguments ---- */

static const struct {
	int nr;
	unsigned int phases;
} plain[] = {
	/* images */
	{ SCMP_SYS(preadv2), BOTH },
	{ SCMP_SYS(pwritev), BOTH },
	{ SCMP_SYS(fdatasync), BOTH },
	{ SCMP_SYS(fallocate), BOTH },
	{ SCMP_SYS(ftruncate), BOTH },
	{ SCMP_SYS(lseek), BOTH },
	{ SCMP_SYS(fstat), BOTH },
	{ SCMP_SYS(newfstatat), BOTH },	/* the C library's fstat(2) */
	{ SCMP_SYS(io_uring_enter), BOTH },
	{ SCMP_SYS(io_uring_register), BOTH },
	{ SCMP_SYS(io_submit), BOTH },
	{ SCMP_SYS(io_getevents), BOTH },
	{ SCMP_SYS(io_destroy), BOTH },
	{ SCMP_SYS(pread64), OPENING },
	{ SCMP_SYS(io_setup), OPENING },
	{ SCMP_SYS(statx), OPENING },
	{ SCMP_SYS(fstatfs), OPENING },
	{ SCMP_SYS(fadvise64), OPENING },
	{ SCMP_SYS(getrandom), OPENING },
	{ SCMP_SYS(getrusage), BOTH },
	{ SCMP_SYS(sysinfo), BOTH },	/* qsort(3) */

	/* the supervisor, the opener, events, the log */
	{ SCMP_SYS(read), BOTH },
	{ SCMP_SYS(write), BOTH },
	{ SCMP_SYS(close), BOTH },
	{ SCMP_SYS(recvfrom), BOTH },
	{ SCMP_SYS(recvmsg), OPENING },		/* descriptors */
	{ SCMP_SYS(sendto), OPENING },
	{ SCMP_SYS(sendmsg), BOTH },
	{ SCMP_SYS(shutdown), BOTH },
	{ SCMP_SYS(epoll_ctl), BOTH },
	{ SCMP_SYS(epoll_wait), BOTH },
	{ SCMP_SYS(eventfd2), BOTH },

	/* memory, threads, the end */
	{ SCMP_SYS(brk), BOTH },
	{ SCMP_SYS(munmap), BOTH },
	{ SCMP_SYS(mremap), BOTH },
	{ SCMP_SYS(madvise), BOTH },
	{ SCMP_SYS(mlock), OPENING },	/* keys */
	{ SCMP_SYS(futex), BOTH },
	{ SCMP_SYS(set_robust_list), BOTH },
	{ SCMP_SYS(rseq), BOTH },
	{ SCMP_SYS(rt_sigaction), BOTH },	/* the first thread */
	{ SCMP_SYS(rt_sigprocmask), BOTH },
	{ SCMP_SYS(rt_sigreturn), BOTH },
	{ SCMP_SYS(restart_syscall), BOTH },
	{ SCMP_SYS(clock_gettime), BOTH },	/* without a vdso */
	{ SCMP_SYS(clock_nanosleep), BOTH },	/* a page that is paged out */
	{ SCMP_SYS(exit), BOTH },
	{ SCMP_SYS(exit_group), BOTH },
	{ SCMP_SYS(seccomp), OPENING },		/* to allow less */
	{ SCMP_SYS(sched_getaffinity), OPENING },

	/* servers: libnbd, libcurl, the resolver; Landlock leaves them to read */
	{ SCMP_SYS(socket), NETWORK },
	{ SCMP_SYS(socketpair), NETWORK },
	{ SCMP_SYS(connect), NETWORK },
	{ SCMP_SYS(bind), NETWORK },
	{ SCMP_SYS(getsockname), NETWORK },
	{ SCMP_SYS(getpeername), NETWORK },
	{ SCMP_SYS(getsockopt), NETWORK },
	{ SCMP_SYS(setsockopt), NETWORK },
	{ SCMP_SYS(recvmsg), NETWORK },
	{ SCMP_SYS(recvmmsg), NETWORK },
	{ SCMP_SYS(sendmmsg), NETWORK },
	{ SCMP_SYS(sendto), NETWORK },
	{ SCMP_SYS(getrandom), NETWORK },
	{ SCMP_SYS(getpid), NETWORK },
	{ SCMP_SYS(poll), NETWORK },
	{ SCMP_SYS(ppoll), NETWORK },
	{ SCMP_SYS(openat), NETWORK },
	{ SCMP_SYS(access), NETWORK },
	{ SCMP_SYS(faccessat), NETWORK },
	{ SCMP_SYS(faccessat2), NETWORK },
	{ SCMP_SYS(getdents64), NETWORK },
	{ SCMP_SYS(readlink), NETWORK },
	{ SCMP_SYS(readlinkat), NETWORK },
	{ SCMP_SYS(statfs), NETWORK },
	{ SCMP_SYS(uname), NETWORK },
	{ SCMP_SYS(getuid), NETWORK },
	{ SCMP_SYS(geteuid), NETWORK },
	{ SCMP_SYS(getgid), NETWORK },
	{ SCMP_SYS(getegid), NETWORK },
	{ SCMP_SYS(gettid), NETWORK },

	{ SCMP_SYS(pipe2), NETWORK },
	{ SCMP_SYS(dup), NETWORK },
	{ SCMP_SYS(prctl), NETWORK },
	{ SCMP_SYS(sched_yield), NETWORK },
	{ SCMP_SYS(gettimeofday), NETWORK },
	{ SCMP_SYS(prlimit64), NETWORK },
};

/* ---- with certain arguments ---- */

static const struct {
	unsigned int request, phases;
} ioctls[] = {
	{ IOCTL_GNTDEV_MAP_GRANT_REF, BOTH },
	{ IOCTL_GNTDEV_UNMAP_GRANT_REF, BOTH },
	{ IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, BOTH },
	{ IOCTL_GNTDEV_GRANT_COPY, BOTH },
	{ IOCTL_EVTCHN_BIND_INTERDOMAIN, OPENING },
	{ IOCTL_EVTCHN_UNBIND, BOTH },
	{ IOCTL_EVTCHN_NOTIFY, BOTH },
	{ BLKDISCARD, BOTH },
	{ BLKZEROOUT, BOTH },
	{ BLKGETSIZE64, BOTH },
	{ BLKSSZGET, OPENING },
	{ BLKPBSZGET, OPENING },
	{ FIONREAD, NETWORK },
	{ FIONBIO, NETWORK },
};

static const struct {
	int command;
	unsigned int phases;
} fcntls[] = {
	{ F_GETFL, BOTH },
	{ F_SETFL, BOTH },
	{ F_OFD_SETLK, BOTH },
	{ F_OFD_GETLK, BOTH },
	{ F_GETFD, NETWORK },
	{ F_SETFD, NETWORK },
	{ F_DUPFD_CLOEXEC, NETWORK },
};

/* A thread, and no process: clone(2) as the C library calls it. */
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | \
		      CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | \
		      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static int allow_thread(scmp_filter_ctx ctx)
{
	int ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				   SCMP_A0(SCMP_CMP_EQ, THREAD_FLAGS));

	/* Its arguments lie in memory; the C library then takes clone(2). */
	return ret ? ret : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
					    SCMP_SYS(clone3), 0);
}

/* No memory that can be executed. */
static int allow_memory(scmp_filter_ctx ctx)
{
	int ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	return ret ? ret : seccomp_rule_add(ctx, SCMP_ACT_ALLOW,
					    SCMP_SYS(mprotect), 1,
					    SCMP_A2(SCMP_CMP_MASKED_EQ,
						    PROT_EXEC, 0));
}

static int allow_requests(scmp_filter_ctx ctx, unsigned int phases)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(ioctls); i++) {
		if (ioctls[i].phases & phases)
			ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW,
					       SCMP_SYS(ioctl), 1,
					       SCMP_A1(SCMP_CMP_MASKED_EQ,
						       UINT32_MAX,
						       ioctls[i].request));
	}
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(fcntls); i++) {
		if (fcntls[i].phases & phases)
			ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW,
					       SCMP_SYS(fcntl), 1,
					       SCMP_A1(SCMP_CMP_EQ,
						       (scmp_datum_t)
						       fcntls[i].command));
	}
	return ret;
}

/* -EDOM: this processor has no such call, or not as one of its own. */
static int allow_plain(scmp_filter_ctx ctx, unsigned int phases)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(plain); i++) {
		if (plain[i].phases & phases)
			ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW,
					       plain[i].nr, 0);
		if (ret == -EDOM)
			ret = 0;
	}
	return ret;
}

int syscalls_allow(scmp_filter_ctx ctx, unsigned int phases)
{
	int ret = allow_plain(ctx, phases);

	if (ret == 0)
		ret = allow_requests(ctx, phases);
	if (ret == 0)
		ret = allow_memory(ctx);
	return ret ? ret : allow_thread(ctx);
}

bool syscalls_has(unsigned int phases, int nr)
{
	static const int judged[] = {
		SCMP_SYS(ioctl), SCMP_SYS(fcntl), SCMP_SYS(mmap),
		SCMP_SYS(mprotect), SCMP_SYS(clone), SCMP_SYS(clone3),
	};

	for (size_t i = 0; i < ARRAY_SIZE(judged); i++) {
		if (judged[i] == nr)
			return phases & OPENING;
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		if (plain[i].nr == nr && (plain[i].phases & phases))
			return true;
	}
	return false;
}
