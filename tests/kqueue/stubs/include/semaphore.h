/* Stands for the system's <semaphore.h>: all is in stub.h. */
#include "stub.h"
