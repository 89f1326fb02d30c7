/* One closed list of errors, the same numbers on every system.
 *
 * Whatever a kernel answers is mapped to one of these; the kernel's own number stays beside it, in
 * hark_op.os_error, for logs. HARK_EUNKNOWN stands for every system error that is not in the
 * list. */
#ifndef HARK_ERROR_H
#define HARK_ERROR_H

#include <hark/api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name, number, text. Numbers are never reused; a new error is added at the end. */
#define HARK_ERRORS(X)                                                       \
    X(ECANCELED, -1, "operation canceled")                                   \
    X(ETIMEDOUT, -2, "deadline passed or connection timed out")              \
    X(EINVAL, -3, "invalid argument")                                        \
    X(EBADF, -4, "bad or closed descriptor")                                 \
    X(ENOMEM, -5, "out of memory")                                           \
    X(EMFILE, -6, "too many open descriptors, or one beyond this kernel's limit") \
    X(ENFILE, -7, "too many open descriptors in the system")                 \
    X(ENOBUFS, -8, "no buffer space")                                        \
    X(EAGAIN, -9, "temporarily unavailable")                                 \
    X(EACCES, -10, "permission denied")                                      \
    X(EPERM, -11, "operation not permitted")                                 \
    X(EADDRINUSE, -12, "address in use")                                     \
    X(EADDRNOTAVAIL, -13, "address not available")                           \
    X(EAFNOSUPPORT, -14, "address family not supported")                     \
    X(EPROTONOSUPPORT, -15, "protocol not supported")                        \
    X(EALREADY, -16, "already in progress")                                  \
    X(ECONNREFUSED, -17, "connection refused")                               \
    X(ECONNRESET, -18, "connection reset by peer")                           \
    X(ECONNABORTED, -19, "connection aborted")                               \
    X(EPIPE, -20, "peer no longer reads")                                    \
    X(ENOTCONN, -21, "not connected")                                        \
    X(EISCONN, -22, "already connected")                                     \
    X(EHOSTUNREACH, -23, "host unreachable")                                 \
    X(ENETUNREACH, -24, "network unreachable")                               \
    X(ENETDOWN, -25, "network down")                                         \
    X(EMSGSIZE, -26, "message too long")                                     \
    X(ENOTSOCK, -27, "not a socket")                                         \
    X(EOPNOTSUPP, -28, "operation not supported")                            \
    X(ENOSYS, -29, "not offered by this kernel")                             \
    X(EEXIST, -30, "already exists")                                         \
    X(ENOENT, -31, "no such file or directory")                              \
    X(ENOTDIR, -32, "not a directory")                                       \
    X(EISDIR, -33, "is a directory")                                         \
    X(ENAMETOOLONG, -34, "name too long")                                    \
    X(ELOOP, -35, "too many symbolic links")                                 \
    X(ENOSPC, -36, "no space left")                                          \
    X(EIO, -37, "input/output error")                                        \
    X(EBUSY, -38, "busy")                                                    \
    X(EDESTADDRREQ, -39, "destination address required")                     \
    X(EPROTO, -40, "protocol error")                                         \
    X(EPROTOTYPE, -41, "wrong protocol for this kind of socket")             \
    X(EROFS, -42, "read-only file system")                                   \
    X(EUNKNOWN, -43, "system error outside hark's list")                     \
    X(EDEADLK, -44, "every fiber waits, and nothing can wake one")           \
    X(ECLOSED, -45, "closed: nothing more comes")                            \
    X(EFBIG, -46, "file too large")                                          \
    X(EDQUOT, -47, "disk quota exceeded")                                    \
    X(EMLINK, -48, "too many links")                                         \
    X(ENOTEMPTY, -49, "directory not empty")                                 \
    X(EXDEV, -50, "not on the same file system")                             \
    X(ETXTBSY, -51, "a program that runs cannot be written")                 \
    X(ESRCH, -52, "no such process")                                         \
    X(ECHILD, -53, "no such child process")                                  \
    X(ENXIO, -54, "no such device, or nobody at its other end")              \
    X(ENOTTY, -55, "not a terminal")                                         \
    X(ENOEXEC, -56, "not a program that this system can run")                \
    X(E2BIG, -57, "arguments too long")                                      \
    X(EOVERFLOW, -58, "some were lost, since more came than there was room for") \
    X(ENONAME, -59, "no such name")                                          \
    X(ESERVER, -60, "the name server failed or refused")

enum hark_error {
    HARK_OK = 0,
#define HARK_ERROR_VALUE(name, number, text) HARK_##name = (number),
    HARK_ERRORS(HARK_ERROR_VALUE)
#undef HARK_ERROR_VALUE
};

/* Gives the text of an error, in lower case, without a full stop.
 *
 * error  a negative enum hark_error; 0 is "success", anything else "unknown error".
 * Result a constant string, never NULL.
 * Thread any
 */
HARK_API const char *hark_strerror(int64_t error);

/* Gives the name of an error, such as "ECONNRESET"; "OK" for 0 and "?" for what is none.
 *
 * Result a constant string, never NULL.
 * Thread any
 */
HARK_API const char *hark_error_name(int64_t error);

/* Maps a system error number (errno on POSIX) to the closed list.
 *
 * os_error  a positive errno; on Windows also a number of Winsock, or 0x70000 and one of Windows
 *           itself; 0 gives HARK_OK.
 * Result    a negative enum hark_error; HARK_EUNKNOWN for what the list lacks.
 * Thread    any
 */
HARK_API int hark_error_from_os(int os_error);

#ifdef __cplusplus
}
#endif
#endif
