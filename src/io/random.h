/* The randomness of the system: the struct rng that the program uses. */
#ifndef SOCKEYE_IO_RANDOM_H
#define SOCKEYE_IO_RANDOM_H

#include "base/rng.h"

/* Each fill asks the system, so that nothing is left in memory that tells what was drawn, and any
 * number of threads may share it. A system without randomness ends the process. */
extern struct rng system_rng;

#endif
