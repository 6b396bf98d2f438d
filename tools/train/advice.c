/* advice.c - what ./train remarks on.  Nothing here changes a run. */
#include "tools/train/advice.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define SHARE 0.05 /* of an epoch's time, and */
#define SECONDS 1  /* at least so long: what is less is the first batch's */

void tool_tell_origin(struct rn_text *line, const struct rn_train_config *c, const struct rn_checkpoint *file)
{
    char path[400];
    int64_t dims[8] = {0};
    if (!file) {
        rn_text_add(line, "weights: random, of seed %" PRIu64, c->seed);
        return;
    }
    const bool head = rn_checkpoint_shape((void *)file, "fc.weight", dims) == 2;
    rn_text_add(line, "weights: those of %s", rn_printable(path, sizeof path, file->path, strlen(file->path)));
    if (head && dims[0] != c->arch.classes)
        rn_text_add(line, ", but for its head of %" PRId64 " classes: a new one of %d is random, of seed %" PRIu64,
                    dims[0], c->arch.classes, c->seed);
    else rn_text_add(line, ", its head of %d classes included", c->arch.classes);
}

/* Workers that never rested were too few by the time that training needs without waiting. */
static int workers_needed(const struct rn_epoch *e, int workers, int cpus)
{
    const double work = workers ? workers * e->seconds : e->waited, busy = e->seconds - e->waited;
    const double needed = busy > 0 ? ceil(work / busy) : cpus;
    return needed < cpus ? (int)needed : cpus;
}

bool tool_advise_workers(struct rn_text *line, const struct rn_epoch *e, const struct rn_train_config *c, int cpus)
{
    const int needed = workers_needed(e, c->workers, cpus);
    const bool folder = c->data->train.store;
    if (e->waited < SHARE * e->seconds || e->waited < SECONDS || (needed <= c->workers && !folder)) return false;
    rn_text_add(line, "training waited for images ");
    rn_text_fixed(line, 100 * e->waited / e->seconds, 1);
    rn_text_add(line, " %% of its time: ");
    if (needed > c->workers)
        rn_text_add(line, "--workers %d instead of %d may shorten that, and changes no result", needed, c->workers);
    else
        rn_text_add(line, "%d workers on %d CPUs cannot prepare more; smaller files, or a --cache-mb that holds them "
                    "all, would", c->workers, cpus);
    return true;
}

bool tool_advise_fresh(struct rn_text *line, const struct rn_train_config *c)
{
    if (!c->freeze_bn && !c->freeze) return false;
    rn_text_add(line, "%s without --weights keeps %s", c->freeze_bn ? "--freeze-bn" : "--freeze",
                c->freeze_bn ? "mean 0 and variance 1 in every batch norm, which then normalises nothing"
                             : "parameters that are random");
    return true;
}
