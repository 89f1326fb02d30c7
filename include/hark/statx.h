/* struct statx where the system has none: what hark_file_stat() and hark_path_stat() fill in.
 *
 * On Linux it is statx(2)'s own, which <sys/stat.h> declares where _GNU_SOURCE is defined, and this
 * header adds nothing. Elsewhere it has the same names; stx_mask tells what of it is filled in. */
#ifndef HARK_STATX_H
#define HARK_STATX_H

#include <stdint.h>
#include <sys/stat.h>

#ifndef STATX_BASIC_STATS

enum { STATX_BASIC_STATS = 0x7ff, STATX_BTIME = 0x800 };

struct statx_timestamp {
    int64_t tv_sec;
    uint32_t tv_nsec;
};

struct statx {
    uint32_t stx_mask, stx_blksize;
    uint64_t stx_attributes;          /* none here */
    uint32_t stx_nlink, stx_uid, stx_gid;
    uint16_t stx_mode;
    uint64_t stx_ino, stx_size, stx_blocks;
    struct statx_timestamp stx_atime, stx_btime, stx_ctime, stx_mtime;
    uint32_t stx_rdev_major, stx_rdev_minor, stx_dev_major, stx_dev_minor;
};

#endif
#endif
