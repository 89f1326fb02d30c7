/* <poll.h>: Winsock's, by posix.h. */
