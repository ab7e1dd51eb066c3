/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake-front.h: a frontend and an owner for tests of blkif/, in one process.
 *
 * The frontend is written from the protocol: its layouts are typed in from
 * xen/io/blkif.h's description and share no code with blkif/. The owner is a
 * disk in memory that answers at once or when it is told to. Below both is
 * fake-xen.h.
 */
#ifndef XD_TESTS_FAKE_FRONT_H
#define XD_TESTS_FAKE_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "blkif/blkif.h"
#include "tests/unit/fake-xen.h"

enum { OP_READ, OP_WRITE, OP_BARRIER, OP_FLUSH, OP_PACKET, OP_DISCARD,
       OP_INDIRECT };
enum { RSP_OKAY = 0, RSP_ERROR = -1, RSP_EOPNOTSUPP = -2 };

#define DISK_SECTORS 4096u
#define RING_GREF 1000u		/* of queue 0; the next ones follow */
#define DATA_GREF 100u
#define DESC_GREF 50u
#define PAGE 4096u

struct seg {
	uint32_t gref;
	uint8_t first, last;
	uint16_t pad;
};

struct rsp {
	uint64_t id;
	uint8_t op, hole;
	int16_t status;
};

struct ring_page {
	uint32_t req_prod, req_event, rsp_prod, rsp_event;
	uint8_t pad[48];
	char entry[];
};

struct front {
	struct ring_page *ring;
	unsigned int size, stride;
	uint32_t prod, cons;
	uint64_t next_id;
};

struct event {
	enum blkif_op op;
	uint64_t offset, length;
	int niov;
};

struct disk {
	bool deferred;		/* keep requests until they are completed */
	int fail;		/* -errno for everything */
	struct blkif_io *held[1024];
	unsigned int nr_held;
	struct event log[4096];
	unsigned int nr_log;
	char data[DISK_SECTORS * 512];
};

extern const struct blkif_ops disk_ops;	/* of a struct disk */

struct fixture {
	struct blkif_config config;
	struct blkif *vbd;
	struct front front[BLKIF_MAX_QUEUES];
	struct disk disk;
};

/* Set up and not connected yet: f->config may be changed. There is one. */
struct fixture *new_fixture(void);
void fixture_init(struct fixture *f);
void make_front(struct fixture *f, unsigned int queue);
void connect_vbd(struct fixture *f);
/* Nothing may be left mapped or bound. */
void disconnect(struct fixture *f);

/* A request into the ring, not shown to the other end yet. Returns its id. */
uint64_t put_rw(struct fixture *f, unsigned int queue, int op, uint64_t sector,
		unsigned int nr, const struct seg *seg);
/* Whole pages, with grants from `gref` on. */
uint64_t put_pages(struct fixture *f, unsigned int queue, int op,
		   uint64_t sector, unsigned int nr, uint32_t gref);
uint64_t put_discard(struct fixture *f, uint64_t sector, uint64_t nr);
uint64_t put_indirect(struct fixture *f, int inner, uint64_t sector,
		      unsigned int nr, uint32_t gref);
uint64_t put_indirect_on(struct fixture *f, unsigned int queue, int inner,
			 uint64_t sector, unsigned int nr, uint32_t gref);
void fill_descriptors(unsigned int nr);

void publish(struct front *fr);
/* One turn of an owner's loop. */
int turn(struct fixture *f);
/* Answers the i-th of the held requests. */
void release(struct disk *d, unsigned int i);

bool get_rsp(struct front *fr, struct rsp *out);
void expect_rsp(struct fixture *f, unsigned int queue, uint64_t id, int op,
		int status);
void expect_no_rsp(struct fixture *f, unsigned int queue);
/* The i-th request that the owner got. */
void expect_log(struct fixture *f, unsigned int i, enum blkif_op op,
		uint64_t offset, uint64_t length);
/* One step of the held barrier; nothing is submitted inside a completion. */
void barrier_step(struct fixture *f, enum blkif_op op, uint64_t length);

#endif
