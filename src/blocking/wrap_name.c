/* Name look-ups, which ask servers and files. What they call by themselves is not told again. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>

#include "blocking/blocking.h"

static void check(const char *call, const char *name)
{
    if (thread_is_watched()) report_call("%s(\"%.100s\")", call, name != NULL ? name : "");
}

/* An address in figures asks nobody. */
static bool is_address(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

EXPORT int getaddrinfo(const char *restrict host, const char *restrict service,
                       const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    bool is_number = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;
    if (host != NULL && !is_number && !is_address(host)) check("getaddrinfo", host);
    thread.inside++;
    int error = REAL(getaddrinfo)(host, service, hints, result);
    thread.inside--;
    return error;
}

EXPORT int getnameinfo(const struct sockaddr *restrict addr, socklen_t addr_len,
                       char *restrict host, socklen_t host_len, char *restrict service,
                       socklen_t service_len, int flags)
{
    if (host != NULL && (flags & NI_NUMERICHOST) == 0) check("getnameinfo", "");
    thread.inside++;
    int error = REAL(getnameinfo)(addr, addr_len, host, host_len, service, service_len, flags);
    thread.inside--;
    return error;
}

EXPORT struct hostent *gethostbyname(const char *name)
{
    check("gethostbyname", name);
    thread.inside++;
    struct hostent *found = REAL(gethostbyname)(name);
    thread.inside--;
    return found;
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    check("gethostbyname2", name);
    thread.inside++;
    struct hostent *found = REAL(gethostbyname2)(name, family);
    thread.inside--;
    return found;
}

EXPORT int gethostbyname_r(const char *restrict name, struct hostent *restrict host,
                           char *restrict buf, size_t len, struct hostent **restrict result,
                           int *restrict error)
{
    check("gethostbyname_r", name);
    thread.inside++;
    int failed = REAL(gethostbyname_r)(name, host, buf, len, result, error);
    thread.inside--;
    return failed;
}

EXPORT struct hostent *gethostbyaddr(const void *addr, socklen_t len, int family)
{
    check("gethostbyaddr", "");
    thread.inside++;
    struct hostent *found = REAL(gethostbyaddr)(addr, len, family);
    thread.inside--;
    return found;
}
