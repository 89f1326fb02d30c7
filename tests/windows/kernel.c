/* The group `kernel` on Windows: what is its own, asked for by its own calls. */
#include <promise/groups.h>
#include <promise/harness.h>

#include <hark/stream.h>
#include <limits.h>
#include <windows.h>

#include "kernel.h"

static char folder[] = "/tmp/hark-kernel-XXXXXX";
static char path[PATH_MAX];
static struct probe probe;

static int as_fd(HANDLE handle) { return (int)(intptr_t)handle; }

static void enter_folder(const char *name)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/%s", folder, name);
}

static int64_t settle(void)
{
    await(&probe);
    ck_assert_int_eq(probe.calls, 1);
    return probe.result;
}

#define RESULT(verb, ...) \
    (probe = (struct probe){ 0 }, (verb)(&probe.op, loop, __VA_ARGS__, on_probe), settle())

static int64_t replace(const char *text)
{
    struct hark_content content = { path, text, strlen(text), 0600 };
    return RESULT(hark_path_replace, &content);
}

static void leave_folder(void) { ck_assert_int_eq(RESULT(hark_path_rmdir, folder), 0); }

const char *make_file(const char *name, const char *text)
{
    snprintf(folder, sizeof folder, "/tmp/hark-kernel-XXXXXX");
    enter_folder(name);
    ck_assert_int_eq(replace(text), 0);
    return path;
}

void remove_file(const char *file)
{
    ck_assert_int_eq(RESULT(hark_path_unlink, file), 0);
    leave_folder();
}

static int64_t open_file(struct hark_file *file, const char *name, int flags)
{
    probe = (struct probe){ 0 };
    hark_file_open(&probe.op, file, loop, name, flags, 0600, on_probe);
    return settle();
}

static int64_t close_file(struct hark_file *file)
{
    probe = (struct probe){ 0 };
    hark_file_close(&probe.op, file, on_probe);
    return settle();
}

/* The same folder by its name in UTF-16, with a name in it. */
static const WCHAR *wide(const WCHAR *name)
{
    static WCHAR all[MAX_PATH];
    WCHAR there[MAX_PATH];
    ck_assert_int_gt(MultiByteToWideChar(CP_UTF8, 0, folder, -1, there, MAX_PATH), 0);
    swprintf(all, MAX_PATH, L"%ls/%ls", there, name);
    return all;
}

/* U+00FC, U+65E5, U+1F600 */
#define NAME_UTF8 "\xc3\xbc\xe6\x97\xa5\xf0\x9f\x98\x80"
#define NAME_UTF16 L"\x00fc\x65e5\xd83d\xde00"

START_TEST(a_name_in_utf8_is_the_same_name_in_utf16)
{
    _Alignas(8) char buf[1024];
    struct hark_file dir = { 0 };
    struct hark_dir_entry entry;
    size_t at = 0;
    enter_folder(NAME_UTF8);
    ck_assert_int_eq(replace("text"), 0);
    ck_assert_uint_ne(GetFileAttributesW(wide(NAME_UTF16)), INVALID_FILE_ATTRIBUTES);
    ck_assert_int_eq(open_file(&dir, folder, O_RDONLY | O_DIRECTORY), 0);
    probe = (struct probe){ 0 };
    hark_dir_read(&probe.op, &dir, buf, sizeof buf, on_probe);
    int64_t len = settle();
    ck_assert_int_gt(len, 0);
    ck_assert(hark_dir_next(buf, len, &at, &entry));
    ck_assert_str_eq(entry.name, NAME_UTF8);
    ck_assert(!hark_dir_next(buf, len, &at, &entry));
    ck_assert_int_eq(close_file(&dir), 0);
    ck_assert_int_eq(RESULT(hark_path_unlink, path), 0);
    ck_assert_uint_eq(GetFileAttributesW(wide(NAME_UTF16)), INVALID_FILE_ATTRIBUTES);
    ck_assert_int_eq(RESULT(hark_path_mkdir, "\xff", 0700), HARK_EINVAL);
    leave_folder();
}
END_TEST

START_TEST(a_path_may_be_longer_than_260)
{
    struct statx about;
    char name[201], inner[PATH_MAX], outer[PATH_MAX];
    memset(name, 'n', 200);
    name[200] = 0;
    enter_folder(name);
    memcpy(outer, path, sizeof outer);
    ck_assert_int_eq(RESULT(hark_path_mkdir, outer, 0700), 0);
    ck_assert_int_lt(snprintf(inner, sizeof inner, "%.1000s/%s", outer, name), PATH_MAX);
    ck_assert_int_eq(RESULT(hark_path_mkdir, inner, 0700), 0);
    ck_assert_int_lt(snprintf(path, sizeof path, "%.1000s/file", inner), PATH_MAX);
    ck_assert_int_eq(replace("four"), 0);
    ck_assert_int_eq(RESULT(hark_path_stat, path, true, &about), 0);
    ck_assert_uint_eq(about.stx_size, 4);
    ck_assert_int_eq(RESULT(hark_path_unlink, path), 0);
    ck_assert_int_eq(RESULT(hark_path_rmdir, inner), 0);
    ck_assert_int_eq(RESULT(hark_path_rmdir, outer), 0);
    leave_folder();
}
END_TEST

START_TEST(an_error_keeps_the_number_that_windows_gave_it)
{
    struct hark_file file = { 0 };
    enter_folder("none");
    ck_assert_int_eq(open_file(&file, path, O_RDONLY), HARK_ENOENT);
    ck_assert_int_eq(probe.os_error, 0x70000 + ERROR_FILE_NOT_FOUND);
    ck_assert_int_eq(hark_error_from_os(0x70000 + ERROR_SHARING_VIOLATION), HARK_EBUSY);
    ck_assert_int_eq(hark_error_from_os(0x70000 + 0xffff), HARK_EUNKNOWN);
    leave_folder();
}
END_TEST

START_TEST(an_open_file_is_renamed_and_removed)
{
    struct hark_file file = { 0 };
    char other[PATH_MAX], buf[8];
    enter_folder("a");
    snprintf(other, sizeof other, "%s/b", folder);
    ck_assert_int_eq(replace("bytes"), 0);
    ck_assert_int_eq(open_file(&file, path, O_RDONLY), 0);
    ck_assert_int_eq(RESULT(hark_path_rename, path, other, 0), 0);
    ck_assert_uint_eq(GetFileAttributesW(wide(L"a")), INVALID_FILE_ATTRIBUTES);
    ck_assert_int_eq(RESULT(hark_path_unlink, other), 0);
    probe = (struct probe){ 0 };
    hark_file_read(&probe.op, &file, buf, sizeof buf, 0, on_probe);
    ck_assert_int_eq(settle(), 5);
    ck_assert_int_eq(close_file(&file), 0);
    ck_assert_uint_eq(GetFileAttributesW(wide(L"b")), INVALID_FILE_ATTRIBUTES);
    leave_folder();
}
END_TEST

/* The new file is made beside the old one, and not in the current directory of the process. */
START_TEST(backslashes_part_names_and_text_is_bytes)
{
    static const char text[] = "a\r\nb\n\x1a" "c";
    struct statx about;
    char slashes[PATH_MAX];
    enter_folder("file");
    memcpy(slashes, path, sizeof slashes);
    for (char *at = path; *at != 0; at++)
        if (*at == '/') *at = '\\';
    ck_assert_int_eq(replace(text), 0);
    ck_assert_int_eq(RESULT(hark_path_stat, slashes, true, &about), 0);
    ck_assert_uint_eq(about.stx_size, sizeof text - 1);
    expect_text(slashes, text);
    ck_assert_int_eq(RESULT(hark_path_unlink, path), 0);
    leave_folder();
}
END_TEST

START_TEST(a_symbolic_link_is_made_or_refused_but_never_claimed)
{
    char buf[8] = "";
    enter_folder("link");
    int64_t result = RESULT(hark_path_symlink, "target", path);
    if (result == 0) {
        ck_assert_int_eq(RESULT(hark_path_readlink, path, buf, sizeof buf), 6);
        ck_assert_str_eq(buf, "target");
        ck_assert_int_eq(RESULT(hark_path_unlink, path), 0);
    } else {
        ck_claim(result == HARK_EOPNOTSUPP || result == HARK_EPERM);
    }
    leave_folder();
}
END_TEST

START_TEST(what_is_no_io_says_so)
{
    struct hark_io io = { 0 };
    enter_folder("file");
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL);
    HANDLE overlapped = CreateFileA(path, GENERIC_READ, 0, NULL, CREATE_NEW,
                                    FILE_FLAG_OVERLAPPED | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    ck_assert(overlapped != INVALID_HANDLE_VALUE);
    ck_assert_int_eq(hark_io_adopt(&io, loop, as_fd(event)), HARK_ENOTSOCK);
    ck_assert_int_eq(hark_io_adopt(&io, loop, as_fd(overlapped)), HARK_EOPNOTSUPP);
    ck_assert(!hark_io_is_open(&io));
    CloseHandle(overlapped);
    ck_assert_int_eq(hark_io_adopt(&io, loop, as_fd(overlapped)), HARK_EBADF);
    CloseHandle(event);
    leave_folder();
    ck_assert_int_eq(hark_fifo(&io, loop, "fifo", HARK_READABLE), HARK_EOPNOTSUPP);
}
END_TEST

/* Of messages, since wine tells of an empty write only there; hark reads bytes all the same. */
START_TEST(an_empty_write_is_no_end_and_a_long_message_is_read_in_parts)
{
    struct hark_io io = { 0 };
    char buf[4];
    DWORD n;
    HANDLE reads = CreateNamedPipeA("\\\\.\\pipe\\hark-test-messages",
                                    PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED,
                                    PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE, 1, 4096, 4096, 0,
                                    NULL);
    HANDLE writes = CreateFileA("\\\\.\\pipe\\hark-test-messages", GENERIC_WRITE, 0, NULL,
                                OPEN_EXISTING, 0, NULL);
    ck_assert_int_eq(hark_io_adopt(&io, loop, as_fd(reads)), 0);
    probe = (struct probe){ 0 };
    hark_read(&probe.op, &io, buf, sizeof buf, on_probe);
    ck_assert(WriteFile(writes, "", 0, &n, NULL));
    spin(3);
    ck_assert_int_eq(probe.calls, 0);
    ck_assert(WriteFile(writes, "abcdef", 6, &n, NULL));
    ck_assert_int_eq(settle(), 4);
    ck_assert_mem_eq(buf, "abcd", 4);
    probe = (struct probe){ 0 };
    hark_read(&probe.op, &io, buf, sizeof buf, on_probe);
    ck_assert_int_eq(settle(), 2);
    ck_assert_mem_eq(buf, "ef", 2);
    CloseHandle(writes);
    close_io(&io);
}
END_TEST

START_TEST(a_pipe_tells_when_it_can_be_read_and_not_when_written)
{
    struct hark_io reads = { 0 }, writes = { 0 };
    struct probe written = { 0 };
    char buf[4];
    ck_assert_int_eq(hark_pipe(&reads, &writes, loop), 0);
    probe = (struct probe){ 0 };
    hark_ready(&probe.op, &writes, HARK_WRITABLE, on_probe);
    ck_assert_int_eq(settle(), HARK_EOPNOTSUPP);
    probe = (struct probe){ 0 };
    hark_ready(&probe.op, &reads, HARK_READABLE, on_probe);
    spin(3);
    ck_assert_int_eq(probe.calls, 0);
    hark_write(&written.op, &writes, "abc", 3, on_probe);
    await(&written);
    ck_assert_int_eq(settle(), 0);
    probe = (struct probe){ 0 };
    hark_read(&probe.op, &reads, buf, sizeof buf, on_probe);
    ck_assert_int_eq(settle(), 3);
    probe = (struct probe){ 0 };
    hark_read(&probe.op, &writes, buf, sizeof buf, on_probe);
    ck_assert_int_eq(settle(), HARK_EBADF);
    close_io(&writes);
    probe = (struct probe){ 0 };
    hark_ready(&probe.op, &reads, HARK_READABLE, on_probe);
    ck_assert_int_eq(settle(), 0);
    close_io(&reads);
}
END_TEST

/* Of a piece that a canceled write has left with the kernel; the loop may close before it comes. */
START_TEST(a_pipe_is_closed_while_a_piece_is_under_way)
{
    static char data[1 << 18];
    struct hark_io io = { 0 };
    int fds[2], count = open_descriptor_count();
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(hark_io_adopt(&io, loop, fds[1]), 0);
    probe = (struct probe){ 0 };
    hark_write(&probe.op, &io, data, sizeof data, on_probe);
    spin(4);
    hark_cancel(&probe.op);
    ck_assert_int_eq(settle(), HARK_ECANCELED);
    close_io(&io);
    hark_loop_close(loop);
    close(fds[0]);
    ck_assert_int_eq(open_descriptor_count(), count);
}
END_TEST

START_TEST(datagrams_tell_no_times_and_are_not_joined)
{
    struct hark_io io = { 0 };
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_DGRAM, 0), 0);
    ck_assert_int_eq(hark_datagram_set(&io, HARK_ARRIVAL_TIMES, 1), HARK_EOPNOTSUPP);
    ck_assert_int_eq(hark_datagram_set(&io, HARK_SEGMENTS, 1), HARK_EOPNOTSUPP);
    ck_assert(!hark_has_segments(&io));
    close_io(&io);
}
END_TEST

static struct hark_dns_record records[8];
static struct hark_dns_answer answer;

static int64_t look_up(const char *name, enum hark_dns_type type)
{
    answer = (struct hark_dns_answer){ .records = records, .room_count = 8 };
    return RESULT(hark_resolve, name, type, &answer);
}

/* Linked in front of Winsock's: see CMakeLists.txt. */
extern __typeof__(WSAIoctl) *__real___imp_WSAIoctl, *__wrap___imp_WSAIoctl;
static bool lacks_extensions;

static int WSAAPI ioctl_of_a_provider(SOCKET socket, DWORD code, void *in, DWORD in_bytes,
                                      void *out, DWORD out_bytes, DWORD *n, OVERLAPPED *one,
                                      LPWSAOVERLAPPED_COMPLETION_ROUTINE done)
{
    if (!lacks_extensions || code != SIO_GET_EXTENSION_FUNCTION_POINTER)
        return __real___imp_WSAIoctl(socket, code, in, in_bytes, out, out_bytes, n, one, done);
    WSASetLastError(WSAEINVAL);
    return SOCKET_ERROR;
}

__typeof__(WSAIoctl) *__wrap___imp_WSAIoctl = ioctl_of_a_provider;

START_TEST(destinations_are_refused_where_the_provider_cannot_tell_them)
{
    struct hark_io io = { 0 };
    struct hark_packet packet;
    char byte_of_room[1];
    struct hark_datagram_batch batch = { &packet, 1, byte_of_room, sizeof byte_of_room };
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_DGRAM, 0), 0);
    lacks_extensions = true;
    ck_assert_int_eq(hark_datagram_set(&io, HARK_DESTINATIONS, 1), HARK_EOPNOTSUPP);
    lacks_extensions = false;
    ck_assert_int_eq(hark_datagram_set(&io, HARK_DESTINATIONS, 1), 0);
    lacks_extensions = true; /* gone in between */
    probe = (struct probe){ 0 };
    hark_recv_batch(&probe.op, &io, &batch, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_EOPNOTSUPP);
    close_io(&io);
}
END_TEST

START_TEST(names_are_asked_of_windows_on_the_pool)
{
    char name[256];
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *list = NULL;
    struct hark_dns_options options = { .servers = "127.0.0.1:53" };
    ck_assert_int_eq(gethostname(name, sizeof name), 0);
    ck_assert_int_eq(getaddrinfo(name, NULL, &hints, &list), 0);
    ck_assert_int_ge(look_up(name, HARK_DNS_A), 1);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)list->ai_addr;
    ck_assert_int_eq(records[0].type, HARK_DNS_A);
    ck_assert_uint_eq(records[0].addr.v4.sin_addr.s_addr, in->sin_addr.s_addr);
    freeaddrinfo(list);
    ck_assert_int_eq(look_up(name, HARK_DNS_TXT), HARK_ENOSYS);
    ck_assert_int_eq(look_up("127.0.0.1", HARK_DNS_PTR), HARK_ENOSYS);
    ck_assert_int_eq(hark_dns_configure(loop, &options), HARK_ENOSYS);
    probe = (struct probe){ 0 };
    hark_resolve(&probe.op, loop, name, HARK_DNS_A, &answer, on_probe);
    hark_cancel(&probe.op);
    ck_assert_int_eq(settle(), HARK_ECANCELED);
    probe = (struct probe){ 0 }; /* alive when the fixture closes the loop */
    hark_resolve(&probe.op, loop, name, HARK_DNS_A, &answer, on_probe);
}
END_TEST

/* Without a way to a name server Windows says "try again", which is an error of the server. */
START_TEST(a_name_that_nobody_has_is_told_by_its_error)
{
    int64_t result = look_up("nobody.invalid", HARK_DNS_ADDRESSES);
    ck_claim(result == HARK_ENONAME || result == HARK_ESERVER);
    ck_assert_uint_eq(answer.found_count, 0);
    ck_assert_int_eq(look_up("\xff.invalid", HARK_DNS_A), HARK_ENONAME); /* not UTF-8 */
}
END_TEST

/* What the system has a new thread of a process call for an event of its console. */
static HANDLE send_event(DWORD event)
{
    HMODULE base = GetModuleHandleA("kernelbase");
    FARPROC found = base != NULL ? GetProcAddress(base, "CtrlRoutine") : NULL;
    LPTHREAD_START_ROUTINE routine;
    if (found == NULL) found = GetProcAddress(GetModuleHandleA("kernel32"), "CtrlRoutine");
    ck_assert_ptr_nonnull(found);
    memcpy(&routine, &found, sizeof routine);
    HANDLE thread = CreateThread(NULL, 0, routine, (void *)(uintptr_t)event, 0, NULL);
    ck_assert_ptr_nonnull(thread);
    return thread;
}

static bool has_returned(HANDLE thread, DWORD patience_ms)
{
    return WaitForSingleObject(thread, patience_ms) == WAIT_OBJECT_0;
}

static struct hark_signal heard;
static volatile sig_atomic_t own_calls, library_calls;

static void listen_for(int number)
{
    probe = (struct probe){ 0 };
    hark_signal(&probe.op, &heard, loop, number, on_probe);
}

static void end_listening(void)
{
    hark_cancel(&probe.op);
    await(&probe);
    ck_assert_result(&probe, HARK_ECANCELED);
}

START_TEST(events_of_the_console_are_signals)
{
    static const struct { DWORD event; int number; } events[] = {
        { CTRL_C_EVENT, SIGINT }, { CTRL_BREAK_EVENT, SIGBREAK },
    };
    for (int i = 0; i < 2; i++) {
        listen_for(events[i].number);
        for (int calls = 1; calls <= 3; calls++) {
            ck_assert(has_returned(send_event(events[i].event), 5000));
            await_calls(&probe, calls);
            ck_assert_result(&probe, 1);
            ck_assert_int_eq(heard.pid, 0); /* nobody raised it */
        }
        end_listening();
    }
}
END_TEST

static BOOL WINAPI on_own(DWORD event)
{
    (void)event;
    own_calls++;
    return TRUE;
}

static void on_library(int number)
{
    (void)number;
    library_calls++;
}

START_TEST(an_event_that_nobody_listens_for_is_passed_on)
{
    ck_assert(SetConsoleCtrlHandler(on_own, TRUE));
    for (int round = 1; round <= 3; round++) {
        listen_for(SIGINT);
        ck_assert(has_returned(send_event(CTRL_C_EVENT), 5000));
        await_calls(&probe, 1);
        ck_assert(has_returned(send_event(CTRL_BREAK_EVENT), 5000)); /* not this one */
        ck_assert_int_eq(own_calls, 2 * round - 1);
        end_listening();
        ck_assert(has_returned(send_event(CTRL_C_EVENT), 5000));
        ck_assert_int_eq(own_calls, 2 * round);
    }
    ck_assert(SetConsoleCtrlHandler(on_own, FALSE));
}
END_TEST

START_TEST(a_handler_that_the_program_sets_meanwhile_hears_the_console)
{
    listen_for(SIGINT);
    signal(SIGINT, on_library);
    ck_assert(has_returned(send_event(CTRL_C_EVENT), 5000));
    ck_assert_int_eq(library_calls, 1);
    signal(SIGINT, on_library);
    end_listening();
    ck_assert(signal(SIGINT, SIG_DFL) == on_library);
}
END_TEST

/* And what the program does then waits for nothing that the handler holds. */
START_TEST(the_close_of_the_console_waits_until_the_program_ends)
{
    listen_for(SIGHUP);
    HANDLE thread = send_event(CTRL_CLOSE_EVENT);
    await_calls(&probe, 1);
    ck_assert_result(&probe, 1);
    ck_assert_int_eq(heard.number, SIGHUP);
    end_listening();
    listen_for(SIGTERM);
    end_listening();
    ck_assert(!has_returned(thread, 100));
}
END_TEST

Suite *group_kernel(void)
{
    Suite *suite = suite_create("kernel");
    CASE(suite, a_name_in_utf8_is_the_same_name_in_utf16);
    CASE(suite, a_path_may_be_longer_than_260);
    CASE(suite, an_error_keeps_the_number_that_windows_gave_it);
    CASE(suite, an_open_file_is_renamed_and_removed);
    CASE(suite, backslashes_part_names_and_text_is_bytes);
    CASE(suite, a_symbolic_link_is_made_or_refused_but_never_claimed);
    CASE(suite, what_is_no_io_says_so);
    CASE(suite, an_empty_write_is_no_end_and_a_long_message_is_read_in_parts);
    CASE(suite, a_pipe_tells_when_it_can_be_read_and_not_when_written);
    BARE_CASE(suite, a_pipe_is_closed_while_a_piece_is_under_way);
    CASE(suite, datagrams_tell_no_times_and_are_not_joined);
    CASE(suite, destinations_are_refused_where_the_provider_cannot_tell_them);
    CASE(suite, names_are_asked_of_windows_on_the_pool);
    CASE(suite, a_name_that_nobody_has_is_told_by_its_error);
    CASE(suite, events_of_the_console_are_signals);
    CASE(suite, an_event_that_nobody_listens_for_is_passed_on);
    CASE(suite, a_handler_that_the_program_sets_meanwhile_hears_the_console);
    CASE(suite, the_close_of_the_console_waits_until_the_program_ends);
    add_blocking_cases(suite);
    add_process_cases(suite);
    return suite;
}
