/*
 * golden.h - what writer and checker of golden packs share: names, tensors of a case, the
 * trajectory, the index, and how two arrays differ.
 *
 * A pack is a folder: index.json and one safetensors file a case with all its operands, outputs as
 * rn_ops_ref gave them.  index.json has one line a case; each ends with a seal (XXH64 of the line
 * up to it), the file ends with the XXH64 of all before: a changed byte is noticed and its place
 * named.
 */
#ifndef RN_GOLDEN_H
#define RN_GOLDEN_H

#include "base/text.h"
#include "conform/case.h"
#include "conform/conform.h"
#include "io/io.h"

#define RN_GOLDEN_FORMAT "resnet.c golden pack"
#define RN_GOLDEN_VERSION 2
#define RN_GOLDEN_INDEX "index.json"
#define RN_GOLDEN_FIRST_LINE 3 /* of index.json, counted from 0: the first case */
#define RN_GOLDEN_SEAL ",\"seal\":\""
#define RN_GOLDEN_HASH "\"hash\":\""
#define RN_GOLDEN_NAME_CHARS 96
#define RN_GOLDEN_FILE_LIMIT ((size_t)64 << 20)
#define RN_TRAJECTORY_STEPS 10
#define RN_TRAJECTORY_BOUND 1e-3
#define RN_TRAJECTORY_BOUND_BF16 8 /* other sums lead elsewhere, as fp32 itself does: 6.8 away */
#define RN_TRAJECTORY_FILE "trajectory.safetensors"

void rn_golden_file_name(char out[RN_GOLDEN_NAME_CHARS], size_t number, const struct rn_case *c);
uint64_t rn_golden_hash(const void *data, size_t bytes);
/* XXH64 of a file's bytes. */
rn_status rn_golden_file_hash(uint64_t *hash, const char *path);

/* The device on which packs of this numerics are made. */
rn_status rn_golden_reference(void **dev, const char *numerics);

/* Inputs and outputs of a case, made on rn_ops_ref.  *t is freed by the caller. */
rn_status rn_golden_case_tensors(struct rn_tensors *t, const struct rn_case *c, void *reference);

/* -- trajectory -------------------------------------------------------------------------------- */

/* Adds "start.<parameter>", "images" and "labels" of all steps. */
rn_status rn_trajectory_start(struct rn_tensors *t);
/* Trains the small net on a table from `given`'s start and images (shapes were checked) and adds
 * "stepNN.loss", "stepNN.gradient.<parameter>", "stepNN.buffer...", "stepNN.weights...". */
rn_status rn_trajectory_run(struct rn_tensors *t, const struct rn_tensors *given,
                            const struct rn_ops *ops, void *dev);

/* -- differences ------------------------------------------------------------------------------- */

struct rn_difference {
    bool same;                /* equal bits */
    double error;             /* rn_relative_error of the two arrays */
    size_t index;             /* first element that differs */
    char text[RN_DETAIL_CHARS]; /* "[17] 0x1.8p+0 (3fc00000), golden ..., 3 ulps apart" */
};
/* Element by element; both arrays have count elements of the type. */
void rn_difference(struct rn_difference *d, enum rn_dtype dtype, const void *got, const void *want,
                   size_t count);
/* The first tensor of `want` that `got` lacks or has otherwise, with its first differing element;
 * false when there is none.  `text` says what. */
bool rn_tensors_differ(char text[RN_DETAIL_CHARS], const struct rn_tensors *got,
                       const struct rn_tensors *want);
/* Whether a tensor is of this type and shape. */
bool rn_tensor_fits(const struct rn_tensor *t, enum rn_dtype dtype, int dims, const int64_t *shape);

/* -- index ------------------------------------------------------------------------------------- */

struct rn_pack_entry { char file[RN_GOLDEN_NAME_CHARS]; uint64_t hash; double bound; };
struct rn_pack_index { struct rn_pack_entry *item; size_t count; }; /* cases, then the trajectory */

/* Reads and verifies index.json: its hashes, version and numerics, and that its cases are those of this
 * build.  RN_ECHECK: it was changed since it was written; RN_EINPUT: no index of this version and
 * numerics. */
rn_status rn_pack_index_read(struct rn_pack_index *x, const char *folder, const char *numerics);
void rn_pack_index_free(struct rn_pack_index *x);

#endif /* RN_GOLDEN_H */
