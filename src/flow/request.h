/* What a client asks for, whatever protocol it asked by. */
#ifndef SOCKEYE_FLOW_REQUEST_H
#define SOCKEYE_FLOW_REQUEST_H

#include "base/addr.h"

enum request_command { REQUEST_CONNECT };

struct request {
    enum request_command command;
    struct target target;
};

#endif
