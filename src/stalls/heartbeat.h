/* The heartbeat page lies below all layers, since the loop writes it too. */
#ifndef STALLS_HEARTBEAT_H
#define STALLS_HEARTBEAT_H

#include "base/heartbeat.h"

#endif
