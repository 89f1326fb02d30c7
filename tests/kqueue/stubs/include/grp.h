/* Stands for the system's <grp.h>: all is in stub.h. */
#include "stub.h"
