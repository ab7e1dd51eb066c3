/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * captured.c: libcaptured.so, preloaded under the daemon: its workers do what an
 * attacker wants as soon as they serve a disk, confined as they are then.
 *
 * The file `attack` in $CAPTURED_DIR names the domain and the attack, one word
 * each; what became of it stands in `result`, which is mapped before: "begun",
 * then what the call returned, and errno.
 */
#include "config.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif
#include <xenevtchn.h>

#include "backend/protocol.h"
#include "opener/wire.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RESULT_SIZE 4096

static char domain[32], attack[64];
static char *result;

/* ---- attacks; each returns what its call did ---- */

static long open_file(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static long create_file(void)
{
	return open("/tmp/captured", O_WRONLY | O_CREAT, 0600);
}

static long remove_file(void)
{
	return unlink("/tmp/captured");
}

static long run_program(void)
{
	char *argv[] = { "sh", NULL };

	return execv("/bin/sh", argv);
}

static long make_process(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long open_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long open_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long kill_parent(void)
{
	return kill(getppid(), SIGKILL);
}

static long kill_all(void)
{
	return kill(-1, SIGKILL);
}

static long trace_parent(void)
{
	return ptrace(PTRACE_SEIZE, 1, 0, 0);
}

static long read_parent(void)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { &domain, 1 };

	return process_vm_readv(1, &here, 1, &there, 1, 0);
}

static long map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long become_root(void)
{
	return setuid(0);
}

static long mount_proc(void)
{
	return mount("proc", "/", "proc", 0, NULL);
}

static long new_user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static long new_ring(void)
{
	return syscall(SYS_io_uring_setup, 8, NULL);
}

static long scsi_command(void)
{
	return syscall(SYS_ioctl, 0, 0x2285, NULL);	/* SG_IO */
}

static long bind_virq(void)
{
	return syscall(SYS_ioctl, 0, 0x44500, NULL);	/* IOCTL_EVTCHN_... */
}

/* What all files are open for is over. */
static long ask_opener(void)
{
	const struct wire_ask ask = {
		.purpose = OPENER_BACKING, .by_len = WIRE_UNNAMED, .name_len = 11,
	};
	char packet[sizeof(ask) + 11];

	memcpy(packet, &ask, sizeof(ask));
	memcpy(packet + sizeof(ask), "/etc/passwd", 11);
	return sendmsg(OPENER_FD, &(struct msghdr){
		.msg_iov = &(struct iovec){ packet, sizeof(packet) },
		.msg_iovlen = 1 }, MSG_NOSIGNAL);
}

/* Not answered, and the end of this worker. */
static long lie_to_supervisor(void)
{
	static const char text[] = "{\"return\": {}, \"command\": \"open\"}";

	sendmsg(WORKER_FD, &(struct msghdr){
		.msg_iov = &(struct iovec){ (void *)text, sizeof(text) - 1 },
		.msg_iovlen = 1 }, MSG_NOSIGNAL);
	for (;;)
		sched_yield();
}

/* Everything stands still, but for the processor. */
static long compute(void)
{
	for (;;)
		__asm__ volatile("");
}

#ifdef HAVE_LIBURING
static struct io_uring *ring;

static long submit(struct io_uring_sqe *sqe)
{
	struct io_uring_cqe *cqe;
	long ret;

	io_uring_submit_and_wait(ring, 1);
	if (io_uring_peek_cqe(ring, &cqe))
		return -1;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	errno = ret < 0 ? (int)-ret : 0;
	return ret;
}

static long ring_open(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	return submit(sqe);
}

static long ring_open_fixed(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	return submit(sqe);
}

static long ring_socket(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_nop(sqe);
	sqe->opcode = 45;		/* IORING_OP_SOCKET, Linux 5.19 */
	sqe->fd = AF_INET;
	sqe->off = SOCK_STREAM;
	return submit(sqe);
}

static long ring_read_other(void)
{
	static char byte;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, 0, &byte, 1, 0);
	return submit(sqe);
}

static long ring_unrestrict(void)
{
	struct io_uring_restriction all = { 0 };

	return syscall(SYS_io_uring_register, ring->ring_fd,
		       IORING_REGISTER_RESTRICTIONS, &all, 1);
}

static long ring_register_buffers(void)
{
	struct iovec iov = { result, RESULT_SIZE };

	return syscall(SYS_io_uring_register, ring->ring_fd,
		       IORING_REGISTER_BUFFERS, &iov, 1);
}

int io_uring_queue_init(unsigned int entries, struct io_uring *r,
			unsigned int flags)
{
	int (*real)(unsigned int, struct io_uring *, unsigned int) =
		dlsym(RTLD_NEXT, "io_uring_queue_init");

	ring = r;
	return real(entries, r, flags);
}
#endif

static const struct {
	const char *name;
	long (*run)(void);
} attacks[] = {
	{ "open-file", open_file }, { "create-file", create_file },
	{ "remove-file", remove_file }, { "run-program", run_program },
	{ "make-process", make_process }, { "open-socket", open_socket },
	{ "open-unix-socket", open_unix_socket },
	{ "kill-parent", kill_parent }, { "kill-all", kill_all },
	{ "trace-parent", trace_parent }, { "read-parent", read_parent },
	{ "map-code", map_code }, { "become-root", become_root },
	{ "mount-proc", mount_proc }, { "new-ring", new_ring },
	{ "new-user-namespace", new_user_namespace },
	{ "scsi-command", scsi_command }, { "bind-virq", bind_virq },
	{ "ask-opener", ask_opener }, { "lie", lie_to_supervisor },
	{ "compute", compute },
#ifdef HAVE_LIBURING
	{ "ring-open", ring_open }, { "ring-open-fixed", ring_open_fixed },
	{ "ring-socket", ring_socket }, { "ring-read-other", ring_read_other },
	{ "ring-unrestrict", ring_unrestrict },
	{ "ring-register-buffers", ring_register_buffers },
#endif
};

static void do_attack(void)
{
	long ret;

	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		if (strcmp(attacks[i].name, attack))
			continue;
		attack[0] = 0;
		snprintf(result, RESULT_SIZE, "begun\n");
		errno = 0;
		ret = attacks[i].run();
		snprintf(result, RESULT_SIZE, "%s %d\n",
			 ret < 0 ? "refused" : "done", errno);
		return;
	}
}

/* The first one: the rings are served, and the sandbox is shut. */
int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	int (*real)(xenevtchn_handle *, evtchn_port_t) =
		dlsym(RTLD_NEXT, "xenevtchn_unmask");

	if (attack[0])
		do_attack();
	return real(xce, port);
}

/* Of which domain this worker is stands in its arguments: --name "vbd D/N". */
__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *dir = getenv("CAPTURED_DIR");
	char path[256];
	FILE *f;
	int fd;

	if (!dir || argc < 3 || strcmp(program_invocation_short_name,
				       "xdisk-worker"))
		return;
	snprintf(path, sizeof(path), "%s/attack", dir);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fscanf(f, "%31s %63s", domain, attack) != 2 ||
	    strncmp(argv[2], "vbd ", 4) || strncmp(argv[2] + 4, domain,
						   strlen(domain)))
		attack[0] = 0;
	fclose(f);
	snprintf(path, sizeof(path), "%s/result", dir);
	fd = attack[0] ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd >= 0)
		result = mmap(NULL, RESULT_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED, fd, 0);
	if (fd < 0 || result == MAP_FAILED)
		attack[0] = 0;
	if (fd >= 0)
		close(fd);
}
