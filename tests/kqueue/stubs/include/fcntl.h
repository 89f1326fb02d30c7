/* Stands for the system's <fcntl.h>: all is in stub.h. */
#include "stub.h"
