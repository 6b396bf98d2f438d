/* analyze.h - what a machine can do at most, to hold measured speed against; what a net consists of. */
#ifndef RN_ANALYZE_H
#define RN_ANALYZE_H

#include "net/net.h"

/* Billions of float operations a second (a fused multiply-add is two) of `threads` threads with the named
 * instruction set: the best of a few short loops that keep every fused multiply-add unit busy.  Takes
 * about a tenth of a second.  0 for a set that this build or CPU has no loop for. */
double rn_peak_gflops(int threads, const char *isa);

/* One layer as it runs: its output of one image, what it holds, and its multiply-accumulates for one image
 * (convolutions and the linear layer, padding included). */
struct rn_layer {
    char name[48];       /* torchvision's module name */
    const char *kind;    /* "conv2d", "batch_norm2d", "max_pool2d", "adaptive_avg_pool2d", "linear", "resize" */
    int C, H, W;
    int64_t parameters;  /* trainable */
    int64_t bytes;       /* of parameters and buffers: float32, and an int64 counter a batch norm */
    int64_t macs;
};
/* The layers of a net in the order they run; *layer is rn_alloc'ed. */
rn_status rn_layers(struct rn_layer **layer, int *count, const struct rn_net_config *config);

#endif /* RN_ANALYZE_H */
