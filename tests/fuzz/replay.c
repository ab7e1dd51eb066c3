/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.c: runs a fuzz target over the files that are named, or over its
 * corpus in the source tree, as one TAP test a file. An input that aborts is
 * named by the line before.
 */
#include <dirent.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1 << 20)

static int nr_run;

static void run_file(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	size_t n;

	nr_run++;
	if (!f) {
		printf("not ok %d - %s: cannot be opened\n", nr_run, path);
		return;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	printf("# %s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, n);
	printf("ok %d - %s\n", nr_run, path);
}

static void run_corpus(void)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/" FUZZ_CORPUS,
		 srcdir ? srcdir : ".");
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path),
			 "%s/tests/fuzz/corpus/" FUZZ_CORPUS "/%s",
			 srcdir ? srcdir : ".", e->d_name);
		run_file(path);
	}
	if (dir)
		closedir(dir);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	if (argc == 1)
		run_corpus();
	printf("1..%d\n", nr_run);
	return nr_run ? 0 : 1;
}
