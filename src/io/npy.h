/*
 * npy.h - the header of one NumPy array (inside io/ only).  Format: numpy/lib/format.py,
 * versions 1 to 3.
 */
#ifndef RN_IO_NPY_H
#define RN_IO_NPY_H

#include "io/value.h"

#define RN_NPY_PREFIX 12 /* bytes that decide how long a header is, at most */

struct rn_npy {
    struct rn_tensor tensor; /* data NULL */
    size_t header;           /* bytes before the data */
    bool fortran, big;
};
/* Bytes of the whole header, from its first RN_NPY_PREFIX bytes (`n` if the file is shorter). */
rn_status rn_npy_header_bytes(size_t *bytes, const unsigned char *prefix, size_t n,
                              const char *path);
/* Reads the header; h->tensor.count * item size must be <= limit. */
rn_status rn_npy_parse(struct rn_npy *h, const unsigned char *header, size_t bytes, uint64_t limit,
                       const char *path);
/* The header of a tensor, 64-byte aligned: *bytes of them at out. */
#define RN_NPY_HEADER_MAX 512
rn_status rn_npy_header(unsigned char out[RN_NPY_HEADER_MAX], size_t *bytes,
                        const struct rn_tensor *tensor);
/* Column-major or foreign byte order to dense, row-major, host order; may replace *data. */
rn_status rn_npy_arrange(struct rn_npy *h, void **data);

#endif /* RN_IO_NPY_H */
