/* What measuring clients send: pseudo-random bytes that anyone can check at any place.
 *
 * Byte n of a stream depends on its seed and on n alone, so nothing has to be kept until the echo
 * comes, and lost, doubled, swapped or foreign bytes all show. */
#ifndef CLI_CONTENT_H
#define CLI_CONTENT_H

#include <stddef.h>
#include <stdint.h>

/* Writes bytes [offset, offset + len) of a stream. */
void content_fill(uint64_t seed, uint64_t offset, void *to, size_t len);

/* Compares with the stream.
 *
 * Result len if all is as it should be, else the index of the first wrong byte.
 */
size_t content_check(uint64_t seed, uint64_t offset, const void *bytes, size_t len);

#endif
