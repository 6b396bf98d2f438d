/* tensor_floats.h - a tensor of a file as float32, as parameters and moments are kept.
 * Src/train only. */
#ifndef RN_TENSOR_FLOATS_H
#define RN_TENSOR_FLOATS_H

#include "io/value.h"

/* Whether the element type is a floating-point one. */
bool rn_tensor_is_real(const struct rn_tensor *t);
/* dst[count]: rounded to float32, F of it (A5).  Returns the index of the first element that is not
 * finite as float32, or -1. */
int64_t rn_tensor_floats(float *dst, const struct rn_tensor *t);
/* "[64, 3, 7, 7]" into out; "[]" for a scalar. */
const char *rn_shape_text(char *out, size_t size, int dims, const int64_t *shape);

#endif /* RN_TENSOR_FLOATS_H */
