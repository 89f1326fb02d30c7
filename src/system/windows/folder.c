/* Entries of an open folder, in the form in which hark_dir_next() goes through them. */
#include <errno.h>
#include <hark/file.h>
#include <stddef.h>
#include <string.h>

#include "calls.h"
#include "path.h"

/* An entry takes at most so much more room here than there: 3 bytes of UTF-8 for 2 of UTF-16. What
 * is read at a time must fit as a whole, since the folder does not give it again. */
enum { ROOM_MIN = 1024, ROOM_MAX = 24 * 1024, THERE = 3, HERE = 4 };

static uint8_t type_of(const FILE_ID_BOTH_DIR_INFO *found)
{
    if (found->FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) return DT_UNKNOWN;
    return found->FileAttributes & FILE_ATTRIBUTE_DIRECTORY ? DT_DIR : DT_REG;
}

/* The bytes that it took. */
static size_t put_entry(const FILE_ID_BOTH_DIR_INFO *found, char *at, size_t room)
{
    struct call_entry *entry = (void *)at;
    size_t head = offsetof(struct call_entry, d_name);
    int len = WideCharToMultiByte(CP_UTF8, 0, found->FileName, (int)found->FileNameLength / 2,
                                  entry->d_name, (int)(room - head - 1), NULL, NULL);
    size_t bytes = (head + (size_t)len + 1 + 7) & ~(size_t)7;
    entry->d_name[len] = 0;
    entry->d_ino = (uint64_t)found->FileId.QuadPart;
    entry->d_type = type_of(found);
    entry->d_reclen = (uint16_t)bytes;
    return bytes;
}

ssize_t call_read_dir(int fd, void *buf, size_t room)
{
    _Alignas(8) char there[ROOM_MAX / HERE * THERE];
    size_t taken = 0;
    if (room < ROOM_MIN) return path_refuse(EINVAL);
    if (room > ROOM_MAX) room = ROOM_MAX;
    if (!GetFileInformationByHandleEx((HANDLE)(intptr_t)fd, FileIdBothDirectoryInfo, there,
                                      (DWORD)(room / HERE * THERE))) {
        DWORD error = GetLastError();
        if (error == ERROR_NO_MORE_FILES) return 0;
        return error == ERROR_INVALID_PARAMETER ? path_refuse(ENOTDIR) : path_fail();
    }
    for (size_t at = 0;;) { /* each entry points to the next one */
        const FILE_ID_BOTH_DIR_INFO *found = (const void *)(there + at);
        taken += put_entry(found, (char *)buf + taken, room - taken);
        if (found->NextEntryOffset == 0) return (ssize_t)taken;
        at += found->NextEntryOffset;
    }
}
