/* Stands for the system's <netinet/tcp.h>: all is in stub.h. */
#include "stub.h"
