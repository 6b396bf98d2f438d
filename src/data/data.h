/*
 * data.h - data sets as decoded 8-bit images, augmentation, and the loader that turns them into
 * batches.
 *
 * All that is random here is a pure function of (seed, epoch, index in the data set): A29.
 */
#ifndef RN_DATA_H
#define RN_DATA_H

#include "base/base.h"

/* One split: `count` images of [channels][height][width] bytes, RGB planes (CHW), and labels. */
struct rn_split {
    int64_t count;
    uint8_t *pixels;   /* all images, in file order */
    int32_t *labels;
};

struct rn_dataset {
    char *spec;               /* as given: "demo", "cifar10:DIR" */
    char *name;               /* "demo", "cifar10", "fashion-mnist" */
    int channels, height, width, classes;
    char **class_names;       /* [classes] */
    double mean[3], std[3];   /* default normalisation of pixels scaled to 0...1 */
    struct rn_split train, val; /* val: the set's test images where it has no validation part */
    int64_t skipped;          /* images that could not be used */
};

/* spec: demo[:SIZE] | cifar10:DIR | fashion-mnist:DIR | mnist:DIR.  image_size: 0 or the
 * --image-size of the run; only demo looks at it and makes that size (32 ten classes, 64 and 224
 * two).  RN_EUSAGE: unknown kind, no such size; RN_EINPUT: file missing, of another length,
 * label out of range, corrupt gzip ... */
rn_status rn_dataset_open(struct rn_dataset **set, const char *spec, int image_size);
void rn_dataset_close(struct rn_dataset *set);
/* Names of the kinds, for messages and help: "demo[:SIZE] | cifar10:DIR | ..." */
const char *rn_dataset_kinds(void);

/* -- augmentation ------------------------------------------------------------------------------ */
enum rn_flip { RN_FLIP_NEVER, RN_FLIP_RANDOM, RN_FLIP_ALTERNATING };
/* crop:4,flip; crop:4:reflect,altflip; {0} is none. */
struct rn_augment { int crop_padding; bool reflect; enum rn_flip flip; };
rn_status rn_augment_parse(struct rn_augment *a, const char *list); /* RN_EUSAGE: names the item */
/* One image, bytes to bytes (crops and flips move bytes; padding is 0 before normalisation as in
 * torchvision's RandomCrop, or reflects the image).  Keyed by (seed, epoch, index); draws dy, dx, then the word of the
 * flip. */
void rn_augment_image(uint8_t *dst, const uint8_t *src, int channels, int height, int width,
                      const struct rn_augment *a, uint64_t seed, uint32_t epoch, uint32_t index);
/* x = F(((float)u / 255 - mean) / std), per channel (A29). */
void rn_normalise(float *dst, const uint8_t *src, int channels, int height, int width,
                  const double mean[3], const double std[3]);

/* -- loader ------------------------------------------------------------------------------------ */
struct rn_loader_config {
    const struct rn_dataset *set;
    const struct rn_split *split;
    int64_t limit;           /* use the first `limit` images in file order; 0 = all */
    int batch;
    bool shuffle;
    struct rn_augment augment;
    double mean[3], std[3];
    uint64_t seed;
    int workers;             /* threads that prepare batches ahead, 0 ... 64; 0 = in the caller */
};
struct rn_batch {
    const float *images;     /* [n][C][H][W] normalised; borrowed until the next call */
    const int32_t *labels;   /* [n] */
    const uint32_t *index;   /* [n] place in the data set */
    int n;
};
struct rn_loader_size {
    int64_t count, steps;    /* images and batches an epoch */
    size_t bytes;            /* what the loader will allocate; at most SIZE_MAX / 2 is said */
};
/* What rn_loader_create would make of the config, with the same checks; allocates nothing. */
rn_status rn_loader_measure(struct rn_loader_size *size, const struct rn_loader_config *config);
struct rn_loader;
rn_status rn_loader_create(struct rn_loader **loader, const struct rn_loader_config *config);
int64_t rn_loader_steps(const struct rn_loader *loader); /* ceil(count / batch) */
int64_t rn_loader_count(const struct rn_loader *loader); /* images an epoch */
/* Starts an epoch (0, 1, ...) at batch number first_step of it, so that a resumed run sees
 * exactly what an uninterrupted one would. */
rn_status rn_loader_begin(struct rn_loader *loader, uint32_t epoch, int64_t first_step);
/* *batch.n = 0 at the end of the epoch. */
rn_status rn_loader_next(struct rn_loader *loader, struct rn_batch *batch);
void rn_loader_free(struct rn_loader *loader);
/* The order of epoch `epoch`: a permutation of 0...count-1 (Fisher-Yates, keyed by seed and
 * epoch). */
void rn_shuffle(uint32_t *order, uint32_t count, uint64_t seed, uint32_t epoch);

#endif /* RN_DATA_H */
