/* The table of system calls; see call.h. */
#include "base/call.h"

#include <stddef.h>
#include <sys/syscall.h>

#define CALL(name, form) { SYS_##name, #name, form }

static const struct call calls[] = {
    CALL(read, CALL_FD), CALL(readv, CALL_FD), CALL(pread64, CALL_FD), CALL(preadv, CALL_FD),
    CALL(preadv2, CALL_FD), CALL(write, CALL_FD), CALL(writev, CALL_FD), CALL(pwrite64, CALL_FD),
    CALL(pwritev, CALL_FD), CALL(pwritev2, CALL_FD), CALL(sendfile, CALL_FD), CALL(splice, CALL_FD),
    CALL(tee, CALL_FD), CALL(vmsplice, CALL_FD), CALL(copy_file_range, CALL_FD),
    CALL(recvfrom, CALL_FD), CALL(recvmsg, CALL_FD), CALL(recvmmsg, CALL_FD), CALL(sendto, CALL_TO),
    CALL(sendmsg, CALL_FD), CALL(sendmmsg, CALL_FD), CALL(connect, CALL_TO), CALL(accept, CALL_FD),
    CALL(accept4, CALL_FD), CALL(shutdown, CALL_FD), CALL(close, CALL_FD), CALL(fsync, CALL_FD),
    CALL(fdatasync, CALL_FD), CALL(sync_file_range, CALL_FD), CALL(syncfs, CALL_FD),
    CALL(ftruncate, CALL_FD), CALL(fallocate, CALL_FD), CALL(flock, CALL_FD), CALL(fcntl, CALL_FD),
    CALL(ioctl, CALL_FD), CALL(fstat, CALL_FD), CALL(fstatfs, CALL_FD), CALL(getdents64, CALL_FD),
    CALL(lseek, CALL_FD), CALL(fchmod, CALL_FD), CALL(fchown, CALL_FD), CALL(fgetxattr, CALL_FD),
    CALL(fsetxattr, CALL_FD), CALL(readahead, CALL_FD), CALL(fadvise64, CALL_FD),
    CALL(epoll_pwait, CALL_FD), CALL(epoll_ctl, CALL_FD), CALL(io_uring_enter, CALL_FD),
    CALL(inotify_add_watch, CALL_FD), CALL(setsockopt, CALL_FD), CALL(getsockopt, CALL_FD),
    CALL(openat, CALL_AT), CALL(newfstatat, CALL_AT), CALL(statx, CALL_AT), CALL(mkdirat, CALL_AT),
    CALL(unlinkat, CALL_AT), CALL(renameat2, CALL_AT), CALL(linkat, CALL_AT),
    CALL(faccessat, CALL_AT), CALL(readlinkat, CALL_AT), CALL(fchmodat, CALL_AT),
    CALL(fchownat, CALL_AT), CALL(utimensat, CALL_AT), CALL(execveat, CALL_AT),
    CALL(execve, CALL_PATH), CALL(statfs, CALL_PATH), CALL(truncate, CALL_PATH),
    CALL(chdir, CALL_PATH), CALL(getxattr, CALL_PATH), CALL(lgetxattr, CALL_PATH),
    CALL(setxattr, CALL_PATH), CALL(umount2, CALL_PATH), CALL(mount, CALL_AT),
    CALL(ppoll, CALL_POLL), CALL(pselect6, CALL_SELECT), CALL(nanosleep, CALL_SLEEP),
    CALL(clock_nanosleep, CALL_SLEEP_CLOCK), CALL(wait4, CALL_CHILD), CALL(waitid, CALL_PLAIN),
    CALL(futex, CALL_PLAIN), CALL(sync, CALL_PLAIN), CALL(mmap, CALL_PLAIN),
    CALL(munmap, CALL_PLAIN), CALL(mremap, CALL_PLAIN),
    CALL(mprotect, CALL_PLAIN), CALL(madvise, CALL_PLAIN),
    CALL(msync, CALL_PLAIN), CALL(mlock, CALL_PLAIN), CALL(brk, CALL_PLAIN),
    CALL(clone, CALL_PLAIN),
    CALL(exit_group, CALL_PLAIN), CALL(sched_yield, CALL_PLAIN), CALL(semop, CALL_PLAIN),
    CALL(semtimedop, CALL_PLAIN), CALL(msgsnd, CALL_PLAIN), CALL(msgrcv, CALL_PLAIN),
    CALL(mq_timedsend, CALL_FD), CALL(mq_timedreceive, CALL_FD), CALL(io_getevents, CALL_PLAIN),
    CALL(io_submit, CALL_PLAIN), CALL(rt_sigtimedwait, CALL_PLAIN), CALL(rt_sigsuspend, CALL_PLAIN),
    CALL(ptrace, CALL_PLAIN), CALL(getrandom, CALL_PLAIN), CALL(socket, CALL_PLAIN),
    CALL(bind, CALL_TO), CALL(restart_syscall, CALL_PLAIN), CALL(process_vm_readv, CALL_PLAIN),
    CALL(finit_module, CALL_FD), CALL(memfd_create, CALL_PLAIN), CALL(membarrier, CALL_PLAIN),
#ifdef SYS_clone3
    CALL(clone3, CALL_PLAIN),
#endif
#ifdef SYS_epoll_pwait2
    CALL(epoll_pwait2, CALL_FD),
#endif
#ifdef SYS_openat2
    CALL(openat2, CALL_AT),
#endif
#ifdef SYS_faccessat2
    CALL(faccessat2, CALL_AT),
#endif
#ifdef SYS_futex_waitv
    CALL(futex_waitv, CALL_PLAIN),
#endif
#ifdef SYS_open /* the old ones that newer processors do not have */
    CALL(open, CALL_PATH), CALL(creat, CALL_PATH), CALL(stat, CALL_PATH), CALL(lstat, CALL_PATH),
    CALL(access, CALL_PATH), CALL(readlink, CALL_PATH), CALL(mkdir, CALL_PATH),
    CALL(rmdir, CALL_PATH), CALL(unlink, CALL_PATH), CALL(rename, CALL_PATH), CALL(link, CALL_PATH),
    CALL(symlink, CALL_PATH), CALL(chmod, CALL_PATH), CALL(chown, CALL_PATH),
    CALL(epoll_wait, CALL_FD), CALL(poll, CALL_POLL), CALL(select, CALL_SELECT),
    CALL(getdents, CALL_FD), CALL(fork, CALL_PLAIN), CALL(vfork, CALL_PLAIN),
    CALL(pause, CALL_PLAIN),
#endif
};

const struct call *call_find(long number)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i].number == number) return &calls[i];
    return NULL;
}
