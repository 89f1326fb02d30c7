/* Files in fibers: the everyday calls of file.h, that look as if they blocked. hark_await does the
 * same for all others. */
#ifndef HARK_FIBER_FILE_H
#define HARK_FIBER_FILE_H

#include <hark/fiber.h>
#include <hark/file.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a file on the fiber's loop. As hark_file_open().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_file_open(struct hark_file *file, const char *path, int flags,
                                      mode_t mode);

/* Reads and writes. As hark_file_read() and hark_file_write().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_file_read(struct hark_file *file, void *buf, size_t len,
                                      int64_t offset);
HARK_API int64_t hark_fiber_file_write(struct hark_file *file, const void *buf, size_t len,
                                       int64_t offset);

/* Closes a file. As hark_file_close(); it comes to its end also in a scope that was canceled.
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_file_close(struct hark_file *file);

/* Reads a whole file into a buffer.
 *
 * Result the number of bytes; HARK_EFBIG: there are more than len; errors as for opening and
 *        reading.
 * Thread fiber
 */
HARK_API int64_t hark_fiber_file_read_all(const char *path, void *buf, size_t len);

#define hark_fiber_file_open(...) HARK_FIBER_AT_((hark_fiber_file_open)(__VA_ARGS__))
#define hark_fiber_file_read(...) HARK_FIBER_AT_((hark_fiber_file_read)(__VA_ARGS__))
#define hark_fiber_file_write(...) HARK_FIBER_AT_((hark_fiber_file_write)(__VA_ARGS__))
#define hark_fiber_file_close(...) HARK_FIBER_AT_((hark_fiber_file_close)(__VA_ARGS__))
#define hark_fiber_file_read_all(...) HARK_FIBER_AT_((hark_fiber_file_read_all)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
