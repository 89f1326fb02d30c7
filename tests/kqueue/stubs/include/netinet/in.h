/* Stands for the system's <netinet/in.h>: all is in stub.h. */
#include "stub.h"
