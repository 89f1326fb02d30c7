/* Stands for the system's <netdb.h>: all is in stub.h. */
#include "stub.h"
