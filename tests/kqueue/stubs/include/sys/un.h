/* Stands for the system's <sys/un.h>: all is in stub.h. */
#include "stub.h"
