/* Stands for the system's <sys/ioctl.h>: all is in stub.h. */
#include "stub.h"
