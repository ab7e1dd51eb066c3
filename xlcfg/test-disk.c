/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk strings that xl takes, and what they mean. The accepted and refused
 * ones agree with libxlutil 4.17, found by running both over this table.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "xlcfg/disk.h"

/* struct xl_disk, but with strings that nobody owns */
struct want {
	const char *target, *vdev, *script, *backend_domain;
	enum xl_disk_format format;
	enum xl_disk_backend backend;
	enum xl_disk_discard discard;
	bool readonly, cdrom, direct_io_safe, untrusted, virtio;
};

static const struct {
	const char *spec;
	struct want want;
} good[] = {
	/* positional, as in most configurations */
	{ "/dev/vg/guest,,hda",
	  { .target = "/dev/vg/guest", .vdev = "hda",
	    .format = XL_FORMAT_RAW } },
	{ "/img.qcow2,qcow2,xvda,rw",
	  { .target = "/img.qcow2", .vdev = "xvda",
	    .format = XL_FORMAT_QCOW2 } },
	{ "/img,raw,xvda,r",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW,
	    .readonly = true } },
	{ "/img,raw,xvda,",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW } },
	{ " /img ,raw,xvda",	/* only leading blanks are skipped */
	  { .target = "/img ", .vdev = "xvda", .format = XL_FORMAT_RAW } },
	{ "/img,\t raw, xvda,\nw",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW } },
	{ "/img,vhd,d0p1",
	  { .target = "/img", .vdev = "d0p1", .format = XL_FORMAT_VHD } },
	{ "/img,qed,xvda",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_QED } },
	{ "/root/image.iso,,hdc,cdrom",
	  { .target = "/root/image.iso", .vdev = "hdc", .cdrom = true,
	    .readonly = true, .format = XL_FORMAT_RAW } },
	{ "/root/image.iso,,hdc,,cdrom",
	  { .target = "/root/image.iso", .vdev = "hdc", .cdrom = true,
	    .readonly = true, .format = XL_FORMAT_RAW } },

	/* keys */
	{ "format=raw,vdev=hda,access=rw,target=/dev/vg/guest",
	  { .target = "/dev/vg/guest", .vdev = "hda",
	    .format = XL_FORMAT_RAW } },
	{ "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/image.iso",
	  { .target = "/image.iso", .vdev = "hdc", .cdrom = true,
	    .readonly = true, .format = XL_FORMAT_RAW } },
	{ "vdev=xvda,target=/a,b=c,raw,",
	  { .target = "/a,b=c,raw", .vdev = "xvda",
	    .format = XL_FORMAT_RAW } },
	{ "vdev=hda,target=qcow2:cache=none,iops=2000:/img",
	  { .target = "qcow2:cache=none,iops=2000:/img", .vdev = "hda",
	    .format = XL_FORMAT_RAW } },
	{ "script=block-xdisk,vdev=xvda,target=qcow2:/img",
	  { .target = "qcow2:/img", .vdev = "xvda", .script = "block-xdisk",
	    .format = XL_FORMAT_RAW } },
	{ "backend=stor,backendtype=qdisk,/img,qcow2,xvda",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_QCOW2,
	    .backend_domain = "stor", .backend = XL_BACKEND_QDISK } },
	{ "/img,raw,xvda,w,discard,direct-io-safe,untrusted",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW,
	    .discard = XL_DISCARD_ON, .direct_io_safe = true,
	    .untrusted = true } },
	{ "/img,raw,xvda,no-discard,untrusted,trusted",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW,
	    .discard = XL_DISCARD_OFF } },
	{ "specification=virtio,backendtype=standalone,/img,raw,xvda",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW,
	    .backend = XL_BACKEND_STANDALONE, .virtio = true } },

	/* said twice */
	{ "format=raw,format=raw,vdev=,vdev=xvda,target=/img",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW } },
	{ "vdev=xvda,devtype=cdrom,devtype=disk,target=/img",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW } },

	{ "/img,raw,xvda,access=w,r",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW,
	    .readonly = true } },

	/* no medium */
	{ "vdev=hdc,access=r,devtype=cdrom,format=empty",
	  { .vdev = "hdc", .cdrom = true, .readonly = true,
	    .format = XL_FORMAT_EMPTY } },
	{ "vdev=hdc,access=r,devtype=cdrom",
	  { .vdev = "hdc", .cdrom = true, .readonly = true,
	    .format = XL_FORMAT_EMPTY } },
	{ ",,hdc,r,cdrom",
	  { .target = "", .vdev = "hdc", .cdrom = true, .readonly = true,
	    .format = XL_FORMAT_EMPTY } },
	{ ",empty,hdc:cdrom,r",
	  { .target = "", .vdev = "hdc", .cdrom = true, .readonly = true,
	    .format = XL_FORMAT_EMPTY } },
	{ ",hdc:cdrom,r",
	  { .target = "", .vdev = "hdc", .cdrom = true, .readonly = true,
	    .format = XL_FORMAT_EMPTY } },

	/* deprecated prefixes */
	{ "raw:/dev/vg/guest,hda,w",
	  { .target = "/dev/vg/guest", .vdev = "hda",
	    .format = XL_FORMAT_RAW } },
	{ "raw:/root/image.iso,hdc:cdrom,ro",
	  { .target = "/root/image.iso", .vdev = "hdc", .cdrom = true,
	    .readonly = true, .format = XL_FORMAT_RAW } },
	{ "phy:/dev/vg/guest,xvda,w",
	  { .target = "/dev/vg/guest", .vdev = "xvda",
	    .format = XL_FORMAT_RAW } },
	{ "tap2:qcow2:/img,xvda,w",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_QCOW2 } },
	{ "tap:aio:/img,xvda:disk,w",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW } },
	{ "file:/img,xvda,w",
	  { .target = "/img", .vdev = "xvda", .format = XL_FORMAT_RAW } },
	{ "iscsi:iqn.2001-05.com.example:0-8a0906-host,xvda,w",
	  { .target = "iqn.2001-05.com.example:0-8a0906-host",
	    .vdev = "xvda", .script = "block-iscsi",
	    .format = XL_FORMAT_RAW } },
	{ "drbd:app01,hda,w",
	  { .target = "app01", .vdev = "hda", .script = "block-drbd",
	    .format = XL_FORMAT_RAW } },
};

static const struct {
	const char *spec, *says;
} bad[] = {
	{ "", "no vdev" },
	{ "/img", "no vdev" },
	{ "/img,raw", "no vdev" },
	{ "vdev=xvda", "no target" },
	{ "/img,raw,xvda,w,what", "too many positional" },
	{ "a:b,hda:disk", "unknown format \"hda:disk\"" },
	{ "/img,floppy,xvda", "unknown format \"floppy\"" },
	{ "/img,raw,xvda,w!", "unknown access \"w!\"" },
	{ "/img,raw,xvda:tape", "unknown devtype \"tape\"" },
	{ "/img,raw,xvda,backendtype=blkback", "unknown backendtype" },
	{ "/img,raw,xvda,devtype=floppy", "unknown devtype" },
	{ "/img,raw,xvda,cache=none", "unknown parameter \"cache=\"" },
	{ "/img=1,raw,xvda", "unknown parameter \"/img=\"" },
	{ "format=raw,format=vhd,/img,xvda", "format given twice" },
	{ "vdev=xvda,vdev=xvdb,target=/img", "vdev given twice" },
	{ "script=a,script=a,vdev=xvda,target=/img", "script given twice" },
	{ "/img,raw,xvda,target=/other", "target given twice" },
	{ "backendtype=phy,backendtype=tap,/img,raw,xvda", "backendtype given" },
	{ "rhubarb:/img,xvda,w", "unknown prefix \"rhubarb:\"" },
	{ "/img,raw,xvda,colo-host=h", "COLO" },
};

static void assert_disk(const struct xl_disk *got, const struct want *want)
{
	assert_str(got->target, want->target);
	assert_str(got->vdev, want->vdev);
	assert_str(got->script, want->script);
	assert_str(got->backend_domain, want->backend_domain);
	assert_int_equal(got->format, want->format);
	assert_int_equal(got->backend, want->backend);
	assert_int_equal(got->discard, want->discard);
	assert_int_equal(got->readonly, want->readonly);
	assert_int_equal(got->cdrom, want->cdrom);
	assert_int_equal(got->direct_io_safe, want->direct_io_safe);
	assert_int_equal(got->untrusted, want->untrusted);
	assert_int_equal(got->virtio, want->virtio);
}

static void test_good(void **state)
{
	struct error err = ERROR_INIT;
	struct xl_disk disk;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (xl_disk_parse(good[i].spec, &disk, &err))
			fail_msg("%s", err.msg);
		assert_disk(&disk, &good[i].want);
		xl_disk_free(&disk);
		xl_disk_free(&disk);
	}
}

static void test_bad(void **state)
{
	static const struct want nothing;
	struct error err;
	struct xl_disk disk;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.msg[0] = '\0';
		if (xl_disk_parse(bad[i].spec, &disk, &err) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i].spec);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("%s\nshould say: %s", err.msg, bad[i].says);
		assert_disk(&disk, &nothing);
		assert_int_equal(xl_disk_parse(bad[i].spec, &disk, NULL),
				 -EINVAL);
	}
}

static void test_vdev(void **state)
{
	static const struct {
		const char *name;
		uint32_t devid;
	} vdevs[] = {
		{ "xvda", 51712 },	{ "xvdb", 51728 },
		{ "xvde", 51776 },	{ "xvda1", 51713 },
		{ "xvda15", 51727 },	{ "xvdp", 51952 },
		{ "xvdq", 268439552 },	{ "xvda16", 1u << 28 | 16 },
		{ "xvdaa", 1u << 28 | 26 << 8 },
		{ "d0p0", 51712 },	{ "d1p2", 51730 },
		{ "d16p0", 268439552 }, { "d1048575p255", 0x1fffffff },
		{ "hda", 768 },		{ "hdb", 832 },
		{ "hdc", 5632 },	{ "hdd", 5696 },
		{ "hda63", 831 },	{ "sda", 2048 },
		{ "sdp15", 2303 },	{ "51712", 51712 },
		{ "0xca00", 51712 },	{ "0", 0 },
		{ "2147483647", 2147483647 },
	};
	static const char *const wrong[] = {
		"",	"xvd",	  "xvda01",   "xvda256", "XVDA",
		"hde",	"hda64",  "sdq",      "sda16",	 "xvda ",
		"d0",	"d0p",	  "dp1",      "d0p256",	 "d1048576p0",
		"xvd1", "-1",	  "2147483648", "xvda1x", "xvda-1",
		"fda",	"d0p1p2", "xvdzzzzzz", "d+1p1",	 "4294967296",
	};
	struct error err;
	uint32_t devid;

	for (size_t i = 0; i < ARRAY_SIZE(vdevs); i++) {
		assert_int_equal(xl_vdev_number(vdevs[i].name, &devid, NULL),
				 0);
		assert_int_equal(devid, vdevs[i].devid);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (xl_vdev_number(wrong[i], &devid, &err) != -EINVAL)
			fail_msg("\"%s\" was taken", wrong[i]);
	}
	/* The last disk that an extended number can hold, and the next. */
	assert_int_equal(xl_vdev_number("xvdbgqcv", &devid, NULL), 0);
	assert_int_equal(devid, 1u << 28 | ((1u << 20) - 1) << 8);
	assert_int_equal(xl_vdev_number("xvdbgqcw", &devid, NULL), -EINVAL);
}

static void test_nodes(void **state)
{
	static const struct {
		const char *spec, *kind, *params;
	} disks[] = {
		{ "/img.qcow2,qcow2,xvda", "qdisk", "qcow2:/img.qcow2" },
		{ "/img,qed,xvda", "qdisk", "qed:/img" },
		{ "/img,vhd,xvda", "qdisk", "vhd:/img" },
		{ "/img,raw,xvda", "vbd", "/img" },
		{ "/img,raw,xvda,backendtype=qdisk", "qdisk", "aio:/img" },
		{ "/img,raw,xvda,backendtype=tap", "vbd3", "aio:/img" },
		{ "/img,vhd,xvda,backendtype=tap", "vbd3", "vhd:/img" },
		{ "vdev=xvda,script=block-xdisk,target=qcow2:/img", "vbd",
		  "qcow2:/img" },
		{ "vdev=xvda,backend=stor,target=/img", "vbd", "/img" },
		{ "vdev=xvda,backend=stor,format=qcow2,target=/img", "qdisk",
		  "qcow2:/img" },
		{ "vdev=hdc,devtype=cdrom", "qdisk", "aio:" },
		{ "vdev=xvda,specification=virtio,target=/img", "virtio_disk",
		  "/img" },
		/* libxl: no suitable backend */
		{ "vdev=xvda,script=s,format=qcow2,target=/img", NULL, NULL },
		{ "/img,qcow2,xvda,backendtype=phy", NULL, NULL },
		{ "/img,qcow2,xvda,backendtype=tap", NULL, NULL },
		{ "/img,raw,xvda,backendtype=standalone", NULL, NULL },
		{ "/img,empty,xvda", NULL, NULL },
	};
	struct error err = ERROR_INIT;
	struct xl_disk disk;
	const char *kind;
	char *params;

	for (size_t i = 0; i < ARRAY_SIZE(disks); i++) {
		assert_int_equal(xl_disk_parse(disks[i].spec, &disk, &err), 0);
		kind = NULL;
		assert_int_equal(xl_disk_backend_nodes(&disk, &kind, &params,
						       &err),
				 disks[i].kind ? 0 : -EINVAL);
		assert_str(params, disks[i].params);
		if (disks[i].kind)
			assert_string_equal(kind, disks[i].kind);
		free(params);
		xl_disk_free(&disk);
	}
}

static void test_params(void **state)
{
	static const struct {
		const char *params, *path;
		enum xl_disk_format format;
	} cases[] = {
		{ "qcow2:/a:b", "/a:b", XL_FORMAT_QCOW2 },
		{ "qcow:/img", "/img", XL_FORMAT_QCOW },
		{ "aio:/img", "/img", XL_FORMAT_RAW },
		{ "raw:/img", "/img", XL_FORMAT_RAW },
		{ "vhd:/img", "/img", XL_FORMAT_VHD },
		{ "qed:/img", "/img", XL_FORMAT_QED },
		{ "/dev/vg/qcow2:x", "/dev/vg/qcow2:x", XL_FORMAT_RAW },
		{ "aio:", "", XL_FORMAT_EMPTY },
		{ "", "", XL_FORMAT_EMPTY },
	};
	struct xl_params p;
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(xl_params_parse(cases[i].params, &p, &err),
				 0);
		assert_int_equal(p.format, cases[i].format);
		assert_string_equal(p.path, cases[i].path);
	}
	assert_int_equal(xl_params_parse("img", &p, &err), -EINVAL);
	assert_int_equal(xl_params_parse("json:{}", &p, &err), -EINVAL);
	assert_int_equal(xl_params_parse("qcow3:/img", &p, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_vdev),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
