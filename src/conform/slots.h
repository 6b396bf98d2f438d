/*
 * slots.h - the slots of struct rn_ops as one list, grouped by what they are for, so that holes,
 * cases and verdicts can be named.  Adding a slot to the struct and not here does not compile.
 */
#ifndef RN_SLOTS_H
#define RN_SLOTS_H

#include "base/base.h"

#define RN_DEVICE_SLOTS(X) \
    X(open) X(close) X(isa) X(alloc) X(release) X(write) X(read) X(copy) X(sync) X(run)

#define RN_SIZE_SLOTS(X) \
    X(tensor_bytes) X(conv2d_workspace) X(conv2d_packed_bytes) X(linear_workspace) \
    X(batchnorm_workspace)

/* Slots that write values: each is judged by at least one case. */
#define RN_COMPUTE_SLOTS(X) \
    X(tensor_set) X(tensor_get) X(images_forward) \
    X(conv2d_pack) X(conv2d_unpack) X(conv2d_forward) X(conv2d_bias) \
    X(conv2d_backward_data) X(conv2d_backward_weights) \
    X(linear_forward) X(linear_backward_data) X(linear_backward_weights) \
    X(batchnorm_forward_train) X(batchnorm_forward_eval) X(batchnorm_apply) X(batchnorm_running) \
    X(batchnorm_backward) X(batchnorm_backward_eval) X(conv2d_bn) X(conv2d_bn_train) X(conv2d_fold) \
    X(relu_forward) X(relu_backward) X(add) X(tensor_finite) \
    X(maxpool_forward) X(maxpool_backward) X(avgpool_forward) X(avgpool_backward) \
    X(global_avgpool_forward) X(global_avgpool_backward) \
    X(resize_forward) X(resize_backward) \
    X(softmax_cross_entropy) X(accumulate) X(finite) X(sgd_update) X(adamw_update)

#define RN_SLOTS(X) RN_DEVICE_SLOTS(X) RN_SIZE_SLOTS(X) RN_COMPUTE_SLOTS(X)

enum rn_slot {
#define RN_SLOT_ENUM(name) RN_SLOT_##name,
    RN_SLOTS(RN_SLOT_ENUM)
#undef RN_SLOT_ENUM
    RN_SLOT_COUNT
};

/* Every slot of the struct is in the list: pointers from `open` to the end. */
typedef char rn_slots_are_complete[(sizeof(struct rn_ops) - offsetof(struct rn_ops, open)) /
                                               sizeof(void (*)(void)) == RN_SLOT_COUNT
                                       ? 1 : -1];

const char *rn_slot_name(enum rn_slot slot);
/* RN_EINPUT unless the table is of this version and size, has a name and no empty slot; the message
 * names the first hole.  `from` says where the table came from. */
rn_status rn_backend_validate(const struct rn_ops *ops, const char *from);

#endif /* RN_SLOTS_H */
