/* picture_folders.h - a data set written out as folders of PNG files, as --data folder:DIR reads them. */
#ifndef RN_CONVERT_PICTURE_FOLDERS_H
#define RN_CONVERT_PICTURE_FOLDERS_H

#include "data/data.h"

struct tool_pictures {
    const char *classes; /* names, separated by commas: only these; NULL: all */
    int64_t limit;       /* the first so many of each class and part; 0: all */
    int size;            /* side, by bilinear resampling; 0: as they are */
};
/* folder/train/CLASS/NUMBER.png and folder/val/CLASS/NUMBER.png, numbers being places in the data set.
 * RN_EUSAGE: the folder exists, no such class, or the data set lies in files already. */
rn_status tool_write_pictures(const char *folder, const struct rn_dataset *set, const struct tool_pictures *how);

#endif /* RN_CONVERT_PICTURE_FOLDERS_H */
