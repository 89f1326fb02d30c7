/* <sys/un.h>: the address, which no call of hark takes on this system. */
#ifndef HARK_WINDOWS_SYS_UN_H
#define HARK_WINDOWS_SYS_UN_H

#include <sys/socket.h>

struct sockaddr_un { sa_family_t sun_family; char sun_path[108]; };

#endif
