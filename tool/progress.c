/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.c: see progress.h. */
#include "tool/progress.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/size.h"
#include "image/progress.h"
#include "io/loop.h"

#define INTERVAL_NS (NS_PER_S / 10)

static struct {
	FILE *shown;			/* there, or NULL: nobody looks */
	bool open;			/* a line is to be left */
	uint64_t begin_ns, next_ns;
	uint64_t done, total;		/* bytes */
} progress;

static volatile sig_atomic_t asked;

static void ask(int sig)
{
	(void)sig;
	asked = 1;
}

void progress_begin(bool wanted, bool data)
{
	struct sigaction sa = { .sa_handler = ask, .sa_flags = SA_RESTART };
	FILE *to = data ? stderr : stdout;

	sigaction(SIGUSR1, &sa, NULL);
	progress.shown = wanted && isatty(fileno(to)) ? to : NULL;
	progress.begin_ns = monotonic_ns();
	progress.next_ns = progress.begin_ns;
	progress.done = 0;
	progress.total = 0;
}

static void print(FILE *to, char end)
{
	uint64_t ns = monotonic_ns() - progress.begin_ns;
	double share = progress.total ?
		(double)progress.done / (double)progress.total : 1;
	double seconds = (double)ns / (double)NS_PER_S;
	char rate[SIZE_TEXT_MAX];

	fprintf(to, "    (%.2f/100%%)", 100 * share);
	if (progress.done && seconds > 0.5) {
		uint64_t left = (uint64_t)(seconds / share * (1 - share) + 0.5);

		size_format((uint64_t)((double)progress.done / seconds), rate);
		fprintf(to, "  %s/s, %llu:%02llu left", rate,
			(unsigned long long)left / 60,
			(unsigned long long)left % 60);
	}
	/* What a longer line before has left standing. */
	fputs(end == '\r' ? "   \033[K\r" : "\n", to);
	fflush(to);
}

void progress_set(uint64_t done, uint64_t total)
{
	uint64_t now;

	progress.done = done;
	progress.total = total;
	if (asked) {
		asked = 0;
		print(stderr, '\n');
	}
	if (!progress.shown)
		return;
	now = monotonic_ns();
	if (now < progress.next_ns)
		return;
	progress.next_ns = now + INTERVAL_NS;
	progress.open = true;
	print(progress.shown, '\r');
}

static void engine_progress(void *arg, uint64_t done, uint64_t total)
{
	progress_set(done, total);
}

const struct image_progress progress_of_engine = { .set = engine_progress };

void progress_end(bool complete)
{
	if (!progress.shown)
		return;
	if (complete) {
		progress.done = progress.total;
		print(progress.shown, '\n');
	} else if (progress.open) {
		fputc('\n', progress.shown);
	}
	progress.shown = NULL;
}
