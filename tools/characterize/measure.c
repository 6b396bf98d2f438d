/* measure.c - ./characterize --measure: a hardware file for this machine. */
#include "tools/characterize/validate.h"

#include "analyze/measure.h"
#include "base/file.h"

static void add_key(struct rn_text *t, int key, double x)
{
    char number[RN_NUMBER_CHARS];
    if (x > 0) rn_text_add(t, "%s = %s\n", rn_hardware_key_name(key), rn_number_text(number, x));
}

static void add_measured(struct rn_text *t, const struct rn_measured *m)
{
    for (int p = 0; p < RN_PRECISIONS; p++) {
        add_key(t, RN_HW_PEAK + p, m->peak[p]);
        if (!(m->peak[p] > 0))
            rn_text_add(t, "# no %s: this CPU and instruction set have no such multiply-add, or this build has\n"
                        "# no loop for it\n", rn_hardware_key_name(RN_HW_PEAK + p));
    }
    add_key(t, RN_HW_UTILISATION, m->fed / m->peak[RN_FP32]);
    for (int i = 0; i < RN_MEMORY_LEVELS; i++) {
        add_key(t, RN_HW_CAPACITY + i, m->capacity[i]);
        add_key(t, RN_HW_LEVEL_BANDWIDTH + i, m->read[i]);
        add_key(t, RN_HW_LEVEL_RESULTS + i, m->results[i]);
    }
    add_key(t, RN_HW_BANDWIDTH, m->main_read);
    add_key(t, RN_HW_RESULTS, m->main_results);
    add_key(t, RN_HW_LAUNCH, m->launch);
    rn_text_add(t, "%s = ", rn_hardware_key_name(RN_HW_OVERLAP));
    rn_text_number(t, m->overlap);
    rn_text_add(t, "\n");
}

rn_status characterize_measure(const char *path, const struct characterize *c, int rounds)
{
    struct rn_measured m;
    struct rn_text t = { 0 };
    const char *isa = c->device.ops->isa(c->device.dev);
    rn_status status = rn_measure(&m, c->device.threads, isa, rounds);
    if (status) return status;
    rn_text_add(&t, "# Measured by ./characterize --measure: multiply-adds on registers, and with operands out of\n"
                "# memory and results into it; reads of each level of memory; short tasks.  No net and no layer\n"
                "# was run.\n"
                "name = this machine, %d threads, %s\n"
                "source = measured with resnet.c " RN_VERSION "\n"
                "threads = %d\nisa = %s\nnumerics = %s\n", c->device.threads, isa, c->device.threads, isa,
                opt_text(c->o, "numerics"));
    add_measured(&t, &m);
    status = rn_text_status(&t);
    if (!status) status = rn_file_write(path, t.data, t.length);
    rn_text_free(&t);
    return status;
}
