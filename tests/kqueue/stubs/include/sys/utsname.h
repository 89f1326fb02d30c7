/* Stands for the system's <sys/utsname.h>: all is in stub.h. */
#include "stub.h"
