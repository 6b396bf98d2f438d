/* test_conform.h - what test_conform.c and test_golden.c share: the reference's device, and a sink that
 * counts findings. */
#ifndef RN_TEST_CONFORM_H
#define RN_TEST_CONFORM_H

#include "tests/test.h"

#include "base/mem.h"
#include "conform/golden.h"
#include "resnet.h"
#include "tests/broken/backend.c"

static inline void *open_numerics(const char *numerics)
{
    void *dev = NULL;
    CHECK_OK(rn_golden_reference(&dev, numerics));
    return dev;
}

static inline void *open_ref(void) { return open_numerics("fp32"); }

struct seen { int rows, failed, legal; char first[64]; };

static inline void see(void *arg, const struct rn_finding *f)
{
    struct seen *seen = arg;
    bool good = !strcmp(f->verdict, "ok") || !strcmp(f->verdict, "same");
    bool legal = !strcmp(f->verdict, "legal");
    seen->rows++;
    seen->legal += legal;
    if (!good && !legal && seen->failed++ == 0)
        snprintf(seen->first, sizeof seen->first, "%s %s", f->op, f->part);
}

#endif /* RN_TEST_CONFORM_H */
