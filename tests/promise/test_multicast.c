/* Multicast on the loopback interface: joined groups are heard, left ones are not, and what is sent
 * goes where and as far as was said. */
#include "groups.h"
#include "harness.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

enum { V4, V6 };

struct group { struct sockaddr_storage any; socklen_t len; };

/* 239.255.77.x and ff12::77:x, of this machine's own choice; port 0. */
static struct group group_at(int family, uint8_t last)
{
    struct group group = { .len = sizeof(struct sockaddr_in) };
    if (family == V4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&group.any;
        v4->sin_family = AF_INET;
        v4->sin_addr.s_addr = htonl(0xefff4d00u + last);
        return group;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&group.any;
    v6->sin6_family = AF_INET6;
    v6->sin6_addr.s6_addr[0] = 0xff;
    v6->sin6_addr.s6_addr[1] = 0x12;
    v6->sin6_addr.s6_addr[13] = 0x77;
    v6->sin6_addr.s6_addr[15] = last;
    group.len = sizeof *v6;
    return group;
}

struct scene {
    struct hark_io from, to;
    struct group group;
    uint32_t interface;
    struct probe sending, receiving;
    struct hark_packet out, in[4];
    char arena[4 * 64];
};

static bool is_skipped(const char *what, int error)
{
    if (error != 0) fprintf(stderr, "skipped: %s: %s\n", what, hark_strerror(error));
    return error != 0;
}

/* Two sockets on loopback, the second bound to a port of the system's choice. */
static bool scene_open(struct scene *scene, int family)
{
    struct sockaddr_storage any = { .ss_family = family == V4 ? AF_INET : AF_INET6 };
    memset(scene, 0, sizeof *scene);
    scene->interface = if_nametoindex("lo");
    if (is_skipped("no loopback", scene->interface == 0 ? HARK_ENXIO : 0)) return false;
    scene->group = group_at(family, 1);
    int error = hark_socket(&scene->from, loop, any.ss_family, SOCK_DGRAM, 0);
    if (is_skipped("socket", error)) return false;
    ck_assert_int_eq(hark_socket(&scene->to, loop, any.ss_family, SOCK_DGRAM, 0), 0);
    ck_assert_int_eq(hark_bind(&scene->to, (struct sockaddr *)&any, scene->group.len), 0);
    socklen_t len = sizeof any;
    ck_assert_int_eq(hark_local_address(&scene->to, (struct sockaddr *)&any, &len), 0);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&scene->group.any;
    v4->sin_port = ((struct sockaddr_in *)&any)->sin_port; /* IPv6 has it at the same place */
    return true;
}

static void scene_close(struct scene *scene)
{
    close_io(&scene->from);
    if (hark_io_is_open(&scene->to)) close_io(&scene->to);
}

/* False where the kernel refuses multicast on loopback. */
static bool scene_join(struct scene *scene)
{
    const struct sockaddr *group = (struct sockaddr *)&scene->group.any;
    int error = hark_join_group(&scene->to, group, scene->interface);
    if (!is_skipped("join", error)) {
        error = hark_datagram_set(&scene->from, HARK_MULTICAST_INTERFACE, (int)scene->interface);
        if (!is_skipped("interface", error)) return true;
    }
    scene_close(scene);
    return false;
}

static int64_t say(struct scene *scene, const char *word)
{
    scene->out = (struct hark_packet){ .data = (char *)(uintptr_t)word, .len = strlen(word),
                                       .peer = scene->group.any, .peer_len = scene->group.len };
    struct hark_datagram_batch batch = { .packets = &scene->out, .count = 1 };
    scene->sending = (struct probe){ 0 };
    hark_send_batch(&scene->sending.op, &scene->from, &batch, on_probe);
    await(&scene->sending);
    return scene->sending.result;
}

/* The next word that is heard. */
static void check_heard(struct scene *scene, const char *word)
{
    struct hark_datagram_batch batch = { scene->in, 1, scene->arena, 64 };
    scene->receiving = (struct probe){ 0 };
    hark_recv_batch(&scene->receiving.op, &scene->to, &batch, on_probe);
    await(&scene->receiving);
    ck_assert_result(&scene->receiving, 1);
    ck_assert_uint_eq(scene->in[0].len, strlen(word));
    ck_assert_int_eq(memcmp(scene->in[0].data, word, strlen(word)), 0);
}

/* Straight to the listener, past the group: what is heard first came first. */
static void say_directly(struct scene *scene, int family, const char *word)
{
    struct group group = scene->group;
    if (family == V4)
        ((struct sockaddr_in *)&scene->group.any)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)&scene->group.any)->sin6_addr = in6addr_loopback;
    ck_assert_int_eq(say(scene, word), 1);
    scene->group = group;
}

/* Whether a machine routes what it sends to a group on loopback is its own affair. */
static bool can_say(struct scene *scene, const char *word)
{
    int64_t result = say(scene, word);
    if (result == 1) return true;
    is_skipped("send to a group", (int)result);
    scene_close(scene);
    return false;
}

static void hear_joined_group(int family)
{
    struct scene scene;
    if (!scene_open(&scene, family) || !scene_join(&scene)) return;
    ck_assert_int_eq(hark_datagram_set(&scene.to, HARK_DESTINATIONS, 1), 0);
    const struct sockaddr *group = (struct sockaddr *)&scene.group.any;
    ck_assert_int_eq(hark_join_group(&scene.to, group, scene.interface), HARK_EADDRINUSE);
    if (!can_say(&scene, "joined")) return;
    check_heard(&scene, "joined");
    ck_assert_uint_eq(scene.in[0].interface, scene.interface);
    if (family == V4) {
        ck_assert_uint_eq(scene.in[0].destination.v4.sin_addr.s_addr,
                          ((struct sockaddr_in *)&scene.group.any)->sin_addr.s_addr);
    } else {
        ck_assert_int_eq(memcmp(&scene.in[0].destination.v6.sin6_addr,
                                &((struct sockaddr_in6 *)&scene.group.any)->sin6_addr, 16), 0);
    }
    ck_assert_int_eq(hark_leave_group(&scene.to, group, scene.interface), 0);
    ck_assert_int_eq(hark_leave_group(&scene.to, group, scene.interface), HARK_EADDRNOTAVAIL);
    (void)say(&scene, "left"); /* an error says the same: nobody hears it */
    say_directly(&scene, family, "direct");
    check_heard(&scene, "direct");
    scene_close(&scene);
}

START_TEST(a_group_is_heard_while_it_is_joined)
{
    hear_joined_group(V4);
    hear_joined_group(V6);
}
END_TEST

static void turn_loop_off(int family)
{
    struct scene scene;
    if (!scene_open(&scene, family) || !scene_join(&scene)) return;
    if (!can_say(&scene, "on")) return;
    check_heard(&scene, "on");
    ck_assert_int_eq(hark_datagram_set(&scene.from, HARK_MULTICAST_LOOP, 0), 0);
    ck_assert_int_eq(hark_datagram_set(&scene.to, HARK_MULTICAST_LOOP, 0), 0);
    int on = -1;
    socklen_t len = sizeof on;
    ck_assert_int_eq(getsockopt(scene.from.fd, family == V4 ? IPPROTO_IP : IPPROTO_IPV6,
                                family == V4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP, &on,
                                &len), 0);
    ck_assert_int_eq(on, 0);
    scene_close(&scene);
}

START_TEST(the_loop_can_be_turned_off)
{
    turn_loop_off(V4);
    turn_loop_off(V6);
}
END_TEST

START_TEST(hops_are_as_set)
{
    for (int family = V4; family <= V6; family++) {
        struct scene scene;
        int hops = -1;
        socklen_t len = sizeof hops;
        if (!scene_open(&scene, family)) continue;
        ck_assert_int_eq(hark_datagram_set(&scene.from, HARK_MULTICAST_HOPS, 7), 0);
        ck_assert_int_eq(getsockopt(scene.from.fd, family == V4 ? IPPROTO_IP : IPPROTO_IPV6,
                                    family == V4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS,
                                    &hops, &len), 0);
        ck_assert_int_eq(hops, 7);
        scene_close(&scene);
    }
}
END_TEST

START_TEST(bad_groups_and_interfaces_are_refused)
{
    struct scene scene;
    struct group v6 = group_at(V6, 1);
    struct sockaddr_in unicast = { .sin_family = AF_INET };
    struct sockaddr path = { .sa_family = AF_UNIX };
    ck_assert(scene_open(&scene, V4));
    struct sockaddr *group = (struct sockaddr *)&scene.group.any;
    unicast.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(hark_join_group(&scene.to, (struct sockaddr *)&unicast, scene.interface),
                     HARK_EINVAL);
    ck_assert_int_eq(hark_join_group(&scene.to, (struct sockaddr *)&v6.any, scene.interface),
                     HARK_EOPNOTSUPP);
    ck_assert_int_eq(hark_join_group(&scene.to, &path, scene.interface), HARK_EAFNOSUPPORT);
    ck_assert_int_lt(hark_join_group(&scene.to, group, 0x7fffffff), 0);
    ck_assert_int_lt(hark_datagram_set(&scene.from, HARK_MULTICAST_INTERFACE, 0x7fffffff), 0);
    ck_assert_int_eq(hark_datagram_set(&scene.from, HARK_MULTICAST_LOOP, 2), HARK_EINVAL);
    close_io(&scene.to);
    ck_assert_int_eq(hark_join_group(&scene.to, group, scene.interface), HARK_EBADF);
    scene_close(&scene);
}
END_TEST

Suite *group_multicast(void)
{
    Suite *suite = suite_create("multicast");
    CASE(suite, a_group_is_heard_while_it_is_joined);
    CASE(suite, the_loop_can_be_turned_off);
    CASE(suite, hops_are_as_set);
    CASE(suite, bad_groups_and_interfaces_are_refused);
    return suite;
}
