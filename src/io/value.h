/*
 * value.h - what checkpoint files hold, as a tree: None, bool, int, float, text, list, tuple,
 * ordered dict and tensor.  The pickle reader makes such trees and the writer takes them; nothing
 * in a file is ever executed, so a tree is all that a file can become.
 *
 * Ownership: a tree is freed as a whole by rn_value_free(root).  A container owns its elements.
 */
#ifndef RN_VALUE_H
#define RN_VALUE_H

#include "base/base.h"

enum rn_dtype { RN_F32, RN_F64, RN_F16, RN_BF16, RN_I64, RN_I32, RN_I16, RN_I8, RN_U8, RN_BOOL };
size_t rn_dtype_bytes(enum rn_dtype d);
const char *rn_dtype_name(enum rn_dtype d);             /* "float32" ... as NumPy says */

#define RN_MAX_DIMS 8
#define RN_MAX_TENSOR_NAME 256

/* Dense, row-major, host byte order; data is rn_alloc'ed when `owned`, else borrowed (writers). */
struct rn_tensor {
    enum rn_dtype dtype;
    int dims;
    int64_t shape[RN_MAX_DIMS];
    int64_t count;   /* elements */
    void *data;      /* NULL: listed but without values (a bare pickle) */
    bool owned;
    bool parameter;  /* saved as torch.nn.Parameter */
};

enum rn_kind { RN_NONE, RN_BOOLEAN, RN_INT, RN_REAL, RN_STRING, RN_LIST, RN_TUPLE, RN_DICT,
               RN_TENSOR };

struct rn_value {
    enum rn_kind kind;
    bool ordered;               /* RN_DICT: an OrderedDict */
    int64_t integer;            /* RN_INT, RN_BOOLEAN */
    double real;                /* RN_REAL */
    char *text; size_t length;  /* RN_STRING, zero-terminated */
    size_t at;                  /* RN_INT, RN_REAL out of JSON: where its `length` characters stand there */
    struct rn_value **item;     /* list, tuple; a dict has key, value, key, value ... */
    size_t count, capacity;     /* of item */
    struct rn_tensor tensor;
};

/* Elements of a shape; false if a size is negative or the sizes that are not 0 multiply to more
 * than 2^56, so that no count of bytes or strides overflows. */
bool rn_shape_count(int64_t *count, const int64_t *shape, int dims);

/* Constructors return NULL when out of memory.  rn_dict_set and rn_list_add take ownership of the
 * value (and free it when they fail), so calls nest: rn_dict_set(d, "lr", rn_real(0.1)). */
struct rn_value *rn_none(void);
struct rn_value *rn_boolean(bool b);
struct rn_value *rn_integer(int64_t i);
struct rn_value *rn_real(double x);
struct rn_value *rn_string(const char *utf8);
struct rn_value *rn_string_of(const char *utf8, size_t length); /* no zero byte inside */
struct rn_value *rn_list(void);
struct rn_value *rn_tuple(void);
struct rn_value *rn_dict(bool ordered);
struct rn_value *rn_tensor_value(enum rn_dtype dtype, int dims, const int64_t *shape, void *data,
                                 bool owned);
rn_status rn_list_add(struct rn_value *list, struct rn_value *v);
rn_status rn_dict_set(struct rn_value *dict, const char *key, struct rn_value *v);
rn_status rn_dict_set_value(struct rn_value *dict, struct rn_value *key, struct rn_value *v);
/* NULL if absent; borrowed. */
struct rn_value *rn_dict_get(const struct rn_value *dict, const char *key);
void rn_value_free(struct rn_value *root);

#endif /* RN_VALUE_H */
