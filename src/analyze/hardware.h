/*
 * hardware.h - a machine as a few numbers, from a text file of `key = value` lines; what a file does not say is not
 * known, and whoever needs it says which key is missing.
 */
#ifndef RN_HARDWARE_H
#define RN_HARDWARE_H

#include "base/base.h"

enum rn_precision { RN_FP32, RN_FP16, RN_BF16_TENSOR, RN_INT8, RN_PRECISIONS };
const char *rn_precision_name(enum rn_precision p); /* "fp32", "fp16", "bf16", "int8" */
int rn_precision_bytes(enum rn_precision p);

/* Levels of memory between the arithmetic and main memory, innermost first. */
#define RN_MEMORY_LEVELS 5
const char *rn_memory_level_name(int level); /* "l1", "shared", "l2", "l3", "buffer" */

enum rn_hardware_key {
    RN_HW_PEAK,                                      /* four: operations a second, 2 a MAC, by precision */
    RN_HW_ENERGY_MAC = RN_HW_PEAK + RN_PRECISIONS,   /* four: joules a MAC */
    RN_HW_CAPACITY = RN_HW_ENERGY_MAC + RN_PRECISIONS,      /* by level: bytes */
    RN_HW_LEVEL_BANDWIDTH = RN_HW_CAPACITY + RN_MEMORY_LEVELS, /* by level: bytes a second */
    RN_HW_BANDWIDTH = RN_HW_LEVEL_BANDWIDTH + RN_MEMORY_LEVELS, /* of main memory */
    RN_HW_LEVEL_RESULTS, /* by level: bytes a second of results, where they are slower than what is read in a row: of
                            what is added to a tile of sums and of the tile stored, between multiply-adds */
    RN_HW_RESULTS = RN_HW_LEVEL_RESULTS + RN_MEMORY_LEVELS, /* of main memory */
    RN_HW_ENERGY_BYTE, RN_HW_ENERGY_OP,              /* joules a byte of main memory, and an operation that is no MAC */
    RN_HW_IDLE,                                      /* watts while it runs, whatever it does */
    RN_HW_UTILISATION,                               /* share of the peak that convolutions reach; 1 if not said */
    RN_HW_LAUNCH,                                    /* seconds a fused operation; 0 if not said */
    RN_HW_OVERLAP,                                   /* share of the shorter of computing and moving operands that
                                                        hides behind the longer; 1 if not said */
    RN_HW_WAVEFRONT,                                 /* 1: tiles are counted by the wavefront, see tiles.h */
    RN_HW_THREADS,                                   /* that the numbers were measured with */
    RN_HW_SEED_PEAK, RN_HW_SEED_SCHEDULE, RN_HW_SEED_ENERGY_FLOP, RN_HW_SEED_ENERGY_BYTE, RN_HW_SEED_TILE,
    RN_HW_SEED_BUFFERS, RN_HW_SEED_WAVEFRONT,
    RN_HW_KEYS
};

/* isa, numerics: what the numbers were measured with; "" where the file does not say. */
struct rn_hardware {
    char name[80], source[400], isa[16], numerics[16];
    double value[RN_HW_KEYS];
    bool known[RN_HW_KEYS];
};

const char *rn_hardware_key_name(int key);
/* The value, or `otherwise` where the file does not say. */
double rn_hardware_value(const struct rn_hardware *h, int key, double otherwise);

/* RN_EINPUT: file and line of what is wrong; an unknown key with the nearest right one. */
rn_status rn_hardware_read(struct rn_hardware *h, const char *path);
rn_status rn_hardware_parse(struct rn_hardware *h, const char *text, size_t length, const char *path);

#endif /* RN_HARDWARE_H */
