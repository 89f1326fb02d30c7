/* What addresses look like, those among them that no kernel would take. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/descriptor.h"
#include "unit.h"

static const char *text_of(const void *address, size_t len)
{
    static char text[256];
    address_print(address, (socklen_t)len, text, sizeof text);
    return text;
}

START_TEST(addresses_are_written_as_people_write_them)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(80) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(443) };
    struct sockaddr_un path = { AF_UNIX, "/run/x" }, name = { AF_UNIX, "\0name" };
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    size_t head = sizeof(sa_family_t);
    ck_assert_str_eq(text_of(&v4, sizeof v4), "127.0.0.1:80");
    ck_assert_str_eq(text_of(&v6, sizeof v6), "[::1]:443");
    ck_assert_str_eq(text_of(&path, head + strlen("/run/x") + 1), "/run/x");
    ck_assert_str_eq(text_of(&path, sizeof path), "/run/x");
    ck_assert_str_eq(text_of(&name, head + 1 + strlen("name")), "@name");
    ck_assert_str_eq(text_of(&path, head), "socket without a name");
}
END_TEST

/* As a program may hand it to connect(2), which refuses it. */
START_TEST(a_path_that_does_not_end_is_cut_where_its_address_ends)
{
    union { struct sockaddr_un path; struct sockaddr_storage room; } address;
    memset(&address, 'x', sizeof address);
    address.path.sun_family = AF_UNIX;
    ck_assert_uint_eq(strlen(text_of(&address, sizeof address)), sizeof address.path.sun_path);
    address.path.sun_path[0] = '\0';
    const char *text = text_of(&address, sizeof address);
    ck_assert_int_eq(text[0], '@');
    ck_assert_uint_eq(strlen(text), sizeof address.path.sun_path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descriptor");
    UNIT_CASE(suite, addresses_are_written_as_people_write_them);
    UNIT_CASE(suite, a_path_that_does_not_end_is_cut_where_its_address_ends);
    return unit_run(suite);
}
