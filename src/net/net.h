/* net.h - this room's interface is public: it stands in include/resnet.h. */
#ifndef RN_NET_H
#define RN_NET_H

#include "base/base.h"
#include "resnet.h"

#endif /* RN_NET_H */
