/*
 * sets.h - what the readers of the single kinds share inside this room: each fills a struct
 * rn_dataset that rn_dataset_open made, and leaves freeing, also after a failure, to
 * rn_dataset_close.
 */
#ifndef RN_DATA_SETS_H
#define RN_DATA_SETS_H

#include "data/data.h"

/* A path or a word from outside as a message may show it. */
struct rn_shown { char text[400]; };
struct rn_shown rn_shown(const char *text);

/* The next item of `list`, which people gave for `what`, NUL-terminated in item[size]; *rest, at first the list,
 * moves behind its comma and is NULL after the last.  RN_EUSAGE: an item is empty or too long. */
rn_status rn_next_item(char *item, size_t size, const char **rest, const char *list, const char *what);

/* The set's name, shape (three square planes of `side`), classes and normalisation, all copied. */
rn_status rn_dataset_describe(struct rn_dataset *set, const char *name, int side,
                              const char *const *class_names, int classes, const double mean[3],
                              const double std[3]);
/* Makes room for `count` images of the set's shape, and their labels. */
rn_status rn_split_make(struct rn_split *split, const struct rn_dataset *set, int64_t count);

rn_status rn_cifar10_read(struct rn_dataset *set, const char *folder);
rn_status rn_idx_read(struct rn_dataset *set, const char *folder, bool fashion);
rn_status rn_folder_read(struct rn_dataset *set, const char *folder, const struct rn_dataset_options *options);

/* The built-in set of that side; RN_EUSAGE: no such side. */
rn_status rn_demo_make(struct rn_dataset *set, int64_t side);
/* Image `index` of the built-in set of that side, [3][side][side] bytes; its class is index %
 * classes. A function of (side, index) alone, in integers; another side makes nothing.  Training
 * images are numbered from 0, validation images from RN_DEMO_VAL, a multiple of every class
 * count. */
void rn_demo_image(uint8_t *pixels, int side, uint32_t index);
#define RN_DEMO_VAL 10000000u

#endif /* RN_DATA_SETS_H */
