/* HOST:PORT. Names are looked up before any loop runs, so blocking here holds up nobody. */
#include "address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static int misused(const char *command, const char *text)
{
    tool_complain(command, "'%s' is no HOST:PORT such as 127.0.0.1:7000, [::1]:7000 or name:7000",
                  text);
    return TOOL_MISUSED;
}

/* Splits at the last colon; an IPv6 address is in brackets. Gives 0, or -1 if it cannot be. */
static int split(char *text, char **host, char **port)
{
    char *colon = strrchr(text, ':');
    if (!colon || colon == text) return -1;
    *colon = 0;
    *port = colon + 1;
    *host = text;
    if (text[0] == '[') {
        if (colon[-1] != ']') return -1;
        colon[-1] = 0;
        *host = text + 1;
    } else if (strchr(text, ':')) {
        return -1;
    }
    char *end;
    long number = strtol(*port, &end, 10);
    bool is_port = **port >= '0' && **port <= '9' && *end == 0 && number <= 65535;
    return is_port && **host ? 0 : -1;
}

int address_parse(const char *command, const char *text, struct address *address)
{
    char copy[300], *host, *port;
    int len = snprintf(copy, sizeof copy, "%s", text);
    if (len >= (int)sizeof copy || split(copy, &host, &port) < 0) return misused(command, text);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0 || found->ai_addrlen > sizeof address->storage) {
        tool_complain(command, "cannot find the host '%s': %s", host, gai_strerror(error));
        return TOOL_FAILED;
    }
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->len = (socklen_t)found->ai_addrlen;
    freeaddrinfo(found);
    return TOOL_OK;
}

char *address_show(const struct address *address, char *text, size_t room)
{
    char host[INET6_ADDRSTRLEN + 16] = "?", port[16] = "?";
    (void)getnameinfo((const struct sockaddr *)&address->storage, address->len, host, sizeof host,
                      port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV); /* "?" tells enough */
    bool is_v6 = address->storage.ss_family == AF_INET6;
    snprintf(text, room, is_v6 ? "[%s]:%s" : "%s:%s", host, port);
    return text;
}
