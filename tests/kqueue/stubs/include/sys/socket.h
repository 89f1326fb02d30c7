/* Stands for the system's <sys/socket.h>: all is in stub.h. */
#include "stub.h"
