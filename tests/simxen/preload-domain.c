/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preload-domain.c: domains, grants and counters below libsimxen.so.
 *
 * All of a domain's memory is mapped once a process, on first use, so that a
 * grant copy is a memcpy. A domain that was destroyed and made again under the
 * same number is noticed by the old table's `alive`, and mapped afresh.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/gntdev.h>

#include "tests/simxen/preload.h"

static struct foreign domains[SIMXEN_MAX_DOMID];
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static struct simxen_stats no_stats;
static struct simxen_stats *stats;
static char stats_path[128];

bool preload_path(char *buf, size_t size, const char *fmt, ...)
{
	const char *dir = getenv("SIMXEN_DIR");
	va_list ap;
	int n, m;

	n = snprintf(buf, size, "%s/", dir ? dir : "/run/simxen");
	if (n < 0 || (size_t)n >= size)
		return false;
	va_start(ap, fmt);
	m = vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
	return m >= 0 && (size_t)m < size - n;
}

static void domain_unmap(struct foreign *f)
{
	if (!f->grants)
		return;
	munmap(f->mem, (size_t)f->grants->nr * SIMXEN_PAGE);
	munmap(f->grants, sizeof(*f->grants) +
	       f->grants->nr * sizeof(f->grants->grant[0]));
	close(f->mem_fd);
	memset(f, 0, sizeof(*f));
}

static void *map_file(const char *name, uint32_t domid, int *fd, size_t *size)
{
	char path[128];
	struct stat st;
	void *p;

	if (!preload_path(path, sizeof(path), "%s.%u", name, domid))
		return NULL;
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return NULL;
	if (fstat(*fd, &st) < 0 || !st.st_size) {
		close(*fd);
		return NULL;
	}
	*size = st.st_size;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED) {
		close(*fd);
		return NULL;
	}
	return p;
}

static bool domain_map(uint32_t domid, struct foreign *f)
{
	size_t mem_size, grants_size;
	int grants_fd;

	f->mem = map_file("mem", domid, &f->mem_fd, &mem_size);
	if (!f->mem)
		return false;
	f->grants = map_file("grants", domid, &grants_fd, &grants_size);
	if (!f->grants) {
		munmap(f->mem, mem_size);
		close(f->mem_fd);
		memset(f, 0, sizeof(*f));
		return false;
	}
	close(grants_fd);
	return true;
}

static bool domain_usable(const struct foreign *f)
{
	return f->grants && __atomic_load_n(&f->grants->alive, __ATOMIC_ACQUIRE);
}

static void domain_refresh(uint32_t domid)
{
	struct foreign *f = &domains[domid];

	pthread_rwlock_wrlock(&lock);
	if (!domain_usable(f) && !preload_restricted()) {
		domain_unmap(f);
		domain_map(domid, f);
	}
	pthread_rwlock_unlock(&lock);
}

struct foreign *preload_lock_domain(uint32_t domid)
{
	int tries;

	if (domid < SIMXEN_MAX_DOMID) {
		for (tries = 0; tries < 2; tries++) {
			pthread_rwlock_rdlock(&lock);
			if (domain_usable(&domains[domid]))
				return &domains[domid];
			pthread_rwlock_unlock(&lock);
			domain_refresh(domid);
		}
	}
	errno = ESRCH;
	return NULL;
}

void preload_unlock(void)
{
	pthread_rwlock_unlock(&lock);
}

/* Takes one of the injected faults, if any are left. */
static int injected(uint32_t *flags)
{
	uint32_t v = __atomic_load_n(flags, __ATOMIC_ACQUIRE);

	while (v >> 16) {
		uint32_t left = v >> 16;
		uint32_t next = left == SIMXEN_FOREVER ? v : v - (1u << 16);

		if (__atomic_compare_exchange_n(flags, &v, next, false,
						__ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return -(int)((v >> 8) & 0xff);
	}
	return 0;
}

int preload_grant_status(struct foreign *f, uint32_t ref, bool write)
{
	uint32_t flags;
	int status;

	if (ref >= f->grants->nr)
		return GNTST_bad_gntref;
	status = injected(&f->grants->grant[ref].flags);
	if (status)
		return status;
	flags = __atomic_load_n(&f->grants->grant[ref].flags, __ATOMIC_ACQUIRE);
	if (!(flags & SIMXEN_GRANT_VALID))
		return GNTST_bad_gntref;
	if (write && (flags & SIMXEN_GRANT_READONLY))
		return GNTST_general_error;
	return GNTST_okay;
}

void preload_remove_stats(void)
{
	unlink(stats_path);
}

static void stats_remove(void)
{
	if (stats && stats != &no_stats && !preload_restricted())
		preload_remove_stats();
}

/* A child counts for itself. */
static void stats_forget(void)
{
	stats = NULL;
}

static struct simxen_stats *stats_create(void)
{
	static bool registered;
	struct simxen_stats *s = &no_stats;
	int fd;

	if (!preload_path(stats_path, sizeof(stats_path), "stats.%d", getpid()))
		return s;
	fd = open(stats_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return s;
	if (ftruncate(fd, sizeof(*s)) == 0)
		s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED,
			 fd, 0);
	close(fd);
	if (s == MAP_FAILED)
		return &no_stats;
	snprintf(s->name, sizeof(s->name), "%s", program_invocation_short_name);
	if (!registered) {
		pthread_atfork(NULL, NULL, stats_forget);
		atexit(stats_remove);
		registered = true;
	}
	return s;
}

struct simxen_stats *preload_stats(void)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;

	if (!__atomic_load_n(&stats, __ATOMIC_ACQUIRE)) {
		pthread_mutex_lock(&once);
		if (!stats)
			__atomic_store_n(&stats, stats_create(),
					 __ATOMIC_RELEASE);
		pthread_mutex_unlock(&once);
	}
	return stats;
}

/* The least that a driver does, and a call that a sandbox lets through. */
void preload_trap(void)
{
	syscall(SYS_ioctl, -1, IOCTL_GNTDEV_GRANT_COPY, 0);
}
