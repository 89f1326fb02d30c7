/* Stands for the system's <netinet/udp.h>: all is in stub.h. */
#include "stub.h"
