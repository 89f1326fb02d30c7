/* <sys/resource.h>: all of it that hark needs comes with Winsock. */
#ifndef HARK_WINDOWS_SYS_RESOURCE_H
#define HARK_WINDOWS_SYS_RESOURCE_H

#include <sys/socket.h>

#endif
