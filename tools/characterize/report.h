/* report.h - the parts of ./characterize --report, one after the other as they stand in it. */
#ifndef RN_CHARACTERIZE_REPORT_H
#define RN_CHARACTERIZE_REPORT_H

#include "tools/characterize/page.h"
#include "tools/characterize/validate.h"

/* Whether it is the net of the report of 2025-10-17. */
bool characterize_is_seeds(const struct characterize *c);
/* 1e-6 x with two decimals. */
const char *characterize_millions(char out[RN_NUMBER_CHARS], int64_t x);
/* Percent of the FLOPs of an inference that are batch norm's, ReLU's and the additions'. */
double characterize_small_share(const struct characterize *c);

/* Both models on the four machines of that report. */
#define CHARACTERIZE_MACHINES 4
struct characterize_machine {
    const char *file;
    struct rn_hardware hardware;
    double seed_ms, seed_joules, ms, joules;
    bool met; /* the seed's printed digits came out */
};
struct characterize_machines { struct characterize_machine row[CHARACTERIZE_MACHINES]; int met; };
rn_status characterize_machines(struct characterize_machines *m, const struct characterize *c);
/* The row with the least of what `of` gives; ours. */
double characterize_machine_ms(const struct characterize_machine *m);
double characterize_machine_joules(const struct characterize_machine *m);
int characterize_least(const struct characterize_machines *m, double (*of)(const struct characterize_machine *m));

void characterize_results(struct page *p, const struct characterize *c, const struct characterize_machines *m);
void characterize_theory(struct page *p, const struct characterize *c);
void characterize_fusions(struct page *p, const struct characterize *c);
void characterize_performance(struct page *p, const struct characterize *c, const struct characterize_machines *m);
void characterize_tiles(struct page *p, const struct characterize *c, const struct characterize_machines *m);
void characterize_published(struct page *p, const struct characterize *c);
void characterize_insights(struct page *p, const struct characterize *c, const struct characterize_machines *m);
void characterize_checklist(struct page *p, const struct characterize *c, const struct characterize_machines *m);
void characterize_variants(struct page *p, const struct characterize *c);
void characterize_sweeps(struct page *p, const struct characterize *c);
rn_status characterize_roadmap(struct page *p, const struct characterize *c); /* RN_ENOMEM */
void characterize_conclusion(struct page *p, const struct characterize *c, const struct characterize_machines *m);

#endif /* RN_CHARACTERIZE_REPORT_H */
