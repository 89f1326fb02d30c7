/* Stands for the system's <pthread.h>: all is in stub.h. */
#include "stub.h"
