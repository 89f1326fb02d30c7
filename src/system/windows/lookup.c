/* Names of hosts, which Windows takes in UTF-16; its getaddrinfo(3) takes the local code page. It
 * reads UTF-8 as a browser does: what is not ASCII is asked for in Punycode. */
#include "calls.h"

enum { HOST_UNITS = 256 };

int call_find_addresses(const char *name, const struct addrinfo *hints, struct addrinfo **list)
{
    WCHAR wide[HOST_UNITS];
    ADDRINFOW wanted = { .ai_family = hints->ai_family, .ai_socktype = hints->ai_socktype };
    ADDRINFOW *found = NULL;
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name, -1, wide, HOST_UNITS) == 0)
        return EAI_NONAME; /* no name is written so, or so long */
    int status = GetAddrInfoW(wide, NULL, &wanted, &found);
    *list = (struct addrinfo *)(void *)found; /* the same, but for a name that was not asked for */
    return status;
}

void call_free_addresses(struct addrinfo *list) { FreeAddrInfoW((ADDRINFOW *)(void *)list); }
