/* preview.h - a sheet of the pictures that a net is about to be trained on. */
#ifndef RN_TRAIN_PREVIEW_H
#define RN_TRAIN_PREVIEW_H

#include "train/train.h"

#define TOOL_PREVIEW_IMAGES 64

/* RN_EUSAGE where the name does not end in .png; NULL is no sheet, and fine. */
rn_status tool_preview_check(const char *path);
/* Writes the first images of epoch 0, at most TOOL_PREVIEW_IMAGES and one batch, fewer where they are large, as a
 * PNG; *legend: their classes as text, a line for each row of the sheet. */
rn_status tool_preview(struct rn_text *legend, const struct rn_train_config *config, const char *path);

#endif /* RN_TRAIN_PREVIEW_H */
